package ntfs

import (
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
)

// The metadata files, whose times Windows does not keep up, are in the first
// records and in the folder $Extend.
const (
	recordExtend    = 11
	firstUserRecord = 24
)

// Newest returns the latest modification time of any file or folder that is not
// after the given one, zero if there is none. The metadata files do not count.
// It takes the index in memory and reads nothing.
func (f *FS) Newest(until time.Time) time.Time {
	var newest time.Time
	metadata := map[uint32]bool{}
	for _, id := range f.index.children(recordExtend) {
		metadata[f.index.name(id).record] = true
	}
	for i, c := range f.index.chunks {
		if c == nil {
			continue
		}
		for j := range c.nodes {
			n := &c.nodes[j]
			if n.modified == 0 || i*chunkRecords+j < firstUserRecord || metadata[uint32(i*chunkRecords+j)] {
				continue
			}
			if t := filetime.Time(n.modified); t.After(newest) && !t.After(until) {
				newest = t
			}
		}
	}
	return newest
}
