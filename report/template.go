package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
)

// Limits of a template: its source, its output, its actions, and the text that
// its functions create. A report of a typical machine needs a small part.
const (
	MaxTemplate       = 1 << 20   // bytes
	maxTemplateOutput = 64 << 20  // bytes
	maxTemplateSteps  = 1_000_000 // actions, each as often as it runs
	maxTemplateText   = 64 << 20  // bytes that functions make, all together
	maxTemplateTime   = time.Minute
)

// ErrTemplate is the error for a template that cannot be parsed or run. The
// message names the file and the line.
var ErrTemplate = errors.New("the template fails")

// Template is a template for reports, in the language of text/template.
type Template struct {
	name   string
	parsed *template.Template // each run replaces its functions
	limits templateLimits
}

type templateLimits struct {
	output, steps, text int
	time                time.Duration
}

// ParseTemplate parses a template. The error is ErrTemplate.
func ParseTemplate(name string, source []byte) (*Template, error) {
	if len(source) > MaxTemplate {
		return nil, fmt.Errorf("%w: %s is larger than %d MiB", ErrTemplate, name, MaxTemplate>>20)
	}
	t := &Template{name: name,
		limits: templateLimits{maxTemplateOutput, maxTemplateSteps, maxTemplateText, maxTemplateTime}}
	functions := new(templateRun).functions()
	var err error
	if t.parsed, err = template.New(name).Funcs(functions).Parse(string(source)); err != nil {
		return nil, t.wrap(err)
	}
	if err := checkFields(t.parsed); err != nil {
		return nil, t.wrap(err)
	}
	for _, part := range t.parsed.Templates() {
		if part.Tree == nil {
			continue
		}
		if err := countSteps(part.Tree, functions); err != nil {
			return nil, t.wrap(err)
		}
	}
	return t, nil
}

// Templated runs the template of the options on the document that JSON writes.
// Strings in the document have passed through Neutral, so that text from an
// image cannot control a terminal. A template for another language must quote
// them by the rules of that language.
func Templated(w io.Writer, r *scanner.Result, o Options) error {
	if o.Template == nil {
		return fmt.Errorf("%w: there is none", ErrTemplate)
	}
	var text bytes.Buffer
	if err := JSON(&text, r, o); err != nil {
		return err
	}
	d := json.NewDecoder(&text)
	d.UseNumber()
	var document any
	if err := d.Decode(&document); err != nil {
		return err
	}
	return o.Template.execute(w, plainValue(document))
}

// plainValue is a JSON value for a template: strings are Neutral, integers are
// an int64, others a float64.
func plainValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		plain := make(map[string]any, len(v))
		for name, element := range v {
			plain[Neutral(name)] = plainValue(element)
		}
		return plain
	case []any:
		for i := range v {
			v[i] = plainValue(v[i])
		}
	case string:
		return Neutral(v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // what JSON wrote is in range
		return f
	}
	return v
}

// templateRun counts what one run of a template does.
type templateRun struct {
	templateLimits
	begun time.Time
	broke error // why the run was ended
}

func (t *Template) execute(w io.Writer, document any) error {
	parsed, err := t.parsed.Clone()
	if err != nil {
		return t.wrap(err)
	}
	run := &templateRun{templateLimits: t.limits, begun: time.Now()}
	out := &boundedWriter{room: t.limits.output}
	if err := parsed.Funcs(run.functions()).Execute(out, document); err != nil {
		if run.broke != nil {
			err = run.broke
		}
		return t.wrap(err)
	}
	_, err = w.Write(out.text.Bytes())
	return err
}

// wrap converts an error of package template, whose text begins with "template:
// NAME:LINE", to an ErrTemplate.
func (t *Template) wrap(err error) error {
	text := strings.TrimPrefix(err.Error(), "template: ")
	if !strings.HasPrefix(text, t.name) {
		text = t.name + ": " + text
	}
	return templateError{text}
}

type templateError struct{ text string }

func (e templateError) Error() string { return e.text }
func (e templateError) Unwrap() error { return ErrTemplate }

// boundedWriter keeps what is written up to a size.
type boundedWriter struct {
	text bytes.Buffer
	room int
}

func (b *boundedWriter) Write(p []byte) (int, error) {
	if len(p) > b.room {
		return 0, fmt.Errorf("the output is larger than %d MiB", maxTemplateOutput>>20)
	}
	b.room -= len(p)
	return b.text.Write(p)
}

// stepName is the name of the function that counts steps. A template that calls it uses
// up one more step.
const stepName = "coldcheckStep"

// functions returns the functions of a run. They replace the functions of package
// template that make text of any length. They read no files and start no programs.
func (run *templateRun) functions() template.FuncMap {
	bounded := func(f func(...any) string) func(...any) (string, error) {
		return func(args ...any) (string, error) {
			size := 0
			for _, a := range args {
				size += 6*len(fmt.Sprint(a)) + 1 // the most that an escape makes of a byte
			}
			if err := run.make(size); err != nil {
				return "", err
			}
			return f(args...), nil
		}
	}
	return template.FuncMap{
		stepName:   run.step,
		"print":    bounded(fmt.Sprint),
		"println":  bounded(fmt.Sprintln),
		"html":     bounded(template.HTMLEscaper),
		"js":       bounded(template.JSEscaper),
		"urlquery": bounded(template.URLQueryEscaper),
		"printf":   run.printf,
		"json":     run.json,
		"join":     run.join,
		"call":     func(...any) (string, error) { return "", errors.New("call is not available") },
	}
}

// make takes size bytes from the limit on text that functions make.
func (run *templateRun) make(size int) error {
	if size > run.text {
		return run.end(fmt.Errorf("its functions make more than %d MiB of text", maxTemplateText>>20))
	}
	run.text -= size
	return nil
}

func (run *templateRun) end(err error) error {
	run.broke = err
	return err
}

// printf is that of package fmt. Each verb may write the longest argument, quoted, or
// be as wide as the largest number in the format.
func (run *templateRun) printf(format string, args ...any) (string, error) {
	longest, all, wide, number := 0, 0, 0, 0
	for _, a := range args {
		n := len(fmt.Sprint(a))
		longest, all = max(longest, n), all+n
	}
	for _, c := range format {
		number = number*10 + int(c-'0')
		switch {
		case c == '*':
			wide = widest
			fallthrough
		case c < '0' || c > '9':
			number = 0
		}
		number = min(number, widest)
		wide = max(wide, number)
	}
	verbs := strings.Count(format, "%")
	if err := run.make(len(format) + all + verbs*(10*longest+2*wide+16)); err != nil {
		return "", err
	}
	return fmt.Sprintf(format, args...), nil
}

// widest is the largest width and precision that package fmt accepts.
const widest = 1_000_000

// json is a value in JSON, in one line.
func (run *templateRun) json(v any) (string, error) {
	if err := run.make(6 * len(fmt.Sprint(v))); err != nil {
		return "", err
	}
	var b strings.Builder
	if err := NewJSONEncoder(&b).Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSuffix(b.String(), "\n"), nil
}

// join joins the elements of a list.
func (run *templateRun) join(list any, separator string) (string, error) {
	elements, ok := list.([]any)
	if !ok && list != nil {
		return "", errors.New("join needs a list")
	}
	var texts []string
	size := 0
	for _, e := range elements {
		texts = append(texts, fmt.Sprint(e))
		size += len(texts[len(texts)-1]) + len(separator)
	}
	if err := run.make(size); err != nil {
		return "", err
	}
	return strings.Join(texts, separator), nil
}

// step counts the actions of a list of them before they run, so that no template
// runs forever.
func (run *templateRun) step(place string, actions int) (string, error) {
	if run.steps -= max(actions, 1); run.steps < 0 {
		return "", run.end(fmt.Errorf("%s: it takes more than %d steps", place, maxTemplateSteps))
	}
	if time.Since(run.begun) > run.time {
		return "", run.end(fmt.Errorf("%s: it takes longer than %s", place, maxTemplateTime))
	}
	return "", nil
}

// countSteps puts a step at the beginning of each list of a tree that may run again: the
// tree itself, which other templates may call, and the bodies of its loops.
func countSteps(tree *parse.Tree, functions template.FuncMap) error {
	var walk func(parse.Node) error
	into := func(lists ...*parse.ListNode) error {
		for _, l := range lists {
			if l == nil {
				continue
			}
			for _, n := range l.Nodes {
				if err := walk(n); err != nil {
					return err
				}
			}
		}
		return nil
	}
	step := func(at parse.Node, l *parse.ListNode) error {
		place, _ := tree.ErrorContext(at)
		text := fmt.Sprintf("{{%s %s %d}}", stepName, strconv.Quote(lineOf(place)), countActions(l))
		counted, err := parse.Parse("step", text, "", "", functions)
		if err != nil {
			return err
		}
		l.Nodes = append([]parse.Node{counted["step"].Root.Nodes[0]}, l.Nodes...)
		return nil
	}
	walk = func(n parse.Node) error {
		switch n := n.(type) {
		case *parse.IfNode:
			return into(n.List, n.ElseList)
		case *parse.WithNode:
			return into(n.List, n.ElseList)
		case *parse.RangeNode:
			if err := into(n.List, n.ElseList); err != nil {
				return err
			}
			return step(n, n.List)
		}
		return nil
	}
	if err := into(tree.Root); err != nil {
		return err
	}
	return step(tree.Root, tree.Root)
}

// lineOf is "NAME:LINE" of "NAME:LINE:BYTE".
func lineOf(place string) string {
	if i := strings.LastIndexByte(place, ':'); i >= 0 {
		return place[:i]
	}
	return place
}

// countActions returns the cost of a list in steps: one for each node, and more for long
// ones. The body of a loop has a count of its own.
func countActions(l *parse.ListNode) int {
	if l == nil {
		return 0
	}
	const long = 32 // bytes
	n := 1 + len(l.Nodes)
	for _, node := range l.Nodes {
		switch node := node.(type) {
		case *parse.ActionNode, *parse.TemplateNode:
			n += len(node.String()) / long
		case *parse.RangeNode:
			n += len(node.Pipe.String()) / long
		case *parse.IfNode:
			n += len(node.Pipe.String())/long + countActions(node.List) + countActions(node.ElseList)
		case *parse.WithNode:
			n += len(node.Pipe.String())/long + countActions(node.List) + countActions(node.ElseList)
		}
	}
	return n
}
