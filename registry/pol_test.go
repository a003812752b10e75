package registry

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// pol returns a policy file with these entries.
func pol(entries ...PolEntry) []byte {
	b := []byte("PReg\x01\x00\x00\x00")
	for _, e := range entries {
		b = append(b, wide("["+e.Key+"\x00;"+e.Value+"\x00;")...)
		b = append(le.AppendUint32(b, uint32(e.Type)), wide(";")...)
		b = append(le.AppendUint32(b, uint32(len(e.Data))), wide(";")...)
		b = append(append(b, e.Data...), wide("]")...)
	}
	return b
}

var somePolicies = []PolEntry{
	{`Software\Policies\Ä`, "Enabled", DWord, []byte{1, 0, 0, 0}},
	{`Software\Policies\Ä`, "**del.Old", SZ, wide(" \x00")},
	{`Software\Policies\B`, "", Binary, []byte("];[")},
	{`Software\Policies\C`, "none", None, []byte{}},
}

func TestParsePol(t *testing.T) {
	got, err := ParsePol(pol(somePolicies...))
	if diff := cmp.Diff(somePolicies, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if got, err := ParsePol(pol()); len(got) != 0 || err != nil {
		t.Errorf("no entries: %v, %v", got, err)
	}
	if _, err := ParsePol([]byte("PReg\x02\x00\x00\x00")); !errors.Is(err, ErrUnsupported) {
		t.Errorf("version 2: %v", err)
	}
	for _, s := range []string{"", "PReg\x01\x00\x00", "regf\x01\x00\x00\x00"} {
		_, err := ParsePol([]byte(s))
		isCorrupt(t, s, err, "not a policy file")
	}
}

// Cut off or changed anywhere, a file gives the entries before the damage and an error.
func TestDamagedPol(t *testing.T) {
	whole := pol(somePolicies...)
	ends := map[int]int{8: 0}
	for i := range somePolicies {
		ends[len(pol(somePolicies[:i+1]...))] = i + 1
	}
	complete := 0
	for n := 8; n <= len(whole); n++ {
		got, err := ParsePol(whole[:n])
		if i, ok := ends[n]; ok {
			complete = i
			if err != nil {
				t.Errorf("%d bytes: %v", n, err)
			}
		} else {
			isCorrupt(t, "cut off", err, "breaks off")
		}
		if len(got) != complete {
			t.Errorf("%d bytes: %d entries, want %d", n, len(got), complete)
		}
	}
	size := len(pol(somePolicies[0])) - 2 - 4 - 2 - 4
	for _, n := range []uint32{3, 5, 1 << 31, 0xFFFFFFFF} {
		b := pol(somePolicies[0])
		le.PutUint32(b[size:], n)
		_, err := ParsePol(b)
		isCorrupt(t, "wrong size", err, "entry 1")
	}
}

// Real policy files are read to the end: written again, they are the same files.
func TestCorpusPol(t *testing.T) {
	for file, want := range map[string]int{"pol/goldstar611__registry.pol/Registry.pol": 20,
		"pol/hubertITSM__passwordRules/Registry.pol": 8} {
		data := testenv.CorpusFile(t, file)
		got, err := ParsePol(data)
		if err != nil || len(got) != want || !bytes.Equal(pol(got...), data) {
			t.Errorf("%s: %d entries, %v", file, len(got), err)
		}
	}
}
