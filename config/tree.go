package config

import (
	"iter"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/pmap"
)

// Tree is the state of a root namespace and all below it. The zero Tree is empty and ready.
type Tree struct{}

// Evolve returns the tree after ev. It never fails: ev has happened. Events of another root are a programming error.
func (t Tree) Evolve(ev events.Recorded) Tree { panic("unwritten") }

// Namespace returns the own state of ns, and whether it exists.
func (t Tree) Namespace(ns events.Namespace) (*Namespace, bool) { panic("unwritten") }

// Namespaces yields the namespaces sorted by name.
func (t Tree) Namespaces() iter.Seq[*Namespace] { panic("unwritten") }

// Below yields the namespaces whose names extend ns and which inherit from it through an unbroken chain, sorted.
func (t Tree) Below(ns events.Namespace) iter.Seq[*Namespace] { panic("unwritten") }

// Position is that of the last event folded in; 0 for the zero Tree.
func (t Tree) Position() events.Position { panic("unwritten") }

// Definition returns the definition in force for key in ns and the namespace that gave it.
func (t Tree) Definition(ns events.Namespace, key events.Key) (*Definition, events.Namespace, bool) {
	panic("unwritten")
}

// Definitions yields all definitions in force in ns, sorted by key.
func (t Tree) Definitions(ns events.Namespace) iter.Seq2[events.Key, *Definition] { panic("unwritten") }

// Effective returns the effective value of key in ns; false: it has none.
func (t Tree) Effective(ns events.Namespace, key events.Key) (Entry, bool) { panic("unwritten") }

// Entries yields all effective values in ns, sorted by key.
func (t Tree) Entries(ns events.Namespace) iter.Seq2[events.Key, Entry] { panic("unwritten") }

// Keys yields every key known in ns, sorted: defined in force, or with an effective value.
func (t Tree) Keys(ns events.Namespace) iter.Seq[events.Key] { panic("unwritten") }

// Namespace is the own state of a namespace: what its own events say, before inheritance. Immutable.
type Namespace struct {
	Name        events.Namespace
	Revision    events.Revision
	Position    events.Position // of its last event
	CreatedAt   events.Recorded // the event namespace.created
	Open        bool
	Description string
	Labels      map[string]string
	keys        *pmap.Map[events.Key, Key]
}

// Key is the own state of a key in a namespace.
type Key struct {
	Definition  *Definition // nil: not defined here
	Value       events.Value
	Kind        events.Kind     // inferred kind of Value where nothing defines the key
	SetRevision events.Revision // of the change set that set Value; 0: no own value
	SetPosition events.Position
}

// Definition is a definition in a tree, with its checks compiled once.
type Definition struct {
	events.Definition
	From     events.Namespace
	Revision events.Revision // of From, when it was defined
	Position events.Position
}

// Entry is an effective value and where it comes from.
type Entry struct {
	Value     events.Value
	Kind      events.Kind
	Revision  events.Revision // of the namespace that From names, or that defined the default
	Position  events.Position // of the event that gave the value
	From      string          // the namespace that set it, or "default"
	Sensitive bool
}

// FromDefault is the Entry.From of a value that comes from the definition.
const FromDefault = "default"

// Change is what happened to one key of a view. A nil Old or New means that there was, or is, no effective value.
type Change struct {
	Key events.Key
	Old *Entry
	New *Entry
}

// ViewChange is what a change set does to the view of one namespace.
type ViewChange struct {
	Namespace events.Namespace
	Revision  events.Revision // Namespace's own, after the change set
	Changes   []Change        // sorted by key
}

// Changes lists what the change set evs, which leads from before to after, does to each view: first that of its own
// namespace, always, even if no effective value changes; then those of the namespaces below in which one does.
func Changes(before, after Tree, evs []events.Recorded) []ViewChange { panic("unwritten") }
