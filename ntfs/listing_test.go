package ntfs

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// The small volume lists as fls lists it.
func TestSmallListsAsFls(t *testing.T) {
	f := small(t).f
	out, err := os.ReadFile("testdata/small.fls")
	if err != nil {
		t.Fatal(err)
	}
	want := flsLive(out)
	if diff := cmp.Diff(listed(f, t, want), flsLines(t, f)); diff != "" {
		t.Error(diff)
	}
	if d := f.Damage(); d.Count != 0 || d.Orphans != 0 || len(d.Notes) != 0 {
		t.Errorf("damage: %+v", d)
	}
}

// The small volume's files hold what ntfs-3g read from them.
func TestSmallReadsAsNtfs3g(t *testing.T) {
	f := small(t).f
	out, err := os.ReadFile("testdata/small.sha256")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		field := strings.SplitN(strings.TrimSpace(line), " ", 3)
		name := field[2]
		data, err := f.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); got != field[0] || strconv.Itoa(len(data)) != field[1] {
			t.Errorf("%s: %d bytes with digest %s, want %s with %s", name, len(data), got, field[1], field[0])
		}
		// In odd pieces the same comes out.
		file, err := f.Open(name)
		if err != nil {
			t.Error(err)
			continue
		}
		buf := make([]byte, 777)
		for at := 0; at < len(data); at += 701 {
			n, _ := file.(*File).ReadAt(buf, int64(at))
			if want := data[at:min(at+len(buf), len(data))]; !bytes.Equal(buf[:n], want) {
				t.Errorf("%s: %d bytes at byte %d differ", name, n, at)
				break
			}
		}
	}
}

// Everything but the files whose content is refused.
type readableFS struct{ *FS }

var refusedFiles = []string{"wof", "dedup", "cloud"}

func (r readableFS) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := r.FS.ReadDir(name)
	return keepReadable(name, list), err
}

func (r readableFS) Open(name string) (fs.File, error) {
	file, err := r.FS.Open(name)
	if d, ok := file.(*dirFile); ok {
		d.list, d.err = r.ReadDir(name)
		d.read = true
	}
	return file, err
}

func keepReadable(dir string, list []fs.DirEntry) []fs.DirEntry {
	if dir != "." {
		return list
	}
	var keep []fs.DirEntry
	for _, d := range list {
		if !strings.Contains(strings.Join(refusedFiles, " "), d.Name()) {
			keep = append(keep, d)
		}
	}
	return keep
}

func TestSmallFollowsTheRulesOfFS(t *testing.T) {
	testenv.Sequential(t)
	f := small(t).f
	if err := fstest.TestFS(readableFS{f}, "scattered", "packed/mixed", "deep/1/2/3/4/5/6/7/8/9/bottom", "symlink",
		"junction"); err != nil {
		t.Error(err)
	}
}
