package events

import (
	"iter"
	"time"
)

// Position is the store's gapless count of events in commit order: 1, 2, 3, … Zero is before the first event.
type Position int64

// Revision is a namespace's gapless count of change sets: 1, 2, 3, … Zero is before the namespace was created.
type Revision int64

// Event is a fact: one of [NamespaceCreated], [NamespaceTagged], [NamespaceUntagged], [NamespaceRestored], [KeyDefined],
// [KeyRemoved], [ValueSet], [ValueUnset], and, about the log itself, [EpochBegan].
type Event interface {
	// Type is the name under which the event is stored, with its version.
	Type() string
	isEvent()
}

// NamespaceCreated is the first event of every namespace.
type NamespaceCreated struct {
	// Open says that keys may be set here without a definition; their kind is inferred from each value.
	Open        bool              `json:"open,omitzero"`
	Description string            `json:"description,omitzero"`
	Labels      map[string]string `json:"labels,omitempty"`
}

// KeyDefined gives a key its definition, in this namespace and, unless overridden, in those below it. It replaces an
// earlier definition of the same key whole.
type KeyDefined struct {
	Key        Key        `json:"-"`
	Definition Definition `json:"definition"`
}

// KeyRemoved takes away the key's own definition and own value.
type KeyRemoved struct {
	Key Key `json:"-"`
}

// ValueSet gives a key its own value.
type ValueSet struct {
	Key   Key   `json:"-"`
	Value Value `json:"value"`
}

// ValueUnset takes away the key's own value; the inherited value or the default shows again.
type ValueUnset struct {
	Key Key `json:"-"`
}

// NamespaceTagged names a revision of the namespace. As of the tag is as of that revision's end.
type NamespaceTagged struct {
	Tag      Tag      `json:"tag"`
	Revision Revision `json:"revision,omitzero"` // 0: that of the tag's own change set
}

// NamespaceUntagged frees a tag for another use.
type NamespaceUntagged struct {
	Tag Tag `json:"tag"`
}

// NamespaceRestored says that the other events of its change set bring back what was in force in a namespace, this one or
// another, at an earlier point. It changes nothing itself.
type NamespaceRestored struct {
	Namespace Namespace `json:"namespace"`
	Revision  Revision  `json:"revision"` // of Namespace, at that point
	Position  Position  `json:"position"` // the point
}

// EpochBegan is about the log itself, in the namespace [LogNamespace]: from here on it is another history, such as one that
// goes on from a backup.
type EpochBegan struct {
	Epoch    string `json:"epoch"`    // that begins, a UUID
	Previous string `json:"previous"` // that it follows
}

// LogNamespace is where events about the log itself stand. It is no name that [ParseNamespace] takes: nobody can post to it,
// it has no view, and it is not listed among the namespaces.
const LogNamespace Namespace = "@log"

// The stored type names. They never change; a new form gets a new version.
const (
	TypeNamespaceCreated  = "namespace.created.v1"
	TypeNamespaceTagged   = "namespace.tagged.v1"
	TypeNamespaceUntagged = "namespace.untagged.v1"
	TypeNamespaceRestored = "namespace.restored.v1"
	TypeKeyDefined        = "key.defined.v1"
	TypeKeyRemoved        = "key.removed.v1"
	TypeValueSet          = "value.set.v1"
	TypeValueUnset        = "value.unset.v1"
	TypeEpochBegan        = "epoch.began.v1"
)

// Types are all stored type names.
var Types = []string{
	TypeNamespaceCreated, TypeNamespaceTagged, TypeNamespaceUntagged, TypeNamespaceRestored,
	TypeKeyDefined, TypeKeyRemoved, TypeValueSet, TypeValueUnset, TypeEpochBegan,
}

func (NamespaceCreated) Type() string  { return TypeNamespaceCreated }
func (NamespaceTagged) Type() string   { return TypeNamespaceTagged }
func (NamespaceUntagged) Type() string { return TypeNamespaceUntagged }
func (NamespaceRestored) Type() string { return TypeNamespaceRestored }
func (KeyDefined) Type() string        { return TypeKeyDefined }
func (KeyRemoved) Type() string        { return TypeKeyRemoved }
func (ValueSet) Type() string          { return TypeValueSet }
func (ValueUnset) Type() string        { return TypeValueUnset }
func (EpochBegan) Type() string        { return TypeEpochBegan }

func (NamespaceCreated) isEvent()  {}
func (NamespaceTagged) isEvent()   {}
func (NamespaceUntagged) isEvent() {}
func (NamespaceRestored) isEvent() {}
func (KeyDefined) isEvent()        {}
func (KeyRemoved) isEvent()        {}
func (ValueSet) isEvent()          {}
func (ValueUnset) isEvent()        {}
func (EpochBegan) isEvent()        {}

// KeyOf returns the key that ev is about; it is empty for an event about a namespace, or the log, itself.
func KeyOf(ev Event) Key {
	switch ev := ev.(type) {
	case KeyDefined:
		return ev.Key
	case KeyRemoved:
		return ev.Key
	case ValueSet:
		return ev.Key
	case ValueUnset:
		return ev.Key
	}
	return ""
}

// Recorded is an event as the log holds it.
type Recorded struct {
	Position  Position
	Namespace Namespace
	Revision  Revision  // of Namespace; shared by the events of one change set
	Time      time.Time // UTC, microseconds; never decreases as positions grow
	Actor     string    // who posted the change set
	Reason    string    // why; may be empty
	Event     Event
}

// ChangeSets cuts recorded events, which must be in the order of their positions, into the change sets they came from.
// The slices share evs' memory.
func ChangeSets(evs []Recorded) iter.Seq[[]Recorded] {
	return func(yield func([]Recorded) bool) {
		for len(evs) > 0 {
			n := 1
			for n < len(evs) && evs[n].Namespace == evs[0].Namespace && evs[n].Revision == evs[0].Revision {
				n++
			}
			if !yield(evs[:n:n]) {
				return
			}
			evs = evs[n:]
		}
	}
}
