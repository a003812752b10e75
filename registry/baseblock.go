package registry

import (
	"encoding/binary"
	"fmt"

	"github.com/coldcheck/coldcheck/internal/utf16le"
)

var le = binary.LittleEndian

const (
	// baseBlockSize is the size of the base block of a hive; the bins data follow it.
	baseBlockSize = 4096
	// sectorSize is the size of the part of a base block that holds its fields, of a log's base block, and of the
	// unit in which logs are laid out.
	sectorSize = 512
	// pageSize is the unit in which bins are laid out.
	pageSize = 4096
)

// File types of base blocks.
const (
	typePrimary  = 0
	typeOldLog   = 1 // Windows up to 8
	typeOlderLog = 2 // the same, of early versions
	typeNewLog   = 6 // Windows 8.1 and later
)

// A baseBlock holds the fields of the first sector of a hive or of a transaction log (regf, "Base block").
type baseBlock struct {
	primary, secondary uint32 // sequence numbers; equal after a finished write
	lastWritten        uint64 // FILETIME
	major, minor       uint32
	fileType           uint32
	fileFormat         uint32   // 1: direct memory load
	root               uint32   // offset of the root key's cell in the bins data
	binsSize           uint32   // bytes
	fileName           string   // tail of the path of the hive
	resourceManager    [16]byte // GUID of the hive's resource manager for transactions, zero if it never had one
}

// parseBaseBlock decodes a sector. It fails with ErrCorrupt if the signature or the checksum is wrong; the fields are
// set all the same if the signature is right.
func parseBaseBlock(sector []byte) (baseBlock, error) {
	if len(sector) < sectorSize {
		return baseBlock{}, fmt.Errorf("%w: %d bytes are too few for a base block", ErrCorrupt, len(sector))
	}
	if string(sector[:4]) != "regf" {
		return baseBlock{}, fmt.Errorf("%w: no base block: the file begins with % x instead of \"regf\"", ErrCorrupt,
			sector[:4])
	}
	b := baseBlock{
		primary:         le.Uint32(sector[4:]),
		secondary:       le.Uint32(sector[8:]),
		lastWritten:     le.Uint64(sector[12:]),
		major:           le.Uint32(sector[20:]),
		minor:           le.Uint32(sector[24:]),
		fileType:        le.Uint32(sector[28:]),
		fileFormat:      le.Uint32(sector[32:]),
		root:            le.Uint32(sector[36:]),
		binsSize:        le.Uint32(sector[40:]),
		fileName:        utf16le.Decode(untilNUL(sector[48:112])),
		resourceManager: [16]byte(sector[112:128]),
	}
	if have, want := le.Uint32(sector[508:]), checksum(sector); have != want {
		return b, fmt.Errorf("%w: base block: checksum 0x%08x, but its content has 0x%08x", ErrCorrupt, have, want)
	}
	return b, nil
}

// checksum returns the checksum of a base block: the exclusive or of its first 127 words, never 0 or 0xFFFFFFFF.
func checksum(sector []byte) uint32 {
	var sum uint32
	for i := 0; i < 508; i += 4 {
		sum ^= le.Uint32(sector[i:])
	}
	switch sum {
	case 0:
		return 1
	case 0xFFFFFFFF:
		return 0xFFFFFFFE
	}
	return sum
}

// supported says whether this package reads such a hive.
func (b *baseBlock) supported() error {
	switch {
	case b.fileType != typePrimary:
		return fmt.Errorf("%w: the file is a transaction log (file type %d), not a hive", ErrUnsupported, b.fileType)
	case b.major != 1 || b.minor < 3 || b.minor > 6:
		return fmt.Errorf("%w: format version %d.%d; versions 1.3 to 1.6 are read", ErrUnsupported, b.major, b.minor)
	case b.fileFormat != 1:
		return fmt.Errorf("%w: file format %d; only 1 (direct memory load) is read", ErrUnsupported, b.fileFormat)
	}
	return nil
}
