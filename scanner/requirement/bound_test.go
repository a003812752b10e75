package requirement

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestBoundOrdinary makes sure that what a finding has room for stays as it is.
func TestBoundOrdinary(t *testing.T) {
	o := Fail(strings.Repeat("m", maxText))
	for range maxShare/(evidenceCost+4) - 1 {
		o = o.With(Evidence{Source: "root"})
	}
	o.Details = struct {
		List []string          `json:"list"`
		None []string          `json:"none"`
		Map  map[string]int    `json:"map,omitempty"`
		At   time.Time         `json:"at"`
		Raw  json.RawMessage   `json:"raw"`
		Any  []any             `json:"any"`
		Of   *struct{ N *int } `json:"of"`
		hide []string
	}{List: strings.Fields(strings.Repeat("x ", 1000)), At: time.Unix(1, 0).UTC(), Raw: json.RawMessage(`{"a":1}`),
		Any: []any{1, "x", nil}, Of: &struct{ N *int }{}}
	got, left := bound(o)
	if left.Any() {
		t.Errorf("left out: %+v", left)
	}
	if len(got.Evidence) != len(o.Evidence) || got.Message != o.Message {
		t.Errorf("%d pieces, a message of %d bytes", len(got.Evidence), len(got.Message))
	}
	want, _ := json.Marshal(o.Details)
	have, err := json.Marshal(got.Details)
	if diff := cmp.Diff(string(want), string(have)); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestBound gives a finding more than it can carry of everything.
func TestBound(t *testing.T) {
	type inner struct{ Texts []string }
	for name, c := range map[string]struct {
		outcome Outcome
		left    func(o Outcome, l Omitted) bool
	}{
		"message": {Fail(strings.Repeat("m", maxText+1)),
			func(o Outcome, l Omitted) bool { return l == Omitted{Texts: 1} }},
		"remediation": {Outcome{Remediation: strings.Repeat("m", maxText+1)},
			func(o Outcome, l Omitted) bool { return l == Omitted{Texts: 1} }},
		"pieces": {Fail("x", make([]Evidence, 100_000)...), func(o Outcome, l Omitted) bool {
			return l == Omitted{Evidence: 100_000 - len(o.Evidence)} && len(o.Evidence) == maxShare/evidenceCost
		}},
		"subjects": {Outcome{Subjects: make([]Subject, 100_000)}, func(o Outcome, l Omitted) bool {
			return l == Omitted{Subjects: 100_000 - len(o.Subjects)} && len(o.Subjects) == maxShare/subjectCost
		}},
		"long evidence": {Fail("x", Evidence{Path: strings.Repeat("\x01", maxText), Data: strings.Repeat("d", 1<<20)},
			Evidence{Data: strings.Repeat("\x02", 1<<20)}), func(o Outcome, l Omitted) bool {
			return l == Omitted{Texts: 3} && len(o.Evidence) == 2 &&
				strings.HasSuffix(o.Evidence[0].Data, fmt.Sprintf("(%d more bytes)", 1<<20-maxData))
		}},
		"a long list": {Outcome{Details: make([]int, 100_000)}, func(o Outcome, l Omitted) bool {
			return l == Omitted{Details: 99_000} && len(o.Details.([]int)) == 1_000
		}},
		"lists in lists": {Outcome{Details: map[string]any{"a": []inner{{make([]string, 5_000)}},
			"b": &inner{make([]string, 4_000)}}}, func(o Outcome, l Omitted) bool {
			return l.Details == 7_000 && len(o.Details.(map[string]any)["b"].(*inner).Texts) == 1_000
		}},
		"a list of long texts": {Outcome{Details: map[string][]string{"x": repeat(strings.Repeat("x", 4_000), 900)}},
			func(o Outcome, l Omitted) bool {
				return l.Details > 0 && l.Texts > 0 && l.Details+len(o.Details.(map[string][]string)["x"]) == 900
			}},
		"a map": {Outcome{Details: numbers(5_000)}, func(o Outcome, l Omitted) bool {
			return l == Omitted{Details: 4_000} && o.Details.(map[string]int)["00000"] == 0 &&
				o.Details.(map[string]int)["00999"] == 999
		}},
		"deep": {Outcome{Details: deep(200)}, func(o Outcome, l Omitted) bool { return l.Details == 1 }},
		"wide": {Outcome{Details: wide(8)}, func(o Outcome, l Omitted) bool { return l.Details > 0 }},
	} {
		before, _ := json.Marshal(c.outcome.Details)
		o, l := bound(c.outcome)
		if !c.left(o, l) {
			t.Errorf("%s: %+v, %d pieces", name, l, len(o.Evidence))
		}
		if text, err := json.MarshalIndent(o.Details, "      ", "  "); len(text) > maxShare || err != nil {
			t.Errorf("%s: details of %d bytes, %v", name, len(text), err)
		}
		if after, _ := json.Marshal(c.outcome.Details); string(after) != string(before) {
			t.Errorf("%s: what the judgement has was changed", name)
		}
	}
}

func repeat(s string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = s
	}
	return list
}

func numbers(n int) map[string]int {
	m := map[string]int{}
	for i := range n {
		m[fmt.Sprintf("%05d", i)] = i
	}
	return m
}

func deep(n int) any {
	var v any = "x"
	for range n {
		v = []any{v}
	}
	return v
}

func wide(depth int) any {
	if depth == 0 {
		return "x"
	}
	v := wide(depth - 1)
	return []any{v, v, v, v}
}
