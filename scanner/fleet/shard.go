package fleet

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Shard is a part of a list: the targets whose number, from 0, modulo Of is Index.
type Shard struct{ Index, Of int }

// ErrShard is the error for a shard that there is not.
var ErrShard = errors.New("not a shard")

// ParseShard reads I/N, of which I counts from 0. The error is an ErrShard.
func ParseShard(text string) (Shard, error) {
	index, of, ok := strings.Cut(text, "/")
	i, errI := number(index)
	n, errN := number(of)
	if !ok || errI != nil || errN != nil {
		return Shard{}, fmt.Errorf("%w: %.40q is not I/N", ErrShard, text)
	}
	return newShard(i, n, text)
}

func newShard(i, n int, text string) (Shard, error) {
	switch {
	case n < 1:
		return Shard{}, fmt.Errorf("%w: %s: there is at least one shard", ErrShard, text)
	case i < 0 || i >= n:
		return Shard{}, fmt.Errorf("%w: %s: the shards of %d are 0 to %d", ErrShard, text, n, n-1)
	}
	return Shard{i, n}, nil
}

// number reads a decimal number without a sign.
func number(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err
}

// The variables of array jobs.
const (
	varKubernetes = "JOB_COMPLETION_INDEX"
	varBatchIndex = "AWS_BATCH_JOB_ARRAY_INDEX"
	varBatchSize  = "AWS_BATCH_JOB_ARRAY_SIZE"
	varSlurmID    = "SLURM_ARRAY_TASK_ID"
	varSlurmMin   = "SLURM_ARRAY_TASK_MIN"
	varSlurmStep  = "SLURM_ARRAY_TASK_STEP"
	varSlurmCount = "SLURM_ARRAY_TASK_COUNT"
)

// EnvironmentShard returns the shard of the array job that runs the program. env is
// os.LookupEnv. shards is the number of shards of a Kubernetes Job, which no variable
// has; 0 if it is not known. Without an array job it is all of the list. It is an error if
// shards is known without JOB_COMPLETION_INDEX, or contradicts another engine.
//
// The variables are JOB_COMPLETION_INDEX of Kubernetes; AWS_BATCH_JOB_ARRAY_INDEX and
// AWS_BATCH_JOB_ARRAY_SIZE of AWS Batch; SLURM_ARRAY_TASK_ID, _MIN, _STEP and _COUNT of
// Slurm. The error is an ErrShard.
func EnvironmentShard(env func(string) (string, bool), shards int) (Shard, error) {
	e := &environment{get: env}
	var found []string
	shard := Shard{0, 1}
	add := func(engine string, s func() (i, n int, text string)) {
		found = append(found, engine)
		i, n, text := s()
		if e.err == nil {
			shard, e.err = newShard(i, n, text)
		}
	}
	if e.has(varKubernetes) {
		add(varKubernetes, func() (int, int, string) {
			if shards == 0 && e.err == nil {
				e.err = fmt.Errorf("%w: %s is set, and the number of shards is not known", ErrShard, varKubernetes)
			}
			i := e.number(varKubernetes)
			return i, shards, fmt.Sprintf("%s=%d of %d", varKubernetes, i, shards)
		})
	}
	if e.has(varBatchIndex) {
		add(varBatchIndex, func() (int, int, string) {
			i, n := e.number(varBatchIndex), e.number(varBatchSize)
			return i, n, fmt.Sprintf("%s=%d of %d", varBatchIndex, i, n)
		})
	}
	if e.has(varSlurmID) {
		add(varSlurmID, func() (int, int, string) {
			id, least, step, n := e.number(varSlurmID), e.number(varSlurmMin), e.number(varSlurmStep), e.number(varSlurmCount)
			if e.err == nil && (step < 1 || id < least || (id-least)%step != 0) {
				e.err = fmt.Errorf("%w: %s=%d is not among those from %d in steps of %d", ErrShard, varSlurmID, id, least, step)
				return 0, 1, ""
			}
			return (id - least) / max(step, 1), n, fmt.Sprintf("%s=%d of %d", varSlurmID, id, n)
		})
	}
	switch {
	case len(found) > 1:
		return Shard{}, fmt.Errorf("%w: %s are all set", ErrShard, strings.Join(found, " and "))
	case e.err != nil:
		return Shard{}, e.err
	case shards > 0 && len(found) == 0:
		return Shard{}, fmt.Errorf("%w: there are %d, and %s is not set", ErrShard, shards, varKubernetes)
	case shards > 0 && shards != shard.Of:
		return Shard{}, fmt.Errorf("%w: there are %d, and the array job of %s has %d", ErrShard, shards, found[0], shard.Of)
	}
	return shard, nil
}

// environment reads numbers of variables, and keeps the first error.
type environment struct {
	get func(string) (string, bool)
	err error
}

// has reports whether a variable is set. An empty one is as none.
func (e *environment) has(name string) bool {
	text, ok := e.get(name)
	return ok && text != ""
}

func (e *environment) number(name string) int {
	text, ok := e.get(name)
	n, err := number(text)
	if err != nil && e.err == nil {
		e.err = fmt.Errorf("%w: %s=%.40q is not a number", ErrShard, name, text)
		if !ok {
			e.err = fmt.Errorf("%w: %s is not set", ErrShard, name)
		}
	}
	return n
}

func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.Index, s.Of) }
