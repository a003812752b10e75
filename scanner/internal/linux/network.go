package linux

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var bpNetwork = entry{
	Requirement: require(requirement.Recommended, "linux.bp.network",
		"Network interfaces should use DHCP.", sectionPractices, explanation{
			Reads: "What netplan, systemd-networkd, NetworkManager, the initscripts (ifcfg-*), ifupdown and " +
				"cloud-init set for the interfaces of an EC2 instance, from all their folders and drop-ins. " +
				"Loopback, tunnels, wireless interfaces, and bridges without an interface of the instance do not count.",
			Live: "nmcli -f ipv4.method connection show; networkctl; ip -4 address",
			Fix: "Set the interface to DHCP (BOOTPROTO=dhcp, method=auto, dhcp4: true or DHCP=yes) and remove its fixed " +
				"addresses.",
			Doubts: "AWS does not say whether a fixed IPv6 address counts; it counts here like an IPv4 one. An interface " +
				"that has neither DHCP nor an address does not use DHCP.",
		}),
	Judge: (*Machine).decideNetwork,
}

// An addressing says how one interface gets its address.
type addressing struct {
	Name     string
	Fixed    string // the fixed address; "" for none
	None     bool   // it is set up with neither DHCP nor an address
	Aside    string // why it does not count: no instance has it, or nothing sets it up at start; "" if it counts
	Doubt    error  // why it is not certain that this is what sets it up
	Evidence requirement.Evidence
}

func (m *Machine) decideNetwork() requirement.Outcome {
	all, err := m.addressings()
	if o, ok := judgeNetwork(all, err); ok {
		return o
	}
	var left []string // that nothing reads any more
	var evidence []requirement.Evidence
	for _, a := range all {
		if a.Aside == noNetplan {
			left = append(left, a.Name)
			evidence = append(evidence, a.Evidence)
		}
	}
	o := m.unconfigured(len(left) == 0)
	if o.Status == requirement.Undetermined && len(left) > 0 {
		return requirement.Warn("Nothing configures the interfaces "+prose.Some(left)+".",
			evidence[:min(len(evidence), mostEvidence)]...).Also(noNetplan, "No other service reads its files.")
	}
	return o
}

// addressings reads the configuration of each manager. An error in one does not
// hide the results of the others.
func (m *Machine) addressings() ([]addressing, error) {
	var all []addressing
	var errs error
	for _, read := range []func() ([]addressing, error){m.netplans, m.networkds, m.keyfiles, m.ifcfgs, m.interfaces,
		m.cloudNetwork} {
		found, err := read()
		errs = joinErrors(errs, err)
		all = append(all, found...)
	}
	return all, errs
}

// mostEvidence is how many interfaces a finding quotes.
const mostEvidence = 20

// judgeNetwork decides linux.bp.network; ok is false where no interface is set
// up that counts. What is certain is not hidden by what was not read.
func judgeNetwork(all []addressing, unread error) (o requirement.Outcome, ok bool) {
	var fixed, none, dynamic, aside []string
	var bad, good []requirement.Evidence
	var adapters []requirement.Subject
	quote := func(list []requirement.Evidence, ev requirement.Evidence) []requirement.Evidence {
		if len(list) < mostEvidence {
			list = append(list, ev)
		}
		return list
	}
	var doubt error
	for _, a := range all {
		switch {
		case a.Aside != "":
			if len(aside) < mostEvidence {
				aside = append(aside, a.Name+" ("+a.Aside+")")
			}
		case a.Doubt != nil:
			if doubt == nil {
				doubt = a.Doubt
			}
		case a.Fixed != "":
			fixed = append(fixed, a.Name+" ("+a.Fixed+")")
			bad = quote(bad, a.Evidence)
			adapters = append(adapters, adapterSubject(a.Name, requirement.ReasonStatic, a.Fixed))
		case a.None:
			none = append(none, a.Name)
			bad = quote(bad, a.Evidence)
			adapters = append(adapters, adapterSubject(a.Name, requirement.ReasonNoAddress, ""))
		default:
			dynamic = append(dynamic, a.Name)
			good = quote(good, a.Evidence)
		}
	}
	if len(fixed)+len(none) > 0 {
		o = requirement.Warn("", bad...).About(adapters...)
		if len(fixed) > 0 {
			o = o.Also(prose.Count(len(fixed), "interface has a fixed address: ",
				"interfaces have a fixed address: ") + prose.Some(fixed))
		}
		if len(none) > 0 {
			o = o.Also(prose.Count(len(none), "interface has neither DHCP nor an address: ",
				"interfaces have neither DHCP nor an address: ") + prose.Some(none))
		}
		o.Remediation = dhcpRemedy(bad)
	} else if unread = joinErrors(unread, doubt); unread != nil {
		o = unreadable(unread)
	} else if len(dynamic) > 0 {
		o = requirement.Pass(prose.Count(len(dynamic), "interface uses DHCP: ",
			"interfaces use DHCP: ")+prose.Some(dynamic)+".", good...)
	} else {
		return o, false
	}
	if len(aside) > 0 {
		o.Details = map[string][]string{"not_judged": aside}
	}
	return o, true
}

// dhcpSettings are what turns DHCP on, by a part of the paths of the files that set it.
var dhcpSettings = []struct{ part, setting string }{
	{"network-scripts/ifcfg-", "BOOTPROTO=dhcp"},
	{"NetworkManager/", "method=auto in [ipv4]"},
	{"netplan/", "dhcp4: true"},
	{"systemd/network/", "DHCP=yes"},
	{"etc/network/interfaces", "inet dhcp"},
}

// dhcpRemedy says in which file to turn DHCP on; "" where it is not one file of a known kind.
func dhcpRemedy(files []requirement.Evidence) string {
	first := files[0]
	for _, ev := range files {
		if ev.Source != "root" || ev.Path != first.Path {
			return ""
		}
	}
	for _, s := range dhcpSettings {
		if strings.Contains(first.Path, s.part) {
			return fmt.Sprintf("Set %s in /%s, remove any fixed address there, and restart the WorkSpace.", s.setting,
				first.Path)
		}
	}
	return ""
}

func adapterSubject(name string, reason requirement.Reason, value string) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectAdapter, ID: name, Reason: reason, Value: value}
}

// unconfigured decides where no interface is configured: NetworkManager and
// cloud-init use DHCP unless they are configured otherwise. cloud says that
// cloud-init may do so.
func (m *Machine) unconfigured(cloud bool) requirement.Outcome {
	off, ev, err := m.cloudNetworkOff()
	if err != nil {
		return unreadable(err)
	}
	nm, err := m.service("NetworkManager.service")
	if err != nil {
		return unreadable(err)
	}
	auto, autoEvidence, err := m.autoDefault()
	if err != nil {
		return unreadable(err)
	}
	if nm == serviceOn && auto {
		return requirement.Infer("No interface is configured. NetworkManager then uses DHCP by default.")
	}
	if off || !cloud {
		evidence := []requirement.Evidence{ev}
		if nm == serviceOn {
			evidence = append(evidence, autoEvidence)
		}
		return requirement.Unknown(
			"No interface is configured, and cloud-init does not configure the network. Cannot determine what does.",
			evidence...)
	}
	return requirement.Infer(
		"No interface is configured. cloud-init and NetworkManager then use DHCP by default.")
}

// A serviceState says whether a service that manages something is in force.
type serviceState int

const (
	serviceAbsent serviceState = iota // there is no unit of it
	serviceOff                        // there is one, and nothing starts it
	serviceOn
)

// service says whether any of the units is started. One that depends on the boot
// counts.
func (m *Machine) service(names ...string) (serviceState, error) {
	units, err := m.Units()
	if err != nil {
		return serviceAbsent, err
	}
	state := serviceAbsent
	var unread error
	for _, name := range names {
		u := units.get(name)
		switch {
		case u.Err != nil:
			unread = joinErrors(unread, u.Err)
		case u.State == unitEnabled || u.State == unitSometimes:
			off, err := m.conditionsFail(units, u)
			if err == nil && !off {
				return serviceOn, nil
			}
			unread = joinErrors(unread, err)
			state = serviceOff
		case u.State != unitMissing:
			state = serviceOff
		}
	}
	return state, unread
}

// conditionsFail says whether a condition of a unit is met by no boot entry.
func (m *Machine) conditionsFail(units *unitSet, u Unit) (bool, error) {
	for _, c := range units.boots {
		f, err := m.conditions(u.Facts.Conditions, c)
		if err != nil || !f.Certain {
			return false, err
		}
	}
	return true, nil
}

// noInstanceHas says why an EC2 instance cannot have an interface of this name;
// "" if it can.
func noInstanceHas(name string) string {
	for _, group := range []struct {
		why      string
		patterns []string
	}{
		{"loopback", []string{"lo"}},
		{"wireless", []string{"wl*", "ww*", "ath*"}},
		{"a bridge of containers or virtual machines",
			[]string{"docker*", "br-*", "virbr*", "lxdbr*", "lxcbr*", "incusbr*", "cni*", "cbr*", "flannel*", "cali*",
				"cilium*", "kube-*", "podman*", "nerdctl*", "veth*", "ve-*", "vz-*", "vb-*", "vt-*", "host[0-9]*",
				"vnet*",
				"vmnet*", "vboxnet*"}},
		{"a tunnel", []string{"tun*", "tap*", "wg*", "tailscale*", "zt*", "ppp*", "sit*", "gre*", "ip6tnl*", "tunl*",
			"vti*", "xfrm*", "ipsec*", "nebula*", "vxlan*", "geneve*", "he-*", "gpd*", "cscotun*"}},
		{"virtual", []string{"dummy*", "ifb*", "nlmon*", "vcan*", "can[0-9]*", "macvlan*", "ipvlan*", "ib[0-9]*"}},
	} {
		if slices.ContainsFunc(group.patterns, func(p string) bool { ok, _ := path.Match(p, name); return ok }) {
			return group.why
		}
	}
	return ""
}

// instanceNames are names that the kernel and udev give the interfaces of EC2
// instances: of all generations, with predictable names and without.
var instanceNames = func() []string {
	var names []string
	for i := range 16 {
		names = append(names, fmt.Sprintf("eth%d", i), fmt.Sprintf("enX%d", i), fmt.Sprintf("ens%d", i),
			fmt.Sprintf("enp0s%d", i), fmt.Sprintf("ens%d", 32+i), fmt.Sprintf("enp%ds0", 32+i))
	}
	return names
}()

// instanceDrivers are the kernel's drivers of those interfaces.
var instanceDrivers = []string{"ena", "efa", "ixgbevf", "vif", "xen_netfront", "xen-netfront"}

// mayNameInstance says whether a pattern fits an interface that an instance may
// have. One without wildcards is a name that somebody chose.
func mayNameInstance(pattern string) bool {
	if !strings.ContainsAny(pattern, "*?[") {
		return noInstanceHas(pattern) == ""
	}
	return anyMatch([]string{pattern}, instanceNames)
}

// anyMatch says whether one of the patterns fits one of the names.
func anyMatch(patterns, names []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		return slices.ContainsFunc(names, func(n string) bool { ok, err := path.Match(p, n); return ok && err == nil })
	})
}

// filesIn reads the files of a folder that may not be there.
func (m *Machine) filesIn(folder string, want func(name string) bool, use func(name, text string, f File) error) error {
	entries, _, err := m.tree.list(folder)
	if err != nil {
		return err
	}
	left := maxFolder
	for _, e := range entries {
		if !want(e.Name()) {
			continue
		}
		data, f, err := m.tree.read(path.Join(folder, e.Name()), maxConfig)
		if err != nil {
			return err
		}
		if !f.Exists {
			continue
		}
		// Even an empty file costs: a folder may hold links to one by the thousand.
		if left -= len(data) + 1<<10; left < 0 {
			return fmt.Errorf("%s has more than %d MiB of configuration: %w", folder, maxFolder>>20, errTooLarge)
		}
		if err := use(e.Name(), string(data), f); err != nil {
			return inFile(f.Evidence.Path, err)
		}
	}
	return nil
}

// maxFolder bounds the files of one folder of configuration together, in bytes.
const maxFolder = 8 << 20

func hasExt(ext string) func(string) bool {
	return func(name string) bool { return path.Ext(name) == ext && name[0] != '.' }
}

// A layered file is one of several folders: the folder of the highest rank that
// has the name counts.
type layered struct {
	Name, Text string
	File       File
}

// layer reads the files of folders, the one with the highest rank first, in the
// order of their names. A link to /dev/null in a folder of higher rank hides the
// name, as an empty file does.
func (m *Machine) layer(folders []string, want func(name string) bool) ([]layered, error) {
	found := map[string]layered{}
	seen := map[string]bool{} // folders: /lib is often a link to /usr/lib
	for _, folder := range folders {
		f, err := m.tree.file(folder)
		if err != nil {
			return nil, err
		}
		if !f.Exists || seen[f.Evidence.Path] {
			continue
		}
		seen[f.Evidence.Path] = true
		entries, _, err := m.tree.list(folder)
		if err != nil {
			return nil, err
		}
		masks := map[string]File{}
		for _, e := range entries {
			if _, known := found[e.Name()]; known || !want(e.Name()) || e.Type()&fs.ModeSymlink == 0 {
				continue
			}
			link, err := m.tree.link(path.Join(folder, e.Name()))
			if err != nil {
				return nil, err
			}
			if link.Target == "/dev/null" {
				masks[e.Name()] = link
			}
		}
		here := map[string]layered{}
		err = m.filesIn(folder, func(name string) bool {
			_, known := found[name]
			_, masked := masks[name]
			return !known && !masked && want(name)
		}, func(name, text string, f File) error {
			here[name] = layered{name, text, f}
			return nil
		})
		if err != nil {
			return nil, err
		}
		for name, link := range masks {
			found[name] = layered{Name: name, File: link}
		}
		maps.Copy(found, here)
	}
	list := make([]layered, 0, len(found))
	for _, l := range found {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b layered) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// ini is a file of sections with settings in their order: NAME=value under
// [section], and comments that begin with # or ;. A section may come again.
type ini []iniSection

type iniSection struct {
	Name     string
	Settings [][2]string
}

func parseINI(text string) ini {
	var all ini
	pending := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" && pending == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		if rest, ok := strings.CutSuffix(line, `\`); ok && len(pending) < maxConfig {
			pending += rest + " "
			continue
		}
		line, pending = pending+line, ""
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			all = append(all, iniSection{Name: line[1 : len(line)-1]})
			continue
		}
		if name, value, ok := strings.Cut(line, "="); ok && len(all) > 0 {
			s := &all[len(all)-1]
			s.Settings = append(s.Settings, [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
		}
	}
	return all
}

// has says whether there is a section of that name.
func (f ini) has(section string) bool {
	return slices.ContainsFunc(f, func(s iniSection) bool { return s.Name == section })
}

// values lists what a setting is given in all sections of that name, in order.
func (f ini) values(section, name string) (list []string) {
	for _, s := range f {
		if s.Name != section {
			continue
		}
		for _, set := range s.Settings {
			if set[0] == name {
				list = append(list, set[1])
			}
		}
	}
	return list
}

// last is the value that counts where the last one does; "" for none.
func (f ini) last(section, name string) string {
	all := f.values(section, name)
	if len(all) == 0 {
		return ""
	}
	return all[len(all)-1]
}
