package fleet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Inputs are what the verdict of a record rests on. A later scan with the same inputs
// comes to the same verdict.
type Inputs struct {
	// Settings is the SHA-256 of everything but the images: the program's version, its
	// settings, the user name, and the documents.
	Settings string `json:"settings"`
	// Until is the last moment for which the findings hold; nil if they do not depend on
	// the time.
	Until  *time.Time   `json:"holds_until,omitempty"`
	Images []ImageState `json:"images"` // in the order of the target
}

// ImageState says which bytes an image had.
type ImageState struct {
	Image    string `json:"image"` // without secrets
	Size     int64  `json:"size"`  // in bytes
	Snapshot string `json:"snapshot,omitempty"`
	Version  string `json:"version,omitempty"` // of an object
	ETag     string `json:"etag,omitempty"`
	SHA256   string `json:"sha256,omitempty"` // of a local file
	// Block is the size in bytes of the blocks that Read has the numbers of, such as
	// "0-3,7": those of a snapshot that the scan asked for, holes included.
	Block int64  `json:"block,omitempty"`
	Read  string `json:"read,omitempty"`
}

// settingsOf returns Inputs.Settings. own are the settings of the run.
func settingsOf(own, version string, t Target, documents []scanner.Document) string {
	h := sha256.New()
	e := json.NewEncoder(h)
	_ = e.Encode([]string{own, version, t.UserName}) // strings and hashes do not fail
	for _, d := range documents {
		_ = e.Encode([]any{d.Name, sha256.Sum256(d.Data)})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// inputsOf returns what the result of a scan rests on; nil if an image states no identity,
// or has other files.
func inputsOf(r *scanner.Result, p scanner.Policy, settings string) *Inputs {
	in := &Inputs{Settings: settings}
	if until := r.Until(p).UTC(); !until.IsZero() {
		in.Until = &until
	}
	for _, f := range r.Files {
		if len(f.Parts) > 0 || len(f.Parents) > 0 || f.Member != "" {
			return nil
		}
		s := ImageState{Image: f.Name, Size: f.Size, SHA256: f.SHA256}
		if f.Remote != nil {
			s = stateOf(f.Name, f.Size, f.Remote.Identity)
			if s.Snapshot != "" {
				s.Block, s.Read = f.Remote.BlockSize, formatRanges(f.Remote.Touched)
			}
		}
		if !s.identified() {
			return nil
		}
		in.Images = append(in.Images, s)
	}
	if len(in.Images) == 0 {
		return nil
	}
	return in
}

func stateOf(name string, size int64, i source.Identity) ImageState {
	s := ImageState{Image: name, Size: size, Snapshot: i.Snapshot, Version: i.Version}
	if strings.HasPrefix(i.ETag, `"`) { // not a weak one
		s.ETag = i.ETag
	}
	return s
}

func (s ImageState) identified() bool {
	return s.Snapshot != "" || s.Version != "" || s.ETag != "" || s.SHA256 != ""
}

// same reports whether two images state the same identity. The names of objects count,
// since an ETag does not tell the content of one object from that of another.
func (s ImageState) same(other ImageState) bool {
	switch {
	case s.Size != other.Size:
		return false
	case s.Snapshot != "" || other.Snapshot != "":
		return s.Snapshot == other.Snapshot
	case s.SHA256 != "" || other.SHA256 != "":
		return s.SHA256 == other.SHA256
	}
	return s.identified() && s.Image == other.Image && s.Version == other.Version && s.ETag == other.ETag
}

// Reuse takes verdicts from earlier records, so that images that have not changed are not
// scanned again.
type Reuse struct {
	Store Store // of the earlier records, in which that of a target has its id
}

// take returns what an earlier record says of a target. It is not ok if the target must be
// scanned. An earlier record that cannot be read, and images that cannot be compared, are
// a reason to scan: the scan comes to its own error.
func (u *Reuse) take(
	ctx context.Context, t Target, settings string, now time.Time, in scanner.Input,
) (s scanned, ok bool) {
	data, err := u.Store.Get(ctx, t.ID)
	if err != nil {
		return s, false
	}
	old, err := DecodeRecord(data)
	if err != nil || !old.holds(t, settings, now) {
		return s, false
	}
	reused := &Reused{From: u.Store.String(), Finished: old.Finished, Basis: SameIdentity}
	if old.Reused != nil {
		reused.Finished = old.Reused.Finished
	}
	inputs := &Inputs{Settings: settings, Until: old.Inputs.Until}
	for n, name := range t.Images {
		before := old.Inputs.Images[n]
		state, err := stateNow(ctx, name, before, in)
		if err != nil {
			return s, false
		}
		if !state.same(before) {
			blocks, err := unchanged(ctx, before, name, in.Remote)
			if err != nil {
				return s, false
			}
			reused.Basis = ChangedBlocks
			reused.Compared += blocks
		}
		state.Block, state.Read = before.Block, before.Read // what was read is the same
		inputs.Images = append(inputs.Images, state)
	}
	return scanned{exitCode: old.ExitCode, verdict: old.Verdict, report: old.Report, reused: reused, inputs: inputs}, true
}

// holds reports whether the verdict of a record holds for a target now, as far as the
// images are the same.
func (r *Record) holds(t Target, settings string, now time.Time) bool {
	in := r.Inputs
	switch {
	case r.Target.ID != t.ID, r.Error != nil, in == nil:
		return false
	case in.Settings != settings, len(in.Images) != len(t.Images):
		return false
	}
	return !now.Before(r.Finished) && (in.Until == nil || !now.After(*in.Until))
}

// stateNow returns what an image states now. The name of a snapshot says it.
func stateNow(ctx context.Context, name string, before ImageState, in scanner.Input) (ImageState, error) {
	if id, ok := strings.CutPrefix(name, "ebs:"); ok {
		return ImageState{Image: name, Size: before.Size, Snapshot: id}, nil
	}
	if !source.IsRemote(name) && !in.Hash {
		return ImageState{}, fmt.Errorf("%s: it states no identity", name)
	}
	s, err := source.Open(ctx, name, in.Remote)
	if err != nil {
		return ImageState{}, err
	}
	defer s.Close()
	if r := s.Remote(); r != nil {
		return stateOf(s.Name(), s.Size(), r.Identity()), nil
	}
	h := sha256.New()
	if err := s.Sum(h, nil); err != nil {
		return ImageState{}, err
	}
	if err := s.Changed(); err != nil {
		return ImageState{}, err
	}
	return ImageState{Image: s.Name(), Size: s.Size(), SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

// unchanged returns how many blocks it compared, all of which are the same in a snapshot as
// in the earlier one that was scanned. Any other answer is an error.
func unchanged(ctx context.Context, before ImageState, name string, o source.Options) (blocks int64, err error) {
	if before.Snapshot == "" || !strings.HasPrefix(name, "ebs:") {
		return 0, fmt.Errorf("%s: only snapshots are compared", source.ShownName(name))
	}
	read, err := parseRanges(before.Read)
	if err != nil {
		return 0, err
	}
	changed, i := int64(-1), 0 // both lists are in ascending order
	block, volume, err := source.Changes(ctx, "ebs:"+before.Snapshot, name, o, func(n int64) bool {
		for i < len(read) && read[i].Last < n {
			i++
		}
		if i < len(read) && read[i].First <= n {
			changed = n
		}
		return changed < 0 && i < len(read) // after the last block that was read, changes do not matter
	})
	switch {
	case err != nil:
		return 0, err
	case changed >= 0:
		return 0, fmt.Errorf("%s: block %d has changed", name, changed)
	case block != before.Block || volume != before.Size:
		return 0, fmt.Errorf("%s: its size has changed", name)
	}
	for _, r := range read {
		blocks += r.Last - r.First + 1
	}
	return blocks, nil
}

// formatRanges writes ranges as ImageState.Read has them.
func formatRanges(list []source.BlockRange) string {
	var text []byte
	for n, r := range list {
		if n > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, r.First, 10)
		if r.Last > r.First {
			text = append(text, '-')
			text = strconv.AppendInt(text, r.Last, 10)
		}
	}
	return string(text)
}

// parseRanges reads what formatRanges writes. The error is an ErrRecord: ranges that are
// not in ascending order, or none at all.
func parseRanges(text string) ([]source.BlockRange, error) {
	var list []source.BlockRange
	next := int64(0)
	for part := range strings.SplitSeq(text, ",") {
		first, last, several := strings.Cut(part, "-")
		if !several {
			last = first
		}
		from, errFrom := strconv.ParseUint(first, 10, 62)
		to, errTo := strconv.ParseUint(last, 10, 62)
		if errFrom != nil || errTo != nil || int64(from) < next || to < from {
			return nil, fmt.Errorf("%w: the blocks %.40q", ErrRecord, part)
		}
		list = append(list, source.BlockRange{First: int64(from), Last: int64(to)})
		next = int64(to) + 1
	}
	return list, nil
}
