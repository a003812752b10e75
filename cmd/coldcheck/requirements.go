package main

import (
	"bytes"
	"slices"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func (p *program) requirementsCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "requirements [ID…]",
		Short: "List the requirements, or explain some of them",
		Long: `List every requirement. Of those that are named, tell what is demanded, which
evidence is read, how to check it on the running system and how to meet it.`,
		ValidArgsFunction: completeIDs(false),
		RunE: func(_ *cobra.Command, ids []string) error {
			write, ok := catalogueFormats[format]
			if !ok {
				return usage("the formats are table, json, markdown", "unknown format %q", format)
			}
			rows, err := requirementsOf(ids)
			if err != nil {
				return err
			}
			if format == "table" && len(ids) > 0 {
				write = report.Explain
			}
			var b bytes.Buffer
			if err := write(&b, rows, p.reportOptions()); err != nil {
				return err
			}
			return p.print(b.Bytes())
		},
	}
	c.Flags().StringVar(&format, "format", "table", "`FORMAT`: table, json or markdown")
	check(c.RegisterFlagCompletionFunc("format", complete("table", "json", "markdown")))
	return c
}

var catalogueFormats = map[string]report.CatalogueFormat{
	"table": report.CatalogueTable, "json": report.CatalogueJSON, "markdown": report.CatalogueMarkdown,
}

// requirementsOf returns the rows with these ids in the order of the catalogue,
// all for none.
func requirementsOf(ids []string) ([]requirement.Requirement, error) {
	all := scanner.Catalogue()
	if len(ids) == 0 {
		return all, nil
	}
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(r requirement.Requirement) bool { return r.ID == id }) {
			return nil, usage("'coldcheck requirements' lists them", "unknown requirement %q", id)
		}
	}
	return slices.DeleteFunc(all, func(r requirement.Requirement) bool { return !slices.Contains(ids, r.ID) }), nil
}
