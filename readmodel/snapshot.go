package readmodel

import (
	"cmp"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/pmap"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Snapshot is an immutable view at one position. Hold it for as long as several reads must agree; it never changes, and
// shares its memory with the snapshots before and after. A nil Snapshot is empty.
type Snapshot struct {
	reader *Reader
	content
	parts    []part                // the managed components that belong to it; see [Managed]
	decoded  atomic.Pointer[table] // never nil; only grows by keys that the reader did not know
	replaced atomic.Int64          // when the reader went on to another, as time since it was opened; 0: not yet
}

// content is a view at one position, as a source delivered it. It never changes: readers that share a source share it.
type content struct {
	epoch    string // "": there is nothing yet
	position events.Position
	revision events.Revision
	items    *pmap.Map[events.Key, *item]
	disk     *diskSnapshot // the file that it is from; nil: a source
}

// item is an entry. Snapshots share items that did not change, and what typed keys made of them.
type item struct{ Entry }

// newSnapshot returns the snapshot that r makes of c.
func newSnapshot(r *Reader, c content) *Snapshot {
	s := &Snapshot{reader: r, content: c}
	s.decoded.Store(emptyTable)
	return s
}

// Snapshot returns s itself, so that a typed key reads a snapshot as it reads a reader.
func (s *Snapshot) Snapshot() *Snapshot { return s }

// Namespace is whose view this is.
func (s *Snapshot) Namespace() events.Namespace {
	if s == nil {
		return ""
	}
	return s.reader.namespace
}

// Epoch is the identity of the history that Position counts in.
func (s *Snapshot) Epoch() string {
	if s == nil {
		return ""
	}
	return s.epoch
}

// Position is that of the last change set shown.
func (s *Snapshot) Position() events.Position {
	if s == nil {
		return 0
	}
	return s.position
}

// Revision is the namespace's own at Position.
func (s *Snapshot) Revision() events.Revision {
	if s == nil {
		return 0
	}
	return s.revision
}

// Len is the number of keys that have an effective value.
func (s *Snapshot) Len() int {
	if s == nil {
		return 0
	}
	return s.items.Len()
}

// Get returns the effective value of key; false: it has none. It does not allocate.
func (s *Snapshot) Get(key string) (Entry, bool) {
	it := s.item(events.Key(key))
	if it == nil {
		return Entry{}, false
	}
	return it.Entry, true
}

// All yields the effective values, sorted by key; the sorting costs what it costs, once a call.
func (s *Snapshot) All() iter.Seq2[events.Key, Entry] {
	return func(yield func(events.Key, Entry) bool) {
		if s == nil {
			return
		}
		keys := make([]events.Key, 0, s.Len())
		for key := range s.items.All() {
			keys = append(keys, key)
		}
		slices.Sort(keys)
		for _, key := range keys {
			if !yield(key, s.item(key).Entry) {
				return
			}
		}
	}
}

// item returns what s holds at key, or nil. It is kept out of line so that Get is inlined: what costs there is not the
// look-up but copying the entry from one result to the next.
//
//go:noinline
func (s *Snapshot) item(key events.Key) *item {
	if s == nil {
		return nil
	}
	it, _ := s.items.Get(key)
	return it
}

// entry returns a copy of the entry at key, which a listener may keep or change, or nil.
func (s *Snapshot) entry(key events.Key) *Entry {
	it := s.item(key)
	if it == nil {
		return nil
	}
	e := it.Entry
	return &e
}

// onDisk says whether s is what a file held, and not from a source.
func (s *Snapshot) onDisk() bool { return s != nil && s.disk != nil }

// reloaded returns a view that was loaded anew. Entries that are as they were keep their items, and with them what was
// decoded.
func (c content) reloaded(head view.Head, entries map[events.Key]Entry) content {
	var none *pmap.Map[events.Key, *item]
	edit := none.Edit()
	for key, e := range entries {
		it, ok := c.items.Get(key)
		if !ok || it.Entry != e {
			it = &item{Entry: e}
		}
		edit.Set(key, it)
	}
	return content{epoch: head.Epoch, position: head.Position, revision: head.Revision, items: edit.Map()}
}

// keeps says whether c is from disk and has what was loaded, but for the position and for sensitive values that are not
// written to disk.
func (c content) keeps(head view.Head, entries map[events.Key]Entry) bool {
	if c.disk == nil || c.revision != head.Revision {
		return false
	}
	left := 0
	for key, e := range entries {
		it, ok := c.items.Get(key)
		switch {
		case !ok && e.Sensitive:
			left++
		case !ok || it.Entry != e:
			return false
		}
	}
	return left == c.disk.Left && left+c.items.Len() == len(entries)
}

// applied returns the view after cs.
func (c content) applied(cs *view.ChangeSet) content {
	edit := c.items.Edit()
	for _, ch := range cs.Changes {
		if ch.Entry == nil {
			edit.Delete(ch.Key)
		} else {
			edit.Set(ch.Key, &item{Entry: *ch.Entry})
		}
	}
	return content{epoch: cs.Epoch, position: cs.Position, revision: cs.Revision, items: edit.Map()}
}

// freshness says what the reader reads from, and for how long s has not been confirmed to be the newest.
func (s *Snapshot) freshness() (source string, age time.Duration) {
	st := s.reader.Status()
	age = st.Age
	if at := s.replaced.Load(); at > 0 {
		age = max(age, time.Since(s.reader.opened)-time.Duration(at))
	}
	return st.Source, age
}

// refused returns a copy of the list of values that typed keys have refused.
func (s *Snapshot) refused() []Refused {
	if s == nil {
		return nil
	}
	return slices.Clone(s.decoded.Load().refused)
}

// difference lists the keys whose entries differ, sorted.
func difference(before, after *Snapshot) []ChangedKey {
	var changes []ChangedKey
	for key, it := range after.items.All() {
		if old := before.item(key); old != it && (old == nil || old.Entry != it.Entry) {
			changes = append(changes, ChangedKey{Key: key, Old: before.entry(key), New: after.entry(key)})
		}
	}
	for key := range before.items.All() {
		if after.item(key) == nil {
			changes = append(changes, ChangedKey{Key: key, Old: before.entry(key)})
		}
	}
	slices.SortFunc(changes, func(a, b ChangedKey) int { return cmp.Compare(a.Key, b.Key) })
	return changes
}
