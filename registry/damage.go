package registry

import (
	"bufio"
	"fmt"
	"io"
)

// Damage describes damage to the layout of a hive. Reading a damaged place gives an error; Damage reports it to
// callers that never read that place.
type Damage struct {
	// Missing is how many bytes of bins data the file does not have, though its base block, or the last log entry that
	// was applied, counts them. Base block and bins are then of different writes; Windows does not load such a hive.
	Missing int64
	Bins    int   // stretches of bins data without an intact header
	First   int64 // where in the file the first of them begins; 0 if there is none
}

// Damage returns the damage to the layout of the hive, of a hive that is read in parts (Options.Part) as far as it was
// read.
func (h *Hive) Damage() Damage {
	d := Damage{Missing: int64(max(h.bins.size-h.bins.end, 0))}
	each := func(b *bin) {
		if !b.damaged || b.start >= h.bins.size {
			return
		}
		if d.Bins++; d.Bins == 1 {
			d.First = fileOffset(uint32(b.start))
		}
	}
	if h.bins.parts != nil {
		h.bins.parts.found(each)
		return d
	}
	for i := range h.bins.bins {
		each(&h.bins.bins[i])
	}
	return d
}

// lostBefore returns an error if the entry with the number next is missing or damaged but a log holds a later one.
// The missing entry was complete, since later ones follow it, and its content is lost. Entries from an earlier use of
// the log have lower numbers. Only headers are read.
func lostBefore(logs []*logFile, next uint32) error {
	for _, f := range logs {
		r := bufio.NewReaderSize(io.NewSectionReader(f.R, sectorSize, f.Size-sectorSize), logReadSize)
		for at := int64(sectorSize); at+entryHeaderSize <= f.Size; at += sectorSize {
			header, err := r.Peek(entryHeaderSize)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
			if string(header[:4]) == "HvLE" && marvin32(header[:32]) == le.Uint64(header[32:]) &&
				int32(le.Uint32(header[12:])-next) > 0 {
				return fmt.Errorf("%w: finished writes are lost: %s holds entry %d, and entry %d is missing or damaged",
					ErrCorrupt, f.Name, le.Uint32(header[12:]), next)
			}
			if _, err := r.Discard(int(min(sectorSize, f.Size-at))); err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	return nil
}
