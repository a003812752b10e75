//go:build !windows

package source

import (
	"errors"
	"syscall"
)

// isRefused reports whether nobody listens at the other end of a connection.
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }

// isReset reports whether the other end has given up a connection.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
