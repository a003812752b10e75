package linux

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/packages"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var pathsProtected = entry{
	Requirement: require(requirement.Recommended, "linux.paths.protected",
		"The files and folders that the service needs must not be removed or changed.", "Required service components",
		explanation{
			Reads: "Every path that AWS lists for the distribution: whether it exists. With dpkg also the MD5 sums of the " +
				"packages, for programs and units in these paths.",
			Live: "ls -ld /etc/dcv /etc/wsp /usr/lib/skylight; on Ubuntu also 'dpkg --verify'",
			Fix:  "Restore the path from a backup or from its package. If that fails, rebuild the WorkSpace.",
			Doubts: "AWS lists the paths for each distribution, but not for each version. Folders of logs may be missing. Of " +
				"rpm packages the content of files is not compared.",
		}),
	Judge: (*Machine).decideProtected,
}

// protectedList is what AWS lists for one distribution.
type protectedList struct {
	// required are the paths that must exist.
	required []string
	// optional are paths that are named, and whose absence means nothing: folders of logs,
	// and paths that the distribution does not have.
	optional []string
	// together are paths of a component that the machine may not have: they are required if
	// one of them exists.
	together []string
}

// Paths that several lists have.
var (
	dcvPaths = []string{
		"/etc/dcv", "/etc/wsp", "/etc/pam.d/dcv", "/etc/pam.d/dcv-graphical-sso", "/etc/os-release", "/usr/share/X11",
		"/etc/systemd/system/euc-analytic-agent.service", "/usr/bin/euc-analytics-agent", "/usr/lib/skylight",
		"/usr/lib/systemd/system/dcvserver.service", "/usr/lib/systemd/system/dcvsessionlauncher.service",
		"/usr/lib/systemd/system/skylight-agent.service", "/usr/lib/systemd/system/wspdcvhostadapter.service",
	}
	xdcvPaths = []string{
		"/usr/lib/systemd/system/xdcv-console.path", "/usr/lib/systemd/system/xdcv-console.service",
		"/usr/lib/systemd/system/xdcv-console-update.service",
	}
	redHatLogs = []string{"/var/log/eucanalytics", "/var/log/skylight", "/var/log/AmazonWorkSpaces"}
)

// protectedPaths are the lists of AWS by the ID of os-release. That of Ubuntu names
// /lib64/security, which Ubuntu does not have: its folder is /lib/x86_64-linux-gnu/security.
var protectedPaths = map[string]protectedList{
	"ubuntu": {
		required: slices.Concat(dcvPaths, []string{
			"/etc/X11/default-display-manager", "/etc/default/grub.d/zz-hibernation.cfg", "/etc/netplan",
			"/etc/sssd/sssd.conf", "/var/lib/skylight",
		}),
		optional: []string{"/lib64/security/pam_self.so", "/var/log/AmazonWorkSpaces", "/var/log/eucanalytics"},
	},
	"rocky": {required: slices.Concat(dcvPaths, xdcvPaths, []string{"/var/lib/skylight"}), optional: redHatLogs},
	"rhel":  {required: slices.Concat(dcvPaths, xdcvPaths), optional: redHatLogs},
	"amzn": {
		required: slices.Concat([]string{skylightFolder, "/var/lib/skylight",
			"/usr/lib/systemd/system/skylight-agent.service", "/etc/systemd/system/euc-analytic-agent.service",
			"/usr/bin/euc-analytics-agent"}, systemPaths),
		optional: []string{"/var/log/AmazonWorkSpaces", "/var/logs/wsp", "/var/log/eucanalytics"},
		together: append([]string{"/usr/sbin/pcoip-agent"}, pcoipPaths...),
	},
}

// States of a protected path.
const (
	protectedPresent    = "present"
	protectedMissing    = "missing"
	protectedChanged    = "changed"
	protectedUnreadable = "unreadable"
)

// protectedPath is a row of the details of linux.paths.protected.
type protectedPath struct {
	Path     string `json:"path"`
	State    string `json:"state"`
	Optional bool   `json:"optional,omitempty"`
	Package  string `json:"package,omitempty"` // whose checksum was compared
	Error    string `json:"error,omitempty"`

	evidence requirement.Evidence
	cause    error // of Error
}

func (m *Machine) decideProtected() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return unreadable(err)
	}
	list, ok := protectedPaths[s.ID]
	if !ok || s.ID == "amzn" && !s.pcoipIsOffered() {
		return requirement.Skip("AWS lists no protected paths for "+s.Name+".", s.Evidence)
	}
	rows := m.protectedRows(list.required, false)
	together := m.protectedRows(list.together, false)
	if slices.ContainsFunc(together, func(r protectedPath) bool { return r.State != protectedMissing }) {
		rows = append(rows, together...)
	}
	return judgeProtected(append(rows, m.protectedRows(list.optional, true)...))
}

func (m *Machine) protectedRows(paths []string, optional bool) []protectedPath {
	var rows []protectedPath
	for _, p := range paths {
		row := protectedPath{Path: p, State: protectedPresent, Optional: optional}
		f, err := m.tree.file(p)
		row.evidence = f.Evidence
		switch {
		case err != nil:
		case !f.Exists:
			row.State = protectedMissing
		case !f.Dir:
			err = m.verify(p, f, &row)
		}
		if err != nil {
			row.State, row.Error, row.cause = protectedUnreadable, err.Error(), err
		}
		rows = append(rows, row)
	}
	return rows
}

// maxOwners is how many packages that own a path are looked at. A file has one, a folder
// may have many.
const maxOwners = 4

// maxVerified bounds a file whose content is compared, in bytes. Larger ones are only
// looked for.
const maxVerified = 64 << 20

// verify compares a file with the sum that dpkg has of it, if it has one.
func (m *Machine) verify(p string, f File, row *protectedPath) error {
	db, err := m.Packages()
	if err != nil || db.Kind() != packages.DPKG || f.Size > maxVerified {
		return nil // component rules report a database that cannot be read
	}
	for _, name := range []string{p, f.real} { // packages name a file in /usr/lib as in /lib, too
		owners, err := db.Owners(name)
		if err != nil {
			return packagesError(err)
		}
		for _, owner := range owners[:min(len(owners), maxOwners)] {
			if !owner.IsInstalled() {
				continue
			}
			want, ok, err := packages.MD5Sum(treeFS{&m.tree}, owner, name)
			if err != nil {
				return packagesError(err)
			}
			if !ok {
				continue // a file of configuration, or a package without sums
			}
			data, read, err := m.tree.read(p, maxVerified)
			if err != nil {
				return err
			}
			got := md5.Sum(data)
			row.Package, row.evidence = owner.Name, read.Evidence
			if hex.EncodeToString(got[:]) != want {
				row.State = protectedChanged
			}
			return nil
		}
	}
	return nil
}

// judgeProtected decides linux.paths.protected.
func judgeProtected(rows []protectedPath) requirement.Outcome {
	var missing, changed, unread []string
	var evidence []requirement.Evidence
	var subjects []requirement.Subject
	var cause error
	verified := 0
	for _, r := range rows {
		if r.Package != "" {
			verified++
		}
		switch {
		case r.State == protectedChanged:
			changed = append(changed, fmt.Sprintf("%s (package %s)", r.Path, r.Package))
			evidence = append(evidence, noted(r.evidence, "its MD5 sum is not that of the package"))
			subjects = append(subjects, fileSubject(r.evidence, requirement.ReasonDamaged))
		case r.Optional:
		case r.State == protectedMissing:
			missing = append(missing, r.Path)
			evidence = append(evidence, r.evidence)
			subjects = append(subjects, fileSubject(r.evidence, requirement.ReasonMissing))
		case r.State == protectedUnreadable:
			unread = append(unread, r.Path)
			cause = joinErrors(cause, r.cause)
		}
	}
	var sentences []string
	for _, part := range []struct {
		list      []string
		one, many string
	}{{missing, "protected path is missing", "protected paths are missing"},
		{changed, "protected file was changed", "protected files were changed"}} {
		if n := len(part.list); n > 0 {
			sentences = append(sentences, prose.Count(n, part.one, part.many)+": "+prose.Some(part.list)+".")
		}
	}
	var o requirement.Outcome
	switch {
	case len(sentences) > 0:
		o = requirement.Warn(strings.Join(sentences, " "), evidence...).About(subjects...)
		if len(unread) > 0 {
			o = o.Also("Cannot read " + prose.Some(unread) + ".")
		}
	case len(unread) > 0:
		o = unreadable(cause)
	default:
		ev := volumeEvidence("root")
		ev.Note = "every path of the list was checked"
		o = requirement.Pass(fmt.Sprintf("All %d protected paths exist.", required(rows)), ev)
		if verified > 0 {
			o = o.Also(prose.Count(verified, "file has", "files have") + " the content of the package.")
		}
	}
	o.Details = rows
	return o
}

// required counts the paths that must exist.
func required(rows []protectedPath) (n int) {
	for _, r := range rows {
		if !r.Optional {
			n++
		}
	}
	return n
}
