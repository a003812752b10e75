package buildinfo

import (
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	commit = "0123456789abcdef0123456789abcdef01234567"
	pseudo = "v1.0.1-0.20261130182554-0123456789ab"
)

// TestOf reads what the toolchain writes for each way to build the program.
func TestOf(t *testing.T) {
	date := time.Date(2026, 11, 30, 18, 25, 54, 0, time.UTC)
	yes, no := true, false
	vcs := func(modified string) []debug.BuildSetting {
		return []debug.BuildSetting{{Key: "-trimpath", Value: "true"}, {Key: "CGO_ENABLED", Value: "0"},
			{Key: "vcs", Value: "git"}, {Key: "vcs.revision", Value: commit},
			{Key: "vcs.time", Value: "2026-11-30T18:25:54Z"}, {Key: "vcs.modified", Value: modified}}
	}
	main := func(version string, settings ...debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: modulePath, Version: version}, Settings: settings}
	}
	library := func(m debug.Module, replace *debug.Module) *debug.BuildInfo {
		m.Path, m.Replace = modulePath, replace
		return &debug.BuildInfo{Main: debug.Module{Path: "example.com/gate", Version: "v9.9.9"}, Settings: vcs("true"),
			Deps: []*debug.Module{{Path: "example.com/other", Version: "v3.0.0"}, &m}}
	}
	for name, tt := range map[string]struct {
		info   *debug.BuildInfo
		stated string
		want   Info
	}{
		"a tag": {main("v1.0.0", vcs("false")...), "",
			Info{Version: "v1.0.0", Commit: commit, Date: date, Modified: &no, Trimpath: true}},
		"after a tag": {main(pseudo, vcs("false")...), "",
			Info{Version: pseudo, Commit: commit, Date: date, Modified: &no, Trimpath: true}},
		"a modified tree": {main(pseudo+"+dirty", vcs("true")...), "",
			Info{Version: pseudo + "+dirty", Commit: commit, Date: date, Modified: &yes, Trimpath: true}},
		"no history": {main("(devel)", debug.BuildSetting{Key: "CGO_ENABLED", Value: "1"}), "",
			Info{Version: Unknown, CGO: true}},
		"a test":         {main(""), "", Info{Version: Unknown}},
		"no information": {&debug.BuildInfo{}, "", Info{Version: Unknown}},
		"a download":     {main("v1.0.0"), "", Info{Version: "v1.0.0"}},
		"a download of a commit": {main(pseudo), "",
			Info{Version: pseudo, Commit: "0123456789ab", Date: date}},
		"a release": {main(pseudo, vcs("false")...), "v1.1.0",
			Info{Version: "v1.1.0", Commit: commit, Date: date, Modified: &no, Trimpath: true}},
		"a release of a modified tree": {main(pseudo+"+dirty", vcs("true")...), "v1.1.0",
			Info{Version: "v1.1.0+dirty", Commit: commit, Date: date, Modified: &yes, Trimpath: true}},
		"a release without history": {main("(devel)"), "v1.1.0-rc.1", Info{Version: "v1.1.0-rc.1"}},
		"no version of a release":   {main("v1.0.0"), "1.1.0", Info{Version: "v1.0.0"}},
		"half a version":            {main("v1.0.0"), "v1.1", Info{Version: "v1.0.0"}},
		"a version with a build":    {main("v1.0.0"), "v1.1.0+x", Info{Version: "v1.0.0"}},
		"the library":               {library(debug.Module{Version: "v1.2.0"}, nil), "", Info{Version: "v1.2.0"}},
		"a folder with the library": {library(debug.Module{Version: "v1.2.0"}, &debug.Module{Path: "../c"}), "",
			Info{Version: Unknown}},
	} {
		tt.want.Go, tt.want.OS, tt.want.Arch = runtime.Version(), runtime.GOOS, runtime.GOARCH
		if d := cmp.Diff(tt.want, of(tt.info, tt.stated)); d != "" {
			t.Errorf("%s (-want +is):\n%s", name, d)
		}
	}
}

// TestUserAgent: the name of the program in requests is one that RFC 9110 allows.
func TestUserAgent(t *testing.T) {
	name, version, ok := strings.Cut(UserAgent(), "/")
	if name != Name || !ok || version == "" || strings.ContainsAny(version, " /()") {
		t.Errorf("%q", UserAgent())
	}
}
