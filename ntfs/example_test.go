package ntfs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"

	"github.com/coldcheck/coldcheck/ntfs"
)

// openSmall stands for opening an image: an *os.File of a volume, or an
// io.SectionReader of a partition, is read in the same way.
func openSmall() *ntfs.FS {
	image, err := ntfs.SmallImage()
	if err != nil {
		log.Fatal(err)
	}
	volume, err := ntfs.Open(context.Background(), bytes.NewReader(image), int64(len(image)), ntfs.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return volume
}

func Example() {
	volume := openSmall()
	data, err := volume.ReadFile("RESIDENT") // as Windows would find it
	fmt.Printf("%s %v\n", data, err)

	list, err := fs.ReadDir(volume, "packed")
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range list {
		info, err := d.Info()
		if err != nil {
			log.Fatal(err)
		}
		entry := info.Sys().(*ntfs.Entry)
		fmt.Println(d.Name(), info.Size(), entry.Allocated, entry.Compressed)
	}
	// Output:
	// hello <nil>
	// mixed 73000 8192 true
	// noise 3000 4096 true
	// text 40000 5120 true
}

func ExampleFS_Volume() {
	volume := openSmall()
	v := volume.Volume()
	free, err := volume.Free()
	fmt.Println(v.Label, v.Version, v.ClusterSize, v.Clusters, v.Dirty, v.Journal.State)
	fmt.Println(free > 0, err)
	// Output:
	// Small one 3.1 1024 4095 false empty
	// true <nil>
}

func ExampleFS_Tree() {
	totals, err := openSmall().Tree("links")
	fmt.Println(totals.Files, totals.Size, totals.Links, totals.StreamSize, totals.Damaged, err)
	// Output:
	// 1 6 12 14 0 <nil>
}

func ExampleFS_Streams() {
	volume := openSmall()
	streams, err := volume.Streams("streams")
	if err != nil {
		log.Fatal(err)
	}
	for _, s := range streams {
		fmt.Println(s.Name, s.Size)
	}
	file, err := volume.OpenStream("streams", "Zone.Identifier")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	buf := make([]byte, 14)
	n, err := file.ReadAt(buf, 0)
	fmt.Printf("%s %v\n", buf[:n], err)
	// Output:
	// Zone.Identifier 26
	// more 3000
	// [ZoneTransfer] <nil>
}

func ExampleFS_Reparse() {
	volume := openSmall()
	info, err := volume.Stat("junction")
	if err != nil {
		log.Fatal(err)
	}
	r, err := volume.Reparse("junction")
	fmt.Println(info.Mode(), r.Tag == ntfs.TagMountPoint, r.Target(), err)
	// Output:
	// ?r--r--r-- true C:\Program Files <nil>
}

// What this package does not read is refused by name, never made up.
func ExampleFile_ReadAt_refused() {
	file, err := openSmall().Open("dedup")
	if err != nil {
		log.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		log.Fatal(err)
	}
	_, err = file.Read(make([]byte, 1))
	fmt.Println(info.Size(), errors.Is(err, ntfs.ErrUnsupported))
	fmt.Println(err)
	// Output:
	// 5000 true
	// read dedup: unsupported: deduplication (reparse tag 0x80000013): the volume does not have all of the content
}
