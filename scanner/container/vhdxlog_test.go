package container

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// dirtyVHDX is an image of 3 blocks, whose table of blocks is zeros but for the log. Its
// sectors return the writes that put one table or the other in place: with table 0 the
// disk is zeros, with n it has only the first n blocks.
func dirtyVHDX(entries ...vhdxWrite) (image, content []byte, table func(n int) logChange) {
	content = make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{8}).Read(content)
	b := buildVHDX(vhdxImage{content: content, log: entries})
	stored := bytes.Clone(b[testTableAt:][:logSector])
	clear(b[testTableAt:][:logSector])
	return b, content, func(n int) logChange {
		data := make([]byte, logSector)
		copy(data, stored[:8*n])
		return logChange{from: testTableAt, to: testTableAt + logSector, data: data}
	}
}

// TestVHDXLog: the log is replayed as [MS-VHDX] 2.3.3 has it.
func TestVHDXLog(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	_, content, table := dirtyVHDX()
	size := int64(testTableAt + 4<<20)
	n := func(blocks int) []logChange { return []logChange{table(blocks)} }
	const two = 2 * logSector // the size of an entry with a sector of data
	wrong := func(at int) func(b []byte) { return func(b []byte) { b[at]++ } }
	le := binary.LittleEndian
	for name, tt := range map[string]struct {
		entries []vhdxWrite
		blocks  int    // which the disk has
		want    string // in the error
	}{
		"one entry":              {[]vhdxWrite{{sequence: 1, writes: n(3)}}, 3, ""},
		"a high sequence number": {[]vhdxWrite{{sequence: 5<<32 | 7, writes: n(3)}}, 3, ""},
		"the largest": {[]vhdxWrite{{sequence: 1<<64 - 1, writes: n(2)}, {at: two, sequence: 1, writes: n(1)}},
			2, ""},
		"no writes":   {[]vhdxWrite{{sequence: 1}}, 0, ""},
		"two entries": {[]vhdxWrite{{sequence: 4, writes: n(1)}, {at: two, sequence: 5, writes: n(2)}}, 2, ""},
		"the last points to itself": {[]vhdxWrite{
			{sequence: 4, writes: []logChange{{from: testTableAt + 4<<20, to: testTableAt + 4<<20 + 4096}}},
			{at: two - 4096, tail: two - 4096, sequence: 5, writes: n(2)}}, 2, ""},
		"the last points to none": {[]vhdxWrite{{sequence: 4, writes: n(1)},
			{at: two, sequence: 5, tail: 4096, writes: n(2)}}, 0,
			"none of it is valid"},
		"the last points to what is gone": {[]vhdxWrite{{at: two, sequence: 5, writes: n(1)},
			{at: 5 * two, tail: 5 * two, sequence: 2, writes: n(2)}}, 2, ""},
		"two sequences": {[]vhdxWrite{{sequence: 4, writes: n(3)}, {at: 3 * two, tail: 3 * two, sequence: 3, writes: n(2)}},
			3, ""},
		"two sequences, the newer last": {[]vhdxWrite{{sequence: 4, writes: n(3)},
			{at: 3 * two, tail: 3 * two, sequence: 6, writes: n(2)}}, 2, ""},
		"a gap in the numbers": {[]vhdxWrite{{sequence: 4, writes: n(3)}, {at: two, tail: two, sequence: 6, writes: n(2)}},
			2, ""},
		"around the end": {[]vhdxWrite{{at: vhdxUnit - two, tail: vhdxUnit - two, sequence: 4, writes: n(3)},
			{tail: vhdxUnit - two, sequence: 5, writes: n(2)}}, 2, ""},
		"an entry around the end": {[]vhdxWrite{{at: vhdxUnit - 4096, tail: vhdxUnit - 4096, sequence: 4, writes: n(3)}},
			3, ""},
		"the head is torn": {[]vhdxWrite{{sequence: 4, writes: n(3)},
			{at: two, sequence: 5, writes: n(1), damage: wrong(two - 100)}}, 3, ""},
		"only a torn one": {[]vhdxWrite{{sequence: 4, writes: n(3), damage: wrong(two - 100)}},
			0, "at byte 1048576: the log is in use"},
		"none":            {[]vhdxWrite{}, 0, "none of it is valid"},
		"of another log":  {[]vhdxWrite{{sequence: 4, writes: n(3), edit: wrong(40)}}, 0, "none of it is valid"},
		"number zero":     {[]vhdxWrite{{sequence: 0, writes: n(3)}}, 0, "none of it is valid"},
		"of another size": {[]vhdxWrite{{sequence: 4, writes: n(3), edit: wrong(8)}}, 0, "none of it is valid"},
		"a size of nothing": {[]vhdxWrite{{sequence: 4, writes: n(3), edit: func(b []byte) { le.PutUint32(b[8:], 0) }}},
			0, "none of it"},
		"larger than the log": {[]vhdxWrite{{sequence: 4, writes: n(3),
			edit: func(b []byte) { le.PutUint32(b[8:], 2<<20) }}}, 0,
			"none of it is valid"},
		"more descriptors": {[]vhdxWrite{{sequence: 4, writes: n(3), edit: func(b []byte) { b[24] = 2 }}},
			0, "none of it is valid"},
		"a descriptor less": {[]vhdxWrite{{sequence: 4, writes: n(3), edit: func(b []byte) { b[24] = 0 }}},
			0, "none of it is valid"},
		"very many descriptors": {[]vhdxWrite{{sequence: 4, writes: n(3), edit: func(b []byte) { b[27] = 0xff }}},
			0, "none of it is valid"},
		"a descriptor of no kind": {[]vhdxWrite{{sequence: 4, writes: n(3), edit: wrong(64)}}, 0, "none of it is valid"},
		"a descriptor of another": {[]vhdxWrite{{sequence: 4, writes: n(3), edit: wrong(64 + 24)}},
			0, "none of it is valid"},
		"data of no kind": {[]vhdxWrite{{sequence: 4, writes: n(3), edit: wrong(4096)}},
			0, "none of it is valid"},
		"data of another, high": {[]vhdxWrite{{sequence: 4, writes: n(3), edit: wrong(4100)}},
			0, "none of it is valid"},
		"data of another, low": {[]vhdxWrite{{sequence: 4, writes: n(3), edit: wrong(two - 4)}},
			0, "none of it is valid"},
		"a tail between sectors": {[]vhdxWrite{{sequence: 4, writes: n(3), tail: 1}}, 0, "none of it is valid"},
		"a tail behind the log":  {[]vhdxWrite{{sequence: 4, writes: n(3), tail: vhdxUnit}}, 0, "none of it is valid"},
		"the file as it was":     {[]vhdxWrite{{sequence: 4, writes: n(3), flushed: size, last: size}}, 3, ""},
		"the file is shorter":    {[]vhdxWrite{{sequence: 4, writes: n(3), flushed: size + 1}}, 0, "so it is truncated"},
		"the file was shorter before": {[]vhdxWrite{{sequence: 4, writes: n(3), flushed: size + 1},
			{at: two, sequence: 5, flushed: size}}, 3, ""},
		"the file grows": {[]vhdxWrite{{sequence: 4, writes: n(3), last: size + 5<<20}}, 3, ""},
		"the file grows too much": {[]vhdxWrite{{sequence: 4, writes: n(3), last: vhdxMaxFile + 1}},
			0, "a file of 140737488355329 bytes"},
		"writes to the headers": {[]vhdxWrite{{sequence: 4, writes: []logChange{{from: vhdxHeaderAt,
			to: vhdxHeaderAt + 4096}}}}, 0,
			"the log writes to byte 65536"},
		"writes to itself": {[]vhdxWrite{{sequence: 4, writes: []logChange{{from: testLogAt + 4096,
			to: testLogAt + 8192}}}}, 0,
			"the log writes to byte 1052672"},
		"writes over itself": {[]vhdxWrite{{sequence: 4, writes: []logChange{{from: vhdxUnit - 4096, to: 4 << 20}}}}, 0,
			"the log writes to byte 1044480"},
		"writes between sectors": {[]vhdxWrite{{sequence: 4, writes: []logChange{{from: testTableAt + 1,
			to: testTableAt + 4097}}}}, 0,
			"the log writes 4096 bytes to byte 3145729"},
		"writes part of a sector": {[]vhdxWrite{{sequence: 4, writes: []logChange{{from: testTableAt,
			to: testTableAt + 1}}}}, 0,
			"the log writes 1 bytes"},
		"writes very far": {[]vhdxWrite{{sequence: 4, writes: []logChange{{from: 1 << 62, to: 1<<62 + 4096}}}},
			0, "the log writes 4096 bytes"},
		"writes too much": {[]vhdxWrite{{sequence: 4, writes: []logChange{{from: 8 << 20, to: 8<<20 + 1<<62}}}},
			0, "the log writes to byte 8388608"},
		"writes nothing": {[]vhdxWrite{{sequence: 4, writes: []logChange{{from: testTableAt, to: testTableAt}, table(1)}}},
			1, ""},
		"zeros over data": {[]vhdxWrite{{sequence: 4, writes: []logChange{table(3),
			{from: testTableAt, to: testTableAt + 8192}}}}, 0, ""},
		"data over zeros": {[]vhdxWrite{{sequence: 4, writes: []logChange{{from: testTableAt, to: testTableAt + 1<<20},
			table(3)}}}, 3, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _, _ := dirtyVHDX(tt.entries...)
			d, err := openBytes(t.Context(), "disk.vhdx", b)
			if tt.want != "" {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("%v, want %s", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got, want := make([]byte, len(content)), make([]byte, len(content))
			copy(want, content[:tt.blocks<<20])
			if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
				t.Errorf("other blocks, %v", err)
			}
			if notes := strings.Join(d.Notes(), ""); !strings.Contains(notes, "its log was replayed in memory") {
				t.Errorf("notes %q", notes)
			}
		})
	}
}

// TestVHDXLogManyDescriptors: descriptors continue in further sectors.
func TestVHDXLogManyDescriptors(t *testing.T) {
	t.Parallel()
	testenv.Sequential(t)
	for _, count := range []int{125, 126, 127, 253, 254, 255} {
		_, content, table := dirtyVHDX()
		writes := make([]logChange, count)
		for i := range writes {
			writes[i] = logChange{from: testTableAt + int64(i+1)*4096, to: testTableAt + int64(i+2)*4096}
		}
		writes[count-1] = table(3)
		b, _, _ := dirtyVHDX(vhdxWrite{sequence: 9, writes: writes})
		d, err := openBytes(t.Context(), "disk.vhdx", b)
		if err != nil {
			t.Fatalf("%d: %v", count, err)
		}
		got := make([]byte, len(content))
		if _, err := d.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%d: other blocks, %v", count, err)
		}
	}
}

// TestVHDXLogPayload: what the log writes is read wherever it is, also in blocks and behind
// the end of the file.
func TestVHDXLogPayload(t *testing.T) {
	t.Parallel()
	image, content, table := dirtyVHDX()
	first := int64(testTableAt + 1<<20) // of the blocks
	data := bytes.Repeat([]byte("logged. "), logSector/8)
	at := first + 1<<20 + 5*logSector
	writes := []logChange{table(3), {from: at, to: at + logSector, data: data},
		{from: first + 4*logSector, to: first + 10*logSector}, {from: first + 3<<20 - logSector, to: first + 3<<20}}
	copy(content[1<<20+5*logSector:], data)
	clear(content[4*logSector : 10*logSector])
	clear(content[3<<20-logSector:])
	b, _, _ := dirtyVHDX(vhdxWrite{sequence: 4, writes: writes, last: int64(len(image))})
	d, err := openBytes(t.Context(), "disk.vhdx", b)
	if err != nil {
		t.Fatal(err)
	}
	imgconform.Equal(t, d, content)
	if _, _, ok := d.Locate(1<<20 + 5*logSector); ok {
		t.Error("what the log writes has a place in the file")
	}
	// The last block is behind the end of the file, which the log makes longer.
	b, _, _ = dirtyVHDX(vhdxWrite{sequence: 4, writes: writes, last: int64(len(image))})
	if d, err = openBytes(t.Context(), "disk.vhdx", b[:len(b)-1<<20]); err != nil {
		t.Fatal(err)
	}
	clear(content[2<<20:])
	imgconform.Equal(t, d, content)
	b, _, _ = dirtyVHDX(vhdxWrite{sequence: 4, writes: writes[:1], last: int64(len(image)) - 1<<20})
	if _, err = openBytes(t.Context(), "disk.vhdx", b[:len(b)-1<<20]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a block behind the end: %v", err)
	}
}

// zerosAfter is bytes, and zeros after them.
type zerosAfter []byte

func (z zerosAfter) ReadAt(p []byte, off int64) (int, error) {
	clear(p[copy(p, z[min(off, int64(len(z))):]):])
	return len(p), nil
}

// TestVHDXLogBounds: the size of the log, the data in it and the number of writes are
// bounded.
func TestVHDXLogBounds(t *testing.T) {
	if testing.Short() {
		t.Skip("needs hundreds of MiB, and starts no goroutine")
	}
	t.Parallel()
	writes := func(n int, w logChange) []vhdxWrite {
		return []vhdxWrite{{sequence: 1, writes: slices.Repeat([]logChange{w}, n)}}
	}
	data := logChange{from: 512 << 20, to: 512<<20 + logSector, data: make([]byte, logSector)}
	zeros := logChange{from: 512 << 20, to: 513 << 20}
	for name, tt := range map[string]struct {
		size    int64
		entries []vhdxWrite
		want    error
	}{
		"a log below the bound":  {maxLog - vhdxUnit, writes(1, zeros), nil},
		"a log at the bound":     {maxLog, writes(1, zeros), nil},
		"a log above it":         {maxLog + vhdxUnit, writes(1, zeros), ErrLimit},
		"unused, above it":       {maxLog + vhdxUnit, nil, nil},
		"data below the bound":   {64 << 20, writes(maxLogData/logSector-1, data), nil},
		"data at the bound":      {64 << 20, writes(maxLogData/logSector, data), nil},
		"data above it":          {64 << 20, writes(maxLogData/logSector+1, data), ErrLimit},
		"writes below the bound": {16 << 20, writes(maxLogWrites-1, zeros), nil},
		"writes at the bound":    {16 << 20, writes(maxLogWrites, zeros), nil},
		"writes above it":        {16 << 20, writes(maxLogWrites+1, zeros), ErrLimit},
	} {
		if strings.Contains(name, "below") && !testenv.Full() {
			continue
		}
		s := vhdxWithLog(t, tt.size, tt.entries)
		if _, err := Open(t.Context(), s, Options{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	for size, want := range map[int64]error{vhdxMaxFile - 1: nil, vhdxMaxFile: nil, vhdxMaxFile + 1: ErrLimit} {
		b := zerosAfter(buildVHDX(vhdxImage{content: make([]byte, 512)}))
		if _, err := Open(t.Context(), source.NewReader(t.Context(), "disk.vhdx", b, size),
			Options{}); !errors.Is(err, want) {
			t.Errorf("a file of %d bytes: %v, want %v", size, err, want)
		}
	}
}

// vhdxWithLog is an image whose log is at its end.
func vhdxWithLog(t *testing.T, size int64, entries []vhdxWrite) *source.Source {
	t.Helper()
	le := binary.LittleEndian
	b := buildVHDX(vhdxImage{content: make([]byte, 512), log: entries[:0]})
	at, used := len(b), 0 // bytes of the entries; zeros follow
	for _, e := range entries {
		used += 2*logSector + 32*len(e.writes)
		for _, w := range e.writes {
			used += len(w.data)
		}
	}
	log := make([]byte, used)
	writeVHDXLog(log, entries)
	b = append(b, log...)
	for n := range 2 {
		h := b[(n+1)*vhdxHeaderAt:][:4096]
		le.PutUint32(h[68:], uint32(size))
		le.PutUint64(h[72:], uint64(at))
		if entries == nil {
			clear(h[48:64])
		}
		signVHDX(h)
	}
	return source.NewReader(t.Context(), "disk.vhdx", zerosAfter(b), int64(at)+size)
}

// TestVHDXLogMemory: nothing is kept of an entry that has more data than the bound.
func TestVHDXLogMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("needs hundreds of MiB, and starts no goroutine")
	}
	const size = 48 << 20
	w := logChange{from: 512 << 20, to: 512<<20 + logSector, data: make([]byte, logSector)}
	entries := []vhdxWrite{{sequence: 1, writes: slices.Repeat([]logChange{w}, 44<<20/logSector)}}
	s := vhdxWithLog(t, size, entries)
	allocated := allocations()
	_, err := Open(t.Context(), s, Options{})
	used := allocated()
	if !errors.Is(err, ErrLimit) {
		t.Errorf("%v, want %v", err, ErrLimit)
	}
	// Its pages are read to find the entry, and to verify it.
	if used > 3*size {
		t.Errorf("%d bytes of memory", used)
	}
}

// TestSettle compares what is left of writes with writing them one after the other.
func TestSettle(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		const sectors = 40
		var writes []logChange
		want := make([]int, sectors) // the number of the write; 0 means zeros, -1 means none
		for i := range want {
			want[i] = -1
		}
		for n := range rng.IntN(20) {
			from := rng.Int64N(sectors)
			w := logChange{from: from * logSector, to: (from + 1) * logSector, data: bytes.Repeat([]byte{byte(n + 1)},
				logSector)}
			number := n + 1
			if rng.IntN(2) == 0 {
				to := from + 1 + rng.Int64N(sectors-from)
				w.data, w.to, number = nil, to*logSector, 0
			}
			for i := w.from / logSector; i < w.to/logSector; i++ {
				want[i] = number
			}
			writes = append(writes, w)
		}
		got := make([]int, sectors)
		for i := range got {
			got[i] = -1
		}
		last := int64(0)
		for _, c := range settle(writes) {
			if c.from < last || c.to <= c.from || c.data != nil && c.to-c.from != logSector {
				t.Fatalf("%d to %d after %d", c.from, c.to, last)
			}
			for i := c.from / logSector; i < c.to/logSector; i++ {
				got[i] = 0
				if c.data != nil {
					got[i] = int(c.data[0])
				}
			}
			last = c.to
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%v, want %v", got, want)
		}
	}
}

// TestVHDXKilled reads an image as it is after each of the writes of QEMU, which may be the
// last. It must be read as QEMU reads it when it has replayed the log. Where the log is in
// use and has nothing valid, it is refused, as the specification has it; QEMU ignores that.
func TestVHDXKilled(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "qemu-img", "qemu-io", "strace")
	folder := t.TempDir()
	file, repaired := filepath.Join(folder, "disk.vhdx"), filepath.Join(folder, "repaired.vhdx")
	run(t, "qemu-img", "create", "-q", "-f", "vhdx", "-o", "block_size=1M", file, "8M")
	state, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	replayed, refused, read := 0, 0, 0
	for n, w := range qemuWrites(t, file) {
		if w.data == nil {
			state = append(state, make([]byte, max(w.at-int64(len(state)), 0))...)[:w.at]
		} else {
			state = append(state, make([]byte, max(w.at+int64(len(w.data))-int64(len(state)), 0))...)
			copy(state[w.at:], w.data)
		}
		logged := w.data != nil && w.at > testLogAt && w.at < testLogAt+1<<20 // the data of an entry is in the log
		if !logged && n%5 != 0 && !testenv.Full() {
			continue
		}
		writeImage(t, file, state)
		disks, err := openFile(t.Context(), file)
		if err != nil {
			if !strings.Contains(err.Error(), "none of it is valid") {
				t.Errorf("after write %d: %v", n, err)
			}
			refused++
			continue
		}
		if read++; len(disks[0].Notes()) > 0 {
			replayed++
		}
		writeImage(t, repaired, state)
		run(t, "qemu-img", "check", "-q", "-r", "all", repaired)
		got, want := make([]byte, 8<<20), second(t, "vhdx", repaired)
		if _, err := disks[0].ReadAt(got, 0); err != nil || !bytes.Equal(got, want) {
			t.Errorf("after write %d: it differs from what QEMU repairs: %v", n, err)
		}
		closeAll(t, disks)
	}
	t.Logf("%d images are read, %d of them with a log that is replayed; %d are refused", read, replayed, refused)
	if replayed < 4 {
		t.Errorf("%d logs are replayed", replayed)
	}
}

// fileWrite is a write to a file, or its new size if there is no data.
type fileWrite struct {
	at   int64
	data []byte
}

// tracedWrite is a line of strace: a write, or a new size.
var tracedWrite = regexp.MustCompile(`pwrite64\(\d+, "((?:\\x[0-9a-f]{2})*)", \d+, (\d+)|ftruncate\(\d+, (\d+)`)

// qemuWrites lets QEMU write to an image, and returns its writes.
func qemuWrites(t *testing.T, file string) (writes []fileWrite) {
	t.Helper()
	trace := filepath.Join(t.TempDir(), "trace")
	run(t, "strace", "-f", "-qq", "-xx", "-s", "1000000", "-o", trace, "-P", file, "-e", "trace=pwrite64,ftruncate",
		"qemu-io", "-f", "vhdx", "-c", "write -q -P 0x11 0 64k", "-c", "write -q -P 0x12 2560k 1M",
		"-c", "write -q -P 0x13 5M 4k", "-c", "write -q -P 0x14 1M 4k", file)
	b, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range tracedWrite.FindAllSubmatch(b, -1) {
		if len(m[3]) > 0 {
			size, err := strconv.ParseInt(string(m[3]), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			writes = append(writes, fileWrite{at: size})
			continue
		}
		at, err := strconv.ParseInt(string(m[2]), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		data, err := hex.DecodeString(strings.ReplaceAll(string(m[1]), `\x`, ""))
		if err != nil {
			t.Fatal(err)
		}
		writes = append(writes, fileWrite{at, data})
	}
	return writes
}

// TestVHDXLogQEMU compares images whose log our writer made with what QEMU repairs.
func TestVHDXLogQEMU(t *testing.T) {
	t.Parallel()
	testenv.Tool(t, "qemu-img")
	_, _, table := dirtyVHDX()
	for name, entries := range map[string][]vhdxWrite{
		"one": {{sequence: 1, writes: []logChange{table(3)}}},
		"three": {{sequence: 6, writes: []logChange{table(1)}}, {at: 8192, sequence: 7, writes: []logChange{table(2)}},
			{at: 16384, sequence: 8, writes: []logChange{table(3), {from: 5 << 20, to: 5<<20 + 8192}}}},
		"torn": {{sequence: 6, writes: []logChange{table(1)}}, {at: 8192, sequence: 7, writes: []logChange{table(2)},
			damage: func(b []byte) { b[5000]++ }}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, _, _ := dirtyVHDX(entries...)
			file := writeImage(t, filepath.Join(t.TempDir(), "disk.vhdx"), b)
			disks, err := openFile(t.Context(), file)
			if err != nil {
				t.Fatal(err)
			}
			defer closeAll(t, disks)
			got := make([]byte, disks[0].Size())
			if _, err := disks[0].ReadAt(got, 0); err != nil {
				t.Fatal(err)
			}
			repaired := writeImage(t, filepath.Join(t.TempDir(), "repaired.vhdx"), b)
			run(t, "qemu-img", "check", "-q", "-r", "all", repaired)
			if !bytes.Equal(got, second(t, "vhdx", repaired)) {
				t.Error("it differs from what QEMU repairs")
			}
		})
	}
}
