package windows

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/coldcheck/coldcheck/ntfs"
)

// Bounds of the searches for shortcuts and tasks, far above what real systems
// have: about 200 shortcuts of 2 KiB and 300 tasks of 4 KiB.
const (
	maxPrograms     = 20_000 // entries of the folders that are looked through
	maxShortcut     = 1 << 20
	maxTask         = 1 << 20
	startMenuFolder = "ProgramData/Microsoft/Windows/Start Menu"
)

// errNoShortcut says that a file is no shell link.
var errNoShortcut = errors.New("no shell link")

// startMenu reads the shortcuts of the Start menu that all users share.
func (m *Machine) startMenu(env environment) (found []placed, seen int, err error) {
	err = m.walk(startMenuFolder, func(name string) error {
		if !strings.EqualFold(path.Ext(name), ".lnk") {
			return nil
		}
		data, f, err := m.read(`C:\`+name, maxShortcut)
		if err != nil {
			return err
		}
		target, err := parseShortcut(data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		seen++
		f.Evidence.Data = target
		found, err = m.place(found, env, "shortcut "+path.Base(name), Setting[string]{Value: quoted(target), Evidence: f.Evidence})
		return err
	})
	return found, seen, err
}

// scheduledTasks reads the programs of the machine's tasks.
func (m *Machine) scheduledTasks(env environment) (found []placed, seen int, err error) {
	err = m.walk(m.systemRoot+"/System32/Tasks", func(name string) error {
		data, f, err := m.read(`C:\`+name, maxTask)
		if err != nil {
			return err
		}
		commands, err := parseTask(data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		seen++
		for _, c := range commands {
			ev := f.Evidence
			ev.Data = c
			if found, err = m.place(found, env, "task "+path.Base(name), Setting[string]{Value: c, Evidence: ev}); err != nil {
				return err
			}
		}
		return nil
	})
	return found, seen, err
}

// walk calls fn for every file below a folder of drive C that may not be
// there. What lies behind a reparse point is left out.
func (m *Machine) walk(folder string, fn func(name string) error) error {
	root := m.volumes["C"]
	start, err := root.file(folder)
	if err != nil || !start.Exists {
		return err
	}
	seen := 0
	return fs.WalkDir(root.fs, folder, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return root.problem(name, err)
		}
		if seen++; seen > maxPrograms {
			return fmt.Errorf("%s: more than %d entries: %w", folder, maxPrograms, ntfs.ErrUnsupported)
		}
		if !e.Type().IsRegular() {
			return nil
		}
		return fn(name)
	})
}

// Flags of a shell link's header ([MS-SHLLINK] 2.1.1).
const (
	linkHasTargetIDList = 1 << 0
	linkHasLinkInfo     = 1 << 1
)

// parseShortcut returns the path that a shell link leads to, "" if it leads to
// something that is no file ([MS-SHLLINK] 2.1 for the header, 2.2 for the
// target's item identifiers, 2.3 for the path).
func parseShortcut(b []byte) (string, error) {
	const headerSize = 0x4C
	if len(b) < headerSize || le.Uint32(b) != headerSize {
		return "", errNoShortcut
	}
	flags := le.Uint32(b[0x14:])
	rest := b[headerSize:]
	if flags&linkHasTargetIDList != 0 {
		if len(rest) < 2 || len(rest) < 2+int(le.Uint16(rest)) {
			return "", fmt.Errorf("item list runs past the end: %w", errNoShortcut)
		}
		rest = rest[2+int(le.Uint16(rest)):]
	}
	if flags&linkHasLinkInfo == 0 {
		return "", nil
	}
	if len(rest) < 0x1C {
		return "", fmt.Errorf("link info is cut short: %w", errNoShortcut)
	}
	size := le.Uint32(rest)
	if size < 0x1C || uint64(size) > uint64(len(rest)) {
		return "", fmt.Errorf("link info of %d bytes: %w", size, errNoShortcut)
	}
	info := rest[:size]
	const localPath, networkPath = 1, 2
	switch infoFlags := le.Uint32(info[8:]); {
	case infoFlags&localPath != 0:
		if le.Uint32(info[4:]) >= 0x24 && len(info) >= 0x24 {
			return wideString(info, le.Uint32(info[0x1C:]))
		}
		return byteString(info, le.Uint32(info[0x10:]))
	case infoFlags&networkPath != 0:
		offset := le.Uint32(info[0x14:])
		if uint64(offset)+0x14 > uint64(len(info)) {
			return "", fmt.Errorf("network path runs past the end: %w", errNoShortcut)
		}
		share := info[offset:]
		return byteString(share, le.Uint32(share[8:]))
	}
	return "", nil
}

func byteString(b []byte, offset uint32) (string, error) {
	if uint64(offset) >= uint64(len(b)) {
		return "", fmt.Errorf("path runs past the end: %w", errNoShortcut)
	}
	for i, c := range b[offset:] {
		if c == 0 {
			return string(b[offset : int(offset)+i]), nil
		}
	}
	return "", fmt.Errorf("path has no end: %w", errNoShortcut)
}

func wideString(b []byte, offset uint32) (string, error) {
	for i := uint64(offset); i+1 < uint64(len(b)); i += 2 {
		if b[i] == 0 && b[i+1] == 0 {
			return utf16String(b[offset:i]), nil
		}
	}
	return "", fmt.Errorf("path has no end: %w", errNoShortcut)
}

// parseTask returns the programs that a scheduled task runs ([MS-TSCH] 2.5).
func parseTask(data []byte) ([]string, error) {
	var task struct {
		Exec []struct {
			Command string `xml:"Command"`
		} `xml:"Actions>Exec"`
	}
	if err := decodeXML(data, &task); err != nil {
		return nil, err
	}
	var commands []string
	for _, e := range task.Exec {
		commands = append(commands, e.Command)
	}
	return commands, nil
}
