package ntfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// lzxWriter writes LZX by hand, also what no compressor writes. Its codes have
// a codeword for every symbol.
type lzxWriter struct {
	bitWriter
	old [lzxMainSymbols + lzxLenSymbols]uint8 // lengths of the block before
}

var (
	lzxMain    = newCode(completeLengths(lzxMainSymbols)...)
	lzxLength  = newCode(completeLengths(lzxLenSymbols)...)
	lzxLow     = newCode(completeLengths(8)...)
	lzxLowSkew = newCode(1, 2, 3, 4, 5, 6, 7, 7)
	lzxPre     = newCode(completeLengths(20)...)
)

func (w *lzxWriter) header(kind, size int) *lzxWriter {
	w.put(kind, 3)
	if size == lzxChunk {
		w.put(1, 1)
	} else {
		w.put(0, 1)
		w.put(size, 16)
	}
	return w
}

// code writes the lengths of a code's codewords.
func (w *lzxWriter) code(c *code, bits int) {
	for _, n := range c.lengths {
		w.put(int(n), bits)
	}
}

// lengths writes lengths of codewords that belong from symbol at on.
func (w *lzxWriter) lengths(at int, lengths []uint8) {
	w.code(lzxPre, 4)
	for i, n := range lengths {
		lzxPre.put(&w.bitWriter, int(w.old[at+i]+17-n)%17)
		w.old[at+i] = n
	}
}

func (w *lzxWriter) codes(main, length []uint8) *lzxWriter {
	w.lengths(0, main[:256])
	w.lengths(256, main[256:])
	w.lengths(lzxMainSymbols, length)
	return w
}

func (w *lzxWriter) verbatim(size int) *lzxWriter {
	return w.header(lzxVerbatim, size).codes(lzxMain.lengths, lzxLength.lengths)
}

func (w *lzxWriter) aligned(size int, low *code) *lzxWriter {
	w.header(lzxAligned, size).code(low, 3)
	return w.codes(lzxMain.lengths, lzxLength.lengths)
}

func (w *lzxWriter) literals(s string) *lzxWriter {
	for _, b := range []byte(s) {
		lzxMain.put(&w.bitWriter, int(b))
	}
	return w
}

// match writes a match by a range of distances, and its low bits verbatim.
func (w *lzxWriter) match(length, slot, low, bits int) *lzxWriter {
	if length -= 2; length < 7 {
		lzxMain.put(&w.bitWriter, 256+slot*8+length)
	} else {
		lzxMain.put(&w.bitWriter, 256+slot*8+7)
		lzxLength.put(&w.bitWriter, length-7)
	}
	w.put(low, bits)
	return w
}

func (w *lzxWriter) stored(s string, recent ...uint32) *lzxWriter {
	w.header(lzxStored, len(s))
	if w.n == 0 {
		w.put(0, 16)
	}
	w.align()
	for _, r := range recent {
		w.out = binary.LittleEndian.AppendUint32(w.out, r)
	}
	w.out = append(w.out, s...)
	if len(s)%2 > 0 {
		w.out = append(w.out, 0)
	}
	return w
}

// lzxCase is a chunk and what it stands for.
type lzxCase struct {
	name string
	src  []byte
	n    int // of dst
	want string
	err  string
}

func lzxCases() []lzxCase {
	w := func() *lzxWriter { return new(lzxWriter) }
	pad := func(bits int) *lzxWriter { // a block that ends after so many bits of a word
		for n := 1; ; n++ {
			if w := w().verbatim(n).literals(strings.Repeat("-", n)); w.n == bits {
				return w
			}
		}
	}
	padded := func(bits int) int { // what that stands for
		for n := 1; ; n++ {
			if w := w().verbatim(n).literals(strings.Repeat("-", n)); w.n == bits {
				return n
			}
		}
	}
	odd, even := "seven b", "eight by"
	var many lzxWriter
	for range 100 {
		many.stored("x", 1, 1, 1)
	}
	without := func(lengths []uint8, symbol int) []uint8 {
		lengths = bytes.Clone(lengths)
		lengths[symbol] = 0
		return lengths
	}
	none := func(n int) []uint8 { return make([]uint8, n) }
	cases := []lzxCase{
		{name: "literals", src: w().verbatim(5).literals("hello").bytes(), want: "hello"},
		{name: "matches", src: w().verbatim(23).literals("abcdef").match(2, 3, 0, 0).match(3, 6, 1, 2).match(2, 5, 1,
			1).match(10, 4, 1, 1).bytes(),
			want: "abcdef" + "ff" + "bcd" + "ff" + "dffdffdffd"},
		{name: "recent distances", src: w().verbatim(21).literals("abcdef").match(3, 0, 0, 0).match(2, 6, 0, 2).match(2, 1, 0,
			0).match(2, 2, 0, 0).match(2, 1, 0, 0).match(4, 0, 0, 0).bytes(),
			want: "abcdef" + "fff" + "de" + "ee" + "ee" + "de" + "eeee"},
		{name: "longest match", src: w().verbatim(258).literals("z").match(257, 3, 0, 0).bytes(),
			want: strings.Repeat("z", 258)},
		{name: "low bits", src: func() []byte {
			w := w().aligned(60, lzxLowSkew).literals("0123456789abcdefghijklmnopqrstuvwxyzABCD")
			w.match(4, 8, 0, 0)
			lzxLowSkew.put(&w.bitWriter, 2) // 16 + 2 - 2 back
			w.match(4, 9, 0, 0)
			lzxLowSkew.put(&w.bitWriter, 7) // 24 + 7 - 2
			w.match(4, 10, 1, 1)
			lzxLowSkew.put(&w.bitWriter, 0)                      // 32 + 8 + 0 - 2
			return w.match(4, 7, 3, 2).match(4, 0, 0, 0).bytes() // 12 + 3 - 2
		}(), want: "0123456789abcdefghijklmnopqrstuvwxyzABCD" + "opqr" + "fghi" + "abcd" + "Dopq" + "rfgh"},
		{name: "stored, odd and even", src: w().stored(odd, 1, 1, 1).stored(even, 1, 1, 1).stored(odd, 1, 1, 1).bytes(),
			want: odd + even + odd},
		{name: "stored as whole chunk", src: w().stored(strings.Repeat("s", lzxChunk), 1, 1, 1).bytes(),
			want: strings.Repeat("s", lzxChunk)},
		{name: "stored sets recent distances",
			src:  w().stored(even, 3, 5, 8).verbatim(9).match(3, 0, 0, 0).match(3, 1, 0, 0).match(3, 2, 0, 0).bytes(),
			want: even + " by" + "by " + "by "},
		{name: "codes go on after stored",
			src:  w().verbatim(3).literals("abc").stored(odd, 1, 1, 1).verbatim(3).literals("def").bytes(),
			want: "abc" + odd + "def"},
		{name: "recent distances go on",
			src: w().verbatim(4).literals("ab").match(2, 4, 0, 1).aligned(2, lzxLow).match(2, 0, 0, 0).bytes(), want: "ababab"},
		{name: "farthest match", src: w().stored(strings.Repeat("ab", lzxChunk/2-3)+"cd", 1, 1, 1).verbatim(4).match(4, 29,
			32764-24574, 13).bytes(),
			want: strings.Repeat("ab", lzxChunk/2-3) + "cd" + "abab"},
		{name: "calls of all blocks", src: w().stored("0123\xE8\x10", 1, 1,
			1).verbatim(14).literals("\x00\x00\x00\xE8\x03\x00\x00\x00\xE8\x01\x00\x00\x00\x00").bytes(),
			want: "0123\xE8\x0C\x00\x00\x00\xE8\xFA\xFF\xFF\xFF\xE8\x01\x00\x00\x00\x00"},
		{name: "many blocks", src: many.bytes(), want: strings.Repeat("x", 100)},

		{name: "nothing", n: 5, err: "block of 0 bytes"},
		{name: "kind 0", src: w().header(0, 5).bytes(), n: 5, err: "of kind 0"},
		{name: "kind 4", src: w().header(4, 5).bytes(), n: 5, err: "of kind 4"},
		{name: "block of nothing", src: w().header(lzxVerbatim, 0).bytes(), n: 5, err: "block of 0 bytes at byte 0 of 5"},
		{name: "block too large", src: w().verbatim(6).literals("hello!").bytes(), n: 5,
			err: "block of 6 bytes at byte 0 of 5"},
		{name: "block of 32 KiB too large", src: w().verbatim(lzxChunk).literals("hello!").bytes(), n: 5,
			err: "block of 32768 bytes at byte 0 of 5"},
		{name: "second block too large", src: w().stored(odd, 1, 1, 1).stored(odd, 1, 1, 1).bytes(), n: 13,
			err: "block of 7 bytes at byte 7 of 13"},
		{name: "one block only", src: w().verbatim(5).literals("hello").bytes(), n: 6, err: "LZX"},
		{name: "stored is cut", src: w().stored(even, 1, 1, 1).bytes()[:23], n: 8, err: "19 bytes for a stored block of 8"},
		{name: "stored distances are cut", src: w().stored(even, 1, 1, 1).bytes()[:15], n: 8,
			err: "11 bytes for a stored block of 8"},
		{name: "stored distance of 0", src: w().stored(even, 1, 0, 1).verbatim(3).match(3, 1, 0, 0).bytes(), n: 11,
			err: "0 back, at byte 8"},
		{name: "stored distance of 9", src: w().stored(even, 9, 1, 1).verbatim(3).match(3, 0, 0, 0).bytes(), n: 11,
			err: "9 back, at byte 8"},
		{name: "stored distance of 2^32-1", src: w().stored(even, 1, 1, 1<<32-1).verbatim(3).match(3, 2, 0, 0).bytes(), n: 11,
			err: "4294967295 back, at byte 8"},
		{name: "match before the start", src: w().verbatim(5).literals("a").match(4, 4, 0, 1).bytes(), n: 5,
			err: "4 bytes, 2 back, at byte 1 of 5"},
		{name: "match at the start", src: w().verbatim(5).match(5, 0, 0, 0).bytes(), n: 5,
			err: "5 bytes, 1 back, at byte 0 of 5"},
		{name: "match too long", src: w().verbatim(5).literals("a").match(5, 3, 0, 0).bytes(), n: 5,
			err: "5 bytes, 1 back, at byte 1 of 5"},
		{name: "match too long for the block", src: w().verbatim(5).literals("a").match(5, 3, 0, 0).bytes(), n: 50,
			err: "5 bytes, 1 back, at byte 1 of 5"},
		{name: "main code with a codeword less",
			src: w().header(lzxVerbatim, 5).codes(without(lzxMain.lengths, 65), lzxLength.lengths).bytes(), n: 5,
			err: "main code is not complete"},
		{name: "no main code", src: w().header(lzxVerbatim, 5).codes(none(lzxMainSymbols), lzxLength.lengths).bytes(), n: 5,
			err: "no main code"},
		{name: "code of lengths with a codeword less",
			src: w().header(lzxVerbatim, 5).codes(lzxMain.lengths, without(lzxLength.lengths, 248)).bytes(), n: 5,
			err: "code of lengths is not complete"},
		{name: "no code of lengths", src: w().header(lzxVerbatim, 20).codes(lzxMain.lengths,
			none(lzxLenSymbols)).literals("a").match(9, 3, 0, 0).bytes(), n: 20, err: "no code of lengths"},
		{name: "no code of lengths needed",
			src:  w().header(lzxVerbatim, 9).codes(lzxMain.lengths, none(lzxLenSymbols)).literals("a").match(8, 3, 0, 0).bytes(),
			want: "aaaaaaaaa"},
		{name: "code of low bits with a codeword less", src: w().aligned(5, newCode(3, 3, 3, 3, 3, 3, 3, 0)).bytes(), n: 5,
			err: "low bits is not complete"},
		{name: "no code of codewords", src: append(w().header(lzxVerbatim, 5).bytes(), make([]byte, 100)...), n: 5,
			err: "code of codewords is not complete"},
	}
	for bits := range 16 {
		cases = append(cases, lzxCase{name: "stored behind some bits", src: pad(bits).stored(odd, 1, 1, 1).bytes(),
			want: strings.Repeat("-", padded(bits)) + odd})
	}
	// Runs of lengths.
	runs := func(symbols func(put func(...int), w *bitWriter)) []byte {
		w := w().header(lzxVerbatim, 5)
		w.code(lzxPre, 4)
		symbols(func(s ...int) { lzxPre.put(&w.bitWriter, s...) }, &w.bitWriter)
		w.lengths(256, make([]uint8, lzxMainSymbols-256))
		w.lengths(lzxMainSymbols, make([]uint8, lzxLenSymbols))
		// A code of 'h', 'e', 'l', 'o', of 2 bits each.
		newCode(2, 2, 2, 2).put(&w.bitWriter, 1, 0, 2, 2, 3)
		return w.bytes()
	}
	letters := func(put func(...int), w *bitWriter) { // 101, 104, 108 and 111
		put(18)
		w.put(31, 5)
		put(18)
		w.put(30, 5)
		put(15, 0, 0, 15) // e f g h
		put(0, 0, 0, 15)  // i j k l
		put(0, 0, 15)     // m n o
	}
	rest := func(put func(...int), w *bitWriter, n int) {
		for n > 0 {
			run := min(n, 19)
			put(17)
			w.put(run-4, 4)
			n -= run
		}
	}
	cases = append(cases,
		lzxCase{name: "runs of zeros", want: "hello", src: runs(func(put func(...int), w *bitWriter) {
			letters(put, w)
			rest(put, w, 144)
		})},
		lzxCase{name: "run past the end", n: 5, err: "lengths where", src: runs(func(put func(...int), w *bitWriter) {
			letters(put, w)
			rest(put, w, 140)
			put(17)
			w.put(1, 4)
		})},
		lzxCase{name: "runs of the same", want: "ihjjk", src: runs(func(put func(...int), w *bitWriter) {
			put(18)
			w.put(31, 5)
			put(18)
			w.put(31, 5)
			put(0, 0, 19)
			w.put(0, 1)
			put(15) // h i j k
			rest(put, w, 133)
			put(19)
			w.put(1, 1)
			put(0)
			put(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
		})},
		lzxCase{name: "run of a run", n: 5, err: "run of lengths by symbol 17",
			src: runs(func(put func(...int), w *bitWriter) {
				put(19)
				w.put(0, 1)
				put(17)
			})},
		lzxCase{name: "run of the same past the end", n: 5, err: "5 lengths where 4 are left",
			src: runs(func(put func(...int), w *bitWriter) {
				letters(put, w)
				rest(put, w, 140)
				put(19)
				w.put(1, 1)
				put(0)
			})})
	return cases
}

func TestLZX(t *testing.T) {
	testenv.Sequential(t)
	d := new(decoder)
	for _, test := range lzxCases() {
		t.Run(test.name, func(t *testing.T) {
			dst := bytes.Repeat([]byte{'x'}, max(test.n, len(test.want)))
			err := d.lzx(dst, test.src)
			if test.err != "" {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v, want …%s…", err, test.err)
				}
			} else if err != nil || string(dst) != test.want {
				t.Errorf("%q, want %q: %v", dst, test.want, err)
			} else {
				cutAnywhere(t, (*decoder).lzx, test.src, []byte(test.want))
			}
		})
	}
}

// calls is data that looks to the filter of LZX like x86 code: calls of few
// functions, of what is just inside and outside of the range of the filter,
// and calls across each other.
func calls(n int) []byte {
	r := rand.New(rand.NewPCG(3, 4))
	var b []byte
	for len(b) < n {
		b = append(b, "\x55\x48\x89\xE5\x8B\x45\xFC\xC3"[:r.IntN(9)]...)
		target := int32(r.IntN(8)*0x1000 - len(b)%lzxChunk)
		switch r.IntN(8) {
		case 0:
			target = int32(callsEnd - len(b)%lzxChunk - 2 + r.IntN(4))
		case 1:
			target = int32(callsEnd - 2 + r.IntN(4))
		case 2:
			target = int32(-len(b)%lzxChunk - 2 + r.IntN(4))
		case 3:
			b = append(b, 0xE8)
		case 4:
			target = int32(r.Uint32())
		}
		b = binary.LittleEndian.AppendUint32(append(b, 0xE8), uint32(target))
	}
	return b[:n]
}

// translate does what a compressor does to calls; undoCalls takes it back.
func translate(p []byte) {
	for at := 0; at < len(p)-10; at++ {
		if p[at] != 0xE8 {
			continue
		}
		target := int64(int32(le.Uint32(p[at+1:])))
		if target >= -int64(at) && target < callsEnd {
			if target += int64(at); target >= callsEnd {
				target -= callsEnd + int64(at)
			}
		}
		le.PutUint32(p[at+1:], uint32(target))
		at += 4
	}
}

func TestCalls(t *testing.T) {
	call := func(at int, target int32) string {
		return strings.Repeat(".", at) + "\xE8" + string(binary.LittleEndian.AppendUint32(nil, uint32(target))) + "......"
	}
	for _, test := range []struct {
		name         string
		packed, want string
	}{
		{"none", "no calls in here", "no calls in here"},
		{"first", call(0, 100), call(0, 100)},
		{"forward", call(7, 100), call(7, 93)},
		{"back", call(7, 3), call(7, -4)},
		{"to the start", call(7, 0), call(7, -7)},
		{"to the end", call(7, 11_999_999), call(7, 11_999_992)},
		{"beyond the end", call(7, 12_000_000), call(7, 12_000_000)},
		{"wrapped, first", call(7, -7), call(7, 11_999_993)},
		{"wrapped, last", call(7, -1), call(7, 11_999_999)},
		{"before the start", call(7, -8), call(7, -8)},
		{"largest", call(7, 1<<31-1), call(7, 1<<31-1)},
		{"smallest", call(7, -1<<31), call(7, -1<<31)},
		{"eleventh byte from the end", call(7, 100), call(7, 93)},
		{"tenth byte from the end", call(7, 100)[:17], call(7, 100)[:17]},
		{"call in a call", "..\xE8\xE8\x01\x00\x00........", "..\xE8\xE6\x01\x00\x00........"},
		{"call behind a call", call(3, 9)[:8] + call(0, 9), call(3, 6)[:8] + call(0, 1)},
		{"ten bytes", "\xE8\x01\x00\x00\x00\xE8.....", "\xE8\x01\x00\x00\x00\xE8....."},
		{"empty", "", ""},
	} {
		p := []byte(test.packed)
		undoCalls(p)
		if string(p) != test.want {
			t.Errorf("%s: %q, want %q", test.name, p, test.want)
		}
	}
	random := rand.New(rand.NewPCG(7, 8))
	for n := range 300 {
		plain := calls(n)
		for range n {
			if i := random.IntN(n); random.IntN(3) == 0 {
				plain[i] = 0xE8
			}
		}
		packed := slices.Clone(plain)
		translate(packed)
		if undoCalls(packed); !bytes.Equal(packed, plain) {
			t.Errorf("%x, want %x", packed, plain)
		}
	}
}
