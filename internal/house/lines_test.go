package house

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

func TestLines(t *testing.T) {
	wide, err := Wide(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wide {
		t.Error(w)
	}
}

// TestWide shows at, below and above the limit what is found, and what may be wide.
func TestWide(t *testing.T) {
	text := func(n int) string { return "// " + strings.Repeat("é ", (n-3)/2) + strings.Repeat("x", (n-3)%2) }
	file := func(lines ...string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(strings.Join(lines, "\n") + "\n")}
	}
	raw := "var x = `" + strings.Repeat("x ", 100)
	got, err := Wide(fstest.MapFS{
		"a/a.go": file("package a", text(119), text(120), text(121), raw, strings.Repeat("y ", 100), "z`",
			"\t"+text(119), "\t"+text(120)),
		"a/testdata/b.go": file(text(200)),
		".cache/c.go":     file(text(200)),
		"a/a.txt":         file(text(200)),
		"docs/d.md": file(strings.Repeat("w ", 61), "| "+strings.Repeat("w ", 100), "- "+strings.Repeat("w", 200),
			strings.Repeat("w", 200), "    "+strings.Repeat("w ", 100)),
		"Makefile": file("x:", "\t"+strings.Repeat("w ", 70)),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Makefile:2: 141 columns", "a/a.go:4: 121 columns", "a/a.go:9: 121 columns", "docs/d.md:1: 122 columns",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
