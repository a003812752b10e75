package disk

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/bounded"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

func TestOpenCutOff(t *testing.T) {
	b := make([]byte, 3*mib+100)
	copy(b, ntfsBoot(8*2048-1))
	i, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"the image has 3145828 bytes (3.0 MiB), which is not a multiple of the sector size: it is truncated",
		"the volume: needs 8388096 bytes (8.0 MiB), the image has 3145828 bytes (3.0 MiB) of it: it is truncated",
	}
	if strings.Join(i.Notes, "\n") != strings.Join(want, "\n") {
		t.Errorf("notes %q, want %q", i.Notes, want)
	}
	v := i.Volumes()[0]
	if v.Size != int64(len(b)) || v.Declared != 8388096 {
		t.Errorf("%d of %d bytes", v.Size, v.Declared)
	}
	p := make([]byte, 512)
	if n, err := v.ReadAt(p, v.Size-100); n != 100 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read across the end: %d, %v", n, err)
	}
	if n, err := v.ReadAt(p, v.Size+512); n != 0 || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("read behind the end: %d, %v", n, err)
	}
}

func TestVolumeReadAt(t *testing.T) {
	image := newSparse(4*mib).put(0, mbrSector(1, [4]uint32{0, 0x07, 2048, 2048})).put(1*mib, ntfsBoot(2047))
	image.put(2*mib-1024, bytes.Repeat([]byte{'v'}, 1024)).put(2*mib, bytes.Repeat([]byte{'x'}, 512))
	i := image.open(t)
	v := i.Volumes()[0]
	for _, tt := range []struct {
		off  int64
		n    int
		want int
		err  error
	}{
		{0, 512, 512, nil},
		{mib - 512, 512, 512, nil},
		{mib - 512, 513, 512, io.EOF},
		{mib - 1, 1, 1, nil},
		{mib, 1, 0, io.EOF},
		{mib, 0, 0, nil},
		{1 << 62, 1, 0, io.EOF},
		{-1, 1, 0, bounded.ErrNegativeOffset},
	} {
		p := bytes.Repeat([]byte{'?'}, tt.n)
		n, err := v.ReadAt(p, tt.off)
		if n != tt.want || !errors.Is(err, tt.err) || (tt.err == nil && err != nil) {
			t.Errorf("%d bytes at %d: %d, %v; want %d, %v", tt.n, tt.off, n, err, tt.want, tt.err)
		}
		if bytes.IndexByte(p, 'x') >= 0 {
			t.Errorf("%d bytes at %d: bytes from behind the volume", tt.n, tt.off)
		}
	}
	name := make([]byte, 4)
	if _, err := i.ReadAt(name, 1*mib+3); err != nil || string(name) != "NTFS" {
		t.Errorf("the disk at 1 MiB: %q, %v", name, err)
	}
}

// shrinking is a file that became shorter after it was opened.
type shrinking struct{ io.ReaderAt }

func (s shrinking) ReadAt(p []byte, off int64) (int, error) {
	if off >= mib {
		return 0, io.EOF
	}
	return s.ReaderAt.ReadAt(p, off)
}

func TestImageShrinks(t *testing.T) {
	b := make([]byte, 2*mib)
	copy(b, ntfsBoot(2*2048-1))
	i, err := Open(t.Context(), shrinking{bytes.NewReader(b)}, int64(len(b)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(i.Incomplete, io.ErrUnexpectedEOF) {
		t.Errorf("incomplete: %v", i.Incomplete)
	}
	if _, err := i.Volumes()[0].ReadAt(make([]byte, 1), mib); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("%v", err)
	}
}

// TestReads: opening costs as many reads as the package comment says, and a read of
// a volume is one of the disk.
func TestReads(t *testing.T) {
	image := newSparse(4*mib).put(0, mbrSector(1, [4]uint32{0, 0x07, 2048, 2048})).put(1*mib, ntfsBoot(2047))
	s := source.NewReader(t.Context(), "test.img", image, image.size)
	i, err := Open(t.Context(), s, s.Size(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	before := s.Counters()
	if want := (source.Counters{Bytes: 2*HeadSize + TailSize, Reads: 3}); before != want {
		t.Errorf("opening: %+v, want %+v", before, want)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				i.Volumes()[0].ReadAt(make([]byte, 10), 0)
			}
		})
	}
	wg.Wait()
	if c := s.Counters(); c.Bytes-before.Bytes != 8000 || c.Reads-before.Reads != 800 {
		t.Errorf("800 reads of 10 bytes: counted %+v after %+v", c, before)
	}
}

// TestNotesAreTheSame: the notes of an image never change their order.
func TestNotesAreTheSame(t *testing.T) {
	image := newSparse(4*mib).
		put(0, mbrSector(1, [4]uint32{0, 0x42, 2048, 65536}, [4]uint32{0, 0x83, 2048, 8}, [4]uint32{0, 0x83, 2048, 100000},
			[4]uint32{0, 0x05, 3000, 10})).
		put(3000*512, mbrSector(0, [4]uint32{0, 0x83, 1, 1}, [4]uint32{0, 0x05, 0, 1}))
	want := strings.Join(image.open(t).Notes, "\n")
	for range 20 {
		if got := strings.Join(image.open(t).Notes, "\n"); got != want {
			t.Fatalf("%s\nthen\n%s", want, got)
		}
	}
	if strings.Count(want, "\n") < 5 {
		t.Errorf("too few notes to say anything: %s", want)
	}
}

const openEnv = "COLDCHECK_TEST_OPEN"

// TestMain opens an image in a process of its own for TestReadOnly.
func TestMain(m *testing.M) {
	if path := os.Getenv(openEnv); path != "" {
		s, err := source.Open(context.Background(), path, source.Options{})
		if err == nil {
			var i *Image
			if i, err = openSource(s); err == nil {
				for _, v := range i.Volumes() {
					_, err = v.ReadAt(make([]byte, 4096), 0)
				}
			}
			err = errors.Join(err, s.Close())
		}
		if err != nil {
			os.Stderr.WriteString(err.Error())
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// onlyReading is the end of a call that opens a file for reading, also where
// strace tells the result in a later line, since another thread came between.
var onlyReading = regexp.MustCompile(`O_RDONLY\|O_CLOEXEC(\)| <unfinished \.\.\.>)`)

// TestReadOnly watches the system calls: the image is opened for reading and
// nothing else, and is the same afterwards.
func TestReadOnly(t *testing.T) {
	testenv.Tool(t, "strace")
	path := filepath.Join(t.TempDir(), "root.img")
	b := writeGPT(t, 8*mib, 512, windowsGPT()...)
	copy(b[6144*512:], ntfsBoot(2047))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	past := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := os.Chtimes(path, past, past); err != nil {
		t.Fatal(err)
	}

	trace := filepath.Join(t.TempDir(), "trace")
	cmd := exec.Command("strace", "-f", "-e", "trace=file,desc", "-o", trace, os.Args[0])
	cmd.Env = append(os.Environ(), openEnv+"="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	log, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	opened := 0
	for line := range strings.Lines(string(log)) {
		if !strings.Contains(line, path) {
			continue
		}
		switch {
		case strings.Contains(line, "openat("):
			opened++
			if !onlyReading.MatchString(line) {
				t.Errorf("not only for reading: %s", line)
			}
		case strings.Contains(line, "stat"):
		default:
			t.Errorf("another call names the image: %s", line)
		}
	}
	if opened != 1 {
		t.Errorf("opened %d times", opened)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !info.ModTime().Equal(past) || sha256.Sum256(after) != sha256.Sum256(b) {
		t.Errorf("changed: modification time %v", info.ModTime())
	}
}
