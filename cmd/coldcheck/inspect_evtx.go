package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/evtx"
	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

func (p *program) inspectEvtxCommand() *cobra.Command {
	var l eventLister
	var format, since, until string
	var number int
	var parents []string
	c := &cobra.Command{
		Use:   "evtx IMAGE|FILE [LOG]",
		Short: "Read the records of an event log",
		Long: `Read the records of a Windows event log, from the oldest to the newest. LOG is a log of
the Windows system on an image: its name, the name of its channel, or a path. Without LOG,
list the logs of the system. FILE is an event log (.evtx) that was copied from a system.
Times are in UTC.`,
		Example: `coldcheck inspect evtx root.img
coldcheck inspect evtx root.img System --event-id 6005,6006,6008 --last 5
coldcheck inspect evtx root.img Microsoft-Windows-WindowsUpdateClient/Operational
coldcheck inspect evtx -o jsonl System.evtx --since 2026-11-01`,
		Args: arguments(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format, inspectFormats...); err != nil {
				return err
			}
			var err error
			if l.since, err = flagTime("since", since); err != nil {
				return err
			}
			if l.until, err = flagTime("until", until); err != nil {
				return err
			}
			for _, id := range l.ids {
				if id > math.MaxUint16 {
					return usage("give numbers up to 65535", "--event-id %d is not the number of an event", id)
				}
			}
			if l.last < 0 {
				return usage("give a number from 1 on", "--last %d is not a number of records", l.last)
			}
			l.p, l.json, l.damage.p = p, format == "jsonl", p
			isLog, err := isEventLog(args[0])
			switch {
			case err != nil:
				return err
			case isLog && len(args) > 1:
				return usage("leave LOG out", "%s is an event log, not an image", args[0])
			case isLog && (number != 0 || parents != nil):
				return usage("leave them out", "--volume and --parent are for images; %s is an event log", args[0])
			case isLog:
				f, err := openOSFile(args[0])
				if err != nil {
					return err
				}
				return l.file(c.Context(), f, args[0])
			}
			image, err := p.openImage(c.Context(), args[0], parents)
			if err != nil {
				return err
			}
			defer image.Close()
			if len(args) > 1 {
				fsys, name, err := p.openEventLog(c.Context(), image, number, args[1])
				if err != nil {
					return err
				}
				f, err := openFile(fsys, name)
				if err != nil {
					return err
				}
				return l.file(c.Context(), f, name)
			}
			if l.filtered() {
				return usage("name a log", "--event-id, --provider, --since, --until and --last are for the records of a log")
			}
			fsys, folder, err := p.openEventLogs(c.Context(), image, number)
			if err != nil {
				return err
			}
			return l.logs(c.Context(), fsys, folder)
		},
	}
	c.Flags().UintSliceVar(&l.ids, "event-id", nil, "show only events with these numbers `N,…`")
	c.Flags().StringVar(&l.provider, "provider", "", "show only events of provider `NAME`; upper and lower case are equal")
	c.Flags().StringVar(&since, "since", "", "show only events from `TIME` on, such as 2026-11-30 or 2026-11-30T08:00:00Z")
	c.Flags().StringVar(&until, "until", "", "show only events before `TIME`")
	c.Flags().IntVar(&l.last, "last", 0, "show only the newest `N` of these events")
	formatFlag(c, &format, false, inspectFormats...)
	volumeFlag(c, &number)
	parentFlag(c, &parents)
	return c
}

// flagTime reads a time in UTC. The zero Time stands for none.
func flagTime(flag, value string) (time.Time, error) {
	if value == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05Z", "2006-01-02"} {
		if t, err := time.Parse(layout, value); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usage("write it as 2026-11-30 or 2026-11-30T08:00:00Z", "--%s %q is not a time", flag, value)
}

// isEventLog reports whether a name is that of a file that begins as an event log does, of the old format too.
func isEventLog(name string) (bool, error) {
	if source.IsRemote(name) {
		return false, nil
	}
	if info, err := os.Stat(name); err != nil || !info.Mode().IsRegular() {
		return false, nil // opening it as an image says why
	}
	f, err := openOSFile(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	start := make([]byte, 8)
	n, _ := f.ReadAt(start, 0) // a file that cannot be read is opened as an image, which says why
	return n == len(start) && (string(start) == "ElfFile\x00" || string(start[4:]) == "LfLe"), nil
}

// logFolder is where the logs are, in the folder of Windows.
const logFolder = "System32/winevt/Logs"

// openEventLogs returns the folder with the logs of the Windows system on an image.
func (p *program) openEventLogs(ctx context.Context, image *inspected, number int) (volume.FS, string, error) {
	v, fsys, err := p.openVolume(ctx, image, number)
	if err != nil {
		return nil, "", err
	}
	root, err := scanner.FindWindows(fsys)
	if err == nil && root == "" {
		err = notThatKind("to read a log elsewhere, give its path", "%s, volume %d: no Windows system on this volume",
			image.Name, v.Number)
	}
	return fsys, path.Join(root, logFolder), err
}

// openEventLog returns the file of a log: a path, or a name in the folder of the logs. The name of a channel has
// slashes, for which Windows writes %4 in the name of the file.
func (p *program) openEventLog(
	ctx context.Context, image *inspected, number int, log string,
) (volume.FS, string, error) {
	if drive, _ := cutDrive(log); drive != "" || strings.HasPrefix(log, "/") || strings.Contains(log, `\`) {
		return p.openPath(ctx, image, number, log)
	}
	fsys, folder, err := p.openEventLogs(ctx, image, number)
	if err != nil {
		return nil, "", err
	}
	name := strings.ReplaceAll(log, "/", "%4")
	if !isLogName(name) {
		name += logSuffix
	}
	file := path.Join(folder, name)
	if _, err := fsys.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, "", problem{err, fs.ErrNotExist, "list the logs: leave LOG out"}
	}
	return fsys, file, nil
}

const logSuffix = ".evtx"

func isLogName(name string) bool {
	_, ok := fold.CutPrefix(name[max(len(name)-len(logSuffix), 0):], logSuffix)
	return ok
}

// eventLister lists records and logs.
type eventLister struct {
	ids          []uint
	provider     string
	since, until time.Time
	last         int

	p      *program
	json   bool
	out    lines
	damage damageLog
	listed int
}

func (l *eventLister) filtered() bool {
	return l.ids != nil || l.provider != "" || !l.since.IsZero() || !l.until.IsZero() || l.last > 0
}

func (l *eventLister) wants(r *evtx.Record) bool {
	return (l.ids == nil || slices.Contains(l.ids, uint(r.EventID))) &&
		(l.provider == "" || strings.EqualFold(r.Provider.Name, l.provider) ||
			strings.EqualFold(r.Provider.Source, l.provider)) &&
		(l.since.IsZero() || !r.Time.Before(l.since)) && (l.until.IsZero() || r.Time.Before(l.until))
}

// open opens a log.
func (l *eventLister) open(ctx context.Context, f sized, name string) (*evtx.Log, error) {
	log, err := evtx.Open(ctx, f, f.size, evtx.Options{})
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
		if errors.Is(err, evtx.ErrUnsupported) {
			return nil, notThatKind("", "%w", err)
		}
		return nil, err
	}
	return log, nil
}

// file lists the records of a log and closes it.
func (l *eventLister) file(ctx context.Context, f sized, name string) error {
	defer f.Close()
	log, err := l.open(ctx, f, name)
	if err != nil {
		return err
	}
	l.out = l.p.newLines()
	if log.Header().Dirty {
		l.p.notice("%s was not closed: the newest records may be missing", name)
	}
	err = l.out.flush(l.records(l.selected(log), name))
	l.damage.end()
	return err
}

// selected returns the wanted records from the oldest to the newest, and the damage. With a bound of their number, the
// first of them is looked for from the newest back.
func (l *eventLister) selected(log *evtx.Log) iter.Seq2[*evtx.Record, error] {
	records := log.Records()
	if l.last > 0 {
		found := 0
		for r, err := range log.Backward() {
			var d *evtx.Damage
			if err != nil && !errors.As(err, &d) {
				return func(yield func(*evtx.Record, error) bool) { yield(nil, err) }
			}
			if err != nil || !l.wants(r) {
				continue // the iteration forward meets the damage again
			}
			if found++; found == l.last {
				records = log.From(r.Number)
				break
			}
		}
	}
	return func(yield func(*evtx.Record, error) bool) {
		for r, err := range records {
			if (err != nil || l.wants(r)) && !yield(r, err) {
				return
			}
		}
	}
}

// records writes records. Damage is a notice; an error of the image ends the listing.
func (l *eventLister) records(records iter.Seq2[*evtx.Record, error], name string) error {
	unverified := 0
	for r, err := range records {
		var d *evtx.Damage
		switch {
		case errors.As(err, &d):
			l.damage.add("%s: %v", name, d)
			continue
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		}
		if !r.Verified {
			unverified++
		}
		l.listed++
		l.p.listing(l.listed)
		if err := l.record(r); err != nil {
			return err
		}
	}
	if unverified > 0 {
		l.damage.add("%s: no checksum confirms %d of %d records", name, unverified, l.listed)
	}
	return nil
}

type recordJSON struct {
	Number     uint64       `json:"number"`
	RecordID   uint64       `json:"record_id"`
	Time       *string      `json:"time"`
	Written    *string      `json:"written"`
	Provider   string       `json:"provider"`
	Source     string       `json:"source,omitempty"`
	GUID       string       `json:"provider_guid,omitempty"`
	EventID    uint16       `json:"event_id"`
	Qualifiers uint16       `json:"qualifiers,omitempty"`
	Version    uint8        `json:"version"`
	Level      evtx.Level   `json:"level"`
	Task       uint16       `json:"task"`
	Opcode     uint8        `json:"opcode"`
	Keywords   string       `json:"keywords"`
	Channel    string       `json:"channel"`
	Computer   string       `json:"computer"`
	UserID     string       `json:"user_id,omitempty"`
	ProcessID  uint32       `json:"process_id,omitempty"`
	ThreadID   uint32       `json:"thread_id,omitempty"`
	ActivityID string       `json:"activity_id,omitempty"`
	Data       []eventDatum `json:"data"`
	Verified   bool         `json:"verified"`
	Offset     int64        `json:"offset"` // in the file of the log
}

type eventDatum struct {
	Name  string `json:"name"`
	Type  string `json:"type"`
	Value string `json:"value"`
}

// record writes a record on a line.
func (l *eventLister) record(r *evtx.Record) error {
	if l.json {
		j := recordJSON{
			Number: r.Number, RecordID: r.RecordID, Time: jsonTime(r.Time), Written: jsonTime(r.Written),
			Provider: r.Provider.Name, Source: r.Provider.Source, GUID: r.Provider.GUID,
			EventID: r.EventID, Qualifiers: r.Qualifiers, Version: r.Version, Level: r.Level, Task: r.Task, Opcode: r.Opcode,
			Keywords: fmt.Sprintf("0x%x", r.Keywords), Channel: r.Channel, Computer: r.Computer, UserID: r.UserID,
			ProcessID: r.ProcessID, ThreadID: r.ThreadID, ActivityID: r.ActivityID,
			Data: []eventDatum{}, Verified: r.Verified, Offset: r.Offset,
		}
		for _, f := range r.Data {
			j.Data = append(j.Data, eventDatum{f.Name, f.Value.Type().String(), f.Value.String()})
		}
		return l.out.object(j)
	}
	fmt.Fprintf(l.out, "%-20s  %8d  %-11s  %s  %d", textTime(r.Time), r.Number, levelText(r.Level),
		report.Neutral(r.Provider.Name), r.EventID)
	for i, f := range r.Data {
		separator := "  "
		if i > 0 {
			separator = " | "
		}
		text := separator
		if f.Name != "" {
			text += f.Name + "="
		}
		l.out.WriteString(report.Neutral(text + shortValue(f.Value.String())))
	}
	_, err := fmt.Fprintln(l.out)
	return err
}

// maxValueChars is how much of a value a line of text shows.
const maxValueChars = 200

func shortValue(text string) string {
	n := 0
	for i := range text {
		if n++; n > maxValueChars {
			return text[:i] + "…"
		}
	}
	return text
}

func levelText(level evtx.Level) string {
	switch level {
	case evtx.Critical:
		return "critical"
	case evtx.Error:
		return "error"
	case evtx.Warning:
		return "warning"
	case evtx.LogAlways, evtx.Information:
		return "information"
	case evtx.Verbose:
		return "verbose"
	}
	return "level " + strconv.Itoa(int(level))
}

type logJSON struct {
	Log     string  `json:"log"`
	File    string  `json:"file"`
	Size    int64   `json:"size"`
	Records int     `json:"records"`
	First   *string `json:"first"`
	Last    *string `json:"last"`
	Dirty   bool    `json:"dirty"`
	Full    bool    `json:"full"`
	Damage  int     `json:"damage"`          // damaged places
	Error   string  `json:"error,omitempty"` // why the log cannot be read
}

// logs lists the logs in a folder.
func (l *eventLister) logs(ctx context.Context, fsys volume.FS, folder string) error {
	entries, err := fsys.ReadDir(folder)
	if err != nil && len(entries) == 0 {
		return err
	}
	if err != nil {
		l.damage.add("%v", err)
	}
	l.out = l.p.newLines()
	if !l.json {
		fmt.Fprintf(l.out, "%8s  %-20s  %-20s  %-11s  %s\n", "RECORDS", "FIRST", "LAST", "STATE", "LOG")
	}
	for _, e := range entries {
		if !isLogName(e.Name()) || e.IsDir() {
			continue
		}
		if err := l.log(ctx, fsys, path.Join(folder, e.Name())); err != nil {
			return l.out.flush(err)
		}
	}
	err = l.out.flush(nil)
	l.damage.end()
	return err
}

// log writes a line for a log.
func (l *eventLister) log(ctx context.Context, fsys volume.FS, file string) error {
	name := path.Base(file)
	j := logJSON{Log: strings.ReplaceAll(name[:len(name)-len(logSuffix)], "%4", "/"), File: file}
	first, last, err := l.summarize(ctx, fsys, &j)
	if err != nil {
		j.Error = err.Error()
		l.damage.add("%v", err)
	}
	l.listed++
	l.p.listing(l.listed)
	if l.json {
		j.First, j.Last = jsonTime(first), jsonTime(last)
		return l.out.object(j)
	}
	_, err = fmt.Fprintf(l.out, "%8d  %-20s  %-20s  %-11s  %s\n", j.Records, textTime(first), textTime(last), j.state(),
		report.Neutral(j.Log))
	return err
}

// summarize reads a log, and returns the times of its oldest and its newest record.
func (l *eventLister) summarize(ctx context.Context, fsys volume.FS, j *logJSON) (first, last time.Time, err error) {
	f, err := openFile(fsys, j.File)
	if err != nil {
		return first, last, err
	}
	defer f.Close()
	j.Size = f.size
	log, err := l.open(ctx, f, j.File)
	if err != nil {
		return first, last, err
	}
	h := log.Header()
	j.Dirty, j.Full = h.Dirty, h.Full
	for r, err := range log.Records() {
		var d *evtx.Damage
		switch {
		case errors.As(err, &d):
			j.Damage++
			l.damage.add("%s: %v", j.File, d)
			continue
		case err != nil:
			return first, last, fmt.Errorf("%s: %w", j.File, err)
		case ctx.Err() != nil:
			return first, last, context.Cause(ctx)
		}
		if j.Records++; first.IsZero() {
			first = r.Time
		}
		last = r.Time
	}
	return first, last, nil
}

// state is the worst that is known of a log.
func (j *logJSON) state() string {
	switch {
	case j.Error != "":
		return "unreadable"
	case j.Damage > 0:
		return "damaged"
	case j.Dirty:
		return "not closed"
	case j.Full:
		return "full"
	}
	return "closed"
}
