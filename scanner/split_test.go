package scanner_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
)

// The parts of a split image are joined if the first is named. What is complete, or has no other part, is an image
// like any other.
func TestSplitImage(t *testing.T) {
	t.Parallel()
	root := testcases.Find(t, "ready").Images[0]
	r, err := root.Open()
	if err != nil {
		t.Fatal(err)
	}
	head := make([]byte, 4<<20)
	if _, err := r.ReadAt(head, 0); err != nil {
		t.Fatal(err)
	}
	const part, whole = 1500 << 10, -1 // the third part is smaller
	for name, c := range map[string]struct {
		files []string // the first is opened
		parts []int    // that the files are; or whole
		size  int64    // of the disk
		what  string   // the error; "" for an image
		hint  string
	}{
		"joined":      {files: []string{"root.001", "root.002", "root.003"}, parts: []int{0, 1, 2}, size: 4 << 20},
		"from zero":   {files: []string{"root.000", "root.001"}, parts: []int{0, 1}, size: 2 * part},
		"letters":     {files: []string{"root.aa", "root.ab", "root.ac"}, parts: []int{0, 1, 2}, size: 4 << 20},
		"complete":    {files: []string{"root.001", "root.002"}, parts: []int{whole, 0}, size: root.Size},
		"alone":       {files: []string{"root.001"}, parts: []int{0}, size: part},
		"no number":   {files: []string{"root.img", "root.001"}, parts: []int{0, 1}, size: part},
		"the second":  {[]string{"root.002", "root.001"}, []int{1, 0}, 0, "part 2 of 2 of a split image", "root.001"},
		"no first":    {[]string{"root.003", "root.004"}, []int{1, 2}, 0, "part 1 of 2 of a split image", "are missing"},
		"a gap":       {[]string{"root.001", "root.002", "root.004"}, []int{0, 1, 1}, 0, "not root.003", "copy all parts"},
		"other sizes": {[]string{"root.001", "root.002", "root.003"}, []int{0, 2, 1}, 0, "has", "copy all parts"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for i, f := range c.files {
				content, size := head, root.Size
				if n := c.parts[i]; n != whole {
					content = head[n*part : min((n+1)*part, len(head))]
					size = int64(len(content))
				}
				name := filepath.Join(dir, f)
				if err := errors.Join(os.WriteFile(name, content, 0o666), os.Truncate(name, size)); err != nil {
					t.Fatal(err)
				}
			}
			image, err := scanner.OpenOne(t.Context(), scanner.File(filepath.Join(dir, c.files[0])))
			if c.what != "" {
				var hinted interface{ Hint() string }
				if !errors.Is(err, disk.ErrNotImage) || !errors.As(err, &hinted) || !strings.Contains(err.Error(), c.what) ||
					!strings.Contains(hinted.Hint(), c.hint) {
					t.Fatalf("%v, want %q and hint %q", err, c.what, c.hint)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer image.Close()
			got := make([]byte, min(c.size, int64(len(head))))
			if _, err := image.ReadAt(got, 0); err != nil && err != io.EOF {
				t.Fatal(err)
			}
			if image.Size != c.size || !bytes.Equal(got, head[:len(got)]) {
				t.Errorf("%d bytes, want %d; or others", image.Size, c.size)
			}
		})
	}
}
