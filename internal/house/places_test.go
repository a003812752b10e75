package house

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

// TestToysAreAlone: what ARCHITECTURE.md says of how many places a change touches
// holds for the toys.
func TestToysAreAlone(t *testing.T) {
	broken, err := Places(os.DirFS("../.."))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range broken {
		t.Error(b)
	}
}

func TestPlaces(t *testing.T) {
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	tree := fstest.MapFS{
		"scanner/source/source.go":      file("package source // and Toys"),
		"scanner/source/other_test.go":  file("package source // toyKind"),
		"scanner/source/source_test.go": file("package source"),
		"internal/x/x_test.go":          file("package x // a toy of its own"),
	}
	for _, name := range toys {
		tree[name] = file("package toy")
	}
	delete(tree, "scanner/container/toy_test.go")
	got, err := Places(tree)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"a container: no toy: open scanner/container/toy_test.go: file does not exist",
		"scanner/source/other_test.go: speaks of a toy",
		"scanner/source/source.go: speaks of a toy",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
