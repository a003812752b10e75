//go:build !linux

package source

import "io/fs"

func writableMounts(string, fs.FileInfo) []WritableMount { return nil }
