package requirement

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/internal/prose"
)

// Status is the answer to one requirement.
type Status string

// Nothing that could not be read is ever Passed: it is Undetermined.
const (
	Passed        Status = "passed"
	Failed        Status = "failed"
	Warning       Status = "warning"
	NotApplicable Status = "not_applicable"
	Undetermined  Status = "undetermined"
)

// Statuses lists every status in the order in which reports count them.
var Statuses = []Status{Failed, Warning, Passed, Undetermined, NotApplicable}

// Basis says how the evidence led to the status.
type Basis string

// Observed was read from the disk, Inferred follows from what was read, Stated
// comes from a document that was given beside the images.
const (
	Observed Basis = "observed"
	Inferred Basis = "inferred"
	Stated   Basis = "stated"
)

// Outcome is what a judgement says of the facts it was given.
type Outcome struct {
	Status      Status
	Basis       Basis // "" for NotApplicable and Undetermined
	Message     string
	Remediation string // "" for the requirement's own
	Evidence    []Evidence
	Subjects    []Subject // the things that the outcome is about, for programs
	Details     any       // lists too long for the message; marshals to JSON

	// Explains are names of the service for failures of an image creation that
	// what was found accounts for, beside that of the requirement. A report shows
	// them with the image that failed.
	Explains []string
}

// Pass is an Outcome whose evidence says that the demand is met.
func Pass(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: Passed, Basis: Observed, Message: message, Evidence: evidence}
}

// Infer is a pass that follows from what was read without being written
// there; the message says how.
func Infer(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: Passed, Basis: Inferred, Message: message, Evidence: evidence}
}

// Fail is an Outcome whose evidence says that the demand is not met. At least
// one piece of evidence is owed.
func Fail(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: Failed, Basis: Observed, Message: message, Evidence: evidence}
}

// Warn is an Outcome for evidence that points both ways, or for a demand that
// is not met in a way the service's own checker would call a warning. At least
// one piece of evidence is owed.
func Warn(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: Warning, Basis: Observed, Message: message, Evidence: evidence}
}

// Skip is an Outcome for a demand that does not concern this system.
func Skip(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: NotApplicable, Message: message, Evidence: evidence}
}

// Unknown is an Outcome for evidence that is absent, unreadable or damaged;
// the message says which, and what would settle it.
func Unknown(message string, evidence ...Evidence) Outcome {
	return Outcome{Status: Undetermined, Message: message, Evidence: evidence}
}

// Unreadable is Unknown with the error of the fact that could not be read.
func Unreadable(err error, evidence ...Evidence) Outcome {
	return Unknown(oneLine(err.Error()), evidence...)
}

// oneLine is a text in one line: errors that were joined have one each.
func oneLine(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

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
	Waiver   *Waiver // covers the finding, so that the policy leaves it out; nil if none does
	Omitted  Omitted // what the finding does not carry of its outcome
}

// Waiver is a decision that a finding shall not count for a while. The finding
// keeps its status.
type Waiver struct {
	ID           string    // of the requirement
	Target       string    // name of a computer or of an image; "" for every scan
	Reason       string    // why the finding may stay as it is
	Owner        string    // who answers for that
	Expiry       time.Time // the last day on which it holds, at 0:00 UTC
	Undetermined bool      // covers a finding that is undetermined too
	Source       string    // where it is written, as file:line
}

// Find joins a requirement and an outcome and holds the outcome to what every
// finding promises: a recommended requirement never fails, an info finding
// passes or is undetermined, and whatever asks for action says what to do and
// what it rests on. An outcome that breaks the promise is a defect of the
// judgement and comes out as Undetermined, never as a pass. Of an outcome with
// more than any report needs, the finding carries a part.
func Find(r Requirement, o Outcome) Finding {
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
