package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// value is a JSON value whose objects have kept the order of their fields.
type value struct {
	text   string   // of a scalar
	names  []string // of an object's fields
	parts  []value  // of an object's fields, or of a list
	object bool
	list   bool
}

// valueOf is what a finding's details are in JSON.
func valueOf(details any) (value, error) {
	text, err := json.Marshal(details)
	if err != nil {
		return value{}, err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return readValue(d)
}

// readValue reads the next value. What it reads was just written by Marshal, which
// bounds how deep values lie in each other.
func readValue(d *json.Decoder) (value, error) {
	token, err := d.Token()
	if err != nil {
		return value{}, err
	}
	delimiter, ok := token.(json.Delim)
	if !ok {
		if token == nil {
			return value{}, nil
		}
		return value{text: fmt.Sprint(token)}, nil
	}
	v := value{object: delimiter == '{', list: delimiter == '['}
	for d.More() {
		if v.object {
			name, err := d.Token()
			if err != nil {
				return value{}, err
			}
			v.names = append(v.names, fmt.Sprint(name))
		}
		part, err := readValue(d)
		if err != nil {
			return value{}, err
		}
		v.parts = append(v.parts, part)
	}
	_, err = d.Token() // the end
	return v, err
}

// field is the field of an object; the zero value if it has none of that name.
func (v value) field(name string) value {
	if i := slices.Index(v.names, name); i >= 0 {
		return v.parts[i]
	}
	return value{}
}

// columns are the names of the fields of a list's objects, in the order in which
// they come first; nil if it is not a list of objects alone.
func (v value) columns() []string {
	if !v.list {
		return nil
	}
	var names []string
	for _, p := range v.parts {
		if !p.object {
			return nil
		}
		for _, n := range p.names {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}
