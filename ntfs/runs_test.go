package ntfs

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAppendRuns(t *testing.T) {
	const clusters = 1 << 40
	for _, test := range []struct {
		name  string
		pairs string
		vcn   int64
		want  []run
		err   string
	}{
		{"none", "\x00", 0, nil, ""},
		{"one", "\x21\x18\x34\x56\x00", 0, []run{{0, 0x5634, 0x18}}, ""},
		{"bytes after the end", "\x11\x01\x05\x00\xFF\xFF", 7, []run{{7, 5, 1}}, ""},
		// The fragmented, the backward and the sparse file of the Linux-NTFS
		// project's description of data runs.
		{"fragmented", "\x31\x38\x73\x25\x34\x32\x14\x01\xE5\x11\x02\x31\x42\xAA\x00\x03\x00", 0,
			[]run{{0, 0x342573, 0x38}, {0x38, 0x363758, 0x114}, {0x14C, 0x393802, 0x42}}, ""},
		{"backward", "\x11\x30\x60\x21\x10\x00\x01\x11\x20\xE0\x00", 0,
			[]run{{0, 0x60, 0x30}, {0x30, 0x160, 0x10}, {0x40, 0x140, 0x20}}, ""},
		{"sparse", "\x11\x30\x20\x01\x60\x11\x10\x30\x00", 0,
			[]run{{0, 0x20, 0x30}, {0x30, hole, 0x60}, {0x90, 0x50, 0x10}}, ""},
		{"touching runs are one", "\x11\x10\x20\x11\x08\x10\x11\x01\x09\x00", 0, []run{{0, 0x20, 0x18}, {0x18, 0x39, 1}}, ""},
		{"touching holes are one", "\x01\x10\x01\x08\x00", 0, []run{{0, hole, 0x18}}, ""},
		{"numbers of 8 bytes", "\x88\x02\x00\x00\x00\x00\x00\x00\x00\xFF\xFF\x00\x00\x00\x00\x00\x00\x00", 0,
			[]run{{0, 0xFFFF, 2}}, ""},
		{"longest hole", "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x00", 0, []run{{0, hole, math.MaxInt64}}, ""},
		{"last cluster", "\x61\x01\xFF\xFF\xFF\xFF\xFF\x00\x00", 0, []run{{0, clusters - 1, 1}}, ""},
		{"past the last cluster", "\x61\x02\xFF\xFF\xFF\xFF\xFF\x00\x00", 0, nil,
			"run of 2 clusters at cluster 1099511627775"},
		{"VCN wraps", "\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x00", 1, nil, "run of 9223372036854775807 clusters"},
		{"LCN wraps", "\x81\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x00", 0, nil,
			"run of 1 clusters at cluster 9223372036854775807"},
		{"LCN wraps below 0", "\x11\x01\x01\x81\x01\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F\x00", 0, nil,
			"at cluster -9223372036854775808"},
		{"nothing", "", 0, nil, "without an end"},
		{"no end", "\x11\x01\x05", 0, nil, "without an end"},
		{"cut", "\x21\x01\x05", 0, nil, "lengths of 1 and 2 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			runs, err := appendRuns(nil, []byte(test.pairs), test.vcn, clusters)
			if test.err != "" {
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), test.err) {
					t.Errorf("%v, want …%s…", err, test.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, runs, cmp.AllowUnexported(run{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The number of runs is bounded: as many as that are decoded, one more is not.
func TestMaxRuns(t *testing.T) {
	runs := make([]run, maxRuns-1, maxRuns+1)
	if got, err := appendRuns(runs, []byte("\x11\x01\x05\x00"), 0, 10); err != nil || len(got) != maxRuns {
		t.Error(len(got), err)
	}
	if _, err := appendRuns(runs[:maxRuns], []byte("\x11\x01\x05\x00"), 0, 10); !errors.Is(err, ErrUnsupported) {
		t.Error(err)
	}
}

// The extents of an attribute must follow each other without a gap.
func TestJoinRuns(t *testing.T) {
	d := &disk{clusterSize: 1024, clusters: 100}
	extent := func(lowest, highest int64, pairs string) attribute {
		return attribute{kind: typeData, lowest: lowest, highest: highest, value: []byte(pairs)}
	}
	for _, test := range []struct {
		name    string
		extents []attribute
		err     string
	}{
		{"two", []attribute{extent(0, 9, "\x11\x0A\x05\x00"), extent(10, 14, "\x11\x05\x20\x00")}, ""},
		{"empty", []attribute{extent(0, -1, "\x00")}, ""},
		{"gap", []attribute{extent(0, 9, "\x11\x0A\x05\x00"), extent(11, 15, "\x11\x05\x20\x00")},
			"begins at cluster 11, not 10"},
		{"overlap", []attribute{extent(0, 9, "\x11\x0A\x05\x00"), extent(9, 13, "\x11\x05\x20\x00")},
			"begins at cluster 9, not 10"},
		{"twice", []attribute{extent(0, 9, "\x11\x0A\x05\x00"), extent(0, 9, "\x11\x0A\x05\x00")},
			"begins at cluster 0, not 10"},
		{"first missing", []attribute{extent(10, 14, "\x11\x05\x20\x00")}, "begins at cluster 10, not 0"},
		{"runs too long", []attribute{extent(0, 8, "\x11\x0A\x05\x00")}, "end at cluster 10, not 9"},
		{"resident", []attribute{{resident: true}, extent(0, 9, "\x11\x0A\x05\x00")}, "begins at"},
		{"as many clusters as the volume", []attribute{extent(0, 99, "\x11\x32\x05\x11\x32\x05\x00")}, ""},
		{"more clusters than the volume", []attribute{extent(0, 100, "\x11\x32\x05\x11\x33\x05\x00")}, "more clusters than"},
		{"more bytes than there are numbers",
			[]attribute{extent(0, math.MaxInt64/1024, "\x07\x00\x00\x00\x00\x00\x00\x20\x00")}, "runs of"},
	} {
		_, _, err := joinRuns(d, test.extents)
		if test.err == "" && err != nil || test.err != "" &&
			(!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), test.err)) {
			t.Errorf("%s: %v, want …%s…", test.name, err, test.err)
		}
	}
}
