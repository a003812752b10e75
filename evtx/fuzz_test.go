package evtx

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/evtxtest"
)

// checkAll reads everything in a log, and makes sure that it keeps its promises.
func checkAll(t *testing.T, data []byte) {
	l, err := openBytes(data)
	if err != nil {
		if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrLimit) {
			t.Fatal(err)
		}
		return
	}
	var forward, backward []uint64
	for r, err := range l.Records() {
		var d *Damage
		if err != nil {
			if !errors.As(err, &d) || r != nil || d.Error() == "" || d.First > d.Last || d.Offset > int64(len(data)) {
				t.Fatalf("%+v, %v", d, err)
			}
			continue
		}
		if n := len(forward); n > 0 && r.Number <= forward[n-1] {
			t.Fatalf("record %d follows %d", r.Number, forward[n-1])
		}
		forward = append(forward, r.Number)
		if text := r.Event.String(); strings.ContainsAny(text, "\x00\x1b") {
			t.Fatal("control characters in XML")
		}
		for _, f := range r.Data {
			f.Value.Uint64()
			f.Value.Time()
		}
	}
	for r, err := range l.Backward() {
		if err == nil {
			backward = append(backward, r.Number)
		}
	}
	// Where numbers occur twice, each direction takes the one that it meets first.
	slices.Reverse(backward)
	if !slices.IsSorted(backward) {
		t.Fatal("backward is not in order")
	}
}

// fuzzChunk is a log of one chunk with one of everything.
func fuzzChunk() []byte {
	var c evtxtest.Chunk
	for _, tt := range contents {
		c = append(c, evtxtest.Record{Body: tt.body})
	}
	return evtxtest.Build(evtxtest.Log{Chunks: []evtxtest.Chunk{c}})
}

// FuzzChunk reads the records of a chunk whose checksums are right.
func FuzzChunk(f *testing.F) {
	chunk := fuzzChunk()[chunk0:]
	free := le.Uint32(chunk[48:])
	f.Add(chunk[chunkHeaderSize:free])
	f.Add(evtxtest.Build(evtxtest.Log{Chunks: []evtxtest.Chunk{events(1, 3)}})[chunk0+chunkHeaderSize:][:1024])
	log := evtxtest.Build(three())[:chunk1]
	f.Fuzz(func(t *testing.T, records []byte) {
		data := bytes.Clone(log)
		n := copy(data[chunk0+chunkHeaderSize:], records)
		le.PutUint32(data[chunk0+48:], uint32(chunkHeaderSize+n))
		evtxtest.FixChunk(data, 0)
		checkAll(t, data)
	})
}

// FuzzRecord reads a record of any binary XML.
func FuzzRecord(f *testing.F) {
	data := fuzzChunk()
	for at := chunk0 + chunkHeaderSize; le.Uint32(data[at:]) == recordSignature; {
		size := int(le.Uint32(data[at+4:]))
		f.Add(data[at+recordHeader : at+size-4])
		at += size
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) > 60_000 {
			return
		}
		// The names and templates of another record are there to be referred to.
		c := evtxtest.Chunk{{Raw: raw}, events(2, 2)[0], {Number: 3, Raw: raw}}
		checkAll(t, evtxtest.Build(evtxtest.Log{Chunks: []evtxtest.Chunk{c}}))
	})
}

// FuzzLog reads logs of any headers: the file header, and those of three chunks.
func FuzzLog(f *testing.F) {
	log := three()
	log.Oldest = 1
	data := evtxtest.Build(log)
	header := slices.Concat(data[:128], data[chunk0:chunk0+128], data[chunk1:chunk1+128], data[chunk2:chunk2+128])
	f.Add(header, uint32(len(data)), true)
	f.Add(header, uint32(len(data)-70_000), false)
	f.Fuzz(func(t *testing.T, headers []byte, size uint32, fix bool) {
		if len(headers) != 512 {
			return
		}
		d := bytes.Clone(data)
		for i, at := range []int{0, chunk0, chunk1, chunk2} {
			copy(d[at:], headers[128*i:128*i+128])
		}
		if fix {
			evtxtest.FixHeader(d)
			for n := range 3 {
				evtxtest.FixChunk(d, n)
			}
		}
		checkAll(t, d[:min(int(size), len(d))])
	})
}
