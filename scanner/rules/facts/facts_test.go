package facts_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// What is unknown is left out of JSON and listed with its reason; what does not exist is null.
func TestUnknownAndNull(t *testing.T) {
	t.Parallel()
	read := 0
	services := []facts.Service{{
		Name: "A", Start: facts.Of("manual"), Account: facts.Null[string](), Image: facts.Unknown[string](errors.New("torn")),
		Exists: facts.Later(func() (bool, error) { read++; return true, nil }),
	}}
	d, err := facts.Collect(t.Context(), requirement.Windows, time.Unix(0, 0), source{"services": services})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"start":"manual"`, `"account":null`, `"exists":true`,
		`{"fact":"services[0].image","reason":"torn"}`, `{"fact":"programs","reason":"programs: not read"}`} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("%s is not in %s", want, text)
		}
	}
	if bytes.Contains(text, []byte(`"image"`)) || read != 1 {
		t.Errorf("read %d times: %s", read, text)
	}
	again, err := facts.ParseDocument(text)
	if err != nil {
		t.Fatal(err)
	}
	r, err := again.Part(t.Context(), "services")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Value.([]any)[0].(*facts.Object).Get("image"); err == nil || err.Error() != "torn" {
		t.Errorf("the reason is %v", err)
	}
	if _, err := again.Part(t.Context(), "programs"); err == nil || err.Error() != "programs: not read" {
		t.Errorf("the reason is %v", err)
	}
}

// Every part, field and function has a description, and a type that a rule can use.
func TestDescriptions(t *testing.T) {
	t.Parallel()
	seen := map[*facts.Type]bool{}
	var check func(path, doc string, of *facts.Type)
	check = func(path, doc string, of *facts.Type) {
		if doc == "" || strings.HasSuffix(doc, ".") {
			t.Errorf("%s is described as %q", path, doc)
		}
		if of == nil || seen[of] {
			return
		}
		seen[of] = true
		for _, a := range of.Attributes {
			check(path+"."+a.Name, a.Doc, a.Type)
		}
		if of.Elem != nil {
			check(path, doc, of.Elem)
		}
	}
	for _, p := range facts.Platforms {
		for _, part := range facts.Parts(p) {
			check(part.Name, part.Doc, part.Type)
		}
		for _, f := range facts.Functions(p) {
			check(f.Name, f.Doc, f.Result)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a fact may have any type of Go")
		}
	}()
	facts.TypeOf(reflect.TypeFor[float64]())
}

func FuzzParseDocument(f *testing.F) {
	f.Add([]byte(`{"schema_version":1,"platform":"linux","now":"2026-03-01T00:00:00Z","facts":{"users":[{"name":"a",` +
		`"uid":1e3,"gid":0,"home":"","shell":"","locked":null}]},"calls":[{"function":"ini","arguments":["a","b","c"],` +
		`"result":[1,"x",null]}],"unknown":[{"fact":"units","reason":"torn"}]}`))
	f.Add([]byte(`{"schema_version":1,"platform":"windows","now":"2026-03-01T00:00:00Z","facts":{"env":{"A":"b"}}}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := facts.ParseDocument(data)
		if err != nil {
			return
		}
		text, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		again, err := facts.ParseDocument(text)
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		if more, err := json.Marshal(again); err != nil || !bytes.Equal(more, text) {
			t.Errorf("%v\n%s\n%s", err, text, more)
		}
	})
}

// source has some parts.
type source map[string]any

func (s source) Part(_ context.Context, name string) (facts.Reading, error) {
	if value, ok := s[name]; ok {
		return facts.Reading{Value: value}, nil
	}
	return facts.Reading{}, errors.New(name + ": not read")
}

func (s source) Call(context.Context, string, []string) (facts.Reading, error) {
	return facts.Reading{}, errors.New("no functions")
}
