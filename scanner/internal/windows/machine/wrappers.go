package machine

import (
	"encoding/base64"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// A wrapper is a program that runs or loads what its arguments name. rest is
// the command line behind the program, args the same taken apart.
type wrapper func(r *commandReader, rest string, args []string, sh *shell, depth int)

// wrappers are the programs that run others, by base name.
var wrappers map[string]wrapper

func init() {
	wrappers = map[string]wrapper{
		"cmd":        runCmd,
		"powershell": runPowerShell, "pwsh": runPowerShell, "powershell_ise": runFirst("script"),
		"wscript": runScriptHost, "cscript": runScriptHost,
		"mshta":    runMshta,
		"rundll32": runRundll,
		"regsvr32": loadAll("library"), "regasm": loadAll("library"), "installutil": loadAll("library"),
		"odbcconf": runOdbcconf,
		"java":     runJava, "javaw": runJava, "jjs": runJava,
		"msiexec": runMsiexec,
		"conhost": runConhost, "forfiles": runForfiles, "schtasks": runSchtasks, "runas": runLast,
		"pcalua": runPcalua, "scriptrunner": runScriptRunner,
		"nssm": runNothing, "srvany": runNothing, "svchost": runNothing, // the service's parameters say what
		"python": runInterpreter, "pythonw": runInterpreter, "py": runInterpreter, "pyw": runInterpreter,
		"python3": runInterpreter, "perl": runInterpreter, "wperl": runInterpreter, "ruby": runInterpreter,
		"rubyw": runInterpreter,
		"node":  runInterpreter, "php": runInterpreter, "php-win": runInterpreter, "tclsh": runInterpreter,
		"wish": runInterpreter, "lua": runInterpreter, "rscript": runInterpreter,
		"dotnet": runDotnet, "autohotkey": runInterpreter, "autoit3": runInterpreter, "mono": runInterpreter,
		"explorer": runExplorer, "control": loadAll("library"),
		"subst": makeSubst, "net": makeNetUse, "net1": makeNetUse, "mountvol": makeMountvol, "diskpart": makeDiskpart,
		"wmic":   makeWmic,
		"rclone": makeRclone, "imdisk": makeImdisk, "aim_ll": makeImdisk, "osfmount": makeImdisk,
		"veracrypt": makeVolume, "truecrypt": makeVolume, "bestcrypt": makeVolume, "sshfs": makeMounted,
		"sshfs-win": makeMounted, "vcdmount": makeMounted, "batchmnt": makeMounted, "batchmnt64": makeMounted,
	}
}

// runsOthers says whether a program is known to run what its arguments name.
func runsOthers(base string) bool { return wrappers[base] != nil }

// run notes a program, and what it runs in turn.
func (r *commandReader) run(name, rest string, sh *shell, depth int) {
	name = strings.TrimSpace(name)
	if name == "" {
		return
	}
	path := r.program(name, sh)
	lang := LanguageOf(path)
	if lang != NoLanguage {
		r.script(path, "script", sh)
		r.data(arguments(rest)...)
		return
	}
	r.use(path, "program")
	args := arguments(rest)
	if w := wrappers[baseName(name)]; w != nil {
		w(r, rest, args, sh, depth)
		return
	}
	r.data(args...)
}

// script notes a script that is run, to be read if its language is known.
func (r *commandReader) script(path, what string, sh *shell) {
	path = at(sh.dir, path)
	r.use(path, what)
	if lang := LanguageOf(path); lang != NoLanguage && len(r.out.Scripts) < maxScripts+1 {
		s := scriptUse{Path: path, Dir: sh.dir, Language: lang}
		if sh.folder != "" {
			s.Of = sh
		}
		r.out.Scripts = append(r.out.Scripts, s)
	}
}

func runNothing(*commandReader, string, []string, *shell, int) {}

// runCmd: cmd [switches] /c|/k|/r COMMAND. Of the quotes around all of it the
// first and the last are dropped.
func runCmd(r *commandReader, rest string, _ []string, sh *shell, depth int) {
	for s := rest; ; {
		s = strings.TrimLeft(s, " \t,;=")
		if len(s) < 2 || s[0] != '/' {
			return
		}
		switch s[1] | 0x20 {
		case 'c', 'k', 'r':
			text := commandText(strings.TrimSpace(s[2:]))
			inner := *sh
			r.batch(text, &inner, depth+1)
			return
		}
		end := strings.IndexAny(s[1:], " \t/")
		if end < 0 {
			return
		}
		s = s[1+end:]
	}
}

// commandText takes the outer quotes off what follows /c: both stay where they
// are the only ones and are around the path of a program ("cmd /?"). Where more
// follow, cmd.exe takes off the first and the last of all, which breaks the
// command unless it begins with two; what was meant is judged then.
func commandText(text string) string {
	if strings.Count(text, `"`) > 2 && !strings.HasPrefix(text, `""`) && !strings.HasSuffix(text, `""`) {
		return text
	}
	last := strings.LastIndexByte(text, '"')
	if !strings.HasPrefix(text, `"`) || last == 0 {
		return strings.TrimPrefix(text, `"`)
	}
	inner := text[1:last]
	if strings.Count(text, `"`) == 2 && strings.ContainsAny(inner, " ") && !strings.ContainsAny(inner, "&<>()@^|") &&
		programEnd(inner) == len(inner) {
		return text
	}
	return inner + text[last+1:]
}

// powerShellParameters are the parameters of powershell.exe and pwsh.exe that
// matter here: how much of the name must be written, and whether a word
// follows ("about_PowerShell_exe", "about_Pwsh").
var powerShellParameters = []struct {
	name, least string
	words       int
}{
	{"command", "c", -1}, {"file", "f", -1}, {"encodedcommand", "e", 1}, {"ec", "ec", 1},
	{"commandwithargs", "commandwithargs", -1}, {"cwa", "cwa", -1},
	{"executionpolicy", "ex", 1}, {"ep", "ep", 1}, {"windowstyle", "w", 1}, {"workingdirectory", "wo", 1},
	{"wd", "wd", 1},
	{"version", "v", 1}, {"psconsolefile", "p", 1}, {"inputformat", "i", 1}, {"if", "if", 1},
	{"outputformat", "o", 1}, {"of", "of", 1},
	{"configurationname", "config", 1}, {"configurationfile", "configurationf", 1}, {"custompipename", "cus", 1},
	{"settingsfile", "settings", 1}, {"encodedarguments", "encodeda", 1}, {"ea", "ea", 1},
	{"noexit", "noe", 0}, {"noprofile", "nop", 0}, {"noninteractive", "noni", 0}, {"nologo", "nol", 0},
	{"sta", "s", 0}, {"mta", "mta", 0}, {"login", "l", 0}, {"interactive", "i", 0},
}

// powerShellParameter finds what an abbreviated parameter means; words is -1
// where all that follows belongs to it.
func powerShellParameter(word string) (name string, words int) {
	word = strings.ToLower(word)
	if i := strings.IndexByte(word, ':'); i > 0 {
		word = word[:i]
	}
	for _, p := range powerShellParameters {
		if strings.HasPrefix(p.name, word) && strings.HasPrefix(word, p.least) {
			return p.name, p.words
		}
	}
	return "", 0
}

func runPowerShell(r *commandReader, _ string, args []string, sh *shell, depth int) {
	inner := *sh
	for i := 0; i < len(args); i++ {
		word, ok := cutDash(args[i])
		if !ok {
			// Windows PowerShell takes the rest for a command, PowerShell 7 for a file.
			r.powerShell(strings.Join(args[i:], " "), &inner, depth+1)
			return
		}
		name, words := powerShellParameter(word)
		more := args[i+1:]
		switch name {
		case "command", "commandwithargs", "cwa":
			r.powerShell(strings.Join(more, " "), &inner, depth+1)
			return
		case "file":
			if len(more) > 0 {
				r.file(more[0], &inner, languagePowerShell)
				r.data(more[1:]...)
			}
			return
		case "encodedcommand", "ec":
			if len(more) == 0 {
				return
			}
			text, ok := decodeCommand(more[0])
			if !ok {
				r.doubt("an encoded command of PowerShell cannot be decoded")
			}
			r.powerShell(text, &inner, depth+1)
		case "workingdirectory", "wd":
			if len(more) > 0 {
				inner.dir = at(inner.dir, more[0])
			}
		}
		if words > 0 {
			i += words
		}
	}
}

// cutDash takes the dash off a parameter: PowerShell knows four of them, and
// the slash.
func cutDash(word string) (string, bool) {
	for _, dash := range []string{"-", "/", "–", "—", "―"} {
		if rest, ok := strings.CutPrefix(word, dash); ok && rest != "" {
			return strings.TrimPrefix(rest, "-"), true
		}
	}
	return word, false
}

// decodeCommand decodes what -EncodedCommand takes: UTF-16LE in Base64, blanks
// in which do not count.
func decodeCommand(s string) (string, bool) {
	s = strings.Join(strings.Fields(s), "")
	data, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		data, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(s, "="))
	}
	if err != nil || len(data)%2 != 0 {
		return "", false
	}
	return utf16le.Decode(data), true
}

// file notes a file that an interpreter runs, whatever its extension is.
func (r *commandReader) file(path string, sh *shell, lang Language) {
	path = at(sh.dir, path)
	r.use(path, "script")
	if lang != NoLanguage && len(r.out.Scripts) < maxScripts+1 {
		s := scriptUse{Path: path, Dir: sh.dir, Language: lang}
		if sh.folder != "" {
			s.Of = sh
		}
		r.out.Scripts = append(r.out.Scripts, s)
	}
}

func runScriptHost(r *commandReader, _ string, args []string, sh *shell, _ int) {
	for i, a := range args {
		if strings.HasPrefix(a, "//") {
			continue
		}
		r.file(a, sh, languageHost)
		r.data(args[i+1:]...)
		return
	}
}

// runMshta: a file, or a script in the place of its address.
func runMshta(r *commandReader, rest string, args []string, sh *shell, depth int) {
	text := strings.TrimSpace(strings.Trim(strings.TrimSpace(rest), `"`))
	for _, scheme := range []string{"vbscript:", "javascript:", "about:"} {
		if fold.HasPrefix(text, scheme) {
			inner := *sh
			r.host(text[len(scheme):], &inner, depth+1)
			return
		}
	}
	if len(args) > 0 {
		r.file(args[0], sh, languageHost)
	}
}

// runRundll: rundll32 [/d] DLL,ENTRY ARGUMENTS.
func runRundll(r *commandReader, rest string, _ []string, sh *shell, depth int) {
	s := strings.TrimSpace(rest)
	for len(s) > 1 && (s[0] == '/' || s[0] == '-') {
		_, s, _ = strings.Cut(s, " ")
		s = strings.TrimSpace(s)
	}
	var dll string
	if after, ok := strings.CutPrefix(s, `"`); ok {
		dll, s, _ = strings.Cut(after, `"`)
	} else {
		end := strings.IndexByte(s, ',')
		if end < 0 {
			if end = strings.IndexAny(s, " \t"); end < 0 {
				end = len(s)
			}
		}
		dll, s = s[:end], s[end:]
	}
	if dll == "" {
		return
	}
	r.use(r.program(dll, sh), "library")
	entry, arguments_, _ := strings.Cut(strings.TrimLeft(s, ", \t"), " ")
	switch strings.ToLower(strings.TrimSpace(entry)) {
	case "shellexec_rundll", "shellexec_rundlla", "shellexec_rundllw", "routethecall", "openas_rundll",
		"fileprotocolhandler", "openurl", "registerocx":
		r.line(arguments_, sh, depth+1)
	case "control_rundll", "control_rundlla", "control_rundllw", "control_rundllasuser":
		if words := arguments(arguments_); len(words) > 0 {
			name, _, _ := strings.Cut(words[0], ",")
			r.use(at(sh.dir, name), "library")
		}
	default:
		r.data(arguments(arguments_)...)
	}
}

// loadAll is a program that loads what is no switch among its arguments.
func loadAll(what string) wrapper {
	return func(r *commandReader, _ string, args []string, sh *shell, _ int) {
		for _, a := range args {
			if a != "" && a[0] != '/' && a[0] != '-' {
				r.use(at(sh.dir, a), what)
			}
		}
	}
}

// runFirst is a program that opens its first argument.
func runFirst(what string) wrapper {
	return func(r *commandReader, _ string, args []string, sh *shell, _ int) {
		for _, a := range args {
			if a != "" && a[0] != '/' && a[0] != '-' {
				r.script(a, what, sh)
				return
			}
		}
	}
}

func runOdbcconf(r *commandReader, rest string, args []string, sh *shell, _ int) {
	for i, a := range args {
		if strings.EqualFold(a, "regsvr") && i+1 < len(args) {
			r.use(at(sh.dir, strings.Trim(args[i+1], "{}")), "library")
		}
	}
}

// runJava: java [options] -jar FILE | CLASS. The paths of classes and modules,
// agents and libraries are loaded.
func runJava(r *commandReader, _ string, args []string, sh *shell, _ int) {
	list := func(paths string) {
		for p := range strings.SplitSeq(paths, ";") {
			r.use(at(sh.dir, strings.TrimSuffix(strings.TrimSpace(p), `\*`)), "archive")
		}
	}
	for i := 0; i < len(args); i++ {
		a := args[i]
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		switch {
		case a == "-jar":
			r.use(at(sh.dir, next), "archive")
			r.data(args[min(len(args), i+2):]...)
			return
		case a == "-cp", a == "-classpath", a == "--class-path", a == "-p", a == "--module-path",
			a == "--upgrade-module-path":
			list(next)
			i++
		case a == "-m", a == "--module":
			r.data(args[min(len(args), i+2):]...)
			return
		case strings.HasPrefix(a, "-javaagent:"), strings.HasPrefix(a, "-agentpath:"):
			_, path, _ := strings.Cut(a, ":")
			path, _, _ = strings.Cut(path, "=")
			r.use(at(sh.dir, path), "archive")
		case strings.HasPrefix(a, "-Xbootclasspath"):
			_, paths, _ := strings.Cut(a, ":")
			list(strings.TrimPrefix(paths, "/a:"))
		case strings.HasPrefix(a, "--class-path="), strings.HasPrefix(a, "--module-path="),
			strings.HasPrefix(a, "-Djava.library.path="), strings.HasPrefix(a, "-Djava.class.path="),
			strings.HasPrefix(a, "-Djava.ext.dirs="):
			_, paths, _ := strings.Cut(a, "=")
			list(paths)
		case strings.HasPrefix(a, "@"):
			r.doubt("java reads its arguments from " + a[1:])
		case strings.HasPrefix(a, "-"):
			_, value, _ := strings.Cut(a, "=")
			r.data(value)
		default:
			if strings.HasSuffix(strings.ToLower(a), ".java") {
				r.use(at(sh.dir, a), "script")
			}
			r.data(args[i+1:]...)
			return
		}
	}
}

// runMsiexec: the package that is installed, repaired or removed, and its
// transforms.
func runMsiexec(r *commandReader, _ string, args []string, sh *shell, _ int) {
	for i := 0; i < len(args); i++ {
		a := strings.ToLower(args[i])
		if len(a) < 2 || a[0] != '/' && a[0] != '-' {
			if name, value, ok := strings.Cut(args[i], "="); ok &&
				(strings.EqualFold(name, "TRANSFORMS") || strings.EqualFold(name, "PATCH")) {
				r.use(at(sh.dir, value), "package")
			} else {
				r.data(value, args[i])
			}
			continue
		}
		if !strings.ContainsRune("ijfaxpyzu", rune(a[1])) {
			continue
		}
		value := args[i][2:]
		switch {
		case strings.HasPrefix(a[1:], "package"), strings.HasPrefix(a[1:], "uninstall"),
			strings.HasPrefix(a[1:], "update"), a[1] == 'f', a[1] == 'j', len(a) == 2:
			value = ""
			if i+1 < len(args) {
				value = args[i+1]
				i++
			}
		}
		if value != "" && !strings.HasPrefix(value, "{") {
			r.use(at(sh.dir, value), "package")
		}
	}
}

// runConhost: conhost [--switches] [--] PROGRAM ARGUMENTS.
func runConhost(r *commandReader, rest string, _ []string, sh *shell, depth int) {
	s := strings.TrimSpace(rest)
	for strings.HasPrefix(s, "-") || strings.HasPrefix(s, "0x") {
		_, s, _ = strings.Cut(s, " ")
		s = strings.TrimSpace(s)
	}
	r.line(s, sh, depth+1)
}

func runForfiles(r *commandReader, _ string, args []string, sh *shell, depth int) {
	for i, a := range args {
		if strings.EqualFold(a, "/c") && i+1 < len(args) {
			r.line(args[i+1], sh, depth+1)
		}
	}
}

func runSchtasks(r *commandReader, _ string, args []string, sh *shell, depth int) {
	for i, a := range args {
		if strings.EqualFold(a, "/tr") && i+1 < len(args) {
			r.line(args[i+1], sh, depth+1)
		}
	}
}

func runLast(r *commandReader, _ string, args []string, sh *shell, depth int) {
	if len(args) > 0 && !strings.HasPrefix(args[len(args)-1], "/") {
		r.line(args[len(args)-1], sh, depth+1)
	}
}

func runPcalua(r *commandReader, _ string, args []string, sh *shell, depth int) {
	for i, a := range args {
		if strings.EqualFold(a, "-a") && i+1 < len(args) {
			r.run(args[i+1], "", sh, depth+1)
		}
	}
}

func runScriptRunner(r *commandReader, _ string, args []string, sh *shell, depth int) {
	for i, a := range args {
		if strings.EqualFold(a, "-appvscript") && i+1 < len(args) {
			r.run(args[i+1], "", sh, depth+1)
		}
	}
}

// runInterpreter: the first argument that is no switch is the script.
func runInterpreter(r *commandReader, _ string, args []string, sh *shell, _ int) {
	for i, a := range args {
		switch {
		case a == "-c", a == "-e", a == "-m", a == "-r", a == "--eval":
			if i+1 < len(args) {
				r.scan(args[i+1])
			}
			return
		case a == "" || a[0] == '-' || a[0] == '/' && !strings.Contains(a[1:], "/"):
		default:
			r.use(at(sh.dir, a), "script")
			r.data(args[i+1:]...)
			return
		}
	}
}

func runDotnet(r *commandReader, _ string, args []string, sh *shell, _ int) {
	for i, a := range args {
		if strings.HasPrefix(a, "-") || strings.EqualFold(a, "exec") || strings.EqualFold(a, "run") {
			continue
		}
		r.use(at(sh.dir, a), "library")
		r.data(args[i+1:]...)
		return
	}
}

// runExplorer: a folder is shown, a program or a script is started.
func runExplorer(r *commandReader, rest string, args []string, sh *shell, depth int) {
	for _, a := range args {
		if lower := strings.ToLower(a); programEnd(lower) == len(lower) && len(lower) > 0 ||
			LanguageOf(a) != NoLanguage {
			r.run(a, "", sh, depth+1)
		} else {
			r.data(a)
		}
	}
}
