package registry

import (
	"fmt"
	"io"
	"sync"

	"github.com/coldcheck/coldcheck/internal/kind"
)

const (
	// blockSize is how much of a hive that is not held in memory is read at once.
	blockSize = 64 << 10
	// cacheSize is how much of such a hive is kept. The lists and nodes on the way to the keys that are asked for
	// together fit into it; a walk reads each block once or twice.
	cacheSize = 16 << 20
	// smallRequest is the most memory that is allocated without calling Reserve.
	smallRequest = 64 << 10
)

// memory is Options.Reserve.
type memory func(n int64) error

// take takes n bytes for as long as the hive is used.
func (m memory) take(n int64) error {
	if m == nil {
		return nil
	}
	return m(n)
}

// fits checks that n bytes can be reserved, for data that the caller of this package
// holds.
func (m memory) fits(n int64) error {
	if m == nil || n <= smallRequest {
		return nil
	}
	if err := m(n); err != nil {
		return err
	}
	return m(-n)
}

// A tally adds up the memory of a list, and checks from time to time that it can be reserved.
type tally struct {
	memory     memory
	sum, asked int64
}

func (t *tally) add(n int64) error {
	if t.sum += n; t.sum <= t.asked {
		return nil
	}
	t.asked = t.sum + 1<<20
	return t.memory.fits(t.asked)
}

// A cache reads bins data that are not held in memory. It keeps the blocks that were used last, and the pages that logs
// wrote over the file. It is safe for concurrent use once the logs are applied.
type cache struct {
	r      io.ReaderAt
	there  int // bytes of bins data that the file has
	memory memory
	pages  map[int][]byte // by their number: pages with data from logs

	mu     sync.Mutex
	blocks map[int]*block
	order  []*block // in which the blocks were read; a ring
	hand   int      // the next of them to be given up, unless it was used since the last time
}

// A block is blockSize bytes of the bins data.
type block struct {
	number int
	used   bool
	data   []byte
}

// readAt fills p from an offset of the bins data on. The error is io.ErrUnexpectedEOF if the file is shorter than the
// size given to Open, else the reader's.
func (c *cache) readAt(p []byte, off int) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(p) > 0 {
		b, err := c.block(off / blockSize)
		if err != nil {
			return err
		}
		n := copy(p, b.data[off%blockSize:])
		p, off = p[n:], off+n
	}
	return nil
}

// block returns the block of a number. The lock is held.
func (c *cache) block(number int) (*block, error) {
	if b := c.blocks[number]; b != nil {
		b.used = true
		return b, nil
	}
	b := &block{}
	if len(c.order) == cacheSize/blockSize {
		for c.order[c.hand].used {
			c.order[c.hand].used = false
			c.hand = (c.hand + 1) % len(c.order)
		}
		b = c.order[c.hand]
		delete(c.blocks, b.number)
	} else {
		b.data = make([]byte, blockSize)
		c.order = append(c.order, b)
	}
	b.number, b.used = -1, false // until it is read
	if err := c.read(b.data, number*blockSize); err != nil {
		return nil, err
	}
	for at := 0; len(c.pages) > 0 && at < blockSize; at += pageSize {
		if page := c.pages[(number*blockSize+at)/pageSize]; page != nil {
			copy(b.data[at:], page)
		}
	}
	b.number, b.used = number, true
	c.blocks[number] = b
	return b, nil
}

// read fills p with the file's data at an offset of the bins data, and with zeros after its end.
func (c *cache) read(p []byte, off int) error {
	n := max(min(len(p), c.there-off), 0)
	clear(p[n:])
	if n == 0 {
		return nil
	}
	got, err := c.r.ReadAt(p[:n], baseBlockSize+int64(off))
	if got == n {
		return nil
	}
	return short(err, c.there-off-got)
}

// short is the error of a read that ended before it should, with so many bytes missing in the file.
func short(err error, missing int) error {
	if err == nil || err == io.EOF {
		return kind.Mark(fmt.Errorf("the file ends %d bytes before it should", missing), io.ErrUnexpectedEOF)
	}
	return err
}

// write puts data of a log over the file.
func (c *cache) write(off int, data []byte) error {
	for len(data) > 0 {
		number := off / pageSize
		page := c.pages[number]
		if page == nil {
			if err := c.memory.take(pageSize); err != nil {
				return err
			}
			page = make([]byte, pageSize)
			if err := c.read(page, number*pageSize); err != nil {
				return err
			}
			c.pages[number] = page
		}
		n := copy(page[off%pageSize:], data)
		if b := c.blocks[off/blockSize]; b != nil {
			copy(b.data[off%blockSize:], data[:n])
		}
		data, off = data[n:], off+n
	}
	return nil
}
