package report

import (
	_ "embed" // for Schema
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Schema is the JSON Schema of the output of JSON, version 1. New fields may be
// added; existing ones are not changed or removed.
//
//go:embed report.schema.json
var Schema []byte

// LineSchema is the JSON Schema of a line of JSONL, and DiffSchema that of the
// output of DiffJSON. Both refer to Schema.
var (
	//go:embed jsonl.schema.json
	LineSchema []byte
	//go:embed diff.schema.json
	DiffSchema []byte
)

const schemaVersion = 1

const toolName = "coldcheck"

// JSON writes the report as one JSON document as Schema describes it. Fields
// are in the order below and findings in the order of the catalogue, so that
// two reports can be compared line by line. Bytes that are not UTF-8 become
// U+FFFD.
func JSON(w io.Writer, r *scanner.Result, o Options) error {
	e := NewJSONEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(document(r, o))
}

type jsonReport struct {
	SchemaVersion int                                `json:"schema_version"`
	Tool          jsonTool                           `json:"tool"`
	Scan          jsonScan                           `json:"scan"`
	Examination   *jsonExamination                   `json:"examination,omitempty"`
	Settings      []jsonSetting                      `json:"settings,omitempty"`
	Platform      jsonPlatform                       `json:"platform"`
	LastStart     string                             `json:"last_start,omitempty"`
	CleanStop     string                             `json:"clean_stop,omitempty"`
	Images        []jsonImage                        `json:"images,omitempty"`
	Volumes       []jsonVolume                       `json:"volumes"`
	Hives         []jsonHive                         `json:"hives,omitempty"`
	RuleBook      *jsonRuleBook                      `json:"rule_book,omitempty"`
	Verdict       scanner.Verdict                    `json:"verdict"`
	Reasons       []jsonVerdictReason                `json:"verdict_reasons"`
	ExitCode      *int                               `json:"exit_code,omitempty"`
	Policy        map[scanner.FailOn]scanner.Verdict `json:"policy_verdicts"`
	Summary       map[requirement.Status]int         `json:"summary"`
	CrossCheck    *jsonCrossCheck                    `json:"cross_check,omitempty"`
	Findings      []jsonFinding                      `json:"findings"`
	NotChecked    []jsonNotChecked                   `json:"not_checked"`
	Notices       []jsonNotice                       `json:"notices"`
	ImageErrors   []jsonImageError                   `json:"image_errors,omitempty"`
	RuleBooks     []jsonJudgement                    `json:"rulebooks,omitempty"`
}

type jsonVerdictReason struct {
	Reason   scanner.ReasonKind `json:"reason"`
	IDs      []string           `json:"ids,omitempty"`
	Messages []string           `json:"messages,omitempty"`
}

type jsonNotChecked struct {
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

type jsonCrossCheck struct {
	Pieces    int `json:"pieces"`
	Confirmed int `json:"confirmed"`
	Differ    int `json:"differ"`
	Failed    int `json:"failed"`
	NotAsked  int `json:"not_asked"`
}

type jsonScan struct {
	Started   string      `json:"started"`
	Finished  string      `json:"finished"`
	Images    []string    `json:"images"`
	With      []string    `json:"with"`
	Rules     []jsonRules `json:"rules,omitempty"`
	Arguments []string    `json:"arguments,omitempty"`
	BytesRead int64       `json:"bytes_read"`
	Reads     int64       `json:"reads"`
}

// jsonRules is a file of the user's own rules.
type jsonRules struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

type jsonPlatform struct {
	Family       string `json:"family"`
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture,omitempty"`
	ComputerName string `json:"computer_name,omitempty"`
	UserName     string `json:"user_name,omitempty"`
}

type jsonVolume struct {
	Role       scanner.Role `json:"role"`
	Source     string       `json:"source,omitempty"`
	Mounted    []string     `json:"mounted_at,omitempty"`
	Image      string       `json:"image"`
	Format     string       `json:"format"`
	Partition  int          `json:"partition"`
	Logical    string       `json:"logical_volume,omitempty"`
	Offset     int64        `json:"offset"`
	Size       int64        `json:"size"`
	Free       *int64       `json:"free,omitempty"`
	Filesystem string       `json:"filesystem"`
	Label      string       `json:"label,omitempty"`
	Serial     string       `json:"serial,omitempty"`
	State      string       `json:"state,omitempty"`
	Journal    *jsonJournal `json:"journal,omitempty"`
	Damaged    int64        `json:"damaged,omitempty"`
	Torn       int64        `json:"torn,omitempty"`
}

// jsonFile is a file of an image.
type jsonFile struct {
	Name     string `json:"name"`
	Size     int64  `json:"size"`
	Modified string `json:"modified,omitempty"`
	SHA256   string `json:"sha256,omitempty"`
	SHA1     string `json:"sha1,omitempty"`
	MD5      string `json:"md5,omitempty"`

	Remote *jsonRemote `json:"remote,omitempty"`
}

// jsonRemote identifies a file that was read over a network.
type jsonRemote struct {
	Snapshot      string         `json:"snapshot,omitempty"`
	VolumeSize    int64          `json:"volume_size,omitempty"`
	Version       string         `json:"version,omitempty"`
	ETag          string         `json:"etag,omitempty"`
	RequesterPays bool           `json:"requester_pays,omitempty"`
	Unencrypted   bool           `json:"unencrypted_connection,omitempty"`
	ReadSet       *jsonReadSet   `json:"read_set,omitempty"`
	Described     *jsonDescribed `json:"described,omitempty"`
}

type jsonReadSet struct {
	SHA256    string `json:"sha256,omitempty"`
	Blocks    int    `json:"blocks"`
	BlockSize int64  `json:"block_size"`
}

type jsonDescribed struct {
	Document   string `json:"document"`
	Encrypted  *bool  `json:"encrypted,omitempty"`
	KMSKeyID   string `json:"kms_key_id,omitempty"`
	StartTime  string `json:"start_time,omitempty"`
	Completion string `json:"completion_time,omitempty"`
	State      string `json:"state,omitempty"`
	VolumeID   string `json:"volume_id,omitempty"`
	OwnerID    string `json:"owner_id,omitempty"`
}

// jsonImage has more than a file only if it is not raw.
type jsonImage struct {
	jsonFile
	Container  string       `json:"container,omitempty"`
	Detail     string       `json:"detail,omitempty"`
	Member     string       `json:"member,omitempty"`
	DiskSize   int64        `json:"disk_size,omitempty"`
	DiskSHA256 string       `json:"disk_sha256,omitempty"`
	DiskSHA1   string       `json:"disk_sha1,omitempty"`
	DiskMD5    string       `json:"disk_md5,omitempty"`
	Stated     []jsonStated `json:"stated,omitempty"`
	Parts      []jsonFile   `json:"parts,omitempty"`
	Parents    []jsonParent `json:"parents,omitempty"`
	Notes      []string     `json:"notes,omitempty"`
	Reading    *jsonReading `json:"reading,omitempty"`
}

type jsonReading struct {
	Bytes  int64        `json:"bytes"`
	Reads  int64        `json:"reads"`
	Remote *jsonTraffic `json:"remote,omitempty"`
}

// jsonTraffic has a price only if the prices of the requests are known.
type jsonTraffic struct {
	Requests  int64       `json:"requests"`
	Lists     int64       `json:"lists"`
	Retries   int64       `json:"retries"`
	Throttled int64       `json:"throttled"`
	Bytes     int64       `json:"bytes"`
	Fetched   int64       `json:"blocks_read"`
	Ahead     int64       `json:"blocks_ahead"`
	Blocks    int64       `json:"blocks"`
	Written   int64       `json:"blocks_written"`
	BlockSize int64       `json:"block_size,omitempty"`
	Hits      int64       `json:"cache_hits"`
	Price     json.Number `json:"price_usd,omitempty"`
	Prices    string      `json:"prices,omitempty"`
}

type jsonStated struct {
	Algorithm scanner.Algorithm `json:"algorithm"`
	Sum       string            `json:"sum"`
	Matches   *bool             `json:"matches,omitempty"`
}

type jsonParent struct {
	jsonFile
	Container string     `json:"container"`
	Detail    string     `json:"detail,omitempty"`
	DiskSize  int64      `json:"disk_size"`
	Parts     []jsonFile `json:"parts,omitempty"`
}

type jsonJournal struct {
	State        string `json:"state"`
	Transactions int    `json:"transactions,omitempty"`
	First        uint32 `json:"first,omitempty"`
	Last         uint32 `json:"last,omitempty"`
	Blocks       int    `json:"blocks,omitempty"`
}

type jsonHive struct {
	Source    string        `json:"source"`
	Path      string        `json:"path"`
	State     string        `json:"state"`
	Primary   uint32        `json:"primary"`
	Secondary uint32        `json:"secondary"`
	LogFormat string        `json:"log_format,omitempty"`
	Applied   []jsonHiveLog `json:"applied,omitempty"`
	Pages     int           `json:"pages,omitempty"`
}

type jsonHiveLog struct {
	Name    string `json:"name"`
	Entries int    `json:"entries"`
	First   uint32 `json:"first"`
	Last    uint32 `json:"last"`
}

type jsonFinding struct {
	ID           string               `json:"id"`
	Title        string               `json:"title"`
	Scope        requirement.Scope    `json:"scope"`
	Severity     requirement.Severity `json:"severity"`
	Status       requirement.Status   `json:"status"`
	Basis        requirement.Basis    `json:"basis,omitempty"`
	Message      string               `json:"message"`
	AWSErrorCode string               `json:"aws_error_code,omitempty"`
	Remediation  string               `json:"remediation,omitempty"`
	Reference    string               `json:"reference,omitempty"`
	Subjects     []jsonSubject        `json:"subjects,omitempty"`
	Evidence     []jsonEvidence       `json:"evidence,omitempty"`
	Details      any                  `json:"details,omitempty"`
	Omitted      *jsonOmitted         `json:"omitted,omitempty"`
	HoldsUntil   string               `json:"holds_until,omitempty"`
	Accepted     bool                 `json:"accepted,omitempty"`
	Waiver       *jsonWaiver          `json:"waiver,omitempty"`
}

type jsonOmitted struct {
	Evidence int `json:"evidence"`
	Subjects int `json:"subjects,omitempty"`
	Details  int `json:"details"`
	Texts    int `json:"texts"`
}

type jsonWaiver struct {
	Target       string `json:"target,omitempty"`
	Reason       string `json:"reason"`
	Owner        string `json:"owner"`
	Expiry       string `json:"expiry"`
	Undetermined bool   `json:"undetermined,omitempty"`
	Source       string `json:"source,omitempty"`
}

type jsonSubject struct {
	Kind   requirement.SubjectKind `json:"kind"`
	ID     string                  `json:"id"`
	Name   string                  `json:"name,omitempty"`
	Reason requirement.Reason      `json:"reason,omitempty"`
	Value  string                  `json:"value,omitempty"`
}

type jsonEvidence struct {
	Kind    requirement.Kind   `json:"kind,omitempty"`
	Origin  requirement.Origin `json:"origin,omitempty"`
	Found   *bool              `json:"found,omitempty"`
	Content bool               `json:"content,omitempty"`

	Source string  `json:"source"`
	Path   string  `json:"path,omitempty"`
	Key    string  `json:"key,omitempty"`
	Value  *string `json:"value,omitempty"` // "" is a key's default value
	Type   string  `json:"type,omitempty"`
	Data   string  `json:"data,omitempty"`
	Offset *int64  `json:"offset,omitempty"`

	ImageOffset  *int64 `json:"image_offset,omitempty"`
	RecordOffset *int64 `json:"record_offset,omitempty"`
	File         string `json:"file,omitempty"`
	FileOffset   *int64 `json:"file_offset,omitempty"`

	RecordFile       string `json:"record_file,omitempty"`
	RecordFileOffset *int64 `json:"record_file_offset,omitempty"`

	Time string `json:"time,omitempty"`
	Note string `json:"note,omitempty"`

	ConfirmedBy string `json:"confirmed_by,omitempty"`
	Unconfirmed string `json:"unconfirmed,omitempty"`
}

type jsonImageError struct {
	Document    string             `json:"document"`
	ImageID     string             `json:"image_id"`
	Name        string             `json:"name,omitempty"`
	Code        string             `json:"code"`
	Message     string             `json:"message,omitempty"`
	Explained   bool               `json:"explained"`
	Explanation string             `json:"explanation"`
	Findings    []jsonErrorFinding `json:"findings"`
}

type jsonErrorFinding struct {
	ID     string             `json:"id"`
	Status requirement.Status `json:"status"`
}

type jsonNotice struct {
	Level   requirement.Level `json:"level"`
	Message string            `json:"message"`
	Source  string            `json:"source,omitempty"`
	Path    string            `json:"path,omitempty"`
}

func document(r *scanner.Result, o Options) jsonReport {
	first := judgement(r, o)
	var rules []jsonRules
	for _, f := range r.Rules {
		rules = append(rules, jsonRules(f))
	}
	doc := jsonReport{
		SchemaVersion: schemaVersion,
		Tool:          o.tool(),
		Scan: jsonScan{
			Started: timestamp(r.Started), Finished: timestamp(r.Finished),
			Images: append([]string{}, r.Images...), With: append([]string{}, r.With...), Rules: rules,
			Arguments: o.Arguments, BytesRead: r.BytesRead, Reads: r.Reads,
		},
		Examination: o.examination(), Settings: o.settings(),
		Platform: jsonPlatform(r.Platform), LastStart: timestamp(r.LastStart), CleanStop: timestamp(r.CleanStop),
		Volumes:  make([]jsonVolume, 0, len(r.Volumes)),
		RuleBook: jsonRuleBookOf(r.RuleBook),
		Verdict:  first.Verdict, Reasons: first.Reasons, ExitCode: o.exitCode(r.WorstVerdict()),
		Policy: first.Policy, Summary: first.Summary, Findings: first.Findings, NotChecked: first.NotChecked,
		Notices:   make([]jsonNotice, 0, len(r.Notices)),
		RuleBooks: judgements(r, first, o),
	}
	if r.CrossCheck != nil {
		c := jsonCrossCheck(*r.CrossCheck)
		doc.CrossCheck = &c
	}
	for _, i := range r.Files {
		doc.Images = append(doc.Images, image(i))
	}
	for _, h := range r.Hives {
		j := jsonHive{
			Source:    h.Source,
			Path:      h.Path,
			State:     h.State,
			Primary:   h.Primary,
			Secondary: h.Secondary,
			LogFormat: h.Format,
			Pages:     h.Pages,
		}
		for _, l := range h.Applied {
			j.Applied = append(j.Applied, jsonHiveLog(l))
		}
		doc.Hives = append(doc.Hives, j)
	}
	for _, v := range r.Volumes {
		j := jsonVolume{
			Role: v.Role, Source: v.Source, Mounted: v.Mounted, Image: v.Image, Format: v.Format,
			Partition: v.Partition, Logical: v.Logical, Offset: v.Offset,
			Size: v.Size, Filesystem: v.Filesystem, Label: v.Label, Serial: v.Serial, State: v.State,
			Damaged: v.Damaged, Torn: v.Torn,
		}
		if v.Free >= 0 {
			j.Free = &v.Free
		}
		if v.Journal.State != "" {
			journal := jsonJournal(v.Journal)
			j.Journal = &journal
		}
		doc.Volumes = append(doc.Volumes, j)
	}
	for _, n := range r.Notices {
		doc.Notices = append(doc.Notices, jsonNotice(n))
	}
	for _, e := range r.ImageErrors {
		doc.ImageErrors = append(doc.ImageErrors, imageErrorDocument(e))
	}
	return doc
}

func file(p scanner.Part) jsonFile {
	return jsonFile{p.Name, p.Size, timestamp(p.Modified), p.SHA256, p.SHA1, p.MD5, remoteFile(p.Remote)}
}

func remoteFile(f *scanner.RemoteFile) *jsonRemote {
	if f == nil {
		return nil
	}
	j := &jsonRemote{
		Snapshot: f.Snapshot, VolumeSize: f.VolumeSize, Version: f.Version, ETag: f.ETag,
		RequesterPays: f.RequesterPays, Unencrypted: f.Unencrypted,
	}
	if s := f.ReadSet; s != nil {
		j.ReadSet = &jsonReadSet{s.SHA256, s.Blocks, s.BlockSize}
	}
	if d := f.Described; d != nil {
		j.Described = &jsonDescribed{
			d.Document, d.Encrypted, d.KMSKeyID, d.StartTime, d.CompletionTime, d.State, d.VolumeID, d.OwnerID,
		}
	}
	return j
}

func partFiles(list []scanner.Part) []jsonFile {
	var files []jsonFile
	for _, p := range list {
		files = append(files, file(p))
	}
	return files
}

func image(i scanner.ImageFile) jsonImage {
	j := jsonImage{jsonFile: file(scanner.Part{Name: i.Name, Size: i.Size, Modified: i.Modified, Sums: i.Sums,
		Remote: i.Remote})}
	if r := i.Reading; r != nil {
		j.Reading = &jsonReading{Bytes: r.Bytes, Reads: r.Reads, Remote: traffic(r)}
	}
	if i.IsRaw() {
		return j
	}
	j.Container, j.Detail, j.Member, j.DiskSize = i.Container, i.Detail, i.Member, i.DiskSize
	j.DiskSHA256, j.DiskSHA1, j.DiskMD5 = i.DiskSums.SHA256, i.DiskSums.SHA1, i.DiskSums.MD5
	j.Parts, j.Notes = partFiles(i.Parts), i.Notes
	for _, s := range i.Stated {
		stated := jsonStated{Algorithm: s.Algorithm, Sum: s.Sum}
		if s.Compared {
			stated.Matches = &s.Matches
		}
		j.Stated = append(j.Stated, stated)
	}
	for _, p := range i.Parents {
		j.Parents = append(j.Parents, jsonParent{file(p.Part), p.Container, p.Detail, p.DiskSize, partFiles(p.Parts)})
	}
	return j
}

// traffic is what was read of an image over a network; nil if nothing was.
func traffic(r *scanner.Reading) *jsonTraffic {
	t := r.Remote
	if t == nil {
		return nil
	}
	j := &jsonTraffic{
		Requests: t.Requests, Lists: t.Lists, Retries: t.Retries, Throttled: t.Throttled, Bytes: t.Bytes,
		Fetched: t.Fetched, Ahead: t.Ahead, Blocks: t.Blocks, Written: t.Written, BlockSize: t.BlockSize, Hits: t.Hits,
	}
	if t.Price > 0 {
		j.Price, j.Prices = json.Number(dollars(t.Price)), scanner.Prices
	}
	return j
}

// dollars writes billionths of a US dollar in dollars.
func dollars(billionths int64) string {
	text := fmt.Sprintf("%d.%09d", billionths/1e9, billionths%1e9)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// notChecked lists what was left out of the scan.
func notChecked(r *scanner.Result) []jsonNotChecked {
	list := make([]jsonNotChecked, 0, len(r.NotChecked))
	for _, n := range r.NotChecked {
		list = append(list, jsonNotChecked{n.ID, n.Reason})
	}
	return list
}

func finding(f requirement.Finding) jsonFinding {
	j := jsonFinding{
		ID: f.ID, Title: f.Demand, Scope: f.Scope, Severity: f.Severity, Status: f.Status, Basis: f.Basis,
		Message: f.Message, AWSErrorCode: f.AWSErrorCode, Remediation: f.Outcome.Remediation,
		Reference: f.Reference, Details: f.Details, HoldsUntil: timestamp(f.Until), Accepted: f.Accepted,
	}
	for _, s := range f.Subjects {
		j.Subjects = append(j.Subjects, jsonSubject(s))
	}
	for _, e := range f.Evidence {
		j.Evidence = append(j.Evidence, evidence(e))
	}
	if f.Omitted.Any() {
		o := jsonOmitted(f.Omitted)
		j.Omitted = &o
	}
	if w := f.Waiver; w != nil {
		j.Waiver = &jsonWaiver{
			Target:       w.Target,
			Reason:       w.Reason,
			Owner:        w.Owner,
			Expiry:       w.Expiry.Format(time.DateOnly),
			Undetermined: w.Undetermined,
			Source:       w.Source,
		}
	}
	return j
}

func evidence(e requirement.Evidence) jsonEvidence {
	j := jsonEvidence{
		Kind: e.Kind, Origin: e.Origin, Content: e.Content,
		Source: e.Source, Path: e.Path, Key: e.Key, Type: e.Type, Data: e.Data,
		Offset: e.Offset, ImageOffset: e.ImageOffset, RecordOffset: e.RecordOffset,
		File: e.File, FileOffset: e.FileOffset, RecordFile: e.RecordFile, RecordFileOffset: e.RecordFileOffset,
		Time: timestamp(e.Time), Note: e.Note,
		ConfirmedBy: e.CrossCheck.Readers, Unconfirmed: unconfirmed(e.CrossCheck),
	}
	if e.Kind != "" {
		j.Found = &e.Found
	}
	if hasValue(e) {
		j.Value = &e.Value
	}
	return j
}

// unconfirmed says why a cross-check did not confirm a piece of evidence: the state and the reason, apart by ": ". It
// returns "" where other parsers confirmed it, or without a cross-check.
func unconfirmed(c requirement.CrossCheck) string {
	if c.State == "" || c.State == requirement.CrossConfirmed {
		return ""
	}
	return string(c.State) + ": " + c.Reason
}

// crossCheckOf returns what evidence wrote as confirmed_by and unconfirmed.
func crossCheckOf(confirmedBy, unconfirmed string) requirement.CrossCheck {
	state, reason, _ := strings.Cut(unconfirmed, ": ")
	switch s := requirement.CrossCheckState(state); {
	case confirmedBy != "":
		return requirement.CrossCheck{State: requirement.CrossConfirmed, Readers: confirmedBy}
	case s == requirement.CrossDiffers, s == requirement.CrossFailed, s == requirement.CrossNotAsked:
		return requirement.CrossCheck{State: s, Reason: reason}
	}
	return requirement.CrossCheck{}
}

// hasValue says that the evidence is a value: one with a name, or the default
// value of a registry key, which has none but has a type.
func hasValue(e requirement.Evidence) bool {
	return e.Value != "" || e.Key != "" && e.Type != ""
}

func imageErrorDocument(e scanner.ImageError) jsonImageError {
	doc := jsonImageError{
		Document: e.Document, ImageID: e.ImageID, Name: e.ImageName, Code: e.Code, Message: e.Message,
		Explained: e.Explained, Explanation: e.Explanation(), Findings: make([]jsonErrorFinding, 0, len(e.Findings)),
	}
	for _, f := range e.Findings {
		doc.Findings = append(doc.Findings, jsonErrorFinding{f.ID, f.Status})
	}
	return doc
}
