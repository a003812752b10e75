package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// openAs opens an image that must have a format.
func openAs(format string) func(ctx context.Context, name string) (imgconform.Image, error) {
	return func(ctx context.Context, name string) (imgconform.Image, error) {
		s, err := source.Open(ctx, name, source.Options{})
		if err != nil {
			return nil, err
		}
		disks, err := Open(ctx, s, Options{})
		if err == nil && (len(disks) != 1 || disks[0].Format() != format) {
			err = fmt.Errorf("%s: opened as %d of %s", name, len(disks), disks[0].Format())
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		return disks[0], nil
	}
}

// TestRaw: the container that is none passes the suite.
func TestRaw(t *testing.T) {
	imgconform.Run(t, imgconform.Format{
		Open: openAs("raw"), Sparse: false,
		Write: func(t *testing.T, folder string, content []byte) string {
			name := filepath.Join(folder, "disk.img")
			if err := os.WriteFile(name, content, 0o666); err != nil {
				t.Fatal(err)
			}
			return name
		},
	})
}

// TestOpen: a source that cannot be read is no image of another kind, and what is too
// small to be a container is raw, unless it is of a format that is refused.
func TestOpen(t *testing.T) {
	broken := errors.New("broken")
	fails := func(from, to int64) *source.Source {
		return source.NewReader(t.Context(), "disk.img", failing{from, to, broken}, 1<<20)
	}
	if _, err := Open(t.Context(), fails(0, 512), Options{}); !errors.Is(err, broken) || errors.Is(err, ErrNotImage) {
		t.Errorf("the beginning cannot be read: %v", err)
	}
	if d, err := Open(t.Context(), fails(1<<20-100, 1<<20), Options{}); err != nil || d[0].Format() != "raw" {
		t.Errorf("the end cannot be read: %v", err)
	}
	for content, want := range map[string]error{
		"\x1f\x8b":     nil,
		"\x1f\x8b\x08": ErrNotImage,
		"\x1f\x8b\x08" + string(make([]byte, 508)): ErrNotImage,
		"\x1f\x8b\x08" + string(make([]byte, 509)): ErrNotImage,
		"QFI\xfb\x00\x00\x00\x03":                  nil,
		"":                                         nil,
	} {
		s := source.NewReader(t.Context(), "disk.img", bytes.NewReader([]byte(content)), int64(len(content)))
		if _, err := Open(t.Context(), s, Options{}); !errors.Is(err, want) {
			t.Errorf("%d bytes: %v, want %v", len(content), err, want)
		}
	}
}

// failing is zeros that cannot be read from one byte to another.
type failing struct {
	from, to int64
	err      error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off < f.to && off+int64(len(p)) > f.from {
		return 0, f.err
	}
	clear(p)
	return len(p), nil
}
