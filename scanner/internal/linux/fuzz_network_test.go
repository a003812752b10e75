package linux

import (
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func FuzzNetplan(f *testing.F) {
	f.Add("network:\n  ethernets:\n    a: {dhcp4: true, addresses: [1.2.3.4/5]}\n")
	f.Add("network: {renderer: NetworkManager, bridges: {b: {interfaces: [a], dhcp4: 'yes'}}, vlans: {v: {link: b}}}\n")
	f.Add("a: &x [*x]\nnetwork: {ethernets: &e {a: {match: {name: e*}}}, bonds: *e}\n")
	f.Add("network: {version: 1, config: [{type: physical, name: a, subnets: [{type: static, address: 1.2.3.4}]}]}\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := netplan{byID: map[string]*netplanDefinition{}}
		if err := p.add([]byte(text), requirement.Evidence{}); err == nil {
			if all := p.addressings(false, false); len(all) != len(p.definitions) || len(all) > len(text) {
				t.Errorf("%d interfaces of %d definitions in %d bytes", len(all), len(p.definitions), len(text))
			}
		}
		parseCloudNetwork([]byte(text), requirement.Evidence{})
	})
}

func FuzzNetworkFiles(f *testing.F) {
	f.Add("[Match]\nName=e* !eth1\nDriver=ena\n[Network]\nDHCP=yes\nAddress=1.2.3.4/5\nBridge=br0\n")
	f.Add("[connection]\nid=a\ntype=ethernet\n[ipv4]\nmethod=manual\naddress1=1.2.3.4/5\n")
	f.Add("DEVICE=eth0\nBOOTPROTO=none\nIPADDR=1.2.3.4\nONBOOT=yes\n")
	f.Add("auto eth0\niface eth0 inet static\n address 1.2.3.4\n source /etc/*\n")
	f.Fuzz(func(t *testing.T, text string) {
		file := parseNetworkFile("a.network", parseINI(text), requirement.Evidence{})
		judgeNetworkFiles([]networkFile{file, file})
		if c, ok := parseConnection(text, requirement.Evidence{}); ok {
			judgeConnections([]connection{c, c}, keyfileList(text))
		}
		judgeIfcfgs([]ifcfg{parseIfcfg("eth0", text, requirement.Evidence{})})
		stanzas, auto, _ := parseInterfaces(text, requirement.Evidence{})
		r := ifupdownReader{stanzas: stanzas, patterns: auto, auto: map[string]bool{}}
		r.judge()
	})
}

func FuzzIPTables(f *testing.F) {
	f.Add("*filter\n:INPUT DROP [0:0]\n-A INPUT -p tcp --dport 1:2 -j ACCEPT\nCOMMIT\n")
	f.Add("*nat\n:PREROUTING ACCEPT [0:0]\n" +
		"[1:2] -I PREROUTING 1 ! -s 10.0.0.0/255.0.0.0 -m set --match-set a src -g x\n:x - [0:0]\nCOMMIT\n")
	f.Fuzz(func(t *testing.T, text string) {
		s := parseIPTables(text)
		checkOutcomes(t, s.outcome)
		checkOutcomes(t, s.decided)
		checkOutcomes(t, ufwRules("DROP", map[string]string{"user.rules": text}).outcome)
	})
}

func FuzzNFTables(f *testing.F) {
	f.Add("flush ruleset\ntable inet f {\n set s { type inet_service; elements = { 22, 4172 }\n }\n chain i {\n" +
		" type filter hook input priority 0; policy drop;\n tcp dport @s accept\n" +
		" ct state vmap { new : jump x, established : accept }\n }\n chain x { limit rate over 1/second drop; }\n}\n")
	f.Add("define a = { 1, 2 }\nadd rule ip f i tcp dport $a counter packets 1 bytes 2 log prefix \"x\" level info " +
		"reject with tcp reset\ninclude \"/etc/*.nft\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		p := nftParser{rules: newNFT(), left: maxNFT, vars: map[string][]string{}}
		p.include = func(name string) ([]string, bool, error) { return []string{name}, strings.Contains(name, "x"), nil }
		p.read = func(string) (string, error) { return text, nil }
		p.file("a", nil, "")
		checkOutcomes(t, p.rules.outcome)
	})
}

func FuzzFirewalld(f *testing.F) {
	f.Add("<zone target=\"DROP\"><interface name=\"eth0\"/><source address=\"10.0.0.0/8\"/><port port=\"1-2\" " +
		"protocol=\"tcp\"/><rule priority=\"-1\"><source address=\"1.2.3.4\" invert=\"True\"/><reject/></rule></zone>")
	f.Add("<policy target=\"CONTINUE\" priority=\"-1\"><ingress-zone name=\"ANY\"/><egress-zone " +
		"name=\"HOST\"/><protocol value=\"udp\"/></policy>")
	f.Fuzz(func(t *testing.T, text string) {
		d := &daemon{zones: map[string]*zone{}, services: map[string]*zoneService{}, defaultZone: "a"}
		m := &Machine{}
		z := &zone{name: "a"}
		if decodeXML(text, &z.file) != nil || len(z.file.Services) > 0 {
			return
		}
		for _, r := range z.file.Rules {
			if r.Service != nil {
				return
			}
		}
		z.target = z.file.Target
		var err error
		if z.rules, err = m.zoneRules(d, &z.file); err != nil {
			t.Fatal(err)
		}
		d.zones["a"], d.order, d.policies = z, []string{"a"}, []*zone{z}
		checkOutcomes(t, d.outcome)
	})
}

// checkOutcomes asks for an outcome of each port: there is always one.
func checkOutcomes(t *testing.T, of func(packet) outcome) {
	t.Helper()
	for _, p := range knownPorts {
		for _, name := range []string{"eth0", ""} {
			if o := of(packet{port: p, Interface: name}); o == 0 {
				t.Errorf("%s: nothing becomes of the packet", p)
			}
		}
	}
}
