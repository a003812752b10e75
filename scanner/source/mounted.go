package source

// WritableMount is a read-write mount that may change an image.
type WritableMount struct {
	Source string // the device name: "/dev/nvme1n1p1"
	Point  string // the mount point
}
