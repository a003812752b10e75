package linux

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var componentProtocol = entry{
	Requirement: require(requirement.Required, "linux.component.protocol",
		"The DCV server and its host adapter must be installed and enabled; on Amazon Linux 2 the PCoIP agent instead is "+
			"sufficient.", "Required service components", explanation{
			Reads: "dcvserver.service and wspdcvhostadapter.service, what starts them at boot, and on Amazon Linux 2 the " +
				"package database, /usr/sbin/pcoip-agent, pcoip.service and pcoip-agent.service.",
			Live: "systemctl is-enabled dcvserver wspdcvhostadapter",
			Fix:  "Restart the WorkSpace, which repairs the agent of its protocol. If that fails, rebuild the WorkSpace.",
			Doubts: "AWS names the units and folders of DCV, but not its packages. AWS does not say which of the units must " +
				"start at boot.",
		}),
	Judge: (*Machine).decideProtocol,
}

// dcvUnits are the units of DCV without which nobody can connect. The session launcher
// is not one of them: it is started when it is needed.
var dcvUnits = []string{"dcvserver.service", "wspdcvhostadapter.service"}

// protocols are the facts about how users connect.
type protocols struct {
	System System
	DCV    []componentUnit // of dcvUnits
	PCoIP  component       // on Amazon Linux 2 only
}

// pcoipIsOffered reports whether WorkSpaces with the system may use PCoIP.
func (s System) pcoipIsOffered() bool { return s.oneOf([]string{"amzn 2"}) }

func (m *Machine) decideProtocol() requirement.Outcome {
	var p protocols
	var err error
	if p.System, err = m.System(); err != nil {
		return unreadable(err)
	}
	dcv, err := m.componentUnits(dcvUnits)
	if err != nil {
		return unreadable(err)
	}
	p.DCV = dcv
	if p.PCoIP, err = m.component(pcoipRule); err != nil {
		return unreadable(err)
	}
	return judgeProtocol(p)
}

// judgeProtocol decides linux.component.protocol.
func judgeProtocol(p protocols) requirement.Outcome {
	dcv := judgeDCV(p.DCV)
	if dcv.Status == requirement.Passed {
		return dcv
	}
	if p.System.pcoipIsOffered() {
		pcoip := judgeComponent(p.PCoIP, nil)
		for _, status := range []requirement.Status{requirement.Passed, requirement.Undetermined, requirement.Warning} {
			for _, o := range []requirement.Outcome{pcoip, dcv} {
				if o.Status == status {
					return o
				}
			}
		}
		if p.PCoIP.Package != nil {
			return pcoip // there is no sign of DCV, or less of it
		}
		dcv.Message = "The PCoIP agent is not installed, and the DCV server is not complete."
		return dcv.With(pcoip.Evidence...).About(pcoip.Subjects...)
	}
	if dcv.Status == requirement.Failed && p.PCoIP.Package != nil {
		dcv = dcv.With(p.PCoIP.Listed).Also(fmt.Sprintf("The PCoIP agent is installed, but %s WorkSpaces use only DCV.",
			p.System.Name))
	}
	return dcv
}

// broken reports whether the unit cannot run even if it is started: systemd refuses it, or
// what it needs, such as its program, does not exist. A unit that is masked or disabled is
// there.
func (u componentUnit) broken() bool {
	return u.State == unitRefused || u.State == unitEnabled && u.Fault.Certain
}

// judgeDCV decides whether the units of DCV are there and start. A unit without an
// [Install] section that nothing pulls in is started by another program.
func judgeDCV(units []componentUnit) requirement.Outcome {
	var missing, started []string
	var evidence, absent []requirement.Evidence
	var subjects []requirement.Subject
	var off []componentUnit
	var unread error
	inferred := false
	for _, u := range units {
		switch {
		case u.Err != nil:
			unread = joinErrors(unread, u.Err)
		case u.State == unitMissing:
			missing = append(missing, u.Name)
			absent = append(absent, u.File)
			subjects = append(subjects, unitSubject(u.Name, requirement.ReasonMissing, ""))
		case u.starts():
			started = append(started, u.Name)
			evidence = append(evidence, u.WantedBy[0])
		case u.State == unitStatic:
			started = append(started, u.Name)
			evidence = append(evidence, u.File)
			inferred = true
		default:
			off = append(off, u)
		}
	}
	switch {
	case len(missing) > 0:
		return requirement.Fail("The DCV server is not complete. Not found: "+strings.Join(missing, ", ")+".",
			absent...).About(subjects...)
	case unread != nil:
		return unreadable(unread, evidence...)
	case len(off) > 0:
		broken := slices.IndexFunc(off, componentUnit.broken)
		u := off[max(broken, 0)]
		t := u.trouble("the DCV server")
		o := requirement.Warn(t.What, u.evidence()...)
		if broken >= 0 {
			o = requirement.Fail(t.What, u.evidence()...)
		}
		o.Remediation = t.Remedy
		return o.About(t.Subject)
	case inferred:
		return requirement.Infer("The DCV server is installed: "+strings.Join(started, ", ")+". A unit that nothing starts "+
			"at boot has no [Install] section, so another program starts it.", evidence...)
	}
	return requirement.Pass("The DCV server starts at boot: "+strings.Join(started, ", ")+".", evidence...)
}
