package report

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/parquet-go/parquet-go"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/fleet"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// recordOf is the record of a machine: of a result, or of an error if that is nil.
func recordOf(t *testing.T, id string, at time.Time, labels map[string]string, r *scanner.Result,
	failed *fleet.Error) *fleet.Record {
	t.Helper()
	record := &fleet.Record{
		SchemaVersion: fleet.RecordVersion, Tool: fleet.Tool{Name: "coldcheck", Version: "v1.2.3"},
		Target:  fleet.Target{ID: id, Images: []string{"https://user:secret@host/a.img?sig=secret"}, Labels: labels},
		Started: at, Finished: at.Add(3 * time.Second),
	}
	if failed != nil {
		record.Error, record.ExitCode = failed, 4
		return record
	}
	record.Verdict, record.ExitCode, record.Report = r.Verdict, exitCode(r.Verdict), written(t, JSON, r)
	return record
}

var exportTime = time.Date(2026, 11, 30, 8, 0, 0, 123456000, time.UTC)

// fleetOf writes the records of a run into dir/run: of all scans, and of errors. later
// makes machines that were not ready be ready.
func fleetOf(t *testing.T, dir, run string, later bool) fleet.Store {
	t.Helper()
	all := scans(t)
	var records []*fleet.Record
	for i, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name]
		if later && name == "case-failing" {
			r = all["case-ready"]
		}
		labels := map[string]string{"team": []string{"cad", "sim", "web"}[i%3], "sample": name}
		if i%3 == 2 {
			labels = map[string]string{AccountLabel: "444455556666", RegionLabel: "eu-central-1", "sample": name}
		}
		records = append(records, recordOf(t, fmt.Sprintf("ws-%09d", i), exportTime.Add(time.Duration(i)*time.Minute),
			labels, r, nil))
	}
	for i, kind := range []fleet.ErrorKind{fleet.Encrypted, fleet.NotFound, fleet.Encrypted} {
		records = append(records, recordOf(t, fmt.Sprintf("broken.%d", i), exportTime, map[string]string{"team": "cad"}, nil,
			&fleet.Error{Kind: kind, Message: "the root volume is encrypted", Hint: "use an unencrypted copy"}))
	}
	return storeOf(t, filepath.Join(dir, run), records...)
}

// smallFleet has the records of two machines and of one that could not be scanned.
func smallFleet(t *testing.T) fleet.Store {
	t.Helper()
	return storeOf(t, t.TempDir(), recordOf(t, "ws-0a1b2c3d4", exportTime, nil, failing(), nil),
		recordOf(t, "..", exportTime, map[string]string{"team": "cad"}, hostile(), nil),
		recordOf(t, "broken", exportTime, nil, nil, &fleet.Error{Kind: fleet.Encrypted, Message: "it is {encrypted}"}))
}

func storeOf(t *testing.T, dir string, records ...*fleet.Record) fleet.Store {
	t.Helper()
	folder := filepath.Join(dir, "records")
	if err := os.MkdirAll(folder, 0o777); err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, r.Target.ID+".json"), data, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	store, err := fleet.OpenStore(t.Context(), dir, fleet.StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// export writes a fleet in a format. No record may be damaged.
func export(t *testing.T, format string, store fleet.Store, o ExportOptions) []byte {
	t.Helper()
	var b bytes.Buffer
	x := exportFormat(t, format).New(&b, o)
	for _, m := range machinesOf(t, store) {
		if err := x.Add(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func exportFormat(t *testing.T, name string) ExportFormat {
	t.Helper()
	i := slices.IndexFunc(ExportFormats, func(f ExportFormat) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("no format %s", name)
	}
	return ExportFormats[i]
}

func machinesOf(t *testing.T, store fleet.Store) []*MachineReport {
	t.Helper()
	var list []*MachineReport
	for e, err := range ReadMachines(t.Context(), store) {
		if err != nil || e.Problem != nil {
			t.Fatal(e.ID, err, e.Problem)
		}
		list = append(list, e.Machine)
	}
	return list
}

var exportOptions = ExportOptions{Version: "v1.2.3", Run: "2026-11-30", Account: "111122223333", Region: "us-east-1"}

// fileSchema is a schema of testdata.
func fileSchema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func lines[T any](t *testing.T, data []byte) []T {
	t.Helper()
	var list []T
	for line := range bytes.Lines(data) {
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatalf("%v: %.200s", err, line)
		}
		list = append(list, v)
	}
	return list
}

// No export has a secret of the name of an image, and the same records give the same
// bytes.
func TestExportStable(t *testing.T) {
	t.Parallel()
	store := fleetOf(t, t.TempDir(), "run", false)
	for _, f := range ExportFormats {
		text := export(t, f.Name, store, exportOptions)
		if bytes.Contains(text, []byte("secret")) {
			t.Errorf("%s has a secret", f.Name)
		}
		if !bytes.Equal(text, export(t, f.Name, store, exportOptions)) {
			t.Errorf("%s differs from one time to the next", f.Name)
		}
	}
}

// A writer that fails makes every format fail with its error, whenever it fails.
func TestExportWriteErrors(t *testing.T) {
	t.Parallel()
	errFull := errors.New("full")
	machines := machinesOf(t, fleetOf(t, t.TempDir(), "run", false))
	for _, f := range ExportFormats {
		size := len(export(t, f.Name, fleetOf(t, t.TempDir(), "run", false), exportOptions))
		for _, limit := range []int{0, 1, size / 2, size - 1} {
			x := f.New(&limited{room: limit, err: errFull}, exportOptions)
			var err error
			for _, m := range machines {
				if err = x.Add(m); err != nil {
					break
				}
			}
			if err == nil {
				err = x.Close()
			}
			if !errors.Is(err, errFull) {
				t.Errorf("%s, full at %d of %d: %v", f.Name, limit, size, err)
			}
		}
	}
}

// Each record that is not one, or that contradicts itself, is a problem and no machine.
func TestReadMachinesDamaged(t *testing.T) {
	t.Parallel()
	ready := scans(t)["case-ready"]
	good := recordOf(t, "m", exportTime, nil, ready, nil)
	data, err := good.Encode()
	if err != nil {
		t.Fatal(err)
	}
	replaced := func(old, new string) []byte {
		text := bytes.Replace(data, []byte(old), []byte(new), 1)
		if bytes.Equal(text, data) {
			t.Fatalf("no %s in the record", old)
		}
		return text
	}
	many := make([]string, maxFindings+1)
	for i := range many {
		many[i] = fmt.Sprintf(`{"id": "%d", "reason": "r"}`, i)
	}
	report := func(findings, left string) []byte {
		r := *good
		r.Report = json.RawMessage(`{"schema_version": 1, "tool": {"name": "coldcheck"}, "verdict": "ready",
			"scan": {"started": "2026-11-30T08:00:00Z"}, "findings": [` + findings + `], "not_checked": [` + left + `]}`)
		text, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	finding := func(id string) string {
		return `{"id": "` + id + `", "severity": "required", "status": "passed", "message": "m"}`
	}
	for name, c := range map[string]struct {
		text []byte
		ok   bool
	}{
		"good":                   {data, true},
		"empty":                  {nil, false},
		"cut":                    {data[:len(data)/2], false},
		"of another":             {replaced(`"id":"m"`, `"id":"n"`), false},
		"verdict of the record":  {replaced(`"verdict":"ready"`, `"verdict":"inconclusive"`), false},
		"unknown status":         {replaced(`"status":"passed"`, `"status":"good"`), false},
		"report of another kind": {replaced(`"report":{`, `"report":{"findings":7,"more":{},`), false},
		"no findings":            {report("", ""), true},
		"long id":                {report(finding(strings.Repeat("a", maxID)), ""), true},
		"too long id":            {report(finding(strings.Repeat("a", maxID+1)), ""), false},
		"the same id twice":      {report(finding("a")+","+finding("a"), ""), false},
		"many requirements":      {report("", strings.Join(many[1:], ",")), true},
		"too many requirements":  {report("", strings.Join(many, ",")), false},
	} {
		dir := t.TempDir()
		store := storeOf(t, dir)
		if err := os.WriteFile(filepath.Join(dir, "records", "m.json"), c.text, 0o666); err != nil {
			t.Fatal(err)
		}
		n := 0
		for e, err := range ReadMachines(t.Context(), store) {
			n++
			if err != nil || e.ID != "m" || (e.Machine != nil) != c.ok || (e.Problem == nil) != c.ok {
				t.Errorf("%s: %v %v", name, e.Problem, err)
			}
			if e.Problem != nil && !errors.Is(e.Problem, fleet.ErrRecord) {
				t.Errorf("%s: %v is no ErrRecord", name, e.Problem)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d entries", name, n)
		}
	}
}

// The table has a row of every finding and of every requirement that was not checked, as
// they are in the records, and one of each machine without.
func TestParquetRows(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	selected := scanCaseOnly(t)
	store := storeOf(t, dir, append(slices.Collect(recordsOf(t, fleetOf(t, dir, "a", false))),
		recordOf(t, "selected", exportTime, nil, selected, nil))...)
	text := export(t, "parquet", store, exportOptions)
	rows, err := parquet.Read[parquetRow](bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	statuses := map[string]map[string]string{}
	for _, r := range rows {
		if statuses[r.Machine] == nil {
			statuses[r.Machine] = map[string]string{}
		}
		statuses[r.Machine][r.Requirement] = r.Status
		if r.Run != "2026-11-30" || r.ToolVersion != "v1.2.3" || r.Finished.Sub(r.Started) != 3*time.Second ||
			r.Started.Nanosecond() != 123456000 || !slices.Equal(r.Images, []string{"https://host/a.img"}) {
			t.Fatalf("%+v", r)
		}
	}
	left := 0
	for _, m := range machinesOf(t, store) {
		want := map[string]string{}
		if m.Saved == nil {
			want[""] = ""
		} else {
			for _, f := range m.Saved.Findings {
				want[f.ID] = string(f.Status)
			}
			for _, n := range m.Saved.NotChecked {
				want[n.ID] = "not_checked"
				left++
			}
		}
		if d := cmp.Diff(want, statuses[m.Record.Target.ID]); d != "" {
			t.Errorf("%s: %s", m.Record.Target.ID, d)
		}
		delete(statuses, m.Record.Target.ID)
	}
	if len(statuses) > 0 || left == 0 {
		t.Errorf("more machines: %v; %d requirements were not checked", statuses, left)
	}
}

// scanCaseOnly is a result with requirements that were not checked.
func scanCaseOnly(t *testing.T) *scanner.Result {
	t.Helper()
	in, err := caseInput("ready")
	if err != nil {
		t.Fatal(err)
	}
	in.Skip = []string{"win.net.dhcp"}
	r, err := scanner.Scan(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func recordsOf(t *testing.T, store fleet.Store) iter.Seq[*fleet.Record] {
	t.Helper()
	return func(yield func(*fleet.Record) bool) {
		for id, err := range store.IDs(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			data, err := store.Get(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			r, err := fleet.DecodeRecord(data)
			if err != nil {
				t.Fatal(err)
			}
			if !yield(r) {
				return
			}
		}
	}
}

// parquetTypes are the columns of the table with their types, as the documentation and
// Athena call them.
func parquetTypes(t *testing.T) (names []string, doc, athena map[string]string) {
	t.Helper()
	doc, athena = map[string]string{}, map[string]string{}
	row := reflect.TypeFor[parquetRow]()
	for i := range row.NumField() {
		f := row.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("parquet"), ",")
		names = append(names, name)
		switch {
		case f.Type.Kind() == reflect.Map:
			doc[name], athena[name] = "map of string to string", "map<string,string>"
		case f.Type == reflect.TypeFor[[]string]():
			doc[name], athena[name] = "list of strings", "array<string>"
		case f.Type.Kind() == reflect.Slice:
			doc[name], athena[name] = "list of structs",
				"array<struct<kind:string,id:string,name:string,reason:string,value:string>>"
		case strings.HasPrefix(options, "timestamp"):
			doc[name], athena[name] = "timestamp", "timestamp"
		case f.Type.Kind() == reflect.Bool:
			doc[name], athena[name] = "boolean", "boolean"
		case f.Type.Kind() == reflect.Int32:
			doc[name], athena[name] = "int32", "int"
		case f.Type.Kind() == reflect.String:
			doc[name], athena[name] = "string", "string"
		default:
			t.Fatalf("%s has the type %v", name, f.Type)
		}
	}
	return names, doc, athena
}

// The documentation and the table of Athena have every column, in order and with its type.
func TestParquetColumns(t *testing.T) {
	t.Parallel()
	names, doc, athena := parquetTypes(t)
	for _, c := range []struct {
		file    string
		pattern string
		want    map[string]string
	}{
		{"../docs/fleet-export.md",
			"(?m)^\\| `(\\w+)` \\| (string|boolean|int32|timestamp|list of [a-z]+|map [a-z ]+) \\|", doc},
		{"../deploy/sql/athena-parquet.sql", `(?m)^  (\w+) (\S+?),?$`, athena},
	} {
		text, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		var found []string
		types := map[string]string{}
		for _, m := range regexp.MustCompile(c.pattern).FindAllSubmatch(text, -1) {
			found = append(found, string(m[1]))
			types[string(m[1])] = string(m[2])
		}
		if d := cmp.Diff(names, found) + cmp.Diff(c.want, types); d != "" {
			t.Errorf("%s: %s", c.file, d)
		}
	}
}

// Row groups are bounded in rows and in bytes, so that memory is.
func TestParquetRowGroups(t *testing.T) {
	t.Parallel()
	groups := func(before, machines, messages int) []parquet.RowGroup {
		var b bytes.Buffer
		x := newParquetExport(&b, ExportOptions{})
		x.(*parquetExport).rows = before
		m := &MachineReport{Record: recordOf(t, "m", exportTime, nil, nil, &fleet.Error{Kind: fleet.IO,
			Message: strings.Repeat("x", messages)})}
		for range machines {
			if err := x.Add(m); err != nil {
				t.Fatal(err)
			}
		}
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
		f, err := parquet.OpenFile(bytes.NewReader(b.Bytes()), int64(b.Len()))
		if err != nil {
			t.Fatal(err)
		}
		return f.RowGroups()
	}
	for _, c := range []struct{ before, machines, bytes, groups, first int }{
		{parquetRows - 10, 9, 1, 1, 9},
		{parquetRows - 10, 10, 1, 1, 10},
		{parquetRows - 10, 11, 1, 2, 10},
		{0, 31, parquetBytes / 32, 1, 31},
		{0, 32, parquetBytes / 32, 1, 32},
		{0, 33, parquetBytes / 32, 2, 32},
	} {
		g := groups(c.before, c.machines, c.bytes)
		if len(g) != c.groups || g[0].NumRows() != int64(c.first) {
			t.Errorf("%+v: %d groups, %d rows in the first", c, len(g), g[0].NumRows())
		}
	}
}

// Each OCSF event is what the schema says, and its finding is the same as in another run.
func TestOCSF(t *testing.T) {
	t.Parallel()
	schema := fileSchema(t, "ocsf.schema.json")
	dir := t.TempDir()
	uids := map[string]string{} // status of each finding
	for _, o := range []ExportOptions{exportOptions, {Region: "cn-north-1"}, {}} {
		text := export(t, "ocsf", fleetOf(t, dir, "run", false), o)
		for _, event := range lines[any](t, text) {
			if err := schema.Validate(event); err != nil {
				t.Fatalf("%v\n%v", err, event)
			}
		}
		for _, f := range lines[ocsfFinding](t, text) {
			if uids[f.FindingInfo.UID] != "" && uids[f.FindingInfo.UID] != f.Compliance.StatusCode {
				t.Errorf("%s is there twice, or has another ID", f.FindingInfo.UID)
			}
			uids[f.FindingInfo.UID] = f.Compliance.StatusCode
			closed := f.Compliance.StatusCode == "passed" || f.Compliance.StatusCode == "not_applicable"
			passed := f.Compliance.StatusCode == "passed"
			if closed != (f.ActivityName == "Close") || passed != (f.Compliance.Status == "Pass") {
				t.Errorf("%s is %s: %+v", f.FindingInfo.UID, f.Compliance.StatusCode, f)
			}
		}
	}
	checkUIDs(t, uids, fleetOf(t, dir, "run", false))
	text := export(t, "ocsf", fleetOf(t, dir, "run", false), exportOptions)
	text = text[:100+bytes.IndexByte(text[100:], '\n')+1]
	for old, new := range map[string]string{
		`"class_uid":2003`: `"class_uid":2002`, `"version":"1.5.0"`: `"version":"1.5"`, `"activity_id":1`: `"activity_id":3`,
		`"finding_info"`: `"finding"`, `,"profiles":["cloud"]`: ``, `"severity":"Medium"`: `"severity":"High"`,
	} {
		broken := bytes.ReplaceAll(text, []byte(old), []byte(new))
		if bytes.Equal(broken, text) || schema.Validate(lines[any](t, broken)[0]) == nil {
			t.Errorf("%s is accepted", new)
		}
	}
}

// checkUIDs compares findings of an export with those of the records.
func checkUIDs(t *testing.T, got map[string]string, store fleet.Store) {
	t.Helper()
	want := map[string]string{}
	for _, m := range machinesOf(t, store) {
		id := "coldcheck/" + m.Record.Target.ID + "/"
		verdict := "error"
		if m.Saved != nil {
			verdict = map[scanner.Verdict]string{scanner.Ready: "passed", scanner.NotReady: "failed",
				scanner.Inconclusive: "undetermined"}[m.Record.Verdict]
			for _, f := range m.Saved.Findings {
				known := f.Scope == requirement.Disk || f.Status != requirement.Undetermined || f.Counts
				if f.Severity != requirement.Info && known {
					want[id+f.ID] = string(f.Status)
				}
			}
		}
		want[id+"verdict"] = verdict
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

type asffRequest struct{ Findings []asffFinding }

// Each line is a request that Security Hub accepts, of one account and Region.
func TestASFF(t *testing.T) {
	t.Parallel()
	schema := fileSchema(t, "asff.schema.json")
	store := fleetOf(t, t.TempDir(), "run", false)
	text := export(t, "asff", store, exportOptions)
	for line := range bytes.Lines(text) {
		if len(line) > asffBatchSize {
			t.Errorf("a batch has %d bytes", len(line))
		}
	}
	for _, request := range lines[any](t, text) {
		if err := schema.Validate(request); err != nil {
			t.Fatal(err)
		}
	}
	uids := map[string]string{}
	accounts := map[string]bool{}
	for _, request := range lines[asffRequest](t, text) {
		for _, f := range request.Findings {
			if uids[f.ID] != "" {
				t.Errorf("%s is there twice", f.ID)
			}
			status := f.ProductFields["coldcheck/Status"]
			uids[f.ID] = status
			accounts[f.AwsAccountID+f.Region] = true
			if first := request.Findings[0]; f.AwsAccountID != first.AwsAccountID || f.Region != first.Region ||
				f.ProductArn != first.ProductArn {
				t.Errorf("a batch has %s and %s", f.ProductArn, first.ProductArn)
			}
			closed := status == "passed" || status == "not_applicable"
			if (f.Compliance.Status == "PASSED") != (status == "passed") || closed != (f.RecordState == "ARCHIVED") {
				t.Errorf("%s is %s: %+v", f.ID, status, f)
			}
			machine := strings.Split(f.ID, "/")[1]
			want := machine
			if strings.HasPrefix(machine, "ws-") {
				want = "arn:aws:workspaces:" + f.Region + ":" + f.AwsAccountID + ":workspace/" + machine
			}
			if f.Resources[0].ID != want {
				t.Errorf("%s is about %s", f.ID, f.Resources[0].ID)
			}
		}
	}
	if len(accounts) != 2 {
		t.Errorf("accounts and Regions: %v", accounts)
	}
	checkUIDs(t, uids, store)
	for old, new := range map[string]string{`"Title"`: `"Titel"`, `"ACTIVE"`: `"OPEN"`, `"PASSED"`: `"PASS"`,
		`"Type":"Other"`: `"Type":"Computer"`, `"SchemaVersion":"2018-10-08"`: `"SchemaVersion":"2"`} {
		broken := bytes.ReplaceAll(text, []byte(old), []byte(new))
		if !slices.ContainsFunc(lines[any](t, broken), func(r any) bool { return schema.Validate(r) != nil }) {
			t.Errorf("%s is accepted", new)
		}
	}
}

// What a later run fixed closes the finding of the earlier one: the ID and the product are
// the same, the time is later.
func TestASFFCloses(t *testing.T) {
	t.Parallel()
	scan := func(at time.Time, name string) map[string]asffFinding {
		store := storeOf(t, t.TempDir(), recordOf(t, "ws-0a1b2c3d4", at, nil, scans(t)[name], nil))
		all := map[string]asffFinding{}
		for _, r := range lines[asffRequest](t, export(t, "asff", store, exportOptions)) {
			for _, f := range r.Findings {
				all[f.ID] = f
			}
		}
		return all
	}
	before, after := scan(exportTime, "case-failing"), scan(exportTime.Add(time.Hour), "case-ready")
	closed := 0
	for id, was := range before {
		is, ok := after[id]
		if !ok || was.ProductArn != is.ProductArn || was.AwsAccountID != is.AwsAccountID || was.UpdatedAt >= is.UpdatedAt {
			t.Errorf("%s: %+v, then %+v", id, was, is)
		}
		if was.Compliance.Status == "FAILED" && is.Compliance.Status == "PASSED" {
			if was.RecordState != "ACTIVE" || is.RecordState != "ARCHIVED" {
				t.Errorf("%s is %s, then %s", id, was.RecordState, is.RecordState)
			}
			closed++
		}
	}
	if closed < 10 {
		t.Errorf("%d findings were closed", closed)
	}
}

// Batches are bounded in findings and in bytes, over accounts too, and a finding is
// bounded however long the texts of a record are.
func TestASFFBounds(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 3000)
	labels := map[string]string{AccountLabel: "111122223333", RegionLabel: "us-east-1"}
	for i := range 200 {
		labels[fmt.Sprintf("%03d%s", i, long[:300])] = long
	}
	m := &MachineReport{Record: recordOf(t, strings.Repeat("m", 128), exportTime, labels, scans(t)["case-ready"], nil)}
	m.Saved = &Saved{Verdict: scanner.Ready, Platform: scanner.Platform{ComputerName: long, UserName: long, Name: long}}
	for i := range 150 {
		m.Saved.Findings = append(m.Saved.Findings, requirement.Finding{
			Requirement: requirement.Requirement{ID: fmt.Sprintf("%03d%s", i, strings.Repeat("i", maxID-3)), Demand: long,
				Severity: requirement.Required, Scope: requirement.Disk, AWSErrorCode: "CODE"},
			Outcome: requirement.Outcome{Status: requirement.Failed, Message: long, Remediation: long},
		})
	}
	var b bytes.Buffer
	x := newASFFExport(&b, exportOptions)
	if err := x.Add(m); err != nil {
		t.Fatal(err)
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	schema := fileSchema(t, "asff.schema.json")
	var sizes []int
	for _, r := range lines[any](t, b.Bytes()) {
		if err := schema.Validate(r); err != nil {
			t.Error(err)
		}
		sizes = append(sizes, len(r.(map[string]any)["Findings"].([]any)))
	}
	if !slices.Equal(sizes, []int{100, 51}) {
		t.Errorf("batches of %d findings", sizes)
	}
	for _, size := range []int{asffFindingSize, asffFindingSize / 3} {
		b.Reset()
		x := newASFFExport(&b, exportOptions).(*asffExport)
		finding := []byte(`"` + strings.Repeat("x", size-2) + `"`)
		const n = 120
		for i := range n {
			if err := x.put(cloud{fmt.Sprint(i % 6), "us-east-1"}, finding); err != nil {
				t.Fatal(err)
			}
			if x.total > asffPending {
				t.Fatalf("%d bytes are open", x.total)
			}
		}
		if err := x.Close(); err != nil || x.total != 0 || len(x.open) != 0 {
			t.Errorf("%v, %d bytes left", err, x.total)
		}
		findings := 0
		for line := range bytes.Lines(b.Bytes()) {
			if len(line) > asffBatchSize {
				t.Errorf("a batch has %d bytes", len(line))
			}
			findings += bytes.Count(line, []byte(`"`)) / 2
		}
		findings -= bytes.Count(b.Bytes(), []byte("Findings"))
		if findings != n {
			t.Errorf("%d findings of %d", findings, n)
		}
	}
}

// A machine whose account or Region is not known, or is none, is not exported.
func TestExportAccounts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		format string
		o      ExportOptions
		labels map[string]string
		ok     bool
	}{
		{"asff", ExportOptions{}, nil, false},
		{"asff", ExportOptions{Account: "111122223333"}, nil, false},
		{"asff", ExportOptions{Region: "us-east-1"}, nil, false},
		{"asff", ExportOptions{Region: "us-east-1"}, map[string]string{AccountLabel: "111122223333"}, true},
		{"asff", ExportOptions{}, map[string]string{AccountLabel: "111122223333", RegionLabel: "us-gov-west-1"}, true},
		{"asff", exportOptions, map[string]string{AccountLabel: "cad"}, false},
		{"asff", exportOptions, map[string]string{RegionLabel: "here"}, false},
		{"ocsf", ExportOptions{}, nil, true},
		{"ocsf", exportOptions, map[string]string{AccountLabel: "cad"}, false},
	} {
		m := &MachineReport{Record: recordOf(t, "m", exportTime, c.labels, nil, &fleet.Error{Kind: fleet.IO, Message: "x"})}
		err := exportFormat(t, c.format).New(io.Discard, c.o).Add(m)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrExport) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	for _, o := range []ExportOptions{{Account: "1"}, {Account: "11112222333x"}, {Region: "US-EAST-1"}, {Region: "us"},
		{Product: "arn:aws:s3:::bucket"}, {Product: "coldcheck"}} {
		if err := o.Check(); !errors.Is(err, ErrExport) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	o := ExportOptions{Account: "111122223333", Region: "ap-southeast-2",
		Product: "arn:aws:securityhub:ap-southeast-2::product/company/coldcheck"}
	if err := o.Check(); err != nil {
		t.Error(err)
	}
}

// The log of a fleet has the results that the logs of its machines have.
func TestSARIFExport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	store := fleetOf(t, dir, "run", false)
	text := export(t, "sarif", store, exportOptions)
	var log struct{ Runs []sarifRun }
	if err := json.Unmarshal(text, &log); err != nil {
		t.Fatal(err)
	}
	if doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text)); err != nil {
		t.Error(err)
	} else if err := schemaOfSARIF(t).Validate(doc); err != nil {
		t.Error(err)
	}
	run := log.Runs[0]
	got := map[string]int{}
	for _, r := range run.Results {
		machine, _, _ := strings.Cut(r.Locations[0].Physical.Artifact.URI, "/")
		got[machine+" "+r.RuleID+" "+r.Level]++
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID {
			t.Errorf("rule %d is not %s", r.RuleIndex, r.RuleID)
		}
	}
	want := map[string]int{}
	for i, name := range slices.Sorted(maps.Keys(scans(t))) {
		r := scans(t)[name]
		for _, f := range r.Findings {
			if level := sarifLevel(f); level != "" {
				want[fmt.Sprintf("ws-%09d %s %s", i, f.ID, level)]++
			}
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	i := run.Invocations[0]
	if len(run.Artifacts) != len(scans(t))+3 || len(i.Notifications) != 3 || i.Successful {
		t.Errorf("%d artifacts, %+v", len(run.Artifacts), i)
	}
}

// Names of machines and runs cannot lead to other folders, and a log may be empty.
func TestSARIFExportNames(t *testing.T) {
	t.Parallel()
	store := storeOf(t, t.TempDir(), recordOf(t, "..", exportTime, nil, scans(t)["case-failing"], nil))
	text := export(t, "sarif", store, ExportOptions{Run: "../x y"})
	for _, uri := range regexp.MustCompile(`"uri":"([^"]*)"`).FindAllSubmatch(text, -1) {
		if !bytes.HasPrefix(uri[1], []byte("%2E%2E/")) {
			t.Errorf("%s", uri[1])
		}
	}
	if !bytes.Contains(text, []byte(`"coldcheck/fleet/%2E%2E/x%20y/"`)) {
		t.Error("the run has no ID")
	}
	if empty := export(t, "sarif", storeOf(t, t.TempDir()), exportOptions); !json.Valid(empty) {
		t.Errorf("%s", empty)
	}
}

// Memory does not grow with the number of machines.
func TestExportMemory(t *testing.T) {
	machines, limit := 60, uint64(300<<20)
	if testenv.Nightly() {
		machines = 10_000
	}
	record := recordOf(t, "m", exportTime, map[string]string{"team": "cad"}, scans(t)["case-failing"], nil)
	dir := t.TempDir()
	for i := range machines {
		record.Target.ID = fmt.Sprintf("ws-%09d", i)
		storeOf(t, dir, record)
	}
	store := storeOf(t, dir)
	var exports []Export
	for _, f := range ExportFormats {
		exports = append(exports, f.New(io.Discard, exportOptions))
	}
	runtime.GC()
	var before, m runtime.MemStats
	runtime.ReadMemStats(&before)
	n, most := 0, uint64(0)
	for e, err := range ReadMachines(context.Background(), store) {
		if err != nil || e.Problem != nil {
			t.Fatal(err, e.Problem)
		}
		for _, x := range exports {
			if err := x.Add(e.Machine); err != nil {
				t.Fatal(err)
			}
		}
		if n++; n%10 == 0 {
			runtime.ReadMemStats(&m)
			most = max(most, m.HeapAlloc-min(m.HeapAlloc, before.HeapAlloc))
		}
	}
	for _, x := range exports {
		if err := x.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d machines: %d MiB", n, most>>20)
	if n != machines || most > limit {
		t.Errorf("%d machines took %d MiB", n, most>>20)
	}
}
