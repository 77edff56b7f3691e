package pmap

import "slices"

// table is a small hash map. Its entries lie densely, so that a copy has no gaps; the index finds an entry's place by
// linear probing.
type table[K ~string, V any] struct {
	index   []cell // a power of two of them, at most a quarter used: a probe that ends at once is what the CPU predicts
	entries []entry[K, V]
	owner   *owner // the editor that may change the table in place
}

type entry[K ~string, V any] struct {
	key   K
	value V
}

// owner is the identity of an editor between two calls of Map; it has a size so that its address is its own.
type owner struct{ _ byte }

// cell is empty (0), or holds the low 16 bits of a hash above the place of the entry plus one. Those bits also give the
// cell where the probe starts, so that cells can be moved without hashing keys again.
type cell uint32

const (
	placeBits  = 16
	maxEntries = 1<<placeBits - 2 // never near: a map's directory grows with its size
	minIndex   = 8
)

func newCell(h uint64, place int) cell { return cell(h)<<placeBits | cell(place+1) }
func (c cell) place() int              { return int(c&(1<<placeBits-1)) - 1 }
func (c cell) low() int                { return int(c >> placeBits) }
func low(h uint64) int                 { return int(h & (1<<placeBits - 1)) }

// find returns the place of k, or -1.
func (t *table[K, V]) find(k K, h uint64) int {
	mask := len(t.index) - 1
	for i := int(h) & mask; ; i = (i + 1) & mask {
		c := t.index[i]
		if c == 0 {
			return -1
		}
		if c.low() == low(h) && t.entries[c.place()].key == k {
			return c.place()
		}
	}
}

// cellOf returns the index cell that holds the place of an entry whose hash has these low bits.
func (t *table[K, V]) cellOf(low, place int) int {
	mask := len(t.index) - 1
	i := low & mask
	for t.index[i].place() != place {
		i = (i + 1) & mask
	}
	return i
}

func (t *table[K, V]) add(k K, v V, h uint64) {
	if len(t.entries) == maxEntries {
		panic("pmap: table is full")
	}
	if 4*(len(t.entries)+1) > len(t.index) {
		old := t.index
		t.index = make([]cell, max(minIndex, 2*len(old)))
		for _, c := range old {
			if c != 0 {
				t.point(c)
			}
		}
	}
	t.point(newCell(h, len(t.entries)))
	t.entries = append(t.entries, entry[K, V]{k, v})
}

// point stores c in the first free cell of its probe.
func (t *table[K, V]) point(c cell) {
	mask := len(t.index) - 1
	i := c.low() & mask
	for t.index[i] != 0 {
		i = (i + 1) & mask
	}
	t.index[i] = c
}

// remove takes away the entry at place. The last entry moves there; lastLow are the low bits of its hash.
func (t *table[K, V]) remove(low, place, lastLow int) {
	last := len(t.entries) - 1
	gap := t.cellOf(low, place)
	if place != last {
		i := t.cellOf(lastLow, last)
		t.index[i] = newCell(uint64(lastLow), place)
		t.entries[place] = t.entries[last]
	}
	t.entries[last] = entry[K, V]{}
	t.entries = t.entries[:last]
	t.close(gap)
}

// close empties the cell at gap and moves later cells of the same run back, so that no probe ends too early.
func (t *table[K, V]) close(gap int) {
	mask := len(t.index) - 1
	t.index[gap] = 0
	for i := (gap + 1) & mask; t.index[i] != 0; i = (i + 1) & mask {
		start := t.index[i].low() & mask
		if (i-start)&mask >= (i-gap)&mask { // its probe passes the gap
			t.index[gap], t.index[i] = t.index[i], 0
			gap = i
		}
	}
}

// clone returns a copy for o, with room for one more entry.
func (t *table[K, V]) clone(o *owner) *table[K, V] {
	entries := make([]entry[K, V], len(t.entries), len(t.entries)+1)
	copy(entries, t.entries)
	return &table[K, V]{index: slices.Clone(t.index), entries: entries, owner: o}
}
