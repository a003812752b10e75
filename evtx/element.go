package evtx

import "strings"

// An Element is an element of the XML of an event.
type Element struct {
	Name       string // with its prefix, if it has one
	Attributes []Attribute
	Content    []Content
}

// An Attribute is an attribute of an element. Declarations of namespaces (xmlns) are attributes too.
type Attribute struct {
	Name  string
	Value Value
}

// Content is an element, or a value where Element is nil.
type Content struct {
	Element *Element
	Value   Value
}

// Child returns the first child element with a name; nil if there is none.
func (e *Element) Child(name string) *Element {
	if e == nil {
		return nil
	}
	for _, c := range e.Content {
		if c.Element != nil && c.Element.Name == name {
			return c.Element
		}
	}
	return nil
}

// Attribute returns the value of an attribute; Null if there is none.
func (e *Element) Attribute(name string) Value {
	if e != nil {
		for _, a := range e.Attributes {
			if a.Name == name {
				return a.Value
			}
		}
	}
	return Value{}
}

// Value returns the value in an element: Null if it is empty, the text of all values if it has several.
func (e *Element) Value() Value {
	if e == nil {
		return Value{}
	}
	list := make([]Value, 0, 1)
	for _, c := range e.Content {
		if c.Element == nil {
			list = append(list, c.Value)
		}
	}
	return join(list, "")
}

// String returns the element as XML on one line. Characters that XML cannot have are U+FFFD.
func (e *Element) String() string {
	var b strings.Builder
	e.write(&b)
	return b.String()
}

func (e *Element) write(b *strings.Builder) {
	b.WriteByte('<')
	b.WriteString(e.Name)
	for _, a := range e.Attributes {
		b.WriteByte(' ')
		b.WriteString(a.Name)
		b.WriteString(`="`)
		writeText(b, a.Value.String(), true)
		b.WriteByte('"')
	}
	if len(e.Content) == 0 {
		b.WriteString("/>")
		return
	}
	b.WriteByte('>')
	for _, c := range e.Content {
		if c.Element != nil {
			c.Element.write(b)
		} else {
			writeText(b, c.Value.String(), false)
		}
	}
	b.WriteString("</")
	b.WriteString(e.Name)
	b.WriteByte('>')
}

// writeText writes a text with the references that XML needs. A program that reads an attribute would make spaces of
// its line ends and tabs (XML 1.0, section 3.3.3), and of a carriage return anywhere a line feed (2.11).
func writeText(b *strings.Builder, text string, inAttribute bool) {
	if plainText(text) {
		b.WriteString(text)
		return
	}
	for _, c := range text {
		switch {
		case c == '&':
			b.WriteString("&amp;")
		case c == '<':
			b.WriteString("&lt;")
		case c == '>':
			b.WriteString("&gt;")
		case c == '"' && inAttribute:
			b.WriteString("&quot;")
		case c == '\r':
			b.WriteString("&#13;")
		case c == '\n' && inAttribute:
			b.WriteString("&#10;")
		case c == '\t' && inAttribute:
			b.WriteString("&#9;")
		case c < ' ' && c != '\n' && c != '\t', c == 0xFFFE, c == 0xFFFF:
			b.WriteRune(0xFFFD)
		default:
			b.WriteRune(c)
		}
	}
}

// plainText reports whether a text is ASCII without anything to replace, as most texts are.
func plainText(text string) bool {
	for i := range len(text) {
		switch c := text[i]; {
		case c < ' ', c >= 0x7F, c == '&', c == '<', c == '>', c == '"':
			return false
		}
	}
	return true
}
