package source

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// luks is how the sources of these tests begin.
const luks = "LUKS\xba\xbe\x00\x02"

// hashBuffer is how much Sum reads at once, in bytes.
const hashBuffer = 4 << 20

// The sum of a file with holes, and of a reader, is that of its bytes, for
// sizes below, at and above that of the pieces, and reading for it is not
// counted.
func TestSum(t *testing.T) {
	for _, size := range []int64{512, hashBuffer - 1, hashBuffer, hashBuffer + 1, 3*hashBuffer + 512} {
		content := make([]byte, size)
		copy(content, luks)
		copy(content[size-8:], "the end.")
		want := sha256.Sum256(content)

		path := filepath.Join(t.TempDir(), "disk.img")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		err = f.Truncate(size)
		if err == nil {
			_, err = f.WriteAt([]byte(luks), 0)
		}
		if err == nil {
			_, err = f.WriteAt([]byte("the end."), size-8)
		}
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		file, err := Open(t.Context(), path, Options{})
		if err != nil {
			t.Fatal(err)
		}
		memory := NewReader(t.Context(), "memory", bytes.NewReader(content), size)
		for _, i := range []*Source{file, memory} {
			before := i.Counters()
			var told []int64
			h := sha256.New()
			err := i.Sum(h, func(done int64) error { told = append(told, done); return nil })
			if got := h.Sum(nil); err != nil || !bytes.Equal(got, want[:]) {
				t.Errorf("%s of %d bytes: %x, want %x; %v", i.Name(), size, got, want, err)
			}
			if len(told) == 0 || told[len(told)-1] != size {
				t.Errorf("%s of %d bytes: progress %v", i.Name(), size, told)
			}
			if after := i.Counters(); after != before {
				t.Errorf("%+v were counted", after)
			}
			if err := i.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// An unreadable file has no hash, and the progress function can stop the
// hashing.
func TestSumFails(t *testing.T) {
	broken := errors.New("bad sector")
	size := int64(3 * hashBuffer)
	for name, tt := range map[string]struct {
		r    io.ReaderAt
		want error
	}{
		"an error":  {failsFrom{bytes.NewReader(make([]byte, size)), 2 * hashBuffer, broken}, broken},
		"too short": {bytes.NewReader(make([]byte, size-1)), io.ErrUnexpectedEOF},
	} {
		i := NewReader(t.Context(), name, tt.r, size)
		if err := i.Sum(sha256.New(), nil); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	i := NewReader(t.Context(), "whole", bytes.NewReader(make([]byte, size)), size)
	if err := i.Sum(sha256.New(), func(int64) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("ended by the progress: %v", err)
	}
}

type failsFrom struct {
	io.ReaderAt
	from int64
	err  error
}

func (f failsFrom) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

// A file that is written to while it is open is detected.
func TestChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, append([]byte(luks), make([]byte, 1<<20)...), 0o666); err != nil {
		t.Fatal(err)
	}
	i, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if err := i.Changed(); err != nil {
		t.Error(err)
	}
	later := i.Modified().Add(time.Second)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	if err := i.Changed(); err == nil || !strings.Contains(err.Error(), "written at") {
		t.Errorf("another time: %v", err)
	}
	if err := os.Truncate(path, 1<<19); err != nil {
		t.Fatal(err)
	}
	if err := i.Changed(); err == nil || !strings.Contains(err.Error(), "524288") {
		t.Errorf("another size: %v", err)
	}
}
