package scanner

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"
	"slices"
	"strings"
)

// Algorithm is a hash function by its usual short name.
type Algorithm string

// Use SHA1 and MD5 only if no better hash of the image was recorded. They show
// that a copy is complete, but do not protect against deliberate changes.
const (
	SHA256 Algorithm = "sha256"
	SHA1   Algorithm = "sha1"
	MD5    Algorithm = "md5"
)

var newHash = map[Algorithm]func() hash.Hash{SHA256: sha256.New, SHA1: sha1.New, MD5: md5.New}

// ExpectedSum is a hash that an image must have.
type ExpectedSum struct {
	Image     string // its name; "" for the only image
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
	if newSum == nil {
		return fail(ErrUsage, "the algorithms are sha256, sha1, md5", "unknown algorithm %q", e.Algorithm)
	}
	sum, err := hex.DecodeString(e.Sum)
	if size := newSum().Size(); err != nil || len(sum) != size {
		return fail(ErrUsage, hintExpected, "%q is not a sum of %s, which has %d hexadecimal digits", e.Sum, e.Algorithm,
			2*size)
	}
	return nil
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
		case e.Image != "" && !slices.Contains(names, e.Image):
			return fail(ErrUsage, "name it as it is given to the scan: "+strings.Join(names, ", "),
				"no image %q for the expected %s", e.Image, e.Algorithm)
		case e.Image == "" && len(names) == 1:
			e.Image = names[0]
		}
		key := string(e.Algorithm) + " " + e.Image
		if sum, twice := expected[key]; twice && !strings.EqualFold(sum, e.Sum) {
			return fail(ErrUsage, "", "two expected values for the %s of %s: %s and %s", e.Algorithm, e.Image, sum, e.Sum)
		}
		expected[key] = e.Sum
	}
	return nil
}

// verify sums the images of which a sum is expected, before anything is judged. One
// that has another ends the scan.
func (vs *volumes) verify(ctx context.Context, in Input) (err error) {
	vs.sums = map[*Image]map[Algorithm]string{}
	for _, i := range vs.images {
		var expected []ExpectedSum
		for _, e := range in.Expect {
			if e.Image == "" || e.Image == i.Name {
				expected = append(expected, e)
			}
		}
		if len(expected) == 0 {
			continue
		}
		if vs.sums[i], err = i.sums(ctx, in, expected); err != nil {
			return err
		}
	}
	return nil
}

// sums computes what is asked for of an image in one pass, and compares it with
// what is expected.
func (i *Image) sums(ctx context.Context, in Input, expected []ExpectedSum) (map[Algorithm]string, error) {
	hashes := map[Algorithm]hash.Hash{}
	var writers []io.Writer
	add := func(a Algorithm) {
		if hashes[a] == nil {
			hashes[a] = newHash[a]()
			writers = append(writers, hashes[a])
		}
	}
	if in.Hash {
		add(SHA256)
	}
	for _, e := range expected {
		add(e.Algorithm)
	}
	if len(writers) == 0 {
		return nil, nil
	}
	err := i.Sum(io.MultiWriter(writers...), func(done int64) error {
		in.progress.show(Progress{Step: "hashing " + i.Name, Unit: UnitBytes, Done: done, Total: i.Size})
		return context.Cause(ctx)
	})
	switch {
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case err != nil:
		return nil, fail(ErrIO, "", "%w", err)
	}
	sums := map[Algorithm]string{}
	for a, h := range hashes {
		sums[a] = hex.EncodeToString(h.Sum(nil))
	}
	for _, e := range expected {
		if got := sums[e.Algorithm]; !strings.EqualFold(got, e.Sum) {
			return nil, fail(ErrIO, "the image is not the one that was recorded: copy it again, or check the record",
				"%s: %s is %s, expected %s", i.Name, algorithmName[e.Algorithm], got, strings.ToLower(e.Sum))
		}
	}
	return sums, nil
}

var algorithmName = map[Algorithm]string{SHA256: "SHA-256", SHA1: "SHA-1", MD5: "MD5"}
