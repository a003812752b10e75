package windows

import (
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const (
	keyDefender       = `HKLM\SOFTWARE\Microsoft\Windows Defender`
	keyDefenderPolicy = `HKLM\SOFTWARE\Policies\Microsoft\Windows Defender`
)

var poolsDefender = entry{
	Requirement: required("pools.defender.exclusions", "",
		"Microsoft Defender must exclude the folders of AWS from its scans (recommended on Windows Server).",
		sectionPoolsBYOL, explanation{
			Reads: `SOFTWARE: Microsoft\Windows Defender\Exclusions\Paths, and the policy Policies\Microsoft\Windows ` +
				`Defender\Exclusions\Paths if Exclusions_Paths is 1. An exclusion covers what is below it. SYSTEM: ` +
				`Services\WinDefend.`,
			Live: "(Get-MpPreference).ExclusionPath",
			Doubts: "AWS demands it of images with own licenses, not of those of public bundles. The place of the " +
				"exclusions in the registry is not documented.",
			Fix: `Run Add-MpPreference -ExclusionPath 'C:\Program Files\Amazon\','C:\ProgramData\Amazon\*',` +
				`'C:\Program Files\NICE\','C:\ProgramData\NICE\','C:\Program Files (x86)\AWS Tools\*',` +
				`'C:\Program Files (x86)\AWS SDK for .NET\*','C:\AWSEUC\' in PowerShell as Administrator.`,
		}),
	Judge: (*Machine).decideDefender,
}

// defenderFolders are the folders that Defender must exclude.
var defenderFolders = []string{
	`C:\Program Files\Amazon`, `C:\ProgramData\Amazon`, `C:\Program Files\NICE`, `C:\ProgramData\NICE`,
	`C:\Program Files (x86)\AWS Tools`, `C:\Program Files (x86)\AWS SDK for .NET`, `C:\AWSEUC`,
}

// An exclusion is a path that Defender does not scan.
type exclusion struct {
	Path     string // with variables replaced
	Evidence requirement.Evidence
}

// defender is Microsoft Defender with what it excludes.
type defender struct {
	Service    machine.Service
	Exclusions []exclusion
	Looked     []requirement.Evidence // the keys that were read
}

// maxExclusions bounds the memory of exclusions: Defender has no documented limit.
const maxExclusions = 10_000

func (m *Machine) readDefender() (defender, error) {
	var d defender
	var err error
	if d.Service, err = m.Service("WinDefend"); err != nil {
		return d, err
	}
	env, err := m.Environment()
	if err != nil {
		return d, err
	}
	keys := []string{keyDefender + `\Exclusions\Paths`}
	on, err := m.DWordAt(keyDefenderPolicy+`\Exclusions`, "Exclusions_Paths")
	if err != nil {
		return d, err
	}
	if on.Value == 1 {
		keys = append(keys, keyDefenderPolicy+`\Exclusions\Paths`)
	}
	for _, name := range keys {
		k, err := m.Key(name)
		if err != nil {
			return d, err
		}
		d.Looked = append(d.Looked, k.Evidence)
		if !k.Exists() {
			continue
		}
		values, err := k.Values()
		if err != nil {
			return d, fmt.Errorf("%s: %w", k.Evidence.Path, err)
		}
		if err := m.Meter.Steps(len(values)); err != nil {
			return d, err
		}
		for _, v := range values[:min(len(values), maxExclusions)] {
			ev := k.Evidence
			ev.Note = ""
			d.Exclusions = append(d.Exclusions, exclusion{env.Expand(v.Name()), machine.ValueEvidence(ev, v.Name(), v)})
		}
	}
	return d, nil
}

func (m *Machine) decideDefender() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	d, err := m.readDefender()
	if err != nil {
		return requiredOfClients(s, requirement.Unreadable(err))
	}
	return judgeDefender(s, d)
}

// covers says whether an exclusion keeps Defender from scanning a folder: it is
// that folder or one above it. A "*" at the end stands for what is in the folder.
func (e exclusion) covers(folder string) bool {
	path := strings.TrimSuffix(strings.ReplaceAll(e.Path, "/", `\`), `*`)
	path = strings.ToUpper(strings.TrimRight(path, `\`))
	return path != "" && strings.HasPrefix(strings.ToUpper(folder)+`\`, path+`\`)
}

// judgeDefender decides pools.defender.exclusions.
func judgeDefender(s machine.System, d defender) requirement.Outcome {
	if !d.Service.Exists() || d.Service.Deleted {
		return requirement.Skip("Microsoft Defender is not installed.", d.Service.Key)
	}
	if d.Service.Start.Present && d.Service.Start.Value == machine.StartDisabled {
		return requirement.Skip("Microsoft Defender is disabled.", d.Service.Start.Evidence)
	}
	var lacking []string
	var about []requirement.Subject
	var evidence []requirement.Evidence
	for _, folder := range defenderFolders {
		covered := false
		for _, e := range d.Exclusions {
			if covered = e.covers(folder); covered {
				evidence = append(evidence, e.Evidence)
				break
			}
		}
		if !covered {
			lacking = append(lacking, folder)
			about = append(about, requirement.Subject{Kind: requirement.SubjectFolder, ID: folder,
				Reason: requirement.ReasonMissing})
		}
	}
	if len(lacking) == 0 {
		return requiredOfClients(s, requirement.Pass("Microsoft Defender excludes the folders of AWS.", evidence...))
	}
	o := requirement.Fail("Microsoft Defender does not exclude "+prose.List(lacking, len(lacking))+".", d.Looked...).
		About(about...)
	o.Remediation = "Run Add-MpPreference -ExclusionPath '" + strings.Join(lacking, `\','`) +
		`\' in PowerShell as Administrator.`
	return requiredOfClients(s, o)
}
