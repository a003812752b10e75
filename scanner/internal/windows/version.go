package windows

import (
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
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
		"The Windows version must support custom images. Public Windows 7 bundles do not.",
		"Create a Custom WorkSpaces Image and Bundle", explanation{
			Reads: `SOFTWARE: Microsoft\Windows NT\CurrentVersion; SYSTEM: Control\ProductOptions\ProductType. ` +
				`Public Windows 7 bundles run Server 2008 R2; public Windows 10 bundles run Server 2016 and later.`,
			Live: "Get-CimInstance Win32_OperatingSystem | Select-Object Caption, Version, ProductType",
			Fix:  "Migrate the WorkSpace to a Windows 10 bundle, and create the image from the new WorkSpace.",
		}),
	Judge: (*Machine).decideSupported,
	Terms: []string{"servers"},
}

func (m *Machine) decideSupported() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if servers := m.Terms.Ints("servers"); len(servers) > 0 {
		return judgeListed(s, servers)
	}
	return judgeSupported(s, m.ownLicenseImage())
}

// ownLicenseImage names an image that a document shows to need dedicated
// tenancy, which only accounts that bring their own licenses have.
func (m *Machine) ownLicenseImage() string {
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
// that a document shows to be made for own licenses, "" if there is none.
func judgeSupported(s machine.System, byol string) requirement.Outcome {
	name := s.Name() + " (" + s.Version() + ")"
	switch {
	case s.Modern():
		return requirement.Pass(name+" supports custom images.", s.Evidence...)
	case s.Seven() && !s.Client:
		return requirement.Fail(
			name+" is the system of public Windows 7 bundles, which have not supported custom images since "+
				"January 14, 2020.", s.Evidence...)
	case s.Seven() && byol != "":
		o := requirement.Pass(name+" is a client system, which public bundles do not use.", s.Evidence...).
			Also(prose.Sentence(byol + " shows that the account brings its own licenses"))
		o.Basis = requirement.Stated
		return o
	case s.Seven():
		return requirement.Unknown("The disk does not show whether the account brings its own license for "+name+".",
			s.Evidence...).Also("Add the output of aws workspaces describe-workspace-images with --with. It must show " +
			"an image with dedicated tenancy.")
	}
	return requirement.Warn(name+" does not support custom images.", s.Evidence...).Also(
		"Supported are Windows 7 with your own license, Windows 10 and 11, and Server 2016 and later.")
}

// judgeListed decides win.os.supported by the table of bundles: builds of
// Windows Server, and Windows 10 and 11 with an own license.
func judgeListed(s machine.System, servers []int64) requirement.Outcome {
	name := s.Name() + " (" + s.Version() + ")"
	if s.Client && s.Modern() || !s.Client && slices.Contains(servers, int64(s.Build)) {
		return requirement.Pass("AWS offers bundles with "+name+".", s.Evidence...)
	}
	return requirement.Fail("AWS no longer offers bundles with "+name+".", s.Evidence...)
}
