package scanner

import (
	"context"
	"slices"
	"sync"
	"time"
)

// Progress is the current step of a scan and how much of it is done.
type Progress struct {
	Step        string
	Unit        Unit  // the unit of Done and Total
	Done, Total int64 // Total is 0 if it is unknown
	Read        int64 // bytes read from the images so far
}

// Unit is the unit of Progress.Done and Progress.Total.
type Unit string

// Units of Progress.
const (
	UnitRequirements Unit = "requirements"
	UnitEvidence     Unit = "pieces of evidence"
	UnitRecords      Unit = "file records"
	UnitBytes        Unit = "bytes"
)

// progressInterval is how often a step that takes long is reported again.
const progressInterval = 500 * time.Millisecond

// progress passes on what the stages of a scan report, one at a time, and repeats the last step with the number of
// bytes that were read since: a step that takes long must not look as if it hangs. Nil reports nothing.
type progress struct {
	mu      sync.Mutex
	report  func(Progress)
	last    Progress
	images  []*Image
	indexed map[any][2]int64 // records done, and all, of each volume
}

// newProgress returns a progress that ends with the function that it returns; it reports nothing afterwards.
func newProgress(report func(Progress), ticks func(context.Context) <-chan time.Time) (*progress, func()) {
	if report == nil {
		return nil, func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	p, ended := &progress{report: report, indexed: map[any][2]int64{}}, make(chan struct{})
	go func() {
		defer close(ended)
		tick := ticks(ctx)
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick:
				p.repeat()
			}
		}
	}()
	return p, func() { cancel(); <-ended }
}

// everyInterval ticks until the context ends.
func everyInterval(ctx context.Context) <-chan time.Time {
	t := time.NewTicker(progressInterval)
	context.AfterFunc(ctx, t.Stop)
	return t.C
}

// count lets the bytes that are read from the images be reported.
func (p *progress) count(images []*Image) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.images = slices.Clone(images)
}

func (p *progress) show(now Progress) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.send(now)
}

// send reports a step. The lock is held.
func (p *progress) send(now Progress) {
	now.Read, _ = counters(p.images)
	p.report(now)
	now.Read = 0
	p.last = now
}

func (p *progress) repeat() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last.Step != "" {
		p.send(p.last)
	}
}

// volume returns the progress function of a volume; nil without progress.
// Volumes are indexed at the same time, so their numbers are added up.
func (p *progress) volume(key any) func(done, total int64) {
	if p == nil {
		return nil
	}
	return func(done, total int64) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if done < p.indexed[key][0] {
			return // another reader of the volume has reported more
		}
		p.indexed[key] = [2]int64{done, total}
		now := Progress{Step: "indexing files", Unit: UnitRecords}
		for _, n := range p.indexed {
			now.Done += n[0]
			now.Total += n[1]
		}
		p.send(now)
	}
}
