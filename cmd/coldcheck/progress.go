package main

import (
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/clipperhouse/displaywidth"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
)

// progressLine shows what is being done: on a terminal in one line that disappears when there is something to read,
// elsewhere in a line a minute. Its methods may be called from several goroutines.
type progressLine struct {
	mu       sync.Mutex
	w        *os.File // nil: silent
	off      bool     // --no-progress
	terminal bool
	now      func() time.Time
	began    time.Time // of the first step
	drawn    time.Time // when it was written last
	shown    bool
	failed   int // targets that could not be scanned

	step stepRate
}

// Times of the line. What ends soon needs no line, a terminal must stay readable, and a log must stay short.
const (
	firstProgress    = time.Second
	progressInterval = 100 * time.Millisecond
	linesInterval    = time.Minute
)

// noProgressFlag declares --no-progress.
func (p *program) noProgressFlag(c *cobra.Command) {
	flagsOf(c).BoolVar(&p.progress.off, "no-progress", false, "show no progress on standard error")
}

// start makes the line appear on w. A terminal understands control sequences.
func (l *progressLine) start(w *os.File, terminal bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.w, l.now, l.terminal = w, time.Now, terminal
}

// show says what is being done.
func (l *progressLine) show(p scanner.Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil || l.off {
		return
	}
	now := l.now()
	if l.began.IsZero() {
		l.began, l.drawn = now, now
	}
	l.step.note(p, now)
	wait := linesInterval
	if l.terminal {
		wait = progressInterval
		if !l.shown {
			wait = firstProgress
		}
	}
	if now.Sub(l.drawn) < wait {
		return
	}
	l.drawn = now
	details := l.step.details(p, now, now.Sub(l.began))
	if l.failed > 0 {
		details += fmt.Sprintf(", %d failed", l.failed)
	}
	if !l.terminal {
		fmt.Fprintf(l.w, "coldcheck: %s\n", progressText(p, details, 0))
		return
	}
	columns, _, err := term.GetSize(int(l.w.Fd()))
	if err != nil || columns < 2 {
		columns = 80
	}
	fmt.Fprintf(l.w, "\r\x1b[K%s", progressText(p, details, columns-1))
	l.shown = true
}

// fail says how many targets could not be scanned.
func (l *progressLine) fail(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = n
}

// stepRate is how fast the current step goes.
type stepRate struct {
	step  string
	unit  scanner.Unit
	began time.Time
	first int64 // done when it began
}

func (r *stepRate) note(p scanner.Progress, now time.Time) {
	if p.Step != r.step || p.Unit != r.unit || p.Done < r.first {
		*r = stepRate{p.Step, p.Unit, now, p.Done}
	}
}

// details are how much is done, how fast, and how long it still takes. Requirements differ too much to predict the
// time left, so their details are the bytes that were read.
func (r *stepRate) details(p scanner.Progress, now time.Time, all time.Duration) string {
	amount := func(n int64) string { return fmt.Sprint(n) }
	unit := " " + string(p.Unit)
	if p.Unit == scanner.UnitBytes {
		amount, unit = prose.Rounded, ""
	}
	var list []string
	switch {
	case p.Total > 0:
		list = append(list, amount(min(p.Done, p.Total))+" of "+amount(p.Total)+unit)
	case p.Done > 0:
		list = append(list, amount(p.Done)+unit)
	}
	if p.Unit == scanner.UnitRequirements || p.Unit == "" {
		if p.Read > 0 {
			list = append(list, prose.Rounded(p.Read)+" read")
			if seconds := all.Seconds(); seconds >= 1 {
				list = append(list, prose.Rounded(int64(float64(p.Read)/seconds))+"/s")
			}
		}
		return strings.Join(list, ", ")
	}
	elapsed := now.Sub(r.began)
	if done := p.Done - r.first; done > 0 && elapsed >= time.Second {
		rate := float64(done) / elapsed.Seconds()
		if rate < 10 && p.Unit == unitTargets {
			list = append(list, fmt.Sprintf("%.0f/min", rate*60))
		} else {
			list = append(list, amount(int64(rate))+"/s")
		}
		if left := float64(p.Total-p.Done) / rate; p.Total > p.Done && left < float64(maxLeft/time.Second) {
			list = append(list, timeLeft(time.Duration(left*float64(time.Second)))+" left")
		}
	}
	return strings.Join(list, ", ")
}

// maxLeft is the longest time that is worth showing.
const maxLeft = 100 * time.Hour

func timeLeft(d time.Duration) string {
	seconds := int(math.Ceil(d.Seconds()))
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%02ds", seconds/60, seconds%60)
	}
	return fmt.Sprintf("%dh%02dm", seconds/3600, seconds%3600/60)
}

// barCells is the length of the bar. A terminal needs three times as much to show one.
const barCells = 20

// progressText is one line: a bar where the total is known, what is being done, and its details. columns is the width
// of the terminal, 0 for none.
func progressText(p scanner.Progress, details string, columns int) string {
	line := report.Neutral(p.Step)
	if details != "" {
		line += ": " + details
	}
	if p.Total > 0 {
		share := min(max(float64(p.Done)/float64(p.Total), 0), 1)
		percent := fmt.Sprintf("%.0f%%", math.Floor(share*100))
		if columns == 0 {
			return fmt.Sprintf("%s (%s)", line, percent)
		}
		line = fmt.Sprintf("%4s  %s", percent, line)
		if columns >= 3*barCells {
			cells := int(share * barCells)
			line = "[" + strings.Repeat("#", cells) + strings.Repeat(".", barCells-cells) + "] " + line
		}
	}
	if columns == 0 {
		return line
	}
	return displaywidth.TruncateString(line, columns, "…")
}

// clear removes the line.
func (l *progressLine) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
		l.shown = false
	}
}
