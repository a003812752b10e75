package registry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

// A patched is a hive file that a test damages.
type patched struct {
	t    testing.TB
	data []byte
}

func build(t testing.TB, root hivetest.Key, o hivetest.Options) patched {
	return patched{t, hivetest.Build(root, o)}
}

// open opens the file as it is now.
func (p patched) open() *Hive {
	p.t.Helper()
	h, err := openBytes(p.data, Options{NoRecovery: true})
	if err != nil {
		p.t.Fatal(err)
	}
	return h
}

// key returns a key of the file as it is now.
func (p patched) key(path string) *Key {
	p.t.Helper()
	k, err := p.open().Key(path)
	if err != nil {
		p.t.Fatal(err)
	}
	return k
}

// value returns a value of the file as it is now.
func (p patched) value(path, name string) *Value {
	p.t.Helper()
	v, err := p.key(path).Value(name)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// cell returns the content of the cell at an offset of the bins data, without looking at its size.
func (p patched) cell(offset uint32) []byte { return p.data[fileOffset(offset)+4:] }

// size returns the size field of that cell.
func (p patched) size(offset uint32) []byte { return p.data[fileOffset(offset):] }

// node returns the node of a key.
func (p patched) node(path string) []byte { return p.cell(p.key(path).offset) }

// list returns the list of subkeys of a key.
func (p patched) list(path string) []byte { return p.cell(p.key(path).subkeyListOffset()) }

func keys(names ...string) []hivetest.Key {
	var k []hivetest.Key
	for _, n := range names {
		k = append(k, hivetest.Key{Name: n})
	}
	return k
}

func names(keys []*Key) string {
	var n []string
	for _, k := range keys {
		n = append(n, k.Name())
	}
	return strings.Join(n, " ")
}

// isCorrupt makes sure that an error is ErrCorrupt and nothing else, and that it names something.
func isCorrupt(t *testing.T, what string, err error, names ...string) {
	t.Helper()
	if !errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s: %v, want ErrCorrupt", what, err)
		return
	}
	for _, n := range names {
		if !strings.Contains(err.Error(), n) {
			t.Errorf("%s: the message %q does not name %s", what, err, n)
		}
	}
}

func TestBaseBlock(t *testing.T) {
	set := func(off int, v uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			le.PutUint32(b[off:], v)
			hivetest.FixChecksum(b)
			return b
		}
	}
	same := func(b []byte) []byte { return b }
	for _, tt := range []struct {
		name   string
		change func([]byte) []byte
		want   error  // of Open
		names  string // in its message
	}{
		{"whole", same, nil, ""},
		{"version 1.2", set(24, 2), ErrUnsupported, "1.2"},
		{"version 1.3", set(24, 3), nil, ""},
		{"version 1.6", set(24, 6), nil, ""},
		{"version 1.7", set(24, 7), ErrUnsupported, "1.7"},
		{"version 2.5", set(20, 2), ErrUnsupported, "2.5"},
		{"a log", set(28, 6), ErrUnsupported, "transaction log"},
		{"file format", set(32, 2), ErrUnsupported, "file format 2"},
		{"bins data of the largest size", set(40, MaxSize), nil, ""},
		{"bins data over the largest size", set(40, MaxSize+4096), ErrUnsupported, "2147487744 bytes"},
		{"no bins data", set(40, 0), nil, ""},
		{"empty", func([]byte) []byte { return nil }, ErrCorrupt, "0 bytes"},
		{"half a sector", func(b []byte) []byte { return b[:511] }, ErrCorrupt, "511 bytes"},
		{"a sector", func(b []byte) []byte { return b[:512] }, nil, ""},
		{"another file", func(b []byte) []byte { return bytes.Repeat([]byte("MZ"), 8192) }, ErrCorrupt, "4d 5a"},
		{"checksum", func(b []byte) []byte { b[508]++; return b }, nil, ""},
		{"checksum and version", func(b []byte) []byte { b[20] = 3; return b }, ErrCorrupt, "version 3.5"},
		{"zeroed base block", func(b []byte) []byte { clear(b[:4096]); return b }, ErrCorrupt, "regf"},
		{"zeroed head", func(b []byte) []byte { clear(b[:4200]); return b }, ErrCorrupt, "regf"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			data := tt.change(hivetest.Empty("ROOT"))
			h, err := openBytes(data, Options{})
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.names) {
				t.Fatalf("error %v, want %v that names %q", err, tt.want, tt.names)
			}
			if err == nil {
				count(h)
			}
		})
	}
}

func TestChecksum(t *testing.T) {
	for word, want := range map[uint32]uint32{0: 1, 0xFFFFFFFF: 0xFFFFFFFE, 5: 5} {
		sector := make([]byte, sectorSize)
		le.PutUint32(sector[100:], word)
		if got := checksum(sector); got != want {
			t.Errorf("checksum of 0x%x: 0x%x, want 0x%x", word, got, want)
		}
	}
}

func TestHiveInfo(t *testing.T) {
	h := build(t, hivetest.Key{Name: "ROOT"},
		hivetest.Options{Minor: 3, FileName: `\??\C:\a\long\enough\path\to\be\cut\Users\x\ntuser.dat`}).open()
	if got := h.FileName(); !strings.HasSuffix(got, `\Users\x\ntuser.dat`) || len(got) != 32 {
		t.Errorf("FileName = %q", got)
	}
	if got := h.LastWritten().Format("2006-01-02T15:04:05.999999999Z07:00"); got != "2020-01-01T00:00:00Z" {
		t.Errorf("LastWritten = %s", got)
	}
	if major, minor := h.Version(); major != 1 || minor != 3 {
		t.Errorf("Version = %d.%d", major, minor)
	}
	if r := h.Recovery(); r.State != Clean || r.Err != nil {
		t.Errorf("Recovery = %+v", r)
	}
}

// failing is a reader that fails from an offset on.
type failing struct {
	r    io.ReaderAt
	from int64
}

var errDisk = errors.New("bad sector")

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) <= f.from {
		return f.r.ReadAt(p, off)
	}
	n, _ := f.r.ReadAt(p[:max(f.from-off, 0)], off)
	return n, errDisk
}

func TestReadErrorsPassThrough(t *testing.T) {
	data := hivetest.Build(hivetest.Key{Name: "ROOT", Subkeys: keys("a", "b")}, hivetest.Options{})
	for _, from := range []int64{0, 100, 4096, 8000} {
		if _, err := Open(context.Background(), failing{bytes.NewReader(data), from}, int64(len(data)),
			Options{}); !errors.Is(err, errDisk) || errors.Is(err, ErrCorrupt) {
			t.Errorf("failing at %d: %v", from, err)
		}
	}
}

// A file that is shorter than it claims to be costs no more memory than it has bytes.
func TestShortFile(t *testing.T) {
	data := hivetest.Empty("ROOT")
	le.PutUint32(data[40:], 200<<20)
	hivetest.FixChecksum(data)
	h, err := Open(context.Background(), bytes.NewReader(data), 200<<20, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(h.bins.data) != 4096 || cap(h.bins.data) > readSize {
		t.Errorf("%d bytes held in %d", len(h.bins.data), cap(h.bins.data))
	}
	if _, err := h.Root(); err != nil {
		t.Error(err)
	}
}

func TestKeyPaths(t *testing.T) {
	p := build(t, hivetest.Key{Name: "ROOT",
		Subkeys: []hivetest.Key{{Name: "A", Subkeys: []hivetest.Key{{Name: "Größe", Subkeys: keys("日本")}}}}},
		hivetest.Options{})
	h := p.open()
	for path, want := range map[string]string{
		"": "", `\`: "", "a": "A", `A\größe`: `A\Größe`, `\A\\GRÖSSE`: "-", `a\GRÖßE\日本\`: `A\Größe\日本`,
		`A\\größe`: `A\Größe`,
		`A\B`:      "-", `B`: "-", "日本": "-",
	} {
		k, err := h.Key(path)
		if want == "-" {
			if !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrCorrupt) {
				t.Errorf("%q: %v, want fs.ErrNotExist", path, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%q: %v", path, err)
		} else if k.Path() != want {
			t.Errorf("%q: path %q, want %q", path, k.Path(), want)
		}
	}
	_, err := h.Key(`A\Größe\no\such`)
	if want := `key "A\Größe\no": no such key`; fmt.Sprint(err) != want {
		t.Errorf("error %q, want %q", err, want)
	}
}

// A base block that names another key for the root shows a part of the hive as
// all of it.
func TestRootIsSubkey(t *testing.T) {
	root := hivetest.Key{Name: "ROOT", Subkeys: []hivetest.Key{{Name: "A", Subkeys: []hivetest.Key{{Name: "B"}}}}}
	for _, path := range []string{"A", `A\B`} {
		p := build(t, root, hivetest.Options{})
		le.PutUint32(p.data[36:], p.key(path).offset)
		hivetest.FixChecksum(p.data)
		if _, err := p.open().Root(); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", path, err)
		}
	}
	// Not every writer marks the root.
	p := build(t, root, hivetest.Options{})
	le.PutUint16(p.node("")[2:], flagCompressedName)
	if _, err := p.open().Root(); err != nil {
		t.Error(err)
	}
}

// The cells of a bin are marked once, whoever comes first to it: the race detector
// tells.
func TestConcurrentFirstUse(t *testing.T) {
	root := hivetest.Key{Name: "ROOT"}
	for i := range 200 {
		root.Subkeys = append(root.Subkeys, hivetest.Key{Name: fmt.Sprint("key", i)})
	}
	for range 100 {
		h := build(t, root, hivetest.Options{}).open()
		begin, done := make(chan struct{}), make(chan error)
		for range 4 {
			go func() {
				<-begin
				_, err := h.Key("key100")
				done <- err
			}()
		}
		close(begin)
		for range 4 {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	root := hivetest.Key{Name: "ROOT"}
	for i := range 200 {
		root.Subkeys = append(root.Subkeys,
			hivetest.Key{Name: fmt.Sprint("key", i), Values: []hivetest.Value{{Name: "v", Type: 3, Data: make([]byte, 500)}}})
	}
	h := build(t, root, hivetest.Options{}).open()
	done := make(chan census)
	for range 8 {
		go func() { done <- count(h) }()
	}
	first := <-done
	for range 7 {
		if c := <-done; c.String() != first.String() || c.errs != nil || c.keys != 201 {
			t.Errorf("%v %v, want %v", c, c.errs, first)
		}
	}
}
