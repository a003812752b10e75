package report

import (
	"fmt"
	"io"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Bounds of what the table shows. The other formats have everything.
const (
	maxFleetCards    = 12
	maxFleetMachines = 8 // names in a line
	maxFleetMessages = 2 // of a requirement
	maxFleetErrors   = 2 // messages of a kind of errors
	maxFleetValues   = 8 // of a label
	maxFleetChanges  = 20
)

// FleetTable writes the report for people: how many machines are in which state, the
// requirements that most machines do not meet, what could not be scanned, the labels, and
// the changes.
func FleetTable(w io.Writer, f *Fleet, o Options) error {
	p := newPage(w, o)
	p.fleetPlace(f)
	p.fleetStates(f)
	needed, extra := f.Blocking()
	for i, r := range needed {
		if i == maxFleetCards {
			p.line("")
			p.text("", fmt.Sprintf("%s in the other formats (-o html=PATH).",
				prose.Count(len(needed)-i, "more requirement is", "more requirements are")))
			break
		}
		p.fleetCard(f, r)
	}
	p.fleetErrors(f)
	p.paragraph(fleetOptional(f, extra))
	p.fleetLabels(f)
	p.fleetChanges(f)
	p.paragraph(fleetRemarks(f, o))
	p.line("")
	p.painted(verdictColor[f.Verdict()], verdictName[f.Verdict()]+": ", 0, fleetTally(f))
	p.painted(bold, "Next: ", 6, Neutral(fleetNext(f)))
	return p.w.Flush()
}

// fleetPlace writes where the records are, and what they are compared with.
func (p *page) fleetPlace(f *Fleet) {
	records := 0
	for _, m := range f.Machines {
		if m.State != MachineMissing {
			records++
		}
	}
	place := func(lead, name string, parts ...string) {
		phrases := []phrase{{name, true}}
		for _, s := range parts {
			phrases = append(phrases, phrase{text: s})
		}
		p.flow(lead, strings.Repeat(" ", len(lead)), "  ", phrases)
	}
	place("records  ", f.Store, prose.Count(records, "record", "records"), fleetPeriod(f), policyNote(f))
	if f.Targets != "" {
		place("targets  ", f.Targets, prose.Count(f.Listed, "target", "targets"))
	}
	if f.Changes != nil {
		place("since    ", f.Changes.Store, prose.Count(f.Changes.Before, "record", "records"))
	}
}

// fleetStates writes how many machines are in which state.
func (p *page) fleetStates(f *Fleet) {
	states := f.States()
	if len(states) == 0 {
		return
	}
	p.line("")
	digits := len(fmt.Sprint(len(f.Machines)))
	for _, s := range MachineStates {
		if n := states[s]; n > 0 {
			share := float64(n) / float64(len(f.Machines)) * 100
			name := fmt.Sprintf("%-14s", machineStates[s].name)
			p.line(p.paint(stateColor[s], name) + fmt.Sprintf("  %*d  %5.1f %%", digits, n, share))
		}
	}
}

var stateColor = map[MachineState]string{
	MachineReady: green, MachineNotReady: red, MachineInconclusive: magenta, MachineError: magenta,
	MachineDamaged: magenta, MachineMissing: magenta,
}

// fleetCard writes a requirement with the machines that do not meet it.
func (p *page) fleetCard(f *Fleet, r *FleetRequirement) {
	p.line("")
	status := r.Status()
	n := r.Unmet()
	if status == requirement.Undetermined {
		n = len(r.Undecided)
	}
	lead := statusLabel(status) + "  "
	head := fmt.Sprintf("%s  %s", Neutral(r.ID), on(n))
	code := ""
	if r.AWSErrorCode != "" {
		code = "AWS: " + shorten(Neutral(r.AWSErrorCode), maxCell)
	}
	edge, rest := min(p.columns, maxProse), strings.Repeat(" ", width(lead))
	if gap := edge - width(lead) - width(head) - width(code); code != "" && gap >= 2 {
		head, code = head+strings.Repeat(" ", gap)+code, ""
	}
	for i, l := range wrap(head, edge-width(lead)) {
		if i == 0 {
			p.line(p.paint(statusColor[status], strings.TrimRight(lead, " ")) + "  " + l)
		} else {
			p.line(rest + l)
		}
	}
	if code != "" {
		p.text(rest, code)
	}
	p.painted("", "  "+severityNames[r.Severity]+": ", 4, Neutral(r.Demand))
	for _, part := range []struct {
		word     string
		machines []int
	}{{"Failed", r.Failed}, {"Warning", r.Warned}, {"Undecided", r.Undecided}} {
		if n := len(part.machines); n > 0 {
			p.painted("", fmt.Sprintf("  %s %s: ", part.word, on(n)), 4, prose.List(f.named(part.machines), maxFleetMachines))
		}
	}
	if r.Sole > 0 {
		p.text("  ", soleText(r))
	}
	for i, m := range r.Messages {
		if i == maxFleetMessages {
			p.text("    ", prose.Count(len(r.Messages)-i, "other message.", "other messages."))
			break
		}
		name := f.Machines[m.Machines[0]].ID
		if n := len(m.Machines); n > 1 {
			name = prose.Count(n, "machine", "machines")
		}
		p.painted("", "    "+name+": ", 6, Neutral(m.Text))
	}
	if r.Unmet() > 0 && r.Remediation != "" {
		p.painted("", "  Fix: ", 7, Neutral(prose.Sentence(r.Remediation)))
	}
}

// fleetErrors writes what could not be scanned, and what has no record.
func (p *page) fleetErrors(f *Fleet) {
	head := func(state MachineState, title string, n int) {
		p.line("")
		p.painted(stateColor[state], machineStates[state].name+"  ", 4, title+on(n))
	}
	for _, g := range f.errorGroups() {
		head(MachineError, errorKinds[g.Kind]+"  ", len(g.Machines))
		p.text("  ", prose.List(idsOf(g.Machines), maxFleetMachines))
		for i, m := range g.Machines {
			if i == maxFleetErrors {
				break
			}
			p.painted("", "    "+m.ID+": ", 6, Neutral(m.Error.Message))
			if m.Error.Hint != "" {
				p.painted("", "    Hint: ", 6, Neutral(m.Error.Hint))
			}
		}
	}
	if damaged := f.In(MachineDamaged); len(damaged) > 0 {
		head(MachineDamaged, "", len(damaged))
		for i, m := range damaged {
			if i == maxFleetMachines {
				p.text("  ", prose.Count(len(damaged)-i, "more record.", "more records."))
				break
			}
			p.painted("", "  "+m.ID+": ", 4, Neutral(m.Problem))
		}
	}
	if missing := f.In(MachineMissing); len(missing) > 0 {
		head(MachineMissing, "", len(missing))
		p.text("  ", prose.List(idsOf(missing), maxFleetMachines))
	}
}

// fleetLabels writes the machines by label.
func (p *page) fleetLabels(f *Fleet) {
	for _, l := range f.Labels {
		p.line("")
		p.painted(bold, "Label ", 2, Neutral(l.Name))
		longest := 0
		for i, g := range l.Values {
			if i < maxFleetValues {
				longest = max(longest, min(width(Neutral(g.Value)), 24))
			}
		}
		for i, g := range l.Values {
			if i == maxFleetValues {
				p.text("  ", prose.Count(len(l.Values)-i, "more value.", "more values."))
				break
			}
			value := shorten(Neutral(g.Value), 24)
			p.painted("", "  "+value+strings.Repeat(" ", max(longest-width(value), 0))+"  ", 4, groupCounts(g))
		}
	}
}

// fleetChanges writes what differs from an earlier store.
func (p *page) fleetChanges(f *Fleet) {
	if f.Changes == nil {
		return
	}
	p.line("")
	p.painted(bold, "Since ", 2, Neutral(f.Changes.Store))
	lines := changeLines(f, maxFleetMachines)
	for i, l := range lines {
		if i == maxFleetChanges {
			p.text("  ", prose.Count(len(lines)-i, "more change.", "more changes."))
			break
		}
		p.painted("", "  ", 4, Neutral(l))
	}
}
