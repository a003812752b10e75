package source

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// s3Server is the client of S3 for a bucket, in the region of the bucket.
type s3Server struct {
	requests *requests
	endpoint bool // the user names the endpoint
	clear    bool // connections are not encrypted

	mu     sync.Mutex
	cfg    aws.Config
	client *s3.Client
	moved  bool // the region is that of the bucket, and not the configured one
}

// connectS3 sends no request to S3.
func (r *requests) connectS3(o Options) (*s3Server, error) {
	cfg, err := r.loadAWS(o.AWS)
	if err != nil {
		return nil, err
	}
	if cfg.Region == "" {
		cfg.Region = "us-east-1" // which knows the region of every bucket
	}
	s := &s3Server{requests: r, cfg: cfg}
	s.connect()
	endpoint := s.client.Options().BaseEndpoint
	s.endpoint, s.clear = endpoint != nil, unencrypted(endpoint)
	return s, nil
}

func (s *s3Server) connect() {
	s.client = s3.NewFromConfig(s.cfg, func(o *s3.Options) {
		o.HTTPClient = s.requests.client
		o.APIOptions = append(o.APIOptions, named)
		o.Retryer = aws.NopRetryer{} // requests repeats
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
		// The signature of a request covers what it writes.
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.DisableLogOutputChecksumValidationSkipped = true
		// A server that is not S3 may not know a host for each bucket.
		o.UsePathStyle = o.UsePathStyle || o.BaseEndpoint != nil
	})
}

func (s *s3Server) api() *s3.Client {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.client
}

// config is the configuration with the region of the bucket, as far as it is known.
func (s *s3Server) config(context.Context) (aws.Config, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cfg, nil
}

// s3Error is what S3 states of an error. response may be nil.
func s3Error(api smithy.APIError, response *smithyhttp.Response) (code string, status int, header http.Header) {
	if response != nil {
		status, header = response.StatusCode, response.Header
	}
	return api.ErrorCode(), status, header
}

func errNoBucket(what string) *fault { return missing("the bucket does not exist: "+what, "") }

// fault explains the errors that all requests for a bucket have. client sent the request; it
// is nil if the request must not be sent to another region.
func (s *s3Server) fault(client *s3.Client, code string, status int, header http.Header) *fault {
	what := codeText(code, status)
	redirected := status == http.StatusMovedPermanently || status == http.StatusTemporaryRedirect ||
		code == "AuthorizationHeaderMalformed"
	switch {
	case strings.HasPrefix(code, "KMS."), code == "KMSInvalidStateException":
		return refuses("the KMS key of the object cannot be used: "+what, "enable the key, and allow kms:Decrypt")
	case client != nil && (redirected || code == "IllegalLocationConstraintException") &&
		s.move(client, header.Get("X-Amz-Bucket-Region")):
		return &fault{class: stale, text: "the bucket is in another region: " + what, hint: "set AWS_REGION"}
	case redirected:
		return refuses("the bucket is in another region: "+what, "set AWS_REGION to the region of the bucket")
	}
	return nil
}

// move goes on in the region of the bucket, once. An endpoint that the user names has no
// other region. Requests that were sent at the same time follow the first one that moves.
func (s *s3Server) move(from *s3.Client, region string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.moved {
		return from != s.client
	}
	if s.endpoint || region == s.cfg.Region || !regionName.MatchString(region) {
		return false
	}
	s.moved, s.cfg.Region = true, region
	s.connect()
	return true
}

var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z0-9]+){1,4}$`)
