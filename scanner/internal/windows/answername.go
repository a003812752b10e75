package windows

import (
	"strings"
	"unicode"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var computerNames = entry{
	Requirement: recommended("current.computer-name", "",
		"A computer name set by the answer file should differ on each WorkSpace, and be set in the specialize pass.",
		sectionCurrent+": Specify a custom computer name", explanation{
			Reads: `The answer file of the EC2 agent: ComputerName, RegisteredOwner and RegisteredOrganization in the ` +
				`passes specialize and oobeSystem.`,
			Live: `Get-Content C:\ProgramData\Amazon\EC2-Windows\Launch\Sysprep\Unattend.xml`,
			Fix: "In the specialize pass of the answer file, set ComputerName to *, and set both RegisteredOwner and " +
				"RegisteredOrganization: the names begin with the first seven characters of both.",
		}),
	Judge: (*Machine).decideComputerNames,
}

// answerNames are what an answer file says of the computer's name.
type answerNames struct {
	Computer, Owner, Organization string // in the specialize pass
	Late                          bool   // one of them is in the oobeSystem pass
}

// set keeps one of the elements that give a computer its name.
func (n *answerNames) set(pass, element, value string) {
	var into *string
	switch element {
	case "ComputerName":
		into = &n.Computer
	case "RegisteredOwner":
		into = &n.Owner
	case "RegisteredOrganization":
		into = &n.Organization
	default:
		return
	}
	switch {
	case strings.EqualFold(pass, "specialize"):
		*into = value
	case strings.EqualFold(pass, "oobeSystem"):
		n.Late = true
	}
}

// prefixLength is how many characters of owner and organization the name of a
// computer begins with.
const prefixLength = 7

// prefix is what Windows makes of owner and organization for a name that is *:
// "EC2" and "Amazon.com" give "EC2AMAZ-".
func (n answerNames) prefix() string {
	letters := []rune(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToUpper(r)
		}
		return -1
	}, n.Owner+n.Organization))
	return string(letters[:min(len(letters), prefixLength)]) + "-"
}

func (m *Machine) decideComputerNames() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	agents, err := m.readAgents(s)
	if err != nil {
		return requirement.Unreadable(err)
	}
	agent := decisive(agents)
	if !agent.installed() {
		return requirement.Skip("No EC2 launch agent is installed: see win.sysprep.file.")
	}
	for _, a := range agent.Answers {
		if a.Err != nil || a.File.Exists {
			return judgeComputerNames(a)
		}
	}
	return requirement.Skip("The EC2 launch agent has no answer file: see win.sysprep.file.",
		agent.Answers[0].File.Evidence)
}

// judgeComputerNames decides current.computer-name by the answer file that the agent uses.
func judgeComputerNames(a answerFile) requirement.Outcome {
	ev := a.File.Evidence
	path := machine.WindowsPath(ev)
	about := subjectOf(ev, requirement.ReasonValue)
	n := a.Content.Names
	named := n.Owner != "" && n.Organization != ""
	switch {
	case a.Err != nil:
		return requirement.Unreadable(a.Err, ev)
	case a.Content.Blank || a.Content.Problem != "":
		return requirement.Warn("Sysprep cannot use "+path+": see win.sysprep.file.", ev).
			About(subjectOf(ev, requirement.ReasonDamaged))
	case n.Computer != "" && n.Computer != "*":
		return requirement.Warn("Every WorkSpace of the image would be called "+prose.Short(n.Computer)+
			": ComputerName in "+path+" is not *.", ev).About(about)
	case (n.Owner != "") != (n.Organization != ""):
		return requirement.Warn(path+" sets only one of RegisteredOwner and RegisteredOrganization.", ev).About(about)
	case !named && n.Late:
		return requirement.Warn(path+" sets the computer's name in the pass oobeSystem, where it is ignored.",
			ev).About(about)
	case n.Computer == "*" && named:
		return requirement.Pass("The names of WorkSpaces of the image begin with "+prose.Short(n.prefix())+".", ev)
	}
	return requirement.Pass("The answer file sets no computer name, so that the default names apply.", ev)
}
