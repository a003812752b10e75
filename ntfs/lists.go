package ntfs

import (
	"bytes"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

// pendingList is a nonresident attribute list. It is read after the pass, from
// the runs that the pass found.
type pendingList struct {
	record    uint32
	attribute attribute
}

// keepList notes a list whose record is about to be overwritten. Of several in
// one record the first counts, as it does for load.
func (w *scanner) keepList(number uint32, a *attribute) {
	if last := len(w.found.lists) - 1; last >= 0 && w.found.lists[last].record == number {
		return
	}
	kept := *a
	kept.name, kept.value = nil, bytes.Clone(a.value)
	w.found.lists = append(w.found.lists, pendingList{number, kept})
	w.found.listBytes += int64(len(kept.value))
}

// readLists reads the lists in parallel, since they are scattered over the
// volume, and passes them on in order.
func (f *FS) readLists(lists []pendingList, readers int, each func(record uint32, list []byte, err error) error) error {
	type content struct {
		list []byte
		err  error
	}
	read := make([]content, readers)
	for len(lists) > 0 {
		some := lists[:min(readers, len(lists))]
		lists = lists[len(some):]
		var done parallel.Group
		for i, p := range some {
			done.Go(func() { read[i].list, read[i].err = readList(f.disk, []attribute{p.attribute}) })
		}
		done.Wait()
		for i, p := range some {
			if err := each(p.record, read[i].list, read[i].err); err != nil {
				return err
			}
		}
	}
	return nil
}
