package linux

import (
	"encoding/xml"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var bpAntivirus = entry{
	Requirement: demand(requirement.Recommended, "linux.bp.antivirus", "antivirus is disabled", sectionPractices, explanation{
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
	"clamd*", "clamav-daemon", "clamav-clamonacc", "clamonacc", "falcon-sensor", "ds_agent", "mfetpd", "mfetp", "mfeespd", "isectpd",
	"sav-protect", "sophos-spl", "esets", "eea", "efs", "mdatp", "sentinelone", "cbagentd", "cbdaemon", "xagt", "kesl", "klnagent",
	"avast", "bdsrvscand", "bdsec", "cylancesvc", "traps_pmd", "symcfgd", "sisamdagent", "rtvscand", "f-secure-linuxsecurity*",
}

// judgeAntivirus decides linux.bp.antivirus.
func judgeAntivirus(units *unitSet) requirement.Outcome {
	var on, off []string
	var evidence, offEvidence []requirement.Evidence
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
		case u.State != unitMissing:
			off = append(off, u.describe())
			offEvidence = append(offEvidence, u.File)
		}
	}
	switch {
	case len(on) > 0:
		return requirement.Warn("antivirus is enabled: "+prose.Some(on), evidence...)
	case unread != nil:
		return requirement.Unreadable(unread)
	case len(off) > 0:
		return requirement.Pass("antivirus does not start: "+prose.Some(off), offEvidence...)
	}
	return requirement.Pass("no unit of a known antivirus program")
}

var bpFirewall = entry{
	Requirement: demand(requirement.Recommended, "linux.bp.firewall", "no firewall rule blocks the ports WorkSpaces needs", sectionPractices, explanation{
		Reads: "firewalld's zones, iptables' saved rules, nftables.conf and ufw's rules, where their service is enabled: TCP 8200, and TCP and UDP 4172 for PCoIP, 4195 for DCV.",
		Live:  "sudo firewall-cmd --list-all; sudo iptables -S; sudo nft list ruleset; sudo ufw status",
		Fix:   "Let TCP and UDP 4172 and 4195 and TCP 8200 in, or disable the firewall while the image is made.",
	}),
	Judge: (*Machine).decideFirewall,
}

// The ports that have to be reachable, by what needs them.
var (
	pcoipPorts  = []port{{"tcp", 4172}, {"udp", 4172}}
	dcvPorts    = []port{{"tcp", 4195}, {"udp", 4195}}
	alwaysPorts = []port{{"tcp", 8200}}
	knownPorts  = slices.Concat(pcoipPorts, dcvPorts, alwaysPorts)
)

type port struct {
	Protocol string
	Number   int
}

func (p port) String() string { return fmt.Sprintf("%s/%d", p.Protocol, p.Number) }

// A firewall is a rule set that is loaded at start, and what it says of the
// ports: those that a rule blocks, and whether what no rule names is let in.
type firewall struct {
	Name     string
	Blocked  []port
	Allowed  []port
	Open     bool // what no rule names is let in
	Evidence requirement.Evidence
}

// blocked returns those of the ports that do not get through.
func (f firewall) blocked(needed []port) []string {
	var list []string
	for _, p := range needed {
		if slices.Contains(f.Blocked, p) || !f.Open && !slices.Contains(f.Allowed, p) {
			list = append(list, p.String())
		}
	}
	return list
}

func (m *Machine) decideFirewall() requirement.Outcome {
	var all []firewall
	for _, read := range []func() ([]firewall, error){m.firewalld, m.iptables, m.nftables, m.ufw} {
		found, err := read()
		if err != nil {
			return requirement.Unreadable(err)
		}
		all = append(all, found...)
	}
	return judgeFirewall(all, m.neededPorts())
}

// neededPorts are those of the protocol that is installed, or of both where it
// is not known which it is.
func (m *Machine) neededPorts() []port {
	pcoip, _, err := m.installed(pcoipRule.packages...)
	dcv, _, dcvErr := m.installed(dcvRule.packages...)
	if err != nil || dcvErr != nil {
		return knownPorts
	}
	needed := slices.Clone(alwaysPorts)
	if pcoip != nil || dcv == nil {
		needed = append(needed, pcoipPorts...)
	}
	if dcv != nil || pcoip == nil {
		needed = append(needed, dcvPorts...)
	}
	return needed
}

// judgeFirewall decides linux.bp.firewall.
func judgeFirewall(all []firewall, needed []port) requirement.Outcome {
	if len(all) == 0 {
		return requirement.Pass("no firewall is enabled")
	}
	var evidence []requirement.Evidence
	var names []string
	for _, f := range all {
		names = append(names, f.Name)
		evidence = append(evidence, f.Evidence)
		if blocked := f.blocked(needed); len(blocked) > 0 {
			return requirement.Warn(f.Name+" does not let in "+strings.Join(blocked, ", "), f.Evidence)
		}
	}
	return requirement.Pass("let in by "+strings.Join(names, ", ")+": the ports that WorkSpaces needs", evidence...)
}

// enabled says whether a unit is started. One that depends on the boot counts.
func (m *Machine) enabled(unit string) (bool, error) {
	units, err := m.Units()
	if err != nil {
		return false, err
	}
	u := units.get(unit)
	if u.Err != nil || u.State != unitEnabled && u.State != unitSometimes {
		return false, u.Err
	}
	// A condition that is not met by any boot entry keeps it off.
	off := true
	for _, c := range units.boots {
		f, err := m.conditions(u.Facts.Conditions, c)
		if err != nil {
			return false, err
		}
		off = off && f.Certain
	}
	return !off, nil
}

// firewalld reads the default zone (firewalld.zone(5)), with the services that
// it names.
func (m *Machine) firewalld() ([]firewall, error) {
	on, err := m.enabled("firewalld.service")
	if err != nil || !on {
		return nil, err
	}
	data, _, err := m.tree.read("/etc/firewalld/firewalld.conf", maxConfig)
	if err != nil {
		return nil, err
	}
	zone := parseAssignments(string(data))["DefaultZone"]
	if zone == "" {
		zone = "public"
	}
	if strings.ContainsAny(zone, "/") {
		return nil, fmt.Errorf("etc/firewalld/firewalld.conf: DefaultZone %q is no name", zone)
	}
	text, f, err := m.firewalldFile("zones", zone)
	if err != nil {
		return nil, err
	}
	fw := firewall{Name: "firewalld's zone " + zone, Evidence: f.Evidence}
	parsed, err := parseFirewalld(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.Evidence.Path, err)
	}
	fw.Open = parsed.Target == "ACCEPT"
	fw.Allowed = parsed.ports()
	for _, s := range parsed.Services {
		if strings.ContainsAny(s.Name, "/") {
			continue
		}
		text, f, err := m.firewalldFile("services", s.Name)
		if err != nil {
			return nil, err
		}
		service, err := parseFirewalld(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Evidence.Path, err)
		}
		fw.Allowed = append(fw.Allowed, service.ports()...)
	}
	return []firewall{fw}, nil
}

// firewalldFile reads a zone or service: the administrator's, else firewalld's
// own. One that is not there is empty.
func (m *Machine) firewalldFile(kind, name string) ([]byte, File, error) {
	var data []byte
	var f File
	var err error
	for _, folder := range []string{"/etc/firewalld/", "/usr/lib/firewalld/"} {
		if data, f, err = m.tree.read(folder+kind+"/"+name+".xml", maxConfig); err != nil || f.Exists {
			break
		}
	}
	return data, f, err
}

type firewalldXML struct {
	Target   string `xml:"target,attr"`
	Services []struct {
		Name string `xml:"name,attr"`
	} `xml:"service"`
	Ports []struct {
		Port     string `xml:"port,attr"`
		Protocol string `xml:"protocol,attr"`
	} `xml:"port"`
}

func parseFirewalld(data []byte) (firewalldXML, error) {
	var f firewalldXML
	if len(data) == 0 {
		return f, nil
	}
	if err := xml.Unmarshal(data, &f); err != nil {
		return f, fmt.Errorf("not well-formed XML: %w", err)
	}
	return f, nil
}

// ports returns those of the known ports that are among the file's.
func (f firewalldXML) ports() []port {
	var list []port
	for _, p := range f.Ports {
		for _, known := range knownPorts {
			if p.Protocol == known.Protocol && inRange(p.Port, known.Number, "-") {
				list = append(list, known)
			}
		}
	}
	return list
}

// inRange says whether a port is the one that is written, or in the range.
func inRange(text string, number int, separator string) bool {
	from, to, isRange := strings.Cut(text, separator)
	first, err := strconv.Atoi(strings.TrimSpace(from))
	if err != nil {
		return false
	}
	last := first
	if isRange {
		if last, err = strconv.Atoi(strings.TrimSpace(to)); err != nil {
			return false
		}
	}
	return first <= number && number <= last
}

// iptables reads the rules that its services load at start.
func (m *Machine) iptables() ([]firewall, error) {
	var all []firewall
	for _, c := range []struct{ unit, file string }{
		{"iptables.service", "/etc/sysconfig/iptables"},
		{"netfilter-persistent.service", "/etc/iptables/rules.v4"},
	} {
		on, err := m.enabled(c.unit)
		if err != nil {
			return nil, err
		}
		if !on {
			continue
		}
		data, f, err := m.tree.read(c.file, maxConfig)
		if err != nil {
			return nil, err
		}
		if f.Exists {
			all = append(all, parseIPTables(string(data), f.Evidence))
		}
	}
	return all, nil
}

// nftables reads nothing of a rule set: its language is too rich to be judged
// from the text. One that names a drop is said to be there.
func (m *Machine) nftables() ([]firewall, error) {
	on, err := m.enabled("nftables.service")
	if err != nil || !on {
		return nil, err
	}
	for _, p := range []string{"/etc/nftables.conf", "/etc/sysconfig/nftables.conf"} {
		data, f, err := m.tree.read(p, maxConfig)
		if err != nil {
			return nil, err
		}
		if f.Exists && nftablesFilters(string(data)) {
			return nil, fmt.Errorf("%s filters what comes in, and its language is not read: check it with sudo nft list ruleset", f.Evidence.Path)
		}
	}
	return nil, nil
}

func nftablesFilters(text string) bool {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		if strings.Contains(line, "drop") || strings.Contains(line, "reject") || strings.Contains(line, "include") {
			return true
		}
	}
	return false
}

// ufw reads the rules of Ubuntu's firewall: its default, and its rules in the
// form of iptables.
func (m *Machine) ufw() ([]firewall, error) {
	on, err := m.enabled("ufw.service")
	if err != nil || !on {
		return nil, err
	}
	conf, _, err := m.tree.read("/etc/ufw/ufw.conf", maxConfig)
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(parseAssignments(string(conf))["ENABLED"], "yes") {
		return nil, nil
	}
	defaults, _, err := m.tree.read("/etc/default/ufw", maxConfig)
	if err != nil {
		return nil, err
	}
	rules, f, err := m.tree.read("/etc/ufw/user.rules", maxConfig)
	if err != nil {
		return nil, err
	}
	// The chain of the administrator's rules, which ufw calls out of INPUT.
	fw := parseIPTables("*filter\n:INPUT ACCEPT\n-A INPUT -j ufw-user-input\n"+string(rules), f.Evidence)
	fw.Name = "ufw"
	fw.Open = strings.EqualFold(parseAssignments(string(defaults))["DEFAULT_INPUT_POLICY"], "ACCEPT")
	return []firewall{fw}, nil
}

var bpUpdates = entry{
	Requirement: demand(requirement.Recommended, "linux.bp.updates", "package updates are recent", sectionPractices, explanation{
		Reads: "The package database: when a package was last installed or upgraded. Whether newer updates exist is not on the disk.",
		Live:  "rpm -qa --last | head (or ls -lt /var/lib/dpkg/info | head)",
		Fix:   "Upgrade all packages with the package manager, then restart.",
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
	message := fmt.Sprintf("packages were last updated on %s, %s before the scan", newest.UTC().Format(time.DateOnly), prose.Count(days, "day", "days"))
	if now.Sub(newest) > recentUpdates {
		return requirement.Warn(message+", more than 60", ev)
	}
	return requirement.Infer(message+"; whether newer ones exist is not on the disk", ev)
}

var bpCache = entry{
	Requirement: demand(requirement.Recommended, "linux.bp.cache", "cached data that should not enter the image is deleted", sectionPractices, explanation{
		Reads: "Browser profiles, shell histories and caches of root, which stay in the image. What lies in /home and /var/cache is removed by image creation.",
		Live:  "sudo ls -a /root /root/.cache",
		Fix:   "sudo rm -r /root/.cache /root/.mozilla /root/.config/google-chrome; sudo rm /root/.*_history",
	}),
	Judge: (*Machine).decideCache,
}

// cachePlaces are folders and files of root that hold what he did.
var cachePlaces = []string{
	"/root/.cache", "/root/.mozilla", "/root/.config/google-chrome", "/root/.config/chromium", "/root/.config/microsoft-edge",
	"/root/.bash_history", "/root/.zsh_history", "/root/.python_history", "/root/.mysql_history", "/root/.psql_history", "/root/.lesshst", "/root/.viminfo",
	"/root/.thunderbird", "/root/.local/share/Trash",
}

func (m *Machine) decideCache() requirement.Outcome {
	var names []string
	var evidence []requirement.Evidence
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
	}
	if len(names) > 0 {
		return requirement.Warn("cached data of root would enter the image: "+prose.Some(names), evidence...)
	}
	return requirement.Pass("no cached data of root was found")
}
