package statement

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
)

// ErrDisagree is the error for documents that contradict each other about the
// same computer. It is an ErrInvalid.
var ErrDisagree = fmt.Errorf("documents disagree: %w", ErrInvalid)

// Match is the WorkSpace in the documents that matches the disk.
type Match struct {
	WorkSpace *WorkSpace // nil if no document has it
	Document  *Document  // the document that has it
	// Unused has a sentence for each describe-workspaces document that does not fit,
	// with the reason, in the documents' order.
	Unused []string
}

// MatchWorkSpace finds the WorkSpace with the computer name of the disk,
// compared without case. An entry without a computer name fits no disk. Two
// different entries that fit are an ErrDisagree, since nothing shows which one
// is right.
func MatchWorkSpace(documents []*Document, computer string) (Match, error) {
	var m Match
	for _, d := range documents {
		if d.Kind != WorkSpaces {
			continue
		}
		fits := false
		for i := range d.WorkSpaces {
			w := &d.WorkSpaces[i]
			if computer == "" || !strings.EqualFold(w.ComputerName, computer) {
				continue
			}
			fits = true
			if m.WorkSpace == nil {
				m.WorkSpace, m.Document = w, d
				continue
			}
			if !reflect.DeepEqual(w, m.WorkSpace) {
				return Match{}, fmt.Errorf("%s and %s: the entries for computer %s differ: %w", m.Document.Name, d.Name,
					computer, ErrDisagree)
			}
		}
		if !fits {
			m.Unused = append(m.Unused, fmt.Sprintf("%s is ignored: it %s, and the computer name on the disk is %s.", d.Name,
				describeComputers(d), orNone(computer)))
		}
	}
	return m, nil
}

// MatchSnapshot finds the snapshot with an ID in the documents; nil if none has it. Two
// different entries are an ErrDisagree, since nothing shows which one is right.
func MatchSnapshot(documents []*Document, id string) (*Snapshot, *Document, error) {
	var found *Snapshot
	var of *Document
	for _, d := range documents {
		for i := range d.Snapshots {
			s := &d.Snapshots[i]
			switch {
			case s.SnapshotID != id:
			case found == nil:
				found, of = s, d
			case !reflect.DeepEqual(s, found):
				return nil, nil, fmt.Errorf("%s and %s: the entries for %s differ: %w", of.Name, d.Name, id, ErrDisagree)
			}
		}
	}
	return found, of, nil
}

func describeComputers(d *Document) string {
	var names []string
	for _, w := range d.WorkSpaces {
		if w.ComputerName != "" {
			names = append(names, w.ComputerName)
		}
	}
	if len(names) == 0 {
		return "names no computer"
	}
	return "describes " + prose.List(names, 3)
}

func orNone(name string) string {
	if name == "" {
		return "unknown"
	}
	return name
}
