// Package fat reads FAT12, FAT16 and FAT32 with long names, as the Linux driver
// shows them. It never writes.
//
// Open reads all directories and the chains of all files into memory, within
// bounds, so that cluster loops and clusters shared by two files are known
// before anything is read. Opening an affected file gives an error; the rest of
// the volume is readable.
//
// The format is that of [MS] "FAT: General Overview of On-Disk Format" 1.03,
// which the comments call the specification.
package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// Errors for errors.Is. Input and output errors pass through as they are, and
// names that are not there are fs.ErrNotExist.
var (
	// ErrCorrupt: the volume contradicts itself.
	ErrCorrupt = kind.Corrupt
	// ErrUnsupported: the volume exceeds a limit of this package, or uses a feature
	// that the message names.
	ErrUnsupported = kind.Unsupported
)

// Bounds of what Open reads. An EFI system partition stays far below them.
const (
	maxEntries   = 20_000
	maxDirectory = 2 << 20 // in bytes, as in Linux
	maxListed    = 8 << 20 // bytes of all directories
	maxClusters  = 4 << 20 // of all chains that are followed
	maxRuns      = 100_000 // of all chains
	maxDepth     = 128
)

// Memory is the most that an open volume takes, in bytes.
const Memory = 24 << 20

// Volume describes a volume.
type Volume struct {
	Type        string // "FAT12", "FAT16" or "FAT32"
	Label       string // of the root directory, else of the boot sector
	UUID        string // its serial number as udev has it: "ABCD-1234"; "" if it has none
	ClusterSize int    // in bytes
	Clusters    int64
	Size        int64 // in bytes
	Damaged     int   // entries that cannot be read
}

// FS is a volume. It implements fs.ReadDirFS, fs.StatFS and fs.ReadLinkFS, and
// may be used from several goroutines. Names are looked up without regard to
// case.
type FS struct {
	r      io.ReaderAt
	volume Volume
	root   *node

	bits       int   // of an entry of the FAT: 12, 16 or 32
	table      int64 // where the FAT is, in bytes
	tableSize  int64
	fixed      int64 // where the root directory of FAT12 and FAT16 is
	fixedSize  int64
	data       int64 // where the second cluster is, which is the first
	clusters   int64
	cluster    int64 // bytes of one
	rootStart  uint32
	page       []byte // of the FAT, which was read last
	pageOffset int64

	entries, listed, followed, runs int // so far, against the bounds
}

// A node is a file or directory.
type node struct {
	name     string
	dir      bool
	size     int64
	modified time.Time
	readOnly bool
	runs     []run // of clusters
	children []*node
	byName   map[string]*node // folded
	err      error            // why it cannot be read; nil if it can
}

// A run is clusters in a row.
type run struct{ start, count uint32 }

// pageSize is how much of the FAT is read at a time.
const pageSize = 64 << 10

// Open reads the directories of the volume of size bytes that r reads. r must
// be safe for concurrent use. An error wraps ErrCorrupt or ErrUnsupported, or
// is one of r.
func Open(r io.ReaderAt, size int64) (*FS, error) {
	f := &FS{r: r, pageOffset: -1}
	if err := f.readBoot(size); err != nil {
		return nil, err
	}
	f.root = &node{name: ".", dir: true}
	if err := f.readAll(); err != nil {
		return nil, err
	}
	f.crossLinks()
	f.page = nil
	return f, nil
}

// Volume describes the volume.
func (f *FS) Volume() Volume { return f.volume }

// readBoot decodes the BIOS parameter block (the specification, "Boot Sector
// and BPB"):
//
//	11 2 bytes in a sector, 13 1 sectors in a cluster, 14 2 reserved sectors, 16 1 FATs,
//	17 2 entries of the root directory, 19 2 sectors, 21 1 media, 22 2 sectors of a FAT, 32 4 sectors
//	FAT32: 36 4 sectors of a FAT, 40 2 flags, 42 2 version, 44 4 first cluster of the root directory
//	at 38, FAT32 66: 1 signature 0x28 or 0x29, 4 serial number, 11 label
func (f *FS) readBoot(size int64) error {
	b := make([]byte, 512)
	if n, err := f.r.ReadAt(b, 0); n < len(b) {
		if err == io.EOF {
			err = fmt.Errorf("%w: the boot sector is cut off", ErrCorrupt)
		}
		return err
	}
	le16 := func(off int) int64 { return int64(binary.LittleEndian.Uint16(b[off:])) }
	le32 := func(off int) int64 { return int64(binary.LittleEndian.Uint32(b[off:])) }
	sector, perCluster, reserved, tables, entries := le16(11), int64(b[13]), le16(14), int64(b[16]), le16(17)
	sectors, tableSectors := le16(19), le16(22)
	if sectors == 0 {
		sectors = le32(32)
	}
	f.bits = 16
	extended := 38
	if tableSectors == 0 {
		f.bits, tableSectors, extended = 32, le32(36), 66
	}
	switch {
	case sector != 512 && sector != 1024 && sector != 2048 && sector != 4096:
		return fmt.Errorf("%w: sectors of %d bytes", ErrCorrupt, sector)
	case perCluster == 0 || perCluster&(perCluster-1) != 0:
		return fmt.Errorf("%w: clusters of %d sectors", ErrCorrupt, perCluster)
	case reserved == 0 || tables == 0 || tableSectors == 0 || entries%(sector/entrySize) != 0:
		return fmt.Errorf("%w: the boot sector", ErrCorrupt)
	case b[21] != 0xf0 && b[21] < 0xf8:
		return fmt.Errorf("%w: media byte %#x", ErrCorrupt, b[21])
	case f.bits == 32 && le16(42) != 0:
		return fmt.Errorf("%w: FAT32 version %d", ErrUnsupported, le16(42))
	case f.bits == 32 && le16(40)&0x80 != 0 && le16(40)&0xf != 0:
		return fmt.Errorf("%w: FAT number %d is the active one", ErrUnsupported, le16(40)&0xf)
	case f.bits == 32 && entries != 0:
		return fmt.Errorf("%w: FAT32 with a root directory of %d entries", ErrCorrupt, entries)
	}
	f.cluster = perCluster * sector
	f.table, f.tableSize = reserved*sector, tableSectors*sector
	f.fixed, f.fixedSize = f.table+tables*f.tableSize, entries*entrySize
	f.data = f.fixed + f.fixedSize
	total := sectors * sector
	if f.data > total {
		return fmt.Errorf("%w: %d sectors, and the data begins behind them", ErrCorrupt, sectors)
	}
	f.clusters = (total - f.data) / f.cluster
	// The types are distinguished as Linux does: a volume with FAT32 fields is
	// FAT32 however few clusters it has.
	if f.bits == 16 && f.clusters <= 4084 {
		f.bits = 12
	}
	// The FAT has two entries more than there are clusters.
	f.clusters = min(f.clusters, f.tableSize*8/int64(f.bits)-2)
	if f.clusters <= 0 || f.clusters > 0x0ffffff5 {
		return fmt.Errorf("%w: %d clusters", ErrCorrupt, f.clusters)
	}
	if f.bits == 32 {
		f.rootStart = uint32(le32(44))
	}
	f.volume = Volume{Type: fmt.Sprintf("FAT%d", f.bits), ClusterSize: int(f.cluster), Clusters: f.clusters, Size: total}
	if b[extended] == 0x29 || b[extended] == 0x28 {
		serial := le32(extended + 1)
		f.volume.UUID = fmt.Sprintf("%04X-%04X", serial>>16, serial&0xffff)
		if label := strings.TrimRight(decodeOEM(b[extended+5:extended+16]), " "); b[extended] == 0x29 && label != "NO NAME" {
			f.volume.Label = label
		}
	}
	_ = size // reading beyond the end of the image is an error
	return nil
}

// next returns the entry of the FAT for a cluster (the specification, "FAT
// Data Structure").
func (f *FS) next(cluster uint32) (uint32, error) {
	bit := int64(cluster) * int64(f.bits)
	off := bit / 8
	width := int64((f.bits + 7) / 8)
	if off+width > f.tableSize {
		return 0, fmt.Errorf("%w: cluster %d has no entry in the FAT", ErrCorrupt, cluster)
	}
	b := make([]byte, 4)
	for i := range width {
		at := off + i
		page := at / pageSize * pageSize
		if f.pageOffset != page || f.page == nil {
			f.page, f.pageOffset = make([]byte, min(pageSize, f.tableSize-page)), page
			if n, err := f.r.ReadAt(f.page, f.table+page); n < len(f.page) {
				f.pageOffset = -1
				if err == io.EOF {
					err = io.ErrUnexpectedEOF
				}
				return 0, err
			}
		}
		b[i] = f.page[at-page]
	}
	v := binary.LittleEndian.Uint32(b)
	switch {
	case f.bits == 12 && bit%8 != 0:
		v = v >> 4 & 0xfff
	case f.bits == 12:
		v &= 0xfff
	case f.bits == 32:
		v &= 0x0fffffff
	}
	return v, nil
}

// last says whether an entry of the FAT ends a chain.
func (f *FS) last(entry uint32) bool {
	return entry >= map[int]uint32{12: 0xff8, 16: 0xfff8, 32: 0x0ffffff8}[f.bits]
}

// chain follows the clusters from start, at most need of them. The error says
// where the chain is broken; the clusters before that are returned too.
func (f *FS) chain(start uint32, need int64) ([]run, error) {
	var runs []run
	seen := map[uint32]bool{} // beginnings of runs: a loop comes back to one, or into the middle of one
	for n, at := int64(0), start; n < need; n++ {
		if at < 2 || int64(at) >= f.clusters+2 {
			return runs, fmt.Errorf("%w: its chain leads to cluster %d", ErrCorrupt, at)
		}
		if f.followed++; f.followed > maxClusters {
			return nil, fmt.Errorf("%w: more than %d clusters in files", ErrUnsupported, maxClusters)
		}
		if k := len(runs); k > 0 && runs[k-1].start+runs[k-1].count == at {
			runs[k-1].count++
		} else {
			if seen[at] {
				return runs, fmt.Errorf("%w: its chain is a loop", ErrCorrupt)
			}
			if f.runs++; f.runs > maxRuns {
				return nil, fmt.Errorf("%w: more than %d runs of clusters", ErrUnsupported, maxRuns)
			}
			seen[at] = true
			runs = append(runs, run{at, 1})
		}
		if n+1 == need {
			break
		}
		entry, err := f.next(at)
		if err != nil {
			return runs, err
		}
		if f.last(entry) {
			return runs, errChainEnds
		}
		at = entry
	}
	return runs, overlap(runs)
}

// errChainEnds says that a chain has fewer clusters than were asked for.
var errChainEnds = fmt.Errorf("%w: its chain ends too early", ErrCorrupt)

// overlap says whether runs share a cluster.
func overlap(runs []run) error {
	sorted := slices.Clone(runs)
	slices.SortFunc(sorted, func(a, b run) int { return int(int64(a.start) - int64(b.start)) })
	for i := 1; i < len(sorted); i++ {
		if sorted[i-1].start+sorted[i-1].count > sorted[i].start {
			return fmt.Errorf("%w: its chain is a loop", ErrCorrupt)
		}
	}
	return nil
}

// crossLinks marks files and directories that share clusters.
func (f *FS) crossLinks() {
	type owned struct {
		run
		node *node
	}
	var all []owned
	var visit func(n *node)
	visit = func(n *node) {
		for _, r := range n.runs {
			all = append(all, owned{r, n})
		}
		for _, c := range n.children {
			visit(c)
		}
	}
	visit(f.root)
	slices.SortFunc(all, func(a, b owned) int { return int(int64(a.start) - int64(b.start)) })
	widest := 0 // the run that reaches farthest so far
	for i := 1; i < len(all); i++ {
		w := &all[widest]
		if w.start+w.count > all[i].start && w.node != all[i].node {
			for _, n := range []*node{w.node, all[i].node} {
				if n.err == nil {
					n.err = fmt.Errorf("%w: it shares clusters with another file", ErrCorrupt)
					f.volume.Damaged++
				}
			}
		}
		if all[i].start+all[i].count > w.start+w.count {
			widest = i
		}
	}
}

// Totals of a directory and everything below it.
type Totals struct {
	Files, Size int64
	Damaged     int64 // if not 0, the others are lower bounds
}

// Tree adds up the files below a directory, or a file alone.
func (f *FS) Tree(name string) (Totals, error) {
	n, err := f.find("stat", name)
	if err != nil {
		return Totals{}, err
	}
	var t Totals
	var visit func(n *node)
	visit = func(n *node) {
		if n.err != nil {
			t.Damaged++
		}
		if !n.dir {
			t.Files++
			t.Size += n.size
		}
		for _, c := range n.children {
			visit(c)
		}
	}
	visit(n)
	return t, nil
}

// find returns the entry of a name.
func (f *FS) find(op, name string) (*node, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	n := f.root
	if name == "." {
		return n, nil
	}
	for part := range strings.SplitSeq(name, "/") {
		if n.err != nil && n.dir {
			return nil, &fs.PathError{Op: op, Path: name, Err: n.err} // the name may be in the unreadable part
		}
		child := n.byName[fold(part)]
		if child == nil {
			return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
		}
		n = child
	}
	return n, nil
}

// Stat describes a file or directory.
func (f *FS) Stat(name string) (fs.FileInfo, error) {
	n, err := f.find("stat", name)
	if err != nil {
		return nil, err
	}
	return info{n}, nil
}

// Lstat is Stat: there are no symbolic links.
func (f *FS) Lstat(name string) (fs.FileInfo, error) { return f.Stat(name) }

// ReadLink is an error that is fs.ErrInvalid: there are no symbolic links.
func (f *FS) ReadLink(name string) (string, error) {
	if _, err := f.find("readlink", name); err != nil {
		return "", err
	}
	return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrInvalid}
}

// ReadDir lists a directory, by name.
func (f *FS) ReadDir(name string) ([]fs.DirEntry, error) {
	n, err := f.find("open", name)
	switch {
	case err != nil:
		return nil, err
	case !n.dir:
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a directory")}
	case n.err != nil:
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: n.err}
	}
	list := make([]fs.DirEntry, 0, len(n.children))
	for _, c := range n.children {
		list = append(list, fs.FileInfoToDirEntry(info{c}))
	}
	return list, nil
}

// Open opens a file or directory. Files implement io.ReaderAt and io.Seeker.
func (f *FS) Open(name string) (fs.File, error) {
	n, err := f.find("open", name)
	if err != nil {
		return nil, err
	}
	if n.dir {
		list, err := f.ReadDir(name)
		if err != nil {
			return nil, err
		}
		return &directory{info: info{n}, left: list}, nil
	}
	if n.err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: n.err}
	}
	return &file{info: info{n}, SectionReader: io.NewSectionReader(content{f, n}, 0, n.size)}, nil
}

// content reads the clusters of a file.
type content struct {
	f *FS
	n *node
}

func (c content) ReadAt(p []byte, off int64) (int, error) {
	done := 0
	skip := off
	for _, r := range c.n.runs {
		length := int64(r.count) * c.f.cluster
		if skip >= length {
			skip -= length
			continue
		}
		part := p[done:min(int64(len(p)), int64(done)+length-skip)]
		n, err := c.f.r.ReadAt(part, c.f.data+(int64(r.start)-2)*c.f.cluster+skip)
		done += n
		if n < len(part) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return done, err
		}
		if done == len(p) {
			return done, nil
		}
		skip = 0
	}
	return done, io.EOF
}

type info struct{ *node }

func (i info) Name() string       { return i.name }
func (i info) Size() int64        { return i.size }
func (i info) ModTime() time.Time { return i.modified }
func (i info) IsDir() bool        { return i.dir }
func (i info) Sys() any           { return nil }

// Mode is as Linux shows it: everything may be executed.
func (i info) Mode() fs.FileMode {
	mode := fs.FileMode(0o755)
	if i.readOnly {
		mode = 0o555
	}
	if i.dir {
		mode |= fs.ModeDir
	}
	return mode
}

type file struct {
	info
	*io.SectionReader
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Size() int64                { return f.info.Size() }
func (f *file) Close() error               { return nil }

type directory struct {
	info
	mu   sync.Mutex
	left []fs.DirEntry
}

func (d *directory) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *directory) Close() error               { return nil }
func (d *directory) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a directory")}
}

// ReadDir implements fs.ReadDirFile.
func (d *directory) ReadDir(n int) ([]fs.DirEntry, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n > 0 && len(d.left) == 0 {
		return nil, io.EOF
	}
	if n <= 0 || n > len(d.left) {
		n = len(d.left)
	}
	list := d.left[:n]
	d.left = d.left[n:]
	return list, nil
}
