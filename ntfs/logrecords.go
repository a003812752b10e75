package ntfs

import (
	"bytes"
	"errors"
	"fmt"
)

// A log is a ring of pages after the restart pages. A record in it is numbered
// by its location: an LSN is the byte offset in the file divided by 8, with the
// number of wraps in the bits above. Sources: flatcap's NTFS documentation, File
// - $LogFile; libfsntfs, Metadata transaction journal.

const (
	// maxLog is the size of the largest log that is read, in bytes. By default
	// Windows creates logs of at most 64 MiB.
	maxLog = 256 << 20
	// maxLogRecord is the size of the largest record, in bytes.
	maxLogRecord = 1 << 20
	// maxLogRecords bounds how many records are read.
	maxLogRecords = 1 << 21

	logRecordHeader  = 48 // bytes
	logRecordData    = 1  // a record of a change
	logRecordRestart = 2  // where the client begins after a crash
	logPageHeader    = 64 // bytes at most that a page's header takes

	tailPagesOld = 2  // behind the restart pages: copies of the last page
	tailPagesNew = 32 // since version 2.0
)

// restartArea is the content of the valid restart page:
//
//	 0  8  newest LSN when it was written
//	 8  2  number of clients
//	12  2  first client in use, 0xFFFF if there is none
//	14  2  flags
//	16  4  bits of an LSN that count the rounds
//	22  2  offset of the clients
//	24  8  size of the log
//	36  2  length of a record's header
//	38  2  offset of the records in a page
//
// and its first client, which is NTFS:
//
//	0  8  oldest LSN that it needs, 8  8  LSN of its restart record
type restartArea struct {
	clean        bool
	lsn          uint64
	major        int16
	pageSize     int64
	sequenceBits uint
	size         int64
	dataOffset   int64
	oldest       uint64
	restart      uint64
}

// logReader reads the records of a log.
type logReader struct {
	restartArea
	read  func(p []byte, off int64) error // of $LogFile
	first int64                           // page behind the tail pages
	tails map[int64][]byte                // pages whose newest content is in a tail page
	pages map[int64][]byte                // pages that were read, nil for those that cannot be

	piece       []byte // that was read last
	pieceNumber int64
	left        int64 // bytes that may still be read
}

// logRecord is a record of a log:
//
//	 0  8  its LSN, 8  8  the client's record before
//	16  8  the record that is to be undone next
//	24  4  length of the client's data
//	32  4  type, 36  4  transaction
//
// and NTFS's own data in it:
//
//	 0  2  operation to redo, 2  2  to undo
//	 4  2  offset of the data for redo, 6  2  its length
//	 8  2  offset of the data for undo, 10  2  its length
//	14  2  number of clusters at the end
//	16  2  offset in the record or block, 18  2  in the attribute
//	20  2  offset in the cluster, in units of 512 bytes
//	32     clusters
type logRecord struct {
	lsn, before, undoNext uint64
	kind, transaction     uint32
	redo, undo            logChange
	recordOffset          int
	attributeOffset       int
	clusterOffset         int64 // in bytes
	clusters              []int64
}

// logChange is one direction of a record.
type logChange struct {
	op     uint16
	data   []byte
	length int  // of the data; missing for file content, which is not logged
	same   bool // as long as the data of the other direction
}

// newLogReader checks that the log can be read.
func newLogReader(area restartArea, size int64, read func(p []byte, off int64) error) (*logReader, error) {
	l := &logReader{restartArea: area, read: read, tails: make(map[int64][]byte), pages: make(map[int64][]byte)}
	tails := int64(tailPagesOld)
	switch area.major {
	case 1:
	case 2:
		tails = tailPagesNew
	default:
		return nil, unsupported("version %d of the log", area.major)
	}
	l.first = 2 + tails
	switch {
	case area.size > maxLog:
		return nil, unsupported("a log of %d bytes", area.size)
	case area.size > size || area.size < (l.first+1)*area.pageSize:
		return nil, corrupt("a log of %d bytes in a file of %d", area.size, size)
	case area.sequenceBits < 64-29 || area.sequenceBits > 60:
		return nil, corrupt("LSNs with %d bits for the round", area.sequenceBits)
	case l.offsetOf(1<<(64-area.sequenceBits)-1) < area.size-8:
		return nil, corrupt("LSNs too small for a log of %d bytes", area.size)
	case area.dataOffset < 48 || area.dataOffset > logPageHeader:
		return nil, corrupt("records at byte %d of a page", area.dataOffset)
	}
	l.size = area.size / l.pageSize * l.pageSize
	l.left = 8*l.size + 64<<20
	for i := int64(2); i < l.first; i++ {
		if err := l.tail(i); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// tail looks at a copy of the last page. Which page it is a copy of its header
// says: in the place of its last LSN, since version 2.0 at byte 60. It is used
// if its content is newer than that page's.
func (l *logReader) tail(number int64) error {
	page, err := l.readPage(number * l.pageSize)
	if page == nil || err != nil {
		return err
	}
	at := int64(le.Uint64(page[8:]))
	if l.major >= 2 {
		at = int64(le.Uint32(page[60:]))
	}
	if at < l.first*l.pageSize || at > l.size-l.pageSize || at%l.pageSize != 0 {
		return nil
	}
	place, err := l.readPage(at)
	if err != nil {
		return err
	}
	for _, other := range [][]byte{place, l.tails[at]} {
		if other != nil && lastEnd(other) >= lastEnd(page) {
			return nil
		}
	}
	l.tails[at] = page
	return nil
}

// lastEnd is the LSN of the last record that ends in a page, 0 if none does.
func lastEnd(page []byte) uint64 {
	if le.Uint32(page[16:])&1 == 0 {
		return 0
	}
	return le.Uint64(page[32:])
}

// newest is the LSN of the last record of which a page holds a part, unless it is
// a tail page.
func newest(page []byte) uint64 {
	if end := lastEnd(page); end != 0 {
		return end
	}
	return le.Uint64(page[8:])
}

// readPage reads a page:
//
//	 0  4  "RCRD"
//	 8  8  last LSN of which it holds a part
//	16  4  flags: 1 if a record ends in it
//	22  2  which page of a write of several this is, from 1 on
//	32  8  last LSN that ends in it
//
// It is nil if it is torn or no page of records.
func (l *logReader) readPage(at int64) ([]byte, error) {
	ahead, err := l.ahead(at)
	if err != nil {
		return nil, err
	}
	if at%logAhead+l.pageSize > int64(len(ahead)) {
		return nil, nil
	}
	page := bytes.Clone(ahead[at%logAhead:][:l.pageSize])
	if string(page[:4]) != "RCRD" || fixup(page) != readable {
		return nil, nil
	}
	return page, nil
}

// logAhead is how much of the log is read at once, in bytes: several pages of
// any size.
const logAhead = 256 << 10

// ahead returns the piece of the log that holds a byte, or its readable part.
func (l *logReader) ahead(at int64) ([]byte, error) {
	number := at / logAhead
	if l.piece != nil && l.pieceNumber == number {
		return l.piece, nil
	}
	piece := make([]byte, min(logAhead, l.size-number*logAhead))
	if l.left -= int64(len(piece)); l.left < 0 {
		return nil, unsupported("a log that is read again and again")
	}
	if err := l.read(piece, number*logAhead); err != nil {
		if !recoverable(err) {
			return nil, err
		}
		piece = []byte{}
	}
	l.piece, l.pieceNumber = piece, number
	return piece, nil
}

// page returns the newest content of a page.
func (l *logReader) page(at int64) ([]byte, error) {
	if page := l.tails[at]; page != nil {
		return page, nil
	}
	if page, ok := l.pages[at]; ok {
		return page, nil
	}
	page, err := l.readPage(at)
	if err == nil {
		if int64(len(l.pages)) >= max(16, keptLog/l.pageSize) {
			clear(l.pages)
		}
		l.pages[at] = page
	}
	return page, err
}

// keptLog is how much of the log is kept, in bytes.
const keptLog = 4 << 20

func (l *logReader) offsetOf(lsn uint64) int64 {
	return int64(lsn&(1<<(64-l.sequenceBits)-1)) << 3
}

func (l *logReader) round(lsn uint64) uint64 { return lsn >> (64 - l.sequenceBits) }

func (l *logReader) lsnAt(round uint64, off int64) uint64 {
	return round<<(64-l.sequenceBits) | uint64(off)>>3
}

// errLogEnd says that there is no record with an LSN.
var errLogEnd = errors.New("no record")

// record reads the record with an LSN, and returns the LSN that the next one
// would have. The error is errLogEnd if there is none.
func (l *logReader) record(lsn uint64) (r logRecord, next uint64, err error) {
	off, round := l.offsetOf(lsn), l.round(lsn)
	inPage := off % l.pageSize
	if off < l.first*l.pageSize || off >= l.size || inPage < l.dataOffset || inPage > l.pageSize-logRecordHeader {
		return r, 0, errLogEnd
	}
	page, err := l.page(off - inPage)
	if err != nil {
		return r, 0, err
	}
	if page == nil {
		return r, 0, errLogEnd
	}
	header := page[inPage : inPage+logRecordHeader]
	n := int64(le.Uint32(header[24:]))
	if le.Uint64(header) != lsn || n > maxLogRecord {
		return r, 0, errLogEnd
	}
	at, inPage := off-inPage, inPage+logRecordHeader
	data := make([]byte, 0, n)
	for {
		take := min(n-int64(len(data)), l.pageSize-inPage)
		data = append(data, page[inPage:inPage+take]...)
		inPage += take
		if int64(len(data)) == n {
			break
		}
		if at += l.pageSize; at >= l.size {
			at, round = l.first*l.pageSize, round+1
		}
		if page, err = l.page(at); err != nil {
			return r, 0, err
		}
		if page == nil || newest(page) < lsn {
			return r, 0, errLogEnd // a write of several pages that did not end
		}
		inPage = l.dataOffset
	}
	inPage = (inPage + 7) &^ 7
	if inPage > l.pageSize-logRecordHeader {
		if at, inPage = at+l.pageSize, l.dataOffset; at >= l.size {
			at, round = l.first*l.pageSize, round+1
		}
	}
	r = logRecord{
		lsn: lsn, before: le.Uint64(header[8:]), undoNext: le.Uint64(header[16:]),
		kind: le.Uint32(header[32:]), transaction: le.Uint32(header[36:]),
	}
	if r.kind == logRecordData {
		if err := r.decode(data); err != nil {
			return r, 0, fmt.Errorf("record %d of the log: %w", lsn, err)
		}
	}
	return r, l.lsnAt(round, at+inPage), nil
}

func (r *logRecord) decode(data []byte) error {
	if len(data) < 32 {
		return corrupt("%d bytes", len(data))
	}
	word := func(at int) int { return int(le.Uint16(data[at:])) }
	part := func(at, n int) []byte {
		if at+n > len(data) {
			return nil
		}
		return data[at : at+n]
	}
	r.redo.op, r.undo.op = le.Uint16(data), le.Uint16(data[2:])
	r.redo.data, r.undo.data = part(word(4), word(6)), part(word(8), word(10))
	r.redo.length, r.undo.length = word(6), word(10)
	r.redo.same = word(6) == word(10)
	r.undo.same = r.redo.same
	r.recordOffset, r.attributeOffset, r.clusterOffset = word(16), word(18), int64(word(20))*512
	n := word(14)
	if 32+8*n > len(data) {
		return corrupt("%d clusters in %d bytes", n, len(data))
	}
	for i := range n {
		r.clusters = append(r.clusters, int64(le.Uint64(data[32+8*i:])))
	}
	return nil
}

// records calls fn for every record from an LSN on to the end of the log.
// errLogTorn says that there are pages behind the end that were written later:
// some were lost.
func (l *logReader) records(lsn uint64, fn func(logRecord) error) error {
	first, last := lsn, uint64(0)
	for range maxLogRecords {
		r, next, err := l.record(lsn)
		if err == errLogEnd {
			if last == 0 {
				return corrupt("no record at LSN %d, the oldest that is needed", lsn)
			}
			return l.endsAt(last)
		}
		if err != nil {
			return err
		}
		if err := fn(r); err != nil {
			return err
		}
		last, lsn = r.lsn, next
		if l.round(lsn) > l.round(first)+1 {
			return corrupt("a log without an end")
		}
	}
	return unsupported("more than %d records in the log", maxLogRecords)
}

// endsAt checks that no write behind the last record had been finished: nothing
// after it in its page, and no page of a later write behind that. A write of
// several pages of which only some are there was not finished.
func (l *logReader) endsAt(last uint64) error {
	if last < l.lsn {
		return corrupt("the log ends at LSN %d, before %d", last, l.lsn)
	}
	at := l.offsetOf(last) / l.pageSize * l.pageSize
	for i := range laterPages {
		page, err := l.page(at)
		if err != nil {
			return err
		}
		if page != nil && newest(page) > last && (i == 0 || le.Uint16(page[22:]) <= 1) {
			return corrupt("the log ends at LSN %d, and a page of it holds %d", last, newest(page))
		}
		if at += l.pageSize; at >= l.size {
			at = l.first * l.pageSize
		}
	}
	return nil
}

// laterPages is how many pages are looked at behind the end of the log.
const laterPages = 64
