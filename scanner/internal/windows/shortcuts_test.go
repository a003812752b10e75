package windows

import (
	"testing"

	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
)

// FuzzPolicyText reads files of Group Policy in any encoding.
func FuzzPolicyText(f *testing.F) {
	f.Add([]byte{0xFF, 0xFE, 'a', 0})
	f.Add([]byte{0xFE, 0xFF, 0, 'a', 0})
	f.Add([]byte("a\x00b\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var drives []driveMap
		if list, err := parseDrivesXML(data); err == nil {
			drives = list
		}
		if len(drives) > len(data) {
			t.Errorf("%d drives out of %d bytes", len(drives), len(data))
		}
		templateStarts(machine.DecodeText(data))
	})
}

func FuzzParseMount(f *testing.F) {
	f.Add([]byte{1, 1, 0, 0, 0, 0, 0, 5, 18, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) { parseMount(data) })
}
