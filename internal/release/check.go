package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/secure-systems-lab/go-securesystemslib/dsse"
	"golang.org/x/mod/semver"
)

// project is where the code and the releases are.
const project = "https://github.com/coldcheck/coldcheck"

// release is what is known before anything is built.
type release struct {
	options
	source  string    // the clone that is built
	number  string    // the version without v
	commit  string    // in full
	date    time.Time // of every file: SOURCE_DATE_EPOCH, or the commit's time
	signer  dsse.Signer
	targets []platform
	limit   int64 // of the program's size in bytes
}

// platform is an operating system and an architecture, as Go names them.
type platform struct{ os, arch string }

func (p platform) String() string { return p.os + "_" + p.arch }

// program is the name of the program's file.
func (p platform) program() string {
	if p.os == "windows" {
		return "coldcheck.exe"
	}
	return "coldcheck"
}

// platforms are those that a release is for.
var platforms = []platform{
	{"linux", "amd64"}, {"linux", "arm64"}, {"darwin", "amd64"}, {"darwin", "arm64"}, {"windows", "amd64"},
}

// check decides whether a release can be built. An error that a user can remove is a
// refusal.
func check(ctx context.Context, o options) (*release, error) {
	r := &release{options: o, targets: platforms, limit: maxProgram}
	for _, path := range []*string{&r.root, &r.dist} {
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return nil, err
		}
		*path = absolute
	}
	var err error
	if r.number, err = versionNumber(o.version); err != nil {
		return nil, err
	}
	for _, tool := range []string{"go", "git"} {
		if _, err := exec.LookPath(tool); err != nil {
			return nil, refusal{tool + " is not installed", "install " + tool}
		}
	}
	if r.key != "" {
		if r.signer, err = loadSigner(r.key); err != nil {
			return nil, err
		}
	}
	if err := r.checkTree(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// versionNumber returns a version without its v. Build metadata ("+…") is refused: package
// managers do not agree about it.
func versionNumber(version string) (string, error) {
	if version == "" {
		return "", refusal{"there is no version", "name it: make release VERSION=v1.2.3"}
	}
	if !semver.IsValid(version) || semver.Canonical(version) != version {
		return "", refusal{fmt.Sprintf("%q is not a version of a release", version),
			"a version is vMAJOR.MINOR.PATCH or vMAJOR.MINOR.PATCH-PRERELEASE"}
	}
	return strings.TrimPrefix(version, "v"), nil
}

// checkTree checks that the tree is a commit, and sets which and when.
func (r *release) checkTree(ctx context.Context) error {
	status, err := r.git(ctx, "status", "--porcelain")
	if err != nil {
		return err
	}
	if status != "" {
		return refusal{"the tree has changes that are not in a commit:\n" + status,
			"commit them, or build in a fresh clone"}
	}
	if r.commit, err = r.git(ctx, "rev-parse", "HEAD"); err != nil {
		return err
	}
	// Where the version has a tag, the tag is this commit.
	tagged, err := r.git(ctx, "rev-parse", "--quiet", "--verify", "refs/tags/"+r.version+"^{commit}")
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
	case err != nil:
		return err
	case tagged != r.commit:
		return refusal{fmt.Sprintf("the tag %s is the commit %s, not %s", r.version, tagged, r.commit),
			"check out " + r.version}
	}
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		if epoch, err = r.git(ctx, "log", "-1", "--format=%ct"); err != nil {
			return err
		}
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	// The times in archives of the form zip begin in 1980, and those in packages have 32 bits.
	if date := time.Unix(seconds, 0).UTC(); err != nil || date.Year() < 1980 || date.Year() > 2100 {
		return refusal{fmt.Sprintf("SOURCE_DATE_EPOCH is %q, which is not a time from 1980 to 2100", epoch),
			"set it to seconds since 1970, or unset it for the time of the commit"}
	}
	r.date = time.Unix(seconds, 0).UTC()
	return nil
}

// git returns what git prints about the tree.
func (r *release) git(ctx context.Context, arguments ...string) (string, error) {
	out, err := output(ctx, r.root, nil, "git", arguments...)
	return strings.TrimSpace(string(out)), err
}

// output runs a command in a folder, with variables added to the environment, and returns
// what it prints. The error has what it prints to standard error.
func output(ctx context.Context, dir string, env []string, name string, arguments ...string) ([]byte, error) {
	c := exec.CommandContext(ctx, name, arguments...)
	c.Dir = dir
	c.Env = append(os.Environ(), env...)
	var problems bytes.Buffer
	c.Stderr = &problems
	out, err := c.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(arguments, " "), err, &problems)
	}
	return out, nil
}

func (r *release) say(format string, arguments ...any) {
	fmt.Fprintf(r.log, "release: "+format+"\n", arguments...)
}
