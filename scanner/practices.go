package scanner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

const practicesSection = "Best Practices"

// practices holds what is recommended for any system.
var practices = []requirement.Entry[practiceFacts]{
	{Requirement: requirement.Requirement{
		ID: "bp.volume-smallest", Platform: requirement.Any, Scope: requirement.Disk, Severity: requirement.Recommended,
		Demand: "the volumes have the smallest size offered",
		Reads: "The sizes of the disks that hold the root and the user volume; " +
			"describe-workspaces: RootVolumeSizeGib, UserVolumeSizeGib, ComputeTypeName. " +
			"The smallest are 80 and 10 GiB, for Graphics and GraphicsPro 100 and 100.",
		Live: "aws workspaces describe-workspaces --workspace-ids ws-… --query 'Workspaces[].WorkspaceProperties'",
		Remediation: "Launch a WorkSpace with the smallest volumes and customize that one: " +
			"volumes cannot be made smaller, and no bundle of the image can have smaller ones.",
		Reference: practicesSection,
	}, Judge: func(f practiceFacts) requirement.Outcome { return judgeSmallest(f.volumes.sizes(), f.match) }},
	{Requirement: requirement.Requirement{
		ID: "bp.network", Platform: requirement.Any, Scope: requirement.Service, Severity: requirement.Recommended,
		Demand: "separate VPC, private subnet with NAT, small Simple AD",
		Reads: "Nothing: it is neither on the disk nor in the documents. describe-workspaces names the subnet " +
			"and the directory to look at.",
		Live: "aws ec2 describe-subnets --subnet-ids subnet-…; aws ec2 describe-route-tables; " +
			"aws ds describe-directories --directory-ids d-…",
		Remediation: "Create images in a VPC of their own, in a private subnet with a NAT gateway, " +
			"with a small Simple AD directory.",
		Reference: practicesSection,
	}, Judge: func(f practiceFacts) requirement.Outcome { return judgeNetwork(f.match) }},
}

// practiceFacts are the volumes, and the WorkSpace that a document names.
type practiceFacts struct {
	volumes *volumes
	match   statement.Match
}

// checks binds the practices to the facts.
func (f practiceFacts) checks() []requirement.Check {
	return requirement.Bind(practices, func(context.Context) practiceFacts { return f })
}

// A diskSize is how large the disk of a volume is, in bytes.
type diskSize struct {
	Bytes int64
	// Least: the image holds the volume alone, or beside another one. The disk
	// that the service sees has about that, in whole GiB.
	Least    bool
	Err      error // why the size is not known
	Evidence requirement.Evidence
}

// sizes are those of the disks with the root and the user volume.
func (vs *volumes) sizes() [2]diskSize {
	var sizes [2]diskSize
	for i, v := range []*volume{vs.root, vs.user} {
		role := []Role{Root, User}[i]
		if v == nil {
			sizes[i] = diskSize{Err: fmt.Errorf("%s volume: %w", role, vs.noUser)}
			continue
		}
		s := diskSize{Bytes: v.image.Size, Evidence: v.evidence()}
		shared := vs.user != nil && vs.user.image == vs.root.image
		switch {
		case v.image.Incomplete != nil:
			s.Err = fmt.Errorf("%s: %w", v.image.Name, v.image.Incomplete)
		case v.Declared > v.Size:
			s.Err = fmt.Errorf("%s: the image holds %d of its %d bytes: how large the disk is is not known",
				v.name(), v.Size, v.Declared)
		case v.Partition == 0 || shared:
			s.Bytes, s.Least = v.Size, true
			s.Evidence.Note = fmt.Sprintf("a volume of %d bytes", s.Bytes)
		default:
			s.Evidence.Note = fmt.Sprintf("on a disk of %d bytes", s.Bytes)
		}
		sizes[i] = s
	}
	return sizes
}

// A bundle is what the service offers the smallest volumes for, in GiB.
type bundle struct {
	name       string
	root, user int64
}

var (
	ordinaryBundle = bundle{"", 80, 10}
	graphicsBundle = bundle{"Graphics", 100, 100}
)

// bundleOf tells by the name of the compute type which one it is.
func bundleOf(compute string) bundle {
	switch strings.ToUpper(compute) {
	case "GRAPHICS", "GRAPHICSPRO":
		return graphicsBundle
	}
	return ordinaryBundle
}

const gib = 1 << 30

// judgeSmallest decides bp.volume-smallest from the disks, and from what a
// document says of the WorkSpace, if one does. Where they disagree the larger
// size decides.
func judgeSmallest(sizes [2]diskSize, match statement.Match) requirement.Outcome {
	smallest := ordinaryBundle
	var gibs [2]*int64
	var evidence []requirement.Evidence
	known := match.WorkSpace != nil
	if known {
		p := match.WorkSpace.Properties
		smallest = bundleOf(p.ComputeTypeName)
		gibs = [2]*int64{p.RootVolumeSizeGiB, p.UserVolumeSizeGiB}
		ev := documentEvidence(match.Document)
		ev.Value = "WorkspaceProperties"
		ev.Data = fmt.Sprintf("%s, root %s, user %s",
			cmp.Or(p.ComputeTypeName, "compute type not given"), gibText(gibs[0]), gibText(gibs[1]))
		evidence = append(evidence, ev)
		known = p.ComputeTypeName != ""
	}
	var unread error
	var large, said []string
	inferred, byDocument := false, true
	for i, limit := range []int64{smallest.root, smallest.user} {
		role := []Role{Root, User}[i]
		s := sizes[i]
		bytes := s.Bytes
		if s.Least && bytes >= gib {
			bytes = bytes / gib * gib
		}
		if s.Err == nil {
			evidence = append(evidence, s.Evidence)
		}
		switch {
		case gibs[i] != nil && (s.Err != nil || *gibs[i]*gib >= bytes):
			bytes = *gibs[i] * gib
		case s.Err != nil:
			unread = errors.Join(unread, s.Err)
			continue
		default:
			byDocument = false
			inferred = inferred || s.Least
		}
		text := fmt.Sprintf("%s %s", role, prose.Size(bytes))
		said = append(said, text)
		if bytes > limit*gib {
			large = append(large, fmt.Sprintf("the %s volume has %s (%d bytes), and %d GiB are offered",
				role, prose.GiB(bytes), bytes, limit))
		}
	}
	graphics := !known && unread == nil && fits(sizes, gibs, graphicsBundle)
	switch {
	case len(large) > 0 && graphics:
		return requirement.Unknown(strings.Join(said, ", ")+": the smallest of a Graphics WorkSpace, "+
			"and more than any other needs; which it is is not on the disk ("+passWorkSpaces+")", evidence...)
	case len(large) > 0:
		o := requirement.Warn(strings.Join(large, "; "), evidence...)
		if byDocument {
			o = stated(o)
		}
		return o
	case unread != nil:
		return requirement.Unreadable(unread, evidence...)
	}
	o := requirement.Pass("the volumes have the smallest size offered: "+strings.Join(said, ", "), evidence...)
	switch {
	case byDocument:
		return stated(o)
	case inferred:
		o.Basis = requirement.Inferred
		o.Message += "; the image does not hold the whole disk, or more than one of them"
	}
	return o
}

// fits says whether both volumes have exactly the size of a bundle's smallest.
func fits(sizes [2]diskSize, gibs [2]*int64, b bundle) bool {
	for i, want := range []int64{b.root, b.user} {
		bytes := sizes[i].Bytes
		if gibs[i] != nil {
			bytes = *gibs[i] * gib
		}
		if (bytes+gib-1)/gib != want {
			return false
		}
	}
	return true
}

func gibText(n *int64) string {
	if n == nil {
		return "not given"
	}
	return fmt.Sprintf("%d GiB", *n)
}

// judgeNetwork reports what is known of bp.network, which decides nothing.
func judgeNetwork(match statement.Match) requirement.Outcome {
	const open = "whether the VPC is separate, the subnet private and the directory a small Simple AD"
	if match.WorkSpace == nil {
		return requirement.Unknown(open + " is not on the disk")
	}
	w := match.WorkSpace
	ev := documentEvidence(match.Document)
	ev.Value, ev.Data = "SubnetId, DirectoryId", w.SubnetID+", "+w.DirectoryID
	subnet, directory := cmp.Or(w.SubnetID, "(not given)"), cmp.Or(w.DirectoryID, "(not given)")
	return requirement.Unknown(fmt.Sprintf(
		"%s is not in the documents: look at the subnet %s and the directory %s", open, subnet, directory), ev)
}
