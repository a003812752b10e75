package disk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log"

	"github.com/coldcheck/coldcheck/scanner/disk"
)

// The volumes of a disk with an MBR and one partition of NTFS.
func ExampleOpen() {
	b := make([]byte, 4<<20)
	entry := b[446:]
	entry[0], entry[4] = 0x80, 0x07
	binary.LittleEndian.PutUint32(entry[8:], 2048)
	binary.LittleEndian.PutUint32(entry[12:], 4096)
	copy(b[510:], "\x55\xaa")
	copy(b[1<<20:], "\xeb\x52\x90NTFS    ")

	image, err := disk.Open(context.Background(), bytes.NewReader(b), int64(len(b)), disk.Options{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(image.Table)
	for _, v := range image.Volumes() {
		fmt.Printf("%d: %s, %d bytes at %d, active %t\n", v.Number, v.Filesystem, v.Size, v.Offset, v.Active)
	}
	// Output:
	// mbr
	// 1: ntfs, 2097152 bytes at 1048576, active true
}
