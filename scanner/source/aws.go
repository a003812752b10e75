package source

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials/ssocreds"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/coldcheck/coldcheck/internal/buildinfo"
)

// credentialsPatience is how long to look for credentials.
const credentialsPatience = 30 * time.Second

// loadAWS loads the configuration of the AWS SDK and finds credentials, so that a
// source without them fails at once. load is Options.AWS.
func (r *requests) loadAWS(load func(ctx context.Context) (aws.Config, error)) (aws.Config, error) {
	if load == nil {
		load = defaultAWS
	}
	ctx, end := context.WithTimeout(r.ctx, credentialsPatience)
	defer end()
	cfg, err := load(ctx)
	if r.ctx.Err() != nil {
		return cfg, context.Cause(r.ctx)
	}
	if err != nil {
		return cfg, r.fail(refuses("the AWS configuration cannot be loaded: "+r.secrets.hide(innermost(err).Error()),
			"check AWS_PROFILE and ~/.aws/config"))
	}
	if cfg.Credentials == nil {
		return cfg, r.fail(noCredentials)
	}
	cfg.Credentials = &provider{cfg.Credentials, &r.secrets}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		if r.ctx.Err() != nil {
			return cfg, context.Cause(r.ctx)
		}
		return cfg, r.fail(r.credentialsFault(err))
	}
	return cfg, nil
}

// defaultAWS is the default chain of the SDK. Connections to find credentials end with
// their request. The SDK would log to standard error, which belongs to the program.
func defaultAWS(ctx context.Context) (aws.Config, error) {
	client := awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.DisableKeepAlives = true })
	return config.LoadDefaultConfig(ctx, config.WithHTTPClient(client), config.WithLogger(logging.Nop{}))
}

// named adds the program to the name with which the SDK introduces itself to a server.
func named(stack *middleware.Stack) error {
	return awsmiddleware.AddUserAgentKeyValue(buildinfo.Name, buildinfo.UserAgentVersion())(stack)
}

// unencrypted reports whether connections to an endpoint are not encrypted. endpoint is nil for those of AWS.
func unencrypted(endpoint *string) bool { return hasScheme(aws.ToString(endpoint), "http://") }

// provider marks the errors of a provider of credentials, and keeps the credentials out
// of messages.
type provider struct {
	aws.CredentialsProvider
	secrets *secrets
}

func (p *provider) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := p.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return c, &credentialsError{err}
	}
	p.secrets.add(c.SecretAccessKey, c.SessionToken, c.AccessKeyID)
	return c, nil
}

type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return "credentials: " + e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }

var noCredentials = refuses("there are no AWS credentials",
	"set AWS_PROFILE, run aws sso login, or use a role, as for the AWS CLI")

// credentialsFault explains why there are no credentials.
func (r *requests) credentialsFault(err error) *fault {
	var sso *ssocreds.InvalidTokenError
	var api smithy.APIError
	var operation *smithy.OperationError
	switch {
	case errors.As(err, &sso):
		return &fault{class: lapsed, text: "the AWS SSO session has expired", hint: "run aws sso login"}
	case errors.As(err, &api):
		return r.apiFault(api, nil)
	case errors.As(err, &operation) && operation.Service() != "ec2imds":
		return r.network(err)
	}
	return noCredentials
}

// awsFault explains an error of the SDK. specific explains the errors that only one
// service has; it returns nil for any other.
func (r *requests) awsFault(
	err error, specific func(api smithy.APIError, response *smithyhttp.Response) *fault,
) *fault {
	var credentials *credentialsError
	if errors.As(err, &credentials) {
		f := r.credentialsFault(credentials.err)
		if f.class == refused { // there were some when the source was opened
			f = &fault{class: lapsed, text: "the AWS credentials cannot be renewed", hint: f.hint}
		}
		return f
	}
	var response *smithyhttp.ResponseError
	var api smithy.APIError
	var h *smithyhttp.Response
	if errors.As(err, &response) {
		h = response.HTTPResponse()
	}
	if !errors.As(err, &api) {
		if h == nil || h.StatusCode < 300 { // a connection that broke, or a body that was cut off
			return r.network(err)
		}
		api = &smithy.GenericAPIError{}
	}
	if f := specific(api, h); f != nil {
		return f
	}
	return r.apiFault(api, h)
}

// apiFault explains the errors that every service of AWS has. response is nil if it is
// not known.
func (r *requests) apiFault(api smithy.APIError, response *smithyhttp.Response) *fault {
	code, status, after := api.ErrorCode(), 0, time.Duration(0)
	if response != nil {
		status, after = response.StatusCode, retryAfter(response.Header)
	}
	what := codeText(code, status)
	switch code {
	case "RequestThrottledException", "RequestThrottled", "ThrottlingException", "Throttling", "ThrottledException",
		"RequestLimitExceeded", "TooManyRequestsException", "SlowDown", "BandwidthLimitExceeded",
		"ServiceQuotaExceededException", "ConcurrentLimitExceededException", "LimitExceededException",
		"ProvisionedThroughputExceededException", "PriorRequestNotComplete", "EC2ThrottledException":
		return &fault{class: throttled, text: "AWS throttles: " + what, after: after}
	case "ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired":
		return &fault{class: lapsed, text: "the AWS credentials have expired: " + what, hint: "renew them"}
	case "RequestTimeTooSkewed":
		return refuses("the clock of this machine is wrong: "+what, "set the clock")
	case "UnrecognizedClientException", "InvalidClientTokenId", "InvalidAccessKeyId", "InvalidSignatureException",
		"SignatureDoesNotMatch", "MissingAuthenticationToken", "IncompleteSignature", "InvalidToken", "OptInRequired",
		"MissingAuthenticationTokenException", "IncompleteSignatureException":
		return forbidden("the AWS credentials are not valid: "+what, "check the credentials and the region")
	case "AccessDenied", "AccessDeniedException", "AllAccessDisabled", "AccountProblem", "UnauthorizedAccess",
		"NotAuthorized", "UnauthorizedOperation":
		return forbidden("access is denied: "+what, "")
	}
	switch {
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return &fault{class: throttled, text: "AWS throttles: " + what, after: after}
	case status >= 500, status == http.StatusRequestTimeout, code == "RequestTimeout",
		code == "RequestTimeoutException", code == "InternalError", api.ErrorFault() == smithy.FaultServer:
		return &fault{class: passing, text: "AWS failed: " + what, after: after}
	case status == http.StatusForbidden, status == http.StatusUnauthorized:
		return forbidden("access is denied: "+what, "")
	case status == http.StatusNotFound:
		return missing("not found: "+what, "")
	}
	return refuses("AWS refuses the request: "+what, "")
}

// plainCode matches what is an error code, and no text that a server repeats.
var plainCode = regexp.MustCompile(`^[A-Z][A-Za-z]{2,50}(\.[A-Z][A-Za-z]{2,50})?$`)

// codeText is a code and status for a message.
func codeText(code string, status int) string {
	switch {
	case plainCode.MatchString(code):
		return code
	case status != 0:
		return "HTTP status " + strconv.Itoa(status)
	}
	return "an unknown error"
}

// mentions reports whether the message of a service has one of these words. Some errors
// have no code of their own.
func mentions(api smithy.APIError, words ...string) bool {
	message := strings.ToLower(api.ErrorMessage())
	for _, w := range words {
		if strings.Contains(message, w) {
			return true
		}
	}
	return false
}
