package ntfs

// xpress fills dst from one chunk of XPRESS with Huffman codes:
//
//	0    256  lengths of the codewords, four bits for each of 512 symbols, the first in the lower ones
//	256       codewords, in 16-bit words
//
// A symbol below 256 is that byte. Any other is a match: its bits 0-3 are the
// length less 3, its bits 4-7 how many bits of the distance follow below the
// highest one. If the length is 15, a byte to add to it precedes the next word;
// if that byte is 255, the next 16 bits are the full length instead. Anything
// after the last byte, such as the end symbol 256, is ignored. [MS-XCA] 2.2.
func (d *decoder) xpress(dst, src []byte) error {
	const table = 256
	if len(src) < table {
		return corrupt("XPRESS: %d bytes, less than its code", len(src))
	}
	lengths := d.lengths[:2*table]
	for i, b := range src[:table] {
		lengths[2*i], lengths[2*i+1] = b&15, b>>4
	}
	if _, complete := d.main.build(lengths); !complete {
		return corrupt("XPRESS: a code that is not complete")
	}
	r := bitReader{src: src, at: table}
	for out := 0; out < len(dst); {
		symbol := d.main.decode(&r)
		if symbol < 256 {
			dst[out] = byte(symbol)
			out++
			continue
		}
		length := symbol & 15
		r.fill()
		if length == 15 {
			if r.at >= len(src) {
				return corrupt("XPRESS: ends inside a match")
			}
			length += int(src[r.at])
			r.at++
			if length == 15+255 {
				if len(src)-r.at < 2 {
					return corrupt("XPRESS: ends inside a match")
				}
				if length = int(le.Uint16(src[r.at:])); length < 15 {
					return corrupt("XPRESS: a long match of %d bytes", length+3)
				}
				r.at += 2
			}
		}
		length += 3
		bits := symbol >> 4 & 15
		distance := 1<<bits | r.take(bits)
		if !match(dst, out, distance, length) {
			return corrupt("XPRESS: a match of %d bytes, %d back, at byte %d of %d", length, distance, out, len(dst))
		}
		out += length
	}
	if r.overrun() {
		return corrupt("XPRESS: ends early")
	}
	return nil
}

// match repeats what lies distance bytes before out; it may overlap itself. It
// reports whether that is inside dst.
func match(dst []byte, out, distance, length int) bool {
	if distance <= 0 || distance > out || length > len(dst)-out {
		return false
	}
	for start, end := out-distance, out+length; out < end; {
		out += copy(dst[out:end], dst[start:out])
	}
	return true
}
