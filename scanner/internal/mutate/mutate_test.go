//go:build linux

package mutate_test

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/internal/mutate"
)

// The damage depends only on the case and the seed, and the image below does
// not change.
func TestDamageIsDeterministic(t *testing.T) {
	for _, name := range []string{"failing", "linux-failing"} {
		one, other := survey(findCase(name)), survey(findCase(name))
		kinds := map[string]bool{}
		for seed := range uint64(300) {
			a, b := one.plan.Damage(seed), other.plan.Damage(seed)
			if diff := cmp.Diff(a.Steps, b.Steps); diff != "" {
				t.Fatalf("%s %d: %s", name, seed, diff)
			}
			if len(a.Steps) == 0 {
				t.Errorf("%s %d: undamaged", name, seed)
			}
			differs := false
			for i := range a.Images {
				differs = differs || a.Images[i].Size() != one.images[i].Size()
				if !slices.Equal(a.Images[i].Changed(), b.Images[i].Changed()) {
					t.Fatalf("%s %d: other pages", name, seed)
				}
				for _, at := range a.Images[i].Changed() {
					page := pageAt(t, a.Images[i], at)
					if !bytes.Equal(page, pageAt(t, b.Images[i], at)) {
						t.Errorf("%s %d: page at %d", name, seed, at)
					}
					differs = differs || !bytes.Equal(page, pageAt(t, one.images[i], at))
				}
			}
			if !differs {
				t.Errorf("%s %d: %v changed nothing", name, seed, a.Steps)
			}
			for _, s := range a.Steps {
				kinds[s.Kind] = true
			}
		}
		if len(kinds) < 20 {
			t.Errorf("%s: only %d kinds of damage in 300 images", name, len(kinds))
		}
		for _, i := range one.images {
			if i.Changed() != nil {
				t.Errorf("%s: the image itself was changed", name)
			}
		}
	}
}

func pageAt(t *testing.T, o *mutate.Overlay, at int64) []byte {
	t.Helper()
	page := make([]byte, 4096)
	if n, err := o.ReadAt(page, at); err != nil && err != io.EOF {
		t.Fatal(err)
	} else {
		return page[:n]
	}
	return nil
}

// Checksums, fixups and hashes are those that the tools compute which made the
// fixtures: mkntfs and ntfs-3g, mke2fs and the kernel, hivexregedit, sgdisk,
// sqlite3. For hives' logs internal/hivetest, which real logs are compared to.
func TestChecksumsAreRepaired(t *testing.T) {
	all := map[string]int{}
	for _, name := range []string{"failing", "dirty", "layout-one-disk", "linux-failing", "linux-ubuntu", "linux-journal",
		"linux-al2023-removed-in-log", "linux-xfs-failing"} {
		wrong, right := survey(findCase(name)).plan.Resealed()
		for _, w := range wrong {
			t.Errorf("%s: %.300s", name, w)
		}
		for family, n := range right {
			all[family] += n
		}
	}
	for _, family := range []string{
		"GPT", "MFT record", "index block", "hive base block", "log base block", "log entry", "WAL header", "WAL frame",
		"superblock", "group descriptor", "inode", "directory block", "journal block",
		"xfs superblock", "xfs AGF", "xfs AGI", "xfs AGFL", "xfs btree", "xfs inode", "xfs directory",
	} {
		if all[family] == 0 {
			t.Errorf("no %s was sealed", family)
		}
	}
}

// FuzzTorture is the fooling test without an end.
func FuzzTorture(f *testing.F) {
	var names []string
	for _, group := range tortured {
		names = append(names, group.names...)
	}
	for i := range 4 {
		f.Add(uint8(i), uint64(i))
	}
	cases := map[string]*surveyed{}
	f.Fuzz(func(t *testing.T, number uint8, seed uint64) {
		name := names[int(number)%len(names)]
		s := cases[name]
		if s == nil {
			s = survey(findCase(name))
			cases[name] = s
		}
		stop := watch(func() {
			fmt.Fprintf(os.Stderr, "%s %d: not done after %s\n", name, seed, timeLimit)
			panic("hang")
		})
		r, _ := s.scan(s.plan.Damage(seed))
		stop()
		for _, p := range r.Panics {
			t.Errorf("%s %d: %s", name, seed, p)
		}
		if r.suspects() != nil {
			s.judge(t, seed)
		}
	})
}
