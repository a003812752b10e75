#!/bin/bash
# Makes small.img.gz, a volume of 4 MiB with one of everything, by mkntfs and
# ntfs-3g, and beside it what fls (small.fls) and the mount (small.sha256) show
# of it. Needs root, ntfs-3g, attr, openssl, perl, sleuthkit and xxd.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C.UTF-8
work=$(mktemp -d)
trap 'mountpoint -q "$work/mnt" && umount "$work/mnt"; rm -rf "$work"' EXIT
mkdir "$work/mnt"
image=$work/small.img
truncate -s 4M "$image"
mkntfs -q -Q -F -c 1024 -p 0 -H 255 -S 63 -L 'Small one' "$image" 2>/dev/null
ntfs-3g -o compression,streams_interface=windows "$image" "$work/mnt"
cd "$work/mnt"

text() { yes 'The quick brown fox jumps over the lazy dog. 0123456789' | head -c "$1"; }
noise() { head -c "$1" /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 -nosalt 2>/dev/null; }
utf16() { printf %s "$1" | iconv -t UTF-16LE | xxd -p | tr -d '\n'; }
le16() { printf '%02x%02x' $(($1 & 255)) $(($1 >> 8)); }
reparse() { # name, tag (hex, little-endian), data (hex)
	setfattr -h -n system.ntfs_reparse_data -v "0x$2$(le16 $((${#3} / 2)))0000$3" "$1"
}
link() { # name, tag, substitute, print, flags (hex)
	local s p
	s=$(utf16 "$3") p=$(utf16 "$4")
	reparse "$1" "$2" "0000$(le16 $((${#s} / 2)))$(le16 $((${#s} / 2 + 2)))$(le16 $((${#p} / 2)))$5${s}0000${p}0000"
}

: >empty
printf hello >resident
text 1000 >text
noise 6000 >noise
mkdir -p 'Program Files/Ünïcödé 日本語' deep/1/2/3/4/5/6/7/8/9
printf unicode >'Program Files/Ünïcödé 日本語/𝄞 😀.txt'
printf bottom >deep/1/2/3/4/5/6/7/8/9/bottom
printf upper >Case
printf lower >case

mkdir packed
setfattr -h -n system.ntfs_attrib_be -v 0x00000800 packed
text 40000 >packed/text
{ text 20000; head -c 40000 /dev/zero; text 10000; noise 3000; } >packed/mixed
noise 3000 >packed/noise

truncate -s 300000 sparse
printf middle | dd of=sparse bs=1 seek=150000 conv=notrunc status=none
printf end | dd of=sparse bs=1 seek=299997 conv=notrunc status=none

mkdir links
printf linked >links/first
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do ln links/first "links/another name $i"; done
ln links/first deep/elsewhere

printf main >streams
printf '[ZoneTransfer]\r\nZoneId=3\r\n' >streams:Zone.Identifier
text 3000 >streams:more
printf 'of a directory' >links:stream

truncate -s 1200000 scattered
for i in $(seq 0 7 1400) $(seq 3 7 1400) $(seq 5 7 1400); do
	printf 'piece %04d' "$i" | dd of=scattered bs=1 seek=$((i * 800)) conv=notrunc status=none
done

mkdir junction
link junction 030000a0 '\??\C:\Program Files' 'C:\Program Files' ''
: >symlink
link symlink 0c0000a0 resident resident 01000000
: >'long symlink'
link 'long symlink' 0c0000a0 "\\??\\C:\\$(text 600)" '' 00000000
truncate -s 12345 wof
noise 500 >wof:WofCompressedData
reparse wof 17000080 01000000020000000100000000000000
truncate -s 5000 dedup
reparse dedup 13000080 0000000000000000
truncate -s 5000 cloud
reparse cloud 1a600090 0000000000000000
text 2000 >hydrated
reparse hydrated 1a600090 0000000000000000
: >unknown
reparse unknown efbe0080 01020304

# Last, so that none of the records is used again: to fls a name that was
# deleted is live if its record is.
mkdir many freed
for i in $(seq 1000 1120); do : >"many/a name of some length $i"; : >"freed/a name of some length $i"; done
for i in $(seq 1000 1120); do [ $((i % 3)) = 0 ] || rm "many/a name of some length $i"; done
for i in $(seq 1000 1114); do rm "freed/a name of some length $i"; done

cd "$OLDPWD"
(cd "$work/mnt" && find . -type f -printf '%P\n' | sort | while read -r f; do
	printf '%s %s %s\n' "$(sha256sum <"$f" | cut -c1-64)" "$(stat -c %s "$f")" "$f"
done) >small.sha256
umount "$work/mnt"
# fls takes names in freed index blocks for live ones, and lists the streams
# of a directory once more as those of its ".".
fls -r -p "$image" | grep -v -e '\* ' -e '\$OrphanFiles' -e '/\.:' | sort | while read -r line; do
	id=${line#* }
	istat "$image" "${id%%-*}" | grep -q '^Not Allocated' || printf '%s\n' "$line"
done >small.fls
# Each 16-bit word less the one before it: that makes the 128 KiB of $UpCase,
# a count from 0 to 65535 for the most part, compressible.
perl -0777 -ne '$last = 0; print pack "v*", map { my $d = $_ - $last & 0xFFFF; $last = $_; $d } unpack "v*"' \
	"$image" | gzip -9n >small.img.gz
ls -l small.*
