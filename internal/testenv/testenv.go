// Package testenv reports what tests can use on the machine: real tools, root,
// loop devices, the corpus of real images and hives.
//
// A test that lacks something is skipped and says what was missing. With
// COLDCHECK_STRICT=1 it fails instead, so that a run that is meant to have
// everything cannot pass by skipping. The corpus is the exception: it is
// wanted only where COLDCHECK_CORPUS names its folder.
package testenv

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/coldcheck/coldcheck/internal/loopdev"
)

const (
	strictVar  = "COLDCHECK_STRICT"
	corpusVar  = "COLDCHECK_CORPUS"
	nightlyVar = "COLDCHECK_NIGHTLY"
)

// pieceSize is how much unpack looks at in one go.
const pieceSize = 64 << 10

// maxCorpusFile bounds what CorpusFile holds in memory. The largest file of
// the corpus unpacks to less than half of it.
const maxCorpusFile = 2 << 30

// Strict reports whether a test that lacks something fails instead of being
// skipped.
func Strict() bool { return os.Getenv(strictVar) == "1" }

// Nightly reports whether tests do all of their work, which takes hours: what
// make nightly does. Otherwise a test whose work is long does a part of it that
// is the same in every run.
func Nightly() bool { return os.Getenv(nightlyVar) == "1" }

// Full reports whether tests of many similar cases run all of them: in a strict or a
// nightly run. Otherwise they run some, so that make test takes only minutes.
func Full() bool { return Strict() || Nightly() }

// Part skips test number i of many similar ones, unless i is a multiple of n or the
// run is Full.
func Part(t testing.TB, i, n int) {
	t.Helper()
	if i%n != 0 && !Full() {
		t.Skipf("one of every %d: %s=1 tests all", n, strictVar)
	}
}

// Share skips test number i of many similar ones that take long, unless i is a multiple
// of plain, or of strict in a strict run, or the run is Nightly.
func Share(t testing.TB, i, plain, strict int) {
	t.Helper()
	n := plain
	if Strict() {
		n = strict
	}
	if i%n != 0 && !Nightly() {
		t.Skipf("one of every %d: %s=1 tests all", n, nightlyVar)
	}
}

// Sequential skips, in short mode, a test of code that runs in one goroutine: make race
// uses that mode, and the race detector has nothing to find.
func Sequential(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("the race detector finds nothing in one goroutine")
	}
}

// Corpus returns the corpus' folder, the value of COLDCHECK_CORPUS. The test is
// skipped if that is not set, and fails if it names no folder.
func Corpus(t testing.TB) string {
	t.Helper()
	dir := os.Getenv(corpusVar)
	if dir == "" {
		t.Skipf("needs the corpus: set %s to its folder", corpusVar)
	}
	if info, err := os.Stat(dir); err != nil {
		t.Fatalf("%s: %v", corpusVar, err)
	} else if !info.IsDir() {
		t.Fatalf("%s: %s is not a folder", corpusVar, dir)
	}
	return dir
}

// CorpusFile returns the content of a file of the corpus, named relative to
// its folder with "/". A name that ends in .gz, .xz, .zst or .bz2 is unpacked.
func CorpusFile(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join(Corpus(t), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := unpack(name, f, maxCorpusFile)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return data
}

func unpack(name string, packed io.Reader, limit int64) ([]byte, error) {
	// The reader of xz reads one byte at a time.
	packed = bufio.NewReaderSize(packed, pieceSize)
	r := packed
	var err error
	switch filepath.Ext(name) {
	case ".gz":
		r, err = gzip.NewReader(packed)
	case ".xz":
		r, err = xz.NewReader(packed)
	case ".bz2":
		r = bzip2.NewReader(packed)
	case ".zst":
		var d *zstd.Decoder
		if d, err = zstd.NewReader(packed, zstd.WithDecoderConcurrency(1)); err == nil {
			defer d.Close()
			r = d
		}
	}
	if err != nil {
		return nil, err
	}
	// Most of an image is zeros. They take no memory if nothing writes them.
	type piece struct {
		at   int64
		data []byte
	}
	var pieces []piece
	var size int64
	buf, zero := make([]byte, pieceSize), make([]byte, pieceSize)
	for {
		n, err := fill(r, buf)
		if !bytes.Equal(buf[:n], zero[:n]) {
			pieces = append(pieces, piece{size, bytes.Clone(buf[:n])})
		}
		if size += int64(n); size > limit {
			return nil, fmt.Errorf("unpacks to more than %d bytes", limit)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	out := make([]byte, size)
	for _, p := range pieces {
		copy(out[p.at:], p.data)
	}
	return out, nil
}

// fill reads until p is full. Unlike io.ReadFull it returns io.EOF at the end
// of r, so that a file that is truncated differs from one that ends.
func fill(r io.Reader, p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		var k int
		k, err = r.Read(p[n:])
		n += k
	}
	return n, err
}

// Tool makes sure that every one of the named programs is installed. In short
// mode the test is skipped whatever there is: what real tools make and read
// takes long.
func Tool(t testing.TB, names ...string) {
	t.Helper()
	if testing.Short() {
		t.Skipf("not in short mode: runs %s", strings.Join(names, ", "))
	}
	var missing []string
	for _, name := range names {
		if _, err := exec.LookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		lack(t, "%s (make tools installs it)", strings.Join(missing, ", "))
	}
}

// Validator returns the path of a file of one of the npm packages that validate
// reports. They are in the module's folder .cache/validators.
func Validator(t testing.TB, pkg, name string) string {
	t.Helper()
	if testing.Short() {
		t.Skipf("not in short mode: runs %s", pkg)
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		above := filepath.Dir(dir)
		if above == dir {
			t.Fatal("the test does not run within a module")
		}
		dir = above
	}
	file := filepath.Join(dir, ".cache", "validators", "node_modules", filepath.FromSlash(pkg), filepath.FromSlash(name))
	if _, err := os.Stat(file); err != nil {
		lack(t, "%s of %s (make tools installs it)", name, pkg)
	}
	return file
}

// Root makes sure that the test runs as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		lack(t, "root")
	}
}

// Loop makes sure that the test can attach loop devices and mount FUSE
// filesystems on them.
func Loop(t testing.TB) {
	t.Helper()
	Root(t)
	Tool(t, "losetup")
	for _, dev := range []string{"/dev/fuse", "/dev/loop-control"} {
		f, err := os.OpenFile(dev, os.O_RDWR, 0)
		if err != nil {
			lack(t, "%s (%v)", dev, err)
			return
		}
		f.Close()
	}
	if out, err := exec.Command("losetup", "--find").CombinedOutput(); err != nil {
		lack(t, "a free loop device (%v: %s)", err, bytes.TrimSpace(out))
	}
}

// Attach makes a loop device of a file, with more options of losetup. detach releases it.
func Attach(t testing.TB, file string, options ...string) (device string, detach func()) {
	t.Helper()
	device, err := loopdev.Attach(t.Context(), file, options...)
	if err != nil {
		t.Fatal(err)
	}
	return device, func() {
		t.Helper()
		if err := loopdev.Detach(device); err != nil {
			t.Error(err)
		}
	}
}

// Unmount unmounts a folder. A volume is busy for a moment if another goroutine
// starts a program while a file of the volume is open: until the new process runs
// its program, it has the file open too. So a busy volume is tried again, a
// thousand times.
func Unmount(t testing.TB, dir string) {
	t.Helper()
	for tries := 1; ; tries++ {
		cmd := exec.Command("umount", dir)
		cmd.Env = append(os.Environ(), "LC_ALL=C")
		out, err := cmd.CombinedOutput()
		if err == nil {
			return
		}
		if tries == 1000 || !bytes.Contains(out, []byte("target is busy")) {
			t.Fatalf("umount %s: %v: %s", dir, err, bytes.TrimSpace(out))
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// AwaitLoop waits until no loop device has an image, as after umount. A process
// that copied the mounts of this one into a namespace of its own, as another test
// may, keeps a volume mounted for as long as it runs, and with changes that are
// not written yet.
func AwaitLoop(t testing.TB, image string) {
	t.Helper()
	for {
		out, err := exec.Command("losetup", "--noheadings", "--associated", image).CombinedOutput()
		if err != nil {
			t.Fatalf("losetup: %v: %s", err, bytes.TrimSpace(out))
		}
		if len(bytes.TrimSpace(out)) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// lack ends the test: it is skipped, or in strict mode has failed.
func lack(t testing.TB, format string, args ...any) {
	t.Helper()
	what := fmt.Sprintf(format, args...)
	if Strict() {
		t.Fatalf("needs %s, and %s=1 forbids to skip", what, strictVar)
	}
	t.Skipf("needs %s", what)
}
