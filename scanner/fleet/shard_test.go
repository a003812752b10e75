package fleet

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

func TestParseShard(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Shard{"0/1": {0, 1}, "0/12": {0, 12}, "11/12": {11, 12}, "007/12": {7, 12},
		"2147483646/2147483647": {2147483646, 2147483647}} {
		if got, err := ParseShard(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "/", "1", "1/", "/2", "12/12", "13/12", "0/0", "-1/2", "+1/2", "1/-2", " 1/2", "1/2 ",
		"1/2/3", "a/2", "1/b", "0x1/2", "1_0/20", "0/2147483648", "99999999999999999999/2", strings.Repeat("1", 1000)} {
		got, err := ParseShard(text)
		if !errors.Is(err, ErrShard) || len(err.Error()) > 120 {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// TestEnvironmentShard: each engine's array job has its shards, and what no array job has
// is an error.
func TestEnvironmentShard(t *testing.T) {
	t.Parallel()
	slurm := func(id, least, step, count string) map[string]string {
		return map[string]string{varSlurmID: id, varSlurmMin: least, varSlurmStep: step, varSlurmCount: count}
	}
	k8s := func(index string) map[string]string { return map[string]string{varKubernetes: index} }
	batch := func(index, size string) map[string]string {
		return map[string]string{varBatchIndex: index, varBatchSize: size}
	}
	merged := k8s("1")
	maps.Copy(merged, batch("1", "2"))
	for _, tt := range []struct {
		env    map[string]string
		shards int
		want   Shard
		err    string // "" if there is none
	}{
		{nil, 0, Shard{0, 1}, ""},
		{map[string]string{varKubernetes: "", varBatchIndex: "", varSlurmID: ""}, 0, Shard{0, 1}, ""},
		{nil, 4, Shard{}, "there are 4, and JOB_COMPLETION_INDEX is not set"},

		{k8s("0"), 12, Shard{0, 12}, ""}, {k8s("11"), 12, Shard{11, 12}, ""},
		{k8s("12"), 12, Shard{}, "the shards of 12 are 0 to 11"},
		{k8s("3"), 0, Shard{}, "the number of shards is not known"},
		{k8s("-1"), 12, Shard{}, `JOB_COMPLETION_INDEX="-1" is not a number`},
		{k8s("x"), 12, Shard{}, "is not a number"},

		{batch("0", "2"), 0, Shard{0, 2}, ""}, {batch("9999", "10000"), 0, Shard{9999, 10000}, ""},
		{batch("2", "2"), 0, Shard{}, "the shards of 2 are 0 to 1"},
		{map[string]string{varBatchIndex: "1"}, 0, Shard{}, "AWS_BATCH_JOB_ARRAY_SIZE is not set"},
		{batch("1", ""), 0, Shard{}, `AWS_BATCH_JOB_ARRAY_SIZE="" is not a number`},
		{batch("1", "2"), 2, Shard{1, 2}, ""},
		{batch("1", "2"), 3, Shard{}, "there are 3, and the array job of AWS_BATCH_JOB_ARRAY_INDEX has 2"},

		{slurm("0", "0", "1", "4"), 0, Shard{0, 4}, ""}, {slurm("3", "0", "1", "4"), 0, Shard{3, 4}, ""},
		{slurm("1", "1", "1", "4"), 0, Shard{0, 4}, ""}, {slurm("4", "1", "1", "4"), 0, Shard{3, 4}, ""}, // --array=1-4
		{slurm("15", "7", "4", "4"), 0, Shard{2, 4}, ""},                      // --array=7-19:4
		{slurm("9", "1", "1", "3"), 0, Shard{}, "the shards of 3 are 0 to 2"}, // --array=1,3,9
		{slurm("8", "7", "4", "4"), 0, Shard{}, "SLURM_ARRAY_TASK_ID=8 is not among those from 7 in steps of 4"},
		{slurm("6", "7", "1", "4"), 0, Shard{}, "is not among those from 7"},
		{slurm("6", "6", "0", "4"), 0, Shard{}, "in steps of 0"},
		{slurm("6", "6", "1", "x"), 0, Shard{}, `SLURM_ARRAY_TASK_COUNT="x" is not a number`},
		{map[string]string{varSlurmID: "1"}, 0, Shard{}, "SLURM_ARRAY_TASK_MIN is not set"},

		{merged, 2, Shard{}, "JOB_COMPLETION_INDEX and AWS_BATCH_JOB_ARRAY_INDEX are all set"},
	} {
		lookup := func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok }
		got, err := EnvironmentShard(lookup, tt.shards)
		switch {
		case tt.err == "" && (err != nil || got != tt.want):
			t.Errorf("%v of %d: %v, %v", tt.env, tt.shards, got, err)
		case tt.err != "" && (!errors.Is(err, ErrShard) || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("%v of %d: %v, %v", tt.env, tt.shards, got, err)
		}
	}
}

// TestReadShard: the shards of a list have each of its targets once, and a mistake in any of
// them is one of all.
func TestReadShard(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 5, 12, 60} {
		text := "id,images\n"
		for i := range n {
			text += fmt.Sprintf("%d,x\n\n", i)
		}
		for _, of := range []int{1, 2, 12, 100} {
			var all []string
			for index := range of {
				part, err := ReadShard("list", strings.NewReader(text), Shard{index, of})
				if err != nil || len(part) > (n+of-1)/of {
					t.Errorf("shard %d/%d of %d has %d, %v", index, of, n, len(part), err)
				}
				for i, target := range part {
					if want := fmt.Sprint(index + i*of); target.ID != want {
						t.Errorf("%d of shard %d/%d is %s", i, index, of, target.ID)
					}
					all = append(all, target.ID)
				}
			}
			slices.Sort(all)
			if len(all) != n || len(slices.Compact(all)) != n {
				t.Errorf("%d shards of %d have %d", of, n, len(all))
			}
		}
		for index := range 3 {
			_, err := ReadShard("list", strings.NewReader(text+"0,x\n"), Shard{index, 3})
			if want := fmt.Sprintf("list: line %d: the id 0 is in line 2 too", 2*n+2); err == nil || err.Error() != want {
				t.Errorf("%v, want %s", err, want)
			}
		}
	}
}

// TestIDSet: ids are found in any case, however many there are.
func TestIDSet(t *testing.T) {
	t.Parallel()
	s := newIDSet()
	const n = 20_000
	for i := range n {
		if _, _, found := s.add(fmt.Sprintf("Ws-%d", i), i+1); found {
			t.Fatalf("%d is there already", i)
		}
	}
	for i := range n {
		id := fmt.Sprintf("Ws-%d", i)
		for text, want := range map[string]bool{id: true, strings.ToUpper(id): false, strings.ToLower(id): false} {
			if line, same, found := s.add(text, 0); line != i+1 || same != want || !found {
				t.Fatalf("%s: line %d, the same %t, %t", text, line, same, found)
			}
		}
	}
	if len(s.entries) != n {
		t.Errorf("%d ids", len(s.entries))
	}
}
