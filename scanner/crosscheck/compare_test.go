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

// Every field that differs is reported; those that are not wanted are not
// compared.
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
		"not found":   {file, Reading{}, "not found by x"},
		"found":       {Reading{}, file, "found only by x"},
		"size":        {file, change(file, func(r *Reading) { r.Size = 0 }), "the size is 5, but 0 in x"},
		"empty":       {change(file, func(r *Reading) { r.Size = 0 }), file, "the size is 0, but 5 in x"},
		"kind":        {file, change(file, func(r *Reading) { r.What = ALink }), "the kind is file, but link in x"},
		"target": {change(file, func(r *Reading) { r.Target = "a" }),
			change(file, func(r *Reading) { r.Target = "b" }), "the target is a, but b in x"},
		"record":     {file, change(file, func(r *Reading) { r.Record = 65 }), "the record is 64, but 65 in x"},
		"any record": {change(file, func(r *Reading) { r.Record = 0 }), file, ""},
		"time": {file, change(file, func(r *Reading) { r.Modified = 2 }),
			"the time is 1970-01-01T00:00:01Z, but 1970-01-01T00:00:02Z in x"},
		"any time":           {change(file, func(r *Reading) { r.Modified = 0 }), file, ""},
		"time of an absence": {Reading{Modified: 1}, Reading{}, "the time is 1970-01-01T00:00:01Z, but none in x"},
		"content":            {file, change(file, func(r *Reading) { r.Content = "bb" }), "x reads different content"},
		"no content":         {file, change(file, func(r *Reading) { r.Content = "" }), "x reads different content"},
		"any content":        {change(file, func(r *Reading) { r.Content = "" }), file, ""},
		"type":               {value, change(value, func(r *Reading) { r.Type = 0 }), "the type is 4, but 0 in x"},
		"files": {folder, change(folder, func(r *Reading) { r.Files = 1 }),
			"the number of files is 0, but 1 in x"},
		"names": {folder, change(folder, func(r *Reading) { r.Names = ListOf([]string{"a", "c"}) }),
			"x reads different names"},
		"fewer names": {folder, change(folder, func(r *Reading) { r.Names = ListOf([]string{"a"}) }),
			"the number of names is 2, but 1 in x"},
		"no names":  {folder, change(folder, func(r *Reading) { r.Names = nil }), "x lists no names"},
		"any names": {change(folder, func(r *Reading) { r.Names = nil }), folder, ""},
		"more values": {folder, change(folder, func(r *Reading) { r.Values = ListOf([]string{"v"}) }),
			"the number of values is 0, but 1 in x"},
		"two things": {file, change(file, func(r *Reading) { r.Size, r.Content = 6, "bb" }),
			"the size is 5, but 6 in x; x reads different content"},
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
