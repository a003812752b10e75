package requirement

import "time"

// Kind is the kind of a piece of evidence.
type Kind string

// The kinds of evidence.
const (
	KindValue    Kind = "value"    // a value of a registry key
	KindKey      Kind = "key"      // a registry key, with the names of its subkeys and its values
	KindFile     Kind = "file"     // a file, link, device, pipe or socket
	KindFolder   Kind = "folder"   // a folder, with the names in it
	KindTree     Kind = "tree"     // everything below a folder
	KindVolume   Kind = "volume"   // a volume, or a structure of its filesystem that is not a file
	KindDocument Kind = "document" // a document from outside the disk
)

// Origin is where the bytes of a piece of evidence come from.
type Origin string

// The origins of evidence.
const (
	OriginDisk     Origin = "disk"     // the file or structure itself
	OriginLog      Origin = "log"      // a transaction log, from which they were recovered
	OriginWAL      Origin = "wal"      // a database and its write-ahead log
	OriginDocument Origin = "document" // a document from outside the disk
)

// Evidence is one thing that was read, with enough detail to read it again with
// another tool.
type Evidence struct {
	Kind    Kind
	Origin  Origin
	Found   bool // the file, key or value exists
	Content bool // of a file: its content was read, and not only its metadata

	Source string    // role of the volume ("root", "user", ...), or the name of a document
	Path   string    // file on the volume, with "/"
	Key    string    // registry key inside the hive at Path
	Value  string    // name of the value, column or stream
	Type   string    // REG_SZ and so on
	Data   string    // the data in readable form
	Offset *int64    // byte offset in the file at Path: of a value's data, else of a key's cell; nil if not known
	Time   time.Time // key's last write, or file's mtime; zero if not known
	Note   string    // remark for the reader: "not found", "from the transaction log"

	// Offsets of the same bytes for other tools, from the start of the image
	// that has the volume; nil if not known. A Scan fills them in.
	ImageOffset  *int64 // of the byte at Offset
	RecordOffset *int64 // of the MFT record or the inode of the file at Path

	// File and FileOffset are where the byte at ImageOffset is in a file of the
	// image; "" and nil if the image is raw, or the byte has no such place.
	File       string
	FileOffset *int64
	// RecordFile and RecordFileOffset are the same for the byte at RecordOffset.
	RecordFile       string
	RecordFileOffset *int64

	CrossCheck CrossCheck // result of the cross-check; the zero value without one
}

// CrossCheckState is whether other parsers read the same data.
type CrossCheckState string

// The states of cross-checked evidence.
const (
	CrossConfirmed CrossCheckState = "confirmed" // they read the same data
	CrossDiffers   CrossCheckState = "differs"   // they read different data
	CrossFailed    CrossCheckState = "failed"    // they could not read it
	CrossNotAsked  CrossCheckState = "not asked" // they do not read evidence of its kind or origin
)

// CrossCheck is the result of rereading a piece of evidence with other parsers.
type CrossCheck struct {
	State   CrossCheckState // "" without a cross-check
	Readers string          // for CrossConfirmed: parsers and versions, as "go-ntfs v0.2.1, regparser v0.1.0"
	Reason  string          // for the other states: the difference, the error, or why it was not checked
}
