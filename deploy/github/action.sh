#!/usr/bin/env bash
# The script of the GitHub action (action.yml in the root): gets the program, scans, and
# shows the result in the run. It ends as the scan does. Its settings are those of
# deploy/ci/get.sh and deploy/ci/scan.sh, and
#
#	COLDCHECK_SUMMARY       true to write the report to the job summary
#	COLDCHECK_ANNOTATIONS   true to annotate the run with what is not met
#	COLDCHECK_UPLOAD_SARIF  true if the SARIF report is uploaded to code scanning
#
# The runner sets GITHUB_OUTPUT and GITHUB_STEP_SUMMARY.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

# The action belongs to a commit, so its own release is the newest one in the change log.
if [ -z "${COLDCHECK_VERSION:-}" ]; then
	COLDCHECK_VERSION=$(sed -n 's/^## \[\{0,1\}v\{0,1\}\([0-9][0-9A-Za-z.+-]*\).*/\1/p' "$here/../../CHANGELOG.md" |
		head -n 1)
	export COLDCHECK_VERSION
	if [ -z "$COLDCHECK_VERSION" ]; then
		echo "coldcheck: this commit of the action has no release: set the input version" >&2
		exit 64
	fi
fi
# The name of an archive does not say which release a path holds, so each has its own.
export COLDCHECK_BIN="${RUNNER_TEMP:-/tmp}/coldcheck-${COLDCHECK_VERSION#v}"
"$here/../ci/get.sh"
# The scan has no use for the token.
unset GH_TOKEN

formats=${COLDCHECK_FORMATS:-}
if [ "${COLDCHECK_SUMMARY:-}" = true ]; then formats+=" markdown"; fi
if [ "${COLDCHECK_UPLOAD_SARIF:-}" = true ]; then formats+=" sarif"; fi
COLDCHECK_FORMATS=$(echo "$formats" | tr ', ' '\n' | sort -u)
export COLDCHECK_FORMATS
reports=${COLDCHECK_REPORTS:-coldcheck-reports}
findings=$reports/coldcheck.findings
trap 'rm -f "$findings"' EXIT
template=$here/annotations.tmpl
# On Windows, the shell changes arguments that look like its paths. The program gets none.
if command -v cygpath >/dev/null; then
	template=$(cygpath -m "$template")
	export MSYS_NO_PATHCONV=1
fi
if grep -qE '^[[:space:]]*(--template|(-o|--output)[= ]?template)' <<<"${COLDCHECK_FLAGS:-}"; then
	echo "coldcheck: the action has a template of its own: use another format" >&2
	exit 64
fi
COLDCHECK_FLAGS="${COLDCHECK_FLAGS:-}
--template=$template
--output=template=$findings"
export COLDCHECK_FLAGS

# A report has text from the images, and the runner obeys lines of output that look like its
# commands. It obeys none until it sees the token again. Both streams are one, so that no line
# of the scan comes after the token.
token=$(od -A n -N 16 -t x1 /dev/urandom | tr -d ' \n')
echo "::stop-commands::$token"
code=0
"$here/../ci/scan.sh" 2>&1 || code=$?
echo
echo "::$token::"

verdict=
errors=0 warnings=0
while IFS='|' read -r kind id text; do
	case $kind in
	verdict) verdict=$id ;;
	error) errors=$((errors + 1)) shown=$errors ;;
	warning) warnings=$((warnings + 1)) shown=$warnings ;;
	esac
	# The runner shows ten annotations of each kind in a step.
	if [ "$kind" != verdict ] && [ "${COLDCHECK_ANNOTATIONS:-}" = true ] && [ "$shown" -le 10 ]; then
		echo "::$kind title=$id::${text//%/%25}"
	fi
done < <(cat "$findings" 2>/dev/null)
if [ -z "$verdict" ]; then
	echo "::error title=coldcheck::There is no verdict: the scan ended with exit code $code. The log says why."
fi

{
	echo "exit-code=$code"
	echo "verdict=$verdict"
	echo "version=${COLDCHECK_VERSION#v}"
	if [ -n "$verdict" ]; then
		echo "reports=$reports"
		if [ -s "$reports/coldcheck.sarif" ]; then echo "sarif=$reports/coldcheck.sarif"; fi
	fi
} >>"$GITHUB_OUTPUT"
if [ "${COLDCHECK_SUMMARY:-}" = true ] && [ -s "$reports/coldcheck.md" ]; then
	cat "$reports/coldcheck.md" >>"$GITHUB_STEP_SUMMARY"
fi
exit "$code"
