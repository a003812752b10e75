package ntfs

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// bitWriter writes what a bitReader reads.
type bitWriter struct {
	out  []byte
	word uint32
	n    int // bits in word
}

func (w *bitWriter) put(v, n int) {
	for n--; n >= 0; n-- {
		w.word = w.word<<1 | uint32(v>>n&1)
		if w.n++; w.n == 16 {
			w.out = binary.LittleEndian.AppendUint16(w.out, uint16(w.word))
			w.word, w.n = 0, 0
		}
	}
}

// align ends the word.
func (w *bitWriter) align() {
	for w.n > 0 {
		w.put(0, 1)
	}
}

func (w *bitWriter) bytes() []byte {
	w.align()
	return w.out
}

// code writes symbols as their codewords, which it counts up as RFC 1951,
// 3.2.2, says.
type code struct {
	lengths []uint8
	words   []int
}

func newCode(lengths ...uint8) *code {
	c := &code{lengths: lengths, words: make([]int, len(lengths))}
	word := 0
	for n := uint8(1); n <= maxCodeBits; n++ {
		word <<= 1
		for symbol, length := range lengths {
			if length == n {
				c.words[symbol] = word
				word++
			}
		}
	}
	return c
}

func (c *code) put(w *bitWriter, symbols ...int) {
	for _, s := range symbols {
		w.put(c.words[s], int(c.lengths[s]))
	}
}

// completeLengths returns n lengths, the first of which are of one bit less, so that a
// code of them is complete.
func completeLengths(n int) []uint8 {
	bits := 0
	for 1<<bits < n {
		bits++
	}
	lengths := slices.Repeat([]uint8{uint8(bits)}, n)
	for i := range 1<<bits - n {
		lengths[i]--
	}
	return lengths
}

func TestHuffmanCodes(t *testing.T) {
	for _, test := range []struct {
		name           string
		lengths        []uint8
		used, complete bool
	}{
		{"none", []uint8{0, 0, 0}, false, false},
		{"no symbols", nil, false, false},
		{"one of one bit", []uint8{0, 1}, true, false},
		{"two of one bit", []uint8{1, 1}, true, true},
		{"three of one bit", []uint8{1, 1, 1}, true, false},
		{"one missing", []uint8{1, 2, 3}, true, false},
		{"one too many", []uint8{1, 2, 3, 3, 16}, true, false},
		{"all lengths", []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 16}, true, true},
		{"all but the last", []uint8{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, true, false},
		{"the largest alphabet", slices.Repeat([]uint8{9}, maxSymbols), true, true},
		{"far too many", slices.Repeat([]uint8{1}, maxSymbols), true, false},
	} {
		var h huffman
		if used, complete := h.build(test.lengths); used != test.used || complete != test.complete {
			t.Errorf("%s: used %v, complete %v", test.name, used, complete)
		}
	}
}

// Symbols are read as they were written, with codewords shorter and longer
// than those that one look finds, and whatever the decoder held before.
func TestHuffmanDecode(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h huffman
	for range 200 {
		// Split the longest codewords at random: that keeps the code complete.
		lengths := []uint8{1, 1}
		for range random.IntN(maxSymbols - 2) {
			if i := random.IntN(len(lengths)); lengths[i] < maxCodeBits {
				lengths[i]++
				lengths = append(lengths, lengths[i])
			}
		}
		random.Shuffle(len(lengths), func(i, j int) { lengths[i], lengths[j] = lengths[j], lengths[i] })
		if _, complete := h.build(lengths); !complete {
			t.Fatalf("%v is not complete", lengths)
		}
		var symbols []int
		for range 1000 {
			symbols = append(symbols, random.IntN(len(lengths)))
		}
		var w bitWriter
		newCode(lengths...).put(&w, symbols...)
		r := bitReader{src: w.bytes()}
		for i, want := range symbols {
			if got := h.decode(&r); got != want {
				t.Fatalf("symbol %d of %v: %d, want %d", i, lengths, got, want)
			}
		}
		if r.overrun() {
			t.Error("overrun")
		}
		for range 16 {
			h.decode(&r)
		}
		if !r.overrun() {
			t.Error("no overrun")
		}
	}
	h.build(nil)
	if symbol := h.decode(&bitReader{src: []byte{1, 2}}); symbol != -1 {
		t.Errorf("symbol %d of none", symbol)
	}
}

// The end is where the last whole word ends, to the bit.
func TestBitReaderEnd(t *testing.T) {
	for _, src := range [][]byte{{}, {0xFF}, {0xFF, 0xFF}, {0xFF, 0xFF, 0xFF}, {0xFF, 0xFF, 0xFF, 0xFF}} {
		for step := 1; step <= 16; step++ {
			r := bitReader{src: src}
			for taken := step; taken <= 64; taken += step {
				r.take(step)
				if end := len(src) / 2 * 16; r.overrun() != (taken > end) {
					t.Errorf("%d bytes, %d bits taken by %d: overrun %v", len(src), taken, step, r.overrun())
				}
			}
		}
	}
}

func TestBitReaderAlign(t *testing.T) {
	src := []byte{1, 0, 2, 0, 3, 0, 4, 0}
	for taken, at := range map[int]int{0: 2, 1: 2, 15: 2, 16: 4, 17: 4, 31: 4, 32: 6, 48: 8, 63: 8} {
		r := bitReader{src: src}
		for range taken {
			r.take(1)
		}
		if r.align(); r.at != at || r.overrun() {
			t.Errorf("%d bits taken: at byte %d, want %d", taken, r.at, at)
		}
	}
}
