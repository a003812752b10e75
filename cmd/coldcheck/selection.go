package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// selectionFlags are the flags that say by which requirements a scan judges.
type selectionFlags struct {
	books, only, skip []string
}

func (f *selectionFlags) declare(c *cobra.Command) {
	ruleBooksFlag(c, &f.books)
	c.Flags().StringSliceVar(&f.only, "only", nil,
		"check only the requirements `ID,…`; '*' matches any characters, as in 'win.tls.*'")
	c.Flags().StringSliceVar(&f.skip, "skip", nil, "do not check the requirements `ID,…`; '*' matches any characters")
	for _, name := range []string{"only", "skip"} {
		check(c.RegisterFlagCompletionFunc(name, completeIDs(true)))
	}
}

// apply hands the flags to a scan. An empty list, such as from a variable that a
// script did not set, is wrong usage: to check everything would be a guess.
func (f *selectionFlags) apply(c *cobra.Command, in *scanner.Input) error {
	if len(f.books) == 0 {
		return inFlag("rulebook", usage("the rule books are "+strings.Join(rules.Names(), ", "),
			"--rulebook names no rule book"))
	}
	if !slices.Equal(f.books, []string{rules.Default}) {
		in.RuleBooks = f.books
	}
	if err := in.CheckRuleBooks(); err != nil {
		return inFlag("rulebook", ruleBookHint(err, in.RuleBooks))
	}
	for _, list := range []struct {
		name  string
		named []string
		into  *[]string
	}{{"only", f.only, &in.Only}, {"skip", f.skip, &in.Skip}} {
		if c.Flags().Changed(list.name) && len(list.named) == 0 {
			return inFlag(list.name, usage("'coldcheck requirements' lists them", "--%s names no requirement", list.name))
		}
		var err error
		if len(list.named) > 0 {
			if *list.into, err = expandIDs(list.named, in.RuleBooks, in.Rules.IDs()); err != nil {
				return inFlag(list.name, err)
			}
		}
	}
	return nil
}

// ruleBooksFlag declares --rulebook.
func ruleBooksFlag(c *cobra.Command, names *[]string) {
	c.Flags().StringSliceVar(names, "rulebook", []string{rules.Default},
		"judge by the rule books `NAME,…`: "+strings.Join(rules.Names(), ", "))
	check(c.RegisterFlagCompletionFunc("rulebook", completeRuleBooks))
}

func completeRuleBooks(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	before := typed[:strings.LastIndexByte(typed, ',')+1]
	var offers []string
	for _, b := range rules.Books() {
		if !slices.Contains(strings.Split(before, ","), b.Name) {
			offers = append(offers, cobra.CompletionWithDesc(before+b.Name, b.Title))
		}
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// ruleBookHint adds the nearest name to the error for a rule book that does not exist.
func ruleBookHint(err error, names []string) error {
	for _, name := range names {
		if _, unknown := rules.Find(name); unknown != nil {
			hint := didYouMean(name, rules.Names(), "--rulebook ", "the rule books are "+strings.Join(rules.Names(), ", "))
			return usage(hint, "%w", unknown)
		}
	}
	return err
}
