package requirement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
)

// Status is the result of checking one requirement.
type Status string

// A requirement whose evidence cannot be read is Undetermined, never Passed.
const (
	Passed        Status = "passed"
	Failed        Status = "failed"
	Warning       Status = "warning"
	NotApplicable Status = "not_applicable"
	Undetermined  Status = "undetermined"
)

// Statuses lists every status in the order that reports use for counts.
var Statuses = []Status{Failed, Warning, Passed, Undetermined, NotApplicable}

// Basis is how the status follows from the evidence.
type Basis string

// Observed was read from the disk. Inferred follows from data that was read.
// Stated comes from a document that the caller added to the images.
const (
	Observed Basis = "observed"
	Inferred Basis = "inferred"
	Stated   Basis = "stated"
)

// Outcome is the result of checking a requirement.
type Outcome struct {
	Status      Status
	Basis       Basis // "" for NotApplicable and Undetermined
	Message     string
	Remediation string // "" for the requirement's own
	Evidence    []Evidence
	Subjects    []Subject // the things that the outcome is about, for programs
	Details     any       // lists too long for the message; marshals to JSON
	Advisory    bool      // on this system, the requirement is only recommended
	// Until is the last moment for which a later scan of the same bytes comes to the
	// same outcome; zero if the outcome does not depend on the time.
	Until time.Time

	// Unread is the error of the failed read for which it is Undetermined; nil if
	// there is none. Findings do not have it.
	Unread error

	// Explains are error codes of failed image creations that this outcome
	// explains, in addition to the requirement's own code. A report shows them
	// with the image that failed.
	Explains []string
}

// Pass returns an Outcome for a requirement that is met.
func Pass(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: Passed, Basis: Observed, Message: message, Evidence: evidence}
}

// Infer returns a pass that follows indirectly from data that was read; the
// message says how.
func Infer(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: Passed, Basis: Inferred, Message: message, Evidence: evidence}
}

// Fail returns an Outcome for a requirement that is not met. It needs at least
// one piece of evidence.
func Fail(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: Failed, Basis: Observed, Message: message, Evidence: evidence}
}

// Warn returns an Outcome for contradictory evidence, or for a requirement that
// is not met where the service's own checker reports a warning. It needs at
// least one piece of evidence.
func Warn(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: Warning, Basis: Observed, Message: message, Evidence: evidence}
}

// Skip returns an Outcome for a requirement that does not apply to this system.
func Skip(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: NotApplicable, Message: message, Evidence: evidence}
}

// Unknown returns an Outcome for evidence that is missing, unreadable or
// damaged; the message says which, and what would decide the requirement.
func Unknown(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: Undetermined, Message: message, Evidence: evidence}
}

// Unreadable returns Unknown with the error of a failed read as its message.
func Unreadable(err error, evidence ...Evidence) Outcome {
	o := Unknown(oneLine(err.Error()), evidence...)
	o.Unread = err
	return o
}

// oneLine is a text in one line. Of errors that were joined, which have a line each, each is a sentence, and those that
// read the same are one.
func oneLine(s string) string {
	if !strings.Contains(s, "\n") {
		return s
	}
	var sentences []string
	for line := range strings.SplitSeq(s, "\n") {
		if one := prose.Sentence(strings.TrimSpace(line)); one != "" && !slices.Contains(sentences, one) {
			sentences = append(sentences, one)
		}
	}
	return strings.Join(sentences, " ")
}

// OnlyRecommended returns the outcome on a system for which the requirement is
// recommended and not required, so that it is at most a warning.
func (o Outcome) OnlyRecommended() Outcome {
	o.Advisory = true
	if o.Status == Failed {
		o.Status = Warning
	}
	return o
}

// About returns the outcome with more subjects.
func (o Outcome) About(subjects ...Subject) Outcome {
	o.Subjects = append(slices.Clip(o.Subjects), subjects...)
	return o
}

// Also returns the outcome with more sentences in its message.
func (o Outcome) Also(sentences ...string) Outcome {
	for _, s := range sentences {
		o.Message = strings.TrimLeft(prose.Sentence(o.Message)+" "+prose.Sentence(s), " ")
	}
	return o
}

// With returns the outcome with more evidence.
func (o Outcome) With(evidence ...Evidence) Outcome {
	o.Evidence = append(slices.Clip(o.Evidence), evidence...)
	return o
}

// Finding is the outcome of one requirement in one scan.
type Finding struct {
	Requirement
	Outcome
	Counts   bool    // the verdict depends on it
	Unmet    bool    // the caller's policy counts it as not met
	Open     bool    // the caller's policy counts it as undetermined, so that its verdict is not ready
	Accepted bool    // Undetermined, and accepted by the caller
	Waiver   *Waiver // covers the finding, so that the policy ignores it; nil if none does
	Omitted  Omitted // parts of the outcome that the finding leaves out
}

// Waiver is a decision that a finding does not count until a date. The finding
// keeps its status.
type Waiver struct {
	ID           string    // of the requirement
	Target       string    // name of a computer or of an image; "" for every scan
	Reason       string    // why the finding is acceptable
	Owner        string    // who is responsible for the decision
	Expiry       time.Time // the last day on which it holds, at 0:00 UTC
	Undetermined bool      // covers a finding that is undetermined too
	Source       string    // its location, as file:line
}

// Find joins a requirement and an outcome and enforces the rules for findings.
// A recommended requirement never fails. An info finding passes or is
// undetermined. A finding that needs action has a remediation and evidence. An
// outcome that breaks a rule is a bug in the check and becomes Undetermined,
// never a pass. If an outcome is too large for a report, the finding carries
// only part of it.
func Find(r Requirement, o Outcome) Finding {
	if r.Severity == Required && o.Advisory {
		r.Severity = Recommended
	}
	if problem := broken(r, o); problem != "" {
		o = Unknown(
			fmt.Sprintf("This is a defect in coldcheck: %s (status %q, message %q).", problem, o.Status, o.Message),
			o.Evidence...)
	}
	switch o.Status {
	case Failed, Warning:
		o.Remediation = cmp.Or(o.Remediation, r.Remediation)
	default:
		o.Remediation = ""
	}
	o.Message, o.Remediation = prose.Sentence(o.Message), prose.Sentence(o.Remediation)
	o.Unread = nil
	o, left := bound(o)
	return Finding{Requirement: r, Outcome: o, Omitted: left}
}

func broken(r Requirement, o Outcome) string {
	switch {
	case !slices.Contains(Statuses, o.Status):
		return "unknown status"
	case o.Message == "":
		return "a finding without a message"
	case o.Status == Failed && r.Severity != Required:
		return "only a required finding may fail"
	case o.Status == Warning && r.Severity == Info, o.Status == NotApplicable && r.Severity == Info:
		return "an info finding passes or is undetermined"
	case (o.Status == Failed || o.Status == Warning) && len(o.Evidence) == 0:
		return "no evidence"
	case (o.Status == Failed || o.Status == Warning) && o.Remediation == "" && r.Remediation == "":
		return "no remediation"
	case o.Status == Passed && o.Basis == "":
		return "a pass without a basis"
	}
	return ""
}
