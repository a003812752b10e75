package requirement

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestTrail(t *testing.T) {
	var trail Trail
	trail.Record("file", "path", "a", "odd")
	events, dropped := trail.Events()
	if len(events) != 1 || dropped != 0 || len(events[0].Attrs) != 1 || events[0].Attrs[0] != (Attr{"path", "a"}) ||
		events[0].Time.IsZero() {
		t.Errorf("%+v, %d", events, dropped)
	}
	n := Notice{Level: LevelInfo, Message: "once"}
	trail.Notify(n)
	trail.Notify(n)
	if got := trail.Notices(); len(got) != 1 {
		t.Errorf("%v", got)
	}
	var none *Trail
	none.Record("x")
	none.Notify(n)
	if events, dropped := none.Events(); events != nil || dropped != 0 || none.Notices() != nil {
		t.Error("a trail that is not there keeps something")
	}
}

// TestTrailBounds records below, at and above the bounds.
func TestTrailBounds(t *testing.T) {
	var trail Trail
	for range maxEvents {
		trail.Record("x")
	}
	if events, dropped := trail.Events(); len(events) != maxEvents || dropped != 0 {
		t.Errorf("%d events, %d dropped", len(events), dropped)
	}
	trail.Record("x")
	if events, dropped := trail.Events(); len(events) != maxEvents || dropped != 1 {
		t.Errorf("%d events, %d dropped", len(events), dropped)
	}
	for i := range maxNotices + 1 {
		trail.Notify(Notice{Message: fmt.Sprint(i)})
	}
	got := trail.Notices()
	if len(got) != maxNotices+1 || got[maxNotices].Message != "1 more notices are left out" {
		t.Errorf("%d notices, the last %q", len(got), got[len(got)-1].Message)
	}
}

// TestTrailBytes records just what there is room for, and a byte more. A long
// field is shortened, and counts as what it becomes in a report.
func TestTrailBytes(t *testing.T) {
	var trail Trail
	const event = 64 + 32 + 1000
	fill := strings.Repeat("v", 1000)
	for range maxEventBytes/event - 1 {
		trail.Record("x", "k", fill)
	}
	room := event + maxEventBytes%event
	trail.Record("x", "k", strings.Repeat("v", room-64-32+1))
	if events, dropped := trail.Events(); len(events) != maxEventBytes/event-1 || dropped != 1 {
		t.Errorf("%d events, %d dropped", len(events), dropped)
	}
	trail.Record("x", "k", strings.Repeat("v", room-64-32))
	trail.Record("x")
	if events, dropped := trail.Events(); len(events) != maxEventBytes/event || dropped != 2 {
		t.Errorf("%d events, %d dropped", len(events), dropped)
	}
	var long Trail
	long.Record("x", "k", strings.Repeat("\x01", maxAttr))
	events, _ := long.Events()
	if v := events[0].Attrs[0].Value; !strings.HasSuffix(v, "more bytes)") || long.size > event+6*maxAttr {
		t.Errorf("%d bytes of a field, %d of all", len(v), long.size)
	}
	long.Notify(Notice{Message: strings.Repeat("m", maxNotice+1), Path: strings.Repeat("p", maxNotice+1)})
	if n := long.Notices()[0]; len(n.Message) > maxNotice+40 || len(n.Path) > maxNotice+40 {
		t.Errorf("a notice of %d and %d bytes", len(n.Message), len(n.Path))
	}
}

func TestTrailConcurrent(t *testing.T) {
	var trail Trail
	var done sync.WaitGroup
	for i := range 8 {
		done.Go(func() {
			for range 100 {
				trail.Record("x")
				trail.Notify(Notice{Message: fmt.Sprint(i)})
				trail.Events()
				trail.Notices()
			}
		})
	}
	done.Wait()
	if events, _ := trail.Events(); len(events) != 800 || len(trail.Notices()) != 8 {
		t.Errorf("%d events, %d notices", len(events), len(trail.Notices()))
	}
}

// A handler gets each event and each notice when it comes, at its level, also
// those beyond the bounds; a notice that is repeated comes once.
func TestLog(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for level, want := range map[slog.Level]string{
		slog.LevelDebug: `time=2026-03-01T12:00:00.000Z level=DEBUG msg=open source=root path=Windows
time=2026-03-01T12:00:00.000Z level=WARN msg="A record is torn." source=root
time=2026-03-01T12:00:00.000Z level=ERROR msg="A hive is missing." path=Windows/SYSTEM
time=2026-03-01T12:00:00.000Z level=INFO msg=Replayed.
`,
		slog.LevelWarn: `time=2026-03-01T12:00:00.000Z level=WARN msg="A record is torn." source=root
time=2026-03-01T12:00:00.000Z level=ERROR msg="A hive is missing." path=Windows/SYSTEM
`,
	} {
		var b strings.Builder
		trail := Trail{Now: func() time.Time { return at }, Log: slog.NewTextHandler(&b, &slog.HandlerOptions{Level: level})}
		trail.Record("open", "source", "root", "path", "Windows", "type", "")
		for range 2 {
			trail.Notify(Notice{Level: LevelWarning, Message: "a record is torn", Source: "root"})
		}
		trail.Notify(Notice{Level: LevelError, Message: "a hive is missing", Path: "Windows/SYSTEM"})
		trail.Notify(Notice{Level: LevelInfo, Message: "replayed"})
		if b.String() != want {
			t.Errorf("%s:\n%s, want:\n%s", level, b.String(), want)
		}
	}
	n := 0
	trail := Trail{Log: counter{&n}}
	for i := range maxNotices + 7 {
		trail.Notify(Notice{Level: LevelInfo, Message: strconv.Itoa(i)})
	}
	if n != maxNotices+7 {
		t.Errorf("%d notices", n)
	}
}

// counter counts records, and fails.
type counter struct{ n *int }

func (c counter) Enabled(context.Context, slog.Level) bool { return true }
func (c counter) WithAttrs([]slog.Attr) slog.Handler       { return c }
func (c counter) WithGroup(string) slog.Handler            { return c }
func (c counter) Handle(context.Context, slog.Record) error {
	*c.n++
	return errors.New("full")
}
