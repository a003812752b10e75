package windows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// domainService is a row of the details of win.services.domain-account.
type domainService struct {
	Service string `json:"service"`
	Start   string `json:"start"`
	Account string `json:"account"`
}

var servicesDomainAccount = entry{
	Requirement: required("win.services.domain-account", "DomainAccountServicesFound",
		"no service runs under a domain account", sectionTips+": No services can be running under a domain account",
		explanation{
			Reads: `SYSTEM: Services\*\Type, Start, ObjectName, ImagePath; the names and SIDs of computer and ` +
				`domain from SYSTEM and SECURITY. Drivers and per-user services are left out; a key without a type, ` +
				`or without a program, that names a domain account is a warning.`,
			Live: `Get-WmiObject Win32_Service | Where-Object { $_.StartName -like "*$env:USERDOMAIN*" } (which ` +
				`misses accounts written as user@domain, and finds local ones that contain the domain's name)`,
			Fix: "services.msc, the service, Log On: choose the Local System account.",
		}),
	Judge: (*Machine).decideAccounts,
}

func (m *Machine) decideAccounts() requirement.Outcome {
	services, err := m.Services()
	if err != nil {
		return requirement.Unreadable(err)
	}
	n, err := m.Names()
	if err != nil {
		return requirement.Unreadable(err)
	}
	var env machine.Environment
	if slices.ContainsFunc(services, func(s machine.Service) bool { return strings.Contains(s.Account.Value, "%") }) {
		if env, err = m.Environment(); err != nil {
			return requirement.Unreadable(err)
		}
	}
	return judgeAccounts(services, n, env)
}

// judgeAccounts decides win.services.domain-account.
func judgeAccounts(services []machine.Service, n machine.Names, env machine.Environment) requirement.Outcome {
	var failed, disabled, bare, stubs, deleted []domainService
	var evidence, disabledEvidence, bareEvidence, stubEvidence, deletedEvidence []requirement.Evidence
	var about, disabledAbout, bareAbout, stubAbout []requirement.Subject
	judged := 0
	var unread error
	for _, s := range services {
		if s.Err != nil && unread == nil && s.MayProcess() {
			unread = s.Err
		}
		stub := s.MayBecomeProcess()
		if !s.Process() && !stub {
			continue
		}
		row := domainService{s.Name, s.StartName(), strings.TrimSpace(env.Text(s.Account))}
		kind := n.Classify(row.Account)
		if stub {
			if kind == machine.AccountDomain {
				stubs, stubEvidence = append(stubs, row),
					append(stubEvidence, s.Account.Evidence, s.Type.Evidence, s.ImagePath.Evidence)
				stubAbout = append(stubAbout, s.Subject(requirement.ReasonDamaged, s.Account.Value))
			}
			continue
		}
		judged++
		switch {
		case kind == machine.AccountDomain && s.Deleted:
			deleted, deletedEvidence = append(deleted, row), append(deletedEvidence, s.Account.Evidence)
		case kind == machine.AccountDomain && s.Start.Present && s.Start.Value == machine.StartDisabled:
			disabled, disabledEvidence = append(disabled, row),
				append(disabledEvidence, s.Account.Evidence, s.Start.Evidence)
			disabledAbout = append(disabledAbout, s.Subject(requirement.ReasonDisabled, s.Account.Value))
		case kind == machine.AccountDomain:
			failed, evidence = append(failed, row), append(evidence, s.Account.Evidence)
			about = append(about, s.Subject(requirement.ReasonAccount, s.Account.Value))
		case kind == machine.AccountBare && !s.Deleted:
			bare, bareEvidence = append(bare, row), append(bareEvidence, s.Account.Evidence)
			bareAbout = append(bareAbout, s.Subject(requirement.ReasonAmbiguous, s.Account.Value))
		}
	}
	var o requirement.Outcome
	switch {
	case len(failed) > 0:
		message := fmt.Sprintf("%s under a domain account: %s",
			prose.Count(len(failed), "service runs", "services run"), listServices(failed))
		if n.Domain == "" && n.SIDErr == nil {
			message += " (the computer is in no domain, so the name is foreign)"
		}
		o = requirement.Fail(message, evidence...).About(about...)
		var services []string
		for _, row := range failed {
			services = append(services, row.Service)
		}
		o.Remediation = fmt.Sprintf("services.msc, %s, Log On: choose the Local System account.",
			prose.Some(services))
	case unread != nil:
		return requirement.Unreadable(unread)
	case len(disabled) > 0:
		o = requirement.Warn(fmt.Sprintf("%s under a domain account but disabled: %s",
			prose.Count(len(disabled), "service is", "services are"), listServices(disabled)),
			disabledEvidence...).About(disabledAbout...)
	case len(stubs) > 0:
		o = requirement.Warn(fmt.Sprintf("%s a domain account but no type or no program: %s",
			prose.Count(len(stubs), "service has", "services have"), listServices(stubs)),
			stubEvidence...).About(stubAbout...)
		o.Remediation = "Repair the service, or delete it (sc.exe delete NAME), then restart."
	case len(bare) > 0:
		o = requirement.Warn(fmt.Sprintf("%s under an account without a domain, which may be of a domain: %s",
			prose.Count(len(bare), "service runs", "services run"), listServices(bare)),
			bareEvidence...).About(bareAbout...)
		o.Remediation = `services.msc, Log On: write .\ before the name of a local account, or choose the Local ` +
			`System account.`
	case judged == 0:
		return requirement.Unknown("no service was found: the list of services is not whole")
	default:
		message := fmt.Sprintf("none of %d services runs under a domain account", judged)
		if len(deleted) == 0 {
			return requirement.Pass(message, services[0].ServicesKey())
		}
		message += "; Windows deletes at the next start: " + listServices(deleted)
		o = requirement.Pass(message, append([]requirement.Evidence{services[0].ServicesKey()},
			deletedEvidence...)...)
	}
	o.Details = struct {
		Running       []domainService `json:"running,omitempty"`
		Disabled      []domainService `json:"disabled,omitempty"`
		Incomplete    []domainService `json:"incomplete,omitempty"`
		WithoutDomain []domainService `json:"without_domain,omitempty"`
		Deleted       []domainService `json:"deleted,omitempty"`
	}{failed, disabled, stubs, bare, deleted}
	return o
}

func listServices(rows []domainService) string {
	var parts []string
	for _, r := range rows {
		parts = append(parts, fmt.Sprintf("%s (%s) as %s", r.Service, r.Start, r.Account))
	}
	return prose.Some(parts)
}
