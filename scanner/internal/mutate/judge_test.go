//go:build linux

package mutate_test

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// suspect reports whether a change of status needs an explanation from the
// disk: a requirement that is not met came out as met, or the other way round.
func (m move) suspect() bool {
	fine := func(s requirement.Status) bool { return s == requirement.Passed || s == requirement.NotApplicable }
	poor := func(s requirement.Status) bool { return s == requirement.Failed || s == requirement.Warning }
	return poor(m.Was) && fine(m.Is) || fine(m.Was) && m.Is == requirement.Failed
}

// judge scans a damaged image again and fails the test if nothing explains its
// suspect moves. A move is explained by damage that changed the evidence itself:
// something that the scan may rest on reads differently than before, and a
// witness that shares no code with the readers reads it the same way. Whatever
// the witness reads otherwise is a defect of the readers, and so is a move
// without any change.
func (s *surveyed) judge(t *testing.T, seed uint64) {
	t.Helper()
	damaged := s.plan.Damage(seed)
	r, result := s.scan(damaged)
	if result == nil {
		t.Fatalf("refused, and was not before: %s", r.Error)
	}
	before, after := newReadings(s.images, s.result), newReadings(damaged.Images, result)
	changes := after.changed(before)
	for id, m := range r.Moves {
		if m.suspect() && m.Is != requirement.Failed && beside(findingOf(s.result, id).Evidence, before, after, changes) {
			t.Errorf("%s: %s by %v: none of the values that decided has changed, but others of their keys", id, m, damaged.Steps)
		}
	}
	if problem := unexplained(newTools(t, s, damaged.Images, result), after, changes); problem != "" {
		t.Errorf("%s\nby %v\n%s", strings.Join(r.suspects(), "\n"), damaged.Steps, problem)
	}
}

func findingOf(r *scanner.Result, id string) requirement.Finding {
	i := slices.IndexFunc(r.Findings, func(f requirement.Finding) bool { return f.ID == id })
	return r.Findings[i]
}

// beside reports whether the damage changed only values next to those that a
// finding rests on, in the same keys. Such damage cannot fix the problem of the
// finding, even if the changed values are certain. A service that loses the
// name of its program still has its account.
func beside(evidence []requirement.Evidence, before, after *readings, changes []item) bool {
	for _, i := range changes {
		if i.kind != "key" {
			return false
		}
		names := changedValues(before.read(i), after.read(i))
		if names == nil {
			return false // the subkeys, or all of the key
		}
		rests := false
		for _, e := range evidence {
			if e.Path != i.path || !strings.EqualFold(e.Key, i.key) {
				continue
			}
			if rests = true; e.Value == "" || names[strings.ToLower(e.Value)] {
				return false
			}
		}
		if !rests {
			return false
		}
	}
	return len(changes) > 0
}

// changedValues are the names in lower case of the values in which two readings
// of a key differ; nil if they differ in more.
func changedValues(was, is string) map[string]bool {
	before, values, ok1 := strings.Cut(was, "values ")
	after, others, ok2 := strings.Cut(is, "values ")
	if before != after || !ok1 || !ok2 {
		return nil
	}
	names := map[string]bool{}
	list, other := strings.Fields(values), strings.Fields(others)
	for _, pair := range [][2][]string{{list, other}, {other, list}} {
		for _, line := range pair[0] {
			if !slices.Contains(pair[1], line) {
				name, _, _ := strings.Cut(line, ":")
				text, _ := hex.DecodeString(name)
				names[strings.ToLower(string(text))] = true
			}
		}
	}
	return names
}

// suspects are the changes of status that need an explanation.
func (r report) suspects() (list []string) {
	for _, id := range slices.Sorted(maps.Keys(r.Moves)) {
		if r.Moves[id].suspect() {
			list = append(list, fmt.Sprintf("%s: %s", id, r.Moves[id]))
		}
	}
	return list
}

// unexplained says why the changes explain nothing, "" if they do.
func unexplained(w *tools, after *readings, changes []item) string {
	confirmed := 0
	var problems []string
	check := func(i item, told string) {
		switch read := after.read(i); {
		case strings.HasPrefix(read, "error"): // that makes nothing pass
		case read == told:
			confirmed++
		default:
			problems = append(problems, fmt.Sprintf("%s: read %.200s\n\ta witness reads %.200s", i, read, told))
		}
	}
	for len(changes) > 0 {
		i := changes[0]
		if i.kind != "key" {
			check(i, w.read(i))
			changes = changes[1:]
			continue
		}
		n := 0
		var paths []string
		for n < len(changes) && changes[n].kind == "key" && changes[n].path == i.path && changes[n].role == i.role {
			paths = append(paths, changes[n].key)
			n++
		}
		for k, told := range w.keys(i, paths) {
			check(changes[k], told)
		}
		changes = changes[n:]
	}
	if len(problems) > 0 {
		return strings.Join(problems, "\n")
	}
	if confirmed == 0 {
		return "nothing that was read has changed"
	}
	return ""
}

// TestBeside makes sure that a value next to the deciding ones explains
// nothing.
func TestBeside(t *testing.T) {
	value := func(name, data string) string { return fmt.Sprintf("%x:1:%x", name, data) }
	reading := func(values ...string) string { return "keys 61 values " + strings.Join(values, " ") }
	key := item{kind: "key", role: "root", path: "SYSTEM", key: `services\x`}
	whole := reading(value("ImagePath", "x.exe"), value("ObjectName", `CORP\svc`))
	evidence := []requirement.Evidence{{Path: "SYSTEM", Key: `Services\X`, Value: "objectname"}}
	for name, c := range map[string]struct {
		after string
		want  bool
	}{
		"another value":     {reading(value("ImagePeth", "x.exe"), value("ObjectName", `CORP\svc`)), true},
		"the value":         {reading(value("ImagePath", "x.exe"), value("ObjectName", `CORP\svd`)), false},
		"its name":          {reading(value("ImagePath", "x.exe"), value("ObjectNeme", `CORP\svc`)), false},
		"a subkey":          {"keys 62 values " + strings.TrimPrefix(whole, "keys 61 values "), false},
		"the key":           {absent, false},
		"what is not known": {"error: torn", false},
	} {
		before, after := &readings{known: map[item]string{key: whole}}, &readings{known: map[item]string{key: c.after}}
		if got := beside(evidence, before, after, []item{key}); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		if beside(evidence, before, after, []item{key, {kind: "path", role: "root", path: "x"}}) {
			t.Errorf("%s: a file has changed, too", name)
		}
	}
	if beside(evidence, nil, nil, nil) {
		t.Error("without a change")
	}
}
