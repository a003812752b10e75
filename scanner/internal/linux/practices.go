package linux

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var bpAntivirus = entry{
	Requirement: require(requirement.Recommended, "linux.bp.antivirus",
		"Antivirus software should be disabled.", sectionPractices, explanation{
			Reads: "The systemd units of known antivirus programs, and whether they are enabled.",
			Live:  "systemctl list-unit-files --state=enabled",
			Fix:   "Disable the antivirus units with 'sudo systemctl disable' until the image exists.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		units, err := m.Units()
		if err != nil {
			return unreadable(err)
		}
		return judgeAntivirus(units)
	},
}

// antivirusUnits are the units of antivirus programs for Linux, without their
// suffix; "*" stands for any end.
var antivirusUnits = []string{
	"clamd*", "clamav-daemon", "clamav-clamonacc", "clamonacc", "falcon-sensor", "ds_agent", "mfetpd", "mfetp",
	"mfeespd", "isectpd",
	"sav-protect", "sophos-spl", "esets", "eea", "efs", "mdatp", "sentinelone", "cbagentd", "cbdaemon", "xagt", "kesl",
	"klnagent",
	"avast", "bdsrvscand", "bdsec", "cylancesvc", "traps_pmd", "symcfgd", "sisamdagent", "rtvscand",
	"f-secure-linuxsecurity*",
}

// judgeAntivirus decides linux.bp.antivirus.
func judgeAntivirus(units *unitSet) requirement.Outcome {
	var on, off []string
	var evidence, offEvidence []requirement.Evidence
	var starting []requirement.Subject
	unread := units.err
	for _, u := range units.all() {
		name := strings.TrimSuffix(u.Name, path.Ext(u.Name))
		if !slices.ContainsFunc(antivirusUnits, func(known string) bool { return matches(name, known) }) {
			continue
		}
		switch {
		case u.Err != nil:
			unread = joinErrors(unread, u.Err)
		case u.State == unitEnabled || u.State == unitSometimes:
			on = append(on, u.Name)
			evidence = append(evidence, u.WantedBy...)
			starting = append(starting, u.enabledBy()...)
		case u.State != unitMissing:
			off = append(off, u.describe())
			offEvidence = append(offEvidence, u.File)
		}
	}
	switch {
	case len(on) > 0:
		o := requirement.Warn("Antivirus software starts at boot: "+prose.Some(on)+".", evidence...)
		if plain(on...) {
			o.Remediation = fmt.Sprintf("Run 'sudo systemctl disable %s' until the image exists.", strings.Join(on, " "))
		}
		return o.About(starting...)
	case unread != nil:
		return unreadable(unread)
	case len(off) > 0:
		return requirement.Pass("Antivirus software does not start at boot: "+prose.Some(off)+".", offEvidence...)
	}
	return requirement.Pass("The system has no unit of a known antivirus program.")
}

// enabledBy names what makes the unit start: the unit as a link on the root volume
// names it, which disabling removes, and the unit itself where something else
// pulls it in.
func (u Unit) enabledBy() []requirement.Subject {
	var list []requirement.Subject
	for _, ev := range u.WantedBy {
		s := unitSubject(path.Base(ev.Path), requirement.ReasonEnabled, "")
		if folder := path.Ext(path.Dir(ev.Path)); ev.Source != "root" || folder != ".wants" && folder != ".requires" {
			s = unitSubject(u.Name, requirement.ReasonPulledIn, "")
		}
		if !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}

var bpUpdates = entry{
	Requirement: require(requirement.Recommended, "linux.bp.updates", "Package updates should be recent.",
		sectionPractices,
		explanation{
			Reads: "The package database: when a package was last installed or upgraded.",
			Live:  "rpm -qa --last | head (Ubuntu: ls -lt /var/lib/dpkg/info | head)",
			Fix:   "Upgrade all packages with the package manager, then restart.",
			Doubts: "AWS gives no number of days; 60 days is this program's choice. Whether newer updates exist is not " +
				"on the disk.",
		}),
	Judge: (*Machine).decideUpdates,
}

// recentUpdates is how old the last update may be.
const recentUpdates = 60 * 24 * time.Hour

func (m *Machine) decideUpdates() requirement.Outcome {
	db, err := m.Packages()
	if err != nil {
		return unreadable(err)
	}
	list, err := db.Packages()
	if err != nil {
		return unreadable(err)
	}
	var newest time.Time
	ev := m.ofPackages(db)
	for _, p := range list {
		if p.IsInstalled() && p.Installed.After(newest) {
			newest = p.Installed
			ev.Value, ev.Data, ev.Time = p.Name, version(p), p.Installed.UTC()
		}
	}
	o := judgeUpdates(newest, m.in.Now, ev)
	o.Remediation = m.upgrade()
	return o
}

// judgeUpdates decides linux.bp.updates from the time of the last one.
func judgeUpdates(newest, now time.Time, ev requirement.Evidence) requirement.Outcome {
	if newest.IsZero() {
		return requirement.Unknown("The package database has no installation times.", ev)
	}
	message := "A package was last installed or upgraded on " + newest.UTC().Format(time.DateOnly)
	until := newest.Add(recentUpdates)
	if now.After(until) {
		return requirement.Warn(message+", more than 60 days before the scan.", ev)
	}
	// No number of days, so that the outcome is the same on many days.
	if newest.After(now) {
		message += ", after the time of the scan."
		until = newest.Add(-1)
	} else {
		message += ", within the 60 days before the scan."
	}
	o := requirement.Infer(message, ev)
	o.Until = until
	return o
}

var bpCache = entry{
	Requirement: require(requirement.Recommended, "linux.bp.cache",
		"Cached data that should not be in the image should be deleted.", sectionPractices, explanation{
			Reads: "Browser profiles, shell histories and caches of root, which stay in the image. Image creation " +
				"removes /home and /var/cache.",
			Live: "sudo ls -a /root /root/.cache",
			Fix:  "Delete the caches, browser profiles and histories in /root with 'sudo rm -r'.",
		}),
	Judge: (*Machine).decideCache,
}

// cachePlaces are folders and files of root that hold what he did.
var cachePlaces = []string{
	"/root/.cache", "/root/.mozilla", "/root/.config/google-chrome", "/root/.config/chromium",
	"/root/.config/microsoft-edge",
	"/root/.bash_history", "/root/.zsh_history", "/root/.python_history", "/root/.mysql_history", "/root/.psql_history",
	"/root/.lesshst", "/root/.viminfo",
	"/root/.thunderbird", "/root/.local/share/Trash",
}

func (m *Machine) decideCache() requirement.Outcome {
	var names []string
	var evidence []requirement.Evidence
	var kept []requirement.Subject
	for _, p := range cachePlaces {
		f, err := m.tree.file(p)
		if err != nil {
			return unreadable(err)
		}
		if !f.Exists || !f.Dir && f.Size == 0 {
			continue
		}
		if f.Dir {
			entries, _, err := m.tree.list(p)
			if err != nil {
				return unreadable(err)
			}
			if len(entries) == 0 {
				continue
			}
		}
		names = append(names, p)
		evidence = append(evidence, f.Evidence)
		kept = append(kept, fileSubject(f.Evidence, requirement.ReasonPresent))
	}
	if len(names) > 0 {
		o := requirement.Warn("The image would contain cached data of root: "+prose.Some(names)+".",
			evidence...).About(kept...)
		o.Remediation = fmt.Sprintf("Run 'sudo rm -r %s'.", strings.Join(names, " "))
		return o
	}
	return requirement.Pass("The home folder of root has no cached data.")
}
