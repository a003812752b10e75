package linux

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// maxSources bounds how many files /etc/network/interfaces may bring in.
const maxSources = 1000

// interfaces reads those of ifupdown (interfaces(5)), where it is installed and
// started.
func (m *Machine) interfaces() ([]addressing, error) {
	f, err := m.tree.file("/etc/network/interfaces")
	if err != nil || !f.Exists {
		return nil, err
	}
	installed := false
	for _, p := range []string{"/sbin/ifup", "/usr/sbin/ifup"} {
		f, err := m.tree.file(p)
		if err != nil {
			return nil, err
		}
		installed = installed || f.Exists
	}
	if !installed {
		return nil, nil
	}
	state, unread := m.service("networking.service")
	if unread == nil && state != serviceOn {
		return nil, nil
	}
	r := ifupdownReader{m: m, left: maxSources, bytes: maxFolder, seen: map[string]bool{}, auto: map[string]bool{}}
	if err := r.read("/etc/network/interfaces"); err != nil {
		return nil, err
	}
	return ifItStarts(r.judge(), unread)
}

// An ifupdownReader gathers the stanzas of all files.
type ifupdownReader struct {
	m           *Machine
	left, bytes int
	seen        map[string]bool // files, of which one may bring in the other
	auto        map[string]bool // interfaces that are brought up at start
	patterns    []string        // and those that a pattern, or another name, stands for
	stanzas     []ifaceStanza
}

// An ifaceStanza is one "iface" with the addresses that it gives.
type ifaceStanza struct {
	Name, Family, Method string
	Inherits             string
	Addresses            []string
	Bridge               []string
	Evidence             requirement.Evidence
}

func (r *ifupdownReader) read(p string) error {
	data, f, err := r.m.tree.read(p, maxConfig)
	if err != nil || !f.Exists || r.seen[f.Evidence.Path] {
		return err
	}
	r.seen[f.Evidence.Path] = true
	if r.left--; r.left < 0 {
		return fmt.Errorf("/etc/network/interfaces includes more than %d files: %w", maxSources, errTooLarge)
	}
	if r.bytes -= len(data); r.bytes < 0 {
		return fmt.Errorf("/etc/network/interfaces includes more than %d MiB of files: %w", maxFolder>>20, errTooLarge)
	}
	stanzas, auto, sources := parseInterfaces(string(data), f.Evidence)
	r.stanzas = append(r.stanzas, stanzas...)
	for _, name := range auto {
		if r.auto[name] = true; strings.ContainsAny(name, "/=") && len(r.patterns) < maxSources {
			r.patterns = append(r.patterns, name)
		}
	}
	for _, s := range sources {
		if !path.IsAbs(s.Path) {
			s.Path = path.Join(path.Dir(p), s.Path)
		}
		if strings.ContainsAny(s.Path, "$`~{") {
			return fmt.Errorf("%s: coldcheck does not know %q", f.Evidence.Path, s.Path)
		}
		if err := r.source(s); err != nil {
			return err
		}
	}
	return nil
}

// An ifupdownSource is a file or folder that is read too.
type ifupdownSource struct {
	Path   string
	Folder bool // source-directory: of its files those whose name is an identifier
}

func (r *ifupdownReader) source(s ifupdownSource) error {
	if s.Path == "/run" || strings.HasPrefix(s.Path, "/run/") {
		return nil // in memory
	}
	paths := []string{s.Path}
	if strings.ContainsAny(s.Path, "*?[") {
		var err error
		if paths, err = r.m.glob(s.Path); err != nil {
			return err
		}
	}
	for _, p := range paths {
		if !s.Folder {
			if f, err := r.m.tree.file(p); err != nil || f.Dir {
				if err != nil {
					return err
				}
				continue
			}
			if err := r.read(p); err != nil {
				return err
			}
			continue
		}
		entries, _, err := r.m.tree.list(p)
		if err != nil {
			return err
		}
		for _, e := range entries {
			const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"
			if !e.IsDir() && strings.Trim(e.Name(), allowed) == "" {
				if err := r.read(path.Join(p, e.Name())); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// maxGlob bounds what a pattern of paths stands for.
const maxGlob = 10000

// glob lists the paths that a pattern fits, in the order of their names. As for
// a shell, a wildcard does not stand for a leading dot.
func (m *Machine) glob(pattern string) ([]string, error) {
	found := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(path.Clean(pattern), "/"), "/") {
		var next []string
		for _, folder := range found {
			if !strings.ContainsAny(part, "*?[") {
				f, err := m.tree.file(path.Join(folder, part))
				if err != nil {
					return nil, err
				}
				if f.Exists {
					next = append(next, path.Join(folder, part))
				}
				continue
			}
			entries, _, err := m.tree.list(folder)
			if err != nil {
				return nil, err
			}
			for _, e := range entries {
				if ok, err := path.Match(part, e.Name()); err == nil && ok && (e.Name()[0] != '.' || part[0] == '.') {
					next = append(next, path.Join(folder, e.Name()))
				}
			}
			if len(next) > maxGlob {
				return nil, fmt.Errorf("%s has more than %d files: %w", pattern, maxGlob, errTooLarge)
			}
		}
		found = next
	}
	slices.Sort(found)
	return found, nil
}

// parseInterfaces reads one file: its stanzas, the interfaces that are brought
// up at start, and the files that it brings in.
func parseInterfaces(text string, ev requirement.Evidence) (
	stanzas []ifaceStanza, auto []string, sources []ifupdownSource,
) {
	current := -1
	pending := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if pending == "" && strings.HasPrefix(line, "#") {
			continue
		}
		if rest, ok := strings.CutSuffix(line, `\`); ok && len(pending) < maxConfig {
			pending += rest + " "
			continue
		}
		line, pending = pending+line, ""
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		switch key := fields[0]; {
		case key == "iface" && len(fields) >= 2:
			s := ifaceStanza{Name: fields[1], Evidence: ev}
			s.Evidence.Data = line
			if len(fields) >= 4 && fields[2] != "inherits" {
				s.Family, s.Method = fields[2], fields[3]
			}
			if i := slices.Index(fields, "inherits"); i > 0 && i+1 < len(fields) {
				s.Inherits = fields[i+1]
			}
			stanzas = append(stanzas, s)
			current = len(stanzas) - 1
		case key == "auto" || strings.HasPrefix(key, "allow-"):
			auto = append(auto, fields[1:]...)
			current = -1
		case key == "source" || key == "source-directory":
			for _, p := range fields[1:] {
				sources = append(sources, ifupdownSource{Path: p, Folder: key == "source-directory"})
			}
			current = -1
		case strings.HasPrefix(key, "no-auto"),
			key == "mapping", key == "template", key == "no-scripts", key == "rename":
			current = -1
		case current >= 0 && key == "address" && len(fields) > 1:
			stanzas[current].Addresses = append(stanzas[current].Addresses, fields[1])
		case current >= 0 && slices.Contains([]string{"bridge_ports", "bridge-ports", "bond-slaves", "slaves"}, key):
			stanzas[current].Bridge = append(stanzas[current].Bridge, fields[1:]...)
		}
	}
	return stanzas, auto, sources
}

// judge says how the interfaces that are brought up get their addresses.
func (r *ifupdownReader) judge() (all []addressing) {
	part := map[string]string{}
	methods := map[string][]string{} // of an interface, of all its stanzas
	inherited := map[string]ifaceStanza{}
	for _, s := range r.stanzas {
		for _, p := range s.Bridge {
			part[p] = s.Name
		}
		methods[s.Name] = append(methods[s.Name], s.Family+" "+s.Method)
		if _, ok := inherited[s.Name]; !ok {
			inherited[s.Name] = s
		}
	}
	done := map[string]bool{}
	for _, s := range r.stanzas {
		if of, ok := inherited[s.Inherits]; ok && s.Method == "" {
			s.Family, s.Method = of.Family, of.Method
			s.Addresses = append(slices.Clip(of.Addresses), s.Addresses...)
		}
		a := addressing{Name: s.Name, Evidence: s.Evidence, Aside: noInstanceHas(s.Name)}
		a.Fixed = fixedAddresses(s.Addresses)
		switch s.Method {
		case "dhcp", "auto", "bootp":
			a.Fixed = ""
		case "static", "v4tunnel", "6to4":
			if a.Fixed == "" {
				a.Fixed = "static"
			}
		case "loopback":
			a.Aside = "loopback"
		case "manual":
			a.Fixed, a.None = "", true
		default:
			a.Doubt = fmt.Errorf("%s: coldcheck does not know the method %q of %s", s.Evidence.Path, s.Method, s.Name)
		}
		// What another stanza of the interface gives is enough.
		if a.None || s.Family == "inet6" && a.Fixed == "" {
			sets := func(m string) bool { return m == "inet dhcp" || m == "inet static" || m == "inet bootp" }
			if slices.ContainsFunc(methods[s.Name], sets) {
				continue
			}
			a.None = true
		}
		if of := part[s.Name]; of != "" && a.Aside == "" {
			a.Aside = "part of " + of
		}
		isPort := func(p string) bool { return mayNameInstance(p) && p != "none" }
		if len(s.Bridge) > 0 && !slices.ContainsFunc(s.Bridge, isPort) {
			a.Aside = "no interface of the instance belongs to it"
		}
		if a.Aside == "" && !r.started(s.Name) {
			a.Aside = "not brought up at start"
		}
		if a.None && done[s.Name] {
			continue
		}
		done[s.Name] = true
		all = append(all, a)
	}
	return all
}

// started says whether an interface is brought up at start. A name may stand for
// several, as a pattern after a slash.
func (r *ifupdownReader) started(name string) bool {
	if r.auto[name] {
		return true
	}
	for _, a := range r.patterns {
		p, isPattern := strings.CutPrefix(a, "/")
		if isPattern && anyMatch([]string{p}, []string{name}) || strings.HasSuffix(a, "="+name) {
			return true
		}
	}
	return false
}
