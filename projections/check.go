package projections

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-config/holdfast/config"
	"github.com/holdfast-config/holdfast/eventlog"
	"github.com/holdfast-config/holdfast/events"
	"github.com/holdfast-config/holdfast/readmodel/view"
)

// Checked is what [Check] has found.
type Checked struct {
	Position    events.Position `json:"position"` // up to which the log was folded
	Views       int             `json:"views"`
	Keys        int             `json:"keys"` // effective values in the log's views
	Differences []Difference    `json:"differences"`
	More        int             `json:"more,omitzero"` // differences beyond the first 1,000
}

// Difference is something in Redis that is not as the log says. It never has a value.
type Difference struct {
	Namespace events.Namespace `json:"namespace,omitzero"` // empty: it is about all views
	Key       events.Key       `json:"key,omitzero"`       // empty: it is about the view itself
	Detail    string           `json:"detail"`
}

const maxDifferences = 1_000

// Check folds the whole log, event by event, and compares the views in Redis with what comes out. It writes nothing and
// may run at any time: a view is compared as of the projector's heartbeat, before which it may miss nothing, or as of its
// own position where that is later. It needs memory for all keys. While it folds, it calls progress now and then with the
// position that it is at and the one it goes to. The error is of what could not be read: [*events.UnknownTypeError] of an
// event that this program does not know, [eventlog.ErrEpochChanged] if the log became another meanwhile.
func Check(ctx context.Context, log *eventlog.Log, rdb redis.UniversalClient, progress func(at, end events.Position)) (Checked, error) {
	c := checking{log: log, store: store{rdb}}
	if err := c.begin(ctx); err != nil {
		return Checked{}, err
	}
	f := NewForest()
	err := log.Rows(ctx, 0, c.Position, func(row eventlog.Row) error {
		if row.Position%10_000 == 0 {
			progress(row.Position, c.Position)
		}
		return f.Apply(row)
	})
	if err != nil {
		return Checked{}, err
	}
	c.trees = f.Trees()
	if err := c.views(ctx); err != nil {
		return Checked{}, err
	}
	if head, err := log.Head(ctx); err != nil || head.Epoch != c.epoch {
		return Checked{}, errors.Join(err, eventlog.ErrEpochChanged)
	}
	return c.Checked, nil
}

// checking is a check under way.
type checking struct {
	Checked
	log   *eventlog.Log
	store store
	epoch string
	trees map[events.Namespace]config.Tree // by root, as of Position
	later struct {                         // the tree that was loaded last
		root events.Namespace
		at   events.Position
		tree config.Tree
	}
}

func (c *checking) differs(ns events.Namespace, key events.Key, format string, args ...any) {
	if len(c.Differences) == maxDifferences {
		c.More++
		return
	}
	c.Differences = append(c.Differences, Difference{ns, key, fmt.Sprintf(format, args...)})
}

// begin finds the position as of which views are compared: that of the heartbeat, if it can be right.
func (c *checking) begin(ctx context.Context) error {
	beat, found, err := c.store.heartbeat(ctx)
	if err != nil {
		return err
	}
	head, err := c.log.Head(ctx) // after the heartbeat, which can not be ahead of it by right
	if err != nil {
		return err
	}
	c.Differences, c.epoch, c.Position = []Difference{}, head.Epoch, head.Position
	switch {
	case !found:
		c.differs("", "", "there is no heartbeat of a projector")
	case beat.Epoch != head.Epoch:
		c.differs("", "", "the projector's heartbeat is of history %s, the log is %s", beat.Epoch, head.Epoch)
	case beat.Position > head.Position:
		c.differs("", "", "the projector's heartbeat is at %d, beyond the end of the log at %d", beat.Position, head.Position)
	default:
		c.Position = beat.Position
	}
	return nil
}

// views compares those of all namespaces that the log or Redis knows.
func (c *checking) views(ctx context.Context) error {
	found, err := c.store.namespaces(ctx)
	if err != nil {
		return err
	}
	names := map[events.Namespace]bool{}
	for _, ns := range found {
		names[ns] = true
	}
	for _, tree := range c.trees {
		for ns := range tree.Namespaces() {
			names[ns.Name] = true
		}
	}
	for _, ns := range slices.Sorted(maps.Keys(names)) {
		if err := c.view(ctx, ns); err != nil {
			return err
		}
	}
	return nil
}

// view compares that of one namespace.
func (c *checking) view(ctx context.Context, ns events.Namespace) error {
	head, entries, err := c.store.view(ctx, ns)
	if err != nil && !isNoView(err) {
		return err
	}
	tree, loadErr := c.tree(ctx, ns, head)
	if loadErr != nil {
		return loadErr
	}
	own, exists := tree.Namespace(ns)
	if exists {
		c.Views++
	}
	switch {
	case !exists:
		c.differs(ns, "", "the log has no such namespace")
	case errors.Is(err, view.ErrAbsent):
		c.differs(ns, "", "there is no view")
	case err != nil:
		c.differs(ns, "", "the view is not whole")
	case head.Epoch != c.epoch:
		c.differs(ns, "", "the view is of history %s, the log is %s", head.Epoch, c.epoch)
	case head.Position < own.Position || head.Revision != own.Revision:
		c.differs(ns, "", "the view is at position %d, revision %d; the log at %d, revision %d", head.Position, head.Revision, own.Position, own.Revision)
	}
	if exists {
		c.entries(ns, tree, entries)
	}
	return nil
}

// tree returns the tree that the view of ns, whose head is given, comes from.
func (c *checking) tree(ctx context.Context, ns events.Namespace, head view.Head) (config.Tree, error) {
	if head.Epoch != c.epoch || head.Position <= c.Position {
		return c.trees[ns.Root()], nil
	}
	now, err := c.log.Head(ctx)
	if err != nil {
		return config.Tree{}, err
	}
	if head.Position > now.Position {
		c.differs(ns, "", "the view is at position %d, beyond the end of the log at %d", head.Position, now.Position)
		return c.trees[ns.Root()], nil
	}
	return c.load(ctx, ns.Root(), head.Position)
}

// load loads a tree, unless it is the one that was loaded last: the views of a tree, which are compared one after the other,
// are mostly at one position.
func (c *checking) load(ctx context.Context, root events.Namespace, at events.Position) (config.Tree, error) {
	if l := &c.later; l.root != root || l.at != at {
		tree, err := c.log.Load(ctx, root, at)
		if err != nil {
			return config.Tree{}, err
		}
		l.root, l.at, l.tree = root, at, tree
	}
	return c.later.tree, nil
}

// entries compares what a view has with what the tree gives it.
func (c *checking) entries(ns events.Namespace, tree config.Tree, have map[events.Key]view.Entry) {
	for key, e := range tree.Entries(ns) {
		c.Keys++
		want := view.Entry(e)
		got, ok := have[key]
		switch {
		case have == nil: // said of the whole view
		case !ok:
			c.differs(ns, key, "is not in the view")
		case got != want:
			c.differs(ns, key, "has another %s than the log", strings.Join(otherFields(got, want), ", "))
		}
		delete(have, key)
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		c.differs(ns, key, "has no value in the log")
	}
}

// otherFields names the fields in which entries differ.
func otherFields(a, b view.Entry) (names []string) {
	for _, f := range []struct {
		name string
		same bool
	}{
		{"value", a.Value == b.Value}, {"kind", a.Kind == b.Kind}, {"revision", a.Revision == b.Revision},
		{"position", a.Position == b.Position}, {"from", a.From == b.From}, {"sensitive", a.Sensitive == b.Sensitive},
	} {
		if !f.same {
			names = append(names, f.name)
		}
	}
	return names
}
