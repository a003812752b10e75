package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (p *program) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "coldcheck version",
		Args:    arguments(0, 0),
		RunE: func(*cobra.Command, []string) error {
			return p.print([]byte(version() + "\n"))
		},
	}
}

// version describes the program in one line.
func version() string {
	v, commit := build()
	if commit != "" {
		commit = " commit " + commit + ","
	}
	return fmt.Sprintf("coldcheck %s (%s%s %s/%s)", v, commit, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

// build returns the version and the commit that the program was built from, as
// the Go toolchain wrote them into it: a tag, a pseudo-version, or "devel".
func build() (version, commit string) {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		version = "devel"
	} else {
		version = info.Main.Version
	}
	if ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				commit = s.Value
			}
		}
	}
	return version, commit
}
