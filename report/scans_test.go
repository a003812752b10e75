package report

import (
	"bytes"
	"context"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/fixtures"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// scans are the samples and scans of images that are built into the program:
// what the formats are made of in earnest.
func scans(t *testing.T) map[string]*scanner.Result {
	t.Helper()
	all := samples()
	real, err := realScans()
	if err != nil {
		t.Fatal(err)
	}
	for name, r := range real {
		all["case-"+name] = r
	}
	return all
}

var realScans = sync.OnceValues(func() (map[string]*scanner.Result, error) {
	all := map[string]*scanner.Result{}
	for _, name := range []string{"failing", "ready", "linux-failing", "bitlocker-user", "windows7"} {
		in, err := caseInput(name)
		if err != nil {
			return nil, err
		}
		if all[name], err = scanner.Scan(context.Background(), in); err != nil {
			return nil, err
		}
	}
	return all, nil
})

// caseInput is what a scan of a case is given.
func caseInput(name string) (scanner.Input, error) {
	in := scanner.Input{Now: func() time.Time { return fixtures.Now }}
	c, err := fixtures.Find(name)
	if err != nil {
		return in, err
	}
	for _, i := range c.Images {
		in.Images = append(in.Images, scanner.Source{Name: i.Name, Open: func(ctx context.Context) (*source.Source, error) {
			r, err := i.Open()
			if err != nil {
				return nil, err
			}
			return source.NewReader(ctx, i.Name, r, i.Size), nil
		}})
	}
	for _, d := range c.With {
		in.With = append(in.With, scanner.Document(d))
	}
	return in, nil
}

// scanCase scans a case with one more document, unless that is empty.
func scanCase(t *testing.T, name, document string) *scanner.Result {
	t.Helper()
	in, err := caseInput(name)
	if err != nil {
		t.Fatal(err)
	}
	if document != "" {
		in.With = append(in.With, scanner.Document{Name: "document.json", Data: []byte(document)})
	}
	r, err := scanner.Scan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// written is a report as bytes.
func written(t *testing.T, f func(w io.Writer, r *scanner.Result, o Options) error, r *scanner.Result) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f(&b, r, Options{Version: "v1.2.3", Commit: "0123abc", ExitCode: exitCode}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// files writes the scans in a format into a folder, for tools that read files,
// and returns their names in order.
func files(t *testing.T, format string) []string {
	t.Helper()
	f, ok := FormatNamed(format)
	if !ok {
		t.Fatalf("no format %s", format)
	}
	dir := t.TempDir()
	var names []string
	all := scans(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		file := filepath.Join(dir, name+"."+format)
		if err := os.WriteFile(file, written(t, f.Write, all[name]), 0o666); err != nil {
			t.Fatal(err)
		}
		names = append(names, file)
	}
	return names
}
