package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func (p *program) inspectCatCommand() *cobra.Command {
	var number int
	c := &cobra.Command{
		Use:   "cat IMAGE PATH",
		Short: "Write a file to standard output",
		Long: `Write the bytes of a file on an image to standard output. A PATH on a Windows volume
may be written as Windows does, with or without its drive.`,
		Example: `coldcheck inspect cat root.img 'C:\Windows\Panther\setuperr.log'
coldcheck inspect cat root.img Windows/System32/config/SYSTEM >SYSTEM`,
		Args: arguments(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			image, err := p.openImage(c.Context(), args[0])
			if err != nil {
				return err
			}
			defer image.Close()
			fsys, name, err := p.openPath(c.Context(), image, number, args[1])
			if err != nil {
				return err
			}
			f, err := openFile(fsys, name)
			if err != nil {
				return err
			}
			defer f.Close()
			// A file of which a part cannot be read is not the file: no exit code 0.
			if _, err := io.Copy(&p.help, io.NewSectionReader(f, 0, f.size)); err != nil && p.help.err == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		},
	}
	volumeFlag(c, &number)
	return c
}
