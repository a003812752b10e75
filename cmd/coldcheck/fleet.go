package main

import "github.com/spf13/cobra"

func (p *program) fleetCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "fleet",
		Short: "Scan many WorkSpaces, and report on all of them",
		Long: `Scan the WorkSpaces of a list, and report on all of them. Any engine that runs array
jobs can run the scans, such as Kubernetes, AWS Batch or Slurm. So can a shell.`,
		Example: `coldcheck fleet run targets.csv --results results
coldcheck fleet report results --targets targets.csv -o table -o html=fleet.html
coldcheck fleet export results -o parquet=fleet.parquet`,
	}
	group(c, p.fleetRunCommand(), p.fleetReportCommand(), p.fleetExportCommand())
	return c
}
