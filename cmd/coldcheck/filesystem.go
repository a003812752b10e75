package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

// filesystem is what inspect needs of a volume's filesystem, whichever it is.
// Names are as in io/fs.
type filesystem interface {
	fs.ReadDirFS
	fs.ReadLinkFS // Lstat never follows a link

	// describe says what io/fs has no words for.
	describe(fs.FileInfo) node
	// name turns what a person writes as a path into a name.
	name(path string) string
	// damage says what was found damaged when the filesystem was opened.
	damage() []string
}

// node is what one filesystem knows of a file beside its fs.FileInfo.
type node struct {
	allocated int64  // in bytes
	id        uint64 // inode number, or MFT record number
	junction  bool   // a link of NTFS to a directory, which io/fs does not call a symbolic link
}

// readable says which filesystems openFilesystem opens.
func readable(f disk.Filesystem) bool { return f == disk.NTFS }

// openFilesystem opens the filesystem of a volume.
func openFilesystem(v *disk.Volume) (filesystem, error) {
	switch {
	case v.Filesystem == disk.NTFS:
		f, err := ntfs.Open(v, v.Size)
		if err != nil {
			err = fmt.Errorf("volume %d: %w", v.Number, err)
			if errors.Is(err, ntfs.ErrUnsupported) || errors.Is(err, ntfs.ErrEncrypted) {
				return nil, notThatKind("", "%w", err)
			}
			return nil, err
		}
		return ntfsVolume{f}, nil
	case v.Filesystem == disk.Unknown:
		return nil, notThatKind("", "volume %d holds no filesystem that is known", v.Number)
	case v.Filesystem.Encrypted():
		return nil, notThatKind("decrypt it where it is used, and take the image again", "volume %d is encrypted (%s)", v.Number, filesystemName(v))
	default:
		return nil, notThatKind("", "volume %d holds %s, which is not read", v.Number, filesystemName(v))
	}
}

// ntfsVolume is an NTFS volume.
type ntfsVolume struct{ *ntfs.FS }

func (v ntfsVolume) describe(info fs.FileInfo) node {
	e, ok := info.Sys().(*ntfs.Entry)
	if !ok {
		return node{}
	}
	return node{allocated: e.Allocated, id: e.Record, junction: e.ReparseTag == ntfs.TagMountPoint}
}

// name takes a path with slashes of either kind: no name of Windows holds one.
func (ntfsVolume) name(p string) string {
	return slashed(strings.ReplaceAll(p, `\`, "/"))
}

func (v ntfsVolume) damage() []string {
	var lines []string
	d := v.Damage()
	if d.Count > 0 {
		lines = append(lines, fmt.Sprintf("damaged records in $MFT: %d", d.Count))
	}
	for _, r := range d.Records {
		lines = append(lines, fmt.Sprintf("record %d: %s", r.Record, r.Reason))
	}
	return append(lines, d.Notes...)
}

// slashed makes a name as in io/fs out of a path that may begin with a slash.
func slashed(p string) string {
	if p = path.Clean("/" + p)[1:]; p == "" {
		return "."
	}
	return p
}

// sized is an open file with its size.
type sized struct {
	io.ReaderAt
	io.Closer
	size int64
}

// openFile opens a regular file of a filesystem.
func openFile(fsys fs.FS, name string) (sized, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return sized{}, err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return sized{}, err
	}
	r, ok := f.(io.ReaderAt)
	if !ok {
		f.Close()
		return sized{}, &fs.PathError{Op: "read", Path: name, Err: errNotRegular}
	}
	return sized{r, f, info.Size()}, nil
}

var errNotRegular = errors.New("not a regular file")
