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

// This file has the texts that all formats for people share: the system, the verdict, the
// cards, and the evidence. Callers make the texts Neutral and escape them.

// identity names the system, its computer and its user, if they are known.
func identity(r *scanner.Result) []string {
	parts := []string{systemName(r.Platform)}
	for _, s := range []string{r.Platform.ComputerName, r.Platform.UserName} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	return parts
}

// systemName is the name of a system with its version.
func systemName(p scanner.Platform) string {
	if p.Version == "" || strings.HasSuffix(p.Name, " "+p.Version) { // "Amazon Linux 2" has it
		return p.Name
	}
	return p.Name + " " + p.Version
}

// system is identity in one text.
func system(r *scanner.Result) string { return strings.Join(identity(r), ", ") }

// volumes returns the volumes, the root volume first.
func volumes(r *scanner.Result) []scanner.Volume {
	rank := map[scanner.Role]int{scanner.Root: 0, scanner.User: 1, scanner.Other: 2}
	list := slices.Clone(r.Volumes)
	slices.SortStableFunc(list, func(a, b scanner.Volume) int { return rank[a.Role] - rank[b.Role] })
	return list
}

// volume says what a volume is and where it is.
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

// remotes describes the files of images that were read over a network, parts and parents
// included.
func remotes(r *scanner.Result) []container {
	var list []container
	add := func(name string, f *scanner.RemoteFile) {
		if f == nil {
			return
		}
		if parts := remoteText(f); len(parts) > 0 {
			list = append(list, container{name, strings.Join(parts, ", ")})
		}
	}
	parts := func(files []scanner.Part) {
		for _, p := range files {
			add(p.Name, p.Remote)
		}
	}
	for _, i := range r.Files {
		add(i.Name, i.Remote)
		parts(i.Parts)
		for _, p := range i.Parents {
			add(p.Name, p.Remote)
			parts(p.Parts)
		}
	}
	return list
}

// remoteText says in phrases which bytes a file has that was read over a network.
func remoteText(f *scanner.RemoteFile) []string {
	var parts []string
	add := func(label, text string) {
		if text != "" {
			parts = append(parts, label+text)
		}
	}
	if f.Snapshot != "" {
		add("snapshot ", f.Snapshot)
		add("volume of ", prose.Size(f.VolumeSize))
	}
	add("version ", f.Version)
	add("ETag ", f.ETag)
	if f.RequesterPays {
		add("", "requester pays")
	}
	if f.Unencrypted {
		add("", "unencrypted connection")
	}
	if d := f.Described; d != nil {
		switch {
		case d.Encrypted == nil:
		case *d.Encrypted:
			add("", "encrypted")
			add("KMS key ", d.KMSKeyID)
		default:
			add("", "not encrypted")
		}
		add("started ", d.StartTime)
		add("", d.State)
		add("of ", d.VolumeID)
		add("as described in ", d.Document)
	}
	if s := f.ReadSet; s != nil {
		add("", fmt.Sprintf("read set of %s, SHA-256 %s", prose.Count(s.Blocks, "block", "blocks"),
			cmp.Or(s.SHA256, "unknown")))
	}
	return parts
}

// containers says of each image that is not raw what it is.
func containers(r *scanner.Result) []container {
	var list []container
	for _, i := range r.Files {
		if i.IsRaw() {
			continue
		}
		text := i.Container
		if i.Detail != "" {
			text += " (" + i.Detail + ")"
		}
		text += ", disk of " + prose.Size(i.DiskSize)
		if n := len(i.Parts); n > 0 {
			text += ", " + prose.Count(n+1, "file", "files")
		}
		var parents []string
		for _, p := range i.Parents {
			parents = append(parents, p.Name)
		}
		if len(parents) > 0 {
			text += ", changes to " + strings.Join(parents, ", which has the changes to ")
		}
		for _, s := range i.Stated {
			if s.Compared && s.Matches {
				text += ", stated " + algorithmNames[s.Algorithm] + " verified"
			}
		}
		list = append(list, container{i.Name, text})
	}
	return list
}

// container is an image that is not raw.
type container struct{ name, text string }

var algorithmNames = map[scanner.Algorithm]string{scanner.SHA256: "SHA-256", scanner.SHA1: "SHA-1", scanner.MD5: "MD5"}

// recovered says which hives of a volume were completed from their logs.
func recovered(r *scanner.Result, v scanner.Volume) string {
	var names []string
	entries := 0
	for _, h := range r.Hives {
		if h.State != "recovered" || h.Source != string(v.Role) && h.Source != v.Source {
			continue
		}
		names = append(names, path.Base(h.Path))
		for _, a := range h.Applied {
			entries += a.Entries
		}
	}
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("%s recovered from %s", prose.Some(names), prose.Count(entries, "log entry", "log entries"))
}

// noUserVolume reports whether a system whose profile is on a volume of its own was
// scanned without it.
func noUserVolume(r *scanner.Result) bool {
	return r.Platform.Family == "windows" && !r.RuleBook.WithoutUser &&
		!slices.ContainsFunc(r.Volumes, func(v scanner.Volume) bool { return v.Role == scanner.User })
}

// filesystemNames holds the names that are not written as the scanner does.
var filesystemNames = map[string]string{
	"ntfs": "NTFS", "xfs": "XFS", "btrfs": "Btrfs", "fat": "FAT", "exfat": "exFAT", "refs": "ReFS",
	"lvm2": "LVM2", "luks": "LUKS", "bitlocker": "BitLocker",
}

// worstFirst returns notices with the worst first.
func worstFirst(notices []requirement.Notice) []requirement.Notice {
	rank := map[requirement.Level]int{requirement.LevelError: 0, requirement.LevelWarning: 1, requirement.LevelInfo: 2}
	notices = slices.Clone(notices)
	slices.SortStableFunc(notices, func(a, b requirement.Notice) int { return rank[a.Level] - rank[b.Level] })
	return notices
}

// telling returns the notices that the reader must know, the worst first. Notices of level
// info about a file or a volume are only in the log.
func telling(notices []requirement.Notice) []requirement.Notice {
	return slices.DeleteFunc(worstFirst(notices), func(n requirement.Notice) bool {
		return n.Level == requirement.LevelInfo && n.Source != ""
	})
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

// tally counts the checks that decide the verdict.
func tally(r *scanner.Result) string {
	counted, waived := map[requirement.Status]int{}, map[requirement.Status]int{}
	total, service := 0, 0
	for _, f := range r.Findings {
		switch {
		case f.Counts && f.Status != requirement.NotApplicable:
			total++
			counted[f.Status]++
			if f.Waiver != nil {
				waived[f.Status]++
			}
		case unasked(f) && f.Severity == requirement.Required:
			service++
		}
	}
	var parts []string
	for _, s := range []struct {
		status    requirement.Status
		one, many string
	}{
		{requirement.Failed, "failed", "failed"},
		{requirement.Warning, "has a warning", "have warnings"},
		{requirement.Undetermined, "is undecided", "are undecided"},
		{requirement.Passed, "passed", "passed"},
	} {
		n := counted[s.status]
		if n == 0 || s.status == requirement.Passed && len(parts) > 0 {
			continue
		}
		verb := s.many
		if n == 1 {
			verb = s.one
		}
		if len(parts) > 0 && s.status == requirement.Undetermined {
			verb = "undecided"
		}
		part := fmt.Sprintf("%d %s", n, verb)
		if len(parts) == 0 {
			part = fmt.Sprintf("%d of %s %s", n, prose.Count(total, "check", "checks"), verb)
		}
		if waived[s.status] > 0 {
			part += fmt.Sprintf(" (%d waived)", waived[s.status])
		}
		parts = append(parts, part)
	}
	doubts := ""
	for _, reason := range r.Reasons {
		switch reason.Kind {
		case scanner.ReasonNotChecked:
			parts = append(parts, fmt.Sprintf("%d not checked", len(reason.IDs)))
		case scanner.ReasonImageChanged:
			doubts += " An image changed while it was read."
		case scanner.ReasonStaleBase:
			doubts += " An image lacks later changes."
		case scanner.ReasonImageHash:
			doubts += " An image does not have the hash that it states."
		case scanner.ReasonDiskUnread:
			doubts += " A disk in an archive cannot be read."
		}
	}
	if len(parts) == 0 {
		parts = []string{"no check applies"}
	}
	line := prose.Sentence(strings.Join(parts, ", ")) + doubts
	if service > 0 {
		line += " " + prose.Count(service, "more needs", "more need") + " data from AWS (--with)."
	}
	return line
}

// unasked reports whether only the service knows about a finding, and no document
// with that knowledge was given.
func unasked(f requirement.Finding) bool {
	return !f.Counts && f.Status == requirement.Undetermined && f.Scope == requirement.Service
}

// remarks are facts that the reader needs in addition to the verdict, one sentence each.
func remarks(r *scanner.Result, o Options) []string {
	lines := background(r, o)
	if c := r.CrossCheck; c != nil {
		lines = append(lines, "Cross-check: "+confirmation(*c))
	}
	if ends, plain := o.exitCode(r.WorstVerdict()), o.exitCode(worstVerdict(r)); ends != nil && *ends != *plain {
		lines = append(lines, fmt.Sprintf("The exit code is %d instead of %d because of flags or waivers.", *ends, *plain))
	}
	return lines
}

// optional names the checks that are not met or undecided and do not count; how is
// added to each line for the reader who wants to see them.
func optional(cards []card, how func(n int) string) []string {
	var unmet, undecided []string
	for _, c := range cards {
		for _, f := range c {
			if f.Status == requirement.Undetermined {
				undecided = append(undecided, f.ID)
			} else {
				unmet = append(unmet, f.ID)
			}
		}
	}
	var lines []string
	if n := len(unmet); n > 0 {
		lines = append(lines, fmt.Sprintf("%s not met: %s%s.", prose.Count(n, "recommendation is", "recommendations are"),
			prose.Some(unmet), how(n)))
	}
	if n := len(undecided); n > 0 {
		lines = append(lines, fmt.Sprintf("%s undecided: %s%s.", prose.Count(n, "optional check is", "optional checks are"),
			prose.Some(undecided), how(n)))
	}
	return lines
}

// next is what to do after reading the report: a command or a sentence.
func next(r *scanner.Result, o Options) (text string, command bool) {
	switch {
	case r.Verdict == scanner.Ready:
		return "aws workspaces create-workspace-image --workspace-id ID --name NAME --description TEXT", true
	case r.Verdict == scanner.Inconclusive && noUserVolume(r):
		return "scan again with the image of the user volume.", false
	case r.Verdict == scanner.Inconclusive && stale(r):
		return "scan the image that has the later changes, and name its base disk with --parent.", false
	case r.Verdict == scanner.Inconclusive:
		return "settle what is undecided, then scan again.", false
	case o.Saved != "":
		return "coldcheck remediate " + prose.Quote(o.Saved), true
	}
	return "add -o json=report.json, then run coldcheck remediate report.json", false
}

// stale reports whether a scanned base disk lacks later changes.
func stale(r *scanner.Result) bool {
	return slices.ContainsFunc(r.Reasons, func(v scanner.VerdictReason) bool { return v.Kind == scanner.ReasonStaleBase })
}

// confirmation says how much of the evidence a second reader confirmed.
func confirmation(c scanner.CrossCheck) string {
	s := fmt.Sprintf("%d of %s confirmed", c.Confirmed, prose.Count(c.Pieces, "piece", "pieces"))
	if n := c.NotAsked + c.Failed; n > 0 {
		s += fmt.Sprintf(", %d not readable", n)
	}
	if c.Differ > 0 {
		s += fmt.Sprintf(", %d different", c.Differ)
	}
	return s + "."
}

// card holds the findings that are unmet, or undecided, for one cause. It has at least
// one.
type card []requirement.Finding

// cards returns the findings that need action. Those of needed count for the verdict or
// for the caller's policy; those of extra do not. In each list, unmet findings come before
// undecided ones.
func cards(r *scanner.Result) (needed, extra, waived []card) {
	for _, status := range []requirement.Status{requirement.Failed, requirement.Warning, requirement.Undetermined} {
		var now [3][]card
		for _, f := range r.Findings {
			if f.Status != status || unasked(f) {
				continue
			}
			list := &now[1]
			switch {
			case f.Waiver != nil:
				list = &now[2]
			case f.Counts, f.Unmet:
				list = &now[0]
			}
			if i := slices.IndexFunc(*list, func(c card) bool { return sameCause(c.fullest(), f) }); i >= 0 {
				(*list)[i] = append((*list)[i], f)
			} else {
				*list = append(*list, card{f})
			}
		}
		needed, extra, waived = append(needed, now[0]...), append(extra, now[1]...), append(waived, now[2]...)
	}
	return needed, extra, waived
}

// fullest returns the finding of a card whose message contains those of the others.
func (c card) fullest() requirement.Finding {
	return slices.MaxFunc(c, func(a, b requirement.Finding) int { return len(a.Message) - len(b.Message) })
}

// actionable reports whether a card shows requirements and a fix. Waived findings need no
// action, and several undecided findings have no fix in common.
func (c card) actionable() bool {
	return c[0].Waiver == nil && (len(c) == 1 || c[0].Status != requirement.Undetermined)
}

// sameCause reports whether one card can show two findings of one status: the message of
// one begins with that of the other, and the fix and the evidence are the same. Only
// messages are compared of undecided findings, which no evidence decides.
func sameCause(a, b requirement.Finding) bool {
	switch {
	case a.Waiver != nil || b.Waiver != nil,
		!strings.HasPrefix(a.Message, b.Message) && !strings.HasPrefix(b.Message, a.Message):
		return false
	case a.Status == requirement.Undetermined:
		return true
	}
	return a.Outcome.Remediation == b.Outcome.Remediation &&
		slices.EqualFunc(deciding(a), deciding(b), func(a, b place) bool {
			return slices.Equal(a.where, b.where) && slices.Equal(a.what, b.what)
		})
}

// severityNames labels a requirement by what it is.
var severityNames = map[requirement.Severity]string{
	requirement.Required: "Required", requirement.Recommended: "Recommended", requirement.Info: "Listed",
}

// marks lists properties of a finding that its status does not show.
func marks(f requirement.Finding) []string {
	var list []string
	if f.AWSErrorCode != "" {
		list = append(list, "AWS: "+f.AWSErrorCode)
	}
	return append(list, weight(f)...)
}

// weight says why a finding weighs less than its status.
func weight(f requirement.Finding) []string {
	var list []string
	if f.Severity != requirement.Required {
		list = append(list, string(f.Severity))
	}
	if f.Accepted {
		list = append(list, "accepted")
	}
	if f.Waiver != nil {
		list = append(list, waivedMark)
	}
	return list
}

const waivedMark = "waived"

// omitted says how much was left out of a finding; "" if nothing was.
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

// advice is what to do about a finding, and its label: a fix, or a command that
// checks the running system. Both are "" if there is nothing to do.
func advice(f requirement.Finding) (label, text string) {
	switch {
	case f.Outcome.Remediation != "":
		return "Fix", f.Outcome.Remediation
	case f.Status == requirement.Undetermined && f.Live != "":
		return "Live check", f.Live
	}
	return "", ""
}

// describe returns the location of a piece of evidence, and its data, time and note.
func describe(e requirement.Evidence) (where, what []string) {
	where = location(e)
	value := valueName(e)
	switch {
	case value != "" && e.Data != "":
		what = append(what, value+" = "+e.Data)
	case value != "" || e.Data != "":
		what = append(what, value+e.Data)
	}
	if t := second(e.Time); t != "" {
		what = append(what, t)
	}
	if e.Note != "" {
		what = append(what, "("+e.Note+")")
	}
	return where, what
}

// location is the file and the key of a piece of evidence.
func location(e requirement.Evidence) []string {
	switch {
	case e.Key != "" && hiveRoot(e.Path) != "":
		return []string{hiveRoot(e.Path) + `\` + e.Key}
	case e.Key != "":
		return []string{e.Source + " " + e.Path, e.Key}
	}
	return []string{strings.TrimSpace(e.Source + " " + e.Path)}
}

func valueName(e requirement.Evidence) string {
	if e.Value == "" && hasValue(e) {
		return "(Default)"
	}
	return e.Value
}

// second is a time to the second, "" if it is not known.
func second(t time.Time) string {
	if timestamp(t) == "" {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// place is the evidence at one location, as a card shows it.
type place struct{ where, what []string }

// deciding returns the places that decide an unmet finding: those where something was
// found, or, if nothing was, those that were searched. Values of one key are one place.
func deciding(f requirement.Finding) []place {
	anyFound := slices.ContainsFunc(f.Evidence, isFound)
	type at struct{ source, path, key string }
	type content struct{ values, times, notes []string }
	index := map[at]int{}
	var places []place
	var contents []content
	for _, e := range f.Evidence {
		if anyFound && !isFound(e) {
			continue
		}
		k := at{e.Source, e.Path, e.Key}
		i, known := index[k]
		if !known {
			i = len(places)
			index[k] = i
			places, contents = append(places, place{where: location(e)}), append(contents, content{})
		}
		c := &contents[i]
		c.values = appendNew(c.values, quotable(e, f.Message))
		c.times = appendNew(c.times, second(e.Time))
		if e.Note != "" {
			c.notes = appendNew(c.notes, "("+e.Note+")")
		}
	}
	for i, c := range contents {
		if values := strings.Join(c.values, ", "); values != "" {
			places[i].what = []string{values}
		}
		places[i].what = slices.Concat(places[i].what, c.times, c.notes)
	}
	return slices.DeleteFunc(places, func(p place) bool { // only the name of a volume
		return len(p.what) == 0 && len(p.where) == 1 && !strings.Contains(p.where[0], " ")
	})
}

// appendNew appends a text that is not empty and not in the list.
func appendNew(list []string, s string) []string {
	if s == "" || slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// isFound reports whether a piece of evidence names something that exists. Evidence
// without a kind comes from a report that does not say, and counts as found.
func isFound(e requirement.Evidence) bool { return e.Found || e.Kind == "" }

// quotable returns the name of a value for a card, with its data if that is short and not
// in the message.
func quotable(e requirement.Evidence, message string) string {
	const long, telling = 60, 4 // in bytes: data that fills a line, and the least that counts as a quotation
	data := e.Data
	switch e.Kind {
	case requirement.KindFile, requirement.KindFolder, requirement.KindTree, requirement.KindVolume:
		data = ""
	}
	if len(data) > long || len(data) >= telling && strings.Contains(message, data) {
		data = ""
	}
	value := valueName(e)
	if value != "" && data != "" {
		value += " = "
	}
	return value + data
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

// statusLabel is the status as the head of a card.
func statusLabel(s requirement.Status) string {
	if s == requirement.Undetermined {
		return "UNDECIDED"
	}
	return strings.ToUpper(statusName(s))
}

// statusName is the status in words.
func statusName(s requirement.Status) string {
	return strings.ReplaceAll(string(s), "_", " ")
}

// line is a piece of evidence in one line.
func line(e requirement.Evidence) string {
	where, what := describe(e)
	return strings.Join(slices.Concat(where, what), "  ")
}
