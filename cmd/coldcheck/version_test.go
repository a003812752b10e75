package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/buildinfo"
)

// TestVersionLine: what is not known is left out, and nothing stands where it was.
func TestVersionLine(t *testing.T) {
	yes, no := true, false
	date := time.Date(2026, 11, 30, 18, 25, 54, 0, time.UTC)
	for want, b := range map[string]buildinfo.Info{
		"coldcheck devel (go1.26.8, linux/amd64)": {Version: "devel", Go: "go1.26.8", OS: "linux", Arch: "amd64"},
		"coldcheck v1.0.0 (commit 0123, 2026-11-30T18:25:54Z, go1.26.8, windows/amd64, trimpath)": {Version: "v1.0.0",
			Commit: "0123", Date: date, Modified: &no, Go: "go1.26.8", OS: "windows", Arch: "amd64", Trimpath: true},
		"coldcheck v1.0.0+dirty (commit 0123, 2026-11-30T18:25:54Z, modified, go1.26.8, linux/arm64, cgo)": {
			Version: "v1.0.0+dirty", Commit: "0123", Date: date, Modified: &yes, Go: "go1.26.8", OS: "linux",
			Arch: "arm64", CGO: true},
	} {
		if is := version(b); is != want {
			t.Errorf("%s\nwant %s", is, want)
		}
	}
}

// TestBuildIdentity: builds that differ, or may differ, have different identities.
func TestBuildIdentity(t *testing.T) {
	yes, no := true, false
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(self)
	if err != nil {
		t.Fatal(err)
	}
	identity := func(b buildinfo.Info) string {
		t.Helper()
		is, err := buildIdentity(b)
		if err != nil {
			t.Fatal(err)
		}
		return is
	}
	for _, b := range []buildinfo.Info{
		{Version: "v1.0.0"}, {Version: "v1.0.0", Commit: "0123"}, {Version: "v1.0.0", Commit: "0123", Modified: &no},
	} {
		if is := identity(b); is != b.Commit {
			t.Errorf("%+v: %s", b, is)
		}
	}
	for _, b := range []buildinfo.Info{
		{Version: buildinfo.Unknown}, {Version: "v1.0.0+dirty", Commit: "0123", Modified: &yes},
	} {
		if is := identity(b); !strings.HasSuffix(is, fmt.Sprintf(" of %d bytes", info.Size())) {
			t.Errorf("%+v: %s", b, is)
		}
	}
}
