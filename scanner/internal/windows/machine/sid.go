package machine

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

var le = binary.LittleEndian

// ParseSID decodes a binary security identifier ([MS-DTYP] 2.4.2.2).
func ParseSID(b []byte) (string, error) {
	if len(b) < 8 || b[0] != 1 || b[1] > 15 || len(b) < 8+4*int(b[1]) {
		return "", fmt.Errorf("%x is not a security identifier", b[:min(len(b), 68)])
	}
	authority := uint64(binary.BigEndian.Uint16(b[2:]))<<32 | uint64(binary.BigEndian.Uint32(b[4:]))
	var s strings.Builder
	s.WriteString("S-1-")
	s.WriteString(strconv.FormatUint(authority, 10))
	for i := range int(b[1]) {
		s.WriteString("-" + strconv.FormatUint(uint64(le.Uint32(b[8+4*i:])), 10))
	}
	return s.String(), nil
}

// SplitSID takes S-1-5-21-1-2-3-500 apart into the SID of its domain and its
// relative identifier.
func SplitSID(sid string) (domain string, rid uint32) {
	i := strings.LastIndexByte(sid, '-')
	if i < 0 {
		return sid, 0
	}
	n, err := strconv.ParseUint(sid[i+1:], 10, 32)
	if err != nil {
		return sid, 0
	}
	return sid[:i], uint32(n)
}
