package container

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// maxParents bounds how many images are below each other.
const maxParents = 16

// wanted is what a differencing image says of its parent.
type wanted struct {
	// name is the path of the parent as the image has it. It is not followed: only
	// its last element is shown, and compared with names of candidates. Where the
	// image has only an identity, it is that in braces.
	name string
	// is returns why a disk is not the parent; nil if it is. It is nil where the
	// format stores nothing that identifies the parent.
	is func(d Disk) error
}

// file is the parent in a command.
func (w wanted) file() string {
	if strings.HasPrefix(w.name, "{") && strings.HasSuffix(w.name, "}") {
		return "FILE"
	}
	return prose.Quote(baseName(w.name))
}

// openParent opens the parent of an image: the candidate that the image identifies. Where
// the format identifies none, the name decides.
func (o Options) openParent(ctx context.Context, child *source.Source, w wanted) (Disk, error) {
	return o.findParent(ctx, child, w, w.is == nil)
}

// findParent opens the parent of an image. If the name decides, it is the candidate with
// the name that the image has, or the only candidate. Of several with that name, it is the
// one with the same path, which is only compared. Otherwise the candidates with that name
// are the first that are opened.
func (o Options) findParent(ctx context.Context, child *source.Source, w wanted, byName bool) (Disk, error) {
	name := baseName(w.name)
	if len(o.Parents) == 0 {
		return nil, fmt.Errorf("%s: %w", child.Name(), hinted{
			fmt.Errorf("it has only the changes to its parent %q, which was not named: %w", name, ErrParent),
			"name the parent: --parent " + w.file()})
	}
	if o.depth >= maxParents {
		return nil, fmt.Errorf("%s: more than %d images are below each other: %w", child.Name(), maxParents, ErrLimit)
	}
	isNamed := func(c Candidate) bool { return baseName(c.Name) == name }
	isOther := func(c Candidate) bool { return !isNamed(c) }
	named := slices.DeleteFunc(slices.Clone(o.Parents), isOther)
	candidates := slices.Concat(named, slices.DeleteFunc(slices.Clone(o.Parents), isNamed))
	if byName {
		if len(named) > 1 {
			named = slices.DeleteFunc(named, func(c Candidate) bool { return !samePath(child.Name(), w.name, c.Name) })
			if len(named) != 1 {
				return nil, fmt.Errorf("%s: %w", child.Name(), hinted{
					fmt.Errorf("several of the parents that were named may be its parent %q: %w", name, ErrParent),
					"give each parent a file name of its own"})
			}
		}
		if len(named) > 0 {
			candidates = named
		} else if len(candidates) > 1 {
			return nil, fmt.Errorf("%s: none of the parents that were named is %q: %w", child.Name(), name, ErrParent)
		}
	}
	var reasons []error
	for _, c := range candidates {
		if source.Same(c.Name, child.Name()) {
			continue
		}
		d, err := o.openCandidate(ctx, c)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err == nil && w.is != nil {
			if err = w.is(inside(d)); err != nil {
				d.Close()
				err = fmt.Errorf("%s: %w", c.Name, err)
			}
		}
		if err == nil {
			return d, nil
		}
		reasons = append(reasons, err)
	}
	if len(reasons) == 0 {
		reasons = []error{errors.New("an image is not its own parent")}
	}
	if len(reasons) == 1 {
		return nil, fmt.Errorf("%s: its parent %q: %w", child.Name(), name, kind.Mark(reasons[0], ErrParent))
	}
	return nil, fmt.Errorf("%s: none of the parents that were named is %q: %w",
		child.Name(), name, kind.Mark(errors.Join(reasons...), ErrParent))
}

// openCandidate opens a parent, whose own parent is another candidate.
func (o Options) openCandidate(ctx context.Context, c Candidate) (Disk, error) {
	s, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	below := Options{depth: o.depth + 1}
	below.Parents = slices.DeleteFunc(slices.Clone(o.Parents), func(other Candidate) bool { return other.Name == c.Name })
	disks, err := o.open(ctx, s, below)
	if err != nil {
		s.Close()
		return nil, err
	}
	if unread := Unread(disks[0]); len(unread) > 0 && len(disks) == 1 {
		return nil, errors.Join(fmt.Errorf("%s: it has several disks: %w", c.Name, unread[0]), disks[0].Close())
	}
	if len(disks) > 1 {
		for _, d := range disks {
			err = errors.Join(err, d.Close())
		}
		return nil, errors.Join(fmt.Errorf("%s: it has %d disks: %w", c.Name, len(disks), ErrUnsupported), err)
	}
	return disks[0], nil
}

// mappingOf is the mapping of a disk in an image of a format; not ok if it is in another.
func mappingOf[M mapping](d Disk) (m M, ok bool) {
	if in, is := d.(*mapped); is {
		m, ok = in.mapping.(M)
	}
	return m, ok
}

// samePath says whether the path of a parent that a child has is the same text as the
// name of a candidate. A path that is not absolute begins at the folder of the child.
func samePath(child, parent, candidate string) bool {
	slash := func(name string) string { return path.Clean(strings.ReplaceAll(name, `\`, "/")) }
	parent, candidate = slash(parent), slash(candidate)
	return parent == candidate || !path.IsAbs(parent) && path.Join(path.Dir(slash(child)), parent) == candidate
}

// baseName is the last element of a path, of whatever system.
func baseName(name string) string { return path.Base(strings.ReplaceAll(name, `\`, "/")) }

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// Hint says what to do.
func (h hinted) Hint() string { return h.hint }
