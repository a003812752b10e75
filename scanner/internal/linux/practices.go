package linux

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var bpAntivirus = entry{
	Requirement: demand(requirement.Recommended, "linux.bp.antivirus", "antivirus is disabled", sectionPractices,
		explanation{
			Reads: "Units of known antivirus programs, and whether they are enabled.",
			Live:  "systemctl list-unit-files --state=enabled",
			Fix:   "sudo systemctl disable the antivirus while the image is made.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		units, err := m.Units()
		if err != nil {
			return requirement.Unreadable(err)
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
			unread = errors.Join(unread, u.Err)
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
		return requirement.Warn("antivirus is enabled: "+prose.Some(on), evidence...).About(starting...)
	case unread != nil:
		return requirement.Unreadable(unread)
	case len(off) > 0:
		return requirement.Pass("antivirus does not start: "+prose.Some(off), offEvidence...)
	}
	return requirement.Pass("no unit of a known antivirus program")
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
	Requirement: demand(requirement.Recommended, "linux.bp.updates", "package updates are recent", sectionPractices,
		explanation{
			Reads: "The package database: when a package was last installed or upgraded. Whether newer updates exist " +
				"is not on the disk.",
			Live: "rpm -qa --last | head (or ls -lt /var/lib/dpkg/info | head)",
			Fix:  "Upgrade all packages with the package manager, then restart.",
		}),
	Judge: (*Machine).decideUpdates,
}

// recentUpdates is how old the last update may be.
const recentUpdates = 60 * 24 * time.Hour

func (m *Machine) decideUpdates() requirement.Outcome {
	db, err := m.Packages()
	if err != nil {
		return requirement.Unreadable(err)
	}
	list, err := db.Packages()
	if err != nil {
		return requirement.Unreadable(err)
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
	o.Remediation = "sudo " + m.manager() + " upgrade, then restart."
	if m.manager() == "yum" {
		o.Remediation = "sudo yum update, then restart."
	}
	return o
}

// judgeUpdates decides linux.bp.updates from the time of the last one.
func judgeUpdates(newest, now time.Time, ev requirement.Evidence) requirement.Outcome {
	if newest.IsZero() {
		return requirement.Unknown("the package database does not say when anything was installed", ev)
	}
	days := int(now.Sub(newest).Hours() / 24)
	message := fmt.Sprintf("packages were last updated on %s, %s before the scan", newest.UTC().Format(time.DateOnly),
		prose.Count(days, "day", "days"))
	if now.Sub(newest) > recentUpdates {
		return requirement.Warn(message+", more than 60", ev)
	}
	return requirement.Infer(message+"; whether newer ones exist is not on the disk", ev)
}

var bpCache = entry{
	Requirement: demand(requirement.Recommended, "linux.bp.cache",
		"cached data that should not enter the image is deleted", sectionPractices, explanation{
			Reads: "Browser profiles, shell histories and caches of root, which stay in the image. What lies in " +
				"/home and /var/cache is removed by image creation.",
			Live: "sudo ls -a /root /root/.cache",
			Fix:  "sudo rm -r /root/.cache /root/.mozilla /root/.config/google-chrome; sudo rm /root/.*_history",
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
			return requirement.Unreadable(err)
		}
		if !f.Exists || !f.Dir && f.Size == 0 {
			continue
		}
		if f.Dir {
			entries, _, err := m.tree.list(p)
			if err != nil {
				return requirement.Unreadable(err)
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
		return requirement.Warn("cached data of root would enter the image: "+prose.Some(names),
			evidence...).About(kept...)
	}
	return requirement.Pass("no cached data of root was found")
}
