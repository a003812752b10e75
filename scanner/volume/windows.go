package volume

import "github.com/coldcheck/coldcheck/ntfs"

// WindowsFS is a filesystem that Windows starts from. Each FS that a row of
// Supported with the system Windows opens is one.
type WindowsFS interface {
	FS

	ClusterSize() int // in bytes
	// Tree gives Totals in detail. Tree and Totals do not read the indexes of
	// large folders unless the volume is damaged, so they also count names that
	// only such an index would exclude. CheckedTree reads every index.
	Tree(name string) (Tree, error)
	CheckedTree(name string) (Tree, error)
	// Walk calls fn for everything below a folder, parents first, and follows no
	// link. path is relative to the folder and valid until fn returns. An entry
	// with a Doubt is in doubt or cannot be read. damaged counts folders that
	// cannot be listed. WalkRecords reads no index of a large folder unless the
	// volume is damaged, so it also visits names that only such an index would
	// exclude.
	Walk(name string, fn func(path []byte, e *Entry) error) (damaged int64, err error)
	WalkRecords(name string, fn func(path []byte, e *Entry) error) (damaged int64, err error)
	// Reparse returns the reparse data of a file or folder. The error is
	// fs.ErrNotExist if it has none.
	Reparse(name string) (Reparse, error)
	// SecurityDescriptor returns the security descriptor of a file or folder as
	// it is stored. The error is fs.ErrNotExist if it has none.
	SecurityDescriptor(name string) ([]byte, error)
}

// Windows starts from NTFS only. Its types are aliases because a walk visits
// millions of entries, and a copy of each would cost time.
type (
	Entry   = ntfs.Entry   // a file or folder; Sys of an fs.FileInfo of a WindowsFS is one too
	Reparse = ntfs.Reparse // where a junction or symbolic link leads, or the data of another reparse point
	Tree    = ntfs.Totals  // the sums over a folder
)
