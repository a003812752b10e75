package linux

import "strings"

// unitSections are the settings of a file by section, as NAME=value in their
// order.
type unitSections map[string][][2]string

// parseUnit reads the sections and settings of a file that is written like a
// unit (systemd.syntax(7)) but is none: a desktop file, a network of networkd.
// Units themselves are read by parseUnitFile.
func parseUnit(text string) unitSections {
	sections := unitSections{}
	section, pending := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue // also between the lines of one setting
		}
		if rest, ok := strings.CutSuffix(line, `\`); ok {
			pending += rest + " "
			continue
		}
		line, pending = pending+line, ""
		if strings.HasPrefix(line, "[") && strings.HasSuffix(line, "]") {
			section = line[1 : len(line)-1]
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			continue
		}
		sections[section] = append(sections[section], [2]string{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return sections
}

// merge adds the settings of a drop-in.
func (s unitSections) merge(more unitSections) {
	for section, settings := range more {
		s[section] = append(s[section], settings...)
	}
}
