package utf16le

import (
	"encoding/binary"
	"strings"
	"testing"
	"unicode/utf16"
)

// decode is the decoder of the standard library.
func decode(b []byte) string {
	var units []uint16
	for ; len(b) >= 2; b = b[2:] {
		units = append(units, binary.LittleEndian.Uint16(b))
	}
	return string(utf16.Decode(units))
}

func encode(text string) (b []byte) {
	for _, u := range utf16.Encode([]rune(text)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return b
}

func TestDecode(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		"a":                                "",
		"a\x00":                            "a",
		"a\x00b":                           "a",
		"a\x00\xe4\x00b\x00":               "aäb",
		"\xff\xfea\x00":                    "\ufeffa",
		"\xfe\xff":                         "\ufffe",
		"\x34\xd8\x1e\xdd":                 "𝄞",
		"\x34\xd8":                         "\ufffd",
		"\x1e\xdd\x34\xd8a\x00":            "\ufffd\ufffda",
		"\x34\xd8\x34\xd8\x1e\xdd\x1e\xdd": "\ufffd𝄞\ufffd",
		"a\x00\x30\xdd\x30\xddb\x00":       "a\ufffdb", // x/text replaces two that are second halves by one
		"\x00\x00a\x00":                    "\x00a",
	} {
		if got := Decode([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestEncode(t *testing.T) {
	for _, text := range []string{"", "abc", "äöü\x00", "𝄞", "\ufeffa", "a\xffb", strings.Repeat("日本", 5000)} {
		if got, want := string(Encode(text)), string(encode(text)); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// The standard library decodes and encodes the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte("a\x00\x34\xd8\x1e\xdd\xff\xfe"))
	f.Add([]byte("\x00\xd8\x00\xd8\x00\xdc\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if got, want := Decode(b), decode(b); got != want && !strings.Contains(want, "\ufffd") {
			t.Errorf("%q: %q, want %q", b, got, want)
		}
		if got, want := string(Encode(string(b))), string(encode(string(b))); got != want {
			t.Errorf("encoding %q: %q, want %q", b, got, want)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for name, text := range map[string]string{"ascii": "C:\\Windows\\System32\\drivers\\etc\\hosts",
		"german": "C:\\Users\\Müller\\AppData\\Örtlich", "japanese": "日本語のフォルダー名"} {
		data := encode(text)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Decode(data)
			}
		})
		b.Run(name+"/standard", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				decode(data)
			}
		})
	}
}
