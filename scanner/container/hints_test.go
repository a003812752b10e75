package container

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/source"
)

// A hint is a command that can be run as it stands.
func TestFill(t *testing.T) {
	for name, want := range map[string]string{
		"root.qcow2":          "qemu-img convert -O raw root.qcow2 root.img",
		"/images/root.vmdk":   "qemu-img convert -O raw /images/root.vmdk /images/root.img",
		`D:\images\root.vhdx`: `qemu-img convert -O raw 'D:\images\root.vhdx' 'D:\images\root.img'`,
		"root":                "qemu-img convert -O raw root root.img",
		"my root.vdi":         "qemu-img convert -O raw 'my root.vdi' 'my root.img'",
		"it's $(x).vdi":       `qemu-img convert -O raw 'it'\''s $(x).vdi' 'it'\''s $(x).img'`,
		"-o.vdi":              "qemu-img convert -O raw '-o.vdi' '-o.img'",
	} {
		if got := fill(hintConvert, name); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	const export = "ewfexport -u -f raw -t 'my evidence' 'my evidence.E01'"
	if got := fill(hintExport, "my evidence.E01"); !strings.HasSuffix(got, export) {
		t.Errorf("%s, want %s", got, export)
	}
	for name, want := range map[string]string{"root.img.gz": "gzip -dc root.img.gz >root.img",
		"root.RAW.gz": "gzip -dc root.RAW.gz >root.RAW", "root.gz": "gzip -dc root.gz >root.img"} {
		if got := fill(unpack("gzip -dc"), name); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// The descriptor of a VMDK image is what people give who mean its extents.
func TestDescriptorHint(t *testing.T) {
	const head = "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n\n" +
		"# Extent description\n"
	for name, c := range map[string]struct {
		lines  string
		beside string // a file that is there
		want   string
	}{
		"its extent is missing": {"RW 8192 FLAT \"root-flat.vmdk\" 0\n", "",
			"in root-flat.vmdk, missing from the same folder: copy it there, then"},
		"its extent is there": {"RW 8192 FLAT \"root-flat.vmdk\" 0\r\n", "root-flat.vmdk",
			"in root-flat.vmdk, a raw image: scan that file"},
		"a sparse extent": {"RW 8192 SPARSE \"root-s001.vmdk\"\n", "root-s001.vmdk", hintConvert[:30]},
		"one of two is missing": {"RW 8192 FLAT \"a.vmdk\" 0\nRW 8192 FLAT \"b.vmdk\" 0\n", "a.vmdk",
			"in b.vmdk, missing"},
		"many are missing": {strings.Repeat("RW 8192 SPARSE \"a.vmdk\"\n", 5), "",
			"in a.vmdk, a.vmdk, a.vmdk and 2 more, missing"},
		"in another folder": {"RW 8192 FLAT \"../../etc/b-flat.vmdk\" 0\n", "b-flat.vmdk",
			"in b-flat.vmdk, a raw image"},
		"no extent":              {"", "", hintConvert[:30]},
		"a line of another kind": {"RW x FLAT \"b.vmdk\"\n", "", hintConvert[:30]},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "root.vmdk")
			text := append([]byte(head+c.lines), bytes.Repeat([]byte{0}, 4096)...)
			if err := os.WriteFile(file, text[:4096], 0o666); err != nil {
				t.Fatal(err)
			}
			if c.beside != "" {
				if err := os.WriteFile(filepath.Join(dir, c.beside), nil, 0o666); err != nil {
					t.Fatal(err)
				}
			}
			s, err := source.Open(t.Context(), file, source.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			_, err = Open(t.Context(), s, Options{})
			var hinted interface{ Hint() string }
			if !errors.Is(err, ErrNotImage) || !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), c.want) {
				t.Errorf("%v, hint %q, want %q", err, hinted.Hint(), c.want)
			}
		})
	}
}
