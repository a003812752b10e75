package remotetest

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// EBSBlock is the default size of a block in bytes.
const EBSBlock = 512 << 10

// EBSServer is a server of EBS direct APIs.
type EBSServer struct {
	Server
	// PageLimit is how many blocks a page of a list has at most; 0 for as many as
	// are asked for.
	PageLimit int
	// EmptyPages makes every list begin with a page without blocks.
	EmptyPages bool
	// BlockSize is the size of a block in bytes, a power of two; EBSBlock if 0. It is
	// set before snapshots are added.
	BlockSize int64

	mu         sync.Mutex
	snapshots  map[string]*snapshot
	refusals   map[string]Refusal
	generation int // of tokens
	volumes    map[*snapshot]int
	made       int // volumes
}

type snapshot struct {
	image   io.ReaderAt
	gib     int64
	written func(block int64) bool
}

// Sparse is an image that knows its holes.
type Sparse interface {
	// Next is where the first data is at or after an offset; the size if there is none.
	Next(off int64) int64
}

// Refusal is an error of the service.
type Refusal struct {
	Status                int
	Code, Reason, Message string
}

// EBS starts a server of EBS direct APIs.
func EBS(t testing.TB) *EBSServer {
	s := &EBSServer{snapshots: map[string]*snapshot{}, refusals: map[string]Refusal{}, volumes: map[*snapshot]int{}}
	s.start(t, ebsAction, s.serve)
	return s
}

// Add adds a snapshot of an image, on a volume of as many GiB as it needs. Blocks of
// zeros are not written.
func (s *EBSServer) Add(id string, image io.ReaderAt, size int64) {
	written := map[int64]bool{}
	sparse, _ := image.(Sparse)
	block := s.blockSize()
	p := make([]byte, block)
	for off := int64(0); off < size; off += block {
		if sparse != nil {
			if off = sparse.Next(off) / block * block; off >= size {
				break
			}
		}
		part(image, p, off)
		written[off/block] = bytes.Count(p, []byte{0}) < len(p)
	}
	s.AddSparse(id, image, size, func(block int64) bool { return written[block] })
}

func (s *EBSServer) blockSize() int64 { return cmp.Or(s.BlockSize, EBSBlock) }

// AddSparse adds a snapshot of which it is known which blocks are written.
func (s *EBSServer) AddSparse(id string, image io.ReaderAt, size int64, written func(block int64) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	snap := &snapshot{image, (size + 1<<30 - 1) >> 30, written}
	s.snapshots[id], s.volumes[snap] = snap, s.made
}

// Refuse makes all requests for a snapshot fail.
func (s *EBSServer) Refuse(id string, r Refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals[id] = r
}

// ExpireTokens makes all tokens invalid that were handed out so far.
func (s *EBSServer) ExpireTokens() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.generation++
}

func ebsAction(r *http.Request) string {
	switch parts := strings.Split(r.URL.Path, "/"); {
	case r.Method != http.MethodGet || parts[1] != "snapshots":
	case len(parts) == 4 && parts[3] == "blocks":
		return "ebs:ListSnapshotBlocks"
	case len(parts) == 5 && parts[3] == "blocks":
		return "ebs:GetSnapshotBlock"
	case len(parts) == 4 && parts[3] == "changedblocks":
		return "ebs:ListChangedBlocks"
	}
	return "ebs:?"
}

var ebsFaults = map[Fault]Refusal{
	Throttled:          {400, "RequestThrottledException", "ACCOUNT_THROTTLED", "Rate exceeded"},
	Failed:             {500, "InternalServerException", "", "internal"},
	Denied:             {403, "AccessDeniedException", "UNAUTHORIZED_ACCOUNT", "not authorized"},
	Missing:            {404, "ResourceNotFoundException", "SNAPSHOT_NOT_FOUND", "no such snapshot"},
	ExpiredCredentials: {403, "ExpiredTokenException", "", "The security token included in the request is expired"},
	ExpiredToken:       {400, "ValidationException", "INVALID_BLOCK_TOKEN", "the token has expired"},
}

// refuse writes an error. Its message repeats what the client sent, as a careless server
// may.
func (s *EBSServer) refuse(w http.ResponseWriter, r *http.Request, e Refusal) {
	w.Header().Set("X-Amzn-Errortype", e.Code)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Status)
	json.NewEncoder(w).Encode(map[string]string{"Reason": e.Reason,
		"Message": e.Message + " " + r.Header.Get("X-Amz-Security-Token") + r.URL.RawQuery})
}

func (s *EBSServer) serve(w http.ResponseWriter, r *http.Request, fault Fault) {
	if e, ok := ebsFaults[fault]; ok {
		s.refuse(w, r, e)
		return
	}
	authorization := r.Header.Get("Authorization")
	if !strings.HasPrefix(authorization, "AWS4-HMAC-SHA256 Credential="+AccessKey+"/") ||
		!strings.Contains(authorization, "/"+Region+"/ebs/aws4_request") {
		s.refuse(w, r, Refusal{403, "UnrecognizedClientException", "", "no signature"})
		return
	}
	parts := strings.Split(r.URL.Path, "/")
	if len(parts) < 4 {
		s.refuse(w, r, Refusal{404, "UnknownOperationException", "", ""})
		return
	}
	s.mu.Lock()
	snap, refusal, generation := s.snapshots[parts[2]], s.refusals[parts[2]], s.generation
	s.mu.Unlock()
	switch {
	case refusal.Status != 0:
		s.refuse(w, r, refusal)
	case snap == nil:
		s.refuse(w, r, ebsFaults[Missing])
	case len(parts) == 4 && parts[3] == "changedblocks":
		s.changed(w, r, snap)
	case len(parts) == 4:
		s.list(w, r, snap, generation)
	default:
		s.block(w, r, snap, generation, parts[4])
	}
}

type changedBlock struct {
	BlockIndex       int64
	FirstBlockToken  string `json:",omitempty"`
	SecondBlockToken string `json:",omitempty"`
}

// changed lists the blocks that differ from those of an earlier snapshot.
func (s *EBSServer) changed(w http.ResponseWriter, r *http.Request, snap *snapshot) {
	q := r.URL.Query()
	s.mu.Lock()
	first := s.snapshots[q.Get("firstSnapshotId")]
	related := first != nil && s.volumes[first] == s.volumes[snap]
	s.mu.Unlock()
	most, err := strconv.Atoi(q.Get("maxResults"))
	switch {
	case first == nil:
		s.refuse(w, r, ebsFaults[Missing])
		return
	case !related:
		s.refuse(w, r, Refusal{400, "ValidationException", "UNRELATED_SNAPSHOTS", "not of the same volume"})
		return
	case err != nil || most < 100 || most > 10_000:
		s.refuse(w, r, Refusal{400, "ValidationException", "INVALID_PARAMETER_VALUE", "MaxResults"})
		return
	}
	if s.PageLimit > 0 {
		most = min(most, s.PageLimit)
	}
	from, _ := strconv.ParseInt(q.Get("startingBlockIndex"), 10, 64)
	if token := q.Get("pageToken"); token != "" {
		fmt.Sscanf(token, "changes-%d", &from)
	}
	answer := map[string]any{"BlockSize": s.blockSize(), "VolumeSize": snap.gib,
		"ExpiryTime": time.Now().Add(7 * 24 * time.Hour).Unix()}
	blocks := []changedBlock{}
	a, b := make([]byte, s.blockSize()), make([]byte, s.blockSize())
	for n := from; n < snap.gib<<30/s.blockSize(); n++ {
		if !first.written(n) && !snap.written(n) {
			continue
		}
		part(first.image, a, n*s.blockSize())
		part(snap.image, b, n*s.blockSize())
		if bytes.Equal(a, b) {
			continue
		}
		if len(blocks) == most {
			answer["NextToken"] = fmt.Sprintf("changes-%d", n)
			break
		}
		blocks = append(blocks, changedBlock{n, "first", "second"})
	}
	answer["ChangedBlocks"] = blocks
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// Volume says that snapshots are of the same volume. Others have each their own.
func (s *EBSServer) Volume(ids ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	for _, id := range ids {
		s.volumes[s.snapshots[id]] = s.made
	}
}

type listed struct {
	BlockIndex int64
	BlockToken string
}

func (s *EBSServer) list(w http.ResponseWriter, r *http.Request, snap *snapshot, generation int) {
	q := r.URL.Query()
	most, err := strconv.Atoi(q.Get("maxResults"))
	if err != nil || most < 100 || most > 10_000 {
		s.refuse(w, r, Refusal{400, "ValidationException", "INVALID_PARAMETER_VALUE", "MaxResults"})
		return
	}
	if s.PageLimit > 0 {
		most = min(most, s.PageLimit)
	}
	from, _ := strconv.ParseInt(q.Get("startingBlockIndex"), 10, 64)
	fresh := true
	if token := q.Get("pageToken"); token != "" {
		var made int
		if n, err := fmt.Sscanf(token, "page-%d-%d", &made, &from); n != 2 || err != nil || made != generation {
			s.refuse(w, r, Refusal{400, "ValidationException", "INVALID_PAGE_TOKEN", "the token has expired"})
			return
		}
		fresh = false
	}
	answer := map[string]any{
		"BlockSize": s.blockSize(), "VolumeSize": snap.gib, "ExpiryTime": time.Now().Add(7 * 24 * time.Hour).Unix(),
	}
	blocks := []listed{}
	if fresh && s.EmptyPages {
		answer["NextToken"] = fmt.Sprintf("page-%d-%d", generation, from)
	} else {
		for n := from; n < snap.gib<<30/s.blockSize(); n++ {
			if !snap.written(n) {
				continue
			}
			if len(blocks) == most {
				answer["NextToken"] = fmt.Sprintf("page-%d-%d", generation, n)
				break
			}
			blocks = append(blocks, listed{n, blockToken(generation, n)})
		}
	}
	answer["Blocks"] = blocks
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer)
}

// blockToken is as long as those of the service.
func blockToken(generation int, block int64) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%020d:%020d:remotetest-block-token", generation, block))
}

func (s *EBSServer) block(w http.ResponseWriter, r *http.Request, snap *snapshot, generation int, number string) {
	n, err := strconv.ParseInt(number, 10, 32)
	if err != nil || r.URL.Query().Get("blockToken") != blockToken(generation, n) || !snap.written(n) {
		s.refuse(w, r, ebsFaults[ExpiredToken])
		return
	}
	p := make([]byte, s.blockSize())
	part(snap.image, p, n*s.blockSize())
	sum := sha256.Sum256(p)
	w.Header().Set("X-Amz-Data-Length", strconv.Itoa(len(p)))
	w.Header().Set("X-Amz-Checksum", base64.StdEncoding.EncodeToString(sum[:]))
	w.Header().Set("X-Amz-Checksum-Algorithm", "SHA256")
	w.Header().Set("Content-Length", strconv.Itoa(len(p)))
	w.Write(p)
}
