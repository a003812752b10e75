package main

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/scanner"
)

// parentFlag declares --parent.
func parentFlag(c *cobra.Command, names *[]string) {
	c.Flags().StringArrayVar(names, "parent", nil,
		"open `FILE` as the parent of an image that has only the changes to it (backing file, differencing disk); "+
			"repeatable")
}

// files are the images in files and devices.
func files(names []string) []scanner.Source {
	var list []scanner.Source
	for _, name := range names {
		list = append(list, scanner.File(name))
	}
	return list
}

// filesOf are the names of all files of an image, also those of its parents.
func filesOf(i scanner.ImageFile) []string {
	names := []string{i.Name}
	add := func(parts []scanner.Part) {
		for _, p := range parts {
			names = append(names, p.Name)
		}
	}
	add(i.Parts)
	for _, p := range i.Parents {
		names = append(names, p.Name)
		add(p.Parts)
	}
	return names
}

// partsOf are the names of the files of images that were not named as images.
func partsOf(r *scanner.Result) []string {
	var names []string
	for _, i := range r.Files {
		names = append(names, filesOf(i)[1:]...)
	}
	return names
}

// checkParts refuses a report that would replace a part of an image. Which files are
// parts is known only when the images are open.
func checkParts(r *scanner.Result, outputs []output, began time.Time) error {
	parts := partsOf(r)
	for _, o := range outputs {
		path := o.file(began)
		if path == "" || len(parts) == 0 {
			continue
		}
		t, err := findTarget(path)
		if err != nil {
			return err
		}
		if in := t.oneOf(parts); in != "" {
			return usage("", "the report would be written over %s, a part of an image", in)
		}
	}
	return nil
}
