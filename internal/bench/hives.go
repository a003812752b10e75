//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/coldcheck/coldcheck/internal/filetime"
	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/internal/utf16le"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/registry"
)

// hiveFiles are the hives of realistic size, each dirty, with the log that
// completes it. SOFTWARE.clean is the result, for programs that read no logs.
var hiveFiles = []string{"SOFTWARE", "SOFTWARE.LOG1", "SOFTWARE.LOG2", "SYSTEM", "SYSTEM.LOG1", "SYSTEM.LOG2"}

const dirtyPages = 300 // of a hive, which its log holds

// buildHives writes SOFTWARE, of more than 100 MB, and SYSTEM, of 20 MB: what
// the case has in them, and between it what fills those of real machines.
func (f files) buildHives(target string) error {
	if err := os.Mkdir(target, 0o755); err != nil {
		return err
	}
	return withNTFS(f.path("ready-root.img"), func(volume *ntfs.FS) error {
		for _, h := range []struct {
			name string
			bulk func(root *hivetest.Key)
		}{{"SOFTWARE", addSoftware}, {"SYSTEM", addSystem}} {
			root, err := readHive(volume, "Windows/System32/config/"+h.name)
			if err != nil {
				return fmt.Errorf("%s: %w", h.name, err)
			}
			h.bulk(&root)
			clean := hivetest.Build(root, hivetest.Options{FileName: h.name})
			dirty, log := soil(clean)
			for name, data := range map[string][]byte{h.name: dirty, h.name + ".LOG1": log, h.name + ".LOG2": nil,
				h.name + ".clean": clean} {
				if err := os.WriteFile(filepath.Join(target, name), data, 0o644); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// readHive is all that a hive holds, but for its security descriptors.
func readHive(volume *ntfs.FS, name string) (hivetest.Key, error) {
	var o registry.Options
	for _, suffix := range []string{".LOG1", ".LOG2"} {
		data, err := volume.ReadFile(name + suffix)
		if err != nil {
			return hivetest.Key{}, err
		}
		o.Logs = append(o.Logs, registry.Log{Name: suffix, R: bytes.NewReader(data), Size: int64(len(data))})
	}
	data, err := volume.ReadFile(name)
	if err != nil {
		return hivetest.Key{}, err
	}
	hive, err := registry.Open(context.Background(), bytes.NewReader(data), int64(len(data)), o)
	if err != nil {
		return hivetest.Key{}, err
	}
	root, err := hive.Root()
	if err != nil {
		return hivetest.Key{}, err
	}
	return readKey(root)
}

// readKey recurses as deep as the keys of the case, which are a few.
func readKey(k *registry.Key) (hivetest.Key, error) {
	out := hivetest.Key{Name: k.Name(), LastWrite: filetime.Of(k.LastWrite())}
	target, err := k.SymbolicLink()
	if err != nil {
		return out, err
	}
	if target != "" {
		return out, fmt.Errorf("%s is a link, which is not copied", k.Path())
	}
	if out.Class, err = k.ClassName(); err != nil {
		return out, err
	}
	values, err := k.Values()
	if err != nil {
		return out, err
	}
	for _, v := range values {
		data, err := v.Data()
		if err != nil {
			return out, err
		}
		out.Values = append(out.Values, hivetest.Value{Name: v.Name(), Type: uint32(v.Type()), Data: data})
	}
	subkeys, err := k.Subkeys()
	if err != nil {
		return out, err
	}
	for _, s := range subkeys {
		sub, err := readKey(s)
		if err != nil {
			return out, err
		}
		out.Subkeys = append(out.Subkeys, sub)
	}
	return out, nil
}

// below returns the key at a path, made if it is not there.
func below(k *hivetest.Key, path string) *hivetest.Key {
	for name := range strings.SplitSeq(path, `\`) {
		at := -1
		for i := range k.Subkeys {
			if strings.EqualFold(k.Subkeys[i].Name, name) {
				at = i
			}
		}
		if at < 0 {
			k.Subkeys = append(k.Subkeys, hivetest.Key{Name: name})
			at = len(k.Subkeys) - 1
		}
		k = &k.Subkeys[at]
	}
	return k
}

func addSoftware(root *hivetest.Key) {
	n := newNames(11)
	classes := below(root, `Classes\CLSID`)
	for range 75_000 {
		file := `C:\Windows\System32\` + n.words(2, "") + ".dll"
		classes.Subkeys = append(classes.Subkeys, hivetest.Key{
			Name: n.guid(), Values: []hivetest.Value{text("", n.words(4, " ")), text("AppID", n.guid())},
			Subkeys: []hivetest.Key{
				{Name: "InprocServer32", Values: []hivetest.Value{text("", file), text("ThreadingModel", "Both")}},
				{Name: "ProgID", Values: []hivetest.Value{text("", n.words(3, "."))}},
			},
		})
	}
	interfaces := below(root, `Classes\Interface`)
	for range 75_000 {
		interfaces.Subkeys = append(interfaces.Subkeys, hivetest.Key{
			Name: n.guid(), Values: []hivetest.Value{text("", "I"+n.words(3, ""))},
			Subkeys: []hivetest.Key{{Name: "ProxyStubClsid32", Values: []hivetest.Value{text("", n.guid())}}},
		})
	}
	components := below(root, `Microsoft\Windows\CurrentVersion\Component Based Servicing\ComponentDetect`)
	for range 60_000 {
		components.Subkeys = append(components.Subkeys, hivetest.Key{
			Name:   fmt.Sprintf("amd64_%s_31bf3856ad364e35_0.0.0.0_none_%s", n.words(4, "-"), n.hex(16)),
			Values: []hivetest.Value{text("Package_for_"+n.words(2, "-")+"~31bf3856ad364e35~amd64~~10.0.1.3", n.words(3, ";"))},
		})
	}
}

func addSystem(root *hivetest.Key) {
	n := newNames(12)
	devices := below(root, `DriverDatabase\DeviceIds`)
	for range 35_000 {
		devices.Subkeys = append(devices.Subkeys, hivetest.Key{
			Name:   fmt.Sprintf("PCI\\VEN_%s&DEV_%s", strings.ToUpper(n.hex(4)), strings.ToUpper(n.hex(4))),
			Values: []hivetest.Value{{Name: n.words(2, "") + ".inf", Type: 3, Data: []byte{1, 0xFF, 0, 0}}},
		})
	}
	packages := below(root, `DriverDatabase\DriverPackages`)
	for range 11_500 {
		packages.Subkeys = append(packages.Subkeys, hivetest.Key{
			Name: fmt.Sprintf("%s.inf_amd64_%s", n.words(2, ""), n.hex(16)),
			Values: []hivetest.Value{text("", n.words(2, "")+".inf"), text("Provider", "Microsoft"),
				{Name: "Version", Type: 3, Data: make([]byte, 48)}},
			Subkeys: []hivetest.Key{
				{Name: "Configurations", Subkeys: []hivetest.Key{{Name: n.words(2, "_"),
					Values: []hivetest.Value{text("Service", n.word())}}}},
				{Name: "Descriptors", Subkeys: []hivetest.Key{{Name: "PCI",
					Values: []hivetest.Value{text("Description", n.words(5, " "))}}}},
				{Name: "Strings", Values: []hivetest.Value{text(n.word(), n.words(8, " ")), text(n.word()+"2", n.words(8, " "))}},
			},
		})
	}
}

func text(name, value string) hivetest.Value {
	return hivetest.Value{Name: name, Type: 1, Data: utf16le.Encode(value + "\x00")}
}

// soil returns the hive as it is on the disk of a running machine, with pages
// that are only in the log.
func soil(clean []byte) (dirty, log []byte) {
	dirty = bytes.Clone(clean)
	const page, base = 4096, 4096
	pages := (len(clean) - base) / page
	for i := range dirtyPages {
		at := base + i*pages/dirtyPages*page
		clear(dirty[at+page/2 : at+page]) // the second half was not written
	}
	dirty = hivetest.Dirty(dirty, 3, 2)
	return dirty, hivetest.NewFormatLog(dirty, hivetest.Dirty(clean, 3, 2), hivetest.LogOptions{First: 2, Entries: 20})
}
