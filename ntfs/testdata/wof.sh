#!/bin/bash
# Makes wof.img.gz, a volume of 2 MiB with files as WOF compresses them, and
# beside it the hashes of what was compressed (wof.sha256). The compressed data
# is taken out of WIM files that wimlib makes: their resources are the same.
# Needs root, ntfs-3g, attr, openssl, perl and wimtools.
set -eu
cd "$(dirname "$0")"
export LC_ALL=C.UTF-8
work=$(mktemp -d)
trap 'mountpoint -q "$work/mnt" && umount "$work/mnt"; rm -rf "$work"' EXIT
mkdir "$work/mnt" "$work/plain"
image=$work/wof.img
truncate -s 2M "$image"
mkntfs -q -Q -F -c 1024 -p 0 -H 255 -S 63 -L 'WOF' "$image" 2>/dev/null
ntfs-3g -o streams_interface=windows "$image" "$work/mnt"

text() { yes 'The quick brown fox jumps over the lazy dog. 0123456789' | cat -n | head -c "$1"; }
noise() { head -c "$1" /dev/zero | openssl enc -aes-128-ctr -K 00 -iv 00 -nosalt 2>/dev/null; }
# Calls of a few functions, as a compiler writes them, between other
# instructions.
calls() {
	perl -e 'my ($n, $seed, $b) = ($ARGV[0], 1, "");
		sub next_ { $seed = ($seed * 1103515245 + 12345) & 0x7FFFFFFF; ($seed >> 8) % $_[0] }
		while (length $b < $n) {
			$b .= ("\x55\x48\x89\xE5", "\x8B\x45\xFC", "\x48\x8D\x3D\x10\x20\x00\x00", "\x5D\xC3")[next_(4)];
			$b .= "\xE8" . pack "l<", 4096 * next_(16) - length($b) - 5;
		}
		binmode STDOUT; print substr $b, 0, $n' "$1"
}
# The resource of a WIM file that holds a file.
resource() { # WIM file, file
	perl -e 'my ($wim, $hash) = @ARGV;
		open my $f, "<:raw", $wim or die; local $/; my $w = <$f>;
		my ($n, $at) = unpack "Q<2", substr $w, 48, 16;
		for (my $i = 0; $i < ($n & ~0 >> 8); $i += 50) {
			my $e = substr $w, $at + $i, 50;
			next if unpack("H40", substr $e, 30) ne $hash;
			my ($stored, $from) = unpack "Q<2", $e;
			die "not compressed" if !($stored >> 56 & 4);
			binmode STDOUT; print substr $w, $from, $stored & ~0 >> 8; exit;
		}
		die "not found"' "$1" "$(sha1sum <"$2" | cut -c1-40)"
}

number=0
for algorithm in XPRESS:4096:XPRESS4K LZX:32768:LZX XPRESS:8192:XPRESS8K XPRESS:16384:XPRESS16K; do
	IFS=: read -r type chunk name <<<"$algorithm"
	plain=$work/plain/$name
	mkdir "$plain" "$work/mnt/$name"
	text 40000 >"$plain/text"
	calls 36000 >"$plain/calls"
	{ text "$chunk"; noise "$chunk"; head -c "$chunk" /dev/zero; text 321; } >"$plain/mixed"
	text 2000 >"$plain/short"
	wimlib-imagex capture "$plain" "$work/$name.wim" --no-acls --threads=1 "--compress=$type:100" "--chunk-size=$chunk" >/dev/null
	for file in text calls mixed short; do
		out=$work/mnt/$name/$file
		: >"$out"
		truncate -s "$(stat -c %s "$plain/$file")" "$out"
		resource "$work/$name.wim" "$plain/$file" >"$out:WofCompressedData"
		# Tag, length, and of WOF: version, provider, version, algorithm.
		setfattr -h -n system.ntfs_reparse_data -v "0x17000080100000000100000002000000010000000${number}000000" "$out"
	done
	number=$((number + 1))
done
umount "$work/mnt"
(cd "$work/plain" && find . -type f -printf '%P\n' | sort | while read -r f; do
	printf '%s %s %s\n' "$(sha256sum <"$f" | cut -c1-64)" "$(stat -c %s "$f")" "$f"
done) >wof.sha256
# As make.sh does: each 16-bit word less the one before it.
perl -0777 -ne '$last = 0; print pack "v*", map { my $d = $_ - $last & 0xFFFF; $last = $_; $d } unpack "v*"' \
	"$image" | gzip -9n >wof.img.gz
ls -l wof.*
