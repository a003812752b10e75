package requirement

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
)

// Level is the severity of a notice.
type Level string

// The levels of a notice.
const (
	LevelInfo    Level = "info"
	LevelWarning Level = "warning"
	LevelError   Level = "error"
)

// Notice is a remark about the evidence for the reader of a report: logs were
// replayed, a volume is dirty, data is damaged.
type Notice struct {
	Level   Level
	Message string
	Source  string // role of the volume, or the name of a document; may be ""
	Path    string // file on the volume; may be ""
}

// Attr is a named field of an Event.
type Attr struct {
	Key, Value string
}

// Event is one step of a scan: a file opened, a value read, a rule applied.
type Event struct {
	Time  time.Time
	Name  string
	Attrs []Attr
}

// Trail collects the events and notices of a scan in the order of time. The
// zero value is ready to use, a nil *Trail discards everything, and all methods
// may be called from several goroutines.
type Trail struct {
	Now func() time.Time // the clock of events; nil for time.Now
	Log slog.Handler     // receives each event and each notice when it occurs; nil for none

	mu      sync.Mutex
	events  []Event
	size    int // of events, in bytes
	notices []Notice
	dropped int
	unsaid  int // notices beyond the bound
}

// maxEvents and maxEventBytes bound the memory of a scan of a crafted image: an
// ordinary one makes a few thousand events of about 200 bytes.
const (
	maxEvents     = 100_000
	maxEventBytes = 8 << 20
	maxAttr       = 4 << 10 // of one field, in bytes
)

// maxNotices is far above what a reader would read; damage is counted, not
// listed, where it comes in masses. maxNotice bounds the texts of one notice, in
// bytes of JSON.
const (
	maxNotices = 1_000
	maxNotice  = 1 << 10
)

// Record adds an event. keyvals alternates names and values.
func (t *Trail) Record(name string, keyvals ...string) {
	if t == nil {
		return
	}
	e := Event{Time: t.now(), Name: name}
	const eventCost, attrCost = 64, 32 // in memory, without the text
	size := eventCost + len(keyvals)/2*attrCost
	for i := 0; i+1 < len(keyvals); i += 2 {
		value, _ := prose.Shorten(keyvals[i+1], maxAttr)
		size += prose.JSONSize(value)
		e.Attrs = append(e.Attrs, Attr{keyvals[i], value})
	}
	t.log(slog.LevelDebug, e.Name, e.Time, e.Attrs...)
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events) >= maxEvents || size > maxEventBytes-t.size {
		t.dropped++
		return
	}
	t.size += size
	t.events = append(t.events, e)
}

func (t *Trail) now() time.Time {
	if t.Now == nil {
		return time.Now()
	}
	return t.Now()
}

// Notify adds a notice unless the trail already has the same one.
func (t *Trail) Notify(n Notice) {
	if t == nil {
		return
	}
	n.Message, _ = prose.Shorten(prose.Sentence(oneLine(n.Message)), maxNotice)
	n.Path, _ = prose.Shorten(n.Path, maxNotice)
	if t.isNew(n) {
		t.log(slogLevels[n.Level], n.Message, t.now(), Attr{"source", n.Source}, Attr{"path", n.Path})
	}
}

// isNew keeps a notice, unless it is kept already. It returns true for one beyond
// the bound.
func (t *Trail) isNew(n Notice) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, old := range t.notices {
		if old == n {
			return false
		}
	}
	if len(t.notices) >= maxNotices {
		t.unsaid++
		return true
	}
	t.notices = append(t.notices, n)
	return true
}

var slogLevels = map[Level]slog.Level{
	LevelInfo: slog.LevelInfo, LevelWarning: slog.LevelWarn, LevelError: slog.LevelError,
}

// log passes a record on, without the attributes that are empty. What the handler
// returns is its own matter: a scan does not fail because its log does.
func (t *Trail) log(level slog.Level, message string, at time.Time, attrs ...Attr) {
	ctx := context.Background()
	if t.Log == nil || !t.Log.Enabled(ctx, level) {
		return
	}
	r := slog.NewRecord(at, level, message, 0)
	for _, a := range attrs {
		if a.Value != "" {
			r.AddAttrs(slog.String(a.Key, a.Value))
		}
	}
	_ = t.Log.Handle(ctx, r)
}

// Events returns the events so far and the number of events that were dropped
// because of the limit.
func (t *Trail) Events() (events []Event, dropped int) {
	if t == nil {
		return nil, 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.events[:len(t.events):len(t.events)], t.dropped
}

// Notices returns the notices so far. If there are more than the limit, the
// last one says how many were left out.
func (t *Trail) Notices() []Notice {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.notices[:len(t.notices):len(t.notices)]
	if t.unsaid > 0 {
		list = append(list, Notice{Level: LevelWarning, Message: fmt.Sprintf("%d more notices are left out", t.unsaid)})
	}
	return list
}
