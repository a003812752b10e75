package evtx

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/coldcheck/coldcheck/internal/filetime"
)

const (
	chunkSize       = 64 << 10
	chunkHeaderSize = 512
	chunkSignature  = "ElfChnk\x00"
	recordSignature = 0x00002A2A
	recordHeader    = 24               // signature, size, number, time
	minRecord       = recordHeader + 4 // the size again
)

// A chunkHeader says what a chunk holds (libevtx, "Windows XML Event Log (EVTX) format", Chunk header).
type chunkHeader struct {
	first, last uint64 // numbers of the records; both are 0 if there is none
	free        int    // where the records end
	checksum    uint32 // of the records
	noChecksums bool
}

// parseChunkHeader decodes the first bytes of a chunk. A header without a checksum is taken if it is plausible.
func parseChunkHeader(b []byte) (chunkHeader, error) {
	if len(b) < chunkHeaderSize {
		return chunkHeader{}, corrupt("the chunk is truncated")
	}
	if string(b[:8]) != chunkSignature {
		return chunkHeader{}, corrupt("the chunk has no header")
	}
	h := chunkHeader{
		first: le.Uint64(b[24:]), last: le.Uint64(b[32:]),
		free: int(le.Uint32(b[48:])), checksum: le.Uint32(b[52:]),
		noChecksums: le.Uint32(b[120:])&flagNoChecksums != 0,
	}
	if !h.noChecksums && crc32.Update(crc32.ChecksumIEEE(b[:120]), crc32.IEEETable, b[128:512]) != le.Uint32(b[124:]) {
		return chunkHeader{}, corrupt("the chunk's header does not match its checksum")
	}
	if h.last == ^uint64(0) { // no record yet
		h.first, h.last = 0, 0
	}
	if h.free < chunkHeaderSize || h.free > chunkSize || h.last < h.first || h.last-h.first >= chunkSize/minRecord {
		return chunkHeader{}, corrupt("the chunk's header contradicts itself")
	}
	return h, nil
}

// An item of a chunk is a record or damage.
type item struct {
	record *Record
	damage *Damage
}

// A segment is what a chunk holds, in the order of the record numbers. first and last are the numbers that it begins
// and ends with, of the records or by the header; both are 0 if it has none.
type segment struct {
	items       []item
	first, last uint64
	// beyond are the records after the end that the chunk's header states; nil if none continue the row.
	beyond *Damage
}

// A chunkReader decodes one chunk.
type chunkReader struct {
	segment
	data   []byte // as much as the file has
	offset int64  // in the file
	end    int    // of the records
	header chunkHeader
	lowest uint64 // a record's number is above
	limit  uint64 // and below
	// lastWritten is the FILETIME of the last record.
	lastWritten uint64
	// headed: the header can be relied on. full: the file has all of the chunk's records.
	headed, full bool
	xml          binXMLReader
}

// readChunk returns what the chunk in data holds, which begins at an offset in the file. The numbers of its records are
// below a limit; its header says more.
func readChunk(data []byte, offset int64, limit uint64, ansi func([]byte) string) segment {
	c := chunkReader{data: data, offset: offset, end: len(data), full: true, limit: limit}
	header, err := parseChunkHeader(data)
	c.header, c.headed = header, err == nil
	if c.headed {
		c.lowest, c.limit = max(header.first, 1)-1, header.last+1
	}
	verified := c.headed && !header.noChecksums
	switch {
	case err != nil:
		c.damaged(0, err)
	case header.free > len(data):
		c.damaged(len(data), corrupt("the chunk is truncated"))
		verified, c.full = false, false
	default:
		c.end = header.free
		if verified && crc32.ChecksumIEEE(data[chunkHeaderSize:c.end]) != header.checksum {
			c.damaged(chunkHeaderSize, corrupt("the chunk's records do not match their checksum"))
			verified = false
		}
	}
	if verified && c.end-chunkHeaderSize >= minRecord && header.last != 0 {
		// What the checksums confirm was written so: by a program that numbers the records of a file in another way.
		if n := c.number(chunkHeaderSize); n < header.first || n > header.last {
			c.damaged(0, corrupt("the chunk's header counts records %d to %d, but the first is %d", header.first,
				header.last, n))
			header.last, c.lowest, c.limit = 0, 0, ^uint64(0)
		}
	}
	c.xml = binXMLReader{chunk: data[:c.end], ansi: ansi, names: map[uint32]string{},
		definitions: map[uint32]definition{}, left: maxChunkSteps}
	c.walk(verified)
	if c.headed && header.last != 0 {
		if c.last == 0 {
			c.first = header.first
		}
		if c.last < header.last {
			c.missing(c.end, max(c.last+1, header.first), header.last)
			c.last = header.last
		}
		c.lookBeyond()
	}
	return c.segment
}

func (c *chunkReader) damaged(at int, err error) {
	c.items = append(c.items, item{damage: &Damage{Offset: c.offset + int64(at), Err: err}})
}

func (c *chunkReader) missing(at int, first, last uint64) {
	c.items = append(c.items, item{damage: missing(c.offset+int64(at), first, last)})
}

// walk reads the records one after the other. After a damaged one it looks for the next that is complete and has a
// number that the header counts. Without a header it ends there, since what follows may be of an earlier use of the
// chunk.
func (c *chunkReader) walk(verified bool) {
	for at := chunkHeaderSize; at < c.end; {
		size, err := c.recordSize(at)
		if err == nil && !verified {
			err = c.outOfOrder(at, size)
		}
		if err == nil {
			if c.last != 0 && c.number(at) > c.last+1 {
				c.missing(at, c.last+1, c.number(at)-1)
			}
			if c.last == 0 {
				c.first = c.number(at)
			}
			c.last, c.lastWritten = c.number(at), le.Uint64(c.data[at+16:])
			c.record(at, size, verified)
			at += size
			continue
		}
		if !c.headed || !c.full || (verified || c.last == c.header.last) && zeros(c.data[at:c.end]) {
			return
		}
		c.damaged(at, err)
		verified = false
		if at = c.next(at + 1); at < 0 {
			return
		}
	}
}

func (c *chunkReader) number(at int) uint64 { return le.Uint64(c.data[at+8:]) }

// recordSize returns the size of the record at an offset in the chunk, or why there is none: it has a signature, its
// size at both ends, and a number above that of the record before it.
func (c *chunkReader) recordSize(at int) (int, error) {
	if c.end-at < minRecord {
		return 0, corrupt("the record is truncated")
	}
	if le.Uint32(c.data[at:]) != recordSignature {
		return 0, corrupt("there is no record")
	}
	size := int64(le.Uint32(c.data[at+4:]))
	if size < minRecord || size > int64(c.end-at) {
		return 0, corrupt("the record has %d bytes", size)
	}
	if other := int64(le.Uint32(c.data[at+int(size)-4:])); other != size {
		return 0, corrupt("the record has %d bytes at its beginning and %d at its end", size, other)
	}
	if n := c.number(at); n <= c.last || n <= c.lowest || n >= c.limit {
		return 0, corrupt("the record has the number %d and follows %d", n, max(c.last, c.lowest))
	}
	return int(size), nil
}

// outOfOrder returns an error if the number of a record that no checksum confirms is wrong by that of the next one.
func (c *chunkReader) outOfOrder(at, size int) error {
	after := at + size
	if c.last == 0 || c.number(at) == c.last+1 || c.end-after < minRecord ||
		le.Uint32(c.data[after:]) != recordSignature || c.number(after) != c.last+2 {
		return nil
	}
	return corrupt("the record has the number %d between %d and %d", c.number(at), c.last, c.last+2)
}

// next returns where the next record begins that the header counts; -1 if there is none.
func (c *chunkReader) next(at int) int {
	signature := le.AppendUint32(nil, recordSignature)
	for at < c.end {
		i := bytes.Index(c.data[at:c.end], signature)
		if i < 0 {
			break
		}
		at += i
		if _, err := c.recordSize(at); err == nil {
			return at
		}
		at++
	}
	return -1
}

// record decodes the record at an offset in the chunk.
func (c *chunkReader) record(at, size int, verified bool) {
	r := &Record{Offset: c.offset + int64(at), Number: c.number(at), Verified: verified,
		Written: filetime.Time(le.Uint64(c.data[at+16:]))}
	c.xml.recordLeft = maxRecordSteps
	elements, err := c.xml.document(at+recordHeader, at+size-4, 0)
	if err == nil && len(elements) != 1 {
		err = corrupt("the record has %d events", len(elements))
	}
	if err == nil {
		err = r.fill(elements[0])
	}
	if errors.Is(err, ErrLimit) {
		err = fmt.Errorf("%w: the record, or all records of its chunk, have too many elements, values or levels", err)
	}
	if err != nil {
		c.items = append(c.items, item{damage: &Damage{r.Offset, r.Number, r.Number, err}})
		return
	}
	c.items = append(c.items, item{record: r})
}

// lookBeyond looks for records that continue the row after its end. Records of an earlier use of the chunk do not:
// their numbers are lower, and they are older.
func (c *chunkReader) lookBeyond() {
	at, last := c.end, c.last
	c.end, c.limit = len(c.data), ^uint64(0)
	for written := c.lastWritten; ; {
		size, err := c.recordSize(at)
		if err != nil || c.number(at) != last+1 || le.Uint64(c.data[at+16:]) < written {
			return
		}
		written = le.Uint64(c.data[at+16:])
		last++
		if c.beyond == nil {
			c.beyond = &Damage{Offset: c.offset + int64(at), First: last, Err: corrupt(
				"the records follow the end of the chunk that its header states, and are not read")}
		}
		c.beyond.Last = last
		at += size
	}
}

func zeros(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
