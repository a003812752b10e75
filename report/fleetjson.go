package report

import (
	"bufio"
	"bytes"
	_ "embed" // for FleetSchema
	"io"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/fleet"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// FleetSchema is the JSON Schema of the output of FleetJSON. It refers to Schema.
//
//go:embed fleet.schema.json
var FleetSchema []byte

// FleetJSON writes a fleet as one JSON document as FleetSchema describes it. Machines are
// in the order of their ids, one a line, and have the findings that are not met or
// undetermined.
func FleetJSON(w io.Writer, f *Fleet, o Options) error {
	var head bytes.Buffer
	e := NewJSONEncoder(&head)
	e.SetIndent("", "  ")
	if err := e.Encode(fleetDocument(f, o)); err != nil {
		return err
	}
	// The machines are the last field, and are encoded one by one: they may be many.
	b := bufio.NewWriter(w)
	b.Write(bytes.TrimSuffix(head.Bytes(), []byte("\n}\n")))
	b.WriteString(",\n  \"machines\": [")
	var line bytes.Buffer
	e = NewJSONEncoder(&line)
	for i, m := range f.Machines {
		if i > 0 {
			b.WriteString(",")
		}
		line.Reset()
		if err := e.Encode(f.machineDocument(m, o)); err != nil {
			return err
		}
		b.WriteString("\n    ")
		b.Write(bytes.TrimSuffix(line.Bytes(), []byte("\n")))
	}
	b.WriteString("\n  ]\n}\n")
	return b.Flush()
}

type jsonFleet struct {
	SchemaVersion int                    `json:"schema_version"`
	Tool          jsonTool               `json:"tool"`
	Store         string                 `json:"store"`
	Targets       *jsonFleetTargets      `json:"targets,omitempty"`
	FailOn        scanner.FailOn         `json:"fail_on"`
	First         string                 `json:"first_finished,omitempty"`
	Last          string                 `json:"last_finished,omitempty"`
	RuleBooks     []jsonFleetValue       `json:"rule_books,omitempty"`
	Verdict       scanner.Verdict        `json:"verdict"`
	ExitCode      *int                   `json:"exit_code,omitempty"`
	Summary       map[MachineState]int   `json:"summary"`
	Requirements  []jsonFleetRequirement `json:"requirements"`
	Errors        []jsonFleetErrors      `json:"errors"`
	Damaged       []jsonFleetDamaged     `json:"damaged_records"`
	Missing       []string               `json:"missing"`
	Unlisted      []string               `json:"unlisted"`
	Labels        []jsonFleetLabel       `json:"labels"`
	Changes       *jsonFleetChanges      `json:"changes,omitempty"`
}

type jsonFleetTargets struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

type jsonFleetRequirement struct {
	ID           string                     `json:"id"`
	Title        string                     `json:"title"`
	Scope        requirement.Scope          `json:"scope"`
	Severity     requirement.Severity       `json:"severity"`
	AWSErrorCode string                     `json:"aws_error_code,omitempty"`
	Remediation  string                     `json:"remediation,omitempty"`
	Summary      map[requirement.Status]int `json:"summary"`
	Waived       int                        `json:"waived"`
	Sole         int                        `json:"only_problem"`
	Failed       []string                   `json:"failed"`
	Warned       []string                   `json:"warning"`
	Undecided    []string                   `json:"undetermined"`
}

type jsonFleetErrors struct {
	Kind     fleet.ErrorKind `json:"kind"`
	Machines []string        `json:"machines"`
}

type jsonFleetDamaged struct {
	ID      string `json:"id"`
	Problem string `json:"problem"`
}

type jsonFleetLabel struct {
	Name   string           `json:"name"`
	Values []jsonFleetValue `json:"values"`
}

type jsonFleetValue struct {
	Value   string               `json:"value"`
	Summary map[MachineState]int `json:"summary"`
}

type jsonFleetChanges struct {
	Store        string            `json:"store"`
	Records      int               `json:"records"`
	New          []string          `json:"new"`
	Gone         []string          `json:"gone"`
	States       []jsonStateChange `json:"states"`
	Requirements []jsonFleetChange `json:"requirements"`
}

type jsonStateChange struct {
	ID  string       `json:"id"`
	Old MachineState `json:"old"`
	New MachineState `json:"new"`
}

type jsonFleetChange struct {
	ID       string   `json:"id"`
	Change   Change   `json:"change"`
	Machines []string `json:"machines"`
}

type jsonMachine struct {
	ID           string               `json:"id"`
	State        MachineState         `json:"state"`
	ExitCode     *int                 `json:"exit_code,omitempty"`
	Labels       map[string]string    `json:"labels,omitempty"`
	ComputerName string               `json:"computer_name,omitempty"`
	System       string               `json:"system,omitempty"`
	Finished     string               `json:"finished,omitempty"`
	Reused       bool                 `json:"reused,omitempty"`
	Error        *fleet.Error         `json:"error,omitempty"`
	Problem      string               `json:"problem,omitempty"`
	Findings     []jsonMachineFinding `json:"findings,omitempty"`
}

type jsonMachineFinding struct {
	ID       string             `json:"id"`
	Status   requirement.Status `json:"status"`
	Message  string             `json:"message"`
	Waived   bool               `json:"waived,omitempty"`
	Accepted bool               `json:"accepted,omitempty"`
}

func fleetDocument(f *Fleet, o Options) jsonFleet {
	doc := jsonFleet{
		SchemaVersion: schemaVersion, Tool: o.tool(),
		Store: f.Store, FailOn: f.FailOn, First: timestamp(f.First), Last: timestamp(f.Last), Verdict: f.Verdict(),
		ExitCode: o.exitCode(f.PolicyVerdict()), Summary: everyState(f.States()),
		Requirements: make([]jsonFleetRequirement, 0, len(f.Requirements)),
		Errors:       []jsonFleetErrors{}, Damaged: []jsonFleetDamaged{}, Missing: idsOf(f.In(MachineMissing)),
		Unlisted: []string{}, Labels: []jsonFleetLabel{},
	}
	if f.Targets != "" {
		doc.Targets = &jsonFleetTargets{f.Targets, f.Listed}
	}
	for _, b := range f.RuleBooks {
		doc.RuleBooks = append(doc.RuleBooks, jsonFleetValue{b.Value, everyState(b.States)})
	}
	for _, r := range f.Requirements {
		j := jsonFleetRequirement{
			ID: r.ID, Title: r.Demand, Scope: r.Scope, Severity: r.Severity, AWSErrorCode: r.AWSErrorCode,
			Remediation: r.Remediation, Summary: map[requirement.Status]int{}, Waived: r.Waived, Sole: r.Sole,
			Failed: f.named(r.Failed), Warned: f.named(r.Warned), Undecided: f.named(r.Undecided),
		}
		for _, s := range requirement.Statuses {
			j.Summary[s] = r.Counts[s]
		}
		doc.Requirements = append(doc.Requirements, j)
	}
	for _, g := range f.errorGroups() {
		doc.Errors = append(doc.Errors, jsonFleetErrors{g.Kind, idsOf(g.Machines)})
	}
	for _, m := range f.Machines {
		if m.State == MachineDamaged {
			doc.Damaged = append(doc.Damaged, jsonFleetDamaged{m.ID, m.Problem})
		}
		if m.Unlisted {
			doc.Unlisted = append(doc.Unlisted, m.ID)
		}
	}
	for _, l := range f.Labels {
		j := jsonFleetLabel{Name: l.Name}
		for _, g := range l.Values {
			j.Values = append(j.Values, jsonFleetValue{g.Value, everyState(g.States)})
		}
		doc.Labels = append(doc.Labels, j)
	}
	if c := f.Changes; c != nil {
		j := &jsonFleetChanges{
			Store: c.Store, Records: c.Before, New: append([]string{}, c.New...), Gone: append([]string{}, c.Gone...),
			States: []jsonStateChange{}, Requirements: []jsonFleetChange{},
		}
		for _, s := range c.States {
			j.States = append(j.States, jsonStateChange{s.ID, s.Was, s.Is})
		}
		for _, r := range c.Requirements {
			j.Requirements = append(j.Requirements,
				jsonFleetChange{f.Requirements[r.Requirement].ID, r.Change, r.Machines})
		}
		doc.Changes = j
	}
	return doc
}

// everyState adds the states that no machine has.
func everyState(states map[MachineState]int) map[MachineState]int {
	all := map[MachineState]int{}
	for _, s := range MachineStates {
		all[s] = states[s]
	}
	return all
}

// exitCode is the exit code of a machine; nil if there is no record of it.
func (m Machine) exitCode(o Options) *int {
	switch m.State {
	case MachineError:
		return &m.Exit
	case MachineDamaged, MachineMissing:
		return nil
	}
	return o.exitCode(m.Verdict)
}

func (f *Fleet) machineDocument(m Machine, o Options) jsonMachine {
	j := jsonMachine{
		ID: m.ID, State: m.State, ExitCode: m.exitCode(o), Labels: m.Labels, ComputerName: m.Computer, System: m.System,
		Finished: timestamp(m.Finished), Reused: m.Reused, Error: m.Error, Problem: m.Problem,
	}
	for _, finding := range m.Findings {
		if finding.Message != "" {
			j.Findings = append(j.Findings, jsonMachineFinding{f.Requirements[finding.Requirement].ID, finding.Status,
				finding.Message, finding.Waived, finding.Accepted})
		}
	}
	return j
}
