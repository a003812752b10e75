//go:build linux

package mutate_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coldcheck/coldcheck/ext4"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/internal/mutate"
	"github.com/coldcheck/coldcheck/scanner/internal/packages"
	"github.com/coldcheck/coldcheck/xfs"
)

// item is one thing that a scan may rest on. Its kind decides the form of a
// witness's answer, which is the same for all witnesses:
//
//	path      what kind of file is at the path, and its content
//	list      the names in a folder; on NTFS in lower case
//	key       the subkeys of a registry key, and its values
//	free      free space in bytes; on ext4 with what else df goes by
//	tree      the files below a folder, and their bytes
//	packages  what the package database has installed
//	appx      packages of the StateRepository, and their users
//
// What is not there is "absent". What cannot be read begins with "error".
type item struct {
	kind string
	role string // of the volume
	path string // on the volume
	key  string // of kind "key", in the hive at path
}

func (i item) String() string {
	return strings.TrimSpace(i.kind + " " + i.role + " " + i.path + " " + i.key)
}

const absent = "absent"

// maxHashed is the size of the largest file whose content is compared.
const maxHashed = 64 << 20

func fileReading(r io.Reader, size int64) string {
	if size > maxHashed {
		return fmt.Sprintf("file of %d bytes", size)
	}
	h := sha256.New()
	if n, err := io.Copy(h, r); err != nil {
		return "error: " + err.Error()
	} else if n != size {
		return fmt.Sprintf("error: %d of %d bytes", n, size)
	}
	return fmt.Sprintf("file of %d bytes, %x", size, h.Sum(nil)[:8])
}

// usageReading is what df goes by: bytes but for the blocks.
func usageReading(free, reserved, blocks int64, features []string) string {
	features = slices.Sorted(slices.Values(features))
	return fmt.Sprintf("%d free, %d reserved, of %d blocks: %s", free, reserved, blocks, strings.Join(features, " "))
}

func listReading(names []string) string {
	slices.Sort(names)
	return strings.Join(names, "/")
}

// readings are those of the readers under test.
type readings struct {
	result  *scanner.Result
	volumes map[string]readFS
	hives   map[item]*registry.Hive // as items without a key
	known   map[item]string
}

// readFS is what ntfs.FS, ext4.FS and xfs.FS have in common.
type readFS interface {
	fs.StatFS
	fs.ReadDirFS
	fs.ReadFileFS
	Lstat(name string) (fs.FileInfo, error)
	ReadLink(name string) (string, error)
}

func newReadings(images []*mutate.Overlay, result *scanner.Result) *readings {
	r := &readings{result: result, volumes: map[string]readFS{}, hives: map[item]*registry.Hive{},
		known: map[item]string{}}
	for _, v := range result.Volumes {
		image := images[slices.Index(result.Images, v.Image)]
		section := io.NewSectionReader(image, v.Offset, v.Size)
		var fsys readFS
		var err error
		switch v.Filesystem {
		case "ntfs":
			fsys, err = ntfs.Open(context.Background(), section, v.Size, ntfs.Options{})
		case "ext2", "ext3", "ext4":
			fsys, err = ext4.Open(context.Background(), section, v.Size, ext4.Options{})
		case "xfs":
			fsys, err = xfs.Open(context.Background(), section, v.Size, xfs.Options{})
		default:
			continue
		}
		if err == nil && v.Role != scanner.Other {
			r.volumes[string(v.Role)] = fsys
		}
	}
	return r
}

// items are what the scan read, without the keys of hives.
func (r *readings) items() map[item]bool {
	items := map[item]bool{{kind: "free", role: "root"}: true}
	add := func(kind, role, name string) {
		if name != "" && (role == "root" || role == "user") {
			items[item{kind: kind, role: role, path: name}] = true
		}
	}
	for _, f := range r.result.Findings {
		for _, e := range f.Evidence {
			add("path", e.Source, e.Path)
			if f.ID == "win.profile.size" {
				add("tree", e.Source, e.Path)
			}
		}
	}
	for _, e := range r.result.Events {
		a := map[string]string{}
		for _, attr := range e.Attrs {
			a[attr.Key] = attr.Value
		}
		switch e.Name {
		case "open", "file", "follow":
			add("path", a["source"], a["path"])
		case "list":
			add("list", a["source"], a["path"])
		case "packages":
			add("packages", a["source"], a["path"])
			add("path", a["source"], a["path"]+"-wal")
		case "database":
			add("appx", a["source"], a["path"])
			add("path", a["source"], a["path"]+"-wal")
		}
	}
	return items
}

// hiveItems are the hives that the scan read.
func (r *readings) hiveItems() (list []item) {
	for _, e := range r.result.Events {
		if e.Name == "hive" {
			list = append(list, item{kind: "key", role: e.Attrs[0].Value, path: e.Attrs[1].Value})
		}
	}
	return list
}

func (r *readings) read(i item) string {
	s, ok := r.known[i]
	if !ok {
		s = r.look(i)
		r.known[i] = s
	}
	return s
}

func (r *readings) look(i item) string {
	fsys := r.volumes[i.role]
	if fsys == nil {
		return "error: no volume"
	}
	say := func(s string, err error) string {
		if errors.Is(err, fs.ErrNotExist) {
			return absent
		}
		if err != nil {
			return "error: " + err.Error()
		}
		return s
	}
	switch i.kind {
	case "path":
		return say(pathReading(fsys, i.path))
	case "list":
		entries, err := fsys.ReadDir(i.path)
		_, windows := fsys.(*ntfs.FS)
		var names []string
		for _, e := range entries {
			name := e.Name()
			if windows {
				name = strings.ToLower(name)
			} else {
				name = asOnDisk(name)
			}
			names = append(names, name)
		}
		return say(listReading(names), err)
	case "free":
		switch v := fsys.(type) {
		case *ntfs.FS:
			n, err := v.Free()
			return say(fmt.Sprint(n), err)
		case *xfs.FS:
			u, err := v.Usage()
			return say(fmt.Sprint(u.Free), err)
		case *ext4.FS:
			u, err := v.Usage()
			return say(usageReading(u.Free, u.Reserved, v.Volume().Blocks, v.Volume().Features), err)
		}
	case "tree":
		if v, ok := fsys.(*ntfs.FS); ok {
			t, err := v.Tree(i.path)
			if t.Damaged > 0 {
				err = fmt.Errorf("%d damaged", t.Damaged)
			}
			return say(fmt.Sprintf("%d files, %d bytes", t.Files, t.Size), err)
		}
	case "packages":
		db, err := packages.Open(context.Background(), fsys)
		if err != nil {
			return "error: " + err.Error()
		}
		list, err := db.Packages()
		var lines []string
		for _, p := range list {
			if p.IsInstalled() {
				lines = append(lines, p.Name+" "+p.EVR())
			}
		}
		return say(listReading(lines), err)
	case "appx":
		if !r.items()[i] {
			return "error: not read"
		}
		var lines []string
		for _, e := range r.result.Events {
			if e.Name == "package" && e.Attrs[1].Value == i.path {
				lines = append(lines, fmt.Sprint(e.Attrs[2].Value, " ", e.Attrs[3].Value, " ", e.Attrs[4].Value))
			}
		}
		return listReading(lines)
	}
	panic("no such kind: " + i.kind)
}

// asOnDisk turns what ext4 shows for bytes that are not UTF-8 back into these.
func asOnDisk(name string) string {
	var b []byte
	for _, r := range name {
		if r >= 0xEF00 && r <= 0xEFFF {
			b = append(b, byte(r))
		} else {
			b = utf8.AppendRune(b, r)
		}
	}
	return string(b)
}

func pathReading(fsys readFS, name string) (string, error) {
	info, err := fsys.Lstat(name)
	if err != nil {
		return "", err
	}
	_, windows := info.Sys().(*ntfs.Entry)
	switch mode := info.Mode(); {
	case mode.IsDir():
		return "folder", nil
	case windows && !mode.IsRegular():
		return "link", nil // its target is written differently
	case mode&fs.ModeSymlink != 0:
		target, err := fsys.ReadLink(name)
		return "link to " + target, err
	case !mode.IsRegular():
		return "special file", nil
	}
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	return fileReading(f, info.Size()), nil
}

// hive opens a hive with its logs, as a scan does.
func (r *readings) hive(i item) *registry.Hive {
	i.key = ""
	if h, ok := r.hives[i]; ok {
		return h
	}
	r.hives[i] = nil
	fsys := r.volumes[i.role]
	if fsys == nil {
		return nil
	}
	data, err := fsys.ReadFile(i.path)
	if err != nil {
		return nil
	}
	var o registry.Options
	for _, suffix := range logSuffixes {
		if log, err := fsys.ReadFile(i.path + suffix); err == nil {
			o.Logs = append(o.Logs, registry.Log{Name: suffix, R: bytes.NewReader(log), Size: int64(len(log))})
		}
	}
	if h, err := registry.Open(context.Background(), bytes.NewReader(data), int64(len(data)), o); err == nil &&
		h.Recovery().Err == nil {
		r.hives[i] = h
	}
	return r.hives[i]
}

var logSuffixes = []string{".LOG", ".LOG1", ".LOG2"}

// keys reads every key of a hive, by its path in lower case; nil if the hive
// cannot be read.
func (r *readings) keys(i item) map[string]string {
	h := r.hive(i)
	if h == nil {
		return nil
	}
	keys := map[string]string{}
	h.Walk(func(k *registry.Key, err error) error {
		path := strings.ToLower(k.Path())
		if err != nil {
			keys[path] = "error: " + err.Error()
		} else if keys[path] == "" { // of twins, the first is found
			keys[path] = keyReading(k)
		}
		return nil
	})
	return keys
}

func keyReading(k *registry.Key) string {
	keys, err := k.Subkeys()
	if err != nil {
		return "error: " + err.Error()
	}
	values, err := k.Values()
	if err != nil {
		return "error: " + err.Error()
	}
	var names, lines []string
	for _, k := range keys {
		names = append(names, hex.EncodeToString([]byte(k.Name())))
	}
	for _, v := range values {
		data, err := v.Data()
		if err != nil {
			return "error: " + err.Error()
		}
		lines = append(lines, fmt.Sprintf("%x:%d:%x", v.Name(), v.Type(), data))
	}
	slices.Sort(names)
	slices.Sort(lines)
	return strings.TrimSpace("keys " + strings.Join(names, " ") + " values " + strings.Join(lines, " "))
}

// changed lists the items that read differently than before, without those
// below a removed key.
func (r *readings) changed(before *readings) (list []item) {
	items := before.items()
	for i := range r.items() {
		items[i] = true
	}
	for i := range items {
		if r.read(i) != before.read(i) {
			list = append(list, i)
		}
	}
	for _, hive := range r.hiveItems() {
		was, is := before.keys(hive), r.keys(hive)
		for path := range was {
			if _, ok := is[path]; ok {
				continue
			}
			parent := path[:max(0, strings.LastIndexByte(path, '\\'))]
			if reading, ok := is[parent]; ok && reading != absent && !strings.HasPrefix(reading, "error") {
				is[path] = absent
			}
		}
		for path, reading := range is {
			if was[path] != reading {
				i := hive
				i.key = path
				r.known[i] = reading
				before.known[i] = cmp.Or(was[path], absent)
				list = append(list, i)
			}
		}
	}
	slices.SortFunc(list, func(a, b item) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.role, b.role), strings.Compare(a.path, b.path),
			strings.Compare(a.key, b.key))
	})
	return list
}
