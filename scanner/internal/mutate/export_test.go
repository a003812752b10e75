package mutate

import (
	"bytes"
	"fmt"
)

// Resealed lists the structures of an undamaged subject whose bytes change when
// their checksums are computed anew, and counts by family those whose do not.
// The sequence number of fixups does not count, a new one is as good.
func (p *Plan) Resealed() (wrong []string, right map[string]int) {
	right = map[string]int{}
	for _, s := range p.sites {
		if s.seal == nil {
			continue
		}
		plain := read(p.subject.Images[s.image].R, s.spans)
		if plain == nil || s.open != nil && !s.open(plain) {
			continue
		}
		sealed := bytes.Clone(plain)
		s.seal(sealed)
		if s.open != nil {
			if bytes.Equal(sealed, plain) || !s.open(sealed) {
				wrong = append(wrong, fmt.Sprintf("%s: its fixups do not fit", s.what))
				continue
			}
			array := int(le.Uint16(plain[4:]))
			copy(sealed[array:array+2*int(le.Uint16(plain[6:]))], plain[array:])
		}
		if !bytes.Equal(sealed, plain) {
			wrong = append(wrong, fmt.Sprintf("%s: its checksum is %x, not %x", s.what, sealed, plain))
			continue
		}
		right[s.family]++
	}
	return wrong, right
}
