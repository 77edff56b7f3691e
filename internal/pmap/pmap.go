// Package pmap is a persistent hash map: immutable maps that share what they have in common. A map is a directory of
// small tables; changing a key copies its table and the directory, not the map, so that a change costs about the square
// root of the size, and a look-up is one hash, one pointer and a short probe. The state of a namespace and a reader's
// snapshot are such maps.
//
//	hash ─► high bits: directory ─► table ─┬─ index: low bits ─► place      (open addressing)
//	                                       └─ entries: place ─► key, value  (dense)
package pmap

import (
	"hash/maphash"
	"iter"
	"math/bits"
)

// Map is an immutable map. The zero Map, and a nil one, are empty.
type Map[K ~string, V any] struct {
	tables []*table[K, V] // the directory: a power of two of them, or none; nil: an empty table
	shift  uint           // of a hash, so that its high bits are left: the place in the directory
	n      int            // keys in all tables
}

// Get returns the value at k. It does not allocate.
func (m *Map[K, V]) Get(k K) (v V, ok bool) {
	if m == nil || len(m.tables) == 0 {
		return v, false
	}
	h := maphash.String(seed, string(k))
	t := m.tables[h>>(m.shift&63)]
	if t == nil {
		return v, false
	}
	place := t.find(k, h)
	if place < 0 {
		return v, false
	}
	return t.entries[place].value, true
}

// Len is the number of keys.
func (m *Map[K, V]) Len() int {
	if m == nil {
		return 0
	}
	return m.n
}

// All yields the keys and values, in no order.
func (m *Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m == nil {
			return
		}
		for _, t := range m.tables {
			if t == nil {
				continue
			}
			for i := range t.entries {
				if !yield(t.entries[i].key, t.entries[i].value) {
					return
				}
			}
		}
	}
}

// With returns a map in which k has the value v.
func (m *Map[K, V]) With(k K, v V) *Map[K, V] {
	e := m.Edit()
	e.Set(k, v)
	return e.Map()
}

// Without returns a map without k.
func (m *Map[K, V]) Without(k K) *Map[K, V] {
	e := m.Edit()
	e.Delete(k)
	return e.Map()
}

// Edit returns an editor that starts as m, for many changes at once.
func (m *Map[K, V]) Edit() *Editor[K, V] {
	e := &Editor[K, V]{owner: new(owner)}
	if m != nil {
		e.m = *m
	}
	return e
}

var seed = maphash.MakeSeed()

// tablesFor is how many tables a map of n keys should have: copying the directory and one table then cost about the
// same. There are at least two, so that a hash is never shifted by all its bits.
func tablesFor(n int) int {
	if n <= 32 {
		return 2
	}
	return 1 << ((bits.Len(uint(n)) + 2) / 2)
}
