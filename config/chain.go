package config

import (
	"cmp"
	"slices"

	"github.com/holdfast-config/holdfast/events"
)

// Entry is an effective value and where it comes from.
type Entry struct {
	Value     events.Value // canonical for Kind
	Kind      events.Kind
	Revision  events.Revision // of the namespace that From names, or that defined the default
	Position  events.Position // of the event that gave the value
	From      string          // the namespace that set it, or "default"
	Sensitive bool            // a definition of the key, here or above, says so
}

// FromDefault is the Entry.From of a value that comes from the definition.
const FromDefault = "default"

// chain is a namespace and those it inherits from, nearest first. It is where inheritance is written down.
type chain struct {
	spaces [events.MaxNamespaceLabels]*Namespace
	n      int
}

func (t Tree) chain(ns events.Namespace) (c chain) {
	for name, ok := ns, true; ok && c.n < len(c.spaces); name, ok = name.Parent() {
		space, exists := t.spaces.Get(name)
		if !exists {
			break
		}
		c.spaces[c.n] = space
		c.n++
	}
	return c
}

// found is what a chain knows about a key.
type found struct {
	definition *Definition      // nearest; nil: none
	own        Key              // nearest own value, if from is set
	from       events.Namespace // that has it
	sensitive  bool             // any definition: one below must not bring to light what is secret above
}

func (c *chain) find(key events.Key) (f found) {
	for _, space := range c.spaces[:c.n] {
		own, ok := space.keys.Get(key)
		if !ok {
			continue
		}
		if d := own.Definition; d != nil {
			f.definition = cmp.Or(f.definition, d)
			f.sensitive = f.sensitive || d.Sensitive
		}
		if f.from == "" && own.Value != "" {
			f.own, f.from = own, space.Name
		}
	}
	return f
}

// entry returns the effective value: own or inherited, else the default.
func (f found) entry() (Entry, bool) {
	if f.from != "" {
		e := Entry{Value: f.own.Value, Revision: f.own.SetRevision, Position: f.own.SetPosition, From: string(f.from)}
		if f.definition == nil {
			e.Kind = Infer(e.Value)
			return e, true
		}
		e.Kind, e.Sensitive = f.definition.Kind, f.sensitive
		// Set under another definition, the value may be written in another way than this kind's.
		if canonical, err := Canonical(e.Kind, e.Value); err == nil {
			e.Value = canonical
		}
		return e, true
	}
	d := f.definition
	if d == nil || d.Default == "" {
		return Entry{}, false
	}
	return Entry{
		Value: d.Default, Kind: d.Kind, Revision: d.Revision, Position: d.Position, From: FromDefault, Sensitive: f.sensitive,
	}, true
}

// keys are all keys known in the chain, sorted: own state anywhere in it is a definition in force or a value.
func (c *chain) keys() []events.Key {
	n := 0
	for _, space := range c.spaces[:c.n] {
		n += space.keys.Len()
	}
	keys := make([]events.Key, 0, n)
	for _, space := range c.spaces[:c.n] {
		for key := range space.keys.All() {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

func (c *chain) known(key events.Key) bool {
	for _, space := range c.spaces[:c.n] {
		if _, ok := space.keys.Get(key); ok {
			return true
		}
	}
	return false
}
