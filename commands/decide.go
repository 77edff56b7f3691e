package commands

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
)

// Decide returns the events that the change set causes in t, none if it changes nothing, or a [*Refused]. It costs by
// what the commands touch, not by the size of t, but for removing a key, which looks for who requires it, and for
// creating a namespace above others.
func Decide(t config.Tree, cs ChangeSet) ([]events.Event, error) {
	d := decision{cs: cs, before: t, now: t, touched: map[events.Key]touch{}, created: none, effort: config.MaxEffort}
	var revision events.Revision
	if ns, ok := t.Namespace(cs.Namespace); ok {
		revision = ns.Revision
	}
	d.revision = revision + 1
	if expected := cs.Expect.Revision; expected != nil && *expected != revision {
		d.add(Problem{Command: none, Field: "expect.revision", Err: ErrConflict, Detail: conflict("revision", *expected, revision)})
	}
	for i, cmd := range cs.Commands {
		d.at = Problem{Command: i, Do: cmd.Do()}
		if _, ok := d.now.Namespace(cs.Namespace); !ok && d.at.Do != (Create{}).Do() {
			d.refuse("", ErrNamespaceNotFound, fmt.Sprintf("namespace %q does not exist; create it first", cs.Namespace))
			break
		}
		d.command(cmd)
	}
	if len(d.list) == 0 {
		d.judge()
	}
	if err := d.refused(cs.Namespace); err != nil {
		return nil, err
	}
	if cs.Restored != nil && len(d.events) > 0 {
		return slices.Insert(d.events, 0, events.Event(*cs.Restored)), nil
	}
	return d.events, nil
}

const none = -1 // no command

// decision is the state of deciding one change set.
type decision struct {
	cs       ChangeSet
	before   config.Tree // without the change set
	now      config.Tree // with its commands up to here
	revision events.Revision
	events   []events.Event

	at Problem // the command being decided
	problems
	suggested int           // look-ups of near names, which are dear
	effort    config.Effort // left for checking values

	touched map[events.Key]touch
	created int // the command that creates the namespace, or none
	failed  map[events.Key]bool
}

// touch says which commands, by index, changed a key last: its shape (define, remove) and its value (set, unset).
type touch struct{ shape, value int }

func (d *decision) command(cmd Command) {
	switch cmd := cmd.(type) {
	case Create:
		d.create(cmd)
	case Define:
		if own, ok := d.begin(cmd.Key, cmd.Expect, definedRevision); ok {
			d.define(cmd, own)
		}
	case Set:
		if own, ok := d.begin(cmd.Key, cmd.Expect, setRevision); ok {
			d.set(cmd, own)
		}
	case Unset:
		if own, ok := d.begin(cmd.Key, cmd.Expect, setRevision); ok {
			d.unset(cmd, own)
		}
	case Remove:
		if own, ok := d.begin(cmd.Key, cmd.Expect, definedRevision); ok {
			d.remove(cmd, own)
		}
	case Tag:
		d.tag(cmd)
	case Untag:
		d.untag(cmd)
	default:
		d.refuse("do", ErrMalformed, fmt.Sprintf("%q is not a command", d.at.Do))
	}
}

func setRevision(own config.Key) events.Revision { return own.SetRevision }

func definedRevision(own config.Key) events.Revision {
	if own.Definition == nil {
		return 0
	}
	return own.Definition.Revision
}

// begin checks what a command expects of its key and returns the key's own state as it is now. False: the command is
// refused, or an earlier one on the same key was, so that this one would be judged on what is not there.
func (d *decision) begin(key events.Key, expect Expect, revision func(config.Key) events.Revision) (own config.Key, ok bool) {
	d.at.Key = key
	var was config.Key
	if ns, ok := d.before.Namespace(d.cs.Namespace); ok {
		was, _ = ns.Key(key)
	}
	if e := expect.Revision; e != nil && *e != revision(was) {
		d.refuse("expect.revision", ErrConflict, conflict("revision", *e, revision(was)))
		return own, false
	}
	if e := expect.Position; e != nil {
		entry, _ := d.before.Effective(d.cs.Namespace, key)
		if *e != entry.Position {
			d.refuse("expect.position", ErrConflict, conflict("position", *e, entry.Position))
			return own, false
		}
	}
	if d.failed[key] {
		return own, false
	}
	ns, _ := d.now.Namespace(d.cs.Namespace)
	own, _ = ns.Key(key)
	return own, true
}

func conflict[N ~int64](what string, expected, is N) string {
	return fmt.Sprintf("expected %s %d, is %d", what, expected, is)
}

// refuse notes a problem of the command being decided.
func (d *decision) refuse(field string, err error, detail string) {
	p := d.at
	p.Field, p.Err, p.Detail = field, err, detail
	d.fail(p)
}

func (d *decision) fail(p Problem) {
	if d.failed == nil {
		d.failed = map[events.Key]bool{}
	}
	d.failed[p.Key] = true
	d.add(p)
}

// cause adds an event, which later commands see.
func (d *decision) cause(ev events.Event) {
	d.events = append(d.events, ev)
	d.now = d.now.Evolve(events.Recorded{
		Position: d.now.Position() + 1, Namespace: d.cs.Namespace, Revision: d.revision, Event: ev,
	})
	if _, ok := ev.(events.NamespaceCreated); ok {
		d.created = d.at.Command
	}
	key := events.KeyOf(ev)
	if key == "" {
		return
	}
	t, ok := d.touched[key]
	if !ok {
		t = touch{none, none}
	}
	switch ev.(type) {
	case events.KeyDefined, events.KeyRemoved:
		t.shape = d.at.Command
	case events.ValueSet, events.ValueUnset:
		t.value = d.at.Command
	}
	d.touched[key] = t
}

func (d *decision) create(c Create) {
	if d.cs.Namespace == config.FromDefault {
		d.refuse("", ErrName, `namespace "default" is reserved: an entry from "default" has its value from its definition`)
		return
	}
	ns, ok := d.now.Namespace(d.cs.Namespace)
	other := ""
	switch {
	case !ok:
		d.cause(events.NamespaceCreated(c))
		return
	case ns.Open != c.Open && ns.Open:
		other = "open"
	case ns.Open != c.Open:
		other = "not open"
	case ns.Description != c.Description:
		other = "with another description"
	case !maps.Equal(ns.Labels, c.Labels):
		other = "with other labels"
	default:
		return
	}
	d.refuse("", ErrNamespaceExists, fmt.Sprintf("namespace %q exists already, %s", d.cs.Namespace, other))
}

func (d *decision) tag(c Tag) {
	ns, _ := d.now.Namespace(d.cs.Namespace)
	named, inUse := ns.Tag(c.Tag)
	switch {
	case c.Revision >= d.revision:
		detail := fmt.Sprintf("revision %d is not reached, the namespace is at %d", c.Revision, d.revision-1)
		d.refuse("revision", events.ErrUnknownPoint, detail)
	case !inUse && ns.TagCount() >= events.MaxTags:
		d.refuse("tag", ErrLimit, fmt.Sprintf("the namespace has %d tags, the most it may have; untag some first", events.MaxTags))
	case !inUse:
		d.cause(events.NamespaceTagged(c))
	case named != c.Revision:
		d.refuse("tag", ErrTagInUse, fmt.Sprintf("tag %q names revision %d; untag it first", c.Tag, named))
	}
}

func (d *decision) untag(c Untag) {
	ns, _ := d.now.Namespace(d.cs.Namespace)
	if _, ok := ns.Tag(c.Tag); !ok {
		d.refuse("tag", events.ErrUnknownPoint, fmt.Sprintf("there is no tag %q", c.Tag))
		return
	}
	d.cause(events.NamespaceUntagged(c))
}

func (d *decision) define(c Define, own config.Key) {
	definition, err := config.CheckDefinitionWithin(c.Definition, &d.effort)
	if err != nil {
		d.flaws(err)
		return
	}
	for _, required := range definition.Requires {
		if required == c.Key {
			d.refuse("definition.requires", ErrInvalidDefinition, "definition.requires names the key itself")
			return
		}
	}
	if own.Definition == nil || !own.Definition.Definition.Equal(definition) {
		d.cause(events.KeyDefined{Key: c.Key, Definition: definition})
	}
}

// flaws notes each reason why a definition makes no sense.
func (d *decision) flaws(err error) {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	for _, err := range all {
		field := "definition"
		var flaw *config.Flaw
		if errors.As(err, &flaw) && flaw.Field != "" {
			field += "." + flaw.Field
			err = errors.New(flaw.Why)
		}
		d.refuse(field, ErrInvalidDefinition, field+" "+err.Error())
	}
}

func (d *decision) set(c Set, own config.Key) {
	value, present := c.Value, own.Value
	definition, _, defined := d.now.Definition(d.cs.Namespace, c.Key)
	if defined {
		var err error
		if value, err = definition.CheckWithin(c.Value, d.now.Sensitive(d.cs.Namespace, c.Key), &d.effort); err != nil {
			d.refuse("value", ErrInvalidValue, err.Error())
			return
		}
		if canonical, err := config.Canonical(definition.Kind, present); err == nil {
			present = canonical
		}
	} else if ns, _ := d.now.Namespace(d.cs.Namespace); !ns.Open && !d.now.Known(d.cs.Namespace, c.Key) {
		d.unknown(c.Key)
		return
	}
	if value != present {
		d.cause(events.ValueSet{Key: c.Key, Value: value})
	}
}

func (d *decision) unset(c Unset, own config.Key) {
	switch {
	case own.Value != "":
		d.cause(events.ValueUnset{Key: c.Key})
	case !d.now.Known(d.cs.Namespace, c.Key):
		d.unknown(c.Key)
	}
}

func (d *decision) remove(c Remove, own config.Key) {
	if own.Definition != nil || own.Value != "" {
		d.cause(events.KeyRemoved{Key: c.Key})
		return
	}
	for ns := range d.now.Chain(d.cs.Namespace) {
		if _, ok := ns.Key(c.Key); ok {
			detail := fmt.Sprintf("key %q has nothing to remove here; it comes from %s", c.Key, ns.Name)
			d.refuse("key", ErrUnknownKey, detail)
			return
		}
	}
	d.unknown(c.Key)
}

const maxSuggestions = 3 // near names looked for in one change set

// unknown refuses the command for a key that is not known, and says which is perhaps meant.
func (d *decision) unknown(key events.Key) {
	p := d.at
	p.Field, p.Err, p.Detail = "key", ErrUnknownKey, fmt.Sprintf("unknown key %q", key)
	if d.suggested < maxSuggestions {
		d.suggested++
		p.Suggestion = nearest(d.now, d.cs.Namespace, key)
	}
	if p.Suggestion != "" {
		p.Detail += fmt.Sprintf("; did you mean %q?", p.Suggestion)
	}
	d.fail(p)
}
