package windows

import (
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
		"nothing waits":            {PendingReboot{}, inferred, "event logs are not read"},
		"programs wait":            {PendingReboot{Other: trace("a printer driver waits")}, inferred, "a printer driver waits"},
		"servicing waits":          {PendingReboot{Servicing: trace("pending.xml lies in WinSxS"), Likely: trace("more")}, failed, "pending.xml"},
		"servicing, not all read":  {PendingReboot{Servicing: trace("pending.xml lies in WinSxS"), Errs: unread}, failed, "pending.xml"},
		"files of windows wait":    {PendingReboot{Likely: trace("1 file of Windows waits")}, warning, "1 file of Windows waits"},
		"files wait, not all read": {PendingReboot{Likely: trace("1 file of Windows waits"), Errs: unread}, warning, "1 file of Windows waits"},
		"not all read":             {PendingReboot{Other: trace("a printer driver waits"), Errs: unread}, undetermined, "COMPONENTS cannot be read"},
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
		b = le.AppendUint16(b, u)
	}
	return b
}

func TestRenames(t *testing.T) {
	for name, c := range map[string]struct {
		data string
		want []rename
	}{
		"none":              {"", nil},
		"only the end":      {"\x00", nil},
		"a deletion":        {"\\??\\C:\\a\x00\x00\x00", []rename{{`C:\a`, ""}}},
		"not ended":         {"\\??\\C:\\a", []rename{{`C:\a`, ""}}},
		"deletion and move": {"\\??\\C:\\a\x00\x00\\??\\C:\\b\x00!\\??\\C:\\c\x00\x00", []rename{{`C:\a`, ""}, {`C:\b`, `C:\c`}}},
	} {
		if diff := cmp.Diff(c.want, parseRenames(utf16LE(c.data))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for to, want := range map[string]bool{
		`C:\Windows\WinSxS\x\y.dll`:                     true,
		`C:\WINDOWS\SYSTEM32\drivers\x.sys`:             true,
		`C:/Windows/System32/x.dll`:                     true,
		`C:\Windows\SoftwareDistribution\x`:             true,
		`C:\Windows\System32\spool\drivers\x64\3\x.dll`: false,
		`C:\Windows\Temp\x`:                             false,
		`C:\Program Files\Vendor\x.dll`:                 false,
		"":                                              false,
	} {
		if got := (rename{From: `C:\Windows\System32\from.dll`, To: to}).servicing(); got != want {
			t.Errorf("into %q: %t, want %t", to, got, want)
		}
	}
}

// TestSignsOfOtherReboots reads what waits for a start and is not of Windows
// Update.
func TestSignsOfOtherReboots(t *testing.T) {
	m := registryOnly(map[string][]hivetest.Value{
		`SYSTEM\Select`: {dword("Current", 1)},
		`SYSTEM\ControlSet001\Services\Tcpip\Parameters`:                                          {sz("Hostname", "WSAMZN-1"), sz("NV Hostname", "WSAMZN-2")},
		`SYSTEM\ControlSet001\Services\Netlogon`:                                                  {dword("JoinDomain", 1), dword("AvoidSpnSet", 0)},
		`SYSTEM\ControlSet001\Services\TrustedInstaller`:                                          {dword("Start", 2)},
		`SOFTWARE\Microsoft\Updates`:                                                              {dword("UpdateExeVolatile", 0)},
		`SOFTWARE\Microsoft\ServerManager`:                                                        {dword("CurrentRebootAttempts", 1)},
		`SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Auto Update\PostRebootReporting`: nil,
		`SOFTWARE\Microsoft\Windows\CurrentVersion\WindowsUpdate\Services\Pending\{1}`:            nil,
	})
	var p PendingReboot
	if err := m.readPendingOther(&p); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the Server Manager waits for a reboot", "joining a domain waits for a reboot", "Windows Update reports after the next start",
		"an update service waits to be registered", "the computer's name changes to WSAMZN-2",
		"Windows Modules Installer starts automatically, as it does while it has work",
	}
	if diff := cmp.Diff(want, whats(p.Other)); diff != "" {
		t.Error(diff)
	}
}
