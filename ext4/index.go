package ext4

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"
)

// index is what Tree needs of all inodes and directories: 24 bytes of an
// inode, 4 of an entry.
type index struct {
	nodes  []atomic.Pointer[nodeChunk]
	dirs   []indexedDir
	starts []uint32 // where the children of each directory begin
	kids   []uint32 // inodes

	memory  atomic.Int64
	limit   int64
	options *Options
}

// chunkNodes is how many inodes share one piece of memory, which is there if
// one of them is in use.
const chunkNodes = 512

type nodeChunk [chunkNodes]indexNode

// indexNode is what the index has of an inode.
type indexNode struct {
	size      uint64 // of a regular file; of a directory its place in dirs
	allocated int64
	links     uint16
	state     nodeState
	flags     uint8
	why       reason // of a damaged one
}

type nodeState uint8

const (
	nodeAbsent nodeState = iota // not in use, or not looked at
	nodeFile
	nodeDir
	nodeDamaged
)

const (
	nodeRegular = 1 << iota
	nodeSymlink
	nodeEncrypted
)

// indexedDir is a directory of the index.
type indexedDir struct {
	format dirFormat
	why    reason // why it is not whole
}

var noNode indexNode

func (x *index) node(number uint32) *indexNode {
	if chunk := x.nodes[number/chunkNodes].Load(); chunk != nil {
		return &chunk[number%chunkNodes]
	}
	return &noNode
}

// slot returns where the node of an inode is to be written. Scanners that
// decode neighbours may want the same chunk at once.
func (x *index) slot(number uint32) (*indexNode, error) {
	at := &x.nodes[number/chunkNodes]
	if at.Load() == nil {
		if err := x.grow(chunkNodes * 24); err != nil {
			return nil, err
		}
		at.CompareAndSwap(nil, new(nodeChunk))
	}
	return &at.Load()[number%chunkNodes], nil
}

func (x *index) children(dir uint64) []uint32 { return x.kids[x.starts[dir]:x.starts[dir+1]] }

var errMemory = fmt.Errorf("%w: the index takes more memory than Options allow", ErrUnsupported)

// grow accounts for memory.
func (x *index) grow(bytes int64) error {
	if x.memory.Load()+bytes > x.limit {
		return errMemory
	}
	if err := x.options.reserve(bytes); err != nil {
		return fmt.Errorf("index of files: %w", err)
	}
	x.memory.Add(bytes)
	return nil
}

func (f *FS) buildIndex() (x *index, err error) {
	s := &indexScan{f: f, x: &index{limit: f.options.Memory, options: &f.options}}
	defer func() {
		if err != nil {
			f.options.giveBack(s.x.memory.Load())
		}
	}()
	chunks := int64(f.super.inodes)/chunkNodes + 1
	if err := s.x.grow(8 * chunks); err != nil {
		return nil, err
	}
	s.x.nodes = make([]atomic.Pointer[nodeChunk], chunks)
	tables, err := s.tables()
	if err != nil {
		return nil, err
	}
	if err := s.scan(tables, (*scanner).inodes); err != nil {
		return nil, fmt.Errorf("inode tables: %w", err)
	}
	total := int64(0) // bytes of directories
	for entries := 0; len(s.runs) > 0 || entries < len(s.entries); {
		runs := s.runs
		s.runs = nil
		size := int64(0)
		for _, r := range runs {
			size += r.size
		}
		if total += size; total > f.disk.size {
			return nil, corrupt("the directories are larger than the image")
		}
		if err := s.scan(runs, (*scanner).entriesOf); err != nil {
			return nil, fmt.Errorf("directories: %w", err)
		}
		// Inodes may have a name that were not looked at, since they are not
		// in use by what the groups say.
		fresh := s.entries[entries:]
		entries = len(s.entries)
		if err := s.missing(fresh); err != nil {
			return nil, err
		}
	}
	if err := s.link(); err != nil {
		return nil, err
	}
	f.collectDamage(s.x)
	return s.x, nil
}

// link puts the entries in the order of their directories.
func (s *indexScan) link() error {
	x := s.x
	x.dirs = s.dirs
	if err := x.grow(4 * int64(len(s.dirs)+len(s.entries)+1)); err != nil {
		return err
	}
	for i, d := range x.dirs {
		x.node(d.format.number).size = uint64(i)
	}
	x.starts = make([]uint32, len(s.dirs)+1)
	for _, e := range s.entries {
		x.starts[e.dir+1]++
	}
	for i := range s.dirs {
		x.starts[i+1] += x.starts[i]
	}
	x.kids = make([]uint32, len(s.entries))
	next := slices.Clone(x.starts)
	for _, e := range s.entries {
		x.kids[next[e.dir]] = e.inode
		next[e.dir]++
	}
	return nil
}

// collectDamage lists what the index could not take.
func (f *FS) collectDamage(x *index) {
	var list []DamagedInode
	count := int64(0)
	add := func(inode uint32, why reason) {
		count++
		list = append(list, DamagedInode{uint64(inode), why.Error()})
		if len(list) > 2*maxDamaged {
			slices.SortFunc(list, func(a, b DamagedInode) int { return cmp.Compare(a.Inode, b.Inode) })
			list = list[:maxDamaged]
		}
	}
	for c := range x.nodes {
		chunk := x.nodes[c].Load()
		if chunk == nil {
			continue
		}
		for i := range chunk {
			if n := &chunk[i]; n.state == nodeDamaged {
				add(uint32(c*chunkNodes+i), n.why)
			}
		}
	}
	for _, d := range x.dirs {
		if d.why != sound {
			add(d.format.number, d.why)
		}
	}
	slices.SortFunc(list, func(a, b DamagedInode) int { return cmp.Compare(a.Inode, b.Inode) })
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damage.Count = count
	f.damage.Inodes = list[:min(len(list), maxDamaged)]
}
