package windows

import (
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

var profileLongPaths = entry{
	Requirement: recommended("win.profile.long-paths", "",
		"On Windows 7, folder paths in the profile should be shorter than 261 characters.", sectionTroubleshooting,
		explanation{
			Reads: "$MFT of the user volume: the path of every folder in the profile, in UTF-16 units with drive and " +
				"backslashes, as Windows counts.",
			Live: `Get-ChildItem D:\Users\username -Recurse -Force -Directory | Where-Object { $_.FullName.Length ` +
				`-gt 260 }`,
			Fix: "Rename the folders in the path, or move them closer to the profile's folder, until the path has at " +
				"most 260 characters.",
		}),
	Judge: (*Machine).decideLongPaths,
}

var profileLockedFiles = entry{
	Requirement: recommended("win.profile.locked-files", "",
		"On Windows 7, no process should lock a file in the profile.",
		sectionTroubleshooting, explanation{
			Reads: "Nothing. Only the running system knows which files are locked.",
			Live:  `openfiles /query, or Sysinternals handle.exe D:\Users\username`,
			Fix:   "Close all programs and sign out before you create the image.",
		}),
	Judge: func(m *Machine) requirement.Outcome {
		if o := m.onlySeven(); o != nil {
			return *o
		}
		return requirement.Unknown("The disk does not show which files are locked. Close all programs and sign out " +
			"before you create the image.")
	},
}

// A longPath is a folder of the profile whose path is too long.
type longPath struct {
	Path   string `json:"path"`
	Length int    `json:"length"` // in UTF-16 units
}

const (
	// maxFolderPath is how long the path of a folder may be, in UTF-16 units:
	// the document asks for less than 261.
	maxFolderPath = 260
	// maxNamed bounds the lists in details.
	maxNamed = 100
)

func (m *Machine) decideLongPaths() requirement.Outcome {
	if o := m.onlySeven(); o != nil {
		return *o
	}
	p, o := m.profileFolder()
	if o != nil {
		return *o
	}
	v, name := p.Drive, p.Name
	base := utf16Length(p.Profile.Path) + 1
	var long []longPath
	folders, tooLong, longest := 0, 0, base-1
	doubtful := int64(0)
	damaged, err := v.FS.Walk(name, func(path []byte, e *volume.Entry) error {
		if !e.Dir {
			return nil
		}
		if e.Doubt != nil {
			if base+utf16Length(path) > maxFolderPath {
				doubtful++
			}
			return nil
		}
		folders++
		length := base + utf16Length(path)
		longest = max(longest, length)
		if length > maxFolderPath {
			if tooLong++; len(long) < maxNamed {
				long = append(long, longPath{p.Profile.Path + `\` + strings.ReplaceAll(string(path), "/", `\`),
					length})
			}
		}
		return nil
	})
	ev := machine.TreeEvidence(machine.FoundEvidence(v.Role, name, true),
		fmt.Sprintf("%d folders, the longest path has %d characters", folders, longest))
	if err != nil {
		return requirement.Unreadable(v.Problem(name, err), ev)
	}
	return p.Inferred(judgeLongPaths(long, tooLong, longest, damaged+doubtful, ev))
}

// utf16Length is the length of a text in UTF-16 units.
func utf16Length[T string | []byte](s T) (n int) {
	for _, r := range string(s) {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

// judgeLongPaths decides win.profile.long-paths. long are the first of the
// paths that are too long, of which there are so many.
func judgeLongPaths(long []longPath, tooLong, longest int, damaged int64,
	ev requirement.Evidence) requirement.Outcome {
	switch {
	case tooLong > 0:
		paths := prose.Count(tooLong, "folder path has", "folder paths have")
		o := requirement.Warn(fmt.Sprintf("%s more than 260 characters; the longest has %d. The first is %s.", paths,
			longest, clipPath(long[0].Path)), ev).About(subjectOf(ev, requirement.ReasonValue))
		o.Details = long
		return o
	case damaged > 0:
		return requirement.Unknown(fmt.Sprintf("%s in the profile could not be read; a folder path may be too long.",
			prose.Count(int(damaged), "entry", "entries")), ev)
	}
	return requirement.Pass(fmt.Sprintf("The longest folder path in the profile has %d characters; 260 are allowed.",
		longest), ev)
}

// clipPath shows both ends of a path that is too long for a message.
func clipPath(path string) string {
	const most = 80
	r := []rune(path)
	if len(r) <= most {
		return path
	}
	return string(r[:most/2]) + "…" + string(r[len(r)-most/2:])
}
