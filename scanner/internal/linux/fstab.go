package linux

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// fstabPath is where the filesystems of a system are listed.
const fstabPath = "/etc/fstab"

// mountEntry is one thing that the system mounts: a line of fstab, or a mount
// unit.
type mountEntry struct {
	what    string // a device, a tag such as "UUID=…", a folder, or anything
	where   string // absolute and clean
	kind    string // of the filesystem; "" for any
	options []string
	from    string // where that is written: "/etc/fstab, line 3"
	err     error  // why what the entry mounts is not known; nil if it is

	conditions [][2]string // of a mount unit
}

// has says whether one of the options is there. Its last word decides where an
// option has an opposite.
func (e *mountEntry) has(names ...string) bool {
	return slices.ContainsFunc(e.options, func(o string) bool {
		name, _, _ := strings.Cut(o, "=")
		return slices.Contains(names, name)
	})
}

// automatic says whether the entry is mounted at the start: unless it says
// noauto, and systemd does not mount it when it is used.
func (e *mountEntry) automatic() bool {
	auto := true
	for _, o := range e.options {
		switch o {
		case "auto":
			auto = true
		case "noauto":
			auto = false
		case "x-systemd.automount", "comment=systemd.automount":
			return true
		}
	}
	return auto || e.has("x-systemd.required-by", "x-systemd.wanted-by")
}

// parseFstab reads the lines of fstab(5) as getmntent(3) does, whose result
// systemd-fstab-generator(8) makes mount units of. Swap areas are left out, and
// so are lines that neither takes for an entry. unread are the lines of which
// not even the mount point is known.
func parseFstab(text string) (entries []mountEntry, unread []error) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.Trim(line, " \t\r\n")
		if line == "" || line[0] == '#' {
			continue
		}
		from := fmt.Sprintf("%s, line %d", fstabPath, number)
		fields := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
		whole := true
		for i, field := range fields {
			name, ok := fstabName(field)
			fields[i], whole = name, whole && ok
		}
		switch {
		case len(fields) < 2:
			unread = append(unread, fmt.Errorf("%s: no mount point", from))
			continue
		case len(fields) > 2 && fields[2] == "swap", fields[1] == "none", fields[1] == "-", fields[1] == "swap":
			continue
		}
		e := mountEntry{what: unquoteTag(fields[0]), where: path.Clean("/" + fields[1]), from: from}
		if len(fields) > 2 {
			e.kind = fields[2]
		}
		if len(fields) > 3 {
			e.options = strings.Split(fields[3], ",")
		}
		switch {
		case !whole:
			e.err = fmt.Errorf("%s: undefined escape sequence", from)
		case len(fields) < 3:
			e.err = fmt.Errorf("%s: no filesystem type", from)
		case !path.IsAbs(fields[1]):
			e.err = fmt.Errorf("%s: %q is not an absolute path", from, fields[1])
		}
		entries = append(entries, e)
	}
	return entries, unread
}

// fstabName takes the escapes out of a field: a blank, a tab, a line feed, a
// backslash and a number sign in octal (getmntent(3)). ok is false for another
// one, which programs read differently, and for a NUL, which no line has.
func fstabName(field string) (name string, ok bool) {
	var b strings.Builder
	ok = !strings.Contains(field, "\x00")
	for i := 0; i < len(field); i++ {
		if field[i] != '\\' {
			b.WriteByte(field[i])
			continue
		}
		rest := field[i+1:]
		switch {
		case strings.HasPrefix(rest, `\`):
			b.WriteByte('\\')
			i++
		case len(rest) >= 3 && slices.Contains([]string{"040", "011", "012", "134", "043"}, rest[:3]):
			b.WriteByte((rest[0]-'0')<<6 | (rest[1]-'0')<<3 | (rest[2] - '0'))
			i += 3
		default:
			b.WriteByte('\\')
			ok = ok && (len(rest) == 0 || rest[0] < '0' || rest[0] > '7')
		}
	}
	return b.String(), ok
}

// unquoteTag takes the quotes off the value of a tag: LABEL="x".
func unquoteTag(what string) string {
	tag, value, ok := strings.Cut(what, "=")
	if !ok || len(value) < 2 || value[0] != '"' && value[0] != '\'' || value[len(value)-1] != value[0] {
		return what
	}
	return tag + "=" + value[1:len(value)-1]
}
