package windows

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

// sharedShortcuts judges the shortcuts that every user sees: those of the common
// Start menu, of the public desktop, and those that a new profile begins with. A
// shortcut to a folder or a document is no application.
func (m *Machine) sharedShortcuts(off *offPlaces, env machine.Environment) (seen int, err error) {
	profiles, err := m.Profiles()
	if err != nil {
		return 0, err
	}
	var reader machine.ShortcutReader
	var all error
	for _, folder := range []string{
		env["PROGRAMDATA"] + `\Microsoft\Windows\Start Menu`,
		env["PUBLIC"] + `\Desktop`,
		profiles.Default + `\Desktop`,
		profiles.Default + `\AppData\Roaming\Microsoft\Windows\Start Menu`,
	} {
		reader.Lenient = strings.HasSuffix(folder, `\Desktop`)
		list, err := m.ShortcutsIn(&reader, folder)
		all = fact.Join(all, err)
		seen += len(list)
		for _, name := range reader.Other {
			off.name("not a shortcut by its content: %s", prose.Short(name))
		}
		reader.Other = nil
		for _, s := range list {
			found, err := m.placeShortcut(off, env, s)
			all = fact.Join(all, err)
			off.Machine = append(off.Machine, found...)
		}
	}
	return seen, all
}

// userShortcuts names those of the user's own desktop and Start menu.
func (m *Machine) userShortcuts(off *offPlaces, p machine.Profile, env machine.Environment) error {
	reader := machine.ShortcutReader{Lenient: true}
	for _, folder := range []string{p.Path + `\Desktop`,
		p.Path + `\AppData\Roaming\Microsoft\Windows\Start Menu\Programs`} {
		list, err := m.ShortcutsIn(&reader, folder)
		if err != nil {
			return err
		}
		for _, s := range list {
			found, err := m.placeShortcut(off, env, s)
			if err != nil {
				return err
			}
			off.Own = append(off.Own, found...)
		}
	}
	return nil
}

// placeShortcut returns where a shortcut leads off drive C, if it starts a
// program.
func (m *Machine) placeShortcut(off *offPlaces, env machine.Environment, s machine.ShortcutFile) ([]placed, error) {
	setting := machine.Setting[string]{Value: s.Line(), Present: true, Evidence: s.Evidence}
	target, err := m.Expand(env, s.Target)
	if err != nil {
		return nil, err
	}
	if !isProgram(target) {
		if machine.Elsewhere(target) {
			off.name("shortcut %s: %s", prose.Short(s.Name), prose.Short(target))
		}
		return nil, nil
	}
	if s.Arguments == "" {
		return m.place(nil, env, "shortcut "+s.Name, setting)
	}
	return m.placeLine(nil, env, "shortcut "+s.Name, setting)
}

// isProgram says whether a file is executed when it is opened, by its extension.
func isProgram(path string) bool {
	switch machine.Extension(path) {
	case "exe", "com", "scr", "msi", "msc", "cpl", "jar", "jnlp", "appref-ms", "pif", "py", "pyw", "dll":
		return true
	}
	return machine.LanguageOf(path) != machine.NoLanguage
}

// linkedPrograms looks for folders under Program Files that are links to another
// drive, as they are made to move an application.
func (m *Machine) linkedPrograms(off *offPlaces, env machine.Environment) error {
	var all error
	seen := map[string]bool{}
	for _, folder := range []string{env["PROGRAMFILES"], env["PROGRAMFILES(X86)"]} {
		if folder == "" || seen[strings.ToUpper(folder)] {
			continue
		}
		seen[strings.ToUpper(folder)] = true
		where, err := m.offC(folder)
		if err != nil {
			all = fact.Join(all, err)
			continue
		}
		if where != "" {
			off.Machine = append(off.Machine, placed{folder, where, m.LinkEvidence(folder)})
			continue
		}
		all = fact.Join(all, m.linksBelow(off, folder))
	}
	return all
}

func (m *Machine) linksBelow(off *offPlaces, folder string) error {
	v, name, err := m.Locate(folder)
	if err != nil {
		return err
	}
	start, err := v.File(name)
	if err != nil || !start.Exists || !start.Dir {
		return err
	}
	var links []string
	var doubt error
	damaged, err := v.FS.WalkRecords(name, func(p []byte, e *volume.Entry) error {
		if err := m.Meter.Steps(1); err != nil {
			return err
		}
		switch {
		case e.Doubt != nil && e.Dir:
			doubt = v.Problem(name+"/"+string(p), e.Doubt)
		case e.ReparseTag&machine.NameSurrogate != 0 && len(links) < machine.MaxPrograms:
			links = append(links, string(p))
		}
		return nil
	})
	if err != nil {
		return v.Problem(name, err)
	}
	for _, p := range links {
		full := folder + `\` + strings.ReplaceAll(p, "/", `\`)
		where, err := m.offC(full)
		if err != nil {
			return err
		}
		if where == "" {
			continue
		}
		ev := machine.FoundEvidence(v.Role, name+"/"+p, false)
		ev.Note, ev.Data = "link", where
		off.Machine = append(off.Machine, placed{p[strings.LastIndexByte(p, '/')+1:], where, ev})
	}
	if damaged > 0 {
		doubt = fact.Join(doubt, fmt.Errorf("%s volume: %s: %s could not be read", v.Role, name,
			prose.Count(int(damaged), "folder", "folders")))
	}
	return doubt
}

// Folders of drive D that hold no installed programs, whatever files are in
// them: profiles, deleted files, what Windows itself keeps on each volume.
var dataFolders = []string{"Users", "$Recycle.Bin", "System Volume Information", "RECYCLER", "$Extend"}

// errStop ends a walk that has found what it looked for.
var errStop = errors.New("found")

// programFolders looks for programs on drive D outside the profiles.
func (m *Machine) programFolders(off *offPlaces) error {
	entries, _, err := m.List(`D:\`)
	if err != nil {
		return err
	}
	v := m.Drive("D")
	var all error
	var loose []placed
	for _, e := range entries {
		switch {
		case fold.Contains(dataFolders, e.Name()):
		case e.IsDir():
			all = fact.Join(all, m.programFolder(off, v, e))
		case fold.HasSuffix(e.Name(), ".exe"):
			f, err := v.File(e.Name())
			if err != nil {
				all = fact.Join(all, err)
				continue
			}
			loose = append(loose, placed{e.Name(), `D:\` + e.Name(), f.Evidence})
		}
	}
	for _, p := range loose {
		if len(loose) == 1 || looksLikeInstaller(p.Name) {
			off.name("a program in the root of drive D: %s", prose.Short(p.Name))
		} else {
			off.Folders = append(off.Folders, p)
		}
	}
	return all
}

func (m *Machine) programFolder(off *offPlaces, v *machine.Drive, e fs.DirEntry) error {
	if info, err := e.Info(); err != nil {
		return v.Problem(e.Name(), err)
	} else if machine.IsLink(info) {
		return nil // what it leads to is elsewhere
	}
	program := ""
	var doubt error
	damaged, err := v.FS.WalkRecords(e.Name(), func(p []byte, entry *volume.Entry) error {
		if err := m.Meter.Steps(1); err != nil {
			return err
		}
		isProgram := !entry.Dir && len(p) > 4 && strings.EqualFold(string(p[len(p)-4:]), ".exe")
		switch {
		case entry.Doubt != nil && (entry.Dir || isProgram):
			doubt = v.Problem(e.Name()+"/"+string(p), entry.Doubt)
		case isProgram:
			f, err := v.File(e.Name() + "/" + string(p))
			if err != nil {
				doubt = err
			} else if f.Exists {
				program = string(p)
				return errStop
			}
		}
		return nil
	})
	switch {
	case err != nil && !errors.Is(err, errStop):
		return v.Problem(e.Name(), err)
	case program == "" && damaged > 0:
		return fact.Join(doubt, fmt.Errorf("%s volume: %s: %s could not be read", v.Role, e.Name(),
			prose.Count(int(damaged), "folder", "folders")))
	case program == "":
		return doubt
	}
	where := `D:\` + e.Name() + `\` + strings.ReplaceAll(program, "/", `\`)
	switch {
	case isUnpacked(e.Name()):
		off.name("unpacked by an update: %s", prose.Short(where))
		return nil
	case strings.EqualFold(e.Name(), "WindowsApps"):
		f, err := v.File(e.Name())
		if err != nil {
			return err
		}
		off.Machine = append(off.Machine, placed{"Store applications", where, f.Evidence})
		return nil
	}
	f, err := v.File(e.Name() + "/" + program)
	if err != nil {
		return err
	}
	off.Folders = append(off.Folders, placed{"folder " + e.Name(), where, f.Evidence})
	return nil
}

// isUnpacked says whether a folder has such a name as updates give the folder in
// which they unpack themselves: hexadecimal digits, ten at least.
func isUnpacked(name string) bool {
	return len(name) >= 10 && strings.Trim(strings.ToLower(name), "0123456789abcdef") == "" &&
		strings.ContainsAny(name, "0123456789")
}

// looksLikeInstaller says whether a program is named as installers are.
func looksLikeInstaller(name string) bool {
	name = strings.ToLower(name)
	for _, part := range []string{"setup", "install", "redist", "update", "upgrade", "hotfix", "patch", "kb"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
