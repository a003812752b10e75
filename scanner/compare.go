package scanner

import (
	"fmt"
	"maps"
	"slices"

	"github.com/coldcheck/coldcheck/scanner/requirement"
	"github.com/coldcheck/coldcheck/scanner/rules"
)

// Compared is a rule of a rule book beside that of the default rule book.
type Compared struct {
	requirement.Rule
	New     bool     // the default rule book does not have it
	Differs []string // how it differs, in phrases; empty in the default rule book
}

// Compare lists the rules of a rule book and how they differ from those of the
// default rule book. The error is ErrUsage for a rule book that does not exist.
func Compare(name string) ([]Compared, error) {
	b, err := findBook(name)
	if err != nil {
		return nil, err
	}
	base, err := findBook(rules.Default)
	if err != nil {
		return nil, err
	}
	of := map[string]requirement.Rule{}
	for _, r := range base.rules {
		of[r.ID] = r
	}
	var list []Compared
	for _, r := range b.rules {
		c := Compared{Rule: r}
		if other, ok := of[r.ID]; ok {
			c.Differs = differences(r, other)
		} else {
			c.New, c.Differs = true, []string{"not in " + base.Name}
		}
		list = append(list, c)
	}
	return list, nil
}

// differences says how a rule differs from the one of another rule book.
func differences(r, other requirement.Rule) []string {
	var list []string
	if r.NotApplicable != "" {
		return []string{"not applicable"}
	}
	if r.Severity != other.Severity {
		list = append(list, fmt.Sprintf("%s instead of %s", r.Severity, other.Severity))
	}
	if r.AWSErrorCode != other.AWSErrorCode {
		switch {
		case r.AWSErrorCode == "":
			list = append(list, "without the code "+other.AWSErrorCode)
		case other.AWSErrorCode == "":
			list = append(list, "with the code "+r.AWSErrorCode)
		default:
			list = append(list, fmt.Sprintf("code %s instead of %s", r.AWSErrorCode, other.AWSErrorCode))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Terms)) {
		if own, base := fmt.Sprint(r.Terms[name]), fmt.Sprint(other.Terms[name]); own != base {
			list = append(list, fmt.Sprintf("%s %s instead of %s", name, own, base))
		}
	}
	if r.Demand != other.Demand && len(list) == 0 {
		list = append(list, "another demand")
	}
	return list
}
