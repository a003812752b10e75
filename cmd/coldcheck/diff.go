package main

import (
	"bytes"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
)

func (p *program) diffCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "diff OLD.json NEW.json",
		Short: "Compare two reports of a WorkSpace",
		Long: `Compare two reports of one WorkSpace that 'coldcheck scan -o json=FILE' wrote. Shows
what broke, what is no longer known, what was fixed, and what changed in the evidence.`,
		Example: `coldcheck diff before.json after.json
coldcheck diff -o json=changes.json before.json after.json`,
		Args:              arguments(2, 2),
		ValidArgsFunction: completeFiles("json"),
		RunE: func(_ *cobra.Command, args []string) error {
			name, path, err := splitFormat(format, diffFormats...)
			if err != nil {
				return err
			}
			old, err := readReport(args[0])
			if err != nil {
				return err
			}
			new, err := readReport(args[1])
			if err != nil {
				return err
			}
			if old.Platform.Family != new.Platform.Family {
				return usage("", "the reports are of different systems: %s and %s", old.Platform.Family, new.Platform.Family)
			}
			comparison := report.Compare(old, new)
			var b bytes.Buffer
			write := report.DiffText
			if name == "json" {
				write = report.DiffJSON
			}
			if err := write(&b, comparison, p.reportOptions()); err != nil {
				return err
			}
			if err := p.writeFile(path, b.Bytes(), args...); err != nil {
				return err
			}
			return verdictError(comparison.Verdict())
		},
	}
	formatFlag(c, &format, true, diffFormats...)
	return c
}

var diffFormats = []string{"text", "json"}

// readReport reads a report that a scan wrote. Any other file is wrong usage.
func readReport(name string) (*report.Saved, error) {
	data, err := readUpTo(name, report.MaxSaved)
	if err != nil {
		return nil, err
	}
	saved, err := report.Read(name, data)
	if err != nil {
		return nil, usage("use a file that 'coldcheck scan -o json=FILE' wrote", "%w", err)
	}
	return saved, nil
}
