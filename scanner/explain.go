package scanner

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/history"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// DefaultWindow is how long before a failure Explain looks for changes, unless Input.Window is set.
const DefaultWindow = 14 * 24 * time.Hour

// MaxWindow is the longest Input.Window.
const MaxWindow = 3660 * 24 * time.Hour

// maxChanges is how many changes before a failure are kept. The newest are.
const maxChanges = 500

// Explanation says why image creations and runs of Sysprep failed.
type Explanation struct {
	Started  time.Time // of the examination, UTC
	Finished time.Time
	Images   []string // as they were named
	With     []string // documents from outside the disk, as they were named
	Platform Platform
	Window   time.Duration
	RuleBook RuleBook // by which the findings were judged

	Failures []Failure // images in the order of the documents, then runs of Sysprep from the oldest to the newest
	Looked   []Looked  // what was looked through, once for all failures
	Notices  []requirement.Notice
}

// FailureKind is what failed.
type FailureKind string

// The kinds of failures.
const (
	FailedImage   FailureKind = "image"   // a document says so
	FailedSysprep FailureKind = "sysprep" // a log on the disk says so
)

// Failure is an image creation, an import or a run of Sysprep that failed.
type Failure struct {
	Kind FailureKind
	// Of an image:
	ImageID   string
	ImageName string       // "" if the document does not have it
	Codes     []ImageError // why it failed, as the service says, and what explains that
	// Of Sysprep, the run; its cause is "" if nothing is known to lead to its errors.
	Run *Run
	// Findings are what the requirements say now of what stops Sysprep.
	Findings []requirement.Finding

	Explained bool // something on the disk explains each code, or the run
	// Time is when it failed, UTC: of an image, when its creation began. It is zero if that is not known.
	Time      time.Time
	Precision Precision
	From, To  time.Time // the time in which changes are listed, UTC
	Lines     []Line    // of the logs of Sysprep, around Time
	Changes   []Change  // in the order of their times
	Omitted   int       // older changes that Changes leaves out, because there are too many
}

// What Explain finds on the disk.
type (
	Change    = history.Change
	Line      = history.Line
	Run       = history.Run
	Looked    = history.Looked
	Precision = history.Precision
)

// historian is a system that knows what changed on it.
type historian interface {
	History(ctx context.Context, l *history.Log)
}

// sysprepRunner is a system with logs of Sysprep.
type sysprepRunner interface {
	Runs() ([]history.Run, []history.Looked)
}

// Explain says why the image creations failed that the documents describe, and the runs of Sysprep that the disk has
// logs of: what explains them, and what changed on the machine before. Errors are those of Scan.
func Explain(ctx context.Context, in Input) (e *Explanation, err error) {
	if in.Window < 0 || in.Window > MaxWindow {
		return nil, fail(ErrUsage, "", "a window must be from 1 hour to %d days", MaxWindow/(24*time.Hour))
	}
	if in.Window == 0 {
		in.Window = DefaultWindow
	}
	err = examine(ctx, in, func(ctx context.Context, in Input, o *opened, m machine) (err error) {
		e, err = o.explain(ctx, in, m)
		return err
	})
	return e, err
}

// explain judges the machine and says what explains the failures.
func (o *opened) explain(ctx context.Context, in Input, m machine) (*Explanation, error) {
	a, err := o.findings(ctx, in, m)
	if err != nil {
		return nil, err
	}
	e := &Explanation{Started: o.started, Platform: m.platform, Window: in.Window, RuleBook: a.judged[0].RuleBook}
	for _, d := range o.documents {
		e.With = append(e.With, d.Name)
	}
	for _, i := range o.volumes.images {
		e.Images = append(e.Images, i.Name)
	}
	err = guard(func() error { e.find(ctx, o, m, a); return nil })
	if err = o.volumes.unlessFailed(ctx, err); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	e.Notices = slices.DeleteFunc(slices.Clone(o.trail.Notices()), func(n requirement.Notice) bool {
		return slices.ContainsFunc(a.imageErrors, func(i ImageError) bool { return i.notice() == n }) // said already
	})
	e.Finished = o.now().UTC()
	return e, nil
}

// find adds the failures and what changed before them.
func (e *Explanation) find(ctx context.Context, o *opened, m machine, a annotated) {
	e.images(a.imageErrors)
	var runs []history.Run
	if s, ok := m.system.(sysprepRunner); ok {
		runs, e.Looked = s.Runs()
	}
	for _, r := range runs {
		if !r.Failed {
			continue
		}
		f := Failure{Kind: FailedSysprep, Run: &r, Time: r.End, Precision: history.Local, Explained: r.Cause != "",
			Lines: r.Lines}
		for _, one := range a.judged[0].Findings {
			if one.ID == sysprepRequirement || one.ID == rearmRequirement && notMet(one.Status) {
				f.Findings = append(f.Findings, one)
			}
		}
		e.Failures = append(e.Failures, f)
	}
	newest := o.volumes.root.newest(o.started)
	all := history.Log{}
	for i := range e.Failures {
		f := &e.Failures[i]
		f.To = f.Time
		if f.To.IsZero() {
			f.To = newest // of the disk: nothing later is on it
		}
		f.From = f.To.Add(-e.Window)
		if f.Kind == FailedImage {
			f.Lines = linesAround(runs, f.Time)
		}
		if all.From.IsZero() || f.From.Before(all.From) {
			all.From = f.From
		}
		if f.To.After(all.To) {
			all.To = f.To
		}
	}
	h, ok := m.system.(historian)
	if !ok || len(e.Failures) == 0 {
		return
	}
	h.History(ctx, &all)
	e.Looked = append(e.Looked, all.Looked...)
	for i := range e.Failures {
		e.Failures[i].changes(&all)
	}
}

// The requirements on what stops Sysprep.
const (
	sysprepRequirement = "win.sysprep.compatible"
	rearmRequirement   = "win.rearm.nonzero"
)

// images adds the images that failed, each once.
func (e *Explanation) images(list []ImageError) {
	at := map[string]int{}
	for _, one := range list {
		key := one.Document + "\x00" + one.ImageID
		n, ok := at[key]
		if !ok {
			n = len(e.Failures)
			at[key] = n
			when, precision := createdTime(one.Created)
			e.Failures = append(e.Failures, Failure{Kind: FailedImage, ImageID: one.ImageID, ImageName: one.ImageName,
				Explained: true, Time: when, Precision: precision})
		}
		f := &e.Failures[n]
		f.Codes = append(f.Codes, one)
		f.Explained = f.Explained && one.Explained
	}
}

// createdTime reads when an image was created, which the service's command prints as a date or in seconds since 1970.
func createdTime(text string) (time.Time, Precision) {
	text = strings.TrimSpace(text)
	for _, layout := range []string{
		time.RFC3339Nano, "2006-01-02T15:04:05.999999999-0700", "2006-01-02 15:04:05.999999999-07:00",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), history.Exact
		}
	}
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds > 0 && seconds < 1<<34 {
		return time.UnixMilli(int64(seconds * 1000)).UTC(), history.Exact
	}
	return time.Time{}, ""
}

// around is how far from an image creation runs of Sysprep may be part of it.
const around = 24 * time.Hour

// linesAround returns the lines of the runs of Sysprep around a time, which may be zero: then of all.
func linesAround(runs []history.Run, when time.Time) []Line {
	var lines []Line
	for _, r := range runs {
		if when.IsZero() || r.End.Sub(when).Abs() <= around {
			lines = append(lines, r.Lines...)
		}
	}
	return lines
}

// changes takes what changed before the failure.
func (f *Failure) changes(all *history.Log) {
	own := history.Log{From: f.From, To: f.To}
	for _, c := range all.Changes {
		own.Add(c)
	}
	f.Changes = own.Sorted()
	if more := len(f.Changes) - maxChanges; more > 0 {
		f.Changes, f.Omitted = slices.Clone(f.Changes[more:]), more
	}
}

// Image is the display name of an image that failed.
func (f Failure) Image() string {
	return ImageError{ImageID: f.ImageID, ImageName: f.ImageName}.Image()
}
