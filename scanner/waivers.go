package scanner

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/internal/prose"
	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// MaxWaivers is the maximum size of a waiver file in bytes. A thousand waivers
// with long reasons need half of that.
const MaxWaivers = 1 << 20

// expiryLayout is how the last day of a waiver is written.
const expiryLayout = time.DateOnly

// ParseWaivers reads a waiver file in YAML: a mapping whose key "waivers" has a
// list of mappings with the keys of waiverKeys. The error is ErrUsage and names
// the line. Messages and Waiver.Source use name.
func ParseWaivers(name string, data []byte) ([]requirement.Waiver, error) {
	list, err := parseWaivers(name, data)
	if err != nil {
		const hint = "waivers is a list of mappings with the keys id, reason, owner and expiry; " +
			"target and undetermined are optional"
		return nil, fail(ErrUsage, hint, "%w", err)
	}
	return list, nil
}

func parseWaivers(name string, data []byte) ([]requirement.Waiver, error) {
	if len(data) > MaxWaivers {
		return nil, fmt.Errorf("%s is larger than %d MiB, the limit of a waivers file", name, MaxWaivers>>20)
	}
	at := func(n *yaml.Node, format string, args ...any) error {
		return fmt.Errorf("%s:%d: "+format, append([]any{name, n.Line}, args...)...)
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var document yaml.Node
	switch err := d.Decode(&document); {
	case err == io.EOF:
		return nil, fmt.Errorf("%s:1: no list of waivers", name)
	case err != nil:
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	var more yaml.Node
	switch err := d.Decode(&more); {
	case err == nil:
		return nil, at(&more, "the file contains a second document")
	case err != io.EOF:
		return nil, fmt.Errorf("%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	top, err := fields(document.Content[0], []string{"waivers"}, at)
	if err != nil {
		return nil, err
	}
	items := top["waivers"]
	if items == nil {
		return nil, at(document.Content[0], "no list of waivers")
	}
	if items.Kind != yaml.SequenceNode {
		return nil, at(items, "waivers is not a list")
	}
	var list []requirement.Waiver
	for _, item := range items.Content {
		w, err := parseWaiver(item, at)
		if err != nil {
			return nil, err
		}
		w.Source = fmt.Sprintf("%s:%d", name, item.Line)
		list = append(list, w)
	}
	return list, nil
}

// nodeError makes an error about a place in the file.
type nodeError = func(n *yaml.Node, format string, args ...any) error

// waiverKeys are the keys of a waiver; those of requiredKeys are required.
var (
	requiredKeys = []string{"id", "reason", "owner", "expiry"}
	waiverKeys   = append([]string{"target", "undetermined"}, requiredKeys...)
)

func parseWaiver(n *yaml.Node, at nodeError) (w requirement.Waiver, err error) {
	given, err := fields(n, waiverKeys, at)
	if err != nil {
		return w, err
	}
	for _, key := range requiredKeys {
		if given[key] == nil {
			return w, at(n, "the waiver has no %s", key)
		}
	}
	for _, text := range []struct {
		key  string
		into *string
	}{{"id", &w.ID}, {"target", &w.Target}, {"reason", &w.Reason}, {"owner", &w.Owner}} {
		if v := given[text.key]; v != nil {
			*text.into = strings.Join(strings.Fields(v.Value), " ")
			if v.Kind != yaml.ScalarNode || *text.into == "" || v.Tag == "!!null" {
				return w, at(v, "%s is not a text", text.key)
			}
		}
	}
	expiry := given["expiry"]
	if w.Expiry, err = time.Parse(expiryLayout, expiry.Value); err != nil {
		return w, at(expiry, "expiry is not a date such as 2027-01-31")
	}
	if u := given["undetermined"]; u != nil {
		if u.Kind != yaml.ScalarNode || u.Tag != "!!bool" || u.Decode(&w.Undetermined) != nil {
			return w, at(u, "undetermined is neither true nor false")
		}
	}
	return w, nil
}

// fields returns the values of a mapping that may have these keys, each once.
func fields(n *yaml.Node, keys []string, at nodeError) (map[string]*yaml.Node, error) {
	if n.Kind != yaml.MappingNode {
		return nil, at(n, "not a mapping")
	}
	values := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(keys, key.Value):
			return nil, at(key, "unknown key %q", key.Value)
		case values[key.Value] != nil:
			return nil, at(key, "duplicate key %s", key.Value)
		case value.Kind == yaml.AliasNode:
			return nil, at(value, "aliases (*%s) are not supported", value.Value)
		}
		values[key.Value] = value
	}
	return values, nil
}

// unusedWaiver is what the reader must know about a waiver that covers nothing.
type unusedWaiver struct {
	source string // of the waiver; "" for a notice about several
	requirement.Notice
}

// waive marks the findings that a waiver covers on that day, and returns the
// waivers that cover nothing. Of several for one finding the first that covers it
// counts.
func (r *Result) waive(list []book, p Policy, day time.Time) []unusedWaiver {
	var notices []unusedWaiver
	unused := func(level requirement.Level, w requirement.Waiver, format string, args ...any) {
		message := fmt.Sprintf("The waiver for %s at %s is unused: ", w.ID, w.Source) + fmt.Sprintf(format, args...) + "."
		notices = append(notices, unusedWaiver{w.Source, requirement.Notice{Level: level, Message: message}})
	}
	others := 0
	for _, w := range p.Waivers {
		i := slices.IndexFunc(r.Findings, func(f requirement.Finding) bool { return f.ID == w.ID })
		switch {
		case !hasRule(list, w.ID) && slices.ContainsFunc(AllRequirements(),
			func(r requirement.Requirement) bool { return r.ID == w.ID }):
			unused(requirement.LevelInfo, w, "it is for another rule book")
		case !hasRule(list, w.ID):
			unused(requirement.LevelWarning, w, "no such requirement exists")
		case !r.isTarget(w.Target):
			others++
		case expired(w, day):
			unused(requirement.LevelWarning, w, "it expired on %s", w.Expiry.Format(expiryLayout))
		case slices.ContainsFunc(r.NotChecked, func(n NotChecked) bool { return n.ID == w.ID }):
			unused(requirement.LevelInfo, w, "the requirement was not checked")
		case i < 0:
			unused(requirement.LevelInfo, w, "the requirement does not apply to this system")
		default:
			f := &r.Findings[i]
			switch open := p.unknown(*f); {
			case open && !w.Undetermined:
				unused(requirement.LevelInfo, w,
					"the finding is undetermined, and the waiver lacks \"undetermined: true\"")
			case !open && !notMet(f.Status):
				status := strings.ReplaceAll(string(f.Status), "_", " ")
				unused(requirement.LevelInfo, w, "the finding is %s", status)
			case f.Waiver != nil:
				unused(requirement.LevelInfo, w, "the waiver at %s covers the finding already", f.Waiver.Source)
			default:
				f.Waiver = &w
			}
		}
	}
	if others > 0 {
		message := prose.Count(others, "waiver is", "waivers are") + " for other targets."
		notices = append(notices, unusedWaiver{"", requirement.Notice{Level: requirement.LevelInfo, Message: message}})
	}
	return notices
}

// expired says that the last day of a waiver, in UTC, is over on that day.
func expired(w requirement.Waiver, day time.Time) bool {
	return !day.UTC().Before(w.Expiry.AddDate(0, 0, 1))
}

// isTarget says whether a waiver for that target is meant for this scan: by the
// computer's name in any case of letters, or the name of one of its images with
// or without the folders before it.
func (r *Result) isTarget(target string) bool {
	if target == "" || strings.EqualFold(target, r.Platform.ComputerName) {
		return true
	}
	return slices.ContainsFunc(r.Images, func(image string) bool {
		return target == image || target == path.Base(strings.ReplaceAll(image, `\`, "/"))
	})
}

// notMet reports whether a status means that a requirement is not met.
func notMet(s requirement.Status) bool {
	return s == requirement.Failed || s == requirement.Warning
}
