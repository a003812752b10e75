package source

// WritableMount is a mounted filesystem that may be writing to an image.
type WritableMount struct {
	Source string // the device, as the system names it: "/dev/nvme1n1p1"
	Point  string // where it is mounted
}
