//go:build linux

package mutate_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// suspect says whether a move has to be explained by what is on the disk: a
// requirement that is not met came out as met, or the other way round.
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
	if problem := unexplained(newTools(t, s, damaged.Images, result), after, after.changed(before)); problem != "" {
		t.Errorf("%s\nby %v\n%s", strings.Join(r.suspects(), "\n"), damaged.Steps, problem)
	}
}

// suspects are the moves that have to be explained.
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
