package linux

import "github.com/coldcheck/coldcheck/scanner/requirement"

type entry = requirement.Entry[*Machine]

var catalogue = []entry{
	osSupported,
	volumeReadable,
	diskRoot97,
	appsOutsideHome,
	componentCloudInit,
	componentPCoIP,
	componentSkylight,
	bpNetwork,
	bpAntivirus,
	bpFirewall,
	bpUpdates,
	bpCache,
	contentsRemoved,
	contentsShredded,
}

// Requirements lists what is demanded of a Linux system, in the catalogue's
// order.
func Requirements() []requirement.Requirement { return requirement.List(catalogue) }

// Checks binds the requirements to the machine.
func (m *Machine) Checks() []requirement.Check { return requirement.Bind(catalogue, m.Within) }

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
