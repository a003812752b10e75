package ntfs

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// The index in memory: a node a record, and the names of every directory.
// Costs: 68 bytes a record of $MFT (where 1,024 in a row have none in use,
// nothing), 24 bytes and the UTF-8 form a name.
const (
	chunkRecords = 1024      // a chunk of nodes comes from one read of $MFT
	chunkNames   = 4096      // names are given out to the scanners in such pieces
	chunkArena   = 1 << 20   // and so is the memory that holds their bytes
	maxArenas    = 1 << 12   // since an offset into all of them has 32 bits
	nameBytes    = 3 * 255   // UTF-8 of the longest name there can be
	recordNames  = 4096 / 96 // names that the largest record has room for
)

// Flags of a node.
const (
	nodeBase       = 1 << iota // a base record in use
	nodeExtension              // an extension record in use; size is the reference of its base
	nodeBad                    // the record cannot be read
	nodePartial                // a base record that lacks a part
	nodeDir                    // with nodeBase
	nodeResident               // the unnamed $DATA is
	nodeCompressed             // the unnamed $DATA is
	nodeSparse                 // the unnamed $DATA is
	nodeEncrypted              // the unnamed $DATA is, or the attributes say so
	nodeLong                   // has a name that is not for DOS only
	nodeListed                 // with nodeBase: its attribute list is in FS.lists
)

// node is the index's data about a record. It has no pointers, so the garbage
// collector skips it.
type node struct {
	size       int64
	allocated  int64
	created    uint64
	modified   uint64
	changed    uint64
	accessed   uint64
	attributes uint32
	tag        uint32
	sequence   uint16
	links      uint16
	flags      uint16
	why        reason // with nodeBad and nodePartial
}

type chunk struct {
	nodes [chunkRecords]node
	// The children of node i are kids[end[i-1]:end[i]], those of the first
	// kids[base:end[0]].
	base uint32
	end  [chunkRecords]uint32
}

// name is one $FILE_NAME.
type name struct {
	parent   uint32 // record
	record   uint32
	at       uint32 // arena and offset of the UTF-8 form
	sequence uint16 // that the parent had
	hash     uint16 // of the upper case
	bytes    uint16 // length of the UTF-8 form
	dos      bool   // for DOS only
}

// streamTotal is the size of a named stream.
type streamTotal struct {
	record uint32
	size   int64
}

// index is filled by several scanners at once, then only read.
type index struct {
	chunks []*chunk
	names  [][]name
	arenas [][]byte
	kids   []uint32 // names, grouped by parent

	// In the order of their records.
	streams []streamTotal

	limit   int64               // in bytes
	used    atomic.Int64        // in bytes
	reserve func(n int64) error // may be nil
	mu      sync.Mutex          // protects names and arenas while scanners ask for more

	sorted sync.Map // children by hash, of the large directories that were looked into
}

// grow accounts for n bytes.
func (x *index) grow(n int64) error {
	if x.used.Load()+n > x.limit {
		return unsupported("an index of more than %d bytes of memory", x.limit)
	}
	if x.reserve != nil {
		if err := x.reserve(n); err != nil {
			return fmt.Errorf("index of files: %w", err)
		}
	}
	x.used.Add(n)
	return nil
}

// lend reserves buffers of a size, up to most of them: one in any case, others
// while there is memory for several times as much.
func (x *index) lend(most int, size int64) (int, error) {
	if x.reserve == nil {
		return most, nil
	}
	if err := x.reserve(size); err != nil {
		return 0, fmt.Errorf("a buffer of %d bytes: %w", size, err)
	}
	const plenty = 8
	n := 1
	for ; n < most && x.reserve(plenty*size) == nil; n++ {
		x.giveBack((plenty - 1) * size)
	}
	return n, nil
}

// fits checks that n bytes can be reserved, for data that the caller of this
// package holds.
func (x *index) fits(n int64) error {
	if x.reserve == nil {
		return nil
	}
	err := x.reserve(n)
	if err == nil {
		x.giveBack(n)
	}
	return err
}

// giveBack says that so many bytes are not used any more.
func (x *index) giveBack(n int64) {
	if x.reserve != nil {
		x.reserve(-n)
	}
}

func (x *index) node(record uint32) *node {
	if c := record / chunkRecords; int(c) < len(x.chunks) && x.chunks[c] != nil {
		return &x.chunks[c].nodes[record%chunkRecords]
	}
	return &freeNode
}

var freeNode node

// newNames allocates room for names, and returns the start of their ids.
func (x *index) newNames() (int, error) {
	if err := x.grow(chunkNames * (nameSize + 4)); err != nil {
		return 0, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.names = append(x.names, nil)
	return len(x.names) - 1, nil
}

const nameSize = 20

func (x *index) newArena() (int, error) {
	if err := x.grow(chunkArena); err != nil {
		return 0, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if len(x.arenas) == maxArenas {
		return 0, unsupported("more than %d bytes of names", int64(maxArenas)*chunkArena)
	}
	x.arenas = append(x.arenas, nil)
	return len(x.arenas) - 1, nil
}

func (x *index) name(id uint32) *name { return &x.names[id/chunkNames][id%chunkNames] }

func (x *index) text(n *name) []byte {
	at := n.at % chunkArena
	return x.arenas[n.at/chunkArena][at : at+uint32(n.bytes)]
}

// children returns the ids of the names in a directory, in no order.
func (x *index) children(record uint32) []uint32 {
	c := record / chunkRecords
	if int(c) >= len(x.chunks) || x.chunks[c] == nil {
		return nil
	}
	i := record % chunkRecords
	begin := x.chunks[c].base
	if i > 0 {
		begin = x.chunks[c].end[i-1]
	}
	return x.kids[begin:x.chunks[c].end[i]]
}

// build groups the names by their parents and returns how many have none: a
// parent is a directory in use with the sequence number that the name has.
func (x *index) build() (orphans int64) {
	total := 0
	for _, names := range x.names {
		for i := range names {
			n := &names[i]
			if !x.lists(n) {
				if n.record != recordRoot { // whose name is in itself
					orphans++
				}
				continue
			}
			x.chunks[n.parent/chunkRecords].end[n.parent%chunkRecords]++
			total++
		}
	}
	at := uint32(0)
	for _, c := range x.chunks {
		if c == nil {
			continue
		}
		c.base = at
		for i, count := range c.end {
			c.end[i] = at
			at += count
		}
	}
	x.kids = make([]uint32, total)
	for c, names := range x.names {
		for i := range names {
			n := &names[i]
			if x.lists(n) {
				end := &x.chunks[n.parent/chunkRecords].end[n.parent%chunkRecords]
				x.kids[*end] = uint32(c*chunkNames + i)
				*end++
			}
		}
	}
	return orphans
}

// lists reports whether the name belongs into its parent. The root's own name
// does not, nor does any that makes a directory its own child.
func (x *index) lists(n *name) bool {
	p := x.node(n.parent)
	return p.flags&(nodeBase|nodeDir) == nodeBase|nodeDir && p.sequence == n.sequence && n.parent != n.record
}
