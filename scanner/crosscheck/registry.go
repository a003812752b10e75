package crosscheck

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/text/encoding/charmap"
	"www.velocidex.com/golang/regparser"

	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// hive is a registry hive, read with regparser directly from the file: no
// transaction log is applied to it.
//
// regparser leaves out what it cannot read of a list. So a list that is
// shorter than its key says is an error, and nothing is absent from it.
type hive struct {
	path     string
	registry *regparser.Registry
}

// maxHive is the size in bytes of the largest hive that is read into memory,
// for regparser reads byte by byte. Those of real machines are below 200 MiB.
const maxHive = 256 << 20

// openHive reads a hive, if it is not the one that was read last.
func (n *ntfsReader) openHive(q Question) (*hive, error) {
	if n.hive != nil && n.hive.path == q.Path {
		return n.hive, nil
	}
	n.hive = nil
	number, err := n.find(q.Path, int64(q.Record))
	if err != nil {
		return nil, err
	}
	if number < 0 {
		return nil, errors.New("go-ntfs does not find the hive")
	}
	file, err := n.record(number)
	if err != nil {
		return nil, err
	}
	size := n.size(file)
	if size > maxHive {
		return nil, fmt.Errorf("the hive has %d bytes, and at most %d are read", size, maxHive)
	}
	data, err := n.open(file)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	content.Grow(int(size))
	if err := copyAt(&content, data, size); err != nil {
		return nil, fmt.Errorf("the hive: %w", err)
	}
	registry, err := regparser.NewRegistry(bytes.NewReader(content.Bytes()))
	if err != nil {
		return nil, err
	}
	n.hive = &hive{q.Path, registry}
	return n.hive, nil
}

func (h *hive) read(q Question) (Reading, error) {
	key, err := h.key(q.Key)
	if key == nil || err != nil {
		return Reading{}, err
	}
	values, err := valuesOf(key)
	if err != nil {
		return Reading{}, err
	}
	r := Reading{Found: true, Modified: key.LastWriteTime().Unix()}
	if q.Kind == Value {
		for _, v := range values {
			if strings.EqualFold(valueName(v), q.Value) {
				data, err := dataOf(v)
				r.Type, r.Size, r.Content = v.Type(), int64(len(data)), Digest(data)
				return r, err
			}
		}
		r.Found = false
		return r, nil
	}
	keys, err := keysBelow(key)
	if err != nil {
		return Reading{}, err
	}
	var names, lines []string
	for _, k := range keys {
		names = append(names, keyName(k))
	}
	for _, v := range values {
		data, err := dataOf(v)
		if err != nil {
			return Reading{}, err
		}
		lines = append(lines, DescribeValue(valueName(v), v.Type(), data))
	}
	r.Names, r.Values = ListOf(names), ListOf(lines)
	return r, nil
}

// key returns the key at a path; nil if there is none.
func (h *hive) key(path string) (*regparser.CM_KEY_NODE, error) {
	key := h.registry.Profile.HCELL(h.registry.Reader, binsStart+int64(h.registry.BaseBlock.RootCell())).KeyNode()
	if key == nil {
		return nil, errors.New("no root key")
	}
	if path == "" {
		return key, nil
	}
	for name := range strings.SplitSeq(path, `\`) {
		below, err := keysBelow(key)
		if err != nil {
			return nil, err
		}
		key = nil
		for _, k := range below {
			if strings.EqualFold(keyName(k), name) {
				key = k
				break
			}
		}
		if key == nil {
			return nil, nil
		}
	}
	return key, nil
}

// binsStart is where the hive bins begin, which offsets count from.
const binsStart = 4096

func keysBelow(key *regparser.CM_KEY_NODE) ([]*regparser.CM_KEY_NODE, error) {
	want := int(key.SubKeyCounts()[0]) // the other is of volatile keys
	if want == 0 {
		return nil, nil
	}
	list := key.Subkeys()
	if len(list) != want {
		return nil, fmt.Errorf("%d of %d keys read below %s", len(list), want, keyName(key))
	}
	return list, nil
}

func valuesOf(key *regparser.CM_KEY_NODE) ([]*regparser.CM_KEY_VALUE, error) {
	want := int(key.ValueList().Count())
	if want == 0 {
		return nil, nil
	}
	list := key.Values()
	if len(list) != want {
		return nil, fmt.Errorf("%d of %d values read of %s", len(list), want, keyName(key))
	}
	return list, nil
}

// dataOf returns the data of a value. Of data that is in the value's own cell
// regparser returns four bytes, whatever its length.
func dataOf(v *regparser.CM_KEY_VALUE) ([]byte, error) {
	data, size := v.ValueData().Data, v.DataSize()
	if size < int64(len(data)) {
		data = data[:size]
	}
	if size > int64(len(data)) {
		return nil, fmt.Errorf("%d of %d bytes read of %s", len(data), size, valueName(v))
	}
	return data, nil
}

// Flags that say that a name is in Latin-1 and not in UTF-16, of key nodes and
// of values. regparser returns the bytes.
const (
	keyNameCompressed   = 0x20
	valueNameCompressed = 0x01
)

func keyName(k *regparser.CM_KEY_NODE) string {
	return decodeName(k.Name(), k.Flags()&keyNameCompressed != 0)
}

func valueName(v *regparser.CM_KEY_VALUE) string {
	return decodeName(v.ValueName(), v.Flags()&valueNameCompressed != 0)
}

func decodeName(raw string, latin1 bool) string {
	if latin1 {
		text, _ := charmap.ISO8859_1.NewDecoder().String(raw) // decodes every byte
		return text
	}
	return utf16le.Decode([]byte(raw))
}
