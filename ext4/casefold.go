package ext4

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// foldName returns the form of a name that is compared in a case-insensitive
// directory: decomposed (NFD), folded by Unicode's full case folding,
// decomposed again, without ignorable characters. A name that is not UTF-8 is
// compared byte by byte.
//
// The kernel does the same with the data of Unicode 12.1. Those here are
// newer: they also fold letters that were added since.
func foldName(name []byte) string {
	if !utf8.Valid(name) {
		return string(name)
	}
	folded := norm.NFD.Bytes(cases.Fold().Bytes(norm.NFD.Bytes(name)))
	return strings.Map(func(r rune) rune {
		if ignorable(r) {
			return -1
		}
		return r
	}, string(folded))
}

// ignorable reports whether a character has the derived property
// Default_Ignorable_Code_Point (Unicode, DerivedCoreProperties.txt).
func ignorable(r rune) bool {
	if r < 0xAD {
		return false
	}
	if unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) {
		return true
	}
	return unicode.Is(unicode.Cf, r) && !unicode.In(r, unicode.White_Space, unicode.Prepended_Concatenation_Mark) &&
		(r < 0xFFF9 || r > 0xFFFB) && (r < 0x13430 || r > 0x1343F)
}
