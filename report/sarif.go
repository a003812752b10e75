package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

const (
	sarifVersion = "2.1.0"
	sarifSchema  = "https://json.schemastore.org/sarif-2.1.0.json"
	projectPage  = "https://github.com/coldcheck/coldcheck"
	guidePage    = "https://docs.aws.amazon.com/workspaces/latest/adminguide/create-custom-bundle.html"
)

// GitHub refuses a result of more than a thousand locations and cuts texts of a
// rule at 1024 characters ("SARIF support for code scanning"). Few enough are
// written that a person can look at them.
const (
	sarifLocations   = 100
	sarifDescription = 1024
)

// SARIF writes a run for each rule book in the Static Analysis Results Interchange Format, 2.1.0
// (OASIS), with the properties that GitHub's code scanning wants. A rule is
// written for every requirement of the system; a result for every finding that
// is failed, a warning, or makes the verdict inconclusive; waived and accepted
// ones are suppressed results. Other undetermined findings, requirements that
// were not checked, and notices are notifications of the invocation. Passed
// findings are not written: GitHub would show them as alerts.
//
// Locations are not relative to a folder of a repository: their first element
// is the role of the volume, or the document's name. A result's fingerprint is
// made from the machine, the requirement and the location of its first piece of
// evidence, so it stays the same when a figure changes.
func SARIF(w io.Writer, r *scanner.Result, o Options) error {
	var runs []sarifRun
	for _, one := range r.Each() {
		runs = append(runs, sarifRunOf(one, o))
	}
	e := NewJSONEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(sarifLog{Schema: sarifSchema, Version: sarifVersion, Runs: runs})
}

func sarifRunOf(r *scanner.Result, o Options) sarifRun {
	run := sarifRun{
		Tool:       sarifTool{Driver: sarifDriverOf(o.Version)},
		Automation: sarifAutomation{ID: "coldcheck/" + machineName(r) + "/" + part(r)},
		ColumnKind: "utf16CodeUnits",
		Properties: map[string]string{},
	}
	invocation := sarifInvocation{
		Successful: true, ExitCode: o.exitCode(r.PolicyVerdict),
		Start: sarifTime(timestamp(r.Started)), End: sarifTime(timestamp(r.Finished)),
		Notifications: []sarifNotification{},
	}
	run.Results = []sarifResult{}
	for i, f := range r.Findings {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(f.Requirement))
		switch level := sarifLevel(f); {
		case level != "":
			run.Results = append(run.Results, sarifResultOf(machineName(r), f, i, level))
		case f.Status == requirement.Undetermined:
			invocation.Notifications = append(invocation.Notifications, sarifNotification{
				Level: "note", Message: sarifText("Undetermined: " + f.Message),
				Rule: &sarifRuleReference{ID: f.ID, Index: i},
			})
		}
	}
	for i, n := range r.NotChecked {
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(n.Requirement))
		level := "note"
		if n.Counts {
			level = "warning"
		}
		invocation.Notifications = append(invocation.Notifications, sarifNotification{
			Level: level, Message: sarifText("Not checked: " + n.Reason),
			Rule: &sarifRuleReference{ID: n.ID, Index: len(r.Findings) + i},
		})
	}
	for _, n := range worstFirst(r.Notices) {
		level := string(n.Level)
		if n.Level == requirement.LevelInfo {
			level = "note"
		}
		invocation.Notifications = append(
			invocation.Notifications,
			sarifNotification{Level: level, Message: sarifText(notice(n))},
		)
	}
	if b := r.RuleBook.Name; b != "" {
		run.Properties["rulebook"] = b
	}
	for _, n := range o.Examination.stated() {
		run.Properties[n.key] = Neutral(n.text)
	}
	run.Invocations = []sarifInvocation{invocation}
	for i, name := range r.Images {
		a := sarifArtifact{
			Location: sarifArtifactLocation{URI: relativeURI(filepath.Base(name))},
			Roles:    []string{"analysisTarget"},
			Hashes:   map[string]string{},
		}
		if i < len(r.Files) {
			// The length is left out: readers that use 32 bits for it fail on
			// disks.
			for name, sum := range map[string]string{
				"sha-256": r.Files[i].SHA256, "sha-1": r.Files[i].SHA1, "md5": r.Files[i].MD5,
			} {
				if sum != "" {
					a.Hashes[name] = sum
				}
			}
		}
		run.Artifacts = append(run.Artifacts, a)
	}
	return run
}

// part gives scans by another rule book, and those that leave requirements out, a category
// of their own: GitHub closes the alerts of a category that a new upload to it does not
// have.
func part(r *scanner.Result) string {
	category := ""
	if b := r.RuleBook.Name; b != "" && b != rules.Default {
		category = b + "/"
	}
	if len(r.NotChecked) > 0 {
		category += "part/"
	}
	return category
}

// semantic is a version by the rules of semver.org (2.0.0), such as a tag of the
// project or the pseudo-version of a commit.
var semantic = regexp.MustCompile(`^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)` +
	`(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?` +
	`(\+[0-9a-zA-Z-]+(\.[0-9a-zA-Z-]+)*)?$`)

// notReleased is the semantic version of a program that was built from sources
// without a version.
const notReleased = "0.0.0-devel"

// sarifDriverOf is the program, without rules.
func sarifDriverOf(version string) sarifDriver {
	version = strings.TrimPrefix(version, "v")
	d := sarifDriver{
		Name: "coldcheck", Organization: "coldcheck", Version: version, InformationURI: projectPage,
		SemanticVersion: notReleased,
	}
	if semantic.MatchString(version) {
		d.SemanticVersion = version
	}
	return d
}

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool        sarifTool         `json:"tool"`
	Automation  sarifAutomation   `json:"automationDetails"`
	Invocations []sarifInvocation `json:"invocations"`
	Artifacts   []sarifArtifact   `json:"artifacts,omitempty"`
	Results     []sarifResult     `json:"results"`
	ColumnKind  string            `json:"columnKind"`
	Properties  map[string]string `json:"properties,omitempty"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name            string      `json:"name"`
	Organization    string      `json:"organization"`
	Version         string      `json:"version,omitempty"`
	SemanticVersion string      `json:"semanticVersion,omitempty"`
	InformationURI  string      `json:"informationUri"`
	Rules           []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID            string              `json:"id"`
	Name          string              `json:"name"`
	Short         sarifMessage        `json:"shortDescription"`
	Full          sarifMessage        `json:"fullDescription"`
	Help          sarifMessage        `json:"help"`
	HelpURI       string              `json:"helpUri"`
	Configuration sarifConfiguration  `json:"defaultConfiguration"`
	Properties    sarifRuleProperties `json:"properties"`
}

type sarifMessage struct {
	Text     string `json:"text"`
	Markdown string `json:"markdown,omitempty"`
}

type sarifConfiguration struct {
	Level string `json:"level"`
}

type sarifRuleProperties struct {
	Tags         []string `json:"tags"`
	Precision    string   `json:"precision"`
	Severity     string   `json:"problem.severity"`
	AWSErrorCode string   `json:"aws_error_code,omitempty"`
}

type sarifAutomation struct {
	ID string `json:"id"`
}

type sarifInvocation struct {
	Successful    bool                `json:"executionSuccessful"`
	ExitCode      *int                `json:"exitCode,omitempty"`
	Start         string              `json:"startTimeUtc,omitempty"`
	End           string              `json:"endTimeUtc,omitempty"`
	Notifications []sarifNotification `json:"toolExecutionNotifications"`
}

type sarifNotification struct {
	Level   string              `json:"level"`
	Message sarifMessage        `json:"message"`
	Rule    *sarifRuleReference `json:"associatedRule,omitempty"`
}

type sarifRuleReference struct {
	ID    string `json:"id"`
	Index int    `json:"index"`
}

type sarifArtifact struct {
	Location sarifArtifactLocation `json:"location"`
	Roles    []string              `json:"roles"`
	Hashes   map[string]string     `json:"hashes,omitempty"`
}

type sarifResult struct {
	RuleID       string             `json:"ruleId"`
	RuleIndex    int                `json:"ruleIndex"`
	Level        string             `json:"level"`
	Message      sarifMessage       `json:"message"`
	Locations    []sarifLocation    `json:"locations"`
	Related      []sarifLocation    `json:"relatedLocations,omitempty"`
	Fingerprints map[string]string  `json:"partialFingerprints"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
	Properties   sarifProperties    `json:"properties"`
}

type sarifProperties struct {
	Status requirement.Status `json:"status"`
	Basis  requirement.Basis  `json:"basis,omitempty"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Status        string `json:"status"`
	Justification string `json:"justification"`
}

type sarifLocation struct {
	ID       int                    `json:"id,omitempty"`
	Message  *sarifMessage          `json:"message,omitempty"`
	Physical sarifPhysical          `json:"physicalLocation"`
	Logical  []sarifLogicalLocation `json:"logicalLocations,omitempty"`
}

type sarifPhysical struct {
	Artifact sarifArtifactLocation `json:"artifactLocation"`
	Region   sarifRegion           `json:"region"`
}

type sarifArtifactLocation struct {
	URI string `json:"uri"`
}

// sarifRegion is always the first line: GitHub requires a line, and evidence has none.
type sarifRegion struct {
	Line int `json:"startLine"`
}

type sarifLogicalLocation struct {
	Name string `json:"fullyQualifiedName"`
	Kind string `json:"kind"`
}

func sarifRuleOf(r requirement.Requirement) sarifRule {
	demand := prose.Sentence(r.Demand)
	rule := sarifRule{
		ID: r.ID, Name: pascal(r.ID), HelpURI: guidePage,
		Short:         sarifText(shortText(demand, sarifDescription)),
		Full:          sarifText(shortText(strings.TrimSpace(demand+" "+prose.Sentence(r.Reads)), sarifDescription)),
		Configuration: sarifConfiguration{Level: ruleLevel[r.Severity]},
		Properties: sarifRuleProperties{
			Tags:      []string{"workspaces", string(r.Platform), string(r.Severity)},
			Precision: "high", Severity: problemSeverity[r.Severity],
			AWSErrorCode: r.AWSErrorCode,
		},
	}
	text, mark := []string{demand}, []string{markdown(demand)}
	for _, f := range explained(CatalogueRow{Requirement: r}) {
		text = append(text, f.name+": "+f.text)
		shown := markdown(f.text)
		if f.name == live {
			shown = code(f.text)
		}
		mark = append(mark, "**"+f.name+":** "+shown)
	}
	rule.Help = sarifMessage{
		Text:     sarifText(strings.Join(text, "\n")).Text,
		Markdown: braces(strings.Join(mark, "\n\n")),
	}
	return rule
}

var (
	ruleLevel = map[requirement.Severity]string{
		requirement.Required:    "error",
		requirement.Recommended: "note",
		requirement.Info:        "none",
	}
	problemSeverity = map[requirement.Severity]string{
		requirement.Required:    "error",
		requirement.Recommended: "recommendation",
		requirement.Info:        "recommendation",
	}
)

// sarifLevel is the level of a finding's result, "" if it is none.
func sarifLevel(f requirement.Finding) string {
	switch {
	case f.Status == requirement.Failed:
		return "error"
	case f.Status == requirement.Warning && f.Severity == requirement.Required:
		return "warning"
	case f.Status == requirement.Warning:
		return "note"
	case f.Status == requirement.Undetermined && f.Counts:
		return "warning"
	}
	return ""
}

// sarifResultOf is the result of a finding of a machine. index is that of its rule.
func sarifResultOf(machine string, f requirement.Finding, index int, level string) sarifResult {
	message := prose.Sentence(f.Message)
	if f.Status == requirement.Undetermined {
		message = "Undetermined: " + message
	}
	if what, how := advice(f); how != "" {
		message += " " + what + ": " + how
	}
	s := sarifResult{
		RuleID: f.ID, RuleIndex: index, Level: level, Message: sarifText(message),
		Properties: sarifProperties{Status: f.Status, Basis: f.Basis},
	}
	evidence := f.Evidence
	if len(evidence) == 0 { // of what could not be read there may be none
		evidence = []requirement.Evidence{{Source: string(scanner.Root)}}
	}
	for i, e := range evidence[:min(len(evidence), sarifLocations)] {
		l := sarifLocationOf(e)
		if i == 0 {
			s.Locations = []sarifLocation{l}
			continue
		}
		l.ID = i
		s.Related = append(s.Related, l)
	}
	s.Fingerprints = fingerprints(machine, f.ID, evidence[0])
	switch {
	case f.Waiver != nil:
		s.Suppressions = []sarifSuppression{
			{Kind: "external", Status: "accepted", Justification: Neutral("waived " + waiver(*f.Waiver))},
		}
	case f.Accepted:
		s.Suppressions = []sarifSuppression{
			{Kind: "external", Status: "accepted", Justification: "accepted by --accept-undetermined"},
		}
	}
	return s
}

func sarifLocationOf(e requirement.Evidence) sarifLocation {
	message := sarifText(line(e))
	l := sarifLocation{Message: &message}
	l.Physical.Region.Line = 1
	place := e.Source
	if e.Path != "" {
		place += "/" + e.Path
	}
	l.Physical.Artifact.URI = relativeURI(place)
	if e.Key != "" {
		name := cmp.Or(hiveRoot(e.Path), filepath.Base(e.Path)) + `\` + e.Key
		kind := "key"
		if hasValue(e) {
			name, kind = name+`\`+e.Value, "value"
		}
		l.Logical = []sarifLogicalLocation{{Name: Neutral(name), Kind: kind}}
	}
	return l
}

// fingerprints identifies a result, also in later scans of the machine. GitHub
// uses only the first name.
func fingerprints(machine, id string, e requirement.Evidence) map[string]string {
	sum := sha256.Sum256([]byte(strings.Join([]string{machine, id, e.Source, e.Path, e.Key, e.Value}, "\x00")))
	text := hex.EncodeToString(sum[:])
	return map[string]string{"primaryLocationLineHash": text[:16] + ":1", "coldcheckFinding/v1": text}
}

// machineName is the name of the computer, or else of the image, without
// characters that are special in a path. Part of a hash keeps names different
// that differ only in replaced characters.
func machineName(r *scanner.Result) string {
	full := cmp.Or(r.Platform.ComputerName, rootImage(r))
	name := strings.Map(func(c rune) rune {
		if c < 0x80 && (unicode.IsLetter(c) || unicode.IsDigit(c) || strings.ContainsRune("-_.", c)) {
			return c
		}
		return '_'
	}, full)
	if name == full {
		return name
	}
	sum := sha256.Sum256([]byte(full))
	return name + "-" + hex.EncodeToString(sum[:4])
}

// relativeURI is a path as a relative reference (RFC 3986, 4.2). Its first
// element cannot be read as a scheme, and it cannot lead to a parent folder.
func relativeURI(path string) string {
	var parts []string
	for _, p := range strings.Split(strings.ToValidUTF8(path, "\uFFFD"), "/") {
		switch p {
		case "", ".":
			continue
		case "..":
			p = "%2E%2E"
		default:
			p = strings.ReplaceAll(url.PathEscape(p), ":", "%3A")
		}
		parts = append(parts, p)
	}
	return cmp.Or(strings.Join(parts, "/"), "image")
}

// sarifText makes a message from s. It escapes placeholders (SARIF 2.1.0,
// 3.11.5) and links (3.11.6), and adds a missing full stop.
func sarifText(s string) sarifMessage {
	var lines []string
	for l := range strings.SplitSeq(s, "\n") {
		lines = append(lines, Neutral(l))
	}
	s = braces(strings.Join(lines, "\n"))
	if strings.Contains(s, "](") {
		s = strings.NewReplacer("[", `\[`, "]", `\]`).Replace(s)
	}
	return sarifMessage{Text: ended(s)}
}

// ended is s with a full stop, unless it ends as a sentence does.
func ended(s string) string {
	if s == "" || strings.ContainsRune(".!?:…", []rune(s)[len([]rune(s))-1]) {
		return s
	}
	return s + "."
}

func braces(s string) string { return strings.NewReplacer("{", "{{", "}", "}}").Replace(s) }

// shortText cuts a text to at most n characters, with room for what sarifText
// may add.
func shortText(s string, n int) string {
	if c := []rune(s); len(c) > n-32 {
		return string(c[:n-32]) + "…"
	}
	return s
}

// pascal makes WinDiskCFree of win.disk.c-free.
func pascal(id string) string {
	var b strings.Builder
	for _, p := range strings.FieldsFunc(id, func(c rune) bool { return c == '.' || c == '-' }) {
		b.WriteString(strings.ToUpper(p[:1]) + p[1:])
	}
	return b.String()
}

// sarifTime is a time with at most a thousandth of a second, as readers of SARIF
// expect it.
func sarifTime(t string) string {
	whole, fraction, ok := strings.Cut(strings.TrimSuffix(t, "Z"), ".")
	if ok {
		whole += fmt.Sprintf(".%.3s", fraction+"000")
	}
	return whole + "Z"
}
