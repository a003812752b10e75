package windows

import (
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/evtxtest"
	"github.com/coldcheck/coldcheck/scanner/internal/history"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
)

func TestSystemEvent(t *testing.T) {
	t.Parallel()
	m := OfHives(nil)
	for want, e := range map[string]evtxtest.Event{
		"Service Agent was installed with account CORP\\svc": event("08:00:00", providerServices, 7045,
			"ServiceName", "Agent", "AccountName", `CORP\svc`),
		"Driver Disk was installed": event("08:00:00", providerServices, 7045, "ServiceName", "Disk", "AccountName", ""),
		"The start type of service agent changed from manual to auto": event("08:00:00", providerServices, 7040,
			"param1", "Agent", "param2", "manual", "param3", "auto", "param4", "agent"),
		"The start type of service Agent changed from manual to auto": event("08:00:00", providerServices, 7040,
			"", "Agent", "", "manual", "", "auto"),
		"KB1 was installed": event("08:00:00", providerUpdate, 19, "updateTitle", "KB1"),
		"KB1 failed with 0x80070002": event("08:00:00", providerUpdate, 20, "errorCode", "0x80070002",
			"updateTitle", "KB1"),
		"Windows Update required a":       event("08:00:00", providerUpdate, 21, "updatelist", "- KB1"),
		"Windows started with build 1776": start("08:00:00", "17763"),
		"Windows shut down":               event("08:00:00", providerKernel, 13),
		"Windows had not shut down clean": event("08:00:00", providerEventLog, 6008),
		"setup.exe requested a restart as CORP\\jdoe: Upgrade": event("08:00:00", "USER32", 1074, "", `C:\x\setup.exe (PC)`,
			"", "PC", "", "Upgrade", "", "0x80020003", "", "restart", "", "", "", `CORP\jdoe`),
		"The computer name changed from A to B": event("08:00:00", providerEventLog, 6011, "", "A", "", "B"),
		"An event log was cleared":              event("08:00:00", "Microsoft-Windows-Eventlog", 104),
		"A device was installed with driver netkvm.inf": event("08:00:00", "Microsoft-Windows-UserPnp", 20001,
			"InstallDeviceID/DriverName", "netkvm.inf"),
		"": event("08:00:00", "Microsoft-Windows-Time-Service", 12),
		"The start type of service  changed from": event("08:00:00", providerServices, 7040),
	} {
		for r, err := range m.Records(logOf(t, nil, e), true) {
			if err != nil {
				t.Fatal(err)
			}
			c, ok := systemEvent(r)
			if ok != (want != "") || !strings.HasPrefix(c.What, want) {
				t.Errorf("%q, want %q", c.What, want)
			}
		}
	}
}

// A log has a failed run, one that ended well, and one that failed again. Both failures are known.
func TestRuns(t *testing.T) {
	t.Parallel()
	const begin = " Info SYSPRP === Beginning of a new sysprep run ===\n"
	l, err := parseSysprepLog(strings.NewReader(
		"2026-02-10 08:00:00," + begin +
			"2026-02-10 08:00:10, Error SYSPRP Package A_1_x64__p was installed for a user, " +
			"but not provisioned for all users. hr = 0x80073cf2\n" +
			"2026-02-11 08:00:00," + begin + "2026-02-11 08:03:00, Info SYSPRP Exiting application successfully\n" +
			"2026-02-12 08:00:00," + begin + "2026-02-12 08:00:10, Error SYSPRP reserved storage; hr = 0x800F0975\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range l.runs() {
		h := r.history(machine.File{}, 8*time.Hour, machine.System{})
		got = append(got, h.End.Format(time.DateTime)+" "+h.Cause)
		if h.Failed != (h.Cause != "") || h.Begin.IsZero() || len(h.Lines) != 2 || h.Lines[0].Precision != history.Local {
			t.Errorf("%+v", h)
		}
	}
	want := "2026-02-10 16:00:10 1 AppX package is installed for a user but not provisioned: A_1_x64__p.; " +
		"2026-02-11 16:03:00 ; 2026-02-12 16:00:10 Reserved storage was in use."
	if s := strings.Join(got, "; "); s != want {
		t.Errorf("%s, want %s", s, want)
	}
	old := machine.System{Installed: time.Date(2026, 2, 11, 20, 0, 0, 0, time.UTC)}
	if h := l.runs()[0].history(machine.File{}, 0, old); h != nil {
		t.Errorf("a run of the image before: %+v", h)
	}
	var many strings.Builder
	for range keptRuns + 10 {
		many.WriteString("2026-02-10 08:00:00," + begin)
	}
	if l, err = parseSysprepLog(strings.NewReader(many.String())); err != nil || len(l.runs()) != keptRuns+1 {
		t.Errorf("%d runs, %v", len(l.runs()), err)
	}
}
