package requirement

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestTrail(t *testing.T) {
	var trail Trail
	trail.Record("file", "path", "a", "odd")
	events, dropped := trail.Events()
	if len(events) != 1 || dropped != 0 || len(events[0].Attrs) != 1 || events[0].Attrs[0] != (Attr{"path", "a"}) || events[0].Time.IsZero() {
		t.Errorf("%+v, %d", events, dropped)
	}
	n := Notice{Level: LevelInfo, Message: "once"}
	trail.Notify(n)
	trail.Notify(n)
	if got := trail.Notices(); len(got) != 1 {
		t.Errorf("%v", got)
	}
	var none *Trail
	none.Record("x")
	none.Notify(n)
	if events, dropped := none.Events(); events != nil || dropped != 0 || none.Notices() != nil {
		t.Error("a trail that is not there keeps something")
	}
}

// TestTrailBounds records below, at and above the bounds.
func TestTrailBounds(t *testing.T) {
	var trail Trail
	for range maxEvents {
		trail.Record("x")
	}
	if events, dropped := trail.Events(); len(events) != maxEvents || dropped != 0 {
		t.Errorf("%d events, %d dropped", len(events), dropped)
	}
	trail.Record("x")
	if events, dropped := trail.Events(); len(events) != maxEvents || dropped != 1 {
		t.Errorf("%d events, %d dropped", len(events), dropped)
	}
	for i := range maxNotices + 1 {
		trail.Notify(Notice{Message: fmt.Sprint(i)})
	}
	if got := len(trail.Notices()); got != maxNotices {
		t.Errorf("%d notices", got)
	}
}

// TestTrailBytes records just what there is room for, and a byte more.
func TestTrailBytes(t *testing.T) {
	var trail Trail
	const half = maxEventBytes/2 - 64 - 32
	trail.Record("x", "k", strings.Repeat("v", half))
	trail.Record("x", "k", strings.Repeat("v", half+1))
	if events, dropped := trail.Events(); len(events) != 1 || dropped != 1 {
		t.Errorf("%d events, %d dropped", len(events), dropped)
	}
	trail.Record("x", "k", strings.Repeat("v", half))
	trail.Record("x")
	if events, dropped := trail.Events(); len(events) != 2 || dropped != 2 {
		t.Errorf("%d events, %d dropped", len(events), dropped)
	}
}

func TestTrailConcurrent(t *testing.T) {
	var trail Trail
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			for range 100 {
				trail.Record("x")
				trail.Notify(Notice{Message: fmt.Sprint(i)})
				trail.Events()
				trail.Notices()
			}
		})
	}
	done.Wait()
	if events, _ := trail.Events(); len(events) != 800 || len(trail.Notices()) != 8 {
		t.Errorf("%d events, %d notices", len(events), len(trail.Notices()))
	}
}
