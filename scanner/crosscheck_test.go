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

// Why evidence of the built-in cases is not confirmed, as docs/cross-check.md
// tells it.
const (
	fromLog    = "not asked: it is from the transaction log, which regparser does not apply"
	recovered  = "not asked: the hive was recovered from its transaction logs, which regparser does not apply"
	noSingle   = "not asked: it is no single file, key or value"
	noParser   = "not asked: no other parser for the filesystem"
	noChecksum = "failed: go-diskfs: it reads only filesystems with metadata_csum, which this one has not"
)

// unconfirmed are the reasons that each built-in case shows; all other evidence
// is confirmed.
var unconfirmed = map[string][]string{
	"ready":          nil,
	"failing":        nil,
	"dirty":          {fromLog, recovered},
	"windows7":       nil,
	"windows10":      nil,
	"windows11":      nil,
	"bitlocker-user": {noParser},                       // the encrypted volume
	"linux-failing":  {noChecksum, noSingle, noParser}, // Amazon Linux 2; a volume of FAT; the space used
	"linux-ready":    {noChecksum, noSingle, noParser},
	"linux-journal":  {noChecksum, noSingle, noParser},
	"linux-ubuntu":   {noSingle, noParser},
}

// allCases has every case cross-checked, which takes minutes.
const allCases = "COLDCHECK_CROSS_CHECK_ALL"

// TestCrossCheckCases has the evidence of the built-in cases, and of some of
// the others, read again. No status changes, and nothing differs.
func TestCrossCheckCases(t *testing.T) {
	cases := fixtures.Cases()
	for i, c := range testcases.All(t)[len(cases):] {
		if i%25 == 0 || os.Getenv(allCases) != "" {
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
			t.Logf("%+v", n)
			if n.Differ != 0 {
				t.Errorf("%d differ", n.Differ)
			}
			reasons := map[string]bool{}
			for _, f := range r.Findings {
				for _, e := range f.Evidence {
					if e.Unconfirmed != "" {
						reasons[e.Unconfirmed] = true
					}
				}
			}
			want, builtIn := unconfirmed[c.Name]
			if diff := cmp.Diff(want, slices.Sorted(maps.Keys(reasons))); builtIn && diff != "" {
				t.Errorf("reasons (-want +got):\n%s", diff)
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
	list := []string{fmt.Sprint(r.Verdict, r.PolicyVerdict, r.Platform, r.Volumes)}
	for _, f := range r.Findings {
		list = append(list, fmt.Sprint(f.ID, f.Status, f.Counts, f.Unmet, f.Basis, f.Message, f.Outcome.Remediation))
		for _, e := range f.Evidence {
			list = append(list, fmt.Sprint(e.Source, e.Path, e.Key, e.Value, e.Type, e.Data, e.Time, e.Note))
		}
	}
	return list
}
