package linux

import (
	"slices"
	"strings"
)

// rule reads one rule: conditions and statements from left to right (nft(8)). A
// map of verdicts makes one rule for each of its elements. A condition that is
// not known here fits perhaps.
func (p *nftParser) rule(t *nftTable, family string, list []string) []filterRule {
	if !p.spend(len(list)) {
		return nil
	}
	r := nftRule{p: p, t: t, list: list}
	if family == "ip6" || family == "arp" || family == "bridge" {
		return nil
	}
	return r.read()
}

// An nftRule is a rule while it is read.
type nftRule struct {
	p    *nftParser
	t    *nftTable
	list []string
	at   int
	fits []condition
}

// word returns the word that comes next, n words further.
func (r *nftRule) word(n int) string {
	if r.at+n < len(r.list) {
		return r.list[r.at+n]
	}
	return ""
}

func (r *nftRule) then(a action, target string) []filterRule {
	return []filterRule{{fits: r.fits, then: a, target: target}}
}

// unknown gives up on what comes: it fits perhaps, and the verdict is what is
// written at the rule's end.
func (r *nftRule) unknown() []filterRule {
	r.fits = append(r.fits, perhaps)
	verdict, at := actNone, r.at
	depth := 0
	for ; at < len(r.list); at++ {
		switch w := r.list[at]; {
		case w == "{":
			depth++
		case w == "}":
			depth--
		case w == "vmap" || slices.Contains([]string{"queue", "dnat", "redirect", "tproxy", "synproxy"}, w):
			return r.then(actDoubt, "")
		case depth == 0 && (w == "jump" || w == "goto") && at+1 < len(r.list):
			if w == "goto" {
				return r.then(actGoto, r.list[at+1])
			}
			return r.then(actJump, r.list[at+1])
		case depth == 0 && nftVerdicts[w] != 0:
			verdict = nftVerdicts[w]
		}
	}
	return r.then(verdict, "")
}

var nftVerdicts = map[string]action{"accept": actAccept, "drop": actDrop, "reject": actDrop, "return": actReturn}

// read goes through the rule.
func (r *nftRule) read() []filterRule {
	for r.at < len(r.list) {
		switch w := r.word(0); w {
		case "accept", "drop", "reject", "return":
			return r.then(nftVerdicts[w], "")
		case "jump":
			return r.then(actJump, r.word(1))
		case "goto":
			return r.then(actGoto, r.word(1))
		case "continue":
			return nil
		case "queue", "dnat", "redirect", "tproxy", "synproxy":
			return r.then(actDoubt, "")
		case "masquerade", "snat", "notrack":
			r.at++
		case "counter":
			r.at++
			if r.word(0) == "name" {
				r.at += 2
			} else if r.word(0) == "packets" {
				r.at += 4
			}
		case "comment":
			r.at += 2
		case "log":
			r.at++
			for slices.Contains([]string{"prefix", "level", "group", "snaplen", "queue-threshold", "flags"},
				r.word(0)) {
				if r.at += 2; r.word(-1) == "tcp" || r.word(-1) == "ip" || r.word(-1) == "skuid" ||
					r.word(-1) == "ether" { // flags tcp sequence,options
					for r.word(0) == "," || r.word(0) == "sequence" || r.word(0) == "options" {
						r.at++
					}
				}
			}
		case "limit":
			r.at++
			over := false
			switch {
			case r.word(0) == "rate":
				r.at++
				if r.word(0) == "over" {
					over = true
					r.at++
				}
				r.at++ // 10/second, or 10 mbytes/second
				if strings.Contains(r.word(0), "bytes/") {
					r.at++
				}
				if r.word(0) == "burst" {
					r.at += 3
				}
			default:
				return r.unknown()
			}
			if over {
				r.fits = append(r.fits, never)
			}
		default:
			done, ok := r.condition()
			if done != nil {
				return done
			}
			if !ok {
				return r.unknown()
			}
		}
	}
	return nil // it only counts or logs
}

// condition reads one condition. ok is false where it is not known here; a rule
// that a map of verdicts makes is done.
func (r *nftRule) condition() (done []filterRule, ok bool) {
	key, of := r.word(0), r.word(1)
	var width int
	var test func(value string) condition
	switch {
	case (key == "tcp" || key == "udp" || key == "th") && of == "dport":
		width, test = 2, func(v string) condition {
			return func(p packet) fit { return fitIf(inRange(v, p.Number, "-")) }
		}
	case (key == "tcp" || key == "udp" || key == "th") && of == "sport":
		width, test = 2, func(v string) condition { return sourcePort([]string{v}, "-") }
	case key == "tcp" && of == "flags":
		return nil, r.tcpFlags()
	case slices.Contains([]string{"ip6", "icmp", "icmpv6", "igmp", "arp", "sctp", "dccp", "udplite", "esp", "ah",
		"comp", "vlan"}, key):
		r.fits = append(r.fits, never)
		return r.unknown(), true
	case key == "ip" && of == "protocol", key == "meta" && of == "l4proto", key == "l4proto":
		if width = 2; key == "l4proto" {
			width = 1
		}
		test = func(v string) condition {
			return func(p packet) fit {
				return fitIf(v == p.Protocol || v == map[string]string{"tcp": "6", "udp": "17"}[p.Protocol])
			}
		}
	case key == "ip" && of == "saddr":
		width, test = 2, func(v string) condition { return func(packet) fit { return sourceFit(v) } }
	case key == "ip" && of == "daddr":
		width, test = 2, func(v string) condition { return func(packet) fit { return destinationFit(v) } }
	case key == "ip" && of == "version":
		width, test = 2, func(v string) condition { return func(packet) fit { return fitIf(v == "4") } }
	case key == "meta" && (of == "nfproto" || of == "protocol"):
		width, test = 2, ofIPv4
	case key == "ether" && of == "type", key == "protocol":
		width, test = 2, ofIPv4
	case key == "meta" && (of == "iif" || of == "iifname"), key == "iif" || key == "iifname":
		if width = 1; key == "meta" {
			width = 2
		}
		test = func(v string) condition {
			v = strings.Trim(v, `"`)
			r.p.hints = append(r.p.hints, v)
			return func(p packet) fit { return interfaceFit(v, p) }
		}
	case key == "meta" && (of == "oif" || of == "oifname"), key == "oif" || key == "oifname":
		if width = 1; key == "meta" {
			width = 2
		}
		test = func(string) condition { return never }
	case key == "meta" && of == "pkttype", key == "pkttype":
		if width = 1; key == "meta" {
			width = 2
		}
		test = func(v string) condition { return func(packet) fit { return fitIf(v == "host" || v == "unicast") } }
	case key == "ct" && of == "state":
		width, test = 2, func(v string) condition { return func(packet) fit { return fitIf(v == "new") } }
	case key == "ct" && of == "direction":
		width, test = 2, func(v string) condition { return func(packet) fit { return fitIf(v == "original") } }
	case key == "ct" && of == "status":
		width, test = 2, func(string) condition { return never } // of one that is known, or that was translated
	case key == "ct" && of == "count":
		if r.at += 2; r.word(0) == "over" {
			r.at++
			r.fits = append(r.fits, never)
		}
		r.at++
		return nil, true
	case key == "fib" && of == "daddr" && r.word(2) == "type":
		width, test = 3, func(v string) condition {
			return func(
				packet) fit {
				return fitIf(v == "local" || v == "unicast")
			}
		}
	case key == "fib" && of == "saddr":
		// Whether there is a way back to the sender, which there is.
		for r.at < len(r.list) && !slices.Contains([]string{"oif", "oifname"}, r.word(0)) {
			r.at++
		}
		r.at++
		if !slices.Contains([]string{"missing", "0", "eq"}, r.word(0)) {
			return nil, false
		}
		if r.at++; r.word(-1) == "eq" {
			r.at++
		}
		r.fits = append(r.fits, never)
		return nil, true
	case key == "meta" && of == "mark", key == "mark", key == "meta" && of == "priority", key == "ct" && of == "mark":
		n := 2
		if key == "mark" {
			n = 1
		}
		if r.word(n) == "set" { // which decides nothing
			r.at += n + 2
			return nil, r.at >= len(r.list) || nftVerdicts[r.word(0)] != 0 || r.word(0) == "counter"
		}
		return nil, false
	case key == "meta" && of == "nftrace":
		r.at += 4
		return nil, true
	default:
		return nil, false
	}
	if key == "tcp" || key == "udp" {
		r.fits = append(r.fits, func(p packet) fit { return fitIf(p.Protocol == key) })
	}
	r.at += width
	if r.word(0) == "." { // of several things together
		return nil, false
	}
	return r.values(test)
}

// ofIPv4 fits where a protocol of the network is IPv4.
func ofIPv4(v string) condition {
	return func(packet) fit { return fitIf(v == "ipv4" || v == "ip" || v == "2" || v == "0x0800") }
}

// values reads what a condition compares with: an optional operator, then a
// value, a set in braces, or a named one; or "vmap" and a map of verdicts.
func (r *nftRule) values(test func(string) condition) (done []filterRule, ok bool) {
	not := false
	switch r.word(0) {
	case "!=", "ne":
		not = true
		r.at++
	case "==", "eq":
		r.at++
	case "vmap":
		r.at++
		return r.verdicts(test)
	case "<", ">", "<=", ">=", "lt", "gt", "le", "ge", "&", "and", "|", "^", "map":
		return nil, false
	}
	var list []nftElement
	dynamic := false
	switch w := r.word(0); {
	case w == "":
		return nil, false
	case w == "{":
		inside, next := block(r.list, r.at)
		list = elementsOf(inside)
		r.at = next
	case w[0] == '@':
		s, known := r.t.sets[w[1:]]
		for _, e := range s.elements {
			list = append(list, nftElement{key: e})
		}
		if !r.p.spend(len(list)) {
			return nil, false
		}
		// A set that is declared further down, or that something adds to.
		dynamic = !known || s.dynamic
		r.at++
	default:
		list = []nftElement{{key: w}}
		r.at++
		for r.word(0) == "," { // new,established
			list = append(list, nftElement{key: r.word(1)})
			r.at += 2
		}
		if r.word(0) == "-" || r.word(0) == "/" || r.word(0) == "." || r.word(0) == "&" {
			return nil, false
		}
	}
	tests := make([]condition, len(list))
	for i, e := range list {
		tests[i] = test(e.key)
	}
	r.fits = append(r.fits, func(p packet) fit {
		best := fitNever
		if dynamic {
			best = fitMaybe
		}
		for _, t := range tests {
			if best = max(best, t(p)); best == fitAlways {
				break
			}
		}
		return best.not(not)
	})
	return nil, true
}

// verdicts makes a rule for each element of a map of verdicts.
func (r *nftRule) verdicts(test func(string) condition) (done []filterRule, ok bool) {
	var list []nftElement
	switch w := r.word(0); {
	case w == "{":
		inside, _ := block(r.list, r.at)
		list = elementsOf(inside)
	case w != "" && w[0] == '@':
		s, known := r.t.sets[w[1:]]
		if !known || s.dynamic || !r.p.spend(len(s.elements)) {
			return nil, false
		}
		for i, e := range s.elements {
			list = append(list, nftElement{e, s.verdicts[i]})
		}
	default:
		return nil, false
	}
	var rules []filterRule
	for _, e := range list {
		var then action
		target := ""
		switch {
		case len(e.verdict) == 0:
			return nil, false
		case e.verdict[0] == "jump" && len(e.verdict) > 1:
			then, target = actJump, e.verdict[1]
		case e.verdict[0] == "goto" && len(e.verdict) > 1:
			then, target = actGoto, e.verdict[1]
		case nftVerdicts[e.verdict[0]] != 0:
			then = nftVerdicts[e.verdict[0]]
		case e.verdict[0] == "continue":
		default:
			return nil, false
		}
		rules = append(rules, filterRule{fits: append(slices.Clip(r.fits), test(e.key)), then: then, target: target})
	}
	if rules == nil {
		rules = []filterRule{} // an empty map decides nothing
	}
	return rules, true
}

// tcpFlags reads a condition on them in the usual forms. A first packet has
// only SYN set.
func (r *nftRule) tcpFlags() bool {
	end := r.at + 2
	for end < len(r.list) && nftVerdicts[r.list[end]] == 0 &&
		!slices.Contains([]string{"jump", "goto", "counter", "log", "ct", "limit", "tcp", "meta", "ip"}, r.list[end]) {
		end++
	}
	text := strings.Join(r.list[r.at+2:end], " ")
	r.fits = append(r.fits, func(p packet) fit { return fitIf(p.Protocol == "tcp") })
	var f fit
	switch text {
	case "syn", "== syn", "& ( fin | syn | rst | ack ) == syn", "& (fin|syn|rst|ack) == syn", "syn / fin,syn,rst,ack",
		"syn / syn,ack", "& ( syn | ack ) == syn", "syn / fin , syn , rst , ack", "& ( fin|syn|rst|ack ) == syn":
		f = fitAlways
	case "!= syn", "& ( fin | syn | rst | ack ) != syn", "& ( fin|syn|rst|ack ) != syn", "& ( syn | ack ) != syn",
		"& ( fin | syn ) == fin | syn", "& ( fin | syn ) == ( fin | syn )", "& ( syn | rst ) == ( syn | rst )",
		"& ( syn | rst ) == syn | rst", "& ( fin|syn ) == fin|syn", "& ( fin | syn | rst | psh | ack | urg ) == 0x0",
		"== 0x0", "& ( fin | rst ) == ( fin | rst )":
		f = fitNever
	default:
		f = fitMaybe
	}
	r.fits = append(r.fits, func(packet) fit { return f })
	r.at = end
	return true
}
