package evtx

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
)

// corpusLogs are the event logs of the corpus, with their numbers of records.
var corpusLogs = []struct {
	name    string
	records int
	checked bool // checksums confirm the records
}{
	{"Velocidex__evtx/testdata/Microsoft-Windows-CAPI2_Operational_EventID70.evtx", 1, true},
	{"Velocidex__evtx/testdata/Security.evtx.gz", 739, true},
	{"log2timeline__plaso/test_data/evtx/System.evtx.gz", 5009, true},
	{"omerbenamram__evtx/samples/Application_no_crc32.evtx", 17, false},
	{"omerbenamram__evtx/samples/Security_short_selected.evtx", 7, true},
	{"omerbenamram__evtx/samples/new-user-security.evtx", 4, true},
	{"omerbenamram__evtx/samples/system.evtx.gz", 1881, true},
}

func corpusLog(t testing.TB, name string) []byte {
	return testenv.CorpusFile(t, "windows_logs/"+name)
}

func openBytes(data []byte) (*Log, error) {
	return Open(context.Background(), bytes.NewReader(data), int64(len(data)), Options{})
}

// readLog returns all records and damage of a log.
func readLog(t testing.TB, data []byte) (records []*Record, damage []*Damage) {
	t.Helper()
	l, err := openBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range l.Records() {
		var d *Damage
		switch {
		case errors.As(err, &d):
			damage = append(damage, d)
		case err != nil:
			t.Fatal(err)
		default:
			records = append(records, r)
		}
	}
	return records, damage
}

// exported is a record as evtxexport writes it.
type exported struct {
	Number     uint64
	Written    string
	Level      string
	UserID     string
	Computer   string
	Source     string
	Identifier uint32
	Strings    []string
}

// runExport runs evtxexport on a log.
func runExport(t testing.TB, data []byte, format string) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "Log.evtx")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("evtxexport", "-f", format, name).Output()
	if err != nil {
		t.Logf("evtxexport: %v", err)
	}
	return out
}

var (
	exportedLine = regexp.MustCompile(`^([A-Za-z :0-9]+?)\t+: (.*)$`)
	identifier   = regexp.MustCompile(`^0x([0-9a-f]{8})`)
)

// exportText returns the records that evtxexport lists as text. A string with a line end goes on in the next line.
func exportText(t testing.TB, data []byte) []exported {
	t.Helper()
	var list []exported
	for line := range strings.Lines(string(runExport(t, data, "text"))) {
		line = strings.TrimSuffix(line, "\n")
		m := exportedLine.FindStringSubmatch(line)
		if m == nil {
			if n := len(list); n > 0 && len(list[n-1].Strings) > 0 {
				s := &list[n-1].Strings[len(list[n-1].Strings)-1]
				*s += "\n" + line
			}
			continue
		}
		if m[1] == "Event number" {
			n, err := strconv.ParseUint(m[2], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, exported{Number: n})
			continue
		}
		e := &list[len(list)-1]
		switch {
		case m[1] == "Written time":
			e.Written = m[2]
		case m[1] == "Event level":
			e.Level = m[2]
		case m[1] == "User security identifier":
			e.UserID = m[2]
		case m[1] == "Computer name":
			e.Computer = m[2]
		case m[1] == "Source name":
			e.Source = m[2]
		case m[1] == "Event identifier":
			n, err := strconv.ParseUint(identifier.FindStringSubmatch(m[2])[1], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			e.Identifier = uint32(n)
		case strings.HasPrefix(m[1], "String: "):
			e.Strings = append(e.Strings, m[2])
		}
	}
	for _, e := range list {
		if n := len(e.Strings); n > 0 {
			e.Strings[n-1] = strings.TrimSuffix(e.Strings[n-1], "\n") // the empty line between records
		}
	}
	return list
}

var levels = map[Level]string{LogAlways: "Information (0)", Critical: "Critical (1)", Error: "Error (2)",
	Warning: "Warning (3)", Information: "Information (4)", Verbose: "Verbose (5)"}

// asExported returns a record in the form of evtxexport, without its strings.
func asExported(r *Record) exported {
	return exported{
		Number: r.Number, Written: r.Written.Format("Jan 02, 2006 15:04:05.000000000 UTC"), Level: levels[r.Level],
		UserID: r.UserID, Computer: r.Computer, Source: cmp.Or(r.Provider.Source, r.Provider.Name),
		Identifier: uint32(r.EventID),
	}
}

// A node is an XML element in a form that compares.
type node struct {
	Name       string
	Attributes []string
	Text       string
	Children   []*node
}

// parseXML returns the elements in a text.
func parseXML(t testing.TB, text []byte) []*node {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(text))
	root := &node{}
	stack := []*node{root}
	for {
		token, err := d.RawToken()
		if err == io.EOF {
			return root.Children
		}
		if err != nil {
			t.Fatal(err)
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			n := &node{Name: rawName(token.Name)}
			for _, a := range token.Attr {
				n.Attributes = append(n.Attributes, rawName(a.Name)+"="+a.Value)
			}
			top.Children = append(top.Children, n)
			stack = append(stack, n)
		case xml.EndElement:
			if len(top.Children) > 0 {
				top.Text = "" // indentation
			}
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.Text += string(token)
		}
	}
}

func rawName(n xml.Name) string {
	if n.Space != "" {
		return n.Space + ":" + n.Local
	}
	return n.Local
}

// paddedHex is how evtxexport writes hexadecimal values: with all their digits.
var paddedHex = regexp.MustCompile(`^0x0*([0-9a-f]+)$`)

// plain returns a text without what evtxexport writes differently: hexadecimal values, carriage returns, which XML does
// not have, and texts of nothing but a line end, which it leaves out.
func plain(text string) string {
	text = strings.ReplaceAll(paddedHex.ReplaceAllString(text, "0x$1"), "\r\n", "\n")
	if text == "\n" {
		return ""
	}
	return text
}

// sameAsExport compares the XML of records with that of evtxexport.
func sameAsExport(t *testing.T, records []*Record, want []*node) {
	t.Helper()
	if len(records) != len(want) {
		t.Fatalf("%d records, evtxexport has %d", len(records), len(want))
	}
	var trim func(n *node)
	trim = func(n *node) {
		n.Text = plain(n.Text)
		for i, a := range n.Attributes {
			name, value, _ := strings.Cut(a, "=")
			n.Attributes[i] = name + "=" + plain(value)
		}
		for _, c := range n.Children {
			trim(c)
		}
	}
	different := 0
	for i, r := range records {
		trim(want[i])
		got := parseXML(t, []byte(r.Event.String()))[0]
		trim(got)
		if reflect.DeepEqual(want[i], got) {
			continue
		}
		if different++; different < 4 {
			t.Errorf("record %d:\n%s", r.Number, gocmp.Diff(want[i], got))
		}
	}
	if different > 0 {
		t.Errorf("%d of %d records differ", different, len(records))
	}
}

// sameBackward compares the records of a log with those from its end.
func sameBackward(t *testing.T, data []byte, records []*Record) {
	t.Helper()
	l, err := openBytes(data)
	if err != nil {
		t.Fatal(err)
	}
	left := len(records)
	for r, err := range l.Backward() {
		if left--; err != nil || left < 0 || r.Number != records[left].Number || r.Offset != records[left].Offset {
			t.Fatalf("backward: %v, %v, %d left", r, err, left)
		}
	}
	if left != 0 {
		t.Errorf("backward: %d records are missing", left)
	}
}

// TestCorpus: the records of real logs are those of evtxexport: their numbers, times, identifiers, names, strings, and
// their XML.
func TestCorpus(t *testing.T) {
	testenv.Tool(t, "evtxexport")
	for _, file := range corpusLogs {
		t.Run(filepath.Base(file.name), func(t *testing.T) {
			t.Parallel()
			data := corpusLog(t, file.name)
			records, damage := readLog(t, data)
			if len(records) != file.records {
				t.Errorf("%d records, want %d", len(records), file.records)
			}
			for _, d := range damage {
				t.Error(d)
			}
			if len(records) < 100 || testenv.Full() {
				_, text, _ := bytes.Cut(runExport(t, data, "xml"), []byte("\n"))
				sameAsExport(t, records, parseXML(t, text))
			}
			sameBackward(t, data, records)
			list := exportText(t, data)
			if len(list) != len(records) {
				t.Fatalf("%d records, evtxexport lists %d", len(records), len(list))
			}
			for i, r := range records {
				want, got := list[i], asExported(r)
				if r.Event.Child("UserData") != nil {
					want.Strings = nil // evtxexport lists only values that stand in places of a template
				} else {
					for _, f := range r.Data {
						got.Strings = append(got.Strings, plain(f.Value.String()))
					}
				}
				for i, s := range want.Strings {
					want.Strings[i] = plain(s)
				}
				if !reflect.DeepEqual(want, got) {
					t.Fatalf("record %d:\n%s", r.Number, gocmp.Diff(want, got))
				}
				if r.Verified != file.checked {
					t.Fatalf("record %d is verified: %t", r.Number, r.Verified)
				}
			}
		})
	}
}
