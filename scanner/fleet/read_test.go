package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

type numbered struct {
	N int `json:"n"`
}

// fill writes n records with a report, from number 0 on, in an order that is not that of
// their ids.
func fill(t *testing.T, s Store, n int) {
	t.Helper()
	for i := range n {
		number := (i*7 + 3) % n
		putRecord(t, s, number)
	}
}

func putRecord(t *testing.T, s Store, number int) {
	t.Helper()
	began := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	id := fmt.Sprintf("ws-%04d", number)
	data, err := (&Record{
		SchemaVersion: RecordVersion, Target: Target{ID: id, Images: []string{"a"}}, Tool: Tool{"coldcheck", "v1"},
		Started: began, Finished: began, Verdict: scanner.Ready, Report: fmt.Appendf(nil, `{"n": %d, "x": [1]}`, number),
	}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), id, data, Replace); err != nil {
		t.Fatal(err)
	}
}

// Records come in the order of their ids, however many are read at a time.
func TestRead(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, readAhead, readAhead + 2, 3 * readAhead} {
		s := &folderStore{t.TempDir()}
		fill(t, s, n)
		next := 0
		for e, err := range Read[numbered](t.Context(), s) {
			if err != nil || e.Problem != nil {
				t.Fatal(err, e.Problem)
			}
			want := fmt.Sprintf("ws-%04d", next)
			if e.ID != want || e.Record.Target.ID != want || e.Report.N != next || e.Record.Report != nil {
				t.Fatalf("record %d: %+v %+v", next, e.Record, e.Report)
			}
			next++
		}
		if next != n {
			t.Errorf("%d records of %d", next, n)
		}
	}
}

// A reader may end early. Nothing is read after that.
func TestReadEndsEarly(t *testing.T) {
	t.Parallel()
	s := &folderStore{t.TempDir()}
	fill(t, s, 3*readAhead)
	for e, err := range Read[json.RawMessage](t.Context(), s) {
		if err != nil {
			t.Fatal(err)
		}
		if e.ID == "ws-0002" {
			break
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for _, err := range Read[json.RawMessage](ctx, s) {
		cancel()
		last = err
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("canceled: %v", last)
	}
}

// What is no record of the target whose name the file has is a problem, and the others are
// read. Files with other names are not records.
func TestReadProblems(t *testing.T) {
	t.Parallel()
	s := &folderStore{t.TempDir()}
	fill(t, s, 3)
	good, err := s.Get(t.Context(), "ws-0001")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(good), "ws-0001", "ID", 1)
	bad := map[string]string{
		"empty": "", "half": text[:len(text)/2], "list": "[]", "null": "null", "trailing": text + "x",
		"version": strings.Replace(text, `"schema_version":1`, `"schema_version":2`, 1),
		"tool":    strings.Replace(text, `"name":"coldcheck"`, `"name":"other"`, 1),
		"other":   string(good),
		"verdict": strings.Replace(text, `"verdict":"ready"`, `"verdict":"fine"`, 1),
		"exit":    strings.Replace(text, `"exit_code":0`, `"exit_code":4`, 1),
		"report":  strings.Replace(text, `"n":1`, `"n":"one"`, 1),
		"none":    strings.Replace(text, `"report":`, `"reports":`, 1),
		"nothing": strings.Replace(text, `"report":{"n":1,"x":[1]}`, `"report":null`, 1),
		"both":    strings.Replace(text, `"report":`, `"error":{"kind":"io","message":"m"},"report":`, 1),
	}
	for id, content := range bad {
		content = strings.Replace(content, `"ID"`, `"`+id+`"`, 1)
		if content == string(good) && id != "other" {
			t.Fatalf("%s changes nothing", id)
		}
		path, err := s.path(id)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{".coldcheck-x.tmp", "README.txt", "a b.json", ".json"} {
		if err := os.WriteFile(filepath.Join(s.name, records, name), []byte("x"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	read := 0
	for e, err := range Read[numbered](t.Context(), s) {
		_, isBad := bad[e.ID]
		switch {
		case err != nil:
			t.Fatal(err)
		case isBad != (e.Problem != nil), isBad != (e.Record == nil), isBad && e.Report != nil:
			t.Errorf("%s: %+v", e.ID, e)
		case isBad && !errors.Is(e.Problem, ErrRecord):
			t.Errorf("%s: %v", e.ID, e.Problem)
		}
		read++
	}
	if read != 3+len(bad) {
		t.Errorf("%d entries", read)
	}
}

// Records decode as DecodeRecord does, but for the report.
func TestReadAsDecodeRecord(t *testing.T) {
	t.Parallel()
	s := &folderStore{t.TempDir()}
	fill(t, s, 2)
	for e, err := range Read[json.RawMessage](t.Context(), s) {
		if err != nil {
			t.Fatal(err)
		}
		data, err := s.Get(t.Context(), e.ID)
		if err != nil {
			t.Fatal(err)
		}
		r, err := DecodeRecord(data)
		if err != nil {
			t.Fatal(err)
		}
		if string(r.Report) != string(*e.Report) {
			t.Errorf("%s, want %s", *e.Report, r.Report)
		}
	}
}

// failingStore fails for one record.
type failingStore struct {
	Store
	id  string
	err error
}

func (s failingStore) Get(ctx context.Context, id string) ([]byte, error) {
	if id == s.id {
		return nil, s.err
	}
	return s.Store.Get(ctx, id)
}

// A record that cannot be read ends the records with its error. One that was removed
// meanwhile is left out, and one that is too large is a problem.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	s := &folderStore{t.TempDir()}
	fill(t, s, 5)
	for _, c := range []struct {
		err    error
		ids    []string
		passes bool
	}{
		{source.ErrIO, []string{"ws-0000", "ws-0001"}, false},
		{os.ErrNotExist, []string{"ws-0000", "ws-0001", "ws-0003", "ws-0004"}, true},
		{ErrRecord, []string{"ws-0000", "ws-0001", "ws-0002", "ws-0003", "ws-0004"}, true},
	} {
		var ids []string
		var failed error
		for e, err := range Read[numbered](t.Context(), failingStore{s, "ws-0002", c.err}) {
			if failed = err; err == nil {
				ids = append(ids, e.ID)
			}
			if (e.Problem != nil) != (err == nil && e.ID == "ws-0002") {
				t.Errorf("%v: %s: %v", c.err, e.ID, e.Problem)
			}
		}
		if !slices.Equal(ids, c.ids) || (failed == nil) != c.passes || failed != nil && !errors.Is(failed, c.err) {
			t.Errorf("%v: %q, %v", c.err, ids, failed)
		}
	}
	missing := &folderStore{filepath.Join(s.name, "none")}
	for _, err := range Read[numbered](t.Context(), missing) {
		if !errors.Is(err, source.ErrIO) {
			t.Errorf("a folder that does not exist: %v", err)
		}
	}
}
