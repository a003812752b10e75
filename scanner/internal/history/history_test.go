package history

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var noon = time.Date(2026, 2, 20, 12, 0, 0, 0, time.UTC)

func change(at time.Time, kind Kind, subject, what string) Change {
	return Change{Time: at, Kind: kind, Subject: subject, What: what,
		Evidence: []requirement.Evidence{{Path: what}}}
}

// Changes at both ends of the time count, those a second outside do not. A day counts if part of it does.
func TestAdd(t *testing.T) {
	from := noon.Add(-24 * time.Hour)
	for name, c := range map[string]struct {
		time      time.Time
		precision Precision
		want      int
	}{
		"none":            {time.Time{}, Exact, 0},
		"before":          {from.Add(-time.Second), Exact, 0},
		"begin":           {from, Exact, 1},
		"end":             {noon, Exact, 1},
		"after":           {noon.Add(time.Second), Exact, 0},
		"first day":       {from.Truncate(24 * time.Hour), Day, 1},
		"day before":      {from.Truncate(24*time.Hour).AddDate(0, 0, -1), Day, 0},
		"last day":        {noon.Truncate(24 * time.Hour), Day, 1},
		"day after":       {noon.Truncate(24*time.Hour).AddDate(0, 0, 1), Day, 0},
		"without a clock": {noon, "", 1},
	} {
		l := Log{From: from, To: noon}
		l.Add(Change{Time: c.time, Precision: c.precision})
		if len(l.Changes) != c.want {
			t.Errorf("%s: %d changes, want %d", name, len(l.Changes), c.want)
		}
		for _, got := range l.Changes {
			if got.Precision == "" {
				t.Errorf("%s: no precision", name)
			}
		}
	}
}

func TestSource(t *testing.T) {
	l := Log{From: noon.Add(-time.Hour), To: noon}
	l.Add(change(noon, Service, "a", "a"))
	l.Source("one", requirement.Evidence{}, nil)
	l.Source("two", requirement.Evidence{}, errors.New("torn"))
	if l.Looked[0].Found != 1 || l.Looked[0].Problem != "" || l.Looked[1].Found != 0 || l.Looked[1].Problem != "torn" {
		t.Errorf("%+v", l.Looked)
	}
}

// Traces of one subject within two minutes are one change; a second more, or another kind, makes two.
func TestJoined(t *testing.T) {
	for name, c := range map[string]struct {
		second Change
		want   int
	}{
		"at once":         {change(noon, Service, "AGENT", "Service agent was installed by jdoe"), 1},
		"two minutes":     {change(noon.Add(same), Service, "agent", "x"), 1},
		"more":            {change(noon.Add(same+time.Second), Service, "agent", "x"), 2},
		"another kind":    {change(noon, Driver, "agent", "x"), 2},
		"another subject": {change(noon, Service, "other", "x"), 2},
		"a day":           {Change{Time: noon, Precision: Day, Kind: Service, Subject: "agent", What: "x"}, 2},
	} {
		l := Log{From: noon, To: noon.Add(time.Hour)}
		l.Add(change(noon, Service, "agent", "agent was installed"))
		l.Add(c.second)
		got := l.Sorted()
		if len(got) != c.want {
			t.Errorf("%s: %d changes, want %d", name, len(got), c.want)
		}
		if c.want == 1 && len(got[0].Evidence) != 2 {
			t.Errorf("%s: %d pieces of evidence", name, len(got[0].Evidence))
		}
	}
	l := Log{From: noon, To: noon.Add(time.Hour)}
	l.Add(change(noon, Service, "agent", "short"))
	l.Add(change(noon, Service, "agent", "the longest says most"))
	if got := l.Sorted(); got[0].What != "the longest says most" {
		t.Error(got[0].What)
	}
}

// Eight changes of a kind in a minute are eight, nine are one. Starts are never joined.
func TestGrouped(t *testing.T) {
	for n, want := range map[int]int{many - 1: many - 1, many: many, many + 1: 1} {
		l := Log{From: noon, To: noon.Add(time.Hour)}
		for i := range n {
			l.Add(change(noon.Add(time.Duration(i)*time.Second), Update, fmt.Sprint("KB", i), "x"))
		}
		got := l.Sorted()
		if len(got) != want {
			t.Errorf("%d changes are %d", n, len(got))
		}
		if want == 1 && (got[0].What != "9 changes: KB0, KB1, KB2, KB3 and 5 more" || len(got[0].Evidence) != many) {
			t.Errorf("%s, %d", got[0].What, len(got[0].Evidence))
		}
	}
	l := Log{From: noon, To: noon.Add(time.Hour)}
	for i := range many + 1 {
		l.Add(change(noon, Start, fmt.Sprint(i), "Windows started"))
	}
	if got := l.Sorted(); len(got) != many+1 {
		t.Errorf("%d starts", len(got))
	}
}

func TestMost(t *testing.T) {
	l := Log{From: noon, To: noon.Add(time.Hour)}
	for range most + 1 {
		l.Add(Change{Time: noon})
	}
	l.Source("many", requirement.Evidence{}, nil)
	if len(l.Changes) != most || l.Looked[0].Problem == "" {
		t.Errorf("%d changes, %q", len(l.Changes), l.Looked[0].Problem)
	}
}
