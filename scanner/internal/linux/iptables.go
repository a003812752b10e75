package linux

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

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
			s := parseIPTables(string(data))
			all = append(all, s.firewall("iptables", f.Evidence, m.managementNames(nil)))
		}
	}
	return all, nil
}

// ipTables are the chains of one or more files of iptables-save by table.
type ipTables struct {
	tables map[string]map[string]*filterChain
	doubt  string // why this is not all
}

// parseIPTables reads a file of iptables-save.
func parseIPTables(text string) ipTables {
	s := ipTables{tables: map[string]map[string]*filterChain{}}
	s.add(text)
	return s
}

// add reads one more file, as iptables-restore does that flushes nothing: what
// stands before a COMMIT counts.
func (s *ipTables) add(text string) {
	table := ""
	var pending [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '*':
			table, pending = line[1:], nil
			if s.tables[table] == nil {
				s.tables[table] = map[string]*filterChain{}
			}
		case line == "COMMIT":
			for _, fields := range pending {
				s.command(table, fields)
			}
			table, pending = "", nil
		case table == "":
			s.doubt = "the saved rules have a line outside a table"
		case line[0] == ':':
			if fields := strings.Fields(line[1:]); len(fields) >= 2 {
				policy := map[string]outcome{"ACCEPT": outAccept, "DROP": outDrop}[fields[1]]
				if policy == 0 {
					policy = outNext
				}
				c := s.chain(table, fields[0])
				if c.policy = policy; !builtIn(fields[0]) {
					c.rules = nil // iptables-restore flushes the chains that it is given
				}
			}
		default:
			if line[0] == '[' { // counters
				if _, rest, ok := strings.Cut(line, "]"); ok {
					line = strings.TrimSpace(rest)
				}
			}
			pending = append(pending, words(line))
		}
	}
	if table != "" {
		s.doubt = "table " + table + " has no COMMIT, so its rules are not loaded"
	}
}

// chain returns a chain of a table, which is made if it is not there.
func (s *ipTables) chain(table, name string) *filterChain {
	if s.tables[table] == nil {
		s.tables[table] = map[string]*filterChain{}
	}
	if s.tables[table][name] == nil {
		policy := outNext
		if builtIn(name) {
			policy = outAccept
		}
		s.tables[table][name] = &filterChain{policy: policy}
	}
	return s.tables[table][name]
}

// builtIn says whether a chain is one of the kernel's own.
func builtIn(chain string) bool {
	return slices.Contains([]string{"INPUT", "PREROUTING", "FORWARD", "OUTPUT", "POSTROUTING"}, chain)
}

// command does what one line says to a table's chains.
func (s *ipTables) command(table string, fields []string) {
	if len(fields) >= 2 && fields[0] == "-t" {
		table, fields = fields[1], fields[2:]
	}
	if len(fields) < 2 {
		return
	}
	c := s.chain(table, fields[1])
	switch fields[0] {
	case "-A", "--append":
		c.rules = append(c.rules, parseRule(fields[2:]))
	case "-I", "--insert":
		rest, at := fields[2:], 0
		if len(rest) > 0 && strings.Trim(rest[0], "0123456789") == "" {
			if n := parseSmall(rest[0]); n > 0 {
				at = min(n-1, len(c.rules))
			}
			rest = rest[1:]
		}
		// A bound, since each moves all rules behind it.
		if len(c.rules) > 20000 {
			s.doubt = fmt.Sprintf("chain %s has more than 20000 rules before an inserted rule", fields[1])
			return
		}
		c.rules = slices.Insert(c.rules, at, parseRule(rest))
	case "-P", "--policy":
		if len(fields) > 2 {
			if c.policy = outAccept; fields[2] == "DROP" {
				c.policy = outDrop
			}
		}
	case "-N", "--new-chain":
	case "-F", "--flush":
		c.rules = nil
	default:
		s.doubt = "coldcheck does not follow the command " + fields[0]
	}
}

// parseSmall reads a number of at most 9 digits; 0 for anything else.
func parseSmall(s string) (n int) {
	if len(s) > 9 {
		return 0
	}
	for _, r := range s {
		if r < '0' || r > '9' {
			return 0
		}
		n = n*10 + int(r-'0')
	}
	return n
}

// inbound are the chains that a packet passes on its way in.
var inbound = [][2]string{{"raw", "PREROUTING"}, {"mangle", "PREROUTING"}, {"nat", "PREROUTING"}, {"mangle", "INPUT"},
	{"filter", "INPUT"}, {"security", "INPUT"}}

// outcome follows a packet through all tables. What one of them accepts goes on
// to the next.
func (s ipTables) outcome(p packet) outcome {
	if s.doubt != "" {
		return outDoubt
	}
	result := outNext
	for _, at := range inbound {
		chains := s.tables[at[0]]
		if chains[at[1]] == nil {
			continue
		}
		o := through(chains, at[1], p)
		if o&outAccept != 0 {
			o = o&^outAccept | outNext
		}
		result = result.then(func() outcome { return o })
	}
	return result.then(func() outcome { return outAccept })
}

// decided is the outcome of only the rules: outNext if no rule decides.
func (s ipTables) decided(p packet) outcome {
	result := outNext
	for _, at := range inbound {
		c := s.tables[at[0]][at[1]]
		if c == nil {
			continue
		}
		chains := maps.Clone(s.tables[at[0]])
		chains[at[1]] = &filterChain{rules: c.rules, policy: outNext}
		o := through(chains, at[1], p)
		if at[0] != "filter" && o&outAccept != 0 {
			o = o&^outAccept | outNext
		}
		result = result.then(func() outcome { return o })
	}
	return result
}

func (s ipTables) firewall(name string, ev requirement.Evidence, names []string) firewall {
	f := newFirewall(name, ev, names, s.outcome)
	f.Why = s.doubt
	return f
}

// targets are what iptables does with a packet, of those that say no more of it
// than that it goes on.
var targets = map[string]action{
	"ACCEPT": actAccept, "DROP": actDrop, "REJECT": actDrop, "TARPIT": actDrop, "RETURN": actReturn,
	"DNAT": actDoubt, "REDIRECT": actDoubt, "TPROXY": actDoubt, "QUEUE": actDoubt, "NFQUEUE": actDoubt,
	"SYNPROXY": actDoubt, "NETMAP": actDoubt,
	"LOG": actNone, "NFLOG": actNone, "ULOG": actNone, "MARK": actNone, "CONNMARK": actNone, "TCPMSS": actNone,
	"TCPOPTSTRIP": actNone, "SET": actNone, "AUDIT": actNone,
	"TRACE": actNone, "CT": actNone, "NOTRACK": actNone, "CHECKSUM": actNone, "CLASSIFY": actNone, "DSCP": actNone,
	"TOS": actNone, "TTL": actNone, "SECMARK": actNone,
	"CONNSECMARK": actNone, "RATEEST": actNone, "LED": actNone, "HMARK": actNone, "ECN": actNone, "TEE": actNone,
}

// parseRule reads the conditions and the target of one rule
// (iptables-extensions(8)). A condition that is not known here fits perhaps.
func parseRule(fields []string) (r filterRule) {
	add := func(not bool, c condition) {
		if not {
			r.fits = append(r.fits, func(p packet) fit { return c(p).not(true) })
			return
		}
		r.fits = append(r.fits, c)
	}
	for i := 0; i < len(fields); i++ {
		not := fields[i] == "!"
		if not {
			i++
		}
		if i >= len(fields) {
			add(false, perhaps)
			break
		}
		name, value := fields[i], ""
		takesValue := !slices.Contains(flags, name)
		if takesValue {
			if i+1 >= len(fields) {
				add(false, perhaps)
				break
			}
			if i++; fields[i] == "!" && i+1 < len(fields) { // the older form
				not, i = !not, i+1
			}
			value = fields[i]
		}
		switch name {
		case "-p", "--protocol":
			add(not, func(p packet) fit {
				v := strings.ToLower(value)
				return fitIf(v == "all" || v == "0" || v == p.Protocol ||
					v == map[string]string{"tcp": "6", "udp": "17"}[p.Protocol])
			})
		case "--dport", "--dports", "--destination-port", "--destination-ports", "--port", "--ports":
			list := strings.Split(value, ",")
			add(not, func(p packet) fit {
				return fitIf(slices.ContainsFunc(list, func(text string) bool { return inRange(text, p.Number, ":") }))
			})
		case "--sport", "--sports", "--source-port", "--source-ports":
			add(not, sourcePort(strings.Split(value, ","), ":"))
		case "-s", "--source", "--src":
			list := strings.Split(value, ",")
			add(not, func(packet) fit { return anyFit(list, sourceFit) })
		case "--src-range":
			add(not, func(packet) fit { return sourceFit(value) })
		case "-d", "--destination", "--dst":
			list := strings.Split(value, ",")
			add(not, func(packet) fit { return anyFit(list, destinationFit) })
		case "-i", "--in-interface":
			pattern := value
			if rest, ok := strings.CutSuffix(value, "+"); ok {
				pattern = rest + "*"
			}
			add(not, func(p packet) fit { return interfaceFit(pattern, p) })
		case "-o", "--out-interface":
			add(not, never)
		case "--state", "--ctstate":
			add(not, func(packet) fit { return fitIf(slices.Contains(strings.Split(value, ","), "NEW")) })
		case "--syn":
			add(not, func(p packet) fit { return fitIf(p.Protocol == "tcp") })
		case "--tcp-flags": // a mask, and the flags of it that are set: only SYN in a first packet
			set := ""
			if i+1 < len(fields) {
				i++
				set = fields[i]
			}
			mask := strings.Split(value, ",")
			add(not, func(packet) fit {
				hasSYN := slices.Contains(mask, "SYN") || value == "ALL"
				return fitIf(hasSYN && set == "SYN" || !hasSYN && (set == "NONE" || set == ""))
			})
		case "--dst-type":
			list := strings.Split(value, ",")
			add(not, func(packet) fit {
				return fitIf(slices.Contains(list, "LOCAL") || slices.Contains(list, "UNICAST"))
			})
		case "--src-type":
			add(not, func(packet) fit { return fitIf(strings.Contains(value, "UNICAST")) })
		case "--pkt-type":
			add(not, func(packet) fit { return fitIf(value == "unicast" || value == "host") })
		case "--icmp-type", "--icmpv6-type":
			add(not, never)
		case "--limit", "--hashlimit", "--hashlimit-upto", "--connlimit-upto":
			add(not, always) // the first packets
		case "--hashlimit-above", "--connlimit-above", "--update", "--rcheck", "-f", "--fragment":
			add(not, never)
		case "-j", "--jump", "-g", "--goto":
			if then, ok := targets[value]; ok && (name == "-j" || name == "--jump") {
				r.then = then
			} else if r.then, r.target = actJump, value; name == "-g" || name == "--goto" {
				r.then = actGoto
			}
		case "-m", "--match", "--comment", "--reject-with", "--log-prefix", "--log-level", "--limit-burst", "--set",
			"--set-mark", "--set-xmark", "--log-uid", "--log-ip-options", "--log-tcp-options", "--log-tcp-sequence",
			"--seconds", "--hitcount", "--name", "--mask", "--rsource", "--rdest", "--reap", "--rttl",
			"--hashlimit-burst", "--hashlimit-mode", "--hashlimit-name", "--hashlimit-srcmask",
			"--hashlimit-dstmask",
			"--hashlimit-htable-expire", "--hashlimit-htable-size", "--hashlimit-htable-max",
			"--hashlimit-htable-gcinterval", "--connlimit-mask", "--connlimit-saddr", "--connlimit-daddr",
			"--nflog-prefix", "--nflog-group", "--nflog-size", "--nflog-threshold", "--nflog-range",
			"--clamp-mss-to-pmtu", "--save-mark", "--restore-mark", "--nfmask", "--ctmask", "--notrack", "--type",
			"--to-destination", "--to-ports", "--limit-iface-in", "-c", "--set-counters", "--add-set", "--exist":
			if name == "-c" || name == "--set-counters" {
				i++ // packets and bytes
			}
			if name == "--add-set" {
				i++
			}
		default:
			add(false, perhaps)
			if strings.HasPrefix(value, "-") {
				i-- // a flag without a value
			}
		}
	}
	return r
}

// flags are options without a value.
var flags = []string{"--syn", "-f", "--fragment", "--set", "--update", "--rcheck", "--rsource", "--rdest", "--reap",
	"--rttl", "--connlimit-saddr", "--connlimit-daddr", "--log-uid", "--log-ip-options", "--log-tcp-options",
	"--log-tcp-sequence", "--clamp-mss-to-pmtu", "--save-mark", "--restore-mark", "--notrack", "--limit-iface-in",
	"--exist"}

// anyFit is the best of what each of a list is.
func anyFit(list []string, of func(string) fit) fit {
	best := fitNever
	for _, text := range list {
		best = max(best, of(text))
	}
	return best
}

// sourcePort says whether a connection may come from one of the ports: from any
// of them that programs use, from none below, perhaps from some.
func sourcePort(list []string, separator string) condition {
	f := fitNever
	for _, text := range list {
		switch {
		case inRange(text, 1024, separator) && inRange(text, 65535, separator):
			f = fitAlways
		case inRange(text, 32768, separator) || inRange(text, 60000, separator) || parseSmall(text) >= 1024 ||
			strings.Contains(text, separator):
			f = max(f, fitMaybe)
		}
	}
	return func(packet) fit { return f }
}
