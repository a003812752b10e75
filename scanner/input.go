package scanner

import (
	"log/slog"
	"slices"
	"time"

	"github.com/coldcheck/coldcheck/internal/memory"
	"github.com/coldcheck/coldcheck/scanner/crosscheck"
	"github.com/coldcheck/coldcheck/scanner/rules/custom"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Input is the input of a scan: images, documents and options.
type Input struct {
	Images []Source // in any order; their content decides which one is which
	// Parents are the images that may be opened as parents of differencing images, in
	// any order. Each must be needed by an image. The path in an image is never
	// followed.
	Parents []Source
	Root    *Source // the image that must have the system; nil to find it
	User    *Source // the image that must have the profiles; nil to find it

	// RuleBooks are the names of the rule books by which the system is judged, the
	// one of Result.RuleBook first; none for rules.Default. See package rules.
	RuleBooks []string

	// Rules are the user's own rules, which are judged in addition to each rule book. nil
	// for none.
	Rules *custom.Set

	With     []Document // documents from outside the disk
	UserName string     // the user whose profile is checked; "" to find out
	Policy   Policy
	// Hash hashes each image, its parts and its parents with SHA-256, and also the
	// disk in a container. Hashes that an image states are compared. A file that is read
	// over a network is not hashed, nor is a disk in it: RemoteFile.ReadSet identifies the
	// blocks that were read.
	Hash bool
	// Sizes counts the files in the folders that linux.contents.removed lists, with
	// their sizes. This reads all inodes and folders of the Linux volumes.
	Sizes bool
	// StaleBase says that an image that is the base disk of another one is meant as
	// it is. Otherwise the verdict is at most Inconclusive.
	StaleBase bool

	// Expect are hashes that images must have. A mismatch ends the scan with
	// ErrIO and without a Result.
	Expect []ExpectedSum

	// Only and Skip are ids of requirements. If Only is not empty, only its
	// requirements are checked. Requirements in Skip are not checked.
	// Requirements that are not checked are in Result.NotChecked.
	Only, Skip []string

	// ParallelReads is the maximum number of concurrent reads of the images, at most
	// MaxParallelReads. If it is 0, it is RemoteParallelReads if an image is remote,
	// and otherwise DefaultParallelReads.
	ParallelReads int

	// Remote is how images are reached that are read over a network, if they are named by
	// File. With MaxMemory, its CacheBytes and Reserve are not used.
	Remote source.Options

	// MaxMemory limits the memory of the scan, in bytes, at least LeastMemory.
	// With 0, only the readers' own limits apply. Reading more than fits is an
	// ErrMemory, and the findings that need the data are undetermined. While
	// several such scans run, the process may use the sum of their limits,
	// which includes memory that other code uses. The runtime's memory limit is
	// lowered while such scans run, and restored after the last one.
	MaxMemory int64

	// CrossCheck starts a child process with NewWorker for the same images and
	// parents; nil for no cross-check.
	CrossCheck crosscheck.Start

	// Window is how long before a failure Explain lists changes; 0 for DefaultWindow. Scan does not use it.
	Window time.Duration

	// Now is the clock. It sets the start and end of the scan, the time of each
	// event, and the day for which certificates, updates and waivers are
	// checked. nil is time.Now.
	Now func() time.Time

	// Log receives each event and each notice when it occurs, from several
	// goroutines: events at the level Debug with their names as messages,
	// notices at Info, Warn and Error. Strings from the images are not escaped.
	// nil disables the log; the Result has events and notices in any case.
	Log slog.Handler

	// Progress is called for each step, and repeatedly during a long step, from
	// one goroutine at a time. It must return quickly. It may be nil.
	Progress func(Progress)
	progress *progress // passes on to Progress
}

// LeastMemory is the smallest Input.MaxMemory, in bytes.
const LeastMemory = memory.Least

// ErrMemory is the error for data that does not fit into Input.MaxMemory.
var ErrMemory = memory.ErrLimit

// sources returns all images, in the order in which a scan opens them.
func (in *Input) sources() []Source {
	all := slices.Clone(in.Images)
	for _, forced := range []*Source{in.Root, in.User} {
		if forced != nil {
			all = append(all, *forced)
		}
	}
	return all
}

// check returns an ErrUsage for what no scan can follow.
func (in *Input) check() error {
	list, err := in.ruleBooks()
	if err != nil {
		return err
	}
	if err := in.Policy.check(list); err != nil {
		return err
	}
	if err := checkIDs(list, slices.Concat(in.Only, in.Skip)); err != nil {
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

// parallelReads is how many reads may be under way.
func (in *Input) parallelReads() int {
	if in.ParallelReads == 0 && slices.ContainsFunc(slices.Concat(in.sources(), in.Parents), Source.remote) {
		return RemoteParallelReads
	}
	return in.ParallelReads
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
