package readmodel

import (
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// feed is what the sources of a chain have delivered, and the readers that are given it: one, or several that share. Each
// of them makes a snapshot of its own from the same content. A reader never waits for another's hooks or listeners.
type feed struct {
	namespace events.Namespace
	content   content
	said      word
	readers   map[*Reader]struct{}
}

// word is what sources say of what they have delivered.
type word struct {
	source    Source          // that confirmed last; before that, the first
	state     State           // Live or Log: it confirms; Stale: none does; empty: not known yet
	heard     time.Time       // when one last confirmed
	contact   time.Time       // as of when it could: a projector's last heartbeat is older than the look at it; zero: never
	head      events.Position // last known end of the log
	confirmed events.Position // nothing up to here is missing
	trouble   error           // why none confirms
	tried     bool            // each was asked since one last confirmed
}

// elsewhere is w once another history is delivered, in which other positions count.
func (w word) elsewhere() word {
	w.head, w.confirmed = 0, 0
	return w
}

func newFeed(ns events.Namespace, first Source) feed {
	return feed{namespace: ns, said: word{source: first}, readers: map[*Reader]struct{}{}}
}

// join gives r what there is, and from then on what comes.
func (f *feed) join(r *Reader) {
	f.readers[r] = struct{}{}
	if f.content.epoch != "" {
		r.take(f.content, nil)
	}
	r.hear(f.said)
}

// have is what a source goes on from. What is on disk does not count: it may be without its sensitive values.
func (f *feed) have() view.Head {
	c := f.content
	if c.disk != nil {
		return view.Head{}
	}
	return view.Head{Epoch: c.epoch, Position: c.position, Revision: c.revision, Keys: c.items.Len()}
}

// load is Load of a [Sink].
func (f *feed) load(head view.Head, entries map[events.Key]Entry) bool {
	before := f.content
	if before.epoch == head.Epoch && head.Position < before.position {
		if !before.keeps(head, entries) {
			return false
		}
		head.Position = before.position // as of which the log was read: this view had not changed since head
	}
	f.deliver(before.reloaded(head, entries), nil)
	return true
}

// apply is Apply of a [Sink].
func (f *feed) apply(cs view.ChangeSet) bool {
	before := f.content
	switch {
	case before.epoch == "" || cs.Epoch != before.epoch || cs.Namespace != f.namespace:
		return false
	case cs.Position <= before.position:
		return true
	// What was delivered may have been loaded as of a position at which this view did not change, and so not be at Prev.
	case cs.Rebuilt || cs.Prev > max(before.position, f.said.confirmed):
		return false
	}
	f.deliver(before.applied(&cs), &cs)
	return true
}

func (f *feed) deliver(next content, cs *view.ChangeSet) {
	if f.content.epoch != next.epoch {
		f.said = f.said.elsewhere()
	}
	f.content = next
	for r := range f.readers {
		r.take(next, cs)
	}
}

// confirm notes that a source confirms what was delivered, which makes readers fresh in the way of state.
func (f *feed) confirm(source Source, state State, position, head events.Position, at time.Time) {
	f.said = word{
		source: source, state: state, heard: time.Now(), contact: at,
		head: max(f.said.head, head), confirmed: max(f.said.confirmed, position),
	}
	f.tell()
}

// doubt notes that no source confirms what was delivered.
func (f *feed) doubt(why error, tried bool) {
	f.said.state, f.said.trouble, f.said.tried = Stale, why, tried
	f.tell()
}

func (f *feed) tell() {
	for r := range f.readers {
		r.hear(f.said)
	}
}

// take takes what the sources have delivered: what cs made of the view, or, where that is nil, the view loaded anew.
func (r *Reader) take(next content, cs *view.ChangeSet) {
	r.mu.Lock()
	before := r.newest.after
	switch {
	case before == nil:
		before = newSnapshot(r, content{})
	case cs == nil && !before.onDisk():
		r.resyncs++
	}
	r.mu.Unlock()
	r.deliver(step{before: before, after: newSnapshot(r, next), changeSet: cs})
}

// hear notes what the sources say of what was taken. It logs when the state changes, not at every retry.
func (r *Reader) hear(w word) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was := r.said
	r.said = w
	if w.state != was.state {
		r.logState(w)
	}
	if w.confirmed > was.confirmed {
		r.wake()
	}
	if w.state.Fresh() || w.tried && !r.newest.after.onDisk() && !r.cfg.RequireFresh {
		r.settle()
	}
}

// wake lets those who wait look again. Called with r.mu held.
func (r *Reader) wake() {
	if r.moved != nil {
		close(r.moved)
		r.moved = nil
	}
}

// settle lets Open return as soon as there is a snapshot. Called with r.mu held, when the state is known.
func (r *Reader) settle() {
	if r.Snapshot() == nil {
		return
	}
	select {
	case <-r.ready:
	default:
		close(r.ready)
	}
}
