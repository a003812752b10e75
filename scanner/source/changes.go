package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ebs"
	"github.com/aws/aws-sdk-go-v2/service/ebs/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// ErrUnrelated is the error for snapshots that cannot be compared: of different volumes,
// with different sizes, or in the wrong order.
var ErrUnrelated = errors.New("the snapshots cannot be compared")

// changesAPI is what Changes calls of EBS direct APIs. deploy/iam allows the actions of
// the same names.
type changesAPI interface {
	ListChangedBlocks(
		ctx context.Context, in *ebs.ListChangedBlocksInput, o ...func(*ebs.Options),
	) (*ebs.ListChangedBlocksOutput, error)
}

// Changes calls each for every block that differs between two snapshots of a volume, in
// ascending order, until each returns false. from and to are names of EBS snapshots, the
// earlier first. It returns the size of a block and of the volume of the later one, in
// bytes.
//
// The error is ErrUnrelated if EBS does not compare the two. It is ErrPassing if the
// comparison may succeed later, and otherwise ErrIO.
func Changes(
	ctx context.Context, from, to string, o Options, each func(block int64) bool,
) (block, volume int64, err error) {
	for _, name := range []string{from, to} {
		if !kindEBS.owns(name) {
			return 0, 0, fmt.Errorf("%s: not ebs:snap-…: %w", ShownName(name), fs.ErrInvalid)
		}
		if err := checkEBS(name); err != nil {
			return 0, 0, err
		}
	}
	c := &changes{from: from[len(schemeEBS):], snapshot: snapshot{id: to[len(schemeEBS):]}}
	c.Remote = Remote{requests: newRequests(ctx, to, o), options: o}
	defer c.requests.close(fs.ErrClosed)
	client, err := c.connect()
	if err != nil {
		return 0, 0, err
	}
	c.api = client
	return c.compare(each)
}

// changes compares a snapshot with an earlier one.
type changes struct {
	snapshot
	from string
	api  changesAPI
}

// maxEmptyPages is how many pages without blocks may follow each other.
const maxEmptyPages = 1000

func (c *changes) compare(each func(block int64) bool) (block, volume int64, err error) {
	var token *string
	next := int64(0)
	for empty := 0; empty < maxEmptyPages; empty++ {
		var out *ebs.ListChangedBlocksOutput
		err := c.do(c.ctx, 4<<20, func(a *attempt) (f *fault) {
			out, f = c.page(a, token)
			return f
		})
		if err != nil {
			return 0, 0, err
		}
		l := &listing{}
		f := c.check(&ebs.ListSnapshotBlocksOutput{BlockSize: out.BlockSize, VolumeSize: out.VolumeSize}, l)
		if f == nil && block != 0 && (l.blockSize != block || l.volume != volume) {
			f = differs("its size is different")
		}
		if f != nil {
			return 0, 0, c.fail(f)
		}
		block, volume = l.blockSize, l.volume
		for _, b := range out.ChangedBlocks {
			number := int64(aws.ToInt32(b.BlockIndex))
			if b.BlockIndex == nil || number < next {
				return 0, 0, c.fail(refuses(fmt.Sprintf("the list of changed blocks contradicts itself at block %d", number), ""))
			}
			next, empty = number+1, 0
			if !each(number) {
				return block, volume, nil
			}
		}
		if token = out.NextToken; aws.ToString(token) == "" {
			return block, volume, nil
		}
	}
	return 0, 0, c.fail(refuses("the list of changed blocks has too many pages without blocks", ""))
}

func (c *changes) page(a *attempt, token *string) (*ebs.ListChangedBlocksOutput, *fault) {
	out, err := c.api.ListChangedBlocks(a.ctx, &ebs.ListChangedBlocksInput{
		FirstSnapshotId: aws.String(c.from), SecondSnapshotId: aws.String(c.id),
		MaxResults: aws.Int32(listPage), NextToken: token,
	})
	if err != nil {
		return nil, c.awsFault(err, c.fault)
	}
	a.alive()
	return out, nil
}

// fault explains the errors of ListChangedBlocks.
func (c *changes) fault(api smithy.APIError, response *smithyhttp.Response) *fault {
	var invalid *types.ValidationException
	if errors.As(api, &invalid) && invalid.Reason == types.ValidationExceptionReasonUnrelatedSnapshots {
		return &fault{class: refused, text: "it is not a later snapshot of the volume of " + c.from, also: ErrUnrelated}
	}
	return c.snapshot.fault(api, response)
}
