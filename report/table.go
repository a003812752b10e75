package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const (
	defaultWidth = 80
	minWidth     = 40
	maxProse     = 120 // columns of a line of text: longer lines are hard to follow
	wideRows     = 110 // columns from which a row of a list stands on one line

	// Limits on the space of one finding on the screen. The log and the JSON report
	// have everything.
	maxPlaces   = 3
	maxEvidence = 6 // pieces of a difference
	maxNotices  = 8
	maxText     = 1000 // columns of a message
	maxCell     = 400  // columns of a message in a list, and of a part of evidence
)

// Table writes the report for people: the system, the unmet requirements with
// their fixes, the undecided ones, and the verdict. With Options.All it also
// lists every finding.
func Table(w io.Writer, r *scanner.Result, o Options) error {
	p := newPage(w, o)
	p.place(r, o)
	p.notices(r.Notices, o)
	for i, one := range r.Each() {
		if len(r.Others) > 0 {
			p.line("")
			p.painted(bold, "Rule book "+Neutral(ruleBook(one.RuleBook)), 0, "")
		}
		p.judgement(one, i == 0, o)
	}
	return p.w.Flush()
}

// judgement writes what one rule book says: the cards, the verdict, and what to do
// next. Remarks that are about the scan as a whole are those of the first one.
func (p *page) judgement(r *scanner.Result, first bool, o Options) {
	p.written = map[string]string{}
	needed, extra, waived := cards(r)
	for _, list := range [][]card{needed, waived} {
		for _, c := range list {
			p.card(c)
		}
	}
	all := func(n int) string {
		if n == 1 {
			return " (--all shows it)"
		}
		return " (--all shows them)"
	}
	if o.All {
		for _, c := range extra {
			p.card(c)
		}
		p.everything(r.Findings)
	} else {
		p.paragraph(optional(extra, all))
	}
	if first {
		p.paragraph(remarks(r, o))
	}
	p.line("")
	p.painted(verdictColor[r.Verdict], verdictName[r.Verdict]+": ", 0, tally(r))
	advice, _ := next(r, o)
	p.painted(bold, "Next: ", 6, Neutral(advice))
}

// VerdictLine writes the verdict with its counts in one line, of each rule book if
// there are several.
func VerdictLine(w io.Writer, r *scanner.Result, o Options) error {
	p := newPage(w, o)
	for _, one := range r.Each() {
		name := ""
		if len(r.Others) > 0 {
			name = one.RuleBook.Name + " "
		}
		p.line(name + p.paint(verdictColor[one.Verdict], verdictName[one.Verdict]+":") + " " + tally(one))
	}
	return p.w.Flush()
}

// page writes lines. Its bufio.Writer keeps the first error for Flush.
type page struct {
	w       *bufio.Writer
	columns int
	color   bool
	written map[string]string // messages that were written, and of which finding
}

func newPage(w io.Writer, o Options) *page {
	return &page{
		w: bufio.NewWriter(w), columns: max(cmp.Or(o.Width, defaultWidth), minWidth), color: o.Color,
		written: map[string]string{},
	}
}

func (p *page) line(s string) {
	p.w.WriteString(s)
	p.w.WriteByte('\n')
}

// text writes s, which is Neutral, wrapped: the first line after lead, the others
// under its end.
func (p *page) text(lead, s string) { p.painted("", lead, width(lead), s) }

// painted is text whose lead is in color, and whose further lines are indented. Where
// that leaves little room, they are indented by four columns at most.
func (p *page) painted(color, lead string, indent int, s string) {
	columns := min(p.columns, maxProse)
	if columns < defaultWidth {
		indent = min(indent, 4)
	}
	rest := strings.Repeat(" ", indent)
	for i, l := range wrapAfter(max(width(lead)-indent, 0), shorten(s, maxText), columns-indent) {
		if i == 0 {
			p.line(p.paint(color, lead) + l)
		} else {
			p.line(rest + l)
		}
	}
}

// paragraph writes sentences, one a line, after an empty line.
func (p *page) paragraph(lines []string) {
	for i, l := range lines {
		if i == 0 {
			p.line("")
		}
		p.text("", Neutral(l))
	}
}

// flow writes parts with gaps between them. A part that does not fit on the line goes to
// the next one, after below; a part longer than a line is broken.
func (p *page) flow(lead, below, gap string, parts []phrase) {
	current := lead
	empty := true
	for _, part := range parts {
		text := shorten(Neutral(part.text), maxCell)
		if text == "" {
			continue
		}
		if !empty && width(current)+width(gap)+width(text) <= p.columns {
			current += gap + text
			continue
		}
		if !empty {
			p.line(current)
			current = below
		}
		broken := wrap
		if part.path {
			broken = fold
		}
		lines := broken(text, p.columns-max(width(lead), width(below)))
		for _, l := range lines[:len(lines)-1] {
			p.line(current + l)
			current = below
		}
		current, empty = current+lines[len(lines)-1], false
	}
	p.line(current)
}

// phrase is a text of a line. A path is broken at its separators only.
type phrase struct {
	text string
	path bool
}

// place writes the system and its volumes.
func (p *page) place(r *scanner.Result, o Options) {
	var parts []phrase
	for _, s := range identity(r) {
		parts = append(parts, phrase{text: s})
	}
	p.flow("", "", "   ", parts)
	shown := slices.DeleteFunc(volumes(r), func(v scanner.Volume) bool { return v.Role == scanner.Other && !o.All })
	longest := 0
	for _, v := range shown {
		_, where := volume(v)
		longest = max(longest, width(Neutral(where)))
	}
	const lead = 7
	below := strings.Repeat(" ", lead)
	align := lead+longest+40 <= p.columns // 40 columns hold what most volumes are
	for _, v := range shown {
		what, where := volume(v)
		if align {
			where += strings.Repeat(" ", longest-width(Neutral(where)))
		}
		p.flow(fmt.Sprintf("%-5s  ", v.Role), below, "  ", []phrase{{text: where}, {text: what}, {text: recovered(r, v)}})
	}
	if noUserVolume(r) {
		p.flow("user   ", below, "  ", []phrase{{text: "not given"}})
	}
	if text := ruleBook(r.RuleBook); text != "" && len(r.Others) == 0 {
		p.flow("rules  ", below, "  ", []phrase{{text: text}})
	}
	for _, c := range containers(r) {
		p.flow("image  ", below, "  ", []phrase{{text: c.name}, {text: c.text}})
	}
	if o.All {
		for _, c := range remotes(r) {
			p.flow("remote ", below, "  ", []phrase{{text: c.name}, {text: c.text}})
		}
	}
}

// notices writes the notices that the reader must know; all of them with Options.All.
func (p *page) notices(notices []requirement.Notice, o Options) {
	shown := telling(notices)
	if o.All {
		shown = worstFirst(notices)
	}
	for i, n := range shown {
		if i == maxNotices {
			p.text("", fmt.Sprintf("%d more notices are in the log (-o log).", len(shown)-i))
			return
		}
		p.painted("", "", 2, Neutral(notice(n)))
	}
}

// card writes the findings of one cause, the evidence, and the fix.
func (p *page) card(c card) {
	f := c.fullest()
	p.line("")
	p.heads(c)
	if c.actionable() {
		for _, one := range c {
			p.painted("", "  "+severityNames[one.Severity]+": ", 4, Neutral(one.Demand))
		}
	}
	p.text("  ", p.message(f))
	if w := f.Waiver; w != nil {
		p.painted("", "  Waived ", 4, Neutral(waiver(*w)))
		return
	}
	if f.Status != requirement.Undetermined {
		p.evidence(f)
	}
	if label, how := advice(f); how != "" && c.actionable() {
		p.painted("", "  "+label+": ", width(label)+4, Neutral(how))
	}
}

// heads writes the status of a card, its ids one below the other with their marks, and
// the AWS error codes at the right edge.
func (p *page) heads(c card) {
	color, lead := statusColor[c[0].Status], statusLabel(c[0].Status)+"  "
	if c[0].Waiver != nil {
		color, lead = "", "WAIVED  "
	}
	edge := min(p.columns, maxProse)
	rest := strings.Repeat(" ", width(lead))
	for i, f := range c {
		head := Neutral(f.ID)
		for _, m := range weight(f) {
			if f.Waiver != nil && m == waivedMark {
				m = statusName(f.Status)
			}
			head += "  (" + Neutral(m) + ")"
		}
		code := ""
		if f.AWSErrorCode != "" {
			code = "AWS: " + Neutral(f.AWSErrorCode)
		}
		if gap := edge - width(rest) - width(head) - width(code); code != "" && gap >= 2 {
			head, code = head+strings.Repeat(" ", gap)+code, ""
		}
		for _, l := range wrap(shorten(head, maxCell), edge-width(rest)) {
			if i == 0 && lead != "" {
				p.line(p.paint(color, strings.TrimRight(lead, " ")) + "  " + l)
				lead = ""
			} else {
				p.line(rest + l)
			}
		}
		if code != "" {
			p.text(rest, shorten(code, maxCell))
		}
	}
}

// evidence writes the places that decide an unmet finding.
func (p *page) evidence(f requirement.Finding) {
	places := deciding(f)
	for i, at := range places {
		if i == maxPlaces {
			p.text("    ", fmt.Sprintf("%d more in the log (-o log).", len(places)-i))
			break
		}
		p.pieces("    ", at.where, at.what)
	}
	if left := omitted(f); left != "" {
		p.text("    ", left)
	}
}

// pieces writes a location and its data. Further lines are indented.
func (p *page) pieces(lead string, where, what []string) {
	var parts []phrase
	for _, s := range where {
		parts = append(parts, phrase{s, true})
	}
	for _, s := range what {
		parts = append(parts, phrase{s, false})
	}
	p.flow(lead, strings.Repeat(" ", len(lead)+2), "  ", parts)
}

// everything lists all findings in the catalogue's order, and no message twice.
func (p *page) everything(findings []requirement.Finding) {
	list := make([]entry, 0, len(findings))
	for _, f := range findings {
		text := "See above."
		if !asksSomething(f) {
			text = p.message(f)
		}
		list = append(list, entry{id: f.ID, tag: shownStatus(f), color: statusColor[f.Status], text: text})
	}
	p.line("")
	p.rows(list)
}

// message is the message of a finding, or where to find it if it was written already.
func (p *page) message(f requirement.Finding) string {
	if id := p.written[f.Message]; id != "" {
		return "Same as " + Neutral(id) + "."
	}
	p.written[f.Message] = f.ID
	return Neutral(f.Message)
}

// asksSomething reports whether a finding has a card.
func asksSomething(f requirement.Finding) bool {
	switch f.Status {
	case requirement.Failed, requirement.Warning:
		return true
	case requirement.Undetermined:
		return !unasked(f)
	}
	return false
}

// entry is a requirement of a list, with a word and a sentence about it.
type entry struct{ id, tag, color, text string }

// rows writes a list: in columns where there is room, and else each text below its id.
func (p *page) rows(list []entry) {
	ids, tags := 0, 0
	for _, r := range list {
		ids, tags = max(ids, width(r.id)), max(tags, width(r.tag))
	}
	for _, r := range list {
		text := shorten(r.text, maxCell)
		if p.columns >= wideRows {
			lead := fmt.Sprintf("%-*s  ", ids, r.id)
			indent := ids + 2 + tags + 2
			for i, l := range wrap(text, min(p.columns-indent, maxProse)) {
				if i == 0 {
					p.line(lead + p.paint(r.color, r.tag) + strings.Repeat(" ", tags+2-width(r.tag)) + l)
				} else {
					p.line(strings.Repeat(" ", indent) + l)
				}
			}
			continue
		}
		if head := fmt.Sprintf("%-*s  ", ids, r.id); width(head)+width(r.tag) <= p.columns {
			p.line(head + p.paint(r.color, r.tag))
		} else {
			p.line(r.id)
			p.line("  " + p.paint(r.color, r.tag))
		}
		p.text("  ", text)
	}
}

// Select Graphic Rendition sequences (ECMA-48, 8.3.117). All are bold and none is
// yellow, blue or cyan, so that they can be read on a light and on a dark screen.
const (
	red     = "\x1b[1;31m"
	green   = "\x1b[1;32m"
	magenta = "\x1b[1;35m"
	bold    = "\x1b[1m"
	reset   = "\x1b[0m"
)

var verdictColor = map[scanner.Verdict]string{
	scanner.Ready: green, scanner.NotReady: red, scanner.Inconclusive: magenta,
}

var statusColor = map[requirement.Status]string{
	requirement.Failed: red, requirement.Warning: magenta, requirement.Undetermined: bold,
}

func (p *page) paint(color, s string) string {
	if !p.color || color == "" {
		return s
	}
	return color + s + reset
}
