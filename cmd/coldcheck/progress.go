package main

import (
	"fmt"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/clipperhouse/displaywidth"
	"golang.org/x/term"

	"github.com/coldcheck/coldcheck/report"
)

// progressLine is one line on a terminal that says what is being done and is
// gone when there is something to read. Where there is no terminal it is
// silent. Its methods may be called from several goroutines.
type progressLine struct {
	mu    sync.Mutex
	w     *os.File // nil: silent
	shown bool
	last  time.Time
}

// progressInterval keeps a terminal readable, and its cost away from the scan.
const progressInterval = 100 * time.Millisecond

// start makes the line appear on w if that is a terminal.
func (l *progressLine) start(w *os.File) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if term.IsTerminal(int(w.Fd())) && os.Getenv("TERM") != "dumb" {
		l.w = w
	}
}

// show says what is being done; total may be 0 if it is not known.
func (l *progressLine) show(step string, done, total int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.w == nil || time.Since(l.last) < progressInterval {
		return
	}
	l.last = time.Now()
	columns, _, err := term.GetSize(int(l.w.Fd()))
	if err != nil || columns < 2 {
		columns = 80
	}
	fmt.Fprintf(l.w, "\r\x1b[K%s", progressText(step, done, total, columns-1))
	l.shown = true
}

// barCells is the length of the bar; a terminal needs three times as much to
// show one.
const barCells = 20

// progressText is a bar, how much is done, and what is being done, in columns
// columns. Where the total is not known there is no bar.
func progressText(step string, done, total int64, columns int) string {
	line := report.Neutral(step)
	if total > 0 {
		share := min(max(float64(done)/float64(total), 0), 1)
		line = fmt.Sprintf("%3.0f%%  %s", math.Floor(share*100), line)
		if columns >= 3*barCells {
			cells := int(share * barCells)
			line = "[" + strings.Repeat("#", cells) + strings.Repeat(".", barCells-cells) + "] " + line
		}
	}
	return displaywidth.TruncateString(line, columns, "…")
}

// clear takes the line away.
func (l *progressLine) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.shown {
		fmt.Fprint(l.w, "\r\x1b[K")
		l.shown = false
	}
}
