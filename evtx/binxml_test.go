package evtx

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"golang.org/x/text/encoding/charmap"

	"github.com/coldcheck/coldcheck/internal/evtxtest"
	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/internal/utf16le"
)

// Short names for what the tests build.
type (
	elem = evtxtest.Element
	frag = evtxtest.Fragment
	val  = evtxtest.Value
)

func el(name string, content ...any) elem { return elem{Name: name, Content: content} }

func attrs(name string, content ...any) []evtxtest.Attribute {
	return []evtxtest.Attribute{{Name: name, Content: content}}
}

// direct is an element without a template, as evtxexport reads it.
func direct(e elem) frag { return frag{Element: &e, Dependencies: true} }

func at(index int) evtxtest.Place { return evtxtest.Place{Index: index, Type: 1} }

func optional(index int) evtxtest.Place { return evtxtest.Place{Index: index, Type: 1, Optional: true} }

func raw(kind Type, data ...byte) val { return val{Type: byte(kind), Data: data} }

// event puts content below the root of an event that has the least that an event needs.
func event(content ...any) elem {
	return elem{Name: "Event", Content: append([]any{
		el("System", el("EventID", "1"))}, content...)}
}

// template returns an event that is a template with values.
func template1(values []val, content ...any) frag {
	return frag{Template: &evtxtest.Template{GUID: [16]byte{1, 2, 3, 4, 5}, Root: event(content...)}, Values: values}
}

func oneRecord(f frag) []byte {
	return evtxtest.Build(evtxtest.Log{Chunks: []evtxtest.Chunk{{{Body: f}}}})
}

// rendered returns the XML of the only record of a log, after its System element, or the error.
func rendered(t testing.TB, data []byte) string {
	t.Helper()
	records, damage := readLog(t, data)
	if len(damage) == 1 && len(records) == 0 {
		return withoutOffset(damage[0].Error())
	}
	if len(records) != 1 || damage != nil {
		t.Fatal(records, damage)
	}
	text := strings.TrimPrefix(records[0].Event.String(), "<Event><System><EventID>1</EventID></System>")
	return strings.TrimSuffix(text, "</Event>")
}

// data returns what a record says, as name=value.
func fieldsOf(t testing.TB, data []byte) (list []string) {
	t.Helper()
	records, damage := readLog(t, data)
	if len(records) != 1 || damage != nil {
		t.Fatal(records, damage)
	}
	for _, f := range records[0].Data {
		list = append(list, f.Name+"="+f.Value.String())
	}
	return list
}

var inner = &evtxtest.Template{GUID: [16]byte{9}, Root: elem{Name: "In", Attributes: attrs("a", at(0)),
	Content: []any{at(1)}}}

// contents are fragments of everything that binary XML has, with their XML. The oracle test reads them too.
var contents = []struct {
	name   string
	body   frag
	want   string
	fields []string
	// evtxexport reads it otherwise, or not at all.
	ours bool
}{
	{"element without dependencies", frag{Element: new(event(elem{Name: "EventData",
		Content: []any{el("Data", "1")}}))},
		`<EventData><Data>1</Data></EventData>`, []string{"=1"}, true},
	{"element without a template", direct(event(el("UserData", elem{Name: "E",
		Attributes: slices.Concat(attrs("xmlns", "urn:x"), attrs("Code", "7")),
		Content:    []any{el("a", "1"), el("b")}}))),
		`<UserData><E xmlns="urn:x" Code="7"><a>1</a><b/></E></UserData>`, []string{"@Code=7", "a=1", "b="}, false},
	{"texts and references", direct(event(el("EventData", elem{Name: "Data",
		Attributes: attrs("Name", "x<", evtxtest.Entity("quot"), evtxtest.Char('&'), "\t"),
		Content: []any{"a<b>", evtxtest.Entity("amp"), evtxtest.Entity("lt"), evtxtest.Entity("gt"), evtxtest.Entity("apos"),
			evtxtest.Entity("other"), evtxtest.Char('ä'), evtxtest.CDATA("]<!"), "\r\n\x01"}}))),
		`<EventData><Data Name="x&lt;&quot;&amp;&#9;">a&lt;b&gt;&amp;&lt;&gt;'&amp;other;ä]&lt;!&#13;` +
			"\n\uFFFD</Data></EventData>",
		[]string{"x<\"&\t=a<b>&<>'&other;ä]<!\r\n\x01"}, true},
	{"instructions", direct(event(evtxtest.Instruction{Target: "pi", Data: "x"}, elem{Name: "EventData",
		Content: []any{evtxtest.Instruction{Target: "pi", Data: "x"}, el("Data", "1")}})),
		`<EventData><Data>1</Data></EventData>`, []string{"=1"}, true},
	{"values", template1([]val{evtxtest.Text("t"), raw(Uint32, 7, 0, 0, 0), raw(Null), raw(Uint16, 1, 2), raw(String)},
		el("EventData", el("Data", at(0)), el("Data", at(1)),
			el("Data", at(3)), el("Data", at(4)))),
		`<EventData><Data>t</Data><Data>7</Data><Data>513</Data><Data></Data></EventData>`,
		[]string{"=t", "=7", "=513", "="}, false},
	{"null", template1([]val{raw(Null)}, el("EventData", el("Data", at(0)))),
		`<EventData><Data/></EventData>`, []string{"="}, true},
	{"values among texts", template1([]val{evtxtest.Text("t"), raw(Int8, 0xFF)},
		el("EventData", elem{Name: "Data",
			Attributes: attrs("Name", "a", at(1)), Content: []any{"<", at(0), ">", at(1)}})),
		`<EventData><Data Name="a-1">&lt;t&gt;-1</Data></EventData>`, []string{"a-1=<t>-1"}, true},
	{"dependency", template1([]val{raw(Null), evtxtest.Text("x")}, el("EventData",
		elem{Name: "Data", Needs: 1, Content: []any{"without"}}, elem{Name: "Data", Needs: 2, Content: []any{"with"}})),
		`<EventData><Data>with</Data></EventData>`, []string{"=with"}, true},
	{"attributes without data", template1([]val{raw(Null), evtxtest.Text("x")}, el("EventData",
		elem{Name: "Data", Attributes: slices.Concat(attrs("Name", optional(0)), attrs("Type", optional(1))),
			Content: []any{"1"}})),
		`<EventData><Data Type="x">1</Data></EventData>`, []string{"@Type=x", "=1"}, false},
	{"array of strings", template1([]val{raw(array|String, utf16le.Encode("a\x00\x00b\x00")...)},
		el("EventData", el("Data", at(0)))),
		`<EventData><Data>a</Data><Data></Data><Data>b</Data></EventData>`, []string{"=a", "=", "=b"}, false},
	{"array of numbers", template1([]val{raw(array|Uint16, 1, 0, 2, 0), evtxtest.Text("x")},
		el("EventData", el("Data", "n", at(0), at(1)))),
		`<EventData><Data>n1x</Data><Data>n2x</Data></EventData>`, []string{"=n1x", "=n2x"}, true},
	{"empty array", template1([]val{raw(array | String)},
		el("EventData", el("Data", at(0)))),
		`<EventData><Data/></EventData>`, []string{"="}, false},
	{"array in an attribute", template1([]val{raw(array|Uint16, 1, 0, 2, 0)},
		el("EventData", elem{Name: "Data", Attributes: attrs("Name", at(0))})),
		`<EventData><Data Name="1, 2"/></EventData>`, []string{"1, 2="}, true},
	{"element as a value", template1([]val{evtxtest.Nested(frag{Element: new(el("In", "1"))})},
		el("UserData", at(0))),
		`<UserData><In>1</In></UserData>`, []string{"=1"}, true},
	{"element without a fragment header as a value", template1([]val{
		evtxtest.Nested(frag{Element: new(el("In", "1")), Headless: true})},
		el("UserData", at(0))),
		`<UserData><In>1</In></UserData>`, []string{"=1"}, false},
	{"template as a value", template1([]val{
		evtxtest.Nested(frag{Template: inner, Values: []val{evtxtest.Text("x"), raw(Uint8, 9)}}),
		evtxtest.Nested(frag{Template: inner, Values: []val{evtxtest.Text("y"), raw(Uint8, 8)}})},
		el("UserData", at(0)), el("More", at(1))),
		`<UserData><In a="x">9</In></UserData><More><In a="y">8</In></More>`,
		[]string{"@a=x", "=9", "In/@a=y", "In=8"}, false},
	{"template in a template in a template", template1([]val{evtxtest.Nested(frag{Template: inner, Values: []val{
		evtxtest.Text("x"), evtxtest.Nested(frag{Template: inner, Values: []val{evtxtest.Text("y"), raw(String)}})}})},
		el("UserData", at(0))),
		`<UserData><In a="x"><In a="y"></In></In></UserData>`, []string{"@a=x", "In/@a=y", "In="}, false},
	{"empty value of binary XML", template1([]val{raw(binXML)}, el("UserData", at(0))),
		`<UserData/>`, nil, true},
	{"complex data", direct(event(elem{Name: "EventData", Attributes: attrs("Name", "T"),
		Content: []any{elem{Name: "ComplexData", Attributes: attrs("Name", "c"), Content: []any{
			elem{Name: "Data", Attributes: attrs("Name", "d"), Content: []any{"1"}},
			el("Data", "2")}}, el("Binary", "FF")}})),
		`<EventData Name="T"><ComplexData Name="c"><Data Name="d">1</Data><Data>2</Data></ComplexData>` +
			`<Binary>FF</Binary></EventData>`,
		[]string{"c/d=1", "c=2", "Binary=FF"}, false},
	{"processing error", direct(event(el("ProcessingErrorData", el("ErrorCode", "15005"), el("DataItemName")),
		el("RenderingInfo", el("Level", "Error")))),
		`<ProcessingErrorData><ErrorCode>15005</ErrorCode><DataItemName/></ProcessingErrorData>` +
			`<RenderingInfo><Level>Error</Level></RenderingInfo>`, []string{"ErrorCode=15005", "DataItemName="}, false},
	{"binary event data", template1([]val{raw(Binary, 1, 0xFF)}, el("BinaryEventData", at(0))),
		`<BinaryEventData>01FF</BinaryEventData>`, []string{"BinaryEventData=01FF"}, false},
	{"attributes only", direct(event(el("UserData", el("E",
		elem{Name: "Result", Attributes: attrs("value", "0")})))),
		`<UserData><E><Result value="0"/></E></UserData>`, []string{"Result/@value=0"}, false},
}

func TestContent(t *testing.T) {
	t.Parallel()
	for _, tt := range contents {
		data := oneRecord(tt.body)
		if got := rendered(t, data); got != tt.want {
			t.Errorf("%s:\n%s, want\n%s", tt.name, got, tt.want)
			continue
		}
		if d := gocmp.Diff(tt.fields, fieldsOf(t, data)); d != "" {
			t.Error(tt.name, d)
		}
	}
}

// TestContentOracle: evtxexport reads what the tests build, and reads it the same way. So the builder writes what
// others take for event logs.
func TestContentOracle(t *testing.T) {
	testenv.Tool(t, "evtxexport")
	t.Parallel()
	var c evtxtest.Chunk
	for _, tt := range contents {
		if !tt.ours {
			c = append(c, evtxtest.Record{Body: tt.body})
		}
	}
	log := three()
	log.Chunks[0] = append(log.Chunks[0][:0:0], log.Chunks[0]...)
	for i := range c {
		c[i].Number = uint64(31 + i)
	}
	log.Chunks = append(log.Chunks, c)
	data := evtxtest.Build(log)
	records, damage := readLog(t, data)
	if len(damage) > 0 {
		t.Fatal(damage)
	}
	_, text, _ := bytes.Cut(runExport(t, data, "xml"), []byte("\n"))
	sameAsExport(t, records, parseXML(t, text))
}

// Texts in the code page of the machine are read by it.
func TestANSI(t *testing.T) {
	t.Parallel()
	data := oneRecord(template1([]val{raw(AnsiString, 0xE4), raw(array|AnsiString, 0xE4, 0, 0x81)},
		el("EventData", el("Data", at(0)), el("Data", at(1)))))
	if got := fieldsOf(t, data); !slices.Equal(got, []string{"=ä", "=ä", "=\uFFFD"}) {
		t.Errorf("%q", got)
	}
	l, err := Open(t.Context(), bytes.NewReader(data), int64(len(data)), Options{ANSI: charmap.Windows1251})
	if err != nil {
		t.Fatal(err)
	}
	for r, err := range l.Records() {
		if err != nil || r.Data[0].Value.String() != "д" || r.Data[0].Value.Type() != AnsiString {
			t.Error(r, err)
		}
	}
}

// An event without what makes it one is damage.
func TestNoEvent(t *testing.T) {
	t.Parallel()
	const no = "record 1: corrupt event log: "
	system := func(content ...any) elem { return elem{Name: "System", Content: content} }
	for _, tt := range []struct {
		body frag
		want string
	}{
		{frag{Element: new(el("Event"))}, no + "the event has no System element"},
		{frag{Element: new(el("Other", system(el("EventID", "1"))))},
			no + "the event has no System element"},
		{frag{Element: new(el("Event", system()))}, no + "the event has no number"},
		{frag{Element: new(el("Event", system(el("EventID", "x"))))},
			no + "the event has no number"},
	} {
		if got := rendered(t, oneRecord(tt.body)); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
	for _, raw := range [][]byte{{}, {0}, {0x0F, 1, 1, 0, 0}} {
		data := evtxtest.Build(evtxtest.Log{Chunks: []evtxtest.Chunk{{{Raw: raw}}}})
		if got := rendered(t, data); got != no+"the record has 0 events" {
			t.Error(got)
		}
	}
}

// Each structure of binary XML with a wrong byte or a wrong length is damage that names it.
func TestBinXMLDamage(t *testing.T) {
	t.Parallel()
	body := template1([]val{evtxtest.Text("text"), raw(Uint32, 1, 0, 0, 0)}, el("EventData",
		elem{Name: "Data", Attributes: attrs("Name", "n"), Content: []any{at(0)}},
		el("Data", at(1))))
	good := oneRecord(body)
	const start = chunk0 + chunkHeaderSize + recordHeader
	definition := start + 4 + 1 + instanceHeaderSize
	root := definition + definitionHeader + 4 // after the fragment header
	values := definition + definitionHeader + int(le.Uint32(good[definition+20:]))
	for _, tt := range []struct {
		name   string
		change func(d []byte)
		want   string
	}{
		{"fragment version", func(d []byte) { d[start+1] = 2 }, "binary XML of version 2.1 at 536"},
		{"token", func(d []byte) { d[start] = 0x10 }, "token 0x10 at 536 in place of an element"},
		{"template id", func(d []byte) { d[start+6]++ }, "has the id"},
		{"template offset below", func(d []byte) { le.PutUint32(d[start+10:], 511) },
			"a template definition at 511, outside"},
		{"template offset above", func(d []byte) { le.PutUint32(d[start+10:], 0xFFFFFFFF) },
			"a template definition at 4294967295, outside"},
		{"template size", func(d []byte) { le.PutUint32(d[definition+20:], 0xFFFFFFFF) }, "of 4294967295 bytes"},
		{"template without an element", func(d []byte) { d[root] = 0x05 }, "has no element"},
		{"element size", func(d []byte) { le.PutUint32(d[root+3:], 0x10000) }, "an element at 578 of 65536 bytes"},
		{"element size too small", func(d []byte) { le.PutUint32(d[root+3:], 21) }, "a name at 589 of 10 bytes"},
		{"element that ends after its name", func(d []byte) { le.PutUint32(d[root+3:], 24) }, "is truncated"},
		{"name offset", func(d []byte) { le.PutUint32(d[root+7:], 0xFFFF0000) }, "a name at 4294901760, outside"},
		{"name offset below", func(d []byte) { le.PutUint32(d[root+7:], 511) }, "a name at 511, outside"},
		{"name hash", func(d []byte) { d[root+11+4]++ }, "does not match its hash"},
		{"name length", func(d []byte) { le.PutUint16(d[root+11+6:], 0xFFFF) }, "of 131070 bytes"},
		{"number of values", func(d []byte) { le.PutUint32(d[values:], 0xFFFFFFFF) }, "4294967295 values of a template"},
		{"one value less", func(d []byte) { le.PutUint32(d[values:], 1) }, "a template needs value 1 of 1"},
		{"value size", func(d []byte) { le.PutUint16(d[values+4:], 0xFFFF) }, "value 0 of a template at 540 is truncated"},
		{"value type", func(d []byte) { d[values+6] = 0x16 }, "unsupported event log feature: a value of type 0x16"},
		{"value of a wrong size", func(d []byte) { le.PutUint16(d[values+8:], 3) }, "a uint32 of 3 bytes"},
	} {
		d := bytes.Clone(good)
		tt.change(d)
		evtxtest.FixChunk(d, 0)
		if got := rendered(t, d); !strings.Contains(got, tt.want) || !strings.HasPrefix(got, "record 1: ") {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

// Names that would not be names in XML are damage.
func TestValidName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{"Event": true, "a:b": true, "_x-1.2": true, "ä日": true, "": false,
		"a b": false,
		"1a":  false, "-a": false, ".a": false, "a<": false, "a>": false, "a&": false, `a"`: false, "a'": false, "a=": false,
		"a/": false, "a\x00": false, "a\n": false, "\uFFFD": false, "a\x7F": false} {
		if validName(name) != want {
			t.Errorf("%q", name)
		}
	}
}

// nested returns elements within each other.
func nested(depth int) elem {
	e := el("x")
	for range depth - 1 {
		e = el("x", e)
	}
	return e
}

// Elements may be nested up to a depth, by themselves and in values.
func TestDepth(t *testing.T) {
	t.Parallel()
	for depth, ok := range map[int]bool{maxDepth - 2: true, maxDepth - 1: true, maxDepth: false, maxDepth + 1: false} {
		data := oneRecord(frag{Element: new(event(nested(depth)))}) // below the root
		if got := rendered(t, data); strings.Contains(got, ErrLimit.Error()) == ok {
			t.Errorf("%d elements: %.100s", depth, got)
		}
	}
	for depth, ok := range map[int]bool{maxDepth - 2: true, maxDepth - 1: true, maxDepth: false, 1000: false} {
		f := frag{Template: inner, Values: []val{evtxtest.Text("x"), raw(Null)}}
		for range depth - 1 {
			f = frag{Template: inner, Values: []val{evtxtest.Text("x"), evtxtest.Nested(f)}}
		}
		data := oneRecord(template1([]val{evtxtest.Nested(f)}, at(0)))
		if got := rendered(t, data); strings.Contains(got, ErrLimit.Error()) == ok {
			t.Errorf("%d templates: %.100s", depth, got)
		}
	}
}

// A template that doubles what stands in it, again and again, ends at a bound, and costs only its own record.
func TestExpansion(t *testing.T) {
	t.Parallel()
	twice := &evtxtest.Template{GUID: [16]byte{7}, Root: el("x", at(0), at(0))}
	bomb := func(levels int) evtxtest.Record {
		f := frag{Template: twice, Values: []val{evtxtest.Text("x")}}
		for range levels - 1 {
			f = frag{Template: twice, Values: []val{evtxtest.Nested(f)}}
		}
		return evtxtest.Record{Body: template1([]val{evtxtest.Nested(f)}, at(0))}
	}
	data := evtxtest.Build(evtxtest.Log{Chunks: []evtxtest.Chunk{{bomb(10), bomb(60), bomb(10)}}})
	got := outcome(t, data, false)
	if len(got) != 3 || got[0] != "1-1" || !strings.Contains(got[1], "record 2, ") || got[2] != "3-3" ||
		!strings.Contains(got[1], ErrLimit.Error()) {
		t.Error(got)
	}
}

// A record that has no steps left for a template does not take it from the next record. A damaged one stays damaged.
func TestStepsOfDefinition(t *testing.T) {
	t.Parallel()
	log := oneRecord(template1(nil, el("EventData")))
	for _, damaged := range []bool{false, true} {
		chunk := bytes.Clone(log[chunk0:chunk1])
		offset := chunkHeaderSize + recordHeader + 4 + 1 + instanceHeaderSize
		id := le.Uint32(chunk[offset+4:])
		if damaged {
			chunk[offset+definitionHeader+4] = 0
		}
		r := binXMLReader{chunk: chunk, names: map[uint32]string{}, definitions: map[uint32]definition{}, left: maxChunkSteps}
		for steps := range 6 {
			r.recordLeft = steps
			if d, _ := r.definition(id, uint32(offset)); !errors.Is(d.err, ErrLimit) && !damaged {
				t.Errorf("with %d steps: %v", steps, d.err)
			}
		}
		r.recordLeft = maxRecordSteps
		if d, _ := r.definition(id, uint32(offset)); (d.err != nil) != damaged || errors.Is(d.err, ErrLimit) {
			t.Errorf("damaged: %t, %v", damaged, d.err)
		}
	}
}

// The longest array that fits into a record is within the bound of a record, and a text that stands often in a
// template is not.
func TestSteps(t *testing.T) {
	t.Parallel()
	data := oneRecord(template1([]val{raw(array|Int8, make([]byte, 60_000)...)},
		el("EventData", el("Data", at(0)))))
	if got := fieldsOf(t, data); len(got) != 60_000 {
		t.Errorf("%d items", len(got))
	}
	repeated := func(n int) []byte {
		var content []any
		for range n {
			content = append(content, at(0))
		}
		return oneRecord(template1([]val{raw(Binary, make([]byte, 32<<10)...)}, elem{Name: "Data", Content: content}))
	}
	if records, damage := readLog(t, repeated(200)); len(records) != 1 || damage != nil {
		t.Error(damage)
	}
	if _, damage := readLog(t, repeated(300)); len(damage) != 1 || !errors.Is(damage[0], ErrLimit) {
		t.Error(damage)
	}
}

// The bound of a chunk ends a row of records that each stay within theirs. It does not concern the next chunk.
func TestChunkSteps(t *testing.T) {
	t.Parallel()
	var content []any
	for range 1000 {
		content = append(content, at(0))
	}
	values := []val{raw(Binary, make([]byte, 8<<10)...)}
	record := evtxtest.Record{Body: template1(values, el("Data", content...))}
	data := evtxtest.Build(evtxtest.Log{Chunks: []evtxtest.Chunk{{record, record, record}, {record, record}}})
	got := outcome(t, data, false)
	if len(got) != 3 || got[0] != "1-2" || !strings.Contains(got[1], ErrLimit.Error()) || got[2] != "4-5" {
		t.Error(got)
	}
}

// Templates that refer to each other do not exist: a definition holds elements and places only.
func TestTemplateCycle(t *testing.T) {
	t.Parallel()
	data := oneRecord(template1(nil))
	const start = chunk0 + chunkHeaderSize + recordHeader
	root := start + 4 + 1 + instanceHeaderSize + definitionHeader + 4
	d := bytes.Clone(data)
	copy(d[root:], data[start+4:start+4+10]) // the definition begins with an instance of itself
	evtxtest.FixChunk(d, 0)
	if got := rendered(t, d); !strings.Contains(got, "has no element") {
		t.Error(got)
	}
}

// Binary XML that ends anywhere is damage, or the record without its end: never more than it holds.
func TestTruncatedXML(t *testing.T) {
	t.Parallel()
	for _, tt := range contents {
		data := oneRecord(tt.body)
		const start = chunk0 + chunkHeaderSize
		size := int(le.Uint32(data[start+4:]))
		for end := recordHeader; end < size-4; end++ {
			xml := binXMLReader{chunk: data[chunk0 : start+end], ansi: func(b []byte) string { return string(b) },
				names: map[uint32]string{}, definitions: map[uint32]definition{}, left: maxChunkSteps, recordLeft: maxRecordSteps}
			list, err := xml.document(chunkHeaderSize+recordHeader, chunkHeaderSize+end, 0)
			if err != nil && !errors.Is(err, ErrCorrupt) {
				t.Fatalf("%s, %d bytes: %v", tt.name, end, err)
			}
			if err == nil && len(list) == 1 && data[start+end] != endToken {
				t.Fatalf("%s, %d bytes are a record: %s", tt.name, end, list[0])
			}
		}
	}
}

func TestElement(t *testing.T) {
	t.Parallel()
	var none *Element
	if none.Child("x") != nil || none.Attribute("x").Type() != Null || none.Value().Type() != Null {
		t.Error("what is not there has content")
	}
	v := Value{kind: Binary, data: []byte{1, 2}}
	if !bytes.Equal(v.Bytes(), []byte{1, 2}) || textValue("x").Bytes() != nil {
		t.Error("the bytes of a value")
	}
	e := Element{Name: "a", Attributes: []Attribute{{"b", textValue("\n\r\t\"'")}},
		Content: []Content{{Value: textValue("\n\"\ufffe")}}}
	if got, want := e.String(), "<a b=\"&#10;&#13;&#9;&quot;'\">\n\"\ufffd</a>"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
