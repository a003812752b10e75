package registry

import "math/bits"

// The seed of the hashes in log entries, as two words. The regf specification lists its bytes in the opposite order
// to that in which they are read.
const (
	marvinSeedLow  = 0x7A4E55C5
	marvinSeedHigh = 0x82EF4D88
)

// marvin32 returns the Marvin32 hash (US patent 8,555,073) of the data with the seed of registry logs.
func marvin32(data []byte) uint64 {
	lo, hi := uint32(marvinSeedLow), uint32(marvinSeedHigh)
	for ; len(data) >= 4; data = data[4:] {
		lo, hi = marvinMix(lo+le.Uint32(data), hi)
	}
	last := uint32(0x80) // padding: one bit, then zeros
	for i := len(data) - 1; i >= 0; i-- {
		last = last<<8 | uint32(data[i])
	}
	lo, hi = marvinMix(lo+last, hi)
	lo, hi = marvinMix(lo, hi)
	return uint64(hi)<<32 | uint64(lo)
}

func marvinMix(lo, hi uint32) (uint32, uint32) {
	hi ^= lo
	lo = bits.RotateLeft32(lo, 20) + hi
	hi = bits.RotateLeft32(hi, 9) ^ lo
	lo = bits.RotateLeft32(lo, 27) + hi
	hi = bits.RotateLeft32(hi, 19)
	return lo, hi
}
