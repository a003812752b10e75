package testenv

import (
	"bytes"
	"compress/gzip"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// probe is a testing.TB that remembers how the test would have ended.
type probe struct {
	testing.TB
	ended string
}

func (p *probe) Helper() {}

func (p *probe) Skipf(format string, args ...any) { p.end("skip", format, args) }

func (p *probe) Fatalf(format string, args ...any) { p.end("fatal", format, args) }

func (p *probe) end(how, format string, args []any) {
	p.ended = how + ": " + fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// outcome runs f as a test would be run and returns how it ended, "" if it
// went on.
func outcome(t *testing.T, f func(testing.TB)) string {
	p := &probe{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(p)
	}()
	<-done
	return p.ended
}

// short sets or clears short mode for a test.
func short(t *testing.T, on bool) {
	t.Helper()
	was := testing.Short()
	set := func(on bool) {
		if err := flag.Set("test.short", strconv.FormatBool(on)); err != nil {
			t.Fatal(err)
		}
	}
	set(on)
	t.Cleanup(func() { set(was) })
}

func TestShortMode(t *testing.T) {
	short(t, true)
	t.Setenv(strictVar, "1")
	if got := outcome(t, func(t testing.TB) { Tool(t, "go") }); !strings.HasPrefix(got, "skip:") {
		t.Errorf("%q, want a skip", got)
	}
}

func TestMissingTool(t *testing.T) {
	short(t, false)
	for _, tt := range []struct{ strict, want string }{
		{"", "skip: needs no-such-tool, nor-this-one"},
		{"1", "fatal: needs no-such-tool, nor-this-one"},
	} {
		t.Setenv(strictVar, tt.strict)
		got := outcome(t, func(t testing.TB) { Tool(t, "go", "no-such-tool", "nor-this-one") })
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("strict %q: %q, want %q", tt.strict, got, tt.want)
		}
	}
	t.Setenv(strictVar, "1")
	if got := outcome(t, func(t testing.TB) { Tool(t, "go") }); got != "" {
		t.Errorf("an installed tool: %q", got)
	}
}

// A share is larger in a strict run, and everything in a nightly one.
func TestShare(t *testing.T) {
	for _, tt := range []struct {
		strict, nightly string
		want            []int // that are not skipped
	}{{"", "", []int{0, 6}}, {"1", "", []int{0, 2, 4, 6}}, {"1", "1", []int{0, 1, 2, 3, 4, 5, 6}}} {
		t.Setenv(strictVar, tt.strict)
		t.Setenv(nightlyVar, tt.nightly)
		var got []int
		for i := range 7 {
			if outcome(t, func(t testing.TB) { Share(t, i, 6, 2) }) == "" {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("strict %q, nightly %q: %v, want %v", tt.strict, tt.nightly, got, tt.want)
		}
	}
}

func TestMissingValidator(t *testing.T) {
	short(t, false)
	for _, tt := range []struct{ strict, want string }{
		{"", "skip: needs no-such-file of no-such-package"},
		{"1", "fatal: needs no-such-file of no-such-package"},
	} {
		t.Setenv(strictVar, tt.strict)
		got := outcome(t, func(t testing.TB) { Validator(t, "no-such-package", "no-such-file") })
		if !strings.HasPrefix(got, tt.want) {
			t.Errorf("strict %q: %q, want %q", tt.strict, got, tt.want)
		}
	}
}

func TestCorpusIsOptionalEvenInStrictMode(t *testing.T) {
	t.Setenv(strictVar, "1")
	t.Setenv(corpusVar, "")
	if got := outcome(t, func(t testing.TB) { Corpus(t) }); !strings.HasPrefix(got, "skip:") {
		t.Errorf("unset: %q, want a skip", got)
	}
	t.Setenv(corpusVar, filepath.Join(t.TempDir(), "missing"))
	if got := outcome(t, func(t testing.TB) { Corpus(t) }); !strings.HasPrefix(got, "fatal:") {
		t.Errorf("names nothing: %q, want a failure", got)
	}
}

func TestCorpusFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(corpusVar, dir)
	want := []byte("content of a file")

	var gz, xzBuf, zst bytes.Buffer
	g := gzip.NewWriter(&gz)
	g.Write(want)
	g.Close()
	x, err := xz.NewWriter(&xzBuf)
	if err != nil {
		t.Fatal(err)
	}
	x.Write(want)
	x.Close()
	z, err := zstd.NewWriter(&zst)
	if err != nil {
		t.Fatal(err)
	}
	z.Write(want)
	z.Close()

	for name, data := range map[string][]byte{"f": want, "f.gz": gz.Bytes(), "f.xz": xzBuf.Bytes(), "f.zst": zst.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := CorpusFile(t, name); !bytes.Equal(got, want) {
			t.Errorf("%s: %q", name, got)
		}
	}
	for limit, ok := range map[int64]bool{int64(len(want)) - 1: false, int64(len(want)): true,
		int64(len(want)) + 1: true} {
		if _, err := unpack("f.gz", bytes.NewReader(gz.Bytes()), limit); (err == nil) != ok {
			t.Errorf("limit %d: %v", limit, err)
		}
	}
}

// Zeros are kept as well as what is between them, and a file that ends too early is
// an error.
func TestUnpackSparse(t *testing.T) {
	for _, size := range []int{0, 1, pieceSize - 1, pieceSize, pieceSize + 1, 5*pieceSize + 7} {
		want := make([]byte, size)
		for _, at := range []int{0, pieceSize, 3*pieceSize - 1, size - 1} {
			if at >= 0 && at < size {
				want[at] = 1
			}
		}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		z.Write(want)
		z.Close()
		got, err := unpack("f.gz", bytes.NewReader(packed.Bytes()), int64(size))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: %d, %v", size, len(got), err)
		}
		cut := packed.Bytes()[:packed.Len()-9]
		if _, err := unpack("f.gz", bytes.NewReader(cut), int64(size)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%d bytes, truncated: %v", size, err)
		}
	}
}

// Several tests attach loop devices at the same time, and each has its own.
func TestAttach(t *testing.T) {
	Loop(t)
	dir := t.TempDir()
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			name := filepath.Join(dir, strconv.Itoa(i))
			if err := os.WriteFile(name, bytes.Repeat([]byte{byte(i)}, 4096), 0o600); err != nil {
				t.Error(err)
				return
			}
			device, detach := Attach(t, name, "--offset", "512")
			defer detach()
			if got, err := os.ReadFile(device); err != nil || len(got) != 4096-512 || got[0] != byte(i) {
				t.Errorf("device %d: %d bytes, %v", i, len(got), err)
			}
		})
	}
	group.Wait()
	for i := range 8 {
		AwaitLoop(t, filepath.Join(dir, strconv.Itoa(i)))
	}
}
