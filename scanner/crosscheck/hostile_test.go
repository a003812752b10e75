package crosscheck

import (
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"www.velocidex.com/golang/go-ntfs/parser"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

// imageOf writes the root image of a built-in case to a file, with holes.
func imageOf(t *testing.T, name string) string {
	t.Helper()
	c, err := fixtures.Find(name)
	if err != nil {
		t.Fatal(err)
	}
	image := c.Images[0]
	r, err := image.Open()
	if err != nil {
		t.Fatal(err)
	}
	next := r.(interface{ Next(int64) int64 }).Next
	path := filepath.Join(t.TempDir(), image.Role+".img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 256<<10)
	for at := next(0); at < image.Size; at = next(at + int64(len(block))) {
		n := min(int64(len(block)), image.Size-at)
		if _, err := r.ReadAt(block[:n], at); err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(block[:n], at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(image.Size); err != nil {
		t.Fatal(err)
	}
	return path
}

// windowsVolume is the NTFS volume with Windows on the image at path, and its
// place on the disk.
func windowsVolume(t *testing.T, path string) (*ntfsReader, *disk.Volume) {
	t.Helper()
	disks, err := openImage(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	volumes := disks[0].Volumes()
	v := volumes[len(volumes)-1]
	r, err := openNTFS(io.NewSectionReader(v, 0, v.Size))
	if err != nil {
		t.Fatal(err)
	}
	return r.(*ntfsReader), v
}

// placeOf is the offset on the volume of a byte of a stream.
func placeOf(t *testing.T, n *ntfsReader, file *parser.MFT_ENTRY, kind uint64, at int64) int64 {
	t.Helper()
	for _, a := range file.EnumerateAttributes(n.ntfs) {
		if a.Type().Value != kind || a.IsResident() {
			continue
		}
		for _, run := range a.RunList() {
			if size := run.Length * n.ntfs.ClusterSize; at >= size {
				at -= size
			} else {
				return run.Offset*n.ntfs.ClusterSize + at
			}
		}
	}
	t.Fatal("no such byte")
	return 0
}

func found(t *testing.T, n *ntfsReader, path string) (*parser.MFT_ENTRY, int64) {
	t.Helper()
	number, err := n.find(path, 0)
	if err != nil || number < 0 {
		t.Fatalf("%s: record %d, %v", path, number, err)
	}
	file, err := n.record(number)
	if err != nil {
		t.Fatal(err)
	}
	return file, number
}

func poke(t *testing.T, path string, at int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
}

const system32 = "Windows/System32"

// hugeIndex gives the index of System32 a size of 16 TiB, which go-ntfs goes
// through in steps of 4 KiB and keeps.
func hugeIndex(t *testing.T, path string) {
	n, v := windowsVolume(t, path)
	folder, number := found(t, n, system32)
	for _, a := range folder.EnumerateAttributes(n.ntfs) {
		if a.Type().Value != parser.ATTR_TYPE_INDEX_ALLOCATION {
			continue
		}
		field := a.Offset + 0x30 // the size of the data
		if end := field + 8; field/512 != end/512 || field%512 > 500 {
			t.Fatalf("the field is at %d, where the fixups are", field)
		}
		mft, err := n.record(0)
		if err != nil {
			t.Fatal(err)
		}
		at := placeOf(t, n, mft, parser.ATTR_TYPE_DATA, number*n.ntfs.GetRecordSize()+field)
		poke(t, path, v.Offset+at, binary.LittleEndian.AppendUint64(nil, 1<<44))
		return
	}
	t.Fatal(system32 + " has no index that could be patched")
}

// ringOfLists makes the list of the root's subkeys an index root whose one
// element is itself.
func ringOfLists(t *testing.T, path, hiveName string) {
	n, v := windowsVolume(t, path)
	file, number := found(t, n, hiveName)
	h, err := n.openHive(Question{Path: hiveName, Record: uint64(number)})
	if err != nil {
		t.Fatal(err)
	}
	root, err := h.key("")
	if err != nil {
		t.Fatal(err)
	}
	list := root.SubKeyLists()[0]
	cell := binary.LittleEndian.AppendUint16([]byte("ri"), 1)
	cell = binary.LittleEndian.AppendUint32(cell, list)
	poke(t, path, v.Offset+placeOf(t, n, file, parser.ATTR_TYPE_DATA, binsStart+int64(list)+4), cell)
}

// What go-ntfs and regparser do not survive stays with the questions that meet
// it: the others, before and after, are answered.
func TestHostileImages(t *testing.T) {
	testenv.Sequential(t)
	const system, software = system32 + "/config/SYSTEM", system32 + "/config/SOFTWARE"
	ask := func(kind Kind, path, key string) Check {
		c := Check{Question: Question{Kind: kind, Volume: 2, Filesystem: disk.NTFS, Path: path, Key: key},
			Want: Reading{Found: true}}
		if kind == File {
			c.Want.What = AFolder
		}
		return c
	}
	for name, c := range map[string]struct {
		harm   func(t *testing.T, path string)
		checks []Check
		want   string
		reason string // of each failure
	}{
		"huge index": {
			hugeIndex,
			[]Check{ask(File, "Users", ""), ask(File, "Windows", ""), ask(File, system32, ""), ask(Key, system, "Select"),
				ask(File, "Windows/WinSxS", "")},
			"AAFFA", "the second reader ended: more than 512 MiB of memory",
		},
		"ring of lists": {
			func(t *testing.T, path string) { ringOfLists(t, path, software) },
			[]Check{ask(Key, system, "Select"), ask(Key, software, "Microsoft"), ask(Key, software, "Classes"),
				ask(File, system32, "")},
			"AFFA", "the second reader ended: stack overflow",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := imageOf(t, "ready")
			for i := range c.checks { // what a sound image has is what is wanted
				n, _ := windowsVolume(t, path)
				r, err := n.read(c.checks[i].Question)
				if err != nil {
					t.Fatal(err)
				}
				c.checks[i].Want = r
			}
			c.harm(t, path)
			s := &starter{mode: "serves", images: []string{path}}
			answers, err := Run(t.Context(), s.start, patient, c.checks, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d children", s.count)
			if got := states(answers); got != c.want {
				t.Errorf("%s, want %s: %+v", got, c.want, answers)
			}
			for _, a := range answers {
				if a.State == Failed && !strings.Contains(a.Reason, c.reason) && !raceDetector {
					t.Errorf("%q, want %q", a.Reason, c.reason)
				}
			}
		})
	}
}

// The child whose memory is eaten holds not much more than its limit.
func TestPeakMemory(t *testing.T) {
	path := imageOf(t, "ready")
	hugeIndex(t, path)
	const limit = 128 << 20
	s := &starter{mode: "serves", memory: limit, images: []string{path}}
	check := Check{Question: Question{Kind: File, Volume: 2, Filesystem: disk.NTFS, Path: system32}}
	answers, err := Run(t.Context(), s.start, patient, []Check{check}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if answers[0].State != Failed {
		t.Errorf("%+v", answers[0])
	}
	peak := peakMemory(s.last.ProcessState)
	if peak == 0 || raceDetector {
		t.Skip("this system does not tell the peak, or the race detector adds to it")
	}
	t.Logf("%d MiB", peak>>20)
	if peak > limit+64<<20 {
		t.Errorf("%d MiB, limit %d", peak>>20, limit>>20)
	}
}
