package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net/http"
	"net/http/httptest"
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

// TestObjectRequests: neighbors are fetched with one request, and the first block with
// the one that opens the object.
func TestObjectRequests(t *testing.T) {
	each(t, func(t *testing.T, s served) {
		if s.change == nil {
			return // every block of a snapshot is a request
		}
		source := s.open(t)
		for _, tt := range []struct {
			off      int64
			n        int
			requests int // since the source was opened
		}{
			{0, 100, 1}, {objectBlock - 1, 1, 1}, // that was fetched already
			{objectBlock + 5, 4 * objectBlock, 2}, // five blocks
			{objectBlock, 5 * objectBlock, 2},     // cached
			{4 * objectBlock, 4 * objectBlock, 3}, // two cached, two not
		} {
			s.expect(t, source, tt.off, tt.n)
			// What is read ahead comes on top.
			if got := s.Requests(); got < tt.requests || got > tt.requests+1 {
				t.Errorf("%d bytes at %d: %d requests, want %d", tt.n, tt.off, got, tt.requests)
			}
		}
		traffic := source.Remote().Traffic()
		price := int64(0) // of a web server
		if s.action == "s3:GetObject" {
			price = 400 * traffic.Gets
		}
		if traffic.Price != price || traffic.Requests != int64(s.Requests()) || traffic.Gets != traffic.Requests ||
			traffic.Blocks != 12 || traffic.Written != 12 || traffic.BlockSize != objectBlock ||
			traffic.Bytes < 8*objectBlock || traffic.Hits == 0 {
			t.Errorf("%+v", traffic)
		}
		whole := s.open(t)
		s.expect(t, whole, 0, len(s.content))
		if got := whole.Remote().Traffic(); got.Requests > 3 || got.Bytes != int64(len(s.content)) {
			t.Errorf("the whole object: %+v", got)
		}
	})
}

// TestS3Versions: a version is read as it was, and the identity of the latest names its version.
func TestS3Versions(t *testing.T) {
	t.Parallel()
	s := remotetest.S3(t)
	first, second := random(300_000), random(400_000)
	version := s.Put(t, "disk.img", first)
	latest := s.Put(t, "disk.img", second)
	for name, want := range map[string]struct {
		content []byte
		version string
	}{
		"s3://images/disk.img":                      {second, latest},
		"s3://images/disk.img?versionId=" + version: {first, version},
		"s3://images/disk.img?versionId=" + latest:  {second, latest},
		"S3://images/disk.img?versionId=" + latest:  {second, latest},
	} {
		source := mustOpen(t, name, awsOptions(&s.Server))
		served{content: want.content}.expect(t, source, 0, len(want.content))
		id := source.Remote().Identity()
		if id.Version != want.version || id.ETag == "" || source.Name() != name || id.Modified != source.Modified() {
			t.Errorf("%s: %+v", name, id)
		}
	}
	if _, err := Open(t.Context(), "s3://images/disk.img?versionId=missing", awsOptions(&s.Server)); !errors.Is(err,
		fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestS3Refusals: what cannot be read is refused by name, with what to do.
func TestS3Refusals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]refusalTest{
		"glacier": {remotetest.Refusal{Status: 403, Code: "InvalidObjectState",
			Message: "The operation is not valid for the object's storage class"}, "Glacier", "restore-object", kind.IO},
		"SSE-C": {remotetest.Refusal{Status: 400, Code: "InvalidRequest", Message: "The object was stored using a form of " +
			"Server Side Encryption. The correct parameters must be provided to retrieve the object."},
			"SSE-C", "copy it", kind.IO},
		"a disabled key": {remotetest.Refusal{Status: 400, Code: "KMS.DisabledException"}, "KMS key", "kms:Decrypt", kind.IO},
		"no bucket": {remotetest.Refusal{Status: 404, Code: "NoSuchBucket"},
			"bucket does not exist", "", fs.ErrNotExist},
		"another region": {remotetest.Refusal{Status: 301, Code: "PermanentRedirect"},
			"another region", "AWS_REGION", kind.IO},
		"wrong key": {remotetest.Refusal{Status: 403, Code: "SignatureDoesNotMatch"}, "credentials are not valid", "check",
			fs.ErrPermission},
		"a bad request": {remotetest.Refusal{Status: 400, Code: "Bad code " + remotetest.SecretKey}, "HTTP status 400", "",
			kind.IO},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := remotetest.S3(t)
			s.Put(t, "disk.img", random(1000))
			s.Refusal = tt.refusal
			_, err := Open(t.Context(), "s3://images/disk.img", awsOptions(&s.Server))
			tt.check(t, name, err)
		})
	}
	for _, name := range []string{"s3://", "s3://bucket", "s3://bucket/", "s3:///key", "s3://?versionId=1"} {
		if _, err := Open(t.Context(), name, quick()); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestS3RequesterPays: a bucket whose requesters pay is read, and its identity says so.
func TestS3RequesterPays(t *testing.T) {
	t.Parallel()
	s := remotetest.S3(t)
	s.RequesterPays = true
	content := random(1 << 20)
	s.Put(t, "disk.img", content)
	source := mustOpen(t, "s3://images/disk.img", awsOptions(&s.Server))
	served{content: content}.expect(t, source, 0, len(content))
	if !source.Remote().Identity().RequesterPays {
		t.Error("the identity does not say that the requester pays")
	}
}

// TestS3Region: a bucket in another region is read there, unless the user names an
// endpoint.
func TestS3Region(t *testing.T) {
	t.Parallel()
	var regions []string
	o := through(answers(func(r *http.Request) (int, map[string]string, string) {
		region := strings.Split(strings.Split(r.Header.Get("Authorization"), "Credential=")[1], "/")[2]
		regions = append(regions, region+" "+r.URL.Host)
		if region != "ap-south-1" {
			return 301, map[string]string{"X-Amz-Bucket-Region": "ap-south-1"}, "<Error><Code>PermanentRedirect</Code></Error>"
		}
		return 206, map[string]string{"Content-Range": "bytes 0-4/5", "ETag": `"e"`}, "image"
	}))
	_, err := Open(t.Context(), "s3://bucket/disk.img", o)
	if err == nil || !strings.Contains(err.Error(), "another region") || errors.Is(err, kind.Passing) {
		t.Errorf("with an endpoint: %v", err)
	}
	if want := []string{remotetest.Region + " 127.0.0.1:1"}; !slices.Equal(regions, want) {
		t.Errorf("with an endpoint: %v, want %v", regions, want)
	}

	regions = nil
	load := o.AWS
	o.AWS = func(ctx context.Context) (cfg aws.Config, err error) {
		cfg, err = load(ctx)
		cfg.BaseEndpoint = nil
		return cfg, err
	}
	s := mustOpen(t, "s3://bucket/disk.img", o)
	if s.Size() != 5 || s.Remote().Unencrypted() {
		t.Errorf("%d bytes, unencrypted %t", s.Size(), s.Remote().Unencrypted())
	}
	want := []string{remotetest.Region + " bucket.s3." + remotetest.Region + ".amazonaws.com",
		"ap-south-1 bucket.s3.ap-south-1.amazonaws.com"}
	if !slices.Equal(regions, want) {
		t.Errorf("%v, want %v", regions, want)
	}
}

// TestEmpty: an object without bytes has the size 0.
func TestEmpty(t *testing.T) {
	t.Parallel()
	web, store := remotetest.HTTP(t), remotetest.S3(t)
	web.Put("empty", nil)
	store.Put(t, "empty", nil)
	o := awsOptions(&store.Server)
	for _, name := range []string{web.URL + "/empty", "s3://images/empty"} {
		s, err := Open(t.Context(), name, o)
		if err != nil {
			t.Error(name, err)
			continue
		}
		if s.Size() != 0 {
			t.Errorf("%s: %d bytes", name, s.Size())
		}
		s.Close()
	}
}

// TestHTTPValidators: a change is noticed by a strong ETag or by Last-Modified, and a
// server without them is refused.
func TestHTTPValidators(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		noETag, weak, noModified bool
		ok                       bool
	}{
		"both":             {false, false, false, true},
		"ETag":             {false, false, true, true},
		"Last-Modified":    {true, false, false, true},
		"a weak ETag":      {false, true, false, true},
		"only a weak ETag": {false, true, true, false},
		"none":             {true, false, true, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := remotetest.HTTP(t)
			s.NoETag, s.WeakETag, s.NoModified = tt.noETag, tt.weak, tt.noModified
			content := random(2 << 20)
			s.Put("disk.img", content)
			source, err := Open(t.Context(), s.URL+"/disk.img", quick())
			if (err == nil) != tt.ok {
				t.Fatal(err)
			}
			if err != nil {
				if !errors.Is(err, kind.IO) || errors.Is(err, kind.Passing) {
					t.Error(err)
				}
				return
			}
			defer source.Close()
			served{content: content}.expect(t, source, 0, len(content)/2)
			// The same size and the same bytes: only the validators say that it is another.
			other := bytes.Clone(content)
			other[len(other)-1]++
			s.Put("disk.img", other)
			if _, err := source.ReadAt(make([]byte, 10), int64(len(content)-20)); !errors.Is(err, ErrChanged) {
				t.Errorf("after a change: %v", err)
			}
		})
	}
}

// TestHTTPIgnoredConditions: a server that ignores conditions is caught by the validators
// of its responses, and one that sends wrong validators by the bytes.
func TestHTTPIgnoredConditions(t *testing.T) {
	t.Parallel()
	content := random(2 << 20)
	var etag atomic.Value
	etag.Store(`"a"`)
	var body atomic.Pointer[[]byte]
	body.Store(&content)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var off, end int
		fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &off, &end)
		end = min(end+1, len(content))
		w.Header().Set("ETag", etag.Load().(string))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, end-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		w.Write((*body.Load())[off:end])
	}))
	defer server.Close()
	s := mustOpen(t, server.URL+"/disk.img", quick())
	etag.Store(`"b"`)
	if _, err := s.ReadAt(make([]byte, 10), 1<<20); !errors.Is(err, ErrChanged) {
		t.Errorf("another ETag: %v", err)
	}
	etag.Store(`"a"`)
	s = mustOpen(t, server.URL+"/disk.img", quick())
	served{content: content}.expect(t, s, 0, len(content))
	s.Remote().cache.drop()
	other := random(2<<20 + 1)
	body.Store(&other)
	if _, err := s.ReadAt(make([]byte, 10), 1<<20); !errors.Is(err, ErrChanged) {
		t.Errorf("other bytes: %v", err)
	}
}

// TestHTTPAnswers: only the bytes that were asked for are taken.
func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	good := map[string]string{"Content-Range": "bytes 0-4/5", "ETag": `"e"`}
	with := func(name, value string) map[string]string {
		h := map[string]string{"Content-Range": good["Content-Range"], "ETag": good["ETag"]}
		h[name] = value
		return h
	}
	for name, tt := range map[string]struct {
		status int
		header map[string]string
		body   string
		is     error // nil if it is right
	}{
		"good":                 {206, good, "image", nil},
		"no ranges":            {200, good, "image", kind.IO},
		"not modified":         {304, good, "", kind.IO},
		"no content":           {204, good, "", kind.IO},
		"no Content-Range":     {206, with("Content-Range", ""), "image", kind.IO},
		"an unknown size":      {206, with("Content-Range", "bytes 0-4/*"), "image", kind.IO},
		"other units":          {206, with("Content-Range", "lines 0-4/5"), "image", kind.IO},
		"another start":        {206, with("Content-Range", "bytes 1-5/6"), "image", kind.Passing},
		"fewer bytes":          {206, with("Content-Range", "bytes 0-3/5"), "imag", kind.Passing},
		"beyond the end":       {206, with("Content-Range", "bytes 0-5/5"), "images", kind.Passing},
		"a size of 0":          {206, with("Content-Range", "bytes 0-0/0"), "i", kind.Passing},
		"a huge number":        {206, with("Content-Range", "bytes 0-4/99999999999999999999"), "image", kind.IO},
		"a short body":         {206, good, "imag", kind.Passing},
		"a long body":          {206, good, "images", kind.Passing},
		"compressed":           {206, with("Content-Encoding", "gzip"), "image", kind.IO},
		"identity":             {206, with("Content-Encoding", "identity"), "image", nil},
		"several ranges":       {206, with("Content-Range", "multipart/byteranges"), "image", kind.IO},
		"no such range":        {416, with("Content-Range", "bytes */5"), "", kind.IO},
		"gone":                 {410, good, "", fs.ErrNotExist},
		"a proxy's login":      {407, good, "", kind.IO},
		"unauthorized":         {401, good, "", fs.ErrPermission},
		"an informal redirect": {300, good, "", kind.IO},
		"a redirect nowhere":   {302, with("Location", ""), "", kind.IO},
		"a redirect to no URL": {302, with("Location", "http://[::1"), "", kind.IO},
		"a redirect to a file": {302, with("Location", "file:///etc/passwd"), "", kind.IO},
	} {
		o := quick()
		o.Transport = answers(func(r *http.Request) (int, map[string]string, string) { return tt.status, tt.header, tt.body })
		s, err := Open(t.Context(), "https://host/disk.img?"+secretQuery, o)
		if err == nil {
			served{content: []byte(tt.body)}.expect(t, s, 0, 5)
			s.Close()
		}
		if tt.is == nil && err != nil || tt.is != nil && !errors.Is(err, tt.is) || err != nil && !errors.Is(err, kind.IO) ||
			tt.is == kind.IO && errors.Is(err, kind.Passing) {
			t.Errorf("%s: %v", name, err)
		}
		quiet(t, err)
	}
}

// TestHTTPRedirects: redirects are followed to the same host only, and only five, and
// never to an unencrypted connection.
func TestHTTPRedirects(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		from string
		to   []string // where the redirects lead, one after the other
		text string   // of the error; "" for none
	}{
		"another path": {"https://host/a", []string{"/b", "c?" + secretQuery}, ""},
		"five":         {"https://host/a", []string{"/1", "/2", "/3", "/4", "/5"}, ""},
		"six":          {"https://host/a", []string{"/1", "/2", "/3", "/4", "/5", "/6"}, "more than 5 redirects"},
		"another host": {"https://host/a", []string{"https://evil.example/b?" + secretQuery},
			"another host, evil.example"},
		"a user":             {"https://host/a", []string{"https://host@evil.example/b"}, "another host, evil.example"},
		"a subdomain":        {"https://host/a", []string{"https://a.host/b"}, "another host"},
		"another port":       {"https://host/a", []string{"https://host:8443/b"}, "another host"},
		"the usual port":     {"https://host/a", []string{"https://host:443/b"}, ""},
		"in capitals":        {"https://host/a", []string{"https://HOST/b"}, ""},
		"to http":            {"https://host:80/a", []string{"http://host:80/b"}, "unencrypted"},
		"to http elsewhere":  {"https://host/a", []string{"http://host/b"}, "another host"},
		"to https":           {"http://host/a", []string{"https://host/b"}, ""},
		"to https elsewhere": {"http://host:8080/a", []string{"https://host/b"}, "another host"},
		"back to http":       {"http://host/a", []string{"https://host/b", "http://host/c"}, ""},
		"http stays http":    {"http://host/a", []string{"/b"}, ""},
	} {
		content := random(objectBlock + 1000)
		var requests []*http.Request
		o := quick()
		left := tt.to
		o.Transport = answers(func(r *http.Request) (int, map[string]string, string) {
			requests = append(requests, r)
			if user, password, _ := r.BasicAuth(); user != "user-name-of-url" || password != "pass-word-of-url" {
				t.Errorf("%s: user %q with password %q at %s", name, user, password, r.URL.Host)
			}
			if len(left) > 0 {
				location := left[0]
				left = left[1:]
				return 302, map[string]string{"Location": location}, ""
			}
			var off, end int
			fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &off, &end)
			end = min(end+1, len(content))
			return 206, map[string]string{"ETag": `"e"`,
				"Content-Range": fmt.Sprintf("bytes %d-%d/%d", off, end-1, len(content))}, string(content[off:end])
		})
		s, err := Open(t.Context(), strings.Replace(tt.from, "://", "://user-name-of-url:pass-word-of-url@", 1), o)
		if (err == nil) != (tt.text == "") || err != nil && (!strings.Contains(err.Error(), tt.text) ||
			!errors.Is(err, kind.IO) || errors.Is(err, kind.Passing)) {
			t.Errorf("%s: %v", name, err)
		}
		quiet(t, err)
		for _, r := range requests {
			if !strings.EqualFold(r.URL.Hostname(), "host") {
				t.Errorf("%s: a request to %s", name, r.URL.Host)
			}
		}
		if err != nil {
			continue
		}
		before := len(requests)
		served{content: content}.expect(t, s, 0, len(content))
		if len(requests) != before+1 || requests[before].Header.Get("If-Match") != `"e"` {
			t.Errorf("%s: the second block takes %d requests", name, len(requests)-before)
		}
		s.Close()
	}
}

// TestThrottling: a server that throttles gets fewer requests at a time, and more again
// when it does not.
func TestThrottling(t *testing.T) {
	t.Parallel()
	l := limiter{most: 32, now: 32}
	take := func() int {
		epoch, err := l.acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return epoch
	}
	var epochs []int
	for range 32 {
		epochs = append(epochs, take())
	}
	for _, e := range epochs { // they count once
		l.release(e, true)
	}
	if l.now != 16 || l.underWay != 0 {
		t.Errorf("%v at a time, %d under way", l.now, l.underWay)
	}
	for range 10 {
		l.release(take(), true)
	}
	if l.now != 1 {
		t.Errorf("%v at a time", l.now)
	}
	e := take()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := l.acquire(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("two at a time: %v", err)
	}
	l.release(e, false)
	for range 1000 {
		l.release(take(), false)
	}
	if l.now != 32 || l.underWay != 0 || len(l.waiting) != 0 {
		t.Errorf("%v at a time, %d under way, %d wait", l.now, l.underWay, len(l.waiting))
	}
}

// TestThrottledServer: reads of a source whose server throttles half of all requests
// succeed, with fewer requests at a time.
func TestThrottledServer(t *testing.T) {
	t.Parallel()
	server := remotetest.EBS(t)
	content := random(32 << 20)
	server.Add("snap-1", bytes.NewReader(content), int64(len(content)))
	for n := range 40 {
		server.FailAction("ebs:GetSnapshotBlock", n, remotetest.Throttled, 1)
	}
	s := mustOpen(t, "ebs:snap-1", awsOptions(&server.Server))
	var all sync.WaitGroup
	for n := range 32 {
		all.Go(func() { served{content: content}.expect(t, s, int64(n)<<20, 1<<20) })
	}
	all.Wait()
	traffic := s.Remote().Traffic()
	if traffic.Throttled != 40 || traffic.Retries < 40 {
		t.Errorf("%+v", traffic)
	}
}

// TestBudget: a source whose requests fail often gives up.
func TestBudget(t *testing.T) {
	t.Parallel()
	server := remotetest.EBS(t)
	content := random(64 << 20)
	server.Add("snap-1", bytes.NewReader(content), int64(len(content)))
	server.FailAction("ebs:GetSnapshotBlock", 0, remotetest.Failed, -1)
	o := awsOptions(&server.Server)
	o.Parallel = 64
	s := mustOpen(t, "ebs:snap-1", o)
	var all sync.WaitGroup
	for n := range 64 {
		all.Go(func() { s.ReadAt(make([]byte, 1), int64(n)<<20) })
	}
	all.Wait()
	if n := s.Remote().Traffic().Retries; n > retryBudget || !errors.Is(s.Failed(), kind.Passing) {
		t.Errorf("%d repetitions, %v", n, s.Failed())
	}
}

// TestParallel: as many requests are under way as there may be, and no more.
func TestParallel(t *testing.T) {
	each(t, func(t *testing.T, s served) {
		read := func(most int) {
			s.Latency = 2 * time.Millisecond
			s.options.Parallel = most
			source := s.open(t)
			var all sync.WaitGroup
			for n := range 12 {
				all.Go(func() { s.expect(t, source, int64(n)*objectBlock, 1) })
			}
			all.Wait()
			if got := s.Most(); got > most {
				t.Errorf("%d requests at a time, want %d", got, most)
			}
		}
		read(1)
		// On a busy machine, an answer may be there before the next request is sent.
		for n := 0; s.Most() < 3 && n < 100; n++ {
			read(3)
		}
		if s.Most() != 3 {
			t.Errorf("at most %d requests at a time", s.Most())
		}
	})
}

// TestNetwork: errors of a connection say what is wrong without the URL.
func TestNetwork(t *testing.T) {
	t.Parallel()
	closed := httptest.NewServer(nil)
	closed.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	plain := remotetest.HTTP(t)
	for name, tt := range map[string]struct {
		url    string
		text   string
		passes bool
	}{
		"nobody listens":     {closed.URL, "refuses connections", true},
		"no such host":       {"http://host.invalid", "host.invalid", false},
		"a bad certificate":  {secure.URL, "certificate", false},
		"TLS with plain":     {strings.Replace(plain.URL, "http:", "https:", 1), "TLS", false},
		"no URL":             {"http://[::1", "not a valid URL", false},
		"no host":            {"http://", "not a valid URL", false},
		"a space in a host":  {"http://a b", "not a valid URL", false},
		"a bad port":         {"http://host:port", "not a valid URL", false},
		"a host named twice": {"http://user-name-of-url:pass-word-of-url@host.invalid", "host.invalid", false},
	} {
		o := quick()
		_, err := Open(t.Context(), tt.url+"/disk.img?"+secretQuery, o)
		if err == nil || !strings.Contains(err.Error(), tt.text) || errors.Is(err, kind.Passing) != tt.passes {
			// A machine without a resolver does not know whether a host exists.
			if tt.text != "host.invalid" || err == nil || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("%s: %v", name, err)
			}
		}
		quiet(t, err)
	}
}

// TestLongBody: of a response that does not end, no more is read than any response may have.
func TestLongBody(t *testing.T) {
	if testing.Short() {
		t.Skip("parses 32 MiB, which takes long under the race detector")
	}
	t.Parallel()
	for _, name := range []string{"ebs:snap-1", "s3://bucket/key", "https://host/key"} {
		endless := &blanks{most: 4 * maxBody}
		if _, err := Open(t.Context(), name, through(endless)); !errors.Is(err, kind.IO) || endless.sent > 2*maxBody {
			t.Errorf("%s: %v after %d bytes", name, err, endless.sent)
		}
	}
	for _, n := range []int64{maxBody - 1, maxBody, maxBody + 1} {
		resp, err := client{&blanks{most: n}}.Do(httptest.NewRequest(http.MethodGet, "/", nil))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.Copy(io.Discard, resp.Body); got != min(n, maxBody) || err != nil {
			t.Errorf("%d of %d bytes, %v", got, n, err)
		}
	}
}

// blanks is a transport that refuses requests, each with a body of most blanks.
type blanks struct{ most, sent int64 }

func (b *blanks) RoundTrip(r *http.Request) (*http.Response, error) {
	b.sent = 0
	return &http.Response{StatusCode: http.StatusBadRequest, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, ContentLength: -1, Body: io.NopCloser(b), Request: r}, nil
}

func (b *blanks) Read(p []byte) (int, error) {
	if b.sent == b.most {
		return 0, io.EOF
	}
	n := copy(p, bytes.Repeat([]byte(" "), int(min(int64(len(p)), b.most-b.sent))))
	b.sent += int64(n)
	return n, nil
}

// TestNames: the names of sources, what is shown of them, and which are the same.
func TestNames(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"https://user:secret@host:8443/a%20b/c.img?sig=secret#secret": "https://host:8443/a%20b/c.img",
		"HTTP://host/disk.img?x":        "http://host/disk.img",
		"https://host":                  "https://host",
		"https://ho st/secret":          "https://…",
		"https://user:se%zzcret@host/a": "https://…",
		"http:///secret":                "http://…",
		"s3://bucket/key?versionId=v":   "s3://bucket/key?versionId=v",
		"ebs:snap-1":                    "ebs:snap-1",
		"disk.img?x":                    "disk.img?x",
		"https:disk.img":                "https:disk.img",
	} {
		if got := ShownName(name); got != want {
			t.Errorf("%s is shown as %s, want %s", name, got, want)
		}
	}
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"ebs:snap-1", "ebs:snap-1", true}, {"ebs:snap-1", "EBS:snap-1", true}, {"ebs:snap-1", "ebs:snap-2", false},
		{"s3://b/k", "s3://b/k", true}, {"s3://b/k", "S3://b/k", true}, {"s3://b/k", "s3://b/K", false},
		{"s3://b/k", "s3://b/k?versionId=1", false}, {"s3://b/k?versionId=1", "s3://b/k?versionId=1", true},
		{"https://h/a", "https://H:443/a", true}, {"https://h/a", "http://h/a", false}, {"https://h/a", "https://h/b", false},
		{"https://h/a?X-Amz-Signature=1&X-Amz-Date=2", "https://h/a?X-Amz-Signature=3", true},
		{"https://h/a?versionId=1&sig=1", "https://h/a?versionId=2&sig=1", false},
		{"https://h/a?snapshot=1&se=1", "https://h/a?se=2&snapshot=1", true},
		{"https://u:p@h/a", "https://h/a", true},
		{"https://[", "https://[", false}, {"https://h/a", "https://[", false},
		{"https://h/a", "ebs:snap-1", false},
	} {
		if Same(tt.a, tt.b) != tt.want || Same(tt.b, tt.a) != tt.want {
			t.Errorf("%s and %s: the same %t", tt.a, tt.b, !tt.want)
		}
	}
	for name, want := range map[string][4]string{
		"s3://b/k":                  {"b", "k", "", "ok"},
		"s3://b/a/b?c":              {"b", "a/b?c", "", "ok"},
		"s3://b/a?versionId=v":      {"b", "a", "v", "ok"},
		"s3://b/a?x?versionId=v/+=": {"b", "a?x", "v/+=", "ok"},
		"s3://b/a?versionId=":       {"b", "a?versionId=", "", "ok"},
		"s3://b/%20":                {"b", "%20", "", "ok"},
		"s3://b":                    {"b", "", "", ""},
	} {
		bucket, key, version, ok := parseS3(name)
		if got := [4]string{bucket, key, version, map[bool]string{true: "ok"}[ok]}; got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

// TestRemoteBeside: the other parts of an image have the same prefix. A URL with a query
// has none.
func TestRemoteBeside(t *testing.T) {
	t.Parallel()
	web, store, snapshots := remotetest.HTTP(t), remotetest.S3(t), remotetest.EBS(t)
	for n, name := range []string{"a/disk.001", "a/disk 002", "disk.001", "disk 002"} {
		web.Put(name, random(1000+n%2))
		store.Put(t, name, random(1000+n%2))
	}
	snapshots.Add("snap-1", bytes.NewReader(random(1000)), 1000)
	for name, want := range map[string]error{
		web.URL + "/a/disk.001": nil, web.URL + "/disk.001": nil,
		"s3://images/a/disk.001": nil, "s3://images/disk.001": nil,
		web.URL + "/a/disk.001?sig=secret-query": fs.ErrNotExist, "ebs:snap-1": fs.ErrNotExist,
	} {
		o := awsOptions(&store.Server)
		if strings.HasPrefix(name, "ebs:") {
			o = awsOptions(&snapshots.Server)
		}
		s := mustOpen(t, name, o)
		other, err := s.Beside(t.Context(), "disk 002")
		if !errors.Is(err, want) || (err == nil) != (want == nil) || err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			served{content: random(1001)}.expect(t, other, 0, 1001)
			other.Close()
		}
		if want == nil {
			if _, err := s.Beside(t.Context(), "disk.003"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: a missing part: %v", name, err)
			}
			if s.Failed() != nil {
				t.Errorf("%s: a missing part ends it: %v", name, s.Failed())
			}
		}
	}
}

// TestRemoteSection: a section of a remote source fails with it.
func TestRemoteSection(t *testing.T) {
	each(t, func(t *testing.T, s served) {
		source := s.open(t)
		section, err := source.Section("part", 1<<20, 1<<20, nil)
		if err != nil {
			t.Fatal(err)
		}
		if section.Remote() != source.Remote() || section.Failed() != nil {
			t.Error("the section has another remote")
		}
		s.Fail(remotetest.Missing, -1)
		_, err = section.ReadAt(make([]byte, 10), 1<<19)
		if err == nil || section.Failed() != err || source.Failed() != err {
			t.Errorf("%v, %v, %v", err, section.Failed(), source.Failed())
		}
	})
}

// TestLocalRemote: a file has no remote and no failure.
func TestLocalRemote(t *testing.T) {
	t.Parallel()
	s := NewReader(t.Context(), "r", strings.NewReader("r"), 1)
	if s.Remote() != nil || s.Failed() != nil {
		t.Error(s.Remote(), s.Failed())
	}
}
