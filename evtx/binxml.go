package evtx

import (
	"slices"

	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// Tokens of binary XML ([MS-EVEN6] 2.2.12). moreToken is set in a token after which more of its kind follows; what
// follows shows the same.
const (
	endToken           = 0x00
	openToken          = 0x01
	closeStartToken    = 0x02
	closeEmptyToken    = 0x03
	endElementToken    = 0x04
	valueToken         = 0x05
	attributeToken     = 0x06
	cdataToken         = 0x07
	charToken          = 0x08
	entityToken        = 0x09
	piTargetToken      = 0x0A
	piDataToken        = 0x0B
	instanceToken      = 0x0C
	substitutionToken  = 0x0D
	optionalToken      = 0x0E
	fragmentToken      = 0x0F
	moreToken          = 0x40
	noDependency       = 0xFFFF
	instanceHeaderSize = 9  // after the token: a byte, the template's id, the offset of its definition
	definitionHeader   = 24 // the next definition's offset, GUID, size
	nameHeader         = 8  // the next name's offset, hash, number of characters
)

// Bounds of what a chunk may make of its 64 KiB. A step is an element, an attribute, a piece of text, a value, or 64
// bytes of text. Events of real logs need some hundred steps, a chunk of them 20,000. An array of 60,000 items, which
// is the most that a record has room for, is within the bounds.
const (
	maxRecordSteps = 1 << 17
	maxChunkSteps  = 1 << 18
	stepBytes      = 64
	maxDepth       = 128 // of elements and of values within values
)

// A binXMLReader decodes the binary XML of a chunk: names and template definitions are anywhere in it, and used again.
type binXMLReader struct {
	chunk       []byte // from the chunk's first byte to the end of its records
	ansi        func([]byte) string
	names       map[uint32]string
	definitions map[uint32]definition
	left        int // steps of the chunk
	recordLeft  int // steps of the record

	slots          []slot // of the templates that are being expanded
	elementStock   stock[Element]
	contentStock   stock[Content]
	attributeStock stock[Attribute]
}

// A definition is a template, or why there is none.
type definition struct {
	element *template
	err     error
}

// A template is an element with places for values.
type template struct {
	name       string
	dependency int // the value without which there is no element; -1 if there is none
	attributes []attribute
	content    []part
}

type attribute struct {
	name  string
	parts []part
}

// A part of the content of an element or an attribute is an element, or a text, or a place for a value.
type part struct {
	element  *template
	text     string
	index    int // of the value; -1 if there is no place
	optional bool
}

// spend takes n steps.
func (r *binXMLReader) spend(n int) error {
	r.left -= n
	r.recordLeft -= n
	if r.left < 0 || r.recordLeft < 0 {
		return ErrLimit
	}
	return nil
}

// document decodes the binary XML in chunk[at:end] and returns its elements. It is a record, or a value of one at a
// depth.
func (r *binXMLReader) document(at, end, depth int) ([]*Element, error) {
	var list []*Element
	for at < end {
		var content []Content
		var err error
		switch token := r.chunk[at] &^ moreToken; token {
		case endToken:
			return list, nil
		case fragmentToken:
			if at, err = r.fragment(at, end); err != nil {
				return nil, err
			}
			continue
		case piTargetToken:
			if at, err = r.instruction(at, end); err != nil {
				return nil, err
			}
			continue
		case openToken:
			var t *template
			if t, at, err = r.element(at, end, false, depth); err == nil {
				content, err = r.expand(content, t, nil, depth)
			}
		case instanceToken:
			content, at, err = r.instance(content, at, end, depth)
		default:
			err = corrupt("token 0x%02x at %d in place of an element", token, at)
		}
		if err != nil {
			return nil, err
		}
		for _, c := range content {
			list = append(list, c.Element)
		}
	}
	return list, nil
}

// fragment skips a fragment header: token, major and minor version, flags.
func (r *binXMLReader) fragment(at, end int) (int, error) {
	if end-at < 4 {
		return 0, corrupt("a fragment header at %d is truncated", at)
	}
	if major := r.chunk[at+1]; major != 1 {
		return 0, unsupported("binary XML of version %d.%d at %d", major, r.chunk[at+2], at)
	}
	return at + 4, nil
}

// instruction skips a processing instruction: a target and data.
func (r *binXMLReader) instruction(at, end int) (int, error) {
	_, at, err := r.name(at+1, end)
	if err == nil && at < end && r.chunk[at] == piDataToken {
		_, at, err = r.text(at+1, end)
	}
	return at, err
}

// instance decodes a template with its values, and appends its element.
func (r *binXMLReader) instance(content []Content, at, end, depth int) ([]Content, int, error) {
	start := at
	at++
	if end-at < instanceHeaderSize {
		return nil, 0, corrupt("a template instance at %d is truncated", start)
	}
	id, offset := le.Uint32(r.chunk[at+1:]), le.Uint32(r.chunk[at+5:])
	at += instanceHeaderSize
	d, size := r.definition(id, offset)
	if d.err != nil {
		return nil, 0, d.err
	}
	if int64(offset) == int64(at) { // the first instance has the definition
		at += size
	}
	if end-at < 4 {
		return nil, 0, corrupt("the values of a template at %d are truncated", start)
	}
	count := le.Uint32(r.chunk[at:])
	at += 4
	if int64(count)*4 > int64(end-at) {
		return nil, 0, corrupt("%d values of a template at %d", count, start)
	}
	before := len(r.slots)
	defer func() { r.slots = r.slots[:before] }()
	r.slots = slices.Grow(r.slots, int(count))[:before+int(count)]
	values := r.slots[before:]
	data := at + 4*int(count)
	for i := range values {
		if err := r.spend(1); err != nil {
			return nil, 0, err
		}
		n, kind := int(le.Uint16(r.chunk[at:])), Type(r.chunk[at+2])
		at += 4
		if n > end-data {
			return nil, 0, corrupt("value %d of a template at %d is truncated", i, start)
		}
		values[i] = slot{kind, data, data + n}
		data += n
	}
	content, err := r.expand(content, d.element, values, depth)
	return content, data, err
}

// A slot is a value of a template instance: its type and its place in the chunk.
type slot struct {
	kind    Type
	at, end int
}

// definition returns the template at an offset in the chunk, and the bytes that its definition takes.
func (r *binXMLReader) definition(id, offset uint32) (definition, int) {
	if int64(offset) < chunkHeaderSize || int64(offset)+definitionHeader > int64(len(r.chunk)) {
		return definition{err: corrupt("a template definition at %d, outside of the records", offset)}, 0
	}
	at := int(offset)
	if guid := le.Uint32(r.chunk[at+4:]); guid != id {
		return definition{err: corrupt("the template at %d has the id %08x, not %08x", at, guid, id)}, 0
	}
	size := int64(le.Uint32(r.chunk[at+20:]))
	at += definitionHeader
	if size > int64(len(r.chunk)-at) {
		return definition{err: corrupt("a template definition at %d of %d bytes", offset, size)}, 0
	}
	d, ok := r.definitions[offset]
	if !ok {
		if d.element, d.err = r.define(at, at+int(size)); d.err != ErrLimit { // another record may have steps left for it
			r.definitions[offset] = d
		}
	}
	return d, definitionHeader + int(size)
}

func (r *binXMLReader) define(at, end int) (*template, error) {
	for at < end && r.chunk[at] == fragmentToken {
		var err error
		if at, err = r.fragment(at, end); err != nil {
			return nil, err
		}
	}
	if at >= end || r.chunk[at]&^moreToken != openToken {
		return nil, corrupt("the template at %d has no element", at)
	}
	t, _, err := r.element(at, end, true, 0)
	return t, err
}

// element decodes an element and returns where it ends. In a template it has a dependency identifier. Elsewhere it has
// none by [MS-EVEN6], but libevtx describes logs in which it has one, which means nothing there. Where an element
// without one would have no name, there is one.
func (r *binXMLReader) element(at, end int, inTemplate bool, depth int) (*template, int, error) {
	if depth >= maxDepth {
		return nil, 0, ErrLimit
	}
	start, hasAttributes := at, r.chunk[at]&moreToken != 0
	at++
	t := &template{dependency: -1}
	if inTemplate || !r.namedAt(at+4, end) {
		if end-at < 2 {
			return nil, 0, corrupt("an element at %d is truncated", start)
		}
		if d := le.Uint16(r.chunk[at:]); d != noDependency && inTemplate {
			t.dependency = int(d)
		}
		at += 2
	}
	if end-at < 4 {
		return nil, 0, corrupt("an element at %d is truncated", start)
	}
	size := int64(le.Uint32(r.chunk[at:]))
	at += 4
	if size > int64(end-at) {
		return nil, 0, corrupt("an element at %d of %d bytes", start, size)
	}
	end = at + int(size)
	var err error
	if t.name, at, err = r.name(at, end); err != nil {
		return nil, 0, err
	}
	if err := r.spend(1); err != nil {
		return nil, 0, err
	}
	if hasAttributes {
		if at, err = r.attributes(t, at, end); err != nil {
			return nil, 0, err
		}
	}
	if at >= end {
		return nil, 0, corrupt("an element at %d is truncated", start)
	}
	switch token := r.chunk[at]; token {
	case closeEmptyToken:
		return t, at + 1, nil
	case closeStartToken:
		at, err = r.content(t, at+1, end, inTemplate, depth)
		return t, at, err
	default:
		return nil, 0, corrupt("token 0x%02x at %d in the start of an element", token, at)
	}
}

// attributes decodes the attributes of an element: their length, and for each a token, a name and data.
func (r *binXMLReader) attributes(t *template, at, end int) (int, error) {
	if end-at < 4 {
		return 0, corrupt("attributes at %d are truncated", at)
	}
	size := int64(le.Uint32(r.chunk[at:]))
	at += 4
	if size > int64(end-at) {
		return 0, corrupt("attributes at %d of %d bytes", at, size)
	}
	end = at + int(size)
	for at < end && r.chunk[at]&^moreToken == attributeToken {
		if err := r.spend(1); err != nil {
			return 0, err
		}
		var a attribute
		var err error
		if a.name, at, err = r.name(at+1, end); err != nil {
			return 0, err
		}
		for at < end && r.chunk[at]&^moreToken != attributeToken {
			var p part
			if p, at, err = r.part(at, end); err != nil {
				return 0, err
			}
			a.parts = append(a.parts, p)
		}
		t.attributes = append(t.attributes, a)
	}
	if at != end {
		return 0, corrupt("token 0x%02x at %d in place of an attribute", r.chunk[at], at)
	}
	return at, nil
}

// content decodes the content of an element up to its end.
func (r *binXMLReader) content(t *template, at, end int, inTemplate bool, depth int) (int, error) {
	for at < end {
		var p part
		var err error
		switch r.chunk[at] &^ moreToken {
		case endElementToken:
			return at + 1, nil
		case piTargetToken:
			if at, err = r.instruction(at, end); err != nil {
				return 0, err
			}
			continue
		case openToken:
			p.index = -1
			p.element, at, err = r.element(at, end, inTemplate, depth+1)
		default:
			p, at, err = r.part(at, end)
		}
		if err != nil {
			return 0, err
		}
		t.content = append(t.content, p)
	}
	return 0, corrupt("element %q has no end", t.name)
}

// entities are the references that XML itself defines (XML 1.0, section 4.6).
var entities = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'"}

// part decodes a text or a place for a value.
func (r *binXMLReader) part(at, end int) (part, int, error) {
	start, p := at, part{index: -1}
	token := r.chunk[at] &^ moreToken
	at++
	var err error
	switch token {
	case valueToken:
		if at >= end || Type(r.chunk[at]) != String {
			return p, 0, corrupt("a text at %d is no string", start)
		}
		p.text, at, err = r.text(at+1, end)
	case cdataToken:
		p.text, at, err = r.text(at, end)
	case charToken:
		if end-at < 2 {
			return p, 0, corrupt("a character at %d is truncated", start)
		}
		p.text, at = string(rune(le.Uint16(r.chunk[at:]))), at+2
	case entityToken:
		var name string
		name, at, err = r.name(at, end)
		text, ok := entities[name]
		if !ok {
			text = "&" + name + ";"
		}
		p.text = text
	case substitutionToken, optionalToken:
		if end-at < 3 { // the value's index, and the type that it was declared with
			return p, 0, corrupt("a place for a value at %d is truncated", start)
		}
		p.index, p.optional = int(le.Uint16(r.chunk[at:])), token == optionalToken
		at += 3
	default:
		return p, 0, corrupt("token 0x%02x at %d in place of content", token, start)
	}
	if err == nil {
		err = r.spend(1 + len(p.text)/stepBytes)
	}
	return p, at, err
}

// text decodes a text after the number of its characters.
func (r *binXMLReader) text(at, end int) (string, int, error) {
	if end-at < 2 {
		return "", 0, corrupt("a text at %d is truncated", at)
	}
	n := 2 * int(le.Uint16(r.chunk[at:]))
	at += 2
	if n > end-at {
		return "", 0, corrupt("a text at %d of %d bytes", at, n)
	}
	return utf16le.Decode(r.chunk[at : at+n]), at + n, nil
}

// name decodes a name by its offset in the chunk, which is the next byte the first time that the name is used. It
// returns where the reference ends, after the name if it follows.
func (r *binXMLReader) name(at, end int) (string, int, error) {
	if end-at < 4 {
		return "", 0, corrupt("a name at %d is truncated", at)
	}
	offset := le.Uint32(r.chunk[at:])
	at += 4
	limit := len(r.chunk)
	if int64(offset) == int64(at) {
		limit = end
	}
	if int64(offset) < chunkHeaderSize || int64(offset)+nameHeader+2 > int64(limit) {
		return "", 0, corrupt("a name at %d, outside of the records", offset)
	}
	start := int(offset)
	n := 2 * int(le.Uint16(r.chunk[start+6:]))
	after := start + nameHeader + n + 2
	if after > limit {
		return "", 0, corrupt("a name at %d of %d bytes", offset, n)
	}
	if start == at {
		at = after
	}
	if name, ok := r.names[offset]; ok {
		return name, at, nil
	}
	if err := r.spend(1 + n/stepBytes); err != nil {
		return "", 0, err
	}
	raw := r.chunk[start+nameHeader : start+nameHeader+n]
	if hash := nameHash(raw); hash != le.Uint16(r.chunk[start+4:]) {
		return "", 0, corrupt("the name at %d does not match its hash", offset)
	}
	name := utf16le.Decode(raw)
	if !validName(name) {
		return "", 0, corrupt("the name at %d is not a name of XML", offset)
	}
	r.names[offset] = name
	return name, at, nil
}

// namedAt reports whether there is a reference to a name at an offset.
func (r *binXMLReader) namedAt(at, end int) bool {
	_, _, err := r.name(at, end)
	return err == nil
}

// nameHash is the hash of a name ([MS-EVEN6] 2.2.12, NameHash).
func nameHash(utf16 []byte) uint16 {
	var hash uint32
	for ; len(utf16) > 1; utf16 = utf16[2:] {
		hash = hash*65599 + uint32(le.Uint16(utf16))
	}
	return uint16(hash)
}

// validName reports whether a name can stand in XML: it has no space, and no character that ends a name.
func validName(name string) bool {
	for i, c := range name {
		switch {
		case c <= ' ', c == 0x7F, c == 0xFFFD, c == '<', c == '>', c == '&', c == '/', c == '=', c == '\'', c == '"',
			i == 0 && (c == '-' || c == '.' || '0' <= c && c <= '9'):
			return false
		}
	}
	return name != ""
}
