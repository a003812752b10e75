package windows

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const fixOS = "Install a supported version of Windows on an empty disk. Do not upgrade the existing installation."

var byolOS = entry{
	Requirement: required("byol.os.supported", "OSNotSupported",
		"Windows must be a version of Windows 10 or 11 for 64-bit x64 processors that can be imported.",
		sectionBYOLVersions, explanation{
			Reads: `SOFTWARE: Microsoft\Windows NT\CurrentVersion (CurrentBuild, EditionID); SYSTEM: ` +
				`Control\ProductOptions\ProductType, PROCESSOR_ARCHITECTURE; the file version of ntoskrnl.exe.`,
			Live: `Get-ItemProperty 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion' | Select-Object EditionID, ` +
				`DisplayVersion, CurrentBuild, UBR`,
			Doubts: "The guide lists Windows 10 22H2, LTSC 2019 and LTSC 2021, and Windows 11 Enterprise 22H2 to 25H2 " +
				"and LTSC 2024. An older script of the service also accepts earlier builds and any edition. Both are " +
				"warnings: whether the import accepts them is unknown.",
			Fix: fixOS,
		}),
	Judge: (*Machine).decideBYOLSystem,
}

// byolBuilds are the builds that the guide lists, with the editions that it names; none where it names no edition.
var byolBuilds = map[int][]string{
	19045: nil,                           // Windows 10 22H2
	17763: {"EnterpriseS"},               // Windows 10 LTSC 2019
	19044: {"EnterpriseS"},               // Windows 10 LTSC 2021
	22621: {"Enterprise"},                // Windows 11 22H2
	22631: {"Enterprise"},                // Windows 11 23H2
	26100: {"Enterprise", "EnterpriseS"}, // Windows 11 24H2 and LTSC 2024
	26200: {"Enterprise"},                // Windows 11 25H2
}

// olderBuilds are the builds that only the service's script of 2024 accepts.
var olderBuilds = []int{10586, 14393, 15063, 16299, 17134, 17763, 18362, 18363, 19041, 19042, 19043, 19044, 22000}

func (m *Machine) kernel() (machine.Program, error) {
	return m.Program(`C:\` + m.SystemRoot + `\System32\ntoskrnl.exe`)
}

func (m *Machine) decideBYOLSystem() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	architecture, err := m.Architecture()
	if err != nil {
		return requirement.Unreadable(err)
	}
	kernel, err := m.kernel()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeBYOLSystem(s, architecture, kernel)
}

// judgeBYOLSystem decides byol.os.supported.
func judgeBYOLSystem(s machine.System, architecture string, kernel machine.Program) requirement.Outcome {
	name := s.Name() + " (" + s.Version() + ")"
	edition := withoutN(s.EditionID)
	editions, listed := byolBuilds[s.Build]
	older := slices.Contains(olderBuilds, s.Build)
	switch {
	case !s.Client:
		return requirement.Fail(name+" is a server. Only Windows 10 and 11 can be imported.", s.Evidence...)
	case architecture == "x86" || architecture == "arm64":
		return requirement.Fail(name+" is for "+architecture+" processors, not for 64-bit x64.", s.Evidence...)
	case kernel.Build != 0 && !sameCodeBase(uint64(kernel.Build), uint64(s.Build)):
		return requirement.Unknown(fmt.Sprintf("The registry has build %d, but ntoskrnl.exe is of build %d.", s.Build,
			kernel.Build), append(slices.Clip(s.Evidence), kernel.Evidence)...)
	case !listed && !older:
		return requirement.Fail(name+" cannot be imported.", s.Evidence...)
	case s.EditionID == "" && len(editions) > 0:
		return requirement.Unknown("The edition of "+name+" is unknown: EditionID is missing.", s.Evidence...)
	case listed && (len(editions) == 0 || fold.Contains(editions, edition)):
		return requirement.Pass(name+", edition "+prose.Short(s.EditionID)+", can be imported.", s.Evidence...)
	case older:
		return requirement.Warn(name+", edition "+prose.Short(s.EditionID)+
			", is not a version that the guide lists. An older script accepts it.", s.Evidence...)
	}
	return requirement.Warn(fmt.Sprintf("%s has the edition %s; the guide lists %s.", name, prose.Short(s.EditionID),
		strings.Join(editions, " and ")), s.Evidence...)
}

// withoutN is the edition without the letter of those that lack media features.
func withoutN(edition string) string {
	if editionN(edition) {
		return edition[:len(edition)-1]
	}
	return edition
}

// editionN says whether an edition is one that lacks media features: its name ends with N, or KN in Korea.
func editionN(edition string) bool { return strings.HasSuffix(edition, "N") }

var byolEditionN = entry{
	Requirement: required("byol.os.edition-n", "", "Windows must not be an N edition.", sectionBYOLVersions, explanation{
		Reads: `SOFTWARE: Microsoft\Windows NT\CurrentVersion\EditionID. The names of N editions end with N.`,
		Live:  `(Get-ItemProperty 'HKLM:\SOFTWARE\Microsoft\Windows NT\CurrentVersion').EditionID`,
		Fix:   "Install the edition without N on an empty disk.",
	}),
	Judge: func(m *Machine) requirement.Outcome {
		edition, err := m.TextAt(machine.KeyCurrentVersion, "EditionID")
		if err != nil {
			return requirement.Unreadable(err)
		}
		return judgeEditionN(edition)
	},
}

func judgeEditionN(edition machine.Setting[string]) requirement.Outcome {
	switch {
	case strings.TrimSpace(edition.Value) == "":
		return requirement.Unknown("The edition of Windows is unknown: EditionID is missing.", edition.Evidence)
	case editionN(edition.Value):
		return requirement.Fail("Windows has the N edition "+prose.Short(edition.Value)+".", edition.Evidence).
			About(subjectOf(edition.Evidence, requirement.ReasonValue))
	}
	return requirement.Pass("The edition "+prose.Short(edition.Value)+" is not an N edition.", edition.Evidence)
}

var byolX64 = entry{
	Requirement: required("byol.os.x64", "Requires64BitOS", "Windows must be for 64-bit x64 processors.",
		sectionBYOLVersions, explanation{
			Reads: `SYSTEM: Control\Session Manager\Environment\PROCESSOR_ARCHITECTURE; the header of ntoskrnl.exe.`,
			Live:  "$env:PROCESSOR_ARCHITECTURE",
			Fix:   "Install 64-bit Windows for x64 processors on an empty disk.",
		}),
	Judge: (*Machine).decideX64,
}

func (m *Machine) decideX64() requirement.Outcome {
	architecture, err := m.TextAt(machine.KeyEnvironment, "PROCESSOR_ARCHITECTURE")
	if err != nil {
		return requirement.Unreadable(err)
	}
	kernel, err := m.kernel()
	if err != nil {
		return requirement.Unreadable(err, architecture.Evidence)
	}
	return judgeX64(architecture, kernel)
}

// judgeX64 decides byol.os.x64 by the environment of the system and by its kernel.
func judgeX64(architecture machine.Setting[string], kernel machine.Program) requirement.Outcome {
	evidence := []requirement.Evidence{architecture.Evidence, kernel.Evidence}
	named := strings.TrimSpace(architecture.Value)
	is := strings.EqualFold(named, "AMD64")
	switch {
	case named == "" && kernel.Processor == 0:
		return requirement.Unknown("PROCESSOR_ARCHITECTURE is missing, and ntoskrnl.exe does not show the processor.",
			evidence...)
	case named == "":
		is = kernel.Processor == machine.ProcessorAMD64
	case kernel.Processor != 0 && is != (kernel.Processor == machine.ProcessorAMD64):
		return requirement.Unknown(fmt.Sprintf("PROCESSOR_ARCHITECTURE is %s, but ntoskrnl.exe is for another "+
			"processor (machine 0x%04x).", prose.Short(named), kernel.Processor), evidence...)
	}
	if !is {
		name := named
		if name == "" {
			name = fmt.Sprintf("machine 0x%04x", kernel.Processor)
		}
		return requirement.Fail("Windows is for "+prose.Short(name)+" processors, not for 64-bit x64.", evidence...)
	}
	return requirement.Pass("Windows is for 64-bit x64 processors.", evidence...)
}

var byolLanguage = entry{
	Requirement: recommended("byol.os.language", "", "The display language of Windows should be English (United States).",
		sectionImport, explanation{
			Reads: `SYSTEM: Control\Nls\Language\InstallLanguage and Default, Control\MUI\UILanguages; the hive ` +
				`DEFAULT: Control Panel\Desktop\PreferredUILanguages.`,
			Live: "Get-WinSystemLocale; dism /online /get-intl",
			Doubts: "VM Import requires it, and so did the guide in 2022. The present guide does not mention it. Whether " +
				"the import checks it is unknown.",
			Fix: "Install Windows from English (United States) media.",
		}),
	Judge: (*Machine).decideLanguage,
}

// languages is which languages Windows uses. They are written in hex, as 0409, or as a name, as en-US.
type languages struct {
	Install, Default machine.Setting[string]
	Packs            []machine.Key // installed languages
	Preferred        machine.Setting[[]string]
}

// englishUS is the language of the United States, as the registry writes it.
const englishUS = "0409"

func (m *Machine) decideLanguage() requirement.Outcome {
	const key = machine.KeyControl + `\Nls\Language`
	var l languages
	err := m.readTexts(textAt{&l.Install, key, "InstallLanguage"}, textAt{&l.Default, key, "Default"})
	if err == nil {
		l.Packs, err = m.SubkeysAt(machine.KeyControl + `\MUI\UILanguages`)
	}
	if err == nil {
		l.Preferred, err = m.MultiAt(`HKU\.DEFAULT\Control Panel\Desktop`, "PreferredUILanguages")
	}
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeLanguage(l)
}

func judgeLanguage(l languages) requirement.Outcome {
	evidence := []requirement.Evidence{l.Install.Evidence, l.Default.Evidence}
	if l.Install.Value == "" || l.Default.Value == "" {
		return requirement.Unknown("The language of Windows is unknown: InstallLanguage or Default is missing.",
			evidence...)
	}
	var packs []string
	for _, k := range l.Packs {
		packs = append(packs, k.Name())
		evidence = append(evidence, k.Evidence)
	}
	for _, language := range []machine.Setting[string]{l.Default, l.Install} {
		if !strings.EqualFold(language.Value, englishUS) {
			o := requirement.Warn(fmt.Sprintf("The language of Windows is %s; it should be %s (English, United States).",
				prose.Short(language.Value), englishUS), evidence...)
			return o.About(subjectOf(language.Evidence, requirement.ReasonValue))
		}
	}
	if first := l.Preferred.Value; len(first) > 0 && !strings.EqualFold(first[0], "en-US") {
		return requirement.Warn("The preferred display language is "+prose.Short(first[0])+"; it should be en-US.",
			append(evidence, l.Preferred.Evidence)...).About(subjectOf(l.Preferred.Evidence, requirement.ReasonValue))
	}
	o := requirement.Pass("The language of Windows is English (United States).", evidence...)
	if others := slices.DeleteFunc(packs, func(s string) bool { return strings.EqualFold(s, "en-US") }); len(others) > 0 {
		o = o.Also("Other languages are installed: " + prose.Some(others) + ".")
	}
	return o
}

var byolUpdated = entry{
	Requirement: recommended("byol.windows.updated", "", "The latest updates should be at most 60 days old.",
		sectionBYOLOld, explanation{
			Reads: bpUpdates.Reads,
			Live:  bpUpdates.Live,
			Doubts: "The guide asks for the latest updates and names no age. 60 days are two of Microsoft's monthly " +
				"releases.",
			Fix: "Run Windows Update, install all updates, and restart. Then disable Windows Update again.",
		}),
	Judge: (*Machine).decideUpdates,
}

var byolActivation = entry{
	Requirement: informative("byol.activation", "Windows should be activated by the customer's own key management server.",
		sectionBYOLOld, explanation{
			Reads: `SOFTWARE: Microsoft\Windows NT\CurrentVersion\SoftwareProtectionPlatform\KeyManagementServiceName.`,
			Live:  `cscript C:\Windows\System32\slmgr.vbs /dlv`,
			Fix:   `Run slmgr /skms SERVER in the WorkSpaces that you launch.`,
		}),
	Judge: func(m *Machine) requirement.Outcome {
		server, err := m.TextAt(keyProtection, "KeyManagementServiceName")
		if err != nil {
			return requirement.Unreadable(err)
		}
		return judgeActivation(server)
	},
}

func judgeActivation(server machine.Setting[string]) requirement.Outcome {
	if server.Value == "" {
		return requirement.Pass("No key management server is set.", server.Evidence)
	}
	return requirement.Pass("The key management server is "+prose.Short(server.Value)+".", server.Evidence)
}

var byolTrace = entry{
	Requirement: informative("byol.trace", "Traces of the service's checker are listed.", sectionBYOL, explanation{
		Reads: `SOFTWARE: Amazon\BYOLChecker.`,
		Live:  `Get-ItemProperty HKLM:\SOFTWARE\Amazon\BYOLChecker`,
		Fix:   "None needed.",
	}),
	Judge: (*Machine).decideBYOLTrace,
}

// maxCheckerValues bounds the values of the checker's key that are shown. The checker writes four.
const maxCheckerValues = 32

func (m *Machine) decideBYOLTrace() requirement.Outcome {
	k, err := m.Key(`HKLM\SOFTWARE\Amazon\BYOLChecker`)
	if err != nil {
		return requirement.Unreadable(err)
	}
	if !k.Exists() {
		return judgeBYOLTrace(nil, k.Evidence)
	}
	values, err := k.Values()
	if err != nil {
		return requirement.Unreadable(err)
	}
	var list []machine.Setting[string]
	for _, v := range values[:min(len(values), maxCheckerValues)] {
		s, err := m.looseNumber(k, v.Name())
		if err != nil {
			return requirement.Unreadable(err)
		}
		list = append(list, s)
	}
	return judgeBYOLTrace(list, k.Evidence)
}

func judgeBYOLTrace(values []machine.Setting[string], key requirement.Evidence) requirement.Outcome {
	if len(values) == 0 {
		return requirement.Pass("The service's checker left no trace in the registry.", key)
	}
	var list []string
	var evidence []requirement.Evidence
	for _, v := range values {
		list = append(list, v.Evidence.Value+" "+prose.Short(v.Value))
		evidence = append(evidence, v.Evidence)
	}
	return requirement.Pass("An earlier run of the service's checker wrote: "+prose.Some(list)+". This proves nothing.",
		evidence...)
}

// errNotDisk is the reason why nothing is known of the disk: the image holds one partition.
var errNotDisk = errors.New("the image holds one partition and not the disk; give an image of the disk")
