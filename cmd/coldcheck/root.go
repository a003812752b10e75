package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/coldcheck/coldcheck/internal/buildinfo"
)

func (p *program) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "coldcheck",
		Short: "Check from disk images whether you can create a custom image from a WorkSpace",
		Long: `coldcheck checks from disk images whether you can create a custom image from an
Amazon WorkSpace. It opens the images of the root and the user volume read-only and
reads their filesystems and their registry itself. It boots, mounts and changes nothing.`,
		Example: `coldcheck demo
coldcheck scan root.img user.img
coldcheck scan root.img user.img -o table -o json=report.json
coldcheck requirements win.tls.tls12`,
		Version:           version(buildinfo.Read()),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetHelpFunc(func(c *cobra.Command, _ []string) {
		fmt.Fprint(&p.help, helpText(c, helpWidth(p.stdout)))
	})
	root.SetOut(&p.help)
	root.SetErr(p.stderr)
	group(root, p.scanCommand(), p.demoCommand(), p.explainCommand(), p.diffCommand(), p.remediateCommand(),
		p.verifyCommand(), p.requirementsCommand(), p.factsCommand(), p.rulesCommand(), p.fleetCommand(),
		p.inspectCommand(), p.completionCommand(), p.versionCommand(), p.manCommand(), p.workerCommand())
	needsCommand := root.RunE
	root.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return c.Help()
		}
		return needsCommand(c, args)
	}
	root.SetHelpCommand(helpCommand())
	root.SetFlagErrorFunc(flagError)
	walkCommands(root, plain)
	return root
}

// group makes a command of one that only holds others: without one of them it is wrong usage.
func group(c *cobra.Command, commands ...*cobra.Command) {
	c.AddCommand(commands...)
	c.Args = cobra.ArbitraryArgs
	c.RunE = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usage(seeHelp(c), "%s needs a command: %s", c.CommandPath(), strings.Join(commandNames(c), ", "))
		}
		return unknownCommand(c, args[0])
	}
}

func commandNames(c *cobra.Command) []string {
	var names []string
	for _, e := range commandEntries(c) {
		names = append(names, e.name)
	}
	return names
}

func unknownCommand(c *cobra.Command, name string) error {
	hint := didYouMean(name, commandNames(c), c.CommandPath()+" ", seeHelp(c))
	return usage(hint, "unknown command %q", name)
}

func seeHelp(c *cobra.Command) string { return "see '" + c.CommandPath() + " --help'" }

// helpCommand is that of cobra, but the name of a command that does not exist is wrong usage.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show help for a command",
		Example: "coldcheck help scan\ncoldcheck help inspect reg",
		Args:    arguments(0, -1),
		RunE: func(c *cobra.Command, args []string) error {
			topic, rest, err := c.Root().Find(args)
			switch {
			case err == nil && len(rest) == 0:
				return topic.Help()
			case err == nil && topic.HasAvailableSubCommands():
				return unknownCommand(topic, rest[0])
			case err == nil:
				return usage(seeHelp(topic), "%s has no commands", topic.CommandPath())
			}
			return unknownCommand(c.Root(), args[0])
		},
	}
}

// plain lets the usage line stand as it is written, and describes the flags that cobra adds.
func plain(c *cobra.Command) {
	c.DisableFlagsInUseLine = true
	c.InitDefaultHelpFlag()
	c.Flags().Lookup("help").Usage = "show this help"
	if c.Version != "" {
		c.InitDefaultVersionFlag()
		c.Flags().Lookup("version").Usage = "print the version"
	}
}

// walkCommands calls do for a command and for all commands below it.
func walkCommands(c *cobra.Command, do func(*cobra.Command)) {
	do(c)
	for _, sub := range c.Commands() {
		walkCommands(sub, do)
	}
}

// flagError makes wrong usage of what the parser of flags refuses.
func flagError(c *cobra.Command, err error) error {
	hint := seeHelp(c)
	var unknown *pflag.NotExistError
	if errors.As(err, &unknown) && len(unknown.GetSpecifiedName()) > 1 {
		var names []string
		add := func(f *pflag.Flag) {
			if !f.Hidden {
				names = append(names, f.Name)
			}
		}
		c.LocalFlags().VisitAll(add)
		c.InheritedFlags().VisitAll(add)
		hint = didYouMean(unknown.GetSpecifiedName(), names, "--", hint)
	}
	return usage(hint, "%s", lowerFirst(err.Error()))
}

// arguments accepts between least and most arguments; most below 0 is any number.
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

// flagsOf returns the flags of a command. If it holds other commands, they are the flags of all of those.
func flagsOf(c *cobra.Command) *pflag.FlagSet {
	if c.HasSubCommands() {
		return c.PersistentFlags()
	}
	return c.Flags()
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}
