package ext4

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"sync"

	"github.com/coldcheck/coldcheck/internal/opening"
	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// FS is one ext2, ext3 or ext4 volume. It is safe for concurrent use.
//
// Names are those of io/fs: elements with "/" between them, "." for the root.
// The names on the volume are bytes: those that are not UTF-8 are shown with
// characters of a private use area, one for each byte, U+EF00 plus the byte,
// and are opened by these names too. Names are compared byte by byte, but
// without regard to case in a directory that has the casefold flag.
type FS struct {
	account *opening.Account
	core    *unixfs.FS[uint32, inode]
	disk    *device
	super   superblock
	groups  []group
	options Options
	volume  Volume
	unknown error // why names cannot be looked up; nil if they can

	journalBlocks int64 // of a journal on the volume; -1 if that is not known

	orphans   orphans
	truncated map[uint32]uint64 // sectors that the kernel frees of inodes when it mounts the volume
	usage     func() (Usage, error)
	index     func() (*index, error)

	mu      sync.Mutex // protects the fields below
	damage  Damage
	adopted map[uint32]uint32 // directories by inode that a directory entry names
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
	Memory  int64 // bytes that the index behind Tree may take; DefaultMemory if 0
	Readers int   // reads of Tree at a time; as many as there are processors, at least two, if 0

	// Reserve is called with the number of bytes before memory is allocated for
	// that index and for the journal's content, and with a negative number when
	// memory is released. Its error ends Tree or Open. It must be safe for
	// concurrent use. Nil means no limit.
	Reserve func(n int64) error

	// Stale reads a volume without its journal if that cannot be replayed.
	// Otherwise every name on such a volume is an error, since the journal may
	// change any of them.
	Stale bool
}

// reserve is Reserve, which may be nil.
func (o *Options) reserve(n int64) error {
	if o.Reserve == nil {
		return nil
	}
	return o.Reserve(n)
}

// reserveGroups reserves the memory for the group descriptors, of which held bytes are
// reserved, and returns how many bytes are then.
func (o *Options) reserveGroups(s *superblock, held int64) (int64, error) {
	all := groupCost * int64(s.groups)
	if err := o.reserve(all - held); err != nil {
		return held, fmt.Errorf("%d block groups: %w", s.groups, err)
	}
	return all, nil
}

// giveBack says that so many bytes are not used any more.
func (o *Options) giveBack(n int64) {
	if o.Reserve != nil {
		o.Reserve(-n)
	}
}

// DefaultMemory is the default memory limit of the index for Tree, in bytes:
// about ten million files.
const DefaultMemory = 400 << 20

// Open reads the superblock, the group descriptors and the journal: from then
// on the volume reads as if the kernel had mounted it. The reader must be safe
// for concurrent use, and is used as long as the volume is; size is its length
// in bytes. The context bounds only Open.
//
// Damage reports damage that did not prevent opening, and Volume reports the
// state of the journal. If the journal cannot be replayed, every look-up of a
// name fails, unless Options.Stale is set. The error is ErrCorrupt if there is
// no usable superblock, ErrUnsupported with the feature's name, the reader's,
// or the context's cause.
func Open(ctx context.Context, r io.ReaderAt, size int64, o Options) (fsys *FS, err error) {
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
	super, note, err := firstSuperblock(reader, size)
	if err != nil {
		return nil, err
	}
	f := &FS{account: account, options: o, super: super, adopted: map[uint32]uint32{}}
	f.usage = sync.OnceValues(f.computeUsage)
	f.index = sync.OnceValues(f.buildIndex)
	held, err := o.reserveGroups(&super, 0)
	if err != nil {
		return nil, err
	}
	defer func() {
		if fsys == nil {
			o.giveBack(held)
		}
	}()
	f.disk = newDevice(reader, size, super.blockBits)
	var notes []string
	if f.groups, notes, err = loadGroups(f.disk, &f.super); err != nil {
		return nil, err
	}
	j, err := f.replay(note != "")
	if err != nil {
		return nil, err
	}
	if f.disk.over != nil {
		// What was read so far may be in the journal too.
		if f.super, err = f.disk.superblock(); err != nil {
			return nil, fmt.Errorf("after replay of the journal: %w", err)
		}
		note = ""
		if f.super.blockBits != super.blockBits {
			return nil, corrupt("the superblock in the journal has another block size")
		}
		// It may have grown since it was mounted.
		if held, err = o.reserveGroups(&f.super, held); err != nil {
			return nil, err
		}
		if f.groups, notes, err = loadGroups(f.disk, &f.super); err != nil {
			return nil, err
		}
	}
	if j.State == JournalFailed && !o.Stale {
		f.unknown = fmt.Errorf("the journal has changes that cannot be replayed: %w", j.Err)
	}
	if note != "" {
		f.note("%s", note)
	}
	for _, n := range notes {
		f.note("%s", n)
	}
	if held := int64(f.super.blocks) << f.super.blockBits; held > size {
		f.note("the volume has %d bytes, the image only %d", held, size)
	}
	if f.unknown == nil {
		if f.orphans, err = f.cleanOrphans(super.state&stateErrors != 0 || j.Errors); err != nil {
			return nil, err
		}
	}
	f.describe(&super, j)
	f.core = unixfs.New(store{f}, unixfs.Config{
		InodeSize: int64(f.super.inodeSize), Window: int64(f.super.blockSize()), Unknown: f.unknown,
	})
	if err := reader.Done(); err != nil {
		return nil, err
	}
	return f, nil
}

// Close releases the memory that was reserved by Options.Reserve, and returns its
// error. The volume must not be used afterwards. Without Reserve, Close is not
// needed.
func (f *FS) Close() error { return f.account.Close() }

func (f *FS) note(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damage.Notes = append(f.damage.Notes, fmt.Sprintf(format, args...))
}
