package report

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

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
	p.verdict(r)
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
	name := r.Platform.Name
	if v := r.Platform.Version; v != "" && !strings.HasSuffix(name, " "+v) { // "Amazon Linux 2" has it
		name += " " + v
	}
	system := []string{name}
	for _, s := range []string{r.Platform.ComputerName, r.Platform.UserName} {
		if s != "" {
			system = append(system, s)
		}
	}
	p.text("", Neutral(strings.Join(system, ", ")))
	rank := map[scanner.Role]int{scanner.Root: 0, scanner.User: 1, scanner.Other: 2}
	volumes := slices.Clone(r.Volumes)
	slices.SortStableFunc(volumes, func(a, b scanner.Volume) int { return rank[a.Role] - rank[b.Role] })
	for _, v := range volumes {
		what := cmp.Or(filesystemNames[v.Filesystem], v.Filesystem, "unknown") + " " + size(v.Size)
		if v.Free >= 0 {
			what += ", " + size(v.Free) + " free"
		}
		if v.State != "" && v.State != "clean" {
			what += ", " + v.State
		}
		where := v.Image
		if v.Partition > 0 {
			where += fmt.Sprintf(", partition %d", v.Partition)
		}
		p.text(fmt.Sprintf("%-5s  ", v.Role), Neutral(what+"  "+where))
	}
}

// filesystemNames holds the names that are not written as the scanner does.
var filesystemNames = map[string]string{
	"ntfs": "NTFS", "xfs": "XFS", "btrfs": "Btrfs", "fat": "FAT", "exfat": "exFAT", "refs": "ReFS",
	"lvm2": "LVM2", "luks": "LUKS", "bitlocker": "BitLocker",
}

// notices writes what the reader must know of the evidence, the worst first.
func (p *page) notices(notices []requirement.Notice) {
	rank := map[requirement.Level]int{requirement.LevelError: 0, requirement.LevelWarning: 1, requirement.LevelInfo: 2}
	notices = slices.Clone(notices)
	slices.SortStableFunc(notices, func(a, b requirement.Notice) int { return rank[a.Level] - rank[b.Level] })
	for i, n := range notices {
		if i == maxNotices {
			p.text("       ", fmt.Sprintf("and %d more in the log (-o log)", len(notices)-i))
			return
		}
		s := n.Message
		if n.Path != "" && !strings.Contains(s, path.Base(n.Path)) {
			s = n.Path + ": " + s
		}
		if n.Source != "" && !strings.Contains(s, n.Source) {
			s = n.Source + ": " + s
		}
		if n.Level != requirement.LevelInfo {
			s = string(n.Level) + ": " + s
		}
		p.text("       ", Neutral(s))
	}
}

var verdicts = map[scanner.Verdict]struct{ name, color string }{
	scanner.Ready:        {"READY", green},
	scanner.NotReady:     {"NOT READY", red},
	scanner.Inconclusive: {"INCONCLUSIVE", yellow},
}

// plainExit is the exit code of a verdict when no flag changes it.
var plainExit = map[scanner.Verdict]int{scanner.Ready: 0, scanner.NotReady: 1, scanner.Inconclusive: 3}

// verdict writes the verdict with what it is made of, and what is beside it.
func (p *page) verdict(r *scanner.Result) {
	counted, waived := map[requirement.Status]int{}, map[requirement.Status]int{}
	advice, service := 0, 0
	for _, f := range r.Findings {
		switch {
		case r.Counted[f.ID]:
			counted[f.Status]++
			if f.Waiver != nil {
				waived[f.Status]++
			}
		case f.Status == requirement.Warning:
			advice++
		case f.Status == requirement.Undetermined && f.Scope == requirement.Service && f.Severity == requirement.Required:
			service++
		}
	}
	var parts []string
	for _, s := range requirement.Statuses {
		if n := counted[s]; n > 0 && s != requirement.NotApplicable {
			part := plural(n, statusName(s), s == requirement.Warning)
			if waived[s] > 0 {
				part += fmt.Sprintf(" (%d waived)", waived[s])
			}
			parts = append(parts, part)
		}
	}
	v := verdicts[r.Verdict]
	line := strings.Join(parts, ", ")
	if service > 0 {
		line += " (" + plural(service, "service check", true) + ": --with)"
	}
	p.painted(v.color, v.name+": ", line)
	if advice > 0 {
		p.line("Beside the verdict: " + plural(advice, "recommendation", true) + " not met")
	}
	if c := r.CrossCheck; c != nil {
		p.text("Evidence: ", confirmation(*c))
	}
	if r.ExitCode != plainExit[r.Verdict] {
		p.line(fmt.Sprintf("Exit code %d instead of %d, as the flags ask", r.ExitCode, plainExit[r.Verdict]))
	}
}

// confirmation says how much of the evidence other parsers read the same.
func confirmation(c scanner.CrossCheck) string {
	s := fmt.Sprintf("%s, %d confirmed by a second reader", plural(c.Pieces, "piece", true), c.Confirmed)
	if n := c.NotAsked + c.Failed; n > 0 {
		s += fmt.Sprintf(", %d not readable by it", n)
	}
	if c.Differ > 0 {
		s += fmt.Sprintf(", %d read differently by it", c.Differ)
	}
	return s
}

func plural(n int, noun string, countable bool) string {
	if countable && n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// blocks writes a paragraph for every finding that asks something of the
// reader: what counts first, what is waived last, and what is not met before
// what is not known. What is not known for one and the same reason is told once.
func (p *page) blocks(r *scanner.Result) {
	const counts, beside, waived = 0, 1, 2
	round := func(f requirement.Finding) int {
		switch {
		case f.Waiver != nil:
			return waived
		case r.Counted[f.ID]:
			return counts
		}
		return beside
	}
	for now := counts; now <= waived; now++ {
		for _, status := range []requirement.Status{requirement.Failed, requirement.Warning, requirement.Undetermined} {
			var groups [][]requirement.Finding
			for _, f := range r.Findings {
				// What only the service knows is told in one line with the verdict.
				unasked := now == beside && f.Status == requirement.Undetermined && f.Scope == requirement.Service
				if f.Status != status || round(f) != now || unasked {
					continue
				}
				same := func(g []requirement.Finding) bool { return g[0].Message == f.Message }
				if i := slices.IndexFunc(groups, same); i >= 0 && status == requirement.Undetermined && now != waived {
					groups[i] = append(groups[i], f)
				} else {
					groups = append(groups, []requirement.Finding{f})
				}
			}
			for _, g := range groups {
				p.block(g)
			}
		}
	}
}

// block writes a paragraph for one finding, or for several that are undetermined
// for the same reason.
func (p *page) block(group []requirement.Finding) {
	var heads []string
	for _, f := range group {
		head := f.ID
		if f.AWSErrorCode != "" {
			head += "  (AWS: " + f.AWSErrorCode + ")"
		}
		if f.Severity != requirement.Required {
			head += "  (" + string(f.Severity) + ")"
		}
		if f.Accepted {
			head += "  (accepted)"
		}
		if f.Waiver != nil {
			head += "  (waived)"
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
		p.text("  Waived: ", Neutral(fmt.Sprintf("until %s by %s: %s", w.Expiry.Format(time.DateOnly), w.Owner, w.Reason)))
		return
	}
	for i, e := range f.Evidence {
		if i == maxEvidence {
			p.text("    ", fmt.Sprintf("and %d more in the log (-o log)", len(f.Evidence)-i))
			break
		}
		p.evidence(e)
	}
	switch {
	case f.Outcome.Remediation != "":
		p.text("  Fix: ", Neutral(f.Outcome.Remediation))
	case f.Status == requirement.Undetermined && f.Live != "":
		p.text("  Live check: ", Neutral(f.Live))
	}
}

// evidence writes a piece of evidence: where it is, what is there, since when.
// What does not fit on its line goes on below, further in.
func (p *page) evidence(e requirement.Evidence) {
	const lead, below = "    ", "      "
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
	switch {
	case e.Key != "" && hiveRoot(e.Path) != "":
		add(hiveRoot(e.Path)+`\`+e.Key, fold)
	case e.Key != "":
		add(e.Source+" "+e.Path, fold)
		add(e.Key, fold)
	default:
		add(strings.TrimSpace(e.Source+" "+e.Path), fold)
	}
	value := e.Value
	if value == "" && hasValue(e) {
		value = "(Default)"
	}
	switch {
	case value != "" && e.Data != "":
		add(value+" = "+e.Data, wrap)
	case value != "" || e.Data != "":
		add(value+e.Data, wrap)
	}
	if timestamp(e.Time) != "" {
		add(e.Time.UTC().Format("2006-01-02 15:04Z"), wrap)
	}
	if e.Note != "" {
		add("("+e.Note+")", wrap)
	}
	for i, line := range lines {
		if i == 0 {
			p.line(lead + line)
		} else {
			p.line(below + line)
		}
	}
}

// hiveRoot is the name under which Windows shows a machine's hive, "" for any
// other file: the name that inspect reg takes.
func hiveRoot(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i < 0 || !strings.HasSuffix(strings.ToLower(path[:i]), "system32/config") {
		return ""
	}
	switch name := strings.ToUpper(path[i+1:]); name {
	case "SYSTEM", "SOFTWARE", "SAM", "SECURITY", "COMPONENTS", "DRIVERS":
		return `HKLM\` + name
	case "DEFAULT":
		return `HKU\.DEFAULT`
	}
	return ""
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

// statusName is the status in words.
func statusName(s requirement.Status) string {
	return strings.ReplaceAll(string(s), "_", " ")
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
