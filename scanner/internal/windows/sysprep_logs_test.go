package windows

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
)

// sysprepRun is a log of two runs, as Windows 10 writes it: the first rearms
// and ends well, the second is stopped.
const sysprepRun = `2026-01-10 18:04:02, Info                  SYSPRP ========================================================
2026-01-10 18:04:02, Info                  SYSPRP ===          Beginning of a new sysprep run          ===
2026-01-10 18:04:03, Error      [0x0f0070] SYSPRP RunDlls:An error of the first run; dwRet = 0x1f
2026-01-10 18:04:32, Info                  SYSPRP ActionPlatform::LaunchModule: Successfully executed 'SLReArmWindows' from C:\Windows\System32\slc.dll
2026-02-20 10:31:02, Info                  SYSPRP ===          Beginning of a new sysprep run          ===
2026-02-20 10:31:05, Error                 SYSPRP BCD: BiExportStoreAlterationsToEfi failed c000000d
2026-02-20 10:31:06, Error                 SYSPRP Package Contoso.Reader_4.1.0.0_x64__abcdefghijkmn was installed for a user, but not provisioned for all users. This package will not function properly in the sysprep image.
2026-02-20 10:31:06, Info                  SYSPRP Package is fine; dwRet = 0x5
2026-02-20 10:31:06, Error                 CBS    Not of Sysprep; hr = 0x80004005
2026-02-20 10:31:07, Error                 SYSPRP It went well; hr = 0x0
2026-02-20 10:31:17, Error      [0x0f0082] SYSPRP LaunchDll:Failure occurred while executing 'C:\Windows\System32\slc.dll,SLReArmWindows', returned error code -1073425657
2026-02-20 10:31:18, Error      [0x0f00a8] SYSPRP WinMain:Hit failure while processing sysprep generalize internal providers; hr = 0xc004d307
`

func parseLog(t testing.TB, data string) sysprepLog {
	t.Helper()
	l, err := parseSysprepLog(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func numbers(l logLines) string {
	var s []string
	for _, line := range l.Last {
		s = append(s, fmt.Sprint(line.Number))
	}
	return strings.Join(s, " ")
}

func TestSysprepLog(t *testing.T) {
	windows := strings.ReplaceAll(sysprepRun, "\n", "\r\n")
	for name, data := range map[string]string{
		"as it is":            sysprepRun,
		"lines of windows":    windows,
		"utf-8 with mark":     "\xEF\xBB\xBF" + windows,
		"utf-16":              "\xFF\xFE" + string(utf16LE(windows)),
		"utf-16 big endian":   "\xFE\xFF" + string(bigEndian(utf16LE(windows))),
		"utf-16 without mark": string(utf16LE(windows)),
		"zeros behind it":     windows + strings.Repeat("\x00", 2*maxLogLine),
		"a code page":         strings.Replace(windows, "An error", "\xC4n error", 1),
		"no end of line":      strings.TrimSpace(windows),
	} {
		l := parseLog(t, data)
		if got, want := fmt.Sprintf("%d; %s; %s; %s", l.Run.Number, numbers(l.Rearms), numbers(l.RearmsDenied),
			numbers(l.Errors)), "5; 4; 11 12; 7 11 12"; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
		if want := time.Date(2026, 1, 10, 18, 4, 32, 0, time.UTC); !l.Rearms.Last[0].Time.Equal(want) {
			t.Errorf("%s: %v, want %v", name, l.Rearms.Last[0].Time, want)
		}
	}
}

func TestSysprepLogForms(t *testing.T) {
	for line, want := range map[string]string{ // what it is: rearm, denied, error
		`2014-01-29 10:00:00, Info       [0x0f0080] SYSPRP LaunchDll:Successfully executed 'C:\Windows\System32\slc.dll,SLReArmWindows' without error`:                                 "1 0 0",
		`2014-01-29 10:00:00, Info       [0x0f0080] SYSPRP LaunchDll:Found 'C:\Windows\System32\slc.dll,SLReArmWindows'; executing it`:                                                 "0 0 0",
		`2014-01-29 10:00:00, Error      [0x0f0082] SYSPRP LaunchDll: Failure occurred while executing 'C:\Windows\System32\slc.dll, SLReArmWindows', returned error code -1073425657`: "0 1 1",
		`2021-07-06 13:53:57, Error                 SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'SLReArmWindows' from slc.dll; dwRet = 0xC004D307`:           "0 1 1",
		`2021-07-06 13:53:57, Error                 SYSPRP ActionPlatform::LaunchModule: Failure occurred while executing 'SLReArmWindows' from slc.dll; dwRet = 0xc004f075`:           "0 0 1",
		`2021-07-06 13:53:57, Error SYSPRP Exit code of RemoveAllApps thread; dwRet = 0x3cf2`:                                                                                          "0 0 1",
		`2021-07-06 13:53:57, Error                 SYSPRP Exit code of RemoveAllApps thread was 0x3cf2.`:                                                                              "0 0 0",
		`2021-07-06 13:53:57, Warning               SYSPRP something; hr = 0x80004005`:                                                                                                 "0 0 0",
		`2021-07-06 13:53:57, Info                  SYSPRP an error; hr = 0x80004005`:                                                                                                  "0 0 0",
		`SYSPRP a line without time; hr = 0x80004005`:                                               "0 0 0",
		`Error SYSPRP a line without time; hr = 0x80004005`:                                         "0 0 1",
		`2021-07-06 13:53:57, Error                 SYSPRP a number that is none; hr = 0xfffffffff`: "0 0 0",
		`2021-07-06 13:53:57, Error                 SYSPRP out of range; dwRet = 99999999999`:       "0 0 0",
	} {
		l := parseLog(t, line)
		if got := fmt.Sprint(l.Rearms.Count, l.RearmsDenied.Count, l.Errors.Count); got != want {
			t.Errorf("%s\nis %s, want %s", line, got, want)
		}
	}
}

func TestSysprepLogKeepsTheLast(t *testing.T) {
	for _, n := range []int{keptLines - 1, keptLines, keptLines + 1} {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "2026-01-10 18:04:02, Error SYSPRP number %d; hr = 0x1\n", i)
		}
		l := parseLog(t, b.String())
		if l.Errors.Count != n || len(l.Errors.Last) != min(n, keptLines) || l.Errors.Last[len(l.Errors.Last)-1].Number != n {
			t.Errorf("%d lines: %d counted, %d kept", n, l.Errors.Count, len(l.Errors.Last))
		}
	}
}

func TestSysprepLogThatCannotBeRead(t *testing.T) {
	for n, ok := range map[int]bool{maxLogLine - 2: true, maxLogLine + 1: false} {
		_, err := parseSysprepLog(strings.NewReader(strings.Repeat("x", n)))
		if (err == nil) != ok {
			t.Errorf("a line of %d bytes: %v", n, err)
		}
	}
	bad := errors.New("the disk has a bad sector")
	l, err := parseSysprepLog(io.MultiReader(strings.NewReader(sysprepRun), iotest.ErrReader(bad)))
	if !errors.Is(err, bad) || l.Rearms.Count != 1 {
		t.Errorf("%v, %d rearms", err, l.Rearms.Count)
	}
}

// The lines were written by real systems.
func TestSysprepLogCorpus(t *testing.T) {
	l := parseLog(t, string(testenv.CorpusFile(t, "windows_logs/_public_excerpts/sysprep_setupact_excerpts.txt")))
	if l.Run.Number != 15 || l.Run.Time.Year() != 2026 || l.Errors.Count != 0 {
		t.Errorf("run in line %d, %d errors", l.Run.Number, l.Errors.Count)
	}
	before, _, _ := strings.Cut(string(testenv.CorpusFile(t,
		"windows_logs/_public_excerpts/sysprep_setupact_excerpts.txt")), "# [D]")
	l = parseLog(t, before)
	packages := 0
	for _, line := range l.Errors.Last {
		if strings.Contains(line.Text, perUserOnly) {
			packages++
		}
	}
	if l.Errors.Count != 6 || packages != 4 {
		t.Errorf("%d errors, %d of packages", l.Errors.Count, packages)
	}
	setup := parseLog(t, string(testenv.CorpusFile(t, "windows_logs/log2timeline__plaso/test_data/setupapi.setup.log")))
	if setup.Run.Number != 0 || setup.Errors.Count != 0 || setup.Rearms.Count != 0 {
		t.Errorf("in a log of something else: %+v", setup)
	}
}

func TestAge(t *testing.T) {
	installed := time.Date(2026, 1, 14, 9, 0, 0, 0, time.UTC)
	for hours, want := range map[time.Duration]age{-13: ageBefore, -12: ageUnknown, 0: ageUnknown, 14: ageUnknown,
		15: ageAfter} {
		line := logLine{Time: installed.Add(hours * time.Hour)}
		if got := ageOf(line, machine.System{Installed: installed}); got != want {
			t.Errorf("%d hours: %d, want %d", hours, got, want)
		}
		if got := ageOf(line, machine.System{}); got != ageUnknown {
			t.Errorf("%d hours, not known when installed: %d", hours, got)
		}
	}
	if got := ageOf(logLine{}, machine.System{Installed: installed}); got != ageUnknown {
		t.Errorf("a line without time: %d", got)
	}
}

func FuzzSysprepLog(f *testing.F) {
	f.Add([]byte(sysprepRun))
	f.Add(append([]byte{0xFF, 0xFE}, utf16LE(sysprepRun[:500])...))
	f.Add(append([]byte{0xFE, 0xFF}, bigEndian(utf16LE(sysprepRun[500:1000]))...))
	f.Add(utf16LE(sysprepRun[:300]))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := parseSysprepLog(bytes.NewReader(data))
		for _, lines := range []logLines{l.Rearms, l.RearmsDenied, l.Errors} {
			if len(lines.Last) > keptLines || len(lines.Last) > lines.Count {
				t.Errorf("%d lines kept of %d", len(lines.Last), lines.Count)
			}
			for _, line := range lines.Last {
				if line.Number < 1 || strings.ContainsAny(line.Text, "\x00\n") {
					t.Errorf("line %d: %q", line.Number, line.Text)
				}
			}
		}
		if err != nil && len(data) < maxLogLine/4 {
			t.Errorf("a short log cannot be read: %v", err)
		}
	})
}

func BenchmarkSysprepLog(b *testing.B) {
	data := []byte(strings.Repeat(sysprepRun, 1000))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parseSysprepLog(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
}

// TestUnreadLog makes sure that a log which cannot be read is still named as
// evidence.
func TestUnreadLog(t *testing.T) {
	for _, l := range fixture(t, "sysprep-log-unreadable").SysprepLogs().all() {
		if l.File.Evidence.Source != machine.RoleRoot || l.File.Evidence.Path == "" {
			t.Errorf("evidence %+v, %v", l.File.Evidence, l.Err)
		}
	}
	for _, l := range registryOnly(nil).SysprepLogs().all() {
		if l.Err == nil || l.File.Evidence.Source != machine.RoleRoot || l.File.Evidence.Note != "could not be read" {
			t.Errorf("without a volume: evidence %+v, %v", l.File.Evidence, l.Err)
		}
	}
}
