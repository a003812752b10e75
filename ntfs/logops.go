package ntfs

// The changes that the log has of a record of $MFT and of an index block.
// flatcap's NTFS documentation, File - $LogFile; libfsntfs.

// changeRecord makes a change in a record of $MFT without fixups. Where the
// change is about an attribute, recordOffset is where that begins, and
// attributeOffset counts from there.
func changeRecord(buf []byte, rec *logRecord, c logChange) error {
	at, data := rec.recordOffset, c.data
	if c.op == opInitializeRecord {
		if at+len(data) > len(buf) || at == 0 && (len(data) < 48 || string(data[:4]) != "FILE") {
			return errDoesNotFit
		}
		if at == 0 {
			clear(buf)
		}
		copy(buf[at:], data)
		return nil
	}
	used := int(le.Uint32(buf[24:]))
	if used < 48 || used > len(buf) {
		return errDoesNotFit
	}
	switch c.op {
	case opDeallocateRecord:
		flags := le.Uint16(buf[22:])
		if flags&recordInUse == 0 {
			return errDoesNotFit
		}
		le.PutUint16(buf[22:], flags&^recordInUse)
		le.PutUint16(buf[16:], le.Uint16(buf[16:])+1)
		return nil
	case opWriteEndOfRecord:
		if at < 48 || at+len(data) > len(buf) {
			return errDoesNotFit
		}
		copy(buf[at:], data)
		le.PutUint32(buf[24:], uint32(at+len(data)))
		return nil
	}
	switch c.op {
	case opRelativeDataRoot:
		return nil
	case opZeroEndOfRecord:
		if at < used || at > len(buf) {
			return errDoesNotFit
		}
		clear(buf[at:])
		return nil
	}
	if at < 48 || at > used-8 || at%8 != 0 {
		return errDoesNotFit
	}
	if c.op == opCreateAttribute {
		if len(data) < 24 {
			return errDoesNotFit
		}
		n := int(le.Uint32(data[4:]))
		if n < 24 || n%8 != 0 || len(data) > n || used+n > len(buf) {
			return errDoesNotFit
		}
		copy(buf[at+n:used+n], buf[at:used])
		clear(buf[at+copy(buf[at:], data) : at+n])
		le.PutUint32(buf[24:], uint32(used+n))
		if id := le.Uint16(data[14:]); le.Uint16(buf[40:]) <= id {
			le.PutUint16(buf[40:], id+1)
		}
		return nil
	}
	if at > used-24 {
		return errDoesNotFit
	}
	length := int(le.Uint32(buf[at+4:]))
	if le.Uint32(buf[at:]) == typeEnd || length < 24 || length%8 != 0 || length > used-at {
		return errDoesNotFit
	}
	a := recordAttribute{buf, at, length, used}
	off := rec.attributeOffset
	switch c.op {
	case opDeleteAttribute:
		_, err := a.resize(0)
		return err
	case opUpdateResident:
		return a.updateResident(off, c)
	case opUpdateMappingPairs:
		return a.updateMappingPairs(off, data)
	case opSetSizes:
		return a.setSizes(data)
	case opAddEntryRoot:
		return a.addEntry(off, data)
	case opDeleteEntryRoot:
		return a.deleteEntry(off)
	}
	node, err := a.root()
	if err != nil {
		return err
	}
	return changeEntry(buf[at:at+length], off, node, c)
}

// recordAttribute is an attribute in a record of $MFT, by where it begins and its
// length, in bytes.
type recordAttribute struct {
	buf              []byte
	at, length, used int
}

// resize sets the attribute's length, 0 to remove it, and moves the data after it.
func (a recordAttribute) resize(length int) (recordAttribute, error) {
	end := a.at + a.length
	used := a.used + length - a.length
	if length%8 != 0 || used > len(a.buf) {
		return a, errDoesNotFit
	}
	copy(a.buf[a.at+length:], a.buf[end:a.used])
	if used < a.used {
		clear(a.buf[used:a.used])
	} else if length > a.length {
		clear(a.buf[end : a.at+length])
	}
	if length > 0 {
		le.PutUint32(a.buf[a.at+4:], uint32(length))
	}
	le.PutUint32(a.buf[24:], uint32(used))
	a.length, a.used = length, used
	return a, nil
}

func (a recordAttribute) resident() bool { return a.buf[a.at+8] == 0 }

// valueOffset is where the value of a resident attribute begins in it.
func (a recordAttribute) valueOffset() int { return int(le.Uint16(a.buf[a.at+20:])) }

// updateResident writes into the value of a resident attribute. Unless the data
// replaces as much, the value ends behind it. File content is not logged: then the
// value is zero there.
func (a recordAttribute) updateResident(off int, c logChange) error {
	value := a.valueOffset()
	if !a.resident() || off < value {
		return errDoesNotFit
	}
	if !c.same {
		var err error
		if a, err = a.resize((off + c.length + 7) &^ 7); err != nil {
			return err
		}
		le.PutUint32(a.buf[a.at+16:], uint32(off+c.length-value))
	}
	if off+c.length > a.length {
		return errDoesNotFit
	}
	clear(a.buf[a.at+off+copy(a.buf[a.at+off:], c.data) : a.at+off+c.length])
	return nil
}

// updateMappingPairs writes the end of the mapping pairs.
func (a recordAttribute) updateMappingPairs(off int, data []byte) error {
	if a.resident() || a.length < 64 || off < int(le.Uint16(a.buf[a.at+32:])) || off > a.length {
		return errDoesNotFit
	}
	a, err := a.resize((off + len(data) + 7) &^ 7)
	if err != nil {
		return err
	}
	copy(a.buf[a.at+off:], data)
	clear(a.buf[a.at+off+len(data) : a.at+a.length])
	lowest := int64(le.Uint64(a.buf[a.at+16:]))
	next, ok := pairsEnd(a.buf[a.at+int(le.Uint16(a.buf[a.at+32:])):a.at+a.length], lowest)
	if !ok {
		return errDoesNotFit
	}
	le.PutUint64(a.buf[a.at+24:], uint64(next-1))
	return nil
}

// pairsEnd returns the cluster behind the last that mapping pairs describe.
func pairsEnd(pairs []byte, vcn int64) (int64, bool) {
	for i := 0; i < len(pairs); {
		n, d := int(pairs[i]&0x0F), int(pairs[i]>>4)
		if pairs[i] == 0 {
			return vcn, true
		}
		if n == 0 || n > 8 || d > 8 || i+1+n+d > len(pairs) {
			return 0, false
		}
		clusters := signed(pairs[i+1 : i+1+n])
		if clusters <= 0 || vcn > 1<<62-clusters {
			return 0, false
		}
		vcn += clusters
		i += 1 + n + d
	}
	return 0, false
}

// setSizes sets the sizes of an attribute that is not resident:
//
//	0  8  allocated, 8  8  initialized, 16  8  size, 24  8  allocated without holes
func (a recordAttribute) setSizes(data []byte) error {
	if a.resident() || a.length < 64 || len(data) < 24 {
		return errDoesNotFit
	}
	copy(a.buf[a.at+40:], data[:8])
	copy(a.buf[a.at+48:], data[16:24])
	copy(a.buf[a.at+56:], data[8:16])
	if len(data) >= 32 && a.length >= 72 && le.Uint16(a.buf[a.at+32:]) >= 72 {
		copy(a.buf[a.at+64:], data[24:32])
	}
	return nil
}

// root returns where the header of the node begins in an attribute that is the
// root of an index.
func (a recordAttribute) root() (int, error) {
	node := a.valueOffset() + 16
	if le.Uint32(a.buf[a.at:]) != typeIndexRoot || !a.resident() || node+16 > a.length {
		return 0, errDoesNotFit
	}
	return node, nil
}

// growNode adds to the length of a node, in its header.
func growNode(header []byte, n int) {
	le.PutUint32(header[4:], uint32(int(le.Uint32(header[4:]))+n))
}

// nodeEnd is where the entries of a node end, counted from its header.
func nodeEnd(header []byte) (int, bool) {
	end := int(le.Uint32(header[4:]))
	return end, end >= 16 && end <= len(header)
}

// addEntry inserts an entry into the root of an index.
func (a recordAttribute) addEntry(off int, data []byte) error {
	node, err := a.root()
	if err != nil {
		return err
	}
	n, ok := entryLength(data)
	end, whole := nodeEnd(a.buf[a.at+node : a.at+a.length])
	if !ok || !whole || off < node+16 || off > node+end || off%8 != 0 {
		return errDoesNotFit
	}
	value, size := a.valueOffset(), int(le.Uint32(a.buf[a.at+16:]))
	if a, err = a.resize((value + size + n + 7) &^ 7); err != nil {
		return err
	}
	buf := a.buf[a.at : a.at+a.length]
	copy(buf[off+n:], buf[off:node+end])
	copy(buf[off:], data[:n])
	growNode(buf[node:], n)
	le.PutUint32(buf[node+8:], le.Uint32(buf[node+8:])+uint32(n))
	le.PutUint32(buf[16:], uint32(size+n))
	return nil
}

// deleteEntry removes an entry from the root of an index.
func (a recordAttribute) deleteEntry(off int) error {
	node, err := a.root()
	if err != nil {
		return err
	}
	buf := a.buf[a.at : a.at+a.length]
	end, whole := nodeEnd(buf[node:])
	if !whole || off < node+16 || off > node+end-16 {
		return errDoesNotFit
	}
	n, ok := entryLength(buf[off : node+end])
	value, size := a.valueOffset(), int(le.Uint32(buf[16:]))
	if !ok || size < n || le.Uint16(buf[off+12:])&entryIsLast != 0 {
		return errDoesNotFit
	}
	copy(buf[off:], buf[off+n:node+end])
	growNode(buf[node:], -n)
	le.PutUint32(buf[node+8:], le.Uint32(buf[node+8:])-uint32(n))
	le.PutUint32(buf[16:], uint32(size-n))
	_, err = a.resize((value + size - n + 7) &^ 7)
	return err
}

// entryLength is the length of the entry at the start of buf, all of which must
// be there.
func entryLength(buf []byte) (int, bool) {
	if len(buf) < 16 {
		return 0, false
	}
	n := int(le.Uint16(buf[8:]))
	return n, n >= 16 && n%8 == 0 && n <= len(buf)
}

// changeIndexBlock makes a change in an index block without fixups.
func changeIndexBlock(buf []byte, rec *logRecord, c logChange) error {
	const node = 24
	off, data := rec.attributeOffset, c.data
	header := buf[node:]
	end, whole := nodeEnd(header)
	if c.op == opRelativeDataBlock {
		return nil
	}
	if rec.recordOffset != 0 || !whole || off < node+16 || off > node+end || off%8 != 0 {
		return errDoesNotFit
	}
	switch c.op {
	case opAddEntryBlock:
		n, ok := entryLength(data)
		if !ok || node+end+n > len(buf) {
			return errDoesNotFit
		}
		copy(buf[off+n:], buf[off:node+end])
		copy(buf[off:], data[:n])
		growNode(header, n)
		return nil
	case opDeleteEntryBlock:
		n, ok := entryLength(buf[off : node+end])
		if !ok || le.Uint16(buf[off+12:])&entryIsLast != 0 {
			return errDoesNotFit
		}
		copy(buf[off:], buf[off+n:node+end])
		growNode(header, -n)
		return nil
	case opWriteEndOfBlock:
		if off+len(data) > len(buf) {
			return errDoesNotFit
		}
		copy(buf[off:], data)
		le.PutUint32(header[4:], uint32(off+len(data)-node))
		return nil
	}
	return changeEntry(buf, off, node, c)
}

// changeEntry changes an entry of the node whose header begins at byte node.
func changeEntry(buf []byte, off, node int, c logChange) error {
	end, whole := nodeEnd(buf[node:])
	if !whole || off < node+16 || off > node+end-16 {
		return errDoesNotFit
	}
	n, ok := entryLength(buf[off : node+end])
	if !ok {
		return errDoesNotFit
	}
	at := 0
	switch c.op {
	case opSetEntryVCNRoot, opSetEntryVCNBlock:
		if at = n - 8; n < 24 || len(c.data) != 8 || le.Uint16(buf[off+12:])&entryHasNode == 0 {
			return errDoesNotFit
		}
	case opUpdateFileNameRoot, opUpdateFileNameBlock:
		at = 16 + 8 // behind the reference of the parent
	case opUpdateRecordRoot, opUpdateRecordBlock:
		at = int(le.Uint16(buf[off:]))
	}
	if at < 16 || at+len(c.data) > n {
		return errDoesNotFit
	}
	copy(buf[off+at:], c.data)
	return nil
}
