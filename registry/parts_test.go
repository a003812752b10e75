package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// partsOf returns an Options.Part for parts of so many bytes, which need not be pages.
func partsOf(size int64) func(off int64) (from, to int64) {
	return func(off int64) (from, to int64) { return off / size * size, (off/size + 1) * size }
}

// Every test of this package holds for hives that are read where they are needed, except for those about damage that
// nobody meets, and the one that compares such a hive with a whole one.
func TestInParts(t *testing.T) {
	if !testenv.Full() {
		t.Skip("runs all tests again")
	}
	runAgain(t, "parts", "^(Example|TestShortFile$|TestLargeHive$|TestDamage$|TestPartsBins$)")
}

// sameInParts makes sure that a hive that is read where it is needed says the same as h, damage included. Where a size
// in a bin's header is damaged, bins are not the same.
func sameInParts(t *testing.T, h *Hive, data []byte, o Options) {
	t.Helper()
	o.Part = partsOf(3 * pageSize / 2)
	parts, err := openBytes(data, o)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(fmt.Sprint(h.Recovery()), fmt.Sprint(parts.Recovery())); diff != "" {
		t.Fatal(diff)
	}
	for page := range (h.bins.end + pageSize - 1) / pageSize {
		a, err := h.bins.binOf(page)
		if err != nil {
			return
		}
		b, err := parts.bins.binOf(page)
		if err != nil {
			t.Fatal(err)
		}
		if a.damaged != b.damaged || !a.damaged && (a.start != b.start || a.end != b.end) {
			return
		}
	}
	want, got := count(h), count(parts)
	if want.String() != got.String() || fmt.Sprint(want.errs) != fmt.Sprint(got.errs) {
		t.Fatalf("in parts %v %v, whole %v %v", got, got.errs, want, want.errs)
	}
}

// counting counts which bytes of a hive are read, and how often.
type counting struct {
	data  []byte
	mu    sync.Mutex
	times map[int64]int // by page
	reads int
	fails bool
}

func (c *counting) ReadAt(p []byte, off int64) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fails {
		return 0, errDisk
	}
	c.reads++
	for at := off / pageSize; at*pageSize < off+int64(len(p)); at++ {
		c.times[at]++
	}
	return bytes.NewReader(c.data).ReadAt(p, off)
}

func openCounting(t *testing.T, data []byte, part int64, logs ...Log) (*Hive, *counting) {
	t.Helper()
	c := &counting{data: data, times: map[int64]int{}}
	h, err := Open(context.Background(), c, int64(len(data)), Options{Part: partsOf(part), Logs: logs})
	if err != nil {
		t.Fatal(err)
	}
	return h, c
}

// wideTree has many keys, each with a value of two pages.
func wideTree(n int) hivetest.Key {
	root := hivetest.Key{Name: "ROOT"}
	for i := range n {
		root.Subkeys = append(root.Subkeys, hivetest.Key{Name: fmt.Sprintf("key%05d", i),
			Values: []hivetest.Value{dword("d", uint32(i)), {Name: "data", Type: 3, Data: noise(2 * pageSize)}}})
	}
	return root
}

// Little of a hive is read for one value, each part of it once, and in few reads.
func TestPartsAreFew(t *testing.T) {
	const part = 64 << 10
	data := hivetest.Build(wideTree(1000), hivetest.Options{})
	h, c := openCounting(t, data, part)
	if c.reads != 1 {
		t.Errorf("Open reads %d times", c.reads)
	}
	k, err := h.Key("key00500")
	if err != nil {
		t.Fatal(err)
	}
	if v, err := k.Value("d"); err != nil {
		t.Error(err)
	} else if n, err := v.Uint32(); n != 500 || err != nil {
		t.Error(n, err)
	}
	if all := len(data) / part; c.reads > 8 || all < 100 {
		t.Errorf("%d reads, a hive of %d parts", c.reads, all)
	}
	if _, err := h.Key("nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if got := count(h); got.keys != 1001 || got.values != 2000 || got.errs != nil {
		t.Errorf("%v %v", got, got.errs)
	}
	for page, n := range c.times {
		if n > 1 && page > 1 { // the base block and the first header are read before
			t.Fatalf("page %d was read %d times", page, n)
		}
	}
}

// What logs wrote is kept when the file's data for the same part are read, also past the end of the file.
func TestPartsAndLogs(t *testing.T) {
	before, after := wideTree(40), wideTree(60)
	for i := range after.Subkeys {
		after.Subkeys[i].Values[0] = dword("d", uint32(1000+i))
	}
	old, new := hivetest.Build(before, hivetest.Options{}), hivetest.Build(after, hivetest.Options{})
	dirty := hivetest.Dirty(old, 3, 2)
	for name, log := range map[string][]byte{
		"new": hivetest.NewFormatLog(dirty, hivetest.Dirty(new, 3, 2), hivetest.LogOptions{First: 2, Entries: 5}),
		"old": hivetest.OldFormatLog(dirty, hivetest.Dirty(new, 3, 2), hivetest.LogOptions{First: 3}),
	} {
		for _, part := range []int64{pageSize, 5000, 64 << 10, 1 << 30} {
			o := Options{Logs: []Log{logOf("LOG1", log)}}
			whole, err := openBytes(dirty, o)
			if err != nil {
				t.Fatal(err)
			}
			h, c := openCounting(t, dirty, part, o.Logs...)
			if diff := cmp.Diff(whole.Recovery(), h.Recovery()); diff != "" || h.Recovery().State != Recovered {
				t.Fatalf("%s, parts of %d: %v", name, part, diff)
			}
			if all := len(dirty) / pageSize; name == "new" && c.reads > 2 {
				t.Errorf("%s, parts of %d: %d reads of %d pages to apply a log", name, part, c.reads, all)
			}
			want, got := count(whole), count(h)
			if got.String() != want.String() || got.errs != nil || got.keys != 61 {
				t.Errorf("%s, parts of %d: %v %v, whole %v", name, part, got, got.errs, want)
			}
			for i := range after.Subkeys {
				k, err := h.Key(after.Subkeys[i].Name)
				if err != nil {
					t.Fatal(err)
				}
				for _, want := range after.Subkeys[i].Values {
					v, err := k.Value(want.Name)
					if err != nil {
						t.Fatal(err)
					}
					if data, err := v.Data(); err != nil || !bytes.Equal(data, want.Data) {
						t.Errorf("%s, parts of %d: %s of %s: %v", name, part, want.Name, k.Name(), err)
					}
				}
			}
		}
	}
}

// The bin of a page is that of the last header before it, which may be many pages before.
func TestPartsBins(t *testing.T) {
	p := sixBins(t)
	whole := p.open()
	header := func(page int) []byte { return p.data[baseBlockSize+page*pageSize:] }
	at := func(h *Hive, page int) string {
		b, err := h.bins.binOf(page)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d-%d %v", b.start/pageSize, b.end/pageSize, b.damaged)
	}
	check := func(what string, order []int, want ...string) {
		t.Helper()
		h, _ := openCounting(t, p.data, pageSize)
		for _, page := range order {
			if got := at(h, page); got != want[page] {
				t.Errorf("%s: page %d: %s, want %s", what, page, got, want[page])
			}
		}
	}
	if n := len(whole.bins.bins); n < 6 {
		t.Fatalf("%d bins", n)
	}
	check("intact", []int{0, 1, 2, 3}, "0-1 false", "1-2 false", "2-3 false", "3-4 false")
	header(1)[0] = 0
	header(2)[0] = 0
	check("two damaged headers", []int{2, 3, 1, 0}, "0-1 false", "1-3 true", "1-3 true", "3-4 false")
	header(1)[0], header(2)[0] = 'h', 'h'
	header(1)[9] = 2 * pageSize >> 8
	check("a size over the next bin", []int{2, 1}, "", "1-3 true", "2-3 false")
	header(2)[0] = 0
	check("a bin of two pages", []int{2, 1, 3}, "", "1-3 false", "1-3 false", "3-4 false")
	header(0)[0] = 0
	check("no header", []int{0}, "0-1 true")
	h, _ := openCounting(t, p.data, pageSize)
	if d := h.Damage(); d.Bins != 0 {
		t.Errorf("%+v", d)
	}
	at(h, 0)
	if d := h.Damage(); d.Bins != 1 || d.First != baseBlockSize {
		t.Errorf("%+v", d)
	}
}

// The error of a reader is no damage and no absence, and the next read may succeed.
func TestPartsReadError(t *testing.T) {
	h, c := openCounting(t, hivetest.Build(wideTree(100), hivetest.Options{}), 16<<10)
	c.fails = true
	for _, ask := range []func() error{
		func() error { _, err := h.Key("key00007"); return err },
		func() error { _, err := h.Key("nothing"); return err },
		func() error { _, err := h.Root(); return err },
	} {
		if err := ask(); !errors.Is(err, errDisk) || errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	c.fails = false
	root, err := h.Root()
	if err != nil {
		t.Fatal(err)
	}
	c.fails = true
	if _, err := root.Subkeys(); !errors.Is(err, errDisk) {
		t.Error(err)
	}
	c.fails = false
	if got := count(h); got.keys != 101 || got.errs != nil {
		t.Errorf("%v %v", got, got.errs)
	}
}

// A file that ends before it should gives an error for what is missing.
func TestPartsShortFile(t *testing.T) {
	data := hivetest.Build(wideTree(100), hivetest.Options{})
	c := &counting{data: data[:len(data)/2], times: map[int64]int{}}
	h, err := Open(context.Background(), c, int64(len(data)), Options{Part: partsOf(16 << 10)})
	if err != nil {
		t.Fatal(err)
	}
	got := count(h)
	if len(got.errs) == 0 {
		t.Error("no error")
	}
	for _, err := range got.errs {
		if !errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
}

// Many may read a hive in parts at the same time.
func TestPartsConcurrent(t *testing.T) {
	h, _ := openCounting(t, hivetest.Build(wideTree(200), hivetest.Options{}), 10_000)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			if got := count(h); got.keys != 201 || got.values != 400 || got.errs != nil {
				t.Errorf("%v %v", got, got.errs)
			}
		})
	}
	group.Wait()
}
