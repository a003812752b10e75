package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"text/template"
	"text/template/parse"
)

// shape is what the schema of the JSON states about a value, as much as a template needs.
type shape struct {
	Ref        string            `json:"$ref"`
	Definition map[string]*shape `json:"$defs"`
	Properties map[string]*shape `json:"properties"`
	Required   []string          `json:"required"`
	Items      *shape            `json:"items"`
	Additional *shape            `json:"additionalProperties"`
	AllOf      []*shape          `json:"allOf"`
}

// reportShape is the shape of the document that JSON writes.
var reportShape = sync.OnceValue(func() *shape {
	var s shape
	if err := json.Unmarshal(Schema, &s); err != nil {
		panic(err)
	}
	return &s
})

// resolved follows a reference to a definition.
func (s *shape) resolved() *shape {
	if s == nil || s.Ref == "" {
		return s
	}
	return reportShape().Definition[strings.TrimPrefix(s.Ref, "#/$defs/")]
}

// field returns the shape of a field, nil for one that the schema leaves open. It
// reports whether a value of the shape may have the field.
func (s *shape) field(name string) (*shape, bool) {
	s = s.resolved()
	switch {
	case s == nil:
		return nil, true
	case s.Properties != nil:
		if f := s.Properties[name]; f != nil {
			return f.resolved(), true
		}
		for _, base := range s.AllOf {
			if f, ok := base.field(name); ok {
				return f, true
			}
		}
		return nil, false
	case s.Additional != nil:
		return s.Additional.resolved(), s.Required == nil || slices.Contains(s.Required, name)
	}
	return nil, true // not an object: the template fails where it runs
}

// element returns the shape of the elements of a list or of an object with any keys.
func (s *shape) element() *shape {
	if s = s.resolved(); s == nil {
		return nil
	}
	if s.Items != nil {
		return s.Items.resolved()
	}
	return s.Additional.resolved()
}

// fieldCheck finds fields that no report has: the language prints "<no value>" for them,
// as for a field that one report lacks.
type fieldCheck struct {
	templates *template.Template
	seen      map[seenTemplate]bool
}

type seenTemplate struct {
	name string
	dot  *shape
}

// checkFields returns an error for the first field that no report has. Templates that
// are not called, and values that functions return, are not checked.
func checkFields(t *template.Template) error {
	c := &fieldCheck{templates: t, seen: map[seenTemplate]bool{}}
	return c.template(t.Name(), reportShape())
}

func (c *fieldCheck) template(name string, dot *shape) error {
	t := c.templates.Lookup(name)
	if t == nil || t.Tree == nil || c.seen[seenTemplate{name, dot}] {
		return nil
	}
	c.seen[seenTemplate{name, dot}] = true
	w := &fieldWalk{fieldCheck: c, tree: t.Tree, variables: map[string][]*shape{"$": {dot}}}
	return w.list(t.Root, dot)
}

// fieldWalk walks over one template with one shape of its dot.
type fieldWalk struct {
	*fieldCheck
	tree      *parse.Tree
	variables map[string][]*shape // the innermost last
	declared  []string            // in order
}

// scope runs f and forgets the variables that it declares.
func (w *fieldWalk) scope(f func() error) error {
	n := len(w.declared)
	err := f()
	for _, name := range w.declared[n:] {
		w.variables[name] = w.variables[name][:len(w.variables[name])-1]
	}
	w.declared = w.declared[:n]
	return err
}

func (w *fieldWalk) list(l *parse.ListNode, dot *shape) error {
	if l == nil {
		return nil
	}
	for _, n := range l.Nodes {
		if err := w.node(n, dot); err != nil {
			return err
		}
	}
	return nil
}

func (w *fieldWalk) node(n parse.Node, dot *shape) error {
	switch n := n.(type) {
	case *parse.ActionNode:
		_, err := w.pipe(n.Pipe, dot)
		return err
	case *parse.IfNode:
		return w.branch(&n.BranchNode, dot, func(*shape) *shape { return dot })
	case *parse.WithNode:
		return w.branch(&n.BranchNode, dot, func(s *shape) *shape { return s })
	case *parse.RangeNode:
		return w.branch(&n.BranchNode, dot, (*shape).element)
	case *parse.TemplateNode:
		var argument *shape
		if n.Pipe != nil {
			var err error
			if argument, err = w.pipe(n.Pipe, dot); err != nil {
				return err
			}
		}
		return w.template(n.Name, argument)
	}
	return nil
}

// branch walks over a branch whose first list has the dot that inner makes of its value.
func (w *fieldWalk) branch(n *parse.BranchNode, dot *shape, inner func(*shape) *shape) error {
	return w.scope(func() error {
		value, err := w.pipe(n.Pipe, dot)
		if err != nil {
			return err
		}
		if variables := n.Pipe.Decl; n.NodeType == parse.NodeRange && len(variables) > 0 {
			for _, v := range variables {
				w.set(v.Ident[0], nil) // the index, if there are two
			}
			w.set(variables[len(variables)-1].Ident[0], value.element())
		}
		if err := w.scope(func() error { return w.list(n.List, inner(value)) }); err != nil {
			return err
		}
		return w.scope(func() error { return w.list(n.ElseList, dot) })
	})
}

// set changes the shape of a variable.
func (w *fieldWalk) set(name string, s *shape) {
	if v := w.variables[name]; len(v) > 0 {
		v[len(v)-1] = s
	}
}

// pipe returns the shape of the value of a pipeline, nil if it is not known.
func (w *fieldWalk) pipe(p *parse.PipeNode, dot *shape) (*shape, error) {
	var value *shape
	for _, command := range p.Cmds {
		var shapes []*shape
		for _, a := range command.Args {
			s, err := w.argument(a, dot)
			if err != nil {
				return nil, err
			}
			shapes = append(shapes, s)
		}
		value = shapes[0]
		if f, ok := command.Args[0].(*parse.IdentifierNode); ok && f.Ident == "index" && len(shapes) == 3 {
			value = shapes[1].element()
		}
	}
	for _, v := range p.Decl {
		name := v.Ident[0]
		if p.IsAssign {
			w.set(name, nil) // what it holds depends on what ran before
			continue
		}
		w.variables[name] = append(w.variables[name], value)
		w.declared = append(w.declared, name)
	}
	return value, nil
}

// argument returns the shape of an argument of a command, nil if it is not known.
func (w *fieldWalk) argument(n parse.Node, dot *shape) (*shape, error) {
	switch n := n.(type) {
	case *parse.DotNode:
		return dot, nil
	case *parse.PipeNode:
		return w.pipe(n, dot)
	case *parse.FieldNode:
		return w.fields(n, dot, n.Ident)
	case *parse.ChainNode:
		s, err := w.argument(n.Node, dot)
		if err != nil {
			return nil, err
		}
		return w.fields(n, s, n.Field)
	case *parse.VariableNode:
		var s *shape
		if v := w.variables[n.Ident[0]]; len(v) > 0 {
			s = v[len(v)-1]
		}
		return w.fields(n, s, n.Ident[1:])
	}
	return nil, nil
}

func (w *fieldWalk) fields(at parse.Node, s *shape, names []string) (*shape, error) {
	for _, name := range names {
		f, ok := s.field(name)
		if !ok {
			place, _ := w.tree.ErrorContext(at)
			return nil, fmt.Errorf("%s: %s: a report has no field %q there", place, at, name)
		}
		s = f
	}
	return s, nil
}
