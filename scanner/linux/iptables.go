package linux

import (
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// A chain is a list of rules, and what becomes of a packet that none of them
// decides: the policy of a chain of the kernel, back to the caller of others.
type chain struct {
	rules  []iptablesRule
	policy string
}

// An iptablesRule is what a rule asks of a packet and what it does with it.
type iptablesRule struct {
	protocol  string // "" for any
	ports     []string
	notPorts  bool   // all but the ports
	target    string // ACCEPT, DROP, REJECT, RETURN, the name of a chain, or another target
	goTo      bool   // -g: the rest of this chain is not looked at
	never     bool   // it fits no packet of a new connection from outside
	uncertain bool   // it has a condition that is not known here
}

// parseIPTables reads the chain INPUT of a file of iptables-save as a packet of
// a new connection from outside goes through it: the first rule that fits a
// port decides, and the policy where none does. A rule with a condition that is
// not known here, such as a range of addresses, fits only some packets and is
// passed over.
func parseIPTables(text string, ev requirement.Evidence) firewall {
	chains := parseChains(text)
	f := firewall{Name: "iptables", Open: chains["INPUT"].policy != "DROP", Evidence: ev}
	for _, p := range knownPorts {
		w := chainWalk{chains: chains, port: p, known: map[string]string{}}
		switch w.verdict("INPUT", maxJumps) {
		case "ACCEPT":
			f.Allowed = append(f.Allowed, p)
		case "DROP", "REJECT":
			f.Blocked = append(f.Blocked, p)
		}
	}
	return f
}

// maxJumps bounds how deep chains may call each other, far beyond what anybody
// writes: the kernel's own bound for nftables is 16, and iptables has none.
const maxJumps = 1000

// A chainWalk follows a packet to a port. What a chain makes of it does not
// depend on who called it, so each chain is gone through once: chains that call
// each other many times over would take for ever otherwise.
type chainWalk struct {
	chains map[string]chain
	port   port
	known  map[string]string // verdicts by chain; "" while it is gone through, since the kernel refuses loops
}

// verdict returns what becomes of the packet: ACCEPT, DROP or REJECT, or ""
// where the chain does not decide.
func (w *chainWalk) verdict(name string, jumps int) string {
	v, known := w.known[name]
	if known || jumps == 0 {
		return v
	}
	w.known[name] = ""
	v = w.walk(name, jumps)
	w.known[name] = v
	return v
}

func (w *chainWalk) walk(name string, jumps int) string {
	for _, r := range w.chains[name].rules {
		if !r.fits(w.port) {
			continue
		}
		switch r.target {
		case "ACCEPT", "DROP", "REJECT":
			return r.target
		case "RETURN":
			return ""
		}
		if _, ok := w.chains[r.target]; !ok {
			continue // LOG, MARK and the like decide nothing
		}
		if verdict := w.verdict(r.target, jumps-1); verdict != "" || r.goTo {
			return verdict
		}
	}
	return ""
}

func parseChains(text string) map[string]chain {
	chains := map[string]chain{}
	filter := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "*"):
			filter = line == "*filter"
		case !filter:
		case strings.HasPrefix(line, ":"):
			fields := strings.Fields(line[1:])
			if len(fields) >= 2 {
				c := chains[fields[0]]
				c.policy = fields[1]
				chains[fields[0]] = c
			}
		case strings.HasPrefix(line, "-A "):
			fields := words(line)
			if len(fields) < 3 {
				continue
			}
			c := chains[fields[1]]
			c.rules = append(c.rules, parseRule(fields[2:]))
			chains[fields[1]] = c
		}
	}
	return chains
}

func (r iptablesRule) fits(p port) bool {
	if r.never || r.uncertain || r.protocol != "" && r.protocol != p.Protocol {
		return false
	}
	if len(r.ports) == 0 {
		return true
	}
	among := slices.ContainsFunc(r.ports, func(text string) bool { return inRange(text, p.Number, ":") })
	return among != r.notPorts
}

func parseRule(fields []string) (r iptablesRule) {
	for i := 0; i < len(fields); i++ {
		not := fields[i] == "!"
		if not {
			i++
		}
		if i+1 >= len(fields) {
			r.uncertain = true
			return r
		}
		name, value := fields[i], fields[i+1]
		i++
		switch name {
		case "-p", "--protocol":
			if not {
				r.uncertain = true
			}
			if value != "all" {
				r.protocol = value
			}
		case "--dport", "--dports", "--destination-port", "--destination-ports":
			r.ports, r.notPorts = strings.Split(value, ","), not
		case "-j", "--jump":
			r.target = value
		case "-g", "--goto":
			r.target, r.goTo = value, true
		case "-m", "--match", "--comment", "--reject-with", "--log-prefix", "--log-level":
		case "-i", "--in-interface":
			r.never = r.never || (value == "lo") != not // others are those of the network
		case "--state", "--ctstate":
			r.never = r.never || slices.Contains(strings.Split(value, ","), "NEW") == not
		case "--tcp-flags": // takes two values, and --syn none
			r.uncertain = true
			return r
		default:
			r.uncertain = true
			if strings.HasPrefix(value, "-") {
				i-- // a flag without a value
			}
		}
	}
	return r
}
