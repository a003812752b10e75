package linux

import (
	"slices"
	"strings"

	"path"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// leftOver are the endings of files that initscripts and NetworkManager pass
// over.
var leftOver = []string{".bak", ".orig", ".rpmnew", ".rpmorig", ".rpmsave", ".swp"}

// ifcfgs reads the interfaces of the initscripts, which NetworkManager reads
// too.
func (m *Machine) ifcfgs() (all []addressing, err error) {
	var list []ifcfg
	err = m.filesIn("/etc/sysconfig/network-scripts", func(name string) bool {
		return strings.HasPrefix(name, "ifcfg-") && name != "ifcfg-lo" && !slices.Contains(leftOver, path.Ext(name)) &&
			!strings.HasSuffix(name, "~")
	}, func(name, text string, f File) error {
		list = append(list, parseIfcfg(strings.TrimPrefix(name, "ifcfg-"), text, f.Evidence))
		return nil
	})
	return judgeIfcfgs(list), err
}

// An ifcfg is one file of the initscripts.
type ifcfg struct {
	addressing
	Device, Type string
	PartOf       string // the bridge or bond that it belongs to
	Zone         string // of firewalld
	Alias        bool   // it adds an address to another interface
}

func parseIfcfg(name, text string, ev requirement.Evidence) ifcfg {
	values := parseAssignments(text)
	c := ifcfg{Type: strings.ToLower(values["TYPE"]), Zone: values["ZONE"], Device: values["DEVICE"],
		Alias: strings.Contains(name, ":")}
	c.Name, c.Evidence = name, ev
	if c.Device == "" {
		c.Device = name
	}
	for _, key := range []string{"MASTER", "BRIDGE", "TEAM_MASTER", "OVS_BRIDGE"} {
		if values[key] != "" {
			c.PartOf = values[key]
		}
	}
	c.Evidence.Data = "BOOTPROTO=" + values["BOOTPROTO"]
	switch strings.ToLower(values["BOOTPROTO"]) {
	case "dhcp", "bootp":
	case "shared":
		c.Fixed = "BOOTPROTO=shared"
	default:
		for _, key := range []string{"IPADDR", "IPADDR0", "IPADDR1"} {
			if values[key] != "" && c.Fixed == "" {
				c.Fixed = values[key]
				c.Evidence.Data += " " + key + "=" + values[key]
			}
		}
		c.None = c.Fixed == "" && !c.Alias
	}
	if v6 := values["IPV6ADDR"]; v6 != "" && !isLinkLocal(v6) && c.Fixed == "" && !falseBool(values["IPV6INIT"]) {
		c.Fixed, c.None = v6, false
		c.Evidence.Data += " IPV6ADDR=" + v6
	}
	switch {
	case falseBool(values["ONBOOT"]) && !c.Alias || falseBool(values["ONPARENT"]) && c.Alias:
		c.Aside = "not brought up at start"
	case slices.Contains([]string{"wireless", "sit", "gre", "ipip", "tun", "tap", "ipsec", "ppp", "dummy",
		"infiniband"}, c.Type):
		c.Aside = "a tunnel, or virtual"
		if c.Type == "wireless" {
			c.Aside = "wireless"
		}
	default:
		c.Aside = noInstanceHas(c.Device)
	}
	return c
}

// judgeIfcfgs says what counts of the files together.
func judgeIfcfgs(list []ifcfg) (all []addressing) {
	based := map[string]bool{}
	for _, c := range list {
		if c.PartOf != "" && c.Aside == "" {
			based[c.PartOf] = true
		}
	}
	for _, c := range list {
		switch {
		case c.Aside != "":
		case c.PartOf != "":
			c.Aside = "part of " + c.PartOf
		case (c.Type == "bridge" || c.Type == "ovsbridge") && !based[c.Device]:
			c.Aside = "no interface of the instance belongs to it"
		}
		all = append(all, c.addressing)
	}
	return all
}
