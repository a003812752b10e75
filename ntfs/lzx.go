package ntfs

import "bytes"

const (
	lzxChunk       = 32 << 10 // bytes of a chunk, and the window of matches
	lzxSlots       = 30       // ranges of distances, enough for the window
	lzxMainSymbols = 256 + 8*lzxSlots
	lzxLenSymbols  = 249 // of the code for values that do not fit the main code

	lzxVerbatim = 1
	lzxAligned  = 2
	lzxStored   = 3
)

// lzx fills dst, at most 32 KiB, from one chunk of LZX, a row of blocks in
// 16-bit words:
//
//	3 bits  kind: lzxVerbatim, lzxAligned or lzxStored
//	1 bit   1: the block is of 32768 bytes, 0: its size follows in 16 bits
//
// It is the LZX of WIM files: that of [MS-PATCH] 2 with a window of 32 KiB,
// without headers, each chunk on its own, its calls always translated. wimlib,
// lzx_compress.c and lzx_decompress.c.
func (d *decoder) lzx(dst, src []byte) error {
	r := bitReader{src: src}
	d.recent = [3]uint32{1, 1, 1}
	clear(d.lengths[:])
	for out := 0; out < len(dst); {
		kind, size := r.take(3), lzxChunk
		if r.take(1) == 0 {
			size = r.take(16)
		}
		if size == 0 || size > len(dst)-out {
			return corrupt("LZX: a block of %d bytes at byte %d of %d", size, out, len(dst))
		}
		var err error
		switch kind {
		case lzxVerbatim, lzxAligned:
			if err = d.lzxCodes(&r, kind); err == nil {
				err = d.lzxBlock(dst[:out+size], out, &r, kind)
			}
		case lzxStored:
			err = d.lzxStored(dst[out:out+size], &r)
		default:
			err = corrupt("LZX: a block of kind %d", kind)
		}
		if err != nil {
			return err
		}
		if r.overrun() {
			return corrupt("LZX: ends early")
		}
		out += size
	}
	undoCalls(dst)
	return nil
}

// lzxStored reads a block that is stored as it is, behind the three recent
// distances. A byte that makes its size even follows.
func (d *decoder) lzxStored(dst []byte, r *bitReader) error {
	r.align()
	if left := len(r.src) - r.at; left < 12+len(dst) {
		return corrupt("LZX: %d bytes for a stored block of %d", left, len(dst))
	}
	for i := range d.recent {
		d.recent[i] = le.Uint32(r.src[r.at:])
		r.at += 4
	}
	copy(dst, r.src[r.at:])
	r.at += (len(dst) + 1) &^ 1
	return nil
}

// lzxCodes reads the codes of a block: that of the low bits of distances, if
// it has one, and the lengths of the codewords of the others as differences
// from the block before.
func (d *decoder) lzxCodes(r *bitReader, kind int) error {
	if kind == lzxAligned {
		var lengths [8]uint8
		for i := range lengths {
			lengths[i] = uint8(r.take(3))
		}
		if _, complete := d.aligned.build(lengths[:]); !complete {
			return corrupt("LZX: the code of low bits is not complete")
		}
	}
	main, length := d.lengths[:lzxMainSymbols], d.lengths[lzxMainSymbols:][:lzxLenSymbols]
	for _, part := range [][]uint8{main[:256], main[256:], length} {
		if err := d.lzxLengths(part, r); err != nil {
			return err
		}
	}
	if used, complete := d.main.build(main); used && !complete {
		return corrupt("LZX: the main code is not complete")
	}
	if used, complete := d.length.build(length); used && !complete {
		return corrupt("LZX: the code of lengths is not complete")
	}
	return nil
}

// lzxLengths brings lengths of codewords up to date. They are coded themselves,
// by a code whose 20 lengths stand in front of them in 4 bits each:
//
//	0-16  what to take from the length, modulo 17
//	17    4 zeros and as many more as 4 bits say
//	18    20 zeros and as many more as 5 bits say
//	19    4 or, if the next bit is set, 5 symbols take what the next symbol says from the first of them
func (d *decoder) lzxLengths(lengths []uint8, r *bitReader) error {
	var own [20]uint8
	for i := range own {
		own[i] = uint8(r.take(4))
	}
	if _, complete := d.pre.build(own[:]); !complete {
		return corrupt("LZX: the code of codewords is not complete")
	}
	for i := 0; i < len(lengths); {
		symbol, same, value := d.pre.decode(r), 1, uint8(0)
		switch symbol {
		case 17:
			same = 4 + r.take(4)
		case 18:
			same = 20 + r.take(5)
		case 19:
			same = 4 + r.take(1)
			if symbol = d.pre.decode(r); symbol > 16 {
				return corrupt("LZX: a run of lengths by symbol %d", symbol)
			}
		}
		if symbol <= 16 {
			value = (lengths[i] + 17 - uint8(symbol)) % 17
		}
		if same > len(lengths)-i {
			return corrupt("LZX: %d lengths where %d are left", same, len(lengths)-i)
		}
		for range same {
			lengths[i] = value
			i++
		}
	}
	return nil
}

// lzxBlock decodes a block that begins at out and fills dst. A symbol of the
// main code below 256 is that byte. Any other is a match: its bits 0-2 are the
// length less 2, to which the code of lengths adds if they are all set, the
// others the range of the distance: 0 to 2 for one of the recent distances,
// else two less than the distance is in it.
func (d *decoder) lzxBlock(dst []byte, out int, r *bitReader, kind int) error {
	for out < len(dst) {
		symbol := d.main.decode(r)
		if symbol < 0 {
			return corrupt("LZX: no main code")
		}
		if symbol < 256 {
			dst[out] = byte(symbol)
			out++
			continue
		}
		length, slot := symbol&7, symbol>>3-32
		if length == 7 {
			more := d.length.decode(r)
			if more < 0 {
				return corrupt("LZX: no code of lengths")
			}
			length += more
		}
		length += 2
		var distance uint32
		if slot < 3 {
			distance = d.recent[slot]
			d.recent[slot] = d.recent[0]
		} else {
			bits := slot/2 - 1
			distance = uint32(2|slot&1) << bits
			if kind == lzxAligned && bits >= 3 {
				distance += uint32(r.take(bits-3))<<3 + uint32(d.aligned.decode(r))
			} else {
				distance += uint32(r.take(bits))
			}
			distance -= 2
			d.recent[2], d.recent[1] = d.recent[1], d.recent[0]
		}
		d.recent[0] = distance
		if !match(dst, out, int(distance), length) {
			return corrupt("LZX: a match of %d bytes, %d back, at byte %d of %d", length, distance, out, len(dst))
		}
		out += length
	}
	return nil
}

// callsEnd is the assumed size of a file for the translation of calls.
const callsEnd = 12_000_000

// undoCalls gives the x86 call instructions (0xE8 and four bytes) of a chunk
// their relative targets back, which LZX compresses as absolute ones, counted
// from the chunk's first byte. It does so to whatever looks like one, but in
// the last ten bytes.
func undoCalls(p []byte) {
	for at := 0; at < len(p)-10; at += 5 {
		i := bytes.IndexByte(p[at:len(p)-10], 0xE8)
		if i < 0 {
			return
		}
		at += i
		target := int32(le.Uint32(p[at+1:]))
		switch {
		case target >= 0 && target < callsEnd:
			target -= int32(at)
		case target < 0 && target >= -int32(at):
			target += callsEnd
		}
		le.PutUint32(p[at+1:], uint32(target))
	}
}
