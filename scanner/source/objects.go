package source

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync/atomic"
)

// Objects are read in blocks of objectBlock bytes, up to objectRun of them in a
// request, up to objectAhead ahead of a reader.
const (
	objectBlock = 256 << 10
	objectRun   = 16
	objectAhead = 32
)

const hintRanges = "download the image, and scan the copy"

// ranged is a Remote that is read in ranges of bytes: an object in S3, or behind a URL.
type ranged struct {
	Remote
	head atomic.Pointer[[]byte] // the first block as the source was opened, until it is fetched
}

// response is a range that a server sends.
type response struct {
	body         io.ReadCloser
	contentRange string // the header
	changed      *fault // if its version is not the one that was opened
}

// requester requests n bytes at off.
type requester func(a *attempt, off, n int64) (response, *fault)

// begin opens the object. first requests the first block, and shortens it to what there is.
func (r *ranged) begin(first func(a *attempt, p *[]byte) *fault, request requester) error {
	head := make([]byte, objectBlock)
	if err := r.do(r.ctx, objectBlock, func(a *attempt) *fault { return first(a, &head) }); err != nil {
		return err
	}
	r.head.Store(&head)
	fetch := func(ctx context.Context, blocks [][]byte, off int64) error { return r.fetch(ctx, blocks, off, request) }
	return r.start(fetch, objectRun, objectAhead)
}

// fetch reads consecutive blocks with one request.
func (r *ranged) fetch(ctx context.Context, blocks [][]byte, off int64, request requester) error {
	if left, at := r.take(blocks, off); len(left) > 0 {
		n := length(left)
		err := r.do(ctx, n, func(a *attempt) *fault {
			resp, f := request(a, at, n)
			if f != nil {
				return f
			}
			defer resp.body.Close()
			if resp.changed != nil {
				return resp.changed
			}
			_, size, f := contentRange(resp.contentRange, at, n)
			switch {
			case f != nil:
				return f
			case size != r.bytes:
				return differs(fmt.Sprintf("it has %d bytes and had %d", size, r.bytes))
			}
			return a.read(resp.body, left)
		})
		if err != nil {
			return err
		}
	}
	return r.fetched(blocks, off)
}

// take fills the beginning of a run from the head, and returns the blocks that are left.
func (r *ranged) take(blocks [][]byte, off int64) (left [][]byte, next int64) {
	if off != 0 {
		return blocks, off
	}
	head := r.head.Swap(nil)
	if head == nil || len(*head) != len(blocks[0]) {
		return blocks, off
	}
	copy(blocks[0], *head)
	return blocks[1:], int64(len(*head))
}

func length(blocks [][]byte) (n int64) {
	for _, b := range blocks {
		n += int64(len(b))
	}
	return n
}

var rangeOf = regexp.MustCompile(`^bytes (\d{1,18})-(\d{1,18})/(\d{1,18})$`)

// contentRange reads where the bytes of a response end, and how many bytes there are.
// They must be those that were asked for: n bytes at off, or as many as there are.
func contentRange(text string, off, n int64) (end, size int64, f *fault) {
	m := rangeOf.FindStringSubmatch(text)
	if m == nil {
		return 0, 0, refuses("the server does not say which range it sends of how many bytes", hintRanges)
	}
	start, _ := strconv.ParseInt(m[1], 10, 64)
	end, _ = strconv.ParseInt(m[2], 10, 64)
	size, _ = strconv.ParseInt(m[3], 10, 64)
	end++
	if start != off || end != min(off+n, size) || end <= start {
		return 0, 0, passes(fmt.Sprintf("the server sends bytes %d to %d of %d instead of %d bytes at %d",
			start, end-1, size, n, off))
	}
	return end, size, nil
}
