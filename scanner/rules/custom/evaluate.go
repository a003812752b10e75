package custom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// Checks binds the rules for a platform to the facts of a system. now is the time of
// the scan.
func (s *Set) Checks(platform requirement.Platform, source facts.Source, now time.Time) []requirement.Check {
	if s == nil {
		return nil
	}
	var checks []requirement.Check
	for _, r := range s.Rules {
		if _, ok := r.programs[platform]; ok {
			checks = append(checks, requirement.Check{Rule: requirement.Rule{Requirement: r.Requirement},
				Decide: func(ctx context.Context) requirement.Outcome { return r.Judge(ctx, platform, source, now) }})
		}
	}
	return checks
}

// Judge decides a rule on the facts of a system. The rule must be for the platform.
func (r *Rule) Judge(ctx context.Context, platform requirement.Platform, source facts.Source,
	now time.Time) requirement.Outcome {
	run := &run{ctx: ctx, source: source, now: now, parts: map[string]ref.Val{}}
	program := r.programs[platform]
	value, err := run.evaluate(program.expression)
	o := r.outcome(run, value, err)
	switch o.Status {
	case requirement.Failed, requirement.Warning, requirement.Passed:
		if len(o.Evidence) == 0 {
			o.Evidence = []requirement.Evidence{{Kind: requirement.KindDocument, Origin: requirement.OriginDocument,
				Found: true, Source: r.File, Value: r.ID, Note: "the expression used no fact"}}
		}
		if run.stated {
			o.Basis = requirement.Stated
		}
		if run.usesNow {
			o.Until = now
		}
	}
	if o.Status == requirement.Failed || o.Status == requirement.Warning {
		if text := run.message(program); text != "" {
			o.Message = text
		}
	}
	return o
}

// outcome makes an outcome of what the expression came to.
func (r *Rule) outcome(run *run, value ref.Val, err error) requirement.Outcome {
	switch {
	case err != nil:
		if unknown := new(unknownError); errors.As(err, &unknown) {
			return requirement.Unreadable(unknown.error, run.evidence...)
		}
		return requirement.Unknown("The expression cannot be evaluated: "+celText(err.Error())+".", run.evidence...)
	case types.IsUnknown(value):
		return requirement.Unreadable(run.reasons(value.(*types.Unknown)), run.evidence...)
	case r.Severity == requirement.Info:
		content, err := native(value)
		if err != nil {
			return requirement.Unreadable(err, run.evidence...)
		}
		o := requirement.Pass(r.content(run, content), run.evidence...)
		o.Details = content
		return o
	}
	met, ok := value.(types.Bool)
	switch {
	case !ok:
		return requirement.Unknown(fmt.Sprintf("The expression is of type %s; true or false is required.",
			value.Type().TypeName()), run.evidence...)
	case bool(met):
		return requirement.Pass("The rule is met.", run.evidence...)
	case r.Severity == requirement.Recommended:
		return requirement.Warn("The rule is not met.", run.evidence...)
	}
	return requirement.Fail("The rule is not met.", run.evidence...)
}

// content is the message of a rule that shows a value.
func (r *Rule) content(run *run, content any) string {
	var text string
	switch content := content.(type) {
	case string:
		text = content
	case []any:
		var list []string
		for _, e := range content {
			list = append(list, shown(e))
		}
		text = prose.Some(list)
		if len(list) == 0 {
			text = "none"
		}
	default:
		text = shown(content)
	}
	return strings.TrimRight(r.Demand, ".") + ": " + text
}

func shown(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	data, err := json.Marshal(value)
	if err != nil {
		return fmt.Sprint(value)
	}
	return string(data)
}

// celText is a text of CEL in one line, with the names of types as people know them.
func celText(text string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), recordPrefix, "")
}

// unknownError is the error of a fact that is unknown, where CEL has no way to pass it
// on as such.
type unknownError struct{ error }

func (e *unknownError) Unwrap() error { return e.error }

// run is one evaluation. It is the activation of its expressions.
type run struct {
	ctx    context.Context
	source facts.Source
	now    time.Time

	parts    map[string]ref.Val
	evidence []requirement.Evidence
	lists    []*list
	unknowns []error // by their number, from 1
	usesNow  bool
	alone    bool // the elements of a list that is made now have all its evidence
	stated   bool // a document from outside the disk says what was used
}

// evaluate returns the value of an expression. What it used is added to the evidence.
func (r *run) evaluate(program cel.Program) (ref.Val, error) {
	calls := map[string]cel.LateBoundFunction{}
	for _, platform := range facts.Platforms {
		for _, f := range facts.Functions(platform) {
			calls[f.Name] = func(_ string, arguments ...ref.Val) ref.Val { return r.call(f.Name, arguments) }
		}
	}
	vars, err := cel.FunctionVars(r, calls)
	if err != nil {
		return nil, err
	}
	value, _, err := program.ContextEval(r.ctx, vars)
	for _, l := range r.lists {
		l.witness()
	}
	if err == nil && value == nil {
		err = errors.New("no value")
	}
	if r.ctx.Err() != nil {
		return nil, &unknownError{context.Cause(r.ctx)}
	}
	return value, err
}

// message evaluates the message of a rule that is not met; "" if it has none, or if
// that cannot be evaluated.
func (r *run) message(program compiled) string {
	if program.message == nil {
		return program.text
	}
	evidence := r.evidence
	value, err := r.evaluate(program.message)
	r.evidence = evidence // of the rule only
	text, ok := value.(types.String)
	if err != nil || !ok {
		return ""
	}
	return string(text)
}

// ResolveName implements cel.Activation. It reads a part when it is first used.
func (r *run) ResolveName(name string) (any, bool) {
	if name == nameNow {
		r.usesNow = true
		return types.Timestamp{Time: r.now}, true
	}
	if value, ok := r.parts[name]; ok {
		return value, true
	}
	if !isPart(name) {
		return nil, false
	}
	reading, err := r.source.Part(r.ctx, name)
	value := ref.Val(nil)
	if err != nil {
		value = r.unknown(name, err)
	} else {
		r.add(reading.Evidence)
		r.alone = len(reading.Evidence) == 0
		value = r.value(facts.Convert(reading.Value))
		r.alone = false
	}
	r.parts[name] = value
	return value, true
}

// partNames are the names of the parts of all platforms.
var partNames = func() map[string]bool {
	names := map[string]bool{}
	for _, p := range facts.Platforms {
		for _, part := range facts.Parts(p) {
			names[part.Name] = true
		}
	}
	return names
}()

func isPart(name string) bool { return partNames[name] }

// Parent implements cel.Activation.
func (r *run) Parent() cel.Activation { return nil }

func (r *run) call(name string, arguments []ref.Val) ref.Val {
	texts := make([]string, len(arguments))
	for i, a := range arguments {
		texts[i] = string(a.(types.String))
	}
	reading, err := r.source.Call(r.ctx, name, texts)
	if err != nil {
		return r.unknown(facts.CallName(name, texts), err)
	}
	r.add(reading.Evidence)
	return r.value(facts.Convert(reading.Value))
}

// maxEvidence bounds the evidence of one rule.
const maxEvidence = 50

func (r *run) add(evidence []requirement.Evidence) {
	for _, ev := range evidence {
		if ev.Origin == requirement.OriginDocument && ev.Source != "facts" {
			r.stated = true
		}
		if len(r.evidence) < maxEvidence && !slices.Contains(r.evidence, ev) {
			r.evidence = append(r.evidence, ev)
		}
	}
}

// unknown returns the value of a fact that is unknown.
func (r *run) unknown(name string, err error) ref.Val {
	r.unknowns = append(r.unknowns, err)
	return types.NewUnknown(int64(len(r.unknowns)), types.NewAttributeTrail(name))
}

// reasons are the errors for which a value is unknown.
func (r *run) reasons(u *types.Unknown) error {
	var all error
	for _, id := range u.IDs() {
		if id >= 1 && id <= int64(len(r.unknowns)) {
			all = fact.Join(all, r.unknowns[id-1])
		}
	}
	if all == nil {
		return errors.New("a fact is unknown")
	}
	return all
}

// value returns a fact as a value of CEL.
func (r *run) value(v any) ref.Val {
	switch v := v.(type) {
	case nil:
		return types.NullValue
	case string:
		return types.String(v)
	case int64:
		return types.Int(v)
	case bool:
		return types.Bool(v)
	case time.Time:
		return types.Timestamp{Time: v}
	case map[string]string:
		return types.NewStringStringMap(types.DefaultTypeAdapter, v)
	case *facts.Object:
		r.add(v.Evidence)
		return &object{Object: v, run: r}
	case []any:
		l := &list{run: r, last: -1, alone: r.alone}
		elements := make([]ref.Val, len(v))
		for i, e := range v {
			if o, ok := e.(*facts.Object); ok {
				elements[i] = &object{Object: o, run: r, list: l, index: i}
				continue
			}
			elements[i] = r.value(e)
		}
		l.elements = elements
		r.lists = append(r.lists, l)
		return types.NewRefValList(types.DefaultTypeAdapter, elements)
	}
	return types.NewErr("no fact has the type %T", v)
}

// list is a list of objects, and the last of them that was used. An expression such as
// exists or all ends at the element that decides it.
type list struct {
	run      *run
	elements []ref.Val
	last     int
	alone    bool // the list has no evidence but that of its elements
}

// witness adds the evidence of the element that decided, or of all that were used if the
// list has none.
func (l *list) witness() {
	for _, e := range l.elements[:l.last+1] {
		if o, ok := e.(*object); ok && l.alone {
			l.run.add(o.Evidence)
		}
	}
	if l.last < 0 || l.last == len(l.elements)-1 && l.last > 0 {
		return // none was used, or perhaps all were
	}
	if o, ok := l.elements[l.last].(*object); ok {
		l.run.add(o.Evidence)
	}
}

// object is a record as a value of CEL.
type object struct {
	*facts.Object
	run   *run
	list  *list // that it is an element of; nil if it is none
	index int
}

// Get implements traits.Indexer.
func (o *object) Get(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	o.touch()
	value, err := o.Object.Get(string(name))
	if err != nil {
		return o.run.unknown(string(name), err)
	}
	o.run.add(o.EvidenceOf(string(name)))
	return o.run.value(value)
}

func (o *object) touch() {
	if o.list != nil {
		o.list.last = o.index
	}
}

// IsSet implements traits.FieldTester, the macro has: false for null. CEL does not pass
// on an unknown value here, only an error.
func (o *object) IsSet(field ref.Val) ref.Val {
	name, ok := field.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(field)
	}
	o.touch()
	value, err := o.Object.Get(string(name))
	if err != nil {
		return types.WrapErr(&unknownError{err})
	}
	o.run.add(o.EvidenceOf(string(name)))
	return types.Bool(value != nil)
}

// ConvertToNative implements ref.Val.
func (o *object) ConvertToNative(reflect.Type) (any, error) { return o.Object, nil }

// ConvertToType implements ref.Val.
func (o *object) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("a %s cannot become a %s", o.Object.Type.Name, t.TypeName())
}

// Equal implements ref.Val.
func (o *object) Equal(other ref.Val) ref.Val {
	if _, ok := other.(*object); ok {
		return types.NewErr("objects cannot be compared; compare their fields")
	}
	return types.False
}

// Type implements ref.Val.
func (o *object) Type() ref.Type { return cel.ObjectType(recordPrefix + o.Object.Type.Name) }

// Value implements ref.Val.
func (o *object) Value() any { return o.Object }

var (
	_ traits.Indexer     = (*object)(nil)
	_ traits.FieldTester = (*object)(nil)
)

// maxContent bounds the elements of what an info rule shows.
const maxContent = 10_000

// native returns the content of a value in a form for JSON.
func native(v ref.Val) (any, error) {
	switch v := v.(type) {
	case types.Null:
		return nil, nil
	case types.Bool, types.Int, types.Uint, types.Double, types.String:
		return v.Value(), nil
	case types.Bytes:
		return fmt.Sprintf("%x", []byte(v)), nil
	case types.Timestamp:
		return v.Time.UTC().Format(time.RFC3339), nil
	case types.Duration:
		return v.Duration.String(), nil
	case version:
		return v.text, nil
	case *object:
		return v.Object, nil
	case traits.Lister:
		size, ok := v.Size().(types.Int)
		if !ok || size > maxContent {
			return nil, fmt.Errorf("more than %d values", maxContent)
		}
		all := make([]any, 0, size)
		for i := range size {
			e, err := native(v.Get(i))
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
		return all, nil
	case traits.Mapper:
		if size, ok := v.Size().(types.Int); !ok || size > maxContent {
			return nil, fmt.Errorf("more than %d values", maxContent)
		}
		all := map[string]any{}
		for it := v.Iterator(); it.HasNext() == types.True; {
			key := it.Next()
			value, err := native(v.Get(key))
			if err != nil {
				return nil, err
			}
			all[fmt.Sprint(key.Value())] = value
		}
		return all, nil
	case *types.Unknown:
		return nil, errors.New("a part of the content is unknown")
	}
	return nil, fmt.Errorf("a value of type %s cannot be shown", v.Type().TypeName())
}
