package dsse

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Unmarshal is json.Unmarshal for text that every reader must understand in the same way:
// it refuses names that an object has twice, also in another case, text that is not UTF-8,
// and anything after the value. Fields that v does not have are ignored.
func Unmarshal(data []byte, v any) error {
	if !utf8.Valid(data) {
		return errors.New("it is not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := unique(d); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the JSON")
	}
	return json.Unmarshal(data, v)
}

// maxDepth bounds how deep values are nested.
const maxDepth = 100

// unique reads a value, and returns an error if an object in it has a name twice.
// encoding/json takes the last of them, and names in any case; other readers do not.
func unique(d *json.Decoder) error {
	type level struct {
		names map[string]bool // of an object; nil for an array
		value bool            // a name was read, and its value follows
	}
	var levels []level
	for {
		t, err := d.Token()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		var top *level
		if len(levels) > 0 {
			top = &levels[len(levels)-1]
		}
		name, text := t.(string)
		switch end := t == json.Delim('}') || t == json.Delim(']'); {
		case end:
			levels = levels[:len(levels)-1]
		case top != nil && top.names != nil && !top.value && text:
			folded := strings.Map(fold, name)
			if top.names[folded] {
				return fmt.Errorf("the name %q is there twice", name)
			}
			top.names[folded], top.value = true, true
			continue
		default:
			if top != nil {
				top.value = false
			}
			switch t {
			case json.Delim('{'):
				levels = append(levels, level{names: map[string]bool{}})
			case json.Delim('['):
				levels = append(levels, level{})
			}
			if len(levels) > maxDepth {
				return fmt.Errorf("it is nested deeper than %d levels", maxDepth)
			}
		}
		if len(levels) == 0 {
			return nil
		}
	}
}

// fold returns the same rune for all that encoding/json takes for one letter in names.
func fold(r rune) rune {
	for {
		next := unicode.SimpleFold(r)
		if next <= r {
			return next // the first of the circle
		}
		r = next
	}
}
