package linux

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// maxConfig bounds a file of configuration, in bytes; real ones have a few KiB.
const maxConfig = 4 << 20

// System is which Linux it is.
type System struct {
	ID           string // "amzn", "ubuntu", "rhel", "rocky"
	VersionID    string // "2", "22.04", "8.9"
	Name         string // "Amazon Linux 2"
	Architecture string // "amd64", "arm64"; "" if not known
	Hostname     string // "" if none is written
	Evidence     requirement.Evidence
}

// Major is the version up to its first point.
func (s System) Major() string {
	major, _, _ := strings.Cut(s.VersionID, ".")
	return major
}

// System reads which Linux it is.
func (m *Machine) System() (System, error) { return m.system.Get(m.next().readSystem) }

func (m *Machine) readSystem() (System, error) {
	var s System
	data, f, err := m.tree.read("/etc/os-release", maxConfig)
	if err == nil && !f.Exists {
		data, f, err = m.tree.read("/usr/lib/os-release", maxConfig)
	}
	if err != nil {
		return s, err
	}
	if !f.Exists {
		return s, fmt.Errorf("neither /etc/os-release nor /usr/lib/os-release exists")
	}
	release := parseAssignments(string(data))
	s.ID, s.VersionID = strings.ToLower(release["ID"]), release["VERSION_ID"]
	s.Name = release["PRETTY_NAME"]
	if s.Name == "" {
		s.Name = strings.TrimSpace(release["NAME"] + " " + release["VERSION"])
	}
	s.Evidence = f.Evidence
	s.Evidence.Data = fmt.Sprintf("ID=%s VERSION_ID=%s", s.ID, s.VersionID)
	if s.ID == "" {
		return s, fmt.Errorf("%s does not name the distribution", f.Evidence.Path)
	}
	if s.Hostname, err = m.hostname(); err != nil {
		return s, err
	}
	s.Architecture, err = m.architecture()
	return s, err
}

func (m *Machine) hostname() (string, error) {
	data, f, err := m.tree.read("/etc/hostname", maxConfig)
	if err != nil {
		return "", err
	}
	if f.Exists {
		for line := range strings.Lines(string(data)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				return line, nil
			}
		}
	}
	data, _, err = m.tree.read("/etc/sysconfig/network", maxConfig)
	return parseAssignments(string(data))["HOSTNAME"], err
}

// architecture reads the machine from the ELF header of a program that every
// system has (System V ABI, chapter 4).
func (m *Machine) architecture() (string, error) {
	for _, program := range []string{"/usr/lib/systemd/systemd", "/lib/systemd/systemd", "/bin/sh"} {
		f, err := m.tree.file(program)
		if err != nil {
			return "", err
		}
		if !f.Exists || f.Dir {
			continue
		}
		open, err := m.tree.open(f)
		if err != nil {
			return "", err
		}
		header := make([]byte, 20)
		_, err = io.ReadFull(open, header)
		open.Close()
		if err != nil || string(header[:4]) != "\x7fELF" {
			continue // a script or a placeholder: try another program
		}
		switch machine := binary.LittleEndian.Uint16(header[18:]); machine {
		case 62:
			return "amd64", nil
		case 183:
			return "arm64", nil
		case 3:
			return "386", nil
		}
	}
	return "", nil
}

// parseAssignments reads lines of the form NAME=value as a shell would, as
// far as files of settings use it: quotes, backslashes in double quotes, and
// comments (os-release(5)).
func parseAssignments(text string) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		line = strings.TrimPrefix(line, "export ")
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.HasPrefix(line, "#") || strings.ContainsAny(name, " \t") {
			continue
		}
		values[name] = unquote(strings.TrimSpace(value))
	}
	return values
}

func unquote(s string) string {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == quote:
			quote = 0
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case quote == 0 && c == '#' && i > 0 && s[i-1] == ' ':
			return strings.TrimSpace(b.String())
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

var osSupported = entry{
	Requirement: require(requirement.Required, "linux.os.supported",
		"The distribution must be one that image creation supports.", sectionRequirements, explanation{
			Reads: "/etc/os-release, or /usr/lib/os-release if that does not exist.",
			Live:  "cat /etc/os-release",
			Fix:   "Launch a WorkSpace from a supported Linux bundle and customize that one.",
			Doubts: "The requirements page names only Amazon Linux 2. Later WorkSpaces guides add Amazon Linux 2023, " +
				"Ubuntu 22.04 and 24.04, Red Hat Enterprise Linux 8 and Rocky Linux 8.",
		}),
	Terms: []string{"named", "later", "ended", "ended_on", "supported", "others_fail"},
	Judge: func(m *Machine) requirement.Outcome {
		s, err := m.System()
		if err != nil {
			return unreadable(err)
		}
		return judgeSupported(s, m.Terms)
	},
}

// judgeSupported decides linux.os.supported. The rule book names systems, those that
// later guides add, and those that AWS no longer supports.
func judgeSupported(s System, terms requirement.Terms) requirement.Outcome {
	switch {
	case s.oneOf(terms.Texts("named")):
		return requirement.Pass("The system is "+s.Name+".", s.Evidence)
	case s.oneOf(terms.Texts("later")):
		return requirement.Infer("The system is "+s.Name+". The later WorkSpaces guides support it.", s.Evidence)
	case s.oneOf(terms.Texts("ended")):
		return requirement.Warn("The system is "+s.Name+". AWS ended its support for WorkSpaces with it on "+
			terms.Text("ended_on")+".", s.Evidence)
	}
	text := "Image creation does not support " + s.Name + ". It supports " + terms.Text("supported") + "."
	switch {
	case !terms.Is("others_fail"):
		return requirement.Warn(text, s.Evidence)
	case s.VersionID == "":
		return requirement.Unknown("The version of "+s.Name+" is unknown: os-release has no VERSION_ID.", s.Evidence)
	}
	return requirement.Fail(text, s.Evidence)
}

// oneOf reports whether the system is one of a list, each "ID VERSION". A version that ends
// in ".*" is that version and all with something after it: "8.*" is 8, 8.9 and 8.10.
func (s System) oneOf(list []string) bool {
	return slices.ContainsFunc(list, func(one string) bool {
		id, version, _ := strings.Cut(one, " ")
		major, every := strings.CutSuffix(version, ".*")
		return s.ID == id && (s.VersionID == version || every && s.Major() == major)
	})
}

var volumeReadable = entry{
	Requirement: require(requirement.Required, "linux.volume.readable",
		"The volumes must be readable and must not be encrypted on disk (LUKS).", sectionRequirements, explanation{
			Reads: "The first sectors of every volume in the images, and whether its filesystem opens. EBS encryption " +
				"leaves no trace on a volume; ws.encryption.none checks it.",
			Live: "lsblk --fs",
			Fix:  "Launch a WorkSpace that has no LUKS encryption and customize that one.",
		}),
	Judge: func(m *Machine) requirement.Outcome { return m.in.Readable },
}

var diskRoot97 = entry{
	Requirement: require(requirement.Required, "linux.disk.root-97", "The root volume must be less than 97% full.",
		sectionRequirements, explanation{
			Reads: "The superblock and group descriptors of the root volume, after journal replay. The figure is used " +
				"space over used plus available space, as df counts it, but not rounded.",
			Live: "df --output=pcent /",
			Fix:  "Find large folders with 'sudo du -xh / | sort -h' and remove files, or enlarge the root volume.",
		}),
	Judge: (*Machine).decideRoot97,
}

func (m *Machine) decideRoot97() requirement.Outcome {
	u, err := m.in.Root.Usage()
	if err != nil {
		return unreadable(fmt.Errorf("cannot determine the used space of the root volume: %w", err))
	}
	return judgeRoot97(u)
}

// judgeRoot97 decides linux.disk.root-97 by the exact ratio; df rounds its
// figure up.
func judgeRoot97(u Usage) requirement.Outcome {
	ev := noted(volumeEvidence("root"),
		fmt.Sprintf("%d bytes used, %d available, %d in total", u.Used, u.Available, u.Size))
	total := u.Used + u.Available
	if u.Used < 0 || u.Available < 0 || total <= 0 {
		return requirement.Unknown("The superblock of the root volume has contradictory figures for used space.", ev)
	}
	exact := fmt.Sprintf("The root volume is %s full (df shows %d%%)", percent(u.Used, total), dfPercent(u.Used, total))
	if atLeast97(u.Used, total) {
		return requirement.Fail(exact+"; less than 97% is required.", ev)
	}
	return requirement.Pass(exact+".", ev)
}

// atLeast97 compares used / total with 97 / 100, in 128 bits.
func atLeast97(used, total int64) bool {
	hi, lo := bits.Mul64(uint64(used), 100)
	boundHi, boundLo := bits.Mul64(uint64(total), 97)
	return hi > boundHi || hi == boundHi && lo >= boundLo
}

// percent writes used / total in percent, rounded towards zero, so that what is below a bound never reads as the bound.
func percent(used, total int64) string {
	hi, lo := bits.Mul64(uint64(used), 100_00)
	hundredths, _ := bits.Div64(hi, lo, uint64(total))
	return fmt.Sprintf("%d.%02d%%", hundredths/100, hundredths%100)
}

// dfPercent is the percentage that df prints: rounded up.
func dfPercent(used, total int64) uint64 {
	hi, lo := bits.Mul64(uint64(used), 100)
	lo, carry := bits.Add64(lo, uint64(total-1), 0)
	percent, _ := bits.Div64(hi+carry, lo, uint64(total))
	return percent
}

// ComputerName is the machine's name without its domain, as the service has it.
func (m *Machine) ComputerName() (string, error) {
	name, err := m.hostname()
	name, _, _ = strings.Cut(name, ".")
	return name, err
}

// HasUser says whether a user of that name has a home: /home/NAME, or
// /home/DOMAIN/NAME.
func (m *Machine) HasUser(user string) (bool, error) {
	if i := strings.LastIndexByte(user, '\\'); i >= 0 {
		user = user[i+1:]
	}
	user, _, _ = strings.Cut(user, "@")
	homes, _, err := m.tree.list("/home")
	if err != nil || user == "" {
		return false, err
	}
	for _, home := range homes {
		if isHomeOf(home.Name(), user) {
			return true, nil
		}
	}
	for _, domain := range homes {
		if !domain.IsDir() {
			continue
		}
		below, _, err := m.tree.list("/home/" + domain.Name())
		if err != nil {
			return false, err
		}
		for _, home := range below {
			if home.IsDir() && isHomeOf(home.Name(), user) {
				return true, nil
			}
		}
	}
	return false, nil
}

// isHomeOf says whether a folder is called as that of a user: his name, or his
// name with his domain.
func isHomeOf(folder, user string) bool {
	name, _, _ := strings.Cut(folder, "@")
	return strings.EqualFold(name, user)
}
