package report

import (
	"io"
	"time"

	"github.com/coldcheck/coldcheck/internal/parquet"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// parquetRow is a row of the table: a machine and a requirement. Its columns are part of
// the program's interface; new ones are added at the end. A text that is "" is null.
//
// A requirement that was not checked has the status notCheckedStatus. A machine that could not
// be scanned has one row, without a requirement.
type parquetRow struct {
	Run         string            `parquet:"run,optional,dict"`
	Machine     string            `parquet:"machine,dict"`
	Labels      map[string]string `parquet:"labels" parquet-key:",dict" parquet-value:",dict"`
	Images      []string          `parquet:"images,list" parquet-element:",dict"`
	UserName    string            `parquet:"user_name,optional,dict"`
	Started     time.Time         `parquet:"started,timestamp(microsecond:utc)"`
	Finished    time.Time         `parquet:"finished,timestamp(microsecond:utc)"`
	ToolVersion string            `parquet:"tool_version,dict"`
	ExitCode    int32             `parquet:"exit_code"`
	Verdict     string            `parquet:"verdict,optional,dict"`
	Reused      bool              `parquet:"reused"`

	ErrorKind    string `parquet:"error_kind,optional,dict"`
	ErrorMessage string `parquet:"error_message,optional,dict"`
	ErrorHint    string `parquet:"error_hint,optional,dict"`

	Platform      string `parquet:"platform,optional,dict"`
	System        string `parquet:"system,optional,dict"`
	SystemVersion string `parquet:"system_version,optional,dict"`
	ComputerName  string `parquet:"computer_name,optional,dict"`

	Requirement  string           `parquet:"requirement,optional,dict"`
	Title        string           `parquet:"title,optional,dict"`
	Scope        string           `parquet:"scope,optional,dict"`
	Severity     string           `parquet:"severity,optional,dict"`
	Status       string           `parquet:"status,optional,dict"`
	Basis        string           `parquet:"basis,optional,dict"`
	Message      string           `parquet:"message,optional,dict"`
	Remediation  string           `parquet:"remediation,optional,dict"`
	AWSErrorCode string           `parquet:"aws_error_code,optional,dict"`
	Accepted     bool             `parquet:"accepted"`
	Waived       bool             `parquet:"waived"`
	WaiverReason string           `parquet:"waiver_reason,optional,dict"`
	WaiverOwner  string           `parquet:"waiver_owner,optional,dict"`
	WaiverExpiry string           `parquet:"waiver_expiry,optional,dict"` // YYYY-MM-DD
	Subjects     []parquetSubject `parquet:"subjects,list"`
}

type parquetSubject struct {
	Kind   string `parquet:"kind,dict"`
	ID     string `parquet:"id,dict"`
	Name   string `parquet:"name,optional,dict"`
	Reason string `parquet:"reason,optional,dict"`
	Value  string `parquet:"value,optional,dict"`
}

// notCheckedStatus is the status of rows about requirements without a finding.
const notCheckedStatus = "not_checked"

// A row group is written when it has so many rows, or so many bytes of text: all of it is
// in memory until then.
const (
	parquetRows  = 50_000
	parquetBytes = 16 << 20
)

type parquetExport struct {
	w     *parquet.Writer[parquetRow]
	o     ExportOptions
	rows  int // of the row group
	bytes int
}

// newParquetExport writes one table in Parquet.
func newParquetExport(w io.Writer, o ExportOptions) Export {
	table, err := parquet.NewWriter[parquetRow](w, "coldcheck version "+o.Version+" (build )")
	if err != nil {
		panic(err) // a column of parquetRow has a type that cannot be written
	}
	return &parquetExport{o: o, w: table}
}

func (x *parquetExport) Add(m *MachineReport) error {
	rows := machineRows(m, x.o.Run)
	for len(rows) > 0 {
		n := min(len(rows), parquetRows-x.rows)
		x.w.Write(rows[:n])
		for _, r := range rows[:n] {
			x.bytes += r.size()
		}
		x.rows += n
		rows = rows[n:]
		if x.rows == parquetRows || x.bytes >= parquetBytes {
			if err := x.w.Flush(); err != nil {
				return err
			}
			x.rows, x.bytes = 0, 0
		}
	}
	return nil
}

func (x *parquetExport) Close() error { return x.w.Close() }

// size is about how much memory the texts of a row take that differ from row to row.
func (r *parquetRow) size() int {
	n := len(r.Message) + len(r.Remediation) + len(r.Title) + len(r.ErrorMessage)
	for _, s := range r.Subjects {
		n += len(s.ID) + len(s.Name) + len(s.Value)
	}
	return n
}

// machineRows are the rows of a machine, at least one.
func machineRows(m *MachineReport, run string) []parquetRow {
	r := m.Record
	base := parquetRow{
		Run: run, Machine: r.Target.ID, Labels: r.Target.Labels, Images: r.Target.ShownImages(), UserName: m.user(),
		Started: r.Started.UTC(), Finished: r.Finished.UTC(), ToolVersion: r.Tool.Version, ExitCode: int32(r.ExitCode),
		Verdict: string(r.Verdict), Reused: r.Reused != nil,
	}
	if r.Error != nil {
		base.ErrorKind, base.ErrorMessage, base.ErrorHint = string(r.Error.Kind), r.Error.Message, r.Error.Hint
	}
	if m.Saved == nil {
		return []parquetRow{base}
	}
	p := m.Saved.Platform
	base.Platform, base.System, base.SystemVersion, base.ComputerName = p.Family, p.Name, p.Version, p.ComputerName
	var rows []parquetRow
	for _, f := range m.Saved.Findings {
		rows = append(rows, findingRow(base, f))
	}
	for _, n := range m.Saved.NotChecked {
		row := base
		row.Requirement, row.Status, row.Message = n.ID, notCheckedStatus, n.Reason
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		rows = []parquetRow{base}
	}
	return rows
}

func findingRow(row parquetRow, f requirement.Finding) parquetRow {
	row.Requirement, row.Title, row.Scope, row.Severity = f.ID, f.Demand, string(f.Scope), string(f.Severity)
	row.Status, row.Basis, row.Message = string(f.Status), string(f.Basis), f.Message
	row.Remediation, row.AWSErrorCode, row.Accepted = f.Outcome.Remediation, f.AWSErrorCode, f.Accepted
	if w := f.Waiver; w != nil {
		row.Waived, row.WaiverReason, row.WaiverOwner = true, w.Reason, w.Owner
		row.WaiverExpiry = w.Expiry.Format(time.DateOnly)
	}
	for _, s := range f.Subjects {
		row.Subjects = append(row.Subjects, parquetSubject{string(s.Kind), s.ID, s.Name, string(s.Reason), s.Value})
	}
	return row
}
