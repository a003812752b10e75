package ntfs

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"math/bits"
)

// SecurityDescriptor returns the security descriptor of a file or directory in
// its self-relative form ([MS-DTYP] 2.4.6), as it is stored: in the volume's
// list, where $STANDARD_INFORMATION has its id, or in an attribute of the file,
// as before NTFS 3.0. The error is fs.ErrNotExist if the file has none.
func (f *FS) SecurityDescriptor(name string) ([]byte, error) {
	record, err := f.resolve(name)
	if err == nil {
		var d []byte
		if d, err = f.security(record); err == nil {
			return d, nil
		}
	}
	return nil, &fs.PathError{Op: "security", Path: name, Err: err}
}

// maxDescriptor is the size of the largest security descriptor, in bytes: one
// with two access control lists of 64 KiB and two identifiers of 68 bytes.
const maxDescriptor = 2*(64<<10) + 2*68 + 20

// securityID is where $STANDARD_INFORMATION has the number of the file's
// security descriptor, since NTFS 3.0. libfsntfs, The standard information
// attribute.
const securityID = 52

var errNoDescriptor = fmt.Errorf("security descriptor: %w", fs.ErrNotExist)

func (f *FS) security(record uint32) ([]byte, error) {
	ino, err := f.load(record)
	if err != nil {
		return nil, err
	}
	standard, err := ino.need(f.disk, typeStandardInformation, "")
	if err != nil {
		return nil, err
	}
	if len(standard.resident) >= securityID+4 {
		if id := le.Uint32(standard.resident[securityID:]); id != 0 {
			return f.listedSecurity(id)
		}
	}
	own, err := ino.stream(f.disk, typeSecurityDescriptor, "")
	if err == fs.ErrNotExist {
		return nil, errNoDescriptor
	}
	if err != nil {
		return nil, err
	}
	d, err := own.readAll(maxDescriptor)
	if err != nil {
		return nil, fmt.Errorf("record %d: %s: %w", record, attributeName(typeSecurityDescriptor, ""), err)
	}
	return d, nil
}

// The list of security descriptors, the stream $SDS of $Secure: in blocks of
// 256 KiB, each followed by a copy of itself. In a block entry follows entry
// at multiples of 16 bytes, none over the block's end; behind the last one it
// is zero.
//
//	 0  4  hash of the descriptor
//	 4  4  number of the descriptor
//	 8  8  offset of the entry in the stream
//	16  4  size of the entry
//	20     descriptor
//
// libfsntfs, Security descriptor stream data; in the copy the offset is that of
// the first one.
const (
	sdsBlock  = 256 << 10
	sdsHeader = 20
	sdsAlign  = 16
)

// maxSDS is the size of the largest list that is read, in bytes. A volume has
// a descriptor for each kind of rights on it, some hundred bytes each.
const maxSDS = 256 << 20

// listedSecurity finds a descriptor by its number. A number that is there
// twice, with different descriptors, is ErrCorrupt.
func (f *FS) listedSecurity(id uint32) ([]byte, error) {
	found, err := f.findListed(id)
	if err != nil {
		return nil, fmt.Errorf("$Secure:$SDS: %w", err)
	}
	if found == nil {
		return nil, corrupt("$Secure:$SDS has no security descriptor %d", id)
	}
	return found, nil
}

// findListed returns nil if the list was read completely and does not have it.
func (f *FS) findListed(id uint32) ([]byte, error) {
	ino, err := f.load(recordSecure)
	if err != nil {
		return nil, err
	}
	s, err := ino.need(f.disk, typeData, "$SDS")
	if err != nil {
		return nil, err
	}
	return findInList(s, id)
}

func findInList(s *stream, id uint32) ([]byte, error) {
	if s.size > maxSDS {
		return nil, unsupported("%d bytes of security descriptors, more than %d", s.size, maxSDS)
	}
	var found []byte
	var lost error // of a block and of its copy
	buf := make([]byte, min(s.size, sdsBlock))
	for first := int64(0); first < s.size; first += 2 * sdsBlock {
		var damage error
		for at := first; at < min(s.size, first+2*sdsBlock); at += sdsBlock {
			block := buf[:min(s.size-at, sdsBlock)]
			if damage = s.readAt(block, at); damage != nil {
				if !recoverable(damage) {
					return nil, damage
				}
				continue
			}
			d, whole := findInBlock(block, first, id)
			if d != nil && found != nil && !bytes.Equal(d, found) {
				return nil, corrupt("security descriptor %d has two copies that differ", id)
			}
			if d != nil {
				found = bytes.Clone(d)
			}
			if whole {
				break // the copy says the same
			}
			damage = corrupt("an entry in the block at byte %d does not fit", at)
		}
		lost = cmp.Or(lost, damage)
	}
	if found == nil {
		return nil, lost
	}
	return found, nil
}

// findInBlock looks for a descriptor in a block whose entries say that they
// begin at the given offset of the stream. The block is damaged if an entry
// does not fit, or if two entries contradict each other about the descriptor.
func findInBlock(block []byte, first int64, id uint32) (found []byte, whole bool) {
	for at := 0; at+sdsHeader <= len(block); {
		e := block[at:]
		size := int(le.Uint32(e[16:]))
		if size == 0 && le.Uint32(e[4:]) == 0 {
			return found, true
		}
		if size < sdsHeader || size > len(e) || size > sdsHeader+maxDescriptor || int64(le.Uint64(e[8:])) != first+int64(at) {
			return found, false
		}
		if le.Uint32(e[4:]) == id {
			d := e[sdsHeader:size]
			if descriptorHash(d) != le.Uint32(e) || found != nil && !bytes.Equal(d, found) {
				return nil, false
			}
			found = d
		}
		at += (size + sdsAlign - 1) / sdsAlign * sdsAlign
	}
	return found, true
}

// descriptorHash is the hash of a descriptor in $SDS: each of its words is
// added to the sum so far, rotated left by three bits.
func descriptorHash(d []byte) (hash uint32) {
	for ; len(d) >= 4; d = d[4:] {
		hash = bits.RotateLeft32(hash, 3) + le.Uint32(d)
	}
	return hash
}
