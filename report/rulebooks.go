package report

import (
	"fmt"

	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// ruleBook names the rule book for people; "" if the result has none.
func ruleBook(b scanner.RuleBook) string {
	if b.Name == "" {
		return ""
	}
	return fmt.Sprintf("%s (%s, %s)", b.Name, b.Title, b.AsOf)
}

type jsonRuleBook struct {
	Name   string `json:"name"`
	Title  string `json:"title"`
	Source string `json:"source"`
	AsOf   string `json:"as_of"`
}

// jsonJudgement is what one of several rule books says.
type jsonJudgement struct {
	jsonRuleBook
	Verdict    scanner.Verdict                    `json:"verdict"`
	Reasons    []jsonVerdictReason                `json:"verdict_reasons"`
	ExitCode   *int                               `json:"exit_code,omitempty"`
	Policy     map[scanner.FailOn]scanner.Verdict `json:"policy_verdicts"`
	Summary    map[requirement.Status]int         `json:"summary"`
	Findings   []jsonFinding                      `json:"findings"`
	NotChecked []jsonNotChecked                   `json:"not_checked"`
}

func jsonRuleBookOf(b scanner.RuleBook) *jsonRuleBook {
	if b.Name == "" {
		return nil
	}
	return &jsonRuleBook{Name: b.Name, Title: b.Title, Source: b.Source, AsOf: b.AsOf}
}

// judgements are what the rule books of a scan say, of which the first is given; nil if
// there is only one.
func judgements(r *scanner.Result, first jsonJudgement, o Options) []jsonJudgement {
	if len(r.Others) == 0 {
		return nil
	}
	list := []jsonJudgement{first}
	for _, one := range r.Each()[1:] {
		list = append(list, judgement(one, o))
	}
	return list
}

// judgement is what the first rule book of a result says.
func judgement(r *scanner.Result, o Options) jsonJudgement {
	j := jsonJudgement{
		Verdict: r.Verdict, ExitCode: o.exitCode(r.PolicyVerdict), Summary: r.Summary(), NotChecked: notChecked(r),
		Reasons:  make([]jsonVerdictReason, 0, len(r.Reasons)),
		Policy:   map[scanner.FailOn]scanner.Verdict{},
		Findings: make([]jsonFinding, 0, len(r.Findings)),
	}
	if b := jsonRuleBookOf(r.RuleBook); b != nil {
		j.jsonRuleBook = *b
	}
	for _, level := range scanner.FailOns {
		j.Policy[level] = r.VerdictAt(level)
	}
	for _, v := range r.Reasons {
		j.Reasons = append(j.Reasons, jsonVerdictReason{v.Kind, v.IDs, v.Messages})
	}
	for _, f := range r.Findings {
		j.Findings = append(j.Findings, finding(f))
	}
	return j
}

// worstVerdict is the worst verdict of all rule books.
func worstVerdict(r *scanner.Result) scanner.Verdict {
	worst := scanner.Ready
	for _, one := range r.Each() {
		if one.Verdict == scanner.NotReady || worst == scanner.Ready {
			worst = one.Verdict
		}
	}
	return worst
}
