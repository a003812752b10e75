package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/scanner"
)

// parallelReads is the value of --parallel-reads, 0 if it is not given.
type parallelReads int

// parallelReadsFlag declares --parallel-reads.
func parallelReadsFlag(c *cobra.Command, value *parallelReads) {
	c.Flags().Var(value, "parallel-reads",
		fmt.Sprintf("run up to `N` reads of the images at a time, 1 to %d (default %d, and %d if an image is remote)",
			scanner.MaxParallelReads, scanner.DefaultParallelReads, scanner.RemoteParallelReads))
}

func (p *parallelReads) String() string { return strconv.Itoa(int(*p)) }
func (p *parallelReads) Type() string   { return "int" }

func (p *parallelReads) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > scanner.MaxParallelReads {
		return fmt.Errorf("a number from 1 to %d is required", scanner.MaxParallelReads)
	}
	*p = parallelReads(n)
	return nil
}
