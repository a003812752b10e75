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
)

// JUnitSchema is the XML Schema of what JUnit writes: a part of what the JUnit
// task of Apache Ant writes, which Jenkins, GitLab and others read.
//
//go:embed junit.xsd
var JUnitSchema []byte

// JUnit writes a test suite, named as the image of the root volume, with a case
// for every requirement. A case fails if its finding counts as not met under
// the flags; undetermined is an error where the verdict counts it, and skipped
// where it does not; not applicable, waived and accepted are skipped; all else
// passes, and says in its output what it found. Images that changed while they
// were read are a case of their own, an error.
func JUnit(w io.Writer, r *scanner.Result, o Options) error {
	suite := junitSuite{
		Name:      rootImage(r),
		Timestamp: r.Started.UTC().Format("2006-01-02T15:04:05"),
		Hostname:  Neutral(r.Platform.ComputerName),
		Time:      seconds(r),
		Tests:     len(r.Findings),
		Properties: []junitProperty{
			{"tool", "coldcheck " + o.Version},
			{"system", Neutral(system(r))},
			{"verdict", string(r.Verdict)},
		},
	}
	if code := o.exitCode(r.PolicyVerdict); code != nil {
		suite.Properties = append(suite.Properties, junitProperty{"exit_code", strconv.Itoa(*code)})
	}
	for _, v := range volumes(r) {
		what, where := volume(v)
		suite.Properties = append(
			suite.Properties,
			junitProperty{"volume." + string(v.Role), Neutral(what + "  " + where)},
		)
	}
	cases := make([]junitCase, 0, len(r.Findings)+1)
	for _, f := range r.Findings {
		cases = append(cases, junitCaseOf(r, f))
	}
	if len(r.Changed) > 0 {
		message := Neutral(strings.Join(r.Changed, "; "))
		cases = append(cases, junitCase{Name: "images", Class: "coldcheck." + r.Platform.Family, Time: "0",
			Error: &junitResult{Type: "changed", Message: message, Text: message + "\n"}})
	}
	suite.Tests = len(cases)
	for _, c := range cases {
		switch {
		case c.Failure != nil:
			suite.Failures++
		case c.Error != nil:
			suite.Errors++
		case c.Skipped != nil:
			suite.Skipped++
		}
		suite.Cases = append(suite.Cases, c)
	}
	var notices strings.Builder
	for _, n := range worstFirst(r.Notices) {
		notices.WriteString(Neutral(notice(n)) + "\n")
	}
	if notices.Len() > 0 {
		suite.Output = &junitText{notices.String()}
	}
	doc := junitSuites{
		Name:     "coldcheck",
		Tests:    suite.Tests,
		Failures: suite.Failures,
		Errors:   suite.Errors,
		Skipped:  suite.Skipped,
		Time:     suite.Time,
		Suites:   []junitSuite{suite},
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

func junitCaseOf(r *scanner.Result, f requirement.Finding) junitCase {
	// The time is 0: what a requirement costs is shared with others.
	c := junitCase{Name: f.ID, Class: "coldcheck." + r.Platform.Family, Time: "0"}
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
	case f.Status == requirement.Undetermined && !f.Counts:
		c.Skipped = &junitSkip{status + ", and the verdict does not depend on it: " + message}
		c.Output = &junitText{account(f)}
	case f.Status == requirement.Undetermined:
		c.Error = &junitResult{Type: status, Message: message, Text: account(f)}
	case f.Status == requirement.NotApplicable:
		c.Skipped = &junitSkip{message}
	default:
		c.Output = &junitText{account(f)}
	}
	return c
}

// account tells a finding whole, a line each: the status with the message, every
// piece of evidence, and what to do.
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
