// Command release builds everything that a release consists of, into one folder: archives,
// packages, a container image, bills of materials, sums, provenance and the manifests of
// package managers. The same commit and version make the same files (docs/release.md).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stderr); err != nil {
		fmt.Fprintf(os.Stderr, "release: %v\n", err)
		var h hinter
		if errors.As(err, &h) {
			fmt.Fprintf(os.Stderr, "hint: %s\n", h.Hint())
		}
		stop()
		os.Exit(1)
	}
}

// hinter is an error that knows what to do.
type hinter interface{ Hint() string }

// refusal is the error for what makes a release impossible before it is built.
type refusal struct{ text, hint string }

func (r refusal) Error() string { return r.text }
func (r refusal) Hint() string  { return r.hint }

// options are what the command line says.
type options struct {
	root    string // the working tree
	dist    string // the folder for the release
	version string // with a leading v
	key     string // a file with a private key, or ""
	builder string // a URI
	log     io.Writer
}

// localBuilder is the builder in the provenance of a release that no service has built.
const localBuilder = project + "/blob/main/docs/release.md#local-builds"

func run(ctx context.Context, arguments []string, log io.Writer) error {
	o := options{log: log}
	f := flag.NewFlagSet("release", flag.ContinueOnError)
	f.SetOutput(log)
	f.StringVar(&o.root, "root", ".", "the `folder` of the clone")
	f.StringVar(&o.dist, "dist", "", "the `folder` for the release, dist in the clone unless it is set")
	f.StringVar(&o.version, "version", "", "the `version`, such as v1.2.3")
	f.StringVar(&o.key, "key", "", "sign the provenance with the private key in this PEM `file`")
	f.StringVar(&o.builder, "builder", localBuilder, "the `URI` of the builder in the provenance")
	if err := f.Parse(arguments); err != nil {
		return err
	}
	if f.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	if o.dist == "" {
		o.dist = filepath.Join(o.root, "dist")
	}
	r, err := check(ctx, o)
	if err != nil {
		return err
	}
	return r.make(ctx)
}
