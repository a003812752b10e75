package windows

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// logLine is a line of a log of Windows Setup or Sysprep.
type logLine struct {
	Number int // from 1
	// the machine's local time, its zone unknown, as if it were UTC; zero if the line begins with none
	Time time.Time
	Text string
	Path string // of the log on the volume

	// Of lines with an error:
	Codes   []uint32 // the error codes that the line has, without that of success
	Package string   // full name of the AppX package that stopped Sysprep; "" if none is named
}

// evidence is the line as evidence from its log.
func (l logLine) evidence(log machine.File) requirement.Evidence {
	ev := log.Evidence
	ev.Value = fmt.Sprintf("line %d", l.Number)
	ev.Data = l.Text
	ev.Note = ""
	return ev
}

// when is the time of the line for a message.
func (l logLine) when() string {
	if l.Time.IsZero() {
		return "an unknown day"
	}
	return l.Time.Format(time.DateTime) + " local time"
}

// logLines counts lines and keeps the last of them.
type logLines struct {
	Count int
	Last  []logLine // at most keptLines, in the log's order
}

// keptLines is how many lines of a kind are kept: enough to quote, and to see
// which is the newest.
const keptLines = 100

func (l *logLines) add(line logLine) {
	l.Count++
	if len(l.Last) == keptLines {
		l.Last = slices.Delete(l.Last, 0, 1)
	}
	l.Last = append(l.Last, line)
}

// sysprepLog is what a log says about Sysprep.
type sysprepLog struct {
	File machine.File
	Err  error // why it cannot be read to its end; nil if it can, or if it is not there

	Run          logLine  // where the newest run begins; Number 0 if the log does not say
	Rearms       logLines // Windows was rearmed
	RearmsDenied logLines // it could not be, because the count was used up
	Errors       logLines // since Run: what stopped Sysprep; none where the run ended well after it
	Ended        logLine  // where the newest run ended well; Number 0 if it did not, or the log does not say

	Earlier []loggedRun // older runs, of which at most keptRuns are kept
}

// loggedRun is a run of Sysprep: its beginning, its errors and its good end, as in a sysprepLog.
type loggedRun struct {
	Run    logLine
	Errors logLines
	Ended  logLine
}

// keptRuns is how many older runs are kept of a log. Windows allows few.
const keptRuns = 50

// runs are all runs, from the oldest to the newest.
func (l *sysprepLog) runs() []loggedRun {
	return append(slices.Clip(l.Earlier), loggedRun{l.Run, l.Errors, l.Ended})
}

const (
	folderSysprepLogs = `\System32\Sysprep\Panther\`
	folderSetupLogs   = `\Panther\`
)

// sysprepLogs are the logs of Sysprep and of Windows Setup.
type sysprepLogs struct {
	Sysprep []sysprepLog // setupact.log and setuperr.log of Sysprep
	Setup   []sysprepLog // those of Windows Setup
}

func (l sysprepLogs) all() []sysprepLog { return append(slices.Clip(l.Sysprep), l.Setup...) }

// SysprepLogs reads the logs. One that cannot be read carries its own error.
func (m *Machine) SysprepLogs() sysprepLogs {
	logs, err := m.logs.Get(func() (sysprepLogs, error) {
		m := m.next()
		var l sysprepLogs
		for _, name := range []string{"setupact.log", "setuperr.log"} {
			l.Sysprep = append(l.Sysprep, m.readSysprepLog(`C:\`+m.SystemRoot+folderSysprepLogs+name))
			l.Setup = append(l.Setup, m.readSysprepLog(`C:\`+m.SystemRoot+folderSetupLogs+name))
		}
		return l, nil
	})
	if err != nil {
		unread := sysprepLog{File: m.UnreadFile(`C:\` + m.SystemRoot + folderSysprepLogs + "setupact.log"), Err: err}
		return sysprepLogs{Sysprep: []sysprepLog{unread}, Setup: []sysprepLog{unread}}
	}
	return logs
}

// maxLog is the largest log that is read, in bytes. Those of a system that was
// serviced for years have some MiB.
const maxLog = 64 << 20

func (m *Machine) readSysprepLog(path string) sysprepLog {
	v, name, err := m.Locate(path)
	if err != nil {
		return sysprepLog{File: m.UnreadFile(path), Err: err}
	}
	f, err := v.File(name)
	if err != nil {
		f = m.UnreadFile(path)
	}
	if err != nil || !f.Exists {
		return sysprepLog{File: f, Err: err}
	}
	if f.Size > maxLog {
		return sysprepLog{File: f, Err: f.TooLarge(maxLog)}
	}
	r, size, err := v.Open(name)
	if err != nil {
		return sysprepLog{File: f, Err: err}
	}
	l, err := parseSysprepLog(io.NewSectionReader(r, 0, size))
	l.File = f
	l.File.Evidence.Content = true
	if err != nil {
		l.Err = v.Problem(name, err)
	}
	return l
}

// maxLogLine is the longest line, in bytes: a log has some hundred in one.
const maxLogLine = 1 << 20

// parseSysprepLog reads a log as UTF-8, UTF-16 or a code page: what is looked
// for is ASCII in all of them.
//
// A line is "2026-01-10 18:04:32, Info       [0x0f0080] SYSPRP text": time,
// level, an identifier that may be missing, component and text.
func parseSysprepLog(r io.Reader) (sysprepLog, error) {
	var l sysprepLog
	lines := bufio.NewScanner(withoutZeros{decodeLog(r)})
	lines.Buffer(make([]byte, 64<<10), maxLogLine)
	for number := 1; lines.Scan(); number++ {
		// Most lines of the logs of Windows Setup are of no interest.
		if slices.ContainsFunc(signs, func(sign []byte) bool { return bytes.Contains(lines.Bytes(), sign) }) {
			l.line(number, strings.TrimSpace(lines.Text()))
		}
	}
	if err := lines.Err(); err != nil {
		return l, fmt.Errorf("the end of the log cannot be read: %w", err)
	}
	return l, nil
}

// What is looked for, as the logs write it.
const (
	component   = "SYSPRP"
	runBegins   = "Beginning of a new sysprep run"
	rearm       = "SLReArmWindows"
	succeeded   = "Successfully executed"
	perUserOnly = "was installed for a user, but not provisioned for all users"
)

// endsWell are what Sysprep writes when all that it had to do is done: it makes
// Sysprep_succeeded.tag, and then ends.
var endsWell = []string{"FCreateTagFile:Successfully created tag file", "Exiting application successfully"}

// rearmDenied is SL_REMAPPING_SP_PUB_TS_MAX_REARM_REACHED, which older systems
// write in decimal.
var rearmDenied = []string{"0xc004d307", "0xC004D307", "-1073425657"}

// signs are in every line of interest.
var signs = [][]byte{[]byte(component), []byte(runBegins), []byte(rearm), []byte(rearmDenied[0]),
	[]byte(rearmDenied[1]), []byte(rearmDenied[2])}

func (l *sysprepLog) line(number int, text string) {
	has := func(s string) bool { return strings.Contains(text, s) }
	line := func() logLine { return logLine{Number: number, Time: lineTime(text), Text: short256(text)} }
	failure := func() logLine {
		f := line()
		f.Codes = codesOf(text)
		if name, _, ok := strings.Cut(bareLine(text), " was installed for a user"); ok && has(perUserOnly) {
			f.Package = short256(strings.TrimPrefix(name, "Package "))
		}
		return f
	}
	switch {
	case has(runBegins):
		if l.Run.Number > 0 || l.Errors.Count > 0 {
			if len(l.Earlier) == keptRuns {
				l.Earlier = slices.Delete(l.Earlier, 0, 1)
			}
			l.Earlier = append(l.Earlier, loggedRun{l.Run, l.Errors, l.Ended})
		}
		l.Run, l.Errors, l.Ended = line(), logLines{}, logLine{}
	case has(component) && slices.ContainsFunc(endsWell, has):
		l.Ended, l.Errors = line(), logLines{}
	case has(rearm) && has(succeeded):
		l.Rearms.add(line())
	case slices.ContainsFunc(rearmDenied, has):
		l.RearmsDenied.add(line())
		l.Errors.add(failure())
	case has(component) && isError(text) && (has(perUserOnly) || len(codesOf(text)) > 0):
		l.Errors.add(failure())
	}
}

// withoutLevel is how some tools show the log: 02-07-2022 14:24:15.000 SYSPRP …
// Such lines have no level; one with an error code is an error.
var withoutLevel = regexp.MustCompile(`^\d{2}-\d{2}-\d{4} \d{2}:\d{2}:\d{2}\.\d{3}\s+` + component + ` `)

// isError says whether the level of a line is Error.
func isError(text string) bool {
	if withoutLevel.MatchString(text) {
		return true
	}
	if !lineTime(text).IsZero() {
		text = text[len(time.DateTime):]
	}
	return strings.HasPrefix(strings.TrimLeft(text, ", "), "Error")
}

var errorCode = regexp.MustCompile(
	`(?:\bhr|\bdwRet|\breturned error ` +
		`code)\s*=?\s*(0x[0-9a-fA-F]{1,8}|-?[0-9]{1,10})\b|\((0x[89a-fA-F][0-9a-fA-F]{7})\)`)

// codesOf returns the error codes of a line that are not that of success. One
// that is no number of 32 bits is returned as the largest, so that the line
// counts.
func codesOf(text string) []uint32 {
	var codes []uint32
	for _, found := range errorCode.FindAllStringSubmatch(text, -1) {
		code, err := strconv.ParseInt(found[1]+found[2], 0, 64)
		switch {
		case err != nil || code > math.MaxUint32 || code < math.MinInt32:
			codes = append(codes, math.MaxUint32)
		case code != 0:
			codes = append(codes, uint32(code))
		}
	}
	return codes
}

func lineTime(text string) time.Time {
	const layout = time.DateTime
	if len(text) < len(layout) {
		return time.Time{}
	}
	t, err := time.Parse(layout, text[:len(layout)])
	if err != nil {
		return time.Time{}
	}
	return t
}

// short256 keeps what is quoted of a line printable and of a length that a
// report can bear.
func short256(s string) string {
	if runes := []rune(s); len(runes) > 256 {
		s = string(runes[:256]) + "…"
	}
	return strings.ToValidUTF8(s, "�")
}

// decodeLog decodes UTF-16, by its byte order mark or, without one, by zeros
// in the place of the high bytes of the first characters.
func decodeLog(r io.Reader) io.Reader {
	in := bufio.NewReader(r)
	begin, _ := in.Peek(4)
	switch {
	case bytes.HasPrefix(begin, []byte{0xFF, 0xFE}), bytes.HasPrefix(begin, []byte{0xFE, 0xFF}),
		len(begin) == 4 && begin[0] != 0 && begin[1] == 0 && begin[2] != 0 && begin[3] == 0:
		return transform.NewReader(in, unicode.UTF16(unicode.LittleEndian, unicode.UseBOM).NewDecoder())
	case bytes.HasPrefix(begin, []byte{0xEF, 0xBB, 0xBF}):
		in.Discard(3)
	}
	return in
}

// withoutZeros leaves out the zeros that a system which stopped leaves at the
// end of a log.
type withoutZeros struct{ r io.Reader }

func (w withoutZeros) Read(p []byte) (int, error) {
	for {
		n, err := w.r.Read(p)
		if bytes.IndexByte(p[:n], 0) < 0 {
			return n, err
		}
		kept := p[:0]
		for _, b := range p[:n] {
			if b != 0 {
				kept = append(kept, b)
			}
		}
		if len(kept) > 0 || err != nil {
			return len(kept), err
		}
	}
}

// An age says whether something happened before this Windows was installed.
type age int

const (
	ageUnknown age = iota
	ageBefore
	ageAfter
)

// Zones are at most 14 hours ahead of UTC and 12 behind.
const (
	maxAhead  = 14 * time.Hour
	maxBehind = 12 * time.Hour
)

// ageOf compares the local time of a line with the time of installation. The
// two are comparable only up to the zones that there are. Setup writes the
// time of installation again after Sysprep, so that what is older happened to
// the image that this machine was made from.
func ageOf(line logLine, s machine.System) age {
	switch {
	case line.Time.IsZero() || s.Installed.IsZero():
		return ageUnknown
	case line.Time.Add(-maxAhead).After(s.Installed):
		return ageAfter
	case line.Time.Add(maxBehind).Before(s.Installed):
		return ageBefore
	}
	return ageUnknown
}
