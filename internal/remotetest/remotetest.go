// Package remotetest has servers for tests of sources that are read over a network:
// EBS direct APIs, S3, and a web server that answers ranges. They listen on the
// loopback interface, and requests can be made to fail in ways that have names.
//
//	s := remotetest.EBS(t)
//	s.Add("snap-1", image, size)
//	s.Fail(remotetest.Throttled, 3)
//
// The servers of AWS are meant for the AWS SDK.
package remotetest

import (
	"context"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// Fault is a way in which requests fail.
type Fault string

// Faults. Those of a connection are the same for all servers. The others are errors as
// the service sends them.
const (
	None               Fault = ""
	Throttled          Fault = "throttled"
	Failed             Fault = "server error"
	Denied             Fault = "denied"
	Missing            Fault = "not found"
	ExpiredCredentials Fault = "expired credentials"
	ExpiredToken       Fault = "expired token"  // of a block or a page; EBS only
	WrongChecksum      Fault = "wrong checksum" // a byte of the data is another; EBS only
	Reset              Fault = "reset"          // of the connection
	Short              Fault = "short body"     // the connection ends in the middle of the data
	Silent             Fault = "silent"         // no answer at all
	Stalled            Fault = "stalled"        // no more data from the middle on
)

// Credentials with which the servers of AWS are used.
const (
	AccessKey    = "AKIAREMOTETESTEXAMPL"
	SecretKey    = "remotetest-secret-key-that-no-output-may-have"
	SessionToken = "remotetest-session-token-that-no-output-may-have"
	Region       = "eu-west-1"
)

// Server is a server with faults.
type Server struct {
	URL string // without a path
	// Latency is how long each answer takes in addition.
	Latency time.Duration

	mu       sync.Mutex
	plan     []plan
	actions  map[string]int
	requests atomic.Int64
	now      atomic.Int64
	most     atomic.Int64
	open     atomic.Int64 // connections
	stop     chan struct{}
}

// plan is a fault of the next requests of an action.
type plan struct {
	fault  Fault
	action string // "" for any
	skip   int
	left   int
}

// start starts a server. action names a request; serve answers it.
func (s *Server) start(
	t testing.TB, action func(r *http.Request) string, serve func(w http.ResponseWriter, r *http.Request, fault Fault),
) {
	s.actions, s.stop = map[string]int{}, make(chan struct{})
	h := func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		now := s.now.Add(1)
		defer s.now.Add(-1)
		for most := s.most.Load(); now > most && !s.most.CompareAndSwap(most, now); most = s.most.Load() {
		}
		name := action(r)
		fault := s.next(name)
		if s.Latency > 0 {
			time.Sleep(s.Latency)
		}
		switch fault {
		case Reset:
			s.reset(w)
		case Silent:
			s.hang(r)
		case Short, Stalled:
			serve(&cut{ResponseWriter: w, server: s, request: r, stall: fault == Stalled}, r, None)
		case WrongChecksum:
			serve(&flip{ResponseWriter: w}, r, None)
		default:
			serve(w, r, fault)
		}
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(h))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			s.open.Add(-1)
		}
	}
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of connections that end
	server.Start()
	s.URL = server.URL
	t.Cleanup(func() {
		close(s.stop)
		server.CloseClientConnections()
		server.Close()
	})
}

func (s *Server) reset(w http.ResponseWriter) {
	conn, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	conn.(*net.TCPConn).SetLinger(0)
	conn.Close()
}

// hang waits until the client gives up.
func (s *Server) hang(r *http.Request) {
	select {
	case <-r.Context().Done():
	case <-s.stop:
	}
	panic(http.ErrAbortHandler)
}

// cut ends the connection, or the data, in the middle of a response.
type cut struct {
	http.ResponseWriter
	server  *Server
	request *http.Request
	stall   bool
}

func (c *cut) Write(p []byte) (int, error) {
	c.ResponseWriter.Write(p[:len(p)/2])
	http.NewResponseController(c.ResponseWriter).Flush()
	if c.stall {
		c.server.hang(c.request)
	}
	panic(http.ErrAbortHandler)
}

// flip changes the first byte of a response.
type flip struct {
	http.ResponseWriter
	done bool
}

func (f *flip) Write(p []byte) (int, error) {
	if !f.done && len(p) > 0 {
		f.done = true
		p = append([]byte{p[0] ^ 1}, p[1:]...)
	}
	return f.ResponseWriter.Write(p)
}

// Fail makes the next n requests fail; all if n is negative.
func (s *Server) Fail(fault Fault, n int) { s.FailAction("", 0, fault, n) }

// FailAction makes n requests of an action ("" for any) fail, after the next skip ones.
func (s *Server) FailAction(action string, skip int, fault Fault, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = append(s.plan, plan{fault, action, skip, n})
}

// Heal ends all faults.
func (s *Server) Heal() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan = nil
}

func (s *Server) next(action string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.actions[action]++
	for n := range s.plan {
		p := &s.plan[n]
		if p.action != "" && p.action != action || p.left == 0 {
			continue
		}
		if p.skip > 0 {
			p.skip--
			continue
		}
		if p.left > 0 {
			p.left--
		}
		return p.fault
	}
	return None
}

// Requests is how many requests there were.
func (s *Server) Requests() int { return int(s.requests.Load()) }

// Actions is how many requests of each action there were.
func (s *Server) Actions() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.actions)
}

// Most is how many requests were under way at the same time.
func (s *Server) Most() int { return int(s.most.Load()) }

// Connections is how many connections are open.
func (s *Server) Connections() int { return int(s.open.Load()) }

// UnderWay is how many requests are under way.
func (s *Server) UnderWay() int { return int(s.now.Load()) }

// AWS is a configuration of the SDK for a server of AWS.
func (s *Server) AWS(context.Context) (aws.Config, error) {
	return aws.Config{
		Region: Region, BaseEndpoint: aws.String(s.URL),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: AccessKey, SecretAccessKey: SecretKey, SessionToken: SessionToken}, nil
		}),
	}, nil
}

// Environ are the variables with which the SDK's default chain finds a server of AWS.
// service is "S3" or "EBS".
func (s *Server) Environ(service string) map[string]string {
	return map[string]string{
		"AWS_ENDPOINT_URL_" + service: s.URL, "AWS_REGION": Region, "AWS_ACCESS_KEY_ID": AccessKey,
		"AWS_SECRET_ACCESS_KEY": SecretKey, "AWS_SESSION_TOKEN": SessionToken, "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": "/nonexistent", "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "AWS_PROFILE": "",
	}
}

// part reads what a test server hands out.
func part(r io.ReaderAt, p []byte, off int64) {
	clear(p)
	if _, err := r.ReadAt(p, off); err != nil && err != io.EOF {
		panic(err)
	}
}
