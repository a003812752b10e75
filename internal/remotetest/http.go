package remotetest

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// HTTPServer is a web server that answers ranges.
type HTTPServer struct {
	Server
	// Validators says what responses have to recognize a version.
	NoETag, WeakETag, NoModified bool
	NoRanges                     bool

	mu    sync.Mutex
	files map[string]*webFile
}

type webFile struct {
	content io.ReaderAt
	size    int64
	etag    string
	written time.Time
}

// HTTP starts a web server.
func HTTP(t testing.TB) *HTTPServer {
	s := &HTTPServer{files: map[string]*webFile{}}
	s.start(t, func(r *http.Request) string { return r.Method }, s.serve)
	return s
}

// Put writes a file.
func (s *HTTPServer) Put(name string, content []byte) {
	s.PutReader(name, bytes.NewReader(content), int64(len(content)), fmt.Sprintf(`"%x"`, sha256.Sum256(content)))
}

// PutReader writes a file with such a strong ETag. A file that is written again has a
// later time.
func (s *HTTPServer) PutReader(name string, content io.ReaderAt, size int64, etag string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	written := time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)
	if before := s.files[name]; before != nil {
		written = before.written.Add(time.Second)
	}
	s.files[name] = &webFile{content, size, etag, written}
}

var httpFaults = map[Fault]Refusal{
	Throttled: {Status: 429, Code: "SlowDown"},
	Failed:    {Status: 502},
	Denied:    {Status: 403, Code: "AccessDenied"},
	Missing:   {Status: 404, Code: "NoSuchKey"},
	ExpiredCredentials: {Status: 403, Code: "AccessDenied",
		Message: "Request has expired"},
}

// refuse writes an error that repeats what the client sent.
func (s *HTTPServer) refuse(w http.ResponseWriter, r *http.Request, e Refusal) {
	w.WriteHeader(e.Status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message><Url>%s</Url></Error>", e.Code, e.Message,
		strings.ReplaceAll(r.URL.String(), "&", "&amp;"))
}

func (s *HTTPServer) serve(w http.ResponseWriter, r *http.Request, fault Fault) {
	if e, ok := httpFaults[fault]; ok {
		s.refuse(w, r, e)
		return
	}
	s.mu.Lock()
	f := s.files[strings.TrimPrefix(r.URL.Path, "/")]
	s.mu.Unlock()
	if f == nil {
		s.refuse(w, r, httpFaults[Missing])
		return
	}
	switch {
	case s.WeakETag:
		w.Header().Set("ETag", "W/"+f.etag)
	case !s.NoETag:
		w.Header().Set("ETag", f.etag)
	}
	written := f.written
	if s.NoModified {
		written = time.Time{}
	}
	if s.NoRanges {
		r.Header.Del("Range")
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	http.ServeContent(w, r, "", written, io.NewSectionReader(f.content, 0, f.size))
}
