package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/internal/buildinfo"
	"github.com/coldcheck/coldcheck/report"
)

// manCommand writes the manual page. It is made from the help of the commands, so that it cannot fall behind them.
func (p *program) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "man",
		Short:   "Write the manual page",
		Long:    "Write the manual page coldcheck(1).",
		Example: "coldcheck man >coldcheck.1",
		Args:    arguments(0, 0),
		Hidden:  true,
		RunE: func(c *cobra.Command, _ []string) error {
			return p.print(manPage(c.Root(), buildinfo.Read().Version))
		},
	}
}

// manPage writes a page in the language of man(7).
func manPage(root *cobra.Command, version string) []byte {
	var b bytes.Buffer
	section := func(name string) { fmt.Fprintf(&b, ".SH %s\n", name) }
	fmt.Fprintf(&b, ".TH COLDCHECK 1 \"\" \"coldcheck %s\" \"User Commands\"\n", roff(version))
	section("NAME")
	fmt.Fprintf(&b, "coldcheck \\- %s\n", roff(lowerFirst(root.Short)))
	section("SYNOPSIS")
	for i, c := range manCommands(root) {
		if i > 0 {
			b.WriteString(".br\n")
		}
		fmt.Fprintf(&b, ".B %s\n%s\n", roff(c.CommandPath()), roff(manArguments(c)))
	}
	section("DESCRIPTION")
	manText(&b, root.Long)
	section("COMMANDS")
	for _, c := range manCommands(root) {
		fmt.Fprintf(&b, ".SS \"%s\"\n", roff(strings.TrimSpace(c.CommandPath()+" "+manArguments(c))))
		manText(&b, longText(c))
		for _, f := range append(flagEntries(c.LocalFlags()), flagEntries(c.InheritedFlags())...) {
			manItem(&b, strings.TrimSpace(f.name), f.text)
		}
		if c.Example != "" {
			b.WriteString(".PP\n")
			manExamples(&b, c.Example)
		}
	}
	section("\"REPORT FORMATS\"")
	for _, f := range report.Formats {
		manItem(&b, f.Name, f.Summary)
	}
	section("\"EXIT STATUS\"")
	for _, e := range scanExits {
		manItem(&b, e.name, e.text)
	}
	for _, name := range slices.Sorted(maps.Keys(otherExits)) {
		fmt.Fprintf(&b, ".SS \"%s\"\n", roff(name))
		for _, e := range otherExits[name] {
			manItem(&b, e.name, e.text)
		}
	}
	section("ENVIRONMENT")
	manItem(&b, "NO_COLOR", "If it is set and not empty, the table has no color.")
	section("EXAMPLES")
	manExamples(&b, root.Example)
	return b.Bytes()
}

// manExamples writes command lines as they are typed.
func manExamples(b *bytes.Buffer, lines string) {
	b.WriteString(".nf\n")
	for line := range strings.Lines(lines) {
		fmt.Fprintf(b, "%s\n", roff(strings.TrimSuffix(line, "\n")))
	}
	b.WriteString(".fi\n")
}

// manCommands are those that a person may use and that do something.
func manCommands(root *cobra.Command) []*cobra.Command {
	var list []*cobra.Command
	for _, c := range root.Commands() {
		switch {
		case c.HasSubCommands():
			list = append(list, manCommands(c)...)
		case !c.Hidden:
			list = append(list, c)
		}
	}
	return list
}

func manArguments(c *cobra.Command) string {
	_, arguments, _ := strings.Cut(c.Use, " ")
	return arguments
}

// manText writes paragraphs.
func manText(b *bytes.Buffer, text string) {
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			b.WriteString(".PP\n")
		}
		fmt.Fprintf(b, "%s\n", roff(strings.Join(strings.Fields(paragraph), " ")))
	}
}

func manItem(b *bytes.Buffer, title, text string) {
	fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(title), roff(text))
}

// roff escapes what would be a request or an escape, and writes characters that
// are not ASCII by their numbers.
func roff(s string) string {
	var b strings.Builder
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		b.WriteString(`\&`)
	}
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\e`)
		case r == '-':
			b.WriteString(`\-`)
		case r == '\'':
			b.WriteString(`\(aq`)
		case r == '"':
			b.WriteString(`\(dq`)
		case r > '~':
			fmt.Fprintf(&b, `\[u%04X]`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
