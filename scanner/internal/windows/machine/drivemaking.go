package machine

import (
	"regexp"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Commands that make drives. A letter C or D is no drive too many; a letter
// that a variable holds may be any.

// otherLetter says whether a letter, as driveOf returns it, is neither C nor D.
func otherLetter(letter string) bool { return letter != "C:" && letter != "D:" }

// isVariable says whether a word is a variable of a script whose value is not
// known.
func isVariable(word string) bool { return strings.ContainsAny(word, "%!$") }

// makeSubst: subst LETTER: FOLDER makes a drive, subst LETTER: /d takes it away.
func makeSubst(r *commandReader, _ string, args []string, _ *shell, _ int) {
	if len(args) < 2 || hasSwitch(args, "d") {
		return
	}
	letter := driveOf(args[0])
	switch {
	case letter != "" && otherLetter(letter):
		r.makes("subst " + letter)
	case letter == "" && isVariable(args[0]):
		r.makes("subst " + prose.Short(args[0]))
	}
	r.data(args[1:]...)
}

// hasSwitch says whether a switch is among the arguments: /d, -d, /D.
func hasSwitch(args []string, name string) bool {
	for _, a := range args {
		if len(a) > 1 && (a[0] == '/' || a[0] == '-') && strings.EqualFold(a[1:], name) {
			return true
		}
	}
	return false
}

// makeNetUse: net use [LETTER:|*] [\\SERVER\SHARE] …, in whichever order. With
// /delete it takes one away; without a share it shows one.
func makeNetUse(r *commandReader, _ string, args []string, _ *shell, _ int) {
	if len(args) < 2 || !strings.EqualFold(args[0], "use") {
		return
	}
	device, share, home := "", false, false
	for i, a := range args[1:] {
		lower := strings.ToLower(a)
		letter := driveOf(a)
		switch {
		case len(lower) > 2 && strings.HasPrefix("/delete", lower):
			return
		case strings.HasPrefix(lower, "/ho"):
			home = true
		case strings.HasPrefix(a, "/") || strings.HasPrefix(a, "-") && len(a) > 2:
		case letter != "":
			if otherLetter(letter) {
				device = letter
			}
		case a == "*":
			device = a
		case strings.HasPrefix(a, `\\`), strings.Contains(a, "://"), strings.HasPrefix(a, "//"):
			share = true
		case isVariable(a) && i == 0 && !strings.Contains(a, `\`):
			device = a
		case isVariable(a):
			share = true
		}
	}
	if device != "" && (share || home) {
		r.makes("net use " + prose.Short(device))
	}
}

// makeMountvol: mountvol LETTER: VOLUME, or /s for the system partition; /d, /p
// and /l make none.
func makeMountvol(r *commandReader, _ string, args []string, _ *shell, _ int) {
	if len(args) < 2 || hasSwitch(args, "d") || hasSwitch(args, "p") || hasSwitch(args, "l") {
		return
	}
	if letter := driveOf(args[0]); letter != "" && otherLetter(letter) {
		r.makes("mountvol " + letter)
	} else if letter == "" && isVariable(args[0]) {
		r.makes("mountvol " + prose.Short(args[0]))
	}
}

// diskpartMakes are the commands of diskpart that attach a disk or give a
// letter.
var diskpartMakes = regexp.MustCompile(`(?im)\b(?:attach\s+vdisk|assign(?:\s+letter\s*=?\s*"?([a-z])|\s+mount)?)\b`)

// makeDiskpart: its commands are in the file behind /s, or in what the script
// that runs it writes for it.
func makeDiskpart(r *commandReader, _ string, args []string, sh *shell, depth int) {
	for i, a := range args {
		if strings.EqualFold(a, "/s") && i+1 < len(args) {
			path := at(sh.dir, args[i+1])
			s := scriptUse{Path: path, Dir: sh.dir, Language: languageDiskpart}
			if sh.folder != "" {
				s.Of = sh
			}
			if len(r.out.Scripts) < maxScripts+1 {
				r.out.Scripts = append(r.out.Scripts, s)
			}
		}
	}
	if r.take(len(sh.text), depth) {
		r.diskpart(sh.text)
	}
}

// diskpart looks for what makes a drive in commands of diskpart.
func (r *commandReader) diskpart(text string) {
	for line := range strings.Lines(text) {
		if bare := strings.TrimSpace(line); fold.HasPrefix(bare, "rem ") || strings.HasPrefix(bare, "::") {
			continue
		}
		m := diskpartMakes.FindStringSubmatch(line)
		if m == nil || m[1] != "" && !otherLetter(strings.ToUpper(m[1])+":") ||
			strings.Contains(strings.ToLower(m[0]), "mount") {
			continue
		}
		r.makes("diskpart: " + strings.ToLower(strings.Join(strings.Fields(m[0]), " ")))
	}
}

var wmicLetter = regexp.MustCompile(`(?i)\bset\s+"?drive-?letter\s*=`)

func makeWmic(r *commandReader, rest string, _ []string, _ *shell, _ int) {
	if wmicLetter.MatchString(rest) {
		r.makes("wmic … set DriveLetter")
	}
	if i := strings.Index(asciiLower(rest), "call create"); i >= 0 {
		r.scan(strings.Trim(strings.TrimSpace(rest[i+len("call create"):]), `"'`))
	}
}

func makeRclone(r *commandReader, _ string, args []string, _ *shell, _ int) {
	if len(args) > 0 && (strings.EqualFold(args[0], "mount") || strings.EqualFold(args[0], "cmount")) {
		makeMounted(r, "", args, nil, 0)
	}
}

// makeImdisk: -a attaches a disk; -m says where.
func makeImdisk(r *commandReader, _ string, args []string, _ *shell, _ int) {
	for i, a := range args {
		if (strings.EqualFold(a, "-m") || strings.EqualFold(a, "--mount")) && i+1 < len(args) {
			if letter := driveOf(args[i+1]); letter == "" || otherLetter(letter) {
				r.makes("a virtual disk " + prose.Short(args[i+1]))
			}
			return
		}
	}
	if hasSwitch(args, "a") || hasSwitch(args, "-attach") {
		r.makes("a virtual disk")
	}
}

// makeVolume: VeraCrypt and its like, /v FILE /l LETTER; /d or /u dismounts.
func makeVolume(r *commandReader, _ string, args []string, _ *shell, _ int) {
	if hasSwitch(args, "d") || hasSwitch(args, "dismount") || hasSwitch(args, "u") || hasSwitch(args, "unmount") {
		return
	}
	if hasSwitch(args, "v") || hasSwitch(args, "volume") || hasSwitch(args, "a") || hasSwitch(args, "auto") {
		r.makes("an encrypted volume")
	}
}

// makeMounted: a letter among the arguments is the drive.
func makeMounted(r *commandReader, _ string, args []string, _ *shell, _ int) {
	for _, a := range args {
		if letter := driveOf(a); letter != "" && otherLetter(letter) || a == "*" {
			r.makes("a mounted drive " + prose.Short(a))
			return
		}
	}
}

// powerShellDrive judges a cmdlet that may make a drive, and says whether it is
// one of those.
func (r *commandReader) powerShellDrive(name string, words []psWord) bool {
	letter := func(parameter, least string) bool {
		value, ok := psParameter(words, parameter, least)
		value = strings.Trim(value, `:\`)
		return ok && !strings.EqualFold(value, "C") && !strings.EqualFold(value, "D")
	}
	has := func(parameter, least string) bool {
		_, ok := psParameter(words, parameter, least)
		return ok
	}
	splat := false
	for _, w := range words {
		splat = splat || !w.quoted && strings.HasPrefix(w.text, "@")
	}
	switch name {
	case "new-psdrive", "ndr", "mount":
		if (has("persist", "pe") || splat) && (!has("name", "n") || letter("name", "n")) {
			r.makes("New-PSDrive -Persist")
		}
	case "new-smbmapping":
		if !has("localpath", "l") || letter("localpath", "l") {
			r.makes("New-SmbMapping")
		}
	case "mount-diskimage", "mount-vhd":
		if !has("nodriveletter", "nod") {
			r.makes(map[string]string{"mount-vhd": "Mount-VHD", "mount-diskimage": "Mount-DiskImage"}[name])
		}
	case "set-partition":
		if letter("newdriveletter", "newd") {
			r.makes("Set-Partition -NewDriveLetter")
		}
	case "new-partition":
		if letter("driveletter", "d") || has("assigndriveletter", "as") {
			r.makes("New-Partition with a drive letter")
		}
	case "add-partitionaccesspath":
		if path, ok := psParameter(words, "accesspath", "ac"); ok &&
			(driveOf(path) == "" || !otherLetter(driveOf(path))) {
			break
		}
		r.makes("Add-PartitionAccessPath")
	case "set-wmiinstance", "set-ciminstance", "swmi", "scim":
		for _, w := range words {
			if strings.Contains(strings.ToLower(w.text), "driveletter") {
				r.makes("a volume with an assigned drive letter")
			}
		}
	default:
		return false
	}
	return true
}

// MakesDrives says whether a service or driver belongs to a program that makes
// drives, by its name, the name of its file, or the folder of the program.
func (s Service) MakesDrives() bool {
	path := strings.ToLower(strings.ReplaceAll(s.ImagePath.Value, "/", `\`))
	if after, ok := strings.CutPrefix(strings.TrimSpace(path), `"`); ok {
		path, _, _ = strings.Cut(after, `"`)
	} else if end := programEnd(path); end > 0 {
		path = path[:end]
	}
	folder, file := "", path
	if i := strings.LastIndexByte(path, '\\'); i >= 0 {
		folder, file = path[:i+1], path[i+1:]
	}
	for _, family := range driveMakers {
		if fold.HasPrefix(s.Name, family) || strings.HasPrefix(file, family) {
			return true
		}
	}
	return slices.ContainsFunc(driveMakerFolders, func(
		name string) bool {
		return strings.Contains(folder, `\`+name+`\`)
	})
}

// DriveMaking is a command line that gives something a drive letter.
type DriveMaking struct {
	Who      string // "task Backup"
	What     string // "subst X:"
	Evidence requirement.Evidence
}

// driveMakers are the beginnings of the names of drivers, in lower case, that
// give clouds, servers, containers and images of disks a letter.
var driveMakers = []string{
	"googledrivefs", "winfsp", "cbfs", "cbdisk", "dokan", "pfmfs", "raidrive", "netdrive", "nd3", "expandrive",
	"mountainduck", "cloudmounter", "webdrive", "rffsd", "pclouddrive", "coveclouddrive", "covefs_disk",
	"clouddrive_",
	"workdocsdrive", "tntdrive", "egnytedrive", "sftpdrive", "sftpnetdrive", // of clouds and servers
	"veracrypt", "truecrypt", "bcfnt", "freeotfe", "gostcrypt", "ciphershed", // of encrypted containers
	"imdisk", "awealloc", "deviodrv", "osfmdisk", "osfmount", "phdskmnt", "aim_", "vdkdrv", "filedisk", "mcdbus",
	"gizmodrv", "bazisvirtualcdbus", "bazisportable", "vclone", "elbycd", "scdemu", "isodrive", "isodrv",
	"dtsoftbus", "dtscsibus", "dtlitescsibus", "dtliteusbbus", "dtproscsibus", "dtultrascsibus", "dtultrausbbus",
	"dtcl", "vax347", "a347", "sptd", "phantombus", "nvcdbus", "vcdrom", "vcddrv", // of images of disks
	"spvdbus", "spvve", "primoramdisk", "fancyrd", "ramdiskve", "ramdriv", "osfrd", "starport", "sftvol", "sftfs",
	// of memory, and of App-V 4
}

// driveMakerFolders are the folders of such programs, in lower case.
var driveMakerFolders = []string{
	"drive file stream", "winfsp", "dokan", "dokany", "imdisk", "osfmount", "arsenal image mounter",
	"arsenal-image-mounter", "veracrypt", "truecrypt", "raidrive", "netdrive", "netdrive2", "netdrive3",
	"expandrive", "mountain duck",
	"cloudmounter", "webdrive", "pcloud drive", "tntdrive", "virtualclonedrive", "elaborate bytes",
	"daemon tools lite", "daemon tools pro", "daemon tools ultra", "poweriso", "ultraiso", "wincdemu",
	"magicdisc", "gizmo", "alcohol 120", "alcohol 52",
	"pismo file mount audit package", "stablebit", "amazon workdocs drive", "softperfect ram disk", "primo ramdisk",
	"sshfs-win", "rclone",
}
