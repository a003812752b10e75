package source

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// folder is a folder with files of these contents.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestBeside: a part of an image is a regular file of the same folder, and nothing
// else is opened.
func TestBeside(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"images/disk.001": "one", "images/disk.002": "two", "images/sub/x": "x",
		"secret": "s"})
	images := filepath.Join(dir, "images")
	for link, target := range map[string]string{"within": "disk.002", "out": "../secret",
		"absolute": filepath.Join(dir, "secret"), "gone": "nothing"} {
		if err := os.Symlink(target, filepath.Join(images, link)); err != nil {
			t.Skip("needs symbolic links: ", err)
		}
	}
	first, err := Open(t.Context(), filepath.Join(images, "disk.001"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for name, want := range map[string]error{
		"disk.002":     nil,
		"disk.001":     nil,
		"within":       nil,
		"disk.003":     fs.ErrNotExist,
		"gone":         fs.ErrNotExist,
		"":             fs.ErrInvalid,
		".":            fs.ErrInvalid,
		"..":           fs.ErrInvalid,
		"../secret":    fs.ErrInvalid,
		"sub/x":        fs.ErrInvalid,
		`sub\x`:        fs.ErrInvalid,
		"/etc/passwd":  fs.ErrInvalid,
		"disk.002\x00": fs.ErrInvalid,
		"sub":          fs.ErrInvalid,
		"out":          errAny,
		"absolute":     errAny,
	} {
		s, err := first.Beside(t.Context(), name)
		if want == nil {
			p := make([]byte, 3)
			if err != nil {
				t.Errorf("%q: %v", name, err)
				continue
			}
			if _, err := s.ReadAt(p, 0); err != nil || s.Name() != filepath.Join(images, name) || name == "disk.002" &&
				string(p) != "two" {
				t.Errorf("%q: %q of %s, %v", name, p, s.Name(), err)
			}
			s.Close()
			continue
		}
		if err == nil {
			s.Close()
		}
		if err == nil || want != errAny && !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
		if errors.Is(err, fs.ErrNotExist) != (want == fs.ErrNotExist) {
			t.Errorf("%q: %v is told to be missing", name, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := first.Beside(ctx, "disk.002"); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: %v", err)
	}
	if _, err := NewReader(t.Context(), "r", strings.NewReader("r"), 1).Beside(t.Context(), "r"); !errors.Is(err,
		fs.ErrNotExist) {
		t.Errorf("beside a reader: %v", err)
	}
}

var errAny = errors.New("any error")

// TestSame: a file is the same by every path and link.
func TestSame(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{"a": "1", "b": "1"})
	a, b, hard, soft := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "hard"),
		filepath.Join(dir, "soft")
	if err := errors.Join(os.Link(a, hard), os.Symlink("a", soft)); err != nil {
		t.Skip("needs links: ", err)
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{a, a, true}, {a, filepath.Join(dir, ".", "x", "..", "a"), true}, {a, hard, true}, {soft, a, true},
		{a, b, false}, {a, filepath.Join(dir, "missing"), false},
		{filepath.Join(dir, "missing"), filepath.Join(dir, "missing"), false},
	} {
		if got := Same(tt.a, tt.b); got != tt.want {
			t.Errorf("%s and %s: %t", tt.a, tt.b, got)
		}
	}
}

// TestHold: the edges are read once while they are held, and counted once; what cannot
// be read is an error each time.
func TestHold(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789", 100)
	s := NewReader(t.Context(), "r", strings.NewReader(content), 1000)
	release := s.Hold(100, 50)
	check := func(off int64, n int, want Counters) {
		t.Helper()
		p := make([]byte, n)
		if got, err := s.ReadAt(p, off); got != n || err != nil || string(p) != content[off:][:n] {
			t.Errorf("%d bytes at %d: %q, %v", n, off, p[:got], err)
		}
		if got := s.Counters(); got != want {
			t.Errorf("%d bytes at %d: %+v, want %+v", n, off, got, want)
		}
	}
	check(0, 10, Counters{100, 1})
	check(90, 10, Counters{100, 1})
	check(0, 100, Counters{100, 1})
	check(91, 10, Counters{110, 2})
	check(950, 50, Counters{160, 3})
	check(999, 1, Counters{160, 3})
	check(949, 1, Counters{161, 4})
	if n, err := s.ReadAt(make([]byte, 10), 995); n != 5 || err != io.EOF {
		t.Errorf("across the end: %d, %v", n, err)
	}
	if n, err := s.ReadAt(make([]byte, 10), -1); n != 0 || err == nil {
		t.Errorf("before the beginning: %d, %v", n, err)
	}
	release()
	before := s.Counters()
	check(0, 10, Counters{before.Bytes + 10, before.Reads + 1})

	broken := errors.New("broken")
	s = NewReader(t.Context(), "r", failsFrom{strings.NewReader(content), 50, broken}, 1000)
	defer s.Hold(100, 100)()
	if n, err := s.ReadAt(make([]byte, 10), 0); n != 10 || err != nil {
		t.Errorf("what can be read of an edge that cannot: %d, %v", n, err)
	}
	if _, err := s.ReadAt(make([]byte, 10), 60); !errors.Is(err, broken) || !errors.Is(err, ErrIO) {
		t.Errorf("what cannot: %v", err)
	}
}

// TestOpenRefuses: what is no file and no device is refused by name, before it is opened.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, want := range map[string]error{dir: ErrNotImage, filepath.Join(dir, "missing"): fs.ErrNotExist,
		"": fs.ErrNotExist} {
		s, err := Open(t.Context(), name, Options{})
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
}

// TestDevice: a loop device has the size and the content of the file behind it, and
// nothing is known of its changes.
func TestDevice(t *testing.T) {
	testenv.Loop(t)
	t.Parallel()
	content := strings.Repeat("device..", 64<<10)
	path := filepath.Join(folder(t, map[string]string{"disk.img": content}), "disk.img")
	loop, detach := testenv.Attach(t, path)
	t.Cleanup(detach)
	s, err := Open(t.Context(), loop, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := make([]byte, len(content))
	if _, err := s.ReadAt(p, 0); err != nil || string(p) != content || s.Size() != int64(len(content)) {
		t.Errorf("%d bytes, %v", s.Size(), err)
	}
	if start, end := s.Data(5); start != 5 || end != s.Size() {
		t.Errorf("data from %d to %d", start, end)
	}
	if !s.Modified().IsZero() || s.Changed() != nil {
		t.Errorf("%v, %v", s.Modified(), s.Changed())
	}
}
