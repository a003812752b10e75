package crosscheck

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/coldcheck/coldcheck/scanner/disk"
)

// patient are limits of time that no child reaches, however busy the machine.
var patient = Limits{Questions: 100, Children: 16, Answer: time.Hour, Total: time.Hour}

// questions are n different ones, of which nothing is expected to be found.
func questions(n int) []Check {
	checks := make([]Check, n)
	for i := range checks {
		checks[i].Question = Question{Kind: File, Filesystem: disk.NTFS, Volume: 1, Path: fmt.Sprintf("file %02d", i)}
	}
	return checks
}

// states are the answers in short: A, D or F each.
func states(answers []Answer) string {
	var s strings.Builder
	for _, a := range answers {
		s.WriteString(strings.ToUpper(string(a.State[0])))
	}
	return s.String()
}

// Whatever a child does, each question gets an answer, in time, and no child is
// left.
func TestChildren(t *testing.T) {
	short := patient
	short.Answer = 300 * time.Millisecond
	two := patient
	two.Children = 2
	for _, c := range []struct {
		mode   string
		limits Limits
		want   string
		reason string // of the first failure
	}{
		{"agrees", patient, "AAAAA", ""},
		{"long target", patient, "DDDDD", ""},
		{"refuses", patient, "FFFFF", "it cannot"},
		{"nonsense", patient, "FFFFF", "the second reader ended: an invalid answer"},
		{"another id", patient, "FFFFF", "an invalid answer"},
		{"neither", patient, "FFFFF", "an invalid answer"},
		{"both", patient, "FFFFF", "an invalid answer"},
		{"ends", patient, "FFFFF", "the second reader ended: exit status 3"},
		{"ends at once", patient, "FFFFF", "the second reader ended: its output ended"},
		{"crashes", patient, "FFFFF", "the second reader ended: index out of range"},
		{"ends midway", patient, "AAFAA", "an invalid answer"},
		{"never reads", short, "FFFFF", "the second reader ended: no answer in time"},
		{"floods", patient, "FFFFF", "an invalid answer"},
		{"chatters", patient, "FFFFF", "an invalid answer"},
		{"longest answer", patient, "AAAAA", ""},
		{"too long", patient, "FFFFF", "an invalid answer"},
		{"panics", patient, "FFFFF", "go-ntfs: panic: a parser gives up"},
		{"prints", patient, "FFFFF", "file does not exist"},
		{"says too much", patient, "FFFFF", "too much too much"},
		{"hangs", short, "FFFFF", "the second reader ended: no answer in time"},
		{"loops", short, "FFFFF", "the second reader ended: no answer in time"},
		{"eats stack", two, "FFFFF", "the second reader ended: stack overflow"},
		{"eats memory", two, "FFFFF", "the second reader ended: more than 96 MiB of memory"},
	} {
		t.Run(c.mode, func(t *testing.T) {
			t.Parallel()
			s := &starter{mode: c.mode}
			if c.mode == "eats memory" {
				s.memory = 96 << 20
			}
			answers, err := Run(t.Context(), s.start, c.limits, questions(5), nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := states(answers); got != c.want {
				t.Errorf("%s, want %s: %+v", got, c.want, answers)
			}
			if i := strings.Index(c.want, "F"); i >= 0 && !strings.Contains(answers[i].Reason, c.reason) && !raceDetector {
				t.Errorf("%q, want %q", answers[i].Reason, c.reason)
			}
			for _, a := range answers {
				if len(a.Reason) > maxReason {
					t.Errorf("a reason of %d bytes", len(a.Reason))
				}
			}
			if s.last.ProcessState == nil {
				t.Error("the last child was not waited for")
			}
		})
	}
}

// A child that does not read what is written before the first question has no more time
// than for an answer.
func TestStdinUnread(t *testing.T) {
	t.Parallel()
	s := &starter{mode: "never reads"}
	start := func(ctx context.Context) *exec.Cmd {
		cmd := s.start(ctx)
		cmd.Stdin = strings.NewReader(strings.Repeat("more than a pipe holds", 10_000))
		return cmd
	}
	short := patient
	short.Answer = 300 * time.Millisecond
	answers, err := Run(t.Context(), start, short, questions(2), nil)
	if err != nil || states(answers) != "FF" || !strings.Contains(answers[0].Reason, errNoAnswer.Error()) {
		t.Errorf("%v, %+v", err, answers)
	}
}

// An allocation far beyond the limit ends the child before the memory is there.
func TestMemoryAtOnce(t *testing.T) {
	s := &starter{mode: "eats at once", memory: 96 << 20}
	answers, err := Run(t.Context(), s.start, patient, questions(1), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := "more than 96 MiB of memory"
	if runtime.GOOS == "linux" {
		want = "out of memory"
	}
	if answers[0].State != Failed || !strings.Contains(answers[0].Reason, want) && !raceDetector {
		t.Errorf("%+v, want %q", answers[0], want)
	}
}

// Limits hold at their values and not before.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name, mode string
		change     func(*Limits)
		checks     []Check
		want       string
		last       string // reason of the last answer
		children   int
	}{
		{"questions", "agrees", func(l *Limits) { l.Questions = 5 }, questions(5), "AAAAA", "", 1},
		{"one question too many", "agrees", func(l *Limits) { l.Questions = 4 }, questions(5), "AAAAF",
			"not asked: more than 4 questions", 1},
		{"children", "ends", func(l *Limits) { l.Children = 5 }, questions(5), "FFFFF",
			"the second reader ended: exit status 3", 5},
		{"one child too many", "ends", func(l *Limits) { l.Children = 4 }, questions(5), "FFFFF", errManyEnded.Error(), 4},
		{"time is up", "hangs", func(l *Limits) { l.Total = 300 * time.Millisecond }, questions(5), "FFFFF",
			errTimeIsUp.Error(), 1},
		{"the same again", "agrees once", func(*Limits) {}, append(questions(1), questions(1)[0], questions(1)[0]), "AAA", "",
			1},
		{"longest question", "agrees", func(*Limits) {}, []Check{longQuestion(t, maxQuestion)}, "A", "", 1},
		{"too long a question", "agrees", func(*Limits) {}, []Check{longQuestion(t, maxQuestion+1)}, "F", errTooLong.Error(),
			0},
		{"longest question to a Worker", "prints", func(*Limits) {}, []Check{longQuestion(t, maxQuestion)}, "F",
			"go-ntfs: file does not exist", 1},
		{"no reader", "agrees", func(*Limits) {}, []Check{{Question: Question{Kind: File, Filesystem: disk.FAT}}}, "F",
			errNoReader.Error(), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			limits := patient
			c.change(&limits)
			s := &starter{mode: c.mode}
			answers, err := Run(t.Context(), s.start, limits, c.checks, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := states(answers); got != c.want {
				t.Errorf("%s, want %s: %+v", got, c.want, answers)
			}
			if got := answers[len(answers)-1].Reason; got != c.last {
				t.Errorf("%q, want %q", got, c.last)
			}
			if s.count != c.children {
				t.Errorf("%d children, want %d", s.count, c.children)
			}
		})
	}
}

// longQuestion is one whose line of JSON has so many bytes.
func longQuestion(t *testing.T, length int) Check {
	c := questions(1)[0]
	c.Path = ""
	line := marshal(t, request{1, c.Question})
	c.Path = strings.Repeat("x", length-len(line)-len(`,"path":""`))
	if got := len(marshal(t, request{1, c.Question})); got != length {
		t.Fatalf("%d bytes, want %d", got, length)
	}
	return c
}

// Answers come in the order of the checks, whatever the order of questions.
func TestOrder(t *testing.T) {
	checks := questions(4)
	checks[0], checks[3] = checks[3], checks[0]
	checks[2].Want.Found = true
	var done []int
	s := &starter{mode: "agrees"}
	answers, err := Run(t.Context(), s.start, patient, checks, func(n int) { done = append(done, n) })
	if err != nil {
		t.Fatal(err)
	}
	if got := states(answers); got != "AADA" {
		t.Error(got)
	}
	if diff := cmp.Diff([]int{0, 1, 2, 3}, done); diff != "" {
		t.Error(diff)
	}
}

// A program that is not there fails every question with the same reason.
func TestNoChild(t *testing.T) {
	answers, err := Run(t.Context(),
		func(ctx context.Context) *exec.Cmd { return exec.CommandContext(ctx, "/no/such/program") }, patient, questions(3),
		nil)
	if err != nil || states(answers) != "FFF" || answers[0].Reason != answers[2].Reason {
		t.Errorf("%v, %+v", err, answers)
	}
}

// When the context ends, the child is killed, and its reason is the error. If it
// were not, Run would not return before the test is over.
func TestCancel(t *testing.T) {
	for _, mode := range []string{"hangs", "never reads", "loops", "closes", "agrees"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			reason := errors.New("interrupted")
			s := &starter{mode: mode}
			checks, progress := questions(2), func(int) {}
			if mode == "agrees" {
				checks = questions(50)
				progress = func(done int) {
					if done == 10 {
						cancel(reason)
					}
				}
			} else {
				time.AfterFunc(200*time.Millisecond, func() { cancel(reason) })
			}
			limits := patient
			limits.Questions = len(checks)
			if _, err := Run(ctx, s.start, limits, checks, progress); !errors.Is(err, reason) {
				t.Errorf("%v, want that of the context", err)
			}
			if s.last != nil && s.last.Process != nil && s.last.ProcessState == nil {
				t.Error("the child was not waited for")
			}
		})
	}
}

// A child whose parent has gone does not go on with what it was asked.
func TestParentGone(t *testing.T) {
	s := &starter{mode: "hangs"}
	cmd := s.start(t.Context())
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(stdin, "%s\n", marshal(t, request{1, questions(1)[0].Question}))
	stdin.Close()
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitAlone {
		t.Errorf("%v, want exit code %d", err, exitAlone)
	}
}
