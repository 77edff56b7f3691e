package config

import (
	"iter"
	"maps"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/pmap"
)

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
	tags        *pmap.Map[events.Tag, events.Revision]
}

// Key is the own state of a key in a namespace: an own definition, an own value, or both.
type Key struct {
	Definition  *Definition     // nil: not defined here
	Value       events.Value    // empty: no own value
	SetRevision events.Revision // of the change set that set Value; 0: no own value
	SetPosition events.Position
}

// Key returns the own state of key, and whether there is any.
func (n *Namespace) Key(key events.Key) (Key, bool) { return n.keys.Get(key) }

// Keys yields the keys that have own state, in no order.
func (n *Namespace) Keys() iter.Seq2[events.Key, Key] { return n.keys.All() }

// Len is the number of keys that have own state.
func (n *Namespace) Len() int { return n.keys.Len() }

// Tag returns the revision that tag names, and whether it is in use.
func (n *Namespace) Tag(tag events.Tag) (events.Revision, bool) { return n.tags.Get(tag) }

// Tags yields the tags in use and the revisions that they name, in no order.
func (n *Namespace) Tags() iter.Seq2[events.Tag, events.Revision] { return n.tags.All() }

// TagCount is the number of tags in use.
func (n *Namespace) TagCount() int { return n.tags.Len() }

// Equal says whether t and other are the same state, whatever events they were folded from.
func (t Tree) Equal(other Tree) bool {
	if t.position != other.position || t.spaces.Len() != other.spaces.Len() {
		return false
	}
	for name, ns := range t.spaces.All() {
		same, ok := other.spaces.Get(name)
		if !ok || !ns.equal(same) {
			return false
		}
	}
	return true
}

func (n *Namespace) equal(other *Namespace) bool {
	a, b := n.CreatedAt, other.CreatedAt
	if n.Name != other.Name || n.Revision != other.Revision || n.Position != other.Position || n.Open != other.Open ||
		n.Description != other.Description || !maps.Equal(n.Labels, other.Labels) || n.Len() != other.Len() ||
		n.TagCount() != other.TagCount() ||
		a.Position != b.Position || a.Revision != b.Revision || !a.Time.Equal(b.Time) || a.Actor != b.Actor || a.Reason != b.Reason {
		return false
	}
	for key, own := range n.keys.All() {
		same, ok := other.keys.Get(key)
		if !ok || !own.equal(same) {
			return false
		}
	}
	for tag, revision := range n.tags.All() {
		if same, ok := other.tags.Get(tag); !ok || same != revision {
			return false
		}
	}
	return true
}

func (k Key) equal(other Key) bool {
	a, b := k.Definition, other.Definition
	if k.Value != other.Value || k.SetRevision != other.SetRevision || k.SetPosition != other.SetPosition || (a == nil) != (b == nil) {
		return false
	}
	return a == b || a.From == b.From && a.Revision == b.Revision && a.Position == b.Position && a.Definition.Equal(b.Definition)
}
