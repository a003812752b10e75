package linux

import (
	"encoding/binary"
	"fmt"
	"path"
	"slices"
	"strings"
)

// skippedFolders hold no programs that a user installed: settings, caches,
// version control and what package managers keep.
var skippedFolders = map[string]bool{
	".mozilla": true, ".config": true, ".cache": true, "Trash": true, ".Trash": true, ".git": true, ".svn": true,
	".hg": true, ".bzr": true, "CVS": true,
	"node_modules": true, ".npm": true, ".yarn": true, ".m2": true, ".gradle": true, ".ivy2": true, ".nuget": true,
	".cpan": true, ".cpanm": true, ".bundle": true,
	"__pycache__": true, ".thumbnails": true, ".java": true, ".gnupg": true, ".ssh": true, ".ccache": true,
	".terraform.d": true, ".stack": true,
}

// skippedPaths are such folders by the end of their path.
var skippedPaths = []string{"/.cargo/registry", "/.cargo/git", "/go/pkg", "/.rustup/downloads", "/.rustup/tmp",
	"/.local/share/Trash", "/.local/share/containers", "/.pyenv/cache", "/.nvm/.cache"}

// programFolders are what folders of programs are called.
var programFolders = []string{"bin", "sbin", "libexec", "jbr", "jre", "jdk", "bin64", "bin32", "Applications"}

// Bounds of the search through /home: a home with more is reported as not
// searched.
const (
	maxHomeDepth   = 40
	maxHomeEntries = 1_500_000
	maxHomeFolders = 80_000
)

// A homeWalk looks for programs below one folder of /home.
type homeWalk struct {
	*homeSearch
	entries, folders int
	first            string // the first folder that looks like an installation
	lone             []string
	stop             bool // at the first installation
}

// ownPrograms looks for programs that users keep in their homes, which may be
// nested: /home/DOMAIN/USER. Of each home the first installation is named.
func (s *homeSearch) ownPrograms() error {
	homes, _, err := s.tree.list("/home")
	if err != nil {
		return err
	}
	w := &homeWalk{homeSearch: s, stop: true}
	var lone []string
	for _, home := range homes {
		if !home.IsDir() {
			continue
		}
		w.first = ""
		w.lone = nil
		if err := w.look(path.Join("/home", home.Name()), 1); err != nil {
			return err
		}
		if w.first != "" {
			f, err := s.tree.file(w.first)
			if err != nil {
				return err
			}
			s.add(&s.Own, w.first, homeProgram(w.first), f.Evidence)
		}
		if len(lone) < maxNamed {
			lone = append(lone, w.lone...)
		}
	}
	for _, p := range lone {
		f, err := s.tree.file(p)
		if err != nil {
			return err
		}
		s.add(&s.Named, usedBy(p, "a single program"), homeProgram(p), f.Evidence)
	}
	return nil
}

// programsBelow returns the first folder below one of /home that looks like an
// installation, or a program there; "" if there is none.
func (s *homeSearch) programsBelow(folder string) (string, error) {
	w := &homeWalk{homeSearch: s, stop: true}
	err := w.look(folder, 1)
	if err == nil && w.first == "" && len(w.lone) > 0 {
		w.first = w.lone[0]
	}
	return w.first, err
}

func (w *homeWalk) look(folder string, depth int) error {
	if depth > maxHomeDepth {
		return fmt.Errorf("%s: more than %d folders deep: %w", folder, maxHomeDepth, errTooLarge)
	}
	if w.folders++; w.folders > maxHomeFolders {
		return fmt.Errorf("%s: more than %d folders in /home: %w", folder, maxHomeFolders, errTooLarge)
	}
	entries, _, err := w.tree.list(folder)
	if err != nil {
		return err
	}
	if w.entries += len(entries); w.entries > maxHomeEntries {
		return fmt.Errorf("%s: more than %d entries in /home: %w", folder, maxHomeEntries, errTooLarge)
	}
	var programs []string
	elf := false
	for _, e := range entries {
		if !e.Type().IsRegular() || isLibrary(e.Name()) {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("cannot read %s: %w", path.Join(folder, e.Name()), err)
		}
		if info.Mode()&0o111 == 0 || info.Size() == 0 {
			continue
		}
		kind, err := w.programKind(path.Join(folder, e.Name()))
		if err != nil {
			return err
		}
		if kind == "" {
			continue
		}
		elf = elf || kind == "elf"
		programs = append(programs, e.Name())
		if isInstallation(folder, len(programs), elf) {
			w.first = folder
			return nil
		}
	}
	if len(programs) > 0 && len(w.lone) < maxNamed {
		w.lone = append(w.lone, path.Join(folder, programs[0]))
	}
	for _, e := range entries {
		here := path.Join(folder, e.Name())
		if !e.IsDir() || w.isSkipped(here, e.Name(), depth) {
			continue
		}
		if err := w.look(here, depth+1); err != nil || w.first != "" && w.stop {
			return err
		}
	}
	return nil
}

// isInstallation says whether a folder with so many programs looks like one of
// an application: it is called so, or holds several; scripts of a user's own
// are often two or three.
func isInstallation(folder string, programs int, elf bool) bool {
	for _, part := range strings.Split(folder, "/")[2:] {
		if slices.Contains(programFolders, part) {
			return true
		}
	}
	return elf && programs >= 2 || programs >= 4
}

// isSkipped says whether a folder is not looked through. ~/snap is data of
// snaps, whose programs are elsewhere.
func (w *homeWalk) isSkipped(p, name string, depth int) bool {
	if skippedFolders[name] {
		return true
	}
	for _, end := range skippedPaths {
		if strings.HasSuffix(p, end) {
			return true
		}
	}
	if name != "snap" {
		return false
	}
	home := path.Dir(p)
	return path.Dir(home) == "/home" || path.Dir(path.Dir(home)) == "/home" && w.isHomeFolder(home)
}

// isHomeFolder says whether a folder looks like the home of a user.
func (w *homeWalk) isHomeFolder(p string) bool {
	for _, name := range []string{".bashrc", ".profile", ".bash_profile", ".bash_logout", ".cache", ".config",
		".local"} {
		if f, err := w.tree.file(path.Join(p, name)); err == nil && f.Exists {
			return true
		}
	}
	return false
}

// isLibrary says whether a name is that of a shared library, which often has an
// execute bit.
func isLibrary(name string) bool {
	return strings.HasSuffix(name, ".so") || strings.Contains(name, ".so.")
}

// programKind says whether a file is a program: "script", or "elf" for one that
// the kernel executes by itself ([gabi] 4.1: e_type ET_EXEC, or ET_DYN, which is
// a program if it names an interpreter or is no library by its name). "" is
// none.
func (s *homeSearch) programKind(p string) (string, error) {
	head, err := s.head(p, 64)
	if err != nil {
		return "", err
	}
	switch {
	case strings.HasPrefix(string(head), "#!"):
		return "script", nil
	case len(head) < 18 || string(head[:4]) != "\x7fELF":
		return "", nil
	}
	order := binary.ByteOrder(binary.LittleEndian)
	if head[5] == 2 {
		order = binary.BigEndian
	}
	const executable, shared = 2, 3 // ET_EXEC, ET_DYN
	if t := order.Uint16(head[16:]); t == executable || t == shared {
		return "elf", nil
	}
	return "", nil
}
