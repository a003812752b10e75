package windows

import (
	"fmt"
	"slices"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/registry"
	typed "github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// TestAccountsOfCorpus reads the accounts and the members of Administrators from SAM hives of real machines.
func TestAccountsOfCorpus(t *testing.T) {
	for file, want := range map[string]struct{ accounts, administrators []string }{
		"hives/mkorman90__regipy/regipy_tests/data/SAM.xz": {
			[]string{"Administrator 500 true", "Guest 501 true", "Preston 1000 false"},
			[]string{"S-1-5-21-1760460187-1592185332-161725925-500", "S-1-5-21-1760460187-1592185332-161725925-1000"}},
		"hives/log2timeline__dfwinreg/test_data/SAM": {
			[]string{"Administrator 500 true", "gold_administrator 1001 false", "Guest 501 true"},
			[]string{"S-1-5-21-4070822719-3404542230-2541167049-500", "S-1-5-21-4070822719-3404542230-2541167049-1001",
				"S-1-5-21-226059406-2984137831-1201299043-512"}},
		"hives/EricZimmerman__RegistryPlugins/RegistryPlugins.Test/Hives/SAM": {
			[]string{"Administrator 500 true", "DefaultAccount_ploc 503 true", "eric 1000 false", "Guest 501 true"},
			[]string{"S-1-5-21-2304004809-142405964-3066888890-500",
				"S-1-5-21-2304004809-142405964-3066888890-1000"}},
	} {
		t.Run(file, func(t *testing.T) {
			m := hiveOnly(t, "SAM", file)
			r, err := m.Part(t.Context(), "accounts")
			if err != nil {
				t.Fatal(err)
			}
			var accounts []string
			for _, a := range typed.Convert(r.Value).([]any) {
				o := a.(*typed.Object)
				name, _ := o.Get("name")
				rid, _ := o.Get("rid")
				disabled, err := o.Get("disabled")
				if err != nil {
					t.Error(err)
				}
				accounts = append(accounts, fmt.Sprintf("%v %v %v", name, rid, disabled))
			}
			administrators, _, err := m.administrators()
			if err != nil {
				t.Error(err)
			}
			if !slices.Equal(accounts, want.accounts) || !slices.Equal(administrators, want.administrators) {
				t.Errorf("%q\n%q", accounts, administrators)
			}
		})
	}
}

// TestRegistryFunction reads values of every type, and tells what is absent from what cannot be read.
func TestRegistryFunction(t *testing.T) {
	t.Parallel()
	raw := func(name string, kind registry.Type, data string) hivetest.Value {
		return hivetest.Value{Name: name, Type: uint32(kind), Data: []byte(data)}
	}
	m := registryOnly(workgroup(map[string][]hivetest.Value{`SOFTWARE\Contoso`: {
		dword("Number", 4_000_000_000), raw("Long", registry.QWord, "\xff\xff\xff\xff\xff\x00\x00\x00"),
		sz("Text", "x"), raw("Path", registry.ExpandSZ, "%\x00A\x00%\x00\x00\x00"), multi("List", "a", "b"),
		raw("Bytes", registry.Binary, "\x00\xab"), raw("Torn", registry.DWord, "\x01"), raw("", registry.SZ, "d\x00\x00\x00"),
	}}))
	for name, want := range map[string]any{"Number": int64(4_000_000_000), "Long": int64(1<<40 - 1), "Text": "x",
		"Path": "%A%", "List": []any{"a", "b"}, "Bytes": "00ab", "": "d", "Missing": nil} {
		r, err := m.Call(t.Context(), "registry", []string{`HKLM\SOFTWARE\Contoso`, name})
		if err != nil || fmt.Sprintf("%#v", r.Value) != fmt.Sprintf("%#v", want) || len(r.Evidence) != 1 {
			t.Errorf("%s: %#v, %v", name, r.Value, err)
		}
	}
	r, err := m.Call(t.Context(), "registry", []string{`HKLM\SOFTWARE\Fabrikam\X`, "Y"})
	if err != nil || r.Value != nil || r.Evidence[0].Found {
		t.Errorf("a missing key: %+v, %v", r, err)
	}
	for _, c := range [][]string{{`HKLM\SOFTWARE\Contoso`, "Torn"}, {`HKEY_LOCAL\X`, "Y"}, {"", ""}} {
		if r, err := m.Call(t.Context(), "registry", c); err == nil {
			t.Errorf("%q: %+v", c, r)
		}
	}
	for _, function := range []string{"file", "text"} {
		for _, path := range []string{`C:\Windows`, "", "x", `\\server\share`, `E:\x`} {
			if r, err := m.Call(t.Context(), function, []string{path}); err == nil {
				t.Errorf("%s of %q without volumes: %+v", function, path, r)
			}
		}
	}
}

// TestFactsWithoutHives makes sure that what cannot be read is an error, and no empty list.
func TestFactsWithoutHives(t *testing.T) {
	t.Parallel()
	m := OfHives(func(name string) (*registry.Hive, error) { return nil, fmt.Errorf("%s: not given", name) })
	for _, part := range typed.Parts("windows") {
		r, err := m.Part(t.Context(), part.Name)
		if err != nil {
			continue
		}
		if part.Type.Kind != typed.Record && part.Name != "volumes" {
			t.Errorf("%s is %+v", part.Name, r.Value)
			continue
		}
		for _, o := range objects(typed.Convert(r.Value)) {
			for _, a := range o.Type.Attributes {
				if v, err := o.Get(a.Name); a.Optional && a.Type.Kind != typed.Record && err == nil {
					t.Errorf("%s.%s is %v", part.Name, a.Name, v)
				}
			}
		}
	}
}

func objects(value any) (list []*typed.Object) {
	switch value := value.(type) {
	case *typed.Object:
		list = append(list, value)
		for _, a := range value.Type.Attributes {
			if v, err := value.Get(a.Name); err == nil {
				list = append(list, objects(v)...)
			}
		}
	case []any:
		for _, e := range value {
			list = append(list, objects(e)...)
		}
	}
	return list
}
