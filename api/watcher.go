package api

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/internal/sse"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// beat is how often a client is told how far its watch is.
const beat = time.Second

// watcher is one watch under way.
type watcher struct {
	seat   *seat
	start  start
	w      http.ResponseWriter
	stream *stream

	at     events.Position // what the client has: of its last change or snapshot, or where it resumed
	upto   events.Position // nothing up to here is missing from what was sent
	marked *bookmark       // the last that was sent
}

func newWatcher(s *seat, w http.ResponseWriter, from start) *watcher {
	return &watcher{seat: s, w: w, start: from}
}

// run watches until the client is gone or too slow, the server ends, or the log can not be followed. It gives up the seat.
func (w *watcher) run(ctx context.Context) {
	defer func() { w.seat.leave() }()
	closing := lifeOf(ctx).closing
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var err error
	if w.stream, err = openStream(w.w, sse.ContentType, closing); err != nil {
		return
	}
	// A client that takes nothing must not hold up the end.
	defer context.AfterFunc(closing, func() {
		cancel()
		w.stream.control.SetWriteDeadline(time.Now().Add(goodbyeWithin))
	})()
	for err == nil {
		if err = w.align(ctx); err == nil {
			err = w.follow(ctx)
		}
		if errors.Is(err, errHistory) {
			err = w.begin(ctx)
		}
	}
	switch {
	case errors.Is(err, errOverflow):
		w.last(view.EventOverflow)
	case closing.Err() != nil:
		w.last(view.EventGoodbye)
	case ctx.Err() == nil:
		noteCause(ctx, err)
	}
}

// begin takes a seat in the new history. The client's position says nothing there.
func (w *watcher) begin(ctx context.Context) error {
	seat, err := w.seat.hub.join(ctx, w.seat.ns)
	if err != nil {
		return err
	}
	w.seat.leave()
	w.seat, w.start = seat, start{resume: true, void: true}
	return nil
}

// last sends an event after which nothing comes.
func (w *watcher) last(name string) {
	if w.stream.add(plainEvent(name, struct{}{})) == nil {
		w.stream.flush()
	}
}

// align brings the client up to where the seat's tree is.
func (w *watcher) align(ctx context.Context) error {
	reset, err := w.otherHistory(ctx)
	if err != nil {
		return err
	}
	if reset {
		if err := w.stream.add(plainEvent(view.EventReset, view.Reset{Epoch: w.seat.epoch})); err != nil {
			return err
		}
	}
	touched := touchedAt(w.seat.tree, w.seat.ns)
	w.at, w.upto = w.start.after, max(w.start.after, w.seat.upto)
	behind := w.start.resume && !reset && w.start.after < touched
	switch {
	case behind:
		err = w.catchUp(ctx, touched)
	case !w.start.resume || reset:
		err = w.snapshot(touched)
	}
	if err != nil {
		return err
	}
	w.seat.tree = config.Tree{} // the past is not kept for those who watch
	if err := w.stream.add(newBookmark(w.seat.epoch, w.upto, w.seat.headKnown()).event); err != nil {
		return err
	}
	return w.stream.flush()
}

// otherHistory says whether the position to resume from is not one of this history.
func (w *watcher) otherHistory(ctx context.Context) (bool, error) {
	switch {
	case !w.start.resume:
		return false, nil
	case w.start.void, w.start.epoch != "" && w.start.epoch != w.seat.epoch:
		return true, nil
	case w.start.after <= w.seat.upto:
		return false, nil
	}
	head, err := w.seat.hub.log.Head(ctx) // another process may have written what the tail does not have yet
	return w.start.after > head.Position, err
}

func (w *watcher) snapshot(at events.Position) error {
	w.at, w.upto = at, w.seat.upto
	return w.stream.snapshot(w.seat, at)
}

// touchedAt is the position of the last change set that can have touched the view of ns. A view that is there or
// beyond has missed nothing.
func touchedAt(tree config.Tree, ns events.Namespace) (at events.Position) {
	for space := range tree.Chain(ns) {
		at = max(at, space.Position)
	}
	return at
}

// follow sends what comes, and once a beat how far the client is. Each watch has a beat of its own: if thousands were
// written to at one moment, changes would wait for that.
func (w *watcher) follow(ctx context.Context) error {
	due := time.NewTimer(rand.N(beat))
	defer due.Stop()
	for {
		var mark *bookmark
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-due.C:
			due.Reset(beat)
			mark = w.seat.mark() // before the queue is emptied: what it speaks for is in there
		case <-w.seat.queue.ready:
		}
		if err := w.sendQueued(); err != nil {
			return err
		}
		if mark != nil {
			if err := w.mark(mark); err != nil {
				return err
			}
		}
		if err := w.stream.flush(); err != nil {
			return err
		}
	}
}

// sendQueued adds the changes that wait, unless the client has what they say.
func (w *watcher) sendQueued() error {
	messages, ended := w.seat.queue.take()
	for _, m := range messages {
		if m.position <= w.upto {
			continue
		}
		w.upto = m.position
		if err := w.change(m); err != nil {
			return err
		}
	}
	return ended
}

// mark adds a bookmark, or a comment if the log has not answered since the last: the server is there at least.
func (w *watcher) mark(b *bookmark) error {
	if b == w.marked || b.position < w.upto {
		return w.stream.add([]byte(": no news of the log\n\n"))
	}
	w.marked, w.upto = b, b.position
	return w.stream.add(b.event)
}

func (w *watcher) change(m message) error {
	prev := w.at
	w.at = m.position
	return w.stream.add(m.head, []byte(idOf(prev)), m.tail)
}
