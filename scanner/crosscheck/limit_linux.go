package crosscheck

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// spare is address space beyond the limit of memory: Go maps more than it
// uses, 64 MiB at a time.
const spare = 256 << 20

// limitAddressSpace lets the process map limit bytes, and some to spare,
// beyond what it has mapped already, most of which Go reserves and never uses.
func limitAddressSpace(limit int64) {
	text, err := os.ReadFile("/proc/self/statm") // proc(5): total program size in pages
	if err != nil {
		return
	}
	first, _, _ := bytes.Cut(text, []byte(" "))
	pages, err := strconv.ParseInt(string(first), 10, 64)
	if err != nil {
		return
	}
	most := uint64(pages*int64(os.Getpagesize()) + limit + spare)
	// Where it is refused, a lower limit holds already.
	syscall.Setrlimit(syscall.RLIMIT_AS, &syscall.Rlimit{Cur: most, Max: most})
}
