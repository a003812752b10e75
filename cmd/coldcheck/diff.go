package main

import (
	"bytes"
	"io"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
)

func (p *program) diffCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "diff OLD.json NEW.json",
		Short: "Tell what was fixed and what broke between two reports",
		Long: `Compare two reports that 'coldcheck scan -o json' wrote of one WorkSpace: what
broke, what is no longer known, what was fixed, and what changed in the evidence.

It ends with 1 if something broke, else 3 if a requirement that was decided is
undetermined now, else 0.`,
		Args:              arguments(2, 2),
		ValidArgsFunction: completeFiles("json"),
		RunE: func(_ *cobra.Command, args []string) error {
			write := map[string]func(io.Writer, report.Comparison, report.Options) error{
				"text": report.DiffText,
				"json": report.DiffJSON,
			}[format]
			if write == nil {
				return usage("the formats are text, json", "unknown format %q", format)
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
				return usage("", "reports of different systems: %s and %s", old.Platform.Family, new.Platform.Family)
			}
			comparison := report.Compare(old, new)
			var b bytes.Buffer
			if err := write(&b, comparison, p.reportOptions()); err != nil {
				return err
			}
			if err := p.print(b.Bytes()); err != nil {
				return err
			}
			return verdictError(comparison.Verdict())
		},
	}
	c.Flags().StringVar(&format, "format", "text", "`FORMAT`: text or json")
	check(c.RegisterFlagCompletionFunc("format", complete("text", "json")))
	return c
}

// readReport reads a report that a scan wrote; what is none is wrong usage.
func readReport(name string) (*report.Saved, error) {
	data, err := readUpTo(name, report.MaxSaved)
	if err != nil {
		return nil, err
	}
	saved, err := report.Read(name, data)
	if err != nil {
		return nil, usage("give what 'coldcheck scan -o json=FILE' wrote", "%w", err)
	}
	return saved, nil
}
