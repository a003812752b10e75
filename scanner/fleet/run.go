package fleet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Options are the options of Run.
type Options struct {
	// Input is that of every scan, without images, documents and user name, which the
	// target has. Share its Remote (source.Options.Shared) between the scans.
	Input scanner.Input
	// Encode makes the JSON report of a scan, and returns the exit code of coldcheck scan,
	// which is 0, 1 or 3.
	Encode func(r *scanner.Result) (report []byte, exitCode int, err error)
	// Version is that of the program.
	Version string
	// Jobs is how many scans run at a time; GOMAXPROCS if 0. Input.MaxMemory is for each.
	Jobs int
	// Again says which targets are scanned that have a record.
	Again Again
	// Reuse takes verdicts from earlier records; nil for none.
	Reuse *Reuse
	// Settings are what decides a verdict besides the target and Version, in any form. A
	// record is reused only by runs with the same ones.
	Settings string
	// Timeout ends a scan that takes longer; 0 for no bound. Such a target has no record.
	Timeout time.Duration
	// Done is called when a target is done, by one goroutine at a time. s counts it. Done
	// may be nil.
	Done func(o Outcome, s Summary)

	scan func(ctx context.Context, in scanner.Input) (*scanner.Result, error) // scanner.Scan if nil
	now  func() time.Time                                                     // time.Now if nil
	most int                                                                  // bytes of a record; MaxRecord if 0
}

// Again says which targets are scanned again.
type Again string

// The choices.
const (
	AgainNone   Again = ""       // none: a record stays
	AgainErrors Again = "errors" // those whose record has an error, or cannot be read
	AgainAll    Again = "all"
)

// Outcome is what became of a target.
type Outcome struct {
	ID string
	// Record is the record that was written; nil if none was.
	Record *Record
	// Err is why there is no record; nil if there is one, from this run or from before.
	Err error
}

// Summary counts targets.
type Summary struct {
	Targets  int                     // of the run
	Had      int                     // that had a record before, which stays
	Verdicts map[scanner.Verdict]int // of the records that were written
	Errors   map[ErrorKind]int       // of the records that were written
	Pending  int                     // that have no record, and may have one next time
	Reused   int                     // of the records that were written, with the verdict of an earlier one
}

// Recorded is how many records with a verdict were written.
func (s Summary) Recorded() int { return sum(s.Verdicts) }

// Failed is how many records with an error were written.
func (s Summary) Failed() int { return sum(s.Errors) }

// Done is how many targets are done.
func (s Summary) Done() int { return s.Had + s.Recorded() + s.Failed() + s.Pending }

func sum[K comparable](m map[K]int) (n int) {
	for _, count := range m {
		n += count
	}
	return n
}

// ErrTimeout is the error for a target whose scan takes longer than Options.Timeout. It is
// a source.ErrPassing.
var ErrTimeout = kind.New("the scan takes too long", kind.Passing)

// grace is how long a scan that was ended may take to stop before it is left alone.
const grace = 5 * time.Second

// Run scans targets and writes a record of each. A target that can never be scanned has a
// record with an error. One that could not be scanned for a reason that may pass has none,
// and is counted as pending; that is no error of Run.
//
// The error is the cause of the context's end, or that of the store, whose errors that do
// not pass end the run. Records that were written stay.
func Run(ctx context.Context, targets []Target, store Store, o Options) (Summary, error) {
	if o.scan == nil {
		o.scan = scanner.Scan
	}
	if o.now == nil {
		o.now = time.Now
	}
	if o.most == 0 {
		o.most = MaxRecord
	}
	if o.Jobs < 1 {
		o.Jobs = runtime.GOMAXPROCS(0)
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	r := &run{Options: o, store: store, end: end}
	r.summary = Summary{Targets: len(targets), Verdicts: map[scanner.Verdict]int{}, Errors: map[ErrorKind]int{}}
	var next atomic.Int64
	var jobs sync.WaitGroup
	for range min(o.Jobs, len(targets)) {
		jobs.Go(func() {
			for ctx.Err() == nil {
				n := next.Add(1) - 1
				if n >= int64(len(targets)) {
					return
				}
				r.target(ctx, targets[n])
			}
		})
	}
	jobs.Wait()
	return r.summary, context.Cause(ctx)
}

type run struct {
	Options
	store Store
	end   context.CancelCauseFunc

	mu      sync.Mutex
	summary Summary
}

// target scans a target and writes its record.
func (r *run) target(ctx context.Context, t Target) {
	over, wanted, err := r.wanted(ctx, t.ID)
	if err != nil {
		r.storeFailed(ctx, t.ID, err)
		return
	}
	if !wanted {
		r.done(Outcome{ID: t.ID})
		return
	}
	record, err := r.record(ctx, t)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		r.done(Outcome{ID: t.ID, Err: err})
		return
	}
	data, err := record.Encode()
	if err == nil && len(data) > r.most {
		err = fmt.Errorf("%w: its record has %d bytes, more than %d", kind.Limit, len(data), r.most)
	}
	if err != nil {
		record.fail(err)
		if data, err = record.Encode(); err != nil {
			r.end(err)
			return
		}
	}
	written, err := r.store.Put(ctx, t.ID, data, over)
	switch {
	case err != nil:
		r.storeFailed(ctx, t.ID, err)
	case written:
		r.done(Outcome{ID: t.ID, Record: record})
	default: // another process was faster
		r.done(Outcome{ID: t.ID})
	}
}

// wanted reports whether a target is to be scanned, and whether its record is to be written
// over another one.
func (r *run) wanted(ctx context.Context, id string) (over Over, wanted bool, err error) {
	switch r.Again {
	case AgainAll:
		return Replace, true, nil
	case AgainErrors:
		data, err := r.store.Get(ctx, id)
		switch {
		case errors.Is(err, ErrRecord):
			return Replace, true, nil
		case errors.Is(err, os.ErrNotExist):
			return Keep, true, nil
		case err != nil:
			return Keep, false, err
		}
		record, err := DecodeRecord(data)
		return Replace, err != nil || record.Error != nil || record.Target.ID != id, nil
	}
	has, err := r.store.Has(ctx, id)
	return Keep, !has, err
}

// storeFailed ends the run, unless the error of the store may pass.
func (r *run) storeFailed(ctx context.Context, id string, err error) {
	switch {
	case ctx.Err() != nil:
	case errors.Is(err, kind.Passing):
		r.done(Outcome{ID: id, Err: err})
	default:
		r.end(err)
	}
}

func (r *run) done(o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case o.Err != nil:
		r.summary.Pending++
	case o.Record == nil:
		r.summary.Had++
	case o.Record.Error != nil:
		r.summary.Errors[o.Record.Error.Kind]++
	default:
		r.summary.Verdicts[o.Record.Verdict]++
		if o.Record.Reused != nil {
			r.summary.Reused++
		}
	}
	if r.Done != nil {
		r.Done(o, r.summary)
	}
}

// record scans a target. The error is that of a scan that may succeed next time.
func (r *run) record(ctx context.Context, t Target) (*Record, error) {
	started := r.now()
	record := &Record{SchemaVersion: RecordVersion, Target: t.shown(), Tool: Tool{toolName, r.Version}}
	s, err := r.scanWithin(ctx, t)
	record.Started = started.UTC()
	record.Finished = record.Started.Add(max(r.now().Sub(started), 0)) // whatever happens to the clock meanwhile
	switch {
	case err != nil && passes(err):
		return nil, err
	case err != nil:
		record.fail(err)
	case len(s.changed) > 0:
		return nil, fmt.Errorf("%w: %s", source.ErrChanged, strings.Join(s.changed, "; "))
	default:
		record.ExitCode, record.Verdict, record.Report = s.exitCode, s.verdict, s.report
		record.Reused, record.Inputs = s.reused, s.inputs
	}
	return record, nil
}

// scanned is what a record needs of a scan.
type scanned struct {
	exitCode int
	verdict  scanner.Verdict
	report   []byte
	changed  []string
	reused   *Reused
	inputs   *Inputs // nil if they cannot be told
}

// scanWithin scans a target within the time that it may take. A scan that does not stop
// when its time is over is left alone: it may hang in a read that never ends.
func (r *run) scanWithin(ctx context.Context, t Target) (scanned, error) {
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		late := fmt.Errorf("%w: more than %v", ErrTimeout, r.Timeout)
		ctx, cancel = context.WithTimeoutCause(ctx, r.Timeout, late)
		defer cancel()
	}
	type answer struct {
		scanned
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		var a answer
		defer func() {
			if p := recover(); p != nil {
				a = answer{err: fmt.Errorf("%w: %v", errPanic, p)}
			}
			answers <- a
		}()
		a.scanned, a.err = r.scanTarget(ctx, t)
	}()
	var a answer
	select {
	case a = <-answers:
	case <-ctx.Done():
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case a = <-answers:
		case <-timer.C:
		}
	}
	if ctx.Err() != nil {
		return scanned{}, context.Cause(ctx)
	}
	return a.scanned, a.err
}

// maxDocument bounds a document, in bytes.
const maxDocument = 64 << 20

func (r *run) scanTarget(ctx context.Context, t Target) (s scanned, err error) {
	in := r.Input
	in.UserName = t.UserName
	in.Images, in.With = nil, nil
	for _, name := range t.Images {
		in.Images = append(in.Images, scanner.File(name))
	}
	for _, name := range t.With {
		data, err := source.ReadAll(ctx, name, maxDocument, in.Remote)
		switch {
		case errors.Is(err, source.ErrTooLarge), errors.Is(err, kind.ErrNotImage):
			return s, kind.Mark(err, scanner.ErrUsage)
		case err != nil:
			return s, kind.Input(err)
		}
		in.With = append(in.With, scanner.Document{Name: source.ShownName(name), Data: data})
	}
	settings := settingsOf(r.Settings, r.Version, t, in.With)
	if r.Reuse != nil {
		if s, ok := r.Reuse.take(ctx, t, settings, r.now(), in); ok {
			return s, nil
		}
	}
	result, err := r.scan(ctx, in)
	if err != nil {
		return s, err
	}
	if in.CrossCheck == nil { // its reads are not known
		s.inputs = inputsOf(result, in.Policy, settings)
	}
	s.verdict, s.changed = result.Verdict, slices.Clone(result.Changed)
	s.report, s.exitCode, err = r.Encode(result)
	return s, err
}

// shown is the target without the secrets in the names of images and documents.
func (t Target) shown() Target {
	names := func(list []string) (shown []string) {
		for _, name := range list {
			shown = append(shown, source.ShownName(name))
		}
		return shown
	}
	t.Images, t.With = names(t.Images), names(t.With)
	return t
}

// OpenTargets reads the list of a name with ReadTargets: a file, or a list in S3.
func OpenTargets(ctx context.Context, name string, o source.Options) ([]Target, error) {
	return OpenShard(ctx, name, o, Shard{0, 1})
}

// OpenShard reads the list of a name with ReadShard.
func OpenShard(ctx context.Context, name string, o source.Options, shard Shard) ([]Target, error) {
	if source.IsRemote(name) {
		s, err := source.Open(ctx, name, o)
		if err != nil {
			return nil, err
		}
		defer s.Close()
		return ReadShard(s.Name(), io.NewSectionReader(s, 0, s.Size()), shard)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return ReadShard(name, f, shard)
}
