package evtx

import "strings"

// expand appends the element that a template makes of values to content: none if the value that it depends on is null,
// one for each item if a place has an array.
func (r *binXMLReader) expand(content []Content, t *template, values []slot, depth int) ([]Content, error) {
	if depth >= maxDepth {
		return nil, ErrLimit
	}
	if t.dependency >= 0 {
		s, err := r.slot(values, t.dependency)
		if err != nil {
			return nil, err
		}
		if s.kind == Null {
			return content, nil
		}
	}
	for i, p := range t.content {
		if p.index < 0 {
			continue
		}
		s, err := r.slot(values, p.index)
		if err != nil {
			return nil, err
		}
		if s.kind&array == 0 {
			continue
		}
		items, err := r.array(s)
		if err != nil {
			return nil, err
		}
		if len(items) == 0 {
			items = []Value{{}} // an empty array is an empty element
		}
		for _, item := range items {
			e, err := r.one(t, values, i, item, depth)
			if err != nil {
				return nil, err
			}
			content = append(content, Content{Element: e})
		}
		return content, nil
	}
	e, err := r.one(t, values, -1, Value{}, depth)
	if err != nil {
		return nil, err
	}
	return append(content, Content{Element: e}), nil
}

// maxPresized is how much content is made room for before it is there.
const maxPresized = 32

// A stock makes slices of one large one, since a record has many small ones.
type stock[T any] struct{ left []T }

const stockSize = 128

// take returns an empty slice with room for n values, of which there are at most stockSize.
func (s *stock[T]) take(n int) []T {
	if n > len(s.left) {
		s.left = make([]T, stockSize)
	}
	taken := s.left[:0:n]
	s.left = s.left[n:]
	return taken
}

// one makes one element of a template. The place with the number of is for an item of an array.
func (r *binXMLReader) one(t *template, values []slot, of int, item Value, depth int) (*Element, error) {
	if err := r.spend(1 + len(t.name)/stepBytes); err != nil {
		return nil, err
	}
	e := &r.elementStock.take(1)[:1][0]
	e.Name = t.name
	if n := len(t.content); n > 0 {
		e.Content = r.contentStock.take(min(n, maxPresized))
	}
	if n := len(t.attributes); n > 0 {
		e.Attributes = r.attributeStock.take(min(n, maxPresized))
	}
	for _, a := range t.attributes {
		v, err := r.attribute(a, values)
		if err != nil {
			return nil, err
		}
		if v.kind == Null {
			continue // an attribute without data is not written ([MS-EVEN6] 2.2.12.2)
		}
		if err := r.spend(1 + len(a.name)/stepBytes); err != nil {
			return nil, err
		}
		e.Attributes = append(e.Attributes, Attribute{a.name, v})
	}
	for i, p := range t.content {
		err := r.spend(1)
		switch {
		case err != nil:
		case p.element != nil:
			e.Content, err = r.expand(e.Content, p.element, values, depth+1)
		case i == of:
			err = r.addValue(e, item)
		case p.index < 0:
			err = r.addValue(e, textValue(p.text))
		default:
			err = r.place(e, p, values, depth)
		}
		if err != nil {
			return nil, err
		}
	}
	return e, nil
}

// place adds what stands in a place of a template: elements of a value in binary XML, or a value.
func (r *binXMLReader) place(e *Element, p part, values []slot, depth int) error {
	s, err := r.slot(values, p.index)
	if err != nil {
		return err
	}
	if s.kind == binXML {
		list, err := r.document(s.at, s.end, depth+1)
		if err != nil {
			return err
		}
		for _, child := range list {
			e.Content = append(e.Content, Content{Element: child})
		}
		return nil
	}
	v, err := r.value(s)
	if err != nil {
		return err
	}
	return r.addValue(e, v)
}

func (r *binXMLReader) addValue(e *Element, v Value) error {
	if v.kind == Null {
		return nil
	}
	e.Content = append(e.Content, Content{Value: v})
	return r.spend((len(v.data) + len(v.text)) / stepBytes)
}

// attribute returns the value of an attribute: Null if it has no data, and a text if it has several parts.
func (r *binXMLReader) attribute(a attribute, values []slot) (Value, error) {
	list := make([]Value, 0, 1)
	for _, p := range a.parts {
		if err := r.spend(1); err != nil {
			return Value{}, err
		}
		if p.index < 0 {
			list = append(list, textValue(p.text))
			continue
		}
		s, err := r.slot(values, p.index)
		if err != nil {
			return Value{}, err
		}
		var v Value
		if s.kind&array != 0 {
			items, err := r.array(s)
			if err == nil {
				err = r.spend(len(items))
			}
			if err != nil {
				return Value{}, err
			}
			v = join(items, ", ")
		} else if v, err = r.value(s); err != nil {
			return Value{}, err
		}
		if v.kind != Null {
			list = append(list, v)
		}
	}
	v := join(list, "")
	return v, r.spend((len(v.data) + len(v.text)) / stepBytes)
}

// join returns the only value of a list, or the text of all; Null for none.
func join(list []Value, separator string) Value {
	switch len(list) {
	case 0:
		return Value{}
	case 1:
		return list[0]
	}
	texts := make([]string, len(list))
	for i, v := range list {
		texts[i] = v.String()
	}
	return textValue(strings.Join(texts, separator))
}

func (r *binXMLReader) slot(values []slot, index int) (slot, error) {
	if index >= len(values) {
		return slot{}, corrupt("a template needs value %d of %d", index, len(values))
	}
	return values[index], nil
}

// value returns the value in a slot, which is no array.
func (r *binXMLReader) value(s slot) (Value, error) {
	return newValue(s.kind, r.chunk[s.at:s.end:s.end], r.ansi)
}

// array returns the items in a slot.
func (r *binXMLReader) array(s slot) ([]Value, error) {
	v, err := r.value(s)
	if err != nil || v.kind == Null {
		return nil, err
	}
	items := v.items(r.ansi)
	for range items {
		if err := r.spend(0); err != nil {
			return nil, err
		}
	}
	return items, nil
}
