package scanner_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// workerCase names the case whose images this program, run as the child of a
// cross-check, reads.
const workerCase = "COLDCHECK_TEST_WORKER_CASE"

func TestMain(m *testing.M) {
	var w *crosscheck.Worker
	if name := os.Getenv(workerCase); name != "" {
		w = scanner.NewWorker(input(testcases.Find(worker{}, name)))
	} else if path := os.Getenv(scanner.WorkerImage); path != "" {
		w = scanner.NewWorker(scanner.Input{Images: []scanner.Source{scanner.File(path)}})
	} else {
		os.Exit(m.Run())
	}
	if err := w.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
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

// Why evidence of the built-in cases is not confirmed, as docs/cross-check.md
// explains.
var (
	fromLog = requirement.CrossCheck{State: notAsked,
		Reason: "from the transaction log, which regparser does not apply"}
	recovered = requirement.CrossCheck{State: notAsked,
		Reason: "the hive was recovered from its transaction logs, which regparser does not apply"}
	noSingle   = requirement.CrossCheck{State: notAsked, Reason: "not a single file, key or value"}
	noParser   = requirement.CrossCheck{State: notAsked, Reason: "no other parser for the filesystem"}
	noChecksum = requirement.CrossCheck{State: requirement.CrossFailed,
		Reason: "go-diskfs: reads only filesystems with metadata_csum, which this one lacks"}
)

const notAsked = requirement.CrossNotAsked

// unconfirmed are the reasons that each built-in case shows; all other evidence
// is confirmed.
var unconfirmed = map[string][]requirement.CrossCheck{
	"ready":          nil,
	"failing":        nil,
	"dirty":          {fromLog, recovered},
	"windows7":       nil,
	"windows10":      nil,
	"windows11":      nil,
	"bitlocker-user": {noParser},                       // the encrypted volume
	"linux-failing":  {noChecksum, noParser, noSingle}, // Amazon Linux 2; a volume of FAT; the space used
	"linux-ready":    {noChecksum, noParser, noSingle},
	"linux-journal":  {noChecksum, noParser, noSingle},
	"linux-ubuntu":   {noParser, noSingle},
}

// TestCrossCheckCases has the evidence of the built-in cases, and of some of
// the others, read again; make nightly has that of all, which takes minutes. No status changes, and nothing differs.
func TestCrossCheckCases(t *testing.T) {
	cases := fixtures.Cases()
	for i, c := range testcases.All(t)[len(cases):] {
		if i%40 == 0 || testenv.Nightly() {
			cases = append(cases, c)
		}
	}
	for i, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			if i%24 != 0 && testing.Short() && !testenv.Nightly() {
				t.Skip("one of every 24 in short mode")
			}
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
			t.Logf("%+v", n)
			if n.Differ != 0 {
				t.Errorf("%d differ", n.Differ)
			}
			reasons := map[requirement.CrossCheck]bool{}
			for _, f := range r.Findings {
				for _, e := range f.Evidence {
					if e.CrossCheck.State != requirement.CrossConfirmed {
						reasons[e.CrossCheck] = true
					}
				}
			}
			want, builtIn := unconfirmed[c.Name]
			if diff := cmp.Diff(want, slices.SortedFunc(maps.Keys(reasons), byReason)); builtIn && diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
			}
		})
	}
}

// byReason orders failures before what was not asked, and these by their reasons.
func byReason(a, b requirement.CrossCheck) int {
	return strings.Compare(string(a.State)+a.Reason, string(b.State)+b.Reason)
}

// recount counts the evidence itself, and compares with what the result says.
func recount(t *testing.T, r *scanner.Result) scanner.CrossCheck {
	t.Helper()
	var n scanner.CrossCheck
	for _, f := range r.Findings {
		for _, e := range f.Evidence {
			n.Pieces++
			c := e.CrossCheck
			switch c.State {
			case requirement.CrossConfirmed:
				n.Confirmed++
			case requirement.CrossDiffers:
				n.Differ++
			case requirement.CrossFailed:
				n.Failed++
			case requirement.CrossNotAsked:
				n.NotAsked++
			default:
				t.Errorf("%s: cross-check %+v", f.ID, c)
			}
			if c.State != requirement.CrossConfirmed {
				t.Logf("%s: %s %s %s %s: %s: %s", f.ID, e.Source, e.Path, e.Key, e.Value, c.State, c.Reason)
			}
			if (c.Readers == "") == (c.State == requirement.CrossConfirmed) ||
				(c.Reason == "") == (c.State != requirement.CrossConfirmed) {
				t.Errorf("%s: confirmed by %q, and %s: %q", f.ID, c.Readers, c.State, c.Reason)
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
			if changed && e.CrossCheck.State != requirement.CrossDiffers {
				t.Errorf("%s: %s %s %s %s was changed, and the cross-check says %+v", f.ID, e.Source, e.Path, e.Key, e.Value,
					e.CrossCheck)
			}
		}
	}
	notices := 0
	for _, n := range r.Notices {
		if strings.HasPrefix(n.Message, "Cross-check: ") && n.Level == requirement.LevelWarning {
			notices++
		}
	}
	if notices != 21 { // 20 differences, and how many more there are
		t.Errorf("%d notices", notices)
	}
}

// A child that cannot be started, or ends at once, causes one notice and
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
	list := []string{fmt.Sprint(r.Verdict, r.PolicyVerdict, r.Platform, r.Volumes)}
	for _, f := range r.Findings {
		list = append(list, fmt.Sprint(f.ID, f.Status, f.Counts, f.Unmet, f.Basis, f.Message, f.Outcome.Remediation))
		for _, e := range f.Evidence {
			list = append(list, fmt.Sprint(e.Source, e.Path, e.Key, e.Value, e.Type, e.Data, e.Time, e.Note))
		}
	}
	return list
}
