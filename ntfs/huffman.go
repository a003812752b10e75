package ntfs

import "sync"

// decoder holds the working memory for decompressing a chunk.
type decoder struct {
	entries [16]byte
	src     [lzxChunk]byte

	main, length, aligned, pre huffman
	lengths                    [maxSymbols + lzxLenSymbols]uint8 // of codewords of main and length
	recent                     [3]uint32                         // distances
}

// decoders are those that nobody uses.
var decoders = sync.Pool{New: func() any { return new(decoder) }}

// bitReader reads the bit stream that XPRESS and LZX share: 16-bit
// little-endian words whose bits are taken from the highest down. Past the end
// of the data all bits are zero, and overrun is true once one of them was
// taken.
type bitReader struct {
	src     []byte
	at      int    // offset of the next word, or byte between words
	bits    uint32 // words that were read, the next bit highest
	n       int    // how many bits these are
	missing int    // how many of these are past the end
}

// fill makes sure that there are 16 bits to take. It reads no word before it
// is needed, since in XPRESS the bytes between the words depend on that.
func (r *bitReader) fill() {
	if r.n >= 16 {
		return
	}
	if len(r.src)-r.at >= 2 {
		r.bits |= uint32(le.Uint16(r.src[r.at:])) << (16 - r.n)
		r.at += 2
	} else {
		r.missing += 16
	}
	r.n += 16
}

// take returns the next bits, at most 16.
func (r *bitReader) take(n int) int {
	r.fill()
	v := r.bits >> (32 - n)
	r.bits <<= n
	r.n -= n
	return int(v)
}

func (r *bitReader) overrun() bool { return r.n < r.missing }

// align continues at a byte boundary: it skips the rest of a word, or all of
// the next one if none of its bits was consumed yet.
func (r *bitReader) align() {
	if skip := r.n % 16; skip > 0 {
		r.take(skip)
	} else {
		r.take(16)
	}
	r.at -= (r.n - r.missing) / 8 // data that was read ahead
	r.bits, r.n, r.missing = 0, 0, 0
}

const (
	maxCodeBits = 16  // the longest codeword: 15 in XPRESS, 16 in LZX
	maxSymbols  = 512 // the largest alphabet: XPRESS
	fastBits    = 10  // codewords that are not longer are found in one step
)

// huffman decodes a canonical code: codewords are in the order of their
// lengths, and of the symbols where these are equal.
type huffman struct {
	fast    [1 << fastBits]uint16   // by the next bits: symbol<<5 | length; 0 if the codeword is longer
	limit   [maxCodeBits + 1]uint32 // by length: where its codewords end, each as 16 bits
	first   [maxCodeBits + 1]int    // by length: the offset to add to a codeword for its place in symbols
	symbols [maxSymbols]uint16      // in the order of their codewords
}

// build makes the code from the lengths of its codewords, by symbol; a symbol
// with the length 0 has none. It reports whether there are any codewords, and
// whether they are complete: each row of bits begins with one of them.
func (h *huffman) build(lengths []uint8) (used, complete bool) {
	var count, next [maxCodeBits + 1]int
	for _, n := range lengths {
		count[n]++
	}
	end, place := 0, 0
	for n := 1; n <= maxCodeBits; n++ {
		h.first[n] = place - end>>(maxCodeBits-n)
		next[n] = place
		place += count[n]
		end += count[n] << (maxCodeBits - n)
		h.limit[n] = uint32(end)
	}
	if end != 1<<maxCodeBits {
		clear(h.fast[:])
		return place > 0, false
	}
	for symbol, n := range lengths {
		if n > 0 {
			h.symbols[next[n]] = uint16(symbol)
			next[n]++
		}
	}
	fast := h.fast[:]
	for _, symbol := range h.symbols[:place] {
		n := lengths[symbol]
		if n > fastBits {
			break
		}
		same := fast[:1<<(fastBits-n)]
		for i := range same {
			same[i] = symbol<<5 | uint16(n)
		}
		fast = fast[len(same):]
	}
	clear(fast)
	return true, true
}

// decode takes the next symbol. It is -1 if the code has no codewords.
func (h *huffman) decode(r *bitReader) int {
	r.fill()
	v := r.bits >> (32 - maxCodeBits)
	if e := h.fast[v>>(maxCodeBits-fastBits)]; e != 0 {
		r.bits <<= e & 31
		r.n -= int(e & 31)
		return int(e >> 5)
	}
	for n := fastBits + 1; n <= maxCodeBits; n++ {
		if v < h.limit[n] {
			r.bits <<= n
			r.n -= n
			return int(h.symbols[h.first[n]+int(v>>(maxCodeBits-n))])
		}
	}
	return -1
}
