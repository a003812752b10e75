package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/report"
	"github.com/coldcheck/coldcheck/scanner"
)

var shells = []string{"bash", "fish", "powershell", "zsh"}

func (p *program) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion SHELL",
		Short: "Write a completion script for a shell",
		Long:  "Write a script that completes commands, flags and ids in a shell: " + strings.Join(shells, ", ") + ".",
		Example: `source <(coldcheck completion bash)
coldcheck completion zsh >"${fpath[1]}/_coldcheck"
coldcheck completion fish >~/.config/fish/completions/coldcheck.fish
coldcheck completion powershell | Out-String | Invoke-Expression`,
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
			hint := didYouMean(args[0], shells, c.CommandPath()+" ", "the shells are "+strings.Join(shells, ", "))
			return usage(hint, "unknown shell %q", args[0])
		},
	}
}

// completeIDs offers the ids of requirements with their sentences. If list is true, it
// offers the next one after a comma.
func completeIDs(list bool) cobra.CompletionFunc {
	return func(_ *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		before := ""
		if list {
			before = typed[:strings.LastIndexByte(typed, ',')+1]
		}
		var offers []string
		for _, r := range scanner.AllRequirements() {
			if !slices.Contains(args, r.ID) && !slices.Contains(strings.Split(before, ","), r.ID) {
				offers = append(offers, cobra.CompletionWithDesc(before+r.ID, r.Demand))
			}
		}
		return offers, cobra.ShellCompDirectiveNoFileComp
	}
}

// completeOutput offers formats, and files for what follows their "=".
func completeOutput(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
	if strings.Contains(typed, "=") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	var offers []string
	for _, f := range report.Formats {
		offers = append(offers, cobra.CompletionWithDesc(f.Name, f.Summary))
	}
	return offers, cobra.ShellCompDirectiveNoFileComp
}

// completeFiles offers files with these suffixes.
func completeFiles(suffixes ...string) cobra.CompletionFunc {
	return func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return suffixes, cobra.ShellCompDirectiveFilterFileExt
	}
}

// complete offers fixed words.
func complete(words ...string) cobra.CompletionFunc {
	return cobra.FixedCompletions(slices.Sorted(slices.Values(words)), cobra.ShellCompDirectiveNoFileComp)
}
