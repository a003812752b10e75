package linux

import (
	"testing"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// TestFirewall says what a change of the ready machine makes of
// linux.bp.firewall.
func TestFirewall(t *testing.T) {
	t.Parallel()
	for _, c := range firewallCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := find(t, newMachine(t, c.changes), "linux.bp.firewall")
			if f.Status != c.want || fold.Index(f.Message, c.says) < 0 {
				t.Errorf("%s, want %s that says %q: %s", f.Status, c.want, c.says, f.Message)
			}
		})
	}
}

const passed, warning, undetermined = requirement.Passed, requirement.Warning, requirement.Undetermined

var firewallCases = []struct {
	name    string
	want    requirement.Status
	says    string
	changes string
}{
	{"firewalld without the ports", warning, "TCP 8200", firewalldOn},
	{"firewalld with them", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><service name=\"pcoip-agent\"/><port port=\"8000-8300\" protocol=\"tcp\"/></zone>\n" +
		"-- usr/lib/firewalld/services/pcoip-agent.xml --\n" +
		"<service><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/></service>\n"},
	{"firewalld that is open", passed, "", firewalldOn + "-- etc/firewalld/firewalld.conf --\nDefaultZone=trusted\n" +
		"-- usr/lib/firewalld/zones/trusted.xml --\n<zone target=\"ACCEPT\"/>\n"},
	{"firewalld, damaged", undetermined, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n<zone>\n"},
	{"iptables drops", warning, "TCP 4172", iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n" +
		"-A INPUT -p tcp -m tcp --dport 4000:5000 -j DROP\nCOMMIT\n"},
	{"iptables lets in first", passed, "", iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT DROP [0:0]\n" +
		"-A INPUT -p tcp -m multiport --dports 4172,8200 -j ACCEPT\n-A INPUT -p udp -m udp --dport 4172 -j ACCEPT\n" +
		"-A INPUT -j DROP\nCOMMIT\n"},
	{"iptables drops by its policy", warning, "TCP 8200",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT\nCOMMIT\n"},
	{"iptables rejects in a chain of its own", warning, "TCP 4172", iptablesOn + "-- etc/iptables/rules.v4 --\n" +
		"*filter\n:INPUT ACCEPT [0:0]\n:RH-Firewall - [0:0]\n-A INPUT -j RH-Firewall\n" +
		"-A RH-Firewall -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A RH-Firewall -i lo -j ACCEPT\n" +
		"-A RH-Firewall -p tcp -m tcp --dport 8200 -j ACCEPT\n" +
		"-A RH-Firewall -j REJECT --reject-with icmp-host-prohibited\nCOMMIT\n"},
	{"iptables drops all but", warning, "TCP 4172", iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n" +
		":INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m tcp ! --dport 8200 -j DROP\nCOMMIT\n"},
	{"iptables returns from a chain", passed, "", iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n" +
		":INPUT ACCEPT [0:0]\n:X - [0:0]\n-A INPUT -j X\n-A X -j RETURN\n-A X -j DROP\nCOMMIT\n"},
	{"iptables in a loop", passed, "",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n:X - [0:0]\n-A INPUT -j X\n-A X -j X\n" +
			"COMMIT\n"},
	{"iptables drops some addresses", passed, "",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 192.0.2.0/24 -j DROP\nCOMMIT\n"},
	{"nftables", warning, "TCP 8200",
		nftablesOn + "-- etc/nftables.conf --\n" +
			"table inet filter { chain input { type filter hook input priority 0; policy drop; } }\n"},
	{"nftables, open", passed, "", nftablesOn + "-- etc/nftables.conf --\nflush ruleset\ntable inet filter {\n" +
		" chain input {\n  type filter hook input priority filter; policy drop;\n  ct state established,related accept\n" +
		"  iif \"lo\" accept\n  tcp dport { 22, 4172, 8200 } accept\n  udp dport 4172 counter accept comment \"x\"\n }\n}\n"},
	{"nftables, a range", passed, "", nftablesOn + "-- etc/nftables.conf --\ntable inet filter {\n chain input {\n" +
		"  type filter hook input priority filter; policy drop;\n  meta l4proto { tcp, udp } th dport 4000-9000 accept\n" +
		" }\n}\n"},
	{"nftables, a negated set", warning, "TCP 4172", nftablesOn + "-- etc/nftables.conf --\ntable inet filter {\n" +
		" chain input {\n  type filter hook input priority filter; policy drop;\n" +
		"  meta l4proto { tcp, udp } th dport != { 4172, 22 } accept\n }\n}\n"},
	{"nftables, a named set", passed, "", nftablesOn + "-- etc/nftables.conf --\ntable inet filter {\n set ports {\n" +
		"  type inet_service\n  elements = { 4172, 8200 }\n }\n chain input {\n" +
		"  type filter hook input priority 0; policy drop;\n  tcp dport @ports accept\n  udp dport @ports accept\n }\n}\n"},
	{"nftables, a set that is filled later", undetermined, "depend on", nftablesOn + "-- etc/nftables.conf --\n" +
		"table inet filter {\n set ports {\n  type inet_service\n  flags dynamic\n }\n chain input {\n" +
		"  type filter hook input priority 0; policy drop;\n  tcp dport @ports accept\n  udp dport @ports accept\n }\n}\n"},
	{"nftables, a map of verdicts", passed, "", nftablesOn + "-- etc/nftables.conf --\ntable inet filter {\n" +
		" chain in {\n  th dport vmap { 4172 : accept, 8200 : accept, 22 : drop }\n }\n chain input {\n" +
		"  type filter hook input priority 0; policy drop;\n  meta l4proto vmap { tcp : jump in, udp : jump in }\n }\n}\n"},
	{"nftables, a named map of verdicts", warning, "TCP 4172", nftablesOn + "-- etc/nftables.conf --\n" +
		"table inet filter {\n map ports {\n  type inet_service : verdict\n  elements = { 4172 : drop, 8200 : accept }\n" +
		" }\n chain input {\n  type filter hook input priority 0; policy accept;\n  tcp dport vmap @ports\n }\n}\n"},
	{"nftables, a jump and a return", passed, "", nftablesOn + "-- etc/nftables.conf --\ntable ip filter {\n" +
		" chain deep {\n  tcp dport 4172 return\n  drop\n }\n chain input {\n" +
		"  type filter hook input priority 0; policy accept;\n  tcp dport 4172 jump deep\n }\n}\n"},
	{"nftables, a goto", warning, "TCP 4172", nftablesOn + "-- etc/nftables.conf --\ntable ip filter {\n chain deep {\n" +
		"  tcp dport 22 accept\n }\n chain input {\n  type filter hook input priority 0; policy drop;\n" +
		"  tcp dport 4172 goto deep\n  accept\n }\n}\n"},
	{"nftables, two tables", warning, "UDP 4172", nftablesOn + "-- etc/nftables.conf --\ntable ip a {\n" +
		" chain i { type filter hook input priority 0; policy accept; }\n}\ntable inet b {\n" +
		" chain pre { type filter hook prerouting priority -300; policy accept; udp dport 4172 drop; }\n}\n"},
	{"nftables, IPv6 alone", passed, "",
		nftablesOn + "-- etc/nftables.conf --\ntable ip6 a {\n" +
			" chain i { type filter hook input priority 0; policy drop; }\n}\n"},
	{"nftables, a dormant table", passed, "", nftablesOn + "-- etc/nftables.conf --\ntable ip a {\n flags dormant\n" +
		" chain i { type filter hook input priority 0; policy drop; }\n}\n"},
	{"nftables, forwarding alone", passed, "",
		nftablesOn + "-- etc/nftables.conf --\ntable ip a {\n" +
			" chain f { type filter hook forward priority 0; policy drop; }\n}\n"},
	{"nftables, of one interface", passed, "", nftablesOn + "-- etc/nftables.conf --\ntable inet filter {\n" +
		" chain input {\n  type filter hook input priority filter; policy accept;\n  iifname \"docker0\" drop\n }\n}\n"},
	{"nftables, of the first interface", warning, "", nftablesOn + "-- etc/nftables.conf --\ntable inet filter {\n" +
		" chain input {\n  type filter hook input priority filter; policy accept;\n  iifname \"ens5\" drop\n }\n}\n"},
	{"nftables, a private source", undetermined, "source", nftablesOn + "-- etc/nftables.conf --\ntable inet filter {\n" +
		" chain input {\n  type filter hook input priority filter; policy drop;\n  ip saddr 10.0.0.0/8 accept\n }\n}\n"},
	{"nftables, a source that is none of it", passed, "", nftablesOn + "-- etc/nftables.conf --\ntable inet filter {\n" +
		" chain input {\n  type filter hook input priority filter; policy accept;\n  ip saddr 203.0.113.0/24 drop\n }\n}\n"},
	{"nftables, a redirection", undetermined, "", nftablesOn + "-- etc/nftables.conf --\ntable inet filter {\n" +
		" chain input {\n  type filter hook input priority filter; policy accept;\n }\n chain n {\n" +
		"  type nat hook prerouting priority -100;\n  tcp dport 4172 redirect to :80\n }\n}\n"},
	{"nftables, what is not known", undetermined, "", nftablesOn + "-- etc/nftables.conf --\ntable inet filter {\n" +
		" chain input {\n  type filter hook input priority filter; policy accept;\n  socket transparent 1 drop\n }\n}\n"},
	{"nftables, variables", passed, "", nftablesOn + "-- etc/nftables.conf --\ndefine ports = { 4172,\n 8200 }\n" +
		"table inet filter {\n chain input {\n  type filter hook input priority filter; policy drop;\n" +
		"  meta l4proto { tcp, udp } th dport $ports accept\n }\n}\n"},
	{"nftables, a variable that is not there", undetermined, "", nftablesOn + "-- etc/nftables.conf --\n" +
		"table inet filter {\n chain input {\n  type filter hook input priority filter; policy drop;\n" +
		"  tcp dport $ports accept\n }\n}\n"},
	{"nftables, what it includes", warning, "TCP 4172", nftablesOn + "-- etc/nftables.conf --\n" +
		"include \"/etc/nftables.d/*.nft\"\n-- etc/nftables.d/a.nft --\ntable inet filter {\n chain input {\n" +
		"  type filter hook input priority filter; policy drop;\n  tcp dport 8200 accept\n }\n}\n" +
		"-- etc/nftables.d/b.txt --\nx\n"},
	{"nftables, what it includes opens", passed, "", nftablesOn + "-- etc/nftables.conf --\n" +
		"include \"/etc/nftables.d/*.nft\"\ninclude \"nftables.e/x\"\n\n-- etc/nftables.d/a.nft --\ntable inet filter {\n" +
		" chain input {\n  type filter hook input priority filter; policy drop;\n  tcp dport 8200 accept\n }\n}\n" +
		"-- etc/nftables.e/x --\nadd rule inet filter input meta l4proto { tcp, udp } th dport 4172 accept\n"},
	{"nftables, what it includes is not there", undetermined, "does not exist",
		nftablesOn + "-- etc/nftables.conf --\ninclude \"/etc/nftables.d/x.nft\"\n\n"},
	{"nftables, commands", warning, "TCP 4172", nftablesOn + "-- etc/nftables.conf --\nadd table inet f\n" +
		"add chain inet f i { type filter hook input priority 0 ; policy accept ; }\n" +
		"add rule inet f i tcp dport 4172 reject with tcp reset\n\n"},
	{"nftables, an inserted rule", passed, "", nftablesOn + "-- etc/nftables.conf --\nadd table inet f\n" +
		"add chain inet f i { type filter hook input priority 0 ; policy accept ; }\nadd rule inet f i drop\n" +
		"insert rule inet f i accept\n\n"},
	{"nftables, a table that is deleted", passed, "no firewall",
		nftablesOn + "-- etc/nftables.conf --\ntable inet f\ndelete table inet f\n\n"},
	{"nftables, limits", passed, "", nftablesOn + "-- etc/nftables.conf --\ntable inet filter {\n chain input {\n" +
		"  type filter hook input priority filter; policy drop;\n" +
		"  tcp flags & (fin|syn|rst|ack) == syn limit rate 10/second burst 5 packets accept\n" +
		"  meta l4proto { tcp, udp } th dport { 4172, 8200 } limit rate 10/minute accept\n }\n}\n"},
	{"nftables, a statement that is not known", undetermined, "",
		nftablesOn + "-- etc/nftables.conf --\nfrobnicate table x\n\n"},
	{"nftables, comments alone", passed, "no firewall", nftablesOn + "-- etc/nftables.conf --\n# nothing\n\n"},
	{"nftables by a command of its own", undetermined, "x.sh", nftablesOn + "-- usr/lib/systemd/system/nftables.service " +
		"--\n[Service]\nExecStart=/opt/x.sh\n[Install]\nWantedBy=x\n-- opt/x.sh --\nx\n"},
	{"nftables by another file", warning, "TCP 4172", nftablesOn + "-- usr/lib/systemd/system/nftables.service --\n" +
		"[Service]\nExecStart=/usr/sbin/nft -f /etc/other.nft\n[Install]\nWantedBy=x\n-- etc/other.nft --\n" +
		"table inet f { chain i { type filter hook input priority 0; policy drop; } }\n"},
	{"firewalld, the interface is in another zone", warning, "zone drop",
		firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
			"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
			"protocol=\"tcp\"/></zone>\n-- etc/firewalld/zones/drop.xml --\n" +
			"<zone target=\"DROP\"><interface name=\"ens5\"/></zone>\n"},
	{"firewalld, the interface is in an open zone", passed, "zone trusted",
		firewalldOn + "-- etc/firewalld/zones/public.xml --\n<zone></zone>\n-- etc/firewalld/zones/trusted.xml --\n" +
			"<zone target=\"ACCEPT\"><interface name=\"ens5\"/></zone>\n"},
	{"firewalld, another interface is in another zone", passed, "zone public",
		firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
			"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
			"protocol=\"tcp\"/></zone>\n-- etc/firewalld/zones/drop.xml --\n" +
			"<zone target=\"DROP\"><interface name=\"ens6\"/></zone>\n"},
	{"firewalld, a pattern of interfaces", warning, "zone drop", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/zones/drop.xml --\n" +
		"<zone target=\"DROP\"><interface name=\"ens+\"/></zone>\n"},
	{"firewalld, the connection names a zone", warning, "zone drop", firewalldOn + "-- etc/firewalld/zones/public.xml " +
		"--\n<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/zones/drop.xml --\n<zone target=\"DROP\"/>\n" +
		"-- etc/NetworkManager/system-connections/a.nmconnection --\n[connection]\nid=a\ntype=ethernet\n" +
		"interface-name=ens5\nzone=drop\n[ipv4]\nmethod=auto\n"},
	{"firewalld, ifcfg names a zone", warning, "zone drop", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/zones/drop.xml --\n<zone target=\"DROP\"/>\n" +
		"-- etc/sysconfig/network-scripts/ifcfg-eth0 --\nDEVICE=eth0\nBOOTPROTO=dhcp\nZONE=drop\n"},
	{"firewalld, everything comes from a zone of sources", warning, "TCP 8200",
		firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
			"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
			"protocol=\"tcp\"/></zone>\n-- etc/firewalld/zones/drop.xml --\n" +
			"<zone target=\"DROP\"><source address=\"0.0.0.0/0\"/></zone>\n"},
	{"firewalld, a private source is in a zone that drops", undetermined, "",
		firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
			"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
			"protocol=\"tcp\"/></zone>\n-- etc/firewalld/zones/drop.xml --\n" +
			"<zone target=\"DROP\"><source address=\"10.0.0.0/8\"/></zone>\n"},
	{"firewalld, a public source is in a zone that drops", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml " +
		"--\n<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/zones/drop.xml --\n" +
		"<zone target=\"DROP\"><source address=\"203.0.113.0/24\"/></zone>\n"},
	{"firewalld, a set of sources", undetermined, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/zones/drop.xml --\n" +
		"<zone target=\"DROP\"><source ipset=\"bad\"/></zone>\n"},
	{"firewalld, an included service", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><service name=\"a\"/></zone>\n-- etc/firewalld/services/a.xml --\n" +
		"<service><include service=\"b\"/></service>\n-- usr/lib/firewalld/services/b.xml --\n" +
		"<service><include service=\"a\"/><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" " +
		"protocol=\"udp\"/><port port=\"8200\" protocol=\"tcp\"/></service>\n"},
	{"firewalld, an included service that is not there", warning, "TCP 4172",
		firewalldOn + "-- etc/firewalld/zones/public.xml --\n<zone><service name=\"a\"/></zone>\n" +
			"-- etc/firewalld/services/a.xml --\n<service><include service=\"b\"/></service>\n"},
	{"firewalld, a service that is damaged", undetermined, "a.xml", firewalldOn + "-- etc/firewalld/zones/public.xml " +
		"--\n<zone><service name=\"a\"/></zone>\n-- etc/firewalld/services/a.xml --\n<service>\n"},
	{"firewalld, a service of the administrator", warning, "TCP 4172", firewalldOn + "-- etc/firewalld/zones/public.xml " +
		"--\n<zone><service name=\"a\"/></zone>\n-- etc/firewalld/services/a.xml --\n<service/>\n" +
		"-- usr/lib/firewalld/services/a.xml --\n" +
		"<service><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></service>\n"},
	{"firewalld, protocols", passed, "",
		firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
			"<zone><protocol value=\"tcp\"/><protocol value=\"udp\"/></zone>\n"},
	{"firewalld, a range", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4000-9000\" protocol=\"tcp\"/><port port=\"4172-4172\" protocol=\"udp\"/></zone>\n"},
	{"firewalld, a rich rule that rejects", warning, "TCP 4172", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/><rule family=\"ipv4\"><port port=\"4172\" protocol=\"tcp\"/><reject/></rule></zone>\n"},
	{"firewalld, a rich rule of IPv6", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/><rule family=\"ipv6\"><port port=\"4172\" protocol=\"tcp\"/><reject/></rule></zone>\n"},
	{"firewalld, a rich rule of a public source", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/><rule family=\"ipv4\"><source address=\"203.0.113.9\"/><drop/></rule></zone>\n"},
	{"firewalld, a rich rule of a private source", undetermined, "source",
		firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
			"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
			"protocol=\"tcp\"/><rule family=\"ipv4\"><source address=\"192.168.0.0/16\"/><drop/></rule></zone>\n"},
	{"firewalld, a rich rule of all other sources", undetermined, "", firewalldOn + "-- etc/firewalld/zones/public.xml " +
		"--\n<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/><rule family=\"ipv4\">" +
		"<source address=\"192.168.0.0/16\" invert=\"True\"/><drop/></rule></zone>\n"},
	{"firewalld, rich rules that accept", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><rule><service name=\"a\"/><accept/></rule></zone>\n-- etc/firewalld/services/a.xml --\n" +
		"<service><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></service>\n"},
	{"firewalld, a rich rule before others", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/><rule priority=\"-5\"><protocol value=\"tcp\"/><accept/></rule><rule priority=\"-5\"><protocol " +
		"value=\"udp\"/><accept/></rule><rule><port port=\"4172\" protocol=\"tcp\"/><drop/></rule></zone>\n"},
	{"firewalld, a rich rule after others", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/><rule priority=\"5\"><port port=\"4172\" protocol=\"tcp\"/><drop/></rule></zone>\n"},
	{"firewalld, a rich rule that logs", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/><rule><port port=\"4172\" protocol=\"tcp\"/><log prefix=\"x\"/></rule></zone>\n"},
	{"firewalld, a port that goes elsewhere", undetermined, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/><forward-port port=\"4172\" protocol=\"tcp\" to-port=\"80\"/></zone>\n"},
	{"firewalld, a policy that drops", warning, "UDP 4172", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/policies/p.xml --\n" +
		"<policy target=\"CONTINUE\"><ingress-zone name=\"ANY\"/><egress-zone name=\"HOST\"/><rule><port port=\"4172\" " +
		"protocol=\"udp\"/><drop/></rule></policy>\n"},
	{"firewalld, a policy that accepts", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone></zone>\n-- etc/firewalld/policies/p.xml --\n" +
		"<policy target=\"ACCEPT\" priority=\"-10\"><ingress-zone name=\"public\"/><egress-zone name=\"HOST\"/></policy>\n"},
	{"firewalld, a policy that comes too late", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/policies/p.xml --\n" +
		"<policy target=\"DROP\" priority=\"10\"><ingress-zone name=\"public\"/><egress-zone name=\"HOST\"/></policy>\n"},
	{"firewalld, a policy of another zone", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/policies/p.xml --\n" +
		"<policy target=\"DROP\"><ingress-zone name=\"home\"/><egress-zone name=\"HOST\"/></policy>\n"},
	{"firewalld, a policy of what goes through", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/policies/p.xml --\n" +
		"<policy target=\"DROP\"><ingress-zone name=\"ANY\"/><egress-zone name=\"ANY\"/></policy>\n"},
	{"firewalld, a direct rule that drops", warning, "TCP 8200", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/direct.xml --\n" +
		"<direct><rule ipv=\"ipv4\" table=\"filter\" chain=\"INPUT\" priority=\"0\">-p tcp --dport 8200 -j " +
		"DROP</rule></direct>\n"},
	{"firewalld, a direct rule that accepts, by iptables", passed, "", firewalldOn + "-- etc/firewalld/firewalld.conf " +
		"--\nFirewallBackend=iptables\n-- etc/firewalld/zones/public.xml --\n<zone></zone>\n" +
		"-- etc/firewalld/direct.xml --\n" +
		"<direct><rule ipv=\"ipv4\" table=\"filter\" chain=\"INPUT\" priority=\"0\">-j ACCEPT</rule></direct>\n"},
	{"firewalld, a direct rule that accepts, by nftables", warning, "TCP 8200",
		firewalldOn + "-- etc/firewalld/firewalld.conf --\nFirewallBackend=nftables\n" +
			"-- etc/firewalld/zones/public.xml --\n<zone></zone>\n-- etc/firewalld/direct.xml --\n" +
			"<direct><rule ipv=\"ipv4\" table=\"filter\" chain=\"INPUT\" priority=\"0\">-j ACCEPT</rule></direct>\n"},
	{"firewalld, a direct rule that accepts, by either", undetermined, "",
		firewalldOn + "-- etc/firewalld/zones/public.xml --\n<zone></zone>\n-- etc/firewalld/direct.xml --\n" +
			"<direct><rule ipv=\"ipv4\" table=\"filter\" chain=\"INPUT\" priority=\"0\">-j ACCEPT</rule></direct>\n"},
	{"firewalld, a direct rule of IPv6", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/direct.xml --\n" +
		"<direct><rule ipv=\"ipv6\" table=\"filter\" chain=\"INPUT\" priority=\"0\">-j DROP</rule></direct>\n"},
	{"firewalld, direct rules by priority", passed, "", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/direct.xml --\n" +
		"<direct><rule ipv=\"ipv4\" table=\"filter\" chain=\"INPUT\" priority=\"9\">-j DROP</rule><rule ipv=\"ipv4\" " +
		"table=\"filter\" chain=\"INPUT\" priority=\"1\">-p tcp -j ACCEPT</rule><rule ipv=\"ipv4\" table=\"filter\" " +
		"chain=\"INPUT\" priority=\"1\">-p udp -j ACCEPT</rule></direct>\n"},
	{"firewalld, a passthrough", warning, "UDP 4172", firewalldOn + "-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n-- etc/firewalld/direct.xml --\n" +
		"<direct><passthrough ipv=\"ipv4\">-I INPUT -p udp --dport 4172 -j DROP</passthrough></direct>\n"},
	{"firewalld, a default zone that is not there", passed, "zone public",
		firewalldOn + "-- etc/firewalld/firewalld.conf --\nDefaultZone=gone\n-- etc/firewalld/zones/public.xml --\n" +
			"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
			"protocol=\"tcp\"/></zone>\n"},
	{"firewalld, a zone with a comment", passed, "", firewalldOn + "-- etc/firewalld/firewalld.conf --\n" +
		"# DefaultZone=drop\nDefaultZone=public\n-- etc/firewalld/zones/public.xml --\n" +
		"<zone><port port=\"4172\" protocol=\"tcp\"/><port port=\"4172\" protocol=\"udp\"/><port port=\"8200\" " +
		"protocol=\"tcp\"/></zone>\n"},
	{"iptables, accepts a private source alone", undetermined, "source",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT DROP [0:0]\n" +
			"-A INPUT -s 172.31.0.0/16 -j ACCEPT\nCOMMIT\n"},
	{"iptables, accepts everything", passed, "",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT DROP [0:0]\n-A INPUT -s 0.0.0.0/0 -j ACCEPT\nCOMMIT\n"},
	{"iptables, drops a private source", undetermined, "",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -s 10.0.0.0/8 -j DROP\nCOMMIT\n"},
	{"iptables, drops on another interface", passed, "",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i ens6 -j DROP\nCOMMIT\n"},
	{"iptables, drops on the first interface", warning, "",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -i ens5 -p tcp -j DROP\nCOMMIT\n"},
	{"iptables, drops but on the loopback", warning, "",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT ! -i lo -j DROP\nCOMMIT\n"},
	{"iptables, limits", passed, "", iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n" +
		"-A INPUT -p tcp --dport 4172 -m connlimit --connlimit-above 20 -j REJECT\n" +
		"-A INPUT -p tcp --syn -m recent --update --seconds 30 --hitcount 6 --name x --rsource -j DROP\nCOMMIT\n"},
	{"iptables, invalid packets", passed, "", iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n" +
		"-A INPUT -m conntrack --ctstate INVALID -j DROP\n-A INPUT -p tcp ! --syn -m state --state NEW -j DROP\n" +
		"-A INPUT -p tcp -m tcp --tcp-flags FIN,SYN FIN,SYN -j DROP\nCOMMIT\n"},
	{"iptables, drops in another table", warning, "UDP 4172", iptablesOn + "-- etc/iptables/rules.v4 --\n*raw\n" +
		":PREROUTING ACCEPT [0:0]\n-A PREROUTING -p udp --dport 4172 -j DROP\nCOMMIT\n" +
		"*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"},
	{"iptables, redirects", undetermined, "", iptablesOn + "-- etc/iptables/rules.v4 --\n*nat\n" +
		":PREROUTING ACCEPT [0:0]\n-A PREROUTING -p tcp --dport 4172 -j REDIRECT --to-ports 80\nCOMMIT\n*filter\n" +
		":INPUT ACCEPT [0:0]\nCOMMIT\n"},
	{"iptables, a set of addresses", undetermined, "",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n" +
			"-A INPUT -m set --match-set bad src -j DROP\nCOMMIT\n"},
	{"iptables, counters", warning, "TCP 4172", iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n" +
		":INPUT ACCEPT [0:0]\n[12:34] -A INPUT -p tcp -m tcp --dport 4172 -j DROP\nCOMMIT\n"},
	{"iptables, without COMMIT", undetermined, "COMMIT",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT DROP [0:0]\n"},
	{"iptables, a chain that is not there", undetermined, "",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j gone\nCOMMIT\n"},
	{"iptables, a port by its name", warning, "TCP 4172",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport pcoip -j DROP\n" +
			"COMMIT\n"},
	{"iptables, an open range", warning, "TCP 8200",
		iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -p tcp --dport 8000: -j DROP\n" +
			"COMMIT\n"},
	{"iptables, several ports and ranges", warning, "TCP 4172", iptablesOn + "-- etc/iptables/rules.v4 --\n*filter\n" +
		":INPUT ACCEPT [0:0]\n-A INPUT -p tcp -m multiport --dports 22,4100:4200 -j DROP\nCOMMIT\n"},
	{"a unit of its own, restores what drops", warning, "own.service", "-- etc/systemd/system/own.service --\n" +
		"[Service]\nType=oneshot\nExecStart=/usr/sbin/iptables-restore /etc/own.rules\n[Install]\n" +
		"WantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/own.service -> ../own.service\n-- usr/sbin/iptables --\nx\n" +
		"-- usr/sbin/iptables-restore --\nx\n-- usr/sbin/nft --\nx\n-- usr/bin/sh --\nx\n-- etc/own.rules --\n*filter\n" +
		":INPUT DROP [0:0]\nCOMMIT\n"},
	{"a unit of its own, restores what accepts", passed, "own.service", "-- etc/systemd/system/own.service --\n" +
		"[Service]\nType=oneshot\nExecStart=/usr/sbin/iptables-restore -n /etc/own.rules\n[Install]\n" +
		"WantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/own.service -> ../own.service\n-- usr/sbin/iptables --\nx\n" +
		"-- usr/sbin/iptables-restore --\nx\n-- usr/sbin/nft --\nx\n-- usr/bin/sh --\nx\n-- etc/own.rules --\n*filter\n" +
		":INPUT ACCEPT [0:0]\nCOMMIT\n"},
	{"a unit of its own, restores by a shell", warning, "own.service", "-- etc/systemd/system/own.service --\n" +
		"[Service]\nType=oneshot\nExecStart=/usr/bin/sh -c \"iptables-restore </etc/own.rules\"\n[Install]\n" +
		"WantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/own.service -> ../own.service\n-- usr/sbin/iptables --\nx\n" +
		"-- usr/sbin/iptables-restore --\nx\n-- usr/sbin/nft --\nx\n-- usr/bin/sh --\nx\n-- etc/own.rules --\n*filter\n" +
		":INPUT DROP [0:0]\nCOMMIT\n"},
	{"a unit of its own, several commands of a shell", undetermined, "several", "-- etc/systemd/system/own.service --\n" +
		"[Service]\nType=oneshot\nExecStart=/usr/bin/sh -c \"iptables -F; iptables -P INPUT DROP\"\n[Install]\n" +
		"WantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/own.service -> ../own.service\n-- usr/sbin/iptables --\nx\n" +
		"-- usr/sbin/iptables-restore --\nx\n-- usr/sbin/nft --\nx\n-- usr/bin/sh --\nx\n"},
	{"a unit of its own, commands", warning, "TCP 8200", "-- etc/systemd/system/own.service --\n[Service]\n" +
		"Type=oneshot\nExecStart=/usr/sbin/iptables -w -A INPUT -p tcp --dport 8200 -j DROP\n[Install]\n" +
		"WantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/own.service -> ../own.service\n-- usr/sbin/iptables --\nx\n" +
		"-- usr/sbin/iptables-restore --\nx\n-- usr/sbin/nft --\nx\n-- usr/bin/sh --\nx\n"},
	{"a unit of its own, a file of nft", warning, "TCP 4172", "-- etc/systemd/system/own.service --\n[Service]\n" +
		"Type=oneshot\nExecStart=/usr/sbin/nft -f /etc/own.nft\n[Install]\nWantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/own.service -> ../own.service\n-- usr/sbin/iptables --\nx\n" +
		"-- usr/sbin/iptables-restore --\nx\n-- usr/sbin/nft --\nx\n-- usr/bin/sh --\nx\n-- etc/own.nft --\ntable ip f {\n" +
		" chain i {\n type filter hook input priority 0; policy drop;\n }\n}\n"},
	{"a unit of its own, nothing", passed, "no firewall", "-- etc/systemd/system/own.service --\n[Service]\n" +
		"Type=oneshot\nExecStart=/usr/sbin/pcoip-agent\n[Install]\nWantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/own.service -> ../own.service\n-- usr/sbin/iptables --\nx\n" +
		"-- usr/sbin/iptables-restore --\nx\n-- usr/sbin/nft --\nx\n-- usr/bin/sh --\nx\n"},
	{"a script of its own, that drops", undetermined, "own.sh", "-- etc/systemd/system/own.service --\n[Service]\n" +
		"Type=oneshot\nExecStart=/usr/sbin/own.sh start\n[Install]\nWantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/own.service -> ../own.service\n-- usr/sbin/own.sh --\n#!/bin/sh\n" +
		"IPT=/sbin/iptables\n$IPT -P INPUT DROP\n"},
	{"a script of its own, that loads a file", undetermined, "own.sh", "-- etc/systemd/system/own.service --\n" +
		"[Service]\nType=oneshot\nExecStart=/usr/sbin/own.sh start\n[Install]\nWantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/own.service -> ../own.service\n-- usr/sbin/own.sh --\n#!/bin/sh\n" +
		"nft -f /etc/own.nft\n"},
	{"a script of its own, that says so in a comment", passed, "no firewall", "-- etc/systemd/system/own.service --\n" +
		"[Service]\nType=oneshot\nExecStart=/usr/sbin/own.sh start\n[Install]\nWantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/own.service -> ../own.service\n-- usr/sbin/own.sh --\n#!/bin/sh\n" +
		"# iptables -P INPUT DROP\necho\n"},
	{"a script of its own, that lets in", passed, "no firewall", "-- etc/systemd/system/own.service --\n[Service]\n" +
		"Type=oneshot\nExecStart=/usr/sbin/own.sh start\n[Install]\nWantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/own.service -> ../own.service\n-- usr/sbin/own.sh --\n#!/bin/sh\n" +
		"iptables -A INPUT -j ACCEPT\n"},
	{"a firewall that is not read", undetermined, "shorewall", "-- usr/lib/systemd/system/shorewall.service --\n" +
		"[Service]\nExecStart=/usr/sbin/pcoip-agent\n[Install]\nWantedBy=multi-user.target\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/shorewall.service -> /usr/lib/systemd/system/shorewall.service\n"},
	{"ufw, open", passed, "", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=yes\n-- etc/default/ufw --\n" +
		"DEFAULT_INPUT_POLICY=\"DROP\"\n-- etc/ufw/user.rules --\n*filter\n:ufw-user-input - [0:0]\n" +
		"-A ufw-user-input -p tcp --dport 8200 -j ACCEPT\n" +
		"-A ufw-user-input -p tcp -m multiport --dports 4172,4195 -j ACCEPT\n" +
		"-A ufw-user-input -p udp --dport 4172 -j ACCEPT\nCOMMIT\n"},
	{"ufw, rejects", warning, "", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=yes\n-- etc/default/ufw --\n" +
		"DEFAULT_INPUT_POLICY=\"REJECT\"\n-- etc/ufw/user.rules --\n*filter\n:ufw-user-input - [0:0]\nCOMMIT\n"},
	{"ufw, accepts", passed, "", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=yes\n-- etc/default/ufw --\n" +
		"DEFAULT_INPUT_POLICY=\"ACCEPT\"\n-- etc/ufw/user.rules --\n*filter\n:ufw-user-input - [0:0]\nCOMMIT\n"},
	{"ufw, accepts but for one", warning, "TCP 4172", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=yes\n" +
		"-- etc/default/ufw --\nDEFAULT_INPUT_POLICY=\"ACCEPT\"\n-- etc/ufw/user.rules --\n*filter\n" +
		":ufw-user-input - [0:0]\n-A ufw-user-input -p tcp --dport 4172 -j REJECT --reject-with tcp-reset\nCOMMIT\n"},
	{"ufw, before.rules drop", warning, "TCP 8200", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=yes\n" +
		"-- etc/default/ufw --\nDEFAULT_INPUT_POLICY=\"DROP\"\n-- etc/ufw/user.rules --\n*filter\n" +
		":ufw-user-input - [0:0]\n-A ufw-user-input -p tcp --dport 8200 -j ACCEPT\n" +
		"-A ufw-user-input -p tcp -m multiport --dports 4172,4195 -j ACCEPT\n" +
		"-A ufw-user-input -p udp --dport 4172 -j ACCEPT\nCOMMIT\n-- etc/ufw/before.rules --\n*filter\n" +
		":ufw-before-input - [0:0]\n:ufw-not-local - [0:0]\n-A ufw-before-input -p tcp --dport 8200 -j DROP\nCOMMIT\n"},
	{"ufw, before.rules let in", passed, "", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=yes\n-- etc/default/ufw --\n" +
		"DEFAULT_INPUT_POLICY=\"DROP\"\n-- etc/ufw/user.rules --\n*filter\n:ufw-user-input - [0:0]\nCOMMIT\n" +
		"-- etc/ufw/before.rules --\n*filter\n:ufw-before-input - [0:0]\n:ufw-not-local - [0:0]\n" +
		"-A ufw-before-input -p tcp -j ACCEPT\n-A ufw-before-input -p udp -j ACCEPT\nCOMMIT\n"},
	{"ufw, before.rules as they come", passed, "", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=yes\n" +
		"-- etc/default/ufw --\nDEFAULT_INPUT_POLICY=\"DROP\"\n-- etc/ufw/user.rules --\n*filter\n" +
		":ufw-user-input - [0:0]\n-A ufw-user-input -p tcp --dport 8200 -j ACCEPT\n" +
		"-A ufw-user-input -p tcp -m multiport --dports 4172,4195 -j ACCEPT\n" +
		"-A ufw-user-input -p udp --dport 4172 -j ACCEPT\nCOMMIT\n-- etc/ufw/before.rules --\n*filter\n" +
		":ufw-before-input - [0:0]\n:ufw-not-local - [0:0]\n-A ufw-before-input -i lo -j ACCEPT\n" +
		"-A ufw-before-input -m conntrack --ctstate INVALID -j ufw-logging-deny\n" +
		"-A ufw-before-input -m conntrack --ctstate INVALID -j DROP\n" +
		"-A ufw-before-input -p udp --sport 67 --dport 68 -j ACCEPT\n-A ufw-before-input -j ufw-not-local\n" +
		"-A ufw-not-local -m addrtype --dst-type LOCAL -j RETURN\n" +
		"-A ufw-not-local -m limit --limit 3/min --limit-burst 10 -j ufw-logging-deny\n-A ufw-not-local -j DROP\nCOMMIT\n"},
	{"ufw, limited", passed, "", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=yes\n-- etc/default/ufw --\n" +
		"DEFAULT_INPUT_POLICY=\"DROP\"\n-- etc/ufw/user.rules --\n*filter\n:ufw-user-input - [0:0]\n" +
		"-A ufw-user-input -p tcp --dport 8200 -m conntrack --ctstate NEW -m recent --set\n" +
		"-A ufw-user-input -p tcp --dport 8200 -m conntrack --ctstate NEW -m recent --update --seconds 30 --hitcount 6 -j " +
		"ufw-user-limit\n-A ufw-user-input -p tcp --dport 8200 -j ufw-user-limit-accept\n" +
		"-A ufw-user-input -p tcp -m multiport --dports 4172,4195 -j ACCEPT\n" +
		"-A ufw-user-input -p udp --dport 4172 -j ACCEPT\n-A ufw-user-limit -j REJECT\n" +
		"-A ufw-user-limit-accept -j ACCEPT\nCOMMIT\n"},
	{"ufw, after.rules let in", passed, "", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=yes\n-- etc/default/ufw --\n" +
		"DEFAULT_INPUT_POLICY=\"DROP\"\n-- etc/ufw/user.rules --\n*filter\n:ufw-user-input - [0:0]\nCOMMIT\n" +
		"-- etc/ufw/after.rules --\n*filter\n:ufw-after-input - [0:0]\n-A ufw-after-input -j ACCEPT\nCOMMIT\n"},
	{"ufw, from a private source", undetermined, "source", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=yes\n" +
		"-- etc/default/ufw --\nDEFAULT_INPUT_POLICY=\"DROP\"\n-- etc/ufw/user.rules --\n*filter\n" +
		":ufw-user-input - [0:0]\n-A ufw-user-input -p tcp -s 10.0.0.0/8 -j ACCEPT\n" +
		"-A ufw-user-input -p udp -s 10.0.0.0/8 -j ACCEPT\nCOMMIT\n"},
	{"ufw", warning, "ufw", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=yes\n-- etc/ufw/user.rules --\n*filter\n" +
		"-A ufw-user-input -p tcp --dport 8200 -j ACCEPT\nCOMMIT\n"},
	{"ufw, off", passed, "no firewall", ufwOn + "-- etc/ufw/ufw.conf --\nENABLED=no\n"},
}

const (
	firewalldOn = "-- usr/lib/systemd/system/firewalld.service --\n[Service]\nExecStart=/usr/sbin/pcoip-agent\n" +
		"[Install]\nWantedBy=x\n-- links --\netc/systemd/system/multi-user.target.wants/firewalld.service -> /x\n"
	iptablesOn = "-- usr/lib/systemd/system/netfilter-persistent.service --\n[Service]\n" +
		"ExecStart=/usr/sbin/pcoip-agent\n[Install]\nWantedBy=x\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/netfilter-persistent.service -> /x\n"
	ufwOn = "-- usr/lib/systemd/system/ufw.service --\n[Service]\nExecStart=/usr/sbin/pcoip-agent\n[Install]\n" +
		"WantedBy=x\n-- etc/default/ufw --\nDEFAULT_INPUT_POLICY=\"DROP\"\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/ufw.service -> /x\n"
	nftablesOn = "-- usr/sbin/nft --\nx\n-- usr/lib/systemd/system/nftables.service --\n[Service]\n" +
		"ExecStart=/usr/sbin/nft -f /etc/nftables.conf\n[Install]\nWantedBy=x\n-- links --\n" +
		"etc/systemd/system/sysinit.target.wants/nftables.service -> /x\n"
)
