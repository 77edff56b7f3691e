package readmodel

import (
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// sink is the side of a reader that its source sees.
type sink struct{ *Reader }

func (r sink) Load(head view.Head, entries map[events.Key]Entry) bool {
	before := r.delivered()
	if before != nil && before.epoch == head.Epoch && head.Position < before.position {
		return false
	}
	again := before != nil
	if !again {
		before = newSnapshot(r.Reader)
	}
	after := before.reloaded(head, entries)
	r.mu.Lock()
	if again && r.fromDisk == nil {
		r.resyncs++
	}
	r.fromDisk = nil
	r.mu.Unlock()
	r.deliver(step{before: before, after: after})
	return true
}

func (r sink) Apply(cs view.ChangeSet) bool {
	before := r.delivered()
	switch {
	case before == nil || cs.Epoch != before.epoch || cs.Namespace != r.namespace:
		return false
	case cs.Position <= before.position:
		return true
	case cs.Rebuilt || cs.Prev > max(before.position, r.complete()):
		return false
	}
	r.deliver(step{before: before, after: before.applied(&cs), changeSet: &cs})
	return true
}

func (r sink) Confirm(position, head events.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.newest.after == nil {
		return // there is nothing yet that could be confirmed
	}
	r.head = max(r.head, head)
	if position > r.confirmed {
		r.confirmed = position
		r.wake()
	}
	r.setLive()
	r.settle()
}

func (r sink) Doubt(why error) { r.doubt(why, true) }

// complete is up to where a source has confirmed that nothing is missing. What is shown may have been loaded as of a
// position at which this view did not change, and so not be at an entry's Prev.
func (r sink) complete() events.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.confirmed
}

func (r sink) Asked() <-chan struct{} { return r.asked }

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
