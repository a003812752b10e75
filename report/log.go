package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// logVersion changes when a line of the log changes its meaning.
const logVersion = 1

// Log writes every step of the scan and every finding with its evidence and
// details, one event a line in the order of time, as key=value. docs/log.md
// describes it. The names of the events written here differ from those of the
// scan's own steps.
func Log(w io.Writer, r *scanner.Result, o Options) error {
	l := &logWriter{w: bufio.NewWriter(w)}
	l.header(r, o)
	for _, e := range r.Events {
		l.begin(e.Time, e.Name)
		for _, a := range e.Attrs {
			l.put(a.Key, a.Value)
		}
		l.end()
	}
	if r.Dropped > 0 {
		l.begin(r.Finished, "events_dropped")
		l.put("count", strconv.Itoa(r.Dropped))
		l.end()
	}
	for _, one := range r.Each() {
		l.ruleBook(one)
		for _, f := range one.Findings {
			if err := l.finding(r, f); err != nil {
				return err
			}
		}
		for _, n := range one.NotChecked {
			l.begin(r.Finished, "not_checked")
			l.put("id", n.ID)
			l.put("severity", string(n.Severity))
			l.put("scope", string(n.Scope))
			l.put("counted", strconv.FormatBool(n.Counts))
			l.put("reason", n.Reason)
			l.end()
		}
	}
	for _, n := range r.Notices {
		l.begin(r.Finished, "notice")
		l.put("level", string(n.Level))
		l.putIf("source", n.Source)
		l.putIf("path", n.Path)
		l.put("message", n.Message)
		l.end()
	}
	for _, e := range r.ImageErrors {
		l.imageError(r.Finished, e)
	}
	l.conclusion(r, o)
	return l.w.Flush()
}

// logWriter writes lines. Its bufio.Writer keeps the first error for Flush.
type logWriter struct {
	w *bufio.Writer
}

func (l *logWriter) begin(t time.Time, event string) {
	l.w.WriteString("time=")
	l.w.WriteString(t.UTC().Format("2006-01-02T15:04:05.000000000Z"))
	l.put("event", event)
}

func (l *logWriter) put(key, value string) {
	l.w.WriteByte(' ')
	l.w.WriteString(logKey(key))
	l.w.WriteByte('=')
	l.w.WriteString(quote(value))
}

func (l *logWriter) putIf(key, value string) {
	if value != "" {
		l.put(key, value)
	}
}

func (l *logWriter) putInt(key string, n int64) { l.put(key, strconv.FormatInt(n, 10)) }

func (l *logWriter) putOffset(key string, at *int64) {
	if at != nil {
		l.putInt(key, *at)
	}
}

func (l *logWriter) end() { l.w.WriteByte('\n') }

func (l *logWriter) header(r *scanner.Result, o Options) {
	l.begin(r.Started, "report")
	l.put("tool", "coldcheck")
	l.put("version", o.Version)
	l.putIf("commit", o.Commit)
	tool := o.tool()
	l.putIf("date", tool.Date)
	if tool.Modified != nil {
		l.put("modified", strconv.FormatBool(*tool.Modified))
	}
	l.putIf("go", tool.Go)
	l.putIf("os", tool.OS)
	l.putIf("arch", tool.Arch)
	l.putInt("log_version", logVersion)
	l.end()
	for _, given := range []struct {
		kind  string
		names []string
	}{{"image", r.Images}, {"document", r.With}} {
		for _, name := range given.names {
			l.begin(r.Started, "given")
			l.put("kind", given.kind)
			l.put("name", name)
			l.end()
		}
	}
	for _, f := range r.Rules {
		l.begin(r.Started, "given")
		l.put("kind", "rules")
		l.put("name", f.Name)
		l.put("sha256", f.SHA256)
		l.end()
	}
	for _, a := range o.Arguments {
		l.begin(r.Started, "given")
		l.put("kind", "argument")
		l.put("name", a)
		l.end()
	}
	if e := o.examination(); e != nil {
		l.begin(r.Started, "examination")
		l.putIf("case_id", e.CaseID)
		l.putIf("examiner", e.Examiner)
		l.putIf("note", e.Note)
		l.putIf("host", e.Host)
		l.putIf("user", e.User)
		l.putIf("clock", e.Clock)
		l.putIf("time_zone", e.TimeZone)
		l.end()
	}
	for _, s := range o.Settings {
		l.begin(r.Started, "setting")
		l.put("name", s.Name)
		l.put("value", s.text())
		l.put("from", s.Source)
		l.end()
	}
	for _, i := range r.Files {
		l.begin(r.Started, "image_file")
		l.put("name", i.Name)
		l.putInt("size", i.Size)
		l.putIf("modified", timestamp(i.Modified))
		l.putIf("sha256", i.SHA256)
		l.putIf("sha1", i.SHA1)
		l.putIf("md5", i.MD5)
		if !i.IsRaw() {
			l.container(i)
		}
		l.end()
		l.pieces(r.Started, i)
	}
	for _, v := range r.Volumes {
		l.begin(r.Started, "role")
		l.put("role", string(v.Role))
		l.put("image", v.Image)
		l.put("format", v.Format)
		l.putInt("partition", int64(v.Partition))
		l.putInt("offset", v.Offset)
		l.putInt("size", v.Size)
		if v.Free >= 0 {
			l.putInt("free", v.Free)
		}
		l.putIf("filesystem", v.Filesystem)
		l.putIf("label", v.Label)
		l.putIf("serial", v.Serial)
		l.putIf("state", v.State)
		if j := v.Journal; j.State != "" {
			l.put("journal", j.State)
			if j.Transactions > 0 {
				l.putInt("transactions", int64(j.Transactions))
				l.putInt("first", int64(j.First))
				l.putInt("last", int64(j.Last))
				l.putInt("blocks", int64(j.Blocks))
			}
		}
		l.putInt("damaged", v.Damaged)
		l.putInt("torn", v.Torn)
		l.end()
	}
	for _, h := range r.Hives {
		l.begin(r.Started, "hive_state")
		l.put("source", h.Source)
		l.put("path", h.Path)
		l.put("state", h.State)
		l.putInt("primary", int64(h.Primary))
		l.putInt("secondary", int64(h.Secondary))
		l.putInt("pages", int64(h.Pages))
		l.end()
		for _, a := range h.Applied {
			l.begin(r.Started, "hive_log")
			l.put("source", h.Source)
			l.put("path", h.Path)
			l.put("log", a.Name)
			l.putInt("entries", int64(a.Entries))
			l.putInt("first", int64(a.First))
			l.putInt("last", int64(a.Last))
			l.end()
		}
	}
	l.begin(r.Started, "platform")
	l.put("family", r.Platform.Family)
	l.put("name", r.Platform.Name)
	l.put("version", r.Platform.Version)
	l.putIf("architecture", r.Platform.Architecture)
	l.putIf("computer_name", r.Platform.ComputerName)
	l.putIf("user_name", r.Platform.UserName)
	l.putIf("last_start", timestamp(r.LastStart))
	l.putIf("clean_stop", timestamp(r.CleanStop))
	l.end()
}

// container adds what the disk in an image is to the line of the image.
func (l *logWriter) container(i scanner.ImageFile) {
	l.put("container", i.Container)
	l.putIf("detail", i.Detail)
	l.putIf("member", i.Member)
	l.putInt("disk_size", i.DiskSize)
	l.putIf("disk_sha256", i.DiskSums.SHA256)
	l.putIf("disk_sha1", i.DiskSums.SHA1)
	l.putIf("disk_md5", i.DiskSums.MD5)
}

// pieces writes the other files of an image, its parents, and the hashes that it states.
func (l *logWriter) pieces(t time.Time, i scanner.ImageFile) {
	file := func(of string, p scanner.Part) {
		l.put("of", of)
		l.put("name", p.Name)
		l.putInt("size", p.Size)
		l.putIf("modified", timestamp(p.Modified))
		l.putIf("sha256", p.SHA256)
	}
	parts := func(of string, list []scanner.Part) {
		for _, p := range list {
			l.begin(t, "image_part")
			file(of, p)
			l.end()
			l.remote(t, p.Name, p.Remote)
		}
	}
	l.remote(t, i.Name, i.Remote)
	parts(i.Name, i.Parts)
	for _, p := range i.Parents {
		l.begin(t, "image_parent")
		file(i.Name, p.Part)
		l.put("container", p.Container)
		l.putIf("detail", p.Detail)
		l.putInt("disk_size", p.DiskSize)
		l.end()
		l.remote(t, p.Name, p.Remote)
		parts(p.Name, p.Parts)
	}
	for _, s := range i.Stated {
		l.begin(t, "image_states")
		l.put("of", i.Name)
		l.put("algorithm", string(s.Algorithm))
		l.put("sum", s.Sum)
		if s.Compared {
			l.put("matches", strconv.FormatBool(s.Matches))
		}
		l.end()
	}
}

// remote writes which bytes a file has that was read over a network.
func (l *logWriter) remote(t time.Time, of string, f *scanner.RemoteFile) {
	if f == nil {
		return
	}
	l.begin(t, "image_remote")
	l.put("of", of)
	l.putIf("snapshot", f.Snapshot)
	if f.Snapshot != "" {
		l.putInt("volume_size", f.VolumeSize)
	}
	l.putIf("version", f.Version)
	l.putIf("etag", f.ETag)
	if f.RequesterPays {
		l.put("requester_pays", "true")
	}
	if f.Unencrypted {
		l.put("unencrypted_connection", "true")
	}
	if s := f.ReadSet; s != nil {
		l.putIf("read_set_sha256", s.SHA256)
		l.putInt("read_set_blocks", int64(s.Blocks))
		l.putInt("read_set_block_size", s.BlockSize)
	}
	if d := f.Described; d != nil {
		l.put("document", d.Document)
		if d.Encrypted != nil {
			l.put("encrypted", strconv.FormatBool(*d.Encrypted))
		}
		l.putIf("kms_key_id", d.KMSKeyID)
		l.putIf("start_time", d.StartTime)
		l.putIf("completion_time", d.CompletionTime)
		l.putIf("state", d.State)
		l.putIf("volume_id", d.VolumeID)
		l.putIf("owner_id", d.OwnerID)
	}
	l.end()
}

// reading writes how much was read of an image.
func (l *logWriter) reading(t time.Time, i scanner.ImageFile) {
	r := i.Reading
	if r == nil {
		return
	}
	l.begin(t, "image_reading")
	l.put("of", i.Name)
	l.putInt("bytes", r.Bytes)
	l.putInt("reads", r.Reads)
	if n := traffic(r); n != nil {
		l.putInt("requests", n.Requests)
		l.putInt("lists", n.Lists)
		l.putInt("retries", n.Retries)
		l.putInt("throttled", n.Throttled)
		l.putInt("received", n.Bytes)
		l.putInt("blocks_read", n.Fetched)
		l.putInt("blocks_ahead", n.Ahead)
		l.putInt("blocks", n.Blocks)
		l.putInt("blocks_written", n.Written)
		if n.BlockSize > 0 {
			l.putInt("block_size", n.BlockSize)
		}
		l.putInt("cache_hits", n.Hits)
		l.putIf("price_usd", n.Price.String())
		l.putIf("prices", n.Prices)
	}
	l.end()
}

func (l *logWriter) finding(r *scanner.Result, f requirement.Finding) error {
	l.begin(r.Finished, "result")
	l.put("id", f.ID)
	l.put("status", string(f.Status))
	l.put("severity", string(f.Severity))
	l.put("scope", string(f.Scope))
	l.putIf("basis", string(f.Basis))
	l.put("counted", strconv.FormatBool(f.Counts))
	if f.Accepted {
		l.put("accepted", "true")
	}
	if w := f.Waiver; w != nil {
		l.put("waived", "true")
		l.put("waiver_reason", w.Reason)
		l.put("waiver_owner", w.Owner)
		l.put("waiver_expiry", w.Expiry.Format(time.DateOnly))
		l.putIf("waiver_target", w.Target)
		l.putIf("waiver_source", w.Source)
	}
	l.putIf("aws_error_code", f.AWSErrorCode)
	l.put("demand", f.Demand)
	l.put("message", f.Message)
	l.putIf("remediation", f.Outcome.Remediation)
	l.putIf("reference", f.Reference)
	l.end()
	for _, e := range f.Evidence {
		l.begin(r.Finished, "evidence")
		l.put("id", f.ID)
		l.put("source", e.Source)
		l.putIf("path", e.Path)
		l.putIf("key", e.Key)
		if hasValue(e) {
			l.put("value", e.Value)
		}
		l.putIf("type", e.Type)
		l.putIf("data", e.Data)
		l.putOffset("offset", e.Offset)
		l.putOffset("image_offset", e.ImageOffset)
		l.putOffset("record_offset", e.RecordOffset)
		l.putIf("file", e.File)
		l.putOffset("file_offset", e.FileOffset)
		l.putIf("record_file", e.RecordFile)
		l.putOffset("record_file_offset", e.RecordFileOffset)
		l.putIf("modified", timestamp(e.Time))
		l.putIf("note", e.Note)
		l.putIf("confirmed_by", e.CrossCheck.Readers)
		l.putIf("unconfirmed", unconfirmed(e.CrossCheck))
		l.end()
	}
	if o := f.Omitted; o.Any() {
		l.begin(r.Finished, "omitted")
		l.put("id", f.ID)
		l.putInt("evidence", int64(o.Evidence))
		l.putInt("details", int64(o.Details))
		l.putInt("texts", int64(o.Texts))
		l.end()
	}
	return l.details(r.Finished, f)
}

// details writes the details of a finding: each object and each element of a
// list on a line of its own, at its place.
func (l *logWriter) details(t time.Time, f requirement.Finding) error {
	if f.Details == nil {
		return nil
	}
	text, err := json.Marshal(f.Details)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return err
	}
	l.detail(t, f.ID, "", v)
	return nil
}

func (l *logWriter) detail(t time.Time, id, at string, v any) {
	line := func() {
		l.begin(t, "detail")
		l.put("id", id)
		l.putIf("at", at)
	}
	below := func(name string) string {
		if at == "" {
			return name
		}
		return at + "." + name
	}
	switch v := v.(type) {
	case map[string]any:
		names := slices.Sorted(maps.Keys(v))
		simple := func(name string) bool { _, ok := scalar(v[name]); return ok }
		if len(v) == 0 || slices.ContainsFunc(names, simple) {
			line()
			for _, name := range names {
				if s, ok := scalar(v[name]); ok {
					l.put(name, s)
				}
			}
			l.end()
		}
		for _, name := range names {
			if !simple(name) {
				l.detail(t, id, below(name), v[name])
			}
		}
	case []any:
		if len(v) == 0 {
			line()
			l.put("value", "[]")
			l.end()
		}
		for i, element := range v {
			l.detail(t, id, below(strconv.Itoa(i)), element)
		}
	default:
		s, _ := scalar(v)
		line()
		l.put("value", s)
		l.end()
	}
}

// scalar is the text of a JSON value that is neither an object nor a list.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case nil:
		return "null", true
	case bool:
		return strconv.FormatBool(v), true
	case json.Number:
		return v.String(), true
	case string:
		return v, true
	}
	return "", false
}

func (l *logWriter) imageError(t time.Time, e scanner.ImageError) {
	var findings []string
	for _, f := range e.Findings {
		findings = append(findings, f.ID+":"+string(f.Status))
	}
	l.begin(t, "image_error")
	l.put("document", e.Document)
	l.put("image", e.ImageID)
	l.putIf("name", e.ImageName)
	l.put("code", e.Code)
	l.putIf("message", e.Message)
	l.put("explained", strconv.FormatBool(e.Explained))
	l.putIf("findings", strings.Join(findings, ","))
	l.put("explanation", e.Explanation())
	l.end()
}

func (l *logWriter) conclusion(r *scanner.Result, o Options) {
	if c := r.CrossCheck; c != nil {
		l.begin(r.Finished, "cross_check")
		l.putInt("pieces", int64(c.Pieces))
		l.putInt("confirmed", int64(c.Confirmed))
		l.putInt("differ", int64(c.Differ))
		l.putInt("failed", int64(c.Failed))
		l.putInt("not_asked", int64(c.NotAsked))
		l.end()
	}
	for _, i := range r.Files {
		l.reading(r.Finished, i)
	}
	for _, one := range r.Each() {
		l.verdict(r, one, o)
	}
}

// ruleBook says which rule book the findings that follow are of.
func (l *logWriter) ruleBook(r *scanner.Result) {
	if b := r.RuleBook; b.Name != "" {
		l.begin(r.Finished, "rule_book")
		l.put("name", b.Name)
		l.put("title", b.Title)
		l.put("source", b.Source)
		l.put("as_of", b.AsOf)
		l.end()
	}
}

// verdict writes what one rule book says of the whole.
func (l *logWriter) verdict(all, r *scanner.Result, o Options) {
	for _, v := range r.Reasons {
		l.begin(r.Finished, "verdict_reason")
		l.put("reason", string(v.Kind))
		l.putIf("ids", strings.Join(v.IDs, ","))
		l.putIf("message", strings.Join(v.Messages, "; "))
		if len(all.Others) > 0 {
			l.put("rule_book", r.RuleBook.Name)
		}
		l.end()
	}
	l.begin(r.Finished, "conclusion")
	l.put("verdict", string(r.Verdict))
	if code := o.exitCode(r.PolicyVerdict); code != nil {
		l.putInt("exit_code", int64(*code))
	}
	n := r.Summary()
	for _, s := range requirement.Statuses {
		l.putInt(string(s), int64(n[s]))
	}
	l.putInt("bytes_read", r.BytesRead)
	l.putInt("reads", r.Reads)
	l.putIf("rule_book", r.RuleBook.Name)
	l.end()
}

// quote writes a value so that a line splits into fields at its spaces outside
// of quotes. Backslashes stay as they are, for grep's sake: a value is quoted
// when it is empty or holds a space, a quote or an equals sign, a quote in it is
// doubled, and what is not printable is written as Neutral writes it.
func quote(value string) string {
	value = Neutral(value)
	if value != "" && !strings.ContainsAny(value, ` "=`) {
		return value
	}
	return `"` + strings.ReplaceAll(value, `"`, `""`) + `"`
}

// logKey makes a name of a field out of any name: letters, digits and "_.-".
func logKey(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_', r == '.', r == '-':
			return r
		}
		return '_'
	}, name)
}
