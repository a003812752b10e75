package crosscheck

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"

	"github.com/coldcheck/coldcheck/scanner/disk"
)

// Worker answers questions in a separate process.
type Worker struct {
	// Images opens the images of the scan, in its order. Each is opened on its
	// first use, with all disks in it.
	Images []func(context.Context) ([]*disk.Image, error)
	Memory int64 // limit in bytes; 0 for DefaultMemory

	volumes map[place]*opened
}

// DefaultMemory is twice the size of the largest supported hive.
const DefaultMemory = 512 << 20

// maxStack ends a recursion without end while it is small. What the parsers
// need is far below.
const maxStack = 64 << 20

// Serve reads questions from in and writes answers to out until in ends. It
// limits the memory and the stack of the process, and exits at once if a limit
// is exceeded, or if in ends during an answer because the parent is gone.
// Output of the parsers goes to standard error. The context applies to the
// images.
func (w *Worker) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	limit := w.Memory
	if limit == 0 {
		limit = DefaultMemory
	}
	os.Stdout = os.Stderr
	debug.SetMaxStack(maxStack)
	limitMemory(limit)

	var busy atomic.Bool
	lines := make(chan []byte)
	go func() {
		defer close(lines)
		s := bufio.NewScanner(in)
		s.Buffer(nil, maxQuestion+1)
		for s.Scan() {
			line := []byte(s.Text())
			busy.Store(true)
			lines <- line
		}
		if busy.Load() {
			os.Exit(exitAlone)
		}
	}()
	answers := json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for line := range lines {
		r := w.reply(ctx, line)
		busy.Store(false)
		if err := answers.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// Exit codes of a worker that gives up; nothing depends on them.
const (
	exitAlone  = 5
	exitMemory = 6
)

func (w *Worker) reply(ctx context.Context, line []byte) reply {
	var q request
	if err := json.Unmarshal(line, &q); err != nil {
		return reply{Error: "an invalid question: " + err.Error()}
	}
	reading, err := w.read(ctx, q.Question)
	if err != nil {
		return reply{ID: q.ID, Error: shorten(err.Error())}
	}
	return reply{ID: q.ID, Reading: &reading}
}

// reader reads a volume with one of the parsers.
type reader interface {
	read(q Question) (Reading, error)
}

// place is a volume of a disk of an image.
type place struct{ image, disk, volume int }

// opened is a volume that was opened, or why it was not.
type opened struct {
	reader reader
	err    error
}

// read answers a question. A panic of a parser is its failure.
func (w *Worker) read(ctx context.Context, q Question) (r Reading, err error) {
	name := q.reader()
	if name == "" {
		return Reading{}, errNoReader
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", name, err)
		}
	}()
	p := place{q.Image, q.Disk, q.Volume}
	v := w.volumes[p]
	if v == nil {
		v = &opened{}
		v.reader, v.err = w.open(ctx, q)
		if w.volumes == nil {
			w.volumes = map[place]*opened{}
		}
		w.volumes[p] = v
	}
	if v.err != nil {
		return Reading{}, v.err
	}
	return v.reader.read(q)
}

func (w *Worker) open(ctx context.Context, q Question) (reader, error) {
	if q.Image < 0 || q.Image >= len(w.Images) {
		return nil, fmt.Errorf("no image %d", q.Image)
	}
	disks, err := w.Images[q.Image](ctx)
	if err != nil {
		return nil, err
	}
	if q.Disk < 0 || q.Disk >= len(disks) {
		return nil, fmt.Errorf("no disk %d in image %d", q.Disk, q.Image)
	}
	image := disks[q.Disk]
	disk.AssembleLVM(image)
	for _, v := range image.Volumes() {
		if v.Number != q.Volume {
			continue
		}
		if v.Err != nil {
			return nil, v.Err
		}
		r := io.NewSectionReader(v, 0, v.Size)
		if q.Filesystem == disk.NTFS {
			return openNTFS(r)
		}
		return openExt(r)
	}
	return nil, fmt.Errorf("no volume %d", q.Volume)
}

// watchInterval is how often the memory is looked at: the fastest that was
// seen took half a MiB in a millisecond.
const watchInterval = 5 * time.Millisecond

// limitMemory makes the process end when it has more than limit bytes of
// memory. Go's own limit only makes it collect garbage more often; the limit
// of the address space, where the system has one, meets a single large
// allocation before it is looked at.
func limitMemory(limit int64) {
	debug.SetMemoryLimit(limit / 8 * 7)
	limitAddressSpace(limit)
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	go func() {
		for {
			metrics.Read(samples)
			if held := int64(samples[0].Value.Uint64() - samples[1].Value.Uint64()); held > limit {
				fmt.Fprintf(os.Stderr, "coldcheck: more than %d MiB of memory\n", limit>>20)
				os.Exit(exitMemory)
			}
			time.Sleep(watchInterval)
		}
	}()
}
