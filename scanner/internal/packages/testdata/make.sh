#!/bin/bash
# Makes the databases of this folder with the tools that write real ones: rpm
# 4.18 (SQLite), db5.3_load (Berkeley DB, in both byte orders) and rpm's own
# source (NDB). What rpm says of the packages is written beside them.
#
#     apt-get install rpm db5.3-util sqlite3 gcc
#     make.sh RPM_SOURCE
#
# RPM_SOURCE is the unpacked source of rpm 4.18. The times of installation are
# those of the run.
set -euo pipefail
source=$(realpath "$1")
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1700000000

# package NAME VERSION RELEASE ARCH EPOCH FILE...
package() {
	local name=$1 version=$2 release=$3 arch=$4 epoch=$5
	shift 5
	{
		echo "Name: $name"
		echo "Version: $version"
		echo "Release: $release"
		[ "$epoch" = - ] || echo "Epoch: $epoch"
		echo "Summary: $name of the test"
		echo "License: none"
		echo "Vendor: Coldcheck"
		echo "Packager: $name's packager <$name@example.com>"
		[ "$arch" != noarch ] || echo "BuildArch: noarch"
		echo "%description"
		echo "Nothing."
		echo "%install"
		local f
		for f in "$@"; do
			case $f in
			*/) echo "mkdir -p %{buildroot}${f%/}" ;;
			*) echo "mkdir -p %{buildroot}$(dirname "$f"); echo $name > %{buildroot}$f" ;;
			esac
		done
		echo "%files"
		for f in "$@"; do
			case $f in */) echo "%dir ${f%/}" ;; *) echo "$f" ;; esac
		done
	} > "$name.spec"
	rpmbuild -bb --quiet --target "$arch-linux" --define "_topdir $work/build" --define '_build_id_links none' \
		--define "_buildhost localhost" --define "source_date_epoch_from_changelog 0" \
		--define "use_source_date_epoch_as_buildtime 1" "$name.spec" > build.log 2>&1 || { cat build.log >&2; exit 1; }
	rpms+=("build/RPMS/$arch/$name-$version-$release.$arch.rpm")
}
rpms=()
many=()
for i in $(seq 1 150); do many+=("/usr/share/beta/part$((i % 10))/file-number-$i-ä"); done
package alpha 1.0 1.amzn2 x86_64 - /usr/bin/alpha /etc/alpha/alpha.conf
package beta 2.10.3 20.amzn2.0.1 noarch 2 /usr/share/beta/ "${many[@]}"
package gamma 3~rc1 1 x86_64 0 /home/gamma/bin/gamma /opt/gamma/
package kernel 5.10.1 1 x86_64 - /boot/vmlinuz-5.10.1
package kernel 5.10.2 1 x86_64 - /boot/vmlinuz-5.10.2
package libdelta 4 1 x86_64 - /usr/lib64/libdelta.so.4 /usr/share/doc/libdelta/README
package libdelta 4 1 i686 - /usr/lib/libdelta.so.4 /usr/share/doc/libdelta/README
package empty 0 0 noarch -
package epsilon 1 1 noarch - /usr/share/epsilon
package omega 1 1 noarch - /usr/share/ωmega

install() { rpm --dbpath "$work/db" -i --justdb --nodeps --noscripts --ignorearch --force --nosignature "$@"; }
ask() { rpm --dbpath "$work/db" -qa --qf "$1" | sort; }
told() {
	ask '%{NAME}\t%{EPOCHNUM}\t%{VERSION}\t%{RELEASE}\t%{ARCH}\t%{INSTALLTIME}\t%{VENDOR}\t%{PACKAGER}\n' > "$here/$1.packages"
	ask '[%{=NAME}.%{=ARCH}\t%{FILENAMES}\n]' > "$here/$1.files"
}
# blobs writes each header to a file with its number as its name.
blobs() {
	rm -rf blobs
	mkdir blobs
	sqlite3 -readonly db/rpmdb.sqlite "SELECT hnum, hex(blob) FROM Packages" | while IFS='|' read -r n hex; do
		echo "$hex" | xxd -r -p > "blobs/$n"
	done
}

# All but the last package, in SQLite. One is removed again.
rpm --dbpath "$work/db" --initdb
for r in "${rpms[@]:0:9}"; do install "$r"; done
rpm --dbpath "$work/db" -e --justdb epsilon
told rpm
sqlite3 db/rpmdb.sqlite "VACUUM" > /dev/null
gzip -9nc db/rpmdb.sqlite > "$here/rpmdb.sqlite.gz"
blobs

# The same headers in a Berkeley DB: the key is the number in the byte order of
# the machine, and 0 has the largest one. Pages of 512 bytes make long chains.
for order in 1234 4321; do
	word() { printf "%0$([ $order = 1234 ] && echo 8 || echo 8)x" "$1" | { [ $order = 4321 ] && cat || sed -E 's/(..)(..)(..)(..)/\4\3\2\1/'; }; }
	{
		printf 'VERSION=3\nformat=bytevalue\ntype=hash\nHEADER=END\n'
		printf ' %s\n %s\n' "$(word 0)" "$(word 9)"
		for n in $(ls blobs | sort -n); do printf ' %s\n %s\n' "$(word "$n")" "$(xxd -p "blobs/$n" | tr -d '\n')"; done
		echo 'DATA=END'
	} > dump
	for form in "$order 512" "$order 4096" "$order 1024 -c chksum=1"; do
		set -- $form
		sum=${3:+-summed}
		rm -f Packages
		db5.3_load -f dump -c db_lorder=$order -c db_pagesize="$2" ${3:+$3 $4} Packages
		gzip -9nc Packages > "$here/Packages-$order-$2$sum.gz"
	done
done

# And in an NDB, in which blobs were removed, replaced and moved.
mkdir stub stub/rpm
cat > stub/system.h <<'END'
#define _GNU_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#define xmalloc malloc
#define xcalloc calloc
#define xrealloc realloc
#define xstrdup strdup
#define _(text) text
END
cat > stub/rpm/rpmlog.h <<'END'
#define RPMLOG_ERR 3
#define RPMLOG_WARNING 4
#define rpmlog(level, ...) fprintf(stderr, __VA_ARGS__)
END
gcc -w -O1 -Istub -I"$source/lib/backend/ndb" -o ndb "$here/ndb.c" "$source/lib/backend/ndb/rpmpkg.c"
for n in $(ls blobs | sort -n); do
	./ndb Packages.db put $((n + 20)) "blobs/$n" # to be removed
	./ndb Packages.db put "$n" "blobs/1"
	./ndb Packages.db put "$n" "blobs/$n"
done
for n in $(ls blobs); do ./ndb Packages.db del $((n + 20)); done
./ndb Packages.db verify
gzip -9nc Packages.db > "$here/Packages.db.gz"

# The last package in SQLite, which only the write-ahead log has: a reader that
# was there before keeps rpm, which waits for it, from working it into the
# database.
{ echo "BEGIN; SELECT count(*) FROM Packages;"; sleep 4; } | sqlite3 db/rpmdb.sqlite > /dev/null &
sleep 1
install "${rpms[9]}" &
sleep 2
gzip -9nc db/rpmdb.sqlite-wal > "$here/rpmdb.sqlite-wal.gz"
wait
told rpm-wal
