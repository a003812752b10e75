package windows

import (
	"errors"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const keyInstaller = `HKLM\SOFTWARE` + keyWindows + `\Installer`

// localSystem is the account as which Windows Installer installs for all users.
const localSystem = "S-1-5-18"

// installerPrograms reads what Windows Installer has on record of products that
// are installed for all users.
func (m *Machine) installerPrograms(off *offPlaces, env environment) error {
	products, err := m.productsOf(localSystem, env)
	off.Machine = append(off.Machine, products...)
	components, moreErr := m.componentsOf(localSystem)
	off.Machine = append(off.Machine, components...)
	return errors.Join(err, moreErr, m.installerFolders(off))
}

// productsOf reads where the products of an account are installed.
func (m *Machine) productsOf(sid string, env environment) ([]placed, error) {
	parent, err := m.key(keyInstaller + `\UserData\` + sid + `\Products`)
	if err != nil {
		return nil, err
	}
	keys, err := m.subkeys(parent)
	if err != nil {
		return nil, err
	}
	var found []placed
	for _, k := range keys {
		properties, err := m.subkey(k, "InstallProperties")
		if err != nil {
			return nil, err
		}
		name, err := m.text(properties, "DisplayName")
		if err != nil {
			return nil, err
		}
		location, err := m.text(properties, "InstallLocation")
		if err != nil {
			return nil, err
		}
		if found, err = m.place(found, env, name.Value, location); err != nil {
			return found, err
		}
	}
	return found, nil
}

// Bounds of the search through lists that have a key for each part of every
// application: real machines have some ten thousand.
const maxParts = 500_000

// componentsOf reads the key paths of the components that are installed for an
// account: a value for each product, with the path of a file or folder, or of a
// registry key ("02:\Software\…"). A "?" may be written for the ":".
func (m *Machine) componentsOf(sid string) ([]placed, error) {
	parent, err := m.key(keyInstaller + `\UserData\` + sid + `\Components`)
	if err != nil || !parent.Exists() {
		return nil, err
	}
	var found []placed
	err = m.parts(parent, func(k *registry.Key) error {
		values, err := k.Values()
		if err != nil {
			return err
		}
		if err := m.meter.Steps(len(values)); err != nil {
			return err
		}
		for _, v := range values {
			if t := v.Type(); t != registry.SZ && t != registry.MultiSZ && t != registry.ExpandSZ {
				continue
			}
			if err := m.meter.Bytes(int64(v.Size())); err != nil {
				return err
			}
			paths, err := readList(v)
			if err != nil {
				return err
			}
			for _, p := range paths {
				if !elsewhere(componentPath(p)) || len(found) >= maxPrograms {
					continue
				}
				ev := m.partEvidence(parent, k, v)
				found = append(found, placed{"component " + componentPath(p)[strings.LastIndexAny(strings.TrimRight(p, `\`), `\`)+1:], componentPath(p), ev})
			}
		}
		return nil
	})
	return found, err
}

// componentPath is the path of a component as Windows opens it. The registry
// keys that stand in the place of one begin with the number of a root and a
// colon.
func componentPath(s string) string {
	if len(s) > 2 && s[1] == '?' && s[2] == '\\' {
		s = s[:1] + ":" + s[2:]
	}
	if len(s) > 1 && s[1] == ':' && (s[0]|0x20 < 'a' || s[0]|0x20 > 'z') {
		return ""
	}
	return s
}

// parts calls fn for every subkey, without making a fact of each.
func (m *Machine) parts(parent Key, fn func(k *registry.Key) error) error {
	keys, err := parent.Subkeys()
	if err != nil {
		return fmt.Errorf("%s: %w", parent.Evidence.Path, err)
	}
	if len(keys) > maxParts {
		return fmt.Errorf("%s: key %s has %d subkeys, more than %d: %w", parent.Evidence.Path, parent.Evidence.Key, len(keys), maxParts, errTooLarge)
	}
	if err := m.meter.Steps(len(keys)); err != nil {
		return fmt.Errorf("%s: %w", parent.Evidence.Path, err)
	}
	for _, k := range keys {
		if err := fn(k); err != nil {
			return fmt.Errorf("%s: %w", parent.Evidence.Path, err)
		}
	}
	return nil
}

// partEvidence is the evidence for a value below one of many subkeys.
func (m *Machine) partEvidence(parent Key, k *registry.Key, v *registry.Value) requirement.Evidence {
	ev := parent.Evidence
	ev.Key, ev.Value, ev.Type = k.Path(), v.Name(), v.Type().String()
	ev.Time = k.LastWrite().UTC()
	offset := v.Offset()
	ev.Offset = &offset
	if s, err := v.String(); err == nil {
		ev.Data = short(s)
	}
	return ev
}

// installerFolders reads the folders that Windows Installer made. The list is of
// all products together, and keeps what was removed: a folder counts where it is
// on drive D, and one in a profile is of what that user installed.
func (m *Machine) installerFolders(off *offPlaces) error {
	folders, err := m.key(keyInstaller + `\Folders`)
	if err != nil || !folders.Exists() {
		return err
	}
	values, err := folders.Values()
	if err != nil {
		return fmt.Errorf("%s: %w", folders.Evidence.Path, err)
	}
	if err := m.meter.Steps(len(values)); err != nil {
		return fmt.Errorf("%s: %w", folders.Evidence.Path, err)
	}
	for _, v := range values {
		folder := componentPath(v.Name())
		if !elsewhere(folder) {
			continue
		}
		ev := m.partEvidence(folders, folders.Key, v)
		f, err := m.file(folder)
		switch {
		case errors.Is(err, ErrElsewhere):
			off.name("a folder of Windows Installer: %s", short(folder))
			continue
		case err != nil:
			return err
		case !f.Exists || !f.Dir:
			continue
		}
		p := placed{"folder of Windows Installer", folder, ev}
		if hasPrefixFold(folder, `D:\Users\`) {
			off.Own = append(off.Own, p)
		} else {
			off.Machine = append(off.Machine, p)
		}
	}
	return nil
}

// comServers reads the programs and libraries of COM classes, in both views.
func (m *Machine) comServers(env environment) ([]placed, error) {
	var found []placed
	for _, name := range []string{`HKLM\SOFTWARE\Classes\CLSID`, `HKLM\SOFTWARE\Classes\Wow6432Node\CLSID`, `HKLM\SOFTWARE\Wow6432Node\Classes\CLSID`} {
		parent, err := m.key(name)
		if err != nil {
			return found, err
		}
		if !parent.Exists() {
			continue
		}
		err = m.parts(parent, func(class *registry.Key) error {
			servers, err := class.Subkeys()
			if err != nil {
				return err
			}
			if err := m.meter.Steps(len(servers)); err != nil {
				return err
			}
			for _, server := range servers {
				library := strings.EqualFold(server.Name(), "InprocServer32")
				if !library && !strings.EqualFold(server.Name(), "LocalServer32") {
					continue
				}
				if found, err = m.comServer(found, env, parent, class, server, library); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// comServer adds a server of a class if it is not on drive C: the default value,
// and for a class of .NET the place of its code.
func (m *Machine) comServer(found []placed, env environment, parent Key, class, server *registry.Key, library bool) ([]placed, error) {
	values, err := server.Values()
	if err != nil {
		return found, err
	}
	for _, v := range values {
		if name := v.Name(); name != "" && !strings.EqualFold(name, "CodeBase") {
			continue
		}
		if t := v.Type(); t != registry.SZ && t != registry.ExpandSZ {
			continue
		}
		if err := m.meter.Bytes(int64(v.Size())); err != nil {
			return found, err
		}
		text, err := v.String()
		if err != nil {
			return found, err
		}
		if rest, ok := cutPrefixFold(text, "file:///"); ok {
			text = strings.ReplaceAll(rest, "/", `\`)
		}
		if !mayLeaveC(text) || len(found) >= maxPrograms {
			continue
		}
		s := Setting[string]{Value: text, Present: true, Type: v.Type(), Evidence: m.partEvidence(parent, server, v)}
		if library {
			s.Value = quoted(strings.Trim(text, `"`))
			found, err = m.place(found, env, "COM class "+class.Name(), s)
		} else {
			found, err = m.placeLine(found, env, "COM class "+class.Name(), s)
		}
		if err != nil {
			return found, err
		}
	}
	return found, nil
}

// mayLeaveC says whether a command line may name a place that is not on drive C:
// another letter, a share, or a variable other than those of Windows.
func mayLeaveC(s string) bool {
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == ':' && i > 0 && s[i-1]|0x20 != 'c':
			return true
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '\\':
			return true
		case s[i] == '%':
			end := strings.IndexByte(s[i+1:], '%')
			if end < 0 {
				return false
			}
			switch strings.ToUpper(s[i+1 : i+1+end]) {
			case "SYSTEMROOT", "WINDIR", "PROGRAMFILES", "PROGRAMFILES(X86)", "COMMONPROGRAMFILES", "COMMONPROGRAMFILES(X86)", "PROGRAMDATA", "SYSTEMDRIVE":
			default:
				return true
			}
			i += end + 1
		}
	}
	return false
}
