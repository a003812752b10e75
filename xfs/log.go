package xfs

import (
	"bytes"
	"fmt"

	"github.com/coldcheck/coldcheck/internal/fslog"
	"github.com/coldcheck/coldcheck/internal/lru"
)

// The log is a part of the volume in sectors of 512 bytes. It is a ring of
// consecutive records. The first four bytes of every sector are its cycle: how
// many times the log has wrapped around. ("XFS Algorithms & Data Structures",
// Journaling Log; where that is silent fs/xfs/xfs_log_recover.c of Linux.)
const (
	recordMagic = 0xFEEDBABE
	// recordSize is how large the kernel's structure of a record's header is,
	// which the checksum covers: on 64-bit machines, and on 32-bit ones.
	recordSize   = 328
	recordSize32 = 324
	extendedSize = 260 // that of a further header
	cycleSectors = 64  // whose first bytes are in one header
	maxRecord    = 256 << 10
	// maxInFlight is how many records may be written at once, so that any of
	// them may be torn (XLOG_MAX_ICLOGS).
	maxInFlight = 8
	formatLinux = 1 // of the items: little-endian
	logRead     = 1 << 20
	halfStep    = 256 // sectors after the place where the end of the log is sought first
	// maxLog is the size of the largest log, in bytes (XFS_MAX_LOG_BYTES).
	maxLog = 2 << 30

	opTransaction = 0x69 // clients of the log
	opLog         = 0xAA
	opHeader      = 12

	opStart    = 0x1
	opCommit   = 0x2
	opContinue = 0x4
	opWasCont  = 0x8
	opEnd      = 0x10
	opUnmount  = 0x20
)

// JournalState is the result of the log's replay. It is the same type in every
// filesystem of this module.
type JournalState = fslog.State

// States of the log.
const (
	JournalClean    JournalState = fslog.Clean    // nothing was to be done
	JournalReplayed JournalState = fslog.Replayed // its changes are applied
	JournalFailed   JournalState = fslog.Failed   // it holds changes that cannot be replayed
)

// Journal describes what was in the log.
type Journal struct {
	State        JournalState
	Err          error // why it cannot be replayed, if State is JournalFailed; ErrCorrupt or ErrUnsupported
	External     bool  // it is on another device
	Size         int64 // in bytes
	Records      int   // that were read
	Transactions int   // that were replayed
	Blocks       int   // changes of blocks that were replayed
	Inodes       int   // changes of inodes that were replayed
	Newer        int   // changes that the volume had already
	Cancelled    int   // changes of blocks that were given back later
	// Unfinished are the changes that the log begins and does not end, by the
	// kernel's names for their items, such as "EFI". The kernel ends them at mount;
	// here the files that they affect give an error.
	Unfinished []string
}

// journal reads the log.
type journal struct {
	d       *device
	s       *superblock
	off     int64 // in bytes
	sectors int64
	buf     []byte // the last data read
	begin   int64  // sector, and
	end     int64
}

// read returns consecutive sectors, and reads those behind them along.
func (j *journal) read(at, count int64) ([]byte, error) { return j.load(at, count, logRead/sector) }

// load returns consecutive sectors, and reads least sectors, or as many as there are.
func (j *journal) load(at, count, least int64) ([]byte, error) {
	if at < 0 || count < 0 || at+count > j.sectors {
		return nil, corrupt("sectors %d to %d of a log of %d", at, at+count, j.sectors)
	}
	if at < j.begin || at+count > j.end {
		n := min(max(count, least), j.sectors-at)
		if int64(len(j.buf)) < n*sector {
			j.buf = make([]byte, n*sector)
		}
		j.begin, j.end = 0, 0
		if err := j.d.readAt(j.buf[:n*sector], j.off+at*sector); err != nil {
			return nil, err
		}
		j.begin, j.end = at, at+n
	}
	return j.buf[(at-j.begin)*sector : (at-j.begin+count)*sector], nil
}

// wrapped returns a copy of sectors that may go on at the begin of the log.
func (j *journal) wrapped(at, count int64) ([]byte, error) {
	b := make([]byte, 0, count*sector)
	for count > 0 {
		at %= j.sectors
		n := min(count, j.sectors-at)
		p, err := j.read(at, n)
		if err != nil {
			return nil, err
		}
		b = append(b, p...)
		at, count = at+n, count-n
	}
	return b, nil
}

// cycle is the number of the round in which a sector was written.
func (j *journal) cycle(at int64) (uint32, error) {
	b := make([]byte, 8)
	var err error
	if at >= j.begin && at < j.end {
		b = j.buf[(at-j.begin)*sector:]
	} else {
		err = j.d.readAt(b, j.off+at*sector)
	}
	if be.Uint32(b) == recordMagic {
		return be.Uint32(b[4:]), err
	}
	return be.Uint32(b), err
}

// record is the header of a record:
//
//	 0  4  0xFEEDBABE, 4  4  cycle, 8  4  version, 12  4  bytes behind the header
//	16  8  its own place, 24  8  where the log begins; cycle and sector, 4 each
//	32  4  checksum, little-endian, 36  4  record before it, 40  4  operations
//	44     the first 4 bytes of each sector behind the header, up to 64
//	300 4  format of the items, 304 16  UUID, 320  4  most bytes of a record
//
// In version 2 more headers follow where a record may be larger than 32 KiB:
// the cycle, and the first bytes of the next 64 sectors.
type record struct {
	at         int64 // sector
	headers    int64 // sectors
	sectors    int64 // behind them
	length     uint32
	cycle      uint32
	lsn, tail  uint64
	operations uint32
	sum        uint32
	format     uint32
	uuid       [16]byte
}

func parseRecord(b []byte, at int64) (record, error) {
	if be.Uint32(b) != recordMagic {
		return record{}, corrupt("no record at sector %d", at)
	}
	r := record{
		at: at, headers: 1, cycle: be.Uint32(b[4:]), length: be.Uint32(b[12:]),
		lsn: be.Uint64(b[16:]), tail: be.Uint64(b[24:]), sum: le.Uint32(b[32:]), operations: be.Uint32(b[40:]),
		format: be.Uint32(b[300:]), uuid: [16]byte(b[304:320]),
	}
	version, size := be.Uint32(b[8:]), be.Uint32(b[320:])
	if version != 1 && version != 2 {
		return r, unsupported("version %d of the log", version)
	}
	if version == 2 && size > cycleSectors*sector {
		r.headers = int64(size+cycleSectors*sector-1) / (cycleSectors * sector)
	}
	r.sectors = (int64(r.length) + sector - 1) / sector
	if size > maxRecord || r.length > maxRecord || r.sectors > r.headers*cycleSectors {
		return r, corrupt("a record of %d bytes at sector %d", r.length, at)
	}
	return r, nil
}

// next is the sector behind a record.
func (j *journal) next(r *record) int64 { return (r.at + r.headers + r.sectors) % j.sectors }

func (j *journal) header(at int64) (record, error) {
	b, err := j.read(at, 1)
	if err != nil {
		return record{}, err
	}
	r, err := parseRecord(b, at)
	if err == nil && r.uuid != j.s.uuid {
		err = corrupt("the record at sector %d is another volume's", at)
	}
	if err == nil && r.headers+r.sectors > j.sectors {
		err = corrupt("a record larger than the log")
	}
	return r, err
}

// half finds, between a sector and one that begins with another cycle, the
// first that does. It begins where the superblock was last logged, since the log
// mostly ends soon after that: the sectors are far apart otherwise.
func (j *journal) half(first, last int64, cycle uint32) (int64, error) {
	step := int64(halfStep)
	for at := int64(j.s.logged); at > first && at < last; at, step = at+step, 4*step {
		c, err := j.cycle(at)
		if err != nil {
			return 0, err
		}
		if c == cycle {
			last = at
			break
		}
		first = at
	}
	for last-first > 1 {
		mid := (first + last) / 2
		c, err := j.cycle(mid)
		if err != nil {
			return 0, err
		}
		if c == cycle {
			last = mid
		} else {
			first = mid
		}
	}
	return last, nil
}

// first returns the first of some sectors that has a cycle, -1 if none has.
func (j *journal) first(at, count int64, cycle uint32) (int64, error) {
	for count > 0 {
		n := min(count, logRead/sector)
		if _, err := j.load(at, n, 0); err != nil { // what comes before the head is mostly enough
			return 0, err
		}
		for i := at; i < at+n; i++ {
			if c, err := j.cycle(i); err != nil || c == cycle {
				return i, err
			}
		}
		at, count = at+n, count-n
	}
	return -1, nil
}

// seek returns the place of the last record before a sector and not before
// another, -1 if there is none.
func (j *journal) seek(before, from int64) (int64, error) {
	for end := before; end > from; {
		begin := max(from, end-logRead/sector)
		b, err := j.read(begin, end-begin)
		if err != nil {
			return 0, err
		}
		for i := end - begin - 1; i >= 0; i-- {
			if be.Uint32(b[i*sector:]) == recordMagic {
				return begin + i, nil
			}
		}
		end = begin
	}
	return -1, nil
}

// head finds the sector after the last complete record (xlog_find_head). A log
// without any record is an error.
func (j *journal) head() (int64, error) {
	first, err := j.cycle(0)
	if err != nil {
		return 0, err
	}
	last, err := j.cycle(j.sectors - 1)
	if err != nil {
		return 0, err
	}
	if first == 0 {
		return 0, corrupt("the log is empty")
	}
	head, stop := j.sectors, last-1
	switch {
	case last == 0: // it never went round
		stop = 0
		head, err = j.half(0, j.sectors-1, 0)
	case first != last:
		stop = last
		head, err = j.half(0, j.sectors-1, last)
	}
	if err != nil {
		return 0, err
	}
	// Records in flight may have been written in any order: the first sector
	// of those before that was not written is the head.
	scan := min(j.sectors, maxInFlight*(maxRecord/sector))
	hole := int64(-1)
	switch {
	case head >= scan || last == 0:
		begin := max(0, head-scan)
		hole, err = j.first(begin, head-begin, stop)
	default:
		begin := j.sectors - (scan - head)
		if hole, err = j.first(begin, j.sectors-begin, stop-1); err == nil && hole < 0 {
			hole, err = j.first(0, head, stop)
		}
	}
	if err != nil {
		return 0, err
	}
	if hole >= 0 {
		head = hole
	}
	// If the last record ends before that sector, it is incomplete.
	at, err := j.before(head)
	if err != nil {
		return 0, err
	}
	r, err := j.header(at)
	if err != nil {
		return 0, err
	}
	if j.next(&r) != head%j.sectors {
		head = at
	}
	return head % j.sectors, nil
}

// before returns the place of the last record before a sector.
func (j *journal) before(head int64) (int64, error) {
	most := min(j.sectors, 2*maxRecord/sector)
	at, err := j.seek(head, max(0, head-most))
	if err == nil && at < 0 && head < most {
		at, err = j.seek(j.sectors, max(head, j.sectors-(most-head)))
	}
	if err == nil && at < 0 {
		err = corrupt("the log has no record before sector %d", head)
	}
	return at, err
}

// extent is the part of the log to replay, from its first sector up to but not
// including its end. The end is before the first sector if the part wraps
// around.
type logExtent struct {
	tail, head int64
	clean      bool
}

// find finds where the log begins and ends (xlog_find_tail).
func (j *journal) find() (logExtent, error) {
	head, err := j.head()
	if err != nil {
		return logExtent{}, err
	}
	e, last, err := j.ending(head)
	if err != nil || e.clean {
		return e, err
	}
	// A record that was in flight may be torn, although its sectors all are
	// of this round: the log ends before the first that fails its checksum.
	begin := last
	for range maxInFlight - 1 {
		if begin.at == e.tail {
			break
		}
		at, err := j.before(begin.at)
		if err != nil {
			return e, err
		}
		prior, err := j.header(at)
		if err != nil || j.next(&prior) != begin.at {
			break
		}
		begin = prior
	}
	torn := int64(-1)
	if _, err := j.eachRecord(begin.at, head, func(r *record, _ []byte) error {
		torn = r.at
		return nil
	}, func(r *record, err error) error {
		torn = r.at
		return err
	}); err != nil {
		if !recoverable(err) {
			return e, err
		}
		if torn == begin.at {
			return e, err
		}
		return j.endingAt(torn)
	}
	return e, nil
}

func (j *journal) endingAt(head int64) (logExtent, error) {
	e, _, err := j.ending(head)
	return e, err
}

// ending looks at the last record before the head. One that holds an unmount
// record, and nothing else, ends a clean log.
func (j *journal) ending(head int64) (logExtent, record, error) {
	at, err := j.before(head)
	if err != nil {
		return logExtent{}, record{}, err
	}
	last, err := j.header(at)
	if err != nil {
		return logExtent{}, last, err
	}
	e := logExtent{tail: int64(uint32(last.tail)), head: head}
	if e.tail >= j.sectors {
		return e, last, corrupt("the log begins at sector %d of %d", e.tail, j.sectors)
	}
	if last.operations == 1 && j.next(&last) == head {
		b, err := j.wrapped(at+last.headers, 1)
		if err != nil {
			return e, last, err
		}
		e.clean = b[9]&opUnmount != 0
	}
	return e, last, nil
}

// eachRecord visits the records between two sectors, with their content. An
// impossible one is an error, which ends the visit; bad gets it.
func (j *journal) eachRecord(at, head int64, visit func(r *record, body []byte) error,
	bad func(*record, error) error) (count int, err error) {
	for left := j.sectors; at != head; count++ {
		r, err := j.header(at)
		r.at = at
		if err != nil {
			return count, bad(&r, err)
		}
		if left -= r.headers + r.sectors; left < 0 {
			return count, bad(&r, corrupt("the records do not end at sector %d", head))
		}
		b, err := j.wrapped(at, r.headers+r.sectors)
		if err != nil {
			return count, bad(&r, err)
		}
		body := b[r.headers*sector:]
		if err := j.verify(&r, b); err != nil {
			return count, bad(&r, err)
		}
		// Each sector gets its first bytes back.
		for i := range r.sectors {
			if be.Uint32(body[i*sector:]) != r.cycle &&
				(r.at+r.headers+i < j.sectors || be.Uint32(body[i*sector:]) != r.cycle+1) {
				return count, bad(&r, corrupt("sector %d of the record at sector %d was not written", i, at))
			}
			from := b[44+4*i:]
			if i >= cycleSectors {
				from = b[i/cycleSectors*sector+4+4*(i%cycleSectors):]
			}
			copy(body[i*sector:i*sector+4], from)
		}
		if err := visit(&r, body[:r.length]); err != nil {
			return count, err
		}
		at = j.next(&r)
	}
	return count, nil
}

// verify checks the checksum of a record. It covers the header, the extended
// headers that are needed, and the data after them. Version 4 of the filesystem
// may have none.
func (j *journal) verify(r *record, b []byte) error {
	if r.sum == 0 && !j.s.checksums() {
		return nil
	}
	for _, size := range []int64{recordSize, recordSize32} {
		crc := checksum(b[:size], 32)
		for i := int64(1); i*cycleSectors*sector < int64(r.length) && i < r.headers; i++ {
			crc = update(crc, b[i*sector:i*sector+extendedSize])
		}
		if update(crc, b[r.headers*sector:r.headers*sector+int64(r.length)]) == r.sum {
			return nil
		}
	}
	return corrupt("the record at sector %d fails its checksum", r.at)
}

// recover reads the log and overlays its changes on the image. The error is the
// reader's; damage to the log is in its Err.
func (f *FS) recover() (Journal, error) {
	s := &f.super
	log := Journal{State: JournalClean, Size: int64(s.logBlocks) << s.blockBits, External: s.logStart == 0}
	fail := func(err error) (Journal, error) {
		if f.disk.over != nil {
			f.disk.over.giveUp()
			f.disk.over = nil
		}
		if !recoverable(err) {
			return log, err
		}
		log.State, log.Err = JournalFailed, err
		f.disk.cache = lru.Cache[int64, []byte]{Max: maxBlockCache}
		clear(f.pending)
		return log, nil
	}
	if log.External {
		return fail(unsupported("the log is on another device"))
	}
	if log.Size > maxLog {
		return fail(corrupt("a log of %d bytes", log.Size))
	}
	j := &journal{d: &device{r: f.disk.r, size: f.disk.size}, s: s, off: s.offset(s.logStart),
		sectors: log.Size / sector}
	e, err := j.find()
	if err != nil {
		return fail(err)
	}
	if e.clean {
		return log, nil
	}
	if unknown := s.logIncompat &^ logIncompatXattrs; unknown != 0 {
		return fail(unsupported("log features %q", featureNames(unknown, logIncompatNames, "log feature")))
	}
	log.State = JournalReplayed
	f.disk.over = &overlay{pages: map[int64]*page{}, reserve: f.options.Reserve}
	if err := f.replay(j, e, &log); err != nil {
		return fail(err)
	}
	f.disk.cache = lru.Cache[int64, []byte]{Max: maxBlockCache}
	before := *s
	if *s, err = readSuperblock(f.disk); err != nil {
		*s = before
		return fail(fmt.Errorf("after the replay: %w", err))
	}
	if s.blockBits != before.blockBits || !bytes.Equal(s.metaUUID[:], before.metaUUID[:]) {
		*s = before
		return fail(corrupt("the superblock in the log is of another volume"))
	}
	return log, nil
}
