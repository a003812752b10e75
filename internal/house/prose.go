package house

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// prose are the fields that hold text for people. No decision depends on what they say, so that any of it can be
// reworded.
var prose = []string{"Message", "Note", "Remediation"}

// readers are the functions of package strings, and the methods of a regular expression, that look into a text.
var readers = []string{
	"Compare", "Contains", "ContainsAny", "ContainsFunc", "ContainsRune", "Count", "Cut", "CutPrefix", "CutSuffix",
	"EqualFold", "Fields", "FieldsFunc", "HasPrefix", "HasSuffix", "Index", "IndexAny", "IndexByte", "IndexFunc",
	"IndexRune", "LastIndex", "LastIndexByte", "Split", "SplitAfter", "SplitN", "SplitSeq",
	"MatchString", "FindString", "FindStringIndex", "FindStringSubmatch", "FindAllString", "FindAllStringSubmatch",
}

// rendering are the packages that show prose: they may wrap it, or say a text once that several findings share.
var rendering = []string{"report"}

// proseAllowed are the places outside of them that may look into a text all the same, and why.
var proseAllowed = map[string]string{
	"scanner/crosscheck/ext4.go":    "go-diskfs has no type for a file that is missing",
	"scanner/internal/fact/join.go": "two errors are one fault if they say the same",
}

// checkProse returns where a file reads what was written for people: a field of prose, or the text of an error, is
// compared with something else than the empty string or given to a function that looks into it.
func checkProse(name string, source []byte) ([]string, error) {
	dir := name[:max(0, strings.LastIndexByte(name, '/'))]
	if slices.Contains(rendering, dir) || proseAllowed[name] != "" {
		return nil, nil
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	var broken []string
	report := func(at ast.Node, what string) {
		broken = append(broken, fmt.Sprintf("%s:%d: reads the prose of %s", name, fset.Position(at.Pos()).Line, what))
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			called, ok := n.Fun.(*ast.SelectorExpr)
			if !ok || !slices.Contains(readers, called.Sel.Name) {
				break
			}
			for _, arg := range n.Args {
				if what := proseOf(arg); what != "" {
					report(n, what)
				}
			}
		case *ast.BinaryExpr:
			if n.Op != token.EQL && n.Op != token.NEQ || isEmptyText(n.X) || isEmptyText(n.Y) {
				break
			}
			for _, side := range []ast.Expr{n.X, n.Y} {
				if what := proseOf(side); what != "" {
					report(n, what)
					break
				}
			}
		case *ast.SwitchStmt:
			if what := proseOf(n.Tag); what != "" {
				report(n, what)
			}
		}
		return true
	})
	return broken, nil
}

// proseOf returns what the prose is that an expression takes: the name of a field, or "an error"; "" for none.
func proseOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.SelectorExpr:
		if slices.Contains(prose, e.Sel.Name) {
			return e.Sel.Name
		}
	case *ast.CallExpr: // of err.Error(), strings.ToLower(f.Message)
		called, ok := e.Fun.(*ast.SelectorExpr)
		if ok && called.Sel.Name == "Error" && len(e.Args) == 0 {
			return "an error"
		}
		for _, arg := range e.Args {
			if what := proseOf(arg); what != "" {
				return what
			}
		}
	}
	return ""
}

func isEmptyText(e ast.Expr) bool {
	lit, ok := e.(*ast.BasicLit)
	return ok && lit.Value == `""`
}
