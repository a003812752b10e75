package source

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/coldcheck/coldcheck/internal/buildinfo"
)

// maxRedirects is how many redirects are followed for a request.
const maxRedirects = 5

// kindHTTP is the row of servers that answer ranges.
var kindHTTP = sourceKind{
	owns: func(name string) bool {
		return hasScheme(name, "http://") || hasScheme(name, "https://")
	},
	open: openHTTP, same: sameURL, shown: shownURL, check: checkURL,
}

func hasScheme(name, scheme string) bool {
	return len(name) >= len(scheme) && strings.EqualFold(name[:len(scheme)], scheme)
}

// object is an image behind a URL.
type object struct {
	ranged
	named     *url.URL // as it was named
	at        atomic.Pointer[url.URL]
	etag      string // strong; "" if there is none
	lastWrite string // Last-Modified where there is no strong ETag
}

func checkURL(name string) error {
	if u, err := url.Parse(name); err != nil || u.Hostname() == "" {
		return fmt.Errorf("%s: not a valid URL: %w", shownURL(name), fs.ErrInvalid)
	}
	return nil
}

func openHTTP(ctx context.Context, name string, o Options) (place, error) {
	if err := checkURL(name); err != nil {
		return nil, err
	}
	shown := shownURL(name)
	u, _ := url.Parse(name)
	u.Fragment, u.RawFragment = "", ""
	h := &object{named: u}
	h.Remote = Remote{
		requests: newRequests(ctx, shown, o), options: o, block: objectBlock,
		clear: !strings.EqualFold(u.Scheme, "https"),
	}
	h.secrets.addURL(u)
	h.at.Store(u)
	if err := h.begin(h.first, h.request); err != nil {
		h.requests.close(fs.ErrClosed)
		return nil, err
	}
	return h, nil
}

// first reads the first block and learns the size and the version of the object.
func (h *object) first(a *attempt, p *[]byte) *fault {
	resp, f := h.get(a, 0, objectBlock)
	if f != nil {
		return f
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusPartialContent {
		h.bytes, *p = 0, nil
		return nil
	}
	end, size, f := contentRange(resp.Header.Get("Content-Range"), 0, objectBlock)
	if f != nil {
		return f
	}
	h.bytes, *p = size, (*p)[:end]
	h.etag = strongETag(resp.Header)
	if h.etag == "" {
		h.lastWrite = resp.Header.Get("Last-Modified")
	}
	if h.etag == "" && h.lastWrite == "" {
		return refuses("the server sends neither a strong ETag nor Last-Modified, so a change could not be noticed",
			hintRanges)
	}
	h.identity.ETag = resp.Header.Get("ETag")
	h.identity.Version = resp.Header.Get("X-Amz-Version-Id")
	h.identity.Modified, _ = http.ParseTime(resp.Header.Get("Last-Modified"))
	return a.read(resp.Body, [][]byte{*p})
}

// request requests a range of the version that was opened.
func (h *object) request(a *attempt, off, n int64) (response, *fault) {
	resp, f := h.get(a, off, n)
	if f != nil {
		return response{}, f
	}
	return response{resp.Body, resp.Header.Get("Content-Range"), h.same(resp.Header)}, nil
}

// same compares the version in a response with the one that was opened.
func (h *object) same(header http.Header) *fault {
	switch {
	case h.etag != "" && strongETag(header) != h.etag:
		return differs("its ETag is different")
	case h.etag == "" && header.Get("Last-Modified") != h.lastWrite:
		return differs("its Last-Modified is different")
	}
	return nil
}

// get requests a range. The response is 206, or another one for an empty object.
func (h *object) get(a *attempt, off, n int64) (*http.Response, *fault) {
	h.gets.Add(1)
	at := h.at.Load()
	for redirects := 0; ; redirects++ {
		resp, f := h.getFrom(a, at, off, n)
		if f != nil {
			return nil, f
		}
		switch resp.StatusCode {
		case http.StatusPartialContent:
			if coding := resp.Header.Get("Content-Encoding"); coding != "" && coding != "identity" {
				resp.Body.Close()
				return nil, refuses("the server sends a compressed form of it", hintRanges)
			}
			h.at.Store(at)
			return resp, nil
		case http.StatusOK, http.StatusRequestedRangeNotSatisfiable:
			// Servers answer in both ways if there are no bytes.
			if h.cache == nil && (resp.ContentLength == 0 && resp.StatusCode == http.StatusOK ||
				resp.Header.Get("Content-Range") == "bytes */0") {
				return resp, nil
			}
		case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect,
			http.StatusPermanentRedirect, http.StatusSeeOther:
			resp.Body.Close()
			if redirects == maxRedirects {
				return nil, refuses(fmt.Sprintf("more than %d redirects", maxRedirects), "")
			}
			if at, f = h.redirected(at, resp.Header.Get("Location")); f != nil {
				return nil, f
			}
			continue
		}
		f = h.status(resp)
		resp.Body.Close()
		return nil, f
	}
}

func (h *object) getFrom(a *attempt, at *url.URL, off, n int64) (*http.Response, *fault) {
	req, err := http.NewRequestWithContext(a.ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, refuses("not a valid URL", "")
	}
	req.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", off, off+n-1))
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", buildinfo.UserAgent())
	switch {
	case h.cache == nil:
	case h.etag != "":
		req.Header.Set("If-Match", h.etag)
	default:
		req.Header.Set("If-Unmodified-Since", h.lastWrite)
	}
	if user := at.User; user != nil {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
	resp, err := h.client.Do(req)
	if err != nil {
		return nil, h.network(err)
	}
	a.alive()
	return resp, nil
}

// redirected returns where a redirect leads, if it may be followed.
func (h *object) redirected(from *url.URL, location string) (*url.URL, *fault) {
	to, err := url.Parse(location)
	if location == "" || err != nil {
		return nil, refuses("a redirect to no valid URL", "")
	}
	to = from.ResolveReference(to)
	h.secrets.addURL(to)
	to.Fragment, to.RawFragment = "", ""
	to.User = h.named.User
	if !strings.EqualFold(to.Hostname(), h.named.Hostname()) || port(to) != port(h.named) && !upgrade(h.named, to) {
		return nil, refuses("a redirect to another host, "+h.secrets.hide(to.Host), "name that URL, if you trust the host")
	}
	if to.Scheme != "https" && to.Scheme != h.named.Scheme {
		return nil, refuses("a redirect to an unencrypted connection", "")
	}
	return to, nil
}

// upgrade reports whether a redirect leads from the usual port of http to that of https.
func upgrade(from, to *url.URL) bool {
	return from.Scheme == "http" && port(from) == "80" && to.Scheme == "https" && port(to) == "443"
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}

// status explains a response that is no range.
func (h *object) status(resp *http.Response) *fault {
	code := errorCode(resp.Body)
	what := "HTTP status " + strconv.Itoa(resp.StatusCode)
	if code != "" {
		what += " (" + code + ")"
	}
	opened := h.cache != nil
	switch s := resp.StatusCode; {
	case s == http.StatusOK:
		return refuses("the server does not send ranges", hintRanges)
	case s == http.StatusPreconditionFailed:
		return differs("the server no longer has this version")
	case code == codeExpired, code == "ExpiredToken":
		return &fault{class: lapsed, text: "the URL has expired: " + what, hint: "make a new URL"}
	case opened && (s == http.StatusForbidden || s == http.StatusUnauthorized):
		return &fault{class: lapsed, text: "the server no longer accepts the URL, which may have expired: " + what,
			hint: "make a new URL"}
	case s == http.StatusUnauthorized, s == http.StatusForbidden:
		return forbidden("access is denied: "+what, "check the URL's signature or the permissions of its user")
	case s == http.StatusNotFound, s == http.StatusGone:
		return missing("not found: "+what, "")
	case s == http.StatusTooManyRequests, s == http.StatusServiceUnavailable:
		return &fault{class: throttled, text: "the server throttles: " + what, after: retryAfter(resp.Header)}
	case s >= 500, s == http.StatusRequestTimeout:
		f := passes("the server failed: " + what)
		f.after = retryAfter(resp.Header)
		return f
	}
	return refuses("the server refuses the request: "+what, "")
}

// codeExpired stands for a signature that is past its time.
const codeExpired = "request has expired"

// storeCodes are the error codes of object stores that messages may show. The rest of
// an error document is not shown: it may repeat the URL.
var storeCodes = []string{
	"AccessDenied", "AccountProblem", "AllAccessDisabled", "AuthenticationFailed", "AuthorizationFailure",
	"AuthorizationPermissionMismatch", "BlobArchived", "BlobNotFound", "ContainerNotFound", "ExpiredToken",
	"InternalError", "InvalidAccessKeyId", "InvalidObjectState", "InvalidRange", "InvalidRequest", "NoSuchBucket",
	"NoSuchKey", "NoSuchVersion", "OperationAborted", "RequestTimeTooSkewed", "ServerBusy", "SignatureDoesNotMatch",
	"SlowDown", "PreconditionFailed", "MethodNotAllowed",
}

// errorCode returns the code in the XML document with which object stores explain an
// error; "" if it has none that is known.
func errorCode(body io.Reader) string {
	var document struct {
		Code    string
		Message string
		Detail  string `xml:"AuthenticationErrorDetail"`
	}
	if xml.NewDecoder(io.LimitReader(body, 64<<10)).Decode(&document) != nil {
		return ""
	}
	if expired.MatchString(document.Message + document.Detail) {
		return codeExpired
	}
	if slices.Contains(storeCodes, document.Code) {
		return document.Code
	}
	return ""
}

var expired = regexp.MustCompile(`(?i)has expired|signature not valid in the specified time frame`)

func strongETag(h http.Header) string {
	e := h.Get("ETag")
	if len(e) < 3 || e[0] != '"' || e[len(e)-1] != '"' {
		return ""
	}
	return e
}

// beside opens a file with a URL in the same folder. A URL with a query, which may be
// signed, has none.
func (h *object) beside(ctx context.Context, name string) (*Source, error) {
	if h.named.RawQuery != "" {
		return h.Remote.beside(ctx, name)
	}
	u := *h.named
	u.Path, u.RawPath = u.Path[:strings.LastIndex(u.Path, "/")+1]+name, ""
	return Open(ctx, u.String(), h.options)
}

// shownURL is a URL without its user, password, query and fragment.
func shownURL(name string) string {
	u, err := url.Parse(name)
	if err != nil || u.Host == "" {
		scheme, _, _ := strings.Cut(name, ":")
		return strings.ToLower(scheme) + "://…"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// sameURL compares URLs without what only grants access.
func sameURL(a, b string) bool {
	first, err := url.Parse(a)
	if err != nil {
		return false
	}
	second, err := url.Parse(b)
	return err == nil && strings.EqualFold(first.Scheme, second.Scheme) &&
		strings.EqualFold(first.Hostname(), second.Hostname()) && port(first) == port(second) &&
		first.EscapedPath() == second.EscapedPath() && selects(first) == selects(second)
}

// grants are the parameters of a query that grant access and do not select an object:
// those of presigned URLs of S3 and Google Cloud Storage, and of Azure's shared access
// signatures.
var grants = regexp.MustCompile(`(?i)^(x-(amz|goog)-.*|awsaccesskeyid|googleaccessid|signature|expires|key-pair-id|` +
	`policy|se|st|sp|sv|sr|sig|spr|sip|ss|srt|sdd|skoid|sktid|skt|ske|sks|skv|saoid|suoid|scid)$`)

// selects is the part of a query that selects an object.
func selects(u *url.URL) string {
	q := u.Query()
	for name := range q {
		if grants.MatchString(name) {
			q.Del(name)
		}
	}
	return q.Encode()
}
