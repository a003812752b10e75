package linux

import "github.com/coldcheck/coldcheck/scanner/requirement"

// notFound is the note of evidence for a thing that is not there.
const notFound = "not found"

// fileEvidence is evidence of a file on a volume, of which no more than its name
// and its inode was read.
func fileEvidence(role, name string) requirement.Evidence {
	return requirement.Evidence{Kind: requirement.KindFile, Origin: requirement.OriginDisk, Found: true, Source: role,
		Path: name}
}

// contentEvidence is evidence of a file on a volume whose content was read.
func contentEvidence(role, name string) requirement.Evidence {
	ev := fileEvidence(role, name)
	ev.Content = true
	return ev
}

// absentFile is evidence of a path at which a volume has nothing.
func absentFile(role, name string) requirement.Evidence {
	ev := fileEvidence(role, name)
	ev.Found, ev.Note = false, notFound
	return ev
}

// folderEvidence is evidence of a folder on a volume.
func folderEvidence(role, name string) requirement.Evidence {
	ev := fileEvidence(role, name)
	ev.Kind = requirement.KindFolder
	return ev
}

// volumeEvidence is evidence of a volume: of what its own structures count, or of
// places on it that are too many to be named one by one.
func volumeEvidence(role string) requirement.Evidence {
	return requirement.Evidence{Kind: requirement.KindVolume, Origin: requirement.OriginDisk, Found: true, Source: role}
}

// unitSubject is a unit that a finding is about, and what keeps it from starting.
func unitSubject(name string, reason requirement.Reason, why string) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectUnit, ID: name, Reason: reason, Value: why}
}

// fileSubject is the file or folder of a piece of evidence as the subject of a
// finding.
func fileSubject(ev requirement.Evidence, reason requirement.Reason) requirement.Subject {
	s := requirement.Subject{Kind: requirement.SubjectFile, ID: ev.Path, Reason: reason}
	if ev.Kind == requirement.KindFolder {
		s.Kind = requirement.SubjectFolder
	}
	if ev.Source != "root" {
		s.Value = ev.Source
	}
	return s
}
