package linux

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// unitFacts is what the file of a unit and its drop-ins say together.
type unitFacts struct {
	Requires, Requisite, Wants []string // names of other units, unique
	Conflicts, After           []string
	DefaultDependencies        bool
	Conditions                 []unitCondition // Condition settings in force
	Asserts                    []unitCondition
	Install                    bool // there is an [Install] section with settings
	Refused                    string
	Exec                       []execCommand // in their order, those taken back left out
	Ignored                    []execCommand // what this systemd cannot parse, as a recent one would

	Type             string
	BusName          string
	User, Group      string
	DynamicUser      bool
	RootDirectory    string
	RootImage        string
	WorkingDirectory string
	Environment      []string // assignments
	EnvironmentFiles []string // paths, with "-" before those that may be missing
	NeededPaths      []string // of the mount namespace, without those that may be missing

	Activates []string // units that this socket, timer or path starts
	Fragment  requirement.Evidence
	err       error // why this is not all
}

// A unitCondition is one Condition or Assert setting.
type unitCondition struct {
	Kind     string // "PathExists"
	Argument string
	Negated  bool
	Trigger  bool // one of these must be met ("|")
	Raw      string
}

// maxDependencies bounds what is kept of one unit's dependencies.
const maxDependencies = 2000

// unitReader puts the facts of one unit together.
type unitReader struct {
	unitFacts
	version systemdVersion
	names   unitNames
	kind    string // the unit's suffix
	exec    map[string][]execCommand
	order   []string
	listens int
	accept  bool
	service string // of a socket
	unit    string // of a timer or path
	remain  bool
	action  bool // SuccessAction=
	restart string
}

// readFacts reads a unit's file and drop-ins as one. first is nil if the unit
// has no file.
func readFacts(first *fragment, dropIns []*fragment, v systemdVersion, n unitNames) unitFacts {
	r := unitReader{version: v, names: n, kind: path.Ext(n.Name), exec: map[string][]execCommand{}}
	r.DefaultDependencies = true
	if first != nil {
		r.Fragment = first.File.Evidence
		r.read(first, true)
	}
	for _, d := range dropIns {
		r.read(d, false)
	}
	for _, setting := range r.order {
		r.Exec = append(r.Exec, r.exec[setting]...)
	}
	r.activates()
	if r.Refused == "" {
		r.Refused = r.verify()
	}
	return r.unitFacts
}

// read takes over what one file says. A command that cannot be parsed refuses
// the unit where it stands in the unit's own file, and ends a drop-in.
func (r *unitReader) read(f *fragment, own bool) {
	if f.Err != nil {
		r.addErr(f.Err)
		return
	}
	if f.Text.More {
		r.addErr(fmt.Errorf("unit file %s on the root volume: %w", f.Path, errUnitTooLong))
	}
	if f.Text.Include && !r.version.has(247) || f.Text.Include && r.version == 0 {
		r.addErr(fmt.Errorf("unit file %s on the root volume includes another file, which coldcheck does not read", f.Path))
	}
	for _, s := range f.Text.Settings {
		if err := r.setting(s); err != nil && r.version.has(sinceExecFault) {
			if own {
				r.Refused = err.Error()
			}
			return
		}
	}
	if f.Text.Fault != "" && own {
		r.Refused = f.Text.Fault
	}
}

func (r *unitReader) addErr(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *unitReader) setting(s unitSetting) error {
	switch s.Section {
	case "Unit":
		r.unitSetting(s)
	case "Install":
		r.Install = true
	case "Service", "Socket", "Mount", "Swap":
		if "."+strings.ToLower(s.Section) != r.kind {
			return nil
		}
		if isExecSetting(s.Name, r.version) {
			return r.execSetting(s)
		}
		r.contextSetting(s)
		if s.Section == "Service" {
			r.serviceSetting(s)
		} else if s.Section == "Socket" {
			r.socketSetting(s)
		}
	case "Timer", "Path":
		if "."+strings.ToLower(s.Section) == r.kind {
			r.triggerSetting(s)
		}
	}
	return nil
}

func isExecSetting(name string, v systemdVersion) bool {
	switch name {
	case "ExecStart", "ExecStartPre", "ExecStartPost", "ExecReload", "ExecStop", "ExecStopPre", "ExecStopPost":
		return true
	case "ExecCondition":
		return v.has(sinceExecCondition)
	}
	return false
}

func (r *unitReader) execSetting(s unitSetting) error {
	if s.Value == "" {
		r.exec[s.Name] = nil
		return nil
	}
	commands, err := parseExec(s.Name, s.Value, r.version, r.names)
	if err != nil {
		more, _ := parseExec(s.Name, s.Value, 0, r.names)
		r.Ignored = append(r.Ignored, more...)
	}
	if err != nil && strings.HasPrefix(s.Value, "-") {
		return nil // systemd leaves such a line out
	}
	if _, known := r.exec[s.Name]; !known {
		r.order = append(r.order, s.Name)
	}
	r.exec[s.Name] = append(r.exec[s.Name], commands...)
	return err
}

func (r *unitReader) unitSetting(s unitSetting) {
	add := func(list *[]string) {
		words, _ := splitWords(s.Value)
		for _, w := range words {
			name, known := r.names.expand(w.text)
			switch {
			case !known || !isUnit(name) || slices.Contains(*list, instanceFor(name, r.names.Name)):
			case len(*list) >= maxDependencies:
				r.addErr(fmt.Errorf("unit %s: more than %d dependencies: %w", r.names.Name, maxDependencies,
					errTooLarge))
				return
			default:
				*list = append(*list, instanceFor(name, r.names.Name))
			}
		}
	}
	switch s.Name {
	case "Requires", "BindsTo", "RequiresOverridable":
		add(&r.Requires)
	case "Requisite":
		add(&r.Requisite)
	case "Wants":
		add(&r.Wants)
	case "Upholds":
		if r.version.has(sinceUpholds) {
			add(&r.Wants)
			if r.version == 0 {
				r.addErr(fmt.Errorf(
					"%s has Upholds=, which only some systemd versions support, and the systemd version is unknown", r.names.Name))
			}
		}
	case "Conflicts":
		add(&r.Conflicts)
	case "After":
		add(&r.After)
	case "DefaultDependencies":
		if on, ok := parseBool(s.Value); ok {
			r.DefaultDependencies = on
		}
	case "SuccessAction":
		r.action = s.Value != "" && s.Value != "none"
	}
	for _, prefix := range []string{"Condition", "Assert"} {
		kind, ok := strings.CutPrefix(s.Name, prefix)
		if !ok {
			continue
		}
		since, known := conditionsSince[kind]
		if !known || !r.version.has(since) {
			continue // systemd ignores what it does not know
		}
		list := &r.Conditions
		if prefix == "Assert" {
			list = &r.Asserts
		}
		if s.Value == "" {
			*list = nil
			continue
		}
		if r.version == 0 && since > 219 {
			r.addErr(fmt.Errorf("%s has %s=, which only some systemd versions support, and the systemd version is unknown",
				r.names.Name, s.Name))
		}
		c := unitCondition{Kind: kind, Raw: s.Name + "=" + s.Value}
		rest := s.Value
		if rest, c.Trigger = strings.CutPrefix(rest, "|"); c.Trigger {
			rest = strings.TrimLeft(rest, " \t")
		}
		if rest, c.Negated = strings.CutPrefix(rest, "!"); c.Negated {
			rest = strings.TrimLeft(rest, " \t")
		}
		c.Argument, _ = r.names.expand(rest)
		*list = append(*list, c)
	}
}

// contextSetting reads what a command runs in (systemd.exec(5)).
func (r *unitReader) contextSetting(s unitSetting) {
	value, _ := r.names.expand(s.Value)
	switch s.Name {
	case "User":
		r.User = value
	case "Group":
		r.Group = value
	case "DynamicUser":
		r.DynamicUser, _ = parseBool(value)
	case "RootDirectory":
		r.RootDirectory = value
	case "RootImage":
		r.RootImage = value
	case "WorkingDirectory":
		r.WorkingDirectory = value
	case "Environment":
		if value == "" {
			r.Environment = nil
		}
		words, _ := splitWords(value)
		for _, w := range words {
			r.Environment = append(r.Environment, w.text)
		}
	case "EnvironmentFile":
		if value == "" {
			r.EnvironmentFiles = nil
		} else {
			r.EnvironmentFiles = append(r.EnvironmentFiles, value)
		}
	case "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ReadWriteDirectories", "ReadOnlyDirectories",
		"InaccessibleDirectories", "BindPaths", "BindReadOnlyPaths":
		if value == "" {
			r.NeededPaths = slices.DeleteFunc(r.NeededPaths,
				func(p string) bool { return strings.HasPrefix(p, s.Name+"=") })
		}
		words, _ := splitWords(value)
		for _, w := range words {
			p := strings.TrimPrefix(w.text, "+")
			if strings.HasPrefix(s.Name, "Bind") {
				p, _, _ = strings.Cut(p, ":")
			}
			if path.IsAbs(p) {
				r.NeededPaths = append(r.NeededPaths, s.Name+"="+p)
			}
		}
	}
}

func (r *unitReader) serviceSetting(s unitSetting) {
	value, _ := r.names.expand(s.Value)
	switch s.Name {
	case "Type":
		// systemd ignores a type that it does not know.
		since, known := map[string]int{"simple": 0, "forking": 0, "oneshot": 0, "dbus": 0, "notify": 0, "idle": 0,
			"exec": 240, "notify-reload": 253}[value]
		if known && r.version.has(since) {
			r.Type = value
		}
	case "BusName":
		r.BusName = value
	case "RemainAfterExit":
		r.remain, _ = parseBool(value)
	case "Restart":
		r.restart = value
	case "Sockets":
		words, _ := splitWords(value)
		for _, w := range words {
			if isUnit(w.text) && len(r.Wants) < maxDependencies {
				r.Wants = append(r.Wants, w.text)
			}
		}
	}
}

func (r *unitReader) socketSetting(s unitSetting) {
	switch {
	case strings.HasPrefix(s.Name, "Listen"):
		r.listens++
		if s.Value == "" {
			r.listens = 0
		}
	case s.Name == "Accept":
		r.accept, _ = parseBool(s.Value)
	case s.Name == "Service":
		r.service, _ = r.names.expand(s.Value)
	}
}

func (r *unitReader) triggerSetting(s unitSetting) {
	switch {
	case s.Name == "Unit":
		r.unit, _ = r.names.expand(s.Value)
	case strings.HasPrefix(s.Name, "On") && r.kind == ".timer",
		r.kind == ".path" && (strings.HasPrefix(s.Name, "Path") || s.Name == "DirectoryNotEmpty"):
		r.listens++
		if s.Value == "" {
			r.listens = 0
		}
	}
}

// activates says what a socket, timer or path starts: the service of its own
// name if it names none.
func (r *unitReader) activates() {
	base := strings.TrimSuffix(r.names.Name, r.kind)
	switch r.kind {
	case ".socket":
		switch {
		case r.accept:
			r.Activates = append(r.Activates, base+"@.service")
		case isUnit(r.service):
			r.Activates = append(r.Activates, r.service)
		default:
			r.Activates = append(r.Activates, base+".service")
		}
	case ".timer", ".path":
		if isUnit(r.unit) {
			r.Activates = append(r.Activates, r.unit)
		} else {
			r.Activates = append(r.Activates, base+".service")
		}
	}
}

// verify says why systemd does not load the unit, as a predicate of the unit, "" if it does.
func (r *unitReader) verify() string {
	switch r.kind {
	case ".socket":
		if r.listens == 0 {
			return "listens to nothing"
		}
	case ".timer":
		if r.listens == 0 {
			return "has no time to start at"
		}
	case ".path":
		if r.listens == 0 {
			return "has no path to watch"
		}
	case ".service":
		return r.verifyService()
	}
	return ""
}

func (r *unitReader) verifyService() string {
	if r.Type == "" {
		r.Type = "simple"
		switch {
		case r.BusName != "":
			r.Type = "dbus"
		case len(r.exec["ExecStart"]) == 0:
			r.Type = "oneshot"
		}
	}
	start, stop := len(r.exec["ExecStart"]), len(r.exec["ExecStop"])
	switch {
	case start == 0 && stop == 0 && !(r.action && r.version.has(236)):
		return "has no ExecStart="
	case start == 0 && r.Type != "oneshot":
		return "has no ExecStart= and is not Type=oneshot"
	case start == 0 && !r.remain && !(r.action && r.version.has(236)):
		return "has neither ExecStart= nor RemainAfterExit=yes"
	case start > 1 && r.Type != "oneshot":
		return "has more than one ExecStart= and is not Type=oneshot"
	case r.Type == "dbus" && r.BusName == "":
		return "is Type=dbus and has no BusName="
	case r.Type == "oneshot" && (r.restart == "always" || r.restart == "on-success"):
		return "is Type=oneshot and has Restart=" + r.restart
	case r.Type == "oneshot" && r.restart != "" && r.restart != "no" && !r.version.has(244):
		return "is Type=oneshot and has Restart=" + r.restart + ", which this version of systemd rejects"
	}
	return ""
}

// parseBool reads a truth value as systemd does.
func parseBool(s string) (value, ok bool) {
	switch strings.ToLower(s) {
	case "1", "yes", "y", "true", "t", "on":
		return true, true
	case "0", "no", "n", "false", "f", "off":
		return false, true
	}
	return false, false
}
