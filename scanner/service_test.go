package scanner

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

// onDisk is a system with a computer name and one user.
type onDisk struct {
	system // its other methods are not called

	computer, user string
	err            error
}

func (d onDisk) Platform() (Platform, error)       { return Platform{}, nil }
func (d onDisk) ComputerName() (string, error)     { return d.computer, d.err }
func (d onDisk) HasUser(name string) (bool, error) { return strings.EqualFold(name, d.user), d.err }
func (d onDisk) kind() (systemKind, error)         { return systemKind{}, d.err }

func (d onDisk) Checks([]requirement.Rule) []requirement.Check { return nil }

// imageRules are the rules of the default rule book.
func imageRules() []requirement.Rule {
	b, err := findBook("")
	if err != nil {
		panic(err)
	}
	return b.rules
}

func workSpaces(entries ...string) *statement.Document {
	d, err := statement.Parse("ws.json", []byte(`{"Workspaces": [`+strings.Join(entries, ",")+`]}`))
	if err != nil {
		panic(err)
	}
	return d
}

func TestWorkSpaceDocuments(t *testing.T) {
	good := `{"WorkspaceId": "ws-1", "ComputerName": "PC1", "UserName": "jdoe", "State": "AVAILABLE"}`
	const available, modification, encryption = "ws.state.available", "ws.modification.none", "ws.encryption.none"
	all := func(s requirement.Status) map[string]requirement.Status {
		return map[string]requirement.Status{available: s, modification: s, encryption: s}
	}
	passedBut := func(id string, s requirement.Status) map[string]requirement.Status {
		m := all(requirement.Passed)
		m[id] = s
		return m
	}
	disk := onDisk{computer: "pc1", user: "jdoe"}
	for name, c := range map[string]struct {
		documents []*statement.Document
		disk      onDisk
		want      map[string]requirement.Status
		notices   int
	}{
		"no document": {nil, disk, all(requirement.Undetermined), 0},
		"available":   {[]*statement.Document{workSpaces(good)}, disk, all(requirement.Passed), 0},
		"one of several": {[]*statement.Document{
			workSpaces(`{"WorkspaceId": "ws-2", "ComputerName": "PC2", "State": "ERROR"}`, good)}, disk, all(requirement.Passed),
			0},
		"of another computer": {[]*statement.Document{
			workSpaces(`{"WorkspaceId": "ws-2", "ComputerName": "PC2", "State": "AVAILABLE"}`)}, disk,
			all(requirement.Undetermined), 1},
		"without a computer name": {[]*statement.Document{
			workSpaces(`{"WorkspaceId": "ws-2", "UserName": "jdoe", "State": "AVAILABLE"}`)}, disk,
			all(requirement.Undetermined), 1},
		"of another user": {[]*statement.Document{workSpaces(good)}, onDisk{computer: "PC1", user: "asmith"},
			all(requirement.Undetermined), 1},
		"disk without a name": {[]*statement.Document{
			workSpaces(`{"WorkspaceId": "ws-2", "ComputerName": "", "State": "AVAILABLE"}`)}, onDisk{},
			all(requirement.Undetermined), 1},
		"name unreadable": {[]*statement.Document{workSpaces(good)}, onDisk{err: errors.New("damaged")},
			all(requirement.Undetermined), 0},
		"another beside it": {[]*statement.Document{workSpaces(good),
			workSpaces(`{"WorkspaceId": "ws-2", "ComputerName": "PC2", "State": "AVAILABLE"}`)}, disk, all(requirement.Passed),
			1},
		"two that differ": {[]*statement.Document{workSpaces(good),
			workSpaces(strings.Replace(good, "AVAILABLE", "STOPPED", 1))}, disk, all(requirement.Undetermined), 0},
		"two that agree": {[]*statement.Document{workSpaces(good), workSpaces(good)}, disk, all(requirement.Passed),
			0},
		"stopped": {[]*statement.Document{workSpaces(strings.Replace(good, "AVAILABLE", "STOPPED", 1))},
			disk, passedBut(available, requirement.Failed), 0},
		"suspended": {[]*statement.Document{workSpaces(strings.Replace(good, "AVAILABLE", "SUSPENDED", 1))},
			disk, passedBut(available, requirement.Failed), 0},
		"state not given": {[]*statement.Document{workSpaces(strings.Replace(good, `"AVAILABLE"`, `""`, 1))}, disk,
			passedBut(available, requirement.Undetermined), 0},
		"being modified": {[]*statement.Document{
			workSpaces(strings.Replace(good, `{`,
				`{"ModificationStates": [{"Resource": "ROOT_VOLUME", "State": "UPDATE_IN_PROGRESS"}],`, 1))}, disk,
			passedBut(modification, requirement.Failed), 0},
		"no modification, empty": {[]*statement.Document{
			workSpaces(strings.Replace(good, `{`, `{"ModificationStates": [],`, 1))}, disk, all(requirement.Passed), 0},
		"root encrypted": {[]*statement.Document{
			workSpaces(strings.Replace(good, `{`, `{"RootVolumeEncryptionEnabled": true,`, 1))}, disk,
			passedBut(encryption, requirement.Failed), 0},
		"user encrypted": {[]*statement.Document{
			workSpaces(strings.Replace(good, `{`, `{"UserVolumeEncryptionEnabled": true,`, 1))}, disk,
			passedBut(encryption, requirement.Failed), 0},
		"encryption said to be no": {[]*statement.Document{
			workSpaces(strings.Replace(good, `{`, `{"UserVolumeEncryptionEnabled": false,`, 1))}, disk, all(requirement.Passed),
			0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(c.documents, c.disk)
			used := counts(s, available)
			for _, check := range s.checks(imageRules()) {
				want, ok := c.want[check.ID]
				if !ok {
					continue
				}
				f := requirement.Find(check.Requirement, check.Decide(t.Context()))
				if f.Status != want {
					t.Errorf("%s: %s, want %s: %s", f.ID, f.Status, want, f.Message)
				}
				if f.Basis != "" && f.Basis != requirement.Stated {
					t.Errorf("%s: basis %s", f.ID, f.Basis)
				}
				if counts(s, check.ID) != used {
					t.Errorf("%s counts: %t", f.ID, !used)
				}
			}
			// Documents that disagree about the computer are of it, and decide nothing.
			if counts := c.want[encryption] != requirement.Undetermined || name == "two that differ"; used != counts {
				t.Errorf("the document is used: %t", used)
			}
			if n := s.notices; len(n) != c.notices {
				t.Errorf("notices %+v, want %d", n, c.notices)
			}
		})
	}
}

// counts reports whether the verdict depends on the requirement.
func counts(s *service, id string) bool {
	i := slices.IndexFunc(serviceCatalogue, func(e requirement.Entry[*service]) bool { return e.ID == id })
	return serviceCatalogue[i].Counts(s)
}

func TestQuota(t *testing.T) {
	images := func(owner string, from, to int) []statement.Image {
		var list []statement.Image
		for i := from; i < to; i++ {
			list = append(list, statement.Image{ImageID: fmt.Sprintf("wsi-%s-%d", owner, i), OwnerAccountID: owner})
		}
		return list
	}
	whole := func(list ...statement.Image) *statement.Document {
		return &statement.Document{Name: "images.json", Kind: statement.Images, Images: list}
	}
	page := func(list ...statement.Image) *statement.Document {
		d := whole(list...)
		d.Truncated = true
		return d
	}
	for name, c := range map[string]struct {
		documents []*statement.Document
		want      requirement.Status
	}{
		"none given":      {nil, requirement.Undetermined},
		"no image":        {[]*statement.Document{whole()}, requirement.Passed},
		"one below":       {[]*statement.Document{whole(images("1", 0, 39)...)}, requirement.Passed},
		"the quota":       {[]*statement.Document{whole(images("1", 0, 40)...)}, requirement.Failed},
		"above":           {[]*statement.Document{whole(images("1", 0, 41)...)}, requirement.Failed},
		"owner not named": {[]*statement.Document{whole(images("", 0, 40)...)}, requirement.Failed},
		"shared by others": {[]*statement.Document{whole(append(images("1", 0, 30), images("2", 0, 20)...)...)},
			requirement.Passed},
		"more pages":             {[]*statement.Document{page(images("1", 0, 3)...)}, requirement.Undetermined},
		"more pages, and enough": {[]*statement.Document{page(images("1", 0, 40)...)}, requirement.Failed},
		"two pages, and enough": {[]*statement.Document{page(images("1", 0, 20)...), whole(images("1", 20, 40)...)},
			requirement.Failed},
		"a page and a longer one": {[]*statement.Document{page(images("1", 0, 10)...), whole(images("1", 10, 39)...)},
			requirement.Undetermined},
		"the same page twice": {[]*statement.Document{page(images("1", 0, 25)...), page(images("1", 0, 25)...)},
			requirement.Undetermined},
		"two whole lists": {[]*statement.Document{whole(images("1", 0, 30)...), whole(images("1", 30, 60)...)},
			requirement.Passed},
		"two, one of them full": {[]*statement.Document{whole(images("1", 0, 3)...), whole(images("1", 0, 40)...)},
			requirement.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(c.documents, onDisk{})
			if o := judgeQuota(s.images()); o.Status != c.want {
				t.Errorf("%s, want %s: %s", o.Status, c.want, o.Message)
			}
			if counts(s, "ws.quota.images") != (c.documents != nil) {
				t.Error("whether the documents count")
			}
		})
	}
}
