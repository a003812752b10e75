//go:build !linux

package crosscheck

// limitAddressSpace does nothing: this system does not report how much is
// mapped already, or has no such limit. That the memory is looked at often has
// to do.
func limitAddressSpace(int64) {}
