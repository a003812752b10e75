package windows

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const answerXML = `<?xml version="1.0" encoding="utf-8"?>
<unattend xmlns="urn:schemas-microsoft-com:unattend">
  <settings pass="generalize"><component name="Microsoft-Windows-PnpSysprep"><PersistAllDeviceInstalls>true</PersistAllDeviceInstalls></component></settings>
  <settings pass="specialize"><component name="Microsoft-Windows-Shell-Setup"><ComputerName>*</ComputerName></component></settings>
</unattend>
`

func bigEndian(b []byte) []byte {
	b = slices.Clone(b)
	for i := 0; i+1 < len(b); i += 2 {
		b[i], b[i+1] = b[i+1], b[i]
	}
	return b
}

func TestAnswerFile(t *testing.T) {
	good := answerContent{Passes: []string{"generalize", "specialize"}, Names: answerNames{Computer: "*"}}
	wrap := func(settings string) string {
		return `<unattend xmlns="urn:schemas-microsoft-com:unattend">` + settings + `</unattend>`
	}
	utf16XML := strings.Replace(answerXML, "utf-8", "utf-16", 1)
	for name, c := range map[string]struct {
		data string
		want answerContent // Problem is what it begins with
	}{
		"utf-8":                      {answerXML, good},
		"utf-8 with mark":            {"\xEF\xBB\xBF" + answerXML, good},
		"utf-16 with mark":           {"\xFF\xFE" + string(utf16LE(utf16XML)), good},
		"utf-16 without mark":        {string(utf16LE(utf16XML)), good},
		"utf-16 big endian":          {"\xFE\xFF" + string(bigEndian(utf16LE(utf16XML))), good},
		"zeros behind it":            {answerXML + strings.Repeat("\x00", 512), good},
		"empty":                      {"", answerContent{Blank: true}},
		"white space":                {" \r\n\t ", answerContent{Blank: true}},
		"zeros":                      {strings.Repeat("\x00", 4096), answerContent{Blank: true}},
		"only a mark":                {"\xEF\xBB\xBF", answerContent{Blank: true}},
		"only a mark of utf-16":      {"\xFF\xFE", answerContent{Blank: true}},
		"marks and spaces of utf-16": {"\xFF\xFE" + string(utf16LE("\uFEFF \r\n")), answerContent{Blank: true}},
		"not ended": {answerXML[:200],
			answerContent{Problem: "it is not valid XML", Passes: []string{"generalize"}}},
		"not even begun": {"just words", answerContent{Problem: "it is not valid XML"}},
		"only a declaration": {`<?xml version="1.0"?>`,
			answerContent{Problem: "it is not valid XML: it has no element"}},
		"two roots": {wrap("") + wrap(""),
			answerContent{Problem: "it is not valid XML: it has a second element"}},
		"text behind it": {answerXML + "text",
			answerContent{Problem: "it is not valid XML: it has text", Passes: good.Passes}},
		"another root":      {"<unattended/>", answerContent{Problem: `its root is "unattended"`}},
		"another namespace": {"<unattend/>", answerContent{Problem: `its root is "unattend"`}},
		"no pass that counts": {wrap(`<settings pass="oobeSystem"/>`),
			answerContent{Problem: "it has neither", Passes: []string{"oobeSystem"}}},
		"one pass that counts": {wrap(`<settings pass="specialize"/>`), answerContent{Passes: []string{"specialize"}}},
		"processed": {wrap(`<settings pass="specialize" wasPassProcessed="true"/><settings pass="oobeSystem" wasPassProcessed="true"/>`),
			answerContent{Passes: []string{"specialize", "oobeSystem"}, Processed: true}},
		"processed in part": {wrap(`<settings pass="specialize" wasPassProcessed="true"/><settings pass="oobeSystem"/>`),
			answerContent{Passes: []string{"specialize", "oobeSystem"}, Processed: true, Open: []string{"oobeSystem"}}},
		"processed, and broken": {`<unattend xmlns="urn:schemas-microsoft-com:unattend"><settings pass="specialize" wasPassProcessed="true"/>`,
			answerContent{Problem: "it is not valid XML", Passes: []string{"specialize"}}},
		"processed but the first": {wrap(
			`<settings pass="specialize"/><settings pass="oobeSystem" wasPassProcessed="true"/>`),
			answerContent{Passes: []string{"specialize", "oobeSystem"}, Processed: true, Open: []string{"specialize"}}},
		"marked as not processed": {wrap(`<settings pass="specialize" wasPassProcessed="false"/>`),
			answerContent{Passes: []string{"specialize"}}},
		"what to know": {wrap(`<settings pass="generalize"><component><SkipRearm>1</SkipRearm></component></settings><settings pass="specialize"><component><ComputerName>PC1</ComputerName>` +
			`<CopyProfile>true</CopyProfile><AdministratorPassword><Value>x</Value><PlainText>true</PlainText></AdministratorPassword></component></settings>`),
			answerContent{Passes: []string{"generalize", "specialize"}, SkipRearm: true, CopyProfile: true,
				Names: answerNames{Computer: "PC1"}, Notes: []string{
					"SkipRearm is 1 (Sysprep does not rearm Windows)", "ComputerName is PC1 (ignored)",
					"CopyProfile is true (the Administrator's profile becomes the default profile)", "a password is in plain text"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseAnswer([]byte(c.data))
			if !strings.HasPrefix(got.Problem, c.want.Problem) || (got.Problem == "") != (c.want.Problem == "") {
				t.Errorf("problem %q, want %q", got.Problem, c.want.Problem)
			}
			got.Problem, c.want.Problem = "", ""
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSysprepFile(t *testing.T) {
	answer := func(c answerContent) answerFile { return answerFile{File: there, Content: c} }
	good := answer(parseAnswer([]byte(answerXML)))
	blank := answer(answerContent{Blank: true})
	gone := answerFile{File: missing}
	odd := answer(answerContent{Problem: "its root is another"})
	unread := answerFile{Err: errors.New("the disk has a bad sector")}
	processed := answer(answerContent{Passes: []string{"specialize"}, Processed: true})
	agent := func(name string, answers ...answerFile) launchAgent {
		return launchAgent{Name: name, Signs: []requirement.Evidence{evidence}, Answers: answers}
	}
	foreign := agent(agentConfig, good)
	foreign.Foreign = "Windows Server 2019"
	inPart := answer(answerContent{Passes: []string{"generalize", "specialize"}, Processed: true,
		Open: []string{"generalize"}})
	leaves := launchAgent{Name: agentLaunch, Left: []requirement.Evidence{{Path: "ProgramData/Amazon/EC2-Windows/Launch"}},
		Answers: []answerFile{gone}}
	none := func(name string) launchAgent { return launchAgent{Name: name, Answers: []answerFile{gone}} }
	for name, c := range map[string]struct {
		files sysprepFiles
		want  verdict
		says  string
	}{
		"good": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, good)}}, passed,
			"the answer file of EC2Launch, has"},
		"missing": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, gone)}}, failed, "is missing"},
		"blank":   {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, blank)}}, failed, "is blank"},
		"no answer file": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, odd)}}, warning,
			"its root is another"},
		"unreadable": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, unread)}}, undetermined,
			"bad sector"},
		"no agent": {sysprepFiles{Agents: []launchAgent{none(agentLaunch), none(agentConfig)}}, failed,
			"Neither EC2Config nor EC2Launch"},
		"another agent": {sysprepFiles{Agents: []launchAgent{none(agentLaunch), agent(agentLaunchV2, good)}}, passed,
			"EC2Launch v2"},
		"one for older Windows": {sysprepFiles{Agents: []launchAgent{none(agentLaunch), foreign}}, warning,
			"does not support Windows Server 2019"},
		"and its file is blank": {sysprepFiles{
			Agents: []launchAgent{{Name: agentConfig, Signs: foreign.Signs, Answers: []answerFile{blank}, Foreign: "x"}}},
			failed, "is blank"},
		"two agents": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, good), agent(agentConfig, blank)}},
			passed, "EC2Launch, has"},
		"two agents, other way": {sysprepFiles{Agents: []launchAgent{agent(agentConfig, blank), agent(agentLaunch, good)}},
			failed, "EC2Config, is blank"},
		"second name of it": {sysprepFiles{Agents: []launchAgent{agent(agentLaunchV2, gone, good)}}, passed,
			"EC2Launch v2"},
		"second one blank": {sysprepFiles{Agents: []launchAgent{agent(agentLaunchV2, good, blank)}}, failed,
			"is blank"},
		"blank beside unread": {sysprepFiles{Agents: []launchAgent{agent(agentLaunchV2, unread, blank)}}, failed,
			"is blank"},
		"cached one": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, good)},
			Cached: []answerFile{gone, good}}, warning, "not processed yet"},
		"cached one, done": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, good)},
			Cached: []answerFile{gone, processed, blank}}, passed, "EC2Launch, has"},
		"cached one, in part": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, good)},
			Cached: []answerFile{inPart}}, passed, "with unprocessed passes (generalize)"},
		"left over, and another": {sysprepFiles{Agents: []launchAgent{leaves, agent(agentLaunchV2, good)}}, passed,
			"not installed: ProgramData/Amazon/EC2-Windows/Launch"},
		"left over alone": {sysprepFiles{Agents: []launchAgent{leaves, none(agentLaunchV2)}}, failed,
			"Left over from an agent that is not installed: ProgramData/Amazon/EC2-Windows/Launch"},
		"cached one, unread": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, good)}, Err: errors.New("no luck")},
			undetermined, "no luck"},
		"named in the registry": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, good)},
			UnattendFile: words(`C:\a.xml`)}, warning, `C:\a.xml`},
		"nothing named there": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, good)}, UnattendFile: words("")},
			passed, "EC2Launch, has"},
		"blank and a cached one": {sysprepFiles{Agents: []launchAgent{agent(agentLaunch, blank)}, Cached: []answerFile{good}},
			failed, "is blank"},
	} {
		t.Run(name, func(t *testing.T) {
			c.files.Program = there
			o := judgeSysprepFile(c.files)
			check(t, sysprepFile, o, c.want)
			if !strings.Contains(o.Message, c.says) {
				t.Errorf("%q does not say %q", o.Message, c.says)
			}
			c.files.AgentsErr = errors.New("SYSTEM is damaged")
			check(t, sysprepFile, judgeSysprepFile(c.files), undetermined)
			c.files.Program = missing
			check(t, sysprepFile, judgeSysprepFile(c.files), failed)
		})
	}
}

func TestAgentOrder(t *testing.T) {
	at := func(s machine.System, build int) machine.System { s.Build = build; return s }
	for name, c := range map[string]struct {
		system machine.System
		want   string
	}{
		"windows 7":        {windows7, agentConfig},
		"server 2008 r2":   {server2008, agentConfig},
		"server 2012":      {server2012, agentConfig},
		"before 2016":      {at(server2019, 14392), agentConfig},
		"server 2016":      {at(server2019, 14393), agentLaunch},
		"server 2019":      {server2019, agentLaunch},
		"last before 2022": {at(server2019, 20347), agentLaunch},
		"server 2022":      {at(server2019, 20348), agentLaunchV2},
		"windows 10":       {windows10, agentConfig},
		"windows 11":       {at(windows10, 22000), agentLaunchV2},
	} {
		order := agentOrder(c.system)
		if order[0] != c.want || len(order) != 3 {
			t.Errorf("%s: %q, want %s first", name, order, c.want)
		}
	}
}

func FuzzAnswerFile(f *testing.F) {
	f.Add([]byte(answerXML))
	f.Add(append([]byte{0xFF, 0xFE}, utf16LE(answerXML)...))
	f.Add(append([]byte{0xFE, 0xFF}, bigEndian(utf16LE(answerXML))...))
	f.Add([]byte("<unattend xmlns='urn:schemas-microsoft-com:unattend'><settings pass='generalize' " +
		"wasPassProcessed='true'><a><SkipRearm>1</SkipRearm></a></settings></unattend>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c := parseAnswer(data)
		if c.Blank && strings.ContainsRune(string(data), '<') && !strings.ContainsRune(string(data), 0) {
			t.Error("blank, and there is an element in it")
		}
		if !c.Blank && c.Problem == "" && len(c.Passes) == 0 {
			t.Error("nothing is wrong with it, and it has no pass")
		}
		if len(c.Notes) > 20 {
			t.Errorf("%d notes", len(c.Notes))
		}
	})
}
