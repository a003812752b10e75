package windows

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// TestControlSetNotice shows when the reader is told which control set was
// taken for the current one.
func TestControlSetNotice(t *testing.T) {
	for name, want := range map[string]string{
		"ready":                       "",
		"control-set-second":          `Windows ran on ControlSet002 (Select\Current is 2), and its next start uses ControlSet001`,
		"control-set-default-missing": `which control set the next start of Windows uses is not known`,
		"control-set-missing":         `taken to be ControlSet001: Select\Current is 2 and there is no ControlSet002, Select\Default is 1`,
		"control-set-last-known-good": `Select\LastKnownGood is 1`,
		"control-set-failed":          `failed to start with ControlSet002`,
	} {
		said := ""
		for _, n := range fixture(t, name).in.Trail.Notices() {
			if strings.Contains(n.Message, "ControlSet") {
				said += n.Message
			}
		}
		if !strings.Contains(said, want) || want == "" && said != "" {
			t.Errorf("%s: %q, want %q", name, said, want)
		}
	}
}

// damagedFolders is a volume whose folders in the root cannot be read.
type damagedFolders struct{ fstest.MapFS }

func (d damagedFolders) Stat(name string) (fs.FileInfo, error) {
	if name == "." {
		return d.MapFS.Stat(name)
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: ntfs.ErrCorrupt}
}

// TestDamagedFolderIsNoSystem keeps a damaged folder of a user volume from
// being taken for the system, but for one that says that it is.
func TestDamagedFolderIsNoSystem(t *testing.T) {
	for folder, want := range map[string]error{"$Extend": ErrNoWindows, "Users": ErrNoWindows, "WINDOWS": nil} {
		_, err := FindSystemRoot(damagedFolders{fstest.MapFS{folder: {Mode: fs.ModeDir}}})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", folder, err, want)
		}
	}
}

// TestNextControlSet makes sure that what is wrong in the control set of the
// next start alone is said of that set, with a remedy that reaches it.
func TestNextControlSet(t *testing.T) {
	for _, c := range fixture(t, "control-set-default-other").Checks() {
		if c.ID != "win.ssm.disabled" {
			continue
		}
		o := requirement.Find(c.Requirement, c.Decide(context.Background())).Outcome
		if o.Status != requirement.Failed || !strings.HasPrefix(o.Message, "in ControlSet002, which the next start uses: ") ||
			!strings.HasPrefix(o.Remediation, "Restart the WorkSpace, so that it runs on ControlSet002. services.msc") || !strings.HasPrefix(o.Evidence[0].Key, "ControlSet002") {
			t.Errorf("%+v", o)
		}
	}
}
