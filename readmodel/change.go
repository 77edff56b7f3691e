package readmodel

import (
	"context"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"reflect"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Changed is a change that has become visible: what was, what is, who, why. As a rule it is one change set.
//
// With Resynced it is several change sets at once, or a view that was loaded anew: Changes is then the difference between
// the snapshot that was shown to the listener last and the one at Position, and Origin, OriginRevision, Actor, Reason and
// Time are empty, since they are known of none of the changes by itself.
type Changed struct {
	Namespace      events.Namespace // the reader's
	Epoch          string           // of the history that Position counts in
	Position       events.Position  // of what is shown now
	Revision       events.Revision  // of Namespace
	Origin         events.Namespace // whose change set it was: Namespace or an ancestor
	OriginRevision events.Revision  // of Origin
	Actor          string           // who made it
	Reason         string           // why; "": not said
	Time           time.Time        // when it was appended to the log, by the clock of its database, in UTC
	Resynced       bool             // more than one change set, or none that is known
	Changes        []ChangedKey     // sorted by key; the listener's own
}

// ChangedKey is one key's change. Nil: no effective value.
type ChangedKey struct {
	Key events.Key
	Old *Entry // before
	New *Entry // now
}

// otherValue says that the value has changed, not only where it comes from.
func (c ChangedKey) otherValue() bool {
	return c.Old == nil || c.New == nil || c.Old.Value != c.New.Value
}

// maxWaiting is how many change sets wait for a listener before they are merged into one.
const maxWaiting = 64

// OnChange calls fn for every change set that becomes visible from now on, in order, from one goroutine of its own; a
// slow fn delays its own later calls and never the values or another listener. When 64 change sets wait for it they
// become one that says Resynced: nothing is missing from the difference, only who and why.
//
// To miss nothing, call OnChange first and take a [Reader.Snapshot] then; changes up to its position may come again.
//
// A panic in fn is logged, without its text, and the next change is delivered as usual. No call starts after stop or
// Close has returned, except one that was about to; fn may call either.
func (r *Reader) OnChange(fn func(Changed)) (stop func()) {
	return r.listen(func(s step) {
		if c := s.changed(); !s.inPlace() || len(c.Changes) > 0 {
			fn(c)
		}
	})
}

// OnChange calls fn with what [Key.Get] returned and returns, when that has become another. The rest is as with
// [Reader.OnChange]: what fn is too slow for is merged, and the newest value always comes.
func (k *Key[T]) OnChange(r *Reader, fn func(before, after T)) (stop func()) {
	k.Get(r) // the reader knows the key from here on
	return r.listen(func(s step) {
		if before, after := k.Get(s.before), k.Get(s.after); !reflect.DeepEqual(before, after) {
			fn(before, after)
		}
	})
}

// Changes yields every change set that becomes visible from the call on, in order, until ctx ends or the reader is
// closed. It is for one loop, which may be left and entered again. What the loop is too slow for is merged as with
// [Reader.OnChange], so it keeps no more than 64 change sets, until ctx ends.
func (r *Reader) Changes(ctx context.Context) iter.Seq[Changed] {
	q := &listener{wake: make(chan struct{}, 1)}
	remove := r.add(q)
	context.AfterFunc(ctx, remove)
	return func(yield func(Changed) bool) {
		for ctx.Err() == nil && r.ctx.Err() == nil {
			s, ok := q.take()
			if !ok {
				select {
				case <-ctx.Done():
				case <-r.ctx.Done():
				case <-q.wake:
				}
				continue
			}
			if c := s.changed(); (!s.inPlace() || len(c.Changes) > 0) && !yield(c) {
				return
			}
		}
	}
}

// Delivered returns when all listeners have been told, and have returned from, what is shown at the time of the call.
// What waits for the loop over [Reader.Changes] does not count. It fails with ctx's error. A listener must not call it.
func (r *Reader) Delivered(ctx context.Context) error {
	r.mu.Lock()
	listeners := slices.Collect(maps.Keys(r.listeners))
	r.mu.Unlock()
	for _, l := range listeners {
		if l.fn == nil {
			continue
		}
		if err := l.idle(ctx); err != nil {
			return fmt.Errorf("wait for listeners: %w", err)
		}
	}
	return nil
}

// listen calls fn with each step from one goroutine.
func (r *Reader) listen(fn func(step)) (stop func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	l := &listener{fn: fn, log: r.log, wake: make(chan struct{}, 1), ended: ctx.Done()}
	remove := r.add(l)
	go l.run(ctx)
	return func() {
		cancel()
		remove()
	}
}

func (r *Reader) add(l *listener) (remove func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.listeners[l] = struct{}{}
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.listeners, l)
	}
}

// step leads from one snapshot to a later one.
type step struct {
	before, after *Snapshot
	changeSet     *view.ChangeSet // nil: more than one, or a view loaded anew
}

// inPlace says that the same view was loaded again.
func (s step) inPlace() bool {
	return s.before.epoch == s.after.epoch && s.before.position == s.after.position
}

func (s step) changed() Changed {
	c := Changed{
		Namespace: s.after.Namespace(), Epoch: s.after.epoch, Position: s.after.position, Revision: s.after.revision,
	}
	cs := s.changeSet
	if cs == nil {
		c.Resynced, c.Changes = true, difference(s.before, s.after)
		return c
	}
	c.Origin, c.OriginRevision = cs.Origin, cs.OriginRevision
	c.Actor, c.Reason, c.Time = cs.Actor, cs.Reason, cs.Time
	for _, ch := range cs.Changes {
		c.Changes = append(c.Changes, ChangedKey{Key: ch.Key, Old: s.before.entry(ch.Key), New: s.after.entry(ch.Key)})
	}
	return c
}

// listener hands steps to a function, at the function's own pace.
type listener struct {
	fn    func(step) // nil: somebody takes the steps
	log   *slog.Logger
	wake  chan struct{}
	ended <-chan struct{}

	mu      sync.Mutex
	waiting []step          // at most maxWaiting
	calling bool            // fn runs, or is about to
	idlers  []chan struct{} // closed when nothing waits and fn does not run
}

// add never blocks.
func (l *listener) add(s step) {
	l.mu.Lock()
	if len(l.waiting) == maxWaiting {
		s = step{before: l.waiting[0].before, after: s.after}
		clear(l.waiting)
		l.waiting = l.waiting[:0]
	}
	l.waiting = append(l.waiting, s)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *listener) take() (s step, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calling = len(l.waiting) > 0
	if !l.calling {
		for _, idler := range l.idlers {
			close(idler)
		}
		l.idlers = nil
		return step{}, false
	}
	s = l.waiting[0]
	l.waiting[0] = step{} // it keeps snapshots
	l.waiting = l.waiting[1:]
	return s, true
}

// idle waits until nothing waits for the listener, or it has ended.
func (l *listener) idle(ctx context.Context) error {
	l.mu.Lock()
	if len(l.waiting) == 0 && !l.calling {
		l.mu.Unlock()
		return nil
	}
	idler := make(chan struct{})
	l.idlers = append(l.idlers, idler)
	l.mu.Unlock()
	select {
	case <-idler:
		return nil
	case <-l.ended:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *listener) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.wake:
		}
		for ctx.Err() == nil {
			s, ok := l.take()
			if !ok {
				break
			}
			l.call(s)
		}
	}
}

func (l *listener) call(s step) {
	defer func() {
		if p := recover(); p != nil { // its text may hold a value
			l.log.Error("listener panicked", "namespace", s.after.Namespace(), "position", s.after.position,
				"panic", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		}
	}()
	l.fn(s)
}
