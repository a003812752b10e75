package main

import (
	"strings"

	"github.com/spf13/cobra"
)

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "coldcheck",
		Short: "Decide from the images of a WorkSpace whether a custom image can be made of it",
		Long: `coldcheck opens the images of a WorkSpace's root and user volume read-only, reads
their filesystems and registry itself, and decides every requirement for making
a custom image of it. Nothing is booted, mounted or written.`,
		Version:           version(),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	// A command that only holds others is no usage of its own.
	root.SetUsageTemplate(strings.Replace(root.UsageTemplate(), "{{if .Runnable}}", "{{if not .HasAvailableSubCommands}}",
		1))
	root.SetOut(&p.help)
	root.SetErr(p.stderr)
	group(root, p.scanCommand(), p.demoCommand(), p.diffCommand(), p.remediateCommand(), p.requirementsCommand(),
		p.inspectCommand(), p.completionCommand(), p.versionCommand(), p.manCommand(), p.workerCommand())
	root.SetHelpCommand(helpCommand())
	root.SetFlagErrorFunc(flagError)
	plainUse(root)
	return root
}

// group makes a command of one that only holds others: without one of them it
// is wrong usage.
func group(c *cobra.Command, commands ...*cobra.Command) {
	c.AddCommand(commands...)
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		hint := "see '" + c.CommandPath() + " --help'"
		if len(args) == 0 {
			return usage(hint, "%s needs a command", c.CommandPath())
		}
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			hint = "did you mean '" + c.CommandPath() + " " + near[0] + "'?"
		}
		return usage(hint, "unknown command %q", args[0])
	}
}

// helpCommand is that of cobra, but a command that is not there is wrong usage.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Tell about a command",
		Args:  arguments(0, -1),
		RunE: func(c *cobra.Command, args []string) error {
			topic, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage("see 'coldcheck --help'", "unknown command %q", strings.Join(args, " "))
			}
			return topic.Help()
		},
	}
}

// plainUse lets a usage line stand as it is written.
func plainUse(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	c.SuggestionsMinimumDistance = 2 // letters
	for _, sub := range c.Commands() {
		plainUse(sub)
	}
}

// flagError makes wrong usage of what the parser of flags refuses.
func flagError(c *cobra.Command, err error) error {
	return usage("see '"+c.CommandPath()+" --help'", "%s", lowerFirst(err.Error()))
}

// arguments demands between least and most arguments; most below 0 is any number.
func arguments(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch hint := "usage: " + c.UseLine(); {
		case len(args) < least:
			return usage(hint, "%s needs %s", c.CommandPath(), strings.Join(strings.Fields(c.Use)[1:], " "))
		case most >= 0 && len(args) > most:
			return usage(hint, "unexpected argument %q", args[most])
		}
		return nil
	}
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
