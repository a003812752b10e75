package registry

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"www.velocidex.com/golang/regparser"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// regparser reads the same keys and values from every whole hive of the corpus, but for what the tests below show it to
// read otherwise.
func TestRegparserAgrees(t *testing.T) {
	for _, row := range corpusManifest(t) {
		if !row.isHive() {
			continue
		}
		t.Run(strings.TrimPrefix(row.path, "hives/"), func(t *testing.T) {
			data := testenv.CorpusFile(t, row.path)
			h, err := openBytes(data, Options{NoRecovery: true})
			if err != nil {
				t.Fatal(err)
			}
			if c := count(h); c.errs != nil {
				t.Logf("not compared, the hive is damaged: %v", c.errs[0])
				return
			}
			theirs, err := regparser.NewRegistry(bytes.NewReader(data))
			if err != nil {
				t.Fatal(err)
			}
			root, err := h.Root()
			if err != nil {
				t.Fatal(err)
			}
			n := compare(t, root, theirs.OpenKey(""))
			t.Logf("%d keys and values agree", n)
		})
	}
}

// compare compares a key and all below it with what regparser has of it, and returns how many keys and values agree.
func compare(t *testing.T, ours *Key, theirs *regparser.CM_KEY_NODE) (agree int) {
	t.Helper()
	if got := theirs.Name(); got != string(ours.name().bytes) {
		t.Fatalf("%s: regparser has the name %q", ours.Path(), got)
	}
	agree++
	if ours.valueCount() > 0 { // regparser reads a list whether there is one or not
		values, err := ours.Values()
		if err != nil {
			t.Fatal(err)
		}
		other := theirs.Values()
		if len(other) != len(values) {
			t.Fatalf("%s: regparser has %d values, we %d", ours.Path(), len(other), len(values))
		}
		for i, v := range values {
			data, err := v.Data()
			if err != nil {
				t.Fatal(err)
			}
			if !v.inline() && len(data) <= segmentSize && bytes.HasPrefix(data, []byte("db")) {
				continue
			}
			got := other[i].ValueData().Data
			if v.inline() {
				got = got[:len(data)]
			}
			if other[i].ValueName() != string(v.name().bytes) || other[i].Type() != uint32(v.Type()) || !bytes.Equal(got, data) {
				t.Errorf("%s: value %q: regparser has %q, type %d, %d bytes; we have type %d, %d bytes", ours.Path(), v.Name(),
					other[i].ValueName(), other[i].Type(), len(got), v.Type(), len(data))
				continue
			}
			agree++
		}
	}
	if ours.subkeyCount() > 0 {
		subkeys, err := ours.Subkeys()
		if err != nil {
			t.Fatal(err)
		}
		other := theirs.Subkeys()
		if len(other) != len(subkeys) {
			t.Fatalf("%s: regparser has %d subkeys, we %d", ours.Path(), len(other), len(subkeys))
		}
		for i, k := range subkeys {
			agree += compare(t, k, other[i])
		}
	}
	return agree
}

// What regparser is known to read otherwise than we do; a hive shows who is right. (An index root that lists itself
// is not shown: regparser then fills the stack, which ends the process.)
func TestRegparserDiffers(t *testing.T) {
	db := append([]byte("db"), noise(50)...)
	p := build(t, hivetest.Key{Name: "ROOT", Class: "class", Subkeys: []hivetest.Key{{Name: "Größe"}, {Name: "日本"}},
		Values: []hivetest.Value{
			{Name: "db", Type: 3, Data: db}, {Name: "two", Type: 3, Data: []byte{1, 2}}, {Name: "名", Type: 1, Data: wide("x")},
			{Name: "list", Type: 7, Data: wide("a\x00\x00b\x00\x00")}, dword("dword", 7),
		}}, hivetest.Options{})
	theirs := func() *regparser.CM_KEY_NODE {
		r, err := regparser.NewRegistry(bytes.NewReader(p.data))
		if err != nil {
			t.Fatal(err)
		}
		return r.OpenKey("")
	}
	values := func() map[string]*regparser.CM_KEY_VALUE {
		m := map[string]*regparser.CM_KEY_VALUE{}
		for _, v := range theirs().Values() {
			m[v.ValueName()] = v
		}
		return m
	}
	ours := func(name string) []byte {
		data, err := p.value("", name).Data()
		if err != nil {
			t.Fatal(err)
		}
		return data
	}

	if got := values()["db"].ValueData().Data; len(got) != 0 || !bytes.Equal(ours("db"), db) {
		t.Errorf(`data that begins with "db": regparser has % x, we % x`, got, ours("db"))
	}
	if got := values()["two"].ValueData().Data; len(got) != 4 || !bytes.Equal(ours("two"), []byte{1, 2}) {
		t.Errorf("inline data of 2 bytes: regparser has % x, we % x", got, ours("two"))
	}
	if got := theirs().Subkeys(); got[0].Name() != "Gr\xf6\xdfe" || got[1].Name() != string(wide("日本")) {
		t.Errorf("names of keys: regparser has %q, %q", got[0].Name(), got[1].Name())
	}
	if _, ok := values()[string(wide("名"))]; !ok {
		t.Error("names of values: regparser decodes them")
	}
	if got := values()["list"].ValueData().MultiSz; fmt.Sprintf("%q", got) != `["a" "b"]` {
		t.Errorf("empty strings between others: regparser has %q", got)
	}
	list, err := p.value("", "list").Strings()
	if err != nil || fmt.Sprintf("%q", list) != `["a" "" "b"]` {
		t.Errorf("empty strings between others: we have %q, %v", list, err)
	}

	// A number whose data is cut off.
	v := p.value("", "dword")
	le.PutUint32(p.cell(v.offset)[4:], 4) // no longer inline
	le.PutUint32(p.cell(v.offset)[8:], uint32(len(p.data))-baseBlockSize-8)
	p.data = p.data[:len(p.data)-4]
	if _, err := p.value("", "dword").Uint32(); err == nil {
		t.Error("a number that is cut off: we read it")
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("a number that is cut off: regparser does not panic")
			}
		}()
		values()["dword"].ValueData()
	}()
}

// regparser's recovery stops at the first entry: nothing is applied to what it calls recovered.
func TestRegparserRecoversNothing(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, data []byte) *os.File {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	t.Setenv("TMPDIR", dir)
	hive, log := hivetest.Dirty(stage(0), 3, 2), newLog(2, 0, 1)
	recovered, err := regparser.RecoverHive(file("hive", hive), file("hive.LOG1", log))
	if err != nil {
		t.Fatal(err)
	}
	defer recovered.Close()
	got, err := os.ReadFile(recovered.Name())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, hive) {
		t.Error("regparser has changed the hive")
	}
	h, err := openBytes(hive, Options{Logs: []Log{logOf("LOG1", log)}})
	if err != nil {
		t.Fatal(err)
	}
	if n := stageOf(t, h); n != 1 {
		t.Errorf("we have recovered write %d", n)
	}
}
