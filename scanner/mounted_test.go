//go:build linux

package scanner_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// machine is a machine of a case whose volumes can be changed by the tools that
// write such volumes.
type machine struct {
	dir     string
	in      scanner.Input
	before  *scanner.Result   // of the case as it is
	images  map[string]string // files, by the names of images
	volumes map[scanner.Role]scanner.Volume
}

// newMachine unpacks the images of a case into a folder.
func newMachine(t *testing.T, c fixtures.Case, dir string) *machine {
	t.Helper()
	testenv.Loop(t)
	testenv.Tool(t, "ntfs-3g", "fuser")
	m := &machine{dir: dir, in: input(c), images: map[string]string{}, volumes: map[scanner.Role]scanner.Volume{}}
	var err error
	if m.before, err = scanner.Scan(t.Context(), m.in); err != nil {
		t.Fatal(err)
	}
	for _, v := range m.before.Volumes {
		m.volumes[v.Role] = v
	}
	for i, image := range c.Images {
		path := filepath.Join(dir, image.Name)
		m.images[image.Name] = path
		unpackImage(t, image, path)
		m.in.Images[i].Open = func(ctx context.Context) (*source.Source, error) {
			f, err := os.Open(path)
			if err != nil {
				return nil, err
			}
			t.Cleanup(func() { f.Close() })
			return source.NewReader(ctx, image.Name, f, image.Size), nil
		}
	}
	return m
}

// unpackImage writes an image as a sparse file.
func unpackImage(t *testing.T, image fixtures.Image, path string) {
	t.Helper()
	r, err := image.Open()
	if err != nil {
		t.Fatal(err)
	}
	pages, ok := r.(interface{ Next(off int64) int64 })
	if !ok {
		t.Fatalf("%s does not tell where it is empty", image.Name)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	const page = 4096
	buf := make([]byte, page)
	for off := pages.Next(0); off < image.Size && err == nil; off = pages.Next(off + page) {
		var n int
		if n, err = r.ReadAt(buf, off); err == io.EOF {
			err = nil
		}
		if err == nil {
			_, err = f.WriteAt(buf[:n], off)
		}
	}
	if err := errors.Join(err, f.Truncate(image.Size), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// change mounts a volume for as long as do takes, which gets the folder it is
// mounted at.
func (m *machine) change(t *testing.T, role scanner.Role, do func(dir string)) {
	t.Helper()
	v, ok := m.volumes[role]
	if !ok {
		t.Fatalf("no %s volume", role)
	}
	loop, detach := testenv.Attach(t, m.images[v.Image], "--offset", fmt.Sprint(v.Offset), "--sizelimit",
		fmt.Sprint(v.Size))
	defer detach()
	dir := filepath.Join(m.dir, "mounted")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if v.Filesystem == "ntfs" {
		run(t, "ntfs-3g", "-o", "big_writes,noatime", loop, dir)
	} else {
		run(t, "mount", "-t", v.Filesystem, "-o", "noatime", loop, dir)
	}
	defer func() {
		testenv.Unmount(t, dir)
		for exec.Command("fuser", "-s", loop).Run() == nil { // ntfs-3g still writes when umount has ended
			time.Sleep(10 * time.Millisecond)
		}
	}()
	do(dir)
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// place makes a file, with the folders above it. Of a folder that is there in
// another case, that one is taken.
func place(t *testing.T, root, name string, data []byte) string {
	t.Helper()
	dir := root
	parts := strings.Split(name, "/")
	for _, part := range parts[:len(parts)-1] {
		dir = filepath.Join(dir, spelled(t, dir, part))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(dir, spelled(t, dir, parts[len(parts)-1]))
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// spelled is a name as it is spelled in a folder, if it is there.
func spelled(t *testing.T, dir, name string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == name {
			return name
		}
	}
	for _, e := range entries {
		if strings.EqualFold(e.Name(), name) {
			return e.Name()
		}
	}
	return name
}
