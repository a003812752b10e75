package source

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/windows"
)

func TestDeviceNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		`\\.\PhysicalDrive0`: true, `\\.\physicaldrive12`: true, `//./PhysicalDrive0`: true, `\\?\PhysicalDrive0`: true,
		`\\.\C:`: true, `\\?\c:`: true, `\\.\HarddiskVolume3`: true, `\\.\Harddisk0Partition1`: true,
		`\\?\Volume{b75e2c83-0000-0000-0000-602f00000000}`: true,
		`\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy7`:  true,

		`\\?\C:\images\root1`: false, `\\.\C:\root.img`: false, `\\server\share1`: false, `\\server\share\root1`: false,
		`PhysicalDrive0`: false, `C:`: false, `\\.\`: false, ``: false, `\\.\NUL`: false,
		`\\?\GLOBALROOT\Device\HarddiskVolumeShadowCopy7\root.img`: false,
	} {
		if is := IsDevice(name); is != want {
			t.Errorf("%s: %t", name, is)
		}
	}
	for pair, want := range map[[2]string]bool{
		{`\\.\PhysicalDrive0`, `//?/physicaldrive0`}: true,
		{`\\.\PhysicalDrive0`, `\\.\PhysicalDrive1`}: false,
		{`\\.\C:`, `C:\`}: false,
	} {
		if is := Same(pair[0], pair[1]); is != want {
			t.Errorf("%q: %t", pair, is)
		}
	}
}

// TestNoDevice: a device that is not there is an error that says how to find one.
func TestNoDevice(t *testing.T) {
	t.Parallel()
	const name = `\\.\PhysicalDrive987`
	_, err := Open(t.Context(), name, Options{})
	var hinted interface{ Hint() string }
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), name+": ") || !errors.As(err, &hinted) ||
		hinted.Hint() != hintNoDevice {
		t.Errorf("%v", err)
	}
}

func TestDeviceFaults(t *testing.T) {
	t.Parallel()
	for code, want := range map[error]string{
		windows.ERROR_ACCESS_DENIED:     "administrator",
		windows.ERROR_FILE_NOT_FOUND:    "Win32_DiskDrive",
		windows.ERROR_SHARING_VIOLATION: "close it",
		windows.ERROR_CRC:               "",
	} {
		err := deviceFault("disk", &fs.PathError{Op: "read", Path: "other", Err: code})
		var hinted interface{ Hint() string }
		if !errors.Is(err, code) || strings.Contains(err.Error(), "other") || !errors.As(err, &hinted) ||
			want == "" != (hinted.Hint() == "") || !strings.Contains(hinted.Hint(), want) {
			t.Errorf("%v: %v", code, err)
		}
	}
}

// TestLongPath: a file may have a path of any length, also a part of an image.
func TestLongPath(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for len(dir) < 400 {
		dir = filepath.Join(dir, strings.Repeat("x", 50))
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"disk.001": "one", "disk.002": "two"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{filepath.Join(dir, "disk.001"), `\\?\` + filepath.Join(dir, "disk.001")} {
		s := mustOpen(t, name, Options{})
		part, err := s.Beside(t.Context(), "disk.002")
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 3)
		if n, err := part.ReadAt(p, 0); n != 3 || err != nil || string(p) != "two" {
			t.Errorf("%s: %q, %v", name, p, err)
		}
		part.Close()
	}
}

// TestPhysicalDrive reads the first disk of the machine: any part of it is the same as in
// a read of complete sectors.
func TestPhysicalDrive(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), `\\.\PhysicalDrive0`, Options{})
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, windows.ERROR_NOT_SUPPORTED) {
		t.Skip("needs a disk and an administrator: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const sector = 4096 // at most
	whole := make([]byte, 4*sector)
	if n, err := s.ReadAt(whole, 0); n != len(whole) || err != nil {
		t.Fatal(n, err)
	}
	for _, at := range []int{1, 511, 512, sector - 1, sector, 2*sector + 1} {
		p := make([]byte, sector+3)
		if n, err := s.ReadAt(p, int64(at)); n != len(p) || err != nil || !bytes.Equal(p, whole[at:][:len(p)]) {
			t.Errorf("at %d: %d bytes, %v", at, n, err)
		}
	}
	end := make([]byte, 10)
	if n, err := s.ReadAt(end, s.Size()-5); n != 5 || err != io.EOF {
		t.Errorf("at the end of %d bytes: %d, %v", s.Size(), n, err)
	}
	if err := s.Changed(); err != nil {
		t.Error(err)
	}
}
