package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/olekukonko/tablewriter"
	"github.com/olekukonko/tablewriter/renderer"
	"github.com/olekukonko/tablewriter/tw"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const (
	defaultWidth = 80
	minWidth     = 72 // the longest id, the status and 20 columns for what was found

	// What follows bounds what one finding may take of the reader's screen; the
	// log and the JSON report hold everything.
	maxEvidence = 6
	maxNotices  = 8
	maxText     = 1000 // columns of a message
	maxCell     = 400  // columns of one in the table of everything, and of a part of evidence
)

// Table writes the report that a person reads: where we are, the verdict, what
// to do and why, then everything.
func Table(w io.Writer, r *scanner.Result, o Options) error {
	p := newPage(w, o)
	p.place(r)
	p.notices(r.Notices)
	p.line("")
	p.verdict(r, o)
	p.blocks(r)
	p.line("")
	if err := p.everything(r.Findings); err != nil {
		return err
	}
	return p.w.Flush()
}

// page writes lines. Its bufio.Writer keeps the first error for Flush.
type page struct {
	w       *bufio.Writer
	columns int
	color   bool
}

func newPage(w io.Writer, o Options) *page {
	return &page{w: bufio.NewWriter(w), columns: max(cmp.Or(o.Width, defaultWidth), minWidth), color: o.Color}
}

func (p *page) line(s string) {
	p.w.WriteString(s)
	p.w.WriteByte('\n')
}

// text writes s, which is Neutral, wrapped: the first line after lead, the
// others under its end.
func (p *page) text(lead, s string) { p.painted("", lead, s) }

// painted is text whose lead is in colour.
func (p *page) painted(color, lead, s string) {
	indent := width(lead)
	lead = p.paint(color, lead)
	for i, l := range wrap(shorten(s, maxText), p.columns-indent) {
		if i > 0 {
			lead = strings.Repeat(" ", indent)
		}
		p.line(lead + l)
	}
}

// place says which system this is and where it was read.
func (p *page) place(r *scanner.Result) {
	p.text("", Neutral(system(r)))
	for _, v := range volumes(r) {
		what, where := volume(v)
		p.text(fmt.Sprintf("%-5s  ", v.Role), Neutral(what+"  "+where))
	}
}

// notices writes what the reader must know of the evidence, the worst first.
func (p *page) notices(notices []requirement.Notice) {
	for i, n := range worstFirst(notices) {
		if i == maxNotices {
			p.text("       ", fmt.Sprintf("and %d more in the log (-o log)", len(notices)-i))
			return
		}
		p.text("       ", Neutral(notice(n)))
	}
}

var verdictColor = map[scanner.Verdict]string{scanner.Ready: green, scanner.NotReady: red, scanner.Inconclusive: yellow}

// verdict writes the verdict with what it is made of, and what is beside it.
func (p *page) verdict(r *scanner.Result, o Options) {
	p.painted(verdictColor[r.Verdict], verdictName[r.Verdict]+": ", tally(r))
	for _, l := range beside(r, o) {
		lead, rest, _ := strings.Cut(l, ": ")
		if rest != "" {
			lead += ": "
		}
		p.text(lead, rest)
	}
}

// blocks writes a paragraph for every finding that asks something of the
// reader.
func (p *page) blocks(r *scanner.Result) {
	for _, g := range actions(r) {
		p.block(g)
	}
}

// block writes a paragraph for one finding, or for several that are undetermined
// for the same reason.
func (p *page) block(group []requirement.Finding) {
	var heads []string
	for _, f := range group {
		head := f.ID
		for _, m := range marks(f) {
			head += "  (" + m + ")"
		}
		heads = append(heads, head)
	}
	f := group[0]
	lead := fmt.Sprintf("%-12s  ", strings.ToUpper(statusName(f.Status)))
	p.line("")
	p.painted(statusColor[f.Status], lead, heads[0])
	for _, head := range heads[1:] {
		p.text(strings.Repeat(" ", width(lead)), head)
	}
	p.text("  ", Neutral(f.Message))
	if len(group) > 1 {
		return
	}
	if w := f.Waiver; w != nil {
		p.text("  Waived: ", Neutral(waiver(*w)))
		return
	}
	for i, e := range f.Evidence {
		if i == maxEvidence {
			p.text("    ", fmt.Sprintf("and %d more in the log (-o log)", len(f.Evidence)-i))
			break
		}
		p.evidence("    ", e)
	}
	if left := omitted(f); left != "" {
		p.text("    ", left)
	}
	if what, how := advice(f); how != "" {
		p.text("  "+what+": ", Neutral(how))
	}
}

// evidence writes a piece of evidence: where it is, what is there, since when.
// What does not fit on its line goes on below, further in. lead begins the first
// line.
func (p *page) evidence(lead string, e requirement.Evidence) {
	below := strings.Repeat(" ", len(lead)+2)
	columns := p.columns - len(below)
	var lines []string
	last := func() *string { return &lines[len(lines)-1] }
	add := func(part string, broken func(string, int) []string) {
		part = shorten(Neutral(part), maxCell)
		room := columns
		if len(lines) == 1 {
			room += len(below) - len(lead)
		}
		if len(lines) > 0 && width(*last())+2+width(part) <= room {
			*last() += "  " + part
			return
		}
		lines = append(lines, broken(part, columns)...)
	}
	where, what := told(e)
	for _, part := range where {
		add(part, fold)
	}
	for _, part := range what {
		add(part, wrap)
	}
	for i, line := range lines {
		if i == 0 {
			p.line(lead + line)
		} else {
			p.line(below + line)
		}
	}
}

// everything writes the table of all findings in the catalogue's order. Cells
// are wrapped before they reach the table, with the same measure of width.
func (p *page) everything(findings []requirement.Finding) error {
	idColumns, statusColumns := len("REQUIREMENT"), len("not applicable")
	for _, f := range findings {
		idColumns = max(idColumns, len(f.ID))
	}
	rest := p.columns - tableBorders - idColumns - statusColumns
	t := p.table("REQUIREMENT", "STATUS", "WHAT WAS FOUND")
	for _, f := range findings {
		status := statusName(f.Status)
		switch {
		case f.Waiver != nil:
			status += " (waived)"
		case f.Accepted:
			status += " (accepted)"
		case f.Basis == requirement.Inferred, f.Basis == requirement.Stated:
			status += " (" + string(f.Basis) + ")"
		}
		lines := wrap(status, statusColumns)
		for i := range lines {
			lines[i] = p.paint(statusColor[f.Status], lines[i])
		}
		found := wrap(shorten(Neutral(f.Message), maxCell), rest)
		if err := t.Append([]string{f.ID, strings.Join(lines, "\n"), strings.Join(found, "\n")}); err != nil {
			return err
		}
	}
	return t.Render()
}

// tableBorders is what the frame of a table of three columns takes: four lines,
// and a space on each side of every cell.
const tableBorders = 10

// table begins a table whose cells are wrapped already.
func (p *page) table(header ...string) *tablewriter.Table {
	t := tablewriter.NewTable(p.w,
		tablewriter.WithRenderer(renderer.NewBlueprint(tw.Rendition{Symbols: tw.NewSymbols(tw.StyleLight)})),
		tablewriter.WithEastAsian(tw.Off),
		tablewriter.WithTrimSpace(tw.Off),
		tablewriter.WithHeaderAlignment(tw.AlignLeft),
		tablewriter.WithHeaderAutoFormat(tw.Off),
		tablewriter.WithRowAutoFormat(tw.Off),
		tablewriter.WithRowAlignment(tw.AlignLeft),
		tablewriter.WithRowAutoWrap(tw.WrapNone),
	)
	t.Header(header)
	return t
}

// Select Graphic Rendition sequences (ECMA-48, 8.3.117).
const (
	red    = "\x1b[1;31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	cyan   = "\x1b[36m"
	dim    = "\x1b[2m"
	reset  = "\x1b[0m"
)

var statusColor = map[requirement.Status]string{
	requirement.Failed: red, requirement.Warning: yellow, requirement.Undetermined: cyan,
	requirement.Passed: green, requirement.NotApplicable: dim,
}

func (p *page) paint(color, s string) string {
	if !p.color || color == "" {
		return s
	}
	return color + s + reset
}
