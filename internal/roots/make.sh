#!/bin/bash
# Makes root filesystems of real distributions with debootstrap, and images of
# them, for TestRoots (scanner). Needs root, a network, debootstrap, loop
# devices, e2fsprogs, and xfsprogs.
#
#	make.sh FOLDER
#
# FOLDER/NAME is a root as a folder, FOLDER/NAME.img is the same on a filesystem,
# FOLDER/NAME-torn-N.img is a copy of the image taken while packages are being
# installed, with a journal that needs to be replayed. What is there is kept.
set -euo pipefail
out=${1:?usage: make.sh FOLDER}
mkdir -p "$out"
cd "$out"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

debian=http://deb.debian.org/debian
ubuntu=http://archive.ubuntu.com/ubuntu

base() { # SUITE
	[[ -d base-$1 ]] && return
	local mirror=$debian more=() script=()
	if [[ $1 == noble ]]; then
		mirror=$ubuntu more=(--no-check-gpg) script=(/usr/share/debootstrap/scripts/gutsy)
		[[ -e /usr/share/keyrings/ubuntu-archive-keyring.gpg ]] && more=()
	fi
	rm -rf "base-$1.part"
	debootstrap --variant=minbase "${more[@]}" --include=netbase,systemd,systemd-sysv,dbus,ca-certificates,udev,iproute2,kmod "$1" "base-$1.part" "$mirror" "${script[@]}"
	if [[ $1 == noble ]]; then
		echo "deb $ubuntu noble main universe" >"base-$1.part/etc/apt/sources.list"
	fi
	mv "base-$1.part" "base-$1"
}

# inside runs a command in a root, without its services being started.
inside() { # ROOT COMMAND…
	local root=$1
	shift
	printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
	chmod 755 "$root/usr/sbin/policy-rc.d"
	cp /etc/resolv.conf "$root/etc/resolv.conf.host" 2>/dev/null || true
	unshare --mount --propagation private bash -euc '
		root=$1; shift
		mount -t proc proc "$root/proc"; mount -t sysfs -o ro sysfs "$root/sys"; mount -t tmpfs tmpfs "$root/run"
		mount --rbind /dev "$root/dev"
		mkdir -p "$root/run/systemd/resolve"
		cp /etc/resolv.conf "$root/run/systemd/resolve/stub-resolv.conf"
		[[ -L $root/etc/resolv.conf ]] || cp /etc/resolv.conf "$root/etc/resolv.conf"
		exec chroot "$root" "$@"' - "$root" "$@"
	rm -f "$root/usr/sbin/policy-rc.d" "$root/etc/resolv.conf.host"
}

install() { # ROOT PACKAGES…
	local root=$1
	shift
	inside "$root" apt-get -qq update
	inside "$root" apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install netbase "$@"
	inside "$root" apt-get clean
}

common() { # ROOT
	printf 'LABEL=root / auto defaults 0 1\nLABEL=home /home auto defaults,nofail 0 2\n' >"$1/etc/fstab"
	mkdir -p "$1/boot/grub"
	cat >"$1/boot/grub/grub.cfg" <<-'EOF'
		set default="0"
		menuentry 'Linux' {
			search --no-floppy --label --set=root root
			linux	/boot/vmlinuz root=LABEL=root ro console=ttyS0
			initrd	/boot/initrd.img
		}
	EOF
	inside "$1" systemctl set-default multi-user.target >/dev/null 2>&1
}

make_root() { # NAME SUITE
	local name=$1 suite=$2
	[[ -d $name ]] && return
	base "$suite"
	rm -rf "$name.part"
	cp -a "base-$suite" "$name.part"
	"fill_${name//-/_}" "$name.part"
	common "$name.part"
	mv "$name.part" "$name"
}

fill_bookworm_netplan() {
	install "$1" cloud-init netplan.io systemd-resolved ufw openssh-server
	printf 'network:\n  version: 2\n  ethernets:\n    ens5:\n      dhcp4: true\n    ens6:\n      dhcp4: "yes"\n' >"$1/etc/netplan/50-cloud-init.yaml"
	inside "$1" sh -c 'ufw allow 8200/tcp; ufw allow 4172; ufw allow 4195'
	sed -i s/^ENABLED=.*/ENABLED=yes/ "$1/etc/ufw/ufw.conf"
}

fill_bookworm_ifupdown() {
	install "$1" cloud-init ifupdown isc-dhcp-client iptables-persistent openssh-server
	printf 'source /etc/network/interfaces.d/*\n\nauto lo\niface lo inet loopback\n\nauto eth0\niface eth0 inet dhcp\n' >"$1/etc/network/interfaces"
	printf 'auto eth1\niface eth1 inet static\n\taddress 10.20.4.50/24\n' >"$1/etc/network/interfaces.d/eth1"
	printf '*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT\n-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -p tcp -m multiport --dports 4172,8200 -j ACCEPT\nCOMMIT\n' >"$1/etc/iptables/rules.v4"
}

fill_trixie_nm() {
	install "$1" network-manager firewalld openssh-server # cloud-init of trixie conflicts with firewalld
	printf '[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\nzone=work\n[ipv4]\nmethod=auto\n' >"$1/etc/NetworkManager/system-connections/eth0.nmconnection"
	chmod 600 "$1/etc/NetworkManager/system-connections/eth0.nmconnection"
	inside "$1" firewall-offline-cmd --zone=work --add-port=4172/tcp --add-port=4172/udp --add-port=4195/tcp --add-port=4195/udp --add-port=8200/tcp
}

fill_trixie_networkd() {
	install "$1" cloud-init nftables openssh-server
	printf '[Match]\nName=e*\n\n[Network]\nDHCP=yes\n' >"$1/etc/systemd/network/80-dhcp.network"
	printf '[Match]\nName=ens6\n\n[Network]\nAddress=10.20.4.50/24\n' >"$1/etc/systemd/network/10-ens6.network"
	inside "$1" systemctl enable systemd-networkd.service nftables.service
	cat >"$1/etc/nftables.conf" <<-'EOF'
		#!/usr/sbin/nft -f
		flush ruleset
		define workspaces = { 4172, 4195 }
		include "/etc/nftables.d/*.nft"
		table inet filter {
			chain input {
				type filter hook input priority filter; policy drop;
				iif "lo" accept
				ct state vmap { established : accept, related : accept, invalid : drop }
				meta l4proto { tcp, udp } th dport $workspaces accept
				tcp dport { 22, 8200 } accept
			}
		}
	EOF
	mkdir -p "$1/etc/nftables.d"
	printf 'table inet extra {\n\tchain early {\n\t\ttype filter hook input priority -10; policy accept;\n\t\ttcp dport 23 drop\n\t}\n}\n' >"$1/etc/nftables.d/10-extra.nft"
}

fill_noble_netplan_nm() {
	install "$1" cloud-init netplan.io network-manager ufw openssh-server
	printf 'network:\n  version: 2\n  renderer: NetworkManager\n  ethernets:\n    all:\n      match: {name: "en*"}\n      dhcp4: true\n' >"$1/etc/netplan/01-network-manager-all.yaml"
	chmod 600 "$1/etc/netplan/01-network-manager-all.yaml"
	inside "$1" sh -c 'ufw allow 22/tcp; ufw limit 8200/tcp'
	sed -i s/^ENABLED=.*/ENABLED=yes/ "$1/etc/ufw/ufw.conf"
}

fill_bookworm_firewalld() {
	install "$1" cloud-init network-manager firewalld
	inside "$1" firewall-offline-cmd --zone=drop --add-interface=eth0
	inside "$1" firewall-offline-cmd --zone=public --add-port=4172/tcp --add-port=4172/udp --add-port=8200/tcp
	inside "$1" systemctl mask cloud-final.service
	printf 'datasource_list: [ NoCloud, None ]\n' >"$1/etc/cloud/cloud.cfg.d/99-datasource.cfg"
}

image() { # NAME KIND
	local name=$1 kind=$2 mnt
	[[ -e $name.img ]] && return
	rm -f "$name.img.part"
	truncate -s 3G "$name.img.part"
	case $kind in
	ext4) mkfs.ext4 -q -L root -d "$name" "$name.img.part" ;;
	xfs)
		mkfs.xfs -q -L root "$name.img.part"
		mnt=$(mktemp -d)
		mount -o loop "$name.img.part" "$mnt"
		cp -a "$name/." "$mnt/"
		umount "$mnt"
		rmdir "$mnt"
		;;
	esac
	mv "$name.img.part" "$name.img"
}

# torn copies an image while packages are installed into it: the installation is
# stopped for the copy, nothing is synced, and the journal stays as it is.
torn() { # NAME COPIES PACKAGES…
	local name=$1 copies=$2 mnt job n
	shift 2
	[[ -e $name-torn-1.img ]] && return
	cp --sparse=always "$name.img" torn.img
	mnt=$(mktemp -d)
	mount -o loop torn.img "$mnt"
	setsid bash -c "$(declare -f inside install); install $mnt $*" >torn.log 2>&1 &
	job=$!
	n=0
	while kill -0 "$job" 2>/dev/null && ((n < copies)); do
		sleep 0.7
		[[ -s $mnt/var/log/dpkg.log ]] && tail -n 3 "$mnt/var/log/dpkg.log" | grep -qE 'half|unpacked|status' || continue
		grep -q "$(date +%Y-%m-%d)" "$mnt/var/log/dpkg.log" || continue
		[[ -n $(find "$mnt/var/lib/dpkg/updates" "$mnt/var/lib/dpkg/tmp.ci" -type f 2>/dev/null | head -n 1) || $((RANDOM % 3)) == 0 ]] || continue
		kill -STOP -- "-$job"
		n=$((n + 1))
		cp --sparse=always torn.img "$name-torn-$n.img"
		kill -CONT -- "-$job"
	done
	wait "$job" || true
	umount "$mnt"
	rmdir "$mnt"
	rm torn.img
}

make_root bookworm-netplan bookworm
make_root bookworm-ifupdown bookworm
make_root trixie-nm trixie
make_root trixie-networkd trixie
make_root bookworm-firewalld bookworm
make_root noble-netplan-nm noble || echo "no Ubuntu"

image bookworm-netplan ext4
image bookworm-ifupdown xfs
image trixie-nm ext4
image trixie-networkd xfs
image bookworm-firewalld xfs
[[ -d noble-netplan-nm ]] && image noble-netplan-nm ext4

torn bookworm-netplan 4 network-manager clamav-daemon rsyslog
torn trixie-networkd 4 network-manager rsyslog cron

if [[ ! -e home.img ]]; then
	truncate -s 64M home.img
	mkfs.ext4 -q -L home home.img
fi
