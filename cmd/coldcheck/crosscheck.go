package main

import (
	"context"
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

// startWorker is how the child process of a cross-check is started: this
// program again, with the images that the scan has.
func startWorker(args ...string) (crosscheck.Start, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) *exec.Cmd {
		cmd := exec.CommandContext(ctx, self, append([]string{workerName}, args...)...)
		cmd.Args[0] = os.Args[0]
		return cmd
	}, nil
}

// workerCommand answers the questions of a cross-check on standard input.
func (p *program) workerCommand() *cobra.Command {
	var name string
	var parents []string
	c := &cobra.Command{
		Use:    workerName + " [--case NAME] [--parent FILE]… [IMAGE…]",
		Short:  "Answer the questions of a cross-check, for the program itself",
		Args:   cobra.ArbitraryArgs,
		Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			in := scanner.Input{Images: files(args), Parents: files(parents)}
			if name != "" {
				example, err := fixtures.Find(name)
				if err != nil {
					return err
				}
				in.Images = append(in.Images, caseInput(example).Images...)
			}
			return scanner.NewWorker(in).Serve(c.Context(), os.Stdin, p.stdout)
		},
	}
	c.Flags().StringVar(&name, "case", "", "the images of case `NAME`")
	parentFlag(c, &parents)
	return c
}
