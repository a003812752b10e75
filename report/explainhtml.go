package report

import (
	_ "embed" // for the page's template
	"io"

	"github.com/coldcheck/coldcheck/scanner"
)

//go:embed explain.tmpl
var explainPage string

var explainTemplate = parsePage(explainPage)

type htmlExplanation struct {
	Title, Summary, System, Version, Started, Finished string
	Images, With, Looked                               []string
	Failures                                           []htmlFailure
	Notices                                            []htmlNotice
	Approximate                                        string // explains the mark of approximate times; "" without one
}

type htmlFailure struct {
	Title, Window  string
	Reasons        []htmlReason
	Lines, Changes []htmlChange
	Older          int // changes that are not shown
}

type htmlReason struct {
	Code, Message, Text, Fix, Class, Edge string
	Findings                              []htmlReasonFinding
}

type htmlReasonFinding struct {
	ID, Status, Class, Message string
	Places                     []htmlWhere
}

type htmlWhere struct{ Where, What []string }

type htmlChange struct {
	Time, Kind, What string
	Sources          []string
}

// ExplainHTML writes an explanation as one self-contained page without scripts.
func ExplainHTML(w io.Writer, e *scanner.Explanation, o Options) error {
	page := htmlExplanation{
		Title: "coldcheck: why did it fail? " + Neutral(machine(e.Platform)), Summary: explainSummary(e),
		System: Neutral(machine(e.Platform)), Version: Neutral(o.Version), Started: second(e.Started),
		Finished: second(e.Finished), Images: neutral(e.Images), With: neutral(e.With),
	}
	approximate := func(p scanner.Precision) {
		if p == "local" {
			page.Approximate = approximateNote
		}
	}
	for _, f := range e.Failures {
		h := htmlFailure{Title: Neutral(failureTitle(f)), Window: days(e.Window), Older: f.Omitted}
		for _, r := range reasonsOf(f) {
			h.Reasons = append(h.Reasons, htmlReasonOf(r))
		}
		for _, l := range f.Lines {
			approximate(l.Precision)
			h.Lines = append(h.Lines, htmlChange{Time: changeTime(l.Time, l.Precision), What: Neutral(oneSpace(l.Text)),
				Sources: []string{Neutral(sourceOf(l.Evidence))}})
		}
		for _, c := range f.Changes {
			approximate(c.Precision)
			h.Changes = append(h.Changes, htmlChange{changeTime(c.Time, c.Precision), string(c.Kind), Neutral(c.What),
				neutral(sourcesOf(c))})
		}
		page.Failures = append(page.Failures, h)
	}
	for _, l := range e.Looked {
		page.Looked = append(page.Looked, Neutral(lookedText(l)))
	}
	for _, n := range worstFirst(e.Notices) {
		page.Notices = append(page.Notices, htmlNotice{string(n.Level), Neutral(notice(n))})
	}
	return explainTemplate.Execute(w, page)
}

func htmlReasonOf(r reason) htmlReason {
	h := htmlReason{Code: Neutral(r.Code), Message: Neutral(r.Message), Text: Neutral(r.Text), Fix: Neutral(r.Fix),
		Class: r.class(), Edge: "undetermined"}
	if r.Explained {
		h.Edge = "failed"
	}
	for _, f := range r.Findings {
		one := htmlReasonFinding{ID: Neutral(f.ID), Status: statusName(f.Status), Class: string(f.Status),
			Message: Neutral(f.Message)}
		if asksFix(f) {
			for _, ev := range f.Evidence {
				if isFound(ev) && len(one.Places) < maxShownEvidence {
					where, what := describe(ev)
					one.Places = append(one.Places, htmlWhere{neutral(where), neutral(what)})
				}
			}
		}
		h.Findings = append(h.Findings, one)
	}
	return h
}
