//go:build !windows

package source

// IsDevice reports whether a name is that of a device of Windows that os.Stat does not
// know, such as \\.\PhysicalDrive0. On other systems, a device is a file.
func IsDevice(string) bool { return false }

// openDevice returns nil for a file.
func openDevice(string) (place, error) { return nil, nil }

// sameDevice is not ok for files.
func sameDevice(string, string) (same, ok bool) { return false, false }
