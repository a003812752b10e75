package linux

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Bounds of what is read of mount units. Real systems have a few dozen, of
// which each snap has one.
const (
	maxMountUnits = 2_000
	maxMountUnit  = 64 << 10 // in bytes
)

var errTooManyMountUnits = fmt.Errorf("more than %d mount units", maxMountUnits)

// A mountUnit is what the folders of units hold of one mount.
type mountUnit struct {
	text   string // of the unit's file
	file   string // its path; "" if there is none
	masked bool
	wanted bool  // a link has it mounted, or its automount unit
	err    error // why this is not all
}

// mountUnits returns the mounts of mount units, which add to or replace the
// lines of fstab: a unit of the administrator's goes before the line for its
// mount point, one of the distribution's behind it (systemd.unit(5), "Unit File
// Load Path"). A line that a mask turns off is returned as not mounted. The
// error says why there may be more.
func (t *tree) mountUnits(lines map[string]*mountEntry) ([]*mountEntry, error) {
	units, unread := t.readMountUnits()
	for where := range lines {
		if _, ok := units[mountUnitName(where)]; !ok {
			units[mountUnitName(where)] = &mountUnit{}
		}
	}
	dropIns, err := t.readMountDropIns()
	unread = cmp.Or(unread, err)
	where := map[string]string{}
	for p := range lines {
		where[mountUnitName(p)] = p
	}
	var entries []*mountEntry
	for name, u := range units {
		p, listed := where[name]
		line := lines[p]
		if !listed {
			if !u.wanted && !u.masked {
				// A mount below it starts it.
				if e := u.entry(name, dropIns(name)); e.where != "" {
					e.options = append(e.options, "noauto")
					entries = append(entries, e)
				}
				continue
			}
			if u.masked {
				continue
			}
			if e := u.entry(name, dropIns(name)); e.where != "" {
				e.options = append(e.options, "auto")
				entries = append(entries, e)
			}
			continue
		}
		e := *line
		switch {
		case u.masked:
			e.options, e.what, e.err = []string{"noauto"}, "", nil
			e.kind = "none"
		case strings.HasPrefix(u.file, "/etc/"):
			automatic := line.automatic() || u.wanted
			e = *u.entry(name, nil)
			e.where = line.where
			e.options = append(e.options, map[bool]string{true: "auto", false: "noauto"}[automatic])
		case u.wanted:
			e.options = append(slices.Clip(e.options), "auto")
		}
		if u.err != nil && e.err == nil {
			e.err = u.err
		}
		e.apply(dropIns(name))
		entries = append(entries, &e)
	}
	slices.SortFunc(entries, func(a, b *mountEntry) int { return strings.Compare(a.where, b.where) })
	mounted := func(p string) bool {
		return slices.ContainsFunc(entries, func(e *mountEntry) bool { return strings.HasPrefix(p, e.where+"/") })
	}
	for _, e := range entries {
		t.weigh(e, mounted)
	}
	return entries, unread
}

// weigh looks at the conditions of a mount (systemd.unit(5), "Conditions and
// Asserts"). One that is not met turns it off; of one that the root volume does
// not answer it is not known.
func (t *tree) weigh(e *mountEntry, mounted func(string) bool) {
	for _, c := range e.conditions {
		met, known := t.meets(c[0], c[1], mounted)
		switch {
		case !known && e.err == nil:
			e.err = fmt.Errorf("the mount at %s has a condition: %s=%s", e.where, c[0], c[1])
		case known && !met:
			e.err, e.what, e.kind, e.options = nil, "", "none", []string{"noauto"}
			return
		}
	}
}

// meets says whether a condition is met, where the root volume answers it.
func (t *tree) meets(name, value string, mounted func(string) bool) (met, known bool) {
	value, negated := strings.CutPrefix(value, "!")
	answer := func(yes bool) (bool, bool) { return yes != negated, true }
	what := strings.TrimPrefix(strings.TrimPrefix(name, "Condition"), "Assert")
	switch what {
	case "Capability":
		return answer(true)
	case "Virtualization":
		if value == "container" {
			return answer(false)
		}
		return false, false
	}
	if !strings.HasPrefix(value, "/") || inMemory(value) || mounted(value) || strings.Contains(value, "%") {
		return false, false
	}
	f, err := t.file(value)
	link, linkErr := t.link(value)
	if err != nil || linkErr != nil {
		return false, false
	}
	switch what {
	case "PathExists":
		return answer(f.Exists)
	case "PathIsDirectory":
		return answer(f.Exists && f.Dir)
	case "PathIsSymbolicLink":
		return answer(link.Exists && link.Target != "")
	case "FileNotEmpty":
		return answer(f.Exists && !f.Dir && f.Size > 0)
	}
	return false, false
}

// entry is what a unit's file mounts. A unit whose name is not that of its
// mount point is refused by systemd, and mounts nothing.
func (u *mountUnit) entry(name string, dropIns []string) *mountEntry {
	e := &mountEntry{from: u.file, err: u.err}
	if u.file == "" {
		return e
	}
	for _, s := range parseUnit(u.text)["Mount"] {
		if s[0] == "Where" {
			e.where = path.Clean("/" + s[1])
		}
	}
	if mountUnitName(e.where) != name || e.where == "/" || underAPI(e.where) {
		e.where = ""
		return e
	}
	e.apply([]string{u.text})
	e.apply(dropIns)
	return e
}

// apply takes over what texts of a unit set, the last one last.
func (e *mountEntry) apply(texts []string) {
	for _, text := range texts {
		sections := parseUnit(text)
		for _, s := range sections["Mount"] {
			switch s[0] {
			case "What":
				e.what = unquoteTag(s[1])
			case "Type":
				e.kind = s[1]
			case "Options":
				kept := slices.DeleteFunc(slices.Clone(e.options),
					func(o string) bool { return o != "noauto" && o != "auto" })
				e.options = append(strings.Split(s[1], ","), kept...)
			}
		}
		for _, s := range sections["Unit"] {
			if s[1] != "" && (strings.HasPrefix(s[0], "Condition") || strings.HasPrefix(s[0], "Assert")) {
				e.conditions = append(e.conditions, s)
			}
		}
	}
}

// readMountUnits reads the mount units of all folders, by name. The error says
// why there may be more.
func (t *tree) readMountUnits() (units map[string]*mountUnit, unread error) {
	units = map[string]*mountUnit{}
	unit := func(name string) *mountUnit {
		u, ok := units[name]
		switch {
		case ok:
		case len(units) >= maxMountUnits:
			unread = cmp.Or(unread, errTooManyMountUnits)
			return &mountUnit{}
		default:
			u = &mountUnit{}
			units[name] = u
		}
		return u
	}
	seen := map[string]bool{}
	for _, folder := range unitFolders {
		entries, f, err := t.list(folder)
		unread = cmp.Or(unread, err)
		if err != nil || !f.Exists || seen[f.real] {
			continue // /lib is often a link to /usr/lib
		}
		seen[f.real] = true
		for _, e := range entries {
			here := path.Join(folder, e.Name())
			switch ext := path.Ext(e.Name()); {
			case ext == ".wants" || ext == ".requires" || ext == ".upholds":
				links, _, err := t.list(here)
				unread = cmp.Or(unread, err)
				for _, link := range links {
					name, ok := strings.CutSuffix(link.Name(), ".automount")
					if !ok {
						name, ok = strings.CutSuffix(link.Name(), ".mount")
					}
					if ok {
						unit(name + ".mount").wanted = true
					}
				}
			case ext == ".mount":
				if u := unit(e.Name()); u.file == "" && !u.masked {
					t.readMountUnit(here, u)
				}
			}
		}
	}
	return units, unread
}

func (t *tree) readMountUnit(p string, u *mountUnit) {
	link, err := t.link(p)
	if err != nil {
		u.file, u.err = p, err
		return
	}
	if link.Target != "" && path.Clean(path.Join(path.Dir(p), link.Target)) == "/dev/null" ||
		link.Target == "/dev/null" {
		u.masked = true
		return
	}
	data, f, err := t.read(p, maxMountUnit)
	switch {
	case err != nil:
		u.file, u.err = p, err
	case !f.Exists:
	case len(data) == 0:
		u.masked = true
	default:
		u.file, u.text = p, string(data)
	}
}

// readMountDropIns returns what reads the drop-ins of a unit: of its own
// folder, of those of the prefixes of its name, and of all mount units. The
// error says why there may be more.
func (t *tree) readMountDropIns() (of func(name string) []string, unread error) {
	byFolder := map[string][]string{}
	seen := map[string]bool{}
	count := 0
	for _, folder := range slices.Backward(unitFolders) {
		entries, f, err := t.list(folder)
		unread = cmp.Or(unread, err)
		if err != nil || !f.Exists || seen[f.real] {
			continue
		}
		seen[f.real] = true
		for _, e := range entries {
			if !strings.HasSuffix(e.Name(), ".mount.d") && e.Name() != "mount.d" {
				continue
			}
			files, _, err := t.list(path.Join(folder, e.Name()))
			unread = cmp.Or(unread, err)
			for _, file := range files {
				if path.Ext(file.Name()) != ".conf" {
					continue
				}
				if count++; count > maxMountUnits {
					return func(string) []string { return nil }, errTooManyMountUnits
				}
				data, _, err := t.read(path.Join(folder, e.Name(), file.Name()), maxMountUnit)
				unread = cmp.Or(unread, err)
				byFolder[e.Name()] = append(byFolder[e.Name()], string(data))
			}
		}
	}
	return func(name string) []string {
		texts := slices.Clone(byFolder["mount.d"])
		stem := strings.TrimSuffix(name, ".mount")
		for i := range stem {
			if stem[i] == '-' && i+1 < len(stem) {
				texts = append(texts, byFolder[stem[:i+1]+".mount.d"]...)
			}
		}
		return append(texts, byFolder[name+".d"]...)
	}, unread
}

// mountUnitName is the name of the unit for a mount point (systemd.unit(5),
// "String Escaping for Inclusion in Unit Names").
func mountUnitName(where string) string {
	where = strings.Trim(where, "/")
	if where == "" {
		return "-.mount"
	}
	var b strings.Builder
	for i := 0; i < len(where); i++ {
		switch c := where[i]; {
		case c == '/':
			b.WriteByte('-')
		case c == '.' && i == 0, c != '.' && c != '_' && c != ':' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') &&
			(c < 'a' || c > 'z'):
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String() + ".mount"
}
