package linux

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/packages"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	typed "github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// Part returns a part of the facts for rules of users, as a Source of package facts does.
func (m *Machine) Part(ctx context.Context, name string) (typed.Reading, error) {
	read, ok := partReaders[name]
	if !ok {
		return typed.Reading{}, fmt.Errorf("no fact of Linux is called %q", name)
	}
	return read(m.Within(ctx).next())
}

var partReaders = map[string]func(*Machine) (typed.Reading, error){
	"system":       (*Machine).systemFacts,
	"packages":     (*Machine).packageFacts,
	"units":        (*Machine).unitFactsOfAll,
	"users":        (*Machine).userFacts,
	"groups":       (*Machine).groupFacts,
	"volumes":      (*Machine).volumeFacts,
	"sshd":         (*Machine).sshdFacts,
	"time_sources": (*Machine).timeFacts,
}

// Call returns the result of a function for rules of users, as a Source of package facts
// does.
func (m *Machine) Call(ctx context.Context, function string, arguments []string) (typed.Reading, error) {
	m = m.Within(ctx)
	switch function {
	case "file":
		return m.fileFact(arguments[0])
	case "text":
		return m.textFact(arguments[0])
	case "ini":
		return m.iniFact(arguments[0], arguments[1], arguments[2])
	}
	return typed.Reading{}, fmt.Errorf("no function of Linux is called %q", function)
}

// absolute refuses a path that depends on a working directory.
func absolute(p string) error {
	if !path.IsAbs(p) {
		return fmt.Errorf("%q is not an absolute path", p)
	}
	return nil
}

func (m *Machine) fileFact(p string) (typed.Reading, error) {
	if err := absolute(p); err != nil {
		return typed.Reading{}, err
	}
	f, err := m.tree.file(p)
	if err != nil {
		return typed.Reading{}, err
	}
	return typed.FileOf(f.Evidence, f.Exists, f.Dir, f.Size, f.Modified), nil
}

// maxFactText bounds a text file that a rule reads, in bytes.
const maxFactText = 1 << 20

func (m *Machine) textFact(p string) (typed.Reading, error) {
	if err := absolute(p); err != nil {
		return typed.Reading{}, err
	}
	data, f, err := m.tree.read(p, maxFactText)
	if err != nil {
		return typed.Reading{}, err
	}
	r := typed.Reading{Evidence: []requirement.Evidence{f.Evidence}}
	if f.Exists {
		r.Value = strings.ToValidUTF8(string(data), "\uFFFD")
	}
	return r, nil
}

// iniFact reads a value of a file of sections and lines NAME=VALUE. Of several, the last
// one counts. A section "" is what comes before the first.
func (m *Machine) iniFact(p, section, name string) (typed.Reading, error) {
	r, err := m.textFact(p)
	text, ok := r.Value.(string)
	if err != nil || !ok {
		return r, err
	}
	r.Value = nil
	here := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		key, value, assigns := strings.Cut(line, "=")
		switch {
		case line == "", line[0] == '#', line[0] == ';':
		case line[0] == '[' && strings.HasSuffix(line, "]"):
			here = line[1 : len(line)-1]
		case assigns && here == section && strings.TrimSpace(key) == name:
			r.Value = unquote(strings.TrimSpace(value))
		}
	}
	return r, nil
}

func (m *Machine) systemFacts() (typed.Reading, error) {
	s, err := m.System()
	if err != nil {
		return typed.Reading{}, err
	}
	return typed.Reading{Value: typed.LinuxSystem{From: typed.From{s.Evidence}, ID: s.ID, Version: s.VersionID,
		Name: s.Name, Architecture: s.Architecture, ComputerName: s.Hostname}}, nil
}

func (m *Machine) packageFacts() (typed.Reading, error) {
	db, err := m.Packages()
	if err != nil {
		return typed.Reading{}, err
	}
	all, err := db.Packages()
	if err != nil {
		return typed.Reading{}, packagesError(err)
	}
	manager := "rpm"
	if db.Kind() == packages.DPKG {
		manager = "dpkg"
	}
	list := []typed.Package{}
	for _, p := range all {
		if p.IsInstalled() {
			list = append(list, typed.Package{Name: p.Name, Epoch: int64(p.Epoch), Version: p.Version, Release: p.Release,
				Arch: p.Arch, Manager: manager, Installed: p.Installed.UTC()})
		}
	}
	return typed.Reading{Value: list, Evidence: []requirement.Evidence{m.ofPackages(db)}}, nil
}

func (m *Machine) unitFactsOfAll() (typed.Reading, error) {
	units, err := m.Units()
	if err == nil {
		err = units.err // there may be others
	}
	if err != nil {
		return typed.Reading{}, err
	}
	list := []typed.Unit{}
	for _, u := range units.all() {
		of := typed.Unit{From: typed.From{u.File}, Name: u.Name}
		switch {
		case u.Err != nil:
			of.State, of.Enabled, of.Masked = typed.Unknown[string](u.Err), typed.Unknown[bool](u.Err),
				typed.Unknown[bool](u.Err)
		case u.State == unitSometimes:
			of.State, of.Masked = typed.Of(string(u.State)), typed.Of(false)
			of.Enabled = typed.Unknown[bool](fmt.Errorf("%s is enabled by some boot entries only", u.Name))
		default:
			of.State, of.Enabled = typed.Of(string(u.State)), typed.Of(u.State == unitEnabled)
			of.Masked = typed.Of(u.State == unitMasked)
		}
		if u.State == unitEnabled {
			of.From = append(of.From, u.WantedBy...)
		}
		list = append(list, of)
	}
	return typed.Reading{Value: list}, nil
}

// maxAccounts bounds the lines of /etc/passwd and of /etc/group.
const maxAccounts = 100_000

// table reads a file of lines whose fields are separated by colons. Lines of another
// number of fields are left out, as glibc does (nss_files).
func (m *Machine) table(p string, fields int) (rows [][]string, ev requirement.Evidence, err error) {
	data, f, err := m.tree.read(p, maxConfig)
	if err != nil {
		return nil, f.Evidence, err
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		row := strings.Split(line, ":")
		if line == "" || line[0] == '#' || len(row) < fields {
			continue
		}
		if rows = append(rows, row); len(rows) > maxAccounts {
			return nil, f.Evidence, inFile(p, errTooLarge)
		}
	}
	return rows, f.Evidence, nil
}

func (m *Machine) userFacts() (typed.Reading, error) {
	rows, ev, err := m.table("/etc/passwd", 7)
	if err != nil {
		return typed.Reading{}, err
	}
	passwords := map[string]string{}
	shadow, _, unread := m.table("/etc/shadow", 2)
	for _, row := range shadow {
		passwords[row[0]] = row[1]
	}
	list := []typed.User{}
	for _, row := range rows {
		uid, errUID := strconv.ParseInt(row[2], 10, 64)
		gid, errGID := strconv.ParseInt(row[3], 10, 64)
		if errUID != nil || errGID != nil {
			continue
		}
		u := typed.User{From: typed.From{ev}, Name: row[0], UID: uid, GID: gid, Home: row[5], Shell: row[6]}
		password, known := passwords[row[0]]
		switch {
		case row[1] != "x":
			u.Locked = typed.Of(strings.HasPrefix(row[1], "*") || strings.HasPrefix(row[1], "!"))
		case unread != nil:
			u.Locked = typed.Unknown[bool](unread)
		case !known:
			u.Locked = typed.Of(true) // no password fits
		default:
			u.Locked = typed.Of(strings.HasPrefix(password, "*") || strings.HasPrefix(password, "!"))
		}
		list = append(list, u)
	}
	return typed.Reading{Value: list, Evidence: []requirement.Evidence{ev}}, nil
}

func (m *Machine) groupFacts() (typed.Reading, error) {
	rows, ev, err := m.table("/etc/group", 4)
	if err != nil {
		return typed.Reading{}, err
	}
	list := []typed.Group{}
	for _, row := range rows {
		gid, err := strconv.ParseInt(row[2], 10, 64)
		if err != nil {
			continue
		}
		g := typed.Group{From: typed.From{ev}, Name: row[0], GID: gid, Members: []string{}}
		for _, name := range strings.Split(row[3], ",") {
			if name = strings.TrimSpace(name); name != "" {
				g.Members = append(g.Members, name)
			}
		}
		list = append(list, g)
	}
	return typed.Reading{Value: list, Evidence: []requirement.Evidence{ev}}, nil
}

// volumeFacts are the root volume and the one at /home. What encrypts them is known to
// who opens them.
func (m *Machine) volumeFacts() (typed.Reading, error) {
	list := []typed.Filesystem{filesystemFact(m.tree.root, "/")}
	if home := m.tree.home; home != nil && home != m.tree.root {
		list = append(list, filesystemFact(home, "/home"))
	}
	return typed.Reading{Value: list}, nil
}

func filesystemFact(v *volume, at string) typed.Filesystem {
	of := typed.Filesystem{Role: v.role, Path: at, Filesystem: v.Type, Encrypted: typed.Unknown[bool](v.Err),
		Encryption: typed.Unknown[string](v.Err)}
	var err error
	switch {
	case v.FS == nil:
		err = v.missing()
	case v.Usage == nil:
		err = &volumeError{v.role, errors.New("its usage is unknown")}
	}
	if err != nil {
		of.Size, of.Free = typed.Unknown[int64](err), typed.Unknown[int64](err)
		return of
	}
	usage, err := v.Usage()
	ev := volumeEvidence(v.role)
	ev.Data = fmt.Sprintf("%d bytes available of %d", usage.Available, usage.Size)
	of.From, of.Size, of.Free = typed.From{ev}, typed.Known(usage.Size, err), typed.Known(usage.Available, err)
	return of
}
