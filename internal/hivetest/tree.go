package hivetest

import (
	"maps"
	"slices"
	"strings"
)

// Tree returns the root key of one hive of a machine from the values of its keys, which are named as in
// `SYSTEM\Setup\Source OS`. A key with a value of type REG_LINK is a symbolic link.
func Tree(hive string, keys map[string][]Value) Key {
	root := Key{Name: "ROOT"}
	for _, key := range slices.Sorted(maps.Keys(keys)) {
		if path, ok := strings.CutPrefix(key, hive+`\`); ok {
			root.add(path, keys[key])
		}
	}
	return root
}

func (k *Key) add(path string, values []Value) {
	name, rest, more := strings.Cut(path, `\`)
	i := slices.IndexFunc(k.Subkeys, func(s Key) bool { return s.Name == name })
	if i < 0 {
		i = len(k.Subkeys)
		k.Subkeys = append(k.Subkeys, Key{Name: name})
	}
	sub := &k.Subkeys[i]
	if more {
		sub.add(rest, values)
		return
	}
	sub.Values = append(sub.Values, values...)
	const regLink, symbolicLink = 6, 0x10 // REG_LINK; KEY_SYM_LINK of the key node's flags
	if slices.ContainsFunc(values, func(v Value) bool { return v.Type == regLink }) {
		sub.Flags |= symbolicLink
	}
}
