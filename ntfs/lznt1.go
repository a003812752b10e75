package ntfs

const lzntChunk = 4096 // bytes that a chunk stands for

// decompressLZNT1 fills dst from chunks, each of which stands for 4096 bytes:
//
//	0  2  bits 0-11: bytes that follow, less 1; 12-14: 3; 15: compressed
//
// A header of zero ends the data; the rest of dst is then zero, as is the rest
// of a chunk that decodes to less. [MS-XCA] 2.5.
func decompressLZNT1(dst, src []byte) error {
	clear(dst)
	for at := 0; at < len(dst); at += lzntChunk {
		if len(src) < 2 {
			return nil
		}
		header := le.Uint16(src)
		if header == 0 {
			return nil
		}
		n := int(header&0x0FFF) + 1
		if header>>12&7 != 3 {
			return corrupt("LZNT1 chunk with the signature %d", header>>12&7)
		}
		if 2+n > len(src) {
			return corrupt("LZNT1 chunk of %d bytes where %d are left", n, len(src)-2)
		}
		out := dst[at:min(at+lzntChunk, len(dst))]
		if header&0x8000 == 0 {
			if n > len(out) {
				return corrupt("LZNT1 chunk of %d bytes for %d", n, len(out))
			}
			copy(out, src[2:2+n])
		} else if err := decompressChunk(out, src[2:2+n]); err != nil {
			return err
		}
		src = src[2+n:]
	}
	return nil
}

// decompressChunk decodes groups of a byte of flags and eight tokens: a
// literal byte, or where the flag is set a word of a distance and a length.
// The further into the chunk, the more of the word's bits are the distance.
func decompressChunk(dst, src []byte) error {
	out, lengthBits := 0, 12
	for i := 0; i < len(src); {
		flags := src[i]
		i++
		for range 8 {
			if i >= len(src) {
				break
			}
			if flags&1 == 0 {
				if out >= len(dst) {
					return corrupt("LZNT1 chunk of more than %d bytes", len(dst))
				}
				dst[out] = src[i]
				out++
				i++
			} else {
				if i+2 > len(src) {
					return corrupt("LZNT1 chunk that ends inside a token")
				}
				token := int(le.Uint16(src[i:]))
				i += 2
				for lengthBits > 4 && out > 1<<(16-lengthBits) {
					lengthBits--
				}
				length, distance := token&(1<<lengthBits-1)+3, token>>lengthBits+1
				if distance > out {
					return corrupt("LZNT1 token that reaches %d bytes back after %d", distance, out)
				}
				if !match(dst, out, distance, length) {
					return corrupt("LZNT1 chunk of more than %d bytes", len(dst))
				}
				out += length
			}
			flags >>= 1
		}
	}
	return nil
}
