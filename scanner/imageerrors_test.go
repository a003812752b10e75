package scanner

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

func TestExplainImages(t *testing.T) {
	d, err := statement.Parse("images.json", []byte(`{"Images": [
		{"ImageId": "wsi-1", "Name": "Design", "State": "ERROR", "ErrorCode": "ImageCreationFailed", "ErrorDetails": [
			{"ErrorCode": "InvalidIp", "ErrorMessage": "static"}, {"ErrorCode": "UnsupportedSecurityProtocol"}, {"ErrorCode": "UserProfileMissing"},
			{"ErrorCode": "SysPrepFileMissing"}, {"ErrorCode": "ReservedStorageInUse"}, {"ErrorCode": "pendingreboot"}]},
		{"ImageId": "wsi-2", "State": "AVAILABLE"},
		{"ImageId": "wsi-3", "State": "ERROR", "ErrorCode": "InPlaceUpgrade", "ErrorMessage": "upgraded"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	ev := requirement.Evidence{Source: "root"}
	find := func(id, code string, o requirement.Outcome) requirement.Finding {
		return requirement.Find(requirement.Requirement{ID: id, AWSErrorCode: code, Severity: requirement.Required,
			Remediation: "mend it"}, o)
	}
	list := explained(t, []*statement.Document{d}, []requirement.Finding{
		find("win.net.dhcp", "InvalidIp", requirement.Fail("1 adapter is static", ev)),
		find("win.tls.tls12", "UnsupportedSecurityProtocol", requirement.Pass("on")),
		find("win.tls.ssl3", "UnsupportedSecurityProtocol", requirement.Warn("off", ev)),
		find("win.profile.exists", "UserProfileMissing", requirement.Unknown("no user volume")),
		find("win.sysprep.file", "SysPrepFileMissing", requirement.Pass("there")),
		find("win.reboot.pending", "WindowsUpdatesRequired", requirement.Fail("pending.xml", ev)),
		find("win.upgrade.in-place", "UnsupportedOsUpgrade", requirement.Skip("no")),
		find("win.profile.size", "", requirement.Fail("large", ev)),
	}, nil, nil)
	want := []struct {
		code      string
		explained bool
		findings  int
		says      string
	}{
		{"InvalidIp", true, 1, "Explained by win.net.dhcp."},
		{"UnsupportedSecurityProtocol", true, 2, "Explained by win.tls.ssl3."},
		{"UserProfileMissing", false, 1, "Not explained. Undecided: win.profile.exists."},
		{"SysPrepFileMissing", false, 1, "Not explained by win.sysprep.file (passed). The cause may have been fixed since"},
		{"ReservedStorageInUse", false, 0, "Not explained: no requirement covers this code."},
		{"pendingreboot", true, 1, "Explained by win.reboot.pending."},
		{"InPlaceUpgrade", false, 1, "Not explained by win.upgrade.in-place (not applicable). The cause"},
	}
	if len(list) != len(want) {
		t.Fatalf("%d reasons: %+v", len(list), list)
	}
	for i, w := range want {
		e := list[i]
		if e.Code != w.code || e.Explained != w.explained || len(e.Findings) != w.findings ||
			!strings.Contains(e.Explanation(), w.says) {
			t.Errorf("%s: explained %t by %d findings: %s", e.Code, e.Explained, len(e.Findings), e.Explanation())
		}
		level := map[bool]requirement.Level{true: requirement.LevelInfo, false: requirement.LevelWarning}[w.explained]
		if n := e.notice(); n.Level != level || n.Source != "images.json" || !strings.Contains(n.Message, e.Image()) {
			t.Errorf("notice %+v", n)
		}
	}
	if list[0].Image() != "Design (wsi-1)" || list[6].Image() != "wsi-3" || list[0].Message != "static" {
		t.Errorf("%+v", list)
	}
}

// explained explains without judging more.
func explained(t *testing.T, documents []*statement.Document, findings []requirement.Finding, left []NotChecked,
	sys any) []ImageError {
	t.Helper()
	list, err := explainImages(t.Context(), documents, findings, left, sys, nil)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// codes explains as a disk would.
type codes map[string]requirement.Outcome

func (c codes) ExplainCode(code string) (requirement.Outcome, bool) { o, ok := c[code]; return o, ok }

func TestExplainParts(t *testing.T) {
	ev := requirement.Evidence{Source: "root"}
	sysprep := func(status requirement.Status, explains ...string) requirement.Finding {
		o := requirement.Outcome{Status: status, Basis: requirement.Observed, Message: "of Sysprep",
			Evidence: []requirement.Evidence{ev}, Explains: explains}
		return requirement.Find(requirement.Requirement{ID: "win.sysprep.compatible", Severity: requirement.Required,
			Remediation: "mend it"}, o)
	}
	disk := codes{
		"MemoryIntegrityIncompatibility": requirement.Warn("memory integrity is on", ev),
		"ProtocolOSIncompatibility":      requirement.Pass("it fits"),
		"RestrictedDriveLetterInUse":     requirement.Unknown("cannot tell"),
	}
	for name, c := range map[string]struct {
		code      string
		finding   requirement.Finding
		explained bool
		says      string
	}{
		"reserved storage": {"ReservedStorageInUse", sysprep(requirement.Warning, "ReservedStorageInUse"), true,
			"Explained by win.sysprep.compatible."},
		"without regard to case": {"reservedstorageinuse", sysprep(requirement.Warning, "ReservedStorageInUse"), true,
			"Explained by win.sysprep.compatible."},
		"Sysprep stops for another": {"ReservedStorageInUse", sysprep(requirement.Warning, "AppXPackagesInstalled"),
			false, "Not explained by win.sysprep.compatible (warning). The cause"},
		"nothing stops Sysprep": {"ReservedStorageInUse", sysprep(requirement.Passed), false,
			"Not explained by win.sysprep.compatible (passed). The cause"},
		"Sysprep is not known": {"ReservedStorageInUse", sysprep(requirement.Undetermined), false,
			"Not explained. Undecided: win.sysprep.compatible."},
		"packages": {"AppXPackagesInstalled", sysprep(requirement.Warning, "AppXPackagesInstalled"),
			true, "Explained by win.sysprep.compatible"},
		"the disk explains": {"MemoryIntegrityIncompatibility", sysprep(requirement.Passed), true,
			"Explained by the disk. Memory integrity is on."},
		"the disk does not explain": {"ProtocolOSIncompatibility", sysprep(requirement.Warning), false,
			"Not explained. It fits. The cause may have been fixed since"},
		"the disk does not decide": {"RestrictedDriveLetterInUse", sysprep(requirement.Warning), false,
			"Not explained. Cannot tell."},
		"neither disk nor requirements": {"UnknownError", sysprep(requirement.Warning, "x"), false,
			"no requirement covers this code"},
	} {
		d := &statement.Document{Kind: statement.Images, Images: []statement.Image{{ImageID: "wsi-1", ErrorCode: c.code}}}
		list := explained(t, []*statement.Document{d}, []requirement.Finding{c.finding}, nil, disk)
		if len(list) != 1 || list[0].Explained != c.explained || !strings.Contains(list[0].Explanation(), c.says) {
			t.Errorf("%s: explained %t: %s", name, list[0].Explained, list[0].Explanation())
		}
	}
}

// documentedCodes are those of ErrorDetails in the service's API reference.
const documentedCodes = `OutdatedPowershellVersion OfficeInstalled PCoIPAgentInstalled WindowsUpdatesEnabled
AutoMountDisabled WorkspacesBYOLAccountNotFound WorkspacesBYOLAccountDisabled DHCPDisabled DiskFreeSpace
AdditionalDrivesAttached OSNotSupported DomainJoined AzureDomainJoined FirewallEnabled VMWareToolsInstalled
DiskSizeExceeded IncompatiblePartitioning PendingReboot AutoLogonEnabled RealTimeUniversalDisabled
MultipleBootPartition Requires64BitOS ZeroRearmCount InPlaceUpgrade AntiVirusInstalled UEFINotSupported UnknownError
AppXPackagesInstalled ReservedStorageInUse AdditionalDrivesPresent WindowsUpdatesRequired SysPrepFileMissing
UserProfileMissing InsufficientDiskSpace EnvironmentVariablesPathMissingEntries DomainAccountServicesFound InvalidIp
RemoteDesktopServicesDisabled WindowsModulesInstallerDisabled AmazonSsmAgentEnabled UnsupportedSecurityProtocol
MultipleUserProfiles StagedAppxPackage UnsupportedOsUpgrade InsufficientRearmCount ProtocolOSIncompatibility
MemoryIntegrityIncompatibility RestrictedDriveLetterInUse`

// TestErrorCodes makes sure that each documented code is known, and that each requirement that it leads to exists in
// the rule books.
func TestErrorCodes(t *testing.T) {
	var documented, known []string
	documented = strings.Fields(documentedCodes)
	ids := map[string]bool{}
	for _, r := range AllRequirements() {
		ids[r.ID] = true
	}
	for _, c := range errorCodes {
		known = append(known, c.Code)
		for _, id := range slices.Concat(c.IDs, c.Also, c.Parts) {
			book, _, _ := strings.Cut(id, ".")
			if _, err := rules.Find(book); err != nil && book != "win" && book != "linux" {
				continue // the rule book does not exist
			}
			if !ids[id] {
				t.Errorf("%s: no rule book has %s", c.Code, id)
			}
		}
	}
	if len(documented) != 48 || !slices.Equal(known, documented) {
		t.Errorf("%d documented codes: %s", len(documented), cmp.Diff(documented, known))
	}
	for _, r := range AllRequirements() {
		if r.AWSErrorCode != "" && findCode(r.AWSErrorCode) == nil {
			t.Errorf("%s has the code %s, which is not documented", r.ID, r.AWSErrorCode)
		}
	}
}

// A reason is not called unexplainable where the requirement about it was left out.
func TestImageErrorNotChecked(t *testing.T) {
	d := &statement.Document{Kind: statement.Images,
		Images: []statement.Image{{ImageID: "wsi-1", ErrorCode: "DHCPDisabled"}, {ImageID: "wsi-2", ErrorCode: "Other"}}}
	left := []NotChecked{{Requirement: requirement.Requirement{ID: "win.net.dhcp", AWSErrorCode: "InvalidIp"}}}
	list := explained(t, []*statement.Document{d}, nil, left, nil)
	for i, want := range []string{"win.net.dhcp", "no requirement covers this code"} {
		if got := list[i].Explanation(); !strings.Contains(got, want) || list[i].Explained {
			t.Errorf("%s: %s, want %q", list[i].Code, got, want)
		}
	}
}

func TestImageErrorLimit(t *testing.T) {
	for n, want := range map[int]int{maxImageErrors - 1: maxImageErrors - 1, maxImageErrors: maxImageErrors,
		maxImageErrors + 1: maxImageErrors} {
		d := &statement.Document{Kind: statement.Images}
		for i := range n {
			d.Images = append(d.Images, statement.Image{ImageID: fmt.Sprintf("wsi-%d", i), ErrorCode: "UnknownError"})
		}
		if got := len(explained(t, []*statement.Document{d}, nil, nil, nil)); got != want {
			t.Errorf("%d of %d", got, n)
		}
	}
}
