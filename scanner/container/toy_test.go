package container

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// A toy container shows what a new format needs: what follows, which would be a file of
// this package, and its row in formats. It has two files, holes and checksums: a header
// of 4096 bytes with a magic, the size, and of each chunk of 64 KiB its number in the
// second file, from 1, or 0 for a hole, and its CRC-32; the header ends with a CRC-32 of
// its own. The second file has the name of the first and ".data".

const (
	toyMagic  = "TOYDISK\x00"
	toyHeader = 4096
	toyChunk  = 64 << 10
	toyMost   = (toyHeader - 20) / 8 // chunks
)

// toyFormat is the row of the toy container.
var toyFormat = format{what: "a toy image", where: 0, magic: toyMagic, open: one(openToy)}

// toy is the mapping of a toy container.
type toy struct {
	data   *source.Source
	chunks []toyEntry
}

type toyEntry struct{ number, sum uint32 }

func openToy(ctx context.Context, first *source.Source, _ Options) (Disk, error) {
	header := make([]byte, toyHeader)
	if _, err := first.ReadAt(header, 0); err != nil {
		return nil, fmt.Errorf("%s: the header: %w", first.Name(), err)
	}
	le := binary.LittleEndian
	t, size := &toy{}, int64(le.Uint64(header[8:]))
	count := (size + toyChunk - 1) / toyChunk
	if le.Uint32(header[toyHeader-4:]) != crc32.ChecksumIEEE(header[:toyHeader-4]) || size < 0 || count > toyMost {
		return nil, fmt.Errorf("%s: the header: %w", first.Name(), ErrCorrupt)
	}
	for n := range count {
		b := header[16+8*n:]
		t.chunks = append(t.chunks, toyEntry{le.Uint32(b), le.Uint32(b[4:])})
	}
	var err error
	if t.data, err = first.Beside(ctx, filepath.Base(first.Name())+".data"); err != nil {
		return nil, err
	}
	for _, c := range t.chunks {
		if int64(c.number)*toyChunk > t.data.Size() {
			t.data.Close()
			return nil, fmt.Errorf("%s: it ends before chunk %d: %w", t.data.Name(), c.number, ErrCorrupt)
		}
	}
	return newMapped("toy", size, t, first, t.data), nil
}

func (t *toy) extent(off int64) (extent, error) {
	n, within := off/toyChunk, off%toyChunk
	c := t.chunks[n]
	if c.number == 0 {
		return extent{where: zeros, size: toyChunk - within}, nil
	}
	return extent{
		where: packed, size: toyChunk - within, file: t.data, at: int64(c.number-1) * toyChunk,
		block: block{start: n * toyChunk, size: toyChunk, packed: toyChunk, method: int(c.sum)},
	}, nil
}

// unpack verifies a chunk.
func (t *toy) unpack(dst, packed []byte, e extent) error {
	if copy(dst, packed); crc32.ChecksumIEEE(packed) != uint32(e.block.method) {
		return fmt.Errorf("%s: the chunk at byte %d: %w", e.file.Name(), e.at, ErrCorrupt)
	}
	return nil
}

// writeToy writes a toy image.
func writeToy(t *testing.T, folder string, content []byte) string {
	t.Helper()
	le, header := binary.LittleEndian, make([]byte, toyHeader)
	copy(header, toyMagic)
	le.PutUint64(header[8:], uint64(len(content)))
	var data []byte
	for n := 0; n*toyChunk < len(content); n++ {
		chunk := make([]byte, toyChunk)
		copy(chunk, content[n*toyChunk:])
		if bytes.Count(chunk, []byte{0}) == len(chunk) {
			continue
		}
		data = append(data, chunk...)
		le.PutUint32(header[16+8*n:], uint32(len(data)/toyChunk))
		le.PutUint32(header[20+8*n:], crc32.ChecksumIEEE(chunk))
	}
	le.PutUint32(header[toyHeader-4:], crc32.ChecksumIEEE(header[:toyHeader-4]))
	name := filepath.Join(folder, "disk.toy")
	if err := errors.Join(os.WriteFile(name, header, 0o666), os.WriteFile(name+".data", data, 0o666)); err != nil {
		t.Fatal(err)
	}
	return name
}

// addToy adds the row for the time of a test.
func addToy(t *testing.T) {
	t.Helper()
	before := formats
	formats = append([]format{toyFormat}, before...)
	t.Cleanup(func() { formats = before })
}

// TestToy: the toy container is found by its magic like any other, and passes the suite.
func TestToy(t *testing.T) {
	addToy(t)
	imgconform.Run(t, imgconform.Format{
		Write: writeToy, Checked: true, Sparse: true, Open: openAs("toy"),
		Read: sourceBytes,
	})
	name := writeToy(t, t.TempDir(), make([]byte, 1000))
	if err := os.Remove(name + ".data"); err != nil {
		t.Fatal(err)
	}
	if _, err := openAs("toy")(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without its second file: %v", err)
	}
}
