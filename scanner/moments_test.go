package scanner

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func TestApart(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		root, user time.Time
		says       bool
	}{
		"of one moment":              {at, at, false},
		"a day":                      {at, at.Add(-24 * time.Hour), false},
		"more than a day":            {at, at.Add(-24*time.Hour - time.Second), true},
		"more than a day, otherwise": {at.Add(-25 * time.Hour), at, true},
		"root not known":             {time.Time{}, at, false},
		"user not known":             {at, time.Time{}, false},
	} {
		if got := apart(c.root, c.user); (got != "") != c.says || c.says && strings.Count(got, "2026-0") != 2 {
			t.Errorf("%s: %q", name, got)
		}
	}
}

func TestNewestOf(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 3, n, 0, 0, 0, 0, time.UTC) }
	homes := fstest.MapFS{
		"alice/notes":      {ModTime: day(3)},
		"var/log/messages": {ModTime: day(5)},
		"usr/lib/a/b":      {ModTime: day(9)}, // too deep to be looked at
		"etc/clock":        {ModTime: day(28)},
	}
	system := fstest.MapFS{
		"etc/os-release":   {ModTime: day(2)},
		"var/log/messages": {ModTime: day(5)},
		"srv/data":         {ModTime: day(9)}, // not where a system changes something
		"tmp/x":            {ModTime: day(28)},
	}
	for _, c := range []struct {
		fsys        fstest.MapFS
		until, want time.Time
	}{
		{homes, day(29), day(28)}, {homes, day(27), day(5)}, {homes, day(4), day(3)}, {homes, day(1), time.Time{}},
		{system, day(29), day(28)}, {system, day(27), day(5)}, {system, day(4), day(2)}, {system, day(1), time.Time{}},
	} {
		if got := newestOf(c.fsys, c.until); !got.Equal(c.want) {
			t.Errorf("until %v: %v, want %v", c.until, got, c.want)
		}
	}
}
