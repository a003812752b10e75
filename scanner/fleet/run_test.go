package fleet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/remotetest"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// some returns targets with an image each, named after them.
func some(ids ...string) (list []Target) {
	for _, id := range ids {
		list = append(list, Target{ID: id, Images: []string{id + ".img"}})
	}
	return list
}

// scans returns options whose scans are a function of the name of the image.
func scans(scan func(ctx context.Context, image string) (*scanner.Result, error)) Options {
	return Options{
		Version: "v1.2.3",
		Encode: func(r *scanner.Result) ([]byte, int, error) {
			exits := map[scanner.Verdict]int{scanner.Ready: 0, scanner.NotReady: 1, scanner.Inconclusive: 3}
			return fmt.Appendf(nil, "{\n  \"verdict\": %q\n}\n", r.Verdict), exits[r.Verdict], nil
		},
		scan: func(ctx context.Context, in scanner.Input) (*scanner.Result, error) {
			return scan(ctx, in.Images[0].Name)
		},
	}
}

func ready(context.Context, string) (*scanner.Result, error) {
	return &scanner.Result{Verdict: scanner.Ready}, nil
}

func recordOf(t *testing.T, s Store, id string) *Record {
	t.Helper()
	data, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	r, err := DecodeRecord(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func folderOf(t *testing.T) Store { return openStore(t, t.TempDir(), source.Options{}) }

// hinted is an error with a hint.
type hinted struct{ error }

func (hinted) Hint() string    { return "do this" }
func (h hinted) Unwrap() error { return h.error }

// TestRun: every target has a record afterwards, unless its scan may succeed later.
func TestRun(t *testing.T) {
	t.Parallel()
	schema := recordSchema(t)
	onStores(t, func(t *testing.T, open func() Store) {
		s := open()
		verdicts := map[string]scanner.Verdict{"a.img": scanner.Ready, "b.img": scanner.NotReady,
			"c.img": scanner.Inconclusive}
		o := scans(func(_ context.Context, image string) (*scanner.Result, error) {
			switch image {
			case "missing.img":
				return nil, hinted{fmt.Errorf("%w: %w", scanner.ErrIO, fs.ErrNotExist)}
			case "throttled.img":
				return nil, fmt.Errorf("%w: %w", scanner.ErrIO, kind.Passing)
			case "changed.img":
				return &scanner.Result{Verdict: scanner.Inconclusive, Changed: []string{"it has grown"}}, nil
			case "panics.img":
				panic("a defect for a test")
			}
			return &scanner.Result{Verdict: verdicts[image]}, nil
		})
		o.Jobs = 3
		pending := map[string]error{}
		last := 0
		o.Done = func(out Outcome, s Summary) {
			if last++; s.Done() != last || s.Targets != 7 {
				t.Errorf("%+v after %d", s, last)
			}
			if out.Err != nil {
				pending[out.ID] = out.Err
			}
		}
		targets := some("a", "b", "c", "missing", "throttled", "changed", "panics")
		targets[0].Labels, targets[0].UserName = map[string]string{"team": "cad"}, "jdoe"
		targets[0].Images = append(targets[0].Images, "https://user:secret@example.com/x?sig=secret")
		got, err := Run(t.Context(), targets, s, o)
		want := Summary{Targets: 7, Verdicts: map[scanner.Verdict]int{scanner.Ready: 1, scanner.NotReady: 1,
			scanner.Inconclusive: 1}, Errors: map[ErrorKind]int{NotFound: 1, Internal: 1}, Pending: 2}
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%v: %s", err, d)
		}
		for _, id := range []string{"throttled", "changed"} {
			if !errors.Is(pending[id], kind.Passing) {
				t.Errorf("%s: %v", id, pending[id])
			}
		}
		if list := ids(t, s); !slices.Equal(list, []string{"a", "b", "c", "missing", "panics"}) || len(pending) != 2 {
			t.Errorf("%q, %v", list, pending)
		}
		for id, want := range map[string]Record{
			"a": {ExitCode: 0, Verdict: scanner.Ready, Report: json.RawMessage(`{"verdict":"ready"}`)},
			"b": {ExitCode: 1, Verdict: scanner.NotReady, Report: json.RawMessage(`{"verdict":"not_ready"}`)},
			"c": {ExitCode: 3, Verdict: scanner.Inconclusive, Report: json.RawMessage(`{"verdict":"inconclusive"}`)},
			"missing": {ExitCode: 74, Error: &Error{Kind: NotFound, Hint: "do this",
				Message: "i/o error: file does not exist"}},
			"panics": {ExitCode: 74, Error: &Error{Kind: Internal, Message: "defect in coldcheck: a defect for a test"}},
		} {
			r := recordOf(t, s, id)
			text, err := s.Get(t.Context(), id)
			if err != nil || validate(t, schema, text) != nil || bytes.Contains(text, []byte("secret")) {
				t.Errorf("%v, %v: %s", err, validate(t, schema, text), text)
			}
			if id == "a" && (r.Target.UserName != "jdoe" || r.Target.Labels["team"] != "cad" ||
				r.Target.Images[1] != "https://example.com/x") {
				t.Errorf("%+v", r.Target)
			}
			want.SchemaVersion, want.Target, want.Tool = 1, r.Target, Tool{"coldcheck", "v1.2.3"}
			want.Started, want.Finished = r.Started, r.Finished
			if d := cmp.Diff(&want, r); d != "" || r.Target.ID != id {
				t.Error(d)
			}
		}

		// Again: only those without a record.
		var scanned atomic.Int64
		o.Done = nil
		o.scan = func(ctx context.Context, in scanner.Input) (*scanner.Result, error) {
			scanned.Add(1)
			return ready(ctx, "")
		}
		got, err = Run(t.Context(), targets, s, o)
		if err != nil || got.Had != 5 || got.Verdicts[scanner.Ready] != 2 || got.Pending != 0 || scanned.Swap(0) != 2 {
			t.Errorf("%+v, %v", got, err)
		}
		// Those with an error, and what is no record, or another target's.
		if _, err := s.Put(t.Context(), "b", []byte("damaged"), Replace); err != nil {
			t.Fatal(err)
		}
		other, err := s.Get(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Put(t.Context(), "c", other, Replace); err != nil {
			t.Fatal(err)
		}
		o.Again = AgainErrors
		got, err = Run(t.Context(), append(targets, some("new")...), s, o)
		if err != nil || got.Had != 3 || got.Verdicts[scanner.Ready] != 5 || scanned.Swap(0) != 5 {
			t.Errorf("%+v, %v", got, err)
		}
		if r := recordOf(t, s, "missing"); r.Error != nil || r.Verdict != scanner.Ready {
			t.Errorf("%+v", r)
		}
		o.Again = AgainAll
		if got, err = Run(t.Context(), targets, s, o); err != nil || got.Recorded() != 7 || scanned.Load() != 7 {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err = Run(t.Context(), nil, s, o); err != nil || got.Done() != 0 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// TestRunTogether: two runs with the same targets at the same time have one record of each.
func TestRunTogether(t *testing.T) {
	t.Parallel()
	onStores(t, func(t *testing.T, open func() Store) {
		var targets []Target
		for n := range 20 {
			targets = append(targets, some(fmt.Sprint(n))...)
		}
		var both sync.WaitGroup
		var summaries [2]Summary
		for n := range summaries {
			both.Go(func() {
				o := scans(ready)
				o.Jobs = 2
				var err error
				if summaries[n], err = Run(t.Context(), targets, open(), o); err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		a, b := summaries[0], summaries[1]
		if a.Recorded()+b.Recorded() != 20 || a.Had+b.Had != 20 || a.Pending+b.Pending > 0 {
			t.Errorf("%+v and %+v", a, b)
		}
		if list := ids(t, open()); len(list) != 20 {
			t.Errorf("%q", list)
		}
	})
}

// failing is a store whose methods fail.
type failing struct {
	Store
	has, get, put error
}

func (f failing) Has(ctx context.Context, id string) (bool, error) {
	if f.has != nil {
		return false, f.has
	}
	return f.Store.Has(ctx, id)
}

func (f failing) Get(ctx context.Context, id string) ([]byte, error) {
	if f.get != nil {
		return nil, f.get
	}
	return f.Store.Get(ctx, id)
}

func (f failing) Put(ctx context.Context, id string, data []byte, over Over) (bool, error) {
	if f.put != nil {
		return false, f.put
	}
	return f.Store.Put(ctx, id, data, over)
}

// TestRunStoreFails: an error of the store that may pass leaves the target for the next
// time, any other one ends the run.
func TestRunStoreFails(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(err error) (failing, Again){
		"has": func(err error) (failing, Again) { return failing{has: err}, AgainNone },
		"get": func(err error) (failing, Again) { return failing{get: err}, AgainErrors },
		"put": func(err error) (failing, Again) { return failing{put: err}, AgainNone },
	} {
		for _, err := range []error{kind.Passing, kind.IO} {
			s, again := make(err)
			s.Store = folderOf(t)
			o := scans(ready)
			o.Again, o.Jobs = again, 1
			got, runErr := Run(t.Context(), some("a", "b", "c"), s, o)
			ends, leaves := runErr == kind.IO && got.Done() == 0, runErr == nil && got.Pending == 3
			if err == kind.IO && !ends || err == kind.Passing && !leaves {
				t.Errorf("%s: %v: %+v, %v", name, err, got, runErr)
			}
		}
	}
}

// TestRunEncodeFails: a report that cannot be encoded is an internal error of its target.
func TestRunEncodeFails(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"no JSON": "{", "no object": "[]",
		"too large": `{"x":"` + strings.Repeat("x", 1000) + `"}`} {
		s, o := folderOf(t), scans(ready)
		o.most = 1000
		o.Encode = func(*scanner.Result) ([]byte, int, error) { return []byte(text), 0, nil }
		want := Internal
		if name == "too large" {
			want = Limit
		}
		got, err := Run(t.Context(), some("a"), s, o)
		if r := recordOf(t, s, "a"); err != nil || got.Errors[want] != 1 || r.Error.Kind != want {
			t.Errorf("%s: %+v, %v: %+v", name, got, err, r.Error)
		}
	}
}

// TestRunEnds: when the context ends, scans end, nothing more is written, and what is
// written is whole.
func TestRunEnds(t *testing.T) {
	t.Parallel()
	s, why := folderOf(t), errors.New("terminated")
	ctx, end := context.WithCancelCause(t.Context())
	o := scans(func(ctx context.Context, image string) (*scanner.Result, error) {
		if image == "c.img" {
			end(why)
			<-ctx.Done()
			return nil, context.Cause(ctx)
		}
		return ready(ctx, image)
	})
	o.Jobs = 1
	got, err := Run(ctx, some("a", "b", "c", "d"), s, o)
	if !errors.Is(err, why) || got.Recorded() != 2 || got.Done() != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	if list := ids(t, s); !slices.Equal(list, []string{"a", "b"}) {
		t.Errorf("%q", list)
	}
}

// TestRunTimeout: a scan that takes too long has no record, whether or not it stops.
func TestRunTimeout(t *testing.T) {
	t.Parallel()
	s := folderOf(t)
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan struct{})
		o := scans(func(ctx context.Context, image string) (*scanner.Result, error) {
			switch image {
			case "slow.img":
				<-ctx.Done()
				return nil, context.Cause(ctx)
			case "stubborn.img": // it has a result a moment too late
				time.Sleep(time.Minute + time.Second)
			case "hung.img":
				<-hangs
			case "quick.img":
				time.Sleep(time.Minute - time.Second)
			}
			return ready(ctx, image)
		})
		o.Jobs, o.Timeout = 1, time.Minute
		took := map[string]error{}
		o.Done = func(out Outcome, _ Summary) { took[out.ID] = out.Err }
		began := time.Now()
		got, err := Run(t.Context(), some("slow", "stubborn", "hung", "quick"), s, o)
		if err != nil || got.Pending != 3 || got.Recorded() != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		if d := time.Since(began); d != 4*time.Minute+grace {
			t.Errorf("it took %v", d)
		}
		for _, id := range []string{"slow", "stubborn", "hung"} {
			err := took[id]
			if !errors.Is(err, ErrTimeout) || !errors.Is(err, kind.Passing) || !strings.Contains(err.Error(), "1m0s") {
				t.Errorf("%s: %v", id, err)
			}
		}
		close(hangs)
		synctest.Wait()
	})
	if list := ids(t, s); !slices.Equal(list, []string{"quick"}) {
		t.Errorf("%q", list)
	}
}

// TestRunClock: a record does not end before it starts, even if the clock is set back.
func TestRunClock(t *testing.T) {
	t.Parallel()
	s, o := folderOf(t), scans(ready)
	times := []time.Time{began, began.Add(-time.Hour)}
	o.now = func() time.Time {
		now := times[0]
		times = times[1:]
		return now
	}
	if _, err := Run(t.Context(), some("a"), s, o); err != nil {
		t.Fatal(err)
	}
	if r := recordOf(t, s, "a"); !r.Started.Equal(began) || !r.Finished.Equal(began) {
		t.Errorf("%v to %v", r.Started, r.Finished)
	}
}

// TestDocuments: documents are read from files and S3, and one that cannot be read is an
// error of its target.
func TestDocuments(t *testing.T) {
	t.Parallel()
	server := remotetest.S3(t)
	server.Put(t, "ws.json", []byte("remote"))
	server.PutLarge("large", zeros{}, maxDocument+1)
	dir := t.TempDir()
	local := filepath.Join(dir, "ws.json")
	if err := os.WriteFile(local, []byte("local"), 0o666); err != nil {
		t.Fatal(err)
	}
	pipe := pipeIn(t, dir)
	var documents sync.Map
	o := scans(nil)
	o.Input.Remote = source.Options{AWS: server.AWS}
	o.scan = func(ctx context.Context, in scanner.Input) (*scanner.Result, error) {
		for _, d := range in.With {
			documents.Store(d.Name, string(d.Data))
		}
		return ready(ctx, "")
	}
	target := func(id string, with ...string) Target { return Target{ID: id, Images: []string{"x"}, With: with} }
	s := folderOf(t)
	_, err := Run(t.Context(), []Target{
		target("good", local, "s3://images/ws.json"), target("missing", local, dir+"/no.json"),
		target("remote-missing", "s3://images/no.json"), target("large", "s3://images/large"), target("folder", dir),
		target("pipe", pipe)}, s, o)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{local: "local", "s3://images/ws.json": "remote"} {
		if got, _ := documents.Load(name); got != want {
			t.Errorf("%s: %v", name, got)
		}
	}
	for id, want := range map[string]struct {
		ErrorKind
		exit int
	}{"missing": {NotFound, 74}, "remote-missing": {NotFound, 74}, "large": {Usage, 64}, "folder": {Usage, 64},
		"pipe": {Usage, 64}} {
		if r := recordOf(t, s, id); r.Error == nil || r.Error.Kind != want.ErrorKind || r.ExitCode != want.exit {
			t.Errorf("%s: %+v", id, r)
		}
	}
	if r := recordOf(t, s, "good"); r.Verdict != scanner.Ready {
		t.Errorf("%+v", r.Error)
	}
}

// TestOpenTargets: a list is read from a file and from S3.
func TestOpenTargets(t *testing.T) {
	t.Parallel()
	server := remotetest.S3(t)
	const text = "id,images\na,b\n"
	server.Put(t, "list.csv", []byte(text))
	server.Put(t, "wrong.csv", []byte("x"))
	file := filepath.Join(t.TempDir(), "list.csv")
	if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	o := source.Options{AWS: server.AWS}
	for _, name := range []string{file, "s3://images/list.csv"} {
		if list, err := OpenTargets(t.Context(), name, o); err != nil || len(list) != 1 || list[0].ID != "a" {
			t.Errorf("%s: %+v, %v", name, list, err)
		}
	}
	for name, want := range map[string]error{"/nonexistent": fs.ErrNotExist, "s3://images/x": fs.ErrNotExist,
		"s3://images/wrong.csv": ErrList} {
		if _, err := OpenTargets(t.Context(), name, o); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
