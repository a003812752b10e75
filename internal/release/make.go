package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
)

// build is the program for a platform.
type build struct {
	platform
	path    string // of the program
	info    *buildinfo.BuildInfo
	modules []module // that are linked, in the order of their paths
	notices []byte
}

// manual is what the program writes about itself. It is the same on every platform.
type manual struct {
	man                         []byte
	bash, zsh, fish, powershell []byte
	license, changelog, readme  []byte
}

// make builds the release in a folder next to the final one, and renames it at the end: a
// failure leaves what was there.
func (r *release) make(ctx context.Context) error {
	if err := os.MkdirAll(filepath.Dir(r.dist), 0o777); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(r.dist), "."+filepath.Base(r.dist)+"-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	out := filepath.Join(work, "release")
	if err := os.Mkdir(out, 0o777); err != nil {
		return err
	}
	if err := r.clone(ctx, filepath.Join(work, "source")); err != nil {
		return err
	}
	if err := cmp.Or(r.fill(ctx, work, out), ctx.Err()); err != nil {
		return err
	}
	old := filepath.Join(work, "old")
	if err := os.Rename(r.dist, old); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Rename(out, r.dist); err != nil {
		return errors.Join(err, ignoreMissing(os.Rename(old, r.dist)))
	}
	r.say("%s is in %s", r.version, r.dist)
	return nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

// clone makes a clone in which the commit has the version as its only tag: the Go toolchain
// writes it into the program. The clone has no other files than the commit.
func (r *release) clone(ctx context.Context, source string) error {
	// Neither line ends nor hooks of the user's configuration change the files.
	_, err := r.git(ctx, "clone", "--quiet", "--shared", "--no-tags", "--no-checkout", "--config", "core.autocrlf=false",
		"--config", "core.hooksPath="+os.DevNull, r.root, source)
	if err != nil {
		return err
	}
	r.source = source
	for _, arguments := range [][]string{
		{"checkout", "--quiet", "--detach", r.commit},
		{"update-ref", "refs/tags/" + r.version, r.commit},
	} {
		if _, err := r.git(ctx, append([]string{"-C", source}, arguments...)...); err != nil {
			return err
		}
	}
	return nil
}

// fill writes the files of the release into a folder. Temporary files are in work.
func (r *release) fill(ctx context.Context, work, out string) error {
	var builds []*build
	for _, p := range r.targets {
		r.say("compiling for %s/%s", p.os, p.arch)
		b, err := r.compile(ctx, work, p)
		if err != nil {
			return err
		}
		builds = append(builds, b)
	}
	m, err := r.manual(ctx, work, builds)
	if err != nil {
		return err
	}
	r.say("packing")
	var tasks errgroup.Group
	tasks.SetLimit(runtime.GOMAXPROCS(0))
	for _, b := range builds {
		tasks.Go(func() error { return r.writeArchive(out, b, m) })
		tasks.Go(func() error { return r.writeBOM(out, b) })
		if b.os == "linux" {
			tasks.Go(func() error { return r.writePackages(work, out, b, m) })
		}
	}
	tasks.Go(func() error { return r.writeImage(work, out, builds, m) })
	if err := tasks.Wait(); err != nil {
		return err
	}
	sums, err := r.writeSums(out)
	if err != nil {
		return err
	}
	if err := r.writeChannels(out, sums); err != nil {
		return err
	}
	return r.writeProvenance(ctx, out, builds)
}

// buildFlags are the flags of go build. The linker writes neither symbols nor a build ID,
// which would differ from toolchain to toolchain.
func buildFlags() []string {
	return []string{"-trimpath", "-buildvcs=true", "-ldflags=-s -w -buildid="}
}

// buildEnv are the variables of go build. They replace settings that change the program, those
// of go env -w too, for which a variable must not be empty.
func (p platform) buildEnv() []string {
	return []string{"GOOS=" + p.os, "GOARCH=" + p.arch, "CGO_ENABLED=0", "GOAMD64=v1", "GOARM64=v8.0",
		"GOFIPS140=off", "GOFLAGS=-mod=readonly", "GOWORK=off"}
}

// maxProgram is the bound of the program's size on every platform, in bytes.
const maxProgram = 50_000_000

// compile builds the program for a platform, and checks what it is made of.
func (r *release) compile(ctx context.Context, work string, p platform) (*build, error) {
	b := &build{platform: p, path: filepath.Join(work, p.String(), p.program())}
	arguments := slices.Concat([]string{"build"}, buildFlags(), []string{"-o", b.path, "./cmd/coldcheck"})
	if _, err := output(ctx, r.source, p.buildEnv(), "go", arguments...); err != nil {
		return nil, err
	}
	file, err := os.Stat(b.path)
	if err != nil {
		return nil, err
	}
	if file.Size() > r.limit {
		return nil, fmt.Errorf("the program for %s has %d bytes, more than %d", p, file.Size(), r.limit)
	}
	if b.info, err = buildinfo.ReadFile(b.path); err != nil {
		return nil, err
	}
	if err := r.checkBuild(p, b.info); err != nil {
		return nil, err
	}
	if b.modules, err = r.linked(ctx, b); err != nil {
		return nil, err
	}
	b.notices = notices(b.modules)
	return b, nil
}

// checkBuild checks what the toolchain wrote into a program: the version, the commit, and that
// no setting changed the program.
func (r *release) checkBuild(p platform, info *buildinfo.BuildInfo) error {
	settings := map[string]string{}
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	version, revision, modified := info.Main.Version, settings["vcs.revision"], settings["vcs.modified"]
	if version != r.version || revision != r.commit || modified != "false" {
		return fmt.Errorf("the program for %s is of version %s and commit %s (modified: %s), not of %s and %s",
			p, version, revision, modified, r.version, r.commit)
	}
	for _, key := range []string{"GOEXPERIMENT", "-tags", "-gcflags"} {
		if value := settings[key]; value != "" {
			return fmt.Errorf("the program for %s was built with %s=%s", p, key, value)
		}
	}
	return nil
}

// manual runs the program, built for this machine, for what it writes about itself.
func (r *release) manual(ctx context.Context, work string, builds []*build) (*manual, error) {
	host := platform{runtime.GOOS, runtime.GOARCH}
	i := slices.IndexFunc(builds, func(b *build) bool { return b.platform == host })
	var program string
	if i >= 0 {
		program = builds[i].path
	} else {
		b, err := r.compile(ctx, work, host)
		if err != nil {
			return nil, err
		}
		program = b.path
	}
	m := &manual{}
	for _, page := range []struct {
		text      *[]byte
		arguments []string
	}{
		{&m.man, []string{"man"}},
		{&m.bash, []string{"completion", "bash"}},
		{&m.zsh, []string{"completion", "zsh"}},
		{&m.fish, []string{"completion", "fish"}},
		{&m.powershell, []string{"completion", "powershell"}},
	} {
		text, err := output(ctx, r.source, nil, program, page.arguments...)
		if err != nil {
			return nil, err
		}
		if len(text) == 0 {
			return nil, fmt.Errorf("coldcheck %s prints nothing", strings.Join(page.arguments, " "))
		}
		*page.text = text
	}
	for _, page := range []struct {
		text *[]byte
		name string
	}{{&m.license, "LICENSE"}, {&m.changelog, "CHANGELOG.md"}, {&m.readme, "README.md"}} {
		text, err := os.ReadFile(filepath.Join(r.source, page.name))
		if err != nil {
			return nil, err
		}
		*page.text = text
	}
	return m, nil
}

// sum is a file of the release and its SHA-256 in hex.
type sum struct{ name, sha256 string }

const sumsFile = "SHA256SUMS"

// writeSums writes the sums of all files that are there, as sha256sum does.
func (r *release) writeSums(out string) ([]sum, error) {
	sums, err := sumsOf(out)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	for _, s := range sums {
		fmt.Fprintf(&text, "%s  %s\n", s.sha256, s.name)
	}
	return sums, os.WriteFile(filepath.Join(out, sumsFile), []byte(text.String()), 0o666)
}

// sumsOf returns the sums of the files in a folder in the order of their names, without
// those in folders of it.
func sumsOf(dir string) ([]sum, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var sums []sum
	for _, e := range entries {
		if !e.Type().IsRegular() {
			continue
		}
		digest, err := sha256Of(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		sums = append(sums, sum{e.Name(), digest})
	}
	return sums, nil
}

func sha256Of(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
