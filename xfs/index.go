package xfs

import (
	"cmp"
	"fmt"
	"slices"
)

// index is what Tree needs of all inodes and directories: 32 bytes of an
// inode, 8 of an entry.
type index struct {
	nodes  map[uint64]*nodeChunk // by the inode's number / chunkInodes
	dirs   []indexedDir
	starts []uint32 // where the children of each directory begin
	kids   []uint64 // inodes
	memory int64
	limit  int64

	reserve func(n int64) error // may be nil
}

type nodeChunk [chunkInodes]indexNode

// indexNode is what the index has of an inode.
type indexNode struct {
	size      uint64 // of a regular file; of a directory its place in dirs
	allocated int64
	links     uint32
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
)

// indexedDir is a directory of the index.
type indexedDir struct {
	number uint64
	why    reason // why it is not whole
}

var noNode indexNode

func (x *index) node(number uint64) *indexNode {
	if chunk := x.nodes[number/chunkInodes]; chunk != nil {
		return &chunk[number%chunkInodes]
	}
	return &noNode
}

// slot makes room for the nodes around an inode.
func (x *index) slot(number uint64) error {
	if x.nodes[number/chunkInodes] != nil {
		return nil
	}
	x.nodes[number/chunkInodes] = new(nodeChunk)
	return x.grow(chunkInodes*32 + 64)
}

func (x *index) children(dir uint64) []uint64 { return x.kids[x.starts[dir]:x.starts[dir+1]] }

var errMemory = fmt.Errorf("%w: the index takes more memory than Options allow", ErrUnsupported)

// grow accounts for memory.
func (x *index) grow(bytes int64) error {
	if x.memory+bytes > x.limit {
		return errMemory
	}
	if x.reserve != nil {
		if err := x.reserve(bytes); err != nil {
			return fmt.Errorf("index of files: %w", err)
		}
	}
	x.memory += bytes
	return nil
}

// giveUp says that the index is not used.
func (x *index) giveUp() {
	if x.reserve != nil {
		x.reserve(-x.memory)
	}
}

func (f *FS) buildIndex() (*index, error) {
	s := &indexScan{f: f, x: &index{nodes: map[uint64]*nodeChunk{}, limit: f.options.Memory, reserve: f.options.Reserve}}
	if err := s.build(); err != nil {
		s.x.giveUp()
		return nil, err
	}
	f.collectDamage(s.x)
	return s.x, nil
}

func (s *indexScan) build() error {
	if err := s.inodes(); err != nil {
		return fmt.Errorf("inodes: %w", err)
	}
	total := int64(0) // bytes of directories
	for entries := 0; len(s.pieces) > 0 || entries < len(s.entries); {
		pieces := s.pieces
		s.pieces = nil
		if total += int64(len(pieces)) * s.f.super.blockSize; total > s.f.disk.size {
			return corrupt("the directories are larger than the image")
		}
		if err := s.directories(pieces); err != nil {
			return fmt.Errorf("directories: %w", err)
		}
		// Inodes may have a name that were not looked at, since they are not
		// in use by what the groups say.
		fresh := s.entries[entries:]
		entries = len(s.entries)
		if err := s.missing(fresh); err != nil {
			return fmt.Errorf("inodes: %w", err)
		}
	}
	return s.link()
}

// link puts the entries in the order of their directories.
func (s *indexScan) link() error {
	x := s.x
	x.dirs = s.dirs
	if err := x.grow(4*int64(len(s.dirs)+1) + 8*int64(len(s.entries))); err != nil {
		return err
	}
	for i, d := range x.dirs {
		x.node(d.number).size = uint64(i)
	}
	x.starts = make([]uint32, len(s.dirs)+1)
	for _, e := range s.entries {
		x.starts[e.dir+1]++
	}
	for i := range s.dirs {
		x.starts[i+1] += x.starts[i]
	}
	x.kids = make([]uint64, len(s.entries))
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
	order := func(a, b DamagedInode) int { return cmp.Compare(a.Inode, b.Inode) }
	add := func(inode uint64, why reason) {
		count++
		list = append(list, DamagedInode{inode, why.Error()})
		if len(list) > 2*maxDamaged {
			slices.SortFunc(list, order)
			list = list[:maxDamaged]
		}
	}
	for at, chunk := range x.nodes {
		for i := range chunk {
			if n := &chunk[i]; n.state == nodeDamaged {
				add(at*chunkInodes+uint64(i), n.why)
			}
		}
	}
	for _, d := range x.dirs {
		if d.why != sound {
			add(d.number, d.why)
		}
	}
	slices.SortFunc(list, order)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.damage.Count = count
	f.damage.Inodes = list[:min(len(list), maxDamaged)]
}
