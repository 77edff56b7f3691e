package projections

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

const (
	stageEntries = 1_000 // entries in one call that adds to what is being built
	stageBytes   = 1 << 20
	stageSeconds = 300 // after which what was being built and never put in place goes away
)

// rebuild puts the views of some namespaces in place anew, each in one step, whatever Redis holds of them.
func (s *session) rebuild(ctx context.Context, stale map[events.Namespace]bool) error {
	names := byRoot(slices.Sorted(maps.Keys(stale)))
	for _, root := range slices.Sorted(maps.Keys(names)) {
		if err := s.rebuildTree(ctx, root, names[root]); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) rebuildTree(ctx context.Context, root events.Namespace, names []events.Namespace) error {
	at, err := s.rebuildAt(ctx, names)
	if err != nil {
		return err
	}
	var tree config.Tree
	if at == s.position {
		tree, err = s.tree(ctx, root)
	} else {
		tree, err = s.load(ctx, root, at)
	}
	if err != nil {
		return err
	}
	positions := touched(tree)
	pending := slices.DeleteFunc(slices.Clone(names), func(ns events.Namespace) bool {
		_, exists := tree.Namespace(ns)
		return !exists // not yet, as of s.position: its first change set will make the view
	})
	for _, ns := range pending {
		s.cfg.Logger.Info("rebuilding a view", "namespace", ns, "position", positions[ns])
	}
	return s.retry(ctx, func() error {
		for len(pending) > 0 {
			n, err := s.replaceSome(ctx, tree, positions, pending)
			if err != nil {
				return err
			}
			pending = pending[n:]
		}
		return nil
	})
}

// rebuildAt returns the position as of which views are built: s.position, or a later one that a view in Redis is at
// already, since a view never goes back. A view beyond the end of the log is of another history, and does go.
func (s *session) rebuildAt(ctx context.Context, names []events.Namespace) (events.Position, error) {
	at := s.position
	err := s.retry(ctx, func() error {
		all, err := s.store.look(ctx, names)
		if err != nil {
			return err
		}
		head, err := s.log.Head(ctx) // after look, so that no view can be ahead of it by right
		if err != nil {
			return err
		}
		switch {
		case head.Epoch != s.epoch:
			return eventlog.ErrEpochChanged
		case head.Position < s.position:
			return eventlog.ErrBeyondHead
		}
		for _, v := range all {
			if v.Epoch == s.epoch && v.Position > at && v.Position <= head.Position {
				at = v.Position
			}
		}
		return nil
	})
	return at, err
}

// replaceSome builds as many of the views as one pipeline takes, at least one, and returns how many are in place.
func (s *session) replaceSome(ctx context.Context, tree config.Tree, positions map[events.Namespace]events.Position, names []events.Namespace) (int, error) {
	var b batch
	n, keys := 0, 0
	for ; n < len(names) && (n == 0 || !b.isFull()); n++ {
		count, err := s.build(ctx, &b, tree, names[n], positions[names[n]])
		if err != nil {
			return 0, err
		}
		keys += count
	}
	outcomes, err := s.store.run(ctx, b.calls)
	if err != nil {
		return 0, err
	}
	for i, outcome := range outcomes {
		if err := outcome.refused(); err != nil {
			return 0, err
		}
		if outcome == lost || outcome == gap {
			return 0, fmt.Errorf("view of %s was lost while it was built", b.calls[i].ns)
		}
	}
	for _, ns := range names[:n] {
		s.list(ns)
		s.views[ns] = positions[ns]
	}
	s.placed += keys
	return n, nil
}

// build adds to b the calls that put a view in place, and returns how many keys it has; the calls of a large view that come
// first it carries out.
func (s *session) build(ctx context.Context, b *batch, tree config.Tree, ns events.Namespace, at events.Position) (keys int, err error) {
	own, _ := tree.Namespace(ns)
	s.built++ // so that nothing that is late can add to it
	building := fmt.Sprintf("%s:building:%d-%d", view.ValuesKey(ns), s.term, s.built)
	bytes, args := 0, []any{stageSeconds}
	add := func() {
		if len(args) > 1 {
			b.add(call{script: stage, ns: ns, keys: []string{building}, args: args})
		}
		bytes, args = 0, []any{stageSeconds}
	}
	for key, e := range tree.Entries(ns) {
		data := view.EncodeEntry(view.Entry(e))
		args = append(args, string(key), data)
		keys, bytes = keys+1, bytes+len(data)
		if len(args) > 2*stageEntries || bytes > stageBytes {
			add()
		}
		if b.isFull() {
			if _, err := s.store.run(ctx, b.calls); err != nil {
				return 0, err
			}
			*b = batch{}
		}
	}
	add()
	now := time.Now()
	fields, err := view.StreamFields(view.ChangeSet{
		Epoch: s.epoch, Term: s.term, Namespace: ns, Position: exact(at), Revision: own.Revision,
		Origin: ns, OriginRevision: own.Revision, Time: now, Rebuilt: true,
	})
	if err != nil {
		return 0, err
	}
	args = []any{s.epoch, s.term, int64(at), int64(exact(own.Revision)), stamp(now), s.cfg.StreamLen, keys}
	args = append(append(args, fields...), s.mark)
	b.add(call{script: replace, ns: ns, keys: append(viewKeys(ns), building), args: args})
	return keys, nil
}

// touched returns, for every namespace of a tree, the position of the last change set that can have touched its view:
// its own, or one of a namespace that it inherits from. A view that is there or beyond has missed nothing.
func touched(tree config.Tree) map[events.Namespace]events.Position {
	positions := map[events.Namespace]events.Position{}
	for ns := range tree.Namespaces() { // sorted: parents come first
		at := ns.Position
		if parent, ok := ns.Name.Parent(); ok {
			at = max(at, positions[parent]) // 0 where the parent does not exist
		}
		positions[ns.Name] = at
	}
	return positions
}
