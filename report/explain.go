package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// explainSummary says how many failures there are and how many are explained.
func explainSummary(e *scanner.Explanation) string {
	explained := 0
	for _, f := range e.Failures {
		if f.Explained {
			explained++
		}
	}
	switch n := len(e.Failures); {
	case n == 0 && len(e.With) == 0:
		return "The disk shows no failed run of Sysprep. Add the output of 'aws workspaces describe-workspace-images' with " +
			"--with to explain a failed image creation."
	case n == 0:
		return "No document names an image that failed, and the disk shows no failed run of Sysprep."
	case n == explained:
		return prose.Count(n, "failure", "failures") + ", explained."
	default:
		return fmt.Sprintf("%s, %d explained.", prose.Count(n, "failure", "failures"), explained)
	}
}

// failureTitle names what failed, and when.
func failureTitle(f scanner.Failure) string {
	switch image := f.Kind == scanner.FailedImage; {
	case image && f.Time.IsZero():
		return "The creation of image " + f.Image() + " failed at an unknown time"
	case image:
		return "The creation of image " + f.Image() + " failed. It began on " + second(f.Time)
	case f.Time.IsZero():
		return "Sysprep failed at an unknown time"
	}
	return "Sysprep failed on " + changeTime(f.Time, f.Precision)
}

// reason is a code of a failed image, or a run of Sysprep that failed, and what is known of it.
type reason struct {
	Code        string // "" of Sysprep
	Message     string // of the service; "" if it has none
	Text        string
	Fix         string // "" if there is none
	Explained   bool
	Findings    []requirement.Finding // that are about it
	Disk        *requirement.Outcome
	Unchecked   []string
	ExplainedBy []string // ids of Findings
}

// reasonsOf lists why something failed.
func reasonsOf(f scanner.Failure) []reason {
	if f.Run != nil {
		r := reason{Text: cmp.Or(f.Run.Cause, "Nothing that coldcheck knows leads to these errors."), Fix: f.Run.Remedy,
			Explained: f.Explained, Findings: f.Findings}
		r.adopt()
		return []reason{r}
	}
	var list []reason
	for _, c := range f.Codes {
		r := reason{Code: c.Code, Message: c.Message, Text: c.Explanation(), Explained: c.Explained, Findings: c.Findings,
			Disk: c.Disk, Unchecked: c.Unchecked}
		r.adopt()
		if c.Disk != nil && c.Explained {
			r.Fix = cmp.Or(r.Fix, c.Disk.Remediation)
		}
		list = append(list, r)
	}
	return list
}

// adopt takes over what the unmet findings say must be done.
func (r *reason) adopt() {
	for _, f := range r.Findings {
		if asksFix(f) {
			r.ExplainedBy = append(r.ExplainedBy, f.ID)
			r.Fix = cmp.Or(r.Fix, f.Outcome.Remediation) // that of a run of Sysprep is about its own lines
		}
	}
}

// asksFix reports whether a finding is not met.
func asksFix(f requirement.Finding) bool {
	return f.Status == requirement.Failed || f.Status == requirement.Warning
}

// class is the word for whether something is explained.
func (r reason) class() string {
	if r.Explained {
		return "explained"
	}
	return "not explained"
}

// changeTime is the time of a change as its precision allows.
func changeTime(t time.Time, p scanner.Precision) string {
	switch {
	case t.IsZero():
		return "unknown time"
	case p == "day":
		return t.UTC().Format(time.DateOnly)
	case p == "local":
		return second(t) + "~"
	}
	return second(t)
}

// sourceOf is where a piece of evidence is, on one line.
func sourceOf(e requirement.Evidence) string {
	where := location(e)
	if e.Kind == requirement.KindFile {
		where = append(where, slices.DeleteFunc([]string{e.Value, e.Note}, func(s string) bool { return s == "" })...)
	}
	return strings.Join(where, ", ")
}

// sourcesOf are the places of what shows a change, each once.
func sourcesOf(c scanner.Change) []string {
	var list []string
	for _, e := range c.Evidence {
		if s := sourceOf(e); !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

// lookedText says what became of a source.
func lookedText(l scanner.Looked) string {
	text := l.Name + ": " + prose.Count(l.Found, "change", "changes")
	switch {
	case strings.HasPrefix(l.Name, "Sysprep "):
		text = l.Name + ": " + prose.Count(l.Found, "run", "runs")
	case l.Problem == "" && !isFound(l.Evidence):
		return l.Name + ": not found"
	}
	if l.Problem != "" {
		text += "; " + l.Problem
	}
	return text
}

// days is a window in words.
func days(d time.Duration) string {
	if d%(24*time.Hour) == 0 {
		return prose.Count(int(d/(24*time.Hour)), "day", "days")
	}
	return d.String()
}

// maxShownChanges is how many changes the table shows of a failure: the newest.
const maxShownChanges = 60

// maxShownEvidence is how much evidence it shows of a finding that explains a failure.
const maxShownEvidence = 4

// changeKey is the same for the same change before two failures.
func changeKey(c scanner.Change) string { return c.Time.String() + "\x00" + c.What }

// ExplainText writes an explanation for people.
func ExplainText(w io.Writer, e *scanner.Explanation, o Options) error {
	p := newPage(w, o)
	p.text("", Neutral(machine(e.Platform)))
	p.text("", Neutral(strings.Join(slices.Concat(e.Images, e.With), ", ")))
	shown, lines := map[string]bool{}, map[string]bool{}
	approximate := false
	for _, f := range e.Failures {
		p.line("")
		p.painted(bold, "", 2, Neutral(failureTitle(f)))
		for _, r := range reasonsOf(f) {
			p.line("")
			p.reason(r)
		}
		p.line("")
		approximate = p.logLines(f.Lines, lines) || approximate
		approximate = p.changes(e, f, shown) || approximate
	}
	if len(e.Looked) > 0 {
		p.line("")
		p.text("", "Looked at:")
		for _, l := range e.Looked {
			p.text("  ", Neutral(lookedText(l)))
		}
	}
	p.line("")
	if approximate {
		p.text("", approximateNote)
	}
	for _, n := range worstFirst(e.Notices) {
		if n.Level != requirement.LevelInfo {
			p.text("", Neutral(notice(n)))
		}
	}
	p.text("", explainSummary(e))
	return p.w.Flush()
}

// approximateNote explains the mark of a time that was converted.
const approximateNote = "~ Local time, converted with the machine's present time zone. Daylight saving may shift it " +
	"by an hour."

// reason writes why something failed, and what was looked at.
func (p *page) reason(r reason) {
	color := magenta
	if r.Explained {
		color = green
	}
	lead := "  " + strings.ToUpper(r.class()) + "  "
	if r.Code == "" {
		p.painted(color, lead, 4, Neutral(r.Text))
	} else {
		p.painted(color, lead, 4, Neutral(strings.TrimSuffix(r.Code+": "+r.Message, ": ")))
		p.text("    ", Neutral(r.Text))
	}
	for _, f := range r.Findings {
		p.text("    ", Neutral(f.ID+" ("+statusName(f.Status)+"): "+f.Message))
		if !asksFix(f) {
			continue
		}
		n := 0
		for _, ev := range f.Evidence {
			if n < maxShownEvidence && isFound(ev) {
				n++
				p.piece("      ", ev)
			}
		}
	}
	if r.Fix != "" {
		p.text("    Fix: ", Neutral(r.Fix))
	}
}

// logLines writes lines of a log, unless an earlier failure has shown them. It reports whether a time is approximate.
func (p *page) logLines(list []scanner.Line, shown map[string]bool) (approximate bool) {
	above := 0
	list = slices.DeleteFunc(slices.Clone(list), func(l scanner.Line) bool {
		key := sourceOf(l.Evidence)
		if shown[key] {
			above++
			return true
		}
		shown[key] = true
		return false
	})
	if above > 0 && len(list) == 0 {
		p.text("  ", "The lines of the logs of Sysprep are above.")
		return false
	}
	if len(list) > 0 {
		p.text("  ", "Lines of the logs of Sysprep:")
	}
	for _, l := range list {
		approximate = approximate || l.Precision == "local"
		p.text(fmt.Sprintf("  %-21s  ", changeTime(l.Time, l.Precision)), Neutral(oneSpace(l.Text)))
		p.text("    ", Neutral(sourceOf(l.Evidence)))
	}
	return approximate
}

// oneSpace makes one space of several, which logs have to align their lines.
func oneSpace(s string) string { return strings.Join(strings.Fields(s), " ") }

// changes writes what changed before a failure, unless an earlier failure has shown it. It reports whether a time is
// approximate.
func (p *page) changes(e *scanner.Explanation, f scanner.Failure, shown map[string]bool) (approximate bool) {
	above := 0
	list := slices.DeleteFunc(slices.Clone(f.Changes), func(c scanner.Change) bool {
		key := changeKey(c)
		if shown[key] {
			above++
			return true
		}
		shown[key] = true
		return false
	})
	if len(f.Lines) > 0 {
		p.line("")
	}
	p.text("  ", fmt.Sprintf("Changes in the %s before (UTC):", days(e.Window)))
	older := f.Omitted
	if more := len(list) - maxShownChanges; more > 0 {
		list, older = list[more:], older+more
	}
	if older > 0 {
		p.text("  ", fmt.Sprintf("%d older ones are not shown (-o json).", older))
	}
	if above > 0 {
		p.text("  ", fmt.Sprintf("%s above.", prose.Count(above, "is", "are")))
	}
	if len(f.Changes) == 0 {
		p.text("  ", "Nothing that was looked at changed.")
	}
	for _, c := range list {
		approximate = approximate || c.Precision == "local"
		p.text(fmt.Sprintf("  %-21s  %-11s  ", changeTime(c.Time, c.Precision), c.Kind), Neutral(c.What))
		p.text("    ", Neutral(strings.Join(sourcesOf(c), "; ")))
	}
	if !f.Time.IsZero() {
		p.text(fmt.Sprintf("  %-21s  %-11s  ", changeTime(f.Time, f.Precision), "FAILED"), Neutral(failedWhat(f)))
	}
	return approximate
}

// failedWhat is what failed, as the last line of the changes before it.
func failedWhat(f scanner.Failure) string {
	if f.Kind == scanner.FailedImage {
		return "The creation of image " + f.Image()
	}
	return "The run of Sysprep"
}
