// Package history collects what changed on a machine, and when, from the traces that changes leave.
package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Kind is what changed.
type Kind string

// The kinds of changes.
const (
	Service     Kind = "service"     // of Windows, or a driver that is one
	Update      Kind = "update"      // of Windows
	Package     Kind = "package"     // of AppX, rpm or dpkg
	Profile     Kind = "profile"     // of a user
	Start       Kind = "start"       // the system started, or stopped
	Upgrade     Kind = "upgrade"     // to another version of Windows, or its installation
	Application Kind = "application" // installed, or its registration changed
	Driver      Kind = "driver"
	Sysprep     Kind = "sysprep"
	Setting     Kind = "setting" // another one of the system
)

// Precision is how exact a time is.
type Precision string

// The precisions. All times are in UTC.
const (
	Exact Precision = "exact" // to the second or better
	// Local is to the second, in local time that was converted with the machine's present time zone: daylight saving may
	// shift it by an hour.
	Local Precision = "local"
	Day   Precision = "day" // only the day is known, in local time
)

// Change is something that changed.
type Change struct {
	Time      time.Time // UTC; of Day, midnight
	Precision Precision
	Kind      Kind
	Subject   string // what it is about, to join what several traces say: the name of a service, a package
	What      string // a sentence without its full stop
	Evidence  []requirement.Evidence
}

// Looked is a source of changes that was looked through.
type Looked struct {
	Name     string // "Services", "Event log System"
	Evidence requirement.Evidence
	Found    int    // changes in the time that was asked for
	Problem  string // why it may lack some; "" if nothing is known of that
}

// Line is a line of a log.
type Line struct {
	Time      time.Time // UTC; zero if the line has none
	Precision Precision
	Text      string
	Evidence  requirement.Evidence
}

// Run is an attempt to do something that a log reports.
type Run struct {
	Begin, End time.Time // UTC; zero if not known. End is when it failed
	Failed     bool
	Lines      []Line // its beginning and its errors, in the order of the log
	Cause      string // what is known to lead to such errors; "" if nothing is
	Remedy     string // against the cause
}

// Log collects changes of a time.
type Log struct {
	From, To time.Time // both inclusive
	Changes  []Change
	Looked   []Looked

	before int // length of Changes when the present source began
}

// Bounds of a Log.
const (
	most = 100_000 // changes that are kept
	// many changes of one kind in one minute are one, such as those of an installation.
	many = 8
	// same is how far apart traces of one change are at most.
	same = 2 * time.Minute
)

// Within reports whether a time is one that is asked for.
func (l *Log) Within(t time.Time) bool { return !t.IsZero() && !t.Before(l.From) && !t.After(l.To) }

// Add adds a change, if it is of the time that is asked for.
func (l *Log) Add(c Change) {
	if c.Precision == "" {
		c.Precision = Exact
	}
	c.Time = c.Time.UTC()
	in := l.Within(c.Time)
	if c.Precision == Day {
		in = !c.Time.IsZero() && c.Time.AddDate(0, 0, 1).After(l.From) && !c.Time.After(l.To)
	}
	if in && len(l.Changes) < most {
		l.Changes = append(l.Changes, c)
	}
}

// Source records that a source was looked through, from which all changes are that were added since the last call.
func (l *Log) Source(name string, evidence requirement.Evidence, err error) {
	s := Looked{Name: name, Evidence: evidence, Found: len(l.Changes) - l.before}
	if err != nil {
		s.Problem = err.Error()
	}
	if len(l.Changes) == most {
		s.Problem = strings.TrimPrefix(s.Problem+fmt.Sprintf("; at most %d changes are kept", most), "; ")
	}
	l.before = len(l.Changes)
	l.Looked = append(l.Looked, s)
}

// Sorted returns the changes in the order of their times. Traces of one change are joined, and so are many changes of
// one kind in one minute.
func (l *Log) Sorted() []Change {
	list := slices.Clone(l.Changes)
	slices.SortStableFunc(list, func(a, b Change) int { return a.Time.Compare(b.Time) })
	return grouped(joined(list))
}

// joined joins traces that say the same of one subject.
func joined(list []Change) []Change {
	var out []Change
	last := map[string]int{} // by kind and subject, in out
	for _, c := range list {
		key := string(c.Kind) + "\x00" + strings.ToLower(c.Subject)
		at, ok := last[key]
		if c.Subject == "" || !ok || c.Precision == Day || out[at].Precision == Day || c.Time.Sub(out[at].Time) > same {
			last[key] = len(out)
			out = append(out, c)
			continue
		}
		o := &out[at]
		// Of several texts, the longest says the most.
		if len(c.What) > len(o.What) {
			o.What = c.What
		}
		o.Evidence = append(slices.Clip(o.Evidence), c.Evidence...)
	}
	return out
}

// grouped makes one change of many of one kind in one minute that a single trace reports each.
func grouped(list []Change) []Change {
	minute := func(c Change) string {
		return string(c.Kind) + string(c.Precision) + c.Time.Truncate(time.Minute).Format(time.RFC3339)
	}
	count := map[string]int{}
	for _, c := range list {
		if groups(c) {
			count[minute(c)]++
		}
	}
	var out []Change
	at := map[string]int{}
	names := map[string][]string{}
	for _, c := range list {
		key := minute(c)
		if !groups(c) || count[key] <= many {
			out = append(out, c)
			continue
		}
		names[key] = append(names[key], c.Subject)
		if n, ok := at[key]; ok {
			if len(out[n].Evidence) < many {
				out[n].Evidence = append(slices.Clip(out[n].Evidence), c.Evidence[0])
			}
			continue
		}
		at[key] = len(out)
		c.Subject, c.Evidence = "", slices.Clip(c.Evidence[:1])
		out = append(out, c)
	}
	for key, n := range at {
		out[n].What = fmt.Sprintf("%d changes: %s", len(names[key]), prose.List(names[key], 4))
	}
	return out
}

// groups reports whether a change may be one of many.
func groups(c Change) bool {
	return c.Subject != "" && len(c.Evidence) == 1 && cmp.Or(c.Kind, Start) != Start && c.Kind != Sysprep
}
