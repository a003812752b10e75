package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// unitFolders are where systemd finds units of the system, the one that goes
// before the others first (systemd.unit(5)). /run is in memory.
var unitFolders = []string{"/etc/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// A unitState says whether a unit is started.
type unitState string

const (
	unitMissing  unitState = "missing"
	unitMasked   unitState = "masked"
	unitEnabled  unitState = "enabled"
	unitStatic   unitState = "static"   // it has no [Install] section, and nothing pulls it in
	unitDisabled unitState = "disabled" // nothing pulls it in
)

// Unit is a unit of systemd. A link in a .wants or .requires folder makes it
// enabled; a preset, which only says what would be, does not.
type Unit struct {
	Name     string
	State    unitState
	Exec     []string // the commands that it runs
	File     requirement.Evidence
	WantedBy []requirement.Evidence // the links that pull it in
	Err      error                  // why the rest may not be so; nil if all of the unit was read
}

// unitSet is all units of the system by name.
type unitSet struct {
	units map[string]Unit
	err   error // why there may be more, or more links that pull them in; nil if all folders were read
}

// all lists the units by name.
func (s unitSet) all() []Unit {
	list := slices.Collect(maps.Values(s.units))
	slices.SortFunc(list, func(a, b Unit) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// get returns one unit; one that is not there is missing.
func (s unitSet) get(name string) Unit {
	u, ok := s.units[name]
	if !ok {
		u = Unit{Name: name, State: unitMissing, File: noUnitFile(name)}
	}
	// What was not read may hold the unit, mask it, or pull it in.
	if u.Err == nil && u.State != unitMasked && u.State != unitEnabled {
		u.Err = s.err
	}
	return u
}

func noUnitFile(name string) requirement.Evidence {
	return requirement.Evidence{Source: "root", Path: "usr/lib/systemd/system/" + name, Note: notFound}
}

// Units reads all units of the system. A unit that is damaged carries its own
// error.
func (m *Machine) Units() (unitSet, error) { return m.units.Get(m.next().readUnits) }

// maxUnit bounds a unit file, in bytes.
const maxUnit = 1 << 20

func (m *Machine) readUnits() (unitSet, error) {
	parts := map[string]*unitParts{}
	part := func(name string) *unitParts {
		if parts[name] == nil {
			parts[name] = &unitParts{}
		}
		return parts[name]
	}
	set := unitSet{units: map[string]Unit{}}
	seen := map[string]bool{}
	for _, folder := range unitFolders {
		// /lib is often a link to /usr/lib: read it once.
		real, err := m.tree.file(folder)
		if err != nil {
			set.err = errors.Join(set.err, err)
			continue
		}
		if !real.Exists || seen[real.Evidence.Path] {
			continue
		}
		seen[real.Evidence.Path] = true
		entries, _, err := m.tree.list(folder)
		if err != nil {
			set.err = errors.Join(set.err, err)
			continue
		}
		for _, e := range entries {
			here := path.Join(folder, e.Name())
			switch ext := path.Ext(e.Name()); {
			case ext == ".wants" || ext == ".requires":
				set.err = errors.Join(set.err, m.readWants(here, part))
			case ext == ".d":
				p := part(strings.TrimSuffix(e.Name(), ".d"))
				p.err = errors.Join(p.err, m.readDropIns(here, p))
			case isUnit(e.Name()) && part(e.Name()).file == nil:
				p := part(e.Name())
				p.err = errors.Join(p.err, m.readUnitFile(here, p))
			}
		}
	}
	for name, p := range parts {
		if p.file == nil && p.err == nil {
			p.template(parts[templateOf(name)])
		}
		set.units[name] = p.unit(name)
	}
	return set, nil
}

// templateOf is the unit that an instance is made of: "clamd@.service" for
// "clamd@scan.service"; "" for what is no instance (systemd.unit(5)).
func templateOf(name string) string {
	before, after, ok := strings.Cut(name, "@")
	if !ok {
		return ""
	}
	return before + "@" + path.Ext(after)
}

// unitParts is what the folders hold of one unit.
type unitParts struct {
	file    *File
	masked  bool
	text    string
	dropIns []string
	wanted  []requirement.Evidence
	err     error // why this is not all
}

// template gives an instance what its template holds.
func (p *unitParts) template(of *unitParts) {
	if of == nil {
		return
	}
	p.file, p.masked, p.text, p.err = of.file, of.masked, of.text, of.err
	p.dropIns = append(slices.Clip(of.dropIns), p.dropIns...)
}

func (p *unitParts) unit(name string) Unit {
	u := Unit{Name: name, WantedBy: p.wanted, Err: p.err}
	if p.file != nil {
		u.File = p.file.Evidence
	}
	sections := parseUnit(p.text)
	for _, d := range p.dropIns {
		sections.merge(parseUnit(d))
	}
	u.Exec = sections.commands()
	switch {
	case p.file == nil:
		u.State = unitMissing
		u.File = noUnitFile(name)
	case p.masked:
		u.State = unitMasked
	case len(p.wanted) > 0:
		u.State = unitEnabled
	case len(sections["Install"]) == 0:
		u.State = unitStatic
	default:
		u.State = unitDisabled
	}
	return u
}

// isUnit says whether a name is that of a unit (systemd.unit(5)).
func isUnit(name string) bool {
	return slices.Contains([]string{".service", ".socket", ".target", ".timer", ".mount", ".automount", ".path", ".slice", ".scope", ".swap", ".device"}, path.Ext(name))
}

// readUnitFile reads a unit's file. A link to /dev/null, and an empty file,
// masks the unit; a link to a file of another name is an alias for it.
func (m *Machine) readUnitFile(p string, into *unitParts) error {
	link, err := m.tree.link(p)
	if err != nil {
		return err
	}
	if path.Clean(path.Join(path.Dir(p), link.Target)) == "/dev/null" || link.Target == "/dev/null" {
		into.file, into.masked = &link, true
		return nil
	}
	data, f, err := m.tree.read(p, maxUnit)
	if err != nil {
		return err
	}
	if !f.Exists {
		return nil // a link that leads nowhere is no unit
	}
	into.file, into.text = &f, string(data)
	into.masked = len(data) == 0
	return nil
}

// readWants reads the links of a .wants or .requires folder. It is their names
// that count, wherever they lead.
func (m *Machine) readWants(folder string, part func(string) *unitParts) error {
	entries, _, err := m.tree.list(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Type()&fs.ModeSymlink == 0 || !isUnit(e.Name()) {
			continue
		}
		f, err := m.tree.link(path.Join(folder, e.Name()))
		if err != nil {
			return err
		}
		if f.Target == "/dev/null" {
			continue // takes back what a folder of lower rank wants
		}
		p := part(e.Name())
		p.wanted = append(p.wanted, f.Evidence)
	}
	return nil
}

func (m *Machine) readDropIns(folder string, into *unitParts) error {
	entries, _, err := m.tree.list(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if path.Ext(e.Name()) != ".conf" {
			continue
		}
		data, _, err := m.tree.read(path.Join(folder, e.Name()), maxUnit)
		if err != nil {
			return err
		}
		into.dropIns = append(into.dropIns, string(data))
	}
	return nil
}

// unitSections are the settings of a unit by section, as NAME=value in their
// order.
type unitSections map[string][][2]string

// parseUnit reads a unit's file (systemd.syntax(7)): sections, settings, lines
// that go on after a backslash, and comments between them.
func parseUnit(text string) unitSections {
	sections := unitSections{}
	section, pending := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue // also between the lines of one setting
		}
		if rest, ok := strings.CutSuffix(line, `\`); ok {
			pending += rest + " "
			continue
		}
		line, pending = pending+line, ""
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = line[1 : len(line)-1]
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		sections[section] = append(sections[section], [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return sections
}

// merge adds the settings of a drop-in.
func (s unitSections) merge(more unitSections) {
	for section, settings := range more {
		s[section] = append(s[section], settings...)
	}
}

// commands returns what the unit runs, without the prefixes that change how.
// An empty setting takes back those before it.
func (s unitSections) commands() []string {
	byName := map[string][]string{}
	var order []string
	for _, setting := range s["Service"] {
		name, value := setting[0], setting[1]
		if !strings.HasPrefix(name, "Exec") {
			continue
		}
		if value == "" {
			byName[name] = nil
			continue
		}
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
		byName[name] = append(byName[name], strings.TrimLeft(value, "@-:+!|"))
	}
	var commands []string
	for _, name := range order {
		commands = append(commands, byName[name]...)
	}
	return commands
}

// describe says a unit's state in a message.
func (u Unit) describe() string { return fmt.Sprintf("%s is %s", u.Name, u.State) }
