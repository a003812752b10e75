package remotetest

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
)

// Bucket is the bucket of every server of S3. It has versions.
const Bucket = "images"

// S3Server is a server of S3. Its objects are kept in memory, except large ones.
type S3Server struct {
	Server
	RequesterPays bool    // deny requests that do not say that the requester pays
	Refusal       Refusal // of every request for an object; none if the status is 0
	// IgnoreConditions makes the server write whether or not there is an object.
	IgnoreConditions bool

	fake    http.Handler
	backend *s3mem.Backend
	mu      sync.Mutex
	large   map[string]*io.SectionReader // by the path of the URL
	written map[string]int               // how often, by the path of the URL
}

// S3 starts a server of S3.
func S3(t testing.TB) *S3Server {
	s := &S3Server{backend: s3mem.New(), large: map[string]*io.SectionReader{}, written: map[string]int{}}
	if err := s.backend.CreateBucket(Bucket); err != nil {
		t.Fatal(err)
	}
	versions := gofakes3.VersioningConfiguration{Status: gofakes3.VersioningEnabled}
	if err := s.backend.SetVersioningConfiguration(Bucket, versions); err != nil {
		t.Fatal(err)
	}
	s.fake = gofakes3.New(s.backend).Server()
	s.start(t, s3Action, s.serve)
	return s
}

// Put writes an object, and returns its version.
func (s *S3Server) Put(t testing.TB, key string, content []byte) (version string) {
	t.Helper()
	result, err := s.backend.PutObject(Bucket, key, map[string]string{"Last-Modified": "Mon, 02 Mar 2026 10:00:00 GMT"},
		bytes.NewReader(content), int64(len(content)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(result.VersionID)
}

// PutLarge makes an object of a reader. It has no versions.
func (s *S3Server) PutLarge(key string, content io.ReaderAt, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.large["/"+Bucket+"/"+key] = io.NewSectionReader(content, 0, size)
}

func s3Action(r *http.Request) string {
	switch {
	case r.Method == http.MethodGet && r.URL.Query().Get("list-type") == "2":
		return "s3:ListObjectsV2"
	case strings.Count(strings.TrimSuffix(r.URL.Path, "/"), "/") < 2:
		return "s3:?"
	case r.Method == http.MethodPut:
		return "s3:PutObject"
	case r.Method == http.MethodHead:
		return "s3:HeadObject"
	case r.Method != http.MethodGet:
		return "s3:?"
	case r.URL.Query().Has("versionId"):
		return "s3:GetObjectVersion"
	}
	return "s3:GetObject"
}

var s3Faults = map[Fault]Refusal{
	Throttled:          {Status: 503, Code: "SlowDown", Message: "Please reduce your request rate."},
	Failed:             {Status: 500, Code: "InternalError", Message: "We encountered an internal error."},
	Denied:             {Status: 403, Code: "AccessDenied", Message: "Access Denied"},
	Missing:            {Status: 404, Code: "NoSuchKey", Message: "The specified key does not exist."},
	ExpiredCredentials: {Status: 400, Code: "ExpiredToken", Message: "The provided token has expired."},
}

// refuse writes an error that repeats what the client sent.
func (s *S3Server) refuse(w http.ResponseWriter, r *http.Request, e Refusal) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(e.Status)
	fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s %s</Message><Resource>%s</Resource></Error>`,
		e.Code, e.Message, r.Header.Get("X-Amz-Security-Token"), r.URL.EscapedPath())
}

// serve answers as S3 does where gofakes3 does not: conditions of GET, and requesters
// who pay.
func (s *S3Server) serve(w http.ResponseWriter, r *http.Request, fault Fault) {
	e, ok := s3Faults[fault]
	switch {
	case ok:
		s.refuse(w, r, e)
		return
	case s.Refusal.Status != 0:
		s.refuse(w, r, s.Refusal)
		return
	case s.RequesterPays && r.Header.Get("X-Amz-Request-Payer") != "requester":
		s.refuse(w, r, s3Faults[Denied])
		return
	case !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+AccessKey+"/"):
		s.refuse(w, r, Refusal{Status: 403, Code: "InvalidAccessKeyId", Message: "no signature"})
		return
	}
	s.mu.Lock()
	large := s.large[r.URL.Path]
	s.mu.Unlock()
	if large != nil {
		w.Header().Set("ETag", `"`+strings.TrimPrefix(r.URL.Path, "/")+`"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(large, 0, large.Size()))
		return
	}
	if r.Method == http.MethodPut {
		s.put(w, r)
		return
	}
	if want := r.Header.Get("If-Match"); want != "" {
		first := r.Clone(r.Context())
		first.Header.Set("Range", "bytes=0-0")
		found := httptest.NewRecorder()
		s.fake.ServeHTTP(found, first)
		if etag := found.Header().Get("ETag"); found.Code == http.StatusPartialContent && etag != want {
			s.refuse(w, r, Refusal{Status: 412, Code: "PreconditionFailed", Message: "a condition failed"})
			return
		}
	}
	s.fake.ServeHTTP(&joined{ResponseWriter: w}, r)
}

// put writes an object. It answers as S3 does to a condition on an object that does not
// exist.
func (s *S3Server) put(w http.ResponseWriter, r *http.Request) {
	if s.IgnoreConditions {
		r.Header.Del("If-Match")
		r.Header.Del("If-None-Match")
	}
	if r.Header.Get("If-Match") != "" && strings.HasPrefix(r.URL.Path, "/"+Bucket+"/") {
		head := r.Clone(r.Context())
		head.Method, head.Body = http.MethodHead, http.NoBody
		found := httptest.NewRecorder()
		s.fake.ServeHTTP(found, head)
		if found.Code == http.StatusNotFound {
			s.refuse(w, r, s3Faults[Missing])
			return
		}
	}
	answer := httptest.NewRecorder()
	s.fake.ServeHTTP(answer, r)
	if answer.Code == http.StatusOK {
		s.mu.Lock()
		s.written[r.URL.Path]++
		s.mu.Unlock()
	}
	maps.Copy(w.Header(), answer.Header())
	w.WriteHeader(answer.Code)
	w.Write(answer.Body.Bytes())
}

// Written is how often an object was written by a request.
func (s *S3Server) Written(key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.written["/"+Bucket+"/"+key]
}

// joined writes a body that arrives in small pieces in larger ones.
type joined struct{ http.ResponseWriter }

func (j *joined) ReadFrom(r io.Reader) (int64, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return 0, err
	}
	n, err := j.Write(b)
	return int64(n), err
}
