package evtx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/evtxtest"
	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/opening/openingtest"
	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// events returns a chunk with records from one number to another.
func events(from, to uint64) evtxtest.Chunk {
	var c evtxtest.Chunk
	for n := from; n <= to; n++ {
		c = append(c, evtxtest.Event{Number: n, Provider: "Service Control Manager", ID: 7036, Level: 4, Channel: "System",
			Data: []evtxtest.Datum{{Name: "param1", Text: fmt.Sprint("Service ", n)}, {Name: "param2", Text: "running"}},
		}.Record())
	}
	return c
}

// three is a log with the records 1 to 30 in three chunks.
func three() evtxtest.Log {
	return evtxtest.Log{Chunks: []evtxtest.Chunk{events(1, 10), events(11, 20), events(21, 30)}}
}

// outcome lists what an iteration gives: ranges of records, with "?" if they are not verified, and damage.
func outcome(t testing.TB, data []byte, backward bool) []string {
	t.Helper()
	l, err := openBytes(data)
	if err != nil {
		return []string{err.Error()}
	}
	records := l.Records()
	if backward {
		records = l.Backward()
	}
	var list []string
	var first, last uint64
	mark := ""
	flush := func() {
		if first != 0 {
			list = append(list, fmt.Sprintf("%d-%d%s", first, last, mark))
		}
		first = 0
	}
	for r, err := range records {
		if err != nil {
			flush()
			list = append(list, err.Error())
			continue
		}
		m := ""
		if !r.Verified {
			m = "?"
		}
		step := uint64(1)
		if backward {
			step = ^uint64(0)
		}
		if first == 0 || r.Number != last+step || m != mark {
			flush()
			first, mark = r.Number, m
		}
		last = r.Number
	}
	flush()
	return list
}

func TestOpenContext(t *testing.T) {
	raw := evtxtest.Build(three())
	openingtest.Context(t, raw, func(ctx context.Context, r io.ReaderAt) (func() error, error) {
		l, err := Open(ctx, r, int64(len(raw)), Options{})
		return func() error {
			for _, err := range l.Records() {
				if err != nil {
					return err
				}
			}
			return nil
		}, err
	})
}

func TestRecord(t *testing.T) {
	t.Parallel()
	written := time.Date(2024, 5, 6, 7, 8, 9, 123_456_700, time.UTC)
	sid := []byte{1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0}
	data := evtxtest.Build(evtxtest.Log{Chunks: []evtxtest.Chunk{evtxtest.Events(
		evtxtest.Event{Number: 7, Time: filetime.Of(written), Provider: "Microsoft-Windows-Kernel-General", ID: 12, Level: 4,
			Channel: "System", UserID: sid, Data: []evtxtest.Datum{{Name: "MajorVersion", Text: "10"}, {Name: "", Text: "ä日😀"}}},
		evtxtest.Event{Number: 8, Provider: "Setup", ID: 65535, Level: 2, Channel: "Setup", Computer: "WKS-1",
			User: "CbsPackageInitiateChanges", Data: []evtxtest.Datum{{Name: "PackageIdentifier", Text: "KB1"}}},
	)}})
	records, damage := readLog(t, data)
	if len(records) != 2 || damage != nil {
		t.Fatal(records, damage)
	}
	r := records[0]
	event := r.Event
	r.Event = nil
	want := &Record{Offset: 4096 + 512, Number: 7, RecordID: 7, Written: written, Time: written, Verified: true,
		Provider: Provider{Name: "Microsoft-Windows-Kernel-General"}, Channel: "System", Computer: "PC", EventID: 12,
		Level: Information, Keywords: 0x80000000000000, ProcessID: 4, UserID: "S-1-5-18",
		Data: []Field{{"MajorVersion", textValue("10")}, {"", textValue("ä日😀")}}}
	texts := gocmp.Comparer(func(a, b Value) bool { return a.String() == b.String() && a.Type() == b.Type() })
	if d := gocmp.Diff(want, r, texts); d != "" {
		t.Error(d)
	}
	xml := `<Event xmlns="http://schemas.microsoft.com/win/2004/08/events/event"><System>` +
		`<Provider Name="Microsoft-Windows-Kernel-General"/><EventID>12</EventID><Level>4</Level>` +
		`<Keywords>0x80000000000000</Keywords><TimeCreated SystemTime="2024-05-06T07:08:09.123456700Z"/>` +
		`<EventRecordID>7</EventRecordID><Correlation/><Execution ProcessID="4"/><Channel>System</Channel>` +
		`<Computer>PC</Computer><Security UserID="S-1-5-18"/></System>` +
		`<EventData><Data Name="MajorVersion">10</Data><Data>ä日😀</Data></EventData></Event>`
	if event.String() != xml {
		t.Error(event)
	}
	if v, ok := r.Field("MajorVersion"); !ok || v.String() != "10" {
		t.Error(v, ok)
	}
	if v, ok := r.Field("Major"); ok || v.Type() != Null {
		t.Error(v, ok)
	}
	r = records[1]
	if r.EventID != 65535 || r.Channel != "Setup" || r.Computer != "WKS-1" || r.Level != Error || r.UserID != "" ||
		len(r.Data) != 1 || r.Data[0].Name != "PackageIdentifier" || r.Data[0].Value.String() != "KB1" {
		t.Errorf("%+v", r)
	}
}

// Records come in the order of their numbers wherever their chunks are, and backward in the reverse order.
func TestOrder(t *testing.T) {
	t.Parallel()
	for oldest := range 3 {
		l := three()
		l.Oldest, l.Unused = oldest, 2
		data := evtxtest.Build(l)
		if d := gocmp.Diff([]string{"1-30"}, outcome(t, data, false)); d != "" {
			t.Error(oldest, d)
		}
		if d := gocmp.Diff([]string{"30-1"}, outcome(t, data, true)); d != "" {
			t.Error(oldest, d)
		}
	}
}

// An iteration that is left reads no more chunks.
func TestBackwardReads(t *testing.T) {
	t.Parallel()
	data := evtxtest.Build(three())
	reads := 0
	l, err := Open(t.Context(), readerFunc(func(p []byte, off int64) (int, error) {
		if len(p) == chunkSize {
			reads++
		}
		return bytes.NewReader(data).ReadAt(p, off)
	}), int64(len(data)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range l.Backward() {
		if err != nil {
			t.Fatal(err)
		}
		if r.Number == 20 {
			break
		}
	}
	if reads != 2 {
		t.Errorf("%d chunks read", reads)
	}
}

type readerFunc func(p []byte, off int64) (int, error)

func (f readerFunc) ReadAt(p []byte, off int64) (int, error) { return f(p, off) }

// From begins with the record that is asked for, or the next one, and reads no chunk before it.
func TestFrom(t *testing.T) {
	t.Parallel()
	l := three()
	l.Oldest = 2
	log, err := openBytes(evtxtest.Build(l))
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[uint64]uint64{0: 1, 1: 1, 2: 2, 10: 10, 11: 11, 15: 15, 30: 30, 31: 0} {
		first, next := uint64(0), max(from, 1)
		for r, err := range log.From(from) {
			if err != nil || r.Number != next {
				t.Fatal(from, r, err)
			}
			if first == 0 {
				first = r.Number
			}
			next++
		}
		if first != want || next != max(31, from) {
			t.Errorf("from %d: %d to before %d", from, first, next)
		}
	}
}

// An error of the reader ends opening and the iteration, wherever it occurs.
func TestReadError(t *testing.T) {
	t.Parallel()
	data := evtxtest.Build(three())
	bad := errors.New("bad sector")
	for failing := 0; ; failing++ {
		n := 0
		l, err := Open(t.Context(), readerFunc(func(p []byte, off int64) (int, error) {
			if n++; n > failing {
				return 0, bad
			}
			return bytes.NewReader(data).ReadAt(p, off)
		}), int64(len(data)), Options{})
		if err != nil {
			if !errors.Is(err, bad) {
				t.Fatal(err)
			}
			continue
		}
		var last error
		for _, err := range l.Records() {
			if last != nil {
				t.Fatal("the iteration goes on")
			}
			last = err
		}
		if last == nil {
			if failing != 1+3+3 {
				t.Errorf("%d reads", failing)
			}
			return
		}
		var d *Damage
		if !errors.Is(last, bad) || errors.As(last, &d) {
			t.Fatal(last)
		}
	}
}

// A file that is shorter than its size is an input/output error, not the end of the log.
func TestShortFile(t *testing.T) {
	t.Parallel()
	data := evtxtest.Build(three())
	for _, n := range []int{0, 100, 4096, 5000, 70000, len(data) - 1} {
		l, err := Open(t.Context(), bytes.NewReader(data[:n]), int64(len(data)), Options{})
		if err == nil {
			for _, e := range l.Records() {
				err = e
			}
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	t.Parallel()
	change := func(at int, b ...byte) func(d []byte) []byte {
		return func(d []byte) []byte { copy(d[at:], b); evtxtest.FixHeader(d); return d }
	}
	empty := evtxtest.Build(evtxtest.Log{})
	for _, tt := range []struct {
		name   string
		change func(d []byte) []byte
		kind   error
		want   string
	}{
		{"empty file", func(d []byte) []byte { return nil }, ErrCorrupt, "the file has 0 bytes, less than its header"},
		{"short header", func(d []byte) []byte { return d[:4095] }, ErrCorrupt, "4095 bytes"},
		{"other file", func(d []byte) []byte { return make([]byte, 1<<20) }, ErrUnsupported, "not an event log"},
		{"short other file", func(d []byte) []byte { return []byte("MZ345678") }, ErrUnsupported, "not an event log"},
		{"four bytes", func(d []byte) []byte { return []byte("text") }, ErrUnsupported, "not an event log"},
		{"four bytes of a log", func(d []byte) []byte { return d[:4] }, ErrCorrupt, "4 bytes, less than its header"},
		{"old format", func(d []byte) []byte { return []byte("0\x00\x00\x00LfLe") }, ErrUnsupported, "(.evt)"},
		{"version 2", change(38, 2), ErrUnsupported, "version 2.2"},
		{"version 4", change(38, 4), ErrUnsupported, "version 4.2"},
		{"header of 8 KiB", change(40, 0, 32), ErrUnsupported, "8192 bytes"},
		{"checksum and no chunk", func([]byte) []byte {
			d := bytes.Clone(empty)
			d[24]++
			return d
		}, ErrCorrupt, "does not match its checksum"},
	} {
		data := tt.change(evtxtest.Build(three()))
		_, err := openBytes(data)
		if !errors.Is(err, tt.kind) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if l, err := openBytes(empty); err != nil || l.Header().NextRecord != 1 {
		t.Error(l, err)
	}
	if got := outcome(t, empty, false); got != nil {
		t.Error(got)
	}
}

// zeroReader is a file of zeros with a file header.
type zeroReader struct{ header []byte }

func (r zeroReader) ReadAt(p []byte, off int64) (int, error) {
	clear(p)
	if off < int64(len(r.header)) {
		copy(p, r.header[off:])
	}
	return len(p), nil
}

func TestMaxSize(t *testing.T) {
	t.Parallel()
	r := zeroReader{evtxtest.Build(evtxtest.Log{})}
	for size, want := range map[int64]error{MaxSize - 1: nil, MaxSize: nil, MaxSize + 1: ErrLimit} {
		l, err := Open(t.Context(), r, size, Options{})
		if !errors.Is(err, want) {
			t.Errorf("%d bytes: %v", size, err)
		}
		if want == nil && len(l.chunks) != 0 {
			t.Error("zeros are chunks")
		}
	}
	if !errors.Is(ErrLimit, kind.Limit) {
		t.Error("ErrLimit is of another kind")
	}
}

func TestHeader(t *testing.T) {
	t.Parallel()
	l := three()
	l.Oldest, l.Flags, l.Minor = 1, evtxtest.Dirty|evtxtest.Full, 1
	log, err := openBytes(evtxtest.Build(l))
	if err != nil {
		t.Fatal(err)
	}
	want := Header{Minor: 1, FirstChunk: 1, LastChunk: 0, NextRecord: 31, Chunks: 3, Dirty: true, Full: true, Valid: true}
	if got := log.Header(); got != want {
		t.Errorf("%+v", got)
	}
	l.Flags = evtxtest.NoChecksums
	if log, err = openBytes(evtxtest.Build(l)); err != nil {
		t.Fatal(err)
	}
	if h := log.Header(); !h.NoChecksums || h.Dirty || h.Full || !h.Valid {
		t.Errorf("%+v", h)
	}
}

// place returns where a record begins in the file.
func recordAt(t testing.TB, data []byte, number uint64) int {
	t.Helper()
	records, _ := readLog(t, data)
	i := slices.IndexFunc(records, func(r *Record) bool { return r.Number == number })
	if i < 0 {
		t.Fatalf("no record %d", number)
	}
	return int(records[i].Offset)
}

const (
	chunk0 = evtxtest.HeaderSize
	chunk1 = chunk0 + evtxtest.ChunkSize
	chunk2 = chunk1 + evtxtest.ChunkSize
)

// Damage costs the records that it destroys, and no others; each loss is named.
func TestDamage(t *testing.T) {
	t.Parallel()
	const (
		header  = "corrupt event log: the file header does not match its checksum"
		chunk   = "corrupt event log: the chunk's header does not match its checksum"
		sums    = "corrupt event log: the chunk's records do not match their checksum"
		missing = "corrupt event log: the records are missing"
	)
	for _, tt := range []struct {
		name   string
		change func(d []byte) []byte
		want   []string // with offsets left out
		order  []string // of the records backward
	}{
		{"header", func(d []byte) []byte { d[24]++; return d }, []string{header, "1-30"}, []string{"30-1"}},
		{"header without a signature", func(d []byte) []byte { clear(d[:4096]); return d },
			[]string{"corrupt event log: the file header has no signature", "1-30"}, []string{"30-1"}},
		{"header counts more", func(d []byte) []byte { le.PutUint64(d[24:], 35); evtxtest.FixHeader(d); return d },
			[]string{"1-30", "records 31 to 34: " + missing}, []string{"30-1"}},
		{"header counts less", func(d []byte) []byte { le.PutUint64(d[24:], 25); evtxtest.FixHeader(d); return d },
			[]string{"1-30", "corrupt event log: the file header says that the next record is 25, but the log has record 30"},
			[]string{"30-1"}},
		{"dirty header counts less", func(d []byte) []byte {
			le.PutUint64(d[24:], 5)
			le.PutUint16(d[42:], 1)
			d[120] = evtxtest.Dirty
			evtxtest.FixHeader(d)
			return d
		}, []string{"1-30"}, []string{"30-1"}},
		{"truncated between chunks", func(d []byte) []byte { return d[:chunk2] },
			[]string{"corrupt event log: the file is truncated: it has room for 2 of 3 chunks", "1-20",
				"records 21 to 30: " + missing}, []string{"20-1"}},
		{"truncated in a chunk", func(d []byte) []byte { return d[:recordAt(t, d, 25)+100] },
			[]string{"1-20", "corrupt event log: the chunk is truncated", "21-24?", "records 25 to 30: " + missing},
			[]string{"24-21?", "20-1"}},
		{"truncated in a chunk header", func(d []byte) []byte { return d[:chunk2+100] },
			[]string{"1-20", "corrupt event log: the chunk is truncated", "records 21 to 30: " + missing}, []string{"20-1"}},
		{"chunk header", func(d []byte) []byte { d[chunk1+32]++; return d },
			[]string{"1-10", chunk, "11-20?", "21-30"}, []string{"30-21", "20-11?", "10-1"}},
		{"chunk header zeroed", func(d []byte) []byte { clear(d[chunk1 : chunk1+512]); return d },
			[]string{"1-10", "corrupt event log: the chunk has no header", "11-20?", "21-30"},
			[]string{"30-21", "20-11?", "10-1"}},
		{"chunk zeroed", func(d []byte) []byte { clear(d[chunk1:chunk2]); return d },
			[]string{"corrupt event log: 1 chunks are empty although the log uses them", "1-10",
				"records 11 to 20: " + missing, "21-30"}, []string{"30-21", "10-1"}},
		{"last chunk zeroed", func(d []byte) []byte { clear(d[chunk2:]); return d },
			[]string{"corrupt event log: 1 chunks are empty although the log uses them", "1-20",
				"records 21 to 30: " + missing}, []string{"20-1"}},
		{"text", func(d []byte) []byte {
			at := recordAt(t, d, 15)
			d[at+bytes.Index(d[at:], utf16le.Encode("running"))]++
			return d
		},
			[]string{"1-10", sums, "11-20?", "21-30"}, []string{"30-21", "20-11?", "10-1"}},
		{"size at the beginning", func(d []byte) []byte { d[recordAt(t, d, 15)+5] = 0xF0; return d },
			[]string{"1-10", sums, "11-14?", "corrupt event log: the record has 61640 bytes", "record 15: " + missing, "16-20?",
				"21-30"}, []string{"30-21", "20-16?", "14-11?", "10-1"}},
		{"size at the end", func(d []byte) []byte { d[recordAt(t, d, 16)-4]++; return d },
			[]string{"1-10", sums, "11-14?", "corrupt event log: the record has 200 bytes at its beginning and 201 at its end",
				"record 15: " + missing, "16-20?", "21-30"}, []string{"30-21", "20-16?", "14-11?", "10-1"}},
		{"sector in the middle", func(d []byte) []byte { at := recordAt(t, d, 14); clear(d[at : at+384]); return d },
			[]string{"1-10", sums, "11-13?", "corrupt event log: there is no record", "records 14 to 15: " + missing, "16-20?",
				"21-30"}, []string{"30-21", "20-16?", "13-11?", "10-1"}},
		{"last records", func(d []byte) []byte { clear(d[recordAt(t, d, 19):chunk2]); return d },
			[]string{"1-10", sums, "11-18?", "corrupt event log: there is no record", "records 19 to 20: " + missing, "21-30"},
			[]string{"30-21", "18-11?", "10-1"}},
		{"number", func(d []byte) []byte { d[recordAt(t, d, 15)+8] = 3; return d },
			[]string{"1-10", sums, "11-14?", "corrupt event log: the record has the number 3 and follows 14",
				"record 15: " + missing, "16-20?", "21-30"}, []string{"30-21", "20-16?", "14-11?", "10-1"}},
		{"number too high", func(d []byte) []byte { d[recordAt(t, d, 15)+14] = 3; return d },
			[]string{"1-10", sums, "11-14?", "corrupt event log: the record has the number 844424930131983 and follows 14",
				"record 15: " + missing, "16-20?", "21-30"}, []string{"30-21", "20-16?", "14-11?", "10-1"}},
		{"number of another record", func(d []byte) []byte { d[recordAt(t, d, 15)+8] = 18; return d },
			[]string{"1-10", sums, "11-14?", "corrupt event log: the record has the number 18 between 14 and 16",
				"record 15: " + missing, "16-20?", "21-30"}, []string{"30-21", "20-16?", "14-11?", "10-1"}},
		{"first number", func(d []byte) []byte { d[recordAt(t, d, 11)+8] = 99; return d },
			[]string{"1-10", "record 11: " + missing, sums,
				"corrupt event log: the record has the number 99 and follows 10", "12-20?", "21-30"},
			[]string{"30-21", "20-12?", "10-1"}},
		{"number without a chunk header", func(d []byte) []byte { d[chunk1+32]++; d[recordAt(t, d, 15)+14] = 3; return d },
			[]string{"1-10", chunk, "11-14?", "records 15 to 20: " + missing, "21-30"}, []string{"30-21", "14-11?", "10-1"}},
		{"header and record", func(d []byte) []byte { d[chunk1+32]++; d[recordAt(t, d, 15)+5] = 0xF0; return d },
			[]string{"1-10", chunk, "11-14?", "records 15 to 20: " + missing, "21-30"},
			[]string{"30-21", "14-11?", "10-1"}},
		{"same chunk twice", func(d []byte) []byte { copy(d[chunk2:], d[chunk1:chunk2]); return d },
			append(append([]string{"1-20"}, repeated(11, 20)...), "records 21 to 30: "+missing), nil},
		{"free space to the end", func(d []byte) []byte {
			le.PutUint32(d[chunk1+48:], evtxtest.ChunkSize)
			evtxtest.FixChunk(d, 1)
			return d
		}, []string{"1-30"}, []string{"30-1"}},
		{"no end of the records", func(d []byte) []byte {
			le.PutUint32(d[chunk1+48:], 511)
			evtxtest.FixChunk(d, 1)
			return d
		}, []string{"1-10", "corrupt event log: the chunk's header contradicts itself", "11-20?", "21-30"},
			[]string{"30-21", "20-11?", "10-1"}},
		{"records after the end", func(d []byte) []byte {
			le.PutUint32(d[chunk1+48:], uint32(recordAt(t, d, 19)-chunk1))
			le.PutUint64(d[chunk1+32:], 18)
			evtxtest.FixChunk(d, 1)
			return d
		}, []string{"1-18", "records 19 to 20: " + missing, "21-30"}, []string{"30-21", "18-1"}},
		{"other numbers in the headers", func(d []byte) []byte {
			for i, at := range []int{chunk0, chunk1, chunk2} {
				le.PutUint64(d[at+24:], 501+10*uint64(i))
				le.PutUint64(d[at+32:], 510+10*uint64(i))
				evtxtest.FixChunk(d, i)
			}
			return d
		}, []string{"corrupt event log: the chunk's header counts records 501 to 510, but the first is 1", "1-10",
			"corrupt event log: the chunk's header counts records 511 to 520, but the first is 11", "11-20",
			"corrupt event log: the chunk's header counts records 521 to 530, but the first is 21", "21-30"},
			[]string{"30-21", "20-11", "10-1"}},
		{"newest records after the end", func(d []byte) []byte {
			le.PutUint32(d[chunk2+48:], uint32(recordAt(t, d, 29)-chunk2))
			le.PutUint64(d[chunk2+32:], 28)
			evtxtest.FixChunk(d, 2)
			le.PutUint64(d[24:], 12)
			d[120] = evtxtest.Dirty
			evtxtest.FixHeader(d)
			return d
		}, []string{"1-28", "records 29 to 30: corrupt event log: the records follow the end of the chunk that its header " +
			"states, and are not read"}, []string{"28-1"}},
		{"older record after the end", func(d []byte) []byte {
			at := recordAt(t, d, 29)
			le.PutUint32(d[chunk2+48:], uint32(at-chunk2))
			le.PutUint64(d[chunk2+32:], 28)
			evtxtest.FixChunk(d, 2)
			clear(d[at+16 : at+24])
			le.PutUint64(d[24:], 29)
			evtxtest.FixHeader(d)
			return d
		}, []string{"1-28"}, []string{"28-1"}},
		{"record without XML", func(d []byte) []byte {
			d[recordAt(t, d, 15)+24] = 0x55
			evtxtest.FixChunk(d, 1)
			return d
		}, []string{"1-14", "record 15: corrupt event log: token 0x15 at 2448 in place of an element", "16-30"},
			[]string{"30-16", "14-1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			data := tt.change(evtxtest.Build(three()))
			var got []string
			for _, line := range outcome(t, data, false) {
				got = append(got, withoutOffset(line))
			}
			if d := gocmp.Diff(tt.want, got); d != "" {
				t.Error(d)
			}
			var order, damage []string
			for _, line := range outcome(t, data, true) {
				if line[0] >= '0' && line[0] <= '9' {
					order = append(order, line)
				} else {
					damage = append(damage, withoutOffset(line))
				}
			}
			if d := gocmp.Diff(tt.order, order); d != "" && tt.order != nil {
				t.Error("backward:", d)
			}
			var same []string
			for _, line := range tt.want {
				if line[0] < '0' || line[0] > '9' {
					same = append(same, line)
				}
			}
			slices.Sort(same)
			slices.Sort(damage)
			if d := gocmp.Diff(same, damage); d != "" {
				t.Error("backward:", d)
			}
		})
	}
}

// repeated is the damage of records whose numbers are taken.
func repeated(from, to int) (list []string) {
	for n := from; n <= to; n++ {
		list = append(list, fmt.Sprintf("record %d: corrupt event log: another record has the same number", n))
	}
	return list
}

// withoutOffset leaves out where damage is.
func withoutOffset(line string) string {
	before, rest, ok := strings.Cut(line, "at offset ")
	if !ok {
		return line
	}
	_, after, _ := strings.Cut(rest, ": ")
	before = strings.TrimSuffix(before, ", ")
	if before != "" {
		before += ": "
	}
	return before + after
}

// A log without checksums is read; nothing in it is verified.
func TestNoChecksums(t *testing.T) {
	t.Parallel()
	l := three()
	l.Flags = evtxtest.NoChecksums
	if d := gocmp.Diff([]string{"1-30?"}, outcome(t, evtxtest.Build(l), false)); d != "" {
		t.Error(d)
	}
}

// An unused chunk with a header holds nothing, and nothing is missing.
func TestEmptyChunk(t *testing.T) {
	t.Parallel()
	l := three()
	l.Chunks = append(l.Chunks, evtxtest.Chunk{})
	if d := gocmp.Diff([]string{"1-30"}, outcome(t, evtxtest.Build(l), false)); d != "" {
		t.Error(d)
	}
}
