package source_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/source"
)

// A file is opened read-only, and what is read of it is counted.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(name, []byte("the bytes of a disk"), 0o600); err != nil {
		log.Fatal(err)
	}

	s, err := source.Open(context.Background(), name, source.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	p := make([]byte, 5)
	if _, err := s.ReadAt(p, 4); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%q of %d bytes, %d read\n", p, s.Size(), s.Counters().Bytes)
	// Output: "bytes" of 19 bytes, 5 read
}

// A cache asks once for what is read again and again.
func ExampleCache() {
	disk := strings.NewReader(strings.Repeat("0123456789", 100))
	fetch := func(ctx context.Context, p []byte, off int64) error {
		fmt.Printf("fetching %d bytes at %d\n", len(p), off)
		return source.FetchFrom(disk)(ctx, p, off)
	}
	c := source.NewCache(context.Background(), disk.Size(), fetch, source.CacheOptions{Block: 256, Bytes: 1 << 20})
	defer c.Close()
	p := make([]byte, 4)
	for _, off := range []int64{300, 310, 510} {
		if _, err := c.ReadAt(p, off); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", p)
	}
	// Output:
	// fetching 256 bytes at 256
	// 0123
	// 0123
	// fetching 256 bytes at 512
	// 0123
}
