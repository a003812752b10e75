package container

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/adler32"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// ewfSpec says how an image is written.
type ewfSpec struct {
	first      string // the name of the first segment
	perChunk   int    // sectors of a chunk
	sector     int    // bytes of a sector
	perTable   int    // chunks of a table
	perSegment int    // tables of a segment
	short      bool   // the media values of SMART, and its sections
	inTable    bool   // chunks in the table, as EnCase 1 and SMART have them
	base       bool   // offsets from a base, as EnCase 6 writes them
	pack       func(number int) bool
	set        byte     // each byte of the identifier of the set
	sums       bool     // sections hash and digest
	lost       []uint32 // pairs of a first sector and a number of sectors

	// What is wrong with the image.
	media    func(segment int, b []byte)                 // before their checksum
	header   func(segment int, b []byte)                 // of the file
	edit     func(kind string, segment int, data []byte) // of a section, with its checksum
	sections func(segment int, w *ewfWriter)             // before the last section
}

// ewfSpecs are the layouts of the programs.
var ewfSpecs = map[string]ewfSpec{
	"encase6": {first: "disk.E01", perChunk: 8, sector: 512, perTable: 30, perSegment: 3, base: true, set: 7, sums: true,
		pack: func(n int) bool { return n%3 > 0 }},
	"encase1": {first: "disk.E01", perChunk: 64, sector: 512, perTable: 5, perSegment: 1, inTable: true,
		pack: func(n int) bool { return n%2 > 0 }},
	"smart": {first: "disk.s01", perChunk: 64, sector: 512, perTable: 10, perSegment: 1, inTable: true, short: true},
}

// ewfWriter writes a segment.
type ewfWriter struct{ bytes.Buffer }

// section adds a section. The next section is at the end of its data, and of more
// bytes that follow.
func (w *ewfWriter) section(kind string, data []byte, more int) {
	b := make([]byte, ewfStart)
	copy(b, kind)
	next, size := w.Len()+ewfStart+len(data)+more, ewfStart+len(data)+more
	if kind == "next" || kind == "done" {
		next, size = w.Len(), 0
	}
	binary.LittleEndian.PutUint64(b[16:], uint64(next))
	binary.LittleEndian.PutUint64(b[24:], uint64(size))
	binary.LittleEndian.PutUint32(b[72:], adler32.Checksum(b[:72]))
	w.Write(b)
	w.Write(data)
}

// summed appends the checksum of data.
func summed(data []byte) []byte {
	return binary.LittleEndian.AppendUint32(data, adler32.Checksum(data))
}

// values are the media values.
func (s ewfSpec) values(segment, size int) []byte {
	b := make([]byte, ewfLongMedia-4)
	if s.short {
		b = b[:ewfShortMedia-4]
		copy(b[85:], "SMART")
	}
	le, sectors := binary.LittleEndian, size/s.sector
	b[0] = 1
	le.PutUint32(b[4:], uint32((sectors+s.perChunk-1)/s.perChunk))
	le.PutUint32(b[8:], uint32(s.perChunk))
	le.PutUint32(b[12:], uint32(s.sector))
	le.PutUint32(b[16:], uint32(sectors))
	if !s.short {
		copy(b[64:], bytes.Repeat([]byte{s.set}, 16))
	}
	if s.media != nil {
		s.media(segment, b)
	}
	return summed(b)
}

// segments are the segments of an image.
func (s ewfSpec) segments(content []byte) (list [][]byte) {
	var chunks [][]byte
	for b := content; len(b) > 0; {
		n := min(s.perChunk*s.sector, len(b))
		chunks, b = append(chunks, b[:n]), b[n:]
	}
	for number := 0; len(chunks) > 0; {
		w, segment := &ewfWriter{}, len(list)+1
		head := append([]byte(ewfMagic), 1, byte(segment), byte(segment>>8), 0, 0)
		if s.header != nil {
			s.header(segment, head)
		}
		w.Write(head)
		add := func(kind string, data []byte, more int) {
			if s.edit != nil {
				s.edit(kind, segment, data)
			}
			w.section(kind, data, more)
		}
		if segment == 1 {
			add("header", zipped([]byte("1\nmain\nc\tn\ta\tp\n17-A\tdisk 1\t\t0\n\n")), 0)
			add("volume", s.values(segment, len(content)), 0)
		} else if !s.short {
			add("data", s.values(segment, len(content)), 0)
		}
		for range s.perSegment {
			n := min(s.perTable, len(chunks))
			if n == 0 {
				break
			}
			number += s.table(w, chunks[:n], number, add)
			chunks = chunks[n:]
		}
		if s.sections != nil {
			s.sections(segment, w)
		}
		kind := "next"
		if len(chunks) == 0 {
			kind = "done"
			s.last(content, add)
		}
		add(kind, nil, 0)
		list = append(list, w.Bytes())
	}
	return list
}

// table adds chunks and their table.
func (s ewfSpec) table(w *ewfWriter, chunks [][]byte, number int, add func(string, []byte, int)) int {
	var data, entries []byte
	at, base := w.Len()+ewfStart, 0
	if s.inTable {
		at += 24 + 4*len(chunks)
		if !s.short {
			at += 4
		}
	}
	if s.base {
		base = w.Len()
	}
	for n, c := range chunks {
		v := uint32(at + len(data) - base)
		if s.pack == nil || s.pack(number+n) {
			v |= 1 << 31
			data = append(data, zipped(c)...)
		} else {
			data = append(data, summed(slices.Clone(c))...)
		}
		entries = binary.LittleEndian.AppendUint32(entries, v)
	}
	head := make([]byte, 20)
	binary.LittleEndian.PutUint32(head, uint32(len(chunks)))
	binary.LittleEndian.PutUint64(head[8:], uint64(base))
	if !s.short {
		entries = summed(entries)
	}
	table := append(summed(head), entries...)
	if s.inTable {
		add("table", table, len(data))
		w.Write(data)
	} else {
		add("sectors", data, 0)
		add("table", slices.Clone(table), 0)
		add("table2", slices.Clone(table), 0)
	}
	return len(chunks)
}

// last adds what the last segment has.
func (s ewfSpec) last(content []byte, add func(string, []byte, int)) {
	if len(s.lost) > 0 {
		var entries []byte
		for _, v := range s.lost {
			entries = binary.LittleEndian.AppendUint32(entries, v)
		}
		add("error2", append(errorHead(len(s.lost)/2), summed(entries)...), 0)
	}
	if s.sums {
		m, h := md5.Sum(content), sha1.Sum(content)
		add("digest", summed(append(append(m[:], h[:]...), make([]byte, 40)...)), 0)
		add("hash", summed(append(m[:], make([]byte, 16)...)), 0)
	}
}

// errorHead is the beginning of a section error2.
func errorHead(count int) []byte {
	b := make([]byte, 516)
	binary.LittleEndian.PutUint32(b, uint32(count))
	return summed(b)
}

// write writes the files of an image.
func (s ewfSpec) write(t testing.TB, folder string, content []byte) string {
	t.Helper()
	for n, b := range s.segments(content) {
		name := ewfSegmentName(s.first, n+1)
		if name == "" {
			break
		}
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(folder, s.first)
}

// openEWFTest opens an image that must be one of this format.
func openEWFTest(t *testing.T, name string) (Disk, error) {
	t.Helper()
	disks, err := openFile(t.Context(), name)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { closeAll(t, disks) })
	return disks[0], nil
}

// TestEWF: images of several programs' layouts pass the suite.
func TestEWF(t *testing.T) {
	for n, name := range slices.Sorted(maps.Keys(ewfSpecs)) {
		t.Run(name, func(t *testing.T) {
			testenv.Part(t, n+1, 2) // encase6
			t.Parallel()
			s := ewfSpecs[name]
			imgconform.Run(t, imgconform.Format{Unit: s.sector, Checked: true, Open: openAs("ewf"),
				Write: func(t *testing.T, folder string, content []byte) string { return s.write(t, folder, content) },
			})
		})
	}
}

// TestEWFTools: images that ewfacquire makes pass the suite too, damaged ones among
// them.
func TestEWFTools(t *testing.T) {
	testenv.Tool(t, "ewfacquire")
	for n, f := range []string{"encase6", "smart", "encase1"} {
		t.Run(f, func(t *testing.T) {
			testenv.Share(t, n, 3, 3)
			t.Parallel()
			made, first := map[string][]byte{}, ""
			imgconform.Run(t, imgconform.Format{Unit: 512, Checked: true, Open: openAs("ewf"),
				Write: func(t *testing.T, folder string, content []byte) string {
					b, ok := made[string(content)]
					if ok {
						name := filepath.Join(folder, first)
						if err := os.WriteFile(name, b, 0o666); err != nil {
							t.Fatal(err)
						}
						return name
					}
					raw := filepath.Join(t.TempDir(), "disk.raw")
					if err := os.WriteFile(raw, content, 0o666); err != nil {
						t.Fatal(err)
					}
					name, _ := acquired("-f", f, "-c", "fast")(t, folder, raw)
					b, err := os.ReadFile(name)
					if err != nil {
						t.Fatal(err)
					}
					made[string(content)], first = b, filepath.Base(name)
					return name
				},
			})
		})
	}
}

// TestEWFSegmentName: names go from 01 to 99, to AA of the same letter and on to ZZZ,
// and no further.
func TestEWFSegmentName(t *testing.T) {
	for _, tt := range []struct {
		first  string
		number int
		want   string
	}{
		{"a.E01", 1, "a.E01"}, {"a.E01", 99, "a.E99"}, {"a.E01", 100, "a.EAA"}, {"a.E01", 125, "a.EAZ"},
		{"a.E01", 126, "a.EBA"}, {"a.E01", 775, "a.EZZ"}, {"a.E01", 776, "a.FAA"}, {"a.E01", maxEWFSegments, "a.ZZZ"},
		{"a.E01", maxEWFSegments + 1, ""}, {"a.e01", 100, "a.eaa"}, {"a.e01", maxEWFSegments, "a.zzz"},
		{"a.s01", 2, "a.s02"}, {"a.s01", 100, "a.saa"}, {"a.S01", 100, "a.SAA"}, {"a.s01", 5507, "a.zzz"},
		{"a.s01", 5508, ""}, {"a.E02", 2, ""}, {"a.img", 2, ""}, {"E01", 2, ""}, {"a.E01", 0, ""},
	} {
		if got := ewfSegmentName(tt.first, tt.number); got != tt.want {
			t.Errorf("%d of %s: %q, want %q", tt.number, tt.first, got, tt.want)
		}
	}
}

// ewfContent has what packs well and what does not, and an end within a chunk.
func ewfContent() []byte {
	b := variantContent(variantSize)[:1<<20+7*512]
	copy(b[600<<10:], bytes.Repeat([]byte("text"), 10_000))
	return b
}

// TestEWFSays: what the image says of itself.
func TestEWFSays(t *testing.T) {
	content := ewfContent()
	m, h := fmt.Sprintf("%x", md5.Sum(content)), fmt.Sprintf("%x", sha1.Sum(content))
	for name, want := range map[string]struct {
		detail string
		sums   []Sum
	}{
		"encase6": {`E01, 3 segments, case "17-A", evidence "disk 1"`, []Sum{{"md5", m}, {"sha1", h}}},
		"encase1": {`E01, 7 segments, case "17-A", evidence "disk 1"`, nil},
		"smart":   {`SMART, 4 segments, case "17-A", evidence "disk 1"`, nil},
	} {
		d, err := openEWFTest(t, ewfSpecs[name].write(t, t.TempDir(), content))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.sums, d.Stated()); diff != "" || d.Detail() != want.detail || d.Format() != "ewf" ||
			d.Member() != "" || d.Parent() != nil {
			t.Errorf("%s: %s, %s", name, d.Detail(), diff)
		}
		if notes := d.Notes(); len(notes) > 0 {
			t.Errorf("%s: notes %q", name, notes)
		}
		segments := 0
		fmt.Sscanf(strings.SplitAfter(d.Detail(), ", ")[1], "%d", &segments)
		for n, s := range d.Sources() {
			if filepath.Base(s.Name()) != ewfSegmentName(ewfSpecs[name].first, n+1) || segments != len(d.Sources()) {
				t.Errorf("%s: source %d is %s", name, n, s.Name())
			}
		}
		p, found := make([]byte, 16), 0
		for off := int64(0); off < d.Size(); off += 1000 {
			file, at, ok := d.Locate(off)
			if !ok {
				continue
			}
			found++
			n := min(16, int64(len(content))-off, 4096-off%4096)
			if _, err := file.ReadAt(p[:n], at); err != nil || !bytes.Equal(p[:n], content[off:off+n]) {
				t.Fatalf("%s: byte %d is not at %d of %s: %v", name, off, at, file.Name(), err)
			}
		}
		if (found > 0) != (name != "smart") {
			t.Errorf("%s: %d places", name, found)
		}
		for _, off := range []int64{-1, d.Size()} {
			if _, _, ok := d.Locate(off); ok {
				t.Errorf("%s: byte %d has a place", name, off)
			}
		}
	}
}

// ewfWrong is an image that is wrong in one way, and what its error is.
type ewfWrong struct {
	spec  func(s *ewfSpec)
	files func(t *testing.T, folder string) // changes the files
	first string                            // "" for the first segment
	is    error
	text  []string // in the error
}

// TestEWFWrong: an image that is wrong is refused, with the file and what is wrong.
func TestEWFWrong(t *testing.T) {
	testenv.Sequential(t)
	le := binary.LittleEndian
	media := func(segment, at int, v uint32) func(s *ewfSpec) {
		return func(s *ewfSpec) {
			s.media = func(n int, b []byte) {
				if n == segment || segment == 0 {
					le.PutUint32(b[at:], v)
				}
			}
		}
	}
	damage := func(kind string, segment, at int) func(s *ewfSpec) {
		return func(s *ewfSpec) {
			s.edit = func(k string, n int, data []byte) {
				if (kind == k || kind == "tables" && strings.HasPrefix(k, "table")) && n == segment {
					data[at] ^= 1
				}
			}
		}
	}
	extra := func(kind string, data []byte) func(s *ewfSpec) {
		return func(s *ewfSpec) {
			s.sections = func(segment int, w *ewfWriter) {
				if segment == 2 {
					w.section(kind, data, 0)
				}
			}
		}
	}
	name := func(folder string, n int) string { return filepath.Join(folder, ewfSegmentName("disk.E01", n)) }
	must := func(t *testing.T, errs ...error) {
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	lost := func(v ...uint32) func(s *ewfSpec) { return func(s *ewfSpec) { s.lost = v } }
	for what, tt := range map[string]ewfWrong{
		"a segment is missing": {files: func(t *testing.T, folder string) { must(t, os.Remove(name(folder, 2))) },
			is: ErrIncomplete, text: []string{"disk.E01: segment 2, disk.E02, is missing"}},
		"the last segment is missing": {files: func(t *testing.T, folder string) { must(t, os.Remove(name(folder, 3))) },
			is: ErrIncomplete, text: []string{"segment 3, disk.E03, is missing"}},
		"a segment twice": {files: func(t *testing.T, folder string) {
			b, err := os.ReadFile(name(folder, 2))
			must(t, err, os.WriteFile(name(folder, 3), b, 0o666))
		}, is: ErrCorrupt, text: []string{"disk.E03: it is segment 3 by its name, and segment 2 by its header"}},
		"the second segment is named": {first: "disk.E02", is: ErrIncomplete, text: []string{"disk.E02: it is segment 2"}},
		"a name that says nothing of the next one": {first: "disk.img", files: func(t *testing.T, folder string) {
			must(t, os.Rename(name(folder, 1), filepath.Join(folder, "disk.img")))
		}, is: ErrIncomplete, text: []string{"disk.img: segment 2 cannot be found"}},
		"a segment is another file": {files: func(t *testing.T, folder string) {
			must(t, os.WriteFile(name(folder, 2), make([]byte, 1000), 0o666))
		}, is: ErrCorrupt, text: []string{"disk.E02: it is segment 2 by its name, but not a segment"}},
		"an empty segment": {files: func(t *testing.T, folder string) { must(t, os.Truncate(name(folder, 2), 0)) },
			is: ErrIncomplete, text: []string{"disk.E02: the segment is truncated: it has 0 bytes"}},
		"a truncated segment": {files: func(t *testing.T, folder string) { must(t, os.Truncate(name(folder, 3), 9000)) },
			is: ErrIncomplete, text: []string{"disk.E03: the segment is truncated: it has 9000 bytes"}},
		"a segment without its end": {files: func(t *testing.T, folder string) {
			info, err := os.Stat(name(folder, 3))
			must(t, err, os.Truncate(name(folder, 3), info.Size()-1))
		}, is: ErrIncomplete, text: []string{"disk.E03: the segment is truncated"}},
		"a segment of another set": {spec: func(s *ewfSpec) {
			s.media = func(n int, b []byte) { b[64] = byte(n / 2) }
		}, is: ErrCorrupt, text: []string{"disk.E02", "the identifier of its set is another"}},
		"other media values": {spec: media(2, 16, 2054), is: ErrCorrupt, text: []string{"disk.E02", "media values"}},
		"a damaged descriptor": {files: func(t *testing.T, folder string) {
			b, err := os.ReadFile(name(folder, 2))
			b[ewfHead+30] ^= 1
			must(t, err, os.WriteFile(name(folder, 2), b, 0o666))
		}, is: ErrCorrupt, text: []string{"disk.E02: the checksum of the section descriptor at byte 13"}},
		"damaged media values": {spec: damage("volume", 1, 100), is: ErrCorrupt,
			text: []string{`disk.E01: the section "volume" at byte`, "its checksum is wrong"}},
		"damaged tables": {spec: damage("tables", 2, 2), is: ErrCorrupt,
			text: []string{`disk.E02: the section "table" at byte`, `disk.E02: the section "table2"`}},
		"no sectors":            {spec: media(0, 16, 0), is: ErrCorrupt, text: []string{"0 sectors"}},
		"no bytes in a sector":  {spec: media(0, 12, 0), is: ErrCorrupt, text: []string{"of 0 bytes"}},
		"no sectors in a chunk": {spec: media(0, 8, 0), is: ErrCorrupt, text: []string{"chunks of 0"}},
		"more sectors":          {spec: media(0, 16, 3000), is: ErrCorrupt, text: []string{"3000 sectors in 257 chunks"}},
		"2^63 sectors":          {spec: media(0, 20, 1<<31), is: ErrCorrupt, text: []string{"in 257 chunks"}},
		"a chunk of few bytes":  {spec: media(0, 12, 63), is: ErrCorrupt, text: []string{"chunks of 504 bytes"}},
		"a chunk of many":       {spec: media(0, 8, maxEWFSectors+1), is: ErrLimit, text: []string{"chunks of 32769"}},
		"a chunk of large ones": {spec: media(0, 12, 4<<20+1), is: ErrLimit, text: []string{"of 4194305 bytes"}},
		"a logical image":       {spec: media(0, 0, 0x0e), is: ErrUnsupported, text: []string{"disk.E01", "logical"}},
		"a tree of files":       {spec: extra("ltree", nil), is: ErrUnsupported, text: []string{"disk.E02", "logical"}},
		"changed chunks": {spec: extra("delta_chunk", nil), is: ErrUnsupported,
			text: []string{"disk.E02", "changed"}},
		"media values of a size": {spec: extra("data", make([]byte, 95)), is: ErrCorrupt, text: []string{"has 95 bytes"}},
		"a table without chunks": {files: func(t *testing.T, folder string) {
			w := &ewfWriter{}
			w.WriteString(ewfMagic + "\x01\x01\x00\x00\x00")
			w.section("table", append(summed(append([]byte{1}, make([]byte, 19)...)), 0, 0, 0, 0), 0)
			w.section("strange", make([]byte, 1000), 0)
			w.section("done", nil, 0)
			must(t, os.WriteFile(name(folder, 1), w.Bytes(), 0o666))
		}, is: ErrCorrupt, text: []string{`disk.E01: the section "table" at byte 13: no chunks`}},
		"no media values": {files: func(t *testing.T, folder string) {
			w := &ewfWriter{}
			w.WriteString(ewfMagic + "\x01\x01\x00\x00\x00")
			w.section("sectors", make([]byte, 1000), 0)
			w.section("done", nil, 0)
			must(t, os.WriteFile(name(folder, 1), w.Bytes(), 0o666))
		}, is: ErrCorrupt, text: []string{"disk.E01: it has no section with media values"}},
		"a table is not followed by its copy": {spec: func(s *ewfSpec) {
			s.sections = func(segment int, w *ewfWriter) {
				if segment == 2 {
					w.section("table", make([]byte, 100), 0)
				}
			}
		}, is: ErrCorrupt, text: []string{`disk.E02: the section "table" at byte`, "its checksum"}},
		"a copy with other entries": {spec: func(s *ewfSpec) {
			s.edit = func(kind string, n int, data []byte) {
				if kind == "table2" && n == 1 {
					data[0]--
					copy(data[20:], summed(slices.Clone(data[:20]))[20:])
				}
			}
		}, is: ErrCorrupt, text: []string{`"table2"`, "29 entries, and the table before it 30"}},
		"too many chunks": {spec: func(s *ewfSpec) {
			s.sections = func(segment int, w *ewfWriter) {
				if segment == 2 {
					s.table(w, [][]byte{make([]byte, 4096)}, 0, w.section)
				}
			}
		}, is: ErrCorrupt, text: []string{"258 chunks, more than its 257"}},
		"read errors beyond the end": {spec: lost(5, 1, 2055, 1), is: ErrCorrupt, text: []string{"sector 2055 of 2055"}},
		"damaged read errors": {spec: func(s *ewfSpec) { lost(5, 1)(s); damage("error2", 3, 520)(s) }, is: ErrCorrupt,
			text: []string{`disk.E03: the section "error2" at byte`, "the checksum of its entries"}},
		"a damaged head of read errors": {spec: func(s *ewfSpec) { lost(5, 1)(s); damage("error2", 3, 100)(s) },
			is: ErrCorrupt, text: []string{`"error2" at byte`, "its checksum is wrong"}},
		"short read errors": {spec: extra("error2", make([]byte, 519)), is: ErrCorrupt,
			text: []string{"disk.E02", "519 bytes"}},
		"many read errors": {spec: extra("error2", errorHead(maxEWFErrors+1)), is: ErrLimit,
			text: []string{"disk.E02", "1048577 ranges"}},
		"read errors that are not there": {spec: extra("error2", errorHead(maxEWFErrors)), is: ErrCorrupt,
			text: []string{"disk.E02", "1048576 entries in 520 bytes"}},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s, folder := ewfSpecs["encase6"], t.TempDir()
			if tt.spec != nil {
				tt.spec(&s)
			}
			first := s.write(t, folder, ewfContent()[:2055*512])
			if tt.files != nil {
				tt.files(t, folder)
			}
			if tt.first != "" {
				first = filepath.Join(folder, tt.first)
			}
			_, err := openEWFTest(t, first)
			if !errors.Is(err, tt.is) {
				t.Fatalf("%v, want %v", err, tt.is)
			}
			for _, text := range tt.text {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("%v, want %s", err, text)
				}
			}
		})
	}
}

// TestEWFBounds: at the bounds an image is read.
func TestEWFBounds(t *testing.T) {
	content := ewfContent()[:5*512]
	for name, set := range map[string]func(s *ewfSpec){
		"a sector in a chunk":         func(s *ewfSpec) { s.perChunk = 1 },
		"the most sectors in a chunk": func(s *ewfSpec) { s.perChunk = maxEWFSectors },
		"the largest chunk":           func(s *ewfSpec) { s.perChunk = 16; s.sector = largestBlock / 16 },
		"a byte in a sector":          func(s *ewfSpec) { s.sector, s.perChunk, s.perSegment = 1, 512, 1000 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ewfSpecs["encase6"]
			set(&s)
			want := bytes.Clone(content)
			if n := len(want) % s.sector; n > 0 {
				want = append(want, make([]byte, s.sector-n)...)
			}
			d, err := openEWFTest(t, s.write(t, t.TempDir(), want))
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, d.Size())
			if n, err := d.ReadAt(got, 0); n != len(got) || err != nil || !bytes.Equal(got, want) {
				t.Errorf("%d bytes, %v", n, err)
			}
		})
	}
}

// TestEWFLost: sectors that could not be read when the image was made are an error,
// and all others are read.
func TestEWFLost(t *testing.T) {
	content := ewfContent()[:2055*512]
	s := ewfSpecs["encase6"]
	// In any order, overlapping, empty, next to each other, and beyond the end.
	s.lost = []uint32{100, 8, 3, 1, 104, 6, 2050, 100, 500, 0, 700, 2, 702, 2}
	lost := map[int]bool{3: true}
	for _, r := range [][2]int{{100, 110}, {700, 704}, {2050, 2055}} {
		for n := r[0]; n < r[1]; n++ {
			lost[n] = true
		}
	}
	d, err := openEWFTest(t, s.write(t, t.TempDir(), content))
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(d.Notes(), " "); !strings.Contains(notes, "20 of 2055 sectors could not be read") {
		t.Error(notes)
	}
	p := make([]byte, 512)
	for n := range 2055 {
		got, err := d.ReadAt(p, int64(n)*512)
		switch {
		case !lost[n] && (err != nil || !bytes.Equal(p, content[n*512:][:512])):
			t.Errorf("sector %d: %d, %v", n, got, err)
		case lost[n] && (got != 0 || !errors.Is(err, ErrIncomplete) || errors.Is(err, source.ErrIO)):
			t.Errorf("lost sector %d: %d, %v", n, got, err)
		}
	}
	all := make([]byte, len(content))
	n, err := d.ReadAt(all, 0)
	if n != 3*512 || !errors.Is(err, ErrIncomplete) || !bytes.Equal(all[:n], content[:n]) ||
		!strings.Contains(err.Error(), "disk.E01: bytes 1536 to 2047 of the disk could not be read") {
		t.Errorf("%d bytes, %v", n, err)
	}
	if n, err := d.ReadAt(all, 4*512); n != 96*512 || !errors.Is(err, ErrIncomplete) ||
		!bytes.Equal(all[:n], content[4*512:100*512]) {
		t.Errorf("%d bytes after a lost sector, %v", n, err)
	}
	if start, end := d.Data(3 * 512); start != 3*512 || end <= start {
		t.Errorf("a lost sector is a hole: data from %d to %d", start, end)
	}
	if _, _, ok := d.Locate(3 * 512); ok {
		t.Error("a lost sector has a place")
	}
}

// TestEWFCopies: a damaged table is replaced by its copy, with a note; what else is
// damaged and not needed is noted.
func TestEWFCopies(t *testing.T) {
	content := ewfContent()
	damage := func(kind string, at int) func(s *ewfSpec) {
		return func(s *ewfSpec) {
			s.edit = func(k string, n int, data []byte) {
				if k == kind && n == 2 {
					data[at] ^= 0x10
				}
			}
		}
	}
	for name, tt := range map[string]struct {
		set  func(s *ewfSpec)
		note string
	}{
		"header":          {damage("table", 3), "3 tables with a damaged header: the copy was used."},
		"header of copy":  {damage("table2", 3), "3 copies of a table with a damaged header: it was not needed."},
		"entries":         {damage("table", 30), "3 tables with damaged entries: the copy was used. The first one"},
		"entries of copy": {damage("table2", 30), ""},
		"sum of entries":  {damage("table", 24+30*4+1), "3 tables with damaged entries"},
		"unknown": {func(s *ewfSpec) {
			s.sections = func(_ int, w *ewfWriter) { w.section("strange\n", []byte("x"), 0) }
		}, `A section of an unknown kind was not used: "strange\n".`},
		"interrupted": {func(s *ewfSpec) {
			s.sections = func(n int, w *ewfWriter) {
				if n == 2 {
					w.section("incomplete", []byte("x"), 0)
				}
			}
		}, `The acquisition of the image was interrupted: disk.E02 has a section "incomplete".`},
		"ignored": {func(s *ewfSpec) {
			s.sections = func(_ int, w *ewfWriter) { w.section("session", []byte("x"), 0) }
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := ewfSpecs["encase6"]
			tt.set(&s)
			d, err := openEWFTest(t, s.write(t, t.TempDir(), content))
			if err != nil {
				t.Fatal(err)
			}
			got := make([]byte, len(content))
			if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
				t.Fatal(err)
			}
			notes := d.Notes()
			if tt.note == "" && len(notes) > 0 || tt.note != "" && (len(notes) != 1 || !strings.HasPrefix(notes[0], tt.note)) {
				t.Errorf("%q, want %q", notes, tt.note)
			}
		})
	}
	// Both damaged: the chunks of that table are lost, and no others.
	s := ewfSpecs["encase6"]
	s.edit = func(k string, n int, data []byte) {
		if strings.HasPrefix(k, "table") && n == 2 {
			data[30] ^= 0x10
		}
	}
	d, err := openEWFTest(t, s.write(t, t.TempDir(), content))
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(content))
	if n, err := d.ReadAt(got, 0); n != 90*4096 || !errors.Is(err, ErrCorrupt) || !bytes.Equal(got[:n], content[:n]) ||
		strings.Count(err.Error(), "disk.E02: ") != 2 {
		t.Errorf("%d bytes, %v", n, err)
	}
	const after = 180 * 4096
	if n, err := d.ReadAt(got[after:], after); err != nil || !bytes.Equal(got[after:], content[after:]) {
		t.Errorf("%d bytes after the damaged tables, %v", n, err)
	}
}

// TestEWFSums: damaged hashes are noted, and none is stated; hashes of EWF-X too.
func TestEWFSums(t *testing.T) {
	const m, h = "00112233445566778899aabbccddeeff", "00112233445566778899aabbccddeeff00112233"
	s := ewfSpecs["encase6"]
	s.edit = func(kind string, _ int, data []byte) {
		if kind == "hash" || kind == "digest" {
			data[0] ^= 1
		}
	}
	s.sections = func(n int, w *ewfWriter) {
		if n == 3 {
			text := "<xhash>\n<MD5>" + strings.ToUpper(m) + "</MD5><SHA1>" + h + "</SHA1><SHA1>" + m + "</SHA1>"
			w.section("xhash", zipped([]byte(text)), 0)
		}
	}
	d, err := openEWFTest(t, s.write(t, t.TempDir(), ewfContent()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]Sum{{"md5", m}, {"sha1", h}}, d.Stated()); diff != "" {
		t.Error(diff)
	}
	if notes := strings.Join(d.Notes(), "\n"); !strings.Contains(notes, `"hash" at byte`) ||
		!strings.Contains(notes, `"digest" at byte`) || !strings.Contains(notes, "disk.E03 is damaged") {
		t.Error(notes)
	}
}

// TestEWFMostSegments: as many segments as have names are read, and one more is not.
func TestEWFMostSegments(t *testing.T) {
	if !testenv.Full() {
		t.Skip("writes 20,000 files: runs in strict mode")
	}
	for first, most := range map[string]int{"disk.E01": maxEWFSegments, "disk.s01": 5507} {
		if most == maxEWFSegments && !testenv.Nightly() {
			continue
		}
		for n := most; n <= most+1 && (n == most || most == 5507); n++ {
			t.Run(fmt.Sprint(n, " from ", first), func(t *testing.T) {
				t.Parallel()
				s := ewfSpec{first: first, perChunk: 1, sector: 512, perTable: 1, perSegment: 1, short: true, inTable: true}
				content := bytes.Repeat(variantContent(variantSize)[:1<<20], 8)[:n*512]
				d, err := openEWFTest(t, s.write(t, t.TempDir(), content))
				if n > most {
					if !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "more than 5507 segments") {
						t.Error(err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				imgconform.Equal(t, d, content)
				for _, s := range d.Sources() {
					if err := s.Changed(); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// pieces are the parts of a large file that is zeros in between.
type pieces map[int64][]byte

func (p pieces) ReadAt(b []byte, off int64) (int, error) {
	clear(b)
	for at, data := range p {
		if at < off+int64(len(b)) && off < at+int64(len(data)) {
			copy(b[max(at-off, 0):], data[max(off-at, 0):])
		}
	}
	return len(b), nil
}

// TestEWFOverflow: offsets above 2 GiB, as EnCase 6.7.1 writes them, in a segment of
// which most is one hole in a sectors section.
func TestEWFOverflow(t *testing.T) {
	const chunk = 64 * 512
	content := variantContent(variantSize)[:4*chunk]
	for name, tt := range map[string]struct {
		offsets []int64 // of raw chunks
		entries func(offsets []int64) []uint32
		err     string
	}{
		"above 2 GiB": {[]int64{5000, 1<<31 - 2000, 1<<31 + 40_000, 3 << 30}, nil, ""},
		"just below":  {[]int64{5000, 1<<31 - 3 - 2*(chunk+4), 1<<31 - 2 - (chunk + 4), 1<<31 - 1}, nil, ""},
		"just at":     {[]int64{5000, 1<<31 - 80_000, 1<<31 - 40_000, 1 << 31}, nil, ""},
		"back again": {[]int64{5000, 1<<31 - 2000, 1<<31 + 40_000, 3 << 30},
			func([]int64) []uint32 { return []uint32{5000, 1<<31 - 2000, 1<<31 + 40_000, 50_000} }, "before the one before it"},
		"the same twice": {[]int64{5000, 1<<31 - 2000, 1<<31 + 40_000, 3 << 30},
			func([]int64) []uint32 { return []uint32{5000, 5000, 1<<31 + 40_000, 3 << 30} }, "before the one before it"},
		"beyond the sectors": {[]int64{5000, 1<<31 - 2000, 1<<31 + 40_000, 3 << 30},
			func([]int64) []uint32 { return []uint32{5000, 1<<31 - 2000, 1<<31 + 40_000, 4<<30 - 100} }, "is not where"},
		"in the header": {[]int64{5000, 1<<31 - 2000, 1<<31 + 40_000, 3 << 30},
			func([]int64) []uint32 { return []uint32{100, 1<<31 - 2000, 1<<31 + 40_000, 3 << 30} }, "is not where"},
	} {
		t.Run(name, func(t *testing.T) {
			const end = 3<<30 + 100_000 // of the sectors
			w := &ewfWriter{}
			w.WriteString(ewfMagic + "\x01\x01\x00\x00\x00")
			w.section("volume", ewfSpec{perChunk: 64, sector: 512}.values(1, len(content)), 0)
			w.section("sectors", nil, end-w.Len()-ewfStart)
			file := pieces{0: bytes.Clone(w.Bytes())}
			var entries []byte
			for n, at := range tt.offsets {
				file[at] = summed(bytes.Clone(content[n*chunk:][:chunk]))
			}
			list := []uint32{}
			for _, at := range tt.offsets {
				list = append(list, uint32(at))
			}
			if tt.entries != nil {
				list = tt.entries(tt.offsets)
			}
			for _, v := range list {
				entries = binary.LittleEndian.AppendUint32(entries, v)
			}
			// The table, whose descriptors have offsets from the beginning of the file.
			table := append(summed(append([]byte{4}, make([]byte, 19)...)), summed(entries)...)
			tail := &ewfWriter{}
			for _, kind := range []string{"table", "done"} {
				at, data := end+tail.Len(), table
				if kind == "done" {
					data = nil
				}
				b := make([]byte, 72)
				copy(b, kind)
				binary.LittleEndian.PutUint64(b[16:], uint64(at+ewfStart+len(data)))
				tail.Write(summed(b))
				tail.Write(data)
			}
			file[end] = tail.Bytes()
			s := source.NewReader(t.Context(), "disk.E01", file, int64(end+tail.Len()))
			disks, err := Open(t.Context(), s, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer closeAll(t, disks)
			got := make([]byte, len(content))
			switch n, err := disks[0].ReadAt(got, 0); {
			case tt.err == "" && (err != nil || !bytes.Equal(got, content)):
				t.Errorf("%d bytes, %v", n, err)
			case tt.err != "" && (n > 0 || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.err)):
				t.Errorf("%d bytes, %v, want %s", n, err, tt.err)
			}
		})
	}
}

// TestEWFManySections: sections that an image needs once are bounded where it has many:
// they make neither notes nor hashes without end.
func TestEWFManySections(t *testing.T) {
	t.Parallel()
	const many = 300
	spec := ewfSpecs["encase6"]
	spec.sections = func(_ int, w *ewfWriter) {
		for n := range many {
			w.section("hash", make([]byte, 35), 0)
			w.section("incomplete", nil, 0)
			w.section("xhash", zipped(fmt.Appendf(nil, "<md5>%032x</md5><sha1>%040x</sha1>", n, n)), 0)
		}
	}
	file := spec.write(t, t.TempDir(), make([]byte, 4096))
	disks, err := openFile(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, disks)
	notes, sums := disks[0].Notes(), disks[0].Stated()
	if len(notes) != maxEWFNotes+1 || !strings.HasSuffix(notes[maxEWFNotes], " more sections are left out.") {
		t.Errorf("%d notes: %q", len(notes), notes)
	}
	if len(sums) != 2*maxEWFHashes+2 { // two in a section, and those of the sections hash and digest
		t.Errorf("%d hashes", len(sums))
	}
}

// FuzzEWF opens a segment whose checksums are put right, and reads some of it.
func FuzzEWF(f *testing.F) {
	for _, s := range ewfSpecs {
		s.perChunk, s.perSegment, s.lost = 1, 100, []uint32{1, 1}
		f.Add(s.segments(ewfContent()[:4*512])[0])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		b = bytes.Clone(b)
		putEWFSums(b)
		s := source.NewReader(context.Background(), "disk.E01", bytes.NewReader(b), int64(len(b)))
		d, err := openEWF(t.Context(), s, Options{})
		if err != nil {
			return
		}
		defer d.Close()
		p := make([]byte, 10_000)
		for _, off := range []int64{0, d.Size() / 2, d.Size() - 1} {
			if n, err := d.ReadAt(p, off); n < len(p) && err == nil {
				t.Errorf("%d bytes at %d of %d without an error", n, off, d.Size())
			}
		}
		for at, n := int64(0), 0; at < d.Size() && n < 100; n++ {
			start, end := d.Data(at)
			if start < at || end < start || end > d.Size() {
				t.Fatalf("data at %d of %d: %d to %d", at, d.Size(), start, end)
			}
			at = max(end, start)
		}
		d.Notes()
	})
}

// putEWFSums puts the checksums of sections right, which a change of their bytes
// otherwise makes wrong.
func putEWFSums(b []byte) {
	put := func(from, to int) {
		if from <= to && to+4 <= len(b) {
			binary.LittleEndian.PutUint32(b[to:], adler32.Checksum(b[from:to]))
		}
	}
	for at, n := ewfHead, 0; at+ewfStart <= len(b) && n < 1000; n++ {
		put(at, at+72)
		next, data := int(binary.LittleEndian.Uint64(b[at+16:])), at+ewfStart
		if next < data || next > len(b) {
			return
		}
		switch kind, _, _ := strings.Cut(string(b[at:at+16]), "\x00"); kind {
		case "volume", "data", "disk":
			put(data, next-4)
		case "table", "table2":
			put(data, data+20)
			if data+24 <= next {
				count := int(binary.LittleEndian.Uint32(b[data:]))
				put(data+24, data+24+4*count)
			}
		case "error2":
			put(data, data+516)
			put(data+520, next-4)
		}
		at = next
	}
}
