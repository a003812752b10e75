package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/remotetest"
)

const block = remotetest.EBSBlock

// scattered is a volume whose written blocks have their number as content.
type scattered struct {
	size    int64
	written func(block int64) bool
}

func (s scattered) ReadAt(p []byte, off int64) (int, error) {
	for i := range p {
		p[i] = s.at(off + int64(i))
	}
	return len(p), nil
}

func (s scattered) at(off int64) byte {
	if !s.written(off / block) {
		return 0
	}
	return byte(off/block) | 1
}

// TestEBSLists: whatever pages the service sends, blocks that it lists are read and all
// others are zeros and holes, and what is known is not listed again.
func TestEBSLists(t *testing.T) {
	t.Parallel()
	const gib = 20 // 40,960 blocks
	many := func(n int64) bool { return n%3 != 2 || n > 30_000 }
	few := func(n int64) bool { return n == 5 || n == 30_000 }
	for name, tt := range map[string]struct {
		written func(int64) bool
		limit   int
		empty   bool
		most    int // lists
	}{
		"many":           {many, 0, false, 9},
		"few":            {few, 0, false, 1},
		"none":           {func(int64) bool { return false }, 0, false, 1},
		"all":            {func(int64) bool { return true }, 0, false, 9},
		"empty pages":    {many, 0, true, 18},
		"pages of a few": {many, 1500, false, 60},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := remotetest.EBS(t)
			server.PageLimit, server.EmptyPages = tt.limit, tt.empty
			volume := scattered{gib << 30, tt.written}
			server.AddSparse("snap-1", volume, volume.size, tt.written)
			s := mustOpen(t, "ebs:snap-1", awsOptions(&server.Server))
			if s.Size() != volume.size || s.Remote().Identity() != (Identity{Snapshot: "snap-1", VolumeSize: volume.size}) {
				t.Errorf("%d bytes, %+v", s.Size(), s.Remote().Identity())
			}
			var all sync.WaitGroup
			for _, n := range []int64{40_959, 30_000, 0, 5, 29_999, 12_000, 20_000, 39_000, 2} {
				all.Go(func() {
					p := make([]byte, 100)
					off := n*block + block/2
					if _, err := s.ReadAt(p, off); err != nil || !bytes.Equal(p, bytes.Repeat([]byte{volume.at(off)}, 100)) {
						t.Errorf("block %d: %d, %v, want %d", n, p[0], err, volume.at(off))
					}
				})
			}
			all.Wait()
			// The extents are those of the volume, but for where the list was cut.
			written := int64(0)
			for at := int64(0); at < s.Size(); {
				start, end := s.Data(at)
				for n := at / block; n < start/block; n++ {
					if tt.written(n) {
						t.Fatalf("block %d is a hole", n)
					}
				}
				for n := start / block; n < end/block; n++ {
					if !tt.written(n) {
						t.Fatalf("block %d is data", n)
					}
					written++
				}
				at = end
			}
			traffic := s.Remote().Traffic()
			if traffic.Written != written || traffic.Blocks != gib<<11 {
				t.Errorf("%d of %d blocks, want %d", traffic.Written, traffic.Blocks, written)
			}
			if traffic.Lists > int64(tt.most) || server.Actions()["ebs:ListSnapshotBlocks"] != int(traffic.Lists) {
				t.Errorf("%d lists, want at most %d; the server counts %v", traffic.Lists, tt.most, server.Actions())
			}
			if want := traffic.Gets*3000 + traffic.Lists*600; traffic.Price != want || traffic.USD() != float64(want)/1e9 {
				t.Errorf("the price is %d, %v; want %d", traffic.Price, traffic.USD(), want)
			}
		})
	}
}

// TestEBSTokens: tokens that have expired are renewed once for all blocks of their page.
func TestEBSTokens(t *testing.T) {
	t.Parallel()
	server := remotetest.EBS(t)
	content := random(16 << 20)
	server.Add("snap-1", bytes.NewReader(content), 16<<20)
	s := mustOpen(t, "ebs:snap-1", awsOptions(&server.Server))
	for range 3 {
		server.ExpireTokens()
		before := server.Actions()["ebs:ListSnapshotBlocks"]
		s.Remote().cache.drop()
		p := make([]byte, len(content))
		if _, err := s.ReadAt(p, 0); err != nil || !bytes.Equal(p, content) {
			t.Fatal(err)
		}
		if lists := server.Actions()["ebs:ListSnapshotBlocks"] - before; lists != 1 {
			t.Errorf("%d lists", lists)
		}
	}
}

// drop forgets the blocks that nobody uses.
func (c *Cache) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n, b := range c.blocks {
		if b.idle != nil {
			b.shelve(nil)
			delete(c.blocks, n)
			c.buffers = append(c.buffers, b.data[:cap(b.data)])
		}
	}
}

// TestEBSTokensAreBounded: tokens beyond the bound are dropped and listed again.
func TestEBSTokensAreBounded(t *testing.T) {
	t.Parallel()
	var b blockList
	lists := 0
	const blocks = maxTokens + 5*listPage
	b.list = func(from int64) (*listing, error) {
		lists++
		l := &listing{blockSize: block, volume: blocks * block, first: from}
		for n := from; n < min(from+listPage, blocks); n++ {
			l.add(n, fmt.Sprint("token", n))
		}
		l.last = l.end() == blocks
		return l, nil
	}
	b.contradiction = func(n int64) error { return fmt.Errorf("a contradiction at %d", n) }
	first, _ := b.list(0)
	b.begin(first)
	for n := int64(0); n < blocks; n += listPage / 2 {
		if written, _, err := b.extent(t.Context(), n, n); err != nil || !written {
			t.Fatal(n, err)
		}
	}
	kept := 0
	for _, p := range b.pages {
		kept += len(p.numbers)
	}
	if kept > maxTokens || kept < maxTokens-listPage {
		t.Errorf("%d tokens are kept", kept)
	}
	before := lists
	for _, n := range []int64{0, 17, blocks - 1} {
		if token, err := b.token(t.Context(), n); err != nil || token != fmt.Sprint("token", n) {
			t.Errorf("block %d: %q, %v", n, token, err)
		}
	}
	if possible, unknown := b.possible(0, blocks); lists != before+1 || possible != blocks || unknown != 0 {
		t.Errorf("%d lists more, %d blocks, %d unknown", lists-before, possible, unknown)
	}
}

// TestEBSListClosed: a list that is closed knows what it knew, and requests no page, also for a
// read that has begun before.
func TestEBSListClosed(t *testing.T) {
	t.Parallel()
	const blocks = 4 * listPage
	page := func(from int64) *listing { return &listing{blockSize: block, volume: blocks * block, first: from} }
	first := page(0)
	first.add(listPage-1, "token")
	var lists atomic.Int64
	b := blockList{list: func(int64) (*listing, error) { lists.Add(1); return nil, errors.New("requested") }}
	b.begin(first)
	var all sync.WaitGroup
	for n := range int64(3) {
		all.Go(func() {
			if _, _, err := b.extent(t.Context(), (n+1)*listPage, blocks-1); err == nil {
				t.Error("a block that is not listed is known")
			}
		})
	}
	b.close()
	before := lists.Load()
	all.Wait()
	if _, _, err := b.extent(t.Context(), 2*listPage, blocks-1); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a block that is not listed: %v", err)
	}
	if _, err := b.token(t.Context(), 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("a token that is not listed: %v", err)
	}
	if written, _, err := b.extent(t.Context(), listPage-1, blocks-1); err != nil || !written {
		t.Errorf("a block that is listed: %t, %v", written, err)
	}
	if lists.Load() != before {
		t.Errorf("%d lists after it was closed", lists.Load()-before)
	}
}

// TestEBSRefusals: what EBS direct APIs do not read is refused by name, with what to do.
func TestEBSRefusals(t *testing.T) {
	t.Parallel()
	server := remotetest.EBS(t)
	for name, tt := range map[string]refusalTest{
		"pending": {remotetest.Refusal{Status: 400, Code: "ValidationException", Reason: "INVALID_SNAPSHOT_ID",
			Message: "The snapshot is in the pending state"}, "is pending", "wait snapshot-completed", kind.IO},
		"public": {remotetest.Refusal{Status: 400, Code: "ValidationException", Reason: "INVALID_SNAPSHOT_ID",
			Message: "Public snapshots are not supported"}, "is public", "copy the snapshot", kind.IO},
		"archived": {remotetest.Refusal{Status: 400, Code: "ValidationException", Reason: "INVALID_SNAPSHOT_ID",
			Message: "The snapshot is archived"}, "is archived", "restore-snapshot-tier", kind.IO},
		"key": {remotetest.Refusal{Status: 403, Code: "AccessDeniedException", Reason: "DEPENDENCY_ACCESS_DENIED",
			Message: "the key is pending deletion"}, "KMS key", "kms:Decrypt", fs.ErrPermission},
		"customer key": {remotetest.Refusal{Status: 400, Code: "ValidationException", Reason: "INVALID_CUSTOMER_KEY"},
			"KMS key", "kms:Decrypt", fs.ErrPermission},
		"no key": {remotetest.Refusal{Status: 404, Code: "ResourceNotFoundException",
			Reason: "DEPENDENCY_RESOURCE_NOT_FOUND"}, "KMS key", "copy the snapshot", kind.IO},
		"another account": {remotetest.Refusal{Status: 403, Code: "AccessDeniedException", Reason: "UNAUTHORIZED_ACCOUNT"},
			"access is denied", "ebs:ListSnapshotBlocks", fs.ErrPermission},
		"no such": {remotetest.Refusal{Status: 404, Code: "ResourceNotFoundException", Reason: "SNAPSHOT_NOT_FOUND"},
			"no such snapshot", remotetest.Region, fs.ErrNotExist},
		"signature": {remotetest.Refusal{Status: 403, Code: "InvalidSignatureException", Message: "the pending signature"},
			"credentials are not valid", "check the credentials", fs.ErrPermission},
		"clock": {remotetest.Refusal{Status: 403, Code: "RequestTimeTooSkewed"}, "clock", "set the clock", kind.IO},
		"unknown": {remotetest.Refusal{Status: 418, Code: "a code with " + remotetest.SecretKey}, "HTTP status 418", "",
			kind.IO},
	} {
		id := "snap-" + strings.ReplaceAll(name, " ", "")
		server.Refuse(id, tt.refusal)
		_, err := Open(t.Context(), "ebs:"+id, awsOptions(&server.Server))
		tt.check(t, name, err)
	}
	for _, name := range []string{"ebs:", "ebs:vol-1", "ebs:snap-", "ebs:snap-1/x", "ebs:snap-1?x"} {
		if _, err := Open(t.Context(), name, awsOptions(&server.Server)); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// answers is a transport that answers with what a function returns.
type answers func(r *http.Request) (status int, header map[string]string, body string)

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	status, header, body := a(r)
	h := http.Header{}
	for name, value := range header {
		h.Set(name, value)
	}
	return &http.Response{StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h,
		ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// through are options whose requests a transport answers.
func through(transport http.RoundTripper) Options {
	o := awsOptions(&remotetest.Server{URL: "http://127.0.0.1:1"})
	o.Transport = transport
	return o
}

// TestEBSHostileLists: a list that contradicts itself is an error, and neither a hole nor
// without end.
func TestEBSHostileLists(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"no sizes":         `{"Blocks":[]}`,
		"a small block":    `{"BlockSize":1,"VolumeSize":1,"Blocks":[]}`,
		"a large block":    `{"BlockSize":16777216,"VolumeSize":1,"Blocks":[]}`,
		"an odd block":     `{"BlockSize":500000,"VolumeSize":1,"Blocks":[]}`,
		"no volume":        `{"BlockSize":524288,"VolumeSize":0,"Blocks":[]}`,
		"a huge volume":    `{"BlockSize":524288,"VolumeSize":65537,"Blocks":[]}`,
		"many blocks":      `{"BlockSize":4096,"VolumeSize":513,"Blocks":[]}`,
		"a volume below 0": `{"BlockSize":524288,"VolumeSize":-1,"Blocks":[]}`,
		"beyond the end":   `{"BlockSize":524288,"VolumeSize":1,"Blocks":[{"BlockIndex":2048,"BlockToken":"t"}]}`,
		"below 0":          `{"BlockSize":524288,"VolumeSize":1,"Blocks":[{"BlockIndex":-1,"BlockToken":"t"}]}`,
		"no number":        `{"BlockSize":524288,"VolumeSize":1,"Blocks":[{"BlockToken":"t"}]}`,
		"no token":         `{"BlockSize":524288,"VolumeSize":1,"Blocks":[{"BlockIndex":1}]}`,
		"the same block twice": `{"BlockSize":524288,"VolumeSize":1,"Blocks":[{"BlockIndex":1,"BlockToken":"t"},
			{"BlockIndex":1,"BlockToken":"t"}]}`,
		"in another order": `{"BlockSize":524288,"VolumeSize":1,"Blocks":[{"BlockIndex":2,"BlockToken":"t"},
			{"BlockIndex":1,"BlockToken":"t"}]}`,
		"no end of empty pages": `{"BlockSize":524288,"VolumeSize":1,"Blocks":[],"NextToken":"again"}`,
		"no JSON":               `<html>`,
	} {
		o := through(answers(func(*http.Request) (int, map[string]string, string) { return 200, nil, body }))
		s, err := Open(t.Context(), "ebs:snap-1", o)
		if err == nil {
			s.Close()
		}
		if !errors.Is(err, kind.IO) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, body := range map[string]string{
		"the largest volume": `{"BlockSize":524288,"VolumeSize":65536,"Blocks":[{"BlockIndex":134217727,"BlockToken":"t"}]}`,
		"the last block":     `{"BlockSize":524288,"VolumeSize":1,"Blocks":[{"BlockIndex":2047,"BlockToken":"t"}]}`,
		"the smallest block": `{"BlockSize":4096,"VolumeSize":1,"Blocks":[]}`,
		"the most blocks":    `{"BlockSize":4096,"VolumeSize":512,"Blocks":[]}`,
		"the largest block":  `{"BlockSize":8388608,"VolumeSize":1,"Blocks":[]}`,
	} {
		o := through(answers(func(*http.Request) (int, map[string]string, string) { return 200, nil, body }))
		s, err := Open(t.Context(), "ebs:snap-1", o)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		s.Close()
	}
}

// TestEBSListChanges: a list that says something else later ends the source.
func TestEBSListChanges(t *testing.T) {
	t.Parallel()
	page := func(first, gib int) string {
		return fmt.Sprintf(`{"BlockSize":524288,"VolumeSize":%d,"NextToken":"more",
			"Blocks":[{"BlockIndex":%d,"BlockToken":"t"}]}`, gib, first)
	}
	for name, then := range map[string]string{
		"another size":    page(3000, 8),
		"no longer there": `{"BlockSize":524288,"VolumeSize":9,"Blocks":[{"BlockIndex":0,"BlockToken":"t"}]}`,
	} {
		lists := 0
		o := through(answers(func(r *http.Request) (int, map[string]string, string) {
			if strings.HasSuffix(r.URL.Path, "/blocks") {
				if lists++; lists == 1 {
					return 200, nil, page(7, 9)
				}
				return 200, nil, then
			}
			return 400, map[string]string{"X-Amzn-Errortype": "ValidationException"}, `{"Reason":"INVALID_BLOCK_TOKEN"}`
		}))
		s := mustOpen(t, "ebs:snap-1", o)
		_, err := s.ReadAt(make([]byte, 10), 7*block)
		if !errors.Is(err, ErrChanged) || s.Failed() != err {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.ReadAt(make([]byte, 10), 0); !errors.Is(err, ErrChanged) {
			t.Errorf("%s: a hole: %v", name, err)
		}
	}
}

// TestEBSAnswers: a block is only what its checksum says it is.
func TestEBSAnswers(t *testing.T) {
	t.Parallel()
	body := strings.Repeat("\x00", 4096)
	sum := sha256.Sum256([]byte(body))
	good := map[string]string{"X-Amz-Data-Length": "4096", "X-Amz-Checksum-Algorithm": "SHA256",
		"X-Amz-Checksum": base64.StdEncoding.EncodeToString(sum[:])}
	for name, tt := range map[string]struct {
		change  map[string]string
		body    string
		passing bool
		ok      bool
	}{
		"good":             {nil, body, false, true},
		"no checksum":      {map[string]string{"X-Amz-Checksum": ""}, body, true, false},
		"another checksum": {map[string]string{"X-Amz-Checksum": good["X-Amz-Checksum"][1:]}, body, true, false},
		"no algorithm":     {map[string]string{"X-Amz-Checksum-Algorithm": ""}, body, false, false},
		"MD5":              {map[string]string{"X-Amz-Checksum-Algorithm": "MD5"}, body, false, false},
		"another length":   {map[string]string{"X-Amz-Data-Length": "4095"}, body, true, false},
		"short":            {nil, body[1:], true, false},
		"long":             {nil, body + "\x00", true, false},
		"other bytes":      {nil, "\x01" + body[1:], true, false},
	} {
		o := through(answers(func(r *http.Request) (int, map[string]string, string) {
			if strings.HasSuffix(r.URL.Path, "/blocks") {
				return 200, nil, `{"BlockSize":4096,"VolumeSize":1,"Blocks":[{"BlockIndex":3,"BlockToken":"t"}]}`
			}
			header := maps.Clone(good)
			maps.Copy(header, tt.change)
			return 200, header, tt.body
		}))
		s := mustOpen(t, "ebs:snap-1", o)
		p := []byte("not zero")
		_, err := s.ReadAt(p, 3*4096)
		if (err == nil) != tt.ok || errors.Is(err, kind.Passing) != tt.passing || tt.ok && !bytes.Equal(p, make([]byte, 8)) {
			t.Errorf("%s: %q, %v", name, p, err)
		}
	}
}

// TestAWSConfiguration: the default chain of the SDK is used, and what it lacks is named.
func TestAWSConfiguration(t *testing.T) {
	server := remotetest.EBS(t)
	server.Add("snap-1", bytes.NewReader(random(1<<20)), 1<<20)
	for variable, value := range server.Environ("EBS") {
		t.Setenv(variable, value)
	}
	for name, tt := range map[string]struct {
		env  map[string]string
		text string
	}{
		"complete":       {nil, ""},
		"no region":      {map[string]string{"AWS_REGION": "", "AWS_DEFAULT_REGION": ""}, "region"},
		"no credentials": {map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "no AWS credentials"},
		"no profile":     {map[string]string{"AWS_PROFILE": "missing"}, "missing"},
	} {
		t.Run(name, func(t *testing.T) {
			for variable, value := range tt.env {
				t.Setenv(variable, value)
			}
			s, err := Open(t.Context(), "ebs:snap-1", quick())
			if err == nil {
				defer s.Close()
				if !s.Remote().Unencrypted() {
					t.Error("http counts as encrypted")
				}
			}
			if (err == nil) != (tt.text == "") ||
				err != nil && (!strings.Contains(err.Error(), tt.text) || !errors.Is(err, kind.IO)) {
				t.Error(err)
			}
			quiet(t, err)
		})
	}
}

// TestAWSCancel: who looks for credentials can be interrupted.
func TestAWSCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	o := quick()
	o.AWS = func(ctx context.Context) (aws.Config, error) {
		time.AfterFunc(10*time.Millisecond, func() { cancel(stop) })
		<-ctx.Done()
		return aws.Config{}, ctx.Err()
	}
	for _, name := range []string{"ebs:snap-1", "s3://bucket/key"} {
		if _, err := Open(ctx, name, o); !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestReadSet: the blocks that were read make the set, in whatever order and from
// whatever cache, and those that were only fetched ahead do not.
func TestReadSet(t *testing.T) {
	each(t, func(t *testing.T, s served) {
		set := func(o Options, reads ...int64) ReadSet {
			source := mustOpen(t, s.name, o)
			for _, off := range reads {
				s.expect(t, source, off, 1000)
			}
			return source.Remote().ReadSet()
		}
		step := int64(512 << 10)
		first := set(s.options, 0, step, 2*step, 3*step)
		second := set(s.options, 3*step, 2*step, step, 0, 0, step)
		small := s.options
		small.CacheBytes = 1
		third := set(small, 0, step, 2*step, 3*step, 4*step+100, 4*step)
		if len(first.Blocks) != 4 || first.Digest() != second.Digest() || len(first.Digest()) != 64 {
			t.Errorf("%+v and %+v", first, second)
		}
		if len(third.Blocks) != 5 || third.Digest() == first.Digest() || !slices.Equal(third.Blocks[:4], first.Blocks) {
			t.Errorf("%+v", third)
		}
		for _, b := range third.Blocks {
			off := b.Number * third.Block
			if b.SHA256 != sha256.Sum256(s.content[off:min(off+third.Block, int64(len(s.content)))]) {
				t.Errorf("block %d has another sum", b.Number)
			}
		}
	})
}

// TestReadSetBound: one block more than the bound makes the set incomplete.
func TestReadSetBound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		blocks   int64
		complete bool
	}{{2, true}, {3, true}, {4, false}} {
		s := readSet{bound: 3}
		for n := range tt.blocks {
			s.add(n, sha256.Sum256([]byte{byte(n)}))
			s.use(n, n)
		}
		if set := s.list(100, 10); set.Complete != tt.complete || (set.Digest() != "") != tt.complete ||
			len(set.Blocks) != int(min(tt.blocks, 3)) {
			t.Errorf("%d blocks: %+v", tt.blocks, set)
		}
	}
	// Blocks that were only fetched ahead do not count, until they are no longer known.
	ahead := readSet{bound: 3}
	for n := range int64(7) {
		ahead.add(n, sha256.Sum256(nil))
	}
	ahead.use(3, 5)
	if set := ahead.list(100, 10); !set.Complete || len(set.Blocks) != 3 {
		t.Errorf("with blocks that were fetched ahead: %+v", set)
	}
	ahead.use(6, 6)
	if set := ahead.list(100, 10); set.Complete {
		t.Errorf("with a block that is not known: %+v", set)
	}
	s := readSet{}
	for n, sum := range [][32]byte{sha256.Sum256(nil), sha256.Sum256(nil), sha256.Sum256([]byte("x"))} {
		if same := s.add(1, sum); same != (n < 2) {
			t.Errorf("the content is the same as before: %t, time %d", same, n)
		}
	}
	empty := ReadSet{Size: 512, Block: 256, Complete: true}
	want := sha256.Sum256([]byte("coldcheck read set 1, 512 bytes, blocks of 256 bytes\n"))
	if got := empty.Digest(); got != fmt.Sprintf("%x", want) {
		t.Error(got)
	}
}

// TestPossible: blocks that are not listed do not count, those of unknown pages do, and
// counting requests nothing.
func TestPossible(t *testing.T) {
	t.Parallel()
	server := remotetest.EBS(t)
	server.PageLimit = 100
	written := func(n int64) bool { return n%3 == 0 || n >= 128 && n < 192 }
	server.AddSparse("snap-1", scattered{1 << 30, written}, 1<<30, written)
	r := mustOpen(t, "ebs:snap-1", awsOptions(&server.Server)).Remote()
	// The first page ends with the hundredth block that holds data.
	end, found := int64(0), 0
	for ; found < 100; end++ {
		if written(end) {
			found++
		}
	}
	count := func(first, last int64) (blocks, unlisted int64) {
		for n := max(first, 0); n < min(last, 2048); n++ {
			if n >= end {
				unlisted++
			}
			if written(n) || n >= end {
				blocks++
			}
		}
		return blocks, unlisted
	}
	for _, s := range [][2]int64{{0, 2048}, {1, 3}, {1, 4}, {120, 200}, {end - 1, end}, {end, end + 7}, {2040, 3000},
		{-5, 2}, {9, 9}, {9, 3}, {3000, 4000}} {
		blocks, unlisted := r.Possible(s[0], s[1])
		if b, u := count(s[0], s[1]); b != blocks || u != unlisted {
			t.Errorf("%v: %d and %d, want %d and %d", s, blocks, unlisted, b, u)
		}
	}
	if server.Requests() != 1 || r.BlockSize() != block || r.Lists(0) != 0 || r.Lists(10_001) != 2 ||
		r.Price(2, 3) != 2*PriceOfEBSBlock+3*PriceOfEBSList {
		t.Errorf("%d requests", server.Requests())
	}
}
