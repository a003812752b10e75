package windows

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/evtxtest"
	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// at is a time of the day on which the tests' events occur.
func at(clock string) uint64 {
	t, err := time.Parse(time.DateTime, "2026-01-13 "+clock)
	if err != nil {
		panic(err)
	}
	return filetime.Of(t)
}

func event(clock, provider string, id uint16, data ...string) evtxtest.Event {
	e := evtxtest.Event{Time: at(clock), Provider: provider, ID: id}
	for i := 0; i+1 < len(data); i += 2 {
		e.Data = append(e.Data, evtxtest.Datum{Name: data[i], Text: data[i+1]})
	}
	return e
}

func start(clock, build string) evtxtest.Event {
	return event(clock, providerKernel, 12, "BuildVersion", build)
}

// logOf makes a log, of which change may change the bytes.
func logOf(t *testing.T, change func([]byte) []byte, events ...evtxtest.Event) *machine.EventLog {
	t.Helper()
	for i := range events {
		events[i].Number = uint64(i) + 1
	}
	data := evtxtest.Build(evtxtest.Log{Chunks: []evtxtest.Chunk{evtxtest.Events(events...)}})
	if change != nil {
		data = change(data)
	}
	log, err := machine.NewEventLog(machine.File{Exists: true}, bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return log
}

// eventsOf reads two logs.
func eventsOf(system, setup *machine.EventLog) Events {
	var e Events
	m := OfHives(nil)
	e.System.File.Exists, e.Setup.File.Exists = true, true
	e.readSystem(m, system)
	if e.Start != nil {
		e.readSetup(m, setup)
	}
	return e
}

func TestEvents(t *testing.T) {
	servicing := func(clock string, id uint16) evtxtest.Event {
		return event(clock, providerServicing, id, "PackageIdentifier", "KB1")
	}
	feature := func(clock string, id uint16) evtxtest.Event {
		return event(clock, providerServicing, id, "UpdateName", "Telnet", "PackageIdentifier", "KB1")
	}
	update := func(clock string, id uint16, text string) evtxtest.Event {
		if id == 19 {
			return event(clock, providerUpdate, id, "updateTitle", text)
		}
		return event(clock, providerUpdate, id, "updatelist", text)
	}
	type list = []evtxtest.Event
	up := start("08:00:00", "17763")
	resumed := func(clock string, kind string) list {
		return list{start(clock, "17763"), event(clock, providerBoot, 27, "BootType", kind)}
	}
	for name, c := range map[string]struct {
		system, setup list
		waiting       int
		clean         bool
	}{
		"nothing":          {list{up}, nil, 0, false},
		"servicing waits":  {list{up}, list{servicing("08:00:01", 4)}, 1, false},
		"at the start":     {list{up}, list{servicing("08:00:00", 4)}, 0, false},
		"before the start": {list{up}, list{servicing("07:59:59", 4)}, 0, false},
		"complete":         {list{up}, list{servicing("08:00:01", 4), servicing("08:00:02", 2)}, 0, false},
		"waits twice": {
			list{up}, list{servicing("08:00:01", 4), servicing("08:00:02", 4)}, 1, false,
		},
		"complete, waits again": {
			list{up}, list{servicing("08:00:01", 2), servicing("08:00:02", 4)}, 1, false,
		},
		"a feature is turned on": {
			list{up}, list{feature("08:00:01", 13), servicing("08:00:02", 2)}, 1, false,
		},
		"a feature is turned off": {
			list{up}, list{feature("08:00:01", 14), feature("08:00:02", 10)}, 0, false,
		},
		"another failed":      {list{up}, list{servicing("08:00:01", 3)}, 0, false},
		"update waits":        {list{up, update("08:00:01", 21, "- A\n- B")}, nil, 1, false},
		"update before start": {list{update("07:00:01", 21, "- A"), up}, nil, 0, false},
		"one of two is installed": {
			list{up, update("08:00:01", 21, "- A\n- B"), update("08:00:02", 19, "A")},
			nil, 1, false},
		"both are installed": {list{up, update("08:00:01", 21, "- A\n- B"), update("08:00:02", 19, "A"),
			update("08:00:03", 19, "B")}, nil, 0, false},
		"installed before": {
			list{up, update("08:00:01", 19, "A"), update("08:00:02", 22, "- A")}, nil, 1, false,
		},
		"definitions are installed": {
			list{up, update("08:00:01", 22, "- A"), update("08:00:02", 19, "Defender")}, nil, 1, false,
		},
		"names none": {list{up, update("08:00:01", 22, "")}, nil, 1, false},
		"names none, then installed": {
			list{up, update("08:00:01", 22, ""), update("08:00:02", 19, "A")}, nil, 0, false,
		},
		"fast startup": {
			append(list{up}, resumed("09:00:00", "1")...), list{servicing("08:30:00", 4)}, 1, false,
		},
		"hibernation": {
			append(list{up}, resumed("09:00:00", "0x2")...), list{servicing("08:30:00", 4)}, 1, false,
		},
		"full start": {
			append(list{up}, resumed("09:00:00", "0")...), list{servicing("08:30:00", 4)}, 0, false,
		},
		"shut down":        {list{up, event("09:00:00", providerKernel, 13)}, nil, 0, true},
		"event log closed": {list{up, event("09:00:00", providerEventLog, 6006)}, nil, 0, true},
		"event log opened again": {list{up, event("09:00:00", providerEventLog, 6006),
			event("09:00:01", providerEventLog, 6005)}, nil, 0, false},
		"started again": {list{event("07:00:00", providerKernel, 13), up}, nil, 0, false},
		"no start":      {list{update("08:00:01", 21, "- A")}, list{servicing("08:00:01", 4)}, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := eventsOf(logOf(t, nil, c.system...), logOf(t, nil, c.setup...))
			if got := e.pending(); len(got) != c.waiting || (e.Stop != nil) != c.clean {
				t.Errorf("waiting %v, want %d; stop %v", whats(got), c.waiting, e.Stop)
			}
			for _, p := range e.pending() {
				if p.Evidence.Offset == nil || !strings.HasPrefix(p.Evidence.Note, "record ") {
					t.Errorf("%+v", p.Evidence)
				}
			}
		})
	}
}

// What a damaged log shows since the last start proves nothing, since a later start may be among what is lost. Damage
// before the last start changes nothing.
func TestEventsDamaged(t *testing.T) {
	t.Parallel()
	record := func(n int) func([]byte) []byte {
		return func(log []byte) []byte {
			for at := evtxtest.HeaderSize; at+16 < len(log); at++ {
				if string(log[at:at+4]) == "**\x00\x00" {
					if n--; n == 0 {
						log[at+8], log[at+24] = 0xFF, 0xFF
						return log
					}
				}
			}
			t.Fatal("no such record")
			return nil
		}
	}
	setup := logOf(t, nil, event("09:00:00", providerServicing, 4, "PackageIdentifier", "KB1"))
	system := []evtxtest.Event{event("07:00:00", "x", 1), start("08:00:00", "17763"), event("08:30:00", "x", 1),
		event("08:31:00", "x", 2)}
	for n, want := range map[int]int{1: 1, 3: 0} {
		e := eventsOf(logOf(t, record(n), system...), setup)
		if len(e.pending()) != want || (e.System.Err != nil) != (want == 0) {
			t.Errorf("record %d: %v, %v", n, whats(e.pending()), e.System.Err)
		}
		if said := e.read(); (want == 0) != strings.Contains(said, "could not be read completely") {
			t.Errorf("record %d: %s", n, said)
		}
	}
}

// jumpOf looks for an upgrade in a log.
func jumpOf(t *testing.T, log *machine.EventLog) buildJump {
	t.Helper()
	m := OfHives(nil)
	newest, err := m.firstStart(log, true, "")
	if err != nil || newest == nil {
		return buildJump{}
	}
	j, err := m.jumpIn(log, newest)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func TestBuildJump(t *testing.T) {
	up := start("08:00:00", "17763")
	t.Parallel()
	other := start("06:00:00", "14393")
	other.Computer = "BUILDER"
	for name, c := range map[string]struct {
		starts []evtxtest.Event
		want   string
	}{
		"no start": {[]evtxtest.Event{event("08:00:00", "x", 1)}, ""},
		"one":      {[]evtxtest.Event{up}, ""},
		"same":     {[]evtxtest.Event{start("08:00:00", "17763"), start("09:00:00", "17763")}, ""},
		"upgrade": {
			[]evtxtest.Event{start("08:00:00", "19045"), start("09:00:00", "26100")}, "26100",
		},
		"one code base": {[]evtxtest.Event{start("08:00:00", "19041"), start("09:00:00", "19045")}, ""},
		"both": {
			[]evtxtest.Event{start("08:00:00", "19041"), start("09:00:00", "19045"), start("10:00:00", "22631")}, "22631",
		},
		"another computer": {[]evtxtest.Event{other, start("09:00:00", "17763")}, ""},
		"older":            {[]evtxtest.Event{start("08:00:00", "26100"), start("09:00:00", "19045")}, ""},
		"no number":        {[]evtxtest.Event{start("08:00:00", "x"), start("09:00:00", "19045")}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := jumpOf(t, logOf(t, nil, c.starts...))
			got := ""
			if j.After != nil {
				got = j.After.Text("BuildVersion")
			}
			if got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

// TestCorpusEvents reads logs of real machines, of which none waits for a restart or was upgraded.
func TestCorpusEvents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		started string
		clean   bool
	}{
		"windows_logs/log2timeline__plaso/test_data/evtx/System.evtx.gz": {"2015-08-25 15:40:24Z", true},
		"windows_logs/omerbenamram__evtx/samples/system.evtx.gz":         {"2017-07-12 17:20:28Z", false},
	} {
		data := testenv.CorpusFile(t, name)
		log, err := machine.NewEventLog(machine.File{Exists: true}, bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		e := eventsOf(log, nil)
		if got := e.Started().Format(layoutSeconds); got != c.started || (e.Stop != nil) != c.clean || e.System.Err != nil ||
			len(e.Waiting) > 0 {
			t.Errorf("%s: started %s, stopped %v, waiting %v, %v", name, got, e.Stop, e.Waiting, e.System.Err)
		}
		if j := jumpOf(t, log); j.After != nil {
			t.Errorf("%s: %v", name, j.After)
		}
	}
}

// That Windows was shut down is evidence; that the log does not show it changes no status.
func TestWithShutdown(t *testing.T) {
	t.Parallel()
	up, stop := start("08:00:00", "17763"), event("09:00:00", providerKernel, 13)
	for name, c := range map[string]struct {
		events Events
		says   string
	}{
		"shut down": {eventsOf(logOf(t, nil, up, stop), nil), "The event log shows that Windows was shut down on 2026-01-13"},
		"running": {eventsOf(logOf(t, nil, up), nil),
			"does not show that Windows was shut down since it started on 2026-01-13"},
		"no start": {eventsOf(logOf(t, nil, stop), nil), ""},
		"no log":   {Events{}, ""},
	} {
		o := withShutdown(requirement.Pass("The volume is clean."), c.events)
		if o.Status != requirement.Passed || !strings.Contains(o.Message, c.says) || (len(o.Evidence) > 0) != (c.says != "") {
			t.Errorf("%s: %s, %d pieces of evidence", name, o.Message, len(o.Evidence))
		}
	}
}
