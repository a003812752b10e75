package registry

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

var how = flag.String("how", "",
	"read all hives as those that are too large for the memory (cache), or where they are needed (parts)")

// Every test of this package holds for hives that are not held in memory.
func TestThroughCache(t *testing.T) { runAgain(t, "cache", "^(Example|TestShortFile$|TestLargeHive$)") }

// runAgain runs all tests of this package with another value of the flag how, but for some.
func runAgain(t *testing.T, value, skip string) {
	if *how != "" {
		return
	}
	if testing.Short() {
		t.Skip("not in short mode: runs all tests again")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{"-how=" + value, "-test.skip=" + skip}
	flag.Visit(func(f *flag.Flag) {
		if f.Name == "test.run" || f.Name == "test.skip" || f.Name == "test.short" {
			args = append(args, "-"+f.Name+"="+f.Value.String())
		}
	})
	if out, err := exec.Command(self, args...).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// sameThroughCache makes sure that a hive that is not held in memory says the same as h, damage included.
func sameThroughCache(t *testing.T, h *Hive, data []byte, o Options) {
	t.Helper()
	o.InMemory = -1
	cached, err := openBytes(data, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fmt.Sprint(h.Recovery()), fmt.Sprint(cached.Recovery())); diff != "" {
		t.Fatal(diff)
	}
	want, got := count(h), count(cached)
	if want.String() != got.String() || fmt.Sprint(want.errs) != fmt.Sprint(got.errs) {
		t.Fatalf("through the cache %v %v, in memory %v %v", got, got.errs, want, want.errs)
	}
}

// paddedHive is a hive whose first bins are those of small, and whose others, up to the size, hold nothing. It takes no
// more memory than small.
type paddedHive struct {
	small []byte
	size  int64 // of the bins data
	reads int   // bytes
}

func padded(root hivetest.Key, size int64) *paddedHive {
	p := &paddedHive{small: hivetest.Build(root, hivetest.Options{}), size: size}
	le.PutUint32(p.small[40:], uint32(size))
	hivetest.FixChecksum(p.small)
	return p
}

func (p *paddedHive) ReadAt(b []byte, off int64) (int, error) {
	n := int(min(int64(len(b)), baseBlockSize+p.size-off))
	if n <= 0 {
		return 0, io.EOF
	}
	p.reads += n
	clear(b[:n])
	if off < int64(len(p.small)) {
		copy(b[:n], p.small[off:])
	}
	for at := (off + pageSize - 1) / pageSize * pageSize; at+binHeaderSize+4 <= off+int64(n); at += pageSize {
		if at >= int64(len(p.small)) {
			header := b[at-off:]
			copy(header, "hbin")
			le.PutUint32(header[4:], uint32(at-baseBlockSize))
			le.PutUint32(header[8:], pageSize)
			le.PutUint32(header[binHeaderSize:], pageSize-binHeaderSize)
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// A budget is an Options.Reserve of so many bytes.
type budget struct{ left, least int64 }

var errBudget = errors.New("over budget")

func newBudget(n int64) *budget { return &budget{n, n} }

func (b *budget) reserve(n int64) error {
	if n > b.left {
		return errBudget
	}
	b.left -= n
	b.least = min(b.least, b.left)
	return nil
}

// A hive at the bound is held in memory, one above it is read through the cache, and both say the same.
func TestLargeHive(t *testing.T) {
	root := hivetest.Key{Name: "ROOT",
		Subkeys: []hivetest.Key{{Name: "Select",
			Values: []hivetest.Value{dword("Current", 1), {Name: "Big", Type: 3, Data: noise(40_000)}}}}}
	for _, tt := range []struct {
		size     int64
		inMemory bool
	}{
		{DefaultInMemory, true}, {DefaultInMemory + pageSize, false}, {MaxSize, false},
	} {
		if tt.inMemory && testing.Short() {
			continue
		}
		p := padded(root, tt.size)
		b := newBudget(400 << 20)
		h, err := Open(context.Background(), p, baseBlockSize+p.size, Options{Reserve: b.reserve})
		if err != nil {
			t.Fatal(tt.size, err)
		}
		if held := h.bins.data != nil; held != tt.inMemory {
			t.Errorf("%d bytes: held in memory: %v", tt.size, held)
		}
		if took := 400<<20 - b.least; tt.inMemory != (took >= tt.size) || took > 320<<20 {
			t.Errorf("%d bytes: took %d", tt.size, took)
		}
		if len(h.bins.bins) != int(tt.size/pageSize)-len(p.small)/pageSize+1+countBins(p.small) {
			t.Errorf("%d bytes: %d bins", tt.size, len(h.bins.bins))
		}
		k, err := h.Key("select")
		if err != nil {
			t.Fatal(err)
		}
		v, err := k.Value("big")
		if err != nil {
			t.Fatal(err)
		}
		if data, err := v.Data(); err != nil || !bytes.Equal(data, noise(40_000)) {
			t.Errorf("%d bytes: %d bytes of data, %v", tt.size, len(data), err)
		}
		if _, err := k.Subkey("nothing"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%d bytes: %v", tt.size, err)
		}
		if c := count(h); c.keys != 2 || c.values != 2 || c.errs != nil {
			t.Errorf("%d bytes: %v %v", tt.size, c, c.errs)
		}
		// The cell in the last bin is there, and free.
		if _, _, err := h.bins.find(uint32(tt.size - pageSize + binHeaderSize)); err == nil ||
			!strings.Contains(err.Error(), "not allocated") {
			t.Errorf("%d bytes: %v", tt.size, err)
		}
	}
}

// countBins returns how many bins a hive has, as its headers say.
func countBins(hive []byte) (n int) {
	for off := baseBlockSize; off < len(hive); off += int(le.Uint32(hive[off+8:])) {
		n++
	}
	return n
}

// What a hive takes is asked for: with less than it needs it is read through the cache, with less than that not at all.
func TestReserve(t *testing.T) {
	root := hivetest.Key{Name: "ROOT", Values: []hivetest.Value{dword("d", 1)}}
	p := padded(root, 64<<20)
	inMemory, cached := p.size+indexCost(int(p.size))+cacheSize, cacheSize+indexCost(int(p.size))
	for _, tt := range []struct {
		budget int64
		held   bool
		err    error
	}{
		{inMemory, true, nil}, {inMemory - 1, false, nil}, {cached, false, nil}, {cached - 1, false, errBudget},
	} {
		b := newBudget(tt.budget)
		h, err := Open(context.Background(), p, baseBlockSize+p.size, Options{Reserve: b.reserve})
		if !errors.Is(err, tt.err) || errors.Is(err, ErrCorrupt) || (err == nil) != (tt.err == nil) {
			t.Errorf("%d bytes: %v", tt.budget, err)
		}
		if err == nil {
			if held := h.bins.data != nil; held != tt.held {
				t.Errorf("%d bytes: held in memory: %v", tt.budget, held)
			}
			h.Close()
		}
		if b.left != tt.budget {
			t.Errorf("%d of %d bytes stay taken", tt.budget-b.left, tt.budget)
		}
	}
}

// What a caller holds of a hive (lists, data, text) is asked for too; what is refused is no damage and no absence.
func TestReserveForLists(t *testing.T) {
	var many []hivetest.Key
	var values []hivetest.Value
	for i := range 30_000 {
		many = append(many, hivetest.Key{Name: fmt.Sprint("key", i)})
		values = append(values, dword(fmt.Sprint("value", i), 1))
	}
	nuls := make([]byte, 1<<20)
	root := hivetest.Key{Name: "ROOT", Subkeys: many, Values: append(values,
		hivetest.Value{Name: "list", Type: 7, Data: nuls},
		hivetest.Value{Name: "text", Type: 1, Data: wide(strings.Repeat("日", 1<<19))})}
	data := hivetest.Build(root, hivetest.Options{})
	for _, inMemory := range []int64{0, -1} {
		b := newBudget(1 << 30)
		h, err := openBytes(data, Options{Reserve: b.reserve, InMemory: inMemory})
		if err != nil {
			t.Fatal(err)
		}
		k, err := h.Root()
		if err != nil {
			t.Fatal(err)
		}
		list, err := k.Value("list")
		if err != nil {
			t.Fatal(err)
		}
		text, err := k.Value("text")
		if err != nil {
			t.Fatal(err)
		}
		for what, ask := range map[string]func() error{
			"subkeys": func() error { _, err := k.Subkeys(); return err },
			"subkey":  func() error { _, err := k.Subkey("nothing"); return err },
			"values":  func() error { _, err := k.Values(); return err },
			"walk":    func() error { return h.Walk(func(_ *Key, err error) error { return err }) },
			"list":    func() error { _, err := list.Strings(); return err },
			"text":    func() error { _, err := text.String(); return err },
		} {
			b.left, b.least = 64<<20, 64<<20
			if err := ask(); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %v", what, err)
			}
			if b.left != 64<<20 {
				t.Errorf("%s keeps %d bytes", what, 64<<20-b.left)
			}
			needs := 64<<20 - b.least
			if needs == 0 {
				t.Errorf("%s asks for nothing", what)
			}
			b.left = needs
			if err := ask(); err != nil && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s with %d bytes: %v", what, needs, err)
			}
			b.left = needs - 1
			if err := ask(); !errors.Is(err, errBudget) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrCorrupt) {
				t.Errorf("%s with %d bytes: %v", what, needs-1, err)
			}
		}
	}
}

// A log that makes a hive larger than there is memory for leaves it dirty, and says why.
func TestReserveForLogs(t *testing.T) {
	before := hivetest.Build(hivetest.Key{Name: "ROOT"}, hivetest.Options{})
	after := hivetest.Build(hivetest.Key{Name: "ROOT",
		Values: []hivetest.Value{{Name: "v", Type: 3, Data: noise(300_000)}}}, hivetest.Options{})
	log := hivetest.NewFormatLog(before, after, hivetest.LogOptions{First: 2})
	hive := hivetest.Dirty(before, 3, 2)
	for _, inMemory := range []int64{0, -1} {
		for left, want := range map[int64]State{100 << 20: Recovered, 0: Dirty} {
			b, opened := newBudget(100<<20), false
			reserve := func(n int64) error {
				if opened && n > left {
					return errBudget
				}
				opened = opened || b.least < b.left // the bins data were asked for, and then taken
				if inMemory < 0 {
					opened = true
				}
				return b.reserve(n)
			}
			h, err := Open(context.Background(), bytes.NewReader(hive), int64(len(hive)),
				Options{Logs: []Log{logOf("LOG1", log)}, Reserve: reserve, InMemory: inMemory})
			if err != nil {
				t.Fatal(err)
			}
			if held := h.bins.data != nil; held != (inMemory == 0) {
				t.Errorf("held in memory: %v", held)
			}
			r := h.Recovery()
			if r.State != want || (want == Dirty) != errors.Is(r.Err, errBudget) ||
				(want == Dirty) != errors.Is(r.Err, ErrDirty) {
				t.Errorf("%d bytes left: %+v", left, r)
			}
		}
	}
}

// The cache gives blocks up and reads them again; what logs wrote stays.
func TestCacheIsBounded(t *testing.T) {
	p := padded(hivetest.Key{Name: "ROOT"}, 3*cacheSize)
	h, err := Open(context.Background(), p, baseBlockSize+p.size, Options{InMemory: -1})
	if err != nil {
		t.Fatal(err)
	}
	c := h.bins.cache
	if err := c.write(5, []byte("from a log")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for off := 0; off < int(p.size); off += blockSize {
			var b [15]byte
			if err := c.readAt(b[:], off); err != nil {
				t.Fatal(err)
			}
			if want := "hbin"; off > 0 && string(b[:4]) != want || off == 0 && string(b[5:]) != "from a log" {
				t.Fatalf("%q at %d", b, off)
			}
		}
	}
	if len(c.order) != cacheSize/blockSize || len(c.blocks) != len(c.order) {
		t.Errorf("%d blocks, %d known", len(c.order), len(c.blocks))
	}
	// A block that is used again and again is not read again.
	before := p.reads
	for off := 0; off < int(p.size); off += blockSize {
		for _, off := range []int{off, blockSize} {
			if err := c.readAt(make([]byte, 1), off); err != nil {
				t.Fatal(err)
			}
		}
	}
	if reads := p.reads - before; reads > int(p.size)+2*blockSize {
		t.Errorf("%d bytes read of %d", reads, p.size)
	}
}

// An error of the reader that a hive is read from when it is used passes through, and says nothing of what is there.
func TestReadErrorsThroughCache(t *testing.T) {
	root := hivetest.Key{Name: "ROOT"}
	for i := range 4000 {
		root.Subkeys = append(root.Subkeys,
			hivetest.Key{Name: fmt.Sprint("key", i), Values: []hivetest.Value{{Name: "v", Type: 3, Data: noise(500)}}})
	}
	data := hivetest.Build(root, hivetest.Options{List: "li"})
	r := &breaking{bytes.NewReader(data), -1}
	h, err := Open(context.Background(), r, int64(len(data)), Options{InMemory: -1})
	if err != nil {
		t.Fatal(err)
	}
	whole := count(h)
	if whole.keys != 4001 || whole.errs != nil {
		t.Fatal(whole, whole.errs)
	}
	for fails := int64(blockSize); fails < int64(len(data)); fails += 5 * blockSize {
		r.fails = -1
		if h, err = Open(context.Background(), r, int64(len(data)), Options{InMemory: -1}); err != nil {
			t.Fatal(err)
		}
		clear(h.bins.cache.blocks) // as if others had taken their place
		h.bins.cache.order, h.bins.cache.hand = nil, 0
		r.fails = fails
		c := count(h)
		if c.errs == nil {
			t.Errorf("no error at %d", fails)
		}
		for _, err := range c.errs {
			if !errors.Is(err, errDisk) || errors.Is(err, ErrCorrupt) {
				t.Errorf("at %d: %v", fails, err)
			}
		}
		if _, err := h.Key("nothing"); !errors.Is(err, errDisk) && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("at %d: %v", fails, err)
		}
		r.fails = -1
		if again := count(h); again.String() != whole.String() || again.errs != nil {
			t.Errorf("once the disk reads again: %v %v", again, again.errs)
		}
	}
}

// A breaking reader fails where a read meets one offset.
type breaking struct {
	*bytes.Reader
	fails int64 // -1 nowhere
}

func (b *breaking) ReadAt(p []byte, off int64) (int, error) {
	if b.fails >= 0 && off <= b.fails && b.fails < off+int64(len(p)) {
		return 0, errDisk
	}
	return b.Reader.ReadAt(p, off)
}

// A truncated file is read up to its end.
func TestShortFileThroughCache(t *testing.T) {
	data := hivetest.Build(hivetest.Key{Name: "ROOT", Subkeys: keys("a"),
		Values: []hivetest.Value{{Name: "v", Type: 3, Data: noise(300_000)}}}, hivetest.Options{})
	whole, err := openBytes(data, Options{InMemory: -1})
	if err != nil {
		t.Fatal(err)
	}
	cut := data[:len(data)-100_000]
	h, err := Open(context.Background(), bytes.NewReader(cut), int64(len(data)), Options{InMemory: -1})
	if err != nil {
		t.Fatal(err)
	}
	if h.bins.end >= whole.bins.end || h.bins.end == 0 {
		t.Errorf("ends at %d of %d", h.bins.end, whole.bins.end)
	}
	c := count(h)
	if c.errs == nil {
		t.Error("no error")
	}
	for _, err := range c.errs {
		isCorrupt(t, "cut", err)
	}
	if _, err := h.Key("a"); errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// BenchmarkWalkThroughCache is BenchmarkWalk on a hive that is not held in memory.
func BenchmarkWalkThroughCache(b *testing.B) {
	h, err := openBytes(largeHive(), Options{InMemory: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		names := []string{}
		if err := h.Walk(func(k *Key, err error) error {
			if len(names) < 10 {
				names = append(names, k.Name())
			}
			_, valuesErr := k.Values()
			return first(err, valuesErr)
		}); err != nil || slices.Contains(names, "") {
			b.Fatal(err)
		}
	}
}
