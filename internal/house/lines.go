package house

import (
	"fmt"
	"go/scanner"
	"go/token"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"
)

// columns is how long a line of code, docs or the Makefile may be. A tab counts as one column.
const columns = 120

// Wide returns the lines of the module whose root is fsys that are longer than
// they may be. Four kinds of lines may be: the text of a raw string, a row of a
// table and a code block in Markdown, and what has no space to be wrapped at.
func Wide(fsys fs.FS) ([]string, error) {
	isCode := func(name string) bool { return strings.HasSuffix(name, ".go") }
	wanted := func(name string) bool {
		prose := strings.HasSuffix(name, ".md") || path.Base(name) == "Makefile" || strings.HasSuffix(name, ".mk")
		return isCode(name) || prose
	}
	var wide []string
	err := walk(fsys, wanted, func(name string, source []byte) error {
		code := isCode(name)
		var raw map[int]bool
		if code {
			raw = rawLines(source)
		}
		number := 0
		for line := range strings.Lines(string(source)) {
			number++
			line = strings.TrimRight(line, "\n")
			if n := utf8.RuneCountInString(line); n > columns && !raw[number] && (code || !unwrappable(name, line)) {
				wide = append(wide, fmt.Sprintf("%s:%d: %d columns", name, number, n))
			}
		}
		return nil
	})
	return wide, err
}

// unwrappable reports whether a line of Markdown is a row of a table or part of a
// code block, or one of Markdown or a Makefile has no space after its indentation
// and bullet.
func unwrappable(name, line string) bool {
	text := strings.TrimLeft(line, " \t")
	block := strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
	return strings.HasSuffix(name, ".md") && block || strings.HasPrefix(text, "|") ||
		!strings.Contains(strings.TrimPrefix(text, "- "), " ")
}

// rawLines are the lines, from 1, of a Go file that are part of a raw string.
func rawLines(source []byte) map[int]bool {
	files := token.NewFileSet()
	file := files.AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, source, nil, 0)
	lines := map[int]bool{}
	for {
		at, kind, text := s.Scan()
		if kind == token.EOF {
			return lines
		}
		if kind == token.STRING && strings.HasPrefix(text, "`") {
			first := file.Line(at)
			for i := range strings.Count(text, "\n") + 1 {
				lines[first+i] = true
			}
		}
	}
}
