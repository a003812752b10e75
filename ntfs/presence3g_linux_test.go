package ntfs

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"syscall"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// presenceVolumes is how many damaged volumes are compared with ntfs-3g;
// make nightly compares all.
func presenceVolumes() int {
	if testenv.Nightly() {
		return 200
	}
	return 25
}

// TestPresence3g damages the indexes and records of volumes and asks ntfs-3g and
// this package for every name: what one of them has is never absent for the other.
// What this package calls in doubt or damaged may be either.
func TestPresence3g(t *testing.T) {
	t.Parallel()
	v := makeVolume(t, 16<<20, "-c", "4096")
	var names []string
	dirs := map[string]bool{}
	v.mounted(func() {
		add := func(name string) {
			v.write(name, []byte(name))
			names = append(names, name)
		}
		for i := range 3 {
			add(fmt.Sprintf("small/file %d", i))
		}
		for i := range 30 {
			add(fmt.Sprintf("some/a file of the folder %02d.txt", i))
		}
		for i := range 420 {
			add(fmt.Sprintf("many/%03d component of a long enough name.manifest", i))
		}
		add("deep/one/two/three")
		for i := range 10 {
			v.check(os.Link(v.path("small/file 0"), v.path(fmt.Sprintf("some/link %d", i))))
			names = append(names, fmt.Sprintf("some/link %d", i))
		}
	})
	for _, name := range slices.Clone(names) {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if dirs[dir] = true; !slices.Contains(names, dir) {
				names = append(names, dir)
			}
		}
	}
	names = append(names, "nothing", "many/000", "many/zzz", "some/nothing", "small/nothing")
	whole, err := os.ReadFile(v.image)
	if err != nil {
		t.Fatal(err)
	}
	// Without damage nothing is in doubt.
	f := v.open()
	for _, name := range names {
		if _, err := f.Stat(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("undamaged: %v", err)
		}
	}
	var sum struct{ volumes, both, neither, doubtThere, doubtNot, unreadable int }
	kinds := map[string]int{}
	for seed := range presenceVolumes() {
		d := &presenceDamage{editable: edit(t, bytes.Clone(whole)), rand: rand.New(rand.NewPCG(uint64(seed), 33)),
			dirs: []string{"small", "some", "many", "many", "deep/one"}, names: names}
		var done []string
		for range 1 + d.rand.IntN(3) {
			if what := d.one(); what != "" {
				kinds[what]++
				done = append(done, what)
			}
		}
		v.check(os.WriteFile(v.image, d.image, 0o666))
		theirs := map[string]error{}
		v.mounted(func() {
			for _, name := range names {
				_, err := os.Lstat(v.path(name))
				theirs[name] = err
			}
		}, "ro")
		sum.volumes++
		f := v.open()
		for _, name := range names {
			_, err := f.Stat(name)
			there := theirs[name] == nil
			switch {
			case err == nil && there:
				sum.both++
			case errors.Is(err, fs.ErrNotExist) && !there:
				sum.neither++
			case err == nil && errors.Is(theirs[name], syscall.EIO) && dirs[name]:
				sum.unreadable++ // it is there: ntfs-3g checks the index of a directory when it opens it
			case err == nil || errors.Is(err, fs.ErrNotExist):
				t.Errorf("volume %d (%q): %s: %v, for ntfs-3g %v", seed, done, name, err, theirs[name])
			case there:
				sum.doubtThere++
			default:
				sum.doubtNot++
			}
		}
	}
	t.Logf("%+v, damage %v", sum, kinds)
	if sum.doubtThere+sum.doubtNot == 0 || sum.both == 0 {
		t.Error("the damage hit nothing")
	}
}

// presenceDamage damages the indexes of directories and the records of files.
type presenceDamage struct {
	*editable
	rand  *rand.Rand
	dirs  []string
	names []string
}

// one does one damage, and says which; "" if it found no place for it.
func (d *presenceDamage) one() string {
	dir := d.dirs[d.rand.IntN(len(d.dirs))]
	kind := d.rand.IntN(17)
	switch {
	case kind < 5:
		return d.record(kind)
	case kind == 5:
		return d.bitmap(dir)
	case kind < 9:
		return d.block(dir, kind)
	}
	return d.entries(dir, kind)
}

// record damages the record of a file.
func (d *presenceDamage) record(kind int) string {
	number, err := d.f.resolve(d.names[d.rand.IntN(len(d.names)-5)])
	if err != nil {
		return "" // it was damaged before
	}
	change := func(change func(r []byte)) bool {
		r := d.editable.record(number)
		if string(r[:4]) != "FILE" {
			return false
		}
		editFixed(d.t, r, change)
		return true
	}
	switch kind {
	case 0:
		if change(func(r []byte) { r[22] &^= recordInUse }) {
			return "record freed"
		}
	case 1:
		if change(func(r []byte) { r[16] += byte(1 + d.rand.IntN(200)) }) {
			return "sequence number of a record"
		}
	case 2:
		copy(d.editable.record(number), "BAAD")
		return "record marked bad"
	case 3:
		if change(func(r []byte) { d.fileName(r, func(v []byte) { v[66]++ }) }) {
			return "name in a record"
		}
	case 4:
		if change(func(r []byte) { d.fileName(r, func(v []byte) { v[6]++ }) }) {
			return "parent in a record"
		}
	}
	return ""
}

// fileName changes the first name in a record.
func (d *presenceDamage) fileName(r []byte, change func(value []byte)) {
	for at := int(le.Uint16(r[20:])); at+24 < len(r) &&
		le.Uint32(r[at:]) != typeEnd; at += max(8, int(le.Uint32(r[at+4:]))) {
		if le.Uint32(r[at:]) == typeFileName {
			change(r[at+int(le.Uint16(r[at+20:])):])
			return
		}
	}
}

// bitmap clears a bit of an index's bitmap.
func (d *presenceDamage) bitmap(dir string) string {
	number := d.number(dir)
	done := ""
	editFixed(d.t, d.editable.record(number), func(r []byte) {
		for at := int(le.Uint16(r[20:])); at+24 < len(r) &&
			le.Uint32(r[at:]) != typeEnd; at += max(8, int(le.Uint32(r[at+4:]))) {
			if le.Uint32(r[at:]) == typeBitmap && r[at+8] == 0 {
				bit := d.rand.IntN(20)
				r[at+int(le.Uint16(r[at+20:]))+bit/8] &^= 1 << (bit % 8)
				done = "bit of an index"
			}
		}
	})
	return done
}

// blockOf is one of the blocks of a directory's index, nil if it has none.
func (d *presenceDamage) blockOf(dir string) []byte {
	ino, err := d.f.load(d.number(dir))
	if err != nil {
		return nil
	}
	s, err := ino.stream(d.f.disk, typeIndexAllocation, "$I30")
	if err != nil {
		return nil
	}
	at, ok := s.locate(d.rand.Int64N(s.size/4096) * 4096)
	if !ok {
		return nil
	}
	return d.image[at : at+4096]
}

func (d *presenceDamage) block(dir string, kind int) string {
	b := d.blockOf(dir)
	if b == nil {
		return ""
	}
	switch kind {
	case 6:
		clear(b)
		return "block zeroed"
	case 7:
		b[511]++
		return "block torn"
	}
	b[16]++
	return "VCN of a block"
}

// entries damages the entries of a node: of the root, or of a block.
func (d *presenceDamage) entries(dir string, kind int) (done string) {
	block := d.blockOf(dir)
	node := 24
	if block == nil || d.rand.IntN(4) == 0 {
		block = d.editable.record(d.number(dir))
		node = 0
	}
	if fixup(block) != readable {
		return ""
	}
	defer protect(block)
	if node == 0 {
		for at := int(le.Uint16(block[20:])); at+24 < len(block) &&
			le.Uint32(block[at:]) != typeEnd; at += max(8, int(le.Uint32(block[at+4:]))) {
			if le.Uint32(block[at:]) == typeIndexRoot {
				node = at + int(le.Uint16(block[at+20:])) + 16
			}
		}
		if node == 0 {
			return ""
		}
	}
	end := node + int(le.Uint32(block[node+4:]))
	if end > len(block) {
		return ""
	}
	var at []int
	for i := node + int(le.Uint32(block[node:])); i+16 <= end &&
		le.Uint16(block[i+8:]) >= 16; i += int(le.Uint16(block[i+8:])) {
		at = append(at, i)
	}
	if len(at) < 2 {
		return ""
	}
	i := d.rand.IntN(len(at) - 1)
	e := block[at[i]:at[i+1]]
	leaf := e[12]&entryHasNode == 0
	switch kind {
	case 9, 10:
		if !leaf {
			return ""
		}
		n := len(e)
		copy(block[at[i]:end], block[at[i+1]:end])
		le.PutUint32(block[node+4:], uint32(end-node-n))
		return "entry removed"
	case 11:
		if i+2 >= len(at) || !leaf {
			return ""
		}
		both := slices.Concat(block[at[i+1]:at[i+2]], e)
		copy(block[at[i]:], both)
		return "order of two entries"
	case 12:
		e[6]++
		return "sequence number in an entry"
	case 13:
		e[0] ^= byte(1 << d.rand.IntN(4))
		return "record in an entry"
	case 14:
		if len(e) < 16+68 {
			return ""
		}
		e[16+66+2*d.rand.IntN(int(e[16+64]))]++
		return "name in an entry"
	case 15:
		if leaf {
			e[12] |= entryIsLast
			return "end among the entries"
		}
		e[len(e)-8] ^= 1
		return "node below an entry"
	}
	e[8] ^= 8
	return "length of an entry"
}
