package scanner_test

import (
	"testing"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// The images of two volumes that a Linux system mounts are called by where they
// are, in volumes as in evidence, and one that is named as the user volume is it
// whatever fstab says.
func TestLinuxSources(t *testing.T) {
	root, user := image(t, "linux-mounts-boot-disabled", "root", "root.img"),
		image(t, "linux-mounts-boot-disabled", "user", "user.img")
	r, err := scanner.Scan(t.Context(), scanner.Input{Images: []scanner.Source{user, root}})
	if err != nil {
		t.Fatal(err)
	}
	sources := map[string]string{}
	for _, v := range r.Volumes {
		if len(v.Mounted) > 0 {
			sources[v.Source] = v.Mounted[0]
		}
	}
	for source, point := range map[string]string{"boot": "/boot", "efi": "/boot/efi", "user": "/home"} {
		if sources[source] != point {
			t.Errorf("%s is at %q, want %s", source, sources[source], point)
		}
	}
	found := false
	for _, f := range r.Findings {
		for _, ev := range f.Evidence {
			found = found || f.ID == "linux.component.cloud-init" && ev.Source == "boot" && ev.Path == "grub/grub.cfg" &&
				ev.RecordOffset != nil
		}
	}
	if !found {
		t.Error("no evidence is from the volume at /boot, with its place")
	}
}

func TestLinuxUserNamed(t *testing.T) {
	root, user := image(t, "linux-home-another-uuid", "root", "root.img"),
		image(t, "linux-home-another-uuid", "user", "user.img")
	r, err := scanner.Scan(t.Context(), scanner.Input{Images: []scanner.Source{root}, User: &user})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.ID == "linux.apps.outside-home" && f.Status != requirement.Passed {
			t.Errorf("%s: %s", f.Status, f.Message)
		}
	}
	if len(r.Notices) == 0 {
		t.Error("no notice says that fstab names another volume")
	}
}
