#!/bin/sh
# Downloads a release of coldcheck for this machine, verifies it, and puts the program
# into a folder. It needs curl or wget, and nothing that is not in a base image.
#
#	COLDCHECK_VERSION   the release, such as 1.2.3
#	COLDCHECK_SHA256    the SHA-256 of its archive, or of its archives for several
#	                    platforms, separated by spaces; without it, gh verifies
#	                    GitHub's attestation of the archive
#	COLDCHECK_BIN       the folder for the program, .coldcheck unless it is set
#	COLDCHECK_RELEASES  where the releases are, unless they are on GitHub
#
# It ends with 64 if a setting is wrong, with 65 if the download is not the release, and
# with 69 if there is no download. None of them is the exit code of a verdict.
set -eu

fail() {
	ended=$1
	shift
	echo "coldcheck: $*" >&2
	exit "$ended"
}

version=${COLDCHECK_VERSION:-}
version=${version#v}
case $version in
'' | *[!0-9A-Za-z.+-]* | [!0-9]*) fail 64 "COLDCHECK_VERSION is '$version': set it to a release, such as 1.2.3" ;;
esac
case $(uname -s) in
Linux) os=linux ;;
Darwin) os=darwin ;;
MINGW* | MSYS* | CYGWIN*) os=windows ;;
*) fail 64 "there is no release for $(uname -s)" ;;
esac
case $os-$(uname -m) in
windows-* | *-x86_64 | *-amd64) arch=amd64 ;;
*-aarch64 | *-arm64) arch=arm64 ;;
*) fail 64 "there is no release for $os on $(uname -m)" ;;
esac
case $os in
windows) archive=coldcheck_${version}_${os}_$arch.zip program=coldcheck.exe ;;
*) archive=coldcheck_${version}_${os}_$arch.tar.gz program=coldcheck ;;
esac

trusted=$(echo "${COLDCHECK_SHA256:-}" | tr A-F a-f)
for sum in $trusted; do
	case $sum in
	*[!0-9a-f]*) fail 64 "COLDCHECK_SHA256 has '$sum', which is not a SHA-256" ;;
	esac
	test "${#sum}" -eq 64 || fail 64 "COLDCHECK_SHA256 has '$sum', which is not a SHA-256"
done
if [ -z "$trusted" ] && ! command -v gh >/dev/null; then
	fail 64 "set COLDCHECK_SHA256 to the SHA-256 of $archive, or install gh, which verifies its attestation"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT
url=${COLDCHECK_RELEASES:-https://github.com/coldcheck/coldcheck/releases/download}/v$version/$archive
echo "coldcheck: downloading $url" >&2
case $url in
https:*) schemes='=https' ;;
*) schemes='=http,https' ;;
esac
if command -v curl >/dev/null; then
	set -- --fail --silent --show-error --location --proto "$schemes" --retry 5 --connect-timeout 30
	curl "$@" --output "$work/$archive" "$url" || fail 69 "$archive cannot be downloaded"
elif command -v wget >/dev/null; then
	wget -q -O "$work/$archive" "$url" || fail 69 "$archive cannot be downloaded"
else
	fail 64 "install curl or wget"
fi

if [ -n "$trusted" ]; then
	if command -v sha256sum >/dev/null; then
		sum=$(sha256sum <"$work/$archive")
	else
		sum=$(shasum -a 256 <"$work/$archive")
	fi
	sum=${sum%% *}
	known=no
	for one in $trusted; do
		if [ "$one" = "$sum" ]; then known=yes; fi
	done
	test $known = yes || fail 65 "$archive has the SHA-256 $sum, which is not in COLDCHECK_SHA256: do not use it"
else
	set -- --repo coldcheck/coldcheck --signer-workflow coldcheck/coldcheck/.github/workflows/release.yml
	set -- "$@" --source-ref "refs/tags/v$version" --deny-self-hosted-runners
	gh attestation verify "$work/$archive" "$@" >&2 ||
		fail 65 "the attestation of $archive cannot be verified: do not use it"
fi

mkdir "$work/tree"
case $archive in
*.zip) unzip -q "$work/$archive" -d "$work/tree" || fail 65 "$archive cannot be unpacked" ;;
*) tar -xzf "$work/$archive" -C "$work/tree" || fail 65 "$archive cannot be unpacked" ;;
esac
# The archive may have a folder around its files.
for found in "$work/tree/$program" "$work/tree"/*/"$program"; do
	if [ -f "$found" ]; then break; fi
done
test -f "$found" || fail 65 "$archive does not contain $program"
bin=${COLDCHECK_BIN:-.coldcheck}
mkdir -p "$bin"
mv -f "$found" "$bin/$program"
"$bin/$program" version >&2 || fail 65 "the program in $archive does not run on this machine"
