package requirement

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
)

// What a finding carries at most, so that no system fills a report: with these
// bounds that of any system stays below 16 MiB. Findings of ordinary systems have
// less than a tenth of each. Sizes are those in JSON, in bytes.
const (
	maxEvidence  = 1_000    // pieces, and subjects
	maxShare     = 96 << 10 // of all evidence, of all subjects, and of the details
	maxData      = 8 << 10  // of the data of a piece of evidence
	maxText      = 4 << 10  // of any other text
	maxDepth     = 32       // of lists within the details
	evidenceCost = 512      // of a piece of evidence without its texts
	subjectCost  = 256      // of a subject without its texts
)

// Omitted counts what a finding leaves out because there was too much of it.
// The check used all of it.
type Omitted struct {
	Evidence int // pieces that were left out
	Subjects int
	Details  int // entries of lists that were left out
	Texts    int // that were shortened
}

// Any reports whether anything was left out.
func (o Omitted) Any() bool { return o != Omitted{} }

// bound holds an outcome to what a finding carries.
func bound(o Outcome) (Outcome, Omitted) {
	var left Omitted
	cut := func(s *string, most int) {
		var is bool
		if *s, is = prose.Shorten(*s, most); is {
			left.Texts++
		}
	}
	cut(&o.Message, maxText)
	cut(&o.Remediation, maxText)
	all := o.Evidence
	o.Evidence = nil
	room := maxShare
	for _, e := range all[:min(len(all), maxEvidence)] {
		before := left.Texts
		room -= evidenceCost
		for _, s := range []*string{&e.Source, &e.Path, &e.Key, &e.Value, &e.Type, &e.Note} {
			cut(s, maxText)
			room -= prose.JSONSize(*s)
		}
		cut(&e.Data, maxData)
		if room -= prose.JSONSize(e.Data); room < 0 {
			left.Texts = before
			break
		}
		o.Evidence = append(o.Evidence, e)
	}
	left.Evidence = len(all) - len(o.Evidence)
	o.Subjects, left.Subjects = boundSubjects(o.Subjects, cut)
	if o.Details != nil {
		var texts int
		o.Details, left.Details, texts = boundDetails(o.Details)
		left.Texts += texts
	}
	return o, left
}

// boundSubjects returns the first subjects that there is room for, and how many
// that leaves out.
func boundSubjects(all []Subject, cut func(*string, int)) (list []Subject, left int) {
	room := maxShare
	for _, s := range all[:min(len(all), maxEvidence)] {
		for _, text := range []*string{&s.ID, &s.Name, &s.Value} {
			cut(text, maxText)
			room -= prose.JSONSize(*text)
		}
		if room -= subjectCost; room < 0 {
			break
		}
		list = append(list, s)
	}
	return list, len(all) - len(list)
}

// boundDetails returns details of the same types whose lists and texts are as
// long as there is room for.
func boundDetails(details any) (bounded any, entries, texts int) {
	for _, l := range []limits{{1_000, maxData}, {300, 1 << 10}, {100, 256}, {30, 64}, {10, 64}, {2, 64}} {
		s := shortener{limits: l}
		bounded = details
		s.value(reflect.ValueOf(&bounded).Elem(), 0)
		text, err := json.MarshalIndent(bounded, "      ", "  ")
		if err != nil || len(text) <= maxShare {
			return bounded, s.entries, s.texts // the report shows the error
		}
	}
	return nil, 1, 0
}

// limits are the bounds of one list, and of one text in bytes of JSON.
type limits struct{ most, text int }

// shortener shortens the lists and texts of a value without touching what it
// shares with others.
type shortener struct {
	limits
	entries, texts int // that were left out, or shortened
}

// value shortens the strings in v, which must be settable.
func (s *shortener) value(v reflect.Value, depth int) {
	if depth > maxDepth {
		v.SetZero()
		s.entries++
		return
	}
	switch v.Kind() {
	case reflect.Interface, reflect.Pointer:
		if v.IsNil() {
			return
		}
		own := reflect.New(v.Elem().Type()).Elem()
		own.Set(v.Elem())
		s.value(own, depth+1)
		if v.Kind() == reflect.Pointer {
			own = own.Addr()
		}
		v.Set(own)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() || v.Type().Field(i).Anonymous && f.Kind() == reflect.Struct {
				s.value(f, depth+1)
			}
		}
	case reflect.Slice:
		s.slice(v, depth)
	case reflect.Array:
		for i := range v.Len() {
			s.value(v.Index(i), depth+1)
		}
	case reflect.Map:
		s.mapping(v, depth)
	case reflect.String:
		if short, is := prose.Shorten(v.String(), s.text); is {
			v.SetString(short)
			s.texts++
		}
	}
}

func (s *shortener) slice(v reflect.Value, depth int) {
	if v.IsNil() {
		return
	}
	if v.Type().Elem().Kind() == reflect.Uint8 { // one text in JSON, which has no part
		if v.Len() > s.text {
			v.SetZero()
			s.texts++
		}
		return
	}
	n := min(v.Len(), s.most)
	s.entries += v.Len() - n
	own := reflect.MakeSlice(v.Type(), n, n)
	reflect.Copy(own, v)
	for i := range n {
		s.value(own.Index(i), depth+1)
	}
	v.Set(own)
}

func (s *shortener) mapping(v reflect.Value, depth int) {
	if v.IsNil() {
		return
	}
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	own := reflect.MakeMap(v.Type())
	for _, k := range keys[:min(len(keys), s.most)] {
		key, value := reflect.New(k.Type()).Elem(), reflect.New(v.Type().Elem()).Elem()
		key.Set(k)
		value.Set(v.MapIndex(k))
		s.value(key, depth+1)
		s.value(value, depth+1)
		own.SetMapIndex(key, value)
	}
	s.entries += len(keys) - own.Len()
	v.Set(own)
}
