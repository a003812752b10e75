// Package facts defines the typed facts of a system that a user's own rules may
// use. It reads nothing: the packages of the systems fill its types.
//
//	for _, part := range facts.Parts(requirement.Windows) {
//		fmt.Println(part.Name, part.Doc)
//	}
//
// Windows and Linux have a field for each part. A part is read as a whole, when a
// rule first asks for it; a part that cannot be read is unknown. A Field inside a
// part is unknown on its own. JSON leaves out what is unknown, and null stands for
// what does not exist.
package facts

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Source reads the facts of one system. Its methods may be called from several
// goroutines. An error says why a fact is unknown.
type Source interface {
	// Part returns a part by its name: a value of the type of the field of Windows
	// or Linux, or what Convert made of one.
	Part(ctx context.Context, name string) (Reading, error)
	// Call returns the result of a function of Functions.
	Call(ctx context.Context, function string, arguments []string) (Reading, error)
}

// Reading is a fact with the places that it was read from.
type Reading struct {
	Value    any
	Evidence []requirement.Evidence
}

// Field is a value that may be unknown, or that may not exist.
type Field[T any] struct {
	value T
	null  bool
	err   error
	later func() (T, error)
	from  From
}

// Of returns a Field with a value.
func Of[T any](value T) Field[T] { return Field[T]{value: value} }

// Null returns a Field for what does not exist.
func Null[T any]() Field[T] { return Field[T]{null: true} }

// Unknown returns a Field whose value could not be read.
func Unknown[T any](err error) Field[T] { return Field[T]{err: err} }

// Later returns a Field that is read when it is first used.
func Later[T any](read func() (T, error)) Field[T] { return Field[T]{later: read} }

// Known returns a Field with a value, or an unknown one if there is an error.
func Known[T any](value T, err error) Field[T] { return Field[T]{value: value, err: err} }

// FileOf returns the reading of a file or folder. Its size and time are null if it does not
// exist.
func FileOf(ev requirement.Evidence, exists, folder bool, size int64, modified time.Time) Reading {
	return Reading{Evidence: []requirement.Evidence{ev}, Value: File{
		Exists: exists, Folder: folder, Size: OrNull(size, exists), MTime: OrNull(modified.UTC(), exists),
	}}
}

// OrNull returns a Field with a value, or one of what does not exist.
func OrNull[T any](value T, exists bool) Field[T] { return Field[T]{value: value, null: !exists} }

// ReadFrom returns the field with places that it was read from, in addition to those of
// its object.
func (f Field[T]) ReadFrom(evidence ...requirement.Evidence) Field[T] {
	f.from = append(f.from, evidence...)
	return f
}

func (f Field[T]) evidence() From { return f.from }

func (f Field[T]) resolve() (any, error) {
	if f.later != nil {
		f.value, f.err = f.later()
	}
	if f.err != nil || f.null {
		return nil, f.err
	}
	return f.value, nil
}

func (f Field[T]) valueType() reflect.Type { return reflect.TypeFor[T]() }

// field is any Field.
type field interface {
	resolve() (any, error)
	valueType() reflect.Type
	evidence() From
}

// From are the places that an object of a part was read from. A struct that embeds it
// has evidence of its own.
type From []requirement.Evidence

// Kind is the kind of a Type.
type Kind int

// The kinds of types.
const (
	Text    Kind = iota // string
	Integer             // int64
	Truth               // bool
	Moment              // time.Time
	List                // []any
	Record              // *Object
	Texts               // map[string]string
)

// Type is the type of a fact.
type Type struct {
	Kind       Kind
	Name       string       // of a Record: "Service"
	Elem       *Type        // of a List
	Attributes []*Attribute // of a Record
}

// Attribute is a field of a Record.
type Attribute struct {
	Name     string
	Doc      string
	Type     *Type
	Optional bool // it may be unknown, or null

	index int
}

// Attribute returns the attribute of that name; nil if there is none.
func (t *Type) Attribute(name string) *Attribute {
	for _, a := range t.Attributes {
		if a.Name == name {
			return a
		}
	}
	return nil
}

// String is the type as documentation writes it.
func (t *Type) String() string {
	switch t.Kind {
	case Text:
		return "text"
	case Integer:
		return "integer"
	case Truth:
		return "true or false"
	case Moment:
		return "time"
	case List:
		return "list of " + t.Elem.String()
	case Texts:
		return "map of texts"
	}
	return t.Name
}

var (
	typesMu sync.Mutex
	types   = map[reflect.Type]*Type{}
)

// TypeOf returns the Type of a Go type of this package.
func TypeOf(goType reflect.Type) *Type {
	typesMu.Lock()
	defer typesMu.Unlock()
	return typeOf(goType)
}

func typeOf(goType reflect.Type) *Type {
	if t, ok := types[goType]; ok {
		return t
	}
	t := &Type{}
	switch {
	case goType == reflect.TypeFor[time.Time]():
		t.Kind = Moment
	case goType.Kind() == reflect.String:
		t.Kind = Text
	case goType.Kind() == reflect.Int64:
		t.Kind = Integer
	case goType.Kind() == reflect.Bool:
		t.Kind = Truth
	case goType == reflect.TypeFor[map[string]string]():
		t.Kind = Texts
	case goType.Kind() == reflect.Slice:
		t.Kind, t.Elem = List, typeOf(goType.Elem())
	case goType.Kind() == reflect.Struct:
		t.Kind, t.Name = Record, goType.Name()
		for i := range goType.NumField() {
			f := goType.Field(i)
			name := f.Tag.Get("json")
			if name == "" || name == "-" {
				continue
			}
			a := &Attribute{Name: name, Doc: f.Tag.Get("doc"), index: i}
			if of, ok := reflect.Zero(f.Type).Interface().(field); ok {
				a.Optional, a.Type = true, typeOf(of.valueType())
			} else {
				a.Type = typeOf(f.Type)
			}
			t.Attributes = append(t.Attributes, a)
		}
	default:
		panic(fmt.Sprintf("no fact has the type %v", goType))
	}
	types[goType] = t
	return t
}

// Part is a part of the facts.
type Part struct {
	Name string
	Doc  string
	Type *Type
}

// Parts lists the parts of the facts of a platform, Windows or Linux.
func Parts(platform requirement.Platform) []Part {
	of := reflect.TypeFor[Windows]()
	if platform == requirement.Linux {
		of = reflect.TypeFor[Linux]()
	}
	var parts []Part
	for _, a := range TypeOf(of).Attributes {
		parts = append(parts, Part{a.Name, a.Doc, a.Type})
	}
	return parts
}

// Platforms are the platforms that have facts.
var Platforms = []requirement.Platform{requirement.Windows, requirement.Linux}

// Function is a fact that depends on arguments, all of which are texts.
type Function struct {
	Name       string
	Doc        string
	Parameters []string
	Result     *Type // nil for a value of any type
}

// Functions lists the functions of a platform.
func Functions(platform requirement.Platform) []Function {
	list := []Function{
		{"file", "a file or folder by its path", []string{"path"}, TypeOf(reflect.TypeFor[File]())},
		{"text", "the content of a text file of at most 1 MiB, or null if it does not exist", []string{"path"}, nil},
	}
	if platform == requirement.Windows {
		return append(list, Function{"registry", "a value of the registry, or null if it does not exist",
			[]string{"key", "value"}, nil})
	}
	return append(list, Function{"ini", "a value in a file of sections and lines NAME=VALUE, or null if it does not exist",
		[]string{"path", "section", "name"}, nil})
}

// Object is a value of a Record. Its methods may be called from several goroutines.
type Object struct {
	Type     *Type
	Evidence []requirement.Evidence
	slots    []func() (any, error) // by attribute
	from     []From                // of attributes with places of their own; nil if none has
}

// EvidenceOf returns the places that an attribute was read from, in addition to those of
// the object.
func (o *Object) EvidenceOf(name string) []requirement.Evidence {
	for i, a := range o.Type.Attributes {
		if a.Name == name && o.from != nil {
			return o.from[i]
		}
	}
	return nil
}

// Get returns the value of an attribute: nil for null, and an error if it is unknown.
func (o *Object) Get(name string) (any, error) {
	for i, a := range o.Type.Attributes {
		if a.Name == name {
			return o.slots[i]()
		}
	}
	return nil, fmt.Errorf("%s has no field %q", o.Type.Name, name)
}

// Convert returns a value of a Go type of this package in the form of its Kind: the
// types of the Go types are a string, an int64, a bool, a time.Time, a []any, an *Object
// and a map[string]string.
func Convert(value any) any {
	switch value.(type) {
	case nil, string, int64, bool, time.Time, []any, *Object, map[string]string:
		return value
	}
	v := reflect.ValueOf(value)
	switch t := TypeOf(v.Type()); t.Kind {
	case Text:
		return v.String()
	case List:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = Convert(v.Index(i).Interface())
		}
		return list
	default:
		return objectOf(t, v)
	}
}

func objectOf(t *Type, v reflect.Value) *Object {
	o := &Object{Type: t, slots: make([]func() (any, error), len(t.Attributes))}
	if from := v.FieldByName("From"); from.IsValid() {
		o.Evidence = from.Interface().(From)
	}
	for i, a := range t.Attributes {
		value := v.Field(a.index).Interface()
		if f, ok := value.(field); ok && len(f.evidence()) > 0 {
			if o.from == nil {
				o.from = make([]From, len(t.Attributes))
			}
			o.from[i] = f.evidence()
		}
		o.slots[i] = sync.OnceValues(func() (any, error) {
			var err error
			if f, ok := value.(field); ok {
				value, err = f.resolve()
			}
			if err != nil || value == nil {
				return nil, err
			}
			return Convert(value), nil
		})
	}
	return o
}

// title is a name as a heading has it.
func title(platform requirement.Platform) string {
	return strings.ToUpper(string(platform[:1])) + string(platform[1:])
}

// Resolve reads every field of a value that is read when it is first used.
func Resolve(value any) {
	switch value := Convert(value).(type) {
	case []any:
		for _, e := range value {
			Resolve(e)
		}
	case *Object:
		for _, read := range value.slots {
			if v, err := read(); err == nil {
				Resolve(v)
			}
		}
	}
}
