// A step for Jenkins: gets a release of coldcheck, scans the images of one WorkSpace, and
// keeps the reports. It returns the exit code of the scan, and fails with it.
//
//     coldcheckScan images: ['ebs:snap-…', 'ebs:snap-…'], version: '1.2.3', sha256: '…'
//
// docs/guide-ci.md says how to load it and lists the options. The agent runs Linux or macOS.

def call(Map options) {
    def allowed = ['images', 'version', 'sha256', 'with', 'waivers', 'failOn', 'flags', 'formats', 'releases', 'reports',
        'inconclusive']
    for (name in options.keySet()) {
        // A misspelled failOn must not let a machine pass.
        if (!(name in allowed)) {
            error("coldcheckScan: there is no option ${name}: use one of ${allowed.join(', ')}")
        }
    }
    for (name in ['images', 'version', 'sha256']) {
        if (!options[name]) {
            error("coldcheckScan: the option ${name} is required")
        }
    }
    def inconclusive = options.inconclusive ?: 'failure'
    if (!(inconclusive in ['failure', 'unstable'])) {
        error("coldcheckScan: inconclusive is 'failure' or 'unstable', not '${inconclusive}'")
    }
    def reports = options.reports ?: 'coldcheck-reports'
    def settings = [
        "COLDCHECK_IMAGES=${lines(options.images)}",
        "COLDCHECK_WITH=${lines(options.with)}",
        "COLDCHECK_WAIVERS=${options.waivers ?: ''}",
        "COLDCHECK_FAIL_ON=${options.failOn ?: ''}",
        "COLDCHECK_FLAGS=${lines(options.flags)}",
        "COLDCHECK_FORMATS=junit ${options.formats ?: 'json html'}",
        "COLDCHECK_REPORTS=${reports}",
        "COLDCHECK_VERSION=${options.version}",
        "COLDCHECK_SHA256=${options.sha256}",
    ]
    if (options.releases) {
        settings.add("COLDCHECK_RELEASES=${options.releases}")
    }
    def code = 0
    withEnv(settings) {
        sh label: 'Get coldcheck', script: downloadScript()
        try {
            code = sh label: 'Scan', script: scanScript(), returnStatus: true
        } finally {
            junit allowEmptyResults: true, testResults: "${reports}/coldcheck.xml"
            archiveArtifacts allowEmptyArchive: true, artifacts: "${reports}/coldcheck.*"
        }
    }
    if (code == 3 && inconclusive == 'unstable') {
        unstable('coldcheck: inconclusive: a requirement is undecided (exit code 3)')
    } else if (code != 0) {
        def meaning = code == 1 ? 'not ready' : code == 3 ? 'inconclusive' : 'no verdict'
        error("coldcheck: ${meaning} (exit code ${code})")
    }
    return code
}

// A list, or a text that has one element a line already.
private String lines(value) {
    return value instanceof List ? value.join('\n') : (value ?: '')
}

private String downloadScript() {
    return '''
# begin deploy/ci/get.sh
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
# end deploy/ci/get.sh
'''
}

private String scanScript() {
    return '''
# begin deploy/ci/scan.sh
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
# end deploy/ci/scan.sh
'''
}
