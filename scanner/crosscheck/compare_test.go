package crosscheck

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// Every field that differs is told, those that are not wanted are not compared.
func TestDifference(t *testing.T) {
	file := Reading{Found: true, What: AFile, Size: 5, Record: 64, Modified: 1, Content: "aa"}
	folder := Reading{Found: true, What: AFolder, Names: ListOf([]string{"a", "b"}), Values: ListOf(nil)}
	value := Reading{Found: true, Type: 4, Size: 4, Content: "cc"}
	change := func(r Reading, change func(*Reading)) Reading { change(&r); return r }
	for name, c := range map[string]struct {
		want, got Reading
		text      string
	}{
		"the same":    {file, file, ""},
		"both absent": {Reading{}, Reading{}, ""},
		"not found":   {file, Reading{}, "x does not find it"},
		"found":       {Reading{}, file, "x finds it"},
		"size":        {file, change(file, func(r *Reading) { r.Size = 0 }), "its size is 5, and 0 to x"},
		"empty":       {change(file, func(r *Reading) { r.Size = 0 }), file, "its size is 0, and 5 to x"},
		"kind":        {file, change(file, func(r *Reading) { r.What = ALink }), "it is file, and link to x"},
		"target": {change(file, func(r *Reading) { r.Target = "a" }),
			change(file, func(r *Reading) { r.Target = "b" }), "its target is a, and b to x"},
		"record":     {file, change(file, func(r *Reading) { r.Record = 65 }), "its record is 64, and 65 to x"},
		"any record": {change(file, func(r *Reading) { r.Record = 0 }), file, ""},
		"time": {file, change(file, func(r *Reading) { r.Modified = 2 }),
			"its time is 1970-01-01T00:00:01Z, and 1970-01-01T00:00:02Z to x"},
		"any time":           {change(file, func(r *Reading) { r.Modified = 0 }), file, ""},
		"time of an absence": {Reading{Modified: 1}, Reading{}, "its time is 1970-01-01T00:00:01Z, and none to x"},
		"content":            {file, change(file, func(r *Reading) { r.Content = "bb" }), "x reads other content"},
		"no content":         {file, change(file, func(r *Reading) { r.Content = "" }), "x reads other content"},
		"any content":        {change(file, func(r *Reading) { r.Content = "" }), file, ""},
		"type":               {value, change(value, func(r *Reading) { r.Type = 0 }), "its type is 4, and 0 to x"},
		"files": {folder, change(folder, func(r *Reading) { r.Files = 1 }),
			"the number of files is 0, and 1 to x"},
		"names": {folder, change(folder, func(r *Reading) { r.Names = ListOf([]string{"a", "c"}) }),
			"x reads other names"},
		"fewer names": {folder, change(folder, func(r *Reading) { r.Names = ListOf([]string{"a"}) }),
			"it has 2 names, and 1 to x"},
		"no names":  {folder, change(folder, func(r *Reading) { r.Names = nil }), "x lists no names"},
		"any names": {change(folder, func(r *Reading) { r.Names = nil }), folder, ""},
		"more values": {folder, change(folder, func(r *Reading) { r.Values = ListOf([]string{"v"}) }),
			"it has 0 values, and 1 to x"},
		"two things": {file, change(file, func(r *Reading) { r.Size, r.Content = 6, "bb" }),
			"its size is 5, and 6 to x; x reads other content"},
	} {
		if got := c.want.difference(c.got, "x"); got != c.text {
			t.Errorf("%s: %q, want %q", name, got, c.text)
		}
	}
}

// The order of names is of no account, their boundaries are.
func TestListOf(t *testing.T) {
	if *ListOf([]string{"b", "a"}) != *ListOf([]string{"a", "b"}) {
		t.Error("the order counts")
	}
	if *ListOf([]string{"ab", "c"}) == *ListOf([]string{"a", "bc"}) {
		t.Error("names run into each other")
	}
}

// Reports name the versions that the program is built with.
func TestVersions(t *testing.T) {
	text, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, reader := range []string{GoNTFS, RegParser, GoDiskfs} {
		if !strings.Contains(string(text), "/"+reader) {
			t.Errorf("go.mod has no %s", reader)
		}
	}
}
