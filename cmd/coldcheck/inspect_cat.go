package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/coldcheck/coldcheck/scanner"
)

func (p *program) inspectCatCommand() *cobra.Command {
	var number int
	var parents []string
	c := &cobra.Command{
		Use:   "cat IMAGE PATH",
		Short: "Write a file to standard output",
		Long: `Write the bytes of a file on an image to standard output. A PATH on a Windows volume
may be written as Windows does, with or without its drive.`,
		Example: `coldcheck inspect cat root.img 'C:\Windows\Panther\setupact.log'
coldcheck inspect cat root.img Windows/System32/config/SYSTEM >SYSTEM`,
		Args: arguments(2, 2),
		RunE: func(c *cobra.Command, args []string) error {
			image, err := p.openImage(c.Context(), args[0], parents)
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
			p.progress.clear()
			// A file of which a part cannot be read is not the file: no exit code 0.
			if _, err := io.Copy(&p.help, p.shown(f, name)); err != nil && p.help.err == nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			return nil
		},
	}
	volumeFlag(c, &number)
	parentFlag(c, &parents)
	return c
}

// shownReader shows how much of a file is read.
type shownReader struct {
	io.Reader
	p    *program
	name string
	done int64
	size int64
}

// shown returns the content of a file. Progress would mix with what a terminal shows of it.
func (p *program) shown(f sized, name string) io.Reader {
	content := io.NewSectionReader(f, 0, f.size)
	if term.IsTerminal(int(p.stdout.Fd())) {
		return content
	}
	return &shownReader{Reader: content, p: p, name: name, size: f.size}
}

func (r *shownReader) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.done += int64(n)
	r.p.progress.show(scanner.Progress{Step: "reading " + r.name, Unit: scanner.UnitBytes, Done: r.done, Total: r.size})
	return n, err
}
