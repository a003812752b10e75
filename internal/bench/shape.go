//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// A file of a volume, with its path from the root of the volume.
type file struct {
	path string
	size int
}

// names makes names that are the same in every build.
type names struct{ *rand.Rand }

func newNames(seed uint64) names { return names{rand.New(rand.NewPCG(seed, 2026))} }

var words = strings.Fields(`accessibility activation adapter audio authentication backup boot broker cache
	calendar certificate client cluster component compression configuration connect console control core
	crypto data dedup defender deployment desktop device diagnostics directory display driver editor eventlog
	explorer export feature filter font framework gateway graphics help host identity image install
	interface kernel language layout license locale management media microphone migration mobile monitor
	network notification object package partition performance platform policy power print process profile
	protocol provider proxy publish query recovery registry remote report resource runtime scheduler schema
	search security server service session setup shell signature storage store sync system task telemetry
	terminal theme transaction update user utility virtual volume web wireless workflow`)

func (n names) word() string { return words[n.IntN(len(words))] }

// words joins a few words.
func (n names) words(most int, between string) string {
	parts := make([]string, 1+n.IntN(most))
	for i := range parts {
		parts[i] = n.word()
	}
	return strings.Join(parts, between)
}

func (n names) hex(digits int) string {
	var b strings.Builder
	for range digits {
		b.WriteByte("0123456789abcdef"[n.IntN(16)])
	}
	return b.String()
}

func (n names) guid() string {
	return strings.ToUpper(fmt.Sprintf("{%s-%s-%s-%s-%s}", n.hex(8), n.hex(4), n.hex(4), n.hex(4), n.hex(12)))
}

func (n names) pick(from ...string) string { return from[n.IntN(len(from))] }

// size is that of a file: a third fit into the record of a file on NTFS, most
// others into one cluster, and one in two hundred is large.
func (n names) size() int {
	switch k := n.IntN(200); {
	case k == 0:
		return 64<<10 + n.IntN(192<<10)
	case k < 67:
		return n.IntN(600)
	}
	return 700 + n.IntN(3300)
}

// A place is a folder of the system with a share of its files.
type place struct {
	share int // in thousandths
	most  int // files that are made in a folder at once
	name  func(n names) string
}

// windowsPlaces has the proportions of a Server 2019 with some applications:
// half of all files are in the component store, in many folders with long
// names; a few folders have thousands of entries.
var windowsPlaces = []place{
	{440, 6, func(n names) string {
		component := fmt.Sprintf("Windows/WinSxS/%s_microsoft-windows-%s_31bf3856ad364e35_10.0.17763.%d_none_%s",
			n.pick("amd64", "amd64", "wow64", "x86"), n.words(4, "-"), 1+n.IntN(4000), n.hex(16))
		if n.IntN(4) == 0 {
			component += "/" + n.pick("en-us", "f", "r", "n")
		}
		return component
	}},
	{40, 6, func(names) string { return "Windows/WinSxS/Manifests" }},
	{70, 6, func(names) string { return "Windows/servicing/Packages" }},
	{40, 6, func(n names) string { return "Windows/System32" }},
	{15, 6, func(n names) string { return "Windows/System32/" + n.pick("en-US", "wbem", "migration") }},
	{60, 6, func(n names) string {
		return fmt.Sprintf("Windows/System32/DriverStore/FileRepository/%s.inf_amd64_%s", n.words(2, ""), n.hex(16))
	}},
	{25, 6, func(n names) string { return "Windows/System32/CatRoot/{F750E6C3-38EE-11D1-85E5-00C04FC295EE}" }},
	{60, 6, func(n names) string {
		return fmt.Sprintf("Windows/assembly/NativeImages_v4.0.30319_64/System.%s/%s", n.words(2, "."), n.hex(32))
	}},
	{60, 6, func(n names) string {
		return fmt.Sprintf("Windows/Microsoft.NET/assembly/GAC_MSIL/%s/v4.0_10.0.0.0__31bf3856ad364e35", n.words(3, "."))
	}},
	{130, 6, func(n names) string {
		return fmt.Sprintf("Program Files/%s/%s/%s/%s",
			n.pick("Common Files", "Microsoft Office", "Contoso Suite", "Fabrikam"), n.word(), n.word(), n.word())
	}},
	{60, 6, func(n names) string {
		return fmt.Sprintf("ProgramData/Package Cache/%s/%s", n.guid(), n.word())
	}},
}

// userPlaces are in a profile.
var userPlaces = []place{
	{300, 30, func(n names) string {
		return "Users/jdoe/AppData/Local/Google/Chrome/User Data/Default/Cache/Cache_Data"
	}},
	{250, 30, func(n names) string {
		return fmt.Sprintf("Users/jdoe/AppData/Local/Packages/%s_%s/%s/%s", n.words(2, "."), n.hex(13),
			n.pick("AC", "LocalState", "TempState", "Settings"), n.word())
	}},
	{150, 30, func(n names) string { return "Users/jdoe/AppData/Roaming/Code/" + n.words(2, "-") + "/" + n.word() }},
	{200, 30, func(n names) string {
		return fmt.Sprintf("Users/jdoe/Documents/Projects/%s/node_modules/%s/lib/%s", n.word(), n.words(2, "-"), n.word())
	}},
	{100, 30, func(n names) string { return "Users/jdoe/Documents/" + n.words(2, " ") + "/" + n.words(2, " ") }},
}

// linuxPlaces has the proportions of a desktop with development packages.
var linuxPlaces = []place{
	{250, 5, func(n names) string { return "usr/share/doc/" + n.words(3, "-") }},
	{200, 30, func(n names) string {
		return fmt.Sprintf("usr/lib/python3/dist-packages/%s/%s/%s", n.words(2, "_"), n.word(), n.word())
	}},
	{150, 30, func(n names) string {
		return fmt.Sprintf("usr/src/linux-headers-6.8.0-1021/%s/%s/%s", n.word(), n.word(), n.word())
	}},
	{100, 30, func(n names) string { return "usr/include/" + n.words(2, "") + "/" + n.word() }},
	{100, 30, func(n names) string { return "usr/share/locale/" + n.hex(2) + "/" + n.word() }},
	{100, 30, func(n names) string {
		return "usr/share/icons/" + n.word() + "/" + n.pick("16x16", "32x32", "48x48", "scalable") + "/" + n.word()
	}},
	{50, 30, func(n names) string { return "usr/lib/x86_64-linux-gnu/" + n.words(2, "-") }},
	{50, 30, func(names) string { return "usr/share/man/man3" }},
}

var extensions = strings.Fields("dll dll exe mui manifest cat mum inf sys xml png js json txt dat log")

// tree calls each for count files. Those of one folder come together, as an
// installer writes them.
func tree(seed uint64, count int, places []place, each func(file) error) error {
	n := newNames(seed)
	for _, p := range places {
		for left := count * p.share / 1000; left > 0; {
			folder := p.name(n)
			for range min(left, 1+n.IntN(p.most)) {
				name := fmt.Sprintf("%s-%s.%s", n.words(3, "-"), n.hex(6), extensions[n.IntN(len(extensions))])
				if err := each(file{folder + "/" + name, n.size()}); err != nil {
					return err
				}
				left--
			}
		}
	}
	return nil
}

// aged calls create for count files in folders that are drawn for each, and
// between them remove for a fifth of those that came before. count remain.
func aged(seed uint64, count int, places []place, create func(file) error, remove func(path string) error) error {
	n := newNames(seed)
	folders := make([]string, 0, count/15)
	for len(folders) < cap(folders) {
		p := places[n.IntN(len(places))]
		folders = append(folders, p.name(n))
	}
	var paths []string
	for made := 0; made < count*5/4; made++ {
		f := file{fmt.Sprintf("%s/%s-%s.%s", folders[n.IntN(len(folders))], n.words(3, "-"), n.hex(8),
			extensions[n.IntN(len(extensions))]), n.size()}
		if err := create(f); err != nil {
			return err
		}
		paths = append(paths, f.path)
		if made%5 == 4 {
			i := n.IntN(len(paths))
			if err := remove(paths[i]); err != nil {
				return err
			}
			paths[i] = paths[len(paths)-1]
			paths = paths[:len(paths)-1]
		}
	}
	return nil
}
