package scanner_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/scanner"
)

// demoImages are images that are built into the program, where a program of its
// own would name files: scanner.File("root.img").
func demoImages(name string) (images []scanner.Source) {
	c, err := fixtures.Find(name)
	if err != nil {
		log.Fatal(err)
	}
	for _, i := range c.Images {
		r, err := i.Open()
		if err != nil {
			log.Fatal(err)
		}
		images = append(images, scanner.Reader(i.Name, r, i.Size))
	}
	return images
}

func Example() {
	r, err := scanner.Scan(context.Background(), scanner.Input{
		Images: demoImages("linux-failing"),
		Now:    func() time.Time { return fixtures.Now },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s\n", r.Platform.Name, r.Verdict)
	for _, f := range r.Findings {
		if f.Unmet {
			fmt.Printf("%s %s\n", f.ID, f.Status)
		}
	}
	// Output:
	// Amazon Linux 2: not_ready
	// linux.disk.root-97 failed
	// linux.apps.outside-home failed
	// linux.component.cloud-init failed
	// linux.component.skylight failed
}

// A policy changes Result.PolicyVerdict and nothing else: not what is found, and
// not the verdict.
func ExamplePolicy() {
	r, err := scanner.Scan(context.Background(), scanner.Input{
		Images: demoImages("linux-failing"),
		Policy: scanner.Policy{FailOn: scanner.FailOnNever},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(r.Verdict, r.PolicyVerdict)
	// Output:
	// not_ready ready
}
