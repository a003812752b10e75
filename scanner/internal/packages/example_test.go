package packages_test

import (
	"context"
	"fmt"
	"testing/fstest"

	"github.com/coldcheck/coldcheck/scanner/internal/packages"
)

func Example() {
	root := fstest.MapFS{
		"var/lib/dpkg/status": {Data: []byte(`Package: cloud-init
Status: install ok installed
Architecture: all
Version: 23.4.4-0ubuntu0~22.04.1

Package: telnet
Status: deinstall ok config-files
Architecture: amd64
Version: 0.17-44build1
`)},
		"var/lib/dpkg/info/cloud-init.list": {Data: []byte("/.\n/usr\n/usr/bin\n/usr/bin/cloud-init\n/home\n/home/cloud\n")},
	}
	db, err := packages.Open(context.Background(), root)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, name := range []string{"cloud-init", "telnet", "amazon-ssm-agent"} {
		found, err := db.Find(name)
		if err != nil {
			fmt.Println(err) // and nothing is known of those that were not found
		}
		for _, p := range found {
			fmt.Println(p.Name, p.EVR(), p.State, p.IsInstalled())
		}
	}
	paths, err := db.Under("/home")
	if err != nil {
		fmt.Println(err)
	}
	for path, p := range paths {
		fmt.Println(path, "of", p.Name)
	}
	// Output:
	// cloud-init 23.4.4-0ubuntu0~22.04.1 installed true
	// telnet 0.17-44build1 config-files false
	// /home/cloud of cloud-init
}
