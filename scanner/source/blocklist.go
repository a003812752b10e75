package source

import (
	"cmp"
	"context"
	"io/fs"
	"math/bits"
	"slices"
	"sort"
	"sync"
)

const (
	// listPage is how many blocks a page of a list may have: as many as EBS allows.
	listPage = 10_000
	// listAlign is the multiple of a block number at which a page begins, so that
	// readers of neighbors share it.
	listAlign = 1024
	// maxTokens bounds the tokens that are kept: 150 GiB of written blocks, of about
	// 100 bytes each.
	maxTokens = 300_000
)

// listing is a page of the list of a snapshot's blocks.
type listing struct {
	blockSize, volume int64 // in bytes

	first   int64 // block at which it begins
	last    bool  // it reaches the end of the volume
	numbers []int32
	ends    []uint32 // of the tokens in text
	text    []byte
}

func (l *listing) add(number int64, token string) {
	l.numbers = append(l.numbers, int32(number))
	l.text = append(l.text, token...)
	l.ends = append(l.ends, uint32(len(l.text)))
}

// end is the block before which all blocks are known.
func (l *listing) end() int64 {
	switch {
	case l.last:
		return l.volume / l.blockSize
	case len(l.numbers) == 0:
		return l.first
	}
	return int64(l.numbers[len(l.numbers)-1]) + 1
}

// token is the token of a block; "" if it has none.
func (l *listing) token(number int64) string {
	n, found := slices.BinarySearch(l.numbers, int32(number))
	if !found {
		return ""
	}
	begin := uint32(0)
	if n > 0 {
		begin = l.ends[n-1]
	}
	return string(l.text[begin:l.ends[n]])
}

// blockList knows which blocks of a snapshot hold data. It lists those that it is asked for.
type blockList struct {
	list func(from int64) (*listing, error) // requests the page that begins at a block
	// contradiction ends the source because a page contradicts another.
	contradiction func(number int64) error

	mu      sync.Mutex
	blocks  int64
	known   []span     // which blocks are known, in ascending order
	written []uint64   // a bit for each block that holds data
	pages   []*listing // whose tokens are kept, the last used first
	asked   []*question
	asking  sync.WaitGroup
	closed  bool // no page may be requested
}

// span is the blocks from first to before end.
type span struct{ first, end int64 }

// question is a list that was requested.
type question struct {
	from int64
	done chan struct{} // closed when err is there
	err  error
}

// answers reports whether the page will most likely have a block.
func (q *question) answers(number int64) bool { return q.from <= number && number < q.from+listPage }

// begin takes over the first page.
func (b *blockList) begin(l *listing) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocks = l.volume / l.blockSize
	b.written = make([]uint64, (b.blocks+63)/64)
	b.learn(l)
}

// learn adds what a page says. It returns false if that contradicts another page.
func (b *blockList) learn(l *listing) bool {
	for _, n := range l.numbers {
		word, bit := n/64, uint64(1)<<(n%64)
		if b.written[word]&bit == 0 {
			if b.isKnown(int64(n)) {
				return false
			}
			b.written[word] |= bit
		}
	}
	b.known = append(b.known, span{l.first, l.end()})
	slices.SortFunc(b.known, func(a, b span) int { return cmp.Compare(a.first, b.first) })
	merged := b.known[:1]
	for _, s := range b.known[1:] {
		if top := &merged[len(merged)-1]; s.first <= top.end {
			top.end = max(top.end, s.end)
		} else {
			merged = append(merged, s)
		}
	}
	b.known = merged
	b.keep(l)
	return true
}

// keep keeps the tokens of a page, and drops those that were used longest ago.
func (b *blockList) keep(l *listing) {
	b.pages = slices.Insert(b.pages, 0, l)
	kept := 0
	for n, p := range b.pages {
		if kept += len(p.numbers); kept > maxTokens && n > 0 {
			b.pages = slices.Delete(b.pages, n, len(b.pages))
			return
		}
	}
}

// around returns the known span that has a block; ok is false if none has.
func (b *blockList) around(number int64) (s span, ok bool) {
	n := sort.Search(len(b.known), func(i int) bool { return b.known[i].end > number })
	if n == len(b.known) || b.known[n].first > number {
		return span{}, false
	}
	return b.known[n], true
}

func (b *blockList) isKnown(number int64) bool {
	_, ok := b.around(number)
	return ok
}

// know returns the known span that has a block, and lists more blocks if none has. It
// returns with the lock held, or with an error.
func (b *blockList) know(ctx context.Context, number int64) (span, error) {
	b.mu.Lock()
	for {
		if s, ok := b.around(number); ok {
			return s, nil
		}
		from := number - number%listAlign
		n := sort.Search(len(b.known), func(i int) bool { return b.known[i].end > number })
		if n > 0 {
			from = max(from, b.known[n-1].end) // what is known is not listed again
		}
		if err := b.ask(ctx, from, number); err != nil {
			b.mu.Unlock()
			return span{}, err
		}
	}
}

// ask waits for a page of the list that has a block, and requests the page that begins
// at from if no other is under way. The lock is held, but not while it waits.
func (b *blockList) ask(ctx context.Context, from, number int64) error {
	n := slices.IndexFunc(b.asked, func(q *question) bool { return q.answers(number) })
	var q *question
	switch {
	case b.closed:
		return fs.ErrClosed
	case n >= 0:
		q = b.asked[n]
	default:
		q = &question{from: from, done: make(chan struct{})}
		b.asked = append(b.asked, q)
		b.asking.Go(func() { b.request(q) })
	}
	b.mu.Unlock()
	defer b.mu.Lock()
	select {
	case <-q.done:
		return q.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// close waits until no page is requested. Later reads that need one fail.
func (b *blockList) close() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.asking.Wait()
}

// request requests a page.
func (b *blockList) request(q *question) {
	l, err := b.list(q.from)
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil && !b.learn(l) {
		err = b.contradiction(q.from)
	}
	q.err = err
	close(q.done)
	b.asked = slices.DeleteFunc(b.asked, func(other *question) bool { return other == q })
}

// token returns the token of a block that holds data.
func (b *blockList) token(ctx context.Context, number int64) (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for again := false; ; again = true {
		for n, p := range b.pages {
			if t := p.token(number); t != "" {
				b.pages = slices.Insert(slices.Delete(b.pages, n, n+1), 0, p)
				return t, nil
			}
		}
		if again {
			return "", b.contradiction(number)
		}
		if err := b.ask(ctx, number-number%listAlign, number); err != nil {
			return "", err
		}
	}
}

// forget drops the tokens that came with one that is no longer accepted.
func (b *blockList) forget(number int64, token string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.pages = slices.DeleteFunc(b.pages, func(p *listing) bool { return p.token(number) == token })
}

// extent says whether a block holds data, and before which block, at most last+1, that
// is so and known of the blocks after it.
func (b *blockList) extent(ctx context.Context, number, last int64) (written bool, end int64, err error) {
	s, err := b.know(ctx, number)
	if err != nil {
		return false, 0, err
	}
	defer b.mu.Unlock()
	written = b.written[number/64]>>(number%64)&1 == 1
	return written, b.until(number, min(s.end, last+1), !written), nil
}

// next returns the first block from number on that holds data; -1 if there is none.
func (b *blockList) next(ctx context.Context, number int64) (int64, error) {
	for number < b.blocks {
		s, err := b.know(ctx, number)
		if err != nil {
			return 0, err
		}
		n := b.until(number, s.end, true)
		b.mu.Unlock()
		if n < s.end {
			return n, nil
		}
		number = s.end
	}
	return -1, nil
}

// until returns the first block from number to before end that holds data, or that
// holds none; end if there is none.
func (b *blockList) until(number, end int64, written bool) int64 {
	for n := number; n < end; n = n - n%64 + 64 {
		word := b.written[n/64]
		if !written {
			word = ^word
		}
		if word >>= n % 64; word != 0 {
			return min(n+int64(bits.TrailingZeros64(word)), end)
		}
	}
	return end
}

// possible counts the blocks from first to before end that hold data or are not known,
// and those that are not known. It asks for nothing.
func (b *blockList) possible(first, end int64) (blocks, unknown int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	unknown = end - first
	for _, s := range b.known {
		from, to := max(s.first, first), min(s.end, end)
		if from >= to {
			continue
		}
		unknown -= to - from
		for n := from; n < to; n = n - n%64 + 64 {
			word := b.written[n/64] >> (n % 64)
			if left := to - n; left < 64 {
				word &= 1<<left - 1
			}
			blocks += int64(bits.OnesCount64(word))
		}
	}
	return blocks + unknown, unknown
}
