package scanner

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

const (
	stateSection = "Requirements to Create Windows Custom Images; " +
		"Requirements to Create Amazon Linux Custom Images"
	addWorkSpaces = "Add the output of 'aws workspaces describe-workspaces' with --with"
	addImages     = "Add the output of 'aws workspaces describe-workspace-images' with --with"
)

// imageQuota is how many images an account may have in a Region unless it
// asked for more.
const imageQuota = 40

// serviceCatalogue holds what the service knows and the disk does not.
var serviceCatalogue = []requirement.Entry[*service]{
	{Requirement: requirement.Requirement{
		ID: "ws.state.available", Platform: requirement.Any, Scope: requirement.Service, Severity: requirement.Required,
		Demand:      "The WorkSpace must be in state AVAILABLE.",
		Reads:       "describe-workspaces: State of the WorkSpace with the disk's computer name.",
		Live:        "aws workspaces describe-workspaces --workspace-ids ws-…",
		Remediation: "Start the WorkSpace, or wait for the current operation to finish.",
		Reference:   stateSection,
	}, Judge: workSpace(judgeState), Counts: (*service).namesWorkSpace},
	{Requirement: requirement.Requirement{
		ID: "ws.modification.none", Platform: requirement.Any,
		Scope: requirement.Service, Severity: requirement.Required,
		Demand:      "The WorkSpace must not be under modification.",
		Reads:       "describe-workspaces: ModificationStates.",
		Live:        "aws workspaces describe-workspaces --workspace-ids ws-…",
		Remediation: "Wait for the modification of the WorkSpace to finish.",
		Reference:   stateSection,
	}, Judge: workSpace(judgeModification), Counts: (*service).namesWorkSpace},
	{Requirement: requirement.Requirement{
		ID: "ws.encryption.none", Platform: requirement.Any, Scope: requirement.Service, Severity: requirement.Required,
		Demand: "The root and the user volume must not be encrypted by the service.",
		Reads: "describe-workspaces: RootVolumeEncryptionEnabled and UserVolumeEncryptionEnabled. " +
			"This encryption leaves no trace on the volumes.",
		Live: "aws workspaces describe-workspaces --workspace-ids ws-…",
		Remediation: "Launch a WorkSpace without volume encryption and customize that one. " +
			"Encryption cannot be removed from a volume.",
		Reference: stateSection,
	}, Judge: workSpace(judgeEncryption), Counts: (*service).namesWorkSpace},
	{Requirement: requirement.Requirement{
		ID: "ws.quota.images", Platform: requirement.Any, Scope: requirement.Service, Severity: requirement.Required,
		Demand: "The account must own fewer images than its quota in the Region (40 by default).",
		Reads:  "describe-workspace-images: how many images one account owns, counted over all pages of the list.",
		Live:   "aws workspaces describe-workspace-images --query 'length(Images)'",
		Doubts: "No document states the account's quota. The default of 40 is assumed; a raised quota makes this " +
			"requirement easier to meet than reported.",
		Remediation: "Delete images that are no longer needed, or request a higher quota in the Service Quotas console.",
		Reference:   "Best Practices",
	}, Judge: (*service).judgeQuota, Counts: (*service).listsImages},
}

// service judges what the documents say of the machine on the disk.
type service struct {
	documents []*statement.Document
	match     statement.Match
	missing   error                // why no WorkSpace is known; nil if one is
	notices   []requirement.Notice // documents that do not fit the disk
}

// newService finds the machine's WorkSpace in the documents. A document that
// does not fit the disk is a notice and is not used.
func newService(documents []*statement.Document, sys system) *service {
	s := &service{documents: documents}
	s.missing = guard(func() error { return s.find(sys) })
	return s
}

func (s *service) find(sys system) error {
	given := false
	for _, d := range s.documents {
		given = given || d.Kind == statement.WorkSpaces
	}
	if !given {
		return errors.New("not on the disk. " + addWorkSpaces)
	}
	computer, err := sys.ComputerName()
	if err != nil {
		return fmt.Errorf("the computer name, which identifies the WorkSpace, cannot be read: %w", err)
	}
	match, err := statement.MatchWorkSpace(s.documents, computer)
	if err != nil {
		return err
	}
	for _, unused := range match.Unused {
		s.notices = append(s.notices, requirement.Notice{Level: requirement.LevelWarning, Message: unused})
	}
	if match.WorkSpace == nil {
		return fmt.Errorf("no document contains a WorkSpace with the computer name %s. %s", computer, addWorkSpaces)
	}
	if user := match.WorkSpace.UserName; user != "" {
		known, err := sys.HasUser(user)
		if err != nil {
			return fmt.Errorf("cannot tell whether the user %s in %s has a profile on the disk: %w",
				user, match.Document.Name, err)
		}
		if !known {
			err := fmt.Errorf("%s is ignored: its user %s has no profile on the disk", match.Document.Name, user)
			s.notices = append(
				s.notices,
				requirement.Notice{Level: requirement.LevelWarning, Message: err.Error(), Source: match.Document.Name},
			)
			return err
		}
	}
	s.match = match
	return nil
}

// namesWorkSpace reports whether a document describes the WorkSpace, so that the
// requirement counts. Two documents that disagree about this computer describe it
// too, and leave the requirement undetermined.
func (s *service) namesWorkSpace() bool {
	return s.match.WorkSpace != nil || errors.Is(s.missing, statement.ErrDisagree)
}

// listsImages reports whether a document lists images.
func (s *service) listsImages() bool { return len(s.images()) > 0 }

// images returns the documents that list images.
func (s *service) images() []*statement.Document {
	var list []*statement.Document
	for _, d := range s.documents {
		if d.Kind == statement.Images {
			list = append(list, d)
		}
	}
	return list
}

// checks binds rules about what the service knows to the documents.
func (s *service) checks(rules []requirement.Rule) []requirement.Check {
	return requirement.Bind(serviceCatalogue, rules, func(context.Context, requirement.Terms) *service { return s })
}

// workSpace returns the judgment of what a document says of the WorkSpace.
func workSpace(
	judge func(*statement.WorkSpace, requirement.Evidence) requirement.Outcome,
) func(*service) requirement.Outcome {
	return func(s *service) requirement.Outcome {
		if s.missing != nil {
			return requirement.Unreadable(s.missing)
		}
		return stated(judge(s.match.WorkSpace, documentEvidence(s.match.Document)))
	}
}

// documentEvidence is evidence of something in a document.
func documentEvidence(d *statement.Document) requirement.Evidence {
	return requirement.Evidence{
		Kind:   requirement.KindDocument,
		Origin: requirement.OriginDocument,
		Found:  true,
		Source: d.Name,
	}
}

func (s *service) judgeQuota() requirement.Outcome { return judgeQuota(s.images()) }

// stated marks an outcome that a document decided.
func stated(o requirement.Outcome) requirement.Outcome {
	if o.Basis != "" {
		o.Basis = requirement.Stated
	}
	return o
}

// setting is a member of the service's description of a WorkSpace that keeps it
// from becoming an image.
func setting(name, value string) requirement.Subject {
	return requirement.Subject{Kind: requirement.SubjectSetting, ID: name, Value: value}
}

func judgeState(w *statement.WorkSpace, ev requirement.Evidence) requirement.Outcome {
	ev.Value, ev.Data, ev.Found = "State", w.State, w.State != ""
	switch strings.ToUpper(w.State) {
	case "":
		return requirement.Unknown("The document does not contain the state of WorkSpace "+w.WorkspaceID+".", ev)
	case "AVAILABLE":
		return requirement.Pass("WorkSpace "+w.WorkspaceID+" is AVAILABLE.", ev)
	case "STOPPED":
		o := requirement.Fail("WorkSpace "+w.WorkspaceID+" is STOPPED.", ev).About(setting("State", w.State))
		o.Remediation = "Run aws workspaces start-workspaces --start-workspace-requests WorkspaceId=" + w.WorkspaceID +
			" to start the WorkSpace."
		return o
	case "SUSPENDED":
		o := requirement.Fail("WorkSpace "+w.WorkspaceID+" is SUSPENDED, as during image creation.", ev).
			About(setting("State", w.State))
		o.Remediation = "Wait for the image creation in progress to finish."
		return o
	}
	return requirement.Fail("WorkSpace "+w.WorkspaceID+" is "+w.State+".", ev).About(setting("State", w.State))
}

func judgeModification(w *statement.WorkSpace, ev requirement.Evidence) requirement.Outcome {
	ev.Value = "ModificationStates"
	if len(w.ModificationStates) == 0 {
		ev.Found, ev.Note = false, "empty or not given"
		return requirement.Pass("WorkSpace "+w.WorkspaceID+" is not being modified.", ev)
	}
	var list []string
	var modified []requirement.Subject
	for _, m := range w.ModificationStates {
		list = append(list, m.Resource+" "+m.State)
		modified = append(modified, setting(m.Resource, m.State))
	}
	ev.Data = strings.Join(list, ", ")
	return requirement.Fail("WorkSpace "+w.WorkspaceID+" is being modified: "+ev.Data+".", ev).About(modified...)
}

func judgeEncryption(w *statement.WorkSpace, ev requirement.Evidence) requirement.Outcome {
	root := w.RootVolumeEncryptionEnabled != nil && *w.RootVolumeEncryptionEnabled
	user := w.UserVolumeEncryptionEnabled != nil && *w.UserVolumeEncryptionEnabled
	ev.Value = "RootVolumeEncryptionEnabled, UserVolumeEncryptionEnabled"
	ev.Data = fmt.Sprintf("%t, %t", root, user)
	rootOn, userOn := setting("RootVolumeEncryptionEnabled", "true"), setting("UserVolumeEncryptionEnabled", "true")
	switch {
	case root && user:
		return requirement.Fail("The root and the user volume of WorkSpace "+w.WorkspaceID+" are encrypted.", ev).
			About(rootOn, userOn)
	case root:
		return requirement.Fail("The root volume of WorkSpace "+w.WorkspaceID+" is encrypted.", ev).About(rootOn)
	case user:
		return requirement.Fail("The user volume of WorkSpace "+w.WorkspaceID+" is encrypted.", ev).About(userOn)
	}
	return requirement.Pass("No volume of WorkSpace "+w.WorkspaceID+" is encrypted.", ev)
}

// judgeQuota decides ws.quota.images. Images that another account shares are
// not counted: where several accounts own some, the one with the most counts.
// Of several complete lists the longest counts; pages of a list count together.
func judgeQuota(documents []*statement.Document) requirement.Outcome {
	if len(documents) == 0 {
		return requirement.Unknown("Not on the disk. " + addImages + ".")
	}
	longest, truncated := documents[0], false
	var pages []statement.Image
	var evidence []requirement.Evidence
	for _, d := range documents {
		if ownImages(d.Images) > ownImages(longest.Images) {
			longest = d
		}
		truncated = truncated || d.Truncated
		pages = append(pages, d.Images...)
		ev := documentEvidence(d)
		ev.Value, ev.Data = "Images", prose.Count(len(d.Images), "image", "images")
		evidence = append(evidence, ev)
	}
	n := ownImages(longest.Images)
	if truncated {
		n = ownImages(pages)
	}
	owned := prose.Count(n, "image", "images")
	switch {
	case n >= imageQuota:
		return stated(requirement.Fail(
			fmt.Sprintf("The account owns %s; the default quota is %d.", owned, imageQuota), evidence...))
	case truncated:
		return requirement.Unknown("The account owns at least "+owned+". The list is incomplete; "+
			"add all its pages with --with.", evidence...)
	}
	return stated(requirement.Pass(
		fmt.Sprintf("The account owns %s of the default quota of %d.", owned, imageQuota), evidence...))
}

// ownImages counts the images of the account that owns the most, and those
// whose owner is not named. One that is listed twice is one.
func ownImages(images []statement.Image) int {
	owners := map[string]int{}
	seen := map[string]bool{}
	for _, i := range images {
		if !seen[i.ImageID] {
			seen[i.ImageID] = true
			owners[i.OwnerAccountID]++
		}
	}
	unnamed, most := owners[""], 0
	delete(owners, "")
	for _, n := range owners {
		most = max(most, n)
	}
	return most + unnamed
}
