//go:build !windows

package main

import (
	"errors"
	"os"
	"syscall"
)

// openConsole returns whether a terminal understands control sequences, and does nothing
// at the end. Terminals of Unix understand them.
func openConsole(*os.File) (ansi bool, restore func()) { return true, func() {} }

// isClosedPipe reports whether an error is that of a write to a pipe that nobody reads.
func isClosedPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

// busyHint is what to do about a file that another program uses; "" on systems that let
// several programs use one.
func busyHint(error) string { return "" }
