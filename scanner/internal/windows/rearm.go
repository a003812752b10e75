package windows

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"unicode"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// rearmStatement is what a document says of the rearm count.
type rearmStatement struct {
	Count    int
	Evidence requirement.Evidence
}

// Rearm is what is known of the rearm count.
type Rearm struct {
	Logs       []sysprepLog
	Skip       machine.Setting[uint32] // SkipRearm: Sysprep does not rearm
	SkipErr    error                   // why Skip is not known
	Answer     answerFile              // the answer file of the agent, which may say so too
	AnswerErr  error                   // why Answer is not known
	Statements []rearmStatement
}

const keyProtection = machine.KeyCurrentVersion + `\SoftwareProtectionPlatform`

func (m *Machine) readRearm(s machine.System) Rearm {
	r := Rearm{Logs: m.SysprepLogs().all()}
	r.Skip, r.SkipErr = m.DWordAt(keyProtection, "SkipRearm")
	var answers []answerFile
	answers, r.AnswerErr = m.readAnswers(s)
	for _, a := range answers {
		if a.Err != nil {
			r.AnswerErr = a.Err
		}
		if a.Content.SkipRearm {
			r.Answer = a
		}
	}
	for _, d := range m.in.Documents {
		if d.Slmgr == nil {
			continue
		}
		if !ofEdition(d.Slmgr.Name, s.EditionID) {
			m.in.Trail.Notify(requirement.Notice{Level: requirement.LevelWarning, Source: d.Name,
				Message: fmt.Sprintf("%s is not used: it is for %q, but the disk has the edition %s.", d.Name,
					prose.Short(d.Slmgr.Name), s.EditionID)})
			continue
		}
		n := d.Slmgr.RemainingWindowsRearm
		r.Statements = append(r.Statements, rearmStatement{n,
			machine.DocumentEvidence(d.Name, "Remaining Windows rearm count", fmt.Sprint(n))})
	}
	return r
}

// ofEdition says whether the product that slmgr names, "Windows(R),
// ServerDatacenter edition", is of an edition. The name is the same in every
// display language.
func ofEdition(product, edition string) bool {
	words := strings.FieldsFunc(product, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return edition != "" && slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(w, edition) })
}

var rearmNonzero = entry{
	Requirement: required("win.rearm.nonzero", "InsufficientRearmCount", "The Windows rearm count must not be 0.",
		sectionTips+": The Windows rearm count must not be 0", explanation{
			Reads: `The output of slmgr /dlv, which shows the count; only Windows can read its store on the disk. ` +
				`Without it: setupact.log and setuperr.log of Sysprep and Windows Setup, which record every rearm and ` +
				`the error 0xC004D307; the edition, which limits the count; SOFTWARE: ` +
				`SoftwareProtectionPlatform\SkipRearm.`,
			Live: `cscript C:\Windows\System32\slmgr.vbs /dlv`,
			Doubts: "Editions since Windows 8 start with about 1000 rearms, so the requirement counts as met unless a " +
				"log shows otherwise. SkipRearm is a warning; the service's guide does not mention it.",
			Fix: "Create the image from a WorkSpace with a newer image: the rearm count never increases.",
		}),
	Judge: (*Machine).decideRearm,
}

func (m *Machine) decideRearm() requirement.Outcome {
	s, err := m.System()
	if err != nil {
		return requirement.Unreadable(err)
	}
	return judgeRearm(s, m.readRearm(s))
}

const (
	// rearmsOfSeven is how often Windows 7 can be rearmed, service packs not
	// counted; evaluations at most as often.
	rearmsOfSeven = 3
	// rearmsSinceEight is about how often other editions can be since Windows 8.
	rearmsSinceEight = 1000
)

const addSlmgr = "Add the output of slmgr /dlv with --with."

// judgeRearm decides win.rearm.nonzero.
func judgeRearm(s machine.System, r Rearm) requirement.Outcome {
	h := rearmsIn(r.Logs, s)
	o := judgeRearms(s, r, h)
	o.Evidence = append(slices.Clip(o.Evidence), h.evidence...)
	o.Details = struct {
		Rearms  []string `json:"rearms,omitempty"`
		Denied  []string `json:"denied,omitempty"`
		Ignored []string `json:"before_installation,omitempty"`
	}{quotes(h.rearms), quotes(h.denied), quotes(h.older)}
	return o
}

// rearmHistory is what the logs record.
type rearmHistory struct {
	rearms   []logLine // one a second: the same rearm may be in two logs
	denied   []logLine // not before the installation
	older    []logLine // denied before the installation
	unread   error
	evidence []requirement.Evidence // the lines, denials first, and then the logs
}

func rearmsIn(logs []sysprepLog, s machine.System) rearmHistory {
	var h rearmHistory
	var denials, rearms, files []requirement.Evidence
	for _, l := range logs {
		if l.Err != nil && h.unread == nil {
			h.unread = l.Err
		}
		ev := l.File.Evidence
		if l.File.Exists {
			ev.Note = fmt.Sprintf("%s, %d denied", prose.Count(l.Rearms.Count, "rearm", "rearms"),
				l.RearmsDenied.Count)
		}
		files = append(files, ev)
		for _, line := range l.Rearms.Last {
			same := func(other logLine) bool { return other.Time.Equal(line.Time) && !line.Time.IsZero() }
			if !slices.ContainsFunc(h.rearms, same) {
				h.rearms = append(h.rearms, line.of(l))
				rearms = append(rearms, line.evidence(l.File))
			}
		}
		for _, line := range l.RearmsDenied.Last {
			denials = append(denials, line.evidence(l.File))
			if ageOf(line, s) == ageBefore {
				h.older = append(h.older, line.of(l))
				continue
			}
			h.denied = append(h.denied, line.of(l))
		}
	}
	h.evidence = slices.Concat(denials, rearms, files)
	return h
}

// of names the log that the line is from.
func (l logLine) of(log sysprepLog) logLine {
	l.Path = log.File.Evidence.Path
	return l
}

func quotes(lines []logLine) []string {
	var list []string
	for _, l := range lines {
		list = append(list, fmt.Sprintf("%s, line %d: %s", l.Path, l.Number, l.Text))
	}
	return list
}

// last returns the newest line by time; of the same second, the later one of
// the same log.
func last(lines []logLine) logLine {
	var newest logLine
	for i, l := range lines {
		if i == 0 || l.Time.After(newest.Time) || l.Time.Equal(newest.Time) && l.Path == newest.Path &&
			l.Number > newest.Number {
			newest = l
		}
	}
	return newest
}

// stands returns the newest denial that no later rearm took back.
func (h rearmHistory) stands() (logLine, bool) {
	var standing []logLine
	for _, d := range h.denied {
		if !slices.ContainsFunc(h.rearms, func(r logLine) bool {
			return r.Time.After(d.Time) && !d.Time.IsZero() || r.Path == d.Path && r.Number > d.Number
		}) {
			standing = append(standing, d)
		}
	}
	return last(standing), len(standing) > 0
}

func judgeRearms(s machine.System, r Rearm, h rearmHistory) requirement.Outcome {
	denied, standing := h.stands()
	when := fmt.Sprintf("Sysprep could not rearm Windows on %s: the rearm count was 0 (0xC004D307, %s, line %d).",
		denied.when(), path.Base(denied.Path), denied.Number)
	certain := standing && ageOf(denied, s) == ageAfter
	if len(r.Statements) > 0 {
		return judgeRearmStatements(r.Statements, certain, when)
	}
	seen := "No rearm is recorded."
	if n := len(h.rearms); n > 0 {
		seen = prose.Count(n, "rearm is", "rearms are") + " recorded, the last on " + last(h.rearms).when() + "."
	}
	switch {
	case certain:
		return requirement.Fail(when)
	case h.unread != nil:
		return requirement.Unreadable(fmt.Errorf("cannot tell whether Sysprep ran out of rearms: %w", h.unread)).
			Also(addSlmgr)
	case standing:
		return requirement.Unknown(when).Also("This may have been before this Windows was installed.", addSlmgr)
	case r.SkipErr != nil:
		return requirement.Unreadable(r.SkipErr)
	case r.Skip.Value != 0:
		o := requirement.Warn(
			fmt.Sprintf("SkipRearm is %d: Sysprep does not rearm Windows, and all copies share one activation ID.",
				r.Skip.Value), r.Skip.Evidence)
		o.Remediation = "Set SkipRearm in " + keyProtection + " to 0."
		return o
	case r.Answer.Content.SkipRearm:
		o := requirement.Warn(
			"SkipRearm is set in the answer file: Sysprep does not rearm Windows, and all copies share one activation "+
				"ID.", r.Answer.File.Evidence)
		o.Remediation = "Remove SkipRearm from " + machine.WindowsPath(r.Answer.File.Evidence) + "."
		return o
	case r.AnswerErr != nil:
		return requirement.Unreadable(fmt.Errorf("cannot tell whether the answer file sets SkipRearm: %w",
			r.AnswerErr)).Also(addSlmgr)
	case s.EditionID == "":
		return requirement.Unknown("The disk shows neither the rearm count nor the edition of Windows.",
			s.Evidence...).Also(seen, addSlmgr)
	case s.Build < machine.Build8 || s.Evaluation():
		limit := "Evaluation editions have few rearms."
		if !s.Evaluation() {
			limit = fmt.Sprintf("%s has %d rearms.", s.Name(), rearmsOfSeven)
		}
		if len(h.rearms) >= rearmsOfSeven {
			return requirement.Warn(limit, s.Evidence...).Also(seen)
		}
		return requirement.Unknown("The disk does not show the rearm count.", s.Evidence...).Also(limit, seen, addSlmgr)
	}
	return requirement.Infer(fmt.Sprintf("%s starts with about %d rearms.", s.EditionID, rearmsSinceEight),
		s.Evidence...).Also(seen, "The disk does not show the count itself.")
}

// judgeRearmStatements decides by what documents state. The disk has the last
// word on whether they may be of another time or machine.
func judgeRearmStatements(list []rearmStatement, denied bool, when string) requirement.Outcome {
	first := list[0]
	var evidence []requirement.Evidence
	for _, s := range list {
		evidence = append(evidence, s.Evidence)
		if (s.Count > 0) != (first.Count > 0) {
			return requirement.Unknown(fmt.Sprintf("The documents contradict each other: %s shows %s, %s shows %d.",
				first.Evidence.Source, prose.Count(first.Count, "rearm", "rearms"), s.Evidence.Source, s.Count),
				evidence...)
		}
	}
	source := " left according to " + first.Evidence.Source + "."
	stated := prose.Count(first.Count, "rearm is", "rearms are") + source
	var o requirement.Outcome
	switch {
	case first.Count <= 0:
		o = requirement.Fail("No rearm is"+source, evidence...)
	case denied:
		return requirement.Warn(stated, evidence...).Also("But " + when)
	default:
		o = requirement.Pass(stated, evidence...)
	}
	o.Basis = requirement.Stated
	return o
}
