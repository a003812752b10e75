package windows

import (
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Builds at which something that a requirement asks changed.
const (
	build81   = 9600  // Windows 8.1, Server 2012 R2
	build1607 = 14393 // Windows 10 1607, Server 2016
)

var osSupported = entry{
	Requirement: required("win.os.supported", "OSNotSupported",
		"the Windows version is one from which an image can be created (not a public Windows 7 bundle)",
		"Create a Custom WorkSpaces Image and Bundle", explanation{
			Reads: `SOFTWARE: Microsoft\Windows NT\CurrentVersion; SYSTEM: Control\ProductOptions\ProductType. ` +
				`Public Windows 7 bundles run Server 2008 R2, public Windows 10 bundles Server 2016 and later.`,
			Live: "Get-ComputerInfo OsName, OsVersion, OsProductType",
			Fix:  "Migrate the WorkSpace to a Windows 10 bundle and customize that one.",
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
func judgeSupported(s machine.System, byol string) requirement.Outcome {
	name := s.Name() + " (" + s.Version() + ")"
	switch {
	case s.Modern():
		return requirement.Pass(name, s.Evidence...)
	case s.Seven() && !s.Client:
		return requirement.Fail(
			name+" is what public Windows 7 bundles run; no image can be made from it since 14 January 2020",
			s.Evidence...)
	case s.Seven() && byol != "":
		o := requirement.Pass(
			name+" is a client, which public bundles are not, and "+byol+" shows that the account brings its own "+
				"licences", s.Evidence...)
		o.Basis = requirement.Stated
		return o
	case s.Seven():
		return requirement.Unknown(
			name+": whether its bundle is public or brings its own licence is not on the disk (pass --with the "+
				"output of aws workspaces describe-workspace-images that shows an image with dedicated tenancy)",
			s.Evidence...)
	}
	return requirement.Warn(
		name+" is not among the systems that images are made from: Windows 7 with an own licence, Windows 10 and "+
			"11, Server 2016 and later", s.Evidence...)
}
