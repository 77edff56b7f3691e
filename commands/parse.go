package commands

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// Parse reads a change set as posted: {"reason": …, "expect": {"revision": 41}, "commands": [{"do": "set", …}, …]}.
// It refuses unknown members, bad names and values, and what is over the limits, with a [*Refused] that points at the
// offending command.
func Parse(ns events.Namespace, actor string, body []byte) (ChangeSet, error) {
	cs := ChangeSet{Namespace: ns, Actor: actor}
	p := parser{at: Problem{Command: -1}}
	if len(body) > events.MaxChangeSetBytes {
		p.fail("", &events.LimitError{Text: fmt.Sprintf("change set is %d bytes, more than %d", len(body), events.MaxChangeSetBytes)})
	} else if err := checkJSON(body); err != nil {
		p.fail("", err)
	} else {
		p.changeSet(body, &cs)
		cs.check(&p.problems)
	}
	if err := p.refused(ns); err != nil {
		return ChangeSet{}, err
	}
	return cs, nil
}

// Check says what is wrong with the form of a change set that was not made by [Parse], which checks the same: actor,
// reason, number of commands, texts and labels.
func (cs ChangeSet) Check() error {
	var p problems
	cs.check(&p)
	return p.refused(cs.Namespace)
}

func (cs ChangeSet) check(all *problems) {
	p := parser{at: Problem{Command: -1}}
	if cs.Actor == "" {
		p.fail("actor", errMissing)
	} else if err := config.CheckText(cs.Actor, events.MaxActorBytes); err != nil {
		p.fail("actor", err)
	} else if strings.ContainsAny(cs.Actor, "\n\t") {
		p.fail("actor", errors.New("has a tab or a line break"))
	}
	if err := config.CheckText(cs.Reason, events.MaxReasonBytes); err != nil {
		p.fail("reason", err)
	}
	for i, cmd := range cs.Commands {
		if create, ok := cmd.(Create); ok {
			p.at = Problem{Command: i, Do: cmd.Do()}
			if err := config.CheckText(create.Description, events.MaxDescriptionBytes); err != nil {
				p.fail("description", err)
			}
			if err := config.CheckLabels(create.Labels); err != nil {
				p.fail("labels", err)
			}
		}
	}
	p.at = Problem{Command: -1}
	if n := len(cs.Commands); n > events.MaxChangeSetCommands {
		p.fail("commands", &events.LimitError{Text: fmt.Sprintf("are %d, more than %d", n, events.MaxChangeSetCommands)})
	}
	for _, problem := range p.list {
		all.add(problem)
	}
	all.more += p.more
}

var errMissing = errors.New("is missing")

// parser reads the parts of a change set and collects what is wrong with them.
type parser struct {
	problems
	at Problem // where it is: command, name, key
}

// field is a member that an object may have, and how it is read.
type field struct {
	name string
	read func(raw json.RawMessage) error
}

type fields []field

func (fs fields) find(name string) (field, bool) {
	for _, f := range fs {
		if f.name == name {
			return f, true
		}
	}
	return field{}, false
}

func (fs fields) names() string {
	names := make([]string, len(fs))
	for i, f := range fs {
		names[i] = f.name
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// fail notes what is wrong with a field of the command that the parser is at.
func (p *parser) fail(field string, err error) {
	var element *elementError
	if errors.As(err, &element) {
		field, err = fmt.Sprintf("%s.%d", field, element.index), element.error
	}
	problem := p.at
	problem.Field, problem.Err = field, ErrMalformed
	var limit *events.LimitError
	var name *events.NameError
	switch {
	case errors.As(err, &limit):
		problem.Err = ErrLimit
	case errors.As(err, &name):
		problem.Err = ErrName
	}
	problem.Detail = err.Error()
	if field != "" && name == nil {
		problem.Detail = field + " " + strings.TrimPrefix(problem.Detail, "value ")
	}
	p.add(problem)
}

// read reads the members of an object; prefix is where it is in the command, with a dot at its end.
func (p *parser) read(prefix string, members []member, known fields) {
	for _, m := range members {
		f, ok := known.find(m.name)
		if !ok {
			p.fail(strings.TrimSuffix(prefix, "."), fmt.Errorf("has an unknown member %q; allowed are %s", cut(m.name), known.names()))
			continue
		}
		if err := f.read(m.raw); err != nil {
			p.fail(prefix+m.name, err)
		}
	}
}

// require notes which of the named members are not there.
func (p *parser) require(prefix string, members []member, names ...string) {
	for _, name := range names {
		if !slices.ContainsFunc(members, func(m member) bool { return m.name == name }) {
			p.fail(prefix+name, errMissing)
		}
	}
}

func (p *parser) changeSet(body []byte, cs *ChangeSet) {
	members, err := splitObject(body)
	if err != nil {
		p.fail("", fmt.Errorf("body %w", err))
		return
	}
	p.require("", members, "commands")
	p.read("", members, fields{
		{"reason", into(&cs.Reason, readString)},
		{"expect", p.object("expect.", fields{{"revision", into(&cs.Expect.Revision, readNumber[events.Revision])}})},
		{"commands", func(raw json.RawMessage) error {
			elements, err := splitArray(raw)
			switch {
			case err != nil:
				return err
			case len(elements) == 0:
				return errors.New("are none; post at least one")
			case len(elements) > events.MaxChangeSetCommands:
				return &events.LimitError{Text: fmt.Sprintf("are %d, more than %d", len(elements), events.MaxChangeSetCommands)}
			}
			for i, raw := range elements {
				p.at = Problem{Command: i}
				if cmd := p.command(raw); cmd != nil {
					cs.Commands = append(cs.Commands, cmd)
				}
			}
			p.at = Problem{Command: -1}
			return nil
		}},
	})
}

const knownCommands = "create, define, remove, set, tag, unset, untag"

// command returns the command that raw says; what it returns counts only if there was no problem.
func (p *parser) command(raw json.RawMessage) Command {
	members, err := splitObject(raw)
	if err != nil {
		p.fail("", fmt.Errorf("command %w", err))
		return nil
	}
	do := ""
	for _, m := range members {
		if m.name == "do" {
			if do, err = readString(m.raw); err != nil {
				p.fail("do", err)
				return nil
			}
		}
	}
	p.at.Do = do
	switch do {
	case "create":
		return p.create(members)
	case "define":
		var c Define
		p.keyed(members, &c.Key, &c.Expect, "definition", p.definition(&c.Definition))
		return c
	case "set":
		var c Set
		p.keyed(members, &c.Key, &c.Expect, "value", into(&c.Value, readValue))
		return c
	case "unset":
		var c Unset
		p.keyed(members, &c.Key, &c.Expect, "", nil)
		return c
	case "remove":
		var c Remove
		p.keyed(members, &c.Key, &c.Expect, "", nil)
		return c
	case "tag":
		var c Tag
		p.require("", members, "tag")
		p.read("", members, fields{{"do", ignore}, {"tag", into(&c.Tag, readTag)}, {"revision", into(&c.Revision, readRevision)}})
		return c
	case "untag":
		var c Untag
		p.require("", members, "tag")
		p.read("", members, fields{{"do", ignore}, {"tag", into(&c.Tag, readTag)}})
		return c
	}
	p.at.Do = ""
	if do == "" {
		p.fail("do", errors.New("is missing; it is one of "+knownCommands))
	} else {
		p.fail("do", fmt.Errorf("%q is not a command; it is one of %s", cut(do), knownCommands))
	}
	return nil
}

func (p *parser) create(members []member) Command {
	var c Create
	p.read("", members, fields{
		{"do", ignore},
		{"open", into(&c.Open, readBool)},
		{"description", into(&c.Description, readString)},
		{"labels", into(&c.Labels, readLabels)},
	})
	return c
}

// keyed reads a command about a key, with one more member if what is not empty.
func (p *parser) keyed(members []member, key *events.Key, expect *Expect, what string, read func(json.RawMessage) error) {
	known := fields{
		{"do", ignore},
		{"key", into(key, readKey)},
		{"expect", p.object("expect.", fields{
			{"revision", into(&expect.Revision, readNumber[events.Revision])},
			{"position", into(&expect.Position, readNumber[events.Position])},
		})},
	}
	required := []string{"key"}
	if what != "" {
		known = append(known, field{what, read})
		required = append(required, what)
	}
	for _, m := range members { // first, so that what is wrong elsewhere is told with the key
		if m.name == "key" {
			if parsed, err := readKey(m.raw); err == nil {
				p.at.Key = parsed
			}
		}
	}
	p.require("", members, required...)
	p.read("", members, known)
}

func (p *parser) definition(d *events.Definition) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if len(raw) > events.MaxDefinitionBytes {
			return &events.LimitError{Text: fmt.Sprintf("is %d bytes, more than %d", len(raw), events.MaxDefinitionBytes)}
		}
		members, err := splitObject(raw)
		if err != nil {
			return err
		}
		p.require("definition.", members, "kind")
		p.read("definition.", members, fields{
			{"kind", into(&d.Kind, readKind)},
			{"default", into(&d.Default, readValue)},
			{"min", into(&d.Min, readValue)},
			{"max", into(&d.Max, readValue)},
			{"enum", into(&d.Enum, list(readValue))},
			{"pattern", into(&d.Pattern, readString)},
			{"schema", into(&d.Schema, readValue)},
			{"unit", into(&d.Unit, readString)},
			{"description", into(&d.Description, readString)},
			{"group", into(&d.Group, readString)},
			{"requires", into(&d.Requires, list(readKey))},
			{"sensitive", into(&d.Sensitive, readBool)},
			{"labels", into(&d.Labels, readLabels)},
		})
		return nil
	}
}

// object reads an object in place.
func (p *parser) object(prefix string, known fields) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		members, err := splitObject(raw)
		if err != nil {
			return err
		}
		p.read(prefix, members, known)
		return nil
	}
}

func ignore(json.RawMessage) error { return nil }

// into makes a field's reader of one that returns what it read.
func into[T any](to *T, read func(json.RawMessage) (T, error)) func(json.RawMessage) error {
	return func(raw json.RawMessage) (err error) {
		*to, err = read(raw)
		return err
	}
}

// elementError is about one element of an array.
type elementError struct {
	index int
	error
}

func list[T any](read func(json.RawMessage) (T, error)) func(json.RawMessage) ([]T, error) {
	return func(raw json.RawMessage) ([]T, error) {
		elements, err := splitArray(raw)
		if err != nil {
			return nil, err
		}
		var all []T
		for i, element := range elements {
			one, err := read(element)
			if err != nil {
				return nil, &elementError{i, err}
			}
			all = append(all, one)
		}
		return all, nil
	}
}

func readString(raw json.RawMessage) (string, error) {
	if raw[0] != '"' {
		return "", errors.New("is not a string")
	}
	v, err := events.ParseValue(raw) // which refuses half a surrogate pair
	if err != nil {
		return "", err
	}
	return unquote(json.RawMessage(v))
}

func readBool(raw json.RawMessage) (bool, error) {
	if s := string(raw); s != "true" && s != "false" {
		return false, errors.New("is not true or false")
	}
	return raw[0] == 't', nil
}

func readNumber[N ~int64](raw json.RawMessage) (*N, error) {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil || n < 0 {
		return nil, errors.New("is not a whole number, 0 or more")
	}
	return new(N(n)), nil
}

func readRevision(raw json.RawMessage) (events.Revision, error) {
	n, err := readNumber[events.Revision](raw)
	if err != nil || *n == 0 {
		return 0, errors.New("is not a whole number, 1 or more")
	}
	return *n, nil
}

func readTag(raw json.RawMessage) (events.Tag, error) {
	s, err := readString(raw)
	if err != nil {
		return "", err
	}
	return events.ParseTag(s)
}

func readValue(raw json.RawMessage) (events.Value, error) { return events.ParseValue(raw) }

func readKey(raw json.RawMessage) (events.Key, error) {
	s, err := readString(raw)
	if err != nil {
		return "", err
	}
	return events.ParseKey(s)
}

func readKind(raw json.RawMessage) (events.Kind, error) {
	s, err := readString(raw)
	return events.Kind(s), err
}

func readLabels(raw json.RawMessage) (map[string]string, error) {
	members, err := splitObject(raw)
	if err != nil {
		return nil, err
	}
	labels := make(map[string]string, len(members))
	for _, m := range members {
		if labels[m.name], err = readString(m.raw); err != nil {
			return nil, fmt.Errorf("have one that %w", err)
		}
	}
	return labels, nil
}

// cut keeps what was posted short in an error text.
func cut(s string) string {
	if len(s) > 32 {
		return strings.ToValidUTF8(s[:32], "") + "…"
	}
	return s
}
