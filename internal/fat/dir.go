package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/encoding/charmap"

	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// entrySize is the size of an entry of a directory, in bytes.
const entrySize = 32

// Attributes of an entry (the specification, "FAT Directory Structure").
const (
	attrReadOnly  = 0x01
	attrVolume    = 0x08
	attrDirectory = 0x10
	attrLong      = 0x0f
)

// readAll reads all directories. A directory whose first cluster another has
// too is not read.
func (f *FS) readAll() error {
	seen := map[uint32]bool{f.rootStart: true}
	type pending struct {
		node  *node
		start uint32
		depth int
	}
	queue := []pending{{f.root, f.rootStart, 0}}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		data, err := f.readDirectory(p.node, p.start)
		if bounded(err) {
			return err
		}
		if err != nil {
			f.damage(p.node, err)
		}
		found, err := f.parse(p.node, data)
		if err != nil {
			return err
		}
		for _, e := range found {
			switch {
			case !e.node.dir:
				if err := f.readChain(e.node, e.start); err != nil {
					return err
				}
			case p.depth >= maxDepth:
				f.damage(e.node, fmt.Errorf("%w: more than %d directories deep", ErrUnsupported, maxDepth))
			case seen[e.start]:
				f.damage(e.node, fmt.Errorf("%w: another directory lies in its cluster", ErrCorrupt))
			default:
				seen[e.start] = true
				queue = append(queue, pending{e.node, e.start, p.depth + 1})
			}
		}
	}
	return nil
}

// bounded says whether an error is about the volume, and not about one file.
func bounded(err error) bool {
	return err != nil && !errors.Is(err, ErrCorrupt)
}

func (f *FS) damage(n *node, err error) {
	if n.err == nil {
		n.err = err
		f.volume.Damaged++
	}
}

// readChain finds the clusters of a file.
func (f *FS) readChain(n *node, start uint32) error {
	need := (n.size + f.cluster - 1) / f.cluster
	if need == 0 {
		return nil
	}
	runs, err := f.chain(start, need)
	if bounded(err) {
		return err
	}
	n.runs = runs
	if err != nil {
		f.damage(n, err)
	}
	return nil
}

// readDirectory returns the entries of a directory, up to the first unreadable part.
func (f *FS) readDirectory(n *node, start uint32) ([]byte, error) {
	if n == f.root && f.bits != 32 {
		data := make([]byte, f.fixedSize)
		f.listed += len(data)
		got, err := f.r.ReadAt(data, f.fixed)
		if got < len(data) {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
		return data, nil
	}
	runs, err := f.chain(start, max(1, maxDirectory/f.cluster)+1)
	switch {
	case errors.Is(err, errChainEnds):
		err = nil
	case err == nil:
		err = fmt.Errorf("%w: a directory of more than %d bytes", ErrCorrupt, maxDirectory)
	}
	if bounded(err) {
		return nil, err
	}
	n.runs = runs
	var data []byte
	for _, r := range runs {
		length := int64(r.count) * f.cluster
		if f.listed += int(length); f.listed > maxListed {
			return nil, fmt.Errorf("%w: more than %d bytes of directories", ErrUnsupported, maxListed)
		}
		part := make([]byte, length)
		got, readErr := f.r.ReadAt(part, f.data+(int64(r.start)-2)*f.cluster)
		if got < len(part) {
			if readErr == io.EOF {
				readErr = io.ErrUnexpectedEOF
			}
			return nil, readErr
		}
		data = append(data, part...)
	}
	return data, err
}

// found is an entry, with its first cluster.
type found struct {
	node  *node
	start uint32
}

// parse decodes the entries of a directory (the specification, "FAT Directory
// Structure" and "FAT Long Directory Entries"):
//
//	 0 11 short name, 11  1 attributes, 12  1 case of the short name, 20  2 first cluster, high word (FAT32),
//	22  2 time and 24  2 date of the last write, 26  2 first cluster, low word, 28  4 size in bytes
//	long: 0  1 number, 0x40 for the last; 1 10, 14 12, 28  4 characters; 13  1 checksum of the short name
func (f *FS) parse(dir *node, data []byte) ([]found, error) {
	var list []found
	var long longName
	dir.byName = map[string]*node{}
	for ; len(data) >= entrySize && data[0] != 0; data = data[entrySize:] {
		e := data[:entrySize]
		attributes := e[11] & 0x3f
		switch {
		case e[0] == 0xe5:
			long = longName{}
			continue
		case attributes == attrLong:
			long.add(e)
			continue
		}
		name := long.take(e[:11])
		if attributes&attrVolume != 0 {
			if dir == f.root && attributes&attrDirectory == 0 {
				f.volume.Label = strings.TrimRight(decodeOEM(e[:11]), " ")
			}
			continue
		}
		short := shortName(e)
		if short == "." || short == ".." {
			continue
		}
		if name == "" {
			name = short
		}
		if f.entries++; f.entries > maxEntries {
			return nil, fmt.Errorf("%w: more than %d files", ErrUnsupported, maxEntries)
		}
		n := &node{name: name, dir: attributes&attrDirectory != 0, readOnly: attributes&attrReadOnly != 0,
			modified: dosTime(binary.LittleEndian.Uint16(e[24:]), binary.LittleEndian.Uint16(e[22:]))}
		if !n.dir {
			n.size = int64(binary.LittleEndian.Uint32(e[28:]))
		}
		start := uint32(binary.LittleEndian.Uint16(e[26:]))
		if f.bits == 32 {
			start |= uint32(binary.LittleEndian.Uint16(e[20:])) << 16
		}
		if !fs.ValidPath(name) || strings.Contains(name, "/") || name == "." || strings.ContainsRune(name, 0) {
			f.damage(dir, fmt.Errorf("%w: a name that no file has: %q", ErrCorrupt, name))
			continue
		}
		key, alias := fold(name), fold(short)
		if dir.byName[key] != nil {
			f.damage(dir, fmt.Errorf("%w: two files are called %q", ErrCorrupt, name))
			continue
		}
		dir.byName[key] = n
		if dir.byName[alias] == nil && fs.ValidPath(short) {
			dir.byName[alias] = n
		}
		dir.children = append(dir.children, n)
		list = append(list, found{n, start})
	}
	slices.SortFunc(dir.children, func(a, b *node) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// longName collects the entries of a long name, which come before that of the
// short one, the last part first.
type longName struct {
	parts    [][]byte // in UTF-16LE, the last first
	next     byte     // the number of the entry that has to come now
	checksum byte
}

// maxLongEntries is how many entries a long name has at most.
const maxLongEntries = 20

func (l *longName) add(e []byte) {
	number := e[0]
	if number&0x40 != 0 {
		*l = longName{next: number &^ 0x40, checksum: e[13]}
		if l.next == 0 || l.next > maxLongEntries {
			*l = longName{}
			return
		}
		number &^= 0x40
	}
	if number == 0 || number != l.next || e[13] != l.checksum {
		*l = longName{}
		return
	}
	l.parts = append(l.parts, slices.Concat(e[1:11], e[14:26], e[28:32]))
	l.next--
}

// take returns the long name for a short one, "" if there is none, and begins
// anew.
func (l *longName) take(short []byte) string {
	got := *l
	*l = longName{}
	if len(got.parts) == 0 || got.next != 0 || got.checksum != sum(short) {
		return ""
	}
	var name []byte
	for _, p := range slices.Backward(got.parts) {
		name = append(name, p...)
	}
	for i := 0; i+1 < len(name); i += 2 {
		if name[i] == 0 && name[i+1] == 0 {
			name = name[:i]
			break
		}
	}
	return utf16le.Decode(name)
}

// sum is the checksum of a short name that its long entries hold.
func sum(short []byte) byte {
	var s byte
	for _, c := range short {
		s = s<<7 | s>>1
		s += c
	}
	return s
}

// shortName is the name of an entry without a long one: the two bits of Windows
// NT say which part is in small letters.
func shortName(e []byte) string {
	base := slices.Clone(e[:8])
	if base[0] == 0x05 {
		base[0] = 0xe5
	}
	name, ext := strings.TrimRight(decodeOEM(base), " "), strings.TrimRight(decodeOEM(e[8:11]), " ")
	if e[12]&0x08 != 0 {
		name = strings.ToLower(name)
	}
	if e[12]&0x10 != 0 {
		ext = strings.ToLower(ext)
	}
	if ext != "" {
		name += "." + ext
	}
	return name
}

// decodeOEM decodes a text in code page 437, the default of Linux.
func decodeOEM(b []byte) string {
	text, err := charmap.CodePage437.NewDecoder().Bytes(b)
	if err != nil {
		return string(b)
	}
	return string(text)
}

// fold makes names equal that Linux takes for the same: it compares without
// regard to case, and to points at the end.
func fold(name string) string {
	return strings.Map(func(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }, strings.TrimRight(name, "."))
}

// dosTime is a time as it is written, whose zone is not known; UTC is taken.
func dosTime(date, clock uint16) time.Time {
	if date == 0 {
		return time.Time{}
	}
	return time.Date(1980+int(date>>9), time.Month(date>>5&0xf), int(date&0x1f), int(clock>>11), int(clock>>5&0x3f),
		int(clock&0x1f)*2, 0, time.UTC)
}
