package statement

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxDepth bounds the nesting of what is skipped. The documents have four
// levels.
const maxDepth = 32

// maxKeys bounds the fields of one object, which are remembered to find one
// that is given twice. The largest object has about thirty.
const maxKeys = 1000

// maxEntries bounds the entries of all lists together, so that a document of
// empty objects does not take many times its size in memory. WorkSpaces have
// some three each, and a Region's quota of them is far below.
const maxEntries = 200_000

// jsonReader reads a document from front to back. Its methods take the path of
// the field that they read, for messages.
type jsonReader struct {
	dec     *json.Decoder
	entries int // of lists, so far
}

func parseJSON(text string) (*Document, error) {
	r := &jsonReader{dec: json.NewDecoder(strings.NewReader(text))}
	r.dec.UseNumber()
	d := &Document{}
	next, process := "", ""
	err := r.object("", fields{
		"Workspaces": r.only(WorkSpaces, d, r.workSpace),
		"Images":     r.only(Images, d, r.image),
		"Snapshots":  r.only(Snapshots, d, r.snapshot),
		"NextToken":  r.text(&next),
		// Of the input of import-workspace-image (Amazon WorkSpaces API Reference, "ImportWorkspaceImage").
		"IngestionProcess": r.text(&process),
	})
	if err != nil {
		return nil, err
	}
	if process != "" {
		if d.Kind != "" {
			return nil, fmt.Errorf("%w: it is both %s and %s", ErrInvalid, d.Kind, Import)
		}
		d.Kind, d.Import = Import, &ImportRequest{IngestionProcess: process}
	}
	switch _, err := r.dec.Token(); {
	case err == nil:
		return nil, fmt.Errorf("%w: more follows after the document, at byte %d (pages go into files of their own)",
			ErrInvalid, r.dec.InputOffset())
	case err != io.EOF:
		return nil, r.broken(err)
	case d.Kind == "":
		return nil, ErrUnknownKind
	}
	d.Truncated = next != ""
	return d, nil
}

// only reads the list of a kind of document. A document has one list.
func (r *jsonReader) only(kind Kind, d *Document, entry func(path string, d *Document) error) func(string) error {
	return func(path string) error {
		if d.Kind != "" {
			return fmt.Errorf("%w: it is both %s and %s", ErrInvalid, d.Kind, kind)
		}
		d.Kind = kind
		return r.list(path, func(path string) error { return entry(path, d) })
	}
}

// workSpace reads an entry as describe-workspaces prints it (Amazon WorkSpaces
// API Reference, "Workspace").
func (r *jsonReader) workSpace(path string, d *Document) error {
	var w WorkSpace
	err := r.object(path, fields{
		"WorkspaceId":                 r.text(&w.WorkspaceID),
		"State":                       r.text(&w.State),
		"UserName":                    r.text(&w.UserName),
		"ComputerName":                r.text(&w.ComputerName),
		"BundleId":                    r.text(&w.BundleID),
		"SubnetId":                    r.text(&w.SubnetID),
		"DirectoryId":                 r.text(&w.DirectoryID),
		"RootVolumeEncryptionEnabled": r.truth(&w.RootVolumeEncryptionEnabled),
		"UserVolumeEncryptionEnabled": r.truth(&w.UserVolumeEncryptionEnabled),
		"VolumeEncryptionKey":         r.text(&w.VolumeEncryptionKey),
		"ErrorCode":                   r.text(&w.ErrorCode),
		"ErrorMessage":                r.text(&w.ErrorMessage),
		"ModificationStates": func(path string) error {
			return r.list(path, func(path string) error {
				var m ModificationState
				err := r.object(path, fields{"Resource": r.text(&m.Resource), "State": r.text(&m.State)})
				w.ModificationStates = append(w.ModificationStates, m)
				return err
			})
		},
		"WorkspaceProperties": func(path string) error {
			p := &w.Properties
			return r.object(path, fields{
				"RootVolumeSizeGib":   r.count(&p.RootVolumeSizeGiB),
				"UserVolumeSizeGib":   r.count(&p.UserVolumeSizeGiB),
				"ComputeTypeName":     r.text(&p.ComputeTypeName),
				"OperatingSystemName": r.text(&p.OperatingSystemName),
				"Protocols": func(path string) error {
					return r.list(path, func(path string) error {
						var s string
						err := r.text(&s)(path)
						p.Protocols = append(p.Protocols, s)
						return err
					})
				},
			})
		},
	})
	if err != nil {
		return err
	}
	if w.WorkspaceID == "" {
		return fmt.Errorf("%w: %s: no WorkspaceId", ErrInvalid, path)
	}
	d.WorkSpaces = append(d.WorkSpaces, w)
	return nil
}

// image reads an entry as describe-workspace-images prints it (Amazon
// WorkSpaces API Reference, "WorkspaceImage"). The images of EC2 are in a field
// of the same name.
func (r *jsonReader) image(path string, d *Document) error {
	var i Image
	err := r.object(path, fields{
		"ImageId":         r.text(&i.ImageID),
		"Name":            r.text(&i.Name),
		"Description":     r.text(&i.Description),
		"State":           r.text(&i.State),
		"RequiredTenancy": r.text(&i.RequiredTenancy),
		"Created":         r.time(&i.Created),
		"OwnerAccountId":  r.text(&i.OwnerAccountID),
		"ErrorCode":       r.text(&i.ErrorCode),
		"ErrorMessage":    r.text(&i.ErrorMessage),
		"OperatingSystem": func(path string) error {
			return r.object(path, fields{"Type": r.text(&i.OperatingSystem)})
		},
		"Updates": func(path string) error {
			return r.object(path, fields{"UpdateAvailable": r.truth(&i.UpdateAvailable)})
		},
		"ErrorDetails": func(path string) error {
			return r.list(path, func(path string) error {
				var e ErrorDetail
				err := r.object(path, fields{"ErrorCode": r.text(&e.ErrorCode), "ErrorMessage": r.text(&e.ErrorMessage)})
				i.ErrorDetails = append(i.ErrorDetails, e)
				return err
			})
		},
	})
	switch {
	case err != nil:
		return err
	case i.ImageID == "":
		return fmt.Errorf("%w: %s: no ImageId", ErrInvalid, path)
	case !strings.HasPrefix(i.ImageID, "wsi-"):
		return fmt.Errorf("%w: %s.ImageId: %q is not an image of WorkSpaces", ErrUnknownKind, path, i.ImageID)
	}
	d.Images = append(d.Images, i)
	return nil
}

// snapshot reads an entry as describe-snapshots prints it (Amazon EC2 API Reference,
// "Snapshot"). Other services have snapshots in a field of the same name.
func (r *jsonReader) snapshot(path string, d *Document) error {
	var s Snapshot
	err := r.object(path, fields{
		"SnapshotId":     r.text(&s.SnapshotID),
		"VolumeId":       r.text(&s.VolumeID),
		"VolumeSize":     r.count(&s.VolumeSizeGiB),
		"State":          r.text(&s.State),
		"StartTime":      r.time(&s.StartTime),
		"CompletionTime": r.time(&s.CompletionTime),
		"Encrypted":      r.truth(&s.Encrypted),
		"KmsKeyId":       r.text(&s.KMSKeyID),
		"OwnerId":        r.text(&s.OwnerID),
	})
	switch {
	case err != nil:
		return err
	case s.SnapshotID == "":
		return fmt.Errorf("%w: %s: no SnapshotId", ErrInvalid, path)
	case !strings.HasPrefix(s.SnapshotID, "snap-"):
		return fmt.Errorf("%w: %s.SnapshotId: %q is not a snapshot of EBS", ErrUnknownKind, path, clip(s.SnapshotID))
	}
	d.Snapshots = append(d.Snapshots, s)
	return nil
}

// fields says how each known field of an object is read.
type fields map[string]func(path string) error

// object reads an object. Fields that are not known are skipped, one that is
// there twice is an error, null stands for an object without fields.
func (r *jsonReader) object(path string, known fields) error {
	t, err := r.token()
	switch {
	case err != nil:
		return err
	case t == nil:
		return nil
	case t != json.Delim('{'):
		return wrongType(path, "an object", t)
	}
	seen := make(map[string]bool)
	for r.dec.More() {
		t, err := r.token()
		if err != nil {
			return err
		}
		key := t.(string) // nothing else can stand here
		field := strings.TrimPrefix(path+"."+key, ".")
		switch {
		case seen[key]:
			return fmt.Errorf("%w: %s: is there twice", ErrInvalid, clip(field))
		case len(seen) == maxKeys:
			return fmt.Errorf("%w: %s: an object with more than %d fields", ErrInvalid, path, maxKeys)
		}
		seen[key] = true
		if read, ok := known[key]; ok {
			err = read(field)
		} else {
			err = r.skip(clip(field), 0)
		}
		if err != nil {
			return err
		}
	}
	_, err = r.token()
	return err
}

// list reads a list; null stands for an empty one.
func (r *jsonReader) list(path string, entry func(path string) error) error {
	t, err := r.token()
	switch {
	case err != nil:
		return err
	case t == nil:
		return nil
	case t != json.Delim('['):
		return wrongType(path, "a list", t)
	}
	for n := 0; r.dec.More(); n++ {
		if r.entries == maxEntries {
			return fmt.Errorf("%w: %s: more than %d entries", ErrInvalid, path, maxEntries)
		}
		r.entries++
		if err := entry(fmt.Sprintf("%s[%d]", path, n)); err != nil {
			return err
		}
	}
	_, err = r.token()
	return err
}

// skip reads over a value. What is in it is held to the same rules.
func (r *jsonReader) skip(path string, depth int) error {
	t, err := r.token()
	if err != nil {
		return err
	}
	delim, ok := t.(json.Delim)
	if !ok {
		return nil
	}
	if depth == maxDepth {
		return fmt.Errorf("%w: %s: nested more than %d deep", ErrInvalid, path, maxDepth)
	}
	seen := make(map[string]bool)
	for r.dec.More() {
		if delim == '{' {
			t, err := r.token()
			if err != nil {
				return err
			}
			key := t.(string)
			switch {
			case seen[key]:
				return fmt.Errorf("%w: %s: %s is there twice", ErrInvalid, path, clip(key))
			case len(seen) == maxKeys:
				return fmt.Errorf("%w: %s: an object with more than %d fields", ErrInvalid, path, maxKeys)
			}
			seen[key] = true
		}
		if err := r.skip(path, depth+1); err != nil {
			return err
		}
	}
	_, err = r.token()
	return err
}

func (r *jsonReader) text(to *string) func(string) error {
	return func(path string) error {
		t, err := r.token()
		if err != nil || t == nil {
			return err
		}
		s, ok := t.(string)
		if !ok {
			return wrongType(path, "a text", t)
		}
		*to = s
		return nil
	}
}

// time reads a time, which is a text or a number as the caller's
// configuration has it.
func (r *jsonReader) time(to *string) func(string) error {
	return func(path string) error {
		t, err := r.token()
		if err != nil || t == nil {
			return err
		}
		switch t := t.(type) {
		case string:
			*to = t
		case json.Number:
			*to = t.String()
		default:
			return wrongType(path, "a time", t)
		}
		return nil
	}
}

func (r *jsonReader) truth(to **bool) func(string) error {
	return func(path string) error {
		t, err := r.token()
		if err != nil || t == nil {
			return err
		}
		b, ok := t.(bool)
		if !ok {
			return wrongType(path, "true or false", t)
		}
		*to = &b
		return nil
	}
}

// count reads a non-negative integer.
func (r *jsonReader) count(to **int64) func(string) error {
	return func(path string) error {
		t, err := r.token()
		if err != nil || t == nil {
			return err
		}
		number, ok := t.(json.Number)
		if !ok {
			return wrongType(path, "a whole number", t)
		}
		n, err := number.Int64()
		if err != nil || n < 0 {
			return wrongType(path, "a whole number", t)
		}
		*to = &n
		return nil
	}
}

func (r *jsonReader) token() (json.Token, error) {
	t, err := r.dec.Token()
	if err != nil {
		return nil, r.broken(err)
	}
	return t, nil
}

func (r *jsonReader) broken(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the JSON ends at byte %d, before it is complete", ErrInvalid, r.dec.InputOffset())
	}
	return fmt.Errorf("%w: JSON at byte %d: %w", ErrInvalid, r.dec.InputOffset(), err)
}

func wrongType(path, want string, got json.Token) error {
	kind := "a text"
	switch got := got.(type) {
	case json.Delim:
		kind = "an object"
		if got == '[' {
			kind = "a list"
		}
	case json.Number:
		kind = "the number " + clip(got.String())
	case bool:
		kind = fmt.Sprint(got)
	}
	return fmt.Errorf("%w: %s: is %s, not %s", ErrInvalid, path, kind, want)
}

// clip shortens what a document says to what a message can bear.
func clip(s string) string {
	const most = 100
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
