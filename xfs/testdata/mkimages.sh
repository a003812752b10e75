#!/bin/bash
# Makes the images that the tests read without root, and beside each what the
# kernel shows of it, for dirty.img after its own recovery: a line for each file
# with its inode, mode, links, owner, group, size, blocks, time of modification,
# name, target if it is a symbolic link, and the SHA-256 of its content if it is
# a regular file.
#
#	mkimages.sh DIRECTORY [NAME...]
#
# Needs root, loop devices, xfsprogs 6.1 and setfattr; for v4.img a kernel that
# mounts version 4 of the filesystem.
set -eu
out=$(realpath "$1")
shift
tmp=$(mktemp -d)
mnt=$tmp/mnt
mkdir "$mnt"
trap 'cd /; umount "$mnt" 2>/dev/null || :; rm -rf "$tmp"' EXIT

# populate fills the mounted volume.
populate() {
	cd "$mnt"
	mkdir -p etc/conf.d home/user/deep/er empty many
	printf 'NAME="Example"\nVERSION=2\n' >etc/os-release
	printf 'key=value\n' >etc/conf.d/a.conf
	ln -s ../etc/os-release home/os-release
	ln -s /etc/conf.d home/user/absolute
	ln -s "$(printf '../%.0s' {1..30})etc/os-release" home/user/long
	if [ "$name" = v4 ]; then
		ln -s loop home/loop
		ln -s nowhere home/dangling
	fi
	ln etc/os-release etc/hard
	mkfifo home/user/fifo
	mknod home/user/null c 1 3
	seq 1 3000 >home/user/numbers
	head -c 20000 /dev/zero | tr '\0' z >home/user/z
	truncate -s 100000 home/user/hole
	printf tail | dd of=home/user/hole bs=1 seek=50000 conv=notrunc status=none
	fallocate -l 30000 home/user/reserved
	for ((i = 0; i < 40; i++)); do
		printf x | dd of=home/user/pieces bs=1 seek=$((i * 8192)) conv=notrunc status=none
	done
	printf 'größe' >'home/user/größe'
	printf 'bytes' >$'home/user/bytes\xff\xfe'
	printf 'line' >$'home/user/new\nline'
	for ((i = 0; i < 60; i++)); do
		: >"many/an entry of the large directory, number $i"
	done
	rm "many/an entry of the large directory, number 27"
	printf s >home/user/deep/er/small
	chmod 4755 etc/conf.d/a.conf
	chown 70000:80000 home/user/numbers
	setfattr -n user.comment -v 'a comment' etc/os-release
	setfattr -n security.selinux -v 'system_u:object_r:etc_t:s0' etc/hard
	setfattr -n user.large -v "$(printf 'v%.0s' {1..700})" home/user/z
	setfattr -n user.larger -v "$(printf 'w%.0s' {1..5000})" home/user/numbers
	cd /
}

# finish packs an image and writes what the kernel shows of a copy.
finish() {
	gzip -9 -n -c "$tmp/$name.img" >"$out/$name.img.gz"
	mount -o loop,noatime,nouuid "$tmp/$name.img" "$mnt"
	(cd "$mnt" && find . -mindepth 1 -print0 | LC_ALL=C sort -z | while IFS= read -r -d '' path; do
		LC_ALL=C QUOTING_STYLE=c stat --printf '%i %f %h %u %g %s %b %Y %N' "${path#./}"
		if [ -f "$path" ] && [ ! -L "$path" ]; then
			printf ' %s' "$(sha256sum <"$path" | cut -d' ' -f1)"
		fi
		echo
	done) >"$out/$name.txt"
	umount "$mnt"
}

make() {
	local name=$1 size=$2
	shift 2
	truncate -s "$size" "$tmp/$name.img"
	mkfs.xfs -q -f --unsupported -L "$name" "$@" "$tmp/$name.img" 2>&1 | grep -v -e deprecated -e unsupported || :
	mount -o loop "$tmp/$name.img" "$mnt"
}

make_v5() {
	make v5 16M -b size=1024 -d agcount=1 -l size=4m
	populate
	umount "$mnt"
}

make_v4() {
	make v4 16M -m crc=0 -n ftype=0 -b size=512 -d agcount=1 -l size=4m
	populate
	umount "$mnt"
}

# Written to the log only, but for what was there before.
make_dirty() {
	make dirty 16M -b size=1024 -d agcount=1 -l size=4m
	mkdir "$mnt/before"
	for ((i = 0; i < 20; i++)); do
		printf 'before %d\n' $i >"$mnt/before/$i"
	done
	umount "$mnt"
	mount -o loop "$tmp/$name.img" "$mnt"
	populate
	rm -r "$mnt/before"
	exec 9>"$mnt/open"
	printf 'deleted while it is open' >&9
	find "$mnt" -type f -exec sync {} + # commits, but leaves the blocks where they were
	rm "$mnt/open"
	printf 'the last\n' >"$mnt/last"
	sync "$mnt/last"
	cp "$tmp/$name.img" "$tmp/crashed.img"
	exec 9>&-
	umount "$mnt"
	mv "$tmp/crashed.img" "$tmp/$name.img"
}

[ $# -gt 0 ] || set -- v5 dirty v4
for name; do
	"make_$name"
	finish
done
