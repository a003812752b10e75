package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/scanner"
)

// parallelReads is the value of --parallel-reads.
type parallelReads int

// parallelReadsFlag declares --parallel-reads.
func parallelReadsFlag(c *cobra.Command, value *parallelReads) {
	*value = scanner.DefaultParallelReads
	c.Flags().Var(value, "parallel-reads", "let `N` reads of the images be under way at a time")
}

func (p *parallelReads) String() string { return strconv.Itoa(int(*p)) }
func (p *parallelReads) Type() string   { return "int" }

func (p *parallelReads) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > scanner.MaxParallelReads {
		return fmt.Errorf("a number from 1 to %d is wanted", scanner.MaxParallelReads)
	}
	*p = parallelReads(n)
	return nil
}
