//go:build !unix

package main

import "io/fs"

func readingGroup(fs.FileInfo) string { return "" }
