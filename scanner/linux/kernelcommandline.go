package linux

import (
	"errors"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// A bootLine is one kernel command line that the boot loader may use.
type bootLine struct {
	Text     string
	Evidence requirement.Evidence
}

// kernelCommandLine returns the kernel command lines of the boot loader.
func (m *Machine) kernelCommandLine() (lines []bootLine, err error) {
	for _, p := range []string{"/boot/grub2/grub.cfg", "/boot/grub/grub.cfg"} {
		data, f, readErr := m.tree.read(p, maxConfig)
		err = errors.Join(err, readErr)
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			if len(fields) > 1 && (fields[0] == "linux" || fields[0] == "linux16" || fields[0] == "linuxefi") {
				lines = append(lines, bootLine{strings.Join(fields[2:], " "), noted(f.Evidence, strings.TrimSpace(line))})
			}
		}
	}
	return lines, err
}
