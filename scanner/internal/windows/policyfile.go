package windows

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/utf16le"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// policyFile is a Registry.pol of the local Group Policy. What it sets reaches
// the registry when the policy is next applied: the registry decides, and what
// differs is noted at its evidence.
type policyFile struct {
	Path    string // on the root volume
	Entries []registry.PolEntry
	Err     error // why there may be more of them; nil if all were read, or if there is no file
}

// maxPolicy bounds a policy file, in bytes: one with every setting that Windows
// has holds about one MiB.
const maxPolicy = 16 << 20

// policyFile reads the file of a class of policies, "Machine" or "User".
func (m *Machine) policyFile(class string) policyFile {
	data, f, err := m.ReadFile(`C:\`+m.SystemRoot+`\System32\GroupPolicy\`+class+`\Registry.pol`, maxPolicy)
	if err != nil || !f.Exists {
		return policyFile{Err: err}
	}
	p := policyFile{Path: f.Evidence.Path}
	if p.Entries, err = registry.ParsePol(data); err != nil {
		p.Err = fmt.Errorf("%s: %w", f.Evidence.Path, err)
	}
	return p
}

// compare notes at the evidence of a setting what the file says otherwise. key
// is as the file has it: below the root key, Software\Policies\….
func (p policyFile) compare(key, value string, ev *requirement.Evidence) {
	note := ""
	if p.Err != nil {
		note = "the policy file cannot be read: " + p.Err.Error()
	}
	for _, e := range p.Entries {
		if strings.EqualFold(e.Key, key) && strings.EqualFold(e.Value, value) {
			note = "" // the last one counts
			if data := policyData(e); ev.Type == "" || data != ev.Data {
				note = fmt.Sprintf("%s sets %s", p.Path, data)
			}
		}
	}
	if note != "" {
		ev.Note = strings.TrimPrefix(ev.Note+"; "+note, "; ")
	}
}

// policyData is the data of an entry as evidence shows it.
func policyData(e registry.PolEntry) string {
	switch {
	case e.Type == registry.DWord && len(e.Data) == 4:
		return fmt.Sprint(binary.LittleEndian.Uint32(e.Data))
	case e.Type == registry.SZ, e.Type == registry.ExpandSZ:
		text, _, _ := strings.Cut(utf16le.Decode(e.Data), "\x00")
		return text
	}
	return fmt.Sprintf("%x", e.Data[:min(len(e.Data), 64)])
}
