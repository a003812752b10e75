package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/evtxtest"
	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// eventLog is a log with 40 records in two chunks, one a minute: every tenth is an error of Setup.
func eventLog(flags uint32) []byte {
	start := filetime.Of(time.Date(2026, 11, 30, 8, 0, 0, 0, time.UTC))
	var events []evtxtest.Event
	for n := range uint64(40) {
		e := evtxtest.Event{Number: n + 1, Time: start + n*60*10_000_000, Provider: "Service Control Manager", ID: 7036,
			Level: 4, Channel: "System", Data: []evtxtest.Datum{{Name: "param1", Text: "WinRM"}, {Text: "running"}}}
		if n%10 == 9 {
			e.Provider, e.ID, e.Level = "Setup", 4, 2
		}
		events = append(events, e)
	}
	return evtxtest.Build(evtxtest.Log{Flags: flags, Oldest: 1,
		Chunks: []evtxtest.Chunk{evtxtest.Events(events[:20]...), evtxtest.Events(events[20:]...)}})
}

func TestEvtxFile(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"System.evtx": eventLog(0)}
	stdout, stderr, exit := runWith(t, files, "inspect", "evtx", "System.evtx", "--last", "2")
	want := "2026-11-30 08:38:00Z        39  information  Service Control Manager  7036  param1=WinRM | running\n" +
		"2026-11-30 08:39:00Z        40  error        Setup  4  param1=WinRM | running\n"
	if d := cmp.Diff(want, stdout); d != "" || stderr != "" || exit != 0 {
		t.Error(d, stderr, exit)
	}
	stdout, stderr, exit = runWith(t, files, "inspect", "evtx", "System.evtx", "-o", "jsonl", "--event-id", "4",
		"--last", "1")
	want = `{"number":40,"record_id":40,"time":"2026-11-30T08:39:00Z","written":"2026-11-30T08:39:00Z",` +
		`"provider":"Setup","event_id":4,"version":0,"level":2,"task":0,"opcode":0,"keywords":"0x80000000000000",` +
		`"channel":"System","computer":"PC","process_id":4,"data":[{"name":"param1","type":"string","value":"WinRM"},` +
		`{"name":"","type":"string","value":"running"}],"verified":true,"offset":9760}` + "\n"
	if d := cmp.Diff(want, stdout); d != "" || stderr != "" || exit != 0 {
		t.Error(d, stderr, exit)
	}
}

// The numbers of the records that each filter leaves.
func TestEvtxFilters(t *testing.T) {
	t.Parallel()
	files := map[string][]byte{"System.evtx": eventLog(0)}
	for _, tt := range []struct{ args, want string }{
		{"--event-id 4", "10 20 30 40"}, {"--event-id 1,4 --last 3", "20 30 40"}, {"--event-id 1", ""},
		{"--provider SETUP", "10 20 30 40"}, {"--provider Set", ""}, {"--last 1", "40"}, {"--last 3", "38 39 40"},
		{"--since 2026-11-30T08:37:00Z", "38 39 40"}, {"--since 2026-11-30T08:37:01Z", "39 40"},
		{"--since 2026-12-01", ""}, {"--until 2026-11-30", ""}, {"--until 2026-11-30T08:02:00Z", "1 2"},
		{"--until 2026-11-30T10:02:00+02:00", "1 2"}, {"--since 2026-11-30T08:09:00 --until 2026-11-30T08:11:00", "10 11"},
		{"--event-id 4 --until 2026-11-30T08:20:00Z --last 1", "20"},
	} {
		args := append([]string{"inspect", "evtx", "System.evtx"}, strings.Fields(tt.args)...)
		stdout, stderr, exit := runWith(t, files, args...)
		var got []string
		for line := range strings.Lines(stdout) {
			got = append(got, strings.Fields(line)[2])
		}
		if strings.Join(got, " ") != tt.want || stderr != "" || exit != 0 {
			t.Errorf("%s: %v, %s, %d", tt.args, got, stderr, exit)
		}
	}
}

func TestEvtxErrors(t *testing.T) {
	t.Parallel()
	whole := eventLog(0)
	damaged := slices.Clone(whole)
	clear(damaged[evtxtest.HeaderSize : evtxtest.HeaderSize+evtxtest.ChunkHeaderSize])
	version := slices.Clone(whole)
	version[38] = 2
	evtxtest.FixHeader(version)
	files := map[string][]byte{"System.evtx": whole, "cut.evtx": whole[:evtxtest.HeaderSize+100], "damaged.evtx": damaged,
		"dirty.evtx": eventLog(evtxtest.Dirty), "unchecked.evtx": eventLog(evtxtest.NoChecksums), "version.evtx": version,
		"old.evt": []byte("0\x00\x00\x00LfLe\x01\x00\x00\x00"), "text": []byte("This is no log."), "short.evtx": whole[:100]}
	for _, tt := range []struct {
		args   string
		exit   int
		lines  int
		stderr string
	}{
		{"System.evtx", 0, 40, ""},
		{"damaged.evtx", 0, 40, "damaged.evtx: at offset 4096: corrupt event log: the chunk has no header"},
		{"damaged.evtx", 0, 40, "damaged.evtx: no checksum confirms 20 of 40 records"},
		{"cut.evtx", 0, 0, "cut.evtx: at offset 4096: corrupt event log: the chunk is truncated"},
		{"dirty.evtx", 0, 40, "dirty.evtx was not closed: the newest records may be missing"},
		{"unchecked.evtx", 0, 40, "no checksum confirms 40 of 40 records"},
		{"version.evtx", 4, 0, "version.evtx: unsupported event log feature: a log of version 2.2"},
		{"old.evt", 4, 0, "a log in the format of Windows Server 2003 and earlier"},
		{"short.evtx", 74, 0, "the file has 100 bytes"},
		{"missing.evtx", 74, 0, "missing.evtx"},
		{"text", 4, 0, "text"},
		{"System.evtx System", 64, 0, "System.evtx is an event log, not an image"},
		{"System.evtx --volume 2", 64, 0, "--volume and --parent are for images"},
		{"System.evtx --since yesterday", 64, 0, `--since "yesterday" is not a time`},
		{"System.evtx --until 2026-13-01", 64, 0, `--until "2026-13-01" is not a time`},
		{"System.evtx --last -1", 64, 0, "--last -1 is not a number of records"},
		{"System.evtx --event-id x", 64, 0, "event-id"},
		{"System.evtx --event-id 65535", 0, 0, ""},
		{"System.evtx --event-id 65536", 64, 0, "--event-id 65536 is not the number of an event"},
		{"System.evtx -o xml", 64, 0, "xml"},
	} {
		stdout, stderr, exit := runWith(t, files, append([]string{"inspect", "evtx"}, strings.Fields(tt.args)...)...)
		if exit != tt.exit || strings.Count(stdout, "\n") != tt.lines || !strings.Contains(stderr, tt.stderr) ||
			tt.stderr == "" && stderr != "" {
			t.Errorf("%s: exit code %d, %d lines, %s", tt.args, exit, strings.Count(stdout, "\n"), stderr)
		}
	}
}

// A log of somebody else's moves no cursor, and a long value does not fill the terminal. A program gets all of it.
func TestEvtxNeutral(t *testing.T) {
	t.Parallel()
	evil := "\x1b]0;owned\x07\r\n\u202egpj.exe\u2028"
	event := evtxtest.Event{Number: 1, Provider: "P" + evil, ID: 1, Channel: evil, Computer: evil,
		Data: []evtxtest.Datum{{Name: "n" + evil, Text: evil}, {Name: "long", Text: strings.Repeat("ä", 201)},
			{Name: "fits", Text: strings.Repeat("ä", 200)}}}
	log := evtxtest.Build(evtxtest.Log{Chunks: []evtxtest.Chunk{evtxtest.Events(event)}})
	files := map[string][]byte{"a.evtx": log}
	stdout, stderr, _ := runWith(t, files, "inspect", "evtx", "a.evtx")
	for _, r := range strings.TrimSuffix(stdout+stderr, "\n") {
		if unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
			t.Errorf("%U in %q", r, stdout)
		}
	}
	if !strings.Contains(stdout, " | long="+strings.Repeat("ä", 200)+"… | fits="+strings.Repeat("ä", 200)+"\n") {
		t.Error(stdout)
	}
	stdout, _, _ = runWith(t, files, "inspect", "evtx", "a.evtx", "-o", "jsonl")
	if !strings.Contains(stdout, `"value":"\u001b]0;owned\u0007\r\n`) ||
		!strings.Contains(stdout, strings.Repeat("ä", 201)) {
		t.Error(stdout)
	}
}

// The logs of a system are listed, and named by their file, their channel or their path.
func TestEvtxImage(t *testing.T) {
	testenv.Loop(t)
	testenv.Tool(t, "mkntfs", "ntfs-3g", "fusermount")
	t.Parallel()
	dir := t.TempDir()
	image, mount := filepath.Join(dir, "root.img"), filepath.Join(dir, "mnt")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 8<<20); err != nil {
		t.Fatal(err)
	}
	command := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), name, args...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	command("mkntfs", "-F", "-Q", "-q", image)
	if err := os.Mkdir(mount, 0o700); err != nil {
		t.Fatal(err)
	}
	command("ntfs-3g", image, mount)
	damaged := eventLog(0)
	clear(damaged[evtxtest.HeaderSize : evtxtest.HeaderSize+evtxtest.ChunkHeaderSize])
	for name, data := range map[string][]byte{
		"Windows/System32/config/SYSTEM":                                    hivetest.Empty("ROOT"),
		"Windows/System32/config/SOFTWARE":                                  hivetest.Empty("ROOT"),
		"Windows/System32/winevt/Logs/System.evtx":                          eventLog(evtxtest.Full),
		"Windows/System32/winevt/Logs/Dirty.evtx":                           eventLog(evtxtest.Dirty),
		"Windows/System32/winevt/Logs/Damaged.EVTX":                         damaged,
		"Windows/System32/winevt/Logs/Microsoft-Windows-Kernel-PnP%4A.evtx": evtxtest.Build(evtxtest.Log{}),
		"Windows/System32/winevt/Logs/other.etl":                            {1},
		"Windows/System32/winevt/Logs/text.evtx":                            []byte("text"),
		"Windows/Temp/Copy.evtx":                                            eventLog(0),
	} {
		file := filepath.Join(mount, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Error(err)
		}
	}
	command("fusermount", "-u", mount)

	run := func(args ...string) (stdout, stderr string, exit int) {
		t.Helper()
		return runWith(t, nil, append([]string{"inspect", "evtx", image}, args...)...)
	}
	stdout, stderr, exit := run()
	want := ` RECORDS  FIRST                 LAST                  STATE        LOG
      40  2026-11-30 08:00:00Z  2026-11-30 08:39:00Z  damaged      Damaged
      40  2026-11-30 08:00:00Z  2026-11-30 08:39:00Z  not closed   Dirty
       0  -                     -                     closed       Microsoft-Windows-Kernel-PnP/A
      40  2026-11-30 08:00:00Z  2026-11-30 08:39:00Z  full         System
       0  -                     -                     unreadable   text
`
	if d := cmp.Diff(want, stdout); d != "" || exit != 0 || !strings.Contains(stderr, "text.evtx: ") ||
		!strings.Contains(stderr, "Damaged.EVTX: at offset 4096: corrupt event log: the chunk has no header") {
		t.Error(d, stderr, exit)
	}
	stdout, _, _ = run("-o", "jsonl")
	if !strings.Contains(stdout, `{"log":"System","file":"Windows/System32/winevt/Logs/System.evtx","size":135168,`+
		`"records":40,"first":"2026-11-30T08:00:00Z","last":"2026-11-30T08:39:00Z",`+
		`"dirty":false,"full":true,"damage":0}`+"\n") ||
		!strings.Contains(stdout, `"damage":0,"error":"Windows/System32/winevt/Logs/text.evtx: `) {
		t.Error(stdout)
	}
	for _, tt := range []struct {
		args   string
		exit   int
		lines  int
		stderr string
	}{
		{"System", 0, 40, ""}, {"system.evtx", 0, 40, ""}, {`C:\Windows\Temp\Copy.evtx`, 0, 40, ""},
		{"/Windows/Temp/Copy.evtx --last 1", 0, 1, ""}, {"Microsoft-Windows-Kernel-PnP/A", 0, 0, ""},
		{"Microsoft-Windows-Kernel-PnP%4A.evtx", 0, 0, ""},
		{"Nothing", 74, 0, "hint: list the logs: leave LOG out"}, {"/Nothing.evtx", 74, 0, "Nothing.evtx"},
		{"Dirty", 0, 40, "not closed"}, {"text", 4, 0, "not an event log"},
		{"--last 1", 64, 0, "are for the records of a log"},
		{"/Windows", 74, 0, "not a regular file"},
	} {
		stdout, stderr, exit := run(strings.Fields(tt.args)...)
		if exit != tt.exit || strings.Count(stdout, "\n") != tt.lines || !strings.Contains(stderr, tt.stderr) ||
			tt.stderr == "" && stderr != "" {
			t.Errorf("%s: exit code %d, %d lines, %s", tt.args, exit, strings.Count(stdout, "\n"), stderr)
		}
	}
}
