package ntfs

import (
	"io/fs"
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
)

// Attributes of a file (FILE_ATTRIBUTE_*) that this package goes by.
const (
	attributeDirectory  = 0x10
	attributeOffline    = 0x1000
	attributeEncrypted  = 0x4000
	attributeRecallOpen = 0x40000
	attributeRecallData = 0x400000
)

// Entry is the metadata in $MFT of a file or directory. Sizes are in bytes,
// those of the unnamed $DATA, and 0 for a directory.
type Entry struct {
	Record     uint64
	Sequence   uint16
	Links      int   // names, those for DOS only not counted
	Size       int64 // of a WOF-compressed file: decompressed
	Allocated  int64 // on the disk; 0 where Resident
	Created    time.Time
	Modified   time.Time
	Changed    time.Time // of the record
	Accessed   time.Time
	Attributes uint32 // FILE_ATTRIBUTE_*
	ReparseTag uint32 // 0 if there is none
	Dir        bool   // a directory, also where a reparse point makes it a link
	Compressed bool   // by LZNT1
	Sparse     bool
	Encrypted  bool // by EFS; of a directory: new files in it will be
	WOF        bool // compressed by the Windows Overlay Filter, or held in a WIM
	Resident   bool
	Doubt      error // why the name is in doubt; only Walk gives such, else nil
}

// entry returns the Entry of a record in the index.
func (f *FS) entry(record uint32) (*Entry, error) {
	n := f.index.node(record)
	if n.flags&(nodeBad|nodePartial) != 0 {
		return nil, damaged(record, n.why)
	}
	e := &Entry{
		Record:     uint64(record),
		Sequence:   n.sequence,
		Links:      max(1, int(n.links)),
		Created:    filetime.Time(n.created),
		Modified:   filetime.Time(n.modified),
		Changed:    filetime.Time(n.changed),
		Accessed:   filetime.Time(n.accessed),
		Attributes: n.attributes,
		ReparseTag: n.tag,
		Dir:        n.flags&nodeDir != 0,
		Compressed: n.flags&nodeCompressed != 0,
		Sparse:     n.flags&nodeSparse != 0,
		Encrypted:  n.flags&nodeEncrypted != 0 || n.attributes&attributeEncrypted != 0,
		WOF:        n.tag == TagWOF,
		Resident:   n.flags&nodeResident != 0,
	}
	if e.Dir { // whose node has other things in the place of sizes
		e.Resident = false
		e.Attributes |= attributeDirectory
	} else {
		e.Size, e.Allocated = n.size, n.allocated
	}
	return e, nil
}

// mode returns the type and permissions: nothing may be written. A reparse
// point that stands for something else is no directory even if it is made of
// one: a symbolic link is fs.ModeSymlink, any other (a junction) is
// fs.ModeIrregular. The special files of WSL keep their types. Other reparse
// points (WOF, deduplication, cloud files) are the file or directory that they
// are put on, but for a file with a tag this package does not know, which is
// fs.ModeIrregular.
func (n *node) mode() fs.FileMode {
	switch n.tag {
	case TagSymlink, TagLXSymlink:
		return fs.ModeSymlink | 0o777
	case TagSocket:
		return fs.ModeSocket | 0o444
	case tagLXFIFO:
		return fs.ModeNamedPipe | 0o444
	case tagLXCharacter:
		return fs.ModeDevice | fs.ModeCharDevice | 0o444
	case tagLXBlock:
		return fs.ModeDevice | 0o444
	}
	switch {
	case surrogate(n.tag):
		return fs.ModeIrregular | 0o444
	case n.flags&nodeDir != 0:
		return fs.ModeDir | 0o555
	case n.tag != 0 && tagNames[n.tag] == "":
		return fs.ModeIrregular | 0o444
	}
	return 0o444
}

// info implements fs.FileInfo.
type info struct {
	name  string
	mode  fs.FileMode
	entry *Entry
	size  int64
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.size }
func (i *info) Mode() fs.FileMode  { return i.mode }
func (i *info) ModTime() time.Time { return i.entry.Modified }
func (i *info) IsDir() bool        { return i.mode.IsDir() }
func (i *info) Sys() any           { return i.entry }

func (f *FS) info(name string, record uint32) (*info, error) {
	if err := f.checkList(record); err != nil {
		return nil, err
	}
	e, err := f.entry(record)
	if err != nil {
		return nil, err
	}
	return &info{name: name, mode: f.index.node(record).mode(), entry: e, size: e.Size}, nil
}

// dirEntry implements fs.DirEntry.
type dirEntry struct {
	f      *FS
	name   string
	record uint32
	mode   fs.FileMode
	doubt  error // the record cannot be read, or the name is in doubt
}

func (d *dirEntry) Name() string      { return d.name }
func (d *dirEntry) IsDir() bool       { return d.mode.IsDir() }
func (d *dirEntry) Type() fs.FileMode { return d.mode.Type() }
func (d *dirEntry) String() string    { return fs.FormatDirEntry(d) }

// Doubt says why the name is in doubt, or its record cannot be read; nil if all
// is well. Info gives the same error.
func (d *dirEntry) Doubt() error { return d.doubt }

func (d *dirEntry) Info() (fs.FileInfo, error) {
	if d.doubt != nil {
		return nil, &fs.PathError{Op: "stat", Path: d.name, Err: d.doubt}
	}
	i, err := d.f.info(d.name, d.record)
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: d.name, Err: err}
	}
	return i, nil
}
