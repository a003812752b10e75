// Package registry reads Windows registry hives (regf files) in memory, applies their transaction logs, and maps
// the names of a machine's registry (HKLM\SYSTEM\CurrentControlSet\…) to hive and key.
package registry

import "errors"

// Kinds of errors, for errors.Is. Besides them fs.ErrNotExist means that a key or value is truly not in the hive,
// and input/output errors of the underlying reader pass through.
var (
	// ErrCorrupt says that a structure of the hive is damaged; the message names the key and the offset.
	ErrCorrupt = errors.New("corrupt hive")
	// ErrUnsupported says that the hive or a part of it needs a feature this package does not have; the message names it.
	ErrUnsupported = errors.New("unsupported hive feature")
	// ErrDirty says that the hive was not written completely and that its transaction logs are missing, empty or cannot be applied.
	ErrDirty = errors.New("dirty hive")
)
