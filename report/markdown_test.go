package report

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	extast "github.com/yuin/goldmark/extension/ast"
	"github.com/yuin/goldmark/text"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// parsed is the tree that a parser of GitHub's dialect makes of a report.
func parsed(source []byte) ast.Node {
	return goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
}

// Nothing of an image becomes markup: a report has the same kinds of elements
// whatever its texts are, no links, and no tags but ours.
func TestMarkdownMarkup(t *testing.T) {
	all := scans(t)
	all["attack"] = attack()
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			source := written(t, Markdown, r)
			rows, headings := 0, 0
			err := ast.Walk(parsed(source), func(n ast.Node, entering bool) (ast.WalkStatus, error) {
				if !entering {
					return ast.WalkContinue, nil
				}
				switch n := n.(type) {
				case *ast.Link, *ast.AutoLink, *ast.Image, *ast.FencedCodeBlock, *ast.CodeBlock, *ast.Blockquote,
					*ast.ThematicBreak:
					t.Errorf("a %s", n.Kind())
				case *ast.RawHTML:
					tag := string(n.Segments.Value(source))
					if !slices.Contains([]string{"<br>", "<sub>", "</sub>", "<!-- -->", "<span>", "</span>"}, tag) {
						t.Errorf("tag %s", tag)
					}
				case *ast.HTMLBlock:
					if first := string(n.Lines().Value(source)); !strings.HasPrefix(first, "<details>") &&
						!strings.HasPrefix(first, "</details>") {
						t.Errorf("HTML: %s", first)
					}
				case *ast.CodeSpan:
					return ast.WalkSkipChildren, nil // nothing is found in it
				case *ast.Text:
					if found := called.Find(n.Segment.Value(source)); found != nil {
						t.Errorf("%q calls or links", found)
					}
				case *ast.Heading:
					headings++
				case *extast.TableRow:
					rows++
					if n.ChildCount() != 3 {
						t.Errorf("row %d has %d cells", rows, n.ChildCount())
					}
				}
				return ast.WalkContinue, nil
			})
			if err != nil {
				t.Fatal(err)
			}
			want, others := 1, len(r.Findings)+len(r.NotChecked)
			needed, _, waived := cards(r)
			for _, c := range slices.Concat(needed, waived) {
				want = 2
				others -= len(c)
			}
			if headings != want || rows != others {
				t.Errorf("%d headings, want %d; %d rows for %d findings", headings, want, rows, len(r.Findings))
			}
		})
	}
}

// called is what no escape keeps from being found in a text: users, issues,
// addresses.
var called = regexp.MustCompile(`@\w|#\d|\w://|(?i)www\.`)

// attack is a scan of an image whose names are Markdown.
func attack() *scanner.Result {
	evil := []string{
		"@everyone see #1 and https://evil.example or www.evil.example", "![x](https://evil.example/x.png)",
		"[link](javascript:alert(1))",
		"<script>alert(1)</script>", "</details>", "a | b | c", "`` ` ``` code", "# heading", "- item", "1. item", "===",
		"---", "> quote", "<!-- hidden", "***", "~~gone~~", "$x$",
		"```", "`", "    code", "&lt;b&gt;", `\`, "trailing\\",
	}
	var findings []requirement.Finding
	for i, text := range evil {
		f := row(fmt.Sprintf("win.attack.a%d", i), requirement.Required)
		o := requirement.Fail(text, requirement.Evidence{Source: "root", Path: text, Data: text, Note: text})
		o.Remediation = text
		findings = append(findings, requirement.Find(f, o))
	}
	r := result(findings...)
	for _, text := range evil {
		r.Notices = append(r.Notices, requirement.Notice{Level: requirement.LevelInfo, Message: text, Source: "root"})
	}
	r.Images[0] = "a`|b.img"
	r.Volumes[0].Image = r.Images[0]
	r.Platform.Name, r.Platform.UserName = "===", "@everyone"
	r.Verdict, r.PolicyVerdict = scanner.NotReady, scanner.NotReady
	return r
}

// A comment is never longer than GitHub takes, and says what it leaves out.
func TestMarkdownLength(t *testing.T) {
	long := strings.Repeat("業務 | ", 500)
	for _, n := range []int{1, 20, 60, 500, 3000} {
		r := failing()
		for i := range n {
			f := requirement.Fail(fmt.Sprint(i, long), requirement.Evidence{Source: "root", Path: long})
			f.Remediation = long
			r.Findings = append(r.Findings, requirement.Find(row(fmt.Sprintf("win.long.l%d", i), requirement.Required), f))
		}
		count(r.Findings)
		text := written(t, Markdown, r)
		if size := utf8.RuneCount(text); size > maxComment {
			t.Errorf("%d findings: %d characters", n, size)
		}
		if !strings.Contains(string(text), "</sub>\n") || n >= 60 && !regexp.MustCompile(`\n- and \d+ more\n`).Match(text) {
			t.Errorf("%d findings: cut off without a word", n)
		}
	}
}
