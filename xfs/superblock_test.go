package xfs

import (
	"errors"
	"testing"
)

// What a superblock says is taken up to the limits, and no further.
func TestSuperblock(t *testing.T) {
	raw := unpack(t, "v4")[:sector] // blocks of 512 bytes, 32768 of them in one group
	for _, tt := range []struct {
		name  string
		at    int
		bytes []byte
		err   error
	}{
		{"as it is", 0, []byte("XFSB"), nil},
		{"magic", 0, []byte("XFSC"), ErrCorrupt},
		{"version", 0x65, []byte{0xB3}, ErrUnsupported},
		{"blocks of 0", 0x4, []byte{0, 0, 0, 0}, ErrCorrupt},
		{"blocks and their logarithm", 0x78, []byte{10}, ErrCorrupt},
		{"sectors of 256", 0x66, []byte{1, 0}, ErrCorrupt},
		{"sectors larger than blocks", 0x66, []byte{0x10, 0}, ErrCorrupt},
		{"inodes of 0", 0x68, []byte{0, 0}, ErrCorrupt},
		{"inodes in a block", 0x6A, []byte{0, 3}, ErrCorrupt},
		{"one block too many", 0x8, []byte{0, 0, 0, 0, 0, 0, 0x80, 1}, ErrCorrupt},
		{"blocks of a group", 0x54, []byte{0, 0, 0, 63}, ErrCorrupt},
		{"logarithm of a group", 0x7C, []byte{14}, ErrCorrupt},
		{"groups", 0x58, []byte{0, 0, 0, 0}, ErrCorrupt},
		{"groups without blocks", 0x58, []byte{0, 0, 0, 2}, ErrCorrupt},
		{"directory blocks of 64 KiB", 0xC0, []byte{7}, nil},
		{"directory blocks of 128 KiB", 0xC0, []byte{8}, ErrCorrupt},
		{"directory blocks whose logarithm overflows", 0xC0, []byte{0xF7}, ErrCorrupt},
		{"the log's end", 0x60, []byte{0xFF, 0xFF, 0xFF, 0xFF}, ErrCorrupt},
		{"share of inodes", 0x7F, []byte{101}, ErrCorrupt},
		{"root", 0x38, []byte{0, 0, 0, 0, 0, 0, 0, 1}, ErrCorrupt},
		{"root in another group", 0x38, []byte{0, 0, 0, 0, 0xFF, 0, 0, 0}, ErrCorrupt},
		{"directories of version 1", 0x64, []byte{raw[0x64] &^ 0x20}, ErrUnsupported},
	} {
		b := append([]byte(nil), raw...)
		copy(b[tt.at:], tt.bytes)
		if _, err := parseSuperblock(b, false); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
	}

	// What version 5 has besides, without its checksum.
	raw = unpack(t, "v5")[:sector]
	for _, tt := range []struct {
		name string
		bits uint32
		err  error
	}{
		{"parent pointers", incompatParent, nil},
		{"needs repair", incompatNeedsRepair, ErrCorrupt},
		{"metadata directories", 0x100, ErrUnsupported},
		{"zoned", 0x200, ErrUnsupported},
		{"without a name", 1 << 31, ErrUnsupported},
	} {
		b := append([]byte(nil), raw...)
		be.PutUint32(b[0xD8:], be.Uint32(b[0xD8:])|tt.bits)
		if _, err := parseSuperblock(b, true); !errors.Is(err, tt.err) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.err)
		}
		if _, err := parseSuperblock(b, false); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s, checksum: %v", tt.name, err)
		}
	}
}
