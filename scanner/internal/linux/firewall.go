package linux

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var bpFirewall = entry{
	Requirement: require(requirement.Recommended, "linux.bp.firewall",
		"The firewall should not block the ports that WorkSpaces needs.", sectionPractices, explanation{
			Reads: "The rules that are loaded at boot: firewalld (the zone of the first interface, its services, rich " +
				"rules, policies, direct rules), saved iptables rules, nftables rule sets with their includes, and " +
				"ufw with its before and after rules. They must accept IPv4 on the first interface: TCP 8200, TCP and " +
				"UDP 4172 (PCoIP), TCP and UDP 4195 (DCV).",
			Live:   "sudo firewall-cmd --list-all-zones; sudo iptables -S; sudo nft list ruleset; sudo ufw status",
			Fix:    "Allow TCP 8200 and TCP and UDP 4172 (PCoIP) or 4195 (DCV), or disable the firewall until the image exists.",
			Doubts: "Panic mode of firewalld is not stored on the disk. Its lockdown opens and blocks no port.",
		}),
	Judge: (*Machine).decideFirewall,
}

// The ports that must be reachable, by the component that needs them.
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

// proseOf names ports in a message: "TCP 8200, UDP 4172".
func proseOf(ports []port) string {
	var list []string
	for _, p := range ports {
		list = append(list, fmt.Sprintf("%s %d", strings.ToUpper(p.Protocol), p.Number))
	}
	return strings.Join(list, ", ")
}

// A firewall is a rule set that is loaded at start, and what it makes of the
// ports.
type firewall struct {
	Name     string
	Outcomes map[port]outcome
	Why      string                    // what was not followed, where something was not
	Allow    func(ports []port) string // how to allow ports; nil where only the rules say it
	Evidence requirement.Evidence
}

// newFirewall asks a rule set what it makes of each port; names are those that
// the interface may have.
func newFirewall(name string, ev requirement.Evidence, names []string, outcomeOf func(packet) outcome) firewall {
	f := firewall{Name: name, Evidence: ev, Outcomes: map[port]outcome{}}
	for _, p := range knownPorts {
		for _, n := range names {
			f.Outcomes[p] |= outcomeOf(packet{port: p, Interface: n})
		}
	}
	return f
}

// with lists those of the ports of which the outcome is as wanted.
func (f firewall) with(needed []port, want func(outcome) bool) []port {
	var list []port
	for _, p := range needed {
		if want(f.Outcomes[p]) {
			list = append(list, p)
		}
	}
	return list
}

// remedy says how to allow ports that the firewall blocks.
func (f firewall) remedy(blocked []port) string {
	if f.Allow != nil {
		return f.Allow(blocked)
	}
	return fmt.Sprintf("Add rules that accept %s to the rules of %s, or disable the firewall until the image exists.",
		proseOf(blocked), f.Name)
}

func (m *Machine) decideFirewall() requirement.Outcome {
	var all []firewall
	var unread error
	for _, read := range []func() ([]firewall, error){m.firewalld, m.iptables, m.nftables, m.ufw, m.otherFirewalls} {
		found, err := read()
		unread = joinErrors(unread, err)
		all = append(all, found...)
	}
	return judgeFirewall(all, unread, m.neededPorts())
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

// judgeFirewall decides linux.bp.firewall. A port that one firewall blocks is
// blocked whatever is in doubt elsewhere.
func judgeFirewall(all []firewall, unread error, needed []port) requirement.Outcome {
	var evidence []requirement.Evidence
	var names []string
	for _, f := range all {
		names = append(names, f.Name)
		evidence = append(evidence, f.Evidence)
		if blocked := f.with(needed, func(o outcome) bool { return o == outDrop }); len(blocked) > 0 {
			o := requirement.Warn("The firewall blocks ports that WorkSpaces needs: "+proseOf(blocked)+" ("+f.Name+").",
				f.Evidence)
			o.Remediation = f.remedy(blocked)
			for _, p := range blocked {
				o = o.About(requirement.Subject{Kind: requirement.SubjectPort, ID: p.String(), Reason: requirement.ReasonBlocked,
					Value: f.Name})
			}
			return o
		}
	}
	if unread != nil {
		return unreadable(unread)
	}
	for _, f := range all {
		if open := f.with(needed, func(o outcome) bool { return o != outAccept }); len(open) > 0 {
			why := f.Why
			if why == "" {
				why = "the rules depend on the source address or on the running system"
			}
			return requirement.Unknown(fmt.Sprintf("Cannot determine whether the firewall (%s) allows %s: %s.", f.Name,
				proseOf(open), why), f.Evidence)
		}
	}
	if len(all) == 0 {
		return requirement.Pass("No firewall is enabled.")
	}
	return requirement.Pass("The firewall allows the ports that WorkSpaces needs ("+strings.Join(names, ", ")+").",
		evidence...)
}

// enabled says whether a unit is started.
func (m *Machine) enabled(unit string) (bool, error) {
	state, err := m.service(unit)
	return state == serviceOn, err
}

func itoa(n int) string { return strconv.Itoa(n) }

// inRange says whether a port is the one that is written, or in the range.
func inRange(text string, number int, separator string) bool {
	from, to, isRange := strings.Cut(text, separator)
	first, err := strconv.Atoi(strings.TrimSpace(from))
	if err != nil {
		if isRange && strings.TrimSpace(from) == "" { // from the first port on
			first = 0
		} else {
			return namedPorts[strings.TrimSpace(from)] == number
		}
	}
	last := first
	if isRange {
		if strings.TrimSpace(to) == "" {
			last = 65535
		} else if last, err = strconv.Atoi(strings.TrimSpace(to)); err != nil {
			return false
		}
	}
	return first <= number && number <= last
}

// namedPorts are names of the ports that WorkSpaces needs (IANA's registry of
// service names).
var namedPorts = map[string]int{"pcoip": 4172, "trivnet1": 8200}
