package facts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// SchemaVersion is the version of the form of a Document.
const SchemaVersion = 1

// Document is the facts of one system. It is a Source.
type Document struct {
	Platform requirement.Platform
	Now      time.Time
	Parts    map[string]any // by name; one that is missing is unknown
	Calls    []Call
	Unknown  []Gap
}

// Call is a function with its arguments and its result.
type Call struct {
	Function  string
	Arguments []string
	Result    any
}

// Gap is a fact that is unknown, and why.
type Gap struct {
	Fact   string // services[3].start, or registry("HKLM\\SOFTWARE", "Name")
	Reason string
}

// Collect reads every part of a system. The error is the context's.
func Collect(ctx context.Context, platform requirement.Platform, now time.Time, source Source) (*Document, error) {
	d := &Document{Platform: platform, Now: now, Parts: map[string]any{}}
	for _, part := range Parts(platform) {
		reading, err := source.Part(ctx, part.Name)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if err != nil {
			d.Unknown = append(d.Unknown, Gap{part.Name, reason(err)})
			continue
		}
		value := Convert(reading.Value)
		d.gaps(part.Name, value)
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		d.Parts[part.Name] = value
	}
	return d, nil
}

func reason(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// gaps resolves a value and adds what of it is unknown.
func (d *Document) gaps(path string, value any) {
	switch value := value.(type) {
	case []any:
		for i, e := range value {
			d.gaps(fmt.Sprintf("%s[%d]", path, i), e)
		}
	case *Object:
		for _, a := range value.Type.Attributes {
			v, err := value.Get(a.Name)
			if err != nil {
				d.Unknown = append(d.Unknown, Gap{path + "." + a.Name, reason(err)})
				continue
			}
			d.gaps(path+"."+a.Name, v)
		}
	}
}

// AddCall adds the result of a function, or why it is unknown.
func (d *Document) AddCall(function string, arguments []string, result any, err error) {
	same := func(c Call) bool { return c.Function == function && slices.Equal(c.Arguments, arguments) }
	name := CallName(function, arguments)
	switch {
	case slices.ContainsFunc(d.Calls, same), slices.ContainsFunc(d.Unknown, func(g Gap) bool { return g.Fact == name }):
	case err != nil:
		d.Unknown = append(d.Unknown, Gap{name, reason(err)})
	default:
		d.Calls = append(d.Calls, Call{function, arguments, Convert(result)})
	}
}

// CallName is a function with its arguments as a rule writes it.
func CallName(function string, arguments []string) string {
	quoted := make([]string, len(arguments))
	for i, a := range arguments {
		quoted[i] = strconv.Quote(a)
	}
	return function + "(" + strings.Join(quoted, ", ") + ")"
}

// Part implements Source.
func (d *Document) Part(_ context.Context, name string) (Reading, error) {
	value, ok := d.Parts[name]
	if !ok {
		return Reading{}, d.why(name)
	}
	return Reading{Value: value, Evidence: given(name)}, nil
}

// Call implements Source.
func (d *Document) Call(_ context.Context, function string, arguments []string) (Reading, error) {
	name := CallName(function, arguments)
	for _, c := range d.Calls {
		if c.Function == function && slices.Equal(c.Arguments, arguments) {
			return Reading{Value: c.Result, Evidence: given(name)}, nil
		}
	}
	return Reading{}, d.why(name)
}

// given is the evidence for a fact of a document.
func given(name string) []requirement.Evidence {
	return []requirement.Evidence{{Kind: requirement.KindDocument, Origin: requirement.OriginDocument, Found: true,
		Source: "facts", Value: name}}
}

// why is the error of a fact that the document does not have.
func (d *Document) why(fact string) error {
	for _, g := range d.Unknown {
		if g.Fact == fact {
			return errors.New(g.Reason)
		}
	}
	return fmt.Errorf("the facts do not contain %s", fact)
}

// MarshalJSON writes the document in the form of Schema.
func (d *Document) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	header, err := json.Marshal(struct {
		Version  int                  `json:"schema_version"`
		Platform requirement.Platform `json:"platform"`
		Now      time.Time            `json:"now"`
	}{SchemaVersion, d.Platform, d.Now.UTC()})
	if err != nil {
		return nil, err
	}
	b.Write(header[:len(header)-1])
	b.WriteString(`,"facts":{`)
	first := true
	for _, part := range Parts(d.Platform) {
		if value, ok := d.Parts[part.Name]; ok {
			if err := member(&b, &first, part.Name, value); err != nil {
				return nil, err
			}
		}
	}
	b.WriteString("}")
	type call struct {
		Function  string   `json:"function"`
		Arguments []string `json:"arguments"`
		Result    any      `json:"result"`
	}
	type gap struct {
		Fact   string `json:"fact"`
		Reason string `json:"reason"`
	}
	calls, unknown := []call{}, []gap{}
	for _, c := range d.Calls {
		calls = append(calls, call(c))
	}
	for _, g := range d.Unknown {
		unknown = append(unknown, gap(g))
	}
	first = false
	if err := member(&b, &first, "calls", calls); err != nil {
		return nil, err
	}
	if err := member(&b, &first, "unknown", unknown); err != nil {
		return nil, err
	}
	b.WriteString("}")
	return b.Bytes(), nil
}

// MarshalJSON writes the attributes that are known.
func (o *Object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	first := true
	for i, a := range o.Type.Attributes {
		value, err := o.slots[i]()
		if err != nil {
			continue
		}
		if err := member(&b, &first, a.Name, value); err != nil {
			return nil, err
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

func member(b *bytes.Buffer, first *bool, name string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if !*first {
		b.WriteByte(',')
	}
	*first = false
	fmt.Fprintf(b, "%q:%s", name, data)
	return nil
}

// A ShapeError says that a value does not fit the type of a fact.
type ShapeError struct {
	Path    string // facts.services[0].start
	Problem string
	Word    string   // an unknown name, "" if the problem is another
	Known   []string // the names that are known there
}

func (e *ShapeError) Error() string { return e.Path + ": " + e.Problem }

// ParseDocument reads a Document in JSON. An error of its form is a *ShapeError.
func ParseDocument(data []byte) (*Document, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var top any
	if err := d.Decode(&top); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	m, ok := top.(map[string]any)
	if !ok {
		return nil, &ShapeError{Path: "facts", Problem: "an object is required"}
	}
	if err := knownNames("", m, "schema_version", "platform", "now", "facts", "calls", "unknown"); err != nil {
		return nil, err
	}
	if v, ok := integer(m["schema_version"]); !ok || v != SchemaVersion {
		return nil, &ShapeError{Path: "schema_version", Problem: fmt.Sprintf("%d is required", SchemaVersion)}
	}
	platform, _ := m["platform"].(string)
	doc, err := NewDocument(requirement.Platform(platform), m["facts"], m["calls"])
	if err != nil {
		return nil, err
	}
	now, err := scalar(Moment, m["now"], "now")
	if err != nil {
		return nil, err
	}
	doc.Now = now.(time.Time)
	gaps, _ := m["unknown"].([]any)
	for _, g := range gaps {
		if g, ok := g.(map[string]any); ok {
			name, _ := g["fact"].(string)
			why, _ := g["reason"].(string)
			doc.Unknown = append(doc.Unknown, Gap{name, why})
		}
	}
	return doc, nil
}

// NewDocument makes a document of parts and calls as a decoder of JSON or YAML leaves
// them. An error is a *ShapeError.
func NewDocument(platform requirement.Platform, parts, calls any) (*Document, error) {
	if !slices.Contains(Platforms, platform) {
		return nil, &ShapeError{Path: "platform", Problem: "windows or linux is required"}
	}
	d := &Document{Platform: platform, Parts: map[string]any{}}
	m, ok := parts.(map[string]any)
	if parts != nil && !ok {
		return nil, &ShapeError{Path: "facts", Problem: "an object is required"}
	}
	var names []string
	for _, part := range Parts(platform) {
		names = append(names, part.Name)
	}
	if err := knownNames("facts", m, names...); err != nil {
		return nil, err
	}
	for _, part := range Parts(platform) {
		value, ok := m[part.Name]
		if !ok {
			continue
		}
		v, err := fromAny(d, part.Type, value, part.Name)
		if err != nil {
			return nil, err
		}
		d.Parts[part.Name] = v
	}
	list, ok := calls.([]any)
	if calls != nil && !ok {
		return nil, &ShapeError{Path: "calls", Problem: "a list is required"}
	}
	for i, c := range list {
		if err := d.parseCall(fmt.Sprintf("calls[%d]", i), c); err != nil {
			return nil, err
		}
	}
	return d, nil
}

func (d *Document) parseCall(path string, value any) error {
	m, ok := value.(map[string]any)
	if !ok {
		return &ShapeError{Path: path, Problem: "an object is required"}
	}
	if err := knownNames(path, m, "function", "arguments", "result"); err != nil {
		return err
	}
	var names []string
	for _, f := range Functions(d.Platform) {
		names = append(names, f.Name)
		if m["function"] != f.Name {
			continue
		}
		arguments, _ := m["arguments"].([]any)
		c := Call{Function: f.Name}
		for _, a := range arguments {
			text, ok := a.(string)
			if !ok {
				return &ShapeError{Path: path + ".arguments", Problem: "texts are required"}
			}
			c.Arguments = append(c.Arguments, text)
		}
		if len(c.Arguments) != len(f.Parameters) {
			return &ShapeError{Path: path + ".arguments",
				Problem: fmt.Sprintf("%s takes %d: %s", f.Name, len(f.Parameters), strings.Join(f.Parameters, ", "))}
		}
		result, ok := m["result"]
		if !ok {
			return &ShapeError{Path: path, Problem: "the result is missing"}
		}
		var err error
		if f.Result != nil {
			c.Result, err = fromAny(d, f.Result, result, path+".result")
		} else {
			c.Result, err = fromDynamic(result, path+".result")
		}
		d.Calls = append(d.Calls, c)
		return err
	}
	word, _ := m["function"].(string)
	return &ShapeError{Path: path, Problem: fmt.Sprintf("unknown function %q", word), Word: word, Known: names}
}

func knownNames(path string, m map[string]any, known ...string) error {
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if !slices.Contains(known, name) {
			return &ShapeError{Path: strings.TrimPrefix(path+"."+name, "."), Problem: "unknown name", Word: name,
				Known: known}
		}
	}
	return nil
}

// fromAny makes a value of a type from what a decoder of JSON or YAML made.
func fromAny(d *Document, t *Type, value any, path string) (any, error) {
	switch t.Kind {
	case List:
		list, ok := value.([]any)
		if !ok {
			return nil, &ShapeError{Path: path, Problem: "a list is required"}
		}
		all := make([]any, len(list))
		for i, e := range list {
			v, err := fromAny(d, t.Elem, e, fmt.Sprintf("%s[%d]", path, i))
			if err != nil {
				return nil, err
			}
			all[i] = v
		}
		return all, nil
	case Texts:
		m, ok := value.(map[string]any)
		if !ok {
			return nil, &ShapeError{Path: path, Problem: "an object of texts is required"}
		}
		texts := map[string]string{}
		for name, v := range m {
			text, ok := v.(string)
			if !ok {
				return nil, &ShapeError{Path: path + "." + name, Problem: "a text is required"}
			}
			texts[name] = text
		}
		return texts, nil
	case Record:
		return d.record(t, value, path)
	}
	return scalar(t.Kind, value, path)
}

func (d *Document) record(t *Type, value any, path string) (any, error) {
	m, ok := value.(map[string]any)
	if !ok {
		return nil, &ShapeError{Path: path, Problem: "an object is required"}
	}
	o := &Object{Type: t}
	var names []string
	for _, a := range t.Attributes {
		names = append(names, a.Name)
		member, there := m[a.Name]
		v, err := any(nil), error(nil)
		switch {
		case !there:
			o.slots = append(o.slots, func() (any, error) { return nil, d.why(path + "." + a.Name) })
			continue
		case member == nil && !a.Optional:
			return nil, &ShapeError{Path: path + "." + a.Name, Problem: "null is not possible here"}
		case member != nil:
			if v, err = fromAny(d, a.Type, member, path+"."+a.Name); err != nil {
				return nil, err
			}
		}
		o.slots = append(o.slots, func() (any, error) { return v, nil })
	}
	return o, knownNames(path, m, names...)
}

func scalar(kind Kind, value any, path string) (any, error) {
	switch kind {
	case Text:
		if s, ok := value.(string); ok {
			return s, nil
		}
		return nil, &ShapeError{Path: path, Problem: "a text is required"}
	case Integer:
		if n, ok := integer(value); ok {
			return n, nil
		}
		return nil, &ShapeError{Path: path, Problem: "an integer is required"}
	case Truth:
		if b, ok := value.(bool); ok {
			return b, nil
		}
		return nil, &ShapeError{Path: path, Problem: "true or false is required"}
	}
	switch v := value.(type) {
	case time.Time:
		return v.UTC(), nil
	case string:
		if t, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return t.UTC(), nil
		}
	}
	return nil, &ShapeError{Path: path, Problem: "a time such as 2026-11-30T08:00:00Z is required"}
}

func integer(value any) (int64, bool) {
	switch v := value.(type) {
	case json.Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		return n, err == nil
	case int:
		return int64(v), true
	case int64:
		return v, true
	case float64:
		return int64(v), v == math.Trunc(v) && math.Abs(v) < 1<<53
	}
	return 0, false
}

// fromDynamic takes the result of a function that may have any type.
func fromDynamic(value any, path string) (any, error) {
	switch v := value.(type) {
	case nil, string, bool:
		return v, nil
	case []any:
		all := make([]any, len(v))
		for i, e := range v {
			var err error
			if all[i], err = fromDynamic(e, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return nil, err
			}
		}
		return all, nil
	}
	if n, ok := integer(value); ok {
		return n, nil
	}
	return nil, &ShapeError{Path: path, Problem: "a text, an integer, true, false, null or a list is required"}
}
