package ext4

import (
	"fmt"
	"slices"
)

// maxDamaged is how many damaged inodes Damage lists; the rest are counted.
const maxDamaged = 100

// Damage describes the damage found on a volume.
type Damage struct {
	// Count is the number of inodes that are in use but cannot be read, and of
	// directories that cannot be read completely. Tree finds them: before its first
	// call, Count is 0.
	Count  int64
	Inodes []DamagedInode // the first 100 of them, in order
	// Notes describe what was read from a backup copy, and what is missing.
	Notes []string
}

// DamagedInode is an inode that cannot be read, or a directory that cannot be
// read completely.
type DamagedInode struct {
	Inode  uint64
	Reason string
}

func (d DamagedInode) String() string { return fmt.Sprintf("inode %d %s", d.Inode, d.Reason) }

// Damage returns the damage found so far.
func (f *FS) Damage() Damage {
	f.mu.Lock()
	defer f.mu.Unlock()
	d := f.damage
	d.Inodes = slices.Clone(d.Inodes)
	d.Notes = slices.Clone(d.Notes)
	return d
}
