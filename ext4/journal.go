package ext4

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sort"

	"github.com/coldcheck/coldcheck/internal/fslog"
	"github.com/coldcheck/coldcheck/internal/unixfs"
)

var be = binary.BigEndian

// The journal, JBD2 (journal.rst): the consecutive blocks of a file, used as a
// ring. Its numbers are big-endian.
const (
	journalMagic = 0xC03B3998

	journalDescriptor   = 1
	journalCommit       = 2
	journalSuperblockV1 = 3
	journalSuperblockV2 = 4
	journalRevoke       = 5

	journalCompatChecksum = 0x1

	journalIncompatRevoke     = 0x1
	journalIncompat64Bit      = 0x2
	journalIncompatAsync      = 0x4
	journalIncompatChecksumV2 = 0x8
	journalIncompatChecksumV3 = 0x10
	journalIncompatFastCommit = 0x20
	journalIncompatKnown      = 0x3F
	journalHeaderSize         = 12
	journalCommitSize         = 64
	journalDefaultFastCommits = 256 // blocks
	journalTagEscaped         = 0x1
	journalTagSameUUID        = 0x2
	journalTagLast            = 0x8
	journalChecksumCRC32      = 1
	journalChecksumCRC32C     = 4
	journalSuperblockSize     = 1024
	journalSuperblockChecksum = 0xFC
	journalChecksumTail       = 4 // bytes at the end of a block
	journalCommitTime         = 0x30
	journalRead               = 1 << 20 // bytes at a time
)

// Limits of a journal.
const (
	// maxReplayed is the most blocks that transactions may have written (24
	// bytes of memory each): as many as the largest journal that mke2fs makes
	// by itself holds in blocks of 1 KiB, four times.
	maxReplayed = 4 << 20
	// maxRevoked is the most blocks that transactions may have revoked (16
	// bytes of memory each).
	maxRevoked = 4 << 20
)

// JournalState is the result of the journal's replay. It is the same type in
// every filesystem of this module.
type JournalState = fslog.State

// States of a journal.
const (
	JournalNone     JournalState = fslog.None     // there is none
	JournalClean    JournalState = fslog.Clean    // nothing was to be done
	JournalReplayed JournalState = fslog.Replayed // its changes are applied
	JournalFailed   JournalState = fslog.Failed   // it holds changes that cannot be replayed
)

// Journal describes what was in the journal.
type Journal struct {
	State        JournalState
	Err          error // why it cannot be replayed, if State is JournalFailed; ErrCorrupt or ErrUnsupported
	External     bool  // it is on another device
	Size         int64 // in bytes; 0 if it is not known
	Transactions int   // that were replayed
	First, Last  uint32
	Blocks       int  // of the volume that are read from the journal
	Revoked      int  // blocks that were not replayed, since a later transaction revoked them
	FastCommits  int  // operations in fast commits, which are not replayed
	Errors       bool // an error of the filesystem was recorded in it
}

// journal is one that can be read.
type journal struct {
	disk   *device
	blocks *blockMap
	seed   uint32
	first  uint32 // block of the log
	last   uint32 // the one behind the log
	length uint32 // blocks of the journal
	tail   uint32 // where the log begins; 0 if it is empty
	id     uint32 // of the first transaction
	errno  uint32
	compat uint32
	flags  uint32 // incompatible features
	buf    []byte
	begin  uint32 // the blocks in buf
	end    uint32
}

func (j *journal) has(incompat uint32) bool { return j.flags&incompat != 0 }

// checksums reports whether blocks have checksums of version 2 or 3.
func (j *journal) checksums() bool {
	return j.has(journalIncompatChecksumV2 | journalIncompatChecksumV3)
}

// replay reads the journal and, if the volume needs recovery, overlays its
// blocks on the image. The error is the reader's; damage to the journal is in
// its Err.
//
// A volume whose primary superblock is lost has no flag that says whether it
// needs recovery, so it is recovered if the journal is not empty.
func (f *FS) replay(lost bool) (Journal, error) {
	s := &f.super
	if s.compat&compatJournal == 0 {
		return Journal{}, nil
	}
	wanted := lost || s.has(incompatRecover)
	result := Journal{State: JournalClean}
	f.journalBlocks = -1
	fail := func(err error) (Journal, error) {
		if !recoverable(err) {
			return result, fmt.Errorf("journal: %w", err)
		}
		if wanted {
			result.State, result.Err = JournalFailed, err
		} else {
			f.note("the journal cannot be read but is not needed: %v", err)
		}
		return result, nil
	}
	if s.journalInode == 0 {
		if s.journalDevice == 0 && s.journalUUID == [16]byte{} {
			return fail(corrupt("there is no journal"))
		}
		result.External = true
		f.journalBlocks = 0
		if wanted = s.has(incompatRecover); !wanted {
			return result, nil
		}
		return fail(unsupported("the journal is on another device (UUID %s)", unixfs.UUID(s.journalUUID)))
	}
	j, err := f.openJournal()
	if err != nil {
		return fail(err)
	}
	result.Size = int64(j.length) << s.blockBits
	result.Errors = j.errno != 0
	f.journalBlocks = int64(j.length)
	if j.tail == 0 {
		return result, nil
	}
	if !wanted {
		f.note("the journal has transactions, but the volume does not request recovery; " +
			"they are skipped, as the kernel does")
		return result, nil
	}
	log, err := j.scan(uint64(max(0, s.mounted.Unix())))
	if err != nil {
		return fail(err)
	}
	if result.Transactions = int(log.end - j.id); result.Transactions > 0 {
		result.First, result.Last = j.id, log.end-1
	}
	wants := journalCost(log.tags, len(log.revoked))
	if err := f.options.reserve(wants); err != nil {
		return result, fmt.Errorf("journal of %d blocks: %w", log.tags, err)
	}
	over, err := j.overlay(log, s.blocks, &result)
	f.options.giveBack(wants - overlayCost*int64(result.Blocks))
	if err != nil {
		return fail(err)
	}
	if j.has(journalIncompatFastCommit) {
		result.FastCommits, err = j.fastCommits(log.end, s.inodeSize)
		if err == nil && result.FastCommits > 0 {
			err = unsupported("the journal has fast commits (fast_commit), %d operations", result.FastCommits)
		}
		if err != nil {
			return fail(err)
		}
	}
	if n := len(log.descriptors); n > 0 && int32(log.descriptors[n-1].id-log.end) >= 0 {
		f.note("transaction %d of the journal was not finished; it is skipped, as the kernel does", log.end)
	}
	if log.failed != nil {
		result.State, result.Err = JournalFailed, log.failed
	} else if result.Transactions > 0 {
		result.State = JournalReplayed
	}
	if result.Blocks > 0 {
		f.disk = newDevice(f.disk.r, f.disk.size, s.blockBits)
		f.disk.over = over
	}
	return result, nil
}

// overlayCost is the overhead of the overlay for a block, in bytes.
const overlayCost = 48

// journalCost is the memory for the replay of a journal, in bytes: each list is
// copied as it grows.
func journalCost(tags uint64, revoked int) int64 {
	return int64(tags)*(2*24+overlayCost) + int64(revoked)*2*16
}

// overlay returns the blocks that complete transactions wrote.
func (j *journal) overlay(log *logScan, blocks uint64, result *Journal) (*overlay, error) {
	written, skipped, err := j.collect(log)
	if err != nil {
		return nil, err
	}
	for _, w := range written {
		if w.block >= blocks {
			return nil, corrupt("the journal has block %d but the volume has %d blocks", w.block, blocks)
		}
	}
	over := newOverlay(j.disk.blockBits, written)
	result.Revoked, result.Blocks = skipped, len(over.blocks)
	return over, over.load(j.disk.r)
}

// openJournal reads the journal's superblock:
//
//	0x00 12  header: magic, type 3 or 4, unused
//	0x0C  4  block size      0x10  4  blocks of the journal
//	0x14  4  first of the log
//	0x18  4  first transaction expected, 0x1C  4  its block, 0 if there is none
//	0x20  4  error of the filesystem
//	0x24  4  compatible, 0x28  4  incompatible, 0x2C  4  read-only compatible features
//	0x30 16  UUID            0x50  1  checksum type
//	0x54  4  blocks for fast commits
//	0xFC  4  checksum, with itself as zero
//
// The features are those of type 4 only.
func (f *FS) openJournal() (*journal, error) {
	i, err := f.journalInode()
	if err != nil {
		return nil, err
	}
	size := i.size(&f.super) >> f.super.blockBits
	if size >= maxLogical {
		return nil, damaged(i.number, reasonSize)
	}
	j := &journal{disk: f.disk, blocks: newBlockMap(f.disk, &f.super, i), length: uint32(size)}
	block, err := j.read(0, 1) // an empty journal has nothing else
	if err != nil {
		return nil, err
	}
	b := block[:journalSuperblockSize]
	kind := be.Uint32(b[4:])
	if be.Uint32(b) != journalMagic || kind != journalSuperblockV1 && kind != journalSuperblockV2 {
		return nil, corrupt("the journal has no superblock")
	}
	if n := be.Uint32(b[0xC:]); n != uint32(f.super.blockSize()) {
		return nil, corrupt("the journal has blocks of %d bytes", n)
	}
	blocks := be.Uint32(b[0x10:])
	j.first = be.Uint32(b[0x14:])
	if blocks > j.length || j.first == 0 || j.first >= blocks {
		return nil, corrupt("the journal has %d blocks from %d on, its inode %d", blocks, j.first, j.length)
	}
	j.length, j.last = blocks, blocks
	j.id = be.Uint32(b[0x18:])
	j.tail = be.Uint32(b[0x1C:])
	j.errno = be.Uint32(b[0x20:])
	if kind == journalSuperblockV1 {
		return j, nil
	}
	j.compat, j.flags = be.Uint32(b[0x24:]), be.Uint32(b[0x28:])
	if unknown := j.flags &^ journalIncompatKnown; unknown != 0 || be.Uint32(b[0x2C:]) != 0 {
		return nil, unsupported("the journal has features 0x%X", unknown|be.Uint32(b[0x2C:]))
	}
	if j.has(journalIncompatChecksumV2) && j.has(journalIncompatChecksumV3) ||
		j.checksums() && j.compat&journalCompatChecksum != 0 {
		return nil, corrupt("the journal has two kinds of checksums")
	}
	if j.checksums() {
		if b[0x50] != journalChecksumCRC32C {
			return nil, corrupt("the journal has checksums of kind %d", b[0x50])
		}
		crc := crc32c(^uint32(0), b[:journalSuperblockChecksum])
		crc = crc32c(crc, zeros[:4])
		if crc32c(crc, b[journalSuperblockChecksum+4:]) != be.Uint32(b[journalSuperblockChecksum:]) {
			return nil, corrupt("the superblock of the journal fails its checksum")
		}
		j.seed = crc32c(^uint32(0), b[0x30:0x40])
	}
	if j.has(journalIncompatFastCommit) {
		n := be.Uint32(b[0x54:])
		if n == 0 {
			n = journalDefaultFastCommits
		}
		if n >= blocks-j.first {
			return nil, corrupt("%d of %d blocks of the journal are for fast commits", n, blocks)
		}
		j.last = blocks - n
	}
	return j, nil
}

// journalInode returns the inode of the journal. If it is damaged and the
// superblock has a copy of its main fields, the inode is rebuilt from those, as
// e2fsck does:
//
//	0 60  blocks, 60  4  size, high, 64  4  size, low
func (f *FS) journalInode() (inode, error) {
	number := f.super.journalInode
	i, err := f.inode(number)
	if err == nil && (i.kind() != modeRegular || i.links() == 0 || i.has(flagInline|flagEncrypted)) {
		err = corrupt("inode %d is not a journal", number)
	}
	if err == nil || !recoverable(err) || f.super.journalCopy == nil {
		return i, err
	}
	f.note("the journal inode is damaged (%v); its copy in the superblock was used", err)
	c := f.super.journalCopy
	i = inode{number, make([]byte, oldInodeSize)}
	le.PutUint16(i.raw, modeRegular)
	copy(i.raw[4:], c[64:68])
	copy(i.raw[0x6C:], c[60:64])
	copy(i.area(), c)
	if le.Uint16(c) == extentMagic {
		le.PutUint32(i.raw[0x20:], flagExtents)
	}
	return i, nil
}

// block returns a block of the journal, valid until the next call.
func (j *journal) block(n uint32) ([]byte, error) { return j.read(n, j.length) }

// read is block, and reads at most so many blocks.
func (j *journal) read(n, most uint32) ([]byte, error) {
	bits := j.disk.blockBits
	if n < j.begin || n >= j.end {
		if n >= j.length {
			return nil, corrupt("the journal has no block %d", n)
		}
		r, err := j.blocks.find(uint64(n))
		if err != nil {
			return nil, err
		}
		if !r.data() {
			return nil, corrupt("block %d of the journal is a hole", n)
		}
		if j.buf == nil {
			j.buf = make([]byte, min(journalRead, int64(j.length)<<bits))
		}
		count := min(r.count, uint64(j.length-n), uint64(len(j.buf))>>bits, uint64(most))
		if err := j.disk.readAt(j.buf[:count<<bits], int64(r.physical<<bits)); err != nil {
			j.begin, j.end = 0, 0
			return nil, err
		}
		j.begin, j.end = n, n+uint32(count)
	}
	at := int(n-j.begin) << bits
	return j.buf[at : at+1<<bits], nil
}

// place returns the byte offset in the image of a block of the journal.
func (j *journal) place(n uint32) (int64, error) {
	if n >= j.length {
		return 0, corrupt("the journal has no block %d", n)
	}
	r, err := j.blocks.find(uint64(n))
	if err != nil {
		return 0, err
	}
	if !r.data() {
		return 0, corrupt("block %d of the journal is a hole", n)
	}
	return int64(r.physical << j.disk.blockBits), nil
}

// wrap goes on with the first block of the log behind its last.
func (j *journal) wrap(n uint32) uint32 {
	if n >= j.last {
		n -= j.last - j.first
	}
	return n
}

// logScan is the content of the log.
type logScan struct {
	end         uint32 // the transaction behind the last that is complete
	failed      error  // why the kernel would refuse the volume
	descriptors []logBlock
	tags        uint64 // in them: blocks that they describe
	revoked     []revoked
}

// logBlock is a descriptor block.
type logBlock struct {
	id uint32 // of the transaction
	at uint32 // its place in the journal
}

// revoked says that a block is not to be replayed from this transaction or one
// before it.
type revoked struct {
	block uint64
	id    uint32
}

// scan reads the log once, transaction by transaction, to its end: the first
// block without the magic or the expected transaction number. An incomplete
// last transaction is dropped later.
//
// The rules are those of the kernel (fs/jbd2/recovery.c, do_one_pass). A wrong
// checksum is damage, or that of a block left over from an earlier use of the
// log: the latter if the transaction was committed before the one in front of
// it. With asynchronous commits a transaction that fails its checksum was
// interrupted, and is the end.
//
// Unlike the kernel, this does not treat the log as ended when it finds a later
// transaction that was committed after the volume was mounted (mount time in
// seconds): the transactions in between were lost.
func (j *journal) scan(since uint64) (*logScan, error) {
	log := &logScan{}
	id, next := j.id, j.tail
	committed := uint64(0) // when the last transaction was
	doubtful := false      // a checksum was wrong since
	ended := false         // log.end is known, but the log goes on
	var broken error       // damage, if the transaction is complete
	crc := ^uint32(0)
	// A log that leads round in a circle has no end.
	for left := j.last - j.first + 1; left > 0; left-- {
		at := next
		b, err := j.block(at)
		if err != nil {
			return nil, err
		}
		next = j.wrap(at + 1)
		kind := be.Uint32(b[4:])
		if be.Uint32(b) != journalMagic || be.Uint32(b[8:]) != id ||
			kind != journalDescriptor && kind != journalRevoke && kind != journalCommit {
			if !ended {
				log.end = id
				return log, j.goesOn(at, id, max(committed, since))
			}
			return log, nil
		}
		switch kind {
		case journalDescriptor:
			doubtful = doubtful || !j.tailChecksum(b)
			log.descriptors = append(log.descriptors, logBlock{id, at})
			tags := uint32(0)
			j.eachTag(b, func(tag) { tags++ })
			if tags >= left {
				return nil, errEndless
			}
			left -= tags
			log.tags += uint64(tags)
			if j.compat&journalCompatChecksum == 0 || ended {
				next = j.wrap(next + tags)
				continue
			}
			crc = crc32be(crc, b)
			for range tags {
				if b, err = j.block(next); err != nil {
					return nil, err
				}
				crc = crc32be(crc, b)
				next = j.wrap(next + 1)
			}

		case journalRevoke:
			if !j.tailChecksum(b) {
				doubtful = true
			} else if err := j.revokes(log, b, id); err != nil && broken == nil {
				broken = err
			}

		case journalCommit:
			time := be.Uint64(b[journalCommitTime:])
			if doubtful {
				if time >= committed {
					return nil, corrupt("the journal fails a checksum in transaction %d", id)
				}
				if !ended {
					log.end = id
				}
				return log, nil
			}
			if ended && j.compat&journalCompatChecksum != 0 {
				log.failed = corrupt("the journal fails the checksum of transaction %d, and goes on", log.end)
				return log, nil
			}
			if !j.commitChecksum(b, crc) {
				if time < committed {
					if !ended {
						log.end = id
					}
					return log, nil
				}
				log.end, ended = id, true
				if !j.has(journalIncompatAsync) {
					log.failed = corrupt("the journal fails the checksum of transaction %d", id)
					return log, nil
				}
			}
			if broken != nil && !ended {
				return nil, broken
			}
			committed = time
			crc = ^uint32(0)
			id++
		}
	}
	return nil, errEndless
}

// journalLook is how far beyond the end of the log a transaction is searched
// for, in bytes: more than one descriptor block and the blocks that it
// describes.
const journalLook = 4 << 20

// goesOn returns an error if behind the end of the log there is the commit of
// the transaction that was expected, or of a later one. Blocks left over from
// an earlier use of the log have lower numbers, or earlier times.
func (j *journal) goesOn(at, id uint32, committed uint64) error {
	if j.has(journalIncompatAsync) {
		return nil // the commit may be written before its blocks
	}
	for range min(j.last-j.first, journalLook>>j.disk.blockBits) {
		b, err := j.block(at)
		if err != nil {
			if recoverable(err) {
				err = nil
			}
			return err
		}
		if be.Uint32(b) == journalMagic && be.Uint32(b[4:]) == journalCommit {
			later := be.Uint32(b[8:])
			time := be.Uint64(b[journalCommitTime:])
			if int32(later-id) >= 0 && time != 0 && time >= committed && (!j.checksums() || j.commitChecksum(b, 0)) {
				return corrupt("transaction %d of the journal is damaged, but transaction %d is complete", id, later)
			}
		}
		at = j.wrap(at + 1)
	}
	return nil
}

var errEndless = corrupt("the journal log is endless")

// tailChecksum reports whether the checksum at the end of a descriptor or
// revoke block is right.
func (j *journal) tailChecksum(b []byte) bool {
	if !j.checksums() {
		return true
	}
	at := len(b) - journalChecksumTail
	return crc32c(crc32c(j.seed, b[:at]), zeros[:4]) == be.Uint32(b[at:])
}

// commitChecksum reports whether the checksum of a commit block is right:
//
//	0x0C  1  checksum type, 0x0D  1  its size, 0x10 32  checksums
//	0x30  8  seconds, 0x38  4  nanoseconds
//
// In version 1 it is that of all blocks of the transaction; zero is valid too.
// In versions 2 and 3 it covers this block, with the checksum field as zero;
// the bytes after the fields may not have been written.
func (j *journal) commitChecksum(b []byte, crc uint32) bool {
	const at = 0x10
	sum := be.Uint32(b[at:])
	switch {
	case j.compat&journalCompatChecksum != 0:
		return crc == sum && b[0xC] == journalChecksumCRC32 && b[0xD] == 4 || b[0xC] == 0 && b[0xD] == 0 && sum == 0
	case !j.checksums():
		return true
	}
	head := crc32c(crc32c(j.seed, b[:at]), zeros[:4])
	head = crc32c(head, b[at+4:journalCommitSize])
	return crc32c(head, b[journalCommitSize:]) == sum || crc32c(head, make([]byte, len(b)-journalCommitSize)) == sum
}

// revokes takes the blocks that a revoke block names: behind the header, in 4
// bytes how many bytes are used, then numbers of blocks of 4 or 8 bytes each.
func (j *journal) revokes(log *logScan, b []byte, id uint32) error {
	end, room := be.Uint32(b[journalHeaderSize:]), len(b)
	if j.checksums() {
		room -= journalChecksumTail
	}
	if end > uint32(room) {
		return corrupt("a revoke block of the journal is too long")
	}
	size := uint32(4)
	if j.has(journalIncompat64Bit) {
		size = 8
	}
	for at := uint32(journalHeaderSize + 4); at+size <= end; at += size {
		if len(log.revoked) == maxRevoked {
			return unsupported("the journal revokes more than %d blocks", maxRevoked)
		}
		block := uint64(be.Uint32(b[at:]))
		if size == 8 {
			block = be.Uint64(b[at:])
		}
		log.revoked = append(log.revoked, revoked{block, id})
	}
	return nil
}

// tag says where one of the blocks behind a descriptor block belongs.
type tag struct {
	block    uint64
	flags    uint16
	checksum uint32 // 16 bits of it but in version 3
}

// eachTag decodes a descriptor block. In version 3 a tag is
//
//	0  4  block, low, 4  4  flags, 8  4  block, high, 12  4  checksum
//
// and before
//
//	0  4  block, low, 4  2  checksum, 6  2  flags
//	8  4  block, high, with 64 bits; 2 bytes more in version 2
//
// A UUID of 16 bytes follows if the flags do not say that it is the same.
func (j *journal) eachTag(b []byte, visit func(tag)) {
	size := 8
	switch {
	case j.has(journalIncompatChecksumV3):
		size = 16
	case j.has(journalIncompatChecksumV2):
		size = 10
	}
	if j.has(journalIncompat64Bit) && size < 16 {
		size += 4
	}
	room := len(b)
	if j.checksums() {
		room -= journalChecksumTail
	}
	for at := journalHeaderSize; at+size <= room; at += size {
		t := tag{block: uint64(be.Uint32(b[at:])), flags: be.Uint16(b[at+6:])}
		if j.has(journalIncompat64Bit) {
			t.block |= uint64(be.Uint32(b[at+8:])) << 32
		}
		if j.has(journalIncompatChecksumV3) {
			t.checksum = be.Uint32(b[at+12:])
		} else {
			t.checksum = uint32(be.Uint16(b[at+4:]))
		}
		visit(t)
		if t.flags&journalTagLast != 0 {
			return
		}
		if t.flags&journalTagSameUUID == 0 {
			at += 16
		}
	}
}

// collect returns the blocks that complete transactions wrote, in order, but
// for those that were revoked; these it counts.
func (j *journal) collect(log *logScan) (written []replayed, skipped int, err error) {
	complete := func(id uint32) bool { return int32(id-log.end) < 0 }
	revokes := slices.DeleteFunc(log.revoked, func(r revoked) bool { return !complete(r.id) })
	slices.SortFunc(revokes, func(a, b revoked) int {
		return cmp.Or(cmp.Compare(a.block, b.block), cmp.Compare(int32(a.id-b.id), 0))
	})
	for _, d := range log.descriptors {
		if !complete(d.id) {
			break
		}
		// The block of tags is not valid any more when those behind it are read.
		var tags []tag
		descriptor, err := j.block(d.at)
		if err != nil {
			return nil, 0, err
		}
		j.eachTag(descriptor, func(t tag) { tags = append(tags, t) })
		next := j.wrap(d.at + 1)
		for _, t := range tags {
			at := next
			next = j.wrap(next + 1)
			if isRevoked(revokes, t.block, d.id) {
				skipped++
				continue
			}
			if err := j.checkTag(t, d.id, at); err != nil {
				return nil, 0, err
			}
			place, err := j.place(at)
			if err != nil {
				return nil, 0, err
			}
			if len(written) == maxReplayed {
				return nil, 0, unsupported("the journal has more than %d blocks", maxReplayed)
			}
			written = append(written, replayed{block: t.block, at: place, escaped: t.flags&journalTagEscaped != 0})
		}
	}
	return written, skipped, nil
}

func isRevoked(revokes []revoked, block uint64, id uint32) bool {
	// The last of a block's is that of the latest transaction.
	i := sort.Search(len(revokes), func(i int) bool { return revokes[i].block > block }) - 1
	return i >= 0 && revokes[i].block == block && int32(id-revokes[i].id) <= 0
}

// checkTag checks the checksum of a block of a transaction.
func (j *journal) checkTag(t tag, id, at uint32) error {
	if !j.checksums() {
		return nil
	}
	b, err := j.block(at)
	if err != nil {
		return err
	}
	crc := crc32c(j.seed, be.AppendUint32(nil, id))
	crc = crc32c(crc, b)
	if !j.has(journalIncompatChecksumV3) {
		crc &= 0xFFFF
	}
	if crc != t.checksum {
		return corrupt("block %d of the journal, for block %d, fails its checksum", at, t.block)
	}
	return nil
}
