package xfs

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

// FS is one XFS volume. It is safe for concurrent use.
//
// Names are those of io/fs: elements with "/" between them, "." for the root.
// The names on the volume are bytes: those that are not UTF-8 are shown with
// characters of a private use area, one for each byte, U+EF00 plus the byte,
// and are opened by these names too. Names are compared byte by byte, but
// without regard to the case of ASCII letters on a volume made so.
type FS struct {
	account *opening.Account
	core    *unixfs.FS[uint64, inode]
	disk    *device
	super   superblock
	options Options
	volume  Volume
	unknown error // why names cannot be looked up; nil if they can

	pending    map[uint64]error // inodes of which the log has changes that are not finished
	unfinished error            // why it is not known how much is free; nil if it is
	freed      int64            // blocks that the log had freed, but for the headers of their groups
	usage      func() (Usage, error)
	index      func() (*index, error)

	mu     sync.Mutex // protects the fields below
	damage Damage
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
	// that index and for the log's content, and with a negative number when memory
	// is released. Its error ends Tree or Open. It must be safe for concurrent use.
	// Nil means no limit.
	Reserve func(n int64) error

	// Stale reads a volume without its log if that cannot be replayed. Otherwise
	// every name on such a volume is an error, since the log may change any of
	// them.
	Stale bool
}

// DefaultMemory is the default memory limit of the index for Tree, in bytes:
// about eight million files.
const DefaultMemory = 400 << 20

// Open reads the superblock and the log: from then on the volume reads as if
// the kernel had mounted it. The reader must be safe for concurrent use, and is
// used as long as the volume is; size is its length in bytes. The context
// bounds only Open.
//
// Damage reports damage that did not prevent opening, and Volume reports the
// state of the log. If the log cannot be replayed, every look-up of a name
// fails, unless Options.Stale is set. The error is ErrCorrupt if there is no
// usable superblock, ErrUnsupported with the feature's name, the reader's, or
// the context's cause.
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
	f := &FS{account: account, options: o, disk: newDevice(reader, size), pending: map[uint64]error{}}
	f.usage = sync.OnceValues(f.computeUsage)
	f.index = sync.OnceValues(f.buildIndex)
	var err error
	if f.super, err = readSuperblock(f.disk); err != nil {
		return nil, err
	}
	log, err := f.recover()
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	if log.State == JournalFailed && !o.Stale {
		f.unknown = fmt.Errorf("the log has changes that cannot be replayed: %w", log.Err)
	}
	if held := int64(f.super.blocks) << f.super.blockBits; held > size {
		f.note("the volume has %d bytes, the image only %d", held, size)
	}
	f.describe(log)
	f.core = unixfs.New(store{f}, unixfs.Config{
		InodeSize: int64(f.super.inodeSize), Window: window, Unknown: f.unknown,
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
