package readmodel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-config/holdfast/events"
)

// Change is a change that is about to become visible.
type Change struct {
	Changed
	Before *Snapshot // shown now
	After  *Snapshot // to be shown
}

// Rejected is the newest state of the namespace, which something in this process has vetoed.
type Rejected struct {
	Position events.Position  // of that state
	Revision events.Revision  // of the reader's namespace in it
	Origin   events.Namespace // whose change set it was; "": more than one
	Why      string           // the text of the error
	Since    time.Time        // when the first of the states that were vetoed in a row was
}

// VetoError says that the newest state was vetoed.
type VetoError struct {
	Rejected
	Err error // what the function given to [Reader.Prepare] or [Manage] returned
}

// Error says which position was vetoed, and why.
func (e *VetoError) Error() string {
	return fmt.Sprintf("position %d was vetoed: %s", e.Position, e.Why)
}

// Unwrap returns Err.
func (e *VetoError) Unwrap() error { return e.Err }

// prepareTime is how long a hook may take when nothing else is said.
const prepareTime = 10 * time.Second

// Prepare has fn asked before a change becomes visible. An error of fn, a panic, or no answer within
// [Config].PrepareTimeout is a veto: the whole snapshot stays as it is, and so do all that were asked before. The next
// change is then tried as the difference to the newest state, so that a wrong value that was corrected, or taken back,
// holds nothing up; [Reader.Retry] tries without one. A veto is in [Status] and in the log, hence the error must not
// repeat values.
//
// Functions are asked one after the other, in the order in which they were given, and changes that come meanwhile are
// merged. They hold up neither readers nor the source. A function that runs into its time-out should heed its context:
// it is not asked again before it has returned, and what it should have been asked counts as vetoed. Nobody is asked
// about a state that differs in no value from what is shown. A change that is being prepared when Prepare is called may
// pass without fn.
//
// stop ends it; a state that was vetoed is then tried again.
func (r *Reader) Prepare(fn func(context.Context, Change) error) (stop func()) {
	h := newHook(r.cfg.PrepareTimeout, func(ctx context.Context, c Change) (prepared, error) { return prepared{}, fn(ctx, c) })
	r.hook(h)
	return func() { r.unhook(h) }
}

// Retry tries the newest state again, if it was vetoed, without waiting for the next change. It does not wait for the
// outcome: [Reader.WaitFor] and [Reader.Status] tell it.
func (r *Reader) Retry() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.accepting {
		r.vetoed = nil
		r.due()
	}
}

// acceptance is the part of a reader that decides what is shown of what its sources have delivered. Without hooks that is
// all, at once. With them, one goroutine tries the newest state, again and again, as long as there is one to try: only
// it shows anything then.
type acceptance struct {
	trying sync.Mutex // held while a state is tried; taken before Reader.mu

	// The rest is guarded by Reader.mu.
	newest    step // the last that the sources have delivered: shown, or to be tried, or vetoed
	hooks     []*hook
	accepting bool            // from the first hook on
	wakeup    chan struct{}   // something is to be tried
	reached   events.Position // all up to here is shown, while newest is not
	vetoed    *Snapshot       // the newest that was vetoed
	veto      *VetoError      // why what is shown is not newest; nil: not tried yet
	vetoes    int
}

// deliver takes a step from what the sources have brought before.
func (r *Reader) deliver(s step) {
	r.mu.Lock()
	held := r.accepting && r.Snapshot() != nil
	if held {
		r.enqueue(s)
	}
	r.mu.Unlock()
	if held {
		return
	}
	r.keys.derive(s)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.accepting && r.Snapshot() != nil { // the first hook came in between
		s.after.decoded.Store(emptyTable)
		r.enqueue(s)
		return
	}
	r.advance(s)
	r.show(s)
}

// enqueue leaves a step to the goroutine that tries. Called with r.mu held.
func (r *Reader) enqueue(s step) {
	if r.newest.after == r.Snapshot() {
		r.reached = max(r.Snapshot().position, r.said.confirmed)
	}
	r.advance(s)
	r.due()
}

// advance notes what the sources have delivered. Called with r.mu held.
func (r *Reader) advance(s step) {
	if s.before.epoch != s.after.epoch {
		r.said = r.said.elsewhere()
	}
	r.newest = s
}

// show makes a snapshot visible, to everyone and at once. Called with r.mu held.
func (r *Reader) show(s step) {
	if s.before.epoch != s.after.epoch {
		r.reached = 0
	}
	r.snapshot.Store(s.after)
	s.before.replaced.Store(max(1, int64(time.Since(r.opened))))
	for _, follow := range r.bound {
		follow(s)
	}
	r.wake()
	for l := range r.listeners {
		l.add(s)
	}
}

// progress returns up to where nothing is missing from what is shown, whether the newest state was vetoed and includes
// pos, and a channel that is closed when any of it moves.
func (r *Reader) progress(pos events.Position) (events.Position, *VetoError, <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.moved == nil {
		r.moved = make(chan struct{})
	}
	shown, newest := r.Snapshot(), r.newest.after
	if shown == newest {
		return max(shown.Position(), r.said.confirmed), nil, r.moved
	}
	reached := max(shown.Position(), r.reached)
	if r.vetoed == newest && max(newest.position, r.said.confirmed) >= pos {
		return reached, r.veto, r.moved
	}
	return reached, nil, r.moved
}

// rejection is for Status. Called with r.mu held.
func (r *Reader) rejection() *Rejected {
	if r.veto == nil {
		return nil
	}
	rejected := r.veto.Rejected
	return &rejected
}

// hook adds h, and starts the goroutine that tries when it is the first.
func (r *Reader) hook(h *hook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hooks = append(slices.Clone(r.hooks), h)
	if !r.accepting {
		r.accepting, r.wakeup = true, make(chan struct{}, 1)
		go r.accept(r.wakeup)
	}
}

func (r *Reader) unhook(h *hook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := slices.Index(r.hooks, h); i >= 0 {
		r.hooks = slices.Delete(slices.Clone(r.hooks), i, i+1)
		r.vetoed = nil
		r.due()
	}
}

// due wakes the goroutine that tries. Called with r.mu held.
func (r *Reader) due() {
	select {
	case r.wakeup <- struct{}{}:
	default:
	}
}

func (r *Reader) accept(wakeup <-chan struct{}) {
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-wakeup:
			r.try()
		}
	}
}

// try asks the hooks about the newest state, and shows it if none objects.
func (r *Reader) try() {
	r.trying.Lock()
	defer r.trying.Unlock()
	s, hooks := r.candidate()
	if s.after == nil {
		return
	}
	if s.after.decoded.Load() == emptyTable { // a state that is tried again has been derived from the same one before
		r.keys.derive(s)
	}
	c := Change{s.changed(), s.before, s.after}
	var done []prepared
	var err error
	if slices.ContainsFunc(c.Changes, ChangedKey.otherValue) {
		done, err = r.ask(hooks, c)
	}
	if err == nil {
		s.after.parts = partsAfter(s.before.parts, done)
		r.mu.Lock()
		r.veto, r.vetoed = nil, nil
		r.show(s)
		r.mu.Unlock()
	} else if r.ctx.Err() == nil {
		r.refuse(c, err)
	}
	for _, p := range done {
		p.finish(err)
	}
}

// candidate returns the step to what is newest, none if there is nothing to try.
func (r *Reader) candidate() (step, []*hook) {
	r.mu.Lock()
	defer r.mu.Unlock()
	shown, s := r.Snapshot(), r.newest
	if shown == nil || s.after == shown || s.after == r.vetoed {
		return step{}, nil
	}
	if v := r.vetoed; v != nil && s.changeSet == nil && v.epoch == s.after.epoch && len(difference(v, s.after)) == 0 {
		r.vetoed = s.after // the same state, loaded anew
		return step{}, nil
	}
	if s.before != shown {
		s = step{before: shown, after: s.after}
	}
	return s, r.hooks
}

// ask asks the hooks in turn, until one objects. What has been prepared until then is returned in any case.
func (r *Reader) ask(hooks []*hook, c Change) (done []prepared, err error) {
	for _, h := range hooks {
		p, err := h.call(r.ctx, c)
		if err != nil {
			return done, err
		}
		if p.finish != nil {
			done = append(done, p)
		}
	}
	return done, nil
}

// refuse notes a veto, and tells the log.
func (r *Reader) refuse(c Change, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	since := time.Now()
	if r.veto != nil {
		since = r.veto.Since
	}
	r.vetoed, r.vetoes = c.After, r.vetoes+1
	r.veto = &VetoError{Rejected{Position: c.Position, Revision: c.Revision, Origin: c.Origin, Why: err.Error(), Since: since}, err}
	r.log.Warn("change vetoed", "namespace", r.namespace, "position", c.Position, "shown", c.Before.position, "error", err)
	r.wake()
}

// hook is something that is asked before a change becomes visible.
type hook struct {
	timeout time.Duration
	ask     func(context.Context, Change) (prepared, error)
	busy    chan struct{} // holds one while ask runs, also when nobody waits for it any more
}

// prepared is what a hook has made ready. All nil: nothing.
type prepared struct {
	part   part
	finish func(err error) // called when the change was shown, or, with why not, was not
}

func newHook(timeout time.Duration, ask func(context.Context, Change) (prepared, error)) *hook {
	return &hook{timeout, ask, make(chan struct{}, 1)}
}

var errBusy = errors.New("it has not returned yet from a change that timed out")

// call asks the hook and waits for it within its time. What comes too late is finished as not shown.
func (h *hook) call(ctx context.Context, c Change) (prepared, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	select {
	case h.busy <- struct{}{}:
	case <-ctx.Done():
		return prepared{}, fmt.Errorf("prepare: %w", errBusy)
	}
	type answer struct {
		prepared
		err error
	}
	answers, late := make(chan answer), make(chan struct{})
	defer close(late)
	go func() {
		defer func() { <-h.busy }()
		p, err := h.safely(ctx, c)
		select {
		case answers <- answer{p, err}:
		case <-late:
			if p.finish != nil {
				p.finish(context.DeadlineExceeded)
			}
		}
	}()
	select {
	case a := <-answers:
		return a.prepared, a.err
	case <-ctx.Done():
		return prepared{}, fmt.Errorf("prepare: no answer within %s: %w", h.timeout, ctx.Err())
	}
}

func (h *hook) safely(ctx context.Context, c Change) (p prepared, err error) {
	defer func() {
		if v := recover(); v != nil {
			p, err = prepared{}, panicked(v)
		}
	}()
	return h.ask(ctx, c)
}

// panicked makes an error of a recovered panic, without its text, which may hold a value.
func panicked(v any) error { return &panicError{fmt.Sprintf("%T", v), string(debug.Stack())} }

type panicError struct{ kind, stack string }

func (e *panicError) Error() string { return "panic with a " + e.kind }

// LogValue has the log show where it was.
func (e *panicError) LogValue() slog.Value {
	return slog.GroupValue(slog.String("panic", e.kind), slog.String("stack", e.stack))
}
