package report

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/internal/testenv"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// duckdbScript runs the statements of standard input and prints the rows of each.
const duckdbScript = `
const { DuckDBInstance } = require(process.argv[1]);
(async () => {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const answers = [];
  for (const s of JSON.parse(require('fs').readFileSync(0, 'utf8'))) {
    answers.push((await connection.runAndReadAll(s)).getRowsJson());
  }
  process.stdout.write(JSON.stringify(answers));
})().catch(e => { console.error(e); process.exit(1); });
`

// duckdb runs statements in a folder and returns the rows of each as text, with "" for null.
func duckdb(t *testing.T, dir string, statements []string) [][]string {
	t.Helper()
	testenv.Tool(t, "node")
	pkg := filepath.Dir(testenv.Validator(t, "@duckdb/node-api", "package.json"))
	input, err := json.Marshal(statements)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("node", "-e", duckdbScript, "--", pkg)
	c.Dir, c.Stdin = dir, bytes.NewReader(input)
	var said bytes.Buffer
	c.Stderr = &said
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &said)
	}
	var answers [][][]any
	if err := json.Unmarshal(out, &answers); err != nil {
		t.Fatal(err)
	}
	list := make([][]string, len(answers))
	for i, rows := range answers {
		for _, row := range rows {
			var texts []string
			for _, v := range row {
				if v == nil {
					v = ""
				}
				texts = append(texts, fmt.Sprint(v))
			}
			list[i] = append(list[i], strings.Join(texts, "|"))
		}
	}
	return list
}

// statementsOf returns the statements of a file, and the names that comments give them.
func statementsOf(t *testing.T, name string) (statements, names []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../deploy/sql", name))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range strings.SplitAfter(string(text), ";\n") {
		if strings.TrimSpace(s) == "" {
			continue
		}
		statements = append(statements, s)
		title := regexp.MustCompile(`(?m)^-- (\w+): `).FindStringSubmatch(s)
		names = append(names, append(title, "", "")[1])
	}
	return statements, names
}

// DuckDB's answers to the queries are the same over the records and over the table, and
// the same as ours.
func TestDuckDB(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "exports"), 0o777); err != nil {
		t.Fatal(err)
	}
	runs := map[string][]*MachineReport{}
	for i, run := range []string{"2026-11-23", "2026-11-30"} {
		store := fleetOf(t, filepath.Join(dir, "results"), run, i > 0)
		waived := waivedResult()
		storeOf(t, filepath.Join(dir, "results", run), recordOf(t, "waived", exportTime, nil, waived, nil),
			recordOf(t, "selected", exportTime, nil, scanCaseOnly(t), nil))
		o := exportOptions
		o.Run = run
		table := filepath.Join(dir, "exports", run+".parquet")
		if err := os.WriteFile(table, export(t, "parquet", store, o), 0o666); err != nil {
			t.Fatal(err)
		}
		runs[run] = machinesOf(t, store)
	}
	queries, names := statementsOf(t, "duckdb-queries.sql")
	const columns = "SELECT * EXCLUDE (images) FROM findings ORDER BY run, machine, requirement"
	all := append(slices.Clone(queries), "DESCRIBE findings", columns)
	overRecords, _ := statementsOf(t, "duckdb-records.sql")
	overTable, _ := statementsOf(t, "duckdb-parquet.sql")
	answers := duckdb(t, dir, slices.Concat(overRecords, all, overTable, all))
	records, table := answers[len(overRecords):], answers[len(answers)-len(all):]
	for i := range all {
		if d := gocmp.Diff(records[i], table[i]); d != "" {
			t.Errorf("%s over the records and over the table: %.3000s", append(names, "columns", "rows")[i], d)
		}
	}
	asked := regexp.MustCompile("requirement = '([^']+)'").FindStringSubmatch(strings.Join(queries, ""))[1]
	want := ourAnswers(runs, asked)
	for i, name := range names {
		if len(want[name]) == 0 {
			t.Errorf("%s: nothing to compare", name)
		}
		if d := gocmp.Diff(want[name], records[i]); d != "" {
			t.Errorf("%s: ours and DuckDB's: %s", name, d)
		}
	}
	if len(names) != len(want) {
		t.Errorf("%d queries, %d answers", len(names), len(want))
	}
}

// waivedResult is a result with a waived finding.
func waivedResult() *scanner.Result {
	r := failing()
	for i := range r.Findings {
		if r.Findings[i].Status == requirement.Failed {
			r.Findings[i].Waiver = &requirement.Waiver{ID: r.Findings[i].ID, Reason: "planned", Owner: "cad",
				Expiry: time.Date(2026, 12, 31, 0, 0, 0, 0, time.UTC)}
			break
		}
	}
	return r
}

// ourAnswers are the rows that each query should return. asked is the requirement that the
// query "failing" names.
func ourAnswers(runs map[string][]*MachineReport, asked string) map[string][]string {
	answers := map[string][]string{}
	add := func(name string, row ...any) {
		var texts []string
		for _, v := range row {
			texts = append(texts, fmt.Sprint(v))
		}
		answers[name] = append(answers[name], strings.Join(texts, "|"))
	}
	unmet := func(s requirement.Status) bool { return s == requirement.Failed || s == requirement.Warning }
	names := slices.Sorted(maps.Keys(runs))
	latest := runs[names[len(names)-1]]

	type count struct{ all, ready, notReady, inconclusive, errors int }
	tally := func(machines []*MachineReport) (c count) {
		for _, m := range machines {
			c.all++
			switch {
			case m.Record.Error != nil:
				c.errors++
			case m.Record.Verdict == scanner.Ready:
				c.ready++
			case m.Record.Verdict == scanner.NotReady:
				c.notReady++
			default:
				c.inconclusive++
			}
		}
		return c
	}
	for _, run := range names {
		c := tally(runs[run])
		add("trend", run, c.all, c.ready, c.notReady, c.inconclusive, c.errors)
	}
	teams := map[string][]*MachineReport{}
	for _, m := range latest {
		team := m.Record.Target.Labels["team"]
		teams[team] = append(teams[team], m)
	}
	for _, team := range slices.Sorted(maps.Keys(teams)) {
		c := tally(teams[team])
		add("labels", team, c.all, c.ready, c.notReady, c.inconclusive, c.errors)
	}

	kinds := map[string][]*MachineReport{}
	titles, counts := map[string]string{}, map[string][3]int{}
	subjects := map[[3]string]map[string]bool{}
	for _, m := range latest {
		if e := m.Record.Error; e != nil {
			kinds[string(e.Kind)] = append(kinds[string(e.Kind)], m)
			continue
		}
		id := m.Record.Target.ID
		for _, f := range m.Saved.Findings {
			if f.ID == asked && unmet(f.Status) && f.Waiver == nil {
				add("failing", id, m.Record.Target.Labels["team"], f.Status, f.Message)
			}
			if i := slices.Index([]requirement.Status{requirement.Failed, requirement.Warning, requirement.Undetermined},
				f.Status); i >= 0 && f.Waiver == nil {
				n := counts[f.ID]
				n[i]++
				counts[f.ID], titles[f.ID] = n, max(f.Demand, titles[f.ID])
			}
			if w := f.Waiver; w != nil {
				add("waivers", w.Expiry.Format(time.DateOnly), w.Owner, id, f.ID, w.Reason)
			}
			if !unmet(f.Status) {
				continue
			}
			for _, s := range f.Subjects {
				key := [3]string{f.ID, string(s.Kind), cmp.Or(s.Name, s.ID)}
				if subjects[key] == nil {
					subjects[key] = map[string]bool{}
				}
				subjects[key][id] = true
			}
		}
	}
	slices.Sort(answers["waivers"]) // the columns are in the order of the rows
	for _, kind := range slices.SortedFunc(maps.Keys(kinds), func(a, b string) int {
		return cmp.Or(len(kinds[b])-len(kinds[a]), strings.Compare(a, b))
	}) {
		first := kinds[kind][0]
		add("errors", kind, len(kinds[kind]), first.Record.Target.ID, first.Record.Error.Message)
	}
	for _, id := range slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		m, n := counts[a], counts[b]
		return cmp.Or(n[0]-m[0], n[1]-m[1], n[2]-m[2], strings.Compare(a, b))
	}) {
		n := counts[id]
		add("requirements", id, titles[id], n[0], n[1], n[2])
	}
	for _, key := range slices.SortedFunc(maps.Keys(subjects), func(a, b [3]string) int {
		return cmp.Or(len(subjects[b])-len(subjects[a]), slices.Compare(a[:], b[:]))
	}) {
		add("subjects", key[0], key[1], key[2], len(subjects[key]))
	}

	before := map[string]requirement.Status{}
	for _, m := range runs[names[len(names)-2]] {
		if m.Saved != nil {
			for _, f := range m.Saved.Findings {
				before[m.Record.Target.ID+" "+f.ID] = f.Status
			}
		}
	}
	type change struct {
		machine, id string
		was, is     requirement.Status
	}
	var changes []change
	for _, m := range latest {
		if m.Saved == nil {
			continue
		}
		for _, f := range m.Saved.Findings {
			was, ok := before[m.Record.Target.ID+" "+f.ID]
			if ok && unmet(was) != unmet(f.Status) {
				changes = append(changes, change{m.Record.Target.ID, f.ID, was, f.Status})
			}
		}
	}
	slices.SortFunc(changes, func(a, b change) int {
		return cmp.Or(strings.Compare(a.machine, b.machine), strings.Compare(a.id, b.id))
	})
	for _, c := range changes {
		add("changes", c.machine, c.id, c.was, c.is)
	}
	return answers
}
