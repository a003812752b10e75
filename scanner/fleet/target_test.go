package fleet

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// targets are the lines of a list, as read.
func targets(t *testing.T, text string) []Target {
	t.Helper()
	list, err := ReadTargets("list", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// problems are the mistakes of a list, as text.
func problems(t *testing.T, text string) (list []string) {
	t.Helper()
	_, err := ReadTargets("list", strings.NewReader(text))
	var mistakes *ListError
	if !errors.As(err, &mistakes) || !errors.Is(err, ErrList) {
		t.Fatalf("%.200q: %v", text, err)
	}
	for _, p := range mistakes.Problems {
		list = append(list, p.String())
	}
	return list
}

var twoTargets = []Target{
	{ID: "ws-1", Images: []string{"ebs:snap-1", "ebs:snap-2"}, UserName: "jdoe",
		With: []string{"s3://b/ws.json", "q.json"}, Labels: map[string]string{"team": "cad", "site": "ZRH, 2"}},
	{ID: "ws-2", Images: []string{"/a root.img"}},
}

// TestReadTargets: JSON lines and CSV name the same targets, whatever wrote them.
func TestReadTargets(t *testing.T) {
	t.Parallel()
	const jsonLines = `{"id": "ws-1", "images": ["ebs:snap-1", "ebs:snap-2"], "user_name": "jdoe",` +
		` "with": ["s3://b/ws.json", "q.json"], "labels": {"team": "cad", "site": "ZRH, 2"}}
{"id":"ws-2","images":["/a root.img"]}
`
	const rows = `id,images,user_name,with,label.team,label.site
ws-1,ebs:snap-1|ebs:snap-2,jdoe,s3://b/ws.json|q.json,cad,"ZRH, 2"
ws-2,/a root.img,,,,
`
	for name, text := range map[string]string{
		"JSON lines": jsonLines, "CSV": rows,
		"no line end":      strings.TrimSuffix(jsonLines, "\n"),
		"CSV, no line end": strings.TrimSuffix(rows, "\n"),
		"byte order mark":  "\ufeff" + jsonLines, "CSV with a byte order mark": "\ufeff" + rows,
		"CRLF": strings.ReplaceAll(jsonLines, "\n", "\r\n"), "CSV with CRLF": strings.ReplaceAll(rows, "\n", "\r\n"),
		"blank lines":     "\n \n" + strings.ReplaceAll(jsonLines, "\n", "\n\n\t\n"),
		"CSV blank lines": "\n\r\n" + strings.ReplaceAll(rows, "\n", "\n\n"),
		"empty row":       rows + ",,,,,\n",
		"spaces":          strings.ReplaceAll(jsonLines, `{"id"`, `   {"id"`),
		"spaces in CSV":   strings.ReplaceAll(strings.ReplaceAll(rows, "|", " | "), "ws-2,", " ws-2 ,"),
		"other columns": "label.site,with,label.team,images,user_name,id\n" +
			`"ZRH, 2",s3://b/ws.json|q.json,cad,ebs:snap-1|ebs:snap-2,jdoe,ws-1` + "\n,,,/a root.img,,ws-2",
	} {
		if d := cmp.Diff(twoTargets, targets(t, text)); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

// TestListMistakes: every mistake is found at once, with its line.
func TestListMistakes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][]string{
		"": {"it has no targets"},
		"\n \n\ufeff": {
			`line 3: unknown column "\ufeff": the columns are id, images, user_name, with and label.NAME`,
			`line 3: there is no column "id"`, `line 3: there is no column "images"`},
		"id,images\n":                {"it has no targets"},
		`[{"id":"a"}]`:               {"line 1: it is a JSON array: write one object a line"},
		"\n" + `{"id":"a"}`:          {"line 2: there are no images"},
		`{"images":["a"]}`:           {"line 1: there is no id"},
		`{"id":null,"images":["a"]}`: {"line 1: there is no id"},
		`{"id":"a b","images":[""]}`: {
			`line 1: the id "a b" is not 1 to 128 of the characters A-Z, a-z, 0-9, ".", "_" and "-"`,
			"line 1: the name of an image is empty"},
		`{"id":"a","images":["b"],"colour":1}`: {
			`line 1: unknown key "colour": the keys are id, images, user_name, with, labels`},
		`{"ID":"a","images":["b"]}`: {
			`line 1: unknown key "ID": the keys are id, images, user_name, with, labels`},
		`{"id":"a","images":["b"],"id":"c"}`:                  {`line 1: the key "id" is there twice`},
		`{"id":"a","images":["b"],"labels":{"x":"","x":"y"}}`: {`line 1: the key "x" is there twice`},
		`{"id":"a","images":["b"],"labels":{"":"y"}}`:         {"line 1: a label has no name"},
		`{"id":"a","images":["b"],"labels":{"x":1}}`:          {"line 1: labels must not be a JSON number"},
		`{"id":"a","images":"b"}`:                             {"line 1: images must not be a JSON string"},
		`{"id":"a","images":["b"],"with":[""]}`:               {"line 1: the name of a document is empty"},
		`{"id":"a","images":["b"]} {}`:                        {"line 1: something follows the object"},
		`{"id":"a","images":["b"]`:                            {"line 1: not valid JSON: it ends too early"},
		"{\"id\":\"a\xff\",\"images\":[\"b\"]}":               {"line 1: it is not UTF-8"},
		"{\"id\":\"a\",\"images\":[\"b\"]}\n[]\n5\nx": {
			"line 2: not a JSON object", "line 3: not a JSON object", "line 4: not valid JSON at byte 1"},
		`{"id":"a","images":["s3://b/c","s3://b/c"]}`: {"line 1: the image s3://b/c is there twice"},
		`{"id":"a","images":["ebs:x","s3://"]}`: {
			"line 1: ebs:x: not ebs:snap-…: invalid argument", "line 1: s3://: not s3://BUCKET/KEY: invalid argument"},
		"{\"id\":\"a\",\"images\":[\"b\"]}\n\n{\"id\":\"a\",\"images\":[\"c\"]}\n{\"id\":\"A\",\"images\":[\"c\"]}": {
			"line 3: the id a is in line 1 too", "line 4: the id A is in line 1 too, in another case"},

		"id,image,id\n": {
			`line 1: unknown column "image": the columns are id, images, user_name, with and label.NAME`,
			`line 1: the column "id" is there twice`, `line 1: there is no column "images"`},
		"id,images,label.\n": {
			`line 1: unknown column "label.": the columns are id, images, user_name, with and label.NAME`},
		"id,images,team,id\na,x,cad,b\na,,,\n": { // rows are checked whatever else the header has
			`line 1: unknown column "team": the columns are id, images, user_name, with and label.NAME`,
			`line 1: the column "id" is there twice`, "line 3: the id a is in line 2 too", "line 3: there are no images"},
		"id,images\na,b,c\n,b\na,\nd,e||f\n": {
			"line 2: it has 3 columns, and the header has 2", "line 3: there is no id", "line 4: there are no images",
			"line 5: the name of an image is empty"},
		"id,images\n\n\"a\nb\",c\nd,\"e\"f\ng,h\"\ni,i\ni,j": {
			`line 3: the id "a\nb" is not 1 to 128 of the characters A-Z, a-z, 0-9, ".", "_" and "-"`,
			`line 5: not valid CSV: extraneous or missing " in quoted-field`,
			`line 6: not valid CSV: bare " in non-quoted-field`, "line 8: the id i is in line 7 too"},
		"id,images\na,\"b\nc\n": {`line 2: not valid CSV: extraneous or missing " in quoted-field`},
	} {
		if d := cmp.Diff(want, problems(t, text)); d != "" {
			t.Errorf("%q: %s", text, d)
		}
	}
}

// TestListErrorText: the error names the list and every mistake, of many the first ones.
func TestListErrorText(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	for range maxProblems + 2 {
		text.WriteString("{}\n")
	}
	_, err := ReadTargets("list.jsonl", strings.NewReader(text.String()))
	want := "; and 104 more mistakes"
	const begin = "list.jsonl: line 1: there is no id; line 1: there are no images; "
	if err == nil || !strings.HasPrefix(err.Error(), begin) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("%v", err)
	}
}

// TestListBounds: lists and lines are read at the bound, and refused above it.
func TestListBounds(t *testing.T) {
	t.Parallel()
	line := func(n int) string {
		const rest = `{"id":"a","images":["b"],"user_name":""}`
		return strings.Replace(rest, `name":"`, `name":"`+strings.Repeat("x", n-len(rest)), 1)
	}
	row := func(n int) string { return "a,b," + strings.Repeat("x", n-4) }
	const header = "id,images,user_name\n"
	const next, nextRow = `{"id":"b","images":["b"]}`, "b,b,\n"
	for name, text := range map[string]string{
		"below": line(MaxLine-1) + "\n" + next, "at": line(MaxLine) + "\n" + next, "at, last": next + "\n" + line(MaxLine),
		"a row below": header + row(MaxLine-1) + "\n" + nextRow, "a row at": header + row(MaxLine) + "\n" + nextRow,
		"a row at, last": header + nextRow + row(MaxLine),
	} {
		if n := len(targets(t, text)); n != 2 {
			t.Errorf("%s: %d targets", name, n)
		}
	}
	for name, tt := range map[string]struct{ text, want string }{
		"above":               {line(MaxLine+1) + "\n" + next, "line 1: it is longer than 1 MiB"},
		"above, last":         {next + "\n" + line(MaxLine+1), "line 2: it is longer than 1 MiB"},
		"far above":           {line(5*MaxLine) + "\n" + next, "line 1: it is longer than 1 MiB"},
		"a row above":         {header + row(MaxLine+1) + "\n" + nextRow, "line 2: it is longer than 1 MiB"},
		"a row far above":     {header + row(5*MaxLine) + "\n" + nextRow, "a row is longer than 1 MiB"},
		"a long header":       {"id,images,label." + strings.Repeat("x", 5*MaxLine), "a row is longer than 1 MiB"},
		"a quote without end": {header + "a,b,\"" + strings.Repeat("x\n", 3*MaxLine), "a row is longer than 1 MiB"},
	} {
		if got := problems(t, tt.text); !slices.Equal(got, []string{tt.want}) {
			t.Errorf("%s: %q", name, got)
		}
	}

	for n, want := range map[int]bool{4: true, 5: true, 6: false} {
		var list strings.Builder
		for i := range n {
			fmt.Fprintf(&list, "{\"id\":\"%d\",\"images\":[\"b\"]}\n", i)
		}
		got, err := readTargets("list", strings.NewReader(list.String()), Shard{0, 1}, 5)
		above := err != nil && strings.Contains(err.Error(), "line 6: there are more than 5")
		if want == above || want && (err != nil || len(got) != n) {
			t.Errorf("%d targets: %d, %v", n, len(got), err)
		}
	}
	for n, want := range map[int]int{maxNames - 1: 0, maxNames: 0, maxNames + 1: 2} {
		var names strings.Builder
		for i := range n {
			fmt.Fprintf(&names, ",\"s3://b/%d\"", i)
		}
		text := fmt.Sprintf(`{"id":"a","images":[%[1]s],"with":[%[1]s]}`, names.String()[1:])
		_, err := ReadTargets("list", strings.NewReader(text))
		var mistakes *ListError
		if errors.As(err, &mistakes); want > 0 && len(mistakes.Problems) != want || want == 0 && err != nil {
			t.Errorf("%d images and documents: %v", n, err)
		}
	}
	for n, want := range map[int]bool{127: true, 128: true, 129: false} {
		_, err := ReadTargets("list", strings.NewReader(`{"id":"`+strings.Repeat("x", n)+`","images":["b"]}`))
		if (err == nil) != want {
			t.Errorf("an id of %d characters: %v", n, err)
		}
	}
}

// TestListReadError: an error of reading is no mistake in the list.
func TestListReadError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, before := range []string{
		"", "\n", "{", "{}\n", "id,images\n", "id,images\na,b\n", "id,\"", "id,images\na,\"",
	} {
		_, err := ReadTargets("list", io.MultiReader(strings.NewReader(before), iotest.ErrReader(broken)))
		if !errors.Is(err, broken) || errors.Is(err, ErrList) {
			t.Errorf("after %q: %v", before, err)
		}
	}
}

// FuzzReadTargets: a list is valid targets or mistakes, and takes no more memory than its
// text suggests.
func FuzzReadTargets(f *testing.F) {
	for _, text := range []string{
		"", "{\"id\":\"a\",\"images\":[\"b\"],\"labels\":{\"x\":\"y\"}}\n{}", "\ufeffid,images,label.x\na,b|c,d\n",
		"id,images\n\"a",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		list, err := ReadTargets("list", strings.NewReader(text))
		var mistakes *ListError
		switch {
		case err == nil && len(list) == 0:
			t.Error("no targets and no error")
		case err != nil && (!errors.As(err, &mistakes) || len(mistakes.Problems) == 0 ||
			len(mistakes.Problems) > maxProblems):
			t.Error(err)
		}
		lines := strings.Count(text, "\n") + 1
		if mistakes != nil {
			for _, p := range mistakes.Problems {
				if p.Line < 0 || p.Line > lines {
					t.Errorf("line %d of %d", p.Line, lines)
				}
			}
		}
		seen := map[string]bool{}
		for _, target := range list {
			if id := strings.ToLower(target.ID); !validID.MatchString(id) || seen[id] || len(target.Images) == 0 {
				t.Errorf("%+v", target)
			} else {
				seen[id] = true
			}
		}
	})
}
