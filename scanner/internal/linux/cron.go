package linux

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// A cronJob is one line of a crontab (crontab(5)).
type cronJob struct {
	User    string // "" where the table is a user's own
	Command string
	Vars    map[string]string // of the lines before it
	Line    int
}

// maxCronJobs bounds how many lines of one table are looked at.
const maxCronJobs = 5000

// parseCrontab reads a table. Those of the system name a user in each line.
func parseCrontab(text string, system bool) (jobs []cronJob, err error) {
	vars := map[string]string{}
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if name, value, ok := cronVariable(line); ok {
			if len(vars) < maxShellVars {
				changed := map[string]string{name: value}
				for k, v := range vars {
					if k != name {
						changed[k] = v
					}
				}
				vars = changed
			}
			continue
		}
		fields := 5
		if line[0] == '@' {
			fields = 1
		}
		if system {
			fields++
		}
		rest, last := line, ""
		for range fields {
			rest = strings.TrimLeft(rest, " \t")
			end := strings.IndexAny(rest, " \t")
			if end < 0 {
				rest, last = "", ""
				break
			}
			last, rest = rest[:end], rest[end:]
		}
		if rest = strings.TrimSpace(rest); rest == "" {
			continue
		}
		if len(jobs) >= maxCronJobs {
			return jobs, fmt.Errorf("more than %d cron jobs: %w", maxCronJobs, errTooLarge)
		}
		job := cronJob{Command: cronCommand(rest), Vars: vars, Line: number}
		if system {
			job.User = last
		}
		jobs = append(jobs, job)
	}
	return jobs, nil
}

// cronVariable reads a line that sets a variable.
func cronVariable(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, "=")
	name = strings.Trim(strings.TrimSpace(name), `"'`)
	if !ok || name == "" || strings.ContainsAny(name, " \t*/,@%") || name[0] >= '0' && name[0] <= '9' {
		return "", "", false
	}
	value = strings.TrimSpace(value)
	if len(value) > 1 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		value = value[1 : len(value)-1]
	}
	return name, value, true
}

// cronCommand is the part of a line that is executed: up to a "%" that no
// backslash escapes.
func cronCommand(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && s[i+1] == '%' {
			b.WriteByte('%')
			i++
			continue
		}
		if s[i] == '%' {
			break
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// cron looks at the tables of the system and of users, and at the folders of
// scripts that run each hour, day, week or month.
func (s *homeSearch) cron() error {
	unread := s.crontab("/etc/crontab", true, false)
	unread = joinErrors(unread, s.cronFolder("/etc/cron.d", true))
	for _, folder := range []string{"/var/spool/cron", "/var/spool/cron/crontabs", "/var/spool/cron/tabs"} {
		unread = joinErrors(unread, s.cronFolder(folder, false))
	}
	unread = joinErrors(unread, s.anacrontab())
	periods := []string{"/etc/cron.hourly", "/etc/cron.daily", "/etc/cron.weekly", "/etc/cron.monthly"}
	return joinErrors(unread, s.runScripts(periods, "cron"))
}

// runScripts looks at the scripts in folders that are executed if they have an
// execute bit.
func (s *homeSearch) runScripts(folders []string, by string) error {
	return s.eachFile(folders, func(p string) error {
		if isLeftOver(path.Base(p)) {
			return nil
		}
		return s.runScript(p, by)
	})
}

// runScript looks at a file that is executed if it has an execute bit.
func (s *homeSearch) runScript(p, what string) error {
	h, err := s.lead(p)
	if err != nil {
		return err
	}
	f, err := s.tree.link(p)
	if err != nil {
		return err
	}
	by := commandSource{By: what, Evidence: f.Evidence, Idle: true}
	if h.Home == "" {
		if ok, _, err := s.executableFile(p); !ok {
			return err // nothing runs it
		}
	}
	return s.path(commandPath{p, true}, commandContext{}, by)
}

// isLeftOver says whether a name is that of a copy that editors and package
// managers leave, which neither cron nor run-parts reads.
func isLeftOver(name string) bool {
	for _, end := range []string{"~", ".rpmsave", ".rpmorig", ".rpmnew", ".cfsaved", ".swp", ",v", ".dpkg-old",
		".dpkg-dist", ".dpkg-new", ".dpkg-tmp", ".bak"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return name[0] == '.' || name[0] == '#'
}

func (s *homeSearch) cronFolder(folder string, system bool) error {
	entries, _, err := s.tree.list(folder)
	if err != nil {
		return err
	}
	var unread error
	for i, e := range entries {
		if i >= maxMenu {
			return joinErrors(unread, fmt.Errorf("%s: more than %d crontabs: %w", folder, maxMenu, errTooLarge))
		}
		if e.IsDir() || isLeftOver(e.Name()) || system && s.isDebian() && strings.Contains(e.Name(), ".") {
			continue
		}
		own := false
		if !system {
			own = s.isPerson(e.Name())
		}
		unread = joinErrors(unread, s.crontab(path.Join(folder, e.Name()), system, own))
	}
	return unread
}

// isDebian says whether the packages are dpkg's: cron of Debian skips names
// with a point.
func (s *homeSearch) isDebian() bool { return s.manager() == "apt" }

// isPerson says whether an account is that of a user: one of passwd(5) from
// firstUser on, or one that only a directory service knows.
func (s *homeSearch) isPerson(name string) bool {
	data, _, err := s.tree.read("/etc/passwd", maxConfig)
	if err != nil || name == "root" {
		return false
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(line, ":")
		if len(fields) > 2 && fields[0] == name {
			uid, err := strconv.ParseUint(fields[2], 10, 32)
			return err == nil && uid >= firstUser
		}
	}
	return true
}

func (s *homeSearch) crontab(p string, system, own bool) error {
	kind := "crontab"
	if system {
		kind = "system crontab"
	}
	jobs, f, err := readParsed(&s.tree, p, maxUnit, kind,
		func(data []byte) ([]cronJob, error) { return parseCrontab(string(data), system) })
	if err != nil {
		err = inFile(p, err)
	}
	for _, job := range jobs {
		by := commandSource{By: p, Evidence: noted(f.Evidence,
			fmt.Sprintf("line %d: %s", job.Line, shorten(job.Command))), Own: own}
		vars := map[string]string{}
		for k, v := range job.Vars {
			vars[k] = v
		}
		dir := vars["HOME"]
		switch {
		case dir != "":
		case job.User == "root" || !system && path.Base(p) == "root":
			dir, vars["HOME"] = "/root", "/root"
		}
		commands, more := parseShell(job.Command, vars)
		err = joinErrors(err, more, s.shellCommands(commands, commandContext{Dir: dir, Vars: vars}, by))
		if shell := job.Vars["SHELL"]; shell != "" {
			err = joinErrors(err, s.command([]string{shell}, commandContext{}, by))
		}
	}
	return err
}

// anacrontab reads anacron's table: period, delay, name, command
// (anacrontab(5)).
func (s *homeSearch) anacrontab() error {
	lines, f, err := readParsed(&s.tree, "/etc/anacrontab", maxUnit, "lines",
		func(data []byte) ([]string, error) { return configLines(string(data)), nil })
	for _, line := range lines {
		fields := strings.Fields(line)
		if _, _, variable := cronVariable(line); variable || len(fields) < 4 {
			continue
		}
		by := commandSource{By: "/etc/anacrontab", Evidence: noted(f.Evidence, line)}
		commands, more := parseShell(strings.Join(fields[3:], " "), nil)
		err = joinErrors(err, more, s.shellCommands(commands, commandContext{Dir: "/"}, by))
	}
	return err
}

// initScripts looks at init scripts of System V and at rc.local, which run if
// they have an execute bit.
func (s *homeSearch) initScripts() error {
	unread := joinErrors(s.runScript("/etc/rc.local", "rc.local"), s.runScript("/etc/rc.d/rc.local", "rc.local"))
	return joinErrors(unread, s.runScripts([]string{"/etc/init.d", "/etc/rc.d/init.d"}, "an init script"))
}
