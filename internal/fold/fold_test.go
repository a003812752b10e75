package fold

import "testing"

func TestFold(t *testing.T) {
	for s, want := range map[string]bool{"": false, "Tem": false, "TEMP": true, "temp.CORP": true, "xTEMP": false} {
		rest, cut := CutPrefix(s, "Temp")
		if HasPrefix(s, "Temp") != want || cut != want || len(rest) != len(s)-map[bool]int{true: 4}[want] {
			t.Errorf("prefix of %q: %v, %q", s, cut, rest)
		}
	}
	for s, want := range map[string]bool{"": false, "EXE": false, "a.EXE": true, ".exe": true, ".exe ": false} {
		if HasSuffix(s, ".Exe") != want {
			t.Errorf("suffix of %q: %v", s, !want)
		}
	}
	for s, want := range map[string]int{"": -1, ".ex": -1, "a.EXE b.exe": 1, "\u023a.exe": 2, "\xff.eXe": 1, "b.exe": 1} {
		if i := Index(s, ".Exe"); i != want {
			t.Errorf("index in %q: %d, not %d", s, i, want)
		}
	}
	if Index("a", "") != 0 || Index("", "") != 0 {
		t.Error("index of nothing")
	}
	if list := []string{"S-1-5-18", "Everyone"}; !Contains(list, "EVERYONE") || Contains(list, "every") ||
		Contains(nil, "") {
		t.Error("Contains")
	}
}
