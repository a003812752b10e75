package windows

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var bpFirewall = entry{
	Requirement: recommended("win.bp.firewall", "FirewallEnabled",
		"The firewall should not block the ports that WorkSpaces needs.", sectionPractices, explanation{
			Reads: `SYSTEM: Services\SharedAccess\Parameters\FirewallPolicy. SOFTWARE: ` +
				`Policies\Microsoft\WindowsFirewall. Both: the profiles and the inbound rules for TCP 8200, and for ` +
				`TCP and UDP 4172 (PCoIP) or 4195 (DCV). Other vendors' firewalls are not checked.`,
			Live: "Get-NetFirewallProfile; Get-NetFirewallRule -Enabled True -Direction Inbound -Action Block",
			Fix: "Open wf.msc, Inbound Rules. Disable the rules that block these ports, and allow TCP 8200 and the " +
				"ports of the protocol (TCP and UDP 4172 for PCoIP, 4195 for DCV).",
		}),
	Judge: (*Machine).decideFirewall,
}

// A port that must be reachable, and the programs that listen on it.
type port struct {
	Protocol int // 6 for TCP, 17 for UDP
	Number   int
	Programs []string
}

const (
	protocolTCP = 6
	protocolUDP = 17
)

func (p port) String() string {
	if p.Protocol == protocolTCP {
		return fmt.Sprintf("TCP %d", p.Number)
	}
	return fmt.Sprintf("UDP %d", p.Number)
}

// subject is the port, which a profile of the firewall blocks, as a finding names it
// to programs.
func (p port) subject(profile string) requirement.Subject {
	protocol := "udp"
	if p.Protocol == protocolTCP {
		protocol = "tcp"
	}
	return requirement.Subject{
		Kind: requirement.SubjectPort, ID: fmt.Sprintf("%s/%d", protocol, p.Number),
		Reason: requirement.ReasonBlocked,
		Value:  profile,
	}
}

var (
	pcoipPrograms = []string{"pcoip_agent.exe", "pcoip_server.exe", "pcoip_server_win32.exe",
		"pcoip_arbiter_win32.exe"}
	dcvPrograms = []string{"dcvserver.exe"}

	pcoipPorts  = []port{{protocolTCP, 4172, pcoipPrograms}, {protocolUDP, 4172, pcoipPrograms}}
	dcvPorts    = []port{{protocolTCP, 4195, dcvPrograms}, {protocolUDP, 4195, dcvPrograms}}
	alwaysPorts = []port{{protocolTCP, 8200, []string{"SkyLightWorkspaceConfigService.exe"}}}
)

// A firewallProfile is what the firewall does on networks of a kind.
type firewallProfile struct {
	Name       string // as rules name it: "Domain", "Private", "Public"
	Enabled    bool
	BlockAll   bool // all inbound traffic is blocked, whatever the rules say
	Open       bool // inbound traffic that no rule names is allowed
	LocalRules bool // the machine's own rules count as well as those of Group Policy
	Evidence   requirement.Evidence
}

// A firewallRule is an active inbound rule.
type firewallRule struct {
	Name      string
	Block     bool
	Protocol  int      // 0 for any
	Ports     []string // numbers, ranges, words; none for any
	Program   string   // file name, "" for any
	Profiles  []string // none for all
	Addresses bool     // only for some remote addresses
	Narrow    bool     // only for a package, a user, an interface, an address of the machine or a peer of some kind
	Policy    bool     // by Group Policy
	Evidence  requirement.Evidence
}

// firewallState is all of Windows' own firewall that decides.
type firewallState struct {
	Off      *requirement.Evidence // the firewall's service is disabled
	Profiles []firewallProfile
	Rules    []firewallRule
}

const (
	keyFirewall       = machine.KeyServices + `\SharedAccess\Parameters\FirewallPolicy`
	keyFirewallPolicy = `HKLM\SOFTWARE\Policies\Microsoft\WindowsFirewall`
)

func (m *Machine) decideFirewall() requirement.Outcome {
	state, err := m.readFirewall()
	if err != nil {
		return requirement.Unreadable(err)
	}
	protocols, err := m.readProtocols()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeFirewall(state, neededPorts(protocols))
}

// neededPorts are those of the protocol that is installed, or of both where
// none is.
func neededPorts(p protocols) []port {
	needed := slices.Clone(alwaysPorts)
	pcoip, dcv := p.PCoIP.Service.Exists(), p.DCV.Service.Exists()
	if pcoip || !dcv {
		needed = append(needed, pcoipPorts...)
	}
	if dcv || !pcoip {
		needed = append(needed, dcvPorts...)
	}
	return needed
}

func (m *Machine) readFirewall() (firewallState, error) {
	var state firewallState
	service, err := m.Service("mpssvc")
	if err != nil {
		return state, err
	}
	if service.Exists() && service.Start.Present && service.Start.Value == machine.StartDisabled {
		state.Off = &service.Start.Evidence
		return state, nil
	}
	for _, kind := range []struct{ name, key string }{{"Domain", "DomainProfile"}, {"Private", "StandardProfile"},
		{"Public", "PublicProfile"}} {
		p, err := m.readFirewallProfile(kind.name, kind.key)
		if err != nil {
			return state, err
		}
		state.Profiles = append(state.Profiles, p)
	}
	for _, place := range []struct {
		key    string
		policy bool
	}{{keyFirewall, false}, {keyFirewallPolicy, true}} {
		rules, err := m.readFirewallRules(place.key+`\FirewallRules`, place.policy)
		if err != nil {
			return state, err
		}
		state.Rules = append(state.Rules, rules...)
	}
	return state, nil
}

// readFirewallProfile reads a profile: what Group Policy says of it comes
// before the machine's own settings ([MS-FASP] 2.2.37).
func (m *Machine) readFirewallProfile(name, key string) (firewallProfile, error) {
	p := firewallProfile{Name: name}
	own, err := m.Key(keyFirewall + `\` + key)
	if err != nil {
		return p, err
	}
	policy, err := m.Key(keyFirewallPolicy + `\` + key)
	if err != nil {
		return p, err
	}
	effective := func(value string) (machine.Setting[uint32], error) {
		s, err := m.DWord(policy, value)
		if err != nil || s.Present {
			return s, err
		}
		return m.DWord(own, value)
	}
	enabled, err := effective("EnableFirewall")
	if err != nil {
		return p, err
	}
	action, err := effective("DefaultInboundAction")
	if err != nil {
		return p, err
	}
	noExceptions, err := effective("DoNotAllowExceptions")
	if err != nil {
		return p, err
	}
	merge, err := m.DWord(policy, "AllowLocalPolicyMerge")
	if err != nil {
		return p, err
	}
	p.Enabled = enabled.Value != 0 || !enabled.Present // on, where nothing is written
	p.Open = action.Present && action.Value == 0
	p.BlockAll = noExceptions.Value != 0
	p.LocalRules = !merge.Present || merge.Value != 0
	p.Evidence = enabled.Evidence
	if p.BlockAll {
		p.Evidence = noExceptions.Evidence
	}
	return p, nil
}

// readFirewallRules reads the active rules for what comes in. The key need not
// be there.
func (m *Machine) readFirewallRules(key string, policy bool) ([]firewallRule, error) {
	k, err := m.Key(key)
	if err != nil || !k.Exists() {
		return nil, err
	}
	values, err := k.Values()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	var rules []firewallRule
	for _, v := range values {
		s, err := m.Text(k, v.Name())
		if err != nil {
			return nil, err
		}
		if r, active := parseFirewallRule(s.Value); active {
			r.Policy, r.Evidence = policy, s.Evidence
			rules = append(rules, r)
		}
	}
	return rules, nil
}

// parseFirewallRule reads a rule, "v2.28|Action=Block|Active=TRUE|Dir=In|…"
// ([MS-GPFAS] 2.2.2.19). It returns false for a rule that is not active, or is
// for what goes out.
func parseFirewallRule(text string) (r firewallRule, active bool) {
	in := false
	for field := range strings.SplitSeq(text, "|") {
		name, value, _ := strings.Cut(field, "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "action":
			r.Block = strings.EqualFold(value, "Block")
		case "active":
			active = strings.EqualFold(value, "TRUE")
		case "dir":
			in = strings.EqualFold(value, "In")
		case "protocol":
			n, err := strconv.Atoi(value)
			if err != nil {
				n = -1 // not one of the requested ones
			}
			r.Protocol = n
		case "lport", "lport2_10", "lport2_20", "lport2_24":
			r.Ports = append(r.Ports, value)
		case "app":
			r.Program = value[strings.LastIndexByte(value, '\\')+1:]
		case "svc":
			if value != "*" && r.Program == "" {
				r.Program = "service " + value
			}
		case "profile":
			r.Profiles = append(r.Profiles, value)
		case "name":
			r.Name = value
		case "ra4", "ra6", "ra42", "ra62":
			r.Addresses = true
		case "rport", "rport2_10", "la4", "la6", "ttk", "ttk2_22", "ttk2_27", "ttk2_28":
			r.Narrow = r.Narrow || value != "" && value != "*"
		case "apppkgid", "pfn", "luown", "luauth", "if", "iftype", "ruauth", "rmauth":
			r.Narrow = r.Narrow || value != "" && !strings.EqualFold(value, "All")
		}
	}
	return r, active && in
}

// covers says whether the rule is about a port in a profile. One that holds only
// for a package, a user, an interface and the like does not concern the
// agents: it neither opens a port for them nor closes one.
func (r firewallRule) covers(p port, profile firewallProfile) bool {
	switch {
	case r.Narrow:
		return false
	case !r.Policy && !profile.LocalRules:
		return false
	case len(r.Profiles) > 0 && !fold.Contains(r.Profiles, profile.Name):
		return false
	case r.Protocol != 0 && r.Protocol != p.Protocol && r.Protocol != anyProtocol:
		return false
	case r.Program != "" && !fold.Contains(p.Programs, r.Program):
		return false
	}
	return len(r.Ports) == 0 || slices.ContainsFunc(r.Ports, func(s string) bool { return holdsPort(s, p.Number) })
}

// anyProtocol is how a rule may write that the protocol does not matter.
const anyProtocol = 256

// holdsPort says whether a port is the one that is written, or in the range.
func holdsPort(text string, number int) bool {
	from, to, isRange := strings.Cut(text, "-")
	first, err := strconv.Atoi(from)
	if err != nil {
		return false // a word: RPC, IPHTTPSIn
	}
	last := first
	if isRange {
		if last, err = strconv.Atoi(to); err != nil {
			return false
		}
	}
	return first <= number && number <= last
}

// judgeFirewall decides win.bp.firewall: a rule that blocks comes before any
// that allows, and what no rule names is as the profile says.
func judgeFirewall(state firewallState, needed []port) requirement.Outcome {
	if state.Off != nil {
		return requirement.Pass("The Windows firewall service is disabled", *state.Off)
	}
	var blocked []blocking
	var evidence, on []requirement.Evidence
	var about []requirement.Subject
	var names []string
	for _, profile := range state.Profiles {
		if !profile.Enabled {
			continue
		}
		names, on = append(names, profile.Name), append(on, profile.Evidence)
		for _, p := range needed {
			b, ev := state.blocks(profile, p)
			if b.Why == "" {
				continue
			}
			i := slices.IndexFunc(blocked, func(other blocking) bool { return other.Why == b.Why && other.Fix == b.Fix })
			if i < 0 {
				i, blocked = len(blocked), append(blocked, b)
			}
			if !slices.Contains(blocked[i].Ports, p.String()) {
				blocked[i].Ports = append(blocked[i].Ports, p.String())
			}
			about = append(about, p.subject(profile.Name))
			if !slices.Contains(evidence, ev) {
				evidence = append(evidence, ev)
			}
		}
	}
	switch {
	case len(blocked) > 0:
		var reasons, fixes []string
		for _, b := range blocked {
			ports := strings.Join(b.Ports, ", ")
			reasons = append(reasons, fmt.Sprintf("%s (%s)", ports, b.Why))
			fix := b.Fix
			if b.Allow {
				fix += " " + ports
			}
			fixes = append(fixes, fix+".")
		}
		o := requirement.Warn("The firewall blocks ports that WorkSpaces needs: "+prose.Some(reasons),
			evidence...).About(about...)
		o.Remediation = strings.Join(fixes, " ")
		return o
	case len(names) == 0:
		var off []requirement.Evidence
		for _, profile := range state.Profiles {
			off = append(off, profile.Evidence)
		}
		return requirement.Pass("The firewall is off in every profile", off...)
	}
	return requirement.Pass(fmt.Sprintf("The firewall (on for %s) allows the ports that WorkSpaces needs: %s",
		strings.Join(names, ", "), portList(needed)), on...)
}

func portList(ports []port) string {
	var list []string
	for _, p := range ports {
		list = append(list, p.String())
	}
	return strings.Join(list, ", ")
}

// A blocking is a reason for which ports are not reachable, and what changes that.
type blocking struct {
	Why   string
	Fix   string // without the full stop
	Allow bool   // the fix goes on with the ports
	Ports []string
}

// blocks returns why a port is not reachable in a profile. Its Why is "" if the port is reachable.
func (state firewallState) blocks(profile firewallProfile, p port) (blocking, requirement.Evidence) {
	if profile.BlockAll {
		return blocking{Why: "the " + profile.Name + " profile blocks all inbound connections",
			Fix: fmt.Sprintf("In wf.msc, open Properties, %s Profile, and set Inbound connections to Block (default)",
				profile.Name)}, profile.Evidence
	}
	allowed := profile.Open
	for _, r := range state.Rules {
		if !r.covers(p, profile) {
			continue
		}
		if !r.Block {
			allowed = true
			continue
		}
		name := prose.Short(r.Name)
		b := blocking{Why: "blocked by the rule " + name,
			Fix: fmt.Sprintf("In wf.msc, Inbound Rules, disable the rule %s", name)}
		if r.Addresses {
			b.Why += " for some addresses"
		}
		if r.Policy {
			b.Fix = fmt.Sprintf("Remove the inbound rule %s from Group Policy", name)
		}
		return b, r.Evidence
	}
	if allowed {
		return blocking{}, requirement.Evidence{}
	}
	ev := profile.Evidence
	ev.Note = "blocks what no rule allows, and no rule allows " + p.String()
	b := blocking{Why: "no allow rule", Fix: "In wf.msc, Inbound Rules, allow", Allow: true}
	if !profile.LocalRules {
		b.Fix = "In Group Policy, add inbound firewall rules that allow"
	}
	return b, ev
}
