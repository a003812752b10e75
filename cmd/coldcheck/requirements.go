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
		Short: "List or explain the requirements",
		Long: `List all requirements. For those that you name, show the requirement, the evidence
that decides it, how to check it on the running system, and how to meet it. An ID may
contain '*', and its beginning may be left out where that is clear.`,
		Example: `coldcheck requirements
coldcheck requirements win.services.domain-account
coldcheck requirements 'win.tls.*'
coldcheck requirements tls12
coldcheck requirements -o markdown=requirements.md`,
		ValidArgsFunction: completeIDs(false),
		RunE: func(_ *cobra.Command, ids []string) error {
			name, path, err := splitFormat(format, "table", "json", "markdown")
			if err != nil {
				return err
			}
			rows, err := requirementsOf(ids)
			if err != nil {
				return err
			}
			write := catalogueFormats[name]
			if name == "table" && len(ids) > 0 {
				write = report.Explain
			}
			var b bytes.Buffer
			if err := write(&b, rows, p.reportOptions()); err != nil {
				return err
			}
			return p.writeFile(path, b.Bytes())
		},
	}
	formatFlag(c, &format, true, "table", "json", "markdown")
	return c
}

var catalogueFormats = map[string]report.CatalogueFormat{
	"table": report.CatalogueTable, "json": report.CatalogueJSON, "markdown": report.CatalogueMarkdown,
}

// requirementsOf returns the rows that a person names, in the order of the catalogue, and all if none is named.
func requirementsOf(named []string) ([]requirement.Requirement, error) {
	all := scanner.Catalogue()
	if len(named) == 0 {
		return all, nil
	}
	ids, err := expandIDs(named)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(r requirement.Requirement) bool { return !slices.Contains(ids, r.ID) }), nil
}
