package crosscheck

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"www.velocidex.com/golang/regparser"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/internal/utf16le"
)

func openHiveIn(t *testing.T, content []byte) *hive {
	t.Helper()
	r, err := regparser.NewRegistry(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	return &hive{"hive", r}
}

// What regparser reads of hives of every kind is what was written.
func TestHive(t *testing.T) {
	testenv.Sequential(t)
	const written = 1577836800 // 2020-01-01, when hivetest writes
	long := bytes.Repeat([]byte("0123456789"), 5000)
	many := make([]hivetest.Key, 2000)
	var names []string
	for i := range many {
		many[i].Name = "k" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("0", i/26)
		names = append(names, many[i].Name)
	}
	root := hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{
		{Name: "Empty"},
		{Name: "Größe", Values: []hivetest.Value{{Name: "Maß", Type: 1, Data: utf16le.Encode("x\x00")}}},
		{Name: "日本", Values: []hivetest.Value{{Name: "語", Type: 4, Data: []byte{1, 0, 0, 0}}}},
		{Name: "with/slash", Subkeys: []hivetest.Key{{Name: "below"}}},
		{Name: "Many", Subkeys: many},
		{Name: "Data", Values: []hivetest.Value{
			{Name: "", Type: 1, Data: utf16le.Encode("default\x00")},
			{Name: "none", Type: 3},
			{Name: "one", Type: 3, Data: []byte{7}},
			{Name: "three", Type: 3, Data: []byte{7, 8, 9}},
			{Name: "four", Type: 4, Data: []byte{4, 3, 2, 1}},
			{Name: "five", Type: 3, Data: []byte{1, 2, 3, 4, 5}},
			{Name: "quad", Type: 11, Data: []byte{1, 2, 3, 4, 5, 6, 7, 8}},
			{Name: "long", Type: 3, Data: long},
			{Name: "odd", Type: 0x12345, Data: utf16le.Encode("odd")},
		}},
	}}
	value := func(typ uint32, data []byte) Reading {
		return Reading{Found: true, Modified: written, Type: typ, Size: int64(len(data)), Content: Digest(data)}
	}
	for _, options := range []hivetest.Options{{}, {List: "lf"}, {List: "li"}, {MaxLeaf: 100}} {
		h := openHiveIn(t, hivetest.Build(root, options))
		for _, c := range []struct {
			key, value string
			want       Reading
		}{
			{"Empty", "", Reading{Modified: written}},
			{"Missing", "x", Reading{}},
			{`Empty\Missing`, "x", Reading{}},
			{"größe", "MASS", Reading{Modified: written}},
			{"GRÖßE", "MAß", value(1, utf16le.Encode("x\x00"))},
			{"日本", "語", value(4, []byte{1, 0, 0, 0})},
			{"Data", "", value(1, utf16le.Encode("default\x00"))},
			{"Data", "none", value(3, nil)},
			{"Data", "one", value(3, []byte{7})},
			{"Data", "three", value(3, []byte{7, 8, 9})},
			{"data", "FOUR", value(4, []byte{4, 3, 2, 1})},
			{"Data", "five", value(3, []byte{1, 2, 3, 4, 5})},
			{"Data", "quad", value(11, []byte{1, 2, 3, 4, 5, 6, 7, 8})},
			{"Data", "long", value(3, long)},
			{"Data", "odd", value(0x12345, utf16le.Encode("odd"))},
		} {
			got, err := h.read(Question{Kind: Value, Key: c.key, Value: c.value})
			if err != nil {
				t.Errorf("%+v: %s %s: %v", options, c.key, c.value, err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%+v: %s %s: %s", options, c.key, c.value, diff)
			}
		}
		for _, c := range []struct {
			key           string
			names, values []string
		}{
			{"", []string{"Empty", "Größe", "日本", "with/slash", "Many", "Data"}, nil},
			{"Empty", nil, nil},
			{`with/slash\below`, nil, nil},
			{"with/slash", []string{"below"}, nil},
			{"Many", names, nil},
			{"日本", nil, []string{DescribeValue("語", 4, []byte{1, 0, 0, 0})}},
		} {
			got, err := h.read(Question{Kind: Key, Key: c.key})
			want := Reading{Found: true, Modified: written, Names: ListOf(c.names), Values: ListOf(c.values)}
			if diff := cmp.Diff(want, got); diff != "" || err != nil {
				t.Errorf("%+v: %s: %v: %s", options, c.key, err, diff)
			}
		}
	}
}

// What regparser is known to get wrong, or to leave out, is an error: never an
// absence, and never other data.
func TestHiveDefects(t *testing.T) {
	root := hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{
		{Name: "A", Values: []hivetest.Value{{Name: "looks big", Type: 3, Data: []byte("db, but no big data")}}},
		{Name: "B", Values: []hivetest.Value{{Name: "short", Type: 4, Data: []byte{1, 2}}}},
		{Name: "C", Subkeys: []hivetest.Key{{Name: "lost"}, {Name: "other"}}},
		{Name: "D", Values: []hivetest.Value{{Name: "lost", Type: 4, Data: []byte{1, 2, 3, 4}}}},
	}}
	content := hivetest.Build(root, hivetest.Options{})
	for _, signature := range []struct{ cell, name string }{{"nk", "lost"}, {"vk", "lost"}} {
		at := bytes.Index(content, []byte(signature.name))
		if signature.cell == "vk" {
			at = bytes.LastIndex(content, []byte(signature.name))
		}
		begin := bytes.LastIndex(content[:at], []byte(signature.cell))
		copy(content[begin:], "??")
	}
	h := openHiveIn(t, content)
	for _, c := range []struct {
		q    Question
		want string
	}{
		{Question{Kind: Value, Key: "A", Value: "looks big"}, "0 of 19 bytes read of looks big"},
		{Question{Kind: Key, Key: "A"}, "0 of 19 bytes read of looks big"},
		{Question{Kind: Key, Key: `C\other`}, "1 of 2 keys read below C"},
		{Question{Kind: Key, Key: `C\lost`}, "1 of 2 keys read below C"},
		{Question{Kind: Value, Key: "D", Value: "lost"}, "0 of 1 values read of D"},
	} {
		if r, err := h.read(c.q); err == nil || err.Error() != c.want {
			t.Errorf("%+v: %+v, %v, want %s", c.q, r, err, c.want)
		}
	}
	if r, err := h.read(Question{Kind: Value, Key: "B", Value: "short"}); err != nil || r.Size != 2 ||
		r.Content != Digest([]byte{1, 2}) {
		t.Errorf("a short number: %+v, %v", r, err)
	}
}
