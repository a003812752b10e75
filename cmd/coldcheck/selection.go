package main

import (
	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/scanner"
)

// selectionFlags are the flags that leave requirements out of a scan.
type selectionFlags struct {
	only, skip []string
}

func (f *selectionFlags) declare(c *cobra.Command) {
	c.Flags().StringSliceVar(&f.only, "only", nil,
		"check only the requirements `ID,…`; '*' matches any characters, as in 'win.tls.*'")
	c.Flags().StringSliceVar(&f.skip, "skip", nil, "do not check the requirements `ID,…`; '*' matches any characters")
	for _, name := range []string{"only", "skip"} {
		check(c.RegisterFlagCompletionFunc(name, completeIDs(true)))
	}
}

// apply hands the flags to a scan. An empty list, such as from a variable that a
// script did not set, is wrong usage: to check everything would be a guess.
func (f *selectionFlags) apply(c *cobra.Command, in *scanner.Input) error {
	for _, list := range []struct {
		name  string
		named []string
		into  *[]string
	}{{"only", f.only, &in.Only}, {"skip", f.skip, &in.Skip}} {
		if c.Flags().Changed(list.name) && len(list.named) == 0 {
			return inFlag(list.name, usage("'coldcheck requirements' lists them", "--%s names no requirement", list.name))
		}
		var err error
		if len(list.named) > 0 {
			if *list.into, err = expandIDs(list.named); err != nil {
				return inFlag(list.name, err)
			}
		}
	}
	return nil
}
