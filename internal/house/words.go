package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	writing "github.com/coldcheck/coldcheck/internal/prose"
)

// forbidden are the patterns that no text for people may match, with the rule that a match breaks.
var forbidden = []struct {
	pattern *regexp.Regexp
	why     string
}{
	{word("beside", "shall", "tells?", "told", "whole", "lies?", "taken for", "is none of", "those who", "as far as",
		"said", "by experience", "has to be", "have to be", "asked of"), "is not plain English"},
	{regexp.MustCompile(`(?i)\bof [^.,;]{1,40} alone\b`), "is not plain English"},
	{word("colours?", "coloured", "customi[s]e[ds]?", "recogni[s]e[ds]?", "behaviours?", "licences?", "analyse[ds]?",
		"honour(ed|s)?", "catalogued", "favour(ed|s)?", "organi[s]e[ds]?", "summari[s]e[ds]?", "neighbours?",
		"labelled", "cancelled", "travelled", "misspelt", "normali[s]e[ds]?", "centres?"), "is British spelling"},
	{regexp.MustCompile(`[a-z]\.\.( |$)`), "is a double full stop"},
	{regexp.MustCompile(`[a-z]{2}[,;:.]?  [A-Za-z]{2}`), "is a double space"},
}

// word matches any of the words as a separate word, ignoring case. A part of a name or a path is not a separate word.
func word(list ...string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)(?:^|[\s(])(?:` + strings.Join(list, "|") + `)(?:$|[\s,;:.)?!])`)
}

// allowed replaces phrases that are plain English although they contain a forbidden word.
var allowed = strings.NewReplacer("annot tell", "annot know", "whole number", "integer")

// longestSentence is how many words a requirement or a remedy may have in a sentence.
const longestSentence = 30

// Words returns the texts for people, in the program, docs/, deploy/ and the README, that break the rules of wording.
// Tests, fixtures and the tools in internal/ are not held to them.
func Words(fsys fs.FS) ([]string, error) {
	held := func(name string) bool {
		dir := path.Dir(name)
		if strings.HasSuffix(name, ".md") {
			return name == "README.md" || dir == "docs" || strings.HasPrefix(name, "deploy/")
		}
		return strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") &&
			!strings.HasPrefix(name, "fixtures/") && !strings.HasPrefix(name, "internal/")
	}
	var broken []string
	err := walk(fsys, held, func(name string, source []byte) error {
		if strings.HasSuffix(name, ".md") {
			broken = append(broken, wordsOfPage(name, string(source))...)
			return nil
		}
		list, err := wordsOfCode(name, source)
		broken = append(broken, list...)
		return err
	})
	return broken, err
}

// wordsOfPage checks the text of a page without its code.
func wordsOfPage(name, text string) (broken []string) {
	code := false
	for number, line := range slices.Collect(strings.Lines(text)) {
		if fence := strings.HasPrefix(strings.TrimSpace(line), "```"); fence || code || strings.HasPrefix(line, "    ") {
			code = code != fence
			continue
		}
		for _, what := range wording(inlineCode.ReplaceAllString(strings.TrimRight(line, "\n"), "`x`")) {
			broken = append(broken, fmt.Sprintf("%s:%d: %s", name, number+1, what))
		}
	}
	return broken
}

var inlineCode = regexp.MustCompile("`[^`]*`|\\]\\([^)]*\\)")

// wordsOfCode checks the texts in a file of code.
func wordsOfCode(name string, source []byte) (broken []string, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	report := func(at ast.Node, list ...string) {
		for _, what := range list {
			broken = append(broken, fmt.Sprintf("%s:%d: %s", name, fset.Position(at.Pos()).Line, what))
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.ImportSpec:
			return false
		case *ast.Field:
			return n.Tag == nil
		case *ast.KeyValueExpr:
			key, _ := n.Key.(*ast.Ident)
			if key == nil || !slices.Contains([]string{"Demand", "Remediation", "Doubts"}, key.Name) {
				break
			}
			if text, whole := textOf(n.Value); whole {
				report(n, sentence(text)...)
			}
		case *ast.CallExpr:
			called, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || called.Sel.Name != "Errorf" && called.Sel.Name != "New" {
				break
			}
			for _, arg := range n.Args {
				if text, _ := textOf(arg); strings.HasSuffix(text, ".") {
					report(n, fmt.Sprintf("%q: an error ends in a full stop", text))
				}
			}
		case *ast.BinaryExpr:
			if text, _ := textOf(n); text != "" {
				report(n, wording(text)...)
				return false
			}
		case *ast.BasicLit:
			if text, _ := textOf(n); text != "" {
				report(n, wording(text)...)
			}
		}
		return true
	})
	return broken, nil
}

// textOf returns the text of an expression of strings, with an x for each part that is not a constant, and whether all
// parts are constants. A raw string is a pattern or a template, so it has no text.
func textOf(e ast.Expr) (text string, constant bool) {
	switch e := e.(type) {
	case *ast.ParenExpr:
		return textOf(e.X)
	case *ast.BasicLit:
		if e.Kind != token.STRING || strings.HasPrefix(e.Value, "`") {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		if e.Op != token.ADD {
			return "", false
		}
		left, one := textOf(e.X)
		right, other := textOf(e.Y)
		if left == "" && right == "" {
			return "", false
		}
		if !one && left == "" {
			left = "x"
		}
		if !other && right == "" {
			right = "x"
		}
		return left + right, one && other
	}
	return "", false
}

// wording returns the rules that a text breaks. It ignores names, which have no space, and scripts, which have several
// lines.
func wording(text string) (broken []string) {
	if !strings.Contains(strings.TrimSpace(text), " ") || strings.Contains(text, "\n") {
		return nil
	}
	checked := allowed.Replace(text)
	for _, rule := range forbidden {
		if found := rule.pattern.FindString(checked); found != "" {
			broken = append(broken, fmt.Sprintf("%q in %q %s", strings.TrimSpace(found), writing.Short(text), rule.why))
		}
	}
	return broken
}

// sentence returns the rules that a requirement, a remedy or a doubt breaks: it must be full sentences, none
// of them long.
func sentence(text string) (broken []string) {
	if text == "" {
		return nil
	}
	if first, _ := utf8.DecodeRuneInString(text); unicode.IsLower(first) && !strings.ContainsAny(firstWord(text), "./-_") {
		broken = append(broken, fmt.Sprintf("%q begins with a small letter", writing.Short(text)))
	}
	if !strings.HasSuffix(text, ".") {
		broken = append(broken, fmt.Sprintf("%q lacks its full stop", writing.Short(text)))
	}
	for _, s := range Long(text) {
		broken = append(broken, fmt.Sprintf("%q has %d words", writing.Short(s), len(strings.Fields(s))))
	}
	return broken
}

// Long returns the sentences of a text that have too many words.
func Long(text string) (long []string) {
	for s := range strings.SplitSeq(text, ". ") {
		if len(strings.Fields(s)) > longestSentence {
			long = append(long, s)
		}
	}
	return long
}

// Rendered returns the rules that a text in a report breaks: a requirement, a message, a remedy or a notice. It must
// consist of sentences in plain words. They may be long, because of the lists in them.
func Rendered(text string) (broken []string) {
	text = quoted.ReplaceAllString(text, "x")
	broken = wording(text)
	if !strings.ContainsAny(text[max(len(text)-1, 0):], ".!?:") {
		broken = append(broken, fmt.Sprintf("%q lacks its full stop", writing.Short(text)))
	}
	for s := range strings.SplitSeq(text, ". ") {
		first := firstWord(s)
		if !slices.Contains(smallNames, first) && writing.Sentence(first+" x.") != first+" x." {
			broken = append(broken, fmt.Sprintf("%q begins with a small letter", writing.Short(s)))
		}
	}
	return broken
}

var (
	quoted = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	// smallNames are names that are written small and look like ordinary words.
	smallNames = []string{"ena"}
)

func firstWord(text string) string {
	word, _, _ := strings.Cut(text, " ")
	return word
}
