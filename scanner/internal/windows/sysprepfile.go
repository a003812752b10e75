package windows

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// answerFile is an answer file of Windows Setup.
type answerFile struct {
	File    machine.File
	Content answerContent
	Err     error // why it cannot be read; nil if it can, or if it is not there
}

// answerContent is what an answer file says.
type answerContent struct {
	Blank     bool     // nothing in it but white space, zeros and byte order marks
	Problem   string   // why it is no answer file for Sysprep, "" if it is one
	Passes    []string // "generalize", "specialize", …, in the file's order
	Processed bool     // a pass is marked as done, as Windows marks its own copy
	Open      []string // passes of a copy that was Processed that are not marked
	SkipRearm bool     // Sysprep does not rearm Windows
	// CopyProfile: the Administrator's profile becomes the default one.
	CopyProfile bool
	Names       answerNames
	Notes       []string // settings that a person should know of
}

// maxAnswerFile is far above an answer file's size, in bytes: those of the
// agents have 3 to 6 KiB.
const maxAnswerFile = 1 << 20

func (m *Machine) readAnswer(path string) answerFile {
	data, f, err := m.ReadFile(path, maxAnswerFile)
	if err != nil {
		return answerFile{File: m.UnreadFile(path), Err: err}
	}
	if !f.Exists {
		return answerFile{File: f}
	}
	if f.Dir {
		return answerFile{File: f, Err: fmt.Errorf("%s is a folder", f.Evidence.Path)}
	}
	a := answerFile{File: f, Content: parseAnswer(data)}
	switch {
	case a.Content.Blank:
		a.File.Evidence.Note = "blank"
	case a.Content.Problem != "":
		a.File.Evidence.Note = a.Content.Problem
	default:
		a.File.Evidence.Note = "passes " + strings.Join(a.Content.Passes, ", ")
	}
	return a
}

const unattendNamespace = "urn:schemas-microsoft-com:unattend"

// parseAnswer reads an answer file (Unattended Windows Setup Reference).
func parseAnswer(data []byte) answerContent {
	text := strings.TrimFunc(machine.DecodeText(data),
		func(r rune) bool { return unicode.IsSpace(r) || r == 0 || r == '\uFEFF' })
	if text == "" {
		return answerContent{Blank: true}
	}
	// The declaration names the encoding that the text no longer has.
	if strings.HasPrefix(text, "<?xml") {
		if _, rest, ok := strings.Cut(text, "?>"); ok {
			text = rest
		}
	}
	var c answerContent
	if err := c.read(xml.NewDecoder(strings.NewReader(text))); err != nil {
		c.Problem, c.Processed, c.Open = "it is not valid XML: "+fact.Syntax(err).Error(), false, nil
		c.Names = answerNames{}
		return c
	}
	if !c.Processed {
		c.Open = nil
	}
	if c.Problem == "" && !slices.Contains(c.Passes, "generalize") && !slices.Contains(c.Passes, "specialize") {
		c.Problem = "it has neither a generalize nor a specialize pass"
	}
	return c
}

func (c *answerContent) read(d *xml.Decoder) error {
	var path []string
	roots := 0
	for {
		token, err := d.Token()
		if err == io.EOF {
			if roots == 0 {
				return errors.New("it has no element")
			}
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			path = append(path, t.Name.Local)
			switch {
			case len(path) == 1:
				if roots++; roots > 1 {
					return errors.New("it has a second element " + t.Name.Local)
				}
				if t.Name.Local != "unattend" || t.Name.Space != unattendNamespace {
					c.Problem = fmt.Sprintf("its root is %q, not unattend of %s", t.Name.Local, unattendNamespace)
				}
			case len(path) == 2 && t.Name.Local == "settings":
				c.Passes = append(c.Passes, attribute(t, "pass"))
				if strings.EqualFold(attribute(t, "wasPassProcessed"), "true") {
					c.Processed = true
				} else {
					c.Open = append(c.Open, attribute(t, "pass"))
				}
			}
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.CharData:
			if len(path) == 0 && strings.TrimSpace(string(t)) != "" {
				return errors.New("it has text outside of its root")
			}
			c.note(path, strings.TrimSpace(string(t)))
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if strings.EqualFold(a.Name.Local, name) {
			return a.Value
		}
	}
	return ""
}

// note keeps the settings that change what becomes of an image.
func (c *answerContent) note(path []string, value string) {
	if value == "" || len(path) < 3 {
		return
	}
	pass := "?"
	if len(c.Passes) > 0 {
		pass = c.Passes[len(c.Passes)-1]
	}
	say := func(s string) {
		if !slices.Contains(c.Notes, s) && len(c.Notes) < 20 {
			c.Notes = append(c.Notes, s)
		}
	}
	last, parent := path[len(path)-1], path[len(path)-2]
	c.Names.set(pass, last, value)
	switch {
	case last == "ComputerName" && pass == "specialize" && value != "*":
		say("ComputerName is " + prose.Short(value) + " (ignored)")
	case last == "SkipRearm" && value != "0":
		c.SkipRearm = true
		say("SkipRearm is " + prose.Short(value) + " (Sysprep does not rearm Windows)")
	case last == "CopyProfile" && strings.EqualFold(value, "true"):
		c.CopyProfile = true
		say("CopyProfile is true (the Administrator's profile becomes the default profile)")
	case last == "PlainText" && strings.EqualFold(value, "true") && strings.HasSuffix(parent, "Password"):
		say("a password is in plain text")
	}
}

// launchAgent is an agent that prepares Windows on EC2, with its answer files.
type launchAgent struct {
	Name    string
	Signs   []requirement.Evidence // why it counts as installed: its program, its service; none if it is not
	Left    []requirement.Evidence // folders of one that is not installed
	Answers []answerFile           // the first is the one the agent uses, others are as good
	Foreign string                 // the version of Windows, where the agent is not made for it
}

func (a launchAgent) installed() bool { return len(a.Signs) > 0 }

// Names of the agents.
const (
	agentConfig   = "EC2Config"
	agentLaunch   = "EC2Launch"
	agentLaunchV2 = "EC2Launch v2"
)

// build2022 is where AWS's images begin to carry EC2Launch v2.
const build2022 = 20348

// agentOrder says which agent prepares a version of Windows, and which do
// where that one is not installed.
func agentOrder(s machine.System) []string {
	switch {
	case s.Build >= build2022:
		return []string{agentLaunchV2, agentLaunch, agentConfig}
	case s.Build >= build1607 && !s.Client:
		return []string{agentLaunch, agentLaunchV2, agentConfig}
	}
	return []string{agentConfig, agentLaunch, agentLaunchV2}
}

// agentPlace is where an agent is. Its folders may outlive it, with logs and
// settings; its program does not.
type agentPlace struct {
	folders, programs, answers []string
	service                    string // "" if it has none
}

func agentPlaces(env machine.Environment, s machine.System) map[string]agentPlace {
	programs, data := env["PROGRAMFILES"]+`\Amazon\`, env["PROGRAMDATA"]+`\Amazon\`
	v2 := []string{data + `EC2Launch\sysprep\unattend.xml`}
	if s.Client && s.Build >= machine.Build11 {
		v2 = []string{data + `EC2Launch\sysprep\OOBE_unattend.xml`, v2[0]}
	}
	config, launch := programs+`Ec2ConfigService`, data+`EC2-Windows\Launch`
	return map[string]agentPlace{
		agentConfig: {[]string{config}, []string{config + `\Ec2Config.exe`}, []string{config + `\sysprep2008.xml`},
			"Ec2Config"},
		agentLaunch: {[]string{launch}, []string{launch + `\Scripts\InitializeInstance.ps1`,
			launch + `\Module\Ec2Launch.psd1`, launch + `\Module\Ec2Launch.psm1`},
			[]string{launch + `\Sysprep\Unattend.xml`}, ""},
		agentLaunchV2: {[]string{data + `EC2Launch`, programs + `EC2Launch`},
			[]string{programs + `EC2Launch\EC2Launch.exe`}, v2, "Amazon EC2Launch"},
	}
}

// readAgents returns the agents in the order in which they decide.
func (m *Machine) readAgents(s machine.System) ([]launchAgent, error) {
	env, err := m.Environment()
	if err != nil {
		return nil, err
	}
	known := agentPlaces(env, s)
	var agents []launchAgent
	for _, name := range agentOrder(s) {
		a := launchAgent{Name: name}
		if name == agentConfig && (s.Build >= machine.Build11 || s.Build >= build1607 && !s.Client) {
			a.Foreign = s.Name()
		}
		for _, path := range known[name].programs {
			f, err := m.File(path)
			if err != nil {
				return nil, err
			}
			if f.Exists && !f.Dir {
				a.Signs = append(a.Signs, f.Evidence)
			}
		}
		if service := known[name].service; service != "" {
			s, err := m.Service(service)
			switch {
			case err == nil && s.Exists() && !s.Deleted:
				a.Signs = append(a.Signs, s.Key)
			case err != nil && !a.installed():
				return nil, err
			}
		}
		for _, path := range known[name].folders {
			f, err := m.File(path)
			if err != nil {
				return nil, err
			}
			if f.Exists && f.Dir && !a.installed() {
				a.Left = append(a.Left, f.Evidence)
			}
		}
		for _, path := range known[name].answers {
			a.Answers = append(a.Answers, m.readAnswer(path))
		}
		agents = append(agents, a)
	}
	return agents, nil
}

// readAnswers returns the answer files of the agent that decides or, where it
// is not known which that is, of all there are.
func (m *Machine) readAnswers(s machine.System) ([]answerFile, error) {
	if agents, err := m.readAgents(s); err == nil {
		return decisive(agents).Answers, nil
	}
	env, err := m.Environment()
	if err != nil {
		return nil, err
	}
	places := agentPlaces(env, s)
	var answers []answerFile
	for _, name := range agentOrder(s) {
		for _, path := range places[name].answers {
			answers = append(answers, m.readAnswer(path))
		}
	}
	return answers, nil
}

// sysprepFiles are the files that Sysprep works with.
type sysprepFiles struct {
	Program      machine.File // sysprep.exe
	Agents       []launchAgent
	AgentsErr    error                   // why Agents are not known
	Cached       []answerFile            // answer files that Windows Setup finds by itself
	UnattendFile machine.Setting[string] // the one that the registry names
	Err          error                   // why Cached or UnattendFile is not known
}

func (m *Machine) readSysprepFiles() (sysprepFiles, error) {
	var f sysprepFiles
	var err error
	root := `C:\` + m.SystemRoot
	if f.Program, err = m.File(root + `\System32\Sysprep\sysprep.exe`); err != nil {
		return f, err
	}
	s, err := m.System()
	if err == nil {
		f.Agents, err = m.readAgents(s)
	}
	f.AgentsErr = err
	for _, path := range []string{`\Panther\Unattend\unattend.xml`, `\Panther\unattend.xml`,
		`\System32\Sysprep\unattend.xml`} {
		a := m.readAnswer(root + path)
		if a.Err != nil && f.Err == nil {
			f.Err = a.Err
		}
		f.Cached = append(f.Cached, a)
	}
	unattend, err := m.TextAt(keySetup, "UnattendFile")
	if err != nil && f.Err == nil {
		f.Err = err
	}
	f.UnattendFile = unattend
	return f, nil
}

var sysprepFile = entry{
	Requirement: required("win.sysprep.file", "SysPrepFileMissing",
		"The Sysprep answer file of the EC2 agent must exist and must not be blank.",
		sectionTips+": The Sysprep file must exist and can't be blank", explanation{
			Reads: `The answer file of the installed agent: Ec2ConfigService\sysprep2008.xml (EC2Config), ` +
				`EC2-Windows\Launch\Sysprep\Unattend.xml (EC2Launch), EC2Launch\sysprep\unattend.xml (EC2Launch ` +
				`v2). If several agents are installed, the one for this version of Windows decides. sysprep.exe; answer ` +
				`files that Windows Setup would find first.`,
			Live: `Get-Content C:\ProgramData\Amazon\EC2-Windows\Launch\Sysprep\Unattend.xml`,
			Doubts: "The service's guide only requires a file that is not blank. These are warnings: a file that Sysprep " +
				"cannot use, an agent for another version of Windows, and another answer file that Windows Setup may use.",
			Fix: "Reinstall the EC2 agent, or contact AWS Support.",
		}),
	Judge: (*Machine).decideSysprepFile,
}

func (m *Machine) decideSysprepFile() requirement.Outcome {
	f, err := m.readSysprepFiles()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeSysprepFile(f)
}

// agentRow is a row of the details of win.sysprep.file.
type agentRow struct {
	Agent string   `json:"agent"`
	File  string   `json:"file"`
	State string   `json:"state"`
	Notes []string `json:"notes,omitempty"`
}

// judgeSysprepFile decides win.sysprep.file.
func judgeSysprepFile(f sysprepFiles) requirement.Outcome {
	o := judgeSysprepProgram(f.Program)
	switch {
	case o.Status == requirement.Failed:
	case f.AgentsErr != nil:
		o = requirement.Unreadable(f.AgentsErr)
	default:
		if o = judgeAnswers(f); o.Status == requirement.Failed {
			o.Remediation = "Reinstall " + decisive(f.Agents).Name + ", or contact AWS Support."
		}
	}
	var rows []agentRow
	for _, a := range f.Agents {
		if !a.installed() {
			for _, left := range a.Left {
				rows = append(rows, agentRow{a.Name, left.Path, "left over: the agent is not installed", nil})
			}
			continue
		}
		for _, answer := range a.Answers {
			state := answer.File.Evidence.Note
			if answer.Err != nil {
				state = answer.Err.Error()
			}
			rows = append(rows, agentRow{a.Name, answer.File.Evidence.Path, state, answer.Content.Notes})
		}
	}
	o.Details = struct {
		Agents []agentRow `json:"agents,omitempty"`
	}{rows}
	return o
}

// decisive returns the agent whose answer file counts: the first installed
// one, or the one there should be.
func decisive(agents []launchAgent) launchAgent {
	for _, a := range agents {
		if a.installed() {
			return a
		}
	}
	return agents[0]
}

func judgeAnswers(f sysprepFiles) requirement.Outcome {
	agent := decisive(f.Agents)
	if !agent.installed() {
		var looked []requirement.Evidence
		for _, a := range f.Agents {
			for _, answer := range a.Answers {
				looked = append(looked, answer.File.Evidence)
			}
		}
		o := requirement.Fail("Neither EC2Config nor EC2Launch is installed, so Sysprep has no answer file.",
			looked...).
			About(requirement.Subject{Kind: requirement.SubjectProgram, ID: agent.Name,
				Reason: requirement.ReasonMissing})
		if left := leftOver(f.Agents); left != "" {
			o = o.Also("Left over from an agent that is not installed: " + left + ".")
		}
		return o
	}
	var there []answerFile
	for _, a := range agent.Answers {
		if a.Err != nil || a.File.Exists {
			there = append(there, a)
		}
	}
	if len(there) == 0 {
		return requirement.Fail(fmt.Sprintf("%s, the answer file of %s, is missing.",
			machine.WindowsPath(agent.Answers[0].File.Evidence), agent.Name), agent.Answers[0].File.Evidence).
			With(agent.Signs...).
			About(subjectOf(agent.Answers[0].File.Evidence, requirement.ReasonMissing))
	}
	for _, a := range there {
		if a.Err == nil && a.Content.Blank {
			return requirement.Fail(fmt.Sprintf("%s, the answer file of %s, is blank (%s).",
				machine.WindowsPath(a.File.Evidence), agent.Name, prose.Count(a.File.Size, "byte", "bytes")),
				a.File.Evidence).
				About(subjectOf(a.File.Evidence, requirement.ReasonDamaged))
		}
	}
	for _, a := range there {
		if a.Err != nil {
			return requirement.Unreadable(fmt.Errorf("the answer file of %s: %w", agent.Name, a.Err), agent.Signs...)
		}
	}
	for _, a := range there {
		if a.Content.Problem != "" {
			o := requirement.Warn(fmt.Sprintf("Sysprep cannot use %s, the answer file of %s: %s.",
				machine.WindowsPath(a.File.Evidence), agent.Name, a.Content.Problem), a.File.Evidence).
				About(subjectOf(a.File.Evidence, requirement.ReasonDamaged))
			o.Remediation = "Reinstall " + agent.Name + ", or contact AWS Support."
			return o
		}
	}
	used := there[0]
	if agent.Foreign != "" {
		o := requirement.Warn(fmt.Sprintf("The only EC2 agent is %s, which does not support %s.", agent.Name,
			agent.Foreign), used.File.Evidence).With(agent.Signs...).
			About(requirement.Subject{Kind: requirement.SubjectProgram, ID: agent.Name,
				Reason: requirement.ReasonValue})
		o.Remediation = "Install " + f.Agents[0].Name + ", or contact AWS Support."
		return o
	}
	if o, found := judgeCached(f); found {
		return o.With(used.File.Evidence)
	}
	o := requirement.Pass(fmt.Sprintf("%s, the answer file of %s, has the passes %s.",
		machine.WindowsPath(used.File.Evidence), agent.Name, strings.Join(used.Content.Passes, ", ")),
		used.File.Evidence).With(agent.Signs...)
	if len(used.Content.Notes) > 0 {
		o = o.Also("Its settings: " + prose.Some(used.Content.Notes) + ".")
	}
	if left := leftOver(f.Agents); left != "" {
		o = o.Also("Left over from an agent that is not installed: " + left + ".")
	}
	for _, a := range f.Cached {
		if a.Err == nil && a.File.Exists && len(a.Content.Open) > 0 {
			o = o.Also(fmt.Sprintf("%s is left from an earlier setup, with unprocessed passes (%s).",
				machine.WindowsPath(a.File.Evidence), strings.Join(a.Content.Open, ", ")),
				"The agent uses its own file, but Sysprep without /unattend would use this one.").
				With(a.File.Evidence)
		}
	}
	return o
}

// leftOver names the folders of agents that are not installed.
func leftOver(agents []launchAgent) string {
	var paths []string
	for _, a := range agents {
		for _, left := range a.Left {
			paths = append(paths, machine.WindowsPath(left))
		}
	}
	return prose.Some(paths)
}

// judgeCached looks for answer files that Windows Setup takes where it is given
// none. A copy of which a pass is marked as done is what an earlier setup left
// behind, and the agents name a file of their own.
func judgeCached(f sysprepFiles) (requirement.Outcome, bool) {
	if f.UnattendFile.Value != "" {
		o := requirement.Warn(`UnattendFile in SYSTEM\Setup names another answer file: `+prose.Short(
			f.UnattendFile.Value)+".", f.UnattendFile.Evidence).About(
			subjectOf(f.UnattendFile.Evidence, requirement.ReasonValue))
		o.Remediation = `Delete the value UnattendFile in HKLM\SYSTEM\Setup.`
		return o, true
	}
	for _, a := range f.Cached {
		if a.Err == nil && a.File.Exists && !a.Content.Blank && !a.Content.Processed {
			o := requirement.Warn(
				"Windows Setup may use another answer file, which is not processed yet: "+
					machine.WindowsPath(a.File.Evidence)+".",
				a.File.Evidence).About(subjectOf(a.File.Evidence, requirement.ReasonPresent))
			o.Remediation = "Delete " + machine.WindowsPath(a.File.Evidence) + " if it is not needed."
			return o, true
		}
	}
	if f.Err != nil {
		return requirement.Unreadable(fmt.Errorf("cannot tell whether Windows Setup would use another answer file: %w",
			f.Err)), true
	}
	return requirement.Outcome{}, false
}
