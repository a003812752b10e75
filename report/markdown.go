package report

import (
	"bytes"
	"fmt"
	"io"
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
	maxCommentEvidence = 6
	maxCommentText     = 1000 // characters of a message
	maxCommentCell     = 300  // of a message in the table, and of a piece of evidence
)

// Markdown writes a comment for a pull request, in the dialect that GitHub and
// GitLab read: the verdict, what to do as a list to tick off, and everything in
// a table that is folded. It is never longer than a comment may be: what does
// not fit is counted.
//
// Nothing of an image is taken for markup, calls a user, or links anywhere.
func Markdown(w io.Writer, r *scanner.Result, o Options) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "## %s coldcheck: %s\n\n**%s**\n\n", verdictSign[r.Verdict], verdictName[r.Verdict],
		plainText(tally(r)))
	for _, l := range remarks(r, o) {
		fmt.Fprintf(&b, "%s  \n", plainText(cut(l, maxCommentText)))
	}
	fmt.Fprintf(&b, "System: %s\n\n", plainText(system(r)))
	for _, v := range volumes(r) {
		what, where := volume(v)
		fmt.Fprintf(&b, "- %s: %s, %s\n", v.Role, plainText(what), span(where))
	}
	for i, n := range worstFirst(r.Notices) {
		if i == maxNotices {
			fmt.Fprintf(&b, "- and %d more notices\n", len(r.Notices)-i)
			break
		}
		fmt.Fprintf(&b, "- %s\n", plainText(cut(notice(n), maxCommentText)))
	}

	foot := fmt.Sprintf("\n<sub>coldcheck %s, %s</sub>\n", plainText(o.Version),
		r.Finished.UTC().Format("2006-01-02 15:04Z"))
	room := func() int { return maxComment - utf8.RuneCount(b.Bytes()) - utf8.RuneCountInString(foot) }

	const more = 100 // characters that a line takes which says how many are left out
	groups := actions(r)
	if len(groups) > 0 {
		b.WriteString("\n### What to do\n\n")
	}
	for i, g := range groups {
		text := action(g)
		if utf8.RuneCountInString(text)+more > room() {
			fmt.Fprintf(&b, "- and %d more\n", len(groups)-i)
			break
		}
		b.WriteString(text)
	}

	head := fmt.Sprintf("\n<details>\n<summary>All %s</summary>\n\n| Requirement | Status | What was found |\n"+
		"| --- | --- | --- |\n", prose.Count(len(r.Findings), "requirement", "requirements"))
	const tail = "\n</details>\n"
	if room() > len(head)+len(tail)+more {
		b.WriteString(head)
		for i, f := range r.Findings {
			row := fmt.Sprintf("| %s | %s | %s |\n", code(f.ID), shownStatus(f), plainText(cut(f.Message, maxCommentCell)))
			if utf8.RuneCountInString(row)+len(tail)+more > room() {
				fmt.Fprintf(&b, "| and %d more | | |\n", len(r.Findings)-i)
				break
			}
			b.WriteString(row)
		}
		for i, n := range r.NotChecked {
			row := fmt.Sprintf("| %s | not checked | %s |\n", code(n.ID), plainText(n.Reason))
			if utf8.RuneCountInString(row)+len(tail)+more > room() {
				fmt.Fprintf(&b, "| and %d more | | |\n", len(r.NotChecked)-i)
				break
			}
			b.WriteString(row)
		}
		b.WriteString(tail)
	}
	b.WriteString(foot)
	_, err := w.Write(b.Bytes())
	return err
}

var verdictSign = map[scanner.Verdict]string{scanner.Ready: "✅", scanner.NotReady: "❌", scanner.Inconclusive: "❔"}

// action is an item of the list of what to do: a finding, or several that are
// undetermined for one reason.
func action(g card) string {
	// GitHub breaks a comment's lines where the text does, so an item is one line.
	var lines []string
	for _, f := range g {
		head := fmt.Sprintf("**%s** %s", statusName(f.Status), code(f.ID))
		for _, m := range marks(f) {
			head += " (" + plainText(m) + ")"
		}
		lines = append(lines, head)
	}
	f := g[0]
	lines = append(lines, plainText(cut(f.Message, maxCommentText)))
	var below strings.Builder
	switch what, how := advice(f); {
	case len(g) > 1:
	case f.Waiver != nil:
		lines = append(lines, "Waived: "+plainText(cut(waiver(*f.Waiver), maxCommentText)))
	default:
		if f.Outcome.Remediation != "" {
			lines = append(lines, "**"+what+":** "+plainText(cut(how, maxCommentText)))
		} else if how != "" {
			lines = append(lines, "**"+what+":** "+code(how)) // a command
		}
		for i, e := range f.Evidence {
			if i == maxCommentEvidence {
				fmt.Fprintf(&below, "  - and %d more\n", len(f.Evidence)-i)
				break
			}
			fmt.Fprintf(&below, "  - %s\n", span(cut(line(e), maxCommentCell)))
		}
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

// plainText is text that stays text in Markdown. Beside the markup of CommonMark it
// takes away the meaning of what GitHub and GitLab find in the text itself, where
// an escape does not help: users, issues, addresses. An empty comment of HTML
// parts these for the machine and not for the reader.
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

// span is text as it lies, in a code span.
func span(s string) string {
	if s == "" {
		return "(none)"
	}
	return code(Neutral(s))
}
