package main

import (
	"bytes"
	"os"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/report/remedy"
)

func (p *program) remediateCommand() *cobra.Command {
	var path string
	c := &cobra.Command{
		Use:   "remediate REPORT.json",
		Short: "Write a script that fixes what a report found",
		Long: `Write a script from a report that 'coldcheck scan -o json=FILE' wrote: for Windows
PowerShell or for sh. The script changes only what the report found, asks before each
change, and skips what is already right. Its comments list what you must do by hand.
This command itself changes nothing.`,
		Example: `coldcheck scan root.img user.img -o table -o json=report.json
coldcheck remediate report.json -o remediate.ps1`,
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
			if err := p.writeFile(path, b.Bytes(), args[0]); err != nil {
				return err
			}
			p.notice("the script makes up to %s; %s need work by hand; %d waived",
				prose.Count(sum.Changes, "change", "changes"), prose.Count(len(sum.ByHand), "finding", "findings"),
				len(sum.Waived))
			return nil
		},
	}
	c.Flags().StringVarP(&path, "output", "o", "", "write the script to `PATH` (default: standard output)")
	return c
}

// writeFile writes to a file, which is complete or absent, or to standard output. It does not replace the files that
// the text was made from.
func (p *program) writeFile(name string, text []byte, from ...string) error {
	if name == "" || name == "-" {
		return p.print(text)
	}
	t, err := findTarget(name)
	if err != nil {
		return err
	}
	if f := t.oneOf(from); f != "" {
		return usage("name another file", "the output would replace %s, which it is made from", f)
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
