package statement

import (
	"errors"
	"testing"
)

// FuzzJSON parses documents that begin as JSON does.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(describeWorkspaces))
	f.Add([]byte(describeImages))
	f.Add([]byte(describeSnapshots))
	f.Fuzz(func(t *testing.T, data []byte) { parseAnything(t, data) })
}

// FuzzSlmgr parses texts.
func FuzzSlmgr(f *testing.F) {
	for _, s := range []string{english, windows7, german, chinese, foreign, office} {
		f.Add([]byte(s))
	}
	f.Add([]byte("\xff\xfeN\x00:\x00"))
	f.Fuzz(func(t *testing.T, data []byte) { parseAnything(t, data) })
}

// parseAnything checks what holds of every document.
func parseAnything(t *testing.T, data []byte) {
	d, err := Parse("fuzz", data)
	if err != nil {
		if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrUnknownKind) {
			t.Errorf("an error of no kind: %v", err)
		}
		return
	}
	for _, w := range d.WorkSpaces {
		if w.WorkspaceID == "" {
			t.Error("a WorkSpace without ID")
		}
	}
	for _, s := range d.Snapshots {
		if s.SnapshotID == "" {
			t.Error("a snapshot without ID")
		}
	}
	if (d.Kind == License) != (d.Slmgr != nil) || (d.Slmgr != nil && d.Slmgr.RemainingWindowsRearm < 0) {
		t.Errorf("%+v", d)
	}
}
