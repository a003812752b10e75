package linux

import (
	"errors"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/packages"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Packages opens the database of installed packages.
func (m *Machine) Packages() (*packages.Database, error) {
	return m.packages.Get(func() (*packages.Database, error) {
		db, err := packages.Open(m.in.Context, treeFS{&m.tree})
		if db != nil {
			m.notifyOf(db, err)
		}
		switch {
		case ofVolume(err):
			return nil, err
		case err != nil:
			return nil, packagesError(err)
		}
		ev := m.ofPackages(db)
		m.in.Trail.Record("packages", "source", ev.Source, "path", ev.Path, "kind", string(db.Kind()))
		return db, nil
	})
}

// ofPackages is evidence of the database: its volume, and its path there.
func (m *Machine) ofPackages(db *packages.Database) requirement.Evidence {
	v, name := m.tree.at(m.tree.place("/" + db.Path()))
	ev := contentEvidence(v.role, name)
	if db.Kind() == packages.DPKG {
		ev.Kind, ev.Content = requirement.KindFolder, false // the files in it were read
	}
	if db.Logged() {
		ev.Origin = requirement.OriginWAL
	}
	return ev
}

// notifyOf adds a notice about how the database was read, and about its damage.
func (m *Machine) notifyOf(db *packages.Database, err error) {
	ev := m.ofPackages(db)
	notify := func(level requirement.Level, path, message string) {
		m.in.Trail.Notify(requirement.Notice{Level: level, Message: message, Source: ev.Source, Path: path})
	}
	for _, note := range db.Notes() {
		notify(requirement.LevelInfo, ev.Path, note)
	}
	if loss := db.Loss(); loss != "" {
		notify(requirement.LevelWarning, ev.Path+"-wal", loss)
	}
	if err != nil {
		notify(requirement.LevelError, ev.Path, err.Error())
	}
}

// installed returns the first installed package whose name is one of names, or
// begins with one that ends in "*".
func (m *Machine) installed(names ...string) (*packages.Package, requirement.Evidence, error) {
	db, err := m.Packages()
	if err != nil {
		return nil, requirement.Evidence{}, err
	}
	ev := m.ofPackages(db)
	ev.Value = strings.Join(names, ", ")
	for _, name := range names {
		list, err := named(db, name)
		if err != nil {
			return nil, ev, packagesError(err)
		}
		for _, p := range list {
			if p.IsInstalled() && matches(p.Name, name) {
				ev.Value, ev.Data, ev.Time = p.Name, version(p), p.Installed.UTC()
				return &p, ev, nil
			}
		}
	}
	ev.Found, ev.Note = false, notFound
	return nil, ev, nil
}

// named lists packages among which are all that a pattern may mean. A plain
// name is looked up, which also finds one that was lost from the list.
func named(db *packages.Database, pattern string) ([]packages.Package, error) {
	if strings.HasSuffix(pattern, "*") {
		return db.Packages()
	}
	return db.Find(pattern)
}

// matches compares a name with another, or with a beginning that ends in "*".
func matches(name, pattern string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(name, prefix)
	}
	return name == pattern
}

func version(p packages.Package) string {
	v := p.Version
	if p.Release != "" {
		v += "-" + p.Release
	}
	return v
}

// manager is the command that installs packages on the system.
func (m *Machine) manager() string {
	if db, err := m.Packages(); err == nil && db.Kind() == packages.DPKG {
		return "apt"
	}
	if s, err := m.System(); err == nil && s.ID == "amzn" && s.VersionID == "2" {
		return "yum"
	}
	return "dnf"
}

// install says how to install a package on the system.
func (m *Machine) install(name string) string {
	return fmt.Sprintf("Run 'sudo %s install %s'.", m.manager(), name)
}

// reinstall says how to restore the files of a package that is installed.
func (m *Machine) reinstall(name string) string {
	if m.manager() == "apt" {
		return fmt.Sprintf("Run 'sudo apt install --reinstall %s'.", name)
	}
	return fmt.Sprintf("Run 'sudo %s reinstall %s'.", m.manager(), name)
}

// upgrade says how to upgrade all packages.
func (m *Machine) upgrade() string {
	switch manager := m.manager(); manager {
	case "apt":
		return "Run 'sudo apt update && sudo apt upgrade', then restart."
	case "yum":
		return "Run 'sudo yum update', then restart."
	default:
		return fmt.Sprintf("Run 'sudo %s upgrade', then restart.", manager)
	}
}

// packagesError says that the package database cannot be read.
func packagesError(err error) error {
	if errors.Is(err, packages.ErrNoDatabase) {
		return fmt.Errorf("the root volume has %w", err)
	}
	return fmt.Errorf("cannot read the package database on the root volume: %w", err)
}
