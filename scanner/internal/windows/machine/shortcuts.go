package machine

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/internal/utf16le"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Bounds of the searches for shortcuts, far above what real systems have: about
// 200 shortcuts of 2 KiB.
const (
	MaxPrograms      = 20_000 // entries of the folders that are looked through
	maxShortcut      = 1 << 20
	maxShortcutBytes = 64 << 20 // of all shortcuts together
)

// errNoShortcut says that a file is no shell link.
var errNoShortcut = errors.New("not a shortcut")

// errOtherFile says that a file does not even begin as one.
var errOtherFile = fmt.Errorf("%w: unknown header", errNoShortcut)

// A shortcut is a file that leads to another, perhaps with arguments for it.
type ShortcutFile struct {
	Name string // of the file
	shellLink
	Evidence requirement.Evidence
}

// Line is the command line that opening the shortcut runs.
func (s shellLink) Line() string {
	if s.Arguments == "" {
		return Quoted(s.Target)
	}
	return Quoted(s.Target) + " " + s.Arguments
}

// ShortcutReader reads shortcuts, a file of several names once.
type ShortcutReader struct {
	seen  map[fact.ID]bool
	bytes int64

	// A file on a desktop that does not begin as a shell link does is named, and
	// no damage: Windows opens nothing by it.
	Lenient bool
	Other   []string // such files
}

// read parses a shortcut; it returns nil for one that was read already.
func (r *ShortcutReader) read(v *Drive, name string) (*ShortcutFile, error) {
	f, err := v.File(name)
	if err != nil || r.seen[f.ID] {
		return nil, err
	}
	if r.seen == nil {
		r.seen = map[fact.ID]bool{}
	}
	r.seen[f.ID] = true
	data, f, err := v.read(name, maxShortcut)
	if err != nil {
		return nil, err
	}
	if r.bytes += int64(len(data)); r.bytes > maxShortcutBytes {
		return nil, fmt.Errorf("%s volume: %w: shortcuts of more than %s", v.Role, ErrTooLarge,
			prose.Size(maxShortcutBytes))
	}
	l, err := parseLink(data)
	if r.Lenient && errors.Is(err, errOtherFile) {
		if len(r.Other) < MaxNamedData {
			r.Other = append(r.Other, path.Base(name))
		}
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	f.Evidence.Data = prose.Short(strings.TrimSpace(l.Target + " " + l.Arguments))
	return &ShortcutFile{Name: path.Base(name), shellLink: l, Evidence: f.Evidence}, nil
}

// ShortcutsIn reads the shortcuts below a folder that may not be there.
func (m *Machine) ShortcutsIn(r *ShortcutReader, folder string) ([]ShortcutFile, error) {
	var list []ShortcutFile
	err := m.Walk(folder, MaxPrograms, func(v *Drive, name string) error {
		if !strings.EqualFold(path.Ext(name), ".lnk") {
			return nil
		}
		s, err := r.read(v, name)
		if s != nil {
			list = append(list, *s)
		}
		return err
	})
	return list, err
}

// Flags of a shell link's header ([MS-SHLLINK] 2.1.1).
const (
	linkHasTargetIDList = 1 << 0
	linkHasLinkInfo     = 1 << 1
	linkHasName         = 1 << 2
	linkHasRelativePath = 1 << 3
	linkHasWorkingDir   = 1 << 4
	linkHasArguments    = 1 << 5
	linkHasIconLocation = 1 << 6
	linkIsUnicode       = 1 << 7
	linkHasExpString    = 1 << 9
)

// A shellLink is what a shell link says of its target.
type shellLink struct {
	Target    string // path; "" if it leads to something that is no file
	Arguments string
	Folder    string // the working directory
}

// parseLink reads a shell link: its target, then what follows it as texts
// ([MS-SHLLINK] 2.4), then the target with variables (2.5.4), which Windows
// prefers where it is there.
func parseLink(b []byte) (shellLink, error) {
	target, end, err := parseTarget(b)
	l := shellLink{Target: target}
	if err != nil {
		return shellLink{}, err
	}
	flags, rest := le.Uint32(b[0x14:]), b[end:]
	for _, field := range []struct {
		flag uint32
		into *string
	}{{linkHasName, nil}, {linkHasRelativePath, nil}, {linkHasWorkingDir, &l.Folder},
		{linkHasArguments, &l.Arguments}, {linkHasIconLocation, nil}} {
		if flags&field.flag == 0 {
			continue
		}
		if len(rest) < 2 {
			return shellLink{}, fmt.Errorf("%w: a text is truncated", errNoShortcut)
		}
		size := int(le.Uint16(rest))
		if flags&linkIsUnicode != 0 {
			size *= 2
		}
		if len(rest) < 2+size {
			return shellLink{}, fmt.Errorf("%w: a text is truncated", errNoShortcut)
		}
		if field.into != nil {
			if *field.into = string(rest[2 : 2+size]); flags&linkIsUnicode != 0 {
				*field.into = utf16le.Decode(rest[2 : 2+size])
			}
		}
		rest = rest[2+size:]
	}
	// Extra blocks: a size, a signature, data; one below four bytes ends them.
	const environmentBlock, ansiSize, wideSize = 0xA0000001, 260, 520
	for flags&linkHasExpString != 0 && len(rest) >= 8 {
		size := le.Uint32(rest)
		if size < 8 || uint64(size) > uint64(len(rest)) {
			break
		}
		if le.Uint32(rest[4:]) == environmentBlock && size >= 8+ansiSize+wideSize {
			if wide := utf16le.Decode(rest[8+ansiSize : 8+ansiSize+wideSize]); wide != "" {
				l.Target, _, _ = strings.Cut(wide, "\x00")
			}
		}
		rest = rest[size:]
	}
	return l, nil
}

// parseShortcut returns the path that a shell link leads to.
func parseShortcut(b []byte) (string, error) {
	target, _, err := parseTarget(b)
	return target, err
}

// parseTarget returns the path that a shell link leads to, "" if it leads to
// something that is no file ([MS-SHLLINK] 2.1 for the header, 2.2 for the
// target's item identifiers, 2.3 for the path), and where the link goes on. Of a
// link without the path only the drive or the share is known.
func parseTarget(b []byte) (target string, end int, err error) {
	const headerSize = 0x4C
	if len(b) < 4 || le.Uint32(b) != headerSize {
		return "", 0, errOtherFile
	}
	if len(b) < headerSize {
		return "", 0, errNoShortcut
	}
	flags := le.Uint32(b[0x14:])
	end = headerSize
	place := ""
	if flags&linkHasTargetIDList != 0 {
		rest := b[end:]
		if len(rest) < 2 || len(rest) < 2+int(le.Uint16(rest)) {
			return "", 0, fmt.Errorf("%w: the item list is truncated", errNoShortcut)
		}
		size := 2 + int(le.Uint16(rest))
		place = placeOfItems(rest[2:size])
		end += size
	}
	if flags&linkHasLinkInfo == 0 {
		return place, end, nil
	}
	rest := b[end:]
	if len(rest) < 0x1C {
		return "", 0, fmt.Errorf("%w: the link info is truncated", errNoShortcut)
	}
	size := le.Uint32(rest)
	if size < 0x1C || uint64(size) > uint64(len(rest)) {
		return "", 0, fmt.Errorf("%w: link info of %d bytes", errNoShortcut, size)
	}
	info := rest[:size]
	end += int(size)
	const localPath, networkPath = 1, 2
	switch infoFlags := le.Uint32(info[8:]); {
	case infoFlags&localPath != 0:
		if le.Uint32(info[4:]) >= 0x24 && len(info) >= 0x24 {
			place, err = wideString(info, le.Uint32(info[0x1C:]))
		} else {
			place, err = byteString(info, le.Uint32(info[0x10:]))
		}
	case infoFlags&networkPath != 0:
		offset := le.Uint32(info[0x14:])
		if uint64(offset)+0x14 > uint64(len(info)) {
			return "", 0, fmt.Errorf("%w: the network path is truncated", errNoShortcut)
		}
		share := info[offset:]
		place, err = byteString(share, le.Uint32(share[8:]))
	}
	if err != nil {
		return "", 0, err
	}
	return place, end, nil
}

// Classes of item identifiers, in the upper half of their type (libfwsi,
// "Windows Shell Item format"; Microsoft does not document them).
const (
	itemClass   = 0x70
	itemVolume  = 0x20 // at offset 3 of the item: D:\ and a NUL
	itemNetwork = 0x40 // at offset 5: \\server\share and a NUL
)

// placeOfItems finds the drive or the share in the item identifiers of a
// target; "" if there is neither, as for what is no file.
func placeOfItems(list []byte) string {
	for len(list) >= 2 {
		size := int(le.Uint16(list))
		if size < 3 || size > len(list) {
			return ""
		}
		item := list[:size]
		list = list[size:]
		switch item[2] & itemClass {
		case itemVolume:
			if drive, err := byteString(item, 3); err == nil && len(drive) > 1 && drive[1] == ':' {
				return drive
			}
		case itemNetwork:
			if share, err := byteString(item, 5); err == nil && strings.HasPrefix(share, `\\`) {
				return share
			}
		}
	}
	return ""
}

func byteString(b []byte, offset uint32) (string, error) {
	if uint64(offset) >= uint64(len(b)) {
		return "", fmt.Errorf("%w: the path is truncated", errNoShortcut)
	}
	for i, c := range b[offset:] {
		if c == 0 {
			return string(b[offset : int(offset)+i]), nil
		}
	}
	return "", fmt.Errorf("%w: the path has no end", errNoShortcut)
}

func wideString(b []byte, offset uint32) (string, error) {
	for i := uint64(offset); i+1 < uint64(len(b)); i += 2 {
		if b[i] == 0 && b[i+1] == 0 {
			return utf16le.Decode(b[offset:i]), nil
		}
	}
	return "", fmt.Errorf("%w: the path has no end", errNoShortcut)
}
