package windows

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const keyEnum = `HKLM\SYSTEM\CurrentControlSet\Enum`

// Properties of a device in Enum\DEVICE\Properties that say when it came and
// went (devpkey.h: DEVPKEY_Device_FirstInstallDate, LastArrivalDate and
// LastRemovalDate, 101 to 103). Windows 8 and later keep each in the default value
// of a key that is named by the property's number in hex. The type of the value is
// 0xFFFF0000 with DEVPROP_TYPE_FILETIME (devpropdef.h). Windows 7 keeps the first
// one otherwise and does not have the last two.
const (
	deviceDates      = `Properties\{83da6326-97a6-4088-9453-a1923f573b29}`
	deviceInstalled  = "0065"
	deviceArrived    = "0066"
	deviceRemoved    = "0067"
	typeFileTimeProp = registry.Type(0xFFFF0010)
)

// dateTypes are the types that a date may have: that of Windows, without its
// upper half, and what is left of either by tools that know no such types.
var dateTypes = []registry.Type{typeFileTimeProp, 0x10, registry.Binary}

// deviceTimes are when a device was first installed, last arrived and was last
// removed. A time that is not written is zero.
type deviceTimes struct {
	Installed, Arrived, Removed time.Time
	Evidence                    []requirement.Evidence // of those that are written
}

// deviceTimes reads the times of the device that a key below Enum is of; the
// key may be absent.
func (m *Machine) deviceTimes(device machine.Key) (deviceTimes, error) {
	var t deviceTimes
	dates, err := m.subkeyPath(device, deviceDates)
	if err != nil {
		return t, err
	}
	for _, property := range []struct {
		key  string
		into *time.Time
	}{{deviceInstalled, &t.Installed}, {deviceArrived, &t.Arrived}, {deviceRemoved, &t.Removed}} {
		k, err := m.Subkey(dates, property.key)
		if err != nil {
			return t, err
		}
		s, err := machine.ReadSetting(m.Machine, k, "", dateTypes, (*registry.Value).Data, showFileTime)
		if err != nil {
			return t, err
		}
		if len(s.Value) != 8 || binary.LittleEndian.Uint64(s.Value) == 0 {
			continue
		}
		*property.into = filetime.Exact(binary.LittleEndian.Uint64(s.Value))
		t.Evidence = append(t.Evidence, s.Evidence)
	}
	return t, nil
}

// deviceOf finds the device whose Driver names a class key
// ("{4d36e972-…}\0007"), first by the names under which it was known. A device
// that was removed, and then one under these names without any Driver, is taken
// if there is no better one.
func (m *Machine) deviceOf(driver string, known ...string) (instance string, device machine.Key, err error) {
	var nameless machine.Key
	var namelessInstance string
	for _, name := range known {
		if name == "" {
			continue
		}
		k, err := m.Key(keyEnum + `\` + name)
		if err != nil {
			return "", machine.Key{}, err
		}
		own, err := m.Text(k, "Driver")
		if err != nil {
			return "", machine.Key{}, err
		}
		switch {
		case strings.EqualFold(own.Value, driver):
			times, err := m.deviceTimes(k)
			if err != nil || !times.Removed.After(times.Arrived) {
				return name, k, err
			}
		case k.Exists() && !own.Present:
			namelessInstance, nameless = name, k
		}
	}
	devices, err := m.devices.Get(m.next().readDevices)
	if err != nil {
		return "", machine.Key{}, err
	}
	if name, found := devices[strings.ToUpper(driver)]; found {
		k, err := m.Key(keyEnum + `\` + name)
		return name, k, err
	}
	return namelessInstance, nameless, nil
}

// maxDevices bounds the devices of a machine. Desktops of many years have some
// thousands.
const maxDevices = 50_000

// readDevices returns the devices of the machine by the upper-case name of the
// class key that they name. Where two name one, as no Windows does, the one that
// was not removed counts.
func (m *Machine) readDevices() (map[string]string, error) {
	enum, err := m.Key(keyEnum)
	if err != nil {
		return nil, err
	}
	buses, err := m.Subkeys(enum)
	if err != nil {
		return nil, err
	}
	devices := map[string]string{}
	seen := 0
	for _, bus := range buses {
		kinds, err := m.Subkeys(bus)
		if err != nil {
			return nil, err
		}
		for _, kind := range kinds {
			instances, err := m.Subkeys(kind)
			if err != nil {
				return nil, err
			}
			if seen += len(instances) + 1; seen > maxDevices {
				return nil, fmt.Errorf("%w: %s: %s has more than %d devices", registry.ErrUnsupported,
					enum.Evidence.Path, enum.Evidence.Key, maxDevices)
			}
			for _, k := range instances {
				driver, err := m.Text(k, "Driver")
				if err != nil {
					return nil, err
				}
				if driver.Value == "" {
					continue
				}
				name := strings.ToUpper(driver.Value)
				if _, twice := devices[name]; twice {
					times, err := m.deviceTimes(k)
					if err != nil {
						return nil, err
					}
					if times.Removed.After(times.Arrived) {
						continue
					}
				}
				devices[name] = bus.Name() + `\` + kind.Name() + `\` + k.Name()
			}
		}
	}
	return devices, nil
}

// subkeyPath looks for a key some levels below another, which may be absent.
func (m *Machine) subkeyPath(k machine.Key, path string) (machine.Key, error) {
	var err error
	for name := range strings.SplitSeq(path, `\`) {
		if k, err = m.Subkey(k, name); err != nil {
			return machine.Key{}, err
		}
	}
	return k, nil
}

func showFileTime(b []byte) string {
	if len(b) != 8 {
		return machine.ShowBytes(b)
	}
	return filetime.Exact(binary.LittleEndian.Uint64(b)).Format(time.RFC3339)
}

// A lastStart is when Windows last started, by the times of the devices that
// arrive then. Windows 7 does not write them.
type lastStart struct {
	Time      time.Time // zero if it is not known
	ClockBack bool      // the clock went back, so that no two times can be compared
	Evidence  requirement.Evidence
}

// maxPCIDevices bounds how many devices are looked through for the last start.
// Machines have a few dozen.
const maxPCIDevices = 4096

// LastStart reads when Windows last started: when the ACPI device arrived that
// all others are below, else when the newest of the PCI devices did.
func (m *Machine) LastStart() (lastStart, error) { return m.started.Get(m.next().readLastStart) }

func (m *Machine) readLastStart() (lastStart, error) {
	var start, newest lastStart
	root, err := m.Key(keyEnum + `\ACPI_HAL\PNP0C08`)
	if err != nil {
		return start, err
	}
	boards, err := m.SubkeysUpTo(root, maxPCIDevices)
	if err != nil {
		return start, err
	}
	for _, k := range boards {
		t, err := m.deviceTimes(k)
		if err != nil {
			return start, err
		}
		start.later(t)
	}
	pci, err := m.Key(keyEnum + `\PCI`)
	if err != nil {
		return start, err
	}
	kinds, err := m.SubkeysUpTo(pci, maxPCIDevices)
	if err != nil {
		return start, err
	}
	for _, kind := range kinds {
		instances, err := m.SubkeysUpTo(kind, maxPCIDevices)
		if err != nil {
			return start, err
		}
		for _, k := range instances {
			t, err := m.deviceTimes(k)
			if err != nil {
				return start, err
			}
			if !t.Arrived.IsZero() && t.Installed.After(t.Arrived) {
				return lastStart{ClockBack: true}, nil // it came before it was installed: the clock went back
			}
			newest.later(t)
		}
	}
	if start.Time.IsZero() {
		start = newest
	}
	return start, nil
}

// later takes a device's arrival for the start if it is the latest so far.
func (s *lastStart) later(t deviceTimes) {
	if !t.Arrived.After(s.Time) {
		return
	}
	s.Time = t.Arrived
	for _, ev := range t.Evidence {
		if strings.HasSuffix(ev.Key, `\`+deviceArrived) {
			s.Evidence = ev
		}
	}
}

// A devicePresence says whether a device was there when Windows last ran.
type devicePresence int

const (
	deviceUnknown devicePresence = iota // nothing is written of that
	deviceHere                          // it arrived at the last start, or after it
	deviceOld                           // it arrived at an earlier start, and nothing says that it was removed
	deviceGone                          // it was removed after it arrived last
)

// startMargin is how much older than the last start an arrival must be to
// belong to an earlier start: devices do not all arrive at once.
const startMargin = 10 * time.Minute

// presence judges the times of a device by the last start. instance is its name
// below Enum. The devices of ROOT exist only in software and keep the time of
// their creation.
func (t deviceTimes) presence(instance string, start lastStart) devicePresence {
	switch {
	case start.ClockBack:
		return deviceUnknown
	case !t.Arrived.IsZero() && t.Removed.After(t.Arrived):
		return deviceGone
	case t.Arrived.IsZero(), start.Time.IsZero(), fold.HasPrefix(instance, `ROOT\`):
		return deviceUnknown
	case t.Arrived.Before(start.Time.Add(-startMargin)):
		return deviceOld
	}
	return deviceHere
}

// devicePresence says whether a device was there when Windows last ran, by its
// name below Enum ("SCSI\CdRom&Ven_X\5&1"), with the evidence. It is
// deviceUnknown for one that Enum does not know.
func (m *Machine) devicePresence(instance string) (devicePresence, []requirement.Evidence, error) {
	device, err := m.Key(keyEnum + `\` + instance)
	if err != nil {
		return deviceUnknown, nil, err
	}
	t, err := m.deviceTimes(device)
	if err != nil {
		return deviceUnknown, nil, err
	}
	start, err := m.LastStart()
	if err != nil {
		return deviceUnknown, nil, err
	}
	evidence := t.Evidence
	if !start.Time.IsZero() {
		evidence = append(evidence[:len(evidence):len(evidence)], start.Evidence)
	}
	return t.presence(instance, start), evidence, nil
}
