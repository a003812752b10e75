package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"runtime"
	"slices"

	"github.com/coldcheck/coldcheck/internal/parallel"
)

// Entry is what a store has under an id: a record, or a Problem.
type Entry[R any] struct {
	ID string // of the file
	// Record is the record without its Report; nil if there is a Problem.
	Record *Record
	Report *R // nil if the record has an Error or there is a Problem
	// Problem is why there is no record that counts. It is an ErrRecord.
	Problem error
}

const (
	// readAhead is how many records are read at a time. A request to S3 takes some 20
	// ms, so that 10,000 of them take some seconds.
	readAhead = 32
	// largeRecord is the size in bytes from which records are decoded one by one.
	largeRecord = 8 << 20
)

// Read yields the records of a store in the order of their ids, each with its report
// decoded into an R. It reads several at a time and keeps only those. A record that is
// damaged, of another version, or of another target is an Entry with a Problem. A record
// that is removed meanwhile is left out. An error, as Store has them, ends the records.
func Read[R any](ctx context.Context, s Store) iter.Seq2[Entry[R], error] {
	return func(yield func(Entry[R], error) bool) {
		ids, err := sortedIDs(ctx, s)
		if err != nil {
			yield(Entry[R]{}, err)
			return
		}
		r := reader[R]{store: s, decoding: make(chan struct{}, runtime.GOMAXPROCS(0)), large: make(chan struct{}, 1)}
		ctx, stop := context.WithCancel(ctx)
		queue := make(chan chan read[R], readAhead)
		var group parallel.Group
		group.Go(func() {
			defer close(queue)
			for _, id := range ids {
				one := make(chan read[R], 1)
				select {
				case queue <- one:
				case <-ctx.Done():
					return
				}
				group.Go(func() {
					defer close(one)
					e, err := r.read(ctx, id)
					one <- read[R]{e, err}
				})
			}
		})
		defer group.Wait()
		defer stop()
		for one := range queue {
			e, ok := <-one
			switch {
			case !ok: // Wait panics
				return
			case errors.Is(e.err, fs.ErrNotExist):
			case !yield(e.entry, e.err), e.err != nil:
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(Entry[R]{}, err)
		}
	}
}

// sortedIDs lists the records of a store.
func sortedIDs(ctx context.Context, s Store) ([]string, error) {
	var ids []string
	for id, err := range s.IDs(ctx) {
		if err != nil {
			return nil, err
		}
		if len(ids) == MaxTargets {
			return nil, fmt.Errorf("%s: there are more than %d records", s, MaxTargets)
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids, nil
}

type read[R any] struct {
	entry Entry[R]
	err   error
}

type reader[R any] struct {
	store           Store
	decoding, large chan struct{} // tokens of those that decode
}

// read reads a record. The error is that of Get.
func (r *reader[R]) read(ctx context.Context, id string) (Entry[R], error) {
	data, err := r.store.Get(ctx, id)
	switch {
	case errors.Is(err, ErrRecord):
		return Entry[R]{ID: id, Problem: err}, nil
	case err != nil:
		return Entry[R]{ID: id}, err
	}
	if len(data) > largeRecord {
		r.large <- struct{}{}
		defer func() { <-r.large }()
	}
	r.decoding <- struct{}{}
	defer func() { <-r.decoding }()
	record, report, err := decodeWith[R](data)
	if err == nil && record.Target.ID != id {
		err = fmt.Errorf("%w: it is the record of %s", ErrRecord, record.Target.ID)
	}
	if err != nil {
		return Entry[R]{ID: id, Problem: err}, nil
	}
	return Entry[R]{ID: id, Record: record, Report: report}, nil
}

// decodeWith is DecodeRecord with a report of a type. It reads the bytes once.
func decodeWith[R any](data []byte) (*Record, *R, error) {
	var both struct {
		Record
		Report *R `json:"report"` // hides that of Record
	}
	err := json.Unmarshal(data, &both)
	if err == nil {
		record := both.Record
		if both.Report != nil {
			record.Report = json.RawMessage("{}") // what check looks for
		}
		err = record.check()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return &both.Record, both.Report, nil
}
