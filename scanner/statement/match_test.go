package statement

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMatchWorkSpace(t *testing.T) {
	yes := true
	document := func(name string, w ...WorkSpace) *Document {
		return &Document{Name: name, Kind: WorkSpaces, WorkSpaces: w}
	}
	a := WorkSpace{WorkspaceID: "ws-a", ComputerName: "ALPHA", State: "AVAILABLE"}
	b := WorkSpace{WorkspaceID: "ws-b", ComputerName: "BETA", State: "STOPPED"}
	encrypted := a
	encrypted.RootVolumeEncryptionEnabled = &yes
	for _, tt := range []struct {
		name      string
		documents []*Document
		computer  string
		want      string // the ID
		unused    []string
		err       error
	}{
		{"one of two", []*Document{document("d", a, b)}, "beta", "ws-b", nil, nil},
		{"said twice", []*Document{document("d", a), document("e", a)}, "ALPHA", "ws-a", nil, nil},
		{"contradictory", []*Document{document("d", a), document("e", encrypted)}, "ALPHA", "", nil, ErrInvalid},
		{"of another", []*Document{document("d", a), document("e", b)}, "BETA", "ws-b",
			[]string{"d is ignored: it describes ALPHA, and the computer name on the disk is BETA."}, nil},
		{"of none", []*Document{document("d", WorkSpace{WorkspaceID: "ws-c"})}, "BETA", "",
			[]string{"d is ignored: it names no computer, and the computer name on the disk is BETA."}, nil},
		{"computer not known", []*Document{document("d", WorkSpace{WorkspaceID: "ws-c"}, a)}, "", "",
			[]string{"d is ignored: it describes ALPHA, and the computer name on the disk is unknown."}, nil},
		{"other kinds", []*Document{{Name: "i", Kind: Images}}, "BETA", "", nil, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, err := MatchWorkSpace(tt.documents, tt.computer)
			if !errors.Is(err, tt.err) {
				t.Fatal(err)
			}
			id := ""
			if m.WorkSpace != nil {
				id = m.WorkSpace.WorkspaceID
			}
			if id != tt.want {
				t.Errorf("%q, want %q", id, tt.want)
			}
			if diff := cmp.Diff(tt.unused, m.Unused); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestMatchSnapshot(t *testing.T) {
	document := func(name string, list ...Snapshot) *Document {
		return &Document{Name: name, Kind: Snapshots, Snapshots: list}
	}
	one := document("one.json", Snapshot{SnapshotID: "snap-1"}, Snapshot{SnapshotID: "snap-2"})
	same := document("same.json", Snapshot{SnapshotID: "snap-2"})
	other := document("other.json", Snapshot{SnapshotID: "snap-2", State: "pending"})
	for _, tt := range []struct {
		documents []*Document
		id        string
		of        *Document
		disagree  bool
	}{
		{nil, "snap-1", nil, false},
		{[]*Document{one, same}, "snap-2", one, false},
		{[]*Document{same, one}, "snap-1", one, false},
		{[]*Document{one}, "snap-3", nil, false},
		{[]*Document{one, other}, "snap-2", nil, true},
		{[]*Document{one, other}, "snap-1", one, false},
	} {
		s, of, err := MatchSnapshot(tt.documents, tt.id)
		if of != tt.of || (s != nil) != (of != nil) || s != nil && s.SnapshotID != tt.id ||
			errors.Is(err, ErrDisagree) != tt.disagree || (err != nil) != tt.disagree {
			t.Errorf("%s: %+v of %+v, %v", tt.id, s, of, err)
		}
	}
}
