package report

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/fleet"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// This file has the texts that all formats of a Fleet for people share. Callers make the
// texts Neutral and escape them.

var machineStates = map[MachineState]struct{ name, one, many string }{
	MachineReady:        {"READY", "is ready", "are ready"},
	MachineNotReady:     {"NOT READY", "is not ready", "are not ready"},
	MachineInconclusive: {"INCONCLUSIVE", "is inconclusive", "are inconclusive"},
	MachineError:        {"NOT SCANNED", "cannot be scanned", "cannot be scanned"},
	MachineDamaged:      {"DAMAGED RECORD", "has a damaged record", "have a damaged record"},
	MachineMissing:      {"NO RECORD", "has no record", "have no record"},
}

// fleetTally counts the machines of each state in a sentence.
func fleetTally(f *Fleet) string {
	states := f.States()
	switch {
	case len(f.Machines) == 0:
		return "There are no machines."
	case states[MachineReady] == len(f.Machines):
		return prose.Count(len(f.Machines), "machine is ready.", "machines are ready.")
	}
	return stateCounts(states, len(f.Machines)) + "."
}

// stateCounts counts machines that are not all ready.
func stateCounts(states map[MachineState]int, all int) string {
	var parts []string
	for _, s := range MachineStates {
		n := states[s]
		if n == 0 || s == MachineReady {
			continue
		}
		verb := machineStates[s].many
		if n == 1 {
			verb = machineStates[s].one
		}
		if len(parts) == 0 {
			parts = append(parts, fmt.Sprintf("%d of %s %s", n, prose.Count(all, "machine", "machines"), verb))
		} else {
			parts = append(parts, fmt.Sprintf("%d %s", n, verb))
		}
	}
	return strings.Join(parts, ", ")
}

// groupCounts says in what state the machines of a group are.
func groupCounts(g FleetGroup) string {
	if n := g.Machines(); g.States[MachineReady] == n {
		return prose.Count(n, "machine is ready", "machines are ready")
	}
	return stateCounts(g.States, g.Machines())
}

// fleetRemarks are facts that the reader needs in addition to the counts.
func fleetRemarks(f *Fleet, o Options) []string {
	var lines []string
	if ends, plain := o.exitCode(f.PolicyVerdict()), o.exitCode(f.Verdict()); ends != nil && *ends != *plain {
		lines = append(lines, fmt.Sprintf("The exit code is %d instead of %d because of flags or waivers.", *ends, *plain))
	}
	var books []string
	for _, b := range f.RuleBooks {
		books = append(books, fmt.Sprintf("%s (%s)", b.Value, prose.Count(b.Machines(), "machine", "machines")))
	}
	switch {
	case len(books) > 1:
		lines = append(lines, "The machines were judged by different rule books: "+Neutral(prose.Some(books))+".")
	case len(books) == 1 && f.RuleBooks[0].Value != rules.Default:
		lines = append(lines, "Rule book: "+Neutral(f.RuleBooks[0].Value)+".")
	}
	var unlisted []string
	reused := 0
	for _, m := range f.Machines {
		if m.Unlisted {
			unlisted = append(unlisted, m.ID)
		}
		if m.Reused {
			reused++
		}
	}
	if n := len(unlisted); n > 0 {
		lines = append(lines, fmt.Sprintf("%s not in the list of targets: %s.",
			prose.Count(n, "machine is", "machines are"), prose.Some(unlisted)))
	}
	if reused > 0 {
		lines = append(lines, prose.Count(reused, "verdict is that of an earlier record.",
			"verdicts are those of earlier records."))
	}
	return lines
}

// fleetOptional names the requirements that are not met or undecided and do not count.
func fleetOptional(f *Fleet, extra []*FleetRequirement) []string {
	var unmet, undecided []string
	for _, r := range extra {
		if n := r.Unmet(); n > 0 {
			unmet = append(unmet, fmt.Sprintf("%s (%s)", r.ID, prose.Count(n, "machine", "machines")))
		} else {
			undecided = append(undecided,
				fmt.Sprintf("%s (%s)", r.ID, prose.Count(len(r.Undecided), "machine", "machines")))
		}
	}
	var lines []string
	if n := len(unmet); n > 0 {
		lines = append(lines, fmt.Sprintf("%s not met: %s.", prose.Count(n, "recommendation is", "recommendations are"),
			prose.Some(unmet)))
	}
	if n := len(undecided); n > 0 {
		lines = append(lines, fmt.Sprintf("%s undecided: %s.", prose.Count(n, "optional check is", "optional checks are"),
			prose.Some(undecided)))
	}
	service, most := 0, 0
	for _, r := range f.Requirements {
		if r.NoDocument > 0 && r.Severity == requirement.Required {
			service++
			most = max(most, r.NoDocument)
		}
	}
	if service > 0 {
		lines = append(lines, fmt.Sprintf("%s data from AWS on up to %s (\"with\" in the list of targets).",
			prose.Count(service, "more check needs", "more checks need"), prose.Count(most, "machine", "machines")))
	}
	return lines
}

// fleetNext is what to do after reading the report.
func fleetNext(f *Fleet) string {
	states := f.States()
	needed, _ := f.Blocking()
	switch {
	case len(f.Machines) == 0:
		return "scan machines with 'coldcheck fleet run TARGETS --results " + f.Store + "'."
	case len(needed) > 0 && needed[0].Unmet() > 0:
		r := needed[0]
		text := fmt.Sprintf("fix %s first: %s.", r.ID, prose.Count(r.Unmet(), "machine does not meet it",
			"machines do not meet it"))
		if r.Sole > 0 {
			text += " " + soleText(r)
		}
		return text
	case states[MachineMissing]+states[MachineDamaged] > 0:
		return "remove damaged records, and run 'coldcheck fleet run' again: it scans the machines that have no record."
	case states[MachineError] > 0:
		return "correct the targets that cannot be scanned, and run 'coldcheck fleet run' with --again=errors."
	case states[MachineNotReady] > 0:
		return "meet what is waived before you create images: AWS checks it too."
	case states[MachineInconclusive] > 0:
		return "settle what is undecided, then scan these machines again."
	}
	return "create the images."
}

// soleText says how many machines lack nothing else.
func soleText(r *FleetRequirement) string {
	return prose.Count(r.Sole, "machine has no other problem.", "machines have no other problem.")
}

// fleetPeriod says when the scans ended; "" if there are none.
func fleetPeriod(f *Fleet) string {
	first, last := f.First.UTC().Format(time.DateOnly), f.Last.UTC().Format(time.DateOnly)
	switch {
	case f.First.IsZero():
		return ""
	case first == last:
		return "scanned " + first
	}
	return "scanned " + first + " to " + last
}

// errorGroup is a kind of errors with the machines that have it.
type errorGroup struct {
	Kind     fleet.ErrorKind
	Machines []*Machine
}

// errorGroups returns the errors by kind, the kind with most machines first.
func (f *Fleet) errorGroups() []errorGroup {
	var groups []errorGroup
	failed := f.In(MachineError)
	for _, k := range fleet.ErrorKinds {
		g := errorGroup{Kind: k}
		for _, m := range failed {
			if m.Error.Kind == k {
				g.Machines = append(g.Machines, m)
			}
		}
		if len(g.Machines) > 0 {
			groups = append(groups, g)
		}
	}
	slices.SortStableFunc(groups, func(a, b errorGroup) int { return len(b.Machines) - len(a.Machines) })
	return groups
}

// errorKinds say what a kind of errors is.
var errorKinds = map[fleet.ErrorKind]string{
	fleet.NotFound:    "an image or a document is missing",
	fleet.Denied:      "access is denied",
	fleet.IO:          "an image or a document cannot be read",
	fleet.NotAnImage:  "not a disk image",
	fleet.NoSystem:    "no supported system",
	fleet.Encrypted:   "encrypted",
	fleet.Unsupported: "unsupported format",
	fleet.Damaged:     "damaged or incomplete image",
	fleet.Parent:      "the parent of an image is missing",
	fleet.Limit:       "over a limit",
	fleet.Usage:       "wrong usage",
	fleet.Internal:    "defect in coldcheck",
}

// idsOf are the names of machines.
func idsOf(machines []*Machine) []string {
	list := make([]string, len(machines))
	for i, m := range machines {
		list[i] = m.ID
	}
	return list
}

// named are the names of machines by their indexes.
func (f *Fleet) named(machines []int) []string {
	list := make([]string, len(machines))
	for i, at := range machines {
		list[i] = f.Machines[at].ID
	}
	return list
}

// on says on how many machines something is.
func on(n int) string { return "on " + prose.Count(n, "machine", "machines") }

// changeLines describe what differs from an earlier store, most important first. most
// bounds the names in a line.
func changeLines(f *Fleet, most int) []string {
	c := f.Changes
	var lines []string
	var groups [][]StateChange
	for _, s := range c.States {
		if k := len(groups) - 1; k >= 0 && groups[k][0].Was == s.Was && groups[k][0].Is == s.Is {
			groups[k] = append(groups[k], s)
		} else {
			groups = append(groups, []StateChange{s})
		}
	}
	for _, g := range groups {
		var ids []string
		for _, s := range g {
			ids = append(ids, s.ID)
		}
		lines = append(lines, fmt.Sprintf("%s from %s to %s: %s.", prose.Count(len(g), "machine went", "machines went"),
			machineStates[g[0].Was].name, machineStates[g[0].Is].name, prose.List(ids, most)))
	}
	for _, r := range c.Requirements {
		lines = append(lines, fmt.Sprintf("%s: %s %s: %s.", f.Requirements[r.Requirement].ID, changeWords[r.Change].word,
			on(len(r.Machines)), prose.List(r.Machines, most)))
	}
	for _, g := range []struct {
		one, many string
		ids       []string
	}{
		{"machine is new", "machines are new", c.New},
		{"machine is gone", "machines are gone", c.Gone},
	} {
		if len(g.ids) > 0 {
			lines = append(lines, fmt.Sprintf("%s: %s.", prose.Count(len(g.ids), g.one, g.many), prose.List(g.ids, most)))
		}
	}
	if len(lines) == 0 {
		lines = []string{"Nothing changed."}
	}
	return lines
}

// policyNote says what counts, if that is not the default.
func policyNote(f *Fleet) string {
	if f.FailOn == scanner.FailOnWarning {
		return ""
	}
	return "--fail-on " + string(f.FailOn)
}
