package machine

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
)

// Bounds of taking command lines apart. Windows starts no longer command line
// than maxCommandLine UTF-16 units (CreateProcessW), and the commands of real
// machines, with all scripts that they name, are below a megabyte.
const (
	maxCommandLine  = 32_767
	maxPath         = 1024    // of a program without quotes; Windows takes 260
	maxCommandDepth = 8       // of commands in commands: cmd /c powershell -Command …
	maxCommandBytes = 4 << 20 // of all command lines and scripts of a machine, counted at each level
	maxUses         = 50_000  // files that they execute or load
	maxUsesOfOne    = 2_000   // of one command line with its scripts
	MaxNamedData    = 20      // other paths of one command line
)

// A use is a file that a command line executes or loads.
type use struct {
	Path string // with the drive or share where that is known; as written otherwise
	What string // "program", "script", "library", "archive", "package"
}

// A scriptUse is a script that a command line runs.
type scriptUse struct {
	Path     string
	Dir      string // the folder in which it runs, "" if unknown
	Language Language
	Of       *shell // the script that names it; nil for a command line
}

// commands is what a command line does by its own text.
type commands struct {
	Uses    []use
	Data    []string // other paths that are not on drive C
	Makes   []string // what of it makes a drive: "subst X:"
	Scripts []scriptUse
	Doubts  []string // what of it cannot be understood, and so may do more
}

// commandReader takes command lines apart, through the programs that run
// others. It reads no files, but may ask whether one exists.
type commandReader struct {
	exists func(path string) bool         // nil: nothing is known to exist
	expand func(s string) (string, error) // replaces variables of the machine and the user; nil: none
	left   int                            // bytes that may still be taken apart
	uses   int                            // that may still be found
	err    error                          // which bound was met, or why variables are not known
	out    commands
}

func newCommandReader() *commandReader {
	return &commandReader{left: maxCommandBytes, uses: maxUses}
}

// shell is the state that commands of one script share.
type shell struct {
	dir    string            // the working directory, "" if unknown
	folder string            // where the script is, "" for a command line
	vars   map[string]string // what the script sets, by upper-case name
	text   string            // the script without comments, for commands that read their input
}

func (s *shell) set(name, value string) {
	if s.vars == nil {
		s.vars = map[string]string{}
	}
	if len(s.vars) < 1000 && len(value) <= 4096 {
		s.vars[strings.ToUpper(name)] = value
	}
}

// take asks for the right to take so many bytes apart at a depth.
func (r *commandReader) take(n, depth int) bool {
	switch {
	case r.err != nil:
		return false
	case depth > maxCommandDepth:
		r.doubt(fmt.Sprintf("commands are nested deeper than %d", maxCommandDepth))
		return false
	case n > r.left:
		r.err = fmt.Errorf("%w: command lines and scripts of more than %s", ErrTooLarge, prose.Size(maxCommandBytes))
		return false
	}
	r.left -= n
	return true
}

func (r *commandReader) doubt(why string) {
	if len(r.out.Doubts) < MaxNamedData && !slices.Contains(r.out.Doubts, why) {
		r.out.Doubts = append(r.out.Doubts, why)
	}
}

func (r *commandReader) makes(what string) {
	if len(r.out.Makes) < MaxNamedData && !slices.Contains(r.out.Makes, what) {
		r.out.Makes = append(r.out.Makes, what)
	}
}

func (r *commandReader) use(path, what string) {
	u := use{path, what}
	if path == "" || slices.Contains(r.out.Uses[max(0, len(r.out.Uses)-MaxNamedData):], u) {
		return
	}
	if r.uses--; r.uses < 0 || len(r.out.Uses) >= maxUsesOfOne {
		if r.err == nil {
			r.err = fmt.Errorf("%w: commands run more than %d programs", ErrTooLarge, maxUsesOfOne)
		}
		return
	}
	r.out.Uses = append(r.out.Uses, u)
}

// data notes a path that is neither executed nor loaded, if it is not on C.
func (r *commandReader) data(words ...string) {
	for _, w := range words {
		if Elsewhere(w) && len(w) < 1024 && len(r.out.Data) < MaxNamedData && !slices.Contains(r.out.Data, w) {
			r.out.Data = append(r.out.Data, w)
		}
	}
}

// replace expands the variables in a text: those that the script has set, then
// those of the machine. What it grows by counts as a text of its own.
func (r *commandReader) replace(s string, sh *shell) string {
	expanded := r.replaced(s, sh)
	if n := len(expanded) - len(s); n > 0 && !r.take(n, 0) {
		return s
	}
	return expanded
}

func (r *commandReader) replaced(s string, sh *shell) string {
	if sh.folder != "" && strings.Contains(s, "%~") {
		for _, self := range []string{"%~dp0", "%~dps0", "%~DP0"} {
			s = strings.ReplaceAll(s, self, strings.TrimSuffix(sh.folder, `\`)+`\`)
		}
	}
	if len(sh.vars) > 0 && strings.ContainsAny(s, "%!") {
		s = Environment(sh.vars).Expand(s)
		if strings.Count(s, "!") > 1 { // delayed expansion
			s = strings.ReplaceAll(Environment(sh.vars).Expand(strings.ReplaceAll(s, "!", "%")), "%", "%")
		}
	}
	if r.expand == nil || !strings.Contains(s, "%") {
		return s
	}
	expanded, err := r.expand(s)
	if err != nil {
		if r.err == nil {
			r.err = err
		}
		return s
	}
	return expanded
}

// line takes a command line apart as CreateProcess and CommandLineToArgvW do.
func (r *commandReader) line(s string, sh *shell, depth int) {
	s = strings.TrimSpace(s)
	if s == "" || !r.take(len(s), depth) {
		return
	}
	program, rest := r.split(s)
	r.run(program, rest, sh, depth)
}

// split separates the program from its arguments. Without quotes Windows tries
// each part that ends before a blank, the shortest first.
func (r *commandReader) split(s string) (program, rest string) {
	if after, ok := strings.CutPrefix(s, `"`); ok {
		program, rest, _ = strings.Cut(after, `"`)
		return program, rest
	}
	blanks := 0
	for i := 0; i <= len(s) && r.exists != nil && blanks < 32; i++ {
		if i < len(s) && s[i] != ' ' && s[i] != '\t' {
			continue
		}
		blanks++
		p := s[:i]
		if strings.ContainsAny(p, `\/`) && (r.exists(p) || r.exists(p+".exe")) {
			return p, s[i:]
		}
	}
	first, _, _ := strings.Cut(s, " ")
	if strings.ContainsAny(first, `\/`) {
		// A path with blanks: it goes on to the first known extension, or to the
		// name of a program that runs others.
		if end := programEnd(s); end > 0 {
			return s[:end], s[end:]
		}
		name := 0 // where the last part of the path begins
		for i := 0; i < len(s) && i < maxPath; i++ {
			if s[i] == '\\' || s[i] == '/' {
				name = i + 1
			}
			if s[i] == ' ' && runsOthers(baseName(s[name:i])) {
				return s[:i], s[i:]
			}
		}
	}
	if i := strings.IndexAny(s, " \t"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// arguments takes the arguments of a command line apart: backslashes count only
// before a quote, and two quotes within quotes are one
// (CommandLineToArgvW, "Parsing C command-line arguments").
func arguments(s string) []string {
	var list []string
	var word strings.Builder
	inWord, inQuotes := false, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\':
			n := 1
			for i+n < len(s) && s[i+n] == '\\' {
				n++
			}
			inWord = true
			if i+n < len(s) && s[i+n] == '"' {
				word.WriteString(s[i : i+n/2])
				if n%2 == 1 {
					word.WriteByte('"')
					i += n
				} else {
					i += n - 1
				}
				continue
			}
			word.WriteString(s[i : i+n])
			i += n - 1
		case c == '"' && inQuotes && i+1 < len(s) && s[i+1] == '"':
			word.WriteByte('"')
			i++
		case c == '"':
			inQuotes, inWord = !inQuotes, true
		case !inQuotes && (c == ' ' || c == '\t' || c == '\n' || c == '\r'):
			if inWord {
				list = append(list, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		list = append(list, word.String())
	}
	return list
}

// joinArguments is the opposite of arguments, for what readers of the line need.
func joinArguments(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		if w == "" || strings.ContainsAny(w, " \t&|<>()") {
			b.WriteString(`"` + strings.ReplaceAll(w, `"`, `\"`) + `"`)
		} else {
			b.WriteString(w)
		}
	}
	return b.String()
}

// baseName is the name of a program without its folder and without .exe or
// .com, in lower case.
func baseName(path string) string {
	path = strings.ToLower(strings.TrimSpace(path))
	path = path[strings.LastIndexAny(path, `\/`)+1:]
	for _, ext := range []string{".exe", ".com"} {
		path = strings.TrimSuffix(path, ext)
	}
	return path
}

// at is the full path of a file that is named in a folder. What is found by
// its name stays as it is where the folder is unknown.
func at(dir, path string) string {
	path = devicePath(strings.ReplaceAll(path, "/", `\`))
	switch {
	case path == "" || dir == "" || Elsewhere(path) || len(path) > 1 && path[1] == ':':
		return path
	case strings.HasPrefix(path, `\`):
		if len(dir) > 1 && dir[1] == ':' {
			return dir[:2] + path
		}
		return path
	}
	return strings.TrimSuffix(dir, `\`) + `\` + strings.TrimPrefix(path, `.\`)
}

// program is the full path of a program: what is named without a folder is
// looked for in the working directory, then where Windows has its programs. One
// that is found nowhere is taken to be in the working directory.
func (r *commandReader) program(name string, sh *shell) string {
	name = strings.TrimSpace(name)
	if strings.ContainsAny(name, `\/:`) || sh.dir == "" {
		return at(sh.dir, name)
	}
	here := at(sh.dir, name)
	if r.exists != nil {
		for _, ext := range []string{"", ".exe", ".com", ".cmd", ".bat"} {
			if r.exists(here + ext) {
				return here + ext
			}
		}
		for _, folder := range []string{`%SystemRoot%\System32`, `%SystemRoot%`, `%SystemRoot%\System32\Wbem`,
			`%SystemRoot%\System32\WindowsPowerShell\v1.0`} {
			full := r.replace(folder, sh) + `\` + name
			if r.exists(full) || r.exists(full+".exe") {
				return full
			}
		}
	}
	if runsOthers(baseName(name)) || windowsPrograms[baseName(name)] {
		return name
	}
	return here
}

// windowsPrograms are programs of Windows that need no folder, in addition to those
// that run others.
var windowsPrograms = map[string]bool{
	"subst": true, "net": true, "net1": true, "mountvol": true, "diskpart": true, "wmic": true, "reg": true,
	"sc": true, "ping": true, "timeout": true, "explorer": true, "notepad": true,
	"robocopy": true, "xcopy": true, "taskkill": true, "tasklist": true, "attrib": true, "icacls": true, "find": true,
	"findstr": true, "ipconfig": true, "gpupdate": true, "wevtutil": true,
	"whoami": true, "shutdown": true, "regedit": true, "bcdedit": true, "netsh": true, "certutil": true,
	"fsutil": true, "dism": true, "control": true, "userinit": true, "taskeng": true, "hostname": true,
}

// driveOf returns the letter that a word names as a drive, "X:"; "" if it names
// none.
func driveOf(word string) string {
	word = strings.TrimSuffix(strings.Trim(word, `"`), `\`)
	if IsLetter(word) {
		return strings.ToUpper(word)
	}
	return ""
}

// devicePath takes off the prefixes with which programs and the kernel name a
// path outright.
func devicePath(s string) string {
	for _, prefix := range []string{`\??\`, `\\?\`, `\\.\`, `\DosDevices\`, `\GLOBAL??\`} {
		if rest, ok := fold.CutPrefix(s, prefix); ok {
			if share, ok := fold.CutPrefix(rest, `UNC\`); ok {
				return `\\` + share
			}
			return rest
		}
	}
	return s
}
