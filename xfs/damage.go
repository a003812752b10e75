package xfs

import (
	"fmt"
	"slices"
)

// maxDamaged is how many damaged inodes Damage lists; the rest are counted.
const maxDamaged = 100

// Damage is what was met that is not as it should be.
type Damage struct {
	// Count is how many inodes cannot be used although something is in them,
	// and directories that cannot be read whole. Tree finds them: before its
	// first call there are none.
	Count  int64
	Inodes []DamagedInode // the first 100 of them, in order
	// Notes tell what was read from its second place, and what is missing.
	Notes []string
}

// DamagedInode is an inode that cannot be read, or a directory that cannot be
// read whole.
type DamagedInode struct {
	Inode  uint64
	Reason string
}

func (d DamagedInode) String() string { return fmt.Sprintf("inode %d %s", d.Inode, d.Reason) }

// Damage tells what was met so far that is not as it should be.
func (f *FS) Damage() Damage {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.damage
	d.Inodes = slices.Clone(d.Inodes)
	d.Notes = slices.Clone(d.Notes)
	return d
}
