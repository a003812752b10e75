package linux

import (
	"cmp"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// firewalld reads what firewalld makes of a connection to the first interface:
// the zone of its source, of its connection or of the interface, else the
// default zone (firewalld.zones(5)), with policies and direct rules around it.
func (m *Machine) firewalld() ([]firewall, error) {
	on, err := m.enabled("firewalld.service")
	if err != nil || !on {
		return nil, err
	}
	d, err := m.readFirewalld()
	if err != nil {
		return nil, err
	}
	names := m.managementNames(d.hints())
	fw := newFirewall("firewalld", d.evidence, names, d.outcome)
	var zones []string
	for _, n := range names {
		for _, z := range d.zonesOf(n) {
			if !slices.Contains(zones, z.name) {
				zones = append(zones, z.name)
				if z.evidence.Path != "" {
					fw.Evidence = z.evidence
				}
			}
		}
	}
	fw.Name = "firewalld zone " + strings.Join(zones, " or ")
	if plain(zones...) {
		fw.Allow = func(ports []port) string { return allowInZones(zones, ports) }
	}
	if len(d.sourceZones()) > 0 {
		fw.Name += " with source zones"
	}
	fw.Why = d.doubt
	return []firewall{fw}, nil
}

// allowInZones says how to allow ports in the zones that the interface may have.
func allowInZones(zones []string, ports []port) string {
	var commands []string
	for _, z := range zones {
		command := "sudo firewall-cmd --permanent --zone=" + z
		for _, p := range ports {
			command += fmt.Sprintf(" --add-port=%d/%s", p.Number, p.Protocol)
		}
		commands = append(commands, command)
	}
	commands = append(commands, "sudo firewall-cmd --reload")
	return fmt.Sprintf("Run '%s', and remove rules that reject these ports.", strings.Join(commands, " && "))
}

// daemon is the part of firewalld's configuration that decides about incoming
// packets.
type daemon struct {
	defaultZone string
	drifting    bool                    // AllowZoneDrifting
	backend     string                  // "nftables", "iptables", "" if not written
	zones       map[string]*zone        // by name
	order       []string                // their names, sorted
	policies    []*zone                 // by priority
	services    map[string]*zoneService // by name
	bound       map[string]string       // interface, to the zone that its connection names
	managed     map[string]bool         // interfaces of NetworkManager's connections that name no zone
	nmOn        bool
	direct      ipTables
	hasDirect   bool
	evidence    requirement.Evidence
	doubt       string
}

// A zone is one file of zones or policies.
type zone struct {
	name     string
	priority int
	target   string
	file     zoneXML
	rules    []zoneRule
	evidence requirement.Evidence
}

// A zoneRule is one thing that a zone lets in or keeps out, in the order in which
// firewalld goes through them: by priority, what denies before what allows.
type zoneRule struct {
	priority int
	class    int // 0 denies, 1 allows, where the priority is 0
	fits     []condition
	then     action
}

// zoneXML is the content of a file of zones, policies or services.
type zoneXML struct {
	XMLName    xml.Name
	Target     string      `xml:"target,attr"`
	Priority   string      `xml:"priority,attr"`
	Interfaces []xmlName   `xml:"interface"`
	Sources    []xmlSource `xml:"source"`
	Services   []xmlName   `xml:"service"`
	Includes   []struct {
		Service string `xml:"service,attr"`
	} `xml:"include"`
	Ports        []xmlPort  `xml:"port"`
	SourcePorts  []xmlPort  `xml:"source-port"`
	Protocols    []xmlValue `xml:"protocol"`
	ForwardPorts []xmlPort  `xml:"forward-port"`
	Rules        []xmlRule  `xml:"rule"`
	Ingress      []xmlName  `xml:"ingress-zone"`
	Egress       []xmlName  `xml:"egress-zone"`
	Destinations []struct {
		IPv4 string `xml:"ipv4,attr"`
		IPv6 string `xml:"ipv6,attr"`
	} `xml:"destination"`
}

type xmlName struct {
	Name string `xml:"name,attr"`
}

type xmlPort struct {
	Port     string `xml:"port,attr"`
	Protocol string `xml:"protocol,attr"`
}

type xmlValue struct {
	Value string `xml:"value,attr"`
}

type xmlSource struct {
	Address string `xml:"address,attr"`
	MAC     string `xml:"mac,attr"`
	IPSet   string `xml:"ipset,attr"`
	Invert  string `xml:"invert,attr"`
}

// xmlRule is a rich rule (firewalld.richlanguage(5)).
type xmlRule struct {
	Family      string     `xml:"family,attr"`
	Priority    string     `xml:"priority,attr"`
	Source      *xmlSource `xml:"source"`
	Destination *xmlSource `xml:"destination"`
	Service     *xmlName   `xml:"service"`
	Port        *xmlPort   `xml:"port"`
	Protocol    *xmlValue  `xml:"protocol"`
	SourcePort  *xmlPort   `xml:"source-port"`
	ForwardPort *xmlPort   `xml:"forward-port"`
	IcmpBlock   *struct{}  `xml:"icmp-block"`
	IcmpType    *struct{}  `xml:"icmp-type"`
	Masquerade  *struct{}  `xml:"masquerade"`
	TCPMSS      *struct{}  `xml:"tcp-mss-clamp"`
	Accept      *xmlLimit  `xml:"accept"`
	Reject      *xmlLimit  `xml:"reject"`
	Drop        *xmlLimit  `xml:"drop"`
}

type xmlLimit struct {
	Limit *struct{} `xml:"limit"`
}

// A zoneService is what a service opens, with what it includes.
type zoneService struct {
	ports, sourcePorts []xmlPort
	protocols          []xmlValue
	destination        fit
}

// maxServices bounds how many services firewalld's files may name, and how deep
// they may include each other.
const maxServices = 2000

// readFirewalld reads firewalld's configuration.
func (m *Machine) readFirewalld() (*daemon, error) {
	d := &daemon{zones: map[string]*zone{}, services: map[string]*zoneService{}, bound: map[string]string{},
		managed: map[string]bool{}}
	conf, f, err := m.tree.read("/etc/firewalld/firewalld.conf", maxConfig)
	if err != nil {
		return nil, err
	}
	if !f.Exists { // older releases keep the default there
		if conf, f, err = m.tree.read("/usr/lib/firewalld/firewalld.conf", maxConfig); err != nil {
			return nil, err
		}
	}
	d.evidence = f.Evidence
	settings := parseAssignments(string(conf))
	d.defaultZone = cmp.Or(settings["DefaultZone"], "public")
	d.backend = settings["FirewallBackend"]
	d.drifting = slices.Contains([]string{"yes", "true"}, strings.ToLower(settings["AllowZoneDrifting"]))
	folders := func(kind string) []string { return []string{"/etc/firewalld/" + kind, "/usr/lib/firewalld/" + kind} }
	zones, err := m.layer(folders("zones"), hasExt(".xml"))
	if err != nil {
		return nil, err
	}
	for _, l := range zones {
		z, err := m.zone(d, l)
		if err != nil {
			return nil, err
		}
		d.zones[z.name] = z
		d.order = append(d.order, z.name)
	}
	// A default zone that is not there is replaced, as firewalld does it.
	for _, other := range []string{"public", "external", "block"} {
		if d.zones[d.defaultZone] == nil && d.zones[other] != nil {
			d.defaultZone = other
		}
	}
	policies, err := m.layer(folders("policies"), hasExt(".xml"))
	if err != nil {
		return nil, err
	}
	for _, l := range policies {
		p, err := m.zone(d, l)
		if err != nil {
			return nil, err
		}
		d.policies = append(d.policies, p)
	}
	slices.SortStableFunc(d.policies, func(a, b *zone) int { return cmp.Compare(a.priority, b.priority) })
	if err := m.readDirect(d); err != nil {
		return nil, err
	}
	return d, m.readBindings(d)
}

// decodeXML reads one document.
func decodeXML(text string, into any) error {
	dec := xml.NewDecoder(strings.NewReader(text))
	dec.CharsetReader = func(charset string, input io.Reader) (io.Reader, error) {
		return input,
			nil
	} // all that counts is ASCII
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("not well-formed XML: %w", fact.Syntax(err))
	}
	for { // the rest must be well-formed too
		if _, err := dec.Token(); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("not well-formed XML: %w", fact.Syntax(err))
		}
	}
}

// zone reads one zone or policy.
func (m *Machine) zone(d *daemon, l layered) (*zone, error) {
	z := &zone{name: strings.TrimSuffix(l.Name, ".xml"), evidence: l.File.Evidence}
	if strings.TrimSpace(l.Text) == "" {
		if l.Text == "" && l.File.Target != "" {
			return z, nil
		}
		return nil, fmt.Errorf("%s is not a zone: %w", l.File.Evidence.Path, io.ErrUnexpectedEOF)
	}
	if err := decodeXML(l.Text, &z.file); err != nil {
		return nil, inFile(l.File.Evidence.Path, err)
	}
	z.target = z.file.Target
	z.priority = -1 // of a policy that says nothing
	if n, err := strconv.Atoi(z.file.Priority); err == nil {
		z.priority = n
	}
	z.evidence.Data = "target " + cmp.Or(z.target, "default")
	var err error
	if z.rules, err = m.zoneRules(d, &z.file); err != nil {
		return nil, inFile(l.File.Evidence.Path, err)
	}
	return z, nil
}

// zoneRules makes rules of what a zone or policy names.
func (m *Machine) zoneRules(d *daemon, f *zoneXML) ([]zoneRule, error) {
	var rules []zoneRule
	allow := func(c ...condition) { rules = append(rules, zoneRule{class: 1, fits: c, then: actAccept}) }
	for _, p := range f.ForwardPorts {
		rules = append(rules, zoneRule{priority: -1 << 20, fits: []condition{p.fits}, then: actDoubt})
	}
	for _, p := range f.Ports {
		allow(p.fits)
	}
	for _, p := range f.SourcePorts {
		allow(p.fromFits)
	}
	for _, p := range f.Protocols {
		allow(p.fits)
	}
	for _, s := range f.Services {
		service, err := m.zoneService(d, s.Name)
		if err != nil {
			return nil, err
		}
		allow(service.fits)
	}
	for _, r := range f.Rules {
		rule, err := m.richRule(d, r)
		if err != nil {
			return nil, err
		}
		rules = append(rules, rule)
	}
	slices.SortStableFunc(rules, func(a, b zoneRule) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.class, b.class))
	})
	return rules, nil
}

// richRule reads one rich rule.
func (m *Machine) richRule(d *daemon, r xmlRule) (zoneRule, error) {
	var rule zoneRule
	rule.priority, _ = strconv.Atoi(r.Priority)
	rule.class = 1
	switch {
	case r.Accept != nil:
		rule.then = actAccept
	case r.Reject != nil, r.Drop != nil:
		rule.then, rule.class = actDrop, 0
	case r.ForwardPort != nil:
		rule.then = actDoubt
	}
	add := func(c condition) { rule.fits = append(rule.fits, c) }
	if r.Family == "ipv6" {
		add(never)
	}
	if s := r.Source; s != nil {
		invert := slices.Contains([]string{"yes", "true", "1"}, strings.ToLower(s.Invert))
		f := s.fit().not(invert)
		add(func(packet) fit { return f })
	}
	if s := r.Destination; s != nil {
		f := fitMaybe
		if s.Address != "" {
			f = destinationFit(s.Address)
		}
		f = f.not(slices.Contains([]string{"yes", "true", "1"}, strings.ToLower(s.Invert)))
		add(func(packet) fit { return f })
	}
	if r.Service != nil {
		service, err := m.zoneService(d, r.Service.Name)
		if err != nil {
			return rule, err
		}
		add(service.fits)
	}
	if r.Port != nil {
		add(r.Port.fits)
	}
	if r.Protocol != nil {
		add(r.Protocol.fits)
	}
	if r.SourcePort != nil {
		add(r.SourcePort.fromFits)
	}
	if r.ForwardPort != nil {
		add(r.ForwardPort.fits)
	}
	if r.IcmpBlock != nil || r.IcmpType != nil || r.Masquerade != nil || r.TCPMSS != nil {
		add(never)
	}
	return rule, nil
}

// fit says whether the service's packets come from a source.
func (s xmlSource) fit() fit {
	switch {
	case s.Address != "":
		return sourceFit(s.Address)
	case s.MAC != "" || s.IPSet != "":
		return fitMaybe
	}
	return fitAlways
}

func (p xmlPort) fits(packet packet) fit {
	return fitIf(strings.EqualFold(p.Protocol, packet.Protocol) && inRange(p.Port, packet.Number, "-"))
}

func (p xmlPort) fromFits(packet packet) fit {
	if !strings.EqualFold(p.Protocol, packet.Protocol) {
		return fitNever
	}
	return sourcePort([]string{p.Port}, "-")(packet)
}

func (v xmlValue) fits(p packet) fit {
	return fitIf(strings.EqualFold(v.Value, p.Protocol) ||
		v.Value == map[string]string{"tcp": "6", "udp": "17"}[p.Protocol])
}

func (s *zoneService) fits(p packet) fit {
	best := fitNever
	for _, o := range s.ports {
		best = max(best, o.fits(p))
	}
	for _, o := range s.protocols {
		best = max(best, o.fits(p))
	}
	for _, o := range s.sourcePorts {
		best = max(best, o.fromFits(p))
	}
	return min(best, s.destination)
}

// zoneService reads a service with all that it includes. One that is not there
// opens nothing.
func (m *Machine) zoneService(d *daemon, name string) (*zoneService, error) {
	if s := d.services[name]; s != nil {
		return s, nil
	}
	if len(d.services) >= maxServices {
		return nil, fmt.Errorf("more than %d services: %w", maxServices, errTooLarge)
	}
	s := &zoneService{destination: fitAlways}
	d.services[name] = s // also while it is read: what includes itself adds nothing
	seen := map[string]bool{}
	next := []string{name}
	for len(next) > 0 {
		this := next[0]
		if next = next[1:]; seen[this] || this == "" || strings.ContainsAny(this, "/\x00") {
			continue
		}
		if seen[this] = true; len(seen) > maxServices {
			return nil, fmt.Errorf("service %s includes more than %d services: %w", name, maxServices, errTooLarge)
		}
		f, err := m.serviceFile(this)
		if err != nil {
			return nil, err
		}
		if f == nil {
			continue
		}
		if len(s.ports) > 10000 {
			return nil, fmt.Errorf("service %s has more than 10000 ports: %w", name, errTooLarge)
		}
		s.ports = append(s.ports, f.Ports...)
		s.sourcePorts = append(s.sourcePorts, f.SourcePorts...)
		for _, p := range f.Ports { // a protocol without a port is the older form
			if p.Port == "" && p.Protocol != "" {
				s.protocols = append(s.protocols, xmlValue{p.Protocol})
			}
		}
		s.protocols = append(s.protocols, f.Protocols...)
		for _, dst := range f.Destinations {
			switch {
			case dst.IPv4 != "":
				s.destination = min(s.destination, destinationFit(dst.IPv4))
			case dst.IPv6 != "":
				s.destination = fitNever
			}
		}
		for _, i := range f.Includes {
			next = append(next, i.Service)
		}
	}
	return s, nil
}

// serviceFile reads one service: the administrator's, else firewalld's own. It
// is nil where there is none.
func (m *Machine) serviceFile(name string) (*zoneXML, error) {
	for _, folder := range []string{"/etc/firewalld/services/", "/usr/lib/firewalld/services/"} {
		data, f, err := m.tree.read(folder+name+".xml", maxConfig)
		if err != nil {
			return nil, err
		}
		if !f.Exists {
			continue
		}
		var s zoneXML
		if err := decodeXML(string(data), &s); err != nil {
			return nil, inFile(f.Evidence.Path, err)
		}
		return &s, nil
	}
	return nil, nil
}

// readBindings reads which zone the connections of interfaces name.
func (m *Machine) readBindings(d *daemon) error {
	state, err := m.service("NetworkManager.service")
	if err != nil {
		return err
	}
	d.nmOn = state == serviceOn
	if state != serviceOff {
		connections, err := m.connections()
		if err != nil {
			return err
		}
		for _, c := range connections {
			names := c.Match
			if c.Interface != "" {
				names = []string{c.Interface}
			} else if len(names) == 0 {
				names = []string{"*"}
			}
			if connectionKinds[c.Type] != "" || c.Manual {
				continue
			}
			for _, n := range names {
				if c.Zone != "" && d.bound[n] == "" {
					d.bound[n] = c.Zone
				}
				d.managed[n] = d.managed[n] || c.Zone == ""
			}
		}
	}
	return m.filesIn("/etc/sysconfig/network-scripts", func(name string) bool {
		return strings.HasPrefix(name, "ifcfg-") && !slices.Contains(leftOver, path.Ext(name)) &&
			!strings.HasSuffix(name, "~")
	}, func(name, text string, f File) error {
		c := parseIfcfg(strings.TrimPrefix(name, "ifcfg-"), text, f.Evidence)
		if c.Zone != "" {
			d.bound[c.Device] = c.Zone
		} else {
			d.managed[c.Device] = true
		}
		return nil
	})
}

// hints are the interfaces that the configuration names.
func (d *daemon) hints() (names []string) {
	for _, z := range d.zones {
		for _, i := range z.file.Interfaces {
			names = append(names, i.Name)
		}
	}
	for n := range d.bound {
		names = append(names, n)
	}
	return names
}

// zonesOf lists the zones that an interface may be in: one, if the disk decides
// it.
func (d *daemon) zonesOf(name string) []*zone {
	get := func(name string) *zone { return d.zones[name] }
	var connection string
	for _, n := range sortedKeys(d.bound) {
		if n == name || strings.ContainsAny(n, "*?[") && anyMatch([]string{n}, []string{name}) {
			connection = d.bound[n]
			break
		}
	}
	var own string
	for _, z := range d.order {
		if slices.ContainsFunc(d.zones[z].file.Interfaces, func(i xmlName) bool {
			p := i.Name
			if rest, ok := strings.CutSuffix(p, "+"); ok {
				p = rest + "*"
			}
			return anyMatch([]string{p}, []string{name})
		}) {
			own = z
			break
		}
	}
	first := func(z string) []*zone {
		if known := get(z); known != nil {
			return []*zone{known}
		}
		return []*zone{{name: z}} // one without a file opens nothing
	}
	switch {
	case connection != "" && get(connection) != nil:
		return first(connection)
	case own == "":
		return first(d.defaultZone)
	case d.nmOn && own != d.defaultZone && (d.managed[name] || d.managed["*"]):
		// NetworkManager asks for the default zone for a connection that names
		// none, where firewalld does not keep the interface in its own.
		return append(first(own), first(d.defaultZone)...)
	}
	return first(own)
}

// sourceZones are the zones that take packets by where they come from.
func (d *daemon) sourceZones() (list []*zone) {
	for _, name := range d.order {
		if len(d.zones[name].file.Sources) > 0 {
			list = append(list, d.zones[name])
		}
	}
	return list
}

// outcome follows a packet through the direct rules and the zones.
func (d *daemon) outcome(p packet) outcome {
	if d.doubt != "" {
		return outDoubt
	}
	first := outNext
	if d.hasDirect {
		first = d.direct.decided(p)
	}
	if first&outAccept != 0 && d.backend != "iptables" {
		// With nftables, what a direct rule accepts goes on to the zones. Where
		// nothing is written, the backend depends on the version.
		if first |= outNext; d.backend == "nftables" {
			first &^= outAccept
		}
	}
	return first.then(func() outcome { return d.byZone(p) })
}

// byZone asks the zones: those of a source before that of the interface.
func (d *daemon) byZone(p packet) outcome {
	var all outcome
	for _, z := range d.sourceZones() {
		f := fitNever
		for _, s := range z.file.Sources {
			f = max(f, s.fit())
		}
		if f == fitNever {
			continue
		}
		o := d.inZone(z, p, d.drifting)
		all |= o &^ outNext
		if f == fitAlways && o&outNext == 0 {
			return all
		}
	}
	for _, z := range d.zonesOf(p.Interface) {
		all |= d.inZone(z, p, false)
	}
	return all
}

// inZone follows a packet through a zone and the policies before and after it.
// drifts says that what a zone without a target does not decide goes on.
func (d *daemon) inZone(z *zone, p packet, drifts bool) outcome {
	result := outNext
	for _, before := range []bool{true, false} {
		for _, policy := range d.policies {
			if (policy.priority < 0) == before && policy.applies(z.name) {
				result = result.then(func() outcome { return policy.walk(p) })
			}
		}
		if before {
			result = result.then(func() outcome { return z.walk(p) })
		}
	}
	if drifts {
		return result
	}
	return result.then(func() outcome { return outDrop })
}

// applies says whether a policy is for what comes from a zone to the machine.
func (z *zone) applies(from string) bool {
	ingress := false
	for _, i := range z.file.Ingress {
		ingress = ingress || i.Name == "ANY" || i.Name == from
	}
	egress := false
	for _, e := range z.file.Egress {
		egress = egress || e.Name == "HOST"
	}
	return ingress && egress
}

// walk follows a packet through the rules and the target of a zone or policy.
func (z *zone) walk(p packet) outcome {
	var all outcome
	for _, r := range z.rules {
		f := allFit(r.fits, p)
		if f == fitNever || r.then == actNone {
			continue
		}
		all |= map[action]outcome{actAccept: outAccept, actDrop: outDrop, actDoubt: outDoubt}[r.then]
		if f == fitAlways {
			return all
		}
	}
	switch strings.ToUpper(z.target) {
	case "ACCEPT":
		return all | outAccept
	case "DROP", "REJECT", "%%REJECT%%":
		return all | outDrop
	}
	return all | outNext
}

// directXML is direct.xml (firewalld.direct(5)).
type directXML struct {
	Rules        []directRule `xml:"rule"`
	Passthroughs []struct {
		IPV  string `xml:"ipv,attr"`
		Args string `xml:",chardata"`
	} `xml:"passthrough"`
}

type directRule struct {
	IPV      string `xml:"ipv,attr"`
	Table    string `xml:"table,attr"`
	Chain    string `xml:"chain,attr"`
	Priority string `xml:"priority,attr"`
	Args     string `xml:",chardata"`
}

// readDirect reads the direct rules, which come before the zones.
func (m *Machine) readDirect(d *daemon) error {
	data, f, err := m.tree.read("/etc/firewalld/direct.xml", maxConfig)
	if err != nil || !f.Exists {
		return err
	}
	var file directXML
	if err := decodeXML(string(data), &file); err != nil {
		return inFile(f.Evidence.Path, err)
	}
	d.direct = ipTables{tables: map[string]map[string]*filterChain{}}
	rules := slices.Clone(file.Rules)
	priority := func(text string) int { n, _ := strconv.Atoi(text); return n }
	slices.SortStableFunc(rules, func(a, b directRule) int {
		return cmp.Compare(priority(a.Priority), priority(b.Priority))
	})
	for _, r := range rules {
		if r.IPV != "ipv4" {
			continue
		}
		d.hasDirect = true
		d.direct.command(cmp.Or(r.Table, "filter"), append([]string{"-A", r.Chain},
			words(strings.TrimSpace(r.Args))...))
		if strings.HasPrefix(r.Chain, "IN_") || strings.HasPrefix(r.Chain, "PRE_") {
			d.doubt = "coldcheck does not follow a direct rule in chain " + r.Chain + " of a zone"
		}
	}
	for _, r := range file.Passthroughs {
		if r.IPV != "ipv4" {
			continue
		}
		d.hasDirect = true
		args := words(strings.TrimSpace(r.Args))
		if slices.Contains(args, "-P") || slices.Contains(args, "--policy") {
			d.doubt = "coldcheck does not follow a direct rule that sets a policy"
		}
		d.direct.command("filter", args)
	}
	if d.direct.doubt != "" {
		d.doubt = "direct rules: " + d.direct.doubt
	}
	return nil
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
