package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// slow is content that takes a while to fetch, within a bubble of synctest.
type slow struct {
	content  []byte
	takes    time.Duration
	heedless bool // of the context

	mu      sync.Mutex
	fetched []int64 // offsets, in the order in which they were asked for
	now     int     // fetches that are under way
	most    int     // at a time
	fail    map[int64]error
	ended   int // by the context
}

func newSlow(size int) *slow {
	s := &slow{content: make([]byte, size), takes: time.Second, fail: map[int64]error{}}
	rand.NewChaCha8([32]byte{7}).Read(s.content)
	return s
}

func (s *slow) fetch(ctx context.Context, p []byte, off int64) error {
	s.mu.Lock()
	s.fetched = append(s.fetched, off)
	s.now++
	s.most = max(s.most, s.now)
	err := s.fail[off]
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.now--
		s.mu.Unlock()
	}()
	if s.heedless {
		ctx = context.Background()
	}
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		s.mu.Lock()
		s.ended++
		s.mu.Unlock()
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	copy(p, s.content[off:])
	return nil
}

// asked returns what was fetched since the last call.
func (s *slow) asked() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.fetched
	s.fetched = nil
	return f
}

// expect checks what a read returns.
func (s *slow) expect(t *testing.T, c *Cache, off int64, n int) {
	t.Helper()
	p := make([]byte, n)
	if got, err := c.ReadAt(p, off); got != n || err != nil || !bytes.Equal(p, s.content[off:][:n]) {
		t.Errorf("%d bytes at %d: %d, %v", n, off, got, err)
	}
}

// TestCacheSingleFlight: ten readers of a block cost one fetch and wait as long as one.
func TestCacheSingleFlight(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlow(1000)
		c := NewCache(t.Context(), 1000, s.fetch, CacheOptions{Block: 100, Bytes: 300, Parallel: 4})
		begun := time.Now()
		var all sync.WaitGroup
		for i := range 10 {
			all.Go(func() { s.expect(t, c, int64(200+i), 50) })
		}
		all.Wait()
		if took := time.Since(begun); took != time.Second || !slices.Equal(s.asked(), []int64{200}) {
			t.Errorf("%v, fetched %v", took, s.fetched)
		}
		s.expect(t, c, 299, 1)
		if got, want := c.Counters(), (CacheCounters{Hits: 10, Fetches: 1, Bytes: 100}); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
		c.Close()
	})
}

// TestCacheErrors: all who wait get an error, and the next reader asks again.
func TestCacheErrors(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("bad gateway")
		s := newSlow(1000)
		c := NewCache(t.Context(), 1000, s.fetch, CacheOptions{Block: 100, Bytes: 300, Parallel: 4})
		defer c.Close()
		s.fail[100] = broken
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				// The block before is cached, and its bytes are returned.
				if n, err := c.ReadAt(make([]byte, 100), 50); n != 50 || !errors.Is(err, broken) {
					t.Errorf("%d, %v", n, err)
				}
			})
		}
		all.Wait()
		if got := s.asked(); len(got) != 2 {
			t.Errorf("fetched %v", got)
		}
		delete(s.fail, 100)
		s.expect(t, c, 50, 100)
		if got := s.asked(); !slices.Equal(got, []int64{100}) {
			t.Errorf("then %v", got)
		}
	})
}

// TestCachePanic: a panic comes out of the read that waits, and ends nothing else.
func TestCachePanic(t *testing.T) {
	t.Parallel()
	first := true
	c := NewCache(t.Context(), 10, func(_ context.Context, p []byte, _ int64) error {
		if first {
			first = false
			panic("a defect")
		}
		clear(p)
		return nil
	}, CacheOptions{Block: 10, Bytes: 10})
	defer c.Close()
	func() {
		defer func() {
			if got := recover(); got != "a defect" {
				t.Errorf("panicked with %v", got)
			}
		}()
		c.ReadAt(make([]byte, 1), 0)
	}()
	if _, err := c.ReadAt(make([]byte, 1), 0); err != nil {
		t.Error(err)
	}
}

// TestCacheCancel: who gives up returns at once; the fetch goes on while
// another waits for it, and ends when no reader does.
func TestCacheCancel(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlow(1000)
		c := NewCache(t.Context(), 1000, s.fetch, CacheOptions{Block: 100, Bytes: 300, Parallel: 4})
		stop := errors.New("stop")
		ctx, cancel := context.WithCancelCause(t.Context())
		begun := time.Now()
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := c.ReadContext(ctx, make([]byte, 1), 0); !errors.Is(err, stop) || time.Since(begun) != time.Second/2 {
				t.Errorf("%v after %v", err, time.Since(begun))
			}
		})
		all.Go(func() { s.expect(t, c, 0, 100) })
		time.Sleep(time.Second / 2)
		cancel(stop)
		all.Wait()
		if got := s.asked(); len(got) != 1 || s.ended != 0 {
			t.Errorf("fetched %v, %d ended", got, s.ended)
		}

		ctx, cancel = context.WithCancelCause(t.Context())
		all.Go(func() {
			if _, err := c.ReadContext(ctx, make([]byte, 1), 500); !errors.Is(err, stop) {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel(stop)
		all.Wait()
		synctest.Wait()
		if s.ended != 1 || s.now != 0 {
			t.Errorf("%d ended, %d under way", s.ended, s.now)
		}
		s.expect(t, c, 500, 100)
		c.Close()
	})
}

// TestCacheClose: closing ends the fetches and the reads that wait for them, also where
// the fetch heeds no context.
func TestCacheClose(t *testing.T) {
	t.Parallel()
	for _, heedless := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newSlow(1000)
			s.heedless = heedless
			c := NewCache(t.Context(), 1000, s.fetch, CacheOptions{Block: 100, Bytes: 200, Parallel: 1})
			var all sync.WaitGroup
			begun := time.Now()
			for i := range 5 { // two fetch, and the others wait for a block to be free
				all.Go(func() {
					if _, err := c.ReadAt(make([]byte, 1), int64(100*i)); !errors.Is(err, fs.ErrClosed) || time.Since(begun) != 0 {
						t.Errorf("%v after %v", err, time.Since(begun))
					}
				})
			}
			synctest.Wait()
			c.Close()
			if s.now != 0 {
				t.Errorf("%d fetches after Close", s.now)
			}
			all.Wait()
			if _, err := c.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
				t.Error(err)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSlow(1000)
		ctx, cancel := context.WithCancel(t.Context())
		c := NewCache(ctx, 1000, s.fetch, CacheOptions{Block: 100, Bytes: 200})
		defer c.Close()
		cancel()
		if _, err := c.ReadAt(make([]byte, 1), 0); !errors.Is(err, context.Canceled) || len(s.asked()) != 0 {
			t.Errorf("after the context ended: %v", err)
		}
	})
}

// TestCacheAhead: what follows is fetched before it is asked for, and only for those
// who read from front to back.
func TestCacheAhead(t *testing.T) {
	t.Parallel()
	const block = 100
	run := func(t *testing.T, o CacheOptions, reads ...int64) (*slow, *Cache) {
		s := newSlow(100 * block)
		c := NewCache(t.Context(), 100*block, s.fetch, o)
		for _, n := range reads {
			s.expect(t, c, n*block, block)
			synctest.Wait()
			time.Sleep(time.Minute) // what is read ahead arrives
		}
		c.Close()
		return s, c
	}
	many := CacheOptions{Block: block, Bytes: 64 * block, Ahead: 8, Parallel: 16}
	for name, tt := range map[string]struct {
		o     CacheOptions
		reads []int64
		want  []int64 // blocks that are fetched, sorted
	}{
		"the first block says nothing": {many, []int64{7}, []int64{7}},
		"then twice as many each time": {many, []int64{7, 8, 9, 10}, []int64{7, 8, 9, 10, 11, 12, 13, 14}},
		"backwards":                    {many, []int64{9, 8, 7, 6}, []int64{6, 7, 8, 9}},
		"random":                       {many, []int64{50, 3, 77, 20}, []int64{3, 20, 50, 77}},
		"two readers": {many, []int64{10, 50, 11, 51, 12, 52},
			[]int64{10, 11, 12, 13, 14, 50, 51, 52, 53, 54}},
		"at the end":           {many, []int64{97, 98, 99}, []int64{97, 98, 99}},
		"the same block again": {many, []int64{5, 5, 5}, []int64{5}},
		"not asked for": {CacheOptions{Block: block, Bytes: 64 * block, Parallel: 16}, []int64{1, 2, 3},
			[]int64{1, 2, 3}},
		"a quarter of a small cache": {CacheOptions{Block: block, Bytes: 4 * block, Ahead: 8, Parallel: 16}, []int64{1, 2, 3},
			[]int64{1, 2, 3, 4}},
		"no room": {CacheOptions{Block: block, Bytes: 3 * block, Ahead: 8, Parallel: 16}, []int64{1, 2, 3}, []int64{1, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, c := run(t, tt.o, tt.reads...)
				var got []int64
				for _, off := range s.asked() {
					got = append(got, off/block)
				}
				slices.Sort(got)
				if !slices.Equal(got, tt.want) {
					t.Errorf("fetched %v, want %v", got, tt.want)
				}
				read := map[int64]bool{}
				for _, n := range tt.reads {
					read[n] = true
				}
				if n := c.Counters(); n.Fetches != int64(len(tt.want)) || n.Ahead < int64(len(tt.want)-len(read)) {
					t.Errorf("%+v", n)
				}
			})
		})
	}
}

// TestCacheAheadTime: a reader that reads from front to back waits for a few blocks
// and not for each.
func TestCacheAheadTime(t *testing.T) {
	t.Parallel()
	const block, blocks = 100, 64
	for _, tt := range []struct {
		ahead int
		want  time.Duration
	}{{0, blocks * time.Second}, {16, 16 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			s := newSlow(blocks * block)
			c := NewCache(t.Context(), blocks*block, s.fetch,
				CacheOptions{Block: block, Bytes: 64 * block, Ahead: tt.ahead, Parallel: 32})
			begun := time.Now()
			for off := int64(0); off < blocks*block; off += 50 {
				s.expect(t, c, off, 50)
			}
			if took := time.Since(begun); took > tt.want {
				t.Errorf("%d blocks ahead: %v, want at most %v", tt.ahead, took, tt.want)
			}
			if got := len(s.asked()); got != blocks {
				t.Errorf("%d fetches", got)
			}
			c.Close()
		})
	}
}

// TestCacheLargeRead: the blocks of one read are fetched at the same time, as many as
// may be under way.
func TestCacheLargeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlow(1600)
		c := NewCache(t.Context(), 1600, s.fetch, CacheOptions{Block: 100, Bytes: 3200, Parallel: 4})
		begun := time.Now()
		s.expect(t, c, 0, 1600)
		if took := time.Since(begun); s.most != 4 || took > 13*time.Second {
			t.Errorf("%d at a time, %v", s.most, took)
		}
		c.Close()
	})
}

// TestCacheBound: the blocks never take more memory than is allowed, whatever is read,
// and one block less keeps one block less.
func TestCacheBound(t *testing.T) {
	t.Parallel()
	const block = 100
	for _, tt := range []struct{ bytes, slots int64 }{
		{0, 0}, {block - 1, 0}, {block, 1}, {2*block - 1, 1}, {2 * block, 2}, {5 * block, 5},
	} {
		t.Run(fmt.Sprint(tt.bytes), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSlow(50 * block)
				c := NewCache(t.Context(), 50*block, s.fetch, CacheOptions{Block: block, Bytes: tt.bytes, Ahead: 8, Parallel: 8})
				var all sync.WaitGroup
				for reader := range 8 {
					all.Go(func() {
						random := rand.New(rand.NewPCG(uint64(reader), 1))
						for range 20 {
							n := 1 + random.IntN(700)
							s.expect(t, c, random.Int64N(int64(len(s.content)-n)), n)
						}
					})
				}
				all.Wait()
				if c.made != tt.slots || c.made*block > tt.bytes {
					t.Errorf("%d blocks were made, want %d", c.made, tt.slots)
				}
				if kept := int64(c.unread.Len() + c.read.Len() + len(c.buffers)); kept != tt.slots {
					t.Errorf("%d blocks are left, want %d", kept, tt.slots)
				}
				if tt.slots == 0 {
					return
				}
				// What was used last is kept, and what was used longest ago goes.
				s.asked()
				for n := range tt.slots + 1 {
					s.expect(t, c, (3*n+1)*block, 1)
				}
				time.Sleep(time.Minute)
				s.asked()
				s.expect(t, c, (3*tt.slots+1)*block, 1)
				if got := s.asked(); len(got) != 0 {
					t.Errorf("the last block was fetched again: %v", got)
				}
				s.expect(t, c, block, 1)
				if got := s.asked(); !slices.Equal(got, []int64{block}) {
					t.Errorf("the first block was kept: %v", got)
				}
				c.Close()
			})
		})
	}
}

// TestCacheKeeps: the block that was used longest ago makes room, and never one that the
// same read needs.
func TestCacheKeeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const block = 100
		s := newSlow(100 * block)
		c := NewCache(t.Context(), 100*block, s.fetch, CacheOptions{Block: block, Bytes: 4 * block, Parallel: 8})
		defer c.Close()
		for _, step := range []struct {
			first, blocks int64
			want          []int64
		}{
			{0, 1, []int64{0}}, {10, 1, []int64{10}}, {20, 1, []int64{20}}, {30, 1, []int64{30}},
			{0, 1, nil}, {40, 1, []int64{40}}, // in the place of 10
			{0, 1, nil}, {20, 1, nil}, {30, 1, nil}, {40, 1, nil},
			{0, 2, []int64{1}}, // not in the place of 0, although that was used longest ago
			{30, 1, nil}, {10, 1, []int64{10}},
		} {
			s.expect(t, c, step.first*block, int(step.blocks*block))
			synctest.Wait()
			var got []int64
			for _, off := range s.asked() {
				got = append(got, off/block)
			}
			if !slices.Equal(got, step.want) {
				t.Errorf("%d blocks from %d: fetched %v, want %v", step.blocks, step.first, got, step.want)
			}
		}
	})
}

// FuzzCache compares a cache of arbitrary shape with what it reads from, while some
// fetches fail.
func FuzzCache(f *testing.F) {
	f.Add([]byte("0123456789abcdef"), uint8(3), uint8(10), uint8(2), uint64(1))
	f.Add([]byte("x"), uint8(1), uint8(0), uint8(0), uint64(2))
	f.Add(bytes.Repeat([]byte("abcdefg"), 100), uint8(50), uint8(255), uint8(9), uint64(3))
	f.Add([]byte{}, uint8(7), uint8(7), uint8(1), uint64(4))
	f.Fuzz(func(t *testing.T, content []byte, block, blocks, ahead uint8, seed uint64) {
		if block == 0 || len(content) > 1<<16 {
			return
		}
		size := int64(len(content))
		var failed atomic.Int64
		broken := errors.New("broken")
		fetch := func(_ context.Context, p []byte, off int64) error {
			if off < 0 || off+int64(len(p)) > size || len(p) == 0 {
				t.Errorf("%d bytes at %d of %d are fetched", len(p), off, size)
			}
			if failed.Add(1)%7 == 0 {
				return broken
			}
			copy(p, content[off:])
			return nil
		}
		c := NewCache(t.Context(), size, fetch, CacheOptions{
			Block: int64(block), Bytes: int64(block) * int64(blocks), Ahead: int(ahead), Parallel: int(ahead) / 2,
		})
		defer c.Close()
		var all sync.WaitGroup
		for reader := range uint64(3) {
			all.Go(func() {
				random := rand.New(rand.NewPCG(seed, reader))
				for range 50 {
					p := bytes.Repeat([]byte{0xee}, random.IntN(40))
					q := make([]byte, len(p))
					off := random.Int64N(size+20) - 3
					n, err := c.ReadAt(p, off)
					want, wantErr := bytes.NewReader(content).ReadAt(q, off)
					switch {
					case errors.Is(err, broken):
						if n < 0 || n > want || !bytes.Equal(p[:n], q[:n]) {
							t.Errorf("%d bytes at %d before an error", n, off)
						}
					case off < 0 || len(p) == 0: // bytes.Reader has its own ways
						if n != 0 || off < 0 && err == nil {
							t.Errorf("%d bytes at %d: %d, %v", len(p), off, n, err)
						}
					case n != want || !bytes.Equal(p[:n], q[:n]) || (err == nil) != (wantErr == nil) || err != nil && err != io.EOF:
						t.Errorf("%d bytes at %d: %d, %v; want %d, %v", len(p), off, n, err, want, wantErr)
					}
				}
			})
		}
		all.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.made*c.block > int64(block)*int64(blocks) {
			t.Errorf("%d blocks of %d bytes", c.made, c.block)
		}
	})
}

// TestCacheReadWhole: a block that was copied whole goes before one that was not, though
// it was used later.
func TestCacheReadWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const block = 100
		s := newSlow(50 * block)
		c := NewCache(t.Context(), 50*block, s.fetch, CacheOptions{Block: block, Bytes: 3 * block})
		s.expect(t, c, 10*block, block-1) // a byte is left
		s.expect(t, c, 20*block, block)
		s.expect(t, c, 30*block, 1)
		s.expect(t, c, 30*block+1, block-1) // the rest
		s.asked()
		s.expect(t, c, 40*block, 1) // takes the place of 20
		s.expect(t, c, 42*block, 1) // of 30
		s.asked()
		s.expect(t, c, 10*block, 1)
		if got := s.asked(); len(got) != 0 {
			t.Errorf("what was not read whole was fetched again: %v", got)
		}
		s.expect(t, c, 20*block, 1)
		s.expect(t, c, 30*block, 1)
		if got := s.asked(); !slices.Equal(got, []int64{20 * block, 30 * block}) {
			t.Errorf("what was read whole was kept: %v", got)
		}
		c.Close()
	})
}
