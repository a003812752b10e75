package machine

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/internal/utf16le"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Setting is a registry value that was looked for. A value of a type that its
// reader in Windows does not accept counts as not set, as it does there: it is
// not Present, and OtherType says that the name exists.
type Setting[T any] struct {
	Value     T
	Present   bool
	OtherType bool
	Type      registry.Type
	Evidence  requirement.Evidence
}

// Key is a registry key that was looked for; the embedded key is nil if it is
// not there.
type Key struct {
	*registry.Key
	Evidence requirement.Evidence
	link     string // name of the symbolic link that led to it, "" if none did
}

// Exists says whether the key is there.
func (k Key) Exists() bool { return k.Key != nil }

// Name is the name under which the key was found, which is not its own where
// a symbolic link led to it.
func (k Key) Name() string {
	if k.link != "" {
		return k.link
	}
	return k.Key.Name()
}

// Key looks for a key by its full name, HKLM\SYSTEM\CurrentControlSet\Services.
// That it does not exist is no error.
func (m *Machine) Key(name string) (Key, error) {
	if err := m.Meter.Steps(1); err != nil {
		return Key{}, fmt.Errorf("%s: %w", name, err)
	}
	k, err := m.Registry.Key(name)
	if errors.Is(err, fs.ErrNotExist) {
		ev, err := m.whereKey(name)
		if err != nil {
			return Key{}, err
		}
		m.in.Trail.Record("key", "source", ev.Source, "path", ev.Path, "key", ev.Key, "found", "no")
		ev.Note = NotFound
		return Key{Evidence: ev}, nil
	}
	if err != nil {
		return Key{}, err
	}
	ev := KeyEvidence(m.hives.evidence(k.Hive(), k.Path()), k)
	m.in.Trail.Record("key", "source", ev.Source, "path", ev.Path, "key", ev.Key, "found", "yes", "last_write",
		ev.Time.Format(time.RFC3339Nano))
	return Key{Key: k, Evidence: ev}, nil
}

// whereKey returns where a key that does not exist was looked for.
func (m *Machine) whereKey(name string) (requirement.Evidence, error) {
	hive, _, path, err := m.Registry.Resolve(name)
	if err != nil {
		return requirement.Evidence{}, err
	}
	return m.hives.evidence(hive, path), nil
}

// MaxSubkeys bounds the memory of facts that are made of every subkey of a key.
// Services, of which there are most, are below a thousand.
const MaxSubkeys = 20_000

// Subkeys returns the subkeys of a key that may not be there.
func (m *Machine) Subkeys(k Key) ([]Key, error) { return m.SubkeysUpTo(k, MaxSubkeys) }

// SubkeysAt returns the subkeys of the key of that name, which may not be there.
func (m *Machine) SubkeysAt(name string) ([]Key, error) {
	k, err := m.Key(name)
	if err != nil {
		return nil, err
	}
	return m.Subkeys(k)
}

// SubkeysUpTo returns the subkeys of a key that may not be there. More than most are an error.
func (m *Machine) SubkeysUpTo(k Key, most int) ([]Key, error) {
	if !k.Exists() {
		return nil, nil
	}
	list, err := k.Subkeys()
	if err == nil {
		err = m.Meter.Steps(len(list))
	}
	if err == nil && len(list) > most {
		err = fmt.Errorf("%w: key %s has %d subkeys, more than %d", registry.ErrUnsupported, k.Evidence.Key,
			len(list), most)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	keys := make([]Key, len(list))
	for i, s := range list {
		if keys[i], err = m.below(k, s); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

// Subkey looks for one subkey of a key that may not be there.
func (m *Machine) Subkey(k Key, name string) (Key, error) {
	ev := k.Evidence
	ev.Kind, ev.Found = requirement.KindKey, false
	ev.Key, ev.Offset = JoinKey(ev.Key, name), nil
	ev.Note = NotFound
	if !k.Exists() {
		return Key{Evidence: ev}, nil
	}
	s, err := k.Subkey(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Key{Evidence: ev}, nil
	}
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", ev.Path, err)
	}
	return m.below(k, s)
}

// below is a subkey or, where that is a symbolic link, the key that Windows
// opens in its place; that one need not exist.
func (m *Machine) below(k Key, s *registry.Key) (Key, error) {
	ev := KeyEvidence(k.Evidence, s)
	ev.Key = JoinKey(k.Evidence.Key, s.Name())
	target, err := s.SymbolicLink()
	if err != nil {
		return Key{}, fmt.Errorf("%s: %w", ev.Path, err)
	}
	if target == "" {
		return Key{Key: s, Evidence: ev}, nil
	}
	linked, err := m.Key(target)
	if err != nil {
		return Key{}, fmt.Errorf("%s: %s is a link: %w", ev.Path, ev.Key, err)
	}
	linked.link = s.Name()
	return linked, nil
}

// JoinKey returns the path of a subkey or a value of a key; the key may be the root.
func JoinKey(key, name string) string {
	if key == "" {
		return name
	}
	return key + `\` + name
}

// value looks for a value of a key that may not be there.
func (m *Machine) value(k Key, name string) (*registry.Value, requirement.Evidence, error) {
	ev := ValueEvidence(k.Evidence, name, nil)
	if !k.Exists() {
		return nil, ev, nil
	}
	if err := m.Meter.Steps(1); err != nil {
		return nil, ev, fmt.Errorf("%s: %s: %w", ev.Path, ev.Key, err)
	}
	v, err := k.Value(name)
	if errors.Is(err, fs.ErrNotExist) {
		m.in.Trail.Record("value", "source", ev.Source, "path", ev.Path, "key", ev.Key, "name", name, "found", "no")
		ev.Note = NotFound
		return nil, ev, nil
	}
	if err != nil {
		return nil, ev, fmt.Errorf("%s: %w", ev.Path, err)
	}
	if err := m.Meter.Bytes(int64(v.Size())); err != nil {
		return nil, ev, fmt.Errorf("%s: %s: %w", ev.Path, ev.Key, err)
	}
	ev = ValueEvidence(ev, name, v)
	if v.Recovered() {
		ev.Note = "from the transaction log"
	}
	return v, ev, nil
}

// ReadSetting reads a value with one of the typed readers of the registry. A
// value of another type counts as not set; without types every one is accepted.
// Data that cannot be read, or whose length does not fit its type, is an error:
// it is damaged, and what it was is not known.
func ReadSetting[T any](m *Machine, k Key, name string, types []registry.Type, read func(*registry.Value) (T, error),
	show func(T) string) (Setting[T], error) {
	v, ev, err := m.value(k, name)
	if err != nil || v == nil {
		return Setting[T]{Evidence: ev}, err
	}
	if len(types) > 0 && !slices.Contains(types, v.Type()) {
		return otherType[T](m, v, ev)
	}
	s := Setting[T]{Present: true, Type: v.Type(), Evidence: ev}
	s.Value, err = read(v)
	if err != nil {
		return Setting[T]{}, fmt.Errorf("%s: %w", ev.Path, err)
	}
	s.Evidence.Data = show(s.Value)
	m.recordValue(v, s.Evidence)
	return s, nil
}

// otherType is the setting for a value that counts as not set because of its
// type. Its data must be readable all the same: what is damaged counts as
// nothing.
func otherType[T any](m *Machine, v *registry.Value, ev requirement.Evidence) (Setting[T], error) {
	data, err := v.Data()
	if err != nil {
		return Setting[T]{}, fmt.Errorf("%s: %w", ev.Path, err)
	}
	ev.Data = ShowBytes(data)
	note := "type " + ev.Type + " counts as not set"
	if ev.Note != "" {
		note = ev.Note + "; " + note
	}
	ev.Note = note
	m.recordValue(v, ev)
	return Setting[T]{OtherType: true, Type: v.Type(), Evidence: ev}, nil
}

// maxRaw limits the raw data of one value in the log; the length is always
// logged.
const maxRaw = 256

func (m *Machine) recordValue(v *registry.Value, ev requirement.Evidence) {
	if m.in.Trail == nil {
		return
	}
	raw, err := v.Data()
	if err != nil {
		return // the typed reader has reported it
	}
	m.in.Trail.Record("value", "source", ev.Source, "path", ev.Path, "key", ev.Key, "name", ev.Value, "type", ev.Type,
		"length", strconv.Itoa(len(raw)), "raw", hex.EncodeToString(raw[:min(len(raw), maxRaw)]), "data", ev.Data,
		"note", ev.Note)
}

// DWord reads a number, which Windows accepts as REG_DWORD.
func (m *Machine) DWord(k Key, name string) (Setting[uint32], error) {
	return ReadSetting(m, k, name, []registry.Type{registry.DWord}, (*registry.Value).Uint32,
		func(n uint32) string { return strconv.FormatUint(uint64(n), 10) })
}

// Text reads a string. Where Windows expands variables, see Environment.Text.
func (m *Machine) Text(k Key, name string) (Setting[string], error) {
	return ReadSetting(m, k, name, []registry.Type{registry.SZ, registry.ExpandSZ}, (*registry.Value).String,
		func(s string) string { return s })
}

// looseText reads a string as those parts of Windows do that do not look at its
// type, such as the service control manager: data of any type, up to the first
// NUL, if it reads as a string at all.
func (m *Machine) looseText(k Key, name string) (Setting[string], error) {
	s, err := m.Text(k, name)
	if err != nil || !s.OtherType {
		return s, err
	}
	v, err := k.Value(name)
	if err != nil {
		return Setting[string]{}, fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	data, err := v.Data()
	if err != nil {
		return Setting[string]{}, fmt.Errorf("%s: %w", k.Evidence.Path, err)
	}
	if len(data) > maxLooseText || len(data)%2 != 0 {
		return s, nil
	}
	text := utf16le.Decode(data)
	if end := strings.IndexByte(text, 0); end >= 0 {
		text = text[:end]
	}
	if text == "" || strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsPrint(r) ||
			r == unicode.ReplacementChar
	}) {
		return s, nil
	}
	s.Value, s.Present, s.OtherType = text, true, false
	s.Evidence.Data, s.Evidence.Note = text, "type "+s.Evidence.Type+"; Windows reads it as text"
	return s, nil
}

// maxLooseText bounds such a string, in bytes: account names and paths are far
// shorter.
const maxLooseText = 64 << 10

// Multi reads a list of strings. A single string is a list of one.
func (m *Machine) Multi(k Key, name string) (Setting[[]string], error) {
	return ReadSetting(m, k, name, []registry.Type{registry.MultiSZ, registry.SZ, registry.ExpandSZ}, ReadList,
		func(s []string) string { return strings.Join(s, ", ") })
}

// ReadList reads a value as a list of strings. A single string is a list of one.
func ReadList(v *registry.Value) ([]string, error) {
	if v.Type() == registry.MultiSZ {
		return v.Strings()
	}
	s, err := v.String()
	if err != nil || s == "" {
		return nil, err
	}
	return []string{s}, nil
}

// Binary reads the data of a value of any type.
func (m *Machine) Binary(k Key, name string) (Setting[[]byte], error) {
	return ReadSetting(m, k, name, nil, (*registry.Value).Data, ShowBytes)
}

// ShowBytes shows binary data in hex, shortened where it is long.
func ShowBytes(b []byte) string {
	if len(b) > 64 {
		return fmt.Sprintf("%x… (%d bytes)", b[:64], len(b))
	}
	return hex.EncodeToString(b)
}

// DWordAt looks for a key by its full name and reads a number in it.
func (m *Machine) DWordAt(key, name string) (Setting[uint32], error) {
	k, err := m.Key(key)
	if err != nil {
		return Setting[uint32]{}, err
	}
	return m.DWord(k, name)
}

// TextAt looks for a key by its full name and reads a string in it.
func (m *Machine) TextAt(key, name string) (Setting[string], error) {
	k, err := m.Key(key)
	if err != nil {
		return Setting[string]{}, err
	}
	return m.Text(k, name)
}

// MultiAt looks for a key by its full name and reads a list of strings in it.
func (m *Machine) MultiAt(key, name string) (Setting[[]string], error) {
	k, err := m.Key(key)
	if err != nil {
		return Setting[[]string]{}, err
	}
	return m.Multi(k, name)
}

// hives remembers where each hive is.
type hives struct {
	mu     sync.Mutex
	files  map[*registry.Hive]requirement.Evidence // for a key in it that is not found yet
	opened []OpenedHive
}

// OpenedHive is a hive that was opened, whether or not it could be used.
type OpenedHive struct {
	Source, Path string
	Recovery     registry.Recovery
}

// OpenedHives returns the hives that were opened so far, each once.
func (m *Machine) OpenedHives() []OpenedHive {
	m.hives.mu.Lock()
	defer m.hives.mu.Unlock()
	return slices.Clone(m.hives.opened)
}

func (h *hives) open(o OpenedHive) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !slices.ContainsFunc(h.opened, func(p OpenedHive) bool { return p.Source == o.Source && p.Path == o.Path }) {
		h.opened = append(h.opened, o)
	}
}

func (h *hives) set(hive *registry.Hive, ev requirement.Evidence) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.files == nil {
		h.files = map[*registry.Hive]requirement.Evidence{}
	}
	h.files[hive] = ev
}

func (h *hives) forget(hive *registry.Hive) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.files, hive)
}

func (h *hives) evidence(hive *registry.Hive, key string) requirement.Evidence {
	h.mu.Lock()
	defer h.mu.Unlock()
	ev := h.files[hive]
	ev.Key = key
	return ev
}

// Hive returns the hive that was read from a file, as it is judged: recovered
// from its logs. It is nil if none was.
func (m *Machine) Hive(source, path string) *registry.Hive {
	m.hives.mu.Lock()
	defer m.hives.mu.Unlock()
	for hive, file := range m.hives.files {
		if file.Source == source && file.Path == path {
			return hive
		}
	}
	return nil
}

// openHive opens the hive that a part of the registry lives in, with its
// transaction logs. A hive that is dirty and whose logs do not complete it
// is an error: what Windows would see in it is not known.
func (m *Machine) openHive(name string) (opened *registry.Hive, err error) {
	win, err := m.hivePath(name)
	if err != nil {
		return nil, err
	}
	v, file, err := m.Locate(win)
	if err != nil {
		return nil, err
	}
	hive, err := fact.Within(m.in.Context, fact.Patience{Waited: m.in.Waited},
		func() (*registry.Hive, error) { return m.load(v, file) }, closeLate)
	if errors.Is(err, fact.ErrTime) {
		return nil, fmt.Errorf("%s volume: %s: %w", v.Role, file, err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		// The error must not say of a key that it is truly not there.
		return nil, fmt.Errorf("%s volume: %s: the hive is missing", v.Role, file)
	}
	if err != nil {
		return nil, err
	}
	m.hives.set(hive, requirement.Evidence{Kind: requirement.KindKey, Origin: requirement.OriginDisk, Source: v.Role,
		Path: file})
	defer func() {
		if opened == nil {
			m.hives.forget(hive)
			hive.Close()
		}
	}()
	r := hive.Recovery()
	m.hives.open(OpenedHive{v.Role, file, r})
	v.Trail.Record("hive", "source", v.Role, "path", file, "state", r.State.String(), "primary",
		fmt.Sprint(r.Primary), "secondary", fmt.Sprint(r.Secondary))
	notify := func(level requirement.Level, message string) {
		v.Trail.Notify(requirement.Notice{Level: level, Message: message, Source: v.Role, Path: file})
	}
	for _, note := range r.Notes {
		notify(requirement.LevelInfo, path.Base(file)+": "+note)
	}
	switch r.State {
	case registry.Recovered:
		notify(requirement.LevelInfo, path.Base(file)+" was dirty: "+applied(r)+".")
	case registry.Dirty:
		notify(requirement.LevelWarning, prose.Sentence(path.Base(file)+": "+r.Err.Error())+
			" Take the image after the WorkSpace was shut down.")
		return nil, fmt.Errorf("%s: %w: its transaction logs do not complete it; take the image after the WorkSpace "+
			"was shut down", file, registry.ErrDirty)
	}
	d := hive.Damage()
	if d.Bins > 0 {
		notify(requirement.LevelWarning,
			fmt.Sprintf("%s: %s cannot be read because the header is damaged, the first at 0x%x.",
				path.Base(file), prose.Count(d.Bins, "part", "parts"), d.First))
	}
	err = r.Lost
	if d.Missing > 0 && err == nil {
		err = fmt.Errorf(
			"%w: the file is %d bytes shorter than its bins; base block and bins come from different writes",
			registry.ErrCorrupt, d.Missing)
	}
	if err != nil {
		notify(requirement.LevelWarning, prose.Sentence(path.Base(file)+": "+err.Error()))
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if m.in.HiveOpened != nil {
		m.in.HiveOpened(name)
	}
	return hive, nil
}

// closeLate closes a hive that opened too late, when its reader has given up.
func closeLate(hive *registry.Hive, err error) {
	if err == nil {
		hive.Close()
	}
}

func applied(r registry.Recovery) string {
	var parts []string
	for _, a := range r.Applied {
		switch r.Format {
		case "new":
			parts = append(parts, fmt.Sprintf("%s from %s (sequence numbers %d to %d)",
				prose.Count(a.Entries, "log entry", "log entries"), a.Name, a.First, a.Last))
		default:
			parts = append(parts, fmt.Sprintf("%s from %s", prose.Count(r.Pages, "page", "pages"), a.Name))
		}
	}
	return strings.Join(parts, ", ") + " applied"
}

// DefaultUser stands for a SID in the name of the hive that new profiles are
// copied from.
const DefaultUser = "DEFAULT-PROFILE"

// hivePath returns the Windows path of a hive: those of the machine are in
// System32\config, that of a user in the profile.
func (m *Machine) hivePath(name string) (string, error) {
	sid, isUser := strings.CutPrefix(strings.ToUpper(name), `HKU\`)
	if !isUser {
		return `C:\` + m.SystemRoot + `\System32\config\` + name, nil
	}
	sid, classes := strings.CutSuffix(sid, "_CLASSES")
	profiles, err := m.Profiles()
	if err != nil {
		return "", err
	}
	if sid == DefaultUser {
		return profiles.Default + `\NTUSER.DAT`, nil
	}
	for _, p := range profiles.List {
		if strings.EqualFold(p.SID, sid) {
			if p.Path == "" {
				return "", fmt.Errorf("the profile of %s has no path", sid)
			}
			if classes {
				return p.Path + `\AppData\Local\Microsoft\Windows\UsrClass.dat`, nil
			}
			return p.Path + `\NTUSER.DAT`, nil
		}
	}
	return "", fmt.Errorf("no profile of %s", sid)
}

// hiveFile is a hive and the logs in the same folder.
type hiveFile struct {
	v       *Drive
	name    string
	r       io.ReaderAt
	size    int64
	options registry.Options
}

func findHive(v *Drive, file string, reserve func(n int64) error) (*hiveFile, error) {
	h := &hiveFile{v: v, name: file, options: registry.Options{Reserve: reserve}}
	for _, suffix := range []string{".LOG", ".LOG1", ".LOG2"} {
		log, size, err := v.Open(file + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		h.options.Logs = append(h.options.Logs, registry.Log{Name: path.Base(file) + suffix, R: log, Size: size})
	}
	var err error
	if h.r, h.size, err = v.Open(file); err == nil {
		h.options.Part = v.partOf(h.r, h.size)
	}
	return h, err
}

// manyRequests is from how many requests on a hive is read where it is needed, if the image is read over a network. A
// smaller one is read at once, since a read that depends on another one costs the latency of a request.
const manyRequests = 16

// partOf returns registry.Options.Part for a file, nil if it is to be read at once: the bytes of a contiguous part of
// the file that one request returns.
func (v *Drive) partOf(file io.ReaderAt, size int64) func(off int64) (from, to int64) {
	placed, ok := file.(interface {
		Run(off int64) (from, to, at int64, known bool)
	})
	if !ok || v.request == 0 || size < manyRequests*v.request {
		return nil
	}
	return func(off int64) (from, to int64) {
		first, end, at, known := placed.Run(off)
		if !known {
			first, end, at = 0, size, 0
		}
		at += v.offset
		begin := (at + off - first) / v.request * v.request
		return max(first, first+begin-at), min(end, first+begin+v.request-at)
	}
}

// open reads the hive. When ctx ends, it returns the context's error.
func (h *hiveFile) open(ctx context.Context) (*registry.Hive, error) {
	hive, err := registry.Open(ctx, h.r, h.size, h.options)
	if err != nil {
		return nil, h.v.Problem(h.name, err)
	}
	return hive, nil
}
