package fleet

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coldcheck/coldcheck/scanner"
)

var began = time.Date(2026, 3, 2, 10, 0, 0, 123, time.UTC)

// samples are records of each form.
func samples() map[string]Record {
	plain := Record{SchemaVersion: RecordVersion, Target: twoTargets[0], Tool: Tool{"coldcheck", "v1.2.3"},
		Started: began, Finished: began.Add(time.Second)}
	list := map[string]Record{}
	for verdict, exit := range map[scanner.Verdict]int{scanner.Ready: 0, scanner.NotReady: 1, scanner.Inconclusive: 3} {
		r := plain
		r.Verdict, r.ExitCode, r.Report = verdict, exit, json.RawMessage(`{"verdict":"<&>"}`)
		list[string(verdict)] = r
	}
	for n, kind := range ErrorKinds {
		r := plain
		r.Target = twoTargets[1]
		r.ExitCode, r.Error = []int{4, 64, 74}[n%3], &Error{Kind: kind, Message: "it <is> \x1b broken", Hint: "mend it"}
		list["error "+string(kind)] = r
	}
	for _, basis := range []ReuseBasis{SameIdentity, ChangedBlocks} {
		r := list["ready"]
		r.Reused = &Reused{From: "s3://b/before", Finished: began, Basis: basis, Compared: 5}
		list["reused "+string(basis)] = r
	}
	return list
}

func recordSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(RecordSchema))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("record.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("record.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validate says whether a record is what the schema promises.
func validate(t *testing.T, schema *jsonschema.Schema, record []byte) error {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(record))
	if err != nil {
		return err
	}
	return schema.Validate(doc)
}

// TestRecords: a record is one line of JSON that fits the schema, and is read as it was
// written.
func TestRecords(t *testing.T) {
	t.Parallel()
	schema := recordSchema(t)
	for name, r := range samples() {
		text, err := r.Encode()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if bytes.Count(text, []byte("\n")) != 1 || !bytes.HasSuffix(text, []byte("}\n")) ||
			bytes.Contains(text, []byte(`\u003c`)) {
			t.Errorf("%s: %s", name, text)
		}
		if err := validate(t, schema, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		back, err := DecodeRecord(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if d := cmp.Diff(&r, back); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	spread := samples()["ready"]
	spread.Report = json.RawMessage("\n{\n  \"a\": [\n 1 ]\n}\n")
	if text, err := spread.Encode(); err != nil || !bytes.Contains(text, []byte(`"report":{"a":[1]}`)) {
		t.Errorf("%s %v", text, err)
	}
	text, err := spread.Encode()
	if err != nil {
		t.Fatal(err)
	}
	newer := bytes.Replace(text, []byte(`{"a":[1]}`), []byte(`{"a":[1]},"a_new_field":{"x":1}`), 1)
	if _, err := DecodeRecord(newer); err != nil || validate(t, schema, newer) != nil {
		t.Errorf("a record with a field of a later version: %v", err)
	}
}

// TestInvalidRecords: what is not a record is neither written nor read, and does not fit
// the schema, as far as a schema can say so.
func TestInvalidRecords(t *testing.T) {
	t.Parallel()
	schema := recordSchema(t)
	ready, failed := samples()["ready"], samples()["error io"]
	for name, tt := range map[string]struct {
		from   Record
		change func(r *Record)
		schema bool // it fits the schema
	}{
		"another version":             {ready, func(r *Record) { r.SchemaVersion = 2 }, false},
		"no version":                  {ready, func(r *Record) { r.SchemaVersion = 0 }, false},
		"another tool":                {ready, func(r *Record) { r.Tool.Name = "hotcheck" }, false},
		"no id":                       {ready, func(r *Record) { r.Target.ID = "" }, false},
		"an id with a slash":          {ready, func(r *Record) { r.Target.ID = "../a" }, false},
		"an id with a line end":       {ready, func(r *Record) { r.Target.ID = "a\n" }, false},
		"no images":                   {ready, func(r *Record) { r.Target.Images = nil }, false},
		"an unknown exit code":        {ready, func(r *Record) { r.ExitCode = 2 }, false},
		"it may pass":                 {failed, func(r *Record) { r.ExitCode = 75 }, false},
		"no start":                    {ready, func(r *Record) { r.Started = time.Time{} }, true},
		"it ends before it starts":    {ready, func(r *Record) { r.Finished = began.Add(-1) }, true},
		"neither":                     {ready, func(r *Record) { r.Verdict, r.Report = "", nil }, false},
		"no report":                   {ready, func(r *Record) { r.Report = nil }, false},
		"no verdict":                  {ready, func(r *Record) { r.Verdict = "" }, false},
		"both":                        {ready, func(r *Record) { r.Error = failed.Error }, false},
		"an error with a report":      {failed, func(r *Record) { r.Report = ready.Report }, true},
		"an unknown verdict":          {ready, func(r *Record) { r.Verdict = "passed" }, false},
		"an unknown kind":             {failed, func(r *Record) { r.Error = &Error{Kind: "bad luck", Message: "x"} }, false},
		"a verdict and code 4":        {ready, func(r *Record) { r.ExitCode = 4 }, false},
		"an error and code 0":         {failed, func(r *Record) { r.ExitCode = 0 }, false},
		"a report that is a text":     {ready, func(r *Record) { r.Report = json.RawMessage(`"{}"`) }, false},
		"a report that is null":       {ready, func(r *Record) { r.Report = json.RawMessage(`null`) }, false},
		"a report that is an array":   {ready, func(r *Record) { r.Report = json.RawMessage(`[{}]`) }, false},
		"a report that is not closed": {ready, func(r *Record) { r.Report = json.RawMessage(`{"a":`) }, false},
	} {
		r := tt.from
		tt.change(&r)
		if text, err := r.Encode(); err == nil {
			t.Errorf("%s: written as %s", name, text)
		}
		text, err := json.Marshal(r)
		if err != nil {
			continue // no JSON either
		}
		if back, err := DecodeRecord(text); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: read as %+v, %v", name, back, err)
		}
		if fits := validate(t, schema, text) == nil; fits != tt.schema {
			t.Errorf("%s: it fits the schema: %t", name, fits)
		}
	}
	good, err := ready.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing": "", "a part": string(good[:len(good)/2]), "no record": "{}", "null": "null", "an array": "[]",
		"two": string(good) + string(good), "zeros": strings.Repeat("\x00", 4096), "a tail of zeros": string(good) + "\x00",
		"another type": strings.Replace(string(good), `"exit_code":0`, `"exit_code":"0"`, 1),
	} {
		if r, err := DecodeRecord([]byte(text)); !errors.Is(err, ErrRecord) || r != nil {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// FuzzDecodeRecord: what is read as a record can be written, and is the same then.
func FuzzDecodeRecord(f *testing.F) {
	for _, r := range samples() {
		text, err := r.Encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r, err := DecodeRecord(text)
		if err != nil {
			if !errors.Is(err, ErrRecord) {
				t.Error(err)
			}
			return
		}
		first, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := DecodeRecord(first)
		if err != nil {
			t.Fatal(err)
		}
		if second, err := again.Encode(); err != nil || !bytes.Equal(first, second) {
			t.Errorf("%s, then %s: %v", first, second, err)
		}
	})
}
