package container

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// acquired makes an image with ewfacquire.
func acquired(args ...string) func(t *testing.T, folder, raw string) (string, []string) {
	return func(t *testing.T, folder, raw string) (string, []string) {
		run(t, "ewfacquire", append(append([]string{"-u", "-q", "-t", filepath.Join(folder, "disk")}, args...), raw)...)
		return firstSegment(t, folder), nil
	}
}

// firstSegment is the first segment in a folder.
func firstSegment(t *testing.T, folder string) string {
	t.Helper()
	for _, ending := range []string{"E01", "e01", "s01"} {
		if names, err := filepath.Glob(filepath.Join(folder, "*."+ending)); err == nil && len(names) == 1 {
			return names[0]
		}
	}
	t.Fatal("no first segment")
	return ""
}

// ewfVariants are the images that ewf-tools can make of one disk. Some of the tools'
// formats differ in their headers only.
func ewfVariants() (list []variant) {
	add := func(name string, args ...string) {
		list = append(list, variant{name: name, tools: []string{"ewfacquire"}, make: acquired(args...), format: "ewf"})
	}
	for _, f := range []string{"ewf", "smart", "ftk", "encase1", "encase2", "encase3", "encase4", "encase5", "encase6",
		"encase7", "encase7-v2", "linen5", "linen6", "linen7", "ewfx"} {
		add(f, "-f", f, "-c", "fast", "-d", "sha1")
		add(f+" in segments", "-f", f, "-c", "none", "-S", "3000000")
	}
	for _, c := range []string{"none", "empty-block", "fast", "best"} {
		add("compression "+c, "-f", "encase6", "-c", c)
		add("SMART, compression "+c, "-f", "smart", "-c", c)
	}
	for _, n := range []string{"16", "32", "128", "1024", "4096", "16384", "32768"} {
		add(n+" sectors in a chunk", "-b", n, "-c", "fast")
		add(n+" sectors in a chunk, as they are", "-b", n, "-c", "none", "-S", "20000000")
	}
	add("sectors of 4096 bytes", "-P", "4096", "-c", "fast")
	add("sectors of 4096 bytes, 8192 in a chunk", "-P", "4096", "-b", "8192", "-c", "fast")
	add("sectors of 2048 bytes", "-P", "2048", "-m", "optical", "-c", "best")
	add("a logical volume in memory", "-m", "memory", "-M", "logical", "-N", "x")
	list = append(list,
		variant{name: "chunks above the bound", tools: []string{"ewfacquire"},
			make: acquired("-P", "4096", "-b", "16384"), refused: "chunks of 16384 sectors of 4096 bytes: over a limit"},
		variant{name: "an odd number of sectors", tools: []string{"ewfacquire"}, format: "ewf", size: variantSize + 512,
			make: acquired("-c", "fast", "-S", "2000000")},
		variant{name: "an odd number of sectors, as they are", tools: []string{"ewfacquire"}, format: "ewf",
			size: variantSize + 11*512, make: acquired("-f", "encase1", "-S", "5000000")},
		variant{name: "a stream", tools: []string{"sh", "ewfacquirestream"}, format: "ewf",
			make: func(t *testing.T, folder, raw string) (string, []string) {
				t.Helper()
				run(t, "sh", "-c", `exec ewfacquirestream -q -S 4000000 -c best -t "$1" <"$2"`, "sh",
					filepath.Join(folder, "disk"), raw)
				return firstSegment(t, folder), nil
			}},
		variant{name: "segments from E01 to EAA", tools: []string{"ewfacquire"}, format: "ewf", size: 108 << 20,
			make: manySegments("encase6", 101)},
		variant{name: "segments from s01 to saa", tools: []string{"ewfacquire"}, format: "ewf", size: 108 << 20,
			make: manySegments("smart", 101)},
	)
	return list
}

// manySegments makes at least n segments.
func manySegments(format string, n int) func(t *testing.T, folder, raw string) (string, []string) {
	return func(t *testing.T, folder, raw string) (string, []string) {
		name, _ := acquired("-f", format, "-c", "none", "-S", "1048576")(t, folder, raw)
		if names, err := fs.Glob(os.DirFS(folder), "*"); err != nil || len(names) < n ||
			strings.ToLower(names[99][len(names[99])-2:]) != "aa" {
			t.Fatalf("%d segments: %q", len(names), names)
		}
		return name, nil
	}
}

// TestEWFVariants: an image that a real tool makes has the bytes of the disk.
func TestEWFVariants(t *testing.T) {
	list := ewfVariants()
	if !testenv.Full() {
		some := list[:0]
		for n, v := range list {
			if n%7 == 1 {
				some = append(some, v)
			}
		}
		list = some
	}
	runVariants(t, list)
}
