package fleet

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
)

// RecordVersion is the version of records that this package writes and reads.
const RecordVersion = 1

// MaxRecord is the maximum size of a record that is read, in bytes. A report is smaller
// than 16 MiB, and a target than 1 MiB.
const MaxRecord = 24 << 20

// ErrRecord is the error for what is not a record of this version, or contradicts itself.
var ErrRecord = errors.New("not a record of coldcheck fleet")

// Record is the result for a target: a verdict with its report, or an Error.
type Record struct {
	SchemaVersion int       `json:"schema_version"`
	Target        Target    `json:"target"`
	Tool          Tool      `json:"tool"`
	Started       time.Time `json:"started"`
	Finished      time.Time `json:"finished"`
	// ExitCode is that of coldcheck scan: 0, 1 or 3 with a verdict; 4, 64 or 74 with an error.
	ExitCode int `json:"exit_code"`

	Verdict scanner.Verdict `json:"verdict,omitempty"`
	// Report is the JSON report of the scan, in one line.
	Report json.RawMessage `json:"report,omitempty"`
	// Inputs are what the verdict rests on; nil if an image states no identity.
	Inputs *Inputs `json:"inputs,omitempty"`
	// Reused says that the verdict is that of an earlier record.
	Reused *Reused `json:"reused,omitempty"`

	Error *Error `json:"error,omitempty"`
}

const toolName = "coldcheck"

// Tool is the program that made a record.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Reused says where a verdict comes from.
type Reused struct {
	From     string    `json:"from"`     // the folder or the prefix of the earlier record
	Finished time.Time `json:"finished"` // when the scan ended that made the verdict
	// Basis is what shows that the images are the same.
	Basis ReuseBasis `json:"basis"`
	// Compared is the number of blocks that were compared, with ChangedBlocks.
	Compared int64 `json:"compared,omitempty"`
}

// ReuseBasis is why an earlier verdict holds.
type ReuseBasis string

// The reasons.
const (
	SameIdentity  ReuseBasis = "identity"       // the images state the same identity
	ChangedBlocks ReuseBasis = "changed_blocks" // no block that was read has changed between the snapshots
)

// Error is why a target cannot be scanned, now or later.
type Error struct {
	Kind    ErrorKind `json:"kind"`
	Message string    `json:"message"`
	Hint    string    `json:"hint,omitempty"`
}

// RecordSchema is the JSON schema of a record.
//
//go:embed record.schema.json
var RecordSchema []byte

// Encode returns the record as one line of JSON.
func (r *Record) Encode() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, err
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(r); err != nil { // also compacts the report
		return nil, err
	}
	return b.Bytes(), nil
}

// DecodeRecord reads a record. The error is an ErrRecord.
func DecodeRecord(data []byte) (*Record, error) {
	var r Record
	d := json.NewDecoder(bytes.NewReader(data))
	err := d.Decode(&r)
	if err == nil {
		if _, end := d.Token(); end != io.EOF {
			err = errors.New("something follows it")
		}
	}
	if err == nil {
		err = r.check()
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return &r, nil
}

// check looks for what no record has.
func (r *Record) check() error {
	verdicts := map[scanner.Verdict]bool{scanner.Ready: true, scanner.NotReady: true, scanner.Inconclusive: true}
	withVerdict := slices.Contains([]int{0, 1, 3}, r.ExitCode)
	switch {
	case r.SchemaVersion != RecordVersion:
		return fmt.Errorf("schema_version %d is not read", r.SchemaVersion)
	case r.Tool.Name != toolName:
		return errors.New("no tool.name that says so")
	case !validID.MatchString(r.Target.ID):
		return fmt.Errorf("the id %.140q of its target is not valid", r.Target.ID)
	case len(r.Target.Images) == 0:
		return errors.New("its target has no images")
	case !withVerdict && !slices.Contains([]int{4, 64, 74}, r.ExitCode):
		return fmt.Errorf("exit_code %d is not one of a record", r.ExitCode)
	case r.Started.IsZero() || r.Finished.Before(r.Started):
		return errors.New("it ends before it starts")
	case len(r.Report) > 0 && !bytes.HasPrefix(bytes.TrimLeft(r.Report, " \t\r\n"), []byte{'{'}):
		return errors.New("its report is not a JSON object")
	case r.Error == nil && (r.Verdict == "" || len(r.Report) == 0):
		return errors.New("it has neither a verdict with a report nor an error")
	case r.Error != nil && (r.Verdict != "" || len(r.Report) > 0):
		return errors.New("it has both a verdict and an error")
	case r.Error != nil && !slices.Contains(ErrorKinds, r.Error.Kind):
		return fmt.Errorf("the kind %q of its error is unknown", r.Error.Kind)
	case r.Error == nil && !verdicts[r.Verdict]:
		return fmt.Errorf("unknown verdict %q", r.Verdict)
	case (r.Error == nil) != withVerdict:
		return fmt.Errorf("exit_code %d contradicts the rest of it", r.ExitCode)
	}
	return nil
}
