package scanner

import (
	"log/slog"
	"slices"
	"time"

	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
)

// Input says what to scan.
type Input struct {
	Images []Source // in any order: which is which is found from their content
	Root   *Source  // the image that has to hold the system; nil to find it
	User   *Source  // the image that has to hold the profiles; nil to find it

	With     []Document // documents from outside the disk
	UserName string     // whose profile is meant; "" to find out
	Policy   Policy
	Hash     bool // the images are summed with SHA-256

	// Expect are sums that images must have: one that has another ends the scan with
	// ErrIO and without a Result.
	Expect []ExpectedSum

	// Only and Skip are ids of requirements. Those that Only does not name, if it
	// names any, and those that Skip names are not judged: they are in
	// Result.NotChecked.
	Only, Skip []string

	// ParallelReads is how many reads of the images may be under way at a time:
	// DefaultParallelReads if 0, at most MaxParallelReads.
	ParallelReads int

	// MaxMemory is how much memory the scan may take, in bytes, at least
	// LeastMemory; 0 leaves the readers to their own limits. What does not fit is
	// an error that is ErrMemory, and undetermined what rests on it. The process
	// may take what the limits of all scans that run allow together; what it takes
	// for anything else counts too. The runtime's memory limit is lowered while
	// such scans run, and restored after the last of them.
	MaxMemory int64

	// CrossCheck starts a child process with a crosscheck.Worker for the same
	// images, in the order Images, Root, User; nil for no second reading.
	CrossCheck crosscheck.Start

	// Now is the clock: when the scan began and ended, when each event was, and the
	// day on which certificates, updates and waivers are judged. nil is time.Now.
	Now func() time.Time

	// Log gets each event and each notice when it comes, from several goroutines:
	// events at the level Debug with their names as messages, notices at Info, Warn
	// and Error. Texts of the images are in them as they are. nil is none; the
	// Result has events and notices in any case.
	Log slog.Handler

	// Progress is called for each step, and again and again during a step that takes long, from one goroutine at a
	// time. It must return soon. It may be nil.
	Progress func(Progress)
	progress *progress // passes on to Progress
}

// LeastMemory is the smallest Input.MaxMemory, in bytes.
const LeastMemory = memory.Least

// ErrMemory says that something does not fit into Input.MaxMemory.
var ErrMemory = memory.ErrLimit

// check returns an ErrUsage for what no scan can follow.
func (in *Input) check() error {
	if err := in.Policy.check(); err != nil {
		return err
	}
	if err := checkIDs(slices.Concat(in.Only, in.Skip)); err != nil {
		return err
	}
	if err := in.CheckExpected(); err != nil {
		return err
	}
	if n := in.ParallelReads; n < 0 || n > MaxParallelReads {
		return fail(ErrUsage, "", "%d parallel reads: the number must be from 1 to %d", n, MaxParallelReads)
	}
	if in.MaxMemory != 0 && in.MaxMemory < LeastMemory {
		return fail(ErrUsage, "", "a scan needs at least %d bytes of memory", int64(LeastMemory))
	}
	return nil
}

// budget returns the memory that the scan may take, nil without a limit.
func (in *Input) budget() *memory.Budget {
	if in.MaxMemory == 0 {
		return nil
	}
	return memory.New(in.MaxMemory)
}

// Document is the content of a document from outside the disk.
type Document struct {
	Name string
	Data []byte
}
