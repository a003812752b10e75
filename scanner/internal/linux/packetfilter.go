package linux

import (
	"net/netip"
	"path"
	"slices"
	"strings"
)

// A packet is the first one of a connection from outside to a port: to an
// address of the instance, over IPv4, on its first interface.
type packet struct {
	port
	Interface string
}

// outcome is the set of possible results for a packet: several if the disk does
// not decide it.
type outcome uint8

const (
	outAccept outcome = 1 << iota
	outDrop           // dropped or rejected
	outNext           // not decided here
	outDoubt          // it depends on what is not followed
)

// A filterRule is one rule of a packet filter.
type filterRule struct {
	fits   []condition // all of them
	then   action
	target string // of a jump
}

// A condition says whether a packet fits.
type condition func(packet) fit

// An action is what a rule does with a packet that fits.
type action uint8

const (
	actNone action = iota // it counts, logs or marks
	actAccept
	actDrop
	actReturn
	actJump
	actGoto // a jump that the rest of the chain does not follow
	actDoubt
)

// filterChain is a list of rules, and the result for a packet that no rule
// decides.
type filterChain struct {
	rules  []filterRule
	policy outcome // outNext for a chain that others call
}

// maxJumps bounds how deep chains may call each other, far beyond what anybody
// writes: the kernel's own bound for nftables is 16, and iptables has none.
// Deeper jumps are undecided.
const maxJumps = 1000

// A filterWalk follows a packet. What a chain makes of it does not depend on who
// called it, so each chain is gone through once: chains that call each other
// many times over would take for ever otherwise.
type filterWalk struct {
	chains map[string]*filterChain
	packet packet
	known  map[string]outcome // outNext while a chain is gone through, since the kernel refuses loops
}

// through returns what may become of a packet in a chain.
func through(chains map[string]*filterChain, name string, p packet) outcome {
	w := filterWalk{chains: chains, packet: p, known: map[string]outcome{}}
	return w.chain(name, maxJumps)
}

func (w *filterWalk) chain(name string, jumps int) outcome {
	if o, ok := w.known[name]; ok {
		return o
	}
	c := w.chains[name]
	if c == nil || jumps == 0 {
		return outDoubt
	}
	w.known[name] = outNext
	o := w.walk(c, jumps)
	w.known[name] = o
	return o
}

func (w *filterWalk) walk(c *filterChain, jumps int) outcome {
	var all outcome
	for _, r := range c.rules {
		f := allFit(r.fits, w.packet)
		if f == fitNever || r.then == actNone {
			continue
		}
		var o outcome
		switch r.then {
		case actAccept:
			o = outAccept
		case actDrop:
			o = outDrop
		case actDoubt:
			o = outDoubt
		case actReturn:
			if all |= c.policy; f == fitAlways {
				return all
			}
			continue
		case actJump:
			o = w.chain(r.target, jumps-1)
		case actGoto:
			if o = w.chain(r.target, jumps-1); o&outNext != 0 {
				o = o&^outNext | c.policy
			}
			if all |= o; f == fitAlways {
				return all
			}
			continue
		}
		all |= o &^ outNext
		if f == fitAlways && o&outNext == 0 {
			return all
		}
	}
	return all | c.policy
}

// allFit says whether a packet fits all conditions.
func allFit(list []condition, p packet) fit {
	all := fitAlways
	for _, c := range list {
		if all = min(all, c(p)); all == fitNever {
			break
		}
	}
	return all
}

// then is what may become of a packet that comes to next where first does not
// decide.
func (first outcome) then(next func() outcome) outcome {
	if first&outNext == 0 {
		return first
	}
	return first&^outNext | next()
}

// unless turns a condition round.
func (f fit) not(turn bool) fit {
	if turn {
		return fitAlways - f
	}
	return f
}

func always(packet) fit { return fitAlways }
func never(packet) fit  { return fitNever }
func perhaps(packet) fit {
	return fitMaybe
}

// fitIf is fitAlways or fitNever.
func fitIf(yes bool) fit {
	if yes {
		return fitAlways
	}
	return fitNever
}

// peers are the private ranges out of which the service and its gateways reach
// the first interface of a WorkSpace; which part of them it is depends on the
// region.
var peers = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/15"),
}

// sourceFit says whether packets of the service come from an address or range.
func sourceFit(text string) fit {
	text = strings.TrimSpace(text)
	if a, mask, ok := strings.Cut(text, "/"); ok && strings.Contains(mask, ".") { // 10.0.0.0/255.0.0.0
		if m, err := netip.ParseAddr(mask); err == nil {
			bits := 0
			for _, b := range m.AsSlice() {
				for ; b&0x80 != 0; b <<= 1 {
					bits++
				}
			}
			text = a + "/" + itoa(bits)
		}
	}
	if from, to, ok := strings.Cut(text, "-"); ok {
		first, err1 := netip.ParseAddr(strings.TrimSpace(from))
		last, err2 := netip.ParseAddr(strings.TrimSpace(to))
		if err1 != nil || err2 != nil {
			return fitMaybe
		}
		return rangeFit(first, last)
	}
	if a, err := netip.ParseAddr(text); err == nil {
		return rangeFit(a, a)
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return fitMaybe
	}
	if p.Bits() == 0 {
		return fitIf(p.Addr().Is4())
	}
	for _, known := range peers {
		if known.Overlaps(p.Masked()) {
			return fitMaybe
		}
	}
	return fitNever
}

// rangeFit is sourceFit of a range.
func rangeFit(first, last netip.Addr) fit {
	if !first.Is4() || !last.Is4() {
		return fitNever
	}
	all := true
	some := false
	for _, known := range peers {
		low, high := known.Addr(), lastOf(known)
		all = all && first.Compare(low) <= 0 && high.Compare(last) <= 0
		some = some || first.Compare(high) <= 0 && low.Compare(last) <= 0
	}
	switch {
	case all:
		return fitAlways
	case some:
		return fitMaybe
	}
	return fitNever
}

// lastOf is the last address of a range of IPv4.
func lastOf(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

// destinationFit reports whether an address or range may be the instance's own,
// which is a private address that is not on the disk.
func destinationFit(text string) fit {
	text = strings.TrimSpace(text)
	if p, err := netip.ParsePrefix(text); err == nil {
		switch {
		case p.Addr().Is6():
			return fitNever
		case p.Bits() == 0:
			return fitAlways
		}
		text = p.Addr().String()
	}
	if a, err := netip.ParseAddr(text); err == nil && (a.Is6() || a.IsMulticast() || a.IsLoopback() ||
		a.IsLinkLocalUnicast() || text == "255.255.255.255") {
		return fitNever
	}
	return fitMaybe
}

// interfaceFit says whether a packet comes in by an interface; "*" ends a
// pattern.
func interfaceFit(pattern string, p packet) fit {
	if p.Interface == "" {
		return fitMaybe
	}
	ok, err := path.Match(pattern, p.Interface)
	return fitIf(ok && err == nil)
}

// managementNames are the names that the first interface of the machine may
// have, by which the service reaches it. hints are names in the firewall's own
// configuration, which count if nothing else gives one.
func (m *Machine) managementNames(hints []string) []string {
	var names []string
	if all, err := m.interfaceNames(); err == nil {
		names = all
	}
	if first := firstInterface(names); first != "" {
		return []string{first}
	}
	if first := firstInterface(hints); first != "" {
		return []string{first}
	}
	return []string{"eth0", "ens5", "enX0"}
}

// firstInterface is the first of an instance's interfaces to which the names
// belong; "" if none does.
func firstInterface(names []string) string {
	best, at := "", len(instanceNames)
	for _, n := range names {
		switch {
		case len(n) > 3 && strings.HasPrefix(n, "eth") && strings.Trim(n[3:], "0123456789") == "":
			return "eth0"
		case len(n) > 3 && strings.HasPrefix(n, "enX") && strings.Trim(n[3:], "0123456789") == "":
			return "enX0"
		}
		if i := slices.Index(instanceNames, n); i >= 0 && i < at {
			best, at = n, i
		}
	}
	return best
}

// interfaceNames lists the names that the configuration of the network has.
func (m *Machine) interfaceNames() ([]string, error) {
	all, err := m.addressings()
	var names []string
	for _, a := range all {
		names = append(names, a.Name)
	}
	return names, err
}
