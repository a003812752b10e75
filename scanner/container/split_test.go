package container

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/imgconform"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// openSplit opens the first part of a split image.
func openSplit(ctx context.Context, name string, _ ...string) ([]Disk, error) {
	s, err := source.Open(ctx, name, source.Options{})
	if err != nil {
		return nil, err
	}
	d, err := OpenSplit(ctx, s)
	if err == nil && d == nil {
		d, err = openRaw(ctx, s, probe{})
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return []Disk{d}, nil
}

// writeParts writes files of these sizes, each with its number as its content.
func writeParts(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for n, f := range files {
		name, size, sized := strings.Cut(f, ":")
		length := 100
		if sized {
			fmt.Sscan(size, &length)
		}
		if err := os.WriteFile(filepath.Join(dir, name), bytes.Repeat([]byte{byte(n + 1)}, length), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestSplitConformance: a split image passes the suite, with few files of it open.
func TestSplitConformance(t *testing.T) {
	t.Parallel()
	imgconform.Run(t, imgconform.Format{
		Write: func(t *testing.T, folder string, content []byte) string {
			part := max(len(content)/7, 1)
			for n := 0; n*part < len(content); n++ {
				name := filepath.Join(folder, fmt.Sprintf("disk.%03d", n+1))
				if err := os.WriteFile(name, content[n*part:min((n+1)*part, len(content))], 0o666); err != nil {
					t.Fatal(err)
				}
			}
			return filepath.Join(folder, "disk.001")
		},
		Open: func(ctx context.Context, name string) (imgconform.Image, error) {
			disks, err := openSplit(ctx, name)
			if err != nil {
				return nil, err
			}
			return disks[0], nil
		},
	})
}

// TestOpenSplit: parts are joined only if none is missing, foreign or of another size.
func TestOpenSplit(t *testing.T) {
	t.Parallel()
	numbered := func(pattern string, from, to int) (names []string) {
		for n := from; n <= to; n++ {
			names = append(names, fmt.Sprintf(pattern, n))
		}
		return names
	}
	const copyAll = "copy all parts to one folder"
	for name, c := range map[string]struct {
		files  []string // the first is opened; "name:size"
		detail string   // of the disk
		kind   error
		err    string // "" if there is neither a disk nor an error
		hint   string
	}{
		"from one":         {files: []string{"root.001", "root.002", "root.003"}, detail: "3 parts"},
		"from zero":        {files: []string{"root.000", "root.001"}, detail: "2 parts"},
		"two digits":       {files: numbered("root.%02d", 1, 12), detail: "12 parts"},
		"two digits, zero": {files: numbered("root.%02d", 0, 11), detail: "12 parts"},
		"past two digits":  {files: numbered("root.%02d", 0, 101), detail: "102 parts"},
		"past three":       {files: numbered("root.%03d", 1, 1001), detail: "1001 parts"},
		"hexadecimal":      {files: numbered("root.%02x", 0, 0x11), detail: "18 parts"},
		"two letters":      {files: []string{"root.aa", "root.ab", "root.ac"}, detail: "3 parts"},
		"three letters":    {files: []string{"root.aaa", "root.aab"}, detail: "2 parts"},
		"other files": {files: []string{"root.001", "root.002", "root.002.txt", "other.003", "root.md", "root"},
			detail: "2 parts"},
		"a smaller last part": {files: []string{"root.001", "root.002", "root.003:1"}, detail: "3 parts"},
		"an empty last part":  {files: []string{"root.001", "root.002:0"}, detail: "2 parts"},

		"no number":          {files: []string{"root.img", "root.002"}},
		"no end":             {files: []string{"root", "root.001"}},
		"one digit":          {files: []string{"root.1", "root.2"}},
		"seven digits":       {files: []string{"root.0000001", "root.0000002"}},
		"uppercase":          {files: []string{"root.AA", "root.AB"}},
		"alone":              {files: []string{"root.001"}},
		"alone, not first":   {files: []string{"root.007", "root.009"}},
		"not the next":       {files: []string{"root.001", "root.003"}},
		"of another image":   {files: []string{"root.001", "user.002"}},
		"of another length":  {files: []string{"root.001", "root.02"}},
		"an ordinary ending": {files: []string{"root.dd", "root.gz", "root.aa"}},

		"the last": {[]string{"root.img.002", "root.img.001"}, "", ErrNotImage, "part 2 of 2 of a split image",
			"name the first part: {dir}/root.img.001"},
		"from zero, the second": {[]string{"root.001", "root.000", "root.002"}, "", ErrNotImage, "part 2 of 3 of",
			"name the first part: {dir}/root.000"},
		"letters, the second": {[]string{"my root.ab", "my root.aa"}, "", ErrNotImage, "part 2 of 2 of", "my root.aa'"},
		"hexadecimal that looks like letters": {append([]string{"root.aa"}, numbered("root.%02x", 0xa0, 0xa9)...), "",
			ErrNotImage, "part 11 of 11 of", "the parts before {dir}/root.a0 are missing: " + copyAll},
		"without the first": {[]string{"root.003", "root.004"}, "", ErrNotImage, "part 1 of 2 of a split image",
			"the parts before {dir}/root.003 are missing: " + copyAll},
		"letters, without the first": {[]string{"root.ab", "root.ac"}, "", ErrNotImage, "part 1 of 2 of",
			"the parts before {dir}/root.ab are missing: " + copyAll},

		"a gap": {[]string{"root.001", "root.002", "root.003", "root.005"}, "", ErrIncomplete,
			"has root.005 but not root.004", copyAll},
		"a gap of 31": {append(numbered("root.%03d", 0, 1), "root.033"), "", ErrIncomplete,
			"has root.033 but not root.002", copyAll},
		"a gap of 32": {append(numbered("root.%03d", 0, 1), "root.034"), "", ErrIncomplete,
			"has root.034 but not root.002", copyAll},
		"a gap of 33": {files: append(numbered("root.%03d", 0, 1), "root.035"), detail: "2 parts"},
		"a gap in hexadecimal": {append(numbered("root.%02x", 0, 9), numbered("root.%02x", 0xb, 0x20)...), "", ErrIncomplete,
			"has root.0b but not root.0a", copyAll},
		"hexadecimal within decimal": {append(numbered("root.%02d", 0, 15), "root.0a"), "", ErrIncomplete, "but not root.0",
			copyAll},
		"a gap in letters": {[]string{"root.aa", "root.ab", "root.ad"}, "", ErrIncomplete, "has root.ad but not root.ac",
			copyAll},

		"a larger last part": {[]string{"root.001", "root.002:101"}, "", ErrIncomplete,
			"root.002, part 2 of 2 of this split image, has 101 bytes, but the first has 100",
			"join them: cat {dir}/root.001 {dir}/root.002 >{dir}/root.img"},
		"a smaller part": {[]string{"root.dd.001", "root.dd.002:99", "root.dd.003"}, "", ErrIncomplete, "has 99 bytes",
			"join them: cat {dir}/root.dd.001 {dir}/root.dd.002 {dir}/root.dd.003 >{dir}/root.dd"},
		"many of other sizes": {append(numbered("root.%02d", 0, 12), "root.13:101"), "", ErrIncomplete, "root.13, part 14 of",
			"cat {dir}/root.[0-1][0-9] >{dir}/root.img"},
		"an empty first part": {[]string{"root.001:0", "root.002"}, "", ErrIncomplete, "the first has 0", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if runtime.GOOS == "windows" && c.hint != "" {
				t.Skip("hints are for another shell")
			}
			dir := writeParts(t, c.files...)
			first, _, _ := strings.Cut(c.files[0], ":")
			s, err := source.Open(t.Context(), filepath.Join(dir, first), source.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			d, err := OpenSplit(t.Context(), s)
			if c.err != "" {
				hint := strings.ReplaceAll(c.hint, "{dir}", dir)
				if d != nil || !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.err) ||
					!strings.HasPrefix(err.Error(), s.Name()+": ") || hintOf(err) == "" ||
					!strings.Contains(hintOf(err), hint) {
					t.Errorf("%v, want %q and hint %q", err, c.err, hint)
				}
				return
			}
			if err != nil || (d != nil) != (c.detail != "") {
				t.Fatalf("%v, %v", d, err)
			}
			if d == nil {
				return
			}
			var want []byte
			for n := range d.Sources() { // the files of the case are in this order
				name, _, _ := strings.Cut(c.files[n], ":")
				b, err := os.ReadFile(filepath.Join(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, b...)
			}
			got, err := io.ReadAll(io.NewSectionReader(d, 0, d.Size()))
			if err != nil || !bytes.Equal(got, want) || d.Format() != "split raw" || d.Detail() != c.detail {
				t.Errorf("%d bytes of %s, %s, want %d: %v", len(got), d.Format(), d.Detail(), len(want), err)
			}
			if f, at, ok := d.Locate(199); d.Size() >= 200 && (!ok || f != d.Sources()[1] || at != 99) {
				t.Errorf("byte 199 is at %d of %v, %t", at, f.Name(), ok)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSplitParts: what has the name of a part but cannot be one is not left out.
func TestSplitParts(t *testing.T) {
	t.Parallel()
	link := func(target, name string) func(dir string) error {
		return func(dir string) error { return os.Symlink(target, filepath.Join(dir, name)) }
	}
	for name, c := range map[string]struct {
		make func(dir string) error
		open string
		err  string // "" for a disk of two parts
	}{
		"a folder": {func(dir string) error { return os.Mkdir(filepath.Join(dir, "root.003"), 0o777) }, "root.001",
			"root.003: not a regular file"},
		"a link out of the folder":        {link("/etc/passwd", "root.003"), "root.001", "root.003"},
		"a link out of the folder before": {link("/etc/passwd", "root.000"), "root.001", "part 2 of 3 of a split image"},
		"a folder before": {
			func(dir string) error { return os.Mkdir(filepath.Join(dir, "root.000"), 0o777) }, "root.001", ""},
		"a dangling link": {link("nothing", "root.003"), "root.001", ""},
	} {
		dir := writeParts(t, "root.001", "root.002")
		if err := c.make(dir); err != nil {
			t.Skip("needs links: ", err)
		}
		disks, err := openSplit(t.Context(), filepath.Join(dir, c.open))
		switch {
		case err == nil && (c.err != "" || disks[0].Detail() != "2 parts"):
			t.Errorf("%s: %s", name, disks[0].Detail())
		case err != nil && (c.err == "" || !strings.Contains(err.Error(), c.err)):
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
		closeAll(t, disks)
	}
	s, err := source.Open(t.Context(), filepath.Join(writeParts(t, "root.001", "root.002"), "root.001"), source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := OpenSplit(ctx, s); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context ended: %v", err)
	}
}

// TestSplitLimit: 10,000 parts are joined, 10,001 refused.
func TestSplitLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := filepath.Join(dir, "root.0000")
	if err := os.WriteFile(first, []byte("part"), 0o666); err != nil {
		t.Fatal(err)
	}
	link := func(n int) {
		if err := os.Link(first, filepath.Join(dir, fmt.Sprintf("root.%04d", n))); err != nil {
			t.Skip("needs links: ", err)
		}
	}
	for n := 1; n < maxParts; n++ {
		link(n)
	}
	disks, err := openSplit(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(io.NewSectionReader(disks[0], 0, disks[0].Size()))
	if err != nil || string(got) != strings.Repeat("part", maxParts) || disks[0].Detail() != "10000 parts" {
		t.Errorf("%d bytes of %s: %v", len(got), disks[0].Detail(), err)
	}
	closeAll(t, disks)
	link(maxParts)
	if disks, err := openSplit(t.Context(), first); !errors.Is(err, ErrLimit) {
		t.Errorf("%v, %v", disks, err)
	}
}

// TestCountings: the ends of names are counted as the programs count them.
func TestCountings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		digits string
		n      int
		want   string
	}{
		{decimal, 0, "00"}, {decimal, 89, "89"}, {decimal, 90, "9000"}, {decimal, 989, "9899"}, {decimal, 990, "990000"},
		{decimal, 9989, "998999"}, {decimal, 9990, ""}, {letters, 0, "aa"}, {letters, 26, "ba"}, {letters, 649, "yz"},
		{letters, 650, "zaaa"}, {letters, 17549, "zyzz"}, {letters, 17550, "zzaaaa"}, {hexadecimal, 239, "ef"},
		{hexadecimal, 240, "f000"},
	} {
		if got := widening(tt.n, tt.digits); got != tt.want {
			t.Errorf("%d in %s: %s, want %s", tt.n, tt.digits, got, tt.want)
		}
	}
	for _, digits := range []string{decimal, letters, hexadecimal} {
		for n := range 9990 {
			end := widening(n, digits)
			found := func(c counting) bool { return c.number == n && c.at(n) == end && c.at(n+1) == widening(n+1, digits) }
			if !slices.ContainsFunc(countings(end), found) {
				t.Fatalf("%d is %s, which is not counted so", n, end)
			}
		}
	}
	for _, end := range []string{"", "1", "a", "1234567", "0A", "a-", "999a9z", "é", "zz", "99"} {
		for _, c := range countings(end) {
			if c.at(c.number) != end || c.at(-1) != "" {
				t.Errorf("%s is part %d, which is %s", end, c.number, c.at(c.number))
			}
		}
	}
}

// TestSplitVariants: what programs write that split images.
func TestSplitVariants(t *testing.T) {
	by := func(args ...string) func(t *testing.T, folder, raw string) (string, []string) {
		return func(t *testing.T, folder, raw string) (string, []string) {
			run(t, "split", append(args, raw, filepath.Join(folder, "disk."))...)
			entries, err := os.ReadDir(folder)
			if err != nil {
				t.Fatal(err)
			}
			return filepath.Join(folder, entries[0].Name()), nil
		}
	}
	dd := func(pattern string, from int) func(t *testing.T, folder, raw string) (string, []string) {
		return func(t *testing.T, folder, raw string) (string, []string) {
			for n := range 5 {
				run(t, "dd", "if="+raw, "of="+filepath.Join(folder, fmt.Sprintf(pattern, n+from)), "bs=5M", "count=1",
					fmt.Sprint("skip=", n), "conv=sparse", "status=none")
			}
			return filepath.Join(folder, fmt.Sprintf(pattern, from)), nil
		}
	}
	tools, open, format := []string{"split"}, openSplit, "split raw"
	variants := []variant{
		{name: "letters", tools: tools, make: by("-b", "5M"), open: open, format: format},
		{name: "three letters", tools: tools, make: by("-b", "7M", "-a", "3"), open: open, format: format},
		{name: "numbers", tools: tools, make: by("-b", "1M", "-d"), open: open, format: format},
		{name: "numbers from one", tools: tools, make: by("-b", "1M", "--numeric-suffixes=1", "-a", "3"), open: open,
			format: format},
		{name: "numbers that widen", tools: tools, make: by("-b", "200K", "-d"), open: open, format: format},
		{name: "hexadecimal numbers", tools: tools, make: by("-b", "300K", "-x"), open: open, format: format},
		{name: "parts that are no sectors", tools: tools, make: by("-b", "3000001", "-d", "-a", "3"), open: open,
			format: format},
		{name: "dd from zero", tools: []string{"dd"}, make: dd("disk.%03d", 0), open: open, format: format},
		{name: "dd from one", tools: []string{"dd"}, make: dd("disk.raw.%02d", 1), open: open, format: format},
		{name: "by lines", tools: tools, make: by("-C", "3M", "-d"), open: open, refused: "of this split image, has"},
	}
	if testenv.Full() { // of hundreds of parts
		variants = append(variants, []variant{
			{name: "letters that widen", tools: tools, make: by("-b", "36K"), open: open, format: format},
			{name: "numbers that widen again", tools: tools, make: by("-b", "24K", "-d"), open: open, format: format},
			{name: "hexadecimal numbers that widen", tools: tools, make: by("-b", "90K", "-x"), open: open, format: format},
		}...)
	}
	runVariants(t, variants)
}

// TestSplitCorpus: an image that another project split.
func TestSplitCorpus(t *testing.T) {
	const from = "images/log2timeline__dfvfs/test_data/ext2.splitraw."
	dir, whole := t.TempDir(), []byte(nil)
	for _, n := range []string{"000", "001"} {
		b := testenv.CorpusFile(t, from+n+".gz")
		whole = append(whole, b...)
		if err := os.WriteFile(filepath.Join(dir, "ext2."+n), b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	disks, err := openSplit(t.Context(), filepath.Join(dir, "ext2.000"))
	if err != nil {
		t.Fatal(err)
	}
	defer closeAll(t, disks)
	imgconform.Equal(t, disks[0], whole)
}

// TestJoinCommand: the command of the hint writes the parts in their order.
func TestJoinCommand(t *testing.T) {
	testenv.Tool(t, "sh", "split")
	t.Parallel()
	content := variantContent(variantSize)
	for _, args := range [][]string{{"-b", "5M"}, {"-b", "200K", "-d"}, {"-b", "90K", "-x"}} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "raw"), content, 0o666); err != nil {
			t.Fatal(err)
		}
		run(t, "split", append(args, filepath.Join(dir, "raw"), filepath.Join(dir, "my disk."))...)
		names, err := filepath.Glob(filepath.Join(dir, "my disk.*"))
		if err != nil {
			t.Fatal(err)
		}
		s, err := source.Open(t.Context(), names[0], source.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		o := splitOpener{ctx: t.Context(), first: s, extension: filepath.Ext(names[0])}
		var ends []string
		for _, n := range names {
			ends = append(ends, strings.TrimPrefix(filepath.Ext(n), "."))
		}
		slices.SortStableFunc(ends, func(a, b string) int { return len(a) - len(b) })
		if out, err := exec.Command("sh", "-c", o.joinCommand(ends)).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "my disk.img")); err != nil || !bytes.Equal(got, content) {
			t.Errorf("split %q: %s: another content, %v", args, o.joinCommand(ends), err)
		}
	}
}
