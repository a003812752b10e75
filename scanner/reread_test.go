package scanner

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	filesystem "github.com/coldcheck/coldcheck/scanner/volume"
)

// WorkerImage is the variable that makes this program the child of a
// cross-check, with the image of that path.
const WorkerImage = "COLDCHECK_TEST_WORKER_IMAGE"

// TestReread compares every file of the volumes that the tests of the
// filesystems read, made by real tools, with what the other parsers read.
// Where these are known to fall short it says by how many files.
func TestReread(t *testing.T) {
	testenv.Sequential(t)
	const (
		agrees     = "agrees"
		noUTF8     = "not asked: contains a name that is not UTF-8"
		wof        = "not asked: compressed by the Windows Overlay Filter, which go-ntfs does not read"
		shortLZNT1 = "failed: go-ntfs: N of N bytes read: unexpected EOF"
		nilPointer = "failed: go-diskfs: panic: runtime error: invalid memory address or nil pointer dereference"
		noChecksum = "failed: go-diskfs: reads only filesystems with metadata_csum, which this one lacks"
	)
	for name, want := range map[string]map[string]int{
		// One of everything. What is deduplicated or in the cloud we do not read.
		"../ntfs/testdata/small.img.gz": {
			agrees: 109, wof: 1, shortLZNT1: 1,
			"not asked: N of N bytes read: read cloud: unsupported: cloud file (reparse tag 0x9000601A): the volume " +
				"does not have all of the content": 1,
			"not asked: N of N bytes read: read dedup: unsupported: deduplication (reparse tag 0x80000013): the volume " +
				"does not have all of the content": 1,
		},
		"../ntfs/testdata/wof.img.gz": {agrees: 19, wof: 16},
		// Folders with inline data.
		"../ext4/testdata/ext4.img.gz": {agrees: 62, nilPointer: 22, noUTF8: 2},
		// Nearly all is in the journal: a scan does not ask then, see stale.
		"../ext4/testdata/dirty.img.gz": {agrees: 1, noUTF8: 2, "differs: not found by go-diskfs": 83,
			"differs: the number of names is N, but N in go-diskfs": 1},
		"../ext4/testdata/ext2.img.gz": {noChecksum: 86, noUTF8: 2},
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			path := unpacked(t, name)
			image, err := openImage(t.Context(), File(path))
			if err != nil {
				t.Fatal(err)
			}
			defer image.Close()
			v := image.Volumes()[0]
			fsys, err := filesystem.Supported.Open(t.Context(), v.Filesystem, v, v.Size, filesystem.Options{})
			if err != nil {
				t.Fatal(err)
			}
			r := &volume{Volume: v, fs: fsys}
			got := map[string]int{}
			count := func(name, result string) {
				got[numbers.ReplaceAllString(result, "${1}N")]++
				if result != agrees {
					t.Logf("%s: %s", name, result)
				}
			}
			var checks []crosscheck.Check
			err = fs.WalkDir(fsys, ".", func(name string, _ fs.DirEntry, err error) error {
				if err != nil {
					return err
				}
				want, err := r.reread(name, true)
				if err != nil {
					count(name, "not asked: "+err.Error())
					return nil
				}
				checks = append(checks, crosscheck.Check{Question: crosscheck.Question{
					Kind: crosscheck.File, Volume: v.Number, Filesystem: v.Filesystem, Path: name, Content: true, Record: want.Record,
				}, Want: want})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			start := func(ctx context.Context) *exec.Cmd {
				self, err := os.Executable()
				if err != nil {
					panic(err)
				}
				cmd := exec.CommandContext(ctx, self)
				cmd.Env = append(os.Environ(), WorkerImage+"="+path)
				return cmd
			}
			answers, err := crosscheck.Run(t.Context(), start, crosscheck.DefaultLimits, checks, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i, a := range answers {
				result := string(a.State)
				if a.Reason != "" {
					result += ": " + a.Reason
				}
				count(checks[i].Path, result)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

var numbers = regexp.MustCompile(`(^| )\d+\b`)

// unpacked writes an image of the tests to a file. Those of NTFS were packed
// as differences of 16-bit words.
func unpacked(t *testing.T, name string) string {
	t.Helper()
	packed, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	image, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(filepath.Dir(filepath.Dir(name))) == "ntfs" {
		var last uint16
		for i := 0; i < len(image); i += 2 {
			last += binary.LittleEndian.Uint16(image[i:])
			binary.LittleEndian.PutUint16(image[i:], last)
		}
	}
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, image, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// The state of a piece of evidence depends on all of its answers, and on
// whether the data on the disk may be older than the data that the checks used.
func TestPieceConclude(t *testing.T) {
	var (
		yes  = crosscheck.Answer{State: crosscheck.Agrees}
		no   = crosscheck.Answer{State: crosscheck.Differs, Reason: "its size"}
		lost = crosscheck.Answer{State: crosscheck.Failed, Reason: "no answer"}
	)
	var (
		confirmed = requirement.CrossCheck{State: requirement.CrossConfirmed, Readers: crosscheck.GoNTFS}
		differs   = requirement.CrossCheck{State: requirement.CrossDiffers, Reason: "its size"}
		failed    = requirement.CrossCheck{State: requirement.CrossFailed, Reason: "no answer"}
		notAsked  = func(why string) requirement.CrossCheck {
			return requirement.CrossCheck{State: requirement.CrossNotAsked, Reason: why}
		}
	)
	for name, c := range map[string]struct {
		beyond, stale string
		answers       []crosscheck.Answer
		want          requirement.CrossCheck
		count         CrossCheck
		notices       int
	}{
		"agrees":              {"", "", []crosscheck.Answer{yes}, confirmed, CrossCheck{Confirmed: 1}, 0},
		"differs":             {"", "", []crosscheck.Answer{no}, differs, CrossCheck{Differ: 1}, 1},
		"fails":               {"", "", []crosscheck.Answer{lost}, failed, CrossCheck{Failed: 1}, 1},
		"one of two differs":  {"", "", []crosscheck.Answer{yes, no}, differs, CrossCheck{Differ: 1}, 1},
		"differs, then fails": {"", "", []crosscheck.Answer{no, lost}, differs, CrossCheck{Differ: 1}, 1},
		"fails, then differs": {"", "", []crosscheck.Answer{lost, no}, differs, CrossCheck{Differ: 1}, 1},
		"fails, then agrees":  {"", "", []crosscheck.Answer{lost, yes}, failed, CrossCheck{Failed: 1}, 1},
		"recovered, agrees":   {"", "from a log", []crosscheck.Answer{yes}, confirmed, CrossCheck{Confirmed: 1}, 0},
		"recovered, differs": {"", "from a log", []crosscheck.Answer{no}, notAsked("from a log"), CrossCheck{NotAsked: 1},
			0},
		"recovered, fails":     {"", "from a log", []crosscheck.Answer{lost}, failed, CrossCheck{Failed: 1}, 1},
		"there is no question": {"a document", "", nil, notAsked("a document"), CrossCheck{NotAsked: 1}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			ev := requirement.Evidence{Source: "root", Path: "a"}
			check := crosscheck.Check{Question: crosscheck.Question{Kind: crosscheck.File, Filesystem: disk.NTFS}}
			p := piece{Evidence: &ev, checks: []crosscheck.Check{check}, beyond: c.beyond, stale: c.stale}
			var count CrossCheck
			var trail requirement.Trail
			n := &disagreements{}
			p.conclude(c.answers, &count, n)
			n.notify(&trail)
			if ev.CrossCheck != c.want || count != c.count || len(trail.Notices()) != c.notices {
				t.Errorf("%+v, %+v, %+v", ev, count, trail.Notices())
			}
		})
	}
}
