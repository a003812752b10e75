package machine

import (
	"errors"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Language is the language of a script.
type Language int

const (
	NoLanguage         Language = iota // a program, or a script that is not read
	languageBatch                      // cmd.exe
	languagePowerShell                 // powershell.exe
	languageHost                       // VBScript and JScript, in a file of their own, a .wsf or an .hta
	languageDiskpart                   // commands of diskpart
)

// LanguageOf finds the language of a script by its extension.
func LanguageOf(path string) Language {
	switch Extension(path) {
	case "cmd", "bat":
		return languageBatch
	case "ps1", "psm1":
		return languagePowerShell
	case "vbs", "vbe", "js", "jse", "wsf", "wsh", "hta":
		return languageHost
	}
	return NoLanguage
}

// Extension is that of a file, in lower case and without the dot; "" if it has
// none.
func Extension(path string) string {
	lower := strings.ToLower(path)
	if i := strings.LastIndexAny(lower, `.\/`); i >= 0 && lower[i] == '.' {
		return lower[i+1:]
	}
	return ""
}

// Bounds of reading scripts. Logon scripts of real machines have a few KiB; the
// longest that installers leave have some hundred.
const (
	maxScripts     = 500     // of a machine
	maxScript      = 1 << 20 // bytes
	maxScriptBytes = 4 << 20 // of all scripts together
	maxScriptDepth = 8       // scripts that scripts call
)

// errScript says that a script is there and cannot be understood.
var errScript = errors.New("not a text file")

// scriptReader reads the scripts that command lines name, each once.
type scriptReader struct {
	m     *Machine
	count int
	bytes int64
	seen  map[fact.ID]string // their text
}

// elsewhereScript says why a script cannot be on the volumes: it is on a share,
// or on another drive.
func (r *scriptReader) elsewhereScript(path string) bool {
	upper := strings.ToUpper(path)
	switch {
	case strings.HasPrefix(path, `\\`), strings.HasPrefix(upper, "%LOGONSERVER%"),
		strings.HasPrefix(upper, `%USERDNSDOMAIN%`):
		return true
	case len(path) > 2 && path[1] == ':' && path[2] == '\\':
		return r.m.volumes[upper[:1]] == nil
	}
	return false
}

// read returns the text of a script; found is false if it is not there.
func (r *scriptReader) read(path string) (text string, f File, err error) {
	v, name, err := r.m.Locate(path)
	if errors.Is(err, ErrElsewhere) {
		return "", File{}, nil
	}
	if err != nil {
		return "", File{}, fmt.Errorf("script %s: %w", prose.Short(path), err)
	}
	f, err = v.File(name)
	if err != nil || !f.Exists || f.Dir {
		f.Exists = f.Exists && !f.Dir
		return "", f, err
	}
	if text, ok := r.seen[f.ID]; ok {
		return text, f, nil
	}
	if r.count++; r.count > maxScripts {
		return "", f, fmt.Errorf("%w: more than %d scripts", ErrTooLarge, maxScripts)
	}
	data, _, err := v.read(name, maxScript)
	if err != nil {
		return "", f, err
	}
	if r.bytes += int64(len(data)); r.bytes > maxScriptBytes {
		return "", f, fmt.Errorf("%w: scripts of more than %s", ErrTooLarge, prose.Size(maxScriptBytes))
	}
	text = DecodeText(data)
	if strings.ContainsRune(text, 0) {
		return "", f, fmt.Errorf("%s volume: %s: %w", v.Role, name, errScript)
	}
	if r.seen == nil {
		r.seen = map[fact.ID]string{}
	}
	r.seen[f.ID] = text
	return text, f, nil
}

// candidates are the places where a script may be that is named without a
// drive: the working directory, then the folder of the script that names it,
// then where Windows looks for programs.
func (s scriptUse) candidates(env Environment) []string {
	if Elsewhere(s.Path) || len(s.Path) > 1 && s.Path[1] == ':' || strings.HasPrefix(s.Path, "%") {
		return []string{s.Path}
	}
	var list []string
	if s.Dir != "" {
		list = append(list, at(s.Dir, s.Path))
	}
	if s.Of != nil {
		list = append(list, at(s.Of.folder, s.Path))
	}
	return append(list, at(env["SYSTEMROOT"]+`\System32`, s.Path), at(env["SYSTEMROOT"], s.Path))
}

// follow reads the scripts that a command line runs, and those that they run,
// and adds what they do to it.
func (r *scriptReader) follow(reader *commandReader, env Environment) (remote []string,
	evidence []requirement.Evidence, err error) {
	type next struct {
		use   scriptUse
		depth int
	}
	var queue []next
	done := map[string]bool{}
	add := func(depth int) {
		for _, s := range reader.out.Scripts {
			queue = append(queue, next{s, depth})
		}
		reader.out.Scripts = nil
	}
	add(1)
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		key := fmt.Sprint(s.use.Language, strings.ToUpper(s.use.Path), "|", strings.ToUpper(s.use.Dir))
		if done[key] {
			continue
		}
		if done[key] = true; len(done) > maxScripts {
			return remote, evidence, fact.Join(err, fmt.Errorf("%w: one command runs more than %d scripts",
				ErrTooLarge, maxScripts))
		}
		if s.depth > maxScriptDepth {
			err = fact.Join(err, fmt.Errorf("%w: scripts call each other more than %d levels deep", ErrTooLarge,
				maxScriptDepth))
			continue
		}
		for _, path := range s.use.candidates(env) {
			if r.elsewhereScript(path) {
				remote = append(remote, path)
				break
			}
			text, f, readErr := r.read(path)
			if readErr != nil {
				err = fact.Join(err, readErr)
				break
			}
			if !f.Exists {
				continue
			}
			evidence = append(evidence, f.Evidence)
			inner := shell{dir: s.use.Dir, folder: folderOf(path)}
			switch s.use.Language {
			case languageBatch:
				inner.text = text
				reader.batch(text, &inner, 0)
			case languagePowerShell:
				inner.text = text
				reader.powerShell(text, &inner, 0)
			case languageHost:
				reader.host(text, &inner, 0)
			case languageDiskpart:
				if reader.take(len(text), 0) {
					reader.diskpart(text)
				}
			}
			add(s.depth + 1)
			break
		}
	}
	return remote, evidence, err
}

// folderOf is the folder of a file, without a backslash at its end.
func folderOf(path string) string {
	if i := strings.LastIndexByte(path, '\\'); i >= 0 {
		return path[:i]
	}
	return ""
}
