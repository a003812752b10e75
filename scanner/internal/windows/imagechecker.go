package windows

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var logImageChecker = entry{
	Requirement: informative("win.log.imagechecker",
		"Shows the newest Image Checker log on the volume.", sectionChecker, explanation{
			Reads: `C:\Program Files\Amazon\ImageChecker_*.log: the newest log by the time in its name, its lines ` +
				`with a result, and the requirements that they are about.`,
			Live: `Get-ChildItem 'C:\Program Files\Amazon\ImageChecker_*.log' | Sort-Object Name | Select-Object ` +
				`-Last 1 | Get-Content`,
		}),
	Judge: (*Machine).decideCheckerLog,
}

// checkerTests are the titles of the Image Checker's tests, as the document has
// them, and the requirements that they are about. The words identify a title.
var checkerTests = []struct {
	words string // in lower case
	ids   []string
}{
	{"powershell version", []string{"win.powershell.version"}},
	{"execution policy", []string{"win.powershell.execpolicy"}},
	{"only the c and d drives", []string{"win.drives.only-c-d"}},
	{"no pending reboot", []string{"win.reboot.pending"}},
	{"sysprep file", []string{"win.sysprep.file"}},
	{"user profile size", []string{"win.profile.size"}},
	{"drive c must have enough free space", []string{"win.disk.c-free"}},
	{"under a domain account", []string{"win.services.domain-account"}},
	{"application manager", []string{"win.wam.installed"}},
	{"use dhcp", []string{"win.net.dhcp"}},
	{"remote desktop services", []string{"win.rds.enabled"}},
	{"user profile must exist", []string{"win.profile.exists"}},
	{"environment variable path", []string{"win.env.path"}},
	{"windows modules installer", []string{"win.trustedinstaller.enabled"}},
	{"amazon ssm agent", []string{"win.ssm.disabled"}},
	{"ssl3 and tls", []string{"win.tls.tls12", "win.tls.ssl3"}},
	{"only one user profile", []string{"win.profile.single"}},
	{"appx packages", []string{"win.appx.staged"}},
	{"upgraded from a previous version", []string{"win.upgrade.in-place"}},
	{"rearm count", []string{"win.rearm.nonzero"}},
}

// checkerLine is a line of the log with a result.
type checkerLine struct {
	Line   int      `json:"line"` // from 1
	Result string   `json:"result"`
	Text   string   `json:"text"`
	IDs    []string `json:"requirements,omitempty"` // our findings about the same
}

// checkerLog is a log of the Image Checker.
type checkerLog struct {
	File  machine.File
	When  time.Time // by its name; in the time zone of the machine
	Lines []checkerLine
	Count map[string]int // number of lines with each result
	More  int            // lines beyond the limit
	Last  string         // the last line of the log that is not empty
}

const (
	// maxCheckerLog is far above what a run of some thirty tests writes, in
	// bytes.
	maxCheckerLog = 4 << 20
	// maxCheckerLines bounds the details.
	maxCheckerLines = 200
)

// checkerName is how the Image Checker names its log, by the time at which it
// began.
var checkerName = regexp.MustCompile(`(?i)^ImageChecker_(\d{14})\.log$`)

func (m *Machine) decideCheckerLog() requirement.Outcome {
	env, err := m.Environment()
	if err != nil {
		return requirement.Unreadable(err)
	}
	folder := env["PROGRAMFILES"] + `\Amazon`
	entries, f, err := m.List(folder)
	if err != nil {
		return requirement.Unreadable(err)
	}
	newest := ""
	logs := 0
	for _, e := range entries {
		if !e.Type().IsRegular() || !checkerName.MatchString(e.Name()) {
			continue
		}
		if logs++; strings.ToLower(e.Name()) > strings.ToLower(newest) {
			newest = e.Name()
		}
	}
	if logs == 0 {
		return requirement.Pass(folder+" contains no Image Checker log", f.Evidence)
	}
	data, file, err := m.ReadFile(folder+`\`+newest, maxCheckerLog)
	if err != nil {
		return requirement.Unreadable(err)
	}
	l := parseCheckerLog(machine.DecodeText(data))
	l.File = file
	l.When, _ = time.Parse("20060102150405", checkerName.FindStringSubmatch(newest)[1])
	return reportCheckerLog(newest, l, logs)
}

// checkerResults are the words for a result, in the order of the search in a
// line.
var checkerResults = []struct{ word, result string }{
	{"validation successful", "successful"}, {"validation failed", "failed"},
	{"failed", "failed"}, {"failure", "failed"}, {"error", "failed"}, {"warning", "warning"}, {"passed", "passed"},
}

// parseCheckerLog finds the lines with a result. The format of the log is not
// documented, so it only looks for words.
func parseCheckerLog(text string) checkerLog {
	l := checkerLog{Count: map[string]int{}}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimSpace(strings.TrimRight(line, "\x00\r\n")); line == "" {
			continue
		}
		l.Last = prose.Short(line)
		lower := strings.ToLower(line)
		c := checkerLine{Line: n, Text: clipLine(line)}
		for _, r := range checkerResults {
			if strings.Contains(lower, r.word) {
				c.Result = r.result
				break
			}
		}
		if c.Result == "" {
			continue
		}
		for _, t := range checkerTests {
			if strings.Contains(lower, t.words) {
				c.IDs = append(c.IDs, t.ids...)
			}
		}
		l.Count[c.Result]++
		if len(l.Lines) == maxCheckerLines {
			l.More++
			continue
		}
		l.Lines = append(l.Lines, c)
	}
	return l
}

// clipLine bounds a line of a file of any content.
func clipLine(s string) string {
	const most = 300
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return strings.Join(strings.Fields(s), " ")
}

// reportCheckerLog reports win.log.imagechecker from the newest of so many
// logs.
func reportCheckerLog(name string, l checkerLog, logs int) requirement.Outcome {
	if !l.When.IsZero() {
		name += fmt.Sprintf(" (%s)", l.When.Format(time.DateTime))
	}
	var results []string
	for _, result := range []string{"failed", "warning", "passed", "successful"} {
		if n := l.Count[result]; n > 0 {
			results = append(results, fmt.Sprintf("%d %s", n, result))
		}
	}
	message := name + " contains no result"
	switch {
	case l.Last == "":
		message = name + " is empty"
	case len(results) > 0:
		message = fmt.Sprintf("%s has %s: %s", name, prose.Count(len(l.Lines)+l.More, "result", "results"),
			strings.Join(results, ", "))
	}
	o := requirement.Pass(message, l.File.Evidence)
	if l.Last != "" {
		o = o.Also(fmt.Sprintf(`Its last line is "%s"`, l.Last))
	}
	if logs > 1 {
		o = o.Also(fmt.Sprintf("It is the newest of %d logs", logs))
	}
	if len(l.Lines) > 0 {
		o.Details = struct {
			Lines []checkerLine `json:"lines"`
			More  int           `json:"more,omitempty"`
		}{l.Lines, l.More}
	}
	return o
}
