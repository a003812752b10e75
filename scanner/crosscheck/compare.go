package crosscheck

import (
	"fmt"
	"strings"
	"time"
)

// difference returns where two readings differ, "" if they do not. by is the
// reader that made the second one.
func (want Reading) difference(got Reading, by string) string {
	switch {
	case want.Found && !got.Found:
		return "not found by " + by
	case !want.Found && got.Found:
		return "found only by " + by
	}
	var parts []string
	compare := func(name string, equal bool, ours, theirs any) {
		if !equal {
			parts = append(parts, fmt.Sprintf("%s is %v, but %v in %s", name, ours, theirs, by))
		}
	}
	compare("the kind", want.What == got.What, want.What, got.What)
	compare("the size", want.Size == got.Size, want.Size, got.Size)
	compare("the number of files", want.Files == got.Files, want.Files, got.Files)
	compare("the target", want.Target == got.Target, want.Target, got.Target)
	compare("the record", want.Record == 0 || want.Record == got.Record, want.Record, got.Record)
	compare("the time", want.Modified == 0 || want.Modified == got.Modified, clock(want.Modified), clock(got.Modified))
	compare("the type", want.Type == got.Type, want.Type, got.Type)
	if want.Content != "" && want.Content != got.Content {
		parts = append(parts, by+" reads different content")
	}
	for _, l := range []struct {
		name         string
		ours, theirs *List
	}{{"names", want.Names, got.Names}, {"values", want.Values, got.Values}} {
		switch {
		case l.ours == nil:
		case l.theirs == nil:
			parts = append(parts, fmt.Sprintf("%s lists no %s", by, l.name))
		case l.ours.Count != l.theirs.Count:
			parts = append(parts, fmt.Sprintf("the number of %s is %d, but %d in %s",
				l.name, l.ours.Count, l.theirs.Count, by))
		case l.ours.Digest != l.theirs.Digest:
			parts = append(parts, fmt.Sprintf("%s reads different %s", by, l.name))
		}
	}
	return strings.Join(parts, "; ")
}

func clock(seconds int64) string {
	if seconds == 0 {
		return "none"
	}
	return time.Unix(seconds, 0).UTC().Format(time.RFC3339)
}
