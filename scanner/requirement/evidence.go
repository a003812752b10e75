package requirement

import "time"

// Kind says what a piece of evidence is.
type Kind string

// The kinds of evidence.
const (
	KindValue    Kind = "value"    // a value of a registry key
	KindKey      Kind = "key"      // a registry key, with the names of its subkeys and its values
	KindFile     Kind = "file"     // a file, link, device, pipe or socket
	KindFolder   Kind = "folder"   // a folder, with the names in it
	KindTree     Kind = "tree"     // everything below a folder
	KindVolume   Kind = "volume"   // a volume, or a structure of its filesystem that is no file
	KindDocument Kind = "document" // a document from outside the disk
)

// Origin says where the bytes of a piece of evidence come from.
type Origin string

// The origins of evidence.
const (
	OriginDisk     Origin = "disk"     // the place where they are at rest
	OriginLog      Origin = "log"      // a transaction log, from which they were recovered
	OriginWAL      Origin = "wal"      // a database and its write-ahead log
	OriginDocument Origin = "document" // a document from outside the disk
)

// Evidence is one thing that was read, told so that another examiner can read
// it again with another tool.
type Evidence struct {
	Kind    Kind
	Origin  Origin
	Found   bool // what the evidence names is there
	Content bool // of a file: what is in it was read, and not only what its folder or its record says of it

	Source string    // role of the volume ("root", "user", ...), or the name of a document
	Path   string    // file on the volume, with "/"
	Key    string    // registry key inside the hive at Path
	Value  string    // name of the value, of the column, of the stream
	Type   string    // REG_SZ and so on
	Data   string    // the data as a person would read it
	Offset *int64    // byte offset in the file at Path: of a value's data, else of a key's cell; nil if not known
	Time   time.Time // key's last write, or file's mtime; zero if not known
	Note   string    // what a reader must know: "not found", "from the transaction log"

	// Where another tool finds the same bytes, from the beginning of the image of
	// the volume; nil where it is not known. A Scan completes them.
	ImageOffset  *int64 // of the byte at Offset
	RecordOffset *int64 // of the MFT record or the inode of the file at Path

	CrossCheck CrossCheck // what other parsers made of it; the zero value without a cross-check
}

// CrossCheckState says whether other parsers read the same.
type CrossCheckState string

// The states of cross-checked evidence.
const (
	CrossConfirmed CrossCheckState = "confirmed" // they read the same
	CrossDiffers   CrossCheckState = "differs"   // they read something else
	CrossFailed    CrossCheckState = "failed"    // they could not read it
	CrossNotAsked  CrossCheckState = "not asked" // they do not read evidence of its kind or origin
)

// CrossCheck is what other parsers made of a piece of evidence.
type CrossCheck struct {
	State   CrossCheckState // "" without a cross-check
	Readers string          // of CrossConfirmed: the parsers with their versions, as "go-ntfs v0.2.1, regparser v0.1.0"
	Reason  string          // of the other states: what differs, what failed, or why it was not asked
}
