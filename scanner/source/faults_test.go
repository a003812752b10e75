package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coldcheck/coldcheck/internal/kind"
	"github.com/coldcheck/coldcheck/internal/remotetest"
)

// served is an image on a server.
type served struct {
	*remotetest.Server
	name    string // to open it by
	options Options
	content []byte
	action  string // of a request for data
	change  func() // writes another image in the place of this one; nil if that cannot be
}

// secretQuery has what no message may have.
const secretQuery = "X-Amz-Credential=AKIAQUERYEXAMPLE%2F20260302&X-Amz-Signature=0123456789abcdef-signature&" +
	"X-Amz-Security-Token=query%2Fsecurity+token"

// secretsOf are the texts that no message may have.
var secretsOf = []string{
	"AKIAQUERYEXAMPLE", "0123456789abcdef-signature", "query%2Fsecurity+token", "query/security token", "user-name-of-url",
	"pass-word-of-url", remotetest.SecretKey, remotetest.SessionToken,
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(b)
	return b
}

// servers has an image of the same content on each kind of server.
func servers() map[string]func(t *testing.T) served {
	const size = 3 << 20
	return map[string]func(t *testing.T) served{
		"http": func(t *testing.T) served {
			s, content := remotetest.HTTP(t), random(size)
			s.Put("disk.img", content)
			u, _ := url.Parse(s.URL + "/disk.img?" + secretQuery)
			u.User = url.UserPassword("user-name-of-url", "pass-word-of-url")
			return served{&s.Server, u.String(), quick(), content, "GET", func() { s.Put("disk.img", random(size-1)) }}
		},
		"s3": func(t *testing.T) served {
			s, content := remotetest.S3(t), random(size)
			s.Put(t, "a/disk.img", content)
			return served{&s.Server, "s3://images/a/disk.img", awsOptions(&s.Server), content, "s3:GetObject",
				func() { s.Put(t, "a/disk.img", random(size-1)) }}
		},
		"ebs": func(t *testing.T) served {
			s, content := remotetest.EBS(t), random(size)
			s.Add("snap-1", bytes.NewReader(content), size)
			return served{&s.Server, "ebs:snap-1", awsOptions(&s.Server), content, "ebs:GetSnapshotBlock", nil}
		},
	}
}

// each runs a test with an image on each kind of server.
func each(t *testing.T, test func(t *testing.T, s served)) {
	t.Parallel()
	for name, serve := range servers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, serve(t))
		})
	}
}

func (s served) open(t *testing.T) *Source {
	t.Helper()
	return mustOpen(t, s.name, s.options)
}

// expect reads bytes and compares them.
func (s served) expect(t *testing.T, source *Source, off int64, n int) {
	t.Helper()
	p := make([]byte, n)
	if got, err := source.ReadAt(p, off); got != n || err != nil || !bytes.Equal(p, s.content[off:][:n]) {
		t.Errorf("%d bytes at %d: %d, %v", n, off, got, err)
	}
}

// quiet checks that an error has no secret.
func quiet(t *testing.T, err error) {
	t.Helper()
	texts := fmt.Sprint(err) + fmt.Sprintf("%+v %#v", err, err)
	var hinted interface{ Hint() string }
	if errors.As(err, &hinted) {
		texts += hinted.Hint()
	}
	for e := err; e != nil; e = errors.Unwrap(e) {
		texts += e.Error()
	}
	for _, secret := range secretsOf {
		if strings.Contains(texts, secret) {
			t.Errorf("%v has %q", err, secret)
		}
	}
}

// refusalTest is an error of a service, and what the error of the source says and is.
type refusalTest struct {
	refusal    remotetest.Refusal
	text, hint string
	is         error
}

func (tt refusalTest) check(t *testing.T, name string, err error) {
	t.Helper()
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(hinted.Hint(), tt.hint) ||
		!errors.Is(err, tt.is) || !errors.Is(err, kind.IO) || errors.Is(err, kind.Passing) {
		t.Errorf("%s: %v, %v", name, err, hinted)
	}
	quiet(t, err)
}

// TestFaultsThatPass: what goes wrong a few times is repeated and not noticed.
func TestFaultsThatPass(t *testing.T) {
	each(t, func(t *testing.T, s served) {
		for _, fault := range []remotetest.Fault{remotetest.Throttled, remotetest.Failed, remotetest.Reset,
			remotetest.Short, remotetest.WrongChecksum, remotetest.ExpiredToken} {
			if (fault == remotetest.WrongChecksum || fault == remotetest.ExpiredToken) && s.change != nil {
				continue
			}
			source := s.open(t)
			before := source.Remote().Traffic()
			s.FailAction(s.action, 0, fault, 2)
			s.expect(t, source, 100, 300)
			s.expect(t, source, 2<<20, 1<<20)
			s.Heal()
			after := source.Remote().Traffic()
			if retried := after.Retries - before.Retries; retried < 1 || retried > 2 {
				t.Errorf("%s: %d retries", fault, retried)
			}
			if n := after.Throttled - before.Throttled; (n > 0) != (fault == remotetest.Throttled) {
				t.Errorf("%s: %d requests were throttled", fault, n)
			}
			if err := source.Failed(); err != nil {
				t.Errorf("%s: %v", fault, err)
			}
		}
	})
}

// TestFaultsForGood: what does not pass is an error of the right kind that is kept, when
// the source is opened and when it is read.
func TestFaultsForGood(t *testing.T) {
	each(t, func(t *testing.T, s served) {
		for fault, passes := range map[remotetest.Fault]bool{
			remotetest.Throttled: true, remotetest.Failed: true, remotetest.Reset: true, remotetest.Short: true,
			remotetest.WrongChecksum: true, remotetest.ExpiredToken: true, remotetest.ExpiredCredentials: true,
			remotetest.Silent: true, remotetest.Stalled: true, remotetest.Denied: false, remotetest.Missing: false,
		} {
			if (fault == remotetest.WrongChecksum || fault == remotetest.ExpiredToken) && s.change != nil {
				continue
			}
			t.Run(string(fault), func(t *testing.T) {
				silent := fault == remotetest.Silent || fault == remotetest.Stalled
				if silent {
					s.options.Silence = 50 * time.Millisecond
				}
				if s.change != nil || fault == remotetest.Denied || fault == remotetest.Missing {
					s.Fail(fault, -1)
					source, err := Open(t.Context(), s.name, s.options)
					if err == nil {
						source.Close()
					}
					checkKind(t, err, passes)
					s.Heal()
				}
				s.options.Silence = time.Minute
				source := s.open(t)
				if silent {
					source.Remote().silence = 50 * time.Millisecond
				}
				s.FailAction(s.action, 0, fault, -1)
				_, err := source.ReadAt(make([]byte, 100), 2<<20)
				s.Heal()
				// A server that no longer accepts a URL says so of one that has expired.
				checkKind(t, err, passes || fault == remotetest.Denied && s.action == "GET")
				if source.Failed() != err {
					t.Errorf("the failure is %v, and not %v", source.Failed(), err)
				}
				for _, off := range []int64{0, 1 << 20, 2 << 20} {
					if _, again := source.ReadAt(make([]byte, 100), off); again != err {
						t.Errorf("at %d: %v, and not %v", off, again, err)
					}
				}
			})
		}
	})
}

// checkKind checks the kind of an error, and that it names the source and no secret.
func checkKind(t *testing.T, err error, passes bool) {
	t.Helper()
	t.Log(err)
	if !errors.Is(err, kind.IO) || errors.Is(err, kind.Passing) != passes {
		t.Errorf("%v: input/output %t, may pass %t, want %t", err, errors.Is(err, kind.IO), errors.Is(err, kind.Passing),
			passes)
	}
	if err != nil && !strings.Contains(err.Error(), "disk.img: ") && !strings.Contains(err.Error(), "ebs:snap-1: ") {
		t.Errorf("%v names no source", err)
	}
	quiet(t, err)
}

// TestRemoteChanged: an object that changes ends the source, also where bytes of both versions
// would fit together.
func TestRemoteChanged(t *testing.T) {
	each(t, func(t *testing.T, s served) {
		if s.change == nil {
			return // a snapshot does not change
		}
		source := s.open(t)
		s.expect(t, source, 0, 100)
		if err := source.Changed(); err != nil {
			t.Error(err)
		}
		s.change()
		_, err := source.ReadAt(make([]byte, 100), 2<<20)
		checkKind(t, err, true)
		if !errors.Is(err, ErrChanged) || source.Changed() != err {
			t.Errorf("%v, changed: %v", err, source.Changed())
		}
		if _, again := source.ReadAt(make([]byte, 100), 0); again != err {
			t.Errorf("what is cached can be read: %v", again)
		}
	})
}

// TestRemoteCancel: reads that wait end at once when the context ends, whatever the server
// does, and leave no request and no connection.
func TestRemoteCancel(t *testing.T) {
	each(t, func(t *testing.T, s served) {
		for _, fault := range []remotetest.Fault{remotetest.Silent, remotetest.Stalled, remotetest.Throttled} {
			for _, closed := range []bool{false, true} {
				s.options.firstWait = time.Minute
				s.options.Silence = time.Minute
				ctx, cancel := context.WithCancelCause(t.Context())
				stop := errors.New("stop")
				source, err := Open(ctx, s.name, s.options)
				if err != nil {
					t.Fatal(err)
				}
				s.FailAction(s.action, 0, fault, -1)
				var all sync.WaitGroup
				for n := range 20 {
					all.Go(func() {
						_, err := source.ReadAt(make([]byte, 100), int64(512<<10*(1+n%5)))
						if want := map[bool]error{false: stop, true: fs.ErrClosed}[closed]; !errors.Is(err, want) {
							t.Errorf("%s: %v, want %v", fault, err, want)
						}
					})
				}
				await(t, "a request is under way", func() bool {
					return s.UnderWay() > 0 || source.Remote().Traffic().Throttled > 0
				})
				begun := time.Now()
				if closed {
					source.Close()
				} else {
					cancel(stop)
				}
				all.Wait()
				if err := source.Close(); err != nil {
					t.Error(err)
				}
				if took := time.Since(begun); took > 5*time.Second { // far less, but for a busy machine
					t.Errorf("%s: it took %v", fault, took)
				}
				if err := source.Failed(); err != nil {
					t.Errorf("%s: the end of the context is kept as %v", fault, err)
				}
				await(t, "no request is under way", func() bool { return s.UnderWay() == 0 })
				await(t, "no connection is open", func() bool { return s.Connections() == 0 })
				s.Heal()
				cancel(nil)
			}
		}
	})
}

func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Errorf("it never happens that %s", what)
}

// TestRemoteGoroutines: a closed source leaves no goroutine. It runs on its own.
func TestRemoteGoroutines(t *testing.T) {
	for name, serve := range servers() {
		s := serve(t)
		before := runtime.NumGoroutine()
		source, err := Open(t.Context(), s.name, s.options)
		if err != nil {
			t.Fatal(err)
		}
		s.expect(t, source, 0, 1<<20)
		s.FailAction(s.action, 0, remotetest.Silent, -1)
		var all sync.WaitGroup
		for n := range 10 {
			all.Go(func() { source.ReadAt(make([]byte, 10), int64(n)<<18+1<<20) })
		}
		await(t, name+": a request is under way", func() bool { return s.UnderWay() > 0 })
		if err := source.Close(); err != nil {
			t.Error(err)
		}
		all.Wait()
		await(t, name+": all goroutines have ended", func() bool { return runtime.NumGoroutine() <= before })
	}
}
