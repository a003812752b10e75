package windows

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// sidBytes encodes S-1-5-… from its sub-authorities.
func sidBytes(subs ...uint32) []byte {
	b := []byte{1, byte(len(subs)), 0, 0, 0, 0, 0, 5}
	for _, s := range subs {
		b = binary.LittleEndian.AppendUint32(b, s)
	}
	return b
}

func aceBytes(kind, flags byte, mask uint32, sid []byte) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{kind, flags}, uint16(8+len(sid)))
	return append(binary.LittleEndian.AppendUint32(b, mask), sid...)
}

// descriptorBytes makes a descriptor of the administrators with a list.
func descriptorBytes(aces ...[]byte) []byte {
	list := slices.Concat(aces...)
	owner := sidBytes(32, 544)
	b := binary.LittleEndian.AppendUint16([]byte{1, 0}, selfRelative|daclPresent)
	for _, at := range []int{20, 0, 0, 20 + len(owner)} {
		b = binary.LittleEndian.AppendUint32(b, uint32(at))
	}
	b = append(b, owner...)
	b = binary.LittleEndian.AppendUint16(append(b, 2, 0), uint16(8+len(list)))
	return append(binary.LittleEndian.AppendUint32(b, uint32(len(aces))), list...)
}

func TestParseDescriptor(t *testing.T) {
	system := aceBytes(aceAllowed, 3, fullControl, sidBytes(18))
	whole := descriptorBytes(system)
	edited := func(at int, value byte) []byte {
		b := slices.Clone(whole)
		b[at] = value
		return b
	}
	const list = 20 + 16
	for name, c := range map[string]struct {
		raw  []byte
		says string // of the error, "" for none
		n    int    // entries
	}{
		"whole":                            {whole, "", 1},
		"nothing":                          {nil, "no header", 0},
		"a header cut off":                 {whole[:19], "no header", 0},
		"another revision":                 {edited(0, 2), "no header", 0},
		"an absolute one":                  {edited(3, 0), "no header", 0},
		"no owner":                         {edited(4, 0), "", 1},
		"an owner at the end":              {edited(4, byte(len(whole))), "owner", 0},
		"an owner past the end":            {edited(4, byte(len(whole)+1)), "the owner is at", 0},
		"no list, by its offset":           {edited(16, 0), "", -1},
		"no list, by the flags":            {edited(2, 0), "", -1},
		"a list past the end":              {edited(16, byte(len(whole)-7)), "the list is at", 0},
		"a list larger than what is left":  {edited(list+2, byte(8+len(system)+1)), "the list has", 0},
		"a list smaller than its header":   {edited(list+2, 7), "the list has", 0},
		"a list that ends in its entry":    {edited(list+2, byte(8+len(system)-1)), "exceeds the list", 0},
		"more entries than the list holds": {edited(list+4, 2), "exceeds the list", 0},
		"fewer entries":                    {edited(list+4, 0), "", 0},
		"an entry smaller than its header": {edited(list+8+2, 3), "exceeds the list", 0},
		"an entry past the end":            {edited(list+8+2, byte(len(system)+1)), "exceeds the list", 0},
		"an entry without a whole SID":     {descriptorBytes(aceBytes(aceAllowed, 0, 1, nil)), "an entry of", 0},
		"a SID that is none": {
			descriptorBytes(aceBytes(aceAllowed, 0, 1, []byte{2, 1, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0})), "not a security identifier",
			0},
		"an empty list":             {descriptorBytes(), "", 0},
		"a label":                   {descriptorBytes(aceBytes(0x11, 0, 1, sidBytes(18)), system), "", 1},
		"a condition":               {descriptorBytes(aceBytes(aceAllowedCallback, 0, 1, sidBytes(18))), "not supported", 0},
		"a denial with a condition": {descriptorBytes(aceBytes(aceDeniedCallback, 0, 1, sidBytes(18))), "not supported", 0},
	} {
		d, err := parseDescriptor(c.raw)
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil && (d.NoList != (c.n < 0) || len(d.Entries) != max(0, c.n)) {
			t.Errorf("%s: %+v", name, d)
		}
	}
	d, err := parseDescriptor(whole)
	if err != nil || d.Owner != "S-1-5-32-544" ||
		d.Entries[0] != (accessEntry{Flags: 3, Mask: fullControl, SID: sidSystem}) {
		t.Errorf("%+v, %v", d, err)
	}
}

func FuzzDescriptor(f *testing.F) {
	f.Add(descriptorBytes(aceBytes(aceAllowed, 3, fullControl, sidBytes(18)),
		aceBytes(aceDenied, 0, 1, sidBytes(21, 1, 2, 3, 4))))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, raw []byte) {
		d, err := parseDescriptor(raw)
		if err != nil {
			return
		}
		if len(d.Entries) > len(raw)/16 {
			t.Errorf("%d entries in %d bytes", len(d.Entries), len(raw))
		}
		d.grants(systemToken...)
	})
}

func TestProfileACL(t *testing.T) {
	allow := func(mask uint32, sid string) accessEntry { return accessEntry{Mask: mask, SID: sid} }
	deny := func(mask uint32, sid string) accessEntry { return accessEntry{Deny: true, Mask: mask, SID: sid} }
	list := func(entries ...accessEntry) securityDescriptor { return securityDescriptor{Entries: entries} }
	for name, c := range map[string]struct {
		d    securityDescriptor
		want verdict
	}{
		"no list":                     {securityDescriptor{NoList: true}, inferred},
		"an empty list":               {list(), warning},
		"system":                      {list(allow(fullControl, sidSystem)), passed},
		"more than full control":      {list(allow(0xFFFFFFFF, sidSystem)), passed},
		"the generic right":           {list(allow(genericAll, sidSystem)), passed},
		"one right less":              {list(allow(fullControl&^1, sidSystem)), warning},
		"the right from a group":      {list(allow(fullControl&^1, sidSystem), allow(1, "S-1-1-0")), inferred},
		"administrators":              {list(allow(fullControl, "S-1-5-32-544")), inferred},
		"authenticated users":         {list(allow(fullControl, "S-1-5-11")), inferred},
		"users, of whom it is none":   {list(allow(fullControl, "S-1-5-32-545")), warning},
		"denied before":               {list(deny(1, "S-1-1-0"), allow(fullControl, sidSystem)), warning},
		"denied behind":               {list(allow(fullControl, sidSystem), deny(1, "S-1-1-0")), passed},
		"denied to another":           {list(deny(fullControl, "S-1-5-21-1-2-3-4"), allow(fullControl, sidSystem)), passed},
		"the generic right is denied": {list(deny(genericAll, sidSystem), allow(fullControl, sidSystem)), warning},
		"for what is in it":           {list(accessEntry{Mask: fullControl, SID: sidSystem, Flags: aceInheritOnly}), warning},
		"denied to what is in it": {
			list(accessEntry{Deny: true, Mask: fullControl, SID: sidSystem, Flags: aceInheritOnly},
				allow(fullControl, sidSystem)), passed},
	} {
		t.Run(name, func(t *testing.T) { check(t, profileACL, judgeProfileACL(`D:\Users\jdoe`, c.d, evidence), c.want) })
	}
}

func TestOnlySeven(t *testing.T) {
	m := registryOnly(nil)
	if o := m.onlySeven(); o == nil || o.Status != undetermined.status {
		t.Errorf("without a version: %+v", o)
	}
	m = fixture(t, "ready")
	if o := m.onlySeven(); o == nil || o.Status != skipped.status {
		t.Errorf("Server 2019: %+v", o)
	}
	if o := fixture(t, "windows7").onlySeven(); o != nil {
		t.Errorf("Server 2008 R2: %+v", o)
	}
}
