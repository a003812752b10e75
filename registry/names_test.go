package registry

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// The case table is the one mkntfs writes into $UpCase, that of Windows Vista.
func TestUpcaseIsThatOfWindows(t *testing.T) {
	testenv.Tool(t, "mkntfs", "icat")
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 4<<20); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("mkntfs", "-q", "-Q", "-F", "-H", "255", "-S", "63", "-p", "0", "-s", "512",
		image).CombinedOutput(); err != nil {
		t.Fatalf("mkntfs: %v\n%s", err, out)
	}
	table, err := exec.Command("icat", image, "10").Output()
	if err != nil || len(table) != 2*65536 {
		t.Fatalf("icat: %d bytes, %v", len(table), err)
	}
	for c := range 65536 {
		if got, want := upcase(uint16(c)), le.Uint16(table[2*c:]); got != want {
			t.Errorf("upcase(%04x) = %04x, Windows has %04x", c, got, want)
		}
	}
}

func TestUpcase(t *testing.T) {
	for c, want := range map[uint16]uint16{
		'a': 'A', 'z': 'Z', 'A': 'A', '`': '`', '{': '{', '0': '0', 'ä': 'Ä', 'ÿ': 'Ÿ', 'ß': 'ß', 'µ': 'µ', 'ı': 'ı',
		'ſ': 'ſ', 'ж': 'Ж', 'σ': 'Σ', 'ς': 'ς',
		0xD800: 0xD800, 0xFFFF: 0xFFFF,
	} {
		if got := upcase(c); got != want {
			t.Errorf("upcase(%04x) = %04x, want %04x", c, got, want)
		}
	}
}

func TestWantedName(t *testing.T) {
	for _, tt := range []struct {
		want       string
		raw        []byte
		compressed bool
		is         bool
	}{
		{"Start", []byte("START"), true, true},
		{"Start", wide("sTART"), false, true},
		{"Start", []byte("Star"), true, false},
		{"Start", []byte("Start\x00"), true, false},
		{"Start", wide("Star"), false, false},
		{"Start", []byte("Staru"), true, false},
		{"Größe", []byte("GR\xd6\xdfE"), true, true},
		{"Größe", wide("GRÖßE"), false, true},
		{"ÿ", wide("Ÿ"), false, true},
		{"Ÿ", []byte("\xff"), true, true},
		{"kelvin", wide("\u212aelvin"), false, false},
		{"", nil, true, true},
		{"", nil, false, true},
	} {
		w := want(tt.want)
		if got := w.is(rawName{tt.raw, tt.compressed}); got != tt.is {
			t.Errorf("%q is %q (compressed %v): %v", tt.want, tt.raw, tt.compressed, got)
		}
	}
}

func TestQuote(t *testing.T) {
	for s, want := range map[string]string{
		`A\B`: `"A\B"`, "Größe": `"Größe"`, "a\x00b": `"a\x00b"`, "a\nb": `"a\nb"`, "\x1b[31m": `"\x1b[31m"`,
		"a\u202eb": `"a\u202eb"`,
	} {
		if got := quote(s); got != want {
			t.Errorf("quote(%q) = %s, want %s", s, got, want)
		}
	}
}

func TestDecode(t *testing.T) {
	for raw, want := range map[string]string{"abc": "abc", "Gr\xf6\xdfe": "Größe", "": ""} {
		if got := (rawName{[]byte(raw), true}).String(); got != want {
			t.Errorf("compressed % x: %q, want %q", raw, got, want)
		}
	}
	for raw, want := range map[string]string{"a\x00b\x00": "ab", "a\x00b": "a", "\x3d\xd8\x42\xde": "🙂",
		"\x3d\xd8": "\ufffd"} {
		if got := (rawName{[]byte(raw), false}).String(); got != want {
			t.Errorf("UTF-16 % x: %q, want %q", raw, got, want)
		}
	}
}
