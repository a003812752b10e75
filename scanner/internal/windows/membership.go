package windows

import (
	"fmt"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var userDomainGuests = entry{
	Requirement: recommended("win.user.domain-guests", "", "The user should not be in a Domain Guests group.",
		sectionTroubleshooting, explanation{
			Reads: `The user's groups, as Group Policy last recorded them in NTUSER.DAT and SOFTWARE ` +
				`(Microsoft\Windows\CurrentVersion\Group Policy, GroupMembership). The domain's own list is not on ` +
				`the disk.`,
			Live: "whoami /groups",
			Fix:  "Remove the user from the Domain Guests group of the domain, then have the user sign in again.",
		}),
	Judge: (*Machine).decideGuests,
}

// membership is a list of groups as Group Policy wrote it when it last ran for
// the user.
type membership struct {
	Groups   []machine.Setting[string] // SIDs
	Written  time.Time
	Evidence requirement.Evidence // its key
}

// maxGroups is how many groups a token of Windows holds at most (Microsoft
// support article 328889 has 1,015).
const maxGroups = 1024

func (m *Machine) decideGuests() requirement.Outcome {
	w, err := m.Wanted()
	if err != nil {
		return requirement.Unreadable(err)
	}
	if w.Profile == nil {
		return requirement.Unreadable(errNoUser)
	}
	var lists []membership
	var looked []requirement.Evidence
	var unread error
	for _, key := range []string{
		`HKU\` + w.Profile.SID + `\Software` + machine.KeyWindows + `\Group Policy\GroupMembership`,
		machine.KeyGroupPolicy + `\` + w.Profile.SID + `\GroupMembership`,
	} {
		list, where, err := m.readMembership(key)
		switch {
		case err != nil:
			unread = fact.Join(unread, err)
		case list == nil:
			looked = append(looked, where)
		default:
			lists = append(lists, *list)
		}
	}
	return w.Inferred(judgeGuests(lists, looked, unread))
}

// readMembership returns nil and where it was looked for if there is no list.
func (m *Machine) readMembership(key string) (*membership, requirement.Evidence, error) {
	k, err := m.Key(key)
	if err != nil || !k.Exists() {
		return nil, k.Evidence, err
	}
	count, err := m.DWord(k, "Count")
	if err != nil {
		return nil, k.Evidence, err
	}
	if !count.Present {
		return nil, k.Evidence, fmt.Errorf("%s: %s: the list of groups may be incomplete: it has no Count",
			k.Evidence.Path, k.Evidence.Key)
	}
	if count.Value > maxGroups {
		return nil, k.Evidence, fmt.Errorf("%s: %s: Count is %d; Windows supports at most %d groups", k.Evidence.Path,
			k.Evidence.Key, count.Value, maxGroups)
	}
	list := membership{Written: k.LastWrite().UTC(), Evidence: k.Evidence}
	for i := range count.Value {
		group, err := m.Text(k, fmt.Sprintf("Group%d", i))
		if err != nil {
			return nil, k.Evidence, err
		}
		if !group.Present {
			return nil, k.Evidence, fmt.Errorf("%s: %s: Group%d of %d is missing", k.Evidence.Path, k.Evidence.Key, i,
				count.Value)
		}
		list.Groups = append(list.Groups, group)
	}
	return &list, k.Evidence, nil
}

// Groups of guests ([MS-DTYP] 2.4.2.4).
const (
	ridDomainGuests = 514
	sidGuests       = "S-1-5-32-546" // the machine's own
)

// judgeGuests decides win.user.domain-guests. looked is where no list was.
func judgeGuests(lists []membership, looked []requirement.Evidence, unread error) requirement.Outcome {
	for _, list := range lists {
		for _, g := range list.Groups {
			sid := strings.ToUpper(strings.TrimSpace(g.Value))
			when := " as of " + list.Written.Format(time.DateOnly) + "."
			switch _, rid := machine.SplitSID(sid); {
			case strings.HasPrefix(sid, "S-1-5-21-") && rid == ridDomainGuests:
				return requirement.Warn("The user is in the Domain Guests group "+sid+when, g.Evidence)
			case sid == sidGuests:
				o := requirement.Warn("The user is in the computer's own Guests group ("+sid+")"+when, g.Evidence)
				o.Remediation = "Open lusrmgr.msc, select Groups, Guests, and remove the user and the groups that the " +
					"user is in."
				return o
			}
		}
	}
	switch {
	case unread != nil:
		return requirement.Unreadable(unread)
	case len(lists) == 0:
		return requirement.Unknown(
			"The disk does not show whether the user is in Domain Guests: Group Policy has recorded no list of groups.",
			looked...)
	}
	list := lists[0]
	list.Evidence.Note = "all groups were read"
	return requirement.Pass(fmt.Sprintf("The user is in %s as of %s, none of them Domain Guests.",
		prose.Count(len(list.Groups), "group", "groups"), list.Written.Format(time.DateOnly)), list.Evidence)
}
