package parquet

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/parquet-go/parquet-go"
)

type row struct {
	Text   string            `parquet:"text,dict"`
	Maybe  string            `parquet:"maybe,optional,dict"`
	Yes    bool              `parquet:"yes"`
	Number int32             `parquet:"number"`
	Time   time.Time         `parquet:"time,timestamp(microsecond:utc)"`
	Map    map[string]string `parquet:"map" parquet-key:",dict" parquet-value:",dict"`
	List   []string          `parquet:"list,list" parquet-element:",dict"`
	Items  []item            `parquet:"items,list"`
}

type item struct {
	Text  string `parquet:"text,dict"`
	Maybe string `parquet:"maybe,optional,dict"`
}

// randomRows are rows whose columns have runs of all lengths, few or many different
// values, and empty lists.
func randomRows(r *rand.Rand, n int) []row {
	words := 1 << r.IntN(12)
	run := 1 + r.IntN(20)
	word := func() string {
		if r.IntN(3) == 0 {
			return ""
		}
		return fmt.Sprint("ä", r.IntN(words))
	}
	rows := make([]row, n)
	for i := range rows {
		if i > 0 && r.IntN(run) > 0 {
			rows[i] = rows[i-1]
			continue
		}
		rows[i] = row{Text: word(), Maybe: word(), Yes: r.IntN(2) > 0, Number: int32(r.Uint32()),
			Time: time.UnixMicro(r.Int64N(1<<52) - 1<<51).UTC()}
		for range r.IntN(4) {
			if rows[i].Map == nil {
				rows[i].Map = map[string]string{}
			}
			rows[i].Map[word()] = word()
			rows[i].List = append(rows[i].List, word())
			rows[i].Items = append(rows[i].Items, item{word(), word()})
		}
	}
	return rows
}

// written is the file with the rows, in row groups of so many rows.
func written(t *testing.T, rows []row, group int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter[row](&b, "parquet_test version 1.2.3 (build )")
	if err != nil {
		t.Fatal(err)
	}
	for len(rows) > 0 {
		n := min(group, len(rows))
		w.Write(rows[:n])
		rows = rows[n:]
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// parquet-go reads the rows that were written, and makes the same schema of the tags.
func TestReadBack(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 0))
		rows := randomRows(r, []int{0, 1, 7, 8, 9, 100, 3000}[r.IntN(7)])
		text := written(t, rows, 1+r.IntN(2000))
		f, err := parquet.OpenFile(bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if got, want := f.Schema().String(), parquet.SchemaOf(row{}).String(); got != want {
			t.Fatalf("%s\nis not\n%s", got, want)
		}
		got, err := parquet.Read[row](bytes.NewReader(text), int64(len(text)))
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		if d := cmp.Diff(rows, got, cmpopts.EquateEmpty()); d != "" {
			t.Fatalf("seed %d: %.2000s", seed, d)
		}
	}
}

// The statistics are the bounds of the values, without strings of more than textBound bytes.
func TestStatistics(t *testing.T) {
	t.Parallel()
	at := time.UnixMicro(-5)
	text := written(t, []row{
		{Text: strings.Repeat("x", textBound), Number: -3, Time: at, List: []string{strings.Repeat("x", textBound+1)}},
		{Text: "b", Number: 7, Time: at},
	}, 2)
	f, err := parquet.OpenFile(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range f.Metadata().RowGroups[0].Columns {
		s := c.MetaData.Statistics
		got = append(got, fmt.Sprintf("%s %d nulls %q %q", strings.Join(c.MetaData.PathInSchema, "."),
			s.NullCount, s.MinValue, s.MaxValue))
	}
	want := []string{
		`text 0 nulls "b" "` + strings.Repeat("x", textBound) + `"`,
		`maybe 2 nulls "" ""`,
		`yes 0 nulls "" ""`,
		`number 0 nulls "\xfd\xff\xff\xff" "\a\x00\x00\x00"`,
		`time 0 nulls "\xfb\xff\xff\xff\xff\xff\xff\xff" "\xfb\xff\xff\xff\xff\xff\xff\xff"`,
		`map.key_value.key 2 nulls "" ""`,
		`map.key_value.value 2 nulls "" ""`,
		`list.list.element 1 nulls "" ""`,
		`items.list.element.text 2 nulls "" ""`,
		`items.list.element.maybe 2 nulls "" ""`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestUnsupportedFields(t *testing.T) {
	t.Parallel()
	if _, err := NewWriter[struct{ F float64 }](io.Discard, ""); err == nil {
		t.Error("a float64 is accepted")
	}
	if _, err := NewWriter[struct{ S []struct{ N int32 } }](io.Discard, ""); err == nil {
		t.Error("a list of structs with a number is accepted")
	}
}

// failing accepts so many bytes.
type failing struct{ room int }

var errFull = errors.New("full")

func (f *failing) Write(p []byte) (int, error) {
	if len(p) > f.room {
		return 0, errFull
	}
	f.room -= len(p)
	return len(p), nil
}

// An error of the file is the error of the writer, wherever it occurs.
func TestWriteErrors(t *testing.T) {
	t.Parallel()
	rows := randomRows(rand.New(rand.NewPCG(1, 1)), 20)
	size := len(written(t, rows, len(rows)))
	for room := range size {
		w, err := NewWriter[row](&failing{room}, "parquet_test version 1.2.3 (build )")
		if err != nil {
			t.Fatal(err)
		}
		w.Write(rows)
		if err := w.Close(); !errors.Is(err, errFull) {
			t.Fatalf("%d of %d bytes: %v", room, size, err)
		}
	}
}
