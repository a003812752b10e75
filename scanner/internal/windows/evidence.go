package windows

import (
	"fmt"

	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// notFound is the note of evidence for a thing that is not there.
const notFound = "not found"

// fileEvidence is the evidence for a name on a volume that is not found. Its kind
// is that of a file: what the name would be is not known.
func fileEvidence(role, name string) requirement.Evidence {
	return requirement.Evidence{Kind: requirement.KindFile, Origin: requirement.OriginDisk, Source: role, Path: name}
}

// foundEvidence is the evidence for a file or folder that is there.
func foundEvidence(role, name string, dir bool) requirement.Evidence {
	ev := fileEvidence(role, name)
	ev.Found = true
	if dir {
		ev.Kind = requirement.KindFolder
	}
	return ev
}

// pathEvidence is the evidence for a Windows path that was not looked up. It has no
// source if the drive is neither C nor D.
func (m *Machine) pathEvidence(win string) requirement.Evidence {
	drive, name, err := splitDrive(win)
	if err != nil || m.volumes[drive] == nil {
		return fileEvidence("", win)
	}
	return fileEvidence(m.volumes[drive].role, name)
}

// linkEvidence is the evidence for what is at a Windows path itself: a link there
// is not followed.
func (m *Machine) linkEvidence(win string) requirement.Evidence {
	ev := m.pathEvidence(win)
	for _, v := range m.volumes {
		if v.role != ev.Source || v.fs == nil {
			continue
		}
		if info, err := v.fs.Stat(ev.Path); err == nil {
			return foundEvidence(ev.Source, ev.Path, info.IsDir())
		}
	}
	return ev
}

// entryEvidence is the evidence for an entry that a walk over a folder visits.
func entryEvidence(role, name string, e *ntfs.Entry) requirement.Evidence {
	ev := foundEvidence(role, name, e.Dir)
	ev.Time, ev.Data = e.Modified, fmt.Sprintf("%d bytes, MFT record %d", e.Size, e.Record)
	return ev
}

// treeEvidence turns the evidence for a folder into that for everything below it.
// data gives the sums.
func treeEvidence(folder requirement.Evidence, data string) requirement.Evidence {
	folder.Kind, folder.Data = requirement.KindTree, data
	return folder
}

// bitmapEvidence is the evidence for which clusters of a volume are in use. NTFS
// keeps that in the file of MFT record 6.
func (v *volume) bitmapEvidence(data string) requirement.Evidence {
	ev := foundEvidence(v.role, "$Bitmap", false)
	ev.Content, ev.Data = true, data
	return ev
}

// documentEvidence is the evidence for what a document from outside the disk says.
func documentEvidence(document, name, data string) requirement.Evidence {
	return requirement.Evidence{Kind: requirement.KindDocument, Origin: requirement.OriginDocument, Found: true,
		Source: document, Value: name, Data: data}
}

// keyEvidence completes the evidence for the name of a key with what the key shows.
func keyEvidence(ev requirement.Evidence, k *registry.Key) requirement.Evidence {
	ev.Kind, ev.Origin, ev.Found = requirement.KindKey, requirement.OriginDisk, true
	if k.Recovered() {
		ev.Origin = requirement.OriginLog
	}
	ev.Time, ev.Offset = k.LastWrite().UTC(), cellOf(k)
	return ev
}

// valueEvidence turns the evidence for a key into that for a value in it; v is nil
// if the key has no such value. A missing value has the origin of its key, whose
// list shows that it is missing.
func valueEvidence(ev requirement.Evidence, name string, v *registry.Value) requirement.Evidence {
	ev.Kind, ev.Found, ev.Value = requirement.KindValue, v != nil, name
	if v == nil {
		return ev
	}
	ev.Origin = requirement.OriginDisk
	if v.Recovered() {
		ev.Origin = requirement.OriginLog
	}
	offset := v.Offset()
	ev.Offset, ev.Type = &offset, v.Type().String()
	return ev
}

// subjectOf is what a piece of evidence shows, as a finding names it to programs: a
// file, a folder, or what a key or value of the registry sets.
func subjectOf(ev requirement.Evidence, reason requirement.Reason) requirement.Subject {
	s := requirement.Subject{Kind: requirement.SubjectFile, ID: ev.Path, Reason: reason}
	switch ev.Kind {
	case requirement.KindKey, requirement.KindValue:
		s.Kind, s.ID, s.Value = requirement.SubjectSetting, ev.Key, ev.Data
		if ev.Kind == requirement.KindValue {
			s.ID = joinKey(ev.Key, ev.Value)
		}
		return s
	case requirement.KindFolder, requirement.KindTree:
		s.Kind = requirement.SubjectFolder
	}
	if ev.Source != roleRoot {
		s.Value = ev.Source
	}
	return s
}

// subjectsOf are what pieces of evidence show, all with one reason.
func subjectsOf(evidence []requirement.Evidence, reason requirement.Reason) []requirement.Subject {
	about := make([]requirement.Subject, len(evidence))
	for i, ev := range evidence {
		about[i] = subjectOf(ev, reason)
	}
	return about
}

// cellOf is where the cell of a key lies in its hive; nil if some of it came out
// of a transaction log, and so is not there.
func cellOf(k *registry.Key) *int64 {
	if k.Recovered() {
		return nil
	}
	at := k.Offset()
	return &at
}
