package scanner

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

func TestParseExpectedSum(t *testing.T) {
	md5, sha1, sha256 := strings.Repeat("0a", 16), strings.Repeat("0a", 20), strings.Repeat("0a", 32)
	for text, want := range map[string]ExpectedSum{
		"sha256:" + sha256:                        {"", SHA256, sha256},
		"SHA256:" + strings.ToUpper(sha256):       {"", SHA256, sha256},
		"root.img=sha1:" + sha1:                   {"root.img", SHA1, sha1},
		"https://host/a=readset-sha256:" + sha256: {"https://host/a", ReadSetSHA256, sha256},
		"a=b:c.img=md5:" + md5:                    {"a=b:c.img", MD5, md5},
		`C:\images\root.img=sha256:` + sha256:     {`C:\images\root.img`, SHA256, sha256},
	} {
		if got, err := ParseExpectedSum(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                               "is not ALGORITHM:HEX",
		sha256:                           "is not ALGORITHM:HEX",
		"=sha256:" + sha256:              "names no image",
		"root.img=":                      "is not ALGORITHM:HEX",
		"root.img=" + sha256:             "is not ALGORITHM:HEX",
		"sha512:" + sha256:               `unknown algorithm "sha512"`,
		":" + sha256:                     `unknown algorithm ""`,
		"sha256:":                        "64 hexadecimal digits",
		"sha256:" + sha256[1:]:           "64 hexadecimal digits",
		"sha256:" + sha256 + "0":         "64 hexadecimal digits",
		"sha256:" + sha256 + "00":        "64 hexadecimal digits",
		"sha256:g" + sha256[1:]:          "64 hexadecimal digits",
		"sha256: " + sha256:              "64 hexadecimal digits",
		"sha1:" + sha256:                 "40 hexadecimal digits",
		"md5:" + sha1:                    "32 hexadecimal digits",
		"sha256:" + sha256 + "=root.img": "is not ALGORITHM:HEX",
	} {
		if _, err := ParseExpectedSum(text); !errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}

// An expected sum must be of exactly one of the images, and two must not contradict
// each other.
func TestCheckExpected(t *testing.T) {
	a, b := strings.Repeat("0a", 32), strings.Repeat("0b", 32)
	one := []Source{File("root.img")}
	user := File("user.img")
	remote := []Source{File("s3://bucket/root.img")}
	for name, c := range map[string]struct {
		in   Input
		want string
	}{
		"none":            {Input{Images: one}, ""},
		"without a name":  {Input{Images: one, Expect: []ExpectedSum{{"", SHA256, a}}}, ""},
		"of a forced one": {Input{Root: &user, Expect: []ExpectedSum{{"", SHA256, a}}}, ""},
		"by name":         {Input{Images: one, User: &user, Expect: []ExpectedSum{{"user.img", SHA256, a}}}, ""},
		"the same twice": {Input{Images: one, Expect: []ExpectedSum{{"", SHA256, a},
			{"root.img", SHA256, strings.ToUpper(a)}}}, ""},
		"two algorithms": {Input{Images: one, Expect: []ExpectedSum{{"", SHA256, a}, {"", MD5, a[:32]}}}, ""},
		"of two images": {Input{Images: one, User: &user, Expect: []ExpectedSum{{"", SHA256, a}}},
			"must name its image: there are 2"},
		"of another image": {Input{Images: one, Expect: []ExpectedSum{{"Root.img", SHA256, a}}}, `no image "Root.img"`},
		"contradiction": {Input{Images: one, Expect: []ExpectedSum{{"", SHA256, a}, {"root.img", SHA256, b}}},
			"two expected values"},
		"of all bytes of a remote one": {Input{Images: remote, Expect: []ExpectedSum{{"", SHA256, a}}},
			"s3://bucket/root.img is remote and is not read in full: its SHA-256 cannot be compared"},
		"of a disk of a remote one": {Input{Images: remote,
			Expect: []ExpectedSum{{"s3://bucket/root.img: disk", MD5, a[:32]}}}, "is remote and is not read in full: its MD5"},
		"of a read set":            {Input{Images: remote, Expect: []ExpectedSum{{"", ReadSetSHA256, a}}}, ""},
		"of a read set of a local": {Input{Images: one, Expect: []ExpectedSum{{"", ReadSetSHA256, a}}}, "is not remote"},
		"a malformed read set": {Input{Images: remote, Expect: []ExpectedSum{{"", ReadSetSHA256, a[:32]}}},
			"64 hexadecimal digits"},
		"malformed": {Input{Images: one, Expect: []ExpectedSum{{"", "crc32", a}}}, "unknown algorithm"},
	} {
		err := c.in.check()
		if c.want == "" && err != nil ||
			c.want != "" && (!errors.Is(err, ErrUsage) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// Every sum that is expected is computed in one pass. One that differs is an error
// with both values.
func TestExpectedSums(t *testing.T) {
	content := make([]byte, 1<<20)
	copy(content, "LUKS\xba\xbe\x00\x02")
	images := map[string]*Image{}
	for _, name := range []string{"a.img", "b.img"} {
		image, err := openImage(t.Context(), Reader(name, bytes.NewReader(content), int64(len(content))))
		if err != nil {
			t.Fatal(err)
		}
		images[name] = image
	}
	of256, of1, of5 := sha256.Sum256(content), sha1.Sum(content), md5.Sum(content)
	right := map[Algorithm]string{SHA256: hex.EncodeToString(of256[:]), SHA1: hex.EncodeToString(of1[:]),
		MD5: hex.EncodeToString(of5[:])}
	vs := &volumes{images: []*Image{images["a.img"], images["b.img"]}}
	var steps []string
	in := Input{progress: &progress{report: func(p Progress) {
		if p.Done == p.Total {
			steps = append(steps, p.Step)
		}
	}}}
	in.Expect = []ExpectedSum{{"a.img", SHA256, strings.ToUpper(right[SHA256])}, {"b.img", MD5, right[MD5]},
		{"b.img", SHA1, right[SHA1]}}
	if err := vs.verify(t.Context(), in, &requirement.Trail{}); err != nil {
		t.Fatal(err)
	}
	files, _, err := vs.files(t.Context(), in, &requirement.Trail{})
	if err != nil {
		t.Fatal(err)
	}
	want := []ImageFile{
		{Name: "a.img", Size: 1 << 20, Sums: Sums{SHA256: right[SHA256]}, Container: "raw", DiskSize: 1 << 20},
		{Name: "b.img", Size: 1 << 20, Sums: Sums{SHA1: right[SHA1], MD5: right[MD5]}, Container: "raw", DiskSize: 1 << 20},
	}
	if d := cmp.Diff(want, files); d != "" {
		t.Error(d)
	}
	if got := strings.Join(steps, "; "); got != "hashing a.img; hashing b.img" {
		t.Errorf("progress: %s", got)
	}
	for a := range newHash {
		wrong := "0" + right[a][1:]
		if wrong == right[a] {
			wrong = "1" + right[a][1:]
		}
		vs.sums = sums{}
		in := Input{Hash: true, Expect: []ExpectedSum{{"b.img", a, wrong}}}
		err := vs.verify(t.Context(), in, &requirement.Trail{})
		if !errors.Is(err, ErrIO) || !strings.Contains(err.Error(), right[a]) || !strings.Contains(err.Error(), wrong) ||
			!strings.Contains(err.Error(), "b.img") {
			t.Errorf("%s: %v", a, err)
		}
	}
}
