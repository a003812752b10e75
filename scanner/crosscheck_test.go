package scanner_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// workerCase names the case whose images this program, run as the child of a
// cross-check, reads.
const workerCase = "COLDCHECK_TEST_WORKER_CASE"

func TestMain(m *testing.M) {
	w := &crosscheck.Worker{}
	if name := os.Getenv(workerCase); name != "" {
		for _, source := range input(testcases.Find(worker{}, name)).Images {
			w.Images = append(w.Images, source.Open)
		}
	} else if path := os.Getenv(scanner.WorkerImage); path != "" {
		w.Images = append(w.Images, scanner.File(path).Open)
	} else {
		os.Exit(m.Run())
	}
	if err := w.Serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "coldcheck:", err)
		os.Exit(1)
	}
}

// worker is what testcases.Find needs of a test where there is none.
type worker struct{ testing.TB }

func (worker) Helper()                        {}
func (worker) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }
func (worker) Fatal(a ...any)                 { panic(fmt.Sprint(a...)) }

// crossChecked is the scan of a case with a cross-check that reads the images
// of another, or of the same.
func crossChecked(c, other fixtures.Case) scanner.Input {
	in := input(c)
	in.CrossCheck = func(ctx context.Context) *exec.Cmd {
		self, err := os.Executable()
		if err != nil {
			panic(err)
		}
		cmd := exec.CommandContext(ctx, self)
		cmd.Env = append(os.Environ(), workerCase+"="+other.Name)
		return cmd
	}
	return in
}

// confirmed says how many of the pieces of evidence of the built-in cases are
// confirmed, and how many are not asked for; the others failed. docs/cross-check.md
// says why.
var confirmed = map[string]scanner.CrossCheck{
	"ready":          {Pieces: 100, Confirmed: 100},
	"failing":        {Pieces: 77, Confirmed: 77},
	"dirty":          {Pieces: 97, Confirmed: 87, NotAsked: 10}, // out of transaction logs
	"windows7":       {Pieces: 100, Confirmed: 100},
	"windows10":      {Pieces: 101, Confirmed: 101},
	"windows11":      {Pieces: 103, Confirmed: 103},
	"bitlocker-user": {Pieces: 90, Confirmed: 89, NotAsked: 1}, // the volume itself
	"linux-failing":  {Pieces: 41, Failed: 38, NotAsked: 3},    // without metadata_csum
	"linux-ready":    {Pieces: 33, Failed: 30, NotAsked: 3},
	"linux-ubuntu":   {Pieces: 30, Confirmed: 27, NotAsked: 3}, // FAT, used space, and a list of absences
}

// TestCrossCheckCases has the evidence of the built-in cases, and of some of
// the others, read again. No status changes, and nothing differs.
func TestCrossCheckCases(t *testing.T) {
	cases := fixtures.Cases()
	for i, c := range testcases.All(t)[len(cases):] {
		if i%25 == 0 {
			cases = append(cases, c)
		}
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			plain, err := scanner.Scan(t.Context(), input(c))
			if errors.Is(err, scanner.ErrNoSystem) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r, err := scanner.Scan(t.Context(), crossChecked(c, c))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decisions(plain), decisions(r)); diff != "" {
				t.Errorf("the cross-check changed what was decided (-without +with):\n%s", diff)
			}
			n := recount(t, r)
			if n.Differ != 0 {
				t.Errorf("%d differ", n.Differ)
			}
			if want, ok := confirmed[c.Name]; ok && n != want {
				t.Errorf("%+v, want %+v", n, want)
			}
		})
	}
}

// recount counts the evidence itself, and compares with what the result says.
func recount(t *testing.T, r *scanner.Result) scanner.CrossCheck {
	t.Helper()
	var n scanner.CrossCheck
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			n.Pieces++
			state, _, _ := strings.Cut(e.Unconfirmed, ": ")
			switch state {
			case "":
				n.Confirmed++
			case "differs":
				n.Differ++
			case "failed":
				n.Failed++
			case "not asked":
				n.NotAsked++
			default:
				t.Errorf("%s: unconfirmed %q", f.ID, e.Unconfirmed)
			}
			if state != "" {
				t.Logf("%s: %s %s %s %s: %s", f.ID, e.Source, e.Path, e.Key, e.Value, e.Unconfirmed)
			}
			if (e.ConfirmedBy == "") == (state == "") {
				t.Errorf("%s: confirmed by %q, and %q", f.ID, e.ConfirmedBy, e.Unconfirmed)
			}
		}
	}
	if n != *r.CrossCheck {
		t.Errorf("%+v in the evidence, %+v in the result", n, *r.CrossCheck)
	}
	return n
}

// The second reader is shown the images of another case: what the two cases
// have in common is confirmed, and every other piece of evidence differs, with
// a notice.
func TestCrossCheckOtherImages(t *testing.T) {
	failing, ready := testcases.Find(t, "failing"), testcases.Find(t, "ready")
	plain, err := scanner.Scan(t.Context(), input(failing))
	if err != nil {
		t.Fatal(err)
	}
	r, err := scanner.Scan(t.Context(), crossChecked(failing, ready))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decisions(plain), decisions(r)); diff != "" {
		t.Errorf("the cross-check changed what was decided (-without +with):\n%s", diff)
	}
	if n := recount(t, r); n.Differ < 20 || n.Confirmed < 20 || n.Differ+n.Confirmed != n.Pieces {
		t.Errorf("%+v", n)
	}
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			// What was changed to make the case fail bears the time of that.
			changed := e.Time.Format("2006-01-02") == "2026-03-01"
			if changed && !strings.HasPrefix(e.Unconfirmed, "differs: ") {
				t.Errorf("%s: %s %s %s %s was changed, and %s confirms it", f.ID, e.Source, e.Path, e.Key, e.Value, e.ConfirmedBy)
			}
		}
	}
	notices := 0
	for _, n := range r.Notices {
		if strings.HasPrefix(n.Message, "cross-check: ") && n.Level == requirement.LevelWarning {
			notices++
		}
	}
	if notices != 21 { // 20 differences, and how many more there are
		t.Errorf("%d notices", notices)
	}
}

// A child that cannot be started, or ends at once, is told in one notice, and
// changes nothing else.
func TestCrossCheckWithoutChild(t *testing.T) {
	c := testcases.Find(t, "failing")
	plain, err := scanner.Scan(t.Context(), input(c))
	if err != nil {
		t.Fatal(err)
	}
	in := input(c)
	in.CrossCheck = func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/no/such/program") }
	r, err := scanner.Scan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(decisions(plain), decisions(r)); diff != "" {
		t.Errorf("the cross-check changed what was decided (-without +with):\n%s", diff)
	}
	if n := recount(t, r); n.Failed != n.Pieces {
		t.Errorf("%+v", n)
	}
	if more := len(r.Notices) - len(plain.Notices); more != 1 {
		t.Errorf("%d more notices: %+v", more, r.Notices)
	}
}

// When the context ends, so does the cross-check.
func TestCrossCheckCancelled(t *testing.T) {
	c := testcases.Find(t, "failing")
	ctx, cancel := context.WithCancelCause(t.Context())
	reason := errors.New("interrupted")
	in := crossChecked(c, c)
	start := in.CrossCheck
	in.CrossCheck = func(ctx context.Context) *exec.Cmd {
		cancel(reason)
		return start(ctx)
	}
	if _, err := scanner.Scan(ctx, in); !errors.Is(err, reason) {
		t.Errorf("%v, want that of the context", err)
	}
}

// decisions is all of a result that a cross-check must not change.
func decisions(r *scanner.Result) []string {
	list := []string{fmt.Sprint(r.Verdict, r.ExitCode, r.Platform, r.Volumes, r.Counted)}
	for _, f := range r.Findings {
		list = append(list, fmt.Sprint(f.ID, f.Status, f.Basis, f.Message, f.Outcome.Remediation))
		for _, e := range f.Evidence {
			list = append(list, fmt.Sprint(e.Source, e.Path, e.Key, e.Value, e.Type, e.Data, e.Time, e.Note))
		}
	}
	return list
}
