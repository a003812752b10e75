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
		Demand: "The volumes should have the smallest size that the service offers.",
		Reads: "The sizes of the disks that hold the root and the user volume; " +
			"describe-workspaces: RootVolumeSizeGib, UserVolumeSizeGib, ComputeTypeName. " +
			"The smallest sizes are 80 and 10 GiB; for Graphics and GraphicsPro, 100 and 100 GiB.",
		Live: "aws workspaces describe-workspaces --workspace-ids ws-… --query 'Workspaces[].WorkspaceProperties'",
		Remediation: "Launch a WorkSpace with the smallest volumes and customize that one. " +
			"Volumes cannot be made smaller, and no bundle of the image can have smaller ones.",
		Reference: practicesSection,
	}, Judge: func(f practiceFacts) requirement.Outcome { return judgeSmallest(f.volumes.sizes(), f.match) }},
	{Requirement: requirement.Requirement{
		ID: "bp.network", Platform: requirement.Any, Scope: requirement.Service, Severity: requirement.Recommended,
		Demand: "Images should be created in a separate VPC, in a private subnet with NAT, with a small Simple AD directory.",
		Reads: "Nothing: neither the disk nor the documents show it. describe-workspaces names the subnet " +
			"and the directory to check.",
		Live: "aws ec2 describe-subnets --subnet-ids subnet-…; aws ec2 describe-route-tables; " +
			"aws ds describe-directories --directory-ids d-…",
		Remediation: "Launch the WorkSpaces that become images in a separate VPC, in a private subnet with a NAT gateway, " +
			"with a small Simple AD directory.",
		Reference: practicesSection,
	}, Judge: func(f practiceFacts) requirement.Outcome { return judgeNetwork(f.match) }},
	{Requirement: requirement.Requirement{
		ID: "pools.disk.root-max-200", Platform: requirement.Windows, Scope: requirement.Disk,
		Severity: requirement.Required,
		Demand:   "The root volume must have at most 200 GiB.",
		Reads:    "The size of the disk with the root volume; of an image of the volume only, its size.",
		Live:     "Get-Disk | Select-Object Number, Size",
		Doubts: "The guide says that the image must be below 200 GB, and gives the root volume of bundles as 200 GB. " +
			"Exactly 200 GiB are therefore allowed.",
		Remediation: "Launch a WorkSpace with a root volume of at most 200 GiB and customize that one. " +
			"Volumes cannot be made smaller.",
		Reference: poolsSection,
	}, Judge: func(f practiceFacts) requirement.Outcome { return judgeRootSize(f.volumes.sizes()[0]) }},
	{Requirement: requirement.Requirement{
		ID: "pools.image.description", Platform: requirement.Windows, Scope: requirement.Service,
		Severity:    requirement.Recommended,
		Demand:      "The description of the image should have no hyphen.",
		Reads:       "Nothing: the image is described when it is created.",
		Live:        "aws workspaces describe-workspace-images --query 'Images[].Description'",
		Remediation: "Describe the image without hyphens.",
		Reference:   poolsSection,
	}, Judge: func(practiceFacts) requirement.Outcome {
		return requirement.Unknown("The disk does not show how the image will be described.")
	}},
	{Requirement: requirement.Requirement{
		ID: "pools.bundle", Platform: requirement.Windows, Scope: requirement.Service, Severity: requirement.Recommended,
		Demand:      "Windows 11 with your own license should not be used with the Value bundle.",
		Reads:       "Nothing: the bundle is chosen when the pool is created.",
		Live:        "aws workspaces describe-workspaces-pools",
		Remediation: "Create the pool with a larger bundle.",
		Reference:   poolsSection,
	}, Judge: func(practiceFacts) requirement.Outcome {
		return requirement.Unknown("The disk does not show which bundle the pool will use.")
	}},
}

const poolsSection = "Create a custom image and bundle for WorkSpaces Pools"

// poolsRoot is how large the root volume may be for WorkSpaces Pools, in GiB.
const poolsRoot = 200

// judgeRootSize decides pools.disk.root-max-200.
func judgeRootSize(s diskSize) requirement.Outcome {
	switch {
	case s.Err != nil:
		return requirement.Unreadable(s.Err)
	case s.Bytes > poolsRoot*gib:
		return requirement.Fail(fmt.Sprintf("The root volume has %s; at most %d GiB are allowed.", prose.Exact(s.Bytes),
			poolsRoot), s.Evidence)
	}
	o := requirement.Pass(fmt.Sprintf("The root volume has %s; at most %d GiB are allowed.", prose.GiB(s.Bytes),
		poolsRoot), s.Evidence)
	if s.Least {
		o.Basis = requirement.Inferred
		o = o.Also("The size is that of the volume: the image does not show the size of the disk.")
	}
	return o
}

// practiceFacts are the volumes, the WorkSpace that a document names, and the terms of the rule book.
type practiceFacts struct {
	volumes *volumes
	match   statement.Match
	terms   requirement.Terms
}

// checks binds rules about practices to the facts.
func (f practiceFacts) checks(rules []requirement.Rule) []requirement.Check {
	return requirement.Bind(practices, rules, func(_ context.Context, t requirement.Terms) practiceFacts {
		own := f
		own.terms = t
		return own
	})
}

// A diskSize is how large the disk of a volume is, in bytes.
type diskSize struct {
	Bytes int64
	// Least: the image holds only the volume, or both volumes. The disk that the
	// service sees has at least that many GiB.
	Least    bool
	Err      error // why the size is not known
	Evidence requirement.Evidence
}

// sizes are those of the disks with the root and the user volume.
func (vs *volumes) sizes() [2]diskSize {
	var sizes [2]diskSize
	for i, v := range []*volume{vs.root, vs.user} {
		if v == nil {
			sizes[i] = diskSize{Err: vs.noUser}
			continue
		}
		s := diskSize{Bytes: v.image.Size, Evidence: v.evidence()}
		shared := vs.user != nil && vs.user.image == vs.root.image
		switch {
		case v.image.Incomplete != nil:
			s.Err = fmt.Errorf("%s: %w", v.image.Name, v.image.Incomplete)
		case v.Declared > v.Size:
			s.Err = fmt.Errorf("%s: the copy is truncated, so the size of the disk is unknown", v.name())
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

// bundleOf returns the bundle of a compute type, by its name.
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
	var large, listed []string
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
		listed = append(listed, text)
		if bytes > limit*gib {
			large = append(large, tooLarge(role, bytes, limit))
		}
	}
	graphics := !known && unread == nil && fits(sizes, gibs, graphicsBundle)
	switch {
	case len(large) > 0 && graphics:
		return requirement.Unknown("The sizes ("+strings.Join(listed, ", ")+") are the smallest of a Graphics WorkSpace "+
			"and too large for any other. The disk does not show which it is. "+addWorkSpaces+".", evidence...)
	case len(large) > 0:
		o := requirement.Warn(strings.Join(large, " "), evidence...)
		if byDocument {
			o = stated(o)
		}
		return o
	case unread != nil:
		return requirement.Unreadable(unread, evidence...)
	}
	o := requirement.Pass("The volumes have the smallest sizes: "+strings.Join(listed, ", ")+".", evidence...)
	switch {
	case byDocument:
		return stated(o)
	case inferred:
		o.Basis = requirement.Inferred
		o = o.Also("The sizes are those of the volumes: the image does not show the size of each disk.")
	}
	return o
}

// tooLarge says that a volume is larger than a limit in GiB. A size that would read as the limit is given by how much
// larger it is.
func tooLarge(role Role, bytes, limit int64) string {
	const mib = 1 << 20
	switch over := bytes - limit*gib; {
	case over < mib:
		return fmt.Sprintf("The %s volume is larger than the smallest size of %d GiB by less than 1 MiB.", role, limit)
	case prose.GiB(bytes) == prose.GiB(limit*gib):
		return fmt.Sprintf("The %s volume is larger than the smallest size of %d GiB by %s.", role, limit,
			prose.Size(over))
	}
	return fmt.Sprintf("The %s volume has %s, more than the smallest size of %d GiB.", role, prose.GiB(bytes), limit)
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
	if match.WorkSpace == nil {
		return requirement.Unknown("The disk does not show the VPC, the subnet and the directory.")
	}
	w := match.WorkSpace
	ev := documentEvidence(match.Document)
	ev.Value, ev.Data = "SubnetId, DirectoryId", w.SubnetID+", "+w.DirectoryID
	subnet, directory := cmp.Or(w.SubnetID, "(not given)"), cmp.Or(w.DirectoryID, "(not given)")
	return requirement.Unknown(fmt.Sprintf(
		"The documents do not show the VPC and the kinds of subnet and directory. Check subnet %s and directory %s.",
		subnet, directory), ev)
}
