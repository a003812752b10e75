package source

import (
	"context"
	"fmt"
	"io/fs"
	"net/http"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const schemeS3 = "s3://"

// kindS3 is the row of objects in S3.
var kindS3 = sourceKind{
	owns: func(name string) bool { return hasScheme(name, schemeS3) },
	open: openS3, same: sameS3, check: checkS3,
}

// s3API is what is called of S3. deploy/iam allows the actions of the same names.
type s3API interface {
	GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error)
}

// bucket is an object in S3.
type bucket struct {
	ranged
	bucket, key, version string
	etag                 string
	server               *s3Server
	pays                 bool // requests say that the requester pays
}

// versionOf matches the version at the end of a name.
var versionOf = regexp.MustCompile(`\?versionId=([^?&]+)$`)

func parseS3(name string) (bucket, key, version string, ok bool) {
	rest := name[len(schemeS3):]
	if m := versionOf.FindStringSubmatchIndex(rest); m != nil {
		rest, version = rest[:m[0]], rest[m[2]:m[3]]
	}
	bucket, key, _ = strings.Cut(rest, "/")
	return bucket, key, version, bucket != "" && key != ""
}

func sameS3(a, b string) bool {
	bucketA, keyA, versionA, _ := parseS3(a)
	bucketB, keyB, versionB, _ := parseS3(b)
	return bucketA == bucketB && keyA == keyB && versionA == versionB
}

func checkS3(name string) error {
	if _, _, _, ok := parseS3(name); !ok {
		return fmt.Errorf("%s: not s3://BUCKET/KEY: %w", name, fs.ErrInvalid)
	}
	return nil
}

func openS3(ctx context.Context, name string, o Options) (place, error) {
	if err := checkS3(name); err != nil {
		return nil, err
	}
	b := &bucket{}
	b.bucket, b.key, b.version, _ = parseS3(name)
	b.Remote = Remote{requests: newRequests(ctx, name, o), options: o, block: objectBlock, price: PriceOfS3Get}
	if err := b.open(); err != nil {
		b.requests.close(fs.ErrClosed)
		return nil, err
	}
	return b, nil
}

func (b *bucket) open() (err error) {
	if b.server, err = b.connectS3(b.options); err != nil {
		return err
	}
	b.clear = b.server.clear
	return b.begin(b.first, b.request)
}

// get requests a range.
func (b *bucket) get(a *attempt, off, n int64) (*s3.GetObjectOutput, *fault) {
	b.gets.Add(1)
	in := &s3.GetObjectInput{
		Bucket: aws.String(b.bucket), Key: aws.String(b.key),
		Range: aws.String(fmt.Sprintf("bytes=%d-%d", off, off+n-1)),
	}
	if b.version != "" {
		in.VersionId = aws.String(b.version)
	}
	if b.etag != "" {
		in.IfMatch = aws.String(b.etag)
	}
	if b.pays {
		in.RequestPayer = types.RequestPayerRequester
	}
	client := b.server.api()
	out, err := s3API(client).GetObject(a.ctx, in)
	if err != nil {
		return nil, b.awsFault(err, func(api smithy.APIError, response *smithyhttp.Response) *fault {
			return b.fault(client, api, response)
		})
	}
	a.alive()
	return out, nil
}

// first reads the first block and learns the size and the version of the object.
func (b *bucket) first(a *attempt, p *[]byte) *fault {
	out, f := b.get(a, 0, objectBlock)
	switch {
	case f == errEmpty:
		b.bytes, *p = 0, nil
		return nil
	case f != nil:
		return f
	}
	defer out.Body.Close()
	end, size, f := contentRange(aws.ToString(out.ContentRange), 0, objectBlock)
	if f != nil {
		return f
	}
	if aws.ToString(out.ETag) == "" {
		return refuses("the server sends no ETag, so a change could not be noticed", hintRanges)
	}
	if f := a.read(out.Body, [][]byte{(*p)[:end]}); f != nil {
		return f
	}
	b.bytes, *p, b.etag = size, (*p)[:end], aws.ToString(out.ETag)
	b.identity = Identity{
		ETag: b.etag, Version: aws.ToString(out.VersionId), Modified: aws.ToTime(out.LastModified), RequesterPays: b.pays,
	}
	return nil
}

// request requests a range of the version that was opened.
func (b *bucket) request(a *attempt, off, n int64) (response, *fault) {
	out, f := b.get(a, off, n)
	if f != nil {
		return response{}, f
	}
	r := response{body: out.Body, contentRange: aws.ToString(out.ContentRange)}
	if aws.ToString(out.ETag) != b.etag {
		r.changed = differs("its ETag is different")
	}
	return r, nil
}

// errEmpty stands for an object without bytes, which has no range.
var errEmpty = &fault{text: "an empty object"}

// fault explains an error that S3 sent to a client.
func (b *bucket) fault(client *s3.Client, api smithy.APIError, response *smithyhttp.Response) *fault {
	code, status, header := s3Error(api, response)
	what := codeText(code, status)
	switch {
	case code == "PreconditionFailed", status == http.StatusPreconditionFailed:
		return differs("S3 no longer has this version")
	case code == "InvalidRange" || status == http.StatusRequestedRangeNotSatisfiable:
		if b.cache == nil {
			return errEmpty
		}
		return differs("it has become shorter")
	case code == "NoSuchBucket":
		return errNoBucket(what)
	case code == "NoSuchVersion":
		return missing("the object does not have this version: "+what, "")
	case code == "NoSuchKey", status == http.StatusNotFound:
		return missing("the object does not exist: "+what, "")
	case code == "MethodNotAllowed" && header.Get("X-Amz-Delete-Marker") == "true":
		return missing("this version is a delete marker: "+what, "")
	case code == "InvalidObjectState":
		return refuses("the object is archived (S3 Glacier): "+what,
			"restore it first: aws s3api restore-object --bucket "+b.bucket+" --key …")
	case status == http.StatusBadRequest && mentions(api, "server side encryption", "server-side encryption"):
		return refuses("the object is encrypted with a key of the customer (SSE-C)",
			"copy it to an object that S3 encrypts with its own or a KMS key")
	}
	if b.cache != nil {
		client = nil // an open object stays where it is
	}
	if f := b.server.fault(client, code, status, header); f != nil {
		return f
	}
	switch {
	case status == http.StatusForbidden && code == "AccessDenied":
		if !b.pays && b.cache == nil {
			b.pays = true // a bucket whose requesters pay denies access without that
			return &fault{class: stale, text: "access is denied: " + what}
		}
		return forbidden("access is denied: "+what, "allow s3:GetObject, s3:GetObjectVersion for a version, and "+
			"kms:Decrypt if a KMS key encrypts the object (deploy/iam)")
	}
	return nil
}

// beside opens another object with the same prefix up to the last slash.
func (b *bucket) beside(ctx context.Context, name string) (*Source, error) {
	return Open(ctx, schemeS3+b.bucket+"/"+b.key[:strings.LastIndex(b.key, "/")+1]+name, b.options)
}
