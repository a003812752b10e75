package container

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"path/filepath"
	"sort"
	"sync/atomic"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// ewf is the mapping of an Expert Witness image: chunks of the same size, the last one
// shorter, each with a checksum that is verified before any of its bytes is used.
type ewf struct {
	tables ewfTables
	size   int64
	chunk  int64 // in bytes
	// lost are the bytes that could not be read when the image was made. The image has
	// zeros there, which nobody read from the disk.
	lost []ewfRange
	// zeros is a chunk of zeros as it is packed: an empty part of a disk has many.
	zeros atomic.Pointer[[]byte]
}

// ewfPacked is how a chunk is packed.
const (
	ewfRaw        = iota // its bytes and a checksum of 4 bytes
	ewfCompressed        // zlib data, which has the checksum in it
)

func (e *ewf) extent(off int64) (extent, error) {
	end, err := e.unlost(off)
	if err != nil {
		return extent{}, err
	}
	number := off / e.chunk
	start := number * e.chunk
	size := min(e.chunk, e.size-start)
	s, where, compressed, err := e.tables.chunk(number)
	if err != nil {
		return extent{}, err
	}
	b := block{start: start, size: size, packed: size + 4, method: ewfRaw}
	if n := where.end - where.start; compressed {
		b.method, b.packed = ewfCompressed, min(n, ewfMostPacked(size))
	} else if n < b.packed {
		return extent{}, fmt.Errorf("%s: the chunk at byte %d has %d bytes, not %d: %w",
			s.Name(), where.start, n, b.packed, ErrCorrupt)
	}
	return extent{where: packed, size: min(start+size, end) - off, file: s, at: where.start, block: b}, nil
}

// ewfMostPacked is more than a compressed chunk has: zlib needs a few bytes for each
// block that it does not compress.
func ewfMostPacked(size int64) int64 { return size + size/64 + 1024 }

// unlost returns where the bytes end that could be read when the image was made. Bytes
// that could not be read are unknown, and the zeros in their place are not handed out.
// The error is ErrIncomplete, not ErrIO: no read fails, and reading again, or copying
// the image again, cannot help.
func (e *ewf) unlost(off int64) (end int64, err error) {
	n := sort.Search(len(e.lost), func(i int) bool { return e.lost[i].end > off })
	switch {
	case n == len(e.lost):
		return e.size, nil
	case off < e.lost[n].start:
		return e.lost[n].start, nil
	}
	return 0, fmt.Errorf("%s: bytes %d to %d of the disk could not be read when the image was made: %w",
		e.tables.segments[0].Name(), e.lost[n].start, e.lost[n].end-1, ErrIncomplete)
}

// unpack verifies a chunk.
func (e *ewf) unpack(dst, packed []byte, x extent) error {
	err := errors.New("its checksum is wrong")
	if x.block.method == ewfCompressed {
		err = e.inflate(dst, packed)
	} else if n := copy(dst, packed); adler32.Checksum(dst) == binary.LittleEndian.Uint32(packed[n:]) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: the chunk at byte %d: %v: %w", x.file.Name(), x.at, err, ErrCorrupt)
	}
	return nil
}

// inflate decompresses a chunk, and compares its checksum.
func (e *ewf) inflate(dst, packed []byte) error {
	full := int64(len(dst)) == e.chunk
	if z := e.zeros.Load(); z != nil && full && bytes.Equal(*z, packed) {
		clear(dst)
		return nil
	}
	if err := unzlib(dst, packed); err != nil {
		return err
	}
	if full && e.zeros.Load() == nil && len(packed) < len(dst)/64 && allZeros(dst) {
		z := bytes.Clone(packed)
		e.zeros.Store(&z)
	}
	return nil
}

// ewfDisk is the disk in an Expert Witness image.
type ewfDisk struct {
	*mapped
	e *ewf
}

// Notes are those from opening the image, and what was found out by reading it: a
// table is checked when it is first needed.
func (d *ewfDisk) Notes() []string {
	l := &d.e.tables
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.seconds == 0 {
		return d.notes
	}
	t := l.list[l.second]
	return append(d.notes[:len(d.notes):len(d.notes)], fmt.Sprintf(
		"%s with damaged entries: the copy was used. The first one is at byte %d of %s.",
		prose.Count(l.seconds, "table", "tables"), t.copies[0].at, filepath.Base(l.segments[t.segment].Name())))
}

// Locate finds the bytes of chunks that are not compressed.
func (d *ewfDisk) Locate(off int64) (file *source.Source, at int64, ok bool) {
	if off < 0 || off >= d.size {
		return nil, 0, false
	}
	x, err := d.at(off)
	if err != nil || x.block.method != ewfRaw {
		return nil, 0, false
	}
	return x.file, x.at + off - x.block.start, true
}
