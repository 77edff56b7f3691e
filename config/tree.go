package config

import (
	"iter"
	"slices"
	"strings"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/pmap"
)

// Tree is the state of a root namespace and all below it. The zero Tree is empty and ready.
type Tree struct {
	spaces   *pmap.Map[events.Namespace, *Namespace]
	names    []events.Namespace // of spaces, sorted
	position events.Position
	keys     int // own keys of all namespaces
}

// Evolve returns the tree after ev. It never fails: ev has happened. Events of another root are a programming error.
func (t Tree) Evolve(ev events.Recorded) Tree {
	f := NewFold(t)
	f.Apply(ev)
	return f.Tree()
}

// Position is that of the last event folded in; 0 for the zero Tree.
func (t Tree) Position() events.Position { return t.position }

// Len is the number of keys that have own state in any namespace: what the tree costs in memory.
func (t Tree) Len() int { return t.keys }

// Namespace returns the own state of ns, and whether it exists.
func (t Tree) Namespace(ns events.Namespace) (*Namespace, bool) { return t.spaces.Get(ns) }

// Namespaces yields the namespaces sorted by name.
func (t Tree) Namespaces() iter.Seq[*Namespace] {
	return func(yield func(*Namespace) bool) {
		for _, name := range t.names {
			if ns, ok := t.spaces.Get(name); ok && !yield(ns) {
				return
			}
		}
	}
}

// Below yields the namespaces whose names extend ns and which inherit from it through an unbroken chain, sorted.
func (t Tree) Below(ns events.Namespace) iter.Seq[*Namespace] {
	return func(yield func(*Namespace) bool) {
		if _, ok := t.spaces.Get(ns); !ok {
			return
		}
		prefix := ns + "." // what starts so is one run of the sorted names
		first, _ := slices.BinarySearch(t.names, prefix)
		for _, name := range t.names[first:] {
			if !strings.HasPrefix(string(name), string(prefix)) {
				return
			}
			if !t.unbroken(ns, name) {
				continue
			}
			if below, ok := t.spaces.Get(name); ok && !yield(below) {
				return
			}
		}
	}
}

// unbroken says whether every namespace between top and name, which is below it, exists.
func (t Tree) unbroken(top, name events.Namespace) bool {
	for {
		parent, ok := name.Parent()
		if !ok || parent == top {
			return ok
		}
		if _, ok := t.spaces.Get(parent); !ok {
			return false
		}
		name = parent
	}
}

// Chain yields ns and the namespaces that it inherits from, nearest first; nothing if ns does not exist.
func (t Tree) Chain(ns events.Namespace) iter.Seq[*Namespace] {
	return func(yield func(*Namespace) bool) {
		c := t.chain(ns)
		for _, space := range c.spaces[:c.n] {
			if !yield(space) {
				return
			}
		}
	}
}

// Definition returns the definition in force for key in ns and the namespace that gave it.
func (t Tree) Definition(ns events.Namespace, key events.Key) (*Definition, events.Namespace, bool) {
	c := t.chain(ns)
	found := c.find(key)
	if found.definition == nil {
		return nil, "", false
	}
	return found.definition, found.definition.From, true
}

// Sensitive says whether a definition of key that ns has or inherits calls it sensitive: the one in force, or one above that
// it stands before.
func (t Tree) Sensitive(ns events.Namespace, key events.Key) bool {
	c := t.chain(ns)
	return c.find(key).sensitive
}

// Definitions yields all definitions in force in ns, sorted by key.
func (t Tree) Definitions(ns events.Namespace) iter.Seq2[events.Key, *Definition] {
	return func(yield func(events.Key, *Definition) bool) {
		c := t.chain(ns)
		for _, key := range c.keys() {
			if found := c.find(key); found.definition != nil && !yield(key, found.definition) {
				return
			}
		}
	}
}

// Effective returns the effective value of key in ns; false: it has none.
func (t Tree) Effective(ns events.Namespace, key events.Key) (Entry, bool) {
	c := t.chain(ns)
	return c.find(key).entry()
}

// Entries yields all effective values in ns, sorted by key.
func (t Tree) Entries(ns events.Namespace) iter.Seq2[events.Key, Entry] {
	return func(yield func(events.Key, Entry) bool) {
		c := t.chain(ns)
		for _, key := range c.keys() {
			if entry, ok := c.find(key).entry(); ok && !yield(key, entry) {
				return
			}
		}
	}
}

// Keys yields every key known in ns, sorted: defined in force, or with an effective value.
func (t Tree) Keys(ns events.Namespace) iter.Seq[events.Key] {
	return func(yield func(events.Key) bool) {
		c := t.chain(ns)
		for _, key := range c.keys() {
			if !yield(key) {
				return
			}
		}
	}
}

// Known says whether key is known in ns: defined in force, or with an effective value.
func (t Tree) Known(ns events.Namespace, key events.Key) bool {
	c := t.chain(ns)
	return c.known(key)
}
