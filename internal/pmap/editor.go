package pmap

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// Editor makes a map by many changes; it copies each small table once. It is not safe for concurrent use.
type Editor[K ~string, V any] struct {
	m     Map[K, V] // as it is now
	owner *owner    // tables marked with it are the editor's own
	owns  bool      // the slice of tables is the editor's own
}

// Get returns the value at k as it is now.
func (e *Editor[K, V]) Get(k K) (V, bool) { return e.m.Get(k) }

// Len is the number of keys as it is now.
func (e *Editor[K, V]) Len() int { return e.m.n }

// Set gives k the value v.
func (e *Editor[K, V]) Set(k K, v V) {
	h := maphash.String(seed, string(k))
	if want := tablesFor(e.m.n + 1); want > len(e.m.tables) {
		e.rebuild(want)
	}
	t := e.table(h)
	if place := t.find(k, h); place >= 0 {
		t.entries[place].value = v
		return
	}
	t.add(k, v, h)
	e.m.n++
}

// Delete takes k away, if it is there.
func (e *Editor[K, V]) Delete(k K) {
	if _, ok := e.Get(k); !ok {
		return
	}
	h := maphash.String(seed, string(k))
	t := e.table(h)
	last := maphash.String(seed, string(t.entries[len(t.entries)-1].key))
	t.remove(low(h), t.find(k, h), low(last))
	e.m.n--
	if want := tablesFor(8 * e.m.n); want < len(e.m.tables) { // far below, so that a size in between does not swing
		e.rebuild(tablesFor(e.m.n))
	}
}

// Map returns the map as it is now. The editor may go on; the map will not change.
func (e *Editor[K, V]) Map() *Map[K, V] {
	e.owner, e.owns = new(owner), false
	m := e.m
	return &m
}

// table returns the table for the hash h, made the editor's own.
func (e *Editor[K, V]) table(h uint64) *table[K, V] {
	if !e.owns {
		e.m.tables, e.owns = slices.Clone(e.m.tables), true
	}
	at := &e.m.tables[h>>(e.m.shift&63)]
	switch {
	case *at == nil:
		*at = &table[K, V]{index: make([]cell, minIndex), owner: e.owner}
	case (*at).owner != e.owner:
		*at = (*at).clone(e.owner)
	}
	return *at
}

// rebuild spreads the entries over size new tables.
func (e *Editor[K, V]) rebuild(size int) {
	old := e.m.tables
	e.m.tables, e.owns = make([]*table[K, V], size), true
	e.m.shift = uint(64 - bits.TrailingZeros(uint(size)))
	for _, t := range old {
		if t == nil {
			continue
		}
		for _, en := range t.entries {
			h := maphash.String(seed, string(en.key))
			e.table(h).add(en.key, en.value, h)
		}
	}
}
