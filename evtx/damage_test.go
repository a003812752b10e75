package evtx

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/coldcheck/coldcheck/internal/evtxtest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// A wound is something that happens to a log. It returns the log after it and where it is damaged.
type wound struct {
	name string
	do   func(d []byte, r *rand.Rand) (after []byte, from, to int)
}

var wounds = []wound{
	{"truncated", func(d []byte, r *rand.Rand) ([]byte, int, int) {
		n := evtxtest.HeaderSize + r.IntN(len(d)-evtxtest.HeaderSize)
		return d[:n], n, len(d)
	}},
	{"flipped bit", func(d []byte, r *rand.Rand) ([]byte, int, int) {
		at := r.IntN(used(d))
		d[at] ^= 1 << r.IntN(8)
		return d, at, at + 1
	}},
	{"zeroed sector", func(d []byte, r *rand.Rand) ([]byte, int, int) {
		at := r.IntN(used(d)/512) * 512
		clear(d[at : at+512])
		return d, at, at + 512
	}},
	{"zeroed chunk", func(d []byte, r *rand.Rand) ([]byte, int, int) {
		at := evtxtest.HeaderSize + r.IntN((used(d)-evtxtest.HeaderSize)/evtxtest.ChunkSize)*evtxtest.ChunkSize
		clear(d[at : at+evtxtest.ChunkSize])
		return d, at, at + evtxtest.ChunkSize
	}},
	{"noise", func(d []byte, r *rand.Rand) ([]byte, int, int) {
		at := r.IntN(used(d)/512) * 512
		for i := range 512 {
			d[at+i] = byte(r.Uint32())
		}
		return d, at, at + 512
	}},
}

// used returns where the chunks end that are in use.
func used(d []byte) int {
	n := len(d)
	for zeros(d[n-evtxtest.ChunkSize : n]) {
		n -= evtxtest.ChunkSize
	}
	return n
}

// TestWounds damages real logs. Records of other chunks are read as before, no record is lost without a word, and where
// evtxexport still lists a record, so does this package, with the same content, or it says that the record is damaged.
func TestWounds(t *testing.T) {
	testenv.Tool(t, "evtxexport")
	for n, file := range corpusLogs {
		if file.records > 100 && !testenv.Full() {
			continue
		}
		rounds := 3
		if testenv.Nightly() {
			rounds = 6
		}
		t.Run(fmt.Sprint(file.records, " records"), func(t *testing.T) {
			t.Parallel()
			good := corpusLog(t, file.name)
			before := map[uint64]*Record{}
			records, _ := readLog(t, good)
			for _, r := range records {
				before[r.Number] = r
			}
			for _, w := range wounds {
				for round := range rounds {
					random := rand.New(rand.NewPCG(uint64(n), uint64(round)))
					data, from, to := w.do(bytes.Clone(good), random)
					checkWound(t, fmt.Sprintf("%s at %d", w.name, from), before, data, from, to)
				}
			}
		})
	}
}

func checkWound(t *testing.T, name string, before map[uint64]*Record, data []byte, from, to int) {
	t.Helper()
	l, err := openBytes(data)
	if err != nil {
		if to > evtxtest.HeaderSize+evtxtest.ChunkSize && from < len(data) {
			t.Errorf("%s: %v", name, err)
		}
		return
	}
	after := map[uint64]*Record{}
	var damage []*Damage
	for r, err := range l.Records() {
		if err != nil {
			damage = append(damage, err.(*Damage))
			continue
		}
		after[r.Number] = r
	}
	chunkOf := func(at int64) int64 { return (at - fileHeaderSize) / chunkSize }
	hit := func(r *Record) bool {
		return chunkOf(int64(from)) <= chunkOf(r.Offset) && chunkOf(r.Offset) <= chunkOf(int64(to)-1)
	}
	for number, r := range before {
		got := after[number]
		switch {
		case !hit(r) && (got == nil || got.Event.String() != r.Event.String() || got.Verified != r.Verified):
			t.Errorf("%s: record %d of another chunk: %v", name, number, got)
		case got == nil && len(damage) == 0 && !l.Header().Dirty:
			t.Errorf("%s: record %d is lost without a word", name, number)
		case got != nil && got.Verified && got.Event.String() != r.Event.String():
			t.Errorf("%s: record %d is verified and differs", name, number)
		}
	}
	for number := range after {
		if before[number] == nil {
			t.Errorf("%s: record %d is new", name, number)
		}
	}
	for _, e := range exportText(t, data) {
		if before[e.Number] == nil {
			continue // evtxexport takes a number that is damaged as it is
		}
		r := after[e.Number]
		if r == nil {
			if !slices.ContainsFunc(damage, func(d *Damage) bool { return d.First <= e.Number && e.Number <= d.Last }) {
				t.Errorf("%s: evtxexport has record %d, damage is %v", name, e.Number, damage)
			}
			continue
		}
		got := asExported(r)
		if got.Written != e.Written || got.Identifier != e.Identifier || got.Source != e.Source {
			t.Errorf("%s: record %d: %+v, evtxexport has %+v", name, e.Number, got, e)
		}
	}
}
