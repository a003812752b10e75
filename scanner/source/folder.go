package source

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"iter"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Folder holds the objects below a prefix in a bucket of S3: it reads, writes and lists
// them. It is safe for concurrent use.
//
// An error of its methods is fs.ErrNotExist if the bucket or the object does not exist,
// fs.ErrPermission if access is denied, and always ErrIO; it is ErrPassing too if the same
// call may succeed later. A failed call does not affect the next one.
type Folder struct {
	*requests
	bucket, prefix string
	options        Options // to open objects with
	server         *s3Server
	page           int32 // objects in a page of a list; 0 for as many as S3 sends
	end            func()
}

// folderAPI is what is called of S3 for a Folder. deploy/iam allows the actions.
type folderAPI interface {
	HeadObject(ctx context.Context, in *s3.HeadObjectInput, o ...func(*s3.Options)) (*s3.HeadObjectOutput, error)
	PutObject(ctx context.Context, in *s3.PutObjectInput, o ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	ListObjectsV2(
		ctx context.Context, in *s3.ListObjectsV2Input, o ...func(*s3.Options),
	) (*s3.ListObjectsV2Output, error)
}

// CheckFolderName returns an fs.ErrInvalid for a name that is not s3://BUCKET or
// s3://BUCKET/PREFIX; nil for any other. It opens nothing.
func CheckFolderName(name string) error {
	if hasScheme(name, schemeS3) {
		if bucket, prefix := parseFolder(name); bucket != "" && !strings.ContainsAny(prefix, "?\x00") {
			return nil
		}
	}
	return fmt.Errorf("%s: not s3://BUCKET/PREFIX: %w", ShownName(name), fs.ErrInvalid)
}

// parseFolder returns a prefix that is empty or ends in "/".
func parseFolder(name string) (bucket, prefix string) {
	bucket, prefix, _ = strings.Cut(name[len(schemeS3):], "/")
	if prefix = strings.TrimSuffix(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return bucket, prefix
}

// OpenFolder opens the folder s3://BUCKET/PREFIX. It finds the credentials, and sends no
// request to S3. The error is fs.ErrInvalid for another name. Options.CacheBytes and
// Options.Reserve are not used.
func OpenFolder(ctx context.Context, name string, o Options) (*Folder, error) {
	if err := CheckFolderName(name); err != nil {
		return nil, err
	}
	f := &Folder{}
	f.bucket, f.prefix = parseFolder(name)
	o.CacheBytes, o.Reserve = 0, nil
	f.options, f.end = o.Shared(o.parallel())
	f.requests = newRequests(ctx, name, f.options)
	var err error
	if f.server, err = f.connectS3(f.options); err != nil {
		f.Close()
		return nil, err
	}
	f.options.AWS = f.server.config
	return f, nil
}

// String is the name of the folder.
func (f *Folder) String() string { return f.shown }

// Close ends all calls and connections.
func (f *Folder) Close() error {
	f.requests.close(fs.ErrClosed)
	f.end()
	return nil
}

// name is the name of an object.
func (f *Folder) name(key string) string { return schemeS3 + f.bucket + "/" + f.prefix + key }

// The faults that are answers.
var (
	errThere = refuses("the object exists", "")
	errGone  = missing("the object does not exist", "")
)

// send sends a request for an object, or for the folder if the key is empty, until it
// succeeds or fails for good. size is how many bytes are sent or received at most. If the
// context ends, the error is its cause.
func (f *Folder) send(
	ctx context.Context, key string, size int, try func(a *attempt, api folderAPI) error,
) (*fault, error) {
	failed, err := f.repeat(ctx, int64(size), func(a *attempt) *fault {
		client := f.server.api()
		err := try(a, client)
		if err == nil {
			return nil
		}
		return f.awsFault(err, func(api smithy.APIError, response *smithyhttp.Response) *fault {
			return f.fault(client, api, response)
		})
	})
	switch {
	case err != nil:
		return nil, err
	case failed == nil, failed == errThere, failed == errGone:
		return failed, nil
	case key == "":
		return nil, failed.named(f.shown)
	}
	return nil, failed.named(f.name(key))
}

const hintFolder = "allow s3:PutObject and s3:GetObject for the objects, and s3:ListBucket for the bucket (deploy/iam)"

// fault explains an error that S3 sent to a client.
func (f *Folder) fault(client *s3.Client, api smithy.APIError, response *smithyhttp.Response) *fault {
	code, status, header := s3Error(api, response)
	what := codeText(code, status)
	if f := f.server.fault(client, code, status, header); f != nil {
		return f
	}
	switch {
	case code == "NoSuchBucket":
		return errNoBucket(what)
	case code == "PreconditionFailed", status == http.StatusPreconditionFailed:
		return errThere
	case code == "ConditionalRequestConflict", status == http.StatusConflict:
		return passes("another process writes the object: " + what)
	case code == "NoSuchKey", code == "NotFound", status == http.StatusNotFound:
		return errGone
	case code == "NotImplemented", status == http.StatusNotImplemented:
		return refuses("the server cannot write an object only if there is none: "+what,
			"use a server that supports If-None-Match, or a folder")
	case status == http.StatusForbidden && (code == "AccessDenied" || code == "Forbidden"):
		return forbidden("access is denied: "+what, hintFolder)
	}
	return nil
}

// Get returns an object of at most limit bytes. The error is ErrTooLarge if it has more.
func (f *Folder) Get(ctx context.Context, key string, limit int64) ([]byte, error) {
	if err := f.ctx.Err(); err != nil {
		return nil, context.Cause(f.ctx)
	}
	return ReadAll(ctx, f.name(key), limit, f.options)
}

// Exists reports whether there is an object.
func (f *Folder) Exists(ctx context.Context, key string) (bool, error) {
	answer, err := f.send(ctx, key, 0, func(a *attempt, api folderAPI) error {
		_, err := api.HeadObject(a.ctx, &s3.HeadObjectInput{Bucket: aws.String(f.bucket), Key: aws.String(f.prefix + key)})
		return err
	})
	return err == nil && answer == nil, err
}

// Put writes an object of any size up to 5 GB. With replace it writes over another one;
// otherwise it returns false if there is one. It may also return false if the object was
// written, and the answer of the server was lost.
//
// The server decides whether there is an object (If-None-Match). A server that ignores
// that condition writes over the other one.
func (f *Folder) Put(ctx context.Context, key string, data []byte, replace bool) (written bool, err error) {
	answer, err := f.put(ctx, key, data, func(in *s3.PutObjectInput) {
		if !replace {
			in.IfNoneMatch = aws.String("*")
		}
	})
	if err == nil && answer == errGone {
		err = errGone.named(f.name(key))
	}
	return err == nil && answer == nil, err
}

func (f *Folder) put(
	ctx context.Context, key string, data []byte, condition func(in *s3.PutObjectInput),
) (*fault, error) {
	return f.send(ctx, key, len(data), func(a *attempt, api folderAPI) error {
		in := &s3.PutObjectInput{Bucket: aws.String(f.bucket), Key: aws.String(f.prefix + key),
			Body: &upload{bytes.NewReader(data), a}, ContentLength: aws.Int64(int64(len(data)))}
		condition(in)
		_, err := api.PutObject(a.ctx, in)
		return err
	})
}

// upload is a body whose server is alive while it takes more of it.
type upload struct {
	*bytes.Reader
	a *attempt
}

func (u *upload) Read(p []byte) (int, error) {
	u.a.alive()
	return u.Reader.Read(p)
}

// Probe finds out whether an object can be written. It asks for an object to be written
// over one that cannot exist (If-Match), so nothing is written. A server that ignores the
// condition writes an empty object.
func (f *Folder) Probe(ctx context.Context, key string) error {
	const noETag = `"00000000000000000000000000000000"`
	_, err := f.put(ctx, key, nil, func(in *s3.PutObjectInput) { in.IfMatch = aws.String(noETag) })
	return err
}

// errList is for a list that has no end.
var errList = refuses("the list of objects does not go on", "")

// List lists the objects whose keys begin with a prefix, in the order of S3, and yields
// their keys without the prefix of the folder. An error ends the list. A bucket that does
// not exist is an error, a folder without objects is not.
func (f *Folder) List(ctx context.Context, prefix string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var token *string
		for {
			var page *s3.ListObjectsV2Output
			answer, err := f.send(ctx, "", maxBody, func(a *attempt, api folderAPI) (err error) {
				in := &s3.ListObjectsV2Input{Bucket: aws.String(f.bucket), Prefix: aws.String(f.prefix + prefix),
					ContinuationToken: token}
				if f.page > 0 {
					in.MaxKeys = aws.Int32(f.page)
				}
				page, err = api.ListObjectsV2(a.ctx, in)
				return err
			})
			if err == nil && answer != nil {
				err = answer.named(f.shown)
			}
			if err != nil {
				yield("", err)
				return
			}
			for _, object := range page.Contents {
				key, ok := strings.CutPrefix(aws.ToString(object.Key), f.prefix)
				if ok && !yield(key, nil) {
					return
				}
			}
			next := page.NextContinuationToken
			switch {
			case !aws.ToBool(page.IsTruncated):
				return
			case aws.ToString(next) == "" || token != nil && *next == *token:
				yield("", errList.named(f.shown))
				return
			}
			token = next
		}
	}
}
