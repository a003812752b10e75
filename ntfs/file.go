package ntfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
)

// File is an open file or stream. ReadAt is safe for concurrent use; Read and
// Seek share a position and are not.
//
// A file whose content this package cannot give (deduplicated, in a WIM file,
// only in the cloud: ErrUnsupported; EFS: ErrEncrypted) can be opened and
// described; reading it fails.
type File struct {
	info    *info
	path    string
	content content
	refused error // there is no content; why
	size    int64
	at      int64
	closed  atomic.Bool
}

// content reads a file: a *stream, or an *overlay on one.
type content interface {
	readAt(p []byte, off int64) error // all of p is inside
}

var _ interface {
	fs.File
	io.ReaderAt
	io.Seeker
} = (*File)(nil)

// Open opens a file or directory. Anything other than a directory (fs.FileMode)
// is a *File with the unnamed $DATA, which is empty if there is none.
func (f *FS) Open(name string) (fs.File, error) {
	record, err := f.resolve(name)
	if err == nil && f.index.node(record).mode().IsDir() {
		var i *info
		if i, err = f.info(base(name), record); err == nil {
			return &dirFile{f: f, info: i, record: record}, nil
		}
	}
	if err == nil {
		var file *File
		if file, err = f.open(name, record, ""); err == nil {
			return file, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: name, Err: err}
}

// OpenStream opens a named $DATA stream of a file or directory; names of
// streams are compared as those of files are. The unnamed one, "", is that of
// Open.
func (f *FS) OpenStream(name, stream string) (*File, error) {
	path := name + ":" + stream
	record, err := f.resolve(name)
	if err == nil && stream == "" && f.index.node(record).mode().IsDir() {
		err = fmt.Errorf("%w: is a directory", fs.ErrInvalid)
	}
	if err == nil {
		var file *File
		if file, err = f.open(path, record, stream); err == nil {
			return file, nil
		}
	}
	return nil, &fs.PathError{Op: "open", Path: path, Err: err}
}

func (f *FS) open(path string, record uint32, stream string) (*File, error) {
	i, err := f.info(base(path), record)
	if err != nil {
		return nil, err
	}
	ino, err := f.load(record)
	if err != nil {
		return nil, err
	}
	extents := ino.find(typeData, "")
	if stream != "" {
		if extents, err = ino.findStream(f.up, stream); err != nil {
			return nil, err
		}
		i.mode = 0o444
	}
	s := &stream0
	if len(extents) > 0 {
		if s, err = newStream(f.disk, extents); err != nil {
			return nil, fmt.Errorf("record %d: $DATA: %w", record, err)
		}
	}
	i.size = s.size
	file := &File{info: i, path: path, content: s, size: s.size}
	if stream == "" {
		file.content, file.refused = ino.content(f.disk, s)
	} else if s.flags&attrEncrypted != 0 {
		file.refused = errEFS
	}
	if f.unlogged[record] && s.resident != nil && file.refused == nil && s.size > 0 {
		file.refused = errUnlogged
	}
	switch {
	case file.refused == nil, errors.Is(file.refused, ErrCorrupt):
	case errors.Is(file.refused, ErrUnsupported), errors.Is(file.refused, ErrEncrypted):
		if s.size == 0 { // whatever holds it
			file.refused = nil
		}
	default:
		return nil, file.refused
	}
	return file, nil
}

// stream0 is the content of a file that has no unnamed $DATA.
var stream0 = stream{resident: []byte{}}

// findStream returns the extents of a named stream, the exact name preferred.
func (ino *inode) findStream(up *upcase, wanted string) ([]attribute, error) {
	_, folded := up.foldName(wanted)
	var best string
	for _, a := range ino.attributes {
		if a.kind != typeData || len(a.name) == 0 {
			continue
		}
		name := decodeName(a.name)
		if !up.equal([]byte(name), folded) {
			continue
		}
		if best == "" || name == wanted || best != wanted && name < best {
			best = name
		}
	}
	if best == "" {
		return nil, fs.ErrNotExist
	}
	var extents []attribute
	for _, a := range ino.attributes {
		if a.kind == typeData && decodeName(a.name) == best {
			extents = append(extents, a)
		}
	}
	return extents, nil
}

// Stream is a named $DATA stream; sizes in bytes.
type Stream struct {
	Name      string
	Size      int64
	Allocated int64 // 0 if it is resident
}

// Streams lists the named $DATA streams of a file or directory by name.
func (f *FS) Streams(name string) ([]Stream, error) {
	record, err := f.resolve(name)
	var ino *inode
	if err == nil {
		ino, err = f.load(record)
	}
	if err != nil {
		return nil, &fs.PathError{Op: "streams", Path: name, Err: err}
	}
	var list []Stream
	for _, a := range ino.attributes {
		if a.kind == typeData && len(a.name) > 0 && a.lowest == 0 {
			list = append(list, Stream{Name: decodeName(a.name), Size: a.size, Allocated: a.allocated})
		}
	}
	slices.SortFunc(list, func(a, b Stream) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

// MaxReadFile is the size of the largest file that ReadFile reads, in bytes:
// a file of a few bytes on the disk may say that it has any size. Larger ones
// are opened and read piece by piece.
const MaxReadFile = 256 << 20

// ReadFile returns the content of a file of at most MaxReadFile bytes.
func (f *FS) ReadFile(name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, ok := file.(*File)
	if !ok {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w: is a directory", fs.ErrInvalid)}
	}
	if data.Size() > MaxReadFile {
		return nil, &fs.PathError{Op: "read", Path: name,
			Err: unsupported("a file of %d bytes read at once, more than %d", data.Size(), MaxReadFile)}
	}
	p := make([]byte, data.Size())
	if _, err := data.ReadAt(p, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return p, nil
}

// Size returns the size of the content in bytes.
func (f *File) Size() int64 { return f.size }

// Stat describes the file; the size is that of the open stream.
func (f *File) Stat() (fs.FileInfo, error) {
	if f.closed.Load() {
		return nil, f.fail("stat", fs.ErrClosed)
	}
	return f.info, nil
}

// Close makes further use fail.
func (f *File) Close() error {
	f.closed.Store(true)
	return nil
}

// ReadAt implements io.ReaderAt. It takes one read for each run.
func (f *File) ReadAt(p []byte, off int64) (int, error) {
	switch {
	case f.closed.Load():
		return 0, f.fail("read", fs.ErrClosed)
	case off < 0:
		return 0, f.fail("read", fs.ErrInvalid)
	case f.refused != nil:
		return 0, f.fail("read", f.refused)
	case off >= f.size:
		return 0, io.EOF
	}
	n := min(int64(len(p)), f.size-off)
	if err := f.content.readAt(p[:n], off); err != nil {
		return 0, f.fail("read", err)
	}
	if int(n) < len(p) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// Read implements io.Reader.
func (f *File) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.at)
	f.at += int64(n)
	if n > 0 && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// Seek implements io.Seeker.
func (f *File) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
	case io.SeekCurrent:
		offset += f.at
	case io.SeekEnd:
		offset += f.size
	default:
		return 0, f.fail("seek", fs.ErrInvalid)
	}
	if offset < 0 {
		return 0, f.fail("seek", fs.ErrInvalid)
	}
	f.at = offset
	return offset, nil
}

func (f *File) fail(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.path, Err: err}
}

// dirFile is an open directory.
type dirFile struct {
	f      *FS
	info   *info
	record uint32
	list   []fs.DirEntry
	err    error // of the listing; returned after the known entries
	read   bool
}

func (d *dirFile) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dirFile) Close() error               { return nil }

func (d *dirFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.name, Err: fmt.Errorf("%w: is a directory", fs.ErrInvalid)}
}

// ReadDir implements fs.ReadDirFile.
func (d *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if !d.read {
		if d.list, d.err = d.f.readDir(d.record); d.err != nil {
			d.err = &fs.PathError{Op: "readdir", Path: d.info.name, Err: d.err}
		}
		d.read = true
	}
	list := d.list
	if n > 0 && len(list) > n {
		list = list[:n]
	}
	d.list = d.list[len(list):]
	if n > 0 && len(list) > 0 {
		return list, nil
	}
	err := d.err
	d.err = nil
	if n > 0 && err == nil {
		err = io.EOF
	}
	return list, err
}
