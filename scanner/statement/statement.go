// Package statement reads documents with facts that are not on the disk: the
// JSON of `aws workspaces describe-workspaces` and `describe-workspace-images` and of
// `aws ec2 describe-snapshots`, the JSON input of `aws workspaces import-workspace-image`,
// and the text of `slmgr /dlv`. The content decides the kind of a document.
//
// A document decides requirements, so nothing in it is guessed: a field that
// has the wrong type, is repeated or is not certain is an error that names it.
// Unknown fields are ignored.
package statement

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknownKind is the error for content that is not a document of a known
// kind.
var ErrUnknownKind = errors.New(
	"not the JSON of describe-workspaces, describe-workspace-images, describe-snapshots or import-workspace-image, " +
		"nor the text of slmgr /dlv")

// ErrInvalid is the error for content of a known kind that is damaged or
// contradictory.
var ErrInvalid = errors.New("invalid document")

// MaxSize is the maximum size of a document in bytes. A list of ten thousand
// WorkSpaces, more than most customers have in a Region, needs half of it.
const MaxSize = 16 << 20

// maxText bounds a text that is not JSON, which may be decoded several times
// over: slmgr /dlv all prints a few hundred kilobytes.
const maxText = 4 << 20

// Kind is the kind of a Document.
type Kind string

// The kinds of documents.
const (
	WorkSpaces Kind = "describe-workspaces"
	Images     Kind = "describe-workspace-images"
	Snapshots  Kind = "describe-snapshots"
	Import     Kind = "import-workspace-image"
	License    Kind = "slmgr /dlv"
)

// Document is one document from outside the disk. Only the field of its kind
// is set.
type Document struct {
	Name string // its file name
	Kind Kind

	WorkSpaces []WorkSpace
	Images     []Image
	Snapshots  []Snapshot
	Import     *ImportRequest
	Slmgr      *Slmgr

	// Truncated is true if the document names a next page, so that its list is
	// incomplete.
	Truncated bool
}

// WorkSpace is one entry of describe-workspaces. A string that is not in the
// document is "", a number nil.
type WorkSpace struct {
	WorkspaceID        string // never ""
	State              string // "AVAILABLE", ... as written
	ModificationStates []ModificationState
	UserName           string
	ComputerName       string
	BundleID           string
	SubnetID           string
	DirectoryID        string

	RootVolumeEncryptionEnabled *bool // nil: not in the document
	UserVolumeEncryptionEnabled *bool // nil: not in the document
	VolumeEncryptionKey         string

	ErrorCode    string
	ErrorMessage string

	Properties WorkSpaceProperties
}

// ModificationState is a change of a WorkSpace that is under way.
type ModificationState struct {
	Resource string // "ROOT_VOLUME", "USER_VOLUME", "COMPUTE_TYPE"
	State    string // "UPDATE_INITIATED", "UPDATE_IN_PROGRESS"
}

// WorkSpaceProperties are the WorkspaceProperties of a WorkSpace.
type WorkSpaceProperties struct {
	RootVolumeSizeGiB   *int64
	UserVolumeSizeGiB   *int64
	ComputeTypeName     string
	Protocols           []string // "PCOIP", "WSP"
	OperatingSystemName string
}

// Image is one entry of describe-workspace-images.
type Image struct {
	ImageID         string // "wsi-...", never ""
	Name            string
	Description     string
	State           string // "AVAILABLE", "PENDING", "ERROR"
	OperatingSystem string // "WINDOWS", "LINUX"
	RequiredTenancy string
	Created         string // as written: the command prints it in several forms
	OwnerAccountID  string
	ErrorCode       string
	ErrorMessage    string
	ErrorDetails    []ErrorDetail
	UpdateAvailable *bool // nil: not in the document
}

// ErrorDetail is a reason why an image could not be created.
type ErrorDetail struct {
	ErrorCode    string
	ErrorMessage string
}

// Snapshot is one entry of describe-snapshots. A string that is not in the document is
// "", a number nil.
type Snapshot struct {
	SnapshotID     string // "snap-...", never ""
	VolumeID       string
	VolumeSizeGiB  *int64
	State          string // "completed", "pending", ... as written
	StartTime      string // as written: the command prints it in several forms
	CompletionTime string // likewise
	Encrypted      *bool  // nil: not in the document
	KMSKeyID       string
	OwnerID        string
}

// ImportRequest is the input of import-workspace-image.
type ImportRequest struct {
	IngestionProcess string // "BYOL_REGULAR_WSP", ...; never ""
}

// Slmgr is the output of `slmgr /dlv` about the Windows license. A text without
// a certain rearm count is an error.
type Slmgr struct {
	Name        string // "Windows(R), ServerDatacenter edition"; "" if not certain
	Description string // "Windows(R) Operating System, VOLUME_KMSCLIENT channel"; "" if not certain
	Channel     string // "VOLUME_KMSCLIENT", "RETAIL", ...; "" if not certain
	Status      string // the license status as printed, in the language of the text; "" if not certain

	RemainingWindowsRearm int
	RemainingSKURearm     *int // nil: the text does not print it, as on Windows 7
}

// Parse reads a document of at most MaxSize bytes. name is only for messages
// and Document.Name. The error is ErrUnknownKind or ErrInvalid.
func Parse(name string, data []byte) (*Document, error) {
	d, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d.Name = name
	return d, nil
}

func parse(data []byte) (*Document, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrInvalid, MaxSize)
	}
	text, isUnicode := decodeUnicode(data)
	switch {
	case isUnicode && strings.HasPrefix(strings.TrimLeft(text, " \t\r\n"), "{"):
		return parseJSON(text)
	case len(data) > maxText:
		return nil, ErrUnknownKind
	case !isUnicode:
		return parseCodePages(data)
	}
	s, err := parseSlmgr(text)
	if err != nil {
		return nil, err
	}
	return &Document{Kind: License, Slmgr: s}, nil
}
