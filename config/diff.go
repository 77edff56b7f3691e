package config

import (
	"slices"

	"github.com/holdfast-config/holdfast/events"
)

// Held is what a namespace has for a key.
type Held struct {
	Entry      *Entry      // its value; nil: none
	Definition *Definition // nil: none
}

// Difference is a key for which two states hold different values or definitions.
type Difference struct {
	Key      events.Key
	From, To Held
}

// Values says whether the values differ, and not the definitions alone.
func (d Difference) Values() bool { return !sameValue(d.From.Entry, d.To.Entry) }

// Diff lists, sorted by key, how namespace to in b differs from namespace from in a: in what is in force there, or only in
// what the namespaces say themselves. Two values that are equal are no difference, wherever they come from; nor are two
// equal definitions. A namespace that does not exist holds nothing.
func Diff(a Tree, from events.Namespace, b Tree, to events.Namespace, own bool) []Difference {
	was, is := a.chain(from), b.chain(to)
	keys := slices.Concat(was.keys(), is.keys())
	slices.Sort(keys)
	var all []Difference
	for _, key := range slices.Compact(keys) {
		d := Difference{key, was.held(key, own), is.held(key, own)}
		if !d.From.equal(d.To) {
			all = append(all, d)
		}
	}
	return all
}

// held is what the nearest namespace of the chain has for key, from itself alone or from anywhere in the chain.
func (c *chain) held(key events.Key, own bool) (h Held) {
	f := c.find(key)
	if e, ok := f.entry(); ok && (!own || f.from == c.spaces[0].Name) {
		h.Entry = &e
	}
	if d := f.definition; d != nil && (!own || d.From == c.spaces[0].Name) {
		h.Definition = d
	}
	return h
}

func (h Held) equal(other Held) bool {
	a, b := h.Definition, other.Definition
	if !sameValue(h.Entry, other.Entry) || (a == nil) != (b == nil) {
		return false
	}
	return a == nil || a.Definition.Equal(b.Definition)
}

func sameValue(a, b *Entry) bool {
	return (a == nil) == (b == nil) && (a == nil || a.Value == b.Value)
}
