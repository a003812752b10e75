package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
)

// workerName is the command that --cross-check runs as a child process.
const workerName = "crosscheck-worker"

// crossCheckFlag declares --cross-check.
func crossCheckFlag(c *cobra.Command, value *bool) {
	c.Flags().BoolVar(value, "cross-check", false,
		"let other parsers read the evidence again in their own process, and compare")
}

// workerImages are the images and the parents that a worker reads, by name. They are
// passed on its standard input: everyone on the machine can see the arguments of a
// process, and the query of a URL is a secret. A name may have bytes that are not UTF-8.
type workerImages struct{ Images, Parents [][]byte }

func rawNames(names []string) [][]byte {
	list := make([][]byte, len(names))
	for n, name := range names {
		list[n] = []byte(name)
	}
	return list
}

func plainNames(raw [][]byte) []string {
	list := make([]string, len(raw))
	for n, name := range raw {
		list[n] = string(name)
	}
	return list
}

// startWorker is how the child process of a cross-check is started: this program again,
// with the images that the scan has. images is nil if the arguments name them.
func startWorker(images *workerImages, args ...string) (crosscheck.Start, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var line []byte
	if images != nil {
		if line, err = json.Marshal(images); err != nil {
			return nil, err
		}
		line = append(line, '\n')
	}
	return func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, self, append([]string{workerName}, args...)...)
		cmd.Args[0] = os.Args[0]
		if line != nil {
			cmd.Stdin = bytes.NewReader(line)
		}
		return cmd
	}, nil
}

// workerCommand answers the questions of a cross-check on standard input. Without a case,
// the first line has the images.
func (p *program) workerCommand() *cobra.Command {
	var name string
	c := &cobra.Command{
		Use:    workerName + " [--case NAME]",
		Short:  "Answer the questions of a cross-check, for the program itself",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			var in scanner.Input
			questions := bufio.NewReader(os.Stdin)
			if name != "" {
				example, err := fixtures.Find(name)
				if err != nil {
					return err
				}
				in.Images = caseInput(example).Images
			} else {
				line, err := questions.ReadBytes('\n')
				if err == io.EOF && len(line) == 0 {
					return nil // there is nothing to answer
				}
				if err != nil {
					return err
				}
				var images workerImages
				if err := json.Unmarshal(line, &images); err != nil {
					return err
				}
				in.Images, in.Parents = files(plainNames(images.Images)), files(plainNames(images.Parents))
			}
			return scanner.NewWorker(in).Serve(c.Context(), questions, p.stdout)
		},
	}
	c.Flags().StringVar(&name, "case", "", "the images of case `NAME`")
	return c
}
