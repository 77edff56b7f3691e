package projections

import (
	"context"
	"time"

	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// replay is one under way: the views of all namespaces are put in place anew, a tree at a time, and what Tail delivers is
// projected in between.
type replay struct {
	view.Replay
	names map[events.Namespace][]events.Namespace // by root, of the trees that are to be done
	roots []events.Namespace                      // of names, sorted
	due   chan struct{}                           // closed
}

// replayDue never blocks while a replay is under way.
func (s *session) replayDue() <-chan struct{} {
	if s.replay == nil {
		return nil
	}
	return s.replay.due
}

// takeUpReplay begins the replay that somebody has asked for, or the one that the projector before did not finish.
func (s *session) takeUpReplay(ctx context.Context) error {
	if s.replay != nil {
		return nil
	}
	var asked view.Replay
	var names []events.Namespace
	err := s.retry(ctx, func() (err error) {
		if asked, err = s.store.replay(ctx); err != nil || !asked.UnderWay() {
			return err
		}
		names, err = s.namespaces(ctx)
		return err
	})
	if err != nil || !asked.UnderWay() {
		return err
	}
	s.cfg.Logger.Info("replaying the log into all views", "replay", asked.ID, "by", asked.By, "views", len(names))
	asked.State, asked.StartedAt, asked.Views, asked.Done, asked.Keys = view.ReplayRunning, time.Now(), len(names), 0, 0
	s.replay = &replay{Replay: asked, names: byRoot(names), roots: roots(names), due: make(chan struct{})}
	close(s.replay.due)
	return s.tellReplay(ctx)
}

// replayTree rebuilds the views of the next tree, from events that are read again: what is folded already is in question, too.
func (s *session) replayTree(ctx context.Context) error {
	r := s.replay
	if len(r.roots) > 0 {
		root, keys := r.roots[0], s.placed
		s.trees.drop(root)
		s.mark = r.ID
		err := s.rebuildTree(ctx, root, r.names[root])
		s.mark = ""
		if err != nil {
			return err
		}
		r.roots = r.roots[1:]
		r.Done, r.Keys, r.Position = r.Done+len(r.names[root]), r.Keys+s.placed-keys, s.position
	}
	if len(r.roots) == 0 {
		if err := s.dropUnknown(ctx); err != nil {
			return err
		}
		r.State, r.EndedAt, r.Position = view.ReplayDone, time.Now(), s.position
		s.cfg.Logger.Info("replayed the log into all views", "replay", r.ID, "views", r.Views, "keys", r.Keys, "took", r.EndedAt.Sub(r.StartedAt))
	}
	return s.tellReplay(ctx)
}

// tellReplay says in Redis how far the replay is. If it is not there any more, Redis has lost that, too, and with it what
// the replay was for.
func (s *session) tellReplay(ctx context.Context) error {
	r := s.replay
	outcome, err := s.do(ctx, call{script: tell, keys: []string{view.ReplayKey}, args: append([]any{r.ID}, r.Fields()...)})
	if err != nil {
		return err
	}
	if outcome == lost {
		s.cfg.Logger.Warn("redis has lost the replay that was asked for", "replay", r.ID)
	}
	if outcome == lost || r.State == view.ReplayDone {
		s.replay = nil
	}
	return nil
}

// replay reads the replay that was asked for last; the zero one is none.
func (s store) replay(ctx context.Context) (view.Replay, error) {
	r, err := view.LoadReplay(ctx, s.rdb)
	if isNoView(err) {
		return view.Replay{}, nil
	}
	return r, err
}
