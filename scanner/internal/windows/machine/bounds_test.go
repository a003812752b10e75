package machine

import (
	"errors"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/registry"
)

// What is larger than anything of its kind is an error, neither absent nor cut
// short.
func TestReadLimit(t *testing.T) {
	m := fixture(t, "ready")
	const name = `C:\Windows\System32\config\SYSTEM`
	f, err := m.File(name)
	if err != nil || f.Size < 4096 {
		t.Fatal(f, err)
	}
	for limit, want := range map[int64]error{f.Size + 1: nil, f.Size: nil, f.Size - 1: ErrTooLarge, 0: ErrTooLarge} {
		data, read, err := m.ReadFile(name, limit)
		if !errors.Is(err, want) || (err == nil) != (want == nil) || !read.Exists {
			t.Errorf("%d bytes at most: %v, %v", limit, read.Exists, err)
		}
		if err == nil && int64(len(data)) != f.Size {
			t.Errorf("%d of %d bytes", len(data), f.Size)
		}
	}
}

// A key with more subkeys than a fact can be made of is an error, too.
func TestSubkeyLimit(t *testing.T) {
	m := registryOnly(map[string][]hivetest.Value{`SOFTWARE\Many\1`: nil, `SOFTWARE\Many\2`: nil, `SOFTWARE\Many\3`: nil})
	k, err := m.Key(`HKLM\SOFTWARE\Many`)
	if err != nil {
		t.Fatal(err)
	}
	for most, want := range map[int]error{4: nil, 3: nil, 2: registry.ErrUnsupported, 0: registry.ErrUnsupported} {
		keys, err := m.SubkeysUpTo(k, most)
		if !errors.Is(err, want) || err == nil && len(keys) != 3 {
			t.Errorf("%d at most: %d, %v", most, len(keys), err)
		}
	}
}

// A text becomes as long as Windows lets it be. What is all percent signs takes
// no longer than it is long.
func TestExpandLimit(t *testing.T) {
	env := Environment{"A": strings.Repeat("a", 1000), "NONE": ""}
	for length, whole := range map[int]bool{maxExpanded - 1: true, maxExpanded: true, maxExpanded + 1: false} {
		times := length / 1000
		s := strings.Repeat("%A%", times) + strings.Repeat("b", length-1000*times) + "%none%"
		want := strings.Repeat("a", 1000*times) + strings.Repeat("b", length-1000*times)
		if !whole {
			want = s
		}
		if got := env.Expand(s); got != want {
			t.Errorf("%d bytes: %d", length, len(got))
		}
	}
	if s := strings.Repeat("%A%", 1<<20); env.Expand(s) != s {
		t.Error("a gigabyte was made")
	}
	if s := strings.Repeat("%", 4<<20); env.Expand(s) != s {
		t.Error("percent signs were lost")
	}
	for s, want := range map[string]string{"%NONE%": "", "100%": "100%", "%%NONE%": "%", "%x%none%%": "%x%",
		"%x%NONE": "%x%NONE", "": ""} {
		if got := env.Expand(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}
