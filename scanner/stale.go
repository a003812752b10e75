package scanner

import (
	"context"
	"fmt"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Overlays returns the names of images in the same folder that have the image as their
// parent: the image lacks their changes. more says that the folder has more files than
// are looked at.
func (i *Image) Overlays(ctx context.Context) (names []string, more bool, err error) {
	return container.Overlays(ctx, i.first(), i.disk)
}

// staleBases returns the images that are base disks of other images, and notifies of
// them. It looks at none if Input.StaleBase says that they are meant as they are.
func (vs *volumes) staleBases(ctx context.Context, in Input, trail *requirement.Trail) (stale []string, err error) {
	if in.StaleBase {
		return nil, nil
	}
	for _, i := range vs.images {
		var names []string
		var more bool
		err := guard(func() (err error) {
			names, more, err = i.Overlays(ctx)
			return err
		})
		switch {
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		case err != nil:
			trail.Notify(requirement.Notice{Level: requirement.LevelInfo,
				Message: fmt.Sprintf("Cannot tell whether %s is the base disk of another image: %v", i.Name, err)})
			continue
		case len(names) > 0:
			message := StaleMessage(i.Name, names)
			stale = append(stale, message)
			trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Message: message + ". Scan the image with the " +
				"changes, and name this one with --parent, or use --stale-base."})
		}
		if more {
			trail.Notify(requirement.Notice{Level: requirement.LevelInfo, Message: "The folder of " + i.Name +
				" has too many files to look for images with changes to it: only some were looked at."})
		}
	}
	return stale, nil
}

// StaleMessage says that images have later changes to an image.
func StaleMessage(name string, overlays []string) string {
	verb := "has"
	if len(overlays) > 1 {
		verb = "have"
	}
	return fmt.Sprintf("%s is a base disk: %s %s later changes to it", name, prose.Some(overlays), verb)
}

// checkParents returns an ErrUsage for a parent that is given twice, or as an image
// too.
func checkParents(images, parents []Source) error {
	for n, p := range parents {
		for _, other := range parents[:n] {
			if p.same(other) {
				return fail(ErrUsage, "name each parent once", "the parent %s is given twice", p.Name)
			}
		}
		for _, i := range images {
			if p.same(i) {
				return fail(ErrUsage, hintParent, "%s is given as an image and as a parent", p.Name)
			}
		}
	}
	return nil
}
