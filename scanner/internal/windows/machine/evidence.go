package machine

import (
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

// NotFound is the note of evidence for a thing that is not there.
const NotFound = "not found"

// FileEvidence is the evidence for a name on a volume that is not found. Its kind
// is that of a file: what the name would be is not known.
func FileEvidence(role, name string) requirement.Evidence {
	return requirement.Evidence{Kind: requirement.KindFile, Origin: requirement.OriginDisk, Source: role, Path: name}
}

// FoundEvidence is the evidence for a file or folder that is there.
func FoundEvidence(role, name string, dir bool) requirement.Evidence {
	ev := FileEvidence(role, name)
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
		return FileEvidence("", win)
	}
	return FileEvidence(m.volumes[drive].Role, name)
}

// LinkEvidence is the evidence for what is at a Windows path itself: a link there
// is not followed.
func (m *Machine) LinkEvidence(win string) requirement.Evidence {
	ev := m.pathEvidence(win)
	for _, v := range m.volumes {
		if v.Role != ev.Source || v.FS == nil {
			continue
		}
		if info, err := v.FS.Stat(ev.Path); err == nil {
			return FoundEvidence(ev.Source, ev.Path, info.IsDir())
		}
	}
	return ev
}

// EntryEvidence is the evidence for an entry that a walk over a folder visits.
func EntryEvidence(role, name string, e *volume.Entry) requirement.Evidence {
	ev := FoundEvidence(role, name, e.Dir)
	ev.Time, ev.Data = e.Modified, fmt.Sprintf("%d bytes, MFT record %d", e.Size, e.Record)
	return ev
}

// TreeEvidence turns the evidence for a folder into that for everything below it.
// data gives the sums.
func TreeEvidence(folder requirement.Evidence, data string) requirement.Evidence {
	folder.Kind, folder.Data = requirement.KindTree, data
	return folder
}

// BitmapEvidence is the evidence for which clusters of a volume are in use. NTFS
// keeps that in the file of MFT record 6.
func (v *Drive) BitmapEvidence(data string) requirement.Evidence {
	ev := FoundEvidence(v.Role, "$Bitmap", false)
	ev.Content, ev.Data = true, data
	return ev
}

// WindowsPath is the path of the evidence for a file as Windows writes it: the root
// volume is drive C, the user volume drive D.
func WindowsPath(ev requirement.Evidence) string {
	name := strings.ReplaceAll(ev.Path, "/", `\`)
	switch ev.Source {
	case RoleRoot:
		return `C:\` + name
	case RoleUser:
		return `D:\` + name
	}
	return ev.Path
}

// DocumentEvidence is the evidence for what a document from outside the disk says.
func DocumentEvidence(document, name, data string) requirement.Evidence {
	return requirement.Evidence{Kind: requirement.KindDocument, Origin: requirement.OriginDocument, Found: true,
		Source: document, Value: name, Data: data}
}

// KeyEvidence completes the evidence for the name of a key with what the key shows.
func KeyEvidence(ev requirement.Evidence, k *registry.Key) requirement.Evidence {
	ev.Kind, ev.Origin, ev.Found = requirement.KindKey, requirement.OriginDisk, true
	if k.Recovered() {
		ev.Origin = requirement.OriginLog
	}
	ev.Time, ev.Offset = k.LastWrite().UTC(), cellOf(k)
	return ev
}

// ValueEvidence turns the evidence for a key into that for a value in it; v is nil
// if the key has no such value. A missing value has the origin of its key, whose
// list shows that it is missing.
func ValueEvidence(ev requirement.Evidence, name string, v *registry.Value) requirement.Evidence {
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

// cellOf is the offset of a key's cell in its hive; nil if part of it comes
// from a transaction log.
func cellOf(k *registry.Key) *int64 {
	if k.Recovered() {
		return nil
	}
	at := k.Offset()
	return &at
}
