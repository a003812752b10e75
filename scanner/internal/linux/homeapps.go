package linux

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var appsOutsideHome = entry{
	Requirement: require(requirement.Required, "linux.apps.outside-home",
		"Applications must be installed outside the user volume (/home).", sectionRequirements, explanation{
			Reads: "What executes or loads programs for all users, through links, mounts and variables: files of " +
				"packages, commands of units, cron, init scripts and rc.local, alternatives, links and scripts in " +
				"/usr/local/bin, /opt and /srv, desktop and autostart files, the library path, PATH, and homes of " +
				"service accounts. A path that ends in /home fails.",
			Live: "rpm -qal | grep ^/home/ (or dpkg -S /home/); systemctl cat '*.service' | grep /home/; find -L " +
				"/opt /usr/local/bin -lname '/home/*'",
			Fix: "Remove the application and install it again outside /home, for example in /opt or /usr/local.",
			Doubts: "AWS does not say whether programs that users keep in their homes count. Folders of a home that look " +
				"like an installation are a warning; snaps, caches and single scripts are not.",
		}),
	Judge: (*Machine).decideHomeApps,
}

// inHome is a program below /home, and the file that names it.
type inHome struct {
	What     string
	Subject  requirement.Subject
	Evidence requirement.Evidence
}

// homeFindings is what was found in /home, by what it means.
type homeFindings struct {
	Installed []inHome // executed or loaded from /home: fails
	Missed    []inHome // would be missed: a warning
	Own       []inHome // users' own programs: a warning
	Named     []inHome // data, and what leads nowhere: no status
	more      int      // how many of Installed are only counted
}

// maxNamed bounds how many things of one kind are named.
const maxNamed = 100

// homeProgram is a program, a library or a folder of them in /home.
func homeProgram(p string) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectProgram, ID: p, Reason: requirement.ReasonPresent}
}

// homePackage is a package that has a file in /home, or where a link leads there.
func homePackage(name, file string) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectPackage, ID: name, Reason: requirement.ReasonPresent,
		Value: file}
}

func (f *homeFindings) add(list *[]inHome, what string, about requirement.Subject, ev requirement.Evidence) {
	if len(*list) >= maxNamed {
		if list == &f.Installed {
			f.more++
		}
		return
	}
	what, ev.Data = shorten(what), shorten(ev.Data)
	for _, known := range *list {
		if known.What == what {
			return
		}
	}
	*list = append(*list, inHome{what, about, ev})
}

// isHome reports whether a path is below /home; /home itself belongs to the
// system.
func isHome(p string) bool {
	p = path.Clean(p)
	return strings.HasPrefix(p, "/home/")
}

func (m *Machine) decideHomeApps() requirement.Outcome {
	s := &homeSearch{Machine: m, resolved: map[string]homePath{}, scripts: map[string]bool{}}
	var unread error
	for _, find := range []func() error{
		s.packages, s.units, s.accounts, s.links, s.desktop, s.cron, s.initScripts, s.libraries, s.searchPaths,
		s.localScripts,
	} {
		unread = joinErrors(unread, find())
		if errors.Is(unread, context.DeadlineExceeded) {
			break
		}
	}
	switch {
	case len(s.Installed) > 0:
		return judgeHomeApps(s.homeFindings)
	case unread != nil:
		return unreadable(unread)
	}
	if err := s.ownPrograms(); err != nil {
		return unreadable(fact.Because("cannot determine which programs users keep in their homes", err))
	}
	return judgeHomeApps(s.homeFindings)
}

// usedBy names a path and what uses it.
func usedBy(p, source string) string { return p + " (" + source + ")" }

// judgeHomeApps decides linux.apps.outside-home.
func judgeHomeApps(f homeFindings) requirement.Outcome {
	var subjects []requirement.Subject
	describe := func(list []inHome, more int) (string, []requirement.Evidence) {
		var what []string
		var evidence []requirement.Evidence
		for _, i := range list {
			what = append(what, i.What)
			evidence = append(evidence, i.Evidence)
			if !slices.Contains(subjects, i.Subject) {
				subjects = append(subjects, i.Subject)
			}
		}
		return prose.Some(append(what, make([]string, more)...)), evidence
	}
	var o requirement.Outcome
	switch {
	case len(f.Installed) > 0:
		what, evidence := describe(f.Installed, f.more)
		o = requirement.Fail(fmt.Sprintf("Image creation removes %s in /home that the system uses: %s.",
			prose.Count(len(f.Installed)+f.more, "path", "paths"), what), evidence...).About(subjects...)
	case len(f.Missed)+len(f.Own) > 0:
		missed, evidence := describe(f.Missed, 0)
		own, more := describe(f.Own, 0)
		o = requirement.Warn("", append(evidence, more...)...).About(subjects...)
		if len(f.Missed) > 0 {
			o = o.Also(fmt.Sprintf("Image creation removes %s in /home that cron jobs of users run: %s.",
				prose.Count(len(f.Missed), "program", "programs"), missed))
		}
		if len(f.Own) > 0 {
			o = o.Also(fmt.Sprintf("Image creation removes %s with programs in the homes of users: %s.",
				prose.Count(len(f.Own), "folder", "folders"), own))
		}
	default:
		named, evidence := describe(f.Named, 0)
		units := folderEvidence("root", "usr/lib/systemd/system")
		units.Note = "every place that the requirement names was read"
		o = requirement.Pass("The system executes and loads nothing in /home, and no user keeps programs there.",
			append([]requirement.Evidence{units}, evidence...)...)
		if len(f.Named) > 0 {
			o = o.Also(prose.Count(len(f.Named), "reference to /home does not count: ",
				"references to /home do not count: ") + named + ".")
		}
	}
	if len(f.Named) > 0 {
		var named []string
		for _, i := range f.Named {
			named = append(named, i.What)
		}
		o.Details = map[string][]string{"named_only": named}
	}
	return o
}

// homePath is the target of a path, with respect to /home.
type homePath struct {
	Home   string // the path below /home that it is or leads to, "" if it stays outside
	Exists bool   // of one in /home: it is there, or that is not known
	err    error
}

// homeSearch looks for what leads into /home. It keeps what it resolved, since
// the same programs are named over and over.
type homeSearch struct {
	*Machine
	homeFindings
	resolved map[string]homePath
	scripts  map[string]bool // that were looked through
}

// lead says where a path leads.
func (s *homeSearch) lead(p string) (homePath, error) {
	if h, known := s.resolved[p]; known {
		return h, h.err
	}
	var h homePath
	h.Home, h.err = s.tree.inHome(p)
	if h.err == nil && h.Home != "" {
		_, err := s.tree.stat(p)
		h.Exists = !errors.Is(err, fs.ErrNotExist)
	}
	s.resolved[p] = h
	return h, h.err
}

// A commandSource is where a command line stands, and what it means.
type commandSource struct {
	By       string // "unit x.service"; "" for a script by itself
	Evidence requirement.Evidence
	Idle     bool // nothing runs it now: what leads nowhere is only named
	Own      bool // a user's own: a warning
	depth    int  // how many scripts lead to it
}

// command looks at everything that a command line names.
func (s *homeSearch) command(argv []string, c commandContext, by commandSource) error {
	list, err := commandPaths(argv, c)
	return joinErrors(err, s.paths(list, c, by))
}

// maxCommandPaths bounds how many paths of one command line are looked at.
const maxCommandPaths = 2000

func (s *homeSearch) paths(list []commandPath, c commandContext, by commandSource) error {
	var unread error
	if len(list) > maxCommandPaths {
		list = list[:maxCommandPaths]
		unread = fmt.Errorf("%s: a command line has more than %d paths: %w", by.By, maxCommandPaths, errTooLarge)
	}
	for _, p := range list {
		unread = joinErrors(unread, s.path(p, c, by))
	}
	return unread
}

func (s *homeSearch) path(p commandPath, c commandContext, by commandSource) error {
	if !path.IsAbs(p.Path) {
		found, err := s.inPath(p.Path, c)
		if found == "" || err != nil {
			return err
		}
		p.Path = found
	}
	h, err := s.lead(p.Path)
	if err != nil {
		if !p.Executed {
			return nil // data decides nothing
		}
		return err
	}
	if h.Home == "" {
		if p.Executed {
			return s.script(p.Path, c, by)
		}
		return nil
	}
	source := by.By
	if h.Home != path.Clean(p.Path) {
		source += ", through " + p.Path
	}
	what := usedBy(h.Home, source)
	switch {
	case !p.Executed:
		s.add(&s.Named, usedBy(h.Home, source+", data"), homeProgram(h.Home), by.Evidence)
	case by.Idle && !h.Exists:
		s.add(&s.Named, usedBy(h.Home, source+", missing"), homeProgram(h.Home), by.Evidence)
	case by.Own:
		s.add(&s.Missed, what, homeProgram(h.Home), by.Evidence)
	default:
		s.add(&s.Installed, what, homeProgram(h.Home), by.Evidence)
	}
	return nil
}

// inPath finds a program in the folders of PATH that a context sets. Without
// one, programs are found in the system's folders, whose links are looked at by
// themselves.
func (s *homeSearch) inPath(program string, c commandContext) (string, error) {
	list, ok := c.Vars["PATH"]
	if !ok || len(program) > 255 {
		return "", nil
	}
	for i, folder := range strings.Split(list, ":") {
		if i >= maxNamed || !path.IsAbs(folder) {
			continue
		}
		f, err := s.tree.file(path.Join(folder, program))
		if err != nil {
			if isHome(folder) {
				return path.Join(folder, program), nil
			}
			return "", err
		}
		if f.Exists && !f.Dir {
			return path.Join(folder, program), nil
		}
	}
	return "", nil
}

// Bounds of the scripts that are looked through.
const (
	maxScript  = 1 << 20 // bytes
	maxScripts = 5000
	// maxScriptDepth is how far scripts that run scripts are followed.
	maxScriptDepth = 4
)

// script looks through a shell script that is executed, and at the interpreter
// that any script names.
func (s *homeSearch) script(p string, c commandContext, by commandSource) error {
	if s.scripts[p] || by.depth >= maxScriptDepth {
		return nil
	}
	if len(s.scripts) >= maxScripts {
		return fmt.Errorf("more than %d scripts: %w", maxScripts, errTooLarge)
	}
	s.scripts[p] = true
	info, err := s.tree.stat(p)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
		return nil
	}
	if err != nil {
		return err
	}
	head, err := s.head(p, 256)
	if err != nil {
		return err
	}
	line, is := strings.CutPrefix(string(head), "#!")
	if !is {
		return nil
	}
	line, _, _ = strings.Cut(line, "\n")
	if by.By == "" {
		by.By = "script " + p
	} else {
		by.By = p + ", run by " + by.By
	}
	by.depth++
	interpreter := strings.Fields(line)
	err = s.command(interpreter, commandContext{}, by)
	if len(interpreter) == 0 || !isShell(interpreter) {
		return err
	}
	if info.Size() > maxScript {
		return joinErrors(err, fmt.Errorf("%s has %d bytes: %w", p, info.Size(), errTooLarge))
	}
	commands, f, readErr := readParsed(&s.tree, p, maxScript, "shell", func(data []byte) ([]shellCommand, error) {
		return parseShell(string(data), map[string]string{})
	})
	if readErr != nil {
		return joinErrors(err, readErr)
	}
	by.Evidence = f.Evidence
	return joinErrors(err, s.shellCommands(commands, commandContext{Root: c.Root}, by))
}

// isShell says whether an interpreter line names a shell of the Bourne family.
func isShell(words []string) bool {
	return slices.ContainsFunc(words[:min(2, len(words))], func(w string) bool {
		return slices.Contains(shells[:8], path.Base(w))
	})
}

// shellCommands looks at the commands of a script.
func (s *homeSearch) shellCommands(commands []shellCommand, c commandContext, by commandSource) error {
	var unread error
	for _, command := range commands {
		if !mayMatter(command) {
			continue
		}
		here := c
		here.Dir = joinDir(c.Dir, command.Dir)
		here.Vars = map[string]string{}
		for k, v := range c.Vars {
			here.Vars[k] = v
		}
		source := by
		source.Evidence.Data = fmt.Sprintf("line %d: %s", command.Line,
			shorten(strings.ReplaceAll(strings.Join(command.Words, " "), unknownValue, "$…")))
		unread = joinErrors(unread, s.command(append(slices.Clone(command.Assign), command.Words...), here, source))
	}
	return unread
}

// mayMatter leaves out commands that name no path: most of a script.
func mayMatter(c shellCommand) bool {
	has := func(w string) bool { return strings.Contains(w, "/") }
	return slices.ContainsFunc(c.Words, has) || slices.ContainsFunc(c.Assign, has)
}

func (s *homeSearch) packages() error {
	db, err := s.Packages()
	if err != nil {
		return err
	}
	owned := 0
	named := map[string]bool{}
	for _, place := range s.tree.homePlaces() {
		under, err := db.Under(place)
		if err != nil {
			return packagesError(err)
		}
		for p, owner := range under {
			if s.tree.homeName(p) == "" || !owner.IsInstalled() {
				continue
			}
			if owned++; owned > maxOwned {
				return fmt.Errorf("%s lists more than %d files in /home: %w", db.Path(), maxOwned, errTooLarge)
			}
			ev := s.ofPackages(db)
			ev.Value, ev.Data, ev.Time = owner.Name, p, owner.Installed.UTC()
			// Nothing of an empty folder is missed.
			if f, err := s.tree.file(p); err == nil && f.Dir {
				if entries, _, err := s.tree.list(p); err == nil && len(entries) == 0 {
					s.add(&s.Named, usedBy(p, "package "+owner.Name+", an empty folder"), homePackage(owner.Name, p), ev)
					continue
				}
			}
			s.add(&s.Installed, usedBy(p, "package "+owner.Name), homePackage(owner.Name, p), ev)
			named[p] = true
		}
	}
	// Files elsewhere may be in /home through a link or a bind mount.
	linked, err := s.linkedFolders()
	for _, folder := range slices.Sorted(maps.Keys(linked)) {
		under, listErr := db.Under(folder)
		if listErr != nil {
			return joinErrors(err, packagesError(listErr))
		}
		for p, owner := range under {
			if owner.IsInstalled() && p != folder {
				if named[p] {
					break
				}
				named[p] = true
				ev := s.ofPackages(db)
				ev.Value, ev.Data, ev.Time = owner.Name, p, owner.Installed.UTC()
				what := usedBy(p, fmt.Sprintf("package %s; %s leads to %s", owner.Name, folder, linked[folder]))
				s.add(&s.Installed, what, homePackage(owner.Name, p), ev)
				break
			}
		}
	}
	return err
}

// maxOwned bounds how many files of packages in /home are looked at.
const maxOwned = 20_000

// linkedFolders finds the folders of applications that are in /home through a
// link or a bind mount, and their targets.
func (s *homeSearch) linkedFolders() (map[string]string, error) {
	found := map[string]string{}
	var unread error
	look := func(p string) {
		h, err := s.lead(p)
		if err != nil {
			unread = joinErrors(unread, err)
		} else if h.Home != "" {
			found[p] = h.Home
		}
	}
	for _, folder := range []string{"/opt", "/srv", "/usr/local"} {
		look(folder)
		entries, _, err := s.tree.list(folder)
		if err != nil {
			unread = joinErrors(unread, err)
			continue
		}
		for i, e := range entries {
			if i < maxMenu && (e.IsDir() || e.Type()&fs.ModeSymlink != 0) {
				look(path.Join(folder, e.Name()))
			}
		}
	}
	return found, unread
}

// firstUser is the lowest number of accounts of people; those below it are of
// services (login.defs(5), UID_MIN).
const firstUser = 1000

func (s *homeSearch) accounts() error {
	data, f, err := s.tree.read("/etc/passwd", maxConfig)
	if err != nil {
		return err
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 7 {
			continue
		}
		uid, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil || uid == 0 || uid >= firstUser {
			continue
		}
		if n++; n > maxMenu {
			return fmt.Errorf("/etc/passwd: more than %d service accounts: %w", maxMenu, errTooLarge)
		}
		h, err := s.lead(fields[5])
		if err != nil {
			return err
		}
		// Distributions give some accounts a home that is never made.
		if h.Home == "" || !h.Exists {
			continue
		}
		home, err := s.tree.file(fields[5])
		if err != nil {
			return err
		}
		ev := f.Evidence
		ev.Data = strings.Join([]string{fields[0], fields[2], fields[5]}, ":")
		if home.Exists {
			s.add(&s.Installed, usedBy(fields[5], "service account "+fields[0]), homeProgram(h.Home), ev)
		}
	}
	return nil
}
