package main

import (
	"testing"

	"github.com/coldcheck/coldcheck/fixtures"
)

// Every case of the demonstration ends as its text says.
func TestDemoCases(t *testing.T) {
	for _, c := range fixtures.Cases() {
		cmd := coldcheck(t, "demo", "--case", c.Name)
		if got := code(t, cmd.Run()); got != c.ExitCode {
			t.Errorf("%s: exit code %d, want %d", c.Name, got, c.ExitCode)
		}
	}
}
