package main

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/coldcheck/coldcheck/internal/buildinfo"
	"github.com/coldcheck/coldcheck/report"
)

// release is the version of a release that is built from a commit without its tag. The
// linker sets it: -ldflags "-X main.release=v1.2.3".
var release string

func (p *program) versionCommand() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Long: `Print the version, the commit with its date, and how the program was built. The
version is the tag of a release, or names the tag before the commit.`,
		Example: "coldcheck version\ncoldcheck version -o json",
		Args:    arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			if err := checkFormat(format, "table", "json"); err != nil {
				return err
			}
			if format == "table" {
				return p.print([]byte(version(buildinfo.Read()) + "\n"))
			}
			var b bytes.Buffer
			if err := report.VersionJSON(&b, p.reportOptions()); err != nil {
				return err
			}
			return p.print(b.Bytes())
		},
	}
	formatFlag(c, &format, false, "table", "json")
	return c
}

// version describes the program in one line.
func version(b buildinfo.Info) string {
	var built []string
	if b.Commit != "" {
		built = append(built, "commit "+b.Commit)
	}
	if !b.Date.IsZero() {
		built = append(built, b.Date.Format(time.RFC3339))
	}
	if b.Modified != nil && *b.Modified {
		built = append(built, "modified")
	}
	built = append(built, b.Go, b.OS+"/"+b.Arch)
	if b.CGO {
		built = append(built, "cgo")
	}
	if b.Trimpath {
		built = append(built, "trimpath")
	}
	return fmt.Sprintf("coldcheck %s (%s)", b.Version, strings.Join(built, ", "))
}

// setBuild says in reports how the program was built.
func setBuild(o *report.Options) {
	b := buildinfo.Read()
	o.Version, o.Commit = b.Version, b.Commit
	o.Build = &report.Build{
		Date: b.Date, Modified: b.Modified, Go: b.Go, OS: b.OS, Arch: b.Arch, CGO: b.CGO, Trimpath: b.Trimpath,
	}
}
