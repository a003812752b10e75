package scanner

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestParseWaivers(t *testing.T) {
	const text = `# What is known and may stay.
waivers:
  - id: win.disk.c-free
    target: WSAMZN-7F3K2Q1P
    reason: >
      the volume grows
      in May
    owner: desktop team
    expiry: 2026-05-31
  - {id: win.rearm.nonzero, reason: counted, owner: j, expiry: "2026-06-01", undetermined: true}
`
	got, err := ParseWaivers("w.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := []requirement.Waiver{
		{ID: "win.disk.c-free", Target: "WSAMZN-7F3K2Q1P", Reason: "the volume grows in May", Owner: "desktop team",
			Expiry: day("2026-05-31"), Source: "w.yaml:3"},
		{ID: "win.rearm.nonzero", Reason: "counted", Owner: "j", Expiry: day("2026-06-01"), Undetermined: true,
			Source: "w.yaml:10"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if got, err := ParseWaivers("w.yaml", []byte("waivers: []\n")); len(got) != 0 || err != nil {
		t.Errorf("an empty list: %v, %v", got, err)
	}
}

// Whatever is not a waiver is an error that names the line: a key that is
// misspelt must not lift a limit unseen.
func TestParseWaiversRefuses(t *testing.T) {
	const good = "  - {id: a, reason: r, owner: o, expiry: 2026-05-31}\n"
	item := func(fields string) string { return "waivers:\n" + good + "  - {" + fields + "}\n" }
	for text, want := range map[string]string{
		"":                           "w.yaml:1: no list of waivers",
		"# nothing\n":                "w.yaml:1: no list of waivers",
		"[]\n":                       "w.yaml:1: not a mapping",
		"{}\n":                       "w.yaml:1: no list of waivers",
		"waivers: yes\n":             "w.yaml:1: waivers is not a list",
		"waivers:\n- a\n":            "w.yaml:2: not a mapping",
		"version: 1\n":               `w.yaml:1: unknown key "version"`,
		"waivers: [\n":               "w.yaml: line 1: did not find expected node content",
		"waivers: []\n---\na\n":      "w.yaml:2: the file contains a second document",
		"waivers: []\nwaivers: []\n": "w.yaml:2: duplicate key waivers",
		item("id: a, reason: r, owner: o, expiry: 2026-05-31, untill: 2"): `w.yaml:3: unknown key "untill"`,
		item("id: a, reason: r, owner: o, Expiry: 2026-05-31"):            `w.yaml:3: unknown key "Expiry"`,
		item("reason: r, owner: o, expiry: 2026-05-31"):                   "w.yaml:3: the waiver has no id",
		item("id: a, owner: o, expiry: 2026-05-31"):                       "w.yaml:3: the waiver has no reason",
		item("id: a, reason: r, expiry: 2026-05-31"):                      "w.yaml:3: the waiver has no owner",
		item("id: a, reason: r, owner: o"):                                "w.yaml:3: the waiver has no expiry",
		item("id: a, reason: r, owner: o, expiry: never"): "w.yaml:3: expiry is not a date " +
			"such as 2027-01-31",
		item("id: a, reason: r, owner: o, expiry: 2026-02-30"): "w.yaml:3: expiry is not a date " +
			"such as 2027-01-31",
		item("id: a, reason: ' ', owner: o, expiry: 2026-05-31"):         "w.yaml:3: reason is not a text",
		item("id: a, reason: r, owner: [o], expiry: 2026-05-31"):         "w.yaml:3: owner is not a text",
		item("id: a, target: , reason: r, owner: o, expiry: 2026-05-31"): "w.yaml:3: target is not a text",
		item("id: a, reason: r, owner: o, expiry: 2026-05-31, undetermined: please"): "w.yaml:3: undetermined is neither " +
			"true nor false",
		"waivers:\n  - &a {id: a, reason: r, owner: o, expiry: 2026-05-31}\n  - *a\n": "w.yaml:3: not a mapping",
		item("id: &i a, reason: *i, owner: o, expiry: 2026-05-31"): "w.yaml:3: aliases (*i) are " +
			"not supported",
		item("id: a, id: b, reason: r, owner: o, expiry: 2026-05-31"): "w.yaml:3: duplicate key id",
	} {
		_, err := ParseWaivers("w.yaml", []byte(text))
		if err == nil || err.Error() != want || !errors.Is(err, ErrUsage) {
			t.Errorf("%q:\n got %v\nwant %s", text, err, want)
		}
	}
}

// The bound on the size of a file: a file at the bound is read, one that is a
// byte larger is not.
func TestParseWaiversSize(t *testing.T) {
	const text = "waivers: []\n#"
	full := text + strings.Repeat("x", MaxWaivers-len(text))
	if _, err := ParseWaivers("w.yaml", []byte(full)); err != nil {
		t.Error(err)
	}
	if _, err := ParseWaivers("w.yaml", []byte(full+"x")); !errors.Is(err, ErrUsage) {
		t.Errorf("%v", err)
	}
}

func FuzzParseWaivers(f *testing.F) {
	f.Add([]byte("waivers:\n  - {id: a, reason: r, owner: o, expiry: 2026-05-31, undetermined: true}\n"))
	f.Add([]byte("a: &a [*a, *a]\n---\nwaivers: [<<: {}]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		list, err := ParseWaivers("w", data)
		if err != nil && !errors.Is(err, ErrUsage) {
			t.Errorf("%v", err)
		}
		for _, w := range list {
			if w.ID == "" || w.Reason == "" || w.Owner == "" || w.Expiry.IsZero() {
				t.Errorf("%+v", w)
			}
		}
	})
}

func day(s string) time.Time {
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return d
}

// A waiver covers a finding that is not met, until the end of its last day in
// UTC, and one that is undetermined only if it says so. It takes the finding
// from the exit code and changes neither status nor verdict. A waiver that
// covers nothing causes a notice.
func TestWaive(t *testing.T) {
	const noon = "T12:00:00Z"
	waiver := func(id, expiry string, edit ...func(*requirement.Waiver)) requirement.Waiver {
		w := requirement.Waiver{ID: id, Reason: "r", Owner: "o", Expiry: day(expiry), Source: "w:" + expiry[8:]}
		for _, e := range edit {
			e(&w)
		}
		return w
	}
	open := func(w *requirement.Waiver) { w.Undetermined = true }
	target := func(name string) func(*requirement.Waiver) {
		return func(w *requirement.Waiver) { w.Target = name }
	}
	const (
		fails = "win.disk.c-free"   // failed
		opens = "win.rearm.nonzero" // undetermined
		good  = "win.tls.tls12"     // passed
		infer = "win.tls.ssl3"      // passed, inferred
		other = "linux.bp.cache"    // not of this system
		tip   = "win.winrm.auto"    // a warning that only a flag counts
	)
	for name, c := range map[string]struct {
		now     string
		waivers []requirement.Waiver
		policy  Policy
		covered string // "id source" of what is covered
		exit    int
		notices []string
	}{
		"none": {exit: 1},
		"expires today": {waivers: []requirement.Waiver{waiver(fails, "2026-03-02"), waiver(opens, "2026-03-02", open)},
			covered: fails + " w:02, " + opens + " w:02"},
		"until midnight": {now: "2026-03-02T23:59:59.999999999Z", waivers: []requirement.Waiver{waiver(fails, "2026-03-02")},
			covered: fails + " w:02", exit: 3},
		"expired at midnight": {now: "2026-03-03T00:00:00Z", waivers: []requirement.Waiver{waiver(fails, "2026-03-02")},
			exit:    1,
			notices: []string{"warning: The waiver for " + fails + " at w:02 is unused: it expired on 2026-03-02."}},
		"the day is that of UTC": {now: "2026-03-03T01:00:00+02:00",
			waivers: []requirement.Waiver{waiver(fails, "2026-03-02")}, covered: fails + " w:02", exit: 3},
		"expired yesterday": {waivers: []requirement.Waiver{waiver(fails, "2026-03-01")}, exit: 1,
			notices: []string{"warning: The waiver for " + fails + " at w:01 is unused: it expired on 2026-03-01."}},
		"unknown id": {waivers: []requirement.Waiver{waiver("win.disk.c-fre", "2026-03-05")}, exit: 1,
			notices: []string{"warning: The waiver for win.disk.c-fre at w:05 is unused: no such requirement exists."}},
		"another rule book": {waivers: []requirement.Waiver{waiver("byol.disk.size", "2026-03-05")}, exit: 1,
			notices: []string{"info: The waiver for byol.disk.size at w:05 is unused: it is for another rule book."}},
		"unused, it passes": {waivers: []requirement.Waiver{waiver(good, "2026-03-05", open)}, exit: 1,
			notices: []string{"info: The waiver for " + good + " at w:05 is unused: the finding is passed."}},
		"unused, another system": {waivers: []requirement.Waiver{waiver(other, "2026-03-05")}, exit: 1,
			notices: []string{"info: The waiver for " + other +
				" at w:05 is unused: the requirement does not apply to this system."}},
		"undetermined is not covered": {waivers: []requirement.Waiver{waiver(fails, "2026-03-05"),
			waiver(opens, "2026-03-05")}, covered: fails + " w:05", exit: 3,
			notices: []string{"info: The waiver for " + opens +
				` at w:05 is unused: the finding is undetermined, and the waiver lacks "undetermined: true".`}},
		"one that covers undetermined covers failed": {waivers: []requirement.Waiver{waiver(fails, "2026-03-05", open)},
			covered: fails + " w:05", exit: 3},
		"two for one": {waivers: []requirement.Waiver{waiver(fails, "2026-03-05"), waiver(fails, "2026-03-06")},
			covered: fails + " w:05", exit: 3,
			notices: []string{"info: The waiver for " + fails +
				" at w:06 is unused: the waiver at w:05 covers the finding already."}},
		"two for one, the first expired": {waivers: []requirement.Waiver{waiver(fails, "2026-03-01"),
			waiver(fails, "2026-03-06")}, covered: fails + " w:06", exit: 3,
			notices: []string{"warning: The waiver for " + fails + " at w:01 is unused: it expired on 2026-03-01."}},
		"for this computer": {waivers: []requirement.Waiver{waiver(fails, "2026-03-05", target("wsamzn-1"))},
			covered: fails + " w:05", exit: 3},
		"for this image": {waivers: []requirement.Waiver{waiver(fails, "2026-03-05", target("root.img"))},
			covered: fails + " w:05", exit: 3},
		"for this image's path": {waivers: []requirement.Waiver{waiver(fails, "2026-03-05", target("/images/root.img"))},
			covered: fails + " w:05", exit: 3},
		"for this image elsewhere": {waivers: []requirement.Waiver{waiver(fails, "2026-03-05", target(`user.img`))},
			covered: fails + " w:05", exit: 3},
		"for others": {waivers: []requirement.Waiver{waiver(fails, "2026-03-05", target("WSAMZN-2")),
			waiver(opens, "2026-03-05", open, target("oot.img"))}, exit: 1,
			notices: []string{"info: 2 waivers are for other targets."}},
		"strict asks for undetermined: true": {policy: Policy{Strict: true}, exit: 3,
			covered: fails + " w:05, " + opens + " w:06",
			waivers: []requirement.Waiver{waiver(fails, "2026-03-05"), waiver(opens, "2026-03-06", open),
				waiver(infer, "2026-03-07")},
			notices: []string{"info: The waiver for " + infer +
				` at w:07 is unused: the finding is undetermined, and the waiver lacks "undetermined: true".`}},
		"a tip that a flag counts": {policy: Policy{FailOn: FailOnRecommended}, exit: 0,
			covered: fails + " w:05, " + opens + " w:05, " + tip + " w:05",
			waivers: []requirement.Waiver{waiver(fails, "2026-03-05"), waiver(opens, "2026-03-05", open),
				waiver(tip, "2026-03-05")}},
	} {
		list, err := books()
		if err != nil {
			t.Fatal(err)
		}
		t.Run(name, func(t *testing.T) {
			now, err := time.Parse(time.RFC3339Nano, "2026-03-02"+noon)
			if c.now != "" {
				now, err = time.Parse(time.RFC3339Nano, c.now)
			}
			if err != nil {
				t.Fatal(err)
			}
			find := func(id string, severity requirement.Severity, status requirement.Status,
				basis requirement.Basis) requirement.Finding {
				return requirement.Finding{Requirement: requirement.Requirement{ID: id, Severity: severity},
					Outcome: requirement.Outcome{Status: status, Basis: basis}}
			}
			r := &Result{
				Images: []string{"/images/root.img", `C:\images\user.img`}, Platform: Platform{ComputerName: "WSAMZN-1"},
				Findings: []requirement.Finding{
					find(fails, requirement.Required, requirement.Failed, requirement.Observed),
					find(opens, requirement.Required, requirement.Undetermined, ""),
					find(good, requirement.Required, requirement.Passed, requirement.Observed),
					find(infer, requirement.Required, requirement.Passed, requirement.Inferred),
					find(tip, requirement.Recommended, requirement.Warning, requirement.Observed),
				},
			}
			for i := range r.Findings {
				r.Findings[i].Counts = r.Findings[i].ID != tip
			}
			statuses := r.Summary()
			c.policy.Waivers = c.waivers
			var notices []string
			for _, n := range r.waive(list[:1], c.policy, now) {
				notices = append(notices, fmt.Sprintf("%s: %s", n.Level, n.Message))
			}
			r.conclude(c.policy)
			var covered []string
			for _, f := range r.Findings {
				if f.Waiver != nil {
					covered = append(covered, f.ID+" "+f.Waiver.Source)
				}
			}
			if got := strings.Join(covered, ", "); got != c.covered || exitOf(r.PolicyVerdict) != c.exit ||
				r.Verdict != NotReady {
				t.Errorf("covered %q, exit code %d, %s; want %q, %d, %s", got, exitOf(r.PolicyVerdict), r.Verdict, c.covered,
					c.exit, NotReady)
			}
			if d := cmp.Diff(c.notices, notices); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(statuses, r.Summary()); d != "" {
				t.Error(d)
			}
		})
	}
}
