package windows

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

const (
	rearmed = ", Info                  SYSPRP LaunchDll:Successfully executed " +
		"'C:\\Windows\\System32\\slc.dll,SLReArmWindows' without error\n"
	deniedAt = ", Error      [0x0f00a8] SYSPRP WinMain:Hit failure while processing sysprep generalize internal " +
		"providers; hr = 0xc004d307\n"
)

func TestRearm(t *testing.T) {
	installed := time.Date(2026, 1, 14, 9, 0, 0, 0, time.UTC)
	at := func(s machine.System, edition string) machine.System {
		s.EditionID, s.Installed = edition, installed
		return s
	}
	server, eval := at(server2019, "ServerDatacenter"), at(server2019, "ServerDatacenterEval")
	eight, seven, r2 := at(server2012, "ServerStandard"), at(windows7, "Enterprise"), at(server2008, "ServerStandard")
	log := func(t *testing.T, path string, lines ...string) sysprepLog {
		l := parseLog(t, strings.Join(lines, ""))
		l.File = there
		l.File.Evidence.Path = path
		return l
	}
	states := func(n int) rearmStatement {
		return rearmStatement{n, requirement.Evidence{Source: "slmgr.txt"}}
	}
	for name, c := range map[string]struct {
		system     machine.System
		act, err   string // the logs
		unread     bool   // a third one
		skip       uint32
		skipUnread bool
		statements []rearmStatement
		want       verdict
		says       string
	}{
		"nothing on record": {system: server, want: inferred,
			says: "ServerDatacenter starts with about 1000 rearms. No rearm is recorded."},
		"windows 8": {system: eight, want: inferred, says: "starts with about 1000"},
		"one rearm": {system: server, act: "2026-01-10 18:04:32" + rearmed, want: inferred,
			says: "1 rearm is recorded, the last on 2026-01-10 18:04:32"},
		"denied": {system: server, err: "2026-02-20 10:31:17" + deniedAt, want: failed,
			says: "2026-02-20 10:31:17"},
		"denied, and rearmed later": {system: server, act: "2026-02-21 10:00:00" + rearmed,
			err: "2026-02-20 10:31:17" + deniedAt, want: inferred, says: "1 rearm"},
		"rearmed, and denied later": {system: server, act: "2026-02-19 10:00:00" + rearmed,
			err: "2026-02-20 10:31:17" + deniedAt, want: failed, says: "setuperr.log, line 1"},
		"both in one second": {system: server, act: "2026-02-20 10:31:17" + rearmed,
			err: "2026-02-20 10:31:17" + deniedAt, want: failed, says: "0xC004D307"},
		"one after the other in it": {system: server,
			act: "2026-02-20 10:31:17" + deniedAt + "2026-02-20 10:31:17" + rearmed, want: inferred, says: "1 rearm"},
		"one before the other in it": {system: server,
			act: "2026-02-20 10:31:17" + rearmed + "2026-02-20 10:31:17" + deniedAt, want: failed, says: "line 2"},
		"denied before installation": {system: server, err: "2026-01-10 10:31:17" + deniedAt, want: inferred,
			says: "No rearm"},
		"denied around installation": {system: server, err: "2026-01-14 10:00:00" + deniedAt, want: undetermined,
			says: "may have been before"},
		"denied without a time": {system: server, err: "someday" + deniedAt, want: undetermined,
			says: "an unknown day"},
		"denied, and one log unread": {system: server, err: "2026-02-20 10:31:17" + deniedAt, unread: true, want: failed,
			says: "0xC004D307"},
		"one log unread":   {system: server, unread: true, want: undetermined, says: "bad sector"},
		"rearm is skipped": {system: server, skip: 1, want: warning, says: "SkipRearm is 1"},
		"skip unread":      {system: server, skipUnread: true, want: undetermined, says: "SkipRearm is damaged"},
		"skip unread, denied": {system: server, skipUnread: true, err: "2026-02-20 10:31:17" + deniedAt,
			want: failed, says: "0xC004D307"},
		"edition not known": {system: at(server2019, ""), want: undetermined, says: "edition"},
		"evaluation":        {system: eval, want: undetermined, says: "Evaluation editions have few rearms"},
		"evaluation, denied": {system: eval, err: "2026-02-20 10:31:17" + deniedAt, want: failed,
			says: "0xC004D307"},
		"windows 7": {system: seven, want: undetermined,
			says: "Windows 7 Enterprise has 3 rearms. No rearm is recorded."},
		"server 2008 r2": {system: r2, want: undetermined, says: "has 3 rearms"},
		"windows 7, two rearms": {system: seven,
			act: "2025-01-10 18:04:32" + rearmed + "2025-02-10 18:04:32" + rearmed, want: undetermined, says: "2 rearms"},
		"windows 7, three rearms": {system: seven,
			act:  "2025-01-10 18:04:32" + rearmed + "2025-02-10 18:04:32" + rearmed + "2025-03-10 18:04:32" + rearmed,
			want: warning, says: "3 rearms are recorded"},
		"windows 7, one of them twice": {system: seven,
			act: "2025-01-10 18:04:32" + rearmed + "2025-02-10 18:04:32" + rearmed, err: "2025-02-10 18:04:32" + rearmed,
			want: undetermined, says: "2 rearms"},
		"stated": {system: server, statements: []rearmStatement{states(1001)}, want: stated,
			says: "1001 rearms are left according to slmgr.txt"},
		"one is stated": {system: seven, statements: []rearmStatement{states(1)}, want: stated,
			says: "1 rearm is left"},
		"none is stated": {system: server, statements: []rearmStatement{states(0)},
			want: verdict{requirement.Failed, requirement.Stated}, says: "No rearm is left"},
		"stated, and denied": {system: server, err: "2026-02-20 10:31:17" + deniedAt,
			statements: []rearmStatement{states(5)}, want: warning, says: "But Sysprep could not rearm"},
		"none stated, and denied": {system: server, err: "2026-02-20 10:31:17" + deniedAt,
			statements: []rearmStatement{states(0)}, want: verdict{requirement.Failed, requirement.Stated},
			says: "No rearm is left"},
		"stated, and denied before": {system: server, err: "2026-01-10 10:31:17" + deniedAt,
			statements: []rearmStatement{states(5)}, want: stated, says: "5 rearms"},
		"stated, one log unread": {system: server, unread: true, statements: []rearmStatement{states(5)}, want: stated,
			says: "5 rearms"},
		"stated twice": {system: server, statements: []rearmStatement{states(5), states(4)}, want: stated,
			says: "5 rearms"},
		"stated in two ways": {system: server, statements: []rearmStatement{states(5), states(0)}, want: undetermined,
			says: "contradict each other"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Rearm{Logs: []sysprepLog{log(t, "setupact.log", c.act), log(t, "setuperr.log", c.err), {File: missing}},
				Statements: c.statements, Skip: absent[uint32]()}
			if c.unread {
				r.Logs[2] = sysprepLog{File: there, Err: errors.New("the disk has a bad sector")}
			}
			if c.skip != 0 {
				r.Skip = number(c.skip)
			}
			if c.skipUnread {
				r.SkipErr = errors.New("SkipRearm is damaged")
			}
			o := judgeRearm(c.system, r)
			check(t, rearmNonzero, o, c.want)
			if !strings.Contains(o.Message, c.says) {
				t.Errorf("%q does not say %q", o.Message, c.says)
			}
			for _, line := range strings.Split(strings.TrimSpace(c.act+c.err), "\n") {
				quoted := func(ev requirement.Evidence) bool { return strings.HasPrefix(line, ev.Data) && ev.Data != "" }
				if line != "" && !strings.Contains(name, "twice") && !slices.ContainsFunc(o.Evidence, quoted) {
					t.Errorf("no evidence quotes %q", line)
				}
			}
		})
	}
}

func TestEditionOfDocument(t *testing.T) {
	for _, c := range []struct {
		product, edition string
		want             bool
	}{
		{"Windows(R), ServerDatacenter edition", "ServerDatacenter", true},
		{"Windows(R) 7, Enterprise edition", "Enterprise", true},
		{"Windows Server(R), ServerStandard edition", "ServerStandard", true},
		{"Windows(R), serverdatacenter edition", "ServerDatacenter", true},
		{"Windows(R), ServerDatacenterEval edition", "ServerDatacenter", false},
		{"Windows(R), Professional edition", "Enterprise", false},
		{"Windows(R), Professional edition", "", false},
		{"", "Professional", false},
		{"", "", false},
	} {
		if got := ofEdition(c.product, c.edition); got != c.want {
			t.Errorf("%q of %q: %t", c.product, c.edition, got)
		}
	}
}

func TestRearmDocuments(t *testing.T) {
	var trail requirement.Trail
	m := registryOnly(nil)
	m.in.Trail = &trail
	m.in.Documents = []*statement.Document{
		{Name: "other.txt", Kind: statement.License,
			Slmgr: &statement.Slmgr{Name: "Windows(R), Professional edition", RemainingWindowsRearm: 3}},
		{Name: "workspaces.json", Kind: statement.WorkSpaces},
		{Name: "slmgr.txt", Kind: statement.License,
			Slmgr: &statement.Slmgr{Name: "Windows(R), ServerDatacenter edition", RemainingWindowsRearm: 1001}},
	}
	r := m.readRearm(machine.System{EditionID: "ServerDatacenter"})
	if r.SkipErr != nil {
		t.Error(r.SkipErr)
	}
	want := []rearmStatement{{1001, requirement.Evidence{
		Kind: requirement.KindDocument, Origin: requirement.OriginDocument, Found: true,
		Source: "slmgr.txt", Value: "Remaining Windows rearm count", Data: "1001",
	}}}
	if diff := cmp.Diff(want, r.Statements); diff != "" {
		t.Error(diff)
	}
	notices := trail.Notices()
	if len(notices) != 1 || !strings.Contains(notices[0].Message,
		`other.txt is not used: it is for "Windows(R), Professional edition", but the disk has the edition ServerDatacenter.`) {
		t.Errorf("%+v", notices)
	}
	for _, l := range r.Logs {
		if l.Err == nil {
			t.Error("a log of a volume that is not there has no error")
		}
	}
}
