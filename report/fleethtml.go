package report

import (
	"bufio"
	"crypto/sha256"
	_ "embed" // for the page's template and script
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var (
	//go:embed fleethtml.tmpl
	fleetPage string
	// fleetScript sorts and filters the table of machines. It reads and changes nothing
	// outside the page.
	//
	//go:embed fleet.js
	fleetScript string

	fleetTemplate = parsePage(fleetPage)
)

// Bounds of what the page shows, which keep it small with 10,000 machines.
const (
	maxPageMessages = 30  // of a requirement; the machines with other messages are one group
	maxPageValues   = 500 // of a label
	maxPageChanges  = 500
	maxPageLabels   = 100 // characters of the labels of a machine in the table
	maxPageNames    = 500 // machines in a line of changes
)

// FleetHTML writes one self-contained page: the counts, the requirements that most
// machines do not meet with the machines by message, what has no verdict, the changes, the
// labels, and a table of all machines by state. The script of the page sorts and filters
// the table; the policy of the page allows nothing else. Without scripts the table is
// complete, and cannot be sorted.
func FleetHTML(w io.Writer, f *Fleet, o Options) error {
	hash := sha256.Sum256([]byte(fleetScript))
	verdict := f.Verdict()
	page := htmlFleet{
		Title:   "coldcheck: " + verdictName[verdict] + ", " + prose.Count(len(f.Machines), "machine", "machines"),
		Verdict: verdictName[verdict], Class: string(verdict), Tally: fleetTally(f),
		Next:    Neutral(prose.Sentence(fleetNext(f))),
		Remarks: neutral(fleetRemarks(f, o)), Version: Neutral(o.Version),
		ScriptHash: "sha256-" + base64.StdEncoding.EncodeToString(hash[:]),
		Script:     template.HTML("<script>" + fleetScript + "</script>"),
	}
	page.addFacts(f)
	states := f.States()
	for _, s := range MachineStates {
		if n := states[s]; n > 0 {
			page.States = append(page.States, htmlState{machineStates[s].name, string(s), n,
				fmt.Sprintf("%.1f", float64(n)/float64(len(f.Machines))*100)})
			page.Groups = append(page.Groups, f.htmlGroup(s))
		}
	}
	needed, extra := f.Blocking()
	for _, r := range needed {
		page.Needed = append(page.Needed, f.htmlRequirement(r))
	}
	for _, r := range extra {
		page.Extra = append(page.Extra, f.htmlRequirement(r))
	}
	page.addProblems(f)
	for _, l := range f.Labels {
		page.Labels = append(page.Labels, htmlLabelOf(l))
	}
	if f.Changes != nil {
		page.Since = Neutral(f.Changes.Store)
		lines := changeLines(f, maxPageNames)
		page.Changes = neutral(lines[:min(len(lines), maxPageChanges)])
		if n := len(lines) - len(page.Changes); n > 0 {
			page.Changes = append(page.Changes, prose.Count(n, "more change.", "more changes."))
		}
	}
	b := bufio.NewWriterSize(w, 64<<10)
	if err := fleetTemplate.Execute(b, page); err != nil {
		return err
	}
	return b.Flush()
}

// htmlFleet is the data of the template. All texts are Neutral; the template escapes them
// for their context.
type htmlFleet struct {
	Title, Verdict, Class, Tally, Next string
	Remarks                            []string
	Facts                              []htmlFact
	States                             []htmlState
	Needed, Extra                      []htmlFleetRequirement
	Problems                           []htmlProblem
	Since                              string
	Changes                            []string
	Labels                             []htmlLabel
	Groups                             []htmlMachines
	Version, ScriptHash                string
	Script                             template.HTML
}

type htmlFact struct{ Name, Text string }

type htmlState struct {
	Name, Class string
	Count       int
	Share       string // of 100, with one digit
}

type htmlFleetRequirement struct {
	ID, Class, Status, On, Label, Demand, Sole, Fix string
	Marks                                           []string
	Messages                                        []htmlMessage
	Others                                          *htmlMessage // nil if all messages are shown
}

type htmlMessage struct{ On, Text, Names string }

type htmlProblem struct {
	Class, Status, Title, On, Names string
	Messages                        []htmlMessage
}

type htmlLabel struct {
	Name   string
	Values []htmlLabelValue
	More   string
}

type htmlLabelValue struct {
	Value                            string
	Machines, NotReady, Ready, Other int
}

// htmlMachines are the rows of the machines of a state.
type htmlMachines struct {
	Name, Class, Count string
	Rows               []htmlRow
}

type htmlRow struct {
	ID, Computer, Labels, Text, Scanned string
	Problems                            string // how many; "" without a verdict
}

func (p *htmlFleet) addFacts(f *Fleet) {
	add := func(name, text string) {
		if text != "" {
			p.Facts = append(p.Facts, htmlFact{name, Neutral(text)})
		}
	}
	add("Records", f.Store)
	if f.Targets != "" {
		add("Targets", f.Targets+", "+prose.Count(f.Listed, "target", "targets"))
	}
	if !f.First.IsZero() {
		add("Scanned", second(f.First)+" to "+second(f.Last))
	}
	add("Policy", policyNote(f))
	_, extra := f.Blocking()
	for _, l := range fleetOptional(f, extra) {
		add("Optional", l)
	}
}

func (f *Fleet) htmlRequirement(r *FleetRequirement) htmlFleetRequirement {
	status := r.Status()
	h := htmlFleetRequirement{
		ID: r.ID, Class: string(status), Status: strings.ToLower(statusLabel(status)), On: r.counts(),
		Label: severityNames[r.Severity], Demand: Neutral(prose.Sentence(r.Demand)),
	}
	if r.AWSErrorCode != "" {
		h.Marks = append(h.Marks, "AWS: "+Neutral(r.AWSErrorCode))
	}
	if r.Waived > 0 {
		h.Marks = append(h.Marks, "waived "+on(r.Waived))
	}
	if r.Sole > 0 {
		h.Sole = soleText(r)
	}
	if r.Unmet() > 0 {
		h.Fix = Neutral(prose.Sentence(r.Remediation))
	}
	for i, m := range r.Messages {
		if i == maxPageMessages {
			var others []int
			for _, m := range r.Messages[i:] {
				others = append(others, m.Machines...)
			}
			slices.Sort(others)
			h.Others = &htmlMessage{on(len(others)), "other messages.", strings.Join(f.named(others), ", ")}
			break
		}
		h.Messages = append(h.Messages, htmlMessage{on(len(m.Machines)), Neutral(m.Text),
			strings.Join(f.named(m.Machines), ", ")})
	}
	return h
}

// counts says on how many machines a requirement is not met or undecided.
func (r *FleetRequirement) counts() string {
	var parts []string
	for _, part := range []struct {
		n    int
		word string
	}{{len(r.Failed), "failed"}, {len(r.Warned), "warning"}, {len(r.Undecided), "undecided"}} {
		if part.n > 0 {
			parts = append(parts, part.word+" "+on(part.n))
		}
	}
	return strings.Join(parts, ", ")
}

// addProblems adds the machines without a verdict.
func (p *htmlFleet) addProblems(f *Fleet) {
	byText := func(machines []*Machine, text func(*Machine) string) []htmlMessage {
		groups := map[string][]string{}
		var order []string
		for _, m := range machines {
			t := text(m)
			if groups[t] == nil {
				order = append(order, t)
			}
			groups[t] = append(groups[t], m.ID)
		}
		slices.SortStableFunc(order, func(a, b string) int { return len(groups[b]) - len(groups[a]) })
		var list []htmlMessage
		for i, t := range order {
			if i == maxPageMessages {
				list = append(list, htmlMessage{Text: prose.Count(len(order)-i, "other message.", "other messages."),
					On: "In the table of machines"})
				break
			}
			list = append(list, htmlMessage{on(len(groups[t])), Neutral(t), strings.Join(groups[t], ", ")})
		}
		return list
	}
	for _, g := range f.errorGroups() {
		p.Problems = append(p.Problems, htmlProblem{
			Class: string(MachineError), Status: strings.ToLower(machineStates[MachineError].name),
			Title: errorKinds[g.Kind], On: on(len(g.Machines)), Messages: byText(g.Machines, func(m *Machine) string {
				return strings.TrimSpace(m.Error.Message + ". " + prose.Sentence(m.Error.Hint))
			}),
		})
	}
	if damaged := f.In(MachineDamaged); len(damaged) > 0 {
		p.Problems = append(p.Problems, htmlProblem{
			Class: string(MachineDamaged), Status: strings.ToLower(machineStates[MachineDamaged].name),
			Title: "The record does not count", On: on(len(damaged)),
			Messages: byText(damaged, func(m *Machine) string { return m.Problem }),
		})
	}
	if missing := f.In(MachineMissing); len(missing) > 0 {
		p.Problems = append(p.Problems, htmlProblem{
			Class: string(MachineMissing), Status: strings.ToLower(machineStates[MachineMissing].name),
			Title: "The list of targets has machines that were not scanned", On: on(len(missing)),
			Names: strings.Join(idsOf(missing), ", "),
		})
	}
}

func htmlLabelOf(l FleetLabel) htmlLabel {
	h := htmlLabel{Name: Neutral(l.Name)}
	for i, g := range l.Values {
		if i == maxPageValues {
			h.More = prose.Count(len(l.Values)-i, "more value.", "more values.")
			break
		}
		h.Values = append(h.Values, htmlLabelValue{Neutral(g.Value), g.Machines(), g.States[MachineNotReady],
			g.States[MachineReady], g.Machines() - g.States[MachineNotReady] - g.States[MachineReady]})
	}
	return h
}

// htmlGroup makes the rows of the machines of a state.
func (f *Fleet) htmlGroup(s MachineState) htmlMachines {
	list := f.In(s)
	h := htmlMachines{machineStates[s].name, string(s), prose.Count(len(list), "machine", "machines"),
		make([]htmlRow, 0, len(list))}
	for _, m := range list {
		row := htmlRow{ID: m.ID, Computer: Neutral(m.Computer), Text: Neutral(m.why())}
		var labels []string
		for _, name := range slices.Sorted(maps.Keys(m.Labels)) {
			labels = append(labels, name+"="+m.Labels[name])
		}
		row.Labels = Neutral(cut(strings.Join(labels, ", "), maxPageLabels))
		if !m.Finished.IsZero() {
			row.Scanned = m.Finished.UTC().Format("2006-01-02")
		}
		if verdict := scanner.Verdict(s); verdict == scanner.Ready || verdict == scanner.NotReady ||
			verdict == scanner.Inconclusive {
			ids := f.problems(m)
			row.Problems, row.Text = fmt.Sprint(len(ids)), strings.Join(ids, ", ")
		}
		h.Rows = append(h.Rows, row)
	}
	return h
}

// problems lists the required findings of a machine that are not met or undecided, the
// failed ones first.
func (f *Fleet) problems(m *Machine) []string {
	var ids []string
	for _, s := range []requirement.Status{requirement.Failed, requirement.Warning, requirement.Undetermined} {
		for _, finding := range m.Findings {
			if r := f.Requirements[finding.Requirement]; finding.Status == s && finding.Open() && f.counts(r.Requirement) {
				ids = append(ids, r.ID)
			}
		}
	}
	return ids
}
