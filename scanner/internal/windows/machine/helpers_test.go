package machine

import (
	"context"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/hivetest"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/disk"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

func words(s string) Setting[string] {
	return Setting[string]{Value: s, Present: true, Type: registry.SZ, Evidence: evidence}
}

// evidence stands for whatever a fact was read from.
var evidence = requirement.Evidence{Source: "root", Path: "Windows/System32/config/SYSTEM"}

func utf16LE(s string) []byte {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = le.AppendUint16(b, u)
	}
	return b
}

// registryOnly is a machine without volumes whose hives hold the given keys:
// `SYSTEM\Setup\Source OS` to its values.
func registryOnly(keys map[string][]hivetest.Value) *Machine {
	return OfHives(func(file string) (*registry.Hive, error) {
		data := hivetest.Build(hivetest.Tree(file, keys), hivetest.Options{})
		return registry.Open(context.Background(), strings.NewReader(string(data)), int64(len(data)), registry.Options{})
	})
}

// fixture is the machine on the images of a case.
func fixture(t *testing.T, name string) *Machine {
	t.Helper()
	in := Input{Now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Trail: &requirement.Trail{}}
	for _, image := range testcases.Find(t, name).Images {
		r, err := image.Open()
		if err != nil {
			t.Fatal(err)
		}
		d, err := disk.Open(t.Context(), r, image.Size, disk.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range d.Volumes() {
			if v.Filesystem != disk.NTFS {
				continue
			}
			opened, err := volume.Supported.Open(t.Context(), v.Filesystem, v, v.Size, volume.Options{})
			if err != nil {
				t.Fatal(err)
			}
			fsys := opened.(volume.WindowsFS)
			if _, err := FindSystemRoot(fsys); err == nil {
				in.Root = Volume{FS: fsys}
			} else {
				in.User = Volume{FS: fsys}
			}
		}
	}
	m, err := Open(in)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
