package ntfs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

// logHistory reads all records that a log still has, whether the volume was in
// use or not.
func logHistory(t testing.TB, f *FS) (*logReader, []logRecord) {
	t.Helper()
	ino, err := f.load(recordLogFile)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ino.need(f.disk, typeData, "")
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, min(s.size, logHead))
	if err := s.readAt(head, 0); err != nil {
		t.Fatal(err)
	}
	_, area := parseLog(head)
	l, err := newLogReader(area, s.size, s.readAt)
	if err != nil {
		t.Fatal(err)
	}
	var best []logRecord
	for at := l.first * l.pageSize; at < l.size; at += l.pageSize {
		page, err := l.page(at)
		if err != nil || page == nil {
			continue
		}
		for in := l.dataOffset; in < l.pageSize-logRecordHeader; in += 8 {
			lsn := le.Uint64(page[in:])
			if lsn == 0 || l.offsetOf(lsn) != at+in || lsn > lastEnd(page) {
				continue
			}
			var list []logRecord
			err := l.records(lsn, func(r logRecord) error { list = append(list, r); return nil })
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Logf("from LSN 0x%x at 0x%x: %d records, %v", lsn, at, len(list), err)
			}
			if err == nil && len(list) > len(best) {
				best = list
			}
			break
		}
	}
	return l, best
}

// TestCorpusLogs takes volumes that Windows dismounted back to what they were
// some changes ago, as far as the log tells how to undo them, and says that they
// were in use. With the log applied they are what Windows left.
func TestCorpusLogs(t *testing.T) {
	tested := 0
	for _, image := range corpusImages {
		if !strings.Contains(image.name, "msuhanov") {
			continue // their logs hold little
		}
		data := corpusImage(t, image.name, image.sector)
		whole, err := Open(context.Background(), bytes.NewReader(data), int64(len(data)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		l, list := logHistory(t, whole)
		ops := map[uint16]int{}
		for _, r := range list {
			ops[r.redo.op]++
		}
		t.Logf("%s: %d records, LSNs %d to %d, by operation %v", image.name, len(list), list[0].lsn, list[len(list)-1].lsn,
			ops)
		times := !strings.Contains(image.name, "si-vs-fn") // some of that were set without the log
		want := listAll(t, whole, times)
		for _, n := range []int{1, 10, 30, 60, 100, 200, 300, len(list)} {
			if n > len(list) {
				continue
			}
			old, changed := takeBack(t, whole, l, list, data, n)
			f, err := Open(context.Background(), old, old.size, Options{})
			if err != nil {
				t.Fatalf("%s: %d changes back: %v", image.name, n, err)
			}
			r := f.Volume().Journal
			t.Logf("%d back: %d blocks taken back; %+v", n, changed, r)
			if !f.Volume().Journal.State.Pending() || r.Err != nil || r.Unsure != 0 || r.Records < int64(n) || r.Undone != 0 {
				t.Errorf("%s: %d changes back: %+v", image.name, n, r)
			}
			if diff := gocmp.Diff(want, listAll(t, f, times)); diff != "" {
				t.Errorf("%s: %d changes back: what Windows left (-), with the log applied (+):\n%s", image.name, n, diff)
			}
			if changed > 0 {
				tested++
			}
		}
	}
	if tested == 0 {
		t.Error("no volume was taken back")
	}
}

// listAll is what a volume holds, as text.
func listAll(t testing.TB, f *FS, times bool) []string {
	t.Helper()
	var lines []string
	free, err := f.Free()
	if err != nil {
		t.Fatal(err)
	}
	lines = append(lines, fmt.Sprint(free, f.Damage().Count, f.Damage().Orphans))
	err = fs.WalkDir(f, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			lines = append(lines, name+": "+err.Error())
			return nil
		}
		info, err := d.Info()
		if err != nil {
			lines = append(lines, name+": "+err.Error())
			return nil
		}
		e := *info.Sys().(*Entry)
		if !times {
			e.Created, e.Modified, e.Changed, e.Accessed = time.Time{}, time.Time{}, time.Time{}, time.Time{}
		}
		lines = append(lines, fmt.Sprintf("%s %+v", name, e))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

// takeBack undoes the last n changes of a log in a copy of the volume, and marks
// it as in use. It returns how many records and blocks differ.
func takeBack(t testing.TB, f *FS, l *logReader, list []logRecord, data []byte, n int) (*disk, int) {
	t.Helper()
	r := replay{f: f, blocks: map[int64]*replayBlock{}, misses: map[int64]bool{}}
	last := map[int64][]uint64{} // the LSNs of the changes of each block
	for _, rec := range list {
		if at, ok := r.place(&rec, 0); ok {
			last[at] = append(last[at], rec.lsn)
		}
	}
	stuck := map[int64]bool{} // blocks that cannot be taken back further
	for i := len(list) - 1; i >= len(list)-n; i-- {
		rec := list[i]
		at, ok := r.place(&rec, 0)
		if rec.kind != logRecordData || !ok || stuck[at] {
			continue
		}
		switch rec.undo.op {
		case opNoop, opCompensation, opUpdateNonresident, opInitializeRecord:
			stuck[at] = true
			continue
		}
		before := r.blocks[at]
		var saved []byte
		if before != nil {
			saved = bytes.Clone(before.data)
		}
		if err := r.apply(&rec, rec.undo, true); err != nil {
			t.Fatal(err)
		}
		b := r.blocks[at]
		switch {
		case b == nil:
			stuck[at] = true
		case b.unsure != nil: // some changes tell less than it takes to undo them
			if saved == nil {
				delete(r.blocks, at)
			} else {
				b.data, b.unsure = saved, nil
			}
			stuck[at] = true
		case b.protected:
			list := last[at]
			i := slices.Index(list, rec.lsn)
			lsn := rec.lsn - 1
			if i > 0 {
				lsn = list[i-1]
			}
			le.PutUint64(b.data[8:], lsn)
		}
	}
	old := &disk{r: bytes.NewReader(data), size: int64(len(data))}
	changed := 0
	for at, b := range r.blocks {
		if !b.changed {
			continue
		}
		if b.protected && protectBlock(b.data) != nil {
			t.Fatal("fixups")
		}
		if !bytes.Equal(data[at:at+int64(len(b.data))], b.data) {
			changed++
		}
		old.patches = append(old.patches, patch{at: at, data: b.data})
	}
	ino, err := f.load(recordLogFile)
	if err != nil {
		t.Fatal(err)
	}
	s, err := ino.need(f.disk, typeData, "")
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(2) {
		at, ok := s.locate(i * l.pageSize)
		if !ok {
			t.Fatal("no restart page")
		}
		page := bytes.Clone(data[at : at+l.pageSize])
		editFixed(t, page, func(p []byte) {
			area := p[le.Uint16(p[24:]):]
			le.PutUint16(area[12:], 0)
			le.PutUint16(area[14:], 0)
			le.PutUint64(area[le.Uint16(area[22:]):], list[len(list)-n].lsn)
		})
		old.patches = append(old.patches, patch{at: at, data: page})
	}
	slices.SortFunc(old.patches, func(a, b patch) int { return cmp.Compare(a.at, b.at) })
	return old, changed
}

// ReadAt reads through the patches.
func (d *disk) ReadAt(p []byte, off int64) (int, error) {
	if off >= d.size {
		return 0, io.EOF
	}
	n := min(int64(len(p)), d.size-off)
	if err := d.readAt(p[:n], off); err != nil {
		return 0, err
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}
