package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

// sixBins is a hive of several bins: a key in each of them with a value that fills most of a bin.
func sixBins(t testing.TB) patched {
	root := hivetest.Key{Name: "ROOT"}
	for i := range 6 {
		root.Subkeys = append(root.Subkeys,
			hivetest.Key{Name: fmt.Sprint("key", i), Values: []hivetest.Value{{Name: "v", Type: 3, Data: make([]byte, 3500)}}})
	}
	return build(t, root, hivetest.Options{})
}

func TestCell(t *testing.T) {
	p := build(t, hivetest.Key{Name: "ROOT", Values: []hivetest.Value{{Name: "v", Type: 3, Data: make([]byte, 100)}}},
		hivetest.Options{})
	v := p.value("", "v")
	data := v.dataOffset()
	end := uint32(len(p.data) - baseBlockSize)
	for _, tt := range []struct {
		name   string
		offset uint32
		names  string
	}{
		{"not aligned", data + 4, "no cell can be there"},
		{"in the header of the bin", 8, "no cell starts there"},
		{"in the middle of a cell", data + 8, "no cell starts there"},
		{"at the end", end, "no cell can be there"},
		{"nowhere", noOffset, "no cell can be there"},
		{"not allocated", p.open().lastFree(), "not allocated"},
	} {
		_, _, err := p.open().bins.find(tt.offset)
		isCorrupt(t, tt.name, err, tt.names, fmt.Sprintf("0x%x", fileOffset(tt.offset)))
	}
	cell, length, err := p.open().bins.cell(data, 1<<20)
	if err != nil || len(cell) < 100 || cap(cell) != len(cell) || length != len(cell) {
		t.Errorf("cell of %d bytes, capacity %d, %v", len(cell), cap(cell), err)
	}

	for name, size := range map[string]int32{
		"size 0": 0, "size -4": -4, "size -12": -12, "beyond the bin": -4096, "smallest": -1 << 31, "largest": 1<<31 - 8,
	} {
		p := patched{t, append([]byte(nil), p.data...)}
		le.PutUint32(p.size(data), uint32(size))
		_, _, err := p.open().bins.find(data)
		isCorrupt(t, name, err)
	}
}

// Where the cells of a bin do not fill it one of them lies about its size, and it is not known which: nothing in the
// bin
// is taken for what it seems, and what is in other bins is.
func TestCellsDoNotFillBin(t *testing.T) {
	whole := sixBins(t)
	last := whole.open().lastFree()
	for name, size := range map[string]uint32{"too large": 8, "too small": ^uint32(7), "zero": 0} {
		p := sixBins(t)
		field := p.size(last)
		if size != 0 {
			size += le.Uint32(field)
		}
		le.PutUint32(field, size)
		h := p.open()
		of, err := h.bins.binOf(int(last / pageSize))
		if err != nil {
			t.Fatal(err)
		}
		broken := of.start
		refused := 0
		for i := range 6 {
			offset := whole.value(fmt.Sprint("key", i), "v").dataOffset()
			_, _, err := h.bins.find(offset)
			if (err != nil) != (int(offset) >= broken) {
				t.Errorf("%s: data of key %d at 0x%x: %v", name, i, offset, err)
			}
			if err != nil {
				refused++
				isCorrupt(t, name, err, "in a bin whose cells do not fill it")
			}
		}
		if refused != 1 {
			t.Errorf("%s: %d of 6 values refused, want 1", name, refused)
		}
	}
}

// lastFree returns the offset of the last cell that is not allocated.
func (h *Hive) lastFree() uint32 {
	for off := uint32(h.bins.end - 8); ; off -= 8 {
		if _, _, err := h.bins.find(off); errors.Is(err, ErrCorrupt) && err.(*damage).format == "the cell is not allocated" {
			return off
		}
	}
}

// Reading a bin with a damaged header gives an error; the rest is read.
func TestDamagedBins(t *testing.T) {
	whole := count(sixBins(t).open())
	if whole.keys != 7 || whole.values != 6 || whole.errs != nil {
		t.Fatal(whole, whole.errs)
	}
	for name, damage := range map[string]func(header []byte){
		"signature":  func(h []byte) { h[0] = 'g' },
		"offset":     func(h []byte) { h[5]++ },
		"size 0":     func(h []byte) { clear(h[8:12]) },
		"size 4097":  func(h []byte) { h[8] = 1 },
		"size huge":  func(h []byte) { h[11] = 0xFF },
		"first cell": func(h []byte) { clear(h[32:36]) },
	} {
		for bin := 1; bin < 6; bin++ {
			p := sixBins(t)
			damage(p.data[4096+4096*bin:])
			got := count(p.open())
			// The last bin holds the root's list of subkeys, any other one key and what is next to it.
			if len(got.errs) == 0 || bin < 5 && got.keys < 6 {
				t.Errorf("%s of bin %d: %v, %v", name, bin, got, got.errs)
			}
			for _, err := range got.errs {
				isCorrupt(t, fmt.Sprintf("%s of bin %d", name, bin), err, "key", "0x")
			}
			// No key and no value is said to be not there.
			h := p.open()
			for i := range 6 {
				k, err := h.Key(fmt.Sprint("KEY", i))
				if err == nil {
					_, err = k.Value("V")
				}
				if errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s of bin %d: %v", name, bin, err)
				}
			}
		}
	}
}

// A bin whose size field runs over the next bins hides them; where it stops being a bin, the next intact header counts.
func TestBinsAreFoundAgain(t *testing.T) {
	if *how == "parts" {
		t.Skip("bins are not found in order")
	}
	p := sixBins(t)
	h := p.open()
	n := len(h.bins.bins)
	p.data[4096+4096] = 0
	h = p.open()
	if len(h.bins.bins) != n || !h.bins.bins[1].damaged || h.bins.bins[2].damaged {
		t.Errorf("%d bins, want %d, the second damaged", len(h.bins.bins), n)
	}
	p.data[4096+8192] = 0
	h = p.open()
	if len(h.bins.bins) != n-1 || !h.bins.bins[1].damaged || h.bins.bins[2].damaged || h.bins.bins[1].end != 3*pageSize {
		t.Errorf("%d bins, want %d, the second damaged and of two pages", len(h.bins.bins), n-1)
	}
}

func TestTruncatedHive(t *testing.T) {
	whole := sixBins(t)
	for size := len(whole.data) - 1; size > 8192; size -= 777 {
		h, err := openBytes(whole.data[:size], Options{})
		if err != nil {
			t.Fatal(err)
		}
		if r := h.Recovery(); r.State != Clean {
			t.Errorf("%d bytes: %+v", size, r)
		}
		c := count(h)
		if size <= len(whole.data)-4096 && c.errs == nil {
			t.Errorf("%d bytes: no error", size)
		}
		for _, err := range c.errs {
			isCorrupt(t, fmt.Sprint(size, " bytes"), err)
		}
		for i := range 6 {
			if _, err := h.Key(fmt.Sprint("key", i)); errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%d bytes: %v", size, err)
			}
		}
	}
	// Bytes behind the bins data are nobody's business.
	h, err := openBytes(append(whole.data, make([]byte, 5000)...), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if c := count(h); c.errs != nil || c.keys != 7 {
		t.Errorf("with padding: %v %v", c, c.errs)
	}
}

// One wrong bit anywhere in the bins data makes no key of a hive with hashes seem absent, and no value but the one
// whose
// name it is in.
func TestWrongBits(t *testing.T) {
	root := hivetest.Key{Name: "ROOT"}
	for i := range 20 {
		root.Subkeys = append(root.Subkeys, hivetest.Key{Name: fmt.Sprint("Key", i), Values: []hivetest.Value{
			{Name: "Start", Type: 4, Data: []byte{2, 0, 0, 0}}, {Name: "ImagePath", Type: 2, Data: wide(`%SystemRoot%\x.exe`)},
		}, Subkeys: keys("Parameters", "Größe")})
	}
	whole := hivetest.Build(root, hivetest.Options{})
	random := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		data := bytes.Clone(whole)
		at := baseBlockSize + random.IntN(len(data)-baseBlockSize)
		data[at] ^= 1 << random.IntN(8)
		h, err := openBytes(data, Options{})
		if err != nil {
			t.Fatal(err)
		}
		count(h)
		for _, k := range root.Subkeys {
			for _, path := range []string{k.Name, k.Name + `\Parameters`, k.Name + `\größe`} {
				if _, err := h.Key(path); errors.Is(err, fs.ErrNotExist) {
					t.Errorf("a bit at 0x%x: %v", at, err)
				}
			}
			for _, v := range k.Values {
				key, err := h.Key(k.Name)
				if err == nil {
					_, err = key.Value(v.Name)
				}
				if named := bytes.LastIndex(whole[:at+1], []byte("vk")); errors.Is(err, fs.ErrNotExist) &&
					at-named > valueRecordSize+len(v.Name) {
					t.Errorf("a bit at 0x%x: %v", at, err)
				}
			}
		}
	}
}
