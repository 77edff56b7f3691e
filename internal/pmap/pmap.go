// Package pmap is a persistent hash map: immutable maps that share what they have in common. A map is a directory of
// small tables; changing a key copies its table and the directory, not the map, so that a change costs about the square root of the size, and a look-up is
// one hash, one pointer and a short probe. The state of a namespace and a reader's snapshot are such maps.
package pmap

import "iter"

// Map is an immutable map. The zero Map, and a nil one, are empty.
type Map[K ~string, V any] struct{}

// Get returns the value at k. It does not allocate.
func (m *Map[K, V]) Get(k K) (V, bool) { panic("unwritten") }

// Len is the number of keys.
func (m *Map[K, V]) Len() int { panic("unwritten") }

// All yields the keys and values, in no order.
func (m *Map[K, V]) All() iter.Seq2[K, V] { panic("unwritten") }

// With returns a map in which k has the value v.
func (m *Map[K, V]) With(k K, v V) *Map[K, V] { panic("unwritten") }

// Without returns a map without k.
func (m *Map[K, V]) Without(k K) *Map[K, V] { panic("unwritten") }

// Edit returns an editor that starts as m, for many changes at once.
func (m *Map[K, V]) Edit() *Editor[K, V] { panic("unwritten") }

// Editor makes a map by many changes; it copies each small table once. It is not safe for concurrent use.
type Editor[K ~string, V any] struct{}

func (e *Editor[K, V]) Get(k K) (V, bool) { panic("unwritten") }
func (e *Editor[K, V]) Set(k K, v V)      { panic("unwritten") }
func (e *Editor[K, V]) Delete(k K)        { panic("unwritten") }

// Map returns the map as it is now. The editor may go on; the map will not change.
func (e *Editor[K, V]) Map() *Map[K, V] { panic("unwritten") }
