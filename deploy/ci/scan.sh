#!/bin/sh
# Scans the images of one WorkSpace in a CI job and writes reports. It ends as coldcheck
# does.
#
#	COLDCHECK_IMAGES   the images, one a line
#	COLDCHECK_WITH     documents from AWS, one a line
#	COLDCHECK_WAIVERS  a file with waivers
#	COLDCHECK_FAIL_ON  what ends the job: failed, warning, recommended or never
#	COLDCHECK_FLAGS    more flags, one a line, such as --user-name=jdoe
#	COLDCHECK_FORMATS  the reports besides the one in the log: sarif, markdown, json,
#	                   jsonl, html, junit and log, separated by spaces, commas or lines
#	COLDCHECK_REPORTS  the folder for them, coldcheck-reports unless it is set; earlier
#	                   reports in it are removed first
#	COLDCHECK_BIN      the folder with the program, .coldcheck unless it is set

# A trace would show the query of a URL, which is a secret.
{ set +x; } 2>/dev/null
set -eu

reports=${COLDCHECK_REPORTS:-coldcheck-reports}
mkdir -p "$reports"
for name in sarif md json jsonl html xml log; do
	rm -f "$reports/coldcheck.$name"
done
set -- -o table
for format in $(echo "${COLDCHECK_FORMATS:-}" | tr , ' '); do
	case $format in
	sarif | json | jsonl | html | log) name=coldcheck.$format ;;
	markdown) name=coldcheck.md ;;
	junit) name=coldcheck.xml ;;
	*)
		echo "coldcheck: '$format' is not a report for CI: use sarif, markdown, json, jsonl, html, junit or log" >&2
		exit 64
		;;
	esac
	set -- "$@" -o "$format=$reports/$name"
done
if [ -n "${COLDCHECK_WAIVERS:-}" ]; then set -- "$@" --waivers "$COLDCHECK_WAIVERS"; fi
if [ -n "${COLDCHECK_FAIL_ON:-}" ]; then set -- "$@" --fail-on "$COLDCHECK_FAIL_ON"; fi
while read -r document; do
	if [ -n "$document" ]; then set -- "$@" --with "$document"; fi
done <<END
${COLDCHECK_WITH:-}
END
while read -r flag; do
	if [ -n "$flag" ]; then set -- "$@" "$flag"; fi
done <<END
${COLDCHECK_FLAGS:-}
END
set -- "$@" --
while read -r image; do
	if [ -n "$image" ]; then set -- "$@" "$image"; fi
done <<END
${COLDCHECK_IMAGES:-}
END
exec "${COLDCHECK_BIN:-.coldcheck}/coldcheck" scan "$@"
