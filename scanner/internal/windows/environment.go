package windows

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// environment holds the machine's environment variables by upper-case name,
// as far as paths in the registry use them.
type environment map[string]string

func (m *Machine) env() (environment, error) { return m.environment.Get(m.next().readEnvironment) }

func (m *Machine) readEnvironment() (environment, error) {
	system, err := m.System()
	if err != nil {
		return nil, err
	}
	if root := `C:\` + m.systemRoot; !strings.EqualFold(normal(system.SystemRoot), root) {
		return nil, fmt.Errorf("SystemRoot of SOFTWARE is %s, and Windows lies at %s: which drive is C is not known", short(system.SystemRoot), root)
	}
	drive, _, _ := strings.Cut(system.SystemRoot, `\`)
	env := environment{
		"SYSTEMROOT":  system.SystemRoot,
		"WINDIR":      system.SystemRoot,
		"SYSTEMDRIVE": drive,
	}
	folders, err := m.key(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion`)
	if err != nil {
		return nil, err
	}
	for variable, f := range map[string]struct{ value, otherwise string }{
		"PROGRAMFILES":            {"ProgramFilesDir", `\Program Files`},
		"PROGRAMW6432":            {"ProgramW6432Dir", `\Program Files`},
		"PROGRAMFILES(X86)":       {"ProgramFilesDir (x86)", `\Program Files (x86)`},
		"COMMONPROGRAMFILES":      {"CommonFilesDir", `\Program Files\Common Files`},
		"COMMONPROGRAMFILES(X86)": {"CommonFilesDir (x86)", `\Program Files (x86)\Common Files`},
	} {
		s, err := m.text(folders, f.value)
		if err != nil {
			return nil, err
		}
		env[variable] = drive + f.otherwise
		if s.Value != "" {
			env[variable] = env.expand(s.Value)
		}
	}
	list, err := m.key(keyCurrentVersion + `\ProfileList`)
	if err != nil {
		return nil, err
	}
	for variable, f := range map[string]struct{ value, otherwise string }{
		"PROGRAMDATA": {"ProgramData", `\ProgramData`},
		"PUBLIC":      {"Public", `\Users\Public`},
	} {
		s, err := m.text(list, f.value)
		if err != nil {
			return nil, err
		}
		env[variable] = drive + f.otherwise
		if s.Value != "" {
			env[variable] = env.expand(s.Value)
		}
	}
	env["ALLUSERSPROFILE"] = env["PROGRAMDATA"]
	return env, nil
}

// maxExpanded is what a text may become, in bytes: Windows makes no longer one
// than 32,767 characters, each of which takes three bytes at most.
const maxExpanded = 3 * 32767

// expand replaces %NAME% by its value. A variable that is not known stays as
// it is written, as in Windows; values are not expanded again. A text that
// would become too long stays as it is.
func (e environment) expand(s string) string {
	var b strings.Builder
	rest := s
	for {
		begin := strings.IndexByte(rest, '%')
		length := strings.IndexByte(rest[begin+1:], '%')
		if begin < 0 || length < 0 {
			break
		}
		end := begin + 1 + length
		value, known := e[strings.ToUpper(rest[begin+1:end])]
		if !known {
			b.WriteString(rest[:end])
			rest = rest[end:] // the second % may begin a variable
			continue
		}
		b.WriteString(rest[:begin])
		b.WriteString(value)
		rest = rest[end+1:]
		if b.Len() > maxExpanded {
			return s
		}
	}
	if b.WriteString(rest); b.Len() > maxExpanded {
		return s
	}
	return b.String()
}

// text is the text of a value as Windows hands it out: only a value of the type
// that is made for variables is expanded.
func (e environment) text(s Setting[string]) string {
	if s.Type != registry.ExpandSZ {
		return s.Value
	}
	return e.expand(s.Value)
}

// machineVariables are the variables that an administrator may have added to
// the environment of every program, expanded by those of Windows.
func (m *Machine) machineVariables() (environment, error) {
	return m.variables.Get(m.next().readVariables)
}

func (m *Machine) readVariables() (environment, error) {
	base, err := m.env()
	if err != nil {
		return nil, err
	}
	k, err := m.key(keyEnvironment)
	if err != nil || !k.Exists() {
		return nil, err
	}
	values, err := k.Values()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	env := maps.Clone(base)
	// As Windows does: first those that hold no variables themselves.
	for _, kind := range []registry.Type{registry.SZ, registry.ExpandSZ} {
		for _, v := range values {
			name := strings.ToUpper(v.Name())
			if _, known := base[name]; known || v.Type() != kind {
				continue
			}
			s, err := m.text(k, v.Name())
			if err != nil {
				return nil, err
			}
			env[name] = env.text(s)
		}
	}
	return env, nil
}

// expand replaces variables by their values: those of env, which are Windows'
// own and perhaps a user's, then any other that the machine has.
func (m *Machine) expand(env environment, s string) (string, error) {
	s = env.expand(s)
	if !strings.Contains(s, "%") {
		return s, nil
	}
	all, err := m.machineVariables()
	if err != nil {
		return "", fmt.Errorf("what the variables in %s stand for: %w", short(s), err)
	}
	return all.expand(s), nil
}

// normal is the form in which paths are compared: backslashes, single ones,
// no "." parts, none at the end.
func normal(p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	unc := strings.HasPrefix(p, "//")
	p = strings.ReplaceAll(path.Clean(p), "/", `\`)
	if unc {
		p = `\` + p
	}
	return strings.TrimSuffix(p, `\`)
}

const keyEnvironment = keyControl + `\Session Manager\Environment`

var envPath = entry{
	Requirement: required("win.env.path", "EnvironmentVariablesPathMissingEntries", "the machine's PATH holds System32 and Windows PowerShell v1.0", sectionTips+": The environment variable path must be properly configured", explanation{
		Reads: `SYSTEM: Control\Session Manager\Environment\Path, expanded as Windows would: only if it is REG_EXPAND_SZ. The Path of a user does not count.`,
		Live:  `[Environment]::GetEnvironmentVariable('Path', 'Machine')`,
		Fix:   `Edit the system environment variables, Environment Variables, System variables, Path: add C:\Windows\System32 and C:\Windows\System32\WindowsPowerShell\v1.0\, then restart.`,
	}),
	Judge: (*Machine).decidePath,
}

func (m *Machine) decidePath() requirement.Outcome {
	env, err := m.machineVariables()
	if err != nil {
		return requirement.Unreadable(err)
	}
	p, err := m.textAt(keyEnvironment, "Path")
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
	"powershell", "cmd", "sc", "net", "net1", "reg", "wmic", "cscript", "wscript", "schtasks", "shutdown", "sysprep", "dism", "bcdedit",
	"netsh", "msiexec", "rundll32", "regsvr32", "robocopy", "xcopy", "icacls", "takeown", "diskpart", "powercfg", "ipconfig", "taskkill", "tasklist", "whoami",
}

// pathExtensions are those by which Windows finds a program without one first.
var pathExtensions = []string{".com", ".exe", ".bat", ".cmd"}

// maxPathFolders bounds the folders before System32 that are looked through.
const maxPathFolders = 64

// usualPath is the length of a Path in characters that every program takes whole.
const usualPath = 2047

// notePath adds to a pass what may go wrong all the same: programs that are
// found before those of System32, and a Path that is too long for some.
func (m *Machine) notePath(o requirement.Outcome, p Setting[string], env environment) requirement.Outcome {
	system32 := normal(env["SYSTEMROOT"] + `\System32`)
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
		if !isDrivePath(folder) || hasPrefixFold(folder, system32+`\`) {
			continue
		}
		if looked++; looked > maxPathFolders {
			o.Message += fmt.Sprintf("; more than %d folders come before System32, and the rest was not looked through", maxPathFolders)
			break
		}
		entries, _, err := m.list(folder)
		if err != nil {
			o.Message += "; " + short(folder) + ", which comes before System32, could not be looked through"
			continue
		}
		for _, e := range entries {
			name := strings.ToLower(e.Name())
			ext := path.Ext(name)
			if e.IsDir() || !slices.Contains(pathExtensions, ext) || !slices.Contains(pathPrograms, strings.TrimSuffix(name, ext)) {
				continue
			}
			file := strings.TrimSuffix(folder, `\`) + `\` + e.Name()
			found = append(found, file)
			if len(found) <= maxTraces {
				if f, err := m.file(file); err == nil {
					f.Evidence.Note = "found before the program of the same name in System32"
					o = o.With(f.Evidence)
				}
			}
		}
	}
	if len(found) > 0 {
		o.Message += "; found before the programs of System32: " + prose.Some(found)
	}
	if n := utf8.RuneCountInString(p.Value); n > usualPath {
		o.Message += fmt.Sprintf("; it has %d characters, and some programs take no more than %d", n, usualPath)
	}
	return o
}

// isDrivePath says whether a path begins with a drive and its root.
func isDrivePath(p string) bool { return len(p) > 2 && p[1] == ':' && p[2] == '\\' }

// judgePath decides win.env.path.
func judgePath(p Setting[string], env environment) requirement.Outcome {
	about := requirement.Subject{Kind: requirement.SubjectSetting, ID: "Path", Reason: requirement.ReasonValue, Value: p.Value}
	if !p.Present {
		about.Reason = requirement.ReasonMissing
		return requirement.Fail("the machine has no Path: it needs System32 and WindowsPowerShell\\v1.0", p.Evidence).About(about)
	}
	wanted := []string{
		normal(env["SYSTEMROOT"] + `\System32`),
		normal(env["SYSTEMROOT"] + `\System32\WindowsPowerShell\v1.0`),
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
		message := "the machine's Path does not hold " + strings.Join(missing, " and ")
		if p.Type != registry.ExpandSZ && strings.Contains(p.Value, "%") {
			message += fmt.Sprintf("; its type is %s, so that variables in it are not expanded", p.Type)
			about.Reason = requirement.ReasonDamaged
		}
		return requirement.Fail(message, p.Evidence).About(about)
	case len(quoted) > 0:
		return requirement.Warn("the machine's Path holds "+strings.Join(quoted, " and ")+" only in quotes, which the service may not recognise", p.Evidence).About(about)
	}
	return requirement.Pass("the machine's Path holds "+strings.Join(wanted, " and "), p.Evidence)
}

type pathEntry int

const (
	pathMissing pathEntry = iota
	pathQuoted
	pathFound
)

// pathFolder is the folder that an entry of a Path names, in the form in which
// paths are compared; "" for an empty entry.
func pathFolder(p Setting[string], env environment, entry string) string {
	bare := strings.TrimSpace(strings.Trim(strings.TrimSpace(entry), `"`))
	if bare == "" {
		return ""
	}
	if p.Type == registry.ExpandSZ {
		bare = env.expand(bare)
	}
	return normal(bare)
}

func findInPath(p Setting[string], env environment, wanted string) pathEntry {
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

// program returns the full path of the program or library that a command line
// or an ImagePath begins with, whose variables are expanded. A path without a
// drive is taken as the system does: \SystemRoot\ and relative ones lie in
// SystemRoot. A path that names a device comes back as it is, with one
// backslash at its beginning.
func (e environment) program(command string) string {
	s := strings.TrimSpace(command)
	if rest, ok := strings.CutPrefix(s, `"`); ok {
		s, _, _ = strings.Cut(rest, `"`)
	} else if end := programEnd(s); end > 0 {
		s = s[:end]
	}
	s = strings.ReplaceAll(s, "/", `\`)
	for _, prefix := range []string{`\??\`, `\\?\`, `\DosDevices\`, `\GLOBAL??\`} {
		if rest, ok := cutPrefixFold(s, prefix); ok {
			s = rest
			if share, ok := cutPrefixFold(s, `UNC\`); ok {
				s = `\\` + share
			}
			break
		}
	}
	upper := strings.ToUpper(s)
	switch {
	case strings.HasPrefix(upper, `\SYSTEMROOT\`):
		return e["SYSTEMROOT"] + s[len(`\SYSTEMROOT`):]
	case strings.HasPrefix(s, `\\`), len(s) > 1 && s[1] == ':', strings.HasPrefix(upper, `\DEVICE\`):
		return s
	case strings.HasPrefix(s, `\`):
		return e["SYSTEMDRIVE"] + s
	case strings.HasPrefix(upper, `SYSTEM32\`), strings.HasPrefix(upper, `SYSWOW64\`):
		return e["SYSTEMROOT"] + `\` + s
	}
	return e["SYSTEMROOT"] + `\System32\` + s
}

// quoted marks a path as one whole, whatever is in it.
func quoted(path string) string {
	if path == "" {
		return ""
	}
	return `"` + path + `"`
}

// programEnd finds the end of the program in a command line without quotes:
// after the first known extension that a space, a comma or the end follows. 0
// means that there is none: the line may be a folder, with spaces in its name.
func programEnd(s string) int {
	lower := strings.ToLower(s)
	best := 0
	for _, ext := range []string{".exe", ".dll", ".sys", ".com", ".bat", ".cmd", ".msi", ".ico"} {
		for from := 0; ; {
			i := strings.Index(lower[from:], ext)
			if i < 0 {
				break
			}
			end := from + i + len(ext)
			if (end == len(s) || s[end] == ' ' || s[end] == ',') && (best == 0 || end < best) {
				best = end
			}
			from = end
		}
	}
	return best
}
