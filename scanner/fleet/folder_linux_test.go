package fleet

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// names are all files of a folder.
func names(t *testing.T, dir string) (list []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list
}

// smallDisk is a folder on a file system of 64 KiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	testenv.Root(t)
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { testenv.Unmount(t, dir) })
	return dir
}

// TestFolderFull: on a full disk no record is written, and no part of one is left.
func TestFolderFull(t *testing.T) {
	dir := smallDisk(t)
	s := openStore(t, dir, source.Options{})
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if written, err := s.Put(t.Context(), "kept", []byte("kept"), Keep); !written || err != nil {
		t.Fatal(err)
	}
	for _, over := range []Over{Keep, Replace} {
		for _, id := range []string{"kept", "x"} {
			written, err := s.Put(t.Context(), id, []byte(strings.Repeat("x", 100_000)), over)
			if written || !errors.Is(err, syscall.ENOSPC) || !errors.Is(err, kind.IO) || errors.Is(err, kind.Passing) {
				t.Errorf("%s: %t, %v", id, written, err)
			}
		}
	}
	if list := names(t, filepath.Join(dir, records)); !slices.Equal(list, []string{"kept.json"}) {
		t.Errorf("%q", list)
	}
	if data, err := s.Get(t.Context(), "kept"); string(data) != "kept" || err != nil {
		t.Errorf("%q, %v", data, err)
	}
}

// TestFolderReadOnly: records on a file system that is mounted read-only can be read.
func TestFolderReadOnly(t *testing.T) {
	dir := smallDisk(t)
	s := openStore(t, dir, source.Options{})
	if _, err := s.Put(t.Context(), "kept", []byte("kept"), Keep); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	failsToWrite(t, s)
	if list := ids(t, s); !slices.Equal(list, []string{"kept"}) {
		t.Errorf("%q", list)
	}
}

// TestFolderOtherOwner: a folder that the user may not write to is an error for good.
func TestFolderOtherOwner(t *testing.T) {
	if os.Getenv("COLDCHECK_TEST_STORE") != "" {
		failsToWrite(t, openStore(t, os.Getenv("COLDCHECK_TEST_STORE"), source.Options{}))
		return
	}
	testenv.Root(t)
	t.Parallel()
	dir, err := os.MkdirTemp("", "coldcheck-owner-") // all folders above it may be entered
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(filepath.Join(dir, records), 0o755)); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "fleet.test")
	if err := os.WriteFile(program, self, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-test.run", "^TestFolderOtherOwner$", "-test.v")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "COLDCHECK_TEST_STORE="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v: %s", err, out)
	}
}

// TestRenameUnlinked: without links, a file does not replace another one either.
func TestRenameUnlinked(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	for _, tt := range []struct {
		text, left string
		want       error
	}{{"first", "first", nil}, {"second", "first", fs.ErrExist}} {
		if err := os.WriteFile(from, []byte(tt.text), 0o666); err != nil {
			t.Fatal(err)
		}
		err := renameUnlinked(from, to)
		if left, readErr := os.ReadFile(to); !errors.Is(err, tt.want) || string(left) != tt.left || readErr != nil {
			t.Errorf("%s: %v; %q, %v", tt.text, err, left, readErr)
		}
	}
}

// TestFolderWithoutLinks: a file system that has no links keeps records as any other.
func TestFolderWithoutLinks(t *testing.T) {
	testenv.Loop(t)
	testenv.Tool(t, "mkfs.vfat")
	image, dir := filepath.Join(t.TempDir(), "fat.img"), t.TempDir()
	if err := errors.Join(os.WriteFile(image, nil, 0o666), os.Truncate(image, 4<<20)); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkfs.vfat", image).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	device, detach := testenv.Attach(t, image)
	defer detach()
	if err := syscall.Mount(device, dir, "vfat", 0, ""); err != nil {
		t.Skip(err)
	}
	defer testenv.Unmount(t, dir)
	if err := os.Link(device, filepath.Join(dir, "link")); err == nil {
		t.Fatal("it has links")
	}
	s := openStore(t, dir, source.Options{})
	if err := s.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		text string
		over Over
		want bool
		left string
	}{{"first", Keep, true, "first"}, {"second", Keep, false, "first"}, {"third", Replace, true, "third"}} {
		written, err := s.Put(t.Context(), "x", []byte(tt.text), tt.over)
		data, readErr := s.Get(t.Context(), "x")
		if written != tt.want || err != nil || string(data) != tt.left || readErr != nil {
			t.Errorf("%s: %t, %v; %q, %v", tt.text, written, err, data, readErr)
		}
	}
	if list := names(t, filepath.Join(dir, records)); !slices.Equal(list, []string{"x.json"}) {
		t.Errorf("%q", list)
	}
}
