package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/rules/custom"
)

// ruleFlags has the files of the user's own rules.
type ruleFlags struct {
	files []string
	set   *custom.Set // nil without files
}

// declare declares --rules.
func (f *ruleFlags) declare(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.files, "rules", nil, "check also your own rules in `FILE` (YAML); repeatable")
	check(c.RegisterFlagCompletionFunc("rules", completeFiles("yaml", "yml")))
}

// load reads the rules, before any flag that may name one and before an image is read.
func (f *ruleFlags) load() error {
	if len(f.files) == 0 {
		return nil
	}
	var files []custom.File
	for _, name := range f.files {
		data, err := readWithin(name, custom.MaxFile, "rules")
		if err != nil {
			return inFlag("rules", err)
		}
		files = append(files, custom.File{Name: name, Data: data})
	}
	var err error
	f.set, err = custom.Load(files...)
	return inFlag("rules", rulesError(err))
}

// rulesError makes wrong usage of a mistake in a file of rules.
func rulesError(err error) error {
	var mistake *custom.Error
	if !errors.As(err, &mistake) {
		return err
	}
	hint := "see docs/rules.md"
	if mistake.Word != "" {
		hint = didYouMean(mistake.Word, mistake.Known, "", hint)
	}
	return usage(hint, "%w", err)
}

func (p *program) rulesCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "rules",
		Short: "Test your own rules",
		Long: `Test your own rules. A rule is an expression over the facts of a system; scan, demo and
fleet run check the rules that --rules names, and 'coldcheck facts' shows the facts.`,
		Example: `coldcheck rules test rules_test.yaml
coldcheck scan root.img user.img --rules rules.yaml`,
	}
	group(c, p.rulesTestCommand())
	return c
}

func (p *program) rulesTestCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "test FILE…",
		Short: "Run tests of your own rules",
		Long: `Run tests of your own rules. FILE (YAML) names a file of rules and lists tests: facts, or a
file with the output of 'coldcheck facts', and the status that each rule must have. Facts
that a test leaves out are unknown.`,
		Example: `coldcheck rules test rules_test.yaml
coldcheck rules test -o json tests/*.yaml`,
		Args: arguments(1, -1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format, "table", "json"); err != nil {
				return err
			}
			var results []custom.TestResult
			count := 0
			for _, name := range args {
				data, err := readWithin(name, custom.MaxFile, "rules")
				if err != nil {
					return err
				}
				tests, err := custom.LoadTests(custom.File{Name: name, Data: data}, readTestFile)
				if err != nil {
					return rulesError(err)
				}
				count += tests.Count()
				results = append(results, tests.Run(c.Context(), time.Now())...)
			}
			return p.showTests(results, count, format == "json")
		},
	}
	formatFlag(c, &format, false, "table", "json")
	return c
}

// readTestFile reads a file that a test names.
func readTestFile(name string, limit int64) ([]byte, error) {
	data, err := readUpTo(name, limit)
	if err == nil && int64(len(data)) > limit {
		err = usage("", "%s is larger than the limit of %d MiB", name, limit>>20)
	}
	return data, err
}

// showTests shows which expectations are not met.
func (p *program) showTests(results []custom.TestResult, count int, asJSON bool) error {
	type row struct {
		Test    string `json:"test"`
		File    string `json:"file"`
		Line    int    `json:"line"`
		ID      string `json:"id"`
		Want    string `json:"want"`
		Got     string `json:"got"`
		Message string `json:"message"`
		Passed  bool   `json:"passed"`
	}
	out := p.newLines()
	wrong := 0
	rows := []row{}
	for _, r := range results {
		rows = append(rows, row{r.Test, r.File, r.Line, r.ID, string(r.Want), string(r.Got), r.Message, r.Passed()})
		if r.Passed() {
			continue
		}
		if wrong++; !asJSON {
			fmt.Fprintf(out, "%s:%d: %s: %s is %s, not %s: %s\n", report.Neutral(r.File), r.Line, report.Neutral(r.Test), r.ID,
				r.Got, r.Want, report.Neutral(r.Message))
		}
	}
	if asJSON {
		e := report.NewJSONEncoder(out)
		e.SetIndent("", "  ")
		if err := e.Encode(rows); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(out, "%s, %s: ", prose.Count(count, "test", "tests"),
			prose.Count(len(results), "expectation", "expectations"))
		if wrong == 0 {
			fmt.Fprintln(out, "all are met.")
		} else {
			fmt.Fprintf(out, "%d not met.\n", wrong)
		}
	}
	var failed error
	if wrong > 0 {
		failed = verdictError(scanner.NotReady)
	}
	return out.flush(failed)
}
