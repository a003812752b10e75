package linux

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// A bootChoice is what one kernel command line asks of systemd
// (systemd(1), kernel-command-line(7)).
type bootChoice struct {
	Target   string     // "default.target" if the line names none
	Masked   []string   // units that it masks
	Wants    []string   // units that it adds
	Init     string     // another program instead of systemd, "" if none
	Lines    [][]string // the words of each line that asks for this; nil if none is known
	Evidence requirement.Evidence
}

// maxBootChoices bounds the number of different command lines; a loader offers
// a few.
const maxBootChoices = 16

// bootChoices lists what the kernel command lines of the boot loader ask for,
// each once. Where none is known, systemd starts the default target.
func (m *Machine) bootChoices() ([]bootChoice, error) {
	lines, err := m.kernelCommandLine()
	var list []bootChoice
	index := map[string]int{}
	for _, line := range lines {
		c := parseBootChoice(strings.Fields(line.Text))
		c.Evidence = line.Evidence
		key := fmt.Sprint(c.Target, c.Masked, c.Wants, c.Init)
		if i, known := index[key]; known {
			list[i].Lines = append(list[i].Lines, c.Lines...)
			continue
		}
		if len(list) >= maxBootChoices {
			err = joinErrors(err, fmt.Errorf("more than %d different kernel command lines: %w", maxBootChoices,
				errTooLarge))
			break
		}
		index[key], list = len(list), append(list, c)
	}
	if len(list) == 0 {
		list = []bootChoice{{Target: "default.target"}}
	}
	return list, err
}

// runlevels are the words that choose a target as in System V.
var runlevels = map[string]string{
	"1": "rescue.target", "s": "rescue.target", "S": "rescue.target", "single": "rescue.target",
	"rescue": "rescue.target",
	"-b":     "emergency.target", "emergency": "emergency.target",
	"2": "runlevel2.target", "3": "runlevel3.target", "4": "runlevel4.target", "5": "runlevel5.target",
}

func parseBootChoice(words []string) bootChoice {
	c := bootChoice{Target: "default.target", Lines: [][]string{words}}
	for _, w := range words {
		w = strings.Trim(w, `"`)
		name, value, ok := strings.Cut(w, "=")
		value = strings.Trim(value, `"`)
		switch name = strings.ReplaceAll(name, "-", "_"); {
		case runlevels[w] != "":
			c.Target = runlevels[w]
		case !ok:
		case name == "systemd.unit" && isUnit(value):
			c.Target = value
		case name == "systemd.mask":
			c.Masked = append(c.Masked, withSuffix(value))
		case name == "systemd.wants":
			c.Wants = append(c.Wants, withSuffix(value))
		case name == "systemd.run":
			c.Target = "kernel-command-line.target"
		case name == "init":
			c.Init = value
		}
	}
	if strings.HasSuffix(c.Init, "/systemd") || c.Init == "/sbin/init" || c.Init == "/usr/sbin/init" ||
		c.Init == "/bin/init" {
		c.Init = ""
	}
	return c
}

// withSuffix completes a unit's name as systemd does where one is expected.
func withSuffix(name string) string {
	if isUnit(name) {
		return name
	}
	return name + ".service"
}

// runlevelTargets are the aliases that systemd brings for runlevels.
var runlevelTargets = map[string]string{
	"runlevel1.target": "rescue.target", "runlevel2.target": "multi-user.target",
	"runlevel3.target": "multi-user.target",
	"runlevel4.target": "multi-user.target", "runlevel5.target": "graphical.target",
}

// lookup follows a name to its unit, and the aliases of systemd's own where the
// volume has none.
func (s *unitSet) lookup(name string) string {
	real, f := s.files.resolve(name)
	if to := runlevelTargets[real]; f == nil && to != "" {
		real, _ = s.files.resolve(to)
	}
	return real
}

// A startRun finds what starts by one command line.
type startRun struct {
	set    *unitSet
	masked map[string]bool
	why    map[string]string // why a unit cannot start; "" if it can
	open   map[string]bool   // being looked at, in a circle of requirements
	pulled map[string][]requirement.Evidence
	lacks  map[string]string // what a unit that is pulled in requires and cannot have
	unread error             // why more may be pulled in
	needed error             // why it is not known whether the target starts at all
}

// maxRequireDepth bounds chains of Requires=; real ones have a few units.
const maxRequireDepth = 200

// fault says why a unit cannot start, as a predicate of the unit, "" if it can: it is missing, masked or refused, or
// requires one that is.
func (r *startRun) fault(name string, depth int) string {
	name = r.set.lookup(name)
	if why, known := r.why[name]; known {
		return why
	}
	if r.open[name] {
		return ""
	}
	if depth > maxRequireDepth {
		return "has a chain of requirements that is too long"
	}
	r.open[name] = true
	why := r.ownFault(name)
	if why == "" {
		for _, e := range r.set.edges[name] {
			if !e.Required {
				continue
			}
			if below := r.fault(e.To, depth+1); below != "" {
				why = fmt.Sprintf("requires %s, which %s", e.To, below)
				break
			}
		}
	}
	delete(r.open, name)
	r.why[name] = why
	return why
}

func (r *startRun) ownFault(name string) string {
	u := r.set.units[name]
	switch {
	case r.masked[name]:
		return "is masked"
	case u == nil || u.State == unitMissing && u.Err == nil:
		if r.set.standard(name) {
			return ""
		}
		return "does not exist"
	case u.State == unitMasked:
		return "is masked"
	case u.State == unitRefused:
		return u.Why
	}
	return ""
}

// run follows what a target pulls in.
func (r *startRun) run(c bootChoice) (why string) {
	if c.Init != "" {
		return "the kernel starts " + c.Init + " instead of systemd"
	}
	target := r.set.lookup(c.Target)
	if fault := r.fault(target, 0); fault != "" {
		why = fmt.Sprintf("the boot target %s %s", target, fault)
		if r.ownFault(target) == "" {
			return why
		}
		// systemd falls back to its rescue shell.
		if target = r.set.lookup("rescue.target"); r.fault(target, 0) != "" {
			return why
		}
	}
	queue := []string{target}
	r.pulled[target] = []requirement.Evidence{c.Evidence}
	pull := func(name string, ev requirement.Evidence) {
		name = r.set.lookup(name)
		if fault := r.fault(name, 0); fault != "" {
			if r.ownFault(name) != "" || r.set.files.version.has(sinceDroppedJobs) {
				return
			}
			r.lacks[name] = fault
		}
		if r.pulled[name] == nil {
			queue = append(queue, name)
		}
		if len(r.pulled[name]) < maxNamed {
			r.pulled[name] = append(r.pulled[name], ev)
		}
	}
	for _, w := range c.Wants {
		pull(w, c.Evidence)
	}
	r.needed = r.unreadRequirement(target)
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		if u := r.set.units[name]; u != nil {
			r.unread = joinErrors(r.unread, u.Err)
		}
		for _, e := range r.set.edges[name] {
			// What a unit wants is not asked for once what it requires has failed.
			if e.Required || r.lacks[name] == "" {
				pull(e.To, e.Evidence)
			}
		}
		if name == r.set.lookup("sysinit.target") {
			pull("dbus.service", c.Evidence) // activated on demand, on every system that has it
		}
	}
	return why
}

// unreadRequirement says which unit could not be read of those without which a
// target does not start.
func (r *startRun) unreadRequirement(target string) error {
	var unread error
	seen := map[string]bool{target: true}
	for queue := []string{target}; len(queue) > 0; queue = queue[1:] {
		if u := r.set.units[queue[0]]; u != nil {
			unread = joinErrors(unread, u.Err)
		}
		for _, e := range r.set.edges[queue[0]] {
			if to := r.set.lookup(e.To); e.Required && !seen[to] {
				seen[to] = true
				queue = append(queue, to)
			}
		}
	}
	return unread
}

// start finds which units start, by every command line of the boot loader.
func (s *unitSet) start() {
	for i, c := range s.boots {
		r := &startRun{set: s, masked: map[string]bool{}, why: map[string]string{}, open: map[string]bool{},
			pulled: map[string][]requirement.Evidence{}, lacks: map[string]string{}}
		for _, name := range c.Masked {
			r.masked[s.lookup(name)] = true
		}
		none := r.run(c)
		for name, u := range s.units {
			s.judge(u, name, r, c, none, i == 0)
		}
		s.doubt(r)
	}
}

// doubt makes uncertain that units do not start, where one that starts, and may
// pull them in, could not be read.
func (s *unitSet) doubt(r *startRun) {
	var unread error
	for _, name := range slices.Sorted(maps.Keys(r.pulled)) {
		if u := s.units[name]; u != nil && u.Err != nil {
			unread = fmt.Errorf("cannot determine which units %s starts: %w", name, u.Err)
			break
		}
	}
	if unread == nil {
		return
	}
	for _, u := range s.units {
		if u.Err == nil && (u.State == unitUnreached || u.State == unitDisabled || u.State == unitStatic) {
			u.Err = unread
		}
	}
}

// judge takes over what one command line makes of a unit.
func (s *unitSet) judge(u *Unit, name string, r *startRun, c bootChoice, none string, first bool) {
	if u.State == unitMissing || u.State == unitMasked || u.State == unitRefused {
		return
	}
	pulled := r.pulled[name]
	state, why := u.State, u.Why
	switch {
	case u.Err != nil:
	case r.needed != nil:
		u.Err = r.needed
	case len(pulled) == 0:
		u.Err = r.unread
	}
	switch fault := r.fault(name, 0); {
	case len(pulled) > 0:
		state, why = unitEnabled, r.lacks[name]
	case r.masked[name]:
		state, why = unitMasked, "systemd.mask= on the kernel command line masks "+name
	case !s.isPulled(name):
		// Nothing pulls it in, whatever starts: it is disabled or static.
	case fault != "":
		state, why = unitRefused, fault
	case none != "":
		state, why = unitUnreached, none
	default:
		state, why = unitUnreached, fmt.Sprintf("%s does not start the units that want %s (%s)",
			s.lookup(c.Target), name, prosePullers(s, name))
	}
	switch {
	case first:
		u.State, u.Why = state, why
	case state != u.State && (state == unitEnabled || u.State == unitEnabled):
		if u.State == unitEnabled {
			u.Why = whyClause(state, why)
		} else {
			u.Why = u.clause()
		}
		u.State = unitSometimes
	}
	switch {
	case len(pulled) > 0 && len(u.WantedBy) == 0:
		u.WantedBy = pulled
	case len(pulled) == 0 && c.Evidence.Source != "" && state != unitDisabled && state != unitStatic &&
		len(u.WantedBy) == 0:
		u.WantedBy = []requirement.Evidence{c.Evidence}
	}
}

// isPulled says whether any unit, or a folder of links, names the unit.
func (s *unitSet) isPulled(name string) bool { return len(s.pullers(name)) > 0 }

// pullers lists the units that would pull one in if they were started.
func (s *unitSet) pullers(name string) []string {
	if s.reverse == nil {
		s.reverse = map[string][]string{}
		for from, edges := range s.edges {
			for _, e := range edges {
				to := s.lookup(e.To)
				if len(s.reverse[to]) < maxNamed && from != "dbus.service" {
					s.reverse[to] = append(s.reverse[to], from)
				}
			}
		}
		for _, list := range s.reverse {
			slices.Sort(list)
		}
	}
	return s.reverse[name]
}
