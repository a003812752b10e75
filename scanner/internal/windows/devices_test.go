package windows

import (
	"encoding/binary"
	"encoding/hex"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestDHCP(t *testing.T) {
	addresses := func(list ...string) machine.Setting[[]string] {
		return machine.Setting[[]string]{Value: list, Present: true, Evidence: evidence}
	}
	none := absent[[]string]()
	good := Adapter{GUID: "{1}", Enabled: true, DHCP: number(1), Addresses: none}
	for name, c := range map[string]struct {
		adapters []Adapter
		want     verdict
	}{
		"DHCP": {[]Adapter{good}, passed},
		"DHCP with an empty address": {[]Adapter{{Enabled: true, DHCP: number(1), Addresses: addresses("0.0.0.0")}},
			passed},
		"a fixed address": {[]Adapter{good,
			{Enabled: true, DHCP: number(0), Addresses: addresses("10.0.0.9")}}, failed},
		"no DHCP and no address": {[]Adapter{good, {Enabled: true, DHCP: number(0), Addresses: addresses("")}},
			passed},
		"nothing but that": {[]Adapter{{Enabled: true, DHCP: number(0), Addresses: addresses("0.0.0.0")}},
			undetermined},
		"an address of another type": {[]Adapter{good,
			{Enabled: true, DHCP: number(0), Addresses: machine.Setting[[]string]{OtherType: true}}}, undetermined},
		"an address of an old device": {[]Adapter{good,
			{Old: true, Enabled: true, DHCP: number(0), Addresses: addresses("10.0.0.9")}}, warning},
		"an old device, removed": {[]Adapter{good,
			{Old: true, Removed: true, DHCP: number(0), Addresses: addresses("10.0.0.9")}}, passed},
		"an old device that uses DHCP": {[]Adapter{{Old: true, Enabled: true, DHCP: number(1), Addresses: none}}, passed},
		"nothing written":              {[]Adapter{{Enabled: true, DHCP: absent[uint32](), Addresses: none}}, passed},
		"only an address": {
			[]Adapter{{Enabled: true, DHCP: absent[uint32](), Addresses: addresses("10.0.0.9")}}, failed},
		"DHCP that keeps an address": {[]Adapter{{Enabled: true, DHCP: number(1), Addresses: addresses("10.0.0.9")}},
			warning},
		"a fixed address, disabled": {[]Adapter{good, {DHCP: number(0), Addresses: addresses("10.0.0.9")}}, warning},
		"a fixed address, removed": {[]Adapter{good,
			{Removed: true, DHCP: number(0), Addresses: addresses("10.0.0.9")}}, passed},
		"a fixed address of a component": {[]Adapter{good, {Software: true, Enabled: true, DHCP: number(0)}}, passed},
		"no adapter":                     {nil, undetermined},
		"only removed ones":              {[]Adapter{{Removed: true, DHCP: number(1)}}, undetermined},
	} {
		t.Run(name, func(t *testing.T) { check(t, netDHCP, judgeDHCP(c.adapters), c.want) })
	}
	servers := good
	servers.NameServer = words("10.0.0.2")
	if o := judgeDHCP([]Adapter{servers}); o.Status != requirement.Passed ||
		!strings.Contains(o.Message, "{1}: 10.0.0.2") {
		t.Errorf("fixed name servers: %s: %s", o.Status, o.Message)
	}
}

// TestAdapters shows which adapters count as there, by the keys of their
// device.
func TestAdapters(t *testing.T) {
	const guid, class = "{C40D2F88-7A16-4C39-B5E2-91F3A60D4B72}",
		`SYSTEM\ControlSet001\Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318}\0001`
	const connection = `SYSTEM\ControlSet001\Control\Network\{4D36E972-E325-11CE-BFC1-08002BE10318}\` + guid +
		`\Connection`
	const device, driver = `SYSTEM\ControlSet001\Enum\PCI\1`, `SYSTEM\ControlSet001\Services\nic`
	all := map[string][]hivetest.Value{
		`SYSTEM\Select`: {dword("Current", 1)},
		`SYSTEM\ControlSet001\Services\Tcpip\Parameters\Interfaces\` + guid: {dword("EnableDHCP", 0),
			multi("IPAddress", "10.0.0.9")},
		`SYSTEM\ControlSet001\Services\Tcpip\Linkage`: {multi("Bind", `\Device\`+guid)},
		class:      {sz("NetCfgInstanceId", guid), sz("DriverDesc", "NIC")},
		connection: {sz("Name", "Ethernet"), sz("PnpInstanceID", `PCI\1`)},
		device:     {sz("Service", "nic"), dword("ConfigFlags", 0)},
		driver:     {dword("Start", 3), dword("Type", 1)},
	}
	for name, c := range map[string]struct {
		without string
		instead []hivetest.Value
		want    verdict
	}{
		"all is there":         {"", nil, failed},
		"no driver":            {driver, nil, warning},
		"a driver that is off": {driver, []hivetest.Value{dword("Start", 4)}, warning},
		"a device that is off": {device, []hivetest.Value{sz("Service", "nic"), dword("ConfigFlags", 1)}, warning},
		"a device of another class": {device,
			[]hivetest.Value{sz("Service", "nic"), sz("Driver", `{4d36e972-e325-11ce-bfc1-08002be10318}\0002`)}, undetermined},
		"a network bridge": {class,
			[]hivetest.Value{sz("NetCfgInstanceId", guid), sz("ComponentId", "ms_bridgemp"), dword("Characteristics", 1)},
			failed},
		"a hidden bridge": {class,
			[]hivetest.Value{sz("NetCfgInstanceId", guid), sz("ComponentId", "ms_bridgemp"), dword("Characteristics", 9)},
			undetermined},
		"a miniport that is not hidden": {class,
			[]hivetest.Value{sz("NetCfgInstanceId", guid), sz("ComponentId", "ms_ndiswanip")}, undetermined},
		"a device of no driver": {device, []hivetest.Value{dword("ConfigFlags", 0)}, warning},
		"no device":             {device, nil, undetermined},
		"a device of no name":   {connection, []hivetest.Value{sz("Name", "Ethernet")}, warning},
		"no connection":         {connection, nil, warning},
		"no class":              {class, nil, undetermined},
		"flags that are a text": {device, []hivetest.Value{sz("Service", "nic"), sz("ConfigFlags", "1")}, failed},
		"an address in one text": {`SYSTEM\ControlSet001\Services\Tcpip\Parameters\Interfaces\` + guid,
			[]hivetest.Value{sz("IPAddress", "10.0.0.9")}, failed},
	} {
		t.Run(name, func(t *testing.T) {
			keys := maps.Clone(all)
			delete(keys, c.without)
			if c.instead != nil {
				keys[c.without] = c.instead
			}
			check(t, netDHCP, registryOnly(keys).decideDHCP(), c.want)
		})
	}
}

// TestDeviceOfAdapter finds the device of an adapter by the class key that it
// names, whatever the connection remembers, and asks when it came and went.
func TestDeviceOfAdapter(t *testing.T) {
	const guid, number = "{C40D2F88-7A16-4C39-B5E2-91F3A60D4B72}", `{4d36e972-e325-11ce-bfc1-08002be10318}\0001`
	const system = `SYSTEM\ControlSet001\`
	const dates = `\Properties\{83da6326-97a6-4088-9453-a1923f573b29}\`
	at := func(hours uint64) []hivetest.Value {
		return []hivetest.Value{{Type: uint32(typeFileTimeProp),
			Data: binary.LittleEndian.AppendUint64(nil, (420_000*24+hours)*3600*1e7)}}
	}
	nic := []hivetest.Value{sz("Service", "nic"), sz("Driver", strings.ToUpper(number))}
	for name, c := range map[string]struct {
		keys map[string][]hivetest.Value
		want verdict
	}{
		"the connection's device": {map[string][]hivetest.Value{`Enum\PCI\OLD\1`: nic}, failed},
		"another device":          {map[string][]hivetest.Value{`Enum\PCI\NEW\1`: nic}, failed},
		"no device": {
			map[string][]hivetest.Value{`Enum\PCI\NEW\1`: {sz("Driver", "{36fc9e60-c465-11cf-8056-444553540000}\\0001")}},
			undetermined},
		"the other of two was removed": {map[string][]hivetest.Value{`Enum\PCI\A\1`: nic, `Enum\PCI\B\1`: nic,
			`Enum\PCI\B\1` + dates + deviceArrived: at(1), `Enum\PCI\B\1` + dates + deviceRemoved: at(2)}, failed},
		"removed": {map[string][]hivetest.Value{`Enum\PCI\OLD\1`: nic, `Enum\PCI\OLD\1` + dates + deviceArrived: at(1),
			`Enum\PCI\OLD\1` + dates + deviceRemoved: at(2)}, undetermined},
		"removed, and another in its place": {map[string][]hivetest.Value{`Enum\PCI\OLD\1`: nic,
			`Enum\PCI\OLD\1` + dates + deviceArrived: at(1), `Enum\PCI\OLD\1` + dates + deviceRemoved: at(2),
			`Enum\PCI\NEW\1`: nic}, failed},
		"hidden by a second class key": {map[string][]hivetest.Value{`Enum\PCI\OLD\1`: nic,
			`Control\Class\{4d36e972-e325-11ce-bfc1-08002be10318}\0009`: {sz("NetCfgInstanceId", guid),
				sz("ComponentId", "ms_ndiswanip"), dword("Characteristics", 9)}}, failed},
		"removed, and back": {map[string][]hivetest.Value{`Enum\PCI\OLD\1`: nic,
			`Enum\PCI\OLD\1` + dates + deviceArrived: at(2), `Enum\PCI\OLD\1` + dates + deviceRemoved: at(1)}, failed},
		"removed, and the clock went back": {map[string][]hivetest.Value{`Enum\PCI\OLD\1`: nic,
			`Enum\PCI\OLD\1` + dates + deviceArrived: at(1), `Enum\PCI\OLD\1` + dates + deviceRemoved: at(2),
			`Enum\PCI\X\1` + dates + deviceInstalled: at(9), `Enum\PCI\X\1` + dates + deviceArrived: at(1)}, failed},
		"of an earlier start": {map[string][]hivetest.Value{`Enum\PCI\OLD\1`: nic,
			`Enum\PCI\OLD\1` + dates + deviceArrived: at(1), `Enum\ACPI_HAL\PNP0C08\0` + dates + deviceArrived: at(30)},
			warning},
		"of the last start": {map[string][]hivetest.Value{`Enum\PCI\OLD\1`: nic,
			`Enum\PCI\OLD\1` + dates + deviceArrived: at(30), `Enum\ACPI_HAL\PNP0C08\0` + dates + deviceArrived: at(30)},
			failed},
		"by the PCI devices": {map[string][]hivetest.Value{`Enum\PCI\OLD\1`: nic,
			`Enum\PCI\OLD\1` + dates + deviceArrived: at(1), `Enum\PCI\X\1` + dates + deviceArrived: at(30)}, warning},
		"a time of another type": {map[string][]hivetest.Value{`Enum\PCI\OLD\1`: nic,
			`Enum\PCI\OLD\1` + dates + deviceArrived: at(1),
			`Enum\PCI\OLD\1` + dates + deviceRemoved: {sz("", "2")}}, failed},
	} {
		t.Run(name, func(t *testing.T) {
			keys := map[string][]hivetest.Value{
				`SYSTEM\Select`: {dword("Current", 1), dword("Default", 1)},
				system + `Services\Tcpip\Parameters\Interfaces\` + guid: {dword("EnableDHCP", 0),
					multi("IPAddress", "10.0.0.9")},
				system + `Services\Tcpip\Linkage`:  {multi("Bind", `\Device\`+guid)},
				system + `Control\Class\` + number: {sz("NetCfgInstanceId", guid), sz("DriverDesc", "NIC")},
				system + `Control\Network\{4D36E972-E325-11CE-BFC1-08002BE10318}\` + guid + `\Connection`: {sz("Name", "Ethernet"),
					sz("PnpInstanceID", `PCI\OLD\1`)},
				system + `Services\nic`: {dword("Start", 3), dword("Type", 1)},
			}
			for key, values := range c.keys {
				keys[system+key] = values
			}
			check(t, netDHCP, registryOnly(keys).decideDHCP(), c.want)
		})
	}
}

// TestPresence asks the times of a device by themselves.
func TestPresence(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 1, n, 0, 0, 0, 0, time.UTC) }
	start := lastStart{Time: day(9)}
	for name, c := range map[string]struct {
		times    deviceTimes
		instance string
		start    lastStart
		want     devicePresence
	}{
		"nothing written":           {deviceTimes{}, `PCI\1`, start, deviceUnknown},
		"at the last start":         {deviceTimes{Arrived: day(9)}, `PCI\1`, start, deviceHere},
		"just before it":            {deviceTimes{Arrived: day(9).Add(-startMargin)}, `PCI\1`, start, deviceHere},
		"clearly before it":         {deviceTimes{Arrived: day(9).Add(-startMargin - 1)}, `PCI\1`, start, deviceOld},
		"plugged in later":          {deviceTimes{Arrived: day(10)}, `USB\1`, start, deviceHere},
		"removed":                   {deviceTimes{Arrived: day(9), Removed: day(10)}, `USB\1`, start, deviceGone},
		"removed, no start known":   {deviceTimes{Arrived: day(9), Removed: day(10)}, `USB\1`, lastStart{}, deviceGone},
		"removed and back":          {deviceTimes{Arrived: day(10), Removed: day(9)}, `USB\1`, start, deviceHere},
		"old, no start known":       {deviceTimes{Arrived: day(1)}, `PCI\1`, lastStart{}, deviceUnknown},
		"old, made by software":     {deviceTimes{Arrived: day(1)}, `root\NET\0000`, start, deviceUnknown},
		"removed, made by software": {deviceTimes{Arrived: day(1), Removed: day(2)}, `ROOT\NET\0000`, start, deviceGone},
		"removed, no arrival":       {deviceTimes{Removed: day(2)}, `PCI\1`, start, deviceUnknown},
		"removed, clock went back": {deviceTimes{Arrived: day(1), Removed: day(2)}, `PCI\1`, lastStart{ClockBack: true},
			deviceUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			if got := c.times.presence(c.instance, c.start); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
	if got := filetime.Exact(0x1d88655fb5e_2b7c); got.Year() != 2022 {
		t.Error(got)
	}
}

func TestParseMount(t *testing.T) {
	for in, want := range map[string]struct {
		device string
		disk   bool
	}{
		"7eb1c35a0000501f00000000": {"MBR 5AC3B17E offset 525336576", true},
		"444d494f3a49443ac0c76b8d2f4e1b4a9b773e5d0c41a2f6": {
			DeviceGPT([16]byte{0xc0, 0xc7, 0x6b, 0x8d, 0x2f, 0x4e, 0x1b, 0x4a, 0x9b, 0x77, 0x3e, 0x5d, 0x0c, 0x41, 0xa2, 0xf6}),
			true},
		"5c003f003f005c00": {`\??\`, false},
		"":                 {"", false},
		"00":               {"", false},
	} {
		data, err := hex.DecodeString(in)
		if err != nil {
			t.Fatal(err)
		}
		if device, disk := parseMount(data); device != want.device || disk != want.disk {
			t.Errorf("%s: %q, %t", in, device, disk)
		}
	}
	if got := DeviceGPT([16]byte{0xc0, 0xc7, 0x6b, 0x8d, 0x2f, 0x4e, 0x1b, 0x4a, 0x9b, 0x77, 0x3e, 0x5d, 0x0c, 0x41, 0xa2,
		0xf6}); got != "GPT {8D6BC7C0-4E2F-4A1B-9B77-3E5D0C41A2F6}" {
		t.Error(got)
	}
}

func TestDrives(t *testing.T) {
	partitions := []Partition{{DeviceMBR(1, 1048576), "root.img, partition 1"},
		{DeviceMBR(1, 525336576), "root.img, partition 2"}}
	mount := func(letter, device string) Mount {
		return Mount{Letter: letter, Device: device, Disk: true, Evidence: evidence}
	}
	cdrom := func(name string, presence devicePresence) Mount {
		return Mount{Letter: "E", Device: `\??\` + name + `#{53f56308-b6bf-11d0-94f2-00a0c91efb8b}`, Evidence: evidence,
			Presence: presence}
	}
	cd := []Mount{mount("C", partitions[1].Device), mount("D", DeviceMBR(9, 1))}
	also := func(more ...Mount) Drives { return Drives{Mounts: append(append([]Mount{}, cd...), more...)} }
	alias := words(`\??\C:\data`)
	alias.Evidence.Value = "X:"
	for name, c := range map[string]struct {
		drives Drives
		want   verdict
	}{
		"C and D":                        {also(), passed},
		"E on a partition of the images": {also(mount("E", partitions[0].Device)), failed},
		"E on another disk":              {also(mount("E", DeviceMBR(7, 1048576))), inferred},
		"a CD-ROM":                       {also(cdrom("SCSI#CdRom&Ven_QEMU#1&2", deviceUnknown)), inferred},
		"a CD-ROM that started":          {also(cdrom("SCSI#CdRom&Ven_QEMU#1&2", deviceHere)), inferred},
		"a CD-ROM that was removed":      {also(cdrom("SCSI#CdRom&Ven_QEMU#1&2", deviceGone)), passed},
		"a virtual CD that started":      {also(cdrom("SCSI#CdRom&Ven_ELBY&Prod_CLONEDRIVE#1&2", deviceHere)), failed},
		"a virtual CD that is old":       {also(cdrom("SCSI#CdRom&Ven_ELBY&Prod_CLONEDRIVE#1&2", deviceOld)), inferred},
		"a floppy":                       {also(Mount{Letter: "A", Device: `\??\FDC#GENERIC`, Evidence: evidence}), passed},
		"a stick": {also(Mount{Letter: "E", Device: `_??_USBSTOR#Disk`, Evidence: evidence}),
			inferred},
		"a script on a share":     {Drives{Mounts: cd, Remote: []string{`\\server\logon.cmd`}}, inferred},
		"a letter for a folder":   {Drives{Mounts: cd, Aliases: []machine.Setting[string]{alias}}, failed},
		"a virtual disk at start": {Drives{Mounts: cd, Attached: []requirement.Evidence{evidence}}, warning},
		"a page file on E": {Drives{Mounts: cd,
			PageFiles: machine.Setting[[]string]{Value: []string{`E:\pagefile.sys 0 0`}}}, warning},
		"page files on C, D and any": {Drives{Mounts: cd,
			PageFiles: machine.Setting[[]string]{Value: []string{`c:\pagefile.sys`, `D:\x`, `?:\pagefile.sys`}}}, passed},
		"a driver of drives": {Drives{Mounts: cd, Makers: []machine.Service{{Name: "WinFsp", Start: number(2)}}},
			warning},
		"a policy maps H": {Drives{Mounts: cd, Maps: []driveMap{{Letter: "H", Path: `\\server\home`}}}, warning},
		"a policy maps D": {Drives{Mounts: cd, Maps: []driveMap{{Letter: "d", Path: `\\server\home`}}}, passed},
		"a task makes X": {Drives{Mounts: cd,
			Commands: []machine.DriveMaking{{Who: "task Backup", What: "subst X:", Evidence: evidence}}}, warning},
		"not all was read":        {Drives{Mounts: cd, Err: errHive}, undetermined},
		"not all was read, and E": {Drives{Mounts: []Mount{mount("E", partitions[0].Device)}, Err: errHive}, failed},
		"nothing is mounted":      {Drives{}, passed},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := judgeDrives(c.drives, partitions)
			check(t, drivesOnlyCD, o, c.want)
		})
	}
	share, lost := words(`\\server\home`), absent[string]()
	share.Evidence.Key, lost.Evidence.Key = `Network\h`, `Network\i`
	check(t, drivesOnlyCD, judgeNetworkDrives([]machine.Setting[string]{share}, "jdoe"), failed)
	check(t, drivesOnlyCD, judgeNetworkDrives([]machine.Setting[string]{lost}, "jdoe"), warning)
	check(t, drivesOnlyCD, judgeNetworkDrives([]machine.Setting[string]{lost, share}, "jdoe"), failed)
}

func TestParseDrivesXML(t *testing.T) {
	doc := `<?xml version="1.0" encoding="utf-8"?>
<Drives clsid="{8FDDCC1A}"><Drive name="H:"><Properties action="U" path="\\server\home" letter="H" useLetter="1"/></Drive>
<Drive name="G:"><Properties action="D" path="" letter="G"/></Drive></Drives>`
	got, err := parseDrivesXML([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]driveMap{{Letter: "H", Path: `\\server\home`}}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := parseDrivesXML([]byte("<Drives>")); err == nil {
		t.Error("a file that is cut short is read as one without drives")
	}
}

func TestApps(t *testing.T) {
	one := []placed{{"Tool", `D:\Tool`, evidence}}
	for name, c := range map[string]struct {
		off    offPlaces
		modern bool
		want   verdict
	}{
		"nothing":                        {offPlaces{Looked: "3 applications"}, true, passed},
		"of the machine":                 {offPlaces{Machine: one}, true, failed},
		"of one user":                    {offPlaces{Own: one}, true, passed},
		"of one user, Windows 7":         {offPlaces{Own: one}, false, warning},
		"a folder on D":                  {offPlaces{Folders: one}, true, warning},
		"a folder and a user":            {offPlaces{Folders: one, Own: one}, true, warning},
		"of the machine and of one user": {offPlaces{Machine: one, Own: one, Folders: one}, false, failed},
		"other paths":                    {offPlaces{Named: []string{`D:\data`}}, true, passed},
	} {
		t.Run(name, func(t *testing.T) { check(t, appsOnC, judgeApps(c.off, c.modern, evidence), c.want) })
	}
}

func TestPVDrivers(t *testing.T) {
	set := func(names []string, change func(*driver)) []driver {
		var list []driver
		for i, name := range names {
			d := driver{Name: name, Service: machine.Service{Name: name, Start: number(0), Key: evidence}, File: there}
			if i == len(names)-1 && change != nil {
				change(&d)
			}
			list = append(list, d)
		}
		return list
	}
	gone := func(names []string) []driver {
		var list []driver
		for _, name := range names {
			list = append(list, driver{Name: name, Service: machine.Service{Key: evidence}})
		}
		return list
	}
	notThere := func(d *driver) { d.Service = machine.Service{Key: evidence} }
	off := func(d *driver) { d.Service.Start = number(machine.StartDisabled) }
	noFile := func(d *driver) { d.File = missing }
	empty := func(d *driver) { d.File = machine.File{Exists: true, Evidence: evidence} }
	folder := func(d *driver) { d.File = machine.File{Exists: true, Dir: true, Size: 1, Evidence: evidence} }
	amazon := pvVendor{Version: words("8.4.3"), Folder: machine.File{Exists: true, Dir: true}}
	for name, c := range map[string]struct {
		pv, nitro, other []driver
		want             verdict
	}{
		"both sets":                      {set(pvDrivers, nil), set(nitroDrivers, nil), nil, passed},
		"PV":                             {set(pvDrivers, nil), gone(nitroDrivers), nil, passed},
		"Nitro":                          {gone(pvDrivers), set(nitroDrivers, nil), nil, passed},
		"neither":                        {gone(pvDrivers), gone(nitroDrivers), nil, failed},
		"Citrix":                         {gone(pvDrivers), gone(nitroDrivers), set(otherDrivers[:1], nil), failed},
		"PV without one":                 {set(pvDrivers, notThere), gone(nitroDrivers), nil, failed},
		"PV without one, Nitro":          {set(pvDrivers, notThere), set(nitroDrivers, nil), nil, passed},
		"one disabled":                   {set(pvDrivers, off), gone(nitroDrivers), nil, failed},
		"one disabled, Nitro":            {set(pvDrivers, off), set(nitroDrivers, nil), nil, passed},
		"one without its file":           {set(pvDrivers, noFile), gone(nitroDrivers), nil, failed},
		"one without its file, Nitro":    {set(pvDrivers, noFile), set(nitroDrivers, nil), nil, failed},
		"one of each disabled":           {set(pvDrivers, off), set(nitroDrivers, off), nil, failed},
		"one with an empty file":         {set(pvDrivers, empty), gone(nitroDrivers), nil, failed},
		"one with a folder for a file":   {set(pvDrivers, folder), gone(nitroDrivers), nil, failed},
		"Nitro without NVMe":             {gone(pvDrivers), set(nitroDrivers, notThere), nil, failed},
		"PV, and Nitro without its file": {set(pvDrivers, nil), set(nitroDrivers, noFile), nil, failed},
		"PV, and Nitro disabled":         {set(pvDrivers, nil), set(nitroDrivers, off), nil, passed},
		"PV, and half of Nitro":          {set(pvDrivers, nil), set(nitroDrivers, notThere), nil, passed},
		"PV, one without a start type": {set(pvDrivers, func(d *driver) { d.Service.Start = absent[uint32]() }),
			gone(nitroDrivers), nil, failed},
		"PV, one that is going away next": {set(pvDrivers, func(d *driver) { d.Service.Deleted = true }), gone(nitroDrivers),
			nil, failed},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, componentPVDrivers, judgePVDrivers(c.pv, c.nitro, c.other, amazon), c.want)
		})
	}
	// Drivers of other vendors have the same names.
	for name, c := range map[string]struct {
		vendor pvVendor
		nitro  []driver
		want   verdict
	}{
		"nobody's":                   {pvVendor{}, gone(nitroDrivers), warning},
		"nobody's, and Nitro":        {pvVendor{}, set(nitroDrivers, nil), passed},
		"with AWS's key alone":       {pvVendor{Key: machine.Key{Key: &registry.Key{}}}, gone(nitroDrivers), passed},
		"with a file for the folder": {pvVendor{Folder: machine.File{Exists: true}}, gone(nitroDrivers), warning},
		"nobody's, Nitro disabled":   {pvVendor{}, set(nitroDrivers, off), warning},
	} {
		t.Run(name, func(t *testing.T) {
			check(t, componentPVDrivers, judgePVDrivers(set(pvDrivers, nil), c.nitro, nil, c.vendor), c.want)
		})
	}
}

func TestProtocolComponents(t *testing.T) {
	on := driver{Name: "X", Service: machine.Service{Name: "X", DisplayName: "STXHD Hosted Application Service",
		Start: number(2), Key: evidence}, File: there}
	none := driver{Name: "X", Service: machine.Service{Key: evidence}}
	off, bare := on, on
	off.Service.Start = number(machine.StartDisabled)
	bare.File = missing
	for name, c := range map[string]struct {
		pcoip, dcv, stxhd    driver
		wantPCoIP, wantSTXHD verdict
	}{
		"PCoIP with STXHD":          {pcoip: on, dcv: none, stxhd: on, wantPCoIP: passed, wantSTXHD: passed},
		"PCoIP without STXHD":       {pcoip: on, dcv: none, stxhd: none, wantPCoIP: passed, wantSTXHD: failed},
		"PCoIP, STXHD disabled":     {pcoip: on, dcv: none, stxhd: off, wantPCoIP: passed, wantSTXHD: failed},
		"PCoIP, STXHD without file": {pcoip: on, dcv: none, stxhd: bare, wantPCoIP: passed, wantSTXHD: failed},
		"DCV only":                  {pcoip: none, dcv: on, stxhd: none, wantPCoIP: passed, wantSTXHD: skipped},
		"both, no STXHD":            {pcoip: on, dcv: on, stxhd: none, wantPCoIP: passed, wantSTXHD: inferred},
		"both, STXHD disabled":      {pcoip: on, dcv: on, stxhd: off, wantPCoIP: passed, wantSTXHD: passed},
		"neither":                   {pcoip: none, dcv: none, stxhd: none, wantPCoIP: failed, wantSTXHD: failed},
		"PCoIP disabled":            {pcoip: off, dcv: none, stxhd: on, wantPCoIP: failed, wantSTXHD: passed},
		"PCoIP without its program": {pcoip: bare, dcv: none, stxhd: on, wantPCoIP: failed, wantSTXHD: passed},
		"PCoIP disabled, DCV on":    {pcoip: off, dcv: on, stxhd: none, wantPCoIP: passed, wantSTXHD: inferred},
		"DCV disabled":              {pcoip: none, dcv: off, stxhd: none, wantPCoIP: failed, wantSTXHD: failed},
	} {
		t.Run(name, func(t *testing.T) {
			p := protocols{PCoIP: c.pcoip, DCV: c.dcv}
			check(t, componentPCoIP, judgePCoIP(p), c.wantPCoIP)
			check(t, componentSTXHD, judgeSTXHD(c.stxhd, p), c.wantSTXHD)
		})
	}
}

func TestSkylight(t *testing.T) {
	agent := func(start uint32) driver {
		return driver{Name: "SkyLight", Service: machine.Service{Name: "SkyLight", Start: number(start), Key: evidence},
			File: there}
	}
	bare := agent(2)
	bare.File = missing
	for name, c := range map[string]struct {
		agent driver
		want  verdict
	}{
		"automatic":     {agent(2), passed},
		"manual":        {agent(3), failed},
		"disabled":      {agent(4), failed},
		"no program":    {bare, failed},
		"not installed": {driver{Name: "SkyLight", Service: machine.Service{Key: evidence}}, failed},
	} {
		t.Run(name, func(t *testing.T) { check(t, componentSkylight, judgeSkylight("Skylight agent", c.agent, nil), c.want) })
	}
}

func TestWAM(t *testing.T) {
	check(t, wamInstalled, judgeWAM(nil), skipped)
	check(t, wamInstalled, judgeWAM([]requirement.Evidence{evidence}), warning)
	for name, want := range map[string]bool{"Amazon WAM": true, "Amazon WorkSpaces Application Manager 1.1": true,
		"Amazon Corretto": false} {
		if isWAM(name) != want {
			t.Errorf("isWAM(%q) is %t", name, !want)
		}
	}
}
