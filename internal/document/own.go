package document

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// version is the one version of our own document's form.
const version = "1"

func isOwn(root *yaml.Node) bool {
	root = deref(root)
	for i := 0; root.Kind == yaml.MappingNode && i < len(root.Content); i += 2 {
		if root.Content[i].Value == "holdfast" {
			return true
		}
	}
	return false
}

// ownReader reads our own document and goes on after a problem, to find them all.
type ownReader struct {
	doc Document
	problems
	valueLines map[events.Key]int
}

func readOwn(root *yaml.Node) (*Document, error) {
	r := &ownReader{valueLines: map[events.Key]int{}}
	r.doc.Definitions = map[events.Key]events.Definition{}
	r.doc.Values = map[events.Key]events.Value{}
	r.top(root)
	r.checkValues()
	if err := r.err(); err != nil {
		return nil, err
	}
	return &r.doc, nil
}

func (r *ownReader) top(root *yaml.Node) {
	seen := false
	r.each(root, "", func(m member) {
		switch m.name {
		case "holdfast":
			seen = true
			if m.value.Value != version {
				r.add(m.line, m.name, fmt.Errorf("is not %s, the one version of the form that this program knows", version))
			}
		case "namespace":
			var name string
			if r.into(m, m.name, &name, "text") {
				ns, err := events.ParseNamespace(name)
				r.note(m.line, m.name, err)
				r.doc.Namespace = ns
			}
		case "open":
			r.into(m, m.name, &r.doc.Open, "true or false")
		case "description":
			r.into(m, m.name, &r.doc.Description, "text")
		case "labels":
			r.into(m, m.name, &r.doc.Labels, "a mapping of text to text")
		case "definitions":
			r.eachKey(m, func(key events.Key, m member) { r.definition(key, m) })
		case "values":
			r.eachKey(m, func(key events.Key, m member) {
				v, err := valueOf(m.value)
				r.note(m.line, "values."+m.name, err)
				r.doc.Values[key], r.valueLines[key] = v, m.line
			})
		default:
			r.unknown(m, m.name, []string{"holdfast", "namespace", "open", "description", "labels", "definitions", "values"})
		}
	})
	if !seen && !isOwn(root) { // a document whose top is in doubt is not read member by member
		r.add(1, "", fmt.Errorf("is not a document of ours: it has no line \"holdfast: %s\"", version))
	}
}

// definition reads one definition, and keeps it if it makes sense.
func (r *ownReader) definition(key events.Key, m member) {
	var d events.Definition
	path, before := "definitions."+m.name, len(r.problems)
	into := map[string]struct {
		field any
		want  string
	}{
		"kind": {&d.Kind, "text"}, "default": {&d.Default, "a value"}, "min": {&d.Min, "a value"}, "max": {&d.Max, "a value"},
		"enum": {&d.Enum, "a list of values"}, "pattern": {&d.Pattern, "text"}, "schema": {&d.Schema, "a JSON Schema"},
		"unit": {&d.Unit, "text"}, "description": {&d.Description, "text"}, "group": {&d.Group, "text"},
		"requires": {&d.Requires, "a list of keys"}, "sensitive": {&d.Sensitive, "true or false"},
		"labels": {&d.Labels, "a mapping of text to text"},
	}
	r.each(m.value, path, func(m member) {
		f, known := into[m.name]
		if !known {
			names := make([]string, 0, len(into))
			for name := range into {
				names = append(names, name)
			}
			slices.Sort(names)
			r.unknown(m, path+"."+m.name, names)
			return
		}
		r.into(m, path+"."+m.name, f.field, f.want)
	})
	if len(r.problems) > before {
		return
	}
	checked, err := config.CheckDefinition(d)
	r.note(m.line, path, err)
	r.doc.Definitions[key] = checked
}

// checkValues checks the values whose definitions stand in the same file, and makes them canonical.
func (r *ownReader) checkValues() {
	if len(r.problems) > 0 {
		return // a definition that is itself in doubt says nothing about a value
	}
	for key, v := range r.doc.Values {
		if d, ok := r.doc.Definitions[key]; ok {
			checked, err := (&config.Definition{Definition: d}).Check(v)
			r.note(r.valueLines[key], "values."+string(key), err)
			r.doc.Values[key] = checked
		}
	}
}

func (r *ownReader) each(n *yaml.Node, path string, fn func(member)) {
	if n.Kind != yaml.MappingNode {
		r.add(n.Line, path, errors.New("is not a mapping"))
		return
	}
	list, err := members(n)
	r.note(n.Line, path, err)
	for _, m := range list {
		fn(m)
	}
}

func (r *ownReader) eachKey(m member, fn func(events.Key, member)) {
	if m.value.ShortTag() == "!!null" { // "values:" with nothing below it
		return
	}
	path := m.name
	r.each(m.value, path, func(m member) {
		key, err := events.ParseKey(m.name)
		if err != nil {
			r.add(m.line, path, err)
			return
		}
		fn(key, m)
	})
}

// into decodes a member into field, and notes that it should be what want says if it can not be.
func (r *ownReader) into(m member, path string, field any, want string) bool {
	v, err := valueOf(m.value)
	if err != nil {
		r.note(m.line, path, err)
		return false
	}
	if target, ok := field.(*events.Value); ok {
		*target = v
		return true
	}
	if v == "null" || json.Unmarshal([]byte(v), field) != nil {
		r.add(m.line, path, fmt.Errorf("is not %s", want))
		return false
	}
	return true
}

func (r *ownReader) unknown(m member, path string, known []string) {
	r.add(m.line, path, fmt.Errorf("is not known here; known are %s", strings.Join(known, ", ")))
}

// note adds err, if it is one; an [*Error] in it that knows its line better keeps it.
func (r *ownReader) note(line int, path string, err error) {
	if err == nil {
		return
	}
	if inner := new(Error); errors.As(err, &inner) && inner.Line > 0 {
		line, err = inner.Line, inner.Err
	}
	r.add(line, path, err)
}
