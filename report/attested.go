package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
)

// AttestedNote is what a verifier adds to an attestation.
type AttestedNote struct {
	File         string // its name
	Compared     bool   // images were compared with the subjects
	Stale        string // why the scan is too old, or not yet, as a sentence; "" if it is neither
	AcceptWarned bool   // the result WARNED is accepted
}

// Verdict is the verdict to gate on: that of Attested.Gate, but not ready if the scan is
// stale.
func (n AttestedNote) Verdict(a *Attested) scanner.Verdict {
	verdict := a.Gate(n.AcceptWarned)
	if verdict == scanner.Ready && n.Stale != "" {
		return scanner.Inconclusive
	}
	return verdict
}

// AttestedText writes what a verified attestation says, for people.
func AttestedText(w io.Writer, a *Attested, n AttestedNote, o Options) error {
	p := newPage(w, o)
	line := func(name, text string) {
		if text != "" {
			p.text(fmt.Sprintf("%-14s", name+":"), Neutral(text))
		}
	}
	ids := func(name string, list []string) { line(name, strings.Join(list, ", ")) }
	line("Signature", "valid, by the "+a.KeyKind+" key "+a.KeyID)
	by := toolName + " " + a.Version
	if a.Commit != "" {
		by += " (commit " + a.Commit + ")"
	}
	line("Made by", by)
	line("Scanned", second(a.Started)+" to "+second(a.Finished))
	line("System", machine(a.Platform))
	for _, l := range a.Examination.stated() {
		line(l.name, l.text)
	}
	for _, b := range a.RuleBooks {
		line("Rule book", b.Name+" ("+b.AsOf+"): "+b.Title)
	}
	for _, s := range a.Subjects {
		text := s.Name + " " + digestText(s.Digest)
		switch {
		case s.Compared == s.Name:
			text += " (compared, the same)"
		case s.Compared != "":
			text += " (compared, the same as " + s.Compared + ")"
		case n.Compared:
			text += " (not compared)"
		}
		line("Image", text)
	}
	var settings []string
	for _, name := range slices.Sorted(maps.Keys(a.Settings)) {
		settings = append(settings, fmt.Sprintf("%s=%v", name, a.Settings[name]))
	}
	line("Settings", strings.Join(settings, ", "))
	for _, f := range a.Inputs {
		line("Input", f.Name+" sha256:"+f.SHA256)
	}
	line("Passed", prose.Count(len(a.Passed), "check", "checks"))
	ids("Warned", a.Warned)
	ids("Failed", a.Failed)
	ids("Undetermined", a.Undetermined)
	ids("Not checked", a.NotChecked)
	ids("Waived", a.Waived)
	ids("Accepted", a.Accepted)
	line("Too old", n.Stale)
	verdict := n.Verdict(a)
	text := a.Result + "; the verdict of the scan is " + strings.ToLower(verdictName[a.Verdict])
	if a.PolicyVerdict != a.Verdict {
		text += ", and " + strings.ToLower(verdictName[a.PolicyVerdict]) + " by the policy of the scan"
	}
	p.text(p.paint(verdictColor[verdict], verdictName[verdict]+":")+" ", text)
	return p.w.Flush()
}

// digestText are digests in one line.
func digestText(digests map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(digests)) {
		list = append(list, name+":"+digests[name])
	}
	return strings.Join(list, " ")
}

type jsonAttested struct {
	File          string           `json:"file"`
	KeyID         string           `json:"key_id"`
	KeyKind       string           `json:"key_kind"`
	Tool          jsonAttestedTool `json:"tool"`
	Started       string           `json:"started"`
	Finished      string           `json:"finished"`
	Platform      jsonPlatform     `json:"platform"`
	Examination   *jsonExamination `json:"examination,omitempty"`
	Result        string           `json:"result"`
	ScanVerdict   scanner.Verdict  `json:"scan_verdict"`
	PolicyVerdict scanner.Verdict  `json:"policy_verdict"`
	Verdict       scanner.Verdict  `json:"verdict"`
	ExitCode      *int             `json:"exit_code,omitempty"`
	Stale         string           `json:"stale,omitempty"`
	RuleBooks     []*jsonRuleBook  `json:"rule_books"`
	Subjects      []jsonAttestedOf `json:"subjects"`
	Settings      map[string]any   `json:"settings,omitempty"`
	Inputs        []jsonAttestedIn `json:"inputs,omitempty"`
	Passed        []string         `json:"passed"`
	Warned        []string         `json:"warned"`
	Failed        []string         `json:"failed"`
	Undetermined  []string         `json:"undetermined"`
	NotApplicable []string         `json:"not_applicable"`
	NotChecked    []string         `json:"not_checked"`
	Waived        []string         `json:"waived"`
	Accepted      []string         `json:"accepted"`
}

type jsonAttestedTool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
}

type jsonAttestedOf struct {
	Name     string            `json:"name"`
	Digest   map[string]string `json:"digest"`
	Compared string            `json:"compared,omitempty"`
}

type jsonAttestedIn struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// AttestedJSON writes what a verified attestation says, for programs.
func AttestedJSON(w io.Writer, a *Attested, n AttestedNote, o Options) error {
	list := func(ids []string) []string { return append([]string{}, ids...) } // never null
	doc := jsonAttested{
		File: n.File, KeyID: a.KeyID, KeyKind: a.KeyKind, Tool: jsonAttestedTool{toolName, a.Version, a.Commit},
		Started: moment(a.Started), Finished: moment(a.Finished), Platform: jsonPlatform(a.Platform),
		Examination: Options{Examination: a.Examination}.examination(), Result: a.Result, ScanVerdict: a.Verdict,
		PolicyVerdict: a.PolicyVerdict, Verdict: n.Verdict(a), ExitCode: o.exitCode(n.Verdict(a)), Stale: n.Stale,
		Settings: a.Settings, Passed: list(a.Passed), Warned: list(a.Warned), Failed: list(a.Failed),
		Undetermined: list(a.Undetermined), NotApplicable: list(a.NotApplicable), NotChecked: list(a.NotChecked),
		Waived: list(a.Waived), Accepted: list(a.Accepted),
	}
	for _, b := range a.RuleBooks {
		doc.RuleBooks = append(doc.RuleBooks, jsonRuleBookOf(b))
	}
	for _, s := range a.Subjects {
		doc.Subjects = append(doc.Subjects, jsonAttestedOf(s))
	}
	for _, f := range a.Inputs {
		doc.Inputs = append(doc.Inputs, jsonAttestedIn{f.Name, f.SHA256})
	}
	e := NewJSONEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}

// ahead is how far the clock of the machine that scanned may be ahead.
const ahead = 5 * time.Minute

// StaleAt says in a sentence why the scan is older than maxAge at a time, or is later than
// it; "" if neither. A maxAge of 0 is none.
func (a *Attested) StaleAt(now time.Time, maxAge time.Duration) string {
	switch age := now.Sub(a.Finished); {
	case maxAge == 0:
		return ""
	case age > maxAge:
		return fmt.Sprintf("The scan ended %s ago, and at most %s are allowed.", age.Round(time.Second), maxAge)
	case age < -ahead:
		return "The scan ended in the future: " + second(a.Finished) + "."
	}
	return ""
}
