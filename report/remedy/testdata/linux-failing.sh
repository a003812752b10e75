#!/bin/sh
# Made by coldcheck v1.2.3 from linux-failing.json, the report of a scan of
#   2026-03-02 08:00:00Z.
# For: a-1k2m3n4p5q6r7, Amazon Linux 2
#
# Read it before you run it. Then, on the WorkSpace: sudo sh ./remediate.sh
# It asks before each change. With --what-if it shows the changes and makes none.
# It skips what is correct already, so you can run it again.
set -u
failures=0
whatif=
case "${1-}" in
'') ;;
--what-if) whatif=yes ;;
*)
	echo "usage: $0 [--what-if]" >&2
	exit 64
	;;
esac
if [ -z "$whatif" ] && [ "$(id -u)" -ne 0 ]; then
	echo 'Run it as root: sudo sh ./remediate.sh' >&2
	exit 1
fi

# wanted FINDING TARGET ACTION asks whether to make a change.
wanted() {
	if [ -n "$whatif" ]; then
		echo "$1: would be done: $3: $2"
		return 1
	fi
	printf '%s: %s: %s? [y/N] ' "$1" "$2" "$3"
	answer=
	read -r answer </dev/tty || answer=
	case "$answer" in
	[yY] | [yY][eE][sS]) return 0 ;;
	esac
	echo "$1: not changed: $2"
	return 1
}

# ended STATUS FINDING TARGET reports the result of a change.
ended() {
	if [ "$1" -eq 0 ]; then
		echo "$2: done: $3"
	else
		echo "$2: failed: $3" >&2
		failures=$((failures + 1))
	fi
}

# ----------------------------------------------------------------------------
# linux.disk.root-97 (failed, required)
# The root volume is 97.61% full (df shows 98%); less than 97% is required.
# By hand: Find large folders with 'sudo du -xh / | sort -h' and remove files,
#   or enlarge the root volume.

# ----------------------------------------------------------------------------
# linux.apps.outside-home (failed, required)
# Image creation removes 6 paths in /home that the system uses:
#   /home/jdoe/acme/bin/acme-cad (package acme-cad),
#   /home/jdoe/acme/bin/acme-licensed (package acme-cad),
#   /home/jdoe/acme/lib/libacme.so.12 (package acme-cad),
#   /home/jdoe/acme/bin/acme-licensed (unit acme-licensed.service),
#   /home/jdoe/acme/bin/acme-cad (link /usr/local/bin/acme-cad) and 1 more.
# By hand: Remove the application and install it again outside /home, for
#   example in /opt or /usr/local.

# ----------------------------------------------------------------------------
# linux.component.cloud-init (failed, required)
# cloud-init does not start: cloud-final.service is masked.

if systemctl is-enabled --quiet -- cloud-final.service; then
	echo 'linux.component.cloud-init: skipped: unit cloud-final.service'
elif wanted 'linux.component.cloud-init' 'unit cloud-final.service' 'unmask and enable it'; then
	systemctl unmask -- cloud-final.service && systemctl enable -- cloud-final.service
	ended $? 'linux.component.cloud-init' 'unit cloud-final.service'
fi

# ----------------------------------------------------------------------------
# linux.component.skylight (failed, required)
# The Skylight agent does not start: skylight-agent.service is disabled.

if systemctl is-enabled --quiet -- skylight-agent.service; then
	echo 'linux.component.skylight: skipped: unit skylight-agent.service'
elif wanted 'linux.component.skylight' 'unit skylight-agent.service' 'enable it'; then
	systemctl enable -- skylight-agent.service
	ended $? 'linux.component.skylight' 'unit skylight-agent.service'
fi

# ----------------------------------------------------------------------------
# linux.bp.network (warning, recommended)
# 1 interface has a fixed address: eth1 (10.20.4.50).
# By hand: Set BOOTPROTO=dhcp in /etc/sysconfig/network-scripts/ifcfg-eth1,
#   remove any fixed address there, and restart the WorkSpace.

# ----------------------------------------------------------------------------
# linux.bp.antivirus (warning, recommended)
# Antivirus software starts at boot: ds_agent.service.

if ! systemctl is-enabled --quiet -- ds_agent.service; then
	echo 'linux.bp.antivirus: skipped: unit ds_agent.service'
elif wanted 'linux.bp.antivirus' 'unit ds_agent.service' 'disable it while the image is made (it goes on running until the restart)'; then
	systemctl disable -- ds_agent.service
	ended $? 'linux.bp.antivirus' 'unit ds_agent.service'
fi

# ----------------------------------------------------------------------------
# linux.bp.firewall (warning, recommended)
# The firewall blocks ports that WorkSpaces needs: TCP 4172, UDP 4172
#   (iptables).
# By hand: Add rules that accept TCP 4172, UDP 4172 to the rules of iptables,
#   or disable the firewall until the image exists.

# ----------------------------------------------------------------------------
# linux.bp.cache (warning, recommended)
# The image would contain cached data of root: /root/.cache, /root/.mozilla.

if [ ! -e /root/.cache ]; then
	echo 'linux.bp.cache: skipped: /root/.cache'
elif wanted 'linux.bp.cache' '/root/.cache' 'remove it with all that is in it, for good'; then
	rm -rf -- /root/.cache
	ended $? 'linux.bp.cache' '/root/.cache'
fi

if [ ! -e /root/.mozilla ]; then
	echo 'linux.bp.cache: skipped: /root/.mozilla'
elif wanted 'linux.bp.cache' '/root/.mozilla' 'remove it with all that is in it, for good'; then
	rm -rf -- /root/.mozilla
	ended $? 'linux.bp.cache' '/root/.mozilla'
fi

# ----------------------------------------------------------------------------
if [ "$failures" -gt 0 ]; then echo "changes that failed: $failures" >&2; fi
echo 'Findings to fix by hand, see the comments in this script: 4'
echo 'Restart the WorkSpace, and scan new images of it.'
[ "$failures" -eq 0 ]
