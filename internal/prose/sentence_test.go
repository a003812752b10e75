package prose

import "testing"

func TestSentence(t *testing.T) {
	for from, want := range map[string]string{
		"":                                 "",
		" ":                                "",
		"no such file":                     "No such file.",
		"No such file.":                    "No such file.",
		"is it there?":                     "Is it there?",
		"it can't be read: I/O error \n":   "It can't be read: I/O error.",
		"cloud-init does not start":        "cloud-init does not start.",
		"pending.xml is in WinSxS":         "pending.xml is in WinSxS.",
		"etc/fstab: line 3":                "etc/fstab: line 3.",
		`d:\users is missing`:              `d:\users is missing.`,
		"eth0 has a fixed address":         "eth0 has a fixed address.",
		"iPhone":                           "iPhone.",
		"über alles":                       "Über alles.",
		"x":                                "X.",
		"78.4 GiB is free":                 "78.4 GiB is free.",
		"the service: see":                 "The service: see.",
		"the following are not supported:": "The following are not supported:",
	} {
		if got := Sentence(from); got != want {
			t.Errorf("%q becomes %q, not %q", from, got, want)
		}
		if again := Sentence(want); again != want {
			t.Errorf("the sentence %q becomes %q", want, again)
		}
	}
}
