package windows

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/coldcheck/coldcheck/internal/fold"
	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/internal/windows/machine"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

var poolsSessions = entry{
	Requirement: recommended("pools.session-scripts.config", "",
		"The configuration of session scripts should be valid, and the scripts should exist.",
		"Use session scripts to manage your users' streaming experience", explanation{
			Reads: `C:\AWSEUC\SessionScripts\config.json, and the files that it names.`,
			Live:  `Get-Content C:\AWSEUC\SessionScripts\config.json | ConvertFrom-Json`,
			Doubts: "Without a valid configuration the scripts do not run, which does not stop the image. If the names of " +
				"members count with their case is not documented; here they do not.",
			Fix: "Correct config.json as the guide describes it, and put the scripts on drive C.",
		}),
	Judge: (*Machine).decideSessions,
}

const (
	pathSessions = `C:\AWSEUC\SessionScripts\config.json`
	// maxSessions bounds the configuration, in bytes: one with all that it may
	// say has 10 KiB.
	maxSessions = 1 << 20
	// maxEvent is how many scripts an event may run: one for the user and one for
	// the system.
	maxEvent = 2
	// maxWaiting is how long they may run, in seconds.
	maxWaiting = 60
	// maxScriptText is how long a file name or its arguments may be, in characters.
	maxScriptText = 1000
)

// sessionScripts is the configuration of session scripts.
type sessionScripts struct {
	SessionStart       *sessionEvent
	SessionTermination *sessionEvent
}

type sessionEvent struct {
	Executables []sessionScript
	WaitingTime *float64
}

type sessionScript struct {
	Context      string
	Filename     string
	Arguments    string
	S3LogEnabled any
}

// parseSessions reads the configuration. It is one JSON object.
func parseSessions(data []byte) (sessionScripts, error) {
	var s sessionScripts
	d := json.NewDecoder(bytes.NewReader([]byte(machine.DecodeText(data))))
	if err := d.Decode(&s); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return s, fmt.Errorf("%s has the wrong type", prose.Short(kind.Field))
		}
		return s, errors.New("it is not valid JSON")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return s, errors.New("it is not valid JSON: there is text after its end")
	}
	return s, nil
}

// problems says what of an event AWS does not allow.
func (e *sessionEvent) problems(name string) []string {
	if e == nil {
		return nil
	}
	var list []string
	say := func(format string, a ...any) { list = append(list, name+": "+fmt.Sprintf(format, a...)) }
	if n := len(e.Executables); n > maxEvent {
		say("%d scripts; %d are allowed", n, maxEvent)
	}
	if w := e.WaitingTime; w != nil && (*w < 0 || *w > maxWaiting) {
		say("waitingTime is %g; at most %d seconds are allowed", *w, maxWaiting)
	}
	seen := map[string]bool{}
	for _, s := range e.Executables[:min(len(e.Executables), maxNamed)] {
		context := strings.ToLower(s.Context)
		switch {
		case context != "user" && context != "system":
			say("context is %q; it must be user or system", prose.Short(s.Context))
		case seen[context] && len(e.Executables) <= maxEvent:
			say("two scripts have the context %s", context)
		}
		seen[context] = true
		if n := utf8.RuneCountInString(s.Filename); n > maxScriptText {
			say("a file name has %d characters; %d are allowed", n, maxScriptText)
		}
		if n := utf8.RuneCountInString(s.Arguments); n > maxScriptText {
			say("arguments have %d characters; %d are allowed", n, maxScriptText)
		}
		if _, is := s.S3LogEnabled.(bool); s.S3LogEnabled != nil && !is {
			say("s3LogEnabled must be true or false")
		}
	}
	return list
}

// scriptTypes are the endings of files that can be session scripts.
var scriptTypes = []string{".exe", ".bat", ".sh"}

// sessionFile says what is wrong with the file of a script: "" if nothing.
func sessionFile(path string, find func(win string) (machine.File, error)) (problem string, f machine.File, err error) {
	if !slices.ContainsFunc(scriptTypes, func(end string) bool { return fold.HasSuffix(path, end) }) {
		return prose.Short(path) + " is no .exe, .bat or .sh file", f, nil
	}
	if !fold.HasPrefix(path, `C:\`) {
		return prose.Short(path) + " is not on drive C, which is all that the image keeps", f, nil
	}
	if f, err = find(path); err != nil || f.Exists && !f.Dir {
		return "", f, err
	}
	return prose.Short(path) + " does not exist", f, nil
}

// sessionState is the configuration with what is wrong with it.
type sessionState struct {
	File     machine.File
	Problems []string
	Scripts  []requirement.Evidence // files that it names
	Count    int                    // of scripts
	Err      error                  // why the configuration, or a file that it names, cannot be read
}

func (m *Machine) readSessions() sessionState {
	data, f, err := m.ReadFile(pathSessions, maxSessions)
	if err != nil {
		return sessionState{File: m.UnreadFile(pathSessions), Err: err}
	}
	s := sessionState{File: f}
	if !f.Exists {
		return s
	}
	if f.Dir {
		s.Problems = []string{"it is a folder"}
		return s
	}
	config, err := parseSessions(data)
	if err != nil {
		s.Problems = []string{err.Error()}
		return s
	}
	for _, event := range []struct {
		name string
		*sessionEvent
	}{{"SessionStart", config.SessionStart}, {"SessionTermination", config.SessionTermination}} {
		s.Problems = append(s.Problems, event.problems(event.name)...)
		if event.sessionEvent == nil {
			continue
		}
		for _, script := range event.Executables[:min(len(event.Executables), maxNamed)] {
			if script.Filename == "" { // it does not run
				continue
			}
			s.Count++
			problem, file, err := sessionFile(script.Filename, m.File)
			if err != nil {
				s.Err = err
			}
			if problem != "" {
				s.Problems = append(s.Problems, event.name+": "+problem)
			}
			if file.Evidence.Path != "" {
				s.Scripts = append(s.Scripts, file.Evidence)
			}
		}
	}
	return s
}

func (m *Machine) decideSessions() requirement.Outcome { return judgeSessions(m.readSessions()) }

// judgeSessions decides pools.session-scripts.config.
func judgeSessions(s sessionState) requirement.Outcome {
	ev := s.File.Evidence
	switch {
	case len(s.Problems) > 0:
		return requirement.Warn(machine.WindowsPath(ev)+" is not valid: "+prose.Some(s.Problems)+".",
			append([]requirement.Evidence{ev}, s.Scripts...)...).About(subjectOf(ev, requirement.ReasonValue))
	case s.Err != nil:
		return requirement.Unreadable(s.Err, ev)
	case !s.File.Exists:
		return requirement.Pass("There are no session scripts.", ev)
	case s.Count == 0:
		return requirement.Pass(machine.WindowsPath(ev)+" is valid and names no script.", ev)
	}
	return requirement.Pass(machine.WindowsPath(ev)+" is valid, and "+
		prose.Count(s.Count, "script exists.", "scripts exist."), append([]requirement.Evidence{ev}, s.Scripts...)...)
}
