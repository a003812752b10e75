package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

func (p *program) inspectRegCommand() *cobra.Command {
	l := keyLister{}
	m := machine{}
	var format string
	var number int
	var parents []string
	c := &cobra.Command{
		Use:   "reg IMAGE [KEY]",
		Short: "Read a registry key by the name that Windows uses",
		Long: `Read a key from the registry of the Windows system on an image. Name it as Windows
does. Without KEY, or for HKLM or HKU, list every hive. Transaction logs are applied in
memory.`,
		Example: `coldcheck inspect reg root.img 'HKLM\SYSTEM\CurrentControlSet\Services\WinRM'
coldcheck inspect reg -R root.img 'HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList'
coldcheck inspect reg -o jsonl root.img HKLM`,
		Args: arguments(1, 2),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFormat(format, inspectFormats...); err != nil {
				return err
			}
			image, err := p.openImage(c.Context(), args[0], parents)
			if err != nil {
				return err
			}
			defer image.Close()
			if err := m.open(c.Context(), p, image, number); err != nil {
				return err
			}
			key := ""
			if len(args) > 1 {
				key = strings.Trim(args[1], `\`)
			}
			l.json, l.out, l.damage.p = format == "jsonl", p.newLines(), p
			err = l.out.flush(m.list(&l, key))
			l.damage.end()
			return err
		},
	}
	c.Flags().BoolVarP(&l.recursive, "recursive", "R", false, "list the subtree too")
	c.Flags().BoolVar(&m.noLogs, "no-logs", false, "ignore transaction logs")
	formatFlag(c, &format, false, inspectFormats...)
	volumeFlag(c, &number)
	parentFlag(c, &parents)
	return c
}

// machine is the registry of the Windows on a volume.
type machine struct {
	ctx    context.Context // of the command: hives are opened when a key of them is wanted
	p      *program
	image  *inspected
	volume *disk.Volume
	fsys   volume.FS
	root   string // the folder that holds Windows
	noLogs bool
	*registry.Machine
}

func (m *machine) open(ctx context.Context, p *program, image *inspected, number int) (err error) {
	m.ctx, m.p, m.image = ctx, p, image
	if m.volume, m.fsys, err = p.openVolume(ctx, image, number); err != nil {
		return err
	}
	m.root, err = scanner.FindWindows(m.fsys)
	if err == nil && m.root == "" {
		return notThatKind("to read a user's hive, use 'coldcheck inspect cat' and 'coldcheck inspect hive'",
			"%s, volume %d: no Windows system on this volume", image.Name, m.volume.Number)
	}
	m.Machine = registry.NewMachine(m.openHive)
	return err
}

// hives of HKEY_LOCAL_MACHINE that every Windows has.
var machineHives = []string{"SAM", "SECURITY", "SOFTWARE", "SYSTEM"}

// list lists a key, or all hives below a name that is above them.
func (m *machine) list(l *keyLister, key string) error {
	var names []string
	switch strings.ToUpper(key) {
	case "HKLM", "HKEY_LOCAL_MACHINE":
		names = machineHives
	case "HKU", "HKEY_USERS":
		names = m.users()
	case "":
		for _, name := range machineHives {
			names = append(names, `HKLM\`+name)
		}
		for _, name := range m.users() {
			names = append(names, `HKU\`+name)
		}
	default:
		k, err := m.Key(key)
		if err != nil {
			return err
		}
		if l.json {
			key = ""
		}
		return l.list(k, key)
	}
	var problem error
	for _, name := range names {
		k, err := m.Key(joinKey(key, name))
		if err != nil {
			l.damage.add("%v", err)
			problem = err
			continue
		}
		shown := name
		if !l.json {
			shown = joinKey(key, name)
		}
		if err := l.list(k, shown); err != nil {
			return err
		}
	}
	if l.listed == 0 {
		return problem
	}
	return nil
}

const profileList = `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\ProfileList`

// users lists the users that have a hive: the default one, and those with a profile.
func (m *machine) users() []string {
	names := []string{".DEFAULT"}
	list, err := m.Key(profileList)
	if err == nil {
		var profiles []*registry.Key
		profiles, err = list.Subkeys()
		for _, k := range profiles {
			names = append(names, k.Name())
		}
	}
	if err != nil {
		m.p.notice("cannot list the users: %v", err)
	}
	return names
}

// openHive opens a hive by the name that registry.Machine gives it.
func (m *machine) openHive(name string) (*registry.Hive, error) {
	fsys, file := m.fsys, path.Join(m.root, "System32/config", name)
	if sid, isUser := strings.CutPrefix(name, `HKU\`); isUser {
		var err error
		if fsys, file, err = m.userHive(sid); err != nil {
			return nil, err
		}
	}
	return m.p.openHive(m.ctx, func(name string) (sized, error) { return openFile(fsys, name) }, file, m.noLogs)
}

// userHive finds the hive of a user, or of his classes, on the volume with the
// system or on another volume of the image: in a WorkSpace profiles are on D.
func (m *machine) userHive(sid string) (volume.FS, string, error) {
	sid, classes := strings.CutSuffix(sid, "_Classes")
	folder, err := m.profileFolder(sid)
	if err != nil {
		return nil, "", fmt.Errorf("profile of %s: %w", sid, err)
	}
	file := path.Join(m.fsys.Name(folder[2:]), "NTUSER.DAT")
	if classes {
		file = path.Join(path.Dir(file), "AppData/Local/Microsoft/Windows/UsrClass.dat")
	}
	onSystemDrive := strings.EqualFold(folder[:2], "C:")
	for _, v := range m.image.Volumes() {
		if onSystemDrive != (v == m.volume) {
			continue
		}
		fsys := m.fsys
		if v != m.volume {
			if fsys, err = m.p.openFilesystem(m.ctx, v); err != nil {
				continue
			}
		}
		if _, err := fsys.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return fsys, file, err
		}
	}
	return nil, "", problem{fmt.Errorf("profile of %s: %s has no volume with %s", sid, m.image.Name, folder),
		fs.ErrNotExist,
		"if the folder is on another image, copy the hive from there with 'coldcheck inspect cat' and read it with " +
			"'coldcheck inspect hive'"}
}

// profileFolder is the folder of a profile in the ProfileList: `D:\Users\jdoe`.
func (m *machine) profileFolder(sid string) (string, error) {
	k, err := m.Key(profileList + `\` + sid)
	if err != nil {
		return "", err
	}
	v, err := k.Value("ProfileImagePath")
	if err != nil {
		return "", err
	}
	folder, err := v.String()
	if err != nil {
		return "", err
	}
	for variable, value := range map[string]string{"%SystemDrive%": "C:", "%SystemRoot%": `C:\` + m.root,
		"%windir%": `C:\` + m.root} {
		if rest, ok := fold.CutPrefix(folder, variable); ok {
			folder = value + rest
		}
	}
	if len(folder) < 3 || folder[1] != ':' {
		return "", fmt.Errorf("%q is not on a drive", folder)
	}
	return folder, nil
}
