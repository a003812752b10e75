package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/clipperhouse/displaywidth"

	"github.com/coldcheck/coldcheck/scanner"
)

// The line says how far the work is and what is being done, and never takes
// more than the terminal has.
func TestProgressText(t *testing.T) {
	for _, c := range []struct {
		step        string
		done, total int64
		details     string
		columns     int
		want        string
	}{
		{"opening", 0, 0, "", 79, "opening"},
		{"opening", 0, 0, "3.0 MiB read", 79, "opening: 3.0 MiB read"},
		{"checking", 0, 4, "", 79, "[....................]   0%  checking"},
		{"checking", 1, 3, "1 of 3", 79, "[######..............]  33%  checking: 1 of 3"},
		{"checking", 299, 300, "", 79, "[###################.]  99%  checking"},
		{"checking", 4, 4, "", 79, "[####################] 100%  checking"},
		{"checking", 9, 4, "", 79, "[####################] 100%  checking"},
		{"checking", -1, 4, "", 79, "[....................]   0%  checking"},
		{"checking", math.MaxInt64, math.MaxInt64, "", 79, "[####################] 100%  checking"},
		{"checking", 1, 2, "", 60, "[##########..........]  50%  checking"},
		{"checking", 1, 2, "", 59, " 50%  checking"},
		{"checking the disk", 1, 2, "1 of 2", 10, " 50%  che…"},
		{"reading \x1b[2J", 0, 0, "", 79, "reading <U+001B>[2J"},
		{"日本語", 1, 2, "", 11, " 50%  日本…"},
		{"x", 1, 2, "", 1, "…"},
		{"hashing", 1, 3, "1 of 3, 2/s", 0, "hashing: 1 of 3, 2/s (33%)"},
		{"opening", 0, 0, "", 0, "opening"},
	} {
		got := progressText(scanner.Progress{Step: c.step, Done: c.done, Total: c.total}, c.details, c.columns)
		if got != c.want || c.columns > 0 && displaywidth.String(got) > c.columns {
			t.Errorf("%q, %d of %d in %d columns: %q, want %q", c.step, c.done, c.total, c.columns, got, c.want)
		}
	}
}

// Details are how much is done, the rate of this step, and the time that is
// left of it.
func TestProgressDetails(t *testing.T) {
	start := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
	const gib = 1 << 30
	for _, c := range []struct {
		name    string
		first   scanner.Progress
		seconds float64
		then    scanner.Progress
		want    string
	}{
		{"bytes", scanner.Progress{Unit: scanner.UnitBytes, Total: 80 * gib}, 10,
			scanner.Progress{Unit: scanner.UnitBytes, Done: 20 * gib, Total: 80 * gib},
			"20.0 GiB of 80.0 GiB, 2.0 GiB/s, 30s left"},
		{"bytes from the middle", scanner.Progress{Unit: scanner.UnitBytes, Done: 10 * gib, Total: 80 * gib}, 10,
			scanner.Progress{Unit: scanner.UnitBytes, Done: 20 * gib, Total: 80 * gib},
			"20.0 GiB of 80.0 GiB, 1.0 GiB/s, 1m00s left"},
		{"too soon for a rate", scanner.Progress{Unit: scanner.UnitBytes, Total: gib}, 0.9,
			scanner.Progress{Unit: scanner.UnitBytes, Done: gib / 2, Total: gib}, "512.0 MiB of 1.0 GiB"},
		{"records", scanner.Progress{Unit: scanner.UnitRecords, Total: 300000}, 2,
			scanner.Progress{Unit: scanner.UnitRecords, Done: 100000, Total: 300000},
			"100000 of 300000 file records, 50000/s, 4s left"},
		{"done", scanner.Progress{Unit: scanner.UnitRecords, Total: 100}, 2,
			scanner.Progress{Unit: scanner.UnitRecords, Done: 100, Total: 100}, "100 of 100 file records, 50/s"},
		{"no movement", scanner.Progress{Unit: scanner.UnitRecords, Done: 5, Total: 100}, 2,
			scanner.Progress{Unit: scanner.UnitRecords, Done: 5, Total: 100}, "5 of 100 file records"},
		{"hardly any movement", scanner.Progress{Unit: scanner.UnitBytes, Total: math.MaxInt64}, 2,
			scanner.Progress{Unit: scanner.UnitBytes, Done: 1, Total: math.MaxInt64},
			"0.0 KiB of 8589934592.0 GiB, 0.0 KiB/s"},
		{"requirements", scanner.Progress{Step: "a", Unit: scanner.UnitRequirements, Total: 30}, 4,
			scanner.Progress{Step: "b", Unit: scanner.UnitRequirements, Done: 10, Total: 30, Read: 4 * gib},
			"10 of 30 requirements, 4.0 GiB read, 1.0 GiB/s"},
		{"unknown total", scanner.Progress{}, 4, scanner.Progress{Read: 1 << 20}, "1.0 MiB read, 256.0 KiB/s"},
		{"nothing", scanner.Progress{}, 4, scanner.Progress{}, ""},
		{"targets", scanner.Progress{Unit: unitTargets, Total: 100}, 60,
			scanner.Progress{Unit: unitTargets, Done: 30, Total: 100}, "30 of 100 targets, 30/min, 2m20s left"},
		{"many targets", scanner.Progress{Unit: unitTargets, Total: 1000}, 10,
			scanner.Progress{Unit: unitTargets, Done: 100, Total: 1000}, "100 of 1000 targets, 10/s, 1m30s left"},
		{"a count", scanner.Progress{Unit: "entries"}, 2, scanner.Progress{Unit: "entries", Done: 4000},
			"4000 entries, 2000/s"},
	} {
		var r stepRate
		now := start.Add(time.Duration(c.seconds * float64(time.Second)))
		r.note(c.first, start)
		r.note(c.then, now)
		if got := r.details(c.then, now, now.Sub(start)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for seconds, want := range map[float64]string{0.2: "1s", 59: "59s", 60: "1m00s", 3599: "59m59s", 3600: "1h00m",
		7500: "2h05m"} {
		if got := timeLeft(time.Duration(seconds * float64(time.Second))); got != want {
			t.Errorf("%v seconds: %s, want %s", seconds, got, want)
		}
	}
}

// On a terminal the line comes after a second and is drawn ten times a second at
// most; elsewhere there is a line a minute; with --no-progress nothing.
func TestProgressTimes(t *testing.T) {
	for _, c := range []struct {
		name          string
		terminal, off bool
		at            []time.Duration
		want          string
	}{
		{"terminal", true, false, []time.Duration{0, 999 * time.Millisecond, time.Second, 1099 * time.Millisecond,
			1100 * time.Millisecond}, "\r\x1b[Kstep 3\r\x1b[Kstep 5\r\x1b[K"},
		{"pipe", false, false, []time.Duration{0, time.Second, 59 * time.Second, time.Minute, 90 * time.Second,
			2 * time.Minute}, "coldcheck: step 4\ncoldcheck: step 6\n"},
		{"off", true, true, []time.Duration{0, time.Hour}, ""},
	} {
		file := filepath.Join(t.TempDir(), "stderr")
		f, err := os.Create(file)
		if err != nil {
			t.Fatal(err)
		}
		var now time.Time
		l := progressLine{w: f, off: c.off, terminal: c.terminal, now: func() time.Time { return now }}
		start := time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)
		for i, at := range c.at {
			now = start.Add(at)
			l.show(scanner.Progress{Step: "step " + string(rune('1'+i))})
		}
		l.clear()
		l.clear()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if got := read(t, file); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
