package windows

import (
	"fmt"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/volume"
)

var contents = entry{
	Requirement: informative("win.contents", "Lists what the image will include and what it leaves out.", sectionIncluded,
		explanation{
			Reads: `The space in use on drive C. The files of the user's profile, which the image leaves out on ` +
				`Windows 10 and later. On Windows 7 the folders of the profile that the image leaves out, as the ` +
				`documentation lists them.`,
			Live: `Get-Volume C, D; (Get-ChildItem D:\Users\username -Recurse -Force -File | Measure-Object Length ` +
				`-Sum).Sum`,
		}),
	Judge: (*Machine).decideContents,
}

// excludedSeven are the folders of a profile that an image of Windows 7 leaves
// out: the document's list, in its order.
var excludedSeven = []string{
	"Contacts", "Downloads", "Music", "Pictures", "Saved games", "Videos", "Podcasts", "Virtual machines",
	".virtualbox", "Tracing",
	`AppData\Local\Temp`,
	`AppData\Roaming\Apple Computer\MobileSync`,
	`AppData\Roaming\Apple Computer\Logs`,
	`AppData\Roaming\Apple Computer\iTunes\iPhone Software Updates`,
	`AppData\Roaming\Macromedia\Flash Player\macromedia.com\support\flashplayer\sys`,
	`AppData\Roaming\Macromedia\Flash Player\#SharedObjects`,
	`AppData\Roaming\Adobe\Flash Player\AssetCache`,
	`AppData\Roaming\Microsoft\Windows\Recent`,
	`AppData\Roaming\Microsoft\Office\Recent`,
	`AppData\Roaming\Microsoft Office\Live Meeting`,
	`AppData\Roaming\Microsoft Shared\LiveMeeting Shared`,
	`AppData\Roaming\Mozilla\Firefox\Crash Reports`,
	`AppData\Roaming\McAfee\Common Framework`,
	`AppData\Local\Microsoft\Feeds Cache`,
	`AppData\Local\Microsoft\Windows\Temporary Internet Files`,
	`AppData\Local\Microsoft\Windows\History`,
	`AppData\Local\Microsoft\Internet Explorer\DOMStore`,
	`AppData\Local\Microsoft\Internet Explorer\ImageStore`,
	`AppData\LocalLow\Microsoft\Internet Explorer\IconCache`,
	`AppData\LocalLow\Microsoft\Internet Explorer\DOMStore`,
	`AppData\LocalLow\Microsoft\Internet Explorer\ImageStore`,
	`AppData\Local\Microsoft\Internet Explorer\Recovery`,
	`AppData\Local\Mozilla\Firefox\Profiles`,
}

// A part is something that the image includes or leaves out.
type part struct {
	Path     string `json:"path"`
	Included bool   `json:"included"`
	State    string `json:"state"` // "present", "absent"
	Files    int64  `json:"files,omitempty"`
	Bytes    int64  `json:"bytes,omitempty"` // of files; of drive C what is in use
}

// imageContents is what the image will hold.
type imageContents struct {
	Volume   int64 // size of the root volume, in bytes: no bundle of the image can have a smaller one
	Used     int64 // of it
	Profile  string
	Left     []part // what is left out
	Kept     *part  // the user's profile, where the image includes it
	Evidence []requirement.Evidence
}

func (m *Machine) decideContents() requirement.Outcome {
	c, err := m.readContents()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return reportContents(c)
}

func (m *Machine) readContents() (imageContents, error) {
	var c imageContents
	s, err := m.System()
	if err != nil {
		return c, err
	}
	if !s.Modern() && !s.Seven() {
		return c, fmt.Errorf("AWS does not document what an image of %s includes", s.Name())
	}
	root := m.Drive("C")
	usage, err := m.Usage()
	if err != nil {
		return c, err
	}
	c.Volume, c.Used = usage.Size, usage.Used
	c.Evidence = append(c.Evidence, root.BitmapEvidence(fmt.Sprintf("%d bytes in use of %d", c.Used, c.Volume)))
	w, err := m.Wanted()
	if err != nil {
		return c, err
	}
	if w.Profile == nil {
		return c, errNoUser
	}
	if c.Profile = w.Profile.Path; c.Profile == "" {
		return c, errNoPath
	}
	drive, _, err := m.Follow(c.Profile)
	if err != nil {
		return c, err
	}
	profile, ev, err := m.part(c.Profile)
	if err != nil {
		return c, err
	}
	c.Evidence = append(c.Evidence, ev)
	switch {
	case drive == "C": // and so it is in what C includes
		return c, nil
	case s.Modern():
		c.Left = append(c.Left, profile)
		return c, nil
	}
	profile.Included = true
	for _, folder := range excludedSeven {
		out, ev, err := m.part(c.Profile + `\` + folder)
		if err != nil {
			return c, err
		}
		if out.State == "present" {
			c.Evidence = append(c.Evidence, ev)
		}
		profile.Files, profile.Bytes = profile.Files-out.Files, profile.Bytes-out.Bytes
		c.Left = append(c.Left, out)
	}
	c.Kept = &profile
	return c, nil
}

// part adds up a folder, which need not exist. It does not follow links.
func (m *Machine) part(win string) (part, requirement.Evidence, error) {
	p := part{Path: win, State: "absent"}
	v, name, err := m.locateItself(win)
	if err != nil {
		return p, requirement.Evidence{}, err
	}
	f, err := v.File(name)
	if err != nil || !f.Exists {
		return p, f.Evidence, err
	}
	p.State = "present"
	t, err := v.FS.Tree(name)
	if err != nil {
		return p, f.Evidence, v.Problem(name, err)
	}
	if t.Damaged > 0 {
		return p, f.Evidence, fmt.Errorf("%s volume: %s: %s could not be read", v.Role, name,
			prose.Count(int(t.Damaged), "entry", "entries"))
	}
	p.Files, p.Bytes = t.Files, t.Size
	f.Evidence = machine.TreeEvidence(f.Evidence, totalsText(t))
	if t.Doubtful > 0 {
		f.Evidence.Note = fmt.Sprintf("excludes %s in doubt, %d bytes",
			prose.Count(int(t.Doubtful), "name", "names"), t.DoubtfulSize)
	}
	return p, f.Evidence, nil
}

// roundedSize is a size for a message, which gives no exact number of bytes.
func roundedSize(bytes int64) string {
	switch {
	case bytes == 0:
		return "0 MiB"
	case bytes < 1<<20:
		return "under 1 MiB"
	}
	return prose.GiB(bytes)
}

// totalsText says how much a folder holds.
func totalsText(t volume.Tree) string {
	return fmt.Sprintf("%s, %d bytes", prose.Count(int(t.Files), "file", "files"), t.Size)
}

// locateItself is locate for the name itself: a link at its end is not
// followed.
func (m *Machine) locateItself(win string) (*machine.Drive, string, error) {
	i := strings.LastIndexByte(win, '\\')
	v, folder, err := m.Locate(win[:i])
	if err != nil {
		return nil, "", err
	}
	return v, folder + "/" + win[i+1:], nil
}

// reportContents reports win.contents.
func reportContents(c imageContents) requirement.Outcome {
	included := fmt.Sprintf("The image includes drive C (%s in use)", roundedSize(c.Used))
	parts := []part{{Path: `C:\`, Included: true, State: "present", Bytes: c.Used}}
	if c.Kept != nil {
		parts = append(parts, *c.Kept)
		included += fmt.Sprintf(" and %s of %s (%s)", prose.Count(int(c.Kept.Files), "file", "files"), c.Kept.Path,
			roundedSize(c.Kept.Bytes))
	}
	var files, bytes int64
	present := 0
	for _, p := range c.Left {
		files, bytes = files+p.Files, bytes+p.Bytes
		if p.State == "present" {
			present++
		}
	}
	var left string
	switch {
	case c.Kept != nil:
		left = fmt.Sprintf("It leaves out %s (%s) in %d of the %d folders that AWS lists",
			prose.Count(int(files), "file", "files"), roundedSize(bytes), present, len(c.Left))
	case len(c.Left) > 0 && present == 0:
		left = fmt.Sprintf("It would leave out the profile %s, which does not exist", c.Profile)
	case len(c.Left) > 0:
		left = fmt.Sprintf("It leaves out the profile %s (%s, %s)", c.Profile,
			prose.Count(int(files), "file", "files"), roundedSize(bytes))
	default:
		included += fmt.Sprintf(" and the profile %s on it", c.Profile)
	}
	o := requirement.Pass(included, c.Evidence...)
	if left != "" {
		o = o.Also(left)
	}
	o.Details = struct {
		RootVolume int64  `json:"root_volume_bytes"` // no bundle of the image can have a smaller root volume
		Parts      []part `json:"parts"`
	}{c.Volume, append(parts, c.Left...)}
	return o
}
