package scanner

import (
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/inorder"
	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/source"
)

// Algorithm is a hash function by its usual short name.
type Algorithm string

// Use SHA1 and MD5 only if no better hash of the image was recorded. They show
// that a copy is complete, but do not protect against deliberate changes.
const (
	SHA256 Algorithm = "sha256"
	SHA1   Algorithm = "sha1"
	MD5    Algorithm = "md5"
	// ReadSetSHA256 is the digest of the blocks of a remote image that a scan reads
	// (ReadSet). It is for ExpectedSum only.
	ReadSetSHA256 Algorithm = "readset-sha256"
)

var newHash = map[Algorithm]func() hash.Hash{SHA256: sha256.New, SHA1: sha1.New, MD5: md5.New}

// ExpectedSum is a hash that an image must have.
type ExpectedSum struct {
	Image     string // its name, or that of a disk in an archive (Image.Name); "" for the only image
	Algorithm Algorithm
	Sum       string // in hexadecimal, in either case
}

// ParseExpectedSum reads "[IMAGE=]ALGORITHM:HEX". The error is ErrUsage.
func ParseExpectedSum(text string) (e ExpectedSum, err error) {
	sum := text
	if i := strings.LastIndexByte(text, '='); i >= 0 { // no sum has one, and a name may
		e.Image, sum = text[:i], text[i+1:]
		if e.Image == "" {
			return e, fail(ErrUsage, hintExpected, "%q names no image before the \"=\"", text)
		}
	}
	algorithm, digits, ok := strings.Cut(sum, ":")
	if !ok {
		return e, fail(ErrUsage, hintExpected, "%q is not ALGORITHM:HEX", sum)
	}
	e.Algorithm, e.Sum = Algorithm(strings.ToLower(algorithm)), strings.ToLower(digits)
	return e, e.check()
}

const hintExpected = "[IMAGE=]ALGORITHM:HEX, for example root.img=sha256:9f86d0…"

func (e ExpectedSum) check() error {
	newSum := newHash[e.Algorithm]
	if e.Algorithm == ReadSetSHA256 {
		newSum = sha256.New
	}
	if newSum == nil {
		return fail(ErrUsage, "the algorithms are sha256, sha1, md5, and readset-sha256 for remote images",
			"unknown algorithm %q", e.Algorithm)
	}
	sum, err := hex.DecodeString(e.Sum)
	if size := newSum().Size(); err != nil || len(sum) != size {
		return fail(ErrUsage, hintExpected, "%q is not a sum of %s, which has %d hexadecimal digits", e.Sum, e.Algorithm,
			2*size)
	}
	return nil
}

// fits returns an ErrUsage if the hash is not one that an image of this kind can have.
func (e ExpectedSum) fits(name string, remote bool) error {
	switch is := e.Algorithm == ReadSetSHA256; {
	case remote && !is:
		return fail(ErrUsage, "expect the digest of the blocks that a scan reads, readset-sha256:HEX, which --hash shows",
			"%s is remote and is not read in full: its %s cannot be compared", name, algorithmName[e.Algorithm])
	case !remote && is:
		return fail(ErrUsage, "expect its sha256", "%s is not remote: it has no readset-sha256", name)
	}
	return nil
}

// of says whether the hash is expected of an image, or of the archive that it is in.
func (e ExpectedSum) of(i *Image) bool {
	return e.Image == "" || e.Image == i.source.Name || e.Image == i.Name
}

// expectsReadSet says whether the digest of a read set is expected.
func (in *Input) expectsReadSet() bool {
	return slices.ContainsFunc(in.Expect, func(e ExpectedSum) bool { return e.Algorithm == ReadSetSHA256 })
}

// CheckExpected returns an ErrUsage if a hash is malformed, names no image, or
// contradicts another one. Scan calls it before it opens anything.
func (in *Input) CheckExpected() error {
	var names []string
	for _, s := range in.sources() {
		names = append(names, s.Name)
	}
	expected := map[string]string{}
	for _, e := range in.Expect {
		if err := e.check(); err != nil {
			return err
		}
		switch {
		case e.Image == "" && len(names) > 1:
			return fail(ErrUsage, hintExpected, "the expected %s must name its image: there are %d", e.Algorithm, len(names))
		case e.Image != "" && !slices.ContainsFunc(names, func(name string) bool {
			return e.Image == name || strings.HasPrefix(e.Image, name+": ") // a disk of an archive, known once it is open
		}):
			return fail(ErrUsage, "name it as it is given to the scan: "+strings.Join(names, ", "),
				"no image %q for the expected %s", e.Image, e.Algorithm)
		case e.Image == "" && len(names) == 1:
			e.Image = names[0]
		}
		for _, s := range in.sources() {
			if s.path != "" && (e.Image == s.Name || strings.HasPrefix(e.Image, s.Name+": ")) {
				if err := e.fits(s.Name, s.remote()); err != nil {
					return err
				}
			}
		}
		key := string(e.Algorithm) + " " + e.Image
		if sum, twice := expected[key]; twice && !strings.EqualFold(sum, e.Sum) {
			return fail(ErrUsage, "", "two expected values for the %s of %s: %s and %s", e.Algorithm, e.Image, sum, e.Sum)
		}
		expected[key] = e.Sum
	}
	return nil
}

// Sums are hashes in hexadecimal digits; "" if one was not requested.
type Sums struct {
	SHA256, SHA1, MD5 string
}

// sumsOf takes the sums that were computed.
func sumsOf(by map[Algorithm]string) Sums { return Sums{by[SHA256], by[SHA1], by[MD5]} }

// StatedSum is a hash of the disk that a container states.
type StatedSum struct {
	Algorithm Algorithm
	Sum       string // in lower case
	// Compared says that the bytes of the disk were hashed, and Matches that they
	// have this hash.
	Compared, Matches bool
}

// sums are the hashes that were computed: of files by their sources, and of the
// disks inside containers by their images.
type sums struct {
	by map[any]map[Algorithm]string
	// read is what hashing disks took of each file. It is not part of what a scan
	// reads, just as files are hashed without counting.
	read map[*source.Source]source.Counters
}

// verify hashes the images that must have a hash, before anything is judged. One that
// has another ends the scan.
func (vs *volumes) verify(ctx context.Context, in Input, trail *requirement.Trail) error {
	for _, e := range in.Expect {
		var of []*Image
		for _, i := range vs.images {
			if e.of(i) {
				of = append(of, i)
			}
		}
		if len(of) == 0 {
			return fail(ErrUsage, "'coldcheck inspect volumes' lists the disks of an archive", "no disk %q for the expected %s",
				e.Image, e.Algorithm)
		}
		if err := e.fits(of[0].source.Name, of[0].first().Remote() != nil); err != nil {
			return err
		}
		if e.Algorithm == ReadSetSHA256 {
			continue // matchReadSets compares it once everything is read
		}
		if err := vs.match(ctx, in, e, of, trail); err != nil {
			return err
		}
	}
	return nil
}

// matchReadSets compares the read sets that are expected, once everything is read. A
// different one ends the scan.
func (vs *volumes) matchReadSets(in Input, files []ImageFile, trail *requirement.Trail) error {
	for _, e := range in.Expect {
		if e.Algorithm != ReadSetSHA256 {
			continue
		}
		n := slices.IndexFunc(vs.images, e.of)
		if got := files[n].Remote.ReadSet.SHA256; !strings.EqualFold(got, e.Sum) {
			const hint = "the image is another one, or the scan did not read the same blocks: compare the version of " +
				"coldcheck and the options"
			return fail(ErrIO, hint, "%s: %s is %s, expected %s", files[n].Name, algorithmName[e.Algorithm],
				cmp.Or(got, "unknown, because too many blocks were read"), e.Sum)
		}
		trail.Record("hash_matched", "image", files[n].Name, "algorithm", string(e.Algorithm), "of", "read set")
	}
	return nil
}

// match compares a hash with that of the file and, if one disk is in it, of the disk. A
// hash for a disk of an archive is compared with that of the disk only.
func (vs *volumes) match(
	ctx context.Context, in Input, e ExpectedSum, of []*Image, trail *requirement.Trail,
) error {
	i := of[0]
	var got []string
	equal := func(what string, all map[Algorithm]string, err error) (bool, error) {
		if err != nil {
			return false, err
		}
		if !strings.EqualFold(all[e.Algorithm], e.Sum) {
			if got = append(got, all[e.Algorithm]); what != "" {
				got[len(got)-1] += " (" + what + ")"
			}
			return false, nil
		}
		if what != "" {
			trail.Record("hash_matched", "image", i.Name, "algorithm", string(e.Algorithm), "of", what)
		}
		return true, nil
	}
	what := "file"
	if i.raw() {
		what = ""
	}
	if i.Member == "" || e.Image != i.Name {
		all, err := vs.fileSums(ctx, in, i, i.first())
		if is, err := equal(what, all, err); is || err != nil {
			return err
		}
	}
	if !i.raw() && len(of) == 1 {
		all, err := vs.diskSums(ctx, in, i)
		if err != nil && ctx.Err() == nil {
			err = fail(ErrIO, "", "%w", err)
		}
		if is, err := equal("disk", all, err); is || err != nil {
			return err
		}
	}
	return fail(ErrIO, "the image is not the one that was recorded: copy it again, or check the record",
		"%s: %s is %s, expected %s", i.Name, algorithmName[e.Algorithm], strings.Join(got, " and "), strings.ToLower(e.Sum))
}

// algorithms are those of the hashes that are requested of the files of an image, or
// of the disk in it.
func (in *Input) algorithms(i *Image, ofDisk bool) map[Algorithm]bool {
	list := map[Algorithm]bool{}
	if in.Hash {
		list[SHA256] = true
		for _, s := range i.disk.Stated() {
			if ofDisk && newHash[Algorithm(s.Algorithm)] != nil {
				list[Algorithm(s.Algorithm)] = true
			}
		}
	}
	for _, e := range in.Expect {
		if e.Image == "" || e.Image == i.source.Name && i.Member == "" || e.Image == i.Name ||
			!ofDisk && e.Image == i.source.Name {
			list[e.Algorithm] = true
		}
	}
	return list
}

// fileSums hashes a file of an image. Only the first one can be expected to have a hash.
func (vs *volumes) fileSums(
	ctx context.Context, in Input, i *Image, s *source.Source,
) (map[Algorithm]string, error) {
	algorithms := in.algorithms(i, false)
	if s != i.first() {
		algorithms = map[Algorithm]bool{}
		if in.Hash {
			algorithms[SHA256] = true
		}
	}
	all, err := vs.hash(ctx, in, s, algorithms, s.Name(), s.Size(), s.Sum)
	if err != nil && ctx.Err() == nil {
		err = fail(ErrIO, "", "%w", err)
	}
	return all, err
}

// diskSums hashes the disk in a container. Holes are hashed without being read.
func (vs *volumes) diskSums(ctx context.Context, in Input, i *Image) (all map[Algorithm]string, err error) {
	before := map[*source.Source]source.Counters{}
	for _, s := range i.sources() {
		before[s] = s.Counters()
	}
	defer func() {
		if vs.sums.read == nil {
			vs.sums.read = map[*source.Source]source.Counters{}
		}
		for s, b := range before {
			now, sum := s.Counters(), vs.sums.read[s]
			vs.sums.read[s] = source.Counters{Bytes: sum.Bytes + now.Bytes - b.Bytes, Reads: sum.Reads + now.Reads - b.Reads}
		}
	}()
	err = guard(func() error {
		all, err = vs.hash(ctx, in, i, in.algorithms(i, true), "the disk in "+i.Name, i.Size,
			func(h io.Writer, progress func(done int64) error) error {
				return inorder.Copy(h, i.Name, i.disk, i.Size, progress)
			})
		return err
	})
	return all, err
}

// hash computes several hashes of a thing in one pass, and only once.
func (vs *volumes) hash(
	ctx context.Context, in Input, thing any, algorithms map[Algorithm]bool, name string, size int64,
	sum func(h io.Writer, progress func(done int64) error) error,
) (map[Algorithm]string, error) {
	if all, done := vs.sums.by[thing]; done || len(algorithms) == 0 {
		return all, nil
	}
	hashes, writers := map[Algorithm]hash.Hash{}, []io.Writer{}
	for a := range algorithms {
		hashes[a] = newHash[a]()
		writers = append(writers, hashes[a])
	}
	err := sum(io.MultiWriter(writers...), func(done int64) error {
		in.progress.show(Progress{Step: "hashing " + name, Unit: UnitBytes, Done: done, Total: size})
		return context.Cause(ctx)
	})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, err
	}
	all := map[Algorithm]string{}
	for a, h := range hashes {
		all[a] = hex.EncodeToString(h.Sum(nil))
	}
	if vs.sums.by == nil {
		vs.sums.by = map[any]map[Algorithm]string{}
	}
	vs.sums.by[thing] = all
	return all, nil
}

var algorithmName = map[Algorithm]string{
	SHA256: "SHA-256", SHA1: "SHA-1", MD5: "MD5", ReadSetSHA256: "the SHA-256 of the read set",
}
