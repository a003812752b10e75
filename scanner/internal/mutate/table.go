package mutate

import (
	"hash/crc32"
	"math/rand/v2"
)

// surveyImage takes in the partition table, and pages of the image at large.
func (p *Plan) surveyImage(image int) error {
	i := p.subject.Images[image]
	head := make([]byte, sectorSize)
	if _, err := i.R.ReadAt(head, 0); err != nil {
		return err
	}
	if head[510] == 0x55 && head[511] == 0xAA && string(head[3:7]) != "NTFS" {
		p.add(&site{family: "MBR", what: "MBR", weight: 4, image: image, spans: []span{{0, sectorSize}}, fields: mbrFields})
	}
	header := make([]byte, sectorSize)
	if _, err := i.R.ReadAt(header, sectorSize); err != nil || string(header[:8]) != "EFI PART" {
		return nil
	}
	backup := int64(le.Uint64(header[32:]))
	for _, copied := range []struct {
		what   string
		header int64
	}{{"GPT", 1}, {"backup GPT", backup}} {
		if _, err := i.R.ReadAt(header, copied.header*sectorSize); err != nil {
			return err
		}
		entries := int64(le.Uint64(header[72:])) * sectorSize
		n := int64(le.Uint32(header[80:]) * le.Uint32(header[84:]))
		p.add(&site{
			family: "GPT", what: copied.what, weight: 3, image: image,
			spans:  []span{{copied.header * sectorSize, sectorSize}, {entries, n}},
			seal:   sealGPT,
			fields: gptFields,
			own: func(b, was []byte) {
				copy(b[24:40], was[24:40]) // its own place and the other's
				copy(b[72:80], was[72:80])
			},
			edits: []edit{{"partition gone", func(b []byte, r *rand.Rand) string {
				at := sectorSize + 128*r.IntN(4)
				clear(b[at : at+128])
				return "an entry is empty"
			}}},
		})
	}
	return nil
}

func mbrFields(b []byte) []field {
	list := table(0, b, "signature of the disk", 440, 4, "signature", 510, 2)
	for at := 446; at < 510; at += 16 {
		list = append(list, table(at, b, "active", 0, 1, "type", 4, 1, "first sector", 8, 4, "sectors", 12, 4)...)
	}
	return list
}

func gptFields(b []byte) []field {
	list := table(0, b, "revision", 8, 4, "size of the header", 12, 4, "own sector", 24, 8, "other sector", 32, 8,
		"first usable", 40, 8, "last usable", 48, 8, "GUID", 56, 4, "entries' sector", 72, 8, "entries", 80, 4,
		"size of an entry", 84, 4)
	for at := sectorSize; at < sectorSize+4*128; at += 128 {
		list = append(list, table(at, b, "type", 0, 4, "GUID", 16, 4, "first", 32, 8, "last", 40, 8, "attributes", 48, 8,
			"name", 56, 2)...)
	}
	return list
}

// sealGPT computes both checksums of a header and the entries behind it.
func sealGPT(b []byte) {
	entries := b[sectorSize:]
	if n := uint64(le.Uint32(b[80:])) * uint64(le.Uint32(b[84:])); n < uint64(len(entries)) {
		entries = entries[:n]
	}
	le.PutUint32(b[88:], crc32.ChecksumIEEE(entries))
	clear(b[16:20])
	size := min(max(le.Uint32(b[12:]), 20), sectorSize)
	le.PutUint32(b[16:], crc32.ChecksumIEEE(b[:size]))
}
