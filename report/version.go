package report

import (
	_ "embed" // for VersionSchema
	"io"
	"time"
)

// VersionSchema is the JSON Schema of the output of VersionJSON. It refers to Schema.
//
//go:embed version.schema.json
var VersionSchema []byte

// Build is how the program was built.
type Build struct {
	Date     time.Time // of the commit; zero if it is not known
	Modified *bool     // the files were not those of the commit; nil if it is not known
	Go       string    // version of the Go toolchain
	OS, Arch string    // that the program is for, as Go names them
	CGO      bool      // the program may call C
	Trimpath bool      // the program does not contain paths of the machine that built it
}

// jsonTool has the fields of Build only if they are known.
type jsonTool struct {
	Name     string `json:"name"`
	Version  string `json:"version"`
	Commit   string `json:"commit,omitempty"`
	Date     string `json:"date,omitempty"`
	Modified *bool  `json:"modified,omitempty"`
	Go       string `json:"go,omitempty"`
	OS       string `json:"os,omitempty"`
	Arch     string `json:"arch,omitempty"`
	CGO      *bool  `json:"cgo,omitempty"`
	Trimpath *bool  `json:"trimpath,omitempty"`
}

// tool is the program that writes a report.
func (o Options) tool() jsonTool {
	t := jsonTool{Name: toolName, Version: o.Version, Commit: o.Commit}
	if b := o.Build; b != nil {
		t.Modified, t.Go, t.OS, t.Arch, t.CGO, t.Trimpath = b.Modified, b.Go, b.OS, b.Arch, &b.CGO, &b.Trimpath
		if !b.Date.IsZero() {
			t.Date = b.Date.UTC().Format(time.RFC3339)
		}
	}
	return t
}

// VersionJSON writes the version of the program as VersionSchema describes it. It has the
// fields that a report has in "tool".
func VersionJSON(w io.Writer, o Options) error {
	e := NewJSONEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		SchemaVersion int `json:"schema_version"`
		jsonTool
	}{schemaVersion, o.tool()})
}
