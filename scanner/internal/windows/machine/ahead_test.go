package machine

import "testing"

// A defect that opening a hive ahead meets is not the end of the program: it
// is met again by the requirement that asks for the hive, and contained there.
func TestAheadContainsDefects(t *testing.T) {
	m := &Machine{SystemRoot: "Windows", volumes: map[string]*Drive{"C": {Role: RoleRoot}}} // without a filesystem
	m.openAhead()
	for file, a := range m.ahead {
		if <-a.done; a.opened || a.hive != nil {
			t.Errorf("%s was opened", file)
		}
	}
	met := false
	func() {
		defer func() { met = recover() != nil }()
		_, _ = m.load(m.volumes["C"], "Windows/System32/config/SYSTEM")
	}()
	if !met {
		t.Error("whoever asks does not meet the defect")
	}
}
