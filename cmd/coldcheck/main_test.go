package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/fixtures/testcases"
	"github.com/coldcheck/coldcheck/internal/testenv"
)

var update = flag.Bool("update", false, "write the expected output in the scripts, the docs and the README again")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"coldcheck": main})
}

// Each file of testdata/script is a behavior of the command, with its reason
// above each case. In addition to the commands of testscript there are
//
//	exits CODE COMMAND…   runs a command that ends with that exit code
//	image CASE ROLE FILE  writes an image of a case as a sparse file
//	poke FILE OFFSET TEXT writes bytes into a file, as strconv.Unquote reads them
//	cut FILE SIZE         makes a file shorter, or longer by zeros
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		ContinueOnError:     true,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"image": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(writeImage(testcases.Find(t, args[0]), args[1], ts.MkAbs(args[2])))
			},
			"poke": poke,
			"cut": func(ts *testscript.TestScript, _ bool, args []string) {
				size, err := strconv.ParseInt(args[1], 0, 64)
				ts.Check(err)
				ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
			},
		},
		Condition: func(name string) (bool, error) {
			if name != "strict" { // a script that lacks a tool fails instead of being skipped
				return false, errors.New("unknown condition")
			}
			return testenv.Strict(), nil
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("NO_COLOR", "")
			return nil
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func poke(ts *testscript.TestScript, _ bool, args []string) {
	offset, err := strconv.ParseInt(args[1], 0, 64)
	ts.Check(err)
	text, err := strconv.Unquote(`"` + args[2] + `"`)
	ts.Check(err)
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_WRONLY|os.O_CREATE, 0o666)
	ts.Check(err)
	_, err = f.WriteAt([]byte(text), offset)
	ts.Check(errors.Join(err, f.Close()))
}

// next is where an unpacked image goes on that is not a hole.
func next(image io.ReaderAt, at int64) int64 {
	return image.(interface{ Next(int64) int64 }).Next(at)
}

// writeImage writes an image of a case as a file with holes where it is zero for
// long.
func writeImage(c fixtures.Case, role, name string) error {
	for _, image := range c.Images {
		if image.Role != role {
			continue
		}
		r, err := image.Open()
		if err != nil {
			return err
		}
		f, err := os.Create(name)
		if err != nil {
			return err
		}
		defer f.Close()
		block := make([]byte, 256<<10)
		for at := next(r, 0); at < image.Size; at = next(r, at+int64(len(block))) {
			n := min(int64(len(block)), image.Size-at)
			if _, err := r.ReadAt(block[:n], at); err != nil {
				return err
			}
			if _, err := f.WriteAt(block[:n], at); err != nil {
				return err
			}
		}
		return f.Truncate(image.Size)
	}
	return errors.New("the case " + c.Name + " has no " + role + " image")
}
