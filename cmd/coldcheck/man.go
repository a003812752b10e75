package main

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coldcheck/coldcheck/report"
)

// manCommand writes the manual page. It is made of what the commands say of
// themselves, so that it cannot fall behind them.
func (p *program) manCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "man",
		Short:  "Write the manual page",
		Long:   "Write the manual page coldcheck(1): coldcheck man >coldcheck.1",
		Args:   arguments(0, 0),
		Hidden: true,
		RunE: func(c *cobra.Command, _ []string) error {
			v, _ := build()
			return p.print(manPage(c.Root(), v))
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
		manText(&b, manLong(c))
		c.NonInheritedFlags().VisitAll(func(f *pflag.Flag) { manFlag(&b, f) })
	}
	section("\"REPORT FORMATS\"")
	for _, f := range report.Formats {
		manItem(&b, f.Name, f.Summary)
	}
	section("\"EXIT STATUS\"")
	for _, e := range exitStatuses {
		manItem(&b, e.code, e.when)
	}
	section("ENVIRONMENT")
	manItem(&b, "NO_COLOR", "If it is set and not empty, the table has no colour.")
	section("EXAMPLES")
	for _, e := range []struct{ command, what string }{
		{"coldcheck scan root.img user.img", "Judge a WorkSpace by the images of its root and user volumes."},
		{"coldcheck scan root.img user.img -o table -o json=report.json --with workspace.json",
			"The same with what the service knows, and a report for programs beside the table."},
		{"coldcheck remediate report.json -o remediate.ps1", "Write a script for what is wrong."},
		{"coldcheck diff old.json report.json", "Tell what was fixed since, and what broke."},
	} {
		manItem(&b, e.command, e.what)
	}
	return b.Bytes()
}

// exitStatuses are those of a scan; exitCode decides them.
var exitStatuses = []struct{ code, when string }{
	{"0", "The WorkSpace is ready for an image; of diff: nothing broke."},
	{"1", "It is not ready; of diff: something broke."},
	{"3", "Whether it is ready cannot be said; of diff: something is no longer known."},
	{"4", "No scan was possible: no disk image, no supported system on it, or an encrypted root."},
	{"64", "Wrong usage; nothing was written."},
	{"74", "Something could not be opened, read or written."},
	{"130, 143", "Interrupted, terminated."},
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

func manLong(c *cobra.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short + "."
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

func manFlag(b *bytes.Buffer, f *pflag.Flag) {
	name, usage := pflag.UnquoteUsage(f)
	title := "--" + f.Name
	if f.Shorthand != "" {
		title = "-" + f.Shorthand + ", " + title
	}
	if name != "" {
		title += " " + name
	}
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" {
		usage += " (default " + f.DefValue + ")"
	}
	manItem(b, title, usage)
}

func manItem(b *bytes.Buffer, title, text string) {
	fmt.Fprintf(b, ".TP\n.B %s\n%s\n", roff(title), roff(text))
}

// roff keeps the characters of a line from being taken for requests or escapes;
// what is not ASCII is written by its number.
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
