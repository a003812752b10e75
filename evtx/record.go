package evtx

import (
	"strings"
	"time"
)

// A Record is an event. What an event does not have is zero, Null or nil.
type Record struct {
	Offset int64 // in the file
	// Number is the record's number in this file. RecordID is the number in the log that the event was first written
	// to, which differs in a file that holds a selection of records.
	Number, RecordID uint64
	// Written is when the record was written, in UTC; the zero Time if the log does not say. Time is when the event
	// occurred.
	Written, Time time.Time
	// Verified: the checksums of the log confirm the record. It is false for a record from a damaged or truncated
	// part, and in a log without checksums: the record is complete, but its content may have changed.
	Verified bool

	Provider Provider
	Channel  string
	Computer string
	// EventID is the number of the event that Windows shows. Qualifiers are the upper 16 bits of the identifier of the
	// message, for events of the older kind.
	EventID, Qualifiers           uint16
	Version                       uint8
	Level                         Level
	Task                          uint16
	Opcode                        uint8
	Keywords                      uint64
	ActivityID, RelatedActivityID string // GUIDs
	ProcessID, ThreadID           uint32
	UserID                        string // a SID

	// Data is what the event says, in its order: the data of EventData, UserData or what stands in their place.
	Data []Field
	// Event is all of it.
	Event *Element
}

// A Provider wrote an event.
type Provider struct {
	Name   string
	GUID   string
	Source string // name of the event source, of a provider that also writes events of the older kind
}

// A Level is how severe an event is. Providers may have levels of their own from 16 on.
type Level uint8

// The levels of Windows (winmeta.xml).
const (
	LogAlways   Level = 0 // shown as information
	Critical    Level = 1
	Error       Level = 2
	Warning     Level = 3
	Information Level = 4
	Verbose     Level = 5
)

// A Field is a piece of what an event says. Data of EventData has the name that it was given, or none; in their order
// those without a name are the insertion strings %1, %2 and so on of the message. Other elements have their path below
// EventData or below the element in UserData, and attributes theirs: "Error/@Code".
type Field struct {
	Name  string
	Value Value
}

// Field returns the first value with a name, and whether there is one.
func (r *Record) Field(name string) (Value, bool) {
	for _, f := range r.Data {
		if f.Name == name {
			return f.Value, true
		}
	}
	return Value{}, false
}

// fill takes the fields of a record from its XML.
func (r *Record) fill(event *Element) error {
	r.Event = event
	system := event.Child("System")
	if event.Name != "Event" || system == nil {
		return corrupt("the event has no System element")
	}
	id := system.Child("EventID")
	number, err := id.Value().Uint64()
	if err != nil {
		return corrupt("the event has no number")
	}
	// A number that does not fit is wrong in the log, not here: it is cut as Windows cuts it.
	r.EventID = uint16(number)
	number = 0
	count := func(v Value) uint64 {
		n, err := v.Uint64()
		if err != nil {
			return 0
		}
		return n
	}
	r.Qualifiers = uint16(count(id.Attribute("Qualifiers")))
	provider := system.Child("Provider")
	r.Provider = Provider{provider.Attribute("Name").String(), provider.Attribute("Guid").String(),
		provider.Attribute("EventSourceName").String()}
	r.Channel = system.Child("Channel").Value().String()
	r.Computer = system.Child("Computer").Value().String()
	r.Version = uint8(count(system.Child("Version").Value()))
	r.Level = Level(count(system.Child("Level").Value()))
	r.Task = uint16(count(system.Child("Task").Value()))
	r.Opcode = uint8(count(system.Child("Opcode").Value()))
	r.Keywords = count(system.Child("Keywords").Value())
	r.RecordID = count(system.Child("EventRecordID").Value())
	if t, err := system.Child("TimeCreated").Attribute("SystemTime").Time(); err == nil {
		r.Time = t
	}
	correlation := system.Child("Correlation")
	r.ActivityID = correlation.Attribute("ActivityID").String()
	r.RelatedActivityID = correlation.Attribute("RelatedActivityID").String()
	execution := system.Child("Execution")
	r.ProcessID = uint32(count(execution.Attribute("ProcessID")))
	r.ThreadID = uint32(count(execution.Attribute("ThreadID")))
	r.UserID = system.Child("Security").Attribute("UserID").String()

	for _, c := range event.Content {
		switch e := c.Element; {
		case e == nil, e == system, e.Name == "RenderingInfo":
		case e.Name == "UserData":
			for _, c := range e.Content {
				if c.Element != nil {
					r.fields(c.Element, "")
				}
			}
		case hasElements(e) || len(e.Content) == 0:
			r.fields(e, "")
		default: // such as BinaryEventData
			r.fields(e, e.Name)
		}
	}
	return nil
}

// fields appends what is in an element: its attributes, its children, its value. path is the element's name; that of
// the element that holds the data is empty.
func (r *Record) fields(e *Element, path string) {
	before := len(r.Data)
	data := e.Name == "Data" || e.Name == "ComplexData"
	for _, a := range e.Attributes {
		if a.Name == "xmlns" || strings.HasPrefix(a.Name, "xmlns:") || a.Name == "Name" && (data || e.Name == "EventData") {
			continue // names are no data
		}
		r.Data = append(r.Data, Field{joinPath(path, "@"+a.Name), a.Value})
	}
	if hasElements(e) {
		for _, c := range e.Content {
			if c.Element == nil {
				continue
			}
			name := c.Element.Name
			if name == "Data" || name == "ComplexData" {
				name = c.Element.Attribute("Name").String()
			}
			r.fields(c.Element, joinPath(path, name))
		}
		return
	}
	if v := e.Value(); v.kind != Null || data || path != "" && len(r.Data) == before {
		r.Data = append(r.Data, Field{path, v})
	}
}

func hasElements(e *Element) bool {
	for _, c := range e.Content {
		if c.Element != nil {
			return true
		}
	}
	return false
}

func joinPath(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "/" + name
}
