package windows

import (
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const sectionTLS = sectionTips + ": SSL3 and TLS version 1.2 must be enabled"

// The protocols by the names that the registry gives them.
const (
	protocolTLS12 = "TLS 1.2"
	protocolSSL3  = "SSL 3.0"
)

var tls12 = entry{
	Requirement: required("win.tls.tls12", "UnsupportedSecurityProtocol", "TLS 1.2 is enabled", sectionTLS,
		explanation{
			Reads: `SYSTEM: Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\{Client,Server}\Enabled and ` +
				`DisabledByDefault. Written nowhere, TLS 1.2 is off on Windows 7 and Server 2008 R2 and on since ` +
				`Windows 8 and Server 2012.`,
			Live: `Get-ItemProperty ` +
				`'HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\*'`,
			Fix: `In HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\TLS 1.2\Client and ` +
				`\Server set Enabled to 1 and DisabledByDefault to 0 (REG_DWORD), then restart.`,
		}),
	Judge: func(m *Machine) requirement.Outcome { return m.decideProtocol(protocolTLS12, judgeTLS12) },
}

var ssl3 = entry{
	Requirement: required("win.tls.ssl3", "UnsupportedSecurityProtocol", "SSL 3.0 is enabled", sectionTLS,
		explanation{
			Reads: `SYSTEM: Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\{Client,Server}\Enabled and ` +
				`DisabledByDefault. Written nowhere, it passes on every version, although SSL 3.0 is off by default ` +
				`since Windows 10 1607 and Server 2016: images are made from such systems.`,
			Live: `Get-ItemProperty ` +
				`'HKLM:\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\*'`,
			Fix: `Remove Enabled and DisabledByDefault from ` +
				`HKLM\SYSTEM\CurrentControlSet\Control\SecurityProviders\SCHANNEL\Protocols\SSL 3.0\Client and ` +
				`\Server (the default of Windows), then restart.`,
		}),
	Judge: func(m *Machine) requirement.Outcome { return m.decideProtocol(protocolSSL3, judgeSSL3) },
}

// A protocolSide is what the registry says of a protocol for one side of a
// connection.
type protocolSide struct {
	Name              string // "Client" or "Server"
	Enabled           machine.Setting[uint32]
	DisabledByDefault machine.Setting[uint32]
}

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
		k, err := m.Key(machine.KeyControl + `\SecurityProviders\SCHANNEL\Protocols\` + name + `\` + sides[i].Name)
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
	return judge(sides[0], sides[1], system)
}

// judgeTLS12 decides win.tls.tls12.
func judgeTLS12(client, server protocolSide, system machine.System) requirement.Outcome {
	all := append(client.evidence(), server.evidence()...)
	for _, side := range []protocolSide{client, server} {
		if side.Enabled.Present && side.Enabled.Value == 0 {
			return requirement.Fail("TLS 1.2 is off for the "+strings.ToLower(side.Name)+" side (Enabled is 0)",
				side.Enabled.Evidence).About(side.subject(protocolTLS12))
		}
	}
	if ev, off := client.off(); off {
		return requirement.Fail("TLS 1.2 is not offered by the client side (DisabledByDefault is 1)",
			ev).About(client.subject(protocolTLS12))
	}
	switch {
	case system.Build < machine.Build7:
		return requirement.Unknown(fmt.Sprintf("what %s does by default is not known", system.Name()), all...)
	case system.Build < machine.Build8:
		return judgeTLS12Seven(client, server, system, all)
	}
	if ev, off := server.off(); off {
		return requirement.Warn("TLS 1.2 is not offered by the server side (DisabledByDefault is 1)",
			ev).About(server.subject(protocolTLS12))
	}
	if client.Enabled.Present && server.Enabled.Present {
		return requirement.Pass("TLS 1.2 is on for client and server", all...)
	}
	return requirement.Infer("TLS 1.2 is on by default in "+system.Name()+", and nothing written turns it off",
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
				fmt.Sprintf("TLS 1.2 is off by default in %s, and nothing turns it on for the %s side", system.Name(),
					strings.ToLower(side.Name)), side.evidence()...).
				About(side.subject(protocolTLS12))
		case !on || !offered:
			half, about = append(half, strings.ToLower(side.Name)), append(about, side.subject(protocolTLS12))
		}
	}
	if len(half) > 0 {
		return requirement.Warn(
			fmt.Sprintf("TLS 1.2 is turned on only by half for %s: %s needs both Enabled 1 and DisabledByDefault 0",
				strings.Join(half, " and "), system.Name()), all...).About(about...)
	}
	return requirement.Pass("TLS 1.2 is on for client and server", all...)
}

// judgeSSL3 decides win.tls.ssl3. The document's literal demand contradicts
// the default of every current Windows, from which images are made all the
// same: only what is written against it fails.
func judgeSSL3(client, server protocolSide, system machine.System) requirement.Outcome {
	for _, side := range []protocolSide{client, server} {
		if ev, off := side.off(); off {
			return requirement.Fail("SSL 3.0 is turned off for the "+strings.ToLower(
				side.Name)+" side in the registry", ev).About(side.subject(protocolSSL3))
		}
	}
	all := append(client.evidence(), server.evidence()...)
	if client.Enabled.Present && server.Enabled.Present {
		return requirement.Pass(
			"SSL 3.0 is on for client and server, as the document demands; it is open to the POODLE attack", all...)
	}
	usual := "on"
	if system.Build >= build1607 {
		usual = "off"
	}
	return requirement.Infer(
		fmt.Sprintf("nothing written turns SSL 3.0 off; the default of %s is %s, and images are made from such "+
			"systems", system.Name(), usual), all...)
}
