package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/scanner"
)

// imageFlags are the flags of commands that read the images of one WorkSpace.
type imageFlags struct {
	root, user, userName string
	parents, with        []string
}

// declare declares the flags. whose says what the user's name is for, and outputs which documents --with is for.
func (f *imageFlags) declare(c *cobra.Command, whose, outputs string) {
	c.Flags().StringVar(&f.root, "root", "", "treat `IMAGE` as the root volume")
	c.Flags().StringVar(&f.user, "user", "", "treat `IMAGE` as the user volume")
	c.Flags().StringVar(&f.userName, "user-name", "",
		whose+" the profile of user `NAME`; also DOMAIN\\NAME or NAME@DOMAIN")
	c.Flags().StringArrayVar(&f.with, "with", nil, "add data that is not on the disk from `FILE`: "+outputs+"; repeatable")
	parentFlag(c, &f.parents)
}

// input sets the images of an input, and returns the names of those that are no parents.
func (f *imageFlags) input(images []string, in *scanner.Input) (names []string) {
	in.Images, in.Parents, in.UserName = files(images), files(f.parents), f.userName
	names = slices.Clone(images)
	for _, forced := range []struct {
		name   string
		source **scanner.Source
	}{{f.root, &in.Root}, {f.user, &in.User}} {
		if forced.name != "" {
			source := scanner.File(forced.name)
			*forced.source = &source
			names = append(names, forced.name)
		}
	}
	return names
}

// check checks the names of the images.
func (f *imageFlags) check(p *program, names []string) error {
	if err := p.checkImages(append(slices.Clone(names), f.parents...)...); err != nil {
		return err
	}
	p.images = slices.Clone(names)
	return nil
}

// documents reads those of --with.
func (f *imageFlags) documents(in *scanner.Input) error {
	for _, name := range f.with {
		data, err := readWithin(name, maxDocument, "with")
		if err != nil {
			return inFlag("with", err)
		}
		in.With = append(in.With, scanner.Document{Name: name, Data: data})
	}
	return nil
}
