package registry

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/internal/hivetest"
)

// maxFuzzInput keeps an input from being slow only because it is long.
const maxFuzzInput = 1 << 18

// fuzzHive is a small hive with one of everything but big data. The number is the value of "dword".
func fuzzHive(n uint32, o hivetest.Options, more ...hivetest.Value) []byte {
	return hivetest.Build(hivetest.Key{Name: "ROOT", Class: "class", Subkeys: []hivetest.Key{
		{Name: "a", Subkeys: keys("1", "2", "3")}, {Name: "Größe"}, {Name: "日本"},
		linkTo("link", `\Registry\Machine\Software`),
	}, Values: append(more, hivetest.Value{Name: "", Type: 1, Data: wide("text\x00")},
		hivetest.Value{Name: "list", Type: 7, Data: wide("a\x00b\x00\x00")},
		dword("dword", n), hivetest.Value{Name: "名", Type: 11, Data: noise(8)},
	)}, o)
}

// readAll reads everything in a hive, and makes sure that what is listed is also found.
func readAll(t *testing.T, h *Hive) {
	c := count(h)
	if room := h.bins.end; c.keys > room/minKeyCell+1 {
		t.Fatalf("%d keys in %d bytes", c.keys, room)
	}
	looked := 0
	h.Walk(func(k *Key, err error) error {
		if looked++; err != nil || looked > 100 {
			return nil
		}
		subkeys, _ := k.Subkeys()
		for _, s := range subkeys[:min(len(subkeys), 100)] {
			if _, err := k.Subkey(s.Name()); errors.Is(err, fs.ErrNotExist) && !strings.Contains(s.Name(), "\ufffd") {
				t.Fatalf("%q is listed: %v", s.Name(), err)
			}
		}
		values, _ := k.Values()
		for _, v := range values[:min(len(values), 100)] {
			if _, err := k.Value(v.Name()); err != nil && !strings.Contains(v.Name(), "\ufffd") {
				t.Fatalf("%q is listed: %v", v.Name(), err)
			}
			v.String()
			v.Strings()
			v.Uint32()
			v.Uint64()
		}
		return nil
	})
}

// FuzzHive reads hives whose base block fits its checksum.
func FuzzHive(f *testing.F) {
	for _, o := range []hivetest.Options{{}, {Minor: 3, List: "lf"}, {Minor: 6, MaxLeaf: 1, List: "li"}} {
		f.Add(fuzzHive(1, o))
	}
	f.Add(fuzzHive(1, hivetest.Options{}, hivetest.Value{Name: "big", Type: 3, Data: make([]byte, 17000)}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < sectorSize || len(data) > maxFuzzInput {
			return
		}
		hivetest.FixChecksum(data)
		h, err := openBytes(data, Options{NoRecovery: true})
		if err != nil {
			return
		}
		readAll(t, h)
		sameThroughCache(t, h, data, Options{NoRecovery: true})
		sameInParts(t, h, data, Options{NoRecovery: true})
	})
}

// FuzzBaseBlock opens hives by any base block.
func FuzzBaseBlock(f *testing.F) {
	hive := fuzzHive(1, hivetest.Options{})
	f.Add(hive[:sectorSize], false)
	f.Add(hive[:sectorSize], true)
	f.Add(make([]byte, sectorSize), true)
	f.Fuzz(func(t *testing.T, block []byte, fix bool) {
		data := bytes.Clone(hive)
		clear(data[:sectorSize])
		copy(data[:sectorSize], block)
		if fix {
			hivetest.FixChecksum(data)
		}
		h, err := openBytes(data, Options{})
		if err != nil {
			return
		}
		readAll(t, h)
	})
}

// FuzzNewLog recovers a hive from logs of the new format whose base block and hashes are right.
func FuzzNewLog(f *testing.F) {
	before, after := fuzzHive(1, hivetest.Options{}),
		fuzzHive(2, hivetest.Options{}, hivetest.Value{Name: "new", Type: 3, Data: noise(700)})
	f.Add(hivetest.NewFormatLog(before, after, hivetest.LogOptions{First: 2}), false)
	f.Add(hivetest.NewFormatLog(before, after, hivetest.LogOptions{First: 2, Entries: 3, PageSize: 512}), true)
	f.Fuzz(func(t *testing.T, log []byte, broken bool) {
		if len(log) < sectorSize || len(log) > maxFuzzInput {
			return
		}
		copy(log, "regf")
		le.PutUint32(log[28:], typeNewLog)
		hivetest.FixChecksum(log)
		for off := sectorSize; off+entryHeaderSize <= len(log); {
			size := int(le.Uint32(log[off+4:]))
			if size < entryHeaderSize || size > len(log)-off {
				break
			}
			e := log[off : off+size]
			le.PutUint64(e[24:], marvin32(e[entryHeaderSize:]))
			le.PutUint64(e[32:], marvin32(e[:32]))
			off += size
		}
		recoverAndRead(t, log, broken)
	})
}

// FuzzOldLog recovers a hive from logs of the old format whose base block is right.
func FuzzOldLog(f *testing.F) {
	before, after := fuzzHive(1, hivetest.Options{}),
		fuzzHive(2, hivetest.Options{}, hivetest.Value{Name: "new", Type: 3, Data: noise(700)})
	f.Add(hivetest.OldFormatLog(before, after, hivetest.LogOptions{First: 3}), false)
	f.Add(hivetest.OldFormatLog(before, after, hivetest.LogOptions{First: 3, PageSize: 512}), true)
	f.Fuzz(func(t *testing.T, log []byte, broken bool) {
		if len(log) < sectorSize || len(log) > maxFuzzInput {
			return
		}
		copy(log, "regf")
		copy(log[8:12], log[4:8])
		copy(log[12:20], before[12:20])
		le.PutUint32(log[28:], typeOldLog)
		hivetest.FixChecksum(log)
		recoverAndRead(t, log, broken)
	})
}

// recoverAndRead applies a log to a dirty hive, of which the base block may be broken.
func recoverAndRead(t *testing.T, log []byte, broken bool) {
	hive := hivetest.Dirty(fuzzHive(1, hivetest.Options{}), 3, 2)
	if broken {
		hive = hivetest.BreakBaseBlock(hive)
	}
	o := Options{Logs: []Log{logOf("LOG1", log)}}
	h, err := openBytes(hive, o)
	if err != nil {
		return
	}
	if r := h.Recovery(); (r.State != Recovered && r.State != Dirty) || (r.State == Dirty) != errors.Is(r.Err, ErrDirty) {
		t.Fatalf("%+v", r)
	}
	if held := h.bins.end; held > len(hive)+len(log)+maxHole {
		t.Fatalf("%d bytes held", held)
	}
	readAll(t, h)
	sameThroughCache(t, h, hive, o)
	sameInParts(t, h, hive, o)
}

// FuzzSecurityDescriptor reads a record of key security, and what its length field says of it.
func FuzzSecurityDescriptor(f *testing.F) {
	p := patched{f, hivetest.Build(hivetest.Key{Name: "ROOT",
		Values: []hivetest.Value{{Name: "sk", Type: 3, Data: make([]byte, 4096)}}}, hivetest.Options{})}
	at := p.value("", "sk").dataOffset()
	le.PutUint32(p.node("")[44:], at)
	f.Add([]byte("sk"))
	f.Add(append([]byte("sk"), make([]byte, 100)...))
	f.Add(p.cell(p.key("").securityOffset())[:80])
	f.Fuzz(func(t *testing.T, record []byte) {
		p := patched{t, bytes.Clone(p.data)}
		copy(p.cell(at)[:4096], record)
		k := p.key("")
		sd, err := k.SecurityDescriptor()
		if err == nil && (len(sd) > 4096-20 || len(sd) != int(le.Uint32(p.cell(at)[16:]))) || err != nil &&
			!errors.Is(err, ErrCorrupt) {
			t.Fatalf("%d bytes, %v", len(sd), err)
		}
	})
}

func FuzzPol(f *testing.F) {
	f.Add(pol(somePolicies...))
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, err := ParsePol(data)
		if err == nil && len(data) > 8 && entries == nil {
			t.Fatal("no entries and no error")
		}
		for _, e := range entries {
			_ = e.Type.String()
		}
	})
}
