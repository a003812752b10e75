package ext4_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"

	"github.com/coldcheck/coldcheck/ext4"
)

// openImage stands for opening a volume: an *os.File, or an io.SectionReader of a
// partition, is read in the same way.
func openImage(name string) *ext4.FS {
	packed, err := os.Open("testdata/" + name + ".img.gz")
	if err != nil {
		log.Fatal(err)
	}
	defer packed.Close()
	unpacked, err := gzip.NewReader(packed)
	if err != nil {
		log.Fatal(err)
	}
	image, err := io.ReadAll(unpacked)
	if err != nil {
		log.Fatal(err)
	}
	volume, err := ext4.Open(context.Background(), bytes.NewReader(image), int64(len(image)), ext4.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return volume
}

func Example() {
	volume := openImage("ext4")
	defer volume.Close()
	data, err := volume.ReadFile("etc/os-release")
	fmt.Printf("%q %v\n", data, err)

	list, err := volume.ReadDir("etc")
	if err != nil {
		log.Fatal(err)
	}
	for _, d := range list {
		info, err := d.Info()
		if err != nil {
			log.Fatal(err)
		}
		entry := info.Sys().(*ext4.Entry)
		fmt.Println(d.Name(), info.Mode(), info.Size(), entry.Links)
	}
	_, err = volume.Stat("etc/shadow")
	fmt.Println(errors.Is(err, fs.ErrNotExist))
	// Output:
	// "NAME=\"Example\"\nVERSION=2\n" <nil>
	// conf.d drwxr-xr-x 60 2
	// hard -rw-r--r-- 25 2
	// os-release -rw-r--r-- 25 2
	// true
}

func ExampleFS_Tree() {
	volume := openImage("ext4")
	defer volume.Close()
	totals, err := volume.Tree("etc")
	fmt.Println(totals.Files, totals.Dirs, totals.Size, totals.Links, totals.Damaged, err)
	// Output:
	// 2 1 35 1 0 <nil>
}

// A volume that was in use is read as it is after recovery.
func ExampleFS_Volume() {
	volume := openImage("dirty")
	defer volume.Close()
	v := volume.Volume()
	fmt.Println(v.Clean, v.Journal.State, v.Journal.Transactions > 0, v.Journal.Err)
	// Output:
	// false replayed true <nil>
}

// Data in a hole has no place on the volume.
func ExampleFile_Locate() {
	volume := openImage("ext4")
	defer volume.Close()
	file, err := volume.Open("home/user/hole")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	for _, off := range []int64{50_000, 99_999} {
		at, known, err := file.(*ext4.File).Locate(off)
		fmt.Println(at, known, err)
	}
	// Output:
	// 182096 true <nil>
	// 0 false <nil>
}
