package linux

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// cloudNetworkConfig is the network configuration of cloud-init.
type cloudNetworkConfig struct {
	Off        bool         // it does not configure the network
	Interfaces []addressing // interfaces that it configures differently from the service
	Evidence   requirement.Evidence
}

// cloudNetwork reads the network configuration that cloud-init applies at the
// first start of each new instance.
func (m *Machine) cloudNetwork() ([]addressing, error) {
	c, err := m.readCloudNetwork()
	return c.Interfaces, err
}

// cloudNetworkOff reports whether cloud-init is configured not to touch the
// network.
func (m *Machine) cloudNetworkOff() (bool, requirement.Evidence, error) {
	c, err := m.readCloudNetwork()
	return c.Off, c.Evidence, err
}

// readCloudNetwork reads cloud.cfg and the files of cloud.cfg.d in the order of
// their names: the last that says something of the network counts.
func (m *Machine) readCloudNetwork() (c cloudNetworkConfig, err error) {
	files, err := m.layer([]string{"/etc/cloud/cloud.cfg.d"}, hasExt(".cfg"))
	if err != nil {
		return c, err
	}
	main, f, err := m.tree.read("/etc/cloud/cloud.cfg", maxConfig)
	if err != nil {
		return c, err
	}
	for _, l := range append([]layered{{Text: string(main), File: f}}, files...) {
		found, ok, err := parseCloudNetwork([]byte(l.Text), l.File.Evidence)
		if err != nil {
			return c, inFile(l.File.Evidence.Path, err)
		}
		if ok {
			c = found
		}
	}
	return c, nil
}

// parseCloudNetwork reads what one file says of the network: "config: disabled",
// or a configuration of cloud-init's version 1, or of version 2, which is
// netplan's. ok is false if it says nothing of it.
func parseCloudNetwork(data []byte, ev requirement.Evidence) (c cloudNetworkConfig, ok bool, err error) {
	// Most files have nothing of the kind, and some of those are large.
	if !strings.Contains(string(data), "network") {
		return c, false, nil
	}
	root, err := parseYAML(data)
	if err != nil || root == nil || root.Kind != yaml.MappingNode {
		return c, false, err
	}
	w := &yamlWalk{left: maxYAML}
	err = w.pairs(root, func(key string, value *yaml.Node) error {
		if key != "network" {
			return nil
		}
		ok = true
		c = cloudNetworkConfig{Evidence: ev}
		var old *yaml.Node
		p := netplan{byID: map[string]*netplanDefinition{}}
		err := w.pairs(value, func(key string, value *yaml.Node) error {
			if key != "config" {
				return nil
			}
			if value.Kind == yaml.ScalarNode {
				c.Off = value.Value == "disabled"
				c.Evidence.Data = "network: {config: " + value.Value + "}"
				return nil
			}
			old = value
			return nil
		})
		if err != nil {
			return err
		}
		if old != nil {
			c.Interfaces, err = cloudVersion1(w, old, ev)
			return err
		}
		if err := p.network(w, value, ev); err != nil {
			return err
		}
		c.Interfaces = p.addressings(false, false)
		return nil
	})
	return c, ok, err
}

// cloudVersion1 reads the interfaces of cloud-init's network configuration of
// version 1.
func cloudVersion1(w *yamlWalk, n *yaml.Node, ev requirement.Evidence) (all []addressing, err error) {
	if n.Kind != yaml.SequenceNode {
		return nil, fmt.Errorf("line %d: expected a list: %w", n.Line, errYAML)
	}
	for _, item := range n.Content {
		var name, kind string
		var dhcp bool
		var addresses []string
		err := w.pairs(item, func(key string, value *yaml.Node) error {
			switch key {
			case "name":
				name = value.Value
			case "type":
				kind = value.Value
			case "subnets":
				if value.Kind != yaml.SequenceNode {
					return nil
				}
				for _, subnet := range value.Content {
					var how, address string
					if err := w.pairs(subnet, func(key string, value *yaml.Node) error {
						switch key {
						case "type":
							how = value.Value
						case "address":
							address = value.Value
						}
						return nil
					}); err != nil {
						return err
					}
					switch how {
					case "dhcp", "dhcp4":
						dhcp = true
					case "static", "static6":
						addresses = append(addresses, cmp.Or(address, how))
					}
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		if !slices.Contains([]string{"physical", "bond", "bridge", "vlan"}, kind) {
			continue // a name server, a route
		}
		a := addressing{Name: name, Aside: noInstanceHas(name), Fixed: fixedAddresses(addresses), Evidence: ev}
		a.None = !dhcp && a.Fixed == ""
		a.Evidence.Data = fmt.Sprintf("%s: IPv4 DHCP %t, addresses %v", name, dhcp,
			addresses[:min(len(addresses), mostEvidence)])
		all = append(all, a)
	}
	return all, nil
}
