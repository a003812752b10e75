package evtx

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"slices"
	"sort"
	"strings"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"

	"github.com/coldcheck/coldcheck/internal/opening"
)

// MaxSize is the size of the largest file that is read, in bytes: 8 GiB. Windows writes up to 4 GiB.
const MaxSize = fileHeaderSize + maxChunks*chunkSize

const (
	maxChunks      = 1 << 17
	fileHeaderSize = 4096
	fileSignature  = "ElfFile\x00"
	oldSignature   = "LfLe" // at offset 4 of logs up to Windows Server 2003
	peekSize       = chunkHeaderSize + recordHeader

	flagDirty       = 1
	flagFull        = 2
	flagNoChecksums = 4
)

// Options say how a log is read.
type Options struct {
	// ANSI is the code page of texts that are not in Unicode; nil is Windows-1252.
	ANSI encoding.Encoding
}

// A Header is what the file header says. Windows writes it when it closes the log, so the numbers of a dirty log may be
// out of date.
type Header struct {
	Minor       int    // of the version, 3.1 or 3.2
	FirstChunk  uint64 // position of the chunk with the oldest record
	LastChunk   uint64 // position of the chunk with the newest record
	NextRecord  uint64 // the number that the next record will have
	Chunks      int    // in use
	Dirty       bool   // the log was not closed
	Full        bool   // the log has its largest size
	NoChecksums bool   // Windows wrote none
	// Valid: the header is complete and matches its checksum, if it has one. Otherwise all other fields are zero.
	Valid bool
}

// A Log is an event log. It is safe for concurrent use if its reader is.
type Log struct {
	r      io.ReaderAt
	size   int64
	ansi   func([]byte) string
	header Header
	damage []*Damage // of the file
	chunks []place   // in use, by the numbers of their records
}

// A place is that of a chunk in the file. first is the number of its first record.
type place struct {
	chunk int
	first uint64
}

// Open opens an event log of size bytes. It reads the file header and the beginning of each chunk. The context bounds
// this and no later read.
//
// A file that is no event log is ErrUnsupported, a file of more than MaxSize bytes is ErrLimit. A file without one
// chunk to read, whose header is damaged, is ErrCorrupt. All other damage is reported in the iteration over the
// records.
func Open(ctx context.Context, r io.ReaderAt, size int64, o Options) (*Log, error) {
	if size > MaxSize {
		return nil, fmt.Errorf("%w: a file of %d bytes; at most %d are read", ErrLimit, size, int64(MaxSize))
	}
	reader := opening.NewReader(ctx, r)
	l := &Log{r: reader, size: size}
	code := o.ANSI
	if code == nil {
		code = charmap.Windows1252
	}
	l.ansi = func(b []byte) string {
		text, err := code.NewDecoder().Bytes(b)
		if err != nil {
			return string([]rune(string(b))) // invalid bytes become U+FFFD
		}
		return string(text)
	}
	headerErr, err := l.readHeader()
	if err != nil {
		return nil, err
	}
	if err := l.index(); err != nil {
		return nil, err
	}
	if headerErr != nil {
		if len(l.chunks) == 0 {
			return nil, headerErr
		}
		l.damage = slices.Insert(l.damage, 0, &Damage{Err: headerErr})
	}
	return l, reader.Done()
}

// Header returns what the file header says.
func (l *Log) Header() Header { return l.header }

// readHeader decodes the file header (libevtx, "Windows XML Event Log (EVTX) format", File header). headerErr says that
// it is damaged, err that the file cannot be read.
func (l *Log) readHeader() (headerErr, err error) {
	b := make([]byte, min(fileHeaderSize, max(l.size, 0)))
	if err := l.read(b, 0); err != nil {
		return nil, err
	}
	if len(b) >= 8 && string(b[4:8]) == oldSignature {
		return nil, unsupported("a log in the format of Windows Server 2003 and earlier (.evt)")
	}
	if !strings.HasPrefix(fileSignature, string(b[:min(len(b), 8)])) && !l.hasChunk() {
		return nil, unsupported("not an event log")
	}
	if len(b) < fileHeaderSize {
		return nil, corrupt("the file has %d bytes, less than its header", l.size)
	}
	h := Header{
		FirstChunk: le.Uint64(b[8:]), LastChunk: le.Uint64(b[16:]), NextRecord: le.Uint64(b[24:]),
		Minor: int(le.Uint16(b[36:])), Chunks: int(le.Uint16(b[42:])), Valid: true,
	}
	flags := le.Uint32(b[120:])
	h.Dirty, h.Full, h.NoChecksums = flags&flagDirty != 0, flags&flagFull != 0, flags&flagNoChecksums != 0
	major, block := le.Uint16(b[38:]), le.Uint16(b[40:])
	switch {
	case string(b[:8]) != fileSignature:
		return corrupt("the file header has no signature"), nil
	case !h.NoChecksums && crc32.ChecksumIEEE(b[:120]) != le.Uint32(b[124:]):
		return corrupt("the file header does not match its checksum"), nil
	case major != 3:
		return nil, unsupported("a log of version %d.%d", major, h.Minor)
	case block != fileHeaderSize:
		return nil, unsupported("a file header of %d bytes", block)
	}
	l.header = h
	return nil, nil
}

// hasChunk reports whether the first chunk is where it is in a log.
func (l *Log) hasChunk() bool {
	b := make([]byte, len(chunkSignature))
	return l.size >= fileHeaderSize+peekSize && l.read(b, fileHeaderSize) == nil && string(b) == chunkSignature
}

// index finds the chunks that are in use. Windows overwrites the oldest chunk of a full log, so their order in the file
// is not that of their records. Chunks whose beginning is destroyed stay after the chunk before them.
func (l *Log) index() error {
	total := int((l.size - fileHeaderSize + chunkSize - 1) / chunkSize)
	if l.header.Chunks > total {
		l.damage = append(l.damage, &Damage{Offset: l.size, Err: corrupt(
			"the file is truncated: it has room for %d of %d chunks", total, l.header.Chunks)})
	}
	var before uint64
	empty := -1 // the first of the empty chunks before this one
	b := make([]byte, peekSize)
	for n := range total {
		at := chunkOffset(n)
		b := b[:min(peekSize, l.size-at)]
		if err := l.read(b, at); err != nil {
			return err
		}
		if zeros(b) {
			if empty < 0 {
				empty = n
			}
			continue
		}
		l.lost(empty, n)
		empty = -1
		p := place{n, before}
		if h, err := parseChunkHeader(b); err == nil && h.first != 0 {
			p.first = h.first
		} else if len(b) == peekSize && le.Uint32(b[chunkHeaderSize:]) == recordSignature {
			p.first = le.Uint64(b[chunkHeaderSize+8:])
		}
		before = p.first
		l.chunks = append(l.chunks, p)
	}
	l.lost(empty, min(l.header.Chunks, total))
	slices.SortStableFunc(l.chunks, func(a, b place) int { return cmp.Compare(a.first, b.first) })
	return nil
}

// lost reports the empty chunks from one to before another, if there are any.
func (l *Log) lost(from, to int) {
	if from >= 0 && from < to {
		l.damage = append(l.damage, &Damage{Offset: chunkOffset(from), Err: corrupt(
			"%d chunks are empty although the log uses them", to-from)})
	}
}

func chunkOffset(n int) int64 { return fileHeaderSize + int64(n)*chunkSize }

// read fills b. Less than that is an error: the size of the file is known.
func (l *Log) read(b []byte, at int64) error {
	n, err := l.r.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("at offset %d: %w", at+int64(n), err)
}

// Records returns the records from the oldest to the newest. An error that is a *Damage says what could not be read,
// and the iteration goes on. Any other error, of the underlying reader, ends it.
//
// The records of a chunk are decoded together. A record keeps its chunk in memory, 64 KiB.
func (l *Log) Records() iter.Seq2[*Record, error] { return l.records(0, false) }

// From returns the records with a number and all newer ones, from the oldest to the newest. Otherwise it is as Records.
// It does not read older chunks.
func (l *Log) From(number uint64) iter.Seq2[*Record, error] { return l.records(number, false) }

// Backward returns the records from the newest to the oldest. Otherwise it is as Records. It reads no more chunks than
// the records need that are taken.
func (l *Log) Backward() iter.Seq2[*Record, error] { return l.records(0, true) }

func (l *Log) records(from uint64, backward bool) iter.Seq2[*Record, error] {
	// The chunk before the first with a higher number may have the record.
	start := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].first > from })
	chunks := l.chunks[max(start-1, 0):]
	return func(yield func(*Record, error) bool) {
		for _, d := range l.damage {
			if !yield(nil, d) {
				return
			}
		}
		var beyond *Damage
		var edge uint64 // the last number of the segment before, or the first one of the segment after; 0 at the beginning
		for i := range chunks {
			if backward {
				i = len(chunks) - 1 - i
			}
			p, limit := chunks[i], ^uint64(0)
			if i+1 < len(chunks) && chunks[i+1].first > p.first {
				limit = chunks[i+1].first
			}
			data := make([]byte, min(chunkSize, l.size-chunkOffset(p.chunk)))
			if err := l.read(data, chunkOffset(p.chunk)); err != nil {
				yield(nil, err)
				return
			}
			s := readChunk(data, chunkOffset(p.chunk), limit, l.ansi)
			if backward {
				if edge == 0 && !l.newest(s.last, s.beyond, yield) {
					return
				}
				if s.last != 0 && edge != 0 && s.last+1 < edge && !yield(nil, missing(chunkOffset(p.chunk), s.last+1, edge-1)) {
					return
				}
				slices.Reverse(s.items)
			} else if s.first != 0 && edge != 0 && s.first > edge+1 &&
				!yield(nil, missing(chunkOffset(p.chunk), edge+1, s.first-1)) {
				return
			}
			for _, it := range s.items {
				if r := it.record; r != nil && edge != 0 && (backward && r.Number >= edge || !backward && r.Number <= edge) {
					it = item{damage: &Damage{r.Offset, r.Number, r.Number, corrupt("another record has the same number")}}
				}
				if it.record != nil && it.record.Number < from {
					continue
				}
				var err error
				if it.damage != nil {
					err = it.damage
					it.record = nil
				}
				if !yield(it.record, err) {
					return
				}
			}
			switch {
			case backward && s.first != 0:
				edge = s.first
			case !backward && s.last != 0:
				edge = max(edge, s.last)
			}
			beyond = s.beyond
		}
		if !backward {
			l.newest(edge, beyond, yield)
		}
	}
}

// newest compares the number of the newest record with the file header, and with that of records after the end of its
// chunk.
func (l *Log) newest(last uint64, beyond *Damage, yield func(*Record, error) bool) bool {
	next := l.header.NextRecord
	if beyond != nil && beyond.First == last+1 {
		if !yield(nil, beyond) {
			return false
		}
		last = beyond.Last
	}
	switch {
	case !l.header.Valid || next == 0:
	case next > last+1 && last != 0:
		return yield(nil, missing(l.size, last+1, next-1))
	case next <= last && !l.header.Dirty:
		return yield(nil, &Damage{Err: corrupt(
			"the file header says that the next record is %d, but the log has record %d", next, last)})
	}
	return true
}

func missing(at int64, first, last uint64) *Damage {
	return &Damage{at, first, last, corrupt("the records are missing")}
}
