package windows

import "github.com/coldcheck/coldcheck/scanner/requirement"

type entry = requirement.Entry[*Machine]

var catalogue = []entry{
	osSupported,
	volumeReadable,
	profileExists,
	profileSingle,
	profileSize,
	diskFree,
	drivesOnlyCD,
	appsOnC,
	servicesDomainAccount,
	powershellVersion,
	powershellPolicy,
	rebootPending,
	upgradeInPlace,
	sysprepFile,
	sysprepCompatible,
	rearmNonzero,
	netDHCP,
	rdsEnabled,
	trustedInstallerEnabled,
	winRMAuto,
	ssmDisabled,
	envPath,
	tls12,
	ssl3,
	appxStagedPackages,
	wamInstalled,
	componentPVDrivers,
	componentPCoIP,
	componentSTXHD,
	componentSkylight,
	componentCertificates,
}

// Requirements lists what is demanded of a Windows system, in the catalogue's
// order.
func Requirements() []requirement.Requirement { return requirement.List(catalogue) }

// Checks binds the requirements to the machine.
func (m *Machine) Checks() []requirement.Check { return requirement.Bind(catalogue, m) }

const (
	sectionRequirements = "Requirements to Create Windows Custom Images"
	sectionTips         = "Tips for Resolving Issues Detected by the Image Checker"
)

// required makes the requirement of an entry: of scope disk, and its failure
// blocks image creation.
func required(id, code, demand, reference string, text explanation) requirement.Requirement {
	return requirement.Requirement{
		ID: id, Platform: requirement.Windows, Scope: requirement.Disk, Severity: requirement.Required,
		AWSErrorCode: code, Demand: demand, Reference: reference,
		Reads: text.Reads, Live: text.Live, Remediation: text.Fix,
	}
}

// An explanation is what a colleague would say of a requirement.
type explanation struct {
	Reads string // what on the disk decides it
	Live  string // how to check it on the running system
	Fix   string // what to do when it is not met
}
