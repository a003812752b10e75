package packages

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/adler32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// testdata returns a file that testdata/make.sh made, unpacked.
func testdata(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(name, ".gz") {
		return data
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	data, err = io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// tree makes a filesystem of names and contents.
func tree(files map[string]string) fstest.MapFS {
	m := fstest.MapFS{}
	for name, content := range files {
		m[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o644, ModTime: time.Unix(1700000000, 0)}
	}
	return m
}

// with returns a filesystem with one file more.
func with(m fstest.MapFS, name string, data []byte) fstest.MapFS {
	n := fstest.MapFS{name: {Data: data, Mode: 0o644}}
	for k, v := range m {
		if k != name {
			n[k] = v
		}
	}
	return n
}

// packageLines has the packages as make.sh writes them.
func packageLines(db *Database) string {
	var lines []string
	for _, p := range db.packages {
		at := int64(0)
		if !p.Installed.IsZero() {
			at = p.Installed.Unix()
		}
		lines = append(lines, fmt.Sprintf("%s\t%d\t%s\t%s\t%s\t%d\t%s\t%s\n", p.Name, p.Epoch, p.Version, p.Release, p.Arch,
			at, p.Vendor, p.Packager))
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// fileLines has the owned paths as make.sh writes them.
func fileLines(t testing.TB, db *Database) string {
	t.Helper()
	var lines []string
	for _, p := range db.packages {
		paths, err := db.Files(p)
		if err != nil {
			t.Errorf("files of %s: %v", p.Name, err)
		}
		for _, path := range paths {
			lines = append(lines, fmt.Sprintf("%s.%s\t%s\n", p.Name, p.Arch, path))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// tag is an entry of a header that headerBlob writes: data is a string, a list
// of strings, or a list of numbers.
type tag struct {
	number int
	data   any
}

// headerBlob writes a header as it is in a database: a region with the first
// tags, and the added ones behind it.
func headerBlob(tags, added []tag) []byte {
	be := binary.BigEndian
	var index, data []byte
	entry := func(number, kind, offset, count int) {
		for _, n := range []int{number, kind, offset, count} {
			index = be.AppendUint32(index, uint32(n))
		}
	}
	write := func(tags []tag) {
		for _, t := range tags {
			switch v := t.data.(type) {
			case string:
				entry(t.number, typeString, len(data), 1)
				data = append(data, v+"\x00"...)
			case []string:
				entry(t.number, typeStringArray, len(data), len(v))
				for _, s := range v {
					data = append(data, s+"\x00"...)
				}
			case []uint32:
				for len(data)%4 != 0 {
					data = append(data, 0)
				}
				entry(t.number, typeInt32, len(data), len(v))
				for _, n := range v {
					data = be.AppendUint32(data, n)
				}
			}
		}
	}
	write(tags)
	entries := index
	index = nil
	entry(tagHeaderImmutable, typeBin, len(data), entrySize)
	for _, n := range []int{tagHeaderImmutable, typeBin, -entrySize * (len(tags) + 1), entrySize} {
		data = be.AppendUint32(data, uint32(n))
	}
	index = append(index, entries...)
	write(added)
	blob := be.AppendUint32(nil, uint32(len(index)/entrySize))
	blob = be.AppendUint32(blob, uint32(len(data)))
	return append(append(blob, index...), data...)
}

// named is the smallest header of a package, and more tags.
func named(name string, more ...tag) []byte {
	return headerBlob(append([]tag{{tagName, name}, {tagVersion, "1"}, {tagRelease, "2"}}, more...), nil)
}

// ndb writes an NDB with headers by their numbers, in the order of their
// places.
func ndb(headers ...ndbHeader) []byte {
	le := binary.LittleEndian
	pages := (len(headers)+2)*ndbSlotSize/ndbPageSize + 1
	file := make([]byte, pages*ndbPageSize)
	for at := 0; at < len(file); at += ndbSlotSize {
		le.PutUint32(file[at:], ndbSlotMagic)
	}
	clear(file[:ndbHeaderSize])
	le.PutUint32(file, ndbMagic)
	le.PutUint32(file[12:], uint32(pages))
	for i, h := range headers {
		start := len(file)
		file = le.AppendUint32(file, ndbHeadMagic)
		file = le.AppendUint32(file, h.number)
		file = le.AppendUint32(file, 1700000000)
		file = le.AppendUint32(file, uint32(len(h.blob)))
		file = append(file, h.blob...)
		for (len(file)+ndbTailSize)%ndbBlockSize != 0 {
			file = append(file, 0)
		}
		file = le.AppendUint32(file, adler32.Checksum(file[start:]))
		file = le.AppendUint32(file, uint32(len(h.blob)))
		file = le.AppendUint32(file, ndbTailMagic)
		slot := file[ndbHeaderSize+i*ndbSlotSize:]
		le.PutUint32(slot[4:], h.number)
		le.PutUint32(slot[8:], uint32(start/ndbBlockSize))
		le.PutUint32(slot[12:], uint32((len(file)-start)/ndbBlockSize))
	}
	return file
}

type ndbHeader struct {
	number uint32
	blob   []byte
}

// hugeFS has one file that is filled up with zeros to a size.
type hugeFS struct {
	fs.FS
	name string
	size int64
	err  error // of reading, if it is set
}

func (h hugeFS) Open(name string) (fs.File, error) {
	f, err := h.FS.Open(name)
	if err != nil || name != h.name {
		return f, err
	}
	return hugeFile{f, h}, nil
}

type hugeFile struct {
	fs.File
	fs hugeFS
}

func (f hugeFile) Stat() (fs.FileInfo, error) {
	info, err := f.File.Stat()
	return hugeInfo{info, f.fs.size}, err
}

func (f hugeFile) ReadAt(p []byte, off int64) (int, error) {
	if f.fs.err != nil {
		return 0, f.fs.err
	}
	n, err := f.File.(io.ReaderAt).ReadAt(p, off)
	if err == io.EOF && off+int64(len(p)) <= f.fs.size {
		clear(p[n:])
		return len(p), nil
	}
	return n, err
}

type hugeInfo struct {
	fs.FileInfo
	size int64
}

func (i hugeInfo) Size() int64 { return i.size }
