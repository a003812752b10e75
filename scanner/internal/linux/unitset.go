package linux

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// unitFolders are where systemd finds units of the system, the one that goes
// before the others first (systemd.unit(5), UNIT FILE LOAD PATH). /run is in
// memory.
var unitFolders = []string{
	"/etc/systemd/system.control", "/etc/systemd/system", "/etc/systemd/system.attached",
	"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system",
}

// Bounds of what is read of units. Real systems have some 600 files of units
// and drop-ins with a megabyte in all.
const (
	maxUnitFiles = 20_000
	maxUnitBytes = 48 << 20
	maxAliases   = 8 // how many aliases lead from one to the next, as systemd follows them
)

var errTooManyUnits = fmt.Errorf("more units than are read (%d files, %d MiB): %w", maxUnitFiles, maxUnitBytes>>20,
	errTooLarge)

// A fragment is the file of a unit, or a drop-in.
type fragment struct {
	Path   string // in the tree
	File   File
	Masked bool
	Text   unitText
	Err    error // why the text is not known
}

// A link is one entry of a .wants, .requires or .upholds folder.
type unitLink struct {
	Name     string // of the unit that it pulls in
	Masked   bool   // it leads to /dev/null
	Plain    bool   // it is no link
	Evidence requirement.Evidence
}

// unitFiles is what the folders of units hold.
type unitFiles struct {
	version   systemdVersion
	fragments map[string]*fragment             // by the name of the unit
	aliases   map[string]string                // what the links of one name to another lead to
	dropIns   map[string]map[string]*fragment  // by the folder's name without ".d", and the file's
	rank      map[string]map[string]int        // the rank of the folder that has each of these
	links     map[string]map[string][]unitLink // by the folder's name and the unit's
	err       error                            // why there may be more
}

// readUnitFiles reads all folders of units. Files that are one and the same
// inode are read once.
func (m *Machine) readUnitFiles() (*unitFiles, error) {
	version, err := m.SystemdVersion()
	if err != nil {
		version = 0
	}
	s := &unitFiles{version: version, fragments: map[string]*fragment{}, aliases: map[string]string{},
		dropIns: map[string]map[string]*fragment{},
		rank:    map[string]map[string]int{}, links: map[string]map[string][]unitLink{}}
	folders, err := m.unitFolders()
	s.err = joinErrors(s.err, err)
	var pending []*fragment
	files := 0
	for rank, folder := range folders {
		entries, _, err := m.tree.list(folder)
		if err != nil {
			s.err = joinErrors(s.err, err)
			continue
		}
		for _, e := range entries {
			if files++; files > maxUnitFiles {
				s.err = joinErrors(s.err, errTooManyUnits)
				break
			}
			here := path.Join(folder, e.Name())
			switch ext := path.Ext(e.Name()); {
			case ext == ".wants" || ext == ".requires" || ext == ".upholds":
				s.err = joinErrors(s.err, m.readUnitLinks(here, s, &files))
			case ext == ".d":
				more, err := m.listDropIns(here, rank, s, &files)
				pending = append(pending, more...)
				s.err = joinErrors(s.err, err)
			case isUnit(e.Name()) && s.fragments[e.Name()] == nil && s.aliases[e.Name()] == "":
				f, alias := m.unitFile(here, folders)
				if alias != "" {
					s.aliases[e.Name()] = alias
				} else if f != nil {
					s.fragments[e.Name()] = f
					pending = append(pending, f)
				}
			}
		}
	}
	m.readFragments(pending, version)
	return s, nil
}

// unitFolders are the folders of units that are there, each once: /lib is often
// a link to /usr/lib.
func (m *Machine) unitFolders() (folders []string, err error) {
	for _, folder := range unitFolders {
		real, found := m.tree.resolve(folder, true)
		switch {
		case errors.Is(found, fs.ErrNotExist):
		case found != nil:
			err = joinErrors(err, found)
		case !slices.Contains(folders, real):
			folders = append(folders, real)
		}
	}
	return folders, err
}

// unitFile looks at the file of a unit. A link to the file of another name in
// the folders of units is an alias of that name; any other link is the unit
// itself, and masks it if it ends at /dev/null.
func (m *Machine) unitFile(p string, folders []string) (f *fragment, alias string) {
	f = &fragment{Path: p}
	link, err := m.tree.link(p)
	f.File = link
	switch {
	case err != nil:
		f.File.Evidence = noUnitFile(path.Base(p))
		f.Err = err
		return f, ""
	case !link.Exists:
		f.Err = fmt.Errorf("%s on the root volume is listed in its folder but is missing", p)
		return f, ""
	case link.Target == "":
		return f, ""
	}
	target := link.Target
	if !path.IsAbs(target) {
		target = path.Join(path.Dir(p), target)
	}
	// The folder in which the link ends says whether it leads to a unit.
	parent, err := m.tree.resolve(path.Dir(target), true)
	if err == nil && slices.Contains(folders, parent) && isUnit(path.Base(target)) {
		name, own := path.Base(target), path.Base(p)
		switch {
		case path.Ext(name) != path.Ext(own), isTemplate(name) &&
			!strings.Contains(own, "@"), !strings.Contains(name, "@") && isTemplate(own):
			return nil, "" // systemd takes no such alias
		case name != own:
			return nil, name
		}
	}
	if isNull(target) || m.endsAtNull(p) {
		f.Masked = true
		return f, ""
	}
	file, err := m.tree.file(p)
	switch {
	case errors.Is(err, errTooManyLinks):
		return nil, "" // a circle leads nowhere too
	case err != nil:
		f.Err = err
	case !file.Exists:
		return nil, "" // a link that leads nowhere is no unit
	default:
		f.File = file
	}
	return f, ""
}

// endsAtNull says whether the chain of links that begins at a path ends at
// /dev/null, which is on no volume.
func (m *Machine) endsAtNull(p string) bool {
	real, err := m.tree.follow(p, true, isNull)
	return err == nil && isNull(real)
}

func isNull(p string) bool { return path.Clean(p) == "/dev/null" }

// readFragments reads the texts of units, the small ones first, so that the
// limit on their total size does not exclude ordinary units.
func (m *Machine) readFragments(list []*fragment, v systemdVersion) {
	slices.SortStableFunc(list, func(a, b *fragment) int { return cmp.Compare(a.File.Size, b.File.Size) })
	var total int64
	seen := map[fact.ID]bool{}
	for _, f := range list {
		if f.Masked || f.Err != nil {
			continue
		}
		if id := f.File.ID; !seen[id] || id.Number == 0 {
			seen[id] = true
			if total += f.File.Size; total > maxUnitBytes {
				f.Err = fmt.Errorf("%s: %w", f.Path, errTooManyUnits)
				continue
			}
		}
		var text parsedUnit
		text, f.File, f.Err = readParsed(&m.tree, f.Path, maxUnit, "unit", func(data []byte) (parsedUnit, error) {
			return parsedUnit{len(data) == 0, parseUnitFile(string(data), v)}, nil
		})
		f.Masked, f.Text = text.empty && f.File.Exists, text.unitText
	}
}

// A parsedUnit is the text of a file, which masks a unit if it is empty.
type parsedUnit struct {
	empty bool
	unitText
}

// listDropIns finds the drop-ins of a folder. Of those of one name, the first
// folder's counts.
func (m *Machine) listDropIns(folder string, rank int, s *unitFiles, files *int) (found []*fragment, err error) {
	entries, _, err := m.tree.list(folder)
	if err != nil {
		return nil, err
	}
	of := strings.TrimSuffix(path.Base(folder), ".d")
	for _, e := range entries {
		if path.Ext(e.Name()) != ".conf" || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if *files++; *files > maxUnitFiles {
			return found, errTooManyUnits
		}
		if s.dropIns[of] == nil {
			s.dropIns[of], s.rank[of] = map[string]*fragment{}, map[string]int{}
		}
		if s.dropIns[of][e.Name()] != nil {
			continue
		}
		p := path.Join(folder, e.Name())
		f := &fragment{Path: p}
		if f.File, f.Err = m.tree.file(p); f.Err != nil {
			f.File.Evidence = fileEvidence("root", p[1:])
		}
		f.Masked = m.endsAtNull(p)
		if f.Err == nil && !f.Masked && !f.File.Exists {
			continue // a link that leads nowhere
		}
		s.dropIns[of][e.Name()], s.rank[of][e.Name()] = f, rank
		found = append(found, f)
	}
	return found, nil
}

// readUnitLinks reads a .wants, .requires or .upholds folder. It is the names
// of its links that count, wherever they lead.
func (m *Machine) readUnitLinks(folder string, s *unitFiles, files *int) error {
	entries, _, err := m.tree.list(folder)
	if err != nil {
		return err
	}
	of := path.Base(folder)
	if s.links[of] == nil {
		s.links[of] = map[string][]unitLink{}
	}
	for _, e := range entries {
		if !isUnit(e.Name()) {
			continue
		}
		if *files++; *files > maxUnitFiles {
			return errTooManyUnits
		}
		p := path.Join(folder, e.Name())
		f, err := m.tree.link(p)
		if err != nil {
			return err
		}
		if !f.Exists {
			return fmt.Errorf("%s on the root volume is listed in its folder but is missing", p)
		}
		l := unitLink{Name: e.Name(), Plain: f.Target == "", Evidence: f.Evidence}
		l.Masked = f.Target != "" && m.endsAtNull(p)
		s.links[of][l.Name] = append(s.links[of][l.Name], l)
	}
	return nil
}

// linked lists what a folder of links pulls in, by name. Of links of one name
// the first folder's counts, and one to /dev/null takes it back.
func (s *unitFiles) linked(folder string) []unitLink {
	var list []unitLink
	for _, links := range s.links[folder] {
		first := links[0]
		if s.version.has(sinceMaskedWants) {
			if first.Masked || first.Plain {
				continue
			}
		}
		list = append(list, first)
	}
	slices.SortFunc(list, func(a, b unitLink) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// isUnit says whether a name is that of a unit (systemd.unit(5)).
func isUnit(name string) bool {
	ext := path.Ext(name)
	return slices.Contains([]string{".service", ".socket", ".target", ".timer", ".mount", ".automount", ".path",
		".slice", ".scope", ".swap", ".device"}, ext) &&
		len(name) > len(ext) && len(name) < 256 && name[0] != '@' && !strings.ContainsAny(name, "/ \t\n")
}

func isTemplate(name string) bool {
	return strings.HasSuffix(strings.TrimSuffix(name, path.Ext(name)), "@")
}

// templateOf is the unit that an instance is made of: "clamd@.service" for
// "clamd@scan.service"; "" for what is no instance (systemd.unit(5)).
func templateOf(name string) string {
	before, after, ok := strings.Cut(strings.TrimSuffix(name, path.Ext(name)), "@")
	if !ok || after == "" {
		return ""
	}
	return before + "@" + path.Ext(name)
}

// resolve follows the aliases of a name to the unit that it means, and finds
// its file: nil if there is none.
func (s *unitFiles) resolve(name string) (string, *fragment) {
	for range maxAliases {
		if f := s.fragments[name]; f != nil {
			return name, f
		}
		if to := s.aliases[name]; to != "" {
			if isTemplate(to) && templateOf(name) == to {
				return name, s.fragments[to] // an instance that points to its own template
			}
			name = to
			continue
		}
		template := templateOf(name)
		if template == "" {
			return name, nil
		}
		if f := s.fragments[template]; f != nil {
			return name, f
		}
		to := s.aliases[template]
		if to == "" {
			return name, nil
		}
		if isTemplate(to) { // the same instance of another template
			instance := strings.TrimPrefix(strings.TrimSuffix(name, path.Ext(name)),
				strings.TrimSuffix(template, path.Ext(template)))
			to = strings.TrimSuffix(to, path.Ext(to)) + instance + path.Ext(to)
		}
		name = to
	}
	return name, nil
}

// names lists every name by which a unit may be known: those of files, of
// aliases and of links.
func (s *unitFiles) names() []string {
	all := map[string]bool{}
	for name := range s.fragments {
		all[name] = true
	}
	for name := range s.aliases {
		all[name] = true
	}
	for _, links := range s.links {
		for name := range links {
			all[name] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// dropInsOf lists the drop-ins of a unit of these names in the order in which
// they are read: by file name, and of those of one name the one of the first
// folder, in that of the more special name.
func (s *unitFiles) dropInsOf(names []string) (list []*fragment, inDoubt bool) {
	type place struct {
		of    string
		order int
	}
	var places []place
	seen := map[string]bool{}
	add := func(of string, order int) {
		if !seen[of] {
			seen[of] = true
			places = append(places, place{of, order})
		}
	}
	for _, name := range names {
		ext := path.Ext(name)
		for _, n := range []string{name, templateOf(name)} {
			if n == "" {
				continue
			}
			add(n, 0)
			base, _, _ := strings.Cut(strings.TrimSuffix(n, ext), "@")
			for i := len(base) - 1; i > 0; i-- {
				if base[i-1] == '-' && s.version.has(sincePrefixDropIns) {
					add(base[:i]+ext, len(base)-i)
				}
			}
		}
		if s.version.has(sinceTypeDropIns) {
			add(strings.TrimPrefix(ext, "."), 1<<20)
		}
	}
	best := map[string]*fragment{}
	rank := map[string][2]int{}
	for _, pl := range places {
		for name, f := range s.dropIns[pl.of] {
			r := [2]int{s.rank[pl.of][name], pl.order}
			if pl.order >= 1<<20 {
				r[0] += 1 << 20 // type-wide ones come last, whatever their folder
			}
			if old, ok := rank[name]; !ok || slices.Compare(r[:], old[:]) < 0 {
				rank[name], best[name] = r, f
			}
			inDoubt = inDoubt || s.version == 0 && pl.order > 0
		}
	}
	for _, name := range slices.Sorted(maps.Keys(best)) {
		if !best[name].Masked {
			list = append(list, best[name])
		}
	}
	return list, inDoubt
}

func noUnitFile(name string) requirement.Evidence {
	return absentFile("root", "usr/lib/systemd/system/"+name)
}

// prosePullers names the units that pull one in.
func prosePullers(s *unitSet, name string) string { return prose.Some(s.pullers(name)) }
