package custom

import (
	"cmp"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// versionType is the CEL type of a version.
var versionType = cel.ObjectType(recordPrefix+"Version", traits.ComparerType)

// version is a version: numbers separated by dots, of which there may be any number,
// and the rest of Semantic Versioning 2.0.0 (sections 9 to 11): what follows a hyphen
// is a pre-release, and what follows a plus sign does not count.
type version struct {
	text       string
	numbers    []uint64 // without zeros at the end
	prerelease []string
}

// maxVersion bounds a version, in bytes.
const maxVersion = 256

func parseVersion(text string) (version, error) {
	v := version{text: text}
	bad := fmt.Errorf("%.80q is not a version such as 1.2.3", text)
	if len(text) > maxVersion {
		return v, bad
	}
	rest, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(text), "v"), "+")
	numbers, prerelease, hasPrerelease := strings.Cut(rest, "-")
	for part := range strings.SplitSeq(numbers, ".") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil {
			return v, bad
		}
		v.numbers = append(v.numbers, n)
	}
	for len(v.numbers) > 1 && v.numbers[len(v.numbers)-1] == 0 {
		v.numbers = v.numbers[:len(v.numbers)-1]
	}
	if hasPrerelease {
		for part := range strings.SplitSeq(prerelease, ".") {
			if strings.Trim(part, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" || part == "" {
				return v, bad
			}
			v.prerelease = append(v.prerelease, part)
		}
	}
	return v, nil
}

func (v version) compare(other version) int {
	for i := range max(len(v.numbers), len(other.numbers)) {
		var a, b uint64
		if i < len(v.numbers) {
			a = v.numbers[i]
		}
		if i < len(other.numbers) {
			b = other.numbers[i]
		}
		if a != b {
			return cmp.Compare(a, b)
		}
	}
	switch {
	case len(v.prerelease) == 0 || len(other.prerelease) == 0:
		return cmp.Compare(len(other.prerelease), len(v.prerelease)) // one with a pre-release is lower
	}
	for i := range min(len(v.prerelease), len(other.prerelease)) {
		if c := comparePrerelease(v.prerelease[i], other.prerelease[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(v.prerelease), len(other.prerelease))
}

// comparePrerelease compares identifiers: numbers are lower than texts.
func comparePrerelease(a, b string) int {
	x, notX := strconv.ParseUint(a, 10, 64)
	y, notY := strconv.ParseUint(b, 10, 64)
	switch {
	case notX == nil && notY == nil:
		return cmp.Compare(x, y)
	case notX == nil:
		return -1
	case notY == nil:
		return 1
	}
	return strings.Compare(a, b)
}

// versionOf is the function version of CEL.
func versionOf(text ref.Val) ref.Val {
	v, err := parseVersion(string(text.(types.String)))
	if err != nil {
		return types.WrapErr(err)
	}
	return v
}

// Compare implements traits.Comparer.
func (v version) Compare(other ref.Val) ref.Val {
	o, ok := other.(version)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	return types.Int(v.compare(o))
}

// Equal implements ref.Val.
func (v version) Equal(other ref.Val) ref.Val {
	o, ok := other.(version)
	return types.Bool(ok && v.compare(o) == 0)
}

// ConvertToNative implements ref.Val.
func (v version) ConvertToNative(reflect.Type) (any, error) { return v.text, nil }

// ConvertToType implements ref.Val.
func (v version) ConvertToType(t ref.Type) ref.Val {
	if t == types.StringType {
		return types.String(v.text)
	}
	return types.NewErr("a version cannot become a %s", t.TypeName())
}

// Type implements ref.Val.
func (version) Type() ref.Type { return versionType }

// Value implements ref.Val.
func (v version) Value() any { return v.text }
