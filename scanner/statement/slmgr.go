package statement

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxLines bounds the text: slmgr /dlv all prints some twenty lines for each
// of a few hundred products.
const maxLines = 100_000

// windowsApplication is the application ID of Windows in its licensing
// service. Others, Office's for instance, have counts of their own.
const windowsApplication = "55c92734-d682-4d71-983e-d6ec3f16059f"

// englishCount is the label of the count where Windows speaks English.
const englishCount = "Remaining Windows rearm count"

var (
	guidPattern       = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	countPattern      = regexp.MustCompile(`^[0-9]{1,9}$`)
	partialKeyPattern = regexp.MustCompile(`^[0-9A-Z]{5}$`)
	// The description of a product comes from its license, not from the
	// language of the system.
	descriptionPattern = regexp.MustCompile(`^Windows.*, ([A-Z][A-Z0-9_:]*) channel$`)
)

// errTwoCounts: the text contradicts itself.
var errTwoCounts = fmt.Errorf("%w: two remaining Windows rearm counts", ErrInvalid)

// line is a line of the text, cut at its first colon.
type line struct {
	label, value string
}

// product is what the text says of one licensed product.
type product struct {
	lines []line
	// anchored: the product's IDs are there; windows: they are those of
	// Windows.
	anchored, windows bool
}

// parseSlmgr reads the text of slmgr /dlv, whose labels are in the language of
// the system. For each product it has, in this order, a line each: name,
// description, perhaps a remark, activation ID, application ID, extended PID,
// from Windows 8 on the channel of the key, installation ID, addresses for some
// channels, the end of the product key, the license status with a line or two
// of detail, and then
//
//	Remaining Windows rearm count: 1001
//	Remaining SKU rearm count: 1001
//
// of which Windows 7 has only the first. The date of the trusted time and the
// section of the key management service follow. Other products have the count
// of their application in the first line's place. "Windows" and "SKU" are the
// same in all languages whose texts are known.
func parseSlmgr(text string) (*Slmgr, error) {
	lines, ok := splitLines(text)
	if !ok {
		return nil, ErrUnknownKind
	}
	products := splitProducts(lines)
	if !isSlmgr(products) {
		return nil, ErrUnknownKind
	}
	s := &Slmgr{}
	var counts []line
	for _, p := range products {
		for _, i := range p.counts() {
			c := p.lines[i]
			if len(counts) > 0 && counts[0].value != c.value {
				return nil, fmt.Errorf("%w, %s and %s", errTwoCounts, counts[0].value, c.value)
			}
			counts = append(counts, c)
			if i+1 < len(p.lines) && p.lines[i+1].isSKUCount() {
				s.RemainingSKURearm = p.lines[i+1].count()
			}
		}
	}
	if len(counts) == 0 {
		return nil, fmt.Errorf("%w: the remaining Windows rearm count is missing or ambiguous; give the complete output "+
			"of slmgr /dlv", ErrInvalid)
	}
	s.RemainingWindowsRearm = *counts[0].count()
	if p, ok := installed(products); ok {
		p.describe(s)
	}
	return s, nil
}

// splitLines cuts the text into lines without empty ones, and each at its
// first colon, of which East Asian languages have one in full width. ok is
// false if there are more lines than slmgr prints.
func splitLines(text string) (lines []line, ok bool) {
	for s := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == '\r' }) {
		label, value := s, ""
		if i := strings.IndexAny(s, ":："); i >= 0 {
			_, width := utf8.DecodeRuneInString(s[i:])
			label, value = s[:i], s[i+width:]
		}
		l := line{trim(label), trim(value)}
		if l == (line{}) {
			continue
		}
		if len(lines) == maxLines {
			return nil, false
		}
		lines = append(lines, l)
	}
	return lines, true
}

// trim removes spaces of all kinds and the marks that turn the direction of
// writing.
func trim(s string) string {
	return strings.TrimFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Cf, r) })
}

// splitProducts cuts the text where a product's IDs are: two lines in a row
// whose values are GUIDs. A text without any is read as one product, of which
// it is not known whether it is Windows.
func splitProducts(lines []line) []product {
	var starts []int
	var windows []bool
	for i := 0; i+1 < len(lines); i++ {
		if guidPattern.MatchString(lines[i].value) && guidPattern.MatchString(lines[i+1].value) {
			starts = append(starts, i)
			windows = append(windows, strings.EqualFold(lines[i+1].value, windowsApplication))
			i++
		}
	}
	if starts == nil {
		return []product{{lines: lines}}
	}
	var products []product
	for n, start := range starts {
		end := len(lines)
		if n+1 < len(starts) {
			end = starts[n+1]
		}
		// Name and description come before the IDs.
		products = append(products, product{lines[max(0, start-3):end], true, windows[n]})
	}
	return products
}

// isSlmgr reports whether the text is of slmgr at all.
func isSlmgr(products []product) bool {
	for _, p := range products {
		if p.windows {
			return true
		}
		for _, l := range p.lines {
			if strings.EqualFold(l.label, englishCount) || descriptionPattern.MatchString(l.value) {
				return true
			}
		}
	}
	return false
}

// counts returns the lines that are, for certain, the remaining Windows rearm
// count: those whose label has "Windows" and whose value is a number, if the
// product is Windows, or the next line is the count of the SKU, or the label
// is the English one. Where no label has "Windows", it is the line before the
// SKU's in a product that is Windows.
func (p product) counts() []int {
	if p.anchored && !p.windows {
		return nil
	}
	var named, paired []int
	for i, l := range p.lines {
		if l.count() == nil || l.isSKUCount() {
			continue
		}
		beforeSKU := i+1 < len(p.lines) && p.lines[i+1].isSKUCount()
		switch hasWindows := contains(l.label, "windows"); {
		case hasWindows && (p.windows || beforeSKU || strings.EqualFold(l.label, englishCount)):
			named = append(named, i)
		case !hasWindows && p.windows && beforeSKU:
			paired = append(paired, i)
		}
	}
	if named != nil {
		return named
	}
	return paired
}

func (l line) count() *int {
	if !countPattern.MatchString(l.value) {
		return nil
	}
	n, err := strconv.Atoi(l.value)
	if err != nil {
		return nil
	}
	return &n
}

func (l line) isSKUCount() bool { return l.count() != nil && contains(l.label, "sku") }

func contains(s, lower string) bool { return strings.Contains(strings.ToLower(s), lower) }

// installed returns the product whose key is installed, if there is exactly
// one.
func installed(products []product) (product, bool) {
	var found []product
	for _, p := range products {
		if (p.windows || !p.anchored) && p.partialKey() >= 0 {
			found = append(found, p)
		}
	}
	if len(found) != 1 {
		return product{}, false
	}
	return found[0], true
}

// partialKey returns the line with the end of the product key, -1 if there is
// none or more than one.
func (p product) partialKey() int {
	at := -1
	for i, l := range p.lines {
		if !partialKeyPattern.MatchString(l.value) || contains(l.label, "windows") || l.isSKUCount() {
			continue
		}
		if at >= 0 {
			return -1
		}
		at = i
	}
	return at
}

// describe takes name, description and status, each where it is certain.
func (p product) describe(s *Slmgr) {
	for i, l := range p.lines {
		if m := descriptionPattern.FindStringSubmatch(l.value); m != nil {
			s.Description, s.Channel = l.value, m[1]
			if i > 0 && strings.HasPrefix(p.lines[i-1].value, "Windows") {
				s.Name = p.lines[i-1].value
			}
			break
		}
	}
	if i := p.partialKey(); i+1 < len(p.lines) && p.lines[i+1].count() == nil {
		s.Status = p.lines[i+1].value
	}
}
