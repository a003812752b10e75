package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// An answer is what the volumes say of a question about the running system.
type answer int

const (
	answerNo answer = iota
	answerDepends
	answerYes
)

func answerOf(is bool) answer {
	if is {
		return answerYes
	}
	return answerNo
}

func (a answer) not() answer { return answerYes - a }

// A startFault is why a unit that systemd starts does not run.
type startFault struct {
	Why      string // "" if nothing stands in the way
	Certain  bool   // else it depends on the boot
	Evidence requirement.Evidence
}

// conditions evaluates Condition or Assert settings: each must be met, and at
// least one of those that begin with "|" (systemd.unit(5), CONDITIONS AND
// ASSERTS).
func (m *Machine) conditions(list []unitCondition, c bootChoice) (startFault, error) {
	var doubt string
	best, trigger := answerNo, ""
	triggers := 0
	for _, cond := range list {
		a, err := m.condition(cond, c)
		if err != nil {
			return startFault{}, fmt.Errorf("%s: %w", cond.Raw, err)
		}
		if cond.Negated {
			a = a.not()
		}
		switch {
		case cond.Trigger:
			triggers++
			best = max(best, a)
			trigger = cond.Raw
		case a == answerNo:
			return startFault{Why: cond.Raw + " is not met", Certain: true}, nil
		case a == answerDepends:
			doubt = cond.Raw
		}
	}
	switch {
	case triggers > 0 && best == answerNo:
		return startFault{Why: trigger + " is not met", Certain: true}, nil
	case triggers > 0 && best == answerDepends && doubt == "":
		doubt = trigger
	}
	if doubt != "" {
		return startFault{Why: doubt + " is only known at boot"}, nil
	}
	return startFault{}, nil
}

// condition answers one condition, without its negation.
func (m *Machine) condition(cond unitCondition, c bootChoice) (answer, error) {
	arg := cond.Argument
	switch cond.Kind {
	case "PathExists", "PathIsDirectory", "PathIsSymbolicLink", "DirectoryNotEmpty", "FileNotEmpty", "FileIsExecutable",
		"PathExistsGlob", "PathIsReadWrite", "PathIsMountPoint", "PathIsEncrypted", "PathIsSocket":
		return m.pathCondition(cond.Kind, arg)
	case "KernelCommandLine":
		return kernelCondition(arg, c), nil
	case "Architecture":
		s, err := m.System()
		if err != nil || s.Architecture == "" {
			return answerDepends, nil
		}
		name := map[string]string{"amd64": "x86-64", "arm64": "arm64", "386": "x86"}[s.Architecture]
		return answerOf(arg == name || arg == "native"), nil
	case "Virtualization":
		// A WorkSpace is a virtual machine, never a container.
		switch arg {
		case "yes", "vm", "true", "1", "on":
			return answerYes, nil
		case "no", "container", "private-users", "false", "0", "off", "docker", "lxc", "lxc-libvirt", "systemd-nspawn",
			"podman", "rkt", "wsl", "proot", "openvz",
			"oracle", "vmware", "microsoft", "parallels", "bhyve", "qnx", "acrn", "powervm", "uml", "zvm", "bochs":
			return answerNo, nil
		}
		return answerDepends, nil
	case "User", "Group":
		return answerOf(arg == "root" || arg == "0" || cond.Kind == "User" && arg == "@system"), nil
	case "Environment":
		return m.environmentCondition(arg, c)
	case "OSRelease":
		return m.releaseCondition(arg)
	case "Host":
		return m.hostCondition(arg)
	case "FirstBoot":
		first, ok := parseBool(arg)
		data, f, err := m.tree.read("/etc/machine-id", maxConfig)
		if err != nil || !ok || !f.Exists {
			return answerDepends, err
		}
		id := strings.TrimSpace(string(data))
		if len(id) != 32 {
			return answerDepends, nil
		}
		return answerOf(!first), nil
	case "Capability":
		return answerYes, nil // the system manager has all
	case "ACPower":
		return answerDepends, nil
	}
	return answerDepends, nil
}

// pathCondition answers a condition about a path. What lives in memory is made
// while the system starts, except what systemd itself makes first.
func (m *Machine) pathCondition(kind, p string) (answer, error) {
	if !path.IsAbs(p) {
		return answerNo, nil // systemd refuses the setting
	}
	p = path.Clean(p)
	if kind == "PathExistsGlob" && strings.ContainsAny(p, "*?[") {
		return m.globCondition(p)
	}
	if p == "/run/systemd/system" && kind != "PathIsSymbolicLink" {
		return answerYes, nil
	}
	if inMemory(p) || p == "/tmp" || strings.HasPrefix(p, "/tmp/") {
		return answerDepends, nil
	}
	real, err := m.tree.resolve(p, kind != "PathIsSymbolicLink")
	if errors.Is(err, fs.ErrNotExist) {
		// A link may lead into memory.
		if ahead, err := m.tree.follow(p, true, inMemory); err == nil && inMemory(ahead) {
			return answerDepends, nil
		}
		return answerNo, nil
	}
	if err != nil {
		return answerDepends, err
	}
	if inMemory(real) {
		return answerDepends, nil
	}
	info, v, name, err := m.tree.lstat(real)
	if errors.Is(err, fs.ErrNotExist) {
		return answerNo, nil
	}
	if err != nil {
		return answerDepends, err
	}
	switch kind {
	case "PathExists", "PathExistsGlob":
		return answerYes, nil
	case "PathIsDirectory":
		return answerOf(info.IsDir()), nil
	case "PathIsSymbolicLink":
		return answerOf(info.Mode()&fs.ModeSymlink != 0), nil
	case "FileIsExecutable":
		return answerOf(info.Mode().IsRegular() && info.Mode()&0o111 != 0), nil
	case "FileNotEmpty":
		return answerOf(info.Mode().IsRegular() && info.Size() > 0), nil
	case "DirectoryNotEmpty":
		if !info.IsDir() {
			return answerNo, nil
		}
		entries, err := v.FS.ReadDir(name)
		if err != nil {
			return answerDepends, &volumeError{v.role, err}
		}
		return answerOf(len(entries) > 0), nil
	}
	return answerDepends, nil
}

func (m *Machine) globCondition(p string) (answer, error) {
	folder := path.Dir(p)
	if strings.ContainsAny(folder, "*?[") || inMemory(folder) {
		return answerDepends, nil
	}
	entries, _, err := m.tree.list(folder)
	if err != nil {
		return answerDepends, err
	}
	for _, e := range entries {
		if ok, _ := path.Match(path.Base(p), e.Name()); ok {
			return answerYes, nil
		}
	}
	return answerNo, nil
}

// kernelCondition looks for a word, or for a name with or without a value, on
// the kernel command line.
func kernelCondition(arg string, c bootChoice) answer {
	if c.Lines == nil {
		return answerDepends // the command line is not known
	}
	some, all := answerNo, answerYes
	for _, line := range c.Lines {
		has := answerOf(slices.ContainsFunc(line, func(w string) bool {
			w = strings.ReplaceAll(w, `"`, "")
			return w == arg || !strings.Contains(arg, "=") && strings.HasPrefix(w, arg+"=")
		}))
		some, all = max(some, has), min(all, has)
	}
	if some != all {
		return answerDepends // on the entry that is chosen
	}
	return all
}

// environmentCondition looks at what the service manager itself has in its
// environment: what the kernel passes on of its command line, the locale, and
// ManagerEnvironment=.
func (m *Machine) environmentCondition(arg string, c bootChoice) (answer, error) {
	name, value, withValue := strings.Cut(arg, "=")
	known := map[string]string{}
	for _, line := range c.Lines {
		for _, w := range line {
			if n, v, ok := strings.Cut(w, "="); ok && !strings.Contains(n, ".") {
				known[n] = v
			}
		}
	}
	data, _, err := m.tree.read("/etc/locale.conf", maxConfig)
	if err != nil {
		return answerDepends, err
	}
	for n, v := range parseAssignments(string(data)) {
		known[n] = v
	}
	settings, err := m.managerSettings("ManagerEnvironment")
	if err != nil {
		return answerDepends, err
	}
	for _, s := range settings {
		words, _ := splitWords(s)
		for _, w := range words {
			n, v, _ := strings.Cut(w.text, "=")
			known[n] = v
		}
	}
	v, has := known[name]
	switch {
	case has:
		return answerOf(!withValue || v == value), nil
	case name == "PATH" && !withValue:
		return answerYes, nil
	case slices.Contains([]string{"PATH", "HOME", "SHELL", "TERM", "USER", "LOGNAME", "LANG", "container"}, name),
		c.Lines == nil:
		return answerDepends, nil
	}
	return answerNo, nil
}

// managerSettings returns a setting of the service manager, from system.conf
// and its drop-ins (systemd-system.conf(5)), in their order.
func (m *Machine) managerSettings(name string) ([]string, error) {
	var list []string
	take := func(p string) error {
		data, _, err := m.tree.read(p, maxUnit)
		if err != nil {
			return err
		}
		for _, s := range parseUnit(string(data))["Manager"] {
			if s[0] == name {
				if s[1] == "" {
					list = nil
				} else {
					list = append(list, s[1])
				}
			}
		}
		return nil
	}
	for _, p := range []string{"/usr/lib/systemd/system.conf", "/etc/systemd/system.conf"} {
		if err := take(p); err != nil {
			return list, err
		}
	}
	for _, folder := range []string{"/usr/lib/systemd/system.conf.d", "/etc/systemd/system.conf.d"} {
		entries, _, err := m.tree.list(folder)
		if err != nil {
			return list, err
		}
		for i, e := range entries {
			if path.Ext(e.Name()) != ".conf" || i >= maxNamed {
				continue
			}
			if err := take(path.Join(folder, e.Name())); err != nil {
				return list, err
			}
		}
	}
	return list, nil
}

// releaseCondition compares fields of os-release for equality; what compares
// versions is left open.
func (m *Machine) releaseCondition(arg string) (answer, error) {
	data, f, err := m.tree.read("/etc/os-release", maxConfig)
	if err == nil && !f.Exists {
		data, _, err = m.tree.read("/usr/lib/os-release", maxConfig)
	}
	if err != nil {
		return answerDepends, err
	}
	values := parseAssignments(string(data))
	words, err := splitWords(arg)
	if err != nil {
		return answerDepends, nil
	}
	result := answerYes
	for _, w := range words {
		name, value, ok := strings.Cut(w.text, "=")
		different := strings.HasSuffix(name, "!")
		name = strings.TrimSuffix(name, "!")
		if !ok || strings.ContainsAny(name, "<>$=") || strings.HasPrefix(value, "=") {
			result = min(result, answerDepends)
			continue
		}
		result = min(result, answerOf((values[name] == value) != different))
	}
	return result, nil
}

func (m *Machine) hostCondition(arg string) (answer, error) {
	n, err := m.unitNames()
	if err != nil {
		return answerDepends, err
	}
	if len(arg) == 32 && n.MachineID != "" && strings.Trim(strings.ToLower(arg), "0123456789abcdef") == "" {
		return answerOf(strings.EqualFold(arg, n.MachineID)), nil
	}
	if n.Hostname == "" {
		return answerDepends, nil
	}
	ok, err := path.Match(strings.ToLower(arg), strings.ToLower(n.Hostname))
	if err != nil {
		return answerDepends, nil
	}
	return answerOf(ok), nil
}
