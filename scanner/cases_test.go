package scanner_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// input turns a case into what a scan is given.
func input(c fixtures.Case) scanner.Input {
	in := scanner.Input{UserName: c.UserName, RuleBooks: ruleBooks(c), Now: func() time.Time { return fixtures.Now }}
	for _, i := range c.Images {
		in.Images = append(in.Images, scanner.Source{Name: i.Name, Open: func(ctx context.Context) (*source.Source, error) {
			r, err := i.Open()
			if err != nil {
				return nil, err
			}
			return source.NewReader(ctx, i.Name, r, i.Size), nil
		}})
	}
	for _, d := range c.With {
		in.With = append(in.With, scanner.Document{Name: d.Name, Data: d.Data})
	}
	return in
}

// ruleBooks names the rule book of a case, and none if that is the default.
func ruleBooks(c fixtures.Case) []string {
	if c.RuleBook == rules.Default {
		return nil
	}
	return []string{c.RuleBook}
}

// exitCode is the command's exit code for a verdict.
func exitCode(v scanner.Verdict) int {
	return map[scanner.Verdict]int{scanner.Ready: 0, scanner.NotReady: 1, scanner.Inconclusive: 3}[v]
}

// exitNoSystem is the command's exit code where no scan is possible.
const exitNoSystem = 4

// TestCases scans every fixture and compares the status of each requirement, and what
// the notices say, with what its author expects, who derived it from the requirements
// only. Unless the run is full, it scans those of the demonstration and every sixth of
// the others, in short mode every 24th of all.
func TestCases(t *testing.T) {
	every := 6
	switch {
	case testing.Short() && !testenv.Nightly():
		every = 24
	case testenv.Full(), *updateMessages:
		every = 1
	}
	all := newMessages()
	t.Cleanup(func() { all.check(t) }) // after the cases, which run in parallel
	for i, c := range testcases.All(t) {
		if (i >= len(fixtures.Cases()) || testing.Short()) && i%every != 0 {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			r, err := scanner.Scan(t.Context(), input(c))
			if c.ExitCode == exitNoSystem {
				if !errors.Is(err, scanner.ErrNoSystem) {
					t.Fatalf("error %v, want ErrNoSystem", err)
				}
				all.add(nil)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			all.add(r)
			left := maps.Clone(c.Expect)
			for _, f := range r.Findings {
				if want, decided := c.Expect[f.ID]; decided && f.Status != want {
					t.Errorf("%s: %s, expected %s: %s", f.ID, f.Status, want, f.Message)
				}
				delete(left, f.ID)
				if strings.Contains(f.Message, "\n") {
					t.Errorf("%s: a message of several lines: %s", f.ID, f.Message)
				}
				for _, ev := range f.Evidence {
					if ev.Source == "" {
						t.Errorf("%s: evidence from nowhere: %+v", f.ID, ev)
					}
					if fault := faultOf(ev); fault != "" {
						t.Errorf("%s: %s: %+v", f.ID, fault, ev)
					}
				}
				checkSubjects(t, f)
			}
			for id := range left {
				t.Errorf("no finding of %s", id)
			}
			if c.ExitCode >= 0 && exitCode(r.PolicyVerdict) != c.ExitCode {
				t.Errorf("exit code %d, want %d", exitCode(r.PolicyVerdict), c.ExitCode)
			}
			for _, words := range c.Notices {
				if !slices.ContainsFunc(r.Notices, func(n requirement.Notice) bool { return strings.Contains(n.Message, words) }) {
					t.Errorf("no notice says %q", words)
				}
			}
			for _, n := range r.Notices {
				if strings.Contains(n.Message, "\n") {
					t.Errorf("a notice of several lines: %s", n.Message)
				}
				t.Logf("notice %s: %s", n.Level, n.Message)
			}
		})
	}
}

// namesNone are requirements of Windows that may be unmet without a subject, and
// what their findings are about instead.
var namesNone = map[string]string{
	"byol.boot.firmware":         "how the disk starts",
	"byol.boot.single":           "partitions",
	"byol.disk.c-free":           "the space of a volume",
	"byol.disk.filesystem":       "a volume",
	"byol.disk.partitioning":     "the disk",
	"byol.disk.size":             "the disk",
	"byol.image.format":          "the file of the image",
	"byol.os.supported":          "the version",
	"byol.os.x64":                "the version",
	"byol.shutdown.clean":        "the state of the disk",
	"byol.vmimport.prepare":      "many settings",
	"byol.windows.updated":       "how old Windows is",
	"pools.disk.root-max-200":    "the size of a disk",
	"pools.os.supported":         "the version",
	"win.bp.updates":             "how old Windows is",
	"win.component.certificates": "what is in a store as a whole",
	"win.component.pv-drivers":   "whose the drivers are, of which each is as it should be",
	"win.disk.c-free":            "the space of a volume",
	"win.os.supported":           "the version",
	"win.profile.exists":         "a user of whom there is nothing",
	"win.rearm.nonzero":          "a count",
	"win.reboot.pending":         "what a restart settles",
	"win.sysprep.compatible":     "the state of Windows Setup, among others",
	"win.user.domain-guests":     "who the user is",
	"win.volume.readable":        "volumes, which the report describes",
}

// checkSubjects holds a finding to what programs need of its subjects: there is one
// wherever there is something that could be named, and each has a kind and a name.
func checkSubjects(t *testing.T, f requirement.Finding) {
	t.Helper()
	unmet := f.Status == requirement.Failed || f.Status == requirement.Warning
	if f.Platform == requirement.Windows && unmet && len(f.Subjects) == 0 && namesNone[f.ID] == "" {
		t.Errorf("%s is %s and names no subject: %s", f.ID, f.Status, f.Message)
	}
	for _, s := range f.Subjects {
		if s.Kind == "" || s.ID == "" {
			t.Errorf("%s: a subject without a kind or a name: %+v", f.ID, s)
		}
	}
}

// faultOf says what the typed fields of a piece of evidence lack, or where they
// contradict the others; "" if nothing. Programs that read the evidence again
// use only those fields.
func faultOf(ev requirement.Evidence) string {
	switch ev.Kind {
	case requirement.KindValue, requirement.KindKey:
		if ev.Path == "" {
			return "a registry key outside of a hive"
		}
	case requirement.KindFile, requirement.KindFolder, requirement.KindTree:
		if ev.Path == "" || ev.Key != "" {
			return "a file without a path, or with a key"
		}
	case requirement.KindVolume:
		if ev.Key != "" {
			return "a volume with a key"
		}
	case requirement.KindDocument:
		if ev.Origin != requirement.OriginDocument {
			return "a document that is not from one"
		}
	default:
		return fmt.Sprintf("kind %q", ev.Kind)
	}
	switch ev.Origin {
	case requirement.OriginDisk:
	case requirement.OriginLog:
		if ev.Key == "" {
			return "a transaction log of what is no hive"
		}
	case requirement.OriginWAL:
		if ev.Kind != requirement.KindFile || !ev.Content {
			return "a write-ahead log of what is no database"
		}
	case requirement.OriginDocument:
		if ev.Kind != requirement.KindDocument {
			return "not a document, but from one"
		}
	default:
		return fmt.Sprintf("origin %q", ev.Origin)
	}
	switch {
	case ev.Content && ev.Kind != requirement.KindFile:
		return "content of what is no file"
	case ev.Found && strings.HasPrefix(ev.Note, "not found"):
		return "found, and not found"
	case !ev.Found && (ev.Data != "" || ev.Type != "" || ev.Content && ev.Value == ""): // a database may lack the row
		return "not found, and with data"
	}
	return ""
}

// TestOnlyAndSkip scans with some requirements left out: the others are judged as
// ever, and those are listed.
func TestOnlyAndSkip(t *testing.T) {
	c, err := fixtures.Find("ready")
	if err != nil {
		t.Fatal(err)
	}
	scan := func(only, skip []string) *scanner.Result {
		in := input(c)
		in.Only, in.Skip = only, skip
		in.Policy.Waivers = []requirement.Waiver{{ID: "win.tls.ssl3", Expiry: fixtures.Now, Source: "w.yaml:1"}}
		r, err := scanner.Scan(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	all := scan(nil, nil)
	if all.Verdict != scanner.Ready || len(all.NotChecked) != 0 {
		t.Fatalf("%s, %d not checked", all.Verdict, len(all.NotChecked))
	}
	idsOf := func(prefixes ...string) (ids []string) {
		for _, f := range all.Findings {
			if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(f.ID, p) }) {
				ids = append(ids, f.ID)
			}
		}
		return ids
	}
	some := scan(idsOf("win.tls.", "win.bp."), []string{"win.tls.ssl3"})
	if some.Verdict != scanner.Inconclusive || some.PolicyVerdict != scanner.Inconclusive {
		t.Errorf("%s, %s", some.Verdict, some.PolicyVerdict)
	}
	var ids []string
	for _, f := range some.Findings {
		ids = append(ids, f.ID)
		if f.ID == "win.tls.ssl3" || !strings.HasPrefix(f.ID, "win.tls.") && !strings.HasPrefix(f.ID, "win.bp.") {
			t.Errorf("%s is judged", f.ID)
		}
		for _, a := range all.Findings {
			if a.ID == f.ID && (a.Status != f.Status || a.Message != f.Message) {
				t.Errorf("%s: %s %s, and %s %s of a full scan", f.ID, f.Status, f.Message, a.Status, a.Message)
			}
		}
	}
	for _, n := range some.NotChecked {
		ids = append(ids, n.ID)
	}
	var want []string
	for _, f := range all.Findings {
		want = append(want, f.ID)
	}
	slices.Sort(ids)
	slices.Sort(want)
	if !slices.Equal(ids, want) {
		t.Errorf("findings and what is not checked are %q, want %q", ids, want)
	}
	unused := func(n requirement.Notice) bool { return strings.Contains(n.Message, "not checked") }
	if !slices.ContainsFunc(some.Notices, unused) {
		t.Errorf("no notice that the waiver is of no use: %v", some.Notices)
	}
	tips := scan(nil, idsOf("win.bp."))
	if tips.Verdict != scanner.Ready || len(tips.NotChecked) == 0 {
		t.Errorf("without recommendations: %s, %d not checked", tips.Verdict, len(tips.NotChecked))
	}
}
