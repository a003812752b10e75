package machine

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Builds at which something that a requirement asks changed.
const (
	Build7  = 7600  // Windows 7, Server 2008 R2
	Build8  = 9200  // Windows 8, Server 2012
	build10 = 10240 // Windows 10 1507
	Build11 = 22000 // Windows 11
)

// System is the version of Windows in its registry.
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
	if s.Client && s.Build >= Build11 {
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
func (s System) Seven() bool { return s.Build >= Build7 && s.Build < Build8 }

// Evaluation says whether the edition runs only for a time of trial.
func (s System) Evaluation() bool {
	return strings.Contains(strings.ToLower(s.EditionID), "eval")
}

// System reads the version of Windows.
func (m *Machine) System() (System, error) { return m.system.Get(m.Next().readSystem) }

func (m *Machine) readSystem() (System, error) {
	var s System
	k, err := m.Key(KeyCurrentVersion)
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
		if *field.into, err = m.Text(k, field.name); err != nil {
			return s, err
		}
	}
	product, err := m.Text(k, "ProductName")
	if err != nil {
		return s, err
	}
	edition, err := m.Text(k, "EditionID")
	if err != nil {
		return s, err
	}
	root, err := m.Text(k, "SystemRoot")
	if err != nil {
		return s, err
	}
	major, err := m.DWord(k, "CurrentMajorVersionNumber")
	if err != nil {
		return s, err
	}
	minor, err := m.DWord(k, "CurrentMinorVersionNumber")
	if err != nil {
		return s, err
	}
	ubr, err := m.DWord(k, "UBR")
	if err != nil {
		return s, err
	}
	installed, err := m.DWord(k, "InstallDate")
	if err != nil {
		return s, err
	}

	if !build.Present {
		build = number
	}
	s.Build, err = strconv.Atoi(strings.TrimSpace(build.Value))
	if err != nil || s.Build <= 0 {
		return s, fmt.Errorf("%s: %s: CurrentBuild %q is not a build number", build.Evidence.Path, build.Evidence.Key,
			build.Value)
	}
	s.Major, s.Minor = int(major.Value), int(minor.Value)
	if !major.Present {
		// Before Windows 10 the version is only in a string.
		if _, err := fmt.Sscanf(version.Value, "%d.%d", &s.Major, &s.Minor); err != nil {
			return s, fmt.Errorf("%s: %s: CurrentVersion %q is not a version", version.Evidence.Path,
				version.Evidence.Key, version.Value)
		}
	}
	s.ProductName, s.EditionID, s.Revision = product.Value, edition.Value, ubr.Value
	if installed.Present && installed.Value != 0 {
		s.Installed = time.Unix(int64(installed.Value), 0).UTC()
	}
	s.SystemRoot = root.Value
	if s.SystemRoot == "" {
		s.SystemRoot = `C:\` + m.SystemRoot
	}

	s.Evidence = []requirement.Evidence{product.Evidence, build.Evidence}
	return s, m.readProductType(&s, installation)
}

// readProductType distinguishes a client from a server. SYSTEM decides; where it
// cannot be read or does not say, what the installation was called in SOFTWARE.
func (m *Machine) readProductType(s *System, installation Setting[string]) error {
	product, err := m.TextAt(KeyControl+`\ProductOptions`, "ProductType")
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
		return fmt.Errorf("%s: cannot tell a client from a server: ProductType and InstallationType are missing",
			product.Evidence.Path)
	}
	return nil
}

// Architecture is the processor that Windows was built for: "amd64", "x86",
// "arm64"; "" if it is not written.
func (m *Machine) Architecture() (string, error) {
	s, err := m.TextAt(KeyEnvironment, "PROCESSOR_ARCHITECTURE")
	return strings.ToLower(s.Value), err
}
