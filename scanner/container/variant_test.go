package container

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// variant is an image of one kind of a format that a real tool makes of a raw image.
type variant struct {
	name  string
	tools []string // that make needs
	// make writes the image of the raw image at raw to folder, and returns the name of
	// the file to open, and the parents to name.
	make func(t *testing.T, folder, raw string) (file string, parents []string)
	// open opens the image; nil for openFile.
	open func(ctx context.Context, name string, parents ...string) ([]Disk, error)
	// format is what the image opens as; "" if it is refused.
	format string
	// detail and note are what the detail is, and the notes contain, of an image that is
	// opened; "" is not compared.
	detail, note string
	// refused is what the error of a refused image must contain.
	refused string
	// slow says that reading it takes a minute: only nightly runs do.
	slow bool
	// padded says that the tool adds zeros at the end of the disk.
	padded bool
	// size is the size of the disk; 0 means variantSize. The zeros after
	// variantSize are a hole.
	size int64
}

// variantSize is the usual size of the disk in a variant, in bytes.
const variantSize = 24 << 20

// variantContent is the content of a disk of size bytes: random data, text, zeros
// within them, a hole, and a last sector.
func variantContent(size int64) []byte {
	b := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{1})
	rng.Read(b[:3<<20])
	clear(b[1<<20+512 : 1<<20+200_000])
	copy(b[5<<20:], bytes.Repeat([]byte("Nothing that cannot be read ever passes. "), 120_000))
	for at := 12 << 20; at < 13<<20; at += 8192 {
		rng.Read(b[at : at+4096])
	}
	rng.Read(b[variantSize-700 : variantSize])
	rng.Read(b[size-512:])
	return b
}

// runVariants opens each variant and compares it with the raw image: all data, 4,000
// random reads, the end, and extents. A run that is not full opens some of them.
func runVariants(t *testing.T, variants []variant) {
	for i, v := range variants {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			testenv.Share(t, i, 10, 8)
			if v.slow && !testenv.Nightly() {
				t.Skip("takes a minute: runs in make nightly")
			}
			testenv.Tool(t, v.tools...)
			size := v.size
			if size == 0 {
				size = variantSize
			}
			content, folder := variantContent(size), t.TempDir()
			raw := filepath.Join(t.TempDir(), "disk.raw")
			if err := os.WriteFile(raw, content, 0o666); err != nil {
				t.Fatal(err)
			}
			name, parents := v.make(t, folder, raw)
			open := openFile
			if v.open != nil {
				open = v.open
			}
			disks, err := open(t.Context(), name, parents...)
			if v.refused != "" {
				if err == nil || !strings.Contains(err.Error(), v.refused) {
					t.Errorf("%v, want %s", err, v.refused)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer closeAll(t, disks)
			if len(disks) != 1 || disks[0].Format() != v.format {
				t.Fatalf("%d disks of %s", len(disks), disks[0].Format())
			}
			if d := disks[0]; v.detail != "" && d.Detail() != v.detail ||
				v.note != "" && !strings.Contains(strings.Join(d.Notes(), "\n"), v.note) {
				t.Errorf("detail %q, notes %q", d.Detail(), d.Notes())
			}
			if n := disks[0].Size() - size; v.padded && n > 0 {
				content = append(content, make([]byte, n)...)
			}
			imgconform.Equal(t, disks[0], content)
		})
	}
}

// openFile opens the disks in a file.
func openFile(ctx context.Context, name string, parents ...string) ([]Disk, error) {
	s, err := source.Open(ctx, name, source.Options{})
	if err != nil {
		return nil, err
	}
	var o Options
	for _, p := range parents {
		o.Parents = append(o.Parents, Candidate{p, func(ctx context.Context) (*source.Source, error) {
			return source.Open(ctx, p, source.Options{})
		}})
	}
	disks, err := Open(ctx, s, o)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return disks, nil
}

func closeAll(t *testing.T, disks []Disk) {
	for _, d := range disks {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// run runs a tool.
func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, out)
	}
}

// TestRawVariants: a raw image of any name is its content.
func TestRawVariants(t *testing.T) {
	copied := func(name string) func(t *testing.T, folder, raw string) (string, []string) {
		return func(t *testing.T, folder, raw string) (string, []string) {
			file := filepath.Join(folder, name)
			run(t, "cp", "--sparse=always", raw, file)
			return file, nil
		}
	}
	runVariants(t, []variant{
		{name: "raw", tools: []string{"cp"}, make: copied("disk.img"), format: "raw"},
		{name: "raw with the name of another format", tools: []string{"cp"}, make: copied("disk.qcow2"), format: "raw"},
	})
}
