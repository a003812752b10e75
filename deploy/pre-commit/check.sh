#!/bin/sh
# The hooks for pre-commit: check.sh waivers|targets FILE…. They need coldcheck in the PATH.
#
# A file with waivers is read by a scan of images that are built into the program. It must be
# correct, and name requirements that exist. A list of targets is read by a report of no
# records: 3 means that the list is correct, and that nothing has been scanned.
set -u
here=$(cd "$(dirname "$0")" && pwd)
kind=$1
shift
if ! command -v coldcheck >/dev/null; then
	echo "the hook needs coldcheck in the PATH (docs/install.md)" >&2
	exit 1
fi
none=$(mktemp -d)
trap 'rm -rf "$none"' EXIT
failed=0
for file; do
	case $kind in
	waivers)
		notices=$(coldcheck demo --case ready --no-progress -o template --template "$here/notices.tmpl" --waivers "$file")
		code=$? good=0
		;;
	targets)
		notices=
		coldcheck fleet report "$none" --targets "$file" >/dev/null
		code=$? good=3
		;;
	*)
		echo "usage: check.sh waivers|targets FILE…" >&2
		exit 64
		;;
	esac
	if [ "$code" -ne "$good" ] || [ -n "$notices" ]; then
		failed=1
		if [ -n "$notices" ]; then echo "$file: $notices" >&2; fi
	fi
done
exit "$failed"
