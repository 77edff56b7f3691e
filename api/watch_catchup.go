package api

import (
	"context"
	"slices"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

// catchUp sends what the client has missed: change set by change set as they were, or the whole view where that is less.
func (w *watcher) catchUp(ctx context.Context, touched events.Position) error {
	s := w.seat
	then, err := s.past(ctx, w.start.after)
	if err != nil {
		return err
	}
	if changeSets, keys := missed(then, s.tree, s.ns); changeSets > keys {
		return w.snapshot(touched)
	}
	history := newHistory(s.hub.log, s.ns, w.start.after, touched)
	for {
		cs, err := history.next(ctx)
		if err != nil || cs == nil {
			return err
		}
		fold := config.NewFold(then)
		for _, ev := range cs {
			fold.Apply(ev)
		}
		now := fold.Tree()
		if vc, ok := config.ChangesIn(then, now, cs, s.ns); ok {
			m, err := changeMessage(s.epoch, cs, vc)
			if err != nil {
				return err
			}
			if err := w.change(m); err != nil {
				return err
			}
		}
		then = now
	}
}

// past loads the tree as of a position. Few are loaded at once, however many watchers come back at one moment.
func (s *seat) past(ctx context.Context, at events.Position) (config.Tree, error) {
	if at == 0 {
		return config.Tree{}, nil
	}
	select {
	case s.hub.loads <- struct{}{}:
	case <-ctx.Done():
		return config.Tree{}, ctx.Err()
	}
	defer func() { <-s.hub.loads }()
	return s.hub.log.Load(ctx, s.ns, at)
}

// missed counts the change sets from then to now that can have touched the view of ns, as many as there are revisions, and
// the keys that it has at most.
func missed(then, now config.Tree, ns events.Namespace) (changeSets, keys int) {
	for space := range now.Chain(ns) {
		changeSets, keys = changeSets+int(space.Revision), keys+space.Len()
		if before, ok := then.Namespace(space.Name); ok {
			changeSets -= int(before.Revision)
		}
	}
	return changeSets, keys
}

// eventsAhead is how many events of one namespace are read at once: each may be some hundred kilobytes.
const eventsAhead = 64

// history reads the change sets of a namespace and of those that it may inherit from, in order, a page at a time.
type history struct {
	log     *eventlog.Log
	until   events.Position
	cursors []cursor
}

type cursor struct {
	ns    events.Namespace
	after events.Position
	evs   []events.Recorded // read and not taken
	done  bool              // nothing more to read
}

func newHistory(log *eventlog.Log, ns events.Namespace, after, until events.Position) *history {
	h := &history{log: log, until: until}
	for name, ok := ns, true; ok; name, ok = name.Parent() {
		h.cursors = append(h.cursors, cursor{ns: name, after: after})
	}
	return h
}

// next returns the next change set; nil: there are no more.
func (h *history) next(ctx context.Context) (cs []events.Recorded, err error) {
	var first *cursor
	for i := range h.cursors {
		c := &h.cursors[i]
		if err := h.fill(ctx, c); err != nil {
			return nil, err
		}
		if len(c.evs) > 0 && (first == nil || c.evs[0].Position < first.evs[0].Position) {
			first = c
		}
	}
	if first == nil {
		return nil, nil
	}
	for len(first.evs) > 0 {
		n := slices.IndexFunc(first.evs, func(ev events.Recorded) bool { return ev.Revision != first.evs[0].Revision })
		whole := n >= 0
		if !whole {
			n = len(first.evs)
		}
		if len(cs) > 0 && first.evs[0].Revision != cs[0].Revision {
			break
		}
		cs, first.evs = append(cs, first.evs[:n]...), first.evs[n:]
		if whole {
			break
		}
		if err := h.fill(ctx, first); err != nil { // the rest may be on the next page
			return nil, err
		}
	}
	return cs, nil
}

// fill reads the next page of a cursor that has nothing left.
func (h *history) fill(ctx context.Context, c *cursor) (err error) {
	if c.done || len(c.evs) > 0 {
		return nil
	}
	c.evs, err = h.log.Read(ctx, eventlog.Query{Namespace: c.ns, After: c.after, Until: h.until, Limit: eventsAhead})
	if err != nil {
		return err
	}
	c.done = len(c.evs) < eventsAhead
	if n := len(c.evs); n > 0 {
		c.after = c.evs[n-1].Position
	}
	return nil
}
