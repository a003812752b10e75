package registry

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/opening"
)

// MaxSize is how many bytes of bins data a hive may have: the upper half of all offsets is volatile.
const MaxSize = 2 << 30

// DefaultInMemory is how many bytes of bins data are held in memory. The largest SOFTWARE hives of real machines stay
// below 200 MiB; COMPONENTS may grow beyond.
const DefaultInMemory = 256 << 20

// readSize is the size of one read. Memory is allocated only for data that exists, whatever size a file claims.
const readSize = 8 << 20

// A Log is a transaction log of the hive.
type Log struct {
	Name string // for messages, for example "SYSTEM.LOG1"
	R    io.ReaderAt
	Size int64 // bytes
}

// Options say how a hive is opened.
type Options struct {
	Logs       []Log // the transaction logs of the hive, in any order
	NoRecovery bool  // show a dirty hive without its logs

	// InMemory is how many bytes of bins data are held in memory; DefaultInMemory if 0, none if it is negative. A larger
	// hive is read through a cache of its blocks.
	InMemory int64

	// Part makes a hive that fits into memory be read where it is needed, each part once: a request to a remote
	// reader costs more than the bytes. It returns the range of the file around an offset that the reader has with one
	// request. It must be safe for concurrent use. Damage then is what was met so far. Nil means that Open reads the
	// whole hive.
	Part func(off int64) (from, to int64)

	// Reserve is called with the number of bytes before memory is allocated, and with a negative number when memory
	// is released. If it refuses memory for the bins data, the hive is read through a cache; any other error that it
	// returns ends the call. It must be safe for concurrent use. Nil means no limit.
	Reserve func(n int64) error
}

// A Hive is a registry hive. It is safe for concurrent use.
type Hive struct {
	base     baseBlock
	bins     bins
	recovery Recovery
	spans    []span // ranges that came out of logs, in order, not overlapping
	held     opening.Account
	hole     int // bytes that neither the file nor a log has, although a log has pages after them
}

// Open reads a hive of size bytes from r. If the hive is held in memory and was read whole, r is not used after Open
// returns; otherwise r is read as long as the hive is used, and must be safe for concurrent use. A dirty hive, one
// whose sequence numbers differ or whose base block does not fit its checksum, is recovered from o.Logs in memory.
// Where that is not possible it is opened without recovery, and Recovery says so: the caller decides. The context
// bounds only Open.
//
// The error is ErrCorrupt if the file is no hive, ErrUnsupported if it is of another version than 1.3 to 1.6 or has
// more than MaxSize bytes of bins data, else an error of r or the context's cause. Damage below the base block is
// found when it is met.
func Open(ctx context.Context, r io.ReaderAt, size int64, o Options) (*Hive, error) {
	h := &Hive{held: opening.Account{Ask: o.Reserve}}
	if o.Reserve != nil {
		h.bins.memory = h.held.Reserve
	}
	reader := opening.NewReader(ctx, r)
	o.Logs = slices.Clone(o.Logs)
	for i := range o.Logs {
		o.Logs[i].R = opening.NewReader(ctx, o.Logs[i].R)
	}
	err := h.open(reader, size, o)
	if err == nil {
		err = reader.Done()
	}
	if err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// Close releases the memory that was reserved by Options.Reserve, and returns its error. The hive must not be used
// afterwards. Without Reserve, Close is not needed.
func (h *Hive) Close() error { return h.held.Close() }

func (h *Hive) open(r io.ReaderAt, size int64, o Options) error {
	head, err := readUpTo(r, 0, min(size, baseBlockSize+binHeaderSize))
	if err != nil {
		return err
	}
	base, damaged := parseBaseBlock(head)
	h.base, h.recovery = base, Recovery{Primary: base.primary, Secondary: base.secondary}
	if damaged == nil {
		if err := base.supported(); err != nil {
			return err
		}
	} else if !looksLikeHive(head) {
		return damaged
	}

	available, binsSize := max(size-baseBlockSize, 0), int64(base.binsSize)
	if damaged != nil {
		binsSize = available // the field is as doubtful as the rest
	}
	if binsSize > MaxSize {
		return fmt.Errorf("%w: %d bytes of bins data; at most %d are read", ErrUnsupported, binsSize, MaxSize)
	}
	h.bins.size = int(binsSize)
	if err := h.load(r, int(min(available, binsSize)), o); err != nil {
		return err
	}
	if damaged != nil || base.primary != base.secondary {
		if o.NoRecovery {
			h.recovery.State = Ignored
		} else {
			h.applyLogs(o.Logs, damaged)
		}
	}
	if damaged != nil {
		if err := h.base.supported(); err != nil {
			return fmt.Errorf("%w; %v", first(h.recovery.Err, damaged), err)
		}
	}
	return h.bins.index()
}

// load reads n bytes of bins data into memory, or has them read when they are wanted.
func (h *Hive) load(r io.ReaderAt, n int, o Options) error {
	inMemory := cmp.Or(o.InMemory, DefaultInMemory)
	// The rest must suffice for another hive's cache, and for logs and lists.
	wants := int64(n) + indexCost(n)
	if int64(n) <= inMemory && h.bins.memory.fits(wants+cacheSize) == nil && h.bins.memory.take(wants) == nil {
		if o.Part != nil {
			h.bins.holdParts(r, n, o.Part)
			return nil
		}
		return h.bins.hold(r, n)
	}
	return h.bins.leave(r, n)
}

// copied is how much of n bytes that are kept of a cell is not the hive in memory.
func (h *Hive) copied(n int) int64 {
	if h.bins.cache == nil {
		return 0
	}
	return int64(n)
}

// looksLikeHive reports whether a file with a damaged base block is still recognizable as a hive.
func looksLikeHive(head []byte) bool {
	if len(head) < baseBlockSize+binHeaderSize {
		return false
	}
	return string(head[:4]) == "regf" || parseBinHeader(head[baseBlockSize:], 0, MaxSize) != 0
}

// readUpTo reads n bytes at an offset, fewer if the reader ends before.
func readUpTo(r io.ReaderAt, off, n int64) ([]byte, error) {
	n = max(n, 0)
	data := make([]byte, 0, min(n, readSize))
	for int64(len(data)) < n {
		have := len(data)
		if have == cap(data) {
			grown := make([]byte, have, n)
			copy(grown, data)
			data = grown
		}
		data = data[:min(have+readSize, cap(data))]
		got, err := r.ReadAt(data[have:], off+int64(have))
		if got < len(data)-have {
			data = data[:have+max(got, 0)]
			if err == io.EOF {
				err = nil
			} else if err == nil {
				err = io.ErrNoProgress
			}
			return data, err
		}
	}
	return data, nil
}

// Recovery reports whether the hive was dirty and how it was recovered.
func (h *Hive) Recovery() Recovery { return h.recovery }

// FileName is the tail of the path of the hive file as its base block has it, at most 32 UTF-16 units. It may be empty.
func (h *Hive) FileName() string { return h.base.fileName }

// LastWritten is the time of the last write as the base block has it, in UTC; the zero time if there is none.
func (h *Hive) LastWritten() time.Time { return filetime.Time(h.base.lastWritten) }

// Version is the version of the hive's format: 1 and 3 to 6.
func (h *Hive) Version() (major, minor uint32) { return h.base.major, h.base.minor }

// Root returns the root key.
func (h *Hive) Root() (*Key, error) {
	k, err := h.keyAt(h.base.root, nil)
	if err == nil && k.flags()&flagHiveEntry == 0 && h.isKey(k.parentOffset()) {
		err = corrupt(k.offset, "key node: it is a subkey of the key at 0x%x", fileOffset(k.parentOffset()))
	}
	if err != nil {
		return nil, fmt.Errorf("root key: %w", err)
	}
	return &k, nil
}

// isKey reports whether a key node is at the offset.
func (h *Hive) isKey(offset uint32) bool {
	_, err := h.keyAt(offset, nil)
	return err == nil
}

// Key returns the key at a path below the root: names separated by `\`, compared without case; "" is the root. The
// error is fs.ErrNotExist only if every list on the path was read completely. A symbolic link at the end of the path
// is returned as it is. Earlier in the path it gives ErrUnsupported, because only a Machine can resolve it. A key
// whose name contains a backslash is found only by Subkey.
func (h *Hive) Key(path string) (*Key, error) {
	k, rest, err := h.find(path)
	if err == nil && rest != "" {
		err = k.fail(fmt.Errorf("%w: symbolic link on the way to %s", ErrUnsupported, quote(rest)))
	}
	if err != nil {
		return nil, err
	}
	return k, nil
}

// find follows the path to the first symbolic link; rest is the remaining path.
func (h *Hive) find(path string) (k *Key, rest string, err error) {
	if k, err = h.Root(); err != nil {
		return nil, "", err
	}
	for rest = strings.Trim(path, `\`); rest != "" && k.flags()&flagSymbolicLink == 0; {
		var name string
		name, rest, _ = strings.Cut(rest, `\`)
		rest = strings.TrimLeft(rest, `\`)
		if k, err = k.Subkey(name); err != nil {
			return nil, "", err
		}
	}
	return k, rest, nil
}

// Walk calls fn for the root key and every key below it; see Key.Walk.
func (h *Hive) Walk(fn func(k *Key, err error) error) error {
	root, err := h.Root()
	if err != nil {
		return err
	}
	return root.Walk(fn)
}
