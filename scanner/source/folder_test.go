package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/remotetest"
)

func openFolder(t *testing.T, name string, o Options) *Folder {
	t.Helper()
	f, err := OpenFolder(t.Context(), name, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// keysOf returns the keys of a folder.
func keysOf(f *Folder, prefix string) (keys []string, err error) {
	for key, e := range f.List(context.Background(), prefix) {
		if e != nil {
			return keys, e
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// TestFolder: objects are written where there are none, or over others, and listed page by
// page.
func TestFolder(t *testing.T) {
	t.Parallel()
	s := remotetest.S3(t)
	s.Put(t, "other/x", []byte("x"))
	o := awsOptions(&s.Server)
	for _, name := range []string{"s3://images/", "s3://images/a/b", "s3://images/c/"} {
		f := openFolder(t, name, o)
		f.page = 2
		if f.String() != name {
			t.Errorf("%s is %s", name, f)
		}
		ctx := t.Context()
		want := []string{"r/1", "r/2", "r/3", "r/4", "r/5"}
		for n, key := range want {
			content := bytes.Repeat([]byte(key), n*100_000)
			if written, err := f.Put(ctx, key, content, false); !written || err != nil {
				t.Errorf("%s: %s: %t, %v", name, key, written, err)
			}
			if written, err := f.Put(ctx, key, nil, false); written || err != nil {
				t.Errorf("%s: %s again: %t, %v", name, key, written, err)
			}
			for limit, above := range map[int64]bool{int64(len(content)): false, int64(len(content)) - 1: true} {
				got, err := f.Get(ctx, key, limit)
				if above != errors.Is(err, ErrTooLarge) || !above && (err != nil || !bytes.Equal(got, content)) {
					t.Errorf("%s: %s: %d bytes, %v", name, key, len(got), err)
				}
			}
		}
		if written, err := f.Put(ctx, "r/1", []byte("new"), true); !written || err != nil {
			t.Error(err)
		}
		if got, err := f.Get(ctx, "r/1", 10); string(got) != "new" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		if err := f.Probe(ctx, "r/probe"); err != nil {
			t.Error(err)
		}
		if keys, err := keysOf(f, "r/"); !slices.Equal(keys, want) || err != nil {
			t.Errorf("%s: %q, %v", name, keys, err)
		}
		if keys, err := keysOf(f, "nothing/"); len(keys) > 0 || err != nil {
			t.Errorf("%q, %v", keys, err)
		}
		for key, want := range map[string]bool{"r/1": true, "r": false, "r/probe": false} {
			if got, err := f.Exists(ctx, key); got != want || err != nil {
				t.Errorf("%s: %t, %v", key, got, err)
			}
		}
		if _, err := f.Get(ctx, "r/0", 10); !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	if s.Written("r/1") != 2 || s.Written("a/b/r/2") != 1 || s.Written("c/r/2") != 1 {
		t.Error("the objects are elsewhere")
	}
}

// TestFolderNames: a name that is no folder is refused before anything is sent.
func TestFolderNames(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "folder", "s3:/b/x", "s3://", "s3:///x", "ebs:snap-1", "https://u:secret@h/x",
		"s3://b/x?versionId=1"} {
		f, err := OpenFolder(t.Context(), name, quick())
		if !errors.Is(err, fs.ErrInvalid) || CheckFolderName(name) == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v, %v", name, f, err)
		}
	}
}

// calls are all calls of a folder.
var calls = map[string]func(f *Folder) error{
	"s3:PutObject": func(f *Folder) error {
		_, err := f.Put(context.Background(), "k", []byte("text"), false)
		return err
	},
	"s3:HeadObject":    func(f *Folder) error { _, err := f.Exists(context.Background(), "k"); return err },
	"s3:GetObject":     func(f *Folder) error { _, err := f.Get(context.Background(), "k", 10); return err },
	"s3:ListObjectsV2": func(f *Folder) error { _, err := keysOf(f, ""); return err },
}

// TestFolderFaults: what passes soon is repeated; the rest is an error of its class, after
// which the folder still works.
func TestFolderFaults(t *testing.T) {
	t.Parallel()
	for action, call := range calls {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			s := remotetest.S3(t)
			s.Put(t, "k", []byte("text"))
			o := awsOptions(&s.Server)
			f := openFolder(t, "s3://images", o)
			for _, fault := range []remotetest.Fault{remotetest.Throttled, remotetest.Failed, remotetest.Reset} {
				s.FailAction(action, 0, fault, 3)
				if err := call(f); err != nil {
					t.Errorf("%s three times: %v", fault, err)
				}
			}
			for fault, want := range map[remotetest.Fault]error{
				remotetest.Throttled: kind.Passing, remotetest.Failed: kind.Passing, remotetest.Reset: kind.Passing,
				remotetest.Denied: fs.ErrPermission,
			} {
				s.FailAction(action, 0, fault, -1)
				err := call(f)
				passes := want == kind.Passing
				if !errors.Is(err, want) || !errors.Is(err, kind.IO) || errors.Is(err, kind.Passing) != passes ||
					!strings.HasPrefix(err.Error(), "s3://images") {
					t.Errorf("%s: %v", fault, err)
				}
				quiet(t, err)
				s.Heal()
				if err := call(f); err != nil {
					t.Errorf("after %s: %v", fault, err)
				}
			}
			if action != "s3:HeadObject" { // whose errors have no code
				s.FailAction(action, 0, remotetest.ExpiredCredentials, -1)
				if err := call(f); !errors.Is(err, kind.Passing) || !strings.Contains(err.Error(), "expired") {
					t.Errorf("expired credentials: %v", err)
				}
			}
			s.Heal()
			if action == "s3:HeadObject" {
				return // a missing bucket and a missing object are the same
			}
			missing := openFolder(t, "s3://nobucket/x", o)
			if err := call(missing); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, kind.Passing) {
				t.Errorf("no bucket: %v", err)
			}
		})
	}
}

// TestFolderProbe: a probe finds out that access is denied or the bucket does not exist,
// and works on a server that ignores conditions.
func TestFolderProbe(t *testing.T) {
	t.Parallel()
	s := remotetest.S3(t)
	f := openFolder(t, "s3://images/x", awsOptions(&s.Server))
	s.FailAction("s3:PutObject", 0, remotetest.Denied, 1)
	err := f.Probe(t.Context(), "probe")
	var hinted interface{ Hint() string }
	if !errors.Is(err, fs.ErrPermission) || !errors.As(err, &hinted) || !strings.Contains(hinted.Hint(), "s3:PutObject") {
		t.Errorf("%v", err)
	}
	nowhere := openFolder(t, "s3://nobucket", awsOptions(&s.Server))
	if err := nowhere.Probe(t.Context(), "p"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	s.FailAction("s3:PutObject", 0, remotetest.Throttled, -1)
	if err := f.Probe(t.Context(), "probe"); !errors.Is(err, kind.Passing) {
		t.Error(err)
	}
	s.Heal()
	if err := f.Probe(t.Context(), "probe"); err != nil || s.Written("x/probe") > 0 {
		t.Errorf("%v, written %d times", err, s.Written("x/probe"))
	}
	s.IgnoreConditions = true
	for range 2 {
		if err := f.Probe(t.Context(), "probe"); err != nil {
			t.Error(err)
		}
	}
}

// TestFolderAnswers: answers that the test server does not give.
func TestFolderAnswers(t *testing.T) {
	t.Parallel()
	put := calls["s3:PutObject"]
	for name, tt := range map[string]struct {
		status int
		code   string
		call   func(f *Folder) error
		sent   int
		text   string
		is     error
		passes bool
	}{
		"a conflict":         {409, "ConditionalRequestConflict", put, maxAttempts, "another process writes", kind.IO, true},
		"no conditions":      {501, "NotImplemented", put, 1, "cannot write an object only if there is none", kind.IO, false},
		"another region":     {301, "PermanentRedirect", put, 1, "another region", kind.IO, false},
		"wrong keys":         {403, "SignatureDoesNotMatch", put, 1, "not valid", fs.ErrPermission, false},
		"a key that is gone": {400, "KMS.DisabledException", put, 1, "KMS key", kind.IO, false},
		"something else":     {418, "ShortAndStout", put, 1, "ShortAndStout", kind.IO, false},
	} {
		sent := 0
		f := openFolder(t, "s3://bucket/x", through(answers(func(*http.Request) (int, map[string]string, string) {
			sent++
			return tt.status, nil, "<Error><Code>" + tt.code + "</Code><Message>" + remotetest.SessionToken +
				"</Message></Error>"
		})))
		err := tt.call(f)
		if !errors.Is(err, tt.is) || errors.Is(err, kind.Passing) != tt.passes || sent != tt.sent ||
			!strings.Contains(fmt.Sprint(err), tt.text) {
			t.Errorf("%s: %v after %d requests", name, err, sent)
		}
		quiet(t, err)
	}
	for name, body := range map[string]string{
		"no token": "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
		"the same token": "<ListBucketResult><IsTruncated>true</IsTruncated>" +
			"<NextContinuationToken>t</NextContinuationToken></ListBucketResult>",
	} {
		f := openFolder(t, "s3://bucket/x", through(answers(func(*http.Request) (int, map[string]string, string) {
			return 200, nil, body
		})))
		if keys, err := keysOf(f, ""); len(keys) > 0 || !errors.Is(err, kind.IO) {
			t.Errorf("%s: %q, %v", name, keys, err)
		}
	}
}

// TestFolderRegion: requests that are sent at the same time go on in the region of the
// bucket.
func TestFolderRegion(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	hosts := map[string]int{}
	o := through(answers(func(r *http.Request) (int, map[string]string, string) {
		mu.Lock()
		defer mu.Unlock()
		hosts[r.URL.Host]++
		if r.URL.Host != "bucket.s3.ap-south-1.amazonaws.com" {
			return 301, map[string]string{"X-Amz-Bucket-Region": "ap-south-1"}, "<Error><Code>PermanentRedirect</Code></Error>"
		}
		return 206, map[string]string{"Content-Range": "bytes 0-3/4", "ETag": `"e"`}, "text"
	}))
	load := o.AWS
	o.AWS = func(ctx context.Context) (cfg aws.Config, err error) {
		cfg, err = load(ctx)
		cfg.BaseEndpoint = nil
		return cfg, err
	}
	f := openFolder(t, "s3://bucket/x", o)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if written, err := f.Put(t.Context(), "k", nil, false); !written || err != nil {
				t.Errorf("%t, %v", written, err)
			}
		})
	}
	all.Wait()
	before := hosts["bucket.s3."+remotetest.Region+".amazonaws.com"]
	if text, err := f.Get(t.Context(), "k", 10); string(text) != "text" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if now := hosts["bucket.s3."+remotetest.Region+".amazonaws.com"]; now != before || before > 8 {
		t.Errorf("%v", hosts)
	}
}

// TestFolderEnds: calls end with their context, and when the folder is closed.
func TestFolderEnds(t *testing.T) {
	t.Parallel()
	s := remotetest.S3(t)
	f := openFolder(t, "s3://images", awsOptions(&s.Server))
	s.Fail(remotetest.Silent, -1)
	why := errors.New("over")
	ctx, end := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() {
		_, err := f.Exists(ctx, "k")
		ended <- err
	}()
	for s.UnderWay() == 0 {
		time.Sleep(time.Millisecond)
	}
	end(why)
	if err := <-ended; !errors.Is(err, why) {
		t.Error(err)
	}
	f.Close()
	for action, call := range calls {
		if err := call(f); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("%s: %v", action, err)
		}
	}
}

// TestReadAll: a document is read from wherever it is, up to a bound.
func TestReadAll(t *testing.T) {
	t.Parallel()
	s, content := remotetest.S3(t), random(600_000)
	s.Put(t, "d", content)
	s.Put(t, "e", nil)
	dir := t.TempDir()
	file := writeSparse(t, dir, content)
	for name, want := range map[string][]byte{"s3://images/d": content, file: content, "s3://images/e": {}} {
		for limit, fits := range map[int]bool{len(want): true, len(want) + 1: true, len(want) - 1: false} {
			got, err := ReadAll(t.Context(), name, int64(limit), awsOptions(&s.Server))
			if fits != (err == nil) || fits && !bytes.Equal(got, want) || !fits && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%s: %d bytes of %d: %v", name, len(got), limit, err)
			}
		}
	}
	for name, want := range map[string]error{
		dir: ErrNotImage, dir + "/x": fs.ErrNotExist, "s3://images/x": fs.ErrNotExist,
	} {
		if _, err := ReadAll(t.Context(), name, 10, awsOptions(&s.Server)); !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRate: requests of all sources that share a rate are spread over time.
func TestRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, began := NewRate(100), time.Now()
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if err := r.wait(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if d := time.Since(began); d != 490*time.Millisecond || r.Sent() != 50 {
			t.Errorf("%d requests in %v", r.Sent(), d)
		}
		time.Sleep(time.Minute) // saves no turns
		began = time.Now()
		for range 3 {
			if err := r.wait(t.Context()); err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(began); d != 20*time.Millisecond {
			t.Errorf("three requests in %v", d)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := r.wait(ctx); !errors.Is(err, context.Canceled) || r.Sent() != 53 {
			t.Errorf("%v, %d sent", err, r.Sent())
		}
		began = time.Now()
		for _, free := range []*Rate{NewRate(0), NewRate(-1), nil} {
			for range 1000 {
				if err := free.wait(t.Context()); err != nil {
					t.Error(err)
				}
			}
			free.throttle()
		}
		if time.Since(began) > 0 {
			t.Error("no bound waits")
		}
	})
}

// TestEBSRate: every request to EBS counts, also repetitions and those that are throttled.
func TestEBSRate(t *testing.T) {
	t.Parallel()
	s, content := remotetest.EBS(t), random(3<<20)
	s.Add("snap-1", bytes.NewReader(content), int64(len(content)))
	o := awsOptions(&s.Server)
	o.EBSRate = NewRate(100_000)
	s.FailAction("ebs:GetSnapshotBlock", 0, remotetest.Throttled, 3)
	served{content: content}.expect(t, mustOpen(t, "ebs:snap-1", o), 0, len(content))
	if o.EBSRate.Throttled() != 3 || o.EBSRate.Sent() != int64(s.Requests()) {
		t.Errorf("%d of %d throttled, %d requests", o.EBSRate.Throttled(), o.EBSRate.Sent(), s.Requests())
	}
}

// TestShared: sources that share options find the credentials once, and use the same
// connections.
func TestShared(t *testing.T) {
	t.Parallel()
	s, content := remotetest.S3(t), random(300_000)
	s.Put(t, "d", content)
	o, loads := awsOptions(&s.Server), 0
	failing := true
	o.AWS = func(ctx context.Context) (aws.Config, error) {
		loads++
		if failing {
			return aws.Config{}, errors.New("not yet")
		}
		return s.AWS(ctx)
	}
	shared, end := o.Shared(4)
	if _, err := ReadAll(t.Context(), "s3://images/d", 1<<20, shared); err == nil {
		t.Error("the source is open without a configuration")
	}
	failing = false
	for range 5 {
		if got, err := ReadAll(t.Context(), "s3://images/d", 1<<20, shared); err != nil || !bytes.Equal(got, content) {
			t.Error(err)
		}
	}
	if loads != 2 {
		t.Errorf("the configuration was loaded %d times", loads)
	}
	if n := s.Connections(); n < 1 || n > 2 {
		t.Errorf("%d connections", n)
	}
	end()
	for s.Connections() > 0 {
		time.Sleep(time.Millisecond)
	}
}
