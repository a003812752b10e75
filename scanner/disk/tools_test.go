package disk

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// emptyImage makes a sparse file.
func emptyImage(t *testing.T, size int64) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	return path
}

// tool runs a command with the given standard input and returns its output.
func tool(t *testing.T, stdin string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s%s", name, args, err, out, stderr.String())
	}
	return string(out)
}

// attach makes a loop device of a file.
func attach(t *testing.T, path string, args ...string) string {
	t.Helper()
	loop, detach := testenv.Attach(t, path, args...)
	t.Cleanup(detach)
	return loop
}

func mustOpen(t *testing.T, path string) *Image {
	t.Helper()
	s, err := source.Open(t.Context(), path, source.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	i, err := openSource(s)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// sfdiskTable is what `sfdisk --json` prints.
type sfdiskTable struct {
	Table struct {
		Label, ID  string
		SectorSize int
		Partitions []struct {
			Node        string
			Start, Size int64
			Type        string
			UUID        string
			Name        string
			Attrs       string
			Bootable    bool
		}
	} `json:"partitiontable"`
}

// TestAgainstSfdisk compares with what sfdisk reads of tables that it wrote.
func TestAgainstSfdisk(t *testing.T) {
	testenv.Tool(t, "sfdisk")
	for _, tt := range []struct {
		name       string
		sectorSize int
		script     string
	}{
		{"mbr", 512, "label: dos\nlabel-id: 0x12ab34cd\n2048,2048,7,*\n,4096,7\n,8192,27\n,,c\n"},
		{"mbr-logical", 512, "label: dos\n2048,2048,7,*\n4096,,5\n,2048,83\n,4096,82\n,2048,7\n,,ef\n"},
		{"mbr-logical-lba", 512, "label: dos\n2048,2048,83\n4096,,f\n,2048,83\n,4096,b\n"},
		{"mbr-4k", 4096, "label: dos\n256,1024,7,*\n1280,,5\n,256,83\n,,7\n"},
		{"gpt", 512, "label: gpt\nlabel-id: 5B193300-FC78-40CD-8002-E86C45580B47\n" +
			`size=2048, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI system partition"` + "\n" +
			`size=2048, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE, name="Microsoft reserved partition"` + "\n" +
			`size=8192, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name="Größe 日本", attrs="GUID:63"` + "\n" +
			`type=DE94BBA4-06D1-4D40-A16A-BFD50179D6AC, attrs="RequiredPartition,LegacyBIOSBootable,GUID:62"` + "\n"},
		{"gpt-4k", 4096, "label: gpt\nsize=256, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\nsize=256\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := emptyImage(t, 64*mib)
			target, prefix := path, path
			if tt.sectorSize != 512 { // which only a device can have
				testenv.Loop(t)
				target = attach(t, path, "--sector-size", fmt.Sprint(tt.sectorSize))
				prefix = target + "p"
			}
			tool(t, tt.script, "sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", target)
			var want sfdiskTable
			if err := json.Unmarshal([]byte(tool(t, "", "sfdisk", "--json", target)), &want); err != nil {
				t.Fatal(err)
			}
			// A filesystem tells which sector size a table of an MBR is in.
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(ntfsBoot(7), want.Table.Partitions[0].Start*int64(tt.sectorSize)); err != nil {
				t.Fatal(err)
			}
			f.Close()

			i := mustOpen(t, path)
			if len(i.Notes) != 0 || i.Incomplete != nil || i.SectorSize != tt.sectorSize {
				t.Errorf("notes %q, incomplete %v, sectors of %d bytes", i.Notes, i.Incomplete, i.SectorSize)
			}
			if label := map[string]string{"mbr": "dos", "gpt": "gpt"}[i.Table]; label != want.Table.Label {
				t.Errorf("table %s, want %s", i.Table, want.Table.Label)
			}
			id := fmt.Sprintf("0x%08x", i.DiskSignature)
			if i.Table == "gpt" {
				id = i.DiskGUID.String()
			}
			if id != want.Table.ID {
				t.Errorf("id %s, want %s", id, want.Table.ID)
			}
			var got, exp []string
			for _, v := range i.Volumes() {
				attrs := ""
				if v.NoDriveLetter {
					attrs += " 63"
				}
				if v.Hidden && i.Table == "gpt" {
					attrs += " 62"
				}
				uuid := ""
				if !v.GUID.IsZero() {
					uuid = v.GUID.String()
				}
				got = append(got, fmt.Sprintf("%d: %d+%d %s %s %q active=%v%s", v.Partition, v.Offset, v.Size, v.Type, uuid, v.Name,
					v.Active, attrs))
			}
			for _, p := range want.Table.Partitions {
				typ := p.Type
				if i.Table == "mbr" {
					typ = fmt.Sprintf("0x%02s", typ)
					if slices.Contains([]string{"0x05", "0x0f"}, typ) {
						continue
					}
				}
				attrs := ""
				for _, bit := range []string{"63", "62"} {
					if regexp.MustCompile(`GUID:[\d,]*\b` + bit).MatchString(p.Attrs) {
						attrs += " " + bit
					}
				}
				ss := int64(tt.sectorSize)
				active := p.Bootable || strings.Contains(p.Attrs, "LegacyBIOSBootable")
				exp = append(exp, fmt.Sprintf("%s: %d+%d %s %s %q active=%v%s", strings.TrimPrefix(p.Node, prefix), p.Start*ss,
					p.Size*ss, typ, p.UUID, p.Name, active, attrs))
			}
			if diff := cmp.Diff(exp, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAgainstSgdisk compares with sgdisk, on a table of its own and after it
// was damaged: sgdisk too reads the backup then.
func TestAgainstSgdisk(t *testing.T) {
	testenv.Tool(t, "sgdisk")
	path := emptyImage(t, 64*mib)
	tool(t, "", "sgdisk", "-o", "-n", "1:2048:+4M", "-t", "1:ef00", "-c", "1:EFI", "-n", "3:0:+16M", "-t", "3:0700", "-A",
		"3:set:63", "-n", "128:0:0", "-t", "128:2700", "-A", "128:set:62", path)
	for _, damaged := range []bool{false, true} {
		if damaged {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt([]byte("damage"), 512+56); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		i := mustOpen(t, path)
		if noted := strings.Contains(strings.Join(i.Notes, "\n"), "the backup was used"); noted != damaged {
			t.Errorf("damaged %v: notes %q", damaged, i.Notes)
		}
		if len(i.Volumes()) != 3 {
			t.Fatalf("volumes %q", lines(i))
		}
		for _, v := range i.Volumes() {
			out := tool(t, "", "sgdisk", "-i", fmt.Sprint(v.Partition), path)
			var attrs uint64
			if v.NoDriveLetter {
				attrs |= gptNoLetter
			}
			if v.Hidden {
				attrs |= gptHidden
			}
			for _, want := range []string{
				"Partition GUID code: " + v.Type,
				"Partition unique GUID: " + v.GUID.String(),
				fmt.Sprintf("First sector: %d ", v.Offset/512),
				fmt.Sprintf("Last sector: %d ", (v.Offset+v.Size)/512-1),
				fmt.Sprintf("Attribute flags: %016X", attrs),
				fmt.Sprintf("Partition name: '%s'", v.Name),
			} {
				if !strings.Contains(out, want) {
					t.Errorf("partition %d: %q is not in\n%s", v.Partition, want, out)
				}
			}
		}
	}
}

// formats makes each filesystem with the tool that Linux has for it.
var formats = []struct {
	name    string
	fs      Filesystem
	size    int64
	command []string // the image's path follows
}{
	{"ntfs", NTFS, 16 * mib, []string{"mkntfs", "-q", "-Q", "-F", "-H", "255", "-S", "63", "-p", "0", "-s", "512"}},
	{"ntfs-4k", NTFS, 16 * mib, []string{"mkntfs", "-q", "-Q", "-F", "-H", "255", "-S", "63", "-p", "0", "-s", "4096"}},
	{"ext2", Ext2, 8 * mib, []string{"mkfs.ext2", "-q", "-F"}},
	{"ext3", Ext3, 16 * mib, []string{"mkfs.ext3", "-q", "-F"}},
	{"ext4", Ext4, 16 * mib, []string{"mkfs.ext4", "-q", "-F"}},
	{"ext4-old", Ext4, 16 * mib, []string{"mkfs.ext4", "-q", "-F", "-O", "^metadata_csum,^64bit"}},
	{"fat12", FAT, 4 * mib, []string{"mkfs.vfat", "-F", "12"}},
	{"fat16", FAT, 16 * mib, []string{"mkfs.vfat", "-F", "16"}},
	{"fat32", FAT, 64 * mib, []string{"mkfs.vfat", "-F", "32"}},
	{"exfat", ExFAT, 16 * mib, []string{"mkfs.exfat"}},
	{"xfs", XFS, 512 * mib, []string{"mkfs.xfs", "-q"}},
	{"btrfs", Btrfs, 256 * mib, []string{"mkfs.btrfs", "-q"}},
	{"swap", Swap, 8 * mib, []string{"mkswap", "-q"}},
	{"swap-64k", Swap, 8 * mib, []string{"mkswap", "-q", "-p", "65536"}},
	{"luks1", LUKS, 32 * mib, []string{"cryptsetup", "luksFormat", "-q", "--type", "luks1", "--pbkdf-force-iterations",
		"1000", "--key-file", "/dev/zero", "--keyfile-size", "32"}},
	{"luks2", LUKS, 32 * mib, []string{"cryptsetup", "luksFormat", "-q", "--type", "luks2", "--pbkdf", "pbkdf2",
		"--pbkdf-force-iterations", "1000", "--key-file", "/dev/zero", "--keyfile-size", "32"}},
}

// blkidNames are blkid's names where they differ from ours.
var blkidNames = map[Filesystem]string{FAT: "vfat", LUKS: "crypto_LUKS", BitLocker: "BitLocker", LVM2: "LVM2_member"}

// TestAgainstBlkid formats volumes with the real tools and compares with what
// blkid sees, bare and behind a partition table.
func TestAgainstBlkid(t *testing.T) {
	testenv.Tool(t, "blkid", "mkntfs", "mkfs.ext4", "mkfs.vfat", "mkfs.exfat", "mkfs.xfs", "mkfs.btrfs", "mkswap",
		"cryptsetup")
	for _, tt := range formats {
		t.Run(tt.name, func(t *testing.T) {
			path := emptyImage(t, tt.size)
			tool(t, "", tt.command[0], append(slices.Clone(tt.command[1:]), path)...)
			i := mustOpen(t, path)
			if i.Table != "none" || len(i.Volumes()) != 1 || len(i.Notes) != 0 || i.Incomplete != nil {
				t.Fatalf("table %s, volumes %q, notes %q, incomplete %v", i.Table, lines(i), i.Notes, i.Incomplete)
			}
			v := i.Volumes()[0]
			if v.Filesystem != tt.fs || v.Size != tt.size || v.Declared != tt.size {
				t.Errorf("%s, %d of %d bytes", v.Filesystem, v.Size, v.Declared)
			}
			name := blkidNames[v.Filesystem]
			if name == "" {
				name = string(v.Filesystem)
			}
			tags := tool(t, "", "blkid", "-p", "-o", "export", path)
			if !strings.Contains("\n"+tags, "\nTYPE="+name+"\n") {
				t.Errorf("blkid says %s", tags)
			}
			if _, uuid, ok := strings.Cut(v.Detail, "UUID "); ok && !strings.Contains("\n"+tags, "\nUUID="+uuid+"\n") {
				t.Errorf("UUID %s, blkid says %s", uuid, tags)
			}

			// The same behind a partition table, and cut off in the middle.
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			image := newSparse(tt.size+mib).put(0, mbrSector(1, [4]uint32{0, 0x07, 2048, uint32(tt.size / 512)}))
			image.chunks[mib] = b
			if i := image.open(t); i.Table != "mbr" || len(i.Volumes()) != 1 || i.Volumes()[0].Filesystem != tt.fs ||
				len(i.Notes) != 0 {
				t.Errorf("in a partition: table %s, volumes %q, notes %q", i.Table, lines(i), i.Notes)
			}
			if tt.fs == Swap || tt.fs == LUKS {
				return // they do not say how long they are
			}
			i, err = openBytes(b[:len(b)/2])
			if err != nil {
				t.Fatal(err)
			}
			// mkntfs and the others leave at most a cluster at the end unused.
			if v := i.Volumes()[0]; v.Size != tt.size/2 || v.Declared <= tt.size-128<<10 || v.Declared > tt.size {
				t.Errorf("half of it: %d of %d bytes", v.Size, v.Declared)
			}
		})
	}
}

// TestBackupBootSector destroys the boot sector of a real NTFS volume.
func TestBackupBootSector(t *testing.T) {
	testenv.Tool(t, "mkntfs")
	path := emptyImage(t, 16*mib)
	tool(t, "", "mkntfs", "-q", "-Q", "-F", path)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	clear(b[:512])
	i, err := openBytes(b)
	if err != nil {
		t.Fatal(err)
	}
	if v := i.Volumes()[0]; v.Filesystem != NTFS || !strings.Contains(v.Detail, "boot sector destroyed") {
		t.Errorf("%q, %s", lines(i), v.Detail)
	}
}

// TestBlockDevice reads a loop device, and an LVM physical volume on it.
func TestBlockDevice(t *testing.T) {
	testenv.Loop(t)
	testenv.Tool(t, "sgdisk", "pvcreate", "blkid")
	path := emptyImage(t, 64*mib)
	tool(t, "", "sgdisk", "-o", "-n", "1:2048:+4M", "-t", "1:ef00", path)
	loop := attach(t, path)

	i := mustOpen(t, loop)
	if i.Size != 64*mib {
		t.Errorf("%d bytes", i.Size)
	}
	if diff := cmp.Diff(lines(mustOpen(t, path)), lines(i)); diff != "" {
		t.Error(diff)
	}

	tool(t, "", "sgdisk", "-Z", loop)
	tool(t, "", "pvcreate", "--quiet", "--config",
		"devices{use_devicesfile=0} global{use_lvmlockd=0} backup{backup=0 archive=0}", "-ff", "-y", loop)
	i = mustOpen(t, loop)
	v := i.Volumes()[0]
	if v.Filesystem != LVM2 {
		t.Errorf("%q", lines(i))
	}
	tags := tool(t, "", "blkid", "-p", "-o", "export", loop)
	if uuid := strings.TrimPrefix(v.Detail, "physical volume "); !strings.Contains("\n"+tags, "\nUUID="+uuid+"\n") {
		t.Errorf("%s, blkid says %s", v.Detail, tags)
	}
}
