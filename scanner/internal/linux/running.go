package linux

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// servicePath is where systemd looks for a program without a path
// (systemd.exec(5), EXECSEARCHPATH; DEFAULT_PATH).
var servicePath = []string{"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"}

// obstacle says what keeps a unit that systemd starts from running: conditions,
// programs, users and paths that are not there, by every command line of the
// boot loader.
func (m *Machine) obstacle(s *unitSet, u Unit) (startFault, error) {
	var worst startFault
	if u.Why != "" && u.State == unitEnabled {
		// An earlier systemd starts it all the same where another unit pulls it in,
		// and refuses to where it is started by itself.
		return startFault{Why: u.clause(), Certain: true, Evidence: u.File}, nil
	}
	for _, c := range s.boots {
		f, err := m.obstacleAt(s, u, c, 0)
		if err != nil {
			return f, err
		}
		if f.Why == "" && worst.Certain || f.Certain && worst.Why == "" && len(s.boots) > 1 &&
			c.Evidence != s.boots[0].Evidence {
			worst.Certain, f.Certain = false, false // it depends on the boot entry
		}
		if worst.Why == "" {
			worst = f
		}
	}
	return worst, nil
}

func (m *Machine) obstacleAt(s *unitSet, u Unit, c bootChoice, depth int) (startFault, error) {
	var doubt startFault
	keep := func(f startFault) {
		if f.Why != "" && doubt.Why == "" {
			doubt = f
		}
	}
	for _, list := range [][]unitCondition{u.Facts.Conditions, u.Facts.Asserts} {
		f, err := m.conditions(list, c)
		f.Evidence = u.File
		if err != nil || f.Certain {
			return f, err
		}
		keep(f)
	}
	if path.Ext(u.Name) == ".service" {
		f, err := m.serviceObstacle(u)
		if err != nil || f.Certain {
			return f, err
		}
		keep(f)
	}
	// A unit fails if one that it requires fails.
	for _, name := range append(slices.Clone(u.Facts.Requires), u.Facts.Requisite...) {
		real := s.lookup(name)
		below := s.units[real]
		if below == nil || depth > maxAliases || !slices.Contains(u.Facts.After, name) &&
			!slices.Contains(u.Facts.After, real) {
			continue
		}
		if below.Err != nil {
			return startFault{}, below.Err
		}
		f, err := m.requiredObstacle(s, *below, c, depth+1)
		if err != nil {
			return f, err
		}
		if f.Why != "" {
			starts := "may not start"
			if f.Certain {
				starts = "does not start"
			}
			f.Why = fmt.Sprintf("it requires %s, which %s: %s", real, starts, f.Why)
			if f.Certain {
				return f, nil
			}
			keep(f)
		}
	}
	return doubt, nil
}

// requiredObstacle is obstacle for a unit that another requires: where a
// condition is not met it is skipped, and the other starts all the same.
func (m *Machine) requiredObstacle(s *unitSet, u Unit, c bootChoice, depth int) (startFault, error) {
	f, err := m.conditions(u.Facts.Conditions, c)
	if err != nil || f.Why != "" {
		return startFault{}, err
	}
	without := *u.Facts
	without.Conditions = nil
	u.Facts = &without
	f, err = m.obstacleAt(s, u, c, depth)
	if f.Certain && u.Facts.Type == "simple" {
		f.Certain = false // it counts as started before its program is executed
	}
	return f, err
}

// serviceObstacle looks at what a service executes, as whom, and where.
func (m *Machine) serviceObstacle(u Unit) (startFault, error) {
	facts := u.Facts
	certain := func(format string, args ...any) startFault {
		return startFault{Why: fmt.Sprintf(format, args...), Certain: true, Evidence: u.File}
	}
	var doubt startFault
	if facts.RootImage != "" {
		doubt = startFault{Why: "it runs in the disk image " + facts.RootImage + ", which coldcheck does not read",
			Evidence: u.File}
	}
	root := ""
	if facts.RootDirectory != "" && path.Clean(facts.RootDirectory) != "/" {
		root = path.Clean(facts.RootDirectory)
	}
	if facts.RootImage == "" {
		for _, command := range facts.Exec {
			if command.Ignore && command.Setting != "ExecStart" ||
				!slices.Contains([]string{"ExecStartPre", "ExecStart", "ExecCondition"}, command.Setting) {
				continue
			}
			f, err := m.commandObstacle(command, root, u.File)
			if err != nil || f.Certain {
				return f, err
			}
			if f.Why != "" && doubt.Why == "" {
				doubt = f
			}
		}
		if w, optional := strings.CutPrefix(facts.WorkingDirectory, "-"); !optional && path.IsAbs(w) {
			a, err := m.pathCondition("PathIsDirectory", path.Join(root, w))
			if err != nil {
				return startFault{}, err
			}
			if a == answerNo {
				return certain("its WorkingDirectory %s does not exist", w), nil
			}
		}
	}
	for _, p := range facts.EnvironmentFiles {
		if strings.HasPrefix(p, "-") || strings.ContainsAny(p, "*?[") {
			continue
		}
		a, err := m.pathCondition("PathExists", p)
		if err != nil {
			return startFault{}, err
		}
		if a == answerNo {
			return certain("its EnvironmentFile %s does not exist", p), nil
		}
	}
	for _, setting := range facts.NeededPaths {
		_, p, _ := strings.Cut(setting, "=")
		if root != "" || facts.RootImage != "" {
			break
		}
		a, err := m.pathCondition("PathExists", p)
		if err != nil {
			return startFault{}, err
		}
		if a == answerNo {
			return certain("%s does not exist", setting), nil
		}
	}
	f, err := m.accountObstacle(u)
	if err != nil || f.Certain {
		return f, err
	}
	if doubt.Why == "" {
		doubt = f
	}
	if doubt.Why == "" && slices.ContainsFunc(facts.Exec,
		func(c execCommand) bool { return c.Setting == "ExecCondition" }) {
		doubt = startFault{Why: "its ExecCondition= is evaluated at boot", Evidence: u.File}
	}
	return doubt, nil
}

// standardPrograms are tools that every system has, and that accompany what a
// service is about: that one of them is not there keeps no service from being
// taken as started.
var standardPrograms = []string{
	"sh", "bash", "dash", "env", "true", "false", "test", "touch", "mkdir", "rm", "rmdir", "mv", "cp", "ln", "cat",
	"echo", "chmod", "chown", "chgrp", "install",
	"sleep", "kill", "pkill", "grep", "sed", "awk", "mount", "umount", "modprobe", "udevadm", "systemctl",
	"systemd-tmpfiles", "restorecon", "logger",
	"python", "python2", "python3", "perl",
}

// isStandard says whether a path is that of a tool that every system has.
func isStandard(p string) bool {
	return slices.Contains([]string{"/bin", "/sbin", "/usr/bin", "/usr/sbin"}, path.Dir(p)) &&
		slices.Contains(standardPrograms, path.Base(p))
}

// commandObstacle says why a command cannot be executed.
func (m *Machine) commandObstacle(c execCommand, root string, unit requirement.Evidence) (startFault, error) {
	if c.Unknown {
		return startFault{Why: "its program " + c.Path + " is only known at boot", Evidence: unit}, nil
	}
	candidates := []string{c.Path}
	if !path.IsAbs(c.Path) {
		candidates = nil
		for _, folder := range servicePath {
			candidates = append(candidates, path.Join(folder, c.Path))
		}
	}
	var why string
	at := unit
	for _, p := range candidates {
		real, err := m.inRoot(root, p)
		if errors.Is(err, fs.ErrNotExist) {
			if root == "" && isStandard(p) {
				return startFault{}, nil
			}
			why = "its program " + p + " does not exist"
			continue
		}
		if err != nil {
			return startFault{}, err
		}
		if inMemory(real) {
			return startFault{Why: "its program " + p + " is created at boot", Evidence: unit}, nil
		}
		ok, fault, err := m.executableFile(real)
		if err != nil {
			return startFault{}, err
		}
		if ok {
			return startFault{}, nil
		}
		why = "its program " + p + " " + fault
		if f, err := m.tree.file(real); err == nil {
			at = f.Evidence
		}
	}
	if len(candidates) > 1 {
		why = "its program " + c.Path + " is in no folder that systemd searches"
	}
	return startFault{Why: why, Certain: true, Evidence: at}, nil
}

// inRoot resolves a path below the folder that is a service's root.
func (m *Machine) inRoot(root, p string) (string, error) {
	if root == "" {
		return m.tree.resolve(p, true)
	}
	// Links below the folder are followed as if it were the root.
	here := "/"
	left := strings.Split(strings.Trim(path.Clean("/"+p), "/"), "/")
	for links := 0; len(left) > 0; {
		next := path.Join(here, left[0])
		left = left[1:]
		f, err := m.tree.link(path.Join(root, next))
		if err != nil {
			return "", err
		}
		if !f.Exists {
			return "", fs.ErrNotExist
		}
		if f.Target == "" {
			here = next
			continue
		}
		if links++; links > maxLinks {
			return "", errTooManyLinks
		}
		target := f.Target
		if !path.IsAbs(target) {
			target = path.Join(here, target)
		}
		left = append(strings.Split(strings.Trim(path.Clean(target), "/"), "/"), left...)
		here = "/"
	}
	return m.tree.resolve(path.Join(root, here), true)
}

// executableFile says whether the kernel executes a file, else why not: it has
// to be a regular file with an execute bit, and not empty; the interpreter that
// a script names must be one too.
func (m *Machine) executableFile(p string) (ok bool, fault string, err error) {
	return m.executableAt(p, true)
}

func (m *Machine) executableAt(p string, script bool) (ok bool, fault string, err error) {
	info, err := m.tree.stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return false, "does not exist", nil
	case err != nil:
		return false, "", err
	case !info.Mode().IsRegular():
		return false, "is not a file", nil
	case info.Mode()&0o111 == 0:
		return false, "is not executable", nil
	case info.Size() == 0:
		return false, "is empty", nil
	}
	if !script {
		return true, "", nil
	}
	head, err := m.head(p, 256)
	if err != nil {
		return false, "", err
	}
	line, isScript := strings.CutPrefix(string(head), "#!")
	if !isScript {
		return true, "", nil
	}
	line, _, _ = strings.Cut(line, "\n")
	fields := strings.Fields(line)
	if len(fields) == 0 || !path.IsAbs(fields[0]) {
		return true, "", nil
	}
	ok, fault, err = m.executableAt(fields[0], false)
	if !ok && err == nil && fault == "does not exist" && isStandard(fields[0]) {
		return true, "", nil
	}
	if !ok && err == nil {
		return false, "needs the interpreter " + fields[0] + ", which " + fault, nil
	}
	return ok, "", err
}

// head returns the first bytes of a file.
func (m *Machine) head(p string, n int) ([]byte, error) {
	real, err := m.tree.resolve(p, true)
	if err != nil {
		return nil, err
	}
	_, v, name, err := m.tree.lstat(real)
	if err != nil {
		return nil, err
	}
	open, err := v.FS.Open(name)
	if err != nil {
		return nil, &volumeError{v.role, err}
	}
	defer open.Close()
	data := make([]byte, n)
	n, err = io.ReadFull(open, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, &volumeError{v.role, err}
	}
	return data[:n], nil
}

// accountObstacle says whether the user and group of a service are there. Those
// of a directory service, and those that are made at the start, depend on the
// boot or are no obstacle.
func (m *Machine) accountObstacle(u Unit) (startFault, error) {
	if u.Facts.DynamicUser {
		return startFault{}, nil
	}
	for _, a := range []struct{ setting, name, file, database string }{
		{"User", u.Facts.User, "/etc/passwd", "passwd"}, {"Group", u.Facts.Group, "/etc/group", "group"},
	} {
		if a.name == "" || a.name == "root" {
			continue
		}
		if _, err := strconv.ParseUint(a.name, 10, 32); err == nil {
			continue
		}
		found := false
		for _, p := range []string{a.file, "/usr/lib/" + a.database} {
			data, _, err := m.tree.read(p, maxConfig)
			if err != nil {
				return startFault{}, err
			}
			for line := range strings.Lines(string(data)) {
				name, _, _ := strings.Cut(line, ":")
				found = found || name == a.name
			}
		}
		if found {
			continue
		}
		made, err := m.sysusersMakes(a.name)
		if err != nil {
			return startFault{}, err
		}
		if made {
			continue
		}
		data, _, err := m.tree.read("/etc/nsswitch.conf", maxConfig)
		if err != nil {
			return startFault{}, err
		}
		f := startFault{Why: fmt.Sprintf("its %s=%s does not exist", a.setting, a.name), Certain: true,
			Evidence: u.File}
		if asksDirectory(string(data), a.database) {
			f.Certain, f.Why = false, fmt.Sprintf("its %s=%s is not a local account (a directory service may know it)",
				a.setting, a.name)
		}
		return f, nil
	}
	return startFault{}, nil
}

// asksDirectory says whether a database of nsswitch.conf(5) is also answered by
// a directory service.
func asksDirectory(text, database string) bool {
	for line := range strings.Lines(text) {
		name, services, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) != database {
			continue
		}
		for _, s := range strings.Fields(services) {
			if slices.Contains([]string{"sss", "ldap", "winbind", "nis", "nisplus", "hesiod"}, s) {
				return true
			}
		}
	}
	return false
}

// sysusersMakes says whether systemd-sysusers makes an account at the start
// (sysusers.d(5)).
func (m *Machine) sysusersMakes(name string) (bool, error) {
	for _, folder := range []string{"/etc/sysusers.d", "/usr/lib/sysusers.d"} {
		entries, _, err := m.tree.list(folder)
		if err != nil {
			return false, err
		}
		for i, e := range entries {
			if path.Ext(e.Name()) != ".conf" || i >= maxBusNames {
				continue
			}
			data, _, err := m.tree.read(path.Join(folder, e.Name()), maxUnit)
			if err != nil {
				return false, err
			}
			for line := range strings.Lines(string(data)) {
				fields := strings.Fields(line)
				if len(fields) >= 2 && (fields[0] == "u" || fields[0] == "u!" || fields[0] == "g") &&
					strings.Trim(fields[1], `"`) == name {
					return true, nil
				}
			}
		}
	}
	return false, nil
}
