package report

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// maxComment is how many characters a report in Markdown has at most: GitHub
// refuses a comment of more than 65,536, and what posts it may add a few.
const maxComment = 60000

// Bounds on what one finding takes of a comment.
const (
	maxCommentText = 1000 // characters of a message
	maxCommentCell = 300  // of a message in the table, and of a piece of evidence
)

// Markdown writes a comment for a pull request, in the dialect of GitHub and
// GitLab: the verdict, a task list of fixes, and every other check in a folded
// table. It never exceeds the maximum length of a comment; it says how many
// checks were left out.
//
// Text from an image cannot become markup, a mention of a user, or a link.
func Markdown(w io.Writer, r *scanner.Result, o Options) error {
	var b bytes.Buffer
	worst := worstVerdict(r)
	fmt.Fprintf(&b, "## %s coldcheck: %s\n\n", verdictSign[worst], verdictName[worst])
	if len(r.Others) == 0 {
		fmt.Fprintf(&b, "**%s**\n\n", plainText(tally(r)))
	}
	for _, l := range remarks(r, o) {
		fmt.Fprintf(&b, "%s  \n", plainText(cut(l, maxCommentText)))
	}
	if len(r.Others) == 0 {
		markdownOptional(&b, r)
	}
	fmt.Fprintf(&b, "System: %s\n\n", plainText(system(r)))
	for _, v := range volumes(r) {
		if v.Role != scanner.Other {
			what, where := volume(v)
			fmt.Fprintf(&b, "- %s: %s, %s\n", v.Role, plainText(what), span(where))
		}
	}
	if noUserVolume(r) {
		b.WriteString("- user: not given\n")
	}
	if text := ruleBook(r.RuleBook); text != "" && len(r.Others) == 0 {
		fmt.Fprintf(&b, "- rules: %s\n", plainText(text))
	}
	for _, c := range containers(r) {
		fmt.Fprintf(&b, "- image: %s, %s\n", span(c.name), plainText(cut(c.text, maxCommentText)))
	}
	notices := telling(r.Notices)
	for i, n := range notices {
		if i == maxNotices {
			fmt.Fprintf(&b, "- %d more notices are in the log\n", len(notices)-i)
			break
		}
		fmt.Fprintf(&b, "- %s\n", plainText(cut(notice(n), maxCommentText)))
	}

	foot := fmt.Sprintf("\n<sub>coldcheck %s, %s</sub>\n", plainText(o.Version), second(r.Finished))
	room := func() int { return maxComment - utf8.RuneCount(b.Bytes()) - utf8.RuneCountInString(foot) }

	for _, one := range r.Each() {
		if len(r.Others) > 0 {
			head := fmt.Sprintf("\n### %s Rule book %s: %s\n\n**%s**\n\n", verdictSign[one.Verdict],
				plainText(ruleBook(one.RuleBook)), verdictName[one.Verdict], plainText(tally(one)))
			if utf8.RuneCountInString(head)+lineRoom > room() {
				break
			}
			b.WriteString(head)
			markdownOptional(&b, one)
		}
		markdownFindings(&b, one, room)
	}
	b.WriteString(foot)
	_, err := w.Write(b.Bytes())
	return err
}

// lineRoom is how many characters a line takes that says how many are left out.
const lineRoom = 100

// markdownOptional writes which checks are not met or undecided and do not count.
func markdownOptional(b *bytes.Buffer, r *scanner.Result) {
	_, extra, _ := cards(r)
	for _, l := range optional(extra, func(int) string { return "" }) {
		fmt.Fprintf(b, "%s  \n", plainText(l))
	}
}

// markdownFindings writes what to do, and the other checks. room returns how many
// characters are left.
func markdownFindings(b *bytes.Buffer, r *scanner.Result, room func() int) {
	needed, _, waived := cards(r)
	groups := slices.Concat(needed, waived)
	if len(groups) > 0 {
		b.WriteString("\n### What to do\n\n")
	}
	written := map[string]bool{}
	for i, g := range groups {
		text := action(g)
		if utf8.RuneCountInString(text)+lineRoom > room() {
			fmt.Fprintf(b, "- and %d more\n", len(groups)-i)
			break
		}
		b.WriteString(text)
		for _, f := range g {
			written[f.ID] = true
		}
	}

	var rows []string
	for _, f := range r.Findings {
		if !written[f.ID] {
			rows = append(rows,
				fmt.Sprintf("| %s | %s | %s |\n", code(f.ID), shownStatus(f), plainText(cut(f.Message, maxCommentCell))))
		}
	}
	for _, n := range r.NotChecked {
		rows = append(rows, fmt.Sprintf("| %s | not checked | %s |\n", code(n.ID), plainText(n.Reason)))
	}
	head := fmt.Sprintf("\n<details>\n<summary>%s</summary>\n\n| Requirement | Status | What was found |\n"+
		"| --- | --- | --- |\n", prose.Count(len(rows), "other check", "other checks"))
	const tail = "\n</details>\n"
	if len(rows) > 0 && room() > len(head)+len(tail)+lineRoom {
		b.WriteString(head)
		for i, row := range rows {
			if utf8.RuneCountInString(row)+len(tail)+lineRoom > room() {
				fmt.Fprintf(b, "| and %d more | | |\n", len(rows)-i)
				break
			}
			b.WriteString(row)
		}
		b.WriteString(tail)
	}
}

var verdictSign = map[scanner.Verdict]string{scanner.Ready: "✅", scanner.NotReady: "❌", scanner.Inconclusive: "❔"}

// action is an item of the list of what to do.
func action(c card) string {
	// GitHub breaks a comment's lines where the text does, so an item is one line.
	var lines []string
	f := c.fullest()
	for _, one := range c {
		head := fmt.Sprintf("**%s** %s", strings.ToLower(statusLabel(one.Status)), code(one.ID))
		for _, m := range marks(one) {
			head += " (" + plainText(m) + ")"
		}
		lines = append(lines, head)
		if c.actionable() {
			lines = append(lines, severityNames[one.Severity]+": "+plainText(cut(one.Demand, maxCommentText)))
		}
	}
	lines = append(lines, plainText(cut(f.Message, maxCommentText)))
	var below strings.Builder
	switch label, how := advice(f); {
	case f.Waiver != nil:
		lines = append(lines, "Waived "+plainText(cut(waiver(*f.Waiver), maxCommentText)))
	case f.Outcome.Remediation != "":
		lines = append(lines, "**"+label+":** "+plainText(cut(how, maxCommentText)))
		places := deciding(f)
		for i, p := range places {
			if i == maxPlaces {
				fmt.Fprintf(&below, "  - and %d more\n", len(places)-i)
				break
			}
			fmt.Fprintf(&below, "  - %s\n", span(cut(strings.Join(slices.Concat(p.where, p.what), "  "), maxCommentCell)))
		}
	case how != "" && c.actionable():
		lines = append(lines, "**"+label+":** "+code(how)) // a command
	}
	return "- [ ] " + strings.Join(lines, "<br>") + "\n" + below.String()
}

// shownStatus is the status with what changes its weight.
func shownStatus(f requirement.Finding) string {
	s := statusName(f.Status)
	switch {
	case f.Waiver != nil:
		return s + " (waived)"
	case f.Accepted:
		return s + " (accepted)"
	case f.Basis == requirement.Inferred, f.Basis == requirement.Stated:
		return s + " (" + string(f.Basis) + ")"
	}
	return s
}

// cut shortens s to n characters; the cut shows.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// plainText is text that stays text in Markdown. It escapes the markup of CommonMark. In
// names of users, issues and addresses, which GitHub and GitLab find in escaped text too,
// it inserts an empty HTML comment, which the reader does not see.
func plainText(s string) string {
	s = markdown(Neutral(s))
	return strings.NewReplacer(
		"@", "@<!-- -->",
		`\#`, `\#<!-- -->`,
		"!", "!<!-- -->",
		"://", ":<!-- -->//",
		"www.", "www<!-- -->.",
		"WWW.", "WWW<!-- -->.",
		"&", "&amp;",
		">", "&gt;",
		"~", `\~`, "$", "<span>$</span>",
	).Replace(s)
}

// span is text in a code span.
func span(s string) string {
	if s == "" {
		return "(none)"
	}
	return code(Neutral(s))
}
