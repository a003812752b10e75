package report

import (
	"bufio"
	"cmp"
	_ "embed" // for JUnitSchema
	"encoding/xml"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// JUnitSchema is the XML Schema of the output of JUnit: a subset of the format
// of Apache Ant's JUnit task, which Jenkins, GitLab and others read.
//
//go:embed junit.xsd
var JUnitSchema []byte

// JUnit writes a test suite for each rule book, with a case for every requirement. The suite and
// the class of its cases have the name of the computer, or of the root volume's
// image if the computer has no name, and that of a rule book that is not the
// default. Programs that keep a history of cases
// identify a case by its class and name, and must not merge those of two
// machines.
//
// A case fails if its finding counts as not met under the flags. It is an error
// if the finding counts as undetermined under the flags, which keeps the
// verdict from being ready. Everything else that is undetermined, not
// applicable, waived, accepted or not checked is skipped, with the reason.
// Every other case passes, and its output has the finding. Images that changed
// while they were read, and required requirements that were not checked, are
// each a case of their own, an error.
func JUnit(w io.Writer, r *scanner.Result, o Options) error {
	doc := junitSuites{Name: "coldcheck", Time: seconds(r)}
	for _, one := range r.Each() {
		s := junitSuiteOf(one, o)
		doc.Tests, doc.Failures, doc.Errors = doc.Tests+s.Tests, doc.Failures+s.Failures, doc.Errors+s.Errors
		doc.Skipped += s.Skipped
		doc.Suites = append(doc.Suites, s)
	}
	b := bufio.NewWriter(w)
	b.WriteString(xml.Header)
	e := xml.NewEncoder(b)
	e.Indent("", "  ")
	if err := e.Encode(doc); err != nil {
		return err
	}
	b.WriteString("\n")
	return b.Flush()
}

func junitSuiteOf(r *scanner.Result, o Options) junitSuite {
	name := targetName(r)
	if b := r.RuleBook.Name; b != "" && b != rules.Default {
		name += "." + b
	}
	suite := junitSuite{
		Name:      name,
		Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"),
		Hostname:  Neutral(r.Platform.ComputerName),
		Time:      seconds(r),
		Properties: []junitProperty{
			{"tool", strings.TrimSpace("coldcheck " + o.Version)},
			{"system", Neutral(system(r))},
			{"verdict", string(r.Verdict)},
		},
	}
	if r.RuleBook.Name != "" {
		suite.Properties = append(suite.Properties, junitProperty{"rulebook", r.RuleBook.Name})
	}
	if code := o.exitCode(r.PolicyVerdict); code != nil {
		suite.Properties = append(suite.Properties, junitProperty{"exit_code", strconv.Itoa(*code)})
	}
	for _, n := range o.Examination.stated() {
		suite.Properties = append(suite.Properties, junitProperty{n.key, Neutral(n.text)})
	}
	for _, v := range volumes(r) {
		what, where := volume(v)
		suite.Properties = append(
			suite.Properties,
			junitProperty{"volume." + string(v.Role), Neutral(what + "  " + where)},
		)
	}
	class := "coldcheck." + strings.ReplaceAll(name, ".", "_") // dots separate packages
	cases := make([]junitCase, 0, len(r.Findings)+len(r.NotChecked)+2)
	for _, f := range r.Findings {
		cases = append(cases, junitCaseOf(class, f))
	}
	for _, n := range r.NotChecked {
		cases = append(cases, junitCase{Name: n.ID, Class: class, Time: "0", Skipped: &junitSkip{"not checked: " + n.Reason}})
	}
	mistake := func(name, kind, message string) {
		cases = append(cases, junitCase{Name: name, Class: class, Time: "0",
			Error: &junitResult{Type: kind, Message: message, Text: message + "\n"}})
	}
	for _, v := range r.Reasons {
		if v.Kind == scanner.ReasonNotChecked {
			mistake("not-checked", string(v.Kind), "The verdict depends on requirements that were not checked: "+
				strings.Join(v.IDs, ", ")+".")
		}
	}
	for _, doubt := range []struct {
		name, kind string
		messages   []string
	}{
		{"images", "changed", r.Changed}, {"base-disks", "stale_base", r.StaleBases},
		{"hashes", "image_hash", r.Unverified}, {"disks", "disk_unread", r.UnreadDisks},
	} {
		if len(doubt.messages) > 0 {
			mistake(doubt.name, doubt.kind, Neutral(strings.Join(doubt.messages, "; ")))
		}
	}
	suite.Tests, suite.Cases = len(cases), cases
	for _, c := range cases {
		switch {
		case c.Failure != nil:
			suite.Failures++
		case c.Error != nil:
			suite.Errors++
		case c.Skipped != nil:
			suite.Skipped++
		}
	}
	var notices strings.Builder
	for _, n := range worstFirst(r.Notices) {
		notices.WriteString(Neutral(notice(n)) + "\n")
	}
	if notices.Len() > 0 {
		suite.Output = &junitText{notices.String()}
	}
	return suite
}

// targetName is the name of the computer, or of the root volume's image if the
// computer has none.
func targetName(r *scanner.Result) string {
	return cmp.Or(Neutral(r.Platform.ComputerName), rootImage(r))
}

// rootImage is the name of the image with the root volume, without its folder.
func rootImage(r *scanner.Result) string {
	name := ""
	for _, v := range volumes(r) {
		name = cmp.Or(name, v.Image)
	}
	return Neutral(filepath.Base(cmp.Or(name, "image")))
}

func seconds(r *scanner.Result) string {
	return strconv.FormatFloat(max(r.Finished.Sub(r.Started).Seconds(), 0), 'f', 3, 64)
}

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Name     string       `xml:"name,attr"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Skipped  int          `xml:"skipped,attr"`
	Time     string       `xml:"time,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Timestamp  string          `xml:"timestamp,attr"`
	Hostname   string          `xml:"hostname,attr,omitempty"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
	Output     *junitText      `xml:"system-out"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Name    string       `xml:"name,attr"`
	Class   string       `xml:"classname,attr"`
	Time    string       `xml:"time,attr"`
	Failure *junitResult `xml:"failure"`
	Error   *junitResult `xml:"error"`
	Skipped *junitSkip   `xml:"skipped"`
	Output  *junitText   `xml:"system-out"`
}

type junitResult struct {
	Type    string `xml:"type,attr"`
	Message string `xml:"message,attr"`
	Text    string `xml:",cdata"`
}

type junitText struct {
	Text string `xml:",cdata"`
}

type junitSkip struct {
	Message string `xml:"message,attr"`
}

func junitCaseOf(class string, f requirement.Finding) junitCase {
	// The time is 0: what a requirement costs is shared with others.
	c := junitCase{Name: f.ID, Class: class, Time: "0"}
	status, message := statusName(f.Status), Neutral(f.Message)
	switch {
	case f.Unmet:
		c.Failure = &junitResult{Type: status, Message: message, Text: account(f)}
	case f.Waiver != nil:
		c.Skipped = &junitSkip{fmt.Sprintf("%s, and waived %s", status, Neutral(waiver(*f.Waiver)))}
		c.Output = &junitText{account(f)}
	case f.Accepted:
		c.Skipped = &junitSkip{status + ", and accepted: " + message}
		c.Output = &junitText{account(f)}
	case f.Open:
		if f.Status == requirement.Passed {
			message = "passed by inference, which --strict counts as undetermined: " + message
		}
		c.Error = &junitResult{Type: string(requirement.Undetermined), Message: message, Text: account(f)}
	case f.Status == requirement.Undetermined:
		c.Skipped = &junitSkip{status + ", and the verdict does not depend on it: " + message}
		c.Output = &junitText{account(f)}
	case f.Status == requirement.NotApplicable:
		c.Skipped = &junitSkip{message}
	default:
		c.Output = &junitText{account(f)}
	}
	return c
}

// account describes all of a finding, one line each: the status with the
// message, every piece of evidence, and what to do.
func account(f requirement.Finding) string {
	var b strings.Builder
	head := statusName(f.Status)
	for _, m := range marks(f) {
		head += " (" + m + ")"
	}
	fmt.Fprintf(&b, "%s: %s\n", head, Neutral(f.Message))
	for _, e := range f.Evidence {
		fmt.Fprintf(&b, "  %s\n", Neutral(line(e)))
	}
	if what, how := advice(f); how != "" {
		fmt.Fprintf(&b, "%s: %s\n", what, Neutral(how))
	}
	return b.String()
}
