package linux

import (
	"context"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

type entry = requirement.Entry[*Machine]

var catalogue = []entry{
	osSupported,
	volumeReadable,
	diskRoot97,
	appsOutsideHome,
	componentCloudInit,
	componentPCoIP,
	componentProtocol,
	componentSkylight,
	pathsProtected,
	directoryJoin,
	bpNetwork,
	bpAntivirus,
	bpFirewall,
	bpUpdates,
	bpCache,
	contentsRemoved,
	contentsShredded,
}

// Entries lists the requirements on a Linux system, of all rule books.
func Entries() []requirement.Requirement { return requirement.List(catalogue) }

// Terms returns for each requirement the names of its terms, see requirement.Entry.
func Terms() map[string][]string { return requirement.TermNames(catalogue) }

// Checks binds the rules of a rule book that are about a Linux system to the machine.
func (m *Machine) Checks(rules []requirement.Rule) []requirement.Check {
	return requirement.Bind(catalogue, rules, m.under)
}

// under returns the machine as one requirement of a rule book sees it.
func (m *Machine) under(ctx context.Context, terms requirement.Terms) *Machine {
	own := m.Within(ctx)
	own.Terms = terms
	return own
}

const (
	sectionRequirements = "Requirements to Create Amazon Linux Custom Images"
	sectionPractices    = "Best Practices"
	sectionIncluded     = "What's Included with Amazon Linux WorkSpace Custom Images"
)

// An explanation is what a colleague would say of a requirement.
type explanation struct {
	Reads  string // what on the disk decides it
	Live   string // how to check it on the running system
	Fix    string // what to do when it is not met
	Doubts string // what is uncertain about the service's rule, "" if nothing is
}

// demand returns the requirement of an entry.
func require(severity requirement.Severity, id, text, reference string, e explanation) requirement.Requirement {
	return requirement.Requirement{
		ID: id, Platform: requirement.Linux, Scope: requirement.Disk, Severity: severity,
		Demand: text, Reference: reference, Reads: e.Reads, Live: e.Live, Remediation: e.Fix, Doubts: e.Doubts,
	}
}
