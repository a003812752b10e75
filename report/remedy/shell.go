package remedy

import (
	"fmt"
	"path"
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
		"linux.component.cloud-init": enableUnit("cloud-init.service", "cloud-init-local.service", "cloud-config.service", "cloud-final.service", "cloud-init.target"),
		"linux.component.pcoip":      enableUnit("pcoip.service", "pcoip-agent.service", "dcvserver.service"),
		"linux.component.skylight":   enableUnit("skylight-agent.service"),
		"linux.bp.antivirus":         disableAntivirus,
		"linux.bp.cache":             removeCaches,
	},
	begin:  shellBegin,
	change: shellChange,
	end: `
# ----------------------------------------------------------------------------
if [ "$failures" -gt 0 ]; then echo "changes that failed: $failures" >&2; fi
echo 'Findings left to be done by hand, see the comments in this script: BYHAND'
echo 'Restart the WorkSpace, and scan new images of it.'
[ "$failures" -eq 0 ]
`,
}

func shellBegin(s *report.Saved, o report.Options) string {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	comment(&b, "", fmt.Sprintf("Made by coldcheck %s from %s, the report of a scan of %s.", o.Version, s.Name, s.Started.UTC().Format("2006-01-02 15:04Z")))
	comment(&b, "For: ", s.Platform.ComputerName+", "+s.Platform.Name)
	b.WriteString(`#
# Read it before you run it. Then, on the WorkSpace: sudo sh ./remediate.sh
# It asks before each change. With --what-if it shows the changes and makes none.
# What is as it should be is left alone, so that it can be run again.
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

# wanted FINDING TARGET ACTION asks whether a change is to be made.
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
	echo "$1: left as it is: $2"
	return 1
}

# told STATUS FINDING TARGET says what became of a change.
told() {
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

// shellChange writes a change whose settled is a command that succeeds if there
// is nothing to do. Targets are checked strings: none holds a quote.
func shellChange(id string, c change) string {
	return fmt.Sprintf("if %[1]s; then\n\techo '%[2]s: nothing to do: %[3]s'\nelif wanted '%[2]s' '%[3]s' '%[4]s'; then\n\t%[5]s\n\ttold $? '%[2]s' '%[3]s'\nfi\n", c.settled, id, c.target, c.action, c.apply)
}

// unitName is what systemd allows in the name of a unit (systemd.unit(5)), but
// for the backslash of escapes and a leading dash.
var unitName = regexp.MustCompile(`^[A-Za-z0-9_@:.][A-Za-z0-9_@:.-]{0,250}\.(service|target|socket|timer)$`)

var systemctl = regexp.MustCompile(`^sudo systemctl (?:unmask ([^ ]+) && sudo systemctl )?enable ([^ ]+)$`)

// enableUnit does what the finding advises if that is to enable, and perhaps
// unmask, one of these units.
func enableUnit(units ...string) fixer {
	return func(f requirement.Finding, _ *report.Saved) ([]change, string) {
		m := systemctl.FindStringSubmatch(f.Outcome.Remediation)
		if m == nil || !slices.Contains(units, m[2]) || m[1] != "" && m[1] != m[2] {
			return nil, ""
		}
		c := change{
			target:  "unit " + m[2],
			action:  "enable it",
			settled: "systemctl is-enabled --quiet -- " + m[2],
			apply:   "systemctl enable -- " + m[2],
		}
		if m[1] != "" {
			c.action, c.apply = "unmask and enable it", "systemctl unmask -- "+m[2]+" && "+c.apply
		}
		return []change{c}, ""
	}
}

// disableAntivirus keeps the units that the evidence names from starting.
func disableAntivirus(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	seen := map[string]bool{}
	for _, e := range f.Evidence {
		unit := path.Base(e.Path)
		switch {
		case e.Source != "root" || !strings.HasSuffix(path.Dir(e.Path), ".wants") && !strings.HasSuffix(path.Dir(e.Path), ".requires") || !unitName.MatchString(unit):
			return nil, ""
		case seen[unit]:
			continue
		}
		seen[unit] = true
		changes = append(changes, change{
			target:  "unit " + unit,
			action:  "disable it while the image is made (it goes on running until the restart)",
			settled: "! systemctl is-enabled --quiet -- " + unit,
			apply:   "systemctl disable -- " + unit,
		})
	}
	return changes, ""
}

// cachedPlaces are the folders and files of root's that may be removed: those
// that the requirement names.
var cachedPlaces = []string{
	"root/.cache", "root/.mozilla", "root/.config/google-chrome", "root/.config/chromium", "root/.config/microsoft-edge",
	"root/.bash_history", "root/.zsh_history", "root/.python_history", "root/.mysql_history", "root/.psql_history", "root/.lesshst", "root/.viminfo",
	"root/.thunderbird", "root/.local/share/Trash",
}

// removeCaches removes what root keeps of his work, as far as the evidence names
// it.
func removeCaches(f requirement.Finding, _ *report.Saved) (changes []change, rest string) {
	for _, e := range f.Evidence {
		if e.Source != "root" || !slices.Contains(cachedPlaces, e.Path) {
			return nil, ""
		}
		changes = append(changes, change{
			target:  "/" + e.Path,
			action:  "remove it with all that is in it, for good",
			settled: "[ ! -e /" + e.Path + " ]",
			apply:   "rm -rf -- /" + e.Path,
		})
	}
	return changes, ""
}
