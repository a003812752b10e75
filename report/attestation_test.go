package report

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coldcheck/coldcheck/internal/dsse"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// unsigned are the formats that need no key, and no hashes of the images.
func unsigned() []Format {
	return slices.DeleteFunc(slices.Clone(Formats), func(f Format) bool { return f.Name == "attestation" })
}

func signingKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize))
}

// hashed is a result whose files all have hashes.
func hashed(r *scanner.Result) *scanner.Result {
	copied := *r
	copied.Files = slices.Clone(r.Files)
	if r.RuleBook == (scanner.RuleBook{}) {
		copied.RuleBook = scanner.RuleBook{Name: "image", Title: "Custom images", Source: "a guide", AsOf: "2021"}
	}
	if len(copied.Files) == 0 {
		for _, name := range r.Images {
			copied.Files = append(copied.Files, scanner.ImageFile{Name: name})
		}
	}
	for i := range copied.Files {
		switch f := &copied.Files[i]; {
		case f.Remote != nil && (f.Remote.ReadSet == nil || f.Remote.ReadSet.SHA256 == ""):
			remote := *f.Remote
			remote.ReadSet = &scanner.ReadSet{SHA256: strings.Repeat("0e", 32)}
			f.Remote = &remote
		case f.Remote == nil && f.SHA256 == "":
			f.SHA256 = strings.Repeat("0a", 32)
		}
	}
	return &copied
}

func statementSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	text, err := os.ReadFile("testdata/test-result.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("statement.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("statement.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func decodedText(t *testing.T, text []byte) any {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

// The statement of every sample is what the specification says, and what it says of the
// sample is read back.
func TestAttestation(t *testing.T) {
	schema, key := statementSchema(t), signingKey()
	for name, r := range samples() {
		o := options(name)
		o.Key = key
		o.Inputs = []InputFile{NewInputFile("waivers", "waivers.yaml", []byte("waivers: []\n"))}
		r = hashed(r)
		payload, err := statementOf(r, o)
		if err != nil {
			t.Fatal(name, err)
		}
		if err := schema.Validate(decodedText(t, payload)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var pretty, envelope bytes.Buffer
		if err := json.Indent(&pretty, payload, "", "  "); err != nil {
			t.Fatal(err)
		}
		golden(t, name+".statement.json", append(pretty.Bytes(), '\n'))
		if err := Attestation(&envelope, r, o); err != nil {
			t.Fatal(name, err)
		}
		a, err := ReadAttestation(envelope.Bytes(), key.Public())
		if err != nil {
			t.Fatal(name, err)
		}
		n := AttestedNote{File: name + ".json", Compared: true}
		a.Compare("copy.img", strings.Repeat("0A", 32))
		for format, write := range map[string]func(*bytes.Buffer) error{
			"text": func(b *bytes.Buffer) error { return AttestedText(b, a, n, Options{ExitCode: exitCode}) },
			"json": func(b *bytes.Buffer) error { return AttestedJSON(b, a, n, Options{ExitCode: exitCode}) },
		} {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			if strings.ContainsAny(b.String(), "\x1b\u202e") {
				t.Errorf("%s as %s: control characters", name, format)
			}
			if slices.Contains([]string{"partial", "containers", "waived", "ready", "remote"}, name) {
				golden(t, name+".attested."+format, b.Bytes())
			}
		}
	}
	for what, doc := range map[string]string{
		"no subject":    `{"_type": "https://in-toto.io/Statement/v1", "subject": []}`,
		"another field": `{"x": 1}`,
	} {
		if schema.Validate(decodedText(t, []byte(doc))) == nil {
			t.Errorf("the schema accepts %s", what)
		}
	}
}

// counting is a finding of a required requirement.
func counting(id string, o requirement.Outcome, with func(f *requirement.Finding)) requirement.Finding {
	f := requirement.Find(row(id, requirement.Required), o)
	f.Counts = true
	if with != nil {
		with(&f)
	}
	return f
}

// What keeps a verdict from ready is among the failed tests, and makes the result FAILED;
// what has no result is in no list.
func TestTestResult(t *testing.T) {
	evidence := requirement.Evidence{Kind: requirement.KindFile, Source: "root", Path: "x"}
	pass, fail := requirement.Pass("It is."), requirement.Fail("It is not.", evidence)
	warn, open := requirement.Warn("Perhaps.", evidence), requirement.Unknown("It is not known.")
	isOpen := func(f *requirement.Finding) { f.Open = true }
	accepted := func(f *requirement.Finding) { f.Accepted = true }
	waived := func(f *requirement.Finding) { f.Waiver = &requirement.Waiver{} }
	const ready, not, unsure = scanner.Ready, scanner.NotReady, scanner.Inconclusive
	for name, c := range map[string]struct {
		finding         requirement.Finding
		verdict, policy scanner.Verdict
		result, list    string
		gate, warned    scanner.Verdict // of Gate without and with WARNED
	}{
		"passed":            {counting("a", pass, nil), ready, ready, "PASSED", "passed", ready, ready},
		"failed":            {counting("a", fail, nil), not, not, "FAILED", "failed", not, not},
		"failed, by never":  {counting("a", fail, nil), not, ready, "FAILED", "failed", not, not},
		"failed, waived":    {counting("a", fail, waived), not, ready, "WARNED", "warned", not, ready},
		"warning":           {counting("a", warn, nil), not, not, "FAILED", "warned", not, not},
		"warning, accepted": {counting("a", warn, nil), not, ready, "WARNED", "warned", not, ready},
		"unknown":           {counting("a", open, isOpen), unsure, unsure, "FAILED", "failed", unsure, unsure},
		"unknown, accepted": {counting("a", open, accepted), unsure, ready, "WARNED", "warned", unsure, ready},
		"unknown, waived":   {counting("a", open, waived), unsure, ready, "WARNED", "warned", unsure, ready},
		"unknown, of no effect": {counting("a", open, func(f *requirement.Finding) { f.Counts = false }), ready, ready,
			"PASSED", "", ready, ready},
		"not applicable":       {counting("a", requirement.Skip("No."), nil), ready, ready, "PASSED", "", ready, ready},
		"inferred, by strict":  {counting("a", pass, isOpen), ready, unsure, "FAILED", "failed", unsure, unsure},
		"an image changed":     {counting("a", pass, nil), unsure, unsure, "FAILED", "passed", unsure, unsure},
		"recommended, by flag": {counting("a", warn, nil), ready, not, "FAILED", "warned", not, not},
	} {
		r := &scanner.Result{Findings: []requirement.Finding{c.finding}, Verdict: c.verdict, PolicyVerdict: c.policy,
			Images: []string{"a.img"}}
		got := testResult(r)
		in := ""
		for list, ids := range map[string][]string{
			"passed": got.PassedTests, "warned": got.WarnedTests, "failed": got.FailedTests,
		} {
			if len(ids) > 0 {
				in += list
			}
		}
		if got.Result != c.result || in != c.list {
			t.Errorf("%s: %s, in list %q; want %s in list %q", name, got.Result, in, c.result, c.list)
		}
		var b bytes.Buffer
		if err := Attestation(&b, hashed(r), Options{Key: signingKey()}); err != nil {
			t.Fatal(name, err)
		}
		a, err := ReadAttestation(b.Bytes(), signingKey().Public())
		if err != nil {
			t.Fatal(name, err)
		}
		if a.Gate(false) != c.gate || a.Gate(true) != c.warned {
			t.Errorf("%s: the gate says %s, and %s with WARNED", name, a.Gate(false), a.Gate(true))
		}
	}
}

// Of several rule books, the worst result counts, and the findings of all are there.
func TestResultOfRuleBooks(t *testing.T) {
	evidence := requirement.Evidence{Kind: requirement.KindFile, Source: "root", Path: "x"}
	r := hashed(&scanner.Result{
		Images: []string{"a.img"}, RuleBook: scanner.RuleBook{Name: "image", AsOf: "2021"}, Verdict: scanner.Ready,
		PolicyVerdict: scanner.Ready, Findings: []requirement.Finding{counting("a", requirement.Pass("It is."), nil)},
	})
	other := scanner.Judgement{
		RuleBook: scanner.RuleBook{Name: "current", AsOf: "2026-08-31"}, Verdict: scanner.NotReady,
		PolicyVerdict: scanner.NotReady, Findings: []requirement.Finding{
			counting("a", requirement.Fail("It is not.", evidence), nil), counting("b", requirement.Skip("No."), nil),
		},
	}
	for _, c := range []struct {
		others []scanner.Judgement
		result string
		gate   scanner.Verdict
		failed []string
	}{
		{nil, "PASSED", scanner.Ready, []string{}},
		{[]scanner.Judgement{other}, "FAILED", scanner.NotReady, []string{"current/a"}},
	} {
		r.Others = c.others
		var b bytes.Buffer
		if err := Attestation(&b, r, Options{Key: signingKey()}); err != nil {
			t.Fatal(err)
		}
		a, err := ReadAttestation(b.Bytes(), signingKey().Public())
		if err != nil {
			t.Fatal(err)
		}
		if a.Result != c.result || a.Gate(false) != c.gate || !slices.Equal(a.Failed, c.failed) ||
			!slices.Equal(a.Passed, []string{"a"}) || !a.By("image") || a.By("current") != (c.others != nil) {
			t.Errorf("%+v", a)
		}
	}
}

// A policy under which nothing fails hides no doubt about the images.
func TestResultOfDoubt(t *testing.T) {
	evidence := requirement.Evidence{Kind: requirement.KindFile, Source: "root", Path: "x"}
	r := &scanner.Result{
		Findings: []requirement.Finding{counting("a", requirement.Warn("Perhaps.", evidence), nil)},
		Verdict:  scanner.NotReady, PolicyVerdict: scanner.Ready,
	}
	if got := testResult(r).Result; got != resultWarned {
		t.Errorf("without a doubt: %s", got)
	}
	r.Changed = []string{"root.img has changed"}
	if got := testResult(r).Result; got != resultFailed {
		t.Errorf("of an image that changed: %s", got)
	}
}

// A result whose images are not identified is not signed.
func TestAttestationWithoutHashes(t *testing.T) {
	set := func(sum string) *scanner.RemoteFile {
		return &scanner.RemoteFile{Identity: source.Identity{Snapshot: "snap-1"}, ReadSet: &scanner.ReadSet{SHA256: sum}}
	}
	sum := scanner.Sums{SHA256: strings.Repeat("0a", 32)}
	for name, files := range map[string][]scanner.ImageFile{
		"no images":         nil,
		"no hash":           {{Name: "a.img"}},
		"no hash of a part": {{Name: "a.vmdk", Sums: sum, Parts: []scanner.Part{{Name: "b.vmdk"}}}},
		"no hash of a parent": {{Name: "a.qcow2", Sums: sum,
			Parents: []scanner.ParentFile{{Part: scanner.Part{Name: "b.qcow2"}}}}},
		"no read set":            {{Name: "ebs:snap-1", Remote: &scanner.RemoteFile{}}},
		"a read set that is cut": {{Name: "ebs:snap-1", Remote: set("")}},
	} {
		r := &scanner.Result{Files: files}
		if err := Attestation(&bytes.Buffer{}, r, Options{Key: signingKey()}); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	r := &scanner.Result{Files: []scanner.ImageFile{{Name: "ebs:snap-1", Remote: set("0b")}}}
	if err := Attestation(&bytes.Buffer{}, r, Options{}); err == nil {
		t.Error("signed without a key")
	}
	if err := Attestation(&limited{err: errors.New("full")}, r, Options{Key: signingKey()}); err == nil {
		t.Error("an error of the writer is lost")
	}
}

// A file in several disks of an archive is one subject, and the disks are others.
func TestSubjectsOfArchive(t *testing.T) {
	sum := func(digits string) scanner.Sums { return scanner.Sums{SHA256: strings.Repeat(digits, 32)} }
	subjects, err := subjectsOf(&scanner.Result{Files: []scanner.ImageFile{
		{Name: "a.ova: 1.vmdk", Member: "1.vmdk", Sums: sum("01"), DiskSums: sum("02")},
		{Name: "a.ova: 2.vmdk", Member: "2.vmdk", Sums: sum("01"), DiskSums: sum("03")},
	}})
	var names []string
	for _, s := range subjects {
		names = append(names, s.Name)
	}
	if d := cmp.Diff([]string{"a.ova", "a.ova: 1.vmdk", "a.ova: 2.vmdk"}, names); d != "" || err != nil {
		t.Error(d, err)
	}
}

// A statement that the key signed is refused if it is of another type, is read in two
// ways, or contradicts itself.
func TestReadAttestation(t *testing.T) {
	key := signingKey()
	r := hashed(samples()["ready"])
	good, err := statementOf(r, options("ready"))
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, new string) string {
		if !bytes.Contains(good, []byte(old)) {
			t.Fatalf("no %s in the statement", old)
		}
		return strings.Replace(string(good), old, new, 1)
	}
	for name, c := range map[string]struct {
		payload string
		good    bool
	}{
		"as written":            {string(good), true},
		"an unknown field":      {replace(`{`, `{"x": {},`), true},
		"another statement":     {replace(statementType, "https://in-toto.io/Statement/v0.1"), false},
		"another predicate":     {replace(predicateType, "https://slsa.dev/provenance/v1"), false},
		"no rule book":          {replace(`"rule book `, `"rulebook `), false},
		"another tool":          {replace(toolURI, "pkg:golang/example.com/coldcheck@"), false},
		"two tools":             {replace(`"configuration":[`, `"configuration":[{"uri":"`+toolURI+`1","annotations":{}},`), false},
		"no subject":            {`{"_type": "` + statementType + `", "predicateType": "` + predicateType + `"}`, false},
		"a subject, no digest":  {replace(`"digest"`, `"digests"`), false},
		"no result":             {replace(`"result":"PASSED"`, `"x":1`), false},
		"an unknown result":     {replace(`"PASSED"`, `"passed"`), false},
		"two results":           {replace(`"result":"PASSED"`, `"Result":"FAILED","result":"PASSED"`), false},
		"passed with a failure": {replace(`"failedTests":[]`, `"failedTests":["x"]`), false},
		"warned with a failure": {strings.Replace(replace(`"failedTests":[]`, `"failedTests":["x"]`), "PASS", "WARN", 1), false},
		"passed, not ready":     {replace(`"verdict":"ready"`, `"verdict":"not_ready"`), false},
		"passed, not by policy": {replace(`"policyVerdict":"ready"`, `"policyVerdict":"inconclusive"`), false},
		"an unknown verdict":    {replace(`"verdict":"ready"`, `"verdict":""`), false},
		"an unknown policy":     {replace(`"policyVerdict":"ready"`, `"policyVerdict":"x"`), false},
		"no time":               {replace(`"startedOn"`, `"x"`), false},
		"ended before":          {replace(`"finishedOn":"2`, `"finishedOn":"1`), false},
		"an id twice":           {replace(`"warnedTests":[`, `"warnedTests":["`+r.Findings[0].ID+`",`), false},
		"something after it":    {string(good) + "{}", false},
		"not JSON":              {"x", false},
	} {
		envelope, err := dsse.Sign(key, attestationType, []byte(c.payload))
		if err != nil {
			t.Fatal(err)
		}
		a, err := ReadAttestation(envelope, key.Public())
		switch {
		case c.good && (err != nil || a == nil):
			t.Errorf("%s: %v", name, err)
		case !c.good && (!errors.Is(err, ErrNotAttestation) || a != nil):
			t.Errorf("%s: %v", name, err)
		}
	}
	envelope, err := dsse.Sign(key, attestationType, good)
	if err != nil {
		t.Fatal(err)
	}
	other := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	if _, err := ReadAttestation(envelope, other.Public()); !errors.Is(err, ErrSignature) {
		t.Errorf("by another key: %v", err)
	}
	if _, err := ReadAttestation([]byte("{}"), key.Public()); !errors.Is(err, ErrNotAttestation) {
		t.Errorf("no envelope: %v", err)
	}
	if _, err := ReadAttestation(envelope, "key"); err == nil {
		t.Error("accepted with a key of no kind")
	}
}

// An image is compared by its hash, and a snapshot by its id.
func TestCompare(t *testing.T) {
	sum := strings.Repeat("0a", 32)
	subjects := []AttestedSubject{
		{Name: "a.img", Digest: map[string]string{"sha256": sum}},
		{Name: "ebs:snap-1", Digest: map[string]string{ReadSetDigest: sum}},
	}
	for _, c := range []struct {
		image, sum string
		want       []string
	}{
		{"b.img", strings.ToUpper(sum), []string{"b.img", ""}}, {"a.img", strings.Repeat("0b", 32), nil},
		{"a.img", "", nil}, {"ebs:snap-1", "", []string{"", "ebs:snap-1"}}, {"ebs:snap-2", "", nil},
		{"ebs:snap-1", strings.Repeat("0b", 32), nil},
	} {
		a := &Attested{Subjects: slices.Clone(subjects)}
		var got []string
		if a.Compare(c.image, c.sum) {
			got = []string{a.Subjects[0].Compared, a.Subjects[1].Compared}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s %s: %q, want %q", c.image, c.sum, got, c.want)
		}
	}
}

// The bounds of the age of a scan, and what they do to a verdict.
func TestStaleAt(t *testing.T) {
	a := &Attested{Finished: start, Result: resultPassed}
	for age, want := range map[time.Duration]scanner.Verdict{
		time.Hour - 1: scanner.Ready, time.Hour: scanner.Ready, time.Hour + 1: scanner.Inconclusive, 0: scanner.Ready,
		-ahead: scanner.Ready, -ahead - 1: scanner.Inconclusive,
	} {
		if got := (AttestedNote{Stale: a.StaleAt(start.Add(age), time.Hour)}).Verdict(a); got != want {
			t.Errorf("%v: %s", age, got)
		}
	}
	if a.StaleAt(start.Add(1000*time.Hour), 0) != "" {
		t.Error("stale without a bound")
	}
	failed := &Attested{Result: resultFailed, Verdict: scanner.NotReady}
	if got := (AttestedNote{Stale: "x"}).Verdict(failed); got != scanner.NotReady {
		t.Errorf("stale and not ready: %s", got)
	}
}

// No statement makes the reader fail in another way than by its error, and what it
// accepts as PASSED has no failed test.
func FuzzStatement(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(samples())) {
		payload, err := statementOf(hashed(samples()[name]), options(name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		a, err := readStatement(payload)
		if err != nil {
			return
		}
		if a.Gate(true) == scanner.Ready && (len(a.Failed) > 0 || a.PolicyVerdict != scanner.Ready) {
			t.Fatalf("%+v passes", a)
		}
		var b bytes.Buffer
		if err := errors.Join(AttestedText(&b, a, AttestedNote{}, Options{}),
			AttestedJSON(&b, a, AttestedNote{}, Options{})); err != nil {
			t.Fatal(err)
		}
	})
}
