package fleet

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Bounds of a list of targets.
const (
	MaxTargets = 1_000_000
	MaxLine    = 1 << 20 // bytes of a line, or of a row of CSV
)

// maxProblems is how many problems of a list are kept.
const maxProblems = 100

// ErrList is the error for a list that has mistakes, or is beyond a bound.
var ErrList = errors.New("not a valid list of targets")

// Target is a machine, as a line of a list names it.
type Target struct {
	// ID is unique in the list, also in another case: 1 to 128 characters of A-Z, a-z, 0-9,
	// ".", "_" and "-".
	ID       string            `json:"id"`
	Images   []string          `json:"images"` // 1 to 1,000, in any order
	UserName string            `json:"user_name,omitempty"`
	With     []string          `json:"with,omitempty"` // documents from outside the disk
	Labels   map[string]string `json:"labels,omitempty"`
}

// Problem is a mistake in a list.
type Problem struct {
	Line int // from 1; 0 for all of the list
	Text string
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.Text
	}
	return fmt.Sprintf("line %d: %s", p.Line, p.Text)
}

// ListError has every mistake of a list. It is an ErrList.
type ListError struct {
	Name     string
	Problems []Problem // in the order of lines
	More     int       // mistakes that are not in Problems
}

func (e *ListError) Error() string {
	text := e.Name + ": "
	for i, p := range e.Problems {
		if i > 0 {
			text += "; "
		}
		text += p.String()
	}
	if e.More > 0 {
		text += "; and " + prose.Count(e.More, "more mistake", "more mistakes")
	}
	return text
}

func (e *ListError) Unwrap() error { return ErrList }

// ReadTargets reads a list: JSON lines, or CSV with a header, which is found from
// the first character that is not blank. A mistake is a *ListError, which has all of them.
// An error of r is returned as it is.
//
// CSV has the columns id, images, user_name, with, and label.NAME for each label; only id
// and images are required. A cell with several images or documents separates them by "|".
func ReadTargets(name string, r io.Reader) ([]Target, error) {
	return ReadShard(name, r, Shard{0, 1})
}

// ReadShard reads a list as ReadTargets does, and returns the targets of a shard, in the
// order of the list. It checks the other ones too, and keeps only their ids while it reads.
func ReadShard(name string, r io.Reader, shard Shard) ([]Target, error) {
	return readTargets(name, r, shard, MaxTargets)
}

func readTargets(name string, r io.Reader, shard Shard, most int) ([]Target, error) {
	l := &list{shard: shard, most: most, ids: newIDSet(), failure: ListError{Name: name}}
	b := bufio.NewReaderSize(r, 64<<10)
	if err := l.skipMark(b); err != nil {
		return nil, err
	}
	first, blank, err := firstCharacter(b)
	switch {
	case err == io.EOF:
		l.problem(0, "it has no targets")
	case err != nil:
		return nil, err
	case first == '{':
		err = l.readJSON(b, blank)
	case first == '[':
		l.problem(blank+1, "it is a JSON array: write one object a line")
	default:
		err = l.readCSV(b, blank)
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	if l.count == 0 && len(l.failure.Problems) == 0 {
		l.problem(0, "it has no targets")
	}
	if len(l.failure.Problems) > 0 {
		return nil, &l.failure
	}
	return l.targets, nil
}

// list is a list that is read.
type list struct {
	shard   Shard
	most    int      // targets
	count   int      // targets so far
	targets []Target // those of the shard
	ids     *idSet
	failure ListError
}

func (l *list) problem(line int, format string, args ...any) {
	if len(l.failure.Problems) >= maxProblems {
		l.failure.More++
		return
	}
	l.failure.Problems = append(l.failure.Problems, Problem{line, fmt.Sprintf(format, args...)})
}

// skipMark skips a byte order mark of UTF-8, which spreadsheets write.
func (l *list) skipMark(b *bufio.Reader) error {
	mark, err := b.Peek(3)
	if string(mark) == "\ufeff" {
		_, err = b.Discard(3)
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// firstCharacter returns the first byte that is not blank, and the number of line ends
// before it. The reader stays at that byte's line.
func firstCharacter(b *bufio.Reader) (first byte, lines int, err error) {
	for {
		c, err := b.ReadByte()
		if err != nil {
			return 0, lines, err
		}
		switch c {
		case '\n':
			lines++
		case ' ', '\t', '\r':
		default:
			return c, lines, b.UnreadByte()
		}
	}
}

func (l *list) readJSON(b *bufio.Reader, line int) error {
	for {
		line++
		text, long, err := readLine(b)
		if err != nil && err != io.EOF {
			return err
		}
		switch text := bytes.TrimSpace(text); {
		case long:
			l.problem(line, "it is longer than %d MiB", MaxLine>>20)
		case len(text) > 0:
			var t Target
			if problem := decodeTarget(text, &t); problem != "" {
				l.problem(line, "%s", problem)
			} else if !l.add(line, t) {
				return nil
			}
		}
		if err == io.EOF {
			return nil
		}
	}
}

// readLine reads a line, without its end. It returns long and no text for one above
// MaxLine.
func readLine(b *bufio.Reader) (text []byte, long bool, err error) {
	for {
		part, err := b.ReadSlice('\n')
		content := bytes.TrimSuffix(part, []byte{'\n'})
		if long = long || len(text)+len(content) > MaxLine; long {
			text = nil
		} else {
			text = append(text, content...)
		}
		if err != bufio.ErrBufferFull {
			return text, long, err
		}
	}
}

// decodeTarget reads a line of JSON. It returns what is wrong with it.
func decodeTarget(text []byte, t *Target) (problem string) {
	if !utf8.Valid(text) {
		return "it is not UTF-8"
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if err := d.Decode(t); err != nil {
		return jsonProblem(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return "something follows the object"
	}
	return checkKeys(text, targetKeys)
}

var targetKeys = []string{"id", "images", "user_name", "with", "labels"}

// checkKeys returns what is wrong with the keys of an object, which encoding/json does not
// look at: it accepts a key twice, and in another case. known are the keys that there may
// be; nil for any.
func checkKeys(object []byte, known []string) (problem string) {
	d := json.NewDecoder(bytes.NewReader(object))
	if open, err := d.Token(); err != nil || open != json.Delim('{') {
		return "not a JSON object"
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		key, isKey := token.(string)
		var value json.RawMessage
		if err == nil {
			err = d.Decode(&value)
		}
		switch {
		case err != nil || !isKey:
			return "not valid JSON"
		case known != nil && !slices.Contains(known, key):
			return fmt.Sprintf("unknown key %.140q: the keys are %s", key, strings.Join(known, ", "))
		case seen[key]:
			return fmt.Sprintf("the key %.140q is there twice", key)
		}
		seen[key] = true
		if bytes.HasPrefix(value, []byte{'{'}) {
			if problem := checkKeys(value, nil); problem != "" {
				return problem
			}
		}
	}
	return ""
}

func jsonProblem(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Sprintf("%s must not be a JSON %s", kind.Field, kind.Value)
	case errors.As(err, &kind):
		return "not a JSON object"
	case errors.As(err, &syntax):
		return fmt.Sprintf("not valid JSON at byte %d", syntax.Offset)
	case err == io.ErrUnexpectedEOF:
		return "not valid JSON: it ends too early"
	}
	return "not valid JSON"
}

// readCSV reads rows with a header.
func (l *list) readCSV(b *bufio.Reader, lines int) error {
	bounded := &rowBound{r: b, left: MaxLine + bufferOfCSV}
	c := csv.NewReader(bounded)
	c.FieldsPerRecord = -1
	c.ReuseRecord = true
	header, err := c.Read()
	if err != nil {
		return l.csvError(err, lines)
	}
	columns := slices.Clone(header)
	if !l.checkHeader(columns, lines+1) {
		return nil
	}
	for {
		bounded.left = MaxLine + bufferOfCSV
		before := c.InputOffset()
		row, err := c.Read()
		if err == io.EOF {
			return nil
		}
		var parse *csv.ParseError
		if errors.As(err, &parse) { // the next row may be right
			l.problem(parse.StartLine+lines, "not valid CSV: %v", parse.Err)
			continue
		}
		if err != nil {
			return l.csvError(err, lines)
		}
		line, _ := c.FieldPos(0)
		line += lines
		if c.InputOffset()-before > MaxLine+1 {
			l.problem(line, "it is longer than %d MiB", MaxLine>>20)
			continue
		}
		if len(row) != len(columns) {
			l.problem(line, "it has %d columns, and the header has %d", len(row), len(columns))
			continue
		}
		t, empty := csvTarget(columns, row)
		if empty {
			continue
		}
		if !l.add(line, t) {
			return nil
		}
	}
}

// bufferOfCSV is how much the CSV reader reads ahead of a row.
const bufferOfCSV = 4096

// rowBound ends a row that has no end.
type rowBound struct {
	r    io.Reader
	left int
}

var errLongRow = errors.New("the row is too long")

func (b *rowBound) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errLongRow
	}
	n, err := b.r.Read(p)
	b.left -= n
	return n, err
}

// csvError makes a problem of an error of the format after which no row can be found.
func (l *list) csvError(err error, lines int) error {
	var parse *csv.ParseError
	switch {
	case errors.Is(err, errLongRow):
		l.problem(0, "a row is longer than %d MiB", MaxLine>>20)
	case errors.As(err, &parse):
		l.problem(parse.StartLine+lines, "not valid CSV: %v", parse.Err)
	default:
		return err
	}
	return nil
}

const labelColumn = "label."

// checkHeader clears the names of columns that there are not, so that rows are checked all
// the same. It returns false if a required column is missing, and rows have no meaning.
func (l *list) checkHeader(columns []string, line int) bool {
	known := []string{"id", "images", "user_name", "with"}
	seen := map[string]bool{}
	for i, c := range columns {
		label, isLabel := strings.CutPrefix(c, labelColumn)
		switch {
		case seen[c]:
			l.problem(line, "the column %q is there twice", c)
			columns[i] = ""
		case isLabel && label != "", slices.Contains(known, c):
		default:
			l.problem(line, "unknown column %q: the columns are %s and %sNAME", c, strings.Join(known, ", "), labelColumn)
			columns[i] = ""
		}
		seen[c] = true
	}
	for _, c := range known[:2] {
		if !seen[c] {
			l.problem(line, "there is no column %q", c)
		}
	}
	return seen[known[0]] && seen[known[1]]
}

// csvTarget reads a row. empty says that all its cells are empty.
func csvTarget(columns, row []string) (t Target, empty bool) {
	empty = true
	for i, c := range columns {
		cell := strings.TrimSpace(row[i])
		if cell == "" {
			continue
		}
		empty = false
		switch c {
		case "":
		case "id":
			t.ID = cell
		case "images":
			t.Images = splitCell(cell)
		case "user_name":
			t.UserName = cell
		case "with":
			t.With = splitCell(cell)
		default:
			if t.Labels == nil {
				t.Labels = map[string]string{}
			}
			t.Labels[strings.TrimPrefix(c, labelColumn)] = cell
		}
	}
	return t, empty
}

func splitCell(cell string) []string {
	parts := strings.Split(cell, "|")
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return parts
}

var validID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,128}$`)

// add checks a target and adds it. It returns false if no more can be added.
func (l *list) add(line int, t Target) bool {
	if l.count == l.most {
		l.problem(line, "there are more than %d targets", l.most)
		return false
	}
	switch {
	case t.ID == "":
		l.problem(line, "there is no id")
	case !validID.MatchString(t.ID):
		l.problem(line, "the id %.140q is not 1 to 128 of the characters A-Z, a-z, 0-9, \".\", \"_\" and \"-\"", t.ID)
	default:
		switch before, same, found := l.ids.add(t.ID, line); {
		case found && same:
			l.problem(line, "the id %s is in line %d too", t.ID, before)
		case found: // some file systems give both the same record
			l.problem(line, "the id %s is in line %d too, in another case", t.ID, before)
		}
	}
	l.checkImages(line, t.Images)
	switch {
	case len(t.With) > maxNames:
		l.problem(line, "there are more than %d documents", maxNames)
	case slices.Contains(t.With, ""):
		l.problem(line, "the name of a document is empty")
	}
	if _, nameless := t.Labels[""]; nameless {
		l.problem(line, "a label has no name")
	}
	if l.count%l.shard.Of == l.shard.Index {
		l.targets = append(l.targets, t)
	}
	l.count++
	return true
}

// maxNames is how many images, or documents, a target has at most.
const maxNames = 1000

func (l *list) checkImages(line int, images []string) {
	switch {
	case len(images) == 0:
		l.problem(line, "there are no images")
	case len(images) > maxNames:
		l.problem(line, "there are more than %d images", maxNames)
		return
	}
	for i, image := range images {
		switch {
		case image == "":
			l.problem(line, "the name of an image is empty")
		case slices.ContainsFunc(images[:i], func(other string) bool { return source.Same(other, image) }):
			l.problem(line, "the image %s is there twice", source.ShownName(image))
		default:
			if err := source.CheckName(image); err != nil {
				l.problem(line, "%v", err)
			}
		}
	}
}
