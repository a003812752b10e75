package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/rules"
	"github.com/coldcheck/coldcheck/scanner/source"
)

const defaultCase = "failing"

func (p *program) demoCommand() *cobra.Command {
	var name string
	var list bool
	var flags scanFlags
	c := &cobra.Command{
		Use:   "demo [--case NAME]",
		Short: "Scan images that are built into the program",
		Long: `Scan images of an invented WorkSpace that are built into the program. The exit code
is that of a scan of such a WorkSpace.`,
		Example: `coldcheck demo
coldcheck demo --list
coldcheck demo --case ready
coldcheck demo -o html=report.html`,
		Args: arguments(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if list {
				return p.listCases()
			}
			example, err := fixtures.Find(name)
			if errors.Is(err, fs.ErrNotExist) {
				hint := didYouMean(name, caseNames(), "coldcheck demo --case ", "see 'coldcheck demo --list'")
				return inFlag("case", usage(hint, "unknown case %q", name))
			}
			if err != nil {
				return err
			}
			in := caseInput(example)
			in.Rules = flags.rules.set
			if err := flags.selected.apply(c, &in); err != nil {
				return err
			}
			if flags.crossCheck {
				if in.CrossCheck, err = startWorker(nil, "--case", name); err != nil {
					return err
				}
			}
			return p.scan(c.Context(), in, flags, nil)
		},
	}
	c.Flags().StringVar(&name, "case", defaultCase, "scan the images of case `NAME`")
	c.Flags().BoolVar(&list, "list", false, "list the cases")
	p.scanFlags(c, &flags)
	completeCase := func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return caseNames(), cobra.ShellCompDirectiveNoFileComp
	}
	check(c.RegisterFlagCompletionFunc("case", completeCase))
	return c
}

func caseNames() []string {
	var names []string
	for _, example := range fixtures.Cases() {
		names = append(names, example.Name)
	}
	return names
}

func (p *program) listCases() error {
	out := p.newLines()
	for _, c := range fixtures.Cases() {
		fmt.Fprintf(out, "%-20s  %s\n", c.Name, report.Neutral(c.Title))
	}
	return out.flush(nil)
}

// clockFrom returns a clock that shows start now.
func clockFrom(start time.Time) func() time.Time {
	began := time.Now()
	return func() time.Time { return start.Add(time.Since(began)) }
}

// caseInput is what a scan of a case is given.
func caseInput(c fixtures.Case) scanner.Input {
	in := scanner.Input{Now: clockFrom(fixtures.Now)}
	if c.RuleBook != rules.Default {
		in.RuleBooks = []string{c.RuleBook}
	}
	for _, i := range c.Images {
		open := func(ctx context.Context) (*source.Source, error) {
			r, err := i.Open()
			if err != nil {
				return nil, err
			}
			return source.NewReader(ctx, i.Name, r, i.Size), nil
		}
		in.Images = append(in.Images, scanner.Source{Name: i.Name, Open: open})
	}
	for _, d := range c.With {
		in.With = append(in.With, scanner.Document(d))
	}
	return in
}
