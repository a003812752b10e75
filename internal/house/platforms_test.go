package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/go/packages"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// TestPlatforms checks the types of the module's packages on the platforms of releases, and of their tests where tests
// run on another system than Linux. It finds what does not compile there in a tenth of the time that compiling takes.
func TestPlatforms(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for i, platform := range []string{"windows/amd64", "linux/arm64", "darwin/arm64"} {
		t.Run(platform, func(t *testing.T) {
			testenv.Share(t, i, 3, 2)
			goos, goarch, _ := strings.Cut(platform, "/")
			loaded, err := packages.Load(&packages.Config{
				Mode: packages.NeedName | packages.NeedFiles | packages.NeedCompiledGoFiles | packages.NeedImports |
					packages.NeedDeps | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo,
				Dir: root, Tests: goos != "linux" && testenv.Full(),
				Env: append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch),
				ParseFile: func(fset *token.FileSet, name string, source []byte) (*ast.File, error) {
					file, err := parser.ParseFile(fset, name, source, parser.SkipObjectResolution)
					if file != nil && !strings.HasPrefix(name, root+string(filepath.Separator)) {
						withoutBodies(file)
					}
					return file, err
				},
			}, "./...")
			if err != nil {
				t.Fatal(err)
			}
			if len(loaded) < 20 {
				t.Errorf("%d packages", len(loaded))
			}
			packages.Visit(loaded, nil, func(p *packages.Package) {
				for _, err := range p.Errors {
					// What go test generates needs the bodies of functions.
					if strings.HasPrefix(p.PkgPath, module) && !strings.HasSuffix(p.PkgPath, ".test") {
						t.Error(err)
					}
				}
			})
		})
	}
}

// withoutBodies leaves only the declarations of a file.
func withoutBodies(file *ast.File) {
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			f.Body = nil
		}
	}
}
