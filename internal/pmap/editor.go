package pmap

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// Editor makes a map by many changes; it copies each small table once. It is not safe for concurrent use.
type Editor[K ~string, V any] struct {
	directory[K, V]
	owner *owner // tables marked with it are the editor's own
	owns  bool   // the slice of tables is the editor's own
}

// Get returns the value at k as it is now.
func (e *Editor[K, V]) Get(k K) (V, bool) { return e.get(k) }

// Len is the number of keys as it is now.
func (e *Editor[K, V]) Len() int { return e.n }

// Set gives k the value v.
func (e *Editor[K, V]) Set(k K, v V) {
	h := maphash.String(seed, string(k))
	if want := tablesFor(e.n + 1); want > len(e.tables) {
		e.rebuild(want)
	}
	t := e.table(h)
	if place := t.find(k, h); place >= 0 {
		t.entries[place].value = v
		return
	}
	t.add(k, v, h)
	e.n++
}

// Delete takes k away, if it is there.
func (e *Editor[K, V]) Delete(k K) {
	if _, ok := e.get(k); !ok {
		return
	}
	h := maphash.String(seed, string(k))
	t := e.table(h)
	lastLow := maphash.String(seed, string(t.entries[len(t.entries)-1].key)) & (1<<placeBits - 1)
	t.remove(int(h&(1<<placeBits-1)), t.find(k, h), int(lastLow))
	e.n--
	if want := tablesFor(8 * e.n); want < len(e.tables) { // far below, so that a size in between does not swing
		e.rebuild(tablesFor(e.n))
	}
}

// Map returns the map as it is now. The editor may go on; the map will not change.
func (e *Editor[K, V]) Map() *Map[K, V] {
	e.owner, e.owns = new(owner), false
	return &Map[K, V]{e.directory}
}

// table returns the table for the hash h, made the editor's own.
func (e *Editor[K, V]) table(h uint64) *table[K, V] {
	if !e.owns {
		e.tables, e.owns = slices.Clone(e.tables), true
	}
	at := &e.tables[h>>e.shift]
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
	old := e.tables
	e.tables, e.owns = make([]*table[K, V], size), true
	e.shift = uint(64 - bits.TrailingZeros(uint(size)))
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
