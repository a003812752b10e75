package fsconform_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/fsconform"
	"github.com/coldcheck/coldcheck/internal/kind"
)

// faults are filesystems that break one promise each, and the check that has to
// find it.
var faults = map[string]struct {
	check string
	wrap  func(fsconform.Volume) fsconform.Volume
}{
	"another size in listings": {"names lead to what listings show",
		func(v fsconform.Volume) fsconform.Volume { return wrongListing{v} }},
	"no error of a bad name": {"names that are not there",
		func(v fsconform.Volume) fsconform.Volume { return anyName{v} }},
	"one file more": {"totals are those of a walk",
		func(v fsconform.Volume) fsconform.Volume { return wrongTotals{v} }},
	"places next to the right ones": {"places of files, inodes and records",
		func(v fsconform.Volume) fsconform.Volume { return wrongPlace{v} }},
	"damage is absence": {"damaged inodes and records",
		func(v fsconform.Volume) fsconform.Volume { return absent{v} }},
	"failures are damage":    {"disk that fails", func(v fsconform.Volume) fsconform.Volume { return damaged{v} }},
	"a journal not replayed": {"journal", func(v fsconform.Volume) fsconform.Volume { return pending{v} }},
}

const faultVar = "COLDCHECK_CONFORMANCE_FAULT"

// TestFault runs the suite on a filesystem with a fault, in the process that TestFaults
// starts.
func TestFault(t *testing.T) {
	fault, ok := faults[os.Getenv(faultVar)]
	if !ok {
		return // not started by TestFaults
	}
	s := systems[2]
	s.Mount = nil
	s.Open = func(ctx context.Context, r io.ReaderAt, size int64, o fsconform.Options) (fsconform.Volume, error) {
		v, err := openExt4(ctx, r, size, o)
		if err != nil {
			return v, err
		}
		return fault.wrap(v), nil
	}
	fsconform.Run(t, s)
}

// TestFaults shows that each check fails for a filesystem that breaks what it
// checks.
func TestFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the suite in seven processes")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(self, "-test.run=^TestFault$", "-test.v")
			cmd.Env = append(os.Environ(), faultVar+"="+name)
			out, err := cmd.CombinedOutput()
			var exit *exec.ExitError
			if want := "--- FAIL: TestFault/" + strings.ReplaceAll(fault.check, " ", "_"); !errors.As(err, &exit) ||
				!strings.Contains(string(out), want) {
				t.Errorf("%v, without %q:\n%s", err, want, out)
			}
		})
	}
}

type wrongListing struct{ fsconform.Volume }

func (v wrongListing) ReadDir(name string) ([]fs.DirEntry, error) {
	list, err := v.Volume.ReadDir(name)
	for i, e := range list {
		list[i] = wrongEntry{e}
	}
	return list, err
}

type wrongEntry struct{ fs.DirEntry }

func (e wrongEntry) Info() (fs.FileInfo, error) {
	info, err := e.DirEntry.Info()
	return wrongInfo{info}, err
}

type wrongInfo struct{ fs.FileInfo }

func (i wrongInfo) Size() int64 { return i.FileInfo.Size() + 1 }

type anyName struct{ fsconform.Volume }

func (v anyName) Stat(name string) (fs.FileInfo, error) {
	info, err := v.Volume.Stat(name)
	if errors.Is(err, fs.ErrInvalid) {
		return v.Volume.Stat(".")
	}
	return info, err
}

type wrongTotals struct{ fsconform.Volume }

func (v wrongTotals) Totals(name string) (files, size, damaged int64, err error) {
	files, size, damaged, err = v.Volume.Totals(name)
	return files + 1, size, damaged, err
}

type wrongPlace struct{ fsconform.Volume }

func (v wrongPlace) Open(name string) (fs.File, error) {
	f, err := v.Volume.Open(name)
	if file, ok := f.(fsconform.File); ok {
		return wrongFile{file}, err
	}
	return f, err
}

type wrongFile struct{ fsconform.File }

func (f wrongFile) Locate(off int64) (at int64, known bool, err error) {
	at, known, err = f.File.Locate(off)
	return at ^ 1<<16, known, err
}

// replaced is an error in the place of another.
func replaced(err, kind, by error) error {
	if errors.Is(err, kind) {
		return &fs.PathError{Op: "fault", Err: by}
	}
	return err
}

type absent struct{ fsconform.Volume }

func (v absent) Lstat(name string) (fs.FileInfo, error) {
	info, err := v.Volume.Lstat(name)
	return info, replaced(err, kind.Corrupt, fs.ErrNotExist)
}

type damaged struct{ fsconform.Volume }

func (v damaged) Lstat(name string) (fs.FileInfo, error) {
	info, err := v.Volume.Lstat(name)
	return info, replaced(err, kind.IO, kind.Corrupt)
}

type pending struct{ fsconform.Volume }

func (v pending) Pending() (bool, error) { return true, nil }
