package evtxtest

import (
	"crypto/sha256"
	"sync"
)

// An Event is an event as Windows writes it: its own data is a template within that of all events.
type Event struct {
	Number   uint64 // as in Record
	Time     uint64 // FILETIME, as in Record
	Provider string
	ID       uint16
	Level    byte
	Channel  string
	Computer string // "" is PC
	UserID   []byte // a SID
	Data     []Datum
	// User is the name of the element in UserData that has the data; "" stands for EventData.
	User string
}

// A Datum is a piece of an event's data. Without a name it is an insertion string.
type Datum struct{ Name, Text string }

// Record returns the record of an event.
func (e Event) Record() Record {
	if e.Computer == "" {
		e.Computer = "PC"
	}
	if e.Time == 0 {
		e.Time = fileTime + e.Number*10_000_000
	}
	var values []Value
	for _, d := range e.Data {
		values = append(values, Text(d.Text))
	}
	user := Value{}
	if e.UserID != nil {
		user = Value{Type: 0x13, Data: e.UserID}
	}
	t := outer(e.Provider, e.User != "")
	return Record{Number: e.Number, Time: e.Time, Body: Fragment{Template: t, Values: []Value{
		Number(0x04, 1, uint64(e.Level)), Number(0x06, 2, uint64(e.ID)), Number(0x15, 8, 0x80000000000000),
		Number(0x11, 8, e.Time), Number(0x0A, 8, e.Number), Number(0x08, 4, 4), Text(e.Channel), Text(e.Computer), user, {},
		Nested(Fragment{Template: inner(e), Values: values}),
	}}}
}

var (
	templates   = map[string]*Template{}
	templatesMu sync.Mutex
)

// shared returns the template with a name: records share templates, so that a chunk has each once.
func shared(name string, root func() Element) *Template {
	templatesMu.Lock()
	defer templatesMu.Unlock()
	t := templates[name]
	if t == nil {
		sum := sha256.Sum256([]byte(name))
		t = &Template{GUID: [16]byte(sum[:16]), Root: root()}
		templates[name] = t
	}
	return t
}

// outer is the template of all events of a provider, as Windows has it, with fewer values.
func outer(provider string, user bool) *Template {
	data := "EventData"
	if user {
		data = "UserData"
	}
	return shared("outer\x00"+provider+"\x00"+data, func() Element {
		place := func(index int, kind byte) []any { return []any{Place{index, kind, true}} }
		content := []any{Place{10, 0x21, true}}
		if user {
			content = []any{Element{Name: data, Needs: 11, Content: content}}
		}
		return Element{Name: "Event", Attributes: []Attribute{
			{"xmlns", []any{"http://schemas.microsoft.com/win/2004/08/events/event"}},
		}, Content: append([]any{Element{Name: "System", Content: []any{
			Element{Name: "Provider", Attributes: []Attribute{{"Name", []any{provider}}}},
			Element{Name: "EventID", Content: place(1, 0x06)},
			Element{Name: "Level", Needs: 1, Content: place(0, 0x04)},
			Element{Name: "Keywords", Needs: 3, Content: place(2, 0x15)},
			Element{Name: "TimeCreated", Attributes: []Attribute{{"SystemTime", place(3, 0x11)}}},
			Element{Name: "EventRecordID", Needs: 5, Content: place(4, 0x0A)},
			Element{Name: "Correlation", Attributes: []Attribute{{"ActivityID", place(9, 0x0F)}}},
			Element{Name: "Execution", Attributes: []Attribute{{"ProcessID", place(5, 0x08)}}},
			Element{Name: "Channel", Content: place(6, 0x01)},
			Element{Name: "Computer", Content: place(7, 0x01)},
			Element{Name: "Security", Attributes: []Attribute{{"UserID", place(8, 0x13)}}},
		}}}, content...)}
	})
}

// inner is the template of an event's own data.
func inner(e Event) *Template {
	name := "inner\x00" + e.User
	for _, d := range e.Data {
		name += "\x00" + d.Name
	}
	return shared(name, func() Element {
		var content []any
		for i, d := range e.Data {
			place := []any{Place{Index: i, Type: 1}}
			switch {
			case e.User != "":
				content = append(content, Element{Name: d.Name, Content: place})
			case d.Name == "":
				content = append(content, Element{Name: "Data", Content: place})
			default:
				content = append(content, Element{Name: "Data", Attributes: []Attribute{{"Name", []any{d.Name}}},
					Content: place})
			}
		}
		if e.User != "" {
			return Element{Name: e.User, Content: content}
		}
		return Element{Name: "EventData", Content: content}
	})
}

// Events returns the records of events.
func Events(list ...Event) Chunk {
	var c Chunk
	for _, e := range list {
		c = append(c, e.Record())
	}
	return c
}
