package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/coldcheck/coldcheck/registry"
	"github.com/coldcheck/coldcheck/report"
)

// logSuffixes are those of the transaction logs of a hive: the log of the
// old format, and the two of the new one.
var logSuffixes = []string{".LOG", ".LOG1", ".LOG2"}

// openHive opens a hive with the logs in its folder, or without any. open opens
// a file. A notice says what was done about a dirty hive.
func (p *program) openHive(ctx context.Context, open func(name string) (sized, error), name string,
	noLogs bool) (*registry.Hive, error) {
	var logs []string
	if !noLogs {
		for _, suffix := range logSuffixes {
			logs = append(logs, name+suffix)
		}
	}
	missing := func(_ string, err error) bool { return errors.Is(err, fs.ErrNotExist) }
	return p.openHiveWith(ctx, open, name, logs, missing, noLogs)
}

// openHiveWith opens a hive with these logs. Of a log that cannot be opened
// ignore says whether that is as it should be; otherwise it is an error.
func (p *program) openHiveWith(ctx context.Context, open func(name string) (sized, error), name string, logs []string,
	ignore func(name string, err error) bool, noLogs bool) (*registry.Hive, error) {
	options := registry.Options{NoRecovery: noLogs, Reserve: p.memory.Reserve}
	for _, log := range logs {
		f, err := open(log)
		if err != nil {
			if ignore(log, err) {
				continue
			}
			return nil, err
		}
		defer f.Close()
		options.Logs = append(options.Logs, registry.Log{Name: base(log), R: f, Size: f.size})
	}
	f, err := open(name) // and not closed: a large hive is read when its keys are
	if err != nil {
		return nil, err
	}
	hive, err := registry.Open(ctx, f, f.size, options)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
		signature := make([]byte, 4)
		if _, e := f.ReadAt(signature, 0); e == nil && string(signature) != "regf" || e == io.EOF ||
			errors.Is(err, registry.ErrUnsupported) {
			return nil, notThatKind("", "%w", err)
		}
		return nil, err
	}
	p.noticeRecovery(name, hive.Recovery())
	return hive, nil
}

func base(name string) string {
	return name[strings.LastIndexAny(name, `/\`)+1:]
}

func (p *program) noticeRecovery(name string, r registry.Recovery) {
	switch r.State {
	case registry.Recovered:
		var parts []string
		for _, a := range r.Applied {
			parts = append(parts, fmt.Sprintf("%s (sequence numbers %d to %d)", a.Name, a.First, a.Last))
		}
		p.notice("%s was dirty: recovered from %s", name, strings.Join(parts, ", then "))
	case registry.Dirty:
		p.notice("%s: %v; shown without its logs", name, r.Err)
	case registry.Ignored:
		p.notice("%s is dirty (sequence numbers %d and %d); shown without its logs", name, r.Primary, r.Secondary)
	}
	for _, n := range r.Notes {
		p.notice("%s: %s", name, n)
	}
	if r.Lost != nil {
		p.notice("%s: %v", name, r.Lost)
	}
}

// keyLister lists keys with their values.
type keyLister struct {
	recursive bool
	json      bool
	out       lines
	damage    damageLog
	listed    int // keys
}

// list lists a key, with its subtree if that is asked for. prefix is what the
// names of keys begin with: what the reader named in text, the place in the
// listing in JSON.
func (l *keyLister) list(start *registry.Key, prefix string) error {
	if !l.recursive {
		subkeys, err := start.Subkeys()
		if err != nil {
			l.damage.add("%v", err)
		}
		names := make([]string, 0, len(subkeys))
		for _, k := range subkeys {
			names = append(names, k.Name())
		}
		return l.key(start, prefix, names)
	}
	return start.Walk(func(k *registry.Key, err error) error {
		if err != nil {
			l.damage.add("%v", err)
			return nil
		}
		below := strings.TrimPrefix(strings.TrimPrefix(k.Path(), start.Path()), `\`)
		return l.key(k, joinKey(prefix, below), nil)
	})
}

func joinKey(prefix, below string) string {
	if prefix == "" || below == "" {
		return prefix + below
	}
	return prefix + `\` + below
}

type keyJSON struct {
	Key       string      `json:"key"`
	Class     string      `json:"class,omitempty"`
	LastWrite *string     `json:"last_write"`
	Values    []valueJSON `json:"values"`
	Subkeys   []string    `json:"subkeys,omitempty"` // names, where the subtree is not listed
}

type valueJSON struct {
	Name  string  `json:"name"`
	Type  string  `json:"type"`
	Data  any     `json:"data,omitempty"`
	Raw   *string `json:"raw,omitempty"`
	Error string  `json:"error,omitempty"` // why there is no raw
}

// key writes one key with its values.
func (l *keyLister) key(k *registry.Key, name string, subkeys []string) error {
	values, err := k.Values()
	if err != nil {
		l.damage.add("%v", err)
	}
	j := keyJSON{Key: name, LastWrite: jsonTime(k.LastWrite()), Values: make([]valueJSON, 0, len(values)),
		Subkeys: subkeys}
	if j.Class, err = k.ClassName(); err != nil {
		l.damage.add("%v", err)
	}
	for _, v := range values {
		j.Values = append(j.Values, l.value(v))
	}
	l.listed++
	l.damage.p.listing(l.listed)
	if l.json {
		return l.out.object(j)
	}
	if l.listed > 1 {
		fmt.Fprintln(l.out)
	}
	class := ""
	if j.Class != "" {
		class = "  class " + report.Neutral(j.Class)
	}
	fmt.Fprintf(l.out, "%s  %s%s\n", report.Neutral(name), textTime(k.LastWrite()), class)
	columns := 0
	for _, v := range j.Values {
		columns = max(columns, len([]rune(report.Neutral(v.Name))), len(defaultValue))
	}
	for _, v := range j.Values {
		shown := report.Neutral(v.Name)
		if v.Name == "" {
			shown = defaultValue
		}
		fmt.Fprintf(l.out, "  %-*s  %-13s  %s\n", min(columns, maxNameColumns), shown, v.Type, report.Neutral(v.text()))
	}
	for _, s := range subkeys {
		fmt.Fprintf(l.out, "  %s\\\n", report.Neutral(s))
	}
	return nil // an error of the output stays in it for flush
}

const (
	defaultValue   = "(Default)"
	maxNameColumns = 32 // a longer name pushes its data to the right, not that of the others
	maxTextBytes   = 32 // of raw data in a line of text
)

func (l *keyLister) value(v *registry.Value) valueJSON {
	j := valueJSON{Name: v.Name(), Type: v.Type().String()}
	raw, err := v.Data()
	if err != nil {
		l.damage.add("%v", err)
		j.Error = err.Error()
		return j
	}
	text := hex.EncodeToString(raw)
	j.Raw = &text
	// Data that does not fit its type has no data field: raw says it all.
	switch v.Type() {
	case registry.SZ, registry.ExpandSZ:
		if s, err := v.String(); err == nil {
			j.Data = s
		}
	case registry.MultiSZ:
		if s, err := v.Strings(); err == nil {
			j.Data = append([]string{}, s...)
		}
	case registry.DWord:
		if n, err := v.Uint32(); err == nil {
			j.Data = n
		}
	case registry.QWord:
		if n, err := v.Uint64(); err == nil {
			j.Data = n
		}
	}
	return j
}

// text is the data for people.
func (v valueJSON) text() string {
	switch d := v.Data.(type) {
	case string:
		return d
	case []string:
		return strings.Join(d, " | ")
	case uint32:
		return fmt.Sprintf("%d (0x%x)", d, d)
	case uint64:
		return fmt.Sprintf("%d (0x%x)", d, d)
	}
	if v.Raw == nil {
		return "(cannot be read)"
	}
	if n := len(*v.Raw) / 2; n > maxTextBytes {
		return fmt.Sprintf("%s… (%d bytes)", (*v.Raw)[:2*maxTextBytes], n)
	}
	return *v.Raw
}
