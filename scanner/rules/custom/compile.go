package custom

import (
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// Bounds of what an expression may cost, in units of CEL: about one for each
// operation. A million takes a tenth of a second.
const (
	maxCost    = 10_000_000  // of one rule
	maxSumCost = 200_000_000 // of all rules of a scan
	// How many elements a list has, and how many characters a text, in the estimate before
	// a scan.
	usualList, usualText = 500, 50
)

// compiled is a rule for one platform.
type compiled struct {
	expression cel.Program
	message    cel.Program // nil if it is text
	text       string      // of the message, if it is no expression
}

// compiler compiles the rules of a set.
type compiler struct {
	platforms map[requirement.Platform]*language
	cost      uint64 // the estimates of all rules
}

// language is CEL with the facts of one platform.
type language struct {
	platform  requirement.Platform
	env       *cel.Env
	variables []string
	functions []string
	fields    []string
	facts     map[string]bool // names of parts and functions
}

func newCompiler() (*compiler, error) {
	c := &compiler{platforms: map[requirement.Platform]*language{}}
	for _, p := range facts.Platforms {
		l, err := newLanguage(p)
		if err != nil {
			return nil, err
		}
		c.platforms[p] = l
	}
	return c, nil
}

// Names of what rules may use in addition to facts.
const (
	nameNow     = "now"
	nameVersion = "version"
	nameLower   = "lower"
)

// units are constants for sizes in bytes.
var units = map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}

func newLanguage(platform requirement.Platform) (*language, error) {
	l := &language{platform: platform, facts: map[string]bool{}}
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	provider := &provider{Provider: registry, records: map[string]*facts.Type{}}
	options := []cel.EnvOption{
		cel.CustomTypeAdapter(registry), cel.CustomTypeProvider(provider),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(),
			versionLiterals{}),
		cel.ParserRecursionLimit(maxDepth), cel.ParserExpressionSizeLimit(maxExpression),
		cel.Variable(nameNow, cel.TimestampType),
		cel.Function(nameVersion, cel.Overload("version_string", []*cel.Type{cel.StringType}, versionType,
			cel.UnaryBinding(versionOf))),
		cel.Function(nameLower, cel.MemberOverload("string_lower", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return types.String(strings.ToLower(string(v.(types.String)))) }))),
	}
	for _, operator := range []string{operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals} {
		options = append(options, cel.Function(operator,
			cel.Overload("version_"+operator, []*cel.Type{versionType, versionType}, cel.BoolType)))
	}
	for name, value := range units {
		options = append(options, cel.Constant(name, cel.IntType, types.Int(value)))
		l.variables = append(l.variables, name)
	}
	for _, part := range facts.Parts(platform) {
		options = append(options, cel.Variable(part.Name, provider.celType(part.Type)))
		l.variables, l.facts[part.Name] = append(l.variables, part.Name), true
	}
	for _, f := range facts.Functions(platform) {
		parameters := make([]*cel.Type, len(f.Parameters))
		for i := range parameters {
			parameters[i] = cel.StringType
		}
		result := cel.DynType
		if f.Result != nil {
			result = provider.celType(f.Result)
		}
		options = append(options, cel.Function(f.Name,
			cel.Overload(f.Name+"_strings", parameters, result, cel.LateFunctionBinding())))
		l.facts[f.Name] = true
	}
	if l.env, err = cel.NewEnv(options...); err != nil {
		return nil, err
	}
	l.variables = append(l.variables, nameNow)
	for name := range l.env.Functions() {
		if !strings.ContainsAny(name, "_@!-") {
			l.functions = append(l.functions, name)
		}
	}
	l.functions = append(l.functions, "has", "all", "exists", "exists_one", "filter", "map")
	for _, t := range provider.records {
		for _, a := range t.Attributes {
			if !slices.Contains(l.fields, a.Name) {
				l.fields = append(l.fields, a.Name)
			}
		}
	}
	for _, list := range [][]string{l.variables, l.functions, l.fields} {
		slices.Sort(list)
	}
	return l, nil
}

// rule compiles a rule for a platform. unknown is how many names in it the platform
// does not know.
func (c *compiler) rule(s *source, platform requirement.Platform, severity requirement.Severity, expression,
	message *yaml.Node) (program compiled, unknown int, wrong *Error) {
	l := c.platforms[platform]
	checked, unknown, wrong := l.check(s, expression)
	if wrong != nil {
		return program, unknown, wrong
	}
	if severity != requirement.Info && !checked.OutputType().IsExactType(cel.BoolType) &&
		!checked.OutputType().IsExactType(cel.DynType) {
		return program, 0, s.at(expression, "the expression is of type %s; true or false is required",
			typeName(checked.OutputType()))
	}
	if !l.usesFacts(checked) {
		return program, 0, s.at(expression, "the expression uses no fact")
	}
	if program.expression, wrong = c.program(s, l, expression, checked); wrong != nil {
		return program, 0, wrong
	}
	if message == nil {
		return program, 0, nil
	}
	if _, issues := l.env.Parse(message.Value); issues.Err() != nil {
		program.text = strings.TrimSpace(message.Value)
		return program, 0, nil
	}
	text, unknown, wrong := l.check(s, message)
	if wrong != nil {
		wrong.Problem += " (write a message that is no expression in quotes inside the quotes of YAML)"
		return program, unknown, wrong
	}
	if !text.OutputType().IsExactType(cel.StringType) {
		return program, 0, s.at(message, "the message is of type %s; a string is required", typeName(text.OutputType()))
	}
	program.message, wrong = c.program(s, l, message, text)
	return program, 0, wrong
}

// typeName is a type in the words of an expression.
func typeName(t *cel.Type) string { return strings.ReplaceAll(t.String(), recordPrefix, "") }

// check parses an expression and checks its types.
func (l *language) check(s *source, n *yaml.Node) (checked *cel.Ast, unknown int, wrong *Error) {
	parsed, issues := l.env.Parse(strings.TrimRight(n.Value, " \t\r\n"))
	if issues.Err() != nil {
		return nil, 0, s.celError(n, issues.Errors()[0])
	}
	checked, issues = l.env.Check(parsed)
	if issues.Err() == nil {
		return checked, 0, nil
	}
	for _, e := range issues.Errors() {
		word, known, problem := l.unknownName(parsed.NativeRep().Expr(), e.ExprID)
		if word == "" {
			if wrong == nil {
				wrong = s.celError(n, e)
			}
			continue
		}
		if unknown++; wrong == nil || wrong.Word == "" {
			wrong = s.celError(n, e)
			wrong.Problem, wrong.Word, wrong.Known = problem, word, known
		}
	}
	return nil, unknown, wrong
}

// unknownName returns the name in a node of an expression that is not known; "" if
// that is not what is wrong with it.
func (l *language) unknownName(root ast.Expr, id int64) (word string, known []string, problem string) {
	ast.PreOrderVisit(root, ast.NewExprVisitor(func(e ast.Expr) {
		if e.ID() != id || word != "" {
			return
		}
		switch e.Kind() {
		case ast.IdentKind:
			if name := e.AsIdent(); !slices.Contains(l.variables, name) {
				word, known, problem = name, l.variables, "unknown fact \""+name+"\""
			}
		case ast.CallKind:
			if name := e.AsCall().FunctionName(); !slices.Contains(l.functions, name) && !strings.ContainsAny(name, "_@!") {
				word, known, problem = name, l.functions, "unknown function \""+name+"\""
			}
		case ast.SelectKind:
			if name := e.AsSelect().FieldName(); !slices.Contains(l.fields, name) {
				word, known, problem = name, l.fields, "unknown field \""+name+"\""
			}
		}
	}))
	return word, known, problem
}

// celError is an error in an expression with its place in the file.
func (s *source) celError(n *yaml.Node, of *cel.Error) *Error {
	e := s.at(n, "%s", celText(of.Message))
	line, column := of.Location.Line(), of.Location.Column() // from 1, from 0
	first, number, indent := n.Value, n.Line, -1
	switch {
	case n.Style&yaml.LiteralStyle != 0:
		number += line
		first = ""
		if lines := strings.Split(n.Value, "\n"); line >= 1 && line <= len(lines) {
			first = lines[line-1]
		}
		indent = s.column(number, first)
	case strings.Contains(n.Value, "\n") || n.Style&yaml.FoldedStyle != 0 || line != 1:
		return e // the lines of the file are not those of the expression
	default:
		indent = s.column(number, first)
	}
	if indent >= 0 {
		e.Line, e.Column = number, indent+column+1
	}
	return e
}

// column returns where a text begins in a line of the file; -1 if it is not there.
func (s *source) column(line int, text string) int {
	if line < 1 || line > len(s.lines) {
		return -1
	}
	return strings.Index(string(s.lines[line-1]), strings.TrimRight(text, " \t\r"))
}

// usesFacts reports whether an expression uses a fact.
func (l *language) usesFacts(checked *cel.Ast) (uses bool) {
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		switch e.Kind() {
		case ast.IdentKind:
			uses = uses || l.facts[e.AsIdent()]
		case ast.CallKind:
			uses = uses || l.facts[e.AsCall().FunctionName()]
		}
	}))
	return uses
}

func (c *compiler) program(s *source, l *language, n *yaml.Node, checked *cel.Ast) (cel.Program, *Error) {
	estimate, err := l.env.EstimateCost(checked, sizes{})
	if err != nil {
		return nil, s.at(n, "%v", err)
	}
	if estimate.Max > maxCost {
		return nil, s.at(n, "the expression costs too much: %d operations if each list has %d elements; the limit is %d",
			estimate.Max, usualList, maxCost)
	}
	if c.cost = cost.SafeAdd(c.cost, estimate.Max); c.cost > maxSumCost {
		return nil, s.at(n, "the rules cost too much together: the limit is %d operations", maxSumCost)
	}
	p, err := l.env.Program(checked, cel.CostLimit(maxCost), cel.InterruptCheckFrequency(100))
	if err != nil {
		return nil, s.at(n, "%v", err)
	}
	return p, nil
}

// sizes estimates how large facts are.
type sizes struct{}

// EstimateSize implements cost.Estimator.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	most := uint64(1)
	switch node.Type().Kind() {
	case types.ListKind, types.MapKind, types.DynKind, types.AnyKind:
		most = usualList
	case types.StringKind, types.BytesKind:
		most = usualText
	}
	size := cost.RangedSizeEstimate(0, most)
	return &size
}

// EstimateCallCost implements cost.Estimator.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// recordPrefix is before the names of the types of facts, so that no other type has
// their names.
const recordPrefix = "coldcheck."

// provider adds the types of facts to those of CEL.
type provider struct {
	types.Provider
	records map[string]*facts.Type
}

// celType returns the CEL type of a fact.
func (p *provider) celType(t *facts.Type) *cel.Type {
	switch t.Kind {
	case facts.Text:
		return cel.StringType
	case facts.Integer:
		return cel.IntType
	case facts.Truth:
		return cel.BoolType
	case facts.Moment:
		return cel.TimestampType
	case facts.List:
		return cel.ListType(p.celType(t.Elem))
	case facts.Texts:
		return cel.MapType(cel.StringType, cel.StringType)
	}
	name := recordPrefix + t.Name
	if p.records[name] == nil {
		p.records[name] = t
		for _, a := range t.Attributes {
			p.celType(a.Type)
		}
	}
	return cel.ObjectType(name)
}

// FindStructType implements types.Provider.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if p.records[name] != nil {
		return types.NewTypeTypeWithParam(cel.ObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	t := p.records[name]
	if t == nil {
		return p.Provider.FindStructFieldNames(name)
	}
	var names []string
	for _, a := range t.Attributes {
		names = append(names, a.Name)
	}
	return names, true
}

// FindStructFieldType implements types.Provider. It gives no functions to read the
// field, so that the values' own are used.
func (p *provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	t := p.records[name]
	if t == nil {
		return p.Provider.FindStructFieldType(name, field)
	}
	a := t.Attribute(field)
	if a == nil {
		return nil, false
	}
	of := p.celType(a.Type)
	if a.Optional && (a.Type.Kind == facts.Text || a.Type.Kind == facts.Integer || a.Type.Kind == facts.Truth ||
		a.Type.Kind == facts.Moment) {
		of = cel.NullableType(of)
	}
	return &types.FieldType{Type: of}, true
}

// NewValue implements types.Provider. Rules cannot make facts.
func (p *provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if p.records[name] != nil {
		return types.NewErr("a rule cannot make a %s", strings.TrimPrefix(name, recordPrefix))
	}
	return p.Provider.NewValue(name, fields)
}

// versionLiterals checks the texts that expressions give to version.
type versionLiterals struct{}

// Name implements cel.ASTValidator.
func (versionLiterals) Name() string { return "coldcheck.version" }

// Validate implements cel.ASTValidator.
func (versionLiterals) Validate(_ *cel.Env, _ cel.ValidatorConfig, a *ast.AST, issues *cel.Issues) {
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.CallKind || e.AsCall().FunctionName() != nameVersion || len(e.AsCall().Args()) != 1 {
			return
		}
		if arg := e.AsCall().Args()[0]; arg.Kind() == ast.LiteralKind {
			if text, ok := arg.AsLiteral().(types.String); ok {
				if _, err := parseVersion(string(text)); err != nil {
					issues.ReportErrorAtID(arg.ID(), "%v", err)
				}
			}
		}
	}))
}
