package windows

import (
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// timeServerEC2 is the time server that every EC2 instance reaches.
const timeServerEC2 = "169.254.169.123"

var timeSource = entry{
	Requirement: recommended("current.ntp", "",
		"Windows should take its time from a server that it reaches, such as "+timeServerEC2+".",
		"Set the time for your Amazon EC2 instance", timeSourceExplained),
	Judge: (*Machine).decideTimeSource,
}

var timeSourceExplained = explanation{
	Reads: `SYSTEM: Services\W32Time\Start, Parameters\NtpServer and Type, TimeProviders\NtpClient\Enabled; ` +
		`SOFTWARE: Policies\Microsoft\W32Time\Parameters, which overrides them.`,
	Live:   "w32tm /query /source; w32tm /query /configuration",
	Doubts: "The disk does not show which servers the network lets Windows reach.",
	Fix: "Run w32tm /config /syncfromflags:manual /manualpeerlist:" + timeServerEC2 + ",0x9 /update as Administrator, " +
		"and set the service Windows Time to Automatic.",
}

// timeSettings say where Windows takes its time from.
type timeSettings struct {
	Service machine.Service         // W32Time
	Type    machine.Setting[string] // NTP, NT5DS, AllSync or NoSync
	Servers machine.Setting[string] // separated by spaces, each with flags after a comma
	Client  machine.Setting[uint32] // Enabled of the provider: 0 turns it off
}

func (m *Machine) readTimeSettings() (timeSettings, error) {
	var t timeSettings
	var err error
	if t.Service, err = m.Service("W32Time"); err != nil {
		return t, err
	}
	const own, policy = machine.KeyServices + `\W32Time`, `HKLM\SOFTWARE\Policies\Microsoft\W32Time`
	for _, field := range []struct {
		into *machine.Setting[string]
		name string
	}{{&t.Type, "Type"}, {&t.Servers, "NtpServer"}} {
		if *field.into, err = m.TextAt(policy+`\Parameters`, field.name); err != nil {
			return t, err
		}
		if !field.into.Present {
			if *field.into, err = m.TextAt(own+`\Parameters`, field.name); err != nil {
				return t, err
			}
		}
	}
	if t.Client, err = m.DWordAt(policy+`\TimeProviders\NtpClient`, "Enabled"); err == nil && !t.Client.Present {
		t.Client, err = m.DWordAt(own+`\TimeProviders\NtpClient`, "Enabled")
	}
	return t, err
}

func (m *Machine) decideTimeSource() requirement.Outcome {
	t, err := m.readTimeSettings()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeTimeSource(t)
}

// servers are the names of the time servers, without their flags.
func (t timeSettings) servers() []string {
	var names []string
	for _, field := range strings.Fields(t.Servers.Value) {
		name, _, _ := strings.Cut(field, ",")
		names = append(names, name)
	}
	return names
}

// judgeTimeSource decides whether Windows takes its time from anywhere.
func judgeTimeSource(t timeSettings) requirement.Outcome {
	servers := t.servers()
	ofDomain := strings.EqualFold(t.Type.Value, "NT5DS") || strings.EqualFold(t.Type.Value, "AllSync")
	evidence := []requirement.Evidence{t.Service.Start.Evidence, t.Type.Evidence, t.Servers.Evidence}
	switch {
	case !t.Service.Exists() || t.Service.Deleted:
		return requirement.Warn("The service Windows Time is not installed.", t.Service.Key).
			About(machine.ServiceSubject("W32Time", "Windows Time", requirement.ReasonMissing, ""))
	case t.Service.Start.Present && t.Service.Start.Value == machine.StartDisabled:
		return requirement.Warn("The service Windows Time is disabled.", t.Service.Start.Evidence).
			About(t.Service.Subject(requirement.ReasonDisabled, ""))
	case strings.EqualFold(t.Type.Value, "NoSync"):
		return requirement.Warn("Windows does not synchronize its time (Type is NoSync).", t.Type.Evidence).
			About(subjectOf(t.Type.Evidence, requirement.ReasonValue))
	case t.Client.Present && t.Client.Value == 0:
		return requirement.Warn("Windows does not synchronize its time: the time provider NtpClient is off.",
			t.Client.Evidence).About(subjectOf(t.Client.Evidence, requirement.ReasonDisabled))
	case slices.Contains(servers, timeServerEC2):
		return requirement.Pass("Windows takes its time from "+timeServerEC2+".", evidence...)
	case ofDomain:
		return requirement.Pass("Windows takes its time from its domain.", evidence...)
	case len(servers) == 0:
		return requirement.Infer("No time server is set. The default of Windows applies, which the network must let "+
			"it reach.", evidence...)
	}
	return requirement.Infer("Windows takes its time from "+prose.Some(servers)+", which the network must let it reach. "+
		timeServerEC2+" is reachable from every instance.", evidence...)
}
