package ntfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"syscall"
	"testing"
)

// sampleDescriptor makes a security descriptor of the administrators, with as
// many entries in its list as are asked for, each for another user.
func sampleDescriptor(entries int) []byte {
	le := binary.LittleEndian
	sid := func(subs ...uint32) []byte {
		b := []byte{1, byte(len(subs)), 0, 0, 0, 0, 0, 5}
		for _, s := range subs {
			b = le.AppendUint32(b, s)
		}
		return b
	}
	var aces []byte
	for i := range entries {
		who := sid(21, 1, 2, 3, uint32(1000+i))
		aces = le.AppendUint16(append(aces, 0, 3), uint16(8+len(who)))
		aces = append(le.AppendUint32(aces, 0x1F01FF), who...)
	}
	acl := le.AppendUint16([]byte{2, 0}, uint16(8+len(aces)))
	acl = append(le.AppendUint32(acl, uint32(entries)), aces...)
	owner := sid(32, 544)
	d := le.AppendUint16([]byte{1, 0}, 0x8004) // self-relative, with a discretionary list
	for _, at := range []int{20, 20 + len(owner), 0, 20 + 2*len(owner)} {
		d = le.AppendUint32(d, uint32(at))
	}
	return append(append(append(d, owner...), owner...), acl...)
}

// TestSecurity3g compares the descriptors of files with what ntfs-3g reads:
// those that it gives to new files, which lie in the files, and those that are
// set, which go into $Secure.
func TestSecurity3g(t *testing.T) {
	v := makeVolume(t, 64<<20)
	const acl = "system.ntfs_acl"
	want := map[string][]byte{}
	v.mounted(func() {
		v.write("plain", nil)
		v.check(os.Mkdir(v.path("folder"), 0o777))
		// More than a block of $SDS, in numbers and in sizes.
		for i := range 300 {
			name := fmt.Sprintf("set/%03d", i)
			v.write(name, nil)
			v.check(syscall.Setxattr(v.path(name), acl, sampleDescriptor(i), 0))
		}
		v.write("large", nil)
		v.check(syscall.Setxattr(v.path("large"), acl, sampleDescriptor(1800), 0))
		v.write("again", nil)
		for _, n := range []int{1, 2, 3} {
			v.check(syscall.Setxattr(v.path("again"), acl, sampleDescriptor(n), 0))
		}
		names := []string{".", "plain", "folder", "set", "large", "again", "$Extend"}
		for i := range 300 {
			names = append(names, fmt.Sprintf("set/%03d", i))
		}
		for _, name := range names {
			buf := make([]byte, 1<<16)
			n, err := syscall.Getxattr(v.path(name), acl, buf)
			if err != nil && name == "$Extend" {
				continue // hidden from the mount
			}
			v.check(err)
			want[name] = buf[:n]
		}
	})
	f := v.open()
	own, listed := 0, 0
	for name, d := range want {
		got, err := f.SecurityDescriptor(name)
		if err != nil || !bytes.Equal(got, d) {
			t.Errorf("%s: %d bytes, %v; ntfs-3g has %d", name, len(got), err, len(d))
		}
		ino, err := f.load(mustResolve(t, f, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(ino.find(typeSecurityDescriptor, "")) > 0 {
			own++
		} else {
			listed++
		}
	}
	secure, err := f.load(recordSecure)
	if err != nil {
		t.Fatal(err)
	}
	sds, err := secure.need(f.disk, typeData, "$SDS")
	if err != nil {
		t.Fatal(err)
	}
	if own < 3 || listed < 300 || sds.size <= 2*sdsBlock {
		t.Errorf("%d in the files and %d in a list of %d bytes: too few to compare", own, listed, sds.size)
	}
}
