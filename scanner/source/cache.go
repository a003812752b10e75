package source

import (
	"container/list"
	"context"
	"io"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/coldcheck/coldcheck/internal/bounded"
)

// CacheOptions are the options of a Cache.
type CacheOptions struct {
	// Block is the block size in bytes; the last block may be shorter. It must
	// be positive.
	Block int64
	// Bytes limits the memory of all blocks, including those that are being
	// fetched. If it is less than Block, nothing is cached and each read is a
	// fetch.
	Bytes int64
	// Ahead is the maximum number of blocks to read ahead of a sequential
	// reader. The cache reads at most a quarter of Bytes ahead.
	Ahead int
	// Parallel is the maximum number of concurrent fetches; 1 if it is less.
	Parallel int
}

// Fetch reads len(p) bytes at off from a slow source. It must return when the
// context ends. All reads that wait for these bytes get its error.
type Fetch func(ctx context.Context, p []byte, off int64) error

// fetchRun reads consecutive blocks, the first of which is at off, as Fetch does.
type fetchRun func(ctx context.Context, blocks [][]byte, off int64) error

// Cache reads in blocks and keeps the most recently used blocks. Use it for
// many small reads from a slow source.
//
// A block that several readers want is fetched once, and all of them wait for
// it. From the second consecutive block on, the cache reads ahead; it tracks
// several sequential readers at a time. An error goes to the waiting readers
// and is not cached. A fetch is canceled when no reader waits for it.
//
// A Cache is safe for concurrent use.
type Cache struct {
	fetch  fetchRun
	size   int64
	block  int64
	slots  int64 // how many blocks there may be
	ahead  int64
	most   int64 // blocks in one fetch
	ctx    context.Context
	end    context.CancelCauseFunc
	places chan struct{}  // each fetch that is under way holds one
	done   sync.WaitGroup // of the fetches

	mu     sync.Mutex
	closed bool
	blocks map[int64]*cached
	// Blocks that are cached and not being read, the last used first. Those in read were
	// copied whole: most data is read once, so their buffers are used again first.
	unread, read list.List
	buffers      [][]byte // that were made and are not in use
	made         int64    // how many buffers were made
	underWay     int      // how many fetches are
	freed        chan struct{}
	streams      []stream
	turn         int64 // counts the reads, to know which stream was used last
	counters     CacheCounters
}

// CacheCounters are the counters of a Cache.
type CacheCounters struct {
	Hits    int64 // requests for a block that was cached or already being fetched
	Fetches int64 // blocks that were fetched
	Ahead   int64 // blocks that were fetched ahead of a reader
	Bytes   int64 // bytes that were fetched
}

// cached is a block.
type cached struct {
	number int64
	data   []byte
	err    error
	panics any           // what the fetch panicked with
	ready  chan struct{} // closed when data or err is there
	done   bool          // the same, under the lock
	users  int           // readers that wait for it or copy from it
	copied atomic.Int64  // bytes that readers have copied
	run    *run          // that fetches it
	idle   *list.List    // Cache.unread or Cache.read; nil if it is in none
	place  *list.Element // in idle
}

// shelve moves the block to the front of a list; nil for none.
func (b *cached) shelve(to *list.List) {
	if b.idle != nil {
		b.idle.Remove(b.place)
	}
	if b.idle = to; to != nil {
		b.place = to.PushFront(b)
	}
}

// run is a fetch of consecutive blocks.
type run struct {
	blocks []*cached
	users  int // of all its blocks, until it is done
	end    context.CancelFunc
}

// NewCache returns a cache for size bytes that fetch reads. When the context
// ends, fetches are canceled and reads fail with its cause.
func NewCache(ctx context.Context, size int64, fetch Fetch, o CacheOptions) *Cache {
	one := func(ctx context.Context, blocks [][]byte, off int64) error { return fetch(ctx, blocks[0], off) }
	return newCache(ctx, size, one, 1, o)
}

// newCache returns a cache that fetches up to most consecutive blocks at once.
func newCache(ctx context.Context, size int64, fetch fetchRun, most int64, o CacheOptions) *Cache {
	block := min(o.Block, max(size, 1))
	c := &Cache{
		fetch: fetch, size: size, block: block, slots: o.Bytes / block, most: most,
		places: make(chan struct{}, max(o.Parallel, 1)),
		blocks: map[int64]*cached{}, freed: make(chan struct{}),
	}
	c.ahead = min(int64(o.Ahead), c.slots/4)
	c.ctx, c.end = context.WithCancelCause(ctx)
	return c
}

// Close cancels running fetches and waits for them. Later reads fail with
// fs.ErrClosed.
func (c *Cache) Close() error {
	c.end(fs.ErrClosed)
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.done.Wait()
	return nil
}

// Counters returns the cache's counters so far.
func (c *Cache) Counters() CacheCounters {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counters
}

// ReadAt implements io.ReaderAt.
func (c *Cache) ReadAt(p []byte, off int64) (int, error) {
	return c.ReadContext(context.Background(), p, off)
}

// ReadContext reads as ReadAt does. When the context ends, the error is its
// cause, and the fetch continues for other readers of the same bytes.
func (c *Cache) ReadContext(ctx context.Context, p []byte, off int64) (int, error) {
	if c.ctx.Err() != nil {
		return 0, context.Cause(c.ctx)
	}
	return bounded.ReadAt(inCache{ctx, c}, p, 0, c.size, off)
}

// inCache reads what is within the size.
type inCache struct {
	ctx context.Context
	c   *Cache
}

func (r inCache) ReadAt(p []byte, off int64) (int, error) {
	c := r.c
	if c.slots == 0 {
		return c.direct(r.ctx, p, off)
	}
	c.foresee(off/c.block, (off+int64(len(p))-1)/c.block)
	done := 0
	for done < len(p) {
		at := off + int64(done)
		b, err := c.take(r.ctx, at/c.block)
		if err != nil {
			return done, err
		}
		n := copy(p[done:], b.data[at%c.block:])
		b.copied.Add(int64(n))
		done += n
		c.release(b)
	}
	return done, nil
}

// direct reads past the blocks.
func (c *Cache) direct(ctx context.Context, p []byte, off int64) (int, error) {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(c.ctx, func() { end(context.Cause(c.ctx)) })()
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	err := c.fetch(ctx, [][]byte{p}, off)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counters.Fetches++
	switch {
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case err != nil:
		return 0, err
	}
	c.counters.Bytes += int64(len(p))
	return len(p), nil
}

// take returns a block that is there, and keeps it until release.
func (c *Cache) take(ctx context.Context, number int64) (*cached, error) {
	b, err := c.join(ctx, number)
	if err != nil {
		return nil, err
	}
	select {
	case <-b.ready:
	case <-ctx.Done():
		c.release(b)
		return nil, context.Cause(ctx)
	case <-c.ctx.Done(): // the fetch may ignore it
		c.release(b)
		return nil, context.Cause(c.ctx)
	}
	if b.panics != nil {
		c.release(b)
		panic(b.panics) // in the reader, which may recover
	}
	if b.err != nil {
		c.release(b)
		return nil, b.err
	}
	return b, nil
}

// join finds a block or starts to fetch it, and adds a user. If all blocks are in use it
// waits until one is free. A reader that waits here uses no block, so one of the others
// always goes on.
func (c *Cache) join(ctx context.Context, number int64) (*cached, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		b := c.blocks[number]
		if b == nil && c.start(number, 1) > 0 {
			b = c.blocks[number]
		}
		if b != nil {
			c.use(b)
			return b, nil
		}
		if c.closed {
			return nil, context.Cause(c.ctx)
		}
		freed := c.freed
		c.mu.Unlock()
		var err error
		select {
		case <-freed:
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-c.ctx.Done():
			err = context.Cause(c.ctx)
		}
		c.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
}

// use adds a user of a block.
func (c *Cache) use(b *cached) {
	b.users++
	if !b.done {
		b.run.users++
	}
	b.shelve(nil)
}

// release removes a user of a block. A fetch without users is canceled and its blocks
// forgotten: the next reader starts another.
func (c *Cache) release(b *cached) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b.users--
	if b.done {
		if b.users == 0 {
			c.settle(b)
		}
		return
	}
	b.run.users--
	if b.run.users == 0 {
		b.run.end()
		for _, b := range b.run.blocks {
			delete(c.blocks, b.number)
		}
	}
}

// settle keeps a block that has no users, or frees its buffer if the fetch failed.
func (c *Cache) settle(b *cached) {
	if c.blocks[b.number] == b {
		if b.copied.Load() >= int64(len(b.data)) {
			b.shelve(&c.read)
		} else {
			b.shelve(&c.unread)
		}
	} else {
		c.buffers = append(c.buffers, b.data[:cap(b.data)])
	}
	close(c.freed)
	c.freed = make(chan struct{})
}

// start starts to fetch the missing blocks from this one on, up to a number of them.
// It returns how many it fetches: none if all blocks are in use, or the cache is closed.
func (c *Cache) start(number, most int64) int64 {
	if c.closed {
		return 0
	}
	r := &run{}
	for n := number; n < number+min(most, c.most) && n*c.block < c.size && c.blocks[n] == nil; n++ {
		buffer := c.buffer()
		if buffer == nil {
			break
		}
		b := &cached{
			number: n, data: buffer[:min(c.block, c.size-n*c.block)], ready: make(chan struct{}), run: r,
		}
		c.blocks[n] = b
		r.blocks = append(r.blocks, b)
	}
	if len(r.blocks) == 0 {
		return 0
	}
	ctx, end := context.WithCancel(c.ctx)
	r.end = end
	c.underWay++
	c.done.Go(func() {
		defer end()
		c.load(ctx, r)
	})
	return int64(len(r.blocks))
}

// buffer returns a buffer for a block: one that is free, a new one while there may be
// more, or that of a block that is not in use: of the one that was used longest ago among those
// that were read whole, or else among the others. It is nil if all are in use.
func (c *Cache) buffer() []byte {
	if last := len(c.buffers) - 1; last >= 0 {
		b := c.buffers[last]
		c.buffers = c.buffers[:last]
		return b
	}
	if c.made < c.slots {
		c.made++
		return make([]byte, c.block)
	}
	list := &c.read
	if list.Len() == 0 {
		list = &c.unread
	}
	oldest := list.Back()
	if oldest == nil {
		return nil
	}
	b := list.Remove(oldest).(*cached)
	delete(c.blocks, b.number)
	return b.data[:cap(b.data)]
}

// load fetches the blocks of a run.
func (c *Cache) load(ctx context.Context, r *run) {
	panics, err := c.get(ctx, r)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.underWay--
	for _, b := range r.blocks {
		c.counters.Fetches++
		if err != nil || panics != nil {
			if c.blocks[b.number] == b {
				delete(c.blocks, b.number) // the next reader fetches it again
			}
		} else {
			c.counters.Bytes += int64(len(b.data))
		}
		b.err, b.panics, b.done = err, panics, true
		close(b.ready)
		if b.users == 0 {
			c.settle(b)
		}
	}
}

// get fetches the blocks of a run when it is its turn.
func (c *Cache) get(ctx context.Context, r *run) (panics any, err error) {
	defer func() { panics = recover() }()
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	blocks := make([][]byte, len(r.blocks))
	for n, b := range r.blocks {
		blocks[n] = b.data
	}
	err = c.fetch(ctx, blocks, r.blocks[0].number*c.block)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, err
}

// stream is a pass from front to back.
type stream struct {
	next   int64 // the block after the last that was read
	window int64 // how many blocks are read ahead
	used   int64 // Cache.turn of the last read
}

// maxStreams is the most passes that are followed at a time.
const maxStreams = 16

// foresee starts to fetch the blocks first to last, which a read needs, and
// those that are likely to be read next, if blocks are free. It does not wait.
func (c *Cache) foresee(first, last int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := first; n <= last && n < first+c.slots; n++ {
		if b := c.blocks[n]; b != nil {
			c.counters.Hits++
			if b.idle != nil {
				b.shelve(&c.unread) // the fetches below must not evict it
			}
		}
	}
	ahead := c.learn(first, last)
	c.hint(first, min(last+1, first+max(c.slots/2, 1)), cap(c.places))
	if c.worthwhile(last+1, last+1+ahead) {
		c.counters.Ahead += c.hint(last+1, last+1+ahead, max(cap(c.places)/2, 1))
	}
}

// hint starts to fetch the missing blocks from first to before end while fewer than most
// fetches are under way and buffers are free. It returns how many blocks it fetches.
func (c *Cache) hint(first, end int64, most int) (fetched int64) {
	for n := first; n < end && n*c.block < c.size; {
		if c.blocks[n] != nil {
			n++
			continue
		}
		if c.underWay >= most {
			break
		}
		started := c.start(n, end-n)
		if started == 0 {
			break
		}
		n += started
		fetched += started
	}
	return fetched
}

// worthwhile reports whether to fetch the missing blocks ahead of a reader now. Where one
// fetch has many blocks, it waits until half of them are missing.
func (c *Cache) worthwhile(first, end int64) bool {
	if c.most == 1 {
		return true
	}
	missing := int64(0)
	for n := first; n < end && n*c.block < c.size; n++ {
		if c.blocks[n] == nil {
			missing++
		}
	}
	return 2*missing >= min(end-first, c.most)
}

// learn returns how many blocks to read ahead after a read of these: none if the read
// follows no other, and twice as many each time that the next block is read.
func (c *Cache) learn(first, last int64) int64 {
	c.turn++
	oldest := 0
	for n := range c.streams {
		s := &c.streams[n]
		// Several goroutines may share one pass and read in any order.
		if first >= s.next-1 && first <= s.next+s.window {
			s.used = c.turn
			if last >= s.next {
				s.next = last + 1
				s.window = min(max(2*s.window, 1), c.ahead)
			}
			return s.window
		}
		if s.used < c.streams[oldest].used {
			oldest = n
		}
	}
	fresh := stream{next: last + 1, used: c.turn}
	if len(c.streams) < maxStreams {
		c.streams = append(c.streams, fresh)
	} else {
		c.streams[oldest] = fresh
	}
	return 0
}

// FetchFrom returns a Fetch that reads from r. The context does not cancel its
// reads.
func FetchFrom(r io.ReaderAt) Fetch {
	return func(_ context.Context, p []byte, off int64) error {
		n, err := r.ReadAt(p, off)
		switch {
		case n == len(p):
			return nil
		case err == nil, err == io.EOF:
			return io.ErrUnexpectedEOF
		}
		return err
	}
}
