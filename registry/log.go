package registry

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
)

const (
	// maxLogSize is how large a log may be. Windows starts a new one long before.
	maxLogSize = 256 << 20
	// logReadSize is how much of a log is read at once.
	logReadSize = 1 << 20
	// entryHeaderSize is the size of a log entry up to its page references.
	entryHeaderSize = 40
	// pageReferenceSize is the size of a page reference.
	pageReferenceSize = 8
	// entryCost is the memory for each byte of an entry while it is applied: the entry, and the list of its pages.
	entryCost = 2
)

// A logFile is a transaction log with an intact base block. It is read from front to end.
type logFile struct {
	Log
	base baseBlock
	old  bool // a dirty vector follows, else log entries
	r    *bufio.Reader
	left int64  // bytes not yet read
	buf  []byte // for the entry at hand

	memory memory
}

// errUnused says that a log was never written to.
var errUnused = errors.New("the log is not in use")

// openLog reads the base block of a log.
func openLog(l Log, m memory) (*logFile, error) {
	switch {
	case l.Size <= 0:
		return nil, fmt.Errorf("%w: it is empty", errUnused)
	case l.Size > maxLogSize:
		return nil, fmt.Errorf("%w: a log of %d bytes; at most %d are read", ErrUnsupported, l.Size, maxLogSize)
	}
	f := &logFile{Log: l, left: l.Size, memory: m,
		r: bufio.NewReaderSize(io.NewSectionReader(l.R, 0, l.Size), int(max(pageSize, min(l.Size, logReadSize))))}
	head, err := f.r.Peek(int(min(sectorSize+4, l.Size))) // and the signature of the data that follows
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, err
	}
	if len(bytes.Trim(head, "\x00")) == 0 {
		return nil, fmt.Errorf("%w: it begins with zeros", errUnused)
	}
	if f.base, err = parseBaseBlock(head); err != nil {
		return nil, err
	}
	switch t := f.base.fileType; t {
	case typeOldLog, typeOlderLog:
		f.old = true
	case typeNewLog:
	default:
		return nil, fmt.Errorf("%w: base block of a log: file type %d", ErrCorrupt, t)
	}
	if n := f.base.binsSize; n > MaxSize || n%pageSize != 0 {
		return nil, fmt.Errorf("%w: base block of a log: %d bytes of bins data", ErrCorrupt, n)
	}
	return f, f.skip(sectorSize)
}

// A logEntry is a transaction in a log of the new format.
type logEntry struct {
	binsSize int // of the hive after it
	pages    []logPage
}

// A logPage is a page to be written over the bins data.
type logPage struct {
	offset int
	data   []byte
}

// A tornError describes the damage to an entry that has the right signature and number.
type tornError string

func (e tornError) Error() string { return string(e) }

// readEntry returns the next entry, nil if there is none with that sequence number. It fails with a tornError if
// there is one but damaged, else with an error of the reader. An entry's pages are valid until the next call.
func (f *logFile) readEntry(sequence uint32) (*logEntry, error) {
	header, err := f.r.Peek(entryHeaderSize)
	if err == io.EOF {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	// regf, "Log entries": 0 "HvLE", 4 size, 8 flags, 12 sequence number, 16 size of the bins data, 20 number of
	// pages, 24 hash of the data after the header, 32 hash of the first 32 bytes; then the references, then the
	// pages.
	if string(header[:4]) != "HvLE" || le.Uint32(header[12:]) != sequence {
		return nil, nil
	}
	size := int64(le.Uint32(header[4:]))
	switch {
	case marvin32(header[:32]) != le.Uint64(header[32:]):
		return nil, tornError("its header does not fit its hash")
	case size < entryHeaderSize || size%sectorSize != 0:
		return nil, tornError(fmt.Sprintf("a size of %d bytes", size))
	case size > f.left:
		return nil, tornError(fmt.Sprintf("the log ends %d bytes before it does", size-f.left))
	}
	if err := f.memory.fits(entryCost * size); err != nil {
		return nil, fmt.Errorf("an entry of %d bytes: %w", size, err)
	}
	f.buf = slices.Grow(f.buf[:0], int(size))
	entry := f.buf[:size]
	if err := f.read(entry); err != nil {
		return nil, err
	}
	if marvin32(entry[entryHeaderSize:]) != le.Uint64(entry[24:]) {
		return nil, tornError("its pages do not fit their hash")
	}
	return parseEntry(entry)
}

// parseEntry decodes an entry whose hashes are right.
func parseEntry(entry []byte) (*logEntry, error) {
	binsSize, count := int64(le.Uint32(entry[16:])), int64(le.Uint32(entry[20:]))
	references := entry[entryHeaderSize:]
	switch {
	case binsSize == 0 || binsSize%pageSize != 0 || binsSize > MaxSize:
		return nil, tornError(fmt.Sprintf("%d bytes of bins data", binsSize))
	case count > int64(len(references)/(pageReferenceSize+sectorSize)): // no page is smaller than a sector
		return nil, tornError(fmt.Sprintf("%d pages", count))
	}
	e := &logEntry{binsSize: int(binsSize), pages: make([]logPage, count)}
	data := references[count*pageReferenceSize:]
	for i := range e.pages {
		reference := references[i*pageReferenceSize:]
		offset, size := int64(le.Uint32(reference)), int64(le.Uint32(reference[4:]))
		if size == 0 || size > int64(len(data)) || size%sectorSize != 0 || offset%sectorSize != 0 || offset+size > binsSize {
			return nil, tornError(fmt.Sprintf("a page of %d bytes at 0x%x", size, offset))
		}
		e.pages[i] = logPage{int(offset), data[:size]}
		data = data[size:]
	}
	return e, nil
}

// A dirtyVector has a bit for each sector of the bins data, set if the sector is in the log (regf, "Dirty vector").
type dirtyVector []byte

// has reports whether the sector at an offset is in the log.
func (v dirtyVector) has(offset int) bool {
	bit := offset / sectorSize
	return v[bit/8]&(1<<(bit%8)) != 0
}

// readVector reads the dirty vector of a log of the old format up to the first sector, and makes sure that all
// sectors are there.
func (f *logFile) readVector() (dirtyVector, error) {
	const signature = "DIRT"
	v := make([]byte, len(signature)+int(f.base.binsSize/sectorSize/8)) // half a megabyte at most
	if err := f.read(v); err != nil {
		return nil, err
	}
	if string(v[:len(signature)]) != signature {
		return nil, fmt.Errorf("%w: no dirty vector after the base block", ErrCorrupt)
	}
	if err := f.skip(-len(v) & (sectorSize - 1)); err != nil {
		return nil, err
	}
	v = v[len(signature):]
	var count int64
	for _, b := range v {
		count += int64(bits.OnesCount8(b))
	}
	if count == 0 {
		return nil, errors.New("it has no dirty sectors")
	}
	if have := f.left / sectorSize; have < count {
		return nil, fmt.Errorf("%d of its %d dirty sectors are there", have, count)
	}
	return v, nil
}

// readSector returns the next sector of a log of the old format. It is valid until the next read.
func (f *logFile) readSector() ([]byte, error) {
	sector, err := f.r.Peek(sectorSize)
	if err != nil {
		return nil, err
	}
	return sector, f.skip(sectorSize)
}

func (f *logFile) read(p []byte) error {
	if int64(len(p)) > f.left {
		return fmt.Errorf("%w: the log is %d bytes short", ErrCorrupt, int64(len(p))-f.left)
	}
	f.left -= int64(len(p))
	_, err := io.ReadFull(f.r, p)
	return err
}

func (f *logFile) skip(n int) error {
	f.left -= int64(n)
	_, err := f.r.Discard(n)
	return err
}
