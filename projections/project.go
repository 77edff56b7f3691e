package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Bounds of what is sent to Redis at once. Redis does nothing else while it carries out one call, and a batch is in memory
// here whole.
const (
	maxCalls      = 1_000   // calls in a pipeline
	maxBatchBytes = 4 << 20 // arguments in a pipeline, about
	maxStepBytes  = 4 << 20 // payload of one change set on one view; a larger one is put in place as a whole view
)

// batch is what is projected and not yet in Redis.
type batch struct {
	calls []call
	bytes int
	stale map[events.Namespace]bool // views to put in place anew instead
}

func (b *batch) add(c call) {
	b.calls = append(b.calls, c)
	for _, arg := range c.args {
		switch arg := arg.(type) {
		case string:
			b.bytes += len(arg)
		case []byte:
			b.bytes += len(arg)
		}
	}
}

func (b *batch) isFull() bool { return len(b.calls) >= maxCalls || b.bytes >= maxBatchBytes }

// project brings all views up to date with what Tail delivered, and has a heartbeat follow.
func (s *session) project(ctx context.Context, evs []events.Recorded, head eventlog.Head) error {
	if head.Epoch != s.epoch {
		return eventlog.ErrEpochChanged
	}
	s.head = max(s.head, head.Position)
	for cs := range events.ChangeSets(evs) {
		last := cs[len(cs)-1].Position
		if last <= s.position {
			continue // Tail delivers at least once
		}
		if cs[0].Namespace == events.LogNamespace {
			s.position = last // about the log itself: no view shows it
			continue
		}
		if err := s.fold(ctx, cs); err != nil {
			return err
		}
		if s.batch.isFull() {
			if err := s.flush(ctx); err != nil {
				return err
			}
		}
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if s.beaten != s.position && !s.isSoon {
		s.isSoon = true
		s.soon.Reset(beatDelay)
	}
	return nil
}

// fold adds the steps of one change set to the batch.
func (s *session) fold(ctx context.Context, cs []events.Recorded) error {
	root := cs[0].Namespace.Root()
	if !s.checked[root] {
		if err := s.flush(ctx); err != nil { // views are compared as of s.position
			return err
		}
		if err := s.check(ctx, root); err != nil {
			return err
		}
	}
	before, err := s.tree(ctx, root)
	if err != nil {
		return err
	}
	fold := config.NewFold(before)
	for _, ev := range cs {
		fold.Apply(ev)
	}
	after := fold.Tree()
	for _, vc := range config.Changes(before, after, cs) {
		if err := s.step(cs, vc); err != nil {
			return err
		}
	}
	s.position = cs[len(cs)-1].Position
	s.trees.put(root, after)
	return nil
}

// step adds to the batch what a change set does to one view.
func (s *session) step(cs []events.Recorded, vc config.ViewChange) error {
	first, last := cs[0], cs[len(cs)-1]
	prev := s.views[vc.Namespace]
	if last.Position <= prev || s.batch.stale[vc.Namespace] {
		return nil
	}
	s.list(vc.Namespace)
	s.views[vc.Namespace] = last.Position
	payload := view.ChangeSet{
		Epoch: s.epoch, Term: s.term, Namespace: vc.Namespace, Position: exact(last.Position), Prev: prev,
		Revision: vc.Revision, Origin: last.Namespace, OriginRevision: last.Revision,
		Actor: first.Actor, Reason: first.Reason, Time: first.Time, Changes: make([]view.Change, len(vc.Changes)),
	}
	var sets, deletes []any
	size := 0
	for i, c := range vc.Changes {
		payload.Changes[i].Key = c.Key
		if c.New == nil {
			deletes = append(deletes, string(c.Key))
			continue
		}
		entry := view.Entry(*c.New)
		payload.Changes[i].Entry = &entry
		data := view.EncodeEntry(entry)
		size += len(data)
		sets = append(sets, string(c.Key), data)
	}
	if size > maxStepBytes {
		s.rebuildLater(vc.Namespace)
		return nil
	}
	fields, err := view.StreamFields(payload)
	if err != nil {
		return fmt.Errorf("change set at position %d on %s: %w", last.Position, vc.Namespace, err)
	}
	args := []any{s.epoch, s.term, int64(last.Position), int64(prev), int64(exact(vc.Revision)), stamp(time.Now()),
		s.cfg.StreamLen, len(sets) / 2}
	args = append(append(append(args, fields...), sets...), deletes...)
	s.batch.add(call{script: apply, ns: vc.Namespace, keys: viewKeys(vc.Namespace), args: args})
	return nil
}

func (s *session) rebuildLater(ns events.Namespace) {
	if s.batch.stale == nil {
		s.batch.stale = map[events.Namespace]bool{}
	}
	s.batch.stale[ns] = true
}

// flush carries out the batch, and puts in place anew the views that it does not fit on.
func (s *session) flush(ctx context.Context) error {
	b := s.batch
	err := s.retry(ctx, func() error {
		outcomes, err := s.store.run(ctx, b.calls)
		if err != nil {
			return err
		}
		for i, outcome := range outcomes {
			if err := outcome.refused(); err != nil {
				return err
			}
			if outcome == gap || outcome == wrong {
				s.rebuildLater(b.calls[i].ns)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	stale := s.batch.stale
	s.batch = batch{}
	return s.rebuild(ctx, stale)
}
