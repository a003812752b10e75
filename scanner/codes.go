package scanner

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// errorCode is a code of ErrorDetails, by which the service names why it could not create or import an image, and the
// requirements that are about it.
type errorCode struct {
	Code string
	// IDs are the requirements that the code is about. They are judged for it if no rule book of the scan has them.
	IDs []string
	// Also are requirements that explain it too, if a rule book of the scan has them.
	Also []string
	// Parts are requirements of which only a part is about it: their findings say so themselves.
	Parts []string
}

// errorCodes are the codes that the service documents (WorkSpaces API reference, ErrorDetails, as of 2026-08), and what
// its pages say that they mean. The service adds codes: others are shown as they are.
var errorCodes = []errorCode{
	{Code: "OutdatedPowershellVersion", IDs: []string{"win.powershell.version"}},
	{Code: "OfficeInstalled", IDs: []string{"byol.office.none"}},
	{Code: "PCoIPAgentInstalled", IDs: []string{"byol.pcoip.none"}},
	{Code: "WindowsUpdatesEnabled", IDs: []string{"byol.updates.disabled"}},
	{Code: "AutoMountDisabled", IDs: []string{"byol.automount.enabled"}},
	{Code: "WorkspacesBYOLAccountNotFound", IDs: []string{"byol.account.exists"}},
	{Code: "WorkspacesBYOLAccountDisabled", IDs: []string{"byol.account.enabled"}},
	{Code: "DHCPDisabled", IDs: []string{"win.net.dhcp"}},
	{Code: "DiskFreeSpace", IDs: []string{"byol.disk.c-free"}, Also: []string{"win.disk.c-free", "linux.disk.root-97"}},
	{Code: "AdditionalDrivesAttached", IDs: []string{"byol.drives.single"}, Also: []string{"win.drives.only-c-d"}},
	{Code: "OSNotSupported", IDs: []string{"byol.os.supported"},
		Also: []string{"pools.os.supported", "win.os.supported", "linux.os.supported"}},
	{Code: "DomainJoined", IDs: []string{"byol.join.domain"}},
	{Code: "AzureDomainJoined", IDs: []string{"byol.join.entra"}},
	{Code: "FirewallEnabled", IDs: []string{"byol.firewall.public-off"}},
	{Code: "VMWareToolsInstalled", IDs: []string{"byol.vmware-tools.none"}},
	{Code: "DiskSizeExceeded", IDs: []string{"byol.disk.size"}},
	{Code: "IncompatiblePartitioning", IDs: []string{"byol.disk.partitioning"}},
	{Code: "PendingReboot", IDs: []string{"win.reboot.pending"}},
	{Code: "AutoLogonEnabled", IDs: []string{"byol.autologon.off"}},
	{Code: "RealTimeUniversalDisabled", IDs: []string{"byol.realtime-universal"}},
	{Code: "MultipleBootPartition", IDs: []string{"byol.boot.single"}},
	{Code: "Requires64BitOS", IDs: []string{"byol.os.x64"}},
	{Code: "ZeroRearmCount", IDs: []string{"win.rearm.nonzero"}},
	{Code: "InPlaceUpgrade", IDs: []string{"win.upgrade.in-place"}},
	{Code: "AntiVirusInstalled", IDs: []string{"byol.antivirus.none"}},
	{Code: "UEFINotSupported", IDs: []string{"byol.boot.firmware"}},
	{Code: codeUnknownError},
	{Code: "AppXPackagesInstalled", IDs: []string{"win.appx.staged"}, Also: []string{"byol.appx.sysprep"},
		Parts: []string{"win.sysprep.compatible"}},
	// Whether reserved storage is enabled is not whether it is in use: win.sysprep.compatible says that.
	{Code: "ReservedStorageInUse", Also: []string{"byol.reserved-storage.off", "current.reserved-storage"},
		Parts: []string{"win.sysprep.compatible"}},
	{Code: "AdditionalDrivesPresent", IDs: []string{"win.drives.only-c-d"}},
	{Code: "WindowsUpdatesRequired", IDs: []string{"win.reboot.pending"}, Also: []string{"win.bp.updates"}},
	{Code: "SysPrepFileMissing", IDs: []string{"win.sysprep.file"}},
	{Code: "UserProfileMissing", IDs: []string{"win.profile.exists"}},
	{Code: "InsufficientDiskSpace", IDs: []string{"win.disk.c-free"},
		Also: []string{"win.profile.size", "linux.disk.root-97"}},
	{Code: "EnvironmentVariablesPathMissingEntries", IDs: []string{"win.env.path"}},
	{Code: "DomainAccountServicesFound", IDs: []string{"win.services.domain-account"}},
	{Code: "InvalidIp", IDs: []string{"win.net.dhcp"}},
	{Code: "RemoteDesktopServicesDisabled", IDs: []string{"win.rds.enabled"}},
	{Code: "WindowsModulesInstallerDisabled", IDs: []string{"win.trustedinstaller.enabled"}},
	{Code: "AmazonSsmAgentEnabled", IDs: []string{"win.ssm.disabled"}},
	{Code: "UnsupportedSecurityProtocol", IDs: []string{"win.tls.tls12"}, Also: []string{"win.tls.ssl3"}},
	{Code: "MultipleUserProfiles", IDs: []string{"win.profile.single"}},
	{Code: "StagedAppxPackage", IDs: []string{"win.appx.staged"}},
	{Code: "UnsupportedOsUpgrade", IDs: []string{"win.upgrade.in-place"}},
	{Code: "InsufficientRearmCount", IDs: []string{"win.rearm.nonzero"}},
	// The system judges these, see codeExplainer: the requirements of the other rule books are for machines that are no
	// WorkSpace yet, or for a protocol of their own.
	{Code: "ProtocolOSIncompatibility", Also: []string{"byol.protocol", "current.protocol.os", "pools.protocol.dcv"}},
	{Code: "MemoryIntegrityIncompatibility", Also: []string{"byol.memory-integrity"}},
	{Code: "RestrictedDriveLetterInUse", Also: []string{"byol.drive-letter.d-free", "win.drives.only-c-d"}},
}

// codeUnknownError is the code by which the service says that it does not know the cause.
const codeUnknownError = "UnknownError"

// findCode returns what is known of a code; nil if the service has added it since.
func findCode(code string) *errorCode {
	for i := range errorCodes {
		if strings.EqualFold(errorCodes[i].Code, code) {
			return &errorCodes[i]
		}
	}
	return nil
}

// isAbout says whether a code of the service is that of a requirement.
func isAbout(r requirement.Requirement, code string) bool {
	if r.AWSErrorCode != "" && strings.EqualFold(r.AWSErrorCode, code) {
		return true
	}
	c := findCode(code)
	return c != nil && (slices.Contains(c.IDs, r.ID) || slices.Contains(c.Also, r.ID))
}

// isPart says whether a code of the service is that of a part of a requirement.
func isPart(r requirement.Requirement, code string) bool {
	c := findCode(code)
	return c != nil && slices.Contains(c.Parts, r.ID)
}

// onDemand judges requirements that no rule book of a scan has, each by the first rule book that has it.
type onDemand struct {
	o     *opened
	m     machine
	known map[string]*requirement.Finding // nil for what no rule book has
}

// find returns the finding of a requirement; nil if no rule book has it, or it is for another system.
func (d *onDemand) find(ctx context.Context, id string) (*requirement.Finding, error) {
	if d == nil {
		return nil, nil
	}
	if f, done := d.known[id]; done {
		return f, nil
	}
	f, err := d.judge(ctx, id)
	if err != nil {
		return nil, err
	}
	d.known[id] = f
	return f, nil
}

func (d *onDemand) judge(ctx context.Context, id string) (*requirement.Finding, error) {
	all, err := books()
	if err != nil {
		return nil, err
	}
	for _, b := range all {
		at := slices.IndexFunc(b.rules, func(r requirement.Rule) bool { return r.ID == id })
		if at < 0 {
			continue
		}
		b.rules = b.rules[at : at+1]
		service := newService(d.o.documents, d.m)
		practices := practiceFacts{volumes: d.o.volumes, match: service.match}
		checks := slices.Concat(service.checks(b.rules), practices.checks(b.rules), d.m.Checks(b.rules))
		checks = b.bind(checks, d.m, requirement.Platform(d.m.platform.Family))
		if len(checks) == 0 {
			return nil, nil
		}
		d.o.trail.Record("code", "id", id, "rulebook", b.Name)
		findings, err := evaluate(ctx, checks[:1], d.o.trail, d.o.volumes.reads.waited, nil)
		if err != nil {
			return nil, err
		}
		findings[0].Evidence = slices.Clone(findings[0].Evidence)
		findings[0].Counts = false // of no verdict of this scan
		d.o.volumes.infer(findings)
		_ = guard(func() error { d.o.volumes.place(findings); return nil })
		return &findings[0], nil
	}
	return nil, nil
}

// uncovered is why no requirement explains a code.
func uncovered(code string) string {
	switch c := findCode(code); {
	case strings.EqualFold(code, codeUnknownError):
		return "Not explained: no requirement covers this code, by which AWS says that the cause is unknown."
	case c == nil:
		return fmt.Sprintf("Not explained: no requirement covers this code. %s is not among the %d codes that AWS documents.",
			code, len(errorCodes))
	}
	return "Not explained: no requirement covers this code."
}
