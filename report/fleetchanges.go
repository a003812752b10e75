package report

import (
	"cmp"
	"slices"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// FleetChanges is what differs between the records of two stores.
type FleetChanges struct {
	Store        string // the earlier one
	Before       int    // its machines
	New, Gone    []string
	States       []StateChange       // by kind, then by id of the machine
	Requirements []RequirementChange // in the order of the catalogue, and of Changes
}

// StateChange is a machine whose state differs.
type StateChange struct {
	ID      string
	Was, Is MachineState
}

// RequirementChange is how a requirement differs on some machines: it is Broke, Found,
// Lost, Fixed or Decided.
type RequirementChange struct {
	Requirement int // index in Fleet.Requirements
	Change      Change
	Machines    []string // by id
}

// changesOf compares the machines of an earlier store with those of f. Findings are
// compared where both have a report.
func changesOf(store string, before []Machine, f *Fleet) *FleetChanges {
	c := &FleetChanges{Store: store, Before: len(before)}
	old := map[string]*Machine{}
	for i := range before {
		old[before[i].ID] = &before[i]
	}
	type key struct {
		requirement int
		change      Change
	}
	changed := map[key][]string{}
	now := map[string]bool{}
	for _, m := range f.Machines {
		was := old[m.ID]
		if m.State != MachineMissing {
			now[m.ID] = true
		}
		switch {
		case m.State == MachineMissing:
			continue
		case was == nil:
			c.New = append(c.New, m.ID)
			continue
		case was.State != m.State:
			c.States = append(c.States, StateChange{m.ID, was.State, m.State})
		}
		if len(was.Findings) == 0 || len(m.Findings) == 0 {
			continue
		}
		for at, status := range statusesOf(*was, m) {
			switch change := changeOf(status[0], status[1]); change {
			case Changed, Same:
			default:
				changed[key{at, change}] = append(changed[key{at, change}], m.ID)
			}
		}
	}
	for _, m := range before {
		if !now[m.ID] {
			c.Gone = append(c.Gone, m.ID)
		}
	}
	for k, machines := range changed {
		c.Requirements = append(c.Requirements, RequirementChange{k.requirement, k.change, machines})
	}
	slices.SortFunc(c.Requirements, func(a, b RequirementChange) int {
		return cmp.Or(slices.Index(Changes, a.Change)-slices.Index(Changes, b.Change), a.Requirement-b.Requirement)
	})
	rank := func(s MachineState) int { return slices.Index(MachineStates, s) }
	slices.SortStableFunc(c.States, func(a, b StateChange) int {
		return cmp.Or(rank(a.Is)-rank(b.Is), rank(a.Was)-rank(b.Was))
	})
	return c
}

// statusesOf pairs the statuses of two records, by requirement. One that a record does not
// have is "".
func statusesOf(was, is Machine) map[int][2]requirement.Status {
	pairs := map[int][2]requirement.Status{}
	for _, f := range was.Findings {
		pairs[f.Requirement] = [2]requirement.Status{f.Status}
	}
	for _, f := range is.Findings {
		pair := pairs[f.Requirement]
		pair[1] = f.Status
		pairs[f.Requirement] = pair
	}
	return pairs
}
