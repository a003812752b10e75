package source

import (
	"errors"

	"golang.org/x/sys/windows"
)

// isRefused reports whether nobody listens at the other end of a connection. The errors of
// Windows Sockets are not those of POSIX.
func isRefused(err error) bool { return errors.Is(err, windows.WSAECONNREFUSED) }

// isReset reports whether the other end has given up a connection.
func isReset(err error) bool {
	return errors.Is(err, windows.WSAECONNRESET) || errors.Is(err, windows.WSAECONNABORTED)
}
