package windows

import (
	"errors"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestUpgrade(t *testing.T) {
	source := upgradeTrace{Name: "Source OS (Updated on 2/3/2025 10:11:12)", From: "Windows 10 Pro 1909 build 18363",
		Evidence: evidence}
	other := upgradeTrace{Name: "Upgrade", Evidence: evidence}
	old := upgradeTrace{Name: `C:\Windows.old`, Evidence: evidence}
	for name, c := range map[string]struct {
		upgrades Upgrades
		want     verdict
		says     string
	}{
		"nothing":      {Upgrades{}, passed, `no key with "Source OS"`},
		"folder alone": {Upgrades{Leftover: []upgradeTrace{old}}, passed, `C:\Windows.old exists`},
		"source os": {Upgrades{Sources: []upgradeTrace{source}}, failed,
			"from Windows 10 Pro 1909 build 18363 to Windows Server 2019"},
		"source os of nothing": {Upgrades{Sources: []upgradeTrace{{Name: "Source OS", Evidence: evidence}}}, failed,
			"upgraded in place to"},
		"another key":     {Upgrades{Others: []upgradeTrace{other}}, warning, "the key Upgrade"},
		"a folder unread": {Upgrades{Err: errors.New("a bad sector")}, undetermined, "a bad sector"},
		"source os, unread": {Upgrades{Sources: []upgradeTrace{source}, Err: errors.New("a bad sector")}, failed,
			"Windows 10 Pro"},
		"another key, unread": {Upgrades{Others: []upgradeTrace{other}, Err: errors.New("a bad sector")}, warning,
			"the key Upgrade"},
		"both": {Upgrades{Sources: []upgradeTrace{source}, Others: []upgradeTrace{other}, Leftover: []upgradeTrace{old}},
			failed, "from Windows 10 Pro 1909 build 18363 to"},
	} {
		t.Run(name, func(t *testing.T) {
			c.upgrades.Parent = evidence
			o := judgeUpgrade(c.upgrades, "Windows Server 2019")
			check(t, upgradeInPlace, o, c.want)
			if !strings.Contains(o.Message, c.says) {
				t.Errorf("%q does not say %q", o.Message, c.says)
			}
		})
	}
	both := judgeUpgrade(Upgrades{Sources: []upgradeTrace{source}, Leftover: []upgradeTrace{old}}, "Windows Server 2019")
	if want := []requirement.Evidence{evidence, evidence}; len(both.Evidence) != len(want) {
		t.Errorf("%d pieces of evidence, want %d", len(both.Evidence), len(want))
	}
}
