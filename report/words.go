package report

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// What follows says in words what every format for people says: which system
// this is, the verdict, what asks for action, and what a piece of evidence is.
// None of it is Neutral yet, or escaped.

// system says which system was found, of which machine, and whose.
func system(r *scanner.Result) string {
	name := r.Platform.Name
	if v := r.Platform.Version; v != "" && !strings.HasSuffix(name, " "+v) { // "Amazon Linux 2" has it
		name += " " + v
	}
	parts := []string{name}
	for _, s := range []string{r.Platform.ComputerName, r.Platform.UserName} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// volumes returns the volumes, the root volume first.
func volumes(r *scanner.Result) []scanner.Volume {
	rank := map[scanner.Role]int{scanner.Root: 0, scanner.User: 1, scanner.Other: 2}
	list := slices.Clone(r.Volumes)
	slices.SortStableFunc(list, func(a, b scanner.Volume) int { return rank[a.Role] - rank[b.Role] })
	return list
}

// volume says what a volume is and where it lies.
func volume(v scanner.Volume) (what, where string) {
	what = cmp.Or(filesystemNames[v.Filesystem], v.Filesystem, "unknown") + " " + prose.Size(v.Size)
	if v.Free >= 0 {
		what += ", " + prose.Size(v.Free) + " free"
	}
	if v.State != "" && v.State != "clean" {
		what += ", " + v.State
	}
	where = v.Image
	if v.Logical != "" {
		where += ", " + v.Logical
	}
	if v.Partition > 0 {
		where += fmt.Sprintf(", partition %d", v.Partition)
	}
	return what, where
}

// filesystemNames holds the names that are not written as the scanner does.
var filesystemNames = map[string]string{
	"ntfs": "NTFS", "xfs": "XFS", "btrfs": "Btrfs", "fat": "FAT", "exfat": "exFAT", "refs": "ReFS",
	"lvm2": "LVM2", "luks": "LUKS", "bitlocker": "BitLocker",
}

// worstFirst returns notices in the order in which they are to be read.
func worstFirst(notices []requirement.Notice) []requirement.Notice {
	rank := map[requirement.Level]int{requirement.LevelError: 0, requirement.LevelWarning: 1, requirement.LevelInfo: 2}
	notices = slices.Clone(notices)
	slices.SortStableFunc(notices, func(a, b requirement.Notice) int { return rank[a.Level] - rank[b.Level] })
	return notices
}

// notice is a notice in one line.
func notice(n requirement.Notice) string {
	s := n.Message
	if n.Path != "" && !strings.Contains(s, path.Base(n.Path)) {
		s = n.Path + ": " + s
	}
	if n.Source != "" && !strings.Contains(s, n.Source) {
		s = n.Source + ": " + s
	}
	if n.Level != requirement.LevelInfo {
		s = string(n.Level) + ": " + s
	}
	return s
}

var verdictName = map[scanner.Verdict]string{
	scanner.Ready: "READY", scanner.NotReady: "NOT READY", scanner.Inconclusive: "INCONCLUSIVE",
}

// tally says what the verdict is made of, in figures.
func tally(r *scanner.Result) string {
	counted, waived := map[requirement.Status]int{}, map[requirement.Status]int{}
	service := 0
	for _, f := range r.Findings {
		switch {
		case f.Counts:
			counted[f.Status]++
			if f.Waiver != nil {
				waived[f.Status]++
			}
		case unasked(f) && f.Severity == requirement.Required:
			service++
		}
	}
	var parts []string
	for _, s := range requirement.Statuses {
		if n := counted[s]; n > 0 && s != requirement.NotApplicable {
			one := statusName(s)
			many := one
			if s == requirement.Warning {
				many += "s"
			}
			part := prose.Count(n, one, many)
			if waived[s] > 0 {
				part += fmt.Sprintf(" (%d waived)", waived[s])
			}
			parts = append(parts, part)
		}
	}
	line := strings.Join(parts, ", ")
	if service > 0 {
		line += " (" + prose.Count(service, "service check", "service checks") + ": --with)"
	}
	return line
}

// unasked says of a finding that only the service knows, and nobody gave a
// document that would tell.
func unasked(f requirement.Finding) bool {
	return !f.Counts && f.Status == requirement.Undetermined && f.Scope == requirement.Service
}

// beside says what is to be known beside the verdict, a line each.
func beside(r *scanner.Result, o Options) []string {
	var lines []string
	unmet := 0
	for _, f := range r.Findings {
		if !f.Counts && f.Status == requirement.Warning {
			unmet++
		}
	}
	if unmet > 0 {
		lines = append(lines, "Beside the verdict: "+prose.Count(unmet, "recommendation", "recommendations")+" not met")
	}
	lines = append(lines, background(r, o)...)
	if c := r.CrossCheck; c != nil {
		lines = append(lines, "Evidence: "+confirmation(*c))
	}
	if ends, plain := o.exitCode(r.PolicyVerdict), o.exitCode(r.Verdict); ends != nil && *ends != *plain {
		lines = append(lines, fmt.Sprintf("Exit code %d instead of %d, as the flags ask", *ends, *plain))
	}
	return lines
}

// confirmation says how much of the evidence other parsers read the same.
func confirmation(c scanner.CrossCheck) string {
	s := fmt.Sprintf("%s, %d confirmed by a second reader", prose.Count(c.Pieces, "piece", "pieces"), c.Confirmed)
	if n := c.NotAsked + c.Failed; n > 0 {
		s += fmt.Sprintf(", %d not readable by it", n)
	}
	if c.Differ > 0 {
		s += fmt.Sprintf(", %d read differently by it", c.Differ)
	}
	return s
}

// actions returns the findings that ask something of the reader: what counts
// first, what is waived last, and what is not met before what is not known. What
// is not known for one and the same reason is one group; every other group is
// one finding.
func actions(r *scanner.Result) [][]requirement.Finding {
	const counts, beside, waived = 0, 1, 2
	round := func(f requirement.Finding) int {
		switch {
		case f.Waiver != nil:
			return waived
		case f.Counts:
			return counts
		}
		return beside
	}
	var all [][]requirement.Finding
	for now := counts; now <= waived; now++ {
		for _, status := range []requirement.Status{requirement.Failed, requirement.Warning, requirement.Undetermined} {
			var groups [][]requirement.Finding
			for _, f := range r.Findings {
				// What only the service knows is told in one line with the verdict.
				if f.Status != status || round(f) != now || now == beside && unasked(f) {
					continue
				}
				same := func(g []requirement.Finding) bool { return g[0].Message == f.Message }
				if i := slices.IndexFunc(groups, same); i >= 0 && status == requirement.Undetermined && now != waived {
					groups[i] = append(groups[i], f)
				} else {
					groups = append(groups, []requirement.Finding{f})
				}
			}
			all = append(all, groups...)
		}
	}
	return all
}

// marks says beside a finding's id what its status does not say.
func marks(f requirement.Finding) []string {
	var list []string
	if f.AWSErrorCode != "" {
		list = append(list, "AWS: "+f.AWSErrorCode)
	}
	if f.Severity != requirement.Required {
		list = append(list, string(f.Severity))
	}
	if f.Accepted {
		list = append(list, "accepted")
	}
	if f.Waiver != nil {
		list = append(list, "waived")
	}
	return list
}

// omitted says what a finding does not carry; "" if it carries everything.
func omitted(f requirement.Finding) string {
	var parts []string
	for _, part := range []struct {
		n         int
		one, many string
	}{
		{f.Omitted.Evidence, "piece of evidence", "pieces of evidence"},
		{f.Omitted.Details, "entry of the details", "entries of the details"},
	} {
		if part.n > 0 {
			parts = append(parts, prose.Count(part.n, part.one, part.many))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return "Not shown: " + strings.Join(parts, " and ") + "."
}

// waiver says until when, by whom and why a finding does not count.
func waiver(w requirement.Waiver) string {
	return fmt.Sprintf("until %s by %s: %s", w.Expiry.Format(time.DateOnly), w.Owner, w.Reason)
}

// advice says what to do about a finding, and what that is: a fix, or a check
// on the living system. Both are "" if there is nothing to do.
func advice(f requirement.Finding) (what, how string) {
	switch {
	case f.Outcome.Remediation != "":
		return "Fix", f.Outcome.Remediation
	case f.Status == requirement.Undetermined && f.Live != "":
		return "Live check", f.Live
	}
	return "", ""
}

// told is a piece of evidence: where it is, then what is there, since when, and
// what is to be known of it.
func told(e requirement.Evidence) (where, what []string) {
	switch {
	case e.Key != "" && hiveRoot(e.Path) != "":
		where = append(where, hiveRoot(e.Path)+`\`+e.Key)
	case e.Key != "":
		where = append(where, e.Source+" "+e.Path, e.Key)
	default:
		where = append(where, strings.TrimSpace(e.Source+" "+e.Path))
	}
	value := e.Value
	if value == "" && hasValue(e) {
		value = "(Default)"
	}
	switch {
	case value != "" && e.Data != "":
		what = append(what, value+" = "+e.Data)
	case value != "" || e.Data != "":
		what = append(what, value+e.Data)
	}
	if timestamp(e.Time) != "" {
		what = append(what, e.Time.UTC().Format("2006-01-02 15:04Z"))
	}
	if e.Note != "" {
		what = append(what, "("+e.Note+")")
	}
	return where, what
}

// hiveRoot is the name under which Windows shows a machine's hive, "" for any
// other file: the name that inspect reg takes.
func hiveRoot(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i < 0 || !strings.HasSuffix(strings.ToLower(path[:i]), "system32/config") {
		return ""
	}
	switch name := strings.ToUpper(path[i+1:]); name {
	case "SYSTEM", "SOFTWARE", "SAM", "SECURITY", "COMPONENTS", "DRIVERS":
		return `HKLM\` + name
	case "DEFAULT":
		return `HKU\.DEFAULT`
	}
	return ""
}

// statusName is the status in words.
func statusName(s requirement.Status) string {
	return strings.ReplaceAll(string(s), "_", " ")
}

// line is a piece of evidence in one line.
func line(e requirement.Evidence) string {
	where, what := told(e)
	return strings.Join(slices.Concat(where, what), "  ")
}
