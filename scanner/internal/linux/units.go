package linux

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// A unitState says whether a unit is started.
type unitState string

const (
	unitMissing   unitState = "missing"
	unitMasked    unitState = "masked"
	unitRefused   unitState = "refused by systemd" // see Unit.Why
	unitEnabled   unitState = "enabled"            // the default target pulls it in
	unitStatic    unitState = "static"             // it has no [Install] section, and nothing pulls it in
	unitDisabled  unitState = "disabled"           // nothing pulls it in
	unitUnreached unitState = "not reached"        // only what is not started pulls it in
	unitSometimes unitState = "enabled by some boot entries"
)

// Unit is a unit of systemd. It is enabled if the default target pulls it in,
// directly or through other units, a socket, timer, path or bus name; a preset,
// which only says what would be, does not.
type Unit struct {
	Name     string // the one that aliases lead to
	State    unitState
	Why      string // why it does not start: see clause; of one that is enabled, what it requires and cannot have
	File     requirement.Evidence
	WantedBy []requirement.Evidence // what pulls it in
	Facts    *unitFacts
	Err      error // why the rest may not be so; nil if all of the unit was read
}

// unitSet is all units of the system, and which of them start.
type unitSet struct {
	files   *unitFiles
	units   map[string]*Unit    // by the name that aliases lead to
	aliases map[string][]string // the other names of each
	edges   map[string][]unitEdge
	boots   []bootChoice
	reverse map[string][]string // which units pull one in, made when first asked for
	bootErr error               // why there may be other command lines
	err     error               // why there may be more, or more links that pull them in; nil if all folders were read
}

// A unitEdge is that a unit pulls in another.
type unitEdge struct {
	To       string
	Required bool // without it the unit does not start
	Evidence requirement.Evidence
}

// all lists the units by name.
func (s *unitSet) all() []Unit {
	list := make([]Unit, 0, len(s.units))
	for _, name := range slices.Sorted(maps.Keys(s.units)) {
		list = append(list, *s.units[name])
	}
	return list
}

// get returns one unit; one that is not there is missing.
func (s *unitSet) get(name string) Unit {
	real, _ := s.files.resolve(name)
	if s.units[real] == nil {
		u := Unit{Name: name, State: unitMissing, File: noUnitFile(name), Facts: &unitFacts{}}
		u.Err = s.err
		return u
	}
	u := *s.units[real]
	// What was not read may hold the unit, mask it, or pull it in.
	if u.Err == nil && u.State != unitMasked && u.State != unitEnabled && u.State != unitRefused {
		u.Err = s.err
	}
	return u
}

// Units reads all units of the system, and which of them the default target
// starts. A unit that is damaged carries its own error.
func (m *Machine) Units() (*unitSet, error) { return m.units.Get(m.next().readUnits) }

const (
	// maxEdges bounds the dependencies of all units together; real systems have
	// some thousand.
	maxEdges = 1_000_000
	// maxUnitWork bounds how many settings are looked at for all units; drop-ins
	// of many units count each time.
	maxUnitWork = 20_000_000
)

func (m *Machine) readUnits() (*unitSet, error) {
	files, err := m.readUnitFiles()
	if err != nil {
		return nil, err
	}
	s := &unitSet{files: files, units: map[string]*Unit{}, aliases: map[string][]string{},
		edges: map[string][]unitEdge{}, err: files.err}
	names := files.names()
	for _, name := range names {
		real, f := files.resolve(name)
		if real != name {
			s.aliases[real] = append(s.aliases[real], name)
		}
		if s.units[real] == nil && (f != nil || real == name) {
			s.units[real] = &Unit{Name: real}
		}
	}
	ids, err := m.unitNames()
	if err != nil {
		s.err = joinErrors(s.err, err)
	}
	cache := map[string]*unitFacts{}
	work := 0
	queue := slices.Sorted(maps.Keys(s.units))
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		m.readUnit(s, name, ids, cache, &work)
		// Units that are only named, such as instances, are read too.
		f := s.units[name].Facts
		for _, to := range slices.Concat(f.Requires, f.Wants, f.Requisite, s.instances(name)) {
			real, file := files.resolve(to)
			if s.units[real] == nil && file != nil && len(s.units) < maxUnitFiles {
				s.units[real] = &Unit{Name: real}
				queue = append(queue, real)
			}
		}
	}
	if err := s.connect(m); err != nil {
		s.err = joinErrors(s.err, err)
	}
	s.boots, s.bootErr = m.bootChoices()
	s.start()
	return s, nil
}

// instances lists the instances of templates that the folders of links of a
// unit pull in.
func (s *unitSet) instances(name string) (list []string) {
	for _, of := range append([]string{name}, s.aliases[name]...) {
		for _, kind := range []string{".wants", ".requires", ".upholds"} {
			for link := range s.files.links[of+kind] {
				if isTemplate(link) {
					list = append(list, instanceFor(link, of))
				}
			}
		}
	}
	slices.Sort(list)
	return list
}

// instanceFor is what a template stands for where a unit names it: the instance
// of that unit's own instance, else of its prefix.
func instanceFor(template, unit string) string {
	if !isTemplate(template) {
		return template
	}
	base := strings.TrimSuffix(unit, path.Ext(unit))
	prefix, instance, _ := strings.Cut(base, "@")
	if instance == "" {
		instance = prefix
	}
	ext := path.Ext(template)
	return strings.TrimSuffix(template, ext) + instance + ext
}

// unitNames is what specifiers stand for on this machine.
func (m *Machine) unitNames() (unitNames, error) {
	var n unitNames
	data, _, err := m.tree.read("/etc/machine-id", maxConfig)
	n.MachineID = strings.TrimSpace(string(data))
	host, hostErr := m.hostname()
	n.Hostname = host
	return n, joinErrors(err, hostErr)
}

// readUnit puts together what is known of one unit.
func (m *Machine) readUnit(s *unitSet, name string, ids unitNames, cache map[string]*unitFacts, work *int) {
	u := s.units[name]
	_, f := s.files.resolve(name)
	dropIns, inDoubt := s.files.dropInsOf(append([]string{name}, s.aliases[name]...))
	u.File = noUnitFile(name)
	if f != nil {
		u.File = f.File.Evidence
	}
	var key strings.Builder
	settings, literal := 0, true
	for _, part := range append(slices.Clone(dropIns), f) {
		if part == nil {
			continue
		}
		settings += len(part.Text.Settings)
		var first *unitSetting
		if len(part.Text.Settings) > 0 {
			first = &part.Text.Settings[0]
			literal = literal && !strings.Contains(part.Text.joined(), "%")
		}
		fmt.Fprintf(&key, "%p %v %v;", first, part == f, part.Err)
	}
	kind := path.Ext(name)
	literal = literal && kind == ".service"
	key.WriteString(kind)
	if known := cache[key.String()]; known != nil && literal {
		u.Facts = known
	} else if *work += settings; *work > maxUnitWork {
		u.Facts = &unitFacts{err: fmt.Errorf("%s: %w", name, errTooManyUnits)}
	} else {
		ids.Name = name
		facts := readFacts(f, dropIns, s.files.version, ids)
		u.Facts = &facts
		cache[key.String()] = u.Facts
	}
	u.Err = u.Facts.err
	if inDoubt && u.Err == nil {
		u.Err = fmt.Errorf("%s has drop-ins that only some systemd versions read, and the systemd version is unknown", name)
	}
	switch {
	case f == nil:
		u.State = unitMissing
	case f.Masked && f.Err == nil:
		u.State, u.Err = unitMasked, nil
	case u.Facts.Refused != "":
		u.State, u.Why = unitRefused, u.Facts.Refused
	case u.Facts.Install:
		u.State = unitDisabled
	default:
		u.State = unitStatic
	}
}

// joined is one of the values that hold a specifier, "" if none does.
func (u unitText) joined() string {
	for _, s := range u.Settings {
		if strings.Contains(s.Value, "%") {
			return s.Value
		}
	}
	return ""
}

// standardUnits are units that every systemd brings (systemd.special(7)), with
// what they pull in. A system without them does not start at all: where the
// file of one is not there, it is taken as systemd ships it.
var standardUnits = map[string]unitFacts{
	"graphical.target":  {Requires: []string{"multi-user.target"}, Wants: []string{"display-manager.service"}},
	"multi-user.target": {Requires: []string{"basic.target"}},
	"basic.target": {Requires: []string{"sysinit.target"},
		Wants: []string{"sockets.target", "timers.target", "paths.target", "slices.target"}},
	"sysinit.target":           {Wants: []string{"local-fs.target", "swap.target"}},
	"getty.target":             {},
	"local-fs.target":          {},
	"local-fs-pre.target":      {},
	"remote-fs.target":         {},
	"remote-fs-pre.target":     {},
	"swap.target":              {},
	"sockets.target":           {},
	"timers.target":            {},
	"paths.target":             {},
	"slices.target":            {},
	"network.target":           {},
	"network-pre.target":       {},
	"network-online.target":    {},
	"nss-lookup.target":        {},
	"nss-user-lookup.target":   {},
	"time-sync.target":         {},
	"time-set.target":          {},
	"cryptsetup.target":        {},
	"rescue.target":            {Requires: []string{"sysinit.target", "rescue.service"}},
	"rescue.service":           {},
	"emergency.target":         {Requires: []string{"emergency.service"}},
	"emergency.service":        {},
	"dbus.socket":              {},
	"dbus.service":             {},
	"systemd-journald.service": {},
	"systemd-journald.socket":  {},
	"systemd-udevd.service":    {},
	"systemd-logind.service":   {},
}

// standard says whether a unit whose file is not there is one that systemd
// brings, or makes by itself.
func (s *unitSet) standard(name string) bool {
	if _, ok := standardUnits[name]; ok {
		return true
	}
	switch path.Ext(name) {
	case ".slice", ".scope", ".device", ".mount", ".swap", ".automount":
		return true // made by systemd, by its generators, or for hardware
	}
	return strings.HasPrefix(name, "runlevel") && path.Ext(name) == ".target"
}

// connect finds what each unit pulls in: by its settings, and by the folders of
// links of all its names.
func (s *unitSet) connect(m *Machine) error {
	edges := 0
	var failed error
	add := func(from, to string, required bool, ev requirement.Evidence) {
		if edges++; edges > maxEdges {
			failed = fmt.Errorf("more than %d unit dependencies: %w", maxEdges, errTooLarge)
			return
		}
		s.edges[from] = append(s.edges[from], unitEdge{to, required, ev})
	}
	connect := func(name string, facts *unitFacts) {
		ev := facts.Fragment
		for _, to := range facts.Requires {
			add(name, to, true, noted(ev, "Requires="+to))
		}
		for _, to := range facts.Wants {
			add(name, to, false, noted(ev, "Wants="+to))
		}
		kind := path.Ext(name)
		if facts.DefaultDependencies && (kind == ".service" || kind == ".socket" || kind == ".timer" ||
			kind == ".path") && facts.Fragment.Path != "" {
			add(name, "sysinit.target", true, ev)
		}
		for _, to := range facts.Activates {
			if !isTemplate(to) {
				add(name, to, false, noted(ev, "starts "+to))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.units)) {
		connect(name, s.units[name].Facts)
	}
	for name, facts := range standardUnits {
		real, f := s.files.resolve(name)
		if f == nil && real == name {
			connect(name, &facts)
		}
	}
	for folder := range s.files.links {
		kind := path.Ext(folder)
		if kind == ".upholds" && !s.files.version.has(sinceUpheldFolders) {
			continue
		}
		of := strings.TrimSuffix(folder, kind)
		targets := []string{of}
		if isTemplate(of) {
			targets = nil
			for name := range s.units {
				if templateOf(name) == of {
					targets = append(targets, name)
				}
			}
		}
		for _, from := range targets {
			real, _ := s.files.resolve(from)
			for _, l := range s.files.linked(folder) {
				add(real, instanceFor(l.Name, from), kind == ".requires", l.Evidence)
			}
		}
	}
	on, ev, err := m.cloudInitGenerator()
	if err != nil {
		failed = joinErrors(failed, err)
	}
	if on {
		add("multi-user.target", "cloud-init.target", false, ev)
	}
	buses, err := m.busNames(s)
	failed = joinErrors(failed, err)
	for _, b := range buses {
		add("dbus.service", b.To, false, b.Evidence)
	}
	return failed
}

// generatorFolders are where systemd finds its generators, the one that goes
// before the others first (systemd.generator(7)).
var generatorFolders = []string{"/etc/systemd/system-generators", "/usr/local/lib/systemd/system-generators",
	"/usr/lib/systemd/system-generators", "/lib/systemd/system-generators"}

// cloudInitGenerator says whether cloud-init's generator is there to be run: it
// links cloud-init.target to multi-user.target while the system starts. What
// turns it off is judged with cloud-init.
func (m *Machine) cloudInitGenerator() (bool, requirement.Evidence, error) {
	for _, folder := range generatorFolders {
		p := folder + "/cloud-init-generator"
		link, err := m.tree.link(p)
		if err != nil {
			return false, requirement.Evidence{}, err
		}
		if !link.Exists {
			continue
		}
		if m.endsAtNull(p) {
			return false, link.Evidence, nil
		}
		executable, _, err := m.executableFile(p)
		return executable, noted(link.Evidence, "links cloud-init.target to multi-user.target"), err
	}
	return false, requirement.Evidence{}, nil
}

// busFolders are where the bus finds what to activate (dbus-daemon(1)).
var busFolders = []string{"/etc/dbus-1/system-services", "/usr/local/share/dbus-1/system-services",
	"/usr/share/dbus-1/system-services", "/lib/dbus-1/system-services", "/usr/lib/dbus-1/system-services"}

// maxBusNames bounds how many services of the bus are looked at.
const maxBusNames = 2000

// busNames lists the units that the system bus starts when their name is asked
// for.
func (m *Machine) busNames(s *unitSet) ([]unitEdge, error) {
	var list []unitEdge
	seen := map[string]bool{}
	n := 0
	for _, folder := range busFolders {
		entries, _, err := m.tree.list(folder)
		if err != nil {
			return list, err
		}
		for _, e := range entries {
			if path.Ext(e.Name()) != ".service" || seen[e.Name()] {
				continue
			}
			if n++; n > maxBusNames {
				return list, fmt.Errorf("%s: more than %d D-Bus services: %w", folder, maxBusNames, errTooLarge)
			}
			seen[e.Name()] = true
			data, f, err := m.tree.read(path.Join(folder, e.Name()), maxUnit)
			if err != nil {
				return list, err
			}
			for _, setting := range parseUnit(string(data))["D-BUS Service"] {
				if setting[0] == "SystemdService" && isUnit(setting[1]) {
					list = append(list, unitEdge{To: setting[1],
						Evidence: noted(f.Evidence, "SystemdService="+setting[1])})
				}
			}
		}
	}
	return list, nil
}

// noted is evidence with what it says.
func noted(ev requirement.Evidence, data string) requirement.Evidence {
	ev.Data = data
	return ev
}

// describe says a unit's state in a message.
func (u Unit) describe() string {
	switch u.State {
	case unitRefused:
		return u.Name + " " + u.Why
	case unitUnreached:
		return u.Why
	case unitSometimes:
		text := "some boot entries do not start " + u.Name
		if u.Why != "" {
			text += ": " + u.Why
		}
		return text
	case unitMasked:
		if u.Why != "" {
			return u.Why
		}
	case unitStatic:
		return u.Name + " is static, and no unit starts it"
	}
	return fmt.Sprintf("%s is %s", u.Name, u.State)
}

// clause says why the unit does not start.
func (u Unit) clause() string { return whyClause(u.State, u.Why) }

// whyClause makes a clause of Unit.Why, which is a predicate of the unit where systemd itself refuses to start it.
func whyClause(state unitState, why string) string {
	if why != "" && (state == unitRefused || state == unitEnabled) {
		return "it " + why
	}
	return why
}
