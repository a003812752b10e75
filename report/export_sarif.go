package report

import (
	"io"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// sarifExport writes one run of all machines: a log with a run for each would repeat the
// rules for each. The results come first, since they are written as they come. Rules, the
// machines as artifacts, and the invocation with what could not be scanned follow them.
type sarifExport struct {
	w     io.Writer
	o     ExportOptions
	begun bool
	err   error

	rules       map[string]int
	driver      sarifDriver
	machines    []sarifMachine
	invocation  sarifInvocation
	first, last time.Time
	catalogue   map[string]requirement.Requirement
}

// sarifMachine is a machine as an artifact.
type sarifMachine struct {
	Location    sarifArtifactLocation  `json:"location"`
	Description sarifMessage           `json:"description"`
	Roles       []string               `json:"roles"`
	Properties  sarifMachineProperties `json:"properties"`
}

type sarifMachineProperties struct {
	Verdict scanner.Verdict   `json:"verdict,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
}

// newSARIFExport writes a SARIF 2.1.0 log with the results that SARIF has for each
// machine. The location of a result begins with the ID of the machine.
func newSARIFExport(w io.Writer, o ExportOptions) Export {
	x := &sarifExport{
		w: w, o: o, rules: map[string]int{}, driver: sarifDriverOf(o.Version), machines: []sarifMachine{},
		invocation: sarifInvocation{Successful: true, Notifications: []sarifNotification{}},
		catalogue:  map[string]requirement.Requirement{},
	}
	x.driver.Rules = []sarifRule{}
	for _, r := range scanner.AllRequirements() {
		x.catalogue[r.ID] = r
	}
	return x
}

func (x *sarifExport) Add(m *MachineReport) error {
	r := m.Record
	if x.first.IsZero() || r.Started.Before(x.first) {
		x.first = r.Started
	}
	if r.Finished.After(x.last) {
		x.last = r.Finished
	}
	x.machines = append(x.machines, sarifMachine{
		Location: sarifArtifactLocation{URI: machineURI(r.Target.ID) + "/"}, Roles: []string{"analysisTarget"},
		Description: sarifText(m.verdict().message), Properties: sarifMachineProperties{r.Verdict, r.Target.Labels},
	})
	if r.Error != nil {
		x.invocation.Successful = false
		x.invocation.Notifications = append(x.invocation.Notifications, sarifNotification{
			Level: "error", Message: sarifText(r.Target.ID + " could not be scanned: " + prose.Sentence(r.Error.Message)),
		})
		return nil
	}
	for _, f := range m.Saved.Findings {
		if level := sarifLevel(f); level != "" {
			result := sarifResultOf(r.Target.ID, f, x.rule(f.Requirement), level)
			for _, list := range [][]sarifLocation{result.Locations, result.Related} {
				for i := range list {
					at := &list[i].Physical.Artifact
					at.URI = machineURI(r.Target.ID) + "/" + at.URI
				}
			}
			x.result(result)
		}
	}
	return x.err
}

// rule returns the index of the rule of a requirement.
func (x *sarifExport) rule(r requirement.Requirement) int {
	if i, ok := x.rules[r.ID]; ok {
		return i
	}
	if known, ok := x.catalogue[r.ID]; ok {
		r = known
	} else {
		r.Platform = requirement.Any
	}
	i := len(x.driver.Rules)
	x.rules[r.ID] = i
	x.driver.Rules = append(x.driver.Rules, sarifRuleOf(r))
	return i
}

// result writes a result, after the beginning of the log or another result.
func (x *sarifExport) result(r sarifResult) {
	before := ","
	if !x.begun {
		x.begun, before = true, sarifBegin
	}
	x.text(before)
	x.value(r)
}

// sarifBegin is what is before the first result.
const sarifBegin = `{"$schema":"` + sarifSchema + `","version":"` + sarifVersion + `","runs":[{"results":[` + "\n"

// text writes JSON. After an error it writes nothing.
func (x *sarifExport) text(s string) {
	if x.err == nil {
		_, x.err = io.WriteString(x.w, s)
	}
}

// value writes a value as JSON.
func (x *sarifExport) value(v any) {
	if x.err == nil {
		x.err = NewJSONEncoder(x.w).Encode(v)
	}
}

func (x *sarifExport) Close() error {
	if !x.begun {
		x.text(sarifBegin)
	}
	x.invocation.Start, x.invocation.End = sarifTimeOf(x.first), sarifTimeOf(x.last)
	id := "coldcheck/fleet/"
	if x.o.Run != "" {
		id += relativeURI(x.o.Run) + "/"
	}
	for _, field := range []struct {
		before string
		value  any
	}{
		{`],"tool":`, sarifTool{x.driver}},
		{`,"automationDetails":`, sarifAutomation{id}},
		{`,"invocations":`, []sarifInvocation{x.invocation}},
		{`,"artifacts":`, x.machines},
		{`,"columnKind":`, "utf16CodeUnits"},
	} {
		x.text(field.before)
		x.value(field.value)
	}
	x.text("}]}\n")
	return x.err
}

func sarifTimeOf(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return sarifTime(timestamp(t))
}

// machineURI is the ID of a machine as an element of a relative reference. Dots only would
// be a folder or its parent.
func machineURI(id string) string {
	if strings.Trim(id, ".") == "" {
		return strings.ReplaceAll(id, ".", "%2E")
	}
	return id
}
