package ntfs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"io/fs"
	"math"
	"runtime"
	"sync"

	"github.com/coldcheck/coldcheck/internal/lru"
	"github.com/coldcheck/coldcheck/internal/opening"
)

// Records with a fixed number.
const (
	recordMFT     = 0
	recordLogFile = 2
	recordVolume  = 3
	recordRoot    = 5
	recordBitmap  = 6
	recordSecure  = 9
	recordUpcase  = 10

	mirrored = 4 // records from 0 on that $MFTMirr has copies of
)

// maxRecords is where record numbers in the index end. NTFS has room for as
// many files, and no more.
const maxRecords = math.MaxUint32

// FS is one NTFS volume. It is safe for concurrent use.
//
// Names are those of io/fs: elements with "/" between them, "." for the root.
// They are looked up without regard to case, as the volume's $UpCase has it;
// where names differ only in case, the exact one is preferred. No reparse point
// is followed; a path through a symbolic link or a junction gives
// ErrUnsupported, since its target may be elsewhere.
//
// A name is there if the directory's index has it and the record that the index
// names is in use and has it too; if only one of them has it, or the index cannot
// be read, the error is ErrInDoubt; if the record is damaged, ErrCorrupt. It is
// fs.ErrNotExist only where the index was read and does not have the name, and no
// record has it.
type FS struct {
	account  *opening.Account
	boot     boot
	disk     *disk
	mft      *stream
	records  uint32 // of $MFT
	inUse    int64  // of these
	up       *upcase
	index    index
	volume   Volume
	journal  Journal
	unlogged map[uint32]bool // records of which some of the content is not known
	damage   Damage
	freed    []uint32 // records that are free, but in use by the bitmap of $MFT
	cut      []uint32 // records in use by the bitmap, behind the end of $MFT

	seed         maphash.Seed // of fingerprints of directories
	secret       uint64       // of them too
	orderUnknown bool         // $UpCase was not there to say how names are ordered
	folders      lru.Cache[uint32, *folder]
	nodes        lru.Cache[blockKey, []byte]
	lists        []pendingList // that were not read with $MFT, in the order of their records
	listed       sync.Map      // what is wrong with those of lists that were read since: uint32 to reason

	mu      sync.Mutex      // protects damage.Notes and the fields below
	late    []DamagedRecord // that were found since Open
	mirrors []byte          // records 0 to 3 of $MFTMirr with fixups yet to apply; nil if not read
}

var _ interface {
	fs.StatFS
	fs.ReadDirFS
	fs.ReadFileFS
	fs.ReadLinkFS
} = (*FS)(nil)

// Options bound the memory and the parallel reads of a volume. The zero value
// suits volumes of a few million files.
type Options struct {
	Memory  int64 // bytes that the index may take; DefaultMemory if 0
	Readers int   // reads of $MFT at a time; as many as there are processors, at least two, if 0

	// Reserve is called with the number of bytes before memory is allocated for the
	// index, and with a negative number when memory is released. Its error ends
	// Open. It must be safe for concurrent use. Nil means no limit.
	Reserve func(n int64) error

	// Progress gets the number of records of $MFT that are read, and their total. It
	// is called from several goroutines, with numbers in any order. It may be nil.
	Progress func(done, total int64)
}

// DefaultMemory is the default memory limit of the index, in bytes: about three
// million files in typical Windows folders.
const DefaultMemory = 400 << 20

// Open reads the boot sector and, in one linear pass, $MFT. The reader must be
// safe for concurrent use, and is used as long as the volume is; size is its
// length in bytes. The context bounds only Open.
//
// An attribute list that is not resident is read with $MFT only if something in
// $MFT is damaged, or if the records that belong to the file do not have as many
// attributes as its length says. Otherwise it is read and checked when the file is
// opened or described; Walk and Tree use what the records say.
//
// Damage reports what is damaged but not needed to open the volume. Otherwise
// the error is ErrCorrupt, ErrEncrypted for a BitLocker volume, ErrUnsupported,
// the reader's, or the context's cause.
func Open(ctx context.Context, r io.ReaderAt, size int64, o Options) (*FS, error) {
	if o.Memory <= 0 {
		o.Memory = DefaultMemory
	}
	if o.Readers <= 0 {
		o.Readers = max(2, runtime.GOMAXPROCS(0))
	}
	reader, account := opening.NewReader(ctx, r), &opening.Account{Ask: o.Reserve}
	if o.Reserve != nil {
		o.Reserve = account.Reserve
	}
	b, note, err := readBoot(reader, size)
	if err != nil {
		return nil, err
	}
	f := &FS{account: account, boot: b, disk: &disk{r: reader, size: size, clusterSize: int64(b.clusterSize),
		clusters: b.clusters, readers: o.Readers}}
	f.index.limit, f.index.reserve = o.Memory, o.Reserve
	f.seed = maphash.MakeSeed()
	f.secret = maphash.String(f.seed, "reference")
	f.folders.Max, f.nodes.Max = keptIndexes, keptIndexes
	if note != "" {
		f.note("%s", note)
	}
	if b.size > size {
		f.note("the volume has %d bytes, the image only %d", b.size, size)
	}
	for _, step := range []func() error{
		f.openMFT,
		f.openLog,
		f.loadUpcase,
		func() error { return f.scan(o.Readers, o.Progress) },
		f.loadVolume,
		reader.Done,
	} {
		if err := step(); err != nil {
			f.index.giveBack(f.index.used.Load())
			return nil, err
		}
	}
	f.collectDamage()
	return f, nil
}

// keptIndexes is how much look-ups keep of the indexes of directories, and how
// much of their blocks, in bytes.
const keptIndexes = 2 << 20

// recoverable reports whether the error comes from the data on the disk, and
// not from the reader.
func recoverable(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported)
}

// openMFT finds the clusters of $MFT by its own record and that record's
// extension records. Each of these is in a part that was found before.
func (f *FS) openMFT() error {
	base := make([]byte, f.boot.recordSize)
	if err := f.disk.readAt(base, f.boot.mft); err != nil && !recoverable(err) {
		return fmt.Errorf("$MFT: %w", err)
	}
	r, why, err := f.openOrMirror(base, recordMFT)
	if err != nil {
		return fmt.Errorf("$MFT: %w", err)
	}
	var attributes []attribute
	if why == readable {
		attributes, why = decodeAttributes(r)
	}
	if why != readable {
		return fmt.Errorf("$MFT: %w", damaged(recordMFT, why))
	}
	ino := &inode{attributes: attributes}
	extents := ino.find(typeData, "")
	if len(extents) != 1 {
		return corrupt("$MFT: %d unnamed $DATA in its first record", len(extents))
	}
	list, err := readList(f.disk, attributes)
	if err != nil {
		return fmt.Errorf("$MFT: attribute list: %w", err)
	}
	self := makeReference(recordMFT, r.sequence)
	f.records = maxRecords // not known yet
	for len(list) > 0 {
		e, rest, why := nextListEntry(list)
		if why != readable {
			return fmt.Errorf("$MFT: %w", damaged(recordMFT, why))
		}
		list = rest
		if e.kind != typeData || len(e.name) > 0 || e.ref == self {
			continue
		}
		// The runs known so far must suffice to read this record.
		runs, clusters, err := joinRuns(f.disk, extents)
		if err != nil {
			return fmt.Errorf("$MFT: %w", err)
		}
		f.mft = &stream{disk: f.disk, runs: runs, clusters: clusters, size: clusters * f.disk.clusterSize,
			initialized: math.MaxInt64}
		there, err := f.readExtension(e.ref, self)
		if err != nil {
			return fmt.Errorf("$MFT: %w", err)
		}
		found := false
		for _, a := range there {
			if e.names(a) {
				extents = append(extents, a)
				found = true
			}
		}
		if !found {
			return corrupt("$MFT: %s", e.missing())
		}
	}
	if f.mft, err = newStream(f.disk, extents); err != nil {
		return fmt.Errorf("$MFT: %w", err)
	}
	if f.mft.resident != nil || f.mft.unit > 0 || f.mft.holes() {
		return corrupt("$MFT is resident, compressed or sparse")
	}
	records := f.mft.initialized / int64(f.boot.recordSize)
	if records <= recordRoot {
		return corrupt("$MFT has %d records", records)
	}
	if records >= maxRecords {
		return unsupported("$MFT of %d records", records)
	}
	f.records = uint32(records)
	return nil
}

// openOrMirror is openRecord, which for the first records falls back on their
// copies in $MFTMirr. The error is the reader's.
func (f *FS) openOrMirror(buf []byte, number uint32) (record, reason, error) {
	r, why := openRecord(buf, number)
	if why == readable || number >= mirrored || f.boot.mirror < 0 {
		return r, why, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	size := f.boot.recordSize
	if f.mirrors == nil {
		mirrors := make([]byte, mirrored*size)
		if err := f.disk.readAt(mirrors, f.boot.mirror); recoverable(err) {
			return r, why, nil
		} else if err != nil {
			return r, why, fmt.Errorf("$MFTMirr: %w", err)
		}
		f.mirrors = mirrors
	}
	copied, damage := openRecord(bytes.Clone(f.mirrors[int(number)*size:][:size]), number)
	if damage != readable {
		return r, why, nil
	}
	f.noteOnce(fmt.Sprintf("record %d of $MFT is damaged; its copy in $MFTMirr was used", number))
	return copied, readable, nil
}

// Close releases the memory that was reserved by Options.Reserve, and returns its
// error. The volume must not be used afterwards. Without Reserve, Close is not
// needed.
func (f *FS) Close() error { return f.account.Close() }

func (f *FS) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.noteOnce(fmt.Sprintf(format, args...))
}

// noteOnce is called with the lock held.
func (f *FS) noteOnce(note string) {
	for _, n := range f.damage.Notes {
		if n == note {
			return
		}
	}
	f.damage.Notes = append(f.damage.Notes, note)
}
