package container

import (
	"encoding/binary"
	"fmt"
)

// guid is an identifier as VHDX and VDI images store it: its first three fields are
// little-endian.
type guid [16]byte

func (g guid) String() string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(g[:]), le.Uint16(g[4:]), le.Uint16(g[6:]), g[8:10], g[10:])
}
