package container

import (
	"errors"
	"fmt"

	"github.com/coldcheck/coldcheck/internal/lru"
)

// table is a table of a container that is read in pages as they are needed.
type table struct {
	file     named
	at       int64 // in the file
	size     int64 // in bytes
	pageSize int64 // how much is read at once, in bytes
	pages    lru.Cache[int64, []byte]
}

// tablePage is how much of a table is usually read at once, in bytes, and maxPages how
// much of one is kept.
const (
	tablePage = 64 << 10
	maxPages  = 4 << 20
)

func newTable(file named, at, size int64) *table {
	return &table{file: file, at: at, size: size, pageSize: tablePage, pages: lru.Cache[int64, []byte]{Max: maxPages}}
}

// page returns the part of the table from the byte at off to the end of its page:
// at least a byte. It must not be changed. off is within the table.
func (t *table) page(off int64) ([]byte, error) {
	n := off / t.pageSize
	b, ok := t.pages.Get(n)
	if !ok {
		start := n * t.pageSize
		b = make([]byte, min(t.pageSize, t.size-start))
		if _, err := readFull(t.file, b, t.at+start); err != nil {
			return nil, fmt.Errorf("a table: %w", err)
		}
		t.pages.Put(n, b, int64(len(b)))
	}
	return b[off%t.pageSize:], nil
}

// nothingPacked is a part of the mappings of formats without packed blocks.
type nothingPacked struct{}

func (nothingPacked) unpack([]byte, []byte, extent) error { return errors.ErrUnsupported }
