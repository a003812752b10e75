package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/coldcheck/coldcheck/internal/prose"
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
// bounds how deep values are nested.
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

// field returns a field of an object; the zero value if it does not exist.
func (v value) field(name string) value {
	if i := slices.Index(v.names, name); i >= 0 {
		return v.parts[i]
	}
	return value{}
}

// empty reports whether a value holds nothing.
func (v value) empty() bool { return len(v.parts) == 0 && v.text == "" }

// captions are for fields whose names are not clear to a reader.
var captions = map[string]string{
	"allocated": "Size on disk", "bytes": "Size", "customer": "Not from the system", "denied": "Rearms denied",
	"in_the_cloud": "Only in the cloud", "included": "In the image", "root_volume_bytes": "Root volume",
	"rearms": "Rearms on record", "protected_paths_missing": "Protected paths that are missing",
}

// caption is the name of a field as a person reads it.
func caption(name string) string {
	if c, ok := captions[name]; ok {
		return c
	}
	name = strings.ReplaceAll(name, "_", " ")
	first, size := utf8.DecodeRuneInString(name)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(first)) + name[size:]
}

// sizes are the fields of details that hold a number of bytes.
var sizes = []string{"allocated", "bytes", "in_the_cloud", "limit", "root_volume_bytes"}

// readable is a scalar as a person reads it.
func readable(name string, v value) string {
	switch v.text {
	case "true":
		return "yes"
	case "false":
		return "no"
	}
	if slices.Contains(sizes, name) {
		if n, err := strconv.ParseInt(v.text, 10, 64); err == nil {
			return bytesText(n)
		}
	}
	return v.text
}

// bytesText is a number of bytes as a size and exactly.
func bytesText(n int64) string {
	exact := prose.Count(n, "byte", "bytes")
	if n < 1<<20 {
		return exact // prose.Size has no larger unit for it
	}
	return prose.Size(n) + " (" + exact + ")"
}

// columns are the names of the fields of a list's objects, in the order in which
// they come first; nil if it is not a list of objects.
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
