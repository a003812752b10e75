package linux

import "github.com/coldcheck/coldcheck/scanner/requirement"

// notFound is the note of evidence for a thing that is not there.
const notFound = "not found"

// fileEvidence is evidence of a file on a volume, of which no more than its name
// and its inode was read.
func fileEvidence(role, name string) requirement.Evidence {
	return requirement.Evidence{Kind: requirement.KindFile, Origin: requirement.OriginDisk, Found: true, Source: role, Path: name}
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

// figuresEvidence is evidence of what a volume's own structures count.
func figuresEvidence(role, figures string) requirement.Evidence {
	return requirement.Evidence{Kind: requirement.KindVolume, Origin: requirement.OriginDisk, Found: true, Content: true, Source: role, Data: figures}
}

// listEvidence is evidence of places too many to be named one by one.
func listEvidence(role, note string) requirement.Evidence {
	return requirement.Evidence{Kind: requirement.KindVolume, Origin: requirement.OriginDisk, Found: true, Content: true, Source: role, Note: note}
}
