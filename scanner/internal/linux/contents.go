package linux

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/fact"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var contentsRemoved = entry{
	Requirement: require(requirement.Info, "linux.contents.removed", "Lists what image creation removes from the volumes.",
		sectionIncluded, explanation{
			Reads: "Every path that the AWS page lists: whether it exists, and what in it belongs to no package and " +
				"would be lost. It includes scripts in /var/lib/cloud/scripts, and files in homes that differ from " +
				"/etc/skel. With --sizes also how many files and bytes are below folders with subfolders, for which " +
				"all inodes are read.",
			Live: "sudo du -sh /tmp /var/spool/mail /var/tmp /var/lib/dhcp /var/lib/cloud /var/cache /var/backups " +
				"/etc/sudoers.d /home",
		}),
	Terms: []string{"paths"},
	Judge: (*Machine).decideRemoved,
}

var contentsShredded = entry{
	Requirement: require(requirement.Info, "linux.contents.shredded", "Lists the keys that image creation shreds.",
		sectionIncluded, explanation{
			Reads: "Every key that the AWS page lists: whether it exists.",
			Live:  "sudo ls -l /etc/ssh/ssh_host_*_key* /var/lib/skylight/tls.* /var/lib/skylight/*.key",
		}),
	Terms: []string{"patterns"},
	Judge: (*Machine).decideShredded,
}

// customerPlaces are those of the list in which a customer keeps things of his
// own; files there without a package are theirs. The others have caches and
// state of the system, which need no backup.
var customerPlaces = []string{"/etc/sudoers.d", "/var/backups", "/var/cache", "/var/spool/mail"}

// cloudScripts are where cloud-init runs what a customer put there.
const cloudScripts = "/var/lib/cloud/scripts"

// A removed path is a row of the details of linux.contents.removed.
type removed struct {
	Path     string   `json:"path"`
	State    string   `json:"state"`             // "present", "absent", "volatile", "unreadable"
	Entries  int      `json:"entries,omitempty"` // directly in a folder
	Files    int64    `json:"files,omitempty"`
	Bytes    int64    `json:"bytes,omitempty"`
	Unsized  bool     `json:"not_counted,omitempty"`   // Files and Bytes are not known
	Customer []string `json:"customer,omitempty"`      // what no package owns, up to maxNamed
	More     int      `json:"customer_more,omitempty"` // how many more of it there are
	Target   string   `json:"target,omitempty"`        // of a link, which is removed itself
	Error    string   `json:"error,omitempty"`

	cause error // of Error
}

func (m *Machine) decideRemoved() requirement.Outcome {
	var rows []removed
	for _, p := range m.Terms.Texts("paths") {
		rows = append(rows, m.describeRemoved(p))
	}
	return judgeRemoved(rows)
}

func (m *Machine) describeRemoved(p string) removed {
	row := removed{Path: p, State: "absent"}
	failed := func(err error) removed {
		row.State, row.Error, row.cause = "unreadable", err.Error(), err
		return row
	}
	real, err := m.tree.resolve(p, false)
	var f File
	if err == nil {
		f, err = m.tree.link(p)
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && !f.Exists {
		if parent, err := m.tree.resolve(path.Dir(p), true); err == nil && inMemory(parent) ||
			strings.HasPrefix(p, "/var/lock/") {
			row.State = "volatile"
		}
		return row
	}
	if err != nil {
		return failed(err)
	}
	if inMemory(real) {
		row.State = "volatile"
		return row
	}
	row.State = "present"
	if f.Target != "" { // what it leads to stays
		row.Files, row.Bytes, row.Target = 1, int64(len(f.Target)), f.Target
		return row
	}
	if !f.Dir {
		row.Files, row.Bytes = 1, f.Size
	} else if err := m.count(real, &row); err != nil {
		return failed(err)
	}
	switch {
	case slices.Contains(customerPlaces, p):
		err = m.unowned(p, &row)
	case p == "/var/lib/cloud":
		for _, when := range []string{"per-boot", "per-instance", "per-once", "vendor"} {
			err = joinErrors(err, m.unowned(path.Join(cloudScripts, when), &row))
		}
	case p == "/home":
		err = m.ofUsers(&row)
	case p == "/etc/security/access.conf":
		row.Customer, err = m.editedAccess(p)
	}
	if err != nil {
		return failed(err)
	}
	return row
}

// count counts the files in a folder and adds up their sizes. Below subfolders it
// does so only if the input asks for it: that takes a pass over all inodes.
func (m *Machine) count(folder string, row *removed) error {
	entries, _, err := m.tree.list(folder)
	if err != nil {
		return err
	}
	row.Entries = len(entries)
	var t Totals
	if m.in.Sizes {
		t, err = m.tree.totals(folder)
	} else {
		t, row.Unsized = m.direct(folder, entries)
	}
	if err != nil {
		return err
	}
	if t.Damaged > 0 {
		return fmt.Errorf("it has %s", unreadableEntries(t))
	}
	if !row.Unsized {
		row.Files, row.Bytes = t.Files, t.Size
	}
	return nil
}

func unreadableEntries(t Totals) string {
	return prose.Count(int(t.Damaged), "unreadable entry", "unreadable entries")
}

// direct adds up the entries of a folder. more says that there is more below them.
func (m *Machine) direct(folder string, entries []fs.DirEntry) (t Totals, more bool) {
	v, _ := m.tree.at(folder)
	seen := map[uint64]bool{}
	more = m.tree.mountsBelow(folder)
	for _, e := range entries {
		info, err := e.Info()
		switch {
		case err != nil:
			t.Damaged++
			continue
		case info.IsDir():
			more = true
			continue
		}
		if v.Inode != nil { // a file with several names counts once
			if n := v.Inode(info); seen[n] {
				continue
			} else if n != 0 {
				seen[n] = true
			}
		}
		t.Files++
		if info.Mode().IsRegular() {
			t.Size += info.Size()
		}
	}
	return t, more
}

// maxEmpty is how many folders are listed to find a file in one of them, before all
// inodes are read for it.
const maxEmpty = 100

// holdsFile reports whether a file is anywhere below a folder.
func (m *Machine) holdsFile(folder string) (bool, error) {
	if !m.in.Sizes {
		left := []string{folder}
		for n := 0; len(left) > 0 && n < maxEmpty; n++ {
			entries, _, err := m.tree.list(left[0])
			if err != nil {
				return false, err
			}
			for _, e := range entries {
				if _, err := e.Info(); err != nil {
					return false, fmt.Errorf("%s has an unreadable entry: %w", left[0], err)
				}
				if !e.IsDir() {
					return true, nil
				}
				left = append(left, path.Join(left[0], e.Name()))
			}
			left = left[1:]
		}
		if len(left) == 0 {
			return false, nil
		}
	}
	t, err := m.tree.totals(folder)
	if err == nil && t.Files == 0 && t.Damaged > 0 {
		err = fmt.Errorf("%s has %s", folder, unreadableEntries(t))
	}
	return t.Files > 0, err
}

// customer adds a path that a customer would miss.
func (r *removed) customer(p string) {
	if len(r.Customer) >= maxNamed {
		r.More++
		return
	}
	r.Customer = append(r.Customer, p)
}

// ofUsers lists the direct entries of the homes that differ from /etc/skel
// (useradd(8)). Folders without a file are left out.
func (m *Machine) ofUsers(row *removed) error {
	homes, _, err := m.tree.list("/home")
	if err != nil {
		return err
	}
	for _, home := range homes {
		folder := path.Join("/home", home.Name())
		if !home.IsDir() {
			row.customer(folder)
			continue
		}
		entries, _, err := m.tree.list(folder)
		if err != nil {
			return err
		}
		for _, e := range entries {
			p := path.Join(folder, e.Name())
			if len(row.Customer) >= maxNamed {
				row.More++ // no need to look at it
				continue
			}
			f, err := m.tree.link(p)
			if err != nil {
				return err
			}
			if f.Dir {
				holds, err := m.holdsFile(p)
				if err != nil {
					return err
				}
				if !holds {
					continue
				}
			} else if skeleton, err := m.tree.link(path.Join("/etc/skel", e.Name())); err != nil {
				return err
			} else if skeleton.Exists && !skeleton.Dir && skeleton.Size == f.Size && skeleton.Target == f.Target {
				continue
			}
			row.customer(p)
		}
	}
	return nil
}

// unowned lists the direct entries of a folder that belong to no package and
// contain nothing that does. A link is listed itself.
func (m *Machine) unowned(folder string, row *removed) error {
	db, err := m.Packages()
	if err != nil {
		return err
	}
	entries, _, err := m.tree.list(folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		p := path.Join(folder, e.Name())
		if len(row.Customer) >= maxNamed {
			row.More++ // no need to look at it
			continue
		}
		owners, err := db.Owners(p)
		if err != nil {
			return packagesError(err)
		}
		if len(owners) == 0 && !systemMade[p] {
			row.customer(p)
		}
	}
	return nil
}

// systemMade are files that no package owns and the system makes by itself.
var systemMade = map[string]bool{
	"/etc/sudoers.d/90-cloud-init-users": true,
	"/var/cache/ldconfig":                true, "/var/cache/man": true, "/var/cache/yum": true, "/var/cache/dnf": true,
	"/var/cache/apt": true, "/var/cache/debconf": true,
	"/var/cache/fontconfig": true, "/var/cache/cups": true, "/var/cache/ibus": true, "/var/cache/PackageKit": true,
	"/var/cache/private": true, "/var/cache/motd-news": true,
	"/var/cache/app-info": true, "/var/cache/swcatalog": true, "/var/cache/snapd": true, "/var/cache/pollinate": true,
	"/var/cache/adduser": true, "/var/cache/dictionaries-common": true,
}

// editedAccess returns the lines of access.conf that are no comments: a new
// system has none.
func (m *Machine) editedAccess(p string) ([]string, error) {
	data, _, err := m.tree.read(p, maxConfig)
	if err != nil {
		return nil, err
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && len(lines) < maxNamed {
			lines = append(lines, line)
		}
	}
	return lines, nil
}

// judgeRemoved reports linux.contents.removed.
func judgeRemoved(rows []removed) requirement.Outcome {
	var bytes, files int64
	present, customer := 0, 0
	var unread, lost []string
	var first removed // that is unreadable
	several := false  // others have other errors
	unsized := false
	for _, r := range rows {
		switch r.State {
		case "present":
			present++
			unsized = unsized || r.Unsized
			bytes, files = bytes+r.Bytes, files+r.Files
			customer += len(r.Customer) + r.More
			if len(r.Customer) > 0 {
				lost = append(lost, r.Path)
			}
		case "unreadable":
			if len(unread) == 0 {
				first = r
			}
			several = several || r.Error != first.Error
			unread = append(unread, r.Path)
		}
	}
	ev := volumeEvidence("root")
	ev.Note = "every path of the list was checked"
	if len(unread) > 0 {
		o := requirement.Unknown("Cannot read "+prose.Some(unread)+".", ev)
		switch {
		case several:
			o = o.Also("the first error is: " + first.Error)
		case fact.IsMissing(first.cause):
			o.Message = prose.Sentence(first.Error)
		default:
			o = o.Also(first.Error)
		}
		o.Details = rows
		return o
	}
	what := fmt.Sprintf("Image creation removes %d of %d listed paths", present, len(rows))
	if unsized {
		what += "; --sizes counts their files"
	} else {
		what += fmt.Sprintf(", with %s (%s)", prose.Count(int(files), "file", "files"), prose.Size(bytes))
	}
	o := requirement.Pass(what+".", ev)
	if customer > 0 {
		in := " in " + prose.Some(lost)
		o = o.Also(prose.Count(customer, "entry"+in+" belongs to no package.", "entries"+in+" belong to no package."))
	}
	o.Details = rows
	return o
}

// A shredded key is a row of the details of linux.contents.shredded.
type shredded struct {
	Pattern string   `json:"pattern"`
	Files   []string `json:"files"`
}

func (m *Machine) decideShredded() requirement.Outcome {
	patterns := m.Terms.Texts("patterns")
	rows := make([]shredded, 0, len(patterns))
	var evidence []requirement.Evidence
	total := 0
	for _, pattern := range patterns {
		row := shredded{Pattern: pattern, Files: []string{}}
		entries, _, err := m.tree.list(path.Dir(pattern))
		if err != nil {
			return unreadable(err)
		}
		for _, e := range entries {
			if ok, _ := path.Match(path.Base(pattern), e.Name()); !ok {
				continue
			}
			f, err := m.tree.link(path.Join(path.Dir(pattern), e.Name()))
			if err != nil {
				return unreadable(err)
			}
			row.Files = append(row.Files, path.Join(path.Dir(pattern), e.Name()))
			evidence = append(evidence, f.Evidence)
			total++
		}
		rows = append(rows, row)
	}
	o := requirement.Pass(fmt.Sprintf("Image creation shreds %s.", prose.Count(total, "key", "keys")),
		evidence...)
	if total == 0 {
		o.Message = "No key that image creation shreds exists."
		ev := folderEvidence("root", "etc/ssh")
		ev.Note = "no key of the list exists"
		o.Evidence = []requirement.Evidence{ev}
	}
	o.Details = rows
	return o
}
