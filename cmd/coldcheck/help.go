package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/clipperhouse/displaywidth"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

// Widths of help texts in columns. Longer lines are hard to read.
const (
	defaultHelpWidth = 80
	leastHelpWidth   = 40
	mostHelpWidth    = 100
)

// helpWidth is how wide help may be on the terminal at f, or on a page if f is no terminal.
func helpWidth(f *os.File) int {
	if f != nil {
		if columns, _, err := term.GetSize(int(f.Fd())); err == nil && columns > 0 {
			return min(max(columns, leastHelpWidth), mostHelpWidth)
		}
	}
	return defaultHelpWidth
}

// helpEntry is a row of two columns.
type helpEntry struct{ name, text string }

// helpText is what --help prints.
func helpText(c *cobra.Command, columns int) string {
	var b strings.Builder
	b.WriteString(wrapParagraphs(longText(c), columns))
	section := func(title string) { fmt.Fprintf(&b, "\n%s:\n", title) }
	section("Usage")
	b.WriteString(indented(useLine(c), columns))
	if c.Example != "" {
		section("Examples")
		for line := range strings.Lines(c.Example) {
			b.WriteString("  " + line)
		}
		b.WriteString("\n")
	}
	if commands := commandEntries(c); len(commands) > 0 {
		section("Commands")
		writeEntries(&b, commands, columns)
	}
	if flags := flagEntries(c.LocalFlags()); len(flags) > 0 {
		section("Flags")
		writeEntries(&b, flags, columns)
	}
	if flags := flagEntries(c.InheritedFlags()); len(flags) > 0 {
		section("Flags of all " + c.Parent().Name() + " commands")
		writeEntries(&b, flags, columns)
	}
	if exits := exitsOf(c); len(exits) > 0 {
		section("Exit codes")
		writeEntries(&b, exits, columns)
	}
	if c.HasAvailableSubCommands() {
		fmt.Fprintf(&b, "\n%s\n", strings.Join(wrapWords("Use '"+c.CommandPath()+
			" COMMAND --help' for the flags and examples of a command.", columns), "\n"))
	}
	return b.String()
}

// longText describes a command in sentences.
func longText(c *cobra.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short + "."
}

func useLine(c *cobra.Command) string {
	if c.HasAvailableSubCommands() {
		return c.CommandPath() + " COMMAND"
	}
	return c.UseLine()
}

func indented(text string, columns int) string {
	return "  " + strings.Join(wrapWords(text, columns-4), "\n    ") + "\n"
}

func commandEntries(c *cobra.Command) []helpEntry {
	var list []helpEntry
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() || sub.Name() == "help" {
			list = append(list, helpEntry{sub.Name(), sub.Short})
		}
	}
	return list
}

func flagEntries(flags *pflag.FlagSet) []helpEntry {
	var list []helpEntry
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			name, text := flagHelp(f)
			if f.Shorthand == "" {
				name = "    " + name
			}
			list = append(list, helpEntry{name, text})
		}
	})
	return list
}

// flagHelp is what a flag is called, with its value, and what it does.
func flagHelp(f *pflag.Flag) (name, text string) {
	value, text := pflag.UnquoteUsage(f)
	name = "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	switch {
	case value == "":
	case f.NoOptDefVal != "":
		name += "[=" + value + "]"
	default:
		name += " " + value
	}
	switch f.DefValue {
	case "", "false", "[]", "0", "0s":
	default:
		text += " (default " + f.DefValue + ")"
	}
	return name, text
}

// writeEntries writes rows in two columns. A name that is too long for the first one gets a line of its own.
func writeEntries(b *strings.Builder, entries []helpEntry, columns int) {
	const gap = 2
	most := columns * 2 / 5
	first := 0
	for _, e := range entries {
		if n := displaywidth.String(e.name); n <= most {
			first = max(first, n)
		}
	}
	for _, e := range entries {
		n := displaywidth.String(e.name)
		b.WriteString("  " + e.name)
		if n > first {
			b.WriteString("\n  ")
			n = 0
		}
		for i, line := range wrapWords(e.text, columns-first-2*gap) {
			if i > 0 {
				b.WriteString("  ")
				n = 0
			}
			fmt.Fprintf(b, "%s%s\n", strings.Repeat(" ", first-n+gap), line)
		}
	}
}

// wrapParagraphs wraps texts between blank lines.
func wrapParagraphs(text string, columns int) string {
	var b strings.Builder
	for i, paragraph := range strings.Split(text, "\n\n") {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(strings.Join(wrapWords(paragraph, columns), "\n") + "\n")
	}
	return b.String()
}

// wrapWords breaks a text at its spaces into lines of at most that many columns. Only a longer word exceeds them. It
// returns at least one line.
func wrapWords(text string, columns int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case displaywidth.String(line)+1+displaywidth.String(word) > columns:
			lines = append(lines, line)
			line = word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}
