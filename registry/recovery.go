package registry

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/filetime"
)

// A State is the result of a hive's recovery when it was opened.
type State int

// The states of a hive.
const (
	Clean     State = iota // written completely; logs were not looked at
	Recovered              // dirty, and recovered from its logs
	Dirty                  // dirty, and not or not wholly recovered
	Ignored                // dirty, and Options.NoRecovery disabled recovery
)

// String returns the state in lower case.
func (s State) String() string { return [...]string{"clean", "recovered", "dirty", "ignored"}[s] }

// Recovery describes how a dirty hive was recovered.
type Recovery struct {
	State              State
	Format             string       // of the logs that were applied: "", "old" (dirty vector) or "new" (log entries)
	Applied            []AppliedLog // in the order in which they were applied
	Pages              int          // pages written over the hive in memory; sectors in the old format
	Primary, Secondary uint32       // sequence numbers of the hive before recovery
	Err                error        // wraps ErrDirty if State is Dirty, else nil
	// Lost says that the logs hold more than was applied, and that finished writes are missing before it: the hive is in a
	// state that Windows would make of it, and was never in. It is ErrCorrupt, or an error of a reader.
	Lost  error
	Notes []string // notes for people: logs that were skipped, entries that are torn
}

// An AppliedLog is a log that was applied to the hive.
type AppliedLog struct {
	Name        string
	Entries     int    // log entries applied; 1 in the old format
	First, Last uint32 // their sequence numbers
}

// maxHole is how many bytes in total may be missing between the end of the hive and pages of its logs. A hive grows
// by complete bins, whose pages are all in the log; without a limit a small log could exhaust the memory.
const maxHole = 4 << 20

// applyLogs applies logs to the dirty hive. damaged is the error in its base block, nil if only its sequence
// numbers differ.
func (h *Hive) applyLogs(logs []Log, damaged error) {
	var oldLogs, newLogs []*logFile
	var left []error   // logs that have nothing for this hive
	var doubts []error // logs that may have something and cannot be used
	for _, l := range logs {
		f, err := openLog(l, h.bins.memory)
		if err == nil && damaged == nil {
			err = sameHive(&h.base, &f.base)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", l.Name, err)
		}
		switch {
		case errors.Is(err, errUnused):
			left = append(left, err)
		case err != nil:
			doubts = append(doubts, err)
		case f.old:
			oldLogs = append(oldLogs, f)
		default:
			newLogs = append(newLogs, f)
		}
	}

	r := &h.recovery
	more, failed := h.replayEntries(slices.Clone(newLogs), damaged)
	left = append(left, more...)
	if len(r.Applied) > 0 || failed != nil {
		for _, f := range oldLogs {
			left = append(left, fmt.Errorf("%s: a log of the old format next to one of the new format", f.Name))
		}
	} else {
		more, failed = h.replaySectors(oldLogs, damaged)
		left = append(left, more...)
	}
	if failed != nil {
		doubts = append(doubts, failed)
	}
	h.spans = merge(h.spans)
	for _, err := range left {
		r.Notes = append(r.Notes, "not applied: "+err.Error())
	}
	if len(r.Applied) > 0 && len(doubts) == 0 {
		r.State = Recovered
		if r.Format == "new" {
			r.Lost = lostBefore(newLogs, r.Applied[len(r.Applied)-1].Last+1)
		}
		return
	}

	r.State = Dirty
	if r.Err = damaged; damaged == nil {
		r.Err = fmt.Errorf("sequence numbers %d and %d", r.Primary, r.Secondary)
	}
	r.Err = fmt.Errorf("%w: %w", ErrDirty, r.Err)
	switch {
	case len(logs) == 0:
		r.Err = fmt.Errorf("%w; no transaction log", r.Err)
	case len(r.Applied) == 0:
		doubts = append(doubts, left...)
	}
	for _, err := range doubts {
		r.Err = fmt.Errorf("%w; %w", r.Err, err)
	}
}

// sameHive says that a log is not of the hive, if its base block shows that: it is a copy of the hive's own, so the
// file's name and the resource manager are the same. The folder may differ, profiles are moved.
func sameHive(hive, log *baseBlock) error {
	a, b := lastName(hive.fileName), lastName(log.fileName)
	none := [16]byte{}
	switch {
	case a != "" && b != "" && !strings.EqualFold(a, b):
		return fmt.Errorf("it is the log of another hive, %s instead of %s", quote(b), quote(a))
	case hive.resourceManager != none && log.resourceManager != none && hive.resourceManager != log.resourceManager:
		return fmt.Errorf("it is the log of another hive, of resource manager %x instead of %x", log.resourceManager,
			hive.resourceManager)
	}
	return nil
}

func lastName(path string) string { return path[strings.LastIndex(path, `\`)+1:] }

// replayEntries applies logs of the new format. It returns why logs were skipped, and why the last one was not
// read to its end.
func (h *Hive) replayEntries(logs []*logFile, damaged error) (left []error, failed error) {
	leave := func(f *logFile, format string, args ...any) {
		left = append(left, fmt.Errorf("%s: %s", f.Name, fmt.Sprintf(format, args...)))
	}
	if damaged != nil && len(logs) > 0 {
		// The hive does not say where it stood: the log that starts higher has the last word, its base block included.
		last := slices.MaxFunc(logs, func(a, b *logFile) int { return int(int32(a.base.primary - b.base.primary)) })
		for _, f := range logs {
			if f != last {
				leave(f, "%s starts at %d, it at %d, and the hive has no base block that shows which are needed", last.Name,
					last.base.primary, f.base.primary)
			}
		}
		logs = []*logFile{last}
	}
	if damaged == nil {
		secondary := h.base.secondary
		logs = slices.DeleteFunc(logs, func(f *logFile) bool {
			old := int32(f.base.primary-secondary) < 0 // sequence numbers wrap around
			if old {
				leave(f, "too old: it starts at %d, the hive is at %d", f.base.primary, secondary)
			}
			return old
		})
		slices.SortStableFunc(logs, func(a, b *logFile) int {
			return cmp.Compare(a.base.primary-secondary, b.base.primary-secondary)
		})
	}
	var next uint32 // number of the entry to come
	for i, f := range logs {
		first := f.base.primary
		if i == 0 {
			next = first
		}
		if first != next {
			leave(f, "it starts at %d, which does not follow: the next entry is %d", first, next)
			continue
		}
		n, err := h.applyEntries(f)
		next += uint32(n)
		switch {
		case n > 0:
			h.recovery.Format = "new"
			h.recovery.Applied = append(h.recovery.Applied, AppliedLog{Name: f.Name, Entries: n, First: first, Last: next - 1})
			if damaged != nil {
				h.adopt(&f.base)
			}
		case err == nil:
			leave(f, "it holds no entry %d", next)
		}
		if err != nil {
			return left, err
		}
	}
	return left, nil
}

// applyEntries applies the entries of a log until one is damaged or out of sequence, and returns their number.
// The remaining entries are older, or torn, which is noted.
func (h *Hive) applyEntries(f *logFile) (n int, err error) {
	for {
		sequence := f.base.primary + uint32(n)
		e, err := f.readEntry(sequence)
		if err == nil {
			err = h.fits(e)
		}
		if torn, ok := err.(tornError); ok {
			h.recovery.Notes = append(h.recovery.Notes, fmt.Sprintf("%s: entry %d is torn: %v", f.Name, sequence, torn))
			return n, nil
		}
		if err != nil {
			return n, fmt.Errorf("%s: %w", f.Name, err)
		}
		if e == nil {
			return n, nil
		}
		h.bins.size = e.binsSize
		for _, p := range e.pages {
			if err := h.put(p.offset, p.data); err != nil {
				return n, fmt.Errorf("%s: %w", f.Name, err)
			}
		}
		n++
	}
}

// fits checks the pages of an entry against the hive, before the first is applied.
func (h *Hive) fits(e *logEntry) error {
	if e == nil {
		return nil
	}
	end, hole := h.bins.end, h.hole
	for _, p := range e.pages {
		if hole += max(p.offset-end, 0); hole > maxHole {
			return tornError(fmt.Sprintf("a page at 0x%x, where the hive ends at 0x%x", p.offset, end))
		}
		end = max(end, p.offset+len(p.data))
	}
	return nil
}

// replaySectors applies the first log of the old format that fits.
func (h *Hive) replaySectors(logs []*logFile, damaged error) (left []error, failed error) {
	lastWritten := h.base.lastWritten
	if damaged != nil {
		lastWritten = 0
		if h.bins.end >= binHeaderSize {
			header, err := h.bins.read(0, binHeaderSize)
			if err != nil {
				return nil, err
			}
			lastWritten = le.Uint64(header[20:]) // regf, "Hive bin": a copy in the header of the first
		}
	}
	for _, f := range logs {
		switch b := &f.base; {
		case len(h.recovery.Applied) > 0:
			left = append(left, fmt.Errorf("%s: another log was applied", f.Name))
		case b.primary != b.secondary:
			left = append(left, fmt.Errorf("%s: it was not written completely, its sequence numbers are %d and %d", f.Name,
				b.primary, b.secondary))
		case b.lastWritten != lastWritten:
			left = append(left, fmt.Errorf("%s: it is of another write: last written %v, the hive %v", f.Name,
				filetime.Time(b.lastWritten), filetime.Time(lastWritten)))
		default:
			err := h.applySectors(f, damaged != nil)
			switch {
			case h.recovery.Pages > 0:
				h.recovery.Format = "old"
				if err != nil {
					return left, err
				}
			case err != nil:
				left = append(left, err)
			}
		}
	}
	return left, nil
}

// applySectors applies a log of the old format. A bin whose header in the log is wrong ends it with an error.
func (h *Hive) applySectors(f *logFile, adopt bool) error {
	dirty, err := f.readVector()
	if err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	if adopt {
		h.adopt(&f.base)
	}
	size := int(f.base.binsSize)
	h.bins.size = size
	for start := 0; start < size; {
		end, err := h.bins.binEnd(start)
		if err != nil {
			return err
		}
		if dirty.has(start) {
			header, err := f.r.Peek(binHeaderSize)
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
			if end = parseBinHeader(header, start, size); end == 0 {
				return fmt.Errorf("%s: %w", f.Name, corrupt(uint32(start), "recovery ends here: the log has no bin for this place"))
			}
		}
		if end == 0 {
			end = start + pageSize // damaged in the hive; that is found when it is read
		}
		for ; start < end; start += sectorSize {
			if !dirty.has(start) {
				continue
			}
			if h.hole+start-h.bins.end > maxHole {
				return fmt.Errorf("%s: %w", f.Name, corrupt(uint32(start), "recovery ends here: the hive ends at 0x%x", h.bins.end))
			}
			sector, err := f.readSector()
			if err == nil {
				err = h.put(start, sector)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", f.Name, err)
			}
		}
	}
	h.recovery.Applied = append(h.recovery.Applied, AppliedLog{f.Name, 1, f.base.primary, f.base.primary})
	return nil
}

// adopt makes the base block of a log that of the hive.
func (h *Hive) adopt(base *baseBlock) {
	h.base = *base
	h.base.fileType = typePrimary
}

// put writes a page over the bins data, not into the file.
func (h *Hive) put(offset int, page []byte) error {
	hole := max(offset-h.bins.end, 0)
	if err := h.bins.write(offset, page); err != nil {
		return err
	}
	h.hole += hole
	h.spans = append(h.spans, span{offset, offset + len(page)})
	h.recovery.Pages++
	return nil
}

// A span is a stretch of the bins data.
type span struct{ start, end int }

// merge sorts spans and joins those that overlap or touch.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && s.start <= merged[n-1].end {
			merged[n-1].end = max(merged[n-1].end, s.end)
		} else {
			merged = append(merged, s)
		}
	}
	return merged
}

// recovered reports whether any byte of the cell at an offset, whose content has n bytes, came out of a
// log.
func (h *Hive) recovered(offset uint32, n int) bool {
	start, end := int(offset), int(offset)+4+n
	i, _ := slices.BinarySearchFunc(h.spans, start, func(s span, start int) int { return cmp.Compare(s.end, start+1) })
	return i < len(h.spans) && h.spans[i].start < end
}
