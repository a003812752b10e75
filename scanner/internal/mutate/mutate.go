// Package mutate damages disk images the way disks, interrupted writes and
// people do, but with more skill: it knows the structures of NTFS, ext4, XFS,
// registry hives, their transaction logs, databases and partition tables,
// changes fields of them rather than bits, and repairs checksums, fixups and
// hashes afterwards, so that nothing gives the damage away but what it means.
// Beside that it damages plainly: zeroed and torn sectors, blocks that changed
// places, copies of an earlier time, images that end too early.
//
// The image is never written to: the damage is in an [Overlay]. It goes first
// to what decides something: the caller names the files, keys and values
// ([Target]) whose records, index blocks and cells are then worth more.
//
// Damage is named by its subject and a seed: the same two give the same damage.
// The package is for tests, and locates structures with code of its own; the
// readers under test take no part in it.
package mutate

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
)

var le = binary.LittleEndian

// Subject is what is to be damaged: the images of one scan.
type Subject struct {
	Name    string // of the case; damage is named by it and a seed
	Images  []Image
	Volumes []Volume
	Targets []Target
}

// Image is an undamaged disk image.
type Image struct {
	R    io.ReaderAt
	Size int64 // in bytes
	// Earlier is the same disk at an earlier time, whose blocks a torn snapshot
	// would still hold; nil if there is none.
	Earlier io.ReaderAt
}

// Volume is a filesystem on one of the images.
type Volume struct {
	Image        int    // index into Images
	Role         string // as targets name it
	Offset, Size int64  // on the image, in bytes
	Filesystem   string // "ntfs", "ext4", "xfs"; others are damaged as they come
}

// Target is a thing that decides something.
type Target struct {
	Role   string // of the volume
	Path   string // of a file or folder, with "/"
	Key    string // in the hive at Path; "" if it is no hive
	Value  string // of the key
	Weight int    // how much more often it is damaged than what is not named; at least 1
}

// Plan knows where the structures of a subject are.
type Plan struct {
	subject Subject
	sites   []*site
	total   int                // of the sites' weights
	kin     map[string][]*site // by family
}

// Survey locates the structures of an undamaged subject.
func Survey(s Subject) (*Plan, error) {
	p := &Plan{subject: s, kin: map[string][]*site{}}
	for i := range s.Images {
		if err := p.surveyImage(i); err != nil {
			return nil, fmt.Errorf("image %d: %w", i, err)
		}
	}
	for _, v := range s.Volumes {
		var err error
		switch v.Filesystem {
		case "ntfs":
			err = p.surveyNTFS(v)
		case "ext2", "ext3", "ext4":
			err = p.surveyExt(v)
		case "xfs":
			err = p.surveyXFS(v)
		}
		if err != nil {
			return nil, fmt.Errorf("%s volume: %w", v.Role, err)
		}
	}
	if p.total == 0 {
		return nil, fmt.Errorf("%s: nothing to damage", s.Name)
	}
	return p, nil
}

// Sites is how many structures the plan may damage.
func (p *Plan) Sites() int { return len(p.sites) }

func (p *Plan) add(s *site) {
	if s.weight <= 0 || len(s.spans) == 0 {
		return
	}
	p.sites = append(p.sites, s)
	p.total += s.weight
	p.kin[s.family] = append(p.kin[s.family], s)
}

// Step is one damage.
type Step struct {
	Family string // of the structure: "mft record", "hive cell", …
	Kind   string // of the damage: "field", "zero", "earlier", …
	What   string // for people: which structure, and what became of it
}

// Damaged are the images of a subject after damage.
type Damaged struct {
	Images []*Overlay
	Steps  []Step
}

// Limits of one damage.
const (
	maxSteps = 4  // structures that are damaged in one image
	attempts = 64 // to find a damage that changes something
)

// Damage damages the subject as the seed has it. Most seeds damage one
// structure, some up to four.
func (p *Plan) Damage(seed uint64) *Damaged {
	h := fnv.New64a()
	io.WriteString(h, p.subject.Name)
	r := rand.New(rand.NewPCG(h.Sum64(), seed))
	d := &Damaged{}
	for _, i := range p.subject.Images {
		d.Images = append(d.Images, NewOverlay(i.R, i.Size))
	}
	steps := 1
	for steps < maxSteps && r.IntN(4) == 0 {
		steps++
	}
	for range attempts {
		if len(d.Steps) == steps {
			break
		}
		s := p.pick(r)
		if kind, what := p.damage(d, s, r); kind != "" {
			d.Steps = append(d.Steps, Step{Family: s.family, Kind: kind, What: s.what + what})
		}
	}
	return d
}

func (p *Plan) pick(r *rand.Rand) *site {
	n := r.IntN(p.total)
	for _, s := range p.sites {
		if n -= s.weight; n < 0 {
			return s
		}
	}
	panic("unreachable: the weights add up to the total")
}
