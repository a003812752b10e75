package source

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// newTransport returns a transport with one HTTP/1.1 connection for each request that
// is under way.
func newTransport(parallel int) *http.Transport {
	dial := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 15 * time.Second}
	var one http.Protocols
	one.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dial.DialContext,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxIdleConnsPerHost:    parallel,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true,
		Protocols:              &one,
	}
}

// client sends requests. It follows no redirect: nobody has looked at where it leads.
// An http.Client would not do, because it parses every redirect, and its errors contain
// URLs.
type client struct{ transport http.RoundTripper }

// maxBody is how many bytes of a response are read. The largest block that is not refused
// has half as many, and a list of 10,000 blocks about 2 MB.
const maxBody = 16 << 20

// Do sends a request. The AWS SDK reads lists and errors into memory, so bodies are bounded.
func (c client) Do(r *http.Request) (*http.Response, error) {
	resp, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.LimitReader(resp.Body, maxBody), resp.Body}
	return resp, nil
}

// network explains an error of a connection. Errors of net/http contain the URL, so
// only the error below is looked at.
func (r *requests) network(err error) *fault {
	for {
		var in *url.Error
		if !errors.As(err, &in) {
			break
		}
		err = in.Err
	}
	var name *net.DNSError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var verification *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	var timeout net.Error
	switch {
	case errors.As(err, &name) && name.IsNotFound && !name.IsTemporary:
		f := refuses("there is no host "+name.Name, "check the name; for AWS, check the region")
		f.also = fs.ErrNotExist
		return f
	case errors.As(err, &name):
		return passes("the name of host " + name.Name + " cannot be resolved")
	case errors.As(err, &unknown), errors.As(err, &host), errors.As(err, &invalid), errors.As(err, &verification):
		return refuses("the certificate of the server is not valid: "+r.secrets.hide(innermost(err).Error()), "")
	case errors.As(err, &record), errors.Is(err, http.ErrSchemeMismatch):
		return refuses("the server does not speak TLS", "")
	case isRefused(err):
		return passes("the server refuses connections")
	case isReset(err):
		return passes("the connection was reset")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return passes("the connection was closed")
	case errors.As(err, &timeout) && timeout.Timeout():
		return passes("the network timed out")
	}
	return passes("network: " + r.secrets.hide(innermost(err).Error()))
}

// innermost is the error at the end of a chain.
func innermost(err error) error {
	for {
		below := errors.Unwrap(err)
		if below == nil {
			return err
		}
		err = below
	}
}

// secrets are texts that no message may have.
type secrets struct {
	mu   sync.Mutex
	list []string
}

// leastSecret is the length of the shortest text that is hidden: shorter ones occur in
// messages by chance.
const leastSecret = 6

func (s *secrets) add(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, t := range texts {
		if len(t) >= leastSecret && !slices.Contains(s.list, t) {
			s.list = append(s.list, t)
		}
	}
	// A secret may be part of another one.
	slices.SortFunc(s.list, func(a, b string) int { return len(b) - len(a) })
}

// addURL adds what is secret of a URL: its user, password and query.
func (s *secrets) addURL(u *url.URL) {
	if u.User != nil {
		password, _ := u.User.Password()
		s.add(u.User.String(), u.User.Username(), password)
	}
	s.add(u.RawQuery)
	for _, parameter := range strings.Split(u.RawQuery, "&") {
		_, value, _ := strings.Cut(parameter, "=")
		s.add(value)
		if plain, err := url.QueryUnescape(value); err == nil {
			s.add(plain)
		}
	}
}

// hide returns a text of a library or a server without secrets.
func (s *secrets) hide(text string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range s.list {
		text = strings.ReplaceAll(text, secret, "…")
	}
	const longest = 200
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	return strings.ToValidUTF8(text, "�")
}

// retryAfter is how long the server asks to wait.
func retryAfter(h http.Header) time.Duration {
	d, err := time.ParseDuration(h.Get("Retry-After") + "s")
	if err != nil || d < 0 {
		return 0
	}
	return d
}
