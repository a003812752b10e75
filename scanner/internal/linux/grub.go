package linux

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// A grubRun follows the script of GRUB, and all that it may do where that is
// not known before the system starts.
type grubRun struct {
	tree      *tree // where its files are
	boot      []string
	folder    string // of the script that runs
	evidence  requirement.Evidence
	functions map[string][]grubStatement
	menus     []grubMenu
	calls     int // of functions and files in each other
	steps     int
	bytes     int // that words came to

	lines func(text string, ev requirement.Evidence)
	bls   func(env grubEnv)
	err   error // why there may be more
}

type grubMenu struct {
	body     []grubStatement
	evidence requirement.Evidence
	folder   string
}

// Bounds of a script that runs: no real one comes near them.
const (
	maxGrubSteps = 500_000
	maxGrubCalls = 16
	maxGrubBytes = 64 << 20
)

// expand returns what a word may be.
func (g *grubRun) expand(env grubEnv, w grubWord) []string {
	may := env.expand(w)
	for _, v := range may {
		g.bytes += len(v)
	}
	if g.bytes > maxGrubBytes && g.err == nil {
		g.fail(fmt.Errorf("/%s: %w", g.evidence.Path, errTooLarge))
	}
	return may
}

func (g *grubRun) fail(err error) { g.err = joinErrors(g.err, err) }

// file runs a script, and then each entry of its menu.
func (g *grubRun) file(p string, env grubEnv) {
	g.source(p, env)
	for len(g.menus) > 0 && g.err == nil {
		menu := g.menus[0]
		g.menus = g.menus[1:]
		g.evidence, g.folder = menu.evidence, menu.folder
		g.run(menu.body, env.copy())
	}
}

// source runs a script in the same environment.
func (g *grubRun) source(p string, env grubEnv) {
	data, f, err := g.tree.read(p, maxConfig)
	if err != nil {
		g.fail(err)
		return
	}
	if !f.Exists {
		return
	}
	script, err := parseGrub(string(data))
	if err != nil {
		g.fail(fmt.Errorf("%s: %w", p, err))
		return
	}
	evidence, folder := g.evidence, g.folder
	g.evidence, g.folder = f.Evidence, path.Dir(p)
	g.nested(func() { g.run(script, env) })
	g.evidence, g.folder = evidence, folder
}

// nested bounds how deep functions and files call each other.
func (g *grubRun) nested(f func()) {
	if g.calls++; g.calls > maxGrubCalls {
		g.fail(fmt.Errorf("/%s: more than %d files and functions call each other", g.evidence.Path, maxGrubCalls))
	} else {
		f()
	}
	g.calls--
}

func (g *grubRun) run(block []grubStatement, env grubEnv) {
	for _, s := range block {
		if g.err != nil {
			return
		}
		if g.steps++; g.steps > maxGrubSteps {
			g.fail(fmt.Errorf("/%s: %w", g.evidence.Path, errTooLarge))
			return
		}
		switch s.kind {
		case "":
			g.command(s, env)
		case "if":
			g.branch(s.blocks, env)
		case "loop":
			for _, b := range s.blocks {
				other := env.copy()
				g.run(b, other)
				env.join(other)
			}
		case "function":
			if len(s.words) > 1 {
				g.functions[s.words[1].literal()] = s.blocks[0]
			}
		case "menuentry", "submenu":
			g.menus = append(g.menus, grubMenu{s.blocks[0], g.evidence, g.folder})
		}
	}
}

// branch runs what an if may run.
func (g *grubRun) branch(blocks [][]grubStatement, env grubEnv) {
	if len(blocks) == 0 {
		return
	}
	if len(blocks) == 1 {
		g.run(blocks[0], env)
		return
	}
	g.run(blocks[0], env)
	switch yes, known := g.condition(blocks[0], env); {
	case known && yes:
		g.run(blocks[1], env)
	case known:
		g.branch(blocks[2:], env)
	default:
		other := env.copy()
		g.run(blocks[1], env)
		g.branch(blocks[2:], other)
		env.join(other)
	}
}

// condition says whether the last command of a block succeeds, where that is
// known.
func (g *grubRun) condition(block []grubStatement, env grubEnv) (yes, known bool) {
	if len(block) != 1 || block[0].kind != "" {
		return false, false
	}
	var words []string
	for _, w := range block[0].words {
		may := g.expand(env, w)
		if len(may) != 1 || strings.Contains(may[0], grubUnknown) {
			return false, false
		}
		words = append(words, may[0])
	}
	if len(words) == 0 {
		return false, false
	}
	switch words[0] {
	case "true":
		return true, true
	case "false":
		return false, true
	case "[":
		if words[len(words)-1] != "]" {
			return false, false
		}
		return g.test(words[1 : len(words)-1])
	case "test":
		return g.test(words[1:])
	}
	return false, false
}

// test is the command of that name (GNU GRUB Manual 2.06, "test").
func (g *grubRun) test(words []string) (yes, known bool) {
	for _, connective := range []string{"-o", "-a"} {
		if i := slices.Index(words, connective); i > 0 && i < len(words)-1 {
			left, knownLeft := g.test(words[:i])
			right, knownRight := g.test(words[i+1:])
			if connective == "-a" {
				return left && right, knownLeft && knownRight || knownLeft && !left || knownRight && !right
			}
			return left || right, knownLeft && knownRight || knownLeft && left || knownRight && right
		}
	}
	switch {
	case len(words) == 0:
		return false, true
	case words[0] == "!" && len(words) > 1:
		yes, known = g.test(words[1:])
		return !yes, known
	case len(words) == 1:
		return words[0] != "", true
	case len(words) == 2:
		switch words[0] {
		case "-z":
			return words[1] == "", true
		case "-n":
			return words[1] != "", true
		case "-e", "-f", "-d", "-s":
			return g.exists(words[0], words[1])
		}
	case len(words) == 3:
		switch words[1] {
		case "=", "==":
			return words[0] == words[2], true
		case "!=":
			return words[0] != words[2], true
		}
	}
	return false, false
}

func (g *grubRun) exists(operator, name string) (yes, known bool) {
	for _, p := range g.places(name) {
		f, err := g.tree.file(p)
		if err != nil {
			return false, false
		}
		if f.Exists {
			switch operator {
			case "-f":
				return !f.Dir, true
			case "-d":
				return f.Dir, true
			case "-s":
				return f.Size > 0, true
			}
			return true, true
		}
	}
	return false, true
}

// places are where a file may be that the script names: on the filesystem with
// /boot, or below /boot of the root.
func (g *grubRun) places(name string) []string {
	if strings.HasPrefix(name, "(") {
		_, name, _ = strings.Cut(name, ")")
	}
	if !strings.HasPrefix(name, "/") {
		return nil
	}
	var places []string
	for _, b := range g.boot {
		places = append(places, path.Join(b, name))
	}
	return places
}

// command runs one that is not compound.
func (g *grubRun) command(s grubStatement, env grubEnv) {
	if len(s.words) == 0 {
		return
	}
	names := g.expand(env, s.words[0])
	if len(names) != 1 {
		names = slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, "linux") })
	}
	if len(names) == 0 {
		return
	}
	name := names[0]
	if body, ok := g.functions[name]; ok {
		for i := range 9 {
			delete(env, fmt.Sprint(i+1))
			if i+1 < len(s.words) {
				env[fmt.Sprint(i+1)] = g.expand(env, s.words[i+1])
			}
		}
		g.nested(func() { g.run(body, env) })
		return
	}
	switch {
	case name == "set" && len(s.words) > 1:
		g.set(s.words[1], env)
	case name == "unset" && len(s.words) > 1:
		env[s.words[1].literal()] = []string{""}
	case name == "load_env":
		g.loadEnv(s, env)
	case name == "source" || name == "." || name == "configfile":
		g.call(s, env)
	case name == "blscfg" || name == "bls_import":
		g.bls(env)
	case name == "eval" || name == "legacy_configfile" || name == "legacy_source" || name == "syslinux_configfile" ||
		name == "extract_entries_configfile":
		g.fail(fmt.Errorf("/%s, line %d: coldcheck does not follow %s", g.evidence.Path, s.line, name))
	case name == "linux" || name == "linux16" || name == "linuxefi" || name == "multiboot" || name == "multiboot2" ||
		name == "module" || name == "module2":
		if len(s.words) > 2 {
			g.kernel(s, env)
		} else if strings.HasPrefix(name, "linux") {
			g.emit("", s)
		}
	default:
		g.setBy(name, s, env)
	}
}

func (g *grubRun) set(w grubWord, env grubEnv) {
	var name string
	var values []string
	for _, may := range g.expand(env, w) {
		n, value, ok := strings.Cut(may, "=")
		if !ok || strings.Contains(n, grubUnknown) {
			return
		}
		name = n
		values = append(values, value)
	}
	env[name] = values
}

// setBy is for commands that find a value when the system starts, and set a
// variable to it: search, probe, regexp.
func (g *grubRun) setBy(name string, s grubStatement, env grubEnv) {
	value := grubUnknown
	if strings.HasPrefix(name, "search") {
		value = "(device)"
		if strings.HasPrefix(name, "search.") && len(s.words) > 2 {
			env[s.words[2].literal()] = []string{"device"}
		}
		value = "device"
	}
	for i, w := range s.words[1:] {
		text := w.literal()
		if to, ok := strings.CutPrefix(text, "--set="); ok {
			env[to] = []string{value}
		}
		if (text == "--set" || text == "-s") && i+2 < len(s.words) {
			if to := s.words[i+2].literal(); !strings.HasPrefix(to, "-") {
				env[to] = []string{value}
			}
		}
	}
}

// loadEnv reads an environment block (GNU GRUB Manual 2.06, "GRUB environment
// block").
func (g *grubRun) loadEnv(s grubStatement, env grubEnv) {
	places := []string{path.Join(g.folder, "grubenv")}
	for i, w := range s.words[1:] {
		file := ""
		switch text := w.literal(); {
		case text == "-f" || text == "--file":
			if i+2 < len(s.words) {
				file = g.expand(env, s.words[i+2])[0]
			}
		case strings.HasPrefix(text, "--file="):
			file = text[len("--file="):]
		default:
			if may := g.expand(env, w)[0]; strings.HasPrefix(may, "--file=") {
				file = may[len("--file="):]
			}
		}
		if file != "" {
			places = g.places(file)
		}
	}
	for _, p := range places {
		data, f, err := g.tree.read(p, maxConfig)
		if err != nil {
			g.fail(err)
			return
		}
		if f.Exists {
			for name, value := range parseGrubEnv(string(data)) {
				env[name] = []string{value}
			}
			return
		}
	}
}

// parseGrubEnv reads the variables of an environment block: lines NAME=VALUE,
// with a backslash as the escape character.
func parseGrubEnv(text string) map[string]string {
	values := map[string]string{}
	for i := 0; i < len(text); {
		if text[i] == '#' || text[i] == '\n' {
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				break
			}
			i += end + 1
			continue
		}
		var b strings.Builder
		for i < len(text) && text[i] != '\n' {
			if text[i] == '\\' && i+1 < len(text) {
				i++
			}
			b.WriteByte(text[i])
			i++
		}
		if name, value, ok := strings.Cut(b.String(), "="); ok {
			values[name] = value
		}
	}
	return values
}

// call runs another script.
func (g *grubRun) call(s grubStatement, env grubEnv) {
	if len(s.words) < 2 {
		return
	}
	for _, may := range g.expand(env, s.words[1]) {
		if strings.Contains(may, grubUnknown) {
			g.fail(fmt.Errorf("/%s, line %d: the name of the file to read is unknown", g.evidence.Path, s.line))
			return
		}
		for _, p := range g.places(may) {
			f, err := g.tree.file(p)
			if err != nil {
				g.fail(err)
				return
			}
			if f.Exists {
				g.source(p, env)
				break
			}
		}
	}
}

// kernel notes a kernel with its arguments.
func (g *grubRun) kernel(s grubStatement, env grubEnv) {
	lines := []string{""}
	for _, w := range s.words[2:] {
		var next []string
		for _, before := range lines {
			for _, may := range g.expand(env, w) {
				next = append(next, strings.TrimLeft(before+" "+may, " "))
				g.bytes += len(before)
			}
		}
		if lines = next; len(lines) > maxGrubValues || len(lines[0]) > maxGrubValue || g.err != nil {
			g.fail(fmt.Errorf("/%s, line %d: too many command lines are possible", g.evidence.Path, s.line))
			return
		}
	}
	for _, l := range lines {
		g.emit(l, s)
	}
}

func (g *grubRun) emit(line string, s grubStatement) {
	if strings.Contains(line, grubUnknown) {
		g.fail(fmt.Errorf("/%s, line %d: the kernel command line has a variable of unknown value",
			g.evidence.Path, s.line))
		return
	}
	g.lines(line, noted(g.evidence, line))
}
