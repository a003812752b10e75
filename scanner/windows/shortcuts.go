package windows

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Bounds of the searches for shortcuts and tasks, far above what real systems
// have: about 200 shortcuts of 2 KiB and 300 tasks of 4 KiB.
const (
	maxPrograms = 20_000 // entries of the folders that are looked through
	maxShortcut = 1 << 20
	maxTask     = 1 << 20
)

// errNoShortcut says that a file is no shell link.
var errNoShortcut = errors.New("no shell link")

// startMenu reads the shortcuts of the Start menu that all users share.
func (m *Machine) startMenu(env environment) (found []placed, seen int, err error) {
	err = m.walk(env["PROGRAMDATA"]+`\Microsoft\Windows\Start Menu`, maxPrograms, func(v *volume, name string) error {
		if !strings.EqualFold(path.Ext(name), ".lnk") {
			return nil
		}
		data, f, err := v.read(name, maxShortcut)
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

// Task is a program that the Task Scheduler runs.
type Task struct {
	Name      string // of its file
	Command   string
	Arguments string
	Evidence  requirement.Evidence
}

// Tasks lists the programs of the machine's scheduled tasks.
func (m *Machine) Tasks() ([]Task, error) { return m.tasks.Get(m.next().readTasks) }

func (m *Machine) readTasks() ([]Task, error) {
	var tasks []Task
	err := m.walk(`C:\`+m.systemRoot+`\System32\Tasks`, maxPrograms, func(v *volume, name string) error {
		data, f, err := v.read(name, maxTask)
		if err != nil {
			return err
		}
		programs, err := parseTask(data)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		for _, t := range programs {
			t.Name, t.Evidence = path.Base(name), f.Evidence
			t.Evidence.Data = strings.TrimSpace(t.Command + " " + t.Arguments)
			tasks = append(tasks, t)
		}
		return nil
	})
	return tasks, err
}

// Flags of a shell link's header ([MS-SHLLINK] 2.1.1).
const (
	linkHasTargetIDList = 1 << 0
	linkHasLinkInfo     = 1 << 1
)

// parseShortcut returns the path that a shell link leads to, "" if it leads to
// something that is no file ([MS-SHLLINK] 2.1 for the header, 2.2 for the
// target's item identifiers, 2.3 for the path). Of a link without the path only
// the drive or the share is known.
func parseShortcut(b []byte) (string, error) {
	const headerSize = 0x4C
	if len(b) < headerSize || le.Uint32(b) != headerSize {
		return "", errNoShortcut
	}
	flags := le.Uint32(b[0x14:])
	rest := b[headerSize:]
	place := ""
	if flags&linkHasTargetIDList != 0 {
		if len(rest) < 2 || len(rest) < 2+int(le.Uint16(rest)) {
			return "", fmt.Errorf("item list runs past the end: %w", errNoShortcut)
		}
		end := 2 + int(le.Uint16(rest))
		place = placeOfItems(rest[2:end])
		rest = rest[end:]
	}
	if flags&linkHasLinkInfo == 0 {
		return place, nil
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
	return place, nil
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
func parseTask(data []byte) ([]Task, error) {
	var task struct {
		Exec []struct {
			Command   string `xml:"Command"`
			Arguments string `xml:"Arguments"`
		} `xml:"Actions>Exec"`
	}
	if err := decodeXML(data, &task); err != nil {
		return nil, err
	}
	var programs []Task
	for _, e := range task.Exec {
		programs = append(programs, Task{Command: e.Command, Arguments: e.Arguments})
	}
	return programs, nil
}
