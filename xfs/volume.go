package xfs

import (
	"github.com/coldcheck/coldcheck/internal/bytename"
	"github.com/coldcheck/coldcheck/internal/unixfs"
)

// Volume describes a volume as it is after the log's replay.
type Volume struct {
	Version      int      // of the filesystem: 4, or 5 with checksums
	Label        string   // bytes that are not UTF-8 as in names
	UUID         string   // "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
	Features     []string // by the names that xfsprogs has for them
	Clean        bool     // it was unmounted, and needs no recovery
	BlockSize    int      // in bytes
	SectorSize   int      // in bytes
	InodeSize    int      // in bytes
	DirBlockSize int      // in bytes
	Blocks       int64
	Groups       int64
	Size         int64 // in bytes
	Realtime     int64 // of the realtime device, in bytes; its content is not read
	Journal      Journal
}

// Volume describes the volume as it was when it was opened.
func (f *FS) Volume() Volume { return f.volume }

func (f *FS) describe(log Journal) {
	s := &f.super
	f.volume = Volume{
		Version:      int(s.version),
		Label:        bytename.EncodePath([]byte(s.label)),
		UUID:         unixfs.UUID(s.uuid),
		Features:     s.featureList(),
		Clean:        log.State == JournalClean,
		BlockSize:    int(s.blockSize),
		SectorSize:   int(s.sectorSize),
		InodeSize:    s.inodeSize,
		DirBlockSize: int(s.dirBlockSize()),
		Blocks:       int64(s.blocks),
		Groups:       int64(s.groups),
		Size:         int64(s.blocks) << s.blockBits,
		Realtime:     int64(min(s.realtime, 1<<46)) << s.blockBits,
		Journal:      log,
	}
}
