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
		"Services must not run under a domain account.",
		sectionTips+": No services can be running under a domain account",
		explanation{
			Reads: `SYSTEM: Services\*\Type, Start, ObjectName, ImagePath; the names and SIDs of computer and ` +
				`domain from SYSTEM and SECURITY. Drivers and per-user services do not count. The event log ` +
				`System (7045) shows who installed a service.`,
			Live: "Get-CimInstance Win32_Service | Select-Object Name, StartMode, StartName",
			Doubts: "The service's guide does not mention services that are disabled or have no type or no program. " +
				"It does not mention accounts without a domain either, which Windows looks up on the computer first. " +
				"All of these are warnings.",
			Fix: changeLogOn("the service"),
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
	o := judgeAccounts(services, n, env)
	if d, ok := o.Details.(domainServices); ok && (o.Status == requirement.Failed || o.Status == requirement.Warning) {
		// Who installed them and when is for the reader; a log that cannot be read changes nothing.
		if list, err := m.installedServices(); err == nil {
			o = o.With(list.of(slices.Concat(d.Running, d.Disabled, d.Incomplete, d.WithoutDomain))...)
		}
	}
	return o
}

// domainServices are the details of win.services.domain-account.
type domainServices struct {
	Running       []domainService `json:"running,omitempty"`
	Disabled      []domainService `json:"disabled,omitempty"`
	Incomplete    []domainService `json:"incomplete,omitempty"`
	WithoutDomain []domainService `json:"without_domain,omitempty"`
	Deleted       []domainService `json:"deleted,omitempty"`
}

// changeLogOn says how services get an account that is allowed.
func changeLogOn(services string) string {
	return "Open services.msc, select " + services + ", Log On, and choose Local System account."
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
		o = requirement.Fail(fmt.Sprintf("%s as a domain user: %s.",
			prose.Count(len(failed), "service runs", "services run"), listServices(failed)), evidence...).About(about...)
		if n.Domain == "" && n.SIDErr == nil {
			o = o.Also("The computer is not in a domain, so the account belongs to another computer or domain.")
		}
		o.Remediation = changeLogOn(titles(about))
	case unread != nil:
		return requirement.Unreadable(unread)
	case len(disabled) > 0:
		o = requirement.Warn(fmt.Sprintf("%s a domain account but %s disabled: %s.",
			prose.Count(len(disabled), "service has", "services have"), form(len(disabled), "is", "are"),
			listServices(disabled)), disabledEvidence...).About(disabledAbout...)
		o.Remediation = changeLogOn(titles(disabledAbout))
	case len(stubs) > 0:
		o = requirement.Warn(fmt.Sprintf("%s a domain account but no type or no program: %s.",
			prose.Count(len(stubs), "service has", "services have"), listServices(stubs)),
			stubEvidence...).About(stubAbout...)
		var deletions []string
		for _, row := range stubs {
			deletions = append(deletions, `sc.exe delete "`+row.Service+`"`)
		}
		o.Remediation = "Reinstall the program of " + titles(stubAbout) + ", or run " + prose.Some(deletions) +
			" as Administrator. Then restart."
	case len(bare) > 0:
		o = requirement.Warn(fmt.Sprintf("%s an account without a domain, which may be a domain's: %s.",
			prose.Count(len(bare), "service has", "services have"), listServices(bare)),
			bareEvidence...).About(bareAbout...)
		o.Remediation = "Open services.msc, select " + titles(bareAbout) + `, Log On, and write .\ before the name of ` +
			`the local account, or choose Local System account.`
	case judged == 0:
		return requirement.Unknown("No service was found: the list of services is incomplete.")
	default:
		o = requirement.Pass(prose.Count(judged, "service was", "services were")+" checked; none has a domain account.",
			services[0].ServicesKey())
		if len(deleted) == 0 {
			return o
		}
		o = o.Also("Windows deletes these at the next start: " + listServices(deleted) + ".").With(deletedEvidence...)
	}
	o.Details = domainServices{failed, disabled, stubs, bare, deleted}
	return o
}

func listServices(rows []domainService) string {
	var parts []string
	for _, r := range rows {
		parts = append(parts, fmt.Sprintf("%s (%s) as %s", r.Service, r.Start, r.Account))
	}
	return prose.Some(parts)
}
