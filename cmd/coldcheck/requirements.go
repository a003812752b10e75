package main

import (
	"bytes"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

func (p *program) requirementsCommand() *cobra.Command {
	var format, book string
	c := &cobra.Command{
		Use:   "requirements [ID…]",
		Short: "List or explain the requirements",
		Long: `List all requirements of a rule book. For those that you name, show the requirement, the evidence
that decides it, how to check it on the running system, and how to meet it. An ID may
contain '*', and its beginning may be left out where that is clear.`,
		Example: `coldcheck requirements
coldcheck requirements win.services.domain-account
coldcheck requirements 'win.tls.*'
coldcheck requirements tls12
coldcheck requirements --rulebook current
coldcheck requirements -o markdown=requirements.md`,
		ValidArgsFunction: completeIDs(false),
		RunE: func(_ *cobra.Command, ids []string) error {
			name, path, err := splitFormat(format, "table", "json", "markdown")
			if err != nil {
				return err
			}
			rows, err := requirementsOf(ids, book)
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
	c.Flags().StringVar(&book, "rulebook", rules.Default,
		"list those of rule book `NAME`, and how they differ from the default: "+strings.Join(rules.Names(), ", "))
	check(c.RegisterFlagCompletionFunc("rulebook", completeRuleBooks))
	formatFlag(c, &format, true, "table", "json", "markdown")
	return c
}

var catalogueFormats = map[string]report.CatalogueFormat{
	"table": report.CatalogueTable, "json": report.CatalogueJSON, "markdown": report.CatalogueMarkdown,
}

// requirementsOf returns the rows of a rule book that a person names, in its order, and all if none is named.
func requirementsOf(named []string, book string) ([]report.CatalogueRow, error) {
	all, err := scanner.Compare(book)
	if err != nil {
		return nil, inFlag("rulebook", ruleBookHint(err, []string{book}))
	}
	var ids []string
	if len(named) > 0 {
		if ids, err = expandIDs(named, []string{book}, nil); err != nil {
			return nil, err
		}
	}
	var rows []report.CatalogueRow
	for _, r := range all {
		if len(named) == 0 || slices.Contains(ids, r.ID) {
			rows = append(rows, report.CatalogueRow{Requirement: r.Requirement, New: r.New, Differs: r.Differs})
		}
	}
	return rows, nil
}
