package unixfs

import (
	"cmp"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// Limits bound the memory and the reads of an index.
type Limits struct {
	Memory  int64 // bytes
	Readers int   // reads at a time
	// Reserve is called before memory is taken, with the number of bytes, and
	// with a negative number when memory is given back. It may be nil.
	Reserve func(n int64) error
}

// Index is the data about all inodes and directories that Tree needs: 24 bytes
// an inode, and the number of its inode for each entry.
type Index[N Number] struct {
	ranges []atomic.Pointer[nodeRange]
	dirs   []indexedDir[N]
	starts []uint32 // where the children of each directory begin
	kids   []N

	limits Limits
	memory atomic.Int64
}

// Nodes are kept in chunks, and chunks in ranges. A chunk or a range is allocated
// when one of its inodes is in use.
const (
	chunkBits = 6
	rangeBits = 15
)

type (
	nodeRange [1 << (rangeBits - chunkBits)]atomic.Pointer[nodeChunk]
	nodeChunk [1 << chunkBits]node
)

// nodeSize is the size of a node, in bytes.
const nodeSize = 24

// node is the index's data about an inode.
type node struct {
	size      uint64 // of a regular file; of a directory its place in dirs
	allocated int64
	links     uint32
	state     nodeState
	flags     uint8
	why       uint8 // of a damaged one
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
type indexedDir[N Number] struct {
	number N
	why    uint8 // why it is incomplete, 0 if it is complete
}

// newIndex makes an index of inodes up to a number.
func newIndex[N Number](last N, l Limits) (*Index[N], error) {
	x := &Index[N]{limits: l}
	ranges := int64(uint64(last)>>rangeBits) + 1
	if err := x.grow(8 * ranges); err != nil {
		return nil, err
	}
	x.ranges = make([]atomic.Pointer[nodeRange], ranges)
	return x, nil
}

var noNode node

// node returns the index's data about an inode.
func (x *Index[N]) node(number N) *node {
	n := uint64(number)
	if n>>rangeBits >= uint64(len(x.ranges)) {
		return &noNode
	}
	if r := x.ranges[n>>rangeBits].Load(); r != nil {
		if c := r[n>>chunkBits%uint64(len(r))].Load(); c != nil {
			return &c[n%uint64(len(c))]
		}
	}
	return &noNode
}

// slot returns the node of an inode for writing. Scanners that decode neighbors
// may need the same chunk at the same time.
func (x *Index[N]) slot(number N) (*node, error) {
	n := uint64(number)
	if n>>rangeBits >= uint64(len(x.ranges)) {
		return nil, corrupt("inode %d, which the volume does not have", number)
	}
	r, err := at(x, &x.ranges[n>>rangeBits], 8<<(rangeBits-chunkBits))
	if err != nil {
		return nil, err
	}
	c, err := at(x, &r[n>>chunkBits%uint64(len(r))], nodeSize<<chunkBits)
	if err != nil {
		return nil, err
	}
	return &c[n%uint64(len(c))], nil
}

// at returns the target of a pointer, and allocates it if it is nil.
func at[N Number, T any](x *Index[N], p *atomic.Pointer[T], size int64) (*T, error) {
	if t := p.Load(); t != nil {
		return t, nil
	}
	if err := x.grow(size); err != nil {
		return nil, err
	}
	if !p.CompareAndSwap(nil, new(T)) {
		x.shrink(size) // another one was first
	}
	return p.Load(), nil
}

func (x *Index[N]) children(dir uint64) []N { return x.kids[x.starts[dir]:x.starts[dir+1]] }

// errMemory is the error of an index that would be larger than Limits.Memory.
var errMemory = fmt.Errorf("%w: the index takes more memory than Options allow", kind.Unsupported)

// grow accounts for memory.
func (x *Index[N]) grow(bytes int64) error {
	if x.memory.Load()+bytes > x.limits.Memory {
		return errMemory
	}
	if x.limits.Reserve != nil {
		if err := x.limits.Reserve(bytes); err != nil {
			return fmt.Errorf("index of files: %w", err)
		}
	}
	x.memory.Add(bytes)
	return nil
}

// shrink gives memory back.
func (x *Index[N]) shrink(bytes int64) {
	if x.limits.Reserve != nil {
		x.limits.Reserve(-bytes)
	}
	x.memory.Add(-bytes)
}

// width is how many bytes a number takes.
func width[N Number]() int64 {
	if uint64(^N(0)) > 1<<32-1 {
		return 8
	}
	return 4
}

// link orders the entries by their directories.
func (x *Index[N]) link(dirs []indexedDir[N], entries [][]entryPair[N]) error {
	count := 0
	for _, list := range entries {
		count += len(list)
	}
	if err := x.grow(4*int64(len(dirs)+1) + width[N]()*int64(count)); err != nil {
		return err
	}
	x.dirs = dirs
	for i, d := range dirs {
		x.node(d.number).size = uint64(i)
	}
	x.starts = make([]uint32, len(dirs)+1)
	for _, list := range entries {
		for _, e := range list {
			x.starts[e.dir+1]++
		}
	}
	for i := range dirs {
		x.starts[i+1] += x.starts[i]
	}
	x.kids = make([]N, count)
	next := make([]uint32, len(dirs))
	copy(next, x.starts)
	for _, list := range entries {
		for _, e := range list {
			x.kids[next[e.dir]] = e.inode
			next[e.dir]++
		}
	}
	return nil
}

// Damaged is an inode that cannot be used although something is in it, or a
// directory that is incomplete.
type Damaged[N Number] struct {
	Number N
	Why    uint8 // the filesystem's own number of the reason
}

// Damaged returns the first damaged inodes, by number, and their total count.
func (x *Index[N]) Damaged(most int) (list []Damaged[N], count int64) {
	order := func(a, b Damaged[N]) int { return cmp.Compare(a.Number, b.Number) }
	x.eachDamaged(func(d Damaged[N]) {
		count++
		if list = append(list, d); len(list) > 2*most {
			slices.SortFunc(list, order)
			list = list[:most]
		}
	})
	slices.SortFunc(list, order)
	return list[:min(len(list), most)], count
}

func (x *Index[N]) eachDamaged(visit func(Damaged[N])) {
	for r := range x.ranges {
		chunks := x.ranges[r].Load()
		if chunks == nil {
			continue
		}
		for c := range chunks {
			nodes := chunks[c].Load()
			if nodes == nil {
				continue
			}
			for i := range nodes {
				if n := &nodes[i]; n.state == nodeDamaged {
					visit(Damaged[N]{N(r<<rangeBits | c<<chunkBits | i), n.why})
				}
			}
		}
	}
	for _, d := range x.dirs {
		if d.why != 0 {
			visit(Damaged[N]{d.number, d.why})
		}
	}
}
