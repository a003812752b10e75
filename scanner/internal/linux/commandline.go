package linux

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// A commandPath is a path that a command line names.
type commandPath struct {
	Path     string
	Executed bool // it is executed, or loaded as code; else it is data
}

// A commandContext is what a command line is run in.
type commandContext struct {
	Dir  string            // the working directory, "" if not known
	Root string            // the root folder, "" for the system's
	Vars map[string]string // variables that are known
}

// maxWrappers bounds wrappers in wrappers.
const maxWrappers = 16

var errWrappers = fmt.Errorf("a command line has more than %d wrappers: %w", maxWrappers, errTooLarge)

// commandPaths returns what a command line names. A wrapper such as env, nice,
// flock or su is taken apart for what it runs; an interpreter loads its script;
// a shell's -c is a script of its own. A program without a slash is returned as
// it is, to be looked for in PATH. The error says that there is more than is
// looked at.
func commandPaths(argv []string, c commandContext) ([]commandPath, error) {
	a := &commandAnalysis{context: c}
	a.command(argv, 0)
	return a.found, a.err
}

type commandAnalysis struct {
	context commandContext
	found   []commandPath
	err     error
}

func (a *commandAnalysis) add(p string, executed bool) {
	if p == "" || strings.Contains(p, unknownValue) {
		return
	}
	if !path.IsAbs(p) && (executed && strings.Contains(p, "/") || !executed) {
		if a.context.Dir == "" || !path.IsAbs(a.context.Dir) {
			return
		}
		p = path.Join(a.context.Dir, p)
	}
	if path.IsAbs(p) && a.context.Root != "" {
		p = path.Join(a.context.Root, p)
	}
	if path.IsAbs(p) {
		// ".." needs the links, which the caller resolves.
		p = "/" + strings.TrimLeft(p, "/")
	}
	a.found = append(a.found, commandPath{p, executed})
}

// load adds a file of code that an interpreter reads: without a slash it is in
// the working directory.
func (a *commandAnalysis) load(p string) {
	if p != "" && p != "-" && !strings.Contains(p, "/") {
		p = "./" + p
	}
	a.add(p, true)
}

// data adds the paths among words that are only handed over.
func (a *commandAnalysis) data(words []string) {
	for _, w := range words {
		if _, value, ok := strings.Cut(w, "="); ok && path.IsAbs(value) {
			w = value
		}
		if path.IsAbs(w) {
			a.add(w, false)
		}
	}
}

// valued lists the options of wrappers that take a value in the next word.
var valued = map[string]string{
	"env": "-u --unset -C --chdir", "nice": "-n --adjustment", "ionice": "-c --class -n --classdata -p",
	"chrt": "-T -P -D", "taskset": "", "timeout": "-k --kill-after -s --signal",
	"stdbuf": "-i -o -e --input --output --error",
	"setpriv": "--reuid --regid --groups --inh-caps --ambient-caps --bounding-set --securebits --selinux-label " +
		"--apparmor-profile",
	"sudo": "-u --user -g --group -C -h --host -p --prompt -r -t -T -U -D --chdir -R --chroot", "doas": "-u -C",
	"runuser": "-u --user -g --group -G --supp-group -s --shell -w",
	"su":      "-g --group -G --supp-group -s --shell -w",
	"chroot":  "", "unshare": "-S --setuid -G --setgid -R --root -w --wd", "nsenter": "-t --target -S -G -r -w",
	"systemd-run": "-u --unit -p --property -E --setenv -d --slice -t --uid --gid --working-directory --on-calendar " +
		"--on-boot --on-active",
	"systemd-cat": "-t --identifier -p --priority", "flock": "-w --wait --timeout -E --conflict-exit-code",
	"numactl": "-N -m -C -i -p", "cgexec": "-g", "firejail": "", "strace": "-e -o -p -s -u -E",
	"xvfb-run": "-n -s -f -e -p -w",
	"time":     "-f -o", "setsid": "", "nohup": "", "exec": "-a", "command": "", "builtin": "", "setarch": "",
	"linux64": "", "linux32": "", "catchsegv": "", "eatmydata": "", "dbus-launch": "",
	"dbus-run-session": "--config-file",
	"tini":             "-p -e", "dumb-init": "", "gosu": "", "su-exec": "", "chpst": "-u -U -b -d -n -l -L -/ -e",
	"softlimit": "",
	"ssh-agent": "-t -a", "watch": "-n -d", "prlimit": "", "nocache": "", "unbuffer": "", "primusrun": "",
	"optirun": "", "gdb": "", "valgrind": "",
	"start-stop-daemon": "", "daemonize": "-a -c -e -E -l -o -p -u", "daemon": "", "xargs": "-I -n -P -L -d -s -a -E",
	"screen": "-S -c -h -t -T -s -e -p", "logsave": "", "chronic": "", "ifne": "", "ts": "", "sg": "",
	"setuidgid": "", "authbind": "--depth", "wine": "", "qemu-x86_64": "", "box64": "",
}

// operands is how many words of a wrapper stand before the command that it
// runs.
var operands = map[string]int{"timeout": 1, "flock": 1, "taskset": 1, "chrt": 1, "chroot": 1, "setuidgid": 1, "gosu": 1,
	"su-exec": 1, "logsave": 1, "setarch": 1}

// interpreters run the script that is their first operand; the options are
// those that take a value in the next word.
var interpreters = map[string]string{
	"python": "-W -X -Q -m -c", "perl": "-e -E -I -M -m", "ruby": "-e -I -r -C",
	"node": "-r --require --import --loader -e --eval -p", "nodejs": "-r --require -e", "php": "-c -d -r -z",
	"php-cgi": "-c", "lua": "-e -l",
	"Rscript": "-e", "mono": "", "dotnet": "", "guile": "-l -e -c", "tclsh": "", "wish": "", "expect": "-c -f",
	"gjs": "-I", "pwsh": "", "deno": "", "bun": "", "julia": "", "gawk": "-f -v -F", "awk": "-f -v -F", "wine": "",
	"wine64":               "",
	"ld-linux-x86-64.so.2": "--library-path --preload", "ld-linux-aarch64.so.1": "--library-path --preload",
	"ld.so": "--library-path", "groovy": "", "scala": "", "uwsgi": "",
}

var shells = []string{"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "rbash", "fish", "csh", "tcsh"}

func (a *commandAnalysis) command(argv []string, depth int) {
	for len(argv) > 0 && isAssignment(argv[0]) {
		a.assignment(argv[0])
		argv = argv[1:]
	}
	if depth > maxWrappers {
		a.err = errWrappers
		return
	}
	if len(argv) == 0 {
		return
	}
	program, args := argv[0], argv[1:]
	a.add(program, true)
	base := path.Base(program)
	switch {
	case slices.Contains(shells, base):
		a.shell(args, depth)
	case base == "." || base == "source":
		if len(args) > 0 {
			a.load(args[0])
		}
	case base == "eval":
		a.script(strings.Join(args, " "), depth)
	case base == "java" || base == "javaw":
		a.java(args)
	case base == "su" || base == "runuser":
		a.switchUser(base, args, depth)
	case base == "start-stop-daemon":
		a.startStopDaemon(args, depth)
	case base == "find":
		a.find(args, depth)
	case base == "script":
		a.shellOption(args, "-c", depth)
	case valuedHas(base):
		a.wrapper(base, args, depth)
	default:
		if options, ok := interpreterOptions(base); ok {
			a.interpreter(base, args, strings.Fields(options))
			return
		}
		a.data(args)
	}
}

func valuedHas(base string) bool { _, ok := valued[base]; return ok }

// interpreterOptions finds an interpreter by its name, with or without its
// version.
func interpreterOptions(base string) (string, bool) {
	if options, ok := interpreters[base]; ok {
		return options, true
	}
	options, ok := interpreters[strings.TrimRight(base, "0123456789.-")]
	return options, ok
}

// assignment looks at variables that load code.
func (a *commandAnalysis) assignment(w string) {
	name, value, _ := strings.Cut(w, "=")
	switch name {
	case "LD_PRELOAD", "LD_AUDIT":
		for _, p := range strings.FieldsFunc(value, func(r rune) bool { return r == ':' || r == ' ' }) {
			a.add(p, true)
		}
	case "PATH":
		if a.context.Vars == nil {
			a.context.Vars = map[string]string{}
		}
		a.context.Vars["PATH"] = value
	default:
		for _, p := range strings.Split(value, ":") {
			if path.IsAbs(p) {
				a.add(p, false)
			}
		}
	}
}

// wrapper skips a wrapper's own options and words, and goes on with what it
// runs.
func (a *commandAnalysis) wrapper(base string, args []string, depth int) {
	takes := strings.Fields(valued[base])
	left := operands[base]
	for i := 0; i < len(args); i++ {
		w := args[i]
		switch {
		case w == "--":
			if left == 0 {
				a.command(args[i+1:], depth+1)
				return
			}
		case base == "flock" && (w == "-c" || w == "--command") || base == "watch" && left > 0:
			if i+1 < len(args) {
				a.script(strings.Join(args[i+1:], " "), depth)
			}
			return
		case base == "env" && (w == "-S" || w == "--split-string") && i+1 < len(args):
			words, _ := splitWords(strings.Join(args[i+1:], " "))
			var list []string
			for _, x := range words {
				list = append(list, x.text)
			}
			a.command(list, depth+1)
			return
		case base == "env" && isAssignment(w):
			a.assignment(w)
		case len(w) > 1 && w[0] == '-':
			a.chdir(base, w, args[i+1:])
			if slices.Contains(takes, w) {
				i++
			}
		case left > 0:
			if base == "chroot" {
				a.context.Root = w
			}
			if left--; base == "flock" && left == 0 && i+1 < len(args) &&
				(args[i+1] == "-c" || args[i+1] == "--command") {
				a.script(strings.Join(args[i+2:], " "), depth)
				return
			}
		default:
			a.command(args[i:], depth+1)
			return
		}
	}
}

// chdir takes over options of wrappers that change the working directory or the
// root.
func (a *commandAnalysis) chdir(base, option string, rest []string) {
	name, value, joined := strings.Cut(option, "=")
	if !joined && len(rest) > 0 {
		value = rest[0]
	}
	switch {
	case base == "env" && (name == "-C" || name == "--chdir"), base == "sudo" && (name == "-D" || name == "--chdir"),
		base == "systemd-run" && name == "--working-directory", base == "unshare" &&
			(name == "-w" || name == "--wd"), base == "daemonize" && name == "-c":
		a.context.Dir = value
	case base == "unshare" && (name == "-R" || name == "--root"), base == "sudo" &&
		(name == "-R" || name == "--chroot"):
		a.context.Root = value
	}
}

// shell looks at a shell's script, or what its -c says.
func (a *commandAnalysis) shell(args []string, depth int) {
	for i := 0; i < len(args); i++ {
		w := args[i]
		switch {
		case w == "--rcfile" || w == "--init-file" || w == "-o" || w == "+o" || w == "-O" || w == "+O":
			i++
		case strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "--") && strings.Contains(w, "c"):
			for i++; i < len(args) && strings.HasPrefix(args[i], "-"); i++ {
			}
			if i < len(args) {
				a.script(args[i], depth)
				if a.data(args[i+1:]); i+1 < len(args) && strings.Contains(args[i], "$") {
					for _, w := range args[i+1:] {
						a.add(w, strings.Contains(args[i], "$0") || strings.Contains(args[i], "$@") ||
							strings.Contains(args[i], "$1"))
					}
				}
			}
			return
		case strings.HasPrefix(w, "-") || strings.HasPrefix(w, "+"):
		default:
			a.load(w)
			a.data(args[i+1:])
			return
		}
	}
}

// shellOption goes on with the command in the word behind an option.
func (a *commandAnalysis) shellOption(args []string, option string, depth int) {
	if i := slices.Index(args, option); i >= 0 && i+1 < len(args) {
		a.script(args[i+1], depth)
	}
}

// script looks at the commands of a shell script that stands in a word.
func (a *commandAnalysis) script(text string, depth int) {
	if depth > maxWrappers {
		a.err = errWrappers
		return
	}
	vars := map[string]string{}
	for k, v := range a.context.Vars {
		vars[k] = v
	}
	dir := a.context.Dir
	commands, err := parseShell(text, vars)
	a.err = joinErrors(a.err, err)
	for _, c := range commands {
		a.context.Dir = joinDir(dir, c.Dir)
		a.command(append(slices.Clone(c.Assign), c.Words...), depth+1)
	}
	a.context.Dir = dir
}

// joinDir is where a script is after cd.
func joinDir(dir, cd string) string {
	switch {
	case cd == "" || strings.Contains(cd, unknownValue):
		return dir
	case path.IsAbs(cd):
		return cd
	case dir == "":
		return ""
	}
	return path.Join(dir, cd)
}

// interpreter adds the script that an interpreter loads, and what options make
// it load.
func (a *commandAnalysis) interpreter(base string, args, takes []string) {
	for i := 0; i < len(args); i++ {
		w := args[i]
		switch {
		case w == "-c" || w == "-e" || w == "-E" || w == "--eval":
			a.data(args[min(i+2, len(args)):])
			return
		case w == "-m" && strings.HasPrefix(base, "python"):
			a.data(args[min(i+2, len(args)):])
			return
		case w == "-f" && (strings.HasSuffix(base, "awk") || base == "expect"), w == "-r" || w == "--require" ||
			w == "--import" || w == "--loader", w == "-I":
			if i++; i < len(args) && strings.Contains(args[i], "/") {
				a.load(args[i])
			}
		case strings.HasPrefix(w, "-I") && len(w) > 2, strings.HasPrefix(w, "--require="):
			a.load(strings.TrimPrefix(strings.TrimPrefix(w, "--require="), "-I"))
		case w == "--":
		case strings.HasPrefix(w, "-"):
			if slices.Contains(takes, w) {
				i++
			}
		default:
			if (base == "dotnet" || base == "deno" || base == "bun") && (w == "exec" || w == "run") {
				continue
			}
			if !strings.HasSuffix(base, "awk") {
				a.load(w)
			}
			a.data(args[i+1:])
			return
		}
	}
}

// java adds the archives and classes that a Java machine loads.
func (a *commandAnalysis) java(args []string) {
	for i := 0; i < len(args); i++ {
		w := args[i]
		next := ""
		if i+1 < len(args) {
			next = args[i+1]
		}
		name, value, joined := strings.Cut(w, "=")
		switch {
		case w == "-jar":
			a.load(next)
			a.data(args[min(i+2, len(args)):])
			return
		case w == "-cp" || w == "-classpath" || w == "--class-path" || w == "-p" || w == "--module-path":
			a.classPath(next)
			i++
		case joined && (name == "--class-path" || name == "--module-path"):
			a.classPath(value)
		case strings.HasPrefix(w, "-javaagent:") || strings.HasPrefix(w, "-agentpath:"):
			_, p, _ := strings.Cut(w, ":")
			p, _, _ = strings.Cut(p, "=")
			a.load(p)
		case strings.HasPrefix(w, "-Xbootclasspath"):
			_, list, _ := strings.Cut(w, ":")
			a.classPath(list)
		case strings.HasPrefix(w, "-"):
			if joined && path.IsAbs(value) {
				a.add(value, false)
			}
		case strings.HasPrefix(w, "@"):
			a.load(w[1:])
		default:
			a.data(args[i+1:])
			return
		}
	}
}

func (a *commandAnalysis) classPath(list string) {
	for _, p := range strings.Split(list, ":") {
		if p = strings.TrimSuffix(p, "/*"); p != "" && p != "*" {
			a.load(p)
		}
	}
}

// switchUser looks at what su and runuser run: -c, or what stands behind the
// user's name for runuser -u.
func (a *commandAnalysis) switchUser(base string, args []string, depth int) {
	takes := strings.Fields(valued[base])
	byOption := false
	for i := 0; i < len(args); i++ {
		w := args[i]
		name, value, joined := strings.Cut(w, "=")
		switch {
		case w == "-c" || w == "--command" || w == "--session-command":
			if i++; i < len(args) {
				a.script(args[i], depth)
			}
		case joined && (name == "--command" || name == "--session-command"):
			a.script(value, depth)
		case strings.HasPrefix(w, "-c") && len(w) > 2 && w[1] == 'c':
			a.script(w[2:], depth)
		case w == "-u" || w == "--user":
			byOption = true
			i++
		case w == "-s" || w == "--shell":
			if i++; i < len(args) {
				a.add(args[i], true)
			}
		case w == "--":
			if byOption {
				a.command(args[i+1:], depth+1)
				return
			}
		case strings.HasPrefix(w, "-"):
			if slices.Contains(takes, w) {
				i++
			} else if strings.HasPrefix(w, "--user") {
				byOption = true
			}
		case byOption:
			a.command(args[i:], depth+1)
			return
		}
	}
}

// startStopDaemon looks at --exec and --startas (start-stop-daemon(8)).
func (a *commandAnalysis) startStopDaemon(args []string, depth int) {
	for i, w := range args {
		name, value, joined := strings.Cut(w, "=")
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		switch name {
		case "-a", "--startas", "-x", "--exec":
			a.command([]string{value}, depth+1)
		case "-d", "--chdir":
			a.context.Dir = value
		case "-r", "--chroot":
			a.context.Root = value
		case "--":
			a.data(args[i+1:])
			return
		}
	}
}

// find looks at what -exec runs.
func (a *commandAnalysis) find(args []string, depth int) {
	for i, w := range args {
		if (w == "-exec" || w == "-execdir" || w == "-ok") && i+1 < len(args) {
			a.command(args[i+1:min(i+2, len(args))], depth+1)
		}
	}
	if len(args) > 0 {
		a.data(args[:1])
	}
}
