package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
)

func (p *program) factsCommand() *cobra.Command {
	var images imageFlags
	var format string
	var rules ruleFlags
	var reads parallelReads
	var schema bool
	c := &cobra.Command{
		Use:   "facts IMAGE…",
		Short: "Show the facts of a system",
		Long: `Show the typed facts of the system on the images of one WorkSpace, which your own rules can
use. What cannot be read is not in the output, and "unknown" lists it with the reason;
null stands for what does not exist.`,
		Example: `coldcheck facts root.img user.img
coldcheck facts root.img user.img --with workspace.json -o json=facts.json
coldcheck facts root.img user.img --rules rules.yaml -o json=facts.json
coldcheck facts --schema`,
		Args: cobra.ArbitraryArgs,
		PreRunE: func(c *cobra.Command, _ []string) error {
			if err := p.configure(c, ""); err != nil {
				return err
			}
			return rules.load()
		},
		RunE: func(c *cobra.Command, args []string) error {
			name, path, err := splitFormat(format, "json", "table")
			if err != nil {
				return err
			}
			if schema {
				if len(args) > 0 {
					return usage("leave the images out", "--schema needs no image")
				}
				text, err := facts.Schema()
				if err != nil {
					return err
				}
				return p.writeFile(path, append(text, '\n'))
			}
			in := scanner.Input{Rules: rules.set, MaxMemory: int64(p.maxMemory), ParallelReads: int(reads),
				Progress: p.progress.show}
			if err := images.check(p, images.input(args, &in)); err != nil {
				return err
			}
			if err := images.documents(&in); err != nil {
				return err
			}
			d, err := scanner.Facts(c.Context(), in)
			if err != nil {
				return err
			}
			return p.writeFacts(d, name, path)
		},
	}
	images.declare(c, "take", "the output of 'aws workspaces describe-workspaces'")
	c.Flags().BoolVar(&schema, "schema", false, "write the JSON Schema of the facts")
	rules.declare(c)
	c.Flags().Lookup("rules").Usage = "add the results of the functions that the rules in `FILE` (YAML) use; repeatable"
	formatFlag(c, &format, true, "json", "table")
	memoryFlag(c, &p.maxMemory)
	parallelReadsFlag(c, &reads)
	p.noProgressFlag(c)
	return c
}

// writeFacts writes the facts, or a line for each part.
func (p *program) writeFacts(d *facts.Document, format, path string) error {
	var b bytes.Buffer
	if format == "table" {
		factsTable(&b, d)
		return p.writeFile(path, b.Bytes())
	}
	e := report.NewJSONEncoder(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(d); err != nil {
		return err
	}
	return p.writeFile(path, b.Bytes())
}

func factsTable(w io.Writer, d *facts.Document) {
	for _, part := range facts.Parts(d.Platform) {
		value := part.Doc
		if list, ok := d.Parts[part.Name].([]any); ok {
			value = fmt.Sprintf("%d  %s", len(list), part.Doc)
		}
		if _, ok := d.Parts[part.Name]; !ok {
			value = "unknown"
		}
		fmt.Fprintf(w, "%-15s %s\n", part.Name, value)
	}
	for _, g := range d.Unknown {
		fmt.Fprintf(w, "unknown: %s: %s\n", report.Neutral(g.Fact), report.Neutral(g.Reason))
	}
}
