// Package house holds the layers of the code base together: which package may
// import which, and what the libraries among them must not know. Its test
// checks the tree.
//
// Data flows one way, and each package knows only those before it:
//
//	scanner/source -> scanner/container -> scanner/disk -> ntfs, ext4, xfs -> scanner/volume, registry, evtx
//	  -> scanner/internal/windows, scanner/internal/linux -> scanner -> report -> cmd/coldcheck
package house

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// module is the path of the module that the rules are for.
const module = "github.com/coldcheck/coldcheck"

// everything, among the imports that a package may have, stands for all but
// those for tests.
const everything = "*"

// rules says for each package which others of the module its code may import.
// A name that ends in "/" stands for all packages below it. Tests are free. A
// new package needs a row.
var rules = map[string][]string{
	"cmd/coldcheck": {everything},
	"report": {"internal/dsse", "internal/parquet", "internal/prose", "scanner", "scanner/fleet",
		"scanner/requirement", "scanner/rules"},
	"report/remedy": {"report", "scanner/requirement"},
	"scanner": {
		"internal/inorder", "internal/kind", "internal/memory", "internal/parallel", "internal/prose",
		"scanner/requirement", "scanner/statement", "scanner/crosscheck", "scanner/source", "scanner/container",
		"scanner/disk", "scanner/rules", "scanner/rules/custom", "scanner/rules/facts",
		"scanner/volume", "scanner/internal/", "registry",
	},
	"scanner/fleet":       {"internal/kind", "internal/parallel", "internal/prose", "scanner", "scanner/source"},
	"scanner/requirement": {"internal/prose"},
	"scanner/rules":       {"scanner/requirement"},
	"scanner/rules/facts": {"scanner/requirement"},
	"scanner/rules/custom": {"internal/prose", "scanner/requirement", "scanner/internal/fact",
		"scanner/rules/facts"},
	"scanner/internal/windows": {"internal/fold", "internal/filetime", "internal/parallel",
		"internal/utf16le", "internal/prose", "scanner/rules/facts", "scanner/requirement",
		"scanner/statement", "scanner/internal/", "scanner/volume", "registry", "evtx"},
	"scanner/internal/windows/machine": {"internal/fold", "internal/kind", "internal/prose", "internal/filetime",
		"internal/utf16le", "scanner/internal/fact", "scanner/requirement", "scanner/statement", "scanner/volume",
		"registry", "evtx"},
	"scanner/internal/linux": {"internal/prose", "scanner/requirement", "scanner/statement", "scanner/internal/",
		"scanner/rules/facts"},
	"scanner/internal/packages": {"internal/kind", "scanner/internal/"},
	"scanner/internal/":         {"internal/kind", "internal/parallel", "internal/prose", "scanner/requirement"},
	"scanner/internal/mutate":   {"internal/utf16le", "internal/hivetest"},
	"scanner/statement":         {"internal/prose"},
	"scanner/crosscheck":        {"scanner/requirement", "scanner/disk", "internal/utf16le"},
	"scanner/disk":              {"internal/bounded", "internal/kind", "internal/opening", "internal/prose"},
	"scanner/source":            {"internal/bounded", "internal/buildinfo", "internal/inorder", "internal/kind"},
	"scanner/container": {"internal/bounded", "internal/kind", "internal/lru", "internal/parallel", "internal/prose",
		"scanner/source"},
	"scanner/volume": {
		"internal/fat", "internal/fslog", "internal/kind", "internal/opening", "internal/prose", "scanner/disk",
		"ntfs", "ext4", "xfs",
	},
	"ntfs": {"internal/fslog", "internal/kind", "internal/lru", "internal/opening", "internal/parallel",
		"internal/filetime"},
	"ext4": {"internal/bytename", "internal/fslog", "internal/kind", "internal/lru", "internal/opening",
		"internal/parallel", "internal/unixfs"},
	"xfs": {"internal/bytename", "internal/fslog", "internal/kind", "internal/lru", "internal/opening",
		"internal/parallel", "internal/unixfs"},
	"evtx":     {"internal/kind", "internal/opening", "internal/filetime", "internal/utf16le"},
	"registry": {"internal/kind", "internal/opening", "internal/parallel", "internal/filetime", "internal/utf16le"},

	"fixtures":                   {"fixtures/internal/library"},
	"fixtures/internal/casefile": {"scanner/requirement"},
	"fixtures/internal/library":  {"fixtures/internal/casefile", "fixtures/internal/pack", "scanner/requirement"},
	"fixtures/internal/pack":     {},
	"fixtures/make": {"fixtures/internal/casefile", "fixtures/internal/library", "fixtures/internal/pack",
		"internal/evtxtest", "internal/hivetest", "internal/filetime", "internal/loopdev", "internal/utf16le"},
	"fixtures/testcases": {"fixtures", "fixtures/internal/library"},

	"internal/bounded":             {},
	"internal/buildinfo":           {},
	"internal/bytename":            {},
	"internal/crashtest":           {"internal/testenv"},
	"internal/evtxtest":            {},
	"internal/dsse":                {},
	"internal/fold":                {},
	"internal/fat":                 {"internal/kind", "internal/utf16le"},
	"internal/fslog":               {},
	"internal/imgconform":          {"internal/testenv"},
	"internal/inorder":             {"internal/parallel"},
	"internal/kind":                {},
	"internal/loopdev":             {},
	"internal/lru":                 {},
	"internal/unixfs":              {"internal/bytename", "internal/kind", "internal/lru", "internal/parallel"},
	"internal/fsconform":           {"internal/bytename", "internal/kind", "internal/testenv"},
	"internal/bench":               {everything, "internal/hivetest", "internal/loopdev"},
	"internal/house":               {"internal/prose"},
	"internal/hivetest":            {"internal/testenv", "internal/utf16le"},
	"internal/mounttest":           {"internal/bytename", "internal/testenv", "internal/unixfs"},
	"internal/memory":              {"internal/kind", "internal/prose"},
	"internal/opening":             {},
	"internal/opening/openingtest": {},
	"internal/parallel":            {},
	"internal/parquet":             {},
	"internal/filetime":            {},
	"internal/utf16le":             {},
	"internal/prose":               {},
	"internal/remotetest":          {},
	"internal/testenv":             {"internal/loopdev"},

	"internal/release":               {},
	"internal/engines/manifest":      {},
	"internal/engines/jobcontroller": {"internal/engines/manifest"},

	"scanner/requirement/requirementtest": {"scanner/requirement"},
}

// forTests are packages that no program contains.
var forTests = []string{"internal/bench", "internal/crashtest", "internal/engines/manifest",
	"internal/engines/jobcontroller", "internal/fsconform", "internal/house",
	"internal/opening/openingtest",
	"internal/evtxtest", "internal/hivetest", "internal/imgconform", "internal/loopdev", "internal/mounttest",
	"internal/remotetest",
	"scanner/requirement/requirementtest",
	"scanner/internal/mutate", "internal/testenv", "fixtures/testcases"}

// outsiders are modules of others that only the named packages may import:
// parsers that hostile images can bring down stay behind guards, and what
// reaches the network stays in one place.
var outsiders = map[string][]string{
	"www.velocidex.com/golang/":    {"scanner/crosscheck", "internal/bench"},
	"github.com/diskfs/go-diskfs/": {"scanner/crosscheck", "internal/bench"},
	"github.com/aws/":              {"scanner/source", "internal/remotetest"},
	"github.com/johannesboyne/":    {"internal/remotetest"},
	"github.com/parquet-go/":       {},
	"cel.dev/":                     {"scanner/rules/custom"},
}

// parts are what of those modules may be imported elsewhere too: go-diskfs
// decodes the GPT, behind a bound of its size.
var parts = map[string]string{"github.com/diskfs/go-diskfs/partition/gpt": "scanner/disk"}

// libraries are of use to any program and know nothing of this one's subject.
var libraries = []string{
	"ntfs", "ext4", "xfs", "registry", "evtx", "scanner/source", "scanner/container", "scanner/disk",
	"scanner/internal/packages", "internal/unixfs", "internal/kind", "internal/fat",
}

// subject is the word that the libraries must not say.
const subject = "workspace"

// Check returns the violations of the rules in the module whose root is fsys.
func Check(fsys fs.FS) ([]string, error) {
	text := func(name string) bool {
		return (strings.HasSuffix(name, ".go") || strings.HasSuffix(name, ".md")) && !strings.HasSuffix(name, "_test.go")
	}
	var broken []string
	err := walk(fsys, text, func(name string, source []byte) error {
		broken = append(broken, checkWords(name, source)...)
		if strings.HasSuffix(name, ".go") {
			b, err := checkImports(name, source)
			if err != nil {
				return err
			}
			broken = append(broken, b...)
			if b, err = checkProse(name, source); err != nil {
				return err
			}
			broken = append(broken, b...)
		}
		return nil
	})
	return broken, err
}

// walk reads the files of the module that wanted selects, in the order of their
// names, without those of test data and of hidden folders.
func walk(fsys fs.FS, wanted func(name string) bool, look func(name string, source []byte) error) error {
	return fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if base := d.Name(); name != "." && (base == "testdata" || strings.HasPrefix(base, ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if !wanted(name) {
			return nil
		}
		source, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		return look(name, source)
	})
}

func checkWords(name string, source []byte) []string {
	library := slices.ContainsFunc(libraries, func(l string) bool { return strings.HasPrefix(name, l+"/") })
	if library && strings.Contains(strings.ToLower(string(source)), subject) {
		return []string{fmt.Sprintf("%s: a library that speaks of %q", name, subject)}
	}
	return nil
}

func checkImports(name string, source []byte) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
	if err != nil {
		return nil, err
	}
	dir := path.Dir(name)
	allowed, ok := rulesOf(dir)
	if !ok {
		return []string{fmt.Sprintf("%s: no rule for package %s", name, dir)}, nil
	}
	var broken []string
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
			if !slices.ContainsFunc(allowed, func(a string) bool { return covers(a, ours) }) {
				broken = append(broken, fmt.Sprintf("%s: %s may not import %s", name, dir, ours))
			}
		}
		for prefix, packages := range outsiders {
			if strings.HasPrefix(imported, prefix) && !slices.Contains(packages, dir) && parts[imported] != dir {
				broken = append(broken, fmt.Sprintf("%s: %s may not import %s", name, dir, imported))
			}
		}
	}
	return broken, nil
}

// rulesOf returns the packages that a package may import; its own row goes
// before one for all packages of the folder.
func rulesOf(dir string) ([]string, bool) {
	if allowed, ok := rules[dir]; ok {
		return allowed, true
	}
	allowed, ok := rules[path.Dir(dir)+"/"]
	return allowed, ok
}

// covers reports whether an entry of a row allows a package.
func covers(entry, imported string) bool {
	switch {
	case entry == everything:
		return !slices.Contains(forTests, imported)
	case strings.HasSuffix(entry, "/"):
		return strings.HasPrefix(imported, entry)
	}
	return entry == imported
}
