package remedy

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// shell writes for any sh of POSIX. Nothing of a report gets into its code but
// what unitName and cachedPlaces let through.
var shell = language{
	fixers: map[string]fixer{
		"linux.component.cloud-init": enableUnit("cloud-init.service", "cloud-init-local.service",
			"cloud-config.service", "cloud-final.service", "cloud-init.target"),
		"linux.component.pcoip":    enableUnit("pcoip.service", "pcoip-agent.service", "dcvserver.service"),
		"linux.component.skylight": enableUnit("skylight-agent.service"),
		"linux.bp.antivirus":       disableAntivirus,
		"linux.bp.cache":           removeCaches,
	},
	begin:  shellBegin,
	change: shellChange,
	end: `
# ----------------------------------------------------------------------------
if [ "$failures" -gt 0 ]; then echo "changes that failed: $failures" >&2; fi
echo 'Findings to fix by hand, see the comments in this script: BYHAND'
echo 'Restart the WorkSpace, and scan new images of it.'
[ "$failures" -eq 0 ]
`,
}

func shellBegin(s *report.Saved, o report.Options) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	comment(&b, "", fmt.Sprintf("Made by coldcheck %s from %s, the report of a scan of %s.", o.Version, s.Name,
		s.Started.UTC().Format("2006-01-02 15:04:05Z")))
	comment(&b, "For: ", s.Platform.ComputerName+", "+s.Platform.Name)
	b.WriteString(`#
# Read it before you run it. Then, on the WorkSpace: sudo sh ./remediate.sh
# It asks before each change. With --what-if it shows the changes and makes none.
# It skips what is correct already, so you can run it again.
set -u
failures=0
whatif=
case "${1-}" in
'') ;;
--what-if) whatif=yes ;;
*)
	echo "usage: $0 [--what-if]" >&2
	exit 64
	;;
esac
if [ -z "$whatif" ] && [ "$(id -u)" -ne 0 ]; then
	echo 'Run it as root: sudo sh ./remediate.sh' >&2
	exit 1
fi

# wanted FINDING TARGET ACTION asks whether to make a change.
wanted() {
	if [ -n "$whatif" ]; then
		echo "$1: would be done: $3: $2"
		return 1
	fi
	printf '%s: %s: %s? [y/N] ' "$1" "$2" "$3"
	answer=
	read -r answer </dev/tty || answer=
	case "$answer" in
	[yY] | [yY][eE][sS]) return 0 ;;
	esac
	echo "$1: not changed: $2"
	return 1
}

# ended STATUS FINDING TARGET reports the result of a change.
ended() {
	if [ "$1" -eq 0 ]; then
		echo "$2: done: $3"
	else
		echo "$2: failed: $3" >&2
		failures=$((failures + 1))
	fi
}
`)
	return b.String()
}

// shellChange writes a change whose settled is a command that succeeds if the
// change is to be skipped. Targets are checked strings: none holds a quote.
func shellChange(id string, c change) string {
	return fmt.Sprintf(
		"if %[1]s; then\n\techo '%[2]s: skipped: %[3]s'\nelif wanted '%[2]s' '%[3]s' '%[4]s'; "+
			"then\n\t%[5]s\n\tended $? '%[2]s' '%[3]s'\nfi\n", c.settled, id, c.target, c.action, c.apply)
}

// unitName is what systemd allows in the name of a unit (systemd.unit(5)), but
// for the backslash of escapes and a leading dash.
var unitName = regexp.MustCompile(`^[A-Za-z0-9_@:.][A-Za-z0-9_@:.-]{0,250}\.(service|target|socket|timer)$`)

// enableUnit enables, and perhaps unmasks, the unit that the finding is about, if
// it is about nothing else and that is one of these.
func enableUnit(units ...string) fixer {
	return func(f requirement.Finding, _ *report.Saved) ([]change, string) {
		if len(f.Subjects) != 1 || f.Subjects[0].Kind != requirement.SubjectUnit ||
			!slices.Contains(units, f.Subjects[0].ID) {
			return nil, ""
		}
		unit := f.Subjects[0].ID
		c := change{
			target:  "unit " + unit,
			action:  "enable it",
			settled: "systemctl is-enabled --quiet -- " + unit,
			apply:   "systemctl enable -- " + unit,
		}
		switch f.Subjects[0].Reason {
		case requirement.ReasonDisabled:
		case requirement.ReasonMasked:
			c.action, c.apply = "unmask and enable it", "systemctl unmask -- "+unit+" && "+c.apply
		default:
			return nil, ""
		}
		return []change{c}, ""
	}
}

// disableAntivirus keeps the units that the finding names from starting, if each
// of them is enabled.
func disableAntivirus(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	for _, s := range f.Subjects {
		if s.Kind != requirement.SubjectUnit || s.Reason != requirement.ReasonEnabled || !unitName.MatchString(s.ID) {
			return nil, ""
		}
		changes = append(changes, change{
			target:  "unit " + s.ID,
			action:  "disable it while the image is made (it goes on running until the restart)",
			settled: "! systemctl is-enabled --quiet -- " + s.ID,
			apply:   "systemctl disable -- " + s.ID,
		})
	}
	return changes, ""
}

// cachedPlaces are the folders and files of root's that may be removed: those
// that the requirement names.
var cachedPlaces = []string{
	"root/.cache", "root/.mozilla", "root/.config/google-chrome", "root/.config/chromium",
	"root/.config/microsoft-edge",
	"root/.bash_history", "root/.zsh_history", "root/.python_history", "root/.mysql_history", "root/.psql_history",
	"root/.lesshst", "root/.viminfo",
	"root/.thunderbird", "root/.local/share/Trash",
}

// removeCaches removes the caches and histories of root that the finding names, if all
// of them are on the root volume.
func removeCaches(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	for _, s := range f.Subjects {
		isFile := s.Kind == requirement.SubjectFile || s.Kind == requirement.SubjectFolder
		if !isFile || s.Value != "" || s.Reason != requirement.ReasonPresent || !slices.Contains(cachedPlaces, s.ID) {
			return nil, ""
		}
		changes = append(changes, change{
			target:  "/" + s.ID,
			action:  "remove it with all that is in it, for good",
			settled: "[ ! -e /" + s.ID + " ]",
			apply:   "rm -rf -- /" + s.ID,
		})
	}
	return changes, ""
}
