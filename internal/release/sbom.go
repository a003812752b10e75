package main

import (
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
	"github.com/CycloneDX/cyclonedx-gomod/pkg/generate/bin"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// bomName is the name of the bill of materials for a platform.
func (r *release) bomName(p platform) string {
	return fmt.Sprintf("coldcheck_%s_%s.cdx.json", r.number, p)
}

// writeBOM writes the bill of materials of a program in CycloneDX.
func (r *release) writeBOM(out string, b *build) error {
	bom, err := r.bom(b)
	if err != nil {
		return err
	}
	return create(filepath.Join(out, r.bomName(b.platform)), func(w io.Writer) error {
		return cdx.NewBOMEncoder(w, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom)
	})
}

// bom is the bill of materials that cyclonedx-gomod makes of a program, with the names of
// the licenses. Its number and its time depend on the program and the commit only.
func (r *release) bom(b *build) (*cdx.BOM, error) {
	g, err := bin.NewGenerator(b.path, bin.WithLogger(zerolog.Nop()), bin.WithIncludeStdlib(true),
		bin.WithVersionOverride(r.version))
	if err != nil {
		return nil, err
	}
	bom, err := g.Generate()
	if err != nil {
		return nil, err
	}
	digest, err := sha256Of(b.path)
	if err != nil {
		return nil, err
	}
	bom.SerialNumber = uuid.NewSHA1(uuid.NameSpaceURL, []byte(project+"#"+digest)).URN()
	bom.Metadata.Timestamp = r.date.Format(time.RFC3339)
	bom.Metadata.Tools = &cdx.ToolsChoice{Components: &[]cdx.Component{{
		Type: cdx.ComponentTypeApplication, Name: "cyclonedx-gomod",
		Version: versionOf("github.com/CycloneDX/cyclonedx-gomod"),
	}}}
	bom.Metadata.Component.Licenses = &cdx.Licenses{{License: &cdx.License{ID: license}}}
	bom.Metadata.Component.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: digest}}
	if bom.Components == nil || len(*bom.Components) != len(b.modules) {
		return nil, fmt.Errorf("the bill of materials for %s has not the %d modules of the program", b, len(b.modules))
	}
	for i := range *bom.Components {
		c := &(*bom.Components)[i]
		at := slices.IndexFunc(b.modules, func(m module) bool { return m.path == c.Name })
		if at < 0 {
			return nil, fmt.Errorf("the bill of materials for %s has %s, which is not linked", b, c.Name)
		}
		c.Licenses = &cdx.Licenses{licenseChoice(b.modules[at].licenses)}
	}
	return bom, nil
}

// versionOf returns the version of a module that this program contains.
func versionOf(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	i := slices.IndexFunc(info.Deps, func(d *debug.Module) bool { return d.Path == path })
	if i < 0 {
		return ""
	}
	return info.Deps[i].Version
}

// licenseChoice names licenses that all apply.
func licenseChoice(names []string) cdx.LicenseChoice {
	if len(names) == 1 {
		return cdx.LicenseChoice{License: &cdx.License{ID: names[0]}}
	}
	return cdx.LicenseChoice{Expression: strings.Join(names, " AND ")}
}
