package linux

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// netplanFolders are those that netplan reads, the one that goes before the
// others first. /run is in memory.
var netplanFolders = []string{"/etc/netplan", "/lib/netplan"}

// netplans reads the interfaces of netplan. The files of its folders are merged
// in the order of their names, so that a later one may set what an earlier one
// leaves open; a file in /etc hides one of the same name in /lib.
func (m *Machine) netplans() ([]addressing, error) {
	p, err := m.readNetplan()
	if err != nil || len(p.definitions) == 0 {
		return nil, err
	}
	installed, err := m.netplanInstalled()
	if err != nil {
		return nil, err
	}
	if !installed {
		var all []addressing
		for _, d := range p.definitions {
			all = append(all, addressing{Name: d.ID, Aside: noNetplan, Evidence: d.evidence})
		}
		return all, nil
	}
	off, _, err := m.cloudNetworkOff()
	if err != nil {
		return nil, err
	}
	// Whether the service that it is left to starts counts where it uses DHCP.
	networkd, unread := m.maskedService("systemd-networkd.service")
	nm, nmUnread := m.service("NetworkManager.service")
	all := p.addressings(networkd, nm == serviceOff)
	for i, a := range all {
		if a.Fixed != "" || a.None || a.Aside != "" || a.Doubt != nil {
			continue
		}
		if d := p.definitions[i]; off && d.Hardware != "" {
			// cloud-init would write the address of each new instance.
			all[i].Doubt = fmt.Errorf(
				"%s: the disk does not show whether %s has the hardware address %s, and cloud-init does not configure the "+
					"network", d.evidence.Path, d.ID, d.Hardware)
			continue
		}
		if all[i].Doubt = unread; p.rendererOf(p.definitions[i]) == "NetworkManager" {
			all[i].Doubt = nmUnread
		}
	}
	return all, nil
}

// readNetplan reads the files of netplan.
func (m *Machine) readNetplan() (netplan, error) {
	p := netplan{byID: map[string]*netplanDefinition{}}
	files, err := m.layer(netplanFolders, hasExt(".yaml"))
	if err != nil {
		return p, err
	}
	for _, f := range files {
		if f.Text == "" {
			continue
		}
		if err := p.add([]byte(f.Text), f.File.Evidence); err != nil {
			return p, inFile(f.File.Evidence.Path, err)
		}
	}
	return p, nil
}

// noNetplan is why what netplan's files say does not count.
const noNetplan = "Netplan is not installed, or its generator is masked."

// netplanInstalled says whether there is a netplan that reads its files at start.
func (m *Machine) netplanInstalled() (bool, error) {
	// systemd runs the generator of the folder with the highest rank.
	for _, folder := range []string{"/etc/systemd/system-generators", "/usr/local/lib/systemd/system-generators"} {
		link, err := m.tree.link(folder + "/netplan")
		if err != nil {
			return false, err
		}
		if link.Target == "/dev/null" || link.Exists && link.Target == "" && link.Size == 0 {
			return false, nil
		}
	}
	for _, p := range []string{
		"/usr/sbin/netplan", "/usr/bin/netplan", "/usr/lib/systemd/system-generators/netplan",
		"/lib/systemd/system-generators/netplan",
		"/usr/libexec/netplan/generate", "/usr/lib/netplan/generate", "/lib/netplan/generate",
	} {
		f, err := m.tree.file(p)
		if err != nil || f.Exists {
			return f.Exists, err
		}
	}
	return false, nil
}

// rendererOf is what sets a device up.
func (p *netplan) rendererOf(d *netplanDefinition) string { return cmp.Or(d.Renderer, p.renderer) }

// maskedService says whether a unit is masked: netplan starts systemd-networkd
// itself, which only that keeps it from.
func (m *Machine) maskedService(name string) (bool, error) {
	units, err := m.Units()
	if err != nil {
		return false, err
	}
	u := units.get(name)
	return u.State == unitMasked, u.Err
}

// netplan is what all its files say together.
type netplan struct {
	renderer    string
	byID        map[string]*netplanDefinition
	definitions []*netplanDefinition // in the order in which they first appear
}

// A netplanDefinition is one device.
type netplanDefinition struct {
	Kind, ID  string
	DHCP4     *bool
	Addresses []string
	Renderer  string
	Matched   bool     // it has a match, so that ID is no name
	Names     []string // patterns of match
	Hardware  string   // the hardware address of match
	Drivers   []string
	Members   []string // of a bridge or bond
	Link      string   // of a VLAN
	Manual    bool     // it is not brought up at start
	evidence  requirement.Evidence
}

// netplanKinds are the kinds of devices, and why those of some are none that an
// instance has.
var netplanKinds = map[string]string{
	"ethernets": "", "bonds": "", "bridges": "", "vlans": "", "nm-devices": "",
	"wifis": "wireless", "modems": "a modem", "tunnels": "a tunnel", "vrfs": "a routing table",
	"dummy-devices": "virtual", "virtual-ethernets": "virtual",
}

// maxYAML bounds the nodes that are looked at in one document, those that an
// alias stands for each time that it does.
const maxYAML = 4 << 20

// yamlWalk goes through a document.
type yamlWalk struct{ left int }

var errYAML = errors.New("netplan rejects it")

// parseYAML returns the first document, nil for an empty one.
func parseYAML(data []byte) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("invalid YAML: %w", err)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) == 0 {
		return nil, nil
	}
	return doc.Content[0], nil
}

// real follows aliases, and counts.
func (w *yamlWalk) real(n *yaml.Node) (*yaml.Node, error) {
	if w.left--; w.left < 0 {
		return nil, fmt.Errorf("more than %d values: %w", maxYAML, errTooLarge)
	}
	for range 100 {
		if n.Kind != yaml.AliasNode {
			return n, nil
		}
		n = n.Alias
	}
	return nil, fmt.Errorf("line %d: too many aliases", n.Line)
}

// yamlNull says whether a node is the empty value.
func yamlNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// pairs calls use for each key of a mapping. A null counts as an empty one.
func (w *yamlWalk) pairs(n *yaml.Node, use func(key string, value *yaml.Node) error) error {
	n, err := w.real(n)
	if err != nil {
		return err
	}
	if yamlNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		return fmt.Errorf("line %d: expected a mapping: %w", n.Line, errYAML)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, err := w.real(n.Content[i])
		if err != nil {
			return err
		}
		value, err := w.real(n.Content[i+1])
		if err != nil {
			return err
		}
		if key.Kind != yaml.ScalarNode || key.Tag == "!!merge" {
			return fmt.Errorf("line %d: the key is not a name: %w", key.Line, errYAML)
		}
		if err := use(key.Value, value); err != nil {
			return err
		}
	}
	return nil
}

// items lists the scalars of a sequence, and of mappings in it the first key.
func (w *yamlWalk) items(n *yaml.Node) (list []string, err error) {
	if yamlNull(n) {
		return nil, nil
	}
	if n.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("line %d: expected a list: %w", n.Line, errYAML)
	}
	for _, c := range n.Content {
		if c, err = w.real(c); err != nil {
			return nil, err
		}
		if c.Kind == yaml.MappingNode && len(c.Content) > 0 { // address: {label: …}
			if c, err = w.real(c.Content[0]); err != nil {
				return nil, err
			}
		}
		if c.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("line %d: expected a name or address: %w", c.Line, errYAML)
		}
		list = append(list, c.Value)
	}
	return list, nil
}

// yamlBool reads netplan's booleans, which may be quoted and are those of YAML
// 1.1 in any case.
func yamlBool(n *yaml.Node) (bool, error) {
	if n.Kind == yaml.ScalarNode {
		switch strings.ToLower(n.Value) {
		case "true", "on", "yes", "y":
			return true, nil
		case "false", "off", "no", "n":
			return false, nil
		}
	}
	return false, fmt.Errorf("line %d: %q is not a boolean: %w", n.Line, n.Value, errYAML)
}

// add merges one file: mappings are merged, lists go on, other values are
// replaced.
func (p *netplan) add(data []byte, ev requirement.Evidence) error {
	root, err := parseYAML(data)
	if err != nil || root == nil {
		return err
	}
	w := &yamlWalk{left: maxYAML}
	return w.pairs(root, func(key string, value *yaml.Node) error {
		if key != "network" {
			return nil
		}
		return p.network(w, value, ev)
	})
}

// network merges what stands under the key of that name.
func (p *netplan) network(w *yamlWalk, n *yaml.Node, ev requirement.Evidence) error {
	return w.pairs(n, func(kind string, value *yaml.Node) error {
		if kind == "renderer" {
			p.renderer = value.Value
		}
		if _, ok := netplanKinds[kind]; !ok {
			return nil
		}
		renderer := ""
		return w.pairs(value, func(id string, value *yaml.Node) error {
			if id == "renderer" && value.Kind == yaml.ScalarNode {
				renderer = value.Value
				return nil
			}
			d := p.byID[id]
			if d == nil {
				d = &netplanDefinition{Kind: kind, ID: id}
				p.byID[id] = d
				p.definitions = append(p.definitions, d)
			}
			d.evidence = ev
			if renderer != "" {
				d.Renderer = renderer
			}
			if err := d.add(w, value); err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			return nil
		})
	})
}

func (d *netplanDefinition) add(w *yamlWalk, n *yaml.Node) error {
	return w.pairs(n, func(key string, value *yaml.Node) (err error) {
		var list []string
		switch key {
		case "dhcp4":
			var on bool
			on, err = yamlBool(value)
			d.DHCP4 = &on
		case "addresses":
			if list, err = w.items(value); err == nil {
				for _, a := range list {
					if len(d.Addresses) > 100 || !slices.Contains(d.Addresses, a) {
						d.Addresses = append(d.Addresses, a)
					}
				}
			}
		case "interfaces":
			list, err = w.items(value)
			d.Members = append(d.Members, list...)
		case "link":
			d.Link = value.Value
		case "renderer":
			d.Renderer = value.Value
		case "activation-mode":
			d.Manual = value.Value == "manual" || value.Value == "off"
		case "match":
			d.Matched = true
			err = w.pairs(value, func(key string, value *yaml.Node) (err error) {
				switch key {
				case "name":
					d.Names = []string{value.Value}
				case "macaddress":
					d.Hardware = value.Value
				case "driver":
					if d.Drivers = []string{value.Value}; value.Kind == yaml.SequenceNode {
						d.Drivers, err = w.items(value)
					}
				}
				return err
			})
		}
		return err
	})
}

// addressings says how each device gets its address. noNetworkd and noNM say
// that the service that would do it does not start.
func (p *netplan) addressings(noNetworkd, noNM bool) []addressing {
	member := map[string]string{} // of a bridge or bond
	for _, d := range p.definitions {
		for _, id := range d.Members {
			member[id] = d.ID
		}
	}
	carries := map[string]bool{}
	var all []addressing
	for _, d := range p.definitions {
		a := addressing{Name: d.ID, Evidence: d.evidence, Aside: d.aside()}
		dhcp := d.DHCP4 != nil && *d.DHCP4
		a.Fixed = fixedAddresses(d.Addresses)
		a.None = !dhcp && a.Fixed == ""
		shown := d.Addresses[:min(len(d.Addresses), mostEvidence)]
		a.Evidence.Data = fmt.Sprintf("%s: dhcp4 %t, addresses %v", d.ID, dhcp, shown)
		if of := member[d.ID]; a.Aside == "" && of != "" {
			a.Aside = "part of " + of
		}
		if a.Aside == "" && !p.carries(d, carries, 0) {
			a.Aside = "no interface of the instance belongs to it"
		}
		renderer := p.rendererOf(d)
		switch {
		case a.Fixed != "":
		case renderer == "NetworkManager" && noNM:
			a.Doubt = fmt.Errorf("%s: netplan leaves %s to NetworkManager, which does not start", d.evidence.Path, d.ID)
		case renderer != "NetworkManager" && noNetworkd:
			a.Doubt = fmt.Errorf("%s: netplan leaves %s to systemd-networkd, which is masked", d.evidence.Path, d.ID)
		}
		all = append(all, a)
	}
	return all
}

// fixedAddresses joins the configured addresses. Link-local ones, which every
// interface has, do not count.
func fixedAddresses(list []string) string {
	list = slices.DeleteFunc(slices.Clone(list), func(a string) bool { return isLinkLocal(a) })
	return prose.List(list, mostEvidence)
}

// isLinkLocal reports whether an address is link-local (RFC 4291, RFC 3927) or
// a loopback address.
func isLinkLocal(a string) bool {
	a = strings.ToLower(a)
	for _, prefix := range []string{"fe80:", "169.254.", "127.", "::1/"} {
		if strings.HasPrefix(a, prefix) {
			return true
		}
	}
	return a == "::1"
}

// aside says why a device does not count.
func (d *netplanDefinition) aside() string {
	if why := netplanKinds[d.Kind]; why != "" {
		return why
	}
	if d.Manual {
		return "not brought up at start"
	}
	if d.Kind == "ethernets" || d.Kind == "nm-devices" {
		switch {
		case !d.Matched:
			return noInstanceHas(d.ID)
		case len(d.Names) > 0 && !slices.ContainsFunc(d.Names, mayNameInstance):
			return "no interface of the instance has such a name"
		case len(d.Drivers) > 0 && !anyMatch(d.Drivers, instanceDrivers):
			return "no interface of the instance has such a driver"
		}
	}
	return ""
}

// carries says whether a device is an interface of the instance, or built on
// one.
func (p *netplan) carries(d *netplanDefinition, known map[string]bool, depth int) bool {
	if v, ok := known[d.ID]; ok || depth > maxStack {
		return v
	}
	known[d.ID] = false // netplan refuses loops
	on := false
	below := d.Members
	switch d.Kind {
	case "vlans":
		below = []string{d.Link}
	case "bridges", "bonds":
	default:
		on = d.aside() == ""
	}
	for _, id := range below {
		if b := p.byID[id]; b == nil && noInstanceHas(id) == "" || b != nil && p.carries(b, known, depth+1) {
			on = true
		}
	}
	known[d.ID] = on
	return on
}

// maxStack is how many devices may be built on each other.
const maxStack = 32
