package source

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ebs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	schemeEBS = "ebs:"
	// ebsAhead is how many blocks are read ahead.
	ebsAhead = 16
	// leastEBSBlock and mostEBSBlock bound the size of blocks, which is 512 KiB.
	leastEBSBlock, mostEBSBlock = 4 << 10, 8 << 20
	// mostBlocks is how many blocks the largest volume has.
	mostBlocks = 1 << 27
	// maxRenewals is how often the token of a block is renewed.
	maxRenewals = 3
	// largestVolume is the size in GiB of the largest volume that EBS has.
	largestVolume = 64 << 10
)

// kindEBS is the row of EBS snapshots.
var kindEBS = sourceKind{
	owns: func(name string) bool { return hasScheme(name, schemeEBS) },
	open: openEBS, check: checkEBS,
	same: func(a, b string) bool { return a[len(schemeEBS):] == b[len(schemeEBS):] },
}

// ebsAPI is what is called of EBS direct APIs. deploy/iam allows the actions of the
// same names.
type ebsAPI interface {
	ListSnapshotBlocks(
		ctx context.Context, in *ebs.ListSnapshotBlocksInput, o ...func(*ebs.Options),
	) (*ebs.ListSnapshotBlocksOutput, error)
	GetSnapshotBlock(
		ctx context.Context, in *ebs.GetSnapshotBlockInput, o ...func(*ebs.Options),
	) (*ebs.GetSnapshotBlockOutput, error)
}

// snapshot is an EBS snapshot. Blocks that it does not list are zeros.
type snapshot struct {
	Remote
	id     string
	region string
	api    ebsAPI
	blocks blockList
}

var snapshotID = regexp.MustCompile(`^snap-[A-Za-z0-9]{1,40}$`)

func checkEBS(name string) error {
	if !snapshotID.MatchString(name[len(schemeEBS):]) {
		return fmt.Errorf("%s: not ebs:snap-…: %w", name, fs.ErrInvalid)
	}
	return nil
}

func openEBS(ctx context.Context, name string, o Options) (place, error) {
	if err := checkEBS(name); err != nil {
		return nil, err
	}
	s := &snapshot{id: name[len(schemeEBS):]}
	s.Remote = Remote{requests: newRequests(ctx, name, o), options: o, identity: Identity{Snapshot: s.id},
		price: PriceOfEBSBlock}
	s.rate = o.EBSRate
	if err := s.open(); err != nil {
		s.requests.close(fs.ErrClosed)
		return nil, err
	}
	return s, nil
}

// connect returns a client for EBS direct APIs.
func (s *snapshot) connect() (*ebs.Client, error) {
	cfg, err := s.loadAWS(s.options.AWS)
	if err != nil {
		return nil, err
	}
	if cfg.Region == "" {
		return nil, s.fail(refuses("the region is not known", "set AWS_REGION to the region of the snapshot"))
	}
	s.region = cfg.Region
	return ebs.NewFromConfig(cfg, func(o *ebs.Options) {
		o.HTTPClient = s.client
		o.APIOptions = append(o.APIOptions, named)
		o.Retryer = aws.NopRetryer{} // requests repeats
	}), nil
}

func (s *snapshot) open() error {
	client, err := s.connect()
	if err != nil {
		return err
	}
	s.clear = unencrypted(client.Options().BaseEndpoint)
	s.api = client
	s.blocks.list = s.list
	s.blocks.contradiction = func(number int64) error {
		return s.fail(differs(fmt.Sprintf("the list of its blocks is different at block %d", number)))
	}
	s.possible = s.blocks.possible
	first, err := s.list(0)
	if err != nil {
		return err
	}
	s.block, s.bytes = first.blockSize, first.volume
	s.identity.VolumeSize = s.bytes
	s.blocks.begin(first)
	return s.start(s.fetch, 1, ebsAhead)
}

// list lists blocks from a number on.
func (s *snapshot) list(from int64) (l *listing, err error) {
	err = s.do(s.ctx, 4<<20, func(a *attempt) (f *fault) {
		l, f = s.page(a, from)
		return f
	})
	return l, err
}

// page requests one page of the list that begins at a block. Such pages have no page
// tokens that expire. A page without blocks does not say how far it reaches, so the
// request goes on with its token, which takes precedence over the first block.
func (s *snapshot) page(a *attempt, from int64) (*listing, *fault) {
	l := &listing{first: from}
	var token *string
	for range 1000 {
		s.lists.Add(1)
		out, err := s.api.ListSnapshotBlocks(a.ctx, &ebs.ListSnapshotBlocksInput{
			SnapshotId: aws.String(s.id), MaxResults: aws.Int32(listPage), NextToken: token,
			StartingBlockIndex: aws.Int32(int32(from)),
		})
		if err != nil {
			return nil, s.awsFault(err, s.fault)
		}
		a.alive()
		if f := s.check(out, l); f != nil {
			return nil, f
		}
		for _, b := range out.Blocks {
			number := int64(aws.ToInt32(b.BlockIndex))
			if b.BlockIndex == nil || aws.ToString(b.BlockToken) == "" || number < l.end() || number >= l.volume/l.blockSize {
				return nil, refuses(fmt.Sprintf("the list of blocks contradicts itself at block %d", number), "")
			}
			l.add(number, *b.BlockToken)
		}
		if aws.ToString(out.NextToken) == "" {
			l.last = true
			return l, nil
		}
		if len(out.Blocks) > 0 {
			return l, nil
		}
		token = out.NextToken
	}
	return nil, refuses("the list of blocks has too many pages without blocks", "")
}

// check compares the sizes in a page with those that are known.
func (s *snapshot) check(out *ebs.ListSnapshotBlocksOutput, l *listing) *fault {
	size, volume := int64(aws.ToInt32(out.BlockSize)), aws.ToInt64(out.VolumeSize)
	if size < leastEBSBlock || size > mostEBSBlock || size&(size-1) != 0 || volume <= 0 || volume > largestVolume ||
		volume<<30/size > mostBlocks {
		return refuses(fmt.Sprintf("a volume of %d GiB in blocks of %d bytes", volume, size), "")
	}
	l.blockSize, l.volume = size, volume<<30
	if s.cache != nil && (l.blockSize != s.block || l.volume != s.bytes) {
		return differs("its size is different")
	}
	return nil
}

// readAt reads blocks that hold data through the cache, and any other as zeros.
func (s *snapshot) readAt(ctx context.Context, p []byte, off int64) (int, error) {
	done := 0
	for done < len(p) {
		at := off + int64(done)
		written, end, err := s.blocks.extent(ctx, at/s.block, (off+int64(len(p))-1)/s.block)
		if err != nil {
			return done, err
		}
		part := p[done:min(end*s.block-off, int64(len(p)))]
		if !written {
			if err := s.failed(); err != nil {
				return done, err
			}
			clear(part)
			done += len(part)
			continue
		}
		n, err := s.Remote.readAt(ctx, part, at)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// holes finds holes in the list. It looks no further than it has to: where the list is
// not known, a hole may begin.
func (s *snapshot) holes() *holeFinder {
	return &holeFinder{
		data: func(off int64) (int64, error) {
			block, err := s.blocks.next(s.ctx, off/s.block)
			if err != nil {
				return 0, err
			}
			if block < 0 {
				return endOfFile, nil
			}
			return max(off, block*s.block), nil
		},
		hole: func(off int64) (int64, error) {
			if off >= s.bytes {
				return endOfFile, nil
			}
			written, end, err := s.blocks.extent(s.ctx, off/s.block, s.bytes/s.block-1)
			if err != nil {
				return 0, err
			}
			if !written {
				return off, nil
			}
			return min(end*s.block, s.bytes), nil
		},
	}
}

// fetch reads one block.
func (s *snapshot) fetch(ctx context.Context, blocks [][]byte, off int64) error {
	number := off / s.block
	written, _, err := s.blocks.extent(ctx, number, number)
	if err != nil {
		return err
	}
	if !written { // read ahead
		clear(blocks[0])
		return nil
	}
	for renewed := 0; ; renewed++ {
		token, err := s.blocks.token(ctx, number)
		if err != nil {
			return err
		}
		var sum [sha256.Size]byte
		outdated := false
		err = s.do(ctx, s.block, func(a *attempt) (f *fault) {
			sum, f = s.get(a, blocks, number, token)
			if f == nil || f.class != stale {
				return f
			}
			if renewed == maxRenewals {
				return passes(f.text)
			}
			outdated = true
			return nil
		})
		switch {
		case err != nil:
			return err
		case !outdated:
			return s.fetchedSum(number, sum)
		}
		s.retried.Add(1)
		s.blocks.forget(number, token)
	}
}

// get requests a block and verifies its checksum, which the SDK does not.
func (s *snapshot) get(a *attempt, blocks [][]byte, number int64, token string) (sum [sha256.Size]byte, f *fault) {
	s.gets.Add(1)
	out, err := s.api.GetSnapshotBlock(a.ctx, &ebs.GetSnapshotBlockInput{
		SnapshotId: aws.String(s.id), BlockIndex: aws.Int32(int32(number)), BlockToken: aws.String(token),
	})
	if err != nil {
		return sum, s.awsFault(err, s.fault)
	}
	defer out.BlockData.Close()
	a.alive()
	if out.ChecksumAlgorithm != types.ChecksumAlgorithmChecksumAlgorithmSha256 {
		return sum, refuses(fmt.Sprintf("block %d has no SHA-256", number), "")
	}
	if n := int64(aws.ToInt32(out.DataLength)); n != s.block {
		return sum, passes(fmt.Sprintf("block %d has %d bytes", number, n))
	}
	if f := a.read(out.BlockData, blocks); f != nil {
		return sum, f
	}
	sum = sha256.Sum256(blocks[0])
	if base64.StdEncoding.EncodeToString(sum[:]) != aws.ToString(out.Checksum) {
		return sum, passes(fmt.Sprintf("the checksum of block %d is wrong", number))
	}
	return sum, nil
}

// fault explains the errors of EBS direct APIs.
func (s *snapshot) fault(api smithy.APIError, _ *smithyhttp.Response) *fault {
	var invalid *types.ValidationException
	var denied *types.AccessDeniedException
	var absent *types.ResourceNotFoundException
	const key = "allow kms:Decrypt for the KMS key of the snapshot, or copy the snapshot with a key of your account"
	switch {
	case errors.As(api, &denied):
		what := "AccessDeniedException " + reason(string(denied.Reason))
		if denied.Reason == types.AccessDeniedExceptionReasonDependencyAccessDenied {
			return forbidden("the KMS key of the snapshot cannot be used: "+what, key)
		}
		if f := s.state(api); f != nil {
			return f
		}
		return forbidden("access is denied: "+what, "allow ebs:ListSnapshotBlocks and ebs:GetSnapshotBlock "+
			"(deploy/iam); a snapshot of another account must be shared with yours")
	case errors.As(api, &absent):
		what := "ResourceNotFoundException " + reason(string(absent.Reason))
		if absent.Reason == types.ResourceNotFoundExceptionReasonDependencyResourceNotFound {
			return refuses("the KMS key of the snapshot does not exist: "+what, key)
		}
		return missing("there is no such snapshot: "+what, "check the ID and the region, which is "+s.region)
	case errors.As(api, &invalid):
		what := "ValidationException " + reason(string(invalid.Reason))
		switch invalid.Reason {
		case types.ValidationExceptionReasonInvalidBlockToken, types.ValidationExceptionReasonInvalidPageToken:
			return &fault{class: stale, text: "the service does not accept its own token: " + what}
		case types.ValidationExceptionReasonInvalidCustomerKey:
			return forbidden("the KMS key of the snapshot cannot be used: "+what, key)
		}
		if f := s.state(api); f != nil {
			return f
		}
		switch {
		case mentions(api, "token") && mentions(api, "expired"):
			return &fault{class: stale, text: "a token of the service has expired: " + what}
		case invalid.Reason == types.ValidationExceptionReasonInvalidSnapshotId:
			return missing("there is no such snapshot: "+what, "check the ID and the region, which is "+s.region)
		}
		return refuses("the service refuses the request: "+what, "")
	case strings.HasPrefix(api.ErrorCode(), "KMS"):
		return forbidden("the KMS key of the snapshot cannot be used: "+codeText(api.ErrorCode(), 0), key)
	}
	return nil
}

// state explains why a snapshot is not one that can be read, which the service says in
// words only. It returns nil for any other error.
func (s *snapshot) state(api smithy.APIError) *fault {
	switch {
	case mentions(api, "public"):
		return refuses("the snapshot is public, and EBS direct APIs do not read public snapshots",
			"copy the snapshot into your account, and scan the copy")
	case mentions(api, "pending", "not completed", "completed state"):
		return refuses("the snapshot is pending",
			"wait until it is completed: aws ec2 wait snapshot-completed --snapshot-ids "+s.id)
	case mentions(api, "archive"):
		return refuses("the snapshot is archived",
			"restore it first: aws ec2 restore-snapshot-tier --snapshot-id "+s.id)
	}
	return nil
}

// close waits for the requests for lists too.
func (s *snapshot) close() error {
	err := s.Remote.close()
	s.blocks.close()
	s.requests.close(fs.ErrClosed)
	return err
}

// reason is a reason code for a message.
func reason(code string) string {
	if !reasonCode.MatchString(code) {
		return ""
	}
	return "(" + code + ")"
}

var reasonCode = regexp.MustCompile(`^[A-Z_]{3,50}$`)
