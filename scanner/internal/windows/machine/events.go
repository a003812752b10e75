package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/evtx"
	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Names of event logs, which are those of their files without the suffix.
const (
	LogSystem    = "System"
	LogSetup     = "Setup"
	LogEC2Launch = "Amazon EC2Launch"
)

const (
	maxEventLog  = 1 << 30 // size of a log in bytes; Windows gives System 20 MiB
	maxEvents    = 200_000 // records that one reading looks at
	maxEventText = 4 << 10 // bytes that are kept of a datum
	eventChunk   = 64 << 10
)

// An EventLog is an event log that was looked for. Its records are read anew by each reading.
type EventLog struct {
	File File
	log  *evtx.Log
}

// An Event is a record of an event log.
type Event struct {
	Provider string
	ID       uint16
	Time     time.Time // UTC
	Number   uint64
	Computer string
	UserID   string // SID of who caused it; "" if the record has none
	Data     []EventDatum
	Evidence requirement.Evidence
}

// An EventDatum is a piece of what an event says. Insertion strings have no name.
type EventDatum struct{ Name, Text string }

// Text returns the first datum with a name; "" if there is none.
func (e Event) Text(name string) string {
	for _, d := range e.Data {
		if strings.EqualFold(d.Name, name) {
			return d.Text
		}
	}
	return ""
}

// Is reports whether the event is one of those with the numbers of a provider.
func (e Event) Is(provider string, ids ...uint16) bool {
	if !strings.EqualFold(e.Provider, provider) {
		return false
	}
	for _, id := range ids {
		if e.ID == id {
			return true
		}
	}
	return false
}

// EventLog looks for an event log of Windows. One that does not exist is no error: see File.Exists.
func (m *Machine) EventLog(name string) (*EventLog, error) {
	m.logsMu.Lock()
	f := m.logs[name]
	if f == nil {
		if m.logs == nil {
			m.logs = map[string]*logFact{}
		}
		f = &logFact{}
		m.logs[name] = f
	}
	m.logsMu.Unlock()
	return f.Get(func() (*EventLog, error) { return m.Next().openEventLog(name) })
}

func (m *Machine) openEventLog(name string) (*EventLog, error) {
	path := `C:\` + m.SystemRoot + `\System32\winevt\Logs\` + name + `.evtx`
	v, at, err := m.Locate(path)
	if err != nil {
		return &EventLog{File: m.UnreadFile(path)}, err
	}
	f, err := v.File(at)
	if err != nil {
		return &EventLog{File: m.UnreadFile(path)}, err
	}
	l := &EventLog{File: f}
	if !f.Exists {
		return l, nil
	}
	if f.Dir {
		return l, v.Problem(at, fmt.Errorf("%w: a folder instead of a file", kind.Corrupt))
	}
	if f.Size > maxEventLog {
		return l, f.TooLarge(maxEventLog)
	}
	if err := m.Meter.Steps(int(f.Size / eventChunk)); err != nil {
		return l, v.Problem(at, err)
	}
	r, size, err := v.Open(at)
	if err != nil {
		return l, err
	}
	if l, err = NewEventLog(f, r, size); err != nil {
		err = v.Problem(at, err)
	}
	return l, err
}

// NewEventLog opens a log of size bytes that was found as a file.
func NewEventLog(f File, r io.ReaderAt, size int64) (*EventLog, error) {
	f.Evidence.Content = true
	l := &EventLog{File: f}
	// Not the context of the requirement that asks first: others need the log too.
	var err error
	l.log, err = evtx.Open(context.Background(), r, size, evtx.Options{})
	return l, err
}

// errManyEvents says that a log has more records than are looked at.
var errManyEvents = errors.New("more records than are read")

// Records returns the records of a log from the newest to the oldest, or from the oldest to the newest. An error that
// is an *evtx.Damage says what could not be read, and the iteration goes on. Any other error ends it.
func (m *Machine) Records(l *EventLog, backward bool) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if l == nil || l.log == nil {
			return
		}
		records := l.log.Records()
		if backward {
			records = l.log.Backward()
		}
		problem := func(err error) error {
			return fmt.Errorf("%s volume: %s: %w", l.File.Evidence.Source, l.File.Evidence.Path, err)
		}
		n, chunk := 0, int64(-1)
		for r, err := range records {
			var d *evtx.Damage
			switch {
			case errors.As(err, &d):
				if !yield(Event{}, problem(err)) {
					return
				}
				continue
			case err != nil:
				yield(Event{}, problem(err))
				return
			}
			if n++; n > maxEvents {
				yield(Event{}, problem(fmt.Errorf("%w: at most %d", errManyEvents, maxEvents)))
				return
			}
			if at := r.Offset / eventChunk; at != chunk {
				chunk = at
				if err := m.Meter.Bytes(eventChunk); err != nil {
					yield(Event{}, problem(err))
					return
				}
			}
			if err := m.Meter.Steps(1); err != nil {
				yield(Event{}, problem(err))
				return
			}
			if !yield(l.event(r), nil) {
				return
			}
		}
	}
}

// event keeps of a record what is needed, so that the chunk that it is in can be forgotten.
func (l *EventLog) event(r *evtx.Record) Event {
	e := Event{Provider: strings.Clone(r.Provider.Name), ID: r.EventID, Time: r.Time, Number: r.Number,
		Computer: strings.Clone(r.Computer), UserID: strings.Clone(r.UserID)}
	for _, f := range r.Data {
		text, _ := prose.Shorten(f.Value.String(), maxEventText)
		e.Data = append(e.Data, EventDatum{strings.Clone(f.Name), strings.Clone(text)})
	}
	ev := l.File.Evidence
	offset := r.Offset
	ev.Offset, ev.Note = &offset, fmt.Sprintf("record %d", r.Number)
	if !r.Verified {
		ev.Note += ", which no checksum confirms"
	}
	e.Evidence = ev
	return e
}

// Shown returns the event as evidence, with its time and what it says.
func (e Event) Shown(says string) requirement.Evidence {
	ev := e.Evidence
	ev.Note += ", " + e.Time.UTC().Format("2006-01-02 15:04:05Z")
	ev.Data = fmt.Sprintf("%s, %s %d", e.Time.UTC().Format(time.RFC3339), e.Provider, e.ID)
	if says != "" {
		ev.Data += ": " + says
	}
	return ev
}
