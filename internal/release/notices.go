package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/google/licensecheck"
)

// module is a module that is linked into the program, or the standard library.
type module struct {
	path, version string
	sum           string // "h1:…", "" for the standard library
	licenses      []string
	texts         []licenseText // of licenses, notices and patents
}

type licenseText struct {
	name string // relative to the module
	text string
}

// standardLibrary is the path of the standard library in bills of materials.
const standardLibrary = "std"

// listed is what go list prints about a package.
type listed struct {
	Dir    string
	Module *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path string }
	}
}

// linked returns the modules of a program: those of the packages that go list names, which
// must be the ones that the linker wrote into the program.
func (r *release) linked(ctx context.Context, b *build) ([]module, error) {
	modules, err := listModules(ctx, r.source, b.platform)
	if err != nil {
		return nil, err
	}
	written := map[string]*debug.Module{standardLibrary: {Version: b.info.GoVersion}}
	for _, d := range b.info.Deps {
		written[d.Path] = d
	}
	for i := range modules {
		m := &modules[i]
		d := written[m.path]
		if d == nil || d.Version != m.version {
			return nil, fmt.Errorf("the program for %s does not contain %s %s, which it needs", b, m.path, m.version)
		}
		m.sum = d.Sum
	}
	if len(written) != len(modules) {
		return nil, fmt.Errorf("the program for %s contains %d modules, and needs %d", b, len(written), len(modules))
	}
	return modules, nil
}

// listModules returns the modules that the program needs on a platform, in the order of
// their paths, with the texts of their licenses: those of the module, and of every folder
// above a package that is needed.
func listModules(ctx context.Context, source string, p platform) ([]module, error) {
	out, err := output(ctx, source, p.buildEnv(), "go", "list", "-deps", "-json=Dir,Module",
		"./cmd/coldcheck")
	if err != nil {
		return nil, err
	}
	env, err := output(ctx, source, nil, "go", "env", "GOROOT", "GOVERSION")
	if err != nil {
		return nil, err
	}
	goroot, goversion, _ := strings.Cut(strings.TrimSpace(string(env)), "\n")
	std := module{path: standardLibrary, version: goversion}
	if err := std.readLicenses(goroot, []string{goroot}); err != nil {
		return nil, err
	}
	modules := []module{std}
	dirs := map[string]map[string]bool{} // folders by module
	roots := map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		m := p.Module
		if m == nil || m.Main {
			continue
		}
		if m.Replace != nil {
			return nil, fmt.Errorf("%s is replaced by %s: a release has no replaced modules", m.Path, m.Replace.Path)
		}
		if dirs[m.Path] == nil {
			dirs[m.Path], roots[m.Path] = map[string]bool{}, m.Dir
			modules = append(modules, module{path: m.Path, version: m.Version})
		}
		for dir := p.Dir; len(dir) >= len(m.Dir); dir = filepath.Dir(dir) {
			dirs[m.Path][dir] = true
		}
	}
	for i := range modules[1:] {
		m := &modules[1+i]
		if err := m.readLicenses(roots[m.path], slices.Sorted(maps.Keys(dirs[m.path]))); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.path, b.path) })
	return modules, nil
}

// legalFile matches the names of files with licenses, notices and grants of patents.
var legalFile = regexp.MustCompile(`(?i)^((un)?licen[sc]e|copying|copyright|notice|patents)([.-]\w+)*$`)

// readLicenses reads the texts in folders of a module, and names the licenses. A module
// without a license, or with one that has no name, is an error.
func (m *module) readLicenses(root string, dirs []string) error {
	names := map[string]bool{}
	for _, dir := range dirs {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if !e.Type().IsRegular() || !legalFile.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			text, err := os.ReadFile(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(root, filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			m.texts = append(m.texts, licenseText{filepath.ToSlash(relative), plainText(text)})
			for _, name := range licensesIn(text) {
				names[name] = true
			}
		}
	}
	m.licenses = slices.Sorted(maps.Keys(names))
	if len(m.texts) == 0 {
		return fmt.Errorf("%s %s has no license", m.path, m.version)
	}
	if len(m.licenses) == 0 {
		return fmt.Errorf("%s %s: the license in %s is unknown", m.path, m.version, m.texts[0].name)
	}
	return nil
}

// licensesIn returns the SPDX identifiers of the licenses whose texts are part of a text.
func licensesIn(text []byte) []string {
	var names []string
	for _, match := range licensecheck.Scan(text).Match {
		// A reference to a license is not its text. The patent grants of Google are not
		// licenses with an identifier.
		if !match.IsURL && match.ID != "GooglePatentsFile" && match.ID != "GooglePatentClause" {
			names = append(names, match.ID)
		}
	}
	return names
}

// plainText is a text with line feeds and without spaces at the ends of lines.
func plainText(text []byte) string {
	var b strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(string(text), "\r\n", "\n")) {
		b.WriteString(strings.TrimRight(line, " \t\n") + "\n")
	}
	return strings.Trim(b.String(), "\n") + "\n"
}

// notices is the text of THIRD_PARTY_NOTICES. Modules that have the same text share it.
func notices(modules []module) []byte {
	var b bytes.Buffer
	b.WriteString("coldcheck contains the following modules of others.\n\n")
	of := map[string][]string{} // where a text is
	var texts []string
	for _, m := range modules {
		fmt.Fprintf(&b, "%s %s (%s)\n", m.path, m.version, strings.Join(m.licenses, ", "))
		for _, t := range m.texts {
			if of[t.text] == nil {
				texts = append(texts, t.text)
			}
			of[t.text] = append(of[t.text], fmt.Sprintf("%s %s: %s", m.path, m.version, t.name))
		}
	}
	line := strings.Repeat("-", 80)
	for _, text := range texts {
		fmt.Fprintf(&b, "\n%s\n%s\n%s\n\n%s", line, strings.Join(of[text], "\n"), line, text)
	}
	return b.Bytes()
}
