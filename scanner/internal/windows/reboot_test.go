package windows

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

func TestReboot(t *testing.T) {
	trace := func(what string) []pendingTrace { return []pendingTrace{{what, evidence}} }
	unread := []error{errors.New("COMPONENTS cannot be read"), errors.New("and more")}
	for name, c := range map[string]struct {
		pending PendingReboot
		want    verdict
		says    string
	}{
		"nothing waits": {PendingReboot{Logs: "The event logs System and Setup do not exist."}, inferred,
			"The event logs System and Setup do not exist."},
		"an event waits": {PendingReboot{Events: trace("KB1 requires a restart")}, warning, "KB1 requires"},
		"an event waits, not all read": {PendingReboot{Events: trace("KB1 requires a restart"), Errs: unread}, warning,
			"KB1"},
		"an event and servicing wait": {PendingReboot{Events: trace("KB1 requires a restart"),
			Servicing: trace("WinSxS contains pending.xml")}, failed, "pending.xml"},
		"programs wait": {PendingReboot{Other: trace("a printer driver waits")}, inferred,
			"a printer driver waits"},
		"servicing waits": {PendingReboot{Servicing: trace("WinSxS contains pending.xml"), Likely: trace("more")},
			failed, "pending.xml"},
		"servicing, not all read": {PendingReboot{Servicing: trace("WinSxS contains pending.xml"), Errs: unread}, failed,
			"pending.xml"},
		"files of windows wait": {PendingReboot{Likely: trace("1 Windows file is waiting")}, warning,
			"1 Windows file is waiting"},
		"files wait, not all read": {PendingReboot{Likely: trace("1 Windows file is waiting"), Errs: unread}, warning,
			"1 Windows file is waiting"},
		"not all read": {PendingReboot{Other: trace("a printer driver waits"), Errs: unread}, undetermined,
			"COMPONENTS cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			o := judgeReboot(c.pending)
			check(t, rebootPending, o, c.want)
			if !strings.Contains(o.Message, c.says) {
				t.Errorf("%q does not say %q", o.Message, c.says)
			}
		})
	}
}

func utf16LE(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func TestRenames(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		want []rename
	}{
		"none":         {"", nil},
		"only the end": {"\x00", nil},
		"a deletion":   {"\\??\\C:\\a\x00\x00\x00", []rename{{`C:\a`, ""}}},
		"not ended":    {"\\??\\C:\\a", []rename{{`C:\a`, ""}}},
		"deletion and move": {"\\??\\C:\\a\x00\x00\\??\\C:\\b\x00!\\??\\C:\\c\x00\x00",
			[]rename{{`C:\a`, ""}, {`C:\b`, `C:\c`}}},
	} {
		if diff := cmp.Diff(c.want, parseRenames(utf16LE(c.data))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	const store, downloads = `C:\Windows\WinSxS\Temp\PendingRenames\a`, `C:\Windows\SoftwareDistribution\Download\a`
	for _, c := range []struct {
		from, to string
		want     bool
	}{
		{`C:\Windows\Temp\a`, `C:\Windows\WinSxS\x\y.dll`, true},
		{`C:\Windows\Temp\a`, `C:\Windows\SoftwareDistribution\x`, true},
		{store, `C:\WINDOWS\SYSTEM32\drivers\x.sys`, true},
		{store, `C:/Windows/System32/x.dll`, true},
		{downloads, `C:\Windows\SysWOW64\x.dll`, true},
		{`C:\Windows\servicing\x`, `C:\Windows\System32\x.dll`, true},
		{store, `C:\Windows\System32\spool\drivers\x64\3\x.dll`, false},
		{store, `C:\Windows\Temp\x`, false},
		{store, "", false},
		{`C:\Windows\System32\drivers\SET1A01.tmp`, `C:\Windows\System32\drivers\vmhgfs.sys`, false},
		{`C:\Windows\SysWOW64\SET2B.tmp`, `C:\Windows\SysWOW64\x.dll`, false},
		{`C:\Users\a\AppData\Local\Temp\x`, `C:\Windows\System32\x.dll`, false},
		{`C:\Windows\System32\from.dll`, `C:\Program Files\Vendor\x.dll`, false},
	} {
		if got := (rename{From: c.from, To: c.to}).servicing(); got != c.want {
			t.Errorf("%q into %q: %t, want %t", c.from, c.to, got, c.want)
		}
	}
}

// TestPendingSessions reads sessions of servicing and updates to commit.
func TestPendingSessions(t *testing.T) {
	const servicing, update = `SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing`,
		`SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update`
	m := registryOnly(map[string][]hivetest.Value{
		servicing + `\SessionsPending`:         {dword("Exclusive", 0)},
		servicing + `\SessionsPending\1_done`:  {dword("Complete", 1)},
		servicing + `\SessionsPending\2_begun`: {dword("Complete", 0)},
		servicing + `\SessionsPending\3_bare`:  nil,
		servicing + `\SessionsPending\4_text`:  {sz("Complete", "1")},
		update + `\CommitRequired`:             {dword("{A}", 1), dword("{B}", 0)},
	})
	var p PendingReboot
	if err := m.readPendingKeys(&p); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the servicing session 2_begun is incomplete", "the servicing session 3_bare is incomplete",
		"the servicing session 4_text is incomplete",
		"Windows Update must still commit the update {A}",
	}
	if diff := cmp.Diff(want, whats(p.Likely)); diff != "" || len(p.Servicing) > 0 {
		t.Error(diff, p.Servicing)
	}
}

// TestSignsOfOtherReboots reads what waits for a start and is not of Windows
// Update.
func TestSignsOfOtherReboots(t *testing.T) {
	m := registryOnly(map[string][]hivetest.Value{
		`SYSTEM\Select`: {dword("Current", 1)},
		`SYSTEM\ControlSet001\Services\Tcpip\Parameters`: {sz("Hostname",
			"WSAMZN-1"), sz("NV Hostname", "WSAMZN-2")},
		`SYSTEM\ControlSet001\Services\Netlogon`: {dword("JoinDomain", 1),
			dword("AvoidSpnSet", 0)},
		`SYSTEM\ControlSet001\Services\TrustedInstaller`: {dword("Start", 2)},
		`SOFTWARE\Microsoft\Updates`: {dword("UpdateExeVolatile",
			0)},
		`SOFTWARE\Microsoft\ServerManager`: {dword("CurrentRebootAttempts", 1)},
		`SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\PostRebootReporting`: nil,
		`SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Services\Pending\{1}`:            nil,
	})
	var p PendingReboot
	if err := m.readPendingOther(&p); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Server Manager is waiting for a reboot", "a domain join is waiting for a reboot",
		"Windows Update reports after the next start",
		"an update service is waiting to be registered", "the computer's name changes to WSAMZN-2",
		"Windows Modules Installer starts automatically, as it does while work is pending",
	}
	if diff := cmp.Diff(want, whats(p.Other)); diff != "" {
		t.Error(diff)
	}
}
