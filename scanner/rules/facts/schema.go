package facts

import (
	"encoding/json"

	"github.com/coldcheck/coldcheck/scanner/requirement"
)

// Schema returns the JSON Schema of a Document, made from the types of the facts.
func Schema() ([]byte, error) {
	s := schema{defs: map[string]any{}}
	document := func(platform requirement.Platform) any {
		parts := map[string]any{}
		for _, part := range Parts(platform) {
			p := s.of(part.Type).(map[string]any)
			described := map[string]any{"description": part.Doc}
			for name, v := range p {
				described[name] = v
			}
			parts[part.Name] = described
		}
		var names []string
		for _, f := range Functions(platform) {
			names = append(names, f.Name)
		}
		return map[string]any{
			"title": title(platform), "type": "object", "additionalProperties": false,
			"required": []string{"schema_version", "platform", "now", "facts", "calls", "unknown"},
			"properties": map[string]any{
				"schema_version": map[string]any{"const": SchemaVersion},
				"platform":       map[string]any{"const": platform},
				"now":            map[string]any{"type": "string", "format": "date-time", "description": "time of the scan"},
				"facts": map[string]any{"type": "object", "additionalProperties": false, "properties": parts,
					"description": "the parts; one that is missing is unknown"},
				"calls": map[string]any{"type": "array", "items": map[string]any{
					"type": "object", "additionalProperties": false, "required": []string{"function", "arguments", "result"},
					"properties": map[string]any{
						"function":  map[string]any{"enum": names},
						"arguments": map[string]any{"type": "array", "items": map[string]any{"type": "string"}},
						"result":    true,
					}}},
				"unknown": map[string]any{"type": "array", "items": map[string]any{
					"type": "object", "additionalProperties": false, "required": []string{"fact", "reason"},
					"properties": map[string]any{
						"fact": map[string]any{"type": "string"}, "reason": map[string]any{"type": "string"},
					}}},
			},
		}
	}
	var all []any
	for _, platform := range Platforms {
		all = append(all, document(platform))
	}
	return json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title":   "coldcheck facts",
		"description": "The facts of one system. What is unknown is missing, and listed in unknown; null stands for " +
			"what does not exist.",
		"oneOf": all, "$defs": s.defs,
	}, "", "  ")
}

// schema makes schemas of types, and keeps those of records.
type schema struct{ defs map[string]any }

func (s schema) of(t *Type) any {
	switch t.Kind {
	case Text:
		return map[string]any{"type": "string"}
	case Integer:
		return map[string]any{"type": "integer"}
	case Truth:
		return map[string]any{"type": "boolean"}
	case Moment:
		return map[string]any{"type": "string", "format": "date-time"}
	case List:
		return map[string]any{"type": "array", "items": s.of(t.Elem)}
	case Texts:
		return map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}}
	}
	if s.defs[t.Name] == nil {
		s.defs[t.Name] = true
		s.defs[t.Name] = s.record(t)
	}
	return map[string]any{"$ref": "#/$defs/" + t.Name}
}

func (s schema) record(t *Type) any {
	properties := map[string]any{}
	required := []string{}
	for _, a := range t.Attributes {
		p := s.of(a.Type)
		if a.Optional {
			p = map[string]any{"anyOf": []any{p, map[string]any{"type": "null"}}}
		} else {
			required = append(required, a.Name)
		}
		properties[a.Name] = map[string]any{"description": a.Doc, "allOf": []any{p}}
	}
	return map[string]any{"type": "object", "additionalProperties": false, "required": required,
		"properties": properties}
}
