package machine

import (
	"testing"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestWindowsPath(t *testing.T) {
	for want, ev := range map[string]requirement.Evidence{
		`C:\Windows\System32\sysprep.exe`: FoundEvidence(RoleRoot, "Windows/System32/sysprep.exe", false),
		`D:\Users\jdoe`:                   FoundEvidence(RoleUser, "Users/jdoe", true),
		`E:\x`:                            FileEvidence("", `E:\x`),
	} {
		if got := WindowsPath(ev); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestAssumed(t *testing.T) {
	p := Profile{Path: `D:\Users\jdoe`}
	w := Wanted{Profile: &p, Basis: requirement.Inferred}
	for local, want := range map[bool]string{
		false: `All is well. D:\Users\jdoe is assumed to be the user's profile: it is the only domain user's.`,
		true: `All is well. D:\Users\jdoe is assumed to be the user's profile: it is the only local user's, and the ` +
			`computer is not in a domain.`,
	} {
		w.Local = local
		if o := w.Inferred(requirement.Pass("All is well")); o.Message != want || o.Basis != requirement.Inferred {
			t.Errorf("%s: %q, want %q", o.Basis, o.Message, want)
		}
	}
	w.Basis = requirement.Stated
	if o := w.Inferred(requirement.Pass("All is well.")); o.Message != "All is well." {
		t.Errorf("%q, although the user was named", o.Message)
	}
}

func TestStarts(t *testing.T) {
	start := func(n uint32) Service { return Service{Start: Setting[uint32]{Value: n, Present: true}} }
	delayed := start(StartAuto)
	delayed.Delayed = true
	for want, s := range map[string]Service{
		"has no start type": {}, "starts at boot": start(startBoot), "starts with the system": start(startSystem),
		"starts automatically": start(StartAuto), "starts automatically (delayed)": delayed,
		"starts manually": start(StartManual), "is disabled": start(StartDisabled),
		"has the unknown start type 5": start(StartDisabled + 1),
	} {
		if got := s.Starts(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
