package xfs

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
)

// intentItem is an item of one region, as the log has it.
func intentItem(kind uint16, id uint64, parts ...uint64) *item {
	b := le.AppendUint16(nil, kind)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint32(b, 1)
	b = le.AppendUint64(b, id)
	for _, p := range parts {
		b = le.AppendUint64(b, p)
	}
	return &item{regions: [][]byte{b}, want: 1}
}

// What an intent concerns that is not done is an error, never not there; one
// that is done concerns nothing.
func TestIntents(t *testing.T) {
	const path, other = "home/user/z", "home/user/numbers"
	number := func(f *FS, path string) uint64 {
		info, err := f.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Sys().(*Entry).Inode
	}
	for _, tt := range []struct {
		name       string
		begun      uint16
		done       uint16
		parts      func(f *FS) []uint64
		file, free bool // whether the file, and how much is free, are then unknown
		freed      int64
	}{
		{"EFI", itemEFI, itemEFD, func(*FS) []uint64 { return []uint64{100, 7} }, false, false, 7},
		{"RUI", itemRUI, itemRUD, func(*FS) []uint64 { return []uint64{1, 2, 3, 4} }, false, false, 0},
		{"CUI", itemCUI, itemCUD, func(*FS) []uint64 { return []uint64{100, 7} }, false, true, 0},
		{"BUI", itemBUI, itemBUD, func(f *FS) []uint64 { return []uint64{number(f, path), 100, 0, 1} }, true, true, 0},
		{"ATTRI", itemAttrI, itemAttrD, func(f *FS) []uint64 { return []uint64{number(f, path)} }, true, true, 0},
		{"XMI", itemXMI, itemXMD, func(f *FS) []uint64 { return []uint64{number(f, other), number(f, path)} }, true, true, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, done := range []bool{true, false} {
				f := openBytes(t, unpack(t, "v5"))
				before, err := openBytes(t, unpack(t, "v5")).Usage()
				if err != nil {
					t.Fatal(err)
				}
				log := Journal{}
				r := &replayer{f: f, log: &log, intents: map[intentID][]byte{}}
				if err := r.intent(intentItem(tt.begun, 5, tt.parts(f)...)); err != nil {
					t.Fatal(err)
				}
				if err := r.intent(intentItem(tt.done, 6)); err != nil { // of another
					t.Fatal(err)
				}
				if done {
					if err := r.intent(intentItem(tt.done, 5)); err != nil || r.held != 0 {
						t.Fatalf("%v; %d bytes are held", err, r.held)
					}
				}
				if err := r.finish(); err != nil {
					t.Fatal(err)
				}
				wantFile, wantFree := tt.file && !done, tt.free && !done
				if _, err := f.Stat(path); (err != nil) != wantFile || errors.Is(err, fs.ErrNotExist) || wantFile &&
					(!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), tt.name)) {
					t.Errorf("done %v: the file: %v", done, err)
				}
				if totals, err := f.Tree("."); err != nil || (totals.Damaged != 0) != wantFile {
					t.Errorf("done %v: %+v, %v", done, totals, err)
				}
				after, err := f.Usage()
				if (err != nil) != wantFree || wantFree && !errors.Is(err, ErrUnsupported) {
					t.Errorf("done %v: usage: %v", done, err)
				}
				if err == nil && !done && after.Free-before.Free != tt.freed<<f.super.blockBits {
					t.Errorf("%d bytes more are free, want %d blocks", after.Free-before.Free, tt.freed)
				}
				if (len(log.Unfinished) == 1) == done {
					t.Errorf("done %v: %v", done, log.Unfinished)
				}
			}
		})
	}
	r := &replayer{log: &Journal{}, intents: map[intentID][]byte{}}
	if err := r.intent(intentItem(0x1250, 1)); !errors.Is(err, ErrUnsupported) ||
		!strings.Contains(err.Error(), "0x1250") {
		t.Errorf("an item that is not known: %v", err)
	}
}

// The log is held in memory up to a limit.
func TestLogLimit(t *testing.T) {
	r := &replayer{log: &Journal{}, open: map[uint32]*transaction{}}
	op := func(flags uint8, b []byte) error { return r.operation(&record{}, 1, flags, b) }
	header := make([]byte, headerSize)
	le.PutUint32(header, headerMagic)
	if err := errors.Join(op(opStart, nil), op(0, header)); err != nil {
		t.Fatal(err)
	}
	item := make([]byte, maxHeld-r.held-regionCost)
	le.PutUint16(item, itemDquot)
	le.PutUint16(item[2:], 2)
	if err := op(0, item); err != nil {
		t.Errorf("as much as may be: %v", err)
	}
	if err := op(0, nil); !errors.Is(err, ErrUnsupported) {
		t.Errorf("more than may be: %v", err)
	}
}
