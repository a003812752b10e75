package prose

import (
	"os/exec"
	"strings"
	"testing"
)

func TestQuote(t *testing.T) {
	for name, want := range map[string][2]string{
		"root.img":         {"root.img", "root.img"},
		"/images/a-b.img":  {"/images/a-b.img", "/images/a-b.img"},
		"my root.img":      {"'my root.img'", `"my root.img"`},
		"it's.img":         {`'it'\''s.img'`, `"it's.img"`},
		`D:\images\r.img`:  {`'D:\images\r.img'`, `D:\images\r.img`},
		"-o":               {"'-o'", `"-o"`},
		"a$(x)`y`;z":       {"'a$(x)`y`;z'", "\"a$(x)`y`;z\""},
		"":                 {"''", `""`},
		"\u65e5.img":       {"'\u65e5.img'", "\"\u65e5.img\""},
		"~root":            {"'~root'", `"~root"`},
		"two\nlines":       {"'two\nlines'", "\"two\nlines\""},
		`\\server\share\a`: {`'\\server\share\a'`, `\\server\share\a`},
	} {
		if got := quote(name, false); got != want[0] {
			t.Errorf("%q: %s, want %s", name, got, want[0])
		}
		if got := quote(name, true); got != want[1] {
			t.Errorf("%q on Windows: %s, want %s", name, got, want[1])
		}
		if sh, err := exec.LookPath("sh"); err == nil && !strings.HasPrefix(name, "-") {
			out, err := exec.Command(sh, "-c", "printf %s "+quote(name, false)).Output()
			if err != nil || string(out) != name {
				t.Errorf("%q: the shell reads %q, %v", name, out, err)
			}
		}
	}
}
