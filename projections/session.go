package projections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

var (
	errFenced = errors.New("a newer projector has taken over")
	errPast   = errors.New("redis has views of a later history than that of this log; if this log was restored from a backup, declare that: holdfast epoch new")
)

// session is one term of leadership. Tail's goroutine projects, another beats; each takes its turn.
type session struct {
	*Projector
	turn  sync.Mutex // held by whoever uses what follows
	term  int64
	epoch string

	position events.Position // all events up to here are in the trees and, unless in batch, in Redis
	head     events.Position // of the log, as last heard
	batch    batch
	trees    *trees

	views   map[events.Namespace]events.Position // where each view in Redis is
	checked map[events.Namespace]bool            // roots whose views were compared with the log in this term
	names   []events.Namespace                   // of views, each once, in the order in which they are looked at
	listed  map[events.Namespace]bool            // those in names
	next    int                                  // index in names
	built   int                                  // views built; names what is built
	placed  int                                  // keys in the views built
	replay  *replay                              // under way; nil: none
	mark    string                               // of the replay that views are built for; empty: for none

	beaten   events.Position // of the last heartbeat written; -1: none
	soon     *time.Timer     // for the heartbeat that follows a batch
	isSoon   bool            // it runs
	troubled bool            // the last attempt failed
}

func newSession(p *Projector, term int64) *session {
	soon := time.NewTimer(time.Hour)
	soon.Stop()
	return &session{
		soon: soon, Projector: p, term: exact(term), trees: newTrees(p.cfg.CacheKeys), beaten: -1,
		views: map[events.Namespace]events.Position{}, listed: map[events.Namespace]bool{}, checked: map[events.Namespace]bool{},
	}
}

// run projects until ctx ends, the projector is fenced, the log is not what it was, or it meets an event that it does
// not know.
func (s *session) run(ctx context.Context) error {
	if err := s.start(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var tail sync.WaitGroup
	defer tail.Wait()
	defer cancel()
	ended, from := make(chan error, 1), s.position
	tail.Go(func() {
		ended <- s.log.Tail(ctx, from, func(evs []events.Recorded, head eventlog.Head) error {
			return s.inTurn(func() error { return s.project(ctx, evs, head) })
		})
	})
	return s.attend(ctx, ended)
}

// inTurn calls do when nobody else uses the session.
func (s *session) inTurn(do func() error) error {
	s.turn.Lock()
	defer s.turn.Unlock()
	return do()
}

// beatDelay is how long after a batch its heartbeat comes. Readers are woken by the streams; the heartbeat says that
// nothing else is missing, and once for several batches is soon enough.
const beatDelay = 10 * time.Millisecond

// attend beats, soon after what Tail delivered was projected and once in a while when nothing was, and does between two
// batches what else there is to do.
func (s *session) attend(ctx context.Context, ended <-chan error) error {
	tick := time.NewTicker(s.cfg.Heartbeat)
	defer tick.Stop()
	defer s.soon.Stop()
	for {
		do := s.beat
		select {
		case err := <-ended:
			return s.tailEnded(err)
		case <-s.replayDue():
			do = s.replayTree
		case <-s.soon.C:
		case <-tick.C:
			do = s.lookAndBeat
		}
		if err := s.inTurn(func() error { return do(ctx) }); err != nil {
			return err
		}
	}
}

// lookAndBeat is what each heartbeat does, but for those that come soon after a batch.
func (s *session) lookAndBeat(ctx context.Context) error {
	if err := s.lookAtSome(ctx); err != nil {
		return err
	}
	if err := s.takeUpReplay(ctx); err != nil {
		return err
	}
	return s.beat(ctx)
}

func (s *session) tailEnded(err error) error {
	if isUnknownType(err) {
		return fmt.Errorf("events after position %d: %w", s.position, err)
	}
	return err
}

// start finds out where to go on, and puts in place what is missing there.
func (s *session) start(ctx context.Context) error {
	trusted, err := s.findPosition(ctx)
	if err != nil {
		return err
	}
	err = s.settle(ctx, trusted)
	if isUnknownType(err) && s.position > 0 {
		// Nothing can be folded as of here. What comes before the event can: from the start, until Tail meets it.
		s.position, s.trees, s.checked = 0, newTrees(s.cfg.CacheKeys), map[events.Namespace]bool{}
		err = s.settle(ctx, true)
	}
	if err != nil {
		return err
	}
	return s.beat(ctx)
}

// findPosition takes the position of the last heartbeat if that fits the log (trusted), else the log's end.
func (s *session) findPosition(ctx context.Context) (trusted bool, err error) {
	err = s.retry(ctx, func() error {
		head, err := s.log.Head(ctx)
		if err != nil {
			return err
		}
		beat, found, err := s.store.heartbeat(ctx)
		if err != nil {
			return err
		}
		s.epoch, s.head, s.position = head.Epoch, head.Position, head.Position
		trusted = found && beat.Epoch == head.Epoch && beat.Position <= head.Position
		if trusted && beat.Term > s.term {
			return errFenced
		}
		if trusted {
			s.position = beat.Position
		}
		names, err := s.namespaces(ctx)
		for _, ns := range names {
			s.list(ns)
		}
		return err
	})
	return trusted, err
}

// list makes sure that the view of ns is looked at.
func (s *session) list(ns events.Namespace) {
	if !s.listed[ns] {
		s.listed[ns] = true
		s.names = append(s.names, ns)
	}
}

// settle looks at all views; unless the last heartbeat is trusted, it compares them all with the log.
func (s *session) settle(ctx context.Context, trusted bool) error {
	if err := s.lookAt(ctx, s.names); err != nil {
		return err
	}
	if err := s.dropUnknown(ctx); err != nil {
		return err
	}
	if trusted {
		return nil
	}
	s.cfg.Logger.Warn("redis has no heartbeat that fits the log: comparing all views with it", "position", s.position)
	for _, root := range roots(s.names) {
		if err := s.check(ctx, root); err != nil {
			return err
		}
	}
	return nil
}

// namespaces lists all that exist in the log.
func (s *session) namespaces(ctx context.Context) ([]events.Namespace, error) {
	const page = 10_000
	var all []events.Namespace
	for {
		after := events.Namespace("")
		if len(all) > 0 {
			after = all[len(all)-1]
		}
		more, err := s.log.Namespaces(ctx, after, page)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
		if len(more) == 0 {
			return all, nil
		}
	}
}

// tree returns the tree of root as of s.position.
func (s *session) tree(ctx context.Context, root events.Namespace) (config.Tree, error) {
	if tree, ok := s.trees.get(root); ok {
		return tree, nil
	}
	tree, err := s.load(ctx, root, s.position)
	if err == nil {
		s.trees.put(root, tree)
	}
	return tree, err
}

func (s *session) load(ctx context.Context, root events.Namespace, at events.Position) (tree config.Tree, err error) {
	if at == 0 { // which would mean all
		return config.Tree{}, nil
	}
	err = s.retry(ctx, func() error {
		tree, err = s.log.Load(ctx, root, at)
		return err
	})
	return tree, err
}

// beat says in Redis that this projector is alive and that everything up to s.position is projected. If what it said
// last is not there, Redis has lost something, and all views are looked at first.
func (s *session) beat(ctx context.Context) error {
	s.isSoon = false
	for {
		now, head := time.Now(), max(s.head, s.position)
		outcome, err := s.do(ctx, call{script: beat, keys: []string{view.ProjectorKey}, args: []any{
			s.epoch, s.term, int64(exact(s.position)), int64(exact(head)), stamp(now), int64(s.beaten)}})
		switch {
		case err != nil:
			return err
		case outcome.refused() != nil:
			return outcome.refused()
		case outcome == ok:
			s.beaten = s.position
			s.report(func(st *Status) { st.Position, st.Head = int64(s.position), int64(head) })
			return nil
		}
		s.cfg.Logger.Warn("redis has lost the heartbeat: looking at all views", "position", s.position)
		if err := s.lookAt(ctx, s.names); err != nil {
			return err
		}
		s.beaten = -1
	}
}

// do carries out one call, and repeats it until Redis answers.
func (s *session) do(ctx context.Context, c call) (o outcome, err error) {
	err = s.retry(ctx, func() error {
		outcomes, err := s.store.run(ctx, []call{c})
		if err == nil {
			o = outcomes[0]
		}
		return err
	})
	return o, err
}

// retry calls try until it succeeds, with pauses that grow, or until trying again can not help.
func (s *session) retry(ctx context.Context, try func() error) error {
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		err := try()
		switch {
		case err == nil:
			if s.troubled {
				s.cfg.Logger.Info("projector gets on again", "position", s.position)
				s.troubled = false
				s.trouble(nil)
			}
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case isFinal(err):
			return err
		}
		if !s.troubled {
			s.cfg.Logger.Warn("projector does not get on; it keeps trying", "position", s.position, "error", err)
			s.troubled = true
		}
		s.trouble(err)
		if err := pause(ctx, wait); err != nil {
			return err
		}
	}
}

// isFinal says whether the session can not go on, however often it tries.
func isFinal(err error) bool {
	return isUnknownType(err) || errors.Is(err, errFenced) || errors.Is(err, errPast) ||
		errors.Is(err, eventlog.ErrEpochChanged) || errors.Is(err, eventlog.ErrBeyondHead)
}

func isUnknownType(err error) bool {
	_, is := errors.AsType[*events.UnknownTypeError](err)
	return is
}

// roots returns the roots of namespaces, each once, sorted.
func roots(names []events.Namespace) []events.Namespace {
	return slices.Sorted(maps.Keys(byRoot(names)))
}

func byRoot(names []events.Namespace) map[events.Namespace][]events.Namespace {
	trees := map[events.Namespace][]events.Namespace{}
	for _, ns := range names {
		trees[ns.Root()] = append(trees[ns.Root()], ns)
	}
	return trees
}
