package machine

import (
	"path"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
)

// Elsewhere says whether a path leads off drive C: to another drive letter or
// to a share. Any other path is on C.
func Elsewhere(path string) bool {
	switch {
	case strings.HasPrefix(path, `\\`):
		return true
	case len(path) > 1 && path[1] == ':':
		return !strings.EqualFold(path[:1], "C")
	}
	return false
}

// IsLetter reports whether a text is a drive letter with its colon.
func IsLetter(s string) bool {
	return len(s) == 2 && s[1] == ':' && (s[0]|0x20) >= 'a' && (s[0]|0x20) <= 'z'
}

// Normal is the form in which paths are compared: backslashes, single ones,
// no "." parts, none at the end.
func Normal(p string) string {
	p = strings.ReplaceAll(p, `\`, "/")
	unc := strings.HasPrefix(p, "//")
	p = strings.ReplaceAll(path.Clean(p), "/", `\`)
	if unc {
		p = `\` + p
	}
	return strings.TrimSuffix(p, `\`)
}

// Quoted marks a path as one word, whatever is in it.
func Quoted(path string) string {
	if path == "" {
		return ""
	}
	return `"` + path + `"`
}

// programEnd finds the end of the program in a command line without quotes:
// after the first known extension that a space, a comma or the end follows. 0
// means that there is none: the line may be a folder, with spaces in its name.
func programEnd(s string) int {
	best := 0
	for _, ext := range []string{".exe", ".dll", ".sys", ".com", ".bat", ".cmd", ".msi", ".ico"} {
		for from := 0; ; {
			i := fold.Index(s[from:], ext)
			if i < 0 {
				break
			}
			end := from + i + len(ext)
			if (end == len(s) || s[end] == ' ' || s[end] == ',') && (best == 0 || end < best) {
				best = end
			}
			from = end
		}
	}
	return best
}
