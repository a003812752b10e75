package house

import (
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// toys are additions made by tests to show how many places a change touches:
// each is a single test file with the complete addition and its row. A toy
// report format, for example, is a function and a row, and no other file
// mentions it.
var toys = map[string]string{
	"a filesystem":    "scanner/toyfs_test.go",
	"a container":     "scanner/container/toy_test.go",
	"a source":        "scanner/source/toy_test.go",
	"a requirement":   "scanner/toy_test.go",
	"a report format": "cmd/coldcheck/toy_test.go",
}

// Places returns what breaks the promise of the toys in the module whose root is
// fsys: a toy whose file is missing, and any other file in its folder, or file of
// the program, that speaks of a toy.
func Places(fsys fs.FS) ([]string, error) {
	var broken []string
	var files, folders []string
	for _, change := range slices.Sorted(maps.Keys(toys)) {
		file := toys[change]
		if _, err := fs.Stat(fsys, file); err != nil {
			broken = append(broken, fmt.Sprintf("%s: no toy: %v", change, err))
		}
		files = append(files, file)
		folders = append(folders, path.Dir(file))
	}
	wanted := func(name string) bool {
		test := strings.HasSuffix(name, "_test.go")
		beside := test && slices.Contains(folders, path.Dir(name))
		return strings.HasSuffix(name, ".go") && !slices.Contains(files, name) && (!test || beside) &&
			!strings.HasPrefix(name, "internal/house/")
	}
	err := walk(fsys, wanted, func(name string, source []byte) error {
		if strings.Contains(strings.ToLower(string(source)), "toy") {
			broken = append(broken, name+": speaks of a toy")
		}
		return nil
	})
	return broken, err
}
