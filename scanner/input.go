package scanner

import (
	"slices"
	"time"

	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Input says what to scan.
type Input struct {
	Images []Source // in any order: which is which is found from their content
	Root   *Source  // the image that has to hold the system; nil to find it
	User   *Source  // the image that has to hold the profiles; nil to find it

	With     []Document // documents from outside the disk
	UserName string     // whose profile is meant; "" to find out
	Policy   Policy
	Hash     bool // the images are summed with SHA-256

	// ParallelReads is how many reads of the images may be under way at a time:
	// DefaultParallelReads if 0, at most MaxParallelReads.
	ParallelReads int

	// MaxMemory is how much memory the process may take while it scans, in bytes,
	// at least LeastMemory; 0 leaves the readers to their own limits. What does
	// not fit is an error that is ErrMemory, and undetermined what rests on it.
	// There may be one scan with a limit at a time.
	MaxMemory int64

	// CrossCheck starts a child process with a crosscheck.Worker for the same
	// images, in the order Images, Root, User; nil for no second reading.
	CrossCheck crosscheck.Start

	// Now is the clock: when the scan began and ended, when each event was, and the
	// day on which certificates, updates and waivers are judged. nil is time.Now.
	Now func() time.Time

	Progress func(Progress) // called from one goroutine at a time; may be nil
}

// LeastMemory is the smallest Input.MaxMemory, in bytes.
const LeastMemory = memory.Least

// ErrMemory says that something does not fit into Input.MaxMemory.
var ErrMemory = memory.ErrLimit

// budget returns the memory that the scan may take, nil without a limit.
func (in *Input) budget() (*memory.Budget, error) {
	switch {
	case in.MaxMemory == 0:
		return nil, nil
	case in.MaxMemory < LeastMemory:
		return nil, fail(ErrUsage, "", "a scan needs at least %d bytes of memory", int64(LeastMemory))
	}
	return memory.New(in.MaxMemory), nil
}

// Document is the content of a document from outside the disk.
type Document struct {
	Name string
	Data []byte
}

// Progress says what a scan is doing.
type Progress struct {
	Step        string
	Done, Total int64 // in steps; Total is 0 where it is not known
}

// Policy says which findings Result.PolicyVerdict is made of. It changes
// neither statuses nor the verdict.
type Policy struct {
	Strict bool     // a pass that was inferred counts as undetermined
	Accept []string // ids whose undetermined findings count as passed
	FailOn FailOn   // "" is FailOnWarning

	Waivers []requirement.Waiver // findings that they cover do not count
}

// FailOn says which findings count as not met.
type FailOn string

// The values of FailOn.
const (
	FailOnFailed      FailOn = "failed"      // failed required findings
	FailOnWarning     FailOn = "warning"     // failed and warning of required findings
	FailOnRecommended FailOn = "recommended" // beside them the warnings of recommended findings
	FailOnNever       FailOn = "never"       // none
)

var failOns = []FailOn{FailOnFailed, FailOnWarning, FailOnRecommended, FailOnNever}

// check returns an ErrUsage for what no scan can follow.
func (p Policy) check() error {
	if p.FailOn != "" && !slices.Contains(failOns, p.FailOn) {
		return fail(ErrUsage, "one of failed, warning, recommended, never", "unknown level %q to fail on", p.FailOn)
	}
	for _, id := range p.Accept {
		if !slices.ContainsFunc(Catalogue(), func(r requirement.Requirement) bool { return r.ID == id }) {
			return fail(ErrUsage, "coldcheck requirements lists them", "unknown requirement %q", id)
		}
	}
	return nil
}

// conclude sets both verdicts, and says of each finding whether it is accepted
// and whether it is unmet. A waiver changes the policy's verdict only.
func (r *Result) conclude(p Policy) {
	r.Verdict = Ready
	unmet, open := false, len(r.Changed) > 0
	if open {
		r.Verdict = Inconclusive
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		switch {
		case f.Counts && notMet(f.Status):
			r.Verdict = NotReady
		case f.Counts && f.Status == requirement.Undetermined && r.Verdict != NotReady:
			r.Verdict = Inconclusive
		}

		if f.Waiver != nil {
			continue
		}
		unknown := p.unknown(*f)
		if unknown && slices.Contains(p.Accept, f.ID) {
			f.Accepted = true
			unknown = false
		}
		switch {
		case f.Counts && p.fails(f.Status):
			f.Unmet = true
		case f.Counts && unknown:
			open = true
		case f.Severity == requirement.Recommended && p.FailOn == FailOnRecommended && f.Status == requirement.Warning:
			f.Unmet = true
		}
		unmet = unmet || f.Unmet
	}
	switch {
	case unmet && p.FailOn != FailOnNever:
		r.PolicyVerdict = NotReady
	case unmet: // never: what is not met passes, and hides nothing else
		r.PolicyVerdict = Ready
	case open:
		r.PolicyVerdict = Inconclusive
	default:
		r.PolicyVerdict = Ready
	}
}

// unknown says whether the finding counts as undetermined.
func (p Policy) unknown(f requirement.Finding) bool {
	return f.Status == requirement.Undetermined || p.Strict && f.Status == requirement.Passed && f.Basis == requirement.Inferred
}

// fails says whether a required finding of that status is not met.
func (p Policy) fails(s requirement.Status) bool {
	return s == requirement.Failed || s == requirement.Warning && p.FailOn != FailOnFailed
}
