package scanner

import (
	"errors"
	"io"
	"io/fs"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
)

// The functions below reread evidence with the scan's own readers, in the form
// of a crosscheck.Reading, so that a cross-check can compare.

// beyondError is the reason why the cross-check does not cover a piece of evidence.
type beyondError string

func (e beyondError) Error() string { return string(e) }

const (
	beyondDocument = beyondError("from a document")
	beyondSum      = beyondError("not a single file, key or value")
	beyondLog      = beyondError("from the transaction log, which regparser does not apply")
	beyondHive     = beyondError("the hive was not read")
	beyondVolume   = beyondError("no other parser for the filesystem")
	beyondWOF      = beyondError("compressed by the Windows Overlay Filter, which go-ntfs does not read")
	beyondSize     = beyondError("too large to read again")
	beyondDoubt    = beyondError("contains a name in doubt or a record that cannot be read")
	beyondName     = beyondError("contains a name that is not UTF-8")
)

// staleHive says why a hive on the disk may be older than what was judged.
const staleHive = "the hive was recovered from its transaction logs, which regparser does not apply"

// maxContentAgain is the size in bytes of the largest file whose content is
// read again; the databases of AppX and rpm stay below.
const maxContentAgain = 256 << 20

// seconds is a time as it is compared: 0, not at all, for one that the other
// parsers do not represent.
func seconds(t time.Time) int64 {
	if t.Year() < 1970 || t.Year() > 2261 { // nanoseconds since 1970 in 64 bits end in 2262
		return 0
	}
	return t.Unix()
}

// asked says whether another parser reads the filesystem too.
func (v *volume) asked() bool {
	return v.fs != nil && v.question(crosscheck.File).Readers() != nil
}

// stale says why the data on the disk may be older than the data that the
// checks used; "" if it is not.
func (v *volume) stale() string {
	applied := v.fs.Info().Journal.Applied
	if applied == "" {
		return ""
	}
	reader, _, _ := strings.Cut(v.question(crosscheck.File).Readers()[0], " ")
	return applied + ", and " + reader + " does not do that"
}

// reread is what the readers of the scan make of a file, with its content if
// that is asked for. The error is fs.ErrNotExist if it is not there, and
// beyondError if the other parser is known not to read it.
func (v *volume) reread(name string, content bool) (crosscheck.Reading, error) {
	info, err := v.fs.Lstat(name)
	if err != nil {
		return crosscheck.Reading{}, err
	}
	node, mode := v.fs.Node(info), info.Mode()
	r := crosscheck.Reading{Found: true, Record: node.Record, Modified: seconds(info.ModTime())}
	switch {
	case node.Folder:
		r.What = crosscheck.AFolder
		if !node.Reparse {
			r.Names, err = namesIn(v.fs, name)
		}
	case node.Reparse, mode.IsRegular():
		r.What, r.Size = crosscheck.AFile, info.Size()
		switch {
		case !content:
		case node.Overlay:
			return crosscheck.Reading{}, beyondWOF
		default:
			r.Content, err = contentOf(v.fs, name, r.Size)
		}
	case mode&fs.ModeSymlink != 0:
		r.What = crosscheck.ALink
		r.Target, err = v.fs.ReadLink(name)
	default:
		r.What = crosscheck.Other
	}
	if err == nil && v.fs.Info().ByteNames && escaped(name+r.Target) {
		err = beyondName
	}
	return r, err
}

// totals adds up everything below a folder.
func (v *volume) totals(name string) (crosscheck.Reading, error) {
	if v.question(crosscheck.Tree).Readers() == nil {
		return crosscheck.Reading{}, beyondSum
	}
	t, err := v.fs.Totals(name)
	return crosscheck.Reading{Found: true, What: crosscheck.AFolder, Files: t.Files, Size: t.Size}, err
}

// escaped says whether a name has bytes that are not UTF-8, which ext4 shows as
// characters of a private use area.
func escaped(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool { return r >= 0xEF00 && r <= 0xEFFF })
}

func namesIn(fsys fs.ReadDirFS, name string) (*crosscheck.List, error) {
	entries, err := fsys.ReadDir(name)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		if names[i] = e.Name(); escaped(names[i]) {
			return nil, beyondName
		}
		if d, ok := e.(interface{ Doubt() error }); ok && d.Doubt() != nil {
			return nil, beyondDoubt
		}
	}
	return crosscheck.ListOf(names), nil
}

func contentOf(fsys fs.FS, name string, size int64) (string, error) {
	if size > maxContentAgain {
		return "", beyondSize
	}
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	r, ok := f.(io.ReaderAt)
	if !ok {
		return "", beyondSum
	}
	return crosscheck.DigestReader(r, size)
}

func keyReading(key *registry.Key) (crosscheck.Reading, error) {
	keys, err := key.Subkeys()
	if err != nil {
		return crosscheck.Reading{}, err
	}
	values, err := key.Values()
	if err != nil {
		return crosscheck.Reading{}, err
	}
	var names, lines []string
	for _, k := range keys {
		names = append(names, k.Name())
	}
	for _, v := range values {
		data, err := v.Data()
		if err != nil {
			return crosscheck.Reading{}, err
		}
		lines = append(lines, crosscheck.DescribeValue(v.Name(), uint32(v.Type()), data))
	}
	return crosscheck.Reading{Found: true, Modified: seconds(key.LastWrite()), Names: crosscheck.ListOf(names),
		Values: crosscheck.ListOf(lines)}, nil
}

// valueReading reads a value; the reading is not found if the key does not have
// it.
func valueReading(key *registry.Key, name string) (crosscheck.Reading, error) {
	r := crosscheck.Reading{Modified: seconds(key.LastWrite())}
	v, err := key.Value(name)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	data, err := v.Data()
	r.Found, r.Type, r.Size, r.Content = true, uint32(v.Type()), int64(len(data)), crosscheck.Digest(data)
	return r, err
}
