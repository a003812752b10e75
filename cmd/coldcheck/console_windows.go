package main

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// openConsole makes a console understand control sequences. It reports whether the console
// does: those before Windows 10 do not. restore sets what was set before, which the shell
// relies on.
func openConsole(f *os.File) (ansi bool, restore func()) {
	h := windows.Handle(f.Fd())
	var mode uint32
	if err := windows.GetConsoleMode(h, &mode); err != nil {
		return false, func() {} // it is not a console
	}
	const wanted = windows.ENABLE_PROCESSED_OUTPUT | windows.ENABLE_VIRTUAL_TERMINAL_PROCESSING
	if mode&wanted == wanted {
		return true, func() {}
	}
	if err := windows.SetConsoleMode(h, mode|wanted); err != nil {
		return false, func() {}
	}
	return true, func() { windows.SetConsoleMode(h, mode) }
}

// isClosedPipe reports whether an error is that of a write to a pipe that nobody reads.
func isClosedPipe(err error) bool {
	return errors.Is(err, windows.ERROR_BROKEN_PIPE) || errors.Is(err, windows.ERROR_NO_DATA)
}

// busyHint is what to do about a file that another program uses; "" for any other error.
func busyHint(err error) string {
	if errors.Is(err, windows.ERROR_SHARING_VIOLATION) || errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return "another program uses the file; shut down the virtual machine, or detach the disk"
	}
	return ""
}
