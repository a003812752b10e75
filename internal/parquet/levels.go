package parquet

import (
	"encoding/binary"
	"math/bits"
)

// bitWidth is the number of bits that hold numbers up to limit.
func bitWidth(limit int) int {
	return bits.Len(uint(max(limit, 0)))
}

// appendLevels appends the levels of a data page of version 1: their length in bytes, and
// the hybrid encoding.
func appendLevels(page []byte, levels []uint32, limit int) []byte {
	begin := len(page)
	page = append(page, 0, 0, 0, 0)
	page = appendHybrid(page, levels, bitWidth(limit))
	binary.LittleEndian.PutUint32(page[begin:], uint32(len(page)-begin-4))
	return page
}

// shortestRun is the length of the shortest run of equal numbers that appendHybrid does
// not pack.
const shortestRun = 8

// appendHybrid appends numbers in the hybrid encoding of runs and of packed bits
// (Encodings.md, section RLE). Packed numbers are in groups of eight, so that a run may
// begin only behind a whole group.
func appendHybrid(out []byte, numbers []uint32, width int) []byte {
	packed := 0 // where numbers begin that are not written yet
	for i := 0; i < len(numbers); {
		end := i + 1
		for end < len(numbers) && numbers[end] == numbers[i] {
			end++
		}
		// Numbers that fill the last group are taken from the run.
		begin := packed + (i-packed+7)/8*8
		if end-begin < shortestRun {
			i = end
			continue
		}
		out = appendGroups(out, numbers[packed:begin], width)
		out = binary.AppendUvarint(out, uint64(end-begin)<<1)
		for b := 0; b < width; b += 8 {
			out = append(out, byte(numbers[i]>>b))
		}
		packed, i = end, end
	}
	return appendGroups(out, numbers[packed:], width)
}

// appendGroups appends numbers in packed bits, behind the number of groups of eight. Zeros
// fill the last one.
func appendGroups(out []byte, numbers []uint32, width int) []byte {
	if len(numbers) == 0 {
		return out
	}
	groups := (len(numbers) + 7) / 8
	out = binary.AppendUvarint(out, uint64(groups)<<1|1)
	end := len(out) + groups*width
	out = appendPacked(out, numbers, width)
	for len(out) < end {
		out = append(out, 0)
	}
	return out
}

// appendPacked appends numbers in packed bits, from the lowest bit of each byte on.
func appendPacked(out []byte, numbers []uint32, width int) []byte {
	buffer, filled := uint64(0), 0
	for _, n := range numbers {
		buffer |= uint64(n) << filled
		for filled += width; filled >= 8; filled -= 8 {
			out = append(out, byte(buffer))
			buffer >>= 8
		}
	}
	if filled > 0 {
		out = append(out, byte(buffer))
	}
	return out
}
