package container

import (
	"runtime"
	"strings"
	"testing"
)

// A hint is a command that can be run as it stands.
func TestFill(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("names are for another shell")
	}
	for name, want := range map[string]string{
		"root.qcow2":          "qemu-img convert -O raw root.qcow2 root.img",
		"/images/root.vmdk":   "qemu-img convert -O raw /images/root.vmdk /images/root.img",
		`D:\images\root.vhdx`: `qemu-img convert -O raw 'D:\images\root.vhdx' 'D:\images\root.img'`,
		"root":                "qemu-img convert -O raw root root.img",
		"my root.vdi":         "qemu-img convert -O raw 'my root.vdi' 'my root.img'",
		"it's $(x).vdi":       `qemu-img convert -O raw 'it'\''s $(x).vdi' 'it'\''s $(x).img'`,
		"-o.vdi":              "qemu-img convert -O raw ./-o.vdi ./-o.img",
	} {
		if got := fill(hintConvert, name); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	const export = "ewfexport -u -f raw -t 'my evidence' 'my evidence.E01'"
	if got := fill(hintExport, "my evidence.E01"); !strings.HasSuffix(got, export) {
		t.Errorf("%s, want %s", got, export)
	}
	for name, want := range map[string]string{"root.img.gz": "root.img", "root.RAW.gz": "root.RAW", "root.gz": "root.img",
		"root.vmdk.gz": "root.vmdk", "root.VDI.gz": "root.VDI", "my root.tar.gz": "'my root.tar.img'"} {
		if got := fill("{unpacked}", name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
