package scanner_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

// A part of a split image is refused with the command that joins the parts.
// What is complete, or has no other part, is an image like any other.
func TestSplitImage(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the commands are for another shell")
	}
	image, err := testcases.Find(t, "ready").Images[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 4<<20)
	if _, err := image.ReadAt(head, 0); err != nil {
		t.Fatal(err)
	}
	many := []string{}
	for _, c := range "abcdefghijkl" {
		many = append(many, "root.a"+string(c))
	}
	for name, c := range map[string]struct {
		files []string // the first is opened
		what  string   // "" for an image
		hint  string
	}{
		"the first of three": {[]string{"root.001", "root.002", "root.003", "root.005"}, "part 1 of 3",
			"cat root.001 root.002 root.003 >root.img"},
		"from zero": {[]string{"root.000", "root.001"}, "part 1 of 2", "cat root.000 root.001 >root.img"},
		"the last": {[]string{"root.img.002", "root.img.001"}, "part 2 of 2",
			"cat root.img.001 root.img.002 >root.img"},
		"of a raw image":  {[]string{"root.dd.001", "root.dd.002"}, "part 1 of 2", "cat root.dd.001 root.dd.002 >root.dd"},
		"without a first": {[]string{"root.003", "root.004"}, "part 1 of 2", "the parts before root.003 are missing"},
		"letters": {[]string{"my root.ab", "my root.aa"}, "part 2 of 2",
			"cat 'my root.aa' 'my root.ab' >'my root.img'"},
		"many":         {many, "part 1 of 12", "cat root.[a-z][a-z] >root.img"},
		"alone":        {[]string{"root.001"}, "", ""},
		"not the next": {[]string{"root.001", "root.003"}, "", ""},
		"no number":    {[]string{"root.img", "root.001"}, "", ""},
		"short":        {[]string{"root.1", "root.2"}, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			for i, f := range c.files {
				text := head
				if i > 0 {
					text = nil
				}
				if err := os.WriteFile(f, text, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			image, err := scanner.OpenImage(t.Context(), scanner.File(c.files[0]))
			if c.what == "" {
				if err != nil {
					t.Fatal(err)
				}
				image.Close()
				return
			}
			var hinted interface{ Hint() string }
			if !errors.Is(err, disk.ErrNotImage) || !errors.As(err, &hinted) || !strings.Contains(err.Error(), c.what) ||
				!strings.Contains(hinted.Hint(), c.hint) {
				t.Fatalf("%v, want %q and hint %q", err, c.what, c.hint)
			}
		})
	}
	complete := filepath.Join(t.TempDir(), "disk.001")
	if err := os.WriteFile(complete, make([]byte, 1<<20), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.TrimSuffix(complete, "1")+"2", nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := scanner.OpenImage(t.Context(), scanner.File(complete)); !errors.Is(err, disk.ErrNotImage) ||
		!strings.Contains(err.Error(), "part 1 of 2") {
		t.Errorf("what shows no structure: %v", err)
	}
}
