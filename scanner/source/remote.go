package source

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Options are the options of Open. Files use none of them.
type Options struct {
	// CacheBytes limits the memory for the blocks of a remote source, in bytes:
	// DefaultCacheBytes if 0. A source takes at least 8 blocks.
	CacheBytes int64
	// Parallel is the maximum number of requests of a remote source that are under
	// way; 32 if 0. While the server throttles, there are fewer.
	Parallel int
	// Reserve reserves memory for the blocks before a source is read, and gives it back
	// with a negative number when the source is closed. If it fails, the source tries
	// half as much, down to 8 blocks. It may be nil.
	Reserve func(bytes int64) error
	// Silence is how long a server may send nothing before the request is
	// repeated; 20 seconds if 0.
	Silence time.Duration
	// AWS loads the configuration of the AWS SDK. If it is nil, every source loads
	// its own with the SDK's default chain.
	AWS func(ctx context.Context) (aws.Config, error)
	// Transport sends the requests of a remote source, except those with which the
	// AWS SDK finds credentials. If it is nil, every source has its own, and Close
	// ends its connections.
	Transport http.RoundTripper
	// EBSRate bounds the requests to EBS direct APIs of all sources that share it; nil
	// for no bound.
	EBSRate *Rate

	firstWait time.Duration // before the first repetition; 0 for the default
}

// DefaultCacheBytes is the default of Options.CacheBytes.
const DefaultCacheBytes = 32 << 20

func (o Options) parallel() int {
	if o.Parallel > 0 {
		return o.Parallel
	}
	return defaultParallel
}

func (o Options) cacheBytes(block int64) int64 {
	if o.CacheBytes == 0 {
		return max(DefaultCacheBytes, 8*block)
	}
	return max(o.CacheBytes, 8*block)
}

// Remote is what is known of a source that is read over a network.
type Remote struct {
	*requests
	options  Options
	cache    *Cache
	reserved int64 // bytes of memory, for the cache
	block    int64 // bytes in a block; the last one may be shorter
	bytes    int64
	identity Identity
	clear    bool  // the connection is not encrypted
	price    int64 // of a request for blocks, in billionths of a US dollar
	read     readSet
	touched  touched
	lists    atomic.Int64 // requests for lists of blocks
	gets     atomic.Int64 // requests for blocks
	// possible counts the blocks from first to before end that may hold data, and of
	// these the ones of which that is not known; nil if all hold data.
	possible func(first, end int64) (blocks, unknown int64)
}

// Identity says which bytes a remote source has.
type Identity struct {
	Snapshot   string // "snap-0123456789abcdef0"; "" if it is not a snapshot
	VolumeSize int64  // of the snapshot, in bytes

	Version  string    // the version of an object in a bucket with versions
	ETag     string    // as the server states it, with its quotes
	Modified time.Time // when the object was last modified; zero if unknown

	RequesterPays bool // the bucket charges its readers
}

// Traffic counts what a remote source has sent and received.
type Traffic struct {
	Requests  int64 // that were sent, including repetitions
	Lists     int64 // of the requests, for lists of blocks (EBS)
	Gets      int64 // of the requests, for blocks
	Retries   int64 // repetitions
	Throttled int64 // requests that the server refused because there were too many
	Bytes     int64 // that were received as data
	Blocks    int64 // of the source
	Written   int64 // of these, blocks that hold data, as far as they have been listed
	BlockSize int64 // in bytes
	Fetched   int64 // blocks that were fetched
	Ahead     int64 // of these, ahead of a reader
	Hits      int64 // requests of readers for a block that was cached
	// Price is the price of the requests to EBS direct APIs or S3 by Prices, in
	// billionths of a US dollar. Requests that failed count too, so it is an upper
	// bound. It is 0 for a web server, whose prices are not known.
	Price int64
}

// Prices names the prices of Traffic.Price. The transfer of data is not included; within
// a region it is free.
const Prices = "list price, us-east-1 as of November 2026"

// The prices of a request, in billionths of a US dollar. EBS direct APIs: $0.003 for
// 1,000 blocks of 512 KiB and $0.0006 for 1,000 lists. S3 Standard: $0.0004 for 1,000
// GET requests.
const (
	PriceOfEBSBlock = 3000
	PriceOfEBSList  = 600
	PriceOfS3Get    = 400
)

// USD is a price in US dollars.
func (t Traffic) USD() float64 { return float64(t.Price) / 1e9 }

// Add adds the counters of another source. The BlockSize becomes 0 if the two differ.
func (t *Traffic) Add(u Traffic) {
	if *t == (Traffic{}) {
		*t = u
		return
	}
	t.Requests, t.Lists, t.Gets = t.Requests+u.Requests, t.Lists+u.Lists, t.Gets+u.Gets
	t.Retries, t.Throttled, t.Bytes = t.Retries+u.Retries, t.Throttled+u.Throttled, t.Bytes+u.Bytes
	t.Blocks, t.Written = t.Blocks+u.Blocks, t.Written+u.Written
	t.Fetched, t.Ahead, t.Hits, t.Price = t.Fetched+u.Fetched, t.Ahead+u.Ahead, t.Hits+u.Hits, t.Price+u.Price
	if t.BlockSize != u.BlockSize {
		t.BlockSize = 0
	}
}

// Remote returns what is known of a source that is read over a network; nil for any
// other. A section has the Remote of its source.
func (s *Source) Remote() *Remote { return s.place.remote() }

// Failed returns the error of the first read of a remote source that failed for
// good; nil if there is none. Every later read fails with it. It is always nil for
// other sources.
func (s *Source) Failed() error {
	if r := s.place.remote(); r != nil {
		return r.Failed()
	}
	return nil
}

// Failed returns the error of Source.Failed.
func (r *Remote) Failed() error { return r.failed() }

// Identity says which bytes the source has.
func (r *Remote) Identity() Identity { return r.identity }

// Unencrypted reports whether the bytes pass the network unencrypted.
func (r *Remote) Unencrypted() bool { return r.clear }

// RequestSize is how many bytes one request returns at most.
func (r *Remote) RequestSize() int64 { return r.block * r.cache.most }

// BlockSize is the size of a block in bytes; the last one may be shorter.
func (r *Remote) BlockSize() int64 { return r.block }

// Possible returns how many of the blocks from first to before end may hold data, and how
// many of these have not been listed yet. It sends no request. Blocks that an EBS
// snapshot does not list hold none; of other sources, all do. Blocks outside the source
// do not count.
func (r *Remote) Possible(first, end int64) (blocks, unlisted int64) {
	first, end = max(first, 0), min(end, r.count())
	switch {
	case end <= first:
		return 0, 0
	case r.possible != nil:
		return r.possible(first, end)
	}
	return end - first, 0
}

// count is how many blocks the source has.
func (r *Remote) count() int64 { return (r.bytes + r.block - 1) / r.block }

// Lists returns how many requests list so many blocks: 0 if blocks are not listed.
func (r *Remote) Lists(blocks int64) int64 {
	if r.possible == nil {
		return 0
	}
	return (blocks + listPage - 1) / listPage
}

// Price returns the price of requests for blocks and for lists of them, as Traffic.Price.
func (r *Remote) Price(gets, lists int64) int64 { return gets*r.price + lists*PriceOfEBSList }

// ReadSet returns the blocks that were read so far.
func (r *Remote) ReadSet() ReadSet { return r.read.list(r.bytes, r.block) }

// Traffic returns the counters so far.
func (r *Remote) Traffic() Traffic {
	c := r.cache.Counters()
	t := Traffic{
		Requests: r.sent.Load(), Lists: r.lists.Load(), Gets: r.gets.Load(),
		Retries: r.retried.Load(), Throttled: r.throttled.Load(), Bytes: r.received.Load(),
		Blocks: r.count(), BlockSize: r.block,
		Fetched: c.Fetches, Ahead: c.Ahead, Hits: c.Hits,
	}
	possible, unlisted := r.Possible(0, t.Blocks)
	t.Written = possible - unlisted
	t.Price = r.Price(t.Gets, t.Lists)
	return t
}

// start begins to read through a cache.
func (r *Remote) start(fetch fetchRun, most int64, ahead int) error {
	o := r.options
	bytes := o.cacheBytes(r.block)
	if o.Reserve != nil {
		for {
			err := o.Reserve(bytes)
			if err == nil {
				break
			}
			if bytes == 8*r.block {
				return fmt.Errorf("%s: %w", r.shown, err)
			}
			bytes = max(bytes/2, 8*r.block)
		}
		r.reserved = bytes
	}
	r.cache = newCache(r.ctx, r.bytes, fetch, most, CacheOptions{
		Block: r.block, Bytes: bytes, Ahead: ahead, Parallel: o.parallel(),
	})
	return nil
}

// size, readAt and the others make Remote a place.
func (r *Remote) size() int64             { return r.bytes }
func (r *Remote) holes() *holeFinder      { return nil }
func (r *Remote) modified() time.Time     { return r.identity.Modified }
func (r *Remote) mounts() []WritableMount { return nil }
func (r *Remote) remote() *Remote         { return r }
func (r *Remote) changed(context.Context) error {
	if err := r.failed(); errors.Is(err, ErrChanged) {
		return err
	}
	return nil
}

func (r *Remote) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	if err := r.failed(); err != nil {
		return 0, err
	}
	n, err := r.cache.ReadContext(ctx, p, off)
	if n > 0 {
		r.read.use(off/r.block, (off+int64(n)-1)/r.block)
	}
	return n, err
}

func (r *Remote) beside(_ context.Context, name string) (*Source, error) {
	return nil, fmt.Errorf("%s: %s: it has no folder: %w", r.shown, name, fs.ErrNotExist)
}

func (r *Remote) neighbors(context.Context, int) ([]string, bool, error) { return nil, false, nil }

func (r *Remote) close() error {
	r.requests.close(fs.ErrClosed)
	var err error
	if r.cache != nil {
		err = r.cache.Close()
	}
	if reserved := r.reserved; reserved > 0 {
		r.reserved = 0
		_ = r.options.Reserve(-reserved) // giving memory back does not fail
	}
	r.requests.close(fs.ErrClosed) // connections that became idle meanwhile
	return err
}

// fetched records the blocks of a run. Bytes that differ from those that were fetched
// before end the source.
func (r *Remote) fetched(blocks [][]byte, off int64) error {
	for n, b := range blocks {
		if err := r.fetchedSum(off/r.block+int64(n), sha256.Sum256(b)); err != nil {
			return err
		}
	}
	return nil
}

func (r *Remote) fetchedSum(block int64, sum [sha256.Size]byte) error {
	if !r.read.add(block, sum) {
		return r.fail(differs(
			fmt.Sprintf("the bytes at %d are not the same as before", block*r.block)))
	}
	return nil
}
