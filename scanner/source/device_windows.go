package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/windows"
)

// deviceName matches \\.\PhysicalDrive0, \\.\C:, \\.\HarddiskVolume1, a volume by its
// GUID, and a shadow copy (Win32 device namespace). It does not match a file in a volume.
var deviceName = regexp.MustCompile(
	`(?i)^\\\\[.?]\\(GLOBALROOT\\Device\\[^\\]+|[^\\]+[0-9]|[a-z]:|Volume\{[^\\]+\})$`)

// IsDevice reports whether a name is that of a device of Windows that os.Stat does not
// know, such as \\.\PhysicalDrive0. On other systems, a device is a file.
func IsDevice(name string) bool {
	return deviceName.MatchString(withBackslashes(name))
}

// withBackslashes is a name that may have been written as //./PhysicalDrive0.
func withBackslashes(name string) string { return strings.ReplaceAll(name, "/", `\`) }

// sameDevice compares the names of devices. It is not ok for files.
func sameDevice(a, b string) (same, ok bool) {
	if !IsDevice(a) && !IsDevice(b) {
		return false, false
	}
	return strings.EqualFold(deviceID(a), deviceID(b)), true
}

// deviceID is a name of a device without the beginning, of which there are several.
func deviceID(name string) string {
	name = withBackslashes(name)
	return strings.TrimPrefix(strings.TrimPrefix(name, `\\.\`), `\\?\`)
}

// device is a disk, a volume or a shadow copy.
type device struct {
	plain
	f    *os.File
	path string
	r    sectors
}

// openDevice opens a device for reading; it returns nil for a file. Others may read and
// write it meanwhile: a volume of the running system is always open.
func openDevice(path string) (place, error) {
	if !IsDevice(path) {
		return nil, nil
	}
	name := withBackslashes(path)
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	h, err := windows.CreateFile(text, windows.GENERIC_READ,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE|windows.FILE_SHARE_DELETE, nil, windows.OPEN_EXISTING, 0, 0)
	if err != nil {
		return nil, deviceFault(path, err)
	}
	d := &device{f: os.NewFile(uintptr(h), name), path: path}
	size, sector, err := geometry(h)
	if err != nil {
		d.f.Close()
		return nil, deviceFault(path, err)
	}
	if size <= 0 {
		d.f.Close()
		return nil, fmt.Errorf("%s: the system does not report the size of this device", path)
	}
	// Without it, a volume ends with its filesystem, and the last sectors are missing. A
	// disk does not know the request.
	control(h, fsctlAllowExtendedDASDIO, nil)
	d.bytes, d.r = size, sectors{d.f, size, sector}
	return d, nil
}

func (d *device) readAt(_ context.Context, p []byte, off int64) (int, error) {
	n, err := d.r.ReadAt(p, off)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		err = deviceFault(d.path, err)
	}
	return n, err
}

func (d *device) close() error { return d.f.Close() }

// Requests to devices, as winioctl.h of the Windows SDK has them.
const (
	ioctlDiskGetDriveGeometry   = 0x00070000
	ioctlDiskGetLengthInfo      = 0x0007405C
	ioctlStorageGetDeviceNumber = 0x002D1080
	ioctlVolumeGetDiskExtents   = 0x00560000
	fsctlAllowExtendedDASDIO    = 0x00090083
)

// control sends a request without input to a device, and returns how much of out it wrote.
func control(h windows.Handle, request uint32, out []byte) (n uint32, err error) {
	var p *byte
	if len(out) > 0 {
		p = &out[0]
	}
	err = windows.DeviceIoControl(h, request, nil, 0, p, uint32(len(out)), &n, nil)
	return n, err
}

// leastSector is the size of a sector of a device that does not say it, in bytes. If it
// is too small, reads fail.
const leastSector = 512

// geometry returns the size of a device and of its sectors, in bytes:
// GET_LENGTH_INFORMATION and DISK_GEOMETRY in winioctl.h.
func geometry(h windows.Handle) (size, sector int64, err error) {
	var length [8]byte
	n, err := control(h, ioctlDiskGetLengthInfo, length[:])
	if err != nil {
		return 0, 0, err
	}
	if n == uint32(len(length)) {
		size = int64(binary.LittleEndian.Uint64(length[:]))
	}
	sector = leastSector
	var disk [24]byte
	if n, err := control(h, ioctlDiskGetDriveGeometry, disk[:]); err == nil && n == uint32(len(disk)) {
		s := int64(binary.LittleEndian.Uint32(disk[20:])) // BytesPerSector
		if s > 0 && s <= mostAligned && s&(s-1) == 0 {
			sector = s
		}
	}
	return size, sector, nil
}

// mounts are the volumes with a letter that are on a disk, or the same as a volume. The
// system may write to them at any time.
func (d *device) mounts() (list []WritableMount) {
	id := deviceID(d.path)
	if shadowCopy.MatchString(id) {
		return nil
	}
	letters, err := windows.GetLogicalDrives()
	if err != nil {
		return nil
	}
	number := numberOf(d.path)
	for i := range 26 {
		drive := string(rune('A'+i)) + ":"
		if letters&(1<<i) == 0 {
			continue
		}
		name := `\\.\` + drive
		on := strings.EqualFold(id, drive)
		switch {
		case on || number == nil:
		case number.partition > 0:
			other := numberOf(name)
			on = other != nil && *other == *number
		default:
			on = onDisk(name, number.disk)
		}
		if on {
			list = append(list, WritableMount{Source: name, Point: drive + `\`})
		}
	}
	return list
}

var shadowCopy = regexp.MustCompile(`(?i)^GLOBALROOT\\Device\\HarddiskVolumeShadowCopy[0-9]+$`)

// ask opens a device without reading it, and sends it a request. It returns what the
// device wrote to out; nil if it does not know the request.
func ask(path string, request uint32, out []byte) []byte {
	name, err := windows.UTF16PtrFromString(withBackslashes(path))
	if err != nil {
		return nil
	}
	h, err := windows.CreateFile(name, 0, windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING,
		0, 0)
	if err != nil {
		return nil
	}
	defer windows.CloseHandle(h)
	n, err := control(h, request, out)
	if err != nil && !errors.Is(err, windows.ERROR_MORE_DATA) || int(n) > len(out) {
		return nil
	}
	return out[:n]
}

// deviceNumber is the number of a disk, and of a partition from 1; a disk has partition 0
// or -1.
type deviceNumber struct {
	kind, disk uint32
	partition  int32
}

// numberOf reads STORAGE_DEVICE_NUMBER in winioctl.h; nil if a device has none.
func numberOf(path string) *deviceNumber {
	b := ask(path, ioctlStorageGetDeviceNumber, make([]byte, 12))
	if len(b) < 12 {
		return nil
	}
	le := binary.LittleEndian
	return &deviceNumber{le.Uint32(b), le.Uint32(b[4:]), int32(le.Uint32(b[8:]))}
}

// onDisk reports whether a volume has an extent on a disk: VOLUME_DISK_EXTENTS in winioctl.h.
func onDisk(path string, disk uint32) bool {
	const head, extent, most = 8, 24, 32
	b := ask(path, ioctlVolumeGetDiskExtents, make([]byte, head+most*extent))
	for at := head; at+extent <= len(b); at += extent {
		if binary.LittleEndian.Uint32(b[at:]) == disk {
			return true
		}
	}
	return false
}

// deviceError is an error of the system about a device, with what to do about it.
type deviceError struct {
	path string
	err  error
	hint string
}

func (e *deviceError) Error() string { return e.path + ": " + e.err.Error() }
func (e *deviceError) Unwrap() error { return e.err }

// Hint says what to do; "" if that is not known.
func (e *deviceError) Hint() string { return e.hint }

const hintNoDevice = "list the disks: Get-CimInstance Win32_DiskDrive | Format-Table DeviceID, Size, Model"

// deviceFault explains an error of the system about a device.
func deviceFault(path string, err error) error {
	hint := ""
	for code, text := range map[syscall.Errno]string{
		windows.ERROR_ACCESS_DENIED:     "run it as administrator: open the terminal with 'Run as administrator'",
		windows.ERROR_FILE_NOT_FOUND:    hintNoDevice,
		windows.ERROR_PATH_NOT_FOUND:    hintNoDevice,
		windows.ERROR_SHARING_VIOLATION: "another program has locked the device; close it",
		windows.ERROR_NOT_READY:         "insert a medium, or bring the disk online",
		windows.ERROR_INVALID_FUNCTION:  "this is not a disk or a volume",
	} {
		if errors.Is(err, code) {
			hint = text
		}
	}
	var named *os.PathError
	if errors.As(err, &named) {
		err = named.Err
	}
	return &deviceError{path, err, hint}
}
