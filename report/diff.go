package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Change is how a finding differs between two reports.
type Change string

// A requirement that is missing from one of the reports counts as undetermined
// there.
const (
	Broke   Change = "broke"   // not met, but was met or did not apply; or failed, but was a warning
	Found   Change = "found"   // not met, but was undetermined
	Lost    Change = "lost"    // undetermined, but was decided
	Fixed   Change = "fixed"   // was not met, but is met or does not apply
	Decided Change = "decided" // was undetermined, but is met or does not apply
	Changed Change = "changed" // any other change of status, message or evidence
	Same    Change = "same"
)

// Changes lists every Change in the order in which reports show them.
var Changes = []Change{Broke, Found, Lost, Fixed, Decided, Changed, Same}

// Comparison is the difference between two reports.
type Comparison struct {
	Old, New    *Saved
	Differences []Difference // one for each requirement, in the order of the catalogue
}

// Difference is the change of one requirement's finding.
type Difference struct {
	Change   Change
	Old, New *requirement.Finding // one of them may be nil if its report does not have the requirement
	Evidence []EvidenceChange
}

// shown is the finding that stands for the requirement: the new one if there is one.
func (d Difference) shown() *requirement.Finding { return cmp.Or(d.New, d.Old) }

// EvidenceChange is a piece of evidence that was added (Old is nil), removed
// (New is nil), or changed.
type EvidenceChange struct {
	Old, New *requirement.Evidence
}

// Compare returns the changes from one report to another.
func Compare(old, new *Saved) Comparison {
	c := Comparison{Old: old, New: new}
	at := map[string]*requirement.Finding{}
	for i := range new.Findings {
		at[new.Findings[i].ID] = &new.Findings[i]
	}
	// Those that only one report has stand where that report has them.
	i := 0
	before := map[string]bool{}
	for k := range old.Findings {
		f := &old.Findings[k]
		before[f.ID] = true
	}
	addNew := func(until string) {
		for ; i < len(new.Findings) && new.Findings[i].ID != until; i++ {
			if f := &new.Findings[i]; !before[f.ID] {
				c.Differences = append(c.Differences, difference(nil, f))
			}
		}
	}
	for k := range old.Findings {
		f := &old.Findings[k]
		if at[f.ID] != nil {
			addNew(f.ID)
		}
		c.Differences = append(c.Differences, difference(f, at[f.ID]))
	}
	addNew("")
	return c
}

func difference(old, new *requirement.Finding) Difference {
	d := Difference{Old: old, New: new}
	was, is := statusOf(old), statusOf(new)
	var wasMessage, isMessage string
	var before, after []requirement.Evidence
	if old != nil {
		wasMessage, before = old.Message, old.Evidence
	}
	if new != nil {
		isMessage, after = new.Message, new.Evidence
	}
	d.Evidence = compareEvidence(before, after)
	d.Change = changeOf(was, is)
	if d.Change == Same && (wasMessage != isMessage || len(d.Evidence) > 0) {
		d.Change = Changed
	}
	return d
}

// changeOf is how a status differs from an earlier one. Each is "" if its report does not
// have the requirement.
func changeOf(was, is requirement.Status) Change {
	open := func(s requirement.Status) bool { return s == "" || s == requirement.Undetermined }
	unmet := func(s requirement.Status) bool { return s == requirement.Failed || s == requirement.Warning }
	switch {
	case unmet(is) && open(was):
		return Found
	case unmet(is) && !unmet(was), was == requirement.Warning && is == requirement.Failed:
		return Broke
	case open(is) && !open(was):
		return Lost
	case unmet(was) && !unmet(is):
		return Fixed
	case open(was) && !open(is):
		return Decided
	case was != is:
		return Changed
	}
	return Same
}

// statusOf is "" for a requirement that a report does not have.
func statusOf(f *requirement.Finding) requirement.Status {
	if f == nil {
		return ""
	}
	return f.Status
}

// compareEvidence pairs evidence from the same place. Offsets and results of a
// cross-check are not part of the comparison.
func compareEvidence(old, new []requirement.Evidence) []EvidenceChange {
	type place struct{ source, path, key, value string }
	of := func(e requirement.Evidence) place { return place{e.Source, e.Path, e.Key, e.Value} }
	unpaired := map[place][]int{}
	for i, e := range old {
		unpaired[of(e)] = append(unpaired[of(e)], i)
	}
	var changes []EvidenceChange
	paired := make([]bool, len(old))
	for i := range new {
		e := &new[i]
		candidates := unpaired[of(*e)]
		if len(candidates) == 0 {
			changes = append(changes, EvidenceChange{New: e})
			continue
		}
		was := &old[candidates[0]]
		paired[candidates[0]], unpaired[of(*e)] = true, candidates[1:]
		if was.Type != e.Type || was.Data != e.Data || was.Note != e.Note || !was.Time.Equal(e.Time) {
			changes = append(changes, EvidenceChange{Old: was, New: e})
		}
	}
	for i := range old {
		if !paired[i] {
			changes = append(changes, EvidenceChange{Old: &old[i]})
		}
	}
	return changes
}

// Verdict is NotReady if something broke or was found that no waiver of the new report
// covers, else Inconclusive if something required was lost that is neither
// waived nor accepted there, else Ready.
func (c Comparison) Verdict() scanner.Verdict {
	verdict := scanner.Ready
	for _, d := range c.Differences {
		covered := d.New != nil && d.New.Waiver != nil
		switch {
		case (d.Change == Broke || d.Change == Found) && !covered:
			return scanner.NotReady
		case d.Change == Lost && d.Old.Severity == requirement.Required && !covered &&
			(d.New == nil || !d.New.Accepted):
			verdict = scanner.Inconclusive
		}
	}
	return verdict
}

// summary counts the differences of each kind.
func (c Comparison) summary() map[Change]int {
	n := map[Change]int{}
	for _, kind := range Changes {
		n[kind] = 0
	}
	for _, d := range c.Differences {
		n[d.Change]++
	}
	return n
}

// changeWords are the words for each Change, and its color.
var changeWords = map[Change]struct{ word, color string }{
	Broke: {"broke", red}, Found: {"newly found", red}, Lost: {"no longer known", bold}, Fixed: {"fixed", green},
	Decided: {"known now", green}, Changed: {"changed", magenta}, Same: {"the same", ""},
}

// DiffText writes a comparison for people.
func DiffText(w io.Writer, c Comparison, o Options) error {
	p := newPage(w, o)
	a, b := machine(c.Old.Platform), machine(c.New.Platform)
	if a == b {
		p.text("", Neutral(a))
		a, b = "", ""
	}
	for _, r := range []struct {
		lead    string
		saved   *Saved
		machine string
	}{{"old  ", c.Old, a}, {"new  ", c.New, b}} {
		p.flow(r.lead, "     ", "  ", []phrase{{text: r.saved.Name}, {text: second(r.saved.Started)},
			{text: verdictName[r.saved.Verdict]}, {text: r.machine}})
	}
	if a, b := c.Old.Platform.ComputerName, c.New.Platform.ComputerName; a != "" && b != "" && !strings.EqualFold(a, b) {
		p.text("     ", "The reports are of different computers.")
	}
	if a, b := c.Old.RuleBooks, c.New.RuleBooks; !slices.Equal(a, b) {
		p.text("     ", Neutral(fmt.Sprintf("The rule books differ: old %s, new %s.", strings.Join(a, ", "),
			strings.Join(b, ", "))))
	}
	n := c.summary()
	var parts []string
	for _, kind := range Changes {
		for _, d := range c.Differences {
			if d.Change == kind && kind != Same {
				p.difference(d)
			}
		}
		if n[kind] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[kind], changeWords[kind].word))
		}
	}
	p.line("")
	p.text("", strings.Join(parts, ", ")+".")
	return p.w.Flush()
}

func machine(p scanner.Platform) string {
	known := slices.DeleteFunc([]string{p.Name, p.ComputerName}, func(s string) bool { return s == "" })
	return strings.Join(known, ", ")
}

func (p *page) difference(d Difference) {
	shown := d.shown()
	head := Neutral(shown.ID)
	if shown.Severity != requirement.Required {
		head += "  (" + string(shown.Severity) + ")"
	}
	if shown.Waiver != nil && d.New != nil {
		head += "  (waived)"
	}
	p.line("")
	word := changeWords[d.Change]
	p.painted(word.color, strings.ToUpper(word.word)+"  ", 2, head)
	was, is := side(d.Old), side(d.New)
	if was == is {
		p.text("  ", is)
	} else {
		p.text("  was: ", was)
		p.text("  now: ", is)
	}
	changes := slices.DeleteFunc(slices.Clone(d.Evidence), func(e EvidenceChange) bool {
		return !says(e.Old) && !says(e.New)
	})
	for i, e := range changes {
		if i == maxEvidence {
			p.text("    ", fmt.Sprintf("%d more (-o json).", len(changes)-i))
			break
		}
		if says(e.Old) {
			p.piece("  - ", *e.Old)
		}
		if says(e.New) {
			p.piece("  + ", *e.New)
		}
	}
}

// says reports whether a report has a piece of evidence that names something that exists.
func says(e *requirement.Evidence) bool { return e != nil && isFound(*e) }

func (p *page) piece(lead string, e requirement.Evidence) {
	where, what := describe(e)
	p.pieces(lead, where, what)
}

// side is what one report says of a requirement.
func side(f *requirement.Finding) string {
	if f == nil {
		return "not in the report"
	}
	return Neutral(statusName(f.Status) + ": " + f.Message)
}

type jsonDiff struct {
	SchemaVersion int              `json:"schema_version"`
	Tool          jsonTool         `json:"tool"`
	Old           jsonDiffReport   `json:"old"`
	New           jsonDiffReport   `json:"new"`
	ExitCode      *int             `json:"exit_code,omitempty"`
	Summary       map[Change]int   `json:"summary"`
	Changes       []jsonDifference `json:"changes"`
}

type jsonDiffReport struct {
	Report       string          `json:"report"`
	Started      string          `json:"started"`
	Images       []string        `json:"images"`
	ComputerName string          `json:"computer_name,omitempty"`
	RuleBooks    []string        `json:"rule_books,omitempty"`
	Verdict      scanner.Verdict `json:"verdict"`
}

type jsonDifference struct {
	ID       string               `json:"id"`
	Title    string               `json:"title"`
	Severity requirement.Severity `json:"severity"`
	Change   Change               `json:"change"`
	Old      *jsonDiffFinding     `json:"old,omitempty"`
	New      *jsonDiffFinding     `json:"new,omitempty"`
	Evidence []jsonEvidenceChange `json:"evidence,omitempty"`
}

type jsonDiffFinding struct {
	Status      requirement.Status `json:"status"`
	Message     string             `json:"message"`
	Remediation string             `json:"remediation,omitempty"`
	Waived      bool               `json:"waived,omitempty"`
}

type jsonEvidenceChange struct {
	Old *jsonEvidence `json:"old,omitempty"`
	New *jsonEvidence `json:"new,omitempty"`
}

// DiffJSON writes a comparison for programs, without unchanged findings.
func DiffJSON(w io.Writer, c Comparison, o Options) error {
	doc := jsonDiff{
		SchemaVersion: schemaVersion, Tool: o.tool(),
		Old: diffReport(c.Old), New: diffReport(c.New), ExitCode: o.exitCode(c.Verdict()),
		Summary: c.summary(), Changes: []jsonDifference{},
	}
	for _, d := range c.Differences {
		if d.Change == Same {
			continue
		}
		shown := d.shown()
		j := jsonDifference{
			ID:       shown.ID,
			Title:    shown.Demand,
			Severity: shown.Severity,
			Change:   d.Change,
			Old:      diffFinding(d.Old),
			New:      diffFinding(d.New),
		}
		for _, e := range d.Evidence {
			j.Evidence = append(j.Evidence, jsonEvidenceChange{Old: evidenceOrNone(e.Old), New: evidenceOrNone(e.New)})
		}
		doc.Changes = append(doc.Changes, j)
	}
	e := NewJSONEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}

func diffReport(s *Saved) jsonDiffReport {
	return jsonDiffReport{
		Report:       s.Name,
		Started:      s.Started.UTC().Format(time.RFC3339Nano),
		Images:       append([]string{}, s.Images...),
		ComputerName: s.Platform.ComputerName,
		RuleBooks:    s.RuleBooks,
		Verdict:      s.Verdict,
	}
}

func diffFinding(f *requirement.Finding) *jsonDiffFinding {
	if f == nil {
		return nil
	}
	return &jsonDiffFinding{
		Status:      f.Status,
		Message:     f.Message,
		Remediation: f.Outcome.Remediation,
		Waived:      f.Waiver != nil,
	}
}

func evidenceOrNone(e *requirement.Evidence) *jsonEvidence {
	if e == nil {
		return nil
	}
	j := evidence(*e)
	return &j
}
