package fact

import (
	"encoding/xml"
	"testing"
)

func TestSyntax(t *testing.T) {
	for text, want := range map[string]string{
		"<a>\n<b>":     "the file ends early, in line 2",
		"<a>\n<b></a>": "XML syntax error on line 2: element <b> closed by </a>",
		"":             "EOF",
	} {
		if got := Syntax(xml.Unmarshal([]byte(text), new(struct{}))); got == nil || got.Error() != want {
			t.Errorf("%q: %v, want %q", text, got, want)
		}
	}
}
