#!/bin/bash
# Makes the image that the benchmarks want: 80 GB, sparse, with an XFS as
# mkfs.xfs makes it and 500,000 files in 30,000 directories of a depth as
# /usr has them; every second file holds a block of data.
#
#	mkbench.sh IMAGE
#
# Needs root, mkfs.xfs and a loop device.
set -eu
image=$1
truncate -s 80000000000 "$image"
mkfs.xfs -q -f -L bench "$image"
mnt=$(mktemp -d)
trap 'umount "$mnt" 2>/dev/null || :; rmdir "$mnt"' EXIT
mount -o loop,noatime "$image" "$mnt"
cd "$mnt"
text=$(printf 'content of a file %.0s' {1..60})
n=0
for top in usr opt srv home var; do
	mkdir "$top"
	for ((a = 0; a < 100; a++)); do
		mkdir "$top/package-$a"
		for ((b = 0; b < 59; b++)); do
			dir=$top/package-$a/module-$b
			mkdir "$dir"
			for ((c = 0; c < 17; c++)); do
				if ((n++ & 1)); then
					printf '%s %d\n' "$text" $n >"$dir/file-with-a-name-$c.txt"
				else
					: >"$dir/file-with-a-name-$c.txt"
				fi
			done
		done
		ln -s "package-$a" "$top/link-$a"
	done
done
cd /
umount "$mnt"
