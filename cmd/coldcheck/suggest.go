package main

import (
	"slices"
	"strings"

	"github.com/coldcheck/coldcheck/internal/fold"
)

// nearest returns the candidate that a misspelled word most likely means; "" if none is near. It ignores case.
func nearest(word string, candidates []string) string {
	best, least := "", 0
	for _, c := range candidates {
		limit := max(1, min(len(word), len(c))/3)
		if d := editDistance(strings.ToLower(word), strings.ToLower(c)); d <= limit && (best == "" || d < least) {
			best, least = c, d
		}
	}
	if best == "" && len(word) >= 3 {
		// A word that only one candidate begins with is as clear as a misspelling.
		begins := func(c string) bool { return fold.HasPrefix(c, word) }
		if i := slices.IndexFunc(candidates, begins); i >= 0 && !slices.ContainsFunc(candidates[i+1:], begins) {
			return candidates[i]
		}
	}
	return best
}

// didYouMean asks whether a candidate is meant, or returns otherwise if none is near.
func didYouMean(word string, candidates []string, before, otherwise string) string {
	if near := nearest(word, candidates); near != "" {
		return "did you mean '" + before + near + "'?"
	}
	return otherwise
}

// editDistance is how many letters must be added, removed, replaced, or swapped with the next one, to make b of a.
func editDistance(a, b string) int {
	previous, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			replaced := last[j]
			if a[i] != b[j] {
				replaced++
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, replaced)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], previous[j-1]+1)
			}
		}
		previous, last, row = last, row, previous
	}
	return last[len(b)]
}
