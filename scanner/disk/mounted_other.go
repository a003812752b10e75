//go:build !linux

package disk

import "io/fs"

func writableMounts(string, fs.FileInfo) []WritableMount { return nil }
