package crosscheck

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Start returns the command that runs a Worker on the images of the scan. If it has a
// Stdin, its content is written to the child before the first question. The command ends
// when the context does.
type Start func(ctx context.Context) *exec.Cmd

// Limits are the limits of a cross-check.
type Limits struct {
	Questions int           // maximum number of different questions
	Children  int           // maximum number of children that exit early
	Answer    time.Duration // for one question
	Total     time.Duration // for all of them
}

// DefaultLimits are well above normal use: a typical report has about a hundred
// pieces of evidence, and each is read in milliseconds. Adding up a large
// profile with go-ntfs takes seconds.
var DefaultLimits = Limits{Questions: 10_000, Children: 16, Answer: time.Minute, Total: 15 * time.Minute}

// maxQuestion and maxAnswer bound a line of JSON in bytes. The longest path of
// Windows has 32,767 characters; an answer holds a link's target at most.
// maxReason bounds, in characters, what of that a report shows.
const (
	maxQuestion = 256 << 10
	maxAnswer   = 64 << 10
	maxReason   = 1000
)

// Check is a Question and the expected Reading.
type Check struct {
	Question
	Want Reading
}

// State is the result of a second reading.
type State string

// The states of an Answer.
const (
	Agrees  State = "agrees"
	Differs State = "differs"
	Failed  State = "failed"
)

// Answer is the result of one Check.
type Answer struct {
	State  State
	Reason string // the difference, or why it failed
}

// Run asks every question once, and returns the answers in the order of the
// checks. A failure of the child is an Answer; the only error is that of the
// context. progress is called with the number of finished checks, and may be
// nil.
func Run(ctx context.Context, start Start, limits Limits, checks []Check, progress func(done int)) ([]Answer, error) {
	total, cancel := context.WithTimeout(ctx, limits.Total)
	defer cancel()
	s := &session{start: start, limits: limits}
	defer s.close()

	answers := make([]Answer, len(checks))
	known := map[Question]result{}
	for n, i := range inOrder(checks) {
		if progress != nil {
			progress(n)
		}
		c := checks[i]
		r, asked := known[c.Question]
		if !asked {
			if len(known) >= limits.Questions {
				r.err = fmt.Errorf("not asked: more than %d questions", limits.Questions)
			} else {
				r.reading, r.err = s.ask(total, c.Question)
			}
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			known[c.Question] = r
		}
		answers[i] = r.judge(c)
	}
	return answers, nil
}

// inOrder returns the indexes of the checks so that those about one file
// follow each other: the child keeps one hive at a time.
func inOrder(checks []Check) []int {
	order := make([]int, len(checks))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		p, q := checks[a].Question, checks[b].Question
		return cmp.Or(cmp.Compare(p.Image, q.Image), cmp.Compare(p.Disk, q.Disk),
			cmp.Compare(p.Volume, q.Volume), strings.Compare(p.Path, q.Path))
	})
	return order
}

// result is what came back for a question.
type result struct {
	reading Reading
	err     error
}

func (r result) judge(c Check) Answer {
	if r.err != nil {
		return Answer{Failed, shorten(r.err.Error())}
	}
	if d := c.Want.difference(r.reading, c.reader()); d != "" {
		return Answer{Differs, shorten(d)}
	}
	return Answer{State: Agrees}
}

func shorten(s string) string { return fmt.Sprintf("%.*s", maxReason, s) }

// session asks a child, and another one when that has ended.
type session struct {
	start  Start
	limits Limits
	child  *child
	ended  int   // children that ended before their time
	broken error // none can be started
	lastID int
}

// request and reply are the lines that go to the child and come back.
type request struct {
	ID int `json:"id"`
	Question
}

type reply struct {
	ID      int      `json:"id"`
	Reading *Reading `json:"reading,omitempty"`
	Error   string   `json:"error,omitempty"`
}

var (
	errNoReader  = errors.New("no second reader exists")
	errTooLong   = errors.New("the name is too long")
	errTimeIsUp  = errors.New("not asked: the cross-check reached its time limit")
	errNoAnswer  = errors.New("no answer in time")
	errNoSense   = errors.New("an invalid answer")
	errManyEnded = errors.New("not asked: the second reader ended too often")
)

func (s *session) ask(ctx context.Context, q Question) (Reading, error) {
	if q.reader() == "" {
		return Reading{}, errNoReader
	}
	s.lastID++
	line, err := json.Marshal(request{s.lastID, q})
	switch {
	case err != nil:
		return Reading{}, err
	case len(line) > maxQuestion:
		return Reading{}, errTooLong
	case ctx.Err() != nil:
		return Reading{}, errTimeIsUp
	case s.ended >= s.limits.Children:
		return Reading{}, errManyEnded
	case s.child == nil && s.broken == nil:
		if s.child, err = startChild(ctx, s.start); err != nil {
			s.broken = fmt.Errorf("the second reader does not start: %w", err)
		}
	}
	if s.broken != nil {
		return Reading{}, s.broken
	}
	answer, err := s.child.ask(append(line, '\n'), s.limits.Answer)
	var r reply
	if err == nil && (json.Unmarshal(answer, &r) != nil || r.ID != s.lastID || (r.Reading == nil) == (r.Error == "")) {
		err = errNoSense
	}
	if err != nil {
		s.ended++
		err = fmt.Errorf("the second reader ended: %w", s.child.kill(err))
		s.child = nil
		return Reading{}, err
	}
	if r.Error != "" {
		return Reading{}, errors.New(r.Error)
	}
	return *r.Reading, nil
}

func (s *session) close() {
	if s.child != nil {
		s.child.close()
	}
}
