package report

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/dsse"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// The types of an attestation (github.com/in-toto/attestation, spec/v1 and
// spec/predicates/test-result.md).
const (
	attestationType = "application/vnd.in-toto+json"
	statementType   = "https://in-toto.io/Statement/v1"
	predicateType   = "https://in-toto.io/attestation/test-result/v0.1"
)

// MaxAttestation is the size of the largest attestation that ReadAttestation accepts, in
// bytes.
const MaxAttestation = dsse.MaxEnvelope

// ReadSetDigest is the name of the digest that identifies a remote image in an
// attestation: scanner.ReadSet.SHA256, in lower-case hexadecimal digits.
const ReadSetDigest = "coldcheckReadSet"

// toolURI is the package URL of the program, without its version.
const toolURI = "pkg:golang/github.com/coldcheck/coldcheck@"

// The results of a test run.
const (
	resultPassed = "PASSED"
	resultWarned = "WARNED"
	resultFailed = "FAILED"
)

// results are from the best to the worst.
var results = []string{resultPassed, resultWarned, resultFailed}

// InputFile is a file that a scan used besides the images, such as a file of waivers.
type InputFile struct {
	Kind   string // "settings", "waivers", "document"
	Name   string // as it was named
	SHA256 string // of its content, in hexadecimal digits
}

// NewInputFile is the InputFile with this content.
func NewInputFile(kind, name string, content []byte) InputFile {
	sum := sha256.Sum256(content)
	return InputFile{kind, name, hex.EncodeToString(sum[:])}
}

type jsonStatement struct {
	Type          string           `json:"_type"`
	Subject       []jsonDescriptor `json:"subject"`
	PredicateType string           `json:"predicateType"`
	Predicate     jsonTestResult   `json:"predicate"`
}

// jsonDescriptor is a ResourceDescriptor (spec/v1/resource_descriptor.md).
type jsonDescriptor struct {
	Name        string            `json:"name,omitempty"`
	URI         string            `json:"uri,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	Content     []byte            `json:"content,omitempty"`
	MediaType   string            `json:"mediaType,omitempty"`
	Annotations json.RawMessage   `json:"annotations,omitempty"`
}

type jsonTestResult struct {
	Result        string           `json:"result"`
	Configuration []jsonDescriptor `json:"configuration"`
	PassedTests   []string         `json:"passedTests"`
	WarnedTests   []string         `json:"warnedTests"`
	FailedTests   []string         `json:"failedTests"`
}

// jsonRun is what a statement says of the scan, as annotations of the program. The fields
// of the predicate itself are only those of its specification: strict readers refuse others.
type jsonRun struct {
	Version       string           `json:"version"`
	Commit        string           `json:"commit,omitempty"`
	Started       string           `json:"startedOn"`
	Finished      string           `json:"finishedOn"`
	Verdict       scanner.Verdict  `json:"verdict"`
	PolicyVerdict scanner.Verdict  `json:"policyVerdict"`
	Platform      jsonPlatform     `json:"platform"`
	Examination   *jsonExamination `json:"examination,omitempty"`
	Undetermined  []string         `json:"undetermined"`
	NotApplicable []string         `json:"notApplicable"`
	NotChecked    []string         `json:"notChecked"`
	Waived        []string         `json:"waived"`
	Accepted      []string         `json:"accepted"`
}

// Attestation writes the result as an in-toto statement with a test result, signed with
// Options.Key in a DSSE envelope. The result needs the hashes of Input.Hash.
func Attestation(w io.Writer, r *scanner.Result, o Options) error {
	if o.Key == nil {
		return errors.New("no key to sign with")
	}
	payload, err := statementOf(r, o)
	if err != nil {
		return err
	}
	envelope, err := dsse.Sign(o.Key, attestationType, payload)
	if err != nil {
		return err
	}
	_, err = w.Write(envelope)
	return err
}

// statementOf is the statement that is signed.
func statementOf(r *scanner.Result, o Options) ([]byte, error) {
	subjects, err := subjectsOf(r)
	if err != nil {
		return nil, err
	}
	configuration, err := configurationOf(r, o)
	if err != nil {
		return nil, err
	}
	test := testResults(r)
	test.Configuration = configuration
	return marshal(jsonStatement{statementType, subjects, predicateType, test})
}

// marshal is JSON in one line without characters that can mislead a reader.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	err := NewJSONEncoder(&b).Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// testResult sorts the findings into the lists of the predicate. A list of failed tests
// that is empty, and a result that is PASSED or WARNED, are what consumers gate on, so that
// everything that keeps the verdict from ready is in the one and makes the other FAILED:
// a finding that is undetermined is no test that passed with a warning. Findings that are
// not applicable, or undetermined without an effect on the verdict, have no result and are
// in no list. A failed finding with a waiver, and an undetermined one that is accepted, are
// warnings: somebody answers for them.
func testResult(r *scanner.Result) jsonTestResult {
	t := jsonTestResult{PassedTests: []string{}, WarnedTests: []string{}, FailedTests: []string{}}
	for _, f := range r.Findings {
		switch {
		case f.Open, f.Status == requirement.Failed && f.Waiver == nil:
			t.FailedTests = append(t.FailedTests, f.ID)
		case f.Status == requirement.Failed, f.Status == requirement.Warning, f.Accepted, f.Waiver != nil:
			t.WarnedTests = append(t.WarnedTests, f.ID)
		case f.Status == requirement.Passed:
			t.PassedTests = append(t.PassedTests, f.ID)
		}
	}
	// At FailOnNever, a verdict of the policy hides failures and doubts about the images.
	passes := r.PolicyVerdict == scanner.Ready && r.VerdictAt(scanner.FailOnFailed) == scanner.Ready &&
		len(t.FailedTests) == 0
	switch {
	case passes && r.Verdict == scanner.Ready:
		t.Result = resultPassed
	case passes:
		t.Result = resultWarned
	default:
		t.Result = resultFailed
	}
	return t
}

// testResults is testResult for all rule books of the scan: the worst result, and the
// findings of each.
func testResults(r *scanner.Result) jsonTestResult {
	all := testResult(r)
	for _, one := range r.Each()[1:] {
		t := testResult(one)
		for list, more := range map[*[]string][]string{
			&all.PassedTests: t.PassedTests, &all.WarnedTests: t.WarnedTests, &all.FailedTests: t.FailedTests,
		} {
			for _, id := range more {
				*list = append(*list, one.RuleBook.Name+"/"+id)
			}
		}
		if slices.Index(results, t.Result) > slices.Index(results, all.Result) {
			all.Result = t.Result
		}
	}
	return all
}

// subjectsOf are the files of the images with their hashes, and the disks in containers.
func subjectsOf(r *scanner.Result) ([]jsonDescriptor, error) {
	var list []jsonDescriptor
	seen := map[string]bool{}
	add := func(d jsonDescriptor) error {
		for _, name := range slices.Sorted(maps.Keys(d.Digest)) {
			key := name + ":" + d.Digest[name] + " " + d.Name
			switch {
			case d.Digest[name] == "":
				return fmt.Errorf("%s has no hash to identify it", d.Name)
			case seen[key]:
				return nil
			}
			seen[key] = true
		}
		list = append(list, d)
		return nil
	}
	file := func(name string, sums scanner.Sums, remote *scanner.RemoteFile) error {
		d := jsonDescriptor{Name: name, Digest: map[string]string{"sha256": sums.SHA256}}
		if remote != nil {
			d.Digest = map[string]string{ReadSetDigest: ""}
			if set := remote.ReadSet; set != nil {
				d.Digest[ReadSetDigest] = set.SHA256
			}
			if remote.Snapshot != "" {
				d.Name, d.URI = "ebs:"+remote.Snapshot, "ebs:"+remote.Snapshot
			}
			state := map[string]string{}
			for key, value := range map[string]string{"versionId": remote.Version, "etag": remote.ETag} {
				if value != "" {
					state[key] = value
				}
			}
			if len(state) > 0 {
				text, err := marshal(state)
				if err != nil {
					return err
				}
				d.Annotations = text
			}
		}
		return add(d)
	}
	parts := func(list []scanner.Part) error {
		for _, p := range list {
			if err := file(p.Name, p.Sums, p.Remote); err != nil {
				return err
			}
		}
		return nil
	}
	for _, f := range r.Files {
		name := strings.TrimSuffix(f.Name, ": "+f.Member) // the file of an archive is one for all of its disks
		if f.Member == "" {
			name = f.Name
		}
		if err := errors.Join(file(name, f.Sums, f.Remote), parts(f.Parts)); err != nil {
			return nil, err
		}
		if f.DiskSums.SHA256 != "" {
			disk := f.Name
			if f.Member == "" {
				disk += ": disk"
			}
			if err := file(disk, f.DiskSums, nil); err != nil {
				return nil, err
			}
		}
		for _, p := range f.Parents {
			if err := errors.Join(file(p.Name, p.Sums, p.Remote), parts(p.Parts)); err != nil {
				return nil, err
			}
		}
	}
	if len(list) == 0 {
		return nil, errors.New("the result has no images")
	}
	return list, nil
}

// configurationOf describes the program with the scan, the settings that are not defaults,
// and the files that decide what is found.
func configurationOf(r *scanner.Result, o Options) ([]jsonDescriptor, error) {
	run := jsonRun{
		Version: o.Version, Commit: o.Commit, Started: moment(r.Started), Finished: moment(r.Finished),
		Verdict: worstVerdict(r), PolicyVerdict: r.WorstVerdict(), Platform: jsonPlatform(r.Platform),
		Undetermined:  []string{},
		NotApplicable: []string{}, NotChecked: []string{}, Waived: []string{}, Accepted: []string{},
	}
	if e := o.Examination; e.CaseID != "" || e.Examiner != "" || e.Note != "" {
		run.Examination = &jsonExamination{CaseID: e.CaseID, Examiner: e.Examiner, Note: e.Note}
	}
	for i, one := range r.Each() {
		prefix := ""
		if i > 0 {
			prefix = one.RuleBook.Name + "/"
		}
		for _, f := range one.Findings {
			for list, is := range map[*[]string]bool{
				&run.Undetermined:  f.Status == requirement.Undetermined,
				&run.NotApplicable: f.Status == requirement.NotApplicable,
				&run.Waived:        f.Waiver != nil,
				&run.Accepted:      f.Accepted,
			} {
				if is {
					*list = append(*list, prefix+f.ID)
				}
			}
		}
		for _, n := range one.NotChecked {
			run.NotChecked = append(run.NotChecked, prefix+n.ID)
		}
	}
	annotations, err := marshal(run)
	if err != nil {
		return nil, err
	}
	tool := toolURI + url.QueryEscape(cmp.Or(o.Version, "devel"))
	list := []jsonDescriptor{{Name: toolName, URI: tool, Annotations: annotations}}
	for _, one := range r.Each() {
		b := one.RuleBook
		if b.Name == "" {
			return nil, errors.New("the result names no rule book")
		}
		text, err := marshal(jsonRuleBookOf(b))
		if err != nil {
			return nil, err
		}
		list = append(list, jsonDescriptor{
			Name: ruleBookName + b.Name, URI: tool + "#scanner/rules/books/" + b.Name + ".yaml", Annotations: text,
		})
	}
	settings := map[string]any{}
	for _, s := range o.Settings {
		// The key and the reports are paths, which decide nothing.
		if s.Source != "default" && s.Name != "key" && s.Name != "output" {
			settings[s.Name] = s.Value
		}
	}
	if len(settings) > 0 {
		text, err := marshal(settings)
		if err != nil {
			return nil, err
		}
		list = append(list, jsonDescriptor{
			Name: settingsName, Digest: sha256Of(text), Content: text, MediaType: "application/json",
		})
	}
	inputs := slices.Clone(o.Inputs)
	for _, f := range r.Rules {
		inputs = append(inputs, InputFile{"rules", f.Name, f.SHA256})
	}
	for _, f := range inputs {
		list = append(list, jsonDescriptor{Name: f.Kind + ": " + f.Name, Digest: map[string]string{"sha256": f.SHA256}})
	}
	return list, nil
}

// Names of descriptors: of the settings, and of a rule book before its own name.
const (
	settingsName = "settings in force"
	ruleBookName = "rule book "
)

func sha256Of(text []byte) map[string]string {
	sum := sha256.Sum256(text)
	return map[string]string{"sha256": hex.EncodeToString(sum[:])}
}

func moment(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// Errors of ReadAttestation.
var (
	// ErrNotAttestation is the error for a file that is no attestation of a scan.
	ErrNotAttestation = errors.New("not a signed result of coldcheck")
	// ErrSignature is the error for an attestation that the key did not sign.
	ErrSignature = dsse.ErrSignature
)

// Attested is what an attestation says, once its signature is verified.
type Attested struct {
	KeyID, KeyKind  string // of the key that signed it
	Version, Commit string // of the program
	Started         time.Time
	Finished        time.Time
	Platform        scanner.Platform
	Examination     Examination

	Result        string // "PASSED", "WARNED" or "FAILED"
	Verdict       scanner.Verdict
	PolicyVerdict scanner.Verdict

	RuleBooks []scanner.RuleBook // by which the system was judged, at least one
	Subjects  []AttestedSubject
	Settings  map[string]any // those that are not defaults, by name
	Inputs    []InputFile    // Kind is ""; Name begins with it

	// Ids of requirements, which follow the name and a slash if they are not of the first
	// rule book. The first three are lists of the predicate, each id in one of them at most.
	Passed, Warned, Failed                                    []string
	Undetermined, NotApplicable, NotChecked, Waived, Accepted []string
}

// AttestedSubject is a file that was scanned.
type AttestedSubject struct {
	Name     string
	Digest   map[string]string // by algorithm
	Compared string            // name of the image that was compared and is this one; "" if none was
}

// ReadAttestation verifies an attestation that Attestation wrote, and returns what it
// says. The error is ErrSignature, ErrNotAttestation, or about the key.
func ReadAttestation(data []byte, key crypto.PublicKey) (*Attested, error) {
	id, err := dsse.KeyID(key)
	if err != nil {
		return nil, err
	}
	payload, err := dsse.Verify(data, key, attestationType)
	switch {
	case errors.Is(err, dsse.ErrFormat):
		return nil, fmt.Errorf("%w: %w", ErrNotAttestation, err)
	case err != nil:
		return nil, err
	}
	a, err := readStatement(payload)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotAttestation, err)
	}
	a.KeyID = id
	a.KeyKind, err = dsse.KeyKind(key)
	return a, err
}

func readStatement(payload []byte) (*Attested, error) {
	var s jsonStatement
	if err := dsse.Unmarshal(payload, &s); err != nil {
		return nil, err
	}
	switch {
	case s.Type != statementType:
		return nil, fmt.Errorf("the type of the statement is %q", s.Type)
	case s.PredicateType != predicateType:
		return nil, fmt.Errorf("the type of the predicate is %q", s.PredicateType)
	case len(s.Subject) == 0:
		return nil, errors.New("it has no subject")
	}
	p := s.Predicate
	a := &Attested{Result: p.Result, Passed: p.PassedTests, Warned: p.WarnedTests, Failed: p.FailedTests}
	for _, d := range s.Subject {
		if len(d.Digest) == 0 {
			return nil, fmt.Errorf("the subject %q has no digest", d.Name)
		}
		a.Subjects = append(a.Subjects, AttestedSubject{Name: d.Name, Digest: d.Digest})
	}
	tools := 0
	for _, d := range p.Configuration {
		switch {
		case strings.HasPrefix(d.URI, toolURI) && strings.HasPrefix(d.Name, ruleBookName):
			var b jsonRuleBook
			if err := json.Unmarshal(d.Annotations, &b); err != nil {
				return nil, fmt.Errorf("%s: %w", d.Name, err)
			}
			a.RuleBooks = append(a.RuleBooks, scanner.RuleBook{Name: b.Name, Title: b.Title, Source: b.Source, AsOf: b.AsOf})
		case strings.HasPrefix(d.URI, toolURI):
			tools++
			if err := a.readRun(d.Annotations); err != nil {
				return nil, fmt.Errorf("%s: %w", d.URI, err)
			}
		case d.Name == settingsName:
			if err := dsse.Unmarshal(d.Content, &a.Settings); err != nil {
				return nil, fmt.Errorf("settings: %w", err)
			}
		default:
			a.Inputs = append(a.Inputs, InputFile{Name: d.Name, SHA256: d.Digest["sha256"]})
		}
	}
	if tools != 1 || len(a.RuleBooks) == 0 {
		return nil, errors.New("it does not name coldcheck once, and a rule book")
	}
	return a, a.check()
}

func (a *Attested) readRun(annotations []byte) (err error) {
	var run jsonRun
	if err := json.Unmarshal(annotations, &run); err != nil {
		return err
	}
	a.Version, a.Commit, a.Platform = run.Version, run.Commit, scanner.Platform(run.Platform)
	a.Verdict, a.PolicyVerdict = run.Verdict, run.PolicyVerdict
	a.Undetermined, a.NotApplicable, a.NotChecked = run.Undetermined, run.NotApplicable, run.NotChecked
	a.Waived, a.Accepted = run.Waived, run.Accepted
	if e := run.Examination; e != nil {
		a.Examination = Examination{CaseID: e.CaseID, Examiner: e.Examiner, Note: e.Note}
	}
	if a.Started, err = time.Parse(time.RFC3339Nano, run.Started); err != nil {
		return err
	}
	a.Finished, err = time.Parse(time.RFC3339Nano, run.Finished)
	return err
}

// check refuses a statement that contradicts itself.
func (a *Attested) check() error {
	verdicts := []scanner.Verdict{scanner.Ready, scanner.NotReady, scanner.Inconclusive}
	passes := a.PolicyVerdict == scanner.Ready && len(a.Failed) == 0
	switch {
	case !slices.Contains(results, a.Result):
		return fmt.Errorf("unknown result %q", a.Result)
	case !slices.Contains(verdicts, a.Verdict):
		return fmt.Errorf("unknown verdict %q", a.Verdict)
	case !slices.Contains(verdicts, a.PolicyVerdict):
		return fmt.Errorf("unknown verdict %q of the policy", a.PolicyVerdict)
	case a.Finished.Before(a.Started):
		return errors.New("the scan ended before it began")
	case a.Result == resultPassed && (!passes || a.Verdict != scanner.Ready), a.Result == resultWarned && !passes:
		return fmt.Errorf("the result %s contradicts its findings or its verdict", a.Result)
	}
	seen := map[string]bool{}
	for _, id := range slices.Concat(a.Passed, a.Warned, a.Failed) {
		if seen[id] {
			return fmt.Errorf("%q is listed twice", id)
		}
		seen[id] = true
	}
	return nil
}

// Gate is the verdict to gate on: Ready if the result is PASSED, and also for WARNED if
// that is accepted. WARNED is the result of a scan whose policy accepts what the verdict
// does not.
func (a *Attested) Gate(acceptWarned bool) scanner.Verdict {
	switch {
	case a.Result == resultPassed, a.Result == resultWarned && acceptWarned:
		return scanner.Ready
	case a.Verdict == scanner.NotReady || a.PolicyVerdict == scanner.NotReady:
		return scanner.NotReady
	}
	return scanner.Inconclusive
}

// By reports whether the system was judged by the rule book of that name.
func (a *Attested) By(ruleBook string) bool {
	return slices.ContainsFunc(a.RuleBooks, func(b scanner.RuleBook) bool { return b.Name == ruleBook })
}

// Compare notes that an image with this SHA-256, or this name "ebs:snap-…" of a snapshot,
// is one of the subjects, and returns whether it is. A snapshot never changes, and is
// known by its id.
func (a *Attested) Compare(image, sum string) bool {
	found := false
	for i, s := range a.Subjects {
		if sum != "" && strings.EqualFold(s.Digest["sha256"], sum) ||
			sum == "" && s.Name == image && s.Digest[ReadSetDigest] != "" {
			a.Subjects[i].Compared, found = image, true
		}
	}
	return found
}
