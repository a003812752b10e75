package windows

import (
	"strings"
	"testing"
)

// TestControlSetNotice shows when the reader is told which control set was
// taken for the current one.
func TestControlSetNotice(t *testing.T) {
	for name, want := range map[string]string{
		"ready":                       "",
		"control-set-second":          "",
		"control-set-missing":         `taken to be ControlSet001: Select\Current is 2 and there is no ControlSet002, Select\Default is 1`,
		"control-set-last-known-good": `Select\LastKnownGood is 1`,
		"control-set-failed":          `failed to start with ControlSet002`,
	} {
		said := ""
		for _, n := range fixture(t, name).in.Trail.Notices() {
			if strings.Contains(n.Message, "ControlSet") {
				said += n.Message
			}
		}
		if !strings.Contains(said, want) || want == "" && said != "" {
			t.Errorf("%s: %q, want %q", name, said, want)
		}
	}
}
