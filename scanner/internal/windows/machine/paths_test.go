package machine

import "testing"

func TestElsewhere(t *testing.T) {
	for path, want := range map[string]bool{`D:\x`: true, `c:\x`: false, `\\server\x`: true, `\\?\x`: true, "": false,
		"x": false} {
		if got := Elsewhere(path); got != want {
			t.Errorf("elsewhere(%q) = %t", path, got)
		}
	}
}
