package linux

import (
	"fmt"
	"path"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var directoryJoin = entry{
	Requirement: require(requirement.Info, "linux.ad.sssd", "Shows how the system is joined to a directory.",
		"Manage Linux WorkSpaces", explanation{
			Reads: "/etc/sssd/sssd.conf and /etc/sssd/conf.d; /etc/samba/smb.conf for Winbind.",
			Live:  "sudo sssctl domain-list; on Amazon Linux 2 'wbinfo --own-domain'",
		}),
	Judge: (*Machine).decideDirectory,
}

// directory is how the system finds the users of a directory.
type directory struct {
	SSSD    []string // the domains, "corp.example.com (ad)"
	Winbind string   // the realm or the workgroup; "" if it is not used
	Looked  []requirement.Evidence
}

func (m *Machine) decideDirectory() requirement.Outcome {
	d, err := m.directory()
	if err != nil {
		return unreadable(err, d.Looked...)
	}
	return judgeDirectory(d)
}

// maxSnippets bounds the files in /etc/sssd/conf.d.
const maxSnippets = 100

// directory reads sssd.conf(5) with its snippets, and smb.conf(5).
func (m *Machine) directory() (directory, error) {
	var d directory
	settings := unitSections{}
	read := func(p string, into unitSections) error {
		data, f, err := m.tree.read(p, maxConfig)
		if err != nil {
			return err
		}
		d.Looked = append(d.Looked, f.Evidence)
		into.merge(parseUnit(string(data)))
		return nil
	}
	if err := read("/etc/sssd/sssd.conf", settings); err != nil {
		return d, err
	}
	snippets, _, err := m.tree.list("/etc/sssd/conf.d")
	if err != nil {
		return d, err
	}
	n := 0
	for _, e := range snippets {
		if e.IsDir() || !strings.HasSuffix(e.Name(), ".conf") || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if n++; n > maxSnippets {
			return d, fmt.Errorf("/etc/sssd/conf.d has more than %d files", maxSnippets)
		}
		if err := read(path.Join("/etc/sssd/conf.d", e.Name()), settings); err != nil {
			return d, err
		}
	}
	for _, name := range strings.FieldsFunc(settings.last("sssd", "domains"), func(r rune) bool {
		return r == ',' || r == ' '
	}) {
		if provider := settings.last("domain/"+name, "id_provider"); provider != "" {
			name += " (" + provider + ")"
		}
		d.SSSD = append(d.SSSD, name)
	}
	samba := unitSections{}
	if err := read("/etc/samba/smb.conf", samba); err != nil {
		return d, err
	}
	if strings.EqualFold(samba.last("global", "security"), "ads") {
		d.Winbind = samba.last("global", "realm")
		if d.Winbind == "" {
			d.Winbind = samba.last("global", "workgroup")
		}
	}
	return d, nil
}

// last is the value of a setting; of several, the last one counts.
func (s unitSections) last(section, name string) (value string) {
	for _, setting := range s[section] {
		if strings.EqualFold(setting[0], name) {
			value = setting[1]
		}
	}
	return value
}

// judgeDirectory reports linux.ad.sssd.
func judgeDirectory(d directory) requirement.Outcome {
	var sentences []string
	if len(d.SSSD) > 0 {
		sentences = append(sentences, "SSSD is configured for "+prose.Some(d.SSSD)+".")
	}
	if d.Winbind != "" {
		sentences = append(sentences, "Winbind is configured for "+d.Winbind+".")
	}
	if len(sentences) == 0 {
		sentences = []string{"Neither SSSD nor Winbind is configured for a domain."}
	}
	o := requirement.Pass(strings.Join(sentences, " "), d.Looked...)
	o.Details = map[string]any{"sssd_domains": append([]string{}, d.SSSD...), "winbind_domain": d.Winbind}
	return o
}
