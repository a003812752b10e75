package main

import (
	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
)

// templateFormat is the format that --template is for.
const templateFormat = "template"

// templateFlag declares --template.
func templateFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "template", "",
		"write -o template with the template in `FILE`, in the language of Go's text/template")
	check(c.RegisterFlagCompletionFunc("template", completeFiles("tmpl", "gotmpl")))
}

// loadTemplate parses the template, if one of the values of -o needs it.
func (p *program) loadTemplate(name string, outputs []string) error {
	wanted := asksFor(outputs, templateFormat)
	switch {
	case wanted && name == "":
		return inFlag("output", usage("add --template FILE", "-o template needs a template"))
	case !wanted && name != "":
		return inFlag("template", usage("add -o template or -o template=PATH", "--template is for the format template"))
	case !wanted:
		return nil
	}
	source, err := readUpTo(name, report.MaxTemplate)
	if err != nil {
		return inFlag("template", err)
	}
	p.inputs = append(p.inputs, name)
	p.template, err = report.ParseTemplate(name, source)
	return err
}
