#!/bin/sh
# Prints the part of the change log for a tag: notes.sh TAG. It fails if there is none, and
# if the tag is not a version.
set -eu
version=${1#v}
if [ "$1" = "$version" ] || ! echo "$version" |
	grep -qE '^(0|[1-9][0-9]*)[.](0|[1-9][0-9]*)[.](0|[1-9][0-9]*)(-[0-9A-Za-z.-]+)?$'; then
	echo "notes: $1 is not a tag such as v1.2.3" >&2
	exit 1
fi
notes=$(awk -v version="$version" '
	/^## / {
		name = $2
		gsub(/[][]/, "", name)
		sub(/^v/, "", name)
		found = name == version
		next
	}
	found' CHANGELOG.md)
if [ -z "$notes" ]; then
	echo "notes: CHANGELOG.md has nothing about $version: move the changes below ## Unreleased to it" >&2
	exit 1
fi
echo "$notes"
