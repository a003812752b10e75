package ext4

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/coldcheck/coldcheck/internal/mounttest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// flsKinds are the letters of fls for types of files.
func flsKind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "d"
	case m&fs.ModeSymlink != 0:
		return "l"
	case m&fs.ModeNamedPipe != 0:
		return "p"
	case m&fs.ModeSocket != 0:
		return "h"
	case m&fs.ModeCharDevice != 0:
		return "c"
	case m&fs.ModeDevice != 0:
		return "b"
	}
	return "r"
}

// flsLines lists a volume as fls -r -p does, but for what is deleted.
func flsLines(t testing.TB, f *FS) []string {
	t.Helper()
	var lines []string
	err := fs.WalkDir(f, ".", func(path string, d fs.DirEntry, err error) error {
		if path == "." {
			return err
		}
		if err != nil {
			t.Logf("%s: %v", path, err)
			return nil
		}
		info, err := d.Info()
		if err != nil {
			t.Logf("%s: %v", path, err)
			return nil
		}
		k := flsKind(d.Type())
		lines = append(lines, fmt.Sprintf("%s/%s %d:\t%s", k, k, info.Sys().(*Entry).Inode, path))
		return nil
	})
	if err != nil {
		t.Logf("%v", err)
	}
	slices.Sort(lines)
	return lines
}

// digest is that of a listing of an ext volume: 12 hex digits of the SHA-256
// of its lines.
func digest(lines []string) string {
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:6])
}

// corpusImages holds the images that several tests read, by name.
var corpusImages sync.Map

// corpusImage unpacks a file of the corpus, once for all tests. They must not change
// it.
func corpusImage(t testing.TB, name string) []byte {
	t.Helper()
	if image, ok := corpusImages.Load(name); ok {
		return image.([]byte)
	}
	image := testenv.CorpusFile(t, name)
	corpusImages.Store(name, image)
	return image
}

// replays are the volumes whose listing after the journal's replay by e2fsck,
// as fls has it, is known.
func TestCorpusReplay(t *testing.T) {
	var oracle map[string]struct {
		After []any `json:"after"` // number of lines, digest
	}
	if err := json.Unmarshal(testenv.CorpusFile(t, "_oracle/ext_journal_replay.json"), &oracle); err != nil {
		t.Fatal(err)
	}
	// What is known to differ: lines that are listed here only, and a number
	// of lines of the other that are not.
	differ := map[string]struct {
		more []string
		less int
	}{
		// e2fsck makes the journal a hidden file.
		"f_journal": {more: []string{"r/r 12:\tjournal"}},
		// fls takes the directory for deleted, since the bitmap of this made-up
		// volume is empty; the kernel shows it.
		"j_recover_csum2_32bit": {more: []string{"d/d 11:\tlost+found"}},
		// One name in an encrypted directory.
		"test_disk1.bin.zst": {less: 1},
	}
	for name, want := range oracle {
		short := filepath.Base(name)
		if strings.HasPrefix(short, "image.") {
			short = filepath.Base(filepath.Dir(name))
		}
		t.Run(short, func(t *testing.T) {
			raw := corpusImage(t, name)
			f, err := Open(context.Background(), bytes.NewReader(raw), int64(len(raw)), Options{Stale: true})
			if err != nil {
				t.Fatal(err)
			}
			d := differ[short]
			lines := slices.DeleteFunc(flsLines(t, f), func(line string) bool { return slices.Contains(d.more, line) })
			if count := int(want.After[0].(float64)); len(lines)+d.less != count || d.less == 0 &&
				digest(lines) != want.After[1] {
				t.Errorf("%d lines with digest %s, want %v; journal %+v, damage %+v", len(lines), digest(lines), want.After,
					f.Volume().Journal, f.Damage())
			}
		})
	}
}

// Every volume of the corpus is read to the end, or refused with a reason.
func TestCorpusAll(t *testing.T) {
	root := testenv.Corpus(t)
	var names []string
	for _, dir := range []string{"ext", "ext_e2fsprogs", "images", "linux"} {
		err := filepath.WalkDir(filepath.Join(root, dir), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				rel, _ := filepath.Rel(root, path)
				names = append(names, rel)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	outcomes := map[string]int{}
	for _, name := range names {
		raw := corpusImage(t, name)
		// Volumes lie at the begin, or in a partition at one of these sectors.
		for _, sector := range []int{0, 1, 63, 128, 2048} {
			if len(raw) < 512*sector+2048 || raw[512*sector+0x438] != 0x53 || raw[512*sector+0x439] != 0xEF {
				if sector > 0 || !strings.Contains(name, "image.") {
					continue
				}
			}
			volume := raw[min(len(raw), 512*sector):]
			for _, stale := range []bool{false, true} {
				f, err := Open(context.Background(), bytes.NewReader(volume), int64(len(volume)), Options{Stale: stale})
				if err != nil {
					if !recoverable(err) {
						t.Errorf("%s: %v", name, err)
					}
					t.Logf("%s: %v", name, err)
					outcomes["not opened"]++
					continue
				}
				read, refused := use(f)
				outcome := "read"
				if refused > 0 {
					outcome = "read in part"
				}
				if read == 0 {
					outcome = "opened, all refused"
				}
				outcomes[fmt.Sprintf("%s, stale %v", outcome, stale)]++
				t.Logf("%s+%d: %s: %d read, %d refused; journal %v, damage %+v", name, sector, outcome, read, refused,
					f.Volume().Journal.State, f.Damage())
			}
		}
	}
	t.Logf("%d files: %v", len(names), outcomes)
}

// Where the kernel mounts a volume of the corpus, and reads something, this
// package reads the same or says what is wrong; and what it reads where the
// kernel fails, it shows only where that is known to be so.
func TestCorpusKernel(t *testing.T) {
	kernel(t)
	root := testenv.Corpus(t)
	images, err := filepath.Glob(filepath.Join(root, "ext_e2fsprogs/*/tests/*/image.*"))
	if err != nil {
		t.Fatal(err)
	}
	mounted, same, refused, more := 0, 0, 0, 0
	for _, path := range images {
		name := filepath.Base(filepath.Dir(path))
		rel, _ := filepath.Rel(root, path)
		raw := corpusImage(t, filepath.ToSlash(rel))
		f, err := Open(context.Background(), bytes.NewReader(raw), int64(len(raw)), Options{})
		if err != nil {
			continue
		}
		image := filepath.Join(t.TempDir(), "image")
		mounttest.WriteSparse(t, image, raw)
		dir, umount, err := tryMount(t, image, "noatime,errors=continue")
		if err != nil {
			if f.unknown == nil {
				t.Logf("%s: read, but not mounted", name)
			}
			continue
		}
		mounted++
		want := mounttest.KernelView(t, dir)
		got := view(t, f)
		equal, wrong := 0, 0
		fail := func(format string, args ...any) {
			t.Helper()
			if wrong++; wrong <= 5 {
				t.Errorf("%s: %s", name, fmt.Sprintf(format, args...))
			}
		}
		for path, w := range want {
			g, ok := got[path]
			for parent := path; !ok && parent != "."; {
				parent = filepath.Dir(parent)
				g = got[parent]
				ok = g.Err != ""
			}
			if _, ok := f.truncated[uint32(g.Inode)]; ok {
				g.Modified, g.Changed = w.Modified, w.Changed
			}
			diff := mounttest.Diff(w, g)
			switch {
			case !ok:
				fail("%q is missing; it is %+v", path, w)
			case diff == "":
				equal++
			case g.Err != "":
				refused++
			case w.Err != "":
				more++
			default:
				fail("%q (-want +got): %s", path, diff)
			}
		}
		for path, g := range got {
			if _, ok := want[path]; ok {
				continue
			}
			excused := false
			for parent := path; !excused && parent != "."; {
				parent = filepath.Dir(parent)
				excused = want[parent].Err != "" || got[parent].Err != ""
			}
			if !excused && name != "f_h_badnode" { // the kernel loses what is in a broken tree
				fail("%q is not there; here %+v", path, g)
			}
			more++
		}
		if _, err := f.Usage(); err == nil {
			compareUsage(t, f, dir)
		}
		umount()
		if equal == len(want) && len(want) == len(got) {
			same++
		}
	}
	t.Logf("%d images, %d of them mounted, %d the same in all; %d files only the kernel shows, %d only this package",
		len(images), mounted, same, refused, more)
}
