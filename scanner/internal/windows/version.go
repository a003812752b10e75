package windows

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const (
	keyCurrentVersion = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`
	keyControl        = `HKLM\SYSTEM\CurrentControlSet\Control`
	keyServices       = `HKLM\SYSTEM\CurrentControlSet\Services`
)

// Builds at which something that a requirement asks changed.
const (
	build7    = 7600  // Windows 7, Server 2008 R2
	build8    = 9200  // Windows 8, Server 2012
	build81   = 9600  // Windows 8.1, Server 2012 R2
	build10   = 10240 // Windows 10 1507
	build1607 = 14393 // Windows 10 1607, Server 2016
	build11   = 22000 // Windows 11
)

// System is the version of Windows, as its registry tells it.
type System struct {
	ProductName  string    // "Windows Server 2019 Datacenter"
	EditionID    string    // "ServerDatacenter"
	Major, Minor int       // 10, 0
	Build        int       // 17763
	Revision     uint32    // of the last cumulative update, UBR: 4737
	Client       bool      // not a server
	Installed    time.Time // of this version of Windows; zero if not known
	SystemRoot   string    // `C:\Windows`
	Evidence     []requirement.Evidence
}

// Version is the version in the form 10.0.17763.4737.
func (s System) Version() string {
	v := fmt.Sprintf("%d.%d.%d", s.Major, s.Minor, s.Build)
	if s.Revision != 0 {
		v += "." + strconv.FormatUint(uint64(s.Revision), 10)
	}
	return v
}

// Name is the product's name. The registry of Windows 11 still says Windows 10.
func (s System) Name() string {
	if s.Client && s.Build >= build11 {
		return strings.Replace(s.ProductName, "Windows 10", "Windows 11", 1)
	}
	return s.ProductName
}

// Modern says whether the system belongs to what the document calls Windows
// 10: Windows 10 and 11, and Server 2016 and later, which the public bundles
// of that name run.
func (s System) Modern() bool { return s.Build >= build10 }

// Seven says whether the system belongs to what the document calls Windows 7:
// the client, and Server 2008 R2, which the public bundles of that name run.
func (s System) Seven() bool { return s.Build >= build7 && s.Build < build8 }

// Evaluation says whether the edition runs only for a time of trial.
func (s System) Evaluation() bool {
	return strings.Contains(strings.ToLower(s.EditionID), "eval")
}

// System reads the version of Windows.
func (m *Machine) System() (System, error) { return m.system.Get(m.next().readSystem) }

func (m *Machine) readSystem() (System, error) {
	var s System
	k, err := m.key(keyCurrentVersion)
	if err != nil {
		return s, err
	}
	if !k.Exists() {
		return s, fmt.Errorf("%s: key %s not found", k.Evidence.Path, k.Evidence.Key)
	}
	var build, number, installation, version Setting[string]
	for _, field := range []struct {
		name string
		into *Setting[string]
	}{
		{"CurrentBuild", &build}, {"CurrentBuildNumber", &number},
		{"InstallationType", &installation}, {"CurrentVersion", &version},
	} {
		if *field.into, err = m.text(k, field.name); err != nil {
			return s, err
		}
	}
	product, err := m.text(k, "ProductName")
	if err != nil {
		return s, err
	}
	edition, err := m.text(k, "EditionID")
	if err != nil {
		return s, err
	}
	root, err := m.text(k, "SystemRoot")
	if err != nil {
		return s, err
	}
	major, err := m.dword(k, "CurrentMajorVersionNumber")
	if err != nil {
		return s, err
	}
	minor, err := m.dword(k, "CurrentMinorVersionNumber")
	if err != nil {
		return s, err
	}
	ubr, err := m.dword(k, "UBR")
	if err != nil {
		return s, err
	}
	installed, err := m.dword(k, "InstallDate")
	if err != nil {
		return s, err
	}

	if !build.Present {
		build = number
	}
	s.Build, err = strconv.Atoi(strings.TrimSpace(build.Value))
	if err != nil || s.Build <= 0 {
		return s, fmt.Errorf("%s: %s: CurrentBuild %q is no build number", build.Evidence.Path, build.Evidence.Key, build.Value)
	}
	s.Major, s.Minor = int(major.Value), int(minor.Value)
	if !major.Present {
		// Before Windows 10 the version is only in a string.
		if _, err := fmt.Sscanf(version.Value, "%d.%d", &s.Major, &s.Minor); err != nil {
			return s, fmt.Errorf("%s: %s: CurrentVersion %q is no version", version.Evidence.Path, version.Evidence.Key, version.Value)
		}
	}
	s.ProductName, s.EditionID, s.Revision = product.Value, edition.Value, ubr.Value
	if installed.Present && installed.Value != 0 {
		s.Installed = time.Unix(int64(installed.Value), 0).UTC()
	}
	s.SystemRoot = root.Value
	if s.SystemRoot == "" {
		s.SystemRoot = `C:\` + m.systemRoot
	}

	s.Evidence = []requirement.Evidence{product.Evidence, build.Evidence}
	return s, m.readProductType(&s, installation)
}

// readProductType tells a client from a server. SYSTEM decides; where it
// cannot be read or does not say, what the installation was called in SOFTWARE.
func (m *Machine) readProductType(s *System, installation Setting[string]) error {
	product, err := m.textAt(keyControl+`\ProductOptions`, "ProductType")
	switch {
	case err == nil && product.Present:
		s.Client = strings.EqualFold(product.Value, "WinNT")
		s.Evidence = append(s.Evidence, product.Evidence)
	case installation.Present:
		s.Client = strings.EqualFold(installation.Value, "Client")
		s.Evidence = append(s.Evidence, installation.Evidence)
	case err != nil:
		return err
	default:
		return fmt.Errorf("%s: neither ProductType nor InstallationType tells a client from a server", product.Evidence.Path)
	}
	return nil
}

// Architecture is the processor that Windows was built for: "amd64", "x86",
// "arm64"; "" if it is not written.
func (m *Machine) Architecture() (string, error) {
	s, err := m.textAt(keyEnvironment, "PROCESSOR_ARCHITECTURE")
	return strings.ToLower(s.Value), err
}

var osSupported = entry{
	Requirement: required("win.os.supported", "OSNotSupported", "the Windows version is one from which an image can be created (not a public Windows 7 bundle)", "Create a Custom WorkSpaces Image and Bundle", explanation{
		Reads: `SOFTWARE: Microsoft\Windows NT\CurrentVersion; SYSTEM: Control\ProductOptions\ProductType. Public Windows 7 bundles run Server 2008 R2, public Windows 10 bundles Server 2016 and later.`,
		Live:  "Get-ComputerInfo OsName, OsVersion, OsProductType",
		Fix:   "Migrate the WorkSpace to a Windows 10 bundle and customize that one.",
	}),
	Judge: (*Machine).decideSupported,
}

func (m *Machine) decideSupported() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeSupported(s, m.ownLicenceImage())
}

// ownLicenceImage names an image that a document shows to need dedicated
// tenancy, which only accounts that bring their own licences have.
func (m *Machine) ownLicenceImage() string {
	for _, d := range m.in.Documents {
		for _, i := range d.Images {
			if strings.EqualFold(i.RequiredTenancy, "DEDICATED") && strings.EqualFold(i.OperatingSystem, "WINDOWS") {
				return "image " + i.ImageID + " in " + d.Name
			}
		}
	}
	return ""
}

// judgeSupported decides win.os.supported. byol is an image of the account
// that a document shows to be made for own licences, "" if there is none.
func judgeSupported(s System, byol string) requirement.Outcome {
	name := s.Name() + " (" + s.Version() + ")"
	switch {
	case s.Modern():
		return requirement.Pass(name, s.Evidence...)
	case s.Seven() && !s.Client:
		return requirement.Fail(name+" is what public Windows 7 bundles run; no image can be made from it since 14 January 2020", s.Evidence...)
	case s.Seven() && byol != "":
		o := requirement.Pass(name+" is a client, which public bundles are not, and "+byol+" shows that the account brings its own licences", s.Evidence...)
		o.Basis = requirement.Stated
		return o
	case s.Seven():
		return requirement.Unknown(name+": whether its bundle is public or brings its own licence is not on the disk (pass --with the output of aws workspaces describe-workspace-images that shows an image with dedicated tenancy)", s.Evidence...)
	}
	return requirement.Warn(name+" is not among the systems that images are made from: Windows 7 with an own licence, Windows 10 and 11, Server 2016 and later", s.Evidence...)
}
