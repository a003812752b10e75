package windows

import (
	"errors"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

const keyInstaller = `HKLM\SOFTWARE` + machine.KeyWindows + `\Installer`

// localSystem is the account as which Windows Installer installs for all users.
const localSystem = "S-1-5-18"

// installerPrograms reads which products Windows Installer lists as installed for all users.
func (m *Machine) installerPrograms(off *offPlaces, env machine.Environment) error {
	products, err := m.productsOf(localSystem, env)
	off.Machine = append(off.Machine, products...)
	components, moreErr := m.componentsOf(localSystem)
	off.Machine = append(off.Machine, components...)
	return fact.Join(err, moreErr, m.installerFolders(off))
}

// productsOf reads where the products of an account are installed.
func (m *Machine) productsOf(sid string, env machine.Environment) ([]placed, error) {
	keys, err := m.SubkeysAt(keyInstaller + `\UserData\` + sid + `\Products`)
	if err != nil {
		return nil, err
	}
	var found []placed
	for _, k := range keys {
		properties, err := m.Subkey(k, "InstallProperties")
		if err != nil {
			return nil, err
		}
		name, err := m.Text(properties, "DisplayName")
		if err != nil {
			return nil, err
		}
		location, err := m.Text(properties, "InstallLocation")
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
	parent, err := m.Key(keyInstaller + `\UserData\` + sid + `\Components`)
	if err != nil || !parent.Exists() {
		return nil, err
	}
	var found []placed
	keys, err := m.listParts(parent)
	if err != nil {
		return nil, err
	}
	for _, k := range keys {
		if found, err = m.pathsOf(found, parent, k); err != nil {
			return found, fmt.Errorf("%s: %w", parent.Evidence.Path, err)
		}
	}
	return found, nil
}

// pathsOf adds the key paths of a component that lead off drive C.
func (m *Machine) pathsOf(found []placed, parent machine.Key, k *registry.Key) ([]placed, error) {
	values, err := k.Values()
	if err != nil {
		return found, err
	}
	if err := m.Meter.Steps(len(values)); err != nil {
		return found, err
	}
	for _, v := range values {
		if t := v.Type(); t != registry.SZ && t != registry.MultiSZ && t != registry.ExpandSZ {
			continue
		}
		if err := m.Meter.Bytes(int64(v.Size())); err != nil {
			return found, err
		}
		paths, err := machine.ReadList(v)
		if err != nil {
			return found, err
		}
		for _, p := range paths {
			if !machine.Elsewhere(componentPath(p)) || len(found) >= machine.MaxPrograms {
				continue
			}
			ev := m.partEvidence(parent, k, v)
			found = append(found, placed{"component " + componentPath(
				p)[strings.LastIndexAny(strings.TrimRight(p, `\`), `\`)+1:], componentPath(p), ev})
		}
	}
	return found, nil
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

// listParts returns every subkey, without making a fact of each.
func (m *Machine) listParts(parent machine.Key) ([]*registry.Key, error) {
	keys, err := parent.Subkeys()
	if err == nil && len(keys) > maxParts {
		err = fmt.Errorf("key %s has %d subkeys, more than %d: %w", parent.Evidence.Key, len(keys), maxParts,
			machine.ErrTooLarge)
	}
	if err == nil {
		err = m.Meter.Steps(len(keys))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", parent.Evidence.Path, err)
	}
	return keys, nil
}

// partEvidence is the evidence for a value below one of many subkeys.
func (m *Machine) partEvidence(parent machine.Key, k *registry.Key, v *registry.Value) requirement.Evidence {
	ev := machine.ValueEvidence(machine.KeyEvidence(parent.Evidence, k), v.Name(), v)
	ev.Key = k.Path()
	if s, err := v.String(); err == nil {
		ev.Data = prose.Short(s)
	}
	return ev
}

// installerFolders reads the folders that Windows Installer made. The list is of
// all products together, and keeps what was removed: a folder counts where it is
// on drive D, and one in a profile is of what that user installed.
func (m *Machine) installerFolders(off *offPlaces) error {
	folders, err := m.Key(keyInstaller + `\Folders`)
	if err != nil || !folders.Exists() {
		return err
	}
	values, err := folders.Values()
	if err != nil {
		return fmt.Errorf("%s: %w", folders.Evidence.Path, err)
	}
	if err := m.Meter.Steps(len(values)); err != nil {
		return fmt.Errorf("%s: %w", folders.Evidence.Path, err)
	}
	for _, v := range values {
		folder := componentPath(v.Name())
		if !machine.Elsewhere(folder) {
			continue
		}
		ev := m.partEvidence(folders, folders.Key, v)
		f, err := m.File(folder)
		switch {
		case errors.Is(err, machine.ErrElsewhere):
			off.name("Windows Installer folder %s", prose.Short(folder))
			continue
		case err != nil:
			return err
		case !f.Exists || !f.Dir:
			continue
		}
		p := placed{"Windows Installer folder", folder, ev}
		if fold.HasPrefix(folder, `D:\Users\`) {
			off.Own = append(off.Own, p)
		} else {
			off.Machine = append(off.Machine, p)
		}
	}
	return nil
}
