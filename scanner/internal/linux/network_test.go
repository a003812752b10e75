package linux

import (
	"testing"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// TestNetwork says what a change of the ready machine makes of linux.bp.network.
func TestNetwork(t *testing.T) {
	t.Parallel()
	const (
		passed, warning, undetermined = requirement.Passed, requirement.Warning, requirement.Undetermined
	)
	for _, c := range []struct {
		name    string
		want    requirement.Status
		says    string
		changes string
	}{
		{"ifcfg with DHCP", passed, "", "-- etc/sysconfig/network-scripts/ifcfg-eth0 --\nBOOTPROTO=dhcp\nIPADDR=10.0.0.9\n"},
		{"ifcfg without", warning, "10.0.0.9",
			"-- etc/sysconfig/network-scripts/ifcfg-eth1 --\nBOOTPROTO=none\nIPADDR=10.0.0.9\n"},
		{"ifcfg of the loopback", passed, "", "-- etc/sysconfig/network-scripts/ifcfg-lo --\nIPADDR=127.0.0.1\n"},
		{"a keyfile", warning, "10.0.0.9/24", "-- etc/NetworkManager/system-connections/wired.nmconnection --\n" +
			"[connection]\nid=wired\n[ipv4]\nmethod=manual\naddress1=10.0.0.9/24,10.0.0.1\n"},
		{"a keyfile of IPv6", warning, "fd00::9/64", "-- usr/lib/NetworkManager/system-connections/wired.nmconnection --\n" +
			"[connection]\nid=wired\n[ipv4]\nmethod=auto\n[ipv6]\nmethod=manual\naddress1=fd00::9/64\n"},
		{"a keyfile of the administrator goes first", passed, "",
			"-- usr/lib/NetworkManager/system-connections/a.nmconnection --\n[connection]\nid=a\n[ipv4]\nmethod=manual\n" +
				"-- etc/NetworkManager/system-connections/a.nmconnection --\n[connection]\nid=a\n[ipv4]\nmethod=auto\n"},
		{"ifcfg that was kept", passed, "",
			"-- etc/sysconfig/network-scripts/ifcfg-eth1.bak --\nBOOTPROTO=none\nIPADDR=10.0.0.9\n"},
		{"netplan of the distribution", warning, "10.0.0.9/24",
			"-- usr/lib/netplan/00-x.yaml --\nnetwork:\n  ethernets:\n    ens5: {addresses: [10.0.0.9/24]}\n"},
		{"netplan with a fixed address", warning, "10.0.0.9/24",
			"-- etc/netplan/60-x.yaml --\nnetwork:\n  ethernets:\n    ens5:\n      addresses: [10.0.0.9/24, 'fd00::9/64']\n"},
		{"netplan with a labelled address", warning, "10.0.0.9/24", "-- etc/netplan/60-x.yaml --\nnetwork:\n  ethernets:\n" +
			"    ens5:\n      addresses:\n      - 10.0.0.9/24:\n          label: a\n"},
		{"netplan with IPv6 alone", warning, "fd00::9/64",
			"-- etc/netplan/60-x.yaml --\nnetwork:\n  ethernets:\n    ens5:\n      addresses: ['fd00::9/64']\n"},
		{"netplan that is no YAML", undetermined, "60-x.yaml", "-- etc/netplan/60-x.yaml --\nnetwork: [\n"},
		{"networkd", warning, "10.0.0.9/24",
			"-- etc/systemd/network/10-eth.network --\n[Match]\nName=eth0\n[Network]\nAddress=10.0.0.9/24\n"},
		{"ifupdown that is not installed", passed, "ens5",
			"-- etc/network/interfaces --\nauto eth0\niface eth0 inet static\n  address 10.0.0.9\n"},
		{"ifupdown that is not enabled", passed, "ens5", "-- sbin/ifup --\nx\n-- usr/lib/systemd/system/networking.service " +
			"--\n[Service]\nExecStart=/usr/sbin/pcoip-agent\n[Install]\nWantedBy=x\n-- etc/network/interfaces --\nauto eth0\n" +
			"iface eth0 inet static\n  address 10.0.0.9\n"},
		{"ifupdown", warning, "10.0.0.9", ifupdownOn + "-- etc/network/interfaces --\nauto lo eth0 eth1\n" +
			"iface lo inet loopback\niface eth0 inet static\n  address 10.0.0.9\niface eth1 inet dhcp\n"},
		{"ifupdown with DHCP", passed, "eth1", ifupdownOn + "-- etc/network/interfaces --\nauto lo eth1\n" +
			"iface lo inet loopback\niface eth1 inet dhcp\niface eth1 inet6 auto\n"},
		{"ifupdown, by hand", passed, "",
			ifupdownOn + "-- etc/network/interfaces --\niface eth0 inet static\n  address 10.0.0.9\n"},
		{"ifupdown, of a pattern", warning, "10.0.0.9",
			ifupdownOn + "-- etc/network/interfaces --\nauto /eth*\niface eth0 inet static\n  address 10.0.0.9\n"},
		{"ifupdown, brought in", warning, "10.0.0.9", ifupdownOn + "-- etc/network/interfaces --\n" +
			"source /etc/network/interfaces.d/*\n-- etc/network/interfaces.d/eth0 --\nallow-hotplug eth0\n" +
			"iface eth0 inet static\n  address 10.0.0.9/24\n"},
		{"ifupdown, not brought in", passed, "", ifupdownOn + "-- etc/network/interfaces --\nauto lo\n" +
			"-- etc/network/interfaces.d/eth0 --\nauto eth0\niface eth0 inet static\n  address 10.0.0.9/24\n"},
		{"ifupdown, a folder", passed, "", ifupdownOn + "-- etc/network/interfaces --\nsource-directory interfaces.d\n" +
			"-- etc/network/interfaces.d/eth0.old --\nauto eth0\niface eth0 inet static\n  address 10.0.0.9/24\n"},
		{"ifupdown, manual", warning, "neither DHCP",
			ifupdownOn + "-- etc/network/interfaces --\nauto eth0\niface eth0 inet manual\n"},
		{"ifupdown, part of a bridge", passed, "",
			ifupdownOn + "-- etc/network/interfaces --\nauto eth0 br0\niface eth0 inet manual\niface br0 inet dhcp\n" +
				"  bridge_ports eth0\n"},
		{"ifupdown, a bridge of machines", passed, "",
			ifupdownOn + "-- etc/network/interfaces --\nauto br0\niface br0 inet static\n  address 10.9.0.1/24\n" +
				"  bridge_ports none\n"},
		{"ifupdown, a variable", undetermined, "", ifupdownOn + "-- etc/network/interfaces --\nsource $HOME/interfaces\n"},

		{"netplan without DHCP and address", warning, "neither DHCP",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {ens6: {optional: true}}}\n"},
		{"netplan with a quoted boolean", passed, "ens6",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {ens6: {dhcp4: \"true\"}}}\n"},
		{"netplan with a boolean of YAML 1.1", passed, "ens6",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {ens6: {dhcp4: On}}}\n"},
		{"netplan with a boolean that is off", warning, "ens6",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {ens6: {dhcp4: 'NO'}}}\n"},
		{"netplan with what is no boolean", undetermined, "maybe",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {ens6: {dhcp4: maybe}}}\n"},
		{"netplan with a number", undetermined, "",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {ens6: {dhcp4: 1}}}\n"},
		{"netplan with IPv6 by DHCP alone", warning, "ens6",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {ens6: {dhcp6: true}}}\n"},
		{"netplan, merged", passed, "", "-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {ens6: {optional: true}}}\n" +
			"-- etc/netplan/70-x.yaml --\nnetwork: {ethernets: {ens6: {dhcp4: yes}}}\n"},
		{"netplan, hidden by the same name", passed, "", "-- usr/lib/netplan/60-x.yaml --\n" +
			"network: {ethernets: {ens6: {addresses: [10.0.0.9/24]}}}\n-- etc/netplan/60-x.yaml --\n" +
			"network: {ethernets: {ens6: {dhcp4: yes}}}\n"},
		{"netplan, hidden by a link", passed, "", "-- usr/lib/netplan/60-x.yaml --\n" +
			"network: {ethernets: {ens6: {addresses: [10.0.0.9/24]}}}\n-- links --\netc/netplan/60-x.yaml -> /dev/null\n"},
		{"netplan, not a file of it", passed, "",
			"-- etc/netplan/60-x.yaml.bak --\nnetwork: {ethernets: {ens6: {addresses: [10.0.0.9/24]}}}\n"},
		{"netplan, an anchor", warning, "10.0.0.9/24",
			"-- etc/netplan/60-x.yaml --\nnetwork:\n  ethernets:\n    ens6: &x {addresses: [10.0.0.9/24]}\n    ens7: *x\n"},
		{"netplan, a match of names", passed, "all",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {all: {match: {name: 'en*'}, dhcp4: true}}}\n"},
		{"netplan, a match of no name", passed, "ens5",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {usb: {match: {name: 'usb*'}, addresses: [10.0.0.9/24]}}}\n"},
		{"netplan, a match of no driver", passed, "ens5",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {a: {match: {driver: vmxnet3}, addresses: [10.0.0.9/24]}}}\n"},
		{"netplan, a match of a driver", warning, "10.0.0.9/24", "-- etc/netplan/60-x.yaml --\n" +
			"network: {ethernets: {a: {match: {driver: [vmxnet3, ena]}, addresses: [10.0.0.9/24]}}}\n"},
		{"netplan, a bond", passed, "bond0", "-- etc/netplan/60-x.yaml --\n" +
			"network: {ethernets: {ens6: {}}, bonds: {bond0: {interfaces: [ens6], dhcp4: true}}}\n"},
		{"netplan, a bond with an address", warning, "bond0", "-- etc/netplan/60-x.yaml --\n" +
			"network: {ethernets: {ens6: {}}, bonds: {bond0: {interfaces: [ens6], addresses: [10.0.0.9/24]}}}\n"},
		{"netplan, a bridge of containers", passed, "ens5",
			"-- etc/netplan/60-x.yaml --\nnetwork: {bridges: {br0: {addresses: [10.0.0.9/24]}}}\n"},
		{"netplan, a bridge of the instance", warning, "br0", "-- etc/netplan/60-x.yaml --\n" +
			"network: {ethernets: {ens6: {}}, bridges: {br0: {interfaces: [ens6], addresses: [10.0.0.9/24]}}}\n"},
		{"netplan, a vlan of nothing", passed, "ens5", "-- etc/netplan/60-x.yaml --\n" +
			"network: {bridges: {br0: {}}, vlans: {v: {id: 3, link: br0, addresses: [10.0.0.9/24]}}}\n"},
		{"netplan, wireless", passed, "ens5",
			"-- etc/netplan/60-x.yaml --\nnetwork: {wifis: {wlan0: {addresses: [10.0.0.9/24]}}}\n"},
		{"netplan, loopback", passed, "ens5",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {lo: {addresses: [10.0.0.9/32]}}}\n"},
		{"netplan, a link-local address", passed, "ens6",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {ens6: {dhcp4: true, addresses: ['fe80::1/64']}}}\n"},
		{"netplan, not at start", passed, "ens5",
			"-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: {ens6: {activation-mode: manual, addresses: [10.0.0.9/24]}}}\n"},
		{"netplan by NetworkManager", passed, "",
			"-- etc/netplan/60-x.yaml --\nnetwork: {renderer: NetworkManager, ethernets: {ens6: {dhcp4: true}}}\n"},
		{"netplan by NetworkManager that is off", undetermined, "NetworkManager", "-- etc/netplan/60-x.yaml --\n" +
			"network: {renderer: NetworkManager, ethernets: {ens6: {dhcp4: true}}}\n" +
			"-- usr/lib/systemd/system/NetworkManager.service --\n[Service]\nExecStart=/usr/sbin/pcoip-agent\n[Install]\n" +
			"WantedBy=x\n"},
		{"netplan by what is masked", undetermined, "masked",
			"-- links --\netc/systemd/system/systemd-networkd.service -> /dev/null\n"},
		{"netplan without a mapping", undetermined, "mapping", "-- etc/netplan/60-x.yaml --\nnetwork: {ethernets: [ens6]}\n"},
		{"netplan, empty", passed, "", "-- etc/netplan/60-x.yaml --\n# nothing\n"},

		{"netplan that is not installed", warning, "netplan is not installed", "-- remove --\nusr/sbin/netplan\n"},
		{"netplan that is not installed, and another", passed, "eth0",
			"-- etc/sysconfig/network-scripts/ifcfg-eth0 --\nBOOTPROTO=dhcp\n-- remove --\nusr/sbin/netplan\n"},
		{"netplan whose generator is masked", warning, "masked",
			"-- links --\netc/systemd/system-generators/netplan -> /dev/null\n"},
		{"netplan that is not installed, and NetworkManager", passed, "NetworkManager",
			networkManagerOn + "-- remove --\nusr/sbin/netplan\n"},
		{"netplan of one address, and cloud-init leaves it", undetermined, "hardware address",
			"-- etc/netplan/50-cloud-init.yaml --\n" +
				"network: {ethernets: {ens5: {dhcp4: true, match: {macaddress: '06:00:00:00:00:01'}, set-name: ens5}}}\n" +
				"-- etc/cloud/cloud.cfg.d/99-x.cfg --\nnetwork: {config: disabled}\n"},
		{"netplan of one address", passed, "ens5", "-- etc/netplan/50-cloud-init.yaml --\n" +
			"network: {ethernets: {ens5: {dhcp4: true, match: {macaddress: '06:00:00:00:00:01'}, set-name: ens5}}}\n"},

		{"networkd that is off", passed, "ens5", "-- usr/lib/systemd/system/systemd-networkd.service --\n[Service]\n" +
			"ExecStart=/usr/sbin/pcoip-agent\n[Install]\nWantedBy=x\n-- etc/systemd/network/10-eth.network --\n[Match]\n" +
			"Name=eth0\n[Network]\nAddress=10.0.0.9/24\n"},
		{"networkd, of the distribution", warning, "10.0.0.9/24",
			networkdOn + "-- usr/lib/systemd/network/10-eth.network --\n[Match]\nName=eth0\n[Network]\nAddress=10.0.0.9/24\n"},
		{"networkd, masked", passed, "", networkdOn + "-- usr/lib/systemd/network/10-eth.network --\n[Match]\nName=eth0\n" +
			"[Network]\nAddress=10.0.0.9/24\n-- etc/systemd/network/10-eth.network --\n"},
		{"networkd, a drop-in", warning, "10.0.0.9/24", networkdOn + "-- usr/lib/systemd/network/80-all.network --\n" +
			"[Match]\nName=e*\n[Network]\nDHCP=yes\n-- etc/systemd/network/80-all.network.d/x.conf --\n[Network]\n" +
			"Address=10.0.0.9/24\n"},
		{"networkd, a drop-in that takes back", warning, "neither DHCP",
			networkdOn + "-- usr/lib/systemd/network/80-all.network --\n[Match]\nName=e*\n[Network]\nDHCP=yes\n" +
				"-- usr/lib/systemd/network/80-all.network.d/x.conf --\n[Network]\nDHCP=no\n"},
		{"networkd, the first that fits", passed, "", networkdOn + "-- etc/systemd/network/10-all.network --\n[Match]\n" +
			"Name=e*\n[Network]\nDHCP=ipv4\n-- etc/systemd/network/20-eth0.network --\n[Match]\nName=eth0\n[Network]\n" +
			"Address=10.0.0.9/24\n"},
		{"networkd, neither", warning, "neither DHCP",
			networkdOn + "-- etc/systemd/network/10-all.network --\n[Match]\nName=eth0\n[Network]\nDHCP=ipv6\n"},
		{"networkd, containers", passed, "ens5", networkdOn + "-- usr/lib/systemd/network/80-container-host0.network --\n" +
			"[Match]\nVirtualization=container\nName=host0\n[Network]\nLinkLocalAddressing=yes\n" +
			"-- usr/lib/systemd/network/80-container-ve.network --\n[Match]\nName=ve-*\nDriver=veth\n[Network]\n" +
			"Address=0.0.0.0/28\n"},
		{"networkd, another driver", passed, "ens5",
			networkdOn + "-- etc/systemd/network/10-x.network --\n[Match]\nDriver=vmxnet3\n[Network]\nAddress=10.0.0.9/24\n"},
		{"networkd, the driver", warning, "10.0.0.9/24",
			networkdOn + "-- etc/systemd/network/10-x.network --\n[Match]\nDriver=ena vif\n[Network]\nAddress=10.0.0.9/24\n"},
		{"networkd, a hardware address", warning, "10.0.0.9/24",
			networkdOn + "-- etc/systemd/network/10-x.network --\n[Match]\nMACAddress=06:00:00:00:00:01\n[Network]\n" +
				"Address=10.0.0.9/24\n"},
		{"networkd, a condition", undetermined, "10-x", networkdOn + "-- etc/systemd/network/10-x.network --\n[Match]\n" +
			"Name=eth0\nHost=a\n[Network]\nAddress=10.0.0.9/24\n-- etc/systemd/network/20-x.network --\n[Match]\nName=e*\n" +
			"[Network]\nDHCP=yes\n"},
		{"networkd, a bridge of the instance", passed, "br0", networkdOn + "-- etc/systemd/network/10-x.network --\n" +
			"[Match]\nName=eth0\n[Network]\nBridge=br0\n-- etc/systemd/network/20-x.network --\n[Match]\nName=br0\n" +
			"[Network]\nDHCP=yes\n"},
		{"networkd, unmanaged", passed, "ens5",
			networkdOn + "-- etc/systemd/network/10-x.network --\n[Match]\nName=eth0\n[Link]\nUnmanaged=yes\n"},

		{"ifcfg with neither", warning, "neither DHCP", "-- etc/sysconfig/network-scripts/ifcfg-eth1 --\nBOOTPROTO=none\n"},
		{"ifcfg, part of a bond", passed, "", "-- etc/sysconfig/network-scripts/ifcfg-eth1 --\nBOOTPROTO=none\n" +
			"MASTER=bond0\nSLAVE=yes\n-- etc/sysconfig/network-scripts/ifcfg-bond0 --\nTYPE=Bond\nBOOTPROTO=dhcp\n"},
		{"ifcfg, not at start", passed, "",
			"-- etc/sysconfig/network-scripts/ifcfg-eth1 --\nONBOOT=no\nBOOTPROTO=none\nIPADDR=10.0.0.9\n"},
		{"ifcfg of docker", passed, "",
			"-- etc/sysconfig/network-scripts/ifcfg-docker0 --\nTYPE=Bridge\nBOOTPROTO=none\nIPADDR=10.0.0.9\n"},
		{"ifcfg with IPv6", warning, "fd00::9/64",
			"-- etc/sysconfig/network-scripts/ifcfg-eth1 --\nBOOTPROTO=dhcp\nIPV6INIT=yes\nIPV6ADDR=fd00::9/64\n"},

		{"a keyfile without IPv4", warning, "neither DHCP", "-- etc/NetworkManager/system-connections/wired.nmconnection " +
			"--\n[connection]\nid=wired\ntype=ethernet\n[ipv4]\nmethod=disabled\n"},
		{"a keyfile with another address", warning, "10.0.0.9/24",
			"-- etc/NetworkManager/system-connections/wired.nmconnection --\n[connection]\nid=wired\ntype=ethernet\n[ipv4]\n" +
				"method=auto\naddress1=10.0.0.9/24\n"},
		{"a keyfile of a tunnel", passed, "ens5", "-- etc/NetworkManager/system-connections/vpn.nmconnection --\n" +
			"[connection]\nid=vpn\ntype=wireguard\ninterface-name=wg0\n[ipv4]\nmethod=manual\naddress1=10.0.0.9/24\n"},
		{"a keyfile that is not started", passed, "ens5", "-- etc/NetworkManager/system-connections/wired.nmconnection " +
			"--\n[connection]\nid=wired\ntype=ethernet\nautoconnect=false\n[ipv4]\nmethod=manual\naddress1=10.0.0.9/24\n"},
		{"a keyfile, and it is off", passed, "ens5", "-- usr/lib/systemd/system/NetworkManager.service --\n[Service]\n" +
			"ExecStart=/usr/sbin/pcoip-agent\n[Install]\nWantedBy=x\n" +
			"-- etc/NetworkManager/system-connections/wired.nmconnection --\n[connection]\nid=wired\n[ipv4]\nmethod=manual\n" +
			"address1=10.0.0.9/24\n"},
		{"a keyfile of what is left alone", passed, "ens5", "-- etc/NetworkManager/conf.d/x.conf --\n[keyfile]\n" +
			"unmanaged-devices=interface-name:eth*\n-- etc/NetworkManager/system-connections/wired.nmconnection --\n" +
			"[connection]\nid=wired\ninterface-name=eth0\n[ipv4]\nmethod=manual\naddress1=10.0.0.9/24\n"},
		{"a keyfile of what Ubuntu leaves alone", passed, "ens5",
			ubuntuManaged + "-- etc/NetworkManager/system-connections/wired.nmconnection --\n[connection]\nid=wired\n" +
				"type=ethernet\n[ipv4]\nmethod=manual\naddress1=10.0.0.9/24\n"},
		{"a keyfile of what netplan leaves to it", warning, "10.0.0.9/24",
			ubuntuManaged + "-- etc/netplan/01-network-manager-all.yaml --\nnetwork: {renderer: NetworkManager}\n" +
				"-- etc/NetworkManager/system-connections/wired.nmconnection --\n[connection]\nid=wired\ntype=ethernet\n[ipv4]\n" +
				"method=manual\naddress1=10.0.0.9/24\n"},
		{"networkd, a pattern of other names", warning, "10.0.0.9/24",
			networkdOn + "-- etc/systemd/network/10-x.network --\n[Match]\nName=ens*\n[Network]\nAddress=10.0.0.9/24\n"},
		{"networkd, a pattern of no name", passed, "ens5",
			networkdOn + "-- etc/systemd/network/10-x.network --\n[Match]\nName=usb*\n[Network]\nAddress=10.0.0.9/24\n"},
		{"a keyfile of a bridge", passed, "ens5", "-- etc/NetworkManager/system-connections/br.nmconnection --\n" +
			"[connection]\nid=br\ntype=bridge\ninterface-name=br0\n[ipv4]\nmethod=manual\naddress1=10.0.0.9/24\n"},
		{"a keyfile of a bridge of the instance", warning, "10.0.0.9/24",
			"-- etc/NetworkManager/system-connections/br.nmconnection --\n[connection]\nid=br\ntype=bridge\n" +
				"interface-name=br0\n[ipv4]\nmethod=manual\naddress1=10.0.0.9/24\n" +
				"-- etc/NetworkManager/system-connections/p.nmconnection --\n[connection]\nid=p\ntype=ethernet\n" +
				"interface-name=eth0\ncontroller=br0\n"},

		{"cloud-init with a fixed address", warning, "10.0.0.9/24", "-- etc/cloud/cloud.cfg.d/99-x.cfg --\nnetwork:\n" +
			"  version: 2\n  ethernets:\n    eth0: {addresses: [10.0.0.9/24]}\n"},
		{"cloud-init of version 1", warning, "10.0.0.9", "-- etc/cloud/cloud.cfg.d/99-x.cfg --\nnetwork:\n  version: 1\n" +
			"  config:\n  - {type: nameserver, address: [1.1.1.1]}\n  - type: physical\n    name: eth0\n" +
			"    subnets: [{type: static, address: 10.0.0.9}]\n"},
		{"cloud-init of version 1 with DHCP", passed, "eth0", "-- etc/cloud/cloud.cfg.d/99-x.cfg --\nnetwork:\n" +
			"  version: 1\n  config:\n  - type: physical\n    name: eth0\n    subnets: [{type: dhcp}]\n"},
		{"cloud-init that is told to leave it alone", passed, "ens5",
			"-- etc/cloud/cloud.cfg.d/99-x.cfg --\nnetwork: {config: disabled}\n"},
		{"nothing, and cloud-init is told to leave it alone", undetermined, "does not configure the network",
			"-- etc/cloud/cloud.cfg.d/99-x.cfg --\nnetwork: {config: disabled}\n-- remove --\netc/netplan/50-cloud-init.yaml\n"},
		{"nothing, and NetworkManager does it", passed, "NetworkManager",
			networkManagerOn + "-- etc/cloud/cloud.cfg.d/99-x.cfg --\nnetwork: {config: disabled}\n-- remove --\n" +
				"etc/netplan/50-cloud-init.yaml\n"},
		{"nothing, and NetworkManager does not", undetermined, "", networkManagerOn + "-- etc/NetworkManager/conf.d/x.conf " +
			"--\n[main]\nno-auto-default=*\n-- etc/cloud/cloud.cfg.d/99-x.cfg --\nnetwork: {config: disabled}\n-- remove --\n" +
			"etc/netplan/50-cloud-init.yaml\n"},
		{"nothing", passed, "no interface is configured", "-- remove --\netc/netplan/50-cloud-init.yaml\n"},
		{"cloud-init that is no YAML", undetermined, "99-x.cfg", "-- etc/cloud/cloud.cfg.d/99-x.cfg --\nnetwork: [\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := find(t, newMachine(t, c.changes), "linux.bp.network")
			if f.Status != c.want || fold.Index(f.Message, c.says) < 0 {
				t.Errorf("%s, want %s that says %q: %s", f.Status, c.want, c.says, f.Message)
			}
		})
	}
}

const (
	ubuntuManaged = "-- usr/lib/NetworkManager/conf.d/10-globally-managed-devices.conf --\n[keyfile]\n" +
		"unmanaged-devices=*,except:type:wifi,except:type:gsm,except:type:cdma\n"
	ifupdownOn = "-- sbin/ifup --\nx\n-- usr/lib/systemd/system/networking.service --\n[Service]\n" +
		"ExecStart=/usr/sbin/pcoip-agent\n[Install]\nWantedBy=x\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/networking.service -> /x\n"
	networkdOn = "-- usr/lib/systemd/system/systemd-networkd.service --\n[Service]\n" +
		"ExecStart=/usr/sbin/pcoip-agent\n[Install]\nWantedBy=x\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/systemd-networkd.service -> /x\n"
	networkManagerOn = "-- usr/lib/systemd/system/NetworkManager.service --\n[Service]\n" +
		"ExecStart=/usr/sbin/pcoip-agent\n[Install]\nWantedBy=x\n-- links --\n" +
		"etc/systemd/system/multi-user.target.wants/NetworkManager.service -> /x\n"
)
