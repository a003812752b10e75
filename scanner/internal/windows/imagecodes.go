package windows

import (
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Names of the service for failures of an image creation, or of the import of
// an image, that no requirement is about (API reference, ErrorDetails). What
// they mean is in "Common error messages and their solutions" of the
// Administration Guide.
const (
	codeMemoryIntegrity       = "MemoryIntegrityIncompatibility"
	codeProtocol              = "ProtocolOSIncompatibility"
	codeRestrictedDriveLetter = "RestrictedDriveLetterInUse"
)

// ExplainCode judges by the disk a failure that no requirement is about: a
// warning is what explains it. known is false for any other name.
func (m *Machine) ExplainCode(code string) (o requirement.Outcome, known bool) {
	switch {
	case strings.EqualFold(code, codeMemoryIntegrity):
		return m.decideMemoryIntegrity(), true
	case strings.EqualFold(code, codeProtocol):
		return m.decideStreaming(), true
	case strings.EqualFold(code, codeRestrictedDriveLetter):
		return m.decideDriveLetterD(), true
	}
	return requirement.Outcome{}, false
}

var memoryIntegrityOff = entry{
	Requirement: recommended("current.memory-integrity", codeMemoryIntegrity,
		"Memory integrity should be off.", sectionBYOLErrors, explanation{
			Reads: `SYSTEM: Control\DeviceGuard (Locked) and its Scenarios, Control\Lsa\LsaCfgFlags; SOFTWARE: ` +
				`Policies\Microsoft\Windows\DeviceGuard.`,
			Live: `Get-CimInstance -Namespace root/Microsoft/Windows/DeviceGuard Win32_DeviceGuard`,
			Doubts: "AWS describes the error MemoryIntegrityIncompatibility for imports, and not whether the creation of " +
				"an image raises it.",
			Fix: "Turn memory integrity off in Windows Security, Device security, Core isolation, and restart.",
		}),
	Judge: (*Machine).decideBYOLMemoryIntegrity,
}

var driveLetterD = entry{
	Requirement: recommended("current.drive-letter.d", codeRestrictedDriveLetter,
		"Drive letter D should belong to the user volume.", sectionBYOLErrors, explanation{
			Reads: `SYSTEM: MountedDevices\\DosDevices\D:; the identity of the user volume.`,
			Live:  "Get-Volume",
			Fix:   "Give the other volume another letter.",
		}),
	Judge: (*Machine).decideDriveLetterD,
}

// memoryIntegrity are the settings of memory integrity, and of Credential Guard
// with which it does not go together. A lock in the firmware keeps them on
// whatever the registry says.
type memoryIntegrity struct {
	Enabled, Locked machine.Setting[uint32] // 1
	Policy          machine.Setting[uint32] // 1 with a lock in the firmware, 2 without
	CredentialGuard machine.Setting[uint32] // LsaCfgFlags: 1 with a lock in the firmware, 2 without
}

func (m *Machine) decideMemoryIntegrity() requirement.Outcome {
	var s memoryIntegrity
	for _, field := range []struct {
		into       *machine.Setting[uint32]
		key, value string
	}{
		{&s.Enabled, machine.KeyControl + `\DeviceGuard\Scenarios\HypervisorEnforcedCodeIntegrity`, "Enabled"},
		{&s.Locked, machine.KeyControl + `\DeviceGuard\Scenarios\HypervisorEnforcedCodeIntegrity`, "Locked"},
		{&s.Policy, `HKLM\SOFTWARE\Policies\Microsoft\Windows\DeviceGuard`, "HypervisorEnforcedCodeIntegrity"},
		{&s.CredentialGuard, machine.KeyControl + `\Lsa`, "LsaCfgFlags"},
	} {
		var err error
		if *field.into, err = m.DWordAt(field.key, field.value); err != nil {
			return requirement.Unreadable(err)
		}
	}
	return judgeMemoryIntegrity(s)
}

func judgeMemoryIntegrity(s memoryIntegrity) requirement.Outcome {
	if s.Enabled.Value != 1 && s.Policy.Value != 1 && s.Policy.Value != 2 {
		return requirement.Pass("Memory integrity is off", s.Enabled.Evidence, s.Policy.Evidence)
	}
	message := "Memory integrity is on"
	if s.Locked.Value == 1 || s.Policy.Value == 1 {
		message += " with UEFI lock"
	}
	o := requirement.Warn(message, s.Enabled.Evidence, s.Locked.Evidence, s.Policy.Evidence, s.CredentialGuard.Evidence)
	if flags := s.CredentialGuard.Value; flags == 1 || flags == 2 {
		o = o.Also(fmt.Sprintf("Credential Guard is on too (LsaCfgFlags is %d)", flags))
	}
	return o
}

func (m *Machine) decideStreaming() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	agent, err := m.Service("PCoIPAgent")
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeStreaming(s, agent)
}

// judgeStreaming: Windows 11 does not support PCoIP.
func judgeStreaming(s machine.System, agent machine.Service) requirement.Outcome {
	if s.Client && s.Build >= machine.Build11 && agent.Exists() && !agent.Deleted {
		return requirement.Warn("The PCoIP agent is installed, but Windows 11 does not support PCoIP",
			agent.Key).With(s.Evidence...)
	}
	return requirement.Pass(s.Name()+" supports the installed protocols", s.Evidence...)
}

func (m *Machine) decideDriveLetterD() requirement.Outcome {
	mounts, err := m.readMounts()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeDriveLetterD(mounts, m.in.User.Device)
}

// judgeDriveLetterD: D is the letter of the user volume, and of nothing else.
// user is the identity of the user image, "" if it has none.
func judgeDriveLetterD(mounts []Mount, user string) requirement.Outcome {
	for _, mount := range mounts {
		switch {
		case mount.Letter != "D":
		case !mount.Disk:
			return requirement.Warn("Drive letter D belongs to "+prose.Short(mount.Device), mount.Evidence)
		case user == "":
			return requirement.Unknown(
				"Cannot tell whether drive letter D belongs to the user volume: its image has no disk identity",
				mount.Evidence)
		case mount.Device != user:
			return requirement.Warn(fmt.Sprintf("Drive letter D belongs to %s, but the user volume is %s",
				mount.Device, user), mount.Evidence)
		default:
			return requirement.Pass("Drive letter D belongs to the user volume", mount.Evidence)
		}
	}
	return requirement.Pass("Drive letter D is not in use")
}
