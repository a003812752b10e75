package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"testing"

	"www.velocidex.com/golang/regparser"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

// largeHive is a hive of about 150 MB in the shape of a SOFTWARE hive: 200,000 keys with three values each, and one key
// with 8,000 subkeys.
var largeHive = sync.OnceValue(func() []byte {
	values := []hivetest.Value{
		{Name: "", Type: 1, Data: wide("A description of what this is, as long as such things are\x00")},
		{Name: "InprocServer32", Type: 2, Data: wide(`%SystemRoot%\system32\somelibrary.dll` + "\x00")},
		{Name: "Data", Type: 3, Data: noise(180)},
	}
	root := hivetest.Key{Name: "ROOT"}
	for i := range 20 {
		top := hivetest.Key{Name: fmt.Sprint("Vendor", i)}
		for j := range 100 {
			product := hivetest.Key{Name: fmt.Sprint("Product", j)}
			for k := range 100 {
				product.Subkeys = append(product.Subkeys,
					hivetest.Key{Name: fmt.Sprintf("{%08x-0000-0000-0000-%012x}", i*7919+j, k), Values: values})
			}
			top.Subkeys = append(top.Subkeys, product)
		}
		root.Subkeys = append(root.Subkeys, top)
	}
	classes := hivetest.Key{Name: "CLSID"}
	for i := range 8000 {
		classes.Subkeys = append(classes.Subkeys,
			hivetest.Key{Name: fmt.Sprintf("{%08X-1111-2222-3333-444455556666}", i*7919), Values: values})
	}
	root.Subkeys = append(root.Subkeys, classes)
	return hivetest.Build(root, hivetest.Options{})
})

// A lookup is a key and a value in it, or a key that is not there.
type lookup struct {
	key, value string
	absent     bool
}

// lookups are 200 as a scan does them: most values are there, some keys are not, some keys have thousands of
// neighbours.
var lookups = func() []lookup {
	var l []lookup
	for i := range 150 {
		l = append(l, lookup{fmt.Sprintf(`vendor%d\Product%d\{%08x-0000-0000-0000-%012x}`, i%20, i%100, i%20*7919+i%100,
			i%90), "inprocserver32", false})
	}
	for i := range 30 {
		l = append(l, lookup{fmt.Sprintf(`CLSID\{%08x-1111-2222-3333-444455556666}`, i*200*7919), "Data", false})
	}
	for i := range 15 {
		l = append(l, lookup{fmt.Sprintf(`Vendor%d\Product%d\nothing`, i, i), "", true})
	}
	for i := range 5 {
		l = append(l, lookup{fmt.Sprintf(`CLSID\nothing%d`, i), "", true})
	}
	return l
}()

func BenchmarkOpen(b *testing.B) {
	data := largeHive()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		h, err := Open(context.Background(), bytes.NewReader(data), int64(len(data)), Options{})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := h.Root(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLookups does all 200 look-ups in an open hive.
func BenchmarkLookups(b *testing.B) {
	h, err := openBytes(largeHive(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, l := range lookups {
			k, err := h.Key(l.key)
			if l.absent {
				if !errors.Is(err, fs.ErrNotExist) {
					b.Fatal(l, err)
				}
				continue
			}
			if err != nil {
				b.Fatal(err)
			}
			v, err := k.Value(l.value)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := v.Data(); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkRegparserLookups does the same with regparser, on the hive in memory.
func BenchmarkRegparserLookups(b *testing.B) {
	r, err := regparser.NewRegistry(bytes.NewReader(largeHive()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		for _, l := range lookups {
			k := r.OpenKey(l.key)
			if (k == nil) != l.absent {
				b.Fatal(l)
			}
			if k != nil {
				for _, v := range k.Values() {
					v.ValueData()
				}
			}
		}
	}
}

func BenchmarkWalk(b *testing.B) {
	h, err := openBytes(largeHive(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		keys, values := 0, 0
		if err := h.Walk(func(k *Key, err error) error {
			if err != nil {
				return err
			}
			keys++
			v, err := k.Values()
			values += len(v)
			return err
		}); err != nil || keys != 210_022 {
			b.Fatal(keys, values, err)
		}
	}
}

func BenchmarkMarvin32(b *testing.B) {
	data := noise(1 << 20)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		marvin32(data)
	}
}

// BenchmarkRecovery replays 64 pages in 16 entries into a hive.
func BenchmarkRecovery(b *testing.B) {
	before := largeHive()[:baseBlockSize+8<<20]
	before = hivetest.Dirty(before, 3, 2)
	le.PutUint32(before[40:], 8<<20)
	hivetest.FixChecksum(before)
	after := bytes.Clone(before)
	for i := range 64 {
		after[baseBlockSize+i*100_000+500] ^= 1
	}
	log := hivetest.NewFormatLog(before, after, hivetest.LogOptions{First: 2, Entries: 16})
	b.ReportAllocs()
	for b.Loop() {
		h, err := openBytes(before, Options{Logs: []Log{logOf("LOG1", log)}})
		if err != nil || h.Recovery().State != Recovered {
			b.Fatal(err, h.Recovery())
		}
	}
}
