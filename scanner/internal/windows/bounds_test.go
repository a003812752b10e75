package windows

import (
	"errors"
	"fmt"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/registry"
)

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
