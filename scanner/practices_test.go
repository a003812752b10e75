package scanner

import (
	"errors"
	"slices"
	"testing"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/statement"
)

func TestTooLarge(t *testing.T) {
	const mib = 1 << 20
	for over, want := range map[int64]string{
		1:          "The root volume is larger than the smallest size of 80 GiB by less than 1 MiB.",
		mib - 1:    "The root volume is larger than the smallest size of 80 GiB by less than 1 MiB.",
		mib:        "The root volume is larger than the smallest size of 80 GiB by 1 MiB.",
		gib/10 - 1: "The root volume is larger than the smallest size of 80 GiB by 102 MiB.",
		gib/10 + 1: "The root volume has 80.1 GiB, more than the smallest size of 80 GiB.",
		20 * gib:   "The root volume has 100.0 GiB, more than the smallest size of 80 GiB.",
	} {
		if got := tooLarge(Root, 80*gib+over, 80); got != want {
			t.Errorf("%d bytes over: %q, want %q", over, got, want)
		}
	}
}

func TestSmallest(t *testing.T) {
	disk := func(bytes int64) diskSize {
		return diskSize{Bytes: bytes, Evidence: requirement.Evidence{Source: "root"}}
	}
	part := func(bytes int64) diskSize { s := disk(bytes); s.Least = true; return s }
	gone := diskSize{Err: errors.New("not given")}
	said := func(root, user int64, compute string) statement.Match {
		return statement.Match{Document: &statement.Document{Name: "ws.json"}, WorkSpace: &statement.WorkSpace{
			Properties: statement.WorkSpaceProperties{RootVolumeSizeGiB: &root, UserVolumeSizeGiB: &user,
				ComputeTypeName: compute}}}
	}
	var none statement.Match
	silent := statement.Match{Document: &statement.Document{Name: "ws.json"}, WorkSpace: &statement.WorkSpace{}}
	const passed, warning, undetermined = requirement.Passed, requirement.Warning, requirement.Undetermined
	for name, c := range map[string]struct {
		root, user diskSize
		match      statement.Match
		want       requirement.Status
		basis      requirement.Basis
	}{
		"the smallest":                  {disk(80 * gib), disk(10 * gib), none, passed, requirement.Observed},
		"smaller":                       {disk(79 * gib), disk(9 * gib), none, passed, requirement.Observed},
		"the root a byte larger":        {disk(80*gib + 1), disk(10 * gib), none, warning, requirement.Observed},
		"the user a byte larger":        {disk(80 * gib), disk(10*gib + 1), none, warning, requirement.Observed},
		"bare volumes":                  {part(80*gib - 1), part(10*gib - 1), none, passed, requirement.Inferred},
		"bare volumes of a little more": {part(81*gib - 1), part(11*gib - 1), none, passed, requirement.Inferred},
		"bare volumes of a GiB more":    {part(81 * gib), part(10 * gib), none, warning, requirement.Observed},
		"no user volume":                {disk(80 * gib), gone, none, undetermined, ""},
		"no user volume, a large root":  {disk(175 * gib), gone, none, warning, requirement.Observed},
		"graphics, perhaps":             {disk(100 * gib), disk(100 * gib), none, undetermined, ""},
		"graphics, perhaps, bare":       {part(100*gib - 5), part(100*gib - 5), none, undetermined, ""},
		"a byte more than graphics":     {disk(100*gib + 1), disk(100 * gib), none, warning, requirement.Observed},
		"a gib less than graphics":      {disk(100 * gib), disk(99 * gib), none, warning, requirement.Observed},
		"graphics, stated": {disk(100 * gib), disk(100 * gib), said(100, 100, "GRAPHICS"), passed,
			requirement.Stated},
		"graphics pro, stated": {disk(100 * gib), disk(100 * gib), said(100, 100, "graphicspro"), passed,
			requirement.Stated},
		"no graphics, stated": {disk(100 * gib), disk(100 * gib), said(100, 100, "POWER"), warning,
			requirement.Stated},
		"stated": {disk(80 * gib), disk(10 * gib), said(80, 10, "VALUE"), passed,
			requirement.Stated},
		"stated, without images of the user": {disk(80 * gib), gone, said(80, 10, "VALUE"), passed, requirement.Stated},
		"a document that is silent":          {disk(80 * gib), disk(10 * gib), silent, passed, requirement.Observed},
		"a disk larger than stated": {disk(90 * gib), disk(10 * gib), said(80, 10, "VALUE"), warning,
			requirement.Observed},
		"a disk smaller than stated": {disk(80 * gib), disk(10 * gib), said(81, 10, "VALUE"), warning,
			requirement.Stated},
		"a compute type that nobody heard of": {disk(80 * gib), disk(10 * gib), said(80, 10, "QUANTUM"), passed,
			requirement.Stated},
	} {
		t.Run(name, func(t *testing.T) {
			f := requirement.Find(practices[0].Requirement, judgeSmallest([2]diskSize{c.root, c.user}, c.match))
			if f.Status != c.want || f.Basis != c.basis {
				t.Errorf("%s %s: %s", f.Status, f.Basis, f.Message)
			}
		})
	}
}

func TestNetwork(t *testing.T) {
	for _, match := range []statement.Match{
		{},
		{Document: &statement.Document{Name: "ws.json"},
			WorkSpace: &statement.WorkSpace{SubnetID: "subnet-1", DirectoryID: "d-1"}},
		{Document: &statement.Document{Name: "ws.json"}, WorkSpace: &statement.WorkSpace{}},
	} {
		if f := requirement.Find(practices[1].Requirement, judgeNetwork(match)); f.Status != requirement.Undetermined {
			t.Errorf("%s: %s", f.Status, f.Message)
		}
	}
}

// TestInOrder puts checks into the order of the rule book, in which the
// recommended ones come before those that carry content.
func TestInOrder(t *testing.T) {
	b, err := findBook("")
	if err != nil {
		t.Fatal(err)
	}
	var checks []requirement.Check
	for _, r := range b.rules {
		checks = append([]requirement.Check{{Rule: r}}, checks...)
	}
	var got, want []string
	for _, c := range inOrder(b.rules, checks) {
		got = append(got, c.ID)
	}
	for _, r := range Catalogue() {
		want = append(want, r.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if i := slices.Index(want, "bp.volume-smallest"); want[i-1] != "win.bp.updates" || want[i+1] != "bp.network" ||
		want[i+2] != "win.contents" {
		t.Errorf("%q", want[i-1:i+3])
	}
}
