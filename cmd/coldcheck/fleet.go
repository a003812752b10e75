package main

import "github.com/spf13/cobra"

func (p *program) fleetCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "fleet",
		Short: "Scan many WorkSpaces, and report on all of them",
		Long: `Scan the targets of a list with the array jobs of Kubernetes, AWS Batch or Slurm, and
report on all of them.`,
		Example: `coldcheck fleet export results -o parquet=fleet.parquet`,
	}
	group(c, p.fleetExportCommand())
	return c
}
