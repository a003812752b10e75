package ext4

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/coldcheck/coldcheck/internal/crashtest"
	"github.com/coldcheck/coldcheck/internal/mounttest"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

// encrypt makes the kernel encrypt what is made in a directory.
func encrypt(t *testing.T, dir string) {
	t.Helper()
	const (
		addKey    = 0xC0506617 // FS_IOC_ADD_ENCRYPTION_KEY
		setPolicy = 0x800C6613 // FS_IOC_SET_ENCRYPTION_POLICY
	)
	// struct fscrypt_add_key_arg: a specifier of 40 bytes (type 2: by an
	// identifier, which comes back), the size of the key, 36 bytes, the key.
	arg := make([]byte, 80+64)
	arg[0] = 2
	arg[40] = 64
	for i := range 64 {
		arg[80+i] = byte(i)
	}
	file, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	ioctl := func(request uintptr, arg []byte) {
		t.Helper()
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, file.Fd(), request, uintptr(unsafe.Pointer(&arg[0]))); errno != 0 {
			t.Skipf("the kernel does not encrypt: %v", errno)
		}
	}
	ioctl(addKey, arg)
	// struct fscrypt_policy_v2: version, AES-256-XTS, AES-256-CTS, padding to
	// 32 bytes, 4 bytes, the identifier.
	policy := append([]byte{2, 1, 4, 3, 0, 0, 0, 0}, arg[8:24]...)
	ioctl(setPolicy, policy)
}

// What is encrypted is refused as that, never as not being there; the rest is
// read, and all of it counts.
func TestEncrypted(t *testing.T) {
	kernel(t)
	for _, args := range []string{"-O encrypt", "-O encrypt,inline_data", "-O encrypt,^metadata_csum"} {
		image := mkfs(t, 64<<20, strings.Fields(args)...)
		dir, umount := mount(t, image, "")
		crashtest.Populate(t, dir)
		secret := filepath.Join(dir, "secret")
		if err := os.Mkdir(secret, 0o755); err != nil {
			t.Fatal(err)
		}
		encrypt(t, secret)
		crashtest.Populate(t, secret)
		if err := os.Symlink("a target", filepath.Join(secret, "link")); err != nil {
			t.Fatal(err)
		}
		want := mounttest.KernelView(t, dir)
		umount()

		f := openImage(t, image, Options{})
		for path, w := range want {
			parent := path
			for parent != "." && parent != "secret" {
				parent = filepath.Dir(parent)
			}
			if parent == "secret" && path != "secret" {
				if _, err := f.Stat(path); !errors.Is(err, ErrEncrypted) || errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v", path, err)
				}
				continue
			}
			info, err := f.Lstat(path)
			if err != nil {
				t.Errorf("%s: %v", path, err)
				continue
			}
			e := info.Sys().(*Entry)
			if e.Inode != w.Inode || e.Encrypted != (path == "secret") {
				t.Errorf("%s: %+v", path, e)
			}
		}
		if _, err := f.ReadDir("secret"); !errors.Is(err, ErrEncrypted) {
			t.Errorf("list of encrypted names: %v", err)
		}
		if list, err := f.Xattrs("secret"); err != nil || len(list) != 0 {
			t.Errorf("%v, %v", list, err)
		}
		totals, err := f.Tree("secret")
		if err != nil || totals.Files != 301 || totals.Dirs != 31 || totals.Encrypted != 333 || totals.Symlinks != 1 ||
			totals.Damaged != 0 || totals.Size != 30*45*1000 {
			t.Errorf("%+v, %v", totals, err)
		}

		// A file is refused too if its name can be read.
		testenv.Tool(t, "debugfs")
		mounttest.Command(t, "debugfs", "-w", "-R", "ln <"+inodeOf(t, want, "secret/before/3/7")+"> open", image)
		f = openImage(t, image, Options{})
		file, err := f.Open("open")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(file); !errors.Is(err, ErrEncrypted) {
			t.Errorf("encrypted content: %v", err)
		}
		mounttest.Command(t, "debugfs", "-w", "-R", "ln <"+inodeOf(t, want, "secret/link")+"> link", image)
		f = openImage(t, image, Options{})
		if _, err := f.ReadLink("link"); !errors.Is(err, ErrEncrypted) {
			t.Errorf("encrypted target: %v", err)
		}
		if _, err := f.Stat("link/x"); !errors.Is(err, ErrEncrypted) {
			t.Errorf("through an encrypted target: %v", err)
		}
	}
}

func inodeOf(t *testing.T, view map[string]mounttest.Seen, path string) string {
	t.Helper()
	s, ok := view[path]
	if !ok {
		t.Fatalf("no %s", path)
	}
	return fmt.Sprint(s.Inode)
}

// In a directory with the casefold flag names are found without regard to
// case, in others not.
func TestCasefold(t *testing.T) {
	testenv.Tool(t, "mkfs.ext4", "debugfs")
	image := mkfs(t, 32<<20, "-O", "casefold", "-E", "encoding=utf8")
	source := filepath.Join(t.TempDir(), "content")
	if err := os.WriteFile(source, []byte("content"), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := "mkdir fold\nmkdir exact\n"
	for _, name := range []string{"Größe", "README", "ΣΊΣΥΦΟΣ", "\xff\xfe", "İstanbul"} {
		for _, dir := range []string{"fold", "exact"} {
			commands += "write " + source + " " + dir + "/" + name + "\n"
		}
	}
	commands += "sif fold flags 0x40080000\n"
	script := filepath.Join(t.TempDir(), "commands")
	if err := os.WriteFile(script, []byte(commands), 0o600); err != nil {
		t.Fatal(err)
	}
	mounttest.Command(t, "debugfs", "-w", "-f", script, image)
	f := openImage(t, image, Options{})
	for _, tt := range []struct {
		name        string
		fold, exact bool
	}{
		{"Größe", true, true},
		{"GRÖSSE", true, false},
		{"gro\u0308ße", true, false}, // decomposed
		{"gr\u200bößE", true, false}, // with a character that is ignored
		{"grosse", false, false},
		{"readme", true, false},
		{"σίσυφος", true, false},
		{"i\u0307stanbul", true, false},
		{"istanbul", false, false},
		{"\uefff\ueffe", true, true},
	} {
		for dir, want := range map[string]bool{"fold": tt.fold, "exact": tt.exact} {
			data, err := f.ReadFile(dir + "/" + tt.name)
			if want && (err != nil || !bytes.Equal(data, []byte("content"))) || !want && !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s/%s: %q, %v", dir, tt.name, data, err)
			}
		}
	}
}
