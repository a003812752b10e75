package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/memory"
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
	// holdsSystem says whether the volume is the one with the system.
	holdsSystem() (bool, error)
	// damage says what was found damaged when the filesystem was opened.
	damage() []string
}

// node is what one filesystem knows of a file beside its fs.FileInfo.
type node struct {
	allocated int64  // in bytes
	id        uint64 // inode number, or MFT record number
	junction  bool   // a link of NTFS to a directory, which io/fs does not call a symbolic link
}

// openers open the filesystems that are read. Their errors say what is damaged,
// unsupported or encrypted.
var openers = map[disk.Filesystem]func(*disk.Volume, *memory.Budget) (filesystem, error){
	disk.NTFS: openNTFS,
	disk.Ext2: openExt, disk.Ext3: openExt, disk.Ext4: openExt,
	disk.XFS: openXFS,
}

// openFilesystem opens the filesystem of a volume.
func (p *program) openFilesystem(v *disk.Volume) (filesystem, error) {
	if v.Err != nil {
		return nil, notThatKind("", "volume %d: %w", v.Number, v.Err)
	}
	if open := openers[v.Filesystem]; open != nil {
		fsys, err := open(v, p.memory)
		if err == nil {
			return fsys, nil
		}
		err = fmt.Errorf("volume %d: %w", v.Number, err)
		if errors.Is(err, kind.Unsupported) || errors.Is(err, kind.Encrypted) {
			return nil, notThatKind("", "%w", err)
		}
		return nil, err
	}
	switch {
	case v.Filesystem == disk.Unknown:
		return nil, notThatKind("", "volume %d holds no filesystem that is known", v.Number)
	case v.Filesystem.Encrypted():
		return nil, notThatKind("decrypt it where it is used, and take the image again", "volume %d is encrypted (%s)", v.Number, filesystemName(v))
	}
	return nil, notThatKind("", "volume %d holds %s, which is not read", v.Number, filesystemName(v))
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
