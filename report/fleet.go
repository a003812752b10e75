package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/fleet"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// Bounds of what a Fleet keeps of a record. Longer texts are cut, and the cut shows.
const (
	maxFleetText         = 300    // characters of a message, a title or an error
	maxFleetName         = 200    // of the name of a computer or a system, of a label and of its value
	maxFleetLabels       = 100    // labels of a machine; the first by name are kept
	maxFleetReasons      = 16     // of a verdict; there are eight kinds
	maxFleetFindings     = 1000   // of a record, which is damaged if it has more
	maxFleetRequirements = 10_000 // of all records; a record with more is damaged
)

// MachineState is what a record says of a machine.
type MachineState string

// The states: a verdict, or why there is none. None of those without a verdict counts as
// ready.
const (
	MachineReady        = MachineState(scanner.Ready)
	MachineNotReady     = MachineState(scanner.NotReady)
	MachineInconclusive = MachineState(scanner.Inconclusive)

	MachineError   MachineState = "error"          // the target cannot be scanned
	MachineDamaged MachineState = "damaged_record" // the record is not one, or contradicts itself
	MachineMissing MachineState = "no_record"      // it is in the list of targets only
)

// MachineStates lists every state, the worst first.
var MachineStates = []MachineState{MachineNotReady, MachineInconclusive, MachineError, MachineDamaged, MachineMissing,
	MachineReady}

// Fleet is what the records of many machines say together.
type Fleet struct {
	Store   string // where the records are
	Targets string // the list that says which machines there are; "" if there is none
	Listed  int    // targets in it
	FailOn  scanner.FailOn

	Machines     []Machine          // by id
	RuleBooks    []FleetGroup       // the rule books by which machines were judged, by name
	Requirements []FleetRequirement // those of all records, in the catalogue's order
	Labels       []FleetLabel       // by name
	Changes      *FleetChanges      // nil without an earlier store

	First, Last time.Time // when the first and the last of the scans ended; zero if there is none
}

// Machine is a target with what its record says.
type Machine struct {
	ID       string
	State    MachineState
	Verdict  scanner.Verdict // under the policy; Inconclusive without a verdict of a scan
	Exit     int             // exit code of an Error
	Error    *fleet.Error    // of MachineError
	Problem  string          // of MachineDamaged
	Labels   map[string]string
	Computer string
	System   string
	RuleBook string    // "" without a verdict of a scan
	Finished time.Time // zero if there is no record
	Reused   bool      // the verdict is that of an earlier record
	Unlisted bool      // there is a list of targets, and it does not have the machine

	Findings []MachineFinding // one of each requirement that was checked, in the order of its report
}

// MachineFinding is a finding of a machine.
type MachineFinding struct {
	Requirement int // index in Fleet.Requirements
	Status      requirement.Status
	Message     string // "" if the requirement is met or does not apply
	Waived      bool
	Accepted    bool
	NoDocument  bool // undetermined, since only the service has the evidence
}

// Open says whether the finding is neither met nor excluded by the caller.
func (f MachineFinding) Open() bool {
	return f.Message != "" && !f.Waived && !f.Accepted && !f.NoDocument
}

// FleetRequirement is a requirement with the machines that do not meet it.
type FleetRequirement struct {
	requirement.Requirement
	Counts map[requirement.Status]int // machines, waived ones included
	Waived int                        // machines whose finding a waiver covers

	// Machines that do not meet it, by id, as indexes in Fleet.Machines. A waiver or an
	// accepted finding leaves a machine out.
	Failed, Warned, Undecided []int
	NoDocument                int // machines that are undecided, since only the service has the evidence
	Sole                      int // machines that are not ready because of it and of nothing else
	Messages                  []FleetMessage
}

// Unmet is the number of machines that do not meet the requirement.
func (r FleetRequirement) Unmet() int { return len(r.Failed) + len(r.Warned) }

// Status is the worst status that a machine has.
func (r FleetRequirement) Status() requirement.Status {
	switch {
	case len(r.Failed) > 0:
		return requirement.Failed
	case len(r.Warned) > 0:
		return requirement.Warning
	case len(r.Undecided) > 0:
		return requirement.Undetermined
	}
	return requirement.Passed
}

// FleetMessage is a message about a requirement, with the machines that have it.
type FleetMessage struct {
	Text     string
	Machines []int
}

// FleetLabel is the name of a label with its values, the one with most machines that are
// not ready first.
type FleetLabel struct {
	Name   string
	Values []FleetGroup
}

// FleetGroup is a group of machines.
type FleetGroup struct {
	Value  string
	States map[MachineState]int
}

// Machines is the number of machines of the group.
func (g FleetGroup) Machines() int {
	n := 0
	for _, part := range g.States {
		n += part
	}
	return n
}

// FleetOptions select what a Fleet is compared with, and what counts.
type FleetOptions struct {
	Targets *FleetTargets  // nil for none
	Since   fleet.Store    // an earlier store; nil for none
	FailOn  scanner.FailOn // "" is FailOnWarning

	Progress func(records int) // is called after each record; nil for nobody
}

// FleetTargets is a list of targets with its name.
type FleetTargets struct {
	Name string
	List []fleet.Target
}

// ReadFleet reads the records of a store. Its memory grows by some kilobytes for each
// machine. Whatever is wrong with a record becomes a Machine of the state MachineDamaged.
// The error is that of the store.
func ReadFleet(ctx context.Context, s fleet.Store, o FleetOptions) (*Fleet, error) {
	f := &Fleet{Store: s.String(), FailOn: cmp.Or(o.FailOn, scanner.FailOnWarning)}
	b := newFleetBuilder(f.FailOn)
	b.progress = o.Progress
	var err error
	if f.Machines, err = b.machines(ctx, s, true); err != nil {
		return nil, err
	}
	var before []Machine
	if o.Since != nil {
		if before, err = b.machines(ctx, o.Since, false); err != nil {
			return nil, err
		}
	}
	if o.Targets != nil {
		f.addTargets(*o.Targets, b.shared)
	}
	places := b.sort()
	for _, list := range [][]Machine{f.Machines, before} {
		for i := range list {
			for k := range list[i].Findings {
				at := &list[i].Findings[k].Requirement
				*at = places[*at]
			}
		}
	}
	f.Requirements = b.requirements
	f.count()
	if o.Since != nil {
		f.Changes = changesOf(o.Since.String(), before, f)
	}
	return f, nil
}

// Verdict is NotReady if a machine is not ready; else Inconclusive if one is inconclusive
// or has no verdict, or if there are no machines; else Ready.
func (f *Fleet) Verdict() scanner.Verdict {
	return worst(f.Machines, func(m Machine) scanner.Verdict {
		switch v := scanner.Verdict(m.State); v {
		case scanner.Ready, scanner.NotReady:
			return v
		}
		return scanner.Inconclusive
	})
}

// PolicyVerdict is Verdict under the policy; use this one for the exit code.
func (f *Fleet) PolicyVerdict() scanner.Verdict {
	return worst(f.Machines, func(m Machine) scanner.Verdict { return m.Verdict })
}

func worst(machines []Machine, of func(Machine) scanner.Verdict) scanner.Verdict {
	verdict := scanner.Ready
	if len(machines) == 0 {
		verdict = scanner.Inconclusive
	}
	for _, m := range machines {
		switch of(m) {
		case scanner.NotReady:
			return scanner.NotReady
		case scanner.Inconclusive:
			verdict = scanner.Inconclusive
		}
	}
	return verdict
}

// States counts the machines of each state.
func (f *Fleet) States() map[MachineState]int {
	n := map[MachineState]int{}
	for _, m := range f.Machines {
		n[m.State]++
	}
	return n
}

// In lists the machines of a state.
func (f *Fleet) In(state MachineState) []*Machine {
	var list []*Machine
	for i := range f.Machines {
		if f.Machines[i].State == state {
			list = append(list, &f.Machines[i])
		}
	}
	return list
}

// Blocking returns the requirements that keep a machine from being ready under the
// policy, and what else is not met or undecided. In each, those that most machines do not
// meet come first.
func (f *Fleet) Blocking() (needed, extra []*FleetRequirement) {
	for i := range f.Requirements {
		r := &f.Requirements[i]
		switch {
		case r.Status() == requirement.Passed:
		case f.counts(r.Requirement):
			needed = append(needed, r)
		default:
			extra = append(extra, r)
		}
	}
	byMachines := func(a, b *FleetRequirement) int {
		return cmp.Or(b.Unmet()-a.Unmet(), b.Sole-a.Sole, len(b.Undecided)-len(a.Undecided))
	}
	slices.SortStableFunc(needed, byMachines)
	slices.SortStableFunc(extra, byMachines)
	return needed, extra
}

func (f *Fleet) counts(r requirement.Requirement) bool {
	return r.Severity == requirement.Required ||
		r.Severity == requirement.Recommended && f.FailOn == scanner.FailOnRecommended
}

// addTargets adds machines without a record, and the labels that the list has.
func (f *Fleet) addTargets(t FleetTargets, share func(string) string) {
	f.Targets, f.Listed = t.Name, len(t.List)
	at := map[string]int{}
	for i := range f.Machines {
		f.Machines[i].Unlisted = true
		at[f.Machines[i].ID] = i
	}
	for _, target := range t.List {
		i, ok := at[target.ID]
		if !ok {
			i = len(f.Machines)
			f.Machines = append(f.Machines,
				Machine{ID: target.ID, State: MachineMissing, Verdict: scanner.Inconclusive})
		}
		m := &f.Machines[i]
		m.Unlisted, m.Labels = false, fleetLabels(target.Labels, share)
	}
	slices.SortFunc(f.Machines, func(a, b Machine) int { return cmp.Compare(a.ID, b.ID) })
}

// count fills in what the requirements and the labels say of the machines.
func (f *Fleet) count() {
	messages := make([]map[string][]int, len(f.Requirements))
	books := map[string]map[MachineState]int{}
	labels := map[string]map[string]map[MachineState]int{}
	for i, m := range f.Machines {
		sole, open := -1, 0
		for _, finding := range m.Findings {
			r := &f.Requirements[finding.Requirement]
			if r.Counts == nil {
				r.Counts = map[requirement.Status]int{}
				messages[finding.Requirement] = map[string][]int{}
			}
			r.Counts[finding.Status]++
			switch {
			case finding.Waived:
				r.Waived++
			case finding.NoDocument:
				r.NoDocument++
			}
			if !finding.Open() {
				continue
			}
			switch finding.Status {
			case requirement.Failed:
				r.Failed = append(r.Failed, i)
			case requirement.Warning:
				r.Warned = append(r.Warned, i)
			case requirement.Undetermined:
				r.Undecided = append(r.Undecided, i)
			}
			said := messages[finding.Requirement]
			said[finding.Message] = append(said[finding.Message], i)
			if f.counts(r.Requirement) {
				sole, open = finding.Requirement, open+1
			}
		}
		if open == 1 && m.State == MachineNotReady {
			f.Requirements[sole].Sole++
		}
		if m.RuleBook != "" {
			if books[m.RuleBook] == nil {
				books[m.RuleBook] = map[MachineState]int{}
			}
			books[m.RuleBook][m.State]++
		}
		for name, value := range m.Labels {
			if labels[name] == nil {
				labels[name] = map[string]map[MachineState]int{}
			}
			if labels[name][value] == nil {
				labels[name][value] = map[MachineState]int{}
			}
			labels[name][value][m.State]++
		}
		if t := m.Finished; !t.IsZero() {
			if f.First.IsZero() || t.Before(f.First) {
				f.First = t
			}
			if t.After(f.Last) {
				f.Last = t
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(books)) {
		f.RuleBooks = append(f.RuleBooks, FleetGroup{name, books[name]})
	}
	for i, said := range messages {
		r := &f.Requirements[i]
		for text, machines := range said {
			r.Messages = append(r.Messages, FleetMessage{text, machines})
		}
		slices.SortFunc(r.Messages, func(a, b FleetMessage) int {
			return cmp.Or(len(b.Machines)-len(a.Machines), a.Machines[0]-b.Machines[0], cmp.Compare(a.Text, b.Text))
		})
	}
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		label := FleetLabel{Name: name}
		for value, states := range labels[name] {
			label.Values = append(label.Values, FleetGroup{value, states})
		}
		slices.SortFunc(label.Values, func(a, b FleetGroup) int {
			return cmp.Or(b.States[MachineNotReady]-a.States[MachineNotReady], b.Machines()-a.Machines(),
				cmp.Compare(a.Value, b.Value))
		})
		f.Labels = append(f.Labels, label)
	}
}

// fleetBuilder makes machines of records. Equal texts of many machines share their memory.
type fleetBuilder struct {
	level        scanner.FailOn
	requirements []FleetRequirement
	at           map[string]int // in requirements, by id
	place        map[string]int // in the catalogue, by id
	catalogue    []requirement.Requirement
	texts        map[string]string
	progress     func(records int)
	read         int
}

func newFleetBuilder(level scanner.FailOn) *fleetBuilder {
	b := &fleetBuilder{level: level, at: map[string]int{}, place: map[string]int{}, catalogue: scanner.AllRequirements(),
		texts: map[string]string{}}
	for i, r := range b.catalogue {
		b.place[r.ID] = i
	}
	return b
}

// fleetReport is what a Fleet reads of the report in a record. Its lists are arrays, so
// that a long list of empty values in a small record takes no memory: encoding/json leaves
// out what an array has no place for.
type fleetReport struct {
	SchemaVersion int          `json:"schema_version"`
	Tool          jsonTool     `json:"tool"`
	Platform      jsonPlatform `json:"platform"`
	RuleBook      struct {
		Name string `json:"name"`
	} `json:"rule_book"`
	Verdict  scanner.Verdict                     `json:"verdict"`
	Reasons  [maxFleetReasons]*fleetReason       `json:"verdict_reasons"`
	Policy   fleetPolicy                         `json:"policy_verdicts"`
	Findings [maxFleetFindings + 1]*fleetFinding `json:"findings"` // one more shows that there are too many
}

// findings returns the findings that there are.
func (r *fleetReport) findings() []*fleetFinding {
	list := r.Findings[:]
	for len(list) > 0 && list[len(list)-1] == nil {
		list = list[:len(list)-1]
	}
	return list
}

// decides says whether the verdict depends on a requirement.
func (r *fleetReport) decides(id string) bool {
	return slices.ContainsFunc(r.Reasons[:], func(reason *fleetReason) bool {
		return reason != nil && slices.Contains(reason.IDs[:], id)
	})
}

type fleetReason struct {
	IDs [maxFleetFindings]string `json:"ids"`
}

// fleetPolicy has the verdict at each level of --fail-on.
type fleetPolicy struct {
	Failed      scanner.Verdict `json:"failed"`
	Warning     scanner.Verdict `json:"warning"`
	Recommended scanner.Verdict `json:"recommended"`
	Never       scanner.Verdict `json:"never"`
}

func (p fleetPolicy) at(level scanner.FailOn) scanner.Verdict {
	switch level {
	case scanner.FailOnFailed:
		return p.Failed
	case scanner.FailOnRecommended:
		return p.Recommended
	case scanner.FailOnNever:
		return p.Never
	}
	return p.Warning
}

type fleetFinding struct {
	ID           string               `json:"id"`
	Title        string               `json:"title"`
	Scope        requirement.Scope    `json:"scope"`
	Severity     requirement.Severity `json:"severity"`
	Status       requirement.Status   `json:"status"`
	Message      string               `json:"message"`
	AWSErrorCode string               `json:"aws_error_code"`
	Accepted     bool                 `json:"accepted"`
	Waiver       *struct{}            `json:"waiver"`
}

// machines reads the records of a store; with texts, with what people read.
func (b *fleetBuilder) machines(ctx context.Context, s fleet.Store, texts bool) ([]Machine, error) {
	var list []Machine
	for e, err := range fleet.Read[fleetReport](ctx, s) {
		if err != nil {
			return nil, err
		}
		list = append(list, b.machine(e, texts))
		if b.read++; b.progress != nil {
			b.progress(b.read)
		}
	}
	return list, nil
}

func (b *fleetBuilder) machine(e fleet.Entry[fleetReport], texts bool) Machine {
	m := Machine{ID: e.ID, State: MachineDamaged, Verdict: scanner.Inconclusive}
	problem := e.Problem
	if problem == nil && e.Report != nil {
		problem = b.check(e.Record, e.Report)
	}
	if problem != nil {
		m.Problem = cut(problem.Error(), maxFleetText)
		return m
	}
	m.Finished, m.Reused = e.Record.Finished, e.Record.Reused != nil
	if texts {
		m.Labels = fleetLabels(e.Record.Target.Labels, b.shared)
	}
	if failed := e.Record.Error; failed != nil {
		m.State, m.Exit = MachineError, e.Record.ExitCode
		m.Error = &fleet.Error{
			Kind: failed.Kind, Message: b.shared(cut(failed.Message, maxFleetText)),
			Hint: b.shared(cut(failed.Hint, maxFleetText)),
		}
		return m
	}
	r := e.Report
	m.State, m.Verdict = MachineState(r.Verdict), r.Policy.at(b.level)
	m.RuleBook = b.shared(cut(cmp.Or(r.RuleBook.Name, rules.Default), maxFleetName))
	m.Computer = cut(r.Platform.ComputerName, maxFleetName)
	m.System = b.shared(cut(systemName(scanner.Platform(r.Platform)), maxFleetName))
	findings := r.findings()
	m.Findings = make([]MachineFinding, 0, len(findings))
	for _, f := range findings {
		finding := MachineFinding{
			Requirement: b.index(f), Status: requirement.Status(b.shared(string(f.Status))), Waived: f.Waiver != nil,
			Accepted: f.Accepted,
		}
		undetermined := f.Status == requirement.Undetermined
		if texts && (undetermined || f.Status == requirement.Failed || f.Status == requirement.Warning) {
			finding.Message = cmp.Or(b.shared(cut(f.Message, maxFleetText)), "no message")
			finding.NoDocument = undetermined && f.Scope == requirement.Service && !r.decides(f.ID)
		}
		m.Findings = append(m.Findings, finding)
	}
	return m
}

// requirementID matches the ids of requirements of every version.
var requirementID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// check returns why a report does not count: it is not one, or it contradicts itself or
// its record.
func (b *fleetBuilder) check(record *fleet.Record, r *fleetReport) error {
	findings := r.findings()
	switch {
	case r.Tool.Name != toolName:
		return errors.New("its report has no tool.name that says so")
	case r.SchemaVersion != schemaVersion:
		return fmt.Errorf("schema_version %d of its report is not read", r.SchemaVersion)
	case r.Verdict != record.Verdict:
		return fmt.Errorf("its verdict is %s, and that of its report %q", record.Verdict, r.Verdict)
	case len(findings) == 0:
		return errors.New("its report has no findings")
	case len(findings) > maxFleetFindings:
		return fmt.Errorf("its report has more than %d findings", maxFleetFindings)
	case r.Verdict == scanner.Ready && r.Reasons[0] != nil:
		return errors.New("its report has the verdict ready, and reasons why it is not")
	}
	for _, level := range scanner.FailOns {
		if v := r.Policy.at(level); !slices.Contains([]scanner.Verdict{scanner.Ready, scanner.NotReady, scanner.Inconclusive},
			v) {
			return fmt.Errorf("its report has no policy_verdicts for %q", level)
		}
	}
	seen := map[string]bool{}
	more := 0
	for _, f := range findings {
		if f == nil {
			return errors.New("a finding of its report is null")
		}
		open := f.Status == requirement.Failed || f.Status == requirement.Warning || f.Status == requirement.Undetermined
		_, err := jsonFinding{ID: f.ID, Status: f.Status, Severity: f.Severity}.finding()
		switch {
		case err != nil:
			return fmt.Errorf("a finding of its report: %w", err)
		case !requirementID.MatchString(f.ID):
			return fmt.Errorf("its report has a finding with the id %.140q", f.ID)
		case seen[f.ID]:
			return fmt.Errorf("its report has the finding %s twice", f.ID)
		case r.Verdict == scanner.Ready && open && f.Severity == requirement.Required && f.Scope == requirement.Disk:
			return fmt.Errorf("its report has the verdict ready, and %s is %s", f.ID, f.Status)
		}
		seen[f.ID] = true
		if _, known := b.at[f.ID]; !known {
			more++
		}
	}
	if len(b.requirements)+more > maxFleetRequirements {
		return fmt.Errorf("the records have more than %d requirements", maxFleetRequirements)
	}
	return nil
}

// index returns the place of the requirement of a finding in requirements.
func (b *fleetBuilder) index(f *fleetFinding) int {
	if i, ok := b.at[f.ID]; ok {
		return i
	}
	r := requirement.Requirement{ID: f.ID, Scope: f.Scope, Severity: f.Severity,
		AWSErrorCode: cut(f.AWSErrorCode, maxFleetName), Demand: cut(f.Title, maxFleetText)}
	if i, ok := b.place[f.ID]; ok {
		r = b.catalogue[i] // with the weight that the rule book of the record gives it
		r.Severity, r.AWSErrorCode = f.Severity, cmp.Or(cut(f.AWSErrorCode, maxFleetName), r.AWSErrorCode)
	}
	i := len(b.requirements)
	b.at[f.ID] = i
	b.requirements = append(b.requirements, FleetRequirement{Requirement: r})
	return i
}

// sort puts the requirements into the order of the catalogue, before those that it does
// not have, and returns the new place of each.
func (b *fleetBuilder) sort() []int {
	order := make([]int, len(b.requirements))
	for i := range order {
		order[i] = i
	}
	place := func(i int) int {
		if p, ok := b.place[b.requirements[i].ID]; ok {
			return p
		}
		return len(b.catalogue)
	}
	slices.SortFunc(order, func(i, k int) int {
		return cmp.Or(place(i)-place(k), cmp.Compare(b.requirements[i].ID, b.requirements[k].ID))
	})
	places := make([]int, len(order))
	sorted := make([]FleetRequirement, len(order))
	for to, from := range order {
		places[from], sorted[to] = to, b.requirements[from]
	}
	b.requirements = sorted
	return places
}

// shared returns the first string with that text.
func (b *fleetBuilder) shared(s string) string {
	if first, ok := b.texts[s]; ok {
		return first
	}
	s = string([]byte(s)) // not part of a longer one
	b.texts[s] = s
	return s
}

// fleetLabels bounds the labels of a target.
func fleetLabels(labels map[string]string, share func(string) string) map[string]string {
	if len(labels) == 0 {
		return nil
	}
	bounded := map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(labels)) {
		if i == maxFleetLabels {
			break
		}
		bounded[share(cut(name, maxFleetName))] = share(cut(labels[name], maxFleetName))
	}
	return bounded
}

// FleetFormat is one way to write a Fleet.
type FleetFormat struct {
	Name    string // for the command line
	Summary string // in a few words, for help texts
	Write   func(w io.Writer, f *Fleet, o Options) error
}

// FleetFormats lists every format; the first is the default.
var FleetFormats = []FleetFormat{
	{"table", "for people", FleetTable},
	{"json", "for programs", FleetJSON},
	{"csv", "a row for each machine and requirement, for spreadsheets", FleetCSV},
	{"html", "a page that sorts and filters, for a browser", FleetHTML},
	{"markdown", "for a ticket or the summary of a job", FleetMarkdown},
}
