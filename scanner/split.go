package scanner

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// maxParts bounds how many parts of a split image are looked for.
const maxParts = 10000

// splitPart returns the error for an image that is one part of a split one: its name ends in a number or letters, as
// dd, split and FTK Imager name parts, and a file with the number before or after is in the same folder. It returns
// nil for any other image. Only what looks truncated is asked about: a complete image may have such a name too.
func splitPart(ctx context.Context, s *source.Source) error {
	n, suffix, ok := partNumber(s.Name())
	if !ok {
		return nil
	}
	exists := func(n int) bool {
		if ctx.Err() != nil || suffix(n) == "" {
			return false
		}
		part, err := s.Beside(ctx, filepath.Base(partName(s.Name(), suffix(n))))
		if err != nil {
			return false
		}
		part.Close()
		return true
	}
	first, last := n, n
	for last-n < maxParts && exists(last+1) {
		last++
	}
	for n-first < maxParts && exists(first-1) {
		first--
	}
	if first == last {
		return nil
	}
	var parts []string
	for k := first; k <= last; k++ {
		parts = append(parts, partName(s.Name(), suffix(k)))
	}
	what := fmt.Sprintf("part %d of %d of a split image", n-first+1, len(parts))
	if first > 1 {
		return kind.NotImage(what, "the parts before "+prose.Quote(parts[0])+" are missing: copy all parts to one folder")
	}
	return kind.NotImage(what, "join the parts: "+joinCommand(parts))
}

// partNumber reads the number of a part from the end of a name: "root.001" and "root.aa" are parts. suffix writes
// that of another part, "" if there is none. The first part has the number 0 or 1, and "aa" 0.
func partNumber(name string) (n int, suffix func(n int) string, ok bool) {
	ending := strings.TrimPrefix(filepath.Ext(name), ".")
	if number, err := strconv.ParseUint(ending, 10, 16); err == nil && len(ending) >= 2 && len(ending) <= 5 {
		return int(number), func(n int) string {
			if n < 0 {
				return ""
			}
			return fmt.Sprintf("%0*d", len(ending), n)
		}, true
	}
	if len(ending) != 2 || strings.Trim(ending, "abcdefghijklmnopqrstuvwxyz") != "" {
		return 0, nil, false
	}
	return int(ending[0]-'a')*26 + int(ending[1]-'a'), func(n int) string {
		if n < 0 || n >= 26*26 {
			return ""
		}
		return string([]byte{'a' + byte(n/26), 'a' + byte(n%26)})
	}, true
}

func partName(name, suffix string) string {
	return strings.TrimSuffix(name, filepath.Ext(name)) + "." + suffix
}

// joinCommand writes one file from parts. Many of them are named by a pattern.
func joinCommand(parts []string) string {
	ending := filepath.Ext(parts[0])
	image := prose.Quote(container.RawName(parts[0]))
	var quoted []string
	for _, p := range parts {
		quoted = append(quoted, prose.Quote(p))
	}
	const most = 8
	switch {
	case runtime.GOOS == "windows":
		return "cmd /c copy /b " + strings.Join(quoted, "+") + " " + image
	case len(parts) > most:
		digits := "[0-9]"
		if ending[1] >= 'a' {
			digits = "[a-z]"
		}
		quoted = []string{prose.Quote(partName(parts[0], "")) + strings.Repeat(digits, len(ending)-1)}
	}
	return "cat " + strings.Join(quoted, " ") + " >" + image
}

// truncated reports whether something is missing at the end of an image, or all of its structure.
func truncated(image *disk.Image) bool {
	if image == nil || image.Incomplete != nil {
		return true
	}
	for _, v := range image.Volumes() {
		if v.Declared > v.Size {
			return true
		}
	}
	return false
}
