package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Common mistakes get a hint that helps, and the exit code of their kind.
func TestCheckImage(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("names and commands are for another system")
	}
	dir := t.TempDir()
	t.Chdir(dir)
	for _, name := range []string{"root.img", "images/root.img", "images/my user.vmdk", "images/notes.txt", "many/1.img",
		"many/2.img", "many/3.img", "many/4.img", "many/5.img"} {
		if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			t.Fatal(err)
		}
		write(t, name, "content")
	}
	write(t, "empty.img", "")
	for _, c := range []struct {
		name string
		code int
		hint string
	}{
		{"root.img", 0, ""},
		{"rot.img", 74, "did you mean root.img?"},
		{"images/root.imh", 74, "did you mean images/root.img?"},
		{"nothing", 74, ""},
		{"/dev/null", 4, "use a file or a block device"},
		{"empty.img", 4, "create the image again"},
		{"no/such/folder.img", 74, ""},
		{"images", 4, "name the image files in it: 'images/my user.vmdk' images/root.img"},
		{"many", 4, "name the image files in it"},
		{"snap-0123456789abcdef0", 64, "name it ebs:snap-0123456789abcdef0"},
		{"ebs:snap-0123456789abcdef0", 0, ""},
		{"ebs:vol-1", 64, ""},
		{"snap-x", 74, ""},
		{"vol-0123456789abcdef0", 74, "create-snapshot --volume-id vol-0123456789abcdef0"},
		{"i-0123456789abcdef0", 74, "InstanceId=i-0123456789abcdef0"},
		{"ami-0123456789abcdef0", 74, "describe-images --image-ids ami-0123456789abcdef0"},
		{"ws-0a1b2c3d4", 74, "AWS does not expose the volumes of WorkSpaces"},
		{"ws-x", 74, ""},
		{"s3://bucket/a b/root.img", 0, ""},
		{"s3://bucket", 64, ""},
		{"https://example.com/images/user.img", 0, ""},
		{"https://me:key@example.com/u.img?X-Amz-Signature=key", 0, ""},
		{"https://%zz?key", 64, ""},
		{`C:\images\root.img`, 74, "this is a Windows path"},
		{"D:/images/root.img", 74, "this is a Windows path"},
		{`\\server\share\root.img`, 74, "mount the network share"},
	} {
		err := (&program{}).checkImage(c.name)
		var p problem
		if exitCode(err) != c.code || c.code != 0 && !errors.As(err, &p) {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if c.code != 0 && (!strings.Contains(p.Hint(), c.hint) || c.hint == "" && p.Hint() != "") {
			t.Errorf("%s: hint %q, want %q", c.name, p.Hint(), c.hint)
		}
		if err != nil && strings.Contains(err.Error()+p.Hint(), "key") {
			t.Errorf("%s: a secret is shown: %v, %s", c.name, err, p.Hint())
		}
	}
}

// A scan without the user volume names the command with it.
func TestUserHint(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("names are for another shell")
	}
	dir := t.TempDir()
	t.Chdir(dir)
	write(t, "root.img", "")
	result := func(family string, verdict scanner.Verdict, roles ...scanner.Role) *scanner.Result {
		r := &scanner.Result{Verdict: verdict, Platform: scanner.Platform{Family: family}}
		for _, role := range roles {
			r.Volumes = append(r.Volumes, scanner.Volume{Role: role})
		}
		return r
	}
	for _, c := range []struct {
		result *scanner.Result
		images []string
		want   string
	}{
		{result("windows", scanner.Inconclusive, scanner.Root), []string{"root.img"}, " scan root.img USER_IMAGE"},
		{result("windows", scanner.NotReady, scanner.Root), []string{"root.img"}, " scan root.img USER_IMAGE"},
		{result("windows", scanner.Ready, scanner.Root), []string{"root.img"}, ""},
		{result("windows", scanner.Inconclusive, scanner.Root, scanner.User), []string{"root.img"}, ""},
		{result("windows", scanner.Inconclusive, scanner.Root), []string{"root.img", "other.img"}, ""},
		{result("linux", scanner.Inconclusive, scanner.Root), []string{"root.img"}, ""},
		{result("windows", scanner.Inconclusive, scanner.Root), nil, ""}, // of a demonstration
	} {
		p := &program{arguments: append([]string{"scan"}, c.images...), images: c.images}
		hint := p.userHint(c.result)
		if !strings.HasSuffix(hint, c.want) || c.want == "" && hint != "" {
			t.Errorf("%v of %v: %q, want %q", c.images, c.result.Volumes, hint, c.want)
		}
	}
	p := &program{arguments: []string{"scan", "root.img"}, images: []string{"root.img"}}
	for other, want := range map[string]string{"my user.img": " scan root.img 'my user.img'", "third.img": " USER_IMAGE"} {
		defer os.Remove(other)
		write(t, "my user.img", "")
		write(t, other, "")
		if hint := p.userHint(result("windows", scanner.Inconclusive)); !strings.HasSuffix(hint, want) {
			t.Errorf("beside %s: %q, want %q", other, hint, want)
		}
		os.Remove(other)
	}
}

func TestUnmountHint(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("names are for another shell")
	}
	for _, c := range []struct {
		points []string
		want   string
	}{
		{nil, ""},
		{[]string{"/mnt"}, "unmount it, then repeat the command: sudo umount /mnt"},
		{[]string{"/mnt/a b", "/data"}, "unmount it, then repeat the command: sudo umount '/mnt/a b' /data"},
		{[]string{"/boot", "/"}, "scan a snapshot of the disk, not the disk of the running system"},
	} {
		var mounts []source.WritableMount
		for _, p := range c.points {
			mounts = append(mounts, source.WritableMount{Source: "/dev/sdb1", Point: p})
		}
		if got := unmountHint(mounts); got != c.want {
			t.Errorf("%q: %q, want %q", c.points, got, c.want)
		}
	}
}

func TestPermissionHint(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("needs sudo")
	}
	file := filepath.Join(t.TempDir(), "root.img")
	write(t, file, "")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	p := &program{arguments: []string{"scan", "my root.img"}}
	denied := &fs.PathError{Op: "open", Path: file, Err: fs.ErrPermission}
	for _, i := range []fs.FileInfo{nil, info} {
		hint := p.permissionHint(denied, i)
		if !strings.Contains(hint, "sudo ") || !strings.Contains(hint, " scan 'my root.img'") {
			t.Error(hint)
		}
	}
	if hint := p.permissionHint(fs.ErrNotExist, info); hint != "" {
		t.Error(hint)
	}
}

// A file that may not be read ends with 74 and the command that reads it.
func TestPermissionDenied(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, who can become somebody else")
	}
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip(err)
	}
	dir, err := os.MkdirTemp("/tmp", "coldcheck-permission")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Skip(err)
	}
	name := filepath.Join(dir, "coldcheck")
	if err := os.WriteFile(name, self, 0o755); err != nil {
		t.Fatal(err)
	}
	image := filepath.Join(dir, "root.img")
	write(t, image, "image")
	if err := errors.Join(os.Chmod(image, 0o640), os.Chown(image, 0, 6)); err != nil { // 6 is disk, as for devices
		t.Fatal(err)
	}
	for _, command := range [][]string{{"scan"}, {"inspect", "ls"}} {
		cmd := exec.Command(setpriv, append(append([]string{"--reuid=65534", "--clear-groups", name}, command...), image)...)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		want := "sudo coldcheck " + strings.Join(command, " ") + " " + image + " (or join the group "
		if c := code(t, cmd.Run()); c != 74 || !strings.Contains(stderr.String(), want) ||
			!strings.Contains(stderr.String(), "permission denied") {
			t.Errorf("%d: %s, want %s", c, &stderr, want)
		}
	}
}
