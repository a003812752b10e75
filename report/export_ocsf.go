package report

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// ocsfVersion is the version of the Open Cybersecurity Schema Framework whose class
// compliance_finding is written. Names, types and enumerations are those of the schema
// (schema.ocsf.io, 1.5.0: classes/compliance_finding and the objects that it refers to).
const ocsfVersion = "1.5.0"

// standard is what requirements are part of, for programs that want a name for it.
const standard = "Amazon WorkSpaces custom image requirements"

type ocsfFinding struct {
	ActivityID   int    `json:"activity_id"`
	ActivityName string `json:"activity_name"`
	CategoryUID  int    `json:"category_uid"`
	CategoryName string `json:"category_name"`
	ClassUID     int    `json:"class_uid"`
	ClassName    string `json:"class_name"`
	TypeUID      int    `json:"type_uid"`
	TypeName     string `json:"type_name"`

	Time       int64  `json:"time"` // milliseconds since 1970
	SeverityID int    `json:"severity_id"`
	Severity   string `json:"severity"`
	StatusID   int    `json:"status_id"`
	Status     string `json:"status"`
	Comment    string `json:"comment,omitempty"`
	Message    string `json:"message"`

	Metadata    ocsfMetadata     `json:"metadata"`
	Cloud       *ocsfCloud       `json:"cloud,omitempty"`
	FindingInfo ocsfFindingInfo  `json:"finding_info"`
	Compliance  ocsfCompliance   `json:"compliance"`
	Remediation *ocsfRemediation `json:"remediation,omitempty"`
	Resources   []ocsfResource   `json:"resources"`
	Unmapped    ocsfUnmapped     `json:"unmapped"`
}

type ocsfMetadata struct {
	Version  string      `json:"version"`
	UID      string      `json:"uid"`
	Product  ocsfProduct `json:"product"`
	Profiles []string    `json:"profiles,omitempty"`
}

type ocsfProduct struct {
	Name    string `json:"name"`
	Vendor  string `json:"vendor_name"`
	Version string `json:"version,omitempty"`
	URL     string `json:"url_string"`
}

type ocsfCloud struct {
	Provider  string       `json:"provider"`
	Account   *ocsfAccount `json:"account,omitempty"`
	Region    string       `json:"region,omitempty"`
	Partition string       `json:"cloud_partition,omitempty"`
}

type ocsfAccount struct {
	UID string `json:"uid"`
}

type ocsfFindingInfo struct {
	UID      string   `json:"uid"`
	Title    string   `json:"title"`
	Desc     string   `json:"desc"`
	LastSeen int64    `json:"last_seen_time"`
	Types    []string `json:"types"`
}

type ocsfCompliance struct {
	Control    string   `json:"control"`
	Desc       string   `json:"desc"`
	Standards  []string `json:"standards"`
	StatusID   int      `json:"status_id,omitempty"`
	Status     string   `json:"status,omitempty"`
	StatusCode string   `json:"status_code"`
	Details    []string `json:"status_details"`
}

type ocsfRemediation struct {
	Desc       string   `json:"desc"`
	References []string `json:"references"`
}

type ocsfResource struct {
	UID       string    `json:"uid"`
	Name      string    `json:"name"`
	Hostname  string    `json:"hostname,omitempty"`
	Type      string    `json:"type"`
	Region    string    `json:"region,omitempty"`
	Partition string    `json:"cloud_partition,omitempty"`
	Tags      []ocsfTag `json:"tags,omitempty"`
}

type ocsfTag struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// ocsfUnmapped has what the class has no attribute for.
type ocsfUnmapped struct {
	Run          string            `json:"run,omitempty"`
	Basis        requirement.Basis `json:"basis,omitempty"`
	AWSErrorCode string            `json:"aws_error_code,omitempty"`
	ErrorKind    string            `json:"error_kind,omitempty"`
}

// ocsfValue is a value of an enumeration with its caption.
type ocsfValue struct {
	id      int
	caption string
}

// Values of the class and of its object compliance.
var (
	ocsfCreate     = ocsfValue{1, "Create"}
	ocsfClose      = ocsfValue{3, "Close"}
	ocsfNew        = ocsfValue{1, "New"}
	ocsfSuppressed = ocsfValue{3, "Suppressed"}
	ocsfResolved   = ocsfValue{4, "Resolved"}

	ocsfSeverities = map[requirement.Severity]ocsfValue{
		requirement.Info:        {1, "Informational"},
		requirement.Recommended: {2, "Low"},
		requirement.Required:    {3, "Medium"},
	}

	// The schema calls a check without a result a warning, and has no value for one that
	// does not apply.
	ocsfCompliances = map[outcome]ocsfValue{
		outcome(requirement.Passed):       {1, "Pass"},
		outcome(requirement.Failed):       {3, "Fail"},
		outcome(requirement.Warning):      {2, "Warning"},
		outcome(requirement.Undetermined): {2, "Warning"},
		unscanned:                         {2, "Warning"},
	}
)

type ocsfExport struct {
	e *json.Encoder
	o ExportOptions
}

func newOCSFExport(w io.Writer, o ExportOptions) Export { return &ocsfExport{NewJSONEncoder(w), o} }

func (x *ocsfExport) Close() error { return nil }

func (x *ocsfExport) Add(m *MachineReport) error {
	c, err := x.o.cloudOf(m)
	if err != nil {
		return err
	}
	for _, f := range m.findings() {
		if err := x.e.Encode(x.finding(m, c, f)); err != nil {
			return err
		}
	}
	return nil
}

func (x *ocsfExport) finding(m *MachineReport, c cloud, f exported) ocsfFinding {
	activity, status := ocsfCreate, ocsfNew
	switch {
	case f.closed():
		activity, status = ocsfClose, ocsfResolved
	case f.suppressed != "":
		status = ocsfSuppressed
	}
	const category, class, className = 2, 2003, "Compliance Finding"
	at, severity, compliance := m.Record.Finished.UnixMilli(), ocsfSeverities[f.severity], ocsfCompliances[f.outcome]
	event := sha256.Sum256(append([]byte(f.uid+"\x00"), timestamp(m.Record.Finished)...))
	o := ocsfFinding{
		ActivityID: activity.id, ActivityName: activity.caption,
		CategoryUID: category, CategoryName: "Findings", ClassUID: class, ClassName: className,
		TypeUID: class*100 + activity.id, TypeName: className + ": " + activity.caption,
		Time: at, SeverityID: severity.id, Severity: severity.caption, StatusID: status.id, Status: status.caption,
		Comment: f.suppressed, Message: f.message,
		Metadata: ocsfMetadata{
			Version: ocsfVersion, UID: hex.EncodeToString(event[:16]),
			Product: ocsfProduct{"coldcheck", "coldcheck", strings.TrimPrefix(m.Record.Tool.Version, "v"), projectPage},
		},
		FindingInfo: ocsfFindingInfo{UID: f.uid, Title: f.title, Desc: f.message, LastSeen: at, Types: []string{findingType}},
		Compliance: ocsfCompliance{
			Control: f.control, Desc: f.title, Standards: []string{standard}, StatusID: compliance.id,
			Status: compliance.caption, StatusCode: string(f.outcome), Details: []string{f.message},
		},
		Resources: []ocsfResource{{UID: c.resource(m), Name: m.Record.Target.ID, Type: "WorkSpace", Tags: ocsfTags(m)}},
		Unmapped:  ocsfUnmapped{Run: x.o.Run, Basis: f.basis, AWSErrorCode: f.code},
	}
	if f.remedy != "" {
		o.Remediation = &ocsfRemediation{f.remedy, []string{guidePage}}
	}
	if m.Saved != nil {
		o.Resources[0].Hostname = m.Saved.Platform.ComputerName
	}
	if err := m.Record.Error; err != nil {
		o.Unmapped.ErrorKind = string(err.Kind)
	}
	if c != (cloud{}) {
		o.Metadata.Profiles = []string{"cloud"}
		o.Cloud = &ocsfCloud{Provider: "AWS", Region: c.region}
		if c.account != "" {
			o.Cloud.Account = &ocsfAccount{c.account}
		}
		if c.region != "" {
			o.Cloud.Partition = c.partition()
			o.Resources[0].Region, o.Resources[0].Partition = c.region, c.partition()
		}
	}
	return o
}

func ocsfTags(m *MachineReport) []ocsfTag {
	var tags []ocsfTag
	for _, name := range slices.Sorted(maps.Keys(m.Record.Target.Labels)) {
		tags = append(tags, ocsfTag{name, m.Record.Target.Labels[name]})
	}
	return tags
}
