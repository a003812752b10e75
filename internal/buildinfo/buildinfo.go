// Package buildinfo says how this program was built: its version and commit, as the Go
// toolchain writes them into a binary, or as a release states them.
package buildinfo

import (
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// modulePath is the module that this package is part of. It is the main module of
// the command, and a dependency of a program that uses the library.
const modulePath = "github.com/coldcheck/coldcheck"

// Unknown is the version of a build that has none: from a folder without a history, or
// by a toolchain that was told to ignore it.
const Unknown = "devel"

// Info is how a program was built.
type Info struct {
	// Version is the tag of the commit, or a pseudo-version that names the tag before
	// it, the time and the commit (go.dev/ref/mod#pseudo-versions). It ends in "+dirty"
	// if the files were not those of the commit. It may be Unknown.
	Version string
	Commit  string    // of the module: 40 or 12 digits; "" if it is not known
	Date    time.Time // of the commit, in UTC; zero if it is not known
	// Modified is whether the files were not those of the commit; nil if it is not known.
	Modified *bool
	Go       string // version of the toolchain, such as "go1.26.8"
	OS, Arch string // GOOS and GOARCH
	CGO      bool   // the program may call C
	Trimpath bool   // the program does not contain the paths of the machine that built it
}

// release is the version that SetRelease was given.
var release string

// SetRelease states the version of a release that is built from a commit without its
// tag. It has no effect if it is not a semantic version such as "v1.2.3". Call it before
// Read, once.
func SetRelease(version string) { release = version }

// Read returns how this program was built.
func Read() Info { return read() }

var read = sync.OnceValue(func() Info {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = &debug.BuildInfo{}
	}
	return of(info, release)
})

// UserAgent names the program in requests, such as "coldcheck/1.2.3" (RFC 9110, section
// 10.1.5).
func UserAgent() string { return Name + "/" + UserAgentVersion() }

// Name is the name of the program.
const Name = "coldcheck"

// UserAgentVersion is the version in UserAgent.
func UserAgentVersion() string { return strings.TrimPrefix(Read().Version, "v") }

// of reads what the toolchain wrote. stated is the version of a release, or "".
func of(info *debug.BuildInfo, stated string) Info {
	b := Info{Version: version(info), Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info.Main.Path == modulePath {
		b.readSettings(info.Settings)
	}
	modified := b.Modified != nil && *b.Modified
	if isRelease(stated) {
		b.Version = stated
		if modified {
			b.Version += dirty
		}
	}
	// A module that was downloaded has no history, but a pseudo-version names its commit.
	if b.Commit == "" && module.IsPseudoVersion(b.Version) {
		b.Commit, _ = module.PseudoVersionRev(b.Version)
		b.Date, _ = module.PseudoVersionTime(b.Version)
	}
	return b
}

const dirty = "+dirty"

// version is the version of the module in a program.
func version(info *debug.BuildInfo) string {
	m := &info.Main
	if m.Path != modulePath {
		m = &debug.Module{}
		for _, d := range info.Deps {
			if d.Path == modulePath {
				m = d
			}
		}
	}
	if m.Replace != nil {
		m = m.Replace // a folder has no version
	}
	if m.Version == "" || m.Version == "(devel)" {
		return Unknown
	}
	return m.Version
}

// readSettings reads the settings of a build of this module.
func (b *Info) readSettings(settings []debug.BuildSetting) {
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value
		case "vcs.time":
			if t, err := time.Parse(time.RFC3339Nano, s.Value); err == nil {
				b.Date = t.UTC()
			}
		case "vcs.modified":
			modified := s.Value == "true"
			b.Modified = &modified
		case "CGO_ENABLED":
			b.CGO = s.Value == "1"
		case "-trimpath":
			b.Trimpath = s.Value == "true"
		}
	}
}

// isRelease reports whether a version is what a tag of a release may be: v1.2.3, and
// v1.2.3-rc.1 of a release before it.
func isRelease(version string) bool {
	return semver.IsValid(version) && semver.Canonical(version) == version
}
