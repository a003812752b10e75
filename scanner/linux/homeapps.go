package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var appsOutsideHome = entry{
	Requirement: demand(requirement.Required, "linux.apps.outside-home", "applications are installed outside the user volume (/home)", sectionRequirements, explanation{
		Reads: "Files of packages, programs of systemd units, homes of service accounts, alternatives, desktop files, links in /usr/local/bin and PATH entries of /etc/profile.d that lead into /home fail. Programs that users keep in their homes (~/bin, ~/.local, conda, nvm, snap) are a warning.",
		Live:  "rpm -qal | grep ^/home/ (or dpkg -S /home/)",
		Fix:   "Remove the application and install it again outside /home, for example under /opt or /usr/local: image creation removes /home.",
	}),
	Judge: (*Machine).decideHomeApps,
}

// An inHome thing is a program that lies below /home, and where that was read.
type inHome struct {
	What     string
	Evidence requirement.Evidence
}

// isHome says whether a path lies below /home; /home itself is the system's.
func isHome(p string) bool {
	p = path.Clean(p)
	return strings.HasPrefix(p, "/home/")
}

func (m *Machine) decideHomeApps() requirement.Outcome {
	var installed []inHome
	var unread error
	for _, find := range []func() ([]inHome, error){
		m.packagesInHome, m.unitsInHome, m.accountsInHome, m.linksInHome, m.desktopInHome, m.pathsInHome,
	} {
		found, err := find()
		installed = append(installed, found...)
		unread = errors.Join(unread, err)
	}
	switch {
	case len(installed) > 0:
		return judgeHomeApps(installed, nil)
	case unread != nil:
		return requirement.Unreadable(unread)
	}
	own, err := m.programsOfUsers()
	if err != nil {
		return requirement.Unreadable(fmt.Errorf("programs that users keep in their homes: %w", err))
	}
	return judgeHomeApps(nil, own)
}

// judgeHomeApps decides linux.apps.outside-home.
func judgeHomeApps(installed, own []inHome) requirement.Outcome {
	describe := func(list []inHome) (string, []requirement.Evidence) {
		var what []string
		var evidence []requirement.Evidence
		for _, i := range list {
			what = append(what, i.What)
			evidence = append(evidence, i.Evidence)
		}
		return prose.Some(what), evidence
	}
	switch {
	case len(installed) > 0:
		what, evidence := describe(installed)
		return requirement.Fail("installed in /home, which image creation removes: "+what, evidence...)
	case len(own) > 0:
		what, evidence := describe(own)
		return requirement.Warn("users keep programs in their homes, which image creation removes: "+what, evidence...)
	}
	return requirement.Pass("no package, unit, account, link, desktop file or PATH entry leads into /home, and no user keeps programs there",
		requirement.Evidence{Source: "root", Path: "usr/lib/systemd/system", Note: "read with the other places that the requirement names"})
}

// maxNamed bounds how many files of one package are named.
const maxNamed = 100

func (m *Machine) packagesInHome() ([]inHome, error) {
	db, err := m.Packages()
	if err != nil {
		return nil, err
	}
	var found []inHome
	for _, place := range m.tree.homePlaces() {
		under, err := db.Under(place)
		if err != nil {
			return nil, fmt.Errorf("root volume: %w", err)
		}
		for p, owner := range under {
			if m.tree.homeName(p) == "" || !owner.IsInstalled() || len(found) >= maxNamed {
				continue
			}
			ev := m.ofPackages(db)
			ev.Value, ev.Data, ev.Time = owner.Name, p, owner.Installed.UTC()
			found = append(found, inHome{p + " of package " + owner.Name, ev})
		}
	}
	return found, nil
}

func (m *Machine) unitsInHome() ([]inHome, error) {
	units, err := m.Units()
	if err != nil {
		return nil, err
	}
	var found []inHome
	unread := units.err
	for _, u := range units.all() {
		unread = errors.Join(unread, u.Err)
		for _, c := range slices.Concat(u.Facts.Exec, u.Facts.Ignored) {
			command := strings.TrimLeft(c.Raw, "@-:+!|")
			if program := programInHome(command); program != "" && u.State != unitMasked {
				ev := u.File
				ev.Data = command
				found = append(found, inHome{program + " of unit " + u.Name, ev})
			}
		}
	}
	return found, unread
}

// firstUser is the lowest number of accounts of people; those below it are of
// services (login.defs(5), UID_MIN).
const firstUser = 1000

func (m *Machine) accountsInHome() ([]inHome, error) {
	data, f, err := m.tree.read("/etc/passwd", maxConfig)
	if err != nil {
		return nil, err
	}
	var found []inHome
	for line := range strings.Lines(string(data)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 7 {
			continue
		}
		uid, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil || uid == 0 || uid >= firstUser || !isHome(fields[5]) {
			continue
		}
		// Distributions give some accounts a home that is never made.
		home, err := m.tree.file(fields[5])
		if err != nil {
			return found, err
		}
		if !home.Exists {
			continue
		}
		ev := f.Evidence
		ev.Data = strings.Join([]string{fields[0], fields[2], fields[5]}, ":")
		found = append(found, inHome{fields[5] + " of the service account " + fields[0], ev})
	}
	return found, nil
}

// linksInHome looks at the links by which programs are found that lie
// elsewhere: /usr/local/bin, and the alternatives.
func (m *Machine) linksInHome() ([]inHome, error) {
	var found []inHome
	for _, folder := range []string{"/usr/local/bin", "/usr/local/sbin", "/usr/bin", "/etc/alternatives"} {
		entries, _, err := m.tree.list(folder)
		if err != nil {
			return found, err
		}
		for _, e := range entries {
			if e.Type()&fs.ModeSymlink == 0 {
				continue
			}
			f, err := m.tree.link(path.Join(folder, e.Name()))
			if err != nil {
				return found, err
			}
			target, err := m.tree.inHome(path.Join(folder, e.Name()))
			if err != nil {
				return found, err
			}
			if target != "" {
				found = append(found, inHome{target + " by the link " + path.Join(folder, e.Name()), f.Evidence})
			}
		}
	}
	return found, nil
}

// maxMenu bounds how many entries of a folder of desktop files are looked at,
// with those below it: real ones have a few hundred.
const maxMenu = 10_000

func (m *Machine) desktopInHome() (found []inHome, err error) {
	seen := 0
	var look func(folder string) error
	look = func(folder string) error {
		entries, _, err := m.tree.list(folder)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if seen++; seen > maxMenu {
				return fmt.Errorf("%s: more than %d entries: %w", folder, maxMenu, errTooLarge)
			}
			here := path.Join(folder, e.Name())
			switch {
			case e.IsDir():
				err = look(here)
			case path.Ext(e.Name()) == ".desktop":
				var more []inHome
				more, err = m.desktopFile(here)
				found = append(found, more...)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	for _, folder := range []string{"/usr/share/applications", "/usr/local/share/applications"} {
		err = errors.Join(err, look(folder))
	}
	return found, err
}

// desktopFile looks at the entry and the actions of a desktop file.
func (m *Machine) desktopFile(p string) (found []inHome, err error) {
	data, f, err := m.tree.read(p, maxConfig)
	if err != nil {
		return nil, err
	}
	for section, settings := range parseUnit(string(data)) {
		if section != "Desktop Entry" && !strings.HasPrefix(section, "Desktop Action ") {
			continue
		}
		for _, setting := range settings {
			program := programInHome(setting[1])
			if (setting[0] == "Exec" || setting[0] == "TryExec") && program != "" {
				f.Evidence.Data = setting[0] + "=" + setting[1]
				found = append(found, inHome{program + " by " + path.Base(p), f.Evidence})
			}
		}
	}
	return found, nil
}

// pathsInHome looks for folders of /home in the PATH that all users get.
func (m *Machine) pathsInHome() ([]inHome, error) {
	files := []string{"/etc/profile", "/etc/environment", "/etc/bashrc", "/etc/bash.bashrc"}
	entries, _, err := m.tree.list("/etc/profile.d")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		files = append(files, "/etc/profile.d/"+e.Name())
	}
	var found []inHome
	for _, p := range files {
		data, f, err := m.tree.read(p, maxConfig)
		if err != nil {
			return found, err
		}
		for line := range strings.Lines(string(data)) {
			if folder := homeInPath(line); folder != "" {
				f.Evidence.Data = strings.TrimSpace(line)
				found = append(found, inHome{folder + " in the PATH of " + p, f.Evidence})
			}
		}
	}
	return found, nil
}

// homeInPath returns the folder below /home that a line of a shell script adds
// to PATH, "" if it adds none.
func homeInPath(line string) string {
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") || !strings.Contains(line, "PATH") && !strings.Contains(line, "pathmunge") {
		return ""
	}
	for _, field := range strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t:=\"'();", r) }) {
		if isHome(field) {
			return field
		}
	}
	return ""
}

// ownPrograms are the places in a home where a user keeps programs; those with
// a file or folder in them count.
var ownPrograms = []string{
	"bin", ".local/bin", ".local/opt", ".local/lib", ".nvm/versions", ".cargo/bin", ".rustup/toolchains", "go/bin",
	"anaconda3", "miniconda3", "miniforge3", "mambaforge", ".conda/envs", ".pyenv/versions", ".sdkman/candidates", "snap", "Applications",
}

// sharedData is where applications of a user keep what they need. Data is not
// what is asked for: files that can be executed count.
const sharedData = ".local/share"

// Bounds of the search below sharedData: programs lie a few folders down, and
// a home with more entries is told as not looked through.
const (
	sharedDepth   = 8
	sharedEntries = 200_000
)

func (m *Machine) programsOfUsers() ([]inHome, error) {
	homes, _, err := m.tree.list("/home")
	if err != nil {
		return nil, err
	}
	var found []inHome
	for _, home := range homes {
		if !home.IsDir() {
			continue
		}
		for _, place := range ownPrograms {
			p := path.Join("/home", home.Name(), place)
			entries, f, err := m.tree.list(p)
			if err != nil {
				return found, err
			}
			if len(entries) > 0 {
				found = append(found, inHome{p, f.Evidence})
			}
		}
		seen := 0
		p, err := m.executable(path.Join("/home", home.Name(), sharedData), sharedDepth, &seen)
		if err != nil {
			return found, err
		}
		if p != "" {
			f, err := m.tree.file(p)
			if err != nil {
				return found, err
			}
			found = append(found, inHome{p, f.Evidence})
		}
	}
	return found, nil
}

// executable returns the first file below a folder that can be executed, "" if
// there is none.
func (m *Machine) executable(folder string, depth int, seen *int) (string, error) {
	entries, _, err := m.tree.list(folder)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if *seen++; *seen > sharedEntries {
			return "", fmt.Errorf("%s: more than %d entries: %w", folder, sharedEntries, errTooLarge)
		}
		here := path.Join(folder, e.Name())
		switch {
		case e.IsDir() && depth > 0:
			if p, err := m.executable(here, depth-1, seen); p != "" || err != nil {
				return p, err
			}
		case e.Type().IsRegular():
			info, err := e.Info()
			if err != nil {
				return "", fmt.Errorf("user volume: %s: %w", here, err)
			}
			if info.Mode()&0o111 != 0 {
				return here, nil
			}
		}
	}
	return "", nil
}
