package linux

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

func (s *homeSearch) units() error {
	units, err := s.Units()
	if err != nil {
		return err
	}
	unread := units.err
	seen := map[*unitFacts]bool{}
	for _, u := range units.all() {
		if u.State == unitMasked {
			continue
		}
		unread = joinErrors(unread, u.Err)
		if seen[u.Facts] {
			continue
		}
		seen[u.Facts] = true
		by := commandSource{By: "unit " + u.Name, Evidence: u.File, Idle: u.State == unitDisabled ||
			u.State == unitStatic}
		// The unit's own file may be in /home.
		if u.State != unitMissing {
			if _, f := units.files.resolve(u.Name); f != nil {
				unread = joinErrors(unread, s.path(commandPath{f.Path, true}, commandContext{}, by))
			}
		}
		unread = joinErrors(unread, s.unit(u, by))
	}
	unread = joinErrors(unread, s.wants(units))
	return joinErrors(unread, s.userUnits())
}

// unit looks at everything that a unit executes or loads.
func (s *homeSearch) unit(u Unit, by commandSource) error {
	facts := u.Facts
	c := commandContext{Dir: strings.TrimPrefix(facts.WorkingDirectory, "-"), Vars: map[string]string{}}
	if c.Dir == "" {
		c.Dir = "/"
	}
	if path.Clean(facts.RootDirectory) != "/" {
		c.Root = facts.RootDirectory
	}
	var unread error
	for _, p := range facts.EnvironmentFiles {
		p = strings.TrimPrefix(p, "-")
		if strings.ContainsAny(p, "*?[") || inMemory(p) {
			continue
		}
		values, _, err := readParsed(&s.tree, p, maxConfig, "assignments",
			func(data []byte) (map[string]string, error) { return parseAssignments(string(data)), nil })
		if err != nil {
			unread = joinErrors(unread, err)
			continue
		}
		for k, v := range values {
			if len(c.Vars) < maxShellVars {
				c.Vars[k] = v
			}
		}
	}
	analysis := &commandAnalysis{context: c}
	for _, a := range facts.Environment {
		if k, v, ok := strings.Cut(a, "="); ok {
			if _, set := c.Vars[k]; !set && len(c.Vars) < maxShellVars {
				c.Vars[k] = v
			}
			analysis.assignment(a)
		}
	}
	unread = joinErrors(unread, s.paths(analysis.found, c, by))
	if facts.RootImage != "" {
		unread = joinErrors(unread, s.path(commandPath{facts.RootImage, true}, commandContext{}, by))
	}
	if path.IsAbs(c.Dir) && c.Dir != "/" {
		unread = joinErrors(unread, s.path(commandPath{path.Join("/", c.Root, c.Dir), false}, commandContext{}, by))
	}
	seen := map[string]bool{}
	for _, command := range slices.Concat(facts.Exec, facts.Ignored) {
		if seen[command.Raw] {
			continue
		}
		seen[command.Raw] = true
		source := by
		source.Evidence.Data = command.Raw
		argv := []string{expandVariables(command.Path, c.Vars, command.Literal)}
		for _, a := range command.Args {
			argv = append(argv, unitWords(a, c.Vars, command.Literal)...)
		}
		here := c
		here.Vars = maps.Clone(c.Vars)
		unread = joinErrors(unread, s.command(argv, here, source))
	}
	return unread
}

// unitWords replaces variables in a word of a unit's command: one that is a
// variable by itself becomes the words of its value.
func unitWords(w string, vars map[string]string, literal bool) []string {
	if !literal && len(w) > 1 && w[0] == '$' && w[1] != '{' && w[1] != '$' {
		return strings.Fields(vars[w[1:]])
	}
	return []string{expandVariables(w, vars, literal)}
}

// expandVariables replaces ${NAME} (systemd.service(5), COMMAND LINES).
func expandVariables(w string, vars map[string]string, literal bool) string {
	if literal || !strings.Contains(w, "$") {
		return w
	}
	var b strings.Builder
	for len(w) > 0 && b.Len() < maxShellValue {
		before, rest, ok := strings.Cut(w, "$")
		b.WriteString(before)
		if !ok {
			break
		}
		switch {
		case strings.HasPrefix(rest, "$"):
			b.WriteByte('$')
			rest = rest[1:]
		case strings.HasPrefix(rest, "{"):
			name, after, closed := strings.Cut(rest[1:], "}")
			if !closed {
				b.WriteByte('$')
				break
			}
			b.WriteString(vars[name])
			rest = after
		default:
			b.WriteByte('$')
		}
		w = rest
	}
	return b.String()
}

// wants looks at the links of .wants and .requires folders that lead into
// /home.
func (s *homeSearch) wants(units *unitSet) error {
	var unread error
	for _, folder := range slices.Sorted(maps.Keys(units.files.links)) {
		for _, l := range units.files.linked(folder) {
			p := "/" + l.Evidence.Path
			h, err := s.lead(p)
			if err != nil {
				unread = joinErrors(unread, err)
				continue
			}
			if h.Home == "" {
				continue
			}
			what := usedBy(h.Home, "link "+p)
			// Only the name of the link counts: if the unit's file is
			// elsewhere, the link's target is not read.
			if u := units.get(l.Name); u.State != unitMissing || !h.Exists {
				s.add(&s.Named, what, homeProgram(h.Home), l.Evidence)
			} else {
				s.add(&s.Installed, what, homeProgram(h.Home), l.Evidence)
			}
		}
	}
	return unread
}

// userUnitFolders are where the service managers of all users find units.
var userUnitFolders = []string{"/etc/systemd/user", "/usr/local/lib/systemd/user", "/usr/lib/systemd/user"}

func (s *homeSearch) userUnits() error {
	var unread error
	version, _ := s.SystemdVersion()
	for _, folder := range userUnitFolders {
		entries, _, err := s.tree.list(folder)
		if err != nil {
			unread = joinErrors(unread, err)
			continue
		}
		for i, e := range entries {
			if path.Ext(e.Name()) != ".service" {
				continue
			}
			if i >= maxMenu {
				return joinErrors(unread, fmt.Errorf("%s has more than %d units: %w", folder, maxMenu, errTooLarge))
			}
			p := path.Join(folder, e.Name())
			if s.endsAtNull(p) {
				continue
			}
			text, f, err := readParsed(&s.tree, p, maxUnit, "unit", func(data []byte) (parsedUnit, error) {
				return parsedUnit{len(data) == 0, parseUnitFile(string(data), version)}, nil
			})
			if err != nil {
				unread = joinErrors(unread, err)
				continue
			}
			if !f.Exists {
				continue
			}
			by := commandSource{By: "user unit " + e.Name(), Evidence: f.Evidence, Idle: true}
			for _, setting := range text.Settings {
				if setting.Section != "Service" || !strings.HasPrefix(setting.Name, "Exec") {
					continue
				}
				commands, _ := parseExec(setting.Name, strings.ReplaceAll(setting.Value, "%h", unknownValue), version,
					unitNames{Name: e.Name()})
				for _, c := range commands {
					by.Evidence.Data = c.Raw
					unread = joinErrors(unread, s.command(append([]string{c.Path}, c.Args...),
						commandContext{Vars: map[string]string{}}, by))
				}
			}
		}
	}
	return unread
}

// maxMenu bounds how many entries of a folder of desktop files, links and the
// like are looked at, with those below it: real ones have a few hundred.
const maxMenu = 10_000

// linkFolders are where programs are found by links, and how many folders deep
// they are looked for.
var linkFolders = []struct {
	path  string
	depth int
}{
	{"/usr/local/bin", 0}, {"/usr/local/sbin", 0}, {"/usr/bin", 0}, {"/usr/sbin", 0}, {"/etc/alternatives", 0},
	{"/usr/local/lib", 1}, {"/usr/lib/jvm", 0}, {"/opt", 3}, {"/srv", 1},
}

// links checks the links to programs elsewhere. A broken link is only named, as
// is one to a folder without programs.
func (s *homeSearch) links() error {
	var unread error
	for _, place := range linkFolders {
		seen := 0
		unread = joinErrors(unread, s.linksBelow(place.path, place.depth, &seen))
	}
	return unread
}

// maxLinksBelow bounds the entries that are looked at below one place.
const maxLinksBelow = 100_000

func (s *homeSearch) linksBelow(folder string, depth int, seen *int) error {
	if real, err := s.lead(folder); err != nil || real.Home != "" {
		if real.Home != "" {
			return s.linkTo(folder, real)
		}
		return err
	}
	entries, _, err := s.tree.list(folder)
	if err != nil {
		return err
	}
	var unread error
	for _, e := range entries {
		if *seen++; *seen > maxLinksBelow {
			return joinErrors(unread, fmt.Errorf("%s has more than %d entries: %w", folder, maxLinksBelow, errTooLarge))
		}
		p := path.Join(folder, e.Name())
		switch {
		case e.IsDir() && depth > 0:
			unread = joinErrors(unread, s.linksBelow(p, depth-1, seen))
		case e.Type()&fs.ModeSymlink != 0:
			h, err := s.lead(p)
			if err != nil {
				unread = joinErrors(unread, err)
			} else if h.Home != "" {
				unread = joinErrors(unread, s.linkTo(p, h))
			}
		}
	}
	return unread
}

// linkTo judges a link, or a bind mount, that leads into /home.
func (s *homeSearch) linkTo(p string, h homePath) error {
	f, err := s.tree.link(p)
	if err != nil {
		return err
	}
	what := usedBy(h.Home, "link "+p)
	if !h.Exists {
		s.add(&s.Named, usedBy(h.Home, "link "+p+", missing"), homeProgram(h.Home), f.Evidence)
		return nil
	}
	target, err := s.tree.file(p)
	if err == nil && target.Dir {
		programs, err := s.programsBelow(h.Home)
		if err != nil {
			return err
		}
		if programs == "" {
			s.add(&s.Named, usedBy(h.Home, "link "+p+", no programs"), homeProgram(h.Home), f.Evidence)
			return nil
		}
	}
	s.add(&s.Installed, what, homeProgram(h.Home), f.Evidence)
	return nil
}

// menuFolders are folders of desktop files for all users.
var menuFolders = []string{"/usr/share/applications", "/usr/local/share/applications", "/etc/xdg/autostart",
	"/usr/share/xsessions", "/usr/share/wayland-sessions", "/usr/share/gnome/autostart", "/etc/skel/.config/autostart"}

func (s *homeSearch) desktop() (err error) {
	seen := 0
	var look func(folder string) error
	look = func(folder string) error {
		entries, _, err := s.tree.list(folder)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if seen++; seen > maxMenu {
				return fmt.Errorf("%s has more than %d entries: %w", folder, maxMenu, errTooLarge)
			}
			here := path.Join(folder, e.Name())
			switch {
			case e.IsDir():
				err = look(here)
			case path.Ext(e.Name()) == ".desktop":
				err = s.desktopFile(here)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, folder := range menuFolders {
		err = joinErrors(err, look(folder))
	}
	return err
}

// desktopFile checks the entry and the actions of a desktop file, and its own
// location.
func (s *homeSearch) desktopFile(p string) error {
	sections, f, err := readParsed(&s.tree, p, maxUnit, "desktop",
		func(data []byte) (unitSections, error) { return parseUnit(string(data)), nil })
	if err != nil || !f.Exists {
		return err
	}
	by := commandSource{By: "desktop file " + path.Base(p), Evidence: f.Evidence}
	entry := map[string]string{}
	for _, setting := range sections["Desktop Entry"] {
		entry[setting[0]] = setting[1]
	}
	if hidden, _ := parseBool(entry["Hidden"]); hidden {
		return nil
	}
	c := commandContext{Dir: entry["Path"]}
	var unread error
	for _, name := range slices.Sorted(maps.Keys(sections)) {
		if name != "Desktop Entry" && !strings.HasPrefix(name, "Desktop Action ") {
			continue
		}
		for i, setting := range sections[name] {
			if setting[0] != "Exec" && setting[0] != "TryExec" {
				continue
			}
			if i > maxSettings {
				return joinErrors(unread, inFile(p, errUnitTooLong))
			}
			words, _ := splitWords(setting[1])
			var argv []string
			for _, w := range words {
				argv = append(argv, w.text)
			}
			by.Evidence.Data = setting[0] + "=" + setting[1]
			here := c
			here.Vars = map[string]string{}
			unread = joinErrors(unread, s.command(argv, here, by))
		}
	}
	return unread
}

// libraries looks at the folders and files from which the dynamic linker loads
// for every program (ld.so(8), ldconfig(8)).
func (s *homeSearch) libraries() error {
	files := []string{"/etc/ld.so.conf"}
	entries, _, err := s.tree.list("/etc/ld.so.conf.d")
	if err != nil {
		return err
	}
	for i, e := range entries {
		if path.Ext(e.Name()) == ".conf" && i < maxMenu {
			files = append(files, "/etc/ld.so.conf.d/"+e.Name())
		}
	}
	var unread error
	for _, p := range append(files, "/etc/ld.so.preload") {
		lines, f, err := readParsed(&s.tree, p, maxConfig, "lines",
			func(data []byte) ([]string, error) { return configLines(string(data)), nil })
		if err != nil {
			unread = joinErrors(unread, err)
			continue
		}
		for _, line := range lines {
			for _, folder := range strings.FieldsFunc(line,
				func(r rune) bool { return strings.ContainsRune(" \t:,", r) }) {
				if !path.IsAbs(folder) {
					continue
				}
				folder, _, _ = strings.Cut(folder, "=")
				by := commandSource{By: "libraries of " + p, Evidence: noted(f.Evidence, line), Idle: true}
				unread = joinErrors(unread, s.path(commandPath{folder, true}, commandContext{}, by))
			}
		}
	}
	return unread
}

// configLines lists the lines of a text without comments and blank ones, as
// many as are looked at.
func configLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line != "" && len(lines) < maxMenu {
			lines = append(lines, line)
		}
	}
	return lines
}

// localScripts looks through the scripts in the folders of programs that are
// not the distribution's.
func (s *homeSearch) localScripts() error {
	return s.eachFile([]string{"/usr/local/bin", "/usr/local/sbin"}, func(p string) error {
		if h, err := s.lead(p); err != nil || h.Home != "" {
			return err // a link, which was looked at
		}
		return s.script(p, commandContext{},
			commandSource{Evidence: contentEvidence("root", p[1:])})
	})
}

// eachFile calls look for every entry of the folders that is not a folder. The
// error joins those of look and of folders that cannot be listed. A folder with
// more than maxMenu entries ends it.
func (s *homeSearch) eachFile(folders []string, look func(p string) error) error {
	var unread error
	for _, folder := range folders {
		entries, _, err := s.tree.list(folder)
		if err != nil {
			unread = joinErrors(unread, err)
			continue
		}
		for i, e := range entries {
			if i >= maxMenu {
				return joinErrors(unread, fmt.Errorf("%s has more than %d entries: %w", folder, maxMenu, errTooLarge))
			}
			if !e.IsDir() {
				unread = joinErrors(unread, look(path.Join(folder, e.Name())))
			}
		}
	}
	return unread
}
