package windows

import (
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const sectionTLS = sectionTips + ": SSL3 and TLS version 1.2 must be enabled"

const keyProtocols = machine.KeyControl + `\SecurityProviders\SCHANNEL\Protocols\`

// The protocols by the names that the registry gives them.
const (
	protocolTLS12 = "TLS 1.2"
	protocolSSL3  = "SSL 3.0"
)

var tls12 = entry{
	Requirement: required("win.tls.tls12", "UnsupportedSecurityProtocol", "TLS 1.2 must be enabled.", sectionTLS,
		explanation{
			Reads: `SYSTEM: Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\{Client,Server}\Enabled and ` +
				`DisabledByDefault. The default is off on Windows 7 and Server 2008 R2, and on since Windows 8 and ` +
				`Server 2012.`,
			Live: `Get-ItemProperty ` +
				`'HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\*'`,
			Doubts: "The service's guide does not say which side must have it. DisabledByDefault for servers is a " +
				"warning, as is a Windows 7 on which only one of the two values is set.",
			Fix: `Set Enabled to 1 and DisabledByDefault to 0 (REG_DWORD) in ` +
				`HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client and ` +
				`\Server. Then restart.`,
		}),
	Judge: func(m *Machine) requirement.Outcome { return m.decideProtocol(protocolTLS12, judgeTLS12) },
}

var ssl3 = entry{
	Requirement: required("win.tls.ssl3", "UnsupportedSecurityProtocol", "SSL 3.0 must not be disabled.", sectionTLS,
		explanation{
			Reads: `SYSTEM: Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\{Client,Server}\Enabled and ` +
				`DisabledByDefault.`,
			Live: `Get-ItemProperty ` +
				`'HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\*'`,
			Doubts: "The service's guide requires SSL 3.0 to be enabled. It is off by default since Windows 10 1607 and " +
				"Server 2016, and images can be created from such systems. So only a setting that disables it fails. " +
				"SSL 3.0 is vulnerable to the POODLE attack.",
			Fix: `Delete Enabled and DisabledByDefault from ` +
				`HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Client and ` +
				`\Server, so that the default of Windows applies. Then restart.`,
		}),
	Judge: func(m *Machine) requirement.Outcome {
		o := m.decideProtocol(protocolSSL3, judgeSSL3)
		if o.Status == requirement.Failed {
			return judgeDisabledSSL3(o, requirement.Status(m.Terms.Text("disabled")))
		}
		return o
	},
	Terms: []string{"disabled"},
}

// A protocolSide is what the registry says of a protocol for one side of a
// connection.
type protocolSide struct {
	Name              string // "Client" or "Server"
	Enabled           machine.Setting[uint32]
	DisabledByDefault machine.Setting[uint32]
}

// users is what a sentence calls the users of the side: "clients" or "servers".
func (p protocolSide) users() string { return strings.ToLower(p.Name) + "s" }

// setting is what a sentence says of a value that turns the protocol off.
func setting(ev requirement.Evidence) string { return " (" + ev.Value + " is " + ev.Data + ")." }

// off says whether the registry turns the protocol off for the side, and how.
func (p protocolSide) off() (requirement.Evidence, bool) {
	if p.Enabled.Present && p.Enabled.Value == 0 {
		return p.Enabled.Evidence, true
	}
	return p.DisabledByDefault.Evidence, p.DisabledByDefault.Present && p.DisabledByDefault.Value != 0
}

// subject is the protocol of the side, which is off, as a finding names it to
// programs.
func (p protocolSide) subject(protocol string) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectProtocol, ID: protocol, Reason: requirement.ReasonDisabled,
		Value: p.Name}
}

func (p protocolSide) evidence() []requirement.Evidence {
	return []requirement.Evidence{p.Enabled.Evidence, p.DisabledByDefault.Evidence}
}

func (m *Machine) decideProtocol(name string, judge func(client, server protocolSide,
	system machine.System) requirement.Outcome) requirement.Outcome {
	system, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	sides := [2]protocolSide{{Name: "Client"}, {Name: "Server"}}
	for i := range sides {
		k, err := m.Key(keyProtocols + name + `\` + sides[i].Name)
		if err != nil {
			return requirement.Unreadable(err)
		}
		if sides[i].Enabled, err = m.DWord(k, "Enabled"); err != nil {
			return requirement.Unreadable(err)
		}
		if sides[i].DisabledByDefault, err = m.DWord(k, "DisabledByDefault"); err != nil {
			return requirement.Unreadable(err)
		}
	}
	o := judge(sides[0], sides[1], system)
	o.Remediation = protocolRemedy(name, sides, system)
	return o
}

// protocolRemedy names the side for which a protocol is off. It is "", so that the
// requirement's own remedy applies, where both sides must be changed: Windows 7 has TLS 1.2
// only where both are set.
func protocolRemedy(protocol string, sides [2]protocolSide, system machine.System) string {
	_, client := sides[0].off()
	_, server := sides[1].off()
	if client == server || protocol == protocolTLS12 && system.Build < machine.Build8 {
		return ""
	}
	key := keyProtocols + protocol + `\` + sides[0].Name
	if server {
		key = keyProtocols + protocol + `\` + sides[1].Name
	}
	if protocol == protocolSSL3 {
		return "Delete Enabled and DisabledByDefault from " + key + ", so that the default of Windows applies. Then restart."
	}
	return "Set Enabled to 1 and DisabledByDefault to 0 (REG_DWORD) in " + key + ". Then restart."
}

// judgeTLS12 decides win.tls.tls12.
func judgeTLS12(client, server protocolSide, system machine.System) requirement.Outcome {
	all := append(client.evidence(), server.evidence()...)
	for _, side := range []protocolSide{client, server} {
		if side.Enabled.Present && side.Enabled.Value == 0 {
			return requirement.Fail("TLS 1.2 is disabled for "+side.users()+setting(side.Enabled.Evidence),
				side.Enabled.Evidence).About(side.subject(protocolTLS12))
		}
	}
	if ev, off := client.off(); off {
		return requirement.Fail("TLS 1.2 is disabled for clients by default"+setting(ev),
			ev).About(client.subject(protocolTLS12))
	}
	switch {
	case system.Build < machine.Build7:
		return requirement.Unknown(fmt.Sprintf("The default of %s for TLS 1.2 is unknown.", system.Name()), all...)
	case system.Build < machine.Build8:
		return judgeTLS12Seven(client, server, system, all)
	}
	if ev, off := server.off(); off {
		return requirement.Warn("TLS 1.2 is disabled for servers by default"+setting(ev),
			ev).About(server.subject(protocolTLS12))
	}
	if client.Enabled.Present && server.Enabled.Present {
		return requirement.Pass("TLS 1.2 is enabled for clients and servers.", all...)
	}
	return requirement.Infer("TLS 1.2 is enabled: it is the default of "+system.Name()+", and no setting disables it.",
		all...)
}

// judgeTLS12Seven judges the versions where TLS 1.2 is off unless both values
// are written.
func judgeTLS12Seven(client, server protocolSide, system machine.System,
	all []requirement.Evidence) requirement.Outcome {
	var half []string
	var about []requirement.Subject
	for _, side := range []protocolSide{client, server} {
		on := side.Enabled.Present
		offered := side.DisabledByDefault.Present && side.DisabledByDefault.Value == 0
		switch {
		case !on && !offered:
			return requirement.Fail(
				fmt.Sprintf("TLS 1.2 is off by default on %s, and no setting enables it for %s.", system.Name(),
					side.users()), side.evidence()...).
				About(side.subject(protocolTLS12))
		case !on || !offered:
			half, about = append(half, side.users()), append(about, side.subject(protocolTLS12))
		}
	}
	if len(half) > 0 {
		return requirement.Warn(
			fmt.Sprintf("TLS 1.2 is only partly enabled for %s: %s requires both Enabled 1 and DisabledByDefault 0.",
				strings.Join(half, " and "), system.Name()), all...).About(about...)
	}
	return requirement.Pass("TLS 1.2 is enabled for clients and servers.", all...)
}

// judgeSSL3 decides win.tls.ssl3. The document's literal requirement contradicts
// the default of every current Windows, from which images are made all the
// same: only what is written against it fails.
func judgeSSL3(client, server protocolSide, system machine.System) requirement.Outcome {
	for _, side := range []protocolSide{client, server} {
		if ev, off := side.off(); off {
			return requirement.Fail("SSL 3.0 is disabled for "+side.users()+setting(ev), ev).
				About(side.subject(protocolSSL3))
		}
	}
	all := append(client.evidence(), server.evidence()...)
	if client.Enabled.Present && server.Enabled.Present {
		return requirement.Pass("SSL 3.0 is enabled for clients and servers.", all...)
	}
	usual := "on"
	if system.Build >= build1607 {
		usual = "off"
	}
	return requirement.Infer(fmt.Sprintf("No setting disables SSL 3.0. The default of %s is %s.", system.Name(), usual),
		all...)
}

// judgeDisabledSSL3 is what a rule book makes of SSL 3.0 that is disabled: it is
// failed, a warning, or passed where AWS no longer asks for SSL 3.0.
func judgeDisabledSSL3(o requirement.Outcome, status requirement.Status) requirement.Outcome {
	switch status {
	case requirement.Passed:
		return requirement.Pass(o.Message, o.Evidence...).Also("AWS no longer requires SSL 3.0.")
	case requirement.Warning:
		o.Status = requirement.Warning
	}
	return o
}
