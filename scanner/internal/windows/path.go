package windows

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var envPath = entry{
	Requirement: required("win.env.path", "EnvironmentVariablesPathMissingEntries",
		"The system's Path must contain System32 and Windows PowerShell v1.0.",
		sectionTips+": The environment variable path must be properly configured", explanation{
			Reads: `SYSTEM: Control\Session Manager\Environment\Path. Variables in it are expanded only if its type ` +
				`is REG_EXPAND_SZ, as in Windows. A user's own Path does not count.`,
			Live: `[Environment]::GetEnvironmentVariable('Path', 'Machine')`,
			Doubts: "The service's guide does not mention folders in quotes. Whether the service finds them is " +
				"unknown, so they are a warning.",
			Fix: editPath(`add C:\Windows\System32 and C:\Windows\System32\WindowsPowerShell\v1.0\`),
		}),
	Judge: (*Machine).decidePath,
}

func (m *Machine) decidePath() requirement.Outcome {
	env, err := m.Variables()
	if err != nil {
		return requirement.Unreadable(err)
	}
	p, err := m.TextAt(machine.KeyEnvironment, "Path")
	if err != nil {
		return requirement.Unreadable(err)
	}
	o := judgePath(p, env)
	if o.Status != requirement.Passed {
		return o
	}
	return m.notePath(o, p, env)
}

// pathPrograms are programs of System32 that image creation runs.
var pathPrograms = []string{
	"powershell", "cmd", "sc", "net", "net1", "reg", "wmic", "cscript", "wscript", "schtasks", "shutdown", "sysprep",
	"dism", "bcdedit",
	"netsh", "msiexec", "rundll32", "regsvr32", "robocopy", "xcopy", "icacls", "takeown", "diskpart", "powercfg",
	"ipconfig", "taskkill", "tasklist", "whoami",
}

// pathExtensions are those by which Windows finds a program without one first.
var pathExtensions = []string{".com", ".exe", ".bat", ".cmd"}

// maxPathFolders bounds the folders before System32 that are looked through.
const maxPathFolders = 64

// usualPath is the length of a Path in characters that every program reads.
const usualPath = 2047

// notePath adds to a pass what may go wrong all the same: programs that are
// found before those of System32, and a Path that is too long for some.
func (m *Machine) notePath(o requirement.Outcome, p machine.Setting[string],
	env machine.Environment) requirement.Outcome {
	system32 := machine.Normal(env["SYSTEMROOT"] + `\System32`)
	looked := 0
	var found []string
	for entry := range strings.SplitSeq(p.Value, ";") {
		folder := pathFolder(p, env, entry)
		if strings.EqualFold(folder, system32) {
			break
		}
		if len(folder) == 2 && folder[1] == ':' {
			folder += `\` // the root of a drive
		}
		if !isDrivePath(folder) || fold.HasPrefix(folder, system32+`\`) {
			continue
		}
		if looked++; looked > maxPathFolders {
			o = o.Also(fmt.Sprintf("More than %d folders come before System32; the others were not checked.",
				maxPathFolders))
			break
		}
		entries, _, err := m.List(folder)
		if err != nil {
			o = o.Also(prose.Short(folder) + ", which comes before System32, could not be read.")
			continue
		}
		for _, e := range entries {
			name := strings.ToLower(e.Name())
			ext := path.Ext(name)
			if e.IsDir() || !slices.Contains(pathExtensions, ext) ||
				!slices.Contains(pathPrograms, strings.TrimSuffix(name, ext)) {
				continue
			}
			file := strings.TrimSuffix(folder, `\`) + `\` + e.Name()
			found = append(found, file)
			if len(found) <= maxTraces {
				if f, err := m.File(file); err == nil {
					f.Evidence.Note = "found before the program of the same name in System32"
					o = o.With(f.Evidence)
				}
			}
		}
	}
	if len(found) > 0 {
		o = o.Also("Windows finds " + prose.Some(found) + " before the programs of the same name in System32.")
	}
	if n := utf8.RuneCountInString(p.Value); n > usualPath {
		o = o.Also(fmt.Sprintf("Path has %d characters; some programs read only %d.", n, usualPath))
	}
	return o
}

// isDrivePath says whether a path begins with a drive and its root.
func isDrivePath(p string) bool { return len(p) > 2 && p[1] == ':' && p[2] == '\\' }

// judgePath decides win.env.path.
func judgePath(p machine.Setting[string], env machine.Environment) requirement.Outcome {
	about := requirement.Subject{Kind: requirement.SubjectSetting, ID: "Path", Reason: requirement.ReasonValue,
		Value: p.Value}
	if !p.Present {
		about.Reason = requirement.ReasonMissing
		return requirement.Fail("The system has no Path.", p.Evidence).About(about)
	}
	wanted := []string{
		machine.Normal(env["SYSTEMROOT"] + `\System32`),
		machine.Normal(env["SYSTEMROOT"] + `\System32\WindowsPowerShell\v1.0`),
	}
	var missing, quoted []string
	for _, w := range wanted {
		switch findInPath(p, env, w) {
		case pathQuoted:
			quoted = append(quoted, w)
		case pathMissing:
			missing = append(missing, w)
		}
	}
	switch {
	case len(missing) > 0:
		o := requirement.Fail("The system's Path does not contain "+strings.Join(missing, " and ")+".", p.Evidence)
		o.Remediation = editPath("add " + strings.Join(missing, " and "))
		if p.Type != registry.ExpandSZ && strings.Contains(p.Value, "%") {
			o = o.Also(fmt.Sprintf("Its type is %s, so Windows does not expand the variables in it.", p.Type))
			o.Remediation = editPath("replace the variables in it by the folders that they stand for")
			about.Reason = requirement.ReasonDamaged
		}
		return o.About(about)
	case len(quoted) > 0:
		o := requirement.Warn("The system's Path contains "+strings.Join(quoted, " and ")+" only in quotes.",
			p.Evidence)
		o.Remediation = editPath("remove the quotes")
		return o.About(about)
	}
	return requirement.Pass("The system's Path contains "+strings.Join(wanted, " and ")+".", p.Evidence)
}

// editPath says how to change the system's Path.
func editPath(change string) string {
	return "Open sysdm.cpl, select Advanced, Environment Variables, System variables, Path, and " + change +
		". Then restart."
}

type pathEntry int

const (
	pathMissing pathEntry = iota
	pathQuoted
	pathFound
)

// pathFolder is the folder that an entry of a Path names, in the form in which
// paths are compared; "" for an empty entry.
func pathFolder(p machine.Setting[string], env machine.Environment, entry string) string {
	bare := strings.TrimSpace(strings.Trim(strings.TrimSpace(entry), `"`))
	if bare == "" {
		return ""
	}
	if p.Type == registry.ExpandSZ {
		bare = env.Expand(bare)
	}
	return machine.Normal(bare)
}

func findInPath(p machine.Setting[string], env machine.Environment, wanted string) pathEntry {
	found := pathMissing
	for entry := range strings.SplitSeq(p.Value, ";") {
		if !strings.EqualFold(pathFolder(p, env, entry), wanted) {
			continue
		}
		if !strings.Contains(entry, `"`) {
			return pathFound
		}
		found = pathQuoted
	}
	return found
}
