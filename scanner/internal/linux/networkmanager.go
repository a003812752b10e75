package linux

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// connectionFolders hold the connections of NetworkManager, the one that goes
// before the other first (nm-settings-keyfile(5)). /run is in memory.
var connectionFolders = []string{"/etc/NetworkManager/system-connections", "/usr/lib/NetworkManager/system-connections"}

// A connection is what one keyfile of NetworkManager says.
type connection struct {
	Type      string
	Interface string // the interface's name; "" for any
	UUID, ID  string
	Zone      string // of firewalld
	PartOf    string // the bridge or bond that it belongs to
	Manual    bool   // it is not brought up at start
	Methods   map[string]string
	Addresses []string
	Match     []string // patterns of interface names
	Drivers   []string
	Parent    string
	Evidence  requirement.Evidence
}

// connections reads the keyfiles.
func (m *Machine) connections() ([]connection, error) {
	layers, err := m.layer(connectionFolders, func(name string) bool {
		return name[0] != '.' && !strings.HasSuffix(name, "~") && !slices.Contains(leftOver, path.Ext(name))
	})
	if err != nil {
		return nil, err
	}
	var all []connection
	for _, l := range layers {
		if c, ok := parseConnection(l.Text, l.File.Evidence); ok {
			c.ID = strings.TrimSuffix(l.Name, ".nmconnection")
			all = append(all, c)
		}
	}
	return all, nil
}

// parseConnection reads one connection; ok is false for a file that is none.
func parseConnection(text string, ev requirement.Evidence) (c connection, ok bool) {
	f := parseINI(text)
	if !f.has("connection") {
		return c, false
	}
	c = connection{Evidence: ev, Methods: map[string]string{}, Type: f.last("connection", "type"),
		Interface: f.last("connection", "interface-name"), UUID: f.last("connection", "uuid"),
		Zone:   f.last("connection", "zone"),
		PartOf: cmp.Or(f.last("connection", "controller"), f.last("connection", "master")),
		Manual: falseBool(f.last("connection", "autoconnect")),
		Match:  keyfileList(f.last("match", "interface-name")), Drivers: keyfileList(f.last("match", "driver")),
		Parent: cmp.Or(f.last("vlan", "parent"), f.last("vlan", "interface-name")),
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		method := cmp.Or(f.last(family, "method"), "auto")
		c.Methods[family] = method
		c.Evidence.Data = strings.TrimSpace(c.Evidence.Data + " " + family + ".method=" + method)
		var given []string
		for _, s := range f {
			for _, set := range s.Settings {
				// address1=ADDRESS/PREFIX,GATEWAY; the older form is a list of such.
				if s.Name == family && len(given) < 1000 &&
					(set[0] == "addresses" || strings.HasPrefix(set[0], "address") &&
						strings.Trim(set[0][len("address"):], "0123456789") == "") {
					given = append(given, set[1])
				}
			}
		}
		switch {
		case method == "manual" && len(given) == 0:
			c.Addresses = append(c.Addresses, family+".method=manual")
		case method == "manual" || method == "auto" || method == "dhcp":
			c.Addresses = append(c.Addresses, given...)
		}
	}
	return c, true
}

// falseBool says whether a setting is written and false.
func falseBool(s string) bool {
	return slices.Contains([]string{"0", "no", "n", "false", "f", "off"}, strings.ToLower(s))
}

// keyfileList takes a list of a keyfile apart.
func keyfileList(s string) (list []string) {
	for part := range strings.FieldsFuncSeq(s, func(r rune) bool { return r == ';' || r == ',' || r == ' ' }) {
		list = append(list, part)
	}
	return list
}

// keyfiles says how the connections of NetworkManager give their interfaces
// addresses. Where it is there and does not start, they count for nothing.
func (m *Machine) keyfiles() ([]addressing, error) {
	state, unread := m.service("NetworkManager.service")
	if unread == nil && state == serviceOff {
		return nil, nil
	}
	connections, err := m.connections()
	if err != nil || len(connections) == 0 {
		return nil, err
	}
	config, err := m.managerConfig()
	if err != nil {
		return nil, err
	}
	return ifItStarts(judgeConnections(connections, config.Unmanaged), unread)
}

// connectionKinds are types of connections that no interface of an instance
// has, and why.
var connectionKinds = map[string]string{
	"wifi": "wireless", "802-11-wireless": "wireless", "gsm": "a modem", "cdma": "a modem", "bluetooth": "a modem",
	"adsl": "a modem", "pppoe": "a modem",
	"vpn": "a tunnel", "wireguard": "a tunnel", "tun": "a tunnel", "ip-tunnel": "a tunnel", "vxlan": "a tunnel",
	"macsec":   "a tunnel",
	"loopback": "loopback", "dummy": "virtual", "veth": "virtual", "infiniband": "virtual", "wpan": "wireless",
	"6lowpan": "wireless", "generic": "virtual",
}

// judgeConnections decides how each connection's interface gets its address.
// unmanaged lists the devices that NetworkManager ignores.
func judgeConnections(connections []connection, unmanaged []string) (all []addressing) {
	based := map[string]bool{} // what a connection of an interface of the instance belongs to
	for _, c := range connections {
		if c.PartOf != "" && c.aside() == "" {
			based[c.PartOf] = true
		}
	}
	for _, c := range connections {
		a := addressing{Name: c.ID, Aside: c.aside(), Evidence: c.Evidence, Fixed: fixedAddresses(c.Addresses)}
		switch method := c.Methods["ipv4"]; method {
		case "auto", "dhcp", "manual":
		case "shared":
			a.Fixed = cmp.Or(a.Fixed, "ipv4.method=shared")
		case "disabled", "ignore", "link-local":
			a.None = a.Fixed == ""
		default:
			a.Doubt = fmt.Errorf("%s: coldcheck does not know ipv4.method=%s", c.Evidence.Path, method)
		}
		switch {
		case a.Aside != "":
		case c.PartOf != "":
			a.Aside = "part of " + c.PartOf
		case (c.Type == "bridge" || c.Type == "bond" || c.Type == "team") && !based[c.Interface] && !based[c.UUID] &&
			!based[c.ID]:
			a.Aside = "no interface of the instance belongs to it"
		case leavesAlone(unmanaged, c.Interface):
			a.Aside = "NetworkManager does not manage it"
		}
		all = append(all, a)
	}
	return all
}

// aside says why a connection is for no interface of an instance, or not brought
// up.
func (c connection) aside() string {
	switch {
	case connectionKinds[c.Type] != "":
		return connectionKinds[c.Type]
	case c.Manual:
		return "not brought up at start"
	case len(c.Match) > 0 && !slices.ContainsFunc(c.Match,
		func(p string) bool { return strings.HasPrefix(p, "!") || mayNameInstance(strings.TrimLeft(p, "|&")) }):
		return "no interface of the instance has such a name"
	case len(c.Drivers) > 0 && !slices.ContainsFunc(c.Drivers, func(p string) bool {
		return strings.HasPrefix(p, "!") || anyMatch([]string{strings.TrimLeft(p, "|&")}, instanceDrivers)
	}):
		return "no interface of the instance has such a driver"
	}
	return noInstanceHas(c.Interface)
}

// managerConfig is NetworkManager's own configuration (NetworkManager.conf(5)).
type managerConfig struct {
	NoAuto    []string // devices that get no connection of their own accord
	Unmanaged []string
	Evidence  requirement.Evidence
}

// ubuntuUnmanaged is Ubuntu's file that leaves all but wireless devices to
// others.
const ubuntuUnmanaged = "10-globally-managed-devices.conf"

// managerConfig reads NetworkManager.conf and the files of conf.d, those of the
// distribution first: the last setting counts.
func (m *Machine) managerConfig() (managerConfig, error) {
	var c managerConfig
	vendor, err := m.layer([]string{"/etc/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d"}, hasExt(".conf"))
	if err != nil {
		return c, err
	}
	main, f, err := m.tree.read("/etc/NetworkManager/NetworkManager.conf", maxConfig)
	if err != nil {
		return c, err
	}
	plan, err := m.readNetplan()
	if err != nil {
		return c, err
	}
	// Files of /usr/lib, then NetworkManager.conf, then those of /etc.
	var files []layered
	for _, l := range vendor {
		if l.Name == ubuntuUnmanaged && plan.renderer == "NetworkManager" {
			continue // netplan hides it by an empty file in /run
		}
		if strings.HasPrefix(l.File.Evidence.Path, "usr/") {
			files = append(files, l)
		}
	}
	files = append(files, layered{Text: string(main), File: f})
	for _, l := range vendor {
		if !strings.HasPrefix(l.File.Evidence.Path, "usr/") {
			files = append(files, l)
		}
	}
	for _, l := range files {
		for _, s := range parseINI(l.Text) {
			for _, set := range s.Settings {
				key, into := strings.TrimRight(set[0], "+-"), (*[]string)(nil)
				switch {
				case s.Name == "main" && key == "no-auto-default":
					into = &c.NoAuto
				case s.Name == "keyfile" && key == "unmanaged-devices":
					into = &c.Unmanaged
				default:
					continue
				}
				c.Evidence = l.File.Evidence
				c.Evidence.Data = set[0] + "=" + set[1]
				switch list := keyfileList(set[1]); {
				case strings.HasSuffix(set[0], "+"):
					*into = append(*into, list[:min(len(list), 1000)]...)
				case strings.HasSuffix(set[0], "-"):
					*into = slices.DeleteFunc(*into, func(v string) bool { return slices.Contains(list, v) })
				default:
					*into = list
				}
			}
		}
	}
	return c, nil
}

// autoDefault says whether NetworkManager gives an interface that no connection
// is for one with DHCP.
func (m *Machine) autoDefault() (bool, requirement.Evidence, error) {
	c, err := m.managerConfig()
	if err != nil {
		return false, c.Evidence, err
	}
	return !leavesAlone(c.NoAuto, "") && !leavesAlone(c.Unmanaged, ""), c.Evidence, nil
}

// leavesAlone says whether a list of devices has the interface of that name, or
// for "" any interface of an instance ("Device List Format" of
// NetworkManager.conf(5)).
func leavesAlone(devices []string, name string) bool {
	in := false
	for _, d := range devices {
		except := false
		if rest, ok := strings.CutPrefix(d, "except:"); ok {
			d, except = rest, true
		}
		fits := false
		kind, value, ok := strings.Cut(d, ":")
		switch {
		case d == "*":
			fits = true
		case ok && kind == "type":
			fits = value == "ethernet"
		case ok && kind == "interface-name":
			p := strings.TrimPrefix(value, "=")
			fits = name != "" && anyMatch([]string{p}, []string{name}) || name == "" && strings.ContainsAny(p, "*?[") &&
				anyMatch([]string{p}, instanceNames)
		case ok && kind == "driver":
			fits = anyMatch([]string{value}, instanceDrivers)
		case !ok:
			fits = d == name && name != ""
		}
		if fits && except {
			return false
		}
		in = in || fits
	}
	return in
}
