package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
)

const (
	maxHeld  = 10_000 // events of a root held back until its tree is there
	maxLoads = 4      // trees of the past loaded at once
)

// errHistory: the log is not the one that the watch began with.
var errHistory = errors.New("the log has another history")

// hub is what the watchers of this process share: one tail of the log, which runs while there are any, and one folded
// tree for each root that is watched. A change is encoded once for each namespace.
type hub struct {
	log    *eventlog.Log
	logger *slog.Logger
	loads  chan struct{} // taken while a tree of the past is loaded

	mu      sync.Mutex // guards what is below, and all of tailing
	current *tailing   // nil: nobody watches
}

func newHub(log *eventlog.Log, logger *slog.Logger) *hub {
	return &hub{log: log, logger: logger, loads: make(chan struct{}, maxLoads)}
}

// tailing is one tail under way, from the first watcher to the last.
type tailing struct {
	cancel  context.CancelFunc
	running sync.WaitGroup
	started chan struct{} // closed when epoch and position are known, or err

	watchers int
	err      error // why it is over
	epoch    string
	position events.Position // everything up to here was passed on
	head     events.Position
	mark     *bookmark // of position and head; another whenever the log has answered
	roots    map[events.Namespace]*watchedRoot
}

// watchedRoot is a root namespace with watchers in its tree.
type watchedRoot struct {
	ready  bool                // tree is there
	tree   config.Tree         // up to where its events were passed on
	held   [][]events.Recorded // change sets that wait for the tree
	count  int                 // events in held
	spaces map[events.Namespace]map[*queue]struct{}
}

// seat is a watcher's place in a tailing.
type seat struct {
	hub   *hub
	in    *tailing
	ns    events.Namespace
	root  *watchedRoot
	queue *queue
	epoch string
	// The queue has everything after from. Tree is the present tree and includes everything up to upto, which is at
	// least from.
	from, upto events.Position
	tree       config.Tree
}

// join gives a watcher of ns a place. The error is that of the log, or a problem if ns does not exist.
func (h *hub) join(ctx context.Context, ns events.Namespace) (*seat, error) {
	for {
		s := &seat{hub: h, in: h.enter(), ns: ns, queue: newQueue()}
		err := s.take(ctx)
		if err == nil {
			return s, nil
		}
		s.leave()
		if !errors.Is(err, errHistory) { // of a tail that just ended; the next one follows the new history
			return nil, err
		}
	}
}

// enter counts a watcher in, and starts the tail for the first.
func (h *hub) enter() *tailing {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.current == nil {
		ctx, cancel := context.WithCancel(context.Background())
		t := &tailing{cancel: cancel, started: make(chan struct{}), roots: map[events.Namespace]*watchedRoot{}}
		t.running.Go(func() { h.run(ctx, t) })
		h.current = t
	}
	h.current.watchers++
	return h.current
}

// take has the queue filled first, and then loads the tree: what is not in the one is in the other.
func (s *seat) take(ctx context.Context) error {
	select {
	case <-s.in.started:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.add(); err != nil {
		return err
	}
	tree, err := s.hub.log.Present(ctx, s.ns)
	if err != nil {
		return err
	}
	if _, ok := tree.Namespace(s.ns); !ok {
		return newProblem(ProblemNamespaceNotFound, fmt.Sprintf("namespace %s does not exist", s.ns))
	}
	s.tree = tree
	return s.settle()
}

func (s *seat) add() error {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	t := s.in
	if t.err != nil {
		return t.err
	}
	root := t.roots[s.ns.Root()]
	if root == nil {
		root = &watchedRoot{spaces: map[events.Namespace]map[*queue]struct{}{}}
		t.roots[s.ns.Root()] = root
	}
	if root.spaces[s.ns] == nil {
		root.spaces[s.ns] = map[*queue]struct{}{}
	}
	root.spaces[s.ns][s.queue] = struct{}{}
	s.root = root
	s.epoch, s.from = t.epoch, t.position
	return nil
}

// leave gives the place up. The last to leave ends the tail, and waits for its end.
func (s *seat) leave() {
	t := s.in
	s.hub.mu.Lock()
	if r := s.root; r != nil {
		delete(r.spaces[s.ns], s.queue)
		if len(r.spaces[s.ns]) == 0 {
			delete(r.spaces, s.ns)
		}
		if name := s.ns.Root(); len(r.spaces) == 0 && t.roots[name] == r {
			delete(t.roots, name)
		}
	}
	t.watchers--
	last := t.watchers == 0
	if last && s.hub.current == t {
		s.hub.current = nil
	}
	s.hub.mu.Unlock()
	if last {
		t.cancel()
		t.running.Wait()
	}
}

// mark says how far the tail is. What it passed on up to there is in the queue, or was.
func (s *seat) mark() *bookmark {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.in.mark
}

// headKnown is where the log ended when the tail last looked.
func (s *seat) headKnown() events.Position {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	return s.in.head
}

// run tails the log for t until its last watcher has left, or the log can not be followed.
func (h *hub) run(ctx context.Context, t *tailing) {
	head, err := h.log.Head(ctx)
	h.mu.Lock()
	t.epoch, t.position, t.head = head.Epoch, head.Position, head.Position
	t.mark = newBookmark(t.epoch, t.position, t.head)
	h.mu.Unlock()
	if err == nil {
		close(t.started)
		err = h.log.Tail(ctx, head.Position, func(evs []events.Recorded, head eventlog.Head) error {
			return h.pass(t, evs, head)
		})
	}
	if ctx.Err() == nil {
		h.fail(t, err)
	}
	select {
	case <-t.started:
	default:
		close(t.started)
	}
}

// fail ends all watches of t.
func (h *hub) fail(t *tailing, err error) {
	if errors.Is(err, eventlog.ErrEpochChanged) || errors.Is(err, eventlog.ErrBeyondHead) {
		err = errHistory
	}
	h.logger.Warn("watches are ended: the log can not be followed", "error", err)
	h.mu.Lock()
	defer h.mu.Unlock()
	t.err = err
	if h.current == t {
		h.current = nil
	}
	for _, root := range t.roots {
		root.each(func(q *queue) { q.close(err) })
	}
}

func (r *watchedRoot) each(do func(*queue)) {
	for _, queues := range r.spaces {
		for q := range queues {
			do(q)
		}
	}
}

// pass passes on what the tail brought.
func (h *hub) pass(t *tailing, evs []events.Recorded, head eventlog.Head) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if head.Epoch != t.epoch {
		return eventlog.ErrEpochChanged
	}
	for cs := range events.ChangeSets(evs) {
		if err := t.passSet(cs); err != nil {
			return err
		}
		t.position = cs[len(cs)-1].Position
	}
	t.head = max(head.Position, t.position)
	t.mark = newBookmark(t.epoch, t.position, t.head)
	return nil
}

// passSet passes on a change set, or holds it until the tree of its root is there.
func (t *tailing) passSet(cs []events.Recorded) error {
	name := cs[0].Namespace.Root()
	r := t.roots[name]
	switch {
	case r == nil:
		return nil
	case r.ready:
		return r.apply(t.epoch, cs)
	}
	r.held, r.count = append(r.held, cs), r.count+len(cs)
	if r.count > maxHeld {
		delete(t.roots, name) // who comes next begins anew
		r.held = nil
		r.each(func(q *queue) { q.close(errOverflow) })
	}
	return nil
}

// settle makes the seat's tree and that of its root agree. A root without a tree is given the seat's, which was loaded
// after the root began to hold. One that is ahead of the seat's has passed on, or skipped, what the seat's lacks.
func (s *seat) settle() error {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	r := s.root
	if !r.ready {
		r.ready, r.tree = true, s.tree
		for _, cs := range r.held {
			if err := r.apply(s.epoch, cs); err != nil {
				return err
			}
		}
		r.held = nil
	}
	if r.tree.Position() > s.tree.Position() {
		s.tree = r.tree
	}
	s.upto = max(s.from, s.tree.Position())
	return nil
}

// apply folds a change set in and sends each view that it touches to its watchers.
func (r *watchedRoot) apply(epoch string, cs []events.Recorded) error {
	if cs[len(cs)-1].Position <= r.tree.Position() {
		return nil
	}
	before, fold := r.tree, config.NewFold(r.tree)
	for _, ev := range cs {
		fold.Apply(ev)
	}
	r.tree = fold.Tree()
	for ns, queues := range r.spaces {
		vc, touched := config.ChangesIn(before, r.tree, cs, ns)
		if !touched {
			continue
		}
		m, err := changeMessage(epoch, cs, vc)
		if err != nil {
			return err
		}
		for q := range queues {
			q.push(m)
		}
	}
	return nil
}
