package report

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Limits of BatchImportFindings and of the AWS Security Finding Format ("AWS Security Hub
// API Reference": BatchImportFindings, AwsSecurityFinding; "AWS Security Hub User Guide":
// Required and optional top-level ASFF attributes). Where a limit counts characters, so
// many bytes are written at most.
const (
	asffBatch       = 100       // findings
	asffBatchSize   = 6_000_000 // bytes
	asffFindingSize = 240_000   // bytes

	asffTitle       = 256
	asffDescription = 1024
	asffRemedy      = 512
	asffReason      = 512
	asffFieldName   = 128
	asffFieldValue  = 1024
	asffFields      = 50
	asffTags        = 50
	asffTagName     = 128
	asffTagValue    = 256
)

// asffSchema is the only version of the format.
const asffSchema = "2018-10-08"

// findingType is the namespace of the types of findings.
const findingType = "Software and Configuration Checks"

type asffFinding struct {
	SchemaVersion string
	ID            string `json:"Id"`
	ProductArn    string
	ProductName   string
	CompanyName   string
	Region        string
	GeneratorID   string `json:"GeneratorId"`
	AwsAccountID  string `json:"AwsAccountId"`

	CreatedAt      string
	UpdatedAt      string
	LastObservedAt string

	FindingProviderFields asffProvider
	Title                 string
	Description           string
	Remediation           *asffRemediation `json:",omitempty"`
	SourceURL             string           `json:"SourceUrl"`
	ProductFields         map[string]string
	Resources             []asffResource
	Compliance            asffCompliance
	Workflow              *asffWorkflow `json:",omitempty"`
	RecordState           string
}

type asffProvider struct {
	Severity asffSeverity
	Types    []string
}

type asffSeverity struct {
	Label    string
	Original string
}

type asffRemediation struct{ Recommendation asffRecommendation }

type asffRecommendation struct {
	Text string
	URL  string `json:"Url"`
}

type asffResource struct {
	Type      string
	ID        string `json:"Id"`
	Partition string
	Region    string
	Tags      map[string]string `json:",omitempty"`
	Details   asffDetails
}

type asffDetails struct{ Other map[string]string }

type asffCompliance struct {
	Status        string
	StatusReasons []asffReasonOf `json:",omitempty"`
}

type asffReasonOf struct {
	ReasonCode  string
	Description string
}

type asffWorkflow struct{ Status string }

var (
	asffStatuses = map[outcome]string{
		outcome(requirement.Passed):        "PASSED",
		outcome(requirement.Failed):        "FAILED",
		outcome(requirement.Warning):       "WARNING",
		outcome(requirement.Undetermined):  "WARNING", // the check cannot tell
		outcome(requirement.NotApplicable): "NOT_AVAILABLE",
		unscanned:                          "NOT_AVAILABLE", // the check could not be completed
	}
	asffSeverities = map[requirement.Severity]string{
		requirement.Info:        "INFORMATIONAL",
		requirement.Recommended: "LOW",
		requirement.Required:    "MEDIUM",
	}
)

// asffExport collects findings into batches, each of one account and Region: without an
// agreement with AWS, an account may import its own findings only.
type asffExport struct {
	w     io.Writer
	o     ExportOptions
	open  map[cloud]*asffOpen
	total int // bytes in open batches
}

type asffOpen struct {
	text     bytes.Buffer
	findings int
}

// asffPending is how many bytes may be in open batches.
const asffPending = 4 * asffBatchSize

func newASFFExport(w io.Writer, o ExportOptions) Export {
	return &asffExport{w: w, o: o, open: map[cloud]*asffOpen{}}
}

func (x *asffExport) Add(m *MachineReport) error {
	c, err := x.o.cloudOf(m)
	switch {
	case err != nil:
		return err
	case c.account == "":
		return fmt.Errorf("%s: %w as ASFF: its AWS account is not known", m.Record.Target.ID, ErrExport)
	case c.region == "":
		return fmt.Errorf("%s: %w as ASFF: its AWS Region is not known", m.Record.Target.ID, ErrExport)
	}
	for _, f := range m.findings() {
		var text bytes.Buffer
		if err := NewJSONEncoder(&text).Encode(x.finding(m, c, f)); err != nil {
			return err
		}
		line := bytes.TrimSuffix(text.Bytes(), []byte("\n"))
		if len(line) > asffFindingSize {
			return fmt.Errorf("%s: %w as ASFF: a finding has %d bytes", f.uid, ErrExport, len(line))
		}
		if err := x.put(c, line); err != nil {
			return err
		}
	}
	return nil
}

const (
	asffHead = `{"Findings":[`
	asffTail = "]}\n"
)

// put adds a finding to the batch of its account and Region.
func (x *asffExport) put(c cloud, finding []byte) error {
	b := x.open[c]
	if b != nil && (b.findings == asffBatch || b.text.Len()+1+len(finding)+len(asffTail) > asffBatchSize) {
		if err := x.flush(c); err != nil {
			return err
		}
		b = nil
	}
	if b == nil {
		b = &asffOpen{}
		b.text.WriteString(asffHead)
		x.open[c] = b
	} else {
		b.text.WriteByte(',')
	}
	b.text.Write(finding)
	b.findings++
	if x.total += len(finding); x.total > asffPending {
		return x.Close()
	}
	return nil
}

// flush writes a batch as one line.
func (x *asffExport) flush(c cloud) error {
	b := x.open[c]
	delete(x.open, c)
	x.total -= b.text.Len() - len(asffHead) - (b.findings - 1)
	b.text.WriteString(asffTail)
	_, err := x.w.Write(b.text.Bytes())
	return err
}

// Close writes the batches that are open, in the order of accounts and Regions.
func (x *asffExport) Close() error {
	all := slices.SortedFunc(maps.Keys(x.open), func(a, b cloud) int {
		return cmp.Or(strings.Compare(a.account, b.account), strings.Compare(a.region, b.region))
	})
	for _, c := range all {
		if err := x.flush(c); err != nil {
			return err
		}
	}
	return nil
}

func (x *asffExport) finding(m *MachineReport, c cloud, f exported) asffFinding {
	at := sarifTime(timestamp(m.Record.Finished))
	a := asffFinding{
		SchemaVersion: asffSchema, ID: f.uid, ProductName: "coldcheck", CompanyName: "coldcheck",
		ProductArn: cmp.Or(x.o.Product, fmt.Sprintf("arn:%s:securityhub:%s:%s:product/%s/default", c.partition(), c.region,
			c.account, c.account)),
		Region: c.region, AwsAccountID: c.account, GeneratorID: "coldcheck/" + f.control,
		CreatedAt: at, UpdatedAt: at, LastObservedAt: at,
		FindingProviderFields: asffProvider{
			Severity: asffSeverity{asffSeverities[f.severity], string(f.severity)}, Types: []string{findingType},
		},
		Title:         clipped(m.Record.Target.ID+": "+f.title, asffTitle),
		Description:   clipped(f.message, asffDescription),
		SourceURL:     guidePage,
		ProductFields: asffProductFields(m, x.o.Run, f),
		Resources: []asffResource{{
			Type: "Other", ID: c.resource(m), Partition: c.partition(), Region: c.region, Tags: asffTagsOf(m),
			Details: asffDetails{asffMachine(m)},
		}},
		Compliance: asffCompliance{Status: asffStatuses[f.outcome]}, RecordState: "ACTIVE",
	}
	if f.remedy != "" {
		a.Remediation = &asffRemediation{asffRecommendation{clipped(f.remedy, asffRemedy), guidePage}}
	}
	if f.closed() {
		// Only that hides a finding: Security Hub resolves findings of its own controls, but
		// not those of others.
		a.RecordState = "ARCHIVED"
	} else if f.suppressed != "" {
		a.Workflow = &asffWorkflow{"SUPPRESSED"} // used when the finding is new
	}
	if f.outcome != outcome(requirement.Passed) {
		a.Compliance.StatusReasons = []asffReasonOf{{
			cmp.Or(f.code, strings.ToUpper(string(f.outcome))), clipped(f.message, asffReason),
		}}
	}
	return a
}

// asffProductFields are what the format has no attribute for.
func asffProductFields(m *MachineReport, run string, f exported) map[string]string {
	return fields(asffFields, asffFieldName, asffFieldValue, map[string]string{
		"coldcheck/Requirement": f.control, "coldcheck/Status": string(f.outcome), "coldcheck/Basis": string(f.basis),
		"coldcheck/Version": m.Record.Tool.Version, "coldcheck/Run": run, "coldcheck/AwsErrorCode": f.code,
		"coldcheck/Suppressed": f.suppressed,
	})
}

// asffMachine says what is known of a machine.
func asffMachine(m *MachineReport) map[string]string {
	known := map[string]string{
		"Machine": m.Record.Target.ID, "UserName": m.user(), "Verdict": string(m.Record.Verdict),
		"Images": strings.Join(m.Record.Target.ShownImages(), " "),
	}
	if m.Saved != nil {
		p := m.Saved.Platform
		known["ComputerName"], known["System"], known["SystemVersion"] = p.ComputerName, p.Name, p.Version
	}
	if m.Record.Error != nil {
		known["ErrorKind"] = string(m.Record.Error.Kind)
	}
	return fields(asffFields, asffFieldName, asffFieldValue, known)
}

// asffTagsOf are the labels of a machine, as far as tags may have them.
func asffTagsOf(m *MachineReport) map[string]string {
	return fields(asffTags, asffTagName, asffTagValue, m.Record.Target.Labels)
}

// fields returns the first fields in the order of their names, without empty ones and
// within the limits.
func fields(most, name, value int, all map[string]string) map[string]string {
	some := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if len(some) == most {
			break
		}
		if v := strings.TrimSpace(all[k]); v != "" {
			some[clipped(k, name)] = clipped(v, value)
		}
	}
	return some
}

// clipped cuts a text to at most so many bytes of UTF-8; the cut shows.
func clipped(s string, most int) string {
	const mark = "…"
	if len(s) <= most {
		return s
	}
	n := most - len(mark)
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + mark
}
