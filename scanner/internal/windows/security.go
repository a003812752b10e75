package windows

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// securityDescriptor says who owns a thing and who may do what with it.
type securityDescriptor struct {
	Owner string // SID, "" if there is none
	// NoList: there is no discretionary list, and everyone may do everything.
	// An empty list denies everything.
	NoList  bool
	Entries []accessEntry
}

// accessEntry is an entry of the list, of the kinds that grant or deny.
type accessEntry struct {
	Deny  bool
	Flags uint8
	Mask  uint32
	SID   string
}

// Kinds of entries, flags and rights ([MS-DTYP] 2.4.3 and 2.4.4).
const (
	aceAllowed = 0x00
	aceDenied  = 0x01
	// Kinds from here on are for other things than access to a file (audits,
	// labels), or depend on what only the running system knows.
	aceAllowedObject   = 0x05
	aceDeniedObject    = 0x06
	aceAllowedCallback = 0x09
	aceDeniedCallback  = 0x0A

	aceInheritOnly = 0x08 // for what will be made in a folder, not for itself

	genericAll   = 0x10000000
	fullControl  = 0x001F01FF // FILE_ALL_ACCESS
	selfRelative = 0x8000
	daclPresent  = 0x0004
)

var errDescriptor = errors.New("damaged security descriptor")

// parseDescriptor decodes a self-relative security descriptor ([MS-DTYP]
// 2.4.6):
//
//	 0  1  revision, 1
//	 2  2  control flags
//	 4  4  offset of the owner, 0 for none, 8  4  of the group
//	12  4  offset of the system list, 16  4  of the discretionary one, 0 for none
//
// and in it the list ([MS-DTYP] 2.4.5):
//
//	0  1  revision, 2 or 4
//	2  2  size
//	4  2  number of entries, from 8 on
//
// each of which has its kind (1), flags (1), size (2), rights (4) and SID.
func parseDescriptor(b []byte) (securityDescriptor, error) {
	var d securityDescriptor
	if len(b) < 20 || b[0] != 1 || binary.LittleEndian.Uint16(b[2:])&selfRelative == 0 {
		return d, fmt.Errorf("%w: no header", errDescriptor)
	}
	if owner := binary.LittleEndian.Uint32(b[4:]); owner != 0 {
		if uint64(owner) > uint64(len(b)) {
			return d, fmt.Errorf("%w: the owner is at byte %d of %d", errDescriptor, owner, len(b))
		}
		var err error
		if d.Owner, err = machine.ParseSID(b[owner:]); err != nil {
			return d, fmt.Errorf("%w: owner: %w", errDescriptor, err)
		}
	}
	at := binary.LittleEndian.Uint32(b[16:])
	if binary.LittleEndian.Uint16(b[2:])&daclPresent == 0 || at == 0 {
		d.NoList = true
		return d, nil
	}
	if uint64(at)+8 > uint64(len(b)) {
		return d, fmt.Errorf("%w: the list is at byte %d of %d", errDescriptor, at, len(b))
	}
	list := b[at:]
	size, count := int(binary.LittleEndian.Uint16(list[2:])), int(binary.LittleEndian.Uint16(list[4:]))
	if size < 8 || size > len(list) {
		return d, fmt.Errorf("%w: the list has %d of %d bytes", errDescriptor, size, len(list))
	}
	list = list[8:size]
	for range count {
		if len(list) < 4 || int(binary.LittleEndian.Uint16(list[2:])) < 4 ||
			int(binary.LittleEndian.Uint16(list[2:])) > len(list) {
			return d, fmt.Errorf("%w: an entry exceeds the list", errDescriptor)
		}
		e := list[:binary.LittleEndian.Uint16(list[2:])]
		list = list[len(e):]
		switch e[0] {
		case aceAllowed, aceDenied:
		case aceAllowedObject, aceDeniedObject, aceAllowedCallback, aceDeniedCallback:
			return d, fmt.Errorf("the access control list has an entry of kind %d, which is not supported", e[0])
		default:
			continue
		}
		if len(e) < 16 {
			return d, fmt.Errorf("%w: an entry of %d bytes", errDescriptor, len(e))
		}
		sid, err := machine.ParseSID(e[8:])
		if err != nil {
			return d, fmt.Errorf("%w: entry: %w", errDescriptor, err)
		}
		d.Entries = append(d.Entries, accessEntry{Deny: e[0] == aceDenied, Flags: e[1],
			Mask: binary.LittleEndian.Uint32(e[4:]), SID: sid})
	}
	return d, nil
}

// rights are the rights of an entry on a file, the generic ones resolved.
func (e accessEntry) rights() uint32 {
	if e.Mask&genericAll != 0 {
		return e.Mask | fullControl
	}
	return e.Mask
}

// grants goes through the list as Windows does: entry by entry, the first one
// that says something of a right decides on it. It returns the rights that a
// token with these SIDs has.
func (d securityDescriptor) grants(token ...string) uint32 {
	if d.NoList {
		return fullControl
	}
	var granted, denied uint32
	for _, e := range d.Entries {
		if e.Flags&aceInheritOnly != 0 || !fold.Contains(token, e.SID) {
			continue
		}
		if e.Deny {
			denied |= e.rights() &^ granted
		} else {
			granted |= e.rights() &^ denied
		}
	}
	return granted
}

// systemToken are the SIDs of SYSTEM's token: itself, the administrators,
// everyone, authenticated users ([MS-DTYP] 2.4.2.4).
var systemToken = []string{sidSystem, "S-1-5-32-544", "S-1-1-0", "S-1-5-11"}

var profileACL = entry{
	Requirement: recommended("win.profile.acl", "",
		"On Windows 7, SYSTEM should have full control of the profile.",
		sectionTroubleshooting, explanation{
			Reads: "The security descriptor of the profile's folder, in $Secure of the user volume or in the " +
				"folder's own record.",
			Live: `icacls D:\Users\username`,
			Doubts: "The service's guide also names ALL APPLICATION PACKAGES, which does not exist on Windows 7. It is " +
				"not checked.",
			Fix: `Run icacls D:\Users\username /grant "SYSTEM:(OI)(CI)F" as Administrator.`,
		}),
	Judge: (*Machine).decideProfileACL,
}

// onlySeven is the outcome of what the document requires for Windows 7 only, where
// the system is another; nil where it is one.
func (m *Machine) onlySeven() *requirement.Outcome {
	s, err := m.System()
	var o requirement.Outcome
	switch {
	case err != nil:
		o = requirement.Unreadable(err)
	case !s.Seven():
		o = requirement.Skip(fmt.Sprintf("Applies to Windows 7 only; this is %s.", s.Name()), s.Evidence...)
	default:
		return nil
	}
	return &o
}

func (m *Machine) decideProfileACL() requirement.Outcome {
	if o := m.onlySeven(); o != nil {
		return *o
	}
	p, o := m.profileFolder()
	if o != nil {
		return *o
	}
	v, name := p.Drive, p.Name
	ev := machine.FoundEvidence(v.Role, name, true)
	raw, err := v.FS.SecurityDescriptor(name)
	if err != nil {
		return requirement.Unreadable(v.Problem(name, err), ev)
	}
	d, err := parseDescriptor(raw)
	if err != nil {
		return requirement.Unreadable(v.Problem(name, err), ev)
	}
	v.Trail.Record("security", "source", v.Role, "path", name, "owner", d.Owner, "entries",
		fmt.Sprint(len(d.Entries)))
	return p.Inferred(judgeProfileACL(p.Profile.Path, d, ev))
}

// placedProfile is the wanted profile and where its folder is.
type placedProfile struct {
	machine.Wanted
	Drive  *machine.Drive
	Name   string // of the folder on the drive
	Folder machine.File
}

// profileFolder finds the folder of the wanted profile. The outcome is nil if
// it is there.
func (m *Machine) profileFolder() (placedProfile, *requirement.Outcome) {
	fail := func(o requirement.Outcome) (placedProfile, *requirement.Outcome) { return placedProfile{}, &o }
	w, err := m.Wanted()
	if err != nil {
		return fail(requirement.Unreadable(err))
	}
	if w.Profile == nil {
		return fail(requirement.Unreadable(errNoUser))
	}
	if w.Profile.Path == "" {
		return fail(requirement.Unreadable(errNoPath, w.Profile.Evidence))
	}
	v, name, err := m.Locate(w.Profile.Path)
	if err != nil {
		return fail(requirement.Unreadable(err, w.Profile.Evidence))
	}
	f, err := v.File(name)
	if err != nil {
		return fail(requirement.Unreadable(err, w.Profile.Evidence))
	}
	if !f.Exists || !f.Dir {
		return fail(requirement.Unknown("The folder "+w.Profile.Path+" does not exist: see win.profile.exists.",
			w.Profile.Evidence, f.Evidence))
	}
	return placedProfile{w, v, name, f}, nil
}

// accessRow is a row of the details of win.profile.acl.
type accessRow struct {
	SID     string `json:"sid"`
	Deny    bool   `json:"deny,omitempty"`
	Rights  string `json:"rights"` // the access mask in hex
	Inherit bool   `json:"inherit_only,omitempty"`
}

// judgeProfileACL decides win.profile.acl for the folder at path.
func judgeProfileACL(path string, d securityDescriptor, ev requirement.Evidence) requirement.Outcome {
	rows := make([]accessRow, 0, len(d.Entries))
	for _, e := range d.Entries {
		rows = append(rows, accessRow{SID: e.SID, Deny: e.Deny, Rights: fmt.Sprintf("0x%08X", e.Mask),
			Inherit: e.Flags&aceInheritOnly != 0})
	}
	ev.Value, ev.Data = "security descriptor", fmt.Sprintf("owner %s, %d entries", d.Owner, len(d.Entries))
	own, all := d.grants(sidSystem), d.grants(systemToken...)
	var o requirement.Outcome
	switch {
	case d.NoList:
		o = requirement.Infer(path+" has no access control list: everyone, including SYSTEM, has full control.", ev)
	case all&fullControl != fullControl:
		o = requirement.Warn(fmt.Sprintf("SYSTEM does not have full control of %s: it has the rights 0x%08X of 0x%08X.",
			path, all&fullControl, fullControl), ev).
			About(subjectOf(ev, requirement.ReasonValue))
		o.Remediation = `Run icacls "` + path + `" /grant "SYSTEM:(OI)(CI)F" as Administrator.`
	case own&fullControl == fullControl:
		o = requirement.Pass("SYSTEM has full control of "+path+".", ev)
	default:
		o = requirement.Infer("SYSTEM has full control of "+path+" through its groups.", ev)
	}
	o.Details = struct {
		Owner   string      `json:"owner,omitempty"`
		Entries []accessRow `json:"entries"`
	}{d.Owner, rows}
	return o
}
