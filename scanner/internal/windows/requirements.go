package windows

import (
	"cmp"
	"context"
	"errors"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

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

	// Of a computer that is imported with the customer's own license, in the order of the rule book byol.
	byolOS,
	byolEditionN,
	byolX64,
	byolLanguage,
	byolOffice,
	byolPCoIP,
	byolUpdates,
	byolAutomount,
	byolAccountExists,
	byolAccountEnabled,
	byolNetSingle,
	byolFree,
	byolDrivesSingle,
	byolJoinDomain,
	byolJoinEntra,
	byolFirewall,
	byolVMwareTools,
	byolDiskSize,
	byolPartitioning,
	byolFirmware,
	byolBootSingle,
	byolAutologon,
	byolUniversalTime,
	byolAntivirus,
	byolAppx,
	byolReservedStorage,
	byolMemoryIntegrity,
	byolDriveLetterD,
	byolProtocol,
	byolEncryption,
	byolFilesystem,
	byolImageFormat,
	byolSoftware,
	byolUpdated,
	byolActivation,
	byolImportPrepare,
	byolSysprepNotRun,
	byolShutdown,
	byolNTP,
	byolTrace,

	// Of today's guide, in the order of the rule book current.
	protocolOS,
	componentDCV,
	pathsProtected,
	driversAge,
	agentsAge,
	computerNames,
	timeSource,
	memoryIntegrityOff,
	officeSupported,
	reservedStorageUnused,
	driveLetterD,

	// Of WorkSpaces Pools.
	poolsSupported,
	poolsDCV,
	poolsUpdates,
	poolsNoAutoUpdate,
	poolsDefender,
	poolsAgents,
	poolsStartup,
	poolsSessions,
	poolsDotNet,
	poolsWorkstation,
	poolsProfile,

	// Of WorkSpaces Core.
	coreProtocol,
	coreCustomer,
	coreLicense,
}

// Entries lists the requirements on a Windows system, of all rule books.
func Entries() []requirement.Requirement { return requirement.List(catalogue) }

// Terms returns for each requirement the names of its terms, see requirement.Entry.
func Terms() map[string][]string { return requirement.TermNames(catalogue) }

// Checks binds the rules of a rule book that are about a Windows system to the
// machine. Where the next start may use another control set, each is judged with
// both.
func (m *Machine) Checks(rules []requirement.Rule) []requirement.Check {
	checks := requirement.Bind(catalogue, rules, m.under)
	if m.restarted == nil {
		return checks
	}
	again := requirement.Bind(catalogue, rules, m.restarted.under)
	set, err := m.Registry.NextControlSet()
	for i := range checks {
		if checks[i].Severity == requirement.Info || checks[i].NotApplicable != "" {
			continue // of content, the control set is no part
		}
		last, next, remedy := checks[i].Decide, again[i].Decide, checks[i].Remediation
		checks[i].Decide = func(ctx context.Context) requirement.Outcome {
			o := next(ctx)
			if err == nil {
				o = o.Also("This is from " + set.Name + ", which the next start uses")
				o.Remediation = "Restart the WorkSpace so that it runs on " + set.Name + ". " + cmp.Or(o.Remediation,
					remedy)
			}
			return Worse(last(ctx), o)
		}
	}
	return checks
}

// errNoUser makes every requirement that depends on the WorkSpace's user undecided, in the same words, so that a report
// can show them together.
var errNoUser = errors.New("cannot tell which profile is the user's: see win.profile.exists")

// badness orders the statuses for Worse.
var badness = map[requirement.Status]int{
	requirement.NotApplicable: 0, requirement.Passed: 1, requirement.Undetermined: 2, requirement.Warning: 3,
	requirement.Failed: 4,
}

// Worse is the outcome that counts of those that two control sets lead to: that
// of the one that Windows ran on last, and that of the next start's.
func Worse(last, next requirement.Outcome) requirement.Outcome {
	passed := last.Status == requirement.Passed && next.Status == requirement.Passed
	switch {
	case badness[next.Status] > badness[last.Status], passed && next.Basis == requirement.Inferred &&
		last.Basis != requirement.Inferred:
		return next
	case passed:
		known := map[string]bool{}
		for _, ev := range last.Evidence {
			known[ev.Source+"\x00"+ev.Path+"\x00"+ev.Key+"\x00"+ev.Value] = true
		}
		for _, ev := range next.Evidence {
			if !known[ev.Source+"\x00"+ev.Path+"\x00"+ev.Key+"\x00"+ev.Value] {
				last = last.With(ev)
			}
		}
	}
	return last
}

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

// informative makes the entry of content that no verdict depends on.
func informative(id, demand, reference string, text explanation) requirement.Requirement {
	return row(requirement.Info, id, "", demand, reference, text)
}

func row(severity requirement.Severity, id, code, demand, reference string,
	text explanation) requirement.Requirement {
	return requirement.Requirement{
		ID: id, Platform: requirement.Windows, Scope: requirement.Disk, Severity: severity,
		AWSErrorCode: code, Demand: demand, Reference: reference,
		Reads: text.Reads, Live: text.Live, Doubts: text.Doubts, Remediation: text.Fix,
	}
}

// An explanation is what "requirements ID" shows of a requirement.
type explanation struct {
	Reads string // what on the disk decides it
	Live  string // how to check it on the running system
	// Doubts is what is uncertain about the service's rule, "" if nothing is.
	Doubts string
	Fix    string // what to do when it is not met
}
