package main

import (
	"bytes"
	"os"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report/remedy"
)

func (p *program) remediateCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "remediate REPORT.json",
		Short: "Write a script that fixes what a report says is wrong",
		Long: `Write a script out of a report of 'coldcheck scan -o json': for Windows PowerShell
or for sh. It changes what the failed findings say is wrong and nothing beyond,
asks before each change, leaves alone what is as it should be, and tells in its
comments what has to be done by hand. Nothing is changed by this command itself.`,
		Args:              arguments(1, 1),
		ValidArgsFunction: completeFiles("json"),
		RunE: func(_ *cobra.Command, args []string) error {
			saved, err := readReport(args[0])
			if err != nil {
				return err
			}
			var b bytes.Buffer
			sum, err := remedy.Write(&b, saved, p.reportOptions())
			if err != nil {
				return err
			}
			if err := p.writeScript(path, b.Bytes(), args[0]); err != nil {
				return err
			}
			p.notice("the script offers %d changes; findings left to be done by hand, wholly or in part: %d; waived: %d",
				sum.Changes, len(sum.ByHand), len(sum.Waived))
			return nil
		},
	}
	c.Flags().StringVarP(&path, "output", "o", "", "write the script to `PATH` instead of standard output")
	return c
}

// writeScript writes to a file, which is complete or absent, or to standard
// output. made is what the script was made of, which stays.
func (p *program) writeScript(name string, text []byte, made string) error {
	if name == "" || name == "-" {
		return p.print(text)
	}
	t, err := findTarget(name)
	if err != nil {
		return err
	}
	if info, err := os.Stat(made); err == nil && t.info != nil && os.SameFile(info, t.info) {
		return usage("", "the script would be written over %s, which it is made of", made)
	}
	if t.stream {
		return os.WriteFile(name, text, 0)
	}
	defer p.pending.discard()
	if err := p.pending.write(t, text); err != nil {
		return err
	}
	return p.pending.commit()
}
