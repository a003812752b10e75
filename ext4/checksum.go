package ext4

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// zeros stand for a checksum's own bytes, which count as zero. (A literal would
// be allocated for every inode.)
var zeros [4]byte

// crc32c continues a CRC-32C as the kernel has it, without the inversions at
// begin and end that hash/crc32 makes.
func crc32c(crc uint32, p []byte) uint32 { return ^crc32.Update(^crc, castagnoli, p) }

// crc32cUint32 continues a CRC-32C with a little-endian number.
func crc32cUint32(crc, n uint32) uint32 {
	for range 4 {
		crc = crc>>8 ^ castagnoli[byte(crc)^byte(n)]
		n >>= 8
	}
	return crc
}

// crc16Table is that of the reflected polynomial 0x8005.
var crc16Table = func() (table [256]uint16) {
	for i := range table {
		crc := uint16(i)
		for range 8 {
			if crc&1 != 0 {
				crc = crc>>1 ^ 0xA001
			} else {
				crc >>= 1
			}
		}
		table[i] = crc
	}
	return table
}()

// crc16 continues the checksum of the group descriptors of uninit_bg.
func crc16(crc uint16, p []byte) uint16 {
	for _, b := range p {
		crc = crc>>8 ^ crc16Table[byte(crc)^b]
	}
	return crc
}

// crc32beTable is that of the polynomial 0x04C11DB7, most significant bit
// first.
var crc32beTable = func() (table [256]uint32) {
	for i := range table {
		crc := uint32(i) << 24
		for range 8 {
			if crc&0x80000000 != 0 {
				crc = crc<<1 ^ 0x04C11DB7
			} else {
				crc <<= 1
			}
		}
		table[i] = crc
	}
	return table
}()

// crc32be continues the checksum of a transaction of version 1.
func crc32be(crc uint32, p []byte) uint32 {
	for _, b := range p {
		crc = crc<<8 ^ crc32beTable[byte(crc>>24)^b]
	}
	return crc
}
