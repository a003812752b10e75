// Package crosscheck reads evidence a second time, with parsers that share no
// code with the first ones: go-ntfs for files on NTFS, regparser for the
// registry in the hives that go-ntfs reads, go-diskfs for files on ext4. For
// each piece, the result is that the parsers agree, that they differ, or that
// the second one failed. It never changes a finding.
//
// On hostile input these parsers panic, loop, or use up all memory or stack. So
// they run in a child process, a Worker, that opens the images itself and has
// limits on memory and stack. It gets one Question at a time, as a line of
// JSON, with a time limit. If a child exits, its question has failed, and a new
// child replaces it, up to a limit.
//
// A Question says what to read but not what to expect: the child returns a
// Reading, and Run compares it in the parent. A Reading has digests instead of
// contents and lists, so that every answer is short.
package crosscheck

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/disk"
)

// The second parsers, as reports name them: module and version.
const (
	GoNTFS    = "go-ntfs v0.2.1"
	RegParser = "regparser v0.0.0-20250203141505-31e704a67ef7"
	GoDiskfs  = "go-diskfs v1.9.4"
)

// Kind is the kind of thing that a Question is about.
type Kind string

// The kinds of questions.
const (
	Volume Kind = "volume" // whether the filesystem opens and has a root folder
	File   Kind = "file"   // a file, folder or link
	Tree   Kind = "tree"   // number and sizes of all files below a folder
	Key    Kind = "key"    // a registry key with the names below it and its values
	Value  Kind = "value"  // a registry value
)

// Question asks for one thing to be read.
type Question struct {
	Kind       Kind            `json:"kind"`
	Image      int             `json:"image"`  // from 0, in the order of the Worker's images
	Disk       int             `json:"disk"`   // from 0; an archive may have several
	Volume     int             `json:"volume"` // disk.Volume.Number
	Filesystem disk.Filesystem `json:"filesystem"`
	// of the file on the volume, as in io/fs; of the hive for Key and Value
	Path string `json:"path,omitempty"`
	// of the file in $MFT, which go-ntfs tries if it does not find the path; 0
	// for none
	Record  uint64 `json:"record,omitempty"`
	Key     string `json:"key,omitempty"`     // inside the hive, with "\"
	Value   string `json:"value,omitempty"`   // "" is the default value
	Content bool   `json:"content,omitempty"` // of a file: read it
}

// Readers names the parsers that answer the question; nil if there are none
// for it.
func (q Question) Readers() []string {
	switch q.Filesystem {
	case disk.NTFS:
		if q.Kind == Key || q.Kind == Value {
			return []string{GoNTFS, RegParser}
		}
		return []string{GoNTFS}
	case disk.Ext2, disk.Ext3, disk.Ext4:
		if q.Kind == Volume || q.Kind == File {
			return []string{GoDiskfs}
		}
	}
	return nil
}

// reader is the name of the last of the Readers, which messages speak of.
func (q Question) reader() string {
	readers := q.Readers()
	if readers == nil {
		return ""
	}
	name, _, _ := strings.Cut(readers[len(readers)-1], " ")
	return name
}

// Reading is the data that a parser read. In Check.Want, a zero Modified,
// Record, Content, Names or Values is not compared.
type Reading struct {
	Found  bool   `json:"found"`
	What   What   `json:"what,omitempty"`
	Size   int64  `json:"size,omitempty"`   // in bytes, of a file, of all files of a tree, of a value's data
	Files  int64  `json:"files,omitempty"`  // in a tree
	Target string `json:"target,omitempty"` // of a link
	Record uint64 `json:"record,omitempty"` // in $MFT
	// Unix time in seconds, of a file or key; also where the key has no such value
	Modified int64  `json:"modified,omitempty"`
	Type     uint32 `json:"type,omitempty"`    // of a value
	Content  string `json:"content,omitempty"` // Digest of a file's content or a value's data
	Names    *List  `json:"names,omitempty"`   // in a folder, or of the keys below a key
	Values   *List  `json:"values,omitempty"`  // of a key, each as DescribeValue has it
}

// What is the kind of file that was found.
type What string

// The kinds of files. Other is a device, pipe or socket.
const (
	AFile   What = "file"
	AFolder What = "folder"
	ALink   What = "link"
	Other   What = "other"
)

// List stands for a set of names.
type List struct {
	Count  int    `json:"count"`
	Digest string `json:"digest"`
}

// ListOf returns the List of names in any order, which it sorts.
func ListOf(names []string) *List {
	slices.Sort(names)
	h := sha256.New()
	var length [8]byte
	for _, n := range names {
		binary.LittleEndian.PutUint64(length[:], uint64(len(n)))
		h.Write(length[:])
		io.WriteString(h, n)
	}
	return &List{len(names), hex.EncodeToString(h.Sum(nil))}
}

// Digest is the SHA-256 of data, in hexadecimal.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// DigestReader is the Digest of the first size bytes of r. If r ends early or
// makes no progress, the error says how far it got.
func DigestReader(r io.ReaderAt, size int64) (string, error) {
	h := sha256.New()
	err := copyAt(h, r, size)
	return hex.EncodeToString(h.Sum(nil)), err
}

// copyAt writes the first size bytes of r to w. It stands readers that return
// less than was asked for without an error.
func copyAt(w io.Writer, r io.ReaderAt, size int64) error {
	buffer := make([]byte, min(size, 1<<20))
	for at := int64(0); at < size; {
		want := buffer[:min(int64(len(buffer)), size-at)]
		n, err := r.ReadAt(want, at)
		if n = min(n, len(want)); n > 0 {
			if _, err := w.Write(want[:n]); err != nil {
				return err
			}
			at += int64(n)
			continue
		}
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("%d of %d bytes read: %w", at, size, err)
	}
	return nil
}

// DescribeValue returns the form of a value in Reading.Values.
func DescribeValue(name string, typ uint32, data []byte) string {
	return fmt.Sprintf("%d %d %s %s", typ, len(data), Digest(data), name)
}
