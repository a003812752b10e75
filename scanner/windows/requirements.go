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
	userDomainGuests,
	profileLongPaths,
	profileACL,
	profileLockedFiles,
	gpoNone,
	bpDefaultProfile,
	bpAntivirus,
	bpFirewall,
	bpCache,
	bpMail,
	bpUpdates,
	contents,
	logImageChecker,
}

// Requirements lists what is demanded of a Windows system, in the catalogue's
// order.
func Requirements() []requirement.Requirement { return requirement.List(catalogue) }

// Checks binds the requirements to the machine.
func (m *Machine) Checks() []requirement.Check { return requirement.Bind(catalogue, m.Within) }

// Sections of the document.
const (
	sectionRequirements    = "Requirements to Create Windows Custom Images"
	sectionPractices       = "Best Practices"
	sectionTips            = "Tips for Resolving Issues Detected by the Image Checker"
	sectionTroubleshooting = "Other Troubleshooting Tips"
	sectionChecker         = "Step 1: Run the Image Checker"
	sectionIncluded        = "What's Included with Windows WorkSpaces Custom Images"
)

// required makes the requirement of an entry whose failure blocks image
// creation.
func required(id, code, demand, reference string, text explanation) requirement.Requirement {
	return row(requirement.Required, id, code, demand, reference, text)
}

// recommended makes the requirement of an entry that warns at most.
func recommended(id, code, demand, reference string, text explanation) requirement.Requirement {
	return row(requirement.Recommended, id, code, demand, reference, text)
}

// informative makes the requirement of an entry that carries content and no
// demand.
func informative(id, demand, reference string, text explanation) requirement.Requirement {
	return row(requirement.Info, id, "", demand, reference, text)
}

func row(severity requirement.Severity, id, code, demand, reference string, text explanation) requirement.Requirement {
	return requirement.Requirement{
		ID: id, Platform: requirement.Windows, Scope: requirement.Disk, Severity: severity,
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
