package ntfs

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// What a torn record held is damaged, not absent: its directory knows the name.
func TestTornRecordIsNotAbsent(t *testing.T) {
	e := small(t)
	clean, err := e.f.Tree(".")
	if err != nil {
		t.Fatal(err)
	}
	number := e.number("deep/1/2/3/4/5/6/7/8/9/bottom")
	e.tear(number)
	f := e.open()
	if got, want := f.Damage().Records, []DamagedRecord{{uint64(number), reasonTorn.Error()}}; !slices.Equal(got, want) {
		t.Errorf("damage %v, want %v", got, want)
	}
	const dir = "deep/1/2/3/4/5/6/7/8/9"
	for _, name := range []string{dir + "/bottom", dir + "/BOTTOM", dir + "/bottom"} {
		if _, err := f.Stat(name); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := f.Open(name); !errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{dir + "/other", "nothing", "many/a name of some length 1001", "resident/x"} {
		if _, err := f.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", name, err)
		}
	}
	list, err := f.ReadDir(dir)
	if err != nil || len(list) != 1 || list[0].Name() != "bottom" || list[0].IsDir() {
		t.Fatalf("%v, %v", list, err)
	}
	if _, err := list[0].Info(); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	// The ghosts of names in freed blocks stay away.
	if list, err = f.ReadDir("freed"); err != nil || len(list) != 6 {
		t.Errorf("%d entries, %v", len(list), err)
	}
	totals, err := f.Tree(".")
	if err != nil {
		t.Fatal(err)
	}
	clean.Damaged, clean.Files, clean.Size = 1, clean.Files-1, clean.Size-6
	if diff := cmp.Diff(clean, totals); diff != "" {
		t.Error(diff)
	}
	if totals, err = f.Tree("packed"); err != nil || totals.Damaged != 0 || totals.Files != 3 {
		t.Errorf("%+v, %v", totals, err)
	}
}

// With a directory's record its content is lost, not empty.
func TestTornDirectory(t *testing.T) {
	e := small(t)
	e.tear(e.number("links"))
	f := e.open()
	for _, name := range []string{"links", "links/first", "links/nothing"} {
		if _, err := f.Stat(name); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.ReadDir("links"); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	// The file has a link elsewhere.
	if data, err := f.ReadFile("deep/elsewhere"); err != nil || string(data) != "linked" {
		t.Errorf("%q, %v", data, err)
	}
	if orphans := f.Damage().Orphans; orphans != 13 {
		t.Errorf("%d orphans", orphans)
	}
	list, err := f.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list, func(d fs.DirEntry) bool { return d.Name() == "links" })
	if i < 0 || !list[i].IsDir() {
		t.Errorf("%v", list)
	}
}

// The root cannot be listed without its record.
func TestTornRoot(t *testing.T) {
	e := small(t)
	e.tear(recordRoot)
	f := e.open()
	for _, name := range []string{".", "text", "nothing"} {
		if _, err := f.Stat(name); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := f.ReadDir(name); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := f.Tree("."); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

// A file one of whose extension records is torn is damaged as a whole, and a
// name that may have been in it is not taken for absent.
func TestTornExtension(t *testing.T) {
	for _, name := range []string{"scattered", "links/first"} {
		t.Run(name, func(t *testing.T) {
			e := small(t)
			base := e.number(name)
			_, attributes, err := e.f.readRecord(base)
			if err != nil {
				t.Fatal(err)
			}
			list, err := readList(e.f.disk, attributes)
			if err != nil || list == nil {
				t.Fatal("no attribute list", err)
			}
			extensions := map[uint32]bool{}
			for len(list) > 0 {
				entry, rest, why := nextListEntry(list)
				if why != readable {
					t.Fatal(why)
				}
				if number := uint32(entry.ref.record()); number != base {
					extensions[number] = true
				}
				list = rest
			}
			names, err := e.f.ReadDir("links")
			if err != nil {
				t.Fatal(err)
			}
			for extension := range extensions {
				e := small(t)
				e.tear(extension)
				f := e.open()
				want := []DamagedRecord{{uint64(base), reasonExtension.Error()}, {uint64(extension), reasonTorn.Error()}}
				slices.SortFunc(want, func(a, b DamagedRecord) int { return int(a.Record) - int(b.Record) })
				if got := f.Damage().Records; !slices.Equal(got, want) {
					t.Errorf("damage %v, want %v", got, want)
				}
				if _, err := f.Stat(name); !errors.Is(err, ErrCorrupt) {
					t.Error(err)
				}
				if _, err := f.ReadFile(name); !errors.Is(err, ErrCorrupt) {
					t.Error(err)
				}
				// The names that were in it are still listed.
				list, err := f.ReadDir("links")
				if err != nil || len(list) != len(names) {
					t.Errorf("%d names, %v", len(list), err)
				}
				for _, n := range names {
					if _, err := f.Stat("links/" + n.Name()); name == "links/first" && !errors.Is(err, ErrCorrupt) {
						t.Errorf("%s: %v", n.Name(), err)
					}
				}
				if totals, err := f.Tree("."); err != nil || totals.Damaged == 0 {
					t.Errorf("%+v, %v", totals, err)
				}
			}
		})
	}
}

// An extension record that was used again is no part of its base.
func TestExtensionOfAnother(t *testing.T) {
	for name, change := range map[string]func(record []byte){
		"sequence": func(r []byte) { r[16]++ },
		"base":     func(r []byte) { r[32]++ },
		"in use":   func(r []byte) { r[22] &^= recordInUse },
	} {
		t.Run(name, func(t *testing.T) {
			e := small(t)
			base := e.number("scattered")
			ino, err := e.f.load(base)
			if err != nil {
				t.Fatal(err)
			}
			extension := uint32(0)
			for c, chunk := range e.f.index.chunks {
				for i := range chunk.nodes {
					n := &chunk.nodes[i]
					if n.flags&nodeExtension != 0 && reference(n.size) == makeReference(base, ino.sequence) {
						extension = uint32(c*chunkRecords + i)
					}
				}
			}
			e.editRecord(extension, change)
			f := e.open()
			if name == "sequence" { // which only the attribute list has
				if d := f.Damage(); d.Count != 0 {
					t.Errorf("%+v", d)
				}
				if _, err := f.Stat("scattered"); !errors.Is(err, ErrCorrupt) {
					t.Error(err)
				}
			}
			want := []DamagedRecord{{uint64(base), reasonExtension.Error()}}
			if name == "in use" {
				want = append(want, DamagedRecord{uint64(extension), reasonFreed.Error()})
			}
			if got := f.Damage().Records; !slices.Equal(got, want) {
				t.Errorf("damage %v, want %v", got, want)
			}
			if _, err := f.ReadFile("scattered"); !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
			if _, err := f.load(base); !errors.Is(err, ErrCorrupt) {
				t.Error(err)
			}
		})
	}
}

// Every kind of damage to a record is reported.
func TestDamagedRecords(t *testing.T) {
	put16 := func(at int, v uint16) func([]byte) {
		return func(r []byte) { binary.LittleEndian.PutUint16(r[at:], v) }
	}
	put32 := func(at int, v uint32) func([]byte) {
		return func(r []byte) { binary.LittleEndian.PutUint32(r[at:], v) }
	}
	in := func(kind uint32, change func([]byte)) func([]byte) {
		return func(r []byte) { change(find(t, r, kind, "")) }
	}
	for _, test := range []struct {
		name   string
		raw    bool // the change is made on the disk's bytes
		change func(record []byte)
		want   reason
	}{
		{"signature", true, func(r []byte) { copy(r, "RCRD") }, reasonSignature},
		{"zero signature", true, func(r []byte) { clear(r[:4]) }, reasonSignature},
		{"marked", true, func(r []byte) { copy(r, "BAAD") }, reasonMarked},
		{"zero", true, func(r []byte) { clear(r) }, reasonZero},
		{"first sector", true, func(r []byte) { r[510]++ }, reasonTorn},
		{"second sector", true, func(r []byte) { r[1023]++ }, reasonTorn},
		{"sequence array too short", true, put16(6, 2), reasonHeader},
		{"sequence array too long", true, put16(6, 4), reasonHeader},
		{"sequence array far away", true, put16(4, 506), reasonHeader},
		{"sequence array odd", true, put16(4, 49), reasonHeader},
		{"sequence array in the header", true, put16(4, 6), reasonHeader},
		{"used beyond the end", false, put32(24, 1025), reasonHeader},
		{"first attribute beyond the end", false, put16(20, 0xFFF8), reasonHeader},
		{"first attribute in the header", false, put16(20, 48), reasonHeader},
		{"first attribute not aligned", false, put16(20, 57), reasonHeader},
		{"another record", false, put32(44, 7), reasonNumber},
		{"no end", false, func(r []byte) {
			binary.LittleEndian.PutUint32(r[24:],
				uint32(binary.LittleEndian.Uint16(r[20:])))
		}, reasonAttribute},
		{"attribute of no length", false, in(typeFileName, put32(4, 0)), reasonAttribute},
		{"attribute of 16 bytes", false, in(typeFileName, put32(4, 16)), reasonAttribute},
		{"attribute of an odd length", false, in(typeFileName, put32(4, 105)), reasonAttribute},
		{"attribute too long", false, in(typeFileName, put32(4, 0x10000)), reasonAttribute},
		{"attribute of 4 GiB", false, in(typeFileName, put32(4, 0xFFFFFFF8)), reasonAttribute},
		{"name of attribute", false, in(typeData, func(a []byte) { a[9] = 255 }), reasonAttribute},
		{"value too long", false, in(typeData, put32(16, 0xFFFFFFFF)), reasonAttribute},
		{"value far away", false, in(typeData, put16(20, 0xFFFF)), reasonAttribute},
		{"not resident in 24 bytes", false, in(typeData, func(a []byte) { a[8] = 1 }), reasonAttribute},
		{"file name too long", false, in(typeFileName, func(a []byte) { a[24+64] = 200 }), reasonName},
		{"file name of no length", false, in(typeFileName, func(a []byte) { a[24+64] = 0 }), reasonName},
		{"file name cut", false, in(typeFileName, put32(16, 67)), reasonName},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := small(t)
			number := e.number("resident")
			if test.raw {
				test.change(e.record(number))
			} else {
				e.editRecord(number, test.change)
			}
			f := e.open()
			want := []DamagedRecord{{uint64(number), test.want.Error()}}
			if d := f.Damage(); d.Count != 1 || !slices.Equal(d.Records, want) {
				t.Errorf("damage %v, want %v", d.Records, want)
			}
			if _, err := f.ReadFile("resident"); !errors.Is(err, ErrCorrupt) || errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			if list, err := f.ReadDir("."); err != nil ||
				!slices.ContainsFunc(list, func(d fs.DirEntry) bool { return d.Name() == "resident" }) {
				t.Error("not listed", err)
			}
		})
	}
}

// A record that was never used may be zero.
func TestZeroRecord(t *testing.T) {
	e := small(t)
	number := e.freeRecord()
	clear(e.record(number))
	if d := e.open().Damage(); d.Count != 0 {
		t.Errorf("%+v", d)
	}
}

// manyNames is how many names are left in the directory many.
const manyNames = 40

// What a damaged index of a directory should have said is in doubt, and what the
// rest of it says is not.
func TestDamagedIndex(t *testing.T) {
	testenv.Sequential(t)
	blockAt := func(e *editable, vcn int64, change func([]byte)) {
		ino, err := e.f.load(e.number("many"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := ino.stream(e.f.disk, typeIndexAllocation, "$I30")
		if err != nil {
			t.Fatal(err)
		}
		r := s.runs[s.runAt(vcn)]
		at := (r.lcn + vcn - r.vcn) * e.f.disk.clusterSize
		change(e.image[at : at+4096])
	}
	block := func(e *editable, change func([]byte)) { blockAt(e, 0, change) }
	for name, damage := range map[string]func(e *editable){
		"torn block":      func(e *editable) { block(e, func(b []byte) { b[4095]++ }) },
		"block signature": func(e *editable) { block(e, func(b []byte) { b[0] = 'X' }) },
		"block of another VCN": func(e *editable) {
			block(e, func(b []byte) { editFixed(t, b, func(b []byte) { b[16]++ }) })
		},
		"entry of no length": func(e *editable) {
			block(e, func(b []byte) { editFixed(t, b, func(b []byte) { binary.LittleEndian.PutUint16(b[24+b[24]+8:], 0) }) })
		},
		"entries beyond the block": func(e *editable) {
			block(e, func(b []byte) { editFixed(t, b, func(b []byte) { binary.LittleEndian.PutUint32(b[28:], 1<<20) }) })
		},
		"entries before the block's": func(e *editable) {
			block(e, func(b []byte) { editFixed(t, b, func(b []byte) { binary.LittleEndian.PutUint32(b[24:], 8) }) })
		},
		"all: bit missing": func(e *editable) {
			e.edit("many", func(r []byte) { a := find(t, r, typeBitmap, "$I30"); clear(a[binary.LittleEndian.Uint16(a[20:]):]) })
		},
		"none: bit too many": func(e *editable) {
			e.edit("many", func(r []byte) { a := find(t, r, typeBitmap, "$I30"); a[binary.LittleEndian.Uint16(a[20:])+2] |= 1 })
		},
		"child twice": func(e *editable) {
			blockAt(e, 16, func(b []byte) { // the one below the root
				editFixed(t, b, func(b []byte) {
					first := b[24+binary.LittleEndian.Uint32(b[24:]):]
					length := binary.LittleEndian.Uint16(first[8:])
					second := first[length:]
					copy(second[binary.LittleEndian.Uint16(second[8:])-8:], first[length-8:length])
				})
			})
		},
		"all: child beyond the end": func(e *editable) {
			e.edit("many", func(r []byte) {
				a := find(t, r, typeIndexRoot, "$I30")
				value := a[binary.LittleEndian.Uint16(a[20:]):]
				first := value[16+binary.LittleEndian.Uint32(value[16:]):]
				first[binary.LittleEndian.Uint16(first[8:])-3] = 0x7F
			})
		},
		"all: root without an end": func(e *editable) {
			e.edit("many", func(r []byte) {
				a := find(t, r, typeIndexRoot, "$I30")
				value := a[binary.LittleEndian.Uint16(a[20:]):]
				binary.LittleEndian.PutUint32(value[20:], binary.LittleEndian.Uint32(value[16:]))
			})
		},
		"all: block size": func(e *editable) {
			e.edit("many", func(r []byte) {
				a := find(t, r, typeIndexRoot, "$I30")
				binary.LittleEndian.PutUint32(a[binary.LittleEndian.Uint16(a[20:])+8:], 1<<30)
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := small(t)
			torn := e.number("many/a name of some length 1116")
			damage(e)
			all, none := strings.HasPrefix(name, "all"), strings.HasPrefix(name, "none")
			f := e.open()
			if _, err := f.Stat("many/nothing"); all != errors.Is(err, ErrInDoubt) || all == errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			list, err := f.ReadDir("many")
			if none && err != nil || !none && !errors.Is(err, ErrCorrupt) || len(list) != manyNames {
				t.Errorf("%d entries, %v", len(list), err)
			}
			there, doubtful := 0, 0
			for _, entry := range list {
				_, err := f.Stat("many/" + entry.Name())
				switch {
				case err == nil:
					there++
				case errors.Is(err, ErrInDoubt):
					doubtful++
				default:
					t.Error(err)
				}
				if _, infoErr := entry.Info(); err == nil && infoErr != nil && !errors.Is(infoErr, ErrInDoubt) {
					t.Errorf("%s: there, listed with %v", entry.Name(), infoErr)
				}
			}
			if none && doubtful > 0 || all && there > 0 || !none && !all && (there == 0 || doubtful == 0) {
				t.Errorf("%d names there, %d in doubt", there, doubtful)
			}
			e.tear(torn)
			f = e.open()
			if _, err := f.Stat("many/a name of some length 1116"); !errors.Is(err, ErrCorrupt) ||
				errors.Is(err, fs.ErrNotExist) {
				t.Error(err)
			}
			list, err = f.ReadDir("many")
			if !errors.Is(err, ErrCorrupt) || len(list) < manyNames-1 {
				t.Errorf("%d entries, %v", len(list), err)
			}
			dir, err := f.Open("many")
			if err != nil {
				t.Fatal(err)
			}
			if list, err := dir.(fs.ReadDirFile).ReadDir(-1); !errors.Is(err, ErrCorrupt) || len(list) < manyNames-1 {
				t.Errorf("%d entries, %v", len(list), err)
			}
			if totals, err := f.Tree("many"); err != nil || totals.Damaged == 0 {
				t.Errorf("%+v, %v", totals, err)
			}
		})
	}
}

// A torn record of $MFT itself, or one of the next three, is taken from
// $MFTMirr; without that $MFT is lost, the others are damaged.
func TestMirror(t *testing.T) {
	for number := range uint32(mirrored) {
		e := small(t)
		e.tear(number)
		f := e.open()
		d := f.Damage()
		if d.Count != 0 || len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "$MFTMirr") {
			t.Errorf("record %d: %+v", number, d)
		}
		if diff := cmp.Diff(e.f.Volume(), f.Volume()); diff != "" {
			t.Errorf("record %d: %s", number, diff)
		}
		if _, err := f.Open("$MFT"); err != nil {
			t.Error(err)
		}

		mirror := e.image[e.f.boot.mirror+int64(number)*1024:][:1024]
		mirror[1023] ^= 0xAA
		f, err := openBytes(e.image)
		if number == recordMFT {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("record 0: %v", err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if d := f.Damage(); d.Count != 1 || d.Records[0].Record != uint64(number) {
			t.Errorf("record %d: %+v", number, d)
		}
		v := f.Volume()
		if lost := v.Err != nil; lost != (number == recordVolume) {
			t.Errorf("record %d: %+v", number, v)
		}
		if lost := v.Journal.State == JournalCorrupt; lost != (number == recordLogFile) {
			t.Errorf("record %d: %+v", number, v)
		}
	}
}

// Without $UpCase names are still found.
func TestUpcaseDefault(t *testing.T) {
	e := small(t)
	e.tear(recordUpcase)
	f := e.open()
	if d := f.Damage(); d.Count != 1 || len(d.Notes) != 1 || !strings.Contains(d.Notes[0], "$UpCase") {
		t.Errorf("%+v", d)
	}
	if data, err := f.ReadFile("PROGRAM FILES/ÜNÏCÖDÉ 日本語/𝄞 😀.TXT"); err != nil || string(data) != "unicode" {
		t.Errorf("%q, %v", data, err)
	}
	e = small(t)
	e.editRecord(recordUpcase, func(r []byte) { // of the wrong size
		binary.LittleEndian.PutUint64(find(t, r, typeData, "")[48:], 131070)
	})
	if f, err := openBytes(e.image); err != nil || len(f.Damage().Notes) != 1 {
		t.Error(err)
	}
}

// The built-in table is the volume's, but for a few letters.
func TestUpcaseTables(t *testing.T) {
	up, builtin := small(t).f.up, defaultUpcase()
	differ := 0
	for i := range up {
		if up[i] != builtin[i] {
			differ++
			if i < 0x180 && i != 0xB5 && i != 0x131 && i != 0x17F {
				t.Errorf("U+%04X: %04X, built in %04X", i, up[i], builtin[i])
			}
		}
	}
	if differ > 800 {
		t.Errorf("%d letters differ", differ)
	}
	t.Logf("%d letters differ", differ)
}

// What the index of a directory names is not absent, whatever its record says.
func TestIndexContradictsRecord(t *testing.T) {
	const dir, file = "deep/1/2/3/4/5/6/7/8/9", "bottom"
	name := func(change func(value []byte)) func([]byte) {
		return func(r []byte) {
			a := find(t, r, typeFileName, "")
			change(a[binary.LittleEndian.Uint16(a[20:]):])
		}
	}
	for what, change := range map[string]func(record []byte){
		"another letter":            name(func(v []byte) { v[66] = 'B' + 1 }),
		"a shorter name":            name(func(v []byte) { v[64]-- }),
		"another directory":         name(func(v []byte) { v[0] = recordRoot }),
		"a directory gone by":       name(func(v []byte) { v[6]++ }),
		"an extension of another":   func(r []byte) { r[32] = 40 },
		"free":                      func(r []byte) { r[22] &^= recordInUse },
		"free, and once more again": func(r []byte) { r[22] &^= recordInUse; r[16]++ },
	} {
		t.Run(what, func(t *testing.T) {
			e := small(t)
			e.edit(dir+"/"+file, change)
			for state, f := range map[string]*FS{"clean": e.open(), "in use": e.inUse()} {
				if _, err := f.Stat(dir + "/" + file); !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: stat %v", state, err)
				}
				list, err := f.ReadDir(dir)
				if err != nil || !slices.ContainsFunc(list, func(e fs.DirEntry) bool { return e.Name() == file }) {
					t.Fatalf("%s: %v, %v", state, list, err)
				}
				for _, e := range list {
					if _, err := e.Info(); e.Name() == file && !errors.Is(err, ErrCorrupt) {
						t.Errorf("%s: info %v", state, err)
					}
				}
				if _, err := f.Stat(dir + "/other"); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: stat of what never was: %v", state, err)
				}
			}
		})
	}
}

// A record that is free, while the bitmap of $MFT has it in use, was lost: unless
// the volume was in use, where that is on its way.
func TestFreedRecord(t *testing.T) {
	e := small(t)
	number := e.number("deep/1/2/3/4/5/6/7/8/9/bottom")
	e.editRecord(number, func(r []byte) { r[22] &^= recordInUse })
	if got, want := e.open().Damage().Records,
		[]DamagedRecord{{uint64(number), reasonFreed.Error()}}; !slices.Equal(got, want) {
		t.Errorf("damage %v, want %v", got, want)
	}
	f := e.inUse()
	if d := f.Damage(); d.Count != 0 {
		t.Errorf("in use: damage %v", d.Records)
	}
	if totals, err := f.Tree("."); err != nil || totals.Damaged != 0 {
		t.Errorf("in use: %+v, %v", totals, err)
	}
}

// A directory that is not marked as one is damaged, not a file without content.
func TestDirectoryNotMarked(t *testing.T) {
	e := small(t)
	number := e.number("deep/1")
	e.editRecord(number, func(r []byte) { r[22] &^= recordDirectory })
	f := e.open()
	if got, want := f.Damage().Records,
		[]DamagedRecord{{uint64(number), reasonDirectory.Error()}}; !slices.Equal(got, want) {
		t.Errorf("damage %v, want %v", got, want)
	}
	for _, name := range []string{"deep/1", "deep/1/2", "deep/1/nothing"} {
		if _, err := f.Stat(name); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A $MFT that was cut has lost the records that its bitmap still has.
func TestCutMFT(t *testing.T) {
	e := small(t)
	number := e.number("deep/1/2/3/4/5/6/7/8/9/bottom")
	e.editRecord(recordMFT, func(r []byte) {
		a := find(t, r, typeData, "")
		size := uint64(number) * uint64(e.f.boot.recordSize)
		binary.LittleEndian.PutUint64(a[48:], size)
		binary.LittleEndian.PutUint64(a[56:], size)
	})
	f := e.open()
	d := f.Damage()
	if d.Count == 0 || d.Records[0] != (DamagedRecord{uint64(number), reasonBeyond.Error()}) {
		t.Errorf("damage %v", d.Records)
	}
	if _, err := f.Stat("deep/1/2/3/4/5/6/7/8/9/bottom"); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if totals, err := f.Tree("deep"); err != nil || totals.Damaged == 0 {
		t.Errorf("%+v, %v", totals, err)
	}
}

// Without the bitmap of $MFT a zero record counts as damaged.
func TestBitmapOfMFTLost(t *testing.T) {
	e := small(t)
	e.editRecord(recordMFT, func(r []byte) {
		a := find(t, r, typeBitmap, "")
		copy(a[binary.LittleEndian.Uint16(a[32:]):], []byte{0xFF})
	})
	clear(e.record(e.freeRecord()))
	f := e.open()
	if d := f.Damage(); d.Count != 1 || d.Records[0].Reason != reasonZero.Error() || len(d.Notes) == 0 {
		t.Errorf("%+v", d)
	}
}

// In a truncated image, data after the cut is damaged; the rest is read.
func TestTruncatedImage(t *testing.T) {
	e := small(t)
	file, err := e.f.Open("text")
	if err != nil {
		t.Fatal(err)
	}
	s := file.(*File).content.(*stream)
	cut := e.image[:s.runs[0].lcn*e.f.disk.clusterSize]
	f, err := openBytes(cut)
	if err != nil {
		t.Fatal(err)
	}
	if d := f.Damage(); len(d.Notes) == 0 || !strings.Contains(d.Notes[0], "the image only") {
		t.Errorf("%+v", d)
	}
	if _, err := f.ReadFile("text"); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if data, err := f.ReadFile("resident"); err != nil || string(data) != "hello" {
		t.Errorf("%q, %v", data, err)
	}
	for at := range 64 { // never a panic
		f, err := openBytes(e.image[:at<<16])
		if err == nil {
			_, err = f.Tree(".")
			if f.Damage().Count > 0 && err == nil {
				totals, _ := f.Tree(".")
				if totals.Damaged == 0 && at<<16 < 800<<10 {
					t.Errorf("cut at %d: %+v", at<<16, totals)
				}
			}
		}
	}
	// In the middle of $MFT.
	end := e.f.boot.mft + 120*1024
	if f, err = openBytes(e.image[:end]); err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	} else if d := f.Damage(); d.Count < 90 || d.Records[len(d.Records)-1].Reason != reasonTruncated.Error() {
		t.Errorf("%+v", d)
	}
}

// failing is a reader with a bad spot.
type failing struct {
	io.ReaderAt
	from, to int64
}

var errSpot = errors.New("bad spot")

func (r failing) ReadAt(p []byte, off int64) (int, error) {
	if off < r.to && off+int64(len(p)) > r.from {
		return 0, errSpot
	}
	return r.ReaderAt.ReadAt(p, off)
}

// Errors of the reader pass through.
func TestReadErrors(t *testing.T) {
	e := small(t)
	for _, at := range []int64{0, e.f.boot.mft, e.f.boot.mft + 100*1024} {
		_, err := Open(context.Background(), failing{bytes.NewReader(e.image), at, at + 1}, int64(len(e.image)), Options{})
		if !errors.Is(err, errSpot) || errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d: %v", at, err)
		}
	}
	e.tear(recordMFT)
	mirror := failing{bytes.NewReader(e.image), e.f.boot.mirror, e.f.boot.mirror + 1}
	if _, err := Open(context.Background(), mirror, int64(len(e.image)), Options{}); !errors.Is(err, errSpot) {
		t.Error(err)
	}
	file, err := e.f.Open("text")
	if err != nil {
		t.Fatal(err)
	}
	at := file.(*File).content.(*stream).runs[0].lcn * e.f.disk.clusterSize
	f, err := Open(context.Background(), failing{bytes.NewReader(e.image), at, at + 1}, int64(len(e.image)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.ReadFile("text"); !errors.Is(err, errSpot) || errors.Is(err, ErrCorrupt) ||
		errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if _, err := f.ReadFile("noise"); err != nil {
		t.Error(err)
	}
}

// Damage lists the first hundred damaged records and counts all.
func TestManyDamaged(t *testing.T) {
	for _, n := range []int{maxDamaged - 1, maxDamaged, maxDamaged + 1, 3000} {
		var b builder
		for i := range 3000 {
			b.add(file{name: manyName(i), parent: recordRoot})
		}
		image := b.image()
		for i := range n {
			image[b.recordAt(firstFile+i)+1023] ^= 0x55
		}
		f, err := openBytes(image)
		if err != nil {
			t.Fatal(err)
		}
		d := f.Damage()
		if d.Count != int64(n) || len(d.Records) != min(n, maxDamaged) || d.Records[0].Record != firstFile {
			t.Errorf("%d: %d, %d listed", n, d.Count, len(d.Records))
		}
		if got, want := d.Records[0].String(), "record 24 is torn: the fixup of a sector does not match"; got != want {
			t.Errorf("%q", got)
		}
	}
}

// What must be small is refused when it is not, to the byte.
func TestReadAllLimit(t *testing.T) {
	for _, limit := range []int64{maxList, maxReparse, maxIndexBitmap, maxMFTBitmap} {
		for _, size := range []int64{limit - 1, limit, limit + 1, 1 << 60} {
			s := &stream{disk: &disk{clusterSize: 4096}, runs: []run{{0, hole, 1 << 50}}, clusters: 1 << 50, size: size,
				initialized: size}
			data, err := s.readAll(limit)
			if size <= limit && (err != nil || int64(len(data)) != size) || size > limit && !errors.Is(err, ErrCorrupt) {
				t.Errorf("%d of %d: %d bytes, %v", size, limit, len(data), err)
			}
		}
	}
}

// An attribute list, or reparse data, that cannot be read makes the file
// damaged.
func TestUnreadableList(t *testing.T) {
	breakRuns := func(kind uint32) func(r []byte) {
		return func(r []byte) {
			a := find(t, r, kind, "")
			if a[8] == 0 {
				t.Fatal("resident")
			}
			a[binary.LittleEndian.Uint16(a[32:])] = 0xFF
		}
	}
	for _, test := range []struct {
		file string
		kind uint32
		want reason
	}{
		{"scattered", typeAttributeList, reasonList},
		{"links/first", typeAttributeList, reasonList},
		{"long symlink", typeReparsePoint, reasonReparse},
	} {
		e := small(t)
		e.edit(test.file, breakRuns(test.kind))
		f := e.open()
		want := DamagedRecord{uint64(e.number(test.file)), test.want.Error()}
		if d := f.Damage(); d.Count != 1 || d.Records[0] != want {
			t.Errorf("%s: %+v", test.file, d)
		}
		if _, err := f.Stat(test.file); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", test.file, err)
		}
	}
	// A resident one with a broken entry makes the record unreadable.
	e := small(t)
	e.splitIndex("many")
	f := e.open()
	if list, err := f.ReadDir("many"); err != nil || len(list) != manyNames {
		t.Fatal(len(list), err)
	}
	e.edit("many", func(r []byte) {
		a := find(t, r, typeAttributeList, "")
		a[binary.LittleEndian.Uint16(a[20:])+4] = 25
	})
	f = e.open()
	if d := f.Damage(); d.Count != 1 || d.Records[0].Reason != reasonList.Error() {
		t.Errorf("%+v", d)
	}
	if _, err := f.ReadDir("many"); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

// The extension record of a directory's index is torn: what is known is
// listed, with the error.
func TestTornIndexExtension(t *testing.T) {
	e := small(t)
	free := e.freeRecord()
	e.splitIndex("many")
	e.tear(free)
	f := e.open()
	list, err := f.ReadDir("many")
	if !errors.Is(err, ErrCorrupt) || len(list) != manyNames {
		t.Errorf("%d names, %v", len(list), err)
	}
	if _, err := f.Stat("many/nothing"); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	if _, err := f.Stat("many/" + list[0].Name()); !errors.Is(err, ErrInDoubt) {
		t.Error(err)
	}
	if _, err := list[0].Info(); !errors.Is(err, ErrInDoubt) {
		t.Error(err)
	}
}
