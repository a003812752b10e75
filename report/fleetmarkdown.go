package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Bounds of what the Markdown shows, in addition to those of the table.
const (
	maxFleetRows      = 40 // requirements in the table
	maxMarkdownNames  = 20 // machines in a line
	maxMarkdownValues = 20 // values of a label
)

// FleetMarkdown writes a text for a ticket, or for the summary of a job, in the dialect of
// GitHub and GitLab: the counts, the requirements with the machines that do not meet them,
// and what has no verdict. It never exceeds the maximum length of a comment, and says what
// it leaves out. Text from a record cannot become markup, a mention of a user, or a link.
func FleetMarkdown(w io.Writer, f *Fleet, o Options) error {
	m := markdownText{foot: fmt.Sprintf("\n<sub>coldcheck %s</sub>\n", plainText(o.Version))}
	verdict := f.Verdict()
	m.add(fmt.Sprintf("## %s coldcheck: %s\n\n**%s**\n\n", verdictSign[verdict], verdictName[verdict],
		plainText(fleetTally(f))))
	m.add(fmt.Sprintf("**Next:** %s\n\n", plainText(prose.Sentence(fleetNext(f)))))
	for _, l := range fleetRemarks(f, o) {
		m.add(plainText(l) + "  \n")
	}
	place := "Records: " + plainText(cut(f.Store, maxFleetText))
	if s := fleetPeriod(f); s != "" {
		place += ", " + s
	}
	if f.Targets != "" {
		place += fmt.Sprintf(". Targets: %s, %d", plainText(cut(f.Targets, maxFleetText)), f.Listed)
	}
	m.add(place + "\n\n")
	needed, extra := f.Blocking()
	m.list("### What to do\n\n| Requirement | Not met | Undecided | Only problem | Fix |\n"+
		"| --- | --: | --: | --: | --- |\n",
		"| and %d more | | | | |\n", fleetRows(needed), maxFleetRows)
	var machines []string
	for _, r := range needed {
		machines = append(machines, f.markdownMachines(r)...)
	}
	m.fold("Machines by requirement", machines)
	for _, l := range fleetOptional(f, extra) {
		m.add("\n" + plainText(l) + "\n")
	}
	var items []string
	for _, g := range f.errorGroups() {
		items = append(items, fmt.Sprintf("- **not scanned**, %s: %s<br>%s\n", plainText(errorKinds[g.Kind]),
			span(prose.List(idsOf(g.Machines), maxMarkdownNames)), plainText(g.Machines[0].Error.Message)))
	}
	if damaged := f.In(MachineDamaged); len(damaged) > 0 {
		items = append(items, fmt.Sprintf("- **damaged record**: %s<br>%s\n",
			span(prose.List(idsOf(damaged), maxMarkdownNames)), plainText(damaged[0].Problem)))
	}
	if missing := f.In(MachineMissing); len(missing) > 0 {
		items = append(items, fmt.Sprintf("- **no record**: %s\n", span(prose.List(idsOf(missing), maxMarkdownNames))))
	}
	m.list("\n### Without a verdict\n\n", "- and %d more\n", items, len(items))
	for _, l := range f.Labels {
		var rows []string
		for _, g := range l.Values {
			rows = append(rows, fmt.Sprintf("| %s | %d | %d | %d | %d |\n", plainText(cmp.Or(g.Value, "(empty)")), g.Machines(),
				g.States[MachineNotReady], g.States[MachineReady],
				g.Machines()-g.States[MachineNotReady]-g.States[MachineReady]))
		}
		m.list(fmt.Sprintf("\n### Label %s\n\n| Value | Machines | Not ready | Ready | Other |\n"+
			"| --- | --: | --: | --: | --: |\n", plainText(l.Name)), "| and %d more | | | | |\n", rows, maxMarkdownValues)
	}
	if f.Changes != nil {
		var changes []string
		for _, l := range changeLines(f, maxMarkdownNames) {
			changes = append(changes, "- "+plainText(l)+"\n")
		}
		m.list("\n### Since "+plainText(cut(f.Changes.Store, maxFleetText))+"\n\n", "- and %d more\n", changes, len(changes))
	}
	m.b.WriteString(m.foot)
	_, err := w.Write(m.b.Bytes())
	return err
}

// markdownText is a text that stays shorter than a comment. What does not fit is left out.
type markdownText struct {
	b    bytes.Buffer
	foot string
}

// moreRoom is how many characters stay free for a line that says how much is left out.
const moreRoom = 100

func (m *markdownText) fits(parts ...string) bool {
	n := utf8.RuneCount(m.b.Bytes()) + utf8.RuneCountInString(m.foot) + moreRoom
	for _, s := range parts {
		n += utf8.RuneCountInString(s)
	}
	return n <= maxComment
}

// add appends a text if it fits.
func (m *markdownText) add(text string) bool {
	ok := m.fits(text)
	if ok {
		m.b.WriteString(text)
	}
	return ok
}

// list appends a head and items, at most most of them. more says how many are left out.
func (m *markdownText) list(head, more string, items []string, most int) {
	if len(items) == 0 || !m.fits(head, items[0]) {
		return
	}
	m.b.WriteString(head)
	for i, item := range items {
		if i == most || !m.add(item) {
			fmt.Fprintf(&m.b, more, len(items)-i)
			return
		}
	}
}

// fold appends items that the reader has to unfold.
func (m *markdownText) fold(title string, items []string) {
	const tail = "\n</details>\n"
	head := "\n<details>\n<summary>" + title + "</summary>\n\n"
	if len(items) == 0 || !m.fits(head, items[0], tail) {
		return
	}
	m.b.WriteString(head)
	for i, item := range items {
		if !m.fits(item, tail) {
			fmt.Fprintf(&m.b, "- and %d more\n", len(items)-i)
			break
		}
		m.b.WriteString(item)
	}
	m.b.WriteString(tail)
}

// fleetRows are the rows of a table of requirements.
func fleetRows(list []*FleetRequirement) []string {
	var rows []string
	for _, r := range list {
		fix := ""
		if r.Unmet() > 0 {
			fix = prose.Sentence(r.Remediation)
		}
		rows = append(rows, fmt.Sprintf("| %s<br>%s | %d | %d | %d | %s |\n", code(r.ID),
			plainText(cut(r.Demand, maxFleetText)), r.Unmet(), len(r.Undecided), r.Sole,
			plainText(cut(fix, maxFleetText))))
	}
	return rows
}

// markdownMachines names the machines that do not meet a requirement, with the message that
// most of them have.
func (f *Fleet) markdownMachines(r *FleetRequirement) []string {
	var items []string
	for _, part := range []struct {
		status   requirement.Status
		machines []int
	}{{requirement.Failed, r.Failed}, {requirement.Warning, r.Warned}, {requirement.Undetermined, r.Undecided}} {
		if len(part.machines) == 0 {
			continue
		}
		items = append(items, fmt.Sprintf("- **%s** %s: %s\n", strings.ToLower(statusLabel(part.status)), code(r.ID),
			span(prose.List(f.named(part.machines), maxMarkdownNames))))
	}
	if len(r.Messages) > 0 {
		first := r.Messages[0]
		items = append(items, fmt.Sprintf("  - %s: %s\n", on(len(first.Machines)), plainText(first.Text)))
	}
	return items
}
