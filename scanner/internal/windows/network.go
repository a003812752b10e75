package windows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const (
	keyInterfaces = machine.KeyServices + `\Tcpip\Parameters\Interfaces`
	classNetwork  = `{4d36e972-e325-11ce-bfc1-08002be10318}` // GUID_DEVCLASS_NET
)

// Bits of a network component's Characteristics (NCF_* of the driver kit).
const (
	ncfPhysical = 0x4
	ncfHidden   = 0x8
)

// configFlagDisabled is CONFIGFLAG_DISABLED in a device's ConfigFlags.
const configFlagDisabled = 0x1

var netDHCP = entry{
	Requirement: required("win.net.dhcp", "InvalidIp", "Every network adapter must use DHCP.",
		sectionTips+": The WorkSpace must be configured to use DHCP", explanation{
			Reads: `SYSTEM: Services\Tcpip\Parameters\Interfaces\*\EnableDHCP and IPAddress; Control\Class, ` +
				`Control\Network, Enum and Services\Tcpip\Linkage show which interfaces are adapters, enabled and ` +
				`bound to TCP/IP.`,
			Live: "Get-CimInstance Win32_NetworkAdapterConfiguration -Filter IPEnabled=true | Select-Object " +
				"Description, DHCPEnabled",
			Doubts: "The service's guide does not mention adapters that are disabled, or that keep a fixed address " +
				"while they use DHCP: both are warnings. Without EnableDHCP a fixed address counts as used, from " +
				"observation. Fixed name servers change nothing: the service sets them itself.",
			Fix: "Open ncpa.cpl, select the adapter, Properties, Internet Protocol Version 4, Properties, and choose " +
				"Obtain an IP address automatically.",
		}),
	Judge: (*Machine).decideDHCP,
}

// Adapter is an interface of TCP/IP and the device behind it.
type Adapter struct {
	GUID        string
	Name        string                 // of the connection: "Ethernet 2"
	Description string                 // of the driver
	Removed     bool                   // no device is behind it any more
	Old         bool                   // its device arrived at an earlier start than the last
	Software    bool                   // a hidden component of Windows that is no adapter
	Enabled     bool                   // the device is enabled, its driver is there and TCP/IP is bound to it
	Device      []requirement.Evidence // when its device came and went

	DHCP       machine.Setting[uint32]   // EnableDHCP
	Addresses  machine.Setting[[]string] // IPAddress
	NameServer machine.Setting[string]
	// Masks and Gateways are written with fixed addresses, and not for an adapter
	// at rest.
	Masks, Gateways machine.Setting[[]string]
}

// leftover is what is written of a fixed address whose own value is not there; nil
// if nothing is.
func (a Adapter) leftover() *requirement.Evidence {
	for _, s := range []machine.Setting[[]string]{a.Masks, a.Gateways} {
		if given(s.Value) != nil {
			return &s.Evidence
		}
	}
	return nil
}

// fixed returns the fixed addresses that are written for the adapter.
func (a Adapter) fixed() []string {
	return given(a.Addresses.Value)
}

// given leaves out what stands for no address.
func given(addresses []string) []string {
	var list []string
	for _, s := range addresses {
		if s = strings.TrimSpace(s); s != "" && s != "0.0.0.0" {
			list = append(list, s)
		}
	}
	return list
}

// title is what a person would call the adapter.
func (a Adapter) title() string {
	switch {
	case a.Name != "" && a.Description != "":
		return fmt.Sprintf("%s (%s)", a.Name, a.Description)
	case a.Name != "", a.Description != "":
		return a.Name + a.Description
	}
	return a.GUID
}

func (m *Machine) decideDHCP() requirement.Outcome {
	adapters, err := m.readAdapters()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeDHCP(adapters)
}

func (m *Machine) readAdapters() ([]Adapter, error) {
	interfaces, err := m.Key(keyInterfaces)
	if err != nil {
		return nil, err
	}
	if !interfaces.Exists() {
		return nil, fmt.Errorf("%s: key %s not found", interfaces.Evidence.Path, interfaces.Evidence.Key)
	}
	keys, err := m.Subkeys(interfaces)
	if err != nil {
		return nil, err
	}
	classes, err := m.networkClasses()
	if err != nil {
		return nil, err
	}
	bound, err := m.MultiAt(machine.KeyServices+`\Tcpip\Linkage`, "Bind")
	if err != nil {
		return nil, err
	}
	var adapters []Adapter
	for _, k := range keys {
		a := Adapter{GUID: k.Name()}
		if a.DHCP, err = m.DWord(k, "EnableDHCP"); err != nil {
			return nil, err
		}
		if a.Addresses, err = m.addresses(k); err != nil {
			return nil, err
		}
		if a.Masks, err = m.Multi(k, "SubnetMask"); err != nil {
			return nil, err
		}
		if a.Gateways, err = m.Multi(k, "DefaultGateway"); err != nil {
			return nil, err
		}
		if a.NameServer, err = m.Text(k, "NameServer"); err != nil {
			return nil, err
		}
		class, ok := classes[strings.ToUpper(a.GUID)]
		if !ok {
			a.Removed = true
			adapters = append(adapters, a)
			continue
		}
		a.Description, a.Software = class.description, class.software
		if a.Software {
			adapters = append(adapters, a)
			continue
		}
		device, err := m.networkDevice(a.GUID, class)
		if err != nil {
			return nil, err
		}
		a.Name, a.Old, a.Device = device.name, device.old, device.times
		a.Removed = !device.present
		a.Enabled = device.enabled && fold.Contains(bound.Value, `\Device\`+a.GUID)
		adapters = append(adapters, a)
	}
	return adapters, nil
}

// addresses reads IPAddress, which old versions also write as REG_SZ.
func (m *Machine) addresses(k machine.Key) (machine.Setting[[]string], error) {
	s, err := m.Multi(k, "IPAddress")
	if err == nil && s.Type != registry.MultiSZ {
		s.Value = strings.Fields(strings.ReplaceAll(strings.Join(s.Value, " "), ",", " "))
	}
	return s, err
}

// A networkClass is the driver's side of an adapter.
type networkClass struct {
	driver      string // as a device names it: "{4d36e972-…}\0007"
	description string
	instance    string // of the device, where the class key has it
	software    bool
}

// miniports are the ends of connections that Windows makes for itself, by the
// beginning of their component: a WAN miniport, a tunnel, the kernel debugger's.
var miniports = []string{"ms_ndiswan", "ms_pppoeminiport", "ms_pptpminiport", "ms_l2tpminiport", "ms_sstpminiport",
	"ms_agilevpnminiport", "ms_ptiminiport", "ms_passthru", "ms_kdnic", "ms_irdaminiport"}

// networkClasses returns the installed adapters by upper-case interface GUID.
func (m *Machine) networkClasses() (map[string]networkClass, error) {
	keys, err := m.SubkeysAt(machine.KeyControl + `\Class\` + classNetwork)
	if err != nil {
		return nil, err
	}
	classes := map[string]networkClass{}
	for _, k := range keys {
		if len(k.Name()) != 4 { // "0007"; "Configuration" and "Properties" are no drivers
			continue
		}
		id, err := m.Text(k, "NetCfgInstanceId")
		if err != nil {
			return nil, err
		}
		if !id.Present {
			continue
		}
		description, err := m.Text(k, "DriverDesc")
		if err != nil {
			return nil, err
		}
		component, err := m.Text(k, "ComponentId")
		if err != nil {
			return nil, err
		}
		characteristics, err := m.DWord(k, "Characteristics")
		if err != nil {
			return nil, err
		}
		instance, err := m.Text(k, "DeviceInstanceID")
		if err != nil {
			return nil, err
		}
		if known, twice := classes[strings.ToUpper(id.Value)]; twice && !known.software {
			continue // Windows makes no two; an adapter counts before what is none
		}
		hidden := characteristics.Value&ncfHidden != 0 && characteristics.Value&ncfPhysical == 0
		classes[strings.ToUpper(id.Value)] = networkClass{
			driver:      classNetwork + `\` + k.Name(),
			description: description.Value,
			instance:    instance.Value,
			software: hidden || slices.ContainsFunc(miniports,
				func(name string) bool { return fold.HasPrefix(component.Value, name) }),
		}
	}
	return classes, nil
}

// A networkDevice is the plug and play side of an adapter.
type networkDevice struct {
	name    string
	present bool // Enum knows the device, or it is not known which it is
	old     bool // it did not arrive at the last start
	enabled bool
	times   []requirement.Evidence
}

// networkDevice finds the device of an adapter: the one whose Driver names the
// adapter's class key. What the connection and the class key remember of the
// device's name is only where it is looked for first.
func (m *Machine) networkDevice(guid string, class networkClass) (networkDevice, error) {
	var d networkDevice
	connection, err := m.Key(machine.KeyControl + `\Network\` + classNetwork + `\` + guid + `\Connection`)
	if err != nil {
		return d, err
	}
	name, err := m.Text(connection, "Name")
	if err != nil {
		return d, err
	}
	d.name = name.Value
	pnp, err := m.Text(connection, "PnpInstanceID")
	if err != nil {
		return d, err
	}
	instance, device, err := m.deviceOf(class.driver, pnp.Value, class.instance)
	if err != nil {
		return d, err
	}
	if !device.Exists() {
		// Without any name of a device nothing says that it was removed.
		d.present = pnp.Value == "" && class.instance == ""
		return d, nil
	}
	times, err := m.deviceTimes(device)
	if err != nil {
		return d, err
	}
	start, err := m.LastStart()
	if err != nil {
		return d, err
	}
	presence := times.presence(instance, start)
	d.present, d.old, d.times = presence != deviceGone, presence == deviceOld, times.Evidence
	flags, err := m.DWord(device, "ConfigFlags")
	if err != nil {
		return d, err
	}
	driver, err := m.Text(device, "Service")
	if err != nil {
		return d, err
	}
	if driver.Value == "" {
		return d, nil
	}
	service, err := m.Service(driver.Value)
	if err != nil {
		return d, err
	}
	d.enabled = flags.Value&configFlagDisabled == 0 && service.Exists() &&
		service.Start.Value != machine.StartDisabled
	return d, nil
}

// obtainAddress says how adapters are set to use DHCP.
func obtainAddress(adapters []requirement.Subject) string {
	return "Open ncpa.cpl, select " + titles(adapters) + ", Properties, Internet Protocol Version 4, Properties, " +
		"and choose Obtain an IP address automatically."
}

// judgeDHCP decides win.net.dhcp.
func judgeDHCP(adapters []Adapter) requirement.Outcome {
	var fixed, off, old, both, good []string
	var fixedEvidence, offEvidence, oldEvidence, bothEvidence, goodEvidence, goneEvidence []requirement.Evidence
	var removed, named, resting, servers []string
	var fixedAbout, offAbout, oldAbout, bothAbout []requirement.Subject
	var unread, halved *requirement.Evidence
	for _, a := range adapters {
		addresses := a.fixed()
		what := a.title()
		if len(addresses) > 0 {
			what += ": " + strings.Join(addresses, ", ")
		}
		// Without EnableDHCP the address decides: no document names a default.
		noDHCP := a.DHCP.Present && a.DHCP.Value == 0
		static := len(addresses) > 0 && (noDHCP || !a.DHCP.Present)
		if static && !a.DHCP.Present {
			what += " (EnableDHCP is missing)"
		}
		evidence := []requirement.Evidence{a.DHCP.Evidence, a.Addresses.Evidence}
		subject := requirement.Subject{Kind: requirement.SubjectAdapter, ID: a.GUID, Name: a.Name,
			Reason: requirement.ReasonStatic, Value: strings.Join(addresses, ", ")}
		switch {
		case a.Removed:
			removed = append(removed, a.GUID)
			if what != a.GUID { // Windows itself has interfaces without an adapter
				named = append(named, what)
			}
			goneEvidence = append(goneEvidence, a.Device...)
		case a.Software:
		case noDHCP && a.Addresses.OtherType:
			unread = &a.Addresses.Evidence
		case static && a.Old:
			old, oldEvidence = append(old, what), append(append(oldEvidence, evidence...), a.Device...)
			oldAbout = append(oldAbout, subject)
		case static && a.Enabled:
			fixed, fixedEvidence = append(fixed, what), append(fixedEvidence, evidence...)
			fixedAbout = append(fixedAbout, subject)
		case static:
			off, offEvidence = append(off, what), append(offEvidence, evidence...)
			offAbout = append(offAbout, subject)
		case noDHCP && a.leftover() != nil:
			halved = a.leftover()
		case noDHCP:
			resting = append(resting, what)
			goneEvidence = append(goneEvidence, evidence...)
		case len(addresses) > 0:
			both, bothEvidence = append(both, what), append(bothEvidence, evidence...)
			bothAbout = append(bothAbout, subject)
		default:
			good, goodEvidence = append(good, what), append(goodEvidence, a.DHCP.Evidence)
			if a.NameServer.Value != "" {
				goodEvidence = append(goodEvidence, a.NameServer.Evidence)
				servers = append(servers, a.title()+": "+a.NameServer.Value)
			}
		}
	}
	var o requirement.Outcome
	switch {
	case len(fixed) > 0:
		o = requirement.Fail(prose.Count(len(fixed), "adapter has",
			"adapters have")+" a fixed address: "+prose.Some(fixed)+".", fixedEvidence...).About(fixedAbout...)
		o.Remediation = obtainAddress(fixedAbout)
	case halved != nil:
		return requirement.Unknown(
			"An adapter does not use DHCP. It has the "+halved.Value+" "+halved.Data+", but no address.", *halved)
	case unread != nil:
		return requirement.Unknown(
			fmt.Sprintf("An adapter does not use DHCP. Its address is unknown: IPAddress has the type %s.",
				unread.Type), *unread)
	case len(both) > 0:
		o = requirement.Warn(prose.Count(len(both), "adapter uses DHCP but keeps",
			"adapters use DHCP but keep")+" a fixed address: "+prose.Some(both)+".", bothEvidence...).About(bothAbout...)
		o.Remediation = obtainAddress(bothAbout)
	case len(off) > 0:
		o = requirement.Warn(prose.Count(len(off), "adapter has", "adapters have")+" a fixed address but "+
			form(len(off), "is", "are")+" disabled or not bound to TCP/IP: "+prose.Some(off)+".",
			offEvidence...).About(offAbout...)
		o.Remediation = obtainAddress(offAbout)
	case len(old) > 0:
		o = requirement.Warn(prose.Count(len(old), "adapter has", "adapters have")+" a fixed address but "+
			form(len(old), "was", "were")+" not present at the last start: "+prose.Some(old)+".",
			oldEvidence...).About(oldAbout...)
		o.Remediation = "Open devmgmt.msc, choose View, Show hidden devices, and uninstall " + titles(oldAbout) +
			". If it is in use, open ncpa.cpl and choose Obtain an IP address automatically."
	case len(good) == 0 && len(resting) > 0:
		return requirement.Unknown(
			"No network adapter uses DHCP, but every WorkSpace has one that does. These have neither DHCP nor an "+
				"address: "+prose.Some(resting)+".", goneEvidence...)
	case len(good) == 0:
		return requirement.Unknown("No network adapter was found, but every WorkSpace has one.")
	default:
		o = requirement.Pass(prose.Count(len(good), "adapter uses", "adapters use")+" DHCP: "+prose.Some(good)+".",
			append(goodEvidence, goneEvidence...)...)
		if len(servers) > 0 {
			o = o.Also("Fixed name servers: " + prose.Some(servers) + ".")
		}
		if len(resting) > 0 {
			o = o.Also("Neither DHCP nor an address: " + prose.Some(resting) + ".")
		}
		if len(named) > 0 {
			o = o.Also("Removed: " + prose.Some(named) + ".")
		}
	}
	if len(removed) > 0 || len(resting) > 0 {
		o.Details = struct {
			Removed []string `json:"removed_adapters,omitempty"`
			Resting []string `json:"adapters_without_address,omitempty"`
		}{removed, resting}
	}
	return o
}
