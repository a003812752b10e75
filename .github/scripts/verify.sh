#!/usr/bin/env bash
# Downloads a published release as a user does, and verifies it: verify.sh TAG. The program for
# this machine must run, be of that version, and find out what is not ready.
set -euo pipefail
tag=$1 version=${1#v}
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

COLDCHECK_VERSION=$version COLDCHECK_BIN=$work/bin "$root/deploy/ci/get.sh"
printed=$("$work/bin/coldcheck" version)
case $printed in
"coldcheck v$version" | "coldcheck v$version "*) ;;
*)
	echo "verify: the program says that it is $printed" >&2
	exit 1
	;;
esac
"$work/bin/coldcheck" demo --case ready --quiet
code=0
"$work/bin/coldcheck" demo --case failing --quiet || code=$?
test "$code" -eq 1

# Every file, on one kind of machine.
if [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ]; then
	gh release download "$tag" --repo "$GITHUB_REPOSITORY" --dir "$work/files"
	cd "$work/files"
	sha256sum --strict --quiet -c SHA256SUMS
	for file in *; do
		gh attestation verify "$file" --repo coldcheck/coldcheck \
			--signer-workflow coldcheck/coldcheck/.github/workflows/release.yml \
			--source-ref "refs/tags/$tag" --deny-self-hosted-runners
	done
fi
