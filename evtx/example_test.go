package evtx_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/coldcheck/coldcheck/evtx"
	"github.com/coldcheck/coldcheck/internal/evtxtest"
)

// exampleLog stands for a System log that was read from somewhere.
func exampleLog() *bytes.Reader {
	service := func(name, state string) []evtxtest.Datum {
		return []evtxtest.Datum{{Name: "param1", Text: name}, {Name: "param2", Text: state}}
	}
	return bytes.NewReader(evtxtest.Build(evtxtest.Log{Chunks: []evtxtest.Chunk{evtxtest.Events(
		evtxtest.Event{Number: 1, Provider: "EventLog", ID: 6005, Level: 4, Channel: "System"},
		evtxtest.Event{Number: 2, Provider: "Service Control Manager", ID: 7036, Level: 4, Channel: "System",
			Data: service("Windows Update", "running")},
		evtxtest.Event{Number: 3, Provider: "Service Control Manager", ID: 7036, Level: 4, Channel: "System",
			Data: service("Windows Update", "stopped")},
	)}}))
}

func ExampleOpen() {
	file := exampleLog()
	log, err := evtx.Open(context.Background(), file, file.Size(), evtx.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for r, err := range log.Records() {
		var damage *evtx.Damage
		switch {
		case errors.As(err, &damage):
			fmt.Println("not all records:", damage)
			continue
		case err != nil:
			fmt.Println(err)
			return
		}
		fmt.Printf("%d %s %s %d", r.Number, r.Time.Format("15:04:05"), r.Provider.Name, r.EventID)
		for _, f := range r.Data {
			fmt.Printf(" %s=%s", f.Name, f.Value)
		}
		fmt.Println()
	}
	// Output:
	// 1 00:00:01 EventLog 6005
	// 2 00:00:02 Service Control Manager 7036 param1=Windows Update param2=running
	// 3 00:00:03 Service Control Manager 7036 param1=Windows Update param2=stopped
}

// The last event of a kind is found without reading the log from its beginning.
func ExampleLog_Backward() {
	file := exampleLog()
	log, err := evtx.Open(context.Background(), file, file.Size(), evtx.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for r, err := range log.Backward() {
		if err != nil {
			fmt.Println("a later event may be missing:", err)
			continue
		}
		if r.Provider.Name == "Service Control Manager" && r.EventID == 7036 {
			service, _ := r.Field("param1")
			state, _ := r.Field("param2")
			fmt.Println(service, "is", state)
			return
		}
	}
	// Output: Windows Update is stopped
}
