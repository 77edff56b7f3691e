package projections

import (
	"context"
	"time"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

const (
	lookPerBeat = 500                   // views looked at by each heartbeat
	lookTime    = 50 * time.Millisecond // spent by each heartbeat on comparing trees with the log
)

// lookAt reads the heads of views and puts in place anew those that are not what this session last knew, or, where it
// knows nothing yet, that can not be right.
func (s *session) lookAt(ctx context.Context, names []events.Namespace) error {
	for len(names) > 0 {
		n := min(len(names), maxCalls)
		if err := s.lookAtPage(ctx, names[:n]); err != nil {
			return err
		}
		names = names[n:]
	}
	return nil
}

func (s *session) lookAtPage(ctx context.Context, names []events.Namespace) error {
	var all []seen
	err := s.retry(ctx, func() (err error) {
		all, err = s.store.look(ctx, names)
		return err
	})
	if err != nil {
		return err
	}
	stale := map[events.Namespace]bool{}
	for i, ns := range names {
		have, known := s.views[ns]
		switch v := all[i]; {
		case v.Err == nil && v.Epoch == s.epoch && v.Term > s.term:
			return errFenced
		case v.Err != nil, v.Epoch != s.epoch, known && v.Position != have, v.Position > s.head:
			stale[ns] = true
		default:
			s.views[ns] = v.Position
		}
	}
	return s.rebuild(ctx, stale)
}

// lookAtSome looks at some views in turn, and compares some trees with the log that were not yet.
func (s *session) lookAtSome(ctx context.Context) error {
	if s.next >= len(s.names) {
		s.next = 0
	}
	some := s.names[s.next:min(len(s.names), s.next+lookPerBeat)]
	s.next += len(some)
	if err := s.lookAt(ctx, some); err != nil {
		return err
	}
	began := time.Now()
	for _, ns := range some {
		if time.Since(began) > lookTime {
			break
		}
		if err := s.check(ctx, ns.Root()); err != nil {
			return err
		}
	}
	return nil
}

// check compares, once in a term, the views of a tree with the log, as of s.position. A failover may have lost the last
// steps of a view and kept the heartbeat that says they were done. Only where a namespace above has changed since, and it can not
// be told from the positions whether that touched the view, are its entries compared one by one.
func (s *session) check(ctx context.Context, root events.Namespace) error {
	if s.checked[root] {
		return nil
	}
	tree, err := s.tree(ctx, root)
	if err != nil {
		return err
	}
	stale := map[events.Namespace]bool{}
	positions := touched(tree)
	for ns := range tree.Namespaces() {
		have, known := s.views[ns.Name]
		switch {
		case known && have >= positions[ns.Name]:
		case !known || have < ns.Position:
			stale[ns.Name] = true
		default:
			same, err := s.isSame(ctx, tree, ns.Name)
			if err != nil {
				return err
			}
			if !same {
				stale[ns.Name] = true
			}
		}
	}
	if err := s.rebuild(ctx, stale); err != nil {
		return err
	}
	s.checked[root] = true
	return nil
}

// maxCompared is how many entries are compared. A larger view is put in place anew instead, in pieces that each take
// Redis little time; reading it whole might take longer than the client waits.
const maxCompared = 20_000

// isSame says whether the view in Redis has exactly the entries that the tree gives it.
func (s *session) isSame(ctx context.Context, tree config.Tree, ns events.Namespace) (same bool, err error) {
	if tree.Len() > maxCompared {
		return false, nil
	}
	err = s.retry(ctx, func() error {
		_, entries, err := s.store.view(ctx, ns)
		if err != nil && !isNoView(err) {
			return err
		}
		same = err == nil
		for key, e := range tree.Entries(ns) {
			same = same && entries[key] == view.Entry(e)
			delete(entries, key)
		}
		same = same && len(entries) == 0
		return nil
	})
	return same, err
}

// dropUnknown deletes the views of namespaces that the log does not know: they are of another history.
func (s *session) dropUnknown(ctx context.Context) error {
	exists := map[events.Namespace]bool{}
	for _, ns := range s.names {
		exists[ns] = true
	}
	return s.retry(ctx, func() error {
		found, err := s.store.namespaces(ctx)
		if err != nil {
			return err
		}
		var calls []call
		for _, ns := range found {
			if !exists[ns] {
				s.cfg.Logger.Warn("deleting the view of a namespace that the log does not know", "namespace", ns)
				calls = append(calls, call{script: drop, ns: ns, keys: viewKeys(ns), args: []any{s.epoch, s.term}})
			}
		}
		outcomes, err := s.store.run(ctx, calls)
		if err != nil {
			return err
		}
		for _, outcome := range outcomes {
			if err := outcome.refused(); err != nil {
				return err
			}
		}
		return nil
	})
}
