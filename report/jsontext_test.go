package report

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
)

// TestJSONText: what the encoder writes is the same string to a parser, and
// nothing in it is drawn as anything else.
func TestJSONText(t *testing.T) {
	kinds := map[string]string{
		"C1 controls": "\u0080\u0085\u009b\u009f", "delete": "\u007f", "C0 controls": "\x00\x1b\n",
		"embeddings and overrides": "\u202a\u202b\u202c\u202d\u202e", "isolates": "\u2066\u2067\u2068\u2069",
		"marks":      "\u200e\u200f\u061c",
		"separators": "\u2028\u2029", "of no width": "\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u180e",
		"fillers": "\u115f\u3164\uffa0",
		"tags":    "\U000e0001\U000e0041", "selectors": "\ufe0f\U000e0100", "private": "\ue000\U000f0000\U0010fffd",
		"unassigned": "\u0378\U0001fffe", "annotations": "\ufff9\ufffb",
	}
	for name, s := range kinds {
		var b strings.Builder
		if err := NewJSONEncoder(&b).Encode(map[string]string{"a" + s: "x" + s + "y"}); err != nil {
			t.Fatal(err)
		}
		text := b.String()
		for _, r := range strings.TrimSuffix(text, "\n") {
			if r > '~' || unicode.IsControl(r) {
				t.Errorf("%s: %U is as it is in %q", name, r, text)
			}
		}
		var back map[string]string
		if err := json.Unmarshal([]byte(text), &back); err != nil || back["a"+s] != "x"+s+"y" {
			t.Errorf("%s: %q is read as %q, %v", name, text, back, err)
		}
	}
	var b strings.Builder
	const plain = "Zoë <b> & Ελλάδα 東京 😀 naïve café"
	if err := NewJSONEncoder(&b).Encode(plain); err != nil || b.String() != `"`+plain+`"`+"\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
	b.Reset()
	if err := NewJSONEncoder(&b).Encode("\xff\u202e"); err != nil || b.String() != `"\ufffd\u202e"`+"\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}
