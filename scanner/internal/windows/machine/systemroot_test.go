package machine

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/coldcheck/coldcheck/internal/kind"
)

// torn is a volume with folders whose content cannot be read.
type torn struct {
	fstest.MapFS
	folder string
}

func (f torn) Stat(name string) (fs.FileInfo, error) {
	if strings.HasPrefix(name, f.folder+"/") {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: kind.Corrupt}
	}
	return f.MapFS.Stat(name)
}

// A folder whose content cannot be read is a system's only if it is called so, or
// if no more than its hives are damaged.
func TestFindSystemRootDamaged(t *testing.T) {
	users := fstest.MapFS{"Users/jdoe/NTUSER.DAT": {}}
	for name, c := range map[string]struct {
		volume torn
		want   string
	}{
		"user volume":   {torn{users, "Users"}, ""},
		"Windows":       {torn{fstest.MapFS{"Windows/System32/config/SYSTEM": {}}, "Windows"}, "Windows"},
		"another name":  {torn{fstest.MapFS{"WINNT/System32/config/SYSTEM": {}}, "WINNT/System32"}, ""},
		"hives damaged": {torn{fstest.MapFS{"WINNT/System32/config/SYSTEM": {}}, "WINNT/System32/config"}, "WINNT"},
	} {
		if got, err := FindSystemRoot(c.volume); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
