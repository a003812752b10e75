package linux

import (
	"cmp"
	"debug/pe"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// A bootLine is one kernel command line that the boot loader may use.
type bootLine struct {
	Text     string
	Evidence requirement.Evidence
}

// bootConfig is what the boot loader is configured to start.
type bootConfig struct {
	lines []bootLine
	err   error // why there may be others; nil if all are known
}

// Bounds of what is read of boot loaders. Real ones have a few entries.
const (
	maxBootEntries = 2_000
	maxBootLines   = 1_000 // that differ
)

var errNoLoader = errors.New("no boot loader configuration was found")

// kernelCommandLine returns the kernel command lines that the boot loader may
// use, each once: of GRUB's script with its environment, and of the entries of
// the Boot Loader Specification, on the volume at /boot and on EFI system
// partitions. What only a person chooses who repairs the system is left out. The
// error says why there may be others.
func (m *Machine) kernelCommandLine() ([]bootLine, error) {
	c, err := m.loader.Get(func() (bootConfig, error) { return m.next().readLoader(), nil })
	return c.lines, joinErrors(err, c.err)
}

func (m *Machine) readLoader() bootConfig {
	l := &loader{seen: map[string]bool{}}
	l.grub(&m.tree, "/boot", m.readsEntries())
	for _, p := range []string{"/boot", "/boot/efi", "/efi"} {
		if at, ok := m.tree.mounts[m.tree.place(p)]; ok && at.FS == nil {
			l.fail(&volumeError{at.role, at.Err})
		}
	}
	bare := len(l.lines) == 0 && l.err == nil
	for _, v := range m.tree.volumes {
		if v.FS == nil {
			continue
		}
		named := *v
		named.role = cmp.Or(v.role, "other")
		alone := m.tree.only(&named)
		switch {
		case v.Type == "vfat":
			l.esp(alone)
		case bare && v.role == "": // a volume for /boot that is not mounted
			l.grub(alone, "/", m.readsEntries())
		}
	}
	if len(l.lines) == 0 && l.err == nil {
		l.err = errNoLoader
	}
	return bootConfig{l.ordinary(), l.err}
}

// readsEntries says whether the GRUB of the system reads the entries of the
// Boot Loader Specification although its script does not say so: Red Hat's
// makes such a script whenever it is configured.
func (m *Machine) readsEntries() bool {
	s, err := m.System()
	return err != nil || slices.Contains([]string{"rhel", "rocky", "almalinux", "centos", "fedora", "ol"}, s.ID) ||
		s.ID == "amzn" && s.VersionID != "2"
}

// only is a tree of one volume.
func (t *tree) only(v *volume) *tree {
	return &tree{root: v, meter: t.meter, trail: t.trail}
}

// A loader collects command lines.
type loader struct {
	lines []bootLine
	seen  map[string]bool
	err   error
}

func (l *loader) fail(err error) { l.err = joinErrors(l.err, err) }

func (l *loader) add(text string, ev requirement.Evidence) {
	text = strings.Join(strings.Fields(text), " ")
	if l.seen[text] {
		return
	}
	if len(l.lines) >= maxBootLines {
		if !errors.Is(l.err, errTooManyLines) {
			l.fail(errTooManyLines)
		}
		return
	}
	l.seen[text] = true
	l.lines = append(l.lines, bootLine{text, ev})
}

var errTooManyLines = fmt.Errorf("more than %d different kernel command lines", maxBootLines)

// repairs are words of the command lines that distributions offer for repairs.
var repairs = []string{"recovery", "single", "rescue", "emergency", "systemd.unit=rescue.target",
	"systemd.unit=emergency.target"}

// ordinary leaves out the command lines for repairs, if there are others.
func (l *loader) ordinary() []bootLine {
	var list []bootLine
	for _, line := range l.lines {
		if !slices.ContainsFunc(strings.Fields(line.Text), func(w string) bool { return slices.Contains(repairs, w) }) {
			list = append(list, line)
		}
	}
	if len(list) == 0 {
		return l.lines
	}
	return list
}

// grub follows the scripts of GRUB below a folder: grub for Debian's, grub2 for
// Red Hat's.
func (l *loader) grub(t *tree, boot string, entries bool) {
	var env grubEnv
	called := false
	for _, folder := range []string{"grub2", "grub"} {
		dir := path.Join(boot, folder)
		f, err := t.file(path.Join(dir, "grub.cfg"))
		if err != nil {
			l.fail(err)
			continue
		}
		if !f.Exists {
			continue
		}
		e, bls := l.script(t, path.Join(dir, "grub.cfg"), boot)
		called = called || bls
		if env == nil {
			env = e
		}
	}
	if !called && entries {
		l.entries(t, path.Join(boot, "loader/entries"), env)
	}
	if len(l.lines) == 0 {
		l.legacy(t, boot)
	}
}

// script follows one script of GRUB. It returns the variables that it leaves,
// and whether it reads the entries of the Boot Loader Specification.
func (l *loader) script(t *tree, p, boot string) (env grubEnv, entries bool) {
	folder := path.Dir(p)
	env = grubEnv{"prefix": {"(device)" + folder}, "config_directory": {"(device)" + folder},
		"config_file": {"(device)" + p}}
	g := &grubRun{tree: t, boot: []string{"/", boot}, folder: folder, functions: map[string][]grubStatement{},
		lines: l.add}
	g.bls = func(env grubEnv) {
		entries = true
		dir := path.Join(boot, "loader/entries")
		if set := env["blsdir"]; len(set) == 1 && set[0] != "" {
			for _, p := range g.places(set[0]) {
				if f, err := t.file(p); err == nil && f.Dir {
					dir = p
					break
				}
			}
		}
		l.entries(t, dir, env)
	}
	g.file(p, env)
	if g.err != nil {
		l.fail(g.err)
	}
	return env, entries
}

// entries reads the entries of the Boot Loader Specification in a folder, and
// puts in the values of GRUB's variables, if there are any.
func (l *loader) entries(t *tree, folder string, env grubEnv) {
	list, _, err := t.list(folder)
	if err != nil {
		l.fail(err)
		return
	}
	count := 0
	for _, e := range list {
		if path.Ext(e.Name()) != ".conf" {
			continue
		}
		if count++; count > maxBootEntries {
			l.fail(fmt.Errorf("%s: more than %d entries: %w", folder, maxBootEntries, errTooLarge))
			return
		}
		p := path.Join(folder, e.Name())
		entry, f, err := readParsed(t, p, maxConfig, "boot entry",
			func(data []byte) (bootEntry, error) { return parseBootEntry(string(data)), nil })
		switch {
		case err != nil:
			l.fail(err)
			return
		case !f.Exists:
			continue
		case entry.image != "":
			l.fail(fmt.Errorf("%s starts %s, whose command line coldcheck does not read", p, entry.image))
			continue
		case !entry.linux:
			continue
		}
		options := entry.options
		if env != nil && options == "" {
			if set := env["default_kernelopts"]; len(set) > 0 {
				options = set[0]
			}
		}
		may := []string{options}
		if env != nil {
			may = env.expand(grubText(options))
		}
		for _, line := range may {
			if strings.Contains(line, grubUnknown) {
				l.fail(fmt.Errorf("%s: the kernel command line has a variable of unknown value", p))
				continue
			}
			l.add(line, noted(f.Evidence, line))
		}
	}
}

// A bootEntry is one of the Boot Loader Specification ("Type #1 Boot Loader
// Specification Entries").
type bootEntry struct {
	linux   bool   // it starts a kernel
	image   string // it starts a unified kernel image
	options string
}

func parseBootEntry(text string) bootEntry {
	var e bootEntry
	var options []string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
		value = strings.TrimSpace(value)
		switch key {
		case "linux":
			e.linux = true
		case "uki":
			e.image = value
		case "efi":
			if strings.Contains(strings.ToLower(value), "linux") {
				e.image = value
			}
		case "options":
			options = append(options, value)
		}
	}
	e.options = strings.Join(options, " ")
	return e
}

// grubText is a text with variables in it.
func grubText(text string) grubWord {
	var w grubWord
	for {
		before, after, ok := strings.Cut(text, "$")
		w = append(w, grubPart{text: before})
		if !ok {
			return w
		}
		name, n := grubVariable("$" + after)
		if n == 0 {
			w = append(w, grubPart{text: "$"})
			text = after
			continue
		}
		w = append(w, grubPart{text: name, variable: true})
		text = after[n-1:]
	}
}

// legacy reads the menus of GRUB 0.97 and of extlinux.
func (l *loader) legacy(t *tree, boot string) {
	for _, name := range []string{"grub/menu.lst", "grub/grub.conf", "extlinux/extlinux.conf",
		"syslinux/syslinux.cfg"} {
		data, f, err := t.read(path.Join(boot, name), maxConfig)
		if err != nil {
			l.fail(err)
			continue
		}
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			switch {
			case len(fields) == 0:
			case strings.EqualFold(fields[0], "kernel") && len(fields) > 2, strings.EqualFold(fields[0], "append") &&
				len(fields) > 1:
				text := strings.Join(fields[1:], " ")
				l.add(text, noted(f.Evidence, text))
			}
		}
	}
}

// esp reads what firmware starts from an EFI system partition: GRUB with its
// script, systemd-boot with its entries, and unified kernel images.
func (l *loader) esp(t *tree) {
	vendors, _, err := t.list("/EFI")
	if err != nil {
		l.fail(err)
		return
	}
	for _, v := range vendors {
		if !v.IsDir() {
			continue
		}
		p := path.Join("/EFI", v.Name(), "grub.cfg")
		switch f, err := t.file(p); {
		case err != nil:
			l.fail(err)
		case f.Exists:
			l.script(t, p, "/")
		}
	}
	l.entries(t, "/loader/entries", nil)
	images, _, err := t.list("/EFI/Linux")
	if err != nil {
		l.fail(err)
		return
	}
	if len(images) > maxBootEntries {
		l.fail(fmt.Errorf("/EFI/Linux: more than %d files: %w", maxBootEntries, errTooLarge))
		return
	}
	for _, i := range images {
		if strings.EqualFold(path.Ext(i.Name()), ".efi") {
			l.unified(t, path.Join("/EFI/Linux", i.Name()))
		}
	}
}

// unified reads the command line of a unified kernel image: its section
// .cmdline (UAPI Group, "Unified Kernel Image").
func (l *loader) unified(t *tree, p string) {
	f, err := t.file(p)
	if err != nil {
		l.fail(err)
		return
	}
	open, err := t.open(f)
	if err != nil {
		l.fail(err)
		return
	}
	defer open.Close()
	r, ok := open.(io.ReaderAt)
	if !ok {
		l.fail(fmt.Errorf("%s: it cannot be read from any location", p))
		return
	}
	if err := t.meter.File(1 << 20); err != nil {
		l.fail(fmt.Errorf("%s: %w", p, err))
		return
	}
	image, err := pe.NewFile(io.NewSectionReader(r, 0, f.Size))
	if err != nil {
		l.fail(fmt.Errorf("%s: %w", p, err))
		return
	}
	text := ""
	if s := image.Section(".cmdline"); s != nil {
		data, err := io.ReadAll(io.LimitReader(s.Open(), 64<<10))
		if err != nil {
			l.fail(fmt.Errorf("%s: %w", p, err))
			return
		}
		text = strings.Trim(string(data), "\x00\n ")
	}
	l.add(text, noted(f.Evidence, text))
}
