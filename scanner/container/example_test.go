package container_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/container"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// A raw image is the disk itself.
func ExampleOpen() {
	ctx := context.Background()
	s := source.NewReader(ctx, "root.img", strings.NewReader(strings.Repeat("disk", 256)), 1024)
	disks, err := container.Open(ctx, s, container.Options{})
	if err != nil {
		s.Close()
		log.Fatal(err)
	}
	d := disks[0]
	defer d.Close()
	fmt.Println(d.Format(), d.Size(), len(d.Sources()))
	// Output: raw 1024 1
}

// Another format is refused by its name, with the command that helps.
func ExampleOpen_refused() {
	ctx := context.Background()
	content := "QED\x00" + strings.Repeat("\x00", 1020)
	s := source.NewReader(ctx, "root.qed", strings.NewReader(content), int64(len(content)))
	defer s.Close()
	_, err := container.Open(ctx, s, container.Options{})
	fmt.Println(err, errors.Is(err, container.ErrNotImage))
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		fmt.Println(hinted.Hint())
	}
	// Output:
	// root.qed: not a supported disk image: a QED image true
	// convert it to a raw image: qemu-img convert -O raw root.qed root.img
}
