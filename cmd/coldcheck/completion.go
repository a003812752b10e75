package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

var shells = []string{"bash", "fish", "powershell", "zsh"}

func (p *program) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "Write a script that completes commands, flags and ids in a shell",
		Long:      "Write the completion script for a shell: " + strings.Join(shells, ", ") + ".\n\nFor bash: source <(coldcheck completion bash)",
		Args:      arguments(1, 1),
		ValidArgs: shells,
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(&p.help, true)
			case "fish":
				return root.GenFishCompletion(&p.help, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(&p.help)
			case "zsh":
				return root.GenZshCompletion(&p.help)
			}
			return usage("the shells are "+strings.Join(shells, ", "), "unknown shell %q", args[0])
		},
	}
}

// complete offers fixed words.
func complete(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(slices.Sorted(slices.Values(words)), cobra.ShellCompDirectiveNoFileComp)
}
