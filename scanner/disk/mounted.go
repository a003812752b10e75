package disk

// WritableMount is a mounted filesystem that may be writing to an image.
type WritableMount struct {
	Source string // the device, as the system names it: "/dev/nvme1n1p1"
	Point  string // where it is mounted
}

// WritableMounts are the filesystems mounted read-write that lie on the image,
// which is a block device or the file behind one: on itself, on a partition of
// it, or on a device that the system made of these. Nothing is known of an
// image that is neither, nor on systems other than Linux.
func (i *Image) WritableMounts() []WritableMount {
	if i.file == nil {
		return nil
	}
	info, err := i.file.Stat()
	if err != nil {
		return nil
	}
	return writableMounts("/", info)
}
