package report

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"regexp"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/fleet"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Export writes the machines of a fleet in a format that other programs read, one
// machine after the other, so that it needs little memory.
type Export interface {
	// Add writes a machine. The error is an ErrExport for a machine that the format
	// cannot have, and otherwise one of the writer.
	Add(m *MachineReport) error
	// Close writes what remains. Without it, the output is incomplete.
	Close() error
}

// ErrExport is the error for a machine, or an option, that a format cannot have.
var ErrExport = errors.New("cannot be exported")

// ExportOptions are the options of an export.
type ExportOptions struct {
	Version string // of the program
	Run     string // name of the run of the fleet; may be ""

	// Account and Region are those in AWS of machines without the labels AccountLabel
	// and RegionLabel. ASFF needs both.
	Account, Region string
	// Product is the ARN of the product in Security Hub; "" for the default one of the
	// account.
	Product string
}

// Labels of targets that say where a machine is.
const (
	AccountLabel = "account"
	RegionLabel  = "region"
)

// ExportFormat is one way to write the machines of a fleet.
type ExportFormat struct {
	Name    string // for the command line
	Summary string // in a few words, for help texts
	Binary  bool   // no terminal can show it
	New     func(w io.Writer, o ExportOptions) Export
}

// ExportFormats lists every format.
var ExportFormats = []ExportFormat{
	{Name: "parquet", Summary: "a table for DuckDB, Athena and others: a row a machine and requirement", Binary: true,
		New: newParquetExport},
	{Name: "ocsf", Summary: "OCSF compliance findings (class 2003), one a line", New: newOCSFExport},
	{Name: "asff", Summary: "batches of findings for AWS Security Hub, one a line", New: newASFFExport},
	{Name: "sarif", Summary: "one SARIF 2.1.0 log of all machines", New: newSARIFExport},
}

// MachineReport is a record of a fleet with its report.
type MachineReport struct {
	Record *fleet.Record
	Saved  *Saved // nil if the target could not be scanned
}

// Bounds of a report that is exported. Reports of scans are far below.
const (
	maxID       = 256    // bytes of the ID of a requirement
	maxFindings = 10_000 // with the requirements that were not checked
)

// MachineEntry is what a store has under an ID: a machine, or a Problem.
type MachineEntry struct {
	ID      string
	Machine *MachineReport // nil if there is a Problem
	Problem error          // why the record does not count; a fleet.ErrRecord
}

// ReadMachines yields the machines of a store in the order of their IDs. A record that is
// damaged, or contradicts itself or its report, is an entry with a Problem. An error, as a
// fleet.Store has them, ends the machines.
func ReadMachines(ctx context.Context, s fleet.Store) iter.Seq2[MachineEntry, error] {
	return func(yield func(MachineEntry, error) bool) {
		for e, err := range fleet.Read[jsonReport](ctx, s) {
			entry := MachineEntry{ID: e.ID, Problem: e.Problem}
			if err == nil && e.Problem == nil {
				entry.Machine, entry.Problem = newMachineReport(e.Record, e.Report)
			}
			if !yield(entry, err) || err != nil {
				return
			}
		}
	}
}

// newMachineReport returns an ErrRecord for what is not a report, contradicts its record,
// or exceeds a bound.
func newMachineReport(r *fleet.Record, doc *jsonReport) (*MachineReport, error) {
	if doc == nil {
		return &MachineReport{Record: r}, nil
	}
	if n := len(doc.Findings) + len(doc.NotChecked); n > maxFindings {
		return nil, fmt.Errorf("%w: it has %d requirements; %d is the maximum", fleet.ErrRecord, n, maxFindings)
	}
	saved, err := doc.saved()
	if err != nil {
		return nil, fmt.Errorf("%w: %w: %w", fleet.ErrRecord, ErrNotReport, err)
	}
	if saved.Verdict != r.Verdict {
		return nil, fmt.Errorf("%w: its verdict is %s, and that of its report is %s", fleet.ErrRecord, r.Verdict,
			saved.Verdict)
	}
	open := map[string]bool{}
	for _, reason := range saved.Reasons {
		for _, id := range reason.IDs {
			open[id] = true
		}
	}
	for i := range saved.Findings {
		f := &saved.Findings[i]
		if len(f.ID) > maxID {
			return nil, fmt.Errorf("%w: the ID of finding %d is longer than %d bytes", fleet.ErrRecord, i+1, maxID)
		}
		// A report does not say which findings count. Those of the disk do if they are
		// required; for those of the service a document is needed, so that the verdict
		// depends on them only if it says so.
		f.Counts = f.Severity == requirement.Required && (f.Scope == requirement.Disk || open[f.ID])
	}
	return &MachineReport{r, saved}, nil
}

// user is the user of the machine, "" if unknown.
func (m *MachineReport) user() string {
	if m.Saved != nil && m.Saved.Platform.UserName != "" {
		return m.Saved.Platform.UserName
	}
	return m.Record.Target.UserName
}

// outcome is what an exported finding says: a status of requirement, or unscanned.
type outcome string

// unscanned is the outcome for a machine that could not be scanned.
const unscanned outcome = "error"

// exported is a finding as programs for security have it: of a requirement, or of the
// machine as a whole. What it is about stays the same between scans, so that a later one
// with another outcome takes its place.
type exported struct {
	uid     string // the same in each scan of the machine
	control string // ID of the requirement, or verdictControl
	title   string // the requirement as a sentence
	message string // what was found
	remedy  string // "" for none
	code    string // of the error that the service reports; may be ""

	outcome    outcome
	severity   requirement.Severity // info if there is nothing to do
	basis      requirement.Basis
	suppressed string // why it does not count: a waiver; "" if it does
}

// verdictControl is the control of the finding about a machine as a whole.
const verdictControl = "verdict"

// closed reports whether there is nothing to do any more.
func (e exported) closed() bool {
	return e.outcome == outcome(requirement.Passed) || e.outcome == outcome(requirement.NotApplicable)
}

// findings are the machine as a whole and then its findings, in the order of the report.
// Facts, which require nothing, and requirements that only the service could have decided
// are left out.
func (m *MachineReport) findings() []exported {
	list := []exported{m.verdict()}
	if m.Saved == nil {
		return list
	}
	for _, f := range m.Saved.Findings {
		if f.Severity == requirement.Info || unasked(f) {
			continue
		}
		e := exported{
			uid: m.uid(f.ID), control: f.ID, title: prose.Sentence(cmp.Or(f.Demand, f.ID)),
			message: prose.Sentence(cmp.Or(f.Message, string(f.Status))), remedy: f.Outcome.Remediation,
			code: f.AWSErrorCode, outcome: outcome(f.Status), severity: f.Severity, basis: f.Basis,
		}
		if e.closed() {
			e.severity = requirement.Info
		}
		switch {
		case f.Waiver != nil:
			e.suppressed = prose.Sentence("waived " + waiver(*f.Waiver))
		case f.Accepted:
			e.suppressed = "Accepted by --accept-undetermined."
		}
		list = append(list, e)
	}
	return list
}

func (m *MachineReport) uid(control string) string {
	return "coldcheck/" + m.Record.Target.ID + "/" + control
}

// verdict is the finding about the machine as a whole.
func (m *MachineReport) verdict() exported {
	e := exported{
		uid: m.uid(verdictControl), control: verdictControl, severity: requirement.Required,
		title: "The WorkSpace must be ready for a custom image.",
	}
	if err := m.Record.Error; err != nil {
		e.outcome, e.remedy = unscanned, err.Hint
		e.message = prose.Sentence("The machine could not be scanned: " + err.Message)
		return e
	}
	switch m.Record.Verdict {
	case scanner.Ready:
		e.outcome, e.severity = outcome(requirement.Passed), requirement.Info
		e.message = "READY: every requirement that was checked is met."
	case scanner.NotReady:
		e.outcome, e.message = outcome(requirement.Failed), "NOT READY: "+m.because()
	default:
		e.outcome, e.message = outcome(requirement.Undetermined), "INCONCLUSIVE: "+m.because()
	}
	return e
}

// because says why the verdict is not ready.
func (m *MachineReport) because() string {
	const most = 20
	var list []string
	for _, r := range m.Saved.Reasons {
		kind := strings.ReplaceAll(string(r.Kind), "_", " ")
		list = append(list, kind+" "+prose.List(slices.Concat(r.IDs, r.Messages), most))
	}
	return prose.Sentence(cmp.Or(strings.Join(list, "; "), "the report has no reason"))
}

var (
	validAccount = regexp.MustCompile(`^[0-9]{12}$`)
	validRegion  = regexp.MustCompile(`^[a-z]{2,8}(-[a-z]+)+-[0-9]{1,2}$`)
	validProduct = regexp.MustCompile(`^arn:aws[a-z-]*:securityhub:[a-z0-9-]*:[0-9]*:product/[^/]+/.+$`)
	workSpaceID  = regexp.MustCompile(`^ws-[0-9a-z]{8,63}$`)
)

// cloud is where a machine is in AWS. What is unknown is "".
type cloud struct{ account, region string }

// Check returns an ErrExport for an option that is not valid.
func (o ExportOptions) Check() error {
	switch {
	case o.Account != "" && !validAccount.MatchString(o.Account):
		return fmt.Errorf("%w: %.40q is not the ID of an AWS account", ErrExport, o.Account)
	case o.Region != "" && !validRegion.MatchString(o.Region):
		return fmt.Errorf("%w: %.40q is not an AWS Region", ErrExport, o.Region)
	case o.Product != "" && !validProduct.MatchString(o.Product):
		return fmt.Errorf("%w: %.100q is not the ARN of a product of Security Hub", ErrExport, o.Product)
	}
	return nil
}

// cloudOf returns where a machine is. The error is an ErrExport for what is no account
// or no Region.
func (o ExportOptions) cloudOf(m *MachineReport) (cloud, error) {
	labels := m.Record.Target.Labels
	c := cloud{cmp.Or(labels[AccountLabel], o.Account), cmp.Or(labels[RegionLabel], o.Region)}
	if err := (ExportOptions{Account: c.account, Region: c.region}).Check(); err != nil {
		return c, fmt.Errorf("%s: %w", m.Record.Target.ID, err)
	}
	return c, nil
}

// partition is the partition of the Region in ARNs.
func (c cloud) partition() string {
	switch {
	case strings.HasPrefix(c.region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(c.region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

// resource identifies a machine: by its ARN if it is named by the ID of a WorkSpace and
// the account and the Region are known.
func (c cloud) resource(m *MachineReport) string {
	id := m.Record.Target.ID
	if c.account == "" || c.region == "" || !workSpaceID.MatchString(id) {
		return id
	}
	return fmt.Sprintf("arn:%s:workspaces:%s:%s:workspace/%s", c.partition(), c.region, c.account, id)
}
