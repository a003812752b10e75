package windows

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Disk is one of the images: a disk, or one partition of a disk.
type Disk struct {
	Name   string // of the image
	Size   int64  // in bytes, of the disk and not of the file that contains it
	Format string // of the container: "raw", "vmdk"
	Detail string // the kind of the format; "" if there is only one
	Member bool   // in an archive, as the disks of an OVA are
	Table  string // "none", "mbr" or "gpt"
	Hybrid bool   // the MBR of a GPT disk has partitions of its own

	Dynamic    bool  // its volumes are those of the Logical Disk Manager of Windows
	Short      bool  // the image ends before the disk does
	Incomplete error // why partitions may be missing or have the wrong type; nil if all is known
	Parts      []DiskPart
}

// PartKind is what a partition is for, by its type.
type PartKind int

const (
	PartOther    PartKind = iota // of another system, or of an unknown type
	PartData                     // a volume of Windows, which gives it a drive letter
	PartEFI                      // the EFI system partition
	PartReserved                 // without a filesystem
	PartRecovery                 // Windows recovery, without a drive letter
)

// DiskPart is a partition of a disk, or the volume that an image holds alone.
type DiskPart struct {
	Name       string // for messages: "win-root.img, partition 2"
	Device     string // its identity, see DeviceMBR and DeviceGPT; "" if the image does not show it
	Kind       PartKind
	Active     bool // the BIOS starts from it
	Hidden     bool // by its type or attributes: Windows gives it no drive letter
	Root       bool // contains the system that is checked
	Filesystem string
	Encryption string // what encrypts it; "" if nothing does
	Err        error  // why it cannot be read; nil if it can
	Evidence   requirement.Evidence

	// Open returns the files on it. It may be called once; the caller closes the result. It is nil if the filesystem is
	// not supported.
	Open func(ctx context.Context) (PartFS, error)
}

// PartFS are the files of a partition.
type PartFS interface {
	fs.StatFS
	io.Closer
}

// rootDisk returns the disk with the system that is checked; nil if it is not known.
func (in Input) rootDisk() *Disk {
	for i, d := range in.Disks {
		if d.root() {
			return &in.Disks[i]
		}
	}
	return nil
}

// root says whether the disk contains the system that is checked.
func (d *Disk) root() bool {
	return slices.ContainsFunc(d.Parts, func(p DiskPart) bool { return p.Root })
}

// bootFiles is what starts a system from a partition.
type bootFiles struct {
	Part    DiskPart
	UEFI    bool         // bootmgfw.efi and a BCD are there, on an EFI system partition
	BIOS    bool         // bootmgr and a BCD are there, on an active partition of an MBR
	Loaders []bootLoader // that the BCD shows at the start
	Err     error        // why something of it is not known
}

// A bootLoader is an entry of the boot menu.
type bootLoader struct {
	ID, Path, Name string
}

// boots reads what starts a system from the partitions of the disk with the system.
func (m *Machine) boots() ([]bootFiles, error) { return m.bootFact.Get(m.next().readBoots) }

func (m *Machine) readBoots() ([]bootFiles, error) {
	d := m.in.rootDisk()
	if d == nil {
		return nil, errNotDisk
	}
	var list []bootFiles
	for _, p := range d.Parts {
		efi, bios := p.Kind == PartEFI, d.Table == "mbr" && p.Active
		if !efi && !bios {
			continue
		}
		list = append(list, m.readBoot(p, efi, bios))
	}
	return list, nil
}

// readBoot reads what starts a system from a partition.
func (m *Machine) readBoot(p DiskPart, efi, bios bool) (b bootFiles) {
	b.Part = p
	if p.Err != nil || p.Open == nil {
		b.Err = fmt.Errorf("%s: %w", p.Name, errOr(p.Err, errors.New("its filesystem "+p.Filesystem+" is not supported")))
		return b
	}
	if err := m.Meter.File(0); err != nil {
		b.Err = err
		return b
	}
	fsys, err := p.Open(m.in.Context)
	if err != nil {
		b.Err = fmt.Errorf("%s: %w", p.Name, err)
		return b
	}
	defer fsys.Close()
	note := func(is bool, err error) bool {
		if err != nil {
			b.Err = fact.Join(b.Err, fmt.Errorf("%s: %w", p.Name, err))
		}
		return is
	}
	for _, way := range []struct {
		here        bool
		folder, bin string
		into        *bool
	}{
		{efi, "EFI/Microsoft/Boot", "EFI/Microsoft/Boot/bootmgfw.efi", &b.UEFI},
		{bios, "Boot", "bootmgr", &b.BIOS},
	} {
		if !way.here || !note(isFile(fsys, way.bin)) || !note(isFile(fsys, way.folder+"/BCD")) {
			continue
		}
		*way.into = true
		loaders, err := m.readLoaders(fsys, way.folder)
		if err != nil {
			b.Err = fact.Join(b.Err, fmt.Errorf("%s: %s/BCD: %w", p.Name, way.folder, err))
		}
		b.Loaders = append(b.Loaders, loaders...)
	}
	return b
}

func errOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

func isFile(fsys fs.StatFS, name string) (bool, error) {
	info, err := fsys.Stat(name)
	switch {
	case err == nil:
		return !info.IsDir(), nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, err
}

// maxBCD bounds the file of a boot configuration, in bytes. Real ones have some dozen KiB.
const maxBCD = 8 << 20

// Objects and elements of the boot configuration (Microsoft, "Boot Configuration Data in Windows Vista", BCD Elements;
// names of keys from observation): the boot manager and its element with the identifiers of the entries that it shows,
// and the path and the description of an entry. The types of entries that start Windows begin with 10200003.
const (
	bcdManager     = "{9dea862c-5cdd-4e70-acc1-f32b344d4795}"
	bcdShown       = "24000001"
	bcdPath        = "12000002"
	bcdDescription = "12000004"
	bcdLoader      = 0x10200003
	maxLoaders     = 64
)

// readLoaders reads which systems the boot configuration in a folder shows.
func (m *Machine) readLoaders(fsys fs.FS, folder string) ([]bootLoader, error) {
	var options registry.Options
	options.Reserve = m.in.Reserve
	for _, suffix := range []string{".LOG", ".LOG1", ".LOG2"} {
		data, err := m.readWhole(fsys, folder+"/BCD"+suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		options.Logs = append(options.Logs, registry.Log{Name: "BCD" + suffix, R: strings.NewReader(string(data)),
			Size: int64(len(data))})
	}
	data, err := m.readWhole(fsys, folder+"/BCD")
	if err != nil {
		return nil, err
	}
	hive, err := registry.Open(m.in.Context, strings.NewReader(string(data)), int64(len(data)), options)
	if err != nil {
		return nil, err
	}
	defer hive.Close()
	return loadersOf(hive)
}

// readWhole reads a file of at most maxBCD bytes.
func (m *Machine) readWhole(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBCD+1))
	if err == nil && len(data) > maxBCD {
		err = fmt.Errorf("it has more than %d bytes", maxBCD)
	}
	if err == nil {
		err = m.Meter.File(int64(len(data)))
	}
	return data, err
}

// loadersOf returns the entries of the boot menu that start Windows.
func loadersOf(hive *registry.Hive) ([]bootLoader, error) {
	shown, err := element(hive, bcdManager, bcdShown)
	if err != nil {
		return nil, err
	}
	var list []bootLoader
	if shown == nil {
		return nil, nil
	}
	ids, err := shown.Strings()
	if err != nil {
		return nil, err
	}
	for _, id := range ids[:min(len(ids), maxLoaders)] {
		k, err := hive.Key(`Objects\` + id + `\Description`)
		if errors.Is(err, fs.ErrNotExist) {
			continue // bcdedit leaves the identifier of an entry that it removes
		}
		if err != nil {
			return list, err
		}
		kind, err := k.Value("Type")
		if err != nil {
			return list, err
		}
		if n, err := kind.Uint32(); err != nil || n != bcdLoader {
			if err != nil {
				return list, err
			}
			continue
		}
		l := bootLoader{ID: id}
		for _, text := range []struct {
			into    *string
			element string
		}{{&l.Path, bcdPath}, {&l.Name, bcdDescription}} {
			v, err := element(hive, id, text.element)
			if err != nil {
				return list, err
			}
			if v != nil {
				if *text.into, err = v.String(); err != nil {
					return list, err
				}
			}
		}
		list = append(list, l)
	}
	return list, nil
}

// element returns an element of an object of the boot configuration; nil if the object does not have it.
func element(hive *registry.Hive, object, name string) (*registry.Value, error) {
	k, err := hive.Key(`Objects\` + object + `\Elements\` + name)
	if err == nil {
		var v *registry.Value
		if v, err = k.Value("Element"); err == nil {
			return v, nil
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return nil, err
}
