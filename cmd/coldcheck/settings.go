package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/coldcheck/coldcheck/report"
)

// Sources of a setting. Each overrides those below it.
const (
	fromFlag     = "flag"
	fromVariable = "variable"
	fromFile     = "file"
	fromDefault  = "default"
)

const (
	variablePrefix = "COLDCHECK_OPT_"
	maxSettings    = 1 << 20 // of a file, in bytes
)

// configFlag declares --config.
func configFlag(c *cobra.Command, name *string) {
	c.Flags().StringVar(name, "config", "",
		"take the flags that are not given from `FILE` (YAML, keys are names of flags)")
	check(c.RegisterFlagCompletionFunc("config", completeFiles("yaml", "yml")))
}

// configure sets the flags of a command that are not given from variables and from
// a file of settings. The file is read only if --config names it: one in a working
// directory must not turn a gate green.
func (p *program) configure(c *cobra.Command, file string) error {
	sources := map[string]string{}
	p.places = map[string]string{}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		sources[f.Name] = fromDefault
		if f.Changed {
			sources[f.Name] = fromFlag
		}
	})
	values, err := variables(c, os.Environ())
	if err != nil {
		return err
	}
	var inFile []setting
	if file != "" {
		data, err := readWithin(file, maxSettings, "config")
		if err != nil {
			return err
		}
		if inFile, err = parseSettings(c, file, data); err != nil {
			return err
		}
		p.used("settings", file, data)
		p.inputs = append(p.inputs, file)
	}
	for _, s := range append(values, inFile...) {
		if sources[s.flag] != fromDefault {
			// A value is checked even if another source overrides it.
			if err := s.try(c); err != nil {
				return err
			}
			continue
		}
		if err := s.apply(c.Flags().Lookup(s.flag)); err != nil {
			return err
		}
		sources[s.flag] = s.source
		p.places[s.flag] = s.place
	}
	p.settings = effective(c, sources)
	return nil
}

// valueError is what is wrong with the value of a flag.
type valueError struct {
	error
	flag string
}

func (e valueError) Unwrap() error { return e.error }

// inFlag adds to an error which flag has the value that causes it. The message gets the
// place of the value if that is a file of settings or a variable.
func inFlag(flag string, err error) error {
	if err == nil {
		return nil
	}
	return valueError{err, flag}
}

// message returns the text of an error, with the place of the value that causes it.
func (p *program) message(err error) string {
	var of valueError
	if !errors.As(err, &of) || p.places[of.flag] == "" {
		return err.Error()
	}
	return p.places[of.flag] + ": " + strings.TrimPrefix(err.Error(), "--"+of.flag+": ")
}

// setting is a value for a flag from somewhere else.
type setting struct {
	flag   string
	source string
	place  string // for messages
	values []string
	list   bool // values are the elements of a list
}

// apply sets the flag.
func (s setting) apply(f *pflag.Flag) error {
	var err error
	if list, ok := f.Value.(pflag.SliceValue); ok && s.list {
		err = list.Replace(s.values)
	} else {
		err = f.Value.Set(s.values[0])
	}
	switch {
	case err != nil && f.Value.Type() == "bool":
		return usage("", "%s: true or false is required", s.place)
	case err != nil:
		return usage("", "%s: %v", s.place, err)
	}
	f.Changed = true
	return nil
}

// try returns the error that apply would, and leaves the flag as it is.
func (s setting) try(c *cobra.Command) error {
	f := c.Flags().Lookup(s.flag)
	before := setting{place: s.place, values: []string{f.Value.String()}}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		before.values, before.list = list.GetSlice(), true
	}
	err := s.apply(f)
	if e := before.apply(f); err == nil {
		err = e
	}
	return err
}

// settable reports whether a flag may be set from elsewhere.
func settable(f *pflag.Flag) bool {
	return !f.Hidden && f.Name != "help" && f.Name != "config"
}

// flagNames are the flags of a command that may be set from elsewhere.
func flagNames(c *cobra.Command) []string {
	var names []string
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if settable(f) {
			names = append(names, f.Name)
		}
	})
	return names
}

// variableName is the variable of a flag.
func variableName(flag string) string {
	return variablePrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// variables returns the settings for a command in the environment, in the order of
// the names. Those for flags of other commands are ignored, since an environment is
// for all of them; those for no flag are wrong usage.
func variables(c *cobra.Command, environment []string) ([]setting, error) {
	flags, others := map[string]string{}, map[string]bool{}
	var names []string
	for _, name := range flagNames(c) {
		flags[variableName(name)] = name
		names = append(names, variableName(name))
	}
	walkCommands(c.Root(), func(other *cobra.Command) {
		for _, name := range flagNames(other) {
			others[variableName(name)] = true
		}
	})
	var list []setting
	for _, entry := range slices.Sorted(slices.Values(environment)) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, variablePrefix) {
			continue
		}
		flag, ok := flags[name]
		switch {
		case name == variableName("config"):
			return nil, usage("name the file with --config FILE", "%s is not read", name)
		case !ok && others[name]:
			continue
		case !ok:
			hint := didYouMean(name, names, "", "the variables are named after flags, such as "+variableName("fail-on"))
			return nil, usage(hint, "no flag for the variable %s", name)
		case value == "":
			return nil, usage("unset it, or give it a value", "the variable %s is empty", name)
		}
		s := setting{flag: flag, source: fromVariable, place: name, values: []string{value}}
		if c.Flags().Lookup(flag).Value.Type() == "stringArray" {
			s.values, s.list = strings.Split(strings.TrimSuffix(value, "\n"), "\n"), true
		}
		list = append(list, s)
	}
	return list, nil
}

// parseSettings reads a file of settings: a mapping whose keys are names of flags of
// the command. An error names the line and the key.
func parseSettings(c *cobra.Command, name string, data []byte) ([]setting, error) {
	const hint = "settings are lines such as 'fail-on: never' and 'skip: [win.bp.updates]'"
	at := func(n *yaml.Node, format string, args ...any) error {
		return usage(hint, "%s:%d: %s", name, n.Line, fmt.Sprintf(format, args...))
	}
	d := yaml.NewDecoder(bytes.NewReader(data))
	var document, more yaml.Node
	switch err := d.Decode(&document); {
	case err == io.EOF:
		return nil, nil // nothing but comments
	case err != nil:
		return nil, usage(hint, "%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	switch err := d.Decode(&more); {
	case err == nil:
		return nil, at(&more, "a second document")
	case err != io.EOF:
		return nil, usage(hint, "%s: %s", name, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	top := document.Content[0]
	if top.Kind != yaml.MappingNode {
		return nil, at(top, "not a mapping of flags to values")
	}
	names := flagNames(c)
	var list []setting
	for i := 0; i+1 < len(top.Content); i += 2 {
		key, value := top.Content[i], top.Content[i+1]
		switch {
		case key.Kind != yaml.ScalarNode || !slices.Contains(names, key.Value):
			near := didYouMean(key.Value, names, "", "the keys are the flags of '"+c.CommandPath()+"', without the dashes")
			return nil, usage(near, "%s:%d: unknown key %q", name, key.Line, key.Value)
		case slices.ContainsFunc(list, func(s setting) bool { return s.flag == key.Value }):
			return nil, at(key, "the key %s is there twice", key.Value)
		}
		s := setting{flag: key.Value, source: fromFile, place: fmt.Sprintf("%s:%d: %s", name, value.Line, key.Value)}
		if wrong := s.take(c.Flags().Lookup(key.Value), value); wrong != "" {
			return nil, at(value, "%s: %s", key.Value, wrong)
		}
		list = append(list, s)
	}
	return list, nil
}

// take takes the value from the file, and returns what is wrong with its type.
func (s *setting) take(f *pflag.Flag, n *yaml.Node) (wrong string) {
	text := func(n *yaml.Node) bool {
		return n.Kind == yaml.ScalarNode && slices.Contains([]string{"!!str", "!!int", "!!float", "!!timestamp"}, n.Tag)
	}
	_, list := f.Value.(pflag.SliceValue)
	switch kind := f.Value.Type(); {
	case kind == "bool":
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			return "true or false is required"
		}
	case kind == "int":
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" {
			return "a number is required"
		}
	case list && n.Kind == yaml.SequenceNode:
		s.list, s.values = true, []string{}
		for _, element := range n.Content {
			if !text(element) {
				return "a list of texts is required"
			}
			s.values = append(s.values, element.Value)
		}
		return ""
	case list && !text(n):
		return "a text or a list of texts is required"
	case !text(n):
		return "a text is required"
	}
	s.values, s.list = []string{n.Value}, f.Value.Type() == "stringArray"
	return ""
}

// effective are the settings in force, by name.
func effective(c *cobra.Command, sources map[string]string) []report.Setting {
	var list []report.Setting
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		s := report.Setting{Name: f.Name, Source: sources[f.Name]}
		switch slice, isSlice := f.Value.(pflag.SliceValue); {
		case isSlice:
			elements := []string{}
			for _, e := range slice.GetSlice() {
				elements = append(elements, withoutSecret(e))
			}
			s.Value = elements
		case f.Value.Type() == "bool":
			s.Value = f.Value.String() == "true"
		default:
			s.Value = withoutSecret(f.Value.String())
		}
		list = append(list, s)
	})
	return list
}

// withoutSecret is a text without the user, the password and the query of a URL in it:
// signed URLs carry their permission there.
func withoutSecret(s string) string {
	scheme := strings.Index(s, "://")
	if scheme < 0 {
		return s
	}
	host, path, _ := strings.Cut(s[scheme+3:], "/")
	if at := strings.LastIndexByte(host, '@'); at >= 0 {
		return withoutSecret(s[:scheme+3] + "…" + host[at+1:] + strings.TrimSuffix("/"+path, "/"))
	}
	if query := strings.IndexByte(s[scheme:], '?'); query >= 0 {
		return s[:scheme+query] + "?…"
	}
	return s
}
