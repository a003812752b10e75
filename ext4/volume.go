package ext4

import (
	"time"

	"github.com/coldcheck/coldcheck/internal/bytename"
	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// Volume describes a volume as it is after the journal's replay.
type Volume struct {
	Type        string   // "ext2", "ext3" or "ext4", by its features
	Label       string   // bytes that are not UTF-8 as in names
	UUID        string   // "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	Features    []string // by the names that e2fsprogs has for them
	LastMounted string   // where it was mounted last
	Created     time.Time
	Mounted     time.Time // last
	Written     time.Time // last
	Clean       bool      // it was unmounted, and needs no recovery
	Errors      bool      // the kernel met errors in it
	ErrorCount  int64     // how many, since it was checked last
	BlockSize   int       // in bytes
	ClusterSize int       // in bytes: the unit of allocation
	InodeSize   int       // in bytes
	Blocks      int64
	Groups      int64
	Inodes      int64
	Size        int64 // in bytes
	Journal     Journal
	// Work that the kernel finishes at mount: files deleted while they were open,
	// and files that were being truncated.
	DeletedOrphans   int
	TruncatedOrphans int
}

// Volume describes the volume as it was when it was opened.
func (f *FS) Volume() Volume { return f.volume }

// describe fills in the volume's description. The flags from before the replay
// show whether recovery was needed.
func (f *FS) describe(before *superblock, j Journal) {
	const stateClean = 0x1
	s := &f.super
	f.volume = Volume{
		Type:             s.kind(),
		Label:            bytename.EncodePath([]byte(s.label)),
		UUID:             unixfs.UUID(s.uuid),
		Features:         before.features(),
		LastMounted:      bytename.EncodePath([]byte(s.lastMounted)),
		Created:          s.created,
		Mounted:          s.mounted,
		Written:          s.written,
		Clean:            before.state&stateClean != 0 && !before.has(incompatRecover),
		Errors:           (before.state|s.state)&stateErrors != 0 || j.Errors,
		ErrorCount:       int64(s.errorCount),
		BlockSize:        s.blockSize(),
		ClusterSize:      s.blockSize() << s.clusterRatio,
		InodeSize:        s.inodeSize,
		Blocks:           int64(s.blocks),
		Groups:           int64(s.groups),
		Inodes:           int64(s.inodes),
		Size:             int64(s.blocks << s.blockBits),
		Journal:          j,
		DeletedOrphans:   f.orphans.deleted,
		TruncatedOrphans: f.orphans.truncated,
	}
}

// kind returns ext2, ext3 or ext4, by the volume's features.
func (s *superblock) kind() string {
	switch {
	case s.incompat&incompatExt4 != 0 || s.roCompat&roCompatExt4 != 0:
		return "ext4"
	case s.compat&compatJournal != 0:
		return "ext3"
	}
	return "ext2"
}
