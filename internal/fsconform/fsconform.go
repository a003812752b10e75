// Package fsconform is the conformance suite for every filesystem of this
// module: checks that run on a small volume of it. A filesystem is a row of the
// table in the test of this package.
package fsconform

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"testing"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// System is a filesystem under test.
type System struct {
	Name string
	// Image returns a small volume that the checks may change: files in more than
	// one piece, hard links, symbolic links, folders of one and of many blocks.
	Image func(t testing.TB) []byte
	Open  func(ctx context.Context, r io.ReaderAt, size int64, o Options) (Volume, error)
	// Protected says that a change of any byte of an inode or record is detected.
	// On other volumes it may change the data that is read, but never hide a name.
	Protected bool
	// Replayed says that the volume was in use, and its journal is replayed.
	Replayed bool
	// InMemory says that all inodes are in the journal, and so in memory: they have
	// no place on the disk.
	InMemory bool
	// Broken are files whose content is damaged from the start.
	Broken []string
	// Identity returns the number that the inode or record at the beginning of b
	// says that it has, or false if it does not say; nil if none says so.
	Identity func(b []byte) (number uint64, ok bool)
	// MapsModes says that files have the modes and links the targets that the
	// kernel shows.
	MapsModes bool
	// Mount shows the image as another implementation reads it, read-only, until
	// the test ends. It skips the test where it cannot; nil if no other one reads
	// it.
	Mount func(t testing.TB, image string) (dir string)
}

// Options are those that every filesystem has.
type Options struct {
	Memory  int64
	Reserve func(n int64) error
}

// Volume is the interface of every filesystem.
type Volume interface {
	fs.StatFS
	fs.ReadDirFS
	fs.ReadFileFS
	fs.ReadLinkFS
	io.Closer
	// Locate returns where on the volume, in bytes, the inode or record of a name
	// is.
	Locate(name string) (at int64, known bool, err error)

	// Number is the inode or record number of a file that Lstat described.
	Number(info fs.FileInfo) uint64
	// Counts reports whether Totals counts it as a file, and not as a folder.
	Counts(info fs.FileInfo) bool
	// Totals counts the files below a folder, without folders, and the bytes of
	// regular ones; hard links count once.
	Totals(name string) (files, size, damaged int64, err error)
	// Pending reports whether the journal held changes that the volume lacked,
	// and why they were not replayed.
	Pending() (bool, error)
}

// File is the result of Open for anything other than a folder.
type File interface {
	fs.File
	io.ReaderAt
	io.Seeker
	Size() int64
	Locate(off int64) (at int64, known bool, err error)
}

// Check is one check of a filesystem.
type Check struct {
	Name string
	Run  func(t *testing.T, s System)
	// Needs reports whether a system is one to check; all are if it is nil.
	Needs func(s System) bool
}

// Checks are the suite.
var Checks = []Check{
	{Name: "rules of io/fs", Run: checkRules},
	{Name: "names lead to what listings show", Run: checkNames},
	{Name: "names that are not there", Run: checkAbsent},
	{Name: "files read alike in every way", Run: checkFiles},
	{Name: "readers at the same time", Run: checkConcurrent},
	{Name: "totals are those of a walk", Run: checkTotals},
	{Name: "places of files, inodes and records", Run: checkPlaces},
	{Name: "journal", Run: checkJournal},
	{Name: "damaged inodes and records", Run: checkDamage, Needs: func(s System) bool { return !s.InMemory }},
	{Name: "image that is cut off", Run: checkTruncated},
	{Name: "disk that fails", Run: checkReader},
	{Name: "limit of memory", Run: checkMemory},
	{Name: "memory that is refused", Run: checkReserve},
	{Name: "context that ends", Run: checkContext},
	{Name: "as others read it", Run: checkMount, Needs: func(s System) bool { return s.Mount != nil }},
}

// Run runs the suite and returns for each check "ok", "skipped", "failed", or "-"
// where the system is none to check.
func Run(t *testing.T, s System) []string {
	results := make([]string, len(Checks))
	for i, c := range Checks {
		if c.Needs != nil && !c.Needs(s) {
			results[i] = "-"
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			defer func() {
				switch {
				case t.Failed():
					results[i] = "failed"
				case t.Skipped():
					results[i] = "skipped"
				default:
					results[i] = "ok"
				}
			}()
			c.Run(t, s)
		})
	}
	return results
}

// open opens an image that has to open.
func (s System) open(t testing.TB, image []byte) Volume {
	t.Helper()
	v, err := s.Open(context.Background(), bytes.NewReader(image), int64(len(image)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// paths lists all names, as a walk meets them.
func paths(t testing.TB, v fs.FS) (list []string) {
	t.Helper()
	if err := fs.WalkDir(v, ".", func(path string, _ fs.DirEntry, err error) error {
		list = append(list, path)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if len(list) < 10 {
		t.Fatalf("%d names: too few for this check", len(list))
	}
	return list
}

// known reports whether an error is of a kind that data on the disk may cause.
func known(err error) bool {
	for _, k := range []error{kind.Corrupt, kind.Unsupported, kind.Encrypted, kind.Limit} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

// refused reports whether a file cannot be opened or read for what it is: a
// link to a place that is elsewhere, an encrypted file.
func refused(err error) bool {
	return errors.Is(err, kind.Unsupported) || errors.Is(err, kind.Encrypted)
}

// describe returns the metadata of a name.
func describe(v Volume, path string) (string, error) {
	info, err := v.Lstat(path)
	if err != nil {
		return "", err
	}
	s := fmt.Sprintf("%d %v %d %v", v.Number(info), info.Mode(), info.Size(), info.ModTime().UnixNano())
	switch {
	case info.IsDir():
		list, err := v.ReadDir(path)
		if err != nil {
			return "", err
		}
		for _, e := range list {
			s += "\n" + e.Name()
		}
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := v.ReadLink(path)
		if err != nil && !refused(err) {
			return "", err
		}
		s += " " + target
	}
	return s, nil
}
