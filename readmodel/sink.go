package readmodel

import (
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// sink is the side of a reader that its source sees.
type sink struct{ *Reader }

func (r sink) Load(head view.Head, entries map[events.Key]Entry) bool {
	before := r.Snapshot()
	if before != nil && before.epoch == head.Epoch && head.Position < before.position {
		return false
	}
	start := before
	if start == nil {
		start = &Snapshot{namespace: r.namespace, log: r.log}
	}
	after := start.replaced(head, entries)
	r.mu.Lock()
	defer r.mu.Unlock()
	if before != nil {
		r.resyncs++
	}
	if after.epoch != start.epoch {
		r.head, r.confirmed = 0, 0 // they counted in another history
	}
	r.show(step{before: start, after: after})
	return true
}

func (r sink) Apply(cs view.ChangeSet) bool {
	before := r.Snapshot()
	switch {
	case before == nil || cs.Epoch != before.epoch || cs.Namespace != before.namespace:
		return false
	case cs.Position <= before.position:
		return true
	case cs.Rebuilt || cs.Prev != before.position:
		return false
	}
	after := before.applied(&cs)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.show(step{before: before, after: after, changeSet: &cs})
	return true
}

func (r sink) Confirm(position, head events.Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.Snapshot() == nil {
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

func (r sink) Doubt(why error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.setStale(why)
	r.settle()
}

func (r sink) Asked() <-chan struct{} { return r.asked }

// show makes a snapshot visible, to everyone and at once. Called with r.mu held.
func (r *Reader) show(s step) {
	r.snapshot.Store(s.after)
	r.wake()
	for l := range r.listeners {
		l.add(s)
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
