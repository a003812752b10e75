package linux

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// networkdFolders are where systemd-networkd finds its files, the one that goes
// before the others first (systemd.network(5)). /run is in memory.
var networkdFolders = []string{"/etc/systemd/network", "/usr/local/lib/systemd/network", "/usr/lib/systemd/network",
	"/lib/systemd/network"}

// A fit says whether something applies to what is looked at.
type fit int

const (
	fitNever fit = iota
	fitMaybe     // the disk does not decide it
	fitAlways
)

// A networkFile is one .network file with its drop-ins.
type networkFile struct {
	Name      string
	Names     []string // patterns of the interfaces; nil for any
	Excluded  []string // names that the patterns do not fit
	Hardware  bool     // it is for the interface with a certain address
	Maybe     bool     // it has a condition that the disk does not answer
	Aside     string   // why it fits no interface of an instance
	Unmanaged bool
	DHCP      bool // of IPv4
	Addresses []string
	PartOf    string // the bridge or bond that the interface belongs to
	VLANs     []string
	Evidence  requirement.Evidence
}

// networkds reads the interfaces of systemd-networkd. For each interface the
// first file that fits it counts.
func (m *Machine) networkds() ([]addressing, error) {
	state, unread := m.service("systemd-networkd.service", "systemd-networkd.socket")
	folders := networkdFolders
	switch {
	case unread != nil:
	case state == serviceOff:
		return nil, nil // netplan starts it for files of its own
	case state == serviceAbsent:
		folders = folders[:1] // what somebody wrote for it is not nothing
	}
	layers, err := m.layer(folders, hasExt(".network"))
	if err != nil {
		return nil, err
	}
	var files []networkFile
	for _, l := range layers {
		if strings.TrimSpace(l.Text) == "" {
			continue // masked
		}
		all := parseINI(l.Text)
		dropIns, err := m.dropIns(folders, l.Name)
		if err != nil {
			return nil, err
		}
		for _, d := range dropIns {
			all = append(all, parseINI(d.Text)...)
		}
		files = append(files, parseNetworkFile(l.Name, all, l.File.Evidence))
	}
	return ifItStarts(judgeNetworkFiles(files), unread)
}

// ifItStarts returns what a service would set, of which it is not known whether
// it starts where unread is not nil. That is all the same if it uses DHCP.
func ifItStarts(all []addressing, unread error) ([]addressing, error) {
	if unread == nil {
		return all, nil
	}
	for _, a := range all {
		if a.Aside == "" && (a.Fixed != "" || a.None || a.Doubt != nil) {
			return nil, unread
		}
	}
	return nil, nil
}

// dropIns reads the NAME.d/*.conf of a file in all folders, in their order.
func (m *Machine) dropIns(folders []string, name string) ([]layered, error) {
	under := make([]string, len(folders))
	for i, f := range folders {
		under[i] = path.Join(f, name+".d")
	}
	return m.layer(under, hasExt(".conf"))
}

// parseNetworkFile reads the settings of one file, its drop-ins after it.
func parseNetworkFile(name string, all ini, ev requirement.Evidence) networkFile {
	f := networkFile{Name: strings.TrimSuffix(name, ".network"), Evidence: ev}
	matched := false
	for _, s := range all {
		for _, set := range s.Settings {
			key, value := set[0], set[1]
			switch s.Name {
			case "Match":
				matched = matched || value != ""
				f.match(key, value)
			case "Link":
				if key == "Unmanaged" {
					f.Unmanaged = systemdBool(value)
				}
				if key == "ActivationPolicy" && (value == "down" || value == "always-down" || value == "manual") {
					f.Aside = "not brought up at start"
				}
			case "Network", "Address":
				switch key {
				case "DHCP":
					f.DHCP = systemdBool(value) || slices.Contains([]string{"ipv4", "both", "v4"},
						strings.ToLower(value))
				case "Address":
					if value == "" {
						f.Addresses = nil
					} else if len(f.Addresses) < 1000 {
						f.Addresses = append(f.Addresses, value)
					}
				case "Bridge", "Bond":
					f.PartOf = value
				case "VLAN":
					f.VLANs = append(f.VLANs, strings.Fields(value)...)
				}
			}
		}
	}
	if !matched {
		f.Aside = "it matches no interface"
	}
	f.Evidence.Data = fmt.Sprintf("IPv4 DHCP %t, addresses %v", f.DHCP,
		f.Addresses[:min(len(f.Addresses), mostEvidence)])
	return f
}

// match reads one condition of [Match]. Settings of more than one line add up,
// and an empty one takes back those before it.
func (f *networkFile) match(key, value string) {
	list := strings.Fields(value)
	anyOf := func(of ...string) bool {
		return anyMatch(list, of)
	}
	switch key {
	case "Name":
		if len(list) == 0 {
			f.Names, f.Excluded = nil, nil
		}
		not := strings.HasPrefix(value, "!")
		for _, p := range list {
			if p = strings.TrimPrefix(p, "!"); not {
				f.Excluded = append(f.Excluded, p)
			} else {
				f.Names = append(f.Names, p)
			}
		}
	case "MACAddress", "PermanentMACAddress":
		f.Hardware = f.Hardware || len(list) > 0
	case "Driver":
		if len(list) > 0 && anyOf(instanceDrivers...) == strings.HasPrefix(value, "!") {
			f.Aside = "no interface of the instance has such a driver"
		}
	case "Type":
		if len(list) > 0 && anyOf("ether") == strings.HasPrefix(value, "!") {
			f.Aside = "no interface of the instance is of such a type"
		}
	case "Kind":
		if len(list) > 0 && !strings.HasPrefix(value, "!") {
			f.Aside = "for virtual interfaces"
		}
	case "WLANInterfaceType", "SSID", "BSSID":
		f.Aside = "wireless"
	case "Virtualization":
		switch v := strings.ToLower(value); {
		case v == "" || slices.Contains([]string{"yes", "true", "1", "on", "vm", "!container", "!no"}, v):
		case slices.Contains([]string{"no", "false", "0", "off", "container", "!vm", "!yes"}, v) ||
			strings.HasPrefix(v, "lxc") || strings.HasSuffix(v, "nspawn") || v == "docker" || v == "vmware" ||
			v == "oracle" || v == "microsoft":
			f.Aside = "for another kind of machine"
		case !slices.Contains([]string{"amazon", "kvm", "xen"}, v):
			f.Maybe = true
		default:
			f.Maybe = true // which of them depends on the instance's type
		}
	default:
		f.Maybe = f.Maybe || value != ""
	}
}

// fits says whether a file is for the interface of that name.
func (f networkFile) fits(name string) fit {
	switch {
	case f.Aside != "", f.Names != nil && !anyMatch(f.Names, []string{name}), anyMatch(f.Excluded, []string{name}):
		return fitNever
	case f.Maybe, f.Hardware && f.Names == nil:
		return fitMaybe
	}
	return fitAlways
}

// judgeNetworkFiles says how each interface of an instance gets its address.
func judgeNetworkFiles(files []networkFile) (all []addressing) {
	var names []string
	known := map[string]bool{}
	add := func(name string) {
		if !strings.ContainsAny(name, "*?[") && noInstanceHas(name) == "" && !known[name] {
			known[name] = true
			names = append(names, name)
		}
	}
	part := map[string]bool{} // bridges, bonds and VLANs that an interface of the instance belongs to
	built := map[string]bool{}
	for _, f := range files {
		for _, n := range f.Names {
			add(n)
		}
		if f.PartOf != "" {
			built[f.PartOf] = true
		}
		for _, v := range f.VLANs {
			built[v] = true
		}
	}
	// Interfaces that no file names are there too: one that stands for them.
	if len(names) == 0 || !slices.ContainsFunc(names, func(
		n string) bool {
		return slices.Contains(instanceNames, n)
	}) {
		add(instanceNames[1])
		add(instanceNames[0])
	}
	for _, f := range files {
		for _, pattern := range f.Names { // and one for each pattern
			if len(names) < 200 && strings.ContainsAny(pattern, "*?[") && !anyMatch([]string{pattern}, names) {
				if i := slices.IndexFunc(instanceNames,
					func(n string) bool { return anyMatch([]string{pattern}, []string{n}) }); i >= 0 {
					add(instanceNames[i])
				}
			}
		}
	}
	used := map[string]bool{}
	for _, name := range names {
		var fitting []networkFile
		for _, f := range files {
			how := f.fits(name)
			if how == fitNever {
				continue
			}
			if fitting = append(fitting, f); how == fitAlways || len(fitting) > 100 {
				break
			}
		}
		for _, f := range fitting {
			if f.PartOf != "" {
				part[f.PartOf] = true
			}
			for _, v := range f.VLANs {
				part[v] = true
			}
		}
		all = append(all, judgeInterface(name, fitting, used)...)
	}
	for i, a := range all { // built ones that nothing of the instance belongs to
		if built[a.Name] && !part[a.Name] {
			all[i].Aside = "no interface of the instance belongs to it"
		}
	}
	for _, f := range files {
		if f.Aside != "" {
			all = append(all, addressing{Name: f.Name, Aside: f.Aside, Evidence: f.Evidence})
		}
	}
	return all
}

// judgeInterface says how one interface gets its address from the files that
// may be for it, of which the first that is counts. used has the files that were
// named before, so that one that stands for many is named once.
func judgeInterface(name string, fitting []networkFile, used map[string]bool) (all []addressing) {
	outcome := func(f networkFile) addressing {
		a := addressing{Name: f.Name, Evidence: f.Evidence, Fixed: fixedAddresses(f.Addresses)}
		if slices.Contains(f.Names, name) {
			a.Name = name
		}
		a.None = !f.DHCP && a.Fixed == ""
		switch {
		case f.Unmanaged:
			a = addressing{Name: a.Name, Aside: "systemd-networkd does not manage it", Evidence: f.Evidence}
		case f.PartOf != "":
			a = addressing{Name: a.Name, Aside: "part of " + f.PartOf, Evidence: f.Evidence}
		}
		return a
	}
	kind := func(a addressing) string {
		switch {
		case a.Aside != "":
			return "aside"
		case a.Fixed != "":
			return "fixed"
		case a.None:
			return "none"
		}
		return "dynamic"
	}
	for i, f := range fitting {
		a := outcome(f)
		if used[f.Name+"\x00"+a.Name] {
			continue
		}
		used[f.Name+"\x00"+a.Name] = true
		// A file for one hardware address stands for that interface.
		if i < len(fitting)-1 && !(f.Hardware && !f.Maybe) || f.Maybe {
			for _, g := range fitting[i+1:] {
				if kind(outcome(g)) != kind(a) {
					a.Doubt = fmt.Errorf("%s: the disk does not show whether it applies to %s", f.Evidence.Path, name)
				}
			}
		}
		all = append(all, a)
	}
	return all
}

// systemdBool reads a boolean as systemd does.
func systemdBool(s string) bool {
	return slices.Contains([]string{"1", "yes", "y", "true", "t", "on"}, strings.ToLower(s))
}
