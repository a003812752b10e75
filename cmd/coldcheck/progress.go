package main

import (
	"fmt"
	"os"
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
	line := report.Neutral(step)
	if total > 0 {
		line = fmt.Sprintf("%3d%%  %s", min(done*100/total, 100), line)
	}
	columns, _, err := term.GetSize(int(l.w.Fd()))
	if err != nil || columns < 2 {
		columns = 80
	}
	fmt.Fprintf(l.w, "\r\x1b[K%s", displaywidth.TruncateString(line, columns-1, "…"))
	l.shown = true
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
