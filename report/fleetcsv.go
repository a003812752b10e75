package report

import (
	"encoding/csv"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// FleetCSV writes a row for each machine and requirement, in UTF-8 with a header. A
// machine without a verdict has one row, whose message says why. A cell that a spreadsheet
// would take for a formula begins with an apostrophe.
func FleetCSV(w io.Writer, f *Fleet, o Options) error {
	names := map[string]bool{}
	for _, m := range f.Machines {
		for name := range m.Labels {
			names[name] = true
		}
	}
	// Labels are bounded for a machine, and all machines of a list have the same ones.
	labels := slices.Sorted(maps.Keys(names))
	labels = labels[:min(len(labels), maxFleetLabels)]
	c := csv.NewWriter(w)
	header := []string{"machine", "state", "exit_code", "requirement", "severity", "status", "waived", "accepted",
		"message", "computer_name", "system", "finished"}
	columns := len(header)
	for _, name := range labels {
		header = append(header, "label."+name)
	}
	row := make([]string, len(header))
	write := func(cells []string) error {
		for i, cell := range cells {
			row[i] = safeCell(cell)
		}
		return c.Write(row)
	}
	if err := write(header); err != nil {
		return err
	}
	cells := make([]string, len(header))
	for _, m := range f.Machines {
		clear(cells)
		cells[0], cells[1] = m.ID, string(m.State)
		if code := m.exitCode(o); code != nil {
			cells[2] = strconv.Itoa(*code)
		}
		cells[9], cells[10], cells[11] = m.Computer, m.System, timestamp(m.Finished)
		for i, name := range labels {
			cells[columns+i] = m.Labels[name]
		}
		cells[8] = m.why()
		if len(m.Findings) == 0 {
			if err := write(cells); err != nil {
				return err
			}
			continue
		}
		for _, finding := range m.Findings {
			r := f.Requirements[finding.Requirement]
			cells[3], cells[4], cells[5] = r.ID, string(r.Severity), string(finding.Status)
			cells[6], cells[7] = strconv.FormatBool(finding.Waived), strconv.FormatBool(finding.Accepted)
			cells[8] = finding.Message
			if err := write(cells); err != nil {
				return err
			}
		}
	}
	c.Flush()
	return c.Error()
}

// why says why there is no verdict of a machine; "" if there is one.
func (m Machine) why() string {
	switch m.State {
	case MachineError:
		return string(m.Error.Kind) + ": " + m.Error.Message
	case MachineDamaged:
		return m.Problem
	case MachineMissing:
		return "no record"
	}
	return ""
}

// safeCell makes a cell harmless: no control characters, and no formula. Spreadsheets
// take a text for a formula by its first character, also the wide forms of it.
func safeCell(s string) string {
	s = Neutral(s)
	if strings.HasPrefix(s, " ") || strings.HasPrefix(s, "'") || strings.IndexAny(s, "=+-@＝＋－＠") == 0 {
		return "'" + s
	}
	return s
}
