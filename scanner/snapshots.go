package scanner

import (
	"fmt"
	"slices"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

// describeSnapshots finds what the documents say of the snapshots that are read. A
// document that does not fit is a notice and is not used. No requirement depends on
// such a document.
func (vs *volumes) describeSnapshots(documents []*statement.Document, trail *requirement.Trail) {
	vs.snapshots = map[string]*SnapshotDescription{}
	warn := func(document, format string, args ...any) {
		trail.Notify(requirement.Notice{
			Level: requirement.LevelWarning, Message: fmt.Sprintf(format, args...), Source: document,
		})
	}
	scanned := map[string]bool{}
	for _, s := range allSources(vs.images) {
		r := s.Remote()
		if r == nil || r.Identity().Snapshot == "" {
			continue
		}
		id := r.Identity().Snapshot
		scanned[id] = true
		found, document, err := statement.MatchSnapshot(documents, id)
		switch {
		case err != nil:
			warn("", "What the documents say of %s is ignored: %v.", id, err)
		case found == nil:
		case found.VolumeSizeGiB != nil && *found.VolumeSizeGiB != r.Identity().VolumeSize>>30:
			warn(document.Name, "%s is ignored: it says that the volume of %s has %d GiB, and the volume has %s.", document.Name,
				id, *found.VolumeSizeGiB, prose.Size(r.Identity().VolumeSize))
		default:
			vs.snapshots[id] = &SnapshotDescription{Document: document.Name, Snapshot: *found}
		}
	}
	for _, d := range documents {
		if d.Kind != statement.Snapshots {
			continue
		}
		fits := slices.ContainsFunc(d.Snapshots, func(s statement.Snapshot) bool { return scanned[s.SnapshotID] })
		if !fits {
			warn(d.Name, "%s is ignored: it describes no snapshot that is scanned.", d.Name)
		}
	}
}
