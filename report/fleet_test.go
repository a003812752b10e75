package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/fleet"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// newStore opens an empty store in a folder of its own.
func newStore(t testing.TB, name string) fleet.Store {
	t.Helper()
	s, err := fleet.OpenStore(t.Context(), filepath.Join(t.TempDir(), name), fleet.StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return named{s, "records/" + name}
}

// named is a store whose name does not depend on where tests run.
type named struct {
	fleet.Store
	name string
}

func (s named) String() string { return s.name }

// reportOf is the JSON of a result whose open findings are those of the default policy.
func reportOf(t testing.TB, r *scanner.Result) []byte {
	t.Helper()
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Open = f.Counts && f.Status == requirement.Undetermined && f.Waiver == nil && !f.Accepted
	}
	because(r)
	var b bytes.Buffer
	if err := JSON(&b, r, Options{Version: "v1.2.3", ExitCode: exitCode}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// recordWith is the record of a report.
func recordWith(id string, r *scanner.Result, report []byte, labels map[string]string) *fleet.Record {
	return &fleet.Record{
		SchemaVersion: fleet.RecordVersion, Target: fleet.Target{ID: id, Images: []string{"a.img"}, Labels: labels},
		Tool: fleet.Tool{Name: "coldcheck", Version: "v1.2.3"}, Started: start, Finished: start.Add(time.Minute),
		ExitCode: exitCode(r.VerdictAt("")), Verdict: r.Verdict, Report: report,
	}
}

func put(t testing.TB, s fleet.Store, r *fleet.Record) {
	t.Helper()
	data, err := r.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Put(t.Context(), r.Target.ID, data, fleet.Replace); err != nil {
		t.Fatal(err)
	}
}

func putResult(t testing.TB, s fleet.Store, id string, r *scanner.Result, labels map[string]string) {
	t.Helper()
	put(t, s, recordWith(id, r, reportOf(t, r), labels))
}

func putError(t testing.TB, s fleet.Store, id string, e fleet.Error, labels map[string]string) {
	t.Helper()
	put(t, s, &fleet.Record{
		SchemaVersion: fleet.RecordVersion, Target: fleet.Target{ID: id, Images: []string{"a.img"}, Labels: labels},
		Tool: fleet.Tool{Name: "coldcheck", Version: "v1.2.3"}, Started: start, Finished: start.Add(time.Hour),
		ExitCode: 4, Error: &e,
	})
}

// sampleFleet is a fleet with machines in every state, and an earlier one.
func sampleFleet(t testing.TB) (now, before fleet.Store, targets *FleetTargets) {
	t.Helper()
	now, before = newStore(t, "now"), newStore(t, "before")
	label := func(team string) map[string]string { return map[string]string{"team": team, "wave": "1"} }
	putResult(t, now, "ws-cad-1", failing(), label("cad"))
	putResult(t, now, "ws-cad-2", failing(), label("cad"))
	putResult(t, now, "ws-dev-1", ready(), label("dev"))
	putResult(t, now, "ws-dev-2", inconclusive(), label("dev"))
	putResult(t, now, "ws-dev-3", waived(), label("dev"))
	putResult(t, now, "ws-linux", linuxFailing(), nil)
	other := failing()
	other.Findings = slices.DeleteFunc(other.Findings, func(f requirement.Finding) bool {
		return f.ID == "win.services.domain-account" || f.ID == "win.rearm.nonzero" || f.ID == "win.winrm.auto"
	})
	putResult(t, now, "ws-new", other, label("cad"))
	putError(t, now, "ws-locked", fleet.Error{Kind: fleet.Encrypted, Message: "the root volume is encrypted (BitLocker)",
		Hint: "decrypt the volume, and take a new snapshot"}, label("cad"))
	if _, err := now.Put(t.Context(), "ws-torn", []byte(`{"schema_version":1,`), fleet.Keep); err != nil {
		t.Fatal(err)
	}
	putResult(t, before, "ws-cad-1", ready(), nil)
	putResult(t, before, "ws-dev-1", failing(), nil)
	putResult(t, before, "ws-dev-2", inconclusive(), nil)
	putResult(t, before, "ws-old", ready(), nil)
	targets = &FleetTargets{Name: "targets.jsonl"}
	for _, id := range []string{"ws-cad-1", "ws-cad-2", "ws-cad-9", "ws-dev-1", "ws-dev-2", "ws-dev-3", "ws-linux",
		"ws-locked", "ws-torn"} {
		target := fleet.Target{ID: id, Images: []string{"a.img"}}
		if team := strings.Split(id, "-")[1]; team == "cad" || team == "dev" {
			target.Labels = label(team)
		}
		targets.List = append(targets.List, target)
	}
	return now, before, targets
}

func readFleet(t testing.TB, s fleet.Store, o FleetOptions) *Fleet {
	t.Helper()
	f, err := ReadFleet(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func fleetText(t testing.TB, f *Fleet, format string, o Options) string {
	t.Helper()
	var b bytes.Buffer
	i := slices.IndexFunc(FleetFormats, func(f FleetFormat) bool { return f.Name == format })
	if err := FleetFormats[i].Write(&b, f, o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

var fleetOptions = Options{Version: "v1.2.3", Commit: "0123abc", ExitCode: exitCode}

// A fleet with machines in every state in each format, with and without an earlier one
// and a list of targets.
func TestFleetGolden(t *testing.T) {
	t.Parallel()
	now, before, targets := sampleFleet(t)
	all := readFleet(t, now, FleetOptions{Targets: targets, Since: before})
	for _, format := range FleetFormats {
		golden(t, "fleet."+format.Name, []byte(fleetText(t, all, format.Name, fleetOptions)))
	}
	narrow := fleetOptions
	narrow.Width = 40
	golden(t, "fleet-40.table", []byte(fleetText(t, all, "table", narrow)))
	plain := readFleet(t, before, FleetOptions{FailOn: scanner.FailOnNever})
	golden(t, "fleet-never.table", []byte(fleetText(t, plain, "table", fleetOptions)))
}

// Every machine of the sample is in the state that its record has.
func TestFleetStates(t *testing.T) {
	t.Parallel()
	now, before, targets := sampleFleet(t)
	f := readFleet(t, now, FleetOptions{Targets: targets, Since: before})
	got := map[MachineState]string{}
	for _, s := range MachineStates {
		got[s] = strings.Join(idsOf(f.In(s)), " ")
	}
	want := map[MachineState]string{
		MachineReady: "ws-dev-1", MachineNotReady: "ws-cad-1 ws-cad-2 ws-dev-3 ws-linux ws-new",
		MachineInconclusive: "ws-dev-2", MachineError: "ws-locked", MachineDamaged: "ws-torn",
		MachineMissing: "ws-cad-9",
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	r := f.Requirements[slices.IndexFunc(f.Requirements, func(r FleetRequirement) bool {
		return r.ID == "win.sysprep.file"
	})]
	if names := f.named(r.Failed); !slices.Equal(names, []string{"ws-cad-1", "ws-cad-2", "ws-dev-3", "ws-new"}) ||
		r.Sole != 1 || r.Counts[requirement.Failed] != 4 {
		t.Errorf("%q, %d, %v", names, r.Sole, r.Counts)
	}
	c := f.Changes
	if !slices.Equal(c.Gone, []string{"ws-old"}) || !slices.Contains(c.New, "ws-new") ||
		slices.Contains(c.New, "ws-cad-9") {
		t.Errorf("new %q, gone %q", c.New, c.Gone)
	}
	if !slices.Equal(c.States, []StateChange{{"ws-cad-1", MachineReady, MachineNotReady},
		{"ws-dev-1", MachineNotReady, MachineReady}}) {
		t.Errorf("%v", c.States)
	}
}

// The exit code is that of the worst machine, at each level. What has no verdict is never
// ready, and no machines are no reason to be.
func TestFleetVerdict(t *testing.T) {
	t.Parallel()
	e := requirement.Evidence{Source: "root"}
	one := func(s requirement.Severity, o requirement.Outcome, verdict scanner.Verdict) *scanner.Result {
		r := result(requirement.Find(row("win.net.dhcp", s), o),
			requirement.Find(row("win.disk.c-free", requirement.Required), requirement.Pass("free", e)))
		r.Verdict = verdict
		return r
	}
	warns := one(requirement.Required, requirement.Warn("w", e), scanner.NotReady)
	fails := one(requirement.Required, requirement.Fail("f", e), scanner.NotReady)
	recommends := one(requirement.Recommended, requirement.Warn("w", e), scanner.Ready)
	open := one(requirement.Required, requirement.Unknown("u"), scanner.Inconclusive)
	covered := one(requirement.Required, requirement.Fail("f", e), scanner.NotReady)
	covered.Findings[0].Waiver = &requirement.Waiver{Owner: "x", Reason: "y", Expiry: start}
	changed := one(requirement.Required, requirement.Warn("w", e), scanner.NotReady)
	changed.StaleBases = []string{"a.img is a base disk"}
	for name, c := range map[string]struct {
		results []*scanner.Result
		exits   [4]int // failed, warning, recommended, never
	}{
		"none":            {nil, [4]int{3, 3, 3, 3}},
		"ready":           {[]*scanner.Result{ready()}, [4]int{0, 0, 0, 0}},
		"warning":         {[]*scanner.Result{warns}, [4]int{0, 1, 1, 0}},
		"failed":          {[]*scanner.Result{ready(), fails}, [4]int{1, 1, 1, 0}},
		"recommended":     {[]*scanner.Result{recommends}, [4]int{0, 0, 1, 0}},
		"undetermined":    {[]*scanner.Result{ready(), open}, [4]int{3, 3, 3, 3}},
		"failed and open": {[]*scanner.Result{open, fails}, [4]int{1, 1, 1, 3}},
		"waived":          {[]*scanner.Result{covered}, [4]int{0, 0, 0, 0}},
		"a stale base":    {[]*scanner.Result{changed}, [4]int{3, 1, 1, 0}},
	} {
		s := newStore(t, "s")
		if _, err := s.Put(t.Context(), "x", nil, fleet.Keep); err != nil { // makes the folder
			t.Fatal(err)
		}
		if err := os.Remove(filepath.Join(s.(named).Store.String(), "records", "x.json")); err != nil {
			t.Fatal(err)
		}
		for i, r := range c.results {
			putResult(t, s, fmt.Sprintf("ws-%d", i), r, nil)
		}
		for i, level := range scanner.FailOns {
			if got := exitCode(readFleet(t, s, FleetOptions{FailOn: level}).PolicyVerdict()); got != c.exits[i] {
				t.Errorf("%s, %s: %d, want %d", name, level, got, c.exits[i])
			}
		}
		putError(t, s, "ws-z", fleet.Error{Kind: fleet.Damaged, Message: "m"}, nil)
		if got := exitCode(readFleet(t, s, FleetOptions{}).PolicyVerdict()); got == 0 {
			t.Errorf("%s, and one that cannot be scanned: %d", name, got)
		}
	}
}

// What to do first depends on what is left: a requirement, then machines without a verdict,
// and images are created only if every machine is ready.
func TestFleetNext(t *testing.T) {
	t.Parallel()
	covered := failing()
	for i := range covered.Findings {
		if f := &covered.Findings[i]; f.Status != requirement.Passed {
			f.Waiver = &requirement.Waiver{Owner: "x", Reason: "y", Expiry: start, Undetermined: true}
		}
	}
	s := newStore(t, "s")
	next := func(want string) {
		t.Helper()
		if got := fleetNext(readFleet(t, s, FleetOptions{})); !strings.HasPrefix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
	putResult(t, s, "a", ready(), nil)
	next("create the images")
	putResult(t, s, "b", inconclusive(), nil)
	next("settle what is undecided")
	putResult(t, s, "c", covered, nil)
	next("meet what is waived")
	putError(t, s, "d", fleet.Error{Kind: fleet.IO, Message: "m"}, nil)
	next("correct the targets")
	if _, err := s.Put(t.Context(), "e", []byte("{}"), fleet.Keep); err != nil {
		t.Fatal(err)
	}
	next("remove damaged records")
	putResult(t, s, "f", failing(), nil)
	next("fix win.services.domain-account first")
}

// A target without a record is never ready, and a record that no target has counts.
func TestFleetTargets(t *testing.T) {
	t.Parallel()
	s := newStore(t, "s")
	putResult(t, s, "a", ready(), map[string]string{"team": "old"})
	putResult(t, s, "b", failing(), nil)
	list := &FleetTargets{"list", []fleet.Target{{ID: "c"}, {ID: "a", Labels: map[string]string{"team": "new"}}}}
	f := readFleet(t, s, FleetOptions{Targets: list})
	if len(f.Machines) != 3 || f.Machines[2].State != MachineMissing || f.Machines[0].Labels["team"] != "new" {
		t.Errorf("%+v", f.Machines)
	}
	if !f.Machines[1].Unlisted || f.Machines[0].Unlisted || f.PolicyVerdict() != scanner.NotReady {
		t.Errorf("%v, %v", f.Machines[1].Unlisted, f.PolicyVerdict())
	}
	list.List = list.List[1:]
	if err := os.Remove(filepath.Join(s.(named).Store.String(), "records", "b.json")); err != nil {
		t.Fatal(err)
	}
	if v := readFleet(t, s, FleetOptions{Targets: list}).PolicyVerdict(); v != scanner.Ready {
		t.Errorf("all have a record: %s", v)
	}
	list.List = append(list.List, fleet.Target{ID: "d"})
	if v := readFleet(t, s, FleetOptions{Targets: list}).PolicyVerdict(); v != scanner.Inconclusive {
		t.Errorf("one has none: %s", v)
	}
}

// A report that contradicts itself or its record is a problem, and never a pass.
func TestFleetDamaged(t *testing.T) {
	t.Parallel()
	s := newStore(t, "s")
	passes := result(requirement.Find(row("win.disk.c-free", requirement.Required),
		requirement.Pass("free", requirement.Evidence{Source: "root"})))
	passes.Verdict = scanner.Ready
	good := string(reportOf(t, passes))
	bad := map[string][2]string{
		"tool":     {`"name": "coldcheck"`, `"name": "other"`},
		"version":  {`"schema_version": 1`, `"schema_version": 2`},
		"verdict":  {`"verdict": "ready",`, `"verdict": "not_ready",`},
		"policy":   {`"warning": "ready"`, `"warnings": "ready"`},
		"unknown":  {`"recommended": "ready"`, `"recommended": "fine"`},
		"status":   {`"status": "passed"`, `"status": "ok"`},
		"failed":   {`"status": "passed"`, `"status": "failed"`},
		"open":     {`"status": "passed"`, `"status": "undetermined"`},
		"severity": {`"severity": "required"`, `"severity": "high"`},
		"id":       {`"id": "win.`, `"id": "<win.`},
		"noid":     {`"id": "win.`, `"ID-": "win.`},
		"reasons":  {`"verdict_reasons": []`, `"verdict_reasons": [{"reason": "stale_base"}]`},
		"findings": {`"findings": [`, `"others": [`},
		"type":     {`"findings": [`, `"findings": 1, "others": [`},
	}
	for id, change := range bad {
		text := strings.Replace(good, change[0], change[1], 1)
		if text == good {
			t.Fatalf("%s changes nothing", id)
		}
		put(t, s, recordWith(id, ready(), []byte(text), nil))
	}
	var twice map[string]any
	if err := json.Unmarshal([]byte(good), &twice); err != nil {
		t.Fatal(err)
	}
	list := twice["findings"].([]any)
	for id, n := range map[string]int{"twice": 1, "many": maxFleetFindings + 1} {
		findings := slices.Clone(list)
		for i := range n {
			f := map[string]any{"id": fmt.Sprintf("x.%d", i), "severity": "info", "status": "passed", "message": "m"}
			if id == "twice" {
				f = list[0].(map[string]any)
			}
			findings = append(findings, f)
		}
		twice["findings"] = findings
		text, err := json.Marshal(twice)
		if err != nil {
			t.Fatal(err)
		}
		put(t, s, recordWith(id, ready(), text, nil))
	}
	put(t, s, recordWith("good", ready(), []byte(good), nil))
	f := readFleet(t, s, FleetOptions{})
	for _, m := range f.Machines {
		if isGood := m.ID == "good"; isGood != (m.State == MachineReady) || isGood != (m.Problem == "") {
			t.Errorf("%s: %s, %s", m.ID, m.State, m.Problem)
		}
	}
	if len(f.Machines) != len(bad)+3 || f.PolicyVerdict() != scanner.Inconclusive {
		t.Errorf("%d machines, %s", len(f.Machines), f.PolicyVerdict())
	}
}

// A report has as many findings as the bound allows, and the records as many requirements.
func TestFleetBounds(t *testing.T) {
	t.Parallel()
	s := newStore(t, "s")
	for i := range maxFleetRequirements/maxFleetFindings + 1 {
		findings := make([]map[string]any, maxFleetFindings)
		for k := range findings {
			findings[k] = map[string]any{"id": fmt.Sprintf("x.%d.%d", i, k), "severity": "info", "status": "undetermined",
				"message": strings.Repeat("long ", 61), "title": strings.Repeat("long ", 61)}
		}
		var doc map[string]any
		if err := json.Unmarshal(reportOf(t, ready()), &doc); err != nil {
			t.Fatal(err)
		}
		doc["findings"] = findings
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		labels := map[string]string{}
		for k := range maxFleetLabels + 1 {
			labels[fmt.Sprintf("%03d%s", k, strings.Repeat("n", maxFleetName))] = strings.Repeat("v", maxFleetName+1)
		}
		put(t, s, recordWith(fmt.Sprintf("ws-%02d", i), ready(), text, labels))
	}
	f := readFleet(t, s, FleetOptions{})
	last := len(f.Machines) - 1
	for i, m := range f.Machines {
		if (m.State == MachineReady) != (i < last) {
			t.Errorf("%s: %s %s", m.ID, m.State, m.Problem)
		}
	}
	m := f.Machines[0]
	if n := len(f.Requirements); n != maxFleetRequirements || len(m.Labels) != maxFleetLabels ||
		len([]rune(m.Findings[0].Message)) != maxFleetText || len([]rune(f.Requirements[0].Demand)) != maxFleetText {
		t.Errorf("%d requirements, %d labels, message %q", n, len(m.Labels), m.Findings[0].Message)
	}
	for name, value := range m.Labels {
		if len([]rune(name)) != maxFleetName || len([]rune(value)) != maxFleetName {
			t.Errorf("label %q=%q", name, value)
		}
	}
}

// A small record with a long list of empty values takes little memory. The test is not
// parallel, since it measures all of the process.
func TestFleetEmptyValues(t *testing.T) {
	s := newStore(t, "s")
	good := string(reportOf(t, ready()))
	const n = 1_000_000
	for id, change := range map[string][2]string{
		"findings": {`"findings": [`, `"findings": [` + strings.Repeat("{},", n)},
		"nulls":    {`"findings": [`, `"findings": [` + strings.Repeat("null,", n)},
		"reasons":  {`"verdict_reasons": []`, `"verdict_reasons": [` + strings.Repeat("{},", n) + `{}]`},
		"ids":      {`"verdict_reasons": []`, `"verdict_reasons": [{"ids": [` + strings.Repeat(`"",`, n) + `""]}]`},
	} {
		put(t, s, recordWith(id, ready(), []byte(strings.Replace(good, change[0], change[1], 1)), nil))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f := readFleet(t, s, FleetOptions{})
	runtime.ReadMemStats(&after)
	if n := len(f.In(MachineDamaged)); n != 4 {
		t.Errorf("%d are damaged", n)
	}
	// A file is read into a buffer that grows, which allocates several times its size.
	if took := after.TotalAlloc - before.TotalAlloc; took > 100<<20 {
		t.Errorf("%d MiB", took>>20)
	}
}

// An error of the store ends the report, whichever store it is.
func TestFleetStoreErrors(t *testing.T) {
	t.Parallel()
	s := newStore(t, "s")
	putResult(t, s, "a", ready(), nil)
	missing := newStore(t, "missing")
	if _, err := ReadFleet(t.Context(), missing, FleetOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if _, err := ReadFleet(t.Context(), s, FleetOptions{Since: missing}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// The JSON is what its schema promises, and its machines are one a line. The schema refuses
// what is not.
func TestFleetJSON(t *testing.T) {
	t.Parallel()
	schema := schemaAt(t, "fleet.schema.json")
	now, before, targets := sampleFleet(t)
	empty := newStore(t, "empty")
	if _, err := empty.Put(t.Context(), "x", []byte("{}"), fleet.Keep); err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string]*Fleet{
		"all":     readFleet(t, now, FleetOptions{Targets: targets, Since: before}),
		"plain":   readFleet(t, now, FleetOptions{}),
		"damaged": readFleet(t, empty, FleetOptions{}),
		"none":    {Store: "none", FailOn: scanner.FailOnWarning},
	} {
		text := fleetText(t, f, "json", fleetOptions)
		doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
		if err != nil {
			t.Fatal(name, err)
		}
		if err := schema.Validate(doc); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := strings.Count(text, "\n    {\"id\":"); n != len(f.Machines) {
			t.Errorf("%s: %d lines of machines", name, n)
		}
		if name != "all" {
			continue
		}
		for key, change := range map[string]func(map[string]any){
			"state":   func(d map[string]any) { d["machines"].([]any)[0].(map[string]any)["state"] = "fine" },
			"summary": func(d map[string]any) { delete(d["summary"].(map[string]any), "error") },
			"change": func(d map[string]any) {
				d["changes"].(map[string]any)["requirements"].([]any)[0].(map[string]any)["change"] = "same"
			},
			"error": func(d map[string]any) {
				for _, m := range d["machines"].([]any) {
					delete(m.(map[string]any), "error")
				}
			},
			"version": func(d map[string]any) { d["schema_version"] = 2 },
		} {
			doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			change(doc.(map[string]any))
			if schema.Validate(doc) == nil {
				t.Errorf("accepted with a wrong %s", key)
			}
		}
	}
}

// The CSV has a row for each machine and requirement with the status of the record, and one
// for each machine without a verdict.
func TestFleetCSV(t *testing.T) {
	t.Parallel()
	now, _, targets := sampleFleet(t)
	f := readFleet(t, now, FleetOptions{Targets: targets})
	rows, err := csv.NewReader(strings.NewReader(fleetText(t, f, "csv", fleetOptions))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	want := 1
	for _, m := range f.Machines {
		want += max(len(m.Findings), 1)
	}
	if len(rows) != want {
		t.Errorf("%d rows, want %d", len(rows), want)
	}
	column := func(name string) int { return slices.Index(rows[0], name) }
	found := 0
	for _, row := range rows[1:] {
		if row[column("machine")] == "ws-cad-1" && row[column("requirement")] == "win.winrm.auto" {
			found++
			if row[column("status")] != "warning" || row[column("exit_code")] != "1" || row[column("label.team")] != "cad" ||
				row[column("message")] != "It starts by hand." {
				t.Errorf("%q", row)
			}
		}
		if row[column("machine")] == "ws-cad-9" && (row[column("state")] != "no_record" || row[column("status")] != "" ||
			row[column("exit_code")] != "") {
			t.Errorf("%q", row)
		}
	}
	if found != 1 {
		t.Errorf("%d rows of a finding", found)
	}
}

// No cell is a formula of a spreadsheet, and no cell reads as another one.
func TestSafeCell(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "a=b": "a=b", "=1+1": "'=1+1", "+1": "'+1", "-1": "'-1", "@SUM(A1)": "'@SUM(A1)", "＝1": "'＝1",
		"\t=1": "<U+0009>=1", "\r=1": "<U+000D>=1", "'=1": "''=1", " =1": "' =1", "ws-1": "ws-1", "-ws": "'-ws",
	} {
		if got := safeCell(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

// hostileFleet has texts in every place that a record lets anyone write to.
func hostileFleet(t testing.TB) *Fleet {
	const evil = "\x1b[2J\u202e<script>alert(1)</script></style>|`@all #1 [x](http://e.example) =cmd\n\xff"
	s := newStore(t, "s")
	labels := map[string]string{evil: evil, "=1": "@SUM(1)"}
	r := hostile()
	r.Platform.ComputerName, r.Platform.Name = evil, evil
	for i := range r.Findings {
		r.Findings[i].Message = evil
	}
	own := requirement.Find(row("x.own", requirement.Required),
		requirement.Fail("m", requirement.Evidence{Source: "root"}))
	own.Message, own.Demand, own.AWSErrorCode, own.Counts = evil, evil, evil, true
	r.Findings = append(r.Findings, own)
	putResult(t, s, "-evil", r, labels)
	putError(t, s, "..", fleet.Error{Kind: fleet.IO, Message: evil, Hint: evil}, labels)
	putResult(t, s, "list", failing(), labels)
	if _, err := s.Put(t.Context(), "con", []byte(evil), fleet.Keep); err != nil {
		t.Fatal(err)
	}
	f := readFleet(t, s, FleetOptions{
		Targets: &FleetTargets{evil, []fleet.Target{{ID: "missing", Labels: labels}}}, Since: named{s, evil},
	})
	f.Store = evil
	return f
}

// Nothing of a record reaches a terminal as a control sequence, turns the direction of the
// text, or is markup.
func TestFleetHostile(t *testing.T) {
	t.Parallel()
	f := hostileFleet(t)
	if n := len(f.In(MachineNotReady)); n != 2 {
		t.Fatalf("%d machines are not ready: %+v", n, f.In(MachineDamaged)[0])
	}
	for _, format := range FleetFormats {
		text := fleetText(t, f, format.Name, fleetOptions)
		for line := range strings.Lines(text) {
			for _, r := range strings.TrimSuffix(line, "\n") {
				if unicode.IsControl(r) || format.Name != "json" && unicode.In(r, unicode.C, unicode.Zl, unicode.Zp) {
					t.Fatalf("%s: %U in %q", format.Name, r, line)
				}
			}
		}
		switch format.Name {
		case "html":
			if strings.Contains(text, "<script>alert") || strings.Count(text, "<script") != 1 ||
				strings.Count(text, "</style>") != 1 {
				t.Error("markup in the page")
			}
		case "markdown":
			if regexp.MustCompile(`[^\\]<script|@all|[^\\]\[x|://e`).MatchString(text) {
				t.Errorf("markup: %s", text)
			}
		}
	}
}

// No line of the table is wider than the terminal.
func TestFleetTableWidth(t *testing.T) {
	t.Parallel()
	now, before, targets := sampleFleet(t)
	for _, f := range []*Fleet{readFleet(t, now, FleetOptions{Targets: targets, Since: before}), hostileFleet(t)} {
		for _, columns := range []int{40, 61, 80, 110, 200} {
			for line := range strings.Lines(fleetText(t, f, "table", Options{Width: columns})) {
				if n := width(strings.TrimSuffix(line, "\n")); n > columns {
					t.Errorf("%d columns of %d: %s", n, columns, line)
				}
			}
		}
	}
}

// A writer that fails makes every format fail.
func TestFleetWriteErrors(t *testing.T) {
	t.Parallel()
	now, before, targets := sampleFleet(t)
	f := readFleet(t, now, FleetOptions{Targets: targets, Since: before})
	full := errors.New("no space left")
	for _, format := range FleetFormats {
		size := len(fleetText(t, f, format.Name, fleetOptions))
		for _, room := range []int{0, 1, size / 2, size - 1} {
			if err := format.Write(&limited{room: room, err: full}, f, fleetOptions); !errors.Is(err, full) {
				t.Errorf("%s into %d of %d bytes: %v", format.Name, room, size, err)
			}
		}
	}
}

// manyRecords writes n records of real reports. Each machine has some messages of its own.
func manyRecords(t testing.TB, s fleet.Store, n int, real map[string]*scanner.Result) {
	t.Helper()
	type made struct {
		result *scanner.Result
		text   string
	}
	var list []made
	for _, name := range []string{"failing", "ready", "linux-failing", "windows7"} {
		var b bytes.Buffer
		if err := JSON(&b, real[name], Options{Version: "v1.2.3", ExitCode: exitCode}); err != nil {
			t.Fatal(err)
		}
		list = append(list, made{real[name], b.String()})
	}
	teams := []string{"cad", "dev", "sales", "support", "finance", "research", "it"}
	for i := range n {
		id := fmt.Sprintf("ws-%06d", i)
		labels := map[string]string{"team": teams[i%len(teams)], "owner": fmt.Sprintf("user%d", i/3)}
		switch {
		case i%97 == 0:
			putError(t, s, id, fleet.Error{Kind: fleet.ErrorKinds[i%len(fleet.ErrorKinds)],
				Message: fmt.Sprintf("snap-%017x: an error", i)}, labels)
			continue
		case i%501 == 0:
			if _, err := s.Put(t.Context(), id, []byte(list[0].text[:1000]), fleet.Keep); err != nil {
				t.Fatal(err)
			}
			continue
		}
		m := list[i%len(list)]
		// Sizes, names and times differ from machine to machine.
		text := strings.ReplaceAll(m.text, " GiB free", fmt.Sprintf(".%d GiB free", i%1000))
		text = strings.ReplaceAll(text, m.result.Platform.ComputerName, fmt.Sprintf("WSAMZN-%06d", i))
		put(t, s, recordWith(id, m.result, []byte(text), labels))
	}
}

// Ten thousand machines are reported in every format in bounded memory, and the page has
// less than 20 MB.
func TestFleetLarge(t *testing.T) {
	if !testenv.Nightly() {
		t.Skip("takes a minute: COLDCHECK_NIGHTLY=1")
	}
	real, err := realScans()
	if err != nil {
		t.Fatal(err)
	}
	const machines = 10_000
	s, before := newStore(t, "s"), newStore(t, "before")
	manyRecords(t, s, machines, real)
	manyRecords(t, before, machines/10, real)
	for _, format := range FleetFormats {
		runtime.GC()
		var memory runtime.MemStats
		runtime.ReadMemStats(&memory)
		base := memory.HeapAlloc
		peak := uint64(0)
		done, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			var m runtime.MemStats
			for {
				select {
				case <-done:
					return
				case <-time.After(20 * time.Millisecond):
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapInuse)
				}
			}
		}()
		began := time.Now()
		f := readFleet(t, s, FleetOptions{Since: before})
		read := time.Since(began)
		file, err := os.Create(filepath.Join(t.TempDir(), "report"))
		if err != nil {
			t.Fatal(err)
		}
		if err := format.Write(file, f, fleetOptions); err != nil {
			t.Fatal(err)
		}
		took := time.Since(began)
		close(done)
		<-stopped
		info, err := file.Stat()
		if err != nil {
			t.Fatal(err)
		}
		file.Close()
		t.Logf("%-8s  read %5.1f s, in all %5.1f s, heap %3d MiB, %6.1f MB", format.Name, read.Seconds(), took.Seconds(),
			(max(peak, base)-base)>>20, float64(info.Size())/1e6)
		if len(f.Machines) != machines {
			t.Errorf("%d machines", len(f.Machines))
		}
		if peak > base+300<<20 {
			t.Errorf("%s: %d MiB", format.Name, (peak-base)>>20)
		}
		if format.Name == "html" && info.Size() > 20_000_000 {
			t.Errorf("the page has %d bytes", info.Size())
		}
	}
}

// BenchmarkFleet reads records and writes each format.
func BenchmarkFleet(b *testing.B) {
	real, err := realScans()
	if err != nil {
		b.Fatal(err)
	}
	s := newStore(b, "s")
	manyRecords(b, s, 1000, real)
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			readFleet(b, s, FleetOptions{})
		}
	})
	f := readFleet(b, s, FleetOptions{})
	for _, format := range FleetFormats {
		b.Run(format.Name, func(b *testing.B) {
			for b.Loop() {
				fleetText(b, f, format.Name, fleetOptions)
			}
		})
	}
}

// Records of several rule books are told apart.
func TestFleetRuleBooks(t *testing.T) {
	f := &Fleet{RuleBooks: []FleetGroup{{"current", map[MachineState]int{MachineReady: 1}}}}
	if got := fleetRemarks(f, Options{}); !slices.Equal(got, []string{"Rule book: current."}) {
		t.Errorf("%q", got)
	}
	f.RuleBooks = append(f.RuleBooks, FleetGroup{"image", map[MachineState]int{MachineReady: 1, MachineNotReady: 1}})
	want := []string{"The machines were judged by different rule books: current (1 machine), image (2 machines)."}
	if got := fleetRemarks(f, Options{}); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	f.RuleBooks = f.RuleBooks[1:]
	if got := fleetRemarks(f, Options{}); len(got) != 0 {
		t.Errorf("%q", got)
	}
}
