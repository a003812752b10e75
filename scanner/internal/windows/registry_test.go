package windows

import (
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// workgroup are the keys of a machine in no domain, with more of one's own.
func workgroup(more map[string][]hivetest.Value) map[string][]hivetest.Value {
	empty := []hivetest.Value{{Name: ""}}
	keys := map[string][]hivetest.Value{
		`SYSTEM\Select`: {dword("Current", 1)},
		`SYSTEM\ControlSet001\Control\ComputerName\ComputerName`: {sz("ComputerName", "WSAMZN-1")},
		`SECURITY\Policy\PolPrDmN`:                               empty,
		`SECURITY\Policy\PolPrDmS`:                               empty,
		`SECURITY\Policy\PolAcDmS`:                               empty,
	}
	for key, values := range more {
		keys[key] = append(keys[key], values...)
	}
	return keys
}

// process are the values of a service that runs as a process.
func process(account string) []hivetest.Value {
	return []hivetest.Value{dword("Type", 0x10), dword("Start", 2), sz("ImagePath", `C:\agent.exe`),
		sz("ObjectName", account)}
}

// TestLinkedKeys makes sure that a key which is a symbolic link is judged by
// the key that Windows opens in its place, wherever it is met.
func TestLinkedKeys(t *testing.T) {
	const target = `\Registry\Machine\SOFTWARE\Contoso\Agent`
	for name, c := range map[string]struct {
		keys map[string][]hivetest.Value
		want requirement.Status
		says string
	}{
		"to a service": {map[string][]hivetest.Value{
			`SYSTEM\ControlSet001\Services\Spooler`: process("LocalSystem"),
			`SYSTEM\ControlSet001\Services\Agent`:   {link(target)},
			`SOFTWARE\Contoso\Agent`:                process(`CORP\svc`),
		}, requirement.Failed, `Agent (automatic) as CORP\svc`},
		"to nothing": {map[string][]hivetest.Value{
			`SYSTEM\ControlSet001\Services\Spooler`: process("LocalSystem"),
			`SYSTEM\ControlSet001\Services\Agent`:   {link(target)},
			`SOFTWARE\Contoso`:                      nil,
		}, requirement.Passed, "1 service was checked; none has a domain account"},
		"to itself": {map[string][]hivetest.Value{
			`SYSTEM\ControlSet001\Services\Agent`: {link(`\Registry\Machine\SYSTEM\CurrentControlSet\Services\Agent`)},
		}, requirement.Undetermined, "symbolic links"},
		"of all services": {map[string][]hivetest.Value{
			`SYSTEM\ControlSet001\Services`:       {link(`\Registry\Machine\SYSTEM\ControlSet002\Services`)},
			`SYSTEM\ControlSet002\Services\Agent`: process(`CORP\svc`),
		}, requirement.Failed, `Agent (automatic) as CORP\svc`},
	} {
		t.Run(name, func(t *testing.T) {
			o := registryOnly(workgroup(c.keys)).decideAccounts()
			if o.Status != c.want || !strings.Contains(o.Message, c.says) {
				t.Errorf("%s: %s", o.Status, o.Message)
			}
		})
	}
}

// TestServiceOfOddTypes shows what values of a service that are not of their
// type count for: numbers count as not set, texts are read whatever their type.
func TestServiceOfOddTypes(t *testing.T) {
	list := hivetest.Value{Name: "DisplayName", Type: uint32(registry.MultiSZ), Data: utf16LE("NDIS Proxy\x00\x00")}
	text := func(name string) hivetest.Value { return sz(name, "2") }
	raw := func(name string, kind registry.Type, data []byte) hivetest.Value {
		return hivetest.Value{Name: name, Type: uint32(kind), Data: data}
	}
	for name, c := range map[string]struct {
		values []hivetest.Value
		want   requirement.Status
	}{
		"a display name that is a list": {append(process("LocalSystem"), list), requirement.Passed},
		"a delay that is a text":        {append(process("LocalSystem"), text("DelayedAutostart")), requirement.Passed},
		"an account that is a number": {[]hivetest.Value{dword("Type", 0x10), sz("ImagePath", "x.exe"),
			dword("ObjectName", 2)}, requirement.Passed},
		"a domain account that is binary": {[]hivetest.Value{dword("Type", 0x10), sz("ImagePath", "x.exe"),
			raw("ObjectName", registry.Binary, utf16LE("CORP\\svc\x00"))}, requirement.Failed},
		"a program that is binary": {[]hivetest.Value{dword("Type", 0x10),
			raw("ImagePath", registry.None, utf16LE("x.exe\x00")), sz("ObjectName", `CORP\svc`)}, requirement.Failed},
		"a driver's account that is one": {[]hivetest.Value{dword("Type", 1), sz("ImagePath", "x.sys"),
			dword("ObjectName", 2)}, requirement.Passed},
		"a type that is a text": {[]hivetest.Value{text("Type"), sz("ImagePath", "x.exe"),
			sz("ObjectName", `CORP\svc`)}, requirement.Warning},
		"the same, of a local account": {[]hivetest.Value{text("Type"), sz("ImagePath", "x.exe"),
			sz("ObjectName", `.\svc`)}, requirement.Passed},
		"a type of eight bytes": {[]hivetest.Value{raw("Type", registry.QWord, make([]byte, 8))},
			requirement.Passed},
		"a type of two bytes": {[]hivetest.Value{raw("Type", registry.DWord, make([]byte, 2))},
			requirement.Undetermined},
		"a start type that is a text": {append(process(`CORP\svc`)[:1:1], text("Start"), sz("ImagePath", "x.exe"),
			sz("ObjectName", `CORP\svc`)), requirement.Failed},
		"a domain account, and odd details": {append(process(`CORP\svc`), list, text("DelayedAutostart")),
			requirement.Failed},
		"marked for deletion":   {append(process(`CORP\svc`), dword("DeleteFlag", 1)), requirement.Passed},
		"a mark that is a text": {append(process(`CORP\svc`), text("DeleteFlag")), requirement.Failed},
		"no program": {[]hivetest.Value{dword("Type", 0x10), dword("Start", 2),
			sz("ObjectName", `CORP\svc`)}, requirement.Warning},
		"no type": {[]hivetest.Value{dword("Start", 2), sz("ImagePath", "x.exe"),
			sz("ObjectName", `CORP\svc`)}, requirement.Warning},
		"neither, and deleted": {[]hivetest.Value{sz("ObjectName", `CORP\svc`), dword("DeleteFlag", 1)},
			requirement.Passed},
		"a template without a program": {[]hivetest.Value{dword("Type", 0x60), sz("ObjectName", `CORP\svc`)},
			requirement.Passed},
		"the computer's name in DNS":     {process(`wsamzn-1.corp.example.com\svc`), requirement.Passed},
		"the name that it will have":     {process(`WSAMZN-2\svc`), requirement.Passed},
		"another computer's name in DNS": {process(`wsamzn-3.corp.example.com\svc`), requirement.Failed},
		"the domain's name in DNS":       {process(`corp.example.com\svc`), requirement.Failed},
		"the workgroup's name":           {process(`WORKGROUP\svc`), requirement.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			o := registryOnly(workgroup(map[string][]hivetest.Value{
				`SYSTEM\ControlSet001\Services\Spooler`: process("LocalSystem"),
				`SYSTEM\ControlSet001\Services\Odd`:     c.values,
				`SYSTEM\ControlSet001\Services\Tcpip\Parameters`: {
					sz("Hostname", "WSAMZN-1"), sz("Domain", "corp.example.com"), sz("NV Hostname", "WSAMZN-2"),
				},
			})).decideAccounts()
			if o.Status != c.want {
				t.Errorf("%s: %s", o.Status, o.Message)
			}
		})
	}
}

// TestNoServices has a complete but empty list of services. Every Windows has
// services, so a service that is missing from it proves nothing.
func TestNoServices(t *testing.T) {
	m := registryOnly(map[string][]hivetest.Value{`SYSTEM\Select`: {dword("Current", 1)},
		`SYSTEM\ControlSet001\Services`: nil})
	if services, err := m.Services(); err == nil {
		t.Errorf("%d services", len(services))
	}
	for name, judge := range map[string]func(*Machine) requirement.Outcome{
		"stxhd":    (*Machine).decideSTXHD,
		"accounts": (*Machine).decideAccounts,
	} {
		if o := judge(m); o.Status != requirement.Undetermined {
			t.Errorf("%s: %s: %s", name, o.Status, o.Message)
		}
	}
}
