package scanner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/ext4"
	"github.com/coldcheck/coldcheck/ntfs"
	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
	"github.com/coldcheck/coldcheck/scanner/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// CrossCheck counts the pieces of evidence of all findings by what other
// parsers made of them.
type CrossCheck struct {
	Pieces    int
	Confirmed int // read the same
	Differ    int
	Failed    int // the other parser could not read it, or ended
	NotAsked  int // of documents, out of logs that it does not apply, or of a kind that it does not read
}

// What Evidence.Unconfirmed begins with.
const (
	unconfirmedDiffers  = "differs: "
	unconfirmedFailed   = "failed: "
	unconfirmedNotAsked = "not asked: "
)

// crossCheck has other parsers read the evidence of all findings again, and
// says in the evidence what came of it. It changes nothing else of a finding.
// The error is that of the context.
func crossCheck(ctx context.Context, in Input, vs *volumes, sys system, findings []requirement.Finding, trail *requirement.Trail) (*CrossCheck, error) {
	x := &crossChecker{volumes: vs, opened: contentsRead(trail)}
	x.hives, _ = sys.(hiveFinder)

	var pieces []piece
	var checks []crosscheck.Check
	for i := range findings {
		findings[i].Evidence = slices.Clone(findings[i].Evidence) // facts share theirs
		for j := range findings[i].Evidence {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			p := x.piece(&findings[i].Evidence[j])
			p.first = len(checks)
			checks = append(checks, p.checks...)
			pieces = append(pieces, p)
		}
	}
	progress := func(done int) {
		if in.Progress != nil {
			in.Progress(Progress{Step: "reading the evidence again", Done: int64(done), Total: int64(len(checks))})
		}
	}
	answers, err := crosscheck.Run(ctx, in.CrossCheck, crosscheck.DefaultLimits, checks, progress)
	if err != nil {
		return nil, err
	}
	count := &CrossCheck{Pieces: len(pieces)}
	n := newDisagreements()
	for _, p := range pieces {
		p.conclude(answers[p.first:p.first+len(p.checks)], count, n)
	}
	n.notify(trail)
	return count, nil
}

// contentsRead are the files whose content was read, by role and path.
func contentsRead(trail *requirement.Trail) map[[2]string]bool {
	files := map[[2]string]bool{}
	events, _ := trail.Events()
	for _, e := range events {
		switch e.Name {
		case "open", "database", "packages":
			var file [2]string
			for _, a := range e.Attrs {
				switch a.Key {
				case "source":
					file[0] = a.Value
				case "path":
					file[1] = a.Value
				}
			}
			files[file] = true
		}
	}
	return files
}

// piece is a piece of evidence, with the questions that settle it.
type piece struct {
	*requirement.Evidence
	checks []crosscheck.Check
	first  int    // the place of checks among all
	stale  string // why what the other parser reads may be older, "" if it may not
	beyond string // why there is no question
}

// conclude writes into the evidence what came of its questions.
func (p piece) conclude(answers []crosscheck.Answer, count *CrossCheck, n *disagreements) {
	state, reason := crosscheck.Agrees, ""
	for _, a := range answers {
		if a.State != crosscheck.Agrees && state != crosscheck.Differs {
			state, reason = a.State, a.Reason
		}
	}
	switch {
	case p.beyond != "":
		count.NotAsked++
		p.Unconfirmed = unconfirmedNotAsked + p.beyond
	case state == crosscheck.Differs && p.stale != "":
		count.NotAsked++
		p.Unconfirmed = unconfirmedNotAsked + p.stale
	case state == crosscheck.Differs:
		count.Differ++
		p.Unconfirmed = unconfirmedDiffers + reason
		n.differ(*p.Evidence, reason)
	case state == crosscheck.Failed:
		count.Failed++
		p.Unconfirmed = unconfirmedFailed + reason
		n.fail(*p.Evidence, reason)
	default:
		count.Confirmed++
		p.ConfirmedBy = strings.Join(p.checks[0].Readers(), ", ")
	}
}

// disagreements collects what becomes notices: a difference each, and failures
// by their reasons.
type disagreements struct {
	notices  map[requirement.Notice]bool
	ordered  []requirement.Notice
	failures map[string][]requirement.Evidence
}

func newDisagreements() *disagreements {
	return &disagreements{map[requirement.Notice]bool{}, nil, map[string][]requirement.Evidence{}}
}

func (n *disagreements) differ(ev requirement.Evidence, reason string) {
	thing := ev.Path
	for _, part := range []string{ev.Key, ev.Value} {
		if part != "" {
			thing += " " + part
		}
	}
	notice := requirement.Notice{Level: requirement.LevelWarning, Source: ev.Source, Path: ev.Path, Message: "cross-check: " + thing + ": " + reason}
	if !n.notices[notice] {
		n.notices[notice] = true
		n.ordered = append(n.ordered, notice)
	}
}

func (n *disagreements) fail(ev requirement.Evidence, reason string) {
	n.failures[reason] = append(n.failures[reason], ev)
}

// maxDifferences bounds the notices of differences; the evidence says them all.
const maxDifferences = 20

func (n *disagreements) notify(trail *requirement.Trail) {
	for _, notice := range n.ordered[:min(len(n.ordered), maxDifferences)] {
		trail.Notify(notice)
	}
	if more := len(n.ordered) - maxDifferences; more > 0 {
		trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Message: "cross-check: " + prose.Count(more, "more difference", "more differences") + " in the evidence"})
	}
	for i, reason := range slices.Sorted(maps.Keys(n.failures)) {
		if i == maxDifferences {
			trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Message: "cross-check: it failed for more reasons, which the evidence has"})
			return
		}
		list := n.failures[reason]
		trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Source: list[0].Source, Path: list[0].Path,
			Message: fmt.Sprintf("cross-check: %s not read again: %s", prose.Count(len(list), "piece of evidence was", "pieces of evidence were"), reason)})
	}
}

// crossChecker turns evidence into questions, and reads again with the readers
// of the scan what the answers are compared with.
type crossChecker struct {
	volumes *volumes
	hives   hiveFinder // nil where there is no registry
	opened  map[[2]string]bool
}

// hiveFinder is a system with a registry.
type hiveFinder interface {
	Hive(source, path string) *registry.Hive
}

// rereader is a filesystem that another parser reads too.
type rereader interface {
	// reread is what the readers of the scan make of a file, with its content
	// if that is asked for. The error is fs.ErrNotExist if it is not there, and
	// beyondError if the other parser is known not to read it.
	reread(name string, content bool) (crosscheck.Reading, error)
	// totals adds up what lies below a folder.
	totals(name string) (crosscheck.Reading, error)
	// stale says why what lies on the disk may be older than what was judged.
	stale() string
}

// beyondError says why something is not asked.
type beyondError string

func (e beyondError) Error() string { return string(e) }

const (
	beyondDocument  = beyondError("it comes from a document")
	beyondSum       = beyondError("it is no single file, key or value")
	beyondLog       = beyondError("it is from the transaction log, which regparser does not apply")
	beyondHive      = beyondError("the hive was not read")
	beyondVolume    = beyondError("no other parser for the filesystem")
	beyondWOF       = beyondError("its content is compressed by the Windows Overlay Filter, which go-ntfs does not read")
	beyondSize      = beyondError("its content is too large to be read again")
	beyondName      = beyondError("a name is not in UTF-8")
	staleHive       = "the hive was recovered from its transaction logs, which regparser does not apply"
	staleJournal    = "the journal was replayed, which go-diskfs does not do"
	noteRecovered   = "from the transaction log"
	noteNotFound    = "not found"
	noteWAL         = "write-ahead log"
	maxContentAgain = 256 << 20 // bytes; databases of packages stay below
)

// How evidence tells what it is about: the total of what lies below a folder,
// or no more than what a listing shows. Anything else tells of the content.
var (
	treeData = regexp.MustCompile(`^\d+ bytes in \d+ files, `)
	listData = regexp.MustCompile(`^((folder|\d+ bytes)(, MFT record \d+)?|link to .*|)$`)
)

func (x *crossChecker) piece(ev *requirement.Evidence) piece {
	p := piece{Evidence: ev}
	if err := x.ask(&p); err != nil {
		var beyond beyondError
		if !errors.As(err, &beyond) {
			err = fmt.Errorf("it cannot be read: %w", err)
		}
		p.checks, p.beyond = nil, err.Error()
	}
	return p
}

func (x *crossChecker) ask(p *piece) error {
	switch Role(p.Source) {
	case Root, User, Other:
	default:
		return beyondDocument
	}
	if p.Path == "" {
		return x.askVolume(p)
	}
	v := x.volumeOf(Role(p.Source))
	if v == nil {
		return beyondVolume
	}
	r, ok := v.fs.(rereader)
	if !ok {
		return beyondVolume
	}
	p.stale = r.stale()
	q := v.question(crosscheck.File)
	q.Path = p.Path
	switch {
	case strings.HasPrefix(p.Note, noteRecovered):
		return beyondLog
	case p.Key != "" || x.hive(p) != nil && p.Value != "":
		return x.askRegistry(p, q, r)
	case treeData.MatchString(p.Data):
		q.Kind = crosscheck.Tree
		return p.add(q, r.totals)
	}
	q.Content = x.opened[[2]string{p.Source, p.Path}] || p.Value != "" || !listData.MatchString(p.Data)
	read := func(name string) (crosscheck.Reading, error) { return r.reread(name, q.Content) }
	if err := p.add(q, read); err != nil {
		return err
	}
	if strings.Contains(p.Note, noteWAL) {
		q.Path += "-wal"
		return p.add(q, read)
	}
	return nil
}

// add adds a question about a file.
func (p *piece) add(q crosscheck.Question, read func(name string) (crosscheck.Reading, error)) error {
	want, err := read(q.Path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	q.Record = want.Record
	p.checks = append(p.checks, crosscheck.Check{Question: q, Want: want})
	return nil
}

// askVolume is for evidence that names a volume, or nothing.
func (x *crossChecker) askVolume(p *piece) error {
	for _, v := range x.volumes.list {
		if string(v.role) != p.Source || v.name() != p.Data {
			continue
		}
		q := v.question(crosscheck.Volume)
		if q.Readers() == nil {
			return beyondVolume
		}
		p.checks = []crosscheck.Check{{Question: q, Want: crosscheck.Reading{Found: v.fs != nil, What: crosscheck.AFolder}}}
		return nil
	}
	return beyondSum
}

func (x *crossChecker) volumeOf(r Role) *volume {
	switch r {
	case Root:
		return x.volumes.root
	case User:
		return x.volumes.user
	}
	return nil
}

// question is one about the volume.
func (v *volume) question(kind crosscheck.Kind) crosscheck.Question {
	return crosscheck.Question{Kind: kind, Image: v.number, Volume: v.Number, Filesystem: v.Filesystem}
}

func (x *crossChecker) hive(p *piece) *registry.Hive {
	if x.hives == nil {
		return nil
	}
	return x.hives.Hive(p.Source, p.Path)
}

func (x *crossChecker) askRegistry(p *piece, q crosscheck.Question, r rereader) error {
	hive := x.hive(p)
	if hive == nil {
		return beyondHive
	}
	if hive.Recovery().State == registry.Recovered {
		p.stale = staleHive
	}
	file, err := r.reread(p.Path, false)
	if err != nil {
		return err
	}
	q.Kind, q.Record, q.Key, q.Value = crosscheck.Key, file.Record, p.Key, p.Value
	key, err := hive.Key(p.Key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.checks = []crosscheck.Check{{Question: q}}
		return nil
	case err != nil:
		return err
	}
	// What is not found in a key that is there is its default value.
	if p.Value == "" && p.Type == "" && p.Note != noteNotFound {
		want, err := keyReading(key)
		p.checks = []crosscheck.Check{{Question: q, Want: want}}
		return err
	}
	q.Kind = crosscheck.Value
	want, err := valueReading(key, p.Value)
	p.checks = []crosscheck.Check{{Question: q, Want: want}}
	return err
}

func keyReading(key *registry.Key) (crosscheck.Reading, error) {
	keys, err := key.Subkeys()
	if err != nil {
		return crosscheck.Reading{}, err
	}
	values, err := key.Values()
	if err != nil {
		return crosscheck.Reading{}, err
	}
	var names, lines []string
	for _, k := range keys {
		names = append(names, k.Name())
	}
	for _, v := range values {
		data, err := v.Data()
		if err != nil {
			return crosscheck.Reading{}, err
		}
		lines = append(lines, crosscheck.DescribeValue(v.Name(), uint32(v.Type()), data))
	}
	return crosscheck.Reading{Found: true, Modified: seconds(key.LastWrite()), Names: crosscheck.ListOf(names), Values: crosscheck.ListOf(lines)}, nil
}

// valueReading is a value, or that the key has none of that name.
func valueReading(key *registry.Key, name string) (crosscheck.Reading, error) {
	r := crosscheck.Reading{Modified: seconds(key.LastWrite())}
	v, err := key.Value(name)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, err
	}
	data, err := v.Data()
	r.Found, r.Type, r.Size, r.Content = true, uint32(v.Type()), int64(len(data)), crosscheck.Digest(data)
	return r, err
}

// seconds is a time as it is compared: 0, not at all, for one that the other
// parsers do not represent.
func seconds(t time.Time) int64 {
	if t.Year() < 1970 || t.Year() > 2261 { // nanoseconds since 1970 in 64 bits end in 2262
		return 0
	}
	return t.Unix()
}

func (v ntfsVolume) stale() string { return "" }

func (v ntfsVolume) reread(name string, content bool) (crosscheck.Reading, error) {
	info, err := v.Stat(name)
	if err != nil {
		return crosscheck.Reading{}, err
	}
	e, ok := info.Sys().(*ntfs.Entry)
	if !ok {
		return crosscheck.Reading{}, beyondSum
	}
	r := crosscheck.Reading{Found: true, What: crosscheck.AFile, Record: e.Record, Modified: seconds(e.Modified)}
	if e.Dir {
		r.What = crosscheck.AFolder
		if e.ReparseTag == 0 {
			r.Names, err = namesIn(v, name)
		}
		return r, err
	}
	r.Size = e.Size
	if content {
		if e.WOF {
			return crosscheck.Reading{}, beyondWOF
		}
		r.Content, err = contentOf(v, name, e.Size)
	}
	return r, err
}

func (v ntfsVolume) totals(name string) (crosscheck.Reading, error) {
	t, err := v.Tree(name)
	return crosscheck.Reading{Found: true, What: crosscheck.AFolder, Files: t.Files, Size: t.Size}, err
}

func (v extVolume) stale() string {
	if v.Volume().Journal.State == ext4.JournalReplayed {
		return staleJournal
	}
	return ""
}

func (v extVolume) reread(name string, content bool) (crosscheck.Reading, error) {
	info, err := v.Lstat(name)
	if err != nil {
		return crosscheck.Reading{}, err
	}
	r := crosscheck.Reading{Found: true, Modified: seconds(info.ModTime())}
	switch mode := info.Mode(); {
	case mode.IsDir():
		r.What = crosscheck.AFolder
		r.Names, err = namesIn(v, name)
	case mode&fs.ModeSymlink != 0:
		r.What = crosscheck.ALink
		r.Target, err = v.ReadLink(name)
	case mode.IsRegular():
		r.What, r.Size = crosscheck.AFile, info.Size()
		if content {
			r.Content, err = contentOf(v, name, r.Size)
		}
	default:
		r.What = crosscheck.Other
	}
	if err == nil && escaped(name+r.Target) {
		err = beyondName
	}
	return r, err
}

func (v extVolume) totals(string) (crosscheck.Reading, error) { return crosscheck.Reading{}, beyondSum }

// escaped says whether a name has bytes that are not UTF-8, which ext4 shows as
// characters of a private use area.
func escaped(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool { return r >= 0xEF00 && r <= 0xEFFF })
}

func namesIn(fsys fs.ReadDirFS, name string) (*crosscheck.List, error) {
	entries, err := fsys.ReadDir(name)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		if names[i] = e.Name(); escaped(names[i]) {
			return nil, beyondName
		}
	}
	return crosscheck.ListOf(names), nil
}

func contentOf(fsys fs.FS, name string, size int64) (string, error) {
	if size > maxContentAgain {
		return "", beyondSize
	}
	f, err := fsys.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	r, ok := f.(io.ReaderAt)
	if !ok {
		return "", beyondSum
	}
	return crosscheck.DigestReader(r, size)
}
