package machine

import (
	"fmt"
	"maps"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
)

// Full is the full path of a file that is named as Windows may name it.
func (e Environment) Full(path string) string {
	if path == "" {
		return ""
	}
	return e.Program(Quoted(path))
}

// Of returns the environment as a user sees it.
func (e Environment) Of(p Profile) Environment {
	user := Environment{
		"USERPROFILE":  p.Path,
		"APPDATA":      p.Path + `\AppData\Roaming`,
		"LOCALAPPDATA": p.Path + `\AppData\Local`,
		"TEMP":         p.Path + `\AppData\Local\Temp`,
		"TMP":          p.Path + `\AppData\Local\Temp`,
		"HOMEDRIVE":    "C:",
		"HOMEPATH":     strings.TrimPrefix(p.Path, "C:"),
	}
	if drive, rest, ok := strings.Cut(p.Path, ":"); ok {
		user["HOMEDRIVE"], user["HOMEPATH"] = drive+":", rest
	}
	for name, value := range e {
		user[name] = value
	}
	return user
}

// Environment holds the machine's environment variables by upper-case name,
// those that paths in the registry use.
type Environment map[string]string

// Environment returns the variables that Windows itself sets for every program.
func (m *Machine) Environment() (Environment, error) {
	return m.environment.Get(m.Next().readEnvironment)
}

func (m *Machine) readEnvironment() (Environment, error) {
	system, err := m.System()
	if err != nil {
		return nil, err
	}
	if root := `C:\` + m.SystemRoot; !strings.EqualFold(Normal(system.SystemRoot), root) {
		return nil, fmt.Errorf("cannot tell which volume is drive C: SystemRoot in SOFTWARE is %s, but Windows is in %s",
			prose.Short(system.SystemRoot), root)
	}
	drive, _, _ := strings.Cut(system.SystemRoot, `\`)
	env := Environment{
		"SYSTEMROOT":  system.SystemRoot,
		"WINDIR":      system.SystemRoot,
		"SYSTEMDRIVE": drive,
	}
	folders, err := m.Key(`HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion`)
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
		s, err := m.Text(folders, f.value)
		if err != nil {
			return nil, err
		}
		env[variable] = drive + f.otherwise
		if s.Value != "" {
			env[variable] = env.Expand(s.Value)
		}
	}
	list, err := m.Key(KeyCurrentVersion + `\ProfileList`)
	if err != nil {
		return nil, err
	}
	for variable, f := range map[string]struct{ value, otherwise string }{
		"PROGRAMDATA": {"ProgramData", `\ProgramData`},
		"PUBLIC":      {"Public", `\Users\Public`},
	} {
		s, err := m.Text(list, f.value)
		if err != nil {
			return nil, err
		}
		env[variable] = drive + f.otherwise
		if s.Value != "" {
			env[variable] = env.Expand(s.Value)
		}
	}
	env["ALLUSERSPROFILE"] = env["PROGRAMDATA"]
	return env, nil
}

// maxExpanded is what a text may become, in bytes: Windows makes no longer one
// than 32,767 characters, each of which takes three bytes at most.
const maxExpanded = 3 * 32767

// Expand replaces %NAME% by its value. A variable that is not known stays as
// it is written, as in Windows; values are not expanded again. A text that
// would become too long stays as it is.
func (e Environment) Expand(s string) string {
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

// Text is the text of a value as Windows hands it out: only a value of the type
// that is made for variables is expanded.
func (e Environment) Text(s Setting[string]) string {
	if s.Type != registry.ExpandSZ {
		return s.Value
	}
	return e.Expand(s.Value)
}

// Variables are the variables that an administrator may have added to
// the environment of every program, expanded by those of Windows.
func (m *Machine) Variables() (Environment, error) {
	return m.variables.Get(m.Next().readVariables)
}

func (m *Machine) readVariables() (Environment, error) {
	base, err := m.Environment()
	if err != nil {
		return nil, err
	}
	k, err := m.Key(KeyEnvironment)
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
			s, err := m.Text(k, v.Name())
			if err != nil {
				return nil, err
			}
			env[name] = env.Text(s)
		}
	}
	return env, nil
}

// Expand replaces variables by their values: those of env, which are Windows'
// own and perhaps a user's, then any other that the machine has.
func (m *Machine) Expand(env Environment, s string) (string, error) {
	s = env.Expand(s)
	if !strings.Contains(s, "%") {
		return s, nil
	}
	all, err := m.Variables()
	if err != nil {
		return "", fmt.Errorf("cannot expand the variables in %s: %w", prose.Short(s), err)
	}
	return all.Expand(s), nil
}

// Program returns the full path of the program or library that a command line
// or an ImagePath begins with, whose variables are expanded. A path without a
// drive is resolved as Windows does: \SystemRoot\ and relative paths are in
// SystemRoot. A path that names a device comes back as it is, with one
// backslash at its beginning.
func (e Environment) Program(command string) string {
	s := strings.TrimSpace(command)
	if rest, ok := strings.CutPrefix(s, `"`); ok {
		s, _, _ = strings.Cut(rest, `"`)
	} else if end := programEnd(s); end > 0 {
		s = s[:end]
	}
	s = strings.ReplaceAll(s, "/", `\`)
	for _, prefix := range []string{`\??\`, `\\?\`, `\DosDevices\`, `\GLOBAL??\`} {
		if rest, ok := fold.CutPrefix(s, prefix); ok {
			s = rest
			if share, ok := fold.CutPrefix(s, `UNC\`); ok {
				s = `\\` + share
			}
			break
		}
	}
	switch {
	case fold.HasPrefix(s, `\SYSTEMROOT\`):
		return e["SYSTEMROOT"] + s[len(`\SYSTEMROOT`):]
	case strings.HasPrefix(s, `\\`), len(s) > 1 && s[1] == ':', fold.HasPrefix(s, `\DEVICE\`):
		return s
	case strings.HasPrefix(s, `\`):
		return e["SYSTEMDRIVE"] + s
	case fold.HasPrefix(s, `SYSTEM32\`), fold.HasPrefix(s, `SYSWOW64\`):
		return e["SYSTEMROOT"] + `\` + s
	}
	return e["SYSTEMROOT"] + `\System32\` + s
}
