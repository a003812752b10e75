package linux

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/scanner/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var bpNetwork = entry{
	Requirement: demand(requirement.Recommended, "linux.bp.network", "network interfaces use DHCP", sectionPractices, explanation{
		Reads: "/etc/sysconfig/network-scripts/ifcfg-*, keyfiles of NetworkManager, netplan (/etc and /lib), /etc/systemd/network and /etc/network/interfaces. A fixed address of IPv6 counts like one of IPv4.",
		Live:  "nmcli -f ipv4.method connection show; networkctl; ip -4 address",
		Fix:   "Set the interface to DHCP: BOOTPROTO=dhcp, method=auto, dhcp4: true or DHCP=yes, and take the fixed addresses out.",
	}),
	Judge: (*Machine).decideNetwork,
}

// An addressing says how one interface gets its address.
type addressing struct {
	Name     string
	Fixed    string // the fixed address; "" if it uses DHCP
	Evidence requirement.Evidence
}

func (m *Machine) decideNetwork() requirement.Outcome {
	var all []addressing
	for _, read := range []func() ([]addressing, error){m.ifcfgs, m.keyfiles, m.netplans, m.networkds, m.interfaces} {
		found, err := read()
		if err != nil {
			return requirement.Unreadable(err)
		}
		all = append(all, found...)
	}
	return judgeNetwork(all)
}

// judgeNetwork decides linux.bp.network.
func judgeNetwork(all []addressing) requirement.Outcome {
	var fixed, dynamic []string
	var evidence, good []requirement.Evidence
	for _, a := range all {
		if a.Fixed != "" {
			fixed = append(fixed, a.Name+" ("+a.Fixed+")")
			evidence = append(evidence, a.Evidence)
			continue
		}
		dynamic = append(dynamic, a.Name)
		good = append(good, a.Evidence)
	}
	switch {
	case len(fixed) > 0:
		return requirement.Warn(prose.Count(len(fixed), "interface has", "interfaces have")+" a fixed address: "+prose.Some(fixed), evidence...)
	case len(dynamic) > 0:
		return requirement.Pass(prose.Count(len(dynamic), "interface uses", "interfaces use")+" DHCP: "+prose.Some(dynamic), good...)
	}
	return requirement.Infer("no interface is configured, so that cloud-init and NetworkManager use DHCP, their default")
}

// filesIn reads the files of a folder that may not be there.
func (m *Machine) filesIn(folder string, want func(name string) bool, use func(name, text string, f File) error) error {
	entries, _, err := m.tree.list(folder)
	if err != nil {
		return err
	}
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
		if err := use(e.Name(), string(data), f); err != nil {
			return fmt.Errorf("%s: %w", f.Evidence.Path, err)
		}
	}
	return nil
}

func hasExt(ext string) func(string) bool {
	return func(name string) bool { return path.Ext(name) == ext }
}

// leftOver are the endings of files that initscripts pass over.
var leftOver = []string{".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave"}

// ifcfgs reads the interfaces of initscripts.
func (m *Machine) ifcfgs() (all []addressing, err error) {
	err = m.filesIn("/etc/sysconfig/network-scripts", func(name string) bool {
		return strings.HasPrefix(name, "ifcfg-") && name != "ifcfg-lo" && !slices.Contains(leftOver, path.Ext(name)) && !strings.HasSuffix(name, "~")
	}, func(name, text string, f File) error {
		values := parseAssignments(text)
		a := addressing{Name: strings.TrimPrefix(name, "ifcfg-"), Evidence: f.Evidence}
		a.Evidence.Data = "BOOTPROTO=" + values["BOOTPROTO"]
		switch strings.ToLower(values["BOOTPROTO"]) {
		case "dhcp", "bootp":
		default:
			for _, key := range []string{"IPADDR", "IPADDR0", "IPADDR1"} {
				if values[key] != "" && a.Fixed == "" {
					a.Fixed = values[key]
					a.Evidence.Data += " " + key + "=" + values[key]
				}
			}
		}
		all = append(all, a)
		return nil
	})
	return all, err
}

// keyfiles reads the connections of NetworkManager (nm-settings-keyfile(5)).
// One in /etc goes before one of the same name in /usr/lib.
func (m *Machine) keyfiles() (all []addressing, err error) {
	seen := map[string]bool{}
	for _, folder := range []string{"/etc/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections"} {
		err = m.filesIn(folder, func(name string) bool { return !seen[name] }, func(name, text string, f File) error {
			seen[name] = true
			if a, ok := parseKeyfile(text, f.Evidence); ok {
				a.Name = strings.TrimSuffix(name, ".nmconnection")
				all = append(all, a)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// parseKeyfile reads one connection; ok is false for a file that is none.
func parseKeyfile(text string, ev requirement.Evidence) (a addressing, ok bool) {
	settings := parseUnit(text) // the same syntax, as far as this goes
	a.Evidence = ev
	for _, family := range []string{"ipv4", "ipv6"} {
		values := map[string]string{}
		for _, s := range settings[family] {
			values[s[0]] = s[1]
		}
		a.Evidence.Data = strings.TrimSpace(a.Evidence.Data + " " + family + ".method=" + values["method"])
		if values["method"] == "manual" && a.Fixed == "" {
			a.Fixed = cmp.Or(values["address1"], values["addresses"], family+".method=manual")
		}
	}
	return a, len(settings["connection"]) > 0
}

// netplans reads the interfaces of netplan. The files of its folders are merged
// in the order of their names, so that a later one may set what an earlier one
// leaves open; a file in /etc hides one of the same name in /lib.
func (m *Machine) netplans() ([]addressing, error) {
	type file struct {
		text string
		f    File
	}
	files := map[string]file{}
	for _, folder := range []string{"/lib/netplan", "/etc/netplan"} {
		err := m.filesIn(folder, hasExt(".yaml"), func(name, text string, f File) error {
			files[name] = file{text, f}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	merged := map[string]*netplanInterface{}
	var order []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		found, err := parseNetplan([]byte(files[name].text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", files[name].f.Evidence.Path, err)
		}
		for _, device := range slices.Sorted(maps.Keys(found)) {
			i := found[device]
			if merged[device] == nil {
				merged[device] = &netplanInterface{}
				order = append(order, device)
			}
			if i.DHCP4 != nil {
				merged[device].DHCP4 = i.DHCP4
			}
			merged[device].Addresses = append(merged[device].Addresses, i.Addresses...)
			merged[device].evidence = files[name].f.Evidence
		}
	}
	var all []addressing
	for _, name := range order {
		i := merged[name]
		a := addressing{Name: name, Fixed: strings.Join(i.Addresses, ", "), Evidence: i.evidence}
		a.Evidence.Data = fmt.Sprintf("%s: dhcp4 %t, addresses %v", name, i.DHCP4 != nil && *i.DHCP4, i.Addresses)
		all = append(all, a)
	}
	return all, nil
}

type netplanInterface struct {
	DHCP4     *bool
	Addresses []string
	evidence  requirement.Evidence
}

// parseNetplan reads the interfaces of one file of netplan, of every kind that
// carries addresses.
func parseNetplan(data []byte) (map[string]netplanInterface, error) {
	var doc struct {
		Network map[string]yaml.Node `yaml:"network"`
	}
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("not netplan's YAML: %w", err)
	}
	found := map[string]netplanInterface{}
	for _, kind := range []string{"ethernets", "wifis", "bonds", "bridges", "vlans"} {
		node, ok := doc.Network[kind]
		if !ok || node.Kind != yaml.MappingNode {
			continue
		}
		var interfaces map[string]struct {
			DHCP4     *bool       `yaml:"dhcp4"`
			Addresses []yaml.Node `yaml:"addresses"`
		}
		if err := node.Decode(&interfaces); err != nil {
			return nil, fmt.Errorf("%s: %w", kind, err)
		}
		for name, i := range interfaces {
			entry := netplanInterface{DHCP4: i.DHCP4}
			for _, a := range i.Addresses {
				switch {
				case a.Kind == yaml.ScalarNode:
					entry.Addresses = append(entry.Addresses, a.Value)
				case a.Kind == yaml.MappingNode && len(a.Content) > 0: // address: {label: …}
					entry.Addresses = append(entry.Addresses, a.Content[0].Value)
				}
			}
			found[name] = entry
		}
	}
	return found, nil
}

// networkds reads the interfaces of systemd-networkd (systemd.network(5)).
func (m *Machine) networkds() (all []addressing, err error) {
	err = m.filesIn("/etc/systemd/network", hasExt(".network"), func(name, text string, f File) error {
		settings := parseUnit(text)
		a := addressing{Name: strings.TrimSuffix(name, ".network"), Evidence: f.Evidence}
		for _, section := range []string{"Network", "Address"} {
			for _, s := range settings[section] {
				if s[0] == "DHCP" {
					a.Evidence.Data = "DHCP=" + s[1]
				}
				if s[0] == "Address" && a.Fixed == "" {
					a.Fixed = s[1]
				}
			}
		}
		all = append(all, a)
		return nil
	})
	return all, err
}

// interfaces reads those of ifupdown (interfaces(5)).
func (m *Machine) interfaces() (all []addressing, err error) {
	use := func(_, text string, f File) error {
		all = append(all, parseInterfaces(text, f.Evidence)...)
		return nil
	}
	data, f, err := m.tree.read("/etc/network/interfaces", maxConfig)
	if err != nil {
		return nil, err
	}
	if f.Exists {
		use("", string(data), f)
	}
	err = m.filesIn("/etc/network/interfaces.d", func(string) bool { return true }, use)
	return all, err
}

func parseInterfaces(text string, ev requirement.Evidence) (all []addressing) {
	current := -1
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 4 && fields[0] == "iface":
			current = -1
			if fields[2] != "inet" || fields[1] == "lo" {
				continue
			}
			a := addressing{Name: fields[1], Evidence: ev}
			a.Evidence.Data = strings.TrimSpace(line)
			if fields[3] == "static" {
				a.Fixed = "static"
			}
			all = append(all, a)
			current = len(all) - 1
		case len(fields) == 2 && fields[0] == "address" && current >= 0 && all[current].Fixed != "":
			all[current].Fixed = fields[1]
		}
	}
	return all
}
