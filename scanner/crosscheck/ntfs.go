package crosscheck

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"www.velocidex.com/golang/go-ntfs/parser"
)

// ntfsReader reads an NTFS volume with go-ntfs, and the hives on it with
// regparser.
//
// go-ntfs lists names of deleted files that are still in a folder's index, and
// lists too little where an index is fragmented. So a name counts only if the
// record that it leads to is in use and bears it, and a file that is not found
// by its path is looked for in its record.
type ntfsReader struct {
	ntfs *parser.NTFSContext
	hive *hive // the last one that was read
}

const (
	rootRecord = 5

	// pageSize and pages are the cache below go-ntfs, which reads a few bytes
	// at a time: 16 MiB.
	pageSize = 4096
	pages    = 4096
)

func openNTFS(r *io.SectionReader) (reader, error) {
	cached, err := parser.NewPagedReader(r, pageSize, pages)
	if err != nil {
		return nil, err
	}
	ntfs, err := parser.GetNTFSContext(cached, 0)
	if err != nil {
		return nil, err
	}
	return &ntfsReader{ntfs: ntfs}, nil
}

func (n *ntfsReader) read(q Question) (Reading, error) {
	switch q.Kind {
	case Volume:
		root, err := n.record(rootRecord)
		if err != nil {
			return Reading{}, err
		}
		if !isFolder(root) {
			return Reading{}, errors.New("the root folder is none")
		}
		return Reading{Found: true, What: AFolder}, nil
	case Key, Value:
		h, err := n.openHive(q)
		if err != nil {
			return Reading{}, err
		}
		return h.read(q)
	}
	number, err := n.find(q.Path, int64(q.Record))
	if number < 0 || err != nil {
		return Reading{}, err
	}
	file, err := n.record(number)
	if err != nil {
		return Reading{}, err
	}
	if q.Kind == Tree {
		return n.tree(number)
	}
	return n.describe(file, number, q.Content)
}

func (n *ntfsReader) describe(file *parser.MFT_ENTRY, number int64, content bool) (Reading, error) {
	r := Reading{Found: true, What: AFile, Record: uint64(number)}
	standard, err := file.StandardInformation(n.ntfs)
	if err != nil {
		return Reading{}, err
	}
	r.Modified = standard.File_altered_time().Unix()
	if isFolder(file) {
		r.What = AFolder
		var names []string
		err := n.entries(number, anyName, func(name string, _ int64) error {
			names = append(names, name)
			return nil
		})
		r.Names = ListOf(names)
		return r, err
	}
	r.Size = n.size(file)
	if content {
		r.Content, err = n.content(file, r.Size)
	}
	return r, err
}

// tree adds up the files below a folder, each once.
func (n *ntfsReader) tree(start int64) (Reading, error) {
	r := Reading{Found: true, What: AFolder}
	seen := map[int64]bool{start: true}
	for stack := []int64{start}; len(stack) > 0; {
		folder := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		err := n.entries(folder, anyName, func(_ string, number int64) error {
			if seen[number] {
				return nil
			}
			seen[number] = true
			file, err := n.record(number)
			if err != nil {
				return err
			}
			if isFolder(file) {
				stack = append(stack, number)
				return nil
			}
			r.Files++
			r.Size += n.size(file)
			return nil
		})
		if err != nil {
			return Reading{}, err
		}
	}
	return r, nil
}

// find returns the number of the record that a path leads to, -1 if there is
// none. hint is the record where it should be, 0 for none.
func (n *ntfsReader) find(path string, hint int64) (int64, error) {
	parts := split(path)
	at := int64(rootRecord)
	for _, part := range parts {
		next := int64(-1)
		wanted := func(name string) bool { return strings.EqualFold(name, part) }
		err := n.entries(at, wanted, func(name string, number int64) error {
			if next < 0 || name == part {
				next = number
			}
			return nil
		})
		if err != nil {
			return -1, err
		}
		if next < 0 {
			if hint > 0 && n.leadsTo(hint, parts) {
				return hint, nil
			}
			return -1, nil
		}
		at = next
	}
	return at, nil
}

// split takes a path as in io/fs apart.
func split(path string) []string {
	if path == "." {
		return nil
	}
	return strings.FieldsFunc(path, func(r rune) bool { return r == '/' })
}

// leadsTo reports whether a path leads to a record by the names that the
// records on the way have of themselves.
func (n *ntfsReader) leadsTo(number int64, parts []string) bool {
	if len(parts) == 0 {
		return number == rootRecord
	}
	file, err := n.record(number)
	if err != nil {
		return false
	}
	for _, name := range file.FileName(n.ntfs) {
		parent := int64(name.MftReference())
		if !strings.EqualFold(name.Name(), parts[len(parts)-1]) {
			continue
		}
		folder, err := n.record(parent)
		if err != nil || folder.Sequence_value() != name.Seq_num() {
			continue
		}
		if n.leadsTo(parent, parts[:len(parts)-1]) {
			return true
		}
	}
	return false
}

// nameForDOS is the namespace of a short name that has a long one.
const nameForDOS = 2

func anyName(string) bool { return true }

// entries calls visit for every wanted name in a folder that is there, once.
func (n *ntfsReader) entries(folder int64, wanted func(name string) bool,
	visit func(name string, number int64) error) error {
	dir, err := n.record(folder)
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	for _, e := range dir.Dir(n.ntfs) {
		inIndex := e.File()
		name, number := inIndex.Name(), int64(e.MftReference())
		if inIndex.NameType().Value == nameForDOS || name == "." || seen[name] || !wanted(name) {
			continue
		}
		file, err := n.record(number)
		if err != nil || file.Sequence_value() != e.Seq_num() || !n.bears(file, name, folder) {
			continue
		}
		seen[name] = true
		if err := visit(name, number); err != nil {
			return err
		}
	}
	return nil
}

// bears reports whether a record has that name in that folder.
func (n *ntfsReader) bears(file *parser.MFT_ENTRY, name string, folder int64) bool {
	for _, own := range file.FileName(n.ntfs) {
		if int64(own.MftReference()) == folder && own.Name() == name {
			return true
		}
	}
	return false
}

// record returns a record that is in use.
func (n *ntfsReader) record(number int64) (*parser.MFT_ENTRY, error) {
	file, err := n.ntfs.GetMFT(number)
	if err != nil {
		return nil, fmt.Errorf("record %d: %w", number, err)
	}
	if !file.Flags().IsSet("ALLOCATED") {
		return nil, fmt.Errorf("record %d is not in use", number)
	}
	return file, nil
}

func isFolder(file *parser.MFT_ENTRY) bool { return file.Flags().IsSet("DIRECTORY") }

// size is that of the unnamed data.
func (n *ntfsReader) size(file *parser.MFT_ENTRY) int64 {
	for _, a := range file.EnumerateAttributes(n.ntfs) {
		if a.Type().Value == parser.ATTR_TYPE_DATA && a.Name() == "" && (a.IsResident() || a.Runlist_vcn_start() == 0) {
			return a.DataSize()
		}
	}
	return 0
}

// content is the Digest of the unnamed data.
func (n *ntfsReader) content(file *parser.MFT_ENTRY, size int64) (string, error) {
	if size == 0 { // there may be no such data
		return Digest(nil), nil
	}
	data, err := n.open(file)
	if err != nil {
		return "", err
	}
	return DigestReader(data, size)
}

// open opens the unnamed data.
func (n *ntfsReader) open(file *parser.MFT_ENTRY) (io.ReaderAt, error) {
	return parser.OpenStream(n.ntfs, file, parser.ATTR_TYPE_DATA, parser.WILDCARD_STREAM_ID, "")
}
