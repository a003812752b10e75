package source

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"testing"
)

// A section has the bytes of its part, below, at and above both ends, and no others.
func TestSection(t *testing.T) {
	s := NewReader(t.Context(), "a.ova", bytes.NewReader([]byte("0123456789")), 10)
	part, err := s.Section("a.vmdk", 3, 5, nil)
	if err != nil {
		t.Fatal(err)
	}
	if part.Name() != "a.vmdk" || part.Size() != 5 {
		t.Errorf("%s of %d bytes", part.Name(), part.Size())
	}
	for _, tt := range []struct {
		off  int64
		n    int
		want string
		err  error
	}{{0, 5, "34567", nil}, {0, 6, "34567", io.EOF}, {4, 1, "7", nil}, {4, 2, "7", io.EOF}, {5, 1, "", io.EOF}} {
		p := make([]byte, tt.n)
		if n, err := part.ReadAt(p, tt.off); string(p[:n]) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("%d bytes at %d: %q, %v", tt.n, tt.off, p[:n], err)
		}
	}
	if got := s.Counters().Bytes; got != 5+5+1+1 {
		t.Errorf("%d bytes were read of the archive", got)
	}
	if _, err := part.Beside(t.Context(), "b.vmdk"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file next to it: %v", err)
	}
	if err := part.Close(); err != nil {
		t.Error(err)
	}
	if _, err := part.ReadAt(make([]byte, 1), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := s.ReadAt(make([]byte, 1), 0); err != nil {
		t.Errorf("the archive, after the section was closed: %v", err)
	}
}

// A section must be within the source; it may take all of it, or nothing at its end.
func TestSectionBounds(t *testing.T) {
	s := NewReader(t.Context(), "a.ova", bytes.NewReader(make([]byte, 10)), 10)
	for _, tt := range []struct {
		off, size int64
		ok        bool
	}{{0, 10, true}, {10, 0, true}, {9, 1, true}, {0, 11, false}, {1, 10, false}, {11, 0, false}, {-1, 1, false},
		{0, -1, false}, {1<<63 - 1, 1, false}, {1, 1<<63 - 1, false}} {
		if _, err := s.Section("a", tt.off, tt.size, nil); errors.Is(err, fs.ErrInvalid) == tt.ok {
			t.Errorf("%d bytes at %d: %v", tt.size, tt.off, err)
		}
	}
}

// The other files of an archive are those that it opens.
func TestSectionBeside(t *testing.T) {
	s := NewReader(t.Context(), "a.ova", bytes.NewReader(make([]byte, 10)), 10)
	var asked []string
	part, err := s.Section("a.vmdk", 0, 5, func(_ context.Context, name string) (*Source, error) {
		asked = append(asked, name)
		return s.Section(name, 5, 5, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	if other, err := part.Beside(t.Context(), "b.vmdk"); err != nil || other.Name() != "b.vmdk" || len(asked) != 1 {
		t.Errorf("%v, %v", asked, err)
	}
	if _, err := part.Beside(t.Context(), "../b.vmdk"); !errors.Is(err, fs.ErrInvalid) || len(asked) != 1 {
		t.Errorf("%v, %v", asked, err)
	}
}
