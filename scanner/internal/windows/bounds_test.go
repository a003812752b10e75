package windows

import (
	"errors"
	"fmt"
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
	f, err := m.file(name)
	if err != nil || f.Size < 4096 {
		t.Fatal(f, err)
	}
	for limit, want := range map[int64]error{f.Size + 1: nil, f.Size: nil, f.Size - 1: errTooLarge, 0: errTooLarge} {
		data, read, err := m.read(name, limit)
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
	k, err := m.key(`HKLM\SOFTWARE\Many`)
	if err != nil {
		t.Fatal(err)
	}
	for most, want := range map[int]error{4: nil, 3: nil, 2: registry.ErrUnsupported, 0: registry.ErrUnsupported} {
		keys, err := m.subkeysUpTo(k, most)
		if !errors.Is(err, want) || err == nil && len(keys) != 3 {
			t.Errorf("%d at most: %d, %v", most, len(keys), err)
		}
	}
}

// A text becomes as long as Windows lets it be. What is all percent signs takes
// no longer than it is long.
func TestExpandLimit(t *testing.T) {
	env := environment{"A": strings.Repeat("a", 1000), "NONE": ""}
	for length, whole := range map[int]bool{maxExpanded - 1: true, maxExpanded: true, maxExpanded + 1: false} {
		times := length / 1000
		s := strings.Repeat("%A%", times) + strings.Repeat("b", length-1000*times) + "%none%"
		want := strings.Repeat("a", 1000*times) + strings.Repeat("b", length-1000*times)
		if !whole {
			want = s
		}
		if got := env.expand(s); got != want {
			t.Errorf("%d bytes: %d", length, len(got))
		}
	}
	if s := strings.Repeat("%A%", 1<<20); env.expand(s) != s {
		t.Error("a gigabyte was made")
	}
	if s := strings.Repeat("%", 4<<20); env.expand(s) != s {
		t.Error("percent signs were lost")
	}
	for s, want := range map[string]string{"%NONE%": "", "100%": "100%", "%%NONE%": "%", "%x%none%%": "%x%", "%x%NONE": "%x%NONE", "": ""} {
		if got := env.expand(s); got != want {
			t.Errorf("%q: %q, want %q", s, got, want)
		}
	}
}

// TestDeviceBounds makes sure that more devices, and more policies of the
// default profile, than are looked through are an error and end.
func TestDeviceBounds(t *testing.T) {
	keys := map[string][]hivetest.Value{`SYSTEM\Select`: {dword("Current", 1)}, `SYSTEM\ControlSet001\Enum`: nil}
	for i := range maxPCIDevices + 1 {
		keys[fmt.Sprintf(`SYSTEM\ControlSet001\Enum\PCI\VEN_1\%05d`, i)] = nil
	}
	if _, err := registryOnly(keys).LastStart(); !errors.Is(err, registry.ErrUnsupported) {
		t.Errorf("the last start of %d devices: %v", maxPCIDevices+1, err)
	}
	policies := map[string][]hivetest.Value{}
	for i := range maxPolicyKeys + 1 {
		policies[fmt.Sprintf(`SOFTWARE\Software\Policies\%05d`, i)] = []hivetest.Value{dword("x", 1)}
	}
	var d defaultProfile
	if err := registryOnly(policies).customPolicies(&d, `HKLM\SOFTWARE`); !errors.Is(err, registry.ErrUnsupported) {
		t.Errorf("%d policies: %v", maxPolicyKeys+1, err)
	}
	if len(d.Signs) != maxNamed || d.More == 0 {
		t.Errorf("%d signs, %d more", len(d.Signs), d.More)
	}
}
