package windows

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var gpoNone = entry{
	Requirement: recommended("win.gpo.none", "", "No Group Policy Objects should be applied.",
		sectionPractices+"; "+sectionTroubleshooting, explanation{
			Reads: `SOFTWARE, for computer and user: Group Policy\State\…\GPO-List and Group Policy\History; the ` +
				`user's own History in NTUSER.DAT; ProgramData\Microsoft\Group Policy\History; the local policy's ` +
				`Registry.pol; the policies CertTemplateName and SecurityLayer of Remote Desktop.`,
			Live: "gpresult /r /scope computer; gpresult /r /scope user",
			Doubts: "The service's guide makes no exception for the Default Domain Policy. It does not count here, because " +
				"every member of a domain has it.",
			Fix: "Move the WorkSpace to a new organizational unit with blocked inheritance and no linked policies. " +
				"Run gpupdate /force, then restart.",
		}),
	Judge: (*Machine).decidePolicies,
}

// An appliedPolicy is a Group Policy Object that was applied when the policy
// last ran.
type appliedPolicy struct {
	Name string `json:"name"`
	GUID string `json:"guid,omitempty"`
	// "site", "domain", "organizational unit", or the container's name
	Link     string               `json:"link,omitempty"`
	Scope    string               `json:"scope,omitempty"` // "machine" or "user"
	local    bool                 // the machine's own
	Evidence requirement.Evidence `json:"-"`
}

// defaultDomainPolicy is applied to every member of a domain.
const defaultDomainPolicy = "{31B2F340-016D-11D2-945F-00C04FB984F9}"

// Values of GPOLink ([MS-GPOL] has them as GPO_LINK, gpapi.h).
const (
	linkMachine            = 1
	linkSite               = 2
	linkDomain             = 3
	linkOrganizationalUnit = 4
)

var linkNames = map[uint32]string{linkSite: "site", linkDomain: "domain",
	linkOrganizationalUnit: "organizational unit"}

// policies are the Group Policy Objects of machine and user.
type policies struct {
	Applied []appliedPolicy
	Local   []policyFile // the local policy's files
	RDP     []requirement.Evidence
	Looked  requirement.Evidence
	Unread  error // why there may be more of them
}

func (m *Machine) decidePolicies() requirement.Outcome {
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err)
	}
	p := m.readPolicies(w)
	return judgePolicies(p)
}

func (m *Machine) readPolicies(w machine.Wanted) policies {
	var p policies
	note := func(err error) {
		if err != nil {
			p.Unread = fact.Join(p.Unread, err)
		}
	}
	root, err := m.Key(machine.KeyGroupPolicy)
	note(err)
	p.Looked = root.Evidence
	note(m.readPolicyHistory(&p, machine.KeyGroupPolicy+`\History`, "machine"))
	note(m.readPolicyState(&p, machine.KeyGroupPolicy+`\State\Machine\GPO-List`, "machine"))
	if w.Profile != nil {
		note(m.readPolicyState(&p, machine.KeyGroupPolicy+`\State\`+w.Profile.SID+`\GPO-List`, "user"))
		note(m.readPolicyHistory(&p, machine.KeyGroupPolicy+`\`+w.Profile.SID+`\History`, "user"))
		note(m.readPolicyHistory(&p, `HKU\`+w.Profile.SID+`\Software`+machine.KeyWindows+`\Group Policy\History`,
			"user"))
	} else {
		note(errNoUser)
	}
	note(m.readPolicyFolders(&p))
	for _, class := range []string{"Machine", "User"} {
		file := m.policyFile(class)
		note(file.Err)
		p.Local = append(p.Local, file)
	}
	note(m.readThumbprint(&p))
	return p
}

// readPolicyHistory reads what each extension applied: History\{extension}\n.
func (m *Machine) readPolicyHistory(p *policies, name, scope string) error {
	extensions, err := m.SubkeysAt(name)
	if err != nil {
		return err
	}
	for _, extension := range extensions {
		list, err := m.Subkeys(extension)
		if err != nil {
			return err
		}
		for _, k := range list {
			guid, err := m.Text(k, "GPOName")
			if err != nil {
				return err
			}
			link, err := m.DWord(k, "GPOLink")
			if err != nil {
				return err
			}
			a := appliedPolicy{GUID: guid.Value, Scope: scope, Link: linkNames[link.Value],
				local: link.Value == linkMachine, Evidence: k.Evidence}
			if err := m.addPolicy(p, k, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// readPolicyState reads the list of the policies that were found for machine
// or user, with what kept one of them from being applied (from observation, not
// documented).
func (m *Machine) readPolicyState(p *policies, name, scope string) error {
	keys, err := m.SubkeysAt(name)
	if err != nil {
		return err
	}
	for _, k := range keys {
		guid, err := m.Text(k, "GPOID")
		if err != nil {
			return err
		}
		som, err := m.Text(k, "SOM")
		if err != nil {
			return err
		}
		denied, err := m.DWord(k, "AccessDenied")
		if err != nil {
			return err
		}
		disabled, err := m.DWord(k, "GPO-Disabled")
		if err != nil {
			return err
		}
		filter, err := m.DWord(k, "WQLFilterPass")
		if err != nil {
			return err
		}
		if denied.Value != 0 || disabled.Value != 0 || filter.Present && filter.Value == 0 {
			continue
		}
		a := appliedPolicy{GUID: policyGUID(guid.Value), Scope: scope, Link: som.Value, Evidence: k.Evidence}
		a.local = strings.EqualFold(guid.Value, "LocalGPO") || strings.EqualFold(som.Value, "Local")
		if err := m.addPolicy(p, k, a); err != nil {
			return err
		}
	}
	return nil
}

// policyGUID takes the identifier out of the name of a container in the
// directory: CN={31B2…},CN=Policies,CN=System,DC=….
func policyGUID(name string) string {
	_, rest, found := strings.Cut(name, "{")
	guid, _, closed := strings.Cut(rest, "}")
	if !found || !closed {
		return name
	}
	return "{" + guid + "}"
}

// addPolicy adds a policy with its name, unless it is there already.
func (m *Machine) addPolicy(p *policies, k machine.Key, a appliedPolicy) error {
	name, err := m.Text(k, "DisplayName")
	if err != nil {
		return err
	}
	a.Name = name.Value
	if a.Name == "" {
		a.Name = a.GUID
	}
	if a.Name == "" {
		a.Name = "an unnamed policy"
	}
	a.Evidence.Kind, a.Evidence.Origin, a.Evidence.Found = requirement.KindValue, name.Evidence.Origin, name.Present
	a.Evidence.Value, a.Evidence.Data = "DisplayName", name.Value
	if !slices.ContainsFunc(p.Applied, a.same) {
		p.Applied = append(p.Applied, a)
	}
	return nil
}

// subject is the policy as a finding names it to programs.
func (a appliedPolicy) subject() requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectSetting, ID: cmp.Or(a.GUID, a.Name), Name: a.Name,
		Reason: requirement.ReasonPolicy, Value: a.Scope}
}

// same says whether two entries are of one policy.
func (a appliedPolicy) same(b appliedPolicy) bool {
	return a.Scope == b.Scope && a.local == b.local && strings.EqualFold(a.GUID, b.GUID) &&
		(a.GUID != "" || a.Name == b.Name)
}

// readPolicyFolders adds policies of which only the folder is left in which
// preferences keep what they applied.
func (m *Machine) readPolicyFolders(p *policies) error {
	env, err := m.Environment()
	if err != nil {
		return err
	}
	folder := env["PROGRAMDATA"] + `\Microsoft\Group Policy\History`
	entries, _, err := m.List(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !e.IsDir() || !strings.HasPrefix(e.Name(), "{") {
			continue
		}
		known := func(a appliedPolicy) bool { return strings.EqualFold(a.GUID, e.Name()) }
		if slices.ContainsFunc(p.Applied, known) {
			continue
		}
		f, err := m.File(folder + `\` + e.Name())
		if err != nil {
			return err
		}
		p.Applied = append(p.Applied, appliedPolicy{Name: e.Name(), GUID: e.Name(), Evidence: f.Evidence})
	}
	return nil
}

// readThumbprint reads the policies on the certificate of RDP, of which some
// restrict access to its thumbprint for EC2Config and EC2Launch.
func (m *Machine) readThumbprint(p *policies) error {
	k, err := m.Key(`HKLM\SOFTWARE` + keyTerminalServerPolicy)
	if err != nil {
		return err
	}
	template, err := m.Text(k, "CertTemplateName")
	if err != nil {
		return err
	}
	layer, err := m.DWord(k, "SecurityLayer")
	if err != nil {
		return err
	}
	add := func(ev requirement.Evidence) {
		ev.Note = strings.TrimPrefix(ev.Note+"; may restrict access to the thumbprint of the RDP certificate", "; ")
		p.RDP = append(p.RDP, ev)
	}
	if strings.TrimSpace(template.Value) != "" {
		add(template.Evidence)
	}
	if layer.Present {
		add(layer.Evidence)
	}
	return nil
}

// thumbprintTip is what the document says of policies on the RDP certificate.
const thumbprintTip = "Move the WorkSpace to a new organizational unit with blocked inheritance and no linked " +
	"policies. Run gpupdate /force, then restart. EC2Config and EC2Launch must be able to read the thumbprint of " +
	"the RDP certificate during Windows Setup."

// judgePolicies decides win.gpo.none.
func judgePolicies(p policies) requirement.Outcome {
	var names, ordinary []string
	var evidence []requirement.Evidence
	var about []requirement.Subject
	var details []appliedPolicy
	for _, a := range p.Applied {
		switch {
		case a.local:
		case strings.EqualFold(a.GUID, defaultDomainPolicy):
			if !slices.Contains(ordinary, a.Name) {
				ordinary = append(ordinary, a.Name)
			}
		default:
			if !slices.Contains(names, a.Name) {
				names = append(names, a.Name)
			}
			evidence, details = append(evidence, a.Evidence), append(details, a)
			about = append(about, a.subject())
		}
	}
	for _, file := range p.Local {
		if len(file.Entries) > 0 {
			names = append(names, fmt.Sprintf("the local policy (%s in %s)",
				prose.Count(len(file.Entries), "setting", "settings"), path.Base(file.Path)))
			ev := machine.FoundEvidence(machine.RoleRoot, file.Path, false)
			ev.Content, ev.Data = true, prose.Count(len(file.Entries), "setting", "settings")
			evidence, about = append(evidence, ev), append(about, subjectOf(ev, requirement.ReasonPolicy))
		}
	}
	var thumbprint []string
	for _, ev := range p.RDP {
		thumbprint, about = append(thumbprint, ev.Value), append(about, subjectOf(ev, requirement.ReasonPolicy))
	}
	restricted := form(len(thumbprint), "The policy ", "The policies ") + prose.Some(thumbprint) +
		" may restrict access to the thumbprint of the RDP certificate."
	switch {
	case len(names) > 0:
		o := requirement.Warn(prose.Count(len(names), "policy is applied: ", "policies are applied: ")+
			prose.Some(names)+".", append(evidence, p.RDP...)...).About(about...)
		if len(p.RDP) > 0 {
			o = o.Also(restricted)
			o.Remediation = thumbprintTip
		}
		if len(details) > 0 {
			o.Details = details
		} else if len(p.RDP) == 0 {
			o.Remediation = "Open gpedit.msc and set every configured setting of the local policy to Not Configured."
		}
		return o
	case len(p.RDP) > 0:
		o := requirement.Warn(restricted, p.RDP...).About(about...)
		o.Remediation = thumbprintTip
		return o
	case p.Unread != nil:
		return requirement.Unreadable(p.Unread)
	}
	looked := p.Looked
	if looked.Found {
		looked.Note = "all lists of applied policies were read"
	}
	message := "No Group Policy Object is applied."
	if len(ordinary) > 0 {
		message = "No Group Policy Object is applied except " + strings.Join(ordinary, ", ") +
			", which every member of a domain has."
	}
	return requirement.Pass(message, looked)
}
