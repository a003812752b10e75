package windows

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/internal/utf16le"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	typed "github.com/coldcheck/coldcheck/scanner/rules/facts"
)

// Keys of the Security Accounts Manager. Microsoft does not document its values; the
// layouts are those of regipy and RegRipper (samparse), checked on hives of Windows 7 to
// 11.
const (
	keyAccounts       = `HKLM\SAM\SAM\Domains\Account\Users`
	keyAdministrators = `HKLM\SAM\SAM\Domains\Builtin\Aliases\00000220` // S-1-5-32-544
)

const (
	samTriples      = 17 * 12 // the value V of an account begins with 17 triples of offset, length and a number
	samName         = 12      // the second triple is that of the name
	samFlags        = 0x38    // in the value F of an account
	samDisabled     = 0x1     // USER_ACCOUNT_DISABLED ([MS-SAMR] 2.2.1.12)
	aliasHeader     = 0x34    // of the value C of a group
	aliasMembers    = 0x28    // offset and length of the members, and their number
	maxAliasMembers = 4096
)

func (m *Machine) accountFacts() (typed.Reading, error) {
	accounts, where, err := m.readLocalAccounts()
	return typed.Reading{Value: accounts, Evidence: []requirement.Evidence{where}}, err
}

// readLocalAccounts reads the accounts of the computer.
func (m *Machine) readLocalAccounts() ([]typed.Account, requirement.Evidence, error) {
	parent, err := m.Key(keyAccounts)
	if err == nil && !parent.Exists() {
		err = fmt.Errorf("%s: key %s not found", parent.Evidence.Path, parent.Evidence.Key)
	}
	if err != nil {
		return nil, parent.Evidence, err
	}
	keys, err := m.Subkeys(parent)
	if err != nil {
		return nil, parent.Evidence, err
	}
	list := []typed.Account{}
	for _, k := range keys {
		rid, err := strconv.ParseUint(k.Name(), 16, 32)
		if err != nil {
			continue // Names
		}
		v, err := m.Binary(k, "V")
		if err != nil {
			return nil, parent.Evidence, err
		}
		name, err := accountName(v.Value)
		if err != nil {
			return nil, parent.Evidence, fmt.Errorf("%s: %s: %w", k.Evidence.Path, k.Evidence.Key, err)
		}
		a := typed.Account{From: typed.From{v.Evidence}, Name: name, RID: int64(rid)}
		f, err := m.Binary(k, "F")
		if err == nil && len(f.Value) < samFlags+2 {
			err = fmt.Errorf("%s: %s: %w: its value F has %d bytes", k.Evidence.Path, k.Evidence.Key, errDisordered,
				len(f.Value))
		}
		if err != nil {
			a.Disabled = typed.Unknown[bool](err)
		} else {
			a.Disabled = typed.Of(binary.LittleEndian.Uint16(f.Value[samFlags:])&samDisabled != 0)
		}
		list = append(list, a)
	}
	return list, parent.Evidence, nil
}

// accountName takes the name out of the value V of an account.
func accountName(v []byte) (string, error) {
	if len(v) < samTriples {
		return "", fmt.Errorf("%w: its value V has %d bytes", errDisordered, len(v))
	}
	offset, length := binary.LittleEndian.Uint32(v[samName:]), binary.LittleEndian.Uint32(v[samName+4:])
	data := v[samTriples:]
	if uint64(offset)+uint64(length) > uint64(len(data)) {
		return "", fmt.Errorf("%w: its name is outside its value V", errDisordered)
	}
	return utf16le.Decode(data[offset : offset+length]), nil
}

func (m *Machine) administratorFacts() (typed.Reading, error) {
	k, err := m.Key(keyAdministrators)
	if err == nil && !k.Exists() {
		err = fmt.Errorf("%s: key %s not found", k.Evidence.Path, k.Evidence.Key)
	}
	if err != nil {
		return typed.Reading{}, err
	}
	c, err := m.Binary(k, "C")
	if err != nil {
		return typed.Reading{}, err
	}
	sids, err := aliasSIDs(c.Value)
	if err != nil {
		return typed.Reading{}, fmt.Errorf("%s: %s: %w", k.Evidence.Path, k.Evidence.Key, err)
	}
	own := m.Accounts()
	accounts, _, unread := m.readLocalAccounts()
	list := []typed.Member{}
	for _, sid := range sids {
		if own.SIDErr != nil {
			return typed.Reading{}, own.SIDErr
		}
		of := typed.Member{From: typed.From{c.Evidence}, SID: sid, Name: typed.Null[string]()}
		domain, rid := machine.SplitSID(sid)
		if of.Local = strings.EqualFold(domain, own.MachineSID); of.Local {
			if unread != nil {
				of.Name = typed.Unknown[string](unread)
			}
			for _, a := range accounts {
				if a.RID == int64(rid) {
					of.Name = typed.Of(a.Name)
				}
			}
		}
		list = append(list, of)
	}
	return typed.Reading{Value: list, Evidence: []requirement.Evidence{c.Evidence}}, nil
}

// aliasSIDs takes the SIDs of the members out of the value C of a local group.
func aliasSIDs(c []byte) ([]string, error) {
	if len(c) < aliasHeader {
		return nil, fmt.Errorf("%w: the value C of the group has %d bytes", errDisordered, len(c))
	}
	field := func(at int) uint64 { return uint64(binary.LittleEndian.Uint32(c[at:])) }
	offset, length, count := field(aliasMembers), field(aliasMembers+4), field(aliasMembers+8)
	data := c[aliasHeader:]
	if count > maxAliasMembers || offset+length > uint64(len(data)) {
		return nil, fmt.Errorf("%w: %d members of %d bytes at %d", errDisordered, count, length, offset)
	}
	data = data[offset : offset+length]
	var sids []string
	for range count {
		// A SID has 8 bytes and 4 for each sub-authority ([MS-DTYP] 2.4.2.2).
		if len(data) < 8 || len(data) < 8+4*int(data[1]) {
			return nil, fmt.Errorf("%w: a member is truncated", errDisordered)
		}
		size := 8 + 4*int(data[1])
		sid, err := machine.ParseSID(data[:size])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errDisordered, err)
		}
		sids, data = append(sids, sid), data[size:]
	}
	return sids, nil
}
