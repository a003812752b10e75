package windows

import (
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestPolicyFile(t *testing.T) {
	entry := func(key, value string, kind registry.Type, data []byte) registry.PolEntry {
		return registry.PolEntry{Key: key, Value: value, Type: kind, Data: data}
	}
	scripts := func(n byte) registry.PolEntry {
		return entry(`SOFTWARE\policies\X`, "enableSCRIPTS", registry.DWord, []byte{n, 0, 0, 0})
	}
	word := entry(`Software\Policies\X`, "EnableScripts", registry.SZ, utf16LE("AllSigned\x00"))
	odd := entry(`Software\Policies\X`, "EnableScripts", registry.DWord, []byte{1})
	number, text := requirement.Evidence{Type: "REG_DWORD", Data: "1"},
		requirement.Evidence{Type: "REG_SZ", Data: "AllSigned"}
	none := requirement.Evidence{Note: machine.NotFound}
	for name, c := range map[string]struct {
		file policyFile
		ev   requirement.Evidence
		want string
	}{
		"no file":        {policyFile{}, number, ""},
		"the same":       {policyFile{Path: "x.pol", Entries: []registry.PolEntry{scripts(1)}}, number, ""},
		"another number": {policyFile{Path: "x.pol", Entries: []registry.PolEntry{scripts(0)}}, number, "x.pol sets 0"},
		"not in the registry": {policyFile{Path: "x.pol", Entries: []registry.PolEntry{scripts(0)}}, none,
			"not found; x.pol sets 0"},
		"the last one counts": {policyFile{Path: "x.pol", Entries: []registry.PolEntry{scripts(0), scripts(1)}}, number, ""},
		"the same text":       {policyFile{Path: "x.pol", Entries: []registry.PolEntry{word}}, text, ""},
		"a text for a number": {policyFile{Path: "x.pol", Entries: []registry.PolEntry{word}}, number,
			"x.pol sets AllSigned"},
		"a number of one byte": {policyFile{Path: "x.pol", Entries: []registry.PolEntry{odd}}, none,
			"not found; x.pol sets 01"},
		"another value": {policyFile{Path: "x.pol",
			Entries: []registry.PolEntry{entry(`Software\Policies\X`, "Y", registry.DWord, nil)}}, none, "not found"},
		"another key": {policyFile{Path: "x.pol",
			Entries: []registry.PolEntry{entry(`Software\Policies`, "EnableScripts", registry.DWord, nil)}}, none, "not found"},
		"unreadable": {policyFile{Err: errHive}, number, "the policy file cannot be read: damaged hive"},
		"unreadable behind it": {policyFile{Path: "x.pol", Entries: []registry.PolEntry{scripts(0)}, Err: errHive}, number,
			"x.pol sets 0"},
	} {
		ev := c.ev
		c.file.compare(`Software\Policies\X`, "EnableScripts", &ev)
		if ev.Note != c.want {
			t.Errorf("%s: %q, want %q", name, ev.Note, c.want)
		}
	}
}

// TestPolicyFileOfFixture finds the note about the file. The registry decides.
func TestPolicyFileOfFixture(t *testing.T) {
	o := fixture(t, "execpolicy-policy-file").decideExecutionPolicy()
	if o.Status != requirement.Passed {
		t.Errorf("%s: %s", o.Status, o.Message)
	}
	for _, ev := range o.Evidence {
		if ev.Value == "EnableScripts" && strings.HasPrefix(ev.Key, "Policies") &&
			strings.Contains(ev.Note, "GroupPolicy/Machine/Registry.pol sets 0") {
			return
		}
	}
	t.Errorf("no note of the file: %+v", o.Evidence)
}
