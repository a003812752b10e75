package main

import (
	"bytes"
	_ "embed" // for the templates
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

//go:embed templates/homebrew.rb
var homebrew string

//go:embed templates/winget.yaml
var winget string

//go:embed templates/winget.installer.yaml
var wingetInstaller string

//go:embed templates/winget.locale.yaml
var wingetLocale string

// channel is what a manifest of a package manager says.
type channel struct {
	Project, Summary, License string
	Version, Date             string
	base                      string // of URLs
	names, sums               map[string]string
}

// URL is the URL of the archive for a platform, such as "linux_amd64".
func (c *channel) URL(platform string) string { return c.base + c.names[platform] }

// Sum is the SHA-256 of the archive for a platform.
func (c *channel) Sum(platform string) (string, error) {
	s, ok := c.sums[c.names[platform]]
	if !ok {
		return "", fmt.Errorf("there is no archive for %s", platform)
	}
	return s, nil
}

// UpperSum is Sum in upper case, as winget has it.
func (c *channel) UpperSum(platform string) (string, error) {
	s, err := c.Sum(platform)
	return strings.ToUpper(s), err
}

// writeChannels writes the manifests of package managers into a folder each.
func (r *release) writeChannels(out string, sums []sum) error {
	c := &channel{Project: project, Summary: strings.ToUpper(summary[:1]) + summary[1:], License: license,
		Version: r.number,
		Date:    r.date.Format(time.DateOnly), base: project + "/releases/download/" + r.version + "/",
		names: map[string]string{}, sums: map[string]string{}}
	for _, p := range r.targets {
		c.names[p.String()] = r.archiveName(p)
	}
	for _, s := range sums {
		c.sums[s.name] = s.sha256
	}
	for _, f := range []struct{ path, text string }{
		{"homebrew/coldcheck.rb", homebrew},
		{"winget/coldcheck.coldcheck.yaml", winget},
		{"winget/coldcheck.coldcheck.installer.yaml", wingetInstaller},
		{"winget/coldcheck.coldcheck.locale.en-US.yaml", wingetLocale},
	} {
		t, err := template.New(f.path).Parse(f.text)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, c); err != nil {
			return err
		}
		if err := writeBelow(out, f.path, b.Bytes()); err != nil {
			return err
		}
	}
	return r.writeScoop(out, c)
}

// writeScoop writes the manifest of Scoop.
func (r *release) writeScoop(out string, c *channel) error {
	type download struct {
		URL  string `json:"url"`
		Hash string `json:"hash,omitempty"`
	}
	const platform = "windows_amd64"
	hash, err := c.Sum(platform)
	if err != nil {
		return err
	}
	// Scoop replaces $version in what it makes of this for a later version.
	next := project + "/releases/download/v$version/" + strings.ReplaceAll(c.names[platform], r.number, "$version")
	text, err := json.MarshalIndent(map[string]any{
		"version": c.Version, "description": c.Summary, "homepage": project, "license": license, "bin": "coldcheck.exe",
		"architecture": map[string]download{"64bit": {c.URL(platform), hash}},
		"checkver":     "github",
		"autoupdate":   map[string]any{"architecture": map[string]download{"64bit": {URL: next}}},
	}, "", "    ")
	if err != nil {
		return err
	}
	return writeBelow(out, "scoop/coldcheck.json", append(text, '\n'))
}

// writeBelow writes a file into a folder below out, which is made.
func writeBelow(out, name string, data []byte) error {
	path := filepath.Join(out, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o666)
}
